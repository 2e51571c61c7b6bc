//! CIFAR-100, Functional: the model is what lies between its inputs and its outputs.
//!
//! In the course, five epochs of Keras ended at loss 2.656, accuracy 0.345 on the test images.
//!
//! `cargo run --release --example cifar100_functional -- --help` lists the options.

#[path = "common/mod.rs"]
mod common;

use anyhow::Result;
use common::Options;
use gradus::prelude::*;

fn main() -> Result<()> {
    let options = Options::from_args("CIFAR-100, Functional: the model is what lies between its inputs and its outputs.", 5, 32)?;
    let device = options.device()?;
    let data = options.cifar100()?;

    let inputs = Input::new(data.train.shape);
    // The images stay bytes; this layer is the course's `x_train / 255.0`.
    let x = Rescaling::new(1.0 / 255.0).on(&inputs)?;
    let x = Conv2D::new(16, 3).activation("relu").on(&x)?;
    let x = MaxPooling2D::new(2).on(&x)?;
    let x = Conv2D::new(32, 3).activation("relu").on(&x)?;
    let x = MaxPooling2D::new(2).on(&x)?;
    let x = Flatten::new().on(&x)?;
    let x = Dense::new(256).activation("relu").on(&x)?;
    let outputs = Dense::new(100).activation("softmax").on(&x)?;
    let mut model = Model::new([inputs], [outputs])?.named("cifar100_model").seed(options.seed).on_device(&device);
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])?;
    println!("{}", model.summary()?);

    model.fit(&data.train, options.fit())?;
    println!("\ntest  {}", model.evaluate(&data.test)?);
    Ok(())
}
