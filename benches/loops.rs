//! A training loop of one's own against `fit`: the same model, batches in the same order, the same optimizer, loss and metric, each step one
//! traced function. The two take turns; what is printed is the time of an epoch of each, and the median of their ratios.
//!
//! `cargo bench --bench loops` measures the course's model for CIFAR-100 on the CPU; `-- --device NAME --rounds N --steps N` changes that.

mod common;

use anyhow::{Context, Result, ensure};
use common::at_least_one;
use common::turns::{self, Ratios};
use gradus::metrics::{Mean, Running, SparseCategoricalAccuracy};
use gradus::optimizers::pair_gradients;
use gradus::prelude::*;
use std::time::Instant;

const BATCH: usize = 32;
const CLASSES: usize = 100;

fn main() -> Result<()> {
    use lexopt::prelude::*;
    let (mut device, mut rounds, mut steps) = ("cpu".to_string(), 7usize, 100usize);
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("device") => device = args.value()?.string()?,
            Long("rounds") => rounds = at_least_one(&mut args, "--rounds")?,
            Long("steps") => steps = at_least_one(&mut args, "--steps")?,
            Long("bench") => {}
            Short('h') | Long("help") => common::help(include_str!("loops.rs")),
            other => return Err(other.unexpected().into()),
        }
    }
    let device = Device::named(&device)?;
    let data = data(steps * BATCH)?;
    println!("{device}, {steps} steps of {BATCH} samples");
    // The first round warms up.
    let results = turns::take(2, rounds + 1, |i| if i == 0 { fit(&device, &data) } else { own_loop(&device, &data) })?;
    let [by_fit, by_loop] = &results[..] else { unreachable!("two took turns") };
    for (of_fit, of_loop) in by_fit.iter().zip(by_loop).skip(1) {
        ensure!(of_fit.1 == of_loop.1, "the two train differently: {} and {}", of_fit.1, of_loop.1);
        println!("fit {:.1} ms, own loop {:.1} ms", of_fit.0, of_loop.0);
    }
    let times = [by_loop, by_fit].map(|of| of[1..].iter().map(|one| one.0).collect::<Vec<f64>>());
    let ratios = Ratios::of(&times[0], &times[1]);
    println!("own loop / fit: {:.3} (from {:.3} to {:.3})", ratios.median, ratios.least, ratios.most);
    Ok(())
}

fn data(count: usize) -> Result<Data> {
    let pixels: Vec<u8> = (0..count * 32 * 32 * 3).map(|i| ((i * 2_654_435_761) >> 7) as u8).collect();
    let labels: Vec<u32> = (0..count).map(|i| (i * 7 % CLASSES) as u32).collect();
    Ok(Data::new(Samples::new([count, 32, 32, 3], &pixels)?, &labels)?)
}

/// The course's model for CIFAR-100.
fn model(device: &Device) -> Result<Model> {
    let mut model = Sequential::new()
        .add(Rescaling::new(1.0 / 255.0))
        .add(Conv2D::new(16, 3).activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(32, 3).activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(Dense::new(256).activation("relu"))
        .add(Dense::new(CLASSES).activation("softmax"))
        .input([32, 32, 3])
        .on_device(device);
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])?;
    Ok(model.into_model())
}

/// The milliseconds of an epoch, and its loss.
fn fit(device: &Device, data: &Data) -> Result<(f64, f64)> {
    let mut model = model(device)?;
    let start = Instant::now();
    let history = model.fit(data, Fit { batch_size: BATCH, verbose: Verbose::Silent, ..Fit::default() })?;
    let loss = history.last("loss").context("a loss")?;
    Ok((1e3 * start.elapsed().as_secs_f64(), loss))
}

/// The same by hand.
fn own_loop(device: &Device, data: &Data) -> Result<(f64, f64)> {
    let model = model(device)?;
    let start = Instant::now();
    let variables = model.trainable_variables();
    let loss_function = SparseCategoricalCrossentropy::default();
    let mut optimizer = Adam::default();
    optimizer.build(&variables)?;
    let (mean_loss, accuracy) = (Running::new(Mean::new()), Running::new(SparseCategoricalAccuracy::new()));
    mean_loss.build(device, &Shape::from([1]))?;
    accuracy.build(device, &Shape::from([1, CLASSES]))?;
    let step = Function::new("train_step", |batch: &[Tensor]| {
        let (x, y) = (&batch[0], &batch[1]);
        let tape = GradientTape::new();
        let y_pred = model.call(x, &Call::training())?;
        let losses = loss_function.call(y, &y_pred)?;
        let gradients = tape.gradient(&losses.mean_all()?, &variables)?;
        optimizer.apply(&pair_gradients(gradients.into_vec(), &variables)?, None)?;
        mean_loss.update_state(y, &losses, None)?;
        accuracy.update_state(y, &y_pred, None)?;
        Ok(Vec::new())
    });
    let batches = Batches::new(device, data, BATCH)?.shuffled(model.seed_value());
    for batch in batches.epoch(0) {
        let batch = batch?;
        step.call(&[&batch.x[0], &batch.y[0]])?;
    }
    let (loss, _) = (mean_loss.result()?, accuracy.result()?);
    Ok((1e3 * start.elapsed().as_secs_f64(), loss))
}
