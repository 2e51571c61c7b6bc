//! f16: every kernel with f16 in place of f32 gives the same numbers but for the rounding of what it stores; and what a type to store must do besides.

#[path = "shaders/computations.rs"]
mod computations;

use computations::computations;
use gradus::f16;
use gradus::ops::pointwise::map;
use gradus::prelude::*;
use gradus::testing::{close, gpu, gpu_with_hardware_kernels, without_fusion};

/// Half the distance from 1 to the next f16.
const ROUNDING: f64 = 1.0 / 2048.0;

/// Positive numbers that f16 has exactly, so that every type starts from the same.
fn numbers(count: usize, seed: usize) -> Vec<f64> {
    (0..count).map(|i| f64::from(f16::from_f64(0.25 + 0.75 * ((i * 37 + seed * 11) % 101) as f64 / 101.0))).collect()
}

fn tensor(device: &Device, shape: &[usize], dtype: DType, seed: usize) -> Result<Tensor> {
    let numbers = numbers(shape.iter().product(), seed);
    match dtype {
        DType::F16 => Tensor::new(device, shape, &numbers.into_iter().map(f16::from_f64).collect::<Vec<_>>()),
        _ => Tensor::new(device, shape, &numbers),
    }
}

fn read(x: &Tensor) -> Result<Vec<f64>> {
    match x.dtype() {
        DType::F16 => Ok(x.to_vec::<f16>()?.into_iter().map(f64::from).collect()),
        DType::F32 => Ok(x.to_vec::<f32>()?.into_iter().map(f64::from).collect()),
        _ => x.to_vec(),
    }
}

/// The output and the gradients under a random upstream gradient.
fn evaluate(device: &Device, shapes: &[&[usize]], dtype: DType, f: &dyn Fn(&[Tensor]) -> Result<Tensor>) -> Result<Vec<Vec<f64>>> {
    let inputs = shapes.iter().zip(1..).map(|(shape, seed)| tensor(device, shape, dtype, seed)).collect::<Result<Vec<_>>>()?;
    let tape = GradientTape::new();
    inputs.iter().for_each(|x| tape.watch(x));
    let y = f(&inputs)?;
    let weighted = y.mul(&tensor(device, y.shape(), dtype, 99)?)?;
    let gradients = tape.gradient(&weighted, &inputs)?.into_vec();
    for (x, dx) in inputs.iter().zip(gradients.iter().flatten()) {
        assert_eq!(x.dtype(), dx.dtype(), "a gradient is of its input's type");
    }
    std::iter::once(&y).chain(gradients.iter().flatten()).map(read).collect()
}

#[test]
fn every_kernel_computes_the_same_on_f16() -> Result<()> {
    let devices: Vec<Device> = [Device::cpu()].into_iter().chain(gpu("kernels on f16")).chain(gpu_with_hardware_kernels()).collect();
    for (number, (shapes, f)) in computations().into_iter().enumerate() {
        let exact = evaluate(&Device::cpu(), &shapes, DType::F64, &f)?;
        for device in &devices {
            // On a GPU every other text costs a pipeline.
            for fused in [true, false].into_iter().filter(|fused| *fused || *device == Device::cpu()) {
                let run = || evaluate(device, &shapes, DType::F16, &f);
                let got = if fused { run()? } else { without_fusion(run)? };
                assert_eq!(got.len(), exact.len());
                for (i, (got, exact)) in got.iter().zip(&exact).enumerate() {
                    // What is stored on the way is rounded a few times; sums are not, being of f32.
                    let scale = exact.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
                    close(got, exact, 12.0 * ROUNDING * scale, 0.0)
                        .unwrap_or_else(|e| panic!("computation {number} of {shapes:?} on {device}, fused: {fused}, value {i}: {e}"));
                }
            }
        }
    }
    Ok(())
}

fn everywhere() -> Vec<Device> {
    [Device::cpu()].into_iter().chain(gpu("f16")).collect()
}

