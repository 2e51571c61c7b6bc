//! The recording: operations that were called and have not run.
//!
//! Each thread has one open recording per device. A flush compiles and runs the whole of it; its outputs are the values that somebody still
//! holds. While a `Function` traces, the thread's operations on that device go into the trace instead.

use super::op::Op;
use super::tape;
use crate::compile::{self, Graph, GraphInput, Node};
use crate::device::{Device, Storage};
use crate::error::{Error, Result};
use crate::shape::Spec;
use crate::tensor::{State, Tensor, Value, lock};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex, Weak};

pub(crate) type SharedRecording = Arc<Mutex<Recording>>;

/// After so many records a recording is run without being asked, so that a program that never reads does not grow without bound.
const MOST_PENDING: usize = 8192;

/// Where an operation was called: the layer path and the source line.
#[derive(Clone)]
pub struct Site {
    layer: Option<Arc<str>>,
    line: &'static Location<'static>,
    /// Whether a gradient was being computed.
    backward: bool,
}

impl Site {
    #[track_caller]
    pub(crate) fn here() -> Site {
        Site { layer: SCOPES.with_borrow(|s| s.last().cloned()), line: Location::caller(), backward: BACKWARD.get() > 0 }
    }

    /// The layer path, if the operation was called inside one.
    pub(crate) fn layer(&self) -> Option<&str> {
        self.layer.as_deref()
    }

    pub(crate) fn layer_path(&self) -> Option<Arc<str>> {
        self.layer.clone()
    }

    /// The same place, for what is computed there again for a gradient.
    pub(crate) fn in_backward(self) -> Site {
        Site { backward: true, ..self }
    }

    /// Whether it was called for a gradient.
    pub(crate) fn is_backward(&self) -> bool {
        self.backward
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.layer {
            Some(layer) => write!(f, "{layer} ({}:{})", self.line.file(), self.line.line()),
            None => write!(f, "{}:{}", self.line.file(), self.line.line()),
        }
    }
}

/// While it lives, operations of this thread are said to belong to a layer. Scopes nest: `model/block/conv2d`.
pub struct Scope(());

impl Scope {
    /// Enters the layer of this name.
    pub fn enter(name: &str) -> Scope {
        SCOPES.with_borrow_mut(|scopes| {
            let path = scopes.last().map_or_else(|| name.to_string(), |outer| format!("{outer}/{name}"));
            scopes.push(path.into());
        });
        Scope(())
    }

    /// Enters a layer again by its whole path.
    pub(super) fn back_in(path: Arc<str>) -> Scope {
        SCOPES.with_borrow_mut(|scopes| scopes.push(path));
        Scope(())
    }
}

impl Scope {
    /// The layers that operations of this thread belong to now.
    pub fn path() -> Option<String> {
        SCOPES.with_borrow(|scopes| scopes.last().map(ToString::to_string))
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        SCOPES.with_borrow_mut(|scopes| {
            scopes.pop();
        });
    }
}

/// While it lives, operations of this thread are said to compute a gradient.
pub(super) struct Backward(());

impl Backward {
    pub fn enter() -> Backward {
        BACKWARD.set(BACKWARD.get() + 1);
        Backward(())
    }
}

impl Drop for Backward {
    fn drop(&mut self) {
        BACKWARD.set(BACKWARD.get() - 1);
    }
}

thread_local! {
    static BACKWARD: Cell<usize> = const { Cell::new(0) };
    static SCOPES: RefCell<Vec<Arc<str>>> = const { RefCell::new(Vec::new()) };
    static OPEN: RefCell<HashMap<u64, SharedRecording>> = RefCell::new(HashMap::new());
    /// Traces in progress, innermost last.
    pub(super) static TRACES: RefCell<Vec<(Device, SharedRecording)>> = const { RefCell::new(Vec::new()) };
}

/// Operations in order, over numbered values.
pub(crate) struct Recording {
    pub(super) device: Device,
    pub(super) kind: Kind,
    pub(super) values: Vec<Entry>,
    records: Vec<Record>,
    /// The number of a stored value that was met before, by the identity of its memory.
    stored: HashMap<u64, usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Runs when a value of it is read.
    Open,
    /// Belongs to a `Function`; its values cannot be read.
    Trace,
    /// A trace that is over; its values are gone.
    Over,
}

pub(super) struct Entry {
    pub(super) spec: Spec,
    pub(super) source: EntrySource,
}

