"""A training of a model of Keras as a case: a loop of one's own in float32 and float64, and what train_on_batch says to it."""

import keras
import numpy as np
import tensorflow as tf

from golden_io import rng
from keras_layers import as_list, as_tensor, in_type
from keras_training import options

STEPS = 100
# How much the losses of 100 steps may move, relative to themselves, when weights move by 1e-6 of themselves: beyond this a model sits on a
# knife's edge, and nothing could be learnt from a comparison.
STEADY = 3e-5


class Training:
    """What a model is trained with; `make` and the rest are functions, so that Keras makes each anew in the type that is set.

    `x` and `y` are lists of arrays; a batch is `size` rows, and step i takes batch i modulo their number. `losses` gives one loss for
    each output, `loss_weights` their weights.
    """

    def __init__(self, make, optimizer, losses, x, y, size, loss_weights=None, sample_weight=None, seed=1):
        self.make, self.optimizer, self.losses, self.seed = make, optimizer, losses, seed
        self.x, self.y, self.size = x, y, size
        self.loss_weights, self.sample_weight = loss_weights, sample_weight

    def batch(self, step):
        """Inputs, labels and the weights of samples, if any."""
        start = step * self.size % len(self.x[0])
        rows = slice(start, start + self.size)
        return [a[rows] for a in self.x], [a[rows] for a in self.y], None if self.sample_weight is None else self.sample_weight[rows]

    def batch_tensors(self, step):
        """The same, in the type that is set."""
        x, y, w = self.batch(step)
        return [as_tensor(a) for a in x], [as_tensor(a) for a in y], None if w is None else as_tensor(w)

    def initial_weights(self):
        """Those that Keras gives the model from the seed."""

        def build():
            keras.utils.set_random_seed(self.seed)
            return [w.numpy() for w in self.make().weights]

        return in_type("float32", build)

    def run(self, weights):
        """The loss before each step's update, the first gradients, and the model after the last step."""
        model, opt, losses = self.make(), self.optimizer(), self.losses()
        model.set_weights(weights)
        opt.build(model.trainable_variables)

        @tf.function
        def one_step(x, y, w):
            with tf.GradientTape() as tape:
                total, parts = self.loss(model, losses, x, y, w, training=True)
            gradients = [tf.convert_to_tensor(g) for g in tape.gradient(total, [v.value for v in model.trainable_variables])]
            opt.apply(gradients, model.trainable_variables)
            return [total] + parts, gradients

        seen, first = [], None
        for step in range(STEPS):
            values, gradients = one_step(*self.batch_tensors(step))
            first = first or [g.numpy() for g in gradients]
            seen.append([v.numpy() for v in values])
        x, y, w = self.batch_tensors(0)
        return dict(
            losses=np.array(seen, keras.backend.floatx()),
            gradients=first,
            after=[w.numpy() for w in model.weights],
            predictions=[p.numpy() for p in as_list(self.call(model, x, training=False))],
            loss_after=self.loss(model, losses, x, y, w, training=False)[0].numpy(),
        )

    def call(self, model, x, training):
        return model(x[0] if len(x) == 1 else x, training=training)

    def loss(self, model, losses, x, y, sample_weight, training):
        """The weighted sum of the outputs' losses and of what regularizers add, and the losses of the outputs by themselves."""
        outputs = as_list(self.call(model, x, training))
        parts = [loss(t, p, sample_weight=sample_weight) for loss, t, p in zip(losses, y, outputs)]
        factors = self.loss_weights or [1.0] * len(parts)
        return tf.add_n([f * p for f, p in zip(factors, parts)] + list(model.losses)), parts

    def by_train_on_batch(self, weights):
        """The losses of `compile` and `train_on_batch`."""
        model = self.make()
        model.set_weights(weights)
        losses, one = self.losses(), len(self.y) == 1
        model.compile(self.optimizer(), losses[0] if one else losses, loss_weights=self.loss_weights)
        seen = []
        for step in range(STEPS):
            x, y, w = self.batch(step)
            model.reset_metrics()
            result = model.train_on_batch(x[0] if len(x) == 1 else x, y[0] if one else y, sample_weight=w)
            seen.append(as_list(result)[0])
        return np.float32(seen)


def moved(weights):
    """Weights that differ from these by a millionth of themselves, one way or the other."""
    g = rng("moved")
    return [w if np.issubdtype(w.dtype, np.integer) else w * (1 + 1e-6 * g.choice([-1, 1], w.shape)) for w in weights]


def furthest(a, b):
    """The largest difference, relative to `b`."""
    return float(np.max(np.abs(a - b) / np.abs(b)))


def training_case(out, name, t):
    """Runs a training in both types and writes it with its data and weights."""
    weights = t.initial_weights()
    narrow, wide = in_type("float32", lambda: t.run(weights)), in_type("float64", lambda: t.run(weights))
    keras_way = in_type("float32", lambda: t.by_train_on_batch(weights))
    nearby = in_type("float64", lambda: t.run(moved(weights)))
    total = wide["losses"][:, 0]
    rounding, steadiness = furthest(narrow["losses"][:, 0], total), furthest(nearby["losses"][:, 0], total)
    by_keras = furthest(keras_way, narrow["losses"][:, 0])
    print(
        f"{name}: {sum(w.size for w in weights)} weights, losses {total[0]:.4f} to {total[-1]:.4f}; relative: float32 {rounding:.1g}, "
        f"train_on_batch {by_keras:.1g}, weights moved by 1e-6 {steadiness:.1g}"
    )
    assert rounding < STEADY and steadiness < STEADY and by_keras < STEADY, name
    write(out, name, t, weights, narrow, wide, keras_way)


def numbered(prefix, arrays):
    return {prefix if len(arrays) == 1 else f"{prefix}{i}": a for i, a in enumerate(arrays)}


def write(out, name, t, weights, narrow, wide, keras_way):
    model, opt = in_type("float32", t.make), t.optimizer()
    places = {id(w): i for i, w in enumerate(model.weights)}
    trained = [places[id(w)] for w in model.trainable_weights]
    fields = {"batch": t.size, "weights": " ".join(w.path for w in model.weights)} | options(opt)
    if opt.global_clipnorm:
        fields["global_clipnorm"] = np.float32(opt.global_clipnorm)
    if t.loss_weights:
        fields["loss_weights"] = np.float32(t.loss_weights)
    fields |= numbered("x", t.x) | numbered("y", t.y)
    if t.sample_weight is not None:
        fields["sample_weight"] = t.sample_weight
    fields |= {f"weight{i}": w for i, w in enumerate(weights)}
    fields |= {"losses": narrow["losses"][:, 0], "losses_f64": wide["losses"][:, 0], "losses_train_on_batch": keras_way}
    if len(t.y) > 1:
        fields |= {f"losses_of_output{i}": narrow["losses"][:, i + 1] for i in range(len(t.y))}
    fields |= {f"gradient{i}": g for i, g in zip(trained, wide["gradients"])}
    fields |= {f"after{i}": w for i, w in enumerate(narrow["after"])} | {f"after{i}_f64": w for i, w in enumerate(wide["after"])}
    fields |= numbered("predictions", narrow["predictions"]) | {"loss_after": narrow["loss_after"], "loss_after_f64": wide["loss_after"]}
    out.case(name, **fields)
