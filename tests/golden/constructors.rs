//! Layers and what layers are given, from Keras's expressions for them.

use super::expressions::{Expression, Value};
use gradus::constraints::{ConstraintArg, MaxNorm, MinMaxNorm, NonNeg, UnitNorm};
use gradus::initializers::{Constant, Identity, InitializerArg};
use gradus::layers::*;
use gradus::regularizers::{L1, L1L2, L2, OrthogonalRegularizer, RegularizerArg};

/// The values as the crate's arguments.
impl Value {
    fn size<const R: usize>(self) -> Size<R> {
        match self {
            Value::List(values) => Size(std::array::from_fn(|i| values[i].clone().count())),
            one => Size::from(one.count()),
        }
    }

    fn size1(self) -> Size<1> {
        self.size()
    }

    fn size2(self) -> Size<2> {
        self.size()
    }

    fn numbers(self) -> Numbers {
        match self {
            Value::List(_) => Numbers::from(self.list(Value::number)),
            one => Numbers::from(one.number()),
        }
    }

    fn edges2(self) -> Edges<2> {
        let Value::List(sides) = &self else { return Edges::from(self.count()) };
        match &sides[..] {
            [Value::List(_), Value::List(_)] => {
                let pair = |side: &Value| <[usize; 2]>::try_from(side.clone().counts()).map(|[a, b]| (a, b)).expect("two numbers");
                Edges::from((pair(&sides[0]), pair(&sides[1])))
            }
            _ => Edges::from((sides[0].clone().count(), sides[1].clone().count())),
        }
    }
}

/// What else layers take.
impl Value {
    fn activation(self) -> ActivationArg {
        self.text().as_str().into()
    }

    fn padding(self) -> PaddingArg {
        self.text().as_str().into()
    }

    fn interpolation(self) -> InterpolationArg {
        self.text().as_str().into()
    }

    fn merge_mode(self) -> MergeArg {
        match self {
            Value::None => MergeMode::None.into(),
            mode => mode.text().as_str().into(),
        }
    }

    /// A rule by its name or its class.
    pub fn regularizer(self) -> RegularizerArg {
        let Value::Call(e) = self else { return self.text().as_str().into() };
        let factor = |position, name| e.get(position, name).map(Value::number);
        let rule: RegularizerArg = match e.name.as_str() {
            "L1" => L1(factor(0, "l1").unwrap_or(L1::default().0)).into(),
            "L2" => L2(factor(0, "l2").unwrap_or(L2::default().0)).into(),
            "L1L2" => L1L2 { l1: factor(0, "l1").unwrap_or(0.0), l2: factor(1, "l2").unwrap_or(0.0) }.into(),
            "OrthogonalRegularizer" => {
                let columns = e.get(1, "mode").is_some_and(|mode| mode.text() == "columns");
                let factor = factor(0, "factor").unwrap_or(OrthogonalRegularizer::default().factor);
                OrthogonalRegularizer { factor, columns }.into()
            }
            other => panic!("the regularizer {other}"),
        };
        e.check_all_used();
        rule
    }

    /// As [`Value::regularizer`].
    pub fn constraint(self) -> ConstraintArg {
        let Value::Call(e) = self else { return self.text().as_str().into() };
        let number = |position, name| e.get(position, name).map(Value::number);
        let axis = |position| e.get(position, "axis").map_or_else(|| Axes::from(0), |axis| Axes::from(axis.axes()));
        let rule: ConstraintArg = match e.name.as_str() {
            "MaxNorm" => MaxNorm { max_value: number(0, "max_value").unwrap_or(2.0), axis: axis(1) }.into(),
            "MinMaxNorm" => {
                let bounds = [number(0, "min_value").unwrap_or(0.0), number(1, "max_value").unwrap_or(1.0)];
                MinMaxNorm { min_value: bounds[0], max_value: bounds[1], rate: number(2, "rate").unwrap_or(1.0), axis: axis(3) }.into()
            }
            "NonNeg" => NonNeg.into(),
            "UnitNorm" => UnitNorm { axis: axis(0) }.into(),
            other => panic!("the constraint {other}"),
        };
        e.check_all_used();
        rule
    }

    /// As [`Value::regularizer`].
    pub fn initializer(self) -> InitializerArg {
        let Value::Call(e) = self else { return self.text().as_str().into() };
        let rule: InitializerArg = match e.name.as_str() {
            "Constant" => Constant(e.required(0, "value").number() as f32).into(),
            "Identity" => Identity { gain: e.get(0, "gain").map_or(1.0, |gain| gain.number() as f32) }.into(),
            other => panic!("the initializer {other}"),
        };
        e.check_all_used();
        rule
    }
}

/// The layer with those of these options that are given by name, each read as the kind behind it.
macro_rules! options {
    ($e:ident, $layer:expr $(, $option:ident as $kind:ident)*) => {{
        let layer = $layer;
        $( let layer = match $e.named(stringify!($option)) {
            Some(value) => layer.$option(value.$kind()),
            None => layer,
        }; )*
        layer
    }};
}

