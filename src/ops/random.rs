//! Random numbers by counting: number `i` of draw `d` of a seed is a function of `(seed, d, i)`, with the same bits on every device.
//!
//! The formulas are in [`host`]. The state is four u32: the seed's low and high word, the draw's low and high word. Nothing here has a gradient.

pub mod host;
#[cfg(test)]
mod tests;

use super::strided::{TASK, word};
use crate::device::Device;
use crate::device::cpu::Real;
use crate::error::{Error, Result};
use crate::record::op::{Buffer, CpuArgs, Epilogue, GradCx, Launch, Op, Shader};
use crate::record::record_one;
use crate::shape::{DType, Shape, Spec};
use crate::tensor::{Tensor, lock};
use crate::variable::Variable;
use crate::with_real;
use rayon::prelude::*;
use std::sync::{Arc, Mutex};

/// Draws random tensors from a seed. Its clones share one sequence of draws.
///
/// The number of the next draw is a variable, so a traced function draws anew at every replay. Draw `d` holds the numbers of
/// [`host::Stream::new`]`(seed, d)`: give initializers that use those another seed, or streams that no generator will count up to.
#[derive(Clone, Debug)]
pub struct SeedGenerator {
    state: Variable,
    /// Held from reading the state to replacing it, so that two threads never make the same draw.
    drawing: Arc<Mutex<()>>,
}

impl SeedGenerator {
    /// A generator at draw 0 of the seed.
    ///
    /// # Errors
    /// [`Error::Trace`] while a function is traced on the device; [`Error::OutOfMemory`].
    pub fn new(device: &Device, seed: u64) -> Result<SeedGenerator> {
        let [low, high] = host::words(seed);
        let state = Variable::new("seed_generator_state", &Tensor::new(device, [4], &[low, high, 0, 0])?)?;
        Ok(SeedGenerator { state: state.untrainable(), drawing: Arc::default() })
    }

    /// The state, u32 `[4]`: seed low and high, draw low and high. Save it to go on later where the draws stopped.
    pub fn state(&self) -> &Variable {
        &self.state
    }

    /// f32 uniform in `[0, 1)`: multiples of 2^-24.
    ///
    /// # Errors
    /// [`Error::Shape`] for more than 2^32 elements.
    #[track_caller]
    pub fn uniform(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        self.uniform_as(shape, DType::F32)
    }

    /// [`SeedGenerator::uniform`], as the same numbers in f32 or, on the CPU, f64.
    ///
    /// # Errors
    /// [`Error::DType`] for other types.
    #[track_caller]
    pub fn uniform_as(&self, shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
        self.draw(Draw::Uniform, shape.into(), dtype)
    }

    /// f32 normal with mean 0 and deviation 1, at most 6.67 from the mean.
    ///
    /// # Errors
    /// [`Error::Shape`] for more than 2^32 elements.
    #[track_caller]
    pub fn normal(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        self.normal_as(shape, DType::F32)
    }

    /// [`SeedGenerator::normal`], as the same numbers in f32 or, on the CPU, f64.
    ///
    /// # Errors
    /// [`Error::DType`] for other types.
    #[track_caller]
    pub fn normal_as(&self, shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
        self.draw(Draw::Normal, shape.into(), dtype)
    }

    /// f32: 1 with probability `p`, else 0. `p` counts in steps of 2^-32; 0 and 1 are exact.
    ///
    /// # Errors
    /// [`Error::Argument`] for `p` outside `0..=1`; [`Error::Shape`] for more than 2^32 elements.
    #[track_caller]
    pub fn bernoulli(&self, shape: impl Into<Shape>, p: f64) -> Result<Tensor> {
        self.bernoulli_as(shape, p, DType::F32)
    }

    /// [`SeedGenerator::bernoulli`], as the same numbers in f32 or, on the CPU, f64.
    ///
    /// # Errors
    /// [`Error::DType`] for other types.
    #[track_caller]
    pub fn bernoulli_as(&self, shape: impl Into<Shape>, p: f64, dtype: DType) -> Result<Tensor> {
        if !(0.0..=1.0).contains(&p) {
            return Err(Error::argument("bernoulli: p", "0..=1", p));
        }
        self.draw(Draw::Bernoulli { kept: (p * 4_294_967_296.0).round() as u64 }, shape.into(), dtype)
    }

    #[track_caller]
    fn draw(&self, draw: Draw, shape: Shape, dtype: DType) -> Result<Tensor> {
        let _drawing = lock(&self.drawing);
        let state = self.state.value()?;
        let drawn = record_one(Random { draw, shape, dtype }, &[&state])?;
        self.state.assign(&record_one(NextDraw, &[&state])?)?;
        Ok(drawn)
    }
}

#[derive(Debug, Clone)]
struct Random {
    draw: Draw,
    shape: Shape,
    dtype: DType,
}

