//! Convolution as matrix products: the windows of a block of output rows laid out as a matrix, and added back.
//!
//! The matrix has a row for each output pixel and a column for each `(ky, kx, channel)`, so that the kernel `[kh, kw, cin, cout]` is its
//! right-hand side as it lies. For images of one channel the matrix lies transposed: then whole image rows are copied, not single cells.

use super::window::{Axis, Padding, images};
use crate::device::cpu::Real;
use crate::device::cpu::gemm::Matrix;
use crate::error::{Error, Result};
use crate::shape::Shape;
use std::ops::Range;

/// Elements of one block's matrix and output: what stays in a core's second-level cache, with room for the kernel.
const BLOCK: usize = 96 * 1024;
/// Blocks that there should be at least, so that every core has work.
const BLOCKS: usize = 16;

/// How [`Tensor::conv2d`](crate::Tensor::conv2d) slides its kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Conv2dParams {
    /// Cells from one place of the kernel to the next, along rows and along columns. Default `[1, 1]`.
    pub strides: [usize; 2],
    /// What happens at the borders. Default `Valid`.
    pub padding: Padding,
    /// Cells from one cell of the kernel to the next, along rows and along columns. Default `[1, 1]`.
    pub dilation: [usize; 2],
}

impl Default for Conv2dParams {
    fn default() -> Conv2dParams {
        Conv2dParams { strides: [1, 1], padding: Padding::Valid, dilation: [1, 1] }
    }
}

/// The sizes of one convolution: `x [images, rows, columns, cin]`, `kernel [kh, kw, cin, cout]`, `y [images, rows', columns', cout]`.
#[derive(Clone, Debug)]
pub(crate) struct Geometry {
    pub images: usize,
    pub rows: Axis,
    pub columns: Axis,
    pub cin: usize,
    pub cout: usize,
}

impl Geometry {
    /// # Errors
    /// [`Error::Shape`] if ranks or channels do not fit, and whatever [`Axis::new`] says.
    pub fn new(op: &str, x: &Shape, kernel: &Shape, params: &Conv2dParams) -> Result<Geometry> {
        let [images, height, width, cin] = images(op, x)?;
        let [kh, kw, kernel_cin, cout] = <[usize; 4]>::try_from(&kernel[..])
            .map_err(|_| Error::shape(op, "a kernel [rows, columns, input channels, output channels]", kernel))?;
        if kernel_cin != cin {
            let want = format!("images of {kernel_cin} channels for the kernel {kernel}");
            return Err(Error::shape(op, want, x).hint("axes are [batch, rows, columns, channels]"));
        }
        Ok(Geometry {
            images,
            rows: Axis::new(op, height, kh, params.strides[0], params.dilation[0], params.padding)?,
            columns: Axis::new(op, width, kw, params.strides[1], params.dilation[1], params.padding)?,
            cin,
            cout,
        })
    }

    pub fn x_shape(&self) -> Shape {
        Shape::from([self.images, self.rows.input, self.columns.input, self.cin])
    }

    pub fn kernel_shape(&self) -> Shape {
        Shape::from([self.rows.window, self.columns.window, self.cin, self.cout])
    }

    pub fn y_shape(&self) -> Shape {
        Shape::from([self.images, self.rows.output, self.columns.output, self.cout])
    }

    /// Products that are summed for one output value.
    pub fn depth(&self) -> usize {
        self.rows.window * self.columns.window * self.cin
    }

    /// Elements of one output row.
    pub fn y_row(&self) -> usize {
        self.columns.output * self.cout
    }

    /// Elements of one image.
    pub fn image(&self) -> usize {
        self.rows.input * self.columns.input * self.cin
    }

    /// Whether the matrix of windows is the image itself: a kernel of one cell that visits every pixel.
    pub fn is_pointwise(&self) -> bool {
        [&self.rows, &self.columns].iter().all(|axis| axis.window == 1 && axis.stride == 1)
    }

    /// Output rows, all images together, that one task takes. Depends on the shapes alone.
    pub fn block_rows(&self) -> usize {
        let row = self.columns.output * (self.depth() + self.cout);
        let all = self.images * self.rows.output;
        (BLOCK / row.max(1)).min(all.div_ceil(BLOCKS)).max(1)
    }

    fn is_transposed(&self) -> bool {
        self.cin == 1
    }

    /// The elements of scratch that the matrix of `rows` output rows needs.
    pub fn scratch(&self, rows: usize) -> usize {
        if self.is_pointwise() { 0 } else { rows * self.columns.output * self.depth() }
    }

