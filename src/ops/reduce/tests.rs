//! The op against plain loops.

use super::*;
use crate::Device;
use crate::ops::pointwise::{map, map1};
use crate::testing::{check, float, values};

/// `[outer, length, inner]` reduced by a plain loop.
fn naive([outer, length, inner]: [usize; 3], x: &[f64], start: f64, combine: fn(f64, f64) -> f64) -> Vec<f64> {
    let at = |o: usize, l: usize, i: usize| x[(o * length + l) * inner + i];
    (0..outer * inner).map(|y| (0..length).fold(start, |sum, l| combine(sum, at(y / inner, l, y % inner)))).collect()
}

#[test]
fn sums_and_means_over_any_axes() {
    let add = |a, b| a + b;
    check("rows", &[float([5, 7])], |x| x[0].sum(&[1], false)).reference(move |x| naive([5, 7, 1], &x[0], 0.0, add)).terms(7).run();
    check("columns", &[float([7, 70])], |x| x[0].sum(&[0], true)).reference(move |x| naive([1, 7, 70], &x[0], 0.0, add)).terms(7).run();
    check("middle", &[float([3, 4, 5, 2])], |x| x[0].sum(&[1, -2], false))
        .reference(move |x| naive([3, 20, 2], &x[0], 0.0, add))
        .terms(20)
        .run();
    check("apart", &[float([3, 4, 5])], |x| x[0].sum(&[2, 0], false))
        .reference(move |x| naive([1, 3, 4], &naive([12, 5, 1], &x[0], 0.0, add), 0.0, add))
        .terms(15)
        .run();
    check("all", &[float([3, 4])], |x| x[0].sum_all()).reference(|x| vec![x[0].iter().sum()]).terms(12).run();
    check("mean", &[float([3, 4])], |x| x[0].mean(&[0], true))
        .reference(move |x| naive([1, 3, 4], &x[0], 0.0, add).iter().map(|v| v / 3.0).collect())
        .terms(3)
        .run();
    check("mean of all", &[float([2, 3, 2])], |x| x[0].mean_all()).reference(|x| vec![x[0].iter().sum::<f64>() / 12.0]).terms(12).run();
    check("nothing", &[float([2, 3])], |x| x[0].sum(&[], false)).reference(|x| x[0].clone()).run();
    check("sum_to", &[float([2, 3, 4])], |x| x[0].sum_to(&[3, 1].into()))
        .reference(move |x| naive([3, 4, 1], &naive([1, 2, 12], &x[0], 0.0, add), 0.0, add))
        .terms(8)
        .run();
}

#[test]
fn maxima_share_the_gradient_among_ties() {
    check("max", &[float([4, 9])], |x| x[0].max(&[1], false)).reference(|x| naive([4, 9, 1], &x[0], f64::MIN, f64::max)).run();
    check("columns", &[float([9, 8])], |x| x[0].max(&[0], false)).reference(|x| naive([1, 9, 8], &x[0], f64::MIN, f64::max)).run();
    check("min", &[float([4, 9])], |x| x[0].min(&[0], true)).reference(|x| naive([1, 4, 9], &x[0], f64::MAX, f64::min)).run();
    let x = Tensor::new(&Device::cpu(), [2, 2, 2], &[5.0f32, 5.0, 1.0, 0.0, 5.0, 2.0, 1.0, 1.0]).unwrap();
    let tape = crate::GradientTape::new();
    tape.watch(&x);
    // Axes apart are two passes inside; the three fives tie all the same.
    let y = x.max(&[0, 2], false).unwrap();
    let dx = tape.gradient(&y, [&x]).unwrap().get(0).unwrap().to_vec::<f64>();
    assert!(dx.is_err(), "the type is f32");
    let third = 1.0f32 / 3.0;
    let tape = crate::GradientTape::new();
    tape.watch(&x);
    let y = x.max(&[0, 2], false).unwrap();
    assert_eq!(y.to_vec::<f32>().unwrap(), [5.0, 1.0]);
    let dx = tape.gradient(&y, [&x]).unwrap().get(0).unwrap().to_vec::<f32>().unwrap();
    assert_eq!(dx, [third, third, third, 0.0, third, 0.0, third, third]);
}

#[test]
fn long_reductions_stay_exact_and_run_in_every_layout() {
    // Whole numbers whose sums f32 holds exactly: any order of additions gives the same, so a lost or doubled element shows.
    for dims in [[1, 100_000, 1], [3, 40_000, 3], [2, 3000, 64], [1, 70, 5000], [40_000, 2, 1], [1, 1, 1], [2, 0, 3], [0, 3, 2]] {
        let [outer, length, inner] = dims;
        let x: Vec<f64> = (0..outer * length * inner).map(|i| ((i * 7919) % 13) as f64 - 6.0).collect();
        let want = naive(dims, &x, 0.0, |a, b| a + b);
        check(&format!("{dims:?}"), &[values(dims, x)], |x| x[0].sum(&[1], false))
            .reference(move |_| want.clone())
            .not_differentiable()
            .run();
    }
    let tenth = Tensor::new(&Device::cpu(), [1 << 20], &vec![0.1f32; 1 << 20]).unwrap();
    let sum = tenth.sum_all().unwrap().item().unwrap();
    assert!((sum - 104_857.6).abs() < 0.1, "{sum}: rounding grows with the length");
}

