//! The WGSL of an expression.

use super::Pointwise;
use super::expr::Node;
use crate::device::gpu::launch::Dispatch;
use crate::error::{Error, Result};
use crate::record::op::{Buffer, Launch, Shader};
use crate::shape::{DType, Shape, Spec};
use std::fmt::Write;

const SOURCE: &str = include_str!("../../../shaders/pointwise.wgsl");

/// Threads of a workgroup, as the shader says.
const GROUP: u32 = 64;

/// Storage buffers that every adapter can bind in one dispatch.
pub(super) const MOST_BUFFERS: usize = 8;

/// The tensors of an expression, and the buffers that they are in.
pub(super) struct Tensors<'a> {
    pub inputs: Vec<(Buffer, &'a Spec)>,
    /// Output `j` is in `Buffer::Output(j)`.
    pub outputs: Vec<&'a Spec>,
    /// The input of the expression whose buffer output `j` has taken over.
    pub in_place: Vec<Option<usize>>,
}

impl<'a> Tensors<'a> {
    fn of(launch: &Launch<'a>) -> Tensors<'a> {
        Tensors {
            inputs: (0..launch.input_count()).map(|i| (Buffer::Input(i), launch.input(i))).collect(),
            outputs: (0..launch.output_count()).map(|j| launch.output(j)).collect(),
            in_place: (0..launch.output_count()).map(|j| launch.in_place(j)).collect(),
        }
    }

    /// The output among `outputs` that has taken over input `i`. While outputs are computed apart, an input that another one takes over is
    /// still an input here.
    fn taken_by(&self, i: usize, outputs: &[usize]) -> Option<usize> {
        outputs.iter().copied().find(|&j| self.in_place[j] == Some(i))
    }

    /// The name of output `j` in a shader's text.
    fn target(&self, j: usize) -> String {
        self.in_place[j].map_or_else(|| format!("out{j}"), |i| format!("in{i}"))
    }

    /// Declares the inputs, but for the one that a kernel hands over as a value, and those outputs that have a buffer of their own.
    fn bind(&self, mut shader: Shader, buffers: &mut Vec<Buffer>, outputs: &[usize], handed: Option<usize>) -> Shader {
        for (i, (buffer, spec)) in self.inputs.iter().enumerate().filter(|(i, _)| Some(*i) != handed) {
            let output = self.taken_by(i, outputs);
            shader = shader.binding(buffers.len(), &format!("in{i}"), storage_type(spec.dtype), output.is_some());
            buffers.push(output.map_or(*buffer, Buffer::Output));
        }
        for &j in outputs.iter().filter(|&&j| self.in_place[j].is_none()) {
            shader = shader.binding(buffers.len(), &format!("out{j}"), storage_type(self.outputs[j].dtype), true);
            buffers.push(Buffer::Output(j));
        }
        shader
    }

    fn types(&self, op: &Pointwise) -> Result<Vec<DType>> {
        op.types(&self.inputs.iter().map(|(_, spec)| spec.dtype).collect::<Vec<_>>())
    }

    /// Buffers that one dispatch of all outputs binds.
    pub fn buffers(&self) -> usize {
        self.inputs.len() + self.in_place.iter().filter(|taken| taken.is_none()).count()
    }
}

pub(super) fn launch(op: &Pointwise, launch: &mut Launch) -> Result<()> {
    launch.no_f64("pointwise")?;
    alone(op, &Tensors::of(launch), launch)
}

/// Dispatches of the expression's own.
pub(super) fn alone(op: &Pointwise, tensors: &Tensors, launch: &mut Launch) -> Result<()> {
    let (fresh, placed): (Vec<usize>, Vec<usize>) = (0..tensors.outputs.len()).partition(|&j| tensors.in_place[j].is_none());
    if tensors.buffers() <= MOST_BUFFERS {
        return dispatch(op, tensors, launch, &[fresh, placed].concat());
    }
    // Too many for one dispatch: outputs in memory of their own first, a few at a time; then those that destroy inputs, all at once.
    let room = MOST_BUFFERS.saturating_sub(tensors.inputs.len());
    if room == 0 && !fresh.is_empty() {
        let count = tensors.inputs.len();
        return Err(Error::Device(format!("a pointwise expression of {count} tensors; {MOST_BUFFERS} storage buffers are bound at most")));
    }
    for outputs in fresh.chunks(room.max(1)) {
        dispatch(op, tensors, launch, outputs)?;
    }
    if placed.is_empty() { Ok(()) } else { dispatch(op, tensors, launch, &placed) }
}

/// One dispatch that computes these outputs.
fn dispatch(op: &Pointwise, tensors: &Tensors, launch: &mut Launch, outputs: &[usize]) -> Result<()> {
    let mut buffers = Vec::new();
    let shader = tensors.bind(Shader::new("pointwise", SOURCE), &mut buffers, outputs, None);
    let body = body(op, tensors, outputs, &tensors.types(op)?, None);
    let n = tensors.outputs[0].shape.elements();
    let words = u32::try_from(n).map_err(|_| Error::argument("pointwise", "fewer than 2^32 elements on a GPU", n))?;
    launch.threads(shader.hook("body", &body), &buffers, &[words], n, GROUP);
    Ok(())
}

/// The dispatch of another kernel with the expression put where it stored its results: input `product` of the expression is the value that the
/// kernel's function `put` is called with, at the index that it is called with.
pub(super) fn attach(op: &Pointwise, tensors: &Tensors, product: usize, dispatch: Dispatch) -> Result<Dispatch> {
    let Dispatch { shader, mut buffers, params, groups } = dispatch;
    let (shader, element) = shader.without_binding("y", buffers.len() - 1);
    buffers.pop();
    let outputs: Vec<usize> = (0..tensors.outputs.len()).collect();
    let shader = tensors.bind(shader, &mut buffers, &outputs, Some(product));
    // A kernel that moves words hands over the bits.
    let kind = storage_type(tensors.inputs[product].1.dtype);
    let value = if element == "u32" && kind != "u32" { format!("bitcast<{kind}>(v)") } else { "v".into() };
    let body = body(op, tensors, &outputs, &tensors.types(op)?, Some((product, &value)));
    let (_, functions) = SOURCE.split_once("// The functions:").expect("the shader marks where its functions begin");
    let shader = shader.declare(&format!("// Functions of expressions:{functions}"));
    let shader = if element == "f32" || element == "u32" {
        shader.hook("put", &body)
    } else {
        let each = "put_one(4u * i, v.x); put_one(4u * i + 1u, v.y); put_one(4u * i + 2u, v.z); put_one(4u * i + 3u, v.w);";
        shader.hook("put", each).declare(&format!("fn put_one(i: u32, v: f32) {{ {body} }}"))
    };
    Ok(Dispatch { shader, buffers, params, groups })
}

fn storage_type(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 | DType::F64 => "f32",
        DType::U32 | DType::U8 => "u32",
        DType::I32 => "i32",
    }
}

