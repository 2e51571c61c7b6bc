//! Ends a training whose loss is no number.

use super::Callback;

/// Ends the training when a loss is NaN or infinite, and lets `fit` return the history so far, with NaN as the epoch's loss; a line on standard
/// error says where the number came from. Without this callback it is an error which says the same. Either way the weights are those before
/// the bad step.
#[derive(Clone, Copy, Debug, Default)]
pub struct TerminateOnNaN {
    raise_error: bool,
}

impl TerminateOnNaN {
    /// Ends the training without an error.
    pub fn new() -> TerminateOnNaN {
        TerminateOnNaN::default()
    }

    /// Whether it is an error, as without this callback. Default: no.
    #[must_use]
    pub fn raise_error(mut self, raise_error: bool) -> TerminateOnNaN {
        self.raise_error = raise_error;
        self
    }
}

impl Callback for TerminateOnNaN {
    fn forgives_nan(&self) -> bool {
        !self.raise_error
    }
}
