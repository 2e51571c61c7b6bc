//! Names of layers: Keras's snake case and numbering, but counted per model, so that a model has the same names in every program.

use super::graph::Graph;
use crate::error::{Error, Result};
use crate::layers::Layer;
use std::collections::{HashMap, HashSet};

/// `MaxPooling2D` becomes `max_pooling2d` (Keras `to_snake_case`).
pub(crate) fn snake_case(kind: &str) -> String {
    let letters: Vec<char> = kind.chars().collect();
    let mut name = String::new();
    for (i, &c) in letters.iter().enumerate() {
        let starts_word = letters.get(i + 1).is_some_and(char::is_ascii_lowercase);
        let ends_word = i > 0 && letters[i - 1].is_ascii_lowercase();
        if i > 0 && c.is_ascii_uppercase() && (starts_word || ends_word) {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// Names every layer that has no name, also inside other layers; and anew those whose name was given by another model and is taken here.
///
/// # Errors
/// [`Error::Argument`] for two layers side by side that the user gave one name.
pub(super) fn name_layers(root: &dyn Layer) -> Result<()> {
    name_in_order(root, root.sublayers())
}

/// [`name_layers`], the layers of the root numbered in this order.
pub(super) fn name_in_order(root: &dyn Layer, layers: Vec<&dyn Layer>) -> Result<()> {
    let mut namer = Namer::default();
    take_names(root, &mut namer, false)?;
    take_names(root, &mut namer, true)?;
    give_names(layers, &mut namer);
    Ok(())
}

/// Takes the names that users gave, or those that models gave.
fn take_names(layer: &dyn Layer, namer: &mut Namer, automatic: bool) -> Result<()> {
    let layers = layer.sublayers();
    let mut here: HashMap<String, usize> = HashMap::new();
    for inner in &layers {
        let (name, base) = (inner.name(), inner.base());
        if name.is_empty() || base.is_named_automatically() && !automatic {
            continue;
        }
        // A layer that is used twice is one layer.
        if here.get(&name).is_some_and(|other| *other != base.id()) {
            if !base.is_named_automatically() {
                let what = format!("{}: layer names", layer.name());
                return Err(Error::argument(what, "a name of its own for each", format!("{name:?} twice")));
            }
            base.rename_automatically("");
            continue;
        }
        here.insert(name.clone(), base.id());
        namer.taken.insert(name);
    }
    layers.into_iter().try_for_each(|inner| take_names(inner, namer, automatic))
}

fn give_names(layers: Vec<&dyn Layer>, namer: &mut Namer) {
    for layer in layers {
        if layer.name().is_empty() {
            layer.base().rename_automatically(namer.next(layer.base().kind()));
        }
        give_names(layer.sublayers(), namer);
    }
}

/// Names the inputs that have no name: `input_layer`, `input_layer_1`.
pub(super) fn name_inputs(graph: &Graph) {
    let mut namer = Namer::default();
    namer.taken.extend(graph.inputs().iter().map(|x| x.node.base.name()));
    for base in graph.inputs().iter().map(|x| &x.node.base).filter(|base| base.name().is_empty()) {
        base.rename(namer.next(base.kind()));
    }
}

/// The names, with a number after those that came before.
pub(super) fn distinct(names: Vec<String>) -> Vec<String> {
    let mut namer = Namer::default();
    names.into_iter().map(|name| namer.next(&name)).collect()
}

/// Gives out `dense`, `dense_1`, `dense_2`, … and never a name that is taken.
#[derive(Default)]
struct Namer {
    counts: HashMap<String, usize>,
    taken: HashSet<String>,
}

impl Namer {
    /// A new name for a layer of this kind.
    fn next(&mut self, kind: &str) -> String {
        let stem = snake_case(kind);
        let count = self.counts.entry(stem.clone()).or_default();
        loop {
            let name = if *count == 0 { stem.clone() } else { format!("{stem}_{count}") };
            *count += 1;
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keras_spelling() {
        for (kind, name) in [
            ("Conv2D", "conv2d"),
            ("MaxPooling2D", "max_pooling2d"),
            ("GlobalAveragePooling2D", "global_average_pooling2d"),
            ("Dense", "dense"),
            ("BatchNormalization", "batch_normalization"),
            ("LSTM", "lstm"),
            ("InputLayer", "input_layer"),
        ] {
            assert_eq!(snake_case(kind), name);
        }
    }

    #[test]
    fn numbers_skip_what_is_taken() {
        let mut namer = Namer::default();
        namer.taken.insert("dense_1".into());
        let names: Vec<String> = ["Dense", "Dense", "Flatten", "Dense"].map(|kind| namer.next(kind)).into();
        assert_eq!(names, ["dense", "dense_2", "flatten", "dense_3"]);
    }
}
