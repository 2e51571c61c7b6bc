use super::*;
use crate::device::Device;
use crate::layers::Dense;
use crate::testing::{check, float};

const UNITS: usize = 3;

fn sigma(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `x + h·R` for one sample, where `R` has so many columns.
fn pre(x: &[f64], h: &[f64], kernel: &[f64], columns: usize) -> Vec<f64> {
    (0..columns).map(|j| x[j] + (0..h.len()).map(|i| h[i] * kernel[i * columns + j]).sum::<f64>()).collect()
}

/// Checks one step of a cell: values, gradients and devices. The reference gets a sample's `x`, `h` and `c`, and the weights, and returns the
/// states.
fn check_step<C: Cell>(
    name: &str,
    cell: &C,
    [act, gate]: [ActivationFn; 2],
    reference: impl Fn(&[f64], &[f64], &[f64], &[f64], &[f64]) -> Vec<f64>,
) {
    let (n, columns) = (2, C::GATES * UNITS);
    let inputs = [float([n, columns]), float([n, UNITS]), float([n, UNITS]), float([UNITS, columns]), float([columns])];
    let step = |x: &[Tensor]| {
        let recurrent_bias = (cell.bias_rows() == 2).then(|| x[4].clone());
        let weights = CellWeights { recurrent_kernel: x[3].clone(), recurrent_bias, activation: act, recurrent_activation: gate };
        let states = [x[1].clone(), x[2].clone()];
        let states = cell.formula(weights)?(TimeStep { x: &x[0], seen: &x[1], states: &states[..C::STATES] })?;
        assert_eq!(states.len(), C::STATES);
        // Every input has a part in the sum, so that each has a gradient.
        let rest = x[4].sum_all()?.add(&x[2])?.mul_scalar(0.25)?;
        Tensor::concat(&states.iter().chain([&rest]).collect::<Vec<_>>(), 1)
    };
    check(name, &inputs, step)
        .reference(|x| {
            let sample = |i: usize| {
                let (h, c) = (&x[1][i * UNITS..][..UNITS], &x[2][i * UNITS..][..UNITS]);
                let rest = c.iter().map(|c| 0.25 * (c + x[4].iter().sum::<f64>()));
                let states = reference(&x[0][i * columns..][..columns], h, c, &x[3], &x[4]);
                states.into_iter().chain(rest).collect::<Vec<_>>()
            };
            (0..n).flat_map(sample).collect()
        })
        .terms(columns + UNITS)
        .run();
}

#[test]
fn simple_step() {
    check_step("simple", &SimpleRNNCell::default(), [ActivationFn::Tanh, ActivationFn::Linear], |x, h, _, r, _| {
        pre(x, h, r, UNITS).into_iter().map(f64::tanh).collect()
    });
}

#[test]
fn lstm_step() {
    check_step("lstm", &LSTMCell::default(), [ActivationFn::Tanh, ActivationFn::Sigmoid], |x, h, c, r, _| {
        let z = pre(x, h, r, 4 * UNITS);
        let c: Vec<f64> = (0..UNITS).map(|u| sigma(z[UNITS + u]) * c[u] + sigma(z[u]) * z[2 * UNITS + u].tanh()).collect();
        let h = (0..UNITS).map(|u| sigma(z[3 * UNITS + u]) * c[u].tanh());
        h.chain(c.iter().copied()).collect()
    });
}

/// Functions of whole rows cannot be part of an expression of single elements.
#[test]
fn lstm_step_with_functions_of_rows() {
    let softmax = |x: &[f64]| -> Vec<f64> {
        let sum: f64 = x.iter().map(|v| v.exp()).sum();
        x.iter().map(|v| v.exp() / sum).collect()
    };
    check_step("lstm of rows", &LSTMCell::default(), [ActivationFn::Softmax; 2], |x, h, c, r, _| {
        let z = pre(x, h, r, 4 * UNITS);
        let gates: Vec<Vec<f64>> = z.chunks(UNITS).map(softmax).collect();
        let c: Vec<f64> = (0..UNITS).map(|u| gates[1][u] * c[u] + gates[0][u] * gates[2][u]).collect();
        let h = softmax(&c).into_iter().zip(&gates[3]).map(|(a, o)| a * o);
        h.chain(c.iter().copied()).collect()
    });
}

#[test]
fn gru_steps() {
    let functions = [ActivationFn::Tanh, ActivationFn::Sigmoid];
    let mix = |z: &[f64], h: &[f64], g: &[f64]| (0..UNITS).map(|u| z[u] * h[u] + (1.0 - z[u]) * g[u]).collect();
    check_step("reset after", &GRUCell::default(), functions, |x, h, _, r, b| {
        let recurrent = pre(b, h, r, 3 * UNITS);
        let gates: Vec<f64> = (0..2 * UNITS).map(|j| sigma(x[j] + recurrent[j])).collect();
        let g: Vec<f64> = (0..UNITS).map(|u| (x[2 * UNITS + u] + gates[UNITS + u] * recurrent[2 * UNITS + u]).tanh()).collect();
        mix(&gates[..UNITS], h, &g)
    });
    check_step("reset before", &GRU::new(UNITS).reset_after(false).cell, functions, |x, h, _, r, _| {
        let gates: Vec<f64> = pre(x, h, r, 3 * UNITS).into_iter().map(sigma).collect();
        let reset: Vec<f64> = (0..UNITS).map(|u| gates[UNITS + u] * h[u]).collect();
        let g: Vec<f64> = pre(x, &reset, r, 3 * UNITS)[2 * UNITS..].iter().map(|v| v.tanh()).collect();
        mix(&gates[..UNITS], h, &g)
    });
}

/// Calls the layer on inputs, having built it first.
fn run(layer: &dyn Layer, xs: &[Tensor], cx: &Call) -> Result<Vec<Tensor>> {
    let shapes: Vec<Shape> = xs.iter().map(|x| Shape::from(&x.shape()[1..])).collect();
    layer.build_all(&shapes, &Build::new(&Device::cpu(), 7))?;
    layer.call_all(xs, cx)
}

fn sequences(shape: [usize; 3]) -> Result<Tensor> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (1.7 * i as f32).sin()).collect();
    Tensor::new(&Device::cpu(), shape, &values)
}

