//! Functional models: several inputs and outputs, shared layers, models inside models, parts of models.

use gradus::prelude::*;

fn cpu() -> Device {
    Device::cpu()
}

fn quiet() -> Fit<'static> {
    Fit { verbose: Verbose::Silent, ..Fit::default() }
}

/// `b · sin(a · (i + 1))` for every element.
fn fill(shape: &[usize], a: f64, b: f64) -> Result<Samples> {
    let count: usize = shape.iter().product();
    let numbers: Vec<f32> = (0..count).map(|i| (b * (a * (i as f64 + 1.0)).sin()) as f32).collect();
    Samples::new(shape, &numbers)
}

/// Two inputs through one shared layer, and two outputs.
fn two_by_two() -> Result<Model> {
    let (left, right) = (Input::named("left", [4]), Input::named("right", [4]));
    let shared = Dense::new(6).activation("tanh").named("shared");
    let (a, b) = (shared.on(&left)?, shared.on(&right)?);
    let both = Concatenate::new().on([&a, &b])?;
    let kind = Dense::new(3).activation("softmax").named("kind").on(&both)?;
    let size = Dense::new(1).named("size").on(&both)?;
    Ok(Model::new([&left, &right], [&kind, &size])?.on_device(&cpu()).seed(3))
}

fn two_by_two_data(count: usize) -> Result<(Samples, Samples, Vec<u8>, Samples)> {
    let kinds = (0..count).map(|i| (i % 3) as u8).collect();
    Ok((fill(&[count, 4], 0.7, 1.0)?, fill(&[count, 4], 1.3, 1.0)?, kinds, fill(&[count, 1], 0.4, 2.0)?))
}

#[test]
fn several_inputs_and_outputs_by_place_and_by_name() -> Result<()> {
    let (left, right, kind, size) = two_by_two_data(10)?;
    let kind = Samples::new([10], &kind)?;
    let mut histories = Vec::new();
    let in_order = Data::new([&left, &right], [&kind, &size])?;
    let by_name = Data::new([("right", &right), ("left", &left)], [("size", &size), ("kind", &kind)])?;
    for data in [in_order, by_name] {
        let mut model = two_by_two()?;
        let losses = [("kind", "sparse_categorical_crossentropy"), ("size", "mse")];
        model.compile_with(Compile::new("adam", losses).metrics([("kind", "accuracy"), ("size", "mae")]).loss_weights([1.0, 0.25]))?;
        let history = model.fit(&data, Fit { epochs: 3, batch_size: 4, shuffle: false, ..quiet() })?;
        let names: Vec<&str> = history.logs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["loss", "kind_loss", "size_loss", "kind_accuracy", "size_mae"]);
        for epoch in 0..3 {
            let [loss, kind, size] = ["loss", "kind_loss", "size_loss"].map(|name| history.get(name).expect("logged")[epoch]);
            assert!((loss - (kind + 0.25 * size)).abs() <= 1e-5 * loss.abs(), "the loss is the weighted sum: {history}");
        }
        let predictions = model.predict_all([&left, &right], 3)?;
        assert_eq!((predictions[0].shape(), predictions[1].shape()), (&[10, 3][..], &[10, 1][..]));
        histories.push(history);
    }
    assert_eq!(histories[0], histories[1]);
    Ok(())
}

#[test]
fn one_loss_serves_all_outputs() -> Result<()> {
    let x = Input::new([4]);
    let (a, b) = (Dense::new(2).named("a").on(&x)?, Dense::new(2).named("b").on(&x)?);
    let mut model = Model::new([&x], [&a, &b])?.on_device(&cpu());
    model.compile("sgd", "mse", ())?;
    let y = fill(&[4, 2], 0.9, 1.0)?;
    let history = model.fit(&Data::new([fill(&[4, 4], 0.3, 1.0)?], [&y, &y])?, quiet())?;
    let [loss, a, b] = ["loss", "a_loss", "b_loss"].map(|name| history.last(name).expect("logged"));
    assert!((loss - (a + b)).abs() <= 1e-5 * loss && a != b, "{history}");
    Ok(())
}

