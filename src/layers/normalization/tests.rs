//! Against numbers worked out by hand, by plain loops, and in a model that is trained.

use super::*;
use crate::device::Device;
use crate::layers::{Call, Dense, Layer};
use crate::losses::MeanSquaredError;
use crate::models::{Input, Model, Sequential};
use crate::optimizers::SGD;
use crate::testing::{close, gpu};
use crate::train::{Fit, Verbose};
use crate::variable::Variable;

fn devices() -> Vec<Device> {
    [Some(Device::cpu()), gpu("normalization layers")].into_iter().flatten().collect()
}

fn built<L: Layer>(layer: L, device: &Device, sample: &[usize]) -> Result<L> {
    layer.build(&Shape::from(sample), &Build::new(device, 0))?;
    Ok(layer)
}

fn assert_near(what: &str, got: &Tensor, want: &[f64], tolerance: f64) {
    let got: Vec<f64> = got.to_vec::<f32>().unwrap().into_iter().map(f64::from).collect();
    close(&got, want, tolerance, tolerance).unwrap_or_else(|e| panic!("{what}: {e}"));
}

fn value(layer: &dyn Layer, name: &str) -> Tensor {
    let found = layer.variables().into_iter().find(|v| v.name().ends_with(name)).unwrap();
    found.value().unwrap()
}

/// Two samples of two channels, worked out in f64.
#[test]
fn two_samples_by_hand() -> Result<()> {
    for device in devices() {
        let x = Tensor::new(&device, [2, 2], &[1.0f32, 2.0, 3.0, 6.0])?;
        let batch = built(BatchNormalization::new(), &device, &[2])?;
        let y = batch.call(&x, &Call::training())?;
        assert_near("batch", &y, &[-0.999_500_375, -0.999_875_023, 0.999_500_375, 0.999_875_023], 1e-6);
        assert_near("moving mean", &value(&batch, "moving_mean"), &[0.02, 0.04], 1e-7);
        assert_near("moving variance", &value(&batch, "moving_variance"), &[1.0, 1.03], 1e-6);
        let y = batch.call(&x, &Call::inference())?;
        assert_near("batch, inference", &y, &[0.979_510_367, 1.930_308_570, 2.978_511_117, 5.869_713_813], 1e-6);
        let y = built(LayerNormalization::new(), &device, &[2])?.call(&x, &Call::training())?;
        assert_near("layer", &y, &[-0.998_005_980, 0.998_005_980, -0.999_777_852, 0.999_777_852], 1e-6);
        let y = built(RMSNormalization::new(), &device, &[2])?.call(&x, &Call::training())?;
        assert_near("rms", &y, &[0.632_455_406, 1.264_910_811, 0.632_455_518, 1.264_911_036], 1e-6);
        let zeros = Tensor::new(&device, [2, 2], &[3.0f32, -4.0, 0.0, 0.0])?;
        let y = built(UnitNormalization::new(), &device, &[2])?.call(&zeros, &Call::training())?;
        assert_near("unit", &y, &[0.6, -0.8, 0.0, 0.0], 1e-6);
    }
    Ok(())
}

/// Groups of two of four channels, over three positions.
#[test]
fn groups_by_loops() -> Result<()> {
    let values: Vec<f32> = (0..24).map(|i| ((i * 7 + 3) % 11) as f32 - 4.0).collect();
    for device in devices() {
        let x = Tensor::new(&device, [2, 3, 4], &values)?;
        let layer = built(GroupNormalization::new(2).epsilon(0.5), &device, &[3, 4])?;
        let cell = |n: usize, p: usize, c: usize| f64::from(values[n * 12 + p * 4 + c]);
        let mut want = Vec::new();
        for (n, p, c) in (0..24).map(|i| (i / 12, i / 4 % 3, i % 4)) {
            let group = || (0..6).map(move |i| cell(n, i / 2, c / 2 * 2 + i % 2));
            let mean = group().sum::<f64>() / 6.0;
            let variance = group().map(|v| (v - mean).powi(2)).sum::<f64>() / 6.0;
            want.push((cell(n, p, c) - mean) / (variance + 0.5).sqrt());
        }
        assert_near("groups", &layer.call(&x, &Call::training())?, &want, 1e-5);
    }
    Ok(())
}

