//! MNIST, Sequential: the model is a stack of layers.
//!
//! `cargo run --release --example mnist_sequential -- --help` lists the options.

#[path = "common/mod.rs"]
mod common;

use anyhow::Result;
use common::Options;
use gradus::prelude::*;

fn main() -> Result<()> {
    let options = Options::from_args("MNIST, Sequential: the model is a stack of layers.", 5, 32)?;
    let device = options.device()?;
    let data = options.mnist()?;

    // The images stay bytes; the first layer is the course's `x_train / 255.0`.
    let mut model = Sequential::new()
        .add(Rescaling::new(1.0 / 255.0))
        .add(Conv2D::new(32, 3).activation("relu"))
        .add(Conv2D::new(64, 3).activation("relu"))
        .add(Flatten::new())
        .add(Dense::new(128).activation("relu"))
        .add(Dense::new(10).activation("softmax"))
        .input(data.train.shape)
        .seed(options.seed)
        .on_device(&device);
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])?;
    println!("{}", model.summary()?);

    model.fit(&data.train, options.fit())?;
    println!("\ntest  {}", model.evaluate(&data.test)?);
    Ok(())
}
