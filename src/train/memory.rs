//! How much memory a model needs, and how large a batch may be.

use super::data::{Data, Samples};
use super::run::Pass;
use crate::compile::Program;
use crate::error::{Error, Result};
use crate::models::Model;
use crate::shape::{DType, Shape, Spec};
use std::sync::Arc;

impl Model {
    /// The bytes that training takes at its highest for batches of so many samples: weights, the optimizer's state, and what a step holds at
    /// once; the data set itself is not counted. Traces a step without running it; makes the optimizer's state if it is not there.
    ///
    /// # Errors
    /// [`Error::NotReady`] if it is not built and compiled; what tracing a step returns.
    pub fn training_memory(&self, batch_size: usize) -> Result<usize> {
        let (step, kept) = self.training_step("training_memory", batch_size)?;
        Ok(step.planned_bytes() + kept)
    }

    /// The program of a training step, and the bytes of weights and the optimizer's state.
    fn training_step(&self, whom: &str, batch_size: usize) -> Result<(Arc<Program>, usize)> {
        let compiled = self.to_train(whom)?;
        let zeros = |shape: &Shape, dtype: DType| -> Result<Samples> {
            let shape = Shape::from([&[batch_size], &shape[..]].concat());
            let count = shape.elements();
            if dtype == DType::U32 { Samples::new(shape, &vec![0u32; count]) } else { Samples::new(shape, &vec![0f32; count]) }
        };
        let x = self.input_specs().unwrap_or_default().iter().map(|spec| zeros(&spec.shape, spec.dtype)).collect::<Result<Vec<_>>>()?;
        let outputs = self.output_specs()?;
        let labels = |output: &Spec, classes: bool| match output.shape.split_last() {
            Some((_, outer)) if classes => zeros(&Shape::from(outer), DType::U32),
            _ => zeros(&output.shape, DType::F32),
        };
        let y = compiled.losses.iter().map(|l| labels(&outputs[l.output], l.loss.takes_classes())).collect::<Result<Vec<_>>>()?;
        let names = self.output_names();
        let y: Vec<Samples> = y.into_iter().zip(&compiled.losses).map(|(y, l)| y.named(&names[l.output])).collect();
        let step = Pass::new(self, compiled, &Data { x, y, sample_weight: Vec::new() }, batch_size, true)?.prepare()?;
        let kept = self.variables().into_iter().chain(compiled.optimizer().variables());
        Ok((step, kept.map(|v| v.spec().bytes()).sum()))
    }

    /// [`Model::summary`], and the memory that training takes with batches of this size: as planned, and what it would take if no two values of a
    /// step shared memory.
    ///
    /// # Errors
    /// As [`Model::summary`] and [`Model::training_memory`].
    pub fn summary_for(&mut self, batch_size: usize) -> Result<String> {
        let table = self.summary()?;
        let (step, kept) = self.training_step("summary_for", batch_size)?;
        let [planned, live] = [step.planned_bytes(), step.unplanned_bytes()].map(|bytes| crate::models::memory(bytes + kept));
        Ok(format!("{table} Training memory: {planned} at its highest, for batches of {batch_size} ({live} if no values shared it)\n"))
    }

    /// How many samples a batch may have, so that no layer's outputs are larger than what the device can bind, with the layer that sets the
    /// bound.
    pub(super) fn largest_batch(&self) -> Result<(usize, String)> {
        let built = self.ready()?;
        let limit = self.device()?.max_tensor_bytes();
        let mut largest = (usize::MAX, self.name());
        for layer in &built.applied {
            for (_, spec) in &layer.outputs {
                let bytes = Shape::from(&spec.shape[1..]).elements() as u64 * spec.dtype.size() as u64;
                let samples = usize::try_from(limit / bytes.max(1)).unwrap_or(usize::MAX);
                if samples < largest.0 {
                    largest = (samples, layer.base.title());
                }
            }
        }
        Ok(largest)
    }

    /// That a batch of training is not larger than the device can take.
    pub(super) fn check_batch(&self, batch_size: usize) -> Result<()> {
        let (largest, layer) = self.largest_batch()?;
        if batch_size <= largest {
            return Ok(());
        }
        let limit = self.device()?.max_tensor_bytes();
        let bytes = (batch_size as u64).saturating_mul(limit / largest.max(1) as u64);
        let hint = if largest == 0 { "not one sample fits".to_string() } else { format!("a batch_size of {largest} fits") };
        let what = format!("{layer}, for a batch of {batch_size},");
        Err(Error::OutOfMemory { what, bytes, limit: Some(limit), hint })
    }
}
