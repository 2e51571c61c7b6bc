"""Single operations: forward values and gradients from TensorFlow, computed in float64 from float32 inputs.

Every `d<input>` is the gradient of sum(y * dy) for the random upstream gradient `dy` of the case.
"""

import numpy as np
import tensorflow as tf

from golden_io import distinct, rng, uniform


def gradients(f, inputs, dy=None, g=None, dtype=tf.float64):
    """y, dy and the gradient of sum(y*dy) for each input; `g` draws dy where none is given."""
    xs = [tf.constant(v, dtype) for v in inputs]
    with tf.GradientTape() as tape:
        tape.watch(xs)
        y = f(*xs)
    dy = uniform(g, y.shape) if dy is None else dy
    # A gradient of None means that nothing flows; the golden value is then zero.
    ds = tape.gradient(y, xs, output_gradients=tf.constant(dy, dtype), unconnected_gradients="zero")
    return y.numpy(), dy, [tf.convert_to_tensor(d).numpy() for d in ds]


def op_case(out, name, f, g, names=("x",), inputs=(), **attributes):
    """Records one op. TensorFlow's float32 kernels must agree, or the case is badly conditioned."""
    y, dy, ds = gradients(f, inputs, g=g)
    y32, _, ds32 = gradients(f, inputs, dy=dy, dtype=tf.float32)
    for wide, narrow in zip([y, *ds], [y32, *ds32]):
        assert np.allclose(wide, narrow, rtol=2e-5, atol=2e-5), (name, np.abs(wide - narrow).max())
    fields = dict(attributes) | dict(zip(names, inputs)) | {"y": y, "dy": dy}
    out.case(name, **fields, **{"d" + n: d for n, d in zip(names, ds)})


CONVS = [  # name, x, kernel, strides, padding, dilation
    ("valid_3x3", (2, 5, 6, 1), (3, 3, 1, 2), (1, 1), "valid", 1),
    ("same_3x3", (2, 5, 4, 3), (3, 3, 3, 2), (1, 1), "same", 1),
    ("valid_3x3_s2_odd", (1, 7, 5, 3), (3, 3, 3, 2), (2, 2), "valid", 1),
    ("valid_3x3_s2_even", (1, 6, 8, 1), (3, 3, 1, 3), (2, 2), "valid", 1),
    ("same_3x3_s2_odd", (1, 5, 7, 3), (3, 3, 3, 2), (2, 2), "same", 1),
    ("same_3x3_s2_even", (2, 6, 4, 1), (3, 3, 1, 3), (2, 2), "same", 1),
    ("valid_3x3_s21", (1, 6, 5, 3), (3, 3, 3, 2), (2, 1), "valid", 1),
    ("same_3x3_s21", (1, 6, 5, 1), (3, 3, 1, 3), (2, 1), "same", 1),
    ("valid_2x3", (2, 4, 5, 3), (2, 3, 3, 2), (1, 1), "valid", 1),
    ("same_2x3", (2, 4, 5, 1), (2, 3, 1, 3), (1, 1), "same", 1),
    ("same_2x3_s2", (1, 5, 6, 3), (2, 3, 3, 2), (2, 2), "same", 1),
    ("valid_2x3_s21", (1, 6, 5, 1), (2, 3, 1, 2), (2, 1), "valid", 1),
    ("valid_1x1", (2, 3, 4, 3), (1, 1, 3, 4), (1, 1), "valid", 1),
    ("same_1x1_s2", (1, 5, 4, 3), (1, 1, 3, 2), (2, 2), "same", 1),
    ("valid_5x5", (1, 7, 6, 1), (5, 5, 1, 2), (1, 1), "valid", 1),
    ("same_5x5", (1, 4, 5, 1), (5, 5, 1, 2), (1, 1), "same", 1),
    ("same_5x5_s2", (1, 6, 7, 1), (5, 5, 1, 2), (2, 2), "same", 1),
    ("valid_5x5_cin3", (1, 5, 6, 3), (5, 5, 3, 1), (1, 1), "valid", 1),
    ("valid_3x3_d2", (1, 7, 6, 1), (3, 3, 1, 2), (1, 1), "valid", 2),
    ("same_3x3_d2", (1, 5, 6, 3), (3, 3, 3, 2), (1, 1), "same", 2),
    ("same_2x3_d2", (1, 6, 5, 1), (2, 3, 1, 2), (1, 1), "same", 2),
    ("valid_3x3_5to7", (1, 4, 4, 5), (3, 3, 5, 7), (1, 1), "valid", 1),
]


