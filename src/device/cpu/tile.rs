//! The innermost part of convolutions: a tile of sums of products that stays in vector registers, over factors that stay where they lie.
//!
//! `c[i, j] = Σ_k a[offsets[k] + i·a_row] · b[k·b_row + j]`. The numbers of `a` are read one by one and multiplied with whole vectors of
//! `b`, so that `a` needs no rearranging: its rows may be neighbouring pixels under a window, or neighbouring channels of a pixel.

use super::Element;
use pulp::{Arch, Simd, WithSimd};
use std::marker::PhantomData;
use std::ops::Range;

/// The most rows that a tile has. With two vectors each they fill 26 of AVX-512's 32 registers; with 28 the compiler runs out of them.
pub const MOST_ROWS: usize = 13;
/// The most vectors that a row of a tile has.
pub const MOST_VECTORS: usize = 2;
/// The most numbers that a vector has, on any processor.
pub const MOST_LANES: usize = 16;

/// A float that the processor has vectors of.
pub trait Lanes: Element {
    /// A vector of the processor.
    type Vector<S: Simd>: Copy;
    /// The same number in all lanes.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    /// `a·b + c`, rounded once or twice.
    fn mul_add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S>;
    /// `a + b`.
    fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// `a - b`.
    fn minus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// Runs code that is compiled for each kind of vectors with the widest that the processor has.
    fn with_widest<W: WithSimd>(arch: Arch, job: W) -> W::Output;
}

impl Lanes for f32 {
    type Vector<S: Simd> = S::f32s;
    #[inline(always)]
    fn splat<S: Simd>(simd: S, value: f32) -> S::f32s {
        simd.splat_f32s(value)
    }
    #[inline(always)]
    fn mul_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
        simd.mul_add_e_f32s(a, b, c)
    }
    #[inline(always)]
    fn plus<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
        simd.add_f32s(a, b)
    }
    #[inline(always)]
    fn minus<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
        simd.sub_f32s(a, b)
    }
    #[inline(always)]
    fn with_widest<W: WithSimd>(arch: Arch, job: W) -> W::Output {
        arch.dispatch(job)
    }
}

impl Lanes for f64 {
    type Vector<S: Simd> = S::f64s;
    #[inline(always)]
    fn splat<S: Simd>(simd: S, value: f64) -> S::f64s {
        simd.splat_f64s(value)
    }
    #[inline(always)]
    fn mul_add<S: Simd>(simd: S, a: S::f64s, b: S::f64s, c: S::f64s) -> S::f64s {
        simd.add_f64s(simd.mul_f64s(a, b), c)
    }
    #[inline(always)]
    fn plus<S: Simd>(simd: S, a: S::f64s, b: S::f64s) -> S::f64s {
        simd.add_f64s(a, b)
    }
    #[inline(always)]
    fn minus<S: Simd>(simd: S, a: S::f64s, b: S::f64s) -> S::f64s {
        simd.sub_f64s(a, b)
    }
    // f64 is for checks: not worth the time to compile every tile for every processor again.
    #[inline(always)]
    fn with_widest<W: WithSimd>(_: Arch, job: W) -> W::Output {
        job.with_simd(pulp::Scalar256b)
    }
}

/// How tiles of `T` are computed on this processor.
#[derive(Clone, Copy, Debug)]
pub struct Tiles<T> {
    /// The processor's kind.
    pub arch: Arch,
    /// Numbers in a vector.
    pub lanes: usize,
    /// The most rows of a tile here.
    pub rows: usize,
    float: PhantomData<T>,
}

impl<T: Lanes> Tiles<T> {
    /// Asks the processor.
    pub fn here() -> Tiles<T> {
        struct Ask<T>(Arch, PhantomData<T>);
        impl<T: Lanes> WithSimd for Ask<T> {
            type Output = Tiles<T>;
            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> Tiles<T> {
                Tiles { arch: self.0, lanes: lanes::<S, T>(), rows: most_rows::<S>(), float: PhantomData }
            }
        }
        T::with_widest(Arch::new(), Ask(Arch::new(), PhantomData))
    }

