//! The GPU launch of reductions: passes cut into dispatches.

use super::{Kind, Pass, Reduce};
use crate::record::op::Shader;
use crate::shape::DType;

/// One dispatch: every thread reduces `length / splits` elements, `splits` apart.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub pass: Pass,
    pub splits: usize,
}

/// Terms that one thread combines while there are threads to spare.
const TERMS: usize = 64;
/// Threads beyond which more do not help.
const THREADS: usize = 1 << 16;

/// Cuts a pass into dispatches, each of which leaves fewer elements, until one thread can finish each output.
pub(super) fn steps(mut pass: Pass) -> Vec<Step> {
    let mut steps = Vec::new();
    loop {
        let splits = pass.length.div_ceil(TERMS).min(THREADS / (pass.outer * pass.inner).max(1));
        if pass.length <= 2 * TERMS || splits <= 1 {
            steps.push(Step { pass, splits: 1 });
            return steps;
        }
        steps.push(Step { pass, splits });
        pass.length = splits;
    }
}

impl Reduce {
    /// The shader works on words; its hooks say what the words are.
    pub(super) fn shader(&self, dtype: DType) -> Shader {
        let shader = Shader::new("reduce", include_str!("../../../shaders/reduce.wgsl"));
        let (kind, start, combine) = match (self.kind, dtype) {
            (Kind::Sum | Kind::Mean, DType::F32) => ("f32", 0, "a + b"),
            (Kind::Max, DType::F32) => ("f32", f32::NEG_INFINITY.to_bits(), "select(b, a, a >= b || is_nan(v))"),
            (Kind::Min, DType::F32) => ("f32", f32::INFINITY.to_bits(), "select(b, a, a <= b || is_nan(v))"),
            (Kind::Sum | Kind::Mean, DType::I32) => ("i32", 0, "a + b"),
            (Kind::Max, DType::I32) => ("i32", i32::MIN.cast_unsigned(), "max(a, b)"),
            (Kind::Min, DType::I32) => ("i32", i32::MAX.cast_unsigned(), "min(a, b)"),
            (Kind::Sum | Kind::Mean, _) => ("u32", 0, "a + b"),
            (Kind::Max, _) => ("u32", 0, "max(a, b)"),
            (Kind::Min, _) => ("u32", u32::MAX, "min(a, b)"),
        };
        let combine = format!("let a = bitcast<{kind}>(v); let b = bitcast<{kind}>(w); return bitcast<u32>({combine});");
        let finish = match self.kind {
            Kind::Mean => "return bitcast<u32>(bitcast<f32>(v) / f32(p.divisor));",
            _ => "return v;",
        };
        shader.set("START", start as usize).hook("combine", &combine).hook("finish", finish)
    }
}
