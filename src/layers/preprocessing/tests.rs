//! Statistics by hand, and what wrong configurations say.

use super::{Normalization, Rescaling};
use crate::layers::{Build, Call, Layer};
use crate::models::Sequential;
use crate::{Device, Result, Tensor};
use ndarray::array;

fn run(layer: &dyn Layer, x: &[f32]) -> Result<Vec<f32>> {
    layer.build(&[2].into(), &Build::new(&Device::cpu(), 0))?;
    layer.call(&Tensor::new(&Device::cpu(), [x.len() / 2, 2], x)?, &Call::inference())?.to_vec()
}

#[test]
fn statistics_come_from_data_or_are_given() -> Result<()> {
    // Means 2 and 10000, variances 1 and 0.25.
    let data = array![[1.0f32, 9999.5], [3.0, 10000.5], [1.0, 10000.5], [3.0, 9999.5]];
    let before = Normalization::new();
    before.adapt(&data)?;
    assert_eq!(run(&before, &[3.0, 10001.0])?, [1.0, 2.0]);
    let after = Normalization::new();
    assert_eq!(run(&after, &[3.0, 10001.0])?, [3.0, 10001.0], "mean 0 and variance 1 at first");
    after.clone().adapt(&data)?;
    assert_eq!(run(&after, &[3.0, 10001.0])?, [1.0, 2.0], "clones are the same layer");
    assert_eq!(run(&Normalization::new().mean_and_variance([2.0, 10000.0], [1.0, 0.25]), &[3.0, 10001.0])?, [1.0, 2.0]);
    assert_eq!(run(&Normalization::new().mean_and_variance(2.0, 4.0), &[4.0, 0.0])?, [1.0, -1.0]);
    assert_eq!(run(&Normalization::new().mean_and_variance(2.0, 4.0).invert(true), &[1.0, -1.0])?, [4.0, 0.0]);
    let whole = Normalization::new().axes([]);
    whole.adapt(&array![[0.0f32, 4.0], [4.0, 0.0]])?;
    assert_eq!(run(&whole, &[4.0, 0.0])?, [1.0, -1.0]);
    Ok(())
}

#[test]
fn channels_are_rescaled_each() -> Result<()> {
    assert_eq!(run(&Rescaling::new([2.0, 0.5]).offset(1.0), &[1.0, 4.0])?, [3.0, 3.0]);
    Ok(())
}

#[test]
fn wrong_configurations_say_so() -> Result<()> {
    let say = |model: Sequential| model.on_device(&Device::cpu()).build([2]).expect_err("wrong").to_string();
    let one = Sequential::new;
    let cases = [
        (
            say(one().add(Rescaling::new([1.0, 2.0, 3.0]))),
            "rescaling (Rescaling): scale: expected one number, or one for each place of the last axis of [2], got 3 numbers",
        ),
        (
            say(one().add(Normalization::new().mean_and_variance(0.0, [1.0]))),
            "normalization (Normalization): variance: expected one number, or one for each place of [2], got 1 numbers",
        ),
        (
            say(one().add(Normalization::new().axis(2))),
            "normalization (Normalization): axis: expected axes from 1 to 1, or from -1 to -1, each once, for samples of shape [2], got [2]",
        ),
    ];
    for (got, want) in cases {
        assert_eq!(got, want);
    }
    let other = Normalization::new();
    other.adapt(&array![[1.0f32, 2.0, 3.0]])?;
    let text = say(one().add(other));
    assert_eq!(text, "normalization (Normalization): expected statistics of shape [2], got [3]; adapt it to such data");
    assert!(Normalization::new().mean_and_variance(0.0, 1.0).adapt(&array![[1.0f32]]).is_err());
    Ok(())
}
