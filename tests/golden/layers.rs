//! Layers against Keras: outputs and gradients by inputs and weights.

use super::compare::{Backend, Digits, Failures, Want, read, single_backends};
use super::reader::{Case, File};
use super::skipped::{Skipped, cases_to_run};
use gradus::layers::{Activation, AveragePooling2D, Build, Call, Conv2D, Dense, GlobalAveragePooling2D, Layer, MaxPooling2D};
use gradus::ops::window::Padding;
use gradus::{Device, GradientTape, Result, Shape, Tensor};

const SKIPPED: [Skipped; 2] = [
    Skipped {
        reason: "layers that the crate does not have",
        cases: &[
            "layer_Conv1D_same",
            "layer_Conv1D_valid_s2",
            "layer_DepthwiseConv2D_same",
            "layer_SeparableConv2D",
            "layer_Conv2DTranspose_valid_s2",
            "layer_Conv2DTranspose_same_s2",
            "layer_GlobalMaxPooling2D",
            "layer_UpSampling2D_nearest",
            "layer_UpSampling2D_bilinear",
            "layer_ZeroPadding2D",
            "layer_Cropping2D",
            "layer_BatchNormalization_training",
            "layer_BatchNormalization_rank2_training",
            "layer_BatchNormalization_inference",
            "layer_BatchNormalization_rank2_inference",
            "layer_LayerNormalization",
            "layer_LayerNormalization_rank4",
            "layer_GroupNormalization",
            "layer_UnitNormalization",
            "layer_PReLU",
            "layer_LeakyReLU",
            "layer_Embedding",
            "layer_SimpleRNN",
            "layer_LSTM",
            "layer_GRU",
            "layer_Softmax_axis1",
        ],
    },
    Skipped {
        reason: "activations that the crate does not have",
        cases: &["layer_Activation_hard_silu", "layer_Activation_mish", "layer_Activation_relu6"],
    },
];

/// The layer of a case, if the crate has it.
fn layer(case: &Case) -> Option<Box<dyn Layer>> {
    let name = case.name.strip_prefix("layer_")?;
    if let Some(function) = name.strip_prefix("Activation_") {
        let mut layer = Activation::new(function);
        let known = layer.build(&Shape::from([1]), &mut Build::new(&Device::cpu(), 0)).is_ok();
        return known.then(|| Box::new(layer) as Box<dyn Layer>);
    }
    Some(match name {
        "Dense_relu" => Box::new(Dense::new(3).activation("relu")),
        "Dense_rank3" => Box::new(Dense::new(2)),
        "Dense_softmax" => Box::new(Dense::new(3).activation("softmax")),
        "Conv2D_same_s2_tanh" => Box::new(Conv2D::new(3, 3).strides(2).padding(Padding::Same).activation("tanh")),
        "GlobalAveragePooling2D" => Box::new(GlobalAveragePooling2D::new()),
        _ => return None,
    })
}

/// Builds the layer, gives it the weights of these fields, and returns `y` and the gradients of `sum(y * dy)`, by their fields.
fn evaluate(case: &Case, layer: &mut dyn Layer, weights: &[&str], on: &Backend) -> Result<Vec<(String, Vec<f64>)>> {
    let x = case.tensor(&on.device, on.dtype, "x")?;
    layer.set_name("layer");
    let shape = layer.build(&Shape::from(&x.shape()[1..]), &mut Build::new(&on.device, 0))?;
    assert_eq!(shape[..], case.shape("y")[1..], "{}: the shape that `build` returns", case.name);
    let variables = layer.variables();
    assert_eq!(variables.len(), weights.len(), "{}: weights", case.name);
    for (variable, field) in variables.iter().zip(weights) {
        variable.assign(&case.tensor(&on.device, on.dtype, field)?)?;
    }
    let tape = GradientTape::persistent();
    tape.watch(&x);
    let y = layer.call(&x, &Call::training())?;
    assert_eq!(y.shape(), case.shape("y"), "{}: shape of y", case.name);
    let weighted = y.mul(&case.tensor(&on.device, on.dtype, "dy")?)?;
    let mut results = vec![("y".to_string(), read(&y)?), ("dx".to_string(), read(tape.gradient(&weighted, [&x])?.get(0)?)?)];
    let gradients = tape.gradient(&weighted, &variables)?;
    for (i, field) in weights.iter().enumerate() {
        results.push((format!("d{field}"), read(gradients.get(i)?)?));
    }
    Ok(results)
}

