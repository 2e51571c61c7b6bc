//! The harness attacked: kernels and gradients that are wrong in a known way, each of which `check` must catch.

use gradus::record::op::{Buffer, CpuArgs, Launch, Shader};
use gradus::record::{GradCx, Op, record_one};
use gradus::testing::{check, close, float, gpu, same_bits};
use gradus::{Result, Spec, Tensor};
use std::sync::atomic::{AtomicU32, Ordering};

/// How the square below is wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    None,
    /// The last element is left out.
    Short,
    /// One element is a NaN.
    Nan,
    /// The result is 1.0001 times what it should be.
    Scaled,
    /// The gradient is that of x, not of x².
    Gradient,
    /// The gradient is right but for its sign where x is negative: a check under ones at positive x would pass.
    GradientSign,
    /// The gradient's own gradient is cut off.
    SecondOrder,
    /// Another result at every run.
    Restless,
    /// Only the GPU's result is wrong.
    Gpu,
    /// Only the GPU's result is a NaN.
    GpuNan,
    /// The reference is the same as the kernel, and both are wrong: nothing but the differences can tell.
    GradientByTwo,
}

#[derive(Debug, Clone)]
struct Square(Flaw);

impl Op for Square {
    fn name(&self) -> &'static str {
        "square_of_the_harness"
    }
    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        Ok(inputs.to_vec())
    }
    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let (x, dy) = (&cx.inputs[0], cx.dy());
        let dx = match self.0 {
            Flaw::Gradient => dy.clone(),
            Flaw::GradientSign => dy.mul(&x.abs()?)?.mul_scalar(2.0)?,
            Flaw::GradientByTwo => dy.mul(x)?,
            Flaw::SecondOrder => dy.mul(&x.stop_gradient()?)?.mul_scalar(2.0)?,
            _ => dy.mul(x)?.mul_scalar(2.0)?,
        };
        Ok(vec![Some(dx)])
    }
    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        gradus::with_real!(args.input_spec(0).dtype, T => {
            let (x, y) = (args.input::<T>(0), args.output::<T>(0));
            for (y, x) in y.iter_mut().zip(x) {
                *y = *x * *x;
            }
            let last = y.len() - 1;
            match self.0 {
                Flaw::Short => y[last] = y[0],
                Flaw::Nan => y[1] = T::NAN,
                Flaw::Scaled => y.iter_mut().for_each(|y| *y *= 1.0001),
                Flaw::Restless => {
                    static RUNS: AtomicU32 = AtomicU32::new(0);
                    let run = RUNS.fetch_add(1, Ordering::Relaxed);
                    if T::EPSILON > 1e-10 as T { y[0] *= 1.0 + T::EPSILON * (run % 2) as T }
                }
                _ => {}
            }
        });
        Ok(())
    }
    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        let value = match self.0 {
            Flaw::Gpu => "x[i] * x[i] + 0.001",
            Flaw::GpuNan => "select(x[i] * x[i], bitcast<f32>(0x7fc00000u | (p.n & 0u)), i == 2u)",
            _ => "x[i] * x[i]",
        };
        let text = format!(
            "struct Params {{ n: u32 }}
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(15) var<uniform> p: Params;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
    let i = id.x;
    if (i < p.n) {{ y[i] = {value}; }}
}}"
        );
        let n = launch.output_shape(0).elements();
        launch.threads(Shader::new("square_of_the_harness", &text), &[Buffer::Input(0), Buffer::Output(0)], &[n as u32], n, 64);
        Ok(())
    }
}

fn outcome(flaw: Flaw) -> std::result::Result<(), String> {
    check("square", &[float([6])], |x| record_one(Square(flaw), &[&x[0]])).reference(|x| x[0].iter().map(|v| v * v).collect()).outcome()
}

#[test]
fn a_right_kernel_passes() {
    assert_eq!(outcome(Flaw::None), Ok(()));
}

#[test]
fn wrong_kernels_are_caught() {
    for (flaw, word) in [
        (Flaw::Short, "against the reference"),
        (Flaw::Nan, "against the reference"),
        (Flaw::Scaled, "against the reference"),
        (Flaw::Gradient, "central differences"),
        (Flaw::GradientSign, "central differences"),
        (Flaw::GradientByTwo, "central differences"),
        (Flaw::SecondOrder, "second gradient"),
        (Flaw::Restless, "twice"),
    ] {
        let caught = outcome(flaw).expect_err(&format!("{flaw:?} was not caught"));
        assert!(caught.contains(word), "{flaw:?} was caught as: {caught}");
    }
}

#[test]
fn wrong_gpu_kernels_are_caught() {
    if gpu("wrong kernels").is_none() {
        return;
    }
    for flaw in [Flaw::Gpu, Flaw::GpuNan] {
        let caught = outcome(flaw).expect_err(&format!("{flaw:?} was not caught"));
        assert!(caught.contains("against CPU"), "{flaw:?} was caught as: {caught}");
    }
}

#[test]
fn doubt_fails() {
    let nan = f64::NAN;
    assert!(close(&[nan], &[nan], 1.0, 1.0).is_err(), "NaN is close to nothing");
    assert!(close(&[nan], &[0.0], f64::INFINITY, 1.0).is_err());
    assert!(close(&[0.0], &[nan], f64::INFINITY, 1.0).is_err());
    assert!(close(&[1.0], &[1.0, 1.0], 1.0, 1.0).is_err(), "lengths are compared");
    assert!(close(&[], &[1.0], 1.0, 1.0).is_err());
    assert!(close(&[f64::INFINITY], &[f64::NEG_INFINITY], 1.0, 1.0).is_err());
    assert!(close(&[f64::INFINITY], &[1.0], 1.0, 1.0).is_err());
    assert!(close(&[1.0 + 1e-9], &[1.0], 1e-10, 1e-10).is_err());
    assert!(close(&[1.0 + 1e-11], &[1.0], 1e-10, 0.0).is_ok());
    assert!(same_bits(&[0.0], &[-0.0]).is_err());
    assert!(same_bits(&[1.0], &[]).is_err());
    assert!(same_bits(&[nan], &[nan]).is_ok());
}
