//! `fit`, `evaluate` and `predict` from outside: Keras's numbers, the last partial batch, and what happens to bad data.

use gradus::layers::ActivationFn::{Relu, Softmax};
use gradus::layers::{Conv2D, Dense, Dropout, Flatten, MaxPooling2D, Rescaling};
use gradus::losses::{BinaryCrossentropy, CategoricalCrossentropy, MeanSquaredError, SparseCategoricalCrossentropy};
use gradus::metrics::Accuracy;
use gradus::models::Sequential;
use gradus::optimizers::{Adam, SGD};
use gradus::train::{Data, Evaluate, Fit, Samples, Verbose};
use gradus::{Device, Error, Result};
use ndarray::ArrayD;

/// `b · sin(a · (i + 1))` in row-major order.
fn fill(shape: &[usize], a: f64, b: f64) -> ArrayD<f32> {
    let n: usize = shape.iter().product();
    let values = (0..n).map(|i| (b * (a * (i as f64 + 1.0)).sin()) as f32).collect();
    ArrayD::from_shape_vec(shape.to_vec(), values).expect("as many values as the shape has")
}

fn quiet() -> Fit<'static> {
    Fit { verbose: Verbose::Silent, ..Fit::default() }
}

/// Which of four corners is bright.
fn corners(samples: usize) -> Data {
    let mut x = vec![0u8; samples * 36];
    let labels: Vec<u8> = (0..samples).map(|i| (i * 7 % 4) as u8).collect();
    for (i, &label) in labels.iter().enumerate() {
        let (row, column) = (usize::from(label) / 2 * 3, usize::from(label) % 2 * 3);
        for cell in 0..9 {
            x[i * 36 + (row + cell / 3) * 6 + column + cell % 3] = (100 + (i * 31 + cell * 17) % 156) as u8;
        }
    }
    Data::new(Samples::new([samples, 6, 6, 1], &x).expect("36 bytes a sample"), &labels).expect("a label for each")
}

/// The CPU, and the adapter that tests run on if there is one.
fn devices(what: &str) -> Vec<Device> {
    std::iter::once(Device::cpu()).chain(gradus::testing::gpu(what)).collect()
}

fn small() -> Result<Sequential> {
    small_on(&Device::cpu())
}

fn small_on(device: &Device) -> Result<Sequential> {
    let mut model = Sequential::new()
        .add(Rescaling::new(1.0 / 255.0))
        .add(Conv2D::new(4, 3).activation(Relu))
        .add(Flatten::new())
        .add(Dense::new(4).activation(Softmax))
        .on_device(device);
    model.compile(Adam::new(0.01), SparseCategoricalCrossentropy::default(), [Accuracy::default()])?;
    Ok(model)
}

/// Ten steps of a tiny network against the same in NumPy float64 (whose gradients agree with central differences).
#[test]
fn ten_steps_agree_with_numpy() -> Result<()> {
    devices("ten steps of training").iter().try_for_each(ten_steps)
}

