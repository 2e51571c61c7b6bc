//! What one process measures: a network trained or asked on a device. Peak memory and the time of the first step mean something only in a
//! fresh process, so a bench starts itself once for every row.

use super::bare::{self, Rhythm};
use super::network::Network;
use super::{device, is_software, median, memory_mb, round, thread_seconds};
use anyhow::{Context, Result, bail, ensure};
use gradus::device::{Profile, profile};
use gradus::ops::random::host;
use gradus::prelude::*;
use serde_json::{Value, json};
use std::process::Command;
use std::str::FromStr;
use std::time::Instant;

/// What is done with the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Training steps; the loss is read after every step, so nothing is left in a queue.
    Train,
    /// `predict` over many images: two passes to warm up, five that count.
    Predict,
    /// Many training steps, with the memory of the process along the way; the loss is read a hundred times.
    Long,
}

/// A row to be measured.
#[derive(Clone, Debug)]
pub struct Job {
    pub mode: Mode,
    pub model: String,
    pub batch: usize,
    pub device: String,
    pub steps: usize,
    pub warmup: usize,
    /// For [`Mode::Predict`].
    pub images: usize,
    /// The value of `GRADUS_FUSE`, unless it is left as it is.
    pub fuse: Option<bool>,
}

/// Marks the arguments of a process that was started for a job.
const MARK: &str = "--job";

/// Batches that the steps go through in turn.
const DISTINCT: usize = 8;

/// Passes of `predict`: to warm up, to count.
const PASSES: [usize; 2] = [2, 5];

impl FromStr for Mode {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Mode> {
        Ok(match name {
            "train" => Mode::Train,
            "predict" => Mode::Predict,
            "long" => Mode::Long,
            _ => bail!("mode {name}: there are train, predict and long"),
        })
    }
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Train => "train",
            Mode::Predict => "predict",
            Mode::Long => "long",
        }
    }
}

impl Job {
    /// A job with the numbers of steps and images that the peers use, or fewer on software adapters.
    pub fn new(mode: Mode, model: &str, batch: usize, device_name: &str) -> Result<Job> {
        let software = is_software(&device(device_name)?);
        let (steps, warmup) = if software { (6, 2) } else { (40, 8) };
        let images = if software { 4 * batch } else { 10_000 };
        Ok(Job { mode, model: model.to_string(), batch, device: device_name.to_string(), steps, warmup, images, fuse: None })
    }

    /// Does the job and prints its row, if this process was started for one. Every bench asks this first.
    ///
    /// # Errors
    /// What measuring returns.
    pub fn done_here() -> Result<bool> {
        let args: Vec<String> = std::env::args().collect();
        let Some(at) = args.iter().position(|a| a == MARK) else { return Ok(false) };
        let [mode, model, batch, device, steps, warmup, images] = &args[at + 1..] else { bail!("{MARK} needs seven arguments") };
        let job = Job {
            mode: mode.parse()?,
            model: model.clone(),
            batch: batch.parse()?,
            device: device.clone(),
            steps: steps.parse()?,
            warmup: warmup.parse()?,
            images: images.parse()?,
            fuse: None,
        };
        println!("{}", job.measure()?);
        Ok(true)
    }

    /// The command that does it in a process of its own.
    ///
    /// # Errors
    /// If the system does not know this program's path.
    pub fn command(&self) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        let numbers = [self.steps, self.warmup, self.images].map(|n| n.to_string());
        command.args([MARK, self.mode.name(), &self.model, &self.batch.to_string(), &self.device]).args(numbers);
        if let Some(fuse) = self.fuse {
            command.env("GRADUS_FUSE", if fuse { "1" } else { "0" });
        }
        Ok(command)
    }

    /// How long every kernel of a training step takes, in this process.
    ///
    /// # Errors
    /// What training returns.
    pub fn profile(&self) -> Result<Profile> {
        let (network, device) = (Network::named(&self.model)?, device(&self.device)?);
        let model = built(&network, &device)?;
        let (step, batches) = (step(&network, &model)?, batches(&network, &device, self.batch)?);
        let run = |steps: usize| -> Result<()> {
            (0..steps).map(|i| &batches[i % DISTINCT]).try_for_each(|(x, y)| Ok(step.call(&[x, y])?.remove(0).item().map(drop)?))
        };
        run(1 + self.warmup)?;
        let (ran, profile) = profile(|| run(self.steps));
        ran.map(|()| profile)
    }

    /// Does it in this process.
    fn measure(&self) -> Result<Value> {
        let network = Network::named(&self.model)?;
        let device = device(&self.device)?;
        ensure!(self.steps > 0 && self.batch > 0, "steps and batch must be at least 1");
        let mut row = match self.mode {
            Mode::Train => train(&network, &device, self)?,
            Mode::Predict => predict(&network, &device, self)?,
            Mode::Long => long(&network, &device, self)?,
        };
        row["mode"] = json!(self.mode.name());
        row["model"] = json!(self.model);
        row["batch"] = json!(self.batch);
        row["device"] = json!(device.to_string());
        row["parameters"] = json!(network.parameters());
        if row["peak_rss_mb"].is_null() {
            row["peak_rss_mb"] = json!(memory_mb("VmHWM:"));
        }
        Ok(row)
    }
}

