//! A hundred steps of models of every kind against Keras: in a loop of one's own, by `fit`, and batch by batch.

use super::compare::{Failures, read, single_backends};
use super::models::{losses, model};
use super::optimizer_cases::optimizer;
use super::reader::{Case, File};
use gradus::layers::Call;
use gradus::losses::Loss;
use gradus::models::{Compile, Model};
use gradus::train::{Data, Fit, Samples, Verbose};
use gradus::{Device, GradientTape, Result, Tensor};
use ndarray::ArrayD;
use std::ops::Range;

const STEPS: usize = 100;

/// A result that is not compared: case, field, reason.
const LED_BY_ROUNDING: (&str, &str, &str) = (
    "attention_encoder",
    "after3",
    "the bias of the keys adds one number to all scores of a query, which changes no weight: it has no gradient but rounding's, and Adam divides \
     that by its own size",
);

fn file() -> File {
    File::parse("models.txt", include_str!("models.txt"))
}

/// How far results may be from Keras's, relative to each loss and to the largest of other numbers. Rounding moves these losses by 1e-5 of
/// themselves at most (see the README); a GPU has other functions besides.
fn tolerance(device: &Device) -> f64 {
    if device.is_gpu() { 1e-3 } else { 1e-4 }
}

/// Rows of numbers: an input, labels or weights.
struct Column {
    shape: Vec<usize>,
    numbers: Vec<f32>,
    /// Whole numbers: words, classes.
    whole: bool,
}

impl Column {
    fn new(case: &Case, field: &str, whole: bool) -> Column {
        Column { shape: case.shape(field).to_vec(), numbers: case.f32s(field), whole }
    }

    fn rows(&self, rows: Range<usize>) -> (Vec<usize>, &[f32]) {
        let size = self.numbers.len() / self.shape[0];
        ([&[rows.len()], &self.shape[1..]].concat(), &self.numbers[rows.start * size..rows.end * size])
    }

    fn tensor(&self, device: &Device, rows: Range<usize>) -> Result<Tensor> {
        let (shape, numbers) = self.rows(rows);
        if self.whole { Tensor::new(device, shape, &whole(numbers)) } else { Tensor::new(device, shape, numbers) }
    }

    fn samples(&self, rows: Range<usize>) -> Result<Samples> {
        let (shape, numbers) = self.rows(rows);
        if self.whole { Samples::new(shape, &whole(numbers)) } else { Samples::new(shape, numbers) }
    }
}

fn whole(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|&n| n as u32).collect()
}

/// What a model is trained with.
struct Training<'a> {
    case: &'a Case,
    x: Vec<Column>,
    y: Vec<Column>,
    sample_weight: Option<Column>,
    factors: Vec<f64>,
    batch: usize,
    device: Device,
}

