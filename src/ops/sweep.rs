//! Which cells meet which in a convolution along one axis, the same for the convolution and its gradients.
//!
//! A *sweep* computes places of sums from cells of the *source*. The convolution itself sweeps the images; its gradient by
//! the images sweeps `dy` with the kernel turned around. With a stride of `s`, neighbouring places of that gradient meet different cells of
//! the kernel, but every `s`th place the same: there are `s` *phases*.

use super::window::Axis;
use std::ops::Range;

/// Places that meet the same cells of the kernel.
#[derive(Debug)]
pub(super) struct Phase {
    /// How many places.
    pub places: usize,
    /// Source cells from one place to the next.
    pub from_step: usize,
    /// The kernel's cells, and the source cell under each at the first place: ascending, counted from the first cell of a padded row.
    pub cells: Vec<(usize, usize)>,
}

/// What one place meets.
#[derive(Debug)]
pub(super) struct Meeting {
    /// The place's phase.
    pub phase: usize,
    /// Those of its cells that lie over the source and not over zeros.
    pub cells: Range<usize>,
    /// From the source cell under the first of them to the one under the last.
    pub source: Range<usize>,
}

/// A convolution along one axis. Phase `p` has the places `p`, `p + n`, `p + 2n` …, where `n` is the number of phases.
#[derive(Debug)]
pub(super) struct Sweep {
    /// The phases, none of them empty.
    pub phases: Vec<Phase>,
    /// Cells of the source.
    pub from: usize,
    /// Zeros that the source needs in front and at the end, if the phases are to meet only what is there.
    pub pad: [usize; 2],
}

impl Sweep {
    /// Of the images, by the kernel.
    pub fn forward(axis: &Axis) -> Sweep {
        let cells = (0..axis.window).map(|cell| (cell, (cell * axis.dilation) as isize - axis.front as isize)).collect();
        Sweep::of(axis.input, [(axis.output, axis.stride, cells)])
    }

    /// Of the output's gradient, by the kernel turned around.
    pub fn backward(axis: &Axis) -> Sweep {
        let stride = axis.stride as isize;
        let phases = (0..axis.stride.min(axis.input)).map(|first| {
            let start = |cell: usize| (first + axis.front) as isize - (cell * axis.dilation) as isize;
            let cells = (0..axis.window).rev().filter(|&cell| start(cell).rem_euclid(stride) == 0);
            let cells = cells.map(|cell| (cell, start(cell).div_euclid(stride))).collect();
            ((axis.input - first).div_ceil(axis.stride), 1, cells)
        });
        Sweep::of(axis.output, phases)
    }

    /// Of phases given as `(places, from_step, [(cell of the kernel, source cell at the first place)])`.
    fn of(from: usize, phases: impl IntoIterator<Item = (usize, usize, Vec<(usize, isize)>)>) -> Sweep {
        let phases: Vec<_> = phases.into_iter().filter(|(places, ..)| *places > 0).collect();
        let (mut front, mut end) = (0, from as isize);
        for (places, from_step, cells) in &phases {
            for (_, at) in cells {
                front = front.max(-at);
                end = end.max(at + ((places - 1) * from_step) as isize + 1);
            }
        }
        let phases = phases.into_iter().map(|(places, from_step, cells)| Phase {
            places,
            from_step,
            cells: cells.into_iter().map(|(cell, at)| (cell, (at + front) as usize)).collect(),
        });
        Sweep { phases: phases.collect(), from, pad: [front as usize, (end - from as isize) as usize] }
    }

    /// Places, those of all phases together.
    pub fn places(&self) -> usize {
        self.phases.iter().map(|phase| phase.places).sum()
    }

    /// What every place meets of the source itself.
    pub fn meetings(&self) -> Vec<Meeting> {
        let meeting = |place: usize| {
            let (index, moved) = (place % self.phases.len(), place / self.phases.len());
            let phase = &self.phases[index];
            let from = |cell: &(usize, usize)| (cell.1 + moved * phase.from_step).checked_sub(self.pad[0]).filter(|from| *from < self.from);
            let first = phase.cells.iter().position(|cell| from(cell).is_some()).unwrap_or(0);
            let end = phase.cells.iter().rposition(|cell| from(cell).is_some()).map_or(first, |last| last + 1);
            let source = phase.cells[first..end].first().and_then(from).zip(phase.cells[first..end].last().and_then(from));
            Meeting { phase: index, cells: first..end, source: source.map_or(0..0, |(first, last)| first..last + 1) }
        };
        (0..self.places()).map(meeting).collect()
    }

