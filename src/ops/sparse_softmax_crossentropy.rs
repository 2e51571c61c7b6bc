//! Crossentropy of softmax from logits: `loss = log Σ_j e^{x_j} − x_label` for each sample, and the same for dense targets.
//!
//! The gradient by the logits is `(softmax(x) − onehot(label))·∂loss`, an op of its own: it needs no logarithm and cannot divide by a
//! probability of 0.

use super::argmax::ArgMax;
use crate::device::Device;
use crate::device::cpu::{CpuArgs, Real};
use crate::error::{Error, Result};
use crate::record::op::{Buffer, GradCx, Launch, Op, Shader};
use crate::record::record_one;
use crate::shape::{DType, Shape, Spec};
use crate::tensor::Tensor;
use crate::with_real;
use rayon::prelude::*;
use std::any::Any;
use std::sync::Arc;

/// Inputs: logits, labels.
#[derive(Debug, Clone)]
struct SparseSoftmaxCrossentropy;

/// Inputs: logits, labels, the gradient by each loss. Outputs: the gradient by the logits, then with `loss` the losses, then with `best` the
/// number of each sample's largest logit.
#[derive(Debug, Clone, Default)]
struct SparseSoftmaxCrossentropyDx {
    loss: bool,
    best: bool,
}

const NAME: &str = "sparse_softmax_crossentropy";

impl Tensor {
    /// The crossentropy of `softmax(self)` with whole-number labels: logits `[.., classes]` and labels `[..]` (`u32` or `i32`) give losses `[..]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the labels' shape is not the logits' without the last axis; [`Error::DType`]. When it runs on the CPU:
    /// [`Error::Label`] for a label outside `0..classes`; a GPU makes that sample's loss NaN.
    #[track_caller]
    pub fn sparse_softmax_crossentropy(&self, labels: &Tensor) -> Result<Tensor> {
        record_one(SparseSoftmaxCrossentropy, &[self, labels])
    }

    /// The crossentropy of `softmax(self)` with targets of the same shape: `−Σ t·log softmax(x)` over the last axis, `[..]`. The gradient by the
    /// logits is `softmax(x)·Σt − t`, so the targets need not sum to 1.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::DType`] unless the targets have the logits' shape and type.
    #[track_caller]
    pub fn softmax_crossentropy(&self, targets: &Tensor) -> Result<Tensor> {
        if targets.shape() != self.shape() {
            let error = Error::shape("softmax_crossentropy", format!("targets of the logits' shape {}", self.shape()), targets.shape());
            return Err(error.hint("whole-number labels go to `sparse_softmax_crossentropy`"));
        }
        self.log_softmax()?.mul(targets)?.sum(&[-1], false)?.neg()
    }
}

/// Checks logits and labels, and gives the shape of the losses.
fn losses(inputs: &[Spec]) -> Result<Shape> {
    let (logits, labels) = (&inputs[0], &inputs[1]);
    if !logits.dtype.is_float() {
        return Err(Error::dtype(NAME, "logits of f32", logits.dtype));
    }
    if !matches!(labels.dtype, DType::U32 | DType::I32) {
        return Err(Error::dtype(NAME, "labels of u32 or i32", labels.dtype));
    }
    let Some((&classes, samples)) = logits.shape.split_last().filter(|(classes, _)| **classes > 0) else {
        return Err(Error::shape(NAME, "logits with at least one class along the last axis", &logits.shape));
    };
    if labels.shape[..] != *samples {
        let want = format!("labels of shape {samples:?} for logits of {classes} classes");
        return Err(Error::shape(NAME, want, &labels.shape).hint("one-hot targets go to `softmax_crossentropy`"));
    }
    Ok(samples.into())
}

