//! Activation layers by hand, and what wrong configurations say.

use super::{ActivationFn, ELU, LeakyReLU, PReLU, ReLU, Softmax};
use crate::layers::{Build, Call, Layer};
use crate::models::Sequential;
use crate::{Device, GradientTape, Result, Tensor};

fn run(layer: &dyn Layer) -> Result<Vec<f32>> {
    let x = Tensor::new(&Device::cpu(), [1, 4], &[-2.0f32, -0.5, 1.0, 4.0])?;
    layer.build(&[4].into(), &Build::new(&Device::cpu(), 0))?;
    layer.call(&x, &Call::inference())?.to_vec()
}

#[test]
fn constants_are_options() -> Result<()> {
    assert_eq!(run(&ReLU::new())?, [0.0, 0.0, 1.0, 4.0]);
    assert_eq!(run(&ReLU::new().max_value(3.0).negative_slope(0.5).threshold(1.5))?, [-1.75, -1.0, -0.25, 3.0]);
    assert_eq!(run(&LeakyReLU::new())?, [-0.6, -0.15, 1.0, 4.0], "the layer's slope is not the function's");
    assert_eq!(run(&LeakyReLU::new().negative_slope(0.5))?, [-1.0, -0.25, 1.0, 4.0]);
    let elu = run(&ELU::new().alpha(2.0))?;
    let want = [2.0 * ((-2f64).exp() - 1.0), 2.0 * ((-0.5f64).exp() - 1.0), 1.0, 4.0];
    assert!(elu.len() == 4 && elu.iter().zip(want).all(|(got, want)| (f64::from(*got) - want).abs() < 1e-6), "{elu:?}");
    assert_eq!(run(&PReLU::new().alpha_initializer("ones"))?, [-2.0, -0.5, 1.0, 4.0]);
    assert_eq!(ReLU::new().activation(), Some(ActivationFn::Relu));
    Ok(())
}

#[test]
fn slopes_are_learned_and_shared() -> Result<()> {
    let layer = PReLU::new().shared_axes([1]);
    layer.build(&[2, 3].into(), &Build::new(&Device::cpu(), 0))?;
    let alpha = layer.variables().remove(0);
    assert_eq!(alpha.shape()[..], [1, 3]);
    let x = Tensor::new(&Device::cpu(), [1, 2, 3], &[-1.0f32, 2.0, -3.0, -4.0, 5.0, 6.0])?;
    let tape = GradientTape::new();
    let y = layer.call(&x, &Call::training())?.sum_all()?;
    // The sum of the negative inputs of each column.
    assert_eq!(tape.gradient(&y, [&alpha])?.get(0)?.to_vec::<f32>()?, [-5.0, 0.0, -3.0]);
    Ok(())
}

#[test]
fn softmax_over_several_axes() -> Result<()> {
    let x = Tensor::new(&Device::cpu(), [1, 2, 2], &[0.0f32, 1000.0, 1000.0, 1000.0])?;
    let layer = Softmax::new().axes([1, -1]);
    layer.build(&[2, 2].into(), &Build::new(&Device::cpu(), 0))?;
    let third = 1.0f32 / 3.0;
    assert_eq!(layer.call(&x, &Call::inference())?.to_vec::<f32>()?, [0.0, third, third, third]);
    Ok(())
}

#[test]
fn wrong_configurations_say_so() {
    let say = |model: Sequential| model.on_device(&Device::cpu()).build([2, 3]).expect_err("wrong").to_string();
    let one = Sequential::new;
    let cases = [
        (say(one().add(ReLU::new().max_value(-1.0))), "re_lu (ReLU): max_value: expected at least 0, got -1"),
        (
            say(one().add(LeakyReLU::new().negative_slope(f64::NAN))),
            "leaky_re_lu (LeakyReLU): negative_slope: expected at least 0, got NaN",
        ),
        (
            say(one().add(PReLU::new().shared_axes([3]))),
            "p_re_lu (PReLU): shared_axes: expected axes from 1 to 2 for samples of shape [2, 3], got 3",
        ),
        (
            say(one().add(Softmax::new().axis(0))),
            "softmax (Softmax): axis: expected axes from 1 to 2, or from -2 to -1, each once, got [0]",
        ),
        (
            say(one().add(Softmax::new().axes([1, -2]))),
            "softmax (Softmax): axis: expected axes from 1 to 2, or from -2 to -1, each once, got [1, -2]",
        ),
    ];
    for (got, want) in cases {
        assert_eq!(got, want);
    }
}