#[test]
fn whole_numbers_and_nan() {
    let cpu = Device::cpu();
    let counts = Tensor::new(&cpu, [2, 2], &[1u32, 2, 3, u32::MAX]).unwrap();
    assert_eq!(counts.sum(&[0], false).unwrap().to_vec::<u32>().unwrap(), [4, 1]);
    assert_eq!(counts.max(&[1], false).unwrap().to_vec::<u32>().unwrap(), [2, u32::MAX]);
    let signed = Tensor::new(&cpu, [3], &[-5i32, 2, -1]).unwrap();
    assert_eq!(signed.sum_all().unwrap().to_vec::<i32>().unwrap(), [-4]);
    assert_eq!(signed.min(&[0], false).unwrap().to_vec::<i32>().unwrap(), [-5]);
    for device in std::iter::once(cpu).chain(crate::testing::gpu("reduce")) {
        // Four columns of two rows, of which a GPU may take all at once.
        let holes = [1.0f32, f32::NAN, 3.0, f32::NEG_INFINITY, 4.0, 5.0, f32::NEG_INFINITY, f32::NEG_INFINITY];
        let max = Tensor::new(&device, [2, 4], &holes).unwrap().max(&[0], false).unwrap().to_vec::<f32>().unwrap();
        assert!(max[0] == 4.0 && max[1].is_nan() && max[2..] == [3.0, f32::NEG_INFINITY], "{device}: {max:?}");
        let max = Tensor::new(&device, [2, 4], &holes).unwrap().max(&[1], false).unwrap().to_vec::<f32>().unwrap();
        assert!(max[0].is_nan() && max[1] == 5.0, "{device}: {max:?}");
    }
}

#[test]
fn wrong_axes_and_types_are_errors() {
    let cpu = Device::cpu();
    let x = Tensor::new(&cpu, [2, 0], &[0.0f32; 0]).unwrap();
    assert!(matches!(x.sum(&[2], false), Err(Error::Argument { .. })));
    assert!(matches!(x.sum(&[0, -2], false), Err(Error::Argument { .. })));
    assert!(matches!(x.max(&[1], false), Err(Error::Shape { .. })));
    assert!(matches!(x.mean_all(), Err(Error::Shape { .. })));
    assert_eq!(x.sum(&[1], false).unwrap().to_vec::<f32>().unwrap(), [0.0, 0.0]);
    let bytes = Tensor::new(&cpu, [2], &[1u8, 2]).unwrap();
    assert!(matches!(bytes.sum_all(), Err(Error::DType { .. })));
    let counts = Tensor::new(&cpu, [2], &[1u32, 2]).unwrap();
    assert!(matches!(counts.mean_all(), Err(Error::DType { .. })));
}

#[test]
fn sums_of_expressions_agree_with_plain_loops() {
    // Rows; columns of few and many; a middle axis; more than one section and more than one block of columns.
    for dims @ [outer, length, inner] in [[5, 70, 1], [1, 9000, 1], [1, 90, 16], [2, 300, 12], [1, 130, 80], [1, 3, 2100]] {
        let (shape, weight) = ([outer, length, inner], [inner]);
        check(&format!("squares about a mean {dims:?}"), &[float(shape), float(weight)], |x| {
            map1(&[&x[0], &x[1]], |e| (&e[0] - &e[1]).square())?.mean(&[1], false)
        })
        .reference(move |x| {
            let squares: Vec<f64> = x[0].iter().enumerate().map(|(i, v)| (v - x[1][i % inner]).powi(2)).collect();
            naive(dims, &squares, 0.0, |a, b| a + b).iter().map(|v| v / length as f64).collect()
        })
        .terms(length)
        .not_differentiable()
        .run();
        check(&format!("two sums side by side {dims:?}"), &[float(shape), float(shape)], |x| {
            let made = map(&[&x[0], &x[1]], |e| vec![&e[0] * &e[1], &e[0] + 2.0 * &e[1]])?;
            made[0].sum(&[1], true)?.sub(&made[1].sum(&[1], true)?)
        })
        .reference(move |x| {
            let both: Vec<f64> = x[0].iter().zip(&x[1]).map(|(a, b)| a * b - (a + 2.0 * b)).collect();
            naive(dims, &both, 0.0, |a, b| a + b)
        })
        .terms(4 * length)
        .not_differentiable()
        .run();
    }
    check("a variance", &[float([7, 6, 4])], |x| {
        let mean = x[0].mean(&[0, 1], true)?;
        map1(&[&x[0], &mean], |e| (&e[0] - &e[1]).square())?.mean(&[0, 1], false)
    })
    .reference(|x| {
        let of = |c: usize| x[0].iter().skip(c).step_by(4);
        let mean = |c: usize| of(c).sum::<f64>() / 42.0;
        (0..4).map(|c| of(c).map(|v| (v - mean(c)).powi(2)).sum::<f64>() / 42.0).collect()
    })
    .terms(42)
    .run();
}
