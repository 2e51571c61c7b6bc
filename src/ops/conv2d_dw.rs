//! The gradient of [`conv2d`](super::conv2d) by its kernel:
//!
//! `dkernel[ky, kx, c, o] = Σ_{n, oy, ox} x[n, oy·sy + ky·dy − front_y, ox·sx + kx·dx − front_x, c] · dy[n, oy, ox, o]`
//!
//! The sum over all pixels of the batch is cut into parts whose number depends on the shapes alone; the parts are added in order. On the CPU
//! a tile of the gradient is summed in registers: neighbouring channels of the images by neighbouring channels of `dy`, pixel by pixel. The
//! gradient by the bias, `Σ_{n, oy, ox} dy[n, oy, ox, o]`, is summed in the same pass where both are wanted.

use super::columns::{Conv2dParams, Geometry, add, add_rows};
use super::conv2d::Conv2d;
use super::conv2d_dx::Conv2dDx;
use super::gemm::{Product, Windows};
use super::reduce::Reduce;
use super::sweep::{Source, Sweep};
use super::window::expect_shape;
use super::winograd::Winograd;
use crate::device::Device;
use crate::device::cpu::Real;
use crate::device::cpu::gemm::with_scratch;
use crate::device::cpu::tile::{Factors, Offsets, Tiles};
use crate::error::Result;
use crate::record::op::{Buffer, CpuArgs, Epilogue, GradCx, Launch, Op, float_dtype};
use crate::record::record_one;
use crate::shape::{Shape, Spec};
use crate::tensor::Tensor;
use crate::with_real;
use rayon::prelude::*;
use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

/// The most elements that the parts of a sum fill.
const PART_MEMORY: usize = 4 << 20;

/// Inputs `x`, `dy`; outputs `dkernel` and, with `bias`, on the CPU, `dbias`.
#[derive(Debug, Clone)]
pub(crate) struct Conv2dDw {
    params: Conv2dParams,
    /// Rows and columns of the kernel: strides leave them open.
    window: [usize; 2],
    bias: bool,
}

impl Conv2dDw {
    /// The gradient by a kernel of this shape.
    pub fn of(params: Conv2dParams, kernel: &Shape) -> Conv2dDw {
        Conv2dDw { params, window: [kernel[0], kernel[1]], bias: false }
    }

    fn geometry(&self, x: &Spec, dy: &Spec) -> Result<Geometry> {
        let ([_, _, _, cin], [.., cout]) = (x.shape.dims::<4>(self.name())?, dy.shape.dims::<4>(self.name())?);
        let kernel = Shape::from([self.window[0], self.window[1], cin, cout]);
        let geometry = Geometry::new(self.name(), &x.shape, &kernel, &self.params)?;
        expect_shape(self.name(), dy, &geometry.y_shape())?;
        Ok(geometry)
    }
}

impl Op for Conv2dDw {
    fn name(&self) -> &'static str {
        "conv2d_dw"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let (dtype, geometry) = (float_dtype(self.name(), inputs)?, self.geometry(&inputs[0], &inputs[1])?);
        let dbias = self.bias.then(|| Spec::new([geometry.cout], dtype.computed()));
        Ok(std::iter::once(Spec::new(geometry.kernel_shape(), dtype)).chain(dbias).collect())
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let (x, dy, upstream) = (&cx.inputs[0], &cx.inputs[1], cx.dy());
        Ok(vec![
            cx.when(0, || record_one(Conv2dDx::of(self.params, x.shape()), &[upstream, dy]))?,
            cx.when(1, || record_one(Conv2d(self.params), &[x, upstream]))?,
        ])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let geometry = self.geometry(args.input_spec(0), args.input_spec(1))?;
        with_real!(args.output_spec(0).dtype, T => {
            let (x, dy, dkernel) = (args.input::<T>(0), args.input(1), args.output(0));
            let dbias = if self.bias { args.output(1) } else { &mut [] };
            match Winograd::forward(&geometry) {
                Some(winograd) => winograd.kernel_gradient(x, dy, dkernel, dbias, args.epilogue()),
                None => backward(&geometry, x, dy, dkernel, dbias, args.epilogue()),
            }
        });
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        assert!(!self.bias, "{}: on a GPU the bias has a kernel of its own", self.name());
        let g = self.geometry(launch.input(0), launch.input(1))?;
        let windows = Some(Windows { geometry: &g, up: [1, 1] });
        let size = [g.depth(), g.cout, g.images * g.rows.output * g.columns.output];
        let product = Product { name: self.name(), size, batch: 1, steps: [0, 0], turned: [true, false], taps: 1, windows };
        product.launch(launch, [Buffer::Input(0), Buffer::Input(1)]);
        Ok(())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }

    fn together(&self, other: &dyn Op, shared: usize, device: &Device) -> Option<Arc<dyn Op>> {
        let sums_dy = shared == 1 && (other as &dyn Any).downcast_ref::<Reduce>().is_some_and(|sum| sum.sums_over(&[0, 1, 2]));
        (sums_dy && !self.bias && matches!(device, Device::Cpu(_)))
            .then(|| Arc::new(Conv2dDw { bias: true, ..self.clone() }) as Arc<dyn Op>)
    }
}

