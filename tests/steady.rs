//! Memory of a long training. Alone in its process, for a device's counters are shared by all who use it.

use gradus::layers::ActivationFn::{Relu, Softmax};
use gradus::layers::{Conv2D, Dense, Flatten, Rescaling};
use gradus::losses::SparseCategoricalCrossentropy;
use gradus::metrics::Accuracy;
use gradus::models::Sequential;
use gradus::optimizers::Adam;
use gradus::train::{Data, Fit, Samples, Verbose};
use gradus::{Device, Result};

/// A call of `fit` with 1,016 steps takes no more buffers, pipelines and programs than one with 16, and hardly more bind groups: memory that
/// somebody holds for a while comes back in another order.
#[test]
fn a_thousand_steps_allocate_nothing() -> Result<()> {
    let bytes: Vec<u8> = (0..64 * 36).map(|i| (i * 37 % 251) as u8).collect();
    let labels: Vec<u8> = (0..64).map(|i| i % 4).collect();
    let data = Data::new(Samples::new([64, 6, 6, 1], &bytes)?, &labels)?;
    for device in std::iter::once(Device::cpu()).chain(gradus::testing::gpu("memory while training")) {
        let mut model = Sequential::new()
            .add(Rescaling::new(1.0 / 255.0))
            .add(Conv2D::new(4, 3).activation(Relu))
            .add(Flatten::new())
            .add(Dense::new(4).activation(Softmax))
            .on_device(&device);
        model.compile(Adam::new(0.01), SparseCategoricalCrossentropy::default(), [Accuracy::default()])?;
        let mut fit = |epochs| -> Result<_> {
            model.fit(&data, Fit { epochs, batch_size: 8, verbose: Verbose::Silent, ..Fit::default() })?;
            Ok(device.stats())
        };
        let (first, second, long) = (fit(2)?, fit(2)?, fit(127)?);
        println!("{device}: {long:?}");
        assert_eq!(long.allocations - second.allocations, second.allocations - first.allocations, "{device}: {long:?}");
        assert!(long.bind_groups - second.bind_groups <= 100, "{device}: {} more in {long:?}", long.bind_groups - second.bind_groups);
        assert_eq!(long.pipelines, first.pipelines, "{device}");
        assert_eq!(long.programs_built, first.programs_built, "{device}");
        assert!(long.program_runs >= second.program_runs + 1016, "{device}: {long:?}");
    }
    Ok(())
}
