//! What `compile` gives a model.

use super::Model;
use super::into::{IntoLosses, IntoMetrics, IntoOptimizer};
use crate::error::{Error, Result};
use crate::losses::Loss;
use crate::metrics::Metric;
use crate::optimizers::{LossScaleOptimizer, Optimizer};
use crate::suggest;
use crate::train::{Step, Totals};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The optimizer, losses and metrics of a model.
pub struct Compiled {
    /// Changes the weights; locked, so that callbacks can change it while a model trains.
    optimizer: RwLock<Box<dyn Optimizer>>,
    /// What is minimised: the weighted sum of these.
    pub losses: Vec<OutputLoss>,
    /// What is reported, in this order.
    pub metrics: Vec<OutputMetric>,
    /// Whether steps run operation by operation instead of being traced.
    pub run_eagerly: bool,
    /// Whether a training step keeps few values for the gradient and computes the others again.
    pub remat: bool,
    /// The training step, if it is not the usual one.
    pub train_step: Option<TrainStep>,
    /// What `train_on_batch` (true) and `test_on_batch` (false) have added up, and over how many batches.
    pub(crate) on_batch: Mutex<HashMap<bool, (Arc<Totals>, usize)>>,
    /// How many outputs the losses and metrics are for.
    outputs: usize,
    /// The loss of every output, if one was given for all.
    for_all: Option<Arc<dyn Loss>>,
    /// The factors that were given.
    loss_weights: Option<Vec<f64>>,
}

/// A training step of the user's own: see [`Step`].
pub type TrainStep = Box<dyn Fn(&Step) -> Result<()> + Send + Sync>;

impl Compiled {
    /// The optimizer, to be asked.
    pub fn optimizer(&self) -> RwLockReadGuard<'_, Box<dyn Optimizer>> {
        self.optimizer.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The optimizer, to be changed.
    pub fn optimizer_mut(&self) -> RwLockWriteGuard<'_, Box<dyn Optimizer>> {
        self.optimizer.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fits a model of the user's own that was compiled before it was built and is now known to have these outputs.
    pub(super) fn settle(&mut self, outputs: &[String]) -> Result<()> {
        if outputs.len() == self.outputs {
            return Ok(());
        }
        if let Some(metric) = self.metrics.first() {
            return Err(no_output(metric.metric.as_ref(), outputs));
        }
        let loss = self.for_all.clone().ok_or_else(|| not_for_each(self.losses.len(), outputs))?;
        self.losses = place_losses(vec![(None, loss)], self.loss_weights.as_deref(), outputs)?;
        self.outputs = outputs.len();
        Ok(())
    }
}

/// The loss of one output.
pub struct OutputLoss {
    /// The number of the output.
    pub output: usize,
    /// The loss; outputs may share one.
    pub loss: Arc<dyn Loss>,
    /// Its factor in the sum.
    pub weight: f64,
}

/// A metric of one output.
pub struct OutputMetric {
    /// The number of the output.
    pub output: usize,
    /// The name in logs.
    pub name: String,
    /// The metric.
    pub metric: Box<dyn Metric>,
    /// Whether it goes by sample weights.
    pub weighted: bool,
}

/// How a model is to be trained: for [`Model::compile_with`]. [`Model::compile`] is the short form.
///
/// ```
/// use gradus::prelude::*;
/// let compile = Compile::new("adam", [("digit", "sparse_categorical_crossentropy"), ("thickness", "mse")])
///     .metrics([("digit", "accuracy")])
///     .loss_weights([1.0, 0.5]);
/// ```
pub struct Compile {
    optimizer: Result<Box<dyn Optimizer>>,
    losses: Result<Vec<GivenLoss>>,
    metrics: Vec<Result<Given>>,
    loss_weights: Option<Vec<f64>>,
    run_eagerly: bool,
    remat: bool,
    auto_scale_loss: bool,
    train_step: Option<TrainStep>,
}

/// A loss, with the name of its output if it was given.
pub type GivenLoss = (Option<String>, Box<dyn Loss>);

/// A metric, with the name of its output if it was given.
pub type GivenMetric = (Option<String>, Box<dyn Metric>);

/// A metric, and whether it goes by sample weights.
type Given = (Option<String>, Box<dyn Metric>, bool);

