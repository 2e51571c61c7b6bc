//! Batches from the host, gathered on a thread of their own while the steps before them run.

use super::data::{Data, Samples};
use super::feed::{Columns, tensor};
use crate::device::{Device, Storage};
use crate::error::{Error, Result};
use crate::shape::{DType, Spec};
use crate::tensor::Tensor;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Batches that lie ready. More would help only where batches take very different times.
const READY: usize = 1;

/// Batches there are at a time: besides those, the one that the thread has in hand and the one that a step has.
const PLACES: usize = READY + 2;

/// Data on the host, and how they are cut into batches.
pub(super) struct Host {
    pub device: Device,
    pub data: Data,
    /// Samples of a batch.
    pub batch: usize,
}

impl Host {
    /// Steps of one epoch.
    pub fn steps(&self) -> usize {
        self.data.count().div_ceil(self.batch)
    }

    /// Whether the last batch is filled up.
    pub fn is_filled(&self) -> bool {
        !self.data.count().is_multiple_of(self.batch)
    }

    /// 1 for the samples of an epoch, 0 for what fills the last batch up.
    pub fn valid(&self) -> Vec<f32> {
        (0..self.steps() * self.batch).map(|i| if i < self.data.count() { 1.0 } else { 0.0 }).collect()
    }

    pub fn columns(&self) -> Columns<&Samples> {
        let Data { x, y, sample_weight } = &self.data;
        Columns { x: x.iter().collect(), y: y.iter().collect(), sample_weight: sample_weight.iter().collect() }
    }

    /// These samples, on the device.
    pub fn pick(&self, rows: &[u32]) -> Result<Columns<Tensor>> {
        self.gather(rows, &mut Vec::new(), |spec, bytes| tensor(&self.device, spec, bytes))
    }

    /// What a step is called with: the columns of its rows of `order`, and which of them count, if the last batch is filled up.
    pub fn args(&self, order: &[u32], step: usize, memory: &mut Memory) -> Result<Vec<Tensor>> {
        let at = step * self.batch..(step + 1) * self.batch;
        let place = &mut memory.places[step % PLACES];
        let mut old = std::mem::take(place).into_iter();
        let mut put = |spec: Spec, bytes: &[u8]| {
            let storage = self.device.upload_into(old.next(), &spec, bytes)?;
            place.push(storage.clone());
            Ok(Tensor::stored(&self.device, spec, storage))
        };
        let Columns { x, y, sample_weight } = self.gather(&order[at.clone()], &mut memory.bytes, &mut put)?;
        let counts: Vec<f32> = at.map(|i| if i < self.data.count() { 1.0 } else { 0.0 }).collect();
        let valid = || put(Spec::new([self.batch], DType::F32), bytemuck::cast_slice(&counts));
        let valid = self.is_filled().then(valid).transpose()?;
        Ok(x.into_iter().chain(y).chain(sample_weight).chain(valid).collect())
    }

    /// Every column's bytes of these samples, in `bytes` one after the other, as `put` makes tensors of them.
    fn gather(&self, rows: &[u32], bytes: &mut Vec<u8>, mut put: impl FnMut(Spec, &[u8]) -> Result<Tensor>) -> Result<Columns<Tensor>> {
        self.columns().map(|samples| {
            bytes.clear();
            rows.iter().for_each(|&row| bytes.extend_from_slice(samples.sample(row as usize)));
            put(Spec::new(samples.spec().shape.with(0, rows.len()), samples.spec().dtype), bytes)
        })
    }
}

/// Memory that batches go through, so that none is asked for while they come and go.
#[derive(Default)]
pub(super) struct Memory {
    /// A column on its way to the device.
    bytes: Vec<u8>,
    /// On the device, for batches that take turns: always the same memory together, so that a program finds its bind groups again.
    places: [Vec<Arc<Storage>>; PLACES],
}

/// The batches of one pass over the data, in their order. The thread ends with the last batch, or when this is dropped, which waits for it.
pub(super) struct Ring {
    next: usize,
    /// `None` once it is stopped, as the thread.
    ready: Option<Receiver<Result<Vec<Tensor>>>>,
    thread: Option<JoinHandle<Memory>>,
}

