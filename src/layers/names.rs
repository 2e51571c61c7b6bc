//! Names of layers: Keras's snake case and numbering, but counted per model, so that a model has the same names in every program.

use std::collections::{HashMap, HashSet};

/// `MaxPooling2D` becomes `max_pooling2d` (Keras `to_snake_case`).
fn snake_case(kind: &str) -> String {
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

/// Gives out `dense`, `dense_1`, `dense_2`, … and never a name that is taken.
#[derive(Default)]
pub(crate) struct Namer {
    counts: HashMap<String, usize>,
    taken: HashSet<String>,
}

impl Namer {
    /// Marks a name as used; false if it was.
    pub fn take(&mut self, name: &str) -> bool {
        self.taken.insert(name.to_string())
    }

    /// A new name for a layer of this kind.
    pub fn next(&mut self, kind: &str) -> String {
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
        ] {
            assert_eq!(snake_case(kind), name);
        }
    }

    #[test]
    fn numbers_skip_what_is_taken() {
        let mut namer = Namer::default();
        assert!(namer.take("dense_1"));
        assert!(!namer.take("dense_1"));
        let names: Vec<String> = ["Dense", "Dense", "Flatten", "Dense"].map(|kind| namer.next(kind)).into();
        assert_eq!(names, ["dense", "dense_2", "flatten", "dense_3"]);
    }
}
