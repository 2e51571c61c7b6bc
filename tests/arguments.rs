//! What the arguments of `compile`, `fit`, `evaluate` and `*_on_batch` mean: Keras's meaning.

use gradus::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn quiet() -> Fit<'static> {
    Fit { verbose: Verbose::Silent, advice: false, ..Fit::default() }
}

fn fill(shape: &[usize], a: f64) -> Result<Samples> {
    let count: usize = shape.iter().product();
    let numbers: Vec<f32> = (0..count).map(|i| (a * (i as f64 + 1.0)).sin() as f32).collect();
    Samples::new(shape, &numbers)
}

fn labels(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 5 % 3) as u8).collect()
}

fn model() -> Result<Sequential> {
    let mut model = Sequential::new()
        .add(Dense::new(5).activation("tanh"))
        .add(Dense::new(3).activation("softmax"))
        .input([4])
        .on_device(&Device::cpu());
    model.compile(SGD::new(0.1), "sparse_categorical_crossentropy", ["accuracy"])?;
    Ok(model)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * b.abs().max(1.0)
}

#[test]
fn validation_is_the_end_of_the_data_and_is_not_trained_on() -> Result<()> {
    let (x, y) = (fill(&[10, 4], 0.3)?, labels(10));
    let data = Data::new(&x, &y)?;
    let mut by_split = model()?;
    let split = by_split.fit(&data, Fit { epochs: 3, batch_size: 4, validation_split: 0.25, ..quiet() })?;
    // floor(10 · 0.75) = 7 samples are trained on.
    let (first, last) = data.split(7);
    let mut by_hand = model()?;
    let hand = by_hand.fit(&first, Fit { epochs: 3, batch_size: 4, validation: Some(last.clone()), ..quiet() })?;
    assert_eq!(split, hand);
    let end = by_hand.evaluate(&last)?;
    assert!(close(hand.last("val_loss").expect("validated"), end.loss));
    for wrong in [-0.1, 1.0, f64::NAN, 0.99] {
        assert!(model()?.fit(data.take(2), Fit { validation_split: wrong, ..quiet() }).is_err(), "{wrong}");
    }
    Ok(())
}

#[test]
fn validation_every_other_epoch() -> Result<()> {
    let data = Data::new(fill(&[8, 4], 0.3)?, &labels(8))?;
    let history = model()?.fit(&data, Fit { epochs: 5, validation: Some(data.clone()), validation_freq: 2, ..quiet() })?;
    assert_eq!(history.get("loss").map(<[f64]>::len), Some(5));
    assert_eq!(history.get("val_loss").map(<[f64]>::len), Some(2));
    Ok(())
}

#[test]
fn evaluation_of_some_batches() -> Result<()> {
    let data = Data::new(fill(&[10, 4], 0.3)?, &labels(10))?;
    let fit = || Fit { validation: Some(data.clone()), validation_batch_size: Some(3), ..quiet() };
    let (mut some, mut all) = (model()?, model()?);
    let a = some.fit(&data, Fit { validation_steps: Some(2), ..fit() })?;
    let b = all.fit(&data, Fit { validation: Some(data.take(6)), ..fit() })?;
    assert_eq!(a, b);
    let two = all.evaluate_with(&data, Evaluate { batch_size: 3, steps: Some(2), ..Evaluate::default() })?;
    assert!(close(two.loss, b.last("val_loss").expect("validated")));
    let mut seen = Vec::new();
    let watcher = LambdaCallback::new().on_test_batch_end(|batch, logs, _| {
        seen.push((batch, log(logs, "loss").is_some_and(f64::is_finite)));
        Ok(())
    });
    all.evaluate_with(&data, Evaluate { batch_size: 4, ..Evaluate::default() }.callback(watcher))?;
    assert_eq!(seen, [(0, true), (1, true), (2, true)]);
    Ok(())
}

#[test]
fn epochs_are_numbers_not_counts() -> Result<()> {
    let data = Data::new(fill(&[8, 4], 0.3)?, &labels(8))?;
    let fit = |from, to| Fit { initial_epoch: from, epochs: to, batch_size: 4, ..quiet() };
    let (mut whole, mut parts) = (model()?, model()?);
    let all = whole.fit(&data, fit(0, 5))?;
    let (a, b) = (parts.fit(&data, fit(0, 3))?, parts.fit(&data, fit(3, 5))?);
    assert_eq!((a.epochs, &b.epochs[..]), (vec![0, 1, 2], &[3, 4][..]));
    assert_eq!(all.get("loss").expect("logged")[3..], *b.get("loss").expect("logged"), "training goes on where it stopped");
    Ok(())
}

