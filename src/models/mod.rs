//! Models: layers put together, with what is needed to train them.

mod compile;
mod graph;
mod into;
mod model;
mod naming;
mod order;
mod parts;
mod policy;
mod sequential;
mod stack;
mod subclass;
mod summary;
mod symbol;

pub use compile::{Compile, Compiled, GivenLoss, GivenMetric, OutputLoss, OutputMetric, TrainStep};
pub use into::{IntoLoss, IntoLosses, IntoMetric, IntoMetrics, IntoOptimizer};
pub use model::Model;
pub use parts::IntoLayer;
pub use sequential::Sequential;
pub use subclass::{Subclass, Subclassed};
pub use symbol::{Input, IntoSymbols, Symbol};

pub(crate) use naming::snake_case;

pub(crate) use summary::memory;
