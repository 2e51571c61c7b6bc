//! f16: every kernel with f16 in place of f32 gives the same numbers but for the rounding of what it stores; and what a type to store must do besides.

#[path = "shaders/computations.rs"]
mod computations;

use computations::computations;
use gradus::losses::{CategoricalCrossentropy, Loss};
use gradus::ops::pointwise::map;
use gradus::testing::{close, gpu, gpu_with_hardware_kernels, without_fusion};
use gradus::{DType, Device, Error, GradientTape, Result, Tensor, f16};

/// Half the distance from 1 to the next f16.
const ROUNDING: f64 = 1.0 / 2048.0;

/// Positive numbers that f16 has exactly, so that every type starts from the same.
fn numbers(count: usize, seed: usize) -> Vec<f64> {
    (0..count).map(|i| f64::from(f16::from_f64(0.25 + 0.75 * ((i * 37 + seed * 11) % 101) as f64 / 101.0))).collect()
}

fn tensor(device: &Device, shape: &[usize], dtype: DType, seed: usize) -> Result<Tensor> {
    let numbers = numbers(shape.iter().product(), seed);
    match dtype {
        DType::F16 => Tensor::new(device, shape, &numbers.into_iter().map(f16::from_f64).collect::<Vec<_>>()),
        _ => Tensor::new(device, shape, &numbers),
    }
}

fn read(x: &Tensor) -> Result<Vec<f64>> {
    match x.dtype() {
        DType::F16 => Ok(x.to_vec::<f16>()?.into_iter().map(f64::from).collect()),
        DType::F32 => Ok(x.to_vec::<f32>()?.into_iter().map(f64::from).collect()),
        _ => x.to_vec(),
    }
}

/// The output and the gradients under a random upstream gradient.
fn evaluate(device: &Device, shapes: &[&[usize]], dtype: DType, f: &dyn Fn(&[Tensor]) -> Result<Tensor>) -> Result<Vec<Vec<f64>>> {
    let inputs = shapes.iter().zip(1..).map(|(shape, seed)| tensor(device, shape, dtype, seed)).collect::<Result<Vec<_>>>()?;
    let tape = GradientTape::new();
    inputs.iter().for_each(|x| tape.watch(x));
    let y = f(&inputs)?;
    let weighted = y.mul(&tensor(device, y.shape(), dtype, 99)?)?;
    let gradients = tape.gradient(&weighted, &inputs)?.into_vec();
    for (x, dx) in inputs.iter().zip(gradients.iter().flatten()) {
        assert_eq!(x.dtype(), dx.dtype(), "a gradient is of its input's type");
    }
    std::iter::once(&y).chain(gradients.iter().flatten()).map(read).collect()
}

#[test]
fn every_kernel_computes_the_same_on_f16() -> Result<()> {
    let devices: Vec<Device> = [Device::cpu()].into_iter().chain(gpu("kernels on f16")).chain(gpu_with_hardware_kernels()).collect();
    for (number, (shapes, f)) in computations().into_iter().enumerate() {
        let exact = evaluate(&Device::cpu(), &shapes, DType::F64, &f)?;
        for device in &devices {
            for fused in [true, false] {
                let run = || evaluate(device, &shapes, DType::F16, &f);
                let got = if fused { run()? } else { without_fusion(run)? };
                assert_eq!(got.len(), exact.len());
                for (i, (got, exact)) in got.iter().zip(&exact).enumerate() {
                    // What is stored on the way is rounded a few times; sums are not, being of f32.
                    let scale = exact.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
                    close(got, exact, 12.0 * ROUNDING * scale, 0.0)
                        .unwrap_or_else(|e| panic!("computation {number} of {shapes:?} on {device}, fused: {fused}, value {i}: {e}"));
                }
            }
        }
    }
    Ok(())
}

fn everywhere() -> Vec<Device> {
    [Device::cpu()].into_iter().chain(gpu("f16")).collect()
}