fn ten_steps(device: &Device) -> Result<()> {
    let mut model = Sequential::new()
        .add(Conv2D::new(2, 2).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(Dense::new(3).activation(Softmax))
        .on_device(device)
        .input([5, 5, 1]);
    model.compile(Adam::new(0.01), SparseCategoricalCrossentropy::default(), [Accuracy::default()])?;
    let zeros = |n: usize| ArrayD::zeros(vec![n]);
    model.set_weights(&[fill(&[2, 2, 1, 2], 1.3, 0.5), zeros(2), fill(&[8, 3], 0.9, 0.5), zeros(3)])?;
    let data = Data::new(&fill(&[4, 5, 5, 1], 0.7, 1.0), &[0u8, 1, 2, 1][..])?;
    let history = model.fit(&data, Fit { epochs: 10, batch_size: 4, shuffle: false, record_steps: 10, ..quiet() })?;
    let want =
        [1.086748209, 1.065609170, 1.046545338, 1.029252628, 1.013100246, 0.998295351, 0.985215860, 0.972900694, 0.961321262, 0.954746756];
    for losses in [&history.step_losses[..], history.get("loss").expect("logged")] {
        assert_eq!(losses.len(), want.len());
        for (got, want) in losses.iter().zip(want) {
            assert!((got - want).abs() <= 1e-5 * want, "{device}: {losses:?}");
        }
    }
    assert_eq!(history.get("accuracy"), Some(&[0.25, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5][..]));
    let after = model.evaluate(&data)?;
    assert!((after.loss - 0.949291401).abs() <= 1e-5, "{after}");
    let weights = model.get_weights()?;
    let want = [0.385642474, 0.158996876, -0.441497999, -0.381445922, 0.204522641, 0.501606342, 0.257805832, -0.491453920];
    assert_eq!(weights[0].len(), want.len());
    assert!(weights[0].iter().zip(want).all(|(g, w): (&f32, f64)| (f64::from(*g) - w).abs() <= 1e-5), "{}", weights[0]);
    Ok(())
}

#[test]
fn learns_and_reports() -> Result<()> {
    let mut model = small()?;
    let history = model.fit(corners(203), Fit { epochs: 8, batch_size: 16, validation: Some(corners(50)), ..quiet() })?;
    let names: Vec<&str> = history.logs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["loss", "accuracy", "val_loss", "val_accuracy"]);
    assert_eq!(history.epochs, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert!(history.logs.iter().all(|(_, values)| values.len() == 8));
    assert_eq!(history.last("val_accuracy"), Some(1.0), "{history}");
    let result = model.evaluate(corners(50))?;
    assert!(history.last("val_loss").is_some_and(|l| (l - result.loss).abs() <= 1e-6), "{history}{result}");
    assert_eq!(result.metric("accuracy"), Some(1.0));
    Ok(())
}

/// The filling of the last batch must not count, whatever the batch size.
#[test]
fn results_do_not_depend_on_the_batch_size() -> Result<()> {
    let mut model = small()?;
    model.fit(corners(40), quiet())?;
    let data = corners(53);
    let whole = model.evaluate_with(&data, Evaluate { batch_size: 53, ..Evaluate::default() })?;
    for batch_size in [1, 7, 32, 1000] {
        let parts = model.evaluate_with(&data, Evaluate { batch_size, ..Evaluate::default() })?;
        assert!((parts.loss - whole.loss).abs() <= 1e-6, "{batch_size}: {parts} instead of {whole}");
        assert_eq!(parts.metrics, whole.metrics, "{batch_size}");
    }
    let x = Samples::new([3, 6, 6, 1], &[7u8; 108])?;
    let predictions = model.predict(&x, 2)?;
    assert_eq!(predictions.shape(), [3, 4]);
    assert!(predictions.rows().into_iter().all(|row| (row.sum() - 1.0).abs() <= 1e-6), "{predictions}");
    assert_eq!(predictions.row_bits(0), predictions.row_bits(2));
    Ok(())
}

trait RowBits {
    fn row_bits(&self, row: usize) -> Vec<u32>;
}
impl RowBits for ArrayD<f32> {
    fn row_bits(&self, row: usize) -> Vec<u32> {
        self.rows().into_iter().nth(row).expect("a row").iter().map(|v| v.to_bits()).collect()
    }
}

#[test]
fn the_last_batch_trains_with_its_own_samples_only() -> Result<()> {
    // One step over 5 samples of which a batch of 8 is too large, and one over 5 of 5, are the same step.
    let losses = |batch_size| -> Result<(f64, Vec<ArrayD<f32>>)> {
        let mut model = small()?;
        let history = model.fit(corners(5), Fit { batch_size, shuffle: false, ..quiet() })?;
        Ok((history.last("loss").expect("logged"), model.get_weights()?))
    };
    assert_eq!(losses(5)?, losses(8)?);
    // Plain gradient descent on 3 samples in batches of 2: the second step sees the third sample alone, at full weight.
    let train = |order: &[usize], batch_size: usize| -> Result<Vec<ArrayD<f32>>> {
        let all = corners(3);
        let x: Vec<u8> =
            order.iter().flat_map(|&i| all.x[0].numbers().skip(i * 36).take(36).map(|v| v as u8).collect::<Vec<_>>()).collect();
        let y: Vec<u8> = order.iter().map(|&i| (i * 7 % 4) as u8).collect();
        let mut model = small()?;
        model.compile(SGD::new(0.1), SparseCategoricalCrossentropy::default(), [Accuracy::default()])?;
        model.fit((Samples::new([order.len(), 6, 6, 1], &x)?, &y), Fit { batch_size, shuffle: false, ..quiet() })?;
        model.get_weights()
    };
    // Twice the third sample in the second batch has the same mean gradient.
    let (padded, doubled) = (train(&[0, 1, 2], 2)?, train(&[0, 1, 2, 2], 2)?);
    for (a, b) in padded.iter().zip(&doubled) {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-6), "{a} {b}");
    }
    Ok(())
}

