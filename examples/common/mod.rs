//! What the examples share: their options, and pictures in the terminal.

use anyhow::{Context, Result, bail};
use gradus::data::Dataset;
use gradus::prelude::*;
use std::path::PathBuf;

/// The command line.
pub struct Options {
    /// `cpu`, `gpu` or a part of an adapter's name; else the best device there is.
    pub device: Option<String>,
    /// The folder of the data set; else the cache, a download, or generated data.
    pub data: Option<PathBuf>,
    pub epochs: Option<usize>,
    pub batch_size: usize,
    /// Use only so many samples.
    pub limit: Option<usize>,
    pub seed: u64,
    /// Print a JSON object in the last line.
    pub json: bool,
}

const HELP: &str = "
options:
  --device NAME       cpu, gpu, or a part of an adapter's name  [default: a hardware GPU, else cpu]
  --data FOLDER       where the files of the data set are       [default: the cache, a download, or generated data]
  --epochs N          times through the data                    [default: the example's]
  --batch-size N      samples per step                          [default: 128]
  --limit N           use only the first N samples              [default: all]
  --seed N            of weights, order and generated data      [default: 0]
  --json              print the results as JSON in the last line";

impl Options {
    /// Reads the command line; `--help` prints it and ends the program.
    pub fn from_args(about: &str) -> Result<Options> {
        use lexopt::prelude::*;
        let mut options = Options { device: None, data: None, epochs: None, batch_size: 128, limit: None, seed: 0, json: false };
        let mut args = lexopt::Parser::from_env();
        while let Some(arg) = args.next()? {
            match arg {
                Long("device") => options.device = Some(args.value()?.string()?),
                Long("data") => options.data = Some(args.value()?.into()),
                Long("epochs") => options.epochs = Some(args.value()?.parse().context("--epochs")?),
                Long("batch-size") => options.batch_size = args.value()?.parse().context("--batch-size")?,
                Long("limit") => options.limit = Some(args.value()?.parse().context("--limit")?),
                Long("seed") => options.seed = args.value()?.parse().context("--seed")?,
                Long("json") => options.json = true,
                Long("help") | Short('h') => {
                    println!("{about}\n{HELP}");
                    std::process::exit(0);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        if options.batch_size == 0 || options.limit == Some(0) {
            bail!("--batch-size and --limit must be at least 1");
        }
        Ok(options)
    }

    pub fn device(&self) -> gradus::Result<Device> {
        match &self.device {
            Some(name) => Device::named(name),
            None => Device::best(),
        }
    }
}

/// Draws the first images of a data set side by side, each over what the model says it is.
pub fn draw_predictions(model: &mut Sequential, data: &Dataset, count: usize) -> Result<()> {
    let shown = data.take(count);
    let probabilities = model.predict(&shown, count)?;
    let [height, width, channels] = shown.shape;
    println!();
    // A character is two pixels high: the upper half block takes the colour of the upper one, its background that of the lower.
    for y in (0..height).step_by(2) {
        let mut line = String::new();
        for i in 0..shown.len() {
            for x in 0..width {
                let at = |y: usize| if y < height { shown.image(i)[(y * width + x) * channels] } else { 0 };
                line.push(shade(at(y), at(y + 1)));
            }
            line.push(' ');
        }
        println!("{}", line.trim_end());
    }
    let mut labels = String::new();
    for i in 0..shown.len() {
        let row = probabilities.index_axis(ndarray::Axis(0), i);
        let (best, p) = row.iter().enumerate().fold((0, f32::MIN), |best, (k, &p)| if p > best.1 { (k, p) } else { best });
        let mark = if best == usize::from(shown.labels[i]) { "right" } else { "wrong" };
        let text = format!("{best} ({:.0} %), {mark}", 100.0 * p);
        labels.push_str(&format!("{text:^width$} "));
    }
    println!("{}", labels.trim_end());
    Ok(())
}

/// Two pixels as one character, dark to bright.
fn shade(upper: u8, lower: u8) -> char {
    const BRIGHT: u8 = 96;
    match (upper > BRIGHT, lower > BRIGHT) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    }
}
