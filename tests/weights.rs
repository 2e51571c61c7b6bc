//! Weights in files: what is saved is loaded, training goes on to the same bits, and no damaged or foreign file does harm.

use gradus::layers::{Dense, Dropout};
use gradus::models::Sequential;
use gradus::optimizers::{Adam, SGD};
use gradus::train::{Data, Fit, Samples, Verbose};
use gradus::{Device, Error, Result};
use ndarray::ArrayD;
use std::path::{Path, PathBuf};

/// A file in the temporary folder, removed at the end.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Temporary {
        Temporary(std::env::temp_dir().join(format!("gradus-weights-{name}-{}.safetensors", std::process::id())))
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.0).expect("written")
    }

    fn with(self, bytes: &[u8]) -> Temporary {
        std::fs::write(&self.0, bytes).expect("a temporary file");
        self
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

fn plain(device: &Device, seed: u64) -> Sequential {
    let dropout = Sequential::new().add(Dense::new(3)).add(Dropout::new(0.25)).named("inner");
    let layers = Sequential::new().add(Dense::new(4).activation("tanh")).add(Dropout::new(0.5)).add(dropout).add(Dense::new(1));
    layers.input([2]).seed(seed).on_device(device)
}

fn model(device: &Device, seed: u64) -> Result<Sequential> {
    let mut model = plain(device, seed);
    model.compile(Adam::new(0.01), "mse", ())?;
    Ok(model)
}

fn data() -> Data {
    let x: Vec<f32> = (0..40).map(|i| (0.7 * i as f32).sin()).collect();
    let y: Vec<f32> = x.chunks(2).map(|pair| pair[0] * pair[1]).collect();
    let y = Samples::new([20, 1], &y).expect("one per sample");
    Data::new(Samples::new([20, 2], &x).expect("two per sample"), y).expect("as many labels")
}

fn epochs(from: usize, to: usize) -> Fit<'static> {
    Fit { initial_epoch: from, epochs: to, batch_size: 8, verbose: Verbose::Silent, ..Fit::default() }
}

fn bits(model: &Sequential) -> Result<Vec<Vec<u32>>> {
    Ok(model.get_weights()?.iter().map(|w: &ArrayD<f32>| w.iter().map(|x| x.to_bits()).collect()).collect())
}

#[test]
fn training_goes_on_to_the_same_bits() -> Result<()> {
    for device in std::iter::once(Device::cpu()).chain(gradus::testing::gpu("training on from a file")) {
        let file = Temporary::new(if device.is_gpu() { "gpu" } else { "cpu" });
        let mut whole = model(&device, 5)?;
        whole.fit(data(), epochs(0, 4))?;
        let mut first = model(&device, 5)?;
        first.fit(data(), epochs(0, 2))?;
        first.save_weights(&file.0)?;
        let halfway = bits(&first)?;
        // The file, not what the first model became since, is what counts.
        first.fit(data(), epochs(2, 3))?;
        let second = model(&device, 6)?;
        assert_ne!(bits(&second)?, halfway, "{device}: another seed, other weights");
        second.load_weights(&file.0)?;
        assert_eq!(bits(&second)?, halfway, "{device}");
        // The order of samples follows from the seed, which is the program's.
        let mut second = second.seed(5);
        let history = second.fit(data(), epochs(2, 4))?;
        assert_eq!(history.epochs, [2, 3]);
        assert_eq!(bits(&second)?, bits(&whole)?, "{device}");
        // And a model that has trained on forgets that.
        first.load_weights(&file.0)?;
        first.fit(data(), epochs(2, 4))?;
        assert_eq!(bits(&first)?, bits(&whole)?, "{device}");
    }
    Ok(())
}

#[test]
fn a_file_names_everything_in_order() -> Result<()> {
    let file = Temporary::new("names");
    let mut model = model(&Device::cpu(), 0)?;
    model.fit(data(), epochs(0, 1))?;
    model.save_weights(&file.0)?;
    let bytes = file.bytes();
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).expect("JSON");
    let names: Vec<&String> = header.as_object().expect("an object").keys().collect();
    let text = String::from_utf8_lossy(&bytes[8..8 + length]).into_owned();
    let places: Vec<usize> = [
        "__metadata__",
        "dense/kernel",
        "dense/bias",
        "dense_2/bias",
        "dropout/seed_generator_state",
        "inner/dropout_1/seed_generator_state",
        "optimizer/adam/iteration",
        "optimizer/adam/learning_rate",
        "optimizer/adam/dense/kernel/momentum",
        "optimizer/adam/dense/kernel/velocity",
    ]
    .iter()
    .map(|name| text.find(&format!("\"{name}\"")).unwrap_or_else(|| panic!("no {name} in {names:?}")))
    .collect();
    assert!(places.is_sorted(), "{text}");
    // 6 weights, 2 states of random layers, 2 numbers of the optimizer and 2 slots for each weight.
    assert_eq!(names.len(), 1 + 6 + 2 + 2 + 12, "{names:?}");
    let kernel = &header["dense/kernel"];
    assert_eq!((kernel["dtype"].as_str(), kernel["shape"].to_string()), (Some("F32"), "[2,4]".to_string()));
    let from = 8 + length + kernel["data_offsets"][0].as_u64().expect("a number") as usize;
    let numbers: Vec<f32> = bytes[from..from + 32].chunks(4).map(|b| f32::from_le_bytes(b.try_into().expect("four"))).collect();
    assert_eq!(numbers, model.get_weights()?[0].iter().copied().collect::<Vec<f32>>());
    Ok(())
}

