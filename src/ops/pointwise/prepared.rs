//! What the CPU needs to know of an expression before it evaluates it, found once for all runs over tensors of the same types and shapes.

use super::Pointwise;
use super::access::Access;
use super::schedule::{Reading, Schedule};
use crate::device::cpu::Region;
use crate::shape::{DType, Shape};
use crate::tensor::lock;
use std::sync::{Arc, Mutex};

/// Schedules that are kept. An optimizer's expression has two: for steps that change the weights, and for those that do not.
const KEPT: usize = 8;

/// An expression over inputs and outputs of certain types and shapes.
pub(super) struct Prepared {
    /// Of the inputs, then of the outputs.
    specs: Vec<(DType, Shape)>,
    /// The type in which each node is computed.
    pub types: Vec<DType>,
    /// The type of its floats.
    pub float: DType,
    /// How each input is read.
    pub access: Vec<Access>,
    reading: Vec<Reading>,
    /// Of each output.
    pub elements: usize,
    /// Of the nodes that are the same for all elements.
    pub uniform: Arc<Schedule>,
    /// Nodes that are the same for all elements and choose between such as are not.
    conditions: Vec<usize>,
    schedules: Mutex<Vec<(Vec<bool>, Arc<Schedule>)>>,
}

impl Prepared {
    /// What was found in the first run, if this is like it.
    pub fn of(op: &Pointwise, inputs: &[Region], outputs: &[Region]) -> Arc<Prepared> {
        let first = op.prepared.get_or_init(|| Arc::new(Prepared::new(op, inputs, outputs)));
        let like_it = first.specs.len() == inputs.len() + outputs.len()
            && first
                .specs
                .iter()
                .zip(inputs.iter().chain(outputs))
                .all(|((kind, shape), x)| *kind == x.spec.dtype && *shape == x.spec.shape);
        if like_it { first.clone() } else { Arc::new(Prepared::new(op, inputs, outputs)) }
    }

    fn new(op: &Pointwise, inputs: &[Region], outputs: &[Region]) -> Prepared {
        let kinds: Vec<DType> = inputs.iter().map(|x| x.spec.dtype).collect();
        let types: Vec<DType> = op.types(&kinds).expect("infer accepted these types").into_iter().map(DType::computed).collect();
        let shape = &outputs[0].spec.shape;
        let access: Vec<Access> = inputs.iter().map(|x| Access::of(&x.spec.shape, shape)).collect();
        let reading: Vec<Reading> = access.iter().zip(&kinds).map(|(access, kind)| access.reading(*kind)).collect();
        let uniform = Schedule::uniform(&op.nodes, &reading);
        Prepared {
            specs: inputs.iter().chain(outputs).map(|x| (x.spec.dtype, x.spec.shape.clone())).collect(),
            float: types.iter().copied().find(|t| t.is_float()).unwrap_or(DType::F32),
            types,
            access,
            reading,
            elements: shape.elements(),
            conditions: uniform.conditions(),
            uniform: Arc::new(uniform),
            schedules: Mutex::default(),
        }
    }

    /// The schedule of all other nodes. `holds` says whether a uniform condition does, `kept` whether an output lies where an input does.
    pub fn schedule(&self, outputs: &[usize], holds: impl Fn(usize) -> bool, kept: impl Fn(usize, usize) -> bool) -> Arc<Schedule> {
        let pairs = (0..outputs.len()).flat_map(|j| (0..self.access.len()).map(move |i| (j, i)));
        let case: Vec<bool> = self.conditions.iter().map(|&c| holds(c)).chain(pairs.map(|(j, i)| kept(j, i))).collect();
        let mut schedules = lock(&self.schedules);
        if let Some((_, schedule)) = schedules.iter().find(|(known, _)| *known == case) {
            return schedule.clone();
        }
        let schedule = Arc::new(Schedule::new(&self.uniform, outputs, &self.reading, holds, kept));
        if schedules.len() < KEPT {
            schedules.push((case, schedule.clone()));
        }
        schedule
    }
}
