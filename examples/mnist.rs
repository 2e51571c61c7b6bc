//! Learns to read handwritten digits, on a GPU if the machine has one, on the CPU if not.
//!
//! `cargo run --release --example mnist -- --help` lists the options.

#[path = "common/mod.rs"]
mod common;

use anyhow::{Result, ensure};
use common::Options;
use common::pictures::draw_predictions;
use gradus::prelude::*;
use serde_json::json;
use std::time::Instant;

fn main() -> Result<()> {
    let options = Options::from_args("Learns to read handwritten digits.", 1, 128)?;
    let device = options.device()?;
    let data = options.mnist()?;

    let mut model = Sequential::new()
        .add(Rescaling::new(1.0 / 255.0))
        .add(Conv2D::new(32, 3).activation(Relu))
        .add(Conv2D::new(64, 3).activation(Relu))
        .add(Flatten::new())
        .add(Dense::new(128).activation(Relu))
        .add(Dense::new(10).activation(Softmax))
        .input(data.train.shape)
        .seed(options.seed)
        .on_device(&device);
    model.compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Accuracy::default()])?;
    println!("{}", model.summary()?);

    let start = Instant::now();
    let history = model.fit(&data.train, Fit { record_steps: 20, ..options.fit() })?;
    let train_seconds = start.elapsed().as_secs_f64();
    let test = model.evaluate(&data.test)?;
    let accuracy = test.metric("accuracy").unwrap_or(f64::NAN);
    println!("\ntest accuracy {:.2} %, test loss {:.4}, after {train_seconds:.1} s of training on {device}", 100.0 * accuracy, test.loss);
    ensure!(accuracy.is_finite(), "the accuracy is no number");

    draw_predictions(&model, &data.test, 5)?;
    if options.json {
        let steps = options.epochs * data.train.len().div_ceil(options.batch_size);
        println!(
            "{}",
            json!({
                "device": device.to_string(), "data": data.train.source, "epochs": options.epochs, "steps": steps, "losses": history.step_losses,
                "test_loss": test.loss, "test_accuracy": accuracy, "train_seconds": train_seconds,
            })
        );
    }
    Ok(())
}
