//! The CPU kernels of the maximum under a window: a vector of channels at a time.

use crate::device::cpu::Real;
use crate::device::cpu::gemm::with_scratch;
use crate::ops::window::Pooled;
use crate::record::op::Epilogue;
use rayon::prelude::*;
use std::hint::select_unpredictable;
use std::ops::Range;

/// Channels that are looked at together: whole vectors of any processor.
const LANES: usize = 16;

/// `y` from `x`; `then` is given every row.
pub(super) fn forward<T: Real>(p: &Pooled, x: &[T], y: &mut [T], then: Epilogue) {
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

/// `dx` from `x` and `dy`; `then` is given every image.
pub(super) fn spread<T: Real>(p: &Pooled, x: &[T], dy: &[T], dx: &mut [T], then: Epilogue) {
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

/// The values at the winners in `x`.
pub(super) fn pick<T: Real>(p: &Pooled, x: &[T], values: &[T], y: &mut [T]) {
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
        for (oy, ox) in rows.flat_map(|oy| (0..p.columns.output).map(move |ox| (oy, ox))) {
            let mut count = 0;
            p.each_cell(oy, ox, |at| {
                room[count] = at as u32;
                count += 1;
            });
            let (cells, y) = (&mut room[..count], (oy * p.columns.output + ox) * p.channels);
            let mut channel = 0;
            while channel < p.channels {
                macro_rules! next {
                    ($lanes:expr) => {{
                        let (best, winner) = winners::<T, { $lanes }>(x, cells);
                        found(y + channel, cells, &best, &winner);
                        $lanes
                    }};
                }
                let taken = match p.channels - channel {
                    LANES.. => next!(LANES),
                    4.. => next!(4),
                    _ => next!(1),
                };
                cells.iter_mut().for_each(|cell| *cell += taken as u32);
                channel += taken;
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
            let takes = (k == 0) | (cells[l] > best[l]) | (cells[l].is_nan() & !best[l].is_nan());
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
