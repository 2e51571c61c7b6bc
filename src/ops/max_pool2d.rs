//! The maximum under a window that slides over images: `y[n, oy, ox, c] = max_{ky, kx} x[n, oy·sy + ky − front_y, ox·sx + kx − front_x, c]`.
//!
//! Padding cells never win. The whole gradient goes to the winner, the first in row-major order where cells are equal. A NaN wins over
//! numbers: what is wrong must stay visible.

use super::window::{Pool2dParams, Pooled, expect_shape};
use crate::device::cpu::Real;
use crate::device::cpu::gemm::with_scratch;
use crate::error::Result;
use crate::record::op::{Buffer, CpuArgs, Epilogue, GradCx, Launch, Op, Shader, float_dtype};
use crate::record::record_one;
use crate::shape::Spec;
use crate::tensor::Tensor;
use crate::with_real;
use rayon::prelude::*;
use std::hint::select_unpredictable;
use std::ops::Range;

impl Tensor {
    /// The maximum under each place of a window: `[batch, rows, columns, channels]` to `[batch, rows', columns', channels]`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless there are four axes, or if the window is larger than the image with `Valid`;
    /// [`Error::DType`](crate::Error::DType) unless it is a float; [`Error::Argument`](crate::Error::Argument) for a size or stride of zero.
    #[track_caller]
    pub fn max_pool2d(&self, params: Pool2dParams) -> Result<Tensor> {
        record_one(MaxPool2d(params), &[self])
    }
}

/// Input `x`; output `y`.
#[derive(Debug, Clone)]
struct MaxPool2d(Pool2dParams);

impl Op for MaxPool2d {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let dtype = float_dtype(self.name(), inputs)?;
        Ok(vec![Spec::new(Pooled::new(self.name(), &inputs[0].shape, &self.0)?.output_shape(), dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![cx.when(0, || record_one(MaxPool2dGrad(self.0), &[&cx.inputs[0], cx.dy()]))?])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let pooled = Pooled::new(self.name(), args.input_shape(0), &self.0)?;
        with_real!(args.output_spec(0).dtype, T => forward::<T>(&pooled, args.input(0), args.output(0), args.epilogue()));
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        let pooled = Pooled::new(self.name(), launch.input_shape(0), &self.0)?;
        let shader = Shader::new(self.name(), include_str!("../../shaders/max_pool2d.wgsl")).set_all(&pooled.constants());
        let threads = launch.output_shape(0).elements();
        launch.threads(shader, &[Buffer::Input(0), Buffer::Output(0)], &[threads as u32], threads, 64);
        Ok(())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

/// Inputs `x`, `dy`; output `dx`: each `dy` at its window's winner, zero elsewhere.
#[derive(Debug, Clone)]
struct MaxPool2dGrad(Pool2dParams);

impl Op for MaxPool2dGrad {
    fn name(&self) -> &'static str {
        "max_pool2d_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let dtype = float_dtype(self.name(), inputs)?;
        let pooled = Pooled::new(self.name(), &inputs[0].shape, &self.0)?;
        expect_shape(self.name(), &inputs[1], &pooled.output_shape())?;
        Ok(vec![Spec::new(pooled.input_shape(), dtype)])
    }

    // Moving x a little moves no winner, so there is no gradient by x.
    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None, cx.when(1, || record_one(MaxPool2dPick(self.0), &[&cx.inputs[0], cx.dy()]))?])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let pooled = Pooled::new(self.name(), args.input_shape(0), &self.0)?;
        with_real!(args.output_spec(0).dtype, T => spread::<T>(&pooled, args.input(0), args.input(1), args.output(0), args.epilogue()));
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        let pooled = Pooled::new(self.name(), launch.input_shape(0), &self.0)?;
        let shader = Shader::new(self.name(), include_str!("../../shaders/max_pool2d_grad.wgsl")).set_all(&pooled.constants());
        let threads = launch.output_shape(0).elements();
        launch.threads(shader, &[Buffer::Input(0), Buffer::Input(1), Buffer::Output(0)], &[threads as u32], threads, 64);
        Ok(())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

/// Inputs `x` and `values` of its shape; output: the values at the winners. The gradient of [`MaxPool2dGrad`] by `dy`.
#[derive(Debug, Clone)]
struct MaxPool2dPick(Pool2dParams);

impl Op for MaxPool2dPick {
    fn name(&self) -> &'static str {
        "max_pool2d_pick"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let dtype = float_dtype(self.name(), inputs)?;
        let pooled = Pooled::new(self.name(), &inputs[0].shape, &self.0)?;
        expect_shape(self.name(), &inputs[1], &inputs[0].shape)?;
        Ok(vec![Spec::new(pooled.output_shape(), dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None, cx.when(1, || record_one(MaxPool2dGrad(self.0), &[&cx.inputs[0], cx.dy()]))?])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let pooled = Pooled::new(self.name(), args.input_shape(0), &self.0)?;
        with_real!(args.output_spec(0).dtype, T => pick::<T>(&pooled, args.input(0), args.input(1), args.output(0)));
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        let pooled = Pooled::new(self.name(), launch.input_shape(0), &self.0)?;
        let shader = Shader::new(self.name(), include_str!("../../shaders/max_pool2d_pick.wgsl")).set_all(&pooled.constants());
        let threads = launch.output_shape(0).elements();
        launch.threads(shader, &[Buffer::Input(0), Buffer::Input(1), Buffer::Output(0)], &[threads as u32], threads, 64);
        Ok(())
    }
}

/// Channels that are looked at together: whole vectors of any processor.
const LANES: usize = 16;

/// Calls `found` for every window of output rows `rows` of the image `x`, a few channels at a time: with the offset of these channels in the
/// image's output, the offsets of the window's cells in `x`, and, for each channel, the maximum and the number of the cell that has it.
fn each_window<T: Real>(p: &Pooled, rows: Range<usize>, x: &[T], found: impl FnMut(usize, &[u32], &[T], &[u32])) {
    with_scratch(p.rows.window * p.columns.window, |cells: &mut [u32]| {
        T::with_widest(pulp::Arch::new(), Windows { pooled: p, rows, x, cells, found });
    });
}

struct Windows<'a, T, F> {
    pooled: &'a Pooled,
    rows: Range<usize>,
    x: &'a [T],
    /// Room for a window's.
    cells: &'a mut [u32],
    found: F,
}

