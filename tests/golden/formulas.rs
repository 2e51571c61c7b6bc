//! What of the crate a case of `ops.txt` is about: its inputs, and the call.

use super::compare::Backend;
use super::reader::Case;
use gradus::ops::conv2d::Conv2dParams;
use gradus::ops::window::{Padding, Pool2dParams};
use gradus::{DType, Result, Tensor};

type Body<'a> = Box<dyn Fn(&Backend, &[Tensor]) -> Result<Tensor> + 'a>;

/// A differentiable function of some fields of a case.
pub struct Formula<'a> {
    /// The fields that gradients are taken by.
    pub inputs: Vec<&'static str>,
    /// How many numbers are added up for one number of the output or of a gradient.
    pub terms: usize,
    /// That on a GPU, whose functions are less exact: WGSL lets `exp(x)` be wrong by 3 + 2|x| units in the last place.
    pub gpu_terms: usize,
    /// Each output is made of few numbers, and is compared by its own size if that is above this.
    pub each_above: Option<f64>,
    body: Body<'a>,
}

impl<'a> Formula<'a> {
    fn new(inputs: &[&'static str], terms: usize, body: impl Fn(&Backend, &[Tensor]) -> Result<Tensor> + 'a) -> Formula<'a> {
        Formula { inputs: inputs.to_vec(), terms, gpu_terms: terms, each_above: None, body: Box::new(body) }
    }

    /// For functions that a GPU has instructions for.
    fn inexact_on_gpus(mut self) -> Formula<'a> {
        /// 128 units in the last place.
        const TERMS: usize = 64;
        self.gpu_terms = self.terms.max(TERMS);
        self
    }

    fn each_above(mut self, floor: f64) -> Formula<'a> {
        self.each_above = Some(floor);
        self
    }

    pub fn call(&self, backend: &Backend, inputs: &[Tensor]) -> Result<Tensor> {
        (self.body)(backend, inputs)
    }
}

/// The formula of a case, if the crate has what it needs.
pub fn formula(case: &Case) -> Option<Formula<'_>> {
    const FAMILIES: [fn(&Case) -> Option<Formula<'_>>; 8] = [convolution, pooling, matmul, crossentropy, softmax, reduction, binary, unary];
    FAMILIES.iter().find_map(|family| family(case)).or_else(|| movement(case))
}

fn padding(case: &Case) -> Padding {
    match case.word("padding") {
        "same" => Padding::Same,
        "valid" => Padding::Valid,
        other => panic!("{}: padding {other}", case.name),
    }
}

fn product(sizes: &[usize]) -> usize {
    sizes.iter().product()
}

fn convolution(case: &Case) -> Option<Formula<'_>> {
    case.name.strip_prefix("conv2d_")?;
    let params = Conv2dParams { strides: case.pair("strides"), padding: padding(case), dilation: case.pair("dilation") };
    let (kernel, y) = (case.shape("kernel"), case.shape("y"));
    let window = kernel[0] * kernel[1];
    let terms = product(&[window, kernel[2].max(kernel[3])]).max(product(&y[..3]));
    Some(Formula::new(&["x", "kernel"], terms, move |_, x| x[0].conv2d(&x[1], params)))
}

fn pooling(case: &Case) -> Option<Formula<'_>> {
    let max = case.name.starts_with("max_pool_");
    if !max && !case.name.starts_with("avg_pool_") {
        return None;
    }
    let params = Pool2dParams { size: case.pair("window"), strides: case.pair("strides"), padding: padding(case) };
    let pool = move |x: &Tensor| if max { x.max_pool2d(params) } else { x.avg_pool2d(params) };
    Some(Formula::new(&["x"], product(&params.size), move |_, x| pool(&x[0])))
}

fn matmul(case: &Case) -> Option<Formula<'_>> {
    case.name.strip_prefix("matmul_")?;
    let (a, b) = (case.flag("transpose_a"), case.flag("transpose_b"));
    let longest = ["a", "b"].iter().flat_map(|f| case.shape(f).iter().copied()).max().unwrap_or(1);
    Some(Formula::new(&["a", "b"], longest * case.shape("y").first().copied().unwrap_or(1), move |_, x| x[0].matmul_with(&x[1], a, b)))
}

