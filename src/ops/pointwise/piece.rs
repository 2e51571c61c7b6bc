//! `Piece`: a pointwise expression over the numbered values of a graph, while it is put together with others.

use super::Pointwise;
use super::expr::Node;
use crate::shape::Shape;

/// An expression whose inputs and outputs are values of a graph.
#[derive(Clone)]
pub(crate) struct Piece {
    nodes: Vec<Node>,
    inputs: Vec<usize>,
    /// Each output's value and node.
    outputs: Vec<(usize, usize)>,
}

impl Piece {
    /// The expression of an op between these values.
    pub fn of(op: &Pointwise, inputs: &[usize], outputs: &[usize]) -> Piece {
        let outputs = outputs.iter().copied().zip(op.outputs.iter().copied()).collect();
        Piece { nodes: op.nodes.clone(), inputs: inputs.to_vec(), outputs }
    }

    /// A value handed through.
    pub fn identity(value: usize) -> Piece {
        Piece { nodes: vec![Node::Input(0)], inputs: vec![value], outputs: vec![(value, 0)] }
    }

    pub fn inputs(&self) -> &[usize] {
        &self.inputs
    }

    pub fn outputs(&self) -> impl Iterator<Item = usize> + '_ {
        self.outputs.iter().map(|(value, _)| *value)
    }

    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// Whether it only hands `value` through.
    pub fn is_identity(&self, value: usize) -> bool {
        self.inputs == [value] && self.outputs.len() == 1 && self.outputs[0].0 == value
    }

    /// What makes those outputs that `keep` names.
    pub fn only(&self, keep: impl Fn(usize) -> bool) -> Piece {
        let (values, nodes): (Vec<usize>, Vec<usize>) = self.outputs.iter().copied().filter(|&(value, _)| keep(value)).unzip();
        let (op, used) = Pointwise::new(&self.nodes, &nodes, None);
        let inputs: Vec<usize> = used.into_iter().map(|i| self.inputs[i]).collect();
        Piece::of(&op, &inputs, &values)
    }

    /// Both as one expression, where `next` reads outputs of this one. Outputs are those of `next`, then those of this one that `keep` names.
    pub fn then(&self, next: &Piece, keep: impl Fn(usize) -> bool) -> Piece {
        let mut joined = Piece { nodes: Vec::new(), inputs: Vec::new(), outputs: Vec::new() };
        let first = joined.append(self, &[]);
        let made: Vec<(usize, usize)> = self.outputs.iter().map(|&(value, node)| (value, first[node])).collect();
        let second = joined.append(next, &made);
        joined.outputs = next.outputs.iter().map(|&(value, node)| (value, second[node])).collect();
        joined.outputs.extend(made.into_iter().filter(|&(value, _)| keep(value)));
        joined
    }

    /// Adds the nodes of another piece, whose inputs may have been `made` already. Returns where each of its nodes now is.
    fn append(&mut self, other: &Piece, made: &[(usize, usize)]) -> Vec<usize> {
        let mut places: Vec<usize> = Vec::with_capacity(other.nodes.len());
        for node in &other.nodes {
            let place = match *node {
                Node::Input(i) => match made.iter().find(|(value, _)| *value == other.inputs[i]) {
                    Some(&(_, node)) => node,
                    None => {
                        let input = self.input(other.inputs[i]);
                        self.push(Node::Input(input))
                    }
                },
                other => self.push(other.map(|operand| places[operand])),
            };
            places.push(place);
        }
        places
    }

    fn input(&mut self, value: usize) -> usize {
        self.inputs.iter().position(|&v| v == value).unwrap_or_else(|| {
            self.inputs.push(value);
            self.inputs.len() - 1
        })
    }

    /// The same node twice is computed once; a number's type depends on where it is used, so each use has its own.
    fn push(&mut self, node: Node) -> usize {
        let found = if matches!(node, Node::Number(_)) { None } else { self.nodes.iter().position(|n| *n == node) };
        found.unwrap_or_else(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        })
    }

    /// The op of this shape, and the values that are its inputs.
    pub fn build(&self, shape: Shape) -> (Pointwise, Vec<usize>) {
        let outputs: Vec<usize> = self.outputs.iter().map(|(_, node)| *node).collect();
        let (op, used) = Pointwise::new(&self.nodes, &outputs, Some(shape));
        (op, used.into_iter().map(|i| self.inputs[i]).collect())
    }
}
