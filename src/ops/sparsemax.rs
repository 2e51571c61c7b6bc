//! Sparsemax (Martins and Astudillo 2016): the point of the probability simplex that lies nearest to a row. Like softmax, but small
//! elements become exactly 0.
//!
//! `y_i = max(x_i − τ, 0)`, where `τ = (Σ_{j in S} x_j − 1) / |S|` and `S` holds the `i` with `1 + |L_i|·x_i > Σ_{j in L_i} x_j`, where
//! `L_i` are the `j` with `x_j ≥ x_i`. The lists are found by comparing every pair, so that nothing is sorted: the cost grows with the square of a
//! row's length.

use crate::error::Result;
use crate::ops::pointwise::map1;
use crate::shape::axis_index;
use crate::tensor::Tensor;

impl Tensor {
    /// Sparsemax over `axis`: numbers from 0 on that sum to 1.
    ///
    /// Keras 3.15 adds up sums of its sorted rows where the formula wants the last of them; its rows sum to 1 only where one element remains. This
    /// is the published function.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if there is no such axis; [`Error::Shape`](crate::Error::Shape) if it is empty;
    /// [`Error::DType`](crate::Error::DType) if this is no float.
    #[track_caller]
    pub fn sparsemax(&self, axis: isize) -> Result<Tensor> {
        let axis = axis_index(axis, self.rank(), "sparsemax")? as isize;
        // The largest element is moved to 0, which changes nothing but keeps sums of large numbers exact.
        let x = self.sub(&self.max(&[axis], true)?.stop_gradient()?)?.swap_axes(axis, -1)?;
        let (one, other) = (x.expand_dims(-1)?, x.expand_dims(-2)?);
        let larger = map1(&[&one, &other], |e| e[1].ge(&e[0]).select(&e[0].number(1.0), &e[0].number(0.0)))?;
        let count = larger.sum(&[-1], false)?;
        let sum = larger.mul(&other)?.sum(&[-1], false)?;
        let kept = map1(&[&x, &count, &sum], |e| (&e[0] * &e[1] + 1.0).gt(&e[2]).select(&e[0].number(1.0), &e[0].number(0.0)))?;
        let kept = kept.stop_gradient()?;
        let level = kept.mul(&x)?.sum(&[-1], true)?.add_scalar(-1.0)?.div(&kept.sum(&[-1], true)?)?;
        x.sub(&level)?.relu()?.swap_axes(axis, -1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::testing::{check, close, float};

    /// The projection onto the simplex, its level found by bisection.
    fn project(row: &[f64]) -> Vec<f64> {
        let (mut low, mut high) =
            (row.iter().copied().fold(f64::INFINITY, f64::min) - 1.0, row.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        for _ in 0..200 {
            let level = 0.5 * (low + high);
            if row.iter().map(|x| (x - level).max(0.0)).sum::<f64>() > 1.0 { low = level } else { high = level }
        }
        row.iter().map(|x| (x - low).max(0.0)).collect()
    }

    #[test]
    fn rows_and_columns() {
        check("sparsemax", &[float([5, 6])], |x| x[0].sparsemax(-1))
            .reference(|x| x[0].chunks(6).flat_map(project).collect())
            .terms(6)
            .run();
        check("sparsemax over axis 0", &[float([4, 3])], |x| x[0].sparsemax(0))
            .reference(|x| {
                let columns: Vec<Vec<f64>> = (0..3).map(|c| project(&[x[0][c], x[0][3 + c], x[0][6 + c], x[0][9 + c]])).collect();
                (0..12).map(|i| columns[i % 3][i / 3]).collect()
            })
            .terms(4)
            .run();
    }

    #[test]
    fn ties_share_and_size_does_not_matter() -> Result<()> {
        let x = Tensor::new(&Device::cpu(), [3, 4], &[3.0f32, 3.0, 1.0, 3.0, 0.0, 0.0, 0.0, 0.0, 1e6, 1e6 + 0.5, 0.0, -1e6])?;
        let third = 1.0 / 3.0;
        let got: Vec<f64> = x.sparsemax(1)?.to_vec::<f32>()?.into_iter().map(f64::from).collect();
        close(&got, &[third, third, 0.0, third, 0.25, 0.25, 0.25, 0.25, 0.25, 0.75, 0.0, 0.0], 1e-6, 0.0).unwrap();
        assert!(x.sparsemax(2).is_err());
        Ok(())
    }
}
