//! CIFAR-100, Sequential: the model is a stack of layers.
//!
//! In the course, five epochs of Keras ended at loss 2.588, accuracy 0.357 on the test images.
//!
//! `cargo run --release --example cifar100_sequential -- --help` lists the options.

#[path = "common/mod.rs"]
mod common;

use anyhow::Result;
use common::Options;
use gradus::prelude::*;

fn main() -> Result<()> {
    let options = Options::from_args("CIFAR-100, Sequential: the model is a stack of layers.", 5, 32)?;
    let device = options.device()?;
    let data = options.cifar100()?;

    // The images stay bytes; the first layer is the course's `x_train / 255.0`.
    let mut model = Sequential::new()
        .add(Rescaling::new(1.0 / 255.0))
        .add(Conv2D::new(16, 3).activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(32, 3).activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(Dense::new(256).activation("relu"))
        .add(Dense::new(100).activation("softmax"))
        .input(data.train.shape)
        .seed(options.seed)
        .on_device(&device);
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])?;
    println!("{}", model.summary()?);

    model.fit(&data.train, options.fit())?;
    println!("\ntest  {}", model.evaluate(&data.test)?);
    Ok(())
}
