//! Whole trainings against Keras, from given weights: in a loop of one's own, and by `fit`.

use super::compare::{Failures, read, single_backends};
use super::optimizer_cases::optimizer;
use super::reader::{Case, File};
use super::skipped::{Skipped, cases_to_run};
use gradus::layers::{Call, Conv2D, Dense, Flatten, MaxPooling2D};
use gradus::losses::{Loss, MeanSquaredError, SparseCategoricalCrossentropy};
use gradus::metrics::{Accuracy, Metric};
use gradus::models::Sequential;
use gradus::ops::window::Padding;
use gradus::train::{Data, Fit, Samples, Verbose};
use gradus::{Device, GradientTape, Result, Shape, Tensor};
use ndarray::ArrayD;

const SKIPPED: [Skipped; 1] =
    [Skipped { reason: "the data of the other cases", cases: &["tiny_cnn_common", "small_cnn_common", "regression_common"] }];

/// A case of which only so many losses are compared: case, losses, reason.
const KNIFE_EDGE: (&str, usize, &str) = (
    "small_cnn_AdamW",
    5,
    "after the fourth step an input of a ReLU is 4e-7 from 0: on which side decides the rest, and Keras's Adam differs by more than that from its \
     formula (see the README); NumPy in float64 gets the crate's losses with exact powers, and Keras's with its rounded ones",
);

/// Of losses; and of gradients and weights, relative to the largest.
const TOLERANCE: f64 = 1e-5;

/// The ten losses of `tiny_cnn_Adam` and the loss after them, by a program in NumPy in float64 that was written apart from Keras.
const NUMPY_LOSSES: [f64; 10] =
    [1.086748209, 1.065609170, 1.046545338, 1.029252628, 1.013100246, 0.998295351, 0.985215860, 0.972900694, 0.961321262, 0.954746756];
const NUMPY_LOSS_AFTER: f64 = 0.949291401;

fn file() -> File {
    File::parse("training.txt", include_str!("training.txt"))
}

/// What a model of the file is trained on.
struct Setting<'a> {
    common: &'a Case,
    x: Vec<f32>,
    /// The shape of one sample.
    sample: Shape,
    batch: usize,
    steps: usize,
    loss: Box<dyn Loss>,
}

