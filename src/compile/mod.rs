//! From a recording to a program: a few small passes over a graph of operations, one file each.
//!
//! [`prune`] drops what nobody reads; [`remat`], where it is asked for, keeps fewer values for the gradient; [`fuse`] makes one operation of
//! several; [`order`] runs what frees memory first; [`plan`] decides which values share memory; then the device makes the program.

pub(crate) mod fuse;
mod order;
pub(crate) mod plan;
mod program;
mod prune;
mod remat;

pub use program::Program;
pub(crate) use prune::run as prune;

use crate::device::Device;
use crate::error::Result;
use crate::record::op::Op;
use crate::record::recording::Site;
use crate::shape::Spec;
use std::fmt::Write;
use std::sync::Arc;

/// Operations over numbered values, in an order that respects what they read.
#[derive(Default, Clone)]
pub(crate) struct Graph {
    pub values: Vec<Spec>,
    pub inputs: Vec<GraphInput>,
    pub nodes: Vec<Node>,
    /// The values that are wanted; a value may be wanted twice, and may be an input.
    pub outputs: Vec<usize>,
}

#[derive(Clone, Copy)]
pub(crate) struct GraphInput {
    pub value: usize,
    /// Whether the program may write over its memory: nobody will read what it holds now.
    pub overwritable: bool,
}

#[derive(Clone)]
pub(crate) struct Node {
    pub op: Arc<dyn Op>,
    pub inputs: Vec<usize>,
    pub outputs: Vec<usize>,
    pub site: Site,
}

impl Graph {
    /// Everything that makes one program differ from another, as text.
    fn key(&self) -> String {
        let mut key = String::new();
        for input in &self.inputs {
            let mark = if input.overwritable { "!" } else { "" };
            let _ = write!(key, "{}{mark}={};", input.value, self.values[input.value]);
        }
        for node in &self.nodes {
            let _ = write!(key, "{:?}{:?}{:?};", node.op, node.inputs, node.outputs);
        }
        let _ = write!(key, "{:?}", self.outputs);
        key
    }
}

/// The program of a graph: from the device's cache, or compiled. With `remat`, values are computed again for the gradient where that saves
/// memory.
pub(crate) fn program(device: &Device, mut graph: Graph, remat: bool) -> Result<Arc<Program>> {
    prune::run(&mut graph);
    let mut key = graph.key();
    if !fuse::enabled() {
        key.insert_str(0, "apart: ");
    }
    if remat {
        key.insert_str(0, "remat: ");
    }
    if let Some(program) = device.cached(&key).filter(|_| !crate::testing::observing()) {
        return Ok(program);
    }
    if remat {
        remat::run(&mut graph);
    }
    fuse::run(&mut graph, device);
    order::run(&mut graph);
    let program = Arc::new(Program::build(device, graph)?);
    device.cache(key, program.clone());
    Ok(program)
}
