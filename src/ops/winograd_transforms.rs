//! The transforms of [`super::winograd`], and the squares of images that they are applied to.

use crate::device::cpu::Real;
use crate::device::cpu::gemm::with_scratch;
use crate::device::cpu::tile::lanes;
use pulp::{Arch, Simd, WithSimd};
use std::marker::PhantomData;
use std::ops::Range;

/// A transform along one axis, from `I` numbers to `O`. Along both axes it takes a square to a square.
pub(super) trait Transform<const I: usize, const O: usize> {
    fn apply<S: Simd, T: Real>(simd: S, x: [T::Vector<S>; I]) -> [T::Vector<S>; O];
}

/// Four numbers of the source, `Bᵀ·x`.
pub(super) struct Source;

impl Transform<4, 4> for Source {
    #[inline(always)]
    fn apply<S: Simd, T: Real>(simd: S, [x0, x1, x2, x3]: [T::Vector<S>; 4]) -> [T::Vector<S>; 4] {
        [T::minus(simd, x0, x2), T::plus(simd, x1, x2), T::minus(simd, x2, x1), T::minus(simd, x1, x3)]
    }
}

/// Four products to two outputs, `Aᵀ·x`.
pub(super) struct Output;

impl Transform<4, 2> for Output {
    #[inline(always)]
    fn apply<S: Simd, T: Real>(simd: S, [x0, x1, x2, x3]: [T::Vector<S>; 4]) -> [T::Vector<S>; 2] {
        [T::plus(simd, x0, T::plus(simd, x1, x2)), T::minus(simd, T::minus(simd, x1, x2), x3)]
    }
}

/// The gradients of two outputs to those of four products, `A·x`.
pub(super) struct OutputGradient;

impl Transform<2, 4> for OutputGradient {
    #[inline(always)]
    fn apply<S: Simd, T: Real>(simd: S, [x0, x1]: [T::Vector<S>; 2]) -> [T::Vector<S>; 4] {
        let zero = T::splat(simd, T::default());
        [x0, T::plus(simd, x0, x1), T::minus(simd, x0, x1), T::minus(simd, zero, x1)]
    }
}

/// Images of which every second pixel, along rows and columns, is where a square begins.
#[derive(Clone, Copy)]
pub(super) struct Images {
    /// Rows and columns.
    pub size: [usize; 2],
    pub channels: usize,
    /// Rows and columns of the squares.
    pub squares: [usize; 2],
    /// Zeros in front of the first row and column: there the first square begins.
    pub front: [usize; 2],
}

/// Transformed squares that are neighbours in a row: for each of the 16 cells a matrix of squares by channels.
pub(super) struct Transformed<S> {
    /// From the first cell of the first square on.
    pub data: S,
    /// From one cell to the next.
    pub cell: usize,
    /// From one square to the next.
    pub next: usize,
}

/// Neighbours in a row of squares of one image.
#[derive(Clone, Debug)]
pub(super) struct Neighbours {
    pub image: usize,
    pub row: usize,
    pub columns: Range<usize>,
}

impl Images {
    /// Elements of one row of pixels.
    pub fn line(self) -> usize {
        self.size[1] * self.channels
    }

    /// Elements of one image.
    pub fn image(self) -> usize {
        self.size[0] * self.line()
    }

    /// The squares of a row that have all of their `side` × `side` pixels.
    fn inner(self, row: usize, side: usize) -> Range<usize> {
        let whole = |axis: usize| {
            let end = (self.size[axis] + self.front[axis] + 2).saturating_sub(side) / 2;
            let end = end.min(self.squares[axis]);
            self.front[axis].div_ceil(2).min(end)..end
        };
        if whole(0).contains(&row) { whole(1) } else { 0..0 }
    }

    /// The pixels of a square with their places in the image, where there is one: `(row, column, offset)`.
    fn pixels(self, [row, column]: [usize; 2], side: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let at =
            move |axis: usize, square: usize, i: usize| (2 * square + i).checked_sub(self.front[axis]).filter(|at| *at < self.size[axis]);
        (0..side * side).filter_map(move |i| {
            let (y, x) = (at(0, row, i / side)?, at(1, column, i % side)?);
            Some((i / side, i % side, y * self.line() + x * self.channels))
        })
    }

    /// The squares `range` of the given rows of squares `(image, row)`, counted through all of them.
    pub fn neighbours(self, rows: impl Fn(usize) -> (usize, usize), range: Range<usize>) -> impl Iterator<Item = Neighbours> {
        let width = self.squares[1];
        (range.start / width..range.end.div_ceil(width)).map(move |at| {
            let (image, row) = rows(at);
            Neighbours { image, row, columns: range.start.saturating_sub(at * width)..(range.end - at * width).min(width) }
        })
    }

