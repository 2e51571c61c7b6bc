//! Every layer as Keras's expression makes it: outputs, gradients by inputs and weights, penalties, moved statistics; alone and in models.

use super::compare::{Backend, Digits, Failures, Want, backends, read};
use super::constructors;
use super::expressions::Expression;
use super::reader::{Case, File};
use gradus::layers::{Activation, ActivationFn, Build, Call, Layer};
use gradus::models::{Input, Model};
use gradus::train::Samples;
use gradus::{DType, Device, GradientTape, Result, Shape, Tensor};
use std::sync::Arc;

/// Results in which the crate is meant to differ from Keras: cases, reason. Everything in them but shapes differs.
const DIFFERS: [(&[&str], &str); 1] = [(
    &["sparsemax", "sparsemax_far"],
    "Keras adds up sums of the sorted numbers where the published function (Martins and Astudillo 2016) adds up the numbers, so that its \
     outputs sum to 1 only where a single one is left; the crate's always do, and are tested as such beside the operation",
)];

/// The layer of a case.
fn layer(case: &Case) -> Box<dyn Layer> {
    if case.has("function") {
        return Box::new(Activation::new(function(case)));
    }
    let e = Expression::parse(case.word("layer"));
    let flag = |option| case.has(option) && case.flag(option);
    if e.name == "MultiHeadAttention" {
        let layer = constructors::attention(&e).attention_mask(case.has("attention_mask"));
        let layer = layer.use_causal_mask(flag("use_causal_mask")).return_attention_scores(flag("return_attention_scores"));
        e.check_all_used();
        return Box::new(layer);
    }
    if e.name == "Normalization" {
        let layer = constructors::normalization(&e);
        if case.has("data") {
            let data = ndarray::ArrayD::from_shape_vec(case.shape("data").to_vec(), case.f32s("data")).expect("as many as the shape has");
            layer.adapt(&data).expect("the data fit");
        }
        return Box::new(layer);
    }
    constructors::layer(&e)
}

/// The function of a case: by its name where it has no options, so that their defaults are tested too.
fn function(case: &Case) -> ActivationFn {
    let number = |option| case.has(option).then(|| case.number(option));
    let axis = || case.has("axis").then(|| case.number("axis") as isize);
    let name = case.word("function");
    let with_options = match name {
        "relu" if ["negative_slope", "max_value", "threshold"].iter().any(|option| case.has(option)) => Some(ActivationFn::ReluWith {
            negative_slope: number("negative_slope").unwrap_or(0.0),
            max_value: number("max_value"),
            threshold: number("threshold").unwrap_or(0.0),
        }),
        "leaky_relu" => number("negative_slope").map(|negative_slope| ActivationFn::LeakyRelu { negative_slope }),
        "elu" => number("alpha").map(|alpha| ActivationFn::Elu { alpha }),
        "celu" => number("alpha").map(|alpha| ActivationFn::Celu { alpha }),
        "gelu" => case.has("approximate").then(|| ActivationFn::Gelu { approximate: case.flag("approximate") }),
        "soft_shrink" => number("threshold").map(|threshold| ActivationFn::SoftShrink { threshold }),
        "hard_shrink" => number("threshold").map(|threshold| ActivationFn::HardShrink { threshold }),
        "threshold" => Some(ActivationFn::Threshold { threshold: case.number("threshold"), default_value: case.number("default_value") }),
        "squareplus" => number("b").map(|b| ActivationFn::Squareplus { b }),
        "softmax" => axis().map(|axis| ActivationFn::SoftmaxOver { axis }),
        "log_softmax" => axis().map(|axis| ActivationFn::LogSoftmax { axis }),
        "glu" => axis().map(|axis| ActivationFn::Glu { axis }),
        _ => None,
    };
    with_options.unwrap_or_else(|| name.parse().unwrap_or_else(|e| panic!("{}: {e}", case.name)))
}

/// The fields `name`, or `name0`, `name1`, ….
fn numbered(case: &Case, name: &str) -> Vec<String> {
    if case.has(name) {
        return vec![name.to_string()];
    }
    (0..).map(|i| format!("{name}{i}")).take_while(|field| case.has(field)).collect()
}

/// The fields of what the layer is called with, in its order.
fn arguments(case: &Case, layer: &dyn Layer) -> Vec<String> {
    let mut fields = numbered(case, "x");
    // Query and value.
    if layer.base().kind() == "MultiHeadAttention" && fields.len() == 1 {
        fields.push(fields[0].clone());
    }
    fields.extend(case.has("attention_mask").then(|| "attention_mask".to_string()));
    fields
}

