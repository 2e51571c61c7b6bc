//! Matrix products on the CPU, through the `gemm` crate, with an order of additions that depends on the shapes alone.

use super::{Element, Epilogue, Real, narrow};
use rayon::prelude::*;
use std::any::Any;
use std::cell::RefCell;
use std::ops::Range;

/// A matrix inside a slice, with the distance between neighbours in either direction.
#[derive(Clone, Copy)]
pub struct Matrix<'a, T> {
    /// The elements, and whatever lies between them.
    pub data: &'a [T],
    /// From one row to the next.
    pub row_stride: usize,
    /// From one column to the next.
    pub col_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// Rows one after the other, `columns` long.
    pub fn rows(data: &'a [T], columns: usize) -> Matrix<'a, T> {
        Matrix { data, row_stride: columns, col_stride: 1 }
    }

    /// The same elements, seen with rows and columns exchanged.
    pub fn transposed(self) -> Matrix<'a, T> {
        Matrix { data: self.data, row_stride: self.col_stride, col_stride: self.row_stride }
    }

    /// The matrix without its first rows and columns.
    pub fn from(self, row: usize, column: usize) -> Matrix<'a, T> {
        let start = (row * self.row_stride + column * self.col_stride).min(self.data.len());
        Matrix { data: &self.data[start..], ..self }
    }

    pub(super) fn holds(&self, rows: usize, columns: usize) -> bool {
        rows == 0 || columns == 0 || (rows - 1) * self.row_stride + (columns - 1) * self.col_stride < self.data.len()
    }
}

/// `c = a·b`, or `c += a·b` when `accumulate`, on the calling thread: `a` is `[m, k]`, `b` is `[k, n]`, `c` is `[m, n]` with rows `c_stride`
/// apart. Called from many threads at once on parts that do not depend on their number, it gives the same bits for any number.
pub fn gemm<T: Real>([m, n, k]: [usize; 3], c: &mut [T], c_stride: usize, a: Matrix<T>, b: Matrix<T>, accumulate: bool) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(n <= c_stride || m == 1, "rows of c overlap");
    assert!((m - 1) * c_stride + n <= c.len(), "c is too short");
    // SAFETY: the checks above bound every element of `c`, which is borrowed mutably, so nothing overlaps it.
    unsafe { gemm_at([m, n, k], c.as_mut_ptr(), c_stride, a, b, accumulate) }
}

/// [`gemm()`] on all threads. The product is cut into blocks of rows and columns and, where those are few, into sections of `k` whose sums are
/// added in order. The cuts depend on `[m, n, k]` alone. `c` has no gaps between its rows; `then` gets its finished parts, where the first
/// element of `c` has number `first`.
pub fn gemm_parallel<T: Real>(size: [usize; 3], c: &mut [T], a: Matrix<T>, b: Matrix<T>, (then, first): (Epilogue, usize)) {
    if narrow::suits(size, &b) {
        return narrow::product(size, c, a, b, (then, first));
    }
    let [m, n, _] = size;
    let cuts = Cuts::of(size);
    assert_eq!(c.len(), m * n, "the size of c");
    if m == 0 || n == 0 || cuts.blocks() * cuts.sections == 1 {
        gemm(size, c, n, a, b, false);
        return then.apply(first, c);
    }
    if cuts.sections == 1 {
        let target = Target { start: c.as_mut_ptr(), stride: n };
        return (0..cuts.blocks()).into_par_iter().for_each(|block| cuts.run(block, 0, &target, a, b, (then, first)));
    }
    with_scratch(cuts.sections * m * n, |planes: &mut [T]| {
        let start = planes.as_mut_ptr();
        let target = Target { start, stride: n };
        (0..cuts.blocks() * cuts.sections).into_par_iter().for_each(|task| {
            let (section, block) = (task / cuts.blocks(), task % cuts.blocks());
            cuts.run(block, section, &target.plane(section * m * n), a, b, (Epilogue::default(), 0));
        });
        c.par_chunks_mut(SUMMED).enumerate().for_each(|(task, c)| {
            let at = task * SUMMED;
            c.copy_from_slice(&planes[at..at + c.len()]);
            for section in 1..cuts.sections {
                c.iter_mut().zip(&planes[section * m * n + at..]).for_each(|(c, p)| *c += *p);
            }
            then.apply(first + at, c);
        });
    });
}

