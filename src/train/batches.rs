//! Batches for training loops of one's own.

use super::advice;
use super::data::IntoData;
use super::feed::{Columns, Feed};
use super::run::epoch_order;
use crate::device::Device;
use crate::error::Result;
use crate::tensor::Tensor;
use std::cell::Cell;

/// A data set in batches on a device: every epoch gives every sample once. The last batch of an epoch is smaller, unless [`Batches::padded`].
///
/// ```
/// use gradus::prelude::*;
/// let data = Data::new(Samples::new([5, 2], &[0.0f32; 10])?, &[0u8, 1, 0, 1, 0][..])?;
/// let batches = Batches::new(&Device::cpu(), &data, 2)?.shuffled(0);
/// let mut sizes = Vec::new();
/// for epoch in 0..2 {
///     for batch in batches.epoch(epoch) {
///         let batch = batch?;
///         sizes.push(batch.x[0].shape()[0]);
///     }
/// }
/// assert_eq!(sizes, [2, 2, 1, 2, 2, 1]);
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// The data are on the device from the start if they fit there. When it is dropped and some samples were never handed out, advice about that is
/// printed on standard error, once, unless `GRADUS_ADVICE=0`: a loop that was left early trains on a part of the data.
pub struct Batches {
    feed: Feed,
    shuffle: Option<u64>,
    padded: bool,
    seen: Cell<usize>,
}

/// The tensors of one batch.
#[derive(Clone, Debug)]
pub struct MiniBatch {
    /// For each input its values, `[n, …]`, in the type of the data.
    pub x: Vec<Tensor>,
    /// For each output its labels, `[n, …]`, in the type of the data.
    pub y: Vec<Tensor>,
    /// How much each sample counts, as the data say; empty if they do not.
    pub sample_weight: Vec<Tensor>,
    /// Which rows are samples (1) and which only fill the batch up (0), f32 `[n]`; `None` if all are samples.
    pub valid: Option<Tensor>,
}

impl Batches {
    /// Batches of so many samples (fewer if there are not so many), in the order of the data. Keras's usual size is 32.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) without samples; [`Error::Argument`](crate::Error::Argument) for a size of 0;
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn new(device: &Device, data: impl IntoData, batch_size: usize) -> Result<Batches> {
        let feed = Feed::new(device, data.into_data()?, batch_size)?;
        Ok(Batches { feed, shuffle: None, padded: false, seen: Cell::new(0) })
    }

    /// Gives each epoch an order of its own, which follows from the seed and the epoch: that of a `fit` of a model with this seed.
    #[must_use]
    pub fn shuffled(mut self, seed: u64) -> Batches {
        self.shuffle = Some(seed);
        self
    }

    /// Fills the last batch up with copies of its first sample, so that all have one shape and a [`Function`](crate::Function) is traced once;
    /// [`MiniBatch::valid`] then says which rows count. Give it to [`Loss::weighted_value`](crate::losses::Loss::weighted_value) as the mask.
    #[must_use]
    pub fn padded(mut self) -> Batches {
        self.padded = true;
        self
    }

    /// Batches of one epoch.
    pub fn steps(&self) -> usize {
        self.feed.steps()
    }

    /// Samples of one epoch.
    pub fn count(&self) -> usize {
        self.feed.data().count()
    }

