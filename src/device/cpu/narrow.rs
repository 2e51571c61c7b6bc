//! Products of few rows with a matrix that is read transposed, as is the one that makes the gradient of a dense layer's input.
//!
//! A product in general rearranges such a matrix first, which takes longer than to multiply it with few rows. Here it stays where it lies: each of
//! its numbers is multiplied with a whole column of the other factor, and what is turned round is the result.

use super::gemm::{Matrix, Target, with_scratch};
use super::tile::{Factors, Offsets, Tiles};
use super::{Epilogue, Real};
use rayon::prelude::*;
use std::ops::Range;

/// With more rows it takes longer to turn the result round than to rearrange the matrix.
const MOST_ROWS: usize = 64;
/// Numbers of the first factor that stay in cache while the second passes by.
const MOST_KEPT: usize = 1 << 17;
/// Columns of the result that are turned round at a time, while they are in the nearest cache.
const COLUMNS: usize = 104;
/// Multiplications that are worth a task.
const WORTH: usize = 1 << 22;
/// The most tasks.
const MOST_TASKS: usize = 32;

/// Whether [`product`] is the better way.
pub(super) fn suits<T>([m, n, k]: [usize; 3], b: &Matrix<T>) -> bool {
    // One row makes a matrix times a vector, for which nobody rearranges anything.
    (2..=MOST_ROWS).contains(&m) && n >= COLUMNS && k > 1 && m * k <= MOST_KEPT && b.row_stride == 1 && b.col_stride >= k
}

/// `c = a·b` on all threads, for what [`suits`]; the same bits for any number of threads. `then` gets the finished parts, where the first element
/// of `c` has number `first`.
pub(super) fn product<T: Real>([m, n, k]: [usize; 3], c: &mut [T], a: Matrix<T>, b: Matrix<T>, (then, first): (Epilogue, usize)) {
    assert!(c.len() == m * n && a.holds(m, k) && b.holds(k, n), "factors of another size");
    let tiles = Tiles::<T>::here();
    let width = tiles.whole(m);
    let target = Target { start: c.as_mut_ptr(), stride: n };
    let each = n.div_ceil((width * n * k / WORTH).clamp(1, MOST_TASKS)).next_multiple_of(COLUMNS);
    with_scratch(k * width, |kept: &mut [T]| {
        for (l, column) in kept.chunks_exact_mut(width).enumerate() {
            (0..m).for_each(|i| column[i] = a.data[i * a.row_stride + l * a.col_stride]);
            column[m..].fill(T::zero());
        }
        let columns = Columns { tiles, width, kept, offsets: Offsets::of(0..k, width), b };
        (0..n.div_ceil(each)).into_par_iter().for_each(|task| {
            let range = task * each..((task + 1) * each).min(n);
            // SAFETY: the target holds `[m, n]`, and no other task has these columns.
            let part = |i: usize, columns: &Range<usize>| unsafe { target.row(i, columns.clone()) };
            for start in range.clone().step_by(COLUMNS) {
                let some = start..(start + COLUMNS).min(range.end);
                columns.turned(some.clone(), |turned| {
                    for i in 0..m {
                        part(i, &some).iter_mut().zip(turned[i..].iter().step_by(width)).for_each(|(c, made)| *c = *made);
                    }
                });
            }
            (0..m).for_each(|i| then.apply(first + i * n + range.start, part(i, &range)));
        });
    });
}

/// Both factors.
struct Columns<'a, T> {
    tiles: Tiles<T>,
    /// Of a column of the first factor, filled up to whole vectors.
    width: usize,
    /// The columns of the first factor.
    kept: &'a [T],
    /// Where those are that belong to the numbers of a column of the second.
    offsets: Offsets,
    b: Matrix<'a, T>,
}

impl<T: Real> Columns<'_, T> {
    /// Lends these columns of the product, each as a row of `width` numbers.
    fn turned(&self, columns: Range<usize>, f: impl FnOnce(&[T])) {
        let Columns { tiles, width, kept, offsets, b } = self;
        with_scratch(columns.len() * width, |turned: &mut [T]| {
            for rows in tiles.cut(columns.len()) {
                for panel in (0..tiles.panels(*width)).map(|index| tiles.panel(index, *width)) {
                    let a = &b.data[(columns.start + rows.start) * b.col_stride..];
                    let factors = Factors { a, a_row: b.col_stride, b: &kept[panel.start..], offsets: offsets.range(0..offsets.count()) };
                    tiles.sum(rows.len(), panel.len(), factors, &mut turned[rows.start * width + panel.start..], *width, false);
                }
            }
            f(turned);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn numbers<T: Real>(len: usize, seed: usize) -> Vec<T> {
        (0..len).map(|i| T::of((((i * 2_654_435_761 + seed * 97) >> 7) % 1000) as f64 / 500.0 - 1.0)).collect()
    }

    /// The product, and each part that was handed over: its first number and its length.
    fn made<T: Real>(size @ [m, n, k]: [usize; 3], ta: bool) -> (Vec<T>, Vec<(usize, usize)>) {
        let (a, b) = (numbers::<T>(m * k, 1), numbers::<T>((k + 3) * n, 2));
        let a = if ta { Matrix::rows(&a, m).transposed() } else { Matrix::rows(&a, k) };
        let b = Matrix::rows(&b, k + 3).transposed();
        assert!(suits(size, &b), "{size:?}");
        let parts = Mutex::new(Vec::new());
        let note = |first: usize, part: &mut [u8]| {
            parts.lock().expect("no part failed").push((first, part.len() / size_of::<T>()));
        };
        let mut c = vec![T::nan(); m * n];
        product(size, &mut c, a, b, (Epilogue(Some(&note)), 5));
        (c, parts.into_inner().expect("no part failed"))
    }

    fn right<T: Real>(tolerance: f64) {
        // Fewer columns than a vector has and more than a panel; the last columns turned and the last task cut short; several tasks.
        for size @ [m, n, k] in [[2, 104, 2], [7, 300, 33], [16, 1345, 128], [33, 207, 64], [64, 1000, 250], [32, 2500, 128]] {
            for ta in [false, true] {
                let (a, b) = (numbers::<f64>(m * k, 1), numbers::<f64>((k + 3) * n, 2));
                let (c, mut parts) = made::<T>(size, ta);
                for (at, c) in c.iter().enumerate() {
                    let (i, j) = (at / n, at % n);
                    let want: f64 = (0..k).map(|l| if ta { a[l * m + i] } else { a[i * k + l] } * b[j * (k + 3) + l]).sum();
                    assert!((c.as_f64() - want).abs() <= tolerance, "{size:?} {ta}: {i}, {j}: {c:?}, expected {want}");
                }
                parts.sort_unstable();
                let end = parts.iter().fold(5, |next, (first, length)| if *first == next { next + length } else { usize::MAX });
                assert_eq!(end, 5 + m * n, "{size:?}: every number is handed over once");
            }
        }
    }

    #[test]
    fn products_are_right_and_handed_over_once() {
        right::<f32>(1e-4);
        right::<f64>(1e-12);
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| made::<f32>([32, 5000, 200], false).0.iter().map(|x| x.to_bits()).collect::<Vec<u32>>())
        };
        assert_eq!(on(1), on(3));
    }
}
