//! Batches: from the device if the data fit there, else from the host with each step.

use super::data::{Data, Samples};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::shape::Spec;
use crate::tensor::{Tensor, lock};
use crate::variable::Variable;
use std::sync::Mutex;

/// Hands out the batches of one data set. Every batch has the same shape: the last is filled up with copies of its first sample, which do not
/// count.
pub(super) struct Feed {
    device: Device,
    data: Data,
    batch: usize,
    /// The samples of each step, `steps · batch` of them; a new order for every epoch.
    order: Mutex<Vec<u32>>,
    resident: Option<Resident>,
}

/// The data on the device, and where the next batch is.
struct Resident {
    columns: Columns<Tensor>,
    /// `[steps, batch]` of u32.
    order: Variable,
    /// `[steps, batch]` of f32: 1, or 0 where the last batch is filled up; `None` if none is.
    valid: Option<Tensor>,
    /// The number of the next step.
    position: Variable,
}

/// One of each: inputs, labels, sample weights.
pub(super) struct Columns<T> {
    pub x: Vec<T>,
    pub y: Vec<T>,
    pub sample_weight: Vec<T>,
}

impl<T> Columns<T> {
    fn map<U>(&self, f: impl Fn(&T) -> Result<U>) -> Result<Columns<U>> {
        let all = |of: &[T]| of.iter().map(&f).collect::<Result<Vec<U>>>();
        Ok(Columns { x: all(&self.x)?, y: all(&self.y)?, sample_weight: all(&self.sample_weight)? })
    }
}

/// A batch inside a step.
pub(super) struct Batch {
    pub columns: Columns<Tensor>,
    /// 1 for samples, 0 for filling, `[batch]`; `None` if all are samples.
    pub valid: Option<Tensor>,
}

impl Feed {
    /// Batches of `batch` samples, fewer if there are not so many.
    pub fn new(device: &Device, data: Data, batch: usize) -> Result<Feed> {
        if data.count() == 0 {
            return Err(Error::shape("data", "at least one sample", data.x.first().map_or_else(String::new, |x| x.spec().to_string())));
        }
        if batch == 0 {
            return Err(Error::argument("batch_size", "at least 1", 0));
        }
        let count = data.count();
        let mut feed = Feed { device: device.clone(), batch: batch.min(count), order: Mutex::default(), resident: None, data };
        feed.order = Mutex::new(feed.filled((0..count as u32).collect()));
        let columns = feed.data.x.iter().chain(&feed.data.y).chain(&feed.data.sample_weight);
        let largest = columns.map(|c| c.spec().bytes()).max().unwrap_or(0) as u64;
        if largest <= device.max_tensor_bytes() {
            feed.resident = Some(feed.upload()?);
        }
        Ok(feed)
    }

    fn upload(&self) -> Result<Resident> {
        let table = [self.steps(), self.batch];
        let order = lock(&self.order);
        let valid: Vec<f32> = (0..order.len()).map(|i| if i < self.data.count() { 1.0 } else { 0.0 }).collect();
        Ok(Resident {
            columns: self.columns().map(|samples| tensor(&self.device, samples.spec().clone(), samples.bytes()))?,
            order: Variable::new("fit/order", &Tensor::new(&self.device, table, &order)?)?.untrainable(),
            valid: self.is_filled().then(|| Tensor::new(&self.device, table, &valid)).transpose()?,
            position: Variable::new("fit/position", &Tensor::scalar(&self.device, 0u32)?)?.untrainable(),
        })
    }

    fn columns(&self) -> Columns<Samples> {
        let Data { x, y, sample_weight } = self.data.clone();
        Columns { x, y, sample_weight }
    }

    /// Whether the last batch is filled up.
    fn is_filled(&self) -> bool {
        !self.data.count().is_multiple_of(self.batch)
    }

    /// Steps of one epoch.
    pub fn steps(&self) -> usize {
        self.data.count().div_ceil(self.batch)
    }

    /// Begins an epoch: with this order of the samples, or the last one.
    pub fn start(&self, order: Option<Vec<u32>>) -> Result<()> {
        let new_order = order.map(|order| self.filled(order));
        if let Some(resident) = &self.resident {
            resident.position.assign(&Tensor::scalar(&self.device, 0u32)?)?;
            if let Some(order) = &new_order {
                resident.order.assign(&Tensor::new(&self.device, [self.steps(), self.batch], order)?)?;
            }
        }
        if let Some(order) = new_order {
            *lock(&self.order) = order;
        }
        Ok(())
    }

    /// Fills the last batch up. Its own samples do, for then nothing can be wrong with it that is not wrong with one of them.
    fn filled(&self, mut order: Vec<u32>) -> Vec<u32> {
        let first_of_last = order[(self.steps() - 1) * self.batch];
        order.resize(self.steps() * self.batch, first_of_last);
        order
    }

