"""Trainings of Keras under the policies mixed_float16 and float32: how far apart these two are says how far apart two of mixed_float16 may be."""

import keras
import numpy as np

from golden_io import fill

L = keras.layers
STEPS, BATCH = 16, 8


def network():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            L.Conv2D(8, 3, activation="relu"),
            L.BatchNormalization(),
            L.MaxPooling2D(2),
            L.Flatten(),
            L.Dense(16, activation="relu"),
            L.Dense(4, activation="softmax", dtype="float32"),
        ]
    )


def train(policy, weights, x, y, optimizer):
    keras.config.set_dtype_policy(policy)
    model = network()
    model.set_weights(weights)
    model.compile(optimizer(), "sparse_categorical_crossentropy")
    scaled = type(model.optimizer).__name__ == "LossScaleOptimizer"
    assert scaled == (policy == "mixed_float16"), type(model.optimizer)
    losses = []
    for i in range(STEPS):
        # Else it would be the mean over the batches so far.
        model.reset_metrics()
        losses.append(float(model.train_on_batch(x[i * BATCH :][:BATCH], y[i * BATCH :][:BATCH])))
    keras.config.set_dtype_policy("float32")
    return np.array(losses, np.float32), model.get_weights()


def mixed(out):
    model = network()
    weights = [fill(w.shape, 0.3 + 0.1 * i, 0.4) for i, w in enumerate(model.get_weights())]
    # Moving variances are positive.
    weights[5] = np.abs(weights[5]) + np.float32(0.5)
    x = fill((STEPS * BATCH, 8, 8, 1), 0.9, 1.0)
    y = (np.arange(STEPS * BATCH) * 7 % 4).astype(np.int32)
    x[np.arange(len(y)), y, y, 0] += np.float32(2)
    out.case("common", x=x, y=y.astype(np.float32), **{f"weight{i}": w for i, w in enumerate(weights)})
    for name, make in {
        "sgd": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
        "adam": lambda: keras.optimizers.Adam(0.01),
    }.items():
        single, after_single = train("float32", weights, x, y, make)
        half, after_half = train("mixed_float16", weights, x, y, make)
        out.case(
            name,
            losses_float32=single,
            losses_mixed_float16=half,
            **{f"after{i}_float32": w for i, w in enumerate(after_single)},
            **{f"after{i}_mixed_float16": w for i, w in enumerate(after_half)},
        )
