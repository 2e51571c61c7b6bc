//! Evaluates an expression on the CPU, in blocks that stay in the first-level cache.
//!
//! Nodes are evaluated block by block, each in a loop that the compiler turns into vector instructions. Inputs are read where they lie if
//! that is possible; what else is computed has a register of one block, which is used again when its value is no longer needed.

use super::Pointwise;
use super::access::{Base, fill};
use super::expr::Node;
use super::loops::{
    BLOCK, Registers, Values, binary, compare, compare_words, floats_to_words, round, select, unary, whole_numbers, words_to_floats,
};
use super::prepared::Prepared;
use super::schedule::{Place, Schedule};
use crate::device::cpu::{Real, Region};
use crate::record::op::CpuArgs;
use crate::shape::DType;
use crate::with_real;
use rayon::prelude::*;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Elements that one task computes: fixed, so that the work never depends on the number of threads.
const TASK: usize = 1 << 15;

/// An expression and its tensors in memory.
pub(super) struct Job {
    prepared: Arc<Prepared>,
    inputs: Vec<(Base, DType)>,
    outputs: Vec<(Base, DType)>,
    handed: Option<Handed>,
    schedule: Arc<Schedule>,
    /// Registers with one value for all elements.
    constants: Vec<(usize, Constant)>,
    /// No other's; 0 while the constants are made.
    number: u64,
}

#[derive(Clone, Copy)]
enum Constant {
    Float(f64),
    Word(u32),
}

/// The input that another kernel hands over part by part, and the output that takes its place in memory.
#[derive(Clone, Copy)]
pub(super) struct Handed {
    pub input: usize,
    pub output: Option<usize>,
}

/// Memory that is another one for each part. The first element of the tensor would lie where the address says.
#[derive(Clone, Copy)]
enum Moved {
    /// Of the input that a kernel hands over, and of the output in its place.
    Handed(Base),
    /// Of all outputs, one so many bytes after the other.
    Outputs(Base, usize),
}

pub(super) fn run(op: &Pointwise, args: &CpuArgs) {
    let outputs: Vec<Region> = (0..args.output_count()).map(|j| args.take_output(j)).collect();
    let taken = |i: usize| (0..outputs.len()).find(|&j| args.in_place(j) == Some(i));
    let inputs: Vec<Region> = (0..args.input_count()).map(|i| taken(i).map_or_else(|| args.input_region(i), |j| outputs[j])).collect();
    let job = Job::new(op, &inputs, &outputs, None);
    let tasks = job.prepared.elements.div_ceil(TASK);
    let task = |t: usize| job.run(t * TASK..((t + 1) * TASK).min(job.prepared.elements), None);
    match tasks {
        0 => {}
        1 => task(0),
        _ => (0..tasks).into_par_iter().for_each(task),
    }
}

thread_local! {
    static SINGLE: RefCell<Registers<f32>> = const { RefCell::new(Registers { floats: Vec::new(), words: Vec::new(), values: Vec::new(), job: 0 }) };
    static DOUBLE: RefCell<Registers<f64>> = const { RefCell::new(Registers { floats: Vec::new(), words: Vec::new(), values: Vec::new(), job: 0 }) };
}

impl Job {
    /// Inputs that an output took over are given as that output's memory.
    pub fn new(op: &Pointwise, inputs: &[Region], outputs: &[Region], handed: Option<Handed>) -> Job {
        let prepared = Prepared::of(op, inputs, outputs);
        let places = |regions: &[Region]| regions.iter().map(|x| (Base(x.ptr), x.spec.dtype)).collect();
        let (inputs, outputs, schedule) = (places(inputs), places(outputs), prepared.uniform.clone());
        let job = Job { prepared, inputs, outputs, handed, schedule, constants: Vec::new(), number: 0 };
        if !job.schedule.steps.is_empty() {
            job.run(0..1, None);
        }
        with_real!(job.prepared.float, T => job.with_constants::<T>(&op.outputs))
    }

    /// The job for all elements, after the nodes that are the same for all were evaluated.
    fn with_constants<T: Real>(self, outputs: &[usize]) -> Job {
        static JOBS: AtomicU64 = AtomicU64::new(1);
        let kept = |j: usize, i: usize| self.inputs[i].0.0 == self.outputs[j].0.0;
        let (schedule, constants) = with_registers(|registers: &mut Registers<T>| {
            let word = |node: usize| registers.words[self.schedule.register(node)][0];
            let schedule = self.prepared.schedule(outputs, |node| word(node) != 0, kept);
            let constant = |&node: &usize| match self.prepared.types[node].is_float() {
                true => Constant::Float(registers.floats[self.schedule.register(node)][0].as_f64()),
                false => Constant::Word(word(node)),
            };
            let constants = schedule.constants.iter().map(|node| (schedule.register(*node), constant(node))).collect();
            (schedule, constants)
        });
        Job { schedule, constants, number: JOBS.fetch_add(1, Ordering::Relaxed), ..self }
    }