#[test]
fn steps_per_epoch_goes_on_where_the_last_epoch_ended() -> Result<()> {
    let data = Data::new(fill(&[12, 4], 0.3)?, &labels(12))?;
    let steps = |epochs, steps_per_epoch| -> Result<Vec<f64>> {
        let fit = Fit { epochs, batch_size: 2, shuffle: false, steps_per_epoch, record_steps: 12, ..quiet() };
        Ok(model()?.fit(&data, fit)?.step_losses)
    };
    // Two passes over six batches, in two epochs or in three.
    let (whole, parts) = (steps(2, None)?, steps(3, Some(4))?);
    assert_eq!((whole.len(), &whole), (12, &parts));
    Ok(())
}

#[test]
fn weights_of_classes_and_of_samples() -> Result<()> {
    let (x, y) = (fill(&[9, 4], 0.3)?, labels(9));
    let weights: Vec<f32> = y.iter().map(|&label| if label == 1 { 2.5 } else { 1.0 }).collect();
    let data = Data::new(&x, &y)?;
    let (mut by_class, mut by_sample, mut plain) = (model()?, model()?, model()?);
    let class_weight = BTreeMap::from([(1, 2.5)]);
    let fit = || Fit { epochs: 3, batch_size: 4, shuffle: false, ..quiet() };
    let a = by_class.fit(&data, Fit { class_weight: class_weight.clone(), ..fit() })?;
    let b = by_sample.fit(data.clone().sample_weight(&weights)?, fit())?;
    assert_eq!(a, b);
    assert_ne!(a, plain.fit(&data, fit())?);
    let error = by_class.fit(data.clone().sample_weight(&weights)?, Fit { class_weight, ..fit() }).expect_err("both");
    assert!(error.to_string().contains("either class weights or sample weights"), "{error}");
    // The sum of the weighted losses is divided by the number of samples, not by the sum of the weights.
    let doubled = plain.evaluate(data.clone().sample_weight(&[2.0f32; 9][..])?)?;
    assert!(close(doubled.loss, 2.0 * plain.evaluate(&data)?.loss), "{doubled}");
    assert_eq!(doubled.metric("accuracy"), plain.evaluate(&data)?.metric("accuracy"));
    Ok(())
}

#[test]
fn weighted_metrics_go_by_sample_weights() -> Result<()> {
    let (x, y) = (fill(&[6, 4], 0.3)?, labels(6));
    let mut model = model()?;
    let right: Vec<f32> = model
        .predict(&x, 6)?
        .outer_iter()
        .zip(&y)
        .map(|(p, &label)| {
            let best = (0..3).fold(0, |best, i| if p[i] > p[best] { i } else { best });
            if best == usize::from(label) { 1.0 } else { 0.0 }
        })
        .collect();
    let compile = Compile::new("sgd", "sparse_categorical_crossentropy").metrics(["accuracy"]).weighted_metrics(["acc"]);
    model.compile_with(compile)?;
    let weights = [1.0f32, 3.0, 0.0, 2.0, 1.0, 0.5];
    let got = model.evaluate(Data::new(&x, &y)?.sample_weight(&weights[..])?)?;
    let plain = f64::from(right.iter().sum::<f32>()) / 6.0;
    let weighted = f64::from(right.iter().zip(weights).map(|(r, w)| r * w).sum::<f32>() / 7.5);
    assert!(close(got.metric("accuracy").expect("reported"), plain), "{got} {right:?}");
    assert!(close(got.metric("acc").expect("reported"), weighted), "{got} {right:?}");
    Ok(())
}

