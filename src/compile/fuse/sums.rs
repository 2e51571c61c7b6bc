//! Expressions before sums: what only sums read is not stored.
//!
//! The sum evaluates the expression where it would load ([`ReduceOf`]). Results of one expression that are summed alike stay together: one pass
//! over what they read gives all sums. Other results of the expression stay where they are, so both read the same tensors, and that is done
//! only where it moves fewer bytes: what the sum then reads has to be less than what is no longer written, read again, or read for the rest.

use super::{Item, Kind, MOST_BUFFERS, Node, Work};
use crate::ops::pointwise::Piece;
use crate::ops::reduce::{Reduce, ReduceOf};
use crate::shape::{DType, Shape};
use std::any::Any;
use std::sync::Arc;

/// The most elements of an expression in a sum: kernels count them in words of 32 bits, and the parts of a sum take memory too. What is larger
/// has to be stored, and is refused where it cannot be.
const MOST_ELEMENTS: usize = 1 << 31;

/// A sum that is alone in reading a value.
struct Sum {
    value: usize,
    /// The item through which it sees the value as another shape.
    view: Option<usize>,
    /// Its own item.
    at: usize,
    reduce: Reduce,
    seen: Shape,
    result: usize,
}

impl Work<'_> {
    /// Takes results of the expression at `at` into a sum that reads them, if there are such. Whether it did.
    pub(super) fn join_a_sum(&mut self, at: usize) -> bool {
        let (piece, product) = match self.items[at].as_ref().map(|item| &item.kind) {
            Some(Kind::Pointwise(piece)) => (piece.clone(), None),
            Some(Kind::Epilogue { kernel, piece }) => (piece.clone(), Some(kernel.outputs[0])),
            _ => return false,
        };
        let sums: Vec<Sum> = piece.outputs().filter_map(|y| self.sum_of(y)).collect();
        for first in 0..sums.len() {
            let alike = |sum: &&Sum| sum.reduce == sums[first].reduce && sum.seen == sums[first].seen;
            let mut group: Vec<&Sum> = sums[first..].iter().filter(alike).collect();
            while !group.is_empty() {
                let taken = |y: usize| group.iter().any(|sum| sum.value == y);
                let (before, rest) = (piece.only(taken), piece.only(|y| !taken(y)));
                if before.inputs().len() + group.len() > MOST_BUFFERS {
                    group.pop();
                    continue;
                }
                if self.moves_less(&piece, &before, &rest, product) {
                    self.feed(at, &group, &before, rest);
                    return true;
                }
                break;
            }
        }
        false
    }

    /// The sum that alone reads a value of f32.
    fn sum_of(&self, value: usize) -> Option<Sum> {
        let only_reader = |x: usize| match self.readers[x][..] {
            [reader] if !self.wanted[x] => Some(reader),
            _ => None,
        };
        let (mut seen, mut view, mut at) = (value, None, only_reader(value)?);
        if let Kind::Plain(node) = &self.item(at).kind
            && node.op.is_view()
        {
            (seen, view) = (node.outputs[0], Some(at));
            at = only_reader(seen)?;
        }
        let (op, result) = match &self.item(at).kind {
            Kind::Plain(node) => (&node.op, node.outputs[0]),
            Kind::Epilogue { kernel, piece } if !piece.inputs().contains(&seen) => (&kernel.op, kernel.outputs[0]),
            _ => return None,
        };
        let reduce = (&**op as &dyn Any).downcast_ref::<Reduce>().filter(|reduce| reduce.adds())?.clone();
        let spec = &self.graph.values[seen];
        let shape = spec.shape.clone();
        (spec.dtype == DType::F32 && (1..=MOST_ELEMENTS).contains(&shape.elements())).then_some(Sum {
            value,
            view,
            at,
            reduce,
            seen: shape,
            result,
        })
    }

    /// Whether fewer bytes are moved when `before` is evaluated in a sum and `rest` where `piece` was, the end of a kernel if that has a `product`.
    fn moves_less(&self, piece: &Piece, before: &Piece, rest: &Piece, product: Option<usize>) -> bool {
        // What a kernel hands over is in memory only if it is one of the results.
        if product.is_some_and(|p| rest.outputs().next().is_none() || before.inputs().contains(&p) && !rest.outputs().any(|y| y == p)) {
            return false;
        }
        let bytes = |values: &mut dyn Iterator<Item = usize>| values.map(|v| self.graph.values[v].bytes()).sum::<usize>();
        let no_longer_read = |x: &usize| Some(*x) != product && !rest.inputs().contains(x);
        let saved = 2 * bytes(&mut before.outputs()) + bytes(&mut piece.inputs().iter().copied().filter(no_longer_read));
        bytes(&mut before.inputs().iter().copied()) < saved
    }

    /// Puts one item that sums `before` in the place of these sums. What worked on a sum's result is apart again, and may join it anew.
    fn feed(&mut self, at: usize, sums: &[&Sum], before: &Piece, rest: Piece) {
        let (item, empty) = (self.take(at), rest.outputs().next().is_none());
        let kind = match item.kind {
            Kind::Epilogue { kernel, .. } if rest.is_identity(kernel.outputs[0]) => Some(Kind::Plain(kernel)),
            Kind::Epilogue { kernel, .. } => Some(Kind::Epilogue { kernel, piece: rest }),
            _ => (!empty).then_some(Kind::Pointwise(rest)),
        };
        if let Some(kind) = kind {
            self.put(at, Item { kind, ..item });
        }
        let (place, site) = (self.item(sums[0].at).place, self.item(sums[0].at).site.clone());
        for sum in sums {
            sum.view.map(|view| self.take(view));
            let item = self.take(sum.at);
            if let Kind::Epilogue { piece, .. } = item.kind {
                // The sum itself may have been one of its results.
                self.put(sum.at, Item { kind: Kind::Pointwise(piece.only(|y| y != sum.result)), ..item });
            }
        }
        let value = before.outputs().next().expect("a sum of something");
        let (expression, inputs) = before.build(self.graph.values[value].shape.clone());
        let op = Arc::new(ReduceOf::new(sums[0].reduce.clone(), expression, sums[0].seen.clone()));
        let outputs = before.outputs().filter_map(|y| sums.iter().find(|sum| sum.value == y)).map(|sum| sum.result).collect();
        let node = Node { op, inputs, outputs, site: site.clone() };
        self.items.push(None);
        self.put(self.items.len() - 1, Item { place, site, kind: Kind::Plain(node) });
    }
}
