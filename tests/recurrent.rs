//! Recurrent layers in models: their names and shapes, and that they learn what needs memory.

use gradus::layers::{Bidirectional, Dense, GRU, LSTM, Layer, SimpleRNN, TimeDistributed};
use gradus::losses::MeanSquaredError;
use gradus::models::{Input, Model, Sequential};
use gradus::optimizers::Adam;
use gradus::train::{Data, Fit, Samples, Verbose};
use gradus::{Device, Result};

/// The CPU, and the adapter that tests run on if there is one.
fn devices(what: &str) -> Vec<Device> {
    std::iter::once(Device::cpu()).chain(gradus::testing::gpu(what)).collect()
}

/// Numbers between -1 and 1 that look random.
fn noise(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + i * i * 31) % 2000) as f32 / 1000.0 - 1.0).collect()
}

/// Trains, and returns the mean squared error before and after.
fn learn(model: &mut Model, data: &Data, epochs: usize) -> Result<[f64; 2]> {
    model.compile(Adam::new(0.02), MeanSquaredError::default(), ())?;
    let options = Fit { epochs, batch_size: 32, verbose: Verbose::Silent, ..Fit::default() };
    let history = model.fit(data.clone(), options)?;
    let losses = history.get("loss").expect("every training has one");
    Ok([losses[0], losses[epochs - 1]])
}

/// The first number of each sequence, which only memory tells after the last.
#[test]
fn memory_lasts() -> Result<()> {
    let x = noise(128 * 5);
    let first: Vec<f32> = x.chunks(5).map(|sequence| sequence[0]).collect();
    let data = Data::new(Samples::new([128, 5, 1], &x)?, Samples::new([128, 1], &first)?)?;
    for device in devices("recurrent layers that learn") {
        let mut model =
            Sequential::new().add(GRU::new(6).return_sequences(true)).add(LSTM::new(6)).add(Dense::new(1)).on_device(&device).into_model();
        let [before, after] = learn(&mut model, &data, 25)?;
        assert!(after < 0.3 * before, "{before} to {after} on {device}");
        let names: Vec<String> = model.variables().iter().map(|v| v.name().to_string()).collect();
        assert_eq!(names[..3], ["gru/kernel", "gru/recurrent_kernel", "gru/bias"]);
        // 3 · (6 · (1 + 6) + 2 · 6), 4 · (6 · (6 + 6) + 6), 6 + 1.
        assert_eq!(model.count_params(), 162 + 312 + 7);
    }
    Ok(())
}

/// The number that comes next, which only the backward direction knows, at every step.
#[test]
fn the_future_is_seen_from_behind() -> Result<()> {
    let x = noise(128 * 5);
    let next: Vec<f32> = (0..x.len()).map(|i| if i % 5 == 4 { 0.0 } else { x[i + 1] }).collect();
    let data = Data::new(Samples::new([128, 5, 1], &x)?, Samples::new([128, 5, 1], &next)?)?;
    for device in devices("directions that learn") {
        let both = Bidirectional::new(SimpleRNN::new(6).return_sequences(true));
        let mut model = Sequential::new().add(both).add(TimeDistributed::new(Dense::new(1))).on_device(&device).into_model();
        let [before, after] = learn(&mut model, &data, 25)?;
        assert!(after < 0.3 * before, "{before} to {after} on {device}");
        let names: Vec<String> = model.variables().iter().map(|v| v.name().to_string()).collect();
        assert_eq!(names[0], "bidirectional/forward_simple_rnn/kernel");
        assert_eq!(names[5], "bidirectional/backward_simple_rnn/bias");
        assert_eq!(names[6], "time_distributed/dense/kernel");
    }
    Ok(())
}

/// One layer reads a sequence, another one writes it, beginning with the states of the first.
#[test]
fn states_go_from_layer_to_layer() -> Result<()> {
    let (source, target) = (Input::named("source", [3, 1]), Input::named("target", [3, 1]));
    let states = LSTM::new(8).return_state(true).on_all(&source)?;
    assert_eq!(states.iter().map(|s| s.shape().to_string()).collect::<Vec<_>>(), ["[8]"; 3]);
    let written = LSTM::new(8).return_sequences(true).on([&target, &states[1], &states[2]])?;
    let y = Dense::new(1).on(&written)?;
    assert_eq!(y.shape()[..], [3, 1]);
    let mut model = Model::new([&source, &target], &y)?;
    let x = Samples::new([128, 3, 1], &noise(128 * 3))?;
    let clock: Vec<f32> = (0..128 * 3).map(|i| (i % 3) as f32 - 1.0).collect();
    let data = Data::new([x.clone(), Samples::new([128, 3, 1], &clock)?], x)?;
    let [before, after] = learn(&mut model, &data, 30)?;
    assert!(after < 0.5 * before, "{before} to {after}");
    Ok(())
}