#[test]
fn single_batches_add_up() -> Result<()> {
    let data = Data::new(fill(&[8, 4], 0.3)?, &labels(8))?;
    let (first, second) = data.split(4);
    let (mut by_batch, mut by_fit) = (model()?, model()?);
    let history = by_fit.fit(&data, Fit { batch_size: 4, shuffle: false, ..quiet() })?;
    let one = by_batch.train_on_batch(&first)?;
    let both = by_batch.train_on_batch(&second)?;
    assert_eq!(by_batch.get_weights()?, by_fit.get_weights()?);
    assert!(close(both.loss, history.last("loss").expect("logged")) && one.loss != both.loss);
    by_batch.reset_metrics();
    let (_, whole) = (by_batch.test_on_batch(&first)?, by_batch.test_on_batch(&second)?);
    assert!(close(whole.loss, by_fit.evaluate(&data)?.loss));
    assert_eq!(by_batch.predict_on_batch(&data.x)?, by_fit.predict(&data.x, 3)?);
    let bad = Data::new(Samples::new([1, 4], &[1.0f32, f32::NAN, 0.0, 0.0])?, &[0u8][..])?;
    let text = by_batch.train_on_batch(&bad).expect_err("a NaN").to_string();
    assert!(text.starts_with("NaN in the input of sample 0"), "{text}");
    assert_eq!(by_batch.get_weights()?, by_fit.get_weights()?, "a bad step changes nothing");
    Ok(())
}

#[test]
fn a_step_of_ones_own_keeps_progress_and_validation() -> Result<()> {
    let data = Data::new(fill(&[8, 4], 0.3)?, &labels(8))?;
    let usual = model()?.fit(&data, Fit { epochs: 2, validation: Some(data.clone()), ..quiet() })?;
    let mut own = model()?;
    let compile = Compile::new(SGD::new(0.1), "sparse_categorical_crossentropy").metrics(["accuracy"]).train_step(|step: &Step| {
        let tape = GradientTape::new();
        let y_pred = step.predict()?;
        let loss = step.loss(&y_pred)?;
        step.minimize(&tape, &loss)?;
        step.report(&y_pred, &loss)?;
        step.log("double", &loss.mul_scalar(2.0)?)
    });
    own.compile_with(compile)?;
    let history = own.fit(&data, Fit { epochs: 2, validation: Some(data.clone()), ..quiet() })?;
    for name in ["loss", "accuracy", "val_loss", "val_accuracy"] {
        assert_eq!(history.get(name), usual.get(name), "{name}");
    }
    let (loss, double) = (history.last("loss").expect("logged"), history.last("double").expect("logged"));
    assert!(close(double, 2.0 * loss));
    Ok(())
}

/// Counts how often its `call` runs.
#[derive(Layers)]
struct Counting {
    dense: Dense,
    calls: Arc<AtomicUsize>,
}

impl Subclass for Counting {
    fn call(&self, x: &Tensor, cx: &Call) -> Result<Tensor> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.dense.apply(x, cx)
    }
}

#[test]
fn eager_steps_run_the_code_each_time_and_give_the_same_bits() -> Result<()> {
    let data = Data::new(fill(&[8, 4], 0.3)?, &labels(8))?;
    let mut seen = Vec::new();
    for eagerly in [false, true] {
        let calls = Arc::new(AtomicUsize::new(0));
        let net = Counting { dense: Dense::new(3).activation("softmax"), calls: calls.clone() };
        let mut model = Model::subclass(net).on_device(&Device::cpu());
        model.compile_with(Compile::new("adam", "sparse_categorical_crossentropy").run_eagerly(eagerly))?;
        model.build([4])?;
        let before = calls.load(Ordering::Relaxed);
        let history = model.fit(&data, Fit { epochs: 3, batch_size: 2, ..quiet() })?;
        let ran = calls.load(Ordering::Relaxed) - before;
        assert_eq!(ran, if eagerly { 12 } else { 1 }, "eagerly: {eagerly}");
        seen.push((history, model.get_weights()?));
    }
    assert_eq!(seen[0], seen[1]);
    Ok(())
}

#[test]
fn penalties_are_in_the_loss_and_its_gradient() -> Result<()> {
    let data = Data::new(fill(&[4, 4], 0.3)?, fill(&[4, 1], 0.7)?)?;
    let make = |factor: f64| -> Result<Sequential> {
        let layer = Dense::new(1).kernel_regularizer(gradus::regularizers::L2(factor)).kernel_constraint("non_neg");
        let mut model = Sequential::new().add(layer).input([4]).on_device(&Device::cpu());
        model.compile(SGD::new(0.0), "mse", ())?;
        Ok(model)
    };
    let (plain, penalised) = (make(0.0)?, make(0.5)?);
    let squares: f64 = plain.get_weights()?[0].iter().map(|w| f64::from(*w).powi(2)).sum();
    assert!(close(penalised.evaluate(&data)?.loss, plain.evaluate(&data)?.loss + 0.5 * squares));
    let mut model = make(0.5)?;
    model.set_learning_rate(0.1)?;
    model.fit(&data, Fit { epochs: 2, ..quiet() })?;
    assert!(model.get_weights()?[0].iter().all(|w| *w >= 0.0), "the constraint holds");
    Ok(())
}

