//! The model, the data and the training step of these tests.

use gradus::layers::{Call, Conv2D, Dense, Dropout, Flatten, MaxPooling2D};
use gradus::losses::{Loss, SparseCategoricalCrossentropy};
use gradus::models::Sequential;
use gradus::optimizers::Optimizer;
use gradus::{Device, GradientTape, Result, Tensor};

pub const CLASSES: usize = 4;

/// The CPU, and the GPU if there is one.
pub fn devices(what: &str) -> Vec<Device> {
    [Some(Device::cpu()), gradus::testing::gpu(what)].into_iter().flatten().collect()
}

/// A small network of everything that changes from step to step: it drops out, too. Images are 6x6.
pub fn small(device: &Device, seed: u64) -> Result<Sequential> {
    let model = Sequential::new().add(Conv2D::new(3, 3).activation("relu")).add(MaxPooling2D::default()).add(Flatten::new());
    let mut model = model.add(Dropout::new(0.25)).add(Dense::new(CLASSES).activation("softmax")).on_device(device).seed(seed);
    model.build([6, 6, 1])?;
    Ok(model)
}

/// Numbers between -1 and 1 that repeat nowhere soon.
pub fn waves(count: usize) -> Vec<f32> {
    (0..count).map(|i| (0.37 * (i as f64 + 1.0) + (i as f64 * 0.011).sin()).sin() as f32).collect()
}

pub fn labels(count: usize) -> Vec<u32> {
    (0..count).map(|i| ((i * i + i / 4) % CLASSES) as u32).collect()
}

/// A batch of 6x6 images; another number, another batch.
pub fn batch(device: &Device, number: usize, size: usize) -> Result<(Tensor, Tensor)> {
    let (x, y) = (waves((number + 1) * size * 36), labels((number + 1) * size));
    Ok((Tensor::new(device, [size, 6, 6, 1], &x[number * size * 36..])?, Tensor::new(device, [size], &y[number * size..])?))
}

/// Forward, backward, update: for a batch and its labels, the loss before the update.
pub fn step(model: &Sequential, optimizer: &dyn Optimizer, args: &[Tensor]) -> Result<Vec<Tensor>> {
    let tape = GradientTape::new();
    let predictions = model.call(&args[0], &Call::training())?;
    let loss = SparseCategoricalCrossentropy::default().value(&args[1], &predictions)?;
    let variables = model.trainable_variables();
    let gradients = tape.gradient(&loss, &variables)?;
    let pairs = variables.iter().enumerate().map(|(i, v)| Ok((gradients.get(i)?.clone(), v.clone())));
    optimizer.apply(&pairs.collect::<Result<Vec<_>>>()?, None)?;
    Ok(vec![loss])
}
