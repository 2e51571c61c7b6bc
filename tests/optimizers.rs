//! The optimizers, seen from outside: Keras's displacements, replay, and steps that must change nothing.

use gradus::optimizers::schedules::{CosineDecay, ExponentialDecay};
use gradus::optimizers::{
    Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Ftrl, Lamb, Lion, LossScaleOptimizer, MultiOptimizer, Muon, Nadam, Optimizer,
    RMSprop, SGD, ScheduleFreeAdamW,
};
use gradus::{Device, Error, Function, Result, Tensor, Variable};
use ndarray::ArrayD;

/// `b · sin(a · (i + 1))` in row-major order.
fn fill(shape: &[usize], a: f64, b: f64) -> ArrayD<f32> {
    let n: usize = shape.iter().product();
    let values = (0..n).map(|i| (b * (a * (i as f64 + 1.0)).sin()) as f32).collect();
    ArrayD::from_shape_vec(shape.to_vec(), values).expect("as many values as the shape has")
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
    let cases: [Case; 13] = [
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
        ("Adagrad", || Box::new(Adagrad::default()), [-3.16069613e-05, -3.32981212e-04, 3.37671372e-04, 3.37671372e-04, 2.26587713e-04]),
        (
            "Adadelta",
            || Box::new(Adadelta::default()),
            [-1.40028008e-06, -3.38086934e-06, -7.28395260e-07, -7.28395260e-07, -1.34182522e-06],
        ),
        ("Adamax", || Box::new(Adamax::default()), [-9.99990000e-04, -1.57367364e-03, -1.32533424e-03, -1.14903121e-03, -1.05642755e-03]),
        ("Nadam", || Box::new(Nadam::default()), [-1.06277718e-03, -2.08655444e-03, -1.10282840e-03, -1.03961888e-03, -1.16371433e-03]),
        ("Lion", || Box::new(Lion::default()), [-1.0e-03, -2.0e-03, -1.0e-03, 0.0, -1.0e-03]),
    ];
    let devices = devices("the optimizers");
    for (name, make, want) in cases {
        for device in &devices {
            let got = displacements(device, make().as_mut(), 0.0)?;
            assert_eq!(got.len(), want.len());
            for (t, (g, w)) in got.iter().zip(want).enumerate() {
                // Lion comes back to 0 by steps of 0.001, each rounded.
                let absolute = if name == "Lion" { 1e-9 } else { 0.0 };
                assert!((g - w).abs() <= 2e-5 * w.abs() + absolute, "{name} on {device}, step {}: {g:e} instead of {w:e}", t + 1);
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
        Box::new(Adamax::default().use_ema(true).ema_overwrite_frequency(1)),
        Box::new(Nadam::default().weight_decay(0.1)),
        Box::new(Adagrad::default().global_clipnorm(0.1)),
        Box::new(Adadelta::default().gradient_accumulation_steps(2)),
        Box::new(Ftrl::default().clipvalue(0.1)),
        Box::new(Lion::default().clipnorm(0.1)),
        Box::new(Lamb::default().loss_scale_factor(2.0)),
        Box::new(Adafactor::default()),
        Box::new(Muon::default()),
        Box::new(ScheduleFreeAdamW::default().weight_decay(0.1)),
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
            // It is the one that accumulates.
            let steps = if name == "adadelta" { 25 } else { 50 };
            assert_eq!((eager.iterations()?, replayed.iterations()?), (steps, steps), "{name} on {device}");
        }
    }
    Ok(())
}

#[test]
fn a_step_that_is_not_ok_changes_nothing() -> Result<()> {
    let cpu = Device::cpu();
    let (ok, bad) = (Tensor::scalar(&cpu, 1.0f32)?, Tensor::scalar(&cpu, 0.0f32)?);
    for mut optimizer in all_optimizers() {
        let w = Variable::new("w", &Tensor::new(&cpu, [1, 2], &[1.0f32, -2.0])?)?;
        optimizer.build(std::slice::from_ref(&w))?;
        let gradient = Tensor::new(&cpu, [1, 2], &[0.5f32, 0.25])?;
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
        let nan = Tensor::new(&cpu, [1, 2], &[f32::NAN, 1.0])?;
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

type Pairs = Vec<(Tensor, Variable)>;

/// One variable on the CPU, and a way to give it a gradient.
fn one(values: &[f32]) -> Result<(Variable, impl Fn(f32) -> Result<Pairs>)> {
    let cpu = Device::cpu();
    let w = Variable::new("w", &Tensor::new(&cpu, [values.len()], values)?)?;
    let (of, count) = (w.clone(), values.len());
    Ok((w, move |gradient| Ok(vec![(Tensor::new(&cpu, [count], &vec![gradient; count])?, of.clone())])))
}

#[test]
fn options_that_do_not_fit_say_so() -> Result<()> {
    let (w, _) = one(&[1.0])?;
    let refused: Vec<(Box<dyn Optimizer>, &str)> = vec![
        (
            Box::new(Adam::default().clipnorm(1.0).clipvalue(0.5)),
            "adam: expected only one of clipnorm, clipvalue and global_clipnorm, got clipnorm and clipvalue",
        ),
        (Box::new(SGD::default().clipvalue(0.0)), "sgd: clipvalue: expected a number above 0, got 0"),
        (Box::new(SGD::default().momentum(1.5)), "sgd: momentum: expected a number from 0 to 1, got 1.5"),
        (Box::new(Lion::default().beta_1(0.0)), "lion: beta_1: expected a number above 0, got 0"),
        (Box::new(Nadam::default().beta_2(1.0)), "nadam: beta_2: expected a number from 0 to below 1, got 1"),
        (Box::new(Ftrl::default().learning_rate_power(0.5)), "ftrl: learning_rate_power: expected a number of at most 0, got 0.5"),
        (Box::new(SGD::default().gradient_accumulation_steps(1)), "sgd: gradient_accumulation_steps: expected at least 2, got 1"),
        (Box::new(SGD::default().use_ema(true).ema_momentum(1.1)), "sgd: ema_momentum: expected a number from 0 to 1, got 1.1"),
        (Box::new(Lamb::new(f64::NAN)), "lamb: learning_rate: expected a number of at least 0, got NaN"),
        (Box::new(Lamb::new(CosineDecay::new(0.1, 0))), "lamb: CosineDecay: decay_steps: expected at least 1, got 0"),
        (
            Box::new(LossScaleOptimizer::new(SGD::default()).initial_scale(0.0)),
            "loss_scale: initial_scale: expected a number above 0, got 0",
        ),
        (
            Box::new(MultiOptimizer::new(SGD::default()).on("w*", SGD::default()).on("*", SGD::default())),
            "multi: optimizer of w: expected one pattern that fits, got \"w*\" and \"*\"",
        ),
    ];
    for (mut optimizer, text) in refused {
        assert_eq!(optimizer.build(std::slice::from_ref(&w)).expect_err(text).to_string(), text);
    }
    Ok(())
}

#[test]
fn a_schedule_sets_the_rate_and_counts_every_call() -> Result<()> {
    let (_, gradient) = one(&[1.0])?;
    let mut optimizer = SGD::new(ExponentialDecay::new(0.5, 2, 0.25)).gradient_accumulation_steps(4);
    assert_eq!(optimizer.learning_rate()?, 0.5);
    for _ in 0..6 {
        optimizer.apply_gradients(&gradient(1.0)?)?;
    }
    assert_eq!((optimizer.iterations()?, optimizer.learning_rate()?), (1, 0.5 / 64.0));
    let text = optimizer.set_learning_rate(0.1).expect_err("a schedule sets it").to_string();
    assert_eq!(
        text,
        "sgd: learning_rate: expected no number, for a schedule sets it: make the optimizer with a number to change it by hand, got 0.1"
    );
    Ok(())
}

#[test]
fn averages_become_the_weights_or_change_places_with_them() -> Result<()> {
    let (w, gradient) = one(&[0.0])?;
    let mut optimizer = SGD::new(1.0).use_ema(true).ema_momentum(0.5);
    for _ in 0..3 {
        optimizer.apply_gradients(&gradient(-1.0)?)?;
    }
    // Weights 1, 2, 3; averages 1, 1.5, 2.25.
    let value = || w.value()?.item();
    assert_eq!(value()?, 3.0);
    optimizer.swap_averages(std::slice::from_ref(&w))?;
    assert_eq!(value()?, 2.25);
    optimizer.swap_averages(std::slice::from_ref(&w))?;
    assert_eq!(value()?, 3.0);
    optimizer.finalize_variable_values(std::slice::from_ref(&w))?;
    assert_eq!(value()?, 2.25);
    Ok(())
}

#[test]
fn a_dynamic_scale_follows_what_happens() -> Result<()> {
    for device in devices("dynamic loss scaling") {
        let w = Variable::new("w", &Tensor::new(&device, [2], &[1.0f32, 1.0])?)?;
        let mut optimizer = LossScaleOptimizer::new(SGD::new(1.0).loss_scale_factor(64.0)).initial_scale(8.0).dynamic_growth_steps(2);
        let mut seen = Vec::new();
        for gradient in [8.0, 8.0, f32::INFINITY, f32::NAN, 8.0, 8.0] {
            optimizer.apply_gradients(&[(Tensor::new(&device, [2], &[gradient, 0.0])?, w.clone())])?;
            seen.push((w.value()?.to_vec::<f32>()?[0], optimizer.dynamic_scale()?, optimizer.iterations()?));
        }
        let want = [(0.0, 8.0, 1), (-1.0, 16.0, 2), (-1.0, 8.0, 2), (-1.0, 4.0, 2), (-3.0, 4.0, 3), (-5.0, 8.0, 4)];
        assert_eq!(seen, want, "{device}");
        let loss = optimizer.scale_loss(&Tensor::scalar(&device, 3.0f32)?)?;
        assert_eq!(loss.item()?, 24.0, "{device}");
    }
    Ok(())
}

#[test]
fn a_global_norm_that_is_not_finite_spreads() -> Result<()> {
    for device in devices("a norm that is not finite") {
        let new = |value: f32| Variable::new("w", &Tensor::new(&device, [1], &[value])?);
        let (a, b) = (new(1.0)?, new(2.0)?);
        let gradient = |value: f32| Tensor::new(&device, [1], &[value]);
        let mut optimizer = SGD::new(1.0).global_clipnorm(1.0);
        optimizer.apply_gradients(&[(gradient(f32::INFINITY)?, a.clone()), (gradient(1.0)?, b.clone())])?;
        assert!(a.value()?.item()?.is_nan() && b.value()?.item()?.is_nan(), "{device}");
    }
    Ok(())
}

#[test]
fn a_constraint_holds_after_every_update_that_is_made() -> Result<()> {
    for device in devices("constraints") {
        let w = Variable::new("w", &Tensor::new(&device, [2], &[1.0f32, -3.0])?)?;
        w.set_rules(None, Some(std::sync::Arc::new(gradus::constraints::NonNeg)));
        let mut optimizer = SGD::new(1.0);
        optimizer.build(std::slice::from_ref(&w))?;
        let pairs = [(Tensor::new(&device, [2], &[0.25f32, -1.0])?, w.clone())];
        optimizer.apply(&pairs, Some(&Tensor::scalar(&device, 0.0f32)?))?;
        assert_eq!(w.value()?.to_vec::<f32>()?, [1.0, -3.0], "{device}");
        optimizer.apply(&pairs, Some(&Tensor::scalar(&device, 1.0f32)?))?;
        assert_eq!(w.value()?.to_vec::<f32>()?, [0.75, 0.0], "{device}");
        optimizer.apply(&pairs, None)?;
        assert_eq!(w.value()?.to_vec::<f32>()?, [0.5, 1.0], "{device}");
    }
    Ok(())
}

#[test]
fn each_of_several_optimizers_has_its_variables() -> Result<()> {
    let cpu = Device::cpu();
    let new = |name: &str| Variable::new(name, &Tensor::new(&cpu, [1], &[0.0f32])?);
    let variables = [new("encoder/kernel")?, new("encoder/bias")?, new("head")?];
    let multi = MultiOptimizer::new(SGD::new(1.0)).on("encoder/.*", SGD::new(0.1)).on("encoder/bias", SGD::new(10.0));
    let mut multi = multi.loss_scale_factor(2.0);
    let gradients: Vec<_> = variables.iter().map(|v| Ok((Tensor::new(&cpu, [1], &[2.0f32])?, v.clone()))).collect::<Result<_>>()?;
    multi.apply_gradients(&gradients)?;
    let values = variables.iter().map(|v| v.value()?.item()).collect::<Result<Vec<f64>>>()?;
    assert_eq!(values, [f64::from(-0.1f32), -10.0, -1.0]);
    assert_eq!(multi.iterations()?, 1);
    assert!(multi.learning_rate().is_err() && multi.set_learning_rate(0.1).is_err());
    multi.optimizers()[1].set_learning_rate(0.2)?;
    assert!((multi.optimizers()[1].learning_rate()? - 0.2).abs() < 1e-7);
    Ok(())
}