fn train(network: &Network, device: &Device, job: &Job) -> Result<Value> {
    let model = built(network, device)?;
    let step = step(network, &model)?;
    let batches = batches(network, device, job.batch)?;
    let mut times = Vec::with_capacity(1 + job.warmup + job.steps);
    for i in 0..1 + job.warmup + job.steps {
        let (x, y) = &batches[i % DISTINCT];
        let start = Instant::now();
        let loss = step.call(&[x, y])?.remove(0).item()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        ensure!(loss.is_finite(), "the loss of step {i} is {loss}");
    }
    let mut row = summary(&times, 1 + job.warmup);
    let (ms, program) = (row["median_ms"].as_f64().unwrap_or(f64::NAN), step.programs().remove(0));
    let flops: f64 = network.training(job.batch).iter().map(|k| k.flops()).sum();
    row["rate"] = json!(round(1e3 / ms));
    row["gflops"] = json!(round(flops / ms / 1e6));
    row["dispatches"] = json!(program.dispatches());
    if let Device::Gpu(gpu) = device {
        let micros = |seconds: f64| round(1e6 * seconds);
        // What follows takes memory that is not the step's.
        row["peak_rss_mb"] = json!(memory_mb("VmHWM:"));
        let (seconds, rhythm) = host_seconds(&step, &batches, device, 4 * job.steps, program.dispatches())?;
        row["host_us"] = json!(seconds.map(|s| micros(s / program.dispatches() as f64)));
        row["bare_us"] = json!(bare::dispatch_seconds(gpu.name(), &rhythm)?.map(micros));
    }
    row["build_ms"] = json!(round(program.build_time().as_secs_f64() * 1e3));
    row["planned_mb"] = json!(round(program.planned_bytes() as f64 / 1e6));
    row["live_mb"] = json!(round(program.unplanned_bytes() as f64 / 1e6));
    Ok(row)
}

/// What a step costs the thread that takes it, while the adapter computes: its time on a processor. The loss is not read. And how the steps went.
fn host_seconds(
    step: &Function,
    batches: &[(Tensor, Tensor)],
    device: &Device,
    steps: usize,
    dispatches: usize,
) -> Result<(Option<f64>, Rhythm)> {
    device.synchronize()?;
    let (start, submissions, before) = (Instant::now(), device.stats().submissions, thread_seconds());
    for i in 0..steps {
        let (x, y) = &batches[i % DISTINCT];
        step.call(&[x, y])?;
    }
    let seconds = before.zip(thread_seconds()).map(|(before, after)| (after - before) / steps as f64);
    device.synchronize()?;
    let submissions = (device.stats().submissions - submissions) as usize;
    Ok((seconds, Rhythm { dispatches, step: start.elapsed() / steps as u32, steps, submissions }))
}

fn predict(network: &Network, device: &Device, job: &Job) -> Result<Value> {
    ensure!(job.images > 0, "images must be at least 1");
    let model = built(network, device)?;
    let shape = [&[job.images], &network.input[..]].concat();
    let pixels: Vec<f32> = (0..shape.iter().product()).map(|i: usize| host::uniform(1, 0, i as u64)).collect();
    let images = Samples::new(shape, &pixels)?;
    let mut times = Vec::new();
    for pass in 0..PASSES.iter().sum() {
        let start = Instant::now();
        let outputs = model.predict(&images, job.batch)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        ensure!(outputs.iter().all(|v| v.is_finite()), "pass {pass} predicts what is not finite");
    }
    let mut row = summary(&times, PASSES[0]);
    let ms = row["median_ms"].as_f64().unwrap_or(f64::NAN);
    let flops: f64 = network.inference(job.images).iter().map(|k| k.flops()).sum();
    row["images"] = json!(job.images);
    row["rate"] = json!(round(job.images as f64 / ms * 1e3));
    row["gflops"] = json!(round(flops / ms / 1e6));
    Ok(row)
}

