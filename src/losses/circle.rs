//! Circle loss, for embeddings: pairs of one class together, pairs of two classes apart.

use super::Loss;
use super::labels::as_float;
use super::reduction::along;
use super::settings::{settings, settings_of_loss};
use crate::error::{Error, Result};
use crate::ops::pointwise::{Expr, map1};
use crate::shape::{Shape, Spec};
use crate::tensor::Tensor;

settings! {
    /// Circle loss (Sun et al. 2020) of class numbers `[n]` or `[n, 1]` and embeddings `[n, width]` of length 1: for every sample
    /// `softplus(log Σ exp(-γ·a·(m - d)) + log Σ exp(γ·b·(1 - m - d)))`, where `d` is 1 minus the product with another embedding, at least 0; the
    /// first sum is over the samples of its class with `a = m + d`, the second over all others with `b = 1 + m - d`, at least 0.
    ///
    /// A sample without one of its class or without one of another has the value 0. The mean is over the values above 0.
    loss Circle("circle") {
        /// `γ`, the scale. Default: 80.
        gamma: f64 = 80.0,
        /// `m`, how near pairs should be, and how far apart. Default: 0.4.
        margin: f64 = 0.4,
        /// Whether a sample is left out of its own class. Default: yes.
        remove_diagonal: bool = true,
    }
}

impl Circle {
    /// The values of all samples, among those that count.
    fn among(&self, y_true: &Tensor, y_pred: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        self.check(y_true.spec(), y_pred.shape())?;
        let n = y_pred.shape()[0];
        let labels = as_float(&y_true.reshape([n, 1])?, y_pred.dtype())?;
        let (others, products) = (labels.reshape([1, n])?, y_pred.matmul_with(y_pred, false, true)?);
        let numbers: Vec<u32> = (0..n as u32).collect();
        let own = Tensor::new(y_pred.device(), [n], &numbers)?.one_hot_as(n, y_pred.dtype())?;
        let counts = match mask {
            Some(mask) => along("mask", mask, &labels)?.reshape([1, n])?,
            None => others.ones_like()?,
        };
        let alone = f64::from(u8::from(self.remove_diagonal));
        let near = map1(&[&labels, &others, &own, &counts], |e| e[0].eq(&e[1]).cast(y_pred.dtype()) * (1.0 - &e[2] * alone) * &e[3])?;
        let far = map1(&[&labels, &others, &counts], |e| e[0].ne(&e[1]).cast(y_pred.dtype()) * &e[2])?;
        let least = |x: &Expr| x.max(&x.number(0.0));
        let (gamma, margin) = (self.gamma, self.margin);
        let attraction = map1(&[&products], |e| {
            let distance = least(&(1.0 - &e[0]));
            (&distance + margin) * (margin - &distance) * -gamma
        })?;
        let repulsion = map1(&[&products], |e| {
            let distance = least(&(1.0 - &e[0]));
            least(&(1.0 + margin - &distance)) * (1.0 - margin - &distance) * gamma
        })?;
        let ((together, some), (apart, others)) = (log_sum_exp(&attraction, &near)?, log_sum_exp(&repulsion, &far)?);
        map1(&[&together, &some, &apart, &others], |e| {
            let zero = e[0].number(0.0);
            (&e[1] * &e[3]).gt(&zero).select(&(&e[0] + &e[2]).softplus(), &zero)
        })
    }
}

/// `log Σ exp x` over the last axis, of the terms whose weight is not 0; and how many these are.
fn log_sum_exp(x: &Tensor, weight: &Tensor) -> Result<(Tensor, Tensor)> {
    let zero_unless = |e: &[Expr], value: &Expr| e[1].gt(&e[1].number(0.0)).select(value, &e[1].number(0.0));
    // Any number near the largest keeps the sum in range; the gradient does not depend on it.
    let most = map1(&[x, weight], |e| e[1].gt(&e[1].number(0.0)).select(&e[0], &e[0].number(-1e30)))?.max(&[-1], true)?.stop_gradient()?;
    let terms = map1(&[x, weight, &most], |e| zero_unless(e, &zero_unless(e, &(&e[0] - &e[2])).exp()))?;
    let count = weight.sum(&[-1], false)?;
    let log = map1(&[&terms.sum(&[-1], false)?, &most.squeeze(-1)?, &count], |e| {
        let some = e[2].gt(&e[2].number(0.0));
        some.select(&(some.select(&e[0], &e[0].number(1.0)).log() + &e[1]), &e[0].number(0.0))
    })?;
    Ok((log, count))
}

impl Loss for Circle {
    settings_of_loss!();

    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
        match (&y_true.shape[..], &y_pred[..]) {
            ([n] | [n, 1], [m, _]) if n == m => Ok(()),
            _ => Err(Error::shape(&*self.name, format!("one class number per sample for embeddings [n, width], here {y_pred}"), y_true)),
        }
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.among(y_true, y_pred, None)
    }

    fn call_among(&self, y_true: &Tensor, y_pred: &Tensor, mask: &Tensor) -> Result<Tensor> {
        self.among(y_true, y_pred, Some(mask))
    }

    fn mask(&self, _y_true: &Tensor, values: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(map1(&[values], |e| e[0].gt(&e[0].number(0.0)).cast(values.dtype()))?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{close, tensor};
    use super::*;

    #[test]
    fn against_the_formula() -> Result<()> {
        let directions: [f64; 5] = [0.1, 0.4, 2.0, 0.3, 2.5];
        let labels = [0.0f32, 0.0, 1.0, 1.0, 2.0];
        let points: Vec<f32> = directions.iter().flat_map(|a| [a.cos() as f32, a.sin() as f32]).collect();
        let (y_true, y_pred) = (tensor([5], &labels)?, tensor([5, 2], &points)?);
        let want: Vec<f64> = (0..5)
            .map(|i| {
                let (mut near, mut far) = (0.0, 0.0);
                for j in (0..5).filter(|&j| j != i) {
                    let d = 1.0 - (directions[i] - directions[j]).cos();
                    if labels[i] == labels[j] {
                        near += (-8.0 * (0.4 + d) * (0.4 - d)).exp();
                    } else {
                        far += (8.0 * (1.4 - d).max(0.0) * (0.6 - d)).exp();
                    }
                }
                if near == 0.0 { 0.0 } else { (1.0 + near * far).ln() }
            })
            .collect();
        let loss = Circle::new().gamma(8.0);
        close(&loss.call(&y_true, &y_pred)?.to_vec()?, &want, 1e-5);
        close(&[loss.value(&y_true, &y_pred)?.item()? as f32], &[want.iter().sum::<f64>() / 4.0], 1e-5);
        // A row that does not count is not there for the others.
        let copies: Vec<f32> = points.iter().chain(&points[..2]).copied().collect();
        let (six, mask) = (tensor([6], &[0.0, 0.0, 1.0, 1.0, 2.0, 0.0])?, tensor([6], &[1.0, 1.0, 1.0, 1.0, 1.0, 0.0])?);
        let got = loss.weighted_value(&six, &tensor([6, 2], &copies)?, None, Some(&mask))?.item()?;
        close(&[got as f32], &[want.iter().sum::<f64>() / 4.0], 1e-5);
        Ok(())
    }
}
