//! Training: `fit`, `evaluate` and `predict`. A whole step — fetching the batch, forward, loss, backward, optimizer, metrics — is one
//! [`Function`](crate::Function) that is replayed; the host only says "once more".

mod data;
mod diagnose;
mod evaluate;
mod feed;
mod fit;
mod history;
mod progress;
mod run;
mod step;

pub use data::{Data, IntoData, IntoSamples, Number, Samples};
pub use evaluate::{Evaluate, Evaluation};
pub use fit::Fit;
pub use history::History;
pub use progress::Verbose;

use crate::error::{Error, Result};
use crate::models::{Compiled, Sequential};

/// What `compile` gave the model.
fn compiled<'a>(model: &'a Sequential, call: &str) -> Result<&'a Compiled> {
    model.compiled().ok_or_else(|| Error::NotReady(format!("you must call `compile()` before calling `{call}()`")))
}
