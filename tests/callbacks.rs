//! Callbacks on a small model. The logs that decide are put in by a callback before, so that every number is exact; what must follow from them
//! was computed by Keras 3.15 from the same numbers.

use gradus::layers::Dense;
use gradus::models::Sequential;
use gradus::optimizers::SGD;
use gradus::train::{
    CSVLogger, Data, EarlyStopping, Fit, History, LambdaCallback, LearningRateScheduler, Logs, ModelCheckpoint, ReduceLROnPlateau, Samples,
    TerminateOnNaN, Verbose, log,
};
use gradus::{Device, Error, Result};
use ndarray::ArrayD;
use std::cell::RefCell;
use std::path::PathBuf;

/// One unit that learns the sum of two inputs, and is compiled with a metric that has a direction.
fn model_on(device: &Device) -> Result<Sequential> {
    let mut model = Sequential::new().add(Dense::new(1)).input([2]).on_device(device);
    model.compile(SGD::new(0.1), "mse", ["accuracy"])?;
    Ok(model)
}

fn model() -> Result<Sequential> {
    model_on(&Device::cpu())
}

fn sums(samples: usize) -> Data {
    let x: Vec<f32> = (0..2 * samples).map(|i| (0.7 * i as f32).sin()).collect();
    let y: Vec<f32> = x.chunks(2).map(|pair| pair[0] + pair[1]).collect();
    let y = Samples::new([samples, 1], &y).expect("one per sample");
    Data::new(Samples::new([samples, 2], &x).expect("two per sample"), y).expect("as many labels")
}

fn fit(epochs: usize) -> Fit<'static> {
    Fit { epochs, batch_size: 2, verbose: Verbose::Silent, ..Fit::default() }
}