    /// Transforms squares of `images`, with zeros for what lies outside.
    pub fn gather<F: Transform<I, 4>, T: Real, const I: usize>(self, arch: Arch, images: &[T], at: &Neighbours, to: Transformed<&mut [T]>) {
        let (image, next) = (&images[at.image * self.image()..][..self.image()], self.channels);
        let inner = self.inner(at.row, I);
        let inner = inner.start.clamp(at.columns.start, at.columns.end)..inner.end.clamp(at.columns.start, at.columns.end);
        let squares = Squares { row: 4 * to.cell, column: to.cell, next: to.next };
        if !inner.is_empty() {
            let first = (2 * at.row - self.front[0]) * self.line() + (2 * inner.start - self.front[1]) * next;
            let from = (&image[first..], Squares { row: self.line(), column: next, next: 2 * next });
            transform::<F, T, I, 4>(arch, [inner.len(), next], from, (&mut to.data[(inner.start - at.columns.start) * to.next..], squares));
        }
        with_scratch(I * I * next, |square: &mut [T]| {
            for column in (at.columns.start..inner.start).chain(inner.end..at.columns.end) {
                square.fill(T::default());
                for (y, x, from) in self.pixels([at.row, column], I) {
                    square[(y * I + x) * next..][..next].copy_from_slice(&image[from..from + next]);
                }
                let from = (&*square, Squares { row: I * next, column: next, next: 0 });
                transform::<F, T, I, 4>(arch, [1, next], from, (&mut to.data[(column - at.columns.start) * to.next..], squares));
            }
        });
    }

    /// Transforms squares back to the channels `channels` of an image, of which `rows` begins with a row of squares.
    pub fn scatter<T: Real>(self, arch: Arch, from: Transformed<&[T]>, at: &Neighbours, channels: Range<usize>, rows: (usize, &mut [T])) {
        let (skipped, rows) = (2 * rows.0 * self.line(), rows.1);
        let end = self.inner(at.row, 2).end.clamp(at.columns.start, at.columns.end);
        let squares = Squares { row: 4 * from.cell, column: from.cell, next: from.next };
        let (pixel, count) = (self.channels, channels.len());
        if at.columns.start < end {
            let first = 2 * at.row * self.line() + 2 * at.columns.start * pixel + channels.start - skipped;
            let to = (&mut rows[first..], Squares { row: self.line(), column: pixel, next: 2 * pixel });
            transform::<Output, T, 4, 2>(arch, [end - at.columns.start, count], (from.data, squares), to);
        }
        with_scratch(4 * count, |square: &mut [T]| {
            for column in end..at.columns.end {
                let to = (&mut *square, Squares { row: 2 * count, column: count, next: 0 });
                transform::<Output, T, 4, 2>(arch, [1, count], (&from.data[(column - at.columns.start) * from.next..], squares), to);
                for (y, x, to) in self.pixels([at.row, column], 2) {
                    rows[to + channels.start - skipped..][..count].copy_from_slice(&square[(y * 2 + x) * count..][..count]);
                }
            }
        });
    }
}

/// Squares of pixels: distances in elements.
#[derive(Clone, Copy)]
struct Squares {
    /// From one row of a square to the next.
    row: usize,
    /// From one pixel of a square to the next.
    column: usize,
    /// From one square to the next.
    next: usize,
}

impl Squares {
    fn reach(self, side: usize, count: usize, channels: usize) -> usize {
        (side - 1) * (self.row + self.column) + (count - 1) * self.next + channels
    }
}

/// Applies `F` along both axes to `count` squares of `channels` channels, whole vectors.
fn transform<F: Transform<I, O>, T: Real, const I: usize, const O: usize>(
    arch: Arch,
    [count, channels]: [usize; 2],
    (from, from_squares): (&[T], Squares),
    (to, to_squares): (&mut [T], Squares),
) {
    if count == 0 || channels == 0 {
        return;
    }
    assert!(from_squares.reach(I, count, channels) <= from.len(), "too few numbers to transform");
    assert!(to_squares.reach(O, count, channels) <= to.len(), "too little room for what is transformed");
    let transform = PhantomData::<F>;
    T::with_widest(arch, Job { count, channels, from, from_squares, to, to_squares, transform });
}

/// Squares that were checked to lie within `from` and `to`.
struct Job<'a, T, F, const I: usize, const O: usize> {
    count: usize,
    channels: usize,
    from: &'a [T],
    from_squares: Squares,
    to: &'a mut [T],
    to_squares: Squares,
    transform: PhantomData<F>,
}

impl<F: Transform<I, O>, T: Real, const I: usize, const O: usize> WithSimd for Job<'_, T, F, I, O> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        assert!(self.channels.is_multiple_of(lanes::<S, T>()), "vectors must divide the channels");
        let zero = T::splat(simd, T::default());
        for square in 0..self.count {
            for channel in (0..self.channels).step_by(lanes::<S, T>()) {
                let from = self.from.as_ptr().wrapping_add(square * self.from_squares.next + channel);
                let to = self.to.as_mut_ptr().wrapping_add(square * self.to_squares.next + channel);
                let mut half = [[zero; I]; O];
                for x in 0..I {
                    let mut column = [zero; I];
                    for y in 0..I {
                        let at = from.wrapping_add(y * self.from_squares.row + x * self.from_squares.column);
                        // SAFETY: `transform` checked that every square lies in `from`; vectors divide the channels.
                        column[y] = unsafe { at.cast::<T::Vector<S>>().read_unaligned() };
                    }
                    let column = F::apply::<S, T>(simd, column);
                    for y in 0..O {
                        half[y][x] = column[y];
                    }
                }
                for y in 0..O {
                    let row = F::apply::<S, T>(simd, half[y]);
                    for x in 0..O {
                        let at = to.wrapping_add(y * self.to_squares.row + x * self.to_squares.column);
                        // SAFETY: as above, in `to`.
                        unsafe { at.cast::<T::Vector<S>>().write_unaligned(row[x]) };
                    }
                }
            }
        }
    }
}
