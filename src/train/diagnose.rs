//! Finds out where a NaN or an infinity came from, after the loss of a step was none of the numbers.

use super::data::Samples;
use super::feed::Feed;
use crate::error::{Error, Result};
use crate::layers::Call;
use crate::models::Model;
use crate::shape::DType;
use crate::tensor::Tensor;

/// The cause of a bad step, number `step` from 0; `place` names it in errors. No step after it changed a weight.
pub(super) async fn find_cause(model: &Model, feed: &Feed, step: usize, place: &str, training: bool) -> Error {
    search(model, feed, step, place, training).await.unwrap_or_else(|error| error.at(place))
}

const LARGE: &str = "lower the learning rate, or bring the inputs near 1 with a Rescaling layer";

/// Looks where the trouble can begin, in the order of the computation: the data, the weights, the layers, the loss.
async fn search(model: &Model, feed: &Feed, step: usize, place: &str, training: bool) -> Result<Error> {
    let data = feed.data();
    for (what, columns) in [("input", &data.x), ("label", &data.y), ("weight", &data.sample_weight)] {
        for samples in columns {
            for row in feed.rows(step) {
                if let Some(found) = in_sample(samples, row) {
                    let place = format!("the {what} of sample {row}, which {place} used");
                    return Ok(not_finite(found, place, "clean the data"));
                }
            }
        }
    }
    for variable in model.variables() {
        if let Some(found) = in_tensor(&variable.value()?).await? {
            return Ok(not_finite(found, format!("the weight {} before {place}", variable.name()), LARGE));
        }
    }
    // A function that is only traced leaves moving averages as they are; here they are put back.
    let states: Vec<_> = model.variables().into_iter().filter(|v| !v.trainable()).map(|v| (v.clone(), v.value())).collect();
    let cx = Call::new(training).logging();
    let called = model.call_all(&feed.host_batch(step)?.x, &cx);
    for (variable, value) in states {
        variable.assign(&value?)?;
    }
    called?;
    for layer in cx.take_log().iter().filter(|layer| !layer.outer) {
        for y in &layer.values {
            if let Some(found) = in_tensor(y).await? {
                return Ok(not_finite(found, format!("the output of layer {} in {place}", layer.base.title()), LARGE));
            }
        }
    }
    let place = format!("the loss in {place}, though every layer's output is finite");
    Ok(not_finite("NaN or infinity", place, "check that the loss fits the last layer"))
}

fn not_finite(found: &str, place: String, hint: &str) -> Error {
    Error::NotFinite { found: found.into(), place, hint: hint.into() }
}

fn in_sample(samples: &Samples, row: u32) -> Option<&'static str> {
    if samples.spec().dtype != DType::F32 {
        return None;
    }
    let bytes = samples.gather(&[row]);
    first(bytes.chunks_exact(4).map(bytemuck::pod_read_unaligned::<f32>))
}

async fn in_tensor(tensor: &Tensor) -> Result<Option<&'static str>> {
    if tensor.dtype().computed() != DType::F32 {
        return Ok(None);
    }
    Ok(first(tensor.cast(DType::F32)?.read::<f32>().await?.into_iter()))
}

fn first(mut numbers: impl Iterator<Item = f32>) -> Option<&'static str> {
    numbers.find(|x| !x.is_finite()).map(|x| if x.is_nan() { "NaN" } else { "infinity" })
}