/// Sets a log to one value per epoch.
fn given(name: &'static str, values: Vec<f64>) -> LambdaCallback<'static> {
    LambdaCallback::new().on_epoch_end(move |epoch, logs: &mut Logs, _| {
        logs.retain(|(n, _)| n != name);
        logs.push((name.to_string(), values[epoch]));
        Ok(())
    })
}

/// A folder of this test's own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("gradus-callbacks-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_string()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("a folder");
        let mut names: Vec<String> = entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn hooks_are_called_in_order() -> Result<()> {
    let seen = RefCell::new(Vec::new());
    let note = |text: String| {
        seen.borrow_mut().push(text);
        Ok(())
    };
    let has = |logs: &Logs| logs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ");
    let all = LambdaCallback::new()
        .on_train_begin(|t| note(format!("train begin {} {}", t.epochs(), t.steps())))
        .on_train_end(|_| note("train end".into()))
        .on_epoch_begin(|epoch, _| note(format!("epoch {epoch}")))
        .on_epoch_end(|epoch, logs, _| note(format!("epoch {epoch} end: {}", has(logs))))
        .on_train_batch_begin(|batch, _| note(format!("batch {batch}")))
        .on_train_batch_end(|batch, logs, _| note(format!("batch {batch} end: {}", has(logs))))
        .on_test_begin(|_| note("test".into()))
        .on_test_end(|logs, _| note(format!("test end: {}", has(logs))))
        .on_test_batch_begin(|batch, _| note(format!("test batch {batch}")))
        .on_test_batch_end(|batch, logs, _| note(format!("test batch {batch} end: {}", has(logs))));
    let options = Fit { validation: Some(sums(3)), validation_freq: 2, initial_epoch: 1, ..fit(3) };
    model()?.fit(sums(3), options.callback(all))?;
    let steps = ["batch 0", "batch 0 end: loss accuracy", "batch 1", "batch 1 end: loss accuracy"];
    let tests: Vec<String> = ["test"].into_iter().map(String::from).chain(steps.map(|s| format!("test {s}"))).collect();
    let mut want: Vec<String> = vec!["train begin 3 2".into(), "epoch 1".into()];
    want.extend(steps.map(String::from));
    want.extend(tests);
    want.extend(["test end: loss accuracy".into(), "epoch 1 end: loss accuracy val_loss val_accuracy".into(), "epoch 2".into()]);
    want.extend(steps.map(String::from));
    want.extend(["epoch 2 end: loss accuracy".into(), "train end".into()]);
    assert_eq!(*seen.borrow(), want);
    Ok(())
}

/// How many epochs ran, and the callback's stopped epoch, best value and best epoch.
type Stopped = (usize, Option<usize>, Option<f64>, Option<usize>);

fn stops(values: &[f64], mut stopping: EarlyStopping) -> Result<Stopped> {
    let options = fit(values.len()).callback(given("val_loss", values.to_vec())).callback(&mut stopping);
    let epochs = model()?.fit(sums(4), options)?.epochs.len();
    Ok((epochs, stopping.stopped_epoch(), stopping.best(), stopping.best_epoch()))
}

#[test]
fn early_stopping_counts_as_keras() -> Result<()> {
    let new = EarlyStopping::new;
    let first = [1.0, 0.9, 0.95, 0.8, 0.7];
    assert_eq!(stops(&first, new())?, (3, Some(2), Some(0.9), Some(1)));
    assert_eq!(stops(&first, new().patience(1))?, (3, Some(2), Some(0.9), Some(1)));
    assert_eq!(stops(&first, new().patience(2))?, (5, None, Some(0.7), Some(4)));
    let long = [1.0, 0.9, 0.95, 0.92, 0.8, 0.85, 0.81, 0.83, 0.5];
    assert_eq!(stops(&long, new().patience(3))?, (8, Some(7), Some(0.8), Some(4)));
    assert_eq!(stops(&[1.0; 4], new().patience(2))?, (3, Some(2), Some(1.0), Some(0)));
    let least = || new().patience(2).min_delta(0.1);
    assert_eq!(stops(&[1.0, 0.95, 0.91, 0.5], least())?, (3, Some(2), Some(1.0), Some(0)));
    assert_eq!(stops(&[1.0, 0.95, 0.85, 0.8, 0.76, 0.5], least())?, (5, Some(4), Some(0.85), Some(2)));
    assert_eq!(stops(&[0.1, 0.2, 0.15, 0.3, 0.2, 0.2], new().mode("max").patience(2))?, (6, Some(5), Some(0.3), Some(3)));
    let baseline = || new().baseline(0.5).patience(3);
    assert_eq!(stops(&[0.9, 0.8, 0.7, 0.6], baseline())?, (4, None, Some(0.6), Some(3)));
    assert_eq!(stops(&[0.9, 0.8, 0.45, 0.6, 0.4, 0.5, 0.6, 0.7], baseline())?, (8, Some(7), Some(0.4), Some(4)));
    assert_eq!(stops(&[9.0, 1.0, 2.0, 3.0, 4.0, 5.0], new().start_from_epoch(2).patience(2))?, (5, Some(4), Some(2.0), Some(2)));
    assert_eq!(stops(&[3.0, 2.0, 1.0], new())?, (3, None, Some(1.0), Some(2)));
    Ok(())
}

#[test]
fn early_stopping_asks_the_metric_for_its_direction() -> Result<()> {
    let run = |name: &'static str, stopping: EarlyStopping| {
        let mut stopping = stopping.monitor(name);
        let history = model()?.fit(sums(4), fit(3).callback(given(name, vec![0.5, 0.25, 0.75])).callback(&mut stopping))?;
        Ok::<_, Error>((history.epochs.len(), stopping.best()))
    };
    // An accuracy is better when it is larger, a loss when it is smaller.
    assert_eq!(run("val_accuracy", EarlyStopping::new())?, (2, Some(0.5)));
    assert_eq!(run("loss", EarlyStopping::new())?, (3, Some(0.25)));
    let error = run("my_number", EarlyStopping::new()).expect_err("nobody knows").to_string();
    let want =
        "EarlyStopping: mode: expected \"min\" or \"max\", for \"my_number\" does not say which of its values are better, got \"auto\"";
    assert_eq!(error, want);
    assert_eq!(run("my_number", EarlyStopping::new().mode("max"))?, (2, Some(0.5)));
    let error = run("loss", EarlyStopping::new().mode("mxa")).expect_err("a slip").to_string();
    assert!(error.starts_with("EarlyStopping: mode: expected one of auto, min, max") && error.contains("did you mean \"max\"?"), "{error}");
    // A log that is not there is no error.
    let mut stopping = EarlyStopping::new();
    assert_eq!(model()?.fit(sums(4), fit(3).callback(&mut stopping))?.epochs.len(), 3);
    assert_eq!((stopping.best(), stopping.stopped_epoch()), (None, None));
    Ok(())
}

