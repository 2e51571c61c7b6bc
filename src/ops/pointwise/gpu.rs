//! The WGSL of an expression.

use super::Pointwise;
use super::expr::Node;
use crate::error::{Error, Result};
use crate::record::op::{Buffer, Launch, Shader};
use crate::shape::{DType, Shape};
use std::fmt::Write;

const SOURCE: &str = include_str!("../../../shaders/pointwise.wgsl");

/// Threads of a workgroup, as the shader says.
const GROUP: u32 = 64;

/// Storage buffers that every adapter can bind in one dispatch.
const MOST_BUFFERS: usize = 8;

pub(super) fn launch(op: &Pointwise, launch: &mut Launch) -> Result<()> {
    launch.no_f64("pointwise")?;
    let fresh: Vec<usize> = (0..launch.output_count()).filter(|&j| launch.in_place(j).is_none()).collect();
    let placed: Vec<usize> = (0..launch.output_count()).filter(|&j| launch.in_place(j).is_some()).collect();
    if launch.input_count() + fresh.len() <= MOST_BUFFERS {
        return dispatch(op, launch, &[fresh, placed].concat());
    }
    // Too many for one dispatch: outputs in memory of their own first, a few at a time; then those that destroy inputs, all at once.
    let room = MOST_BUFFERS.saturating_sub(launch.input_count());
    if room == 0 && !fresh.is_empty() {
        let message =
            format!("a pointwise expression of {} tensors; {MOST_BUFFERS} storage buffers are bound at most", launch.input_count());
        return Err(Error::Device(message));
    }
    for outputs in fresh.chunks(room.max(1)) {
        dispatch(op, launch, outputs)?;
    }
    if placed.is_empty() { Ok(()) } else { dispatch(op, launch, &placed) }
}

/// One dispatch that computes these outputs.
fn dispatch(op: &Pointwise, launch: &mut Launch, outputs: &[usize]) -> Result<()> {
    let mut shader = Shader::new("pointwise", SOURCE);
    let mut buffers = Vec::new();
    // While outputs are computed apart, an input that another one takes over is still an input here.
    let taken_by = |launch: &Launch, i: usize| outputs.iter().copied().find(|&j| launch.in_place(j) == Some(i));
    for i in 0..launch.input_count() {
        let output = taken_by(launch, i);
        let buffer = output.map_or(Buffer::Input(i), Buffer::Output);
        shader = shader.binding(buffers.len(), &format!("x{i}"), storage_type(launch.input(i).dtype), output.is_some());
        buffers.push(buffer);
    }
    for &j in outputs.iter().filter(|&&j| launch.in_place(j).is_none()) {
        shader = shader.binding(buffers.len(), &format!("y{j}"), storage_type(launch.output(j).dtype), true);
        buffers.push(Buffer::Output(j));
    }
    let kinds: Vec<DType> = (0..launch.input_count()).map(|i| launch.input(i).dtype).collect();
    let types = op.types(&kinds)?;
    let body = body(op, launch, outputs, &types);
    let n = launch.output_shape(0).elements();
    let words = u32::try_from(n).map_err(|_| Error::argument("pointwise", "fewer than 2^32 elements on a GPU", n))?;
    launch.threads(shader.hook("body", &body), &buffers, &[words], n, GROUP);
    Ok(())
}

fn storage_type(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 | DType::F64 => "f32",
        DType::U32 | DType::U8 => "u32",
        DType::I32 => "i32",
    }
}

/// Every node as a `let`, then the stores.
fn body(op: &Pointwise, launch: &Launch, outputs: &[usize], types: &[DType]) -> String {
    let mut text = String::new();
    for (id, node) in op.nodes.iter().enumerate() {
        let kind = storage_type(types[id]);
        let v = |id: usize| format!("v{id}");
        let value = match *node {
            Node::Input(i) => load(i, launch.input(i).dtype, &index(launch.input_shape(i), launch.output_shape(0))),
            Node::Number(number) => number_text(number, types[id]),
            Node::Unary(f, a) => f.wgsl(&v(a)),
            Node::Binary(f, a, b) => f.wgsl(&v(a), &v(b), types[a].is_float()),
            Node::Compare(f, a, b) => f.wgsl(&v(a), &v(b)),
            Node::Select(c, a, b) => format!("select({}, {}, {} != 0u)", v(b), v(a), v(c)),
            Node::Cast(..) if op.cast_is_free(id, types) => v(op.operand(id)),
            Node::Cast(_, a) => format!("{kind}({})", v(a)),
            Node::IsFinite(a) => format!("select(0u, 1u, (bitcast<u32>({}) & 0x7fffffffu) < 0x7f800000u)", v(a)),
        };
        let _ = writeln!(text, "let v{id}: {kind} = {value};");
    }
    for &j in outputs {
        let name = launch.in_place(j).map_or_else(|| format!("y{j}"), |i| format!("x{i}"));
        let _ = writeln!(text, "{name}[i] = v{};", op.outputs[j]);
    }
    text
}

impl Pointwise {
    fn operand(&self, id: usize) -> usize {
        self.nodes[id].operands().next().expect("a cast has an operand")
    }

    fn cast_is_free(&self, id: usize, types: &[DType]) -> bool {
        types[id] == types[self.operand(id)]
    }
}

fn load(i: usize, dtype: DType, at: &str) -> String {
    if dtype == DType::U8 { format!("(x{i}[({at}) >> 2u] >> ((({at}) & 3u) * 8u)) & 0xffu") } else { format!("x{i}[{at}]") }
}

fn number_text(number: f64, dtype: DType) -> String {
    match dtype {
        DType::F32 | DType::F64 => {
            let value = number as f32;
            // WGSL has no literal for these; the runtime bits pass every compiler.
            if value.is_finite() { format!("{value:?}f") } else { format!("bitcast<f32>({:#x}u | (p.n & 0u))", value.to_bits()) }
        }
        DType::I32 => format!("i32({})", number as i32),
        DType::U32 | DType::U8 => format!("{}u", number as u32),
    }
}

/// Where the element for output element `i` lies in an input that broadcasts. The first axis needs no length, so one text serves every batch.
fn index(input: &Shape, output: &Shape) -> String {
    if input == output {
        return "i".into();
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
            let along = if steps[last] == 1 { "i".to_string() } else { format!("i / {}u", steps[last]) };
            let length: usize = output[axis..=last].iter().product();
            let wrapped = if axis == 0 { format!("({along})") } else { format!("(({along}) % {length}u)") };
            terms.push(if strides[last] == 1 { wrapped } else { format!("{wrapped} * {}u", strides[last]) });
        }
        axis = last + 1;
    }
    if terms.is_empty() { "0u".into() } else { terms.join(" + ") }
}
