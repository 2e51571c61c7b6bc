//! Evaluates an expression on the CPU, in blocks that stay in the first-level cache.
//!
//! Every node has a register of one block. Nodes are evaluated block by block, each in a loop that the compiler turns into vector
//! instructions; registers are used again when their value is no longer needed.

use super::Pointwise;
use super::expr::Node;
use super::loops::{BLOCK, Registers, binary, cast, compare, three, two, unary};
use crate::device::cpu::{Real, Region};
use crate::record::op::CpuArgs;
use crate::shape::{DType, Shape};
use crate::with_real;
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// Elements that one task computes: fixed, so that the work never depends on the number of threads.
const TASK: usize = 64 * BLOCK;

/// The register of every node.
#[derive(Clone)]
pub(super) struct Schedule {
    register: Vec<usize>,
    count: usize,
}

impl Schedule {
    pub fn new(nodes: &[Node], outputs: &[usize]) -> Schedule {
        let mut last: Vec<usize> = (0..nodes.len()).collect();
        for (id, node) in nodes.iter().enumerate() {
            node.operands().for_each(|o| last[o] = id);
        }
        outputs.iter().for_each(|&o| last[o] = nodes.len());
        let mut free: Vec<usize> = Vec::new();
        let mut register = Vec::with_capacity(nodes.len());
        let mut count = 0;
        for (id, node) in nodes.iter().enumerate() {
            // A node never writes to the register of an operand: the loops then have no aliases to fear. A number's register is its own.
            let used_before = if matches!(node, Node::Number(_)) { None } else { free.pop() };
            register.push(used_before.unwrap_or_else(|| {
                count += 1;
                count - 1
            }));
            let constant = |o: usize| matches!(nodes[o], Node::Number(_));
            let mut ended: Vec<usize> = node.operands().filter(|&o| last[o] == id && !constant(o)).collect();
            ended.sort_unstable();
            ended.dedup();
            free.extend(ended.into_iter().map(|o| register[o]));
        }
        Schedule { register, count }
    }
}

/// How the elements of an input are found.
enum Access {
    /// Element `i` for output element `i`.
    Same,
    /// The only element.
    Scalar,
    /// The input is the last axes of the output, over and over: element `i % period`.
    Cycle(usize),
    /// `(length, step in the output, stride in the input)` of each axis.
    Strided(Vec<(usize, usize, usize)>),
}

impl Access {
    fn of(input: &Shape, output: &Shape) -> Access {
        let n = input.elements();
        if input.elements() == output.elements() {
            return Access::Same;
        }
        if n == 1 {
            return Access::Scalar;
        }
        let strides = input.broadcast_strides(output);
        let dense = output.strides();
        let first = (0..output.rank()).find(|&axis| strides[axis] != 0 && output[axis] > 1).unwrap_or(output.rank());
        if (first..output.rank()).all(|axis| output[axis] == 1 || strides[axis] == dense[axis]) {
            return Access::Cycle(n);
        }
        Access::Strided((0..output.rank()).map(|axis| (output[axis], dense[axis], strides[axis])).collect())
    }
}

/// Where an input or output begins. Tasks write to parts that do not overlap.
#[derive(Clone, Copy)]
struct Base(*mut u8);

// SAFETY: each task reads and writes its own range of elements of an output, and inputs are only read, except one that an output took over,
// where a task reads its own range before it writes it.
unsafe impl Sync for Base {}
// SAFETY: as above.
unsafe impl Send for Base {}

/// An expression and its tensors in memory.
pub(super) struct Job<'a> {
    op: &'a Pointwise,
    types: Vec<DType>,
    inputs: Vec<(Base, DType, Access)>,
    outputs: Vec<(Base, DType)>,
    elements: usize,
    handed: Option<Handed>,
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
    let tasks = job.elements.div_ceil(TASK);
    let task = |t: usize| job.run(t * TASK..((t + 1) * TASK).min(job.elements), None);
    match tasks {
        0 => {}
        1 => task(0),
        _ => (0..tasks).into_par_iter().for_each(task),
    }
}

