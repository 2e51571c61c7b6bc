//! Gradients of every element of a target, not of their sum.

use super::walk::{Reach, walk};
use super::{GradientTape, Gradients, Source};
use crate::error::{Error, Result};
use crate::record::recording::Backward;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// A walk back is recorded for each element of the target: beyond this many, one would wait for minutes and should ask for less.
const MOST_ELEMENTS: usize = 4096;

impl GradientTape {
    /// The gradient of every element of `target` by each source, of shape `target.shape + source.shape`. It walks back once per element of
    /// the target, so a target should have few.
    ///
    /// # Errors
    /// [`Error::Argument`] for a target of more than 4096 elements; otherwise as [`GradientTape::gradient`].
    #[track_caller]
    pub fn jacobian<S: Source>(&self, target: &Tensor, sources: impl IntoIterator<Item = S>) -> Result<Gradients> {
        let shape = target.shape().clone();
        let seeds = || one_hots(target, shape.elements(), |row| row.reshape(&shape));
        self.rows("jacobian", target, shape.elements(), sources, seeds, |rows, source| {
            let rows = rows.iter().map(|row| row.expand_dims(0)).collect::<Result<Vec<_>>>()?;
            Tensor::concat(&rows.iter().collect::<Vec<_>>(), 0)?.reshape([&shape[..], source].concat())
        })
    }

    /// The Jacobian of each sample: `target` is `[n, ...]`, `source` is `[n, ...]`, the result `[n] + target.shape[1..] + source.shape[1..]`.
    /// Row `i` of the target must depend on row `i` of the source alone; then one walk serves all `n` samples at once.
    ///
    /// # Errors
    /// [`Error::Shape`] if the first axes differ or are missing; [`Error::Argument`] for more than 4096 elements per sample; [`Error::Gradient`]
    /// with the reason if the target does not depend on the source; otherwise as [`GradientTape::gradient`].
    #[track_caller]
    pub fn batch_jacobian(&self, target: &Tensor, source: &Tensor) -> Result<Tensor> {
        let shape = target.shape().clone();
        let (Some((&n, row)), Some(first)) = (shape.split_first(), source.shape().first()) else {
            return Err(Error::shape("batch_jacobian", "a target and a source with a first axis of samples", scalar_of(target, source)));
        };
        if *first != n {
            return Err(Error::shape("batch_jacobian", format!("a source of {n} samples, like the target"), source.shape()));
        }
        let per_sample: usize = row.iter().product();
        let one_row = Shape::from([&[1], row].concat());
        let seeds = || one_hots(target, per_sample, |one| one.reshape(&one_row)?.broadcast_to(&shape));
        let gradients = self.rows("batch_jacobian", target, per_sample, [source], seeds, |rows, source| {
            let rows = rows.iter().map(|row| row.expand_dims(1)).collect::<Result<Vec<_>>>()?;
            Tensor::concat(&rows.iter().collect::<Vec<_>>(), 1)?.reshape([&shape[..], &source[1..]].concat())
        })?;
        gradients.get(0).cloned()
    }

    /// One walk per seed, and for each source what `stack` makes of its gradients.
    fn rows<S: Source>(
        &self,
        call: &str,
        target: &Tensor,
        count: usize,
        sources: impl IntoIterator<Item = S>,
        seeds: impl FnOnce() -> Result<Vec<Tensor>>,
        stack: impl Fn(&[Tensor], &[usize]) -> Result<Tensor>,
    ) -> Result<Gradients> {
        self.check(&[target])?;
        if count > MOST_ELEMENTS {
            let what = format!("{call}: elements of the target (a walk back for each)");
            return Err(Error::argument(what, format!("at most {MOST_ELEMENTS}; ask for a slice or a sum of it"), count));
        }
        if count == 0 {
            return Err(Error::argument(format!("{call}: target"), "at least one element", target.shape()));
        }
        let sources: Vec<S> = sources.into_iter().collect();
        let ids = self.ids_of(&sources);
        self.asked(|| {
            let _backward = Backward::enter();
            let reach = Reach::of(&self.inner.borrow().steps, &ids.concat());
            let walks = seeds()?.into_iter().map(|seed| walk(&self.inner, &reach, &[(target, seed)])).collect::<Result<Vec<_>>>()?;
            let mut answer = Gradients { gradients: Vec::new(), reasons: Vec::new() };
            for (source, ids) in sources.iter().zip(&ids) {
                let rows = walks.iter().map(|walk| walk.sum(ids)).collect::<Result<Vec<_>>>()?;
                // Every walk takes the same steps: a source has all rows or none.
                let rows: Option<Vec<Tensor>> = rows.into_iter().collect();
                answer.reasons.push(if rows.is_some() { String::new() } else { self.why_none(&[target], &source.part(), &walks[0]) });
                answer.gradients.push(rows.map(|rows| stack(&rows, rows[0].shape())).transpose()?);
            }
            Ok(answer)
        })
    }
}

/// For each of `count` elements, a row that is 1 there and 0 elsewhere, brought into shape.
fn one_hots(like: &Tensor, count: usize, shaped: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Vec<Tensor>> {
    let numbers: Vec<u32> = (0u32..).take(count).collect();
    let rows = Tensor::new(like.device(), [count], &numbers)?.one_hot_as(count, like.dtype())?;
    (0..count).map(|i| shaped(&rows.slice(&[i..i + 1, 0..count])?)).collect()
}

/// The one of the two without axes, for an error.
fn scalar_of<'a>(target: &'a Tensor, source: &'a Tensor) -> &'a Shape {
    if target.rank() == 0 { target.shape() } else { source.shape() }
}
