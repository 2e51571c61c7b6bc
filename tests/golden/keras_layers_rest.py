"""Layers of Keras that see no neighbours: shapes, normalisation, merges."""

import keras
import numpy as np

from golden_io import rng, uniform
from keras_layers import layer_case


def dense(out):
    case = lambda *a, **k: layer_case(out, *a, **k)
    case("Dense", "Dense(3)", (4, 5))
    case("Dense_no_bias_tanh", 'Dense(2, activation="tanh", use_bias=False)', (3, 4))
    case("Dense_rank4_gelu", 'Dense(3, activation="gelu")', (2, 1, 3, 2))
    case(
        "Dense_regularized",
        'Dense(3, kernel_regularizer="l2", bias_regularizer=regularizers.L1(0.1), activity_regularizer=regularizers.L1L2(0.02, 0.03))',
        (4, 3),
    )
    case("Embedding_matrix", "Embedding(6, 2)", np.array([[1, 4, 1], [0, 5, 3]], np.int32))
    case("Embedding_vector", "Embedding(4, 3)", np.array([3, 0, 3, 3, 1], np.int32))
    case("Embedding_regularized", 'Embedding(4, 2, embeddings_regularizer="l2")', np.array([[2, 2], [0, 1]], np.int32))


def shapes(out):
    case = lambda *a, **k: layer_case(out, *a, **k)
    case("Flatten_rank2", "Flatten()", (2, 3))
    case("Flatten_rank4", "Flatten()", (2, 2, 3, 2))
    case("Flatten_rank1", "Flatten()", (3,))
    case("Reshape", "Reshape((3, 4))", (2, 2, 6))
    case("Reshape_inferred", "Reshape((2, -1, 2))", (2, 12))
    case("Reshape_to_vector", "Reshape((-1,))", (2, 2, 3))
    case("Permute_2_1", "Permute((2, 1))", (2, 3, 4))
    case("Permute_3_1_2", "Permute((3, 1, 2))", (2, 2, 3, 4))
    case("RepeatVector", "RepeatVector(3)", (2, 4))
    case("Rescaling", "Rescaling(1 / 127.5, offset=-1)", (2, 3))
    case("Rescaling_per_channel", "Rescaling([0.5, 2.0, -1.0], offset=[0.0, 1.0, 0.5])", (2, 2, 3))
    case("Rescaling_bytes", "Rescaling(1 / 255)", np.array([[0, 1, 127], [128, 254, 255]], np.uint8))


def batch_normalization(out):
    def case(name, options, shape, **call):
        layer_case(out, "BatchNormalization_" + name, f"BatchNormalization({options})", shape, **call)

    for training in (0, 1):
        tag = "training" if training else "inference"
        case(f"rank2_{tag}", "", (6, 3), training=training)
        case(f"rank3_{tag}", "", (2, 4, 3), training=training)
        case(f"rank4_{tag}", "momentum=0.8, epsilon=1e-4", (3, 2, 3, 2), training=training)
        case(f"no_scale_{tag}", "scale=False", (5, 3), training=training)
        case(f"no_center_{tag}", "center=False", (5, 3), training=training)
        case(f"neither_{tag}", "center=False, scale=False", (2, 2, 2, 3), training=training)
        case(f"axis1_{tag}", "axis=1", (2, 3, 2, 2), training=training)
        case(f"frozen_{tag}", "trainable=False", (4, 3), training=training)
    case("rank2_training_twice", "momentum=0.9", (6, 3), training=1, calls=2)
    case("rank4_training_three_times", "momentum=0.5", (2, 2, 3, 2), training=1, calls=3)
    case("one_sample_training", "", (1, 3), training=1)
    case("regularized_training", 'gamma_regularizer="l2", beta_regularizer="l1"', (5, 3), training=1)


def normalization(out):
    case = lambda *a, **k: layer_case(out, *a, **k)
    case("LayerNormalization_rank2", "LayerNormalization()", (3, 5))
    case("LayerNormalization_rank3_epsilon", "LayerNormalization(epsilon=1e-5)", (2, 3, 4))
    case("LayerNormalization_axes_1_2", "LayerNormalization(axis=(1, 2))", (3, 2, 4))
    case("LayerNormalization_axes_last_two_of_four", "LayerNormalization(axis=[-2, -1])", (2, 2, 3, 2))
    case("LayerNormalization_axis1", "LayerNormalization(axis=1)", (2, 4, 3))
    case("LayerNormalization_no_scale", "LayerNormalization(scale=False)", (3, 4))
    case("LayerNormalization_no_center", "LayerNormalization(center=False)", (3, 4))
    case("LayerNormalization_neither", "LayerNormalization(center=False, scale=False)", (3, 4))
    for groups, name in ((1, "1"), (2, "2"), (-1, "each_channel")):
        case(f"GroupNormalization_{name}", f"GroupNormalization({groups})", (2, 2, 3, 4))
    case("GroupNormalization_rank2", "GroupNormalization(3)", (2, 6))
    case("GroupNormalization_rank3_epsilon", "GroupNormalization(2, epsilon=1e-5)", (2, 3, 4))
    case("GroupNormalization_neither", "GroupNormalization(2, center=False, scale=False)", (2, 2, 2, 4))
    case("GroupNormalization_axis1", "GroupNormalization(2, axis=1)", (2, 4, 2, 2))


