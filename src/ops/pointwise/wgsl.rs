//! The WGSL of an expression, for one element of the outputs or for four neighbours at a time.

use super::Pointwise;
use super::expr::Node;
use super::functions::{Binary, Unary};
use super::gpu::Tensors;
use crate::shape::{DType, Shape};
use std::fmt::Write;

/// How a shader's text reads an input for four neighbouring elements.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Four {
    /// A vector of its own, which lies at this place counted in vectors; after how many vectors it repeats.
    Vector { period: Option<usize> },
    /// Four bytes of one word.
    Bytes,
    /// One element for all four.
    One,
}

/// What is to be written, and how.
pub(super) struct Text<'a> {
    pub op: &'a Pointwise,
    pub tensors: &'a Tensors<'a>,
    pub outputs: &'a [usize],
    pub types: &'a [DType],
    /// The input that a kernel hands over, and the text that names its value.
    pub handed: Option<(usize, &'a str)>,
    /// Whether `i` counts vectors of four elements.
    pub wide: bool,
}

pub(super) fn storage_type(dtype: DType) -> &'static str {
    match dtype {
        DType::F16 | DType::F32 | DType::F64 => "f32",
        DType::U32 | DType::U8 => "u32",
        DType::I32 => "i32",
    }
}

impl Text<'_> {
    /// Every node as a `let`, then the stores, for element or vector `i`.
    pub fn body(&self) -> String {
        let mut text = String::new();
        for (id, node) in self.op.nodes.iter().enumerate() {
            let kind = self.kind(self.types[id]);
            let value = if self.wide { self.four(id, *node) } else { self.one(id, *node, "") };
            let _ = writeln!(text, "let v{id}: {kind} = {value};");
        }
        for &j in self.outputs {
            let _ = writeln!(text, "{}[i] = v{};", self.tensors.target(j), self.op.outputs[j]);
        }
        text
    }

    fn kind(&self, dtype: DType) -> String {
        let kind = storage_type(dtype);
        if self.wide { format!("vec4<{kind}>") } else { kind.into() }
    }

    /// The value of a node for one element: of vectors the one that `lane` names.
    fn one(&self, id: usize, node: Node, lane: &str) -> String {
        let v = |id: usize| format!("v{id}{lane}");
        match node {
            Node::Input(i) => self.load(i),
            Node::Number(number) => number_text(number, self.types[id]),
            Node::Unary(f, a) => f.wgsl(&v(a)),
            Node::Binary(f, a, b) => f.wgsl(&v(a), &v(b), self.types[a].is_float()),
            Node::Compare(f, a, b) => f.wgsl(&v(a), &v(b)),
            Node::Select(c, a, b) => format!("select({}, {}, {} != 0u)", v(b), v(a), v(c)),
            Node::Cast(_, a) if self.types[id] == self.types[a] => v(a),
            Node::Cast(DType::F16, a) => format!("f32(f16({}))", v(a)),
            Node::Cast(_, a) => format!("{}({})", storage_type(self.types[id]), v(a)),
            Node::IsFinite(a) => format!("select(0u, 1u, (bitcast<u32>({}) & 0x7fffffffu) < 0x7f800000u)", v(a)),
        }
    }

    /// The value of a node for four elements. Where WGSL's vectors have not the same words as its numbers, element by element.
    fn four(&self, id: usize, node: Node) -> String {
        let v = |id: usize| format!("v{id}");
        let kind = self.kind(self.types[id]);
        match node {
            Node::Input(i) => self.load(i),
            Node::Number(_) => format!("{kind}({})", self.one(id, node, "")),
            Node::Unary(Unary::Relu, a) => format!("select({0}, vec4<f32>(), {0} < vec4<f32>())", v(a)),
            Node::Unary(f, a) if !f.wgsl("x").starts_with("g_") => f.wgsl(&v(a)),
            Node::Binary(f @ (Binary::Add | Binary::Sub | Binary::Mul), a, b) => f.wgsl(&v(a), &v(b), true),
            Node::Binary(Binary::Div, a, b) if self.types[a].is_float() => format!("{} / {}", v(a), v(b)),
            Node::Select(c, a, b) => format!("select({}, {}, {} != vec4<u32>())", v(b), v(a), v(c)),
            Node::Cast(_, a) if self.types[id] == self.types[a] => v(a),
            Node::Cast(DType::F16, a) => format!("{kind}(vec4<f16>({}))", v(a)),
            Node::Cast(_, a) => format!("{kind}({})", v(a)),
            other => {
                let each: Vec<String> = [".x", ".y", ".z", ".w"].map(|lane| self.one(id, other, lane)).into();
                format!("{kind}({})", each.join(", "))
            }
        }
    }

    fn load(&self, i: usize) -> String {
        let name = self.tensors.source(i);
        let (input, output) = (&self.tensors.inputs[i].1, &self.tensors.outputs[0].shape);
        match self.handed {
            Some((handed, text)) if handed == i => text.into(),
            _ if !self.wide && input.dtype == DType::U8 => {
                let at = index(&input.shape, output, "i");
                format!("({name}[({at}) >> 2u] >> ((({at}) & 3u) * 8u)) & 0xffu")
            }
            _ if !self.wide => format!("{name}[{}]", index(&input.shape, output, "i")),
            _ => match four(&input.shape, input.dtype, output).expect("a text is wide only where every input is") {
                Four::Vector { period: None } => format!("{name}[i]"),
                Four::Vector { period: Some(period) } => format!("{name}[i % {period}u]"),
                Four::Bytes => format!("(vec4<u32>({name}[i]) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu)"),
                Four::One => format!("{}({name}[{}])", self.kind(input.dtype), index(&input.shape, output, "(4u * i)")),
            },
        }
    }
}

