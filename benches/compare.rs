//! Gradus against its peers: whole training steps and predictions of models M and C at batches of 32 and 128. Ours and a peer take turns, pair by
//! pair; what counts is the median of the pairs' ratios.
//!
//! A peer is a command that trains or asks one of the models and prints a JSON line with `median_ms`, the time of a step; for predictions also
//! `rate`, images per second, unless `median_ms` is the time of 10,000 images. `rss_mb`, its peak memory, is shown if it is there. Commands come
//! from the environment or from options; `{mode}` (`train` or `infer`), `{model}`, `{batch}` and `{device}` in them are replaced, and a command
//! without them gets mode, model and batch as its last three words:
//!
//! ```text
//! GRADUS_PEER_KERAS="python bench_keras.py" GRADUS_PEER_TORCH="python bench_torch.py {mode} {model} {batch} --opt fused" \
//! GRADUS_PEER_BURN_FLEX="burn-bench flex" GRADUS_PEER_BURN_WGPU="@llvmpipe burn-bench wgpu" cargo bench --bench compare
//! ```
//!
//! `@DEVICE` in front says what of ours it is compared with; without it that is the CPU, and for `burn-wgpu` the GPU. `-- --peer NAME=COMMAND`
//! adds one; `--only NAME`, `--model`, `--batch`, `--mode train|infer`, `--rounds N`, `--json` and `--plot FILE.svg` do what they say. A peer
//! without a command is printed as missing and counted.

mod common;

use anyhow::{Context, Result, bail, ensure};
use common::bars::{Bar, Bars};
use common::job::{self, Job, Mode};
use common::peer::{KNOWN, Peer};
use common::table::{Table, number};
use common::turns::{self, Ratios};
use common::{at_least_one, median};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

struct Options {
    peers: Vec<Peer>,
    models: Vec<String>,
    batches: Vec<usize>,
    modes: Vec<Mode>,
    rounds: usize,
    json: bool,
    plot: Option<PathBuf>,
}

fn options() -> Result<Options> {
    use lexopt::prelude::*;
    let (models, batches, modes) = (["M", "C"].map(String::from).to_vec(), vec![32, 128], vec![Mode::Train, Mode::Predict]);
    let mut options = Options { peers: Peer::all(std::env::vars()), models, batches, modes, rounds: 3, json: false, plot: None };
    let mut only: Option<String> = None;
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("peer") => {
                let text = args.value()?.string()?;
                let (name, command) = text.split_once('=').context("--peer NAME=COMMAND")?;
                options.peers.retain(|peer| peer.name != name);
                options.peers.push(Peer::new(name, Some(command)));
            }
            Long("only") => only = Some(args.value()?.string()?),
            Long("model") => options.models = vec![args.value()?.string()?],
            Long("batch") => options.batches = vec![at_least_one(&mut args, "--batch")?],
            Long("mode") => {
                options.modes = vec![match args.value()?.string()?.as_str() {
                    "train" => Mode::Train,
                    "infer" | "predict" => Mode::Predict,
                    other => bail!("--mode {other}: there are train and infer"),
                }]
            }
            Long("rounds") => options.rounds = at_least_one(&mut args, "--rounds")?,
            Long("json") => options.json = true,
            Long("plot") => options.plot = Some(args.value()?.into()),
            // What cargo adds.
            Long("bench") => {}
            Short('h') | Long("help") => common::help(include_str!("compare.rs")),
            other => return Err(other.unexpected().into()),
        }
    }
    ensure!(options.rounds >= 3, "--rounds must be at least 3: fewer pairs have no median");
    if let Some(only) = only {
        options.peers.retain(|peer| peer.name == only);
        ensure!(!options.peers.is_empty(), "--only {only}: there are {} and those that are named", KNOWN.join(", "));
    }
    Ok(options)
}

