//! Every optimizer, with every way to clip and with all other options, at every kind of learning rate: replayed against eager.

use super::models::waves;
use gradus::optimizers::schedules::{
    CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay,
};
use gradus::optimizers::{
    Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Ftrl, Lamb, LearningRate, Lion, LossScaleOptimizer, MultiOptimizer, Muon, Nadam,
    Optimizer, RMSprop, SGD, ScheduleFreeAdamW,
};
use gradus::testing::without_fusion;
use gradus::{DType, Device, Function, Result, Tensor, Variable};
use std::cell::RefCell;

const STEPS: usize = 6;

/// `None` is a number that is set anew before every step.
/// Makes a learning rate; `None` keeps the optimizer's own.
type Rate = Option<fn() -> LearningRate>;

const RATES: [(&str, Rate); 8] = [
    ("a number", None),
    ("exponential", Some(|| ExponentialDecay::new(0.02, 3, 0.5).into())),
    ("piecewise", Some(|| PiecewiseConstantDecay::new([2, 5], [0.02, 0.01, 0.03]).into())),
    ("polynomial", Some(|| PolynomialDecay::new(0.02, 3).power(2.0).cycle(true).into())),
    ("inverse time", Some(|| InverseTimeDecay::new(0.02, 3, 0.5).staircase(true).into())),
    ("cosine", Some(|| CosineDecay::new(0.001, 4).alpha(0.1).warmup_target(0.02).warmup_steps(3).into())),
    ("restarts", Some(|| CosineDecayRestarts::new(0.02, 2).m_mul(0.9).into())),
    ("equal restarts", Some(|| CosineDecayRestarts::new(0.02, 3).t_mul(1.0).into())),
];

const OPTIONS: [&str; 6] = ["nothing", "clipnorm", "clipvalue", "global_clipnorm", "weight decay", "everything"];

/// Every optimizer at a rate, each with what is done to it.
macro_rules! each {
    ($rate:expr, $optimizer:ident => $with:expr) => {{
        macro_rules! one {
            ($make:expr) => {{
                let $optimizer = $make;
                $with
            }};
        }
        vec![
            ("SGD", Box::new(one!(SGD::new($rate))) as Box<dyn Optimizer>),
            ("Nesterov's", Box::new(one!(SGD::new($rate).momentum(0.9).nesterov(true)))),
            ("Adam", Box::new(one!(Adam::new($rate)))),
            ("AdamW with amsgrad", Box::new(one!(AdamW::new($rate).amsgrad(true)))),
            ("Adamax", Box::new(one!(Adamax::new($rate)))),
            ("Nadam", Box::new(one!(Nadam::new($rate)))),
            ("RMSprop", Box::new(one!(RMSprop::new($rate).momentum(0.5).centered(true)))),
            ("Adagrad", Box::new(one!(Adagrad::new($rate)))),
            ("Adadelta", Box::new(one!(Adadelta::new($rate)))),
            ("Ftrl", Box::new(one!(Ftrl::new($rate).l1_regularization_strength(0.01).learning_rate_power(-0.4)))),
            ("Lion", Box::new(one!(Lion::new($rate)))),
            ("Lamb", Box::new(one!(Lamb::new($rate)))),
            ("Adafactor", Box::new(one!(Adafactor::new($rate)))),
            ("Muon", Box::new(one!(Muon::new($rate)))),
            ("ScheduleFreeAdamW", Box::new(one!(ScheduleFreeAdamW::new($rate).warmup_steps(3)))),
            ("LossScaleOptimizer", Box::new(LossScaleOptimizer::new(one!(Adam::new($rate))).dynamic_growth_steps(2))),
            ("MultiOptimizer", Box::new(MultiOptimizer::new(one!(SGD::new($rate))).on("matrix", one!(Adam::new($rate))))),
        ]
    }};
}

fn optimizers(rate: fn() -> LearningRate, options: &str) -> Vec<(&'static str, Box<dyn Optimizer>)> {
    match options {
        "nothing" => each!(rate(), o => o),
        "clipnorm" => each!(rate(), o => o.clipnorm(0.5)),
        "clipvalue" => each!(rate(), o => o.clipvalue(0.2)),
        "global_clipnorm" => each!(rate(), o => o.global_clipnorm(0.5)),
        "weight decay" => each!(rate(), o => o.weight_decay(0.1).exclude_from_weight_decay(["bias"])),
        _ => each!(rate(), o => o.weight_decay(0.1).global_clipnorm(0.9).use_ema(true).ema_momentum(0.8).ema_overwrite_frequency(2)
            .gradient_accumulation_steps(3).loss_scale_factor(4.0)),
    }
}

