//! What layers are given, against Keras: regularizers, constraints, and what is certain of initializers.

use super::compare::{Backend, Digits, Failures, Want, backends, read};
use super::constructors;
use super::expressions::{Expression, Value};
use super::reader::{Case, File};
use gradus::initializers::{Initializer, fans};
use gradus::layers::{Build, Layer};
use gradus::{Device, GradientTape, Result, Shape};
use std::sync::{Arc, Mutex};

fn file() -> File {
    File::parse("pieces.txt", include_str!("pieces.txt"))
}

/// What a regularizer or a constraint makes of `x`, by the fields of the file; nothing for other cases.
fn evaluate(case: &Case, on: &Backend) -> Result<Vec<(&'static str, Vec<f64>)>> {
    let rule = |field: &str| case.has(field).then(|| Value::parse(case.word(field)));
    if let Some(rule) = rule("constraint") {
        let x = case.tensor(&on.device, on.dtype, "x")?;
        let y = rule.constraint().get()?.expect("a constraint was given").apply(&x)?;
        assert_eq!(y.shape(), x.shape(), "{}", case.name);
        return Ok(vec![("y", read(&y)?)]);
    }
    if let Some(rule) = rule("regularizer") {
        let x = case.tensor(&on.device, on.dtype, "x")?;
        let tape = GradientTape::new();
        tape.watch(&x);
        let penalty = rule.regularizer().get()?.expect("a regularizer was given").penalty(&x)?;
        assert_eq!(penalty.rank(), 0, "{}", case.name);
        return Ok(vec![("penalty", read(&penalty)?), ("dx", read(tape.gradient(&penalty, [&x])?.get(0)?)?)]);
    }
    Ok(Vec::new())
}

#[test]
fn regularizers_and_constraints() {
    let (file, mut failures) = (file(), Failures::default());
    for on in backends("golden values of regularizers and constraints") {
        for case in file.cases() {
            let results = evaluate(case, &on).unwrap_or_else(|e| panic!("{} on {}: {e}", case.name, on.name()));
            for (field, got) in results {
                // Keras makes a regularizer's factors float32 numbers.
                let digits = if case.has("regularizer") { Digits::Single } else { Digits::Nine };
                let want = Want { values: &case.f64s(field), digits, terms: got.len(), beside: &[], each_above: None };
                failures.note(format!("{}, {field} on {}", case.name, on.name()), want.compare(&got, on.dtype));
            }
        }
    }
    failures.finish();
}

/// Notes the shapes that it is asked for.
#[derive(Debug, Clone, Default)]
struct Noting(Arc<Mutex<Vec<Shape>>>);

impl Initializer for Noting {
    fn values(&self, shape: &Shape, _seed: u64, _stream: u64) -> Vec<f32> {
        self.0.lock().expect("no test panicked in here").push(shape.clone());
        vec![0.0; shape.elements()]
    }
}

/// The sizes of the attention's kernels, and the fans that their first values follow from.
fn attention(case: &Case) -> Result<()> {
    let noting = Noting::default();
    let layer = constructors::attention(&Expression::parse(case.word("layer"))).kernel_initializer(noting.clone());
    layer.build_all(&[Shape::from([2, 8]), Shape::from([2, 7])], &Build::new(&Device::cpu(), 0))?;
    let (variables, shapes) = (layer.variables(), noting.0.lock().expect("no test panicked in here").clone());
    let names: Vec<&str> = case.word("weights").split(' ').collect();
    assert_eq!((variables.len(), shapes.len()), (names.len(), names.len()));
    for ((name, variable), shape) in names.iter().zip(&variables).zip(&shapes) {
        assert_eq!(variable.shape()[..], case.sizes(&format!("{name}_size")), "{name}");
        assert_eq!(<[usize; 2]>::from(fans(shape)), case.pair(&format!("{name}_fans")), "{name}");
    }
    Ok(())
}

#[test]
fn initializers_and_fans() -> Result<()> {
    let file = file();
    for case in file.cases() {
        match case.name.split('_').next() {
            Some("initializer") => {
                let shape = Shape::from(case.sizes("size"));
                let initializer = Value::parse(case.word("initializer")).initializer();
                initializer.get()?.check(&shape)?;
                assert_eq!(initializer.get()?.values(&shape, 0, 0), case.f32s("y"), "{}", case.name);
            }
            Some("fans") if case.has("layer") => attention(case)?,
            Some("fans") => {
                let want = (case.count("fan_in") as usize, case.count("fan_out") as usize);
                assert_eq!(fans(&Shape::from(case.sizes("size"))), want, "{}", case.name);
            }
            Some("regularizer" | "constraint") => {}
            _ => panic!("{}: nothing is compared", case.name),
        }
    }
    Ok(())
}
