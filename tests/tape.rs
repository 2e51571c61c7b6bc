//! `GradientTape`: what it gives, in what shape, and what it says where it gives nothing.

use gradus::record::{GradientOptions, Gradients, Scope, Unconnected, custom_gradient};
use gradus::testing::close;
use gradus::{DType, Device, Error, Function, GradientTape, Result, Tensor, Variable};
use std::cell::Cell;
use std::rc::Rc;

fn devices() -> Vec<Device> {
    [Some(Device::cpu()), gradus::testing::gpu("the tape")].into_iter().flatten().collect()
}

fn tensor(device: &Device, shape: &[usize], values: &[f32]) -> Result<Tensor> {
    Tensor::new(device, shape, values)
}

fn variable(name: &str, values: &[f32]) -> Result<Variable> {
    Variable::new(name, &tensor(&Device::cpu(), &[values.len()], values)?)
}

#[track_caller]
fn has(tensor: &Tensor, shape: &[usize], values: &[f64]) {
    assert_eq!(&tensor.shape()[..], shape);
    let got: Vec<f64> = tensor.to_vec::<f32>().expect("it can be read").into_iter().map(f64::from).collect();
    if let Err(message) = close(&got, values, 1e-5, 1e-6) {
        panic!("{message}: {got:?}, expected {values:?}");
    }
}

// ---------------------------------------------------------------- targets, sources, options

#[test]
fn several_targets_are_added_and_output_gradients_weigh_them() -> Result<()> {
    for device in devices() {
        let x = tensor(&device, &[2], &[3.0, 5.0])?;
        let tape = GradientTape::persistent();
        tape.watch(&x);
        let (square, cube) = (x.mul(&x)?, x.mul(&x)?.mul(&x)?);
        has(tape.gradient(&square, [&x])?.get(0)?, &[2], &[6.0, 10.0]);
        let both = tape.gradient_with(&[&square, &cube], [&x], GradientOptions::default())?;
        has(both.get(0)?, &[2], &[33.0, 85.0]);
        let (a, b) = (tensor(&device, &[2], &[1.0, 10.0])?, tensor(&device, &[2], &[0.0, -1.0])?);
        let options = GradientOptions { output_gradients: Some(&[&a, &b]), ..GradientOptions::default() };
        has(tape.gradient_with(&[&square, &cube], [&x], options)?.get(0)?, &[2], &[6.0, 25.0]);
        // A target that is given twice counts twice, and may be a source itself.
        let twice = tape.gradient_with(&[&square, &square], [&x, &square], GradientOptions::default())?;
        has(twice.get(0)?, &[2], &[12.0, 20.0]);
        has(twice.get(1)?, &[2], &[2.0, 2.0]);
    }
    Ok(())
}

#[test]
fn what_does_not_fit_the_targets_is_refused() -> Result<()> {
    let x = tensor(&Device::cpu(), &[2], &[1.0, 2.0])?;
    let tape = GradientTape::persistent();
    tape.watch(&x);
    let y = x.mul(&x)?;
    let ask = |targets: &[&Tensor], dys: &[&Tensor]| {
        let options = GradientOptions { output_gradients: Some(dys), ..GradientOptions::default() };
        tape.gradient_with(targets, [&x], options).map(|_| ()).expect_err("it does not fit").to_string()
    };
    assert_eq!(ask(&[], &[]), "gradient: there is no target");
    assert_eq!(ask(&[&y], &[&x, &x]), "gradient: 2 output gradients for 1 targets");
    let wide = Tensor::zeros(&Device::cpu(), [3])?;
    assert_eq!(ask(&[&y], &[&wide]), "gradient: output gradient: expected [2], like the target, got [3]");
    let whole = Tensor::full(&Device::cpu(), [2], DType::U32, 1.0)?;
    assert_eq!(ask(&[&y], &[&whole]), "gradient: output gradient: expected f32, got u32");
    assert_eq!(ask(&[&whole], &[&whole]), "gradient: the target is u32, which has no gradient; it must be a float");
    let once = GradientTape::new();
    once.watch(&x);
    let z = x.mul(&x)?;
    once.gradient(&z, [&x])?;
    let again = once.gradient(&z, [&x]).map(|_| ()).expect_err("asked twice").to_string();
    assert_eq!(again, "gradient: this tape was already asked; make it with `GradientTape::persistent()` to ask again");
    Ok(())
}