def spread(kernel, dilation):
    """The kernel with zeros between its taps: TensorFlow's CPU kernels have no gradient of a dilated convolution."""
    for axis in (0, 1):
        n = kernel.shape[axis]
        places = tf.one_hot(tf.range(n) * dilation, (n - 1) * dilation + 1, dtype=kernel.dtype)
        kernel = tf.einsum("hwio,hp->pwio" if axis == 0 else "hwio,wp->hpio", kernel, places)
    return kernel


def convolutions(out):
    for name, xs, ks, strides, padding, dilation in CONVS:
        name = "conv2d_" + name
        g = rng(name)
        x, k = uniform(g, xs), uniform(g, ks)
        f = lambda x, k: tf.nn.conv2d(x, spread(k, dilation), strides, padding.upper())
        direct = tf.nn.conv2d(x, k, strides, padding.upper(), dilations=dilation)
        assert np.allclose(f(x, tf.constant(k)), direct, atol=1e-5), name
        op_case(
            out, name, f, g, ("x", "kernel"), (x, k), strides=strides, padding=padding, dilation=(dilation, dilation)
        )


POOLS = [  # name, kind, x, window, strides, padding
    ("max_2x2", "MAX", (2, 4, 6, 3), 2, 2, "valid"),
    ("max_2x2_odd", "MAX", (1, 5, 7, 2), 2, 2, "valid"),
    ("max_2x2_same_odd", "MAX", (1, 5, 7, 2), 2, 2, "same"),
    ("max_3x3_s2_same_even", "MAX", (1, 6, 4, 3), 3, 2, "same"),
    ("max_3x3_s2_same_odd", "MAX", (2, 5, 7, 1), 3, 2, "same"),
    ("max_3x3_s2_valid", "MAX", (1, 7, 6, 2), 3, 2, "valid"),
    ("max_3x3_s1_same", "MAX", (1, 4, 5, 2), 3, 1, "same"),
    ("max_2x3_s21", "MAX", (1, 6, 5, 2), (2, 3), (2, 1), "valid"),
    ("avg_2x2", "AVG", (2, 4, 6, 3), 2, 2, "valid"),
    ("avg_2x2_same_odd", "AVG", (1, 5, 7, 2), 2, 2, "same"),
    ("avg_3x3_s2_same_even", "AVG", (1, 6, 4, 3), 3, 2, "same"),
    ("avg_3x3_s2_same_odd", "AVG", (2, 5, 7, 1), 3, 2, "same"),
    ("avg_3x3_s1_same", "AVG", (1, 4, 5, 2), 3, 1, "same"),
    ("avg_3x3_s2_valid", "AVG", (1, 7, 6, 2), 3, 2, "valid"),
    ("avg_2x3_s21", "AVG", (1, 6, 5, 2), (2, 3), (2, 1), "valid"),
]


def pool_case(out, name, kind, x, window, strides, padding, g):
    f = lambda x: tf.nn.pool(x, window, kind, strides=strides, padding=padding.upper())
    op_case(out, name, f, g, ("x",), (x,), window=window, strides=strides, padding=padding)


def pools(out):
    pair = lambda v: v if isinstance(v, tuple) else (v, v)
    for name, kind, shape, window, strides, padding in POOLS:
        name = name.split("_")[0] + "_pool_" + name.split("_", 1)[1]
        g = rng(name)
        pool_case(out, name, kind, distinct(g, shape), pair(window), pair(strides), padding, g)
    for name, window, strides, padding in [
        ("2x2", 2, 2, "valid"),
        ("3x3_s2_same", 3, 2, "same"),
        ("3x3_s1_same", 3, 1, "same"),
    ]:
        name = "max_pool_ties_" + name
        g = rng(name)
        # Few distinct values, mostly zeros as after relu: every window has ties.
        x = np.maximum(g.integers(-2, 2, (1, 6, 6, 2)), 0).astype(np.float32)
        pool_case(out, name, "MAX", x, pair(window), pair(strides), padding, g)
    g = rng("max_pool_all_negative_same")
    x = uniform(g, (1, 5, 5, 1), -3, -1)
    pool_case(out, "max_pool_all_negative_same", "MAX", x, (3, 3), (2, 2), "same", g)


