//! `Function`: graph mode. A closure is traced once per input signature into a program, which is replayed from then on.

use super::recording;
use super::tape;
use super::trace::{Trace, input_of};
use crate::compile::{self, Program};
use crate::device::{Device, Storage};
use crate::error::{Error, Result};
use crate::shape::Spec;
use crate::tensor::{State, Tensor, lock};
use crate::variable::Variable;
use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

/// From so many traces on, a report says that something keeps changing.
const MANY_TRACES: usize = 5;

type Body<'a> = Box<dyn Fn(&[Tensor]) -> Result<Vec<Tensor>> + 'a>;

/// A closure over tensors and variables that is traced once per signature (the shapes and element types of its arguments, and the device) and
/// replayed ever after: no recording, no compiling, no shape checks.
///
/// Variables are met by reference: a replay sees their present values, and assigns back. A plain tensor from outside is a constant;
/// [`Function::trace_report`] counts them. Host values (an `if`, a number, a print) are fixed at the trace.
///
/// Called while a tape records, or inside another function's trace, it runs its closure there, so that tape and trace see what is inside.
pub struct Function<'a> {
    name: String,
    body: Body<'a>,
    traces: Mutex<Vec<Arc<Traced>>>,
    calls: Mutex<Calls>,
}

#[derive(Default, Clone, Copy)]
struct Calls {
    replays: usize,
    inlined: usize,
}

struct Traced {
    device: Device,
    signature: Vec<Spec>,
    program: Arc<Program>,
    /// In order of the program's inputs after the arguments.
    variables: Vec<Variable>,
    constants: Vec<Arc<Storage>>,
    /// Which of the variables the program assigns: in order of its outputs, first of all.
    assigned: Vec<usize>,
    outputs: Vec<Spec>,
}

/// How often and why a function was traced.
#[derive(Debug, Clone)]
pub struct TraceReport {
    /// The function's name.
    pub function: String,
    /// One line per trace: its signature, its size, and the constants it captured.
    pub traces: Vec<String>,
    /// Calls that replayed a program.
    pub replays: usize,
    /// Calls that ran the closure, because a tape recorded or another function was traced.
    pub inlined: usize,
    /// Advice, if there were many traces.
    pub advice: Option<String>,
}

impl fmt::Display for TraceReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}: {} traces, {} replays, {} inlined", self.function, self.traces.len(), self.replays, self.inlined)?;
        for trace in &self.traces {
            writeln!(f, "  {trace}")?;
        }
        self.advice.iter().try_for_each(|advice| writeln!(f, "  {advice}"))
    }
}

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

/// Pops the frame, also when the traced closure fails.
struct FrameGuard;

impl Drop for FrameGuard {
    fn drop(&mut self) {
        FRAMES.with_borrow_mut(|frames| {
            frames.pop();
        });
    }
}

