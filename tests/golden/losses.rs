//! Losses and accuracy against Keras.

use super::compare::{Backend, Digits, Failures, Want, read, single_backends};
use super::reader::{Case, File};
use super::skipped::{Skipped, cases_to_run};
use gradus::losses::{BinaryCrossentropy, CategoricalCrossentropy, Loss, MeanSquaredError, SparseCategoricalCrossentropy};
use gradus::metrics::{Accuracy, Metric};
use gradus::{DType, GradientTape, Result, Tensor};

const SKIPPED: [Skipped; 4] = [
    Skipped {
        reason: "losses that the crate does not have",
        cases: &[
            "loss_MeanAbsoluteError",
            "loss_Huber",
            "loss_LogCosh",
            "loss_Hinge",
            "loss_CosineSimilarity",
            "loss_KLDivergence",
            "loss_Poisson",
        ],
    },
    Skipped {
        reason: "sample weights are not an argument of losses and metrics",
        cases: &["mse_sample_weight", "metric_SparseCategoricalAccuracy_weighted", "metric_CategoricalAccuracy_weighted"],
    },
    Skipped {
        reason: "metrics that the crate does not have; Accuracy takes equal shapes of several columns for one-hot rows",
        cases: &[
            "metric_BinaryAccuracy_columns",
            "metric_BinaryAccuracy_threshold_0.25",
            "metric_SparseTopKCategoricalAccuracy_2",
            "metric_MeanAbsoluteError",
            "metric_Precision",
            "metric_Recall",
        ],
    },
    Skipped { reason: "a mean squared error as a metric, whose loss is held to loss_MeanSquaredError", cases: &["metric_Mean"] },
];

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

/// The loss of a case, if the crate has it.
fn loss(case: &Case) -> Option<Box<dyn Loss>> {
    let from_logits = case.name.contains("_logits_");
    let smoothing = if case.has("label_smoothing") { case.number("label_smoothing") } else { 0.0 };
    Some(match case.name.split('_').next()? {
        "sparse" => Box::new(SparseCategoricalCrossentropy::new().from_logits(from_logits)),
        "ce" => Box::new(CategoricalCrossentropy::new().from_logits(from_logits).label_smoothing(smoothing)),
        "bce" => Box::new(BinaryCrossentropy::new().from_logits(from_logits).label_smoothing(smoothing)),
        "loss" if case.name.starts_with("loss_MeanSquaredError") => Box::new(MeanSquaredError),
        _ => return None,
    })
}

/// Whether [`Accuracy`] is what a case's metric is.
fn is_accuracy(case: &Case) -> bool {
    const THOSE: [&str; 4] = [
        "metric_SparseCategoricalAccuracy",
        "metric_SparseCategoricalAccuracy_column_labels",
        "metric_CategoricalAccuracy",
        "metric_BinaryAccuracy",
    ];
    THOSE.contains(&case.name.as_str())
}

fn cases(file: &File) -> Vec<&Case> {
    cases_to_run(file, &SKIPPED, |case| loss(case).is_some() || is_accuracy(case))
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
    let mean = loss.mean(&y_true, &y_pred)?;
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
        for case in cases(&file()) {
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

/// The mean over one batch and over two.
#[test]
fn accuracy() -> Result<()> {
    let mut count = 0;
    for on in single_backends("golden values of accuracy") {
        let file = file();
        for case in cases(&file).into_iter().filter(|case| is_accuracy(case)) {
            let dtype = if case.name.contains("Sparse") { DType::U32 } else { on.dtype };
            let mut all = Vec::new();
            for batch in (0..).take_while(|batch| case.has(&format!("y_true{batch}"))) {
                let y_true = case.tensor(&on.device, dtype, &format!("y_true{batch}"))?;
                let y_pred = case.tensor(&on.device, on.dtype, &format!("y_pred{batch}"))?;
                all.extend(read(&Accuracy::default().call(&y_true, &y_pred)?)?);
                let (got, want) = (all.iter().sum::<f64>() / all.len() as f64, case.number(&format!("result{batch}")));
                assert!((got - want).abs() <= 1e-6, "{}, batch {batch} on {}: {got} instead of {want}", case.name, on.name());
                count += 1;
            }
        }
    }
    assert!(count >= 7, "{count} batches");
    Ok(())
}