#[test]
fn casts_round_to_the_nearest_and_widen_exactly() -> Result<()> {
    let given = [1.0f32, 1.0 + 1.0 / 2048.0, 1.0 + 3.0 / 2048.0, -65504.0, 1e6, -1e6, 6e-8, 2e-8, 0.1];
    // Ties go to the even neighbour; beyond the largest is infinite; the smallest are multiples of 2^-24.
    let expected = [1.0, 1.0, 1.0 + 2.0 / 1024.0, -65504.0, f32::INFINITY, f32::NEG_INFINITY, 1.0 / 16_777_216.0, 0.0, 0.099_975_586];
    for device in everywhere() {
        let halves = Tensor::new(&device, [9], &given)?.cast(DType::F16)?;
        assert_eq!((halves.dtype(), halves.spec().bytes()), (DType::F16, 18));
        let rounded = halves.to_vec::<f16>()?;
        let back = halves.cast(DType::F32)?.to_vec::<f32>()?;
        // In one kernel, where nothing is stored between the two.
        let at_once = Tensor::new(&device, [9], &given)?.cast(DType::F16)?.cast(DType::F32)?.to_vec::<f32>()?;
        assert_eq!(at_once, back, "{device}");
        for ((value, back), expected) in rounded.iter().zip(back).zip(expected) {
            // A device may take the smallest numbers, which are not normal, for 0.
            let flushed = expected.abs() < 6.2e-5 && back == 0.0;
            assert!(f32::from(*value) == back && (back == expected || flushed), "{device}: {back} instead of {expected}");
        }
        let nan = Tensor::new(&device, [1], &[f32::NAN])?.cast(DType::F16)?.cast(DType::F32)?;
        assert!(nan.to_vec::<f32>()?[0].is_nan(), "{device}");
    }
    Ok(())
}

#[test]
fn types_of_what_is_made_of_f16() -> Result<()> {
    for device in everywhere() {
        let (half, single) = (tensor(&device, &[3, 4], DType::F16, 1)?, Tensor::full(&device, [4], DType::F32, 2.0)?);
        assert_eq!(half.relu()?.dtype(), DType::F16);
        assert_eq!(half.mul_scalar(3.0)?.dtype(), DType::F16);
        assert_eq!(half.add(&single)?.dtype(), DType::F32, "f16 and f32 make f32");
        assert_eq!(half.mean_all()?.dtype(), DType::F32, "sums are of f32");
        assert_eq!(half.max(&[0], false)?.dtype(), DType::F16);
        assert_eq!(half.argmax(1)?.dtype(), DType::U32);
        let both = map(&[&half, &single], |e| vec![&e[0] * 2.0, &e[0] * &e[1], e[1].cast(DType::F16)])?;
        assert_eq!(both.iter().map(Tensor::dtype).collect::<Vec<_>>(), [DType::F16, DType::F32, DType::F16]);
        let expected: Vec<f64> = numbers(12, 1).iter().map(|v| 2.0 * v).collect();
        assert_eq!(read(&both[0])?, expected);
        assert_eq!(read(&both[1])?, expected);
        assert_eq!(read(&both[2])?, [2.0; 12]);
        let error = half.matmul(&Tensor::full(&device, [4, 2], DType::F32, 1.0)?).map(|_| ());
        assert!(matches!(error, Err(Error::DType { .. })), "a product has factors of one type: {error:?}");
        // A sum that f16 could not hold.
        let many = Tensor::full(&device, [70_000], DType::F16, 2.0)?.sum_all()?;
        assert_eq!(many.item()?, 140_000.0, "{device}");
    }
    Ok(())
}

/// The squash of a crossentropy's argument is found behind a cast: else the loss would go through probabilities that were rounded to f16.
#[test]
fn a_cast_keeps_the_logits() -> Result<()> {
    for device in everywhere() {
        let logits = Tensor::new(&device, [1, 2], &[f16::from_f32(0.0), f16::from_f32(30.0)])?;
        let labels = Tensor::new(&device, [1, 2], &[1.0f32, 0.0])?;
        let value = CategoricalCrossentropy::default().call(&labels, &logits.softmax()?.cast(DType::F32)?)?.item()?;
        assert!((value - 30.0).abs() < 1e-3, "{device}: {value}");
    }
    Ok(())
}