/// Labels that are known to be in range.
enum Labels<'a> {
    Unsigned(&'a [u32]),
    Signed(&'a [i32]),
}

impl<'a> Labels<'a> {
    /// # Errors
    /// [`Error::Label`] for the first one out of range.
    fn of(args: &CpuArgs<'a>, classes: usize) -> Result<Labels<'a>> {
        let labels = match args.input_spec(1).dtype {
            DType::I32 => Labels::Signed(args.input(1)),
            _ => Labels::Unsigned(args.input(1)),
        };
        for position in 0..args.input_shape(1).elements() {
            let label = labels.number(position);
            if !(0..classes as i64).contains(&label) {
                return Err(Error::Label { op: NAME.into(), label, position, classes });
            }
        }
        Ok(labels)
    }

    fn number(&self, position: usize) -> i64 {
        match self {
            Labels::Unsigned(labels) => labels[position].into(),
            Labels::Signed(labels) => labels[position].into(),
        }
    }

    fn index(&self, position: usize) -> usize {
        self.number(position) as usize
    }
}

/// The largest logit and `Σ e^{x − largest}`.
fn statistics<T: Real>(x: &[T]) -> (T, T) {
    let largest = x.iter().fold(T::neg_infinity(), |a, &b| if a >= b || a.is_nan() { a } else { b });
    (largest, x.iter().map(|&x| (x - largest).exp()).sum())
}

/// Samples that make a task.
fn group(classes: usize) -> usize {
    (4096 / classes).max(1)
}

/// Passed to the shaders, which must not make a NaN of constants: a compiler may take it for something that cannot happen.
const NAN_BITS: u32 = 0x7fc0_0000;

impl Op for SparseSoftmaxCrossentropy {
    fn name(&self) -> &'static str {
        NAME
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        Ok(vec![Spec::new(losses(inputs)?, inputs[0].dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let dx = cx.when(0, || record_one(SparseSoftmaxCrossentropyDx::default(), &[&cx.inputs[0], &cx.inputs[1], cx.dy()]))?;
        Ok(vec![dx, None])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let classes = *args.input_shape(0).last().expect("infer wants a last axis");
        let labels = Labels::of(args, classes)?;
        with_real!(args.output_spec(0).dtype, T => {
            let x = args.input::<T>(0);
            args.output::<T>(0).par_iter_mut().with_min_len(group(classes)).enumerate().for_each(|(sample, loss)| {
                let x = &x[sample * classes..][..classes];
                let (largest, sum) = statistics(x);
                *loss = sum.ln() - (x[labels.index(sample)] - largest);
            });
        });
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(NAME)?;
        let (samples, classes) = (launch.input_shape(1).elements(), launch.input_shape(0).elements());
        let classes = classes.checked_div(samples).unwrap_or(1);
        let shader = Shader::new(NAME, include_str!("../../shaders/sparse_softmax_crossentropy.wgsl"));
        let buffers = [Buffer::Input(0), Buffer::Input(1), Buffer::Output(0)];
        launch.threads(shader, &buffers, &[samples as u32, classes as u32, NAN_BITS], samples, 64);
        Ok(())
    }
}

impl Op for SparseSoftmaxCrossentropyDx {
    fn name(&self) -> &'static str {
        "sparse_softmax_crossentropy_dx"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let want = Spec::new(losses(inputs)?, inputs[0].dtype);
        if inputs[2] != want {
            return Err(Error::shape(self.name(), want.to_string(), &inputs[2]));
        }
        let best = self.best.then(|| Spec::new(want.shape.clone(), DType::U32));
        Ok([inputs[0].clone()].into_iter().chain(self.loss.then_some(want)).chain(best).collect())
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let (logits, labels, dy, g) = (&cx.inputs[0], &cx.inputs[1], &cx.inputs[2], cx.dy());
        // dx_i = (y_i − onehot_i)·dy with y = softmax(x): by x only y counts, by dy the bracket.
        let by_logits = cx.when(0, || {
            let column = dy.reshape(logits.shape().with(logits.rank() - 1, 1))?;
            logits.softmax()?.softmax_dx(g)?.mul(&column)
        })?;
        let by_dy = cx.when(2, || {
            record_one(SparseSoftmaxCrossentropyDx::default(), &[logits, labels, &dy.ones_like()?])?.mul(g)?.sum(&[-1], false)
        })?;
        Ok(vec![by_logits, None, by_dy])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let classes = *args.input_shape(0).last().expect("infer wants a last axis");
        let labels = Labels::of(args, classes)?;
        with_real!(args.output_spec(0).dtype, T => {
            let (x, dy, dx) = (args.input::<T>(0), args.input::<T>(2), args.output::<T>(0));
            let mut unwanted = vec![T::of(0.0); if self.loss { 0 } else { dy.len() }];
            let losses = if self.loss { args.output::<T>(1) } else { &mut unwanted[..] };
            let mut unwanted = vec![0u32; if self.best { 0 } else { dy.len() }];
            let best = if self.best { args.output::<u32>(1 + usize::from(self.loss)) } else { &mut unwanted[..] };
            let samples = dx.par_chunks_mut(classes).zip(losses).zip(best).with_min_len(group(classes)).enumerate();
            samples.for_each(|(sample, ((dx, loss), best))| {
                let x = &x[sample * classes..][..classes];
                let (largest, sum) = statistics(x);
                *loss = sum.ln() - (x[labels.index(sample)] - largest);
                *best = x.iter().position(|x| *x == largest || x.is_nan()).unwrap_or(0) as u32;
                dx.iter_mut().zip(x).for_each(|(dx, &x)| *dx = (x - largest).exp() / sum * dy[sample]);
                dx[labels.index(sample)] -= dy[sample];
            });
        });
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        let (samples, elements) = (launch.input_shape(1).elements(), launch.input_shape(0).elements());
        let classes = elements.checked_div(samples).unwrap_or(1);
        let mut shader = Shader::new(self.name(), include_str!("../../shaders/sparse_softmax_crossentropy_dx.wgsl"));
        let mut buffers = vec![Buffer::Input(0), Buffer::Input(1), Buffer::Input(2), Buffer::Output(0)];
        if self.loss {
            shader = shader.hook("put_loss", "loss[sample] = v;").binding(buffers.len(), "loss", "f32", true);
            buffers.push(Buffer::Output(1));
        }
        if self.best {
            shader = shader.hook("put_best", "best[sample] = v;").binding(buffers.len(), "best", "u32", true);
            buffers.push(Buffer::Output(1 + usize::from(self.loss)));
        }
        launch.threads(shader, &buffers, &[samples as u32, classes as u32, NAN_BITS], samples, 64);
        Ok(())
    }

    fn together(&self, other: &dyn Op, shared: usize, _device: &Device) -> Option<Arc<dyn Op>> {
        let other: &dyn Any = other;
        let both = match other.downcast_ref::<ArgMax>() {
            // The logits' last axis is the one that the labels lack.
            Some(argmax) if argmax.is_over_last() && !self.best => SparseSoftmaxCrossentropyDx { best: true, ..*self },
            None if other.is::<SparseSoftmaxCrossentropy>() && !self.loss && !self.best => {
                SparseSoftmaxCrossentropyDx { loss: true, ..*self }
            }
            _ => return None,
        };
        (shared == 0).then(|| Arc::new(both) as Arc<dyn Op>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, float, gpu, index};

    fn naive(classes: usize, x: &[f64], label: impl Fn(usize) -> usize) -> Vec<f64> {
        let loss = |(sample, row): (usize, &[f64])| row.iter().map(|v| v.exp()).sum::<f64>().ln() - row[label(sample)];
        x.chunks(classes).enumerate().map(loss).collect()
    }

    #[test]
    fn losses_and_gradients() {
        for (samples, classes) in [(1, 1), (5, 10), (70, 3), (2, 300)] {
            check(&format!("{samples} of {classes}"), &[float([samples, classes]), index([samples], classes as u32)], |x| {
                x[0].sparse_softmax_crossentropy(&x[1])
            })
            .reference(move |x| naive(classes, &x[0], |sample| x[1][sample] as usize))
            .terms(classes)
            .run();
        }
        check("two axes of samples", &[float([2, 3, 4]), index([2, 3], 4)], |x| x[0].sparse_softmax_crossentropy(&x[1]))
            .reference(|x| naive(4, &x[0], |sample| x[1][sample] as usize))
            .terms(4)
            .run();
        check("no samples", &[float([0, 4]), index([0], 4)], |x| x[0].sparse_softmax_crossentropy(&x[1])).reference(|_| Vec::new()).run();
        check("dense", &[float([3, 5]), float([3, 5])], |x| x[0].softmax_crossentropy(&x[1]))
            .reference(|x| {
                let row = |r: usize| {
                    let (x, t) = (&x[0][r * 5..][..5], &x[1][r * 5..][..5]);
                    let sum: f64 = x.iter().map(|v| v.exp()).sum();
                    x.iter().zip(t).map(|(x, t)| -t * (x - sum.ln())).sum()
                };
                (0..3).map(row).collect()
            })
            .terms(5)
            .run();
    }

    #[test]
    fn signed_labels_and_large_logits() {
        let cpu = Device::cpu();
        let x = Tensor::new(&cpu, [2, 2], &[1000.0f32, 0.0, 0.0, 1000.0]).unwrap();
        let labels = Tensor::new(&cpu, [2], &[0i32, 0]).unwrap();
        assert_eq!(x.sparse_softmax_crossentropy(&labels).unwrap().to_vec::<f32>().unwrap(), [0.0, 1000.0]);
    }

    #[test]
    fn a_label_out_of_range_is_found() {
        let logits = [0.0f32; 9];
        let cpu = Device::cpu();
        let wrong = |labels: &Tensor| {
            let x = Tensor::new(labels.device(), [3, 3], &logits).unwrap();
            x.sparse_softmax_crossentropy(labels).unwrap().to_vec::<f32>()
        };
        let error = wrong(&Tensor::new(&cpu, [3], &[0u32, 3, 7]).unwrap()).unwrap_err();
        assert_eq!(*error.root(), Error::Label { op: NAME.into(), label: 3, position: 1, classes: 3 });
        let error = wrong(&Tensor::new(&cpu, [3], &[0i32, 1, -1]).unwrap()).unwrap_err();
        assert_eq!(*error.root(), Error::Label { op: NAME.into(), label: -1, position: 2, classes: 3 });
        if let Some(gpu) = gpu("labels out of range") {
            let loss = wrong(&Tensor::new(&gpu, [3], &[0i32, 3, -1]).unwrap()).unwrap();
            assert!((loss[0] - 3.0f32.ln()).abs() < 1e-6 && loss[1].is_nan() && loss[2].is_nan(), "{loss:?}");
            let x = Tensor::new(&gpu, [3, 3], &logits).unwrap();
            let labels = Tensor::new(&gpu, [3], &[3u32, 0, 1]).unwrap();
            let tape = crate::GradientTape::new();
            tape.watch(&x);
            let loss = x.sparse_softmax_crossentropy(&labels).unwrap();
            let dx = tape.gradient(&loss, [&x]).unwrap().get(0).unwrap().to_vec::<f32>().unwrap();
            assert!(dx[..3].iter().all(|v| v.is_nan()) && dx[3..].iter().all(|v| v.is_finite()), "{dx:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let cpu = Device::cpu();
        let x = Tensor::zeros(&cpu, [2, 3]).unwrap();
        let labels = |shape: &[usize]| Tensor::new(&cpu, shape, &vec![0u32; shape.iter().product()]).unwrap();
        let error = x.sparse_softmax_crossentropy(&labels(&[2, 1])).unwrap_err().to_string();
        assert!(error.contains("[2]") && error.contains("[2, 1]"), "{error}");
        assert!(matches!(x.softmax_crossentropy(&Tensor::zeros(&cpu, [1, 3]).unwrap()), Err(Error::Shape { .. })));
        assert!(matches!(x.sparse_softmax_crossentropy(&x), Err(Error::DType { .. })));
        assert!(matches!(Tensor::zeros(&cpu, []).unwrap().sparse_softmax_crossentropy(&labels(&[])), Err(Error::Shape { .. })));
        assert!(matches!(Tensor::zeros(&cpu, [2, 0]).unwrap().sparse_softmax_crossentropy(&labels(&[2])), Err(Error::Shape { .. })));
    }
}