impl<'a> Training<'a> {
    fn new(case: &'a Case, device: &Device) -> Training<'a> {
        let numbered = |name: &str| match case.has(name) {
            true => vec![name.to_string()],
            false => (0..).map(|i| format!("{name}{i}")).take_while(|field| case.has(field)).collect(),
        };
        let losses = losses(case);
        let words = case.name.starts_with("gru_words");
        let y: Vec<_> = numbered("y").iter().zip(&losses).map(|(field, loss)| Column::new(case, field, loss.takes_classes())).collect();
        assert_eq!(y.len(), losses.len(), "{}: losses", case.name);
        Training {
            case,
            x: numbered("x").iter().map(|field| Column::new(case, field, words)).collect(),
            y,
            sample_weight: case.has("sample_weight").then(|| Column::new(case, "sample_weight", false)),
            factors: if case.has("loss_weights") { case.f64s("loss_weights") } else { vec![1.0; losses.len()] },
            batch: case.count("batch") as usize,
            device: device.clone(),
        }
    }

    /// The model, with the weights that Keras gave it.
    fn model(&self) -> Result<Model> {
        let model = model(self.case, &self.device)?;
        let names: Vec<String> = model.variables().iter().map(|v| v.name()).collect();
        assert_eq!(names, self.weight_names(), "{}: the names of the weights", self.case.name);
        let weights = (0..names.len()).map(|i| format!("weight{i}"));
        let array = |field: String| ArrayD::from_shape_vec(self.case.shape(&field).to_vec(), self.case.f32s(&field));
        model.set_weights(&weights.map(|field| array(field).expect("the reader counted them")).collect::<Vec<_>>())?;
        Ok(model)
    }

    /// Keras's, without the name of a sequential model and those of cells.
    fn weight_names(&self) -> Vec<String> {
        let is_cell = |part: &&str| part.contains("_cell");
        let name = |path: &str| {
            let parts = path.split('/').filter(|part| *part != "sequential" && !is_cell(part));
            parts.collect::<Vec<_>>().join("/")
        };
        self.case.word("weights").split(' ').map(name).collect()
    }

    fn count(&self) -> usize {
        self.x[0].shape[0]
    }

    fn rows(&self, step: usize) -> Range<usize> {
        let start = step * self.batch % self.count();
        start..start + self.batch
    }

    fn tensors(&self, columns: &[Column], step: usize) -> Result<Vec<Tensor>> {
        columns.iter().map(|column| column.tensor(&self.device, self.rows(step))).collect()
    }

    fn data(&self, rows: Range<usize>) -> Result<Data> {
        let samples = |columns: &[Column]| columns.iter().map(|column| column.samples(rows.clone())).collect::<Result<Vec<_>>>();
        let data = Data::new(samples(&self.x)?, samples(&self.y)?)?;
        match &self.sample_weight {
            Some(weights) => data.sample_weight(weights.samples(rows)?),
            None => Ok(data),
        }
    }

    /// The loss of a step, and that of each output.
    fn loss(&self, model: &Model, losses: &[Box<dyn Loss>], outputs: &[Tensor], step: usize, cx: &Call) -> Result<(Tensor, Vec<Tensor>)> {
        let weights = self.sample_weight.as_ref().map(|w| w.tensor(&self.device, self.rows(step))).transpose()?;
        let labels = self.tensors(&self.y, step)?;
        let parts = losses.iter().zip(&labels).zip(outputs).map(|((loss, y), p)| loss.weighted_value(y, p, weights.as_ref(), None));
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let mut total = Tensor::scalar(&self.device, 0.0f32)?;
        for (part, factor) in parts.iter().zip(&self.factors) {
            total = total.add(&part.mul_scalar(*factor)?)?;
        }
        for penalty in model.losses(cx)? {
            total = total.add(&penalty)?;
        }
        Ok((total, parts))
    }

    /// What a loop of one's own sees, by the fields of the file.
    fn loop_of_ones_own(&self) -> Result<Vec<(String, Vec<f64>)>> {
        let (model, losses) = (self.model()?, losses(self.case));
        let mut optimizer = optimizer(self.case).expect("the crate has all optimizers");
        let (variables, all) = (model.trainable_variables(), model.variables());
        let mut seen = vec![Vec::new(); 1 + losses.len()];
        let mut results = Vec::new();
        for step in 0..STEPS {
            let tape = GradientTape::new();
            let cx = Call::training();
            let outputs = model.call_all(&self.tensors(&self.x, step)?, &cx)?;
            let (loss, parts) = self.loss(&model, &losses, &outputs, step, &cx)?;
            let gradients = tape.gradient(&loss, &variables)?;
            let pairs = variables.iter().enumerate().map(|(i, v)| Ok((gradients.get(i)?.clone(), v.clone())));
            optimizer.apply_gradients(&pairs.collect::<Result<Vec<_>>>()?)?;
            for (seen, value) in seen.iter_mut().zip([&loss].into_iter().chain(&parts)) {
                seen.push(value.item()?);
            }
            for (i, variable) in variables.iter().enumerate().filter(|_| step == 0) {
                let place = all.iter().position(|v| v.id() == variable.id()).expect("trained ones are among all");
                results.push((format!("gradient{place}"), read(gradients.get(i)?)?));
            }
        }
        for (i, variable) in all.iter().enumerate() {
            results.push((format!("after{i}"), read(&variable.value()?)?));
        }
        let cx = Call::inference();
        let outputs = model.call_all(&self.tensors(&self.x, 0)?, &cx)?;
        results.push(("loss_after".into(), vec![self.loss(&model, &losses, &outputs, 0, &cx)?.0.item()?]));
        let one = outputs.len() == 1;
        for (i, output) in outputs.iter().enumerate() {
            results.push((if one { "predictions".to_string() } else { format!("predictions{i}") }, read(output)?));
        }
        let mut seen = seen.into_iter();
        results.extend(seen.next().map(|losses| ("losses".to_string(), losses)));
        results.extend(seen.enumerate().filter(|_| !one).map(|(i, losses)| (format!("losses_of_output{i}"), losses)));
        Ok(results)
    }

    fn compiled(&self) -> Result<Model> {
        let mut model = self.model()?;
        let optimizer = optimizer(self.case).expect("the crate has all optimizers");
        model.compile_with(Compile::new(optimizer, losses(self.case)).loss_weights(self.factors.clone()))?;
        Ok(model)
    }

    /// The losses of all steps, and what each epoch reports of each output.
    fn by_fit(&self) -> Result<(Vec<f64>, Vec<Vec<f64>>)> {
        let mut model = self.compiled()?;
        let epochs = STEPS * self.batch / self.count();
        let options = Fit { epochs, batch_size: self.batch, shuffle: false, verbose: Verbose::Silent, advice: false, ..Fit::default() };
        let history = model.fit(self.data(0..self.count())?, Fit { record_steps: STEPS, ..options })?;
        let names = model.output_names();
        let report = |name: &String| history.get(&format!("{name}_loss")).unwrap_or(&[]).to_vec();
        let reports = if names.len() > 1 { names.iter().map(report).collect() } else { Vec::new() };
        Ok((history.step_losses, reports))
    }

    fn batch_by_batch(&self) -> Result<Vec<f64>> {
        let mut model = self.compiled()?;
        let mut losses = Vec::new();
        for step in 0..STEPS {
            model.reset_metrics();
            losses.push(model.train_on_batch(self.data(self.rows(step))?)?.loss);
        }
        Ok(losses)
    }

    fn compare(&self, field: &str, got: &[f64]) -> Result<(), String> {
        if (self.case.name.as_str(), field) == (LED_BY_ROUNDING.0, LED_BY_ROUNDING.1) {
            return Ok(());
        }
        // The same program in f64, where there is one, is what both mean to compute.
        let exact = format!("{field}_f64");
        let want = self.case.f64s(if self.case.has(&exact) { &exact } else { field });
        let tolerance = tolerance(&self.device);
        if field.starts_with("loss") {
            return gradus::testing::close(got, &want, 0.0, tolerance);
        }
        let largest = want.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        // A bias before a normalization has no gradient but rounding.
        gradus::testing::close(got, &want, tolerance * largest + 1e-6, 0.0)
    }
}

/// Runs a check of every case on the CPU and the GPU.
fn each_case(what: &str, check: impl Fn(&Training) -> Result<Vec<(String, Vec<f64>)>>) {
    let (file, mut failures) = (file(), Failures::default());
    assert_eq!(file.cases().count(), 11);
    for on in single_backends(what) {
        for case in file.cases() {
            let training = Training::new(case, &on.device);
            let results = check(&training).unwrap_or_else(|e| panic!("{} on {}: {e}", case.name, on.name()));
            for (field, got) in results {
                failures.note(format!("{}, {field} on {}", case.name, on.name()), training.compare(&field, &got));
            }
        }
    }
    failures.finish();
}

#[test]
fn in_a_loop_of_ones_own() {
    each_case("golden values of models", |training| training.loop_of_ones_own());
}

#[test]
fn by_fit() {
    each_case("golden values of models by fit", |training| {
        let (losses, reports) = training.by_fit()?;
        for (i, report) in reports.iter().enumerate() {
            let of_steps = training.case.f64s(&format!("losses_of_output{i}"));
            let steps = training.count() / training.batch;
            let means: Vec<f64> = of_steps.chunks(steps).map(|epoch| epoch.iter().sum::<f64>() / steps as f64).collect();
            let close = gradus::testing::close(report, &means, 0.0, tolerance(&training.device));
            close.unwrap_or_else(|e| panic!("{}: the reported losses of output {i}: {e}", training.case.name));
        }
        Ok(vec![("losses".to_string(), losses)])
    });
}

#[test]
fn batch_by_batch() {
    each_case("golden values of models batch by batch", |training| Ok(vec![("losses".to_string(), training.batch_by_batch()?)]));
}
