//! `Function`: graph mode. A closure is traced once per input signature into a program, which is replayed from then on.

use super::frame::capture;
use super::report::{Calls, TraceReport};
use super::traced::Traced;
use super::{recording, tape};
use crate::compile::Program;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::shape::Spec;
use crate::tensor::{Tensor, lock};
use std::sync::{Arc, Mutex};

type Body<'a> = Box<dyn Fn(&[Tensor]) -> Result<Vec<Tensor>> + 'a>;

/// A closure over tensors and variables that is traced once per signature (the shapes and element types of its arguments, and the device) and
/// replayed ever after: no recording, no compiling, no shape checks.
///
/// Variables are met by reference: a replay sees their present values, and assigns back. A plain tensor from outside is a constant;
/// [`Function::trace_report`] lists them. Host values (an `if`, a number, a print) are fixed at the trace.
///
/// Called while a tape records, or inside another function's trace, it runs its closure there, so that tape and trace see what is inside.
pub struct Function<'a> {
    name: String,
    body: Body<'a>,
    eagerly: bool,
    remat: bool,
    traces: Mutex<Vec<Arc<Traced>>>,
    calls: Mutex<Calls>,
}

impl<'a> Function<'a> {
    /// A function of this name, for reports. The closure gets the arguments and returns the results.
    pub fn new(name: impl Into<String>, body: impl Fn(&[Tensor]) -> Result<Vec<Tensor>> + 'a) -> Function<'a> {
        Function {
            name: name.into(),
            body: Box::new(body),
            eagerly: false,
            remat: false,
            traces: Mutex::default(),
            calls: Mutex::default(),
        }
    }

    /// Whether every call runs the closure, with nothing traced: slower, but values can be read and printed inside. For looking for a mistake;
    /// `tf.config.run_functions_eagerly`, for one function. Default: no.
    #[must_use]
    pub fn eagerly(mut self, eagerly: bool) -> Function<'a> {
        self.eagerly = eagerly;
        self
    }

    /// Whether a gradient inside is computed with less memory and more time: most values of the forward pass are not kept for it but computed
    /// again, by the same operations with the same results. Gradient checkpointing, Keras's `remat`. How much it saves is in
    /// [`Program::planned_bytes`]. It takes effect where the function is traced by itself, not inside another. Default: no.
    #[must_use]
    pub fn remat(mut self, remat: bool) -> Function<'a> {
        self.remat = remat;
        self
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
        let inline = recording::tracing_on(device).is_some() || tape::is_recording();
        if inline || self.eagerly {
            lock(&self.calls).ran_the_closure(inline);
            let owned: Vec<Tensor> = args.iter().map(|a| (*a).clone()).collect();
            return (self.body)(&owned);
        }
        let known = lock(&self.traces).iter().find(|t| t.fits(device, args)).cloned();
        let traced = match known {
            Some(traced) => {
                lock(&self.calls).replayed();
                traced
            }
            None => self.trace(device, args)?,
        };
        traced.run(args)
    }

    /// Traces and compiles for arguments like these without running anything, if that was not done before: TensorFlow's
    /// `get_concrete_function`. The program says what memory a call will need.
    ///
    /// # Errors
    /// As [`Function::call`].
    pub fn prepare(&self, device: &Device, args: &[&Tensor]) -> Result<Arc<Program>> {
        let known = lock(&self.traces).iter().find(|t| t.fits(device, args)).cloned();
        Ok(known.map_or_else(|| self.trace(device, args), Ok)?.program().clone())
    }

    fn trace(&self, device: &Device, args: &[&Tensor]) -> Result<Arc<Traced>> {
        let signature: Vec<Spec> = args.iter().map(|a| a.spec().clone()).collect();
        let captured = capture(device, &signature, |args| (self.body)(args)).map_err(|error| match error.root() {
            Error::Trace(_) => error.at(format!("function {}", self.name)),
            _ => error,
        })?;
        let mut traces = lock(&self.traces);
        let nearest = traces.iter().map(|earlier| earlier.differs(device, &signature)).min_by_key(|(distance, _)| *distance);
        let (_, why) = nearest.unwrap_or_default();
        let traced = Arc::new(Traced::compile(device, signature, captured, why, self.remat)?);
        lock(&self.calls).traced(&self.name, traced.why());
        traces.push(traced.clone());
        Ok(traced)
    }

    /// How often and why it was traced.
    pub fn trace_report(&self) -> TraceReport {
        let traces = lock(&self.traces);
        let lines = traces.iter().map(|t| t.describe()).collect();
        let signatures = traces.iter().map(|t| t.signature()).collect();
        lock(&self.calls).report(&self.name, lines, signatures)
    }

    /// The programs that were traced, for counting.
    pub fn programs(&self) -> Vec<Arc<Program>> {
        lock(&self.traces).iter().map(|t| t.program().clone()).collect()
    }

    /// Each trace as a graph in Graphviz's language: `dot -Tsvg`. See [`draw`](super::draw).
    pub fn to_dot(&self) -> Vec<String> {
        lock(&self.traces).iter().map(|t| t.to_dot(&self.name)).collect()
    }
}
