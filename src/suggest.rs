//! "Did you mean …?" for names that come as text.

use crate::error::{Error, Result};

/// The entry of `known` that the text names, whatever its case.
///
/// # Errors
/// [`Error::Argument`] naming `what`, with the nearest known name; with all of them, if none is near or they are few.
pub(crate) fn find<T: Clone>(what: &str, text: &str, known: &[(&str, T)]) -> Result<T> {
    let wanted = text.trim().to_lowercase();
    if let Some((_, value)) = known.iter().find(|(name, _)| *name == wanted) {
        return Ok(value.clone());
    }
    let all: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let near = did_you_mean(&wanted, &all);
    let want = if near.is_empty() || all.len() <= FEW { format!("one of {}", all.join(", ")) } else { "a known name".into() };
    Err(Error::argument(what, want, format!("{text:?}{near}")))
}

/// So many names are listed beside the one that was meant.
const FEW: usize = 8;

/// `; did you mean "relu"?`, or nothing if no candidate is near.
pub(crate) fn did_you_mean(word: &str, candidates: &[impl AsRef<str>]) -> String {
    nearest(word, candidates).map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
}

/// The candidate that differs least; if all differ in more than a third of the letters, the first that goes on where the word ends.
pub(crate) fn nearest<'a>(word: &str, candidates: &'a [impl AsRef<str>]) -> Option<&'a str> {
    let names = || candidates.iter().map(AsRef::as_ref);
    let (distance, best) = names().map(|name| (edits(word, name), name)).min_by_key(|(distance, _)| *distance)?;
    let longer = || names().find(|name| word.len() >= 3 && name.starts_with(word));
    if distance <= word.len().max(3) / 3 { Some(best) } else { longer() }
}

/// The least number of letters to insert, delete or replace, or of neighbours to swap (Damerau and Levenshtein, no letter touched twice).
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut distance = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            distance[i][j] = match (i, j) {
                (0, n) | (n, 0) => n,
                _ => {
                    let replaced = distance[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let least = replaced.min(distance[i - 1][j] + 1).min(distance[i][j - 1] + 1);
                    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    if swapped { least.min(distance[i - 2][j - 2] + 1) } else { least }
                }
            };
        }
    }
    distance[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        for (a, b, distance) in
            [("", "", 0), ("relu", "relu", 0), ("rleu", "relu", 1), ("rlue", "relu", 2), ("kitten", "sitting", 3), ("", "abc", 3)]
        {
            assert_eq!(edits(a, b), distance, "{a} {b}");
            assert_eq!(edits(b, a), distance, "{b} {a}");
        }
    }

    #[test]
    fn names_the_nearest_or_none() {
        let known = [("relu", 1), ("sigmoid", 2), ("softmax", 3)];
        assert_eq!(find("activation", "ReLU", &known).expect("known"), 1);
        let text = find("activation", "sofmax", &known).expect_err("unknown").to_string();
        assert_eq!(text, "activation: expected one of relu, sigmoid, softmax, got \"sofmax\"; did you mean \"softmax\"?");
        assert_eq!(nearest("glorot", &["zeros", "glorot_uniform", "glorot_normal"]), Some("glorot_uniform"));
        assert_eq!(nearest("x", &["xavier"]), None);
        let many: Vec<(String, ())> = (0..20).map(|i| (format!("number_{i}"), ())).collect();
        let many: Vec<(&str, ())> = many.iter().map(|(name, ())| (name.as_str(), ())).collect();
        let text = find("count", "numbr_3", &many).expect_err("unknown").to_string();
        assert_eq!(text, "count: expected a known name, got \"numbr_3\"; did you mean \"number_3\"?");
        let text = find("activation", "quux", &known).expect_err("unknown").to_string();
        assert!(!text.contains("did you mean"), "{text}");
    }
}
