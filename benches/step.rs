//! Whole training steps: forward, loss, backward, Adam; the loss is read after every step, so nothing is left in a queue.
//!
//! `cargo bench --bench step` measures every model, batch size and device of this machine, each in a process of its own, side by side.
//! `cargo bench --bench step -- --model M --batch 128 --device cpu` measures one. `--json` prints a line of JSON per row.

use anyhow::{Context, Result, bail};
use gradus::device::adapters;
use gradus::prelude::*;
use serde_json::{Value, json};
use std::process::Command;
use std::time::Instant;

const MODELS: [&str; 2] = ["M", "C"];
const BATCHES: [usize; 2] = [32, 128];

/// Batches that the steps go through in turn.
const DISTINCT: usize = 8;

struct Options {
    model: Option<String>,
    batch: Option<usize>,
    device: Option<String>,
    steps: usize,
    warmup: usize,
    json: bool,
}

fn options() -> Result<Options> {
    use lexopt::prelude::*;
    let mut options = Options { model: None, batch: None, device: None, steps: 40, warmup: 8, json: false };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("model") => options.model = Some(args.value()?.string()?),
            Long("batch") => options.batch = Some(args.value()?.parse().context("--batch")?),
            Long("device") => options.device = Some(args.value()?.string()?),
            Long("steps") => options.steps = args.value()?.parse().context("--steps")?,
            Long("warmup") => options.warmup = args.value()?.parse().context("--warmup")?,
            Long("json") => options.json = true,
            // What cargo adds.
            Long("bench") => {}
            other => return Err(other.unexpected().into()),
        }
    }
    if options.steps == 0 || options.batch == Some(0) {
        bail!("--steps and --batch must be at least 1");
    }
    Ok(options)
}

fn main() -> Result<()> {
    let options = options()?;
    if let (Some(model), Some(batch), Some(device)) = (&options.model, options.batch, &options.device) {
        let row = measure(model, batch, device, &options)?;
        return print_rows(&[row], options.json);
    }
    let devices = match &options.device {
        Some(device) => vec![device.clone()],
        None => std::iter::once("cpu".to_string()).chain(adapters().iter().map(|a| a.name().to_string())).collect(),
    };
    let mut rows = Vec::new();
    for model in MODELS.iter().filter(|m| options.model.as_deref().is_none_or(|only| only == **m)) {
        for batch in options.batch.map_or(BATCHES.to_vec(), |batch| vec![batch]) {
            for device in &devices {
                rows.push(in_a_process_of_its_own(model, batch, device, &options)?);
                if options.json {
                    println!("{}", rows[rows.len() - 1]);
                }
            }
        }
    }
    if options.json { Ok(()) } else { print_rows(&rows, false) }
}

