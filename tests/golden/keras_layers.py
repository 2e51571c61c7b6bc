"""One layer of Keras as a case: what it computes in float64 from float32 inputs, checked against its float32 and against finite differences."""

import re

import keras
import numpy as np
import tensorflow as tf

from golden_io import rng, uniform

NAMES = vars(keras.layers) | {
    "regularizers": keras.regularizers,
    "constraints": keras.constraints,
    "initializers": keras.initializers,
}
# How far float32 may be from float64, relative to the largest number; it is Keras's own rounding.
SINGLE = 5e-5
# How far a gradient may be from a difference quotient in float64.
DIFFERENCE = 2e-6


def in_type(dtype, f):
    """f() with Keras's layers and losses in this type. Names of layers start again, so that both types name weights alike."""
    keras.backend.clear_session()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        return f()
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


def is_integer(a):
    return np.issubdtype(np.asarray(a).dtype, np.integer)


def as_tensor(a):
    """Integers as they are, floats in the type that Keras computes in."""
    return tf.constant(a) if is_integer(a) else tf.constant(a, keras.backend.floatx())


def as_list(value):
    return list(value) if isinstance(value, (list, tuple)) else [value]


def weight_names(layer):
    """`kernel`, or `forward_lstm_kernel` for a weight of a layer inside: Keras's path without the outer layer and without cells."""
    names = []
    for w in layer.weights:
        parts = [p for p in w.path.split("/")[1:] if not re.search(r"_cell(_\d+)?$", p)]
        names.append("_".join(parts))
    assert len(set(names)) == len(names), names
    return names


def start(name, layer):
    """Random weights of Keras's shapes; variances are positive."""
    g = rng("weights" + name)
    return [
        uniform(g, w.shape, *((0.5, 2) if w.path.endswith("variance") else (-1, 1))) if "float" in w.dtype else w.numpy()
        for w in layer.weights
    ]


def dense(gradient, like):
    """A gradient as an array; zeros where there is none."""
    return np.zeros(like.shape) if gradient is None else tf.convert_to_tensor(gradient).numpy()


class Run:
    """A layer, made of its expression, on the inputs of one case."""

    def __init__(self, name, make, inputs, call, options, keep_weights):
        self.inputs = [as_tensor(x) for x in inputs]
        self.call, self.options = call, options
        self.layer = make()
        self.outputs()  # Builds it.
        self.start = self.layer.get_weights() if keep_weights else start(name, self.layer)
        self.layer.set_weights(self.start)

    def outputs(self):
        options = {k: as_tensor(v) if isinstance(v, np.ndarray) else v for k, v in self.options.items()}
        return as_list(self.call(self.layer, self.inputs, options))

    def weighted(self, dys):
        """The sum of `y * dy` over the outputs, and what the layer adds to a loss."""
        total = sum(tf.reduce_sum(y * as_tensor(dy)) for y, dy in zip(self.outputs(), dys))
        return tf.add_n([total] + list(self.layer.losses))

    def again(self, calls):
        """The outputs of the last of some calls, from the first weights."""
        self.layer.set_weights(self.start)
        return [self.outputs() for _ in range(calls)][-1]

    def gradients(self, dys, calls):
        """By input, and by trained weight, of the last of some calls. The weights stay as the calls leave them."""
        floats = [i for i, x in enumerate(self.inputs) if not is_integer(x.numpy())]
        self.layer.set_weights(self.start)
        for _ in range(calls - 1):
            self.outputs()
        with tf.GradientTape() as tape:
            for i in floats:
                tape.watch(self.inputs[i])
            total = self.weighted(dys)
        weights = self.layer.trainable_weights
        grads = tape.gradient(total, [self.inputs[i] for i in floats] + [w.value for w in weights])
        by_input = {i: dense(d, self.inputs[i]) for i, d in zip(floats, grads)}
        return by_input, [dense(d, w) for d, w in zip(grads[len(floats) :], weights)]

    def check_differences(self, name, dys, by_input, by_weight, step):
        """Along one random direction for each input and weight, the gradient is what a central difference says."""
        g = rng("differences" + name)

        def along(value, gradient, put, what):
            direction = g.normal(size=value.shape)
            ends = []
            for sign in (1, -1):
                self.layer.set_weights(self.start)
                put(value + sign * step * direction)
                ends.append(float(self.weighted(dys)))
            self.layer.set_weights(self.start)
            put(value)
            got, want = (ends[0] - ends[1]) / (2 * step), float(np.sum(gradient * direction))
            scale = max(1.0, abs(want), float(np.abs(gradient).max(initial=0)), 1e-3 * abs(ends[0]))
            assert abs(got - want) <= DIFFERENCE * scale, f"{name}, {what}: {want} against a difference quotient of {got}"

        for i, gradient in by_input.items():
            def put(v, i=i):
                self.inputs[i] = tf.constant(v)

            along(self.inputs[i].numpy(), gradient, put, f"input {i}")
        for w, gradient in zip(self.layer.trainable_weights, by_weight):
            along(w.numpy().astype(np.float64), gradient, w.assign, w.path)


