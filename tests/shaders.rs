//! Every shader, as its file stands and as operations specialise it, through naga to SPIR-V, MSL and HLSL, within the limits that every adapter
//! has. Needs no GPU.

#[path = "shaders/computations.rs"]
mod computations;

use computations::computations;
use gradus::device::gpu::Shader;
use gradus::optimizers::{LossScaleOptimizer, Optimizer, SGD};
use gradus::testing::{shaders_of, without_fusion};
use gradus::{DType, Device, GradientTape, Result, Tensor, Variable, f16};
use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const MOST_STORAGE_BUFFERS: usize = 8;
const MOST_THREADS: u32 = 256;
const MOST_SHARED_BYTES: u32 = 16 << 10;

/// What is wrong with a text.
fn faults(text: &str) -> Result<(), String> {
    let module = naga::front::wgsl::parse_str(text).map_err(|e| e.emit_to_string(text))?;
    // A shader that hands values around in a subgroup runs only where that was asked for, and so does one that stores f16 or 64 bits.
    let mut capabilities = Capabilities::empty();
    capabilities.set(Capabilities::SUBGROUP, text.contains("subgroupShuffle"));
    capabilities.set(Capabilities::SHADER_FLOAT16, text.contains("enable f16;"));
    capabilities.set(Capabilities::SHADER_INT64, text.contains("u64>"));
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .map_err(|e| format!("not valid: {}", e.emit_to_string(text)))?;
    within_limits(&module)?;
    let options = spv::Options { lang_version: (1, 3), ..Default::default() };
    spv::write_vec(&module, &info, &options, None).map_err(|e| format!("SPIR-V: {e}"))?;
    let options = msl::Options { fake_missing_bindings: true, ..Default::default() };
    msl::write_string(&module, &info, &options, &msl::PipelineOptions::default()).map_err(|e| format!("MSL: {e}"))?;
    let mut text = String::new();
    let options = hlsl::Options { fake_missing_bindings: true, ..Default::default() };
    let pipeline = hlsl::PipelineOptions::default();
    hlsl::Writer::new(&mut text, &options, &pipeline).write(&module, &info, None).map_err(|e| format!("HLSL: {e}"))?;
    Ok(())
}

fn within_limits(module: &naga::Module) -> Result<(), String> {
    let mut storage = 0;
    let mut shared = 0;
    for (_, variable) in module.global_variables.iter() {
        match variable.space {
            naga::AddressSpace::Storage { .. } => storage += 1,
            naga::AddressSpace::WorkGroup => shared += module.types[variable.ty].inner.size(module.to_ctx()),
            _ => {}
        }
    }
    if storage > MOST_STORAGE_BUFFERS {
        return Err(format!("{storage} storage buffers"));
    }
    if shared > MOST_SHARED_BYTES {
        return Err(format!("{shared} bytes of workgroup memory"));
    }
    let [entry] = &module.entry_points[..] else { return Err(format!("{} entry points", module.entry_points.len())) };
    let [x, y, z] = entry.workgroup_size;
    if entry.name != "main" || x * y * z > MOST_THREADS {
        return Err(format!("entry {} of {x}×{y}×{z} threads", entry.name));
    }
    Ok(())
}

/// The WGSL files of a folder.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("a folder of shaders");
    let mut files: Vec<PathBuf> =
        entries.map(|e| e.expect("an entry").path()).filter(|p| p.extension().is_some_and(|e| e == "wgsl")).collect();
    files.sort();
    assert!(!files.is_empty(), "no shaders in {folder}");
    files
}

