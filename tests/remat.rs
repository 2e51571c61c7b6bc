//! Gradient checkpointing: the same training with less memory.

#[path = "replay/models.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod models;

use gradus::layers::{Add, BatchNormalization, Conv2D, Dense, Dropout, GlobalAveragePooling2D, Layer};
use gradus::models::{Compile, Input, Model};
use gradus::testing::{close, same_bits};
use gradus::train::{Data, Fit, Samples, Verbose};
use gradus::{Device, Function, GradientTape, Result, Tensor, Variable};
use models::{devices, labels, waves};

const BLOCKS: usize = 8;
const SAMPLES: usize = 12;
const BATCH: usize = 4;

/// Residual blocks of everything that computing again could spoil: random numbers, and means that move.
fn residual(device: &Device) -> Result<Model> {
    let x = Input::new([8, 8, 1]);
    let mut y = Conv2D::new(8, 3).padding("same").on(&x)?;
    for _ in 0..BLOCKS {
        let inner = Conv2D::new(8, 3).padding("same").activation("relu").on(&BatchNormalization::new().on(&y)?)?;
        y = Add::new().on([&y, &Dropout::new(0.2).on(&Conv2D::new(8, 3).padding("same").activation("tanh").on(&inner)?)?])?;
    }
    let y = Dense::new(models::CLASSES).activation("softmax").on(&GlobalAveragePooling2D::new().on(&y)?)?;
    Ok(Model::new([&x], [&y])?.on_device(device).seed(5))
}

struct Trained {
    losses: Vec<f64>,
    weights: Vec<f32>,
    memory: usize,
}

fn trained(device: &Device, remat: bool) -> Result<Trained> {
    let mut model = residual(device)?;
    model.compile_with(Compile::new("adam", "sparse_categorical_crossentropy").remat(remat))?;
    let data = Data::new(Samples::new([SAMPLES, 8, 8, 1], &waves(SAMPLES * 64))?, &labels(SAMPLES))?;
    let fit = Fit { epochs: 2, batch_size: BATCH, verbose: Verbose::Silent, record_steps: 6, ..Fit::default() };
    let losses = model.fit(&data, fit)?.step_losses;
    let weights = model.variables().iter().map(|v| v.value()?.to_vec::<f32>()).collect::<Result<Vec<_>>>()?.concat();
    Ok(Trained { losses, weights, memory: model.training_memory(256)? })
}

/// The same losses and weights, moving means among them, with less than half of the memory.
#[test]
fn a_deep_model_trains_the_same_with_less_memory() -> Result<()> {
    for device in devices("remat") {
        let (kept, again) = (trained(&device, false)?, trained(&device, true)?);
        assert_eq!(kept.losses.len(), 6);
        println!("{device}: {} bytes, {} with remat", kept.memory, again.memory);
        assert!(2 * again.memory < kept.memory, "{device}: {} of {} bytes", again.memory, kept.memory);
        let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let (weights, expected) = (wide(&again.weights), wide(&kept.weights));
        if device.is_gpu() {
            close(&again.losses, &kept.losses, 1e-4, 1e-5).and_then(|_| close(&weights, &expected, 1e-2, 1e-3))
        } else {
            same_bits(&again.losses, &kept.losses).and_then(|_| same_bits(&weights, &expected))
        }
        .unwrap_or_else(|difference| panic!("{device}: {difference}"));
    }
    Ok(())
}

/// Bytes of a layer's output in the chains below.
const LAYER: usize = 1024 * 64 * size_of::<f32>();

/// The memory of the gradient through a chain of equal layers, counted in outputs of a layer.
fn chain(layers: usize, remat: bool, layer: impl Fn(&Tensor, &Tensor) -> Result<Tensor>) -> Result<f64> {
    let device = Device::cpu();
    let w = Variable::new("w", &Tensor::new(&device, [64, 64], &waves(64 * 64))?)?;
    let x = Tensor::new(&device, [1024, 64], &waves(1024 * 64))?;
    let step = Function::new("step", |args: &[Tensor]| {
        let tape = GradientTape::new();
        let y = (0..layers).try_fold(args[0].clone(), |y, _| layer(&y, &w.value()?))?;
        Ok(vec![tape.gradient(&y.mean_all()?, [&w])?.get(0)?.clone()])
    });
    let program = step.remat(remat).prepare(&device, &[&x])?;
    Ok(program.planned_bytes() as f64 / LAYER as f64)
}

/// A chain of equal layers keeps about the square root of them.
#[test]
fn memory_grows_as_the_square_root_of_the_depth() -> Result<()> {
    let dense = |y: &Tensor, w: &Tensor| y.matmul(w)?.tanh();
    for layers in [16, 64, 144] {
        let (kept, again) = (chain(layers, false, dense)?, chain(layers, true, dense)?);
        println!("{layers} layers: memory of {kept:.1} of them, {again:.1} with remat");
        assert!(kept > layers as f64, "{kept}");
        assert!(again < 2.0 * (layers as f64).sqrt() + 6.0, "{again}");
    }
    Ok(())
}

/// What is computed again does not become one kernel with what made it the first time: then it would be kept after all.
#[test]
fn a_chain_that_could_be_fused_is_computed_late() -> Result<()> {
    let two = |y: &Tensor, w: &Tensor| y.matmul(w)?.sigmoid()?.tanh();
    let (kept, again) = (chain(64, false, two)?, chain(64, true, two)?);
    println!("memory of {kept:.1} layers, {again:.1} with remat");
    assert!(4.0 * again < kept, "{again} of {kept}");
    Ok(())
}
