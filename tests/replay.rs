//! What graph mode and the devices promise: a replayed step gives the bits of an eager one, one seed gives one result on any number of threads,
//! the devices agree, and what cannot be traced says so.

#[path = "replay/models.rs"]
mod models;
#[path = "replay/optimizers.rs"]
mod optimizers;

use gradus::layers::{Conv2D, Dense, Dropout, Flatten, MaxPooling2D};
use gradus::models::Sequential;
use gradus::ops::window::Padding;
use gradus::optimizers::{Adam, AdamW, Optimizer, RMSprop, SGD};
use gradus::train::{Data, Fit, Samples, Verbose};
use gradus::{DType, Device, Error, Function, GradientTape, Result, Tensor, Variable};
use models::{CLASSES, batch, devices, labels, small, step, waves};
use std::cell::RefCell;

// ---------------------------------------------------------------- models, data, optimizers

/// One that is large enough for kernels to be split among threads. Images are 20x20x3.
fn wide(device: &Device, seed: u64) -> Result<Sequential> {
    let model = Sequential::new()
        .add(Conv2D::new(16, 3).activation("relu"))
        .add(Conv2D::new(24, 3).strides(2).padding(Padding::Same).activation("relu"))
        .add(MaxPooling2D::default())
        .add(Flatten::new())
        .add(Dropout::new(0.25));
    let mut model =
        model.add(Dense::new(96).activation("relu")).add(Dense::new(CLASSES).activation("softmax")).on_device(device).seed(seed);
    model.build([20, 20, 3])?;
    Ok(model)
}

/// So many images of this shape, with labels.
fn data(count: usize, image: [usize; 3]) -> Result<Data> {
    let shape = [&[count], &image[..]].concat();
    Data::new(Samples::new(shape.clone(), &waves(shape.iter().product()))?, &labels(count))
}

/// Every optimizer, and every way of it that keeps other values or computes other things.
fn with_a_model() -> Vec<(&'static str, Box<dyn Optimizer>)> {
    vec![
        ("SGD", Box::new(SGD::new(0.05))),
        ("SGD with weight decay", Box::new(SGD::new(0.05).weight_decay(0.01))),
        ("SGD with momentum", Box::new(SGD::new(0.02).momentum(0.9))),
        ("SGD with Nesterov's momentum", Box::new(SGD::new(0.02).momentum(0.9).nesterov(true))),
        ("Adam", Box::new(Adam::new(0.01))),
        ("Adam with amsgrad", Box::new(Adam::new(0.01).amsgrad(true))),
        ("AdamW", Box::new(AdamW::new(0.01))),
        ("RMSprop", Box::new(RMSprop::new(0.002))),
        ("RMSprop, centred", Box::new(RMSprop::new(0.002).centered(true))),
        ("RMSprop with momentum", Box::new(RMSprop::new(0.002).momentum(0.9))),
        ("RMSprop, centred, with momentum", Box::new(RMSprop::new(0.002).centered(true).momentum(0.9))),
    ]
}

/// The bits of a model's weights.
fn weight_bits(model: &Sequential) -> Result<Vec<Vec<u32>>> {
    model.variables().iter().map(|v| Ok(v.value()?.to_vec::<f32>()?.into_iter().map(f32::to_bits).collect())).collect()
}

// ---------------------------------------------------------------- replayed against eager

const STEPS: usize = 50;

/// The losses, the weights and what the optimizer keeps, bit by bit.
type Bits = Vec<Vec<u32>>;

