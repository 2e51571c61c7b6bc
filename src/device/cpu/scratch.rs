//! Memory that a CPU kernel needs only while it runs, kept by each thread for the next kernel: no step allocates it anew.

use super::Element;
use std::cell::RefCell;

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u64; 8]);

thread_local! {
    /// A stack, because a thread that waits inside `with` for its own parallel tasks may run one of them, which asks again.
    static FREE: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with `length` elements, aligned to 64 bytes, that hold anything.
pub fn with<T: Element, R>(length: usize, f: impl FnOnce(&mut [T]) -> R) -> R {
    let mut lines = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
    let needed = (length * size_of::<T>()).div_ceil(size_of::<Line>());
    if lines.len() < needed {
        // Nothing in it is worth keeping, so it is replaced rather than moved.
        lines = vec![Line([0; 8]); needed];
    }
    let result = f(&mut bytemuck::cast_slice_mut::<Line, T>(&mut lines)[..length]);
    FREE.with_borrow_mut(|free| free.push(lines));
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_calls_get_memory_of_their_own_and_get_it_back() {
        let address = || {
            with(100, |outer: &mut [f32]| {
                outer.fill(1.0);
                let inner = with(1000, |inner: &mut [f64]| {
                    assert_eq!(inner.len(), 1000);
                    inner.fill(2.0);
                    inner.as_ptr() as usize
                });
                assert!(outer.iter().all(|v| *v == 1.0));
                (outer.as_ptr() as usize, inner)
            })
        };
        let first = address();
        assert_eq!(first.0 % 64, 0);
        assert_eq!(first, address(), "the second time nothing is allocated");
    }
}
