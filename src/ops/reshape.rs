//! The same elements under another shape: `reshape`, `flatten_from`, `expand_dims`, `squeeze`; and `stop_gradient`, the same tensor without a
//! gradient. None of them moves memory: they are views, which the planner gives their input's memory.

use crate::error::{Error, Result};
use crate::record::op::{CpuArgs, GradCx, Launch, Op};
use crate::record::record_one;
use crate::shape::{Shape, Spec, axis_index};
use crate::tensor::Tensor;

impl Tensor {
    /// The same elements, in row-major order, under another shape. Any type.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shape has another number of elements.
    #[track_caller]
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        if shape == *self.shape() {
            return Ok(self.clone());
        }
        record_one(Reshape { shape }, &[self])
    }

    /// [`Tensor::reshape`] where one axis may be `-1`: it takes what the others leave.
    ///
    /// # Errors
    /// [`Error::Argument`] for a second negative axis; [`Error::Shape`] if the elements do not divide evenly.
    #[track_caller]
    pub fn reshape_infer(&self, dims: &[isize]) -> Result<Tensor> {
        let unknown = dims.iter().filter(|d| **d < 0).count();
        if unknown > 1 || dims.iter().any(|d| *d < -1) {
            return Err(Error::argument("reshape: shape", "lengths, and -1 at most once", format!("{dims:?}")));
        }
        let known: usize = dims.iter().filter(|d| **d >= 0).map(|d| d.unsigned_abs()).product();
        let elements = self.shape().elements();
        if unknown == 1 && (known == 0 || !elements.is_multiple_of(known)) {
            return Err(Error::shape("reshape", format!("a multiple of {known} elements for {dims:?}"), self.shape()));
        }
        let length = |d: &isize| if *d < 0 { elements / known } else { d.unsigned_abs() };
        self.reshape(dims.iter().map(length).collect::<Vec<usize>>())
    }

    /// All axes from `axis` on as one: `flatten_from(1)` makes `[batch, …]` into `[batch, features]`, and `[batch]` into `[batch, 1]`.
    ///
    /// # Errors
    /// [`Error::Argument`] if `axis` is larger than the rank.
    #[track_caller]
    pub fn flatten_from(&self, axis: usize) -> Result<Tensor> {
        if axis > self.rank() {
            return Err(Error::argument("flatten_from: axis", format!("0..={}", self.rank()), axis));
        }
        let mut dims = self.shape()[..axis].to_vec();
        dims.push(self.shape()[axis..].iter().product());
        self.reshape(dims)
    }

    /// With a new axis of length 1 at `axis` of the result; negative counts from the result's back, so `-1` appends one.
    ///
    /// # Errors
    /// [`Error::Argument`] if the result has no such axis.
    #[track_caller]
    pub fn expand_dims(&self, axis: isize) -> Result<Tensor> {
        let axis = axis_index(axis, self.rank() + 1, "expand_dims")?;
        let mut dims = self.shape().to_vec();
        dims.insert(axis, 1);
        self.reshape(dims)
    }

    /// Without `axis`, whose length must be 1.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no such axis; [`Error::Shape`] if its length is not 1.
    #[track_caller]
    pub fn squeeze(&self, axis: isize) -> Result<Tensor> {
        let axis = axis_index(axis, self.rank(), "squeeze")?;
        if self.shape()[axis] != 1 {
            return Err(Error::shape("squeeze", format!("length 1 at axis {axis}"), self.shape()));
        }
        let mut dims = self.shape().to_vec();
        dims.remove(axis);
        self.reshape(dims)
    }

    /// The same value, which no gradient passes through.
    ///
    /// # Errors
    /// None of its own.
    #[track_caller]
    pub fn stop_gradient(&self) -> Result<Tensor> {
        record_one(StopGradient, &[self])
    }
}

