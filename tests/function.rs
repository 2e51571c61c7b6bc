//! `Function` and what it says of itself: traces, drawings, lack of memory; and many threads over the same variables.

#[path = "replay/models.rs"]
mod models;

use gradus::record::{Scope, draw};
use gradus::{DType, Device, Error, Function, GradientTape, Result, Spec, Tensor, Variable};
use models::devices;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

fn f32s(shape: &[usize]) -> Spec {
    Spec::new(shape, DType::F32)
}

// ---------------------------------------------------------------- traces

#[test]
fn a_report_says_why_and_what_was_captured() -> Result<()> {
    for device in devices("reports of traces") {
        let constant = Tensor::new(&device, [3], &[1.0f32, 2.0, 3.0])?;
        let function = Function::new("scaled", |args: &[Tensor]| args.iter().map(|x| x.mul(&constant)).collect());
        let call = |shapes: &[&[usize]]| -> Result<()> {
            let args = shapes.iter().map(|shape| Tensor::zeros(&device, *shape)).collect::<Result<Vec<_>>>()?;
            function.call(&args.iter().collect::<Vec<_>>()).map(|_| ())
        };
        call(&[&[2, 3]])?;
        call(&[&[4, 3]])?;
        call(&[&[4, 3], &[1]])?;
        call(&[&[4, 3], &[3]])?;
        let report = function.trace_report();
        let second_lines: Vec<&str> = report.traces.iter().map(|t| t.lines().nth(1).unwrap_or_default()).collect();
        assert!(second_lines[0].starts_with("  constant f32[3] (12 bytes), read by mul at tests/function.rs:"), "{report}");
        assert_eq!(
            second_lines[1..],
            [
                "  traced because argument 0 is f32[4, 3], not f32[2, 3]",
                "  traced because it has 2 arguments, not 1",
                "  traced because argument 1 is f32[3], not f32[1]"
            ],
            "{report}"
        );
        assert!(report.traces[0].contains("0 variables, 1 constants (12 bytes), 1 dispatches"), "{report}");
        assert!(report.warning.is_none(), "{report}");
    }
    Ok(())
}

#[test]
fn many_traces_are_warned_of_once() -> Result<()> {
    let cpu = Device::cpu();
    let function = Function::new("varying", |args: &[Tensor]| Ok(vec![args[0].square()?]));
    let call = |length: usize| function.call(&[&Tensor::zeros(&cpu, [length])?]);
    // Four of ten: no word.
    for length in [1, 1, 1, 1, 1, 1, 1, 2, 3, 4] {
        call(length)?;
    }
    assert_eq!(function.trace_report().warning, None);
    for length in 5..30 {
        call(length)?;
    }
    assert_eq!(
        function.trace_report().warning.as_deref(),
        Some(
            "5 of the last 10 calls of function varying were traced anew, which takes far longer than a replay; the last because argument 0 is \
             f32[6], not f32[1]. Pad the arguments to one shape; `trace_report()` lists all traces"
        )
    );
    Ok(())
}

/// Eagerly the closure runs at every call, may read its values, and gives the same numbers.
#[test]
fn a_function_can_run_eagerly() -> Result<()> {
    for device in devices("eager functions") {
        let w = Variable::new("w", &Tensor::new(&device, [2], &[1.0f32, 2.0])?)?;
        let seen = std::cell::RefCell::new(Vec::new());
        let function = Function::new("grow", |args: &[Tensor]| {
            let grown = w.value()?.add(&args[0])?;
            seen.borrow_mut().push(grown.to_vec::<f32>()?);
            w.assign(&grown)?;
            Ok(vec![grown])
        })
        .eagerly(true);
        let x = Tensor::new(&device, [2], &[10.0f32, 20.0])?;
        for _ in 0..3 {
            function.call(&[&x])?;
        }
        assert_eq!(*seen.borrow(), [[11.0, 22.0], [21.0, 42.0], [31.0, 62.0]]);
        assert_eq!(w.value()?.to_vec::<f32>()?, [31.0, 62.0]);
        let report = function.trace_report();
        assert_eq!(report.to_string(), "grow: 0 traces, 0 replays, 0 inlined, 3 run eagerly\n");
        let error = function.eagerly(false).call(&[&x]).expect_err("it reads").to_string();
        assert!(error.starts_with("function grow: in a traced function: a value was read on the host"), "{error}");
    }
    Ok(())
}