fn main() -> Result<ExitCode> {
    if Job::done_here()? {
        return Ok(ExitCode::SUCCESS);
    }
    let options = options()?;
    let mut pairs = Vec::new();
    let (mut missing, mut failed) = (0, 0);
    for peer in &options.peers {
        if peer.command.is_none() {
            missing += 1;
            eprintln!("{}: missing ({} is not set)", peer.name, peer.variable());
            continue;
        }
        for (mode, model, batch) in options.each() {
            match pair(&options, peer, mode, model, batch) {
                Ok(pair) => {
                    if options.json {
                        println!("{}", pair.json());
                    }
                    pairs.push(pair);
                }
                Err(error) => {
                    failed += 1;
                    eprintln!("{} {} {model} {batch}: failed: {error:#}", peer.name, mode.name());
                }
            }
        }
    }
    if !options.json {
        print_table(&pairs);
    }
    if options.json {
        println!("{}", json!({ "missing": missing, "failed": failed }));
    } else {
        println!("{missing} peers missing, {failed} comparisons failed");
    }
    if let Some(path) = &options.plot {
        std::fs::write(path, chart(&pairs).svg()).with_context(|| path.display().to_string())?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Options {
    fn each(&self) -> Vec<(Mode, &str, usize)> {
        let mut each = Vec::new();
        for &mode in &self.modes {
            for model in &self.models {
                each.extend(self.batches.iter().map(|&batch| (mode, model.as_str(), batch)));
            }
        }
        each
    }
}

/// What was measured of ours and of a peer, round by round.
struct Pair {
    peer: String,
    mode: Mode,
    model: String,
    batch: usize,
    ours: Vec<Value>,
    theirs: Vec<Value>,
    /// How many times as fast ours is.
    ratios: Ratios,
}

fn pair(options: &Options, peer: &Peer, mode: Mode, model: &str, batch: usize) -> Result<Pair> {
    let ours = Job::new(mode, model, batch, &peer.device)?;
    let mut rows = turns::take(2, options.rounds, |i| match i {
        0 => job::run(&mut ours.command()?).context("gradus"),
        _ => job::run(&mut peer.run(mode, model, batch)?),
    })?;
    let (theirs, ours) = (rows.pop().unwrap_or_default(), rows.pop().unwrap_or_default());
    let speeds = |rows: &[Value]| rows.iter().map(|row| speed(mode, row)).collect::<Result<Vec<_>>>();
    let ratios = Ratios::of(&speeds(&ours)?, &speeds(&theirs)?);
    Ok(Pair { peer: peer.name.clone(), mode, model: model.into(), batch, ours, theirs, ratios })
}

/// Steps per second, or images per second.
fn speed(mode: Mode, row: &Value) -> Result<f64> {
    let ms = row["median_ms"].as_f64().with_context(|| format!("no median_ms in {row}"))?;
    let speed = match mode {
        Mode::Predict => row["rate"].as_f64().unwrap_or(1e7 / ms),
        _ => 1e3 / ms,
    };
    ensure!(speed.is_finite() && speed > 0.0, "not a speed: {speed} in {row}");
    Ok(speed)
}

impl Pair {
    /// The median over the rounds of a number that each row has.
    fn median(rows: &[Value], key: &str) -> Option<f64> {
        let values: Vec<f64> = rows.iter().filter_map(|row| row[key].as_f64()).collect();
        (!values.is_empty()).then(|| median(&values))
    }

    /// Peak memory of ours and of the peer.
    fn memory(&self) -> [Option<f64>; 2] {
        [Pair::median(&self.ours, "peak_rss_mb"), Pair::median(&self.theirs, "rss_mb")]
    }

    /// The median speed of ours and of the peer.
    fn speeds(&self) -> [f64; 2] {
        [&self.ours, &self.theirs].map(|rows| median(&rows.iter().filter_map(|row| speed(self.mode, row).ok()).collect::<Vec<_>>()))
    }

    fn json(&self) -> Value {
        let ([ours, theirs], [our_mb, their_mb]) = (self.speeds(), self.memory());
        json!({
            "peer": self.peer, "version": self.theirs[0]["ver"], "mode": self.mode.name(), "model": self.model, "batch": self.batch,
            "device": self.ours[0]["device"], "rounds": self.ours.len(), "ratio": self.ratios.median, "least": self.ratios.least,
            "most": self.ratios.most, "our_speed": ours, "peer_speed": theirs, "our_rss_mb": our_mb, "peer_rss_mb": their_mb,
            "our_first_ms": Pair::median(&self.ours, "first_ms"), "peer_first_ms": Pair::median(&self.theirs, "first_ms"),
        })
    }
}

fn print_table(pairs: &[Pair]) {
    let mut table = Table::new(&[
        "peer",
        "mode",
        "model",
        "batch",
        "times as fast",
        "from",
        "to",
        "our ms or img/s",
        "peer's",
        "our RSS MB",
        "peer's MB",
        "our first ms",
        "peer's first",
    ]);
    for pair in pairs {
        let Ratios { median, least, most } = pair.ratios;
        let shown = |speed: f64| number(Some(if pair.mode == Mode::Train { 1e3 / speed } else { speed }));
        let ([ours, theirs], [our_mb, their_mb]) = (pair.speeds().map(shown), pair.memory().map(number));
        let first = [&pair.ours, &pair.theirs].map(|rows| number(Pair::median(rows, "first_ms")));
        let [our_first, their_first] = first;
        let ratios = [median, least, most].map(|r| format!("{r:.2}"));
        let mut cells = vec![pair.peer.clone(), pair.mode.name().into(), pair.model.clone(), pair.batch.to_string()];
        cells.extend(ratios.into_iter().chain([ours, theirs, our_mb, their_mb, our_first, their_first]));
        table.row(cells);
    }
    println!("{}", table.text());
}

fn chart(pairs: &[Pair]) -> Bars {
    let bar = |pair: &Pair| Bar {
        group: pair.peer.clone(),
        name: format!("{} {} {}", pair.mode.name(), pair.model, pair.batch),
        value: pair.ratios.median,
        range: (pair.ratios.least, pair.ratios.most),
    };
    Bars {
        title: "Gradus against its peers".into(),
        subtitle: "times as fast, in the same run; bar: median of the pairs, whisker: their range; 1 is a draw".into(),
        reference: 1.0,
        bars: pairs.iter().map(bar).collect(),
    }
}
