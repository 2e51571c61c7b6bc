"""Optimizers and whole trainings of Keras, in float32 (what Keras does) and again in float64 (what it means to do)."""

import keras
import numpy as np
import tensorflow as tf

from golden_io import fill

O = keras.optimizers
OPTIMIZERS = {
    "SGD": lambda: O.SGD(),
    "SGD_momentum": lambda: O.SGD(momentum=0.9),
    "SGD_nesterov": lambda: O.SGD(momentum=0.9, nesterov=True),
    "SGD_weight_decay": lambda: O.SGD(weight_decay=0.1),
    "SGD_clipnorm": lambda: O.SGD(clipnorm=0.5),
    "SGD_clipvalue": lambda: O.SGD(clipvalue=0.3),
    "SGD_exponential_decay": lambda: O.SGD(O.schedules.ExponentialDecay(0.1, 10, 0.5)),
    "SGD_cosine_decay": lambda: O.SGD(O.schedules.CosineDecay(0.1, 40, alpha=0.1)),
    "Adam": lambda: O.Adam(),
    "Adam_rate_0.1": lambda: O.Adam(0.1),
    "Adam_epsilon_0.1": lambda: O.Adam(epsilon=0.1),
    "Adam_amsgrad": lambda: O.Adam(amsgrad=True),
    "AdamW": lambda: O.AdamW(),
    "AdamW_decay_0.1": lambda: O.AdamW(0.01, weight_decay=0.1),
    "RMSprop": lambda: O.RMSprop(),
    "RMSprop_momentum": lambda: O.RMSprop(momentum=0.9),
    "RMSprop_centered": lambda: O.RMSprop(centered=True),
    "RMSprop_centered_momentum": lambda: O.RMSprop(0.01, momentum=0.5, centered=True),
    "Adagrad": lambda: O.Adagrad(),
    "Adadelta": lambda: O.Adadelta(),
    "Adamax": lambda: O.Adamax(),
    "Nadam": lambda: O.Nadam(),
    "Lion": lambda: O.Lion(),
}
OPTIONS = (
    "learning_rate",
    "momentum",
    "nesterov",
    "beta_1",
    "beta_2",
    "epsilon",
    "amsgrad",
    "rho",
    "centered",
    "weight_decay",
    "clipnorm",
    "clipvalue",
    "initial_accumulator_value",
)
START = np.array([0, 0.5, -1, 2, -0.003], np.float32)
STEPS = (1, 2, 3, 5, 10, 50)


def options(optimizer):
    """The class and the options that Keras ran with, defaults included. A schedule is told by the case's name."""
    config = optimizer.get_config()
    kept = {k: config[k] for k in OPTIONS if k in config and isinstance(config[k], (int, float))}
    return {"optimizer": type(optimizer).__name__} | {
        k: int(v) if isinstance(v, bool) else np.float32(v) for k, v in kept.items()
    }


def in_both_types(f):
    """f() in float32 and in float64. Layers take their type from the policy, the optimizer's variables from floatx."""
    results = []
    for dtype in ("float32", "float64"):
        keras.config.set_floatx(dtype)
        keras.config.set_dtype_policy(dtype)
        results.append(f())
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    return results


def optimizers(out):
    grads = fill((50, 5), 0.7, 1.0)
    # One element with tiny gradients, where epsilon matters, and one whose gradient is zero at first.
    grads[:, 3] *= np.float32(1e-5)
    grads[:2, 4] = 0
    out.case("common", x0=START, grads=grads)

    def steps(make):
        v, opt = keras.Variable(START, dtype=keras.backend.floatx()), make()
        opt.build([v])
        seen = {}
        for i, g in enumerate(grads, 1):
            opt.apply([tf.constant(g, keras.backend.floatx())], [v])
            if i in STEPS:
                seen[i] = v.numpy().copy()
        return seen

    for name, make in OPTIMIZERS.items():
        narrow, wide = in_both_types(lambda: steps(make))
        out.case(
            name, **options(make()), **{f"x{i}": narrow[i] for i in STEPS}, **{f"x{i}_f64": wide[i] for i in STEPS}
        )
    two_variables(out, grads)


