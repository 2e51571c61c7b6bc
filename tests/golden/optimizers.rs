//! Optimizers against Keras: how far a variable has moved after some steps.

use super::compare::{Backend, Failures, single_backends};
use super::reader::{Case, File};
use super::skipped::{Skipped, cases_to_run};
use gradus::optimizers::{Adam, AdamW, Optimizer, RMSprop, SGD};
use gradus::{Result, Tensor, Variable};

const SKIPPED: [Skipped; 3] = [
    Skipped { reason: "the data of the other cases", cases: &["common"] },
    Skipped { reason: "optimizers that the crate does not have", cases: &["Adagrad", "Adadelta", "Adamax", "Nadam", "Lion"] },
    Skipped {
        reason: "optimizers have no clipping of gradients",
        cases: &["SGD_clipnorm", "SGD_clipvalue", "SGD_global_clipnorm_two_variables"],
    },
];

/// Of the displacement: Keras's Adam moves 6e-6 less in its first steps than its formula says, see the README.
const TOLERANCE: f64 = 2e-5;

/// The optimizer of a case, with the options that Keras ran with, if the crate has it. A schedule starts at 0.1.
pub fn optimizer(case: &Case) -> Option<Box<dyn Optimizer>> {
    if !case.has("optimizer") || case.has("clipnorm") || case.has("clipvalue") {
        return None;
    }
    let rate = if case.has("learning_rate") { case.number("learning_rate") } else { 0.1 };
    let (number, flag) = (|field: &str| case.number(field), |field: &str| case.flag(field));
    macro_rules! adam {
        ($name:ident) => {
            $name::new(rate).beta_1(number("beta_1")).beta_2(number("beta_2")).epsilon(number("epsilon")).amsgrad(flag("amsgrad"))
        };
    }
    macro_rules! decayed {
        ($optimizer:expr) => {
            if case.has("weight_decay") { Box::new($optimizer.weight_decay(number("weight_decay"))) } else { Box::new($optimizer) }
        };
    }
    Some(match case.word("optimizer") {
        "SGD" => decayed!(SGD::new(rate).momentum(number("momentum")).nesterov(flag("nesterov"))),
        "Adam" => decayed!(adam!(Adam)),
        "AdamW" => decayed!(adam!(AdamW)),
        "RMSprop" => {
            let plain = RMSprop::new(rate).rho(number("rho")).momentum(number("momentum"));
            decayed!(plain.epsilon(number("epsilon")).centered(flag("centered")))
        }
        _ => return None,
    })
}

/// The learning rate of a step, from 0, where a case has one that changes.
fn scheduled(case: &str, step: usize) -> Option<f64> {
    let step = step as f64;
    match case {
        "SGD_exponential_decay" => Some(0.1 * 0.5f64.powf(step / 10.0)),
        "SGD_cosine_decay" => {
            let cosine = 0.5 * (1.0 + (std::f64::consts::PI * step.min(40.0) / 40.0).cos());
            Some(0.1 * (0.9 * cosine + 0.1))
        }
        _ => None,
    }
}

fn run(case: &Case, common: &Case, on: &Backend, failures: &mut Failures) -> Result<()> {
    let mut optimizer = optimizer(case).expect("only such cases are run");
    let start = common.f64s("x0");
    let variable = Variable::new("x", &common.tensor(&on.device, on.dtype, "x0")?)?;
    let gradients = common.f32s("grads");
    for (step, gradient) in gradients.chunks(start.len()).enumerate() {
        if let Some(rate) = scheduled(&case.name, step) {
            optimizer.set_learning_rate(rate)?;
        }
        optimizer.apply_gradients(&[(Tensor::new(&on.device, [start.len()], gradient)?, variable.clone())])?;
        let (now, field) = (step + 1, format!("x{}_f64", step + 1));
        if !case.has(&field) {
            continue;
        }
        let got = variable.value()?.to_vec::<f32>()?;
        for (i, (got, want)) in got.iter().zip(case.f64s(&field)).enumerate() {
            let (moved, wanted) = (f64::from(*got) - f64::from(start[i] as f32), want - f64::from(start[i] as f32));
            // Every step rounds the variable once; weight decay once more.
            let rounding = now as f64 * f64::from(f32::EPSILON) * want.abs();
            let fine = (moved - wanted).abs() <= TOLERANCE * wanted.abs() + rounding + 1e-9;
            let outcome = if fine { Ok(()) } else { Err(format!("moved by {moved:e}, expected {wanted:e}")) };
            failures.note(format!("{}, element {i} after step {now} on {}", case.name, on.name()), outcome);
        }
    }
    assert_eq!(optimizer.iterations()?, 50, "{}", case.name);
    Ok(())
}

#[test]
fn optimizers() {
    let file = File::parse("optimizers.txt", include_str!("optimizers.txt"));
    let mut failures = Failures::default();
    for on in single_backends("golden values of optimizers") {
        for case in cases_to_run(&file, &SKIPPED, |case| optimizer(case).is_some()) {
            run(case, file.case("common"), &on, &mut failures).unwrap_or_else(|e| panic!("{} on {}: {e}", case.name, on.name()));
        }
    }
    failures.finish();
}
