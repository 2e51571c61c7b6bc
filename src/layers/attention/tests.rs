//! Against plain loops, in models, and with inputs that do not fit.

use super::*;
use crate::device::Device;
use crate::layers::Layer;
use crate::models::{Input, Model};
use crate::shape::DType;
use crate::testing::{close, gpu};

const STEPS: usize = 3;

fn devices() -> Vec<Device> {
    [Some(Device::cpu()), gpu("attention layers")].into_iter().flatten().collect()
}

fn tensor(device: &Device, shape: &[usize], salt: usize) -> Tensor {
    let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (((i + salt) * 37 + 11) % 23) as f32 / 8.0 - 1.3).collect();
    Tensor::new(device, shape, &values).unwrap()
}

fn f64s(tensor: &Tensor) -> Vec<f64> {
    tensor.to_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
}

fn call(layer: &dyn Layer, xs: &[Tensor], cx: &Call) -> Result<Vec<Tensor>> {
    let shapes: Vec<Shape> = xs.iter().map(|x| Shape::from(&x.shape()[1..])).collect();
    layer.build_all(&shapes, &Build::new(xs[0].device(), 5))?;
    layer.call_all(xs, cx)
}

/// Softmax over the values that are seen, and the mean of `value` (`[n, values, 2]`) by it.
fn reference(
    score: impl Fn(usize, usize, usize) -> f64,
    seen: impl Fn(usize, usize, usize) -> bool,
    value: &[f64],
    values: usize,
) -> Vec<f64> {
    let mut y = Vec::new();
    for (n, q) in (0..2).flat_map(|n| (0..STEPS).map(move |q| (n, q))) {
        let weights: Vec<f64> = (0..values).map(|v| if seen(n, q, v) { score(n, q, v).exp() } else { 0.0 }).collect();
        let sum: f64 = weights.iter().sum();
        y.extend((0..2).map(|d| weights.iter().enumerate().map(|(v, w)| w / sum * value[(n * values + v) * 2 + d]).sum::<f64>()));
    }
    y
}

#[test]
fn products_and_sums_by_loops() -> Result<()> {
    for device in devices() {
        let (q, v, k) = (tensor(&device, &[2, STEPS, 3], 0), tensor(&device, &[2, 4, 2], 5), tensor(&device, &[2, 4, 3], 9));
        let mask = Tensor::new(&device, [2, 1, 4], &[1.0f32, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0])?;
        let (fq, fv, fk, fm) = (f64s(&q), f64s(&v), f64s(&k), f64s(&mask));
        let over = |n: usize, a: usize, b: usize, f: fn(f64, f64) -> f64| {
            (0..3).map(|d| f(fq[(n * STEPS + a) * 3 + d], fk[(n * 4 + b) * 3 + d])).sum::<f64>()
        };
        let xs = [q.clone(), v.clone(), k.clone()];
        let check = |what: &str, got: &Tensor, want: &[f64]| close(&f64s(got), want, 1e-5, 1e-5).unwrap_or_else(|e| panic!("{what}: {e}"));
        let y = call(&Attention::new(), &xs, &Call::inference())?;
        check("dot", &y[0], &reference(|n, a, b| over(n, a, b, |q, k| q * k), |_, _, _| true, &fv, 4));
        let y = call(&Attention::new().use_causal_mask(true), &xs, &Call::inference())?;
        check("causal", &y[0], &reference(|n, a, b| over(n, a, b, |q, k| q * k), |_, a, b| b <= a, &fv, 4));
        let y = call(&Attention::new().attention_mask(true), &[q, v, k, mask], &Call::inference())?;
        check("masked", &y[0], &reference(|n, a, b| over(n, a, b, |q, k| q * k), |n, _, b| fm[n * 4 + b] != 0.0, &fv, 4));
        let sums = Attention::new().score_mode(ScoreMode::Concat).use_scale(true);
        let want = reference(|n, a, b| over(n, a, b, |q, k| (q + k).tanh()), |_, _, _| true, &fv, 4);
        check("concat", &call(&sums, &xs, &Call::inference())?[0], &want);
        check("additive", &call(&AdditiveAttention::new().use_scale(false), &xs, &Call::inference())?[0], &want);
        let additive = AdditiveAttention::new();
        call(&additive, &xs, &Call::inference())?;
        additive.variables()[0].assign(&Tensor::full(&device, [3], DType::F32, 1.0)?)?;
        check("scaled by ones", &call(&additive, &xs, &Call::inference())?[0], &want);
    }
    Ok(())
}

