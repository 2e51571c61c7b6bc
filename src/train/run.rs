//! One pass over a data set, for training and for evaluation.

use super::callbacks::{Callback, Logs, Training, each};
use super::data::Data;
use super::diagnose;
use super::feed::Feed;
use super::fit::Fit;
use super::prepare::prepare;
use super::progress::Progress;
use super::step;
use super::totals::{Sums, Totals};
use crate::compile::Program;
use crate::error::Result;
use crate::models::{Compiled, Model};
use crate::ops::random::host;
use crate::record::Function;
use crate::tensor::Tensor;
use crate::variable::Variable;
use std::sync::Arc;

/// A data set, and the step that is taken with each of its batches. The step is traced in the first pass and replayed in all others.
pub(super) struct Pass<'a> {
    model: &'a Model,
    compiled: &'a Compiled,
    training: bool,
    feed: Arc<Feed>,
    totals: Arc<Totals>,
    step: Function<'a>,
    /// The weights that were trainable when the step was made.
    trainable: Vec<u64>,
}

impl<'a> Pass<'a> {
    /// Steps that change the weights, or steps that change nothing.
    pub fn new(model: &'a Model, compiled: &'a Compiled, data: &Data, batch_size: usize, training: bool) -> Result<Pass<'a>> {
        let device = model.device()?;
        let trainable = model.trainable_variables();
        if training {
            compiled.optimizer_mut().build(&trainable)?;
        }
        let trainable = trainable.iter().map(Variable::id).collect();
        let feed = Arc::new(Feed::new(device, prepare(model, compiled, data)?, batch_size)?);
        let totals = Arc::new(Totals::new(device)?);
        let (f, t) = (feed.clone(), totals.clone());
        let step = if training {
            Function::new("train_step", move |args: &[Tensor]| step::train(model, compiled, &f, &t, args))
        } else {
            Function::new("test_step", move |args: &[Tensor]| step::test(model, compiled, &f, &t, args))
        };
        let step = step.eagerly(compiled.run_eagerly).remat(compiled.remat);
        Ok(Pass { model, compiled, training, feed, totals, step, trainable })
    }

    /// The program of a step, without running one.
    pub fn prepare(&self) -> Result<Arc<Program>> {
        let args = self.feed.args(0)?;
        self.step.prepare(self.model.device()?, &args.iter().collect::<Vec<_>>())
    }

    /// Steps of one pass.
    pub fn steps(&self) -> usize {
        self.feed.steps()
    }

    /// Samples of one pass.
    pub fn count(&self) -> usize {
        self.feed.data().count()
    }

    /// Whether the step that was traced changes the weights that are trainable now.
    pub fn trains_what_is_trainable(&self) -> bool {
        let now: Vec<u64> = self.model.trainable_variables().iter().map(Variable::id).collect();
        self.trainable == now
    }

    /// An epoch of training: `place` says in errors which, and `each_step` gets what a step returns. Returns `loss` and the metrics.
    pub async fn train(
        &self,
        place: &str,
        epoch: usize,
        order: &mut Order,
        watch: &mut Watch<'_, '_>,
        mut each_step: impl FnMut(Vec<Tensor>),
    ) -> Result<Logs> {
        self.totals.reset()?;
        let watches = watch.callbacks.iter().any(|c| c.watches_batches());
        let forgives = watch.callbacks.iter().any(|c| c.forgives_nan());
        let mut logs = Logs::new();
        // The step of the data that the epoch's first step would have been, had it taken this order of samples.
        let mut first = order.step();
        for done in 1..=watch.steps {
            if order.at_start() {
                self.feed.start(order.next(epoch))?;
                first = 1usize.wrapping_sub(done);
            }
            if watches {
                each(watch.callbacks, |c| c.on_train_batch_begin(done - 1, watch.training))?;
            }
            each_step(self.step(order.step())?);
            order.advance(self.steps());
            // Before the order of samples changes, it must be known that its steps went well: later nobody could say which samples were bad.
            let last = done == watch.steps || order.at_start() || watch.training.is_stopping();
            if !(last || watches || watch.progress.due(done)) {
                continue;
            }
            let good;
            (logs, good) = self.read(place, done, first, watch.progress, forgives).await?;
            if !good {
                watch.training.stop();
            }
            watch.progress.update(done, &logs);
            if watches {
                each(watch.callbacks, |c| c.on_train_batch_end(done - 1, &logs, watch.training))?;
            }
            if watch.training.is_stopping() {
                break;
            }
        }
        Ok(logs)
    }

    /// One pass of evaluation. Returns `loss` and the metrics.
    pub async fn evaluate(&self, place: &str, watch: &mut Watch<'_, '_>) -> Result<Logs> {
        self.feed.start(None)?;
        self.totals.reset()?;
        let watches = watch.callbacks.iter().any(|c| c.watches_test_batches());
        let forgives = watch.callbacks.iter().any(|c| c.forgives_nan());
        let mut logs = Logs::new();
        each(watch.callbacks, |c| c.on_test_begin(watch.training))?;
        for done in 1..=watch.steps {
            if watches {
                each(watch.callbacks, |c| c.on_test_batch_begin(done - 1, watch.training))?;
            }
            self.step(done - 1)?;
            if !(done == watch.steps || watches || watch.progress.due(done)) {
                continue;
            }
            let good;
            (logs, good) = self.read(place, done, 0, watch.progress, forgives).await?;
            watch.progress.update(done, &logs);
            if watches {
                each(watch.callbacks, |c| c.on_test_batch_end(done - 1, &logs, watch.training))?;
            }
            if !good {
                break;
            }
        }
        each(watch.callbacks, |c| c.on_test_end(&logs, watch.training))?;
        Ok(logs)
    }

    fn step(&self, number: usize) -> Result<Vec<Tensor>> {
        let args = self.feed.args(number)?;
        self.step.call_on(self.model.device()?, &args.iter().collect::<Vec<_>>())
    }

    /// The means after so many steps, and whether all were good; why one was not, or, if that is to be forgiven, the means before it with NaN
    /// as the loss. Step `i` took batch `first + i`.
    async fn read(&self, place: &str, done: usize, first: usize, progress: &Progress, forgives: bool) -> Result<(Logs, bool)> {
        let Sums { good_steps, mut logs } = self.totals.read(self.compiled).await?;
        if good_steps >= done {
            return Ok((logs, true));
        }
        progress.abandon();
        let place = format!("step {} of {place}", good_steps + 1);
        let cause = diagnose::find_cause(self.model, &self.feed, first.wrapping_add(good_steps), &place, self.training).await;
        if !forgives {
            return Err(cause);
        }
        eprintln!("TerminateOnNaN: {cause}");
        logs.iter_mut().filter(|(name, _)| name == "loss").for_each(|(_, loss)| *loss = f64::NAN);
        Ok((logs, false))
    }
}

