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
use crate::device::Reading;
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
        let (mut logs, mut looking) = (Logs::new(), None);
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
            let when = Moment { place, done, first, forgives, wait: last || watches };
            let Some((seen, good)) = self.look(&mut looking, when, watch.progress).await? else { continue };
            logs = seen;
            if !good {
                watch.training.stop();
            }
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
        let (mut logs, mut looking) = (Logs::new(), None);
        each(watch.callbacks, |c| c.on_test_begin(watch.training))?;
        for done in 1..=watch.steps {
            if watches {
                each(watch.callbacks, |c| c.on_test_batch_begin(done - 1, watch.training))?;
            }
            self.step(done - 1)?;
            let when = Moment { place, done, first: 0, forgives, wait: done == watch.steps || watches };
            let Some((seen, good)) = self.look(&mut looking, when, watch.progress).await? else { continue };
            logs = seen;
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

    /// Looks at the totals when it is time: what they were comes to the host while later steps run, and is shown and returned when it is there.
    /// Only when this step's are wanted is there a wait. Returns the means and whether all steps were good; why one was not, or, if that is to be
    /// forgiven, the means before it with NaN as the loss.
    async fn look(&self, looking: &mut Option<Look>, when: Moment<'_>, progress: &mut Progress) -> Result<Option<(Logs, bool)>> {
        let mut wait = when.wait;
        // An earlier look is held until this one is over, and so until its own bytes have come: then its memory serves the next.
        let mut _earlier = None;
        if wait || (looking.is_none() && progress.due(when.done)) {
            _earlier = looking.replace(Look { done: when.done, reading: self.totals.start_reading()? });
            // A browser brings nothing, and draws nothing, before it is waited for.
            wait |= cfg!(target_arch = "wasm32");
        }
        let Some(Look { done, reading }) = looking.take_if(|look| wait || look.is_there()) else { return Ok(None) };
        let (logs, good) = self.judged(self.totals.received(reading, self.compiled).await?, done, &when, progress).await?;
        progress.update(done, &logs);
        Ok(Some((logs, good)))
    }

    /// Whether `done` steps went well by what was read after them.
    async fn judged(&self, sums: Sums, done: usize, when: &Moment<'_>, progress: &Progress) -> Result<(Logs, bool)> {
        let Sums { good_steps, mut logs } = sums;
        if good_steps >= done {
            return Ok((logs, true));
        }
        progress.abandon();
        let place = format!("step {} of {}", good_steps + 1, when.place);
        let cause = diagnose::find_cause(self.model, &self.feed, when.first.wrapping_add(good_steps), &place, self.training).await;
        if !when.forgives {
            return Err(cause);
        }
        eprintln!("TerminateOnNaN: {cause}");
        logs.iter_mut().filter(|(name, _)| name == "loss").for_each(|(_, loss)| *loss = f64::NAN);
        Ok((logs, false))
    }
}

/// A look at the totals that was begun after `done` steps.
struct Look {
    done: usize,
    reading: Option<Reading>,
}

impl Look {
    fn is_there(&self) -> bool {
        self.reading.as_ref().is_none_or(Reading::is_there)
    }
}