pub(super) enum EntrySource {
    /// A value that already has memory.
    Stored(Arc<Storage>),
    /// An argument or a variable of the function that is traced: the input of this number.
    Input(usize),
    /// An output of a record, and the handle that may still want it.
    Record(Weak<Value>),
}

struct Record {
    op: Arc<dyn Op>,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    site: Site,
}

impl Recording {
    pub(super) fn new(device: &Device, kind: Kind) -> SharedRecording {
        Arc::new(Mutex::new(Recording { device: device.clone(), kind, values: Vec::new(), records: Vec::new(), stored: HashMap::new() }))
    }

    pub(super) fn entry_of_stored(&mut self, spec: &Spec, storage: &Arc<Storage>) -> usize {
        // The same memory may be seen under two shapes (a reshape), which are two values here.
        if let Some(&index) = self.stored.get(&storage.id())
            && self.values[index].spec == *spec
        {
            return index;
        }
        self.values.push(Entry { spec: spec.clone(), source: EntrySource::Stored(storage.clone()) });
        let index = self.values.len() - 1;
        self.stored.insert(storage.id(), index);
        index
    }

    /// Empties the recording into a graph for the compiler: which memory it starts from, and which values are wanted of it.
    pub(super) fn take_graph(&mut self, wanted: &[usize]) -> (Graph, Vec<Arc<Storage>>) {
        let mut storages = Vec::new();
        let mut graph = Graph::default();
        let values = std::mem::take(&mut self.values);
        self.stored.clear();
        for (index, entry) in values.into_iter().enumerate() {
            graph.values.push(entry.spec);
            if let EntrySource::Stored(storage) = entry.source {
                graph.inputs.push(GraphInput { value: index, overwritable: false });
                storages.push(storage);
            }
        }
        for record in std::mem::take(&mut self.records) {
            graph.nodes.push(Node { op: record.op, inputs: record.inputs, outputs: record.outputs, site: record.site });
        }
        graph.outputs = wanted.to_vec();
        (graph, storages)
    }
}

/// Records an operation and returns its outputs.
///
/// # Errors
/// [`Error::Shape`], [`Error::DType`] from the op; [`Error::Device`] for inputs on different devices; [`Error::Trace`].
#[track_caller]
pub fn record(op: impl Op, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let device = inputs.first().expect("an op without inputs names its device: record_on").device().clone();
    record_on(&device, op, inputs)
}

/// [`record`] for an op with one output.
///
/// # Errors
/// As [`record`].
#[track_caller]
pub fn record_one(op: impl Op, inputs: &[&Tensor]) -> Result<Tensor> {
    let outputs = record(op, inputs)?;
    let [one] = <[Tensor; 1]>::try_from(outputs).unwrap_or_else(|all| panic!("{} outputs where one was expected", all.len()));
    Ok(one)
}

/// [`record`] on a named device, for an op that may have no inputs.
///
/// # Errors
/// As [`record`].
#[track_caller]
pub fn record_on(device: &Device, op: impl Op, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let site = Site::here();
    if let Some(other) = inputs.iter().find(|t| t.device() != device) {
        return Err(Error::Device(format!("{}: one input is on {device}, another on {}; use `to_device`", op.name(), other.device())));
    }
    let specs: Vec<Spec> = inputs.iter().map(|t| t.spec().clone()).collect();
    let out_specs = op.infer(&specs).map_err(|e| place(e, &site))?;
    let op: Arc<dyn Op> = Arc::new(op);
    let recording = current(device);
    let outputs = append(&recording, &op, inputs, &out_specs, &site)?;
    tape::note(&op, inputs, &outputs, &site);
    Ok(outputs)
}

/// Errors carry the layer; a line alone adds little to what a backtrace or the `?` shows.
fn place(error: Error, site: &Site) -> Error {
    match site.layer() {
        Some(layer) => error.at(layer),
        None => error,
    }
}