#[test]
fn unconnected_sources_can_have_zeros() -> Result<()> {
    let (a, b) = (variable("a", &[1.0, 2.0])?, variable("b", &[3.0])?);
    let whole = Tensor::full(&Device::cpu(), [2], DType::U32, 1.0)?;
    let tape = GradientTape::persistent();
    let y = a.value()?.square()?;
    let options = GradientOptions { unconnected_gradients: Unconnected::Zero, ..GradientOptions::default() };
    let zeros = tape.gradient_with(&[&y], [&a, &b], options)?;
    has(zeros.get(0)?, &[2], &[2.0, 4.0]);
    has(zeros.get(1)?, &[1], &[0.0]);
    assert_eq!((zeros.reason(0), zeros.reason(1)), ("", "variable b was not read while the tape recorded"));
    assert!(tape.gradient_with(&[&y], [&whole], options)?[0].is_none());
    Ok(())
}

// ---------------------------------------------------------------- what is recorded

#[test]
fn watched_variables_come_in_the_order_they_were_made() -> Result<()> {
    let (a, b, c) = (variable("a", &[1.0])?, variable("b", &[2.0])?, variable("c", &[3.0])?.untrainable());
    let tape = GradientTape::new();
    assert!(tape.watched_variables().is_empty());
    let names = |tape: &GradientTape| tape.watched_variables().iter().map(Variable::name).collect::<Vec<_>>();
    let y = b.value()?.mul(&a.value()?)?.mul(&c.value()?)?.mul(&b.value()?)?;
    assert_eq!(names(&tape), ["a", "b"]);
    let gradients = tape.gradient(&y, [&a, &b])?;
    has(gradients.get(0)?, &[1], &[12.0]);
    has(gradients.get(1)?, &[1], &[12.0]);
    assert_eq!(names(&tape), ["a", "b"], "also after the gradient");
    tape.reset();
    assert!(names(&tape).is_empty());
    // A tape that was asked goes on after a reset; a variable that is watched by name counts, trainable or not.
    tape.watch(&c);
    let y = c.value()?.mul(&a.value()?)?;
    assert_eq!(names(&tape), ["a", "c"]);
    has(tape.gradient(&y, [&c])?.get(0)?, &[1], &[1.0]);
    Ok(())
}

#[test]
fn a_tape_that_ignores_variables_sees_those_it_is_told_of() -> Result<()> {
    let (a, b) = (variable("a", &[2.0])?, variable("b", &[5.0])?);
    let tape = GradientTape::new().ignoring_variables();
    tape.watch(&b);
    let y = a.value()?.mul(&b.value()?)?.mul(&b.value()?)?;
    let gradients = tape.gradient(&y, [&b])?;
    has(gradients.get(0)?, &[1], &[20.0]);
    Ok(())
}

/// Two variables that start from one tensor, or of which one was assigned to the other, are two.
#[test]
fn variables_with_one_value_are_not_mistaken_for_each_other() -> Result<()> {
    let start = tensor(&Device::cpu(), &[1], &[3.0])?;
    let (a, b) = (Variable::new("a", &start)?, Variable::new("b", &start)?);
    let product = |tape: GradientTape| -> Result<Gradients> {
        let y = a.value()?.mul(&b.value()?)?.mul(&b.value()?)?;
        tape.gradient(&y, [&a, &b])
    };
    let gradients = product(GradientTape::new())?;
    has(gradients.get(0)?, &[1], &[9.0]);
    has(gradients.get(1)?, &[1], &[18.0]);
    b.assign(&a.value()?)?;
    let gradients = product(GradientTape::new())?;
    has(gradients.get(0)?, &[1], &[9.0]);
    has(gradients.get(1)?, &[1], &[18.0]);
    Ok(())
}

