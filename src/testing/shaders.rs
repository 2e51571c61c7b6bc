//! Seeing the shaders of a computation without a GPU.

use crate::compile::plan::Step;
use crate::device::gpu::{AdapterTraits, Launch, Shader};
use crate::error::Result;
use std::cell::RefCell;

thread_local! {
    static SEEN: RefCell<Option<Result<Vec<Shader>>>> = const { RefCell::new(None) };
}

/// The adapters that kernels are chosen for.
const ADAPTERS: [AdapterTraits; 3] = [
    AdapterTraits { software: true, lanes: 8, pairs: true, max_binding: 128 << 20 },
    AdapterTraits { software: true, lanes: 0, pairs: false, max_binding: 128 << 20 },
    AdapterTraits { software: false, lanes: 0, pairs: false, max_binding: 128 << 20 },
];

/// Runs `f`, which computes on the CPU in f32, and returns the shaders that a GPU would have run for it, on software and on hardware.
///
/// # Errors
/// What `f` returns, and what the launches return.
pub fn shaders_of(f: impl FnOnce() -> Result<()>) -> Result<Vec<Shader>> {
    SEEN.set(Some(Ok(Vec::new())));
    let done = f();
    let seen = SEEN.take().unwrap_or_else(|| Ok(Vec::new()));
    done.and(seen)
}

/// Whether this thread collects shaders.
pub(crate) fn observing() -> bool {
    SEEN.with_borrow(Option::is_some)
}

/// Notes the shaders of one step, if they are collected.
pub(crate) fn observe(step: &Step) {
    SEEN.with_borrow_mut(|seen| {
        let Some(Ok(shaders)) = seen else { return };
        for adapter in ADAPTERS {
            let mut launch = Launch::new(&step.inputs, &step.outputs, &step.in_place, adapter);
            match step.op.gpu(&mut launch) {
                Ok(()) => shaders.extend(launch.finish().0.into_iter().map(|d| d.shader)),
                Err(error) => {
                    *seen = Some(Err(error.at(step.op.name())));
                    return;
                }
            }
        }
    });
}