/// Fifty steps over two batches, at a rate that changes with every step.
fn fifty_steps(device: &Device, optimizer: Box<dyn Optimizer>, replayed: bool) -> Result<Bits> {
    let model = small(device, 3)?;
    let optimizer = RefCell::new(optimizer);
    optimizer.borrow_mut().build(&model.trainable_variables())?;
    let rate = optimizer.borrow().learning_rate()?;
    let function = Function::new("step", |args: &[Tensor]| step(&model, optimizer.borrow().as_ref(), args));
    let batches = [batch(device, 0, 8)?, batch(device, 1, 8)?];
    let mut losses = Vec::new();
    for i in 0..STEPS {
        optimizer.borrow_mut().set_learning_rate(rate * (1.0 + 0.5 * (i as f64).sin()))?;
        let (x, y) = &batches[i % 2];
        let loss = if replayed { function.call(&[x, y])? } else { step(&model, optimizer.borrow().as_ref(), &[x.clone(), y.clone()])? };
        losses.push(loss[0].to_vec::<f32>()?[0].to_bits());
    }
    let report = function.trace_report();
    assert_eq!((report.traces.len(), report.replays), if replayed { (1, STEPS - 1) } else { (0, 0) }, "{report}");
    assert_eq!(optimizer.borrow().iterations()? as usize, STEPS);
    let mut bits = vec![losses];
    bits.extend(weight_bits(&model)?);
    for slot in optimizer.borrow().variables().iter().filter(|v| v.spec().dtype == DType::F32) {
        bits.push(slot.value()?.to_vec::<f32>()?.into_iter().map(f32::to_bits).collect());
    }
    Ok(bits)
}

fn replayed_is_eager(device: &Device) -> Result<()> {
    for ((name, eager), (_, replayed)) in with_a_model().into_iter().zip(with_a_model()) {
        let (eager, replayed) = (fifty_steps(device, eager, false)?, fifty_steps(device, replayed, true)?);
        let finite = eager.iter().flatten().all(|bits| f32::from_bits(*bits).is_finite());
        assert!(finite, "{name} on {device}: something is not finite, and equal bits would mean nothing");
        let losses: Vec<f32> = eager[0].iter().map(|bits| f32::from_bits(*bits)).collect();
        assert!(losses[STEPS - 2] < losses[0], "{name} on {device}: it learned nothing: {losses:?}");
        assert_eq!(eager, replayed, "{name} on {device}");
    }
    Ok(())
}

#[test]
fn a_replayed_training_gives_the_bits_of_an_eager_one_on_the_cpu() -> Result<()> {
    replayed_is_eager(&Device::cpu())
}

#[test]
fn a_replayed_training_gives_the_bits_of_an_eager_one_on_the_gpu() -> Result<()> {
    gradus::testing::gpu("replayed against eager").map_or(Ok(()), |gpu| replayed_is_eager(&gpu))
}

/// What is read before a replay stays what it was, though the replay writes over the variable's memory.
#[test]
fn older_versions_stay() -> Result<()> {
    for device in devices("older versions of variables") {
        let w = Variable::new("w", &Tensor::new(&device, [3], &[1.0f32, 2.0, 3.0])?)?;
        let double = Function::new("double", |_: &[Tensor]| {
            w.assign(&w.value()?.mul_scalar(2.0)?)?;
            Ok(Vec::new())
        });
        let mut seen = Vec::new();
        for _ in 0..5 {
            seen.push(w.value()?);
            double.call_on(&device, &[])?;
        }
        for (i, version) in seen.iter().enumerate() {
            let factor = (1 << i) as f32;
            assert_eq!(version.to_vec::<f32>()?, [factor, 2.0 * factor, 3.0 * factor], "version {i} on {device}");
        }
        assert_eq!(w.value()?.to_vec::<f32>()?, [32.0, 64.0, 96.0], "{device}");
    }
    Ok(())
}

// ---------------------------------------------------------------- the same bits again

fn quiet(epochs: usize, batch_size: usize) -> Fit<'static> {
    Fit { epochs, batch_size, verbose: Verbose::Silent, ..Fit::default() }
}

/// Step losses and weights of a training by `fit`, which shuffles and drops out.
fn fitted(device: &Device, seed: u64) -> Result<Bits> {
    let mut model = small(device, seed)?;
    let loss = gradus::losses::from_name("sparse_categorical_crossentropy")?;
    model.compile(Adam::new(0.01), loss, Vec::<gradus::metrics::Accuracy>::new())?;
    let history = model.fit(data(44, [6, 6, 1])?, Fit { record_steps: 18, ..quiet(3, 8) })?;
    assert_eq!(history.step_losses.len(), 18);
    let mut bits = weight_bits(&model)?;
    bits.push(history.step_losses.iter().map(|loss| (*loss as f32).to_bits()).collect());
    Ok(bits)
}

#[test]
fn one_seed_one_result() -> Result<()> {
    for device in devices("one seed, one result") {
        assert_eq!(fitted(&device, 5)?, fitted(&device, 5)?, "{device}");
        assert_ne!(fitted(&device, 5)?, fitted(&device, 6)?, "{device}");
    }
    Ok(())
}

