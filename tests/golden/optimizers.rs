//! Optimizers against Keras: how far variables have moved after some steps.

use super::compare::{Backend, Failures, single_backends};
use super::optimizer_cases::{optimizer, schedule};
use super::reader::{Case, File};
use super::skipped::{Skipped, cases_to_run};
use gradus::optimizers::{Optimizer, SGD};
use gradus::{Result, Tensor, Variable};

const SKIPPED: [Skipped; 1] = [Skipped { reason: "the data of the other cases", cases: &["common", "options_common"] }];

/// Of the displacement: Keras's Adam moves 6e-6 less in its first steps than its formula says, see the README.
const TOLERANCE: f64 = 2e-5;

/// Three of a case's steps and its other end, after which Keras's values are in the file.
const MOMENTS: [&str; 6] = ["1", "2", "3", "5", "10", "50"];

const VARIABLES: [&str; 4] = ["kernel", "wide", "bias", "deep"];

fn file() -> File {
    File::parse("optimizers.txt", include_str!("optimizers.txt"))
}

/// Whether the variable has come as far from its start as Keras's.
struct Moved<'a> {
    case: &'a Case,
    on: &'a Backend,
    failures: &'a mut Failures,
}

impl Moved<'_> {
    fn check(&mut self, field: &str, steps: usize, variable: &Variable, start: &[f32]) -> Result<()> {
        let got = variable.value()?.to_vec::<f32>()?;
        let want = self.case.f64s(field);
        assert_eq!((got.len(), want.len()), (start.len(), start.len()), "{}: {field}", self.case.name);
        for (i, ((got, want), start)) in got.iter().zip(want).zip(start).enumerate() {
            let (moved, wanted) = (f64::from(*got) - f64::from(*start), want - f64::from(*start));
            // Every step rounds the variable once; weight decay once more.
            let rounding = steps as f64 * f64::from(f32::EPSILON) * want.abs().max(f64::from(start.abs()));
            let fine = (moved - wanted).abs() <= TOLERANCE * wanted.abs() + rounding + 1e-9;
            let outcome = if fine { Ok(()) } else { Err(format!("moved by {moved:e}, expected {wanted:e}")) };
            self.failures.note(format!("{}, {field}, element {i} on {}", self.case.name, self.on.name()), outcome);
        }
        Ok(())
    }
}

/// A case with one variable.
fn single(case: &Case, common: &Case, on: &Backend, failures: &mut Failures) -> Result<()> {
    let mut optimizer = optimizer(case).expect("only such cases are run");
    let (start, gradients) = (common.f32s("x0"), common.f32s("grads"));
    let variable = Variable::new("x", &common.tensor(&on.device, on.dtype, "x0")?)?;
    for (step, gradient) in (1..).zip(gradients.chunks(start.len())) {
        optimizer.apply_gradients(&[(Tensor::new(&on.device, [start.len()], gradient)?, variable.clone())])?;
        if MOMENTS.contains(&step.to_string().as_str()) {
            Moved { case, on, failures }.check(&format!("x{step}_f64"), step, &variable, &start)?;
        }
    }
    assert_eq!(optimizer.iterations()?, 50, "{}", case.name);
    Ok(())
}

