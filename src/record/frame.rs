//! What a trace in progress knows of variables, and closures that are traced to be compiled, drawn, or only looked at.

use super::recording;
use super::trace::{Trace, input_of};
use crate::compile::{self, Graph};
use crate::device::{Device, Storage};
use crate::error::Result;
use crate::shape::Spec;
use crate::tensor::Tensor;
use crate::variable::Variable;
use std::cell::RefCell;
use std::sync::Arc;

/// The variables of the trace in progress.
struct Frame {
    device: Device,
    recording: recording::SharedRecording,
    next_input: usize,
    variables: Vec<Seen>,
}

struct Seen {
    variable: Variable,
    input: usize,
    now: Tensor,
    assigned: bool,
}

thread_local! {
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// What a variable is worth inside the trace in progress on its device, if there is one.
#[track_caller]
pub(crate) fn traced_value(variable: &Variable) -> Option<Tensor> {
    FRAMES.with_borrow_mut(|frames| {
        let frame = frames.iter_mut().rev().find(|f| f.device == *variable.device())?;
        Some(frame.seen(variable).now.clone())
    })
}

/// Assigns inside the trace in progress; false if there is none.
pub(crate) fn traced_assign(variable: &Variable, value: &Tensor) -> bool {
    FRAMES.with_borrow_mut(|frames| {
        let Some(frame) = frames.iter_mut().rev().find(|f| f.device == *variable.device()) else { return false };
        let seen = frame.seen(variable);
        seen.now = value.clone();
        seen.assigned = true;
        true
    })
}

impl Frame {
    #[track_caller]
    fn seen(&mut self, variable: &Variable) -> &mut Seen {
        let at = match self.variables.iter().position(|s| s.variable.id() == variable.id()) {
            Some(at) => at,
            None => {
                let now = input_of(&self.recording, variable.spec(), self.next_input);
                self.variables.push(Seen { variable: variable.clone(), input: self.next_input, now, assigned: false });
                self.next_input += 1;
                self.variables.len() - 1
            }
        };
        &mut self.variables[at]
    }
}

/// What a closure did while it was traced.
pub(super) struct Captured {
    /// Its inputs are the arguments, the variables, the constants; its outputs the assigned variables, then the results.
    pub graph: Graph,
    pub variables: Vec<Variable>,
    pub constants: Vec<Arc<Storage>>,
    /// Which of the variables it assigns, in order of the outputs.
    pub assigned: Vec<usize>,
    pub results: Vec<Spec>,
}

/// Traces a closure over arguments of these specs. What it does not need is dropped from the graph.
pub(super) fn capture(device: &Device, specs: &[Spec], body: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>>) -> Result<Captured> {
    // What came before must not end up inside, and constants must have memory.
    recording::flush_device(device)?;
    let (trace, inputs, guard) = begin(device, specs);
    let results = body(&inputs)?;
    let variables = FRAMES.with_borrow_mut(|frames| std::mem::take(&mut frames.last_mut().expect("pushed above").variables));
    drop(guard);
    let assigned: Vec<usize> = (0..variables.len()).filter(|&i| variables[i].assigned).collect();
    let wanted: Vec<&Tensor> = assigned.iter().map(|&i| &variables[i].now).chain(&results).collect();
    let mut overwritable = vec![false; inputs.len() + variables.len()];
    for &i in &assigned {
        overwritable[variables[i].input] = true;
    }
    let (mut graph, constants) = trace.finish(&wanted, &overwritable)?;
    compile::prune(&mut graph);
    let results = results.iter().map(|r| r.spec().clone()).collect();
    Ok(Captured { graph, variables: variables.into_iter().map(|s| s.variable).collect(), constants, assigned, results })
}

/// Runs `f` on tensors that stand for inputs of these specs, to learn what it does: nothing is computed, and assignments have no effect.
pub(crate) fn dry_run<R>(device: &Device, inputs: &[Spec], f: impl FnOnce(&[Tensor]) -> Result<R>) -> Result<R> {
    let (_trace, inputs, _guard) = begin(device, inputs);
    f(&inputs)
}

fn begin(device: &Device, specs: &[Spec]) -> (Trace, Vec<Tensor>, FrameGuard) {
    let mut trace = Trace::begin(device);
    let inputs: Vec<Tensor> = specs.iter().map(|spec| trace.input(spec)).collect();
    let recording = trace.recording().clone();
    FRAMES.with_borrow_mut(|frames| {
        frames.push(Frame { device: device.clone(), recording, next_input: inputs.len(), variables: Vec::new() });
    });
    (trace, inputs, FrameGuard)
}

/// In a [`dry_run`]: a tensor that stands for a value which does not exist yet.
#[track_caller]
pub(crate) fn stand_in(spec: &Spec) -> Option<Tensor> {
    FRAMES.with_borrow_mut(|frames| {
        let frame = frames.last_mut()?;
        frame.next_input += 1;
        Some(input_of(&frame.recording, spec, frame.next_input - 1))
    })
}

/// Runs `f` as if no function were traced: for making variables that traced code needs.
pub(crate) fn outside_traces<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(Vec<Frame>, Vec<(Device, recording::SharedRecording)>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FRAMES.set(std::mem::take(&mut self.0));
            recording::TRACES.set(std::mem::take(&mut self.1));
        }
    }
    let _restore = Restore(FRAMES.take(), recording::TRACES.take());
    f()
}

/// Pops the frame, also when the traced closure fails.
struct FrameGuard;

impl Drop for FrameGuard {
    fn drop(&mut self) {
        FRAMES.with_borrow_mut(|frames| {
            frames.pop();
        });
    }
}
