//! `check`: everything that must hold of an operation.

use super::compare::{close, same_bits};
use crate::device::Device;
use crate::error::Result;
use crate::ops::random::host;
use crate::record::GradientTape;
use crate::shape::{DType, Shape};
use crate::tensor::Tensor;

/// An input of a check: a shape, and how its values are made.
#[derive(Clone, Debug)]
pub struct Input {
    shape: Shape,
    values: Values,
}

#[derive(Clone, Debug)]
enum Values {
    Between(f64, f64),
    Below(u32),
    These(Vec<f64>),
}

/// Floats between -2 and 2.
pub fn float(shape: impl Into<Shape>) -> Input {
    floats(shape, -2.0, 2.0)
}

/// Floats between two bounds.
pub fn floats(shape: impl Into<Shape>, low: f64, high: f64) -> Input {
    Input { shape: shape.into(), values: Values::Between(low, high) }
}

/// `u32` numbers below a bound.
pub fn index(shape: impl Into<Shape>, below: u32) -> Input {
    Input { shape: shape.into(), values: Values::Below(below) }
}

/// These floats.
pub fn values(shape: impl Into<Shape>, values: Vec<f64>) -> Input {
    Input { shape: shape.into(), values: Values::These(values) }
}

impl Input {
    fn is_index(&self) -> bool {
        matches!(self.values, Values::Below(_))
    }

    /// The values, exactly representable in f32 so that every device starts from the same numbers.
    fn numbers(&self, seed: u64) -> Vec<f64> {
        let uniform = |i: usize| f64::from(host::uniform(seed, 77, i as u64));
        match &self.values {
            Values::Between(low, high) => (0..self.shape.elements()).map(|i| f64::from((low + (high - low) * uniform(i)) as f32)).collect(),
            Values::Below(bound) => (0..self.shape.elements()).map(|i| (uniform(i) * f64::from(*bound)).floor()).collect(),
            Values::These(values) => values.iter().map(|v| f64::from(*v as f32)).collect(),
        }
    }

    fn tensor(&self, device: &Device, dtype: DType, numbers: &[f64]) -> Result<Tensor> {
        if self.is_index() {
            return Tensor::new(device, self.shape.clone(), &numbers.iter().map(|v| *v as u32).collect::<Vec<_>>());
        }
        match dtype {
            DType::F64 => Tensor::new(device, self.shape.clone(), numbers),
            _ => Tensor::new(device, self.shape.clone(), &numbers.iter().map(|v| *v as f32).collect::<Vec<_>>()),
        }
    }
}

type Body<'a> = Box<dyn Fn(&[Tensor]) -> Result<Tensor> + 'a>;
type Reference<'a> = Box<dyn Fn(&[Vec<f64>]) -> Vec<f64> + 'a>;

/// A check that is being described; [`Check::run`] runs it.
pub struct Check<'a> {
    name: String,
    inputs: Vec<Input>,
    body: Body<'a>,
    reference: Option<Reference<'a>>,
    terms: f64,
    differentiable: bool,
    second_order: bool,
    hardware_kernels: bool,
}

/// Describes a check of `body` on these inputs.
pub fn check<'a>(name: &str, inputs: &[Input], body: impl Fn(&[Tensor]) -> Result<Tensor> + 'a) -> Check<'a> {
    Check {
        name: name.into(),
        inputs: inputs.to_vec(),
        body: Box::new(body),
        reference: None,
        terms: 1.0,
        differentiable: true,
        second_order: true,
        hardware_kernels: false,
    }
}

/// One evaluation: the output, and the gradient by each float input under the upstream gradient.
struct Outcome {
    y: Vec<f64>,
    dxs: Vec<Vec<f64>>,
}

impl<'a> Check<'a> {
    /// What the output must be: plain loops in f64, written apart from the kernels. They get each input's values.
    #[must_use]
    pub fn reference(mut self, reference: impl Fn(&[Vec<f64>]) -> Vec<f64> + 'a) -> Check<'a> {
        self.reference = Some(Box::new(reference));
        self
    }

    /// How many numbers are added up for one output: rounding grows with it.
    #[must_use]
    pub fn terms(mut self, terms: usize) -> Check<'a> {
        self.terms = terms.max(1) as f64;
        self
    }

