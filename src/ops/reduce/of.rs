//! `ReduceOf`: sums or means of expressions that are never stored: the reduction evaluates them where it would load.
//!
//! Expressions over the same tensors that are reduced alike are one op with a result for each: one pass over what they read. Of those a batch
//! normalization's gradient has three.

use super::Reduce;
use super::cpu::Source;
use crate::device::cpu::gemm::with_scratch;
use crate::device::cpu::{Real, Region};
use crate::error::Result;
use crate::ops::pointwise::{Inlet, Pointwise};
use crate::record::op::{CpuArgs, GradCx, Launch, Op};
use crate::shape::{Shape, Spec};
use crate::tensor::Tensor;
use crate::with_real;
use std::ops::Range;

/// Inputs: the expression's. Outputs: one for each of the expression's, reduced.
#[derive(Debug)]
pub(crate) struct ReduceOf {
    reduce: Reduce,
    expression: Pointwise,
    /// As what the reduction sees the expression's outputs; as many elements.
    seen: Shape,
}

impl ReduceOf {
    /// `reduce` of each output of `expression`, which is seen as another shape.
    pub fn new(reduce: Reduce, expression: Pointwise, seen: Shape) -> ReduceOf {
        ReduceOf { reduce, expression, seen }
    }

    /// What the reduction sees of the expression's outputs.
    fn seen(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let made = self.expression.infer(inputs)?;
        assert!(made.iter().all(|y| y.shape.elements() == self.seen.elements()), "{}: an expression of another size", self.name());
        Ok(made.into_iter().map(|y| Spec::new(self.seen.clone(), y.dtype)).collect())
    }
}

/// An expression's values, part by part.
struct Computed(Inlet);

impl<T: Real> Source<T> for Computed {
    fn with(&self, range: Range<usize>, mut f: impl FnMut(usize, &[T])) {
        let length = range.len();
        with_scratch(self.0.outputs() * length, |part: &mut [T]| {
            self.0.fill(range, part);
            (0..self.0.outputs()).for_each(|list| f(list, &part[list * length..][..length]));
        });
    }
}

impl Op for ReduceOf {
    fn name(&self) -> &'static str {
        self.reduce.name()
    }

    fn label(&self) -> String {
        format!("{} of {}", self.name(), self.expression.name())
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let one = |x: Spec| Ok(self.reduce.infer(&[x])?.remove(0));
        self.seen(inputs)?.into_iter().map(one).collect()
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        unreachable!("{}: operations are fused when a program is compiled, after all gradients were taken", cx.outputs.len())
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let inputs: Vec<Region> = (0..args.input_count()).map(|i| args.input_region(i)).collect();
        let made = self.expression.infer(&inputs.iter().map(|x| x.spec.clone()).collect::<Vec<_>>())?;
        let x = Computed(Inlet::new(&self.expression, &inputs, &made));
        with_real!(args.output_spec(0).dtype, T => {
            let mut ys: Vec<&mut [T]> = (0..args.output_count()).map(|j| args.output::<T>(j)).collect();
            self.reduce.add_up(&self.seen, &x, &mut ys);
            args.epilogue().apply_to_all(ys[0]);
        });
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        let inputs: Vec<Spec> = (0..launch.input_count()).map(|i| launch.input(i).clone()).collect();
        let seen = self.seen(&inputs)?;
        self.reduce.launch(launch, &seen[0], Some(&self.expression))
    }

    fn takes_epilogue(&self) -> bool {
        self.expression.output_count() == 1
    }
}
