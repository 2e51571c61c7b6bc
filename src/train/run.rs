//! One pass over a data set, for training and for evaluation.

use super::data::Data;
use super::diagnose;
use super::feed::{self, Feed};
use super::progress::Progress;
use super::step::{self, Sums, Totals};
use crate::error::Result;
use crate::layers::Call;
use crate::models::{Compiled, Sequential};
use crate::record::Function;
use crate::tensor::Tensor;
use std::sync::Arc;

/// A data set, and the step that is taken with each of its batches. The step is traced in the first pass and replayed in all others.
pub(super) struct Pass<'a> {
    model: &'a Sequential,
    call: Call,
    feed: Arc<Feed>,
    totals: Arc<Totals>,
    step: Function<'a>,
}

impl<'a> Pass<'a> {
    /// Steps that change the weights.
    pub fn training(model: &'a Sequential, compiled: &'a Compiled, data: &Data, batch_size: usize) -> Result<Pass<'a>> {
        let (feed, totals) = open(model, compiled, data, batch_size)?;
        let (f, t) = (feed.clone(), totals.clone());
        let step = Function::new("train_step", move |args: &[Tensor]| step::train(model, compiled, &f, &t, args));
        Ok(Pass { model, call: Call::training(), feed, totals, step })
    }

    /// Steps that change nothing.
    pub fn evaluation(model: &'a Sequential, compiled: &'a Compiled, data: &Data, batch_size: usize) -> Result<Pass<'a>> {
        let (feed, totals) = open(model, compiled, data, batch_size)?;
        let (f, t) = (feed.clone(), totals.clone());
        let step = Function::new("test_step", move |args: &[Tensor]| step::test(model, compiled, &f, &t, args));
        Ok(Pass { model, call: Call::inference(), feed, totals, step })
    }

    /// Steps of one pass.
    pub fn steps(&self) -> usize {
        self.feed.steps()
    }

    /// Samples of one pass.
    pub fn count(&self) -> usize {
        self.feed.data().count()
    }

    /// Takes every batch once: of the samples in this order, or in the last one. `place` says in errors what this pass is, and `each` gets what
    /// a step returns. Returns `loss` and the metrics.
    pub async fn run(
        &self,
        place: &str,
        order: Option<Vec<u32>>,
        progress: &mut Progress,
        mut each: impl FnMut(Vec<Tensor>),
    ) -> Result<Vec<(String, f64)>> {
        self.feed.start(order)?;
        self.totals.reset()?;
        let (device, steps) = (self.model.device()?, self.steps());
        for done in 1..=steps {
            let args = self.feed.args(done - 1)?;
            each(self.step.call_on(device, &args.iter().collect::<Vec<_>>())?);
            if done < steps && progress.due(done) {
                progress.update(done, &self.read(place, done, progress).await?);
            }
        }
        self.read(place, steps, progress).await
    }

    /// The means after so many steps, or why one of them failed.
    async fn read(&self, place: &str, done: usize, progress: &Progress) -> Result<Vec<(String, f64)>> {
        let Sums { good_steps, logs } = self.totals.read().await?;
        if good_steps < done {
            progress.abandon();
            let place = format!("step {} of {place}", good_steps + 1);
            return Err(diagnose::find_cause(self.model, &self.feed, good_steps, &place, &self.call).await);
        }
        Ok(logs)
    }
}

fn open(model: &Sequential, compiled: &Compiled, data: &Data, batch_size: usize) -> Result<(Arc<Feed>, Arc<Totals>)> {
    let (device, output) = (model.device()?, model.output_shape()?);
    let data = feed::prepare(data, compiled.loss.as_ref(), output)?;
    Ok((Arc::new(Feed::new(device, data, batch_size)?), Arc::new(Totals::new(device, compiled)?)))
}
