//! The Keras surface, seen from outside: golden numbers, texts, and training as a user starts it.

use gradus::layers::ActivationFn::{Relu, Softmax};
use gradus::layers::{Activation, Call, Conv2D, Dense, Dropout, Flatten, GlobalAveragePooling2D, MaxPooling2D, Rescaling};
use gradus::losses::SparseCategoricalCrossentropy;
use gradus::metrics::Accuracy;
use gradus::models::Sequential;
use gradus::ops::window::Padding;
use gradus::optimizers::{Adam, AdamW, Optimizer, RMSprop, SGD};
use gradus::train::{Data, Fit, Verbose};
use gradus::{DType, Device, Error, Function, Result, Tensor, Variable};
use ndarray::ArrayD;

/// `b · sin(a · (i + 1))` in row-major order.
fn fill(shape: &[usize], a: f64, b: f64) -> ArrayD<f32> {
    let n: usize = shape.iter().product();
    let values = (0..n).map(|i| (b * (a * (i as f64 + 1.0)).sin()) as f32).collect();
    ArrayD::from_shape_vec(shape.to_vec(), values).expect("as many values as the shape has")
}

fn close(got: f64, want: f64, relative: f64, what: &str) {
    assert!((got - want).abs() <= relative * want.abs(), "{what}: {got:e} instead of {want:e}");
}

fn quiet() -> Fit {
    Fit { verbose: Verbose::Silent, ..Fit::default() }
}

fn mnist() -> Sequential {
    Sequential::new()
        .add(Conv2D::new(32, 3).activation(Relu))
        .add(Conv2D::new(64, 3).activation("relu"))
        .add(Flatten::new())
        .add(Dense::new(128).activation(Relu))
        .add(Dense::new(10).activation(Softmax))
        .on(&Device::cpu())
        .input([28, 28, 1])
}

