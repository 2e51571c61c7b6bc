//! What weights start as. Values are drawn on the host from (seed, stream, element), so that every device starts from the same bits.

mod constant;
mod orthogonal;
mod random;
mod variance_scaling;

pub use constant::{Constant, Identity, Ones, Zeros};
pub use orthogonal::Orthogonal;
pub use random::{RandomNormal, RandomUniform, TruncatedNormal};
pub use variance_scaling::{
    Distribution, FanMode, GlorotNormal, GlorotUniform, HeNormal, HeUniform, LecunNormal, LecunUniform, VarianceScaling,
};

use crate::error::{Error, Result};
use crate::shape::Shape;
use crate::suggest;
use std::fmt;
use std::sync::Arc;

/// A rule for the first values of a weight.
pub trait Initializer: fmt::Debug + Send + Sync {
    /// That there are values for this shape; asked before [`Initializer::values`]. Default: there are for any.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are none.
    fn check(&self, _shape: &Shape) -> Result<()> {
        Ok(())
    }

    /// The values of a weight of this shape, in row-major order. `stream` tells apart the weights of one model.
    fn values(&self, shape: &Shape, seed: u64, stream: u64) -> Vec<f32>;
}

/// The initializer of a Keras name: `"glorot_uniform"`, `"he_normal"`, `"zeros"`, …
///
/// # Errors
/// [`Error::Argument`] with the nearest name.
pub fn from_name(name: &str) -> Result<Arc<dyn Initializer>> {
    let known: [(&str, Arc<dyn Initializer>); 20] = [
        ("glorot_uniform", Arc::new(GlorotUniform)),
        ("glorot_normal", Arc::new(GlorotNormal)),
        ("he_uniform", Arc::new(HeUniform)),
        ("he_normal", Arc::new(HeNormal)),
        ("lecun_uniform", Arc::new(LecunUniform)),
        ("lecun_normal", Arc::new(LecunNormal)),
        ("variance_scaling", Arc::new(VarianceScaling::default())),
        ("random_normal", Arc::new(RandomNormal::default())),
        ("random_uniform", Arc::new(RandomUniform::default())),
        ("truncated_normal", Arc::new(TruncatedNormal::default())),
        ("orthogonal", Arc::new(Orthogonal::default())),
        ("identity", Arc::new(Identity::default())),
        ("constant", Arc::new(Constant::default())),
        ("zeros", Arc::new(Zeros)),
        ("ones", Arc::new(Ones)),
        // Other names of some.
        ("normal", Arc::new(RandomNormal::default())),
        ("uniform", Arc::new(RandomUniform::default())),
        ("orthogonal_initializer", Arc::new(Orthogonal::default())),
        ("zero", Arc::new(Zeros)),
        ("one", Arc::new(Ones)),
    ];
    suggest::find("initializer", name, &known)
}

/// The number of inputs that a unit of the kernel sums, and of outputs that an input feeds: the last two axes are the channels, those
/// before them the window. One axis counts as both; a scalar has 1 and 1 (Keras `compute_fans`).
pub fn fans(shape: &Shape) -> (usize, usize) {
    match shape.rank() {
        0 => (1, 1),
        1 => (shape[0], shape[0]),
        rank => {
            let window: usize = shape[..rank - 2].iter().product();
            (window * shape[rank - 2], window * shape[rank - 1])
        }
    }
}

/// An initializer, or the name of one: what layers take. A wrong name is reported when the layer is built.
#[derive(Clone, Debug)]
pub struct InitializerArg(std::result::Result<Arc<dyn Initializer>, Error>);

impl InitializerArg {
    /// The initializer.
    ///
    /// # Errors
    /// [`Error::Argument`] if it was named by a text that names none.
    pub fn get(&self) -> Result<&dyn Initializer> {
        self.0.as_deref().map_err(Clone::clone)
    }
}

impl<I: Initializer + 'static> From<I> for InitializerArg {
    fn from(initializer: I) -> InitializerArg {
        InitializerArg(Ok(Arc::new(initializer)))
    }
}

impl From<&str> for InitializerArg {
    fn from(name: &str) -> InitializerArg {
        InitializerArg(from_name(name))
    }
}

/// Mean and variance of some values.
#[cfg(test)]
fn moments(values: &[f32]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
    (mean, variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fans_of_kernels() {
        assert_eq!(fans(&Shape::from([784, 128])), (784, 128));
        assert_eq!(fans(&Shape::from([3, 3, 32, 64])), (9 * 32, 9 * 64));
        assert_eq!(fans(&Shape::from([7])), (7, 7));
        assert_eq!(fans(&Shape::from([])), (1, 1));
    }

    #[test]
    fn names_are_found_and_corrected() {
        let shape = Shape::from([3, 4]);
        let named = from_name("he_normal").expect("known");
        assert_eq!(named.values(&shape, 1, 2), HeNormal.values(&shape, 1, 2));
        assert_eq!(from_name("uniform").expect("known").values(&shape, 1, 2), RandomUniform::default().values(&shape, 1, 2));
        let text = from_name("glorot_unifrom").expect_err("a slip").to_string();
        assert!(text.ends_with("did you mean \"glorot_uniform\"?"), "{text}");
        assert!(InitializerArg::from("nonsense").get().is_err());
    }
}
