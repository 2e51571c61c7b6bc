//! The sums of an epoch, on the device.

use crate::device::{Device, Reading};
use crate::error::{Error, Result};
use crate::models::Compiled;
use crate::ops::pointwise::map1;
use crate::record::outside_traces;
use crate::tensor::{Tensor, lock};
use crate::variable::Variable;
use std::sync::{Mutex, OnceLock};

/// What is added up over the steps of an epoch. Which sums there are is learned from the first step, when it is traced.
pub(crate) struct Totals {
    device: Device,
    /// Good steps; samples; then the sums of `parts`, one after the other.
    sums: OnceLock<Variable>,
    /// 1 until a loss is not finite, 0 from then on.
    ok: Variable,
    step: Mutex<Step>,
    parts: OnceLock<Vec<Part>>,
}

/// What a step has collected so far.
#[derive(Default)]
struct Step {
    ok: Option<Tensor>,
    collected: Vec<(Name, Tensor)>,
}

#[derive(Clone, PartialEq, Debug)]
enum Name {
    /// A mean over samples: the sum holds values times their numbers of samples.
    Mean(String),
    /// The sums of the metric of this number.
    Metric(usize),
}

struct Part {
    name: Name,
    size: usize,
}

/// Sums that were read.
pub(crate) struct Sums {
    /// Steps before the first whose loss was not finite.
    pub good_steps: usize,
    /// `loss` and the metrics, over the samples so far.
    pub logs: Vec<(String, f64)>,
}

impl Totals {
    pub fn new(device: &Device) -> Result<Totals> {
        Ok(Totals {
            device: device.clone(),
            sums: OnceLock::new(),
            ok: Variable::new("fit/ok", &Tensor::scalar(device, 1.0f32)?)?.untrainable(),
            step: Mutex::default(),
            parts: OnceLock::new(),
        })
    }

    /// Begins an epoch.
    pub fn reset(&self) -> Result<()> {
        self.ok.assign(&Tensor::scalar(&self.device, 1.0f32)?)?;
        match self.sums.get() {
            Some(sums) => sums.assign(&zeros(&self.device, sums.shape().elements())?),
            None => Ok(()),
        }
    }

    /// Begins a step.
    pub fn begin(&self) {
        *lock(&self.step) = Step::default();
    }

    /// Whether all losses of the epoch, this one included, are finite: a tensor without axes, 1 or 0.
    pub fn guard(&self, loss: &Tensor) -> Result<Tensor> {
        let ok = map1(&[&self.ok.value()?, loss], |e| e[1].is_finite().select(&e[0], &e[0].number(0.0)))?;
        self.ok.assign(&ok)?;
        lock(&self.step).ok = Some(ok.clone());
        Ok(ok)
    }

    /// Takes note of a value times the number of samples, `[1]`.
    pub fn collect(&self, name: &str, sum: Tensor) {
        lock(&self.step).collected.push((Name::Mean(name.to_string()), sum));
    }

    /// Takes note of what a metric adds to its sums.
    pub fn collect_metric(&self, metric: usize, sums: Tensor) {
        lock(&self.step).collected.push((Name::Metric(metric), sums));
    }

    /// Adds what the step collected, if it is a good one, and ends it. Returns the first sum divided by the count: the loss.
    pub fn add(&self, count: &Tensor) -> Result<Vec<Tensor>> {
        let Step { ok, collected } = std::mem::take(&mut *lock(&self.step));
        let Some((_, first)) = collected.first() else {
            return Err(Error::NotReady("a training step reports nothing; call `report` or `log(\"loss\", ..)` in it".into()));
        };
        let loss = first.div(count)?;
        let ok = match ok {
            Some(ok) => ok,
            // A step of the user's own that minimises nothing by `minimize` is judged by what it reports.
            None => self.guard(&loss.reshape([])?)?,
        };
        let size: usize = 2 + collected.iter().map(|(_, t)| t.shape().elements()).sum::<usize>();
        let sums = self.sums_of(size)?;
        self.parts.get_or_init(|| {
            let part = |(name, t): &(Name, Tensor)| Part { name: name.clone(), size: t.shape().elements() };
            collected.iter().map(part).collect()
        });
        let row = |t: &Tensor| t.reshape([t.shape().elements()]);
        let rows = [&ok, count].into_iter().chain(collected.iter().map(|(_, t)| t)).map(row).collect::<Result<Vec<_>>>()?;
        let rows = Tensor::concat(&rows.iter().collect::<Vec<_>>(), 0)?;
        let old = sums.value()?;
        sums.assign(&map1(&[&old, &rows, &ok], |e| e[2].gt(&e[2].number(0.0)).select(&(&e[0] + &e[1]), &e[0]))?)?;
        Ok(vec![loss.reshape([])?])
    }

    fn sums_of(&self, size: usize) -> Result<&Variable> {
        if let Some(sums) = self.sums.get() {
            if sums.shape().elements() != size {
                return Err(Error::Trace(
                    "a training step reports other values than in its first trace; report the same in every step".into(),
                ));
            }
            return Ok(sums);
        }
        let made = outside_traces(|| Ok(Variable::new("fit/totals", &zeros(&self.device, size)?)?.untrainable()))?;
        Ok(self.sums.get_or_init(|| made))
    }

    /// Begins to read the sums as they are after the last step; `None` before the first.
    pub fn start_reading(&self) -> Result<Option<Reading>> {
        self.sums.get().map(|sums| sums.value()?.start_reading()).transpose()
    }

    /// The sums as they are after the last step; waits for the device.
    pub async fn read(&self, compiled: &Compiled) -> Result<Sums> {
        self.received(self.start_reading()?, compiled).await
    }

    /// What was read, if need be after a wait for it.
    pub async fn received(&self, reading: Option<Reading>, compiled: &Compiled) -> Result<Sums> {
        let (Some(reading), Some(parts)) = (reading, self.parts.get()) else {
            return Ok(Sums { good_steps: 0, logs: Vec::new() });
        };
        let sums: Vec<f64> = bytemuck::pod_collect_to_vec::<u8, f32>(&reading.bytes().await?).into_iter().map(f64::from).collect();
        let (good, count, mut rest) = (sums[0], sums[1], &sums[2..]);
        let mut logs = Vec::with_capacity(parts.len());
        for part in parts {
            let (own, others) = rest.split_at(part.size);
            // No good step: 0 of 0 is no number, and says so.
            logs.push(match &part.name {
                Name::Mean(name) => (name.clone(), own[0] / count),
                Name::Metric(i) => (compiled.metrics[*i].name.clone(), compiled.metrics[*i].metric.result(own)),
            });
            rest = others;
        }
        Ok(Sums { good_steps: good as usize, logs })
    }
}

fn zeros(device: &Device, size: usize) -> Result<Tensor> {
    Tensor::new(device, [size], &vec![0.0f32; size])
}
