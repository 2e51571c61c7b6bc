//! Merges by hand, and what wrong configurations say.

use super::*;
use crate::device::Device;
use crate::layers::{Call, Dense, Layer};
use crate::models::{Input, Model};
use ndarray::array;

fn run(layer: &dyn Layer, inputs: &[(&[usize], &[f32])]) -> Result<(Vec<usize>, Vec<f32>)> {
    let tensor = |(shape, values): &(&[usize], &[f32])| Tensor::new(&Device::cpu(), *shape, values);
    let y = layer.call_all(&inputs.iter().map(tensor).collect::<Result<Vec<_>>>()?, &Call::inference())?.remove(0);
    Ok((y.shape().to_vec(), y.to_vec()?))
}

#[test]
fn elements_at_the_same_place() -> Result<()> {
    let (a, b, c): (&[f32], &[f32], &[f32]) = (&[1.0, -2.0], &[3.0, 4.0], &[-5.0, 0.5]);
    let all = [(&[1, 2][..], a), (&[1, 2], b), (&[1, 2], c)];
    assert_eq!(run(&Add::new(), &all)?.1, [-1.0, 2.5]);
    assert_eq!(run(&Multiply::new(), &all)?.1, [-15.0, -4.0]);
    assert_eq!(run(&Maximum::new(), &all)?.1, [3.0, 4.0]);
    assert_eq!(run(&Minimum::new(), &all)?.1, [-5.0, -2.0]);
    assert_eq!(run(&Average::new(), &all[..2])?.1, [2.0, 1.0]);
    assert_eq!(run(&Subtract::new(), &all[..2])?.1, [-2.0, -6.0]);
    assert_eq!(run(&Add::new(), &all[..1])?.1, a, "one input stays");
    Ok(())
}

#[test]
fn samples_broadcast_behind_the_batch() -> Result<()> {
    // Were axes added before the batch, two samples of two numbers would meet the wrong rows.
    let rows: &[f32] = &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    let (shape, y) = run(&Add::new(), &[(&[2, 2, 2], rows), (&[2, 2], &[10.0, 20.0, 30.0, 40.0])])?;
    assert_eq!((shape, y), (vec![2, 2, 2], vec![11.0, 22.0, 13.0, 24.0, 35.0, 46.0, 37.0, 48.0]));
    assert_eq!(run(&Multiply::new(), &[(&[1, 1, 2], &[2.0, 3.0]), (&[1, 2, 1], &[1.0, 10.0])])?.1, [2.0, 3.0, 20.0, 30.0]);
    Ok(())
}

#[test]
fn side_by_side_and_products() -> Result<()> {
    let pair: [(&[usize], &[f32]); 2] = [(&[2, 1, 2], &[1.0, 2.0, 3.0, 4.0]), (&[2, 1, 2], &[5.0, 6.0, 7.0, 8.0])];
    assert_eq!(run(&Concatenate::new(), &pair)?, (vec![2, 1, 4], vec![1.0, 2.0, 5.0, 6.0, 3.0, 4.0, 7.0, 8.0]));
    assert_eq!(run(&Concatenate::new().axis(1), &pair)?.0, [2, 2, 2]);
    assert_eq!(run(&Dot::new(2), &pair)?, (vec![2, 1, 1], vec![17.0, 53.0]));
    assert_eq!(run(&Dot::new((1, 1)), &pair)?, (vec![2, 2, 2], vec![5.0, 6.0, 10.0, 12.0, 21.0, 24.0, 28.0, 32.0]));
    assert_eq!(run(&Dot::new(1), &[(&[1, 2], &[3.0, 4.0]), (&[1, 2], &[1.0, 2.0])])?, (vec![1, 1], vec![11.0]));
    let (_, cosine) = run(&Dot::new(-1).normalize(true), &[(&[2, 2], &[3.0, 4.0, 0.0, 0.0]), (&[2, 2], &[4.0, 3.0, 1.0, 0.0])])?;
    assert!(cosine.len() == 2 && (cosine[0] - 0.96).abs() < 1e-6 && cosine[1] == 0.0, "{cosine:?}");
    Ok(())
}

#[test]
fn a_model_with_a_way_around() -> Result<()> {
    let x = Input::new([2]);
    let around = Dense::new(2).kernel_initializer("ones").use_bias(false);
    let y = Add::new().on([&x, &around.on(&x)?])?;
    let z = Concatenate::new().on([&y, &x])?;
    assert_eq!(z.shape()[..], [4]);
    let mut model = Model::new([&x], [&z])?.on_device(&Device::cpu());
    model.build([2])?;
    assert_eq!(
        model.predict(&array![[1.0f32, 2.0], [0.0, -1.0], [3.0, 3.0]], 2)?.into_raw_vec_and_offset().0,
        [4.0, 5.0, 1.0, 2.0, -1.0, -2.0, 0.0, -1.0, 9.0, 9.0, 3.0, 3.0]
    );
    Ok(())
}

#[test]
fn wrong_configurations_say_so() {
    let (a, b) = (Input::new([2, 3]), Input::new([4]));
    let cases = [
        (Add::new().on([&a, &b]), "Add: expected samples of shapes that broadcast, got [2, 3] and [4]"),
        (Subtract::new().on(&a), "Subtract: inputs: expected 2, got 1"),
        (Average::new().on([] as [&_; 0]), "Average: inputs: expected at least one, got 0"),
        (Concatenate::new().on([&a, &b]), "Concatenate: expected samples that differ at axis 2 only, got [2, 3] and [4]"),
        (
            Concatenate::new().axis(0).on([&b, &b]),
            "Concatenate: axis: expected an axis from 1 to 1, or from -1 to -1, for samples of shape [4], got 0",
        ),
        (Dot::new(1).on([&a, &b]), "Dot: expected samples with axis 1 of the first as long as axis 1 of the second, got [2, 3] and [4]"),
        (Dot::new((1, 3)).on([&a, &b]), "Dot: axes: expected an axis from 1 to 1, or from -1 to -1, for samples of shape [4], got 3"),
        (Dot::new(1).on([&a, &a, &a]), "Dot: inputs: expected 2, got 3"),
    ];
    for (got, want) in cases {
        assert_eq!(got.expect_err("wrong").to_string(), want);
    }
}