    /// Leaves out the gradients: for comparisons and whole numbers.
    #[must_use]
    pub fn not_differentiable(mut self) -> Check<'a> {
        self.differentiable = false;
        self
    }

    /// Leaves out the gradients of gradients: for functions whose first gradient has kinks where the inputs lie.
    #[must_use]
    pub fn first_order_only(mut self) -> Check<'a> {
        self.second_order = false;
        self
    }

    /// Runs the kernels for graphics hardware too, where the adapter is a CPU that plays a GPU and has kernels of its own.
    #[must_use]
    pub fn with_hardware_kernels(mut self) -> Check<'a> {
        self.hardware_kernels = true;
        self
    }

    /// Runs every comparison.
    ///
    /// # Panics
    /// If one fails: with the check's name, which comparison, and the worst element.
    pub fn run(self) {
        if let Err(message) = self.outcome() {
            panic!("{}: {message}", self.name);
        }
    }

    /// Runs every comparison, and says which failed. The harness's own tests use it on kernels that are wrong.
    ///
    /// # Errors
    /// Words for the first comparison that failed.
    pub fn outcome(&self) -> Result<(), String> {
        let numbers: Vec<Vec<f64>> = self.inputs.iter().zip(1..).map(|(input, seed)| input.numbers(seed)).collect();
        let cpu = Device::cpu();
        let exact = self.evaluate(&cpu, DType::F64, &numbers)?;
        if let Some(reference) = &self.reference {
            close(&exact.y, &reference(&numbers), 1e-12 * self.terms, 1e-11)
                .map_err(|e| format!("CPU in f64 against the reference: {e}"))?;
        }
        if self.differentiable {
            self.differences(&cpu, &numbers, &exact)?;
        }
        let single = self.evaluate(&cpu, DType::F32, &numbers)?;
        self.agree("CPU in f32 against f64", &single, &exact)?;
        let again = self.evaluate(&cpu, DType::F32, &numbers)?;
        self.repeat("CPU", &single, &again)?;
        let as_hardware = if self.hardware_kernels { super::gpu_with_hardware_kernels() } else { None };
        for gpu in super::gpu(&self.name).into_iter().chain(as_hardware) {
            let there = self.evaluate(&gpu, DType::F32, &numbers)?;
            self.agree(&format!("{gpu} against CPU in f64"), &there, &exact)?;
            let again = self.evaluate(&gpu, DType::F32, &numbers)?;
            self.repeat("GPU", &there, &again)?;
        }
        Ok(())
    }

    fn agree(&self, what: &str, got: &Outcome, want: &Outcome) -> Result<(), String> {
        let tolerance = |want: &[f64]| {
            let scale = want.iter().filter(|v| v.is_finite()).fold(1e-3_f64, |m, v| m.max(v.abs()));
            // Rounding of a sum grows with the root of its length; 16 units in the last place for what each term went through.
            16.0 * f64::from(f32::EPSILON) * self.terms.sqrt() * scale
        };
        close(&got.y, &want.y, tolerance(&want.y), 1e-5).map_err(|e| format!("{what}: {e}"))?;
        for (i, (got, want)) in got.dxs.iter().zip(&want.dxs).enumerate() {
            close(got, want, 4.0 * tolerance(want), 1e-4).map_err(|e| format!("{what}, gradient by input {i}: {e}"))?;
        }
        Ok(())
    }

    fn repeat(&self, what: &str, first: &Outcome, second: &Outcome) -> Result<(), String> {
        same_bits(&first.y, &second.y).map_err(|e| format!("{what} twice: {e}"))?;
        first.dxs.iter().zip(&second.dxs).try_for_each(|(a, b)| same_bits(a, b)).map_err(|e| format!("{what} twice, gradient: {e}"))
    }

    fn evaluate(&self, device: &Device, dtype: DType, numbers: &[Vec<f64>]) -> Result<Outcome, String> {
        let run = || -> Result<Outcome> {
            let inputs = self.tensors(device, dtype, numbers)?;
            if !self.differentiable {
                return Ok(Outcome { y: read(&(self.body)(&inputs)?)?, dxs: Vec::new() });
            }
            let tape = GradientTape::new();
            inputs.iter().for_each(|x| tape.watch(x));
            let y = (self.body)(&inputs)?;
            let weighted = y.mul(&upstream(&y, dtype, 1000)?)?;
            let sources: Vec<&Tensor> = inputs.iter().filter(|x| x.dtype().is_float()).collect();
            let gradients = tape.gradient(&weighted, sources.iter().copied())?;
            let dxs = (0..sources.len()).map(|i| read(gradients.get(i)?)).collect::<Result<_>>()?;
            Ok(Outcome { y: read(&y)?, dxs })
        };
        run().map_err(|e| e.to_string())
    }

    fn tensors(&self, device: &Device, dtype: DType, numbers: &[Vec<f64>]) -> Result<Vec<Tensor>> {
        self.inputs.iter().zip(numbers).map(|(input, numbers)| input.tensor(device, dtype, numbers)).collect()
    }

    /// The sum of the outputs under the upstream gradient, or, of second order, of the gradients under upstreams of their own.
    fn scalar(&self, device: &Device, numbers: &[Vec<f64>], second: bool) -> Result<f64> {
        let inputs = self.tensors(device, DType::F64, numbers)?;
        let total = if second { self.gradient_sum(&inputs)? } else { self.weighted(&inputs)? };
        Ok(read(&total)?.iter().sum())
    }

    fn weighted(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let y = (self.body)(inputs)?;
        y.mul(&upstream(&y, DType::F64, 1000)?)
    }

    /// Every first gradient, weighted and added into one scalar.
    fn gradient_sum(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let tape = GradientTape::new();
        inputs.iter().for_each(|x| tape.watch(x));
        let target = self.weighted(inputs)?;
        let sources: Vec<&Tensor> = inputs.iter().filter(|x| x.dtype().is_float()).collect();
        let gradients = tape.gradient(&target, sources.iter().copied())?;
        let mut total = Tensor::full(inputs[0].device(), [], DType::F64, 0.0)?;
        for (i, gradient) in gradients.iter().enumerate() {
            if let Some(dx) = gradient {
                total = total.add(&dx.mul(&upstream(dx, DType::F64, 2000 + i as u64)?)?.sum_all()?)?;
            }
        }
        Ok(total)
    }

    /// The gradients, and the gradients of their sum, against central differences.
    fn differences(&self, cpu: &Device, numbers: &[Vec<f64>], exact: &Outcome) -> Result<(), String> {
        let float_inputs: Vec<usize> = (0..self.inputs.len()).filter(|&i| !self.inputs[i].is_index()).collect();
        for (&input, dx) in float_inputs.iter().zip(&exact.dxs) {
            self.difference(cpu, numbers, input, dx, false)?;
        }
        if !self.second_order {
            return Ok(());
        }
        let second = || -> Result<Vec<Vec<f64>>> {
            let inputs = self.tensors(cpu, DType::F64, numbers)?;
            let tape = GradientTape::new();
            inputs.iter().for_each(|x| tape.watch(x));
            let total = self.gradient_sum(&inputs)?;
            let sources: Vec<&Tensor> = float_inputs.iter().map(|&i| &inputs[i]).collect();
            let gradients = tape.gradient(&total, sources.iter().copied())?;
            let zero = |x: &Tensor| vec![0.0; x.shape().elements()];
            gradients.iter().zip(&sources).map(|(g, x)| g.as_ref().map_or_else(|| Ok(zero(x)), read)).collect()
        };
        let second = second().map_err(|e| format!("gradients of gradients: {e}"))?;
        for (&input, ddx) in float_inputs.iter().zip(&second) {
            self.difference(cpu, numbers, input, ddx, true)?;
        }
        Ok(())
    }

    fn difference(&self, cpu: &Device, numbers: &[Vec<f64>], input: usize, dx: &[f64], second: bool) -> Result<(), String> {
        const STEP: f64 = 1e-5;
        /// More elements than this are sampled.
        const MOST: usize = 40;
        let count = numbers[input].len();
        if dx.len() != count {
            return Err(format!("gradient by input {input} has {} elements, the input has {count}", dx.len()));
        }
        let scale = dx.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
        let stride = count.div_ceil(MOST).max(1);
        for at in (0..count).step_by(stride) {
            let moved = |by: f64| {
                let mut numbers = numbers.to_vec();
                numbers[input][at] += by;
                self.scalar(cpu, &numbers, second).map_err(|e| e.to_string())
            };
            let slope = (moved(STEP)? - moved(-STEP)?) / (2.0 * STEP);
            let order = if second { "second gradient" } else { "gradient" };
            close(&[dx[at]], &[slope], 2e-6 * scale * self.terms.sqrt().max(1.0), 1e-5)
                .map_err(|e| format!("{order} by input {input} at {at} against central differences: {e}"))?;
        }
        Ok(())
    }
}