/// A case of `keras_optimizers.py`, with several variables.
fn several(case: &Case, common: &Case, on: &Backend, failures: &mut Failures) -> Result<()> {
    let mut optimizer = optimizer(case).expect("only such cases are run");
    let variables = VARIABLES.map(|name| common.tensor(&on.device, on.dtype, &format!("{name}0")).and_then(|t| Variable::new(name, &t)));
    let variables = variables.into_iter().collect::<Result<Vec<_>>>()?;
    let (starts, gradients) = (VARIABLES.map(|v| common.f32s(&format!("{v}0"))), VARIABLES.map(|v| common.f32s(&format!("d{v}"))));
    let mut moved = Moved { case, on, failures };
    for step in 1..=50 {
        let mut pairs = Vec::new();
        for ((variable, all), start) in variables.iter().zip(&gradients).zip(&starts) {
            let mut gradient = all[(step - 1) * start.len()..step * start.len()].to_vec();
            if case.name == "wrapper_loss_scale" && step % 7 == 0 && variable.name() == "wide" {
                gradient[0] = f32::INFINITY;
            }
            pairs.push((Tensor::new(&on.device, variable.shape().clone(), &gradient)?, variable.clone()));
        }
        optimizer.apply_gradients(&pairs)?;
        on.device.synchronize()?;
        for (variable, start) in variables.iter().zip(&starts) {
            let field = format!("{}{step}", variable.name());
            if case.has(&field) {
                moved.check(&field, step, variable, start)?;
            }
        }
    }
    assert_eq!(f64::from(optimizer.iterations()?), case.number("iterations"), "{}", case.name);
    optimizer.finalize_variable_values(&variables)?;
    for (variable, start) in variables.iter().zip(&starts) {
        let field = format!("{}_final", variable.name());
        if case.has(&field) {
            moved.check(&field, 50, variable, start)?;
        }
    }
    if case.has("scale") {
        let scale = optimizer.variables()[1].value()?.item()?;
        assert_eq!(scale, case.number("scale"), "{}", case.name);
    }
    Ok(())
}

/// The global norm is taken over all variables.
fn two_variables(case: &Case, common: &Case, on: &Backend, failures: &mut Failures) -> Result<()> {
    let start = common.f32s("x0");
    let new = |count: usize| Variable::new("x", &Tensor::new(&on.device, [count], &start[..count])?);
    let (a, b) = (new(5)?, new(2)?);
    let mut optimizer = SGD::new(case.number("learning_rate")).global_clipnorm(case.number("global_clipnorm"));
    for gradient in common.f32s("grads").chunks(5).take(3) {
        let doubled = [gradient[0] * 2.0, gradient[1] * 2.0];
        let pairs = [(Tensor::new(&on.device, [5], gradient)?, a.clone()), (Tensor::new(&on.device, [2], &doubled)?, b.clone())];
        optimizer.apply_gradients(&pairs)?;
    }
    let mut moved = Moved { case, on, failures };
    moved.check("a3", 3, &a, &start)?;
    moved.check("b3", 3, &b, &start[..2])
}

#[test]
fn optimizers() {
    let file = file();
    let mut failures = Failures::default();
    let two = "SGD_global_clipnorm_two_variables";
    for on in single_backends("golden values of optimizers") {
        for case in cases_to_run(&file, &SKIPPED, |case| case.name == two || case.has("rates") || optimizer(case).is_some()) {
            // A software adapter compiles for long: the options of each optimizer together, and not one by one.
            let one_option = case.name.contains("_with_") && !case.name.ends_with("_with_everything");
            let outcome = match () {
                () if case.has("rates") || (one_option && on.device.is_gpu()) => continue,
                () if case.name == two => two_variables(case, file.case("common"), &on, &mut failures),
                () if case.has("x1") => single(case, file.case("common"), &on, &mut failures),
                () => several(case, file.case("options_common"), &on, &mut failures),
            };
            outcome.unwrap_or_else(|e| panic!("{} on {}: {e}", case.name, on.name()));
        }
    }
    failures.finish();
}

#[test]
fn schedules() {
    let (file, mut failures, mut run) = (file(), Failures::default(), 0);
    for case in file.cases().filter(|case| case.has("rates")) {
        let schedule = schedule(case).expect("rates of a schedule");
        let (counts, rates) = (case.integers("counts"), case.f64s("rates"));
        assert_eq!(counts.len(), rates.len());
        for (count, want) in counts.iter().zip(rates) {
            let got = schedule.at(*count as u32).unwrap_or_else(|e| panic!("{}: {e}", case.name));
            // Keras computes these in float32.
            let fine = (got - want).abs() <= 1e-6 * want.abs() + 1e-8;
            let outcome = if fine { Ok(()) } else { Err(format!("{got:e}, expected {want:e}")) };
            failures.note(format!("{} after {count} steps", case.name), outcome);
            run += 1;
        }
    }
    assert!(run > 200, "{run} rates");
    failures.finish();
}
