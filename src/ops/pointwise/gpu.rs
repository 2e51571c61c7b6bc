//! The GPU launch of an expression: dispatches of its own, or the end of another kernel.

use super::Pointwise;
use super::wgsl::{Four, Text, four, storage_type};
use crate::device::gpu::launch::Dispatch;
use crate::error::{Error, Result};
use crate::record::op::{Buffer, Launch, Op, Shader};
use crate::shape::{DType, Spec};

const SOURCE: &str = include_str!("../../../shaders/pointwise.wgsl");

/// Threads of a workgroup, as the shader says.
const GROUP: u32 = 64;

/// Storage buffers that every adapter can bind in one dispatch.
pub(super) const MOST_BUFFERS: usize = 8;

/// The tensors of an expression, and the buffers that they are in.
pub(super) struct Tensors<'a> {
    /// What names of inputs begin with in a shader's text: two expressions may stand in one.
    pub prefix: &'static str,
    pub inputs: Vec<(Buffer, &'a Spec)>,
    /// Output `j` is in `Buffer::Output(j)`.
    pub outputs: Vec<&'a Spec>,
    /// The input of the expression whose buffer output `j` has taken over.
    pub in_place: Vec<Option<usize>>,
}

impl<'a> Tensors<'a> {
    fn of(launch: &Launch<'a>) -> Tensors<'a> {
        Tensors {
            prefix: "in",
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
    pub fn target(&self, j: usize) -> String {
        self.in_place[j].map_or_else(|| format!("out{j}"), |i| self.source(i))
    }

    /// The name of input `i` in a shader's text.
    pub fn source(&self, i: usize) -> String {
        format!("{}{i}", self.prefix)
    }

    /// Declares the inputs, but for the one that a kernel hands over as a value, and those outputs that have a buffer of their own.
    fn bind(&self, text: &Text, mut shader: Shader, buffers: &mut Vec<Buffer>) -> Shader {
        let shape = &self.outputs[0].shape;
        let element = |dtype: DType, vector: bool| match vector {
            true => format!("vec4<{}>", storage_type(dtype)),
            false => storage_type(dtype).into(),
        };
        let handed = text.handed.map(|(i, _)| i);
        for (i, (buffer, spec)) in self.inputs.iter().enumerate().filter(|(i, _)| Some(*i) != handed) {
            let output = self.taken_by(i, text.outputs);
            let vector = text.wide && matches!(four(&spec.shape, spec.dtype, shape), Some(Four::Vector { .. }));
            shader = shader.binding(buffers.len(), &self.source(i), &element(spec.dtype, vector), output.is_some());
            buffers.push(output.map_or(*buffer, Buffer::Output));
        }
        for &j in text.outputs.iter().filter(|&&j| self.in_place[j].is_none()) {
            shader = shader.binding(buffers.len(), &format!("out{j}"), &element(self.outputs[j].dtype, text.wide), true);
            buffers.push(Buffer::Output(j));
        }
        shader
    }

    /// Whether four neighbouring elements can be computed at once. A load costs the same for one as for four.
    pub fn in_fours(&self) -> bool {
        let shape = &self.outputs[0].shape;
        shape.elements().is_multiple_of(4) && self.inputs.iter().all(|(_, spec)| four(&spec.shape, spec.dtype, shape).is_some())
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
    let types = tensors.types(op)?;
    let text = Text { op, tensors, outputs, types: &types, handed: None, wide: tensors.in_fours() };
    let mut buffers = Vec::new();
    let shader = tensors.bind(&text, Shader::new("pointwise", SOURCE), &mut buffers);
    let n = tensors.outputs[0].shape.elements() / if text.wide { 4 } else { 1 };
    let words = u32::try_from(n).map_err(|_| Error::argument("pointwise", "fewer than 2^32 elements on a GPU", n))?;
    launch.threads(shader.hook("body", &text.body()), &buffers, &[words], n, GROUP);
    Ok(())
}

/// The dispatch of another kernel with the expression put where it stored its results: input `product` of the expression is the value that the
/// kernel's function `put` is called with, at the index that it is called with.
pub(super) fn attach(op: &Pointwise, tensors: &Tensors, product: usize, dispatch: Dispatch) -> Result<Dispatch> {
    let Dispatch { shader, mut buffers, params, groups } = dispatch;
    let (shader, element) = shader.without_binding("y", buffers.len() - 1);
    buffers.pop();
    let (outputs, types): (Vec<usize>, _) = ((0..tensors.outputs.len()).collect(), tensors.types(op)?);
    // A kernel that moves words hands over the bits, of bytes four at once.
    let dtype = tensors.inputs[product].1.dtype;
    let kind = storage_type(dtype);
    let (vectors, words) = (element.starts_with("vec4"), element.ends_with("u32>") || element == "u32");
    let wide = (vectors || dtype == DType::U8) && tensors.in_fours();
    let value = match words && kind != "u32" {
        false if dtype == DType::U8 => "(vec4<u32>(v) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu)".into(),
        true if wide => format!("bitcast<vec4<{kind}>>(v)"),
        true => format!("bitcast<{kind}>(v)"),
        false => "v".into(),
    };
    let text = Text { op, tensors, outputs: &outputs, types: &types, handed: Some((product, &value)), wide };
    let shader = tensors.bind(&text, shader, &mut buffers);
    let shader = with_functions(shader);
    let shader = if vectors && !wide {
        let each = "put_one(4u * i, v.x); put_one(4u * i + 1u, v.y); put_one(4u * i + 2u, v.z); put_one(4u * i + 3u, v.w);";
        let each_kind = if words { "u32" } else { "f32" };
        shader.hook("put", each).declare(&format!("fn put_one(i: u32, v: {each_kind}) {{ {} }}", text.body()))
    } else {
        shader.hook("put", &text.body())
    };
    Ok(Dispatch { shader, buffers, params, groups })
}

/// The shader with what expressions call, once.
fn with_functions(shader: Shader) -> Shader {
    const MARK: &str = "// Functions of expressions:";
    if shader.text().contains(MARK) {
        return shader;
    }
    let (_, functions) = SOURCE.split_once("// The functions:").expect("the shader marks where its functions begin");
    shader.declare(&format!("{MARK}{functions}"))
}

/// An expression for the place where another kernel loads its only input.
pub(crate) struct Feed<'a> {
    op: &'a Pointwise,
    inputs: Vec<(Buffer, &'a Spec)>,
    outputs: Vec<Spec>,
    types: Vec<DType>,
}

impl<'a> Feed<'a> {
    /// # Errors
    /// Those of the expression's types.
    pub fn new(op: &'a Pointwise, inputs: Vec<(Buffer, &'a Spec)>) -> Result<Feed<'a>> {
        let specs: Vec<Spec> = inputs.iter().map(|(_, spec)| (*spec).clone()).collect();
        let types = op.types(&specs.iter().map(|spec| spec.dtype).collect::<Vec<_>>())?;
        Ok(Feed { op, inputs, outputs: op.infer(&specs)?, types })
    }

    fn tensors(&self) -> Tensors<'_> {
        Tensors {
            prefix: "of",
            inputs: self.inputs.clone(),
            outputs: self.outputs.iter().collect(),
            in_place: vec![None; self.outputs.len()],
        }
    }

    /// Whether four neighbouring elements can be computed at once.
    pub fn in_fours(&self) -> bool {
        self.tensors().in_fours()
    }

    /// The shader with the expression as the body of `fn load(i: u32) -> Values`, an array of its outputs' bits, and the buffers that it then
    /// binds: the inputs, in place of its own `x` and `y`. With `wide`, `i` counts vectors of four elements.
    pub fn attach(&self, shader: Shader, wide: bool) -> (Shader, Vec<Buffer>) {
        let tensors = self.tensors();
        let text = Text { op: self.op, tensors: &tensors, outputs: &[], types: &self.types, handed: None, wide };
        let (shader, _) = shader.without_binding("y", 1);
        let (shader, _) = shader.without_binding("x", 0);
        let mut buffers = Vec::new();
        let shader = with_functions(tensors.bind(&text, shader, &mut buffers));
        let values: Vec<String> = self.op.outputs.iter().map(|id| format!("bitcast<Bits>(v{id})")).collect();
        (shader.hook("load", &format!("{}return Values({});", text.body(), values.join(", "))), buffers)
    }
}
