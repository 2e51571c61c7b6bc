//! Computes values anew for the gradient instead of keeping them: gradient checkpointing.
//!
//! The forward pass is cut into segments. What crosses a cut is kept, and the last segment with it; all else that the backward pass reads
//! is computed a second time from what is kept, when the backward pass comes to its segment. The same operations run on the same values, random
//! numbers included, so the results are the same. The number of segments is the one that needs the least memory, about the square root of the
//! number of layers where these are alike (Chen et al. 2016, arXiv:1604.06174).

use super::{Graph, Node};
use crate::error::Result;
use crate::record::op::{CpuArgs, GradCx, Launch, Op};
use crate::shape::Spec;
use crate::tensor::Tensor;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Values of up to so many elements are always kept.
const SMALL: usize = 64;

/// Segments that are tried.
const MOST_SEGMENTS: usize = 32;

pub(crate) fn run(graph: &mut Graph) {
    let Some(forward) = Forward::of(graph) else { return };
    let best = (2..=MOST_SEGMENTS).map(|segments| forward.cut(segments)).min_by_key(|cuts| forward.bytes(cuts));
    if let Some(cuts) = best.filter(|cuts| forward.bytes(cuts) < forward.bytes(&[])) {
        Again::new(graph, &forward, &cuts).run();
    }
}

/// The nodes before the first of the backward pass.
struct Forward {
    count: usize,
    /// For each value that is made here: by which node, and which node is the last here to read it.
    lives: Vec<Option<Range<usize>>>,
    /// For each value, its bytes if the nodes after these read it.
    saved: Vec<usize>,
    /// For each value, its bytes.
    bytes: Vec<usize>,
}

impl Forward {
    /// `None` if there is no backward pass, or nothing before it.
    fn of(graph: &Graph) -> Option<Forward> {
        let count = graph.nodes.iter().position(|node| node.site.is_backward()).filter(|&count| count > 0)?;
        let mut lives: Vec<Option<Range<usize>>> = vec![None; graph.values.len()];
        let bytes: Vec<usize> = graph.values.iter().map(Spec::bytes).collect();
        for (at, node) in graph.nodes[..count].iter().enumerate() {
            for &x in &node.inputs {
                lives[x] = lives[x].take().map(|life| life.start..at);
            }
            node.outputs.iter().for_each(|&y| lives[y] = Some(at..at));
        }
        for &y in &graph.outputs {
            lives[y] = lives[y].take().map(|life| life.start..count);
        }
        // Whoever holds a view holds what it is a view of.
        for node in graph.nodes[..count].iter().rev().filter(|node| node.op.is_view()) {
            let end = lives[node.outputs[0]].as_ref().map_or(0, |life| life.end);
            lives[node.inputs[0]] = lives[node.inputs[0]].take().map(|life| life.start..life.end.max(end));
        }
        let mut saved = vec![0; graph.values.len()];
        for &x in graph.nodes[count..].iter().flat_map(|node| &node.inputs) {
            saved[x] = bytes[x];
        }
        // The same memory under two shapes is kept once.
        for node in graph.nodes[..count].iter().filter(|node| node.op.is_view()) {
            if saved[node.inputs[0]] > 0 {
                saved[node.outputs[0]] = 0;
            }
        }
        Some(Forward { count, lives, saved, bytes })
    }

    /// Where to cut for so many segments: so that what is saved is about the same in each, but where little crosses. A cut is before a node.
    fn cut(&self, segments: usize) -> Vec<usize> {
        let mut crossing = vec![0usize; self.count + 1];
        let mut saved = vec![0usize; self.count + 1];
        for (value, life) in self.lives.iter().enumerate() {
            let Some(life) = life else { continue };
            crossing[life.start + 1..=life.end].iter_mut().for_each(|bytes| *bytes += self.bytes[value]);
            saved[life.start + 1..].iter_mut().for_each(|bytes| *bytes += self.saved[value]);
        }
        let share = saved[self.count] as f64 / segments as f64;
        let near = |cut: usize| {
            let least = saved.partition_point(|&bytes| (bytes as f64) < (cut as f64 - 0.5) * share).max(1);
            let end = saved.partition_point(|&bytes| (bytes as f64) < (cut as f64 + 0.5) * share).min(self.count);
            (least..end).min_by_key(|&at| crossing[at])
        };
        let mut cuts: Vec<usize> = (1..segments).filter_map(near).collect();
        cuts.dedup();
        cuts
    }

    /// Whether a value is kept: it crosses a cut, or is made after the last.
    fn keeps(&self, value: usize, cuts: &[usize]) -> bool {
        let Some(life) = &self.lives[value] else { return true };
        let next = cuts.partition_point(|&cut| cut <= life.start);
        cuts.get(next).is_none_or(|&cut| cut <= life.end)
    }