    /// Evaluates the elements from `start` on whose handed input is `part`, which then holds the output in its place.
    pub fn part(&self, start: usize, part: &mut [u8]) {
        let handed = self.handed.expect("only such jobs are done in parts");
        let size = self.inputs[handed.input].1.size();
        let range = start..start + part.len() / size;
        assert!(range.end <= self.prepared.elements, "a kernel handed over more than there is");
        self.run(range, Some(Moved::Handed(Base(part.as_mut_ptr().wrapping_sub(start * size)))));
    }

    /// Evaluates the elements of `range`: those of output `j` go to the `j`th of equal parts of `to`. All outputs are of this type.
    pub fn fill<T: Real>(&self, range: Range<usize>, to: &mut [T]) {
        assert!(range.end <= self.prepared.elements && to.len() == range.len() * self.outputs.len(), "a part of another size");
        assert!(self.outputs.iter().all(|(_, kind)| *kind == T::DTYPE), "an expression of another type");
        let (first, step) = (to.as_mut_ptr().wrapping_sub(range.start), range.len() * size_of::<T>());
        self.run(range, Some(Moved::Outputs(Base(first.cast()), step)));
    }

    pub fn output_count(&self) -> usize {
        self.outputs.len()
    }

    fn run(&self, range: Range<usize>, moved: Option<Moved>) {
        with_real!(self.prepared.float, T => self.task::<T>(range, moved));
    }

    fn task<T: Real>(&self, range: Range<usize>, moved: Option<Moved>) {
        with_registers(|registers: &mut Registers<T>| {
            // A kernel may hand over many small parts.
            if registers.job != self.number || self.number == 0 {
                self.prepare(registers);
            }
            if let Some((node, input)) = self.handed.and_then(|h| Some((self.schedule.read_in_place(h.input)?, h.input))) {
                registers.values[node].base = self.base(input, moved);
            }
            T::with_widest(pulp::Arch::new(), Blocks::<T> { job: self, values: &registers.values, range, moved, float: PhantomData });
        });
    }

    /// Fills the constants' registers, and notes where the values of every node are.
    fn prepare<T: Real>(&self, registers: &mut Registers<T>) {
        let Registers { floats, words, values, job } = registers;
        let count = self.schedule.registers.max(floats.len());
        floats.resize(count, [T::zero(); BLOCK]);
        words.resize(count, [0; BLOCK]);
        for &(register, constant) in &self.constants {
            match constant {
                Constant::Float(value) => floats[register].fill(T::of(value)),
                Constant::Word(value) => words[register].fill(value),
            }
        }
        let (floats, words) = (floats.as_mut_ptr(), words.as_mut_ptr());
        values.clear();
        values.extend(self.schedule.place.iter().zip(&self.prepared.types).map(|(place, kind)| match *place {
            Some(Place::Input(i)) => Values { base: self.inputs[i].0.0, step: self.inputs[i].1.size() },
            Some(Place::Register(register)) if kind.is_float() => Values { base: floats.wrapping_add(register).cast(), step: 0 },
            Some(Place::Register(register)) => Values { base: words.wrapping_add(register).cast(), step: 0 },
            None => Values { base: std::ptr::null_mut(), step: 0 },
        }));
        *job = self.number;
    }

    #[inline(always)]
    fn base(&self, input: usize, moved: Option<Moved>) -> *mut u8 {
        match moved {
            Some(Moved::Handed(base)) if self.handed.is_some_and(|h| h.input == input) => base.0,
            _ => self.inputs[input].0.0,
        }
    }

    /// Where the first element of an output lies, or would lie.
    #[inline(always)]
    fn target(&self, output: usize, moved: Option<Moved>) -> *mut u8 {
        match moved {
            Some(Moved::Handed(base)) if self.handed.is_some_and(|h| h.output == Some(output)) => base.0,
            Some(Moved::Outputs(base, step)) => base.0.wrapping_add(output * step),
            _ => self.outputs[output].0.0,
        }
    }
}

/// The blocks of a task: compiled once for each vector extension, and chosen by what the processor has. Only what is inlined into `call` is,
/// which a closure is not.
struct Blocks<'j, T> {
    job: &'j Job,
    /// Those of every node.
    values: &'j [Values],
    range: Range<usize>,
    moved: Option<Moved>,
    float: PhantomData<T>,
}

impl<T: Real> pulp::NullaryFnOnce for Blocks<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for start in self.range.clone().step_by(BLOCK) {
            match self.range.end - start {
                // Compiled for itself: loops of a known length are faster.
                BLOCK.. => self.block(start, BLOCK),
                n => self.block(start, n),
            }
        }
    }
}