    /// The columns of panel `index` of a matrix with so many columns: as many as a tile has, or what is left.
    pub fn panel(self, index: usize, columns: usize) -> Range<usize> {
        let width = MOST_VECTORS * self.lanes;
        index * width..((index + 1) * width).min(columns)
    }

    /// How many panels there are.
    pub fn panels(self, columns: usize) -> usize {
        columns.div_ceil(MOST_VECTORS * self.lanes)
    }

    /// So many columns, filled up to whole vectors.
    pub fn whole(self, columns: usize) -> usize {
        columns.next_multiple_of(self.lanes)
    }

    /// `0..length` in the fewest ranges that a tile has rows for, as equal as can be.
    pub fn cut(self, length: usize) -> impl Iterator<Item = Range<usize>> {
        let tiles = length.div_ceil(self.rows);
        (0..tiles).map(move |tile| tile * length / tiles..(tile + 1) * length / tiles)
    }

    /// Computes a tile of `rows` rows and `columns` columns into `c`, whose rows are `c_row` apart; adds to what is there if `accumulate`.
    /// Without offsets the sums are zero.
    pub fn sum(self, rows: usize, columns: usize, factors: Factors<T>, c: &mut [T], c_row: usize, accumulate: bool) {
        let (width, last) = (self.whole(columns), rows - 1);
        assert!(last < self.rows && columns > 0 && width <= MOST_VECTORS * self.lanes, "a tile that does not fit into the registers");
        if let Some([reach_a, reach_b]) = factors.offsets.reach() {
            assert!(reach_a + last * factors.a_row < factors.a.len(), "a is too short");
            assert!(reach_b + width <= factors.b.len(), "b is too short");
        }
        assert!(last * c_row + columns <= c.len(), "c is too short");
        if width == columns {
            return T::with_widest(self.arch, Job { rows, width, factors, c: c.as_mut_ptr(), c_row, accumulate });
        }
        let mut whole = [T::default(); MOST_ROWS * MOST_VECTORS * MOST_LANES];
        let of_c = |row: usize| row * c_row..row * c_row + columns;
        if accumulate {
            whole.chunks_mut(width).take(rows).enumerate().for_each(|(row, whole)| whole[..columns].copy_from_slice(&c[of_c(row)]));
        }
        T::with_widest(self.arch, Job { rows, width, factors, c: whole.as_mut_ptr(), c_row: width, accumulate });
        whole.chunks(width).take(rows).enumerate().for_each(|(row, whole)| c[of_c(row)].copy_from_slice(&whole[..columns]));
    }
}

/// Numbers in a vector.
pub const fn lanes<S: Simd, T: Lanes>() -> usize {
    size_of::<T::Vector<S>>() / size_of::<T>()
}

const fn most_rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { MOST_ROWS } else { 6 }
}

/// Where the numbers lie whose products are added, in this order. They ascend, so that the last show how far they reach.
#[derive(Debug, Default)]
pub struct Offsets(Vec<Offset>);

/// An offset in `a`, and in the upper half one in `b`: one read brings both.
#[derive(Clone, Copy, Debug)]
struct Offset(u64);

impl Offset {
    #[inline(always)]
    fn a(self) -> usize {
        self.0 as u32 as usize
    }

    #[inline(always)]
    fn b(self) -> usize {
        (self.0 >> 32) as usize
    }
}

impl Offsets {
    /// These in `a`, which must ascend, and in `b` one row after the other, `b_row` apart.
    pub fn of(a: impl IntoIterator<Item = usize>, b_row: usize) -> Offsets {
        let narrow = |offset: usize| u64::from(u32::try_from(offset).expect("what one task reads lies within 16 GiB"));
        let offsets: Vec<Offset> = a.into_iter().enumerate().map(|(k, a)| Offset(narrow(k * b_row) << 32 | narrow(a))).collect();
        assert!(offsets.is_sorted_by_key(|offset| offset.a()), "offsets in another order");
        Offsets(offsets)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Some of them, to be counted from the first of these.
    pub fn range(&self, range: Range<usize>) -> OffsetRange<'_> {
        OffsetRange(&self.0[range])
    }