/// Every node as a `let`, then the stores, for element `i`. A kernel hands over one input as the value that this text names.
fn body(op: &Pointwise, tensors: &Tensors, outputs: &[usize], types: &[DType], handed: Option<(usize, &str)>) -> String {
    let mut text = String::new();
    for (id, node) in op.nodes.iter().enumerate() {
        let kind = storage_type(types[id]);
        let v = |id: usize| format!("v{id}");
        let value = match *node {
            Node::Input(i) => match handed {
                Some((product, text)) if product == i => text.into(),
                _ => load(i, tensors.inputs[i].1.dtype, &index(&tensors.inputs[i].1.shape, &tensors.outputs[0].shape)),
            },
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
        let _ = writeln!(text, "{}[i] = v{};", tensors.target(j), op.outputs[j]);
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
    if dtype == DType::U8 { format!("(in{i}[({at}) >> 2u] >> ((({at}) & 3u) * 8u)) & 0xffu") } else { format!("in{i}[{at}]") }
}

fn number_text(number: f64, dtype: DType) -> String {
    match dtype {
        DType::F32 | DType::F64 => {
            let value = number as f32;
            // WGSL has no literal for these; the runtime bits pass every compiler.
            if value.is_finite() { format!("{value:?}f") } else { format!("bitcast<f32>({:#x}u | (i & 0u))", value.to_bits()) }
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
