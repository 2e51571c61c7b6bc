//! A tensor within a frame of one value: `y[c] = x[c - before]` inside, `value` outside. Gradient: the inside of it.

use super::strided::{TASK, four_bytes, with_element, word};
use crate::device::cpu::Element;
use crate::error::{Error, Result};
use crate::record::op::{Buffer, CpuArgs, GradCx, Launch, Op, Shader};
use crate::record::record_one;
use crate::shape::{DType, Shape, Spec};
use crate::tensor::Tensor;
use rayon::prelude::*;

/// Axes that the shader's parameter block has room for.
const MOST_AXES: usize = 8;

impl Tensor {
    /// The tensor with `(before, after)` elements of `value` added around each axis; axes beyond the given ones get none. Any type on the CPU;
    /// f32, u32, i32 on a GPU.
    ///
    /// # Errors
    /// [`Error::Argument`] for more pairs than axes, and for a value that a tensor of whole numbers cannot hold.
    #[track_caller]
    pub fn pad(&self, around: &[(usize, usize)], value: f64) -> Result<Tensor> {
        if around.len() <= self.rank() && around.iter().all(|pair| *pair == (0, 0)) {
            return Ok(self.clone());
        }
        record_one(Pad { around: around.to_vec(), value }, &[self])
    }
}

#[derive(Debug, Clone)]
struct Pad {
    around: Vec<(usize, usize)>,
    value: f64,
}

/// One axis of the output, and where the input lies in it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Axis {
    before: usize,
    inside: usize,
    after: usize,
}

impl Axis {
    fn count(&self) -> usize {
        self.before + self.inside + self.after
    }
}

impl Pad {
    /// The axes, outermost first and never none; one that is not padded is part of the axis outside of it.
    fn axes(&self, x: &Shape) -> Vec<Axis> {
        let mut axes: Vec<Axis> = Vec::new();
        for (k, &inside) in x.iter().enumerate() {
            let (before, after) = self.around.get(k).copied().unwrap_or((0, 0));
            match axes.last_mut() {
                Some(Axis { before: b, inside: i, after: a }) if before == 0 && after == 0 => {
                    (*b, *i, *a) = (*b * inside, *i * inside, *a * inside);
                }
                _ => axes.push(Axis { before, inside, after }),
            }
        }
        if axes.is_empty() {
            axes.push(Axis { before: 0, inside: 1, after: 0 });
        }
        axes
    }
}

