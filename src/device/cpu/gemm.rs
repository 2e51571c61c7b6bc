//! Matrix products on the CPU, through the `gemm` crate, with an order of additions that depends on the shapes alone.

use super::Real;

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

    fn holds(&self, rows: usize, columns: usize) -> bool {
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
    assert!(a.holds(m, k) && b.holds(k, n), "a or b is too short");
    // SAFETY: the three checks above bound every element that is read or written; `c` is borrowed mutably, so nothing overlaps it.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
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
