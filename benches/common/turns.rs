//! Two or more measured in turns, and what their ratios say. Other load on the machine then meets all of them alike.

use super::median;
use anyhow::Result;

/// For each of the `contestants` its results in every round. They take turns; every second round goes backwards.
///
/// # Errors
/// The first error of any.
pub fn take<T>(contestants: usize, rounds: usize, mut one: impl FnMut(usize) -> Result<T>) -> Result<Vec<Vec<T>>> {
    let mut results: Vec<Vec<T>> = (0..contestants).map(|_| Vec::with_capacity(rounds)).collect();
    for round in 0..rounds {
        for i in 0..contestants {
            let i = if round % 2 == 0 { i } else { contestants - 1 - i };
            results[i].push(one(i)?);
        }
    }
    Ok(results)
}

/// The median of ratios, with their range.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ratios {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Ratios {
    /// Of the pairs `above / below`, round by round.
    pub fn of(above: &[f64], below: &[f64]) -> Ratios {
        assert_eq!(above.len(), below.len(), "a pair for each round");
        let ratios: Vec<f64> = above.iter().zip(below).map(|(a, b)| a / b).collect();
        let edge = |pick: fn(f64, f64) -> f64| ratios.iter().copied().reduce(pick).unwrap_or(f64::NAN);
        Ratios { median: median(&ratios), least: edge(f64::min), most: edge(f64::max) }
    }
}
