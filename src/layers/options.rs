//! What can be said of a weight before it is made.

use crate::constraints::ConstraintArg;
use crate::error::Result;
use crate::initializers::InitializerArg;
use crate::regularizers::RegularizerArg;

/// What a weight starts as, what its size costs, and where it is kept.
#[derive(Clone, Debug)]
pub struct WeightOptions {
    pub(crate) initializer: InitializerArg,
    pub(crate) regularizer: RegularizerArg,
    pub(crate) constraint: ConstraintArg,
}

impl WeightOptions {
    /// A weight that starts so, without regularizer and constraint.
    pub fn new(initializer: impl Into<InitializerArg>) -> WeightOptions {
        WeightOptions { initializer: initializer.into(), regularizer: RegularizerArg::default(), constraint: ConstraintArg::default() }
    }

    /// That every name names something.
    pub(super) fn check(&self) -> Result<()> {
        self.initializer.get()?;
        self.regularizer.get()?;
        self.constraint.get().map(|_| ())
    }
}
