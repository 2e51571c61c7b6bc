//! Labels along a sequence, without saying where.

use super::settings::{settings, settings_of_loss};
use super::{Loss, as_float};
use crate::error::{Error, Result};
use crate::ops::pointwise::map1;
use crate::shape::{DType, Shape, Spec};
use crate::tensor::Tensor;

/// The logarithm of a probability of 0: small enough to vanish beside any other, and finite, so that differences are numbers.
const NEVER: f64 = -1e30;

settings! {
    /// Connectionist temporal classification (Graves et al. 2006): `-log` of the probability that the classes of the steps, once repetitions are
    /// joined and blanks left out, are the labels.
    ///
    /// Labels `[n, most]` of any number type are class numbers from 1 on, filled up with 0, which is the blank; predictions `[n, steps, classes]`
    /// are logits. Labels that so few steps cannot spell cost about 1e30.
    loss CTC("ctc") {}
}

impl Loss for CTC {
    settings_of_loss!();

    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
        match (&y_true.shape[..], &y_pred[..]) {
            ([n, _], [m, steps, classes]) if n == m && *steps > 0 && *classes > 0 => Ok(()),
            _ => Err(Error::shape(&*self.name, "labels [n, most] for logits [n, steps, classes]", format!("{y_true} for {y_pred}"))),
        }
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.check(y_true.spec(), y_pred.shape())?;
        let [n, steps, classes] = y_pred.shape().dims(&self.name)?;
        let labels = as_float(y_true, DType::U32)?;
        let places = with_blanks(&labels)?;
        let count = places.shape()[1];
        let spoken = places.one_hot_as(classes, y_pred.dtype())?;
        let spoken = y_pred.log_softmax()?.matmul_with(&spoken, false, true)?;
        let at = |step: usize| spoken.narrow(1, step, 1)?.reshape([n, count]);
        let leaps = leaps(&places, y_pred.dtype())?;
        let order = numbers(y_pred, count)?;
        // A path begins with the first blank or the first label.
        let mut paths = map1(&[&at(0)?, &order], |e| e[1].lt(&e[1].number(2.0)).select(&e[0], &e[0].number(NEVER)))?;
        for step in 1..steps {
            let (one, two) = (from_before(&paths, 1)?, from_before(&paths, 2)?);
            paths = map1(&[&paths, &one, &two, &leaps, &at(step)?], |e| {
                let leap = e[3].gt(&e[3].number(0.0)).select(&e[2], &e[2].number(NEVER));
                let most = e[0].max(&e[1]).max(&leap);
                ((&e[0] - &most).exp() + (&e[1] - &most).exp() + (&leap - &most).exp()).log() + most + &e[4]
            })?;
        }
        let lengths = map1(&[&labels], |e| e[0].gt(&e[0].number(0.0)).cast(y_pred.dtype()))?.sum(&[1], true)?;
        // It ends with the last label or the blank after it.
        let ends = map1(&[&paths, &order, &lengths], |e| {
            let last = &e[2] * 2.0;
            let ends = e[1].ge(&(&last - 1.0)).select(&e[1].le(&last).cast(y_pred.dtype()), &e[1].number(0.0));
            ends.gt(&ends.number(0.0)).select(&e[0], &e[0].number(NEVER))
        })?;
        let most = ends.max(&[1], true)?.stop_gradient()?;
        let sum = map1(&[&ends, &most], |e| (&e[0] - &e[1]).exp())?.sum(&[1], false)?;
        map1(&[&sum, &most.reshape([n])?], |e| -(e[0].log() + &e[1]))
    }
}

/// A blank before, between and after the labels: `[n, most]` becomes `[n, 2 · most + 1]`.
fn with_blanks(labels: &Tensor) -> Result<Tensor> {
    let [n, most] = labels.shape().dims("ctc")?;
    let blank = |count: usize| Tensor::full(labels.device(), [n, count], DType::U32, 0.0);
    if most == 0 {
        return blank(1);
    }
    let pairs = Tensor::stack(&[&blank(most)?, labels], -1)?.reshape([n, 2 * most])?;
    Tensor::concat(&[&pairs, &blank(1)?], 1)
}

