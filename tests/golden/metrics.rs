//! Every metric against Keras: after one batch and after two, with and without sample weights.

use super::compare::{Backend, Failures, read, single_backends};
use super::reader::{Case, File};
use gradus::metrics::*;
use gradus::testing::close;
use gradus::{DType, Function, Result, Tensor, losses};

/// The options of a case.
struct Options<'a>(&'a Case);

impl Options<'_> {
    fn number(&self, option: &str, otherwise: f64) -> f64 {
        if self.0.has(option) { self.0.number(option) } else { otherwise }
    }
    fn size(&self, option: &str, otherwise: usize) -> usize {
        self.number(option, otherwise as f64) as usize
    }
    fn maybe_size(&self, option: &str) -> Option<usize> {
        self.0.has(option).then(|| self.0.number(option) as usize)
    }
    fn flag(&self, option: &str, otherwise: bool) -> bool {
        if self.0.has(option) { self.0.flag(option) } else { otherwise }
    }
    fn word(&self, option: &str, otherwise: &'static str) -> String {
        if self.0.has(option) { self.0.word(option).to_string() } else { otherwise.to_string() }
    }
    /// As Python's floats, of which the file has roundings.
    fn numbers(&self, option: &str) -> Option<Vec<f64>> {
        self.0.has(option).then(|| self.0.f64s(option))
    }
    fn targets(&self) -> Vec<usize> {
        self.0.sizes("target_class_ids")
    }
}

/// The metric of a case with its options.
fn metric(case: &Case) -> Box<dyn Metric> {
    let o = Options(case);
    confusion(case, &o).or_else(|| overlap(case, &o)).or_else(|| score(case, &o)).unwrap_or_else(|| {
        let name = case.word("class");
        from_name(name).unwrap_or_else(|e| panic!("{}: {e}", case.name))
    })
}

fn confusion(case: &Case, o: &Options) -> Option<Box<dyn Metric>> {
    let cuts = || o.numbers("thresholds").unwrap_or_else(|| vec![0.5]);
    let count = || o.size("num_thresholds", 200);
    let class = || o.maybe_size("class_id");
    Some(match case.word("class") {
        "TruePositives" => Box::new(TruePositives::new().thresholds(cuts())),
        "TrueNegatives" => Box::new(TrueNegatives::new().thresholds(cuts())),
        "FalsePositives" => Box::new(FalsePositives::new().thresholds(cuts())),
        "FalseNegatives" => Box::new(FalseNegatives::new().thresholds(cuts())),
        "Precision" => Box::new(Precision::new().thresholds(o.numbers("thresholds")).top_k(o.maybe_size("top_k")).class_id(class())),
        "Recall" => Box::new(Recall::new().thresholds(o.numbers("thresholds")).top_k(o.maybe_size("top_k")).class_id(class())),
        "PrecisionAtRecall" => Box::new(PrecisionAtRecall::new(case.number("recall")).num_thresholds(count()).class_id(class())),
        "RecallAtPrecision" => Box::new(RecallAtPrecision::new(case.number("precision")).num_thresholds(count()).class_id(class())),
        "SensitivityAtSpecificity" => {
            Box::new(SensitivityAtSpecificity::new(case.number("specificity")).num_thresholds(count()).class_id(class()))
        }
        "SpecificityAtSensitivity" => {
            Box::new(SpecificityAtSensitivity::new(case.number("sensitivity")).num_thresholds(count()).class_id(class()))
        }
        "AUC" => {
            let curve = match o.word("curve", "ROC").as_str() {
                "ROC" => Curve::Roc,
                "PR" => Curve::Pr,
                "PRGAIN" => Curve::PrGain,
                other => panic!("{}: {other}", case.name),
            };
            let summation = match o.word("summation_method", "interpolation").as_str() {
                "interpolation" => Summation::Interpolation,
                "minoring" => Summation::Minoring,
                "majoring" => Summation::Majoring,
                other => panic!("{}: {other}", case.name),
            };
            let auc = AUC::new().num_thresholds(count()).thresholds(o.numbers("thresholds")).curve(curve).summation_method(summation);
            let auc = auc.multi_label(o.flag("multi_label", false)).label_weights(o.numbers("label_weights"));
            Box::new(auc.from_logits(o.flag("from_logits", false)))
        }
        _ => return None,
    })
}

fn overlap(case: &Case, o: &Options) -> Option<Box<dyn Metric>> {
    let classes = || o.size("num_classes", 0);
    let ignored = || case.has("ignore_class").then(|| case.number("ignore_class") as i64);
    Some(match case.word("class") {
        "IoU" => Box::new(IoU::new(classes(), o.targets()).ignore_class(ignored())),
        "MeanIoU" => Box::new(
            MeanIoU::new(classes())
                .ignore_class(ignored())
                .sparse_y_true(o.flag("sparse_y_true", true))
                .sparse_y_pred(o.flag("sparse_y_pred", true)),
        ),
        "OneHotIoU" => Box::new(OneHotIoU::new(classes(), o.targets())),
        "OneHotMeanIoU" => Box::new(OneHotMeanIoU::new(classes()).sparse_y_pred(o.flag("sparse_y_pred", false))),
        "BinaryIoU" if case.has("threshold") => {
            Box::new(BinaryIoU::new().target_class_ids(o.targets()).threshold(o.number("threshold", 0.5)))
        }
        _ => return None,
    })
}