/// The best weights come back also if it did not stop early, and only if that was asked for. Tensors that are held must not change while the
/// steps are replayed, on any device.
#[test]
fn the_best_weights_come_back() -> Result<()> {
    for device in std::iter::once(Device::cpu()).chain(gradus::testing::gpu("holding the best weights")) {
        for (patience, restore, epochs, from) in [(9, true, 5, 1), (2, true, 4, 1), (9, false, 5, 4)] {
            let mut after: Vec<Vec<ArrayD<f32>>> = Vec::new();
            let mut model = model_on(&device)?;
            let stopping = EarlyStopping::new().patience(patience).restore_best_weights(restore);
            let watch = LambdaCallback::new().on_epoch_end(|_, _, training| {
                after.push(training.model().get_weights()?);
                Ok(())
            });
            let options = fit(5).callback(given("val_loss", vec![2.0, 1.0, 3.0, 3.0, 3.0])).callback(watch).callback(stopping);
            let history = model.fit(sums(8), options)?;
            assert_eq!(history.epochs.len(), epochs, "{device}");
            assert!(after.windows(2).all(|pair| pair[0] != pair[1]), "{device}: every epoch changes the weights");
            assert_eq!(model.get_weights()?, after[from], "{device}: patience {patience}, restore {restore}");
        }
    }
    Ok(())
}

/// The learning rate of every epoch by the logs, and after the last.
fn rates(values: &[f64], plateau: ReduceLROnPlateau) -> Result<Vec<f64>> {
    let mut model = model()?;
    let history = model.fit(sums(2), fit(values.len()).callback(given("val_loss", values.to_vec())).callback(plateau))?;
    Ok([history.get("learning_rate").expect("logged"), &[model.learning_rate()?]].concat())
}

#[test]
fn plateaus_lower_the_rate_as_keras() -> Result<()> {
    let new = ReduceLROnPlateau::new;
    let (r, h, q, e) = (0.10000000149011612, 0.05000000074505806, 0.02500000037252903, 0.012500000186264515);
    assert_eq!(rates(&[1.0; 7], new().patience(2).factor(0.5))?, [r, r, r, h, h, q, q, e]);
    let (t, u, v) = (0.009999999776482582, 0.0009999999310821295, 9.99999901978299e-05);
    let values = [1.0, 0.9, 0.95, 0.95, 0.95, 0.95, 0.8, 0.9, 0.9];
    assert_eq!(rates(&values, new().patience(2))?, [r, r, r, r, t, t, u, u, u, v]);
    let cooled = rates(&[1.0; 8], new().patience(1).factor(0.5).cooldown(2))?;
    assert_eq!(cooled, [r, r, h, h, q, q, e, e, 0.0062500000931322575]);
    let least = 0.004999999888241291;
    assert_eq!(rates(&[1.0; 6], new().patience(1).min_lr(0.005))?, [r, r, t, least, least, least, least]);
    let small = [1.0, 0.9995, 0.9991, 0.99985, 0.9];
    assert_eq!(rates(&small, new().patience(2).factor(0.5).min_delta(0.001))?, [r, r, r, h, h, h]);
    let max = rates(&[0.1, 0.2, 0.2, 0.3, 0.3, 0.3], new().patience(1).factor(0.25).mode("max"))?;
    assert_eq!(max, [r, r, r, q, q, 0.0062500000931322575, 0.0015625000232830644]);
    let error = rates(&[1.0], new().factor(1.0)).expect_err("no reduction").to_string();
    assert_eq!(error, "ReduceLROnPlateau: factor: expected a number from 0 to below 1, got 1");
    Ok(())
}