fn check(case: &Case, layer: &mut dyn Layer, weights: &[&str], digits: Digits, on: &Backend, failures: &mut Failures) {
    let results = evaluate(case, layer, weights, on).unwrap_or_else(|e| panic!("{} on {}: {e}", case.name, on.name()));
    let dy = case.f64s("dy");
    for (field, got) in results {
        let values = case.f64s(&field);
        let beside = if field == "y" { &[][..] } else { &dy };
        let want = Want { values: &values, digits, terms: case.shape("x").elements(), beside, each_above: None };
        failures.note(format!("{}, {field} on {}", case.name, on.name()), want.compare(&got, on.dtype));
    }
}

#[test]
fn layers() {
    let file = File::parse("layers.txt", include_str!("layers.txt"));
    let mut failures = Failures::default();
    for on in single_backends("golden values of layers") {
        for case in cases_to_run(&file, &SKIPPED, |case| layer(case).is_some()) {
            let mut layer = layer(case).expect("just asked");
            let weights: Vec<&str> = ["kernel", "bias"].into_iter().filter(|field| case.has(field)).collect();
            check(case, layer.as_mut(), &weights, Digits::Single, &on, &mut failures);
        }
    }
    failures.finish();
}

/// The layers around operations of `ops.txt` add nothing to them, and compute the same shapes.
#[test]
fn layers_around_operations() {
    let file = File::parse("ops.txt", include_str!("ops.txt"));
    let mut failures = Failures::default();
    let mut count = 0;
    for on in single_backends("golden values of convolution and pooling layers") {
        for case in file.cases() {
            let padding = || if case.word("padding") == "same" { Padding::Same } else { Padding::Valid };
            let mut layer: Box<dyn Layer> = match &case.name {
                name if name.starts_with("max_pool_") => {
                    Box::new(MaxPooling2D::new(case.pair("window")).strides(case.pair("strides")).padding(padding()))
                }
                name if name.starts_with("avg_pool_") => {
                    Box::new(AveragePooling2D::new(case.pair("window")).strides(case.pair("strides")).padding(padding()))
                }
                name if name.starts_with("conv2d_") => {
                    let kernel = case.shape("kernel");
                    let layer = Conv2D::new(kernel[3], [kernel[0], kernel[1]]).use_bias(false);
                    Box::new(layer.strides(case.pair("strides")).dilation(case.pair("dilation")).padding(padding()))
                }
                _ => continue,
            };
            let weights: &[&str] = if case.has("kernel") { &["kernel"] } else { &[] };
            check(case, layer.as_mut(), weights, Digits::Nine, &on, &mut failures);
            count += 1;
        }
    }
    assert!(count >= 41, "{count} cases");
    failures.finish();
}

/// What Keras's layers do without weights, on a tensor small enough to see.
#[test]
fn layers_without_weights() -> Result<()> {
    use gradus::layers::{Dropout, Flatten, Rescaling};
    let values: Vec<f32> = (0..12).map(|i| i as f32).collect();
    for on in single_backends("layers without weights") {
        let x = Tensor::new(&on.device, [2, 1, 3, 2], &values)?;
        let bytes = Tensor::new(&on.device, [2, 1, 3, 2], &values.iter().map(|v| *v as u8 * 20).collect::<Vec<_>>())?;
        let run = |layer: &mut dyn Layer, x: &Tensor| -> Result<Tensor> {
            layer.build(&Shape::from([1, 3, 2]), &mut Build::new(&on.device, 1))?;
            layer.call(x, &Call::inference())
        };
        let flat = run(&mut Flatten::new(), &x)?;
        assert_eq!((&flat.shape()[..], flat.to_vec::<f32>()?), (&[2, 6][..], values.clone()));
        assert_eq!(run(&mut Dropout::new(0.5), &x)?.to_vec::<f32>()?, values, "inference drops nothing");
        let scaled = run(&mut Rescaling::new(1.0 / 127.5).offset(-1.0), &bytes)?.to_vec::<f32>()?;
        let fine = scaled.iter().zip(&values).all(|(got, v)| (f64::from(*got) - (f64::from(*v) * 20.0 / 127.5 - 1.0)).abs() <= 2e-7);
        assert!(fine && scaled.len() == 12, "{scaled:?}");
    }
    Ok(())
}
