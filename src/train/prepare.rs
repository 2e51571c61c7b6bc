//! Data as a model takes them: in the order of its inputs and outputs, with labels that were checked.

use super::data::{Data, Samples};
use crate::error::{Error, Result};
use crate::losses::Loss;
use crate::models::{Compiled, Model};
use crate::shape::{DType, Shape};
use std::collections::BTreeMap;

/// The data in the order of the model's inputs and outputs; labels that are class numbers as u32.
pub(super) fn prepare(model: &Model, compiled: &Compiled, data: &Data) -> Result<Data> {
    let x = in_order("input", &data.x, &model.input_names())?;
    let outputs = model.output_specs()?;
    let wanted: Vec<String> = compiled.losses.iter().map(|l| model.output_names()[l.output].clone()).collect();
    // Labels are given for every output, or only for those that have a loss.
    let all = data.y.len() == outputs.len() && data.y.iter().all(|y| y.name().is_none());
    let names = if all { model.output_names() } else { wanted };
    let mut y = in_order("output", &data.y, &names)?;
    if all {
        let mut kept = y.into_iter().map(Some).collect::<Vec<_>>();
        y = compiled.losses.iter().filter_map(|l| kept[l.output].take()).collect();
    }
    let mut checked = Vec::with_capacity(y.len());
    for (loss, y) in compiled.losses.iter().zip(y) {
        checked.push(labels(&y, loss.loss.as_ref(), &outputs[loss.output].shape)?);
    }
    let weights = &data.sample_weight;
    if weights.len() > 1 && weights.len() != checked.len() {
        let want = format!("one for all outputs, or {}", checked.len());
        return Err(Error::argument("data: sample_weight", want, weights.len()));
    }
    Ok(Data { x, y: checked, sample_weight: weights.iter().map(as_f32).collect::<Result<_>>()? })
}

/// The columns in the order of the names: by name if they have names, else as they come.
fn in_order(what: &str, columns: &[Samples], names: &[String]) -> Result<Vec<Samples>> {
    let wrong = |got: String| {
        let list = names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        Error::argument(format!("data: {what}s"), format!("samples for {list}"), got)
    };
    if columns.len() != names.len() {
        return Err(wrong(if columns.len() == 1 { "one array".into() } else { format!("{} arrays", columns.len()) }));
    }
    if columns.iter().all(|c| c.name().is_none()) {
        return Ok(columns.to_vec());
    }
    let of = |name: &String| columns.iter().find(|c| c.name() == Some(name)).cloned();
    let given =
        || columns.iter().map(|c| c.name().map_or("one without a name".into(), |n| format!("{n:?}"))).collect::<Vec<_>>().join(", ");
    names.iter().map(|name| of(name).ok_or_else(|| wrong(given()))).collect()
}

/// Labels as the loss takes them: checked, and as u32 if they are class numbers. `output` is the shape of one prediction.
fn labels(y: &Samples, loss: &dyn Loss, output: &Shape) -> Result<Samples> {
    let predictions = Shape::from([&[y.count()], &output[..]].concat());
    loss.check(y.spec(), &predictions).map_err(|e| with_range(e, y))?;
    if !loss.takes_classes() {
        return Ok(y.clone());
    }
    let classes = *output.last().ok_or_else(|| Error::shape(loss.name(), "predictions with an axis of classes", output))?;
    let mut labels = Vec::with_capacity(y.spec().shape.elements());
    for (position, label) in y.numbers().enumerate() {
        if label.fract() != 0.0 || !label.is_finite() {
            return Err(Error::argument(format!("{}: labels", loss.name()), "whole numbers", format!("{label} at position {position}")));
        }
        if label < 0.0 || label >= classes as f64 {
            return Err(Error::Label { op: loss.name().to_string(), label: label as i64, position, classes });
        }
        labels.push(label as u32);
    }
    Samples::new(y.spec().shape.clone(), &labels)
}

/// Adds to an error about labels which values they have.
fn with_range(mut error: Error, y: &Samples) -> Error {
    if let Error::Shape { got, .. } = &mut error
        && y.count() > 0
    {
        let (low, high) = y.numbers().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        // Numbers that came as f32 have more digits as f64: 0.1 would.
        let float = y.spec().dtype == DType::F32;
        let show = |v: f64| if float { (v as f32).to_string() } else { v.to_string() };
        let kind = if float { "values" } else { "whole numbers" };
        *got = format!("{got} with {kind} from {} to {}", show(low), show(high));
    }
    error
}

fn as_f32(samples: &Samples) -> Result<Samples> {
    let numbers: Vec<f32> = samples.numbers().map(|x| x as f32).collect();
    Samples::new(samples.spec().shape.clone(), &numbers)
}

/// The data with a weight for each sample that follows from its class: Keras's `class_weight`. Classes that are not named weigh 1.
///
/// # Errors
/// [`Error::Argument`] if there are sample weights or several outputs; [`Error::Shape`] for labels that name no class.
pub(super) fn weigh_classes(data: Data, weights: &BTreeMap<u32, f64>) -> Result<Data> {
    let [y] = &data.y[..] else {
        return Err(Error::argument("fit: class_weight", "a model with one output, or sample weights", data.y.len()));
    };
    if !data.sample_weight.is_empty() {
        return Err(Error::argument("fit: class_weight", "either class weights or sample weights", "both"));
    }
    let per_sample = y.sample_shape().elements();
    let numbers: Vec<f64> = y.numbers().collect();
    if per_sample == 0 {
        return Err(Error::shape("fit: class_weight", "labels", y.spec()));
    }
    // A row of several numbers names its class by the largest; the first of equals.
    let class = |row: &[f64]| match row {
        [one] => *one,
        many => (0..many.len()).fold(0, |best, i| if many[i] > many[best] { i } else { best }) as f64,
    };
    let weight = |row: &[f64]| weights.get(&(class(row) as u32)).copied().unwrap_or(1.0) as f32;
    let weights: Vec<f32> = numbers.chunks_exact(per_sample).map(weight).collect();
    data.sample_weight(&weights)
}
