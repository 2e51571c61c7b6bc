//! Pooling by hand, and what wrong configurations say.

use crate::layers::*;
use crate::models::Sequential;
use crate::{Device, Result, Tensor};

fn run(layer: &dyn Layer) -> Result<(Vec<usize>, Vec<f32>)> {
    // Two sequences of three steps and one channel.
    let x = Tensor::new(&Device::cpu(), [2, 3, 1], &[1.0f32, 5.0, 2.0, -1.0, -4.0, -2.0])?;
    layer.build(&[3, 1].into(), &Build::new(&Device::cpu(), 0))?;
    let y = layer.call(&x, &Call::inference())?;
    Ok((y.shape().to_vec(), y.to_vec()?))
}

#[test]
fn sequences_are_pooled_along_their_steps() -> Result<()> {
    assert_eq!(run(&MaxPooling1D::default())?, (vec![2, 1, 1], vec![5.0, -1.0]));
    assert_eq!(run(&MaxPooling1D::new(2).padding("same"))?, (vec![2, 2, 1], vec![5.0, 2.0, -1.0, -2.0]), "padding is never the largest");
    assert_eq!(run(&AveragePooling1D::new(2).padding("same"))?.1, [3.0, 2.0, -2.5, -2.0], "padding is not counted");
    assert_eq!(run(&AveragePooling1D::new(2).strides(1))?.1, [3.0, 3.5, -2.5, -3.0]);
    assert_eq!(run(&GlobalMaxPooling1D::new())?, (vec![2, 1], vec![5.0, -1.0]));
    let (shape, mean) = run(&GlobalAveragePooling1D::new().keepdims(true))?;
    assert!(shape == [2, 1, 1] && (mean[0] - 8.0 / 3.0).abs() < 1e-6 && (mean[1] + 7.0 / 3.0).abs() < 1e-6, "{mean:?}");
    Ok(())
}

#[test]
fn wrong_configurations_say_so() {
    let say = |model: Sequential, sample: &[usize]| model.on_device(&Device::cpu()).build(sample).expect_err("wrong").to_string();
    let text = say(Sequential::new().add(MaxPooling1D::new(4)), &[3, 1]);
    assert!(text.starts_with("max_pooling1d (MaxPooling1D): expected an axis of at least 4 cells"), "{text}");
    let text = say(Sequential::new().add(AveragePooling2D::new(0)), &[3, 3, 1]);
    assert!(text.starts_with("average_pooling2d (AveragePooling2D): window: expected at least 1"), "{text}");
    let text = say(Sequential::new().add(MaxPooling2D::new(2).padding("vaild")), &[3, 3, 1]);
    assert!(text.ends_with("did you mean \"valid\"?"), "{text}");
    let text = say(Sequential::new().add(GlobalMaxPooling2D::new()), &[3, 3]);
    assert!(text.starts_with("global_max_pooling2d (GlobalMaxPooling2D): expected images"), "{text}");
}
