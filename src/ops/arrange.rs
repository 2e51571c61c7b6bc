//! Ways to order, join and repeat tensors that other operations add up to.

use crate::error::{Error, Result};
use crate::shape::axis_index;
use crate::tensor::Tensor;

impl Tensor {
    /// With two axes exchanged; negative ones count from the back.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no such axis.
    #[track_caller]
    pub fn swap_axes(&self, a: isize, b: isize) -> Result<Tensor> {
        let mut axes: Vec<usize> = (0..self.rank()).collect();
        axes.swap(axis_index(a, self.rank(), "swap_axes")?, axis_index(b, self.rank(), "swap_axes")?);
        self.transpose(&axes)
    }

    /// The `length` elements along `axis` that begin at `start`; the other axes stay whole.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no such axis, or if it ends before.
    #[track_caller]
    pub fn narrow(&self, axis: isize, start: usize, length: usize) -> Result<Tensor> {
        let axis = axis_index(axis, self.rank(), "narrow")?;
        let mut ranges: Vec<_> = self.shape()[..axis].iter().map(|&n| 0..n).collect();
        ranges.push(start..start.saturating_add(length));
        self.slice(&ranges)
    }

    /// Tensors of one shape, one after the other along a new axis, which is axis `axis` of the result.
    ///
    /// # Errors
    /// [`Error::Argument`] for no tensors or if the result has no such axis; [`Error::Shape`], [`Error::DType`] for one that does not fit the
    /// first.
    #[track_caller]
    pub fn stack(tensors: &[&Tensor], axis: isize) -> Result<Tensor> {
        let raised = tensors.iter().map(|t| t.expand_dims(axis)).collect::<Result<Vec<_>>>()?;
        let Some(first) = raised.first() else { return Err(Error::argument("stack: tensors", "at least one", 0)) };
        if let Some(other) = raised.iter().find(|t| t.shape() != first.shape()) {
            return Err(Error::shape("stack", format!("{} like the first input", first.shape()), other.shape()));
        }
        Tensor::concat(&raised.iter().collect::<Vec<_>>(), axis)
    }

    /// Every element `times` times in a row along `axis`: `[1, 2]` becomes `[1, 1, 2, 2]`.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no such axis.
    #[track_caller]
    pub fn repeat(&self, times: usize, axis: isize) -> Result<Tensor> {
        self.repeated(times, axis_index(axis, self.rank(), "repeat")?, 1)
    }

    /// The tensor `times` times one after the other along `axis`: `[1, 2]` becomes `[1, 2, 1, 2]`.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no such axis.
    #[track_caller]
    pub fn tile(&self, times: usize, axis: isize) -> Result<Tensor> {
        self.repeated(times, axis_index(axis, self.rank(), "tile")?, 0)
    }

    /// Stretched along a new axis that is `after` axes behind the front of `axis`, which it is then one with.
    fn repeated(&self, times: usize, axis: usize, after: usize) -> Result<Tensor> {
        if times == 1 {
            return Ok(self.clone());
        }
        let mut stretched = self.shape().to_vec();
        stretched.insert(axis + after, times);
        let raised = self.expand_dims((axis + after) as isize)?.broadcast_to(stretched)?;
        raised.reshape(self.shape().with(axis, self.shape()[axis] * times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::testing::{check, float};

    fn counting(shape: &[usize]) -> Tensor {
        let data: Vec<f32> = (0..shape.iter().product()).map(|i: usize| i as f32).collect();
        Tensor::new(&Device::cpu(), shape, &data).unwrap()
    }

    fn assert_is(got: &Tensor, shape: &[usize], want: &[f32]) {
        assert_eq!(got.shape()[..], *shape);
        assert_eq!(got.to_vec::<f32>().unwrap(), want);
    }

    #[test]
    fn parts_and_how_they_join() -> Result<()> {
        let x = counting(&[2, 3]);
        assert_is(&x.swap_axes(0, -1)?, &[3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_is(&x.narrow(-1, 1, 2)?, &[2, 2], &[1.0, 2.0, 4.0, 5.0]);
        assert_is(&x.narrow(0, 1, 1)?, &[1, 3], &[3.0, 4.0, 5.0]);
        assert_is(&Tensor::stack(&[&x, &x.neg()?], 1)?, &[2, 2, 3], &[0., 1., 2., -0., -1., -2., 3., 4., 5., -3., -4., -5.]);
        assert_is(&Tensor::stack(&[&x, &x], -1)?, &[2, 3, 2], &[0., 0., 1., 1., 2., 2., 3., 3., 4., 4., 5., 5.]);
        assert_is(&x.repeat(2, 0)?, &[4, 3], &[0., 1., 2., 0., 1., 2., 3., 4., 5., 3., 4., 5.]);
        assert_is(&x.repeat(2, 1)?, &[2, 6], &[0., 0., 1., 1., 2., 2., 3., 3., 4., 4., 5., 5.]);
        assert_is(&x.tile(2, 0)?, &[4, 3], &[0., 1., 2., 3., 4., 5., 0., 1., 2., 3., 4., 5.]);
        assert_is(&x.tile(2, -1)?, &[2, 6], &[0., 1., 2., 0., 1., 2., 3., 4., 5., 3., 4., 5.]);
        assert_eq!(x.tile(0, 0)?.shape()[..], [0, 3]);
        Ok(())
    }

    #[test]
    fn gradients_and_devices() {
        check("arrangements", &[float([3, 4])], |x| {
            let [a, b] = &x[0].split(2, 1)?[..] else { unreachable!("asked for two") };
            Tensor::stack(&[&a.repeat(3, 1)?.square()?, &b.tile(3, 1)?, &x[0].swap_axes(0, 1)?.narrow(0, 1, 3)?.tile(2, 1)?], 0)
        })
        .reference(|x| {
            let at = |r: usize, c: usize| x[0][r * 4 + c];
            let cells = (0..54).map(|i| (i / 18, i / 6 % 3, i % 6));
            cells
                .map(|(part, r, c)| match part {
                    0 => at(r, c / 3).powi(2),
                    1 => at(r, 2 + c % 2),
                    _ => at(c % 3, r + 1),
                })
                .collect()
        })
        .run();
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let x = counting(&[2, 3]);
        assert!(matches!(x.swap_axes(0, 2), Err(Error::Argument { .. })));
        assert!(matches!(x.narrow(1, 2, 2), Err(Error::Argument { .. })));
        assert!(matches!(x.narrow(1, 1, usize::MAX), Err(Error::Argument { .. })));
        assert!(matches!(x.repeat(2, 2), Err(Error::Argument { .. })));
        assert!(matches!(Tensor::stack(&[], 0), Err(Error::Argument { .. })));
        assert!(matches!(Tensor::stack(&[&x, &counting(&[2, 1])], 0), Err(Error::Shape { .. })));
    }
}