impl<T: Real, F: FnMut(usize, &[u32], &[T], &[u32])> pulp::NullaryFnOnce for Windows<'_, T, F> {
    type Output = ();

    // Only what is inlined here is compiled for the processor's vectors.
    #[inline(always)]
    fn call(self) {
        let Windows { pooled: p, rows, x, cells: room, mut found } = self;
        let whole = p.channels - p.channels % LANES;
        for (oy, ox) in rows.flat_map(|oy| (0..p.columns.output).map(move |ox| (oy, ox))) {
            let mut count = 0;
            p.each_cell(oy, ox, |at| {
                room[count] = at as u32;
                count += 1;
            });
            let (cells, y) = (&mut room[..count], (oy * p.columns.output + ox) * p.channels);
            for channel in (0..whole).step_by(LANES) {
                let (best, winner) = winners::<T, LANES>(x, cells);
                found(y + channel, cells, &best, &winner);
                cells.iter_mut().for_each(|cell| *cell += LANES as u32);
            }
            for channel in whole..p.channels {
                let (best, winner) = winners::<T, 1>(x, cells);
                found(y + channel, cells, &best, &winner);
                cells.iter_mut().for_each(|cell| *cell += 1);
            }
        }
    }
}

/// The maximum of `L` neighbouring channels over the cells of a window, and which cell has it.
#[inline(always)]
fn winners<T: Real, const L: usize>(x: &[T], cells: &[u32]) -> ([T; L], [u32; L]) {
    let (mut best, mut winner) = ([T::default(); L], [0; L]);
    for (k, &at) in cells.iter().enumerate() {
        let cells = &x[at as usize..at as usize + L];
        for l in 0..L {
            // Not `cell > best`, which a NaN would lose; and nothing takes the window from a NaN.
            let takes = (k == 0) | (!(cells[l] <= best[l]) & (best[l] == best[l]));
            best[l] = select_unpredictable(takes, cells[l], best[l]);
            winner[l] = select_unpredictable(takes, k as u32, winner[l]);
        }
    }
    (best, winner)
}

