//! Programs with their operations fused against the same programs with each operation apart: the same bits on the CPU, but for bias gradients,
//! and on a GPU the same numbers but for what its compiler rounds otherwise; and fewer kernels.

#[path = "replay/models.rs"]
mod models;

use gradus::layers::{Activation, BatchNormalization, Conv2D, Dense, Dropout, Flatten, MaxPooling2D};
use gradus::models::Sequential;
use gradus::ops::conv2d::Conv2dParams;
use gradus::ops::pointwise::{map, map1};
use gradus::optimizers::{Adam, Optimizer};
use gradus::record::GradientOptions;
use gradus::testing::{close, gpu_with_hardware_kernels, same_bits, without_fusion};
use gradus::{DType, Device, Function, GradientTape, Result, Tensor, Variable};
use models::{batch, devices, small, step, waves};

/// Whether this process fuses at all.
fn fusing() -> bool {
    std::env::var_os("GRADUS_FUSE").is_none_or(|value| value != "0")
}

struct Outcome {
    values: Vec<Vec<f64>>,
    steps: Vec<String>,
}

fn outcome(args: &[&Tensor], f: &dyn Fn(&[Tensor]) -> Result<Vec<Tensor>>) -> Result<Outcome> {
    let function = Function::new("both ways", |args: &[Tensor]| f(args));
    let outputs = function.call(args)?;
    let read = |t: &Tensor| match t.dtype() {
        DType::U32 => Ok(t.to_vec::<u32>()?.into_iter().map(f64::from).collect()),
        _ => Ok(t.to_vec::<f32>()?.into_iter().map(f64::from).collect()),
    };
    Ok(Outcome { values: outputs.iter().map(read).collect::<Result<_>>()?, steps: function.programs()[0].steps().collect() })
}

/// Runs `f` both ways on every device, and compares. `kernels`: how many the fused program has on the CPU.
fn both_ways(what: &str, shapes: &[&[usize]], kernels: usize, f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>) -> Result<()> {
    both_ways_within(0.0, what, shapes, kernels, f)
}

/// Likewise, with results that may differ on the CPU by this part of the largest.
fn both_ways_within(
    part: f64,
    what: &str,
    shapes: &[&[usize]],
    kernels: usize,
    f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>,
) -> Result<()> {
    for device in devices(what).into_iter().chain(gpu_with_hardware_kernels()) {
        let make = |(i, shape): (usize, &&[usize])| Tensor::new(&device, *shape, &waves(i * 7 + shape.iter().product::<usize>())[i * 7..]);
        let args = shapes.iter().enumerate().map(make).collect::<Result<Vec<_>>>()?;
        let args: Vec<&Tensor> = args.iter().collect();
        let (fused, apart) = (outcome(&args, &f)?, without_fusion(|| outcome(&args, &f))?);
        assert_eq!(fused.values.len(), apart.values.len(), "{what}");
        for (fused, apart) in fused.values.iter().zip(&apart.values) {
            let largest = apart.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
            let same = match device == Device::cpu() {
                true if part == 0.0 => same_bits(fused, apart),
                true => close(fused, apart, part * largest, 0.0),
                false => close(fused, apart, 1e-6, 2e-6),
            };
            same.unwrap_or_else(|difference| panic!("{what} on {device}: {difference}"));
        }
        if fusing() && device == Device::cpu() {
            assert_eq!(fused.steps.len(), kernels, "{what}: {:#?}", fused.steps);
            assert!(apart.steps.len() > kernels, "{what}: nothing was fused");
        }
    }
    Ok(())
}

#[test]
fn a_chain_is_one_kernel() -> Result<()> {
    both_ways("a chain", &[&[5, 7], &[7]], 1, |x| Ok(vec![x[0].mul(&x[1])?.tanh()?.add(&x[0])?.square()?]))
}

#[test]
fn what_is_read_elsewhere_stays_an_output() -> Result<()> {
    both_ways("a value returned from the middle", &[&[4, 6]], 1, |x| {
        let middle = x[0].exp()?;
        Ok(vec![middle.clone(), middle.mul(&x[0])?])
    })?;
    // The softmax-like sum needs the exponentials before they are divided: three kernels, whatever is joined.
    both_ways("a sum in between", &[&[4, 6]], 3, |x| {
        let e = x[0].exp()?;
        let sum = e.sum(&[1], true)?;
        Ok(vec![e.mul(&x[0])?, e.div(&sum)?])
    })
}

