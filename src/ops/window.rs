//! A window that slides along an axis: how many places it has, and where its cells lie. Shared by convolution and pooling.
//!
//! Along an axis of `n` cells, a window of `k` cells `d` apart covers `(k-1)d + 1`; moved by `s` cells each time it has
//! `ceil((n - (k-1)d) / s)` places with `valid` padding and `ceil(n / s)` with `same`. `same` adds
//! `max((places-1)s + (k-1)d + 1 - n, 0)` cells, half of them in front and the odd one at the end. That is the rule of Keras and TensorFlow;
//! PyTorch's symmetric padding differs from it where the stride is above one.

use super::gemm::in_vectors;
use crate::error::{Error, Result};
use crate::record::op::Shader;
use crate::shape::{Shape, Spec};
use crate::suggest;
use std::fmt;
use std::str::FromStr;

/// What happens at the borders of an image.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Padding {
    /// The window stays inside: the output is smaller than the input.
    #[default]
    Valid,
    /// As many cells are added around the input as keep its size when the stride is one.
    Same,
}

impl fmt::Display for Padding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Padding::Valid => "valid",
            Padding::Same => "same",
        })
    }
}

impl FromStr for Padding {
    type Err = Error;

    /// `valid` or `same`, in any case.
    fn from_str(name: &str) -> Result<Padding> {
        suggest::find("padding", name, &[("valid", Padding::Valid), ("same", Padding::Same)])
    }
}

/// A pooling window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pool2dParams {
    /// Rows and columns of the window.
    pub size: [usize; 2],
    /// Cells from one place of the window to the next, along rows and along columns. Layers default to `size`.
    pub strides: [usize; 2],
    /// What happens at the borders.
    pub padding: Padding,
}

impl Pool2dParams {
    /// A window that does not overlap itself, with `valid` padding: the default of Keras's pooling layers.
    pub fn new(size: [usize; 2]) -> Pool2dParams {
        Pool2dParams { size, strides: size, padding: Padding::Valid }
    }
}

/// A window along one axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Axis {
    /// Cells of the input.
    pub input: usize,
    /// Cells of the window.
    pub window: usize,
    /// Cells from one place of the window to the next.
    pub stride: usize,
    /// Cells from one cell of the window to the next.
    pub dilation: usize,
    /// Places of the window.
    pub output: usize,
    /// Cells added in front.
    pub front: usize,
}

impl Axis {
    /// The window over an axis of `input` cells.
    ///
    /// # Errors
    /// [`Error::Argument`] if `window`, `stride` or `dilation` is zero, [`Error::Shape`] if the window has no place; both name `op`.
    pub fn new(op: &str, input: usize, window: usize, stride: usize, dilation: usize, padding: Padding) -> Result<Axis> {
        for (what, value) in [("window", window), ("strides", stride), ("dilation", dilation)] {
            if value == 0 {
                return Err(Error::argument(format!("{op}: {what}"), "at least 1", value));
            }
        }
        let reach = (window - 1).checked_mul(dilation).filter(|r| *r < u32::MAX as usize && stride <= u32::MAX as usize);
        let Some(reach) = reach else {
            return Err(Error::argument(
                format!("{op}: window, strides, dilation"),
                "numbers below 2^32",
                format!("{window}, {stride}, {dilation}"),
            ));
        };
        match padding {
            Padding::Valid if input <= reach => Err(too_large(op, input, reach + 1)),
            Padding::Valid => Ok(Axis { input, window, stride, dilation, output: (input - reach).div_ceil(stride), front: 0 }),
            Padding::Same => {
                let output = input.div_ceil(stride);
                let total = if output == 0 { 0 } else { ((output - 1) * stride + reach + 1).saturating_sub(input) };
                Ok(Axis { input, window, stride, dilation, output, front: total / 2 })
            }
        }
    }

    /// The input cell under cell `tap` of the window at place `at`; `None` if that is a padding cell.
    pub fn cell(&self, at: usize, tap: usize) -> Option<usize> {
        (at * self.stride + tap * self.dilation).checked_sub(self.front).filter(|cell| *cell < self.input)
    }

    /// The place at which cell `tap` of the window lies on the input cell `cell`; `None` if there is none.
    pub fn place(&self, cell: usize, tap: usize) -> Option<usize> {
        let start = (cell + self.front).checked_sub(tap * self.dilation)?;
        Some(start / self.stride).filter(|place| start.is_multiple_of(self.stride) && *place < self.output)
    }

