//! Reading a tensor along other strides, which is what `transpose`, `slice` and `flip` are.
//!
//! `y[c] = x[start + Σₖ cₖ·strideₖ]` for every coordinate `c` of the output, in row-major order. A stride below zero wraps around, as
//! unsigned numbers do, and so does everything that is made from it.

use crate::device::cpu::Element;
use crate::error::{Error, Result};
use crate::record::op::{Buffer, Launch, Shader};
use crate::shape::DType;
use rayon::prelude::*;

/// Runs `$body` with `$t` as the Rust type of `$dtype`'s elements: for operations that only move them.
macro_rules! with_element {
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            $crate::DType::F32 => {
                type $t = f32;
                $body
            }
            $crate::DType::F16 => {
                type $t = half::f16;
                $body
            }
            $crate::DType::F64 => {
                type $t = f64;
                $body
            }
            $crate::DType::U32 => {
                type $t = u32;
                $body
            }
            $crate::DType::I32 => {
                type $t = i32;
                $body
            }
            $crate::DType::U8 => {
                type $t = u8;
                $body
            }
        }
    };
}
pub(super) use with_element;

/// Elements that one task fills: fixed, so that the split does not depend on the number of threads.
pub(super) const TASK: usize = 16 * 1024;

/// Axes that the shader's parameter block has room for.
const MOST_AXES: usize = 8;

/// For each element of the output, where in the input it comes from.
#[derive(Debug)]
pub(super) struct Strided {
    start: usize,
    /// Outermost first, never empty.
    axes: Vec<Axis>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Axis {
    count: usize,
    stride: usize,
}

impl Strided {
    /// An output of lengths `counts`, read from element `start` on with these strides.
    pub fn new(start: usize, counts: &[usize], strides: &[usize]) -> Strided {
        let mut axes: Vec<Axis> = Vec::new();
        for (&count, &stride) in counts.iter().zip(strides).filter(|(count, _)| **count != 1) {
            match axes.last_mut() {
                // The two axes run through memory as one would.
                Some(outer) if outer.stride == count.wrapping_mul(stride) => *outer = Axis { count: outer.count * count, stride },
                _ => axes.push(Axis { count, stride }),
            }
        }
        if axes.is_empty() {
            axes.push(Axis { count: 1, stride: 1 });
        }
        Strided { start, axes }
    }

    /// Fills `y`, tasks of whole rows in parallel. A row is a run of the last axis.
    pub fn cpu<T: Element>(&self, x: &[T], y: &mut [T]) {
        /// Rows whose starts are kept on the stack.
        const ROWS: usize = 64;
        if y.is_empty() {
            return;
        }
        let (&inner, outer) = self.axes.split_last().expect("never empty");
        let rows_per_task = (TASK / inner.count).max(1);
        y.par_chunks_mut(rows_per_task * inner.count).enumerate().for_each(|(task, y)| {
            for (block, y) in y.chunks_mut(ROWS * inner.count).enumerate() {
                let mut starts = [0; ROWS];
                let starts = &mut starts[..y.len() / inner.count];
                self.row_starts(outer, task * rows_per_task + block * ROWS, starts);
                read_rows(x, y, starts, inner);
            }
        });
    }

    /// The input positions of consecutive rows, from row `first` on.
    fn row_starts(&self, outer: &[Axis], first: usize, starts: &mut [usize]) {
        let Some((inner, outer)) = outer.split_last() else {
            starts.fill(self.start);
            return;
        };
        let mut filled = 0;
        while filled < starts.len() {
            let row = first + filled;
            let (mut rest, at) = (row / inner.count, row % inner.count);
            let mut base = self.start;
            for axis in outer.iter().rev() {
                base = base.wrapping_add((rest % axis.count).wrapping_mul(axis.stride));
                rest /= axis.count;
            }
            let run = (inner.count - at).min(starts.len() - filled);
            for (i, start) in starts[filled..filled + run].iter_mut().enumerate() {
                *start = base.wrapping_add((at + i).wrapping_mul(inner.stride));
            }
            filled += run;
        }
    }

    /// Adds the dispatch that fills output 0 from input 0: 4-byte elements, moved by their bits.
    ///
    /// # Errors
    /// [`Error::DType`] for f64 and u8; [`Error::Shape`] for more than 8 axes that do not run together.
    pub fn gpu(&self, op: &'static str, launch: &mut Launch) -> Result<()> {
        self.gpu_to(0, op, launch)
    }

