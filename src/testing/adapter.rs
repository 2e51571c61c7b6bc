//! The adapter that tests run on.

use crate::device::gpu::GpuOptions;
use crate::device::{Device, adapters};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Set to 1, it turns a skipped GPU check into a failure.
const REQUIRE: &str = "GRADUS_REQUIRE_GPU";

static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// The adapter that tests run on: the one `GRADUS_DEVICE` names, or the best there is, a software one too; with exactly the limits that every
/// adapter has, and with shaders checked. `None`, counted and printed, where there is none.
///
/// # Panics
/// If there is none and `GRADUS_REQUIRE_GPU` is set.
pub fn gpu(what: &str) -> Option<Device> {
    static GPU: OnceLock<Option<Device>> = OnceLock::new();
    let found = GPU.get_or_init(|| open(false));
    if found.is_none() {
        assert!(std::env::var(REQUIRE).map_or(true, |v| v != "1"), "{what}: {REQUIRE}=1, and no adapter was found");
        let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
        // Past the harness's capture of a passing test's output: a skip must be seen.
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "skipped, no adapter ({count} so far in this process): GPU check of {what}");
    }
    found.clone()
}

/// The adapter of [`gpu`], opened for one test alone: its counters tell what that test did.
#[cfg(test)]
pub(crate) fn own_gpu(what: &str) -> Option<Device> {
    gpu(what).and_then(|_| open(false))
}

/// The adapter of [`gpu`], where it is a CPU that plays a GPU, opened so that it runs the kernels that are for graphics hardware.
pub fn gpu_with_hardware_kernels() -> Option<Device> {
    static GPU: OnceLock<Option<Device>> = OnceLock::new();
    GPU.get_or_init(|| open(true)).clone()
}

fn open(hardware_kernels: bool) -> Option<Device> {
    let wanted = std::env::var("GRADUS_DEVICE").unwrap_or_default().to_lowercase();
    if wanted == "cpu" {
        return None;
    }
    let adapter = adapters().into_iter().find(|a| wanted == "gpu" || a.to_string().to_lowercase().contains(&wanted))?;
    if hardware_kernels && !adapter.is_software() {
        return None;
    }
    let options = GpuOptions { default_limits: true, checked_shaders: true, hardware_kernels, ..GpuOptions::default() };
    Some(adapter.open(options).unwrap_or_else(|e| panic!("{adapter}: {e}")))
}