/// Where a pass is, and what is to happen there.
struct Moment<'p> {
    /// Says in errors which pass.
    place: &'p str,
    done: usize,
    /// Step `i` took batch `first + i`.
    first: usize,
    /// Whether a step that is not good ends the pass without an error.
    forgives: bool,
    /// Whether the totals after this very step are wanted.
    wait: bool,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::layers::Dense;
    use crate::models::Sequential;
    use crate::testing::own_gpu;
    use crate::train::{Samples, Verbose};
    use pollster::block_on;

    const STEPS: usize = 40;

    /// Devices that nobody else uses.
    fn devices() -> Vec<Device> {
        std::iter::once(Device::Cpu(crate::device::cpu::Cpu::new())).chain(own_gpu("looks at totals")).collect()
    }

    fn model(device: &Device) -> Result<Sequential> {
        let mut model = Sequential::new().add(Dense::new(8).activation("relu")).add(Dense::new(1)).input([4]).on_device(device);
        model.compile("adam", "mse", ["mae"])?;
        Ok(model)
    }

    /// `bad` is a sample that holds a NaN.
    fn data(bad: Option<usize>) -> Result<Data> {
        let mut x: Vec<f32> = (0..STEPS * 4 * 4).map(|i| (0.37 * i as f32).sin()).collect();
        if let Some(bad) = bad {
            x[4 * bad] = f32::NAN;
        }
        let y: Vec<f32> = x.chunks(4).map(|x| x[1] - x[2]).collect();
        Data::new(Samples::new([4 * STEPS, 4], &x)?, Samples::new([4 * STEPS, 1], &y)?)
    }

    /// The values that were seen along an epoch, and how much was submitted for it. Who does not wait sees fewer.
    fn seen(device: &Device, wait: bool) -> Result<(Vec<Logs>, u64)> {
        let model = model(device)?;
        let pass = Pass::new(&model, model.to_train("fit")?, &data(None)?, 4, true)?;
        let mut progress = Progress::always_due(STEPS);
        let (mut seen, mut looking) = (Vec::new(), None);
        pass.feed.start(None)?;
        device.synchronize()?;
        let before = device.stats().submissions;
        for done in 1..=STEPS {
            pass.step(done - 1)?;
            let when = Moment { place: "the test", done, first: 0, forgives: false, wait: wait || done == STEPS };
            if let Some((logs, good)) = block_on(pass.look(&mut looking, when, &mut progress))? {
                assert!(good);
                seen.push(logs);
            }
        }
        assert!(looking.is_none());
        Ok((seen, device.stats().submissions - before))
    }

    /// What is seen late is what was there when the look began, bit for bit, in order, and the last look is not late.
    #[test]
    fn looks_that_do_not_wait_see_the_same() -> Result<()> {
        for device in devices() {
            let ((all, drained), (some, submitted)) = (seen(&device, true)?, seen(&device, false)?);
            println!("{device}: {} looks, {drained} submissions with waiting, {submitted} without for {} looks", all.len(), some.len());
            assert_eq!((all.len(), all.last()), (STEPS, some.last()));
            let mut steps = all.iter();
            assert!(some.iter().all(|logs| steps.any(|step| step == logs)), "{some:?} in {all:?}");
            // A look of its own makes no submission; one for each program, and one for the last look, is the most there can be.
            assert!(submitted <= STEPS as u64 + 1, "{device}: {submitted}");
            if device.is_gpu() {
                assert!(drained > submitted, "{device}: {drained} with waiting, {submitted} without");
            } else {
                assert_eq!(some, all, "nothing is waited for on {device}");
            }
        }
        Ok(())
    }

    /// Late or not: the step is named that was bad, and the sample in it.
    #[test]
    fn a_bad_step_that_is_seen_late_is_named() -> Result<()> {
        for device in devices() {
            let error = |mut progress: Progress| -> Result<String> {
                let model = model(&device)?;
                let pass = Pass::new(&model, model.to_train("fit")?, &data(Some(37))?, 4, true)?;
                let mut order = Order::new(pass.count(), &Fit { verbose: Verbose::Silent, ..Fit::default() }, 3);
                let training = Training::new(&model, 1, STEPS);
                let mut watch = Watch { progress: &mut progress, training: &training, callbacks: &mut [], steps: STEPS };
                let result = block_on(pass.train("epoch 1", 0, &mut order, &mut watch, drop));
                Ok(result.expect_err("a NaN").to_string())
            };
            let (at_the_end, on_the_way) = (error(Progress::new(Verbose::Silent, STEPS))?, error(Progress::always_due(STEPS))?);
            let step = epoch_order(4 * STEPS, 3, 0).iter().position(|&row| row == 37).expect("every sample") / 4 + 1;
            assert!(on_the_way.contains(&format!("sample 37, which step {step} of epoch 1 used")), "{on_the_way}");
            assert_eq!(on_the_way, at_the_end, "{device}");
        }
        Ok(())
    }
}
