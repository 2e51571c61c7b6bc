//! A measured choice among kernels that compute the same, kept in a file.
//!
//! Usually the choice is a fixed rule by shape and class of adapter, so that an adapter always computes the same bits. A measured choice may be
//! faster; since it can turn out one way or the other, what was found is written down and used ever after, by whoever has the file.

use super::{Dispatch, Gpu, GpuProgram};
use crate::clock::Stopwatch;
use crate::compile::plan::{Plan, Slot, Step};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::shape::Spec;
use crate::tensor::lock;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// How a device chooses among kernels that compute the same. The environment decides it for devices that are found by name:
/// `GRADUS_TUNE=1` measures and writes what it finds to the folder `tune` in `$GRADUS_HOME` or else in the user's cache folder, a file for each
/// adapter; `GRADUS_TUNE=pinned` uses what is there and measures nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tuning {
    /// By a fixed rule.
    #[default]
    Off,
    /// By what was the fastest according to this file. What it does not know is measured and added to it.
    Measured(PathBuf),
    /// By what was the fastest according to this file, and by the fixed rule where it says nothing. It must exist.
    Pinned(PathBuf),
}

/// What the file begins with.
const HEAD: &str = "# The fastest kernels on this adapter, a line for each product: what is computed, a tab, the kernel.\n";

/// A kernel is timed until its runs took so long together.
const LONG_ENOUGH: Duration = Duration::from_millis(4);

/// How often it is timed; the shortest time counts, for what disturbs makes it only longer.
const ROUNDS: usize = 3;

impl Tuning {
    /// What the environment says for an adapter with this name and driver.
    ///
    /// # Errors
    /// [`Error::Argument`] for another value of `GRADUS_TUNE`, and if there is no folder for the file.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn of_environment(info: &wgpu::AdapterInfo) -> Result<Tuning> {
        let adapter = format!("{} {} {} {}", info.name, info.backend, info.driver, info.driver_info);
        Tuning::of(&std::env::var("GRADUS_TUNE").unwrap_or_default(), &adapter)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn of(value: &str, adapter: &str) -> Result<Tuning> {
        let from_file = match value {
            "" | "0" => return Ok(Tuning::Off),
            "1" => Tuning::Measured,
            "pinned" => Tuning::Pinned,
            other => return Err(Error::argument("GRADUS_TUNE", "0, 1 or pinned", other)),
        };
        let name: Vec<&str> = adapter.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        Ok(from_file(crate::data::fetch::cache_folder()?.join("tune").join(format!("{}.txt", name.join("-")))))
    }
}

/// What is known of the fastest kernels.
pub(super) struct Tuner {
    path: PathBuf,
    measures: bool,
    known: Mutex<BTreeMap<String, String>>,
}