def plain(layer, inputs, options):
    return layer(inputs[0], **options)


def as_one_list(layer, inputs, options):
    return layer(list(inputs), **options)


def in_order(layer, inputs, options):
    return layer(*inputs, **options)


def evaluate(name, run, calls, step):
    """What the layer computes in the type that is set now: outputs, gradients, penalty and the weights afterwards."""
    shapes = [y.shape for y in run.outputs()]
    dys = [uniform(rng(f"dy{i}" + name), shape) for i, shape in enumerate(shapes)]
    by_input, by_weight = run.gradients(dys, calls)
    names = {id(w): n for w, n in zip(run.layer.weights, weight_names(run.layer))}
    after = {names[id(w)]: w.numpy() for w in run.layer.non_trainable_weights if "float" in w.dtype}
    ys = [y.numpy() for y in run.again(calls)]
    penalty = tf.add_n(list(run.layer.losses)).numpy() if run.layer.losses else None
    if step:
        run.check_differences(name, dys, by_input, by_weight, step)
    by_weight = {names[id(w)]: d for w, d in zip(run.layer.trainable_weights, by_weight)}
    return dict(
        ys=ys, dys=dys, by_input=by_input, by_weight=by_weight, after=after, penalty=penalty, names=list(names.values()), start=run.start
    )


def in_both_types(name, f, step):
    """The results of `f(step)` in float64; its float32 ones must be near."""
    wide = in_type("float64", lambda: f(step))
    narrow = in_type("float32", lambda: f(None))
    for a, b in zip(tf.nest.flatten(narrow), tf.nest.flatten(wide)):
        if isinstance(b, (np.ndarray, np.floating)):
            scale = max(1.0, float(np.abs(b).max(initial=0)))
            assert np.all(np.isfinite(b)) and np.abs(a - b).max(initial=0) <= SINGLE * scale, f"{name}: float32 is far from float64"
    return wide


def layer_case(
    out,
    name,
    expression,
    *inputs,
    call=None,
    calls=1,
    step=1e-6,
    make=None,
    keep_weights=False,
    what="layer",
    attributes=None,
    **options,
):
    """A case of the layer that `expression` makes, or `make`. The field that says so is called `what`; `attributes` follow it.

    `inputs` are arrays, or shapes to fill with random numbers. `call` says how the layer takes several; `calls` how often it is called
    in a row, the last one being written; `options` go to each call. `step` is that of the difference quotients; `None` where a gradient
    has a kink. Weights are random unless `keep_weights`.
    """
    inputs = [uniform(rng(f"x{i}" + name), x, -2, 2) if isinstance(x, tuple) else np.asarray(x) for i, x in enumerate(inputs)]
    call = call or (plain if len(inputs) == 1 else as_one_list)
    make = make or (lambda: eval(expression, dict(NAMES)))

    def run(step):
        return evaluate(name, Run(name, make, inputs, call, options, keep_weights), calls, step)

    r = in_both_types(name, run, step)
    number = lambda prefix, all_, i: prefix if len(all_) == 1 else f"{prefix}{i}"
    fields = {what: expression} | (attributes or {})
    fields |= {k: v if isinstance(v, np.ndarray) else int(v) for k, v in options.items()}
    if calls > 1:
        fields["calls"] = calls
    fields |= {number("x", inputs, i): x for i, x in enumerate(inputs)}
    if r["names"]:
        fields["weights"] = " ".join(r["names"])
    fields |= dict(zip(r["names"], r["start"]))
    fields |= {number("y", r["ys"], i): y for i, y in enumerate(r["ys"])}
    fields |= {number("dy", r["ys"], i): dy for i, dy in enumerate(r["dys"])}
    if r["penalty"] is not None:
        fields["penalty"] = r["penalty"]
    fields |= {number("dx", inputs, i): d for i, d in r["by_input"].items()}
    fields |= {"d" + n: d for n, d in r["by_weight"].items()}
    fields |= {"after_" + n: v for n, v in r["after"].items()}
    out.case(name, **fields)