/// How four neighbours are read of an input that broadcasts; `None` if they may lie anywhere.
pub(super) fn four(input: &Shape, dtype: DType, output: &Shape) -> Option<Four> {
    let whole = input.elements().is_multiple_of(4);
    if input.elements() == output.elements() {
        return match dtype {
            DType::U8 => whole.then_some(Four::Bytes),
            _ => whole.then_some(Four::Vector { period: None }),
        };
    }
    if dtype == DType::U8 {
        return None;
    }
    let (strides, dense) = (input.broadcast_strides(output), output.strides());
    // The last axes, as far as the input is the same along them, or lies as the output does.
    let axes = || (0..output.rank()).rev().filter(|&axis| output[axis] > 1);
    let same: usize = axes().take_while(|&axis| strides[axis] == 0).map(|axis| output[axis]).product();
    let alike = axes().take_while(|&axis| strides[axis] == dense[axis]).map(|axis| output[axis]).product::<usize>();
    match () {
        () if same.is_multiple_of(4) => Some(Four::One),
        () if alike == input.elements() && whole => Some(Four::Vector { period: Some(alike / 4) }),
        () => None,
    }
}

fn number_text(number: f64, dtype: DType) -> String {
    match dtype {
        DType::F16 | DType::F32 | DType::F64 => {
            let value = number as f32;
            // WGSL has no literal for these; the runtime bits pass every compiler.
            if value.is_finite() { format!("{value:?}f") } else { format!("bitcast<f32>({:#x}u | (i & 0u))", value.to_bits()) }
        }
        DType::I32 => format!("i32({})", number as i32),
        DType::U32 | DType::U8 => format!("{}u", number as u32),
    }
}

/// Where the element for the output element of number `i` lies in an input that broadcasts. The first axis needs no length, so one text serves every batch.
fn index(input: &Shape, output: &Shape, i: &str) -> String {
    if input == output {
        return i.into();
    }
    let strides = input.broadcast_strides(output);
    let steps = output.strides();
    let mut terms: Vec<String> = Vec::new();
    let mut axis = 0;
    while axis < output.rank() {
        // Neighbouring axes that lie in the input as they lie in the output are one.
        let mut last = axis;
        while last + 1 < output.rank() && strides[last] == strides[last + 1] * output[last + 1] {
            last += 1;
        }
        if strides[last] != 0 && output[axis..=last].iter().product::<usize>() != 1 {
            let along = if steps[last] == 1 { i.to_string() } else { format!("{i} / {}u", steps[last]) };
            let length: usize = output[axis..=last].iter().product();
            let wrapped = if axis == 0 { format!("({along})") } else { format!("(({along}) % {length}u)") };
            terms.push(if strides[last] == 1 { wrapped } else { format!("{wrapped} * {}u", strides[last]) });
        }
        axis = last + 1;
    }
    if terms.is_empty() { "0u".into() } else { terms.join(" + ") }
}
