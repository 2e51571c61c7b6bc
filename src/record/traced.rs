//! One trace of a function: its program, and what the program runs over.

use super::draw::{self, Captions};
use super::frame::Captured;
use crate::compile::{self, Graph, Program};
use crate::device::{Device, Storage};
use crate::error::Result;
use crate::shape::Spec;
use crate::tensor::{State, Tensor};
use crate::variable::Variable;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, MutexGuard};

pub(super) struct Traced {
    device: Device,
    signature: Vec<Spec>,
    program: Arc<Program>,
    /// As it was recorded. The program may be one that was compiled for another function of this structure, with other names.
    graph: Graph,
    /// In order of the program's inputs after the arguments.
    variables: Vec<Variable>,
    constants: Vec<Arc<Storage>>,
    /// Which of the variables the program assigns: in order of its outputs, first of all.
    assigned: Vec<usize>,
    results: Vec<Spec>,
    /// How its signature differs from the nearest earlier one; empty for the first.
    why: String,
}

/// Each of the variables, if the program assigns it.
type Locked<'a> = Vec<Option<MutexGuard<'a, Tensor>>>;

impl Traced {
    pub fn compile(device: &Device, signature: Vec<Spec>, captured: Captured, why: String, remat: bool) -> Result<Traced> {
        let Captured { graph, variables, constants, assigned, results } = captured;
        let program = compile::program(device, graph.clone(), remat)?;
        Ok(Traced { device: device.clone(), signature, program, graph, variables, constants, assigned, results, why })
    }

    pub fn fits(&self, device: &Device, args: &[&Tensor]) -> bool {
        self.device == *device
            && self.signature.len() == args.len()
            && self.signature.iter().zip(args).all(|(spec, arg)| spec == arg.spec())
    }

    /// How far another call is from those this trace serves, and in what it differs.
    pub fn differs(&self, device: &Device, signature: &[Spec]) -> (usize, String) {
        if self.signature.len() != signature.len() {
            return (usize::MAX, format!("it has {} arguments, not {}", signature.len(), self.signature.len()));
        }
        let arguments = signature.iter().zip(&self.signature).enumerate().filter(|(_, (now, before))| now != before);
        let mut found: Vec<String> = arguments.map(|(i, (now, before))| format!("argument {i} is {now}, not {before}")).collect();
        if self.device != *device {
            found.push(format!("it is on {device}, not on {}", self.device));
        }
        (found.len(), found.join(", "))
    }

    pub fn why(&self) -> &str {
        &self.why
    }

    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    pub fn signature(&self) -> String {
        format!("({})", self.signature.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }

    pub fn describe(&self) -> String {
        let constants: Vec<&Spec> = self.constant_values().map(|value| &self.graph.values[value]).collect();
        let bytes: usize = constants.iter().map(|spec| spec.bytes()).sum();
        let mut text = format!(
            "{} on {}: {} variables, {} constants ({bytes} bytes), {} dispatches",
            self.signature(),
            self.device,
            self.variables.len(),
            constants.len(),
            self.program.dispatches()
        );
        if !self.why.is_empty() {
            text += &format!("\n  traced because {}", self.why);
        }
        for value in self.constant_values() {
            let spec = &self.graph.values[value];
            let reader = self.graph.nodes.iter().find(|node| node.inputs.contains(&value));
            let place = reader.map_or_else(|| "returned".to_string(), |node| format!("read by {} at {}", node.op.name(), node.site));
            text += &format!("\n  constant {spec} ({} bytes), {place}", spec.bytes());
        }
        text
    }

    /// The graph's numbers of the constants.
    fn constant_values(&self) -> impl Iterator<Item = usize> + '_ {
        self.graph.inputs[self.signature.len() + self.variables.len()..].iter().map(|input| input.value)
    }

    pub fn to_dot(&self, name: &str) -> String {
        draw::dot(name, &self.graph, &Captions::of(self.signature.len(), &self.variables, &self.assigned))
    }

    pub fn run(&self, args: &[&Tensor]) -> Result<Vec<Tensor>> {
        let (mut locked, inputs) = self.gather(args)?;
        let outputs = self.program.run(&self.device, inputs)?;
        let mut outputs = outputs.into_iter();
        for (&i, storage) in self.assigned.iter().zip(&mut outputs) {
            if let Some(now) = locked[i].as_mut().filter(|now| !now.is_stored_in(&storage)) {
                **now = Tensor::stored(&self.device, now.spec().clone(), storage);
            }
        }
        Ok(self.results.iter().zip(outputs).map(|(spec, storage)| Tensor::stored(&self.device, spec.clone(), storage)).collect())
    }

    /// The program's inputs, and the variables that it assigns, which nobody else may take hold of until it has run.
    fn gather(&self, args: &[&Tensor]) -> Result<(Locked<'_>, Vec<Arc<Storage>>)> {
        let mut inputs = args.iter().map(|arg| arg.storage()).collect::<Result<Vec<_>>>()?;
        let mut order = self.assigned.clone();
        order.sort_unstable_by_key(|&i| self.variables[i].id());
        // Those that are only read come first: to wait for one of them while holding others would be to wait for a function that assigns it
        // and reads ours.
        let mut read: Vec<Option<Arc<Storage>>> = vec![None; self.variables.len()];
        for (i, variable) in self.variables.iter().enumerate().filter(|(i, _)| !self.assigned.contains(i)) {
            read[i] = Some(variable.current().storage()?);
        }
        // Locked in order of their numbers, so that two functions over the same variables cannot wait for each other.
        let mut locked: Locked = self.variables.iter().map(|_| None).collect();
        for i in order {
            locked[i] = Some(self.variables[i].lock());
        }
        for (read, now) in read.into_iter().zip(&locked) {
            inputs.extend(read);
            if let Some(now) = now {
                let storage = now.storage()?;
                // The program may write over this memory. Whoever else holds it keeps the old version, and the program gets a copy.
                inputs.push(if shared(now, &storage) { self.device.copy(&storage)? } else { storage });
            }
        }
        inputs.extend(self.constants.iter().cloned());
        Ok((locked, inputs))
    }
}

/// Whether anybody but the variable holds its value or the memory of it.
fn shared(value: &Tensor, storage: &Arc<Storage>) -> bool {
    // Two holders of the memory are expected: the value, and the list of inputs being made.
    let shared = Arc::strong_count(&value.value) > 1 || Arc::strong_count(storage) > 2;
    // Whoever let go of it on another thread has read it before we write.
    fence(Ordering::Acquire);
    shared
}

impl Tensor {
    fn is_stored_in(&self, storage: &Arc<Storage>) -> bool {
        matches!(&*self.value.state(), State::Stored(own) if Arc::ptr_eq(own, storage))
    }
}
