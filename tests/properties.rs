//! Laws of shapes and broadcasting, on shapes nobody thought of.

use gradus::{Device, Shape, Tensor};
use proptest::prelude::*;

fn dims() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0usize..5, 0..5)
}

/// Shapes that broadcast with one another: each axis of the second is the first's, or 1, and leading axes may be missing.
fn pair() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    dims().prop_flat_map(|a| {
        let n = a.len();
        (Just(a), prop::collection::vec(any::<bool>(), n), 0..=n).prop_map(|(a, ones, skip)| {
            let b = a.iter().zip(ones).skip(skip).map(|(&d, one)| if one { 1 } else { d }).collect();
            (a, b)
        })
    })
}

/// Element numbers as values, so that a misplaced element shows.
fn counted(shape: &[usize], from: f32) -> Tensor {
    let n: usize = shape.iter().product();
    let data: Vec<f32> = (0..n).map(|i| from + i as f32).collect();
    Tensor::new(&Device::cpu(), shape, &data).expect("as many elements as the shape has")
}

/// The element of a tensor of shape `of` that stands at `index` of a shape it broadcasts to.
fn element(of: &[usize], index: &[usize]) -> usize {
    let skip = index.len() - of.len();
    of.iter().zip(&index[skip..]).fold(0, |at, (&d, &i)| at * d + if d == 1 { 0 } else { i })
}

fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let n: usize = shape.iter().product();
    (0..n).map(move |mut i| {
        let mut index = vec![0; shape.len()];
        for axis in (0..shape.len()).rev() {
            index[axis] = i % shape[axis];
            i /= shape[axis];
        }
        index
    })
}

proptest! {
    #[test]
    fn broadcasting_is_symmetric_and_has_the_identity(a in dims(), b in dims()) {
        let (sa, sb) = (Shape::from(a.clone()), Shape::from(b));
        prop_assert_eq!(sa.broadcast(&sb, "t").ok(), sb.broadcast(&sa, "t").ok());
        prop_assert_eq!(sa.broadcast(&sa, "t").ok(), Some(sa.clone()));
        prop_assert_eq!(sa.broadcast(&Shape::from([]), "t").ok(), Some(sa.clone()));
        if let Ok(both) = sa.broadcast(&sb, "t") {
            prop_assert_eq!(both.broadcast(&sa, "t").ok(), Some(both.clone()));
            prop_assert_eq!(both.rank(), sa.rank().max(sb.rank()));
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors_and_never_panics(a in dims(), b in dims()) {
        let fits = (1..=a.len().min(b.len())).all(|k| {
            let (x, y) = (a[a.len() - k], b[b.len() - k]);
            x == y || x == 1 || y == 1
        });
        let sum = counted(&a, 0.0).add(&counted(&b, 0.0));
        prop_assert_eq!(sum.is_ok(), fits, "{:?} and {:?}", a, b);
    }

    #[test]
    fn every_element_meets_its_partner((a, b) in pair()) {
        let got = counted(&a, 0.0).sub(&counted(&b, 1000.0)).and_then(|y| y.to_vec::<f32>()).expect("they broadcast");
        let want: Vec<f32> = indices(&a).map(|i| element(&a, &i) as f32 - 1000.0 - element(&b, &i) as f32).collect();
        prop_assert_eq!(got, want);
    }

    #[test]
    fn the_gradient_of_a_broadcast_counts_how_often_each_element_was_used((a, b) in pair()) {
        let (x, y) = (counted(&a, 1.0), counted(&b, 2.0));
        let tape = gradus::GradientTape::new();
        tape.watch(&y);
        let sum = x.mul(&y).expect("they broadcast");
        let dy = tape.gradient(&sum, [&y]).expect("a gradient");
        let got = dy.get(0).and_then(|g| g.to_vec::<f32>()).expect("values");
        let mut want = vec![0.0; b.iter().product()];
        indices(&a).for_each(|i| want[element(&b, &i)] += 1.0 + element(&a, &i) as f32);
        prop_assert_eq!(got, want);
    }

    #[test]
    fn transposing_there_and_back_changes_nothing(a in dims(), seed in any::<u64>()) {
        let mut axes: Vec<usize> = (0..a.len()).collect();
        axes.sort_by_key(|&axis| (axis as u64 + 1).wrapping_mul(seed | 1) % 97);
        let mut back = vec![0; axes.len()];
        axes.iter().enumerate().for_each(|(to, &from)| back[from] = to);
        let x = counted(&a, 0.0);
        let there = x.transpose(&axes).expect("a permutation");
        prop_assert_eq!(there.shape().to_vec(), axes.iter().map(|&axis| a[axis]).collect::<Vec<_>>());
        let again = there.transpose(&back).and_then(|y| y.to_vec::<f32>()).expect("a permutation");
        prop_assert_eq!(again, x.to_vec::<f32>().expect("values"));
    }

    #[test]
    fn padding_and_cutting_off_changes_nothing(a in dims(), front in 0usize..3, end in 0usize..3) {
        let x = counted(&a, 0.0);
        let padded = x.pad(&vec![(front, end); a.len()], -1.0).expect("any padding");
        let ranges: Vec<_> = a.iter().map(|&d| front..front + d).collect();
        let again = padded.slice(&ranges).and_then(|y| y.to_vec::<f32>()).expect("ranges inside");
        prop_assert_eq!(again, x.to_vec::<f32>().expect("values"));
    }

    #[test]
    fn summing_by_axes_in_any_grouping_is_summing_all(a in dims()) {
        let x = counted(&a, 1.0);
        let all = x.sum_all().and_then(|y| y.item()).expect("a number");
        let mut one_by_one = x;
        for _ in 0..a.len() {
            one_by_one = one_by_one.sum(&[0], false).expect("axis 0");
        }
        prop_assert_eq!(one_by_one.item().expect("a number"), all);
    }
}