// ---------------------------------------------------------------- drawings

#[test]
fn a_small_drawing_to_the_letter() -> Result<()> {
    let cpu = Device::cpu();
    let w = Variable::new("dense/\"w\"", &Tensor::new(&cpu, [2], &[1.0f32, 2.0])?)?;
    let constant = Tensor::new(&cpu, [], &[0.5f32])?;
    let text = draw("a \"step\"", &cpu, &[f32s(&[2])], |args| {
        let tape = GradientTape::new();
        let y = {
            let _model = Scope::enter("model");
            let _layer = Scope::enter("dense");
            w.value()?.mul(&args[0])?
        };
        let dw = tape.gradient(&y, [&w])?.get(0)?.clone();
        w.assign(&w.value()?.sub(&dw.mul(&constant)?)?)?;
        Ok(vec![y])
    })?;
    let expected = r#"digraph "a \"step\"" {
  node [shape=box, style=filled, fillcolor=white];
  i0 [label="argument 0\nf32[2]", shape=ellipse, fillcolor=lightgrey];
  i1 [label="dense/\"w\"\nf32[2]", shape=cylinder, fillcolor=lightblue];
  i2 [label="constant\nf32[]", shape=note, fillcolor=whitesmoke];
  i3 [label="constant\nf32[]", shape=note, fillcolor=whitesmoke];
  n1 [label="pointwise\nf32[2]", fillcolor=orange];
  n3 [label="mul\nf32[2]"];
  n4 [label="sub\nf32[2]"];
  subgraph cluster0 {
    label="model";
    subgraph cluster1 {
      label="dense";
      n0 [label="mul\nf32[2]"];
      n2 [label="mul\nf32[2]", fillcolor=orange];
    }
  }
  o1 [label="result 0\nf32[2]", peripheries=2];
  i1 -> n0;
  i0 -> n0;
  i2 -> n1;
  i0 -> n2;
  n1 -> n2;
  n2 -> n3;
  i3 -> n3;
  i1 -> n4;
  n3 -> n4;
  n4 -> i1 [style=dashed, constraint=false];
  n0 -> o1;
}
"#;
    assert_eq!(text, expected, "\n{text}");
    assert_eq!(w.value()?.to_vec::<f32>()?, [1.0, 2.0], "drawing runs nothing");
    Ok(())
}