fn cifar() -> Sequential {
    Sequential::new()
        .add(Conv2D::new(16, 3).activation(Relu))
        .add(MaxPooling2D::default())
        .add(Conv2D::new(32, (3, 3)).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(Dense::new(256).activation(Relu))
        .add(Dense::new(100).activation(Softmax))
        .on(&Device::cpu())
        .input([32, 32, 3])
}

fn small() -> Sequential {
    Sequential::new()
        .add(Rescaling::new(1.0 / 255.0))
        .add(Conv2D::new(4, 3).activation(Relu))
        .add(Flatten::new())
        .add(Dense::new(4).activation(Softmax))
        .on(&Device::cpu())
}

fn compiled(mut model: Sequential) -> Result<Sequential> {
    model.compile(Adam::new(0.01), SparseCategoricalCrossentropy::default(), [Accuracy::default()])?;
    Ok(model)
}

// ---------------------------------------------------------------- optimizers

const GRADIENTS: [f32; 5] = [0.01, 0.1, -0.3, 0.0, 0.05];

/// The CPU, and the adapter that tests run on if there is one.
fn devices(what: &str) -> Vec<Device> {
    std::iter::once(Device::cpu()).chain(gradus::testing::gpu(what)).collect()
}

fn displacements(device: &Device, optimizer: &mut dyn Optimizer, start: f32) -> Result<Vec<f64>> {
    let x = Variable::new("x", &Tensor::new(device, [1], &[start])?)?;
    let mut path = Vec::new();
    for gradient in GRADIENTS {
        optimizer.apply_gradients(&[(Tensor::new(device, [1], &[gradient])?, x.clone())])?;
        path.push(x.value()?.item()? - f64::from(start));
    }
    assert_eq!(optimizer.iterations()?, 5);
    Ok(path)
}

/// Displacements of Keras's optimizers, written from its source in float64.
#[test]
fn optimizers_move_as_keras_does() -> Result<()> {
    type Case = (&'static str, fn() -> Box<dyn Optimizer>, [f64; 5]);
    let cases: [Case; 8] = [
        ("SGD", || Box::new(SGD::default()), [-1.0e-04, -1.1e-03, 1.9e-03, 1.9e-03, 1.4e-03]),
        ("SGD momentum", || Box::new(SGD::default().momentum(0.9)), [-1.0e-04, -1.19e-03, 8.29e-04, 2.6461e-03, 3.78149e-03]),
        (
            "SGD nesterov",
            || Box::new(SGD::default().momentum(0.9).nesterov(true)),
            [-1.9e-04, -2.171e-03, 2.6461e-03, 4.28149e-03, 4.803341e-03],
        ),
        ("Adam", || Box::new(Adam::default()), [-9.99683872e-04, -1.80674623e-03, -1.39907391e-03, -1.06513356e-03, -8.71581059e-04]),
        (
            "Adam amsgrad",
            || Box::new(Adam::default().amsgrad(true)),
            [-9.99683872e-04, -1.80674623e-03, -1.39907391e-03, -1.06530057e-03, -8.71748069e-04],
        ),
        ("RMSprop", || Box::new(RMSprop::default()), [-3.14658388e-03, -6.29457064e-03, -3.28070510e-03, -3.28070510e-03, -3.83033286e-03]),
        (
            "RMSprop momentum",
            || Box::new(RMSprop::default().momentum(0.9)),
            [-3.14658388e-03, -9.12649613e-03, -1.14945516e-02, -1.36258015e-02, -1.60935543e-02],
        ),
        (
            "RMSprop centered",
            || Box::new(RMSprop::default().centered(true)),
            [-3.31496772e-03, -6.66642936e-03, -3.58858565e-03, -3.58858565e-03, -4.14254489e-03],
        ),
    ];
    let devices = devices("the optimizers");
    for (name, make, want) in cases {
        for device in &devices {
            let got = displacements(device, make().as_mut(), 0.0)?;
            assert_eq!(got.len(), want.len());
            for (t, (g, w)) in got.iter().zip(want).enumerate() {
                close(*g, w, 2e-5, &format!("{name} on {device}, step {}", t + 1));
            }
        }
    }
    Ok(())
}

/// PyTorch's Adam has ε inside the bias correction; the tolerance above can tell them apart.
#[test]
fn adam_is_not_pytorchs() -> Result<()> {
    let first = displacements(&Device::cpu(), &mut Adam::default(), 0.0)?[0];
    assert!((first - -9.99990000e-04).abs() >= 1e-4 * first.abs(), "{first:e}");
    Ok(())
}

/// Weight decay depends on where the weight is, and near 1 an f32 has steps of 6e-8: the tolerance is absolute.
#[test]
fn adamw_decays_apart_from_the_gradient() -> Result<()> {
    let want = [-1.00368387e-03, -1.81474222e-03, -1.41106264e-03, -1.08111664e-03, -8.91559817e-04];
    for device in devices("AdamW") {
        let got = displacements(&device, &mut AdamW::default(), 1.0)?;
        assert_eq!(got.len(), want.len());
        for (g, w) in got.iter().zip(want) {
            assert!((g - w).abs() <= 2e-7, "{device}: {got:?} instead of {want:?}");
        }
    }
    Ok(())
}

fn all_optimizers() -> Vec<Box<dyn Optimizer>> {
    vec![
        Box::new(SGD::default()),
        Box::new(SGD::default().momentum(0.9).nesterov(true)),
        Box::new(Adam::default().amsgrad(true)),
        Box::new(AdamW::default()),
        Box::new(RMSprop::default().momentum(0.5).centered(true)),
    ]
}

/// One step of fitting `w` to a target that the optimizer's own steps move it to.
fn step(w: &Variable, target: &Tensor, optimizer: &dyn Optimizer) -> Result<Vec<Tensor>> {
    let tape = gradus::GradientTape::new();
    let loss = w.value()?.sub(target)?.square()?.sum_all()?;
    let gradients = tape.gradient(&loss, [w])?.into_vec();
    let gradient = gradients.into_iter().next().flatten().expect("the loss depends on w");
    optimizer.apply(&[(gradient, w.clone())], None)?;
    Ok(vec![loss])
}

fn fifty_steps(device: &Device, optimizer: &mut dyn Optimizer, replayed: bool) -> Result<Vec<f32>> {
    let w = Variable::new("w", &Tensor::from_array(device, &fill(&[3, 4], 0.3, 1.0))?)?;
    let target = Tensor::from_array(device, &fill(&[3, 4], 1.1, 2.0))?;
    optimizer.build(std::slice::from_ref(&w))?;
    let rates: Vec<f64> = (0..50).map(|i| 0.01 + 0.001 * f64::from(i % 7)).collect();
    if !replayed {
        for rate in rates {
            optimizer.set_learning_rate(rate)?;
            step(&w, &target, optimizer)?;
        }
        return w.value()?.to_vec();
    }
    // The function borrows the optimizer: the rate is set through its variable, as `set_learning_rate` does.
    let rate_variable = optimizer.variables()[1].clone();
    let optimizer: &dyn Optimizer = optimizer;
    let function = Function::new("step", |args: &[Tensor]| step(&w, &args[0], optimizer));
    for rate in rates {
        rate_variable.assign(&Tensor::scalar(device, rate as f32)?)?;
        function.call(&[&target])?;
    }
    assert_eq!(function.trace_report().traces.len(), 1);
    w.value()?.to_vec()
}

#[test]
fn a_replayed_step_gives_the_bits_of_an_eager_one() -> Result<()> {
    for device in devices("replayed optimizers") {
        for (mut eager, mut replayed) in all_optimizers().into_iter().zip(all_optimizers()) {
            let name = eager.name();
            let a = fifty_steps(&device, eager.as_mut(), false)?;
            let b = fifty_steps(&device, replayed.as_mut(), true)?;
            assert!(a.iter().all(|v| v.is_finite()), "{name}");
            let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&a), bits(&b), "{name} on {device}");
            assert_eq!((eager.iterations()?, replayed.iterations()?), (50, 50), "{name} on {device}");
        }
    }
    Ok(())
}