fn values(tensors: &[Tensor]) -> Vec<Vec<f32>> {
    tensors.iter().map(|t| t.to_vec::<f32>().unwrap()).collect()
}

#[test]
fn a_sequence_may_be_cut_in_two() -> Result<()> {
    let layer = LSTM::new(4).return_sequences(true).return_state(true);
    let x = sequences([2, 5, 3])?;
    let whole = run(&layer, std::slice::from_ref(&x), &Call::inference())?;
    assert_eq!(whole.iter().map(|y| y.shape().to_string()).collect::<Vec<_>>(), ["[2, 5, 4]", "[2, 4]", "[2, 4]"]);
    let first = run(&layer, &[x.narrow(1, 0, 2)?], &Call::inference())?;
    let second = run(&layer, &[x.narrow(1, 2, 3)?, first[1].clone(), first[2].clone()], &Call::inference())?;
    let joined = [Tensor::concat(&[&first[0], &second[0]], 1)?, second[1].clone(), second[2].clone()];
    assert_eq!(values(&joined), values(&whole));
    assert_eq!(values(&[whole[0].narrow(1, 4, 1)?]), values(&whole[1..2]));
    Ok(())
}

#[test]
fn backwards_is_forwards_on_what_is_reversed() -> Result<()> {
    let (ahead, x) = (GRU::new(3).return_sequences(true), sequences([2, 4, 2])?);
    // A clone has the same weights.
    let back = ahead.clone().go_backwards(true);
    assert_eq!(
        values(&run(&back, std::slice::from_ref(&x), &Call::inference())?),
        values(&run(&ahead, &[x.flip(1)?], &Call::inference())?)
    );
    Ok(())
}