/// The names of the weights, in Keras's order.
fn weights(case: &Case) -> Vec<&str> {
    if case.has("weights") { case.word("weights").split_whitespace().collect() } else { Vec::new() }
}

fn samples(case: &Case, fields: &[String]) -> Vec<Shape> {
    fields.iter().map(|field| Shape::from(&case.shape(field)[1..])).collect()
}

/// What the last of the case's calls gives, by the fields of the file.
fn evaluate(case: &Case, layer: &dyn Layer, on: &Backend) -> Result<Vec<(String, Vec<f64>)>> {
    let inputs = numbered(case, "x");
    let xs = inputs.iter().map(|field| case.tensor(&on.device, on.dtype, field)).collect::<Result<Vec<_>>>()?;
    let fields = arguments(case, layer);
    let given = fields.iter().map(|field| match inputs.iter().position(|input| input == field) {
        Some(i) => Ok(xs[i].clone()),
        None => case.tensor(&on.device, on.dtype, field),
    });
    let given = given.collect::<Result<Vec<_>>>()?;
    let given: Vec<&Tensor> = given.iter().collect();
    layer.build_all(&samples(case, &fields), &Build::new(&on.device, 0))?;
    let (variables, names) = (layer.variables(), weights(case));
    assert_eq!(variables.len(), names.len(), "{}: weights", case.name);
    for (variable, field) in variables.iter().zip(&names).filter(|_| !case.has("data")) {
        variable.assign(&case.tensor(&on.device, on.dtype, field)?)?;
    }
    let training = case.has("training") && case.flag("training");
    for _ in 1..if case.has("calls") { case.count("calls") } else { 1 } {
        layer.apply_all(&given, &Call::new(training))?;
    }
    let tape = GradientTape::persistent();
    xs.iter().for_each(|x| tape.watch(x));
    let cx = Call::new(training);
    let (ys, outputs) = (layer.apply_all(&given, &cx)?, numbered(case, "y"));
    assert_eq!(ys.len(), outputs.len(), "{}: outputs", case.name);
    let (mut results, mut total) = (Vec::new(), Tensor::full(&on.device, [], on.dtype, 0.0)?);
    for ((y, dy), field) in ys.iter().zip(numbered(case, "dy")).zip(outputs) {
        assert_eq!(y.shape(), case.shape(&field), "{}: shape of {field}", case.name);
        total = total.add(&y.mul(&case.tensor(&on.device, on.dtype, &dy)?)?.sum_all()?)?;
        results.push((field, read(y)?));
    }
    let penalties = variables.iter().filter_map(|v| v.regularizer().map(|rule| rule.penalty(&v.value()?)));
    let penalties = penalties.chain(cx.losses().into_iter().map(Ok)).collect::<Result<Vec<_>>>()?;
    if let Some(penalty) = penalties.into_iter().map(Ok).reduce(|a, b| a?.add(&b?)).transpose()? {
        results.push(("penalty".to_string(), read(&penalty)?));
        total = total.add(&penalty)?;
    }
    for (x, field) in xs.iter().zip(&inputs).filter(|(_, field)| case.has(&format!("d{field}"))) {
        results.push((format!("d{field}"), read(tape.gradient(&total, [x])?.get(0)?)?));
    }
    for (variable, field) in variables.iter().zip(names) {
        let after = format!("after_{field}");
        results.push(match () {
            () if case.has(&format!("d{field}")) => (format!("d{field}"), read(tape.gradient(&total, [variable])?.get(0)?)?),
            () if case.has(&after) => (after, read(&variable.value()?)?),
            () => (field.to_string(), read(&variable.value()?)?),
        });
    }
    Ok(results)
}

/// Every field that holds a result.
fn wanted(case: &Case) -> Vec<String> {
    let of = |prefix: &str, fields: Vec<String>| fields.into_iter().map(|field| format!("{prefix}{field}")).collect::<Vec<_>>();
    let names: Vec<String> = weights(case).into_iter().map(String::from).collect();
    let all = [numbered(case, "y"), vec!["penalty".to_string()], of("d", numbered(case, "x")), of("d", names.clone()), of("after_", names)];
    all.concat().into_iter().filter(|field| case.has(field)).collect()
}

