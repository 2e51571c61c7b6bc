//! What of an expression is computed for every block of elements, and where its values are meanwhile.
//!
//! Most of an optimizer's expression need not be: numbers, the scalars of the step, and what is made of them are the same for all elements, and
//! where such a value chooses between two others, only one of these is computed.

use super::expr::Node;

/// Where a node's values are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Register(usize),
    /// Where the input of this number lies: its elements are those of the output, in a type that is computed in.
    Input(usize),
}

impl Place {
    fn own(self) -> Option<usize> {
        match self {
            Place::Register(register) => Some(register),
            Place::Input(_) => None,
        }
    }
}

/// How an input is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// One value for all elements.
    Once,
    /// Where it lies.
    InPlace,
    /// Copied to a register.
    Loaded,
}

/// How an expression, or a part of it, is evaluated.
#[derive(Default)]
pub(super) struct Schedule {
    /// The expression's nodes. What reads a choice that is the same for all elements reads what was chosen instead.
    pub nodes: Vec<Node>,
    /// Where each node is; nothing for those that are not needed.
    pub place: Vec<Option<Place>>,
    /// Nodes that are the same for all elements, if others read them.
    pub constants: Vec<usize>,
    /// The nodes to evaluate for each block, in order.
    pub steps: Vec<usize>,
    /// The node of each output.
    pub outputs: Vec<usize>,
    /// How many registers there are.
    pub registers: usize,
}

impl Schedule {
    /// Of the nodes that are the same for all elements, each with a register of its own.
    pub fn uniform(nodes: &[Node], reading: &[Reading]) -> Schedule {
        let mut schedule = Schedule { nodes: nodes.to_vec(), ..Schedule::default() };
        for (id, node) in nodes.iter().enumerate() {
            let uniform = match *node {
                Node::Input(i) => reading[i] == Reading::Once,
                _ => node.operands().all(|o| schedule.place[o].is_some()),
            };
            schedule.place.push(uniform.then_some(Place::Register(schedule.registers)));
            if uniform {
                schedule.registers += 1;
                schedule.steps.push(id);
            }
        }
        schedule
    }

    /// Of a schedule of these: those that choose between others.
    pub fn conditions(&self) -> Vec<usize> {
        let chosen = |(id, node): (usize, &Node)| match *node {
            Node::Select(c, ..) if self.chooses(id, c) => Some(c),
            _ => None,
        };
        self.nodes.iter().enumerate().filter_map(chosen).collect()
    }

    fn chooses(&self, id: usize, condition: usize) -> bool {
        self.place[condition].is_some() && self.place[id].is_none()
    }

    /// Of all others. `holds` says whether a uniform condition does, `kept` whether an output lies where an input does.
    pub fn new(
        uniform: &Schedule,
        outputs: &[usize],
        reading: &[Reading],
        holds: impl Fn(usize) -> bool,
        kept: impl Fn(usize, usize) -> bool,
    ) -> Schedule {
        let mut schedule = uniform.choose(outputs, holds);
        let last = schedule.last_reads(&uniform.place);
        // An output that is an input as it stands goes through a register, unless it lies there: before it is written, the input may be
        // overwritten by another.
        let moved = |outputs: &[usize], id: usize, i: usize| outputs.iter().enumerate().any(|(j, &o)| o == id && !kept(j, i));
        let mut free: Vec<usize> = Vec::new();
        for id in 0..schedule.nodes.len() {
            let node = schedule.nodes[id];
            let place = match node {
                _ if last[id].is_none() => None,
                _ if uniform.place[id].is_some() => {
                    schedule.constants.push(id);
                    uniform.place[id]
                }
                Node::Input(i) if reading[i] == Reading::InPlace && !moved(&schedule.outputs, id, i) => Some(Place::Input(i)),
                _ => {
                    schedule.steps.push(id);
                    // A node never writes to the register of an operand: the loops then have no aliases to fear.
                    let register = free.pop().unwrap_or(schedule.registers);
                    schedule.registers = schedule.registers.max(register + 1);
                    let mut ended: Vec<usize> = node.operands().filter(|&o| last[o] == Some(id) && uniform.place[o].is_none()).collect();
                    ended.sort_unstable();
                    ended.dedup();
                    free.extend(ended.into_iter().filter_map(|o| schedule.place[o]).filter_map(Place::own));
                    Some(Place::Register(register))
                }
            };
            schedule.place.push(place);
        }
        schedule
    }

    /// The node that is an input read where it lies.
    pub fn read_in_place(&self, input: usize) -> Option<usize> {
        self.place.iter().position(|place| *place == Some(Place::Input(input)))
    }

    /// The register of a node that is in one.
    #[inline(always)]
    pub fn register(&self, node: usize) -> usize {
        match self.place[node] {
            Some(Place::Register(register)) => register,
            other => unreachable!("node {node} is at {other:?}, not in a register"),
        }
    }

    /// Registers for what these have evaluated, and the nodes with every uniform choice made.
    fn choose(&self, outputs: &[usize], holds: impl Fn(usize) -> bool) -> Schedule {
        let mut chosen: Vec<usize> = Vec::with_capacity(self.nodes.len());
        for (id, node) in self.nodes.iter().enumerate() {
            chosen.push(match *node {
                Node::Select(c, a, b) if self.chooses(id, c) => chosen[if holds(c) { a } else { b }],
                _ => id,
            });
        }
        Schedule {
            nodes: self.nodes.iter().map(|node| node.map(|o| chosen[o])).collect(),
            outputs: outputs.iter().map(|&o| chosen[o]).collect(),
            registers: self.registers,
            ..Schedule::default()
        }
    }

    /// The last node that reads each, or the number of nodes for outputs; nothing where nobody does.
    fn last_reads(&self, uniform: &[Option<Place>]) -> Vec<Option<usize>> {
        let mut last = vec![None; self.nodes.len()];
        self.outputs.iter().for_each(|&o| last[o] = Some(self.nodes.len()));
        for (id, node) in self.nodes.iter().enumerate().rev() {
            if last[id].is_some() && uniform[id].is_none() {
                node.operands().for_each(|o| last[o] = last[o].max(Some(id)));
            }
        }
        last
    }
}
