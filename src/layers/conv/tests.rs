//! Convolutions against sums written out, and what wrong configurations say.

use crate::layers::*;
use crate::models::{Input, Sequential};
use crate::ops::window::Padding;
use crate::{Device, Result, Shape, Tensor};

/// What the layer computes when every kernel is `1, 2, 3, …` and the bias `0.5`.
fn run(layer: &dyn Layer, sample: &[usize], x: &[f32]) -> Result<(Vec<usize>, Vec<f32>)> {
    let device = Device::cpu();
    layer.build(&Shape::from(sample), &Build::new(&device, 0))?;
    for variable in layer.variables() {
        let counting: Vec<f32> = (1..=variable.shape().elements()).map(|i| i as f32).collect();
        let values = if variable.name().ends_with("bias") { vec![0.5; counting.len()] } else { counting };
        variable.assign(&Tensor::new(&device, variable.shape(), &values)?)?;
    }
    let n = x.len() / sample.iter().product::<usize>();
    let y = layer.call(&Tensor::new(&device, [&[n], sample].concat(), x)?, &Call::inference())?;
    Ok((y.shape().to_vec(), y.to_vec()?))
}

#[test]
fn one_axis_by_hand() -> Result<()> {
    let x = [1.0, -1.0, 2.0, 3.0];
    // A window of 1, 2 with one channel and one filter.
    let cases = [
        (Conv1D::new(1, 2), vec![-0.5, 3.5, 8.5]),
        (Conv1D::new(1, 2).padding("same"), vec![-0.5, 3.5, 8.5, 3.5]),
        (Conv1D::new(1, 2).padding("causal"), vec![2.5, -0.5, 3.5, 8.5]),
        (Conv1D::new(1, 2).padding("causal").dilation_rate(2), vec![2.5, -1.5, 5.5, 5.5]),
        (Conv1D::new(1, 2).strides(2), vec![-0.5, 8.5]),
        (Conv1D::new(1, 2).use_bias(false).activation("relu"), vec![0.0, 3.0, 8.0]),
    ];
    for (layer, want) in cases {
        assert_eq!(run(&layer, &[4, 1], &x)?, (vec![1, want.len(), 1], want));
    }
    // Each value times 1, 2, two cells apart.
    let (shape, y) = run(&Conv1DTranspose::new(1, 2).strides(2), &[4, 1], &x)?;
    assert_eq!((shape, y), (vec![1, 8, 1], vec![1.5, 2.5, -0.5, -1.5, 2.5, 4.5, 3.5, 6.5]));
    let (shape, y) = run(&Conv1DTranspose::new(1, 2).strides(3).output_padding(2), &[2, 1], &x[..2])?;
    assert_eq!((shape, y), (vec![1, 7, 1], vec![1.5, 2.5, 0.5, -0.5, -1.5, 0.5, 0.5]));
    Ok(())
}

#[test]
fn channels_apart_and_in_groups() -> Result<()> {
    // Two steps of two channels. The kernel is [[1, 2], [3, 4]] by window and channel.
    let x = [1.0, 10.0, 2.0, 20.0];
    assert_eq!(run(&DepthwiseConv1D::new(2), &[2, 2], &x)?, (vec![1, 1, 2], vec![7.5, 100.5]));
    // Channel 0 sees 1, 2; channel 1 sees 3, 4.
    let twice = DepthwiseConv1D::new(1).depth_multiplier(2).use_bias(false);
    assert_eq!(run(&twice, &[2, 2], &x)?.1, [1.0, 2.0, 30.0, 40.0, 2.0, 4.0, 60.0, 80.0]);
    // Of the kernel [1, 1, 2] each filter has one number.
    assert_eq!(run(&Conv1D::new(2, 1).groups(2), &[2, 2], &x)?.1, [1.5, 20.5, 2.5, 40.5]);
    // Depthwise 7 and 100, then 7·1 + 100·2.
    assert_eq!(run(&SeparableConv1D::new(1, 2), &[2, 2], &x)?, (vec![1, 1, 1], vec![207.5]));
    Ok(())
}

