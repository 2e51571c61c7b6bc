//! The optimizers, seen from outside: Keras's displacements, replay, and steps that must change nothing.

use gradus::optimizers::{Adam, AdamW, Optimizer, RMSprop, SGD};
use gradus::{Device, Error, Function, Result, Tensor, Variable};
use ndarray::ArrayD;

/// `b · sin(a · (i + 1))` in row-major order.
fn fill(shape: &[usize], a: f64, b: f64) -> ArrayD<f32> {
    let n: usize = shape.iter().product();
    let values = (0..n).map(|i| (b * (a * (i as f64 + 1.0)).sin()) as f32).collect();
    ArrayD::from_shape_vec(shape.to_vec(), values).expect("as many values as the shape has")
}

fn close(got: f64, want: f64, relative: f64, what: &str) {
    assert!((got - want).abs() <= relative * want.abs(), "{what}: {got:e} instead of {want:e}");
}

const GRADIENTS: [f32; 5] = [0.01, 0.1, -0.3, 0.0, 0.05];

/// The CPU, and the adapter that tests run on if there is one.
fn devices(what: &str) -> Vec<Device> {
    std::iter::once(Device::cpu()).chain(gradus::testing::gpu(what)).collect()
}

fn displacements(device: &Device, optimizer: &mut dyn Optimizer, start: f32) -> Result<Vec<f64>> {
    let x = Variable::new("x", &Tensor::new(device, [1], &[start])?)?;
    let mut path = Vec::new();
    for gradient in GRADIENTS {
        optimizer.apply_gradients(&[(Tensor::new(device, [1], &[gradient])?, x.clone())])?;
        path.push(x.value()?.item()? - f64::from(start));
    }
    assert_eq!(optimizer.iterations()?, 5);
    Ok(path)
}

/// Displacements of Keras's optimizers, written from its source in float64.
#[test]
fn optimizers_move_as_keras_does() -> Result<()> {
    type Case = (&'static str, fn() -> Box<dyn Optimizer>, [f64; 5]);
    let cases: [Case; 8] = [
        ("SGD", || Box::new(SGD::default()), [-1.0e-04, -1.1e-03, 1.9e-03, 1.9e-03, 1.4e-03]),
        ("SGD momentum", || Box::new(SGD::default().momentum(0.9)), [-1.0e-04, -1.19e-03, 8.29e-04, 2.6461e-03, 3.78149e-03]),
        (
            "SGD nesterov",
            || Box::new(SGD::default().momentum(0.9).nesterov(true)),
            [-1.9e-04, -2.171e-03, 2.6461e-03, 4.28149e-03, 4.803341e-03],
        ),
        ("Adam", || Box::new(Adam::default()), [-9.99683872e-04, -1.80674623e-03, -1.39907391e-03, -1.06513356e-03, -8.71581059e-04]),
        (
            "Adam amsgrad",
            || Box::new(Adam::default().amsgrad(true)),
            [-9.99683872e-04, -1.80674623e-03, -1.39907391e-03, -1.06530057e-03, -8.71748069e-04],
        ),
        ("RMSprop", || Box::new(RMSprop::default()), [-3.14658388e-03, -6.29457064e-03, -3.28070510e-03, -3.28070510e-03, -3.83033286e-03]),
        (
            "RMSprop momentum",
            || Box::new(RMSprop::default().momentum(0.9)),
            [-3.14658388e-03, -9.12649613e-03, -1.14945516e-02, -1.36258015e-02, -1.60935543e-02],
        ),
        (
            "RMSprop centered",
            || Box::new(RMSprop::default().centered(true)),
            [-3.31496772e-03, -6.66642936e-03, -3.58858565e-03, -3.58858565e-03, -4.14254489e-03],
        ),
    ];
    let devices = devices("the optimizers");
    for (name, make, want) in cases {
        for device in &devices {
            let got = displacements(device, make().as_mut(), 0.0)?;
            assert_eq!(got.len(), want.len());
            for (t, (g, w)) in got.iter().zip(want).enumerate() {
                close(*g, w, 2e-5, &format!("{name} on {device}, step {}", t + 1));
            }
        }
    }
    Ok(())
}

/// PyTorch's Adam has ε inside the bias correction; the tolerance above can tell them apart.
#[test]
fn adam_is_not_pytorchs() -> Result<()> {
    let first = displacements(&Device::cpu(), &mut Adam::default(), 0.0)?[0];
    assert!((first - -9.99990000e-04).abs() >= 1e-4 * first.abs(), "{first:e}");
    Ok(())
}

/// Weight decay depends on where the weight is, and near 1 an f32 has steps of 6e-8: the tolerance is absolute.
#[test]
fn adamw_decays_apart_from_the_gradient() -> Result<()> {
    let want = [-1.00368387e-03, -1.81474222e-03, -1.41106264e-03, -1.08111664e-03, -8.91559817e-04];
    for device in devices("AdamW") {
        let got = displacements(&device, &mut AdamW::default(), 1.0)?;
        assert_eq!(got.len(), want.len());
        for (g, w) in got.iter().zip(want) {
            assert!((g - w).abs() <= 2e-7, "{device}: {got:?} instead of {want:?}");
        }
    }
    Ok(())
}

fn all_optimizers() -> Vec<Box<dyn Optimizer>> {
    vec![
        Box::new(SGD::default()),
        Box::new(SGD::default().momentum(0.9).nesterov(true)),
        Box::new(Adam::default().amsgrad(true)),
        Box::new(AdamW::default()),
        Box::new(RMSprop::default().momentum(0.5).centered(true)),
    ]
}

/// One step of fitting `w` to a target that the optimizer's own steps move it to.
fn step(w: &Variable, target: &Tensor, optimizer: &dyn Optimizer) -> Result<Vec<Tensor>> {
    let tape = gradus::GradientTape::new();
    let loss = w.value()?.sub(target)?.square()?.sum_all()?;
    let gradients = tape.gradient(&loss, [w])?.into_vec();
    let gradient = gradients.into_iter().next().flatten().expect("the loss depends on w");
    optimizer.apply(&[(gradient, w.clone())], None)?;
    Ok(vec![loss])
}

fn fifty_steps(device: &Device, optimizer: &mut dyn Optimizer, replayed: bool) -> Result<Vec<f32>> {
    let w = Variable::new("w", &Tensor::from_array(device, &fill(&[3, 4], 0.3, 1.0))?)?;
    let target = Tensor::from_array(device, &fill(&[3, 4], 1.1, 2.0))?;
    optimizer.build(std::slice::from_ref(&w))?;
    let rates: Vec<f64> = (0..50).map(|i| 0.01 + 0.001 * f64::from(i % 7)).collect();
    if !replayed {
        for rate in rates {
            optimizer.set_learning_rate(rate)?;
            step(&w, &target, optimizer)?;
        }
        return w.value()?.to_vec();
    }
    // The function borrows the optimizer: the rate is set through its variable, as `set_learning_rate` does.
    let rate_variable = optimizer.variables()[1].clone();
    let optimizer: &dyn Optimizer = optimizer;
    let function = Function::new("step", |args: &[Tensor]| step(&w, &args[0], optimizer));
    for rate in rates {
        rate_variable.assign(&Tensor::scalar(device, rate as f32)?)?;
        function.call(&[&target])?;
    }
    assert_eq!(function.trace_report().traces.len(), 1);
    w.value()?.to_vec()
}

#[test]
fn a_replayed_step_gives_the_bits_of_an_eager_one() -> Result<()> {
    for device in devices("replayed optimizers") {
        for (mut eager, mut replayed) in all_optimizers().into_iter().zip(all_optimizers()) {
            let name = eager.name();
            let a = fifty_steps(&device, eager.as_mut(), false)?;
            let b = fifty_steps(&device, replayed.as_mut(), true)?;
            assert!(a.iter().all(|v| v.is_finite()), "{name}");
            let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&a), bits(&b), "{name} on {device}");
            assert_eq!((eager.iterations()?, replayed.iterations()?), (50, 50), "{name} on {device}");
        }
    }
    Ok(())
}

