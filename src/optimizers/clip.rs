//! Clipping of gradients by their norms. Clipping by value is part of the pass that unscales and accumulates.

use super::options::Options;
use crate::error::Result;
use crate::ops::pointwise::{Expr, map1};
use crate::tensor::Tensor;

/// The gradients, multiplied so that no norm is above what the options allow.
pub(super) fn by_norm(gradients: Vec<Tensor>, options: &Options) -> Result<Vec<Tensor>> {
    if let Some(most) = options.clipnorm {
        return gradients.iter().map(|g| map1(&[g, &sum_of_squares(g)?], |e| &e[0] * part(&e[1].sqrt(), most))).collect();
    }
    let Some(most) = options.global_clipnorm else { return Ok(gradients) };
    let squares = gradients.iter().map(|g| sum_of_squares(g)?.reshape([1])).collect::<Result<Vec<_>>>()?;
    let square = Tensor::concat(&squares.iter().collect::<Vec<_>>(), 0)?.sum_all()?;
    let factor = map1(&[&square], |e| {
        let norm = e[0].sqrt();
        // By bits, for a compiler may take `norm - norm` for 0.
        norm.is_finite().select(&part(&norm, most), &norm.number(f64::NAN))
    })?;
    gradients.iter().map(|g| g.mul(&factor)).collect()
}

/// `most / max(norm, most)`: 1 where the norm is allowed, and no division by 0.
fn part(norm: &Expr, most: f64) -> Expr {
    norm.number(most) / norm.max(&norm.number(most))
}

/// The sum of all squares, without axes.
pub(super) fn sum_of_squares(x: &Tensor) -> Result<Tensor> {
    x.square()?.sum_all()
}