#[test]
fn products_and_convolutions_end_in_what_follows() -> Result<()> {
    both_ways("matmul, bias, relu", &[&[9, 20], &[20, 10], &[10]], 1, |x| Ok(vec![x[0].matmul(&x[1])?.add(&x[2])?.relu()?]))?;
    both_ways("matmul cut along k", &[&[6, 5000], &[5000, 12], &[12]], 1, |x| Ok(vec![x[0].matmul(&x[1])?.add(&x[2])?.relu()?]))?;
    both_ways("matmul cut in blocks", &[&[300, 70], &[70, 411], &[300, 411]], 1, |x| Ok(vec![x[0].matmul(&x[1])?.mul(&x[2])?]))?;
    both_ways("matmul of lengths read in vectors", &[&[68, 70], &[70, 44], &[44]], 1, |x| {
        Ok(vec![x[0].matmul(&x[1])?.add(&x[2])?.relu()?])
    })?;
    both_ways("a product seen as images", &[&[4, 6], &[6, 32], &[4, 4, 2, 4]], 1, |x| {
        Ok(vec![x[0].matmul(&x[1])?.reshape([4, 4, 2, 4])?.mul(&x[2])?])
    })?;
    for (cin, cout) in [(1, 3), (4, 8), (3, 16)] {
        let (x, k, b) = ([2, 7, 6, cin], [3, 3, cin, cout], [cout]);
        both_ways(&format!("conv2d {cin} to {cout}"), &[&x, &k, &b], 1, |x| {
            Ok(vec![x[0].conv2d(&x[1], Conv2dParams::default())?.add(&x[2])?.relu()?])
        })?;
    }
    both_ways("a residual", &[&[2, 6, 6, 4], &[1, 1, 4, 4]], 1, |x| {
        Ok(vec![x[0].conv2d(&x[1], Conv2dParams::default())?.add(&x[0])?.relu()?])
    })
}

/// The gradients by a convolution's kernel and its bias, from one pass over those by its outputs.
#[test]
fn a_bias_is_summed_beside_the_kernel() -> Result<()> {
    // In one task; in parts of the pixels; in parts of the kernel; by Winograd's algorithm.
    for (x, kernel, y) in [
        ([2, 7, 6, 3], [3, 3, 3, 8], [2, 5, 4, 8]),
        ([9, 20, 18, 4], [3, 3, 4, 8], [9, 18, 16, 8]),
        ([1, 3, 2, 768], [1, 1, 768, 768], [1, 3, 2, 768]),
        ([3, 13, 12, 32], [3, 3, 32, 48], [3, 11, 10, 48]),
    ] {
        let what = format!("the gradients by {kernel:?} and its bias");
        both_ways_within(2e-5, &what, &[&x, &kernel, &y[3..], &y], 2, |x| {
            let dy = x[3].clone();
            let y = |x: &[Tensor]| x[0].conv2d(&x[1], Conv2dParams::default())?.add(&x[2])?.mul(&dy)?.sum_all();
            Ok(gradients(y, &x[..3])?.split_off(1))
        })?;
    }
    Ok(())
}

/// The losses, the gradient by the logits and what is counted as right, from one pass over the logits; not what is largest along another axis.
#[test]
fn logits_are_read_once() -> Result<()> {
    for (classes, labels) in [([7, 7], [0u32, 3, 2, 6, 6, 1, 5]), ([7, 10], [9, 3, 2, 6, 7, 1, 5])] {
        for axis in [-1, 0] {
            // Besides that pass: the gradient by each loss, their mean, and what is right or what is largest.
            both_ways(&format!("the end of a step, and axis {axis}"), &[&classes], 4, |x| {
                let y = Tensor::new(x[0].device(), [7], &labels)?;
                let tape = GradientTape::new();
                tape.watch(&x[0]);
                let loss = x[0].sparse_softmax_crossentropy(&y)?.mean_all()?;
                let dx = tape.gradient(&loss, &x[..1])?.into_vec().remove(0).expect("the loss depends on the logits");
                let largest = x[0].argmax(axis)?;
                Ok(vec![dx, loss, if axis == 0 { largest } else { largest.eq(&y)? }])
            })?;
        }
    }
    Ok(())
}

