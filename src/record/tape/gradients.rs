//! What a tape is asked for, and what it answers.

use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::variable::Variable;
use std::ops::{Deref, Index};

/// Something that a gradient can be asked for: a tensor or a variable.
pub trait Source {
    #[doc(hidden)]
    fn part(&self) -> SourcePart<'_>;
}

#[doc(hidden)]
#[derive(Clone, Copy)]
pub enum SourcePart<'a> {
    Tensor(&'a Tensor),
    Variable(&'a Variable),
}

impl Source for Tensor {
    fn part(&self) -> SourcePart<'_> {
        SourcePart::Tensor(self)
    }
}
impl Source for Variable {
    fn part(&self) -> SourcePart<'_> {
        SourcePart::Variable(self)
    }
}
impl<S: Source> Source for &S {
    fn part(&self) -> SourcePart<'_> {
        (**self).part()
    }
}

/// The gradient of a source that the targets do not depend on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Unconnected {
    /// None, with a reason.
    #[default]
    None,
    /// Zeros like the source. A source of whole numbers still has none.
    Zero,
}

/// What [`GradientTape::gradient_with`](super::GradientTape::gradient_with) starts from, and what it gives where there is nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct GradientOptions<'a> {
    /// The gradient of something by each target, of that target's shape and type. Default: ones, which sums the target.
    pub output_gradients: Option<&'a [&'a Tensor]>,
    /// Default: no gradient.
    pub unconnected_gradients: Unconnected,
}

/// The gradients by the sources, in their order: `None` where the target does not depend on the source.
pub struct Gradients {
    pub(super) gradients: Vec<Option<Tensor>>,
    pub(super) reasons: Vec<String>,
}

impl Gradients {
    /// The gradient by source `i`.
    ///
    /// # Errors
    /// [`Error::Gradient`] with the reason why there is none.
    pub fn get(&self, i: usize) -> Result<&Tensor> {
        match self.gradients.get(i) {
            Some(Some(gradient)) => Ok(gradient),
            Some(None) => Err(Error::Gradient(format!("source {i}: {}", self.reasons[i]))),
            None => Err(Error::Gradient(format!("source {i} of {}", self.gradients.len()))),
        }
    }

    /// Why the target does not depend on source `i`; empty if it does, or if there is no such source.
    pub fn reason(&self, i: usize) -> &str {
        self.reasons.get(i).map_or("", String::as_str)
    }

    /// The gradients, by value.
    pub fn into_vec(self) -> Vec<Option<Tensor>> {
        self.gradients
    }
}

impl Deref for Gradients {
    type Target = [Option<Tensor>];
    fn deref(&self) -> &[Option<Tensor>] {
        &self.gradients
    }
}

impl Index<usize> for Gradients {
    type Output = Option<Tensor>;
    fn index(&self, i: usize) -> &Option<Tensor> {
        &self.gradients[i]
    }
}