/// One head whose projections are the identity is attention by scaled products.
#[test]
fn a_head_that_changes_nothing() -> Result<()> {
    for device in devices() {
        let x = tensor(&device, &[2, STEPS, 2], 3);
        let heads = MultiHeadAttention::new(1, 2).use_bias(false).return_attention_scores(true);
        let both = [x.clone(), x.clone()];
        call(&heads, &both, &Call::inference())?;
        let names: Vec<String> = heads.variables().iter().map(|v| v.name().trim_start_matches('/').to_string()).collect();
        assert_eq!(names, ["query/kernel", "key/kernel", "value/kernel", "attention_output/kernel"]);
        for variable in heads.variables() {
            variable.assign(&Tensor::new(&device, variable.shape(), &[1.0f32, 0.0, 0.0, 1.0])?)?;
        }
        let ys = call(&heads, &both, &Call::inference())?;
        let fx = f64s(&x);
        let score =
            |n: usize, a: usize, b: usize| (0..2).map(|d| fx[(n * 3 + a) * 2 + d] * fx[(n * 3 + b) * 2 + d]).sum::<f64>() / 2f64.sqrt();
        close(&f64s(&ys[0]), &reference(score, |_, _, _| true, &fx, STEPS), 1e-5, 1e-5).unwrap();
        assert_eq!(ys[1].shape()[..], [2, 1, STEPS, STEPS]);
        close(&f64s(&ys[1].sum(&[-1], false)?), &[1.0; 6], 1e-6, 0.0).unwrap();
    }
    Ok(())
}

/// Glorot's limits are those of the matrices that the kernels are.
#[test]
fn kernels_start_as_matrices_would() -> Result<()> {
    let x = tensor(&Device::cpu(), &[2, STEPS, 100], 0);
    let heads = MultiHeadAttention::new(4, 25);
    call(&heads, &[x.clone(), x], &Call::inference())?;
    for kernel in heads.variables().iter().filter(|v| v.name().ends_with("kernel")) {
        let largest = f64s(&kernel.value()?).into_iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let limit = (6.0f64 / 200.0).sqrt();
        assert!(largest <= limit * 1.000_001 && largest >= 0.99 * limit, "{}: {largest} of {limit}", kernel.name());
    }
    Ok(())
}

#[test]
fn weights_are_dropped_in_training_only() -> Result<()> {
    for device in devices() {
        let x = tensor(&device, &[2, STEPS, 4], 1);
        let xs = [x.clone(), x];
        for layer in [Box::new(Attention::new().dropout(0.5)) as Box<dyn Layer>, Box::new(MultiHeadAttention::new(2, 3).dropout(0.5))] {
            let still = f64s(&call(layer.as_ref(), &xs, &Call::inference())?[0]);
            assert_eq!(still, f64s(&call(layer.as_ref(), &xs, &Call::inference())?[0]));
            let one = f64s(&call(layer.as_ref(), &xs, &Call::training())?[0]);
            assert!(one != still && one != f64s(&call(layer.as_ref(), &xs, &Call::training())?[0]), "{}", layer.base().kind());
        }
    }
    Ok(())
}

#[test]
fn in_functional_models() -> Result<()> {
    let (x, memory, mask) = (Input::new([5, 8]), Input::new([7, 6]), Input::new([5, 7]));
    let y = MultiHeadAttention::new(2, 4).attention_mask(true).on([&x, &memory, &mask])?;
    let ys =
        MultiHeadAttention::new(2, 3).value_dim(5).output_shape(8).use_causal_mask(true).return_attention_scores(true).on_all([&y, &y])?;
    let z = Attention::new().use_scale(true).on([&ys[0], &x])?;
    let mut model = Model::new([&x, &memory, &mask], [&z, &ys[1]])?.on_device(&Device::cpu());
    model.build_all(&[Shape::from([5, 8]), Shape::from([7, 6]), Shape::from([5, 7])])?;
    let shapes: Vec<&[usize]> = model.output_specs()?.iter().map(|s| &s.shape[..]).collect();
    assert_eq!(shapes, [&[5, 8][..], &[2, 5, 5]]);
    let first = 8 * 8 + 8 + 2 * (6 * 8 + 8) + 8 * 8 + 8;
    assert_eq!(model.count_params(), first + 2 * (8 * 6 + 6) + (8 * 10 + 10) + (10 * 8 + 8) + 1);
    assert_eq!(model.variables()[0].name(), "multi_head_attention/query/kernel");
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused() {
    let cpu = Device::cpu();
    let text = |layer: &dyn Layer, shapes: &[&[usize]]| {
        let shapes: Vec<Shape> = shapes.iter().map(|s| Shape::from(*s)).collect();
        layer.build_all(&shapes, &Build::new(&cpu, 0)).unwrap_err().to_string()
    };
    let heads = MultiHeadAttention::new(2, 3);
    assert!(text(&heads, &[&[3, 4]]).contains("query and value"));
    assert!(text(&heads, &[&[3, 4], &[4]]).contains("a value of shape [steps, features]"));
    assert!(text(&heads, &[&[3, 4], &[5, 4], &[6, 4]]).contains("as many keys as values, 5"));
    assert!(text(&MultiHeadAttention::new(0, 3), &[&[3, 4], &[3, 4]]).contains("num_heads"));
    assert!(text(&heads.clone().dropout(2.0), &[&[3, 4], &[3, 4]]).contains("dropout"));
    assert!(text(&heads.attention_mask(true), &[&[3, 4], &[5, 4], &[5, 3]]).contains("a mask of shape [3, 5]"));
    assert!(text(&Attention::new(), &[&[3, 4], &[3, 5]]).contains("keys as long as queries, 4"));
}