#[test]
fn a_step_that_is_not_ok_changes_nothing() -> Result<()> {
    let cpu = Device::cpu();
    let (ok, bad) = (Tensor::scalar(&cpu, 1.0f32)?, Tensor::scalar(&cpu, 0.0f32)?);
    for mut optimizer in all_optimizers() {
        let w = Variable::new("w", &Tensor::new(&cpu, [2], &[1.0f32, -2.0])?)?;
        optimizer.build(std::slice::from_ref(&w))?;
        let gradient = Tensor::new(&cpu, [2], &[0.5f32, 0.25])?;
        optimizer.apply(&[(gradient.clone(), w.clone())], Some(&ok))?;
        let state = |optimizer: &dyn Optimizer| -> Result<Vec<f64>> {
            let scalars = optimizer.variables().iter().take(2).map(|v| v.value()?.item()).collect::<Result<Vec<_>>>()?;
            let mut all = w.value()?.to_vec::<f32>()?;
            for slot in optimizer.variables().iter().skip(2) {
                all.extend(slot.value()?.to_vec::<f32>()?);
            }
            Ok(scalars.into_iter().chain(all.into_iter().map(f64::from)).collect())
        };
        let before = state(optimizer.as_ref())?;
        let nan = Tensor::new(&cpu, [2], &[f32::NAN, 1.0])?;
        optimizer.apply(&[(nan, w.clone())], Some(&bad))?;
        assert_eq!(before, state(optimizer.as_ref())?, "{}", optimizer.name());
        optimizer.apply(&[(gradient, w.clone())], Some(&ok))?;
        assert_ne!(before, state(optimizer.as_ref())?, "{}", optimizer.name());
    }
    Ok(())
}

#[test]
fn optimizers_refuse_what_they_cannot_do() -> Result<()> {
    let cpu = Device::cpu();
    let w = Variable::new("w", &Tensor::new(&cpu, [2], &[1.0f32, -2.0])?)?;
    let text = Adam::new(-1.0).build(std::slice::from_ref(&w)).expect_err("a negative rate").to_string();
    assert_eq!(text, "adam: learning_rate: expected a number of at least 0, got -1");
    let mut adam = Adam::default();
    adam.build(std::slice::from_ref(&w))?;
    let other = Variable::new("other", &Tensor::new(&cpu, [2], &[1.0f32, -2.0])?)?;
    let text = adam.apply(&[(other.value()?, other.clone())], None).expect_err("unknown").to_string();
    assert!(text.contains("unknown variable other"), "{text}");
    assert!(adam.apply(&[], None).expect_err("none").to_string().contains("no gradients"));
    let wrong = Tensor::new(&cpu, [3], &[0.0f32; 3])?;
    assert!(matches!(adam.apply(&[(wrong, w)], None), Err(Error::Shape { .. })));
    Ok(())
}
