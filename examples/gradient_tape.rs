//! A training loop of your own with `GradientTape`, on CIFAR-100: every batch of every epoch, dropout and the like told that it is training, and
//! the whole step traced once and replayed.
//!
//! `cargo run --release --example gradient_tape -- --help` lists the options.

#[path = "common/mod.rs"]
mod common;

use anyhow::Result;
use common::Options;
use gradus::data::Dataset;
use gradus::metrics::{Mean, Running, SparseCategoricalAccuracy};
use gradus::optimizers::pair_gradients;
use gradus::prelude::*;
use std::time::Instant;

/// Steps that are taken to compare eager with traced ones.
const COMPARED: usize = 20;

fn main() -> Result<()> {
    let options = Options::from_args("A training loop of your own with GradientTape, on CIFAR-100.", 5, 32)?;
    let device = options.device()?;
    let data = options.cifar100()?;

    let few = data.train.take(COMPARED * options.batch_size);
    let (_, eager) = train(&options, &device, &few, Mode::Eager, 1)?;
    let (_, graph) = train(&options, &device, &few, Mode::Graph, 1)?;
    println!("a step: eager {:.2} ms, as a graph {:.2} ms: {:.1} times as fast\n", 1e3 * eager, 1e3 * graph, eager / graph);

    let (model, _) = train(&options, &device, &data.train, Mode::Graph, options.epochs)?;
    let probabilities = model.predict(&data.test, 256)?;
    let found = probabilities.outer_iter().map(|row| (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best }));
    let right = found.zip(&data.test.labels).filter(|(found, label)| *found == usize::from(**label)).count();
    println!("\ntest  {right} of {} right: accuracy {:.4}", data.test.len(), right as f64 / data.test.len() as f64);
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Mode {
    Eager,
    Graph,
}

/// Trains a new model, which it returns with the seconds that a step took, the first one left out: it is traced.
fn train(options: &Options, device: &Device, data: &Dataset, mode: Mode, epochs: usize) -> Result<(Model, f64)> {
    let model = model(options, device, data)?;
    let variables = model.trainable_variables();
    let loss_function = SparseCategoricalCrossentropy::default();
    // Variables cannot be made while a step is traced: those of the optimizer and of the metrics are made here.
    let mut optimizer = Adam::default();
    optimizer.build(&variables)?;
    let (mean_loss, accuracy) = (Running::new(Mean::new()), Running::new(SparseCategoricalAccuracy::new()));
    mean_loss.build(device, &Shape::from([1]))?;
    accuracy.build(device, &Shape::from([1, data.classes]))?;

    let train_step = Function::new("train_step", |batch: &[Tensor]| {
        let (features, labels) = (&batch[0], &batch[1]);
        let tape = GradientTape::new();
        let predictions = model.call(features, &Call::training())?;
        let loss = loss_function.value(labels, &predictions)?;
        let gradients = tape.gradient(&loss, &variables)?;
        optimizer.apply(&pair_gradients(gradients.into_vec(), &variables)?, None)?;
        mean_loss.update_state(labels, &loss_function.call(labels, &predictions)?, None)?;
        accuracy.update_state(labels, &predictions, None)?;
        Ok(vec![loss])
    })
    .eagerly(mode == Mode::Eager);

    let batches = Batches::new(device, data, options.batch_size)?.shuffled(options.seed);
    let (mut start, mut steps) = (Instant::now(), 0);
    for epoch in 0..epochs {
        mean_loss.reset_state()?;
        accuracy.reset_state()?;
        for batch in batches.epoch(epoch) {
            let batch = batch?;
            let loss = train_step.call(&[&batch.x[0], &batch.y[0]])?;
            if steps == 0 {
                loss[0].item()?;
                start = Instant::now();
            }
            steps += 1;
        }
        let (loss, accuracy) = (mean_loss.result()?, accuracy.result()?);
        println!("{mode:?}  epoch {}/{epochs}: loss: {loss:.4} - accuracy: {accuracy:.4}", epoch + 1);
    }
    let seconds = start.elapsed().as_secs_f64() / (steps - 1).max(1) as f64;
    drop(train_step);
    Ok((model, seconds))
}

/// The course's model.
fn model(options: &Options, device: &Device, data: &Dataset) -> Result<Model> {
    let mut model = Sequential::new()
        .add(Rescaling::new(1.0 / 255.0))
        .add(Conv2D::new(16, 3).activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(32, 3).activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(Dense::new(256).activation("relu"))
        .add(Dense::new(data.classes).activation("softmax"))
        .seed(options.seed)
        .on_device(device);
    model.build(data.shape)?;
    Ok(model.into_model())
}