    /// The batches of an epoch, counted from 0: the same each time it is asked for.
    pub fn epoch(&self, epoch: usize) -> impl Iterator<Item = Result<MiniBatch>> + '_ {
        let order = match self.shuffle {
            Some(seed) => epoch_order(self.count(), seed, epoch as u64),
            None => (0..self.count() as u32).collect(),
        };
        let size = self.feed.batch_size();
        (0..self.steps()).map(move |step| {
            let rows = &order[step * size..order.len().min((step + 1) * size)];
            // Every order shows other samples first; without one, an epoch that is left early shows the same ones again.
            let seen = if self.shuffle.is_some() { self.seen.get() + rows.len() } else { self.seen.get().max(step * size + rows.len()) };
            self.seen.set(seen);
            self.batch(rows)
        })
    }

    fn batch(&self, rows: &[u32]) -> Result<MiniBatch> {
        let size = self.feed.batch_size();
        let mut filled = rows.to_vec();
        if self.padded {
            filled.resize(size, rows[0]);
        }
        let valid = (self.padded && !self.count().is_multiple_of(size)).then(|| {
            let valid: Vec<f32> = (0..size).map(|i| if i < rows.len() { 1.0 } else { 0.0 }).collect();
            Tensor::new(self.feed.device(), [size], &valid)
        });
        let Columns { x, y, sample_weight } = self.feed.pick(&filled)?;
        Ok(MiniBatch { x, y, sample_weight, valid: valid.transpose()? })
    }

    /// What to say to somebody who leaves it at this.
    fn advice(&self) -> Option<String> {
        let (seen, count) = (self.seen.get(), self.count());
        (0 < seen && seen < count).then(|| {
            format!("a loop over batches saw {seen} of {count} samples; train on all batches of an epoch, or take fewer data with `take`")
        })
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            advice::say(self.advice());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{Data, Samples};

    fn batches(size: usize) -> Result<Batches> {
        let data = Data::new(Samples::new([5, 2], &(0u8..10).collect::<Vec<_>>())?, &[10u32, 11, 12, 13, 14][..])?;
        Batches::new(&Device::cpu(), data.sample_weight(&[1.0f32, 2.0, 3.0, 4.0, 5.0][..])?, size)
    }

    fn labels(batches: &Batches, epoch: usize) -> Result<Vec<Vec<u32>>> {
        batches.epoch(epoch).map(|batch| batch?.y[0].to_vec()).collect()
    }

    #[test]
    fn every_sample_once() -> Result<()> {
        let plain = batches(2)?;
        assert_eq!(labels(&plain, 0)?, [vec![10, 11], vec![12, 13], vec![14]]);
        let last = plain.epoch(7).last().expect("three batches")?;
        assert_eq!((last.x[0].to_vec::<u8>()?, last.sample_weight[0].to_vec::<f32>()?), (vec![8, 9], vec![5.0]));
        assert!(last.valid.is_none());
        assert_eq!(labels(&batches(9)?, 0)?, [vec![10, 11, 12, 13, 14]]);
        let shuffled = batches(2)?.shuffled(3);
        let (first, second) = (labels(&shuffled, 0)?, labels(&shuffled, 1)?);
        assert_eq!(first, labels(&shuffled, 0)?, "an epoch is the same each time");
        assert_ne!(first, second);
        for mut epoch in [first.concat(), second.concat()] {
            epoch.sort_unstable();
            assert_eq!(epoch, [10, 11, 12, 13, 14]);
        }
        Ok(())
    }

    #[test]
    fn padding_is_declared() -> Result<()> {
        let padded = batches(2)?.padded();
        let all = padded.epoch(0).collect::<Result<Vec<_>>>()?;
        let valid = |i: usize| all[i].valid.as_ref().expect("five is not a multiple of two").to_vec::<f32>();
        assert_eq!((all.len(), valid(0)?, valid(2)?), (3, vec![1.0, 1.0], vec![1.0, 0.0]));
        assert_eq!(all[2].y[0].to_vec::<u32>()?, [14, 14]);
        assert!(batches(5)?.padded().epoch(0).next().expect("one batch")?.valid.is_none());
        Ok(())
    }

    #[test]
    fn a_loop_that_was_left_early_is_told() -> Result<()> {
        let left = batches(2)?;
        assert_eq!(left.advice(), None, "nothing was asked of it");
        for epoch in 0..4 {
            left.epoch(epoch).next().expect("a batch")?;
        }
        assert!(left.advice().expect("two of five").contains("saw 2 of 5 samples"));
        labels(&left, 0)?;
        assert_eq!(left.advice(), None);
        let shuffled = batches(2)?.shuffled(0);
        shuffled.epoch(0).next().expect("a batch")?;
        assert!(shuffled.advice().is_some());
        Ok(())
    }
}
