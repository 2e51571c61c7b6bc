//! CIFAR-100, Subclassing: the model is a type of your own, whose `call` says how its layers are used.
//!
//! In the course, five epochs of Keras ended at loss 2.508, accuracy 0.373 on the test images.
//!
//! `cargo run --release --example cifar100_subclassing -- --help` lists the options.

#[path = "common/mod.rs"]
mod common;

use anyhow::Result;
use common::Options;
use gradus::prelude::*;

#[derive(Layers)]
struct CustomModel {
    rescaling: Rescaling,
    conv1: Conv2D,
    maxpool1: MaxPooling2D,
    conv2: Conv2D,
    maxpool2: MaxPooling2D,
    flatten: Flatten,
    fc1: Dense,
    fc2: Dense,
}

impl CustomModel {
    fn new() -> CustomModel {
        CustomModel {
            // The images stay bytes; this layer is the course's `x_train / 255.0`.
            rescaling: Rescaling::new(1.0 / 255.0),
            conv1: Conv2D::new(16, 3).activation("relu"),
            maxpool1: MaxPooling2D::new(2),
            conv2: Conv2D::new(32, 3).activation("relu"),
            maxpool2: MaxPooling2D::new(2),
            flatten: Flatten::new(),
            fc1: Dense::new(256).activation("relu"),
            fc2: Dense::new(100).activation("softmax"),
        }
    }
}

impl Subclass for CustomModel {
    fn call(&self, x: &Tensor, cx: &Call) -> gradus::Result<Tensor> {
        let x = self.rescaling.apply(x, cx)?;
        let x = self.conv1.apply(&x, cx)?;
        let x = self.maxpool1.apply(&x, cx)?;
        let x = self.conv2.apply(&x, cx)?;
        let x = self.maxpool2.apply(&x, cx)?;
        let x = self.flatten.apply(&x, cx)?;
        let x = self.fc1.apply(&x, cx)?;
        self.fc2.apply(&x, cx)
    }
}

fn main() -> Result<()> {
    let options =
        Options::from_args("CIFAR-100, Subclassing: the model is a type of your own, whose `call` says how its layers are used.", 5, 32)?;
    let device = options.device()?;
    let data = options.cifar100()?;

    let mut model = Model::subclass(CustomModel::new()).seed(options.seed).on_device(&device);
    model.build(data.train.shape)?;
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])?;
    println!("{}", model.summary()?);

    model.fit(&data.train, options.fit())?;
    println!("\ntest  {}", model.evaluate(&data.test)?);
    Ok(())
}
