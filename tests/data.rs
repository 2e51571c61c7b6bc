//! The data room from outside: damaged files, arbitrary bytes, a server that misbehaves, and the generated digits.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use flate2::{Compression, write::GzEncoder};
use gradus::data::{Dataset, Idx, Labels, digits, fashion_mnist, mnist};
use gradus::error::Error;
use proptest::prelude::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Remembers the largest request of each thread: "never a huge allocation" is then a number to test.
struct Watch;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; the counter is a const-initialised `Cell` without a destructor, so touching it
// neither allocates nor fails.
unsafe impl GlobalAlloc for Watch {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.with(|largest| largest.set(largest.get().max(layout.size())));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.with(|largest| largest.set(largest.get().max(layout.size())));
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.with(|largest| largest.set(largest.get().max(size)));
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watch = Watch;

/// A folder of one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("gradus-data-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The names in the folder, sorted.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.0).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An IDX file, written from the description of the format alone.
fn idx(axes: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, axes.len() as u8];
    for axis in axes {
        bytes.extend(axis.to_be_bytes());
    }
    bytes.extend(data);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// `n` images of 2×3 pixels.
fn images(n: u32) -> Vec<u8> {
    idx(&[n, 2, 3], &(0..n * 6).map(|i| i as u8).collect::<Vec<u8>>())
}

/// `n` labels 0, 1, …, 9, 0, …
fn labels(n: u32) -> Vec<u8> {
    idx(&[n], &(0..n).map(|i| (i % 10) as u8).collect::<Vec<u8>>())
}

#[track_caller]
fn assert_data_error(outcome: Result<impl std::fmt::Debug, Error>, name: &str, offset: u64, words: &str) {
    let error = outcome.expect_err("damaged data");
    let text = error.to_string();
    assert!(matches!(error, Error::Data { offset: at, .. } if at == offset), "expected offset {offset}: {text}");
    assert!(text.contains(name) && text.contains(&format!("byte {offset}")) && text.contains(words), "{text}");
}

mod idx_files {
    use super::*;

    #[test]
    fn plain_and_gzipped_files_read_the_same_whatever_their_name() {
        let folder = Folder::new();
        let plain = idx(&[2, 3, 4], &(0..24).collect::<Vec<u8>>());
        let expected = Idx { shape: vec![2, 3, 4], data: (0..24).collect() };
        for (name, content) in [("a", plain.clone()), ("b.gz", plain.clone()), ("c", gzip(&plain)), ("d.gz", gzip(&plain))] {
            assert_eq!(Idx::read(&folder.write(name, &content)), Ok(expected.clone()), "{name}");
        }
    }

