//! Shapes and places by hand, and what wrong configurations say.

use crate::layers::*;
use crate::models::{Input, Sequential};
use crate::{Device, Result, Shape, Tensor};

/// What the layer makes of samples `0, 1, 2, …`.
fn run(layer: &dyn Layer, batch: &[usize]) -> Result<(Vec<usize>, Vec<f32>)> {
    let values: Vec<f32> = (0..batch.iter().product::<usize>()).map(|i| i as f32).collect();
    layer.build(&Shape::from(&batch[1..]), &Build::new(&Device::cpu(), 0))?;
    let y = layer.call(&Tensor::new(&Device::cpu(), batch, &values)?, &Call::inference())?;
    Ok((y.shape().to_vec(), y.to_vec()?))
}

#[test]
fn values_keep_or_change_their_places() -> Result<()> {
    let all: Vec<f32> = (0..12).map(|i| i as f32).collect();
    assert_eq!(run(&Reshape::new([3, -1]), &[2, 6])?, (vec![2, 3, 2], all.clone()));
    assert_eq!(run(&Reshape::new([-1]), &[2, 3, 2])?, (vec![2, 6], all.clone()));
    assert_eq!(run(&Reshape::new(vec![]), &[12, 1])?, (vec![12], all));
    assert_eq!(run(&Permute::new([2, 1]), &[1, 2, 3])?, (vec![1, 3, 2], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
    assert_eq!(run(&RepeatVector::new(2), &[2, 2])?, (vec![2, 2, 2], vec![0.0, 1.0, 0.0, 1.0, 2.0, 3.0, 2.0, 3.0]));
    assert_eq!(Reshape::new([4, -1]).on(Input::new([2, 6]))?.shape()[..], [4, 3]);
    assert_eq!(Permute::new([3, 1, 2]).on(Input::new([5, 6, 7]))?.shape()[..], [7, 5, 6]);
    Ok(())
}

#[test]
fn edges_come_and_go() -> Result<()> {
    assert_eq!(run(&ZeroPadding1D::new((1, 2)), &[1, 2, 1])?, (vec![1, 5, 1], vec![0.0, 0.0, 1.0, 0.0, 0.0]));
    assert_eq!(run(&ZeroPadding2D::new((0, 1)), &[1, 1, 2, 1])?, (vec![1, 1, 4, 1], vec![0.0, 0.0, 1.0, 0.0]));
    assert_eq!(run(&ZeroPadding2D::default(), &[1, 1, 1, 1])?.0, [1, 3, 3, 1]);
    assert_eq!(run(&Cropping1D::default(), &[1, 4, 1])?, (vec![1, 2, 1], vec![1.0, 2.0]));
    assert_eq!(run(&Cropping2D::new(((1, 0), (0, 2))), &[1, 2, 3, 1])?, (vec![1, 1, 1, 1], vec![3.0]));
    assert_eq!(run(&Cropping2D::default(), &[1, 2, 3, 1])?.0, [1, 2, 3, 1]);
    Ok(())
}

#[test]
fn images_grow() -> Result<()> {
    assert_eq!(run(&UpSampling1D::default(), &[1, 2, 1])?, (vec![1, 4, 1], vec![0.0, 0.0, 1.0, 1.0]));
    assert_eq!(run(&UpSampling2D::new((2, 1)), &[1, 1, 2, 1])?, (vec![1, 2, 2, 1], vec![0.0, 1.0, 0.0, 1.0]));
    // Centres of the new pixels lie at -1/4, 1/4, 3/4 and 5/4 of the old ones.
    assert_eq!(run(&UpSampling2D::new((1, 2)).interpolation("bilinear"), &[1, 1, 2, 1])?.1, [0.0, 0.25, 0.75, 1.0]);
    Ok(())
}

#[test]
fn wrong_configurations_say_so() {
    let say = |model: Sequential, sample: &[usize]| model.on_device(&Device::cpu()).build(sample).expect_err("wrong").to_string();
    let one = Sequential::new;
    let cases = [
        (
            say(one().add(Reshape::new([4, -1])), &[6]),
            "reshape (Reshape): target_shape: expected a shape of the 6 values of a sample [6], got [4, -1]",
        ),
        (
            say(one().add(Reshape::new([-1, -1])), &[6]),
            "reshape (Reshape): target_shape: expected lengths, and -1 at most once, got [-1, -1]",
        ),
        (
            say(one().add(Permute::new([0, 1])), &[2, 3]),
            "permute (Permute): dims: expected each of 1 to 2 once, for samples of shape [2, 3], got [0, 1]",
        ),
        (say(one().add(RepeatVector::new(0)), &[2]), "repeat_vector (RepeatVector): n: expected at least 1, got 0"),
        (
            say(one().add(RepeatVector::new(2)), &[2, 3]),
            "repeat_vector (RepeatVector): expected vectors: samples with one axis, got [2, 3] per sample; put Flatten before it",
        ),
        (
            say(one().add(Cropping2D::new((1, 0))), &[2, 3, 1]),
            "cropping2d (Cropping2D): cropping: expected less than the axis, which has 2 cells, got 1 and 1 cells",
        ),
        (say(one().add(UpSampling2D::new(0)), &[2, 3, 1]), "up_sampling2d (UpSampling2D): size: expected at least 1, got 0"),
        (
            say(one().add(UpSampling2D::new(2).interpolation("bilinaer")), &[2, 3, 1]),
            "up_sampling2d (UpSampling2D): interpolation: expected one of nearest, bilinear, got \"bilinaer\"; did you mean \"bilinear\"?",
        ),
    ];
    for (got, want) in cases {
        assert_eq!(got, want);
    }
    let text = say(one().add(ZeroPadding2D::new(1)), &[2, 3]);
    assert!(text.starts_with("zero_padding2d (ZeroPadding2D): expected images"), "{text}");
}