#[test]
fn a_step_that_is_not_ok_changes_nothing() -> Result<()> {
    let cpu = Device::cpu();
    let (ok, bad) = (Tensor::scalar(&cpu, 1.0f32)?, Tensor::scalar(&cpu, 0.0f32)?);
    for mut optimizer in all_optimizers() {
        let w = Variable::new("w", &Tensor::new(&cpu, [2], &[1.0f32, -2.0])?)?;
        optimizer.build(std::slice::from_ref(&w))?;
        let gradient = Tensor::new(&cpu, [2], &[0.5f32, 0.25])?;
        optimizer.apply(&[(gradient.clone(), w.clone())], Some(&ok))?;
        let state = |optimizer: &dyn Optimizer| -> Result<Vec<f64>> {
            let scalars = optimizer.variables().iter().take(2).map(|v| v.value()?.item()).collect::<Result<Vec<_>>>()?;
            let mut all = w.value()?.to_vec::<f32>()?;
            for slot in optimizer.variables().iter().skip(2) {
                all.extend(slot.value()?.to_vec::<f32>()?);
            }
            Ok(scalars.into_iter().chain(all.into_iter().map(f64::from)).collect())
        };
        let before = state(optimizer.as_ref())?;
        let nan = Tensor::new(&cpu, [2], &[f32::NAN, 1.0])?;
        optimizer.apply(&[(nan, w.clone())], Some(&bad))?;
        assert_eq!(before, state(optimizer.as_ref())?, "{}", optimizer.name());
        optimizer.apply(&[(gradient, w.clone())], Some(&ok))?;
        assert_ne!(before, state(optimizer.as_ref())?, "{}", optimizer.name());
    }
    Ok(())
}

#[test]
fn optimizers_refuse_what_they_cannot_do() -> Result<()> {
    let cpu = Device::cpu();
    let w = Variable::new("w", &Tensor::new(&cpu, [2], &[1.0f32, -2.0])?)?;
    let text = Adam::new(-1.0).build(std::slice::from_ref(&w)).expect_err("a negative rate").to_string();
    assert_eq!(text, "adam: learning_rate: expected a number of at least 0, got -1");
    let mut adam = Adam::default();
    adam.build(std::slice::from_ref(&w))?;
    let other = Variable::new("other", &Tensor::new(&cpu, [2], &[1.0f32, -2.0])?)?;
    let text = adam.apply(&[(other.value()?, other.clone())], None).expect_err("unknown").to_string();
    assert!(text.contains("unknown variable other"), "{text}");
    assert!(adam.apply(&[], None).expect_err("none").to_string().contains("no gradients"));
    let wrong = Tensor::new(&cpu, [3], &[0.0f32; 3])?;
    assert!(matches!(adam.apply(&[(wrong, w)], None), Err(Error::Shape { .. })));
    Ok(())
}

// ---------------------------------------------------------------- models

#[test]
fn parameter_counts_and_names_of_the_course_models() -> Result<()> {
    for (mut model, params) in [(mnist(), 4_738_826), (cifar(), 325_956)] {
        model.build(model.input_shape().cloned().expect("given"))?;
        assert_eq!(model.count_params(), params);
    }
    let mut model = cifar();
    model.build([32, 32, 3])?;
    let names: Vec<String> = model.layers().map(|l| l.name().to_string()).collect();
    assert_eq!(names, ["conv2d", "max_pooling2d", "conv2d_1", "max_pooling2d_1", "flatten", "dense", "dense_1"]);
    let variables: Vec<String> = model.variables().iter().map(Variable::name).collect();
    assert_eq!(variables[..3], ["conv2d/kernel", "conv2d/bias", "conv2d_1/kernel"]);
    assert_eq!(model.output_shape()?[..], [100]);
    Ok(())
}

