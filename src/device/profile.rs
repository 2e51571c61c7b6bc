//! Where the time goes: every kernel of the programs that run while some work is profiled.

use crate::clock::Stopwatch;
use crate::compile::plan::Step;
use crate::error::Result;
use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

/// One kernel: the same operation of the same layer with the same outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelTime {
    /// The operation, or those that were fused into one kernel.
    pub kernel: String,
    /// Types and shapes of its outputs.
    pub outputs: String,
    /// The layer and the line that recorded it.
    pub site: String,
    /// How often it ran.
    pub runs: usize,
    /// All runs together.
    pub total: Duration,
}

/// What [`profile`] measured, longest first. Prints as a table.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// The kernels that ran.
    pub kernels: Vec<KernelTime>,
}

thread_local! {
    static OPEN: RefCell<Option<Profile>> = const { RefCell::new(None) };
}

/// Runs `work` and measures every kernel that this thread runs meanwhile.
///
/// On a GPU each kernel is then submitted by itself and waited for, so its time includes the way there and back, and the whole takes longer than
/// it otherwise does. Warm up first: what runs for the first time is also compiled. A profile inside a profile takes the kernels for itself.
///
/// ```
/// use gradus::{Device, Tensor, device};
///
/// let x = Tensor::new(&Device::cpu(), [2, 2], &[1.0f32, 2.0, 3.0, 4.0])?;
/// let (values, profile) = device::profile(|| x.matmul(&x)?.to_vec::<f32>());
/// assert_eq!(values?, [7.0, 10.0, 15.0, 22.0]);
/// assert_eq!(profile.kernels[0].kernel, "matmul");
/// println!("{profile}");
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn profile<R>(work: impl FnOnce() -> R) -> (R, Profile) {
    /// Puts back what was open before, also if `work` panics.
    struct Outer(Option<Profile>);
    impl Drop for Outer {
        fn drop(&mut self) {
            OPEN.set(self.0.take());
        }
    }
    let outer = Outer(OPEN.replace(Some(Profile::default())));
    let result = work();
    let mut profile = OPEN.take().unwrap_or_default();
    drop(outer);
    profile.kernels.sort_by_key(|kernel| std::cmp::Reverse(kernel.total));
    (result, profile)
}

/// Whether kernels of this thread are to be measured.
pub(crate) fn is_open() -> bool {
    OPEN.with_borrow(Option::is_some)
}

/// Runs a kernel, and measures it if a profile is open.
pub(crate) fn timed(step: &Step, run: impl FnOnce() -> Result<()>) -> Result<()> {
    if !is_open() {
        return run();
    }
    let start = Stopwatch::start();
    run()?;
    let time = start.elapsed();
    OPEN.with_borrow_mut(|open| open.iter_mut().for_each(|profile| profile.add(step, time)));
    Ok(())
}

impl Profile {
    /// The time of all kernels.
    pub fn total(&self) -> Duration {
        self.kernels.iter().map(|kernel| kernel.total).sum()
    }

    fn add(&mut self, step: &Step, time: Duration) {
        let (kernel, site) = (step.op.label(), step.site.to_string());
        let outputs = step.outputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let same = |k: &&mut KernelTime| (&k.kernel, &k.outputs, &k.site) == (&kernel, &outputs, &site);
        match self.kernels.iter_mut().find(same) {
            Some(found) => {
                found.runs += 1;
                found.total += time;
            }
            None => self.kernels.push(KernelTime { kernel, outputs, site, runs: 1, total: time }),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let total = self.total().as_secs_f64();
        writeln!(f, "{:>7} {:>7} {:>10}  kernel", "share", "runs", "each, µs")?;
        for KernelTime { kernel, outputs, site, runs, total: time } in &self.kernels {
            let (share, each) = (100.0 * time.as_secs_f64() / total.max(f64::MIN_POSITIVE), time.as_secs_f64() * 1e6 / *runs as f64);
            writeln!(f, "{share:>6.1}% {runs:>7} {each:>10.1}  {kernel} -> {outputs} at {site}")?;
        }
        write!(f, "{:.3} ms in all", total * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Device, Tensor};

    #[test]
    fn kernels_of_the_work_are_counted_and_no_others() {
        let x = Tensor::new(&Device::cpu(), [8, 8], &[0.5f32; 64]).unwrap();
        let product = || x.matmul(&x).unwrap().to_vec::<f32>().unwrap();
        product();
        let ((), outer) = profile(|| {
            product();
            let ((), inner) = profile(|| (0..3).for_each(|_| drop(product())));
            assert_eq!(inner.kernels.iter().map(|k| k.runs).collect::<Vec<_>>(), [3], "{inner}");
            x.argmax(1).unwrap().to_vec::<u32>().unwrap();
        });
        product();
        let seen: Vec<_> = outer.kernels.iter().map(|k| (k.kernel.as_str(), k.runs)).collect();
        assert!(seen.len() == 2 && seen.contains(&("matmul", 1)) && seen.contains(&("argmax", 1)), "{outer}");
        assert!(outer.kernels.is_sorted_by_key(|k| std::cmp::Reverse(k.total)) && outer.total() > Duration::ZERO);
        assert!(!is_open());
    }

    #[test]
    fn a_panic_closes_it() {
        let panicked = std::panic::catch_unwind(|| profile(|| panic!("of the work")));
        assert!(panicked.is_err() && !is_open());
    }
}