/// Looks a hundred times at the memory of the process, and at the time since the last look.
fn long(network: &Network, device: &Device, job: &Job) -> Result<Value> {
    let model = built(network, device)?;
    let step = step(network, &model)?;
    let batches = batches(network, device, job.batch)?;
    let every = job.steps.div_ceil(100);
    let (mut at, mut rss, mut times) = (Vec::new(), Vec::new(), Vec::new());
    let mut start = Instant::now();
    for i in 1..=job.steps {
        let (x, y) = &batches[i % DISTINCT];
        let loss = step.call(&[x, y])?.remove(0);
        if i % every == 0 {
            let loss = loss.item()?;
            ensure!(loss.is_finite(), "the loss of step {i} is {loss}");
            times.push(round(start.elapsed().as_secs_f64() * 1e3 / every as f64));
            rss.push(memory_mb("VmRSS:"));
            at.push(i);
            start = Instant::now();
        }
    }
    let stats = device.stats();
    Ok(json!({ "at": at, "rss_mb": rss, "step_ms": times, "median_ms": round(median(&times)), "allocations": stats.allocations }))
}

fn built(network: &Network, device: &Device) -> Result<Sequential> {
    let mut model = network.layers().on_device(device).input(network.input);
    model.build(network.input)?;
    Ok(model)
}

/// Forward, loss, backward, Adam, traced once. The result is the loss.
fn step<'m>(network: &Network, model: &'m Sequential) -> Result<Function<'m>> {
    let variables = model.trainable_variables();
    let mut optimizer: Box<dyn Optimizer> = match network.mixed {
        true => Box::new(LossScaleOptimizer::new(Adam::default())),
        false => Box::new(Adam::default()),
    };
    optimizer.build(&variables)?;
    let step = Function::new("step", move |args: &[Tensor]| {
        let tape = GradientTape::new();
        let loss = model.call(&args[0], &Call::training())?.sparse_softmax_crossentropy(&args[1])?.mean_all()?;
        let gradients = tape.gradient(&optimizer.scale_loss(&loss)?, &variables)?;
        let pair = |(i, v): (usize, &Variable)| Ok((gradients.get(i)?.clone(), v.clone()));
        optimizer.apply(&variables.iter().enumerate().map(pair).collect::<gradus::Result<Vec<_>>>()?, None)?;
        Ok(vec![loss])
    });
    Ok(step.remat(network.remat))
}

fn batches(network: &Network, device: &Device, batch: usize) -> Result<Vec<(Tensor, Tensor)>> {
    let shape = [&[batch], &network.input[..]].concat();
    let pixels: usize = shape.iter().product();
    let one = |k: usize| {
        let x: Vec<f32> = (0..pixels).map(|i| host::uniform(1, k as u64, i as u64)).collect();
        let y: Vec<u32> = (0..batch).map(|i| (host::uniform(2, k as u64, i as u64) * network.classes as f32) as u32).collect();
        Ok((Tensor::new(device, shape.clone(), &x)?, Tensor::new(device, [batch], &y)?))
    };
    (0..DISTINCT).map(one).collect()
}

/// The first time by itself, and what those after the warming up have in common.
fn summary(times: &[f64], warmup: usize) -> Value {
    let mut steady = times[warmup..].to_vec();
    steady.sort_by(f64::total_cmp);
    json!({
        "first_ms": round(times[0]), "median_ms": round(median(&steady)), "min_ms": round(steady[0]),
        "p90_ms": round(steady[(steady.len() * 9 / 10).min(steady.len() - 1)]), "n": steady.len(),
    })
}

/// The row that a command prints as JSON in its last line.
///
/// # Errors
/// What the command says on standard error, if it fails or prints no such line.
pub fn run(command: &mut Command) -> Result<Value> {
    let output = command.output().with_context(|| format!("{:?}", command.get_program()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let row = text.lines().rev().find(|line| line.starts_with('{')).map(serde_json::from_str);
    match row {
        Some(Ok(row)) if output.status.success() => Ok(row),
        _ => {
            let errors = String::from_utf8_lossy(&output.stderr);
            let last: Vec<&str> = errors.lines().rev().take(4).collect();
            bail!("{}: {}", output.status, last.into_iter().rev().collect::<Vec<_>>().join("; "))
        }
    }
}
