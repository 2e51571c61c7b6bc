//! Sums, means, maxima and minima over axes: `y[i] = x[i, 0] ∘ x[i, 1] ∘ …`.
//!
//! Axes that stand side by side are one: a reduction is a few passes over `[outer, length, inner]`, one for each run of reduced axes, the last
//! run first. Every pass adds in an order that its shape alone decides, in partial results of bounded length, so that rounding errors do
//! not grow with the length.

mod cpu;
mod gpu;
mod of;

pub(crate) use of::ReduceOf;

use crate::device::cpu::Real;
use crate::error::{Error, Result};
use crate::ops::pointwise::{map_to, one};
use crate::record::op::{CpuArgs, GradCx, Launch, Op};
use crate::record::record_one;
use crate::shape::{DType, Shape, Spec, axis_index};
use crate::tensor::Tensor;
use cpu::{Source, run};

/// What a reduction computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sum,
    Mean,
    Max,
    Min,
}

/// The op. `axes` are sorted, and at least one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reduce {
    kind: Kind,
    axes: Vec<usize>,
    keepdims: bool,
}

impl Tensor {
    /// The sums over `axes`, which may count from the back. Floats, `u32` and `i32`; those of f16 are f32. With `keepdims` the reduced axes stay, with length 1.
    /// Without axes nothing is reduced. The sum of nothing is 0.
    ///
    /// # Errors
    /// [`Error::Argument`] for an axis that is not there or is named twice; [`Error::DType`] for `u8`.
    #[track_caller]
    pub fn sum(&self, axes: &[isize], keepdims: bool) -> Result<Tensor> {
        self.reduce(Kind::Sum, axes, keepdims)
    }

    /// The means over `axes`, as [`Tensor::sum`]. Floats only.
    ///
    /// # Errors
    /// As [`Tensor::sum`]; [`Error::Shape`] for a mean of nothing.
    #[track_caller]
    pub fn mean(&self, axes: &[isize], keepdims: bool) -> Result<Tensor> {
        self.reduce(Kind::Mean, axes, keepdims)
    }

    /// The largest elements over `axes`, as [`Tensor::sum`]; NaN if there is one. Elements that tie share the gradient equally.
    ///
    /// # Errors
    /// As [`Tensor::sum`]; [`Error::Shape`] for a maximum of nothing.
    #[track_caller]
    pub fn max(&self, axes: &[isize], keepdims: bool) -> Result<Tensor> {
        self.reduce(Kind::Max, axes, keepdims)
    }

    /// The smallest elements over `axes`, as [`Tensor::max`].
    ///
    /// # Errors
    /// As [`Tensor::max`].
    #[track_caller]
    pub fn min(&self, axes: &[isize], keepdims: bool) -> Result<Tensor> {
        self.reduce(Kind::Min, axes, keepdims)
    }

    /// The sum of all elements, without axes.
    ///
    /// # Errors
    /// As [`Tensor::sum`].
    #[track_caller]
    pub fn sum_all(&self) -> Result<Tensor> {
        self.sum(&all(self.rank()), false)
    }

    /// The mean of all elements, without axes.
    ///
    /// # Errors
    /// As [`Tensor::mean`].
    #[track_caller]
    pub fn mean_all(&self) -> Result<Tensor> {
        self.mean(&all(self.rank()), false)
    }

    /// Undoes a broadcast from `shape`: sums over the axes that it stretched.
    ///
    /// # Errors
    /// [`Error::Shape`] if `shape` does not broadcast to this tensor's.
    #[track_caller]
    pub(crate) fn sum_to(&self, shape: &Shape) -> Result<Tensor> {
        if self.shape() == shape {
            return Ok(self.clone());
        }
        if shape.broadcast(self.shape(), "sum_to").ok().as_ref() != Some(self.shape()) {
            return Err(Error::shape("sum_to", format!("a shape that {shape} broadcasts to"), self.shape()));
        }
        let added = self.rank() - shape.rank();
        let stretched = (added..self.rank()).filter(|&axis| self.shape()[axis] != shape[axis - added]).map(|axis| axis as isize);
        let kept = self.sum(&stretched.collect::<Vec<_>>(), true)?;
        kept.sum(&all(added), false)
    }

    #[track_caller]
    fn reduce(&self, kind: Kind, axes: &[isize], keepdims: bool) -> Result<Tensor> {
        let mut sorted = Vec::with_capacity(axes.len());
        for &axis in axes {
            let index = axis_index(axis, self.rank(), kind.name())?;
            if sorted.contains(&index) {
                return Err(Error::argument(format!("{}: axes", kind.name()), "each axis once", format!("{axes:?}")));
            }
            sorted.push(index);
        }
        sorted.sort_unstable();
        if sorted.is_empty() {
            return Ok(self.clone());
        }
        record_one(Reduce { kind, axes: sorted, keepdims }, &[self])
    }
}

fn all(rank: usize) -> Vec<isize> {
    (0..rank as isize).collect()
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Sum => "sum",
            Kind::Mean => "mean",
            Kind::Max => "max",
            Kind::Min => "min",
        }
    }
}

/// One pass: `[outer, length, inner]` to `[outer, inner]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pass {
    outer: usize,
    length: usize,
    inner: usize,
}

impl Reduce {
    /// The input's shape with 1 for every reduced axis.
    fn kept(&self, shape: &Shape) -> Shape {
        self.axes.iter().fold(shape.clone(), |shape, &axis| shape.with(axis, 1))
    }