/// Tasks on the CPU.
const TASKS: usize = 16;
/// Multiplications that are worth a task.
const WORTH: usize = 1 << 18;
/// Elements of the output pixels whose products are added to all sums before the next are taken: a part of the first-level cache.
const CLOSE: usize = 4608;

/// The sums are cut by pixels, into parts that are added in order, or, where these would fill much memory, by rows of the kernel's matrix
/// `[kh·kw·cin, cout]`. The sums for the bias are left out where there is no room for them.
pub(super) fn backward<T: Real>(g: &Geometry, x: &[T], dy: &[T], dkernel: &mut [T], dbias: &mut [T], then: Epilogue) {
    let (rows, elements) = (g.images * g.rows.output, dkernel.len());
    if rows * g.y_row() * elements == 0 {
        dkernel.fill(T::default());
        add_rows(dy, dbias, false);
        return then.apply_to_all(dkernel);
    }
    let tiles = Tiles::here();
    let columns = Sweep::forward(&g.columns);
    let pixel = g.cin.min(tiles.lanes) + g.cout.min(tiles.panel(0, usize::MAX).len());
    let block = (CLOSE / pixel / g.columns.output).clamp(1, g.rows.output);
    let place = |row: usize, column: usize| (row * g.rows.stride * columns.padded() + column * g.columns.stride) * g.cin;
    let pixels = (0..block).flat_map(|row| (0..g.columns.output).map(move |column| place(row, column)));
    let pixels = &Offsets::of(pixels, tiles.whole(g.cout));
    let job = Job { g, columns: &columns, block, pixels, tiles, x, dy };
    let tasks = (rows * g.columns.output * elements / WORTH).clamp(1, TASKS);
    let parts = tasks.min(rows).min(PART_MEMORY / elements);
    if tasks == 1 {
        job.sum(0..rows, 0..g.depth(), dkernel, dbias);
        return then.apply(0, dkernel);
    }
    if parts < tasks / 2 {
        let slice = g.depth().div_ceil(tasks);
        // The first slice has the bias to it.
        let dbias = std::iter::once(dbias).chain(std::iter::repeat_with(|| &mut [][..]));
        let task = |(i, (sum, dbias)): (usize, (&mut [T], &mut [T]))| {
            job.sum(0..rows, i * slice..i * slice + sum.len() / g.cout, sum, dbias);
            then.apply(i * slice * g.cout, sum);
        };
        let slices: Vec<_> = dkernel.chunks_mut(slice * g.cout).zip(dbias).collect();
        return slices.into_par_iter().enumerate().for_each(task);
    }
    let length = elements + dbias.len();
    with_scratch((parts - 1) * length, |others: &mut [T]| {
        let mut sums: Vec<_> = vec![(&mut *dkernel, &mut *dbias)];
        sums.extend(others.chunks_exact_mut(length).map(|part| part.split_at_mut(elements)));
        sums.into_par_iter().enumerate().for_each(|(i, (sum, dbias))| {
            job.sum(i * rows / parts..(i + 1) * rows / parts, 0..g.depth(), sum, dbias);
        });
        others.chunks_exact(length).for_each(|part| add(dbias, &part[elements..]));
        dkernel.par_chunks_mut(4096).enumerate().for_each(|(i, total)| {
            for part in others.chunks_exact(length) {
                add(total, &part[i * 4096..elements]);
            }
            then.apply(i * 4096, total);
        });
    });
}

struct Job<'a, T> {
    g: &'a Geometry,
    columns: &'a Sweep,
    /// Output rows that are taken together.
    block: usize,
    /// Where in the images the pixels of such rows lie.
    pixels: &'a Offsets,
    tiles: Tiles<T>,
    x: &'a [T],
    dy: &'a [T],
}