fn crossentropy(case: &Case) -> Option<Formula<'_>> {
    let terms = case.has("logits").then(|| case.shape("logits").last().copied().unwrap_or(1))?;
    if case.name.starts_with("sparse_softmax_ce_") {
        return Some(Formula::new(&["logits"], terms, |on, x| {
            x[0].sparse_softmax_crossentropy(&case.tensor(&on.device, DType::U32, "labels")?)
        }));
    }
    Some(Formula::new(&["logits"], terms, |on, x| x[0].softmax_crossentropy(&case.tensor(&on.device, on.dtype, "targets")?)))
}

fn softmax(case: &Case) -> Option<Formula<'_>> {
    let logarithm = case.name.starts_with("log_softmax_");
    if case.has("axis") || (!logarithm && !case.name.starts_with("softmax_")) {
        return None;
    }
    let terms = case.shape("x").last().copied().unwrap_or(1);
    Some(Formula::new(&["x"], terms, move |_, x| if logarithm { x[0].log_softmax() } else { x[0].softmax() }))
}

fn reduction(case: &Case) -> Option<Formula<'_>> {
    let rest = case.name.strip_prefix("reduce_")?;
    let axes: Vec<isize> = case.integers("axis").into_iter().map(|a| a as isize).collect();
    let keepdims = case.flag("keepdims");
    let reduce: fn(&Tensor, &[isize], bool) -> Result<Tensor> = match rest.split('_').next()? {
        "sum" => |x, axes, keepdims| x.sum(axes, keepdims),
        "mean" => |x, axes, keepdims| x.mean(axes, keepdims),
        "max" => |x, axes, keepdims| x.max(axes, keepdims),
        "min" => |x, axes, keepdims| x.min(axes, keepdims),
        _ => return None,
    };
    Some(Formula::new(&["x"], case.shape("x").elements(), move |_, x| reduce(&x[0], &axes, keepdims)))
}

fn binary(case: &Case) -> Option<Formula<'_>> {
    if case.name == "square_broadcast_mul_self" {
        return Some(Formula::new(&["a"], 1, |_, x| x[0].mul(&x[0])));
    }
    let f: fn(&Tensor, &Tensor) -> Result<Tensor> = match case.name.split('_').next()? {
        "add" => |a, b| a.add(b),
        "sub" => |a, b| a.sub(b),
        "mul" => |a, b| a.mul(b),
        "div" => |a, b| a.div(b),
        "pow" => |a, b| a.pow(b),
        "maximum" => |a, b| a.maximum(b),
        "minimum" => |a, b| a.minimum(b),
        _ => return None,
    };
    let smaller = case.shape("a").elements().min(case.shape("b").elements());
    let terms = case.shape("y").elements() / smaller;
    let formula = Formula::new(&["a", "b"], terms, move |_, x| f(&x[0], &x[1])).each_above(f64::from(f32::MIN_POSITIVE));
    Some(if case.name.starts_with("pow") { formula.inexact_on_gpus() } else { formula })
}

