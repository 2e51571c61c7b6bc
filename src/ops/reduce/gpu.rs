//! The GPU launch of reductions: passes cut into dispatches.

use super::{Kind, Pass, Reduce};
use crate::error::Result;
use crate::ops::gemm::in_vectors;
use crate::ops::pointwise::{Feed, Pointwise};
use crate::record::op::{Buffer, Launch, Shader};
use crate::shape::{DType, Spec};
use std::fmt::Write;

/// One dispatch: every thread reduces `length / splits` elements, `splits` apart.
#[derive(Clone, Copy)]
struct Step {
    pass: Pass,
    splits: usize,
}

/// Terms that one thread combines while there are threads to spare. A software adapter has few threads at a time, and a dispatch costs it as much
/// as some hundred terms: there, two dispatches with as many terms each, up to the second number.
const TERMS: [usize; 2] = [64, 256];
/// Threads beyond which more do not help.
const THREADS: usize = 1 << 16;

/// Cuts a pass into dispatches, each of which leaves fewer elements, until one thread can finish each output.
fn steps(mut pass: Pass, software: bool) -> Vec<Step> {
    let terms = if software { pass.length.isqrt().clamp(TERMS[0], TERMS[1]) } else { TERMS[0] };
    let mut steps = Vec::new();
    loop {
        let splits = pass.length.div_ceil(terms).min(THREADS / (pass.outer * pass.inner).max(1));
        if pass.length <= 2 * terms || splits <= 1 {
            steps.push(Step { pass, splits: 1 });
            return steps;
        }
        steps.push(Step { pass, splits });
        pass.length = splits;
    }
}

impl Reduce {
    /// Adds the dispatches: from input 0, or from what an expression makes of the inputs, which `x` describes. The first dispatch evaluates it
    /// where it would load, each of its values beside the others; the later ones find the values' results one after the other.
    pub(super) fn launch(&self, launch: &mut Launch, x: &Spec, expression: Option<&Pointwise>) -> Result<()> {
        let (software, values, dtype) = (launch.adapter().software, launch.output_count(), x.dtype.computed());
        let inputs = (0..launch.input_count()).map(|i| (Buffer::Input(i), launch.input(i))).collect();
        let feed = expression.map(|expression| Feed::new(expression, inputs)).transpose()?;
        let passes = self.passes(&x.shape);
        // Columns that lie side by side are reduced four at a time where threads are few anyway.
        let wide = software
            && dtype == DType::F32
            && passes.iter().all(|pass| pass.inner > 0 && pass.inner.is_multiple_of(4))
            && feed.as_ref().is_none_or(Feed::in_fours);
        let (shader, lanes) = if wide { (in_vectors(self.shader(dtype)), 4) } else { (self.shader(dtype), 1) };
        let passes = passes.into_iter().map(|pass| Pass { inner: pass.inner / lanes, ..pass });
        let steps: Vec<Step> = passes.flat_map(|pass| steps(pass, software)).collect();
        let size = if software { 8 } else { 64 };
        let mut from = Buffer::Input(0);
        for (number, &Step { pass, splits }) in steps.iter().enumerate() {
            let (first, last) = (number == 0, number + 1 == steps.len());
            let results = pass.outer * splits * pass.inner;
            let threads = if first { results } else { values * results };
            let to = if last { Buffer::Output(0) } else { launch.scratch((values * results * lanes).max(1)) };
            let divisor = if last && self.kind == Kind::Mean { self.count(&x.shape) } else { 1 };
            let params = [threads, pass.length, pass.inner, splits, divisor].map(|v| v as u32);
            let (mut shader, mut buffers) = (shader.clone().set("SIZE", size), vec![from, to]);
            if let Some(feed) = feed.as_ref().filter(|_| first) {
                (shader, buffers) = feed.attach(shader.set("VALUES", values), wide);
                shader = shader.binding(buffers.len(), "y", "Bits", true);
                buffers.push(to);
            }
            if last && values > 1 {
                buffers.pop();
                shader = to_each_output(shader, &mut buffers, values, if first { 1 } else { values });
            }
            launch.threads(shader, &buffers, &params, threads, size as u32);
            from = to;
        }
        Ok(())
    }

    /// The shader works on words, or on vectors of them; its hooks say what the words are.
    fn shader(&self, dtype: DType) -> Shader {
        let shader = Shader::new("reduce", include_str!("../../../shaders/reduce.wgsl"));
        let (kind, start, combine) = match (self.kind, dtype) {
            (Kind::Sum | Kind::Mean, DType::F32) => ("Cells", 0, "a + b"),
            (Kind::Max, DType::F32) => ("Cells", f32::NEG_INFINITY.to_bits(), "select(b, a, (a >= b) | is_nan(v))"),
            (Kind::Min, DType::F32) => ("Cells", f32::INFINITY.to_bits(), "select(b, a, (a <= b) | is_nan(v))"),
            (Kind::Sum | Kind::Mean, DType::I32) => ("i32", 0, "a + b"),
            (Kind::Max, DType::I32) => ("i32", i32::MIN.cast_unsigned(), "max(a, b)"),
            (Kind::Min, DType::I32) => ("i32", i32::MAX.cast_unsigned(), "min(a, b)"),
            (Kind::Sum | Kind::Mean, _) => ("u32", 0, "a + b"),
            (Kind::Max, _) => ("u32", 0, "max(a, b)"),
            (Kind::Min, _) => ("u32", u32::MAX, "min(a, b)"),
        };
        let combine = format!("let a = bitcast<{kind}>(v); let b = bitcast<{kind}>(w); return bitcast<Bits>({combine});");
        let finish = match self.kind {
            Kind::Mean => "return bitcast<Bits>(bitcast<Cells>(v) / Cells(f32(p.divisor)));",
            _ => "return v;",
        };
        shader.set("START", start as usize).hook("combine", &combine).hook("finish", finish)
    }
}

/// Binds every output, in place of the one buffer in which `values` results of each thread, or of some threads, lie one after the other.
fn to_each_output(shader: Shader, buffers: &mut Vec<Buffer>, values: usize, parts: usize) -> Shader {
    let (mut shader, _) = shader.without_binding("y", buffers.len());
    let mut put = format!("let n = p.threads / {parts}u; switch (i / n) {{");
    for j in 0..values {
        shader = shader.binding(buffers.len(), &format!("y{j}"), "Bits", true);
        buffers.push(Buffer::Output(j));
        let label = if j + 1 == values { "default".into() } else { format!("case {j}u") };
        let _ = write!(put, " {label}: {{ y{j}[i - {j}u * n] = v; }}");
    }
    shader.hook("put", &(put + " }"))
}
