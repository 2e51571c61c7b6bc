//! Every loss against Keras: by sample, by every reduction, with sample weights and masks, and its gradient.

use super::compare::{Backend, Digits, Failures, Want, backends, read};
use super::reader::{Case, File};
use gradus::losses::*;
use gradus::{DType, GradientTape, Result, Shape, Spec, Tensor};

/// A loss with another reduction.
struct Reduced<'a> {
    loss: &'a dyn Loss,
    reduction: Reduction,
}

impl Loss for Reduced<'_> {
    fn name(&self) -> &str {
        self.loss.name()
    }
    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
        self.loss.check(y_true, y_pred)
    }
    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.loss.call(y_true, y_pred)
    }
    fn call_among(&self, y_true: &Tensor, y_pred: &Tensor, mask: &Tensor) -> Result<Tensor> {
        self.loss.call_among(y_true, y_pred, mask)
    }
    fn mask(&self, y_true: &Tensor, values: &Tensor) -> Result<Option<Tensor>> {
        self.loss.mask(y_true, values)
    }
    fn reduction(&self) -> Reduction {
        self.reduction
    }
}

/// The loss of a case with its options.
fn loss(case: &Case) -> Box<dyn Loss> {
    let number = |option: &str, otherwise: f64| if case.has(option) { case.number(option) } else { otherwise };
    let flag = |option: &str, otherwise: bool| if case.has(option) { case.flag(option) } else { otherwise };
    let axis = || number("axis", -1.0) as isize;
    let axes = || case.has("axis").then(|| case.integers("axis").into_iter().map(|axis| axis as isize).collect::<Vec<_>>());
    let (logits, smoothing) = (flag("from_logits", false), number("label_smoothing", 0.0));
    match case.word("class") {
        "CTC" => Box::new(CTC::new()),
        "Huber" => Box::new(Huber::new().delta(number("delta", 1.0))),
        "CosineSimilarity" => Box::new(CosineSimilarity::new().axis(axis())),
        "BinaryCrossentropy" => Box::new(BinaryCrossentropy::new().from_logits(logits).label_smoothing(smoothing).axis(axis())),
        "BinaryFocalCrossentropy" => Box::new(
            BinaryFocalCrossentropy::new()
                .from_logits(logits)
                .label_smoothing(smoothing)
                .axis(axis())
                .apply_class_balancing(flag("apply_class_balancing", false))
                .alpha(number("alpha", 0.25))
                .gamma(number("gamma", 2.0)),
        ),
        "CategoricalCrossentropy" => Box::new(CategoricalCrossentropy::new().from_logits(logits).label_smoothing(smoothing)),
        "CategoricalFocalCrossentropy" => Box::new(
            CategoricalFocalCrossentropy::new()
                .from_logits(logits)
                .label_smoothing(smoothing)
                .alpha(number("alpha", 0.25))
                .gamma(number("gamma", 2.0)),
        ),
        "SparseCategoricalCrossentropy" => {
            let ignored = case.has("ignore_class").then(|| case.number("ignore_class") as i64);
            Box::new(SparseCategoricalCrossentropy::new().from_logits(logits).ignore_class(ignored))
        }
        "CategoricalGeneralizedCrossEntropy" => Box::new(CategoricalGeneralizedCrossEntropy::new().q(number("q", 0.5))),
        "Dice" => Box::new(Dice::new().axis(axes())),
        "Tversky" => Box::new(Tversky::new().axis(axes()).alpha(number("alpha", 0.5)).beta(number("beta", 0.5))),
        "Circle" => Box::new(
            Circle::new().gamma(number("gamma", 80.0)).margin(number("margin", 0.4)).remove_diagonal(flag("remove_diagonal", true)),
        ),
        name => from_name(name).unwrap_or_else(|e| panic!("{}: {e}", case.name)),
    }
}

fn predictions(case: &Case, x: &Tensor) -> Result<Tensor> {
    match case.has("route").then(|| case.word("route")) {
        Some("softmax") => x.softmax(),
        Some("sigmoid") => x.sigmoid(),
        _ => Ok(x.clone()),
    }
}

/// What the case's fields should hold.
fn evaluate(case: &Case, on: &Backend) -> Result<Vec<(String, Vec<f64>)>> {
    let loss = loss(case);
    let y_true = case.tensor(&on.device, if loss.takes_classes() { DType::U32 } else { on.dtype }, "y_true")?;
    let x = case.tensor(&on.device, on.dtype, "x")?;
    let weight = case.tensor(&on.device, on.dtype, "sample_weight")?;
    let tape = GradientTape::new();
    tape.watch(&x);
    let y_pred = predictions(case, &x)?;
    let weighted = loss.weighted_value(&y_true, &y_pred, Some(&weight), None)?;
    let gradients = tape.gradient(&weighted, [&x])?;
    let values = loss.call(&y_true, &y_pred)?;
    assert_eq!(values.shape(), case.shape("per_sample"), "{}", case.name);
    let mut results = vec![("per_sample".into(), read(&values)?), ("dx".into(), read(gradients.get(0)?)?)];
    for name in ["sum_over_batch_size", "sum", "mean_with_sample_weight"] {
        let loss = Reduced { loss: loss.as_ref(), reduction: Reduction::from_name(name)? };
        results.push((name.into(), read(&loss.value(&y_true, &y_pred)?)?));
        results.push((format!("{name}_weighted"), read(&loss.weighted_value(&y_true, &y_pred, Some(&weight), None)?)?));
        if case.has("mask") {
            let mask = case.tensor(&on.device, on.dtype, "mask")?;
            results.push((format!("{name}_masked"), read(&loss.weighted_value(&y_true, &y_pred, Some(&weight), Some(&mask))?)?));
        }
    }
    Ok(results)
}

#[test]
fn weighted_losses() {
    let file = File::parse("weighted_losses.txt", include_str!("weighted_losses.txt"));
    let mut failures = Failures::default();
    for on in backends("golden values of weighted losses") {
        for case in file.cases() {
            let results = evaluate(case, &on).unwrap_or_else(|e| panic!("{} on {}: {e}", case.name, on.name()));
            for (field, got) in results {
                let (values, beside) = (case.f64s(&field), case.f64s("per_sample"));
                let beside = if field == "dx" { &[][..] } else { &beside };
                let want = Want { values: &values, digits: Digits::Single, terms: case.f64s("x").len(), beside, each_above: None };
                failures.note(format!("{}, {field} on {}", case.name, on.name()), want.compare(&got, on.dtype));
            }
        }
    }
    failures.finish();
}
