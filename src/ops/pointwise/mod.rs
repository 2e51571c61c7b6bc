//! Pointwise operations: each element of the outputs is an expression of the inputs' elements at the same place.
//!
//! One op holds a whole expression: `y = relu(x)`, or Adam's three updates. Inputs broadcast to the common shape. The CPU evaluates the
//! expression in blocks that stay in cache; the GPU's text is written from it into `shaders/pointwise.wgsl`. Its gradient is again an
//! expression, found by walking this one backwards.

mod access;
mod cpu;
mod expr;
mod functions;
mod fused;
mod gpu;
mod inlet;
mod loops;
mod methods;
mod piece;
mod prepared;
mod schedule;
mod wgsl;

pub use expr::Expr;
pub use functions::{Binary, Compare, Unary};
pub(crate) use fused::Fused;
pub(crate) use gpu::Feed;
pub(crate) use inlet::Inlet;
pub(crate) use piece::Piece;

use crate::error::{Error, Result};
use crate::record::op::{CpuArgs, GradCx, Launch, Op};
use crate::record::{record, record_on};
use crate::shape::{DType, Shape, Spec};
use crate::tensor::Tensor;
use expr::Node;
use prepared::Prepared;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// The outputs of one expression per output over the elements of `inputs`, which broadcast to a common shape. All inputs of floats have one
/// type, but for f16 and f32, which together make f32. The whole is one op: one pass over memory on the CPU, one dispatch on a GPU.
///
/// ```
/// use gradus::{Device, Tensor, ops::pointwise::map};
/// let x = Tensor::new(&Device::cpu(), [3], &[1.0f32, 2.0, 3.0])?;
/// let y = map(&[&x], |e| vec![e[0].square() + 1.0, e[0].sqrt()])?;
/// assert_eq!(y[0].to_vec::<f32>()?, [2.0, 5.0, 10.0]);
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] if the inputs do not broadcast; [`Error::DType`] if an operation mixes types.
#[track_caller]
pub fn map(inputs: &[&Tensor], f: impl FnOnce(&[Expr]) -> Vec<Expr>) -> Result<Vec<Tensor>> {
    map_to(inputs, None, f)
}

/// [`map`] with one output.
///
/// # Errors
/// As [`map`].
#[track_caller]
pub fn map1(inputs: &[&Tensor], f: impl FnOnce(&[Expr]) -> Expr) -> Result<Tensor> {
    one(map(inputs, |e| vec![f(e)])?)
}

/// [`map`] to a given shape, which the inputs broadcast to.
#[track_caller]
pub(crate) fn map_to(inputs: &[&Tensor], shape: Option<Shape>, f: impl FnOnce(&[Expr]) -> Vec<Expr>) -> Result<Vec<Tensor>> {
    // A tensor that is given twice is bound once.
    let mut unique: Vec<&Tensor> = Vec::new();
    let places: Vec<usize> = inputs
        .iter()
        .map(|x| {
            unique.iter().position(|u| u.id() == x.id()).unwrap_or_else(|| {
                unique.push(x);
                unique.len() - 1
            })
        })
        .collect();
    let handles = Expr::inputs(unique.len());
    let given: Vec<Expr> = places.iter().map(|&place| handles[place].clone()).collect();
    let outputs = f(&given);
    let nodes = outputs.first().map_or_else(Vec::new, Expr::nodes);
    let outputs: Vec<usize> = outputs.iter().map(Expr::id).collect();
    let (op, used) = Pointwise::new(&nodes, &outputs, shape);
    let used: Vec<&Tensor> = used.into_iter().map(|i| unique[i]).collect();
    match (used.first(), inputs.first()) {
        (Some(_), _) => record(op, &used),
        (None, Some(any)) => record_on(any.device(), op, &[]),
        (None, None) => Err(Error::argument("map", "at least one input", "none")),
    }
}

pub(crate) fn one(mut outputs: Vec<Tensor>) -> Result<Tensor> {
    assert_eq!(outputs.len(), 1);
    Ok(outputs.remove(0))
}

