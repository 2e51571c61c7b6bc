//! Vectors for whole numbers.

use super::{Base, Build, Call, Layer, WeightOptions, named, weight_options};
use crate::error::{Error, Result};
use crate::initializers::RandomUniform;
use crate::shape::{DType, Shape};
use crate::tensor::Tensor;

/// Looks up a vector for each number: `y[…, :] = embeddings[x[…], :]`. Inputs `[n, …]` of any type of whole numbers, or floats that hold such;
/// outputs f32 `[n, …, output_dim]`; `embeddings` is `[input_dim, output_dim]`. Default: uniform between -0.05 and 0.05.
///
/// A number that is not below `input_dim` is an error on the CPU. A GPU cannot stop halfway: there its vector is NaN.
#[derive(Clone)]
pub struct Embedding {
    base: Base,
    input_dim: usize,
    output_dim: usize,
    embeddings: WeightOptions,
}

impl Embedding {
    /// How many numbers there are, from 0 on, and how long their vectors are.
    pub fn new(input_dim: usize, output_dim: usize) -> Embedding {
        Embedding { base: Base::keeping_f32("Embedding"), input_dim, output_dim, embeddings: WeightOptions::new(RandomUniform::default()) }
    }

    weight_options!(embeddings, embeddings_initializer, embeddings_regularizer, embeddings_constraint);
    named!();
}

impl Layer for Embedding {
    fn base(&self) -> &Base {
        &self.base
    }

    fn autocast(&self) -> bool {
        // As floats, large numbers would be rounded.
        false
    }

    fn build(&self, _input: &Shape, cx: &Build) -> Result<()> {
        for (option, value) in [("input_dim", self.input_dim), ("output_dim", self.output_dim)] {
            if value == 0 {
                return Err(Error::argument(format!("{}: {option}", self.base.title()), "at least 1", 0));
            }
        }
        cx.weight(&self.base, "embeddings", [self.input_dim, self.output_dim], &self.embeddings)
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        self.base.value("embeddings")?.gather(&x.cast(DType::U32)?).map_err(|e| e.at(self.base.title()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::models::Input;

    #[test]
    fn vectors_of_any_kind_of_number() -> Result<()> {
        for device in [Some(Device::cpu()), crate::testing::gpu("embeddings")].into_iter().flatten() {
            let layer = Embedding::new(3, 2);
            layer.build(&Shape::from([2]), &Build::new(&device, 0))?;
            let start = layer.variables()[0].value()?.to_vec::<f32>()?;
            assert!(start.iter().all(|v| v.abs() <= 0.05) && start.iter().any(|v| v.abs() > 0.005), "{start:?}");
            layer.variables()[0].assign(&Tensor::new(&device, [3, 2], &[0.0f32, 1.0, 10.0, 11.0, 20.0, 21.0])?)?;
            let numbers = [
                Tensor::new(&device, [2, 2], &[2u8, 0, 1, 2])?,
                Tensor::new(&device, [2, 2], &[2i32, 0, 1, 2])?,
                Tensor::new(&device, [2, 2], &[2.0f32, 0.0, 1.0, 2.0])?,
            ];
            for x in numbers {
                let y = layer.apply(&x, &Call::training())?;
                assert_eq!(y.shape()[..], [2, 2, 2]);
                assert_eq!(y.to_vec::<f32>()?, [20.0, 21.0, 0.0, 1.0, 10.0, 11.0, 20.0, 21.0], "{:?}", x.dtype());
            }
        }
        Ok(())
    }

    #[test]
    fn what_has_no_vector_is_an_error() -> Result<()> {
        let cpu = Device::cpu();
        let layer = Embedding::new(3, 2);
        layer.build(&Shape::from([1]), &Build::new(&cpu, 0))?;
        for number in [3, -1] {
            let y = layer.call(&Tensor::new(&cpu, [1, 1], &[number])?, &Call::inference()).and_then(|y| y.to_vec::<f32>());
            assert!(y.is_err(), "{number}: {y:?}");
        }
        let text = Embedding::new(0, 2).build(&Shape::from([1]), &Build::new(&cpu, 0)).unwrap_err().to_string();
        assert!(text.contains("input_dim: expected at least 1"), "{text}");
        assert_eq!(Embedding::new(10, 4).on(Input::new([7]))?.shape()[..], [7, 4]);
        Ok(())
    }
}