/// Bytes of a cache line: a vector that reaches over the end of one takes two reads.
const LINE: usize = 64;

/// Lends memory of `len` elements with undefined content, from the start of a cache line on. It belongs to the thread and is used again by the
/// next call.
pub fn with_scratch<T: Element, R>(len: usize, f: impl FnOnce(&mut [T]) -> R) -> R {
    thread_local! {
        // A stack, because a thread that waits inside `f` may take up another task that asks too.
        static FREE: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
    }
    let found = FREE.with_borrow_mut(|free| free.iter().rposition(|b| b.is::<Vec<T>>()).map(|at| free.remove(at)));
    let mut buffer: Box<Vec<T>> = found.and_then(|b| b.downcast().ok()).unwrap_or_default();
    if buffer.len() < len + LINE {
        buffer.resize(len + LINE, T::default());
    }
    let start = buffer.as_ptr().align_offset(LINE).min(LINE);
    let result = f(&mut buffer[start..start + len]);
    FREE.with_borrow_mut(|free| free.push(buffer));
    result
}

/// How a product is cut: the size, and the number of blocks of rows and columns and of sections of `k`.
struct Cuts {
    size: [usize; 3],
    rows: usize,
    columns: usize,
    sections: usize,
}

/// Multiplications that are worth a task of their own.
const WORTH: usize = 1 << 21;
/// The most tasks that a product is cut into.
const MOST: usize = 32;
/// Blocks are not cut below this many rows or columns: smaller ones pack more than they multiply.
const SIDE: usize = 128;
/// Sections are not cut shorter than this.
const DEPTH: usize = 512;
/// Elements whose sections one task adds up.
const SUMMED: usize = 2048;

impl Cuts {
    fn of(size: [usize; 3]) -> Cuts {
        let [m, n, k] = size;
        let tasks = (m * n * k / WORTH).clamp(1, MOST);
        let (mut rows, mut columns) = (1, 1);
        while rows * columns < tasks {
            let (height, width) = (m.div_ceil(rows), n.div_ceil(columns));
            if height.max(width) < 2 * SIDE {
                break;
            }
            if height >= width { rows *= 2 } else { columns *= 2 }
        }
        let sections = (tasks / (rows * columns)).min(k / DEPTH).max(1);
        Cuts { size, rows, columns, sections }
    }

    fn blocks(&self) -> usize {
        self.rows * self.columns
    }

    /// Computes one section of one block into its place in the target.
    fn run<T: Real>(&self, block: usize, section: usize, target: &Target<T>, a: Matrix<T>, b: Matrix<T>, then: (Epilogue, usize)) {
        let [m, n, k] = self.size;
        let (rows, columns) = (part(m, self.rows, block / self.columns), part(n, self.columns, block % self.columns));
        let depth = part(k, self.sections, section);
        let size = [rows.len(), columns.len(), depth.len()];
        let (a, b) = (a.from(rows.start, depth.start), b.from(depth.start, columns.start));
        if size[0] == 0 || size[1] == 0 {
            return;
        }
        let (then, first) = then;
        let at = |row: usize| row * target.stride + columns.start;
        // SAFETY: `gemm_parallel` checked that the target holds `[m, n]`, of which this block is a part; each task writes another block.
        unsafe { gemm_at(size, target.start.add(at(rows.start)), target.stride, a, b, false) }
        // Rows that follow one another without a gap are one part.
        let whole = columns.len() == target.stride;
        let (count, length) = if whole { (1, rows.len() * columns.len()) } else { (rows.len(), columns.len()) };
        for row in rows.start..rows.start + count {
            // SAFETY: as above, and the product has been written.
            then.apply(first + at(row), unsafe { target.row(row, columns.start..columns.start + length) });
        }
    }
}

/// Part `index` of `0..length` cut into `parts`: whole multiples of 16, which the kernels' registers hold, but for the last.
fn part(length: usize, parts: usize, index: usize) -> Range<usize> {
    let step = length.div_ceil(parts).next_multiple_of(16);
    (index * step).min(length)..((index + 1) * step).min(length)
}

