//! What a teacher who looks over the shoulder would say: things that are allowed and are mostly mistakes.

use super::data::Data;
use super::fit::Fit;
use crate::layers::ActivationFn::{Linear, Sigmoid, Softmax};
use crate::layers::{ActivationFn, Applied};
use crate::losses::Head;
use crate::models::Model;
use crate::tensor::lock;
use std::collections::HashSet;
use std::sync::Mutex;

/// Set to 0, no advice is printed.
const SWITCH: &str = "GRADUS_ADVICE";

/// Layers that give images.
const IMAGE_LAYERS: [&str; 8] = [
    "Conv2D",
    "Conv2DTranspose",
    "SeparableConv2D",
    "DepthwiseConv2D",
    "MaxPooling2D",
    "AveragePooling2D",
    "UpSampling2D",
    "ZeroPadding2D",
];

/// How many samples of the validation data are looked for among the training data.
const PROBES: usize = 16;

impl Model {
    /// What is allowed and mostly a mistake in this model and how it is compiled: a last layer that does not fit the loss, a `Dense` on images.
    /// [`Model::fit`] prints each once, on standard error, unless `GRADUS_ADVICE=0` or [`Fit::advice`] is off. Empty before the model is built.
    pub fn advice(&self) -> Vec<String> {
        let Some(built) = self.built() else { return Vec::new() };
        let layers: Vec<&Applied> = built.applied.iter().filter(|layer| !layer.outer).collect();
        let mut advice: Vec<String> = dense_on_images(&layers).collect();
        for loss in self.compiled().map_or(&[][..], |compiled| &compiled.losses) {
            let head = built.ends[1].get(loss.output).and_then(|y| layers.iter().find(|l| l.outputs.iter().any(|(id, _)| id == y)));
            if let (Some(wanted), Some(layer)) = (loss.loss.head(), head) {
                let classes = layer.outputs.first().and_then(|(_, spec)| spec.shape.last().copied()).unwrap_or(0);
                advice.extend(head_of(layer, wanted, loss.loss.name(), classes));
            }
        }
        advice
    }
}

/// What is wrong with a last layer under a loss that wants another.
fn head_of(layer: &Applied, wanted: Head, loss: &str, classes: usize) -> Option<String> {
    let title = layer.base.title();
    let activation = layer.activation?;
    let is = |function: ActivationFn| activation == function;
    let softmax = is(Softmax) || activation.name() == "softmax";
    match wanted {
        Head::Logits if softmax || is(Sigmoid) => Some(format!(
            "{title} ends in {}, and {loss} was told to expect logits: it takes the logits behind the activation; give the layer no activation, or leave out `from_logits`",
            activation.name()
        )),
        Head::Softmax if softmax && classes == 1 => Some(format!(
            "{title} is a softmax over one unit, which is always 1; use a sigmoid and binary_crossentropy, or a unit per class"
        )),
        Head::Softmax if softmax || is(Sigmoid) => None,
        Head::Sigmoid if softmax || is(Sigmoid) => None,
        Head::Softmax | Head::Sigmoid => {
            let want = if wanted == Head::Softmax { "softmax" } else { "sigmoid" };
            let now = if is(Linear) { "has no activation".to_string() } else { format!("ends in {}", activation.name()) };
            Some(format!("{title} {now}, and {loss} takes probabilities; end it in {want}, or use no activation and `from_logits(true)`"))
        }
        Head::Logits => None,
    }
}

/// Dense layers that are given images, from a layer that makes some.
fn dense_on_images<'a>(layers: &'a [&'a Applied]) -> impl Iterator<Item = String> + 'a {
    let images: HashSet<u64> =
        layers.iter().filter(|l| IMAGE_LAYERS.contains(&l.base.kind())).flat_map(|l| l.outputs.iter().map(|(id, _)| *id)).collect();
    layers.iter().filter(move |l| l.base.kind() == "Dense" && l.inputs.iter().any(|(id, _)| images.contains(id))).map(|l| {
        let shape = l.inputs.first().map_or_else(String::new, |(_, spec)| format!("{:?}", &spec.shape[1..]));
        format!("{} is given images {shape} and works on their last axis alone; put Flatten or a global pooling before it", l.base.title())
    })
}

/// What is allowed and mostly a mistake in the data and how they are used.
pub(super) fn on_data(data: &Data, options: &Fit) -> Vec<String> {
    let mut advice = Vec::new();
    let epochs = options.epochs.saturating_sub(options.initial_epoch);
    if let Some(steps) = options.steps_per_epoch {
        let seen = steps.saturating_mul(options.batch_size).saturating_mul(epochs);
        if seen < data.count() {
            advice.push(format!(
                "steps_per_epoch {steps} with batch_size {} sees {seen} of {} samples in the whole training; leave it out to see all",
                options.batch_size,
                data.count()
            ));
        }
    }
    if options.validation.as_ref().is_some_and(|validation| is_among(validation, data)) {
        advice.push(
            "the validation data are among the training data, so that they say nothing about new ones; split them first, or use `validation_split`"
                .into(),
        );
    }
    advice
}

/// Whether samples of `part`, from all over it, are all among those of `all`.
fn is_among(part: &Data, all: &Data) -> bool {
    let ([part_x], [all_x]) = (&part.x[..], &all.x[..]) else { return false };
    if part_x.spec().dtype != all_x.spec().dtype || part_x.sample_shape() != all_x.sample_shape() || part_x.sample_bytes() == 0 {
        return false;
    }
    let count = part_x.count().min(PROBES);
    let probes: HashSet<&[u8]> = (0..count).map(|i| part_x.sample(i * part_x.count() / count)).collect();
    // A few kinds of samples that come again and again prove nothing.
    if probes.len() < 2 {
        return false;
    }
    let found: HashSet<&[u8]> = (0..all_x.count()).map(|i| all_x.sample(i)).filter(|r| probes.contains(r)).collect();
    found.len() == probes.len()
}

static SAID: Mutex<Option<HashSet<String>>> = Mutex::new(None);

/// Prints each piece of advice that was not printed before.
pub(super) fn say(advice: impl IntoIterator<Item = String>) {
    if std::env::var(SWITCH).is_ok_and(|value| value == "0") {
        return;
    }
    let mut said = lock(&SAID);
    let said = said.get_or_insert_with(HashSet::new);
    for text in advice {
        if !said.contains(&text) {
            eprintln!("advice: {text}");
            said.insert(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;
    use crate::train::Samples;

    fn data(range: std::ops::Range<u8>) -> Result<Data> {
        let x: Vec<u8> = range.clone().flat_map(|i| [i, i / 2, 7]).collect();
        Data::new(Samples::new([range.len(), 3], &x)?, &range.collect::<Vec<u8>>())
    }

    #[test]
    fn validation_among_training() -> Result<()> {
        let all = data(0..100)?;
        for (validation, told) in [(data(80..100)?, true), (data(90..110)?, false), (data(150..180)?, false)] {
            let options = Fit { validation: Some(validation), ..Fit::default() };
            let advice = on_data(&all, &options);
            assert_eq!(advice.iter().any(|text| text.contains("among the training data")), told, "{advice:?}");
        }
        Ok(())
    }

    #[test]
    fn a_fraction_of_the_data() -> Result<()> {
        let all = data(0..100)?;
        let few = Fit { steps_per_epoch: Some(2), batch_size: 10, epochs: 2, ..Fit::default() };
        assert!(on_data(&all, &few)[0].contains("sees 40 of 100 samples"));
        assert!(on_data(&all, &Fit { epochs: 5, ..few }).is_empty());
        Ok(())
    }
}
