//! What `compile` gives a model.

use crate::error::{Error, Result};
use crate::losses::Loss;
use crate::metrics::Metric;
use crate::models::Sequential;
use crate::optimizers::Optimizer;

/// The optimizer, loss and metrics of a model.
pub struct Compiled {
    /// Changes the weights.
    pub optimizer: Box<dyn Optimizer>,
    /// Is minimised.
    pub loss: Box<dyn Loss>,
    /// Are reported, in this order.
    pub metrics: Vec<Box<dyn Metric>>,
}

impl Sequential {
    /// Says how the model is trained. A model that was compiled before forgets its former optimizer, and keeps its weights.
    ///
    /// # Errors
    /// [`Error::Argument`] if two metrics have one name; if the input shape is known, whatever [`Sequential::build`] returns.
    pub fn compile<O, L, M>(&mut self, optimizer: O, loss: L, metrics: impl IntoIterator<Item = M>) -> Result<()>
    where
        O: Optimizer + 'static,
        L: Loss + 'static,
        M: Metric + 'static,
    {
        let metrics: Vec<Box<dyn Metric>> = metrics.into_iter().map(|metric| Box::new(metric) as Box<dyn Metric>).collect();
        for (i, metric) in metrics.iter().enumerate() {
            if metric.name() == "loss" || metrics[..i].iter().any(|other| other.name() == metric.name()) {
                return Err(Error::argument(
                    "compile: metrics",
                    "a name of its own for each (see `named`)",
                    format!("{:?} twice", metric.name()),
                ));
            }
        }
        if let Some(input) = self.input_shape().cloned() {
            self.build(input)?;
        }
        self.set_compiled(Compiled { optimizer: Box::new(optimizer), loss: Box::new(loss), metrics });
        Ok(())
    }
}
