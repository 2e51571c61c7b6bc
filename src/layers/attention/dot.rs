//! Attention without projections.

use super::super::{Base, Build, Call, Layer, WeightOptions};
use super::{Inputs, Options, attention_options};
use crate::error::{Error, Result};
use crate::initializers::{GlorotUniform, Ones};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// How [`Attention`] compares a query with a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ScoreMode {
    /// `q · k`.
    #[default]
    Dot,
    /// `w · Σ tanh(q + k)`, with one trained `w`.
    Concat,
}

/// Attention by products: `weights = softmax(scale · q · kᵀ)`, `y = weights · v`. (Luong et al. 2015.)
///
/// Inputs, in this order: query `[n, queries, features]`, value `[n, values, features']`, perhaps key `[n, values, features]` (default: the
/// value), and with [`attention_mask`](Self::attention_mask) a mask. Output `[n, queries, features']`; with
/// [`return_attention_scores`](Self::return_attention_scores) also the weights `[n, queries, values]`. Defaults: dot products without a scale
/// (not even `1 / √features`), no dropout.
#[derive(Clone)]
pub struct Attention {
    base: Base,
    use_scale: bool,
    score_mode: ScoreMode,
    options: Options,
}

/// Attention by sums: `weights = softmax(Σ scale · tanh(q + k))`, `y = weights · v`. (Bahdanau et al. 2014.)
///
/// Inputs and outputs as those of [`Attention`]. Default: a trained `scale` `[features]`, Glorot uniform.
#[derive(Clone)]
pub struct AdditiveAttention {
    base: Base,
    use_scale: bool,
    options: Options,
}

impl Default for Attention {
    fn default() -> Attention {
        Attention::new()
    }
}

impl Default for AdditiveAttention {
    fn default() -> AdditiveAttention {
        AdditiveAttention::new()
    }
}

impl Attention {
    /// With dot products.
    pub fn new() -> Attention {
        Attention { base: Base::new("Attention"), use_scale: false, score_mode: ScoreMode::Dot, options: Options::default() }
    }

    /// Whether scores are multiplied by a trained number that starts as 1. Default: no.
    #[must_use]
    pub fn use_scale(mut self, use_scale: bool) -> Attention {
        self.use_scale = use_scale;
        self
    }

    /// How a query is compared with a key. Default: [`ScoreMode::Dot`].
    #[must_use]
    pub fn score_mode(mut self, mode: ScoreMode) -> Attention {
        self.score_mode = mode;
        self
    }

    attention_options!();

    fn scores(&self, query: &Tensor, key: &Tensor) -> Result<Tensor> {
        let scale = self.base.value_if(self.use_scale, "scale")?;
        let scaled = |x: Tensor| scale.as_ref().map_or(Ok(x.clone()), |scale| x.mul(scale));
        match self.score_mode {
            ScoreMode::Dot => scaled(query.matmul_with(key, false, true)?),
            ScoreMode::Concat => {
                let sums = scaled(pairs(query, key)?)?.tanh()?.sum(&[-1], false)?;
                sums.mul(&self.base.value("concat_score_weight")?)
            }
        }
    }
}

impl AdditiveAttention {
    /// With a scale.
    pub fn new() -> AdditiveAttention {
        AdditiveAttention { base: Base::new("AdditiveAttention"), use_scale: true, options: Options::default() }
    }

    /// Whether the features are multiplied by trained numbers before they are summed. Default: yes.
    #[must_use]
    pub fn use_scale(mut self, use_scale: bool) -> AdditiveAttention {
        self.use_scale = use_scale;
        self
    }

    attention_options!();

    fn scores(&self, query: &Tensor, key: &Tensor) -> Result<Tensor> {
        let bent = pairs(query, key)?.tanh()?;
        match self.base.value_if(self.use_scale, "scale")? {
            Some(scale) => bent.mul(&scale)?.sum(&[-1], false),
            None => bent.sum(&[-1], false),
        }
    }
}

impl Layer for Attention {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build_all(&self, inputs: &[Shape], cx: &Build) -> Result<()> {
        build(&self.base, &self.options, inputs, cx)?;
        if self.use_scale {
            cx.weight(&self.base, "scale", [], &WeightOptions::new(Ones))?;
        }
        if self.score_mode == ScoreMode::Concat {
            cx.weight(&self.base, "concat_score_weight", [], &WeightOptions::new(Ones))?;
        }
        Ok(())
    }

    fn call_all(&self, xs: &[Tensor], cx: &Call) -> Result<Vec<Tensor>> {
        let inputs = self.options.inputs(&self.base, xs)?;
        attend(&self.base, &self.options, &inputs, &self.scores(inputs.query, inputs.key)?, cx)
    }
}

impl Layer for AdditiveAttention {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build_all(&self, inputs: &[Shape], cx: &Build) -> Result<()> {
        let features = build(&self.base, &self.options, inputs, cx)?;
        if self.use_scale { cx.weight(&self.base, "scale", [features], &WeightOptions::new(GlorotUniform)) } else { Ok(()) }
    }

    fn call_all(&self, xs: &[Tensor], cx: &Call) -> Result<Vec<Tensor>> {
        let inputs = self.options.inputs(&self.base, xs)?;
        attend(&self.base, &self.options, &inputs, &self.scores(inputs.query, inputs.key)?, cx)
    }
}

/// Checks the inputs. Returns the length of queries and keys.
fn build(base: &Base, options: &Options, inputs: &[Shape], cx: &Build) -> Result<usize> {
    let [query, _, key] = options.build(base, &options.inputs(base, inputs)?, cx)?;
    if query != key {
        return Err(Error::shape(base.title(), format!("keys as long as queries, {query}"), key));
    }
    Ok(query)
}

/// `query + key` for every pair: `[n, queries, values, features]`.
fn pairs(query: &Tensor, key: &Tensor) -> Result<Tensor> {
    query.expand_dims(2)?.add(&key.expand_dims(1)?)
}

fn attend(base: &Base, options: &Options, inputs: &Inputs<Tensor>, scores: &Tensor, cx: &Call) -> Result<Vec<Tensor>> {
    let weights = options.weights(scores, inputs.mask, false)?;
    // Unlike a layer with heads, Keras returns these weights as they are after dropout.
    let weights = options.dropped(base, &weights, cx)?;
    Ok(options.outputs(weights.matmul(inputs.value)?, weights))
}
