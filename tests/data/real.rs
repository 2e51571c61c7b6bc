//! The real data sets, where `GRADUS_TEST_DATA` names a folder that has some of them in folders of their own. They may be in any order:
//! what is compared does not depend on it.

use super::*;
use gradus::data::{Splits, cifar10, cifar100};

/// The set of that name, or `None`, which is printed and counted.
fn real(name: &str, load: impl Fn(Option<&Path>) -> Result<Splits, Error>) -> Option<Splits> {
    static SKIPPED: AtomicUsize = AtomicUsize::new(0);
    let folder = std::env::var_os("GRADUS_TEST_DATA").map(|base| Path::new(&base).join(name)).filter(|folder| folder.exists());
    let Some(folder) = folder else {
        let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
        // Past the harness's capture of a passing test's output: a skip must be seen.
        let _ = writeln!(std::io::stderr(), "skipped, no {name} in GRADUS_TEST_DATA ({count} so far in this process)");
        return None;
    };
    Some(load(Some(&folder)).unwrap())
}

/// The mean of each channel, 0 to 1.
fn means(set: &Dataset) -> Vec<f64> {
    let channels = set.shape[2];
    let sum = |c: usize| set.images.iter().skip(c).step_by(channels).map(|&v| u64::from(v)).sum::<u64>();
    (0..channels).map(|c| sum(c) as f64 / 255.0 / (set.images.len() / channels) as f64).collect()
}

#[track_caller]
fn assert_means(set: &Dataset, wanted: &[f64]) {
    let means = means(set);
    assert_eq!(means.len(), wanted.len());
    // The means that are in use for these sets have four digits.
    assert!(means.iter().zip(wanted).all(|(mean, wanted)| (mean - wanted).abs() <= 1e-4), "{means:?}, not {wanted:?}");
}

fn counts(set: &Dataset) -> Vec<usize> {
    (0..set.classes).map(|class| set.labels.iter().filter(|&&label| usize::from(label) == class).count()).collect()
}

#[test]
fn mnist_is_what_it_should_be() {
    let Some(Splits { train, test }) = real("mnist", mnist::load) else { return };
    assert_eq!((train.len(), test.len(), train.shape), (60_000, 10_000, [28, 28, 1]));
    assert_eq!(counts(&train), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    assert_means(&train, &[0.1307]);
    assert_eq!(train.class_name(7), "7");
}

#[test]
fn fashion_mnist_is_what_it_should_be() {
    let Some(Splits { train, test }) = real("fashion-mnist", fashion_mnist::load) else { return };
    assert_eq!((train.len(), test.len(), train.shape), (60_000, 10_000, [28, 28, 1]));
    assert_eq!((counts(&train), counts(&test)), (vec![6000; 10], vec![1000; 10]));
    assert_means(&train, &[0.2860]);
    assert_eq!(train.class_name(9), "Ankle boot");
}

#[test]
fn cifar_10_is_what_it_should_be() {
    let Some(Splits { train, test }) = real("cifar-10", cifar10::load) else { return };
    assert_eq!((train.len(), test.len(), train.shape), (50_000, 10_000, [32, 32, 3]));
    assert_eq!((counts(&train), counts(&test)), (vec![5000; 10], vec![1000; 10]));
    assert_means(&train, &[0.4914, 0.4822, 0.4465]);
    assert_eq!((train.class_name(0), train.class_name(9)), ("airplane".to_string(), "truck".to_string()));
}

#[test]
fn cifar_100_is_what_it_should_be() {
    let load = |labels| move |folder: Option<&Path>| cifar100::load(folder, labels);
    let Some(fine) = real("cifar-100", load(Labels::Fine)) else { return };
    let Splits { train, test } = &fine;
    assert_eq!((train.len(), test.len(), train.shape), (50_000, 10_000, [32, 32, 3]));
    assert_eq!((counts(train), counts(test)), (vec![500; 100], vec![100; 100]));
    assert_means(train, &[0.5071, 0.4865, 0.4409]);
    assert_means(test, &[0.5088, 0.4874, 0.4419]);
    assert_eq!((train.class_name(0), train.class_name(19), train.class_name(99)), ("apple".into(), "cattle".into(), "worm".into()));

    let Some(coarse) = real("cifar-100", load(Labels::Coarse)) else { return };
    assert!(coarse.train.images == train.images && coarse.test.images == test.images);
    assert_eq!((counts(&coarse.train), counts(&coarse.test)), (vec![2500; 20], vec![500; 20]));
    assert_eq!((coarse.train.class_name(0), coarse.train.class_name(19)), ("aquatic_mammals".into(), "vehicles_2".into()));
    // Each class is in one group, and each group has five.
    let mut group_of = [None; 100];
    for (&class, &group) in train.labels.iter().zip(&coarse.train.labels).chain(test.labels.iter().zip(&coarse.test.labels)) {
        assert_eq!(*group_of[usize::from(class)].get_or_insert(group), group, "class {class}");
    }
    assert!((0..20).all(|group| group_of.iter().filter(|&&of| of == Some(group)).count() == 5));
    // A cattle is a large omnivore or herbivore.
    assert_eq!(coarse.train.class_name(usize::from(group_of[19].unwrap())), "large_omnivores_and_herbivores");
}