impl Ring {
    /// Begins to gather the batches of a pass in this order; `None` where there are no threads, as in a browser.
    pub fn start(host: &Arc<Host>, order: &Arc<[u32]>, mut memory: Memory) -> Option<Ring> {
        let (host, order) = (host.clone(), order.clone());
        let (send, ready) = sync_channel(READY);
        let gather = move || {
            for step in 0..host.steps() {
                let batch = host.args(&order, step, &mut memory);
                let failed = batch.is_err();
                // Nobody may want it any more.
                if send.send(batch).is_err() || failed {
                    break;
                }
            }
            memory
        };
        let thread = Builder::new().name("gradus batches".into()).spawn(gather).ok()?;
        Some(Ring { next: 0, ready: Some(ready), thread: Some(thread) })
    }

    /// The batch of a step; they are asked for one after the other.
    ///
    /// # Errors
    /// What the device reported when it was to take the batch, or one before it.
    pub fn take(&mut self, step: usize) -> Result<Vec<Tensor>> {
        assert_eq!(step, self.next, "batches come in order");
        self.next += 1;
        let batch = self.ready.as_ref().and_then(|ready| ready.recv().ok());
        batch.unwrap_or_else(|| {
            if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
                resume_unwind(panic);
            }
            Err(Error::Device("no batch comes after one that failed".into()))
        })
    }

    /// Ends it, however many batches were taken. Its memory can serve the next pass.
    pub fn stop(&mut self) -> Memory {
        // The thread may wait for a place for its batch: without a receiver it ends.
        self.ready = None;
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Number;

    fn host(device: &Device, samples: usize, features: usize) -> Result<Arc<Host>> {
        let x: Vec<f32> = (0..samples * features).map(|i| i as f32).collect();
        let y: Vec<u32> = (0..samples as u32).collect();
        let data = Data::new(Samples::new([samples, features], &x)?, &y)?;
        Ok(Arc::new(Host { device: device.clone(), data, batch: 8 }))
    }

    fn in_order(host: &Host) -> Arc<[u32]> {
        (0..host.data.count() as u32).collect()
    }

    /// Whoever is waited for holds nothing any more.
    #[test]
    fn the_thread_ends_when_the_batches_do_or_are_left() -> Result<()> {
        for taken in [0, 1, 2, 7, 8] {
            let host = host(&Device::cpu(), 64, 3)?;
            let order = in_order(&host);
            let mut ring = Ring::start(&host, &order, Memory::default()).expect("a thread");
            for step in 0..taken {
                assert_eq!(ring.take(step)?[1].to_vec::<u32>()?[0], 8 * step as u32);
            }
            drop(ring);
            assert_eq!((Arc::strong_count(&host), Arc::strong_count(&order)), (1, 1), "after {taken} of 8 batches");
        }
        Ok(())
    }

    #[test]
    fn a_caller_that_panics_leaves_no_thread() -> Result<()> {
        let host = host(&Device::cpu(), 64, 3)?;
        let order = in_order(&host);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut ring = Ring::start(&host, &order, Memory::default()).expect("a thread");
            let step = ring.take(0).map_or(0, |batch| batch.len());
            panic!("a step of {step} arguments");
        }));
        assert!(panicked.is_err());
        assert_eq!(Arc::strong_count(&host), 1);
        Ok(())
    }

    /// Numbers that a GPU does not take.
    #[derive(Clone, Copy)]
    struct Double(f64);
    impl Number for Double {
        const DTYPE: DType = DType::F64;
        fn bytes(numbers: &[Double]) -> Result<Vec<u8>> {
            Ok(numbers.iter().flat_map(|number| number.0.to_ne_bytes()).collect())
        }
    }

    #[test]
    fn what_goes_wrong_in_the_thread_reaches_the_caller() -> Result<()> {
        let Some(device) = crate::testing::gpu("errors of batches") else { return Ok(()) };
        let x = Samples::new([16, 1], &[Double(0.5); 16])?;
        let host = Arc::new(Host { device, data: Data::new(x, &[0u32; 16][..])?, batch: 8 });
        let mut ring = Ring::start(&host, &in_order(&host), Memory::default()).expect("a thread");
        assert!(matches!(ring.take(0), Err(Error::DType { .. })));
        assert!(matches!(ring.take(1), Err(Error::Device(_))));
        Ok(())
    }

    /// An order that names a sample that is not there is our own mistake.
    #[test]
    #[should_panic(expected = "out of range")]
    fn a_panic_of_the_thread_is_one_of_the_caller() {
        let host = host(&Device::cpu(), 16, 3).expect("a host");
        let mut ring = Ring::start(&host, &(0..16).map(|i| 2 * i).collect(), Memory::default()).expect("a thread");
        for step in 0..2 {
            drop(ring.take(step).expect("a batch"));
        }
    }
}
