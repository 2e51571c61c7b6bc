//! Single operations, forward and backward, against TensorFlow and PyTorch.

use super::compare::{Backend, Digits, Failures, Want, backends, read};
use super::formulas::{Formula, formula, outputs};
use super::reader::{Case, File};
use super::skipped::{Skipped, cases_to_run};
use gradus::{GradientTape, Result, Tensor};

const SKIPPED: [Skipped; 4] = [
    Skipped { reason: "softmax is over the last axis only", cases: &["softmax_axis1"] },
    Skipped { reason: "gather is along the first axis only", cases: &["gather_axis1"] },
    Skipped { reason: "there is no argmin", cases: &["argmin_ties_axis0", "argmin_ties_axis1"] },
    Skipped {
        reason: "functions that the crate does not have as operations of tensors (the activations among them are held to layers.txt)",
        cases: &["unary_elu", "unary_gelu", "unary_gelu_far", "unary_log1p", "unary_relu6", "unary_round", "unary_selu", "unary_silu"],
    },
];

/// Results in which the crate is meant to differ from TensorFlow: case, field, reason.
const DIFFERS: [(&str, &str, &str); 1] = [(
    "softmax_ce_targets_not_summing_to_one",
    "dlogits",
    "TensorFlow's gradient is softmax - targets whatever the targets sum to; the crate's and PyTorch's is the true one, sum(targets) * softmax - targets",
)];

fn files() -> (File, File) {
    (File::parse("ops.txt", include_str!("ops.txt")), File::parse("ops_torch.txt", include_str!("ops_torch.txt")))
}

/// The output `y`, and the gradients of `sum(y * dy)`, by their fields.
fn evaluate(case: &Case, formula: &Formula, on: &Backend) -> Result<Vec<(String, Vec<f64>)>> {
    let inputs = formula.inputs.iter().map(|field| case.tensor(&on.device, on.dtype, field)).collect::<Result<Vec<Tensor>>>()?;
    let tape = GradientTape::new();
    inputs.iter().for_each(|x| tape.watch(x));
    let y = formula.call(on, &inputs)?;
    assert_eq!(y.shape(), case.shape("y"), "{}: shape of y", case.name);
    let weighted = y.mul(&case.tensor(&on.device, on.dtype, "dy")?)?;
    let gradients = tape.gradient(&weighted, &inputs)?;
    let mut results = vec![("y".to_string(), read(&y)?)];
    for ((field, x), (i, gradient)) in formula.inputs.iter().zip(&inputs).zip(gradients.iter().enumerate()) {
        // A function that is flat everywhere may say so by having no gradient.
        let dx = gradient.as_ref().map_or_else(|| Ok(vec![0.0; x.shape().elements()]), read)?;
        assert_eq!(dx.len(), x.shape().elements(), "{}: gradient {i}", case.name);
        results.push((format!("d{field}"), dx));
    }
    Ok(results)
}

fn compare(case: &Case, formula: &Formula, of: &Case, digits: Digits, field: &str, got: &[f64], on: &Backend) -> Result<(), String> {
    let wanted = of.f64s(field);
    let dy = case.f64s("dy");
    let beside = if field == "y" { &[][..] } else { &dy };
    let terms = if on.device.is_gpu() { formula.gpu_terms } else { formula.terms };
    let each_above = formula.each_above.filter(|_| field == "y" || formula.terms == 1);
    Want { values: &wanted, digits, terms, beside, each_above }.compare(got, on.dtype)
}

fn run(on: &Backend) {
    let (keras, torch) = files();
    let cases = cases_to_run(&keras, &SKIPPED, |case| formula(case).is_some() || outputs(case, on).is_some());
    let mut failures = Failures::default();
    for case in cases {
        let Some(formula) = formula(case) else { continue };
        let results = evaluate(case, &formula, on).unwrap_or_else(|e| panic!("{} on {}: {e}", case.name, on.name()));
        for (field, got) in &results {
            let what = |whose: &str| format!("{}, {field} on {} against {whose}", case.name, on.name());
            let keras = compare(case, &formula, case, Digits::Nine, field, got, on);
            if DIFFERS.iter().any(|(name, f, _)| *name == case.name && f == field) {
                let noticed = keras.map_or_else(|_| Ok(()), |()| Err("it is listed as different, and does not differ".to_string()));
                failures.note(what("TensorFlow"), noticed);
                assert!(torch.find(&case.name).is_some(), "{}: nothing else to compare with", case.name);
            } else {
                failures.note(what("TensorFlow"), keras);
            }
            if let Some(other) = torch.find(&case.name) {
                failures.note(what("PyTorch"), compare(case, &formula, other, Digits::Six, field, got, on));
            }
        }
    }
    failures.finish();
}

#[test]
fn on_every_backend() {
    backends("golden values of operations").iter().for_each(run);
}

/// Comparisons, argmax and one-hot: exactly.
#[test]
fn without_gradients() -> Result<()> {
    let (keras, _) = files();
    for on in backends("golden values of operations without gradients") {
        let mut count = 0;
        for case in keras.cases().filter(|case| formula(case).is_none()) {
            let Some(results) = outputs(case, &on) else { continue };
            for (field, got) in results? {
                assert_eq!((got.shape(), read(&got)?), (case.shape(field), case.f64s(field)), "{}, {field} on {}", case.name, on.name());
                count += 1;
            }
        }
        assert_eq!(count, 10, "argmax and one_hot twice, and six comparisons");
    }
    Ok(())
}

/// PyTorch's file has no case or field that nothing is compared with.
#[test]
fn both_files_are_about_the_same() {
    let (keras, torch) = files();
    for case in torch.cases() {
        let formula = formula(keras.case(&case.name));
        assert!(formula.is_some() || SKIPPED.iter().any(|s| s.cases.contains(&case.name.as_str())), "{}", case.name);
        for input in formula.iter().flat_map(|f| &f.inputs) {
            assert!(case.has("y") && case.has(&format!("d{input}")), "{}: {input}", case.name);
        }
    }
}
