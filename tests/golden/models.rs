//! The models of `models.txt`, as `keras_models.py` makes them.

use super::reader::Case;
use gradus::constraints::MaxNorm;
use gradus::layers::*;
use gradus::losses::{BinaryCrossentropy, CategoricalCrossentropy, Huber, LogCosh, Loss, MeanSquaredError, SparseCategoricalCrossentropy};
use gradus::models::{Input, Model, Sequential};
use gradus::regularizers::L2;
use gradus::{Device, Result};

/// The model of a case on a device, built.
pub fn model(case: &Case, device: &Device) -> Result<Model> {
    let mut model = match case.name.as_str() {
        "batch_norm_classifier" => batch_norm_classifier().into_model(),
        "lstm_regression" => Sequential::new().input([6, 2]).add(LSTM::new(5)).add(Dense::new(1)).into_model(),
        "gru_words" => reader(9).into_model(),
        "gru_words_clipped" => reader(20).into_model(),
        "two_inputs_two_outputs" => two_inputs_two_outputs()?,
        "separable_net" => separable_net().into_model(),
        "regularized_regression" => regularized_regression().into_model(),
        "attention_encoder" => attention_encoder()?,
        "autoencoder" => autoencoder().into_model(),
        "residual_net" => residual_net()?,
        "constrained_recurrent" => constrained_recurrent().into_model(),
        other => panic!("there is no model {other}"),
    }
    .on_device(device);
    let samples = model.input_specs().expect("every model says what it takes").iter().map(|spec| spec.shape.clone()).collect::<Vec<_>>();
    model.build_all(&samples)?;
    Ok(model)
}

/// The loss of each output.
pub fn losses(case: &Case) -> Vec<Box<dyn Loss>> {
    match case.name.as_str() {
        "lstm_regression" => vec![Box::new(MeanSquaredError::new())],
        "gru_words" | "gru_words_clipped" | "residual_net" => vec![Box::new(SparseCategoricalCrossentropy::new().from_logits(true))],
        "two_inputs_two_outputs" => vec![Box::new(SparseCategoricalCrossentropy::new()), Box::new(MeanSquaredError::new())],
        "separable_net" => vec![Box::new(CategoricalCrossentropy::new().label_smoothing(0.1))],
        "regularized_regression" => vec![Box::new(Huber::new().delta(0.7))],
        "autoencoder" => vec![Box::new(BinaryCrossentropy::new())],
        "constrained_recurrent" => vec![Box::new(LogCosh::new())],
        _ => vec![Box::new(SparseCategoricalCrossentropy::new())],
    }
}

fn batch_norm_classifier() -> Sequential {
    Sequential::new()
        .input([6, 6, 2])
        .add(Conv2D::new(4, 3).padding("same").use_bias(false))
        .add(BatchNormalization::new())
        .add(Activation::new("relu"))
        .add(Conv2D::new(5, 3).strides(2).activation("relu"))
        .add(BatchNormalization::new().momentum(0.9))
        .add(GlobalAveragePooling2D::new())
        .add(Dense::new(3).activation("softmax"))
}

/// Reads words in both directions.
fn reader(words: usize) -> Sequential {
    Sequential::new().input([5]).add(Embedding::new(words, 4)).add(Bidirectional::new(GRU::new(3))).add(Dense::new(3))
}

fn two_inputs_two_outputs() -> Result<Model> {
    let (left, right) = (Input::named("left", [3]), Input::named("right", [4]));
    let shared = Dense::new(4).activation("tanh").named("shared");
    let u = shared.on(&left)?;
    let v = shared.on(Dense::new(3).activation("elu").named("narrow").on(&right)?)?;
    let both = Concatenate::new().on([&u, &v, &Multiply::new().on([&u, &v])?])?;
    let hidden = Dense::new(8).activation("gelu").named("hidden").on(both)?;
    let kind = Dense::new(3).activation("softmax").named("kind").on(&hidden)?;
    Model::new([left, right], [kind, Dense::new(1).named("value").on(&hidden)?])
}

fn separable_net() -> Sequential {
    Sequential::new()
        .input([6, 6, 3])
        .add(DepthwiseConv2D::new(3).padding("same").depth_multiplier(2).activation("silu"))
        .add(SeparableConv2D::new(6, 3).strides(2).activation("silu"))
        .add(Flatten::new())
        .add(Dense::new(4).activation("softmax"))
}

fn regularized_regression() -> Sequential {
    Sequential::new()
        .input([4])
        .add(Dense::new(8).activation("tanh").kernel_regularizer(L2(0.005)))
        .add(Dense::new(6).activation("softplus").kernel_regularizer("l2").bias_regularizer(L2(0.02)))
        .add(Dense::new(1).activity_regularizer(L2(0.01)))
}

/// One block of a transformer's encoder.
fn attention_encoder() -> Result<Model> {
    let x = Input::new([5, 6]);
    let attended = MultiHeadAttention::new(2, 3).on([&x, &x])?;
    let h = LayerNormalization::new().on(Add::new().on([&x, &attended])?)?;
    let wide = Dense::new(8).activation("gelu");
    // Keras numbers layers in the order of their making, and the narrow one is made first.
    let narrow = Dense::new(6).named("dense").on(wide.named("dense_1").on(&h)?)?;
    let h = LayerNormalization::new().epsilon(1e-6).on(Add::new().on([&h, &narrow])?)?;
    let y = Dense::new(3).activation("softmax").named("dense_2").on(GlobalAveragePooling1D::new().on(h)?)?;
    Model::new(x, y)
}

fn autoencoder() -> Sequential {
    Sequential::new()
        .input([8, 8, 1])
        .add(Conv2D::new(4, 3).strides(2).padding("same").activation("elu"))
        .add(AveragePooling2D::new(2))
        .add(Conv2D::new(4, 2).padding("same").activation("tanh"))
        .add(UpSampling2D::new(2))
        .add(Conv2DTranspose::new(3, 3).strides(2).padding("same").activation("elu"))
        .add(Conv2D::new(1, 3).padding("same"))
        .add(Flatten::new())
        .add(Activation::new("sigmoid"))
}

fn residual_net() -> Result<Model> {
    let x = Input::new([5, 5, 4]);
    let h = GroupNormalization::new(2).on(Conv2D::new(4, 3).padding("same").groups(2).named("conv2d").on(&x)?)?;
    let h = Conv2D::new(4, 1).named("conv2d_1").on(PReLU::new().shared_axes([1, 2]).on(h)?)?;
    let h = MaxPooling2D::new(2).padding("same").on(Add::new().on([&x, &h])?)?;
    let y = Dense::new(3).on(GlobalAveragePooling2D::new().on(h)?)?;
    Model::new(x, y)
}

fn constrained_recurrent() -> Sequential {
    let nearby = MaxNorm { max_value: 1.0, ..MaxNorm::default() };
    Sequential::new()
        .input([5, 3])
        .add(SimpleRNN::new(4).return_sequences(true).kernel_constraint(nearby))
        .add(GRU::new(4).return_sequences(true).reset_after(false))
        .add(Dense::new(2).kernel_constraint("unit_norm").bias_constraint("non_neg"))
}