#[test]
fn a_shared_layer_has_one_set_of_weights_and_the_sum_of_gradients() -> Result<()> {
    let mut model = two_by_two()?;
    model.build_all(&[Shape::from([4]), Shape::from([4])])?;
    assert_eq!(model.count_params(), 4 * 6 + 6 + 12 * 3 + 3 + 12 + 1);
    let x = Tensor::new(&cpu(), [2, 4], &[0.1f32, -0.4, 0.3, 0.9, 0.2, 0.5, -0.7, 0.6])?;
    let kernel = model.get_layer("shared")?.variables().remove(0);
    let gradient = |inputs: [&Tensor; 2]| -> Result<Vec<f32>> {
        let tape = GradientTape::new();
        let y = model.call_all(&inputs.map(Clone::clone), &Call::inference())?.remove(1).sum_all()?;
        tape.gradient(&y, [&kernel])?.get(0)?.to_vec()
    };
    let nothing = x.zeros_like()?;
    // An input of zeros adds nothing to the gradient of the kernel, so the two halves add up to the whole where tanh is even: its slope is.
    let (both, left, right) = (gradient([&x, &x])?, gradient([&x, &nothing])?, gradient([&nothing, &x])?);
    assert!(both.iter().zip(left.iter().zip(&right)).all(|(b, (l, r))| (b - (l + r)).abs() <= 1e-6), "{both:?} {left:?} {right:?}");
    assert!(left.iter().zip(&right).any(|(l, r)| (l - r).abs() > 1e-3), "the halves differ");
    Ok(())
}

#[test]
fn the_summary_says_what_is_connected_to_what() -> Result<()> {
    let text = two_by_two()?.summary()?;
    for row in [
        "│ left (InputLayer)            │ (None, 4)                 │                 0 │ -                          │",
        "│ shared (Dense)               │ (None, 6)                 │                30 │ left[0][0], right[0][0]    │",
        "│ concatenate (Concatenate)    │ (None, 12)                │                 0 │ shared[0][0], shared[1][0] │",
        "│ size (Dense)                 │ (None, 1)                 │                13 │ concatenate[0][0]          │",
    ] {
        assert!(text.contains(row), "{row}\n{text}");
    }
    Ok(())
}

#[test]
fn models_are_layers_of_models() -> Result<()> {
    let x = Input::new([5]);
    let encoder = Model::new([&x], [&Dense::new(3).activation("relu").on(&x)?])?.named("encoder");
    let y = Input::new([5]);
    let code = encoder.on(&y)?;
    let functional = Model::new([&y], [&Dense::new(2).on(&code)?])?;
    let inner = Sequential::new().add(Dense::new(3).activation("relu")).named("encoder");
    let sequential = Sequential::new().add(inner).add(Dense::new(2)).input([5]).into_model();
    let data = Data::new(fill(&[8, 5], 0.3, 1.0)?, fill(&[8, 2], 0.9, 1.0)?)?;
    let mut histories = Vec::new();
    for model in [functional, sequential] {
        let mut model = model.on_device(&cpu());
        model.compile("sgd", "mse", ())?;
        histories.push(model.fit(&data, Fit { epochs: 4, ..quiet() })?);
        let names: Vec<String> = model.variables().iter().map(Variable::name).collect();
        assert_eq!(names[0], "encoder/dense/kernel");
        assert_eq!(model.get_layer("encoder")?.variables().len(), 2);
    }
    assert_eq!(histories[0], histories[1]);
    Ok(())
}

#[test]
fn weights_that_are_met_twice_are_one() -> Result<()> {
    let x = Input::new([4]);
    let shared = Dense::new(4);
    let h = shared.on(&x)?;
    let inner = Model::new([&x], [&h])?.named("inner");
    let other = Model::new([&x], [&Dense::new(4).on(&x)?])?.named("other");
    // Both inner layers were called `dense` by their models; here both layers stand beside each other, and the inner model beside its part.
    let z = Input::new([4]);
    let beside = other.layers().len();
    let y = Add::new().on([&shared.on(&z)?, &inner.on(&z)?, &other.on(&z)?])?;
    let mut model = Model::new([&z], [&y])?.on_device(&cpu());
    model.compile("sgd", "mse", ())?;
    assert_eq!((beside, model.variables().len(), model.count_params()), (1, 4, 2 * (16 + 4)));
    let data = Data::new(fill(&[4, 4], 0.3, 1.0)?, fill(&[4, 4], 0.9, 1.0)?)?;
    let before = model.get_weights()?;
    model.fit(&data, quiet())?;
    assert_ne!(before, model.get_weights()?);
    let (a, b) = (Dense::new(2), Dense::new(2));
    Model::new([&x], [&a.on(&x)?])?;
    Model::new([&x], [&b.on(&x)?])?;
    let both = Model::new([&x], [&Add::new().on([&a.on(&x)?, &b.on(&x)?])?])?;
    assert_eq!(both.layers().iter().map(|l| l.name()).collect::<Vec<_>>(), ["dense", "dense_1", "add"]);
    Ok(())
}

#[test]
fn a_part_of_a_model_shares_its_weights() -> Result<()> {
    let x = Input::new([5]);
    let h = Dense::new(3).activation("relu").named("code").on(&x)?;
    let y = Dense::new(2).on(&h)?;
    let mut whole = Model::new([&x], [&y])?.on_device(&cpu());
    whole.compile("sgd", "mse", ())?;
    let mut part = Model::new([&x], [&h])?.on_device(&cpu());
    part.build([5])?;
    let same = whole.sub_model("code")?;
    let input = fill(&[4, 5], 0.3, 1.0)?;
    let before = part.predict(&input, 4)?;
    whole.fit((&input, fill(&[4, 2], 0.9, 1.0)?), Fit { epochs: 5, ..quiet() })?;
    let after = part.predict(&input, 4)?;
    assert_ne!(before, after, "training the whole trains the part");
    assert_eq!(after, same.predict(&input, 4)?);
    assert_eq!(part.variables()[0].id(), whole.variables()[0].id());
    Ok(())
}

