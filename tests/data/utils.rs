//! Keras's small helpers; the numbers are those of Keras 3.15 where it has an answer.

use super::*;
use gradus::data::utils::{LeftSize, PadSequences, Side, normalize, pad_sequences, split_dataset, to_categorical};
use ndarray::{arr0, array};

#[test]
fn one_hot_rows_as_keras_makes_them() {
    let eye = array![[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]];
    assert_eq!(to_categorical(&[0u8, 2, 1], None), Ok(eye.clone()));
    assert_eq!(to_categorical(&[0i64, 2, 1], Some(3)), Ok(eye));
    assert_eq!(to_categorical(&[1u32], Some(4)), Ok(array![[0.0, 1.0, 0.0, 0.0]]));
    assert_eq!(to_categorical::<u8>(&[], Some(4)).unwrap().shape(), [0, 4]);
}

#[test]
fn labels_that_are_no_class_are_errors() {
    let error = |label, position, classes| Error::Label { op: "to_categorical".to_string(), label, position, classes };
    assert_eq!(to_categorical(&[0u8, 3], Some(3)), Err(error(3, 1, 3)));
    // NumPy counts negative labels from the end; here they are mistakes.
    assert_eq!(to_categorical(&[2i32, -1], None), Err(error(-1, 1, 3)));
    assert_eq!(to_categorical(&[-5i32], None), Err(error(-5, 0, 0)));
    assert_eq!(to_categorical(&[u64::MAX], None), Err(error(i64::MAX, 0, usize::try_from(i64::MAX).unwrap())));
    for outcome in [to_categorical::<u8>(&[], None), to_categorical(&[0i64, 1 << 40], None), to_categorical(&[0], Some(usize::MAX))] {
        let text = outcome.expect_err("no sensible number of classes").to_string();
        assert!(text.starts_with("to_categorical"), "{text}");
    }
}

#[test]
fn norms_become_one() {
    let x = array![[3.0f64, 4.0], [0.0, 0.0], [-6.0, 8.0]];
    assert_eq!(normalize(&x, -1, 2.0), Ok(array![[0.6, 0.8], [0.0, 0.0], [-0.6, 0.8]]));
    assert_eq!(normalize(&x, 1, 1.0), Ok(array![[3.0 / 7.0, 4.0 / 7.0], [0.0, 0.0], [-6.0 / 14.0, 8.0 / 14.0]]));
    assert_eq!(normalize(&x, 0, f64::INFINITY), Ok(array![[0.5, 0.5], [0.0, 0.0], [-1.0, 1.0]]));
    let cubes = normalize(&x, -2, 3.0).unwrap();
    assert!((cubes[[0, 0]] - 3.0 / 243.0f64.cbrt()).abs() <= 1e-15, "{cubes}");
    // Squares of these are no f32.
    let large = normalize(&array![3e30f32, 4e30], 0, 2.0).unwrap();
    assert!((large[0] - 0.6).abs() <= 1e-6 && (large[1] - 0.8).abs() <= 1e-6, "{large}");
    let broken = normalize(&array![1.0f32, f32::NAN, 2.0], 0, f64::INFINITY).unwrap();
    assert!(broken.iter().all(|v| v.is_nan()), "{broken}");
}

#[test]
fn normalize_refuses_axes_and_orders_that_make_no_sense() {
    let x = array![[1.0f32, 2.0]];
    for (axis, order) in [(2, 2.0), (-3, 2.0), (0, 0.5), (0, f64::NAN), (0, -f64::INFINITY)] {
        let text = normalize(&x, axis, order).expect_err("refused").to_string();
        assert!(text.starts_with("normalize: "), "{text}");
    }
    assert!(normalize(&arr0(1.0f32), 0, 2.0).is_err());
}

#[test]
fn sequences_become_equally_long_as_in_keras() {
    let sequences = [vec![1], vec![2, 3], vec![4, 5, 6]];
    let pad = |maxlen, padding, truncating, value| pad_sequences(&sequences, PadSequences { maxlen, padding, truncating, value }).unwrap();
    assert_eq!(pad_sequences(&sequences, PadSequences::default()), Ok(array![[0, 0, 1], [0, 2, 3], [4, 5, 6]]));
    assert_eq!(pad(None, Side::Post, Side::Pre, -1), array![[1, -1, -1], [2, 3, -1], [4, 5, 6]]);
    assert_eq!(pad(Some(2), Side::Pre, Side::Pre, 0), array![[0, 1], [2, 3], [5, 6]]);
    assert_eq!(pad(Some(2), Side::Post, Side::Post, 9), array![[1, 9], [2, 3], [4, 5]]);
    assert_eq!(pad(Some(0), Side::Post, Side::Post, 9).shape(), [3, 0]);
    assert_eq!(pad_sequences::<u8>(&[] as &[Vec<u8>], PadSequences::default()).unwrap().shape(), [0, 0]);
    assert_eq!(pad_sequences(&[&[1.5f32][..], &[]], PadSequences::default()), Ok(array![[1.5], [0.0]]));
    let absurd = pad_sequences(&sequences, PadSequences { maxlen: Some(usize::MAX), ..PadSequences::default() });
    assert!(matches!(absurd, Err(Error::OutOfMemory { .. })), "{absurd:?}");
    assert_eq!(("pre".parse(), "post".parse()), (Ok(Side::Pre), Ok(Side::Post)));
    assert!("past".parse::<Side>().expect_err("no side").to_string().ends_with("did you mean \"post\"?"));
}

#[test]
fn splits_have_the_sizes_of_keras() {
    let set = digits::generate(25, 0, 1).train;
    // Python rounds 2.5 to 2 and 17.5 to 18.
    for (left, size) in [(LeftSize::from(0.8), 20), (0.1.into(), 2), (0.7.into(), 18), (7.into(), 7)] {
        let (a, b) = split_dataset(&set, left, None).unwrap();
        assert_eq!((a.len(), b.len()), (size, 25 - size), "{left:?}");
        assert_eq!((a, b), set.split(size));
    }
    assert_eq!(split_dataset(&set, 5, Some(9)), Ok(set.shuffled(9).split(5)));
    for left in [LeftSize::from(0), 25.into(), 0.0.into(), 1.0.into(), (-0.5).into(), f64::NAN.into(), 0.01.into()] {
        let text = split_dataset(&set, left, None).expect_err("an empty part").to_string();
        assert!(text.starts_with("split_dataset: left_size"), "{text}");
    }
}