macro_rules! with_options {
    ($e:ident, $($rest:tt)*) => { Box::new(options!($e, $($rest)*)) as Box<dyn Layer> };
}

macro_rules! convolution {
    ($e:ident, $size:ident, $layer:expr $(, $option:ident as $kind:ident)*) => {
        with_options!($e, $layer, padding as padding, activation as activation, strides as $size, dilation_rate as $size, use_bias as flag
            $(, $option as $kind)*)
    };
}

macro_rules! pooling {
    ($e:ident, $name:ident, $size:ident) => {
        with_options!($e, $name::new($e.required(0, "pool_size").$size()), padding as padding, strides as $size)
    };
}

/// The layer.
///
/// # Panics
/// If the crate has none of this name, or for an argument that is not understood.
pub fn layer(e: &Expression) -> Box<dyn Layer> {
    let families = [convolutions, poolings, shapes, dense, activations, merges, normalizations, recurrences];
    let layer = families.iter().find_map(|family| family(e)).unwrap_or_else(|| panic!("the layer {}", e.name));
    if let Some(trainable) = e.named("trainable") {
        layer.set_trainable(trainable.flag());
    }
    e.check_all_used();
    layer
}

fn convolutions(e: &Expression) -> Option<Box<dyn Layer>> {
    let first = || e.required(0, "filters").count();
    let second = || e.required(1, "kernel_size");
    Some(match e.name.as_str() {
        "Conv1D" => convolution!(e, size1, Conv1D::new(first(), second().size1()), groups as count),
        "Conv2D" => convolution!(e, size2, Conv2D::new(first(), second().size2()), groups as count),
        "Conv2DTranspose" => convolution!(e, size2, Conv2DTranspose::new(first(), second().size2()), output_padding as size2),
        "SeparableConv2D" => convolution!(e, size2, SeparableConv2D::new(first(), second().size2()), depth_multiplier as count),
        "DepthwiseConv2D" => {
            convolution!(e, size2, DepthwiseConv2D::new(e.required(0, "kernel_size").size2()), depth_multiplier as count)
        }
        _ => return None,
    })
}

fn poolings(e: &Expression) -> Option<Box<dyn Layer>> {
    Some(match e.name.as_str() {
        "MaxPooling1D" => pooling!(e, MaxPooling1D, size1),
        "MaxPooling2D" => pooling!(e, MaxPooling2D, size2),
        "AveragePooling1D" => pooling!(e, AveragePooling1D, size1),
        "AveragePooling2D" => pooling!(e, AveragePooling2D, size2),
        "GlobalMaxPooling1D" => with_options!(e, GlobalMaxPooling1D::new(), keepdims as flag),
        "GlobalMaxPooling2D" => with_options!(e, GlobalMaxPooling2D::new(), keepdims as flag),
        "GlobalAveragePooling1D" => with_options!(e, GlobalAveragePooling1D::new(), keepdims as flag),
        "GlobalAveragePooling2D" => with_options!(e, GlobalAveragePooling2D::new(), keepdims as flag),
        _ => return None,
    })
}

fn shapes(e: &Expression) -> Option<Box<dyn Layer>> {
    Some(match e.name.as_str() {
        "UpSampling2D" => {
            let size = e.get(0, "size").map_or(Size::from(2), Value::size2);
            with_options!(e, UpSampling2D::new(size), interpolation as interpolation)
        }
        "ZeroPadding2D" => with_options!(e, e.get(0, "padding").map_or_else(ZeroPadding2D::default, |v| ZeroPadding2D::new(v.edges2()))),
        "Cropping2D" => with_options!(e, e.get(0, "cropping").map_or_else(Cropping2D::default, |v| Cropping2D::new(v.edges2()))),
        "Flatten" => with_options!(e, Flatten::new()),
        "Reshape" => with_options!(e, Reshape::new(e.required(0, "target_shape").axes())),
        "Permute" => with_options!(e, Permute::new(e.required(0, "dims").counts())),
        "RepeatVector" => with_options!(e, RepeatVector::new(e.required(0, "n").count())),
        "Rescaling" => with_options!(e, Rescaling::new(e.required(0, "scale").numbers()), offset as numbers),
        _ => return None,
    })
}

fn activations(e: &Expression) -> Option<Box<dyn Layer>> {
    Some(match e.name.as_str() {
        "ReLU" => with_options!(e, ReLU::new(), max_value as number, negative_slope as number, threshold as number),
        "LeakyReLU" => {
            with_options!(e, e.get(0, "negative_slope").map_or_else(LeakyReLU::new, |v| LeakyReLU::new().negative_slope(v.number())))
        }
        "ELU" => with_options!(e, e.get(0, "alpha").map_or_else(ELU::new, |v| ELU::new().alpha(v.number()))),
        "PReLU" => with_options!(e, PReLU::new(), shared_axes as counts),
        "Softmax" => with_options!(e, e.named("axis").map_or_else(Softmax::new, |v| Softmax::new().axes(v.axes()))),
        "Activation" => with_options!(e, Activation::new(e.required(0, "activation").text().as_str())),
        _ => return None,
    })
}

