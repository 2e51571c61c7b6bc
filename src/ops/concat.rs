//! Tensors one after the other along an axis. Gradient: each one's part.

use super::several::{MOST_INPUTS, reading};
use super::strided::{TASK, four_bytes, with_element, word};
use crate::device::cpu::Element;
use crate::error::{Error, Result};
use crate::record::op::{CpuArgs, GradCx, Launch, Op, Shader};
use crate::record::record_one;
use crate::shape::{Shape, Spec, axis_index};
use crate::tensor::Tensor;
use rayon::prelude::*;

impl Tensor {
    /// The tensors one after the other along `axis`, which counts from the back when negative. They have the same type, and the same lengths of
    /// all other axes. Any type on the CPU; f32, u32, i32 on a GPU.
    ///
    /// # Errors
    /// [`Error::Argument`] for no tensors or a missing axis; [`Error::Shape`], [`Error::DType`] for one that does not fit the first.
    #[track_caller]
    pub fn concat(tensors: &[&Tensor], axis: isize) -> Result<Tensor> {
        let Some(first) = tensors.first() else {
            return Err(Error::argument("concat: tensors", "at least one", 0));
        };
        let axis = axis_index(axis, first.rank(), "concat")?;
        if tensors.len() == 1 {
            return Ok((*first).clone());
        }
        record_one(Concat { axis }, tensors)
    }
}

#[derive(Debug, Clone)]
struct Concat {
    axis: usize,
}

