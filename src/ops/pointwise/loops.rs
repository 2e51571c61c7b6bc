//! The loops over one block: one per function, so that each becomes a few vector instructions. A kernel may hand over less than a block at a
//! time, and only so many elements are computed.

use super::functions::{Binary, Compare, Unary};
use crate::device::cpu::Real;
use crate::shape::DType;

/// Elements of a register.
pub(super) const BLOCK: usize = 512;

/// Registers of one thread, kept from call to call. Whole numbers have registers of their own, as bits.
pub(super) struct Registers<T> {
    pub floats: Vec<[T; BLOCK]>,
    pub words: Vec<[u32; BLOCK]>,
}

/// `n` elements of one register to read and of another to write.
#[inline(always)]
pub(super) fn two<E>(registers: &mut [[E; BLOCK]], a: usize, to: usize, n: usize) -> (&[E], &mut [E]) {
    let [x, y] = registers.get_disjoint_mut([a, to]).expect("a node never writes to the register of an operand");
    (&x[..n], &mut y[..n])
}

#[inline(always)]
pub(super) fn three<E>(registers: &mut [[E; BLOCK]], a: usize, b: usize, to: usize, n: usize) -> (&[E], &[E], &mut [E]) {
    if a == b {
        let (x, y) = two(registers, a, to, n);
        return (x, x, y);
    }
    let [x1, x2, y] = registers.get_disjoint_mut([a, b, to]).expect("a node never writes to the register of an operand");
    (&x1[..n], &x2[..n], &mut y[..n])
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
pub(super) fn cast<T: Real>(registers: &mut Registers<T>, from: DType, a: usize, kind: DType, to: usize, n: usize) {
    match (from, kind) {
        (from, kind) if from == kind && kind.is_float() => {
            let (x, y) = two(&mut registers.floats, a, to, n);
            y.copy_from_slice(x);
        }
        (DType::I32, kind) if kind.is_float() => {
            registers.words[a][..n].iter().zip(&mut registers.floats[to]).for_each(|(x, y)| *y = T::of(f64::from(*x as i32)));
        }
        (_, kind) if kind.is_float() => {
            registers.words[a][..n].iter().zip(&mut registers.floats[to]).for_each(|(x, y)| *y = T::of(f64::from(*x)));
        }
        (from, DType::I32) if from.is_float() => {
            registers.floats[a][..n].iter().zip(&mut registers.words[to]).for_each(|(x, y)| *y = x.as_f64() as i32 as u32);
        }
        (from, _) if from.is_float() => {
            registers.floats[a][..n].iter().zip(&mut registers.words[to]).for_each(|(x, y)| *y = x.as_f64() as u32);
        }
        _ => {
            let (x, y) = two(&mut registers.words, a, to, n);
            y.copy_from_slice(x);
        }
    }
}
