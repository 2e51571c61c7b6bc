//! What a function says of its traces.

use std::collections::VecDeque;
use std::fmt;

/// From so many traces on, a report says that something keeps changing.
const MANY_TRACES: usize = 5;

/// So many of the last [`RECENT`] calls traced anew: the function is warned of. Keras's numbers.
const MANY_OF_RECENT: usize = 5;
const RECENT: usize = 10;

/// How often and why a function was traced.
#[derive(Debug, Clone)]
pub struct TraceReport {
    /// The function's name.
    pub function: String,
    /// For each trace its signature and size; on further lines why it was needed beside the earlier ones, and each constant it captured, with
    /// the place that first reads it.
    pub traces: Vec<String>,
    /// Calls that replayed a program.
    pub replays: usize,
    /// Calls that ran the closure, because a tape recorded or another function was traced.
    pub inlined: usize,
    /// Calls that ran the closure, because the function is to run [`eagerly`](super::Function::eagerly).
    pub eager: usize,
    /// Advice, if there were many traces.
    pub advice: Option<String>,
    /// What was printed, once, when five of ten calls had been traced anew.
    pub warning: Option<String>,
}

impl fmt::Display for TraceReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {} traces, {} replays, {} inlined", self.function, self.traces.len(), self.replays, self.inlined)?;
        writeln!(f, "{}", if self.eager > 0 { format!(", {} run eagerly", self.eager) } else { String::new() })?;
        for trace in &self.traces {
            writeln!(f, "  {}", trace.replace('\n', "\n  "))?;
        }
        self.advice.iter().try_for_each(|advice| writeln!(f, "  {advice}"))
    }
}

/// What happened at the calls of a function.
#[derive(Default)]
pub(super) struct Calls {
    replays: usize,
    inlined: usize,
    eager: usize,
    /// Which of the last calls were traced.
    recent: VecDeque<bool>,
    warning: Option<String>,
}

impl Calls {
    pub fn replayed(&mut self) {
        self.replays += 1;
        self.note(false);
    }

    pub fn ran_the_closure(&mut self, inline: bool) {
        *(if inline { &mut self.inlined } else { &mut self.eager }) += 1;
    }

    pub fn traced(&mut self, function: &str, why: &str) {
        self.note(true);
        let traced = self.recent.iter().filter(|traced| **traced).count();
        if traced >= MANY_OF_RECENT && self.warning.is_none() {
            let warning = format!(
                "{traced} of the last {} calls of function {function} were traced anew, which takes far longer than a replay; the last because \
                 {why}. Pad the arguments to one shape; `trace_report()` lists all traces",
                self.recent.len()
            );
            eprintln!("warning: {warning}");
            self.warning = Some(warning);
        }
    }

    fn note(&mut self, traced: bool) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(traced);
    }

    pub fn report(&self, function: &str, traces: Vec<String>, signatures: Vec<String>) -> TraceReport {
        let advice = (traces.len() >= MANY_TRACES).then(|| {
            let differ = signatures.join(" ");
            format!("every new signature is traced anew, and these differ: {differ}; pad the arguments to one shape")
        });
        TraceReport {
            function: function.to_string(),
            traces,
            replays: self.replays,
            inlined: self.inlined,
            eager: self.eager,
            advice,
            warning: self.warning.clone(),
        }
    }
}