#[test]
fn the_forget_gate_starts_open() -> Result<()> {
    let bias = |layer: &LSTM| -> Result<Vec<f32>> {
        layer.build(&Shape::from([2, 5]), &Build::new(&Device::cpu(), 7))?;
        layer.base().value("bias")?.to_vec()
    };
    assert_eq!(bias(&LSTM::new(2))?, [0., 0., 1., 1., 0., 0., 0., 0.]);
    assert_eq!(bias(&LSTM::new(2).unit_forget_bias(false))?, [0.; 8]);
    let named = bias(&LSTM::new(2).bias_initializer("he_normal"))?;
    assert_eq!(named[2..4], [1., 1.]);
    assert!(named[..2].iter().chain(&named[4..]).all(|v| *v != 0.0 && *v != 1.0), "{named:?}");
    Ok(())
}

/// With a kernel of ones and nothing recurrent, an output is the sum of the inputs that were kept, each doubled.
#[test]
fn dropout_keeps_the_same_features_at_every_step() -> Result<()> {
    let layer = SimpleRNN::new(1).activation("linear").use_bias(false).return_sequences(true);
    let layer = layer.kernel_initializer("ones").recurrent_initializer("zeros").dropout(0.5);
    let powers: Vec<f32> = (0..6 * 3 * 8).map(|i| f32::from(1u16 << (i % 8))).collect();
    let x = Tensor::new(&Device::cpu(), [6, 3, 8], &powers)?;
    let kept = |cx: &Call| -> Result<Vec<f32>> { Ok(values(&run(&layer, std::slice::from_ref(&x), cx)?).swap_remove(0)) };
    assert_eq!(kept(&Call::inference())?, [255.0; 18]);
    let first = kept(&Call::training())?;
    assert!(first.chunks(3).all(|steps| steps[0] == steps[1] && steps[1] == steps[2] && steps[0] % 2.0 == 0.0), "{first:?}");
    assert!(first.iter().any(|v| *v != first[0]), "each sample drops its own: {first:?}");
    assert_ne!(kept(&Call::training())?, first, "each call drops anew");
    Ok(())
}

/// With a recurrent kernel of 1 and nothing from the inputs, a state that is kept doubles at every step, and one that is not is gone.
#[test]
fn recurrent_dropout_drops_the_same_units_at_every_step() -> Result<()> {
    let layer = SimpleRNN::new(1).activation("linear").use_bias(false).return_sequences(true);
    let layer = layer.kernel_initializer("zeros").recurrent_initializer("ones").recurrent_dropout(0.5);
    let (x, h) = (sequences([32, 3, 2])?, sequences([32, 1, 1])?.ones_like()?.reshape([32, 1])?);
    let y = values(&run(&layer, &[x, h], &Call::training())?).swap_remove(0);
    let (doubled, gone) = ([2.0, 4.0, 8.0], [0.0; 3]);
    assert!(y.chunks(3).all(|steps| steps == doubled || steps == gone), "{y:?}");
    assert!(y.chunks(3).any(|steps| steps == doubled) && y.chunks(3).any(|steps| steps == gone), "{y:?}");
    Ok(())
}

