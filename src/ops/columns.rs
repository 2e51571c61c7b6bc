//! What the convolutions share: how the kernel slides, and the sizes that follow.

use super::window::{Axis, Padding, images};
use crate::device::cpu::Real;
use crate::device::cpu::gemm::with_scratch;
use crate::error::{Error, Result};
use crate::shape::Shape;

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

    /// The image row, counted through all images, under kernel row `ky` at output row `row`, counted so too; `None` for a padding row.
    pub fn x_row(&self, row: usize, ky: usize) -> Option<usize> {
        let (image, row) = (row / self.rows.output, row % self.rows.output);
        self.rows.cell(row, ky).map(|from| image * self.rows.input + from)
    }
}

/// `to += from`, element by element.
pub(crate) fn add<T: Real>(to: &mut [T], from: &[T]) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t += *f);
}

/// The sum of rows as long as `sum`, added to what is there if `accumulate`. They are summed apart first: so rounding errors grow with the
/// rows of one call and with the calls, not with all rows. Nothing where `sum` has no room.
pub(crate) fn add_rows<T: Real>(rows: &[T], sum: &mut [T], accumulate: bool) {
    if sum.is_empty() {
        return;
    }
    with_scratch(sum.len(), |own: &mut [T]| {
        own.fill(T::zero());
        rows.chunks_exact(own.len()).for_each(|row| add(own, row));
        if accumulate { add(sum, own) } else { sum.copy_from_slice(own) }
    });
}