#[test]
fn files_stand_by_themselves() {
    let mut failures = Vec::new();
    for path in files("shaders") {
        let text = std::fs::read_to_string(&path).expect("a readable file");
        if let Err(fault) = faults(&text) {
            failures.push(format!("{}: {fault}", path.display()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn files_name_their_op() {
    for path in files("shaders") {
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let head: String = text.lines().take_while(|l| l.starts_with("//")).collect::<Vec<_>>().join(" ");
        let named = head
            .split_whitespace()
            .map(|w| w.trim_matches(['(', ')', '.', ',', ';', ':']))
            .find(|w| w.starts_with("src/ops/"))
            .unwrap_or_default();
        let op = Path::new(env!("CARGO_MANIFEST_DIR")).join(named);
        assert!(!named.is_empty() && op.exists(), "{}: its first line names no file of an op: {head}", path.display());
        let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        // An op that outgrew its file has a folder beside it.
        let source = std::fs::read_to_string(&op).unwrap_or_default() + &read_folder(&op.with_extension(""));
        assert!(source.contains(&format!("{stem}.wgsl")), "{named} does not use {stem}.wgsl");
    }
}

fn read_folder(folder: &Path) -> String {
    std::fs::read_dir(folder).into_iter().flatten().filter_map(|f| std::fs::read_to_string(f.ok()?.path()).ok()).collect()
}

/// The faults must be found, or the tests above prove nothing.
#[test]
fn faults_are_found() {
    let good = "@compute @workgroup_size(64) fn main() {}";
    assert_eq!(faults(good), Ok(()));
    let nine: String =
        (0..9).map(|i| format!("@group(0) @binding({i}) var<storage, read_write> b{i}: array<f32>;\n")).collect::<String>() + good;
    for bad in [
        "@compute @workgroup_size(64) fn main() { let x: u32 = 1.0; }",
        "@compute @workgroup_size(512) fn main() {}",
        "var<workgroup> a: array<f32, 5000>; @compute @workgroup_size(64) fn main() { a[0] = 1.0; }",
        "@compute @workgroup_size(64) fn other() {}",
        nine.as_str(),
    ] {
        assert!(faults(bad).is_err(), "{bad}");
    }
}

/// Forward, gradient, and gradient of the gradient of one computation on inputs of these shapes.
fn differentiate(shapes: &[&[usize]], dtype: DType, f: &dyn Fn(&[Tensor]) -> Result<Tensor>) -> Result<()> {
    let cpu = Device::cpu();
    let inputs = shapes.iter().map(|s| Tensor::full(&cpu, *s, dtype, 0.5)).collect::<Result<Vec<_>>>()?;
    let (outer, inner) = (GradientTape::new(), GradientTape::new());
    inputs.iter().for_each(|x| {
        outer.watch(x);
        inner.watch(x);
    });
    let y = f(&inputs)?;
    let first = inner.gradient(&y.square()?, &inputs)?.into_vec();
    let mut total = y.sum_all()?;
    for gradient in first.iter().flatten() {
        total = total.add(&gradient.square()?.sum_all()?)?;
    }
    let second = outer.gradient(&total, &inputs)?.into_vec();
    y.synchronize_for_test()?;
    first.iter().chain(&second).flatten().try_for_each(Run::synchronize_for_test)
}

fn indices(dtype: DType) -> Result<()> {
    let cpu = Device::cpu();
    let labels = Tensor::new(&cpu, [4], &[0u32, 2, 1, 2])?;
    differentiate(&[&[4, 5]], dtype, &|x| x[0].sparse_softmax_crossentropy(&labels))?;
    differentiate(&[&[4, 5]], dtype, &|x| x[0].gather(&labels))?;
    let run = |t: Result<Tensor>| t?.synchronize_for_test();
    let numbers = Tensor::full(&cpu, [4, 5], dtype, 0.5)?;
    run(labels.one_hot_as(3, dtype))?;
    run(labels.gather(&labels))?;
    run(numbers.argmax(1))?;
    run(Tensor::new(&cpu, [3, 5], &[7u8; 15])?.gather(&labels)?.cast(DType::F32))?;
    run(labels.add(&labels)?.div(&labels)?.maximum(&labels)?.cast(DType::I32)?.neg())?;
    run(labels.transpose(&[0])?.slice(&[1..3])?.pad(&[(1, 1)], 4.0))?;
    let random = gradus::ops::random::SeedGenerator::new(&cpu, 1)?;
    run(random.uniform_as([3], dtype))?;
    run(random.normal_as([3], dtype))?;
    run(random.bernoulli([3], 0.5))?;
    // Asked of gradients, of one and of several.
    for count in [1, 3] {
        let variables = (0..count).map(|i| Variable::new(format!("v{i}"), &Tensor::zeros(&cpu, [4])?)).collect::<Result<Vec<_>>>()?;
        let mut optimizer = LossScaleOptimizer::new(SGD::default());
        optimizer.build(&variables)?;
        let pairs = variables.iter().map(|v| Ok((Tensor::zeros(&cpu, [4])?, v.clone()))).collect::<Result<Vec<_>>>()?;
        optimizer.apply(&pairs, None)?;
        run(variables[0].value())?;
    }
    Ok(())
}

trait Run {
    fn synchronize_for_test(&self) -> Result<()>;
}

impl Run for Tensor {
    fn synchronize_for_test(&self) -> Result<()> {
        match self.dtype() {
            DType::F16 => self.to_vec::<f16>().map(|_| ()),
            DType::U32 => self.to_vec::<u32>().map(|_| ()),
            DType::I32 => self.to_vec::<i32>().map(|_| ()),
            DType::U8 => self.to_vec::<u8>().map(|_| ()),
            _ => self.to_vec::<f32>().map(|_| ()),
        }
    }
}

#[test]
fn every_specialisation_is_valid_everywhere() {
    let mut texts: BTreeSet<(String, String)> = BTreeSet::new();
    let mut collect = |shaders: Result<Vec<Shader>>| {
        texts.extend(shaders.expect("the computation and its launches").into_iter().map(|s| (s.name().to_string(), s.text().to_string())));
    };
    for dtype in [DType::F32, DType::F16] {
        for (shapes, f) in computations() {
            collect(shaders_of(|| differentiate(&shapes, dtype, &f)));
            collect(without_fusion(|| shaders_of(|| differentiate(&shapes, dtype, &f))));
        }
        collect(shaders_of(|| indices(dtype)));
        collect(without_fusion(|| shaders_of(|| indices(dtype))));
    }
    let mut failures: Vec<String> = Vec::new();
    for (name, text) in &texts {
        if let Err(fault) = faults(text) {
            failures.push(format!("{name}: {fault}\n{text}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    println!("{} shader texts", texts.len());
    // Every file must have been met: a shader that no computation here reaches is not tested.
    let met = |path: &Path| {
        let head = std::fs::read_to_string(path).expect("a readable file").lines().next().unwrap_or_default().to_string();
        texts.iter().any(|(_, text)| text.lines().any(|line| line == head))
    };
    let missed: Vec<PathBuf> = files("shaders").into_iter().chain(files("shaders/parts")).filter(|path| !met(path)).collect();
    assert!(missed.is_empty(), "no computation here uses {missed:?}");
}
