use super::*;
use crate::device::Device;
use crate::ops::pointwise::map1;
use crate::tensor::Tensor;

type Formula = fn(f64) -> f64;

fn half_wave(done: f64) -> f64 {
    0.5 * (1.0 + (std::f64::consts::PI * done).cos())
}

/// Keras's geometric formula for t_mul 2 and a first period of 10.
fn restarts(count: f64, m_mul: f64) -> f64 {
    let number = (1.0 + count / 10.0).log2().floor();
    let done = (count / 10.0 - (2f64.powf(number) - 1.0)) / 2f64.powf(number);
    half_wave(done) * m_mul.powf(number)
}

fn cases() -> Vec<(&'static str, Box<dyn LearningRateSchedule>, Formula)> {
    vec![
        ("exponential", Box::new(ExponentialDecay::new(0.1, 1000, 0.96)), |n| 0.1 * 0.96f64.powf(n / 1000.0)),
        ("staircase", Box::new(ExponentialDecay::new(0.1, 10, 0.5).staircase(true)), |n| 0.1 * 0.5f64.powf((n / 10.0).floor())),
        ("inverse", Box::new(InverseTimeDecay::new(0.1, 100, 0.5)), |n| 0.1 / (1.0 + 0.5 * n / 100.0)),
        ("inverse staircase", Box::new(InverseTimeDecay::new(0.1, 7, 0.5).staircase(true)), |n| 0.1 / (1.0 + 0.5 * (n / 7.0).floor())),
        ("polynomial", Box::new(PolynomialDecay::new(0.1, 1000)), |n| (0.1 - 1e-4) * (1.0 - n.min(1000.0) / 1000.0) + 1e-4),
        ("polynomial cycle", Box::new(PolynomialDecay::new(0.1, 30).power(2.0).end_learning_rate(0.01).cycle(true)), |n| {
            let whole = 30.0 * if n == 0.0 { 1.0 } else { (n / 30.0).ceil() };
            0.09 * (1.0 - n / whole).powi(2) + 0.01
        }),
        ("polynomial root", Box::new(PolynomialDecay::new(0.1, 64).power(0.5)), |n| 0.0999 * (1.0 - n.min(64.0) / 64.0).sqrt() + 1e-4),
        ("piecewise", Box::new(PiecewiseConstantDecay::new([10, 100], [1.0, 0.5, 0.1])), |n| {
            if n <= 10.0 {
                1.0
            } else if n <= 100.0 {
                0.5
            } else {
                0.1
            }
        }),
        ("cosine", Box::new(CosineDecay::new(0.1, 1000)), |n| 0.1 * half_wave(n.min(1000.0) / 1000.0)),
        ("cosine with a rest", Box::new(CosineDecay::new(0.1, 1000).alpha(0.1)), |n| 0.1 * (0.9 * half_wave(n.min(1000.0) / 1000.0) + 0.1)),
        ("cosine after a warm-up", Box::new(CosineDecay::new(0.02, 1000).warmup_target(0.1).warmup_steps(100)), |n| {
            if n < 100.0 { 0.02 + 0.08 * n / 100.0 } else { 0.1 * half_wave((n - 100.0).min(1000.0) / 1000.0) }
        }),
        ("restarts", Box::new(CosineDecayRestarts::new(0.1, 10)), |n| 0.1 * restarts(n, 1.0)),
        ("restarts from lower", Box::new(CosineDecayRestarts::new(0.1, 10).m_mul(0.5).alpha(0.2)), |n| {
            0.1 * (0.8 * restarts(n, 0.5) + 0.2)
        }),
        ("restarts of one length", Box::new(CosineDecayRestarts::new(0.1, 10).t_mul(1.0)), |n| 0.1 * half_wave((n % 10.0) / 10.0)),
    ]
}

#[test]
fn every_schedule_is_its_formula() {
    let counts: Vec<u32> = (0..160).chain([250, 500, 630, 999, 1000, 1001, 1100, 5000, 99_999, 1_000_000]).collect();
    for device in [Some(Device::cpu()), crate::testing::gpu("schedules")].into_iter().flatten() {
        let count = Tensor::new(&device, [counts.len()], &counts).expect("counts");
        for (name, schedule, formula) in cases() {
            schedule.check().expect(name);
            let rates = map1(&[&count], |e| schedule.rate(&e[0])).and_then(|rates| rates.to_vec::<f32>()).expect(name);
            assert_eq!(rates.len(), counts.len());
            for (&n, &got) in counts.iter().zip(&rates) {
                let want = formula(f64::from(n));
                // A rounded exponent x makes a factor of 1 ± x · 2⁻²⁴.
                let exponent = if name == "exponential" { 1.0 + want.ln().abs() } else { 1.0 };
                let fine = (f64::from(got) - want).abs() <= 6e-7 * exponent * want.abs() + 1e-12;
                assert!(fine || want < f64::from(f32::MIN_POSITIVE), "{name} after {n} steps on {device}: {got:e}, expected {want:e}");
            }
        }
    }
}

/// Numbers of Keras.
#[test]
fn single_values() {
    let at = |schedule: &dyn LearningRateSchedule, n: u32, want: f64| {
        let got = schedule.at(n).expect("a rate");
        assert!((got - want).abs() <= 1e-6 * want, "{got}, expected {want}");
    };
    at(&ExponentialDecay::new(0.1, 1000, 0.96), 500, 0.097979590);
    at(&PolynomialDecay::new(0.1, 1000), 250, 0.075025);
    at(&InverseTimeDecay::new(0.1, 100, 0.5), 250, 0.044444444);
    at(&CosineDecay::new(0.1, 1000), 250, 0.085355339);
    at(&CosineDecay::new(0.1, 1000).alpha(0.1), 250, 0.086819805);
    at(&CosineDecay::new(0.0, 1000).warmup_target(0.1).warmup_steps(100), 50, 0.05);
    at(&CosineDecay::new(0.0, 1000).warmup_target(0.1).warmup_steps(100), 350, 0.085355339);
    at(&CosineDecayRestarts::new(0.1, 100), 150, 0.085355339);
}

#[test]
fn wrong_arguments_say_so() {
    let refused: Vec<(Box<dyn LearningRateSchedule>, &str)> = vec![
        (Box::new(ExponentialDecay::new(0.1, 0, 0.5)), "ExponentialDecay: decay_steps: expected at least 1, got 0"),
        (Box::new(CosineDecay::new(-0.1, 10)), "CosineDecay: initial_learning_rate: expected a number of at least 0, got -0.1"),
        (
            Box::new(CosineDecay::new(0.1, 10).warmup_steps(5)),
            "CosineDecay: warmup_target: expected the rate after `warmup_steps`, got none",
        ),
        (
            Box::new(PiecewiseConstantDecay::new([1], [0.1])),
            "PiecewiseConstantDecay: number of values: expected 2, one more than boundaries, got 1",
        ),
        (Box::new(CosineDecayRestarts::new(0.1, 10).t_mul(0.5)), "CosineDecayRestarts: t_mul: expected 1, or so much more"),
        (Box::new(CosineDecayRestarts::new(0.1, 1).t_mul(1.001)), "CosineDecayRestarts: t_mul: expected 1, or so much more"),
    ];
    for (schedule, text) in refused {
        let error = schedule.check().expect_err(text).to_string();
        assert!(error.starts_with(text), "{error}");
        assert!(schedule.at(0).is_err(), "{text}");
    }
}