MATMULS = [  # name, a, b, transpose_a, transpose_b
    ("nn", (5, 7), (7, 3), 0, 0),
    ("tn", (7, 5), (7, 3), 1, 0),
    ("nt", (5, 7), (3, 7), 0, 1),
    ("tt", (7, 5), (3, 7), 1, 1),
    ("row", (1, 9), (9, 4), 0, 0),
    ("column", (6, 5), (5, 1), 0, 0),
    ("outer", (5, 1), (1, 4), 0, 0),
    ("batch", (3, 4, 5), (3, 5, 2), 0, 0),
    ("batch_tn", (2, 5, 4), (2, 5, 3), 1, 0),
    ("batch_nt", (2, 3, 5), (2, 4, 5), 0, 1),
    ("batch_rank4", (2, 3, 2, 4), (2, 3, 4, 3), 0, 0),
    ("batch_broadcast", (3, 4, 5), (5, 2), 0, 0),
    ("batch_broadcast_1", (1, 2, 3), (4, 3, 2), 0, 0),
    ("long_k", (2, 70), (70, 2), 0, 0),
    ("wide", (11, 5), (5, 13), 0, 0),
]


def matmuls(out):
    for name, a, b, ta, tb in MATMULS:
        name = "matmul_" + name
        g = rng(name)
        f = lambda a, b: tf.matmul(a, b, transpose_a=bool(ta), transpose_b=bool(tb))
        op_case(out, name, f, g, ("a", "b"), (uniform(g, a), uniform(g, b)), transpose_a=ta, transpose_b=tb)


LOGITS = {
    "plain": lambda g: uniform(g, (4, 5), -3, 3),
    "large": lambda g: np.array(
        [[100, -100, 0], [-100, 100, 100], [100, 100, 100], [-100, -100, -100], [0, 88.5, 90]], np.float32
    ),
    "shifted": lambda g: uniform(g, (3, 7)) + np.float32(1000),
    "one_class": lambda g: uniform(g, (3, 1)),
}


def softmaxes(out):
    for key, make in LOGITS.items():
        for name, f in [("softmax", tf.nn.softmax), ("log_softmax", tf.nn.log_softmax)]:
            g = rng(f"{name}_{key}")
            op_case(out, f"{name}_{key}", f, g, ("x",), (make(g),))
        crossentropies(out, key, make)
    # TensorFlow's gradient is softmax - targets whatever the targets sum to; the true one has sum(targets)*softmax.
    t, g = np.array([[0.5, 0, 0.25], [1, 1, 0]], np.float32), rng("unnormalised targets")
    f = lambda x: tf.nn.softmax_cross_entropy_with_logits(tf.constant(t, x.dtype), x)
    op_case(out, "softmax_ce_targets_not_summing_to_one", f, g, ("logits",), (uniform(g, (2, 3), -2, 2),), targets=t)
    g = rng("softmax_rank3")
    op_case(out, "softmax_rank3", tf.nn.softmax, g, ("x",), (uniform(g, (2, 3, 4)),))
    g = rng("softmax_axis1")
    op_case(out, "softmax_axis1", lambda x: tf.nn.softmax(x, axis=1), g, ("x",), (uniform(g, (2, 3, 4)),), axis=1)


def crossentropies(out, key, make):
    """Per-sample losses, and the gradient of their sum weighted by dy."""
    g = rng("ce_" + key)
    x = make(g)
    labels = g.integers(0, x.shape[1], x.shape[0])
    f = lambda x: tf.nn.sparse_softmax_cross_entropy_with_logits(labels, x)
    op_case(out, "sparse_softmax_ce_" + key, f, g, ("logits",), (x,), labels=labels)
    # Sixty-fourths, so that a row's float32 sum is exactly one.
    t = (g.multinomial(64, np.full(x.shape[1], 1 / x.shape[1]), x.shape[0]) / 64).astype(np.float32)
    f = lambda x: tf.nn.softmax_cross_entropy_with_logits(tf.constant(t, x.dtype), x)
    op_case(out, "softmax_ce_" + key, f, g, ("logits",), (x,), targets=t)