/// The op: nodes in order of evaluation, and which of them are outputs.
pub(crate) struct Pointwise {
    nodes: Vec<Node>,
    outputs: Vec<usize>,
    shape: Option<Shape>,
    /// For the CPU, since the first run.
    prepared: OnceLock<Arc<Prepared>>,
}

impl fmt::Debug for Pointwise {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Pointwise({:?} {:?} {:?})", self.nodes, self.outputs, self.shape)
    }
}

impl Pointwise {
    /// Keeps the nodes that the outputs need. Returns the inputs that are used, in their new order.
    fn new(nodes: &[Node], outputs: &[usize], shape: Option<Shape>) -> (Pointwise, Vec<usize>) {
        let mut needed = vec![false; nodes.len()];
        outputs.iter().for_each(|&o| needed[o] = true);
        for (id, node) in nodes.iter().enumerate().rev() {
            if needed[id] {
                node.operands().for_each(|o| needed[o] = true);
            }
        }
        let mut renamed = vec![usize::MAX; nodes.len()];
        let mut kept: Vec<Node> = Vec::new();
        let mut used: Vec<usize> = Vec::new();
        for (id, node) in nodes.iter().enumerate().filter(|(id, _)| needed[*id]) {
            renamed[id] = kept.len();
            kept.push(match *node {
                Node::Input(input) => {
                    used.push(input);
                    Node::Input(used.len() - 1)
                }
                other => other.map(|o| renamed[o]),
            });
        }
        let outputs: Vec<usize> = outputs.iter().map(|&o| renamed[o]).collect();
        (Pointwise { nodes: kept, outputs, shape, prepared: OnceLock::new() }, used)
    }

    /// The type of every node. A number takes the type of what it is combined with.
    fn types(&self, inputs: &[DType]) -> Result<Vec<DType>> {
        let float = self.float(inputs)?;
        let mut types: Vec<Option<DType>> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let of = match *node {
                Node::Input(i) => Some(if inputs[i] == DType::U8 { DType::U32 } else { inputs[i] }),
                Node::Number(_) => None,
                Node::Cast(dtype, a) => {
                    types[a].get_or_insert(float);
                    // In checks, what is written for f32 runs in f64.
                    Some(if dtype.is_float() && float == DType::F64 { float } else { dtype })
                }
                Node::IsFinite(a) => {
                    expect_float("is_finite", *types[a].get_or_insert(float))?;
                    Some(DType::U32)
                }
                Node::Unary(function, a) => {
                    let kind = *types[a].get_or_insert(float);
                    if !(kind == DType::I32 && function == Unary::Neg) {
                        expect_float(&format!("{function:?}").to_lowercase(), kind)?;
                    }
                    Some(kind)
                }
                Node::Binary(function, a, b) => {
                    let kind = unify(&mut types, a, b, float, &format!("{function:?}"))?;
                    if function == Binary::Pow {
                        expect_float("pow", kind)?;
                    }
                    Some(kind)
                }
                Node::Compare(function, a, b) => {
                    unify(&mut types, a, b, float, &format!("{function:?}"))?;
                    Some(DType::U32)
                }
                Node::Select(c, a, b) => {
                    let condition = *types[c].get_or_insert(DType::U32);
                    if condition != DType::U32 {
                        return Err(Error::dtype("select", "a condition of u32, as comparisons give", condition));
                    }
                    Some(unify(&mut types, a, b, float, "Select")?)
                }
            };
            types.push(of);
        }
        Ok(types.into_iter().map(|t| t.unwrap_or(float)).collect())
    }

    /// The float type that a number has which is combined with nothing else: that of the inputs, of f16 and f32 the wider.
    fn float(&self, inputs: &[DType]) -> Result<DType> {
        let mut floats = inputs.iter().copied().filter(|t| t.is_float());
        let Some(first) = floats.next() else {
            let to_f64 = self.nodes.iter().any(|n| matches!(n, Node::Cast(DType::F64, _)));
            return Ok(if to_f64 { DType::F64 } else { DType::F32 });
        };
        floats.try_fold(first, |widest, other| {
            wider(widest, other).ok_or_else(|| Error::dtype("pointwise", format!("{first} like the first input"), other))
        })
    }
}

