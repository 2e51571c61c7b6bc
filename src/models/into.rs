//! What `compile` takes for an optimizer, a loss or a metric: a value, or Keras's name of one.

use super::compile::{GivenLoss, GivenMetric};
use crate::error::Result;
use crate::losses::{self, Loss};
use crate::metrics::{self, Metric};
use crate::optimizers::{self, Optimizer};

/// An optimizer, or the name of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no optimizer",
    note = "give a value such as `Adam::new(0.001)`, or a name: `\"adam\"`"
)]
pub trait IntoOptimizer {
    /// The optimizer.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) for a name that names none.
    fn into_optimizer(self) -> Result<Box<dyn Optimizer>>;
}

impl<O: Optimizer + 'static> IntoOptimizer for O {
    fn into_optimizer(self) -> Result<Box<dyn Optimizer>> {
        Ok(Box::new(self))
    }
}

impl IntoOptimizer for &str {
    fn into_optimizer(self) -> Result<Box<dyn Optimizer>> {
        optimizers::from_name(self)
    }
}

/// A loss or the name of one.
pub trait IntoLoss {
    /// The loss.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) for a name that names none.
    fn into_loss(self) -> Result<Box<dyn Loss>>;
}

impl<L: Loss + 'static> IntoLoss for L {
    fn into_loss(self) -> Result<Box<dyn Loss>> {
        Ok(Box::new(self))
    }
}

impl IntoLoss for &str {
    fn into_loss(self) -> Result<Box<dyn Loss>> {
        losses::from_name(self)
    }
}

/// The losses of a model's outputs: one, several in the outputs' order, or pairs of an output's name and a loss.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no loss, and no list of losses",
    note = "give a loss or its name, for several outputs an array of them, or one of pairs: `[(\"output\", \"mse\")]`",
    note = "all elements of an array have one type: names, or losses of one type, or `Box<dyn Loss>`"
)]
pub trait IntoLosses {
    /// The losses, each with the name of its output if it was given.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) for a name that names none.
    fn into_losses(self) -> Result<Vec<GivenLoss>>;
}

impl<L: IntoLoss> IntoLosses for L {
    fn into_losses(self) -> Result<Vec<GivenLoss>> {
        Ok(vec![(None, self.into_loss()?)])
    }
}

impl<L: IntoLoss, const N: usize> IntoLosses for [L; N] {
    fn into_losses(self) -> Result<Vec<GivenLoss>> {
        self.into_iter().map(|loss| Ok((None, loss.into_loss()?))).collect()
    }
}

impl<L: IntoLoss> IntoLosses for Vec<L> {
    fn into_losses(self) -> Result<Vec<GivenLoss>> {
        self.into_iter().map(|loss| Ok((None, loss.into_loss()?))).collect()
    }
}

impl<L: IntoLoss, const N: usize> IntoLosses for [(&str, L); N] {
    fn into_losses(self) -> Result<Vec<GivenLoss>> {
        self.into_iter().map(|(output, loss)| Ok((Some(output.to_string()), loss.into_loss()?))).collect()
    }
}

/// A metric or the name of one, for every output or, in a pair with its name, for one.
pub trait IntoMetric {
    /// The metric, with the name of its output if it was given.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) for a name that names none.
    fn into_metric(self) -> Result<GivenMetric>;
}

impl<M: Metric + 'static> IntoMetric for M {
    fn into_metric(self) -> Result<GivenMetric> {
        Ok((None, Box::new(self)))
    }
}

impl IntoMetric for &str {
    fn into_metric(self) -> Result<GivenMetric> {
        Ok((None, metrics::from_name(self)?))
    }
}

impl<M: IntoMetric> IntoMetric for (&str, M) {
    fn into_metric(self) -> Result<GivenMetric> {
        Ok((Some(self.0.to_string()), self.1.into_metric()?.1))
    }
}

/// The metrics of a model: an array or vector of metrics, of their names, or of pairs with an output's name; `()` for none.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no list of metrics",
    note = "give an array, also of a single one: `[\"accuracy\"]`; for none, `()`",
    note = "all elements of an array have one type: names, or metrics of one type, or `Box<dyn Metric>`"
)]
pub trait IntoMetrics {
    /// The metrics.
    fn into_metrics(self) -> Vec<Result<GivenMetric>>;
}

impl<M: IntoMetric, const N: usize> IntoMetrics for [M; N] {
    fn into_metrics(self) -> Vec<Result<GivenMetric>> {
        self.into_iter().map(IntoMetric::into_metric).collect()
    }
}

impl<M: IntoMetric> IntoMetrics for Vec<M> {
    fn into_metrics(self) -> Vec<Result<GivenMetric>> {
        self.into_iter().map(IntoMetric::into_metric).collect()
    }
}

impl IntoMetrics for () {
    fn into_metrics(self) -> Vec<Result<GivenMetric>> {
        Vec::new()
    }
}