#[test]
fn the_largest_logit_is_the_first_of_equals_and_nan_above_all() -> Result<()> {
    let logits = [2.0, 2.0, 1.0, f32::NAN, f32::INFINITY, f32::NAN, -0.0, 0.0, 0.0, 1.0, f32::NAN, 7.0];
    for device in devices("the largest logit") {
        let (x, y) = (Tensor::new(&device, [4, 3], &logits)?, Tensor::new(&device, [4], &[0u32; 4])?);
        let found = outcome(&[&x], &|x| {
            let dx = gradients(|x| x[0].sparse_softmax_crossentropy(&y)?.sum_all(), x)?.remove(0);
            Ok(vec![x[0].argmax(-1)?, dx])
        })?;
        assert_eq!(found.values[0], [0.0, 0.0, 0.0, 1.0], "{device}");
        assert!(!fusing() || !found.steps.iter().any(|step| step.starts_with("argmax")), "{:?}", found.steps);
    }
    Ok(())
}

/// The gradient reads the losses, so one pass cannot make both.
#[test]
fn losses_that_weigh_their_own_gradient_come_first() -> Result<()> {
    both_ways("losses as weights", &[&[7, 10]], 2, |x| {
        let y = Tensor::new(x[0].device(), [7], &[9u32, 3, 2, 6, 7, 1, 5])?;
        let tape = GradientTape::new();
        tape.watch(&x[0]);
        let loss = x[0].sparse_softmax_crossentropy(&y)?;
        let weights = GradientOptions { output_gradients: Some(&[&loss]), ..GradientOptions::default() };
        let dx = tape.gradient_with(&[&loss], &x[..1], weights)?.into_vec().remove(0).expect("the loss depends on the logits");
        Ok(vec![dx, x[0].argmax(-1)?])
    })
}

#[test]
fn two_kernels_never_become_one() -> Result<()> {
    both_ways("two products added", &[&[5, 8], &[8, 6], &[5, 8], &[8, 6]], 2, |x| {
        Ok(vec![x[0].matmul(&x[1])?.add(&x[2].matmul(&x[3])?)?.relu()?])
    })?;
    // What the kernel reads cannot be computed after it, though the expression reads it too.
    both_ways("a product of what is added to it", &[&[5, 5]], 2, |x| {
        let a = x[0].tanh()?;
        Ok(vec![a.matmul(&a)?.add(&a)?.square()?])
    })
}

#[test]
fn sums_of_every_type_end_in_what_follows() -> Result<()> {
    both_ways("a mean and its root", &[&[6, 40]], 1, |x| Ok(vec![x[0].mean(&[1], false)?.square()?]))?;
    both_ways("columns, then four at a time", &[&[5, 6, 4], &[6, 1]], 1, |x| Ok(vec![x[0].sum(&[0], false)?.mul(&x[1])?]))?;
    both_ways("columns, then one at a time", &[&[5, 6, 2], &[6, 1]], 1, |x| Ok(vec![x[0].sum(&[0], false)?.mul(&x[1])?]))?;
    both_ways("a count", &[&[3, 500]], 2, |x| {
        let counted = x[0].gt(&x[0].mul_scalar(0.0)?)?.sum(&[1], false)?;
        Ok(vec![counted.cast(DType::F32)?.mul_scalar(0.5)?, counted])
    })
}

#[test]
fn too_many_tensors_for_one_dispatch() -> Result<()> {
    let shapes: Vec<&[usize]> = vec![&[4, 6]; 9];
    both_ways("a sum of nine", &shapes, 2, |x| Ok(vec![x.iter().skip(1).try_fold(x[0].clone(), |sum, t| sum.add(t))?]))?;
    both_ways("four outputs of a product", &[&[4, 5], &[5, 6], &[4, 6], &[6]], 1, |x| {
        let y = x[0].matmul(&x[1])?;
        map(&[&y, &x[2], &x[3]], |e| vec![&e[0] + &e[1], &e[0] * &e[2], e[0].relu(), e[0].tanh()])
    })
}

#[test]
fn an_update_is_written_where_the_variable_was() -> Result<()> {
    for device in devices("an update in a product") {
        let run = || -> Result<(Vec<f32>, usize)> {
            let weight = Variable::new("weight", &Tensor::new(&device, [6, 4], &waves(24))?)?;
            let (x, dy) = (Tensor::new(&device, [3, 6], &waves(18))?, Tensor::new(&device, [3, 4], &waves(12))?);
            let update = Function::new("update", |args: &[Tensor]| {
                let gradient = args[0].matmul_with(&args[1], true, false)?;
                weight.assign(&map1(&[&weight.value()?, &gradient], |e| &e[0] - &e[1] * 0.1)?)?;
                Ok(Vec::new())
            });
            for _ in 0..3 {
                update.call(&[&x, &dy])?;
            }
            let before = device.stats().allocations;
            update.call(&[&x, &dy])?;
            assert_eq!(device.stats().allocations, before, "an update took new memory on {device}");
            Ok((weight.value()?.to_vec()?, update.programs()[0].dispatches()))
        };
        let ((fused, kernels), (apart, more)) = (run()?, without_fusion(run)?);
        assert!(!fusing() || kernels < more, "{kernels} kernels against {more}");
        let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        close(&wide(&fused), &wide(&apart), 1e-6, 1e-6).unwrap_or_else(|difference| panic!("{device}: {difference}"));
    }
    Ok(())
}