#[test]
fn schedules_set_the_rate_before_every_epoch() -> Result<()> {
    let mut asked = Vec::new();
    let mut model = model()?;
    let scheduler = LearningRateScheduler::new(|epoch, rate| {
        asked.push((epoch, rate));
        if epoch == 1 { rate } else { rate * 0.5 }
    });
    let history = model.fit(sums(2), fit(3).callback(scheduler))?;
    let (r, h, q) = (f64::from(0.1f32), f64::from(0.05f32), f64::from(0.025f32));
    assert_eq!(asked, [(0, r), (1, h), (2, h)]);
    assert_eq!(history.get("learning_rate"), Some(&[h, h, q][..]));
    assert_eq!(model.learning_rate()?, q);
    let error = model.fit(sums(2), fit(1).callback(LearningRateScheduler::new(|_, _| f64::NAN))).expect_err("no rate").to_string();
    assert!(error.starts_with("LearningRateScheduler before epoch 1: sgd: learning_rate") && error.ends_with("got NaN"), "{error}");
    Ok(())
}

/// Replaces all logs of every epoch.
fn only(rows: Vec<Vec<(&'static str, f64)>>) -> LambdaCallback<'static> {
    LambdaCallback::new().on_epoch_end(move |epoch, logs: &mut Logs, training| {
        let first = training.epochs() - rows.len();
        *logs = rows[epoch - first].iter().map(|(name, value)| (name.to_string(), *value)).collect();
        Ok(())
    })
}

/// The texts were written by Keras's CSVLogger for the same logs.
#[test]
fn csv_files_are_keras_files() -> Result<()> {
    let folder = Folder::new("csv");
    let (a, b) = (folder.path("a.csv"), folder.path("b.csv"));
    std::fs::write(&a, "what was there before").expect("written");
    let rows = vec![
        vec![("loss", 0.5), ("accuracy", 1e-5)],
        vec![("loss", 1.0), ("val_loss", f64::NAN), ("accuracy", 1e16)],
        vec![("accuracy", 0.25)],
    ];
    let mut logger = CSVLogger::new(&a);
    model()?.fit(sums(2), fit(3).callback(only(rows)).callback(&mut logger))?;
    let want = "epoch,accuracy,loss,val_accuracy,val_loss\r\n0,1e-05,0.5,NA,NA\r\n1,1e+16,1.0,NA,nan\r\n2,0.25,NA,NA,NA\r\n";
    assert_eq!(std::fs::read_to_string(&a).expect("written"), want);
    let more = Fit { initial_epoch: 3, ..fit(4) }.callback(only(vec![vec![("loss", 0.125), ("accuracy", 0.1)]]));
    model()?.fit(sums(2), more.callback(CSVLogger::new(&a).append(true)))?;
    assert_eq!(std::fs::read_to_string(&a).expect("written"), want.to_string() + "3,0.1,0.125,NA,NA\r\n");
    let rows = vec![vec![("val_loss", 123456.789), ("loss", 2.0), ("b;\"c", 0.0001)]];
    model()?.fit(sums(2), fit(1).callback(only(rows)).callback(CSVLogger::new(&b).separator(';').append(true)))?;
    assert_eq!(std::fs::read_to_string(&b).expect("written"), "epoch;\"b;\"\"c\";loss;val_loss\r\n0;0.0001;2.0;123456.789\r\n");
    let nowhere = folder.path("missing/a.csv");
    let error = model()?.fit(sums(2), fit(1).callback(CSVLogger::new(&nowhere))).expect_err("no such folder");
    assert!(matches!(&error, Error::Io { path, .. } if path.as_os_str() == nowhere.as_str()), "{error}");
    Ok(())
}

#[test]
fn checkpoints_are_written_and_read() -> Result<()> {
    let folder = Folder::new("checkpoints");
    let mut after = Vec::new();
    let mut model_a = model()?;
    let mut best = ModelCheckpoint::new(folder.path("{epoch:02d}-{val_loss:.2f}.safetensors")).save_best_only(true);
    let watch = LambdaCallback::new().on_epoch_end(|_, _, training| {
        after.push(training.model().get_weights()?);
        Ok(())
    });
    let options = fit(4).callback(given("val_loss", vec![0.5, 0.75, 0.25, 0.25])).callback(watch).callback(&mut best);
    model_a.fit(sums(8), options)?;
    assert_eq!(folder.names(), ["01-0.50.safetensors", "03-0.25.safetensors"]);
    assert_eq!(best.best(), Some(0.25));
    let mut model_b = model()?;
    model_b.load_weights(best.last_saved().expect("saved"))?;
    assert_eq!(model_b.get_weights()?, after[2]);
    // What it found is kept for the next training, as in Keras.
    model_b.fit(sums(8), fit(1).callback(given("val_loss", vec![0.3])).callback(&mut best))?;
    assert_eq!(folder.names().len(), 2);
    let threshold = ModelCheckpoint::new(folder.path("t{epoch}.safetensors")).save_best_only(true).initial_value_threshold(0.2);
    model_b.fit(sums(8), fit(3).callback(given("val_loss", vec![0.3, 0.2, 0.1])).callback(threshold))?;
    assert_eq!(folder.names(), ["01-0.50.safetensors", "03-0.25.safetensors", "t3.safetensors"]);
    Ok(())
}

#[test]
fn checkpoints_count_batches_over_epochs() -> Result<()> {
    let folder = Folder::new("batches");
    let mut model = model()?;
    let every = ModelCheckpoint::new(folder.path("new/{epoch}-{batch}.safetensors")).save_freq(3).save_weights_only(true);
    model.fit(sums(8), fit(2).callback(every))?;
    let inner = Folder(folder.0.join("new"));
    assert_eq!(inner.names(), ["1-3.safetensors", "2-2.safetensors"]);
    let whole = folder.path("whole.safetensors");
    // A log that is not there: every model is saved.
    model.fit(sums(8), fit(1).callback(ModelCheckpoint::new(&whole).save_best_only(true)))?;
    let names = |path: &str| String::from_utf8_lossy(&std::fs::read(path).expect("written")).contains("optimizer/sgd/iteration");
    assert_eq!((names(&whole), names(&inner.path("2-2.safetensors"))), (true, false));
    Ok(())
}

#[test]
fn checkpoints_refuse_bad_names() -> Result<()> {
    let folder = Folder::new("names");
    let text = |checkpoint: ModelCheckpoint| model()?.fit(sums(2), fit(1).callback(checkpoint)).map(|h| h.to_string());
    let error = |name: &str| text(ModelCheckpoint::new(folder.path(name))).expect_err(name).to_string();
    let got = error("{epoch:02x}.safetensors");
    assert!(got.contains("expected a format like 02d, .2f, .3e or none, got {epoch:02x}"), "{got}");
    let got = error("{los:.2f}.safetensors");
    assert!(got.contains("expected one of epoch, loss, accuracy, got {los}; did you mean \"loss\"?"), "{got}");
    let got = error("{epoch}.weights.h5");
    assert!(got.contains("expected a file name that ends in .safetensors"), "{got}");
    let got = text(ModelCheckpoint::new(folder.path("a.safetensors")).save_freq(0)).expect_err("no batch").to_string();
    assert_eq!(got, "ModelCheckpoint: save_freq: expected at least 1 batch, got 0");
    assert_eq!(folder.names(), Vec::<String>::new());
    Ok(())
}

#[test]
fn an_error_of_a_callback_is_the_error_of_fit() -> Result<()> {
    let oops = || Err(Error::NotReady("oops".into()));
    let validated = || Fit { validation: Some(sums(2)), ..fit(1) };
    let run = |callback: LambdaCallback| model()?.fit(sums(4), validated().callback(callback));
    let new = LambdaCallback::new;
    for result in [
        run(new().on_train_begin(|_| oops())),
        run(new().on_train_end(|_| oops())),
        run(new().on_epoch_begin(|_, _| oops())),
        run(new().on_epoch_end(|_, _, _| oops())),
        run(new().on_train_batch_begin(|_, _| oops())),
        run(new().on_train_batch_end(|_, _, _| oops())),
        run(new().on_test_begin(|_| oops())),
        run(new().on_test_end(|_, _| oops())),
        run(new().on_test_batch_begin(|_, _| oops())),
        run(new().on_test_batch_end(|_, _, _| oops())),
    ] {
        assert_eq!(result.expect_err("an error"), Error::NotReady("oops".into()));
    }
    Ok(())
}

/// After `stop` the epoch's steps end, but its validation and hooks run; and the same step is the last whenever it is called.
#[test]
fn stopping_within_an_epoch_finishes_it() -> Result<()> {
    let stopped = |in_batch: bool| -> Result<(History, usize, Vec<ArrayD<f32>>)> {
        let mut model = model()?;
        let mut ends = 0;
        let stop = LambdaCallback::new();
        let stop = if in_batch {
            stop.on_train_batch_end(|batch, _, training| {
                if batch == 0 {
                    training.stop();
                }
                Ok(())
            })
        } else {
            stop.on_epoch_begin(|_, training| {
                training.stop();
                Ok(())
            })
        };
        let count = LambdaCallback::new().on_epoch_end(|_, _, _| {
            ends += 1;
            Ok(())
        });
        let options = Fit { validation: Some(sums(2)), shuffle: false, ..fit(5) };
        let history = model.fit(sums(8), options.callback(stop).callback(count))?;
        Ok((history, ends, model.get_weights()?))
    };
    let (history, ends, weights) = stopped(true)?;
    assert_eq!((history.epochs.len(), ends), (1, 1));
    assert!(history.last("val_loss").is_some_and(f64::is_finite), "{history}");
    assert_eq!(stopped(false)?, (history, ends, weights.clone()));
    let mut one_step = model()?;
    one_step.fit(sums(2), Fit { shuffle: false, ..fit(1) })?;
    assert_eq!(one_step.get_weights()?, weights);
    Ok(())
}

#[test]
fn a_nan_ends_a_training_that_forgives_it() -> Result<()> {
    let mut x: Vec<f32> = sums(8).x[0].numbers().map(|v| v as f32).collect();
    x[9] = f32::NAN;
    let data = Data::new(Samples::new([8, 2], &x)?, sums(8).y)?;
    let options = || Fit { shuffle: false, ..fit(3) };
    let mut model_a = model()?;
    let mut csv = Vec::new();
    let watch = LambdaCallback::new().on_epoch_end(|_, logs, _| {
        csv.push(log(logs, "loss").expect("logged"));
        Ok(())
    });
    let history = model_a.fit(&data, options().callback(TerminateOnNaN::new()).callback(watch))?;
    assert_eq!(history.epochs, [0]);
    assert!(csv.len() == 1 && csv[0].is_nan() && history.last("loss").is_some_and(f64::is_nan), "{history}");
    let mut two_steps = model()?;
    two_steps.fit(sums(4), Fit { shuffle: false, ..fit(1) })?;
    assert_eq!(model_a.get_weights()?, two_steps.get_weights()?);
    let error = model()?.fit(&data, options().callback(TerminateOnNaN::new().raise_error(true))).expect_err("a NaN").to_string();
    assert!(error.starts_with("NaN in the input of sample 4, which step 3 of epoch 1 used"), "{error}");
    Ok(())
}