    /// `scratch` seen as the matrix of windows of `pixels` output pixels.
    pub fn as_matrix<'a, T>(&self, scratch: &'a [T], pixels: usize) -> Matrix<'a, T> {
        if self.is_transposed() { Matrix::rows(scratch, pixels).transposed() } else { Matrix::rows(scratch, self.depth()) }
    }

    /// The windows of output rows `block` (counted through all images) as a matrix, laid out in `scratch` unless `x` already is it.
    pub fn gather<'a, T: Real>(&self, x: &'a [T], block: Range<usize>, scratch: &'a mut [T]) -> Matrix<'a, T> {
        if self.is_pointwise() {
            let row = self.columns.input * self.cin;
            return Matrix::rows(&x[block.start * row..block.end * row], self.cin);
        }
        let pixels = block.len() * self.columns.output;
        if self.is_transposed() {
            for (tap, out) in scratch.chunks_exact_mut(pixels.max(1)).enumerate() {
                let (ky, kx) = (tap / self.columns.window, tap % self.columns.window);
                for (row, out) in block.clone().zip(out.chunks_exact_mut(self.columns.output)) {
                    self.gather_plane_row(self.x_row(x, row, ky), kx, out);
                }
            }
        } else {
            let depth = self.depth();
            for (row, out) in block.zip(scratch.chunks_exact_mut((self.columns.output * depth).max(1))) {
                for ky in 0..self.rows.window {
                    self.gather_row(self.x_row(x, row, ky), out, ky * self.columns.window * self.cin);
                }
            }
        }
        self.as_matrix(scratch, pixels)
    }

    /// The row of `x` under kernel row `ky` at output row `row`; `None` for a padding row.
    fn x_row<'a, T>(&self, x: &'a [T], row: usize, ky: usize) -> Option<&'a [T]> {
        let (image, oy) = (row / self.rows.output, row % self.rows.output);
        let width = self.columns.input * self.cin;
        self.rows.cell(oy, ky).map(|iy| &x[image * self.image() + iy * width..][..width])
    }

    /// One image row under one kernel cell, for all places along it: one-channel images.
    fn gather_plane_row<T: Real>(&self, x: Option<&[T]>, kx: usize, out: &mut [T]) {
        let places = self.columns.places(kx);
        let Some(x) = x.filter(|_| !places.is_empty()) else { return out.fill(T::zero()) };
        let first = places.start * self.columns.stride + kx * self.columns.dilation - self.columns.front;
        out[..places.start].fill(T::zero());
        out[places.end..].fill(T::zero());
        let (out, stride) = (&mut out[places], self.columns.stride);
        if stride == 1 {
            out.copy_from_slice(&x[first..first + out.len()]);
        } else {
            out.iter_mut().zip(x[first..].iter().step_by(stride)).for_each(|(o, v)| *o = *v);
        }
    }

    /// One image row under one row of the kernel, for all places along it, into the columns of `out` that begin at `at`.
    fn gather_row<T: Real>(&self, x: Option<&[T]>, out: &mut [T], at: usize) {
        let (depth, cin, axis) = (self.depth(), self.cin, &self.columns);
        let width = axis.window * cin;
        let pixels = out.chunks_exact_mut(depth.max(1)).map(|pixel| &mut pixel[at..at + width]);
        let Some(x) = x else { return pixels.for_each(|cells| cells.fill(T::zero())) };
        for (ox, cells) in pixels.enumerate() {
            let start = ox * axis.stride;
            if axis.dilation == 1 && start >= axis.front && start - axis.front + axis.window <= axis.input {
                cells.copy_from_slice(&x[(start - axis.front) * cin..][..width]);
                continue;
            }
            for (kx, cells) in cells.chunks_exact_mut(cin).enumerate() {
                match axis.cell(ox, kx) {
                    Some(ix) => cells.copy_from_slice(&x[ix * cin..][..cin]),
                    None => cells.fill(T::zero()),
                }
            }
        }
    }

    /// The inverse of [`Geometry::gather`] for one image: adds each cell of the matrix to the cell of `dx` that it was taken from. `block`
    /// counts output rows of the image; `dx` holds the image rows `held`, and what falls on others is left out.
    pub fn scatter<T: Real>(&self, matrix: &[T], block: Range<usize>, dx: &mut [T], held: &Range<usize>) {
        let (width, taps) = (self.columns.input * self.cin, self.columns.window);
        let pixels = block.len() * self.columns.output;
        for (i, oy) in block.enumerate() {
            for ky in 0..self.rows.window {
                let Some(iy) = self.rows.cell(oy, ky).filter(|iy| held.contains(iy)) else { continue };
                let dx = &mut dx[(iy - held.start) * width..][..width];
                if self.is_transposed() {
                    for kx in 0..taps {
                        let from = (ky * taps + kx) * pixels + i * self.columns.output;
                        self.scatter_plane_row(&matrix[from..from + self.columns.output], kx, dx);
                    }
                } else {
                    let row = self.columns.output * self.depth();
                    self.scatter_row(&matrix[i * row..(i + 1) * row], ky * taps * self.cin, dx);
                }
            }
        }
    }

    fn scatter_plane_row<T: Real>(&self, cells: &[T], kx: usize, dx: &mut [T]) {
        let places = self.columns.places(kx);
        if !places.is_empty() {
            let first = places.start * self.columns.stride + kx * self.columns.dilation - self.columns.front;
            dx[first..].iter_mut().step_by(self.columns.stride).zip(&cells[places]).for_each(|(d, v)| *d += *v);
        }
    }

    fn scatter_row<T: Real>(&self, row: &[T], at: usize, dx: &mut [T]) {
        let (depth, cin, axis) = (self.depth(), self.cin, &self.columns);
        let width = axis.window * cin;
        for (ox, pixel) in row.chunks_exact(depth.max(1)).enumerate() {
            let cells = &pixel[at..at + width];
            let start = ox * axis.stride;
            if axis.dilation == 1 && start >= axis.front && start - axis.front + axis.window <= axis.input {
                add(&mut dx[(start - axis.front) * cin..][..width], cells);
                continue;
            }
            for (kx, cells) in cells.chunks_exact(cin).enumerate() {
                if let Some(ix) = axis.cell(ox, kx) {
                    add(&mut dx[ix * cin..][..cin], cells);
                }
            }
        }
    }
}

/// `to += from`, element by element.
pub(crate) fn add<T: Real>(to: &mut [T], from: &[T]) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t += *f);
}