    /// How far in `a` offset `l` lies behind offset `k`.
    pub fn distance(&self, k: usize, l: usize) -> usize {
        self.0[l].a() - self.0[k].a()
    }
}

/// Some offsets, counted from the first of them.
#[derive(Clone, Copy, Debug)]
pub struct OffsetRange<'a>(&'a [Offset]);

impl OffsetRange<'_> {
    fn first(self) -> [usize; 2] {
        self.0.first().map_or([0, 0], |first| [first.a(), first.b()])
    }

    /// How far the last lie behind the first in `a` and `b`; nothing if there are none.
    fn reach(self) -> Option<[usize; 2]> {
        let ([a, b], last) = (self.first(), self.0.last()?);
        Some([last.a() - a, last.b() - b])
    }
}

/// What is multiplied.
#[derive(Clone, Copy)]
pub struct Factors<'a, T> {
    /// From the first offset of row 0 on.
    pub a: &'a [T],
    /// From one row to the next.
    pub a_row: usize,
    /// From the first offset of column 0 on. Must reach to the end of a whole vector of columns.
    pub b: &'a [T],
    /// The offsets.
    pub offsets: OffsetRange<'a>,
}

/// A checked tile: the factors hold `rows` rows and `width` columns, which are whole vectors, and `c` points to as many, `c_row` apart.
struct Job<'a, T> {
    rows: usize,
    width: usize,
    factors: Factors<'a, T>,
    c: *mut T,
    c_row: usize,
    accumulate: bool,
}

/// A body for each `i` in `0..M`, written out, because the compiler keeps only arrays in registers whose indices it knows, and stops
/// unrolling loops where they get as long as these.
macro_rules! each_row {
    ($i:ident < $m:ident, $body:block) => { each_row!(@ $i $m $body 0 1 2 3 4 5 6 7 8 9 10 11 12) };
    (@ $i:ident $m:ident $body:block $($at:literal)*) => {
        $(if $at < $m {
            #[expect(non_upper_case_globals, reason = "it stands for a loop's variable")]
            const $i: usize = $at;
            $body
        })*
    };
}

impl<T: Lanes> WithSimd for Job<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        macro_rules! by_rows {
            ($n:literal, $($m:literal)*) => {
                match self.rows {
                    $($m if $m <= const { most_rows::<S>() } => self.sums::<S, $m, $n>(simd),)*
                    _ => unreachable!("a tile has from 1 to {} rows", most_rows::<S>()),
                }
            };
        }
        match self.width == lanes::<S, T>() {
            true => by_rows!(1, 1 2 3 4 5 6 7 8 9 10 11 12 13),
            false => by_rows!(2, 1 2 3 4 5 6 7 8 9 10 11 12 13),
        }
    }
}