#[test]
fn the_number_of_threads_changes_no_bit() -> Result<()> {
    let train = || -> Result<Bits> {
        let mut model = wide(&Device::cpu(), 1)?;
        let loss = gradus::losses::from_name("sparse_categorical_crossentropy")?;
        model.compile(Adam::new(0.01), loss, [gradus::metrics::Accuracy::default()])?;
        model.fit(data(100, [20, 20, 3])?, quiet(2, 32))?;
        weight_bits(&model)
    };
    let with = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool").install(train);
    let one = with(1)?;
    for threads in [2, 3, 7] {
        assert!(with(threads)? == one, "{threads} threads give other bits than one");
    }
    assert!(train()? == one, "the global pool gives other bits than one thread");
    Ok(())
}

#[test]
fn cpu_and_gpu_train_alike() -> Result<()> {
    let Some(gpu) = gradus::testing::gpu("the same training on the CPU") else { return Ok(()) };
    let train = |device: &Device| -> Result<Vec<f64>> {
        let mut model = wide(device, 2)?;
        let loss = gradus::losses::from_name("sparse_categorical_crossentropy")?;
        model.compile(Adam::new(0.001), loss, Vec::<gradus::metrics::Accuracy>::new())?;
        Ok(model.fit(data(80, [20, 20, 3])?, Fit { record_steps: 20, ..quiet(2, 8) })?.step_losses)
    };
    let (cpu, gpu) = (train(&Device::cpu())?, train(&gpu)?);
    assert_eq!((cpu.len(), gpu.len()), (20, 20));
    let worst = cpu.iter().zip(&gpu).map(|(c, g)| (c - g).abs() / c.abs()).fold(0.0, f64::max);
    assert!(cpu.iter().zip(&gpu).all(|(c, g)| (c - g).abs() <= 1e-4 * c.abs()), "they differ by {worst:e}\n{cpu:?}\n{gpu:?}");
    Ok(())
}

// ---------------------------------------------------------------- traces

#[test]
fn one_trace_per_signature() -> Result<()> {
    for device in devices("traces per signature") {
        let constant = Tensor::new(&device, [2], &[1.0f32, 2.0])?;
        let bodies = RefCell::new(0);
        let function = Function::new("scaled", |args: &[Tensor]| {
            *bodies.borrow_mut() += 1;
            Ok(vec![args[0].mul(&constant)?])
        });
        for round in 0..3 {
            for rows in [1, 2] {
                let x = Tensor::full(&device, [rows, 2], DType::F32, f64::from(round) + 1.0)?;
                let want = [f64::from(round) as f32 + 1.0, 2.0 * (f64::from(round) as f32 + 1.0)].repeat(rows);
                assert_eq!(function.call(&[&x])?[0].to_vec::<f32>()?, want, "{device}");
            }
        }
        let report = function.trace_report();
        assert_eq!((report.traces.len(), report.replays, report.inlined, *bodies.borrow()), (2, 4, 0, 2), "{report}");
        assert!(report.advice.is_none(), "{report}");
        assert!(report.traces[0].starts_with("(f32[1, 2]) on ") && report.traces[0].contains("0 variables, 1 constants"), "{report}");
        assert!(report.to_string().starts_with("scaled: 2 traces, 4 replays, 0 inlined\n"), "{report}");
        for rows in 3..7 {
            function.call(&[&Tensor::zeros(&device, [rows, 2])?])?;
        }
        let report = function.trace_report();
        assert!(
            report.advice.as_ref().is_some_and(|a| a.contains("pad the arguments to one shape") && a.contains("(f32[6, 2])")),
            "{report}"
        );
    }
    Ok(())
}

