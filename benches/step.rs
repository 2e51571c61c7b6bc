//! Whole training steps (forward, loss, backward, Adam; the loss is read after every step) and predictions, with their floor: the operations
//! of each kernel at the measured peak or its bytes at the measured bandwidth, whichever takes longer, added up.
//!
//! `cargo bench --bench step` measures models M and C at batches of 32 and 128 on every device of this machine. `-- --model M --batch 128
//! --device cpu` measures one. `--fuse both` runs each with and without fusion (`GRADUS_FUSE`), `--rounds N` says how often all take their
//! turn, `--steps N`, `--warmup N` and `--images N` how much is measured in a turn, `--json` prints a line of JSON per row and turn. Every row is
//! a process of its own. On a GPU the host's processor time is measured too, for steps that are not waited for, and next to it what as many
//! dispatches that take as long cost by wgpu alone. `--floor` prints the floors alone and measures no step; `--profile` prints how long every kernel of a step takes.

mod common;

use anyhow::{Result, bail};
use common::job::{self, Job, Mode};
use common::network::{Floor, Network};
use common::peaks::{Gauge, Peaks};
use common::table::{Table, number, thousands};
use common::turns::{self, Ratios};
use common::{at_least_one, median};
use gradus::device::adapters;
use serde_json::Value;

const MODELS: [&str; 2] = ["M", "C"];
const BATCHES: [usize; 2] = [32, 128];

struct Options {
    models: Vec<String>,
    batches: Vec<usize>,
    devices: Vec<String>,
    /// Values of `GRADUS_FUSE`; `None` leaves it as it is.
    fuse: Vec<Option<bool>>,
    rounds: usize,
    steps: Option<usize>,
    warmup: Option<usize>,
    images: usize,
    json: bool,
    /// Print the floors alone.
    floor: bool,
    /// Print the times of kernels alone.
    profile: bool,
}

fn options() -> Result<Options> {
    use lexopt::prelude::*;
    let mut options = Options {
        models: MODELS.map(String::from).to_vec(),
        batches: BATCHES.to_vec(),
        devices: Vec::new(),
        fuse: vec![None],
        rounds: 3,
        steps: None,
        warmup: None,
        images: 2000,
        json: false,
        floor: false,
        profile: false,
    };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("model") => options.models = vec![args.value()?.string()?],
            Long("batch") => options.batches = vec![at_least_one(&mut args, "--batch")?],
            Long("device") => options.devices = vec![args.value()?.string()?],
            Long("fuse") => {
                options.fuse = match args.value()?.string()?.as_str() {
                    "on" => vec![Some(true)],
                    "off" => vec![Some(false)],
                    "both" => vec![Some(true), Some(false)],
                    other => bail!("--fuse {other}: there are on, off and both"),
                }
            }
            Long("rounds") => options.rounds = at_least_one(&mut args, "--rounds")?,
            Long("steps") => options.steps = Some(at_least_one(&mut args, "--steps")?),
            Long("warmup") => options.warmup = Some(at_least_one(&mut args, "--warmup")?),
            Long("images") => options.images = at_least_one(&mut args, "--images")?,
            Long("json") => options.json = true,
            Long("floor") => options.floor = true,
            Long("profile") => options.profile = true,
            // What cargo adds.
            Long("bench") => {}
            Short('h') | Long("help") => common::help(include_str!("step.rs")),
            other => return Err(other.unexpected().into()),
        }
    }
    if options.devices.is_empty() {
        options.devices = std::iter::once("cpu".to_string()).chain(adapters().iter().map(|a| a.name().to_string())).collect();
    }
    Ok(options)
}

fn main() -> Result<()> {
    if Job::done_here()? {
        return Ok(());
    }
    let options = options()?;
    if options.profile {
        return print_profiles(&options);
    }
    let gauges = options.devices.iter().map(|name| Gauge::new(&common::device(name)?)).collect::<Result<Vec<_>>>()?;
    if !options.json {
        for (name, gauge) in options.devices.iter().zip(&gauges) {
            println!("{name}: {}", gauge.describe());
        }
    }
    if options.floor {
        return print_floors(&options, &gauges);
    }
    for mode in [Mode::Train, Mode::Predict] {
        let mut table = Table::new(match mode {
            Mode::Train => &TRAINING,
            _ => &PREDICTION,
        });
        for model in &options.models {
            for &batch in &options.batches {
                group(&options, &gauges, mode, model, batch, &mut table)?;
            }
        }
        if !options.json {
            println!("\n{}\n\n{}", if mode == Mode::Train { "Training" } else { "Prediction" }, table.text());
        }
    }
    Ok(())
}

fn print_profiles(options: &Options) -> Result<()> {
    for (device, model) in options.devices.iter().flat_map(|device| options.models.iter().map(move |model| (device, model))) {
        for &batch in &options.batches {
            let mut job = Job::new(Mode::Train, model, batch, device)?;
            job.steps = options.steps.unwrap_or(job.steps);
            job.warmup = options.warmup.unwrap_or(job.warmup);
            println!("{model}, batch {batch}, {device}\n{}\n", job.profile()?);
        }
    }
    Ok(())
}

