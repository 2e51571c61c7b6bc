//! Single steps, for loops of one's own that still use what `compile` gave.

use super::data::{Data, IntoData};
use super::diagnose;
use super::evaluate::Evaluation;
use super::feed::Feed;
use super::fit::sample_specs;
use super::prepare::prepare;
use super::step;
use super::totals::{Sums, Totals};
use crate::error::Result;
use crate::models::Model;
use crate::tensor::lock;
use std::sync::Arc;

impl Model {
    /// One step of training on one batch. Builds the model first if its input shape was not known. Returns loss and metrics over all batches
    /// since [`Model::reset_metrics`], as Keras does.
    ///
    /// # Errors
    /// As [`Model::fit`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn train_on_batch(&mut self, data: impl IntoData) -> Result<Evaluation> {
        pollster::block_on(self.train_on_batch_async(data))
    }

    /// [`Model::train_on_batch`] where no thread may block.
    ///
    /// # Errors
    /// As [`Model::fit`].
    pub async fn train_on_batch_async(&mut self, data: impl IntoData) -> Result<Evaluation> {
        let data = data.into_data()?;
        self.to_train("train_on_batch")?;
        self.build_for(|| sample_specs(&data))?;
        self.on_batch(&data, true).await
    }

    /// Loss and metrics of one batch, added to those of the batches since [`Model::reset_metrics`].
    ///
    /// # Errors
    /// As [`Model::evaluate`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn test_on_batch(&self, data: impl IntoData) -> Result<Evaluation> {
        pollster::block_on(self.test_on_batch_async(data))
    }

    /// [`Model::test_on_batch`] where no thread may block.
    ///
    /// # Errors
    /// As [`Model::evaluate`].
    pub async fn test_on_batch_async(&self, data: impl IntoData) -> Result<Evaluation> {
        self.on_batch(&data.into_data()?, false).await
    }

    /// The output for one batch.
    ///
    /// # Errors
    /// As [`Model::predict`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn predict_on_batch(&self, x: impl super::data::IntoColumns) -> Result<ndarray::ArrayD<f32>> {
        self.predict(x, usize::MAX)
    }

    /// Forgets the batches that [`Model::train_on_batch`] and [`Model::test_on_batch`] have seen.
    pub fn reset_metrics(&self) {
        if let Some(compiled) = self.compiled() {
            lock(&compiled.on_batch).clear();
        }
    }

    async fn on_batch(&self, data: &Data, training: bool) -> Result<Evaluation> {
        let place = if training { "train_on_batch" } else { "test_on_batch" };
        let (compiled, device) = (self.to_train(place)?, self.device()?);
        let feed = Feed::new(device, prepare(self, compiled, data)?, data.count())?;
        let known = lock(&compiled.on_batch).get(&training).cloned();
        let (totals, before) = match known {
            Some((totals, steps)) => (totals, steps),
            None => (Arc::new(Totals::new(device)?), 0),
        };
        if training {
            compiled.optimizer_mut().build(&self.trainable_variables())?;
        }
        let run = if training { step::train } else { step::test };
        run(self, compiled, &feed, &totals, &feed.args(0)?)?;
        let Sums { good_steps, logs } = totals.read(compiled).await?;
        if good_steps <= before {
            self.reset_metrics();
            return Err(diagnose::find_cause(self, &feed, 0, place, training).await);
        }
        lock(&compiled.on_batch).insert(training, (totals, good_steps));
        Ok(Evaluation::of(logs))
    }
}
