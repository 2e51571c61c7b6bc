use super::host::{self, normals_of, threefry};
use super::*;
use crate::record::Function;
use std::f64::consts::{PI, SQRT_2};

fn generator(seed: u64) -> SeedGenerator {
    SeedGenerator::new(&Device::cpu(), seed).unwrap()
}

#[test]
fn threefry_gives_the_published_answers() {
    // `kat_vectors` of Random123, threefry2x32 with 20 rounds: counter, key, result.
    let cases = [
        ([0, 0], [0, 0], [0x6b20_0159, 0x99ba_4efe]),
        ([u32::MAX; 2], [u32::MAX; 2], [0x1cb9_96fc, 0xbb00_2be7]),
        ([0x243f_6a88, 0x85a3_08d3], [0x1319_8a2e, 0x0370_7344], [0xc492_3a9c, 0x483d_f7a0]),
    ];
    for ([low, high], key, [x, y]) in cases {
        assert_eq!(threefry(key, [low], [high]), ([x], [y]));
    }
}

#[test]
fn normals_are_those_of_the_formula() {
    let stream = host::Stream::new(7, 1);
    let edges = [0, 1, 2, 3, 0x3fff_ffff, 0x4000_0000, 0x7fff_ffff, 0x8000_0000, 0xbfff_ffff, 0xc000_0000, 0xffff_fffe, 0xffff_ffff];
    let pairs = edges.iter().flat_map(|&a| edges.map(|b| [a, b]));
    // Small and large first words, where the logarithm is steep and where it vanishes.
    let random = (0..200_000u32).map(|i| stream.block(i)).flat_map(|[a, b]| [[a, b], [a >> (b % 32), b], [!(a >> (b % 32)), b]]);
    let mut worst = 0.0f64;
    for block in pairs.chain(random) {
        let radius = (-2.0 * (f64::from(block[0] | 1) / 2f64.powi(32)).ln()).sqrt();
        let angle = 2.0 * PI * (f64::from(block[1]) + 0.5) / 2f64.powi(32);
        let [x, y] = normals_of(block).map(f64::from);
        for (got, want) in [(x, radius * angle.cos()), (y, radius * angle.sin())] {
            let error = (got - want).abs();
            assert!(error <= 3e-7, "{block:x?}: {got}, the formula gives {want}");
            worst = worst.max(error);
        }
    }
    assert!(worst > 0.0, "the formula was compared with itself");
}

/// The standard normal's distribution function, by Simpson's rule from 0.
fn distribution(x: f64) -> f64 {
    let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * PI).sqrt();
    let (steps, end) = (200, x.clamp(-9.0, 9.0));
    let h = end / f64::from(steps);
    let inner: f64 = (1..steps).map(|i| density(f64::from(i) * h) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
    0.5 + h / 3.0 * (density(0.0) + inner + density(end))
}

/// The largest distance between the distribution of the samples and the given one (Kolmogorov and Smirnov), times √n.
fn distance(mut samples: Vec<f64>, distribution: impl Fn(f64) -> f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let n = samples.len() as f64;
    let at = |(i, &x): (usize, &f64)| (distribution(x) - (i as f64 + 0.5) / n).abs() + 0.5 / n;
    samples.iter().enumerate().map(at).fold(0.0, f64::max) * n.sqrt()
}

#[test]
fn normals_are_normal() {
    let n = 1_000_000;
    let x: Vec<f64> = generator(1).normal_as([n], DType::F64).unwrap().to_vec().unwrap();
    let moment = |k: i32| x.iter().map(|x| x.powi(k)).sum::<f64>() / n as f64;
    // Each bound is five standard deviations of the mean of n k-th powers.
    for (k, want, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
        let error = (moment(k) - want).abs();
        assert!(error <= 5.0 * f64::sqrt(variance / n as f64), "moment {k} is off by {error}");
    }
    let neighbours = x.windows(2).map(|w| w[0] * w[1]).sum::<f64>() / n as f64;
    assert!(neighbours.abs() <= 5e-3, "neighbours correlate: {neighbours}");
    // One in a million samples of the true distribution passes 2.6.
    let ks = distance(x.clone(), distribution);
    assert!(ks <= 2.6, "{ks}");
    let largest = x.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    assert!((4.2..6.67).contains(&largest), "{largest}");
    let far = x.iter().filter(|x| x.abs() > 3.0).count() as f64;
    let want = n as f64 * 2.0 * (1.0 - distribution(3.0));
    assert!((far - want).abs() <= 5.0 * want.sqrt(), "{far} beyond 3, expected {want}");
    assert!(distribution(SQRT_2) > 0.92 && distribution(SQRT_2) < 0.922, "the witness itself");
}

#[test]
fn uniforms_are_uniform() {
    let x: Vec<f64> = generator(2).uniform_as([1_000_000], DType::F64).unwrap().to_vec().unwrap();
    assert!(x.iter().all(|x| (0.0..1.0).contains(x)));
    let ks = distance(x, |x| x);
    assert!(ks <= 2.6, "{ks}");
}

