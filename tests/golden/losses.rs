//! Losses and accuracy against Keras.

use super::compare::{Backend, Digits, Failures, Want, read, single_backends};
use super::reader::{Case, File};
use gradus::losses::{self, BinaryCrossentropy, CategoricalCrossentropy, Loss, MeanSquaredError, Reduction, SparseCategoricalCrossentropy};
use gradus::metrics::{self, BinaryAccuracy, Metric, SparseTopKCategoricalAccuracy};
use gradus::{DType, GradientTape, Result, Tensor};

/// How a case's input becomes predictions.
#[derive(Clone, Copy)]
enum Route {
    AsIs,
    Softmax,
    Sigmoid,
    /// The loss cannot see that a softmax or a sigmoid made them.
    Hidden(fn(&Tensor) -> Result<Tensor>),
}

impl Route {
    fn predictions(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Route::AsIs => Ok(x.clone()),
            Route::Softmax => x.softmax(),
            Route::Sigmoid => x.sigmoid(),
            Route::Hidden(squash) => squash(x)?.mul_scalar(1.0),
        }
    }

    fn of(case: &str) -> Route {
        match case {
            _ if case.contains("_detached_softmax") => Route::Hidden(Tensor::softmax),
            _ if case.contains("_detached_sigmoid") => Route::Hidden(Tensor::sigmoid),
            _ if case.contains("_softmax_layer") => Route::Softmax,
            _ if case.contains("_sigmoid_layer") => Route::Sigmoid,
            _ => Route::AsIs,
        }
    }
}

/// The loss of a case, unless it is one of a metric or of weights.
fn loss(case: &Case) -> Option<Box<dyn Loss>> {
    let from_logits = case.name.contains("_logits_");
    let smoothing = if case.has("label_smoothing") { case.number("label_smoothing") } else { 0.0 };
    let mut words = case.name.split('_');
    Some(match words.next()? {
        "sparse" => Box::new(SparseCategoricalCrossentropy::new().from_logits(from_logits)),
        "ce" => Box::new(CategoricalCrossentropy::new().from_logits(from_logits).label_smoothing(smoothing)),
        "bce" => Box::new(BinaryCrossentropy::new().from_logits(from_logits).label_smoothing(smoothing)),
        "loss" => losses::from_name(words.next()?).unwrap_or_else(|e| panic!("{}: {e}", case.name)),
        "metric" | "mse" => return None,
        _ => panic!("{} is no case that this test knows", case.name),
    })
}

/// The metric of a case, if it is one of a metric.
fn metric(case: &Case) -> Option<Box<dyn Metric>> {
    let name = case.name.strip_prefix("metric_")?;
    Some(match name {
        "Mean" => Box::new(metrics::MeanSquaredError::new()),
        "BinaryAccuracy_threshold_0.25" => Box::new(BinaryAccuracy::new().threshold(0.25)),
        "SparseTopKCategoricalAccuracy_2" => Box::new(SparseTopKCategoricalAccuracy::new().k(2)),
        // Of columns, "accuracy" would take the largest.
        _ => metrics::from_name(name.split('_').next()?).unwrap_or_else(|e| panic!("{}: {e}", case.name)),
    })
}

fn file() -> File {
    File::parse("losses.txt", include_str!("losses.txt"))
}

fn labels(case: &Case, loss: &dyn Loss, on: &Backend) -> Result<Tensor> {
    case.tensor(&on.device, if loss.takes_classes() { DType::U32 } else { on.dtype }, "y_true")
}

/// Loss per sample, mean loss, and the gradient of the mean, by their fields.
fn evaluate(case: &Case, loss: &dyn Loss, on: &Backend) -> Result<Vec<(String, Vec<f64>)>> {
    let input = if case.has("logits") { "logits" } else { "y_pred" };
    let x = case.tensor(&on.device, on.dtype, input)?;
    let y_true = labels(case, loss, on)?;
    let tape = GradientTape::new();
    tape.watch(&x);
    let y_pred = Route::of(&case.name).predictions(&x)?;
    let mean = loss.value(&y_true, &y_pred)?;
    let gradients = tape.gradient(&mean, [&x])?;
    let per_sample = loss.call(&y_true, &y_pred)?;
    assert_eq!(per_sample.shape(), case.shape("per_sample"), "{}", case.name);
    assert_eq!(gradients.get(0)?.shape(), x.shape(), "{}", case.name);
    Ok(vec![("per_sample".into(), read(&per_sample)?), ("mean".into(), read(&mean)?), (format!("d{input}"), read(gradients.get(0)?)?)])
}

