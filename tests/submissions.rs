//! How programs share submissions. Alone in its process, and one test after the other: others who use the device would submit too.

use gradus::testing::gpu;
use gradus::{Device, Function, Result, Tensor};
use std::thread;
use std::time::Duration;

const ELEMENTS: usize = 64;

#[test]
fn programs_share_submissions_and_keep_their_order() -> Result<()> {
    let Some(device) = gpu("submissions") else { return Ok(()) };
    let add = Function::new("add", |x: &[Tensor]| Ok(vec![x[0].add_scalar(1.0)?]));
    // Until it is known how long the program takes.
    chain(&add, &device, 20)?;
    short_programs_go_together(&add, &device)?;
    writes_do_not_overtake(&add, &device)?;
    writes_submit_nothing(&add, &device)?;
    programs_now_and_then_go_at_once(&add, &device)?;
    threads_do_not_mix(&device)
}

fn filled(device: &Device, value: f32) -> Result<Tensor> {
    Tensor::new(device, [ELEMENTS], &[value; ELEMENTS])
}

/// So many runs, each of the result of the one before. Returns how often they were submitted before the result was read.
fn chain(add: &Function, device: &Device, runs: u64) -> Result<u64> {
    let mut x = filled(device, 0.0)?;
    device.synchronize()?;
    let before = device.stats().submissions;
    for _ in 0..runs {
        x = add.call(&[&x])?.remove(0);
    }
    let submitted = device.stats().submissions - before;
    assert_eq!(x.to_vec::<f32>()?, [runs as f32; ELEMENTS]);
    Ok(submitted)
}

fn short_programs_go_together(add: &Function, device: &Device) -> Result<()> {
    assert_eq!(chain(add, device, 1)?, 1, "an adapter without work gets some at once");
    let submitted = chain(add, device, 1000)?;
    println!("1000 runs: {submitted} submissions");
    assert!(submitted < 500, "{submitted} submissions of 1000 short programs");
    Ok(())
}

/// A value is dropped while a program that reads it was not submitted, and its memory is written for another.
fn writes_do_not_overtake(add: &Function, device: &Device) -> Result<()> {
    let (mut sums, mut others) = (Vec::new(), Vec::new());
    for i in 0..300 {
        let x = filled(device, i as f32)?;
        for _ in 0..3 {
            sums.push((i, add.call(&[&x])?.remove(0)));
        }
        drop(x);
        others.push(filled(device, -1.0)?);
    }
    for (i, sum) in &sums {
        assert_eq!(sum.to_vec::<f32>()?, [*i as f32 + 1.0; ELEMENTS], "run {i}");
    }
    Ok(())
}

/// What is written while programs wait for their submission waits with them.
fn writes_submit_nothing(add: &Function, device: &Device) -> Result<()> {
    let mut x = filled(device, 0.0)?;
    let mut written = Vec::new();
    for run in 0..30u8 {
        x = add.call(&[&x])?.remove(0);
        let before = device.stats().submissions;
        let bytes: Vec<u8> = (0..=run).map(|i| 7 * i + 1).collect();
        written.push((Tensor::new(device, [bytes.len()], &bytes)?, bytes));
        assert_eq!(device.stats().submissions, before, "run {run}");
    }
    for (tensor, bytes) in &written {
        assert_eq!(tensor.to_vec::<u8>()?, *bytes);
    }
    assert_eq!(x.to_vec::<f32>()?, [30.0; ELEMENTS]);
    Ok(())
}

/// As in a program that draws a picture, computes a step, and waits for the next picture.
fn programs_now_and_then_go_at_once(add: &Function, device: &Device) -> Result<()> {
    let mut x = filled(device, 0.0)?;
    for picture in 1..=10 {
        thread::sleep(Duration::from_millis(20));
        let before = device.stats().submissions;
        x = add.call(&[&x])?.remove(0);
        assert_eq!(device.stats().submissions - before, 1, "picture {picture}");
    }
    assert_eq!(x.to_vec::<f32>()?, [10.0; ELEMENTS]);
    Ok(())
}

fn threads_do_not_mix(device: &Device) -> Result<()> {
    let work = |step: f32| -> Result<()> {
        let add = Function::new("add", move |x: &[Tensor]| Ok(vec![x[0].add_scalar(f64::from(step))?]));
        let mut x = filled(device, 0.0)?;
        for run in 1..=300u32 {
            x = add.call(&[&x])?.remove(0);
            if run % 50 == 0 {
                assert_eq!(x.to_vec::<f32>()?, [run as f32 * step; ELEMENTS]);
            }
        }
        Ok(())
    };
    thread::scope(|threads| {
        let all = [1.0, 2.0, 3.0, 4.0].map(|step| threads.spawn(move || work(step)));
        all.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
    })
}
