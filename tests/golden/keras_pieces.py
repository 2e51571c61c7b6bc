"""What Keras's layers are given: regularizers, constraints, and what is certain of initializers."""

import keras
import numpy as np
import tensorflow as tf
from keras.src.initializers import random_initializers

from golden_io import rng, uniform
from keras_layers import as_tensor, dense, in_both_types, weight_names

NAMES = {"L1", "L2", "L1L2", "OrthogonalRegularizer", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "Identity", "Constant", "Zeros", "Ones"}


def made(expression):
    """The object that an expression makes, which may also be a word that Keras understands."""
    spaces = (keras.regularizers, keras.constraints, keras.initializers)
    return eval(expression, {name: value for space in spaces for name, value in vars(space).items() if name in NAMES})


def regularizers(out):
    """`penalty` of a weight, and its gradient."""

    def case(name, expression, x):
        x = uniform(rng(name), x, -2, 2) if isinstance(x, tuple) else np.float32(x)

        def penalty(step):
            regularizer, v = keras.regularizers.get(made(expression)), as_tensor(x)
            if hasattr(regularizer, "factor"):  # A tensor, which Keras makes in float32 always.
                regularizer.factor = tf.cast(regularizer.factor, v.dtype)
            with tf.GradientTape() as tape:
                tape.watch(v)
                p = regularizer(v)
            dx = dense(tape.gradient(p, v), x)
            if step:
                direction = rng("along" + name).normal(size=x.shape)
                ends = [float(regularizer(as_tensor(x + s * step * direction))) for s in (1, -1)]
                assert abs((ends[0] - ends[1]) / (2 * step) - np.sum(dx * direction)) < 1e-6, name
            return p.numpy(), dx

        p, dx = in_both_types(name, penalty, None if np.any(x == 0) else 1e-6)
        out.case("regularizer_" + name, regularizer=expression, x=x, penalty=np.float64(p), dx=dx)

    for word in ("l1", "l2", "l1l2", "orthogonal_regularizer"):
        case(word, f'"{word}"', (3, 4))
    case("L1_0.3", "L1(0.3)", (2, 3, 2))
    case("L2_0.3", "L2(0.3)", (2, 3, 2, 2))
    case("L1L2", "L1L2(l1=0.2, l2=0.05)", (5,))
    case("L1L2_at_zero", "L1L2(l1=0.2, l2=0.05)", [[0, 1, -0.5], [0, -2, 0]])
    case("orthogonal_rows", 'OrthogonalRegularizer(factor=0.1, mode="rows")', (3, 4))
    case("orthogonal_columns", 'OrthogonalRegularizer(factor=0.1, mode="columns")', (3, 4))


def constraints(out):
    """`y` is what a weight `x` becomes."""

    def case(name, expression, x):
        x = uniform(rng(name), x, -2, 2) if isinstance(x, tuple) else np.float32(x)
        y = in_both_types(name, lambda _: tf.convert_to_tensor(keras.constraints.get(made(expression))(as_tensor(x))).numpy(), None)
        out.case("constraint_" + name, constraint=expression, x=x, y=y)

    for word in ("max_norm", "min_max_norm", "non_neg", "unit_norm"):
        case(word, f'"{word}"', (4, 3))
    case("MaxNorm_1", "MaxNorm(1.0)", (3, 4))
    case("MaxNorm_axis1", "MaxNorm(1.5, axis=1)", (3, 4))
    case("MaxNorm_of_a_kernel", "MaxNorm(1.0, axis=[0, 1, 2])", (2, 3, 2, 2))
    case("MaxNorm_zero_column", "MaxNorm(1.0)", [[0, 3], [0, -4]])
    case("MinMaxNorm_half_way", "MinMaxNorm(0.5, 1.5, rate=0.5)", (3, 4))
    case("MinMaxNorm_too_small", "MinMaxNorm(min_value=4.0, max_value=5.0)", (3, 4))
    case("MinMaxNorm_axis1", "MinMaxNorm(0.5, 1.0, rate=0.25, axis=1)", (3, 4))
    case("MinMaxNorm_zero_column", "MinMaxNorm(0.5, 1.0)", [[0, 3], [0, -4]])
    case("UnitNorm_axis1", "UnitNorm(axis=1)", (3, 4))
    case("UnitNorm_of_a_kernel", "UnitNorm(axis=[0, 1, 2])", (2, 3, 2, 2))
    case("UnitNorm_zero_column", "UnitNorm()", [[0, 3], [0, -4]])
    case("NonNeg_vector", "NonNeg()", [-1, 0, 2, -0.5])


def initializers(out):
    """`y` where nothing is random, and the fans that the scale of random numbers follows from."""

    def certain(name, expression, shape):
        y = keras.initializers.get(made(expression))(shape)
        out.case("initializer_" + name, initializer=expression, size=np.array(shape), y=tf.convert_to_tensor(y).numpy())

    certain("identity", '"identity"', (3, 3))
    certain("Identity_wide", "Identity(gain=2.0)", (2, 4))
    certain("Identity_high", "Identity()", (3, 2))
    certain("zeros", '"zeros"', (2, 3))
    certain("ones", '"ones"', (3,))
    certain("Constant", "Constant(0.25)", (2, 2))

    shapes = dict(vector=(5,), dense=(4, 6), conv1d=(3, 2, 5), conv2d=(3, 2, 4, 6), depthwise=(3, 3, 4, 2), transposed=(2, 2, 6, 3))
    for name, shape in shapes.items():
        fan_in, fan_out = random_initializers.compute_fans(shape)
        out.case("fans_" + name, size=np.array(shape), fan_in=np.array(fan_in), fan_out=np.array(fan_out))
    attention_fans(out)


def attention_fans(out):
    """The fans of the four kernels of MultiHeadAttention, which follow its equations, as Keras computes them while it builds."""
    seen, compute = [], random_initializers.compute_fans

    def noted(shape, **axes):
        seen.append((shape, compute(shape, **axes)))
        return seen[-1][1]

    random_initializers.compute_fans = noted
    try:
        layer = keras.layers.MultiHeadAttention(2, 3, value_dim=5, use_bias=False)
        layer(np.zeros((1, 2, 8), np.float32), np.zeros((1, 2, 7), np.float32))
    finally:
        random_initializers.compute_fans = compute
    names = weight_names(layer)
    assert [tuple(w.shape) for w in layer.weights] == [tuple(shape) for shape, _ in seen], seen
    fields = {}
    for name, (shape, fans) in zip(names, seen):
        fields |= {name + "_size": np.array(shape), name + "_fans": np.array(fans)}
    out.case("fans_MultiHeadAttention", layer="MultiHeadAttention(2, 3, value_dim=5, use_bias=False)", weights=" ".join(names), **fields)
