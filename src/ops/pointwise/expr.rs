//! `Expr`: an expression over the elements of tensors, written with ordinary operators.

use super::functions::{Binary, Compare, Unary};
use crate::shape::DType;
use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Sub};
use std::rc::Rc;

/// One operation of an expression; numbers name earlier nodes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Node {
    Input(usize),
    /// A constant; it takes the type of what it is combined with.
    Number(f64),
    Unary(Unary, usize),
    Binary(Binary, usize, usize),
    Compare(Compare, usize, usize),
    /// The second where the first is not 0, else the third.
    Select(usize, usize, usize),
    Cast(DType, usize),
    /// 1 for a float that is neither NaN nor infinite, else 0.
    IsFinite(usize),
}

impl Node {
    /// The nodes it reads.
    pub fn operands(&self) -> impl Iterator<Item = usize> {
        let (list, count) = match *self {
            Node::Input(_) | Node::Number(_) => ([0; 3], 0),
            Node::Unary(_, a) | Node::Cast(_, a) | Node::IsFinite(a) => ([a, 0, 0], 1),
            Node::Binary(_, a, b) | Node::Compare(_, a, b) => ([a, b, 0], 2),
            Node::Select(a, b, c) => ([a, b, c], 3),
        };
        list.into_iter().take(count)
    }

    /// The same node with its operands renamed.
    pub fn map(self, f: impl Fn(usize) -> usize) -> Node {
        match self {
            Node::Input(_) | Node::Number(_) => self,
            Node::Unary(u, a) => Node::Unary(u, f(a)),
            Node::Cast(t, a) => Node::Cast(t, f(a)),
            Node::IsFinite(a) => Node::IsFinite(f(a)),
            Node::Binary(o, a, b) => Node::Binary(o, f(a), f(b)),
            Node::Compare(o, a, b) => Node::Compare(o, f(a), f(b)),
            Node::Select(a, b, c) => Node::Select(f(a), f(b), f(c)),
        }
    }
}

/// An element's value, made from the elements of the inputs at the same place. Cheap to clone; see [`super::map`].
#[derive(Clone)]
pub struct Expr {
    nodes: Rc<RefCell<Vec<Node>>>,
    id: usize,
}

impl Expr {
    /// The inputs of a new expression.
    pub(crate) fn inputs(count: usize) -> Vec<Expr> {
        let nodes = Rc::new(RefCell::new((0..count).map(Node::Input).collect()));
        (0..count).map(|id| Expr { nodes: Rc::clone(&nodes), id }).collect()
    }

    pub(crate) fn id(&self) -> usize {
        self.id
    }

    pub(crate) fn nodes(&self) -> Vec<Node> {
        self.nodes.borrow().clone()
    }

    pub(crate) fn push(&self, node: Node) -> Expr {
        let mut nodes = self.nodes.borrow_mut();
        // The same node twice is computed once; but a number's type depends on where it is used, so each use has its own.
        let found = if matches!(node, Node::Number(_)) { None } else { nodes.iter().position(|n| *n == node) };
        let id = found.unwrap_or_else(|| {
            nodes.push(node);
            nodes.len() - 1
        });
        Expr { nodes: Rc::clone(&self.nodes), id }
    }

    /// A constant in the same expression.
    pub fn number(&self, value: f64) -> Expr {
        self.push(Node::Number(value))
    }

    fn unary(&self, function: Unary) -> Expr {
        self.push(Node::Unary(function, self.id))
    }

    fn binary(&self, function: Binary, other: &Expr) -> Expr {
        assert!(Rc::ptr_eq(&self.nodes, &other.nodes), "two expressions of different `map` calls");
        self.push(Node::Binary(function, self.id, other.id))
    }

    fn compare(&self, function: Compare, other: &Expr) -> Expr {
        assert!(Rc::ptr_eq(&self.nodes, &other.nodes), "two expressions of different `map` calls");
        self.push(Node::Compare(function, self.id, other.id))
    }