fn unary(case: &Case) -> Option<Formula<'_>> {
    let name = case.name.strip_prefix("unary_")?;
    if name == "clip_at_bounds" {
        let bound = |on: &Backend, field: &str| case.tensor(&on.device, on.dtype, field);
        return Some(Formula::new(&["x"], 1, move |on, x| x[0].maximum(&bound(on, "lower")?)?.minimum(&bound(on, "upper")?)));
    }
    let f: fn(&Tensor) -> Result<Tensor> = match name.strip_suffix("_far").unwrap_or(name) {
        "exp" => Tensor::exp,
        "tanh" => Tensor::tanh,
        "sigmoid" => Tensor::sigmoid,
        "relu" => Tensor::relu,
        "abs" => Tensor::abs,
        "softplus" => Tensor::softplus,
        "sin" => Tensor::sin,
        "cos" => Tensor::cos,
        "square" => Tensor::square,
        "negative" => Tensor::neg,
        "sign" => Tensor::sign,
        "erf" => Tensor::erf,
        "floor" => Tensor::floor,
        "log" => Tensor::log,
        "sqrt" => Tensor::sqrt,
        "rsqrt" => Tensor::rsqrt,
        "reciprocal" => Tensor::recip,
        _ => return None,
    };
    // A derivative like 1 - y² is a difference of numbers near 1, and its rounding is theirs; so are sines far from 0.
    let near_one = ["tanh", "sigmoid", "erf", "sin", "cos", "log"].iter().any(|f| name.starts_with(f));
    let formula = Formula::new(&["x"], 1, move |_, x| f(&x[0])).each_above(if near_one { 1.0 } else { f64::from(f32::MIN_POSITIVE) });
    let exact = ["relu", "abs", "square", "negative", "sign", "floor"].contains(&name);
    Some(if exact { formula } else { formula.inexact_on_gpus() })
}

/// Operations that only move numbers.
fn movement(case: &Case) -> Option<Formula<'_>> {
    fn one(body: Body<'_>) -> Formula<'_> {
        Formula { inputs: vec!["x"], terms: 1, gpu_terms: 1, each_above: None, body }
    }
    let shape = || case.shape("y").clone();
    Some(match case.name.split('_').next()? {
        "gather" if case.number("axis") == 0.0 => one(Box::new(|on, x| x[0].gather(&case.tensor(&on.device, DType::U32, "indices")?))),
        "transpose" => one(Box::new(|_, x| x[0].transpose(&case.sizes("perm")))),
        "slice" => one(Box::new(|_, x| {
            let ranges: Vec<_> = case.sizes("begin").into_iter().zip(case.sizes("size")).map(|(from, n)| from..from + n).collect();
            x[0].slice(&ranges)
        })),
        "pad" => one(Box::new(|_, x| {
            let around: Vec<_> = case.sizes("paddings").chunks(2).map(|pair| (pair[0], pair[1])).collect();
            x[0].pad(&around, 0.0)
        })),
        "concat" => {
            let inputs = ["a", "b", "c"].into_iter().filter(|f| case.has(f)).collect();
            let body: Body = Box::new(|_, x| Tensor::concat(&x.iter().collect::<Vec<_>>(), case.number("axis") as isize));
            Formula { inputs, ..one(body) }
        }
        "reshape" => one(Box::new(move |_, x| x[0].reshape(shape()))),
        "broadcast" => {
            let stretch = case.shape("y").elements() / case.shape("x").elements();
            Formula { terms: stretch, gpu_terms: stretch, ..one(Box::new(move |_, x| x[0].broadcast_to(shape()))) }
        }
        _ => return None,
    })
}

/// The outputs, by field, of a case without gradients, if the crate has what it needs.
pub fn outputs(case: &Case, on: &Backend) -> Option<Result<Vec<(&'static str, Tensor)>>> {
    let float = |field: &str| case.tensor(&on.device, on.dtype, field);
    let index = |field: &str| case.tensor(&on.device, DType::U32, field);
    let axis = || case.number("axis") as isize;
    if case.name == "compare" {
        return Some(float("a").and_then(|a| compare(&a, &float("b")?)));
    }
    let y = match case.name.split('_').next()? {
        "argmax" => float("x").and_then(|x| x.argmax(axis())),
        "one" => index("indices").and_then(|i| i.one_hot_as(case.sizes("depth")[0], on.dtype)),
        _ => return None,
    };
    Some(y.map(|y| vec![("y", y)]))
}

fn compare(a: &Tensor, b: &Tensor) -> Result<Vec<(&'static str, Tensor)>> {
    Ok(vec![
        ("less", a.lt(b)?),
        ("less_equal", a.le(b)?),
        ("greater", a.gt(b)?),
        ("greater_equal", a.ge(b)?),
        ("equal", a.eq(b)?),
        ("not_equal", a.ne(b)?),
    ])
}