#[test]
fn other_optimizers_and_none_take_the_weights_alone() -> Result<()> {
    let file = Temporary::new("optimizers");
    let mut first = model(&Device::cpu(), 1)?;
    first.fit(data(), epochs(0, 1))?;
    first.save_weights(&file.0)?;
    let mut other = plain(&Device::cpu(), 2);
    other.compile(SGD::new(0.5), "mse", ())?;
    other.load_weights(&file.0)?;
    assert_eq!(bits(&other)?, bits(&first)?);
    assert_eq!(other.learning_rate()?, 0.5);
    let mut bare = plain(&Device::cpu(), 3);
    let error = bare.load_weights(&file.0).expect_err("no weights yet").to_string();
    assert!(error.contains("it has no weights yet"), "{error}");
    bare.build([2])?;
    bare.load_weights(&file.0)?;
    assert_eq!(bits(&bare)?, bits(&first)?);
    // What an uncompiled model writes is read by a compiled one, whose optimizer stays as it is.
    bare.save_weights(&file.0)?;
    first.fit(data(), epochs(1, 2))?;
    first.load_weights(&file.0)?;
    assert_eq!(first.compiled().expect("compiled").optimizer().iterations()?, 6);
    assert_eq!(bits(&bare)?, bits(&first)?);
    Ok(())
}

/// A safetensors file by hand: names, shapes, and all numbers 0.
fn made(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let (mut members, mut at) = (Vec::new(), 0);
    for (name, shape) in tensors {
        let end = at + 4 * shape.iter().product::<usize>();
        members.push(format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":{shape:?},\"data_offsets\":[{at},{end}]}}"));
        at = end;
    }
    let json = format!("{{{}}}", members.join(","));
    file_of(&json, &vec![0; at])
}

fn file_of(json: &str, data: &[u8]) -> Vec<u8> {
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), data].concat()
}

/// Where a name stands in a file.
fn place(file: &[u8], name: &str) -> u64 {
    let name = format!("\"{name}\"");
    file.windows(name.len()).position(|w| w == name.as_bytes()).expect("there") as u64
}

#[test]
fn foreign_files_are_taken_in_any_order_or_refused_whole() -> Result<()> {
    let mut model = Sequential::new().add(Dense::new(3)).input([2]).on_device(&Device::cpu());
    model.compile(SGD::new(0.1), "mse", ())?;
    let before = bits(&model)?;
    let refused = |bytes: &[u8], offset: u64, says: &str| {
        let file = Temporary::new("foreign").with(bytes);
        let error = model.load_weights(&file.0).expect_err(says);
        assert!(matches!(&error, Error::Data { path, offset: at, .. } if *path == file.0 && *at == offset), "{error:?}");
        assert!(error.to_string().contains(says), "{error} instead of {says}");
        assert_eq!(bits(&model).expect("read"), before, "{says}");
    };
    let (kernel, bias): (&[usize], &[usize]) = (&[2, 3], &[3]);
    let good = made(&[("dense/bias", bias), ("dense/kernel", kernel)]);
    let without = made(&[("dense/kernl", kernel), ("dense/bias", bias)]);
    let says = "the file has no weight \"dense/kernel\" but dense/kernl, dense/bias; did you mean \"dense/kernl\"?";
    refused(&without, 8, says);
    let more = made(&[("dense/kernel", kernel), ("dense/bias", bias), ("dense_1/bias", bias)]);
    refused(&more, place(&more, "dense_1/bias"), "the model has no weight \"dense_1/bias\"; did you mean \"dense/bias\"?");
    refused(&made(&[("dense/kernel", &[3, 2]), ("dense/bias", bias)]), 9, "\"dense/kernel\": expected f32[2, 3], found f32[3, 2]");
    refused(&good[..good.len() - 1], place(&good, "dense/kernel"), "its data end at 36, the file's at 35; it was cut off");
    refused(&good[..20], 20, "the file ends within its header");
    refused(&made(&[]), 8, "the file has no weight \"dense/kernel\" but none");
    refused(b"", 0, "expected 8 bytes with the header's length, the file has 0");
    refused(&file_of("no JSON", b""), 8, "expected '{', found 'n'");
    refused(
        &file_of(r#"{"__metadata__": {"gradus": "2"}}"#, b""),
        8,
        "expected version 1 of the file, found \"2\"; a newer gradus wrote it",
    );
    let file = Temporary::new("good").with(&good);
    model.load_weights(&file.0)?;
    assert!(model.get_weights()?.iter().flatten().all(|w| *w == 0.0));
    Ok(())
}

#[test]
fn paths_are_checked_and_no_part_stays() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("gradus-weights-folder-{}", std::process::id()));
    let mut model = model(&Device::cpu(), 0)?;
    model.build([2])?;
    let error = model.save_weights(folder.join("a.h5")).expect_err("another format").to_string();
    assert!(error.starts_with("save_weights: path: expected a file name that ends in .safetensors, got"), "{error}");
    let inner = folder.join("made/as/needed");
    model.save_weights(inner.join("a.safetensors"))?;
    model.save_weights(inner.join("a.safetensors"))?;
    std::fs::create_dir(inner.join("b.safetensors")).expect("a folder");
    assert!(matches!(model.save_weights(inner.join("b.safetensors")), Err(Error::Io { .. })), "a folder has the name");
    let mut names: Vec<String> =
        std::fs::read_dir(&inner).expect("made").map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    assert_eq!(names, ["a.safetensors", "b.safetensors"]);
    assert!(matches!(model.load_weights(folder.join("none.safetensors")), Err(Error::Io { .. })));
    assert!(Path::new(&inner).exists());
    std::fs::remove_dir_all(&folder).ok();
    Ok(())
}
