//! Predictions.

use super::data::{IntoColumns, Samples};
use super::feed;
use crate::error::{Error, Result};
use crate::layers::Call;
use crate::models::Model;
use crate::record::Function;
use crate::shape::Spec;
use crate::tensor::Tensor;
use ndarray::ArrayD;

impl Model {
    /// The outputs for samples `[n, …]`, in batches of `batch_size` (Keras's default is 32), which changes the speed and the memory, not the
    /// result.
    ///
    /// # Errors
    /// [`Error::NotReady`] if the model is not built; [`Error::Shape`] for samples of another shape; [`Error::Argument`] if it has several
    /// outputs; what the device reports.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn predict(&self, x: impl IntoColumns, batch_size: usize) -> Result<ArrayD<f32>> {
        pollster::block_on(self.predict_async(x, batch_size))
    }

    /// [`Model::predict`] where no thread may block.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub async fn predict_async(&self, x: impl IntoColumns, batch_size: usize) -> Result<ArrayD<f32>> {
        let mut outputs = self.predict_all_async(x, batch_size).await?;
        match (outputs.pop(), outputs.len()) {
            (Some(one), 0) => Ok(one),
            (_, more) => Err(Error::argument("predict: outputs", "one; for several, use `predict_all`", more + 1)),
        }
    }

    /// [`Model::predict`] for every output of a model.
    ///
    /// # Errors
    /// As [`Model::predict`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn predict_all(&self, x: impl IntoColumns, batch_size: usize) -> Result<Vec<ArrayD<f32>>> {
        pollster::block_on(self.predict_all_async(x, batch_size))
    }

    /// [`Model::predict_all`] where no thread may block.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub async fn predict_all_async(&self, x: impl IntoColumns, batch_size: usize) -> Result<Vec<ArrayD<f32>>> {
        let x = x.into_columns()?;
        let (device, outputs) = (self.device()?, self.output_specs()?);
        let count = x.first().map_or(0, Samples::count);
        if batch_size == 0 {
            return Err(Error::argument("predict: batch_size", "at least 1", 0));
        }
        if let Some(other) = x.iter().find(|x| x.count() != count) {
            return Err(Error::shape("predict", format!("{count} samples for every input"), other.count()));
        }
        // A batch that the device cannot take is split.
        let batch = batch_size.min(count).min(self.largest_batch()?.0.max(1));
        let step = Function::new("predict_step", |args: &[Tensor]| self.call_all(args, &Call::inference()));
        let mut values: Vec<Vec<f32>> = vec![Vec::new(); outputs.len()];
        for start in (0..count).step_by(batch.max(1)) {
            let of = |x: &Samples| feed::tensor(device, Spec::new(x.spec().shape.with(0, batch), x.spec().dtype), &x.filled(start, batch));
            let inputs = x.iter().map(of).collect::<Result<Vec<_>>>()?;
            for (i, y) in step.call_on(device, &inputs.iter().collect::<Vec<_>>())?.iter().enumerate() {
                let filled: Vec<f32> = y.read().await?;
                values[i].extend(&filled[..(count - start).min(batch) * outputs[i].shape.elements()]);
            }
        }
        let shaped = |(values, output): (Vec<f32>, &Spec)| {
            let shape = [&[count], &output.shape[..]].concat();
            ArrayD::from_shape_vec(shape, values).expect("a prediction of the output's shape for every sample")
        };
        Ok(values.into_iter().zip(outputs).map(shaped).collect())
    }
}