#[derive(Debug, Clone)]
struct Reshape {
    shape: Shape,
}

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let x = &inputs[0];
        if x.shape.elements() != self.shape.elements() {
            let want = format!("{} elements for shape {}", self.shape.elements(), self.shape);
            return Err(Error::shape("reshape", want, format!("{} in {}", x.shape.elements(), x.shape)));
        }
        Ok(vec![Spec::new(self.shape.clone(), x.dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![cx.when(0, || cx.dy().reshape(cx.inputs[0].shape()))?])
    }

    fn cpu(&self, _: &mut CpuArgs) -> Result<()> {
        unreachable!("a view is never run")
    }

    fn gpu(&self, _: &mut Launch) -> Result<()> {
        unreachable!("a view is never run")
    }

    fn is_view(&self) -> bool {
        true
    }
}

#[derive(Debug, Clone)]
struct StopGradient;

impl Op for StopGradient {
    fn name(&self) -> &'static str {
        "stop_gradient"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        Ok(vec![inputs[0].clone()])
    }

    fn grad(&self, _: &GradCx) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None])
    }

    fn cpu(&self, _: &mut CpuArgs) -> Result<()> {
        unreachable!("a view is never run")
    }

    fn gpu(&self, _: &mut Launch) -> Result<()> {
        unreachable!("a view is never run")
    }

    fn is_view(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::record::GradientTape;

    fn counting(shape: &[usize]) -> Tensor {
        let count: usize = shape.iter().product();
        let data: Vec<f32> = (0..count).map(|i| i as f32).collect();
        Tensor::new(&Device::cpu(), shape, &data).unwrap()
    }

    #[test]
    fn shapes_change_and_elements_stay() {
        let x = counting(&[2, 1, 3, 4]);
        let cases: [(Tensor, &[usize]); 8] = [
            (x.reshape([4, 6]).unwrap(), &[4, 6]),
            (x.reshape_infer(&[3, -1]).unwrap(), &[3, 8]),
            (x.flatten_from(1).unwrap(), &[2, 12]),
            (x.flatten_from(0).unwrap(), &[24]),
            (x.flatten_from(4).unwrap(), &[2, 1, 3, 4, 1]),
            (x.expand_dims(0).unwrap(), &[1, 2, 1, 3, 4]),
            (x.expand_dims(-1).unwrap(), &[2, 1, 3, 4, 1]),
            (x.squeeze(-3).unwrap(), &[2, 3, 4]),
        ];
        for (y, shape) in cases {
            assert_eq!(&y.shape()[..], shape);
            assert_eq!(y.to_vec::<f32>().unwrap(), x.to_vec::<f32>().unwrap());
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let x = counting(&[2, 3]);
        assert!(matches!(x.reshape([7]), Err(Error::Shape { .. })));
        assert!(matches!(x.reshape_infer(&[-1, 4]), Err(Error::Shape { .. })));
        assert!(matches!(x.reshape_infer(&[-1, 0]), Err(Error::Shape { .. })));
        assert!(matches!(x.reshape_infer(&[-1, -1]), Err(Error::Argument { .. })));
        assert!(matches!(x.flatten_from(3), Err(Error::Argument { .. })));
        assert!(matches!(x.expand_dims(3), Err(Error::Argument { .. })));
        assert!(matches!(x.squeeze(0), Err(Error::Shape { .. })));
    }

    #[test]
    fn gradients_pass_a_reshape_and_stop_at_stop_gradient() {
        let x = counting(&[2, 3]);
        let tape = GradientTape::new();
        tape.watch(&x);
        let y = x.reshape([6]).unwrap();
        let loss = y.mul(&y).unwrap().mul(&y.stop_gradient().unwrap()).unwrap();
        let gradient = tape.gradient(&loss, [&x]).unwrap();
        let expected: Vec<f32> = (0..6).map(|i| (2 * i * i) as f32).collect();
        assert_eq!(&gradient.get(0).unwrap().shape()[..], [2, 3]);
        assert_eq!(gradient.get(0).unwrap().to_vec::<f32>().unwrap(), expected);
    }

    #[test]
    fn empty_tensors_have_shapes_too() {
        let x = counting(&[0, 3]);
        assert!(x.reshape([3, 0]).unwrap().to_vec::<f32>().unwrap().is_empty());
        assert_eq!(&x.reshape_infer(&[-1, 3]).unwrap().shape()[..], [0, 3]);
    }
}
