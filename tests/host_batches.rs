//! Training on data that stay on the host. Alone in its process, for a device's counters are shared by all who use it.

use gradus::device::Stats;
use gradus::layers::ActivationFn::{Relu, Softmax};
use gradus::layers::{Conv2D, Dense, Flatten, Rescaling};
use gradus::losses::SparseCategoricalCrossentropy;
use gradus::metrics::Accuracy;
use gradus::models::Sequential;
use gradus::optimizers::Adam;
use gradus::testing::with_data_on_the_host;
use gradus::train::{Data, Evaluate, Fit, LambdaCallback, Samples, Verbose};
use gradus::{Device, Result};

const SAMPLES: usize = 77;

#[test]
fn data_on_the_host() -> Result<()> {
    for device in std::iter::once(Device::cpu()).chain(gradus::testing::gpu("batches from the host")) {
        same_bits(&device)?;
        steady(&device)?;
        an_early_end(&device)?;
    }
    Ok(())
}

fn data() -> Result<Data> {
    let bytes: Vec<u8> = (0..SAMPLES * 36).map(|i| (i * 37 % 251) as u8).collect();
    let labels: Vec<u8> = (0..SAMPLES).map(|i| (i % 4) as u8).collect();
    let weights: Vec<f32> = (0..SAMPLES).map(|i| 0.5 + (i % 3) as f32).collect();
    Data::new(Samples::new([SAMPLES, 6, 6, 1], &bytes)?, &labels)?.sample_weight(&weights)
}

fn model(device: &Device) -> Result<Sequential> {
    let mut model = Sequential::new()
        .add(Rescaling::new(1.0 / 255.0))
        .add(Conv2D::new(4, 3).activation(Relu))
        .add(Flatten::new())
        .add(Dense::new(4).activation(Softmax))
        .on_device(device);
    model.compile(Adam::new(0.01), SparseCategoricalCrossentropy::default(), [Accuracy::default()])?;
    Ok(model)
}

fn fit<'a>(epochs: usize) -> Fit<'a> {
    Fit { epochs, batch_size: 8, verbose: Verbose::Silent, ..Fit::default() }
}

/// Where the data lie changes no bit: not of the losses, not of the weights, whether an epoch is a pass over the data or not.
fn same_bits(device: &Device) -> Result<()> {
    for steps_per_epoch in [None, Some(7)] {
        let train = || -> Result<_> {
            let mut model = model(device)?;
            let options = Fit { steps_per_epoch, validation_split: 0.2, advice: false, record_steps: 20, ..fit(4) };
            let history = model.fit(data()?, options)?;
            let evaluation = model.evaluate_with(data()?, Evaluate { batch_size: 9, ..Evaluate::default() })?;
            Ok((history.step_losses, history.logs, evaluation, model.get_weights()?))
        };
        let (resident, host) = (train()?, with_data_on_the_host(train)?);
        assert!(resident.0.iter().all(|loss| loss.is_finite()) && resident.0.len() == 20, "{:?}", resident.0);
        assert!(resident == host, "{device}: {resident:?} instead of {host:?}");
    }
    Ok(())
}

/// The batches of a hundred epochs go through the memory of the first ones.
fn steady(device: &Device) -> Result<()> {
    let (mut model, data) = (model(device)?, data()?);
    let mut epochs = |epochs| -> Result<Stats> {
        with_data_on_the_host(|| model.fit(&data, fit(epochs)))?;
        Ok(device.stats())
    };
    let (first, second, long) = (epochs(20)?, epochs(20)?, epochs(120)?);
    println!("{device}: {first:?} {second:?} {long:?}");
    assert!(long.program_runs >= second.program_runs + 1200, "{device}: {long:?}");
    // How many batches lie beside what is submitted follows from timing.
    let (short, more) = (second.allocations - first.allocations, long.allocations - second.allocations);
    assert!(more <= short + 100, "{device}: {more} buffers for 1200 steps, {short} for 200");
    // Only the sums that an epoch begins with lie elsewhere each time.
    assert!(long.bind_groups - second.bind_groups <= 1000, "{device}: {} bind groups", long.bind_groups - second.bind_groups);
    Ok(())
}

/// Whoever ends a training before the data does finds no thread left when it returns.
fn an_early_end(device: &Device) -> Result<()> {
    let mut model = model(device)?;
    let data = data()?;
    let mut steps = 0;
    let stop = LambdaCallback::new().on_train_batch_end(|step, _, training| {
        steps = step + 1;
        if cfg!(target_os = "linux") {
            assert_eq!(threads(), 1, "one thread gathers while there are batches to come");
        }
        training.stop();
        Ok(())
    });
    with_data_on_the_host(|| model.fit(&data, fit(3).callback(stop)))?;
    assert_eq!((steps, threads()), (1, 0), "{device}");
    let failing = LambdaCallback::new().on_train_batch_end(|_, _, _| Err(gradus::Error::Device("unplugged".into())));
    let failed = with_data_on_the_host(|| model.fit(&data, fit(3).callback(failing)));
    assert!(failed.is_err_and(|error| error.to_string().contains("unplugged")));
    assert_eq!(threads(), 0, "{device}");
    Ok(())
}

/// Threads of this process that gather batches; none where the system does not tell.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks.filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim_end() == "gradus batches")).count()
}
