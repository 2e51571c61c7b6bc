//! The fully connected layer.

use super::{ActivationArg, Build, Call, Layer, check_last_axis, kernel_and_bias_options, layer_name, not_built, title};
use crate::error::{Error, Result};
use crate::initializers::{GlorotUniform, InitializerArg, Zeros};
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::variable::Variable;

/// `y = act(x · kernel + bias)` over the last axis. Inputs `[n, …, inputs]`, outputs `[n, …, units]`, kernel `[inputs, units]`: images are not
/// flattened, put [`Flatten`](super::Flatten) before. Defaults: no activation, a bias, kernel Glorot uniform, bias zeros.
pub struct Dense {
    name: String,
    units: usize,
    activation: ActivationArg,
    use_bias: bool,
    kernel_initializer: InitializerArg,
    bias_initializer: InitializerArg,
    weights: Option<Weights>,
}

struct Weights {
    kernel: Variable,
    bias: Option<Variable>,
}

impl Dense {
    /// So many outputs.
    pub fn new(units: usize) -> Dense {
        Dense {
            name: String::new(),
            units,
            activation: ActivationArg::default(),
            use_bias: true,
            kernel_initializer: GlorotUniform.into(),
            bias_initializer: Zeros.into(),
            weights: None,
        }
    }

    kernel_and_bias_options!();
}

impl Layer for Dense {
    fn kind(&self) -> &'static str {
        "Dense"
    }

    layer_name!();

    fn build(&mut self, input: &Shape, cx: &mut Build) -> Result<Shape> {
        if self.units == 0 {
            return Err(Error::argument(format!("{}: units", title(self)), "at least 1", 0));
        }
        self.activation.get().map_err(|e| e.at(title(self)))?;
        let Some((&inputs, outer)) = input.split_last() else {
            return Err(Error::shape(title(self), "at least one axis per sample", input).hint("put Flatten before it"));
        };
        match &self.weights {
            Some(weights) if weights.kernel.shape()[0] == inputs => {}
            Some(weights) => {
                let was = format!("{}: it was built for {} inputs and is now given {inputs}", title(self), weights.kernel.shape()[0]);
                return Err(Error::NotReady(was));
            }
            None => {
                let kernel = self.kernel_initializer.get().map_err(|e| e.at(title(self)))?;
                let kernel = cx.weight(format!("{}/kernel", self.name), [inputs, self.units], kernel)?;
                let bias = self.bias_initializer.get().map_err(|e| e.at(title(self)))?;
                let bias = self.use_bias.then(|| cx.weight(format!("{}/bias", self.name), [self.units], bias)).transpose()?;
                self.weights = Some(Weights { kernel, bias });
            }
        }
        Ok(Shape::from([outer, &[self.units]].concat()))
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        let Weights { kernel, bias } = self.weights.as_ref().ok_or_else(|| not_built(self))?;
        let inputs = kernel.shape()[0];
        check_last_axis(self, x, inputs)?;
        let outer = &x.shape()[..x.rank() - 1];
        // One tall product instead of many small ones.
        let rows = x.reshape([outer.iter().product(), inputs])?;
        let mut y = rows.matmul(&kernel.value()?)?;
        if outer.len() != 1 {
            y = y.reshape([outer, &[self.units]].concat())?;
        }
        let bias = bias.as_ref().map(Variable::value).transpose()?;
        self.activation.get()?.apply_biased(&y, bias.as_ref())
    }

    fn variables(&self) -> Vec<Variable> {
        self.weights.iter().flat_map(|w| std::iter::once(w.kernel.clone()).chain(w.bias.clone())).collect()
    }
}
