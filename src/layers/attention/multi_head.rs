//! Attention with several heads.

use super::super::{Base, Build, Call, Layer, WeightOptions, dense, weight_options};
use super::{Options, attention_options};
use crate::error::{Error, Result};
use crate::initializers::{GlorotUniform, Zeros};
use crate::ops::pointwise::{Expr, map1};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Attention by several heads, each with projections of its own: `weights = softmax(q · kᵀ / √key_dim)`, `y = concat(weights · v) · output`,
/// where `q`, `k` and `v` are linear in query, key and value.
///
/// Inputs, in this order: query `[n, queries, features]`, value `[n, values, features']`, perhaps key `[n, values, features'']` (default: the
/// value), and with [`attention_mask`](Self::attention_mask) a mask. Output `[n, queries, features]`; with
/// [`return_attention_scores`](Self::return_attention_scores) also the weights `[n, heads, queries, values]`, before dropout. Kernels
/// `[features, heads, key_dim]` and `[heads, value_dim, features]`, biases `[heads, key_dim]` and `[features]`, in the order query, key, value,
/// attention_output. Defaults: `value_dim` is `key_dim`, outputs as long as queries, biases, no dropout, kernels Glorot uniform, biases zeros.
/// (Vaswani et al. 2017.)
///
/// ```
/// use gradus::prelude::*;
/// let x = Input::new([10, 16]);
/// let y = MultiHeadAttention::new(4, 8).use_causal_mask(true).on([&x, &x])?;
/// assert_eq!(y.shape()[..], [10, 16]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone)]
pub struct MultiHeadAttention {
    base: Base,
    heads: usize,
    key_dim: usize,
    value_dim: Option<usize>,
    output_dim: Option<usize>,
    use_bias: bool,
    options: Options,
    kernel: WeightOptions,
    bias: WeightOptions,
}

impl MultiHeadAttention {
    /// So many heads, with queries and keys of this length.
    pub fn new(num_heads: usize, key_dim: usize) -> MultiHeadAttention {
        MultiHeadAttention {
            base: Base::new("MultiHeadAttention"),
            heads: num_heads,
            key_dim,
            value_dim: None,
            output_dim: None,
            use_bias: true,
            options: Options::default(),
            kernel: WeightOptions::new(GlorotUniform),
            bias: WeightOptions::new(Zeros),
        }
    }

    /// The length of each head's values. Default: `key_dim`.
    #[must_use]
    pub fn value_dim(mut self, value_dim: usize) -> MultiHeadAttention {
        self.value_dim = Some(value_dim);
        self
    }

    /// The length of the outputs. Default: that of the queries.
    #[must_use]
    pub fn output_shape(mut self, length: usize) -> MultiHeadAttention {
        self.output_dim = Some(length);
        self
    }

    /// Whether the four projections have biases. Default: yes.
    #[must_use]
    pub fn use_bias(mut self, use_bias: bool) -> MultiHeadAttention {
        self.use_bias = use_bias;
        self
    }

    weight_options!(kernel, kernel_initializer, kernel_regularizer, kernel_constraint);
    weight_options!(bias, bias_initializer, bias_regularizer, bias_constraint);
    attention_options!();

    /// A kernel from the axes `from` to the axes `to`, which starts as the matrix that it is would, and its bias.
    fn weights(&self, [kernel, bias]: [&'static str; 2], from: &[usize], to: &[usize], cx: &Build) -> Result<()> {
        let matrix = [from.iter().product::<usize>(), to.iter().product()];
        cx.weight_like(&self.base, kernel, [from, to].concat(), matrix, &self.kernel)?;
        if self.use_bias { cx.weight(&self.base, bias, to, &self.bias) } else { Ok(()) }
    }

    /// `(x · kernel + bias) · scale` over the last axis.
    fn project(&self, x: &Tensor, [kernel, bias]: [&str; 2], scale: f64) -> Result<Tensor> {
        let kernel = self.base.value(kernel)?;
        let inputs = x.shape().last().copied().unwrap_or(1);
        if inputs == 0 || !kernel.shape().elements().is_multiple_of(inputs) {
            return Err(Error::shape(self.base.title(), format!("vectors for a kernel {}", kernel.shape()), x.shape()));
        }
        let y = dense::times(x, &kernel.reshape([inputs, kernel.shape().elements() / inputs])?)?;
        let scaled = |e: Expr| if scale == 1.0 { e } else { e * scale };
        match self.base.value_if(self.use_bias, bias)? {
            Some(bias) => map1(&[&y, &bias.reshape([bias.shape().elements()])?], |e| scaled(&e[0] + &e[1])),
            None if scale == 1.0 => Ok(y),
            None => y.mul_scalar(scale),
        }
    }

    /// [`MultiHeadAttention::project`], and the heads apart: `[n, heads, steps, features]`.
    fn heads(&self, x: &Tensor, names: [&str; 2], scale: f64) -> Result<Tensor> {
        let y = self.project(x, names, scale)?;
        let [n, steps, all] = y.shape().dims(&self.base.title())?;
        y.reshape([n, steps, self.heads, all / self.heads])?.transpose(&[0, 2, 1, 3])
    }
}

/// The names of the weights.
const QUERY: [&str; 2] = ["query/kernel", "query/bias"];
const KEY: [&str; 2] = ["key/kernel", "key/bias"];
const VALUE: [&str; 2] = ["value/kernel", "value/bias"];
const OUTPUT: [&str; 2] = ["attention_output/kernel", "attention_output/bias"];

impl Layer for MultiHeadAttention {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build_all(&self, inputs: &[Shape], cx: &Build) -> Result<()> {
        let value_dim = self.value_dim.unwrap_or(self.key_dim);
        let inputs = self.options.inputs(&self.base, inputs)?;
        let [query, value, key] = self.options.build(&self.base, &inputs, cx)?;
        let output = self.output_dim.unwrap_or(query);
        for (option, length) in [("num_heads", self.heads), ("key_dim", self.key_dim), ("value_dim", value_dim), ("output_shape", output)] {
            if length == 0 {
                return Err(Error::argument(format!("{}: {option}", self.base.title()), "at least 1", 0));
            }
        }
        self.weights(QUERY, &[query], &[self.heads, self.key_dim], cx)?;
        self.weights(KEY, &[key], &[self.heads, self.key_dim], cx)?;
        self.weights(VALUE, &[value], &[self.heads, value_dim], cx)?;
        self.weights(OUTPUT, &[self.heads, value_dim], &[output], cx)
    }

    fn call_all(&self, xs: &[Tensor], cx: &Call) -> Result<Vec<Tensor>> {
        let inputs = self.options.inputs(&self.base, xs)?;
        let query = self.heads(inputs.query, QUERY, 1.0 / (self.key_dim as f64).sqrt())?;
        let key = self.heads(inputs.key, KEY, 1.0)?;
        let value = self.heads(inputs.value, VALUE, 1.0)?;
        let scores = query.matmul_with(&key, false, true)?;
        // Keras takes another way when it needs the weights themselves, and a query that sees nothing fares differently there.
        let apart = self.options.returns_scores || self.options.dropout > 0.0;
        let weights = self.options.weights(&scores, inputs.mask, apart)?;
        let y = self.options.dropped(&self.base, &weights, cx)?.matmul(&value)?.transpose(&[0, 2, 1, 3])?;
        let [n, steps, heads, length] = y.shape().dims(&self.base.title())?;
        let y = self.project(&y.reshape([n, steps, heads * length])?, OUTPUT, 1.0)?;
        Ok(self.options.outputs(y, weights))
    }
}