/// Who looks on while an epoch or an evaluation runs, and how long it is.
pub(super) struct Watch<'w, 'c> {
    pub progress: &'w mut Progress,
    pub training: &'w Training<'w>,
    pub callbacks: &'w mut [Box<dyn Callback + 'c>],
    pub steps: usize,
}

/// The order of samples, and the step of it that is next. An epoch of fewer steps than the data have is gone on with in the next.
pub(super) struct Order {
    count: usize,
    seed: u64,
    shuffle: bool,
    passes: u64,
    /// Whether passes and epochs are the same.
    whole: bool,
    step: usize,
}

impl Order {
    pub fn new(count: usize, options: &Fit, seed: u64) -> Order {
        Order { count, seed, shuffle: options.shuffle, passes: 0, whole: options.steps_per_epoch.is_none(), step: 0 }
    }

    fn at_start(&self) -> bool {
        self.step == 0
    }

    fn step(&self) -> usize {
        self.step
    }

    fn advance(&mut self, steps: usize) {
        self.step = (self.step + 1) % steps;
    }

    /// The order of the next pass, which follows from the seed and the epoch.
    fn next(&mut self, epoch: usize) -> Option<Vec<u32>> {
        let pass = if self.whole { epoch as u64 } else { self.passes };
        self.passes += 1;
        self.shuffle.then(|| epoch_order(self.count, self.seed, pass))
    }
}

/// The order of the samples in a pass. Its numbers are from far behind those that weights start from.
pub(super) fn epoch_order(count: usize, seed: u64, pass: u64) -> Vec<u32> {
    host::permutation(count, seed, 1 << 63 | pass)
}