impl Concat {
    /// Elements from one step of the axes before `axis` to the next.
    fn row(&self, shape: &Shape) -> usize {
        shape[self.axis..].iter().product()
    }
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let first = &inputs[0];
        let mut length = 0;
        for (i, x) in inputs.iter().enumerate() {
            if x.dtype != first.dtype {
                return Err(Error::dtype("concat", format!("{} like the first input", first.dtype), format!("{} (input {i})", x.dtype)));
            }
            if x.shape.rank() != first.shape.rank() || x.shape.with(self.axis, 0) != first.shape.with(self.axis, 0) {
                let want = format!("{} but for axis {}, like the first input", first.shape, self.axis);
                return Err(Error::shape("concat", want, format!("{} (input {i})", x.shape)));
            }
            length += x.shape[self.axis];
        }
        Ok(vec![Spec::new(first.shape.with(self.axis, length), first.dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let mut from = 0;
        let mut gradients = Vec::with_capacity(cx.inputs.len());
        for (i, x) in cx.inputs.iter().enumerate() {
            let mut ranges: Vec<_> = x.shape()[..self.axis].iter().map(|&length| 0..length).collect();
            ranges.push(from..from + x.shape()[self.axis]);
            from += x.shape()[self.axis];
            gradients.push(cx.when(i, || cx.dy().slice(&ranges))?);
        }
        Ok(gradients)
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        with_element!(args.output_spec(0).dtype, T => self.run::<T>(args));
        Ok(())
    }

    /// As many inputs at a time as a dispatch binds.
    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        four_bytes("concat", launch.output(0).dtype)?;
        let (out_row, shapes): (usize, Vec<&Shape>) =
            (self.row(launch.output_shape(0)), (0..launch.input_count()).map(|i| launch.input_shape(i)).collect());
        let inputs: Vec<usize> = (0..shapes.len()).filter(|&i| shapes[i].elements() > 0).collect();
        let mut offset = 0;
        for inputs in inputs.chunks(MOST_INPUTS) {
            let (shader, buffers) = reading(Shader::new("concat", include_str!("../../shaders/concat.wgsl")), inputs);
            let mut ends = [0; 8];
            let mut width = 0;
            for (&i, end) in inputs.iter().zip(&mut ends) {
                width += self.row(shapes[i]);
                *end = word(width);
            }
            let elements = inputs.iter().map(|&i| shapes[i].elements()).sum();
            let params: Vec<u32> = [elements, width, out_row, offset].map(word).into_iter().chain(ends).collect();
            launch.threads(shader, &buffers, &params, elements, 64);
            offset += width;
        }
        Ok(())
    }
}

impl Concat {
    fn run<T: Element>(&self, args: &mut CpuArgs) {
        let parts: Vec<(&[T], usize)> = (0..args.input_count()).map(|i| (args.input::<T>(i), self.row(args.input_shape(i)))).collect();
        let y = args.output::<T>(0);
        if y.is_empty() {
            return;
        }
        let out_row = self.row(args.output_shape(0));
        let rows_per_task = (TASK / out_row).max(1);
        y.par_chunks_mut(rows_per_task * out_row).enumerate().for_each(|(task, y)| {
            for (i, mut y) in y.chunks_exact_mut(out_row).enumerate() {
                for &(x, row) in &parts {
                    let (part, rest) = y.split_at_mut(row);
                    part.copy_from_slice(&x[(task * rows_per_task + i) * row..][..row]);
                    y = rest;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::testing::{check, float};

    #[test]
    fn along_every_axis() {
        for axis in 0..3 {
            let lengths = [2, 1, 4];
            let inputs = lengths.map(|length| float(Shape::from([2, 3, 2]).with(axis, length)));
            check(&format!("concat along {axis}"), &inputs, |x| Tensor::concat(&[&x[0], &x[1], &x[2]], axis as isize - 3))
                .reference(|x| {
                    let [outer, inner] = [[1, 6], [2, 2], [6, 1]][axis];
                    let mut y = Vec::new();
                    for o in 0..outer {
                        for (x, length) in x.iter().zip(lengths) {
                            y.extend_from_slice(&x[o * length * inner..][..length * inner]);
                        }
                    }
                    y
                })
                .run();
        }
    }

    #[test]
    fn the_same_tensor_twice_gets_both_gradients() {
        check("concat with itself", &[float([2, 2])], |x| Tensor::concat(&[&x[0], &x[0]], 0)).reference(|x| x[0].repeat(2)).run();
    }

    #[test]
    fn more_inputs_than_bindings_and_empty_ones() {
        for device in [Some(Device::cpu()), crate::testing::gpu("concat of many")].iter().flatten() {
            let parts: Vec<Tensor> =
                (0..20u32).map(|i| Tensor::new(device, [1, i as usize % 3], &vec![i; i as usize % 3]).unwrap()).collect();
            let y = Tensor::concat(&parts.iter().collect::<Vec<_>>(), -1).unwrap();
            let want: Vec<u32> = (0..20).flat_map(|i| vec![i; i as usize % 3]).collect();
            assert_eq!(y.to_vec::<u32>().unwrap(), want);
        }
        let x = Tensor::new(&Device::cpu(), [1], &[1u8]).unwrap();
        assert_eq!(Tensor::concat(&[&x, &x, &x], 0).unwrap().to_vec::<u8>().unwrap(), [1, 1, 1]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let cpu = Device::cpu();
        let a = Tensor::new(&cpu, [1, 2], &[0f32; 2]).unwrap();
        let b = Tensor::new(&cpu, [1, 3], &[0f32; 3]).unwrap();
        let c = Tensor::new(&cpu, [2], &[0f32; 2]).unwrap();
        let d = Tensor::new(&cpu, [1, 2], &[0u32; 2]).unwrap();
        assert!(matches!(Tensor::concat(&[], 0), Err(Error::Argument { .. })));
        assert!(matches!(Tensor::concat(&[&a, &b], 2), Err(Error::Argument { .. })));
        assert!(matches!(Tensor::concat(&[&a, &b], 0), Err(Error::Shape { .. })));
        assert!(matches!(Tensor::concat(&[&a, &c], 0), Err(Error::Shape { .. })));
        assert!(matches!(Tensor::concat(&[&a, &d], 0), Err(Error::DType { .. })));
    }
}