/// The third derivative of x⁴ by three tapes, and the second of a sum of squares through an optimizer-like chain.
#[test]
fn tapes_nest_to_any_order() -> Result<()> {
    for device in devices() {
        let x = tensor(&device, &[], &[1.5])?;
        let tapes = [GradientTape::new(), GradientTape::new(), GradientTape::new()];
        tapes.iter().for_each(|tape| tape.watch(&x));
        let mut y = x.square()?.square()?;
        for (tape, want) in tapes.into_iter().zip([4.0 * 3.375, 12.0 * 2.25, 24.0 * 1.5]) {
            y = tape.gradient(&y, [&x])?.get(0)?.clone();
            has(&y, &[], &[want]);
        }
    }
    Ok(())
}

#[test]
fn gradients_within_a_function_are_traced() -> Result<()> {
    for device in devices() {
        let w = Variable::new("w", &tensor(&device, &[2], &[1.0, -2.0])?)?;
        let function = Function::new("jacobian", |args: &[Tensor]| {
            let tape = GradientTape::new();
            let y = w.value()?.mul(&args[0])?.square()?;
            Ok(vec![tape.jacobian(&y, [&w])?.get(0)?.clone()])
        });
        let x = tensor(&device, &[2], &[3.0, 0.5])?;
        for _ in 0..2 {
            has(&function.call(&[&x])?[0], &[2, 2], &[18.0, 0.0, 0.0, -1.0]);
        }
    }
    Ok(())
}

// ---------------------------------------------------------------- jacobians

/// y[i] = Σ_j x[j]² w[j, i], against the derivative written out.
#[test]
fn jacobians_have_the_shapes_of_target_and_source() -> Result<()> {
    for device in devices() {
        let (x, w) = ([1.0f32, -2.0, 0.5], [0.1f32, 0.2, 0.3, 0.4, 0.5, 0.6]);
        let (x_t, w_t) = (tensor(&device, &[1, 3], &x)?, Variable::new("w", &tensor(&device, &[3, 2], &w)?)?);
        let unused = Variable::new("unused", &tensor(&device, &[1], &[0.0])?)?;
        let tape = GradientTape::persistent();
        tape.watch(&x_t);
        let y = x_t.square()?.matmul(&w_t.value()?)?;
        let (by_x, by_variables) = (tape.jacobian(&y, [&x_t])?, tape.jacobian(&y, [&w_t, &unused])?);
        let mut dx = Vec::new();
        let mut dw = Vec::new();
        for i in 0..2 {
            dx.extend((0..3).map(|j| 2.0 * f64::from(x[j]) * f64::from(w[2 * j + i])));
            dw.extend((0..6).map(|at| if at % 2 == i { f64::from(x[at / 2]).powi(2) } else { 0.0 }));
        }
        has(by_x.get(0)?, &[1, 2, 1, 3], &dx);
        has(by_variables.get(0)?, &[1, 2, 3, 2], &dw);
        assert_eq!(by_variables.reason(1), "variable unused was not read while the tape recorded");
    }
    Ok(())
}

/// The second derivatives of Σ x³ and of a product: a Jacobian of a gradient.
#[test]
fn the_jacobian_of_a_gradient_is_the_hessian() -> Result<()> {
    for device in devices() {
        let x = tensor(&device, &[3], &[1.0, 2.0, -3.0])?;
        let (outer, inner) = (GradientTape::new(), GradientTape::new());
        outer.watch(&x);
        inner.watch(&x);
        // Σ x³ + x₀·x₁
        let cross = x.slice(&[0..1])?.mul(&x.slice(&[1..2])?)?;
        let y = x.square()?.mul(&x)?.sum_all()?.add(&cross.sum_all()?)?;
        let gradient = inner.gradient(&y, [&x])?.get(0)?.clone();
        has(outer.jacobian(&gradient, [&x])?.get(0)?, &[3, 3], &[6.0, 1.0, 0.0, 1.0, 12.0, 0.0, 0.0, 0.0, -18.0]);
    }
    Ok(())
}