/// What a training leaves, bit by bit: the weights, and all that the optimizer keeps.
fn trained(device: &Device, name: &str, mut optimizer: Box<dyn Optimizer>, constant: bool, replayed: bool) -> Result<Vec<Vec<u32>>> {
    let new = |name: &str, shape: &[usize]| Variable::new(name, &Tensor::new(device, shape, &waves(shape.iter().product()))?);
    let variables = [new("matrix", &[4, 3])?, new("bias", &[5])?];
    let target = Tensor::scalar(device, 0.3f32)?;
    optimizer.build(&variables)?;
    let optimizer = RefCell::new(optimizer);
    let body = |args: &[Tensor]| -> Result<Vec<Tensor>> {
        let gradient = |v: &Variable| Ok((v.value()?.sub(&target)?.mul(&args[0])?, v.clone()));
        let pairs = variables.iter().map(gradient).collect::<Result<Vec<_>>>()?;
        optimizer.borrow().apply(&pairs, None)?;
        Ok(Vec::new())
    };
    let function = Function::new("step", body);
    for step in 0..STEPS {
        if constant && name != "MultiOptimizer" {
            optimizer.borrow_mut().set_learning_rate(0.01 + 0.002 * step as f64)?;
        }
        // Loss scaling has something to do only if a gradient is not finite once.
        let infinite = name == "LossScaleOptimizer" && step == 4;
        let factor = Tensor::scalar(device, if infinite { f32::INFINITY } else { 1.0 })?;
        if replayed {
            function.call(&[&factor])?
        } else {
            body(&[factor])?
        };
    }
    assert_eq!(function.trace_report().traces.len(), usize::from(replayed));
    let all = variables.iter().cloned().chain(optimizer.borrow().variables());
    let bits = |v: Variable| match v.spec().dtype {
        DType::U32 => v.value()?.to_vec::<u32>(),
        _ => Ok(v.value()?.to_vec::<f32>()?.into_iter().map(f32::to_bits).collect()),
    };
    all.map(bits).collect()
}

fn compared(device: &Device, rate: usize, options: &str) -> Result<()> {
    let (rate_name, make) = RATES[rate];
    let rate = make.unwrap_or(|| 0.01.into());
    for ((name, eager), (_, replayed)) in optimizers(rate, options).into_iter().zip(optimizers(rate, options)) {
        let what = format!("{name} at {rate_name} with {options} on {device}");
        let run = |optimizer, replay| {
            let trained = || trained(device, name, optimizer, make.is_none(), replay).unwrap_or_else(|e| panic!("{what}: {e}"));
            // Eager and replayed programs are fused differently, and a GPU's compiler rounds differently what it sees in one kernel.
            if *device == Device::cpu() { trained() } else { without_fusion(trained) }
        };
        let (eager, replayed) = (run(eager, false), run(replayed, true));
        let start: Vec<u32> = waves(12).into_iter().map(f32::to_bits).collect();
        assert_ne!(eager[0], start, "{what}: nothing moved");
        let finite = eager[..2].iter().flatten().all(|bits| f32::from_bits(*bits).is_finite());
        assert!(finite, "{what}: something is not finite, and equal bits would mean nothing");
        assert_eq!(eager, replayed, "{what}");
    }
    Ok(())
}

#[test]
fn every_optimizer_at_every_rate_with_every_option_on_the_cpu() -> Result<()> {
    for rate in 0..RATES.len() {
        OPTIONS.iter().try_for_each(|options| compared(&Device::cpu(), rate, options))?;
    }
    Ok(())
}

/// The rate and the rest of an update are two kernels: every rate meets every optimizer and every option once.
#[test]
fn every_optimizer_at_every_rate_with_every_option_on_the_gpu() -> Result<()> {
    let Some(gpu) = gradus::testing::gpu("optimizers at all rates with all options") else { return Ok(()) };
    for rate in 0..RATES.len() {
        compared(&gpu, rate, OPTIONS[rate % OPTIONS.len()])?;
    }
    Ok(())
}
