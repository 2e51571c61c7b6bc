//! CIFAR-10 and CIFAR-100: the archive and the folder, and what is wrong with either.

use super::*;
use gradus::data::{Splits, cifar10, cifar100};

/// An entry of an archive: its name, type and content.
pub type Entry = (String, u8, Vec<u8>);

const RECORD: usize = 3074;

/// A header of a tar archive, written from POSIX's description of ustar.
fn header(name: &str, kind: u8, size: usize) -> [u8; 512] {
    let mut block = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// A tar archive.
pub fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, kind, content) in entries {
        bytes.extend(header(name, *kind, content.len()));
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn lines(name: &str, count: usize) -> Vec<u8> {
    (0..count).map(|i| format!("{name}_{i}\n")).collect::<String>().into_bytes()
}

/// Red, green and blue of the pixel at `at` of sample `i`.
fn pixel(i: usize, at: usize) -> [u8; 3] {
    [i as u8, (at % 251) as u8, (at / 7 + 100) as u8]
}

/// A file of records with these labels; sample `i` of it is sample `first + i` of the set.
fn records(first: usize, labels: &[Vec<u8>]) -> Vec<u8> {
    let planes = |i: usize| (0..3).flat_map(move |channel| (0..1024).map(move |at| pixel(first + i, at)[channel]));
    labels.iter().enumerate().flat_map(|(i, labels)| labels.iter().copied().chain(planes(i))).collect()
}

/// The files of a CIFAR-100 whose sample `i` has the labels `i % 20` and `i % 100`.
pub fn cifar100(train: usize, test: usize) -> Vec<Entry> {
    let samples = |count: usize| records(0, &(0..count).map(|i| vec![(i % 20) as u8, (i % 100) as u8]).collect::<Vec<_>>());
    let entry = |name: &str, content: Vec<u8>| (format!("cifar-100-binary/{name}"), b'0', content);
    vec![
        ("cifar-100-binary/".to_string(), b'5', vec![]),
        entry("fine_label_names.txt", lines("fine", 100)),
        entry("coarse_label_names.txt", lines("group", 20)),
        entry("train.bin", samples(train)),
        entry("test.bin", samples(test)),
    ]
}

/// The files of a CIFAR-10 of five batches of `each` samples and a test batch of 3; sample `i` has the label `i % 10`.
fn cifar10_files(each: usize) -> Vec<Entry> {
    let batch = |first: usize, count: usize| records(first, &(first..first + count).map(|i| vec![(i % 10) as u8]).collect::<Vec<_>>());
    let entry = |name: String, content: Vec<u8>| (format!("cifar-10-batches-bin/{name}"), b'0', content);
    // The test batch comes first and the names, with the blank line that the original has at its end, last: no order is promised.
    let mut entries = vec![entry("test_batch.bin".to_string(), batch(0, 3))];
    entries.extend((0..5).rev().map(|i| entry(format!("data_batch_{}.bin", i + 1), batch(i * each, each))));
    entries.push(entry("batches.meta.txt".to_string(), [lines("thing", 10), b"\n".to_vec()].concat()));
    entries
}

/// Writes the files into `folder`, without the folders of their names.
fn unpack(folder: &Path, entries: &[Entry]) {
    fs::create_dir_all(folder).unwrap();
    for (name, kind, content) in entries {
        if *kind == b'0' {
            fs::write(folder.join(name.rsplit('/').next().unwrap()), content).unwrap();
        }
    }
}

#[track_caller]
fn assert_samples(splits: &Splits, train: usize, test: usize, classes: usize, name: &str) {
    for (set, count) in [(&splits.train, train), (&splits.test, test)] {
        assert_eq!((set.len(), set.images.len(), set.shape, set.classes), (count, count * 3072, [32, 32, 3], classes));
        assert_eq!(
            (set.class_names.len(), set.class_name(0), set.class_name(classes - 1)),
            (classes, format!("{name}_0"), format!("{name}_{}", classes - 1))
        );
        for i in 0..count {
            assert_eq!(usize::from(set.labels[i]), i % classes);
            assert!((0..1024).all(|at| set.image(i)[3 * at..][..3] == pixel(i, at)), "sample {i}");
        }
    }
}

/// Puts the files into a folder in some way and gives the path to load.
type Arrange<'a> = &'a dyn Fn(&Path) -> PathBuf;

#[test]
fn archives_and_folders_read_the_same() {
    let entries = cifar100(130, 21);
    let packed = archive(&entries);
    let cases: [(&str, Arrange); 5] = [
        ("the archive", &|folder| {
            fs::write(folder.join("cifar-100-binary.tar.gz"), gzip(&packed)).unwrap();
            folder.to_path_buf()
        }),
        ("the archive without gzip", &|folder| {
            fs::write(folder.join("cifar-100-binary.tar"), &packed).unwrap();
            folder.to_path_buf()
        }),
        ("the archive's own path", &|folder| {
            fs::write(folder.join("any name"), gzip(&packed)).unwrap();
            folder.join("any name")
        }),
        ("the files", &|folder| {
            unpack(folder, &entries);
            folder.to_path_buf()
        }),
        ("the files in their folder", &|folder| {
            unpack(&folder.join("cifar-100-binary"), &entries);
            folder.to_path_buf()
        }),
    ];
    for (what, place) in cases {
        let folder = Folder::new();
        let place = place(&folder.0);
        assert_samples(&cifar100::load(Some(&place), Labels::Fine).expect(what), 130, 21, 100, "fine");
        let coarse = cifar100::load_or_patterns(Some(&place), Labels::Coarse, 1).expect(what);
        assert_samples(&coarse, 130, 21, 20, "group");
        assert!(
            coarse.test.source.starts_with("CIFAR-100 from ") && coarse.test.source.contains(&folder.0.display().to_string()),
            "{what}"
        );
    }
    assert_samples(&cifar100::from_archive(&packed, Labels::Fine).unwrap(), 130, 21, 100, "fine");
}

#[test]
fn the_batches_of_cifar_10_come_in_their_order() {
    let entries = cifar10_files(7);
    let folder = Folder::new();
    unpack(&folder.0, &entries);
    assert_samples(&cifar10::load(Some(&folder.0)).unwrap(), 35, 3, 10, "thing");
    assert_samples(&cifar10::from_archive(&gzip(&archive(&entries))).unwrap(), 35, 3, 10, "thing");
}

#[test]
fn labels_have_keras_names() {
    assert_eq!(("fine".parse(), "Coarse".parse()), (Ok(Labels::Fine), Ok(Labels::Coarse)));
    assert_eq!((Labels::Fine.to_string(), Labels::default()), ("fine".to_string(), Labels::Fine));
    let text = "corse".parse::<Labels>().expect_err("no label mode").to_string();
    assert_eq!(text, "labels: expected one of fine, coarse, got \"corse\"; did you mean \"coarse\"?");
}

#[test]
fn errors_name_the_file_and_the_byte() {
    let good = records(0, &[vec![0, 0], vec![19, 99], vec![3, 3]]);
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let cases: [(&str, Vec<u8>, usize, &str); 10] = [
        ("train.bin", vec![], 0, "sample 0 takes 3074 bytes, only 0"),
        ("test.bin", good[..1].to_vec(), 1, "sample 0 takes 3074 bytes, only 1"),
        ("train.bin", good[..2 * RECORD + 9].to_vec(), 2 * RECORD + 9, "sample 2 takes 3074 bytes, only 9"),
        ("train.bin", [good.clone(), vec![0]].concat(), 3 * RECORD + 1, "sample 3 takes 3074 bytes, only 1"),
        ("test.bin", with(RECORD, 20), RECORD, "label 20 of sample 1 is outside 0..20"),
        ("train.bin", with(2 * RECORD + 1, 100), 2 * RECORD + 1, "label 100 of sample 2 is outside 0..100"),
        ("fine_label_names.txt", lines("fine", 99), 790 - 8, "a line for each of 100 classes, got 99"),
        ("fine_label_names.txt", lines("fine", 101), 790 + 9, "a line for each of 100 classes, got 101"),
        ("fine_label_names.txt", [lines("fine", 2), vec![0xff, 0xfe]].concat(), 14, "not UTF-8"),
        ("fine_label_names.txt", vec![b'\n'; 70_000], 65536, "goes on"),
    ];
    for (name, content, offset, words) in cases {
        let mut entries = cifar100(3, 2);
        let entry = entries.iter_mut().find(|(path, ..)| path.ends_with(&format!("/{name}"))).unwrap();
        entry.2 = content;
        let folder = Folder::new();
        unpack(&folder.0, &entries);
        assert_data_error(cifar100::load(Some(&folder.0), Labels::Fine), &folder.0.join(name).display().to_string(), offset as u64, words);
        let path = format!("cifar-100-binary.tar.gz{}{name}", std::path::MAIN_SEPARATOR);
        assert_data_error(cifar100::from_archive(&archive(&entries), Labels::Fine), &path, offset as u64, words);
        // The other kind of labels needs other names.
        if name.starts_with("fine") {
            assert!(cifar100::from_archive(&archive(&entries), Labels::Coarse).is_ok());
        }
    }
}

#[test]
fn what_is_missing_is_named() {
    let missing = |name: &str| {
        let mut entries = cifar10_files(1);
        entries.retain(|(path, ..)| !path.ends_with(name));
        entries
    };
    for name in ["data_batch_3.bin", "test_batch.bin", "batches.meta.txt"] {
        let folder = Folder::new();
        unpack(&folder.0, &missing(name));
        for (outcome, place) in [
            (cifar10::load(Some(&folder.0)), folder.0.display().to_string()),
            (cifar10::load_or_patterns(Some(&folder.0), 1), folder.0.display().to_string()),
            (cifar10::from_archive(&archive(&missing(name))), "cifar-10-binary.tar.gz".to_string()),
        ] {
            let error = outcome.expect_err(name);
            let text = error.to_string();
            assert!(matches!(error, Error::Io { .. }) && text.contains(name) && text.contains(&place), "{text}");
        }
    }
    let folder = Folder::new();
    for (path, why) in [(folder.0.clone(), "does not have them"), (folder.0.join("absent"), "does not exist")] {
        let text = cifar100::load_or_patterns(Some(&path), Labels::Fine, 1).expect_err(why).to_string();
        assert!(text.contains(&path.display().to_string()) && text.contains("cifar-100-binary.tar.gz") && text.contains(why), "{text}");
    }
}

#[test]
fn what_is_not_a_wanted_file_is_passed_over() {
    let mut entries = cifar100(3, 2);
    entries.insert(0, ("pax_global_header".to_string(), b'g', b"19 comment=whatever".to_vec()));
    entries.insert(2, ("cifar-100-binary/train.bin".to_string(), b'2', vec![]));
    entries.insert(4, ("cifar-100-binary/readme.html".to_string(), b'0', vec![7; 1000]));
    entries.push(("cifar-100-binary/last".to_string(), 0, vec![7; 512]));
    assert_samples(&cifar100::from_archive(&archive(&entries), Labels::Fine).unwrap(), 3, 2, 100, "fine");
}

#[test]
fn damaged_archives_are_errors() {
    let entries = cifar100(3, 2);
    let good = archive(&entries);
    let read = |bytes: &[u8]| cifar100::from_archive(bytes, Labels::Fine);
    assert!(read(&good).is_ok());
    for end in (0..good.len() - 1024).step_by(61) {
        let text = read(&good[..end]).expect_err("a cut archive").to_string();
        assert!(text.contains("cut off") && text.contains("cifar-100-binary.tar.gz"), "{end}: {text}");
    }
    let packed = gzip(&good);
    for end in (2..packed.len()).step_by(7) {
        let text = read(&packed[..end]).expect_err("cut gzip").to_string();
        assert!(text.contains("gzip") && text.contains("cifar-100-binary.tar.gz"), "{end}: {text}");
    }
    let mut wrong_sum = packed.clone();
    let at = wrong_sum.len() - 8;
    wrong_sum[at] ^= 1;
    assert_data_error(read(&wrong_sum), "cifar-100-binary.tar.gz", good.len() as u64, "damaged");

    let name = "cifar-100-binary.tar.gz";
    assert_data_error(read(b"not an archive"), name, 14, "cut off");
    assert_data_error(read(&[b'x'; 2000]), name, 148, "check sum");
    let mut twice = entries.clone();
    twice.push(entries[3].clone());
    assert_data_error(read(&archive(&twice)), "train.bin", 0, "twice");
    // A header whose sum is right and whose size is not.
    let sized = |digits: &[u8; 12]| {
        let mut block = header("train.bin", b'0', 0);
        block[124..136].copy_from_slice(digits);
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        [block.to_vec(), vec![0; 2000]].concat()
    };
    assert_data_error(read(&sized(b"77777777777\0")), name, 124, "announces 8589934591 bytes");
    assert_data_error(read(&sized(b"00000000009\0")), name, 124, "octal");
    assert_data_error(read(&sized(b"+0000000001\0")), name, 124, "octal");
}

#[test]
fn an_archive_that_unpacks_to_very_much_is_not_held() {
    let mut bomb =
        archive(&[("other".to_string(), b'0', vec![0; 64 << 20]), ("fine_label_names.txt".to_string(), b'0', vec![b'\n'; 32 << 20])]);
    bomb.extend(vec![0; 32 << 20]);
    let bomb = gzip(&bomb);
    LARGEST.set(0);
    assert_data_error(cifar100::from_archive(&bomb, Labels::Fine), "fine_label_names.txt", 1 << 16, "goes on");
    assert!(LARGEST.get() < 1 << 18, "allocated {}", LARGEST.get());
}

/// Entries whose names are wanted ones and whose content is anything.
fn nearly_cifar() -> impl Strategy<Value = Vec<u8>> {
    let names = vec!["train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt", "other"];
    let content = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        Just(lines("name", 100)),
        (0usize..3, 0u8..25).prop_map(|(count, label)| records(0, &vec![vec![label % 21, label]; count])),
    ];
    let entry = (prop::sample::select(names), prop_oneof![Just(b'0'), any::<u8>()], content);
    let entry = entry.prop_map(|(name, kind, content)| (name.to_string(), kind, content));
    prop::collection::vec(entry, 0..6).prop_map(|entries| archive(&entries))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic_or_allocate_more_than_they_justify(
        bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..2000), nearly_cifar(), Just(archive(&cifar100(2, 1)))],
        packed in any::<bool>(),
        flip in any::<Option<(prop::sample::Index, u8)>>(),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut bytes = if packed { gzip(&bytes) } else { bytes };
        if let Some((flip, value)) = flip.filter(|_| !bytes.is_empty()) {
            let at = flip.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut.filter(|_| !bytes.is_empty()) {
            bytes.truncate(cut.index(bytes.len()));
        }
        LARGEST.set(0);
        let outcome = cifar100::from_archive(&bytes, Labels::Fine);
        let largest = LARGEST.get();
        prop_assert!(largest < 1 << 18, "allocated {largest} for {} bytes", bytes.len());
        if let Ok(splits) = outcome {
            for set in [splits.train, splits.test] {
                prop_assert_eq!(set.images.len(), set.len() * 3072);
                prop_assert!(set.labels.iter().all(|&label| label < 100));
            }
        }
    }
}