#[test]
fn advice_names_the_layer_once() -> Result<()> {
    let advice = |model: Sequential, loss: &str| -> Result<Vec<String>> {
        let mut model = model.on_device(&Device::cpu());
        model.compile("adam", loss, ())?;
        Ok(model.advice())
    };
    let head = |activation: &str| Sequential::new().add(Flatten::new()).add(Dense::new(10).activation(activation)).input([6, 6, 1]);
    let texts = advice(head("relu"), "sparse_categorical_crossentropy")?;
    assert!(texts.len() == 1 && texts[0].starts_with("dense (Dense) ends in relu") && texts[0].contains("end it in softmax"), "{texts:?}");
    assert!(advice(head("softmax"), "sparse_categorical_crossentropy")?.is_empty());
    assert!(advice(head("sigmoid"), "binary_crossentropy")?.is_empty());
    assert!(advice(head("relu"), "mse")?.is_empty());
    let mut model = head("softmax").on_device(&Device::cpu());
    model.compile("adam", SparseCategoricalCrossentropy::new().from_logits(true), ())?;
    assert!(model.advice()[0].contains("expect logits"), "{:?}", model.advice());
    let flat = Sequential::new().add(Conv2D::new(4, 3)).add(Dense::new(3)).input([6, 6, 1]);
    let texts = advice(flat, "mse")?;
    assert!(texts.len() == 1 && texts[0].contains("dense (Dense) is given images [4, 4, 4]") && texts[0].contains("Flatten"), "{texts:?}");
    Ok(())
}

#[test]
fn moving_averages_keep_out_of_a_bad_step() -> Result<()> {
    let make = || -> Result<Sequential> {
        let mut model = Sequential::new().add(BatchNormalization::new()).add(Dense::new(1)).input([4]).on_device(&Device::cpu());
        model.compile("sgd", "mse", ())?;
        Ok(model)
    };
    let mut x: Vec<f32> = (0..32).map(|i| (i as f32 * 0.7).sin()).collect();
    let good = Data::new(Samples::new([4, 4], &x[..16])?, fill(&[4, 1], 0.7)?)?;
    x[25] = f32::NAN;
    let bad = Data::new(Samples::new([8, 4], &x)?, fill(&[8, 1], 0.7)?)?;
    let fit = || Fit { batch_size: 2, shuffle: false, ..quiet() };
    let (mut stopped, mut whole) = (make()?, make()?);
    let text = stopped.fit(&bad, fit()).expect_err("a NaN in the fourth step").to_string();
    assert!(text.starts_with("NaN in the input of sample 6"), "{text}");
    whole.fit(&good, fit())?;
    let third =
        Data::new(Samples::new([2, 4], &x[16..24])?, Samples::new([2, 1], &[(0.7f64 * 5.0).sin() as f32, (0.7f64 * 6.0).sin() as f32])?)?;
    whole.fit(&third, fit())?;
    let (a, b) = (stopped.get_weights()?, whole.get_weights()?);
    assert!(a.iter().flatten().all(|w| w.is_finite()));
    assert_eq!(a, b, "the averages and weights are those after three good steps");
    Ok(())
}

#[test]
fn memory_of_training_grows_with_the_batch() -> Result<()> {
    let mut model = Sequential::new()
        .add(Conv2D::new(8, 3).activation("relu"))
        .add(Flatten::new())
        .add(Dense::new(3).activation("softmax"))
        .input([12, 12, 1])
        .on_device(&Device::cpu());
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])?;
    let [small, middle, large] = [64, 128, 256].map(|batch| model.training_memory(batch));
    let (small, middle, large) = (small? as f64, middle? as f64, large? as f64);
    let (first, second) = (middle - small, large - middle);
    assert!(first > 64.0 * 10.0 * 10.0 * 8.0 * 4.0 && (second / first - 2.0).abs() < 0.1, "{small} {middle} {large}");
    let text = model.summary_for(128)?;
    let last = text.lines().last().unwrap_or_default();
    assert!(
        last.contains("Training memory") && last.contains("for batches of 128 (") && last.ends_with("if no values shared it)"),
        "{text}"
    );
    let weights = model.get_weights()?;
    model.summary_for(32)?;
    assert_eq!(weights, model.get_weights()?, "nothing was trained");
    Ok(())
}