/// A whole training step: forward and backward of every layer, in its frame, and a length that can be read.
#[test]
fn a_training_step_is_drawn_with_its_layers() -> Result<()> {
    let drawn = || -> Result<(String, String)> {
        let cpu = Device::cpu();
        let model = models::small(&cpu, 1)?;
        let mut optimizer = gradus::optimizers::Adam::new(0.01);
        gradus::optimizers::Optimizer::build(&mut optimizer, &model.trainable_variables())?;
        let function = Function::new("step", |args: &[Tensor]| models::step(&model, &optimizer, args));
        let (x, y) = models::batch(&cpu, 0, 8)?;
        function.call(&[&x, &y])?;
        Ok((function.to_dot().remove(0), function.programs()[0].to_dot()))
    };
    let (text, program) = drawn()?;
    for part in
        ["label=\"conv2d\"", "label=\"dense\"", "conv2d/kernel", "fillcolor=orange", "label=\"argument 1\\nu32[8]\"", "style=dashed"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(text.lines().count() < 250, "{} lines", text.lines().count());
    assert_eq!(text.matches('{').count(), text.matches('}').count());
    assert!(program.starts_with("digraph \"program\" {") && program.contains("conv2d"));
    let again = drawn()?;
    let without_numbers = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
    assert_eq!(without_numbers(&again.0), without_numbers(&text), "another model of the same layers is drawn the same");
    Ok(())
}

// ---------------------------------------------------------------- memory

/// More than any machine's address space, and on a GPU more than one binding: the error names the layer, the operation and the size.
#[test]
fn lack_of_memory_names_layer_operation_and_size() -> Result<()> {
    for device in devices("lack of memory") {
        let elements = if device.is_gpu() { device.max_tensor_bytes() as usize / 4 + 64 } else { 1 << 46 };
        let x = Tensor::scalar(&device, 2.0f32)?;
        let large = |x: &Tensor| -> Result<Tensor> {
            let _layer = Scope::enter("huge");
            x.broadcast_to([elements])
        };
        // A sum would not need it.
        let function = Function::new("large", |args: &[Tensor]| Ok(vec![large(&args[0])?.max(&[0], false)?]));
        let eager = large(&x)?.to_vec::<f32>().map(|_| ());
        for outcome in [eager, function.call(&[&x]).map(|_| ())] {
            let error = outcome.expect_err("there is no such memory");
            let Error::OutOfMemory { what, bytes, .. } = error.root() else { panic!("{device}: {error:?}") };
            assert!(what.starts_with("pointwise at huge (tests/function.rs:"), "{device}: {error}");
            assert_eq!(*bytes, 4 * elements as u64, "{device}: {error}");
            assert!(error.to_string().contains("use a smaller batch"), "{device}: {error}");
        }
        // The device goes on.
        assert_eq!(x.mul_scalar(3.0)?.item()?, 6.0);
    }
    Ok(())
}

// ---------------------------------------------------------------- threads

/// Runs it elsewhere and waits: a deadlock is a failure, not a test that never ends.
fn within_a_minute(what: &str, f: impl FnOnce() -> Result<()> + Send + 'static) {
    let (done, waits) = mpsc::channel();
    let worker = thread::spawn(move || {
        let outcome = f();
        let _ = done.send(());
        outcome
    });
    match waits.recv_timeout(Duration::from_secs(60)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what}: no end after a minute"),
        _ => worker.join().unwrap_or_else(|e| std::panic::resume_unwind(e)).unwrap_or_else(|e| panic!("{what}: {e}")),
    }
}

const LENGTH: usize = 1000;

/// All elements of a version are equal: a mixture of two versions is not.
fn whole(variable: &Variable) -> Result<f32> {
    let values = variable.value()?.to_vec::<f32>()?;
    assert_eq!(values.len(), LENGTH);
    assert!(values.iter().all(|v| *v == values[0]), "{}: a mixture of versions", variable.name());
    Ok(values[0])
}

/// Four functions on four threads add to two variables, each reading the one that it does not assign or assigning both in its own order, while
/// others read: no step is lost, no read sees half a step.
#[test]
fn functions_on_many_threads_share_variables() {
    for device in devices("functions on many threads") {
        within_a_minute(&format!("functions on {device}"), move || {
            let rounds = if device.is_gpu() { 60 } else { 300 };
            let zeros = Tensor::zeros(&device, [LENGTH])?;
            let (a, b) = (Variable::new("a", &zeros)?, Variable::new("b", &zeros)?);
            let over = AtomicBool::new(false);
            thread::scope(|scope| {
                let workers: Vec<_> = (0..4)
                    .map(|kind| {
                        let (a, b, device) = (&a, &b, &device);
                        scope.spawn(move || add_in_turns(device, a, b, kind, rounds))
                    })
                    .collect();
                let readers: Vec<_> = [&a, &b].map(|variable| scope.spawn(|| read_until(&over, variable))).into_iter().collect();
                let outcomes: Vec<Result<()>> = workers.into_iter().map(|w| w.join().expect("a worker")).collect();
                over.store(true, Ordering::Relaxed);
                let reads: Result<Vec<usize>> = readers.into_iter().map(|r| r.join().expect("a reader")).collect();
                assert!(reads?.iter().all(|reads| *reads > 0));
                outcomes.into_iter().collect::<Result<()>>()
            })?;
            // Kinds 0, 2 and 3 add to a; 1, 2 and 3 to b.
            assert_eq!((whole(&a)?, whole(&b)?), (3.0 * rounds as f32, 3.0 * rounds as f32));
            Ok(())
        });
    }
}

