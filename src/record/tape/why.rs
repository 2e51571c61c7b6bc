//! Why a gradient is `None`: the path from the source to the target, and where it is cut.

use super::walk::Walk;
use super::{GradientTape, Inner, Pause, SourcePart};
use crate::tensor::{Tensor, next_id};
use crate::variable::Variable;
use std::collections::{HashMap, HashSet, VecDeque};

/// How values came about that the tape did not record: numbers of values only, so that nothing is kept alive by it.
pub(super) struct Trail {
    /// Numbers grow: a value with a smaller one was made before the tape.
    start: u64,
    links: HashMap<u64, Vec<Link>>,
    /// Watched values that were read on the host, and the number that the next new value got.
    host_reads: Vec<(u64, u64)>,
}

/// A value was made from these others.
#[derive(Clone)]
struct Link {
    inputs: Vec<u64>,
    how: How,
}

#[derive(Clone)]
enum How {
    Unwatched(&'static str),
    Paused(Pause, &'static str),
    Assigned(String),
    Host,
    /// The recorded step of this number.
    Step(usize),
}

impl Default for Trail {
    fn default() -> Trail {
        Trail { start: next_id(), links: HashMap::new(), host_reads: Vec::new() }
    }
}

impl Trail {
    pub fn unwatched(&mut self, op: &'static str, inputs: &[u64], outputs: &[Tensor]) {
        self.link(How::Unwatched(op), inputs, outputs.iter().map(Tensor::id));
    }

    pub fn paused(&mut self, why: Pause, op: &'static str, inputs: &[u64], outputs: &[Tensor]) {
        self.link(How::Paused(why, op), inputs, outputs.iter().map(Tensor::id));
    }

    pub fn assigned(&mut self, variable: &Variable, value: u64, kept: u64) {
        if value != kept {
            self.links.remove(&kept);
            self.link(How::Assigned(variable.name()), &[value], [kept]);
        }
    }

    pub fn read_on_the_host(&mut self, value: u64) {
        self.host_reads.push((value, next_id()));
    }

    pub fn knows(&self, value: u64) -> bool {
        self.links.contains_key(&value)
    }

    fn link(&mut self, how: How, inputs: &[u64], outputs: impl IntoIterator<Item = u64>) {
        for output in outputs {
            self.links.entry(output).or_default().push(Link { inputs: inputs.to_vec(), how: how.clone() });
        }
    }
}

impl GradientTape {
    pub(super) fn why_none(&self, targets: &[&Tensor], source: &SourcePart, walk: &Walk) -> String {
        let inner = self.inner.borrow();
        let ids = match source {
            SourcePart::Tensor(tensor) => vec![tensor.id()],
            SourcePart::Variable(variable) => inner.values_of(variable),
        };
        if let Some(reason) = inner.not_watched(source, &ids) {
            return reason;
        }
        if targets.iter().all(|t| t.id() < inner.trail.start) {
            return "the target was computed before the tape was made or reset; compute it while the tape records".into();
        }
        match inner.path(targets, &ids) {
            Some(path) => inner.cut(&path, walk),
            None => "the target does not depend on it".into(),
        }
    }
}

impl Inner {
    /// What is to be said of the source without a look at the target.
    fn not_watched(&self, source: &SourcePart, ids: &[u64]) -> Option<String> {
        let watched = ids.iter().any(|id| self.watched.contains(id));
        match source {
            SourcePart::Tensor(t) if !t.dtype().is_float() => Some(format!("a tensor of {} has no gradient", t.dtype())),
            SourcePart::Variable(v) if !v.spec().dtype.is_float() => {
                Some(format!("variable {} is {}, which has no gradient", v.name(), v.spec().dtype))
            }
            _ if watched => None,
            SourcePart::Variable(v) if ids.is_empty() => Some(format!("variable {} was not read while the tape recorded", v.name())),
            SourcePart::Variable(v) if self.ignores_variables => {
                Some(format!("the tape does not watch variables by itself; call `tape.watch(&v)` for {} before it is used", v.name()))
            }
            SourcePart::Variable(v) if !v.trainable() => {
                Some(format!("variable {} is not trainable, so it is not watched by itself; call `tape.watch(&v)` before it is used", v.name()))
            }
            // It was read only where the tape does not record; the path says where.
            SourcePart::Variable(_) => None,
            SourcePart::Tensor(t) if t.id() < self.trail.start => Some(
                "the tensor is not watched; call `tape.watch(&x)` before it is used. It was made before the tape: if it was computed from a \
                 variable, it is no longer that variable; compute it while the tape records, and ask for the variable"
                    .into(),
            ),
            SourcePart::Tensor(_) => Some("the tensor is not watched; call `tape.watch(&x)` before it is used".into()),
        }
    }

    /// The links from a source to a target, the source's first, whether or not a gradient passes them.
    fn path(&self, targets: &[&Tensor], sources: &[u64]) -> Option<Vec<(u64, How)>> {
        let mut steps: HashMap<u64, usize> = HashMap::new();
        for (number, step) in self.steps.iter().enumerate() {
            steps.extend(step.outputs.iter().map(|y| (y.id(), number)));
        }
        let known: HashSet<u64> = self.reads.iter().map(|(_, value)| *value).collect();
        let mut reached: HashMap<u64, Option<(u64, How)>> = targets.iter().map(|t| (t.id(), None)).collect();
        let mut open: VecDeque<u64> = targets.iter().map(|t| t.id()).collect();
        while let Some(value) = open.pop_front() {
            if sources.contains(&value) {
                let mut path = Vec::new();
                let mut at = value;
                while let Some(Some((output, how))) = reached.get(&at) {
                    path.push((at, how.clone()));
                    at = *output;
                }
                return Some(path);
            }
            let mut links = self.trail.links.get(&value).cloned().unwrap_or_default();
            if let Some(&number) = steps.get(&value) {
                links.push(Link { inputs: self.steps[number].inputs.iter().map(Tensor::id).collect(), how: How::Step(number) });
            }
            if links.is_empty() && !known.contains(&value) {
                // Made on the host: perhaps of something that was read there before.
                let inputs = self.trail.host_reads.iter().filter(|(_, then)| *then < value).map(|(read, _)| *read).collect();
                links.push(Link { inputs, how: How::Host });
            }
            for Link { inputs, how } in links {
                for input in inputs {
                    reached.entry(input).or_insert_with(|| {
                        open.push_back(input);
                        Some((value, how.clone()))
                    });
                }
            }
        }
        None
    }

    /// The first link, seen from the source, that no gradient passes.
    fn cut(&self, path: &[(u64, How)], walk: &Walk) -> String {
        for (from, how) in path {
            match how {
                How::Unwatched(op) => return format!("it was used in `{op}` before the tape watched it; call `watch` earlier"),
                How::Paused(Pause::Stopped, op) => return format!("the path goes through `{op}`, which ran while the tape was stopped"),
                How::Paused(Pause::Gradient, op) => {
                    return format!(
                        "the path goes through `{op}`, which this tape computed for a gradient and does not record; nest two tapes for a \
                         gradient of a gradient"
                    );
                }
                How::Paused(Pause::Custom, op) => {
                    return format!(
                        "it was used in `{op}` inside a custom_gradient, which has gradients for its inputs only; make it an input"
                    );
                }
                How::Assigned(variable) => {
                    return format!(
                        "the path goes through the state of variable {variable}, and no gradient passes an assignment; use the tensor that was \
                         assigned"
                    );
                }
                How::Host => {
                    return "no tensor operations lead from it to the target, but a value was read on the host (`to_vec`, `item`) and a new tensor \
                            made after it: if that is the path, use tensor operations instead"
                        .into();
                }
                How::Step(number) => {
                    let step = &self.steps[*number];
                    if let Some(whole) = step.outputs.iter().find(|y| !y.dtype().is_float()) {
                        return format!(
                            "the path goes through `{}`, which makes {}: whole numbers have no gradient",
                            step.rule.name(),
                            whole.dtype()
                        );
                    }
                    if walk.dead_ends.contains(&(*number, *from)) {
                        return format!("the path goes through `{}`, which no gradient passes", step.rule.name());
                    }
                }
            }
        }
        "the target depends on it only through an operation that no gradient passes".into()
    }
}