fn with_dropout(device: &Device, seed: u64) -> Result<Sequential> {
    let mut model = Sequential::new()
        .add(Rescaling::new(1.0 / 255.0))
        .add(Conv2D::new(3, 3).activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(Dropout::new(0.3))
        .add(Dense::new(4).activation("softmax"))
        .seed(seed)
        .on_device(device);
    model.compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Accuracy::default()])?;
    Ok(model)
}

#[test]
fn one_seed_one_result() -> Result<()> {
    for device in devices("training twice") {
        let train = |seed| -> Result<Vec<ArrayD<f32>>> {
            let mut model = with_dropout(&device, seed)?;
            model.fit(corners(60), Fit { epochs: 3, batch_size: 8, ..quiet() })?;
            model.get_weights()
        };
        assert_eq!(train(5)?, train(5)?, "{device}");
        assert_ne!(train(5)?, train(6)?, "{device}");
    }
    Ok(())
}

/// First weights, order and dropout are the same bits everywhere; sums differ in their last ones.
#[test]
fn devices_train_alike() -> Result<()> {
    let mut all = Vec::new();
    for device in devices("training on two devices") {
        let mut model = with_dropout(&device, 3)?;
        let history = model.fit(corners(60), Fit { epochs: 3, batch_size: 8, record_steps: 20, ..quiet() })?;
        assert_eq!(history.step_losses.len(), 20);
        all.push((device, history.step_losses));
    }
    let (_, want) = &all[0];
    for (device, got) in &all[1..] {
        assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() <= 1e-4 * w), "{device}: {got:?} instead of {want:?}");
    }
    Ok(())
}

#[test]
fn data_that_do_not_fit_say_so() -> Result<()> {
    let data = corners(8);
    let (x, y) = (data.x.clone(), data.y.clone());
    let text = |result: Result<gradus::train::History>| result.expect_err("must fail").to_string();
    let mut raw = Sequential::new().add(Dense::new(4));
    assert_eq!(text(raw.fit(&data, quiet())), "you must call `compile()` before calling `fit()`");
    let mut model = small()?;
    assert!(text(model.fit((&x, &[0u8; 7][..]), quiet())).contains("one of the labels for each of 8 samples"));
    assert!(text(model.fit(&data, Fit { batch_size: 0, ..quiet() })).contains("batch_size: expected at least 1, got 0"));
    assert!(text(model.fit(data.take(0), quiet())).contains("at least one sample"));
    let labels = [0i64, 1, 2, 3, 4, 0, 0, 0];
    assert_eq!(
        model.fit((&x, &labels[..]), quiet()).expect_err("five classes"),
        Error::Label { op: "sparse_categorical_crossentropy".into(), label: 4, position: 4, classes: 4 }
    );
    assert!(matches!(model.fit((&x, &[-1i32; 8][..]), quiet()), Err(Error::Label { label: -1, position: 0, .. })));
    assert!(text(model.fit((&x, &[0.5f32; 8][..]), quiet())).contains("whole numbers"));
    model.compile(Adam::default(), CategoricalCrossentropy::default(), [Accuracy::default()])?;
    let got = text(model.fit(&Data { x: x.clone(), y, sample_weight: Vec::new() }, quiet()));
    assert!(got.contains("u8[8] with whole numbers from 0 to 3") && got.contains("did you mean SparseCategoricalCrossentropy?"), "{got}");
    let wrong = Samples::new([8, 5, 5, 1], &[0u8; 200])?;
    let got = text(model.fit((&wrong, &fill(&[8, 4], 1.0, 1.0)), quiet()));
    assert!(got.contains("a batch of samples of [6, 6, 1]"), "{got}");
    Ok(())
}

/// Data of another layout that Keras accepts: no channel axis, labels `[n, 1]`, float64, one-hot.
#[test]
fn data_that_keras_takes_are_taken() -> Result<()> {
    let data = corners(16);
    let flat = Samples::new([16, 6, 6], &data.x[0].numbers().map(|v| v / 255.0).collect::<Vec<f64>>())?;
    let labels: Vec<i64> = data.y[0].numbers().map(|v| v as i64).collect();
    let mut model = small()?.input([6, 6, 1]);
    model.fit((&flat, Samples::new([16, 1], &labels)?), quiet())?;
    let mut one_hot = ArrayD::<f32>::zeros(vec![16, 4]);
    for (i, &label) in labels.iter().enumerate() {
        one_hot[[i, label as usize]] = 1.0;
    }
    let mut dense = small()?.input([6, 6, 1]);
    dense.compile(Adam::new(0.01), CategoricalCrossentropy::default(), [Accuracy::default()])?;
    dense.fit((&flat, &one_hot), quiet())?;
    for (a, b) in model.get_weights()?.iter().zip(dense.get_weights()?) {
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-5), "sparse and dense labels train alike");
    }
    Ok(())
}