/// Losses of a few steps, the weights after them, and the kernels of a step.
fn trained(model: &Sequential, clipped: bool, device: &Device, steps: usize) -> Result<(Vec<f64>, usize)> {
    let mut adam = Adam::new(0.01);
    if clipped {
        adam = adam.global_clipnorm(0.1);
    }
    adam.build(&model.trainable_variables())?;
    let function = Function::new("step", |args: &[Tensor]| step(model, &adam, args));
    let mut numbers = Vec::new();
    for number in 0..steps {
        let (x, y) = batch(device, number, 4)?;
        numbers.push(function.call(&[&x, &y])?.remove(0).item()?);
    }
    for variable in model.trainable_variables() {
        numbers.extend(variable.value()?.to_vec::<f32>()?.into_iter().map(f64::from));
    }
    Ok((numbers, function.programs()[0].steps().count()))
}

fn normalized(device: &Device) -> Result<Sequential> {
    let model = Sequential::new()
        .add(Conv2D::new(4, 3).use_bias(false).activation("swish"))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2));
    let model = model.add(Flatten::new()).add(Dense::new(8).activation("gelu")).add(Dropout::new(0.2)).add(Dense::new(models::CLASSES));
    let mut model = model.add(Activation::new("softmax")).on_device(device).seed(3);
    model.build([6, 6, 1])?;
    Ok(model)
}

#[test]
fn whole_trainings_agree() -> Result<()> {
    for device in devices("trainings both ways") {
        for clipped in [false, true] {
            // The bias of a convolution is summed otherwise beside its kernel.
            for (make, exact) in [(normalized as fn(&Device) -> Result<Sequential>, true), (|d: &Device| small(d, 1), false)] {
                let (fused, kernels) = trained(&make(&device)?, clipped, &device, 6)?;
                let (apart, more) = without_fusion(|| trained(&make(&device)?, clipped, &device, 6))?;
                assert!(!fusing() || kernels + 8 < more, "{kernels} kernels against {more}");
                let same = match device == Device::cpu() {
                    true if exact => same_bits(&fused, &apart),
                    true => close(&fused, &apart, 1e-6, 1e-6),
                    false => close(&fused, &apart, 1e-5, 1e-4),
                };
                same.unwrap_or_else(|difference| panic!("clipped: {clipped}, on {device}: {difference}"));
            }
        }
    }
    Ok(())
}

#[test]
fn a_gradient_that_is_returned_is_the_same() -> Result<()> {
    both_ways("a gradient and its use", &[&[5, 6], &[6, 4], &[5, 4]], 3, |x| {
        let tape = GradientTape::new();
        tape.watch(&x[1]);
        let loss = x[0].matmul(&x[1])?.sub(&x[2])?.square()?.mean_all()?;
        let gradient = tape.gradient(&loss, [&x[1]])?.get(0)?.clone();
        Ok(vec![loss, x[1].sub(&gradient.mul_scalar(0.1)?)?, gradient])
    })
}

/// A batch from a set of bytes, or of floats, is scaled in the kernel that fetches it.
#[test]
fn a_gathered_batch_is_scaled_at_once() -> Result<()> {
    for device in devices("gather and scale").into_iter().chain(gpu_with_hardware_kernels()) {
        // Rows that are whole words, rows that are not, and a batch of which no four elements are whole.
        for (row, count) in [(8usize, 6usize), (6, 4), (3, 5), (28, 3)] {
            let bytes: Vec<u8> = (0..9 * row).map(|i| (i * 37 % 251) as u8).collect();
            let numbers: Vec<u32> = (0..count).map(|i| (i * 5 % 9) as u32).collect();
            let floats: Vec<f32> = bytes.iter().map(|b| f32::from(*b)).collect();
            let rows = Tensor::new(&device, [count], &numbers)?;
            let scaled = |args: &[Tensor]| Ok(vec![args[0].gather(&args[1])?.cast(DType::F32)?.mul_scalar(0.5)?.add_scalar(-3.0)?]);
            let expected: Vec<f64> =
                numbers.iter().flat_map(|&n| &floats[n as usize * row..][..row]).map(|v| f64::from(v * 0.5 - 3.0)).collect();
            for data in [Tensor::new(&device, [9, row], &bytes)?, Tensor::new(&device, [9, row], &floats)?] {
                let (fused, apart) = (outcome(&[&data, &rows], &scaled)?, without_fusion(|| outcome(&[&data, &rows], &scaled))?);
                assert_eq!(fused.values[0], expected, "{row} of {} on {device}", data.dtype());
                assert_eq!(apart.values[0], expected, "{row} of {} on {device}, apart", data.dtype());
                assert!(!fusing() || (fused.steps.len() == 1 && apart.steps.len() > 1), "{:?}", fused.steps);
            }
        }
    }
    Ok(())
}

