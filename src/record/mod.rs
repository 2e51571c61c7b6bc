//! What to compute: the open recording, the tape that differentiates it, the function that traces and replays it.

pub(crate) mod draw;
mod frame;
mod function;
pub mod op;
pub(crate) mod recording;
mod report;
mod tape;
mod trace;
mod traced;

pub use draw::draw;
pub(crate) use frame::{dry_run, outside_traces, stand_in, traced_assign, traced_value};
pub use function::Function;
pub use op::{GradCx, Op};
pub use recording::{Scope, record, record_on, record_one};
pub use report::TraceReport;
pub use tape::{GradientOptions, GradientTape, Gradients, Source, Unconnected, custom_gradient};
pub(crate) use tape::{is_followed, note_assign, note_host_read, note_read};
