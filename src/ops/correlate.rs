//! Convolutions on the CPU without a matrix of windows: sums over cells that stay where they lie.
//!
//! A tile of the output, neighbouring places of a row by one or two vectors of channels, is summed in registers over all cells under the
//! kernel. The numbers of the source are read in place; those of the kernel are packed once into *panels*, as many output channels as a tile
//! has, so that they are read in order.

use super::columns::Geometry;
use super::sweep::{Meeting, Source, Sweep};
use crate::device::cpu::Real;
use crate::device::cpu::gemm::with_scratch;
use crate::device::cpu::tile::{Factors, Offsets, Tiles};
use crate::record::op::Epilogue;
use rayon::prelude::*;
use std::ops::Range;

/// Elements of one task's source and output: what stays in a core's second-level cache, with room for the kernel.
const BLOCK: usize = 96 * 1024;
/// Tasks that there should be at least, so that cores that end early wait for little.
const TASKS: usize = 64;
/// Multiplications that are worth a task.
const WORTH: usize = 1 << 18;
/// Pixels that a task has at least, so that it does more with the kernel than fetch it.
const PIXELS: usize = 64;
/// Products that are added before the next tile is taken, so that their part of a panel stays in the first-level cache.
const DEEP: usize = 768;

/// A convolution of a *source* `[images, from rows, from columns, channels]` to `[images, rows, columns, filters]`.
pub(super) struct Correlation {
    images: usize,
    channels: usize,
    filters: usize,
    rows: Sweep,
    /// What every output row of an image meets.
    meetings: Vec<Meeting>,
    columns: Sweep,
    /// Columns of the kernel's window.
    window: usize,
    /// In the kernel, from one channel of the source to the next, and from one filter to the next.
    steps: [usize; 2],
}

impl Correlation {
    /// Images to outputs.
    pub fn forward(g: &Geometry) -> Correlation {
        let sweeps = [Sweep::forward(&g.rows), Sweep::forward(&g.columns)];
        Correlation::of(g, [g.cin, g.cout], sweeps, [g.cout, 1])
    }

    /// Gradients by the outputs to gradients by the images.
    pub fn backward(g: &Geometry) -> Correlation {
        let sweeps = [Sweep::backward(&g.rows), Sweep::backward(&g.columns)];
        Correlation::of(g, [g.cout, g.cin], sweeps, [1, g.cout])
    }

    fn of(g: &Geometry, [channels, filters]: [usize; 2], [rows, columns]: [Sweep; 2], steps: [usize; 2]) -> Correlation {
        let meetings = rows.meetings();
        Correlation { images: g.images, channels, filters, rows, meetings, columns, window: g.columns.window, steps }
    }

    /// Computes `y` from the source and the convolution's kernel `[rows, columns, cin, cout]`; `then` is given every task's part of it.
    pub fn run<T: Real>(&self, source: &[T], kernel: &[T], y: &mut [T], then: Epilogue) {
        let (tiles, block) = (Tiles::<T>::here(), self.block_rows());
        let (taps, width) = (self.taps(tiles.panel(0, usize::MAX).len()), tiles.panel(0, usize::MAX).len());
        let depth = taps.last().map_or(0, |last| last.start + last.offsets.count());
        if y.is_empty() || source.is_empty() || depth == 0 {
            y.fill(T::default());
            return then.apply_to_all(y);
        }
        with_scratch(depth * tiles.panels(self.filters) * width, |panels: &mut [T]| {
            self.pack(tiles, &taps, kernel, panels);
            let (taps, panels) = (&taps[..], &*panels);
            let task = |(i, y): (usize, &mut [T])| {
                let rows = i * block..i * block + y.len() / self.row();
                let from = self.source_rows(rows.clone());
                with_scratch(Source::<T>::scratch(&self.columns, from.len(), self.channels), |scratch: &mut [T]| {
                    let source = Source::new(&self.columns, source, from, self.channels, scratch);
                    Task { of: self, tiles, source, taps, panels }.run(rows, y);
                });
                then.apply(i * block * self.row(), y);
            };
            // A single task runs here, without waking anyone.
            match y.len() <= block * self.row() {
                true => task((0, y)),
                false => y.par_chunks_mut(block * self.row()).enumerate().for_each(task),
            }
        });
    }

    /// Elements of an output row.
    fn row(&self) -> usize {
        self.columns.places() * self.filters
    }

    /// Output rows, all images together, that one task takes. Depends on the shapes alone.
    fn block_rows(&self) -> usize {
        let (rows, cells) = (self.meetings.len().max(1), |sweep: &Sweep| sweep.phases.iter().map(|phase| phase.cells.len()).sum::<usize>());
        let memory = self.row() + (self.columns.padded() * self.channels * self.rows.from).div_ceil(rows);
        let work = self.row() * self.channels * cells(&self.columns) * cells(&self.rows);
        let least = (WORTH / work.max(1)).max(PIXELS / self.columns.places().max(1));
        (BLOCK / memory.max(1)).min((self.images * rows).div_ceil(TASKS)).max(least).max(1)
    }

    /// The source rows that output rows need, both counted through all images.
    fn source_rows(&self, rows: Range<usize>) -> Range<usize> {
        let of = |row: usize| {
            let (image, source) = (row / self.meetings.len() * self.rows.from, &self.meetings[row % self.meetings.len()].source);
            image + source.start..image + source.end
        };
        let needed = rows.map(of).filter(|range| !range.is_empty());
        needed.reduce(|all, range| all.start.min(range.start)..all.end.max(range.end)).unwrap_or(0..0)
    }