    #[test]
    fn a_large_file_arrives_whole() {
        let data: Vec<u8> = (0..1_000_003u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        let plain = idx(&[1_000_003], &data);
        assert_eq!(Idx::from_bytes(&gzip(&plain), Path::new("x")).map(|idx| idx.data == data), Ok(true));
        LARGEST.set(0);
        assert_eq!(Idx::from_bytes(&plain, Path::new("x")).map(|idx| idx.data == data), Ok(true));
        // That the watch sees anything at all, which the tests below build on.
        assert!((1_000_003..2_100_000).contains(&LARGEST.get()), "allocated {}", LARGEST.get());
    }

    #[test]
    fn an_axis_may_be_empty() {
        assert_eq!(Idx::from_bytes(&idx(&[0, 28], &[]), Path::new("x")), Ok(Idx { shape: vec![0, 28], data: vec![] }));
    }

    #[test]
    fn errors_name_the_file_and_the_byte() {
        let folder = Folder::new();
        let full = idx(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let mut longer = full.clone();
        longer.extend([7, 8]);
        let cases: [(&str, Vec<u8>, u64, &str); 12] = [
            ("empty", vec![], 0, "cut off"),
            ("two bytes", vec![0, 0], 2, "cut off"),
            ("magic", vec![1, 0, 8, 1, 0, 0, 0, 0], 0, "two zero bytes"),
            ("floats", vec![0, 0, 0x0d, 1, 0, 0, 0, 0], 2, "0x0d is not supported"),
            ("no axes", vec![0, 0, 8, 0], 3, "1 to 8 axes"),
            ("many axes", vec![0, 0, 8, 200], 3, "1 to 8 axes"),
            ("half an axis", full[..10].to_vec(), 10, "lengths of the axes"),
            ("no data", full[..12].to_vec(), 12, "6 bytes, only 0"),
            ("cut data", full[..17].to_vec(), 17, "6 bytes, only 5"),
            ("long data", longer, 18, "goes on"),
            ("absurd", idx(&[u32::MAX; 8], &[1, 2]), 4, "announces"),
            ("over the limit", idx(&[1 << 10, 1 << 20, 2], &[1, 2]), 4, "announces"),
        ];
        for (name, plain, offset, words) in cases {
            assert_data_error(Idx::read(&folder.write(name, &plain)), name, offset, words);
            if !plain.is_empty() {
                assert_data_error(Idx::read(&folder.write(name, &gzip(&plain))), name, offset, words);
            }
        }
    }

    #[test]
    fn damaged_gzip_is_an_error() {
        let full = gzip(&idx(&[300], &(0..300).map(|i| (i * 7 % 256) as u8).collect::<Vec<u8>>()));
        let read = |bytes: &[u8]| Idx::from_bytes(bytes, Path::new("packed"));
        assert!(read(&full).is_ok());
        for end in 2..full.len() {
            let error = read(&full[..end]).expect_err("cut gzip").to_string();
            assert!(error.contains("packed") && error.contains("gzip"), "{end}: {error}");
        }
        let mut wrong_sum = full.clone();
        let at = wrong_sum.len() - 8;
        wrong_sum[at] ^= 1;
        assert_data_error(read(&wrong_sum), "packed", 308, "damaged");
        let mut followed = full.clone();
        followed.extend(b"more");
        assert_data_error(read(&followed), "packed", 308, "damaged");
    }

    #[test]
    fn a_gzip_bomb_is_not_unpacked() {
        let mut bomb = idx(&[16], &[]);
        bomb.extend(vec![0; 64 << 20]);
        let bomb = gzip(&bomb);
        LARGEST.set(0);
        assert_data_error(Idx::from_bytes(&bomb, Path::new("bomb")), "bomb", 24, "goes on");
        assert!(LARGEST.get() < 1 << 18, "allocated {}", LARGEST.get());
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Idx::read(Path::new("no/such/file")).expect_err("missing");
        assert!(matches!(&error, Error::Io { path, .. } if path == Path::new("no/such/file")), "{error}");
    }

    /// What the header says, and the bytes behind it.
    fn nearly_idx() -> impl Strategy<Value = Vec<u8>> {
        let axes = prop::collection::vec(prop_oneof![any::<u32>(), 0u32..20], 0..10);
        (axes, prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(axes, data)| idx(&axes, &data))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_panic_or_allocate_more_than_they_justify(
            bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..300), nearly_idx()],
            packed in any::<bool>(),
            flip in any::<Option<prop::sample::Index>>(),
        ) {
            let mut bytes = if packed { gzip(&bytes) } else { bytes };
            if let Some(flip) = flip.filter(|_| !bytes.is_empty()) {
                let at = flip.index(bytes.len());
                bytes[at] ^= 0x55;
            }
            LARGEST.set(0);
            let outcome = Idx::from_bytes(&bytes, Path::new("any"));
            let largest = LARGEST.get();
            prop_assert!(largest < 1 << 18, "allocated {largest} for {} bytes", bytes.len());
            if let Ok(idx) = outcome {
                prop_assert_eq!(idx.data.len(), idx.shape.iter().product::<usize>());
            }
        }
    }
}

mod datasets {
    use super::*;

    fn join(images: &[u8], labels: &[u8]) -> Result<Dataset, Error> {
        let (left, right) = (Path::new("the-images"), Path::new("the-labels"));
        Dataset::from_idx((Idx::from_bytes(images, left)?, left), (Idx::from_bytes(labels, right)?, right), 10, "a test")
    }