const CIFAR_SUMMARY: &str = r#"Model: "sequential"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━┓
┃ Layer (type)                         ┃ Output Shape                ┃         Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━┩
│ conv2d (Conv2D)                      │ (None, 30, 30, 16)          │             448 │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ max_pooling2d (MaxPooling2D)         │ (None, 15, 15, 16)          │               0 │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ conv2d_1 (Conv2D)                    │ (None, 13, 13, 32)          │           4,640 │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ max_pooling2d_1 (MaxPooling2D)       │ (None, 6, 6, 32)            │               0 │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ flatten (Flatten)                    │ (None, 1152)                │               0 │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ dense (Dense)                        │ (None, 256)                 │         295,168 │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ dense_1 (Dense)                      │ (None, 100)                 │          25,700 │
└──────────────────────────────────────┴─────────────────────────────┴─────────────────┘
"#;

#[test]
fn summary_before_and_after_training() -> Result<()> {
    let mut model = cifar();
    let totals = " Total params: 325,956 (1.24 MB)\n Trainable params: 325,956 (1.24 MB)\n Non-trainable params: 0 (0.00 B)\n";
    assert_eq!(model.summary()?, format!("{CIFAR_SUMMARY}{totals}"));
    let mut model = compiled(model)?;
    let data = Data::new(&fill(&[2, 32, 32, 3], 0.1, 1.0), &[3u8, 99][..])?;
    model.fit(&data, quiet())?;
    let totals = " Total params: 977,870 (3.73 MB)\n Trainable params: 325,956 (1.24 MB)\n Non-trainable params: 0 (0.00 B)\n Optimizer params: 651,914 (2.49 MB)\n";
    assert_eq!(model.summary()?, format!("{CIFAR_SUMMARY}{totals}"));
    Ok(())
}

#[test]
fn summary_without_an_input_shape() -> Result<()> {
    let text = Sequential::new().add(Dense::new(3)).add(GlobalAveragePooling2D::new()).summary()?;
    assert!(text.contains("│ dense (Dense)                        │ ?                           │     0 (unbuilt) │"), "{text}");
    assert!(text.contains("│ global_average_pooling2d             │"), "{text}");
    assert!(text.contains(" Total params: 0 (0.00 B)"), "{text}");
    Ok(())
}

#[test]
fn configurations_that_make_no_sense_say_so() {
    let build = |model: Sequential, input: &[usize]| model.on(&Device::cpu()).build(input).expect_err("must not build").to_string();
    let one = |layer: Conv2D| Sequential::new().add(layer);
    let cases = [
        (
            build(one(Conv2D::new(8, 3)), &[28, 28]),
            "conv2d (Conv2D): expected images of shape [height, width, channels], got [28, 28] per sample; add the channel axis with `.input([28, 28, 1])`, or reshape the images",
        ),
        (
            build(one(Conv2D::new(8, 5)), &[4, 9, 1]),
            "conv2d (Conv2D): expected an axis of at least 5 cells (the window with its dilation), got 4; use `same` padding, a smaller window, or pool less before it",
        ),
        (build(one(Conv2D::new(0, 3)), &[9, 9, 1]), "conv2d (Conv2D): filters: expected at least 1, got 0"),
        (
            build(one(Conv2D::new(8, 3).strides(2).dilation(2)), &[9, 9, 1]),
            "conv2d (Conv2D): strides and dilation: expected only one of them above 1, got strides [2, 2] with dilation [2, 2]",
        ),
        (build(Sequential::new().add(Dense::new(0)), &[4]), "dense (Dense): units: expected at least 1, got 0"),
        (build(Sequential::new().add(Dropout::new(1.5)), &[4]), "dropout (Dropout): rate: expected a number from 0 to 1, got 1.5"),
        (build(Sequential::new(), &[4]), "sequential: it has no layers; add some"),
        (
            build(Sequential::new().add(Flatten::new()).add(MaxPooling2D::new(2)), &[4, 4, 1]),
            "max_pooling2d (MaxPooling2D): expected images of shape [height, width, channels], got [16] per sample; put it before Flatten",
        ),
    ];
    for (got, want) in cases {
        assert_eq!(got, want);
    }
    let text = build(Sequential::new().add(Dense::new(4).activation("sofmax")), &[4]);
    assert!(text.starts_with("dense (Dense): activation: ") && text.ends_with("did you mean \"softmax\"?"), "{text}");
    let text = build(Sequential::new().add(Dense::new(4).kernel_initializer("he_nromal")), &[4]);
    assert!(text.starts_with("dense (Dense): initializer: ") && text.ends_with("did you mean \"he_normal\"?"), "{text}");
    let text = build(Sequential::new().add(Dense::new(4).named("a")).add(Dense::new(4).named("a")), &[4]);
    assert!(text.contains("\"a\" twice"), "{text}");
}

