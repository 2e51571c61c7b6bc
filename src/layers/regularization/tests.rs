//! What is drawn, how often, and what it costs.

use super::*;
use crate::device::Device;
use crate::layers::{Build, Call, Dense, Layer};
use crate::losses::MeanSquaredError;
use crate::models::{Input, Sequential};
use crate::optimizers::SGD;
use crate::regularizers::{L1L2, L2};
use crate::tensor::Tensor;
use crate::testing::gpu;

fn devices() -> Vec<Device> {
    [Some(Device::cpu()), gpu("regularization layers")].into_iter().flatten().collect()
}

/// What a layer makes of ones, and what the layer is.
fn of_ones(layer: &dyn Layer, device: &Device, batch: &[usize]) -> Result<Vec<f64>> {
    layer.build(&Shape::from(&batch[1..]), &Build::new(device, 7))?;
    let ones = Tensor::full(device, batch, crate::shape::DType::F32, 1.0)?;
    assert_eq!(layer.call(&ones, &Call::inference())?.to_vec::<f32>()?, ones.to_vec::<f32>()?, "inference changes nothing");
    let y = layer.call(&ones, &Call::training())?;
    assert_eq!(y.shape()[..], *batch);
    Ok(y.to_vec::<f32>()?.into_iter().map(f64::from).collect())
}

#[test]
fn channels_are_dropped_as_a_whole() -> Result<()> {
    let cases = || -> [(Box<dyn Layer>, &[usize]); 4] {
        [
            (Box::new(SpatialDropout1D::new(0.25)), &[40, 5, 20]),
            (Box::new(SpatialDropout2D::new(0.25)), &[40, 2, 3, 20]),
            (Box::new(SpatialDropout3D::new(0.25)), &[40, 2, 1, 2, 20]),
            (Box::new(Dropout::new(0.25).noise_shape([None, Some(1), Some(20)])), &[40, 5, 20]),
        ]
    };
    for (device, (layer, batch)) in devices().into_iter().flat_map(|d| cases().map(|c| (d.clone(), c))) {
        let y = of_ones(layer.as_ref(), &device, batch)?;
        let cells: usize = batch[1..batch.len() - 1].iter().product();
        let mut kept = 0;
        for (sample, channel) in (0..40).flat_map(|n| (0..20).map(move |c| (n, c))) {
            let first = y[sample * cells * 20 + channel];
            assert!(first == 0.0 || (first - 4.0 / 3.0).abs() <= 1e-6, "{first}");
            assert!((0..cells).all(|cell| y[(sample * cells + cell) * 20 + channel] == first), "one decision for a channel");
            kept += usize::from(first != 0.0);
        }
        // 600 of 800 are expected; five standard deviations are 61.
        assert!(kept.abs_diff(600) <= 61, "{}: {kept} of 800 kept", layer.base().kind());
    }
    Ok(())
}

#[test]
fn noise_has_its_mean_and_variance() -> Result<()> {
    let cases =
        || -> [(Box<dyn Layer>, f64); 2] { [(Box::new(GaussianNoise::new(0.5)), 0.25), (Box::new(GaussianDropout::new(0.2)), 0.2 / 0.8)] };
    for (device, (layer, variance)) in devices().into_iter().flat_map(|d| cases().map(|c| (d.clone(), c))) {
        let y = of_ones(layer.as_ref(), &device, &[100, 200])?;
        let got = y.iter().sum::<f64>() / 20_000.0;
        let spread = y.iter().map(|v| (v - got).powi(2)).sum::<f64>() / 20_000.0;
        assert!((got - 1.0).abs() <= 0.02 && (spread - variance).abs() <= 0.02, "{}: {got} {spread}", layer.base().kind());
    }
    Ok(())
}

