//! The optimizers and schedules of cases, with the options that Keras ran with.

use super::reader::Case;
use gradus::optimizers::schedules::{
    CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay, LearningRateSchedule, PiecewiseConstantDecay, PolynomialDecay,
};
use gradus::optimizers::{
    Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Ftrl, Lamb, LearningRate, Lion, LossScaleOptimizer, MultiOptimizer, Muon, Nadam,
    Optimizer, RMSprop, SGD, ScheduleFreeAdamW,
};

/// Calls each setter whose name is a field of the case.
macro_rules! set {
    ($case:expr, $optimizer:expr; $($setter:ident $read:ident),*) => {{
        let mut optimizer = $optimizer;
        $(if $case.has(stringify!($setter)) {
            optimizer = optimizer.$setter($case.$read(stringify!($setter)));
        })*
        optimizer
    }};
}

/// With the options of all optimizers.
macro_rules! boxed {
    ($case:expr, $optimizer:expr) => {{
        let mut optimizer = set!($case, $optimizer; weight_decay number, clipnorm number, clipvalue number, global_clipnorm number,
            use_ema flag, ema_momentum number, ema_overwrite_frequency count, loss_scale_factor number, gradient_accumulation_steps count);
        if $case.has("exclude") {
            optimizer = optimizer.exclude_from_weight_decay($case.word("exclude").split(' '));
        }
        Box::new(optimizer) as Box<dyn Optimizer>
    }};
}

/// The optimizer of a case, if it has one and the crate has it.
pub fn optimizer(case: &Case) -> Option<Box<dyn Optimizer>> {
    if case.has("default") {
        return gradus::optimizers::from_name(case.word("default")).ok();
    }
    if case.has("wrapper") {
        return wrapper(case.word("wrapper"));
    }
    if !case.has("optimizer") {
        return None;
    }
    let rate = match schedule(case) {
        Some(schedule) => LearningRate::Schedule(schedule),
        None => LearningRate::Constant(case.number("learning_rate")),
    };
    Some(match case.word("optimizer") {
        "SGD" => boxed!(case, set!(case, SGD::new(rate); momentum number, nesterov flag)),
        "Adam" => boxed!(case, set!(case, Adam::new(rate); beta_1 number, beta_2 number, epsilon number, amsgrad flag)),
        "AdamW" => boxed!(case, set!(case, AdamW::new(rate); beta_1 number, beta_2 number, epsilon number, amsgrad flag)),
        "Adamax" => boxed!(case, set!(case, Adamax::new(rate); beta_1 number, beta_2 number, epsilon number)),
        "Nadam" => boxed!(case, set!(case, Nadam::new(rate); beta_1 number, beta_2 number, epsilon number)),
        "RMSprop" => boxed!(case, set!(case, RMSprop::new(rate); rho number, momentum number, epsilon number, centered flag)),
        "Adagrad" => boxed!(case, set!(case, Adagrad::new(rate); initial_accumulator_value number, epsilon number)),
        "Adadelta" => boxed!(case, set!(case, Adadelta::new(rate); rho number, epsilon number)),
        "Ftrl" => boxed!(
            case,
            set!(case, Ftrl::new(rate); learning_rate_power number, initial_accumulator_value number,
            l1_regularization_strength number, l2_regularization_strength number, l2_shrinkage_regularization_strength number, beta number)
        ),
        "Lion" => boxed!(case, set!(case, Lion::new(rate); beta_1 number, beta_2 number)),
        "Lamb" => boxed!(case, set!(case, Lamb::new(rate); beta_1 number, beta_2 number, epsilon number)),
        "Adafactor" => boxed!(
            case,
            set!(case, Adafactor::new(rate); beta_2_decay number, epsilon_1 number, epsilon_2 number,
            clip_threshold number, relative_step flag)
        ),
        "Muon" => boxed!(case, muon(case, rate)),
        "ScheduleFreeAdamW" => boxed!(
            case,
            set!(case, ScheduleFreeAdamW::new(rate); beta_1 number, beta_2 number, epsilon number,
            warmup_steps count)
        ),
        _ => return None,
    })
}