def two_variables(out, grads):
    """The global norm is taken over all variables."""
    a, b = keras.Variable(START), keras.Variable(START[:2])
    opt = O.SGD(0.1, global_clipnorm=0.5)
    opt.build([a, b])
    for g in grads[:3]:
        opt.apply([tf.constant(g), tf.constant(g[:2] * 2)], [a, b])
    out.case(
        "SGD_global_clipnorm_two_variables",
        learning_rate=np.float32(0.1),
        global_clipnorm=np.float32(0.5),
        a3=a.numpy(),
        b3=b.numpy(),
    )


def train(make_model, weights, optimizer, loss, batches, steps, metric=None):
    """A hand-written loop. `losses[i]` is the loss before step i; the gradients are those of the first step."""
    model, opt = make_model(), optimizer()
    model.set_weights(weights)
    opt.build(model.trainable_variables)
    losses, hits, first, dtype = [], [], None, keras.backend.floatx()
    for i in range(steps):
        x, y = batches[i % len(batches)]
        with tf.GradientTape() as tape:
            p = model(tf.constant(x, dtype), training=True)
            value = loss(y, p)
        grads = tape.gradient(value, [v.value for v in model.trainable_variables])
        first = [g.numpy() for g in grads] if first is None else first
        opt.apply(grads, model.trainable_variables)
        losses.append(float(value))
        if metric:
            metric.reset_state()
            metric.update_state(y, p)
            hits.append(float(metric.result()))
    x, y = batches[0]
    after = model(tf.constant(x, dtype))
    return dict(
        losses=np.array(losses, dtype),
        accuracy=np.float32(hits),
        gradients=first,
        weights=model.get_weights(),
        predictions=after.numpy(),
        loss_after=loss(y, after).numpy(),
    )


def same_by_train_on_batch(make_model, weights, optimizer, loss, batches, steps):
    """The largest difference between the loop's losses and those of train_on_batch."""
    model = make_model()
    model.set_weights(weights)
    model.compile(optimizer(), loss)
    seen = []
    for i in range(steps):
        model.reset_metrics()
        seen.append(float(model.train_on_batch(*batches[i % len(batches)])))
    return np.float32(seen)


def training_case(out, name, make_model, weights, optimizer, loss, batches, steps, keep, metric=None, gradients=()):
    """`keep`: indices of the weights written after the last step; `gradients`: of the first step's gradients written."""
    narrow, wide = in_both_types(lambda: train(make_model, weights, optimizer, loss, batches, steps, metric))
    by_keras = same_by_train_on_batch(make_model, weights, optimizer, loss, batches, steps)
    noise = np.abs(narrow["losses"] - wide["losses"]).max()
    other = np.abs(narrow["losses"] - by_keras).max()
    print(f"{name}: losses differ by {noise:.2g} from float64, by {other:.2g} from train_on_batch")
    fields = options(optimizer()) | {
        "losses": narrow["losses"],
        "losses_f64": wide["losses"],
        "losses_train_on_batch": by_keras,
    }
    if metric:
        fields["accuracy"] = narrow["accuracy"]
    fields |= {f"gradient{i}": narrow["gradients"][i] for i in gradients}
    for i in keep:
        fields |= {f"after{i}": narrow["weights"][i], f"after{i}_f64": wide["weights"][i]}
    out.case(
        name,
        **fields,
        predictions=narrow["predictions"],
        predictions_f64=wide["predictions"],
        loss_after=narrow["loss_after"],
    )
    return narrow


def tiny_cnn(out):
    """Conv2D(2,2,relu), MaxPooling2D, Flatten, Dense(3,softmax); batch of 4; Adam(0.01)."""
    K = keras.layers
    model = lambda: keras.Sequential(
        [
            keras.Input((5, 5, 1)),
            K.Conv2D(2, 2, activation="relu"),
            K.MaxPooling2D(),
            K.Flatten(),
            K.Dense(3, activation="softmax"),
        ]
    )
    weights = [fill((2, 2, 1, 2), 1.3, 0.5), np.zeros(2, np.float32), fill((8, 3), 0.9, 0.5), np.zeros(3, np.float32)]
    x, y = fill((4, 5, 5, 1), 0.7, 1.0), np.array([0, 1, 2, 1])
    out.case("tiny_cnn_common", x=x, labels=y, **{f"weight{i}": w for i, w in enumerate(weights)})
    metric = keras.metrics.SparseCategoricalAccuracy()
    return training_case(
        out,
        "tiny_cnn_Adam",
        model,
        weights,
        lambda: O.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(),
        [(x, y)],
        10,
        range(4),
        metric,
        range(4),
    )


