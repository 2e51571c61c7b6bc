//! Batches: from the device if the data fit there, else from the host with each step.

use super::data::{Data, Samples};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::losses::Loss;
use crate::shape::{DType, Shape, Spec};
use crate::tensor::{Tensor, lock};
use crate::variable::Variable;
use std::sync::Mutex;

/// Hands out the batches of one data set. Every batch has the same shape: the last is filled up with copies of its first sample, which weigh 0.
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
    x: Tensor,
    y: Tensor,
    /// `[steps, batch]` of u32.
    order: Variable,
    /// `[steps, batch]` of f32: 1, or 0 where the last batch is filled up.
    weights: Tensor,
    /// The number of the next step.
    position: Variable,
}

/// A batch inside a step.
pub(super) struct Batch {
    pub x: Tensor,
    pub y: Tensor,
    /// 1 for samples, 0 for filling.
    pub weights: Tensor,
}

impl Feed {
    /// Batches of `batch` samples, fewer if there are not so many.
    pub fn new(device: &Device, data: Data, batch: usize) -> Result<Feed> {
        if data.count() == 0 {
            return Err(Error::shape("data", "at least one sample", data.x.spec()));
        }
        if batch == 0 {
            return Err(Error::argument("batch_size", "at least 1", 0));
        }
        let count = data.count();
        let mut feed = Feed { device: device.clone(), batch: batch.min(count), order: Mutex::default(), resident: None, data };
        feed.order = Mutex::new(feed.filled((0..count as u32).collect()));
        let largest = feed.data.x.spec().bytes().max(feed.data.y.spec().bytes()) as u64;
        if largest <= device.max_tensor_bytes() {
            feed.resident = Some(feed.upload()?);
        }
        Ok(feed)
    }

    fn upload(&self) -> Result<Resident> {
        let table = [self.steps(), self.batch];
        let order = lock(&self.order);
        let weights: Vec<f32> = (0..order.len()).map(|i| if i < self.data.count() { 1.0 } else { 0.0 }).collect();
        Ok(Resident {
            x: tensor(&self.device, self.data.x.spec().clone(), self.data.x.bytes())?,
            y: tensor(&self.device, self.data.y.spec().clone(), self.data.y.bytes())?,
            order: Variable::new("fit/order", &Tensor::new(&self.device, table, &order)?)?.untrainable(),
            weights: Tensor::new(&self.device, table, &weights)?,
            position: Variable::new("fit/position", &Tensor::scalar(&self.device, 0u32)?)?.untrainable(),
        })
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
        let valid = self.data.count() - step * self.batch;
        let weights: Vec<f32> = (0..self.batch).map(|i| if i < valid { 1.0 } else { 0.0 }).collect();
        let (x, y) = self.host_batch(step)?;
        Ok(vec![x, y, Tensor::new(&self.device, [self.batch], &weights)?])
    }

    /// The batch inside a step that was called with [`Feed::args`].
    pub fn batch(&self, args: &[Tensor]) -> Result<Batch> {
        let Some(resident) = &self.resident else {
            let [x, y, weights] = args else { unreachable!("called with what `args` gave") };
            return Ok(Batch { x: x.clone(), y: y.clone(), weights: weights.clone() });
        };
        let position = resident.position.value()?;
        let rows = resident.order.value()?.gather(&position)?;
        let weights = resident.weights.gather(&position)?;
        resident.position.assign(&position.add_scalar(1.0)?)?;
        Ok(Batch { x: resident.x.gather(&rows)?, y: resident.y.gather(&rows)?, weights })
    }

    /// Inputs and labels of a step, gathered on the host.
    pub fn host_batch(&self, step: usize) -> Result<(Tensor, Tensor)> {
        let rows = self.rows(step);
        let of = |samples: &Samples| {
            let spec = Spec::new(samples.spec().shape.with(0, rows.len()), samples.spec().dtype);
            tensor(&self.device, spec, &samples.gather(&rows))
        };
        Ok((of(&self.data.x)?, of(&self.data.y)?))
    }

    /// The samples of a step, filling included.
    pub fn rows(&self, step: usize) -> Vec<u32> {
        lock(&self.order)[step * self.batch..][..self.batch].to_vec()
    }

