//! A layer of your own with weights, in a model of each style: the three are one model, so they learn the same.
//!
//! `cargo run --release --example your_own_layer -- --help` lists the options.

#[path = "common/mod.rs"]
mod common;

use anyhow::{Result, ensure};
use common::Options;
use gradus::data::Splits;
use gradus::prelude::*;

/// Maxout (Goodfellow et al., 2013): every unit is the largest of several linear functions of the inputs, `y = max_k (x · W_k + b_k)`.
/// Inputs `[n, inputs]`, outputs `[n, units]`.
#[derive(Clone)]
struct Maxout {
    base: Base,
    units: usize,
    pieces: usize,
}

impl Maxout {
    fn new(units: usize, pieces: usize) -> Maxout {
        Maxout { base: Base::new("Maxout"), units, pieces }
    }
}

impl Layer for Maxout {
    fn base(&self) -> &Base {
        &self.base
    }

    /// Called when the shape of the inputs is known: here the weights are made.
    fn build(&self, input: &Shape, cx: &Build) -> gradus::Result<()> {
        let [inputs] = input.dims("Maxout: inputs, flattened")?;
        let outputs = self.units * self.pieces;
        cx.weight(&self.base, "kernel", [inputs, outputs], &WeightOptions::new("glorot_uniform"))?;
        cx.weight(&self.base, "bias", [outputs], &WeightOptions::new("zeros"))
    }

    /// Tensor operations; their gradients are known.
    fn call(&self, x: &Tensor, _cx: &Call) -> gradus::Result<Tensor> {
        let pieces = x.matmul(&self.base.value("kernel")?)?.add(&self.base.value("bias")?)?;
        pieces.reshape([x.shape()[0], self.units, self.pieces])?.max(&[-1], false)
    }
}

#[derive(Layers)]
struct Net {
    rescaling: Rescaling,
    flatten: Flatten,
    maxout: Maxout,
    output: Dense,
}

impl Subclass for Net {
    fn call(&self, x: &Tensor, cx: &Call) -> gradus::Result<Tensor> {
        let x = self.rescaling.apply(x, cx)?;
        let x = self.flatten.apply(&x, cx)?;
        let x = self.maxout.apply(&x, cx)?;
        self.output.apply(&x, cx)
    }
}

fn main() -> Result<()> {
    let options = Options::from_args("A layer of your own, in a model of each style.", 3, 32)?;
    let device = options.device()?;
    let data = options.digits(5_000);
    let shape = data.train.shape;

    let (rescaling, flatten, maxout) = (Rescaling::new(1.0 / 255.0), Flatten::new(), Maxout::new(64, 3));
    let output = Dense::new(10).activation("softmax");
    let sequential = Sequential::new().add(rescaling).add(flatten).add(maxout).add(output).input(shape).into_model();

    let inputs = Input::new(shape);
    let x = Rescaling::new(1.0 / 255.0).on(&inputs)?;
    let x = Flatten::new().on(&x)?;
    let x = Maxout::new(64, 3).on(&x)?;
    let outputs = Dense::new(10).activation("softmax").on(&x)?;
    let functional = Model::new([inputs], [outputs])?;

    let subclassed = Model::subclass(Net {
        rescaling: Rescaling::new(1.0 / 255.0),
        flatten: Flatten::new(),
        maxout: Maxout::new(64, 3),
        output: Dense::new(10).activation("softmax"),
    });

    let mut losses = Vec::new();
    for model in [sequential, functional, subclassed] {
        losses.push(learn(model.seed(options.seed).on_device(&device), &data, &options)?);
    }
    ensure!(losses.iter().all(|loss| *loss == losses[0]), "one model written three ways, and three losses: {losses:?}");
    Ok(())
}

/// Trains a model; returns its loss on the test images.
fn learn(mut model: Model, data: &Splits, options: &Options) -> Result<f64> {
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])?;
    model.build(data.train.shape)?;
    println!("{}", model.summary()?);
    model.fit(&data.train, options.fit())?;
    let test = model.evaluate(&data.test)?;
    println!("\ntest  {test}\n");
    Ok(test.loss)
}