    /// What step `step` is called with.
    pub fn args(&self, step: usize) -> Result<Vec<Tensor>> {
        if self.resident.is_some() {
            return Ok(Vec::new());
        }
        let Columns { x, y, sample_weight } = self.host_batch(step)?;
        let counts = self.data.count() - step * self.batch;
        let valid: Vec<f32> = (0..self.batch).map(|i| if i < counts { 1.0 } else { 0.0 }).collect();
        let valid = self.is_filled().then(|| Tensor::new(&self.device, [self.batch], &valid)).transpose()?;
        Ok(x.into_iter().chain(y).chain(sample_weight).chain(valid).collect())
    }

    /// The batch inside a step that was called with [`Feed::args`].
    pub fn batch(&self, args: &[Tensor]) -> Result<Batch> {
        let Some(resident) = &self.resident else {
            let mut args = args.iter().cloned();
            let mut next = |n: usize| args.by_ref().take(n).collect();
            let Data { x, y, sample_weight } = &self.data;
            let columns = Columns { x: next(x.len()), y: next(y.len()), sample_weight: next(sample_weight.len()) };
            return Ok(Batch { columns, valid: args.next() });
        };
        let position = resident.position.value()?;
        let rows = resident.order.value()?.gather(&position)?;
        let valid = resident.valid.as_ref().map(|valid| valid.gather(&position)).transpose()?;
        resident.position.assign(&position.add_scalar(1.0)?)?;
        Ok(Batch { columns: resident.columns.map(|all| all.gather(&rows))?, valid })
    }

    /// A step's inputs, labels and weights, gathered on the host.
    pub fn host_batch(&self, step: usize) -> Result<Columns<Tensor>> {
        self.gathered_on_host(&self.rows(step))
    }

    fn gathered_on_host(&self, rows: &[u32]) -> Result<Columns<Tensor>> {
        self.columns().map(|samples| {
            let spec = Spec::new(samples.spec().shape.with(0, rows.len()), samples.spec().dtype);
            tensor(&self.device, spec, &samples.gather(rows))
        })
    }

    /// Any samples, outside of a step: from the device if the data are there.
    pub fn pick(&self, rows: &[u32]) -> Result<Columns<Tensor>> {
        let Some(resident) = &self.resident else { return self.gathered_on_host(rows) };
        let rows = Tensor::new(&self.device, [rows.len()], rows)?;
        resident.columns.map(|all| all.gather(&rows))
    }

    /// The samples of a step, filling included.
    pub fn rows(&self, step: usize) -> Vec<u32> {
        lock(&self.order)[step * self.batch..][..self.batch].to_vec()
    }

    pub fn data(&self) -> &Data {
        &self.data
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Samples of a batch.
    pub fn batch_size(&self) -> usize {
        self.batch
    }
}

pub(super) fn tensor(device: &Device, spec: Spec, bytes: &[u8]) -> Result<Tensor> {
    let storage = device.upload(&spec, bytes)?;
    Ok(Tensor::stored(device, spec, storage))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(resident: bool) -> Result<Feed> {
        let x: Vec<u8> = (0..10).collect();
        let data = Data::new(Samples::new([5, 2], &x)?, &[10u32, 11, 12, 13, 14][..])?.sample_weight(&[1.0f32, 2.0, 3.0, 4.0, 5.0][..])?;
        let mut feed = Feed::new(&Device::cpu(), data, 2)?;
        assert!(feed.resident.is_some(), "ten bytes fit");
        if !resident {
            feed.resident = None;
        }
        Ok(feed)
    }

    type Read = (Vec<u8>, Vec<u32>, Vec<f32>, Vec<f32>);

    fn epoch(feed: &Feed) -> Result<Vec<Read>> {
        let read = |step| -> Result<Read> {
            let Batch { columns, valid } = feed.batch(&feed.args(step)?)?;
            let valid = valid.expect("five is not a multiple of two").to_vec()?;
            Ok((columns.x[0].to_vec()?, columns.y[0].to_vec()?, columns.sample_weight[0].to_vec()?, valid))
        };
        (0..feed.steps()).map(read).collect()
    }

    /// From the device and from the host come the same batches, and the last is filled up with its own first sample.
    #[test]
    fn both_ways_give_the_same_batches() -> Result<()> {
        let expected: Vec<Read> = vec![
            (vec![6, 7, 0, 1], vec![13, 10], vec![4.0, 1.0], vec![1.0, 1.0]),
            (vec![8, 9, 2, 3], vec![14, 11], vec![5.0, 2.0], vec![1.0, 1.0]),
            (vec![4, 5, 4, 5], vec![12, 12], vec![3.0, 3.0], vec![1.0, 0.0]),
        ];
        for resident in [true, false] {
            let feed = feed(resident)?;
            feed.start(Some(vec![3, 0, 4, 1, 2]))?;
            assert_eq!(epoch(&feed)?, expected, "resident: {resident}");
            feed.start(None)?;
            assert_eq!(epoch(&feed)?, expected, "the last order again, resident: {resident}");
            assert_eq!(feed.rows(2), [2, 2]);
        }
        Ok(())
    }
}
