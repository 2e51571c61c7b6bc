//! Which values share memory.
//!
//! Values that are the same memory (views, updates in place) have one *home*. A home is an input's memory, an output's, or temporary; temporary
//! homes whose lives do not overlap share a *slot*.

use super::Graph;
use crate::error::Result;
use crate::record::op::Op;
use crate::record::recording::Site;
use crate::shape::Spec;
use std::sync::Arc;

/// A program's steps and the memory they run in.
pub(crate) struct Plan {
    pub steps: Vec<Step>,
    pub slots: Vec<Slot>,
    /// For each wanted value, the slot it is in when the program ends.
    pub outputs: Vec<usize>,
}

/// One node that runs, with its values' specs and slots.
pub(crate) struct Step {
    pub op: Arc<dyn Op>,
    pub site: Site,
    pub inputs: Vec<Spec>,
    pub outputs: Vec<Spec>,
    pub input_slots: Vec<usize>,
    pub output_slots: Vec<usize>,
    pub in_place: Vec<Option<usize>>,
    pub scratch_slots: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The memory of the program's input of this number.
    Input(usize),
    /// Memory that leaves the program as a value.
    Output { bytes: usize },
    /// Memory that is free again when the program ends.
    Temporary { bytes: usize },
}

impl Plan {
    /// The sum of all temporary and output slots: what the program needs beyond its inputs.
    pub fn bytes(&self) -> usize {
        self.slots
            .iter()
            .map(|slot| match slot {
                Slot::Input(_) => 0,
                Slot::Output { bytes } | Slot::Temporary { bytes } => *bytes,
            })
            .sum()
    }
}

/// One memory that one or more values live in, one after the other.
struct Home {
    bytes: usize,
    input: Option<usize>,
    overwritable: bool,
    wanted: bool,
    first: usize,
    last: usize,
}

/// Plans a graph. `lower` sees each step before memory is given out and returns the bytes of the scratch buffers it needs.
pub(crate) fn plan(graph: &Graph, mut lower: impl FnMut(&Step) -> Result<Vec<usize>>) -> Result<Plan> {
    let (mut homes, home_of, in_place) = find_homes(graph);
    let mut steps = Vec::new();
    let mut scratch_homes: Vec<Vec<usize>> = Vec::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        if node.op.is_view() {
            continue;
        }
        let specs = |values: &[usize]| values.iter().map(|&v| graph.values[v].clone()).collect::<Vec<Spec>>();
        let step = Step {
            op: node.op.clone(),
            site: node.site.clone(),
            inputs: specs(&node.inputs),
            outputs: specs(&node.outputs),
            input_slots: node.inputs.iter().map(|&x| home_of[x]).collect(),
            output_slots: node.outputs.iter().map(|&y| home_of[y]).collect(),
            in_place: in_place[at].clone(),
            scratch_slots: Vec::new(),
        };
        let mut scratch = Vec::new();
        for bytes in lower(&step)? {
            homes.push(Home { bytes, input: None, overwritable: false, wanted: false, first: at, last: at });
            scratch.push(homes.len() - 1);
        }
        scratch_homes.push(scratch);
        steps.push(step);
    }
    let (slots, slot_of) = give_slots(&homes);
    for (step, scratch) in steps.iter_mut().zip(scratch_homes) {
        let to_slots = |homes: &mut Vec<usize>| homes.iter_mut().for_each(|home| *home = slot_of[*home]);
        to_slots(&mut step.input_slots);
        to_slots(&mut step.output_slots);
        step.scratch_slots = scratch.iter().map(|&home| slot_of[home]).collect();
    }
    let outputs = graph.outputs.iter().map(|&value| slot_of[home_of[value]]).collect();
    Ok(Plan { steps, slots, outputs })
}

