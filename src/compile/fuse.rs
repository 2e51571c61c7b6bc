//! Makes one operation of several.
//!
//! * Operations on the same inputs, where one offers it ([`Op::together`]): a pass over memory that makes both.
//! * Pointwise after pointwise: one expression.
//! * Pointwise after an operation that takes an epilogue (a product, a convolution, a sum): the expression runs on the results before they leave
//!   the kernel. So a bias, an activation, the mask of its gradient and an optimizer's update need no pass over memory of their own.
//! * A sum after pointwise operations whose results nobody else reads: the sum evaluates the expression where it would load ([`sums`]). So the
//!   squares of a variance and the products in the gradients of a normalization are never stored.
//!
//! Two operations may only become one if no third one has to run between them. Values that others read as well stay outputs. The numbers
//! stay the same: the same operations run on each element in the same order, but for what [`Op::together`] adds up otherwise.
//! `GRADUS_FUSE=0` turns the pass off.

mod sums;

use super::{Graph, Node};
use crate::device::Device;
use crate::ops::pointwise::{Fused, Piece, Pointwise};
use crate::record::op::Op;
use crate::record::recording::Site;
use crate::shape::Spec;
use std::any::Any;
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

/// Storage buffers that every adapter binds in one dispatch.
const MOST_BUFFERS: usize = 8;
/// Nodes of an expression: more would run out of registers.
const MOST_NODES: usize = 96;
/// Operations that the search for one in between looks at before it gives up, and with it the fusion.
const MOST_VISITS: usize = 4096;

thread_local! {
    static OFF: Cell<bool> = const { Cell::new(false) };
}

/// Whether programs of this thread are fused.
pub(crate) fn enabled() -> bool {
    !OFF.get() && std::env::var_os("GRADUS_FUSE").is_none_or(|value| value != "0")
}

/// Compiles what `f` computes on this thread without fusion.
pub(crate) fn without<R>(f: impl FnOnce() -> R) -> R {
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            OFF.set(self.0);
        }
    }
    let _back = Back(OFF.replace(true));
    f()
}

/// A node while the graph is worked on.
struct Item {
    /// Its place in the recorded order; that of the last of the nodes it is made of.
    place: usize,
    site: Site,
    kind: Kind,
}

enum Kind {
    Plain(Node),
    Pointwise(Piece),
    /// A kernel, and the expression that works on its first result.
    Epilogue {
        kernel: Node,
        piece: Piece,
    },
}

impl Item {
    fn inputs(&self) -> Vec<usize> {
        match &self.kind {
            Kind::Plain(node) => node.inputs.clone(),
            Kind::Pointwise(piece) => piece.inputs().to_vec(),
            Kind::Epilogue { kernel, piece } => {
                kernel.inputs.iter().copied().chain(piece.inputs().iter().copied().filter(|x| *x != kernel.outputs[0])).collect()
            }
        }
    }

    fn outputs(&self) -> Vec<usize> {
        match &self.kind {
            Kind::Plain(node) => node.outputs.clone(),
            Kind::Pointwise(piece) => piece.outputs().collect(),
            Kind::Epilogue { kernel, piece } => piece.outputs().chain(kernel.outputs[1..].iter().copied()).collect(),
        }
    }
}

pub(crate) fn run(graph: &mut Graph, device: &Device) {
    if !enabled() {
        return;
    }
    let mut work = Work::new(graph);
    for at in 0..work.items.len() {
        while work.join_a_sibling(at, device) {}
    }
    for at in 0..work.items.len() {
        while work.join_a_producer(at) {}
    }
    let before = work.items.len();
    for at in 0..before {
        while work.join_a_sum(at) {}
    }
    if work.items.len() > before {
        // What is left of the expressions may join now: the last first, so that nothing is stored between two of them.
        for at in (0..work.items.len()).rev() {
            while work.join_a_producer(at) {}
        }
    }
    let mut items: Vec<Item> = work.items.into_iter().flatten().collect();
    items.sort_by_key(|item| item.place);
    graph.nodes = items.iter().map(|item| build(graph, item)).collect();
}