impl<T: Lanes> Job<'_, T> {
    /// Computes a tile of `M` rows and `N` vectors.
    #[inline(always)]
    fn sums<S: Simd, const M: usize, const N: usize>(&self, simd: S) {
        let at = |i: usize, j: usize| self.c.wrapping_add(i * self.c_row + j * lanes::<S, T>()).cast::<T::Vector<S>>();
        let mut sums = [[T::splat(simd, T::default()); N]; M];
        if self.accumulate {
            each_row!(i < M, {
                for j in 0..N {
                    // SAFETY: `c` points to the tile.
                    sums[i][j] = unsafe { at(i, j).read_unaligned() };
                }
            });
        }
        let Factors { a, a_row, b, offsets } = self.factors;
        let [first_a, first_b] = offsets.first();
        let (a, b) = (a.as_ptr().wrapping_sub(first_a), b.as_ptr().wrapping_sub(first_b));
        for offset in offsets.0 {
            let (mut a, b) = (a.wrapping_add(offset.a()), b.wrapping_add(offset.b()));
            let mut vectors = [T::splat(simd, T::default()); N];
            for j in 0..N {
                // SAFETY: the factors hold `N` vectors for each offset.
                vectors[j] = unsafe { b.wrapping_add(j * lanes::<S, T>()).cast::<T::Vector<S>>().read_unaligned() };
            }
            each_row!(i < M, {
                if i != 0 {
                    // Row by row: the compiler then needs no register for each, nor does it read all of them before it multiplies any.
                    a = a.wrapping_add(a_row);
                }
                // SAFETY: the factors hold `M` rows for each offset.
                let factor = T::splat(simd, unsafe { *a });
                for j in 0..N {
                    sums[i][j] = T::mul_add(simd, factor, vectors[j], sums[i][j]);
                }
            });
        }
        each_row!(i < M, {
            for j in 0..N {
                // SAFETY: `c` points to the tile.
                unsafe { at(i, j).write_unaligned(sums[i][j]) };
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu::Real;

    fn numbers<T: Real>(len: usize, seed: usize) -> Vec<T> {
        (0..len).map(|i| T::of((((i * 2_654_435_761 + seed * 97) >> 7) % 1000) as f64 / 500.0 - 1.0)).collect()
    }

    fn every_size<T: Real>(tolerance: f64) {
        let tiles = Tiles::<T>::here();
        let (a_row, b_row, c_row, places) = (5, MOST_VECTORS * tiles.lanes + 3, MOST_VECTORS * tiles.lanes + 1, [2, 3, 3, 9, 14, 15]);
        let (a, b) = (numbers::<T>(200, 1), numbers::<T>(6 * b_row, 2));
        let offsets = Offsets::of(places, b_row);
        for (rows, columns) in (1..=tiles.rows).flat_map(|rows| (1..=MOST_VECTORS * tiles.lanes).map(move |columns| (rows, columns))) {
            for used in [0..6, 2..5, 4..4] {
                let factors = Factors { a: &a[7..], a_row, b: &b, offsets: offsets.range(used.clone()) };
                let mut c = numbers::<T>(tiles.rows * c_row, 3);
                let old = c.clone();
                for twice in [false, true] {
                    tiles.sum(rows, columns, factors, &mut c, c_row, twice);
                    for (at, (new, old)) in c.iter().zip(&old).enumerate() {
                        let (i, j) = (at / c_row, at % c_row);
                        let product = |k: usize| {
                            a[7 + places[k] - places[used.start] + i * a_row].as_f64() * b[(k - used.start) * b_row + j].as_f64()
                        };
                        let want = match i < rows && j < columns {
                            true => used.clone().map(product).sum::<f64>() * if twice { 2.0 } else { 1.0 },
                            false => old.as_f64(),
                        };
                        assert!(
                            (new.as_f64() - want).abs() <= tolerance,
                            "{rows} rows, {columns} columns, {used:?}, at {i}, {j}: {new:?}, expected {want}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn tiles_of_every_size_are_sums_of_products() {
        every_size::<f32>(1e-5);
        every_size::<f64>(1e-14);
    }

    #[test]
    fn lengths_are_cut_evenly() {
        let tiles = Tiles::<f32>::here();
        for length in [0, 1, tiles.rows, tiles.rows + 1, 3 * tiles.rows - 1, 100] {
            let cut: Vec<Range<usize>> = tiles.cut(length).collect();
            assert_eq!(cut.len(), length.div_ceil(tiles.rows));
            assert_eq!(cut.iter().flat_map(Clone::clone).collect::<Vec<_>>(), (0..length).collect::<Vec<_>>());
            assert!(cut.iter().all(|range| !range.is_empty() && range.len() <= tiles.rows));
        }
    }

    #[test]
    #[should_panic(expected = "a is too short")]
    fn what_would_be_read_outside_is_refused() {
        let (tiles, b, offsets) = (Tiles::<f32>::here(), [0.0; 64], Offsets::of([0, 1], 16));
        let factors = Factors { a: &[0.0; 8], a_row: 4, b: &b, offsets: offsets.range(0..2) };
        tiles.sum(3, 1, factors, &mut [0.0; 3], 1, false);
    }
}