/// Peak memory and the first step's time mean something only in a fresh process.
fn in_a_process_of_its_own(model: &str, batch: usize, device: &str, options: &Options) -> Result<Value> {
    let software = device.to_lowercase().contains("llvmpipe") || device.to_lowercase().contains("swiftshader");
    // A step on a CPU that plays a GPU takes seconds: fewer tell as much.
    let (steps, warmup) = if software { (options.steps.min(6), options.warmup.min(2)) } else { (options.steps, options.warmup) };
    let output = Command::new(std::env::current_exe()?)
        .args(["--model", model, "--batch", &batch.to_string(), "--device", device, "--json"])
        .args(["--steps", &steps.to_string(), "--warmup", &warmup.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().last().map(serde_json::from_str) {
        Some(Ok(row)) if output.status.success() => Ok(row),
        _ => bail!("model {model}, batch {batch}, {device}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// M is the MNIST model of the examples, C the course's CIFAR-100 model. The input's shape, the number of classes, the layers.
fn model(name: &str) -> Result<(Sequential, [usize; 3], u32)> {
    Ok(match name {
        "M" => {
            let layers = Sequential::new().add(Conv2D::new(32, 3).activation(Relu)).add(Conv2D::new(64, 3).activation(Relu));
            (layers.add(Flatten::new()).add(Dense::new(128).activation(Relu)).add(Dense::new(10)), [28, 28, 1], 10)
        }
        "C" => {
            let first = Sequential::new().add(Conv2D::new(16, 3).activation(Relu)).add(MaxPooling2D::new(2));
            let second = first.add(Conv2D::new(32, 3).activation(Relu)).add(MaxPooling2D::new(2));
            (second.add(Flatten::new()).add(Dense::new(256).activation(Relu)).add(Dense::new(100)), [32, 32, 3], 100)
        }
        other => bail!("--model {other}: there are M and C"),
    })
}

/// Floating-point operations of a step per sample: two per multiplication, three passes, but no input gradient of the first layer.
fn flops(model: &str) -> f64 {
    let forward: [f64; 4] = match model {
        "M" => [26. * 26. * 32. * 9., 24. * 24. * 64. * 288., 36_864. * 128., 1_280.],
        _ => [30. * 30. * 16. * 27., 13. * 13. * 32. * 144., 1_152. * 256., 25_600.],
    };
    2.0 * (3.0 * forward.iter().sum::<f64>() - forward[0])
}

fn measure(name: &str, batch: usize, device: &str, options: &Options) -> Result<Value> {
    let device = Device::named(device)?;
    let (model, shape, classes) = model(name)?;
    let mut model = model.on_device(&device).input(shape);
    model.build(shape)?;
    let variables = model.trainable_variables();
    let mut adam = Adam::default();
    adam.build(&variables)?;
    let batches = batches(&device, batch, shape, classes)?;
    let step = Function::new("step", |args: &[Tensor]| {
        let tape = GradientTape::new();
        let loss = model.call(&args[0], &Call::training())?.sparse_softmax_crossentropy(&args[1])?.mean_all()?;
        let gradients = tape.gradient(&loss, &variables)?;
        let pairs =
            variables.iter().enumerate().map(|(i, v)| Ok((gradients.get(i)?.clone(), v.clone()))).collect::<gradus::Result<Vec<_>>>()?;
        adam.apply(&pairs, None)?;
        Ok(vec![loss])
    });
    let mut times = Vec::with_capacity(options.warmup + options.steps);
    for i in 0..options.warmup + options.steps + 1 {
        let (x, y) = &batches[i % DISTINCT];
        let start = Instant::now();
        let loss = step.call(&[x, y])?.remove(0).item()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        if !loss.is_finite() {
            bail!("the loss of step {i} is {loss}");
        }
    }
    let first = times[0];
    let mut steady = times.split_off(1 + options.warmup);
    steady.sort_by(f64::total_cmp);
    let median = steady[steady.len() / 2];
    let program = step.programs().remove(0);
    Ok(json!({
        "model": name, "batch": batch, "device": device.to_string(), "first_ms": round(first), "median_ms": round(median),
        "p90_ms": round(steady[steady.len() * 9 / 10]), "steps_per_s": round(1e3 / median),
        "gflops": round(flops(name) * batch as f64 / median / 1e6), "peak_rss_mb": peak_rss_mb(), "dispatches": program.dispatches(),
        "build_ms": round(program.build_time().as_secs_f64() * 1e3),
    }))
}

fn batches(device: &Device, batch: usize, shape: [usize; 3], classes: u32) -> Result<Vec<(Tensor, Tensor)>> {
    use gradus::ops::random::host;
    let pixels: usize = batch * shape.iter().product::<usize>();
    let one = |k: usize| {
        let x: Vec<f32> = (0..pixels).map(|i| host::uniform(1, k as u64, i as u64)).collect();
        let y: Vec<u32> = (0..batch).map(|i| (host::uniform(2, k as u64, i as u64) * classes as f32) as u32).collect();
        Ok((Tensor::new(device, [&[batch], &shape[..]].concat(), &x)?, Tensor::new(device, [batch], &y)?))
    };
    (0..DISTINCT).map(one).collect()
}

fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// The largest memory that the process had, where the system says so.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    Some(round(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0))
}

fn print_rows(rows: &[Value], json: bool) -> Result<()> {
    if json {
        rows.iter().for_each(|row| println!("{row}"));
        return Ok(());
    }
    let number = |row: &Value, key: &str| row[key].as_f64();
    println!(
        "{:<6}{:<7}{:<52}{:>10}{:>11}{:>10}{:>10}{:>10}{:>10}{:>7}{:>10}{:>9}",
        "model", "batch", "device", "first ms", "median ms", "p90 ms", "steps/s", "GFLOP/s", "peak MB", "disp.", "build ms", "vs cpu"
    );
    for row in rows {
        let same = |other: &&Value| other["model"] == row["model"] && other["batch"] == row["batch"];
        let cpu = rows.iter().find(same).and_then(|first| number(first, "median_ms"));
        let ratio = cpu.zip(number(row, "median_ms")).map_or(f64::NAN, |(cpu, own)| cpu / own);
        let cell = |key: &str| number(row, key).map_or("-".to_string(), |v| format!("{v:.1}"));
        println!(
            "{:<6}{:<7}{:<52}{:>10}{:>11}{:>10}{:>10}{:>10}{:>10}{:>7}{:>10}{:>8.2}x",
            row["model"].as_str().unwrap_or("?"),
            row["batch"].to_string(),
            row["device"].as_str().unwrap_or("?"),
            cell("first_ms"),
            cell("median_ms"),
            cell("p90_ms"),
            cell("steps_per_s"),
            cell("gflops"),
            cell("peak_rss_mb"),
            row["dispatches"].to_string(),
            cell("build_ms"),
            ratio
        );
    }
    Ok(())
}
