//! How programs share submissions. Alone in its process: others who use the device would submit too.

use gradus::testing::gpu;
use gradus::{Device, Function, Result, Tensor};

const ELEMENTS: usize = 64;

fn filled(device: &Device, value: f32) -> Result<Tensor> {
    Tensor::new(device, [ELEMENTS], &[value; ELEMENTS])
}

/// The first program is submitted at once, for the adapter has nothing to do; many short ones that follow go together, and no program is
/// overtaken by a later write into memory that it reads.
#[test]
fn short_programs_share_submissions_in_order() -> Result<()> {
    let Some(device) = gpu("submissions") else { return Ok(()) };
    let add = Function::new("add", |x: &[Tensor]| Ok(vec![x[0].add_scalar(1.0)?]));
    let start = filled(&device, 0.0)?;
    let submissions_of = |runs: u64| -> Result<u64> {
        device.synchronize()?;
        let before = device.stats().submissions;
        let mut x = start.clone();
        for _ in 0..runs {
            x = add.call(&[&x])?.remove(0);
        }
        let submitted = device.stats().submissions - before;
        assert_eq!(x.to_vec::<f32>()?, vec![runs as f32; ELEMENTS]);
        Ok(submitted)
    };
    submissions_of(20)?;
    assert_eq!(submissions_of(1)?, 1, "an adapter without work gets some at once");
    let submitted = submissions_of(1000)?;
    println!("1000 runs: {submitted} submissions");
    assert!(submitted < 500, "{submitted} submissions of 1000 short programs");

    let (mut sums, mut others) = (Vec::new(), Vec::new());
    for i in 0..300 {
        let x = filled(&device, i as f32)?;
        for _ in 0..3 {
            sums.push((i, add.call(&[&x])?.remove(0)));
        }
        drop(x);
        // It gets the memory of the value that was dropped.
        others.push(filled(&device, -1.0)?);
    }
    for (i, sum) in &sums {
        assert_eq!(sum.to_vec::<f32>()?, [*i as f32 + 1.0; ELEMENTS], "run {i}");
    }
    Ok(())
}