/// Where the blocks of a product go: rows `stride` apart.
pub(super) struct Target<T> {
    pub start: *mut T,
    pub stride: usize,
}

impl<T> Target<T> {
    fn plane(&self, offset: usize) -> Target<T> {
        Target { start: self.start.wrapping_add(offset), stride: self.stride }
    }

    /// # Safety
    /// The target has this row and these columns of it, and nobody else reads or writes them while they are in use.
    #[expect(clippy::mut_from_ref, reason = "each task has another part")]
    pub(super) unsafe fn row(&self, row: usize, columns: Range<usize>) -> &mut [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.wrapping_add(row * self.stride + columns.start), columns.len()) }
    }
}

// SAFETY: the tasks that share a target write disjoint blocks of it and read nothing from it.
unsafe impl<T: Send> Sync for Target<T> {}

/// # Safety
/// `c` points to `m` rows of `n` elements, `c_stride` apart, that nothing else reads or writes during the call.
unsafe fn gemm_at<T: Real>([m, n, k]: [usize; 3], c: *mut T, c_stride: usize, a: Matrix<T>, b: Matrix<T>, accumulate: bool) {
    assert!(a.holds(m, k) && b.holds(k, n), "a or b is too short");
    // SAFETY: the check above bounds every element that is read, the caller's promise those that are written.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c,
            1,
            c_stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            T::one(),
            T::one(),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: (Epilogue, usize) = (Epilogue(None), 0);

    fn numbers(len: usize, seed: usize) -> Vec<f64> {
        (0..len).map(|i| (((i * 2_654_435_761 + seed * 97) >> 7) % 1000) as f64 / 500.0 - 1.0).collect()
    }

    /// `[m, n, k]` by three loops; `b` is stored transposed when `tb`.
    fn naive([m, n, k]: [usize; 3], a: &[f64], b: &[f64], tb: bool) -> Vec<f64> {
        let b_at = |l: usize, j: usize| if tb { b[j * k + l] } else { b[l * n + j] };
        (0..m * n).map(|at| (0..k).map(|l| a[at / n * k + l] * b_at(l, at % n)).sum()).collect()
    }

    fn close(got: &[f64], want: &[f64], tolerance: f64) {
        assert_eq!(got.len(), want.len());
        for (i, (g, w)) in got.iter().zip(want).enumerate() {
            assert!((g - w).abs() <= tolerance, "element {i}: {g}, expected {w}");
        }
    }

    #[test]
    fn every_way_of_cutting_is_right() {
        // Uncut; rows; columns; sections with odd ends; both sides with odd ends.
        for size in [[3, 5, 7], [2000, 40, 70], [40, 2000, 70], [33, 17, 9001], [300, 411, 100], [0, 4, 3], [4, 3, 0]] {
            let [m, n, k] = size;
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            for tb in [false, true] {
                let want = naive(size, &a, &b, tb);
                let b = if tb { Matrix::rows(&b, k).transposed() } else { Matrix::rows(&b, n) };
                let mut c = vec![f64::NAN; m * n];
                gemm_parallel(size, &mut c, Matrix::rows(&a, k), b, NOTHING);
                close(&c, &want, 1e-9);
            }
        }
        assert!(Cuts::of([33, 17, 9001]).sections > 1 && Cuts::of([300, 411, 100]).blocks() > 2, "the sizes above cover the cuts");
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        for size in [[130, 150, 4000], [1000, 300, 64]] {
            let [m, n, k] = size;
            let a: Vec<f32> = numbers(m * k, 3).iter().map(|x| *x as f32).collect();
            let b: Vec<f32> = numbers(k * n, 4).iter().map(|x| *x as f32).collect();
            let on = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                let mut c = vec![0.0f32; m * n];
                pool.install(|| gemm_parallel(size, &mut c, Matrix::rows(&a, k), Matrix::rows(&b, n), NOTHING));
                c.iter().map(|x| x.to_bits()).collect::<Vec<u32>>()
            };
            let one = on(1);
            assert_eq!(one, on(2));
            assert_eq!(one, on(5));
        }
    }
}
