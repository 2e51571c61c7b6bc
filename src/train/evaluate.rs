//! Losses and metrics of data that the model is not trained on, and its predictions.

use super::data::{IntoData, IntoSamples};
use super::progress::{Progress, Verbose};
use super::run::Pass;
use super::{compiled, feed};
use crate::error::{Error, Result};
use crate::layers::Call;
use crate::models::Sequential;
use crate::record::Function;
use crate::shape::Spec;
use crate::tensor::Tensor;
use ndarray::ArrayD;
use std::fmt;

/// How to evaluate. The defaults are Keras's.
#[derive(Clone, Copy, Debug)]
pub struct Evaluate {
    /// Samples per step: it changes the speed and the memory, not the result. Default: 32.
    pub batch_size: usize,
    /// How much is shown. Default: nothing, the result is returned.
    pub verbose: Verbose,
}

impl Default for Evaluate {
    fn default() -> Evaluate {
        Evaluate { batch_size: 32, verbose: Verbose::Silent }
    }
}

/// Means over all samples.
#[derive(Clone, PartialEq, Debug)]
pub struct Evaluation {
    /// The loss.
    pub loss: f64,
    /// The metrics in the order of `compile`.
    pub metrics: Vec<(String, f64)>,
}

impl Evaluation {
    /// The metric of this name, or the loss.
    pub fn metric(&self, name: &str) -> Option<f64> {
        if name == "loss" { Some(self.loss) } else { self.metrics.iter().find(|(n, _)| n == name).map(|(_, value)| *value) }
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let metrics = super::progress::line(&self.metrics);
        write!(f, "loss: {:.4}{metrics}", self.loss)
    }
}

impl Sequential {
    /// Loss and metrics on data, in batches of 32.
    ///
    /// # Errors
    /// As [`Sequential::fit`], and [`Error::NotReady`] if the model is not built.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn evaluate(&self, data: impl IntoData) -> Result<Evaluation> {
        self.evaluate_with(data, Evaluate::default())
    }

    /// [`Sequential::evaluate`] with options.
    ///
    /// # Errors
    /// As [`Sequential::evaluate`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn evaluate_with(&self, data: impl IntoData, options: Evaluate) -> Result<Evaluation> {
        pollster::block_on(self.evaluate_async(data, options))
    }

    /// [`Sequential::evaluate`] where no thread may block.
    ///
    /// # Errors
    /// As [`Sequential::evaluate`].
    pub async fn evaluate_async(&self, data: impl IntoData, options: Evaluate) -> Result<Evaluation> {
        let data = &data.into_data()?;
        let compiled = compiled(self, "evaluate")?;
        let pass = Pass::evaluation(self, compiled, data, options.batch_size)?;
        let mut progress = Progress::new(options.verbose, pass.steps());
        let logs = pass.run("the evaluation", None, &mut progress, |_| ()).await?;
        progress.finish(&logs);
        let mut logs = logs.into_iter();
        let (_, loss) = logs.next().expect("the loss comes first");
        Ok(Evaluation { loss, metrics: logs.collect() })
    }

    /// The outputs for samples `[n, …]`, in batches of `batch_size` (Keras's default is 32), which changes the speed and the memory, not the
    /// result.
    ///
    /// # Errors
    /// [`Error::NotReady`] if the model is not built; [`Error::Shape`] for samples of another shape; what the device reports.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn predict(&self, x: impl IntoSamples, batch_size: usize) -> Result<ArrayD<f32>> {
        pollster::block_on(self.predict_async(x, batch_size))
    }

    /// [`Sequential::predict`] where no thread may block.
    ///
    /// # Errors
    /// As [`Sequential::predict`].
    pub async fn predict_async(&self, x: impl IntoSamples, batch_size: usize) -> Result<ArrayD<f32>> {
        let x = x.into_samples()?;
        let (device, output) = (self.device()?, self.output_shape()?);
        if batch_size == 0 {
            return Err(Error::argument("predict: batch_size", "at least 1", 0));
        }
        let batch = batch_size.min(x.count());
        let step = Function::new("predict_step", |args: &[Tensor]| Ok(vec![self.call(&args[0], &Call::inference())?]));
        let spec = Spec::new(x.spec().shape.with(0, batch), x.spec().dtype);
        let mut values: Vec<f32> = Vec::with_capacity(x.count() * output.elements());
        for start in (0..x.count()).step_by(batch.max(1)) {
            // The last batch is filled up with the last sample, so that one program serves all.
            let rows: Vec<u32> = (start..start + batch).map(|row| row.min(x.count() - 1) as u32).collect();
            let input = feed::tensor(device, spec.clone(), &x.gather(&rows))?;
            let outputs = step.call_on(device, &[&input])?;
            let filled: Vec<f32> = outputs[0].read().await?;
            values.extend(&filled[..(x.count() - start).min(batch) * output.elements()]);
        }
        let shape = [&[x.count()], &output[..]].concat();
        Ok(ArrayD::from_shape_vec(shape, values).expect("a prediction of the output's shape for every sample"))
    }
}