#[test]
fn a_batch_jacobian_is_the_diagonal_of_the_jacobian() -> Result<()> {
    for device in devices() {
        let values: Vec<f32> = (0..6).map(|i| i as f32 * 0.5 - 1.0).collect();
        let x = tensor(&device, &[2, 3], &values)?;
        let w = tensor(&device, &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
        let tape = GradientTape::persistent();
        tape.watch(&x);
        let y = x.square()?.matmul(&w)?.reshape([2, 2, 1])?;
        let (batch, full) = (tape.batch_jacobian(&y, &x)?, tape.jacobian(&y, [&x])?);
        assert_eq!(&full.get(0)?.shape()[..], [2, 2, 1, 2, 3]);
        let full = full.get(0)?.to_vec::<f32>()?;
        let diagonal: Vec<f64> = (0..2)
            .flat_map(|n| (0..2).flat_map(move |i| (0..3).map(move |j| ((n * 2 + i) * 2 + n) * 3 + j)))
            .map(|at| f64::from(full[at]))
            .collect();
        has(&batch, &[2, 2, 1, 3], &diagonal);
        assert!(diagonal.iter().any(|d| *d != 0.0));
    }
    Ok(())
}

#[test]
fn jacobians_that_cannot_be_say_why() -> Result<()> {
    let x = tensor(&Device::cpu(), &[5000], &[1.0; 5000])?;
    let tape = GradientTape::persistent();
    tape.watch(&x);
    let y = x.square()?;
    let said = |e: Result<()>| e.expect_err("it cannot be").to_string();
    assert_eq!(
        said(tape.jacobian(&y, [&x]).map(|_| ())),
        "jacobian: elements of the target (a walk back for each): expected at most 4096; ask for a slice or a sum of it, got 5000"
    );
    has(&tape.batch_jacobian(&y, &x)?.slice(&[0..1])?, &[1], &[2.0]);
    let (scalar, short) = (x.sum_all()?, x.slice(&[0..2])?);
    let wanted = "batch_jacobian: expected a target and a source with a first axis of samples, got []";
    assert_eq!(said(tape.batch_jacobian(&scalar, &x).map(|_| ())), wanted);
    assert_eq!(
        said(tape.batch_jacobian(&short, &x).map(|_| ())),
        "batch_jacobian: expected a source of 2 samples, like the target, got [5000]"
    );
    let empty = x.slice(&[0..0])?;
    assert_eq!(said(tape.jacobian(&empty, [&x]).map(|_| ())), "jacobian: target: expected at least one element, got [0]");
    assert!(matches!(tape.jacobian(&x.gt(&y)?, [&x]).map(|_| ()), Err(Error::Gradient(_))));
    Ok(())
}

// ---------------------------------------------------------------- why there is none

/// The reason why `body`'s target has no gradient by its only source.
#[track_caller]
fn reason<S: gradus::record::Source>(tape: &GradientTape, target: &Tensor, source: S) -> String {
    let gradients = tape.gradient(target, [source]).expect("the gradient can be asked for");
    assert!(gradients[0].is_none(), "there is a gradient");
    let error = gradients.get(0).expect_err("there is none").to_string();
    assert_eq!(error, format!("gradient: source 0: {}", gradients.reason(0)));
    gradients.reason(0).to_string()
}

#[test]
fn reasons_of_the_source() -> Result<()> {
    let cpu = Device::cpu();
    let w = variable("w", &[1.0, 2.0])?;
    let frozen = variable("frozen", &[1.0, 2.0])?.untrainable();
    let counter = Variable::new("counter", &Tensor::full(&cpu, [], DType::U32, 0.0)?)?;
    // A variable replaced by a tensor, as `x = x + 1` does in Python.
    let replaced = w.value()?.add_scalar(1.0)?;
    let tape = GradientTape::persistent();
    let x = tensor(&cpu, &[2], &[1.0, 2.0])?;
    let y = w.value()?.mul(&frozen.value()?)?;
    assert_eq!(
        reason(&tape, &y, &replaced),
        "the tensor is not watched; call `tape.watch(&x)` before it is used. It was made before the tape: if it was computed from a variable, \
         it is no longer that variable; compute it while the tape records, and ask for the variable"
    );
    assert_eq!(reason(&tape, &y, &x), "the tensor is not watched; call `tape.watch(&x)` before it is used");
    assert_eq!(reason(&tape, &y, &Tensor::full(&cpu, [2], DType::I32, 1.0)?), "a tensor of i32 has no gradient");
    assert_eq!(reason(&tape, &y, &counter), "variable counter is u32, which has no gradient");
    assert_eq!(reason(&tape, &y, &variable("idle", &[1.0])?), "variable idle was not read while the tape recorded");
    let apart = frozen.value()?.square()?;
    assert_eq!(
        reason(&tape, &apart, &frozen),
        "variable frozen is not trainable, so it is not watched by itself; call `tape.watch(&v)` before it is used"
    );
    let deaf = GradientTape::new().ignoring_variables();
    let y = w.value()?.square()?;
    assert_eq!(reason(&deaf, &y, &w), "the tape does not watch variables by itself; call `tape.watch(&v)` for w before it is used");
    Ok(())
}

#[test]
fn reasons_of_the_target() -> Result<()> {
    let cpu = Device::cpu();
    let w = variable("w", &[1.0, 2.0])?;
    let before = w.value()?.square()?;
    let tape = GradientTape::persistent();
    let after = w.value()?.square()?;
    has(tape.gradient(&after, [&w])?.get(0)?, &[2], &[2.0, 4.0]);
    assert_eq!(reason(&tape, &before, &w), "the target was computed before the tape was made or reset; compute it while the tape records");
    let made = tensor(&cpu, &[2], &[1.0, 2.0])?;
    assert_eq!(reason(&tape, &made.square()?, &w), "the target does not depend on it");
    Ok(())
}

#[test]
fn reasons_on_the_path() -> Result<()> {
    let cpu = Device::cpu();
    let (w, state) = (variable("w", &[1.0, 2.0])?, variable("state", &[0.0, 0.0])?);
    let tape = GradientTape::persistent();
    let y = w.value()?.square()?;

    let host = tensor(&cpu, &[2], &y.to_vec::<f32>()?)?.mul_scalar(2.0)?;
    assert_eq!(
        reason(&tape, &host, &w),
        "no tensor operations lead from it to the target, but a value was read on the host (`to_vec`, `item`) and a new tensor made after it: if \
         that is the path, use tensor operations instead"
    );

    state.assign(&y)?;
    let through_state = state.value()?.mul_scalar(3.0)?;
    assert_eq!(
        reason(&tape, &through_state, &w),
        "the path goes through the state of variable state, and no gradient passes an assignment; use the tensor that was assigned"
    );
    has(tape.gradient(&through_state, [&state])?.get(0)?, &[2], &[3.0, 3.0]);

    let chosen = y.argmax(-1)?.cast(DType::F32)?.square()?;
    assert_eq!(reason(&tape, &chosen, &w), "the path goes through `argmax`, which makes u32: whole numbers have no gradient");

    let stopped = tape.stop_recording(|| y.mul_scalar(2.0))?.square()?;
    assert_eq!(reason(&tape, &stopped, &w), "the path goes through `mul`, which ran while the tape was stopped");

    assert_eq!(reason(&tape, &y.stop_gradient()?.square()?, &w), "the path goes through `stop_gradient`, which no gradient passes");

    let slope = tape.gradient(&y, [&w])?.get(0)?.clone();
    assert!(
        reason(&tape, &slope, &w)
            .ends_with("which this tape computed for a gradient and does not record; nest two tapes for a gradient of a gradient")
    );

    let late = tensor(&cpu, &[2], &[1.0, 2.0])?;
    let z = late.square()?;
    tape.watch(&late);
    assert_eq!(reason(&tape, &z, &late), "it was used in `pointwise` before the tape watched it; call `watch` earlier");
    Ok(())
}

/// A trace is not run, yet the reasons are the same.
#[test]
fn assignments_break_the_path_in_a_function_too() -> Result<()> {
    let (w, state) = (variable("w", &[1.0, 2.0])?, variable("state", &[5.0, 5.0])?.untrainable());
    let function = Function::new("stateful", |_: &[Tensor]| {
        let tape = GradientTape::persistent();
        let y = w.value()?.square()?;
        state.assign(&y)?;
        let z = state.value()?.mul(&w.value()?)?;
        let gradients = tape.gradient(&z, [&w])?;
        let broken = tape.gradient(&state.value()?.square()?, [&w])?;
        assert!(broken.reason(0).starts_with("the path goes through the state of variable state"), "{}", broken.reason(0));
        Ok(vec![gradients.get(0)?.clone(), z])
    });
    for _ in 0..2 {
        let results = function.call_on(&Device::cpu(), &[])?;
        has(&results[0], &[2], &[1.0, 4.0]);
        has(&results[1], &[2], &[1.0, 8.0]);
        has(&state.value()?, &[2], &[1.0, 4.0]);
    }
    Ok(())
}

// ---------------------------------------------------------------- gradients of one's own

#[test]
fn a_custom_gradient_replaces_that_of_its_operations() -> Result<()> {
    for device in devices() {
        let (x, w) = (tensor(&device, &[2], &[2.0, -3.0])?, Variable::new("w", &tensor(&device, &[2], &[1.0, 1.0])?)?);
        let asked = Rc::new(Cell::new(0));
        let tape = GradientTape::persistent();
        tape.watch(&x);
        let count = asked.clone();
        let y = custom_gradient(&[&x], |x| {
            let kept = x[0].clone();
            let y = x[0].mul(&w.value()?)?;
            let backward = move |dys: &[Option<Tensor>]| {
                count.set(count.get() + 1);
                dys[0].iter().map(|dy| Ok(Some(dy.mul(&kept)?.mul_scalar(100.0)?))).collect()
            };
            Ok((vec![y, x[0].clone()], backward))
        })?;
        has(&y[0], &[2], &[2.0, -3.0]);
        let z = y[0].mul_scalar(2.0)?;
        has(tape.gradient(&z, [&x])?.get(0)?, &[2], &[400.0, -600.0]);
        assert_eq!(asked.get(), 1);
        assert_eq!(
            reason(&tape, &z, &w),
            "it was used in `mul` inside a custom_gradient, which has gradients for its inputs only; make it an input"
        );
    }
    Ok(())
}

#[test]
fn a_custom_gradient_can_be_differentiated_again_and_must_fit() -> Result<()> {
    let x = tensor(&Device::cpu(), &[], &[3.0])?;
    let (outer, inner) = (GradientTape::new(), GradientTape::new());
    outer.watch(&x);
    inner.watch(&x);
    let y = custom_gradient(&[&x], |x| {
        let kept = x[0].clone();
        let backward = move |dys: &[Option<Tensor>]| dys[0].iter().map(|dy| Ok(Some(dy.mul(&kept.square()?)?))).collect();
        Ok((vec![x[0].add_scalar(1.0)?], backward))
    })?;
    let slope = inner.gradient(&y[0], [&x])?.get(0)?.clone();
    has(&slope, &[], &[9.0]);
    has(outer.gradient(&slope, [&x])?.get(0)?, &[], &[6.0]);

    let tape = GradientTape::persistent();
    tape.watch(&x);
    let wrong = |dxs: Vec<Option<Tensor>>| -> Result<String> {
        let y = custom_gradient(&[&x], move |x| Ok((vec![x[0].clone()], move |_: &[Option<Tensor>]| Ok(dxs.clone()))))?;
        Ok(tape.gradient(&y[0], [&x]).map(|_| ()).expect_err("it does not fit").to_string())
    };
    assert_eq!(wrong(Vec::new())?, "gradient: custom_gradient: 0 gradients for 1 inputs");
    let wide = Tensor::zeros(&Device::cpu(), [2])?;
    assert_eq!(wrong(vec![Some(wide)])?, "gradient: custom_gradient: the gradient by input 0 is f32[2], the input is f32[]");
    Ok(())
}

/// A gradient's operation belongs to the layer whose operation it is the gradient of: errors and drawings name it.
#[test]
fn gradients_belong_to_their_layers() -> Result<()> {
    let w = variable("w", &[1.0, 2.0])?;
    let function = Function::new("step", |_: &[Tensor]| {
        let tape = GradientTape::new();
        let y = {
            let _layer = Scope::enter("squares");
            w.value()?.exp()?
        };
        Ok(vec![tape.gradient(&y, [&w])?.get(0)?.clone()])
    });
    function.call_on(&Device::cpu(), &[])?;
    let steps: Vec<String> = function.programs()[0].steps().collect();
    assert!(steps.iter().any(|s| s.contains(" at squares (")), "{steps:?}");
    Ok(())
}
