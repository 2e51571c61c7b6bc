//! Penalties on the size of weights, added to the loss once per batch. Keras's formulas: no half before the squares.

use crate::error::{Error, Result};
use crate::named::Named;
use crate::ops::pointwise::map1;
use crate::suggest;
use crate::tensor::Tensor;
use std::fmt;
use std::sync::Arc;

/// A rule for what a weight costs.
pub trait Regularizer: fmt::Debug + Send + Sync {
    /// The penalty, a tensor without axes.
    ///
    /// # Errors
    /// [`Error::Shape`] for a weight that the rule cannot take.
    fn penalty(&self, weight: &Tensor) -> Result<Tensor>;
}

/// A regularizer, the name of one (`"l2"`), or nothing.
pub type RegularizerArg = Named<dyn Regularizer>;

impl<R: Regularizer + 'static> From<R> for RegularizerArg {
    fn from(regularizer: R) -> RegularizerArg {
        Named::of(Arc::new(regularizer))
    }
}

impl From<&str> for RegularizerArg {
    fn from(name: &str) -> RegularizerArg {
        Named::found(from_name(name))
    }
}

/// `l1 · Σ|w|`. Keras's default factor is 0.01.
#[derive(Clone, Copy, Debug)]
pub struct L1(pub f64);

/// `l2 · Σw²`. Keras's default factor is 0.01.
#[derive(Clone, Copy, Debug)]
pub struct L2(pub f64);

/// `l1 · Σ|w| + l2 · Σw²`. Keras's default factors are 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct L1L2 {
    /// The factor of the absolute values.
    pub l1: f64,
    /// The factor of the squares.
    pub l2: f64,
}

/// Rows (or columns) of a matrix that should stand at right angles: `factor / 2 · Σ|cos| / pairs`, the sum over all ordered pairs of
/// different rows, `pairs` the number of unordered ones.
#[derive(Clone, Copy, Debug)]
pub struct OrthogonalRegularizer {
    /// Default in Keras: 0.01.
    pub factor: f64,
    /// Columns instead of rows.
    pub columns: bool,
}

impl Default for L1 {
    fn default() -> L1 {
        L1(0.01)
    }
}
impl Default for L2 {
    fn default() -> L2 {
        L2(0.01)
    }
}
impl Default for OrthogonalRegularizer {
    fn default() -> OrthogonalRegularizer {
        OrthogonalRegularizer { factor: 0.01, columns: false }
    }
}

impl Regularizer for L1 {
    fn penalty(&self, weight: &Tensor) -> Result<Tensor> {
        L1L2 { l1: self.0, l2: 0.0 }.penalty(weight)
    }
}

impl Regularizer for L2 {
    fn penalty(&self, weight: &Tensor) -> Result<Tensor> {
        L1L2 { l1: 0.0, l2: self.0 }.penalty(weight)
    }
}

impl Regularizer for L1L2 {
    fn penalty(&self, weight: &Tensor) -> Result<Tensor> {
        map1(&[weight], |e| match (self.l1 == 0.0, self.l2 == 0.0) {
            (true, _) => e[0].square() * self.l2,
            (false, true) => e[0].abs() * self.l1,
            (false, false) => e[0].abs() * self.l1 + e[0].square() * self.l2,
        })?
        .sum_all()
    }
}

impl Regularizer for OrthogonalRegularizer {
    fn penalty(&self, weight: &Tensor) -> Result<Tensor> {
        let shape = weight.shape().dims::<2>("OrthogonalRegularizer")?;
        let rows = if self.columns { shape[1] } else { shape[0] };
        if rows < 2 {
            return Err(Error::shape("OrthogonalRegularizer", "at least two rows to compare", weight.shape()));
        }
        let norm = weight.square()?.sum(&[if self.columns { 0 } else { 1 }], true)?;
        // A row of zeros has no direction; any divisor but 0 leaves it one.
        let unit = map1(&[weight, &norm], |e| &e[0] / e[1].max(&e[1].number(1e-24)).sqrt())?;
        let cosines = unit.matmul_with(&unit, self.columns, !self.columns)?.abs()?.sum_all()?;
        let own = unit.square()?.sum_all()?;
        let pairs = (rows * (rows - 1) / 2) as f64;
        map1(&[&cosines, &own], |e| (&e[0] - &e[1]) * (self.factor * 0.5 / pairs))
    }
}

/// The regularizer of a Keras name, with its defaults: `"l1"`, `"l2"`, `"orthogonal_regularizer"`, and `"l1l2"`, whose
/// factors are 0: its class is of more use.
///
/// # Errors
/// [`Error::Argument`] with the nearest name.
pub fn from_name(name: &str) -> Result<Arc<dyn Regularizer>> {
    let known: [(&str, Arc<dyn Regularizer>); 4] = [
        ("l1", Arc::new(L1::default())),
        ("l2", Arc::new(L2::default())),
        ("l1l2", Arc::new(L1L2::default())),
        ("orthogonal_regularizer", Arc::new(OrthogonalRegularizer::default())),
    ];
    suggest::find("regularizer", name, &known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;

    #[test]
    fn penalties() -> Result<()> {
        let w = Tensor::new(&Device::cpu(), [2, 2], &[1.0f32, -2.0, 3.0, 0.0])?;
        for (rule, want) in [
            (Box::new(L1(0.5)) as Box<dyn Regularizer>, 3.0),
            (Box::new(L2(0.5)), 7.0),
            (Box::new(L1L2 { l1: 0.5, l2: 0.5 }), 10.0),
            // The rows' cosine is 1 / √5; two ordered pairs over one pair.
            (Box::new(OrthogonalRegularizer { factor: 1.0, columns: false }), 1.0 / 5f64.sqrt()),
        ] {
            let got = rule.penalty(&w)?.item()?;
            assert!((got - want).abs() <= 1e-6, "{rule:?}: {got} instead of {want}");
        }
        assert!(OrthogonalRegularizer::default().penalty(&w.reshape([4])?).is_err());
        let text = from_name("l3").expect_err("no such rule").to_string();
        assert!(text.contains("did you mean"), "{text}");
        Ok(())
    }
}
