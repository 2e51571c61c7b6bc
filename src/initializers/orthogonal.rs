//! Matrices of right angles.

use super::{Initializer, random};
use crate::error::{Error, Result};
use crate::shape::Shape;
use rayon::prelude::*;

/// A random matrix whose rows (or columns, whichever are fewer) have length `gain` and stand at right angles: what recurrent weights start as.
/// All axes but the last count as rows. Default: a gain of 1. (Saxe et al. 2013.)
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Orthogonal {
    /// The length.
    pub gain: f32,
}

impl Default for Orthogonal {
    fn default() -> Orthogonal {
        Orthogonal { gain: 1.0 }
    }
}

impl Initializer for Orthogonal {
    fn check(&self, shape: &Shape) -> Result<()> {
        if shape.rank() >= 2 { Ok(()) } else { Err(Error::shape("Orthogonal", "at least two axes", shape)) }
    }

    fn values(&self, shape: &Shape, seed: u64, stream: u64) -> Vec<f32> {
        let columns = shape.last().copied().unwrap_or(1);
        let rows = shape.elements() / columns.max(1);
        let (long, short) = (rows.max(columns), rows.min(columns));
        // A normal distribution has no favourite direction, and so neither have these.
        let normals: Vec<f32> = random::normals(long * short, seed, stream).collect();
        let mut vectors: Vec<Vec<f64>> =
            (0..short).map(|v| normals.iter().skip(v).step_by(short).map(|z| f64::from(*z)).collect()).collect();
        // The second round removes what rounding left over of the first.
        for _ in 0..2 {
            orthonormalize(&mut vectors);
        }
        let at = |row: usize, column: usize| if rows >= columns { vectors[column][row] } else { vectors[row][column] };
        let cells = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        cells.map(|(row, column)| (at(row, column) * f64::from(self.gain)) as f32).collect()
    }
}

/// Gram's and Schmidt's method, modified. Every vector keeps the direction of what is left of it, which is Q of the QR decomposition with a
/// positive diagonal of R.
fn orthonormalize(vectors: &mut [Vec<f64>]) {
    let mut rest = vectors;
    while let [first, others @ ..] = rest {
        let norm = dot(first, first).sqrt();
        first.iter_mut().for_each(|x| *x /= norm);
        others.par_iter_mut().for_each(|other| {
            let along = dot(first, other);
            other.iter_mut().zip(first.iter()).for_each(|(x, f)| *x -= along * f);
        });
        rest = others;
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_angles() {
        for (shape, rows, columns) in [(Shape::from([40, 40]), 40, 40), (Shape::from([5, 20]), 5, 20), (Shape::from([2, 3, 4, 6]), 24, 6)] {
            let rule = Orthogonal { gain: 2.0 };
            rule.check(&shape).expect("a matrix");
            let values = rule.values(&shape, 3, 4);
            assert_eq!(values.len(), rows * columns);
            let (vectors, length) = (rows.min(columns), rows.max(columns));
            let at = |v: usize, i: usize| f64::from(if rows >= columns { values[i * columns + v] } else { values[v * columns + i] });
            for (a, b) in (0..vectors).flat_map(|a| (0..vectors).map(move |b| (a, b))) {
                let product: f64 = (0..length).map(|i| at(a, i) * at(b, i)).sum();
                let want = if a == b { 4.0 } else { 0.0 };
                assert!((product - want).abs() <= 1e-5, "{shape}: {a} times {b} is {product}");
            }
        }
        assert_ne!(Orthogonal::default().values(&Shape::from([3, 3]), 1, 1), Orthogonal::default().values(&Shape::from([3, 3]), 1, 2));
        assert!(Orthogonal::default().values(&Shape::from([0, 3]), 1, 1).is_empty());
        assert!(Orthogonal::default().check(&Shape::from([3])).is_err());
    }

    /// The first vector is the first draw, stretched; the second is what is left of the second.
    #[test]
    fn is_the_q_of_qr() {
        let shape = Shape::from([3, 2]);
        let z: Vec<f64> = random::normals(6, 9, 9).map(f64::from).collect();
        let (a, b) = ([z[0], z[2], z[4]], [z[1], z[3], z[5]]);
        let along = dot(&a, &b) / dot(&a, &a);
        let left: Vec<f64> = (0..3).map(|i| b[i] - along * a[i]).collect();
        let got = Orthogonal::default().values(&shape, 9, 9);
        for i in 0..3 {
            assert!((f64::from(got[2 * i]) - a[i] / dot(&a, &a).sqrt()).abs() <= 1e-6);
            assert!((f64::from(got[2 * i + 1]) - left[i] / dot(&left, &left).sqrt()).abs() <= 1e-6);
        }
    }
}