/// Layers of every kind that holds weights or mixes values, and a sample's shape for each. A bias before a normalization would have a gradient of
/// nothing but rounding.
fn models() -> Vec<(&'static str, Vec<usize>, Sequential)> {
    let sequence = vec![5, 4];
    let image = vec![6, 6, 4];
    vec![
        ("dense", vec![8], Sequential::new().add(Dense::new(16).activation(Relu)).add(Dense::new(3).activation(Softmax))),
        ("conv", image.clone(), Sequential::new().add(Conv2D::new(8, 3).activation(Relu)).add(MaxPooling2D::new(2)).add(Flatten::new())),
        (
            "normalized",
            image.clone(),
            Sequential::new().add(Conv2D::new(8, 3).use_bias(false)).add(BatchNormalization::new()).add(AveragePooling2D::new(2)),
        ),
        ("depthwise", image.clone(), Sequential::new().add(DepthwiseConv2D::new(3)).add(SeparableConv2D::new(4, 3)).add(Flatten::new())),
        ("transposed", image.clone(), Sequential::new().add(Conv2DTranspose::new(3, 3)).add(GlobalAveragePooling2D::new())),
        (
            "padded",
            image,
            Sequential::new().add(ZeroPadding2D::new(1)).add(UpSampling2D::new(2)).add(GlobalMaxPooling2D::new()).add(Dense::new(2)),
        ),
        ("layer norm", sequence.clone(), Sequential::new().add(LayerNormalization::new()).add(RMSNormalization::new()).add(PReLU::new())),
        ("simple rnn", sequence.clone(), Sequential::new().add(SimpleRNN::new(6)).add(Dense::new(2))),
        ("lstm", sequence.clone(), Sequential::new().add(Bidirectional::new(LSTM::new(6))).add(Dense::new(2))),
        ("gru", sequence.clone(), Sequential::new().add(GRU::new(6).return_sequences(true)).add(TimeDistributed::new(Dense::new(2)))),
        (
            "conv1d",
            sequence,
            Sequential::new().add(Conv1D::new(8, 2).use_bias(false)).add(GroupNormalization::new(2)).add(GlobalAveragePooling1D::new()),
        ),
        ("dropout", vec![8], Sequential::new().add(Dropout::new(0.5)).add(GaussianNoise::new(0.1)).add(Dense::new(3).activation(Sigmoid))),
    ]
}

/// The same model in f32 and mixed: the outputs, and the gradients of all weights, agree but for what f16 rounds.
#[test]
fn layers_of_every_kind_compute_in_f16() -> Result<()> {
    for device in everywhere() {
        for ((name, sample, single), (_, _, mixed)) in models().into_iter().zip(models()) {
            let x = tensor(&device, &[&[4], &sample[..]].concat(), DType::F16, 3)?.cast(DType::F32)?;
            let run = |model: Sequential| -> Result<Vec<Vec<f64>>> {
                let mut model = model.on_device(&device).seed(7);
                model.build(sample.clone())?;
                let tape = GradientTape::new();
                let y = model.call(&x, &Call::training())?;
                assert_eq!((y.dtype(), model.output_specs()?[0].dtype), (DType::F32, DType::F32), "{name}: a model gives f32");
                let weights = model.trainable_variables();
                let gradients = tape.gradient(&y.mul(&tensor(&device, y.shape(), DType::F16, 99)?)?.mean_all()?, &weights)?.into_vec();
                let loss_free = std::iter::once(y).chain(gradients.into_iter().flatten());
                loss_free
                    .map(|t| {
                        assert_eq!(t.dtype(), DType::F32, "{name}");
                        read(&t)
                    })
                    .collect()
            };
            let (single, mixed) = (run(single)?, run(mixed.dtype_policy("mixed_float16"))?);
            assert_eq!(single.len(), mixed.len(), "{name}");
            let mut differs = false;
            for (i, (single, mixed)) in single.iter().zip(&mixed).enumerate() {
                let scale = single.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
                close(mixed, single, 48.0 * ROUNDING * scale + 1e-5, 0.0).unwrap_or_else(|e| panic!("{name} on {device}, value {i}: {e}"));
                differs |= single != mixed;
            }
            assert!(differs, "{name} on {device}: nothing was rounded to f16");
        }
    }
    Ok(())
}

fn classifier(device: &Device) -> Sequential {
    Sequential::new()
        .add(Conv2D::new(8, 3).activation(Relu))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(Dense::new(16).activation(Relu))
        .add(Dense::new(4).activation(Softmax))
        .on_device(device)
        .seed(3)
}

fn images() -> Result<Data> {
    let pixels: Vec<f32> =
        (0..64 * 64).map(|i| ((i * i + 7 * i) % 97) as f32 / 97.0 + if i / 64 % 4 == i % 4 { 1.0 } else { 0.0 }).collect();
    let labels: Vec<u8> = (0..64).map(|i| i % 4).collect();
    Data::new(Samples::new([64, 8, 8, 1], &pixels)?, &labels)
}