impl<T: Real> Blocks<'_, T> {
    #[inline(always)]
    fn block(&self, start: usize, n: usize) {
        let Job { schedule, outputs, .. } = self.job;
        for &node in &schedule.steps {
            self.step(node, start, n);
        }
        for (j, (&(_, kind), &node)) in outputs.iter().zip(&schedule.outputs).enumerate() {
            let to = self.job.target(j, self.moved);
            // SAFETY: the range is within the elements, and no other task has it (see `Base`). If the output is the memory of an input that
            // is not in a register, that is its value.
            unsafe {
                if kind.is_float() {
                    store(self.read::<T>(node, start, n), to.cast::<T>().wrapping_add(start));
                } else {
                    store(self.read::<u32>(node, start, n), to.cast::<u32>().wrapping_add(start));
                }
            }
        }
    }

    /// # Safety
    /// `E` is the type of the node, which has been evaluated, and nobody writes to its values while these are in use.
    #[inline(always)]
    unsafe fn read<E>(&self, node: usize, start: usize, n: usize) -> &[E] {
        let Values { base, step } = self.values[node];
        // SAFETY: registers have a block of elements; inputs that are read where they lie have those of the output.
        unsafe { std::slice::from_raw_parts(base.wrapping_add(step * start).cast(), n) }
    }

    /// # Safety
    /// `E` is the type of the node, which has a register that nobody reads or writes meanwhile.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the registers are lent to one task; a schedule never gives a node the register of an operand")]
    unsafe fn write<E>(&self, node: usize, n: usize) -> &mut [E] {
        // SAFETY: registers have a block of elements.
        unsafe { std::slice::from_raw_parts_mut(self.values[node].base.cast(), n) }
    }

    #[inline(always)]
    fn step(&self, node: usize, start: usize, n: usize) {
        let types = &self.job.prepared.types;
        let kind = types[node];
        // SAFETY: a node is evaluated after its operands, and its register is never that of one; each is asked for in its own type.
        let (x, w) = (|id| unsafe { self.read::<T>(id, start, n) }, |id| unsafe { self.read::<u32>(id, start, n) });
        // SAFETY: as above.
        let (y, v) = (|| unsafe { self.write::<T>(node, n) }, || unsafe { self.write::<u32>(node, n) });
        match self.job.schedule.nodes[node] {
            Node::Input(i) if kind.is_float() => self.load(i, start, y()),
            Node::Input(i) if self.job.inputs[i].1 == DType::U8 => {
                let mut bytes = [0u8; BLOCK];
                self.load(i, start, &mut bytes[..n]);
                bytes.iter().zip(v()).for_each(|(byte, word)| *word = u32::from(*byte));
            }
            Node::Input(i) => self.load(i, start, v()),
            Node::Number(number) if kind.is_float() => y().fill(T::of(number)),
            Node::Number(number) => v().fill(if kind == DType::I32 { number as i32 as u32 } else { number as u32 }),
            Node::Unary(f, a) if kind.is_float() => unary(f, x(a), y()),
            Node::Unary(_, a) => w(a).iter().zip(v()).for_each(|(x, y)| *y = x.wrapping_neg()),
            Node::Binary(f, a, b) if kind.is_float() => binary(f, x(a), x(b), y()),
            Node::Binary(f, a, b) => whole_numbers(f, kind == DType::I32, w(a), w(b), v()),
            Node::Compare(f, a, b) if types[a].is_float() => compare(f, x(a), x(b), v()),
            Node::Compare(f, a, b) => compare_words(f, types[a] == DType::I32, w(a), w(b), v()),
            Node::Select(c, a, b) if kind.is_float() => select(w(c), x(a), x(b), y()),
            Node::Select(c, a, b) => select(w(c), w(a), w(b), v()),
            Node::Cast(dtype, a) => match (types[a], kind) {
                (from, to) if from.is_float() && to.is_float() => round(dtype, x(a), y()),
                (from, to) if from.is_float() => floats_to_words(x(a), to == DType::I32, v()),
                (from, to) if to.is_float() => words_to_floats(w(a), from == DType::I32, y()),
                _ => v().copy_from_slice(w(a)),
            },
            Node::IsFinite(a) => x(a).iter().zip(v()).for_each(|(x, y)| *y = u32::from(x.is_finite())),
        }
    }

    /// Copies an input that cannot be read where it lies.
    #[inline(always)]
    fn load<E: Copy>(&self, i: usize, start: usize, register: &mut [E]) {
        let from = self.job.base(i, self.moved).cast_const().cast();
        // SAFETY: the access was made for this input and the output, and what another output took over is written after all is read.
        unsafe { fill(register, from, &self.job.prepared.access[i], start) }
    }
}

/// Lends the thread's registers.
fn with_registers<T: Real, R>(f: impl FnOnce(&mut Registers<T>) -> R) -> R {
    if T::DTYPE == DType::F32 { SINGLE.with_borrow_mut(|r| f(same_type(r))) } else { DOUBLE.with_borrow_mut(|r| f(same_type(r))) }
}

/// The same registers under the type parameter's name; the caller knows that the types are one.
fn same_type<A: 'static, B: 'static>(registers: &mut Registers<A>) -> &mut Registers<B> {
    let any: &mut dyn std::any::Any = registers;
    any.downcast_mut().expect("the caller compared the types")
}

/// # Safety
/// `to` points to as many elements, which nobody reads or writes meanwhile; or to `from` itself.
#[inline(always)]
unsafe fn store<E: Copy>(from: &[E], to: *mut E) {
    if !std::ptr::eq(from.as_ptr(), to) {
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()) };
    }
}
