//! Layers and models, seen from outside: shapes, parameter counts, the summary, and what errors say.

use gradus::layers::ActivationFn::{Relu, Softmax};
use gradus::layers::{Activation, Call, Conv2D, Dense, Dropout, Flatten, GlobalAveragePooling2D, MaxPooling2D, Rescaling};
use gradus::losses::SparseCategoricalCrossentropy;
use gradus::metrics::Accuracy;
use gradus::models::Sequential;
use gradus::ops::window::Padding;
use gradus::optimizers::Adam;
use gradus::train::{Data, Fit, Verbose};
use gradus::{DType, Device, Error, Result, Tensor, Variable};
use ndarray::ArrayD;

/// `b · sin(a · (i + 1))` in row-major order.
fn fill(shape: &[usize], a: f64, b: f64) -> ArrayD<f32> {
    let n: usize = shape.iter().product();
    let values = (0..n).map(|i| (b * (a * (i as f64 + 1.0)).sin()) as f32).collect();
    ArrayD::from_shape_vec(shape.to_vec(), values).expect("as many values as the shape has")
}

fn quiet() -> Fit<'static> {
    Fit { verbose: Verbose::Silent, ..Fit::default() }
}

fn mnist() -> Sequential {
    Sequential::new()
        .add(Conv2D::new(32, 3).activation(Relu))
        .add(Conv2D::new(64, 3).activation("relu"))
        .add(Flatten::new())
        .add(Dense::new(128).activation(Relu))
        .add(Dense::new(10).activation(Softmax))
        .on_device(&Device::cpu())
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
        .on_device(&Device::cpu())
        .input([32, 32, 3])
}

fn small() -> Sequential {
    Sequential::new()
        .add(Rescaling::new(1.0 / 255.0))
        .add(Conv2D::new(4, 3).activation(Relu))
        .add(Flatten::new())
        .add(Dense::new(4).activation(Softmax))
        .on_device(&Device::cpu())
}

fn compiled(mut model: Sequential) -> Result<Sequential> {
    model.compile(Adam::new(0.01), SparseCategoricalCrossentropy::default(), [Accuracy::default()])?;
    Ok(model)
}

#[test]
fn parameter_counts_and_names_of_the_course_models() -> Result<()> {
    for (mut model, params) in [(mnist(), 4_738_826), (cifar(), 325_956)] {
        let input = model.input_shape().cloned().expect("given");
        model.build(input)?;
        assert_eq!(model.count_params(), params);
    }
    let mut model = cifar();
    model.build([32, 32, 3])?;
    let names: Vec<String> = model.layers().iter().map(|l| l.name()).collect();
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
    let build = |model: Sequential, input: &[usize]| model.on_device(&Device::cpu()).build(input).expect_err("must not build").to_string();
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
            build(one(Conv2D::new(8, 3).strides(2).dilation_rate(2)), &[9, 9, 1]),
            "conv2d (Conv2D): strides and dilation_rate: expected only one of them above 1, got strides [2, 2] with dilation_rate [2, 2]",
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
        let mut model = Sequential::new().add(layer).on_device(&Device::cpu());
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
    assert_eq!(shape(Conv2D::new(1, [3, 2]).dilation_rate([2, 1]), [9, 9, 1])?, [5, 8, 1]);
    Ok(())
}

#[test]
fn dense_contracts_the_last_axis_only() -> Result<()> {
    let mut model = Sequential::new().add(Dense::new(5).bias_initializer(gradus::initializers::Ones)).on_device(&Device::cpu());
    model.build([28, 28, 1])?;
    assert_eq!(model.count_params(), 10);
    let y = model.call(&Tensor::zeros(&Device::cpu(), [2, 28, 28, 1])?, &Call::inference())?;
    assert_eq!(y.shape()[..], [2, 28, 28, 5]);
    assert!(y.to_vec::<f32>()?.iter().all(|&v| v == 1.0));
    Ok(())
}

#[test]
fn dropout_drops_in_training_only() -> Result<()> {
    let mut model = Sequential::new().add(Dropout::new(0.25)).on_device(&Device::cpu());
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
    let mut model = Sequential::new().add(Activation::new("relu")).on_device(&Device::cpu());
    model.build([3])?;
    let y = model.call(&Tensor::new(&Device::cpu(), [1, 3], &[-1.0f32, 0.0, 2.0])?, &Call::inference())?;
    assert_eq!(y.to_vec::<f32>()?, [0.0, 0.0, 2.0]);
    Ok(())
}