/// `yes` in the channels that cell `k` wins, `no` in the others. In an array of its own, which nothing else can overlap: otherwise the compiler
/// would take the channels one by one.
#[inline(always)]
fn selected<T: Real>(k: usize, winner: &[u32], yes: &[T], no: &[T]) -> [T; LANES] {
    let mut chosen = [T::default(); LANES];
    for (((to, winner), yes), no) in chosen.iter_mut().zip(winner).zip(yes).zip(no) {
        *to = select_unpredictable(*winner == k as u32, *yes, *no);
    }
    chosen
}

fn forward<T: Real>(p: &Pooled, x: &[T], y: &mut [T], then: Epilogue) {
    if y.is_empty() {
        return;
    }
    y.par_chunks_mut(p.output_row()).enumerate().with_min_len(4).for_each(|(row, y)| {
        let (image, oy) = (row / p.rows.output, row % p.rows.output);
        each_window(
            p,
            oy..oy + 1,
            &x[image * p.image()..][..p.image()],
            #[inline(always)]
            |at, _, best, _| y[at - oy * p.output_row()..][..best.len()].copy_from_slice(best),
        );
        then.apply(row * p.output_row(), y);
    });
}

fn spread<T: Real>(p: &Pooled, x: &[T], dy: &[T], dx: &mut [T], then: Epilogue) {
    if dx.is_empty() {
        return;
    }
    dx.par_chunks_mut(p.image()).zip(x.par_chunks(p.image())).enumerate().for_each(|(image, (dx, x))| {
        let dy = &dy[image * p.output_image()..][..p.output_image()];
        dx.fill(T::zero());
        each_window(
            p,
            0..p.rows.output,
            x,
            #[inline(always)]
            |at, cells, _, winner| {
                let dy = &dy[at..at + winner.len()];
                for (k, &at) in cells.iter().enumerate() {
                    let gains = selected(k, winner, dy, &[T::default(); LANES]);
                    dx[at as usize..at as usize + winner.len()].iter_mut().zip(&gains).for_each(|(dx, gain)| *dx += *gain);
                }
            },
        );
        then.apply(image * p.image(), dx);
    });
}