impl Op for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let x = &inputs[0];
        if self.around.len() > x.shape.rank() {
            let want = format!("at most {} pairs for {}", x.shape.rank(), x.shape);
            return Err(Error::argument("pad: around", want, self.around.len()));
        }
        let (low, high) = match x.dtype {
            DType::F16 | DType::F32 | DType::F64 => (f64::NEG_INFINITY, f64::INFINITY),
            DType::U32 => (0.0, f64::from(u32::MAX)),
            DType::I32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
            DType::U8 => (0.0, 255.0),
        };
        let fits = x.dtype.is_float() || (self.value.fract() == 0.0 && (low..=high).contains(&self.value));
        if !fits {
            return Err(Error::argument("pad: value", format!("a whole number in {low}..={high} for {}", x.dtype), self.value));
        }
        let mut dims = x.shape.to_vec();
        dims.iter_mut().zip(&self.around).for_each(|(length, (before, after))| *length += before + after);
        Ok(vec![Spec::new(dims, x.dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let inside: Vec<_> =
            self.around.iter().zip(cx.inputs[0].shape().iter()).map(|(&(before, _), length)| before..before + length).collect();
        Ok(vec![cx.when(0, || cx.dy().slice(&inside))?])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let axes = self.axes(args.input_shape(0));
        with_element!(args.input_spec(0).dtype, T => pad(&axes, args.input::<T>(0), element_of(self.value), args.output::<T>(0)));
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        let dtype = launch.input(0).dtype;
        four_bytes("pad", dtype)?;
        let axes = self.axes(launch.input_shape(0));
        if axes.len() > MOST_AXES {
            return Err(Error::shape("pad", format!("at most {MOST_AXES} padded axes on a GPU"), launch.input_shape(0)));
        }
        let elements = launch.output_shape(0).elements();
        let mut params = [0; 3 * MOST_AXES + 2];
        for (k, axis) in axes.iter().enumerate() {
            params[k] = word(axis.count());
            params[MOST_AXES + k] = word(axis.before);
            params[2 * MOST_AXES + k] = word(axis.inside);
        }
        params[3 * MOST_AXES] = word(elements);
        params[3 * MOST_AXES + 1] = match dtype {
            DType::I32 => bytemuck::cast(self.value as i32),
            DType::U32 => self.value as u32,
            _ => (self.value as f32).to_bits(),
        };
        let shader = Shader::new("pad", include_str!("../../shaders/pad.wgsl")).set("RANK", axes.len());
        launch.threads(shader, &[Buffer::Input(0), Buffer::Output(0)], &params, elements, 64);
        Ok(())
    }
}

/// The value as an element; `infer` has seen that it fits.
fn element_of<T: Element>(value: f64) -> T {
    match T::DTYPE {
        DType::F16 => bytemuck::cast(half::f16::from_f64(value)),
        DType::F32 => bytemuck::cast(value as f32),
        DType::F64 => bytemuck::cast(value),
        DType::U32 => bytemuck::cast(value as u32),
        DType::I32 => bytemuck::cast(value as i32),
        DType::U8 => bytemuck::cast(value as u8),
    }
}

/// Fills `y` in tasks of whole rows of the last axis.
fn pad<T: Element>(axes: &[Axis], x: &[T], value: T, y: &mut [T]) {
    if y.is_empty() {
        return;
    }
    let (&inner, outer) = axes.split_last().expect("never empty");
    let rows_per_task = (TASK / inner.count()).max(1);
    y.par_chunks_mut(rows_per_task * inner.count()).enumerate().for_each(|(task, y)| {
        for (i, row) in y.chunks_exact_mut(inner.count()).enumerate() {
            match source_row(outer, task * rows_per_task + i) {
                Some(source) => {
                    let (before, rest) = row.split_at_mut(inner.before);
                    let (inside, after) = rest.split_at_mut(inner.inside);
                    before.fill(value);
                    inside.copy_from_slice(&x[source * inner.inside..][..inner.inside]);
                    after.fill(value);
                }
                None => row.fill(value),
            }
        }
    });
}

/// The row of the input that a row of the output holds, if it is not of the frame.
fn source_row(outer: &[Axis], mut row: usize) -> Option<usize> {
    let (mut source, mut stride) = (0, 1);
    for axis in outer.iter().rev() {
        let at = (row % axis.count()).checked_sub(axis.before).filter(|at| *at < axis.inside)?;
        row /= axis.count();
        source += at * stride;
        stride *= axis.inside;
    }
    Some(source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::testing::{check, float};

    #[test]
    fn frames_around_three_axes() {
        let cases: [&[(usize, usize)]; 6] =
            [&[(1, 2)], &[(0, 0), (2, 0)], &[(1, 1), (0, 3), (2, 1)], &[(0, 0), (0, 0), (0, 1)], &[(1, 0), (0, 0), (1, 0)], &[]];
        for around in cases {
            check(&format!("pad {around:?}"), &[float([2, 3, 4])], |x| x[0].pad(around, -1.5))
                .reference(|x| {
                    let of = |axis: usize| around.get(axis).copied().unwrap_or((0, 0));
                    let inside = |at: usize, axis: usize, length: usize| at.checked_sub(of(axis).0).filter(|a| *a < length);
                    let mut y = Vec::new();
                    for i in 0..2 + of(0).0 + of(0).1 {
                        for j in 0..3 + of(1).0 + of(1).1 {
                            for k in 0..4 + of(2).0 + of(2).1 {
                                y.push(match (inside(i, 0, 2), inside(j, 1, 3), inside(k, 2, 4)) {
                                    (Some(i), Some(j), Some(k)) => x[0][(i * 3 + j) * 4 + k],
                                    _ => -1.5,
                                });
                            }
                        }
                    }
                    y
                })
                .run();
        }
    }

    #[test]
    fn whole_numbers_and_nothing() {
        for device in [Some(Device::cpu()), crate::testing::gpu("pad of whole numbers")].iter().flatten() {
            let x = Tensor::new(device, [1, 2], &[7i32, 8]).unwrap();
            assert_eq!(x.pad(&[(1, 0), (0, 1)], -3.0).unwrap().to_vec::<i32>().unwrap(), [-3, -3, -3, 7, 8, -3]);
            let x = Tensor::new::<u32>(device, [2, 0], &[]).unwrap();
            assert_eq!(x.pad(&[(0, 1), (1, 0)], 4e9).unwrap().to_vec::<u32>().unwrap(), [4_000_000_000; 3]);
            let x = Tensor::new(device, [1], &[1f32]).unwrap();
            assert_eq!(x.pad(&[(1, 0)], f64::NEG_INFINITY).unwrap().to_vec::<f32>().unwrap(), [f32::NEG_INFINITY, 1.0]);
        }
        let x = Tensor::new(&Device::cpu(), [1], &[1u8]).unwrap();
        assert_eq!(x.pad(&[(2, 1)], 255.0).unwrap().to_vec::<u8>().unwrap(), [255, 255, 1, 255]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let x = Tensor::new(&Device::cpu(), [1], &[1u8]).unwrap();
        for value in [-1.0, 0.5, 256.0, f64::NAN] {
            assert!(matches!(x.pad(&[(1, 1)], value), Err(Error::Argument { .. })), "{value}");
        }
        assert!(matches!(x.pad(&[(1, 1), (1, 1)], 0.0), Err(Error::Argument { .. })));
    }
}
