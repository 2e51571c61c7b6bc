//! What the benches share: the networks, their kernels and what these must cost, jobs that run in a process of their own, tables and plots.

#![allow(dead_code, reason = "each bench uses a part of it")]

pub mod bare;
pub mod bars;
pub mod job;
pub mod kernel;
pub mod line;
pub mod look;
pub mod network;
pub mod peaks;
pub mod peer;
pub mod plot;
pub mod table;
pub mod turns;

use anyhow::{Context, Result};
use gradus::Device;
use std::path::Path;

/// The device of this name; `gpu` is the first hardware adapter or the one that `GRADUS_DEVICE` names.
pub fn device(name: &str) -> Result<Device> {
    Ok(if name.eq_ignore_ascii_case("gpu") { Device::gpu()? } else { Device::named(name)? })
}

/// Whether it is a CPU that plays a GPU: there a step takes seconds, and fewer of them tell as much.
pub fn is_software(device: &Device) -> bool {
    matches!(device, Device::Gpu(gpu) if gpu.traits().software)
}

/// The middle of some numbers, the upper one of two.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// To three digits behind the point: no clock here knows more.
pub fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// A whole number of at least 1, from the command line.
pub fn at_least_one(parser: &mut lexopt::Parser, option: &str) -> Result<usize> {
    let value: usize = lexopt::ValueExt::parse(&parser.value()?).with_context(|| option.to_string())?;
    anyhow::ensure!(value > 0, "{option} must be at least 1");
    Ok(value)
}

/// Prints what a bench says of itself, the lines at the head of its source, and ends the process.
pub fn help(source: &str) -> ! {
    for line in source.lines().map_while(|line| line.strip_prefix("//!")) {
        println!("{}", line.strip_prefix(' ').unwrap_or(line));
    }
    std::process::exit(0)
}

/// Memory of this process in MB: what it has (`VmRSS`) or what it had at its highest (`VmHWM`), where the system says so.
pub fn memory_mb(field: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with(field))?;
    Some(round(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0))
}

/// Seconds that this thread was on a processor, where the system says so.
pub fn thread_seconds() -> Option<f64> {
    on_processor("/proc/thread-self".as_ref())
}

/// Seconds that the threads of this process were on a processor, where the system says so.
pub fn process_seconds() -> Option<f64> {
    std::fs::read_dir("/proc/self/task").ok()?.map(|task| on_processor(&task.ok()?.path())).sum()
}

fn on_processor(task: &Path) -> Option<f64> {
    let times = std::fs::read_to_string(task.join("schedstat")).ok()?;
    Some(times.split_whitespace().next()?.parse::<f64>().ok()? / 1e9)
}