impl Compile {
    /// An optimizer, and a loss for every output: one for all, one each in their order, or by the outputs' names. Outputs that are not named
    /// are not trained. All can be given by Keras's names.
    pub fn new(optimizer: impl IntoOptimizer, losses: impl IntoLosses) -> Compile {
        let (optimizer, losses) = (optimizer.into_optimizer(), losses.into_losses());
        Compile {
            optimizer,
            losses,
            metrics: Vec::new(),
            loss_weights: None,
            run_eagerly: false,
            remat: false,
            auto_scale_loss: true,
            train_step: None,
        }
    }

    /// Numbers to report: of the only output, or, each in a pair with an output's name, of one of several. They ignore sample weights.
    #[must_use]
    pub fn metrics(self, metrics: impl IntoMetrics) -> Compile {
        self.with_metrics(metrics, false)
    }

    /// The same, going by sample weights.
    #[must_use]
    pub fn weighted_metrics(self, metrics: impl IntoMetrics) -> Compile {
        self.with_metrics(metrics, true)
    }

    fn with_metrics(mut self, metrics: impl IntoMetrics, weighted: bool) -> Compile {
        let given = metrics.into_metrics().into_iter().map(|m| m.map(|(output, metric)| (output, metric, weighted)));
        self.metrics.extend(given);
        self
    }

    /// The factor of each loss in their sum, in the losses' order. Default: 1.
    #[must_use]
    pub fn loss_weights(mut self, weights: impl Into<Vec<f64>>) -> Compile {
        self.loss_weights = Some(weights.into());
        self
    }

    /// Whether steps run operation by operation instead of being traced, so that a print in a model's `call` shows values. Default: no.
    #[must_use]
    pub fn run_eagerly(mut self, run_eagerly: bool) -> Compile {
        self.run_eagerly = run_eagerly;
        self
    }

    /// Whether training takes less memory and more time: most values of the forward pass are not kept for the gradient but computed again
    /// (gradient checkpointing, Keras's `RematScope`). The results are the same. What it saves shows in
    /// [`Model::training_memory`]. Default: no.
    #[must_use]
    pub fn remat(mut self, remat: bool) -> Compile {
        self.remat = remat;
        self
    }

    /// Whether a model whose layers compute in f16 gets a [`LossScaleOptimizer`] around its optimizer, unless that is one. Default: yes.
    #[must_use]
    pub fn auto_scale_loss(mut self, auto_scale_loss: bool) -> Compile {
        self.auto_scale_loss = auto_scale_loss;
        self
    }

    /// Takes the place of the usual training step; callbacks, progress and validation stay.
    #[must_use]
    pub fn train_step(mut self, step: impl Fn(&Step) -> Result<()> + Send + Sync + 'static) -> Compile {
        self.train_step = Some(Box::new(step));
        self
    }

    fn resolve(self, outputs: &[String], mixed: bool) -> Result<Compiled> {
        let given: Vec<(Option<String>, Arc<dyn Loss>)> = self.losses?.into_iter().map(|(name, loss)| (name, Arc::from(loss))).collect();
        let for_all = match &given[..] {
            [(None, loss)] => Some(loss.clone()),
            _ => None,
        };
        let loss_weights = self.loss_weights;
        let losses = place_losses(given, loss_weights.as_deref(), outputs)?;
        let metrics = self.metrics.into_iter().collect::<Result<Vec<_>>>()?;
        let metrics = place_metrics(metrics, outputs)?;
        let optimizer = self.optimizer?;
        let scales = mixed && self.auto_scale_loss && optimizer.name() != LossScaleOptimizer::NAME;
        let optimizer = RwLock::new(if scales { Box::new(LossScaleOptimizer::around(optimizer)) } else { optimizer });
        let (run_eagerly, remat, train_step) = (self.run_eagerly, self.remat, self.train_step);
        let (on_batch, outputs) = (Mutex::default(), outputs.len());
        Ok(Compiled { optimizer, losses, metrics, run_eagerly, remat, train_step, on_batch, outputs, for_all, loss_weights })
    }
}

impl Model {
    /// Says how the model is trained. A model that was compiled before forgets its former optimizer, and keeps its weights.
    ///
    /// # Errors
    /// [`Error::Argument`] for a name that names nothing, with the nearest; for two metrics of one name; if the input shape is known, whatever
    /// [`Model::build`] returns.
    pub fn compile(&mut self, optimizer: impl IntoOptimizer, losses: impl IntoLosses, metrics: impl IntoMetrics) -> Result<()> {
        self.compile_with(Compile::new(optimizer, losses).metrics(metrics))
    }