fn append(shared: &SharedRecording, op: &Arc<dyn Op>, inputs: &[&Tensor], out_specs: &[Spec], site: &Site) -> Result<Vec<Tensor>> {
    let mut recording = loop {
        match foreign(shared, inputs)? {
            Ok(ready) => break ready,
            Err(other) => flush(&other)?,
        }
    };
    let numbers: Vec<usize> = inputs
        .iter()
        .map(|tensor| match &*tensor.value.state() {
            State::Stored(storage) => recording.entry_of_stored(tensor.spec(), storage),
            State::Pending(_, index) => *index,
            State::Failed(_) => unreachable!("`foreign` returned the error"),
        })
        .collect();
    let mut outputs = Vec::with_capacity(out_specs.len());
    let mut out_numbers = Vec::with_capacity(out_specs.len());
    for spec in out_specs {
        let index = recording.values.len();
        let value = Value::new(&recording.device, spec.clone(), State::Pending(shared.clone(), index));
        recording.values.push(Entry { spec: spec.clone(), source: EntrySource::Record(Arc::downgrade(&value)) });
        out_numbers.push(index);
        outputs.push(Tensor { value });
    }
    recording.records.push(Record { op: op.clone(), inputs: numbers, outputs: out_numbers, site: site.clone() });
    let full = recording.kind == Kind::Open && recording.records.len() >= MOST_PENDING;
    drop(recording);
    if full {
        flush(shared)?;
    }
    Ok(outputs)
}

type Guard<'a> = std::sync::MutexGuard<'a, Recording>;

/// Locks the recording if every input is stored or pending in it; otherwise the other recording that must be flushed first.
fn foreign<'a>(shared: &'a SharedRecording, inputs: &[&Tensor]) -> Result<Result<Guard<'a>, SharedRecording>> {
    let guard = lock(shared);
    for tensor in inputs {
        match &*tensor.value.state() {
            State::Stored(_) => {}
            State::Failed(error) => return Err(error.clone()),
            State::Pending(other, _) if Arc::ptr_eq(other, shared) => {}
            State::Pending(other, _) => return Ok(Err(other.clone())),
        }
    }
    Ok(Ok(guard))
}

fn current(device: &Device) -> SharedRecording {
    if let Some(trace) = tracing_on(device) {
        return trace;
    }
    OPEN.with_borrow_mut(|open| open.entry(device.id()).or_insert_with(|| Recording::new(device, Kind::Open)).clone())
}

/// The trace in progress on this thread for this device.
pub(crate) fn tracing_on(device: &Device) -> Option<SharedRecording> {
    TRACES.with_borrow(|traces| traces.iter().rev().find(|(d, _)| d == device).map(|(_, recording)| recording.clone()))
}

/// Compiles (or finds) the program of everything recorded, runs it, and gives every value that is still held its memory.
pub(crate) fn flush(shared: &SharedRecording) -> Result<()> {
    let mut recording = lock(shared);
    match recording.kind {
        Kind::Open => {}
        Kind::Trace => {
            return Err(Error::Trace(
                "a value was read on the host, or used on another thread, while the function was traced; return it and read it outside"
                    .into(),
            ));
        }
        Kind::Over => {
            return Err(Error::Trace("a value made while a function was traced was used after it; return it from the function".into()));
        }
    }
    let mut held: Vec<(usize, Arc<Value>)> = Vec::new();
    for (index, entry) in recording.values.iter().enumerate() {
        if let EntrySource::Record(handle) = &entry.source
            && let Some(value) = handle.upgrade()
        {
            held.push((index, value));
        }
    }
    let wanted: Vec<usize> = held.iter().map(|(index, _)| *index).collect();
    let device = recording.device.clone();
    let (mut graph, inputs) = recording.take_graph(&wanted);
    if wanted.is_empty() {
        return Ok(());
    }
    for (input, storage) in graph.inputs.iter_mut().zip(&inputs) {
        // Nobody but this recording can reach the memory: a variable's old version, for instance.
        input.overwritable = Arc::strong_count(storage) == 1;
    }
    // Whoever let go of the memory on another thread has read it before the program writes.
    fence(Ordering::Acquire);
    let run = compile::program(&device, graph, false).and_then(|program| program.run(&device, inputs));
    match run {
        Ok(storages) => {
            for ((_, value), storage) in held.iter().zip(storages) {
                *value.state() = State::Stored(storage);
            }
            Ok(())
        }
        Err(error) => {
            for (_, value) in &held {
                *value.state() = State::Failed(error.clone());
            }
            Err(error)
        }
    }
}

/// Runs everything this thread has recorded on the device and not yet run.
pub(crate) fn flush_device(device: &Device) -> Result<()> {
    let open = OPEN.with_borrow(|open| open.get(&device.id()).cloned());
    open.map_or(Ok(()), |recording| flush(&recording))
}