def reductions(out):
    table = {"sum": tf.reduce_sum, "mean": tf.reduce_mean, "max": tf.reduce_max, "min": tf.reduce_min}
    axes = {"all": (0, 1, 2), "first": (0,), "middle": (1,), "last": (2,), "outer": (0, 2), "keep": (1, 2)}
    for op, f in table.items():
        for key, axis in axes.items():
            name = f"reduce_{op}_{key}"
            g = rng(name)
            x = distinct(g, (2, 3, 5)) if op in ("max", "min") else uniform(g, (2, 3, 5))
            keep = key == "keep"
            op_case(out, name, lambda x: f(x, axis=axis, keepdims=keep), g, ("x",), (x,), axis=axis, keepdims=int(keep))
    for op in ("max", "min"):
        for key, axis in {"last": (1,), "first": (0,), "all": (0, 1)}.items():
            name = f"reduce_{op}_ties_{key}"
            g = rng(name)
            x = np.array([[1, 3, 3, -1], [0, 0, 0, 0], [2, -1, 3, -1]], np.float32)
            op_case(out, name, lambda x: table[op](x, axis=axis), g, ("x",), (x,), axis=axis, keepdims=0)


def binaries(out):
    table = {
        "add": tf.add,
        "sub": tf.subtract,
        "mul": tf.multiply,
        "div": tf.divide,
        "pow": tf.pow,
        "maximum": tf.maximum,
        "minimum": tf.minimum,
    }
    shapes = {
        "same": ((2, 3), (2, 3)),
        "row": ((2, 3, 4), (4,)),
        "outer": ((3, 1), (1, 4)),
        "middle": ((2, 1, 3), (4, 1)),
        "scalar": ((2, 3), ()),
    }
    for op, f in table.items():
        for key, (sa, sb) in shapes.items():
            name = f"{op}_{key}"
            g = rng(name)
            a = uniform(g, sa, 0.25, 2) if op == "pow" else uniform(g, sa)
            b = (
                (uniform(g, sb, 0.3, 1.5) * np.where(g.random(sb) < 0.5, -1, 1)).astype(np.float32)
                if op == "div"
                else uniform(g, sb)
            )
            op_case(out, name, f, g, ("a", "b"), (a, b))
    tie_a, tie_b = np.array([1, 2, 0, -1, 0], np.float32), np.array([1, 1, 0, 3, -0.0], np.float32)
    for op in ("maximum", "minimum"):
        op_case(out, op + "_ties", table[op], rng(op + "_ties"), ("a", "b"), (tie_a, tie_b))
    op_case(
        out,
        "pow_edges",
        tf.pow,
        rng("pow_edges"),
        ("a", "b"),
        (np.array([-2, -1.5, 0, 3, 2, 0], np.float32), np.array([2, 3, 2, 0, -1, 1], np.float32)),
    )
    op_case(
        out, "square_broadcast_mul_self", lambda a: a * a, rng("mulself"), ("a",), (uniform(rng("mulself2"), (2, 3)),)
    )


def unaries(out):
    gelu = lambda x: tf.nn.gelu(x, approximate=False)
    either = {
        "exp": tf.exp,
        "tanh": tf.tanh,
        "sigmoid": tf.sigmoid,
        "relu": tf.nn.relu,
        "abs": tf.abs,
        "softplus": tf.nn.softplus,
        "sin": tf.sin,
        "cos": tf.cos,
        "square": tf.square,
        "negative": tf.negative,
        "sign": tf.sign,
        "erf": tf.math.erf,
        "gelu": gelu,
        "relu6": tf.nn.relu6,
        "elu": tf.nn.elu,
        "selu": tf.nn.selu,
        "silu": tf.nn.silu,
        "floor": tf.floor,
        "round": tf.round,
    }
    positive = {
        "log": tf.math.log,
        "sqrt": tf.sqrt,
        "rsqrt": tf.math.rsqrt,
        "reciprocal": tf.math.reciprocal,
        "log1p": tf.math.log1p,
    }
    for op, f in either.items():
        x = np.array([-3, -1.5, -1, -0.4, 0, 0.3, 0.5, 1, 2.5, 6, 7.25], np.float32)
        op_case(out, "unary_" + op, f, rng("unary_" + op), ("x",), (x,))
    for op, f in positive.items():
        x = np.array([0.001, 0.3, 0.5, 1, 2.5, 6, 1000], np.float32)
        op_case(out, "unary_" + op, f, rng("unary_" + op), ("x",), (x,))
    far = np.array([-1000, -100, -50, -20, 20, 50, 100, 1000], np.float32)
    for op in ("tanh", "sigmoid", "softplus", "gelu"):
        op_case(out, f"unary_{op}_far", either[op], rng(op + "_far"), ("x",), (far,))
    clip = lambda x: tf.clip_by_value(x, tf.cast(-1, x.dtype), tf.cast(1, x.dtype))
    op_case(
        out,
        "unary_clip_at_bounds",
        clip,
        rng("clip"),
        ("x",),
        (np.array([-2, -1, -0.5, 0, 1, 1.5], np.float32),),
        lower=np.float32(-1),
        upper=np.float32(1),
    )