    /// [`Model::compile`] with everything that can be said.
    ///
    /// # Errors
    /// As [`Model::compile`]; [`Error::Argument`] for an output that the model does not have.
    pub fn compile_with(&mut self, compile: Compile) -> Result<()> {
        if let Some(inputs) = self.inputs.clone() {
            self.build_for(|| inputs)?;
        }
        // A model of the user's own does not know its outputs before it is built; as many losses, as many outputs.
        let names = match (&compile.losses, self.built(), &self.graph) {
            (Ok(losses), None, None) if losses.len() > 1 => (0..losses.len()).map(|i| format!("output_{i}")).collect(),
            _ => self.output_names(),
        };
        self.compiled = Some(compile.resolve(&names, self.is_mixed()?)?);
        Ok(())
    }

    /// Fits what `compile` gave to the outputs, now that they are known; what does not fit must not train one of them.
    pub(super) fn settle(&mut self) -> Result<()> {
        let outputs = self.output_names();
        let settled = self.compiled.as_mut().map_or(Ok(()), |compiled| compiled.settle(&outputs));
        settled.inspect_err(|_| self.compiled = None)
    }
}

fn place_losses(mut given: Vec<(Option<String>, Arc<dyn Loss>)>, weights: Option<&[f64]>, outputs: &[String]) -> Result<Vec<OutputLoss>> {
    if let [(None, loss)] = &given[..] {
        given = outputs.iter().map(|_| (None, loss.clone())).collect();
    }
    let count = given.len();
    if count != outputs.len() && given.iter().any(|(name, _)| name.is_none()) {
        return Err(not_for_each(count, outputs));
    }
    if let Some(weights) = weights.filter(|w| w.len() != count) {
        return Err(Error::argument("compile: loss_weights", format!("one for each of {count} losses"), weights.len()));
    }
    let mut placed: Vec<OutputLoss> = Vec::with_capacity(count);
    for (i, (name, loss)) in given.into_iter().enumerate() {
        let output = name.map_or(Ok(i), |name| find_output("compile: losses", &name, outputs))?;
        if placed.iter().any(|other| other.output == output) {
            return Err(Error::argument("compile: losses", "one for each output", format!("two for {:?}", outputs[output])));
        }
        placed.push(OutputLoss { output, loss, weight: weights.map_or(1.0, |w| w[i]) });
    }
    placed.sort_by_key(|loss| loss.output);
    Ok(placed)
}

fn place_metrics(given: Vec<Given>, outputs: &[String]) -> Result<Vec<OutputMetric>> {
    let mut placed: Vec<OutputMetric> = Vec::new();
    for (output, metric, weighted) in given {
        let output = match &output {
            Some(name) => find_output("compile: metrics", name, outputs)?,
            None if outputs.len() == 1 => 0,
            None => return Err(no_output(metric.as_ref(), outputs)),
        };
        let own = metric.name();
        let name = if outputs.len() == 1 { own.to_string() } else { format!("{}_{own}", outputs[output]) };
        if name == "loss" || placed.iter().any(|other| other.name == name) {
            return Err(Error::argument("compile: metrics", "a name of its own for each (see `named`)", format!("{name:?} twice")));
        }
        placed.push(OutputMetric { output, name, metric, weighted });
    }
    Ok(placed)
}

fn not_for_each(losses: usize, outputs: &[String]) -> Error {
    Error::argument("compile: losses", format!("one loss, or one for each of the outputs {}", outputs.join(", ")), losses)
}

fn no_output(metric: &dyn Metric, outputs: &[String]) -> Error {
    let want = format!("an output to each metric, as in (\"{}\", \"{}\")", outputs[0], metric.name());
    Error::argument("compile: metrics", want, format!("{:?} without one", metric.name()))
}

fn find_output(what: &str, name: &str, outputs: &[String]) -> Result<usize> {
    let near = || suggest::did_you_mean(name, outputs);
    let missing = || Error::argument(what, format!("one of the outputs {}", outputs.join(", ")), format!("{name:?}{}", near()));
    outputs.iter().position(|output| output == name).ok_or_else(missing)
}