fn pick<T: Real>(p: &Pooled, x: &[T], values: &[T], y: &mut [T]) {
    if y.is_empty() {
        return;
    }
    let images = x.par_chunks(p.image()).zip(values.par_chunks(p.image()));
    y.par_chunks_mut(p.output_image()).zip(images).for_each(|(y, (x, values))| {
        each_window(
            p,
            0..p.rows.output,
            x,
            #[inline(always)]
            |at, cells, _, winner| {
                let y = &mut y[at..at + winner.len()];
                for (k, &at) in cells.iter().enumerate() {
                    let values = &values[at as usize..at as usize + winner.len()];
                    let picked = selected(k, winner, values, y);
                    y.copy_from_slice(&picked[..y.len()]);
                }
            },
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::ops::window::Padding;
    use crate::record::GradientTape;
    use crate::testing::{check, float};

    /// For each output, the cells of `x` under its window, in row-major order; shared with nothing but the definition.
    fn windows([n, h, w, c]: [usize; 4], p: Pool2dParams) -> Vec<Vec<usize>> {
        let axis = |size: usize, i: usize| match p.padding {
            Padding::Valid => (1 + (size - p.size[i]) / p.strides[i], 0),
            Padding::Same => {
                let out = size.div_ceil(p.strides[i]);
                (out, ((out - 1) * p.strides[i] + p.size[i]).saturating_sub(size) / 2)
            }
        };
        let ((oh, top), (ow, left)) = (axis(h, 0), axis(w, 1));
        let window = |i: usize| {
            let (channel, ox, oy, image) = (i % c, i / c % ow, i / (c * ow) % oh, i / (c * ow * oh));
            let rows = (0..h).filter(move |y| (oy * p.strides[0]..oy * p.strides[0] + p.size[0]).contains(&(y + top)));
            rows.flat_map(move |y| {
                let columns = (0..w).filter(move |x| (ox * p.strides[1]..ox * p.strides[1] + p.size[1]).contains(&(x + left)));
                columns.map(move |x| ((image * h + y) * w + x) * c + channel)
            })
            .collect()
        };
        (0..n * oh * ow * c).map(window).collect()
    }

    #[test]
    fn windows_strides_and_padding() {
        for (x, size, strides, padding) in [
            ([2, 4, 6, 3], [2, 2], [2, 2], Padding::Valid),
            ([2, 5, 7, 3], [2, 2], [2, 2], Padding::Same),
            ([1, 5, 7, 2], [3, 3], [2, 2], Padding::Same),
            ([1, 5, 7, 2], [3, 2], [1, 1], Padding::Same),
            ([1, 6, 9, 5], [2, 3], [3, 4], Padding::Valid),
            ([2, 2, 2, 1], [5, 5], [1, 2], Padding::Same),
        ] {
            let p = Pool2dParams { size, strides, padding };
            let inputs = [float(x)];
            check(&format!("max_pool2d {x:?} {p:?}"), &inputs, |t| t[0].max_pool2d(p))
                .reference(|v| windows(x, p).iter().map(|cells| cells.iter().map(|i| v[0][*i]).fold(f64::MIN, f64::max)).collect())
                .run();
            check(&format!("avg_pool2d {x:?} {p:?}"), &inputs, |t| t[0].avg_pool2d(p))
                .reference(|v| windows(x, p).iter().map(|cells| cells.iter().map(|i| v[0][*i]).sum::<f64>() / cells.len() as f64).collect())
                .terms(size[0] * size[1])
                .run();
        }
    }

    fn devices() -> impl Iterator<Item = Device> {
        std::iter::once(Device::cpu()).chain(crate::testing::gpu("max_pool2d"))
    }

    #[test]
    fn the_first_of_equals_gets_the_whole_gradient() {
        for device in devices() {
            let x = Tensor::new(&device, [1, 3, 3, 1], &[1.0f32, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0]).unwrap();
            let tape = GradientTape::new();
            tape.watch(&x);
            let y = x.max_pool2d(Pool2dParams { size: [2, 2], strides: [1, 1], padding: Padding::Valid }).unwrap();
            let dy = Tensor::new(&device, [1, 2, 2, 1], &[1.0f32, 2.0, 4.0, 8.0]).unwrap();
            let dx = tape.gradient(&y.mul(&dy).unwrap(), [&x]).unwrap();
            assert_eq!(dx.get(0).unwrap().to_vec::<f32>().unwrap(), [1.0, 2.0, 0.0, 4.0, 8.0, 0.0, 0.0, 0.0, 0.0], "{device}");
        }
    }

    #[test]
    fn padding_never_wins_and_nan_always_does() {
        for device in devices() {
            let p = Pool2dParams { size: [2, 2], strides: [2, 2], padding: Padding::Same };
            let x =
                Tensor::new(&device, [1, 3, 3, 1], &[-5.0f32, -4.0, -3.0, -2.0, -9.0, f32::NAN, -7.0, -8.0, f32::NEG_INFINITY]).unwrap();
            let y = x.max_pool2d(p).unwrap().to_vec::<f32>().unwrap();
            assert_eq!((y[0], y[2], y[3]), (-2.0, -7.0, f32::NEG_INFINITY), "{device}");
            assert!(y[1].is_nan(), "{device}: {y:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_says_so() {
        let x = Tensor::new(&Device::cpu(), [1, 3, 3, 1], &[0.0f32; 9]).unwrap();
        let error = x.max_pool2d(Pool2dParams::new([4, 1])).unwrap_err().root().to_string();
        assert!(error.contains("max_pool2d") && error.contains("at least 4 cells"), "{error}");
        let error = x.avg_pool2d(Pool2dParams::new([0, 1])).unwrap_err().root().to_string();
        assert!(error.contains("avg_pool2d: window"), "{error}");
    }
}