/// Two outputs, which are not known before the model is built.
#[derive(Layers)]
struct Twins {
    left: Dense,
    right: Dense,
}

impl Subclass for Twins {
    fn call_all(&self, xs: &[Tensor], cx: &Call) -> Result<Vec<Tensor>> {
        Ok(vec![self.left.apply(&xs[0], cx)?, self.right.apply(&xs[0], cx)?])
    }
}

#[test]
fn one_loss_is_that_of_outputs_that_are_not_yet_known() -> Result<()> {
    let (x, y) = (fill(&[8, 4], 0.3)?, fill(&[8, 3], 0.7)?);
    let data = Data::new(&x, [y.clone(), y])?;
    let twins = || Model::subclass(Twins { left: Dense::new(3), right: Dense::new(3) }).on_device(&Device::cpu());
    let mut trained = Vec::new();
    for built_first in [false, true] {
        let mut model = twins();
        if built_first {
            model.build([4])?;
        }
        model.compile("sgd", "mse", ())?;
        let history = model.fit(&data, Fit { epochs: 2, ..quiet() })?;
        assert!(history.last("output_1_loss").is_some(), "the second output has a loss");
        trained.push((history, model.get_weights()?));
    }
    assert!(trained[0] == trained[1], "whether a model is built before it is compiled makes no difference");
    // What was meant for one output, or for three, is refused, and nothing is trained by it.
    let refused = |compile: Compile| -> Result<String> {
        let mut model = twins();
        model.compile_with(compile)?;
        let error = model.fit(&data, quiet()).expect_err("two outputs").to_string();
        assert!(model.fit(&data, quiet()).expect_err("not compiled").to_string().contains("compile()"));
        Ok(error)
    };
    assert!(refused(Compile::new("sgd", "mse").metrics(["mae"]))?.contains("(\"output_0\", \"mae\")"));
    assert!(refused(Compile::new("sgd", ["mse", "mse", "mse"]))?.contains("one for each of the outputs output_0, output_1"));
    assert!(refused(Compile::new("sgd", "mse").loss_weights([2.0]))?.contains("one for each of 2 losses"));
    Ok(())
}

#[test]
fn batches_that_do_not_fit_are_split_or_refused() -> Result<()> {
    let Some(gpu) = gradus::testing::gpu("batches larger than the device can bind") else { return Ok(()) };
    // One sample becomes 16,384 rows of 1,024 numbers: 64 MiB.
    let make = |device: &Device| -> Result<Sequential> {
        let mut model = Sequential::new().add(RepeatVector::new(16_384)).add(GlobalMaxPooling1D::new()).input([1024]).on_device(device);
        model.compile("sgd", "mse", ())?;
        Ok(model)
    };
    let per_sample: u64 = 64 << 20;
    let fits = usize::try_from(gpu.max_tensor_bytes() / per_sample).expect("a number of samples");
    if fits > 8 {
        println!("skipped: a device that binds {} bytes takes more than this test makes", gpu.max_tensor_bytes());
        return Ok(());
    }
    let x = fill(&[fits + 1, 1024], 0.01)?;
    let model = make(&gpu)?;
    assert_eq!(model.predict(&x, 100)?.into_raw_vec_and_offset().0, x.numbers().map(|v| v as f32).collect::<Vec<_>>());
    let data = Data::new(&x, &x)?;
    assert!(model.evaluate(&data)?.loss == 0.0);
    let text = make(&gpu)?.fit(&data, Fit { batch_size: fits + 1, ..quiet() }).expect_err("too large").to_string();
    assert!(
        text.contains("repeat_vector (RepeatVector), for a batch of") && text.contains(&format!("a batch_size of {fits} fits")),
        "{text}"
    );
    Ok(())
}
