//! How often predictions are right.

use super::Metric;
use crate::error::{Error, Result};
use crate::losses::{are_classes, as_classes, as_float, per_sample};
use crate::shape::DType;
use crate::tensor::Tensor;

/// The share of right predictions. What that means follows from the shapes, as in Keras:
///
/// * predictions `[n, 1]`: right if `p > 0.5` where the label is 1, and `p <= 0.5` where it is 0;
/// * labels `[n]` or `[n, 1]` for predictions `[n, classes]`: right if the largest prediction is at the label;
/// * otherwise: right if labels and predictions are largest at the same place. The first of equals is the largest.
#[derive(Clone, Debug)]
pub struct Accuracy {
    name: String,
}

impl Accuracy {
    /// The metric under the name `accuracy`.
    pub fn new() -> Accuracy {
        Accuracy { name: "accuracy".into() }
    }

    /// Its name in logs.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Accuracy {
        self.name = name.into();
        self
    }
}

impl Default for Accuracy {
    fn default() -> Accuracy {
        Accuracy::new()
    }
}

impl Metric for Accuracy {
    fn name(&self) -> &str {
        &self.name
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let wrong = || Error::shape(&self.name, format!("labels for predictions {}", y_pred.shape()), y_true.shape());
        let width = *y_pred.shape().last().ok_or_else(wrong)?;
        let right = if width == 1 {
            if y_true.shape().elements() != y_pred.shape().elements() {
                return Err(wrong());
            }
            let labels = as_float(&y_true.reshape(y_pred.shape())?, y_pred.dtype())?;
            let half = y_pred.zeros_like()?.add_scalar(0.5)?;
            y_pred.gt(&half)?.cast(y_pred.dtype())?.eq(&labels)?
        } else if are_classes(y_true.shape(), y_pred.shape()) {
            y_pred.argmax(-1)?.eq(&as_classes(y_true, y_pred)?)?
        } else if y_true.shape() == y_pred.shape() {
            y_pred.argmax(-1)?.eq(&as_float(y_true, y_pred.dtype())?.argmax(-1)?)?
        } else {
            return Err(wrong());
        };
        per_sample(&right.cast(DType::F32)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;

    fn accuracy(y_true: &Tensor, y_pred: &Tensor) -> Result<Vec<f32>> {
        Accuracy::default().call(y_true, y_pred)?.to_vec()
    }

    #[test]
    fn follows_the_shapes() -> Result<()> {
        let cpu = Device::cpu();
        let p = Tensor::new(&cpu, [3, 2], &[0.9f32, 0.1, 0.5, 0.5, 0.2, 0.8])?;
        let sparse = Tensor::new(&cpu, [3], &[0u8, 1, 1])?;
        assert_eq!(accuracy(&sparse, &p)?, [1.0, 0.0, 1.0], "the first of equals wins");
        assert_eq!(accuracy(&sparse.reshape([3, 1])?, &p)?, [1.0, 0.0, 1.0]);
        let dense = Tensor::new(&cpu, [3, 2], &[1.0f32, 0.0, 1.0, 0.0, 1.0, 0.0])?;
        assert_eq!(accuracy(&dense, &p)?, [1.0, 1.0, 0.0]);
        let yes = Tensor::new(&cpu, [3, 1], &[0.5f32, 0.51, 0.1])?;
        assert_eq!(accuracy(&Tensor::new(&cpu, [3], &[1u32, 1, 0])?, &yes)?, [0.0, 1.0, 1.0], "strictly more than a half");
        assert!(accuracy(&Tensor::new(&cpu, [4], &[0u8; 4])?, &p).is_err());
        Ok(())
    }
}
