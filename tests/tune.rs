//! Kernels that are chosen by measuring: the numbers stay right, and what was found is kept and used again.

use gradus::device::adapters;
use gradus::device::gpu::{GpuOptions, Tuning};
use gradus::testing::{close, gpu, same_bits};
use gradus::{Device, Error, Result, Tensor};
use std::fs;
use std::path::{Path, PathBuf};

/// A device of its own on the adapter that tests run on, with the kernels that are for cards: for those there is something to choose.
fn open(shared: &Device, tuning: Tuning) -> Result<Device> {
    let Device::Gpu(gpu) = shared else { unreachable!("`testing::gpu` gives a GPU") };
    let adapter = adapters().into_iter().find(|a| a.name() == gpu.name()).expect("it was found by name");
    adapter.open(GpuOptions { default_limits: true, hardware_kernels: true, tuning, ..GpuOptions::default() })
}

fn product(device: &Device, [m, n, k]: [usize; 3]) -> Result<Vec<f64>> {
    let numbers = |count: usize| (0..count).map(|i| ((i * 7 % 23) as f32 - 11.0) / 16.0).collect::<Vec<f32>>();
    let (a, b) = (Tensor::new(device, [m, k], &numbers(m * k))?, Tensor::new(device, [k, n], &numbers(k * n))?);
    Ok(a.matmul(&b)?.relu()?.to_vec::<f32>()?.into_iter().map(f64::from).collect())
}

fn lines(file: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).expect("the file is there");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once('\t').map(|(what, kernel)| (what.into(), kernel.into())).expect("two parts")).collect()
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tune-{name}"))
}

#[test]
fn what_was_measured_is_kept_and_used_again() -> Result<()> {
    let Some(shared) = gpu("measured kernels") else { return Ok(()) };
    let path = file("kept.txt");
    let _ = fs::remove_file(&path);
    let sizes = [[70, 90, 200], [5, 130, 64]];
    let measuring = open(&shared, Tuning::Measured(path.clone()))?;
    let measured = sizes.map(|size| product(&measuring, size).expect("a product"));
    for (size, values) in sizes.into_iter().zip(&measured) {
        close(values, &product(&Device::cpu(), size)?, 1e-5, 1e-5).unwrap_or_else(|difference| panic!("{size:?}: {difference}"));
    }
    let found = lines(&path);
    println!("{found:#?}");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|(what, _)| what.starts_with("matmul ")), "{found:?}");

    let pinned = open(&shared, Tuning::Pinned(path.clone()))?;
    for (size, values) in sizes.into_iter().zip(&measured) {
        same_bits(&product(&pinned, size)?, values).unwrap_or_else(|difference| panic!("{size:?}: {difference}"));
    }
    product(&pinned, [9, 9, 9])?;
    assert_eq!(lines(&path), found, "a pinned choice measures nothing");
    product(&measuring, [33, 65, 9])?;
    assert_eq!(lines(&path).len(), 3);
    Ok(())
}

/// The file decides: each kernel that it may name runs, and each of them multiplies.
#[test]
fn the_file_decides() -> Result<()> {
    let Some(shared) = gpu("kernels by file") else { return Ok(()) };
    let (path, size) = (file("decides.txt"), [300, 260, 600]);
    let _ = fs::remove_file(&path);
    product(&open(&shared, Tuning::Measured(path.clone()))?, size)?;
    let what = lines(&path).remove(0).0;
    let expected = product(&Device::cpu(), size)?;
    let mut pipelines = Vec::new();
    for kernel in ["128x128 by 256", "64x64 by 256", "16x64 by 64", "of another version"] {
        fs::write(&path, format!("# mine\n{what}\t{kernel}\n")).expect("a file that can be written");
        let device = open(&shared, Tuning::Pinned(path.clone()))?;
        close(&product(&device, size)?, &expected, 1e-5, 1e-5).unwrap_or_else(|difference| panic!("{kernel}: {difference}"));
        pipelines.push(device.stats().pipelines);
    }
    // Few large tiles share a deep sum, whose parts a second kernel adds up; many small ones do not.
    assert!(pipelines.iter().any(|&count| count != pipelines[0]), "every kernel made {} pipelines", pipelines[0]);
    Ok(())
}

#[test]
fn errors_name_the_file() -> Result<()> {
    let Some(shared) = gpu("files of kernels") else { return Ok(()) };
    let path = file("wrong.txt");
    fs::write(&path, "# mine\nno tab here\n").expect("a file that can be written");
    for tuning in [Tuning::Measured(path.clone()), Tuning::Pinned(path)] {
        let error = open(&shared, tuning).expect_err("the line has one part");
        assert!(matches!(error.root(), Error::Argument { .. }) && error.to_string().contains("wrong.txt: line 2"), "{error}");
    }
    let error = open(&shared, Tuning::Pinned(file("nowhere.txt"))).expect_err("there is no such file");
    assert!(error.to_string().contains("nowhere.txt"), "{error}");
    Ok(())
}