    /// The memory for what is kept, and for the segment that needs the most beyond it.
    fn bytes(&self, cuts: &[usize]) -> usize {
        let mut kept = 0;
        let mut again = vec![0; cuts.len() + 1];
        for (value, life) in self.lives.iter().enumerate() {
            let Some(life) = life else { continue };
            let segment = cuts.partition_point(|&cut| cut <= life.start);
            match self.keeps(value, cuts) {
                // What crosses a cut may be read only by what is computed again.
                true if segment < cuts.len() => kept += self.bytes[value],
                true => kept += self.saved[value],
                false => again[segment] += self.saved[value],
            }
        }
        kept + again.into_iter().max().unwrap_or(0)
    }
}

/// The graph while the nodes after the forward pass are written anew.
struct Again<'g> {
    graph: &'g mut Graph,
    forward: &'g Forward,
    cuts: &'g [usize],
    /// Which node made a value.
    producer: HashMap<usize, usize>,
    /// What stands for a value that is not kept.
    made: HashMap<usize, usize>,
    /// What stands for a kept value in a segment that is computed again.
    late: HashMap<(usize, usize), usize>,
    /// An output of the node before: nothing is computed again before it is there.
    trigger: usize,
}

impl<'g> Again<'g> {
    fn new(graph: &'g mut Graph, forward: &'g Forward, cuts: &'g [usize]) -> Again<'g> {
        let nodes = graph.nodes[..forward.count].iter().enumerate();
        let producer = nodes.flat_map(|(at, node)| node.outputs.iter().map(move |&y| (y, at))).collect();
        let trigger = graph.nodes[forward.count - 1].outputs[0];
        Again { graph, forward, cuts, producer, made: HashMap::new(), late: HashMap::new(), trigger }
    }

    fn run(mut self) {
        for mut node in self.graph.nodes.split_off(self.forward.count) {
            for x in &mut node.inputs {
                *x = self.value(*x);
            }
            self.trigger = node.outputs[0];
            self.graph.nodes.push(node);
        }
    }

    /// What stands for a value after the forward pass: itself, or the same computed again.
    fn value(&mut self, value: usize) -> usize {
        let small = self.graph.values[value].shape.elements() <= SMALL;
        if small || value >= self.forward.lives.len() || self.forward.keeps(value, self.cuts) {
            return value;
        }
        if let Some(&again) = self.made.get(&value) {
            return again;
        }
        let at = self.producer[&value];
        let segment = self.cuts.partition_point(|&cut| cut <= at);
        let Node { op, inputs, outputs, site } = self.graph.nodes[at].clone();
        let inputs = inputs.into_iter().map(|x| self.value(x)).collect::<Vec<_>>();
        let inputs = inputs.into_iter().map(|x| self.not_before(x, segment)).collect();
        let outputs = outputs.into_iter().map(|y| self.stand_in(y)).collect();
        self.graph.nodes.push(Node { op, inputs, outputs, site: site.in_backward() });
        self.made[&value]
    }

    /// A new value like `value`, which stands for it.
    fn stand_in(&mut self, value: usize) -> usize {
        self.graph.values.push(self.graph.values[value].clone());
        let again = self.graph.values.len() - 1;
        self.made.insert(value, again);
        again
    }

    /// A kept value, but not before the backward pass has come to the segment: else its reader could run, or become one with an operation, when
    /// the value is made.
    fn not_before(&mut self, value: usize, segment: usize) -> usize {
        if self.forward.lives.get(value).is_none_or(Option::is_none) {
            return value;
        }
        if let Some(&late) = self.late.get(&(value, segment)) {
            return late;
        }
        self.graph.values.push(self.graph.values[value].clone());
        let late = self.graph.values.len() - 1;
        let site = self.graph.nodes[self.producer[&value]].site.clone().in_backward();
        self.graph.nodes.push(Node { op: Arc::new(Late), inputs: vec![value, self.trigger], outputs: vec![late], site });
        self.late.insert((value, segment), late);
        late
    }
}

/// Its first input, once its second is there.
#[derive(Debug)]
struct Late;

impl Op for Late {
    fn name(&self) -> &'static str {
        "late"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        Ok(vec![inputs[0].clone()])
    }

    fn grad(&self, _: &GradCx) -> Result<Vec<Option<Tensor>>> {
        unreachable!("gradients are recorded before a program is made")
    }

    fn cpu(&self, _: &mut CpuArgs) -> Result<()> {
        unreachable!("a view is never run")
    }

    fn gpu(&self, _: &mut Launch) -> Result<()> {
        unreachable!("a view is never run")
    }

    fn is_view(&self) -> bool {
        true
    }
}