/// Where a path may leap over the blank before: 1 at labels that differ from the label before them.
fn leaps(places: &Tensor, dtype: DType) -> Result<Tensor> {
    let [n, count] = places.shape().dims("ctc")?;
    let none = Tensor::full(places.device(), [n, count.min(2)], dtype, 0.0)?;
    if count <= 2 {
        return Ok(none);
    }
    let (here, before) = (places.narrow(1, 2, count - 2)?, places.narrow(1, 0, count - 2)?);
    let differ = map1(&[&here, &before], |e| e[0].eq(&e[1]).select(&e[0].number(0.0), &e[0]).gt(&e[0].number(0.0)).cast(dtype))?;
    Tensor::concat(&[&none, &differ], 1)
}

/// What stood so many places before.
fn from_before(paths: &Tensor, places: usize) -> Result<Tensor> {
    let [n, count] = paths.shape().dims("ctc")?;
    let places = places.min(count);
    let none = Tensor::full(paths.device(), [n, places], paths.dtype(), NEVER)?;
    if places == count { Ok(none) } else { Tensor::concat(&[&none, &paths.narrow(1, 0, count - places)?], 1) }
}

/// `0, 1, 2, …` as one row of the type of `like`.
fn numbers(like: &Tensor, count: usize) -> Result<Tensor> {
    let numbers: Vec<u32> = (0..count as u32).collect();
    Tensor::new(like.device(), [1, count], &numbers)?.cast(like.dtype())
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{close, tensor};
    use super::*;
    use crate::device::Device;

    /// `-log` of the summed probability of every path that spells the labels.
    fn by_all_paths(logits: &[f32], steps: usize, classes: usize, labels: &[u32]) -> f64 {
        let probability = |step: usize, class: usize| {
            let row: Vec<f64> = logits[step * classes..][..classes].iter().map(|x| f64::from(*x).exp()).collect();
            row[class] / row.iter().sum::<f64>()
        };
        let mut sum = 0.0;
        for mut number in 0..classes.pow(steps as u32) {
            let (mut path, mut p) = (Vec::new(), 1.0);
            for step in 0..steps {
                path.push((number % classes) as u32);
                p *= probability(step, number % classes);
                number /= classes;
            }
            path.dedup();
            path.retain(|class| *class != 0);
            if path == labels {
                sum += p;
            }
        }
        -sum.ln()
    }

    #[test]
    fn all_paths_counted_one_by_one() -> Result<()> {
        let (steps, classes) = (5, 4);
        let logits: Vec<f32> = (0..4 * steps * classes).map(|i| (i as f32 * 1.7).sin() * 2.0).collect();
        let labels: [&[u32]; 4] = [&[1, 2, 3], &[2, 2], &[], &[3]];
        let filled: Vec<u32> = labels.iter().flat_map(|l| l.iter().copied().chain(std::iter::repeat(0)).take(3)).collect();
        let y_true = Tensor::new(&Device::cpu(), [4, 3], &filled)?;
        let got = CTC::new().call(&y_true, &tensor([4, steps, classes], &logits)?)?.to_vec::<f32>()?;
        let want: Vec<f64> = labels
            .iter()
            .enumerate()
            .map(|(i, l)| by_all_paths(&logits[i * steps * classes..][..steps * classes], steps, classes, l))
            .collect();
        close(&got, &want, 1e-5);
        Ok(())
    }

    #[test]
    fn too_few_steps_and_wrong_shapes() -> Result<()> {
        // Two equal labels need a blank between them.
        let y_true = Tensor::new(&Device::cpu(), [1, 2], &[1u32, 1])?;
        assert!(CTC::new().call(&y_true, &tensor([1, 2, 3], &[0.0; 6])?)?.to_vec::<f32>()?[0] > 1e29);
        assert!(CTC::new().call(&y_true, &tensor([1, 3, 3], &[0.0; 9])?)?.to_vec::<f32>()?[0] < 10.0);
        let text = CTC::new().call(&y_true, &tensor([1, 6], &[0.0; 6])?).expect_err("no steps").to_string();
        assert!(text.contains("labels [n, most] for logits [n, steps, classes]"), "{text}");
        Ok(())
    }
}