fn add_in_turns(device: &Device, a: &Variable, b: &Variable, kind: usize, rounds: usize) -> Result<()> {
    let one = Tensor::scalar(device, 1.0f32)?;
    // 0 assigns a and reads b; 1 the other way round; 2 assigns a, then b; 3 b, then a.
    let function = Function::new(format!("add {kind}"), |args: &[Tensor]| {
        let order = [(a, b), (b, a), (a, b), (b, a)][kind];
        order.0.assign(&order.0.value()?.add(&args[0])?)?;
        let other = order.1.value()?.add(&args[0])?;
        if kind >= 2 {
            order.1.assign(&other)?;
        }
        Ok(vec![other])
    });
    for _ in 0..rounds {
        let other = function.call(&[&one])?.remove(0).to_vec::<f32>()?;
        assert!(other.iter().all(|v| *v == other[0]), "a replay saw a mixture of versions");
    }
    Ok(())
}

/// What is added to only grows.
fn read_until(over: &AtomicBool, variable: &Variable) -> Result<usize> {
    let (mut reads, mut last) = (0, 0.0);
    while !over.load(Ordering::Relaxed) || reads == 0 {
        let now = whole(variable)?;
        assert!(now >= last, "{} went back from {last} to {now}", variable.name());
        last = now;
        reads += 1;
    }
    Ok(reads)
}

/// Threads that set a variable from outside, and train on it by eager steps with tapes, while a function replays.
#[test]
fn eager_threads_and_a_function_share_a_variable() {
    for device in devices("eager threads") {
        within_a_minute(&format!("eager threads on {device}"), move || {
            let rounds = if device.is_gpu() { 40 } else { 200 };
            let w = Variable::new("w", &Tensor::full(&device, [LENGTH], DType::F32, 1.0)?)?;
            thread::scope(|scope| {
                let (w, device) = (&w, &device);
                let replays = scope.spawn(move || -> Result<()> {
                    let halve = Function::new("halve", |_: &[Tensor]| {
                        w.assign(&w.value()?.mul_scalar(0.5)?)?;
                        Ok(vec![w.value()?])
                    });
                    (0..rounds).try_for_each(|_| {
                        let seen = halve.call_on(device, &[])?.remove(0).to_vec::<f32>()?;
                        assert!(seen.iter().all(|v| *v == seen[0]));
                        Ok(())
                    })
                });
                let sets = scope.spawn(move || -> Result<()> {
                    (0..rounds).try_for_each(|i| w.assign(&Tensor::full(device, [LENGTH], DType::F32, f64::from(i as u32 % 7 + 1))?))
                });
                let trains = scope.spawn(move || -> Result<()> {
                    (0..rounds).try_for_each(|_| {
                        let tape = GradientTape::new();
                        let loss = w.value()?.square()?;
                        let slope = tape.gradient(&loss, [w])?.get(0)?.clone();
                        w.assign(&w.value()?.sub(&slope.mul_scalar(0.1)?)?)?;
                        whole(w).map(|_| ())
                    })
                });
                [replays, sets, trains].into_iter().try_for_each(|thread| thread.join().expect("a thread"))
            })?;
            assert!(whole(&w)?.is_finite());
            Ok(())
        });
    }
}