    #[test]
    fn samples_are_found_and_taken() {
        let set = join(&images(12), &labels(12)).unwrap();
        assert_eq!((set.len(), set.is_empty(), set.shape, set.classes), (12, false, [2, 3, 1], 10));
        assert_eq!((set.image(1), set.labels[11]), ([6, 7, 8, 9, 10, 11].as_slice(), 1));
        let few = set.take(2);
        assert_eq!((few.len(), few.images.as_slice(), few.labels.as_slice()), (2, &set.images[..12], [0, 1].as_slice()));
        assert_eq!(set.take(100), set);
        assert!(set.take(0).is_empty());
        let (left, right) = set.split(5);
        assert_eq!((left, right.labels.as_slice(), right.images.as_slice()), (set.take(5), &set.labels[5..], &set.images[30..]));
        let (all, none) = set.split(13);
        assert!(all == set && none.is_empty());
    }

    #[test]
    fn shuffling_keeps_images_with_their_labels() {
        let set = join(&images(12), &labels(12)).unwrap();
        let mixed = set.shuffled(3);
        assert_eq!(mixed, set.shuffled(3));
        assert!(mixed.images != set.images && mixed.images != set.shuffled(4).images);
        let pairs = |set: &Dataset| (0..12).map(|i| (set.image(i).to_vec(), set.labels[i])).collect::<Vec<_>>();
        let mut sorted = pairs(&mixed);
        sorted.sort();
        assert_eq!(sorted, pairs(&set));
    }

    #[test]
    fn classes_have_names_or_numbers() {
        let set = join(&images(3), &labels(3)).unwrap();
        assert_eq!((set.class_names.len(), set.class_name(2)), (0, "2".to_string()));
        let named = set.clone().with_class_names(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]).unwrap();
        assert_eq!((named.class_name(2), named.class_name(10), named.take(1).class_name(9)), ("c".into(), "10".into(), "j".into()));
        let text = set.with_class_names(&["a", "b"]).expect_err("two names for ten classes").to_string();
        assert_eq!(text, "class names: expected one for each of 10 classes, got 2");
    }

    #[test]
    fn files_that_do_not_fit_each_other_are_errors() {
        assert_data_error(join(&images(3), &labels(4)), "the-labels", 4, "got 4");
        assert_data_error(join(&labels(4), &labels(4)), "the-images", 3, "3 axes");
        assert_data_error(join(&images(3), &images(3)), "the-labels", 3, "1 axis");
        assert_data_error(join(&images(0), &labels(0)), "the-images", 4, "got 0");
        assert_data_error(join(&idx(&[2, 0, 3], &[]), &labels(2)), "the-images", 4, "0×3");
        assert_data_error(join(&images(3), &idx(&[3], &[9, 10, 0])), "the-labels", 9, "label 10 of sample 1");
    }
}

mod folders {
    use super::*;

    #[test]
    fn every_spelling_of_the_names_is_found() {
        let folder = Folder::new();
        folder.write("train-images-idx3-ubyte", &images(20));
        folder.write("train-labels.idx1-ubyte", &labels(20));
        folder.write("t10k-images-idx3-ubyte.gz", &gzip(&images(5)));
        folder.write("t10k-labels.idx1-ubyte.gz", &gzip(&labels(5)));
        let splits = mnist::load(Some(&folder.0)).unwrap();
        assert_eq!((splits.train.len(), splits.test.len(), splits.train.shape), (20, 5, [2, 3, 1]));
        assert!(splits.test.source.contains(&folder.0.display().to_string()), "{}", splits.test.source);
    }

    #[test]
    fn a_missing_file_and_its_folder_are_named_and_nothing_replaces_them() {
        let folder = Folder::new();
        folder.write("train-images-idx3-ubyte", &images(20));
        for outcome in [mnist::load(Some(&folder.0)), mnist::load_or_digits(Some(&folder.0), 1)] {
            let text = outcome.expect_err("no labels").to_string();
            assert!(text.contains("train-labels-idx1-ubyte") && text.contains(&folder.0.display().to_string()), "{text}");
        }
        let text = fashion_mnist::load_or_patterns(Some(&folder.0), 1).expect_err("no labels").to_string();
        assert!(text.contains("train-labels-idx1-ubyte"), "{text}");
        let text = mnist::load(Some(&folder.0.join("absent"))).expect_err("no folder").to_string();
        assert!(text.contains("absent") && text.contains("does not exist"), "{text}");
    }