/// Adds the rows of one model and batch: every device, with and without fusion, in turns, and in turns with the devices' peaks.
fn group(options: &Options, gauges: &[Gauge], mode: Mode, model: &str, batch: usize, table: &mut Table) -> Result<()> {
    let network = Network::named(model)?;
    let mut jobs = Vec::new();
    for device in &options.devices {
        for &fuse in &options.fuse {
            let mut job = Job::new(mode, model, batch, device)?;
            job.fuse = fuse;
            job.steps = options.steps.unwrap_or(job.steps);
            job.warmup = options.warmup.unwrap_or(job.warmup);
            job.images = job.images.min(options.images);
            jobs.push(job);
        }
    }
    let per_device = options.fuse.len();
    let rounds = turns::take(jobs.len(), options.rounds, |i| {
        let row = job::run(&mut jobs[i].command()?)?;
        if options.json {
            println!("{row}");
        }
        Ok((row, gauges[i / per_device].sample()?))
    })?;
    let times = |i: usize| rounds[i].iter().map(|(row, _)| row["median_ms"].as_f64().unwrap_or(f64::NAN)).collect::<Vec<_>>();
    for (i, job) in jobs.iter().enumerate() {
        let rows: Vec<&Value> = rounds[i].iter().map(|(row, _)| row).collect();
        let peaks = Peaks::median(&rounds[i].iter().map(|(_, peaks)| *peaks).collect::<Vec<_>>());
        let kernels = if mode == Mode::Train { network.training(batch) } else { network.inference(batch) };
        let ms_of_floor = Floor::of(&kernels, peaks).ms * if mode == Mode::Train { 1.0 } else { job.images as f64 / batch as f64 };
        table.row(line(job, &rows, ms_of_floor, Ratios::of(&times(0), &times(i))));
    }
    Ok(())
}

/// What no step can go below: operations over peak, bytes over bandwidth.
fn print_floors(options: &Options, gauges: &[Gauge]) -> Result<()> {
    for (device, gauge) in options.devices.iter().zip(gauges) {
        let peaks = gauge.measure(5)?;
        let mut table = Table::new(&["mode", "model", "batch", "GFLOP", "MB", "operations ms", "bytes ms", "floor ms"]);
        for model in &options.models {
            let network = Network::named(model)?;
            for &batch in &options.batches {
                for (mode, kernels) in [(Mode::Train, network.training(batch)), (Mode::Predict, network.inference(batch))] {
                    let floor = Floor::of(&kernels, peaks);
                    let mut cells = vec![mode.name().to_string(), model.clone(), batch.to_string()];
                    let numbers = [floor.flops / 1e9, floor.bytes / 1e6, floor.compute_ms, floor.memory_ms, floor.ms];
                    cells.extend(numbers.map(|n| number(Some(n))));
                    table.row(cells);
                }
            }
        }
        println!("\n{device}: {:.0} GFLOP/s, {:.1} GB/s\n\n{}", peaks.flops / 1e9, peaks.bandwidth / 1e9, table.text());
    }
    Ok(())
}

const TRAINING: [&str; 18] = [
    "model",
    "batch",
    "device",
    "fuse",
    "median ms",
    "p90 ms",
    "floor ms",
    "floor %",
    "steps/s",
    "GFLOP/s",
    "dispatches",
    "host µs/dispatch",
    "bare wgpu µs",
    "first ms",
    "planned MB",
    "live MB",
    "peak RSS MB",
    "times the first",
];

const PREDICTION: [&str; 10] =
    ["model", "batch", "device", "fuse", "images/s", "floor %", "GFLOP/s", "first ms", "peak RSS MB", "times the first"];

/// A row's cells: medians over the rounds.
fn line(job: &Job, rows: &[&Value], floor: f64, ratios: Ratios) -> Vec<String> {
    let of = |key: &str| Some(median(&rows.iter().filter_map(|row| row[key].as_f64()).collect::<Vec<_>>()));
    let cell = |key: &str| if key == "dispatches" { of(key).map_or("-".into(), thousands) } else { number(of(key)) };
    let fuse = match job.fuse {
        None => "",
        Some(true) => "on",
        Some(false) => "off",
    };
    let device = rows[0]["device"].as_str().unwrap_or("?");
    let share = of("median_ms").map_or("-".into(), |ms| format!("{:.0}", 100.0 * floor / ms));
    let ratio = format!("{:.2} ({:.2} to {:.2})", ratios.median, ratios.least, ratios.most);
    let mut cells = vec![job.model.clone(), job.batch.to_string(), device.into(), fuse.into()];
    cells.extend(match job.mode {
        Mode::Train => {
            let planned = ["steps/s", "gflops", "dispatches", "host_us", "bare_us", "first_ms", "planned_mb", "live_mb", "peak_rss_mb"];
            let rest = planned.map(|key| cell(if key == "steps/s" { "rate" } else { key }));
            [cell("median_ms"), cell("p90_ms"), number(Some(floor)), share].into_iter().chain(rest).collect::<Vec<_>>()
        }
        _ => vec![cell("rate"), share, cell("gflops"), cell("first_ms"), cell("peak_rss_mb")],
    });
    cells.push(ratio);
    cells
}