fn muon(case: &Case, rate: LearningRate) -> Muon {
    let mut muon = set!(case, Muon::new(rate); adam_beta_1 number, adam_beta_2 number, epsilon number, adam_weight_decay number,
        adam_lr_ratio number, exclude_embeddings flag, momentum number, ns_steps count, nesterov flag, rms_rate number);
    if case.has("muon_a") {
        muon = muon.coefficients(["muon_a", "muon_b", "muon_c"].map(|name| case.number(name)));
    }
    if case.has("exclude_layers") {
        muon = muon.exclude_layers(case.word("exclude_layers").split(' '));
    }
    if case.has("no_rms_rate") { muon.rms_rate(None) } else { muon }
}

/// As `wrappers` in `keras_optimizers.py` makes them.
fn wrapper(kind: &str) -> Option<Box<dyn Optimizer>> {
    Some(match kind {
        "multi" => {
            let multi = MultiOptimizer::new(SGD::new(0.01).momentum(0.9));
            Box::new(multi.on("kernel", Adam::new(0.01)).on(".*i.*", RMSprop::new(0.02).weight_decay(0.1)))
        }
        "loss_scale" => {
            let inner = SGD::new(0.5).momentum(0.9).weight_decay(0.1);
            Box::new(LossScaleOptimizer::new(inner).initial_scale(8.0).dynamic_growth_steps(5))
        }
        _ => return None,
    })
}

/// The schedule of a case, if it has one.
pub fn schedule(case: &Case) -> Option<Box<dyn LearningRateSchedule>> {
    let number = |field: &str| case.number(&format!("schedule_{field}"));
    let count = |field: &str| case.count(&format!("schedule_{field}"));
    let flag = |field: &str| case.flag(&format!("schedule_{field}"));
    let rate = || number("initial_learning_rate");
    match case.name.as_str() {
        "SGD_exponential_decay" => return Some(Box::new(ExponentialDecay::new(0.1, 10, 0.5))),
        "separable_net" => return Some(Box::new(CosineDecay::new(0.1, 80).alpha(0.05))),
        "SGD_cosine_decay" => return Some(Box::new(CosineDecay::new(0.1, 40).alpha(0.1))),
        _ if !case.has("schedule") => return None,
        _ => {}
    }
    Some(match case.word("schedule") {
        "ExponentialDecay" => {
            Box::new(ExponentialDecay::new(rate(), count("decay_steps"), number("decay_rate")).staircase(flag("staircase")))
        }
        "InverseTimeDecay" => {
            Box::new(InverseTimeDecay::new(rate(), count("decay_steps"), number("decay_rate")).staircase(flag("staircase")))
        }
        "PolynomialDecay" => {
            let plain = PolynomialDecay::new(rate(), count("decay_steps")).power(number("power"));
            Box::new(plain.end_learning_rate(number("end_learning_rate")).cycle(flag("cycle")))
        }
        "PiecewiseConstantDecay" => {
            let boundaries: Vec<u32> = case.integers("schedule_boundaries").iter().map(|&n| n as u32).collect();
            Box::new(PiecewiseConstantDecay::new(boundaries, case.f64s("schedule_values")))
        }
        "CosineDecay" => {
            let plain = CosineDecay::new(rate(), count("decay_steps")).alpha(number("alpha"));
            if case.has("schedule_warmup_target") {
                Box::new(plain.warmup_target(number("warmup_target")).warmup_steps(count("warmup_steps")))
            } else {
                Box::new(plain)
            }
        }
        "CosineDecayRestarts" => {
            let plain = CosineDecayRestarts::new(rate(), count("first_decay_steps"));
            Box::new(plain.t_mul(number("t_mul")).m_mul(number("m_mul")).alpha(number("alpha")))
        }
        other => panic!("{}: schedule {other}", case.name),
    })
}