impl<T: Real> Job<'_, T> {
    /// Rows `kept` of the kernel's matrix, and the bias if there is room for it, summed over output rows `rows`, which are counted through all
    /// images.
    fn sum(&self, rows: Range<usize>, kept: Range<usize>, sum: &mut [T], dbias: &mut [T]) {
        let Job { g, columns, block, tiles, .. } = *self;
        let mut next = rows.start;
        while next < rows.end {
            // What is taken together lies in one image.
            let image = (next / g.rows.output + 1) * g.rows.output;
            let block = next..(next + block).min(image).min(rows.end);
            next = block.end;
            let of = |row: usize| (0..g.rows.window).filter_map(move |ky| g.x_row(row, ky));
            let (first, last) =
                (block.clone().flat_map(of).min().unwrap_or(0), block.clone().flat_map(of).max().map_or(0, |last| last + 1));
            let x_scratch = Source::<T>::scratch(columns, last - first, g.cin);
            let width = tiles.whole(g.cout);
            let dy_scratch = if width == g.cout { 0 } else { block.len() * g.columns.output * width };
            with_scratch(x_scratch + dy_scratch, |scratch: &mut [T]| {
                let (x_scratch, dy_scratch) = scratch.split_at_mut(x_scratch);
                let x = Source::new(columns, self.x, first..last, g.cin, x_scratch);
                let dy = &self.dy[block.start * g.y_row()..block.end * g.y_row()];
                add_rows(dy, dbias, block.start > rows.start);
                let dy = whole_vectors(dy, g.cout, width, dy_scratch);
                Block { job: self, x, dy, rows: block.clone(), kept: kept.clone() }.run(sum, block.start > rows.start);
            });
        }
    }
}

/// Rows of `columns` numbers, with zeros added to make them `width` long where they are not.
fn whole_vectors<'a, T: Real>(rows: &'a [T], columns: usize, width: usize, scratch: &'a mut [T]) -> &'a [T] {
    if width == columns {
        return rows;
    }
    for (row, to) in rows.chunks_exact(columns).zip(scratch.chunks_exact_mut(width)) {
        to[..columns].copy_from_slice(row);
        to[columns..].fill(T::default());
    }
    scratch
}

/// Output rows few enough to stay in cache while every tile of the kernel's gradient passes over them.
struct Block<'a, T> {
    job: &'a Job<'a, T>,
    x: Source<'a, T>,
    /// From the first of the rows on, pixels of whole vectors.
    dy: &'a [T],
    rows: Range<usize>,
    kept: Range<usize>,
}

impl<T: Real> Block<'_, T> {
    fn run(self, sum: &mut [T], accumulate: bool) {
        let Block { job: Job { g, columns, pixels, tiles, .. }, x, dy, rows, kept } = self;
        let (width, per_row) = (tiles.whole(g.cout), g.columns.window * g.cin);
        // Without dilation the channels of a whole kernel row lie side by side, else those of one cell.
        let run = if g.columns.dilation == 1 { per_row } else { g.cin };
        for ky in kept.start / per_row..kept.end.div_ceil(per_row) {
            let mut meeting = rows.clone().enumerate().filter_map(|(i, row)| Some((i * g.columns.output, g.x_row(row, ky)?)));
            let (first, x) = meeting.next().map_or((0, &[][..]), |(first, from)| (first, x.row(from)));
            let offsets = pixels.range(0..if x.is_empty() { 0 } else { (1 + meeting.count()) * g.columns.output });
            for start in (0..per_row).step_by(run) {
                let own = (ky * per_row + start).max(kept.start)..(ky * per_row + start + run).min(kept.end);
                let at = columns.phases[0].cells[start / g.cin].1 * g.cin + own.start - ky * per_row - start;
                for channels in tiles.cut(own.len()) {
                    for panel in (0..tiles.panels(g.cout)).map(|index| tiles.panel(index, g.cout)) {
                        let (a, b) = (x.get(at + channels.start..).unwrap_or(&[]), &dy[first * width + panel.start..]);
                        let c = &mut sum[(own.start - kept.start + channels.start) * g.cout + panel.start..];
                        tiles.sum(channels.len(), panel.len(), Factors { a, a_row: 1, b, offsets }, c, g.cout, accumulate);
                    }
                }
            }
        }
    }
}
