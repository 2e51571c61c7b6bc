//! Does cost grow as the work does? Step time and memory against batch size, width, depth and number of steps, with the straight line through
//! the points and the largest relative deviation from it.
//!
//! `cargo bench --bench scaling` measures all four on the CPU and writes plots to `target/plots`; `-- --device NAME`, `--what batch|width|
//! depth|steps`, `--rounds N`, `--max-batch N`, `--steps N`, `--out FOLDER` and `--json` change that. Every point is a process of its own, once a
//! round; the points take turns, so that other load on the machine meets all of them, and each counts with its median.

mod common;

use anyhow::{Context, Result, bail, ensure};
use common::job::{self, Job, Mode};
use common::line::Line;
use common::network::Network;
use common::plot::{Figure, Mark, Panel, Scale, Series};
use common::table::{Table, number, thousands};
use common::{at_least_one, is_software, median, round, turns};
use serde_json::{Value, json};
use std::path::PathBuf;

struct Options {
    device: String,
    what: Option<String>,
    rounds: usize,
    max_batch: usize,
    steps: usize,
    out: PathBuf,
    json: bool,
}

fn options() -> Result<Options> {
    use lexopt::prelude::*;
    let out = PathBuf::from("target/plots");
    let mut options = Options { device: "cpu".into(), what: None, rounds: 3, max_batch: 1024, steps: 10_000, out, json: false };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("device") => options.device = args.value()?.string()?,
            Long("what") => options.what = Some(args.value()?.string()?),
            Long("rounds") => options.rounds = at_least_one(&mut args, "--rounds")?,
            Long("max-batch") => options.max_batch = at_least_one(&mut args, "--max-batch")?,
            Long("steps") => options.steps = at_least_one(&mut args, "--steps")?,
            Long("out") => options.out = args.value()?.into(),
            Long("json") => options.json = true,
            // What cargo adds.
            Long("bench") => {}
            Short('h') | Long("help") => common::help(include_str!("scaling.rs")),
            other => return Err(other.unexpected().into()),
        }
    }
    if let Some(what) = options.what.as_deref().filter(|what| !["batch", "width", "depth", "steps"].contains(what)) {
        bail!("--what {what}: there are batch, width, depth and steps");
    }
    Ok(options)
}

fn main() -> Result<()> {
    if Job::done_here()? {
        return Ok(());
    }
    let options = options()?;
    std::fs::create_dir_all(&options.out).with_context(|| options.out.display().to_string())?;
    let wanted = |what: &str| options.what.as_deref().is_none_or(|only| only == what);
    if wanted("batch") {
        let sizes: Vec<usize> = (0..).map(|i| 1 << i).take_while(|b| *b <= options.max_batch).collect();
        let models = ["M", "C"].map(|model| {
            let points = sizes.iter().map(|&batch| (batch as f64, model.to_string(), batch)).collect();
            Sweep { name: format!("model {model}"), points }
        });
        report(&options, "batch", "batch size", "images", &models)?;
    }
    if wanted("width") {
        let of = |width: usize| -> Result<_> {
            let model = format!("mlp:{width}");
            Ok((Network::named(&model)?.parameters() as f64 / 1e6, model, 128))
        };
        let points = (5..=11).map(|i| of(1 << i)).collect::<Result<_>>()?;
        let sweep = Sweep { name: "784 → W → W → 10, W from 32 to 2048, batch 128".into(), points };
        report(&options, "width", "parameters in millions", "million parameters", &[sweep])?;
    }
    if wanted("depth") {
        let sweeps = [("deep", "3×3 of 16 channels on 16×16 pixels, batch 32"), ("remat", "the same, computed again for the gradient")];
        let sweeps = sweeps.map(|(model, name)| {
            let points = [1, 2, 4, 8, 16, 32, 64].map(|depth: usize| (depth as f64, format!("{model}:{depth}"), 32)).to_vec();
            Sweep { name: name.into(), points }
        });
        report(&options, "depth", "convolutions", "convolutions", &sweeps)?;
    }
    if wanted("steps") {
        steps(&options)?;
    }
    Ok(())
}

/// Networks that grow: for each point the amount of work, the model and its batch.
struct Sweep {
    name: String,
    points: Vec<(f64, String, usize)>,
}

