//! Trainings under `mixed_float16` against Keras's. Where values are rounded to f16 differs: Gradus keeps in f32 what stays in one kernel. So what is
//! allowed is what rounding does to Keras's own training, which is given under both policies.

use super::compare::single_backends;
use super::reader::{Case, File};
use gradus::layers::ActivationFn::{Relu, Softmax};
use gradus::layers::{BatchNormalization, Conv2D, Dense, Flatten, MaxPooling2D};
use gradus::losses::SparseCategoricalCrossentropy;
use gradus::models::{Model, Sequential};
use gradus::optimizers::{Adam, SGD};
use gradus::testing::close;
use gradus::train::{Data, Samples};
use gradus::{Device, Result};
use ndarray::ArrayD;

const BATCH: usize = 8;

fn network(policy: &str, device: &Device, common: &Case) -> Result<Model> {
    let mut model = Sequential::new()
        .add(Conv2D::new(8, 3).activation(Relu))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(Dense::new(16).activation(Relu))
        .add(Dense::new(4).activation(Softmax).dtype_policy("float32"))
        .input([8, 8, 1])
        .on_device(device)
        .into_model()
        .dtype_policy(policy);
    model.build([8, 8, 1])?;
    let array = |i: usize| {
        let field = format!("weight{i}");
        ArrayD::from_shape_vec(common.shape(&field).to_vec(), common.f32s(&field)).expect("the reader counted them")
    };
    model.set_weights(&(0..model.variables().len()).map(array).collect::<Vec<_>>())?;
    Ok(model)
}

/// The loss of every step, then every weight.
fn train(name: &str, policy: &str, device: &Device, common: &Case) -> Result<Vec<Vec<f64>>> {
    let mut model = network(policy, device, common)?;
    let loss = SparseCategoricalCrossentropy::default;
    match name {
        "sgd" => model.compile(SGD::new(0.05).momentum(0.9), loss(), ())?,
        "adam" => model.compile(Adam::new(0.01), loss(), ())?,
        other => panic!("mixed.txt has another case, {other}"),
    }
    let (x, y) = (common.f32s("x"), common.f32s("y").into_iter().map(|y| y as u32).collect::<Vec<_>>());
    let mut losses = Vec::new();
    for (x, y) in x.chunks(BATCH * 64).zip(y.chunks(BATCH)) {
        model.reset_metrics();
        losses.push(model.train_on_batch(Data::new(Samples::new([BATCH, 8, 8, 1], x)?, y)?)?.loss);
    }
    let weights = model.get_weights()?.into_iter().map(|w| w.iter().map(|&v| f64::from(v)).collect());
    Ok(std::iter::once(losses).chain(weights).collect())
}

#[test]
fn trainings_in_f16_go_as_those_of_keras() -> Result<()> {
    let file = File::parse("mixed.txt", include_str!("mixed.txt"));
    let common = file.case("common");
    for case in file.cases().filter(|case| case.name != "common") {
        for backend in single_backends("mixed trainings") {
            let device = &backend.device;
            let (single, mixed) = (train(&case.name, "float32", device, common)?, train(&case.name, "mixed_float16", device, common)?);
            let fields = std::iter::once("losses".to_string()).chain((0..single.len() - 1).map(|i| format!("after{i}")));
            for ((single, mixed), field) in single.iter().zip(&mixed).zip(fields) {
                let what = format!("{} {field} on {device}", case.name);
                let [keras_single, keras_mixed] = ["float32", "mixed_float16"].map(|policy| case.f64s(&format!("{field}_{policy}")));
                let apart = keras_single.iter().zip(&keras_mixed).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                close(single, &keras_single, 0.2 * apart, 1e-4).unwrap_or_else(|e| panic!("{what}, float32: {e}"));
                close(mixed, &keras_mixed, 4.0 * apart, 0.0).unwrap_or_else(|e| panic!("{what}, mixed_float16: {e}"));
                assert_ne!(single, mixed, "{what}: nothing was rounded");
            }
        }
    }
    Ok(())
}