/// The gradients of `loss` by `by`.
fn gradients(loss: impl Fn(&[Tensor]) -> Result<Tensor>, x: &[Tensor]) -> Result<Vec<Tensor>> {
    let tape = GradientTape::new();
    x.iter().for_each(|x| tape.watch(x));
    let loss = loss(x)?;
    tape.gradient(&loss, x)?.into_vec().into_iter().flatten().map(Ok).collect()
}

#[test]
fn what_only_a_sum_reads_is_not_stored() -> Result<()> {
    // Axes first, last, in the middle and apart; rows and columns of few and many, odd and read in fours.
    for (shape, axes) in [
        (&[300, 5][..], &[0][..]),
        (&[300, 8], &[0]),
        (&[7, 130], &[0]),
        (&[3, 4500], &[0]),
        (&[5, 9000], &[1]),
        (&[40, 10], &[1]),
        (&[3, 70, 6], &[1]),
        (&[2, 9, 11, 16], &[0, 1, 2]),
        (&[3, 40, 12], &[0, 2]),
    ] {
        let what = format!("a variance of {shape:?} over {axes:?}");
        both_ways(&what, &[shape], 2, |x| {
            let mean = x[0].mean(axes, true)?;
            Ok(vec![x[0].sub(&mean)?.square()?.mean(axes, false)?])
        })?;
        both_ways(&format!("three sums of {shape:?} over {axes:?}"), &[shape, shape, &shape[shape.len() - 1..]], 1, |x| {
            let made = map(&[&x[0], &x[1], &x[2]], |e| vec![&e[0] * &e[1], &e[0] - &e[2], (&e[1] * &e[2]).tanh()])?;
            made.iter().map(|y| y.sum(axes, true)).collect()
        })?;
    }
    both_ways("a sum that others read too", &[&[300, 5], &[7, 5]], 2, |x| {
        let sum = x[0].square()?.sum(&[0], true)?;
        let root = sum.sqrt()?;
        Ok(vec![x[1].mul(&root)?.div(&sum)?, root, sum])
    })?;
    both_ways("the squares of a gradient", &[&[20, 5], &[20, 6]], 2, |x| {
        let product = x[0].matmul_with(&x[1], true, false)?;
        Ok(vec![product.square()?.sum_all()?, product])
    })?;
    both_ways("rows of another shape", &[&[6, 4, 8], &[8]], 1, |x| Ok(vec![x[0].mul(&x[1])?.reshape([24, 8])?.sum(&[1], false)?.tanh()?]))
}

#[test]
fn a_normalization_reads_more_than_it_writes() -> Result<()> {
    for (shape, axes, kernels) in [(&[4, 6, 6, 16][..], &[0, 1, 2][..], 8), (&[30, 24], &[1], 8)] {
        let channels: Vec<usize> = (0..shape.len()).map(|axis| if axes.contains(&(axis as isize)) { 1 } else { shape[axis] }).collect();
        both_ways(&format!("a normalization of {shape:?} over {axes:?}"), &[shape, &channels, &channels, shape], kernels, |x| {
            let weight = x[3].clone();
            gradients(
                |x| {
                    let mean = x[0].mean(axes, true)?;
                    let variance = map1(&[&x[0], &mean], |e| (&e[0] - &e[1]).square())?.mean(axes, true)?;
                    let factor = map1(&[&variance, &x[1]], |e| (&e[0] + 1e-3).rsqrt() * &e[1])?;
                    let y = map1(&[&x[0], &mean, &factor, &x[2]], |e| ((&e[0] - &e[1]) * &e[2] + &e[3]).relu())?;
                    y.mul(&weight)?.sum_all()
                },
                &x[..3],
            )
        })?;
    }
    Ok(())
}