#[test]
fn losses() {
    let mut failures = Failures::default();
    for on in single_backends("golden values of losses") {
        for case in file().cases() {
            let Some(loss) = loss(case) else { continue };
            let results = evaluate(case, loss.as_ref(), &on).unwrap_or_else(|e| panic!("{} on {}: {e}", case.name, on.name()));
            for (field, got) in results {
                let values = case.f64s(&field);
                let want = Want { values: &values, digits: Digits::Single, terms: values.len(), beside: &[], each_above: None };
                failures.note(format!("{}, {field} on {}", case.name, on.name()), want.compare(&got, on.dtype));
            }
        }
    }
    failures.finish();
}

/// On confident logits a softmax that the loss sees, and one that it cannot see, differ: see the README. Both are as Keras has them.
#[test]
fn the_confident_cases_are_what_they_are_for() {
    let file = file();
    let worst = |case: &str| file.case(case).f64s("per_sample").into_iter().fold(0.0, f64::max);
    assert_eq!(worst("sparse_ce_softmax_layer_far"), 200.0);
    assert!((worst("sparse_ce_detached_softmax_far") - 16.118).abs() <= 1e-3);
}

#[test]
fn reductions() -> Result<()> {
    for on in single_backends("golden values of reductions") {
        let file = file();
        let case = file.case("mse_sample_weight");
        let [y_true, y_pred, weight] = ["y_true", "y_pred", "sample_weight"].map(|field| case.tensor(&on.device, on.dtype, field));
        let (y_true, y_pred, weight) = (y_true?, y_pred?, weight?);
        for reduction in ["sum", "sum_over_batch_size", "mean_with_sample_weight"] {
            let loss = MeanSquaredError::new().reduction(Reduction::from_name(reduction)?);
            let (got, want) = (loss.weighted_value(&y_true, &y_pred, Some(&weight), None)?.item()?, case.number(reduction));
            assert!((got - want).abs() <= 1e-6 * want, "{reduction} on {}: {got} instead of {want}", on.name());
        }
        let values = MeanSquaredError::new().call(&y_true, &y_pred)?.mul(&weight)?;
        gradus::testing::close(&read(&values)?, &case.f64s("none"), 0.0, 1e-6).expect("weighted values");
    }
    Ok(())
}

/// The accuracy of the name "accuracy" and the metric of the case, over one batch and over two.
#[test]
fn accuracy() -> Result<()> {
    const BY_SHAPE: [&str; 4] = [
        "metric_SparseCategoricalAccuracy",
        "metric_SparseCategoricalAccuracy_column_labels",
        "metric_CategoricalAccuracy",
        "metric_BinaryAccuracy",
    ];
    let mut count = 0;
    for on in single_backends("golden values of accuracy") {
        for case in file().cases() {
            let Some(own) = metric(case) else { continue };
            let by_shape = BY_SHAPE.contains(&case.name.as_str()).then(|| metrics::from_name("accuracy")).transpose()?;
            for metric in std::iter::once(own).chain(by_shape) {
                count += check(case, metric.as_ref(), &on)?;
            }
        }
    }
    assert!(count >= 28, "{count} batches");
    Ok(())
}

/// How many batches were compared.
fn check(case: &Case, metric: &dyn Metric, on: &Backend) -> Result<usize> {
    let dtype = if case.name.contains("Sparse") { DType::U32 } else { on.dtype };
    let mut sums = Vec::new();
    let mut count = 0;
    for batch in (0..).take_while(|batch| case.has(&format!("y_true{batch}"))) {
        let y_true = case.tensor(&on.device, dtype, &format!("y_true{batch}"))?;
        let y_pred = case.tensor(&on.device, on.dtype, &format!("y_pred{batch}"))?;
        let field = format!("sample_weight{batch}");
        let weights = if case.has(&field) { case.f32s(&field) } else { vec![1.0; y_pred.shape()[0]] };
        let added = read(&metric.update(&y_true, &y_pred, &Tensor::new(&on.device, [weights.len()], &weights)?)?)?;
        sums.resize(added.len(), 0.0);
        sums.iter_mut().zip(added).for_each(|(sum, add)| *sum += add);
        let (got, want) = (metric.result(&sums), case.number(&format!("result{batch}")));
        assert!((got - want).abs() <= 1e-6, "{}, batch {batch} on {}: {got} instead of {want}", case.name, on.name());
        count += 1;
    }
    Ok(count)
}
