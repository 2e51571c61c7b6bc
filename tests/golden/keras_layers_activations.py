"""Activations of Keras, as functions and as layers, with their gradients: where they are smooth, and at their kinks."""

import keras
import numpy as np

from keras_layers import layer_case

# Functions of single numbers by name and options, and where their slope jumps.
FUNCTIONS = (
    [(name, {}) for name in ("linear", "sigmoid", "tanh", "relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "softplus")]
    + [(name, {}) for name in ("softsign", "hard_sigmoid", "hard_silu", "hard_tanh", "tanh_shrink", "soft_shrink", "hard_shrink", "mish")]
    + [(name, {}) for name in ("exponential", "log_sigmoid", "squareplus", "sparse_plus", "sparse_sigmoid")]
    + [
        ("relu", dict(negative_slope=0.25)),
        ("relu", dict(max_value=2.0)),
        ("relu", dict(threshold=1.0)),
        ("relu", dict(negative_slope=0.125, max_value=3.0, threshold=0.5)),
        ("leaky_relu", dict(negative_slope=0.4)),
        ("elu", dict(alpha=0.5)),
        ("celu", dict(alpha=0.7)),
        ("gelu", dict(approximate=True)),
        ("soft_shrink", dict(threshold=1.0)),
        ("hard_shrink", dict(threshold=1.0)),
        ("threshold", dict(threshold=1.0, default_value=-2.0)),
        ("squareplus", dict(b=1.0)),
    ]
)
# Functions along an axis.
ALONG = [(name, {}) for name in ("softmax", "log_softmax", "sparsemax", "glu")] + [
    (name, dict(axis=1)) for name in ("softmax", "log_softmax", "glu")
]
SMOOTH = np.array([[-7.3, -4.1, -2.7, -1.6, -0.9, -0.3, -0.01, 0.02, 0.3, 0.7, 1.2, 1.7, 2.6, 3.4, 5.2, 7.8]], np.float32)
KINKS = np.array([[-6, -3, -2, -1, -0.5, 0, 0.5, 1, 2, 3, 4, 6]], np.float32)
# Far out, but where the exponential function still is a number of moderate size.
FAR = np.array([[-90, -35, -18, 18, 35, 90]], np.float32)


def tag(name, options):
    return "_".join([name] + [f"{key}_{value}" for key, value in options.items()])


def functions(out):
    def case(kind, name, options, x, **more):
        """As a layer that is given the function; `function` and its options are written in place of `layer`."""
        function = getattr(keras.activations, name)
        make = lambda: keras.layers.Activation(lambda v: function(v, **options))
        numbers = {k: np.float32(v) if isinstance(v, float) else v for k, v in options.items()}
        layer_case(out, f"{tag(name, options)}{kind}", name, x, make=make, what="function", attributes=numbers, **more)

    for name, options in FUNCTIONS:
        case("", name, options, SMOOTH)
        case("_kinks", name, options, KINKS, step=None)
        if name != "exponential":
            case("_far", name, options, FAR, step=None)
    for name, options in ALONG:
        case("", name, options, (2, 4, 6))
    far = np.array([[100, -100, 0, 3], [1000, 1000, 999, -1000], [-90, -90, -90, -90]], np.float32)
    for name in ("softmax", "log_softmax", "sparsemax"):
        case("_far", name, {}, far, step=None)


def layers(out):
    case = lambda *a, **k: layer_case(out, *a, **k)
    case("ReLU", "ReLU()", SMOOTH)
    case("ReLU_max_value", "ReLU(max_value=2)", SMOOTH)
    case("ReLU_negative_slope", "ReLU(negative_slope=0.25)", SMOOTH)
    case("ReLU_threshold", "ReLU(threshold=0.75)", SMOOTH)
    case("ReLU_all_options", "ReLU(max_value=3, negative_slope=0.125, threshold=0.5)", SMOOTH)
    case("LeakyReLU", "LeakyReLU()", SMOOTH)
    case("LeakyReLU_0.1", "LeakyReLU(0.1)", SMOOTH)
    case("ELU", "ELU()", SMOOTH)
    case("ELU_0.5", "ELU(0.5)", SMOOTH)
    case("PReLU", "PReLU()", (3, 4))
    case("PReLU_images", "PReLU()", (2, 2, 3, 2))
    case("PReLU_shared", "PReLU(shared_axes=[1, 2])", (2, 2, 3, 2))
    case("Softmax", "Softmax()", (2, 4))
    case("Softmax_axis1", "Softmax(axis=1)", (2, 3, 4))
    case("Softmax_two_axes", "Softmax(axis=[1, 2])", (2, 3, 2))
    case("Activation_tanh", 'Activation("tanh")', (2, 3))
