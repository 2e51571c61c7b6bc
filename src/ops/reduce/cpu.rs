//! The CPU kernels of reductions: over fixed sections, in lanes.

use super::Pass;
use crate::device::cpu::Element;
use crate::device::cpu::gemm::with_scratch;
use std::ops::Range;

/// Elements, and rows, that make one partial result: each lane then adds 64 terms, which keeps rounding errors small.
const SECTION: usize = 1 << 12;
const ROWS: usize = 64;
/// Columns that are reduced side by side: their partial results stay in the first cache.
const COLUMNS: usize = 2048;
/// Results that are kept side by side, in a few registers of any processor.
const LANES: usize = 64;
/// Elements that are worth a task.
const TASK: usize = 1 << 14;
/// Elements that are asked for at once: what computes them keeps them in the first cache or the second.
const PART: usize = 1 << 12;

/// What is reduced: one list of elements, or several of one length side by side.
pub(super) trait Source<T>: Sync {
    /// Calls `f` with the number of each list and its elements in this range.
    fn with(&self, range: Range<usize>, f: impl FnMut(usize, &[T]));
}

impl<T: Sync> Source<T> for [T] {
    fn with(&self, range: Range<usize>, mut f: impl FnMut(usize, &[T])) {
        f(0, &self[range]);
    }
}

/// All passes, from each list of `x` to one of `ys`.
pub(super) fn run<T: Element, S: Source<T> + ?Sized>(
    passes: &[Pass],
    x: &S,
    ys: Vec<&mut [T]>,
    start: T,
    combine: impl Fn(T, T) -> T + Copy + Sync,
) {
    match passes {
        [last] => last.run(x, ys, start, combine),
        [first, rest @ ..] => with_lists(ys.len(), first.outer * first.inner, |middle| {
            first.run(x, again(middle), start, combine);
            middle.iter().zip(ys).for_each(|(x, y)| run(rest, &**x, vec![y], start, combine));
        }),
        [] => unreachable!("a reduction has at least one axis"),
    }
}

impl Pass {
    fn run<T: Element, S: Source<T> + ?Sized>(self, x: &S, ys: Vec<&mut [T]>, start: T, combine: impl Fn(T, T) -> T + Copy + Sync) {
        let Pass { outer, length, inner } = self;
        if outer * inner == 0 {
            return;
        }
        let rows = (SECTION / inner).max(ROWS);
        let sections = length.div_ceil(rows).max(1);
        if sections == 1 {
            let group = (TASK / (length * inner).max(1)).max(1);
            tasks(ys, group * inner, 0, &|task, ys| blocks(x, task * group * length * inner, [length, inner], ys, start, combine));
            return;
        }
        with_lists(ys.len(), outer * sections * inner, |partial| {
            tasks(again(partial), inner, 0, &|task, ys| {
                let (o, first) = (task / sections, task % sections * rows);
                blocks(x, (o * length + first) * inner, [rows.min(length - first), inner], ys, start, combine);
            });
            let rest = Pass { length: sections, ..self };
            partial.iter().zip(ys).for_each(|(x, y)| rest.run(&**x, vec![y], start, combine));
        });
    }
}

/// Lends memory for some lists of a length.
fn with_lists<T: Element>(count: usize, length: usize, f: impl FnOnce(&mut [&mut [T]])) {
    with_scratch(count * length, |mut memory: &mut [T]| {
        let mut lists = Vec::with_capacity(count);
        for _ in 0..count {
            let (list, rest) = memory.split_at_mut(length);
            lists.push(list);
            memory = rest;
        }
        f(&mut lists);
    });
}

fn again<'a, T>(lists: &'a mut [&mut [T]]) -> Vec<&'a mut [T]> {
    lists.iter_mut().map(|list| &mut **list).collect()
}

/// Calls `f` for every `length` elements of all lists, in parallel: with the task's number, counted from `first`, and its parts of the lists.
fn tasks<T: Send>(lists: Vec<&mut [T]>, length: usize, first: usize, f: &(impl Fn(usize, Vec<&mut [T]>) + Sync)) {
    let count = lists[0].len().div_ceil(length);
    if count <= 1 {
        return f(first, lists);
    }
    let half = count / 2;
    let (before, after) = lists.into_iter().map(|list| list.split_at_mut(half * length)).unzip();
    rayon::join(|| tasks(before, length, first, f), || tasks(after, length, first + half, f));
}

/// Reduces blocks of `rows` rows of `width` elements that lie one after the other, from element `first` on.
fn blocks<T: Element, S: Source<T> + ?Sized>(
    x: &S,
    first: usize,
    [rows, width]: [usize; 2],
    mut ys: Vec<&mut [T]>,
    start: T,
    combine: impl Fn(T, T) -> T + Copy + Sync,
) {
    let (count, size) = (ys[0].len() / width, rows * width);
    if width >= LANES {
        for block in 0..count {
            let ys = ys.iter_mut().map(|y| &mut y[block * width..][..width]).collect();
            many_columns(x, first + block * size, rows, ys, start, combine);
        }
        return;
    }
    let together = (PART / size.max(1)).max(1);
    for block in (0..count).step_by(together) {
        let end = count.min(block + together);
        x.with(first + block * size..first + end * size, |list, x| {
            for (at, y) in ys[list][block * width..end * width].chunks_exact_mut(width).enumerate() {
                columns(&x[at * size..][..size], y, start, combine);
            }
        });
    }
}

/// `y[i]` combines `x[i]`, `x[i + width]`, … for every one of the `width` columns, of which there are few.
fn columns<T: Element>(x: &[T], y: &mut [T], start: T, combine: impl Fn(T, T) -> T + Copy) {
    match y {
        [y] if x.len() < 8 * LANES => *y = row::<T, 16>(x, start, combine),
        [y] => *y = row::<T, LANES>(x, start, combine),
        _ => few_columns(x, y, start, combine),
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
fn many_columns<T: Element, S: Source<T> + ?Sized>(
    x: &S,
    first: usize,
    rows: usize,
    ys: Vec<&mut [T]>,
    start: T,
    combine: impl Fn(T, T) -> T + Copy + Sync,
) {
    let width = ys[0].len();
    tasks(ys, COLUMNS, 0, &|block, mut ys: Vec<&mut [T]>| {
        let (first, own) = (first + block * COLUMNS, ys[0].len());
        ys.iter_mut().for_each(|y| y.fill(start));
        // Whole rows lie one after the other.
        let together = if own == width { (PART / width).max(1) } else { 1 };
        for row in (0..rows).step_by(together) {
            let last = rows.min(row + together) - 1;
            x.with(first + row * width..first + last * width + own, |list, x| {
                x.chunks_exact(own).for_each(|row| fold(ys[list], row, combine));
            });
        }
    });
}

fn fold<T: Copy>(into: &mut [T], row: &[T], combine: impl Fn(T, T) -> T) {
    into.iter_mut().zip(row).for_each(|(a, b)| *a = combine(*a, *b));
}
