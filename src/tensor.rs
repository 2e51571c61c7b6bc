//! `Tensor`: a handle to an immutable value that lives, or will live, on a device.

use crate::device::cpu::Element;
use crate::device::{Device, Reading, Storage};
use crate::error::{Error, Result};
use crate::record;
use crate::record::recording::{self, SharedRecording};
use crate::shape::{DType, Shape, Spec};
use ndarray::ArrayD;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// An array of numbers on a device. Cheap to clone, immutable, `Send` and `Sync`.
///
/// An operation on tensors checks shapes at the call and is recorded; it runs when a value is read. See [`crate::record`].
#[derive(Clone)]
pub struct Tensor {
    pub(crate) value: Arc<Value>,
}

pub(crate) struct Value {
    pub id: u64,
    pub device: Device,
    pub spec: Spec,
    /// For the output of a softmax or sigmoid: the logits it was made from, so that a crossentropy can use them.
    pub logits: OnceLock<(Squash, Tensor)>,
    state: Mutex<State>,
}

/// The functions that turn logits into probabilities.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Squash {
    /// Softmax over the last axis.
    Softmax,
    /// The logistic function.
    Sigmoid,
}

pub(crate) enum State {
    /// It has memory.
    Stored(Arc<Storage>),
    /// The recording's value of this number will have memory when the recording is flushed; or never, if it is a trace.
    Pending(SharedRecording, usize),
    /// What should have made it failed.
    Failed(Error),
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

pub(crate) fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// A panic elsewhere does not make our data wrong: every critical section here leaves it whole.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Value {
    pub(crate) fn new(device: &Device, spec: Spec, state: State) -> Arc<Value> {
        Arc::new(Value { id: next_id(), device: device.clone(), spec, logits: OnceLock::new(), state: Mutex::new(state) })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Tensor {
    /// A tensor with these elements, in row-major order.
    ///
    /// # Errors
    /// [`Error::Shape`] if their number is not the shape's; [`Error::DType`] for f64 on a GPU; [`Error::OutOfMemory`].
    #[track_caller]
    pub fn new<T: Element>(device: &Device, shape: impl Into<Shape>, data: &[T]) -> Result<Tensor> {
        let shape = shape.into();
        if shape.elements() != data.len() {
            return Err(Error::shape("Tensor::new", format!("{} elements for shape {shape}", shape.elements()), data.len()));
        }
        let spec = Spec::new(shape, T::DTYPE);
        let storage = device.upload(&spec, bytemuck::cast_slice(data))?;
        Ok(Tensor::stored(device, spec, storage))
    }

    /// A tensor without axes.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    #[track_caller]
    pub fn scalar<T: Element>(device: &Device, value: T) -> Result<Tensor> {
        Tensor::new(device, [], &[value])
    }

    /// A tensor with the array's shape and elements.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    #[track_caller]
    pub fn from_array<T: Element>(device: &Device, array: &ArrayD<T>) -> Result<Tensor> {
        let data: Vec<T> = array.iter().copied().collect();
        Tensor::new(device, array.shape(), &data)
    }

    #[track_caller]
    pub(crate) fn stored(device: &Device, spec: Spec, storage: Arc<Storage>) -> Tensor {
        Tensor { value: Value::new(device, spec, State::Stored(storage)) }
    }

    /// The same numbers as a value of its own, in the same memory, without a past on any tape.
    #[track_caller]
    pub(crate) fn under_another_name(&self) -> Result<Tensor> {
        let stored = match &*self.value.state() {
            State::Stored(storage) => Some(storage.clone()),
            State::Failed(_) => return Ok(self.clone()),
            State::Pending(..) => None,
        };
        match stored {
            Some(storage) => Ok(Tensor::stored(self.device(), self.spec().clone(), storage)),
            // A view: nothing is computed or copied for it.
            None => self.stop_gradient(),
        }
    }

    /// Marks a value that was just recorded as a squash of these logits.
    pub(crate) fn with_logits(self, squash: Squash, logits: &Tensor) -> Tensor {
        // Set once, before the handle leaves the op that recorded it.
        let _ = self.value.logits.set((squash, logits.clone()));
        self
    }

    /// The logits that this value is a squash of, if it is one.
    pub(crate) fn logits(&self, squash: Squash) -> Option<&Tensor> {
        self.value.logits.get().filter(|(kind, _)| *kind == squash).map(|(_, logits)| logits)
    }

    /// A number that no other tensor of this process has.
    pub fn id(&self) -> u64 {
        self.value.id
    }

    /// Where it lives.
    pub fn device(&self) -> &Device {
        &self.value.device
    }

    /// Its shape and element type.
    pub fn spec(&self) -> &Spec {
        &self.value.spec
    }

    /// The lengths of its axes.
    pub fn shape(&self) -> &Shape {
        &self.value.spec.shape
    }

    /// The type of its elements.
    pub fn dtype(&self) -> DType {
        self.value.spec.dtype
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.shape().rank()
    }

    /// The memory of the value: runs what is recorded, if it is still pending.
    pub(crate) fn storage(&self) -> Result<Arc<Storage>> {
        let recording = match &*self.value.state() {
            State::Stored(storage) => return Ok(storage.clone()),
            State::Failed(error) => return Err(error.clone()),
            State::Pending(recording, _) => recording.clone(),
        };
        recording::flush(&recording)?;
        match &*self.value.state() {
            State::Stored(storage) => Ok(storage.clone()),
            State::Failed(error) => Err(error.clone()),
            State::Pending(..) => unreachable!("a flush stores or fails every value that is still held"),
        }
    }

    /// The elements in row-major order; waits for the device.
    ///
    /// # Errors
    /// [`Error::DType`] if `T` is not the element type; [`Error::Trace`] inside a traced function; whatever the operations that make the
    /// value return.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        pollster::block_on(self.read())
    }

    /// The elements in row-major order, without blocking the thread where the platform forbids it.
    ///
    /// # Errors
    /// As [`Tensor::to_vec`].
    pub async fn read<T: Element>(&self) -> Result<Vec<T>> {
        if self.dtype() != T::DTYPE {
            return Err(Error::dtype("read", self.dtype().to_string(), T::DTYPE));
        }
        Ok(bytemuck::pod_collect_to_vec(&self.start_reading()?.bytes().await?))
    }

    /// Begins to read the elements without waiting for the device.
    pub(crate) fn start_reading(&self) -> Result<Reading> {
        record::note_host_read(self);
        self.device().start_reading(&*self.storage()?, self.spec().bytes())
    }

    /// The only element, as f64; waits for the device.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is not exactly one; otherwise as [`Tensor::to_vec`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn item(&self) -> Result<f64> {
        if self.shape().elements() != 1 {
            return Err(Error::shape("item", "one element", self.shape()));
        }
        Ok(match self.dtype() {
            DType::F16 => f64::from(self.to_vec::<half::f16>()?[0]),
            DType::F32 => f64::from(self.to_vec::<f32>()?[0]),
            DType::F64 => self.to_vec::<f64>()?[0],
            DType::U32 => f64::from(self.to_vec::<u32>()?[0]),
            DType::I32 => f64::from(self.to_vec::<i32>()?[0]),
            DType::U8 => f64::from(self.to_vec::<u8>()?[0]),
        })
    }

    /// The elements as an array; waits for the device.
    ///
    /// # Errors
    /// As [`Tensor::to_vec`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn to_array<T: Element>(&self) -> Result<ArrayD<T>> {
        let data = self.to_vec()?;
        Ok(ArrayD::from_shape_vec(self.shape().to_vec(), data).expect("the number of elements is the shape's"))
    }

    /// The same value on another device; waits for this one.
    ///
    /// # Errors
    /// As [`Tensor::to_vec`] and [`Tensor::new`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn to_device(&self, device: &Device) -> Result<Tensor> {
        let bytes = pollster::block_on(self.start_reading()?.bytes())?;
        Ok(Tensor::stored(device, self.spec().clone(), device.upload(self.spec(), &bytes)?))
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let state = match &*self.value.state() {
            State::Stored(_) => "stored",
            State::Pending(..) => "pending",
            State::Failed(_) => "failed",
        };
        write!(f, "Tensor({}, {state}, {})", self.spec(), self.device())
    }
}