/// Inputs of mean 0 and variance 1 keep them.
#[test]
fn alpha_dropout_keeps_mean_and_variance() -> Result<()> {
    for device in devices() {
        let layer = AlphaDropout::new(0.3);
        layer.build(&Shape::from([300]), &Build::new(&device, 3))?;
        let x: Vec<f32> = (0..90_000).map(|i| crate::ops::random::host::normal(1, 2, i)).collect();
        let y = layer.call(&Tensor::new(&device, [300, 300], &x)?, &Call::training())?.to_vec::<f32>()?;
        let mean = y.iter().map(|v| f64::from(*v)).sum::<f64>() / 90_000.0;
        let variance = y.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / 90_000.0;
        assert!(mean.abs() <= 0.02 && (variance - 1.0).abs() <= 0.02, "{mean} {variance}");
        // Dropped: a = (0.7 · (1 + 0.3 · 1.7581²))^-½ = 0.8611, times -1.7581, plus 0.3 · 1.7581 · a.
        let dropped = y.iter().filter(|v| (f64::from(**v) + 1.059_7).abs() <= 1e-3).count();
        assert!(dropped.abs_diff(27_000) <= 1000, "{dropped}");
    }
    Ok(())
}

#[test]
fn activity_costs_a_mean_over_the_samples() -> Result<()> {
    for device in devices() {
        let x = Tensor::new(&device, [2, 2], &[1.0f32, -2.0, 3.0, 0.0])?;
        let layer = ActivityRegularization::new(0.5, 0.25);
        let cx = Call::inference();
        layer.apply(&x, &cx)?;
        // (0.5 · 6 + 0.25 · 14) / 2.
        assert_eq!(cx.losses()[0].item()?, 3.25);
        let cx = Call::training().with_valid(Some(Tensor::new(&device, [2], &[1.0f32, 0.0])?));
        layer.apply(&x, &cx)?;
        assert_eq!(cx.losses()[0].item()?, 0.5 * 3.0 + 0.25 * 5.0);
    }
    Ok(())
}

/// In a model, with a batch that is filled up, the loss of every batch has it.
#[test]
fn activity_is_part_of_the_loss() -> Result<()> {
    let x = ndarray::arr2(&[[1.0f32], [2.0], [3.0]]).into_dyn();
    for device in devices() {
        let dense = Dense::new(1).kernel_initializer("ones").activity_regularizer(L2(0.5));
        let mut model = Sequential::new().add(dense).input([1]).on_device(&device);
        model.compile(SGD::new(0.01), MeanSquaredError::default(), ())?;
        let result = model.evaluate((&x, &x))?;
        assert!((result.loss - 0.5 * 14.0 / 3.0).abs() <= 1e-5, "{}", result.loss);
    }
    Ok(())
}

#[test]
fn in_functional_models() -> Result<()> {
    let x = Input::new([4, 6]);
    let y = SpatialDropout1D::new(0.5).on(&GaussianNoise::new(0.1).on(&x)?)?;
    let y = ActivityRegularization::new(0.0, 0.1).on(&AlphaDropout::new(0.1).on(&GaussianDropout::new(0.1).on(&y)?)?)?;
    assert_eq!(y.shape()[..], [4, 6]);
    Ok(())
}

#[test]
fn wrong_settings_are_refused() {
    let cpu = Device::cpu();
    let text = |layer: &dyn Layer| layer.build(&Shape::from([3, 4]), &Build::new(&cpu, 0)).unwrap_err().to_string();
    assert!(text(&Dropout::new(1.5)).contains("rate: expected a number from 0 to 1, got 1.5"));
    assert!(text(&GaussianNoise::new(-1.0)).contains("stddev"));
    assert!(text(&GaussianDropout::new(1.0)).contains("below 1"));
    assert!(text(&AlphaDropout::new(f64::NAN)).contains("below 1"));
    assert!(text(&SpatialDropout2D::new(0.5)).contains("[height, width, channels]"));
    let layer = Dropout::new(0.5).noise_shape([None, Some(3)]);
    layer.build(&Shape::from([4]), &Build::new(&cpu, 0)).unwrap();
    let x = Tensor::zeros(&cpu, [2, 4]).unwrap();
    let text = layer.call(&x, &Call::training()).unwrap_err().to_string();
    assert!(text.contains("noise_shape"), "{text}");
    let named = Dense::new(1).activity_regularizer("l3");
    assert!(named.apply(&x, &Call::training()).is_err());
    let rule = L1L2 { l1: 0.1, l2: 0.0 };
    assert!(Dense::new(1).activity_regularizer(rule).base().activity_regularizer().get().unwrap().is_some());
}