/// Checks every case of a file.
fn check(name: &'static str, content: &str) {
    let file = File::parse(name, content);
    let mut failures = Failures::default();
    for on in backends(name) {
        // Weights are f32.
        for case in file.cases().filter(|case| on.dtype == DType::F32 || case.has("function")) {
            let results = evaluate(case, layer(case).as_ref(), &on).unwrap_or_else(|e| panic!("{} on {}: {e}", case.name, on.name()));
            let missing: Vec<_> = wanted(case).into_iter().filter(|field| !results.iter().any(|(got, _)| got == field)).collect();
            assert!(missing.is_empty(), "{}: {missing:?} are not compared", case.name);
            let numbers = |fields: Vec<String>| fields.iter().flat_map(|field| case.f64s(field)).collect::<Vec<_>>();
            let beside = [numbers(numbered(case, "x")), numbers(numbered(case, "dy"))].concat();
            let terms = numbered(case, "x").iter().map(|x| case.shape(x).elements()).max().unwrap_or(1);
            // Values of functions are not sums.
            let each_above = case.has("function").then_some(1.0);
            // TensorFlow keeps the slope of its leaky_relu in f32.
            let in_single = case.has("function") && case.word("function") == "leaky_relu";
            let digits = if in_single { Digits::Single } else { Digits::Nine };
            for (field, got) in results {
                let values = case.f64s(&field);
                let want = Want { values: &values, digits, terms, beside: &beside, each_above };
                let what = format!("{}, {field} on {}", case.name, on.name());
                failures.note(what, as_meant(case, want.compare(&got, on.dtype)));
            }
        }
    }
    failures.finish();
}

/// A difference that is meant has to be there.
fn as_meant(case: &Case, outcome: Result<(), String>) -> Result<(), String> {
    if DIFFERS.iter().any(|(names, _)| names.contains(&case.name.as_str())) {
        return if outcome.is_err() { Ok(()) } else { Err("it is listed as different, and does not differ".to_string()) };
    }
    outcome
}

#[test]
fn layers_that_see_neighbours() {
    check("layers_conv.txt", include_str!("layers_conv.txt"));
}

#[test]
fn shapes_and_merges() {
    check("layers_shapes.txt", include_str!("layers_shapes.txt"));
}

#[test]
fn activations() {
    check("layers_activations.txt", include_str!("layers_activations.txt"));
}

#[test]
fn normalization() {
    check("layers_norm.txt", include_str!("layers_norm.txt"));
}

#[test]
fn sequences() {
    check("layers_sequence.txt", include_str!("layers_sequence.txt"));
}

/// What a functional model of the layer alone predicts, in batches of two.
fn predict(case: &Case, layer: Arc<dyn Layer>) -> Result<Vec<Vec<f64>>> {
    let device = Device::cpu();
    let fields = arguments(case, layer.as_ref());
    let samples = samples(case, &fields);
    let symbols: Vec<_> = samples.iter().map(Input::new).collect();
    let outputs = layer.on_all(&symbols)?;
    for (output, y) in outputs.iter().zip(numbered(case, "y")) {
        assert_eq!(output.shape()[..], case.shape(&y)[1..], "{}: the shape of the symbol", case.name);
    }
    let mut model = Model::new(&symbols, &outputs)?.on_device(&device);
    model.build_all(&samples)?;
    for (variable, field) in layer.variables().iter().zip(weights(case)) {
        variable.assign(&case.tensor(&device, DType::F32, field)?)?;
    }
    let columns = fields.iter().map(|field| Samples::new(case.shape(field), &case.f32s(field))).collect::<Result<Vec<_>>>()?;
    Ok(model.predict_all(columns, 2)?.iter().map(|y| y.iter().map(|v| f64::from(*v)).collect()).collect())
}

#[test]
fn layers_in_functional_models() {
    let files = [
        ("layers_conv.txt", include_str!("layers_conv.txt")),
        ("layers_shapes.txt", include_str!("layers_shapes.txt")),
        ("layers_activations.txt", include_str!("layers_activations.txt")),
        ("layers_norm.txt", include_str!("layers_norm.txt")),
        ("layers_sequence.txt", include_str!("layers_sequence.txt")),
    ];
    let mut failures = Failures::default();
    for (name, content) in files {
        let file = File::parse(name, content);
        // Models predict; they do not train then.
        for case in file.cases().filter(|case| !case.has("training") || !case.flag("training")) {
            let got = predict(case, Arc::from(layer(case))).unwrap_or_else(|e| panic!("{}: {e}", case.name));
            let outputs = numbered(case, "y");
            assert_eq!(got.len(), outputs.len(), "{}", case.name);
            let beside: Vec<f64> = numbered(case, "x").iter().flat_map(|x| case.f64s(x)).collect();
            for (got, field) in got.iter().zip(outputs) {
                let values = case.f64s(&field);
                let want = Want { values: &values, digits: Digits::Nine, terms: beside.len(), beside: &beside, each_above: None };
                failures.note(format!("{}, {field}", case.name), as_meant(case, want.compare(got, DType::F32)));
            }
        }
    }
    failures.finish();
}