impl<'a> Setting<'a> {
    fn of(file: &'a File, case: &str) -> Setting<'a> {
        let crossentropy = || Box::new(SparseCategoricalCrossentropy::default());
        match case {
            _ if case.starts_with("tiny_cnn") => {
                let common = file.case("tiny_cnn_common");
                Setting { common, x: common.f32s("x"), sample: [5, 5, 1].into(), batch: 4, steps: 10, loss: crossentropy() }
            }
            _ if case.starts_with("small_cnn") => {
                let common = file.case("small_cnn_common");
                let x = fill(32 * 64, common.number("x_fill_a"), common.number("x_fill_b"));
                Setting { common, x, sample: [8, 8, 1].into(), batch: 8, steps: 30, loss: crossentropy() }
            }
            _ => {
                let common = file.case("regression_common");
                Setting { common, x: common.f32s("x"), sample: [3].into(), batch: 16, steps: 30, loss: Box::new(MeanSquaredError::new()) }
            }
        }
    }

    fn classifies(&self) -> bool {
        self.loss.takes_classes()
    }

    fn batches(&self) -> usize {
        self.x.len() / self.sample.elements() / self.batch
    }

    /// Inputs and labels of a step.
    fn batch(&self, device: &Device, step: usize) -> Result<(Tensor, Tensor)> {
        fn rows<T: Copy>(all: &[T], batch: usize, size: usize) -> &[T] {
            &all[batch * size..][..size]
        }
        let number = step % self.batches();
        let shape = [&[self.batch], &self.sample[..]].concat();
        let x = Tensor::new(device, shape, rows(&self.x, number, self.batch * self.sample.elements()))?;
        let y = if self.classifies() {
            let labels: Vec<u32> = self.common.integers("labels").into_iter().map(|l| l as u32).collect();
            Tensor::new(device, [self.batch], rows(&labels, number, self.batch))?
        } else {
            Tensor::new(device, [self.batch, 2], rows(&self.common.f32s("y"), number, 2 * self.batch))?
        };
        Ok((x, y))
    }

    fn data(&self) -> Result<Data> {
        let count = self.batches() * self.batch;
        let x = Samples::new([&[count], &self.sample[..]].concat(), &self.x)?;
        let y = if self.classifies() {
            Samples::new([count], &self.common.integers("labels"))?
        } else {
            Samples::new([count, 2], &self.common.f32s("y"))?
        };
        Data::new(x, y)
    }

    /// The model, with its given weights.
    fn model(&self, device: &Device) -> Result<Sequential> {
        let empty = Sequential::new().on_device(device);
        let mut model = match &self.sample[..] {
            [5, ..] => empty.add(Conv2D::new(2, 2).activation("relu")).add(MaxPooling2D::default()).add(Flatten::new()),
            [8, ..] => empty
                .add(Conv2D::new(4, 3).activation("relu"))
                .add(MaxPooling2D::default())
                .add(Conv2D::new(6, 3).activation("relu").padding(Padding::Same))
                .add(Flatten::new())
                .add(Dense::new(16).activation("relu")),
            _ => empty.add(Dense::new(8).activation("tanh")).add(Dense::new(6).activation("relu")),
        };
        model = match &self.sample[..] {
            [5, ..] => model.add(Dense::new(3).activation("softmax")),
            [8, ..] => model.add(Dense::new(5).activation("softmax")),
            _ => model.add(Dense::new(2)),
        };
        model.build(self.sample.clone())?;
        let weights = (0..).map_while(|i| self.common.has(&format!("weight{i}")).then(|| array(self.common, &format!("weight{i}"))));
        model.set_weights(&weights.collect::<Vec<_>>())?;
        Ok(model)
    }
}

/// `b · sin(a · (i + 1))` in row-major order, computed in f64.
fn fill(count: usize, a: f64, b: f64) -> Vec<f32> {
    (0..count).map(|i| (b * (a * (i as f64 + 1.0)).sin()) as f32).collect()
}

fn array(case: &Case, field: &str) -> ArrayD<f32> {
    ArrayD::from_shape_vec(case.shape(field).to_vec(), case.f32s(field)).expect("the reader counted them")
}

/// What a loop of one's own sees, by the fields of the file.
fn train(case: &Case, setting: &Setting, device: &Device) -> Result<Vec<(String, Vec<f64>)>> {
    let model = setting.model(device)?;
    let mut optimizer = optimizer(case).expect("the crate has all optimizers of these trainings");
    let variables = model.trainable_variables();
    let (mut losses, mut accuracies, mut results) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..setting.steps {
        let (x, y) = setting.batch(device, step)?;
        let tape = GradientTape::new();
        let predictions = model.call(&x, &Call::training())?;
        let loss = setting.loss.value(&y, &predictions)?;
        let gradients = tape.gradient(&loss, &variables)?;
        let pairs = variables.iter().enumerate().map(|(i, v)| Ok((gradients.get(i)?.clone(), v.clone())));
        optimizer.apply_gradients(&pairs.collect::<Result<Vec<_>>>()?)?;
        losses.push(loss.item()?);
        if case.has("accuracy") {
            let (accuracy, rows) = (Accuracy::default(), predictions.shape()[0]);
            let weights = Tensor::new(predictions.device(), [rows], &vec![1.0f32; rows])?;
            accuracies.push(accuracy.result(&read(&accuracy.update(&y, &predictions, &weights)?)?));
        }
        for i in (0..variables.len()).filter(|i| step == 0 && case.has(&format!("gradient{i}"))) {
            results.push((format!("gradient{i}"), read(gradients.get(i)?)?));
        }
    }
    for (i, variable) in variables.iter().enumerate().filter(|(i, _)| case.has(&format!("after{i}"))) {
        results.push((format!("after{i}"), read(&variable.value()?)?));
    }
    let (x, y) = setting.batch(device, 0)?;
    let predictions = model.call(&x, &Call::inference())?;
    results.push(("predictions".into(), read(&predictions)?));
    results.push(("loss_after".into(), vec![setting.loss.value(&y, &predictions)?.item()?]));
    results.push(("losses".into(), losses));
    if case.has("accuracy") {
        results.push(("accuracy".into(), accuracies));
    }
    Ok(results)
}

/// Within the tolerance of the largest number; losses, each of its own.
fn close(field: &str, got: &[f64], want: &[f64]) -> Result<(), String> {
    let relative = if field.starts_with("loss") { TOLERANCE } else { 0.0 };
    let largest = want.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    gradus::testing::close(got, want, TOLERANCE * largest * f64::from(u8::from(relative == 0.0)), relative)
}

fn compare(case: &Case, field: &str, got: &[f64], want: &[f64]) -> Result<(), String> {
    let (knife_edge, losses, _) = KNIFE_EDGE;
    if case.name != knife_edge {
        return close(field, got, want);
    }
    assert_eq!((field, got.len(), want.len()), ("losses", 30, 30));
    close(field, &got[..losses], &want[..losses])
}

#[test]
fn in_a_loop_of_ones_own() {
    let file = file();
    let mut failures = Failures::default();
    for on in single_backends("golden values of trainings") {
        for case in cases_to_run(&file, &SKIPPED, |case| optimizer(case).is_some()) {
            let setting = Setting::of(&file, &case.name);
            let results = train(case, &setting, &on.device).unwrap_or_else(|e| panic!("{} on {}: {e}", case.name, on.name()));
            for (field, got) in results {
                if case.name == KNIFE_EDGE.0 && field != "losses" {
                    continue;
                }
                // The same program in f64, where there is one, is what both mean to compute.
                let exact = format!("{field}_f64");
                let want = case.f64s(if case.has(&exact) { &exact } else { &field });
                failures.note(format!("{}, {field} on {}", case.name, on.name()), compare(case, &field, &got, &want));
            }
        }
    }
    failures.finish();
}

#[test]
fn by_fit() {
    let file = file();
    let mut failures = Failures::default();
    for on in single_backends("golden values of trainings by fit") {
        for case in cases_to_run(&file, &SKIPPED, |case| optimizer(case).is_some()) {
            let setting = Setting::of(&file, &case.name);
            let run = || -> Result<Vec<f64>> {
                let mut model = setting.model(&on.device)?;
                let optimizer = optimizer(case).expect("only such cases are run");
                let loss = gradus::losses::from_name(setting.loss.name())?;
                model.compile(optimizer, loss, Vec::<Accuracy>::new())?;
                let epochs = setting.steps.div_ceil(setting.batches());
                let options = Fit { epochs, batch_size: setting.batch, shuffle: false, verbose: Verbose::Silent, ..Fit::default() };
                Ok(model.fit(setting.data()?, Fit { record_steps: setting.steps, ..options })?.step_losses)
            };
            let losses = run().unwrap_or_else(|e| panic!("{} on {}: {e}", case.name, on.name()));
            failures.note(format!("{} on {}", case.name, on.name()), compare(case, "losses", &losses, &case.f64s("losses_f64")));
        }
    }
    failures.finish();
}

/// The second witness, which knows nothing of Keras.
#[test]
fn ten_steps_agree_with_numpy() -> Result<()> {
    let file = file();
    let case = file.case("tiny_cnn_Adam");
    for on in single_backends("ten steps against NumPy") {
        let results = train(case, &Setting::of(&file, &case.name), &on.device)?;
        let find = |field: &str| results.iter().find(|(f, _)| f == field).map(|(_, values)| values.clone()).expect("made above");
        close("losses", &find("losses"), &NUMPY_LOSSES).unwrap_or_else(|e| panic!("{}: {e}", on.name()));
        close("losses", &find("loss_after"), &[NUMPY_LOSS_AFTER]).unwrap_or_else(|e| panic!("{}: {e}", on.name()));
    }
    Ok(())
}

/// The two models of Keras's introductory courses have as many parameters as there.
#[test]
fn parameters_are_counted_as_in_keras() -> Result<()> {
    let mut digits = Sequential::new()
        .add(Conv2D::new(32, 3).activation("relu"))
        .add(Conv2D::new(64, 3).activation("relu"))
        .add(Flatten::new())
        .add(Dense::new(128).activation("relu"))
        .add(Dense::new(10).activation("softmax"))
        .on_device(&Device::cpu());
    digits.build([28, 28, 1])?;
    assert_eq!(digits.count_params(), 4_738_826);
    let mut pictures = Sequential::new()
        .add(Conv2D::new(16, 3).activation("relu"))
        .add(MaxPooling2D::default())
        .add(Conv2D::new(32, 3).activation("relu"))
        .add(MaxPooling2D::default())
        .add(Flatten::new())
        .add(Dense::new(256).activation("relu"))
        .add(Dense::new(100).activation("softmax"))
        .on_device(&Device::cpu());
    pictures.build([32, 32, 3])?;
    assert_eq!(pictures.count_params(), 325_956);
    Ok(())
}
