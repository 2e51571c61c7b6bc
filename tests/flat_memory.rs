//! What a replayed step of a loop of one's own asks of the system: nothing. Alone in its process, for a device's counters are shared by all who
//! use it.

#[path = "replay/models.rs"]
mod models;

use gradus::device::Stats;
use gradus::optimizers::{Adam, Optimizer};
use gradus::{Function, Result, Tensor};
use models::{batch, devices, small, step};

#[test]
fn a_thousand_replays_allocate_nothing() -> Result<()> {
    for device in devices("a thousand replays") {
        let model = small(&device, 1)?;
        let mut adam = Adam::new(0.001);
        adam.build(&model.trainable_variables())?;
        let function = Function::new("step", |args: &[Tensor]| step(&model, &adam, args));
        let (x, y) = batch(&device, 0, 4)?;
        function.call(&[&x, &y])?;
        device.synchronize()?;
        let first = device.stats();
        for _ in 0..1000 {
            function.call(&[&x, &y])?;
        }
        device.synchronize()?;
        let last = device.stats();
        let kept = |s: Stats| (s.allocations, s.bind_groups, s.pipelines, s.programs_built, s.pooled_bytes);
        assert_eq!(kept(first), kept(last), "allocations, bind groups, pipelines, programs, free bytes on {device}");
        assert_eq!(last.program_runs - first.program_runs, 1000, "{device}");
        assert_eq!(adam.iterations()?, 1001, "{device}");
    }
    Ok(())
}
