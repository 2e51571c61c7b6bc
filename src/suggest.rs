//! "Did you mean …?" for names that come as text.

use crate::error::{Error, Result};

/// The entry of `known` that the text names, whatever its case.
///
/// # Errors
/// [`Error::Argument`] naming `what`, with the nearest known name and all of them.
pub(crate) fn find<T: Clone>(what: &str, text: &str, known: &[(&str, T)]) -> Result<T> {
    let wanted = text.trim().to_lowercase();
    if let Some((_, value)) = known.iter().find(|(name, _)| *name == wanted) {
        return Ok(value.clone());
    }
    let all: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let near = nearest(&wanted, &all).map_or_else(String::new, |name| format!("; did you mean {name:?}?"));
    Err(Error::argument(what, format!("one of {}", all.join(", ")), format!("{text:?}{near}")))
}

/// The candidate that differs least, unless all differ in more than a third of the letters.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let (distance, best) = candidates.iter().map(|&name| (edits(word, name), name)).min_by_key(|(distance, _)| *distance)?;
    (distance <= word.len().max(3) / 3).then_some(best)
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
        let text = find("activation", "quux", &known).expect_err("unknown").to_string();
        assert!(!text.contains("did you mean"), "{text}");
    }
}