#[test]
fn other_losses_train() -> Result<()> {
    let x = fill(&[64, 3], 2.0, 1.0);
    let yes: Vec<f32> = x.rows().into_iter().map(|row| if row[0] > 0.0 { 1.0 } else { 0.0 }).collect();
    let mut model = Sequential::new().add(Dense::new(1).activation("sigmoid")).on_device(&Device::cpu());
    model.compile(Adam::new(0.3), BinaryCrossentropy::default(), [Accuracy::default()])?;
    let history = model.fit((&x, &yes), Fit { epochs: 40, ..quiet() })?;
    assert!(history.last("accuracy").is_some_and(|a| a >= 0.95), "{history}");
    let sums: Vec<f32> = x.rows().into_iter().map(|row| row.sum()).collect();
    let mut model = Sequential::new().add(Dense::new(1)).on_device(&Device::cpu());
    model.compile(Adam::new(0.1), MeanSquaredError::new(), Vec::<Accuracy>::new())?;
    let history = model.fit((&x, Samples::new([64, 1], &sums)?), Fit { epochs: 120, ..quiet() })?;
    assert!(history.last("loss").is_some_and(|l| l <= 1e-3), "{history}");
    Ok(())
}

#[test]
fn a_nan_in_the_data_is_found() -> Result<()> {
    devices("a NaN in the data").iter().try_for_each(nan_in_the_data)
}

fn nan_in_the_data(device: &Device) -> Result<()> {
    let mut x = fill(&[40, 6, 6, 1], 0.1, 1.0);
    x[[29, 2, 3, 0]] = f32::NAN;
    let y: Vec<u8> = (0..40).map(|i| i % 4).collect();
    let mut model = small_on(device)?;
    let options = || Fit { batch_size: 8, shuffle: false, ..quiet() };
    let error = model.fit((&x, &y), options()).expect_err("a NaN");
    assert_eq!(error.to_string(), "NaN in the input of sample 29, which step 4 of epoch 1 used; clean the data", "{device}");
    // The weights are those after three good steps: neither the bad one nor the one after it changed them.
    let mut short = small_on(device)?;
    let first = Samples::new([24, 6, 6, 1], &x.as_slice().expect("contiguous")[..24 * 36])?;
    short.fit((first, &y[..24]), options())?;
    let weights = model.get_weights()?;
    assert!(weights.iter().flatten().all(|w| w.is_finite()), "{device}");
    assert_eq!(weights, short.get_weights()?, "{device}");
    let text = model.evaluate((&x, &y)).expect_err("a NaN").to_string();
    assert_eq!(text, "NaN in the input of sample 29, which step 1 of the evaluation used; clean the data", "{device}");
    Ok(())
}

#[test]
fn trouble_in_the_weights_or_layers_is_found() -> Result<()> {
    let mut model = small()?;
    model.build([6, 6, 1])?;
    let mut weights = model.get_weights()?;
    weights[2][[5, 1]] = f32::INFINITY;
    model.set_weights(&weights)?;
    let text = model.fit(corners(8), quiet()).expect_err("an infinite weight").to_string();
    assert!(text.starts_with("infinity in the weight dense/kernel before step 1 of epoch 1"), "{text}");
    let mut model =
        Sequential::new().add(Dense::new(3).activation("exponential")).add(Dense::new(4).activation("softmax")).on_device(&Device::cpu());
    model.compile(SGD::default(), SparseCategoricalCrossentropy::default(), [Accuracy::default()])?;
    let x = fill(&[4, 2], 0.5, 1e6);
    let text = model.fit((&x, &[0u8, 1, 2, 3][..]), quiet()).expect_err("an overflow").to_string();
    assert!(text.starts_with("infinity in the output of layer dense (Dense) in step 1 of epoch 1"), "{text}");
    Ok(())
}

#[test]
fn training_goes_on_where_it_stopped() -> Result<()> {
    let data = corners(40);
    let mut whole = small()?;
    whole.fit(&data, Fit { epochs: 4, ..quiet() })?;
    let mut parts = small()?;
    parts.fit(&data, Fit { epochs: 2, ..quiet() })?;
    let history = parts.fit(&data, Fit { epochs: 4, initial_epoch: 2, ..quiet() })?;
    assert_eq!(history.epochs, [2, 3]);
    assert_eq!(whole.get_weights()?, parts.get_weights()?);
    Ok(())
}