impl<'a> Function<'a> {
    /// A function of this name, for reports. The closure gets the arguments and returns the results.
    pub fn new(name: impl Into<String>, body: impl Fn(&[Tensor]) -> Result<Vec<Tensor>> + 'a) -> Function<'a> {
        Function { name: name.into(), body: Box::new(body), traces: Mutex::default(), calls: Mutex::default() }
    }

    /// Runs it on arguments of one device; a function without arguments names its device with [`Function::call_on`].
    ///
    /// # Errors
    /// What the closure returns while it is traced; [`Error::Trace`] for what cannot be traced; what the device reports.
    pub fn call(&self, args: &[&Tensor]) -> Result<Vec<Tensor>> {
        let first = args.first().ok_or_else(|| Error::argument("Function::call", "an argument, or `call_on(device, &[])`", "none"))?;
        self.call_on(first.device(), args)
    }

    /// [`Function::call`] on a named device.
    ///
    /// # Errors
    /// As [`Function::call`].
    pub fn call_on(&self, device: &Device, args: &[&Tensor]) -> Result<Vec<Tensor>> {
        if let Some(other) = args.iter().find(|a| a.device() != device) {
            return Err(Error::Device(format!("{}: an argument is on {}, not on {device}", self.name, other.device())));
        }
        if recording::tracing_on(device).is_some() || tape::is_recording() {
            lock(&self.calls).inlined += 1;
            let owned: Vec<Tensor> = args.iter().map(|a| (*a).clone()).collect();
            return (self.body)(&owned);
        }
        let known = lock(&self.traces).iter().find(|t| t.device == *device && t.fits(args)).cloned();
        let traced = match known {
            Some(traced) => {
                lock(&self.calls).replays += 1;
                traced
            }
            None => {
                let traced = Arc::new(self.trace(device, args)?);
                lock(&self.traces).push(traced.clone());
                traced
            }
        };
        traced.run(args)
    }

    fn trace(&self, device: &Device, args: &[&Tensor]) -> Result<Traced> {
        // What came before must not end up inside, and constants must have memory.
        recording::flush_device(device)?;
        let mut trace = Trace::begin(device);
        let inputs: Vec<Tensor> = args.iter().map(|a| trace.input(a.spec())).collect();
        FRAMES.with_borrow_mut(|frames| {
            frames.push(Frame {
                device: device.clone(),
                recording: trace.recording().clone(),
                next_input: inputs.len(),
                variables: Vec::new(),
            });
        });
        let guard = FrameGuard;
        let results = (self.body)(&inputs)?;
        let variables = FRAMES.with_borrow_mut(|frames| std::mem::take(&mut frames.last_mut().expect("pushed above").variables));
        drop(guard);
        let assigned: Vec<usize> = (0..variables.len()).filter(|&i| variables[i].assigned).collect();
        let wanted: Vec<&Tensor> = assigned.iter().map(|&i| &variables[i].now).chain(&results).collect();
        let mut overwritable = vec![false; inputs.len() + variables.len()];
        for &i in &assigned {
            overwritable[variables[i].input] = true;
        }
        let outputs = results.iter().map(|r| r.spec().clone()).collect();
        let (graph, constants) = trace.finish(&wanted, &overwritable)?;
        let program = compile::program(device, graph)?;
        let variables = variables.into_iter().map(|s| s.variable).collect();
        Ok(Traced {
            device: device.clone(),
            signature: args.iter().map(|a| a.spec().clone()).collect(),
            program,
            variables,
            constants,
            assigned,
            outputs,
        })
    }

    /// How often and why it was traced.
    pub fn trace_report(&self) -> TraceReport {
        let traces = lock(&self.traces);
        let calls = *lock(&self.calls);
        let lines: Vec<String> = traces.iter().map(|t| t.describe()).collect();
        let advice = (traces.len() >= MANY_TRACES).then(|| {
            let shapes: Vec<String> = traces.iter().map(|t| signature(&t.signature)).collect();
            format!("every new signature is traced anew, and these differ: {}; pad the arguments to one shape", shapes.join(" "))
        });
        TraceReport { function: self.name.clone(), traces: lines, replays: calls.replays, inlined: calls.inlined, advice }
    }

    /// The programs that were traced, for drawing and counting.
    pub fn programs(&self) -> Vec<Arc<Program>> {
        lock(&self.traces).iter().map(|t| t.program.clone()).collect()
    }
}

fn signature(specs: &[Spec]) -> String {
    format!("({})", specs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

impl Traced {
    fn fits(&self, args: &[&Tensor]) -> bool {
        self.signature.len() == args.len() && self.signature.iter().zip(args).all(|(spec, arg)| spec == arg.spec())
    }

    fn describe(&self) -> String {
        let constants: usize = self.constants.iter().map(|c| c.bytes()).sum();
        format!(
            "{} on {}: {} variables, {} constants ({constants} bytes), {} dispatches",
            signature(&self.signature),
            self.device,
            self.variables.len(),
            self.constants.len(),
            self.program.dispatches()
        )
    }

    fn run(&self, args: &[&Tensor]) -> Result<Vec<Tensor>> {
        let mut inputs = Vec::with_capacity(args.len() + self.variables.len() + self.constants.len());
        for arg in args {
            inputs.push(arg.storage()?);
        }
        // From the look at who holds a variable's memory until the program has run, nobody else may take hold of it. Locked in order of their
        // numbers, so that two functions over the same variables cannot wait for each other.
        let mut order = self.assigned.clone();
        order.sort_unstable_by_key(|&i| self.variables[i].id());
        let mut locked: Vec<Option<MutexGuard<Tensor>>> = self.variables.iter().map(|_| None).collect();
        for i in order {
            locked[i] = Some(self.variables[i].lock());
        }
        for (variable, locked) in self.variables.iter().zip(&locked) {
            let storage = match locked {
                Some(now) => now.storage()?,
                None => variable.current().storage()?,
            };
            // The program may write over this memory. Whoever else holds it keeps the old version, and the program gets a copy.
            inputs.push(match locked {
                Some(now) if shared(now, &storage) => self.device.copy(&storage)?,
                _ => storage,
            });
        }
        inputs.extend(self.constants.iter().cloned());
        let outputs = self.program.run(&self.device, inputs)?;
        let mut outputs = outputs.into_iter();
        for (&i, storage) in self.assigned.iter().zip(&mut outputs) {
            if let Some(now) = locked[i].as_mut().filter(|now| !now.is_stored_in(&storage)) {
                **now = Tensor::stored(&self.device, now.spec().clone(), storage);
            }
        }
        Ok(self.outputs.iter().zip(outputs).map(|(spec, storage)| Tensor::stored(&self.device, spec.clone(), storage)).collect())
    }
}

/// Whether anybody but the variable holds its value or the memory of it.
fn shared(value: &Tensor, storage: &Arc<Storage>) -> bool {
    // Two holders of the memory are expected: the value, and the list of inputs being made.
    Arc::strong_count(&value.value) > 1 || Arc::strong_count(storage) > 2
}

impl Tensor {
    fn is_stored_in(&self, storage: &Arc<Storage>) -> bool {
        matches!(&*self.value.state(), State::Stored(own) if Arc::ptr_eq(own, storage))
    }
}