#[test]
fn a_part_of_a_sequential_model() -> Result<()> {
    let mut model = Sequential::new().add(Dense::new(3).named("code")).add(Dense::new(2)).input([5]).on_device(&cpu());
    model.build([5])?;
    let part = model.sub_model("code")?;
    let input = fill(&[4, 5], 0.3, 1.0)?;
    let weights = model.get_weights()?;
    let x = ndarray::Array2::from_shape_vec((4, 5), input.numbers().map(|v| v as f32).collect()).expect("twenty");
    let kernel = weights[0].clone().into_dimensionality::<ndarray::Ix2>().expect("a matrix");
    let want = x.dot(&kernel);
    let got = part.predict(&input, 4)?;
    assert!(got.iter().zip(&want).all(|(g, w)| (g - w).abs() <= 1e-6) && got.len() == want.len());
    let text = model.sub_model("cod").err().expect("no such layer").to_string();
    assert!(text.contains("code (Dense)"), "{text}");
    Ok(())
}

#[test]
fn frozen_layers_do_not_change_and_thaw_at_once() -> Result<()> {
    let mut model = two_by_two()?;
    let (left, right, kind, size) = two_by_two_data(6)?;
    let data = Data::new([left, right], [Samples::new([6], &kind)?, size])?;
    model.compile("adam", ["sparse_categorical_crossentropy", "mse"].map(|n| gradus::losses::from_name(n).expect("known")), ())?;
    let weights = |model: &Model, layer: &str| -> Result<Vec<ndarray::ArrayD<f32>>> { model.get_layer(layer)?.get_weights() };
    model.get_layer("shared")?.set_trainable(false);
    let (shared, head) = (weights(&model, "shared")?, weights(&model, "kind")?);
    model.fit(&data, quiet())?;
    assert_eq!(shared, weights(&model, "shared")?);
    assert_ne!(head, weights(&model, "kind")?);
    assert!(model.summary()?.contains("Non-trainable params: 30 "));
    // In the middle of a training: from the third epoch on.
    let mut seen = Vec::new();
    let thaw = LambdaCallback::new()
        .on_epoch_begin(|epoch, training| {
            if epoch == 2 {
                training.model().get_layer("shared")?.set_trainable(true);
            }
            Ok(())
        })
        .on_epoch_end(|_, _, training| {
            seen.push(training.model().get_layer("shared")?.get_weights()?);
            Ok(())
        });
    model.fit(&data, Fit { epochs: 4, ..quiet() }.callback(thaw))?;
    assert_eq!((&seen[0], &seen[1]), (&shared, &shared));
    assert!(seen[2] != shared && seen[3] != seen[2]);
    Ok(())
}

#[test]
fn mistakes_are_named() -> Result<()> {
    let (x, z) = (Input::named("x", [4]), Input::named("z", [4]));
    let y = Add::new().on([&x, &z])?;
    let text = Model::new([&x], [&y]).err().expect("z is missing").to_string();
    assert!(text.contains("the input \"z\" of shape [4]"), "{text}");
    let text = Add::new().on([&x, &Input::new([3])]).expect_err("shapes that do not fit").to_string();
    assert_eq!(text, "Add: expected samples of shapes that broadcast, got [4] and [3]");
    let text = Conv2D::new(4, 3).on(&x).expect_err("no image").to_string();
    assert!(text.contains("images of shape [height, width, channels]"), "{text}");
    let mut model = two_by_two()?;
    let text = model.compile("adam", ["mse", "mse", "mse"], ()).expect_err("three losses").to_string();
    assert!(text.contains("kind, size"), "{text}");
    let text = model.compile("adam", [("knd", "mse")], ()).expect_err("no such output").to_string();
    assert!(text.contains("kind, size") && text.contains("\"knd\""), "{text}");
    model.compile("adam", ["sparse_categorical_crossentropy", "mse"], [("kind", "acc")])?;
    let text = model.fit((fill(&[4, 4], 1.0, 1.0)?, fill(&[4, 1], 1.0, 1.0)?), quiet()).expect_err("one input").to_string();
    assert!(text.contains("samples for \"left\", \"right\"") && text.contains("one array"), "{text}");
    let text = model.call(&Tensor::zeros(&cpu(), [1, 4])?, &Call::inference()).expect_err("one input").to_string();
    assert!(text.contains("inputs: expected 2, got 1"), "{text}");
    Ok(())
}