fn merges(e: &Expression) -> Option<Box<dyn Layer>> {
    Some(match e.name.as_str() {
        "Add" => with_options!(e, Add::new()),
        "Subtract" => with_options!(e, Subtract::new()),
        "Multiply" => with_options!(e, Multiply::new()),
        "Average" => with_options!(e, Average::new()),
        "Maximum" => with_options!(e, Maximum::new()),
        "Minimum" => with_options!(e, Minimum::new()),
        "Concatenate" => with_options!(e, Concatenate::new(), axis as axis),
        "Dot" => {
            let axes = match e.required(0, "axes") {
                Value::List(both) => DotAxes(both[0].clone().axis(), both[1].clone().axis()),
                one => DotAxes::from(one.axis()),
            };
            with_options!(e, Dot::new(axes), normalize as flag)
        }
        _ => return None,
    })
}

fn dense(e: &Expression) -> Option<Box<dyn Layer>> {
    Some(match e.name.as_str() {
        "Dense" => with_options!(
            e,
            Dense::new(e.required(0, "units").count()),
            activation as activation,
            use_bias as flag,
            kernel_regularizer as regularizer,
            bias_regularizer as regularizer,
            activity_regularizer as regularizer
        ),
        "Embedding" => {
            let layer = Embedding::new(e.required(0, "input_dim").count(), e.required(1, "output_dim").count());
            with_options!(e, layer, embeddings_regularizer as regularizer)
        }
        _ => return None,
    })
}

fn normalizations(e: &Expression) -> Option<Box<dyn Layer>> {
    Some(match e.name.as_str() {
        "BatchNormalization" => with_options!(
            e,
            BatchNormalization::new(),
            axis as axis,
            momentum as number,
            epsilon as number,
            center as flag,
            scale as flag,
            gamma_regularizer as regularizer,
            beta_regularizer as regularizer
        ),
        "LayerNormalization" => {
            with_options!(e, LayerNormalization::new(), axis as axes, epsilon as number, center as flag, scale as flag)
        }
        "GroupNormalization" => {
            let layer = match e.required(0, "groups").axis() {
                -1 => GroupNormalization::each_channel(),
                groups => GroupNormalization::new(groups as usize),
            };
            with_options!(e, layer, axis as axis, epsilon as number, center as flag, scale as flag)
        }
        _ => return None,
    })
}

fn recurrences(e: &Expression) -> Option<Box<dyn Layer>> {
    Some(match e.name.as_str() {
        "SimpleRNN" => Box::new(simple_rnn(e)),
        "LSTM" => Box::new(lstm(e)),
        "GRU" => Box::new(gru(e)),
        "Bidirectional" => {
            let Value::Call(inner) = e.required(0, "layer") else { panic!("{}: no layer inside", e.name) };
            let layer = match inner.name.as_str() {
                "SimpleRNN" => Bidirectional::new(simple_rnn(&inner)),
                "LSTM" => Bidirectional::new(lstm(&inner)),
                "GRU" => Bidirectional::new(gru(&inner)),
                other => panic!("Bidirectional of {other}"),
            };
            inner.check_all_used();
            with_options!(e, layer, merge_mode as merge_mode)
        }
        _ => return None,
    })
}

fn simple_rnn(e: &Expression) -> SimpleRNN {
    recurrent(e, SimpleRNN::new(e.required(0, "units").count()))
}

fn lstm(e: &Expression) -> LSTM {
    options!(e, recurrent(e, LSTM::new(e.required(0, "units").count())), recurrent_activation as activation)
}

fn gru(e: &Expression) -> GRU {
    let layer = recurrent(e, GRU::new(e.required(0, "units").count()));
    options!(e, layer, recurrent_activation as activation, reset_after as flag)
}

fn recurrent<C: Cell>(e: &Expression, layer: RNN<C>) -> RNN<C> {
    options!(
        e,
        layer,
        activation as activation,
        use_bias as flag,
        return_sequences as flag,
        return_state as flag,
        go_backwards as flag,
        kernel_regularizer as regularizer,
        recurrent_regularizer as regularizer,
        bias_regularizer as regularizer
    )
}

/// Keras's `MultiHeadAttention`, which takes further options with each call.
pub fn attention(e: &Expression) -> MultiHeadAttention {
    options!(
        e,
        MultiHeadAttention::new(e.required(0, "num_heads").count(), e.required(1, "key_dim").count()),
        value_dim as count,
        output_shape as count,
        use_bias as flag,
        kernel_regularizer as regularizer,
        bias_regularizer as regularizer
    )
}

/// Keras's `Normalization`, which is told its numbers or takes them from data later.
pub fn normalization(e: &Expression) -> Normalization {
    let mut layer = Normalization::new().invert(e.named("invert").is_some_and(Value::flag));
    if let Some(axes) = e.named("axis") {
        layer = layer.axes(axes.axes());
    }
    if let (Some(mean), Some(variance)) = (e.named("mean"), e.named("variance")) {
        layer = layer.mean_and_variance(mean.numbers(), variance.numbers());
    }
    e.check_all_used();
    layer
}