/// What was measured of a sweep: work and milliseconds, work and planned megabytes.
#[derive(Default)]
struct Grown {
    time: Vec<(f64, f64)>,
    memory: Vec<(f64, f64)>,
}

fn report(options: &Options, what: &str, label: &str, unit: &str, sweeps: &[Sweep]) -> Result<()> {
    let mut all = Vec::new();
    for sweep in sweeps {
        let grown = measure(options, what, unit, sweep)?;
        ensure!(grown.time.len() > 1, "{}: fewer than two points ran", sweep.name);
        all.push((sweep.name.as_str(), grown));
    }
    let x = if what == "batch" { Scale::Fours } else { Scale::Log };
    let device = common::device(&options.device)?.to_string();
    for (kind, quantity, get) in [
        ("time", "milliseconds a step", (|g: &Grown| g.time.clone()) as fn(&Grown) -> Vec<_>),
        ("memory", "planned memory of a step in MB", |g: &Grown| g.memory.clone()),
    ] {
        let series: Vec<(&str, Vec<(f64, f64)>)> = all.iter().map(|(name, grown)| (*name, get(grown))).collect();
        let first = if kind == "time" { "Step time" } else { "Memory" };
        let panels = vec![
            Panel::new("linear", (label, Scale::Linear), (quantity, Scale::Linear), marks(&series)),
            Panel::new("logarithmic", (label, x), (quantity, Scale::Log), marks(&series)),
        ];
        let figure = Figure { title: format!("{first} against {label}"), subtitle: format!("{device}; lines: least squares"), panels };
        write(options, &format!("{what}-{kind}"), &figure)?;
    }
    Ok(())
}

/// Points, and the line through them.
fn marks(series: &[(&str, Vec<(f64, f64)>)]) -> Vec<Series> {
    let mut marks = Vec::new();
    for (colour, (name, points)) in series.iter().enumerate() {
        let ends = || points.iter().map(|p| p.0);
        let (from, to) = (ends().fold(f64::INFINITY, f64::min), ends().fold(0.0, f64::max));
        marks.extend(Line::through(points).map(|line| Series::curve(from, to, |x| line.at(x)).coloured(colour)));
        marks.push(Series::new(*name, Mark::Dots, points.clone()).coloured(colour));
    }
    marks
}

/// All points of a sweep in turns. A point that the device cannot take is left out with what it said.
fn measure(options: &Options, what: &str, unit: &str, sweep: &Sweep) -> Result<Grown> {
    let software = is_software(&common::device(&options.device)?);
    let rows = turns::take(sweep.points.len(), options.rounds, |i| {
        let (_, model, batch) = &sweep.points[i];
        let mut job = Job::new(Mode::Train, model, *batch, &options.device)?;
        // Of long steps a few are enough.
        (job.steps, job.warmup) = if software { (3, 1) } else { ((4096 / batch).clamp(6, 40), 4) };
        match job::run(&mut job.command()?) {
            Ok(row) => Ok(Some(row)),
            Err(error) => {
                eprintln!("{} at {} {unit} was left out: {error}", sweep.name, sweep.points[i].0);
                Ok(None)
            }
        }
    })?;
    let mut grown = Grown::default();
    let mut kept = Vec::new();
    for ((work, ..), rows) in sweep.points.iter().zip(&rows) {
        let rows: Vec<&Value> = rows.iter().flatten().collect();
        let of = |key: &str| median(&rows.iter().filter_map(|row| row[key].as_f64()).collect::<Vec<_>>());
        if !rows.is_empty() {
            grown.time.push((*work, of("median_ms")));
            grown.memory.push((*work, of("planned_mb")));
            kept.push((of("live_mb"), of("peak_rss_mb")));
        }
    }
    print_sweep(options, what, unit, &sweep.name, &grown, &kept);
    Ok(grown)
}