    /// `yes` where this is not 0, else `no`.
    pub fn select(&self, yes: &Expr, no: &Expr) -> Expr {
        self.push(Node::Select(self.id, yes.id, no.id))
    }

    /// The value as another type.
    pub fn cast(&self, dtype: DType) -> Expr {
        self.push(Node::Cast(dtype, self.id))
    }

    /// 1 (`u32`) where the float is neither NaN nor infinite, else 0; by its bits.
    pub fn is_finite(&self) -> Expr {
        self.push(Node::IsFinite(self.id))
    }
}

macro_rules! unary_methods {
    ($($method:ident $function:ident $doc:literal),*) => {
        impl Expr { $(#[doc = $doc] pub fn $method(&self) -> Expr { self.unary(Unary::$function) })* }
    };
}
unary_methods!(abs Abs "Absolute value.", sign Sign "-1, 0 or 1.", exp Exp "`eˣ`.", log Log "Natural logarithm.", sqrt Sqrt "Square root.",
    rsqrt Rsqrt "`1/√x`.", recip Recip "`1/x`.", square Square "`x²`.", sin Sin "Sine.", cos Cos "Cosine.", tanh Tanh "Hyperbolic tangent.",
    sigmoid Sigmoid "`1/(1+e⁻ˣ)`.", softplus Softplus "`log(1+eˣ)`.", relu Relu "`max(x, 0)`.", erf Erf "The error function.",
    floor Floor "Rounds down.", ceil Ceil "Rounds up.");

macro_rules! binary_methods {
    ($($method:ident $kind:ident $function:path, $doc:literal);*) => {
        impl Expr { $(#[doc = $doc] pub fn $method(&self, other: &Expr) -> Expr { self.$kind($function, other) })* }
    };
}
binary_methods!(pow binary Binary::Pow, "`self` to the power `other`."; max binary Binary::Max, "The larger of the two.";
    min binary Binary::Min, "The smaller of the two."; eq compare Compare::Eq, "`u32` 1 where equal."; ne compare Compare::Ne, "`u32` 1 where not equal.";
    lt compare Compare::Lt, "`u32` 1 where less."; le compare Compare::Le, "`u32` 1 where less or equal.";
    gt compare Compare::Gt, "`u32` 1 where greater."; ge compare Compare::Ge, "`u32` 1 where greater or equal.");

macro_rules! operators {
    ($($trait:ident $method:ident $function:ident),*) => { $(
        impl $trait<&Expr> for &Expr {
            type Output = Expr;
            fn $method(self, other: &Expr) -> Expr { self.binary(Binary::$function, other) }
        }
        impl $trait<Expr> for Expr {
            type Output = Expr;
            fn $method(self, other: Expr) -> Expr { (&self).$method(&other) }
        }
        impl $trait<&Expr> for Expr {
            type Output = Expr;
            fn $method(self, other: &Expr) -> Expr { (&self).$method(other) }
        }
        impl $trait<Expr> for &Expr {
            type Output = Expr;
            fn $method(self, other: Expr) -> Expr { self.$method(&other) }
        }
        impl $trait<f64> for &Expr {
            type Output = Expr;
            fn $method(self, other: f64) -> Expr { self.$method(&self.number(other)) }
        }
        impl $trait<f64> for Expr {
            type Output = Expr;
            fn $method(self, other: f64) -> Expr { (&self).$method(other) }
        }
        impl $trait<&Expr> for f64 {
            type Output = Expr;
            fn $method(self, other: &Expr) -> Expr { (&other.number(self)).$method(other) }
        }
        impl $trait<Expr> for f64 {
            type Output = Expr;
            fn $method(self, other: Expr) -> Expr { self.$method(&other) }
        }
    )* };
}
operators!(Add add Add, Sub sub Sub, Mul mul Mul, Div div Div);

impl Neg for &Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        self.unary(Unary::Neg)
    }
}
impl Neg for Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        -&self
    }
}
