//! Drawings of recordings, in Graphviz's language.
//!
//! Arguments are grey ellipses, variables blue cylinders, constants grey notes, results double boxes; operations of a gradient are orange. Layers
//! are frames, a layer within a layer a frame within a frame. A dashed arrow leads to the variable that is assigned.

use super::frame::capture;
use crate::compile::{Graph, Node};
use crate::device::Device;
use crate::error::Result;
use crate::shape::Spec;
use crate::tensor::Tensor;
use crate::variable::Variable;
use std::collections::HashMap;
use std::fmt::Write;

/// Records what a closure does with arguments of these specs, and draws it: forward, backward, and what is assigned. Nothing is computed, and no
/// variable changes. `dot -Tsvg` of Graphviz makes a picture of the text.
///
/// ```
/// use gradus::{DType, Device, Spec, record::draw};
/// let text = draw("square", &Device::cpu(), &[Spec::new([2], DType::F32)], |x| Ok(vec![x[0].mul(&x[0])?]))?;
/// assert!(text.starts_with("digraph \"square\" {") && text.contains("f32[2]"));
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Errors
/// What the closure returns; [`Error::Trace`](crate::Error::Trace) for what cannot be traced.
pub fn draw(name: &str, device: &Device, args: &[Spec], f: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>>) -> Result<String> {
    let captured = capture(device, args, f)?;
    Ok(dot(name, &captured.graph, &Captions::of(args.len(), &captured.variables, &captured.assigned)))
}

/// What a graph's inputs and outputs are called.
#[derive(Default)]
pub(crate) struct Captions {
    /// How many of the inputs are arguments.
    pub arguments: usize,
    /// The names of the variables, which are the next inputs. All others are constants.
    pub variables: Vec<String>,
    /// The inputs that the first outputs are assigned to. All others are results.
    pub assigned: Vec<usize>,
}

impl Captions {
    pub fn of(arguments: usize, variables: &[Variable], assigned: &[usize]) -> Captions {
        let assigned = assigned.iter().map(|i| arguments + i).collect();
        Captions { arguments, variables: variables.iter().map(Variable::name).collect(), assigned }
    }
}

/// The graph as text, the same for the same graph. What is neither read nor assigned is left out.
pub(crate) fn dot(name: &str, graph: &Graph, captions: &Captions) -> String {
    let mut text = format!("digraph {} {{\n  node [shape=box, style=filled, fillcolor=white];\n", quoted(name));
    let mut names: HashMap<usize, String> = HashMap::new();
    for (i, input) in graph.inputs.iter().enumerate() {
        names.insert(input.value, format!("i{i}"));
        let is_read = graph.nodes.iter().any(|n| n.inputs.contains(&input.value)) || graph.outputs.contains(&input.value);
        if is_read || i < captions.arguments || captions.assigned.contains(&i) {
            text += &input_line(i, &graph.values[input.value], captions);
        }
    }
    for (k, node) in graph.nodes.iter().enumerate() {
        names.extend(node.outputs.iter().map(|&y| (y, format!("n{k}"))));
    }
    Frame::of(graph).write(graph, &mut text, "  ", &mut 0);
    for (j, &value) in graph.outputs.iter().enumerate().skip(captions.assigned.len()) {
        let label = quoted(&format!("result {}\n{}", j - captions.assigned.len(), graph.values[value]));
        let _ = writeln!(text, "  o{j} [label={label}, peripheries=2];");
    }
    for (k, node) in graph.nodes.iter().enumerate() {
        let mut from: Vec<&String> = node.inputs.iter().map(|x| &names[x]).collect();
        from.dedup();
        from.iter().for_each(|from| _ = writeln!(text, "  {from} -> n{k};"));
    }
    for (j, value) in graph.outputs.iter().enumerate() {
        let from = &names[value];
        let _ = match captions.assigned.get(j) {
            Some(to) => writeln!(text, "  {from} -> i{to} [style=dashed, constraint=false];"),
            None => writeln!(text, "  {from} -> o{j};"),
        };
    }
    text + "}\n"
}

fn input_line(i: usize, spec: &Spec, captions: &Captions) -> String {
    let (name, look) = match i.checked_sub(captions.arguments) {
        None => (format!("argument {i}"), "shape=ellipse, fillcolor=lightgrey"),
        Some(at) => match captions.variables.get(at) {
            Some(variable) => (variable.clone(), "shape=cylinder, fillcolor=lightblue"),
            None => ("constant".to_string(), "shape=note, fillcolor=whitesmoke"),
        },
    };
    format!("  i{i} [label={}, {look}];\n", quoted(&format!("{name}\n{spec}")))
}

fn node_line(k: usize, node: &Node, graph: &Graph) -> String {
    let outputs: Vec<String> = node.outputs.iter().map(|&y| graph.values[y].to_string()).collect();
    let label = quoted(&format!("{}\n{}", node.op.label(), outputs.join(", ")));
    let colour = if node.site.is_backward() { ", fillcolor=orange" } else { "" };
    format!("n{k} [label={label}{colour}];\n")
}

/// A layer: its own operations, and the layers within. The outermost has no name.
#[derive(Default)]
struct Frame<'a> {
    name: &'a str,
    nodes: Vec<usize>,
    within: Vec<Frame<'a>>,
}

impl<'a> Frame<'a> {
    fn of(graph: &'a Graph) -> Frame<'a> {
        let mut outermost = Frame::default();
        for (k, node) in graph.nodes.iter().enumerate() {
            let path = node.site.layer().unwrap_or_default().split('/').filter(|part| !part.is_empty());
            path.fold(&mut outermost, Frame::layer).nodes.push(k);
        }
        outermost
    }

    fn layer<'f>(&'f mut self, name: &'a str) -> &'f mut Frame<'a> {
        let at = self.within.iter().position(|frame| frame.name == name).unwrap_or_else(|| {
            self.within.push(Frame { name, ..Frame::default() });
            self.within.len() - 1
        });
        &mut self.within[at]
    }

    fn write(&self, graph: &Graph, text: &mut String, indent: &str, clusters: &mut usize) {
        for &k in &self.nodes {
            *text += &format!("{indent}{}", node_line(k, &graph.nodes[k], graph));
        }
        for frame in &self.within {
            let _ = writeln!(text, "{indent}subgraph cluster{clusters} {{\n{indent}  label={};", quoted(frame.name));
            *clusters += 1;
            frame.write(graph, text, &format!("{indent}  "), clusters);
            *text += &format!("{indent}}}\n");
        }
    }
}

/// A string of Graphviz's language.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