/// Under a tape, and inside another function, the body runs where it is called: the tape sees through it.
#[test]
fn functions_are_inlined_under_a_tape_and_in_each_other() -> Result<()> {
    let cpu = Device::cpu();
    let square = Function::new("square", |args: &[Tensor]| Ok(vec![args[0].mul(&args[0])?]));
    let x = Tensor::scalar(&cpu, 3.0f32)?;
    let tape = GradientTape::new();
    tape.watch(&x);
    let y = square.call(&[&x])?.remove(0);
    assert_eq!(tape.gradient(&y, [&x])?.get(0)?.item()?, 6.0);
    let fourth = Function::new("fourth", |args: &[Tensor]| square.call(&[&square.call(&[&args[0]])?[0]]));
    assert_eq!((fourth.call(&[&x])?[0].item()?, fourth.call(&[&x])?[0].item()?), (81.0, 81.0));
    let report = square.trace_report();
    assert_eq!((report.traces.len(), report.replays, report.inlined), (0, 0, 3), "{report}");
    Ok(())
}

/// Each of these ends the trace with an error that says what to do, and leaves everything usable.
#[test]
fn what_cannot_be_traced_says_so() -> Result<()> {
    for device in devices("errors of traces") {
        let w = Variable::new("w", &Tensor::new(&device, [2], &[1.0f32, 2.0])?)?;
        let x = Tensor::new(&device, [2], &[3.0f32, 4.0])?;
        let refused = |body: &dyn Fn(&[Tensor]) -> Result<Vec<Tensor>>, text: &str| {
            let function = Function::new("refused", body);
            for _ in 0..2 {
                let error = function.call(&[&x]).expect_err(text);
                assert!(matches!(error.root(), Error::Trace(_)), "{error:?}");
                assert!(error.to_string().contains(text), "{error}\ninstead of\n{text}");
            }
            assert!(function.trace_report().traces.is_empty());
        };
        let read = "in a traced function: a value was read on the host, or used on another thread, while the function was traced; \
                    return it and read it outside";
        refused(&|args| args[0].to_vec::<f32>().map(|_| Vec::new()), read);
        refused(&|args| args[0].sum_all()?.item().map(|_| Vec::new()), read);
        refused(&|_| w.value()?.to_vec::<f32>().map(|_| Vec::new()), read);
        refused(
            &|args| Variable::new("late", &args[0]).map(|_| Vec::new()),
            "in a traced function: variable late is created inside; create it before the function is called",
        );
        // An assignment of a trace that failed did not happen.
        refused(&|args| w.assign(&args[0]).and_then(|()| args[0].item_of_the_sum()).map(|_| Vec::new()), read);
        assert_eq!(w.value()?.to_vec::<f32>()?, [1.0, 2.0], "{device}");
        escapes(&device, &x)?;
        let fine = Function::new("fine", |args: &[Tensor]| Ok(vec![args[0].add(&w.value()?)?]));
        assert_eq!(fine.call(&[&x])?[0].to_vec::<f32>()?, [4.0, 6.0], "{device}");
    }
    Ok(())
}

trait SumOnTheHost {
    fn item_of_the_sum(&self) -> Result<f64>;
}
impl SumOnTheHost for Tensor {
    fn item_of_the_sum(&self) -> Result<f64> {
        self.sum_all()?.item()
    }
}

/// A value made inside a trace, kept in a cell, and used after it: by reading it, in an operation, and in another trace.
fn escapes(device: &Device, x: &Tensor) -> Result<()> {
    let escaped = RefCell::new(None);
    let leaks = Function::new("leaks", |args: &[Tensor]| {
        let y = args[0].mul_scalar(2.0)?;
        *escaped.borrow_mut() = Some(y.clone());
        Ok(vec![y])
    });
    assert_eq!(leaks.call(&[x])?[0].to_vec::<f32>()?, [6.0, 8.0], "{device}");
    let inside = escaped.borrow().clone().expect("the body ran");
    let other = Function::new("other", |args: &[Tensor]| Ok(vec![args[0].add(&inside)?]));
    let uses = [
        ("read", inside.to_vec::<f32>().map(|_| ())),
        ("operation", inside.add(x).and_then(|y| y.to_vec::<f32>()).map(|_| ())),
        ("other function", other.call(&[x]).map(|_| ())),
        ("variable", Variable::new("v", &inside).and_then(|v| v.value()?.to_vec::<f32>()).map(|_| ())),
    ];
    for (what, outcome) in uses {
        let error = outcome.expect_err(what).to_string();
        let text = "in a traced function: a value made while a function was traced was used after it; return it from the function";
        assert!(error.contains(text), "{what} on {device}: {error}");
    }
    Ok(())
}
