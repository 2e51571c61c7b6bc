//! A trace: the recording of a `Function`, whose inputs are stood for by tensors without a value.

use super::recording::{Entry, EntrySource, Kind, Recording, SharedRecording, TRACES, flush};
use crate::compile::{Graph, GraphInput};
use crate::device::{Device, Storage};
use crate::error::Result;
use crate::shape::Spec;
use crate::tensor::{State, Tensor, Value, lock};
use std::sync::Arc;

/// A trace in progress. Dropping it ends the trace, also when the traced code returns early with an error.
pub(crate) struct Trace {
    recording: SharedRecording,
    inputs: usize,
}

impl Trace {
    pub fn begin(device: &Device) -> Trace {
        let recording = Recording::new(device, Kind::Trace);
        TRACES.with_borrow_mut(|traces| traces.push((device.clone(), recording.clone())));
        Trace { recording, inputs: 0 }
    }

    /// A tensor that stands for the next input of the program.
    #[track_caller]
    pub fn input(&mut self, spec: &Spec) -> Tensor {
        self.inputs += 1;
        input_of(&self.recording, spec, self.inputs - 1)
    }

    pub fn recording(&self) -> &SharedRecording {
        &self.recording
    }

    /// Ends the trace. `wanted` become the program's outputs.
    ///
    /// Returns the graph, whose first inputs are those of [`Trace::input`] and [`input_of`] in order of their numbers and whose last are the
    /// constants, and the constants' memory.
    pub fn finish(self, wanted: &[&Tensor], overwritable: &[bool]) -> Result<(Graph, Vec<Arc<Storage>>)> {
        let mut numbers = Vec::with_capacity(wanted.len());
        for tensor in wanted {
            numbers.push(self.number_of(tensor)?);
        }
        let mut recording = lock(&self.recording);
        let mut named: Vec<(usize, usize)> = Vec::new();
        for (value, entry) in recording.values.iter().enumerate() {
            if let EntrySource::Input(number) = entry.source {
                named.push((number, value));
            }
        }
        named.sort_unstable();
        let (mut graph, constants) = recording.take_graph(&numbers);
        let constant_inputs = std::mem::take(&mut graph.inputs);
        graph.inputs = named.iter().map(|&(number, value)| GraphInput { value, overwritable: overwritable[number] }).collect();
        graph.inputs.extend(constant_inputs);
        Ok((graph, constants))
    }

    /// The recording's number of a tensor that is returned: pending in it, or stored before it.
    fn number_of(&self, tensor: &Tensor) -> Result<usize> {
        loop {
            let other = match &*tensor.value.state() {
                State::Pending(recording, index) if Arc::ptr_eq(recording, &self.recording) => return Ok(*index),
                State::Pending(recording, _) => recording.clone(),
                State::Failed(error) => return Err(error.clone()),
                State::Stored(storage) => {
                    let storage = storage.clone();
                    return Ok(lock(&self.recording).entry_of_stored(tensor.spec(), &storage));
                }
            };
            flush(&other)?;
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        lock(&self.recording).kind = Kind::Over;
        TRACES.with_borrow_mut(|traces| traces.retain(|(_, recording)| !Arc::ptr_eq(recording, &self.recording)));
    }
}

/// A tensor that stands for input `number` of the program that is traced.
#[track_caller]
pub(crate) fn input_of(shared: &SharedRecording, spec: &Spec, number: usize) -> Tensor {
    let mut recording = lock(shared);
    let index = recording.values.len();
    recording.values.push(Entry { spec: spec.clone(), source: EntrySource::Input(number) });
    let device = recording.device.clone();
    drop(recording);
    Tensor { value: Value::new(&device, spec.clone(), State::Pending(shared.clone(), index)) }
}