    /// The places at which cell `tap` of the window lies inside the input, as a range.
    pub fn places(&self, tap: usize) -> std::ops::Range<usize> {
        let shift = tap * self.dilation;
        let first = self.front.saturating_sub(shift).div_ceil(self.stride).min(self.output);
        let end = (self.input + self.front).saturating_sub(shift).div_ceil(self.stride).min(self.output);
        first..end.max(first)
    }

    /// The cells of the window that lie inside the input at place `at`, as a range. Only for windows without dilation.
    pub fn taps(&self, at: usize) -> std::ops::Range<usize> {
        let start = at * self.stride;
        let first = self.front.saturating_sub(start).min(self.window);
        let end = (self.input + self.front).saturating_sub(start).min(self.window);
        first..end.max(first)
    }

    /// Whether windows at neighbouring places share cells. Only for windows without dilation.
    pub fn overlaps(&self) -> bool {
        self.window > self.stride
    }

    /// Whether the window ever lies over a padding cell.
    pub fn padded(&self) -> bool {
        self.output > 0 && (self.front > 0 || (self.output - 1) * self.stride + (self.window - 1) * self.dilation >= self.input)
    }
}

fn too_large(op: &str, input: usize, window: usize) -> Error {
    Error::shape(op, format!("an axis of at least {window} cells (the window with its dilation)"), input)
        .hint("use `same` padding, a smaller window, or pool less before it")
}

/// Images `[n, rows, columns, channels]` under a window that keeps channels apart: the window along rows and columns, and the output's shape.
pub(crate) struct Pooled {
    pub images: usize,
    pub rows: Axis,
    pub columns: Axis,
    pub channels: usize,
}

impl Pooled {
    /// # Errors
    /// As [`Axis::new`], and [`Error::Shape`] if `shape` has not four axes.
    pub fn new(op: &str, shape: &Shape, params: &Pool2dParams) -> Result<Pooled> {
        let [images, height, width, channels] = images(op, shape)?;
        Ok(Pooled {
            images,
            rows: Axis::new(op, height, params.size[0], params.strides[0], 1, params.padding)?,
            columns: Axis::new(op, width, params.size[1], params.strides[1], 1, params.padding)?,
            channels,
        })
    }

    pub fn input_shape(&self) -> Shape {
        Shape::from([self.images, self.rows.input, self.columns.input, self.channels])
    }

    /// Elements of one image.
    pub fn image(&self) -> usize {
        self.rows.input * self.columns.input * self.channels
    }

    /// Elements of one output row.
    pub fn output_row(&self) -> usize {
        self.columns.output * self.channels
    }

    /// Elements of one image's output.
    pub fn output_image(&self) -> usize {
        self.rows.output * self.output_row()
    }

    /// Calls `f` with the offset inside its image of every real cell under the window at place `oy, ox`, in row-major order. Only for windows
    /// without dilation.
    pub fn each_cell(&self, oy: usize, ox: usize, mut f: impl FnMut(usize)) {
        for ky in self.rows.taps(oy) {
            let row = (oy * self.rows.stride + ky - self.rows.front) * self.columns.input;
            for kx in self.columns.taps(ox) {
                f((row + ox * self.columns.stride + kx - self.columns.front) * self.channels);
            }
        }
    }

    pub fn output_shape(&self) -> Shape {
        Shape::from([self.images, self.rows.output, self.columns.output, self.channels])
    }

    /// A shader that has a part for what a thread computes, for these images; and how many channels a thread computes: four where they are whole
    /// vectors.
    pub fn specialise(&self, shader: Shader) -> (Shader, usize) {
        let shader = shader.set_all(&self.constants());
        if !self.channels.is_multiple_of(4) {
            return (shader, 1);
        }
        (in_vectors(shader).set("C", self.channels / 4), 4)
    }