    pub fn data(&self) -> &Data {
        &self.data
    }
}

pub(super) fn tensor(device: &Device, spec: Spec, bytes: &[u8]) -> Result<Tensor> {
    let storage = device.upload(&spec, bytes)?;
    Ok(Tensor::stored(device, spec, storage))
}

/// Data whose labels are as the loss takes them: checked, and as u32 if they are class numbers. `output` is the shape of one prediction.
pub(super) fn prepare(data: &Data, loss: &dyn Loss, output: &Shape) -> Result<Data> {
    let y = &data.y;
    let predictions = Shape::from([&[data.count()], &output[..]].concat());
    loss.check(y.spec(), &predictions).map_err(|e| with_range(e, y))?;
    if !loss.takes_classes() {
        return Ok(data.clone());
    }
    let classes = *output.last().ok_or_else(|| Error::shape(loss.name(), "predictions with an axis of classes", output))?;
    let mut labels = Vec::with_capacity(y.spec().shape.elements());
    for (position, label) in y.numbers().enumerate() {
        if label.fract() != 0.0 || !label.is_finite() {
            return Err(Error::argument(format!("{}: labels", loss.name()), "whole numbers", format!("{label} at position {position}")));
        }
        if label < 0.0 || label >= classes as f64 {
            return Err(Error::Label { op: loss.name().to_string(), label: label as i64, position, classes });
        }
        labels.push(label as u32);
    }
    Ok(Data { x: data.x.clone(), y: Samples::new(y.spec().shape.clone(), &labels)? })
}

/// Adds to an error about labels which values they have.
fn with_range(mut error: Error, y: &Samples) -> Error {
    if let Error::Shape { got, .. } = &mut error
        && y.count() > 0
    {
        let (low, high) = y.numbers().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let kind = if y.spec().dtype == DType::F32 { "values" } else { "whole numbers" };
        *got = format!("{got} with {kind} from {low} to {high}");
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(resident: bool) -> Result<Feed> {
        let x: Vec<u8> = (0..10).collect();
        let data = Data::new(Samples::new([5, 2], &x)?, &[10u32, 11, 12, 13, 14][..])?;
        let mut feed = Feed::new(&Device::cpu(), data, 2)?;
        assert!(feed.resident.is_some(), "ten bytes fit");
        if !resident {
            feed.resident = None;
        }
        Ok(feed)
    }

    type Read = (Vec<u8>, Vec<u32>, Vec<f32>);

    fn epoch(feed: &Feed) -> Result<Vec<Read>> {
        let read = |step| -> Result<Read> {
            let batch = feed.batch(&feed.args(step)?)?;
            Ok((batch.x.to_vec()?, batch.y.to_vec()?, batch.weights.to_vec()?))
        };
        (0..feed.steps()).map(read).collect()
    }

    /// From the device and from the host come the same batches, and the last is filled up with its own first sample.
    #[test]
    fn both_ways_give_the_same_batches() -> Result<()> {
        let expected: Vec<Read> = vec![
            (vec![6, 7, 0, 1], vec![13, 10], vec![1.0, 1.0]),
            (vec![8, 9, 2, 3], vec![14, 11], vec![1.0, 1.0]),
            (vec![4, 5, 4, 5], vec![12, 12], vec![1.0, 0.0]),
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

    #[test]
    fn labels_are_checked_and_become_u32() -> Result<()> {
        let loss = crate::losses::SparseCategoricalCrossentropy::new();
        let x = Samples::new([3, 1], &[0.0f32; 3])?;
        let prepared = |labels: Samples| prepare(&Data::new(&x, labels)?, &loss, &Shape::from([4]));
        let good = prepared(Samples::new([3, 1], &[0.0f64, 3.0, 1.0])?)?;
        assert_eq!((good.y.spec().dtype, good.y.numbers().collect::<Vec<_>>()), (DType::U32, vec![0.0, 3.0, 1.0]));
        let error = prepared(Samples::new([3], &[0u8, 1, 4])?).expect_err("five classes");
        assert!(matches!(error, Error::Label { label: 4, position: 2, classes: 4, .. }), "{error}");
        assert!(prepared(Samples::new([3], &[0.0f32, f32::NAN, 1.0])?).is_err());
        Ok(())
    }
}