    #[test]
    fn splits_of_different_image_sizes_are_an_error() {
        let folder = Folder::new();
        folder.write("train-images-idx3-ubyte", &images(2));
        folder.write("train-labels-idx1-ubyte", &labels(2));
        folder.write("t10k-images-idx3-ubyte", &idx(&[2, 1, 1], &[0, 0]));
        folder.write("t10k-labels-idx1-ubyte", &labels(2));
        assert_data_error(mnist::load(Some(&folder.0)), "t10k-images-idx3-ubyte", 8, "[2, 3, 1]");
    }
}

mod generated {
    use super::*;

    #[test]
    fn a_seed_decides_every_byte() {
        let (once, again, other) = (digits::generate(200, 100, 7), digits::generate(200, 100, 7), digits::generate(200, 100, 8));
        assert_eq!(once, again);
        assert_ne!(once.train.images, other.train.images);
        assert_ne!(once.train.labels, other.train.labels);
        let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(one_thread.install(|| digits::generate(200, 100, 7)), once);
    }

    #[test]
    fn the_bytes_are_these_on_every_platform() {
        let splits = digits::generate(50, 20, 1);
        let hash = |bytes: &[u8]| bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        // FNV-1a of what x86-64 Linux drew when this was written; a change of the drawing changes them, a platform must not.
        assert_eq!((hash(&splits.train.images), hash(&splits.test.images)), (16587766928971234476, 7591682809376249322));
    }

    #[test]
    fn classes_are_balanced_shuffled_and_the_splits_differ() {
        let splits = digits::generate(1003, 500, 3);
        for (set, count) in [(&splits.train, 1003), (&splits.test, 500)] {
            assert_eq!((set.len(), set.images.len(), set.shape, set.classes), (count, count * 784, [28, 28, 1], 10));
            for digit in 0..10 {
                let found = set.labels.iter().filter(|&&label| label == digit).count();
                assert!((count / 10..=count / 10 + 1).contains(&found), "digit {digit}: {found} of {count}");
            }
        }
        assert!(splits.train.labels[..100].windows(2).filter(|pair| pair[0] > pair[1]).count() > 20);
        let repeated = (0..500).filter(|&i| (0..1003).any(|j| splits.test.image(i) == splits.train.image(j))).count();
        assert_eq!(repeated, 0);
    }

    #[test]
    fn digits_are_white_on_black_and_in_the_middle() {
        let set = digits::generate(500, 0, 5).train;
        for i in 0..set.len() {
            let image = set.image(i);
            let (mut mass, mut x, mut y) = (0.0, 0.0, 0.0);
            // Below 64 is noise.
            for (at, &value) in image.iter().enumerate().filter(|(_, value)| **value >= 64) {
                mass += f64::from(value);
                x += f64::from(value) * (at % 28) as f64;
                y += f64::from(value) * (at / 28) as f64;
            }
            let share = mass / 255.0 / 784.0;
            assert!((0.015..0.35).contains(&share), "image {i}: {share} of it is ink");
            let (x, y) = (x / mass, y / mass);
            assert!((x - 13.5).abs() < 3.5 && (y - 13.5).abs() < 3.5, "image {i}: centre {x} {y}");
            let border = (0..28).flat_map(|k| [k, 27 * 28 + k, 28 * k, 28 * k + 27]);
            assert!(border.into_iter().all(|at| image[at] < 128), "image {i} touches the border");
        }
    }

    #[test]
    fn none_are_no_error() {
        assert!(digits::generate(0, 0, 1).train.is_empty());
    }
}

#[path = "data/cifar.rs"]
mod cifar;
#[path = "data/patterns.rs"]
mod patterns;
#[path = "data/real.rs"]
mod real;
#[path = "data/utils.rs"]
mod utils;

#[cfg(all(feature = "download", not(target_arch = "wasm32")))]
#[path = "data/download.rs"]
mod download;

#[cfg(not(feature = "download"))]
#[test]
fn without_the_feature_the_error_says_so() {
    let folder = Folder::new();
    let mut remote = mnist::remote();
    remote.cache = Some(folder.0.clone());
    let text = remote.load().expect_err("nothing to download with").to_string();
    assert!(text.contains("without its feature `download`") && text.contains("train-images-idx3-ubyte.gz"), "{text}");
    assert!(folder.names().is_empty());
}