    /// The constants that every shader with such a window declares.
    pub fn constants(&self) -> [(&'static str, usize); 11] {
        [
            ("H", self.rows.input),
            ("W", self.columns.input),
            ("C", self.channels),
            ("OH", self.rows.output),
            ("OW", self.columns.output),
            ("KH", self.rows.window),
            ("KW", self.columns.window),
            ("SY", self.rows.stride),
            ("SX", self.columns.stride),
            ("FRONT_Y", self.rows.front),
            ("FRONT_X", self.columns.front),
        ]
    }
}

/// The axes of a batch of images.
///
/// # Errors
/// [`Error::Shape`] naming `op`, with what to try, if there are not four.
pub(crate) fn images(op: &str, shape: &Shape) -> Result<[usize; 4]> {
    <[usize; 4]>::try_from(&shape[..]).map_err(|_| {
        let error = Error::shape(op, "images [batch, rows, columns, channels]", shape);
        match shape.rank() {
            3 => error.hint("add the missing axis: channels [.., 1] for grey images, or a batch of one [1, ..]"),
            _ => error,
        }
    })
}

/// Refuses an input whose shape is not `want`.
///
/// # Errors
/// [`Error::Shape`] naming `op`.
pub(crate) fn expect_shape(op: &str, got: &Spec, want: &Shape) -> Result<()> {
    if got.shape == *want { Ok(()) } else { Err(Error::shape(op, want.to_string(), &got.shape)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_padding_are_those_of_keras() {
        // n, k, s; same: out, front, end; valid: out. From the formulas of Keras 3.15's backend_utils, worked out by hand.
        let table = [
            (28, 3, 1, 28, 1, 1, 26),
            (28, 3, 2, 14, 0, 1, 13),
            (5, 2, 2, 3, 0, 1, 2),
            (7, 3, 2, 4, 1, 1, 3),
            (32, 2, 2, 16, 0, 0, 16),
            (6, 5, 3, 2, 1, 1, 1),
        ];
        for (n, k, s, out, front, end, valid) in table {
            let same = Axis::new("t", n, k, s, 1, Padding::Same).unwrap();
            let total = ((same.output - 1) * s + k).saturating_sub(n);
            assert_eq!((same.output, same.front, total - same.front), (out, front, end), "same {n} {k} {s}");
            assert_eq!(Axis::new("t", n, k, s, 1, Padding::Valid).unwrap().output, valid, "valid {n} {k} {s}");
        }
    }

    #[test]
    fn ranges_agree_with_counting() {
        for (n, k, s, d) in [(7, 3, 2, 1), (8, 2, 3, 1), (5, 5, 1, 1), (9, 3, 2, 2), (1, 3, 1, 1), (4, 1, 3, 1), (6, 2, 1, 3)] {
            for padding in [Padding::Same, Padding::Valid] {
                let Ok(axis) = Axis::new("t", n, k, s, d, padding) else { continue };
                let inside = |at: usize, tap: usize| axis.cell(at, tap).is_some();
                for tap in 0..k {
                    let counted: Vec<usize> = (0..axis.output).filter(|at| inside(*at, tap)).collect();
                    assert_eq!(axis.places(tap).collect::<Vec<_>>(), counted, "places of tap {tap}: {axis:?}");
                    let turned: Vec<usize> = (0..n).filter_map(|cell| axis.place(cell, tap)).collect();
                    assert_eq!(turned, counted, "place of each cell at tap {tap}: {axis:?}");
                }
                for at in 0..axis.output {
                    let counted: Vec<usize> = (0..k).filter(|tap| inside(at, *tap)).collect();
                    assert!(d > 1 || axis.taps(at).collect::<Vec<_>>() == counted, "taps at {at}: {axis:?}");
                }
                let any_outside = (0..axis.output).any(|at| (0..k).any(|tap| !inside(at, tap)));
                assert_eq!(axis.padded(), any_outside, "{axis:?}");
            }
        }
    }

    #[test]
    fn what_has_no_place_is_an_error() {
        let error = Axis::new("max_pool2d", 3, 3, 1, 2, Padding::Valid).unwrap_err().to_string();
        assert!(error.contains("max_pool2d") && error.contains("at least 5") && error.contains("`same`"), "{error}");
        for (k, s, d, what) in [(0, 1, 1, "window"), (1, 0, 1, "strides"), (1, 1, 0, "dilation")] {
            let error = Axis::new("conv2d", 8, k, s, d, Padding::Same).unwrap_err().to_string();
            assert!(error.contains("conv2d") && error.contains(what), "{error}");
        }
        assert!(Axis::new("conv2d", 8, 3, 1, usize::MAX, Padding::Same).is_err(), "no overflow");
        assert_eq!(Axis::new("conv2d", 0, 3, 1, 1, Padding::Same).unwrap().output, 0);
    }

    #[test]
    fn padding_is_read_and_written_by_name() {
        for padding in [Padding::Valid, Padding::Same] {
            assert_eq!(padding.to_string().parse::<Padding>().unwrap(), padding);
        }
        assert_eq!("SAME".parse::<Padding>().unwrap(), Padding::Same);
        let error = "sane".parse::<Padding>().unwrap_err().to_string();
        assert!(error.contains("did you mean \"same\"?") && error.contains("\"sane\""), "{error}");
    }
}
