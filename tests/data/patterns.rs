//! The patterns that stand in for photographs.

use super::*;
use gradus::data::{Splits, patterns};

fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn a_seed_decides_every_byte() {
    let draw = |seed| patterns::colour100(200, 100, Labels::Fine, seed);
    let (once, other) = (draw(7), draw(8));
    assert_eq!(once, draw(7));
    assert_ne!(once.train.images, other.train.images);
    assert_ne!(once.train.labels, other.train.labels);
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(one_thread.install(|| draw(7)), once);
}

#[test]
fn the_bytes_are_these_on_every_platform() {
    let sets = [patterns::colour(50, 0, 1), patterns::colour100(50, 0, Labels::Fine, 1), patterns::grey(50, 0, 1)];
    // FNV-1a of what x86-64 Linux drew when this was written; a change of the drawing changes them, a platform must not.
    assert_eq!(sets.map(|set| hash(&set.train.images)), [301475780395146677, 8219984299650295999, 4847419949309007898]);
}

#[test]
fn classes_are_balanced_shuffled_and_the_splits_differ() {
    let sets: [(Splits, [usize; 3], usize); 4] = [
        (patterns::colour(403, 200, 3), [32, 32, 3], 10),
        (patterns::colour100(403, 200, Labels::Fine, 3), [32, 32, 3], 100),
        (patterns::colour100(403, 200, Labels::Coarse, 3), [32, 32, 3], 20),
        (patterns::grey(403, 200, 3), [28, 28, 1], 10),
    ];
    for (splits, shape, classes) in &sets {
        for (set, count) in [(&splits.train, 403), (&splits.test, 200)] {
            assert_eq!((set.len(), set.images.len(), set.shape), (count, count * shape.iter().product::<usize>(), *shape));
            assert_eq!((set.classes, set.class_names.len()), (*classes, *classes));
            let mut names = set.class_names.clone();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), *classes, "every class has its own name");
            let counts = (0..*classes).map(|class| set.labels.iter().filter(|&&label| usize::from(label) == class).count());
            // In groups, up to one for each of their classes.
            let slack = if *classes == 20 { 5 } else { 1 };
            assert!(
                counts.clone().all(|found| (count / classes..=count / classes + slack).contains(&found)),
                "{:?}",
                counts.collect::<Vec<_>>()
            );
        }
        assert!(splits.train.labels[..100].windows(2).filter(|pair| pair[0] > pair[1]).count() > 20);
        let repeated = (0..200).filter(|&i| (0..403).any(|j| splits.test.image(i) == splits.train.image(j))).count();
        assert_eq!(repeated, 0);
    }
    let [_, (fine, ..), (coarse, ..), _] = sets;
    assert_eq!(fine.train.images, coarse.train.images);
    assert!(fine.train.labels.iter().zip(&coarse.train.labels).all(|(&class, &group)| class / 5 == group));
    assert!(fine.train.class_name(0).ends_with(&coarse.train.class_name(0)), "{}", fine.train.class_name(0));
    assert!(patterns::colour(0, 0, 1).test.is_empty());
}

/// The share of test images that are nearest to their class's mean, by these features.
fn nearest_mean(splits: &Splits, features: impl Fn(&[u8]) -> Vec<f64>) -> f64 {
    let classes = splits.train.classes;
    let width = features(splits.train.image(0)).len();
    let (mut means, mut counts) = (vec![vec![0.0; width]; classes], vec![0.0; classes]);
    for i in 0..splits.train.len() {
        let class = usize::from(splits.train.labels[i]);
        means[class].iter_mut().zip(features(splits.train.image(i))).for_each(|(mean, value)| *mean += value);
        counts[class] += 1.0;
    }
    means.iter_mut().zip(&counts).for_each(|(mean, count)| mean.iter_mut().for_each(|value| *value /= count));
    let right = (0..splits.test.len()).filter(|&i| {
        let values = features(splits.test.image(i));
        let distance = |mean: &[f64]| mean.iter().zip(&values).map(|(m, v)| (m - v).powi(2)).sum::<f64>();
        let best = (0..classes).min_by(|&a, &b| distance(&means[a]).total_cmp(&distance(&means[b]))).unwrap();
        best == usize::from(splits.test.labels[i])
    });
    right.count() as f64 / splits.test.len() as f64
}

#[test]
fn neither_mean_colour_nor_mean_image_tells_the_class() {
    let splits = patterns::colour100(4000, 1000, Labels::Fine, 5);
    let mean = |image: &[u8]| (0..3).map(|c| image.iter().skip(c).step_by(3).map(|&v| f64::from(v)).sum::<f64>() / 1024.0).collect();
    let by_colour = nearest_mean(&splits, mean);
    let by_pixels = nearest_mean(&splits, |image| image.iter().map(|&v| f64::from(v)).collect());
    // Chance is 0.01.
    assert!(by_colour < 0.06 && by_pixels < 0.12, "{by_colour} by mean colour, {by_pixels} by mean image");
}
