//! The walk back from the targets to the sources.

use super::{Rule, Step};
use crate::error::Result;
use crate::record::op::GradCx;
use crate::record::recording::{Backward, Scope};
use crate::tensor::Tensor;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

/// The gradients by every value that was asked for, and where the walk came to an end.
pub(super) struct Walk {
    pub gradients: HashMap<u64, Tensor>,
    /// The step and the input whose gradient was wanted and is not there.
    pub dead_ends: HashSet<(usize, u64)>,
}

/// The values that gradients are asked for, and all that is computed from them.
pub(super) struct Reach {
    sources: HashSet<u64>,
    values: HashSet<u64>,
}

impl Reach {
    pub fn of(steps: &[Step], sources: &[u64]) -> Reach {
        let sources: HashSet<u64> = sources.iter().copied().collect();
        let mut values = sources.clone();
        for step in steps {
            if step.inputs.iter().any(|x| values.contains(&x.id())) {
                values.extend(step.outputs.iter().map(Tensor::id));
            }
        }
        Reach { sources, values }
    }
}

/// Walks the steps back from the targets, each with the gradient it starts from. Steps are borrowed only between operations: what a gradient
/// computes may be recorded on the same tapes.
pub(super) fn walk(steps: &RefCell<super::Inner>, reach: &Reach, targets: &[(&Tensor, Tensor)]) -> Result<Walk> {
    let mut walk = Walk { gradients: HashMap::new(), dead_ends: HashSet::new() };
    let _backward = Backward::enter();
    for (target, seed) in targets {
        walk.add(target.id(), seed)?;
    }
    let count = steps.borrow().steps.len();
    for index in (0..count).rev() {
        let Some(step) = steps.borrow().steps.get(index).filter(|step| walk.visits(step, reach)).cloned() else { continue };
        let _scope = step.layer.clone().map(Scope::back_in);
        walk.pass(index, &step, reach)?;
    }
    Ok(walk)
}

impl Walk {
    /// Whether some output has a gradient and leads back to a source.
    fn visits(&self, step: &Step, reach: &Reach) -> bool {
        step.outputs.iter().any(|y| self.gradients.contains_key(&y.id()) && reach.values.contains(&y.id()))
    }

    /// From the gradients by a step's outputs to those by its inputs.
    fn pass(&mut self, index: usize, step: &Step, reach: &Reach) -> Result<()> {
        let (inputs, outputs) = (&step.inputs, &step.outputs);
        let dys: Vec<Option<Tensor>> = outputs
            .iter()
            .map(|y| match reach.sources.contains(&y.id()) {
                true => self.gradients.get(&y.id()).cloned(),
                // Complete, and of use to nobody after this step: its memory is free again.
                false => self.gradients.remove(&y.id()),
            })
            .collect();
        let wanted: Vec<bool> = inputs.iter().map(|x| x.dtype().is_float() && reach.values.contains(&x.id())).collect();
        if !wanted.contains(&true) {
            return Ok(());
        }
        let dxs = match &step.rule {
            Rule::Op(op) => op.grad(&GradCx { inputs, outputs, dys: &dys, wanted: &wanted })?,
            Rule::Custom(custom) => custom.grad(&dys)?,
        };
        assert_eq!(dxs.len(), inputs.len(), "{}: one gradient per input", step.rule.name());
        for ((x, dx), _) in inputs.iter().zip(dxs).zip(&wanted).filter(|(_, wanted)| **wanted) {
            match dx {
                Some(dx) => {
                    // Where an operation mixes f16 with f32, its gradients are of the wider type.
                    let dx = if x.dtype() == dx.dtype() { dx } else { dx.cast(x.dtype())? };
                    assert_eq!(dx.spec(), x.spec(), "{}: a gradient has its input's shape", step.rule.name());
                    self.add(x.id(), &dx)?;
                }
                None => {
                    self.dead_ends.insert((index, x.id()));
                }
            }
        }
        Ok(())
    }

    /// The only place where gradients are added up.
    fn add(&mut self, value: u64, part: &Tensor) -> Result<()> {
        let sum = match self.gradients.remove(&value) {
            Some(sum) => sum.add(part)?,
            None => part.clone(),
        };
        self.gradients.insert(value, sum);
        Ok(())
    }

    /// The gradient by a source, which may stand for several values.
    pub fn sum(&self, values: &[u64]) -> Result<Option<Tensor>> {
        let _backward = Backward::enter();
        let mut parts = values.iter().filter_map(|id| self.gradients.get(id));
        let first = parts.next().cloned();
        first.map(|first| parts.try_fold(first, |sum, part| sum.add(part))).transpose()
    }
}