#[test]
fn both_directions_are_two_layers() -> Result<()> {
    let x = sequences([2, 4, 3])?;
    let both = Bidirectional::new(LSTM::new(2).return_sequences(true).return_state(true)).merge_mode("none");
    let outputs = values(&run(&both, std::slice::from_ref(&x), &Call::inference())?);
    assert_eq!(both.variables().len(), 6);
    let names: Vec<String> = both.sublayers().iter().map(|layer| layer.name()).collect();
    assert_eq!(names, ["forward_lstm", "backward_lstm"]);
    let mut alone = Vec::new();
    for half in both.sublayers() {
        alone.extend(half.call_all(std::slice::from_ref(&x), &Call::inference())?);
    }
    alone[3] = alone[3].flip(1)?;
    let alone = values(&alone);
    assert_ne!(alone[0], alone[3], "each direction has weights of its own");
    assert_eq!(outputs, [0, 3, 1, 2, 4, 5].map(|i| alone[i].clone()));
    for (mode, merge) in [("sum", (|a, b| a + b) as fn(f32, f32) -> f32), ("mul", |a, b| a * b), ("ave", |a, b| (a + b) / 2.0)] {
        let merged = values(&run(&both.clone().merge_mode(mode), std::slice::from_ref(&x), &Call::inference())?);
        let want: Vec<f32> = alone[0].iter().zip(&alone[3]).map(|(a, b)| merge(*a, *b)).collect();
        assert_eq!((merged.len(), &merged[0]), (5, &want), "{mode}");
    }
    Ok(())
}

#[test]
fn every_step_is_a_sample() -> Result<()> {
    let (dense, x) = (Dense::new(2), sequences([2, 4, 3])?);
    let over_time = TimeDistributed::new(dense.clone());
    let y = run(&over_time, std::slice::from_ref(&x), &Call::inference())?;
    assert_eq!(y[0].shape()[..], [2, 4, 2]);
    assert_eq!(values(&y), values(&[dense.call(&x, &Call::inference())?]));
    assert!(matches!(over_time.build(&Shape::from([]), &Build::new(&Device::cpu(), 0)), Err(Error::Shape { .. })));
    Ok(())
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |layer: &dyn Layer, shapes: &[&[usize]], words: &str| {
        let shapes: Vec<Shape> = shapes.iter().map(|shape| Shape::from(*shape)).collect();
        let text = layer.build_all(&shapes, &Build::new(&Device::cpu(), 0)).expect_err(words).to_string();
        assert!(text.contains(words), "{text}");
    };
    refused(&LSTM::new(0), &[&[4, 3]], "units");
    refused(&LSTM::new(2), &[&[3]], "return_sequences(true)");
    refused(&LSTM::new(2), &[&[4, 3], &[2]], "2 initial states");
    refused(&LSTM::new(2), &[&[4, 3], &[2], &[3]], "of shape [2]");
    refused(&LSTM::new(2), &[], "a sequence");
    refused(&LSTM::new(2).dropout(1.5), &[&[4, 3]], "dropout");
    refused(&LSTM::new(2).recurrent_dropout(-0.1), &[&[4, 3]], "recurrent_dropout");
    refused(&LSTM::new(2).activation("tahn"), &[&[4, 3]], "did you mean \"tanh\"?");
    refused(&LSTM::new(2).recurrent_activation("sigmod"), &[&[4, 3]], "did you mean \"sigmoid\"?");
    refused(&LSTM::new(2).bias_initializer("zeroes"), &[&[4, 3]], "did you mean \"zeros\"?");
    refused(&Bidirectional::new(LSTM::new(2)).merge_mode("concta"), &[&[4, 3]], "did you mean \"concat\"?");
    refused(&Bidirectional::new(LSTM::new(2).go_backwards(true)), &[&[4, 3]], "backwards and backwards");
    refused(&Bidirectional::new(LSTM::new(2)).backward_layer(LSTM::new(2)), &[&[4, 3]], "forwards and forwards");
    refused(&Bidirectional::new(LSTM::new(2)), &[&[4, 3], &[2]], "both directions");
    let other = LSTM::new(2).go_backwards(true).return_sequences(true);
    refused(&Bidirectional::new(LSTM::new(2)).backward_layer(other), &[&[4, 3]], "return_sequences(true)");
    let x = sequences([2, 4, 3]).unwrap();
    run(&LSTM::new(2), &[x.narrow(1, 0, 0).unwrap()], &Call::inference()).expect_err("no steps");
    run(&LSTM::new(2).return_state(true), std::slice::from_ref(&x), &Call::inference()).expect("three outputs");
    LSTM::new(2).call(&x, &Call::inference()).expect_err("not built");
}