def small_cnn(out):
    """Two convolutions and two dense layers; 30 steps over four batches of eight."""
    K = keras.layers
    model = lambda: keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            K.Conv2D(4, 3, activation="relu"),
            K.MaxPooling2D(),
            K.Conv2D(6, 3, activation="relu", padding="same"),
            K.Flatten(),
            K.Dense(16, activation="relu"),
            K.Dense(5, activation="softmax"),
        ]
    )
    weights = [
        fill((3, 3, 1, 4), 1.3, 0.5),
        np.zeros(4, np.float32),
        fill((3, 3, 4, 6), 0.9, 0.3),
        np.zeros(6, np.float32),
        fill((54, 16), 0.7, 0.2),
        np.zeros(16, np.float32),
        fill((16, 5), 1.1, 0.4),
        np.zeros(5, np.float32),
    ]
    x, i = fill((32, 8, 8, 1), 0.37, 1.0), np.arange(32)
    y = (i * i + i // 4) % 5
    out.case(
        "small_cnn_common",
        x_fill_a=np.float32(0.37),
        x_fill_b=np.float32(1),
        labels=y,
        **{f"weight{i}": w for i, w in enumerate(weights)},
    )
    batches = [(x[k : k + 8], y[k : k + 8]) for k in range(0, 32, 8)]
    loss, metric = keras.losses.SparseCategoricalCrossentropy(), keras.metrics.SparseCategoricalAccuracy()
    for name, make in {
        "SGD_nesterov": lambda: O.SGD(0.05, momentum=0.9, nesterov=True),
        "SGD_momentum": lambda: O.SGD(0.05, momentum=0.9),
        "Adam": lambda: O.Adam(0.005),
        "RMSprop": lambda: O.RMSprop(0.002),
        "AdamW": lambda: O.AdamW(0.005, weight_decay=0.05),
    }.items():
        training_case(
            out,
            "small_cnn_" + name,
            model,
            weights,
            make,
            loss,
            batches,
            30,
            [0, 1],
            metric,
            (0, 1, 2, 3, 5, 6, 7) if name == "Adam" else (),
        )


def regression(out):
    """Dense(8,tanh), Dense(6,relu), Dense(2); mean squared error; 30 steps on one batch of 16."""
    K = keras.layers
    model = lambda: keras.Sequential(
        [keras.Input((3,)), K.Dense(8, activation="tanh"), K.Dense(6, activation="relu"), K.Dense(2)]
    )
    weights = [
        fill((3, 8), 1.3, 0.6),
        np.zeros(8, np.float32),
        fill((8, 6), 0.9, 0.5),
        np.zeros(6, np.float32),
        fill((6, 2), 0.7, 0.5),
        np.zeros(2, np.float32),
    ]
    x = fill((16, 3), 0.7, 1.0)
    y = np.stack([np.round(x[:, 0] * x[:, 1] + 0.5, 4), np.round(x[:, 2] - 0.3 * x[:, 0], 4)], 1).astype(np.float32)
    out.case("regression_common", x=x, y=y, **{f"weight{i}": w for i, w in enumerate(weights)})
    for name, make in {"SGD": lambda: O.SGD(0.1), "Adam": lambda: O.Adam(0.02)}.items():
        training_case(
            out,
            "regression_" + name,
            model,
            weights,
            make,
            keras.losses.MeanSquaredError(),
            [(x, y)],
            30,
            range(6),
            None,
            range(6),
        )


def check_against_print(result):
    """The numbers of a NumPy run written independently of Keras, in float64 throughout.

    Keras raises float32 roundings of beta_1 and beta_2 to the power of the step, also in float64, so that its first Adam
    steps are 6e-6 smaller than the formula's.
    """
    printed = [
        1.086748209,
        1.065609170,
        1.046545338,
        1.029252628,
        1.013100246,
        0.998295351,
        0.985215860,
        0.972900694,
        0.961321262,
        0.954746756,
    ]
    during, after = np.abs(result["losses"] - printed).max(), abs(result["loss_after"] - 0.949291401)
    print(f"tiny_cnn against NumPy: the ten losses differ by {during:.2g}, the loss after them by {after:.2g}")


def trainings(out):
    check_against_print(tiny_cnn(out))
    small_cnn(out)
    regression(out)