#[derive(Debug, Clone, Copy)]
enum Draw {
    Uniform,
    Normal,
    /// Of the 2^32 values of the bits, how many give 1.
    Bernoulli {
        kept: u64,
    },
}

fn check_state(op: &str, inputs: &[Spec]) -> Result<()> {
    let state = &inputs[0];
    if state.dtype != DType::U32 {
        return Err(Error::dtype(op, "a u32 state", state.dtype));
    }
    state
        .shape
        .dims::<1>(op)
        .and_then(|[words]| if words == 4 { Ok(()) } else { Err(Error::shape(op, "a state of 4 words", &state.shape)) })
}

impl Op for Random {
    fn name(&self) -> &'static str {
        match self.draw {
            Draw::Uniform => "uniform",
            Draw::Normal => "normal",
            Draw::Bernoulli { .. } => "bernoulli",
        }
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        check_state(self.name(), inputs)?;
        if !self.dtype.is_float() {
            return Err(Error::dtype(self.name(), "f32 or f64", self.dtype));
        }
        if u32::try_from(self.shape.elements()).is_err() {
            return Err(Error::shape(self.name(), "at most 2^32 elements", &self.shape));
        }
        Ok(vec![Spec::new(self.shape.clone(), self.dtype)])
    }

    fn grad(&self, _: &GradCx) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let &[seed_low, seed_high, low, high] = args.input::<u32>(0) else { unreachable!("`infer` saw four words") };
        let join = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
        let stream = host::Stream::new(join(seed_low, seed_high), join(low, high));
        let then = args.epilogue();
        with_real!(self.dtype, T => match self.draw {
            Draw::Uniform => fill(stream, args.output::<T>(0), |block| block.map(host::uniform_of), then),
            Draw::Normal => fill(stream, args.output::<T>(0), host::normals_of, then),
            Draw::Bernoulli { kept: 0 } => fill(stream, args.output::<T>(0), |_| [0.0; 2], then),
            Draw::Bernoulli { kept } => {
                let limit = (kept - 1) as u32;
                fill(stream, args.output::<T>(0), |block| block.map(|bits| if bits <= limit { 1.0 } else { 0.0 }), then);
            }
        });
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        let (body, kept) = match self.draw {
            Draw::Uniform => ("return uniforms(block);", 0),
            Draw::Normal => ("return normals(block);", 0),
            Draw::Bernoulli { kept } => ("return bernoullis(block);", kept),
        };
        let elements = launch.output_shape(0).elements();
        let params = [word(elements), u32::from(kept > 0), kept.saturating_sub(1) as u32];
        let shader = Shader::new(self.name(), include_str!("../../shaders/random.wgsl")).hook("draw", body);
        launch.threads(shader, &[Buffer::Input(0), Buffer::Output(0)], &params, elements.div_ceil(2), 64);
        Ok(())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

fn fill<T: Real>(stream: host::Stream, y: &mut [T], of: impl Fn([u32; 2]) -> [f32; 2] + Sync, then: Epilogue) {
    const BLOCKS: usize = 16;
    y.par_chunks_mut(TASK).enumerate().for_each(|(task, y)| {
        for (i, y) in y.chunks_mut(2 * BLOCKS).enumerate() {
            let first = (task * TASK / 2 + i * BLOCKS) as u32;
            let (low, high) = stream.blocks(std::array::from_fn::<u32, BLOCKS, _>(|k| first.wrapping_add(k as u32)));
            let mut numbers = [[0.0; 2]; BLOCKS];
            for k in 0..BLOCKS {
                numbers[k] = of([low[k], high[k]]);
            }
            y.iter_mut().zip(numbers.as_flattened()).for_each(|(y, number)| *y = T::of(f64::from(*number)));
        }
        then.apply(task * TASK, y);
    });
}

/// The state with the next draw's number.
#[derive(Debug, Clone)]
struct NextDraw;

impl Op for NextDraw {
    fn name(&self) -> &'static str {
        "next_draw"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        check_state("next_draw", inputs)?;
        Ok(inputs.to_vec())
    }

    fn grad(&self, _: &GradCx) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let next = args.output::<u32>(0);
        if args.in_place(0).is_none() {
            next.copy_from_slice(args.input::<u32>(0));
        }
        let draw = (u64::from(next[3]) << 32 | u64::from(next[2])).wrapping_add(1);
        next[2..].copy_from_slice(&host::words(draw));
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        let shader = Shader::new("next_draw", include_str!("../../shaders/random_next.wgsl"));
        if launch.in_place(0).is_some() {
            launch.threads(shader, &[Buffer::Output(0)], &[], 1, 1);
        } else {
            let shader = shader.binding(1, "state", "u32", false).hook("before", "return state[i];");
            launch.threads(shader, &[Buffer::Output(0), Buffer::Input(0)], &[], 1, 1);
        }
        Ok(())
    }

    fn may_overwrite(&self, _: &[Spec], _: usize) -> Vec<usize> {
        vec![0]
    }
}