struct Work<'g> {
    graph: &'g Graph,
    items: Vec<Option<Item>>,
    producer: Vec<Option<usize>>,
    readers: Vec<Vec<usize>>,
    wanted: Vec<bool>,
    overwritable: Vec<bool>,
}

impl<'g> Work<'g> {
    fn new(graph: &'g Graph) -> Work<'g> {
        let count = graph.values.len();
        let mut work = Work {
            graph,
            items: Vec::with_capacity(graph.nodes.len()),
            producer: vec![None; count],
            readers: vec![Vec::new(); count],
            wanted: vec![false; count],
            overwritable: vec![false; count],
        };
        graph.outputs.iter().for_each(|&v| work.wanted[v] = true);
        graph.inputs.iter().for_each(|input| work.overwritable[input.value] = input.overwritable);
        for (place, node) in graph.nodes.iter().enumerate() {
            let kind = match as_pointwise(&*node.op) {
                Some(op) => Kind::Pointwise(Piece::of(op, &node.inputs, &node.outputs)),
                None => Kind::Plain(node.clone()),
            };
            work.items.push(Some(Item { place, site: node.site.clone(), kind }));
            work.link(place);
        }
        work
    }

    /// Notes what the item reads and makes.
    fn link(&mut self, at: usize) {
        let item = self.items[at].as_ref().expect("an item that is there");
        let (inputs, outputs) = (item.inputs(), item.outputs());
        for x in inputs {
            if !self.readers[x].contains(&at) {
                self.readers[x].push(at);
            }
        }
        for y in outputs {
            assert!(self.producer[y].replace(at).is_none(), "{}: a value is made twice", self.graph.values[y]);
        }
    }

    fn take(&mut self, at: usize) -> Item {
        let item = self.items[at].take().expect("an item that is there");
        item.inputs().into_iter().for_each(|x| self.readers[x].retain(|&r| r != at));
        item.outputs().into_iter().for_each(|y| self.producer[y] = None);
        item
    }

    fn put(&mut self, at: usize, item: Item) {
        self.items[at] = Some(item);
        self.link(at);
    }

    fn item(&self, at: usize) -> &Item {
        self.items[at].as_ref().expect("producers and readers are kept up to date")
    }

    /// Makes the operation at `at` one with an earlier one where one reads what the other does and one kernel gives both. Whether it did.
    fn join_a_sibling(&mut self, at: usize, device: &Device) -> bool {
        let Some(Item { kind: Kind::Plain(node), .. }) = &self.items[at] else { return false };
        for x in &node.inputs {
            for &sibling in &self.readers[*x] {
                let Kind::Plain(earlier) = &self.item(sibling).kind else { continue };
                let joined = both(node, earlier, *x, device).or_else(|| both(earlier, node, *x, device));
                let Some(joined) = joined.filter(|_| sibling < at) else { continue };
                // What was joined before may stand behind what reads it, so neither may wait for the other.
                if self.waits(at, sibling) || self.waits(sibling, at) {
                    continue;
                }
                let (_, item) = (self.take(sibling), self.take(at));
                self.put(at, Item { kind: Kind::Plain(joined), ..item });
                return true;
            }
        }
        false
    }

    /// Makes the pointwise item at `at` one with an item whose result it reads, if there is one that it can join.
    fn join_a_producer(&mut self, at: usize) -> bool {
        let (piece, product) = match self.items[at].as_ref().map(|item| &item.kind) {
            Some(Kind::Pointwise(piece)) => (piece, None),
            Some(Kind::Epilogue { kernel, piece }) => (piece, Some(kernel.outputs[0])),
            _ => return false,
        };
        let read = piece.inputs().iter().filter(|&&x| Some(x) != product);
        let mut producers: Vec<(usize, usize)> = read.filter_map(|&x| Some((self.producer[x]?, x))).collect();
        // A kernel before an expression, and of several the last: the results of the others are there by then.
        producers.sort_unstable_by_key(|&(p, _)| (matches!(self.item(p).kind, Kind::Pointwise(_)), Reverse(p)));
        producers.dedup();
        producers.into_iter().any(|(p, x)| self.join(p, x, at))
    }

    /// Makes `first`, which makes `value`, and `second`, which reads it, one item in the place of `second`, if that may be.
    fn join(&mut self, first: usize, value: usize, second: usize) -> bool {
        let Some((maker, view)) = self.maker(first, value) else { return false };
        let (first_item, second_item) = (self.item(maker), self.item(second));
        let (before, kernel) = match &first_item.kind {
            Kind::Pointwise(piece) => (piece.clone(), None),
            Kind::Epilogue { kernel, piece } => (piece.clone(), Some(kernel.clone())),
            Kind::Plain(node) => {
                let mut kernel = node.clone();
                kernel.outputs[0] = value;
                (Piece::identity(value), Some(kernel))
            }
        };
        let (after, own_kernel) = match &second_item.kind {
            Kind::Pointwise(piece) => (piece.clone(), None),
            Kind::Epilogue { kernel, piece } => (piece.clone(), Some(kernel.clone())),
            Kind::Plain(_) => return false,
        };
        // What the second one's kernel reads has to be there before the kernel, not after it.
        let feeds_kernel = own_kernel.as_ref().is_some_and(|kernel| first_item.outputs().iter().any(|y| kernel.inputs.contains(y)));
        // What the first one's kernel gives besides its product is not handed over.
        let reads_further = kernel.as_ref().is_some_and(|kernel| kernel.outputs[1..].iter().any(|y| after.inputs().contains(y)));
        if (kernel.is_some() && own_kernel.is_some())
            || feeds_kernel
            || reads_further
            || !self.same_size(value, &after)
            || self.something_between(maker, view, second)
        {
            return false;
        }
        let piece = before.then(&after, |y| self.wanted[y] || self.readers[y].iter().any(|&r| r != second));
        let kind = match kernel.or(own_kernel) {
            Some(kernel) => Kind::Epilogue { kernel, piece },
            None => Kind::Pointwise(piece),
        };
        let site = match &kind {
            Kind::Epilogue { .. } if matches!(second_item.kind, Kind::Pointwise(_)) => first_item.site.clone(),
            _ => second_item.site.clone(),
        };
        let item = Item { place: second_item.place, site, kind };
        if !self.fits(&item) {
            return false;
        }
        self.take(maker);
        view.map(|view| self.take(view));
        self.take(second);
        self.put(second, item);
        true
    }

    /// Who makes `value`, which item `first` gives: itself, or through a view the kernel that nobody else reads. `None` where nothing can be
    /// joined.
    fn maker(&self, first: usize, value: usize) -> Option<(usize, Option<usize>)> {
        let hands_over = |node: &Node, y: usize| node.op.takes_epilogue() && node.outputs[0] == y;
        let node = match &self.item(first).kind {
            Kind::Plain(node) => node,
            Kind::Epilogue { kernel, .. } if kernel.outputs[1..].contains(&value) => return None,
            _ => return Some((first, None)),
        };
        if !node.op.is_view() {
            return hands_over(node, value).then_some((first, None));
        }
        let base = node.inputs[0];
        let maker = self.producer[base].filter(|_| self.readers[base].len() == 1 && !self.wanted[base])?;
        match &self.item(maker).kind {
            Kind::Plain(node) if hands_over(node, base) => Some((maker, Some(first))),
            _ => None,
        }
    }

    /// Whether the expression runs once for each element of the value.
    fn same_size(&self, value: usize, piece: &Piece) -> bool {
        let y = piece.outputs().next().expect("an expression has an output");
        self.graph.values[value].shape == self.graph.values[y].shape
    }

    /// Whether `second` cannot run before `first` has.
    fn waits(&self, second: usize, first: usize) -> bool {
        let reads = self.item(first).outputs().iter().any(|&y| self.readers[y].contains(&second));
        reads || self.something_between(first, None, second)
    }

    /// Whether anything that reads what `first` makes must run before `second`, other than `second` itself.
    fn something_between(&self, first: usize, view: Option<usize>, second: usize) -> bool {
        let mut seen: HashSet<usize> = HashSet::new();
        let mut start = self.item(first).outputs();
        // The first output is seen through the view alone.
        view.into_iter().for_each(|view| start[0] = self.item(view).outputs()[0]);
        let mut open: Vec<usize> = start.iter().flat_map(|&y| self.readers[y].iter().copied()).filter(|&r| r != second).collect();
        while let Some(at) = open.pop() {
            if at == second || seen.len() > MOST_VISITS {
                return true;
            }
            if seen.insert(at) {
                open.extend(self.item(at).outputs().iter().flat_map(|&y| self.readers[y].iter().copied()));
            }
        }
        false
    }

    /// Whether one dispatch can bind it, and the types of its outputs are those that were recorded.
    fn fits(&self, item: &Item) -> bool {
        let (Kind::Pointwise(piece) | Kind::Epilogue { piece, .. }) = &item.kind else { return false };
        let (inputs, outputs) = (item.inputs(), item.outputs());
        // An update of a variable is written where the variable was, so it needs no buffer more.
        let updates =
            inputs.iter().filter(|&&x| self.overwritable[x] && outputs.iter().any(|&y| self.graph.values[y] == self.graph.values[x]));
        if piece.size() > MOST_NODES || inputs.len() + outputs.len() - updates.count().min(outputs.len()) > MOST_BUFFERS {
            return false;
        }
        let node = build(self.graph, item);
        let specs: Vec<Spec> = node.inputs.iter().map(|&x| self.graph.values[x].clone()).collect();
        node.op
            .infer(&specs)
            .is_ok_and(|made| made.len() == outputs.len() && made.iter().zip(&outputs).all(|(s, &y)| *s == self.graph.values[y]))
    }
}

/// The node that gives what `node` and `other` give, whose inputs begin with `shared` and are inputs of `node`.
fn both(node: &Node, other: &Node, shared: usize, device: &Device) -> Option<Node> {
    let shared = node.inputs.iter().position(|x| *x == shared).filter(|&at| node.inputs[at..].starts_with(&other.inputs))?;
    let outputs = node.outputs.iter().chain(&other.outputs).copied().collect();
    let op = node.op.together(&*other.op, shared, device)?;
    Some(Node { op, inputs: node.inputs.clone(), outputs, site: node.site.clone() })
}

fn as_pointwise(op: &dyn Op) -> Option<&Pointwise> {
    (op as &dyn Any).downcast_ref()
}

/// The node that an item has become.
fn build(graph: &Graph, item: &Item) -> Node {
    let outputs = item.outputs();
    let shape = || graph.values[outputs[0]].shape.clone();
    match &item.kind {
        Kind::Plain(node) => node.clone(),
        Kind::Pointwise(piece) => {
            let (op, inputs) = piece.build(shape());
            Node { op: Arc::new(op), inputs, outputs, site: item.site.clone() }
        }
        Kind::Epilogue { kernel: Node { op: main, inputs, outputs: made, .. }, piece } => {
            let (op, read) = piece.build(shape());
            let place = read.iter().position(|x| *x == made[0]).expect("the expression reads the product");
            let extras = read.iter().copied().filter(|x| *x != made[0]);
            let op = Fused::new(main.clone(), inputs.len(), op, place);
            Node { op: Arc::new(op), inputs: inputs.iter().copied().chain(extras).collect(), outputs, site: item.site.clone() }
        }
    }
}
