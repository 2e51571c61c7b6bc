//! Images made larger by whole factors.

use super::window::images;
use crate::error::{Error, Result};
use crate::shape::DType;
use crate::tensor::Tensor;

impl Tensor {
    /// Every pixel of images `[batch, rows, columns, channels]` as a block of `factors[0]` rows and `factors[1]` columns.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there are four axes; [`Error::Argument`] for a factor of zero.
    #[track_caller]
    pub fn resize_nearest2d(&self, factors: [usize; 2]) -> Result<Tensor> {
        let op = "resize_nearest2d";
        let ([n, h, w, c], [fy, fx]) = (images(op, self.shape())?, positive(op, factors)?);
        if factors == [1, 1] {
            return Ok(self.clone());
        }
        self.reshape([n, h, 1, w, 1, c])?.broadcast_to([n, h, fy, w, fx, c])?.reshape([n, h * fy, w * fx, c])
    }

    /// Images `[batch, rows, columns, channels]` with `factors[0]` times the rows and `factors[1]` times the columns. A pixel is mixed from the two
    /// nearest along each axis, by the distances between their centres; at the borders there is one, and it counts whole. This is
    /// TensorFlow's bilinear `resize`, with half-pixel centres. Floats only.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there are four axes; [`Error::Argument`] for a factor of zero; [`Error::DType`] for whole numbers.
    #[track_caller]
    pub fn resize_bilinear2d(&self, factors: [usize; 2]) -> Result<Tensor> {
        let op = "resize_bilinear2d";
        let ([n, h, w, c], [fy, fx]) = (images(op, self.shape())?, positive(op, factors)?);
        let mut y = self.clone();
        if fy > 1 {
            y = self.mixing(h, fy)?.matmul(&y.reshape([n, h, w * c])?)?;
        }
        if fx > 1 {
            y = self.mixing(w, fx)?.matmul(&y.reshape([n * h * fy, w, c])?)?;
        }
        y.reshape([n, h * fy, w * fx, c])
    }

    /// The matrix `[length · factor, length]` that mixes cells of an axis, in this tensor's type.
    fn mixing(&self, length: usize, factor: usize) -> Result<Tensor> {
        let mut matrix = vec![0.0; length * factor * length];
        for (cell, row) in matrix.chunks_exact_mut(length.max(1)).enumerate() {
            // Where the cell's centre lies between the centres of the given cells.
            let at = ((cell as f64 + 0.5) / factor as f64 - 0.5).clamp(0.0, (length - 1) as f64);
            let (low, part) = (at.floor() as usize, at.fract());
            row[low] += 1.0 - part;
            row[(low + 1).min(length - 1)] += part;
        }
        match self.dtype() {
            DType::F64 => Tensor::new(self.device(), [length * factor, length], &matrix),
            dtype if dtype.is_float() => {
                Tensor::new(self.device(), [length * factor, length], &matrix.iter().map(|v| *v as f32).collect::<Vec<_>>())?.cast(dtype)
            }
            other => Err(Error::dtype("resize_bilinear2d", "f32", other)),
        }
    }
}

fn positive(op: &str, factors: [usize; 2]) -> Result<[usize; 2]> {
    if factors.contains(&0) { Err(Error::argument(format!("{op}: factors"), "at least 1", format!("{factors:?}"))) } else { Ok(factors) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::testing::{check, close, float};

    #[test]
    fn nearest() {
        for (factors, shape) in [([2, 3], [1, 2, 3, 2]), ([1, 2], [2, 3, 1, 1]), ([1, 1], [1, 2, 2, 1])] {
            let [n, h, w, c] = shape;
            let [fy, fx] = factors;
            check(&format!("resize_nearest2d {factors:?}"), &[float(shape)], |x| x[0].resize_nearest2d(factors))
                .reference(|x| {
                    let cells = (0..n * h * fy * w * fx * c)
                        .map(|i| (i / (c * w * fx * h * fy), i / (c * w * fx) % (h * fy), i / c % (w * fx), i % c));
                    cells.map(|(image, y, col, ch)| x[0][((image * h + y / fy) * w + col / fx) * c + ch]).collect()
                })
                .run();
        }
    }

    /// Pixel by pixel from the four around it.
    #[test]
    fn bilinear() {
        for (factors, shape) in [([2, 2], [1, 3, 2, 2]), ([3, 1], [2, 2, 3, 1]), ([2, 4], [1, 1, 3, 1]), ([1, 3], [1, 2, 2, 1])] {
            let [n, h, w, c] = shape;
            let [fy, fx] = factors;
            let around = |cell: usize, factor: usize, length: usize| {
                let at = (2.0 * cell as f64 + 1.0 - factor as f64) / (2.0 * factor as f64);
                let low = at.floor();
                let inside = |i: f64| i.clamp(0.0, length as f64 - 1.0) as usize;
                [(inside(low), 1.0 - (at - low)), (inside(low + 1.0), at - low)]
            };
            check(&format!("resize_bilinear2d {factors:?}"), &[float(shape)], |x| x[0].resize_bilinear2d(factors))
                .reference(|x| {
                    let mut y = Vec::new();
                    for i in 0..n * h * fy * w * fx * c {
                        let (image, row, col, ch) = (i / (c * w * fx * h * fy), i / (c * w * fx) % (h * fy), i / c % (w * fx), i % c);
                        let mut sum = 0.0;
                        for (iy, py) in around(row, fy, h) {
                            for (ix, px) in around(col, fx, w) {
                                sum += py * px * x[0][((image * h + iy) * w + ix) * c + ch];
                            }
                        }
                        y.push(sum);
                    }
                    y
                })
                .terms(4)
                .run();
        }
    }

    /// Keras's `UpSampling2D(2, interpolation="bilinear")` of the first rows of a case of `tests/golden/layers.txt`.
    #[test]
    fn bilinear_as_keras() -> Result<()> {
        let x = [0.942f32, -1.243, -0.855, -1.919, 1.623, 1.677, 1.384, 0.456, 0.169, -0.673, -1.482, 1.268];
        let y = Tensor::new(&Device::cpu(), [1, 3, 2, 2], &x)?.resize_bilinear2d([2, 2])?;
        assert_eq!(y.shape()[..], [1, 6, 4, 2]);
        let want = [0.942, -1.243, 0.49275, -1.4120001, -0.40574998, -1.75, -0.855, -1.919, 1.11225, -0.513, 0.760375, -0.71606255];
        let got: Vec<f64> = y.to_vec::<f32>()?.into_iter().take(want.len()).map(f64::from).collect();
        close(&got, &want, 1e-6, 1e-6).unwrap();
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_refused() -> Result<()> {
        let x = Tensor::zeros(&Device::cpu(), [1, 2, 2, 1])?;
        assert!(matches!(x.resize_nearest2d([0, 1]), Err(Error::Argument { .. })));
        assert!(matches!(x.resize_bilinear2d([1, 0]), Err(Error::Argument { .. })));
        assert!(matches!(x.cast(DType::U32)?.resize_bilinear2d([2, 1]), Err(Error::DType { .. })));
        assert!(x.reshape([2, 2, 1])?.resize_nearest2d([2, 2]).is_err());
        assert!(Tensor::zeros(&Device::cpu(), [1, 0, 2, 1])?.resize_bilinear2d([2, 2])?.to_vec::<f32>()?.is_empty());
        Ok(())
    }
}
