//! The loops over one block: one per function, so that each becomes a few vector instructions. A kernel may hand over less than a block at a
//! time, and only so many elements are computed.

use super::functions::{Binary, Compare, Unary};
use crate::device::cpu::Real;
use crate::shape::DType;

/// Elements of a register.
pub(super) const BLOCK: usize = 128;

/// Registers of one thread, kept from call to call. Whole numbers have registers of their own, as bits.
pub(super) struct Registers<T> {
    pub floats: Vec<[T; BLOCK]>,
    pub words: Vec<[u32; BLOCK]>,
    /// Those of every node of the job of this number, for which the constants are filled too.
    pub values: Vec<Values>,
    pub job: u64,
}

/// Where the values of a node are: in a register, or, with a step from one element to the next, where an input lies.
#[derive(Clone, Copy)]
pub(super) struct Values {
    pub base: *mut u8,
    pub step: usize,
}

/// The match stands outside the loops, so that each loop is one vector instruction or a call.
#[inline(always)]
pub(super) fn unary<T: Real>(f: Unary, x: &[T], y: &mut [T]) {
    macro_rules! whole {
        ($f:expr) => {
            x.iter().zip(y).for_each(|(x, y)| *y = $f.of(*x))
        };
    }
    match f {
        Unary::Neg => whole!(Unary::Neg),
        Unary::Abs => whole!(Unary::Abs),
        Unary::Square => whole!(Unary::Square),
        Unary::Relu => whole!(Unary::Relu),
        Unary::Sqrt => whole!(Unary::Sqrt),
        Unary::Rsqrt => whole!(Unary::Rsqrt),
        Unary::Recip => whole!(Unary::Recip),
        Unary::Sign => whole!(Unary::Sign),
        other => x.iter().zip(y).for_each(|(x, y)| *y = other.of(*x)),
    }
}

#[inline(always)]
pub(super) fn binary<T: Real>(f: Binary, a: &[T], b: &[T], y: &mut [T]) {
    macro_rules! whole {
        ($f:expr) => {
            a.iter().zip(b).zip(y).for_each(|((a, b), y)| *y = $f.of(*a, *b))
        };
    }
    match f {
        Binary::Add => whole!(Binary::Add),
        Binary::Sub => whole!(Binary::Sub),
        Binary::Mul => whole!(Binary::Mul),
        Binary::Div => whole!(Binary::Div),
        Binary::Max => whole!(Binary::Max),
        Binary::Min => whole!(Binary::Min),
        Binary::Pow => whole!(Binary::Pow),
    }
}

#[inline(always)]
pub(super) fn compare<T: Real>(f: Compare, a: &[T], b: &[T], y: &mut [u32]) {
    macro_rules! whole {
        ($f:expr) => {
            a.iter().zip(b).zip(y).for_each(|((a, b), y)| *y = u32::from($f.of(*a, *b)))
        };
    }
    match f {
        Compare::Eq => whole!(Compare::Eq),
        Compare::Ne => whole!(Compare::Ne),
        Compare::Lt => whole!(Compare::Lt),
        Compare::Le => whole!(Compare::Le),
        Compare::Gt => whole!(Compare::Gt),
        Compare::Ge => whole!(Compare::Ge),
    }
}

#[inline(always)]
pub(super) fn compare_words(f: Compare, signed: bool, a: &[u32], b: &[u32], y: &mut [u32]) {
    a.iter().zip(b).zip(y).for_each(|((a, b), y)| *y = u32::from(if signed { f.of(*a as i32, *b as i32) } else { f.of(a, b) }));
}

#[inline(always)]
pub(super) fn whole_numbers(f: Binary, signed: bool, a: &[u32], b: &[u32], y: &mut [u32]) {
    for ((a, b), y) in a.iter().zip(b).zip(y) {
        *y = if signed { f.of_i32(*a as i32, *b as i32) as u32 } else { f.of_u32(*a, *b) };
    }
}

/// Without a branch for each element, which would keep the loop from becoming vectors.
#[inline(always)]
pub(super) fn select<E: Copy>(condition: &[u32], a: &[E], b: &[E], y: &mut [E]) {
    for (((c, a), b), y) in condition.iter().zip(a).zip(b).zip(y) {
        *y = std::hint::select_unpredictable(*c != 0, *a, *b);
    }
}

/// A cast to f16 keeps what f16 can hold.
#[inline(always)]
pub(super) fn round<T: Real>(to: DType, x: &[T], y: &mut [T]) {
    match to {
        DType::F16 => x.iter().zip(y).for_each(|(x, y)| *y = T::of(half::f16::from_f64(x.as_f64()).to_f64())),
        _ => y.copy_from_slice(x),
    }
}

#[inline(always)]
pub(super) fn words_to_floats<T: Real>(x: &[u32], signed: bool, y: &mut [T]) {
    match signed {
        true => x.iter().zip(y).for_each(|(x, y)| *y = T::of(f64::from(*x as i32))),
        false => x.iter().zip(y).for_each(|(x, y)| *y = T::of(f64::from(*x))),
    }
}

#[inline(always)]
pub(super) fn floats_to_words<T: Real>(x: &[T], signed: bool, y: &mut [u32]) {
    match signed {
        true => x.iter().zip(y).for_each(|(x, y)| *y = x.as_f64() as i32 as u32),
        false => x.iter().zip(y).for_each(|(x, y)| *y = x.as_f64() as u32),
    }
}