def movements(out):
    def case(name, f, shape, names=("x",), more=(), **attributes):
        g = rng(name)
        op_case(out, name, f, g, names, (uniform(g, shape),) + tuple(uniform(g, s) for s in more), **attributes)

    i = np.array([3, 0, 3, 2, 3])
    case("gather_rows_repeated", lambda x: tf.gather(x, i), (4, 3), indices=i, axis=0)
    j = np.array([[1, 1], [0, 4], [1, 2]])
    case("gather_rank2_indices", lambda x: tf.gather(x, j), (5, 2), indices=j, axis=0)
    k = np.array([2, 2, 0])
    case("gather_axis1", lambda x: tf.gather(x, k, axis=1), (2, 3, 4), indices=k, axis=1)
    for perm in [(1, 0, 2), (2, 1, 0), (0, 2, 1), (1, 2, 0)]:
        case("transpose_" + "".join(map(str, perm)), lambda x: tf.transpose(x, perm), (2, 3, 4), perm=perm)
    case("transpose_rank4", lambda x: tf.transpose(x, (0, 3, 1, 2)), (2, 3, 2, 3), perm=(0, 3, 1, 2))
    case("slice_middle", lambda x: tf.slice(x, (1, 0, 2), (2, 3, 1)), (4, 3, 5), begin=(1, 0, 2), size=(2, 3, 1))
    case("slice_rows", lambda x: tf.slice(x, (1, 0), (2, 3)), (4, 3), begin=(1, 0), size=(2, 3))
    case("pad_uneven", lambda x: tf.pad(x, [[1, 0], [0, 2]]), (2, 3), paddings=[[1, 0], [0, 2]])
    case(
        "pad_images",
        lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]]),
        (1, 2, 3, 2),
        paddings=[[0, 0], [1, 2], [0, 1], [0, 0]],
    )
    for axis, shapes in {0: [(2, 3), (1, 3), (3, 3)], 1: [(2, 1), (2, 4), (2, 2)]}.items():
        case(f"concat_axis{axis}", lambda *v: tf.concat(v, axis), shapes[0], ("a", "b", "c"), shapes[1:], axis=axis)
    case("concat_channels", lambda *v: tf.concat(v, -1), (1, 2, 2, 3), ("a", "b"), [(1, 2, 2, 1)], axis=3)
    case("reshape", lambda x: tf.reshape(x, (4, 3)), (2, 3, 2))
    case("broadcast_to", lambda x: tf.broadcast_to(x, (2, 3, 4)), (3, 1))


def integers(out):
    """Operations without a gradient."""
    x = np.array([[1, 3, 3, -1], [0, 0, 0, 0], [2, -1, -1, 2]], np.float32)
    for axis in (0, 1):
        out.case(f"argmax_ties_axis{axis}", x=x, axis=axis, y=tf.argmax(x, axis).numpy())
        out.case(f"argmin_ties_axis{axis}", x=x, axis=axis, y=tf.argmin(x, axis).numpy())
    i = np.array([0, 2, 1, 3, -1, 4])
    out.case("one_hot_out_of_range_is_zero", indices=i, depth=4, y=tf.one_hot(i, 4).numpy())
    out.case("one_hot_rank2", indices=[[0, 2], [1, 1]], depth=3, y=tf.one_hot([[0, 2], [1, 1]], 3).numpy())
    v = np.array([1, 2.5, -1, 0], np.float32)
    w = np.array([1, 2, 0, -0.0], np.float32)
    comparisons = dict(
        less=v < w, less_equal=v <= w, greater=v > w, greater_equal=v >= w, equal=v == w, not_equal=v != w
    )
    out.case("compare", a=v, b=w, **comparisons)


def make_all(out):
    for f in (convolutions, pools, matmuls, softmaxes, reductions, binaries, unaries, movements, integers):
        f(out)