    /// The cells of the kernel for every phase of rows with every phase of columns, in this order; `width` columns in a panel.
    fn taps(&self, width: usize) -> Vec<Taps> {
        let (row, mut all, mut start) = (self.columns.padded() * self.channels, Vec::new(), 0);
        for (rows, columns) in self.rows.phases.iter().flat_map(|rows| self.columns.phases.iter().map(move |columns| (rows, columns))) {
            let cells = || rows.cells.iter().flat_map(|y| columns.cells.iter().map(move |x| (y, x)));
            let offsets = cells().flat_map(|(y, x)| (0..self.channels).map(|channel| y.1 * row + x.1 * self.channels + channel));
            all.push(Taps {
                start,
                cells: cells().map(|(y, x)| y.0 * self.window + x.0).collect(),
                offsets: Offsets::of(offsets, width),
                per_row: columns.cells.len() * self.channels,
            });
            start += all[all.len() - 1].offsets.count();
        }
        all
    }

    /// Lays out the kernel in panels of filters: within a panel a row for every offset of every taps.
    fn pack<T: Real>(&self, tiles: Tiles<T>, taps: &[Taps], kernel: &[T], panels: &mut [T]) {
        let ([by_channel, by_filter], cell) = (self.steps, self.channels * self.filters);
        let width = tiles.panel(0, usize::MAX).len();
        let panel = |(index, panel): (usize, &mut [T])| {
            let filters = tiles.panel(index, self.filters);
            let cells =
                taps.iter().flat_map(|taps| &taps.cells).flat_map(|tap| (0..self.channels).map(move |c| tap * cell + c * by_channel));
            for (from, row) in cells.zip(panel.chunks_exact_mut(width)) {
                let (used, rest) = row.split_at_mut(filters.len());
                used.iter_mut()
                    .zip(kernel[from + filters.start * by_filter..].iter().step_by(by_filter))
                    .for_each(|(to, from)| *to = *from);
                rest.fill(T::default());
            }
        };
        let length = panels.len() / tiles.panels(self.filters);
        match panels.len() <= length.max(WORTH) {
            true => panels.chunks_mut(length).enumerate().for_each(panel),
            false => panels.par_chunks_mut(length).enumerate().for_each(panel),
        }
    }
}

/// What the places of one phase of rows and one of columns are summed over.
struct Taps {
    /// The first row of a panel that belongs to them.
    start: usize,
    /// The kernel's cells, row by row.
    cells: Vec<usize>,
    /// Where in the source all channels of all cells lie.
    offsets: Offsets,
    /// Offsets of one row of cells.
    per_row: usize,
}

/// What a task computes with.
struct Task<'a, T> {
    of: &'a Correlation,
    tiles: Tiles<T>,
    source: Source<'a, T>,
    taps: &'a [Taps],
    panels: &'a [T],
}

impl<T: Real> Task<'_, T> {
    /// Output rows `rows`, counted through all images.
    fn run(&self, rows: Range<usize>, y: &mut [T]) {
        let (of, tiles) = (self.of, self.tiles);
        let deepest = self.taps.iter().map(|taps| taps.offsets.count()).max().unwrap_or(0);
        for (index, panel) in self.panels.chunks_exact(self.panels.len() / tiles.panels(of.filters)).enumerate() {
            for start in (0..deepest).step_by(DEEP) {
                for (row, y) in rows.clone().zip(y.chunks_exact_mut(of.row())) {
                    self.row(row, tiles.panel(index, of.filters), panel, start..start + DEEP, y);
                }
            }
        }
    }

    /// Adds the products `deep` to some filters of one output row; the first products overwrite what is there.
    fn row(&self, row: usize, filters: Range<usize>, panel: &[T], deep: Range<usize>, y: &mut [T]) {
        let (of, tiles, width) = (self.of, self.tiles, self.tiles.panel(0, usize::MAX).len());
        let meeting = &of.meetings[row % of.meetings.len()];
        let source = match meeting.cells.is_empty() {
            true => &[],
            false => self.source.row(row / of.meetings.len() * of.rows.from + meeting.source.start),
        };
        let phases = of.columns.phases.len();
        for (first, columns) in of.columns.phases.iter().enumerate() {
            let taps = &self.taps[meeting.phase * phases + first];
            let (start, end) = (meeting.cells.start * taps.per_row, meeting.cells.end * taps.per_row);
            let used = start.max(deep.start).min(end)..end.min(deep.end).max(start);
            if used.is_empty() && deep.start > 0 {
                continue;
            }
            let (a_row, c_row) = (columns.from_step * of.channels, phases * of.filters);
            let at = columns.cells.first().map_or(0, |cell| cell.1 * of.channels)
                + if used.is_empty() { 0 } else { taps.offsets.distance(start, used.start) };
            for places in tiles.cut(columns.places) {
                let a = source.get(at + places.start * a_row..).unwrap_or(&[]);
                let (b, offsets) = (&panel[(taps.start + used.start) * width..], taps.offsets.range(used.clone()));
                let c = &mut y[(first + places.start * phases) * of.filters + filters.start..];
                tiles.sum(places.len(), filters.len(), Factors { a, a_row, b, offsets }, c, c_row, deep.start > 0);
            }
        }
    }
}
