//! The CPU kernels of reductions: over fixed sections, in lanes.

use super::Pass;
use crate::device::cpu::Element;
use crate::device::cpu::gemm::with_scratch;
use rayon::prelude::*;

/// Elements, and rows, that make one partial result: each lane then adds 64 terms, which keeps rounding errors small.
const SECTION: usize = 1 << 12;
const ROWS: usize = 64;
/// Columns that are reduced side by side: their partial results stay in the first cache.
const COLUMNS: usize = 2048;
/// Results that are kept side by side, in a few registers of any processor.
const LANES: usize = 64;
/// Elements that are worth a task.
const TASK: usize = 1 << 14;

/// All passes, from `x` to `y`.
pub(super) fn run<T: Element>(passes: &[Pass], x: &[T], y: &mut [T], start: T, combine: impl Fn(T, T) -> T + Copy + Sync) {
    match passes {
        [last] => last.run(x, y, start, combine),
        [first, rest @ ..] => with_scratch(first.outer * first.inner, |middle: &mut [T]| {
            first.run(x, middle, start, combine);
            run(rest, middle, y, start, combine);
        }),
        [] => unreachable!("a reduction has at least one axis"),
    }
}

impl Pass {
    fn run<T: Element>(self, x: &[T], y: &mut [T], start: T, combine: impl Fn(T, T) -> T + Copy + Sync) {
        let Pass { outer, length, inner } = self;
        if outer * inner == 0 {
            return;
        }
        let rows = (SECTION / inner).max(ROWS);
        let sections = length.div_ceil(rows).max(1);
        if sections == 1 {
            let group = (TASK / (length * inner).max(1)).max(1);
            y.par_chunks_mut(group * inner).enumerate().for_each(|(task, y)| {
                for (at, y) in y.chunks_exact_mut(inner).enumerate() {
                    let o = task * group + at;
                    columns(&x[o * length * inner..][..length * inner], y, start, combine);
                }
            });
            return;
        }
        with_scratch(outer * sections * inner, |partial: &mut [T]| {
            partial.par_chunks_mut(inner).enumerate().for_each(|(task, partial)| {
                let (o, first) = (task / sections, task % sections * rows);
                let rows = rows.min(length - first);
                columns(&x[(o * length + first) * inner..][..rows * inner], partial, start, combine);
            });
            Pass { length: sections, ..self }.run(partial, y, start, combine);
        });
    }
}

/// `y[i]` combines `x[i]`, `x[i + width]`, … for every one of the `width` columns.
fn columns<T: Element>(x: &[T], y: &mut [T], start: T, combine: impl Fn(T, T) -> T + Copy + Sync) {
    match y {
        [y] if x.len() < 8 * LANES => *y = row::<T, 16>(x, start, combine),
        [y] => *y = row::<T, LANES>(x, start, combine),
        _ if y.len() < LANES => few_columns(x, y, start, combine),
        _ => many_columns(x, y, start, combine),
    }
}

/// One column: `N` results side by side, which are then combined in halves.
fn row<T: Element, const N: usize>(x: &[T], start: T, combine: impl Fn(T, T) -> T) -> T {
    let mut lanes = [start; N];
    let blocks = x.chunks_exact(N);
    let rest = blocks.remainder();
    blocks.for_each(|block| fold(&mut lanes, block, &combine));
    let mut half = N / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        fold(low, &high[..half], &combine);
        half /= 2;
    }
    rest.iter().fold(lanes[0], |a, b| combine(a, *b))
}

/// Several rows are taken as one, so that the lanes of the processor are full.
fn few_columns<T: Element>(x: &[T], y: &mut [T], start: T, combine: impl Fn(T, T) -> T) {
    let width = y.len();
    let together = LANES / width * width;
    let wide = x.chunks_exact(together);
    let rest = wide.remainder();
    let mut lanes = [start; LANES];
    wide.for_each(|block| fold(&mut lanes[..together], block, &combine));
    y.fill(start);
    lanes[..together].chunks_exact(width).chain(rest.chunks_exact(width)).for_each(|row| fold(y, row, &combine));
}

/// Blocks of columns stay in the first cache while all rows pass.
fn many_columns<T: Element>(x: &[T], y: &mut [T], start: T, combine: impl Fn(T, T) -> T + Sync) {
    let width = y.len();
    let one = |(block, y): (usize, &mut [T])| {
        y.fill(start);
        x.chunks_exact(width).for_each(|row| fold(y, &row[block * COLUMNS..][..y.len()], &combine));
    };
    if width > COLUMNS {
        y.par_chunks_mut(COLUMNS).enumerate().for_each(one);
    } else {
        one((0, y));
    }
}

fn fold<T: Copy>(into: &mut [T], row: &[T], combine: impl Fn(T, T) -> T) {
    into.iter_mut().zip(row).for_each(|(a, b)| *a = combine(*a, *b));
}