    /// Cells of a padded source row.
    pub fn padded(&self) -> usize {
        self.pad[0] + self.from + self.pad[1]
    }
}

/// Rows of a source, with the zeros that a sweep needs.
#[derive(Clone, Copy)]
pub(super) struct Source<'a, T> {
    data: &'a [T],
    first: usize,
    width: usize,
}

impl<'a, T: Copy + Default> Source<'a, T> {
    /// Elements that the copy of so many rows needs.
    pub fn scratch(sweep: &Sweep, rows: usize, channels: usize) -> usize {
        if sweep.pad == [0, 0] { 0 } else { rows * sweep.padded() * channels }
    }

    /// Rows `rows` of `data`, counted through all images; copied to `scratch` where they need zeros.
    pub fn new(sweep: &Sweep, data: &'a [T], rows: Range<usize>, channels: usize, scratch: &'a mut [T]) -> Source<'a, T> {
        let (width, padded) = (sweep.from * channels, sweep.padded() * channels);
        if sweep.pad == [0, 0] {
            return Source { data, first: 0, width };
        }
        let (front, end) = (sweep.pad[0] * channels, sweep.pad[0] * channels + width);
        for (row, to) in rows.clone().zip(scratch.chunks_exact_mut(padded.max(1))) {
            to[..front].fill(T::default());
            to[front..end].copy_from_slice(&data[row * width..][..width]);
            to[end..].fill(T::default());
        }
        Source { data: scratch, first: rows.start, width: padded }
    }

    /// One row and whatever follows it.
    pub fn row(self, row: usize) -> &'a [T] {
        &self.data[(row - self.first) * self.width..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::window::Padding;

    /// Every place, source cell and kernel's cell that meet: by the cells of the phases, and by `meetings`.
    fn triples(sweep: &Sweep) -> [Vec<(usize, usize, usize)>; 2] {
        let mut all = [vec![], vec![]];
        for (place, meeting) in sweep.meetings().iter().enumerate() {
            let (phase, moved) = (&sweep.phases[meeting.phase], place / sweep.phases.len());
            for (i, &(cell, from)) in phase.cells.iter().enumerate() {
                let from = from + moved * phase.from_step;
                assert!(from < sweep.padded(), "{sweep:?}");
                if (sweep.pad[0]..sweep.pad[0] + sweep.from).contains(&from) {
                    all[0].push((place, from - sweep.pad[0], cell));
                }
                if meeting.cells.contains(&i) {
                    let from = meeting.source.start + phase.cells[i].1 - phase.cells[meeting.cells.start].1;
                    assert!(meeting.source.contains(&from), "{sweep:?}");
                    all[1].push((place, from, cell));
                }
            }
        }
        all.iter_mut().for_each(|triples| triples.sort_unstable());
        all
    }

    #[test]
    fn both_directions_pair_what_the_definition_pairs() {
        for (n, k, s, d) in [(7, 3, 2, 1), (8, 2, 3, 1), (5, 5, 1, 1), (9, 3, 2, 2), (1, 3, 1, 1), (4, 1, 3, 1), (6, 2, 1, 3), (9, 4, 3, 2)]
        {
            for padding in [Padding::Same, Padding::Valid] {
                let Ok(axis) = Axis::new("t", n, k, s, d, padding) else { continue };
                let all = (0..axis.output).flat_map(|place| (0..k).map(move |cell| (place, cell)));
                let defined: Vec<_> = all.filter_map(|(place, cell)| Some((place, axis.cell(place, cell)?, cell))).collect();
                let mut forward = defined.clone();
                forward.sort_unstable();
                assert_eq!(triples(&Sweep::forward(&axis)), [forward.clone(), forward], "{axis:?}");
                let mut backward: Vec<_> = defined.into_iter().map(|(place, from, cell)| (from, place, cell)).collect();
                backward.sort_unstable();
                assert_eq!(triples(&Sweep::backward(&axis)), [backward.clone(), backward], "{axis:?}");
            }
        }
    }
}