    /// [`Strided::gpu`] for the output of this number.
    ///
    /// # Errors
    /// As [`Strided::gpu`].
    pub fn gpu_to(&self, output: usize, op: &'static str, launch: &mut Launch) -> Result<()> {
        four_bytes(op, launch.input(0).dtype)?;
        if self.axes.len() > MOST_AXES {
            return Err(Error::shape(op, format!("at most {MOST_AXES} axes on a GPU"), launch.input_shape(0)));
        }
        let elements = launch.output_shape(output).elements();
        let mut params = [0; 2 * MOST_AXES + 2];
        for (k, axis) in self.axes.iter().enumerate() {
            params[k] = word(axis.count);
            // Cut to 32 bits, a stride below zero still wraps around to the right element.
            params[MOST_AXES + k] = axis.stride as u32;
        }
        params[2 * MOST_AXES] = word(elements);
        params[2 * MOST_AXES + 1] = word(self.start);
        let shader = Shader::new(op, include_str!("../../shaders/strided.wgsl")).set("RANK", self.axes.len());
        launch.threads(shader, &[Buffer::Input(0), Buffer::Output(output)], &params, elements, 64);
        Ok(())
    }
}

/// Refuses elements that a GPU's kernels do not move as 32-bit words. An f16 is one of f32 to them.
///
/// # Errors
/// [`Error::DType`] naming the op.
pub(super) fn four_bytes(op: &str, dtype: DType) -> Result<()> {
    match dtype {
        DType::F16 | DType::F32 | DType::U32 | DType::I32 => Ok(()),
        DType::F64 | DType::U8 => Err(Error::dtype(op, "f32, u32 or i32 on a GPU (cast first)", dtype)),
    }
}

/// A size as a shader's parameter.
pub(super) fn word(size: usize) -> u32 {
    u32::try_from(size).expect("a GPU binding holds less than 2^32 elements")
}

/// Fills rows of `inner.count` elements from their starts. Strided rows are read in tiles, down their columns: where the rows start side by side,
/// as in a matrix that is turned over, every cache line of the input and of the output is then used whole and once.
fn read_rows<T: Element>(x: &[T], y: &mut [T], starts: &[usize], inner: Axis) {
    const TILE: usize = 16;
    let width = inner.count;
    if inner.stride == 1 {
        for (row, &start) in y.chunks_exact_mut(width).zip(starts) {
            row.copy_from_slice(&x[start..start + width]);
        }
        return;
    }
    let mut tile = [[T::default(); TILE]; TILE];
    for (y, starts) in y.chunks_mut(TILE * width).zip(starts.chunks(TILE)) {
        for from in (0..width).step_by(TILE) {
            let columns = TILE.min(width - from);
            for column in 0..columns {
                for (row, start) in tile.iter_mut().zip(starts) {
                    row[column] = x[start.wrapping_add((from + column).wrapping_mul(inner.stride))];
                }
            }
            for (row, tile) in y.chunks_exact_mut(width).zip(&tile) {
                row[from..from + columns].copy_from_slice(&tile[..columns]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_that_run_together_become_one() {
        let whole = Strided::new(0, &[2, 1, 3, 4], &[12, 12, 4, 1]);
        assert_eq!(whole.axes, [Axis { count: 24, stride: 1 }]);
        let turned = Strided::new(0, &[4, 2, 3], &[1, 12, 4]);
        assert_eq!(turned.axes, [Axis { count: 4, stride: 1 }, Axis { count: 6, stride: 4 }]);
        assert_eq!(Strided::new(5, &[], &[]).axes, [Axis { count: 1, stride: 1 }]);
    }

    #[test]
    fn tasks_and_blocks_join_without_a_seam() {
        // More rows than one block, more elements than one task, and neither divides evenly.
        let (rows, columns) = (1237, 41);
        let x: Vec<u32> = (0..rows * columns).collect();
        let mut y = vec![u32::MAX; x.len()];
        Strided::new(0, &[columns as usize, rows as usize], &[1, columns as usize]).cpu(&x, &mut y);
        for c in 0..columns {
            for r in 0..rows {
                assert_eq!(y[(c * rows + r) as usize], r * columns + c);
            }
        }
    }
}