/// Which kernel an operation's launch takes of several.
#[derive(Clone, Copy)]
pub(crate) enum Choice<'a> {
    /// The first, which is the usual one.
    Usual,
    /// What is known to be the fastest, by what is computed.
    Known(&'a BTreeMap<String, String>),
    /// For this computation the kernel of this number, while it is measured.
    Forced(&'a str, usize),
}

/// A choice that nobody has made yet: what is computed, and the kernels for it.
pub(crate) struct Open {
    pub what: String,
    pub kernels: Vec<String>,
}

impl Tuner {
    /// `None` without tuning.
    pub fn new(tuning: Tuning) -> Result<Option<Tuner>> {
        let (path, measures) = match tuning {
            Tuning::Off => return Ok(None),
            Tuning::Measured(path) => (path, true),
            Tuning::Pinned(path) => (path, false),
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if measures && error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::io(&path, &error)),
        };
        let mut known = BTreeMap::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
            let Some((what, kernel)) = line.split_once('\t') else {
                let place = format!("{}: line {}", path.display(), number + 1);
                return Err(Error::argument(place, "what is computed, a tab, and a kernel", line));
            };
            known.insert(what.to_string(), kernel.to_string());
        }
        Ok(Some(Tuner { path, measures, known: Mutex::new(known) }))
    }

    fn keep(&self, what: String, kernel: String) -> Result<()> {
        let mut known = lock(&self.known);
        known.insert(what, kernel);
        let mut text = HEAD.to_string();
        for (what, kernel) in known.iter() {
            let _ = writeln!(text, "{what}\t{kernel}");
        }
        write(&self.path, &text)
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn write(path: &Path, text: &str) -> Result<()> {
    let mut file = crate::io::PartFile::create(path)?;
    file.write(text.as_bytes())?;
    file.keep_as(path)
}

#[cfg(target_arch = "wasm32")]
fn write(path: &Path, _: &str) -> Result<()> {
    Err(Error::argument("Tuning", "Tuning::Off: a browser has no files", path.display()))
}

/// The dispatches of one step, by kernels that are measured first where that is wanted, and the bytes of its scratch buffers.
pub(crate) fn lower(device: &Device, gpu: &Gpu, step: &Step) -> Result<(Vec<Dispatch>, Vec<usize>)> {
    let Some(tuner) = &gpu.tuner else { return Ok(gpu.lower(step, Choice::Usual)?.0) };
    loop {
        let known = lock(&tuner.known).clone();
        let (lowered, open) = gpu.lower(step, Choice::Known(&known))?;
        let Some(Open { what, kernels }) = open.filter(|_| tuner.measures) else { return Ok(lowered) };
        let mut times = Vec::with_capacity(kernels.len());
        for kernel in 0..kernels.len() {
            let (dispatches, scratch) = gpu.lower(step, Choice::Forced(&what, kernel))?.0;
            times.push(time(device, gpu, step, dispatches, &scratch)?);
        }
        let fastest = (0..kernels.len()).min_by_key(|&kernel| times[kernel]).expect("a choice among some kernels");
        tuner.keep(what, kernels[fastest].clone())?;
    }
}

/// How long a run of a step takes.
fn time(device: &Device, gpu: &Gpu, step: &Step, dispatches: Vec<Dispatch>, scratch: &[usize]) -> Result<Duration> {
    let plan = alone(step, scratch);
    let program = GpuProgram::build(gpu, &plan, vec![dispatches])?;
    let bytes = |slot: &Slot| match slot {
        Slot::Output { bytes } | Slot::Temporary { bytes } => *bytes,
        Slot::Input(_) => unreachable!("`alone` makes none"),
    };
    let slots = plan.slots.iter().map(|slot| device.allocate(bytes(slot))).collect::<Result<Vec<_>>>()?;
    let timed = |runs: u32| -> Result<Duration> {
        gpu.wait()?;
        let start = Stopwatch::start();
        for _ in 0..runs {
            program.run(gpu, &plan, &slots)?;
        }
        gpu.wait()?;
        Ok(start.elapsed())
    };
    // The first run of a pipeline may still compile it.
    timed(1)?;
    let once = timed(1)?.max(Duration::from_micros(1));
    let runs = (LONG_ENOUGH.as_secs_f64() / once.as_secs_f64()).ceil().clamp(1.0, 1000.0) as u32;
    let mut best = once;
    for _ in 0..ROUNDS {
        best = best.min(timed(runs)? / runs);
    }
    Ok(best)
}

/// A plan of one step, with memory of its own for everything.
fn alone(step: &Step, scratch: &[usize]) -> Plan {
    let bytes = step.inputs.iter().map(Spec::bytes);
    let mut slots: Vec<Slot> = bytes.map(|bytes| Slot::Temporary { bytes }).collect();
    let mut new = |bytes| {
        slots.push(Slot::Temporary { bytes });
        slots.len() - 1
    };
    let outputs = step.outputs.iter().zip(&step.in_place);
    let output_slots: Vec<usize> = outputs.map(|(spec, taken)| taken.unwrap_or_else(|| new(spec.bytes()))).collect();
    let step = Step {
        op: step.op.clone(),
        site: step.site.clone(),
        inputs: step.inputs.clone(),
        outputs: step.outputs.clone(),
        input_slots: (0..step.inputs.len()).collect(),
        output_slots,
        in_place: step.in_place.clone(),
        scratch_slots: scratch.iter().map(|&bytes| new(bytes)).collect(),
    };
    Plan { steps: vec![step], slots, outputs: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_environment_may_say() -> Result<()> {
        assert_eq!((Tuning::of("", "card")?, Tuning::of("0", "card")?), (Tuning::Off, Tuning::Off));
        let error = Tuning::of("yes", "card").expect_err("there is no such value").to_string();
        assert!(error.contains("GRADUS_TUNE") && error.contains("0, 1 or pinned") && error.contains("yes"), "{error}");
        // A file of its own for each adapter, whatever signs its name has.
        let path = |tuning| match tuning {
            Tuning::Measured(path) | Tuning::Pinned(path) => path,
            Tuning::Off => unreachable!("measured or pinned"),
        };
        let [measured, pinned] = [path(Tuning::of("1", "Card (R) 7/x 1.2")?), path(Tuning::of("pinned", "Card (R) 7/x 1.2")?)];
        assert!(measured == pinned && measured.ends_with("tune/Card-R-7-x-1-2.txt"), "{measured:?} {pinned:?}");
        Ok(())
    }
}