fn print_sweep(options: &Options, what: &str, unit: &str, name: &str, grown: &Grown, kept: &[(f64, f64)]) {
    let lines = [&grown.time, &grown.memory].map(|points| Line::through(points).map(|line| (line, line.largest_deviation(points))));
    if options.json {
        for (((work, ms), (_, planned)), (live, rss)) in grown.time.iter().zip(&grown.memory).zip(kept) {
            println!(
                "{}",
                json!({ "what": what, "sweep": name, "work": work, "median_ms": round(*ms), "planned_mb": planned, "live_mb": live, "peak_rss_mb": rss })
            );
        }
        let line =
            |i: usize| lines[i].map(|(line, largest)| json!({ "start": line.start, "slope": line.slope, "largest_deviation": largest }));
        return println!("{}", json!({ "what": what, "sweep": name, "time_line": line(0), "memory_line": line(1) }));
    }
    println!("\n{name}\n");
    let mut table = Table::new(&[
        match what {
            "batch" => "batch",
            "width" => "Mparameters",
            _ => "depth",
        },
        "ms",
        "line ms",
        "off %",
        "planned MB",
        "live MB",
        "peak RSS MB",
    ]);
    for ((&(work, ms), &(_, planned)), &(live, rss)) in grown.time.iter().zip(&grown.memory).zip(kept) {
        let line = lines[0].map(|(line, _)| (line.at(work), 100.0 * line.deviation((work, ms))));
        let off = line.map_or("-".into(), |(_, off)| format!("{off:+.1}"));
        let work = if work.fract() == 0.0 { thousands(work) } else { format!("{work:.3}") };
        let cells = [Some(ms), line.map(|l| l.0)].map(number);
        let [ms, line] = cells;
        table.row(vec![work, ms, line, off, number(Some(planned)), number(Some(live)), number(Some(rss))]);
    }
    print!("{}", table.text());
    for ((line, largest), (what, of)) in lines.iter().flatten().zip([("time", "ms"), ("memory", "MB")]) {
        let Line { start, slope } = line;
        println!("{what}: {start:.4} {of} + {slope:.5} {of} for each of the {unit}; largest deviation {:.1} %", 100.0 * largest);
    }
}

/// Many steps of a small model: the memory of the process must stay where it is.
fn steps(options: &Options) -> Result<()> {
    let mut job = Job::new(Mode::Long, "S", 32, &options.device)?;
    job.steps = options.steps;
    let row = job::run(&mut job.command()?)?;
    if options.json {
        println!("{row}");
    }
    let numbers = |key: &str| -> Vec<f64> { row[key].as_array().into_iter().flatten().filter_map(Value::as_f64).collect() };
    let (at, rss, ms) = (numbers("at"), numbers("rss_mb"), numbers("step_ms"));
    if !options.json {
        let mut table = Table::new(&["steps", "RSS MB", "ms a step"]);
        for i in (0..at.len()).filter(|i| (i + 1) % 10 == 0 || *i == 0) {
            table.row(vec![thousands(at[i]), number(rss.get(i).copied()), number(Some(ms[i]))]);
        }
        println!("\nmodel S, batch 32\n\n{}", table.text());
        // The first tenth fills pools and caches.
        match (rss.get(at.len() / 10), rss.last()) {
            (Some(early), Some(last)) => println!("from a tenth of the steps to the last, memory grew by {:+.2} MB", last - early),
            _ => println!("this system does not say how much memory a process has"),
        }
    }
    let pairs = |values: &[f64]| at.iter().copied().zip(values.iter().copied()).collect::<Vec<_>>();
    let of = |values: &[f64], colour| vec![Series::new("", Mark::Dots, pairs(values)).coloured(colour)];
    let x = ("steps", Scale::Linear);
    let panels = vec![
        Panel::new("memory of the process", x, ("MB", Scale::Linear), of(&rss, 0)),
        Panel::new("time of a step", x, ("milliseconds", Scale::Linear), of(&ms, 1)),
    ];
    let title = format!("{} training steps in one process", thousands(options.steps as f64));
    let subtitle = format!("{}; model S (one convolution, 12×12 pixels), batch 32", row["device"].as_str().unwrap_or("?"));
    write(options, "steps", &Figure { title, subtitle, panels })
}

fn write(options: &Options, name: &str, figure: &Figure) -> Result<()> {
    let device: String = options.device.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let path = options.out.join(format!("{name}-{device}.svg"));
    std::fs::write(&path, figure.svg()).with_context(|| path.display().to_string())?;
    if !options.json {
        println!("plot: {}", path.display());
    }
    Ok(())
}