#[test]
fn weights_and_symbols_have_keras_shapes() -> Result<()> {
    let x = Input::new([8, 9, 4]);
    let shape = |layer: &dyn Layer| -> Vec<Vec<usize>> { layer.variables().iter().map(|v| v.shape().to_vec()).collect() };
    let build = |layer: &dyn Layer| layer.build(x.shape(), &Build::new(&Device::cpu(), 0));
    let (grouped, depthwise) = (Conv2D::new(6, (3, 2)).groups(2), DepthwiseConv2D::new(3).depth_multiplier(2).padding(Padding::Same));
    let (separable, transpose) =
        (SeparableConv2D::new(5, 3).depth_multiplier(3), Conv2DTranspose::new(5, 3).strides((2, 1)).padding("same"));
    assert_eq!(grouped.on(&x)?.shape()[..], [6, 8, 6]);
    assert_eq!(depthwise.on(&x)?.shape()[..], [8, 9, 8]);
    assert_eq!(separable.on(&x)?.shape()[..], [6, 7, 5]);
    assert_eq!(transpose.on(&x)?.shape()[..], [16, 9, 5]);
    assert!(shape(&grouped).is_empty(), "symbols have no memory");
    [&grouped as &dyn Layer, &depthwise, &separable, &transpose].into_iter().try_for_each(build)?;
    assert_eq!(shape(&grouped), [vec![3, 2, 2, 6], vec![6]]);
    assert_eq!(shape(&depthwise), [vec![3, 3, 4, 2], vec![8]]);
    assert_eq!(shape(&separable), [vec![3, 3, 4, 3], vec![1, 1, 12, 5], vec![5]]);
    assert_eq!(shape(&transpose), [vec![3, 3, 5, 4], vec![5]]);
    Ok(())
}

#[test]
fn wrong_configurations_say_so() {
    let say = |layer: Sequential, sample: &[usize]| layer.on_device(&Device::cpu()).build(sample).expect_err("wrong").to_string();
    let one = Sequential::new;
    let cases = [
        (
            say(one().add(Conv1D::new(2, 3).groups(3)), &[9, 4]),
            "conv1d (Conv1D): groups: expected a number that divides 4 channels and 2 filters, got 3",
        ),
        (
            say(one().add(Conv1D::new(2, 3)), &[9]),
            "conv1d (Conv1D): expected sequences of shape [steps, channels], got [9] per sample; add the channel axis with `.input([9, 1])`, or reshape the sequences",
        ),
        (
            say(one().add(Conv2D::new(2, 3).padding("smae")), &[9, 9, 1]),
            "conv2d (Conv2D): padding: expected one of valid, same, got \"smae\"; did you mean \"same\"?",
        ),
        (
            say(one().add(Conv1D::new(2, 3).padding("casual")), &[9, 1]),
            "conv1d (Conv1D): padding: expected one of valid, same, causal, got \"casual\"; did you mean \"causal\"?",
        ),
        (
            say(one().add(Conv2D::new(2, 3).padding("causal")), &[9, 9, 1]),
            "conv2d (Conv2D): padding: expected valid or same; causal is for Conv1D, DepthwiseConv1D and SeparableConv1D, got \"causal\"",
        ),
        (
            say(one().add(DepthwiseConv2D::new(3).depth_multiplier(0)), &[9, 9, 1]),
            "depthwise_conv2d (DepthwiseConv2D): depth_multiplier: expected at least 1, got 0",
        ),
        (say(one().add(SeparableConv2D::new(0, 3)), &[9, 9, 1]), "separable_conv2d (SeparableConv2D): filters: expected at least 1, got 0"),
        (
            say(one().add(Conv2DTranspose::new(1, 3).strides(2).output_padding(2)), &[9, 9, 1]),
            "conv2d_transpose (Conv2DTranspose): output_padding: expected less than the strides [2, 2], got [2, 2]",
        ),
        (
            say(one().add(Conv2DTranspose::new(1, 3).strides(2).dilation_rate(2)), &[9, 9, 1]),
            "conv2d_transpose (Conv2DTranspose): strides and dilation_rate: expected only one of them above 1, got strides [2, 2] with dilation_rate [2, 2]",
        ),
    ];
    for (got, want) in cases {
        assert_eq!(got, want);
    }
}