    /// How many elements make one of the output.
    fn count(&self, shape: &Shape) -> usize {
        self.axes.iter().map(|&axis| shape[axis]).product()
    }

    /// Whether it adds up, as [`ReduceOf`] does.
    pub fn adds(&self) -> bool {
        matches!(self.kind, Kind::Sum | Kind::Mean)
    }

    /// Whether it is the sum over these axes, which are then gone.
    pub fn sums_over(&self, axes: &[usize]) -> bool {
        self.kind == Kind::Sum && self.axes == axes && !self.keepdims
    }

    /// The sums or means of each list of `x`, which is seen in this shape.
    fn add_up<T: Real, S: Source<T> + ?Sized>(&self, shape: &Shape, x: &S, ys: &mut [&mut [T]]) {
        run(&self.passes(shape), x, ys.iter_mut().map(|y| &mut **y).collect(), T::zero(), |a, b| a + b);
        if self.kind == Kind::Mean {
            let count = T::of(self.count(shape) as f64);
            ys.iter_mut().flat_map(|y| y.iter_mut()).for_each(|y| *y = *y / count);
        }
    }

    /// One pass for each run of reduced axes, the last run first.
    fn passes(&self, shape: &Shape) -> Vec<Pass> {
        let mut dims = shape.to_vec();
        let mut passes = Vec::new();
        let mut end = self.axes.len();
        while end > 0 {
            let mut start = end - 1;
            while start > 0 && self.axes[start - 1] + 1 == self.axes[start] {
                start -= 1;
            }
            let (first, last) = (self.axes[start], self.axes[end - 1]);
            passes.push(Pass {
                outer: dims[..first].iter().product(),
                length: dims[first..=last].iter().product(),
                inner: dims[last + 1..].iter().product(),
            });
            dims[first..=last].fill(1);
            end = start;
        }
        passes
    }
}

impl Op for Reduce {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let Spec { shape, dtype } = &inputs[0];
        if *dtype == DType::U8 || (self.kind == Kind::Mean && !dtype.is_float()) {
            let want = if self.kind == Kind::Mean { "a float; cast first" } else { "f32, u32 or i32; cast first" };
            return Err(Error::dtype(self.name(), want, dtype));
        }
        if self.kind != Kind::Sum && self.count(shape) == 0 && self.kept(shape).elements() > 0 {
            return Err(Error::shape(self.name(), format!("at least one element along axes {:?}", self.axes), shape));
        }
        // A sum of f16 would soon be more than f16 can hold.
        let dtype = if matches!(self.kind, Kind::Sum | Kind::Mean) { dtype.computed() } else { *dtype };
        let kept = self.kept(shape);
        if self.keepdims {
            return Ok(vec![Spec::new(kept, dtype)]);
        }
        let dims: Vec<usize> = (0..shape.rank()).filter(|axis| !self.axes.contains(axis)).map(|axis| shape[axis]).collect();
        Ok(vec![Spec::new(dims, dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let x = &cx.inputs[0];
        let shape = x.shape().clone();
        let keep = |t: &Tensor| t.reshape(self.kept(&shape));
        let dx = cx.when(0, || {
            let dy = keep(cx.dy())?;
            match self.kind {
                Kind::Sum => dy.broadcast_to(&shape),
                Kind::Mean => {
                    let share = 1.0 / self.count(&shape) as f64;
                    one(map_to(&[&dy], Some(shape.clone()), |e| vec![&e[0] * share])?)
                }
                Kind::Max | Kind::Min => {
                    let hit = x.eq(&keep(&cx.outputs[0])?)?.cast(x.dtype())?;
                    let axes: Vec<isize> = self.axes.iter().map(|&axis| axis as isize).collect();
                    dy.div(&hit.sum(&axes, true)?)?.mul(&hit)
                }
            }
        })?;
        Ok(vec![dx])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let shape = args.input_shape(0);
        let passes = self.passes(shape);
        macro_rules! floats {
            ($t:ty) => {{
                let (x, y) = (args.input::<$t>(0), args.output::<$t>(0));
                match self.kind {
                    Kind::Sum | Kind::Mean => self.add_up(shape, x, &mut [&mut *y]),
                    Kind::Max => run(&passes, x, vec![&mut *y], <$t>::NEG_INFINITY, |a, b| if a >= b || a.is_nan() { a } else { b }),
                    Kind::Min => run(&passes, x, vec![&mut *y], <$t>::INFINITY, |a, b| if a <= b || a.is_nan() { a } else { b }),
                }
                args.epilogue().apply_to_all(y);
            }};
        }
        macro_rules! whole_numbers {
            ($t:ty) => {{
                let (x, y) = (args.input::<$t>(0), args.output::<$t>(0));
                let to = vec![&mut *y];
                match self.kind {
                    Kind::Max => run(&passes, x, to, <$t>::MIN, <$t>::max),
                    Kind::Min => run(&passes, x, to, <$t>::MAX, <$t>::min),
                    Kind::Sum | Kind::Mean => run(&passes, x, to, 0, <$t>::wrapping_add),
                }
                args.epilogue().apply_to_all(y);
            }};
        }
        match args.input_spec(0).dtype {
            DType::F32 => floats!(f32),
            DType::F64 => floats!(f64),
            DType::U32 => whole_numbers!(u32),
            DType::I32 => whole_numbers!(i32),
            DType::U8 | DType::F16 => unreachable!("infer refuses u8, and f16 comes as f32"),
        }
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        self.launch(launch, launch.input(0), None)
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
