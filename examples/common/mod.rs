//! What the examples share: their options, and the data that these name.

#![allow(dead_code, reason = "each example uses a part of it")]

pub mod pictures;

use anyhow::{Context, Result, bail};
use gradus::data::{Labels, Splits, cifar100, digits, mnist};
use gradus::prelude::*;
use std::path::PathBuf;

/// The command line.
pub struct Options {
    /// `cpu`, `gpu` or a part of an adapter's name; else the best device there is.
    device: Option<String>,
    /// The folder of the data set; else the cache, a download, or generated data.
    data: Option<PathBuf>,
    pub epochs: usize,
    pub batch_size: usize,
    /// Use only so many samples.
    pub limit: Option<usize>,
    pub seed: u64,
    /// Print a JSON object in the last line.
    pub json: bool,
}

impl Options {
    /// Reads the command line; `--help` prints it and ends the program.
    pub fn from_args(about: &str, epochs: usize, batch_size: usize) -> Result<Options> {
        use lexopt::prelude::*;
        let mut options = Options { device: None, data: None, epochs, batch_size, limit: None, seed: 0, json: false };
        let mut args = lexopt::Parser::from_env();
        while let Some(arg) = args.next()? {
            match arg {
                Long("device") => options.device = Some(args.value()?.string()?),
                Long("data") => options.data = Some(args.value()?.into()),
                Long("epochs") => options.epochs = args.value()?.parse().context("--epochs")?,
                Long("batch-size") => options.batch_size = args.value()?.parse().context("--batch-size")?,
                Long("limit") => options.limit = Some(args.value()?.parse().context("--limit")?),
                Long("seed") => options.seed = args.value()?.parse().context("--seed")?,
                Long("json") => options.json = true,
                Long("help") | Short('h') => {
                    println!("{about}\n{}", help(epochs, batch_size));
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

    /// The device that was asked for.
    pub fn device(&self) -> Result<Device> {
        let device = match &self.device {
            Some(name) => Device::named(name)?,
            None => Device::best()?,
        };
        println!("device  {device}");
        Ok(device)
    }

    /// MNIST, or digits that are drawn here.
    pub fn mnist(&self) -> Result<Splits> {
        Ok(self.limited(mnist::load_or_digits(self.data.as_deref(), self.seed)?))
    }

    /// CIFAR-100 with its 100 classes, or things that are drawn here.
    pub fn cifar100(&self) -> Result<Splits> {
        Ok(self.limited(cifar100::load_or_patterns(self.data.as_deref(), Labels::Fine, self.seed)?))
    }

    /// Digits that are drawn here: so many to learn from, or as many as `--limit` says, and a quarter of that to be tested on.
    pub fn digits(&self, train: usize) -> Splits {
        let train = self.limit.unwrap_or(train);
        told(digits::generate(train, train.div_ceil(4), self.seed))
    }

    fn limited(&self, mut data: Splits) -> Splits {
        if let Some(limit) = self.limit {
            data = Splits { train: data.train.take(limit), test: data.test.take(limit) };
        }
        told(data)
    }

    /// How the command line wants a model to be trained.
    pub fn fit(&self) -> Fit<'static> {
        Fit { epochs: self.epochs, batch_size: self.batch_size, ..Fit::default() }
    }
}

fn told(data: Splits) -> Splits {
    println!("data    {}: {} images to learn from, {} to be tested on\n", data.train.source, data.train.len(), data.test.len());
    data
}

fn help(epochs: usize, batch_size: usize) -> String {
    format!(
        "
options:
  --device NAME       cpu, gpu, or a part of an adapter's name  [default: a hardware GPU, else cpu]
  --data FOLDER       where the files of the data set are       [default: the cache, a download, or generated data]
  --epochs N          times through the data                    [default: {epochs}]
  --batch-size N      samples per step                          [default: {batch_size}]
  --limit N           use only the first N samples              [default: all]
  --seed N            of weights, order and generated data      [default: 0]
  --json              print the results as JSON in the last line, where the example has any"
    )
}