#[test]
fn a_mixed_model_trains_like_one_of_f32() -> Result<()> {
    for device in everywhere() {
        let losses = |policy: &str| -> Result<Vec<f64>> {
            let mut model = classifier(&device).dtype_policy(policy);
            model.compile(Adam::new(0.01), SparseCategoricalCrossentropy::default(), [Accuracy::default()])?;
            let name = model.compiled().expect("it was compiled").optimizer().name();
            assert_eq!(name == "loss_scale", policy == "mixed_float16", "{name}");
            let history = model.fit(&images()?, Fit { epochs: 6, batch_size: 16, verbose: Verbose::Silent, ..Fit::default() })?;
            assert!(model.variables().iter().all(|v| v.spec().dtype == DType::F32), "weights are f32");
            Ok(history.get("loss").expect("there is a loss").to_vec())
        };
        let (single, mixed) = (losses("float32")?, losses("mixed_float16")?);
        println!("{device}: {single:?} {mixed:?}");
        assert!(single[5] < 0.5 * single[0], "{device}: it learns nothing: {single:?}");
        close(&mixed, &single, 0.02 * single[0], 0.02).unwrap_or_else(|e| panic!("{device}: {e}"));
        assert_ne!(single, mixed);
    }
    Ok(())
}

#[test]
fn a_scale_that_overflows_is_halved_until_it_does_not() -> Result<()> {
    for device in everywhere() {
        let mut model = classifier(&device).dtype_policy(DTypePolicy::MixedFloat16);
        let optimizer = LossScaleOptimizer::new(SGD::new(0.01)).initial_scale(2f64.powi(40));
        model.compile(optimizer, SparseCategoricalCrossentropy::default(), ())?;
        let history = model.fit(&images()?, Fit { epochs: 10, batch_size: 16, verbose: Verbose::Silent, ..Fit::default() })?;
        let losses = history.get("loss").expect("there is a loss");
        let scale = model.compiled().expect("it was compiled").optimizer().variables()[1].value()?.item()?;
        assert!(scale < 2f64.powi(30) && scale > 1.0, "{device}: {scale}");
        assert!(losses[9] < losses[0] && losses.iter().all(|l| l.is_finite()), "{device}: {losses:?}");
    }
    Ok(())
}

#[test]
fn a_mixed_step_takes_about_half_the_memory() -> Result<()> {
    let bytes = |policy: &str| -> Result<usize> {
        let mut model = Sequential::new().dtype_policy(policy).on_device(&Device::cpu());
        for _ in 0..8 {
            model = model.add(Conv2D::new(16, 3).padding("same").activation(Relu));
        }
        model.build([32, 32, 16])?;
        let x = Tensor::full(&Device::cpu(), [8, 32, 32, 16], DType::F32, 0.5)?;
        let step = Function::new("gradients", |args: &[Tensor]| {
            let tape = GradientTape::new();
            let loss = model.call(&args[0], &Call::training())?.mean_all()?;
            Ok(tape.gradient(&loss, model.trainable_variables())?.into_vec().into_iter().flatten().collect())
        });
        step.call(&[&x])?;
        Ok(step.programs()[0].planned_bytes())
    };
    let (single, mixed) = (bytes("float32")?, bytes("mixed_float16")?);
    // Apart, what is cast is stored in both types.
    let tenths = if std::env::var_os("GRADUS_FUSE").is_some_and(|value| value == "0") { 7 } else { 6 };
    assert!(mixed < single * tenths / 10, "{mixed} of {single} bytes");
    Ok(())
}

#[test]
fn policies_that_cannot_be_are_errors() -> Result<()> {
    let wrong = |model: Sequential| {
        let error = model.on_device(&Device::cpu()).input([4]).into_model().build([4]).expect_err("the policy has no such name");
        assert!(error.to_string().contains("mixed_float16") && error.to_string().contains("mixed_float_16"), "{error}");
    };
    wrong(Sequential::new().add(Dense::new(2)).dtype_policy("mixed_float_16"));
    wrong(Sequential::new().add(Dense::new(2).dtype_policy("mixed_float_16")));
    // A layer's own policy goes before its model's.
    let mut model = Sequential::new().add(Dense::new(2)).add(Dense::new(2).dtype_policy("float32")).dtype_policy("mixed_float16");
    model.build([4])?;
    let policies = model.layers().iter().map(|layer| layer.base().dtype_policy()).collect::<Result<Vec<_>>>()?;
    assert_eq!(policies, [DTypePolicy::MixedFloat16, DTypePolicy::Float32]);
    Ok(())
}
