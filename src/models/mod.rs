//! Models: layers put together, with what is needed to train them.

mod compiled;
mod sequential;
mod summary;

pub use compiled::Compiled;
pub use sequential::Sequential;