thread_local! {
    static SINGLE: RefCell<Registers<f32>> = const { RefCell::new(Registers { floats: Vec::new(), words: Vec::new() }) };
    static DOUBLE: RefCell<Registers<f64>> = const { RefCell::new(Registers { floats: Vec::new(), words: Vec::new() }) };
}

/// The blocks of a task: compiled once for each vector extension, and chosen by what the processor has. Only what is inlined into `call` is,
/// which a closure is not.
struct Blocks<'j, 'a, T> {
    job: &'j Job<'a>,
    registers: &'j mut Registers<T>,
    range: Range<usize>,
    moved: Option<Moved>,
}

impl<T: Real> pulp::NullaryFnOnce for Blocks<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for start in self.range.clone().step_by(BLOCK) {
            match self.range.end - start {
                // Compiled for itself: loops of a known length are faster.
                BLOCK.. => self.job.block(self.registers, start, BLOCK, self.moved),
                n => self.job.block(self.registers, start, n, self.moved),
            }
        }
    }
}

impl<'a> Job<'a> {
    /// Inputs that an output took over are given as that output's memory.
    pub fn new(op: &'a Pointwise, inputs: &[Region], outputs: &[Region], handed: Option<Handed>) -> Job<'a> {
        let kinds: Vec<DType> = inputs.iter().map(|x| x.spec.dtype).collect();
        let shape = &outputs[0].spec.shape;
        Job {
            op,
            types: op.types(&kinds).expect("infer accepted these types").into_iter().map(DType::computed).collect(),
            inputs: inputs.iter().map(|x| (Base(x.ptr), x.spec.dtype, Access::of(&x.spec.shape, shape))).collect(),
            outputs: outputs.iter().map(|y| (Base(y.ptr), y.spec.dtype)).collect(),
            elements: shape.elements(),
            handed,
        }
    }

    pub fn output_count(&self) -> usize {
        self.outputs.len()
    }

    /// Evaluates the elements from `start` on whose handed input is `part`, which then holds the output in its place.
    pub fn part(&self, start: usize, part: &mut [u8]) {
        let handed = self.handed.expect("only such jobs are done in parts");
        let size = self.inputs[handed.input].1.size();
        let range = start..start + part.len() / size;
        assert!(range.end <= self.elements, "a kernel handed over more than there is");
        self.run(range, Some(Moved::Handed(Base(part.as_mut_ptr().wrapping_sub(start * size)))));
    }

    /// Evaluates the elements of `range`: those of output `j` go to the `j`th of equal parts of `to`. All outputs are of this type.
    pub fn fill<T: Real>(&self, range: Range<usize>, to: &mut [T]) {
        assert!(range.end <= self.elements && to.len() == range.len() * self.outputs.len(), "a part of another size");
        assert!(self.outputs.iter().all(|(_, kind)| *kind == T::DTYPE), "an expression of another type");
        let (first, step) = (to.as_mut_ptr().wrapping_sub(range.start), range.len() * size_of::<T>());
        self.run(range, Some(Moved::Outputs(Base(first.cast()), step)));
    }

    fn run(&self, range: Range<usize>, moved: Option<Moved>) {
        let float = self.types.iter().copied().find(|t| t.is_float()).unwrap_or(DType::F32);
        with_real!(float, T => self.task::<T>(range, moved));
    }

    fn task<T: Real>(&self, range: Range<usize>, moved: Option<Moved>) {
        let work = |registers: &mut Registers<T>| {
            let count = self.op.schedule.count;
            if registers.floats.len() < count {
                registers.floats.resize(count, [T::zero(); BLOCK]);
                registers.words.resize(count, [0; BLOCK]);
            }
            self.constants(registers, BLOCK.min(range.len()));
            T::with_widest(pulp::Arch::new(), Blocks { job: self, registers, range: range.clone(), moved });
        };
        if T::DTYPE == DType::F32 {
            SINGLE.with_borrow_mut(|r| work(same_type(r)));
        } else {
            DOUBLE.with_borrow_mut(|r| work(same_type(r)));
        }
    }

    /// Numbers have registers of their own, which every block finds filled.
    fn constants<T: Real>(&self, registers: &mut Registers<T>, n: usize) {
        for (id, node) in self.op.nodes.iter().enumerate() {
            let (Node::Number(number), kind, to) = (*node, self.types[id], self.op.schedule.register[id]) else { continue };
            match kind {
                kind if kind.is_float() => registers.floats[to][..n].fill(T::of(number)),
                DType::I32 => registers.words[to][..n].fill(number as i32 as u32),
                _ => registers.words[to][..n].fill(number as u32),
            }
        }
    }

    #[inline(always)]
    fn block<T: Real>(&self, registers: &mut Registers<T>, start: usize, n: usize, moved: Option<Moved>) {
        let at = &self.op.schedule.register;
        for (id, node) in self.op.nodes.iter().enumerate() {
            let to = at[id];
            let kind = self.types[id];
            match *node {
                Node::Input(i) => self.load(registers, to, i, start, n, moved),
                Node::Number(_) => {}
                Node::Unary(f, a) if kind.is_float() => {
                    let (x, y) = two(&mut registers.floats, at[a], to, n);
                    unary(f, x, y);
                }
                Node::Unary(_, a) => {
                    let (x, y) = two(&mut registers.words, at[a], to, n);
                    x.iter().zip(y).for_each(|(x, y)| *y = x.wrapping_neg());
                }
                Node::Binary(f, a, b) if kind.is_float() => {
                    let (x1, x2, y) = three(&mut registers.floats, at[a], at[b], to, n);
                    binary(f, x1, x2, y);
                }
                Node::Binary(f, a, b) => {
                    let (x1, x2, y) = three(&mut registers.words, at[a], at[b], to, n);
                    let signed = kind == DType::I32;
                    for ((a, b), y) in x1.iter().zip(x2).zip(y) {
                        *y = if signed { f.of_i32(*a as i32, *b as i32) as u32 } else { f.of_u32(*a, *b) };
                    }
                }
                Node::Compare(f, a, b) => {
                    let (ra, rb) = (at[a], at[b]);
                    let y = &mut registers.words[to][..n];
                    if self.types[a].is_float() {
                        compare(f, &registers.floats[ra][..n], &registers.floats[rb][..n], y);
                    } else {
                        let signed = self.types[a] == DType::I32;
                        for i in 0..n {
                            let (a, b) = (registers.words[ra][i], registers.words[rb][i]);
                            registers.words[to][i] = u32::from(if signed { f.of(a as i32, b as i32) } else { f.of(a, b) });
                        }
                    }
                }
                Node::Select(c, a, b) if kind.is_float() => {
                    let condition = &registers.words[at[c]];
                    let (x1, x2, y) = three(&mut registers.floats, at[a], at[b], to, n);
                    for (((c, a), b), y) in condition.iter().zip(x1).zip(x2).zip(y) {
                        // A branch for each element would keep the loop from becoming vectors.
                        *y = std::hint::select_unpredictable(*c != 0, *a, *b);
                    }
                }
                Node::Select(c, a, b) => {
                    for i in 0..n {
                        let yes = registers.words[at[c]][i] != 0;
                        registers.words[to][i] = registers.words[if yes { at[a] } else { at[b] }][i];
                    }
                }
                Node::Cast(dtype, a) => {
                    cast(registers, self.types[a], at[a], kind, to, n);
                    if dtype == DType::F16 && kind == DType::F32 {
                        registers.floats[to][..n].iter_mut().for_each(|y| *y = T::of(half::f16::from_f64(y.as_f64()).to_f64()));
                    }
                }
                Node::IsFinite(a) => {
                    let x = &registers.floats[at[a]][..n];
                    x.iter().zip(&mut registers.words[to]).for_each(|(x, y)| *y = u32::from(x.is_finite()));
                }
            }
        }
        for (j, (&(base, kind), &node)) in self.outputs.iter().zip(&self.op.outputs).enumerate() {
            let base = match moved {
                Some(Moved::Handed(base)) if self.handed.is_some_and(|h| h.output == Some(j)) => base,
                Some(Moved::Outputs(base, step)) => Base(base.0.wrapping_add(j * step)),
                _ => base,
            };
            // SAFETY: `start + n` is at most the number of elements, and no other task has this range (see `Base`).
            unsafe {
                if kind.is_float() {
                    let y = std::slice::from_raw_parts_mut(base.0.cast::<T>().wrapping_add(start), n);
                    y.copy_from_slice(&registers.floats[at[node]][..n]);
                } else {
                    let y = std::slice::from_raw_parts_mut(base.0.cast::<u32>().wrapping_add(start), n);
                    y.copy_from_slice(&registers.words[at[node]][..n]);
                }
            }
        }
    }

    #[inline(always)]
    fn load<T: Real>(&self, registers: &mut Registers<T>, to: usize, i: usize, start: usize, n: usize, moved: Option<Moved>) {
        let (own, kind, access) = &self.inputs[i];
        let base = match moved {
            Some(Moved::Handed(base)) if self.handed.is_some_and(|h| h.input == i) => base,
            _ => *own,
        };
        match kind {
            DType::F16 => unreachable!("an operation sees f16 as f32"),
            DType::F32 | DType::F64 => fill(&mut registers.floats[to], base.0.cast::<T>(), access, start, n),
            DType::U32 | DType::I32 => fill(&mut registers.words[to], base.0.cast::<u32>(), access, start, n),
            DType::U8 => {
                let mut bytes = [0u8; BLOCK];
                fill(&mut bytes, base.0, access, start, n);
                bytes[..n].iter().zip(&mut registers.words[to]).for_each(|(b, w)| *w = u32::from(*b));
            }
        }
    }
}

/// The same registers under the type parameter's name; the caller knows that the types are one.
fn same_type<A: 'static, B: 'static>(registers: &mut Registers<A>) -> &mut Registers<B> {
    let any: &mut dyn std::any::Any = registers;
    any.downcast_mut().expect("the caller compared the types")
}

#[inline(always)]
fn fill<E: Copy>(register: &mut [E; BLOCK], base: *const E, access: &Access, start: usize, n: usize) {
    // SAFETY: `access` was made for this input's and the output's shape, so every index lies inside the input; an input that an output took
    // over is read only at `Same`, in this task's range, before that is written.
    unsafe {
        match access {
            Access::Same => register[..n].copy_from_slice(std::slice::from_raw_parts(base.add(start), n)),
            Access::Scalar => register[..n].fill(*base),
            Access::Cycle(period) => {
                // Once around from the tensor, then in pieces that double: a short one would be copied many times.
                let from = start % period;
                let (end, begin) = ((period - from).min(n), from.min(n - (period - from).min(n)));
                register[..end].copy_from_slice(std::slice::from_raw_parts(base.add(from), end));
                register[end..end + begin].copy_from_slice(std::slice::from_raw_parts(base, begin));
                let mut done = end + begin;
                while done < n {
                    let count = done.min(n - done);
                    register.copy_within(..count, done);
                    done += count;
                }
            }
            Access::Strided(axes) => {
                for (k, value) in register[..n].iter_mut().enumerate() {
                    let index: usize = axes.iter().map(|(length, step, stride)| (start + k) / step % length * stride).sum();
                    *value = *base.add(index);
                }
            }
        }
    }
}