fn add_to(slopes: &mut HashMap<usize, Expr>, of: &Expr, part: Expr) {
    let sum = slopes.get(&of.id()).map_or_else(|| part.clone(), |before| before + &part);
    slopes.insert(of.id(), sum);
}

fn expect_float(op: &str, kind: DType) -> Result<()> {
    if kind.is_float() { Ok(()) } else { Err(Error::dtype(op, "f32", format!("{kind}; cast it first"))) }
}

fn unify(types: &mut [Option<DType>], a: usize, b: usize, float: DType, op: &str) -> Result<DType> {
    let kind = types[a].or(types[b]).unwrap_or(float);
    let (ta, tb) = (*types[a].get_or_insert(kind), *types[b].get_or_insert(kind));
    wider(ta, tb).ok_or_else(|| Error::dtype(op.to_lowercase(), format!("two of one type, the first is {ta}"), format!("{tb}; cast one")))
}

/// The type of what is made of two types, if they may be mixed: only f16 and f32 may.
fn wider(a: DType, b: DType) -> Option<DType> {
    if a == b { Some(a) } else { (a.is_float() && a.computed() == b.computed()).then_some(DType::F32) }
}

impl Op for Pointwise {
    fn name(&self) -> &'static str {
        match self.outputs.iter().map(|&o| &self.nodes[o]).next() {
            Some(Node::Binary(f, ..)) if self.nodes.len() <= 3 => match f {
                Binary::Add => "add",
                Binary::Sub => "sub",
                Binary::Mul => "mul",
                Binary::Div => "div",
                Binary::Pow => "pow",
                Binary::Max => "maximum",
                Binary::Min => "minimum",
            },
            Some(Node::Compare(..)) if self.nodes.len() <= 3 => "compare",
            Some(Node::Cast(..)) if self.nodes.len() <= 2 => "cast",
            Some(Node::Unary(Unary::Relu, _)) => "relu",
            _ => "pointwise",
        }
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let mut shape = self.shape.clone().unwrap_or_default();
        for input in inputs {
            shape = shape.broadcast(&input.shape, self.name())?;
        }
        if let Some(wanted) = self.shape.as_ref().filter(|wanted| **wanted != shape) {
            return Err(Error::shape("broadcast_to", format!("a shape that stretches to {wanted}"), &shape));
        }
        let kinds: Vec<DType> = inputs.iter().map(|s| s.dtype).collect();
        let types = self.types(&kinds)?;
        if let Some(Node::Cast(dtype, _)) = self.nodes.iter().find(|n| matches!(n, Node::Cast(DType::U8, _))) {
            return Err(Error::dtype("cast", "f32, u32 or i32", format!("{dtype}, which is for images at rest")));
        }
        Ok(self.outputs.iter().map(|&o| Spec::new(shape.clone(), types[o])).collect())
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let (count, ys) = (cx.inputs.len(), cx.outputs.len());
        let (handles, forward) = self.for_gradient(count);
        // The gradient of each forward expression so far, by its node.
        let mut slopes: HashMap<usize, Expr> = HashMap::new();
        let mut dys: Vec<&Tensor> = Vec::new();
        for (&output, dy) in self.outputs.iter().zip(cx.dys) {
            if let Some(dy) = dy {
                add_to(&mut slopes, &forward[output], handles[count + ys + dys.len()].clone());
                dys.push(dy);
            }
        }
        for (id, node) in self.nodes.iter().enumerate().rev() {
            let y = &forward[id];
            let Some(dy) = slopes.get(&y.id()).cloned() else { continue };
            match *node {
                Node::Unary(f, a) => {
                    if let Some(part) = f.grad(&forward[a], y, &dy) {
                        add_to(&mut slopes, &forward[a], part);
                    }
                }
                Node::Binary(f, a, b) => {
                    let [da, db] = f.grad(&forward[a], &forward[b], y, &dy);
                    add_to(&mut slopes, &forward[a], da);
                    add_to(&mut slopes, &forward[b], db);
                }
                Node::Select(c, a, b) => {
                    let zero = dy.number(0.0);
                    add_to(&mut slopes, &forward[a], forward[c].select(&dy, &zero));
                    add_to(&mut slopes, &forward[b], forward[c].select(&zero, &dy));
                }
                Node::Cast(dtype, a) if dtype.is_float() => add_to(&mut slopes, &forward[a], dy),
                Node::Input(_) | Node::Number(_) | Node::Compare(..) | Node::Cast(..) | Node::IsFinite(_) => {}
            }
        }
        let wanted: Vec<(usize, Expr)> =
            (0..count).filter(|&i| cx.wants(i)).filter_map(|i| slopes.get(&handles[i].id()).cloned().map(|slope| (i, slope))).collect();
        let mut dxs: Vec<Option<Tensor>> = vec![None; count];
        let all: Vec<&Tensor> = cx.inputs.iter().chain(cx.outputs).chain(dys).collect();
        let shape = cx.outputs[0].shape();
        let nodes = handles[0].nodes();
        // Inputs with one gradient between them (both sides of a sum) share one output; a gradient that is just `dy` needs no operation.
        let mut made: HashMap<usize, Tensor> = HashMap::new();
        let mut to_make: Vec<usize> = Vec::new();
        for (_, slope) in &wanted {
            match nodes[slope.id()] {
                Node::Input(given) if all[given].shape() == shape => {
                    made.insert(slope.id(), all[given].clone());
                }
                _ if to_make.contains(&slope.id()) => {}
                _ => to_make.push(slope.id()),
            }
        }
        if !to_make.is_empty() {
            let (op, used) = Pointwise::new(&nodes, &to_make, Some(shape.clone()));
            let used: Vec<&Tensor> = used.into_iter().map(|i| all[i]).collect();
            made.extend(to_make.into_iter().zip(record_on(cx.outputs[0].device(), op, &used)?));
        }
        for (i, slope) in wanted {
            dxs[i] = Some(made[&slope.id()].sum_to(cx.inputs[i].shape())?);
        }
        Ok(dxs)
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        cpu::run(self, args);
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        gpu::launch(self, launch)
    }

    fn may_overwrite(&self, inputs: &[Spec], output: usize) -> Vec<usize> {
        let Ok(outputs) = self.infer(inputs) else { return Vec::new() };
        (0..inputs.len()).filter(|&i| inputs[i] == outputs[output]).collect()
    }
}

impl Pointwise {
    /// How many outputs there are.
    pub(crate) fn output_count(&self) -> usize {
        self.outputs.len()
    }

    /// The expression again, as the start of its gradient: handles of the inputs, then the outputs as loads, then room for the outputs'
    /// gradients; and for each node the handle that stands for it. A node that is an output is loaded, not computed again.
    fn for_gradient(&self, inputs: usize) -> (Vec<Expr>, Vec<Expr>) {
        let handles = Expr::inputs(inputs + 2 * self.outputs.len());
        let mut forward: Vec<Expr> = Vec::with_capacity(self.nodes.len());
        for (id, node) in self.nodes.iter().enumerate() {
            let loaded = self.outputs.iter().position(|&o| o == id).filter(|_| !matches!(node, Node::Input(_)));
            forward.push(match (loaded, *node) {
                (Some(j), _) => handles[inputs + j].clone(),
                (None, Node::Input(i)) => handles[i].clone(),
                (None, other) => handles[0].push(other.map(|o| forward[o].id())),
            });
        }
        (handles, forward)
    }
}

#[cfg(test)]
#[expect(clippy::type_complexity, reason = "tables of cases, each used once")]
mod tests;