def given_normalization(out):
    """Normalization, whose mean and variance are told or taken from data."""
    case = lambda *a, **k: layer_case(out, *a, **k)
    case("Normalization_given", "Normalization(mean=[0.5, -1.0, 2.0], variance=[0.25, 1.0, 4.0])", (4, 3))
    case("Normalization_given_scalar", "Normalization(mean=3.0, variance=2.0, axis=None)", (2, 3, 2))
    case("Normalization_given_inverted", "Normalization(mean=[0.5, -1.0], variance=[0.25, 4.0], invert=True)", (3, 2))
    case("Normalization_no_variance", "Normalization(mean=[1.0, 2.0], variance=[0.0, 1.0])", (2, 2))

    def adapted(name, expression, data, x):
        def make():
            layer = eval(expression, vars(keras.layers))
            layer.adapt(data)
            return layer

        layer_case(out, name, expression, x, make=make, keep_weights=True, attributes=dict(data=data))

    data = uniform(rng("adapt"), (7, 3), -2, 2)
    adapted("Normalization_adapted", "Normalization()", data, (4, 3))
    adapted("Normalization_adapted_whole", "Normalization(axis=None)", data, (4, 3))
    adapted("Normalization_adapted_images", "Normalization()", uniform(rng("adapt images"), (3, 2, 2, 2), 0, 4), (2, 2, 2, 2))
    adapted("Normalization_adapted_per_place", "Normalization(axis=(1, 2))", uniform(rng("adapt places"), (5, 2, 3)), (2, 2, 3))


def merges(out):
    case = lambda *a, **k: layer_case(out, *a, **k)
    for name in ("Add", "Multiply", "Average", "Maximum", "Minimum"):
        case(name + "_two", name + "()", (2, 3), (2, 3))
        case(name + "_three", name + "()", (2, 2, 3), (2, 2, 3), (2, 2, 3))
        case(name + "_broadcast", name + "()", (2, 2, 3), (2, 1, 3))
        case(name + "_lower_rank", name + "()", (2, 2, 3), (2, 3))
    case("Subtract_two", "Subtract()", (2, 3), (2, 3))
    case("Subtract_broadcast", "Subtract()", (2, 1, 3), (2, 2, 3))
    ties = np.array([[1, 2, -0.5, 0]], np.float32)
    other = np.array([[1, 1, 0.5, 0]], np.float32)
    third = np.array([[1, 2, 0.5, 0]], np.float32)
    for name in ("Maximum", "Minimum"):
        case(name + "_ties", name + "()", ties, other, third, step=None)
    case("Concatenate_last", "Concatenate()", (2, 3), (2, 2))
    case("Concatenate_axis1", "Concatenate(axis=1)", (2, 1, 3), (2, 2, 3), (2, 3, 3))
    case("Concatenate_images", "Concatenate()", (1, 2, 2, 1), (1, 2, 2, 3))
    case("Concatenate_axis_minus_2", "Concatenate(axis=-2)", (2, 2, 2), (2, 1, 2))
    case("Dot_axes1_rank2", "Dot(axes=1)", (3, 4), (3, 4))
    case("Dot_axes1_rank2_normalized", "Dot(axes=1, normalize=True)", (3, 4), (3, 4))
    case("Dot_axes_2_2", "Dot(axes=2)", (2, 3, 4), (2, 5, 4))
    case("Dot_axes_2_1", "Dot(axes=(2, 1))", (2, 3, 4), (2, 4, 2))
    case("Dot_axes_1_2", "Dot(axes=(1, 2))", (2, 3, 4), (2, 2, 3))
    case("Dot_axes1_rank3_normalized", "Dot(axes=1, normalize=True)", (2, 3, 2), (2, 3, 4))
    case("Dot_axes_minus_1", "Dot(axes=-1)", (2, 3, 4), (2, 2, 4))
    case("Dot_rank3_rank2", "Dot(axes=(2, 1))", (2, 3, 4), (2, 4))
