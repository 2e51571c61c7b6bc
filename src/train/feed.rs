//! Batches: from the device if the data fit there, else from the host with each step.

use super::data::Data;
use super::ring::{Host, Memory, Ring};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::shape::Spec;
use crate::tensor::{Tensor, lock};
use crate::variable::Variable;
use std::cell::Cell;
use std::sync::{Arc, Mutex};

/// Hands out the batches of one data set. Every batch has the same shape: the last is filled up with copies of its first sample, which do not
/// count.
pub(super) struct Feed {
    host: Arc<Host>,
    /// The samples of each step, `steps · batch` of them; a new order for every epoch.
    order: Mutex<Arc<[u32]>>,
    resident: Option<Resident>,
    /// The batches of this epoch, if the data are not on the device.
    ring: Mutex<Option<Ring>>,
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
    pub fn map<U>(&self, mut f: impl FnMut(&T) -> Result<U>) -> Result<Columns<U>> {
        let mut all = |of: &[T]| of.iter().map(&mut f).collect::<Result<Vec<U>>>();
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
        let batch = batch.min(data.count());
        let host = Arc::new(Host { device: device.clone(), data, batch });
        let order = filled(&host, (0..host.data.count() as u32).collect());
        let resident = match fits(&host).then(|| Resident::new(&host, &order)).transpose() {
            // The device has not so much memory left.
            Err(Error::OutOfMemory { .. }) => None,
            resident => resident?,
        };
        Ok(Feed { host, order: Mutex::new(order), resident, ring: Mutex::default() })
    }

    /// Steps of one epoch.
    pub fn steps(&self) -> usize {
        self.host.steps()
    }

    /// Begins an epoch: with this order of the samples, or the last one.
    pub fn start(&self, order: Option<Vec<u32>>) -> Result<()> {
        let new_order = order.map(|order| filled(&self.host, order));
        if let Some(resident) = &self.resident {
            resident.position.assign(&Tensor::scalar(self.device(), 0u32)?)?;
            if let Some(order) = &new_order {
                resident.order.assign(&Tensor::new(self.device(), [self.steps(), self.batch_size()], order)?)?;
            }
        }
        if let Some(order) = new_order {
            *lock(&self.order) = order;
        }
        if self.resident.is_none() {
            let mut ring = lock(&self.ring);
            let memory = ring.take().map(|mut last| last.stop()).unwrap_or_default();
            *ring = Ring::start(&self.host, &lock(&self.order), memory);
        }
        Ok(())
    }

    /// What step `step` is called with. The steps of an epoch come one after the other.
    pub fn args(&self, step: usize) -> Result<Vec<Tensor>> {
        if self.resident.is_some() {
            return Ok(Vec::new());
        }
        match &mut *lock(&self.ring) {
            Some(ring) => ring.take(step),
            None => self.host.args(&lock(&self.order), step, &mut Memory::default()),
        }
    }

    /// The batch inside a step that was called with [`Feed::args`].
    pub fn batch(&self, args: &[Tensor]) -> Result<Batch> {
        let Some(resident) = &self.resident else {
            let mut args = args.iter().cloned();
            let mut next = |n: usize| args.by_ref().take(n).collect();
            let Data { x, y, sample_weight } = self.data();
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
        self.host.pick(&self.rows(step))
    }

    /// Any samples, outside of a step: from the device if the data are there.
    pub fn pick(&self, rows: &[u32]) -> Result<Columns<Tensor>> {
        let Some(resident) = &self.resident else { return self.host.pick(rows) };
        let rows = Tensor::new(self.device(), [rows.len()], rows)?;
        resident.columns.map(|all| all.gather(&rows))
    }

    /// The samples of a step, filling included.
    pub fn rows(&self, step: usize) -> Vec<u32> {
        lock(&self.order)[step * self.batch_size()..][..self.batch_size()].to_vec()
    }

    pub fn data(&self) -> &Data {
        &self.host.data
    }

    pub fn device(&self) -> &Device {
        &self.host.device
    }

    /// Samples of a batch.
    pub fn batch_size(&self) -> usize {
        self.host.batch
    }
}

impl Resident {
    fn new(host: &Host, order: &[u32]) -> Result<Resident> {
        let (device, table) = (&host.device, [host.steps(), host.batch]);
        Ok(Resident {
            columns: host.columns().map(|samples| tensor(device, samples.spec().clone(), samples.bytes()))?,
            order: Variable::new("fit/order", &Tensor::new(device, table, order)?)?.untrainable(),
            valid: host.is_filled().then(|| Tensor::new(device, table, &host.valid())).transpose()?,
            position: Variable::new("fit/position", &Tensor::scalar(device, 0u32)?)?.untrainable(),
        })
    }
}

/// Fills the last batch up. Its own samples do, for then nothing can be wrong with it that is not wrong with one of them.
fn filled(host: &Host, mut order: Vec<u32>) -> Arc<[u32]> {
    let first_of_last = order[(host.steps() - 1) * host.batch];
    order.resize(host.steps() * host.batch, first_of_last);
    order.into()
}

thread_local! {
    static ON_HOST: Cell<bool> = const { Cell::new(false) };
}

/// Leaves the data of what `f` trains on this thread on the host, whatever fits on the device.
pub(crate) fn on_host<R>(f: impl FnOnce() -> R) -> R {
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            ON_HOST.set(self.0);
        }
    }
    let _back = Back(ON_HOST.replace(true));
    f()
}

/// Whether kernels can read every column of the data on the device.
fn fits(host: &Host) -> bool {
    let Columns { x, y, sample_weight } = host.columns();
    let largest = x.iter().chain(&y).chain(&sample_weight).map(|samples| samples.spec().bytes()).max().unwrap_or(0);
    !ON_HOST.get() && largest as u64 <= host.device.max_tensor_bytes()
}

pub(super) fn tensor(device: &Device, spec: Spec, bytes: &[u8]) -> Result<Tensor> {
    let storage = device.upload(&spec, bytes)?;
    Ok(Tensor::stored(device, spec, storage))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Samples;

    fn feed(device: &Device, resident: bool) -> Result<Feed> {
        let x: Vec<u8> = (0..10).collect();
        let data = Data::new(Samples::new([5, 2], &x)?, &[10u32, 11, 12, 13, 14][..])?.sample_weight(&[1.0f32, 2.0, 3.0, 4.0, 5.0][..])?;
        let make = || Feed::new(device, data, 2);
        let feed = if resident { make() } else { on_host(make) }?;
        assert_eq!(feed.resident.is_some(), resident, "ten bytes fit");
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
        let devices: Vec<Device> = std::iter::once(Device::cpu()).chain(crate::testing::gpu("batches")).collect();
        for (device, resident) in devices.iter().flat_map(|device| [(device, true), (device, false)]) {
            let feed = feed(device, resident)?;
            feed.start(Some(vec![3, 0, 4, 1, 2]))?;
            assert_eq!(epoch(&feed)?, expected, "{device}, resident: {resident}");
            feed.start(None)?;
            assert_eq!(epoch(&feed)?, expected, "the last order again, {device}, resident: {resident}");
            assert_eq!(feed.rows(2), [2, 2]);
            // An epoch that is left after a batch does not reach into the next.
            feed.start(Some(vec![0, 1, 2, 3, 4]))?;
            feed.args(0)?;
            feed.start(Some(vec![3, 0, 4, 1, 2]))?;
            assert_eq!(epoch(&feed)?, expected, "after an epoch that was left, {device}, resident: {resident}");
        }
        Ok(())
    }
}
