//! Activation functions against Keras on TensorFlow: values, and slopes where the pieces of a function meet.

use super::*;
use crate::device::Device;
use crate::record::GradientTape;
use crate::testing::{check, close, float, gpu};

/// Where the functions are looked at: their kinks among others.
const X: [f64; 9] = [-3.0, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 3.0, 7.0];

fn of(name: &str) -> ActivationFn {
    name.parse().unwrap()
}

fn relu(negative_slope: f64, max_value: Option<f64>, threshold: f64) -> ActivationFn {
    ReluWith { negative_slope, max_value, threshold }
}

/// Function, values at `X`, slopes at `X`: eight digits of Keras in float32.
#[rustfmt::skip]
#[expect(clippy::approx_constant, reason = "the numbers stand as Keras prints them")]
fn table() -> Vec<(ActivationFn, [f64; 9], [f64; 9])> {
    vec![
        (Linear, X, [1.0; 9]),
        (Relu, [0.0, 0.0, 0.0, 0.0, 0.25, 0.5, 1.0, 3.0, 7.0], [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        (Relu6, [0.0, 0.0, 0.0, 0.0, 0.25, 0.5, 1.0, 3.0, 6.0], [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0]),
        (relu(0.1, Some(2.0), 0.5), [-0.34999999, -0.15000001, -0.1, -0.050000001, -0.025, 0.0, 1.0, 2.0, 2.0], [0.1, 0.1, 0.1, 0.1, 0.1, 0.0, 1.0, 0.0, 0.0]),
        (relu(0.1, Some(6.0), 0.0), [-0.30000001, -0.1, -0.050000001, 0.0, 0.25, 0.5, 1.0, 3.0, 6.0], [0.1, 0.1, 0.1, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0]),
        (relu(0.0, Some(1.0), 0.0), [0.0, 0.0, 0.0, 0.0, 0.25, 0.5, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0]),
        (relu(0.0, None, 0.5), [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 3.0, 7.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]),
        (relu(0.1, None, 0.5), [-0.34999999, -0.15000001, -0.1, -0.050000001, -0.025, 0.0, 1.0, 3.0, 7.0], [0.1, 0.1, 0.1, 0.1, 0.1, 0.0, 1.0, 1.0, 1.0]),
        (relu(0.1, None, 0.0), [-0.30000001, -0.1, -0.050000001, 0.0, 0.25, 0.5, 1.0, 3.0, 7.0], [0.1, 0.1, 0.1, 0.1, 1.0, 1.0, 1.0, 1.0, 1.0]),
        (relu(0.1, Some(3.0), -1.0), [-0.2, 0.0, 0.0, 0.0, 0.25, 0.5, 1.0, 3.0, 3.0], [0.1, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0]),
        (of("leaky_relu"), [-0.60000002, -0.2, -0.1, 0.0, 0.25, 0.5, 1.0, 3.0, 7.0], [0.2, 0.2, 0.2, 0.2, 1.0, 1.0, 1.0, 1.0, 1.0]),
        (LeakyRelu { negative_slope: 0.3 }, [-0.90000004, -0.30000001, -0.15000001, 0.0, 0.25, 0.5, 1.0, 3.0, 7.0], [0.30000001, 0.30000001, 0.30000001, 0.30000001, 1.0, 1.0, 1.0, 1.0, 1.0]),
        (of("elu"), [-0.95021296, -0.63212055, -0.39346933, 0.0, 0.25, 0.5, 1.0, 3.0, 7.0], [0.049787045, 0.36787945, 0.60653067, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        (Elu { alpha: 2.0 }, [-1.9004259, -1.2642411, -0.78693867, 0.0, 0.25, 0.5, 1.0, 3.0, 7.0], [0.099574089, 0.7357589, 1.2130613, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        (Selu, [-1.6705687, -1.1113307, -0.69175816, 0.0, 0.26267526, 0.52535051, 1.050701, 3.1521029, 7.354907], [0.087530613, 0.64676857, 1.0663412, 1.050701, 1.050701, 1.050701, 1.050701, 1.050701, 1.050701]),
        (of("celu"), [-0.95021296, -0.63212055, -0.39346933, 0.0, 0.25, 0.5, 1.0, 3.0, 7.0], [0.049787071, 0.36787945, 0.60653067, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        (Celu { alpha: 2.0 }, [-1.5537397, -0.78693867, -0.44239843, 0.0, 0.25, 0.5, 1.0, 3.0, 7.0], [0.22313017, 0.60653067, 0.77880079, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        (of("gelu"), [-0.0040496956, -0.15865526, -0.15426877, 0.0, 0.14967658, 0.34573123, 0.84134471, 2.9959502, 7.0], [-0.011945652, -0.083315492, 0.13250488, 0.5, 0.69537336, 0.86749512, 1.0833155, 1.0119456, 1.0]),
        (Gelu { approximate: true }, [-0.0036374331, -0.15880799, -0.154286, 0.0, 0.14967535, 0.345714, 0.84119201, 2.9963627, 7.0], [-0.011584243, -0.082964092, 0.13263009, 0.5, 0.6953541, 0.86736995, 1.0829641, 1.0115842, 1.0]),
        (Silu, [-0.1422776, -0.2689414, -0.18877034, 0.0, 0.14054413, 0.31122968, 0.73105854, 2.8577223, 6.9936228], [-0.088104092, 0.072329476, 0.26003882, 0.5, 0.62371004, 0.73996121, 0.92767042, 1.0881041, 1.0054606]),
        (Softplus, [0.048587356, 0.31326169, 0.47407699, 0.69314718, 0.82593942, 0.97407693, 1.3132616, 3.0485871, 7.0009117], [0.047425866, 0.2689414, 0.37754068, 0.5, 0.56217653, 0.62245935, 0.73105854, 0.95257413, 0.99908894]),
        (Softsign, [-0.75, -0.5, -0.33333334, 0.0, 0.2, 0.33333334, 0.5, 0.75, 0.875], [0.0625, 0.25, 0.44444445, 1.0, 0.63999999, 0.44444445, 0.25, 0.0625, 0.015625]),
        (Sigmoid, [0.047425866, 0.2689414, 0.37754068, 0.5, 0.56217653, 0.62245935, 0.73105854, 0.95257413, 0.99908894], [0.045176655, 0.19661193, 0.23500371, 0.25, 0.24613407, 0.23500371, 0.19661196, 0.045176655, 0.00091022695]),
        (HardSigmoid, [0.0, 0.33333334, 0.41666666, 0.5, 0.54166669, 0.58333331, 0.66666669, 1.0, 1.0], [0.0, 0.16666667, 0.16666667, 0.16666667, 0.16666667, 0.16666667, 0.16666667, 0.0, 0.0]),
        (HardSilu, [0.0, -0.33333334, -0.20833333, 0.0, 0.13541667, 0.29166666, 0.66666669, 3.0, 7.0], [0.0, 0.16666667, 0.33333331, 0.5, 0.58333337, 0.66666663, 0.83333337, 1.0, 1.0]),
        (Tanh, [-0.99505472, -0.76159418, -0.46211714, 0.0, 0.24491866, 0.46211714, 0.76159418, 0.99505472, 0.99999833], [0.0098661184, 0.41997433, 0.78644776, 1.0, 0.94001484, 0.78644776, 0.41997433, 0.0098661184, 3.3378601e-06]),
        (HardTanh, [-1.0, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]),
        (TanhShrink, [-2.0049453, -0.23840582, -0.037882864, 0.0, 0.0050813407, 0.037882864, 0.23840582, 2.0049453, 6.0000019], [0.99013388, 0.58002567, 0.21355224, 0.0, 0.059985161, 0.21355224, 0.58002567, 0.99013388, 0.99999666]),
        (of("soft_shrink"), [-2.5, -0.5, 0.0, 0.0, 0.0, 0.0, 0.5, 2.5, 6.5], [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]),
        (of("hard_shrink"), [-3.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 3.0, 7.0], [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]),
        (Threshold { threshold: 0.5, default_value: -2.0 }, [-2.0, -2.0, -2.0, -2.0, -2.0, -2.0, 1.0, 3.0, 7.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]),
        (Exponential, [0.049787071, 0.36787945, 0.60653067, 1.0, 1.2840254, 1.6487212, 2.7182817, 20.085537, 1096.6332], [0.049787071, 0.36787945, 0.60653067, 1.0, 1.2840254, 1.6487212, 2.7182817, 20.085537, 1096.6332]),
        (Mish, [-0.14564748, -0.3034015, -0.22074378, 0.0, 0.16957241, 0.37524518, 0.86509842, 2.9865351, 6.999989], [-0.093393087, 0.059216812, 0.28951067, 0.59999996, 0.75417268, 0.88642436, 1.0490363, 1.021107, 1.0000201]),
        (LogSigmoid, [-3.0485871, -1.3132616, -0.97407693, -0.69314718, -0.57593948, -0.47407699, -0.31326169, -0.048587356, -0.00091146649], [0.95257413, 0.73105854, 0.62245935, 0.5, 0.43782344, 0.37754068, 0.2689414, 0.047425866, 0.00091105123]),
        (of("squareplus"), [0.30277562, 0.61803401, 0.78077638, 1.0, 1.1327822, 1.2807764, 1.618034, 3.3027756, 7.1400547], [0.083974838, 0.2763932, 0.37873217, 0.5, 0.56201738, 0.6212678, 0.72360682, 0.91602516, 0.98076195]),
        (Squareplus { b: 1.0 }, [0.081138849, 0.20710677, 0.309017, 0.5, 0.64038819, 0.809017, 1.2071068, 3.0811388, 7.0355339], [0.025658369, 0.14644662, 0.2763932, 0.5, 0.6212678, 0.72360682, 0.85355341, 0.97434163, 0.99497473]),
        (SparsePlus, [0.0, 0.0, 0.0625, 0.25, 0.390625, 0.5625, 1.0, 3.0, 7.0], [0.0, 0.0, 0.25, 0.5, 0.625, 0.75, 1.0, 1.0, 1.0]),
        (SparseSigmoid, [0.0, 0.0, 0.25, 0.5, 0.625, 0.75, 1.0, 1.0, 1.0], [0.0, 0.0, 0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0]),
    ]
}

/// The values and the gradient of their sum.
fn with_slopes(device: &Device, function: ActivationFn, x: &[f32]) -> Result<[Vec<f64>; 2]> {
    let x = Tensor::new(device, [x.len()], x)?;
    let tape = GradientTape::new();
    tape.watch(&x);
    let y = function.apply(&x)?;
    let slopes = match function {
        Linear => x.ones_like()?,
        _ => tape.gradient(&y, [&x])?.get(0)?.clone(),
    };
    let read = |t: &Tensor| Ok(t.to_vec::<f32>()?.into_iter().map(f64::from).collect());
    Ok([read(&y)?, read(&slopes)?])
}

#[test]
fn golden_values_and_slopes() -> Result<()> {
    for device in [Some(Device::cpu()), gpu("golden values of activations")].iter().flatten() {
        for (function, values, slopes) in table() {
            let [y, dx] = with_slopes(device, function, &X.map(|x| x as f32))?;
            close(&y, &values, 1e-6, 2e-6).unwrap_or_else(|e| panic!("{function:?} on {device}: {e}"));
            close(&dx, &slopes, 1e-6, 2e-6).unwrap_or_else(|e| panic!("slope of {function:?} on {device}: {e}"));
        }
    }
    Ok(())
}

/// Values that overflow the parts of a formula must not overflow the whole, nor its slope.
#[test]
fn far_from_zero() -> Result<()> {
    let (down, up) = ([0.0, 1000.0], [0.0, 1.0]);
    for (function, want, slopes) in [
        (of("elu"), [-1.0, 1000.0], up),
        (of("celu"), [-1.0, 1000.0], up),
        (Selu, [-SELU_SCALE * SELU_ALPHA, 1000.0 * SELU_SCALE], [0.0, SELU_SCALE]),
        (Silu, down, up),
        (HardSilu, down, up),
        (Mish, down, up),
        (of("gelu"), down, up),
        (Gelu { approximate: true }, down, up),
        (Softplus, down, up),
        (SparsePlus, down, up),
        (LogSigmoid, [-1000.0, 0.0], [1.0, 0.0]),
        (Sigmoid, up, [0.0, 0.0]),
        (Tanh, [-1.0, 1.0], [0.0, 0.0]),
    ] {
        let [y, dx] = with_slopes(&Device::cpu(), function, &[-1000.0, 1000.0])?;
        close(&y, &want, 1e-4, 1e-4).unwrap_or_else(|e| panic!("{function:?}: {e}"));
        close(&dx, &slopes, 1e-4, 1e-4).unwrap_or_else(|e| panic!("slope of {function:?}: {e}"));
    }
    Ok(())
}

#[test]
fn rows_over_any_axis() {
    let halves = |a: f64, b: f64| a / (1.0 + (-b).exp());
    check("glu", &[float([2, 3, 4])], |x| Glu { axis: -1 }.apply(&x[0]))
        .reference(|x| x[0].chunks(4).flat_map(|row| [halves(row[0], row[2]), halves(row[1], row[3])]).collect())
        .run();
    check("glu over axis 0", &[float([2, 3])], |x| Glu { axis: 0 }.apply(&x[0]))
        .reference(|x| (0..3).map(|i| halves(x[0][i], x[0][3 + i])).collect())
        .run();
    check("softmax over axis 0", &[float([3, 2])], |x| SoftmaxOver { axis: 0 }.apply(&x[0]))
        .reference(|x| (0..6).map(|i| x[0][i].exp() / (0..3).map(|row| x[0][row * 2 + i % 2].exp()).sum::<f64>()).collect())
        .terms(3)
        .run();
    let x = Tensor::zeros(&Device::cpu(), [2, 3]).unwrap();
    assert!(matches!(Glu { axis: 1 }.apply(&x), Err(Error::Shape { .. })));
    assert!(matches!(Glu { axis: 2 }.apply(&x), Err(Error::Argument { .. })));
    assert!(matches!(LogSoftmax { axis: -3 }.apply(&x), Err(Error::Argument { .. })));
    assert_eq!(Sparsemax { axis: 1 }.apply(&x).unwrap().to_vec::<f32>().unwrap(), [1.0 / 3.0; 6]);
}

/// Fused with a bias or not, the function is the same.
#[test]
fn a_bias_is_added_first() -> Result<()> {
    let device = Device::cpu();
    let x = Tensor::new(&device, [2, 4], &[-3.0f32, -1.0, -0.25, 0.0, 0.25, 0.75, 1.0, 3.0])?;
    let bias = Tensor::new(&device, [4], &[0.5f32, -0.25, 0.0, 1.0])?;
    let all = table().into_iter().map(|(function, ..)| function);
    for function in all.chain([Softmax, SoftmaxOver { axis: 0 }, LogSoftmax { axis: 1 }, Sparsemax { axis: -1 }, Glu { axis: 1 }]) {
        let fused = function.apply_biased(&x, Some(&bias))?.to_vec::<f32>()?;
        assert_eq!(fused, function.apply(&x.add(&bias)?)?.to_vec::<f32>()?, "{function:?}");
        assert_eq!(function.apply_biased(&x, None)?.to_vec::<f32>()?, function.apply(&x)?.to_vec::<f32>()?, "{function:?}");
    }
    Ok(())
}

#[test]
fn names() {
    for (name, function) in NAMES {
        assert_eq!(name.parse(), Ok(function));
        assert!(name == function.name() || ["swish", "hard_swish"].contains(&name), "{name}");
    }
    assert_eq!("Swish".parse(), Ok(Silu));
    assert_eq!(LeakyRelu { negative_slope: 0.5 }.name(), "leaky_relu");
    assert_eq!((relu(0.1, None, 0.0).name(), SoftmaxOver { axis: 1 }.name()), ("relu", "softmax"));
    let text = "rleu".parse::<ActivationFn>().expect_err("a slip").to_string();
    assert!(text.ends_with("did you mean \"relu\"?"), "{text}");
}