/// A random gradient of `y`'s shape, between 0.5 and 1.5 in size and of either sign: ones would hide a transposed or forgotten factor.
fn upstream(y: &Tensor, dtype: DType, seed: u64) -> Result<Tensor> {
    let draw =
        |i: usize| f64::from((host::uniform(seed, 5, i as u64) + 0.5) * if host::uniform(seed, 6, i as u64) < 0.5 { -1.0 } else { 1.0 });
    let numbers: Vec<f64> = (0..y.shape().elements()).map(draw).collect();
    Input { shape: y.shape().clone(), values: Values::Between(0.0, 0.0) }.tensor(y.device(), dtype, &numbers)
}

/// Any tensor's elements as f64.
fn read(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(match tensor.dtype() {
        DType::F16 => tensor.to_vec::<half::f16>()?.into_iter().map(f64::from).collect(),
        DType::F32 => tensor.to_vec::<f32>()?.into_iter().map(f64::from).collect(),
        DType::F64 => tensor.to_vec::<f64>()?,
        DType::U32 => tensor.to_vec::<u32>()?.into_iter().map(f64::from).collect(),
        DType::I32 => tensor.to_vec::<i32>()?.into_iter().map(f64::from).collect(),
        DType::U8 => tensor.to_vec::<u8>()?.into_iter().map(f64::from).collect(),
    })
}
