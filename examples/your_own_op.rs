//! An operation of your own: its CPU kernel, its WGSL, its gradient, the check of all three, and a use of it.
//!
//! `cargo run --release --example your_own_op -- --help` lists the options.

#[path = "common/mod.rs"]
mod common;

use anyhow::{Result, ensure};
use common::Options;
use gradus::prelude::*;
use gradus::record::op::{Buffer, CpuArgs, Launch, Shader, float_dtype};
use gradus::record::{GradCx, Op, record_one};
use gradus::testing::{check, float};
use gradus::with_real;

/// Running sums along the last axis, `y_i = x_0 + … + x_i`; reversed, `y_i = x_i + … + x_{n-1}`.
///
/// `x_j` is in every `y_i` with `i ≥ j`, so its gradient is the sum of those of all later ones: the same operation, the other way round.
#[derive(Debug)]
struct Cumsum {
    reversed: bool,
}

fn cumsum(x: &Tensor, reversed: bool) -> gradus::Result<Tensor> {
    record_one(Cumsum { reversed }, &[x])
}

/// The number of rows, and how long each is.
fn rows(spec: &Spec) -> (usize, usize) {
    let length = spec.shape.last().copied().unwrap_or(1);
    (spec.shape.elements() / length.max(1), length)
}

impl Op for Cumsum {
    fn name(&self) -> &'static str {
        "cumsum"
    }

    fn infer(&self, inputs: &[Spec]) -> gradus::Result<Vec<Spec>> {
        float_dtype("cumsum", inputs)?;
        Ok(vec![inputs[0].clone()])
    }

    fn grad(&self, cx: &GradCx) -> gradus::Result<Vec<Option<Tensor>>> {
        Ok(vec![cx.when(0, || cumsum(cx.dy(), !self.reversed))?])
    }

    /// Written once for f32, in which it runs, and f64, in which it is checked.
    fn cpu(&self, args: &mut CpuArgs) -> gradus::Result<()> {
        let (_, length) = rows(args.input_spec(0));
        with_real!(args.input_spec(0).dtype, T => {
            let (x, y) = (args.input::<T>(0), args.output::<T>(0));
            for (x, y) in x.chunks(length.max(1)).zip(y.chunks_mut(length.max(1))) {
                let mut sum = T::default();
                for i in 0..length {
                    let at = if self.reversed { length - 1 - i } else { i };
                    sum += x[at];
                    y[at] = sum;
                }
            }
        });
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> gradus::Result<()> {
        launch.no_f64("cumsum")?;
        let (rows, length) = rows(launch.input(0));
        let mut shader = Shader::new("cumsum", include_str!("cumsum.wgsl"));
        if self.reversed {
            shader = shader.hook("place", "return p.length - 1u - i;");
        }
        launch.threads(shader, &[Buffer::Input(0), Buffer::Output(0)], &[rows as u32, length as u32], rows, 64);
        Ok(())
    }
}

fn main() -> Result<()> {
    let options = Options::from_args("An operation of your own: running sums.", 200, 1)?;
    let device = options.device()?;

    // Against plain loops and finite differences in f64, gradients of gradients too, the GPU against the CPU, twice the same bits.
    for reversed in [false, true] {
        check("cumsum", &[float([3, 5])], |x| cumsum(&x[0], reversed)).reference(move |x| naive(&x[0], 5, reversed)).terms(5).run();
    }
    println!("checked on the CPU, and on a GPU if there is one");

    let x = Tensor::new(&device, [4], &[1.0f32, 2.0, 3.0, 4.0])?;
    println!("cumsum of 1, 2, 3, 4: {:?}", cumsum(&x, false)?.to_vec::<f32>()?);

    // Which steps lead up this hill? Learned from where they should have led.
    let target: Vec<f32> = (0..16).map(|i| (0.4 * i as f32).sin()).collect();
    let target = Tensor::new(&device, [16], &target)?;
    let steps = Variable::new("steps", &Tensor::zeros(&device, [16])?)?;
    let learn = Function::new("learn", |target: &[Tensor]| {
        let tape = GradientTape::new();
        let loss = cumsum(&steps.value()?, false)?.sub(&target[0])?.square()?.mean_all()?;
        let gradients = tape.gradient(&loss, [&steps])?;
        steps.assign(&steps.value()?.sub(&gradients.get(0)?.mul_scalar(0.1)?)?)?;
        Ok(vec![loss])
    });
    let mut losses = Vec::new();
    for epoch in 0..options.epochs {
        let loss = learn.call(&[&target])?[0].item()?;
        if epoch.is_multiple_of(50) || epoch + 1 == options.epochs {
            println!("epoch {}/{}: loss: {loss:.6}", epoch + 1, options.epochs);
        }
        losses.push(loss);
    }
    ensure!(losses.last() <= losses.first(), "the loss falls");
    let found: Vec<String> = steps.value()?.to_vec::<f32>()?.iter().map(|step| format!("{step:.2}")).collect();
    println!("steps {}", found.join(" "));
    Ok(())
}

/// Every sum by itself.
fn naive(x: &[f64], length: usize, reversed: bool) -> Vec<f64> {
    let sum = |row: &[f64], i: usize| if reversed { row[i..].iter().sum::<f64>() } else { row[..=i].iter().sum::<f64>() };
    x.chunks(length).flat_map(|row| (0..length).map(move |i| sum(row, i))).collect()
}