fn score(case: &Case, o: &Options) -> Option<Box<dyn Metric>> {
    let average = match o.word("average", "none").as_str() {
        "micro" => Some(Average::Micro),
        "macro" => Some(Average::Macro),
        "weighted" => Some(Average::Weighted),
        _ => None,
    };
    let (logits, smoothing) = (o.flag("from_logits", false), o.number("label_smoothing", 0.0));
    Some(match case.word("class") {
        "F1Score" => Box::new(F1Score::new().average(average)),
        "FBetaScore" => {
            let threshold = case.has("threshold").then(|| case.number("threshold"));
            Box::new(FBetaScore::new().average(average).beta(o.number("beta", 1.0)).threshold(threshold))
        }
        "R2Score" => {
            let aggregation = match o.word("class_aggregation", "none").as_str() {
                _ if case.name.ends_with("_None") => None,
                "variance_weighted_average" => Some(Aggregation::VarianceWeightedAverage),
                _ => Some(Aggregation::UniformAverage),
            };
            Box::new(R2Score::new().class_aggregation(aggregation).num_regressors(o.size("num_regressors", 0)))
        }
        "Accuracy" => Box::new(ExactAccuracy::new()),
        "BinaryAccuracy" => Box::new(BinaryAccuracy::new().threshold(o.number("threshold", 0.5))),
        "TopKCategoricalAccuracy" => Box::new(TopKCategoricalAccuracy::new().k(o.size("k", 5))),
        "SparseTopKCategoricalAccuracy" => Box::new(SparseTopKCategoricalAccuracy::new().k(o.size("k", 5))),
        "BinaryCrossentropy" => {
            Box::new(BinaryCrossentropy::of(losses::BinaryCrossentropy::new().from_logits(logits).label_smoothing(smoothing)))
        }
        "CategoricalCrossentropy" => {
            Box::new(CategoricalCrossentropy::of(losses::CategoricalCrossentropy::new().from_logits(logits).label_smoothing(smoothing)))
        }
        "SparseCategoricalCrossentropy" => {
            Box::new(SparseCategoricalCrossentropy::of(losses::SparseCategoricalCrossentropy::new().from_logits(logits)))
        }
        _ => return None,
    })
}

/// The results of a case, in the order of its batches.
fn results(case: &Case, metric: &dyn Metric, weighted: bool, on: &Backend) -> Result<Vec<Vec<f64>>> {
    let sparse = case.word("class").starts_with("Sparse");
    let mut sums = Vec::new();
    let mut results = Vec::new();
    for batch in (0..).take_while(|batch| case.has(&format!("y_true{batch}"))) {
        let y_true = case.tensor(&on.device, if sparse { DType::U32 } else { on.dtype }, &format!("y_true{batch}"))?;
        let y_pred = case.tensor(&on.device, on.dtype, &format!("y_pred{batch}"))?;
        let mut weights = case.f32s(&format!("sample_weight{batch}"));
        if !weighted {
            weights.fill(1.0);
        }
        let added = read(&metric.update(&y_true, &y_pred, &Tensor::new(&on.device, [weights.len()], &weights)?)?)?;
        assert_eq!(added.len(), metric.size(y_pred.shape()), "{}", case.name);
        sums.resize(added.len(), 0.0);
        sums.iter_mut().zip(added).for_each(|(sum, add)| *sum += add);
        let all = metric.results(&sums);
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        assert!((metric.result(&sums) - mean).abs() <= 1e-12, "{}: {} is not the mean of {all:?}", case.name, metric.result(&sums));
        results.push(all);
    }
    Ok(results)
}

#[test]
fn metrics() {
    let file = File::parse("metrics.txt", include_str!("metrics.txt"));
    let mut failures = Failures::default();
    for on in single_backends("golden values of metrics") {
        for case in file.cases() {
            let metric = metric(case);
            assert!(metric.name() == case.word("called") || metric.name() == case.word("class"), "{}: {}", case.name, metric.name());
            for (weighted, field) in [(false, "result"), (true, "weighted_result")] {
                let all = results(case, metric.as_ref(), weighted, &on).unwrap_or_else(|e| panic!("{} on {}: {e}", case.name, on.name()));
                assert_eq!(all.len(), 2, "{}", case.name);
                for (batch, got) in all.iter().enumerate() {
                    let field = format!("{field}{batch}");
                    failures.note(format!("{}, {field} on {}", case.name, on.name()), close(got, &case.f64s(&field), 2e-6, 2e-5));
                }
            }
        }
    }
    failures.finish();
}

/// A metric may be part of a step that is recorded once and replayed: the sums of a replay are those of the first run, bit by bit.
#[test]
fn metrics_in_traced_functions() -> Result<()> {
    let file = File::parse("metrics.txt", include_str!("metrics.txt"));
    for on in single_backends("metrics in traced functions") {
        for case in file.cases() {
            let metric = metric(case);
            let labels = if case.word("class").starts_with("Sparse") { DType::U32 } else { on.dtype };
            let arguments = [("y_true0", labels), ("y_pred0", on.dtype), ("sample_weight0", on.dtype)]
                .map(|(field, dtype)| case.tensor(&on.device, dtype, field));
            let arguments = arguments.into_iter().collect::<Result<Vec<_>>>()?;
            let at_once = read(&metric.update(&arguments[0], &arguments[1], &arguments[2])?)?;
            let step = Function::new("update", |args: &[Tensor]| Ok(vec![metric.update(&args[0], &args[1], &args[2])?]));
            for _ in 0..2 {
                let again = read(&step.call_on(&on.device, &arguments.iter().collect::<Vec<_>>())?[0])?;
                assert_eq!(again, at_once, "{} on {}", case.name, on.name());
            }
        }
    }
    Ok(())
}