#[test]
fn bernoulli_keeps_its_share_and_its_ends() {
    let g = generator(3);
    for p in [0.1, 0.5, 0.9] {
        let x: Vec<f32> = g.bernoulli([100_000], p).unwrap().to_vec().unwrap();
        assert!(x.iter().all(|x| *x == 0.0 || *x == 1.0));
        let share = x.iter().map(|x| f64::from(*x)).sum::<f64>() / 1e5;
        assert!((share - p).abs() <= 5.0 * (p * (1.0 - p) / 1e5).sqrt(), "{share} for {p}");
    }
    assert_eq!(g.bernoulli([1000], 0.0).unwrap().to_vec::<f32>().unwrap(), [0.0; 1000]);
    assert_eq!(g.bernoulli([1000], 1.0).unwrap().to_vec::<f32>().unwrap(), [1.0; 1000]);
    assert!(matches!(g.bernoulli([1], 1.5), Err(Error::Argument { .. })));
    assert!(matches!(g.bernoulli([1], f64::NAN), Err(Error::Argument { .. })));
    assert!(matches!(g.uniform_as([1], DType::U32), Err(Error::DType { .. })));
}

#[test]
fn draws_are_those_of_the_host_whatever_their_shape() {
    let seed = 0x1234_5678_9abc_def0;
    let g = generator(seed);
    for (draw, shape) in [vec![], vec![3], vec![0, 2], vec![5, 7], vec![33_001]].into_iter().enumerate() {
        let n: usize = shape.iter().product();
        let x = g.normal(shape).unwrap().to_vec::<f32>().unwrap();
        assert_eq!(x, (0..n as u64).map(|i| host::normal(seed, draw as u64, i)).collect::<Vec<_>>());
    }
    let x = g.uniform([5]).unwrap().to_vec::<f32>().unwrap();
    assert_eq!(x, [0, 1, 2, 3, 4].map(|i| host::uniform(seed, 5, i)));
    assert_eq!(x[3], (host::bits(seed, 5, 3) >> 8) as f32 / 16_777_216.0);
}

#[test]
fn a_gpu_draws_the_same_bits() {
    let Some(gpu) = crate::testing::gpu("random draws") else { return };
    let there = SeedGenerator::new(&gpu, u64::MAX - 5).unwrap();
    let here = generator(u64::MAX - 5);
    for n in [0usize, 1, 2, 999, 200_001] {
        let bits = |x: Result<Tensor>| x.unwrap().to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let same = |a: Vec<u32>, b: Vec<u32>| assert_eq!((a.len(), a.iter().zip(&b).position(|(a, b)| a != b)), (n, None));
        same(bits(there.normal([n])), bits(here.normal([n])));
        same(bits(there.uniform([n])), bits(here.uniform([n])));
        for p in [0.0, 0.3, 1.0] {
            same(bits(there.bernoulli([n], p)), bits(here.bernoulli([n], p)));
        }
    }
    let state = |g: &SeedGenerator| g.state().value().unwrap().to_vec::<u32>().unwrap();
    assert_eq!(state(&there), state(&here));
    assert!(there.uniform_as([1], DType::F64).and_then(|x| x.to_vec::<f64>()).is_err());
}

#[test]
fn the_count_of_draws_carries() {
    for device in [Some(Device::cpu()), crate::testing::gpu("the count of draws")].iter().flatten() {
        let g = SeedGenerator::new(device, 9).unwrap();
        g.state().assign(&Tensor::new(device, [4], &[9, 0, u32::MAX, 0]).unwrap()).unwrap();
        let a = g.uniform([4]).unwrap();
        assert_eq!(g.state().value().unwrap().to_vec::<u32>().unwrap(), [9, 0, 0, 1]);
        let b = g.uniform([4]).unwrap().to_vec::<f32>().unwrap();
        assert_eq!(b, [0, 1, 2, 3].map(|i| host::uniform(9, 1 << 32, i)));
        assert_ne!(a.to_vec::<f32>().unwrap(), b);
    }
}

#[test]
fn streams_and_seeds_differ() {
    let mut first = std::collections::HashSet::new();
    for seed in [0, 1, 1 << 32, u64::MAX] {
        for stream in [0, 1, 2, 1 << 40] {
            assert!(first.insert((host::bits(seed, stream, 0), host::bits(seed, stream, 1))), "{seed} {stream}");
        }
    }
}

#[test]
fn a_traced_function_draws_anew() {
    let devices = [Some(Device::cpu()), crate::testing::gpu("a traced draw")];
    devices.iter().flatten().for_each(traced_draws);
}

fn traced_draws(device: &Device) {
    let g = SeedGenerator::new(device, 4).unwrap();
    let inside = g.clone();
    let f = Function::new("draw", move |_: &[Tensor]| Ok(vec![inside.uniform([8])?]));
    let x = Tensor::scalar(device, 0.0f32).unwrap();
    for draw in 0..4 {
        let y = f.call(&[&x]).unwrap()[0].to_vec::<f32>().unwrap();
        assert_eq!(y, (0..8).map(|i| host::uniform(4, draw, i)).collect::<Vec<_>>(), "replay {draw}");
    }
    assert_eq!(g.state().value().unwrap().to_vec::<u32>().unwrap(), [4, 0, 4, 0]);
}

#[test]
fn permutations_permute() {
    for n in [0, 1, 2, 1000] {
        let mut order = host::permutation(n, 5, 0);
        assert_eq!(order, host::permutation(n, 5, 0));
        order.sort_unstable();
        assert!(order.iter().copied().eq(0..n as u32));
    }
    assert_ne!(host::permutation(1000, 5, 0), host::permutation(1000, 5, 1));
    // Each of the six orders of three equally often: chi² with five degrees of freedom passes 30 once in 10^5.
    let mut counts = std::collections::HashMap::new();
    for stream in 0..60_000 {
        *counts.entry(host::permutation(3, 6, stream)).or_insert(0.0) += 1.0;
    }
    let chi2: f64 = counts.values().map(|c: &f64| (c - 1e4).powi(2) / 1e4).sum();
    assert!(counts.len() == 6 && chi2 <= 30.0, "{chi2}");
}
