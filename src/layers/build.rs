//! What layers are given: at building a place for their weights, at calling the mode.

use crate::device::Device;
use crate::error::Result;
use crate::initializers::Initializer;
use crate::ops::random::SeedGenerator;
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::variable::Variable;

/// Where a model's weights are made, and the random numbers they start from.
pub struct Build {
    device: Device,
    seed: u64,
    streams: u64,
}

impl Build {
    /// A model on this device; every weight draws from a stream of its own of the seed.
    pub fn new(device: &Device, seed: u64) -> Build {
        Build { device: device.clone(), seed, streams: 0 }
    }

    /// Where the weights are made.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// A trainable f32 variable.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) with the weight's name.
    pub fn weight(&mut self, name: impl Into<String>, shape: impl Into<Shape>, initializer: &dyn Initializer) -> Result<Variable> {
        let (name, shape) = (name.into(), shape.into());
        let stream = self.stream();
        let values = initializer.values(&shape, self.seed, stream);
        let value = Tensor::new(&self.device, shape, &values).map_err(|e| e.at(name.as_str()))?;
        Variable::new(name, &value)
    }

    /// A source of random numbers for a layer that draws at every call.
    ///
    /// # Errors
    /// Whatever making its counter returns.
    pub fn seed_generator(&mut self) -> Result<SeedGenerator> {
        // Multiplying by an odd constant (2⁶⁴ divided by the golden ratio) keeps streams of neighbouring seeds apart.
        let seed = self.seed ^ self.stream().wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        SeedGenerator::new(&self.device, seed)
    }

    fn stream(&mut self) -> u64 {
        self.streams += 1;
        self.streams - 1
    }
}

/// How a layer is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Call {
    /// Training (dropout drops) or inference (it does not). Default: inference.
    pub training: bool,
}

impl Call {
    /// A call that is part of a training step.
    pub fn training() -> Call {
        Call { training: true }
    }

    /// A call that only asks for outputs.
    pub fn inference() -> Call {
        Call { training: false }
    }
}

/// A height and a width; one number stands for both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size2(pub [usize; 2]);

impl From<usize> for Size2 {
    fn from(both: usize) -> Size2 {
        Size2([both, both])
    }
}
impl From<[usize; 2]> for Size2 {
    fn from(size: [usize; 2]) -> Size2 {
        Size2(size)
    }
}
impl From<(usize, usize)> for Size2 {
    fn from((height, width): (usize, usize)) -> Size2 {
        Size2([height, width])
    }
}
