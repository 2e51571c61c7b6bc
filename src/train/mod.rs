//! Training: `fit`, `evaluate` and `predict`. A whole step — fetching the batch, forward, loss, backward, optimizer, metrics — is one
//! [`Function`](crate::Function) that is replayed; the host only says "once more".

mod advice;
mod batches;
mod callbacks;
mod data;
mod diagnose;
mod evaluate;
mod feed;
mod fit;
mod history;
mod memory;
mod on_batch;
mod predict;
mod prepare;
mod progress;
mod ring;
mod run;
mod step;
mod text;
mod totals;

pub use batches::{Batches, MiniBatch};
pub use callbacks::{CSVLogger, Callback, EarlyStopping, LambdaCallback, Logs, TerminateOnNaN, Training, log};
#[cfg(not(target_arch = "wasm32"))]
pub use callbacks::{LearningRateScheduler, ModelCheckpoint, ReduceLROnPlateau, SaveFreq};
pub use data::{Data, IntoColumns, IntoData, IntoSamples, Number, Samples};
pub use evaluate::{Evaluate, Evaluation};
pub use fit::Fit;
pub use history::History;
pub use progress::Verbose;
pub use step::Step;

pub(crate) use feed::on_host;
pub(crate) use totals::Totals;
