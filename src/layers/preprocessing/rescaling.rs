//! Rescaling of inputs.

use crate::error::{Error, Result};
use crate::layers::{Base, Build, Call, Layer, Numbers, named};
use crate::ops::pointwise::map1;
use crate::shape::{DType, Shape};
use crate::tensor::Tensor;

/// `y = x · scale + offset`, in f32 whatever the type of `x`: `Rescaling::new(1.0 / 255.0)` brings bytes into 0 to 1. Both may be lists, with a
/// number for each place of the last axis. Outputs have the inputs' shape.
#[derive(Clone)]
pub struct Rescaling {
    base: Base,
    scale: Numbers,
    offset: Numbers,
}

impl Rescaling {
    /// A factor, or one for each channel, and an offset of 0.
    pub fn new(scale: impl Into<Numbers>) -> Rescaling {
        Rescaling { base: Base::new("Rescaling"), scale: scale.into(), offset: 0.0.into() }
    }

    /// What is added after. Default: 0.
    #[must_use]
    pub fn offset(mut self, offset: impl Into<Numbers>) -> Rescaling {
        self.offset = offset.into();
        self
    }

    named!();
}

impl Layer for Rescaling {
    fn base(&self) -> &Base {
        &self.base
    }

    fn autocast(&self) -> bool {
        false
    }

    fn build(&self, input: &Shape, _cx: &Build) -> Result<()> {
        for (what, numbers) in [("scale", &self.scale), ("offset", &self.offset)] {
            if !numbers.single && input.last() != Some(&numbers.values.len()) {
                let want = format!("one number, or one for each place of the last axis of {input}");
                return Err(Error::argument(format!("{}: {what}", self.base.title()), want, format!("{} numbers", numbers.values.len())));
            }
        }
        Ok(())
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        let x = if x.dtype().is_float() { x.clone() } else { x.cast(DType::F32)? };
        if let (&[scale], &[offset], true) = (&self.scale.values[..], &self.offset.values[..], self.scale.single && self.offset.single) {
            return map1(&[&x], |e| &e[0] * scale + offset);
        }
        let constant = |numbers: &Numbers| numbers.tensor(&x, &[numbers.values.len()]);
        map1(&[&x, &constant(&self.scale)?, &constant(&self.offset)?], |e| &e[0] * &e[1] + &e[2])
    }
}
