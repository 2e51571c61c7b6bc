//! Layers against Keras: outputs and gradients by inputs and weights.

use super::compare::{Backend, Digits, Failures, Want, read, single_backends};
use super::reader::{Case, File};
use super::skipped::{Skipped, cases_to_run};
use gradus::layers::{
    Activation, AveragePooling2D, BatchNormalization, Build, Call, Conv1D, Conv2D, Conv2DTranspose, Cropping2D, Dense, DepthwiseConv2D,
    Embedding, GRU, GlobalAveragePooling2D, GlobalMaxPooling2D, GroupNormalization, LSTM, Layer, LayerNormalization, LeakyReLU,
    MaxPooling2D, PReLU, SeparableConv2D, SimpleRNN, Softmax, UnitNormalization, UpSampling2D, ZeroPadding2D,
};
use gradus::ops::window::Padding;
use gradus::{Device, GradientTape, Result, Shape, Tensor};

const SKIPPED: [Skipped; 0] = [];

/// The weights that a case may have, in the layers' order.
const WEIGHTS: [&str; 11] = [
    "depthwise_kernel",
    "pointwise_kernel",
    "kernel",
    "recurrent_kernel",
    "bias",
    "alpha",
    "gamma",
    "beta",
    "moving_mean",
    "moving_variance",
    "embeddings",
];

/// The layer of a case, if the crate has it.
fn layer(case: &Case) -> Option<Box<dyn Layer>> {
    let name = case.name.strip_prefix("layer_")?;
    if let Some(function) = name.strip_prefix("Activation_") {
        let layer = Activation::new(function);
        let known = layer.build(&Shape::from([1]), &Build::new(&Device::cpu(), 0)).is_ok();
        return known.then(|| Box::new(layer) as Box<dyn Layer>);
    }
    Some(match name {
        "Dense_relu" => Box::new(Dense::new(3).activation("relu")),
        "Dense_rank3" => Box::new(Dense::new(2)),
        "Dense_softmax" => Box::new(Dense::new(3).activation("softmax")),
        "Conv2D_same_s2_tanh" => Box::new(Conv2D::new(3, 3).strides(2).padding(Padding::Same).activation("tanh")),
        "Conv1D_same" => Box::new(Conv1D::new(3, 3).padding("same")),
        "Conv1D_valid_s2" => Box::new(Conv1D::new(2, 4).strides(2)),
        "DepthwiseConv2D_same" => Box::new(DepthwiseConv2D::new(3).padding("same").depth_multiplier(2)),
        "SeparableConv2D" => Box::new(SeparableConv2D::new(3, 3)),
        "Conv2DTranspose_valid_s2" => Box::new(Conv2DTranspose::new(2, 3).strides(2)),
        "Conv2DTranspose_same_s2" => Box::new(Conv2DTranspose::new(2, 3).strides(2).padding("same")),
        "GlobalMaxPooling2D" => Box::new(GlobalMaxPooling2D::new()),
        "UpSampling2D_nearest" => Box::new(UpSampling2D::new((2, 3))),
        "UpSampling2D_bilinear" => Box::new(UpSampling2D::new(2).interpolation("bilinear")),
        "ZeroPadding2D" => Box::new(ZeroPadding2D::new(((1, 0), (2, 1)))),
        "Cropping2D" => Box::new(Cropping2D::new(((1, 0), (1, 2)))),
        "PReLU" => Box::new(PReLU::new()),
        "LeakyReLU" => Box::new(LeakyReLU::new()),
        "Softmax_axis1" => Box::new(Softmax::new().axis(1)),
        "GlobalAveragePooling2D" => Box::new(GlobalAveragePooling2D::new()),
        "BatchNormalization_training" | "BatchNormalization_inference" => Box::new(BatchNormalization::new()),
        "BatchNormalization_rank2_training" | "BatchNormalization_rank2_inference" => {
            Box::new(BatchNormalization::new().momentum(0.9).epsilon(1e-5))
        }
        "LayerNormalization" | "LayerNormalization_rank4" => Box::new(LayerNormalization::new()),
        "GroupNormalization" => Box::new(GroupNormalization::new(2)),
        "UnitNormalization" => Box::new(UnitNormalization::new()),
        "SimpleRNN" => Box::new(SimpleRNN::new(3)),
        "LSTM" => Box::new(LSTM::new(3)),
        "GRU" => Box::new(GRU::new(3)),
        "Embedding" => {
            let rows = case.shape("embeddings");
            Box::new(Embedding::new(rows[0], rows[1]))
        }
        _ => return None,
    })
}

/// Builds the layer, gives it the weights of these fields, and returns `y`, the gradients of `sum(y * dy)`, and what untrained weights are
/// afterwards, by their fields.
fn evaluate(case: &Case, layer: &mut dyn Layer, weights: &[&str], on: &Backend) -> Result<Vec<(String, Vec<f64>)>> {
    let x = case.tensor(&on.device, on.dtype, "x")?;
    layer.build(&Shape::from(&x.shape()[1..]), &Build::new(&on.device, 0))?;
    let variables = layer.variables();
    assert_eq!(variables.len(), weights.len(), "{}: weights", case.name);
    for (variable, field) in variables.iter().zip(weights) {
        variable.assign(&case.tensor(&on.device, on.dtype, field)?)?;
    }
    let tape = GradientTape::persistent();
    tape.watch(&x);
    let y = layer.call(&x, &Call::new(!case.name.ends_with("_inference")))?;
    assert_eq!(y.shape(), case.shape("y"), "{}: shape of y", case.name);
    let weighted = y.mul(&case.tensor(&on.device, on.dtype, "dy")?)?;
    let mut results = vec![("y".to_string(), read(&y)?)];
    if case.has("dx") {
        results.push(("dx".to_string(), read(tape.gradient(&weighted, [&x])?.get(0)?)?));
    }
    for (variable, field) in variables.iter().zip(weights) {
        results.push(match variable.trainable() {
            true => (format!("d{field}"), read(tape.gradient(&weighted, [variable])?.get(0)?)?),
            false => (format!("after_{field}"), read(&variable.value()?)?),
        });
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
            let weights: Vec<&str> = WEIGHTS.into_iter().filter(|field| case.has(field)).collect();
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
                    Box::new(layer.strides(case.pair("strides")).dilation_rate(case.pair("dilation")).padding(padding()))
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
            layer.build(&Shape::from([1, 3, 2]), &Build::new(&on.device, 1))?;
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