/// Rows that fill up a batch change nothing, whatever is in them.
#[test]
fn filling_does_not_count() -> Result<()> {
    for device in devices() {
        let rows = [1.0f32, 2.0, -1.0, 0.5, 4.0, 4.0];
        let whole = built(BatchNormalization::new().momentum(0.5), &device, &[2])?;
        let want = whole.call(&Tensor::new(&device, [3, 2], &rows)?, &Call::training())?.to_vec::<f32>()?;
        let filled = built(BatchNormalization::new().momentum(0.5), &device, &[2])?;
        let x = Tensor::new(&device, [5, 2], &[&rows[..], &[f32::INFINITY, 9.0, f32::NAN, -9.0]].concat())?;
        let valid = Tensor::new(&device, [5], &[1.0f32, 1.0, 1.0, 0.0, 0.0])?;
        let y = filled.call(&x, &Call::training().with_valid(Some(valid)))?;
        assert_near("first rows", &y.narrow(0, 0, 3)?, &want.iter().map(|v| f64::from(*v)).collect::<Vec<_>>(), 1e-6);
        for name in ["moving_mean", "moving_variance"] {
            let want: Vec<f64> = value(&whole, name).to_vec::<f32>()?.into_iter().map(f64::from).collect();
            assert_near(name, &value(&filled, name), &want, 1e-6);
        }
    }
    Ok(())
}

/// Five samples in batches of two, so that the last is half full.
#[test]
fn moving_statistics_of_a_training() -> Result<()> {
    let x = ndarray::arr2(&[[1.0f32, -2.0], [3.0, 0.0], [0.5, 0.5], [-1.5, 2.0], [7.0, 1.0]]).into_dyn();
    let y = ndarray::Array2::<f32>::zeros((5, 2)).into_dyn();
    for (device, frozen) in devices().into_iter().flat_map(|d| [(d.clone(), false), (d, true)]) {
        let layer = BatchNormalization::new().momentum(0.75);
        let mut model = Sequential::new().add(layer.clone()).add(Dense::new(2)).input([2]).on_device(&device);
        layer.set_trainable(!frozen);
        model.compile(SGD::new(0.01), MeanSquaredError::default(), ())?;
        model.fit((&x, &y), Fit { batch_size: 2, epochs: 2, shuffle: false, verbose: Verbose::Silent, ..Fit::default() })?;
        let names: Vec<String> = model.variables().iter().map(Variable::name).collect();
        let path = |name: &str| format!("batch_normalization/{name}");
        assert_eq!(names[..4], [path("gamma"), path("beta"), path("moving_mean"), path("moving_variance")]);
        for column in 0..2 {
            let (mut mean, mut variance) = (0.0, 1.0);
            for batch in [[0, 1], [2, 3], [4, 4], [0, 1], [2, 3], [4, 4]].iter().filter(|_| !frozen) {
                let [a, b] = batch.map(|row| f64::from(x[[row, column]]));
                mean = 0.75 * mean + 0.25 * (a + b) / 2.0;
                variance = 0.75 * variance + 0.25 * ((a - b) / 2.0).powi(2);
            }
            assert_near("mean", &value(&layer, "moving_mean").narrow(0, column, 1)?, &[mean], 1e-6);
            assert_near("variance", &value(&layer, "moving_variance").narrow(0, column, 1)?, &[variance], 1e-6);
        }
    }
    Ok(())
}

#[test]
fn in_functional_models() -> Result<()> {
    let x = Input::new([4, 6]);
    let y = LayerNormalization::new().axis([1, 2]).on(&BatchNormalization::new().axis(1).on(&x)?)?;
    let y = UnitNormalization::new().on(&RMSNormalization::new().on(&GroupNormalization::each_channel().on(&y)?)?)?;
    let mut model = Model::new(&x, &y)?.on_device(&Device::cpu());
    model.build([4, 6])?;
    assert_eq!(model.output_specs()?[0].shape[..], [4, 6]);
    assert_eq!(model.count_params(), 4 * 4 + 2 * 24 + 2 * 6 + 6);
    Ok(())
}

#[test]
fn wrong_settings_are_refused() -> Result<()> {
    let cpu = Device::cpu();
    let text = |layer: &dyn Layer, sample: [usize; 2]| layer.build(&Shape::from(sample), &Build::new(&cpu, 0)).unwrap_err().to_string();
    assert!(text(&BatchNormalization::new().axis(0), [3, 4]).contains("axis 0 counts the samples"));
    assert!(text(&BatchNormalization::new().axis(3), [3, 4]).starts_with("BatchNormalization: axis"));
    assert!(text(&BatchNormalization::new().momentum(1.5), [3, 4]).contains("from 0 to 1, got 1.5"));
    assert!(text(&LayerNormalization::new().axis([1, -2]), [3, 4]).contains("each once"));
    assert!(text(&LayerNormalization::new().epsilon(f64::NAN), [3, 4]).contains("epsilon"));
    assert!(text(&RMSNormalization::new().epsilon(-1.0), [3, 4]).contains("epsilon"));
    assert!(text(&UnitNormalization::new().axis(vec![]), [3, 4]).contains("axis"));
    assert!(text(&GroupNormalization::default(), [3, 4]).contains("4 channels are a multiple of, got 32"));
    assert!(text(&BatchNormalization::new().gamma_initializer("onse"), [3, 4]).contains("did you mean"));
    let layer = built(BatchNormalization::new(), &cpu, &[4])?;
    let error = layer.call(&Tensor::zeros(&cpu, [2, 3])?, &Call::training()).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error}");
    Ok(())
}
