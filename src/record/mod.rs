//! What to compute: the open recording, the tape that differentiates it, the function that traces and replays it.

mod function;
pub mod op;
pub(crate) mod recording;
mod tape;
mod trace;

pub use function::{Function, TraceReport};
pub(crate) use function::{traced_assign, traced_value};
pub use op::{GradCx, Op};
pub use recording::{Scope, record, record_on, record_one};
pub(crate) use tape::note_read;
pub use tape::{GradientTape, Gradients, Source};