#[test]
fn casts_round_to_the_nearest_and_widen_exactly() -> Result<()> {
    let given = [1.0f32, 1.0 + 1.0 / 2048.0, 1.0 + 3.0 / 2048.0, -65504.0, 1e6, -1e6, 6e-8, 2e-8, 0.1];
    // Ties go to the even neighbour; beyond the largest is infinite; the smallest are multiples of 2^-24.
    let expected = [1.0, 1.0, 1.0 + 2.0 / 1024.0, -65504.0, f32::INFINITY, f32::NEG_INFINITY, 1.0 / 16_777_216.0, 0.0, 0.099_975_586];
    for device in everywhere() {
        let halves = Tensor::new(&device, [9], &given)?.cast(DType::F16)?;
        assert_eq!((halves.dtype(), halves.spec().bytes()), (DType::F16, 18));
        let rounded = halves.to_vec::<f16>()?;
        let back = halves.cast(DType::F32)?.to_vec::<f32>()?;
        // In one kernel, where nothing is stored between the two.
        let at_once = Tensor::new(&device, [9], &given)?.cast(DType::F16)?.cast(DType::F32)?.to_vec::<f32>()?;
        assert_eq!(at_once, back, "{device}");
        for ((value, back), expected) in rounded.iter().zip(back).zip(expected) {
            // A device may take the smallest numbers, which are not normal, for 0.
            let flushed = expected.abs() < 6.2e-5 && back == 0.0;
            assert!(f32::from(*value) == back && (back == expected || flushed), "{device}: {back} instead of {expected}");
        }
        let nan = Tensor::new(&device, [1], &[f32::NAN])?.cast(DType::F16)?.cast(DType::F32)?;
        assert!(nan.to_vec::<f32>()?[0].is_nan(), "{device}");
    }
    Ok(())
}

#[test]
fn types_of_what_is_made_of_f16() -> Result<()> {
    for device in everywhere() {
        let (half, single) = (tensor(&device, &[3, 4], DType::F16, 1)?, Tensor::full(&device, [4], DType::F32, 2.0)?);
        assert_eq!(half.relu()?.dtype(), DType::F16);
        assert_eq!(half.mul_scalar(3.0)?.dtype(), DType::F16);
        assert_eq!(half.add(&single)?.dtype(), DType::F32, "f16 and f32 make f32");
        assert_eq!(half.mean_all()?.dtype(), DType::F32, "sums are of f32");
        assert_eq!(half.max(&[0], false)?.dtype(), DType::F16);
        assert_eq!(half.argmax(1)?.dtype(), DType::U32);
        let both = map(&[&half, &single], |e| vec![&e[0] * 2.0, &e[0] * &e[1], e[1].cast(DType::F16)])?;
        assert_eq!(both.iter().map(Tensor::dtype).collect::<Vec<_>>(), [DType::F16, DType::F32, DType::F16]);
        let expected: Vec<f64> = numbers(12, 1).iter().map(|v| 2.0 * v).collect();
        assert_eq!(read(&both[0])?, expected);
        assert_eq!(read(&both[1])?, expected);
        assert_eq!(read(&both[2])?, [2.0; 12]);
        let error = half.matmul(&Tensor::full(&device, [4, 2], DType::F32, 1.0)?).map(|_| ());
        assert!(matches!(error, Err(Error::DType { .. })), "a product has factors of one type: {error:?}");
        // A sum that f16 could not hold.
        let many = Tensor::full(&device, [70_000], DType::F16, 2.0)?.sum_all()?;
        assert_eq!(many.item()?, 140_000.0, "{device}");
    }
    Ok(())
}

/// The squash of a crossentropy's argument is found behind a cast: else the loss would go through probabilities that were rounded to f16.
#[test]
fn a_cast_keeps_the_logits() -> Result<()> {
    for device in everywhere() {
        let logits = Tensor::new(&device, [1, 2], &[f16::from_f32(0.0), f16::from_f32(30.0)])?;
        let labels = Tensor::new(&device, [1, 2], &[1.0f32, 0.0])?;
        let value = CategoricalCrossentropy::default().call(&labels, &logits.softmax()?.cast(DType::F32)?)?.item()?;
        assert!((value - 30.0).abs() < 1e-3, "{device}: {value}");
    }
    Ok(())
}