#[test]
fn output_shapes_follow_keras() -> Result<()> {
    let shape = |layer: Conv2D, input: [usize; 3]| -> Result<Vec<usize>> {
        let mut model = Sequential::new().add(layer).on(&Device::cpu());
        model.build(input)?;
        let x = Tensor::zeros(&Device::cpu(), [&[2], &input[..]].concat())?;
        let y = model.call(&x, &Call::inference())?;
        assert_eq!(y.shape()[1..], model.output_shape()?[..], "the shape that build promised");
        Ok(y.shape()[1..].to_vec())
    };
    // Length, window, stride; `same` and `valid` lengths.
    for (n, k, s, same, valid) in
        [(28, 3, 1, 28, 26), (28, 3, 2, 14, 13), (5, 2, 2, 3, 2), (7, 3, 2, 4, 3), (32, 2, 2, 16, 16), (6, 5, 3, 2, 1)]
    {
        let conv = |padding| Conv2D::new(3, k).strides(s).padding(padding);
        assert_eq!(shape(conv(Padding::Same), [n, n, 2])?, [same, same, 3], "same {n} {k} {s}");
        assert_eq!(shape(conv(Padding::Valid), [n, n, 2])?, [valid, valid, 3], "valid {n} {k} {s}");
    }
    assert_eq!(shape(Conv2D::new(1, [3, 2]).dilation([2, 1]), [9, 9, 1])?, [5, 8, 1]);
    Ok(())
}

#[test]
fn dense_contracts_the_last_axis_only() -> Result<()> {
    let mut model = Sequential::new().add(Dense::new(5).bias_initializer(gradus::initializers::Ones)).on(&Device::cpu());
    model.build([28, 28, 1])?;
    assert_eq!(model.count_params(), 10);
    let y = model.call(&Tensor::zeros(&Device::cpu(), [2, 28, 28, 1])?, &Call::inference())?;
    assert_eq!(y.shape()[..], [2, 28, 28, 5]);
    assert!(y.to_vec::<f32>()?.iter().all(|&v| v == 1.0));
    Ok(())
}

#[test]
fn dropout_drops_in_training_only() -> Result<()> {
    let mut model = Sequential::new().add(Dropout::new(0.25)).on(&Device::cpu());
    model.build([1000])?;
    let x = Tensor::full(&Device::cpu(), [20, 1000], DType::F32, 1.0)?;
    assert_eq!(model.call(&x, &Call::inference())?.to_vec::<f32>()?, vec![1.0; 20_000]);
    let first = model.call(&x, &Call::training())?.to_vec::<f32>()?;
    let second = model.call(&x, &Call::training())?.to_vec::<f32>()?;
    assert_ne!(first, second, "every call draws anew");
    assert!(first.iter().all(|&v| v == 0.0 || (v - 4.0 / 3.0).abs() <= 1e-6));
    let kept = first.iter().filter(|&&v| v != 0.0).count();
    // Six standard deviations of a binomial distribution.
    assert!((14_633..=15_367).contains(&kept), "{kept} of 20000 kept");
    Ok(())
}

#[test]
fn weights_go_out_and_in() -> Result<()> {
    let build = |seed| -> Result<Sequential> {
        let mut model = small().seed(seed);
        model.build([6, 6, 1])?;
        Ok(model)
    };
    let (a, b) = (build(1)?, build(2)?);
    assert_eq!(a.get_weights()?, build(1)?.get_weights()?, "the seed decides");
    assert_ne!(a.get_weights()?, b.get_weights()?);
    b.set_weights(&a.get_weights()?)?;
    assert_eq!(a.get_weights()?, b.get_weights()?);
    assert!(matches!(b.set_weights(&[]), Err(Error::Shape { .. })));
    let mut wrong = a.get_weights()?;
    wrong.swap(0, 2);
    assert!(b.set_weights(&wrong).expect_err("swapped").to_string().contains("conv2d/kernel"));
    assert_eq!(a.get_weights()?, b.get_weights()?, "a refused list changes nothing");
    Ok(())
}

#[test]
fn an_activation_is_a_layer_too() -> Result<()> {
    let mut model = Sequential::new().add(Activation::new("relu")).on(&Device::cpu());
    model.build([3])?;
    let y = model.call(&Tensor::new(&Device::cpu(), [1, 3], &[-1.0f32, 0.0, 2.0])?, &Call::inference())?;
    assert_eq!(y.to_vec::<f32>()?, [0.0, 0.0, 2.0]);
    Ok(())
}
