//! Attention: a mean of values, weighted by how well a query meets each value's key.

mod dot;
mod multi_head;

pub use dot::{AdditiveAttention, Attention, ScoreMode};
pub use multi_head::MultiHeadAttention;

use super::regularization::{check_rate, drop};
use super::{Base, Build, Call};
use crate::error::{Error, Result};
use crate::ops::pointwise::map1;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// What all attention layers can be asked for.
#[derive(Clone, Default)]
struct Options {
    dropout: f64,
    causal: bool,
    masked: bool,
    returns_scores: bool,
}

/// The parts of the inputs, in Keras's order: query, value, and where they are there key and mask.
struct Inputs<'a, T> {
    query: &'a T,
    value: &'a T,
    key: &'a T,
    mask: Option<&'a T>,
}

impl Options {
    fn inputs<'a, T>(&self, base: &Base, all: &'a [T]) -> Result<Inputs<'a, T>> {
        let (mask, rest) = match all {
            [rest @ .., mask] if self.masked => (Some(mask), rest),
            rest => (None, rest),
        };
        match rest {
            [query, value] => Ok(Inputs { query, value, key: value, mask }),
            [query, value, key] => Ok(Inputs { query, value, key, mask }),
            _ => {
                let last = if self.masked { ", and the mask last" } else { "" };
                let want = format!("query and value (the same tensor twice, to attend to itself), perhaps key{last}");
                Err(Error::argument(format!("{}: inputs", base.title()), want, all.len()))
            }
        }
    }

    /// Checks the samples, and asks for random numbers where they will be needed. Returns the lengths of query, value and key vectors.
    fn build(&self, base: &Base, inputs: &Inputs<Shape>, cx: &Build) -> Result<[usize; 3]> {
        check_rate(base, "dropout", self.dropout)?;
        let sequence = |what: &str, shape: &Shape| {
            let wrong = || Error::shape(base.title(), format!("a {what} of shape [steps, features]"), format!("{shape} per sample"));
            <[usize; 2]>::try_from(&shape[..]).map_err(|_| wrong())
        };
        let [queries, query] = sequence("query", inputs.query)?;
        let [values, value] = sequence("value", inputs.value)?;
        let [keys, key] = sequence("key", inputs.key)?;
        if keys != values {
            return Err(Error::shape(base.title(), format!("as many keys as values, {values}"), keys));
        }
        if let Some(mask) = inputs.mask {
            let fits = matches!(mask[..], [q, v] if [q, v] == [queries, values] || [q, v] == [1, values]);
            if !fits {
                let want = format!("a mask of shape [{queries}, {values}], a row for each query");
                return Err(Error::shape(base.title(), want, format!("{mask} per sample")));
            }
        }
        if self.dropout > 0.0 {
            cx.seeds(base)?;
        }
        Ok([query, value, key])
    }

    /// `[…, queries, values]` scores as weights that sum to 1 over the values which `mask` and causality let be seen. A query that sees none
    /// weighs all alike, or none where `nothing_weighs_nothing`.
    fn weights(&self, scores: &Tensor, mask: Option<&Tensor>, nothing_weighs_nothing: bool) -> Result<Tensor> {
        let Some(seen) = self.seen(scores, mask)? else { return scores.softmax() };
        let weights = map1(&[&seen, scores], |e| e[0].select(&e[1], &e[1].number(UNSEEN)))?.softmax()?;
        if nothing_weighs_nothing { map1(&[&seen, &weights], |e| e[0].select(&e[1], &e[1].number(0.0))) } else { Ok(weights) }
    }

    /// `u32` 1 where a query (the last axis but one) sees a value (the last axis), in a shape that broadcasts to that of `scores`.
    fn seen(&self, scores: &Tensor, mask: Option<&Tensor>) -> Result<Option<Tensor>> {
        let mask = match mask {
            Some(mask) => {
                let extra = vec![1; scores.rank().saturating_sub(mask.rank())];
                let aligned = mask.reshape([&mask.shape()[..1], &extra, &mask.shape()[1..]].concat())?;
                Some(map1(&[&aligned], |e| e[0].ne(&e[0].number(0.0)))?)
            }
            None => None,
        };
        if !self.causal {
            return Ok(mask);
        }
        let [.., queries, values] = scores.shape()[..] else { return Ok(mask) };
        let cells = (0..queries).flat_map(|query| (0..values).map(move |value| u32::from(value <= query)));
        let earlier = Tensor::new(scores.device(), [queries, values], &cells.collect::<Vec<_>>())?;
        let both = |mask: Tensor| map1(&[&mask, &earlier], |e| e[0].select(&e[1], &e[1].number(0.0)));
        mask.map_or(Ok(earlier.clone()), both).map(Some)
    }

    /// The weights with some dropped, in training.
    fn dropped(&self, base: &Base, weights: &Tensor, cx: &Call) -> Result<Tensor> {
        drop(base, weights, self.dropout, weights.shape(), cx)
    }

    fn outputs(&self, y: Tensor, weights: Tensor) -> Vec<Tensor> {
        if self.returns_scores { vec![y, weights] } else { vec![y] }
    }
}

/// The score of what must not be seen. Its exponential is 0 beside any other score.
const UNSEEN: f64 = -1e9;

/// The builder methods of layers with a field `options`.
macro_rules! attention_options {
    () => {
        /// The probability that the weight of a query for a value is dropped in training. Default: 0.
        #[must_use]
        pub fn dropout(mut self, rate: f64) -> Self {
            self.options.dropout = rate;
            self
        }

        /// Whether a query sees only the values up to its own place. Default: no.
        #[must_use]
        pub fn use_causal_mask(mut self, causal: bool) -> Self {
            self.options.causal = causal;
            self
        }

        /// Whether the last input is a mask `[n, queries, values]`, which is not 0 where a query may see a value; `[n, 1, values]` holds for all
        /// queries. Default: no.
        #[must_use]
        pub fn attention_mask(mut self, masked: bool) -> Self {
            self.options.masked = masked;
            self
        }

        /// Whether the weights are a second output. Default: no.
        #[must_use]
        pub fn return_attention_scores(mut self, returned: bool) -> Self {
            self.options.returns_scores = returned;
            self
        }

        crate::layers::named!();
    };
}
use attention_options;

#[cfg(test)]
mod tests;