/// Homes, the home of each value, and for each node the input that each of its outputs takes over.
fn find_homes(graph: &Graph) -> (Vec<Home>, Vec<usize>, Vec<Vec<Option<usize>>>) {
    const NONE: usize = usize::MAX;
    let end = graph.nodes.len();
    let mut last_read = vec![0; graph.values.len()];
    for (at, node) in graph.nodes.iter().enumerate().rev() {
        node.inputs.iter().for_each(|&x| last_read[x] = last_read[x].max(at));
        if node.op.is_view() {
            // A view's reads are reads of what it is a view of. Readers come after the view, so their reads are known here.
            let viewed = node.inputs[0];
            last_read[viewed] = last_read[viewed].max(last_read[node.outputs[0]]);
        }
    }
    let mut homes: Vec<Home> = Vec::new();
    let mut home_of = vec![NONE; graph.values.len()];
    for (number, input) in graph.inputs.iter().enumerate() {
        home_of[input.value] = homes.len();
        let bytes = graph.values[input.value].bytes();
        homes.push(Home {
            bytes,
            input: Some(number),
            overwritable: input.overwritable,
            wanted: false,
            first: 0,
            last: last_read[input.value],
        });
    }
    let mut wanted = vec![false; graph.values.len()];
    graph.outputs.iter().for_each(|&v| wanted[v] = true);
    for node in graph.nodes.iter().rev().filter(|n| n.op.is_view()) {
        wanted[node.inputs[0]] |= wanted[node.outputs[0]];
    }
    for input in &graph.inputs {
        homes[home_of[input.value]].wanted = wanted[input.value];
    }
    let mut in_place = Vec::with_capacity(end);
    for (at, node) in graph.nodes.iter().enumerate() {
        if node.op.is_view() {
            home_of[node.outputs[0]] = home_of[node.inputs[0]];
            in_place.push(Vec::new());
            continue;
        }
        let specs: Vec<Spec> = node.inputs.iter().map(|&x| graph.values[x].clone()).collect();
        let mut taken = vec![None; node.outputs.len()];
        for (j, &y) in node.outputs.iter().enumerate() {
            let bytes = graph.values[y].bytes();
            let free = |i: &usize| {
                let home = home_of[node.inputs[*i]];
                let owner = &homes[home];
                let alone = node.inputs.iter().filter(|&&x| home_of[x] == home).count() == 1;
                owner.overwritable && !owner.wanted && owner.last == at && alone && owner.bytes == bytes && !taken.contains(&Some(*i))
            };
            // A new version of a variable goes where the old one was, a passing value where another passed: else a gradient's memory would
            // leave the program as a variable's, and the variables' memory would wander from step to step.
            let came_in = |i: &usize| homes[home_of[node.inputs[*i]]].input.is_some();
            taken[j] = node.op.may_overwrite(&specs, j).into_iter().filter(free).min_by_key(|i| came_in(i) != wanted[y]);
            let last = last_read[y].max(at);
            match taken[j] {
                Some(i) => {
                    home_of[y] = home_of[node.inputs[i]];
                    let home = &mut homes[home_of[y]];
                    home.last = last;
                    home.wanted = wanted[y];
                }
                None => {
                    home_of[y] = homes.len();
                    homes.push(Home { bytes, input: None, overwritable: true, wanted: wanted[y], first: at, last });
                }
            }
        }
        in_place.push(taken);
    }
    (homes, home_of, in_place)
}

/// A slot for every home: its own for inputs and outputs, a shared one for temporary homes that are never alive together. Largest first, and
/// each into the smallest slot that holds it.
fn give_slots(homes: &[Home]) -> (Vec<Slot>, Vec<usize>) {
    let mut slots: Vec<Slot> = Vec::new();
    let mut slot_of = vec![0; homes.len()];
    let mut temporary: Vec<usize> = Vec::new();
    for (number, home) in homes.iter().enumerate() {
        slot_of[number] = slots.len();
        match home.input {
            Some(input) => slots.push(Slot::Input(input)),
            None if home.wanted => slots.push(Slot::Output { bytes: home.bytes }),
            None => temporary.push(number),
        }
    }
    temporary.sort_by_key(|&number| (std::cmp::Reverse(homes[number].bytes), homes[number].first));
    let first_shared = slots.len();
    let mut lives: Vec<Vec<(usize, usize)>> = Vec::new();
    for number in temporary {
        let home = &homes[number];
        let fits = |lives: &Vec<(usize, usize)>| lives.iter().all(|&(first, last)| home.last < first || last < home.first);
        // Slots were opened largest first, so the last that fits is the smallest.
        let at = lives.iter().rposition(fits).unwrap_or_else(|| {
            lives.push(Vec::new());
            slots.push(Slot::Temporary { bytes: home.bytes });
            lives.len() - 1
        });
        lives[at].push((home.first, home.last));
        slot_of[number] = first_shared + at;
    }
    (slots, slot_of)
}
