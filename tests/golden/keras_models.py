"""Small models of different kinds, trained from Keras's own initial weights; nothing in them is random once they are built."""

import keras
import numpy as np

from golden_io import rng, uniform
from keras_loop import Training, training_case

K, L, O = keras.layers, keras.losses, keras.optimizers


def labels(name, count, classes):
    """Every class as often as the others, in an order of its own."""
    return rng("labels " + name).permutation(np.arange(count) % classes).astype(np.int32)


def images(name, count, shape, classes):
    """Random images with a pattern for each class added, so that there is something to learn."""
    y = labels(name, count, classes)
    patterns = uniform(rng("patterns " + name), (classes,) + shape)
    x = uniform(rng("images " + name), (count,) + shape) + patterns[y]
    return np.round(x, 3).astype(np.float32), y


def batch_norm_classifier():
    """Convolutions with batch normalisation and global pooling; Adam."""
    x, y = images("batch norm", 16, (6, 6, 2), 3)
    make = lambda: keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            K.Conv2D(4, 3, padding="same", use_bias=False),
            K.BatchNormalization(),
            K.Activation("relu"),
            K.Conv2D(5, 3, strides=2, activation="relu"),
            K.BatchNormalization(momentum=0.9),
            K.GlobalAveragePooling2D(),
            K.Dense(3, activation="softmax"),
        ]
    )
    return Training(make, lambda: O.Adam(0.003), lambda: [L.SparseCategoricalCrossentropy()], [x], [y], 8)


def lstm_regression():
    """An LSTM that sums up a sequence; RMSprop."""
    x = uniform(rng("lstm"), (16, 6, 2))
    y = np.round(x[:, :, :1].sum(1) * 0.5 + x[:, -1, 1:] * x[:, 0, 1:], 3).astype(np.float32)
    make = lambda: keras.Sequential([keras.Input((6, 2)), K.LSTM(5), K.Dense(1)])
    return Training(make, lambda: O.RMSprop(0.005), lambda: [L.MeanSquaredError()], [x], [y], 8)


def reader(words):
    """Words, embedded and read in both directions, as logits of three classes."""
    return keras.Sequential([keras.Input((5,), dtype="int32"), K.Embedding(words, 4), K.Bidirectional(K.GRU(3)), K.Dense(3)])


def gru_words():
    """Sentences in which words repeat; SGD with momentum."""
    x = rng("words").integers(0, 9, (16, 5)).astype(np.int32)
    y = (x.sum(1) % 3).astype(np.int32)
    losses = lambda: [L.SparseCategoricalCrossentropy(from_logits=True)]
    return Training(lambda: reader(9), lambda: O.SGD(0.1, momentum=0.9), losses, [x], [y], 8)


def gru_words_clipped():
    """No word comes twice in a batch, so that TensorFlow's sparse gradients have the norm of the gradient; momentum and clipnorm."""
    g = rng("distinct words")
    x = np.concatenate([g.permutation(20).reshape(4, 5) for _ in range(4)]).astype(np.int32)
    losses = lambda: [L.SparseCategoricalCrossentropy(from_logits=True)]
    optimizer = lambda: O.SGD(0.1, momentum=0.9, clipnorm=0.2)
    return Training(lambda: reader(20), optimizer, losses, [x], [labels("distinct words", 16, 3)], 4)


def two_inputs_two_outputs():
    """A functional model with a shared layer, two inputs and two outputs, whose losses are weighed; AdamW."""
    g = rng("two inputs")
    a, b = uniform(g, (16, 3)), uniform(g, (16, 4))
    kind = labels("two inputs", 16, 3)
    value = np.round(a[:, :1] * b[:, :1] + 0.3 * kind[:, None], 3).astype(np.float32)

    def make():
        left, right = keras.Input((3,), name="left"), keras.Input((4,), name="right")
        shared = K.Dense(4, activation="tanh", name="shared")
        u = shared(left)
        v = shared(K.Dense(3, activation="elu", name="narrow")(right))
        both = K.Concatenate()([u, v, K.Multiply()([u, v])])
        hidden = K.Dense(8, activation="gelu", name="hidden")(both)
        outputs = [K.Dense(3, activation="softmax", name="kind")(hidden), K.Dense(1, name="value")(hidden)]
        return keras.Model([left, right], outputs)

    losses = lambda: [L.SparseCategoricalCrossentropy(), L.MeanSquaredError()]
    return Training(make, lambda: O.AdamW(0.01, weight_decay=0.02), losses, [a, b], [kind, value], 8, loss_weights=[1.0, 0.25])


def separable_net():
    """Depthwise and separable convolutions, smoothed labels; SGD with a cosine decay that ends before the training does."""
    x, y = images("separable", 16, (6, 6, 3), 4)
    hot = np.eye(4, dtype=np.float32)[y]
    make = lambda: keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            K.DepthwiseConv2D(3, padding="same", depth_multiplier=2, activation="silu"),
            K.SeparableConv2D(6, 3, strides=2, activation="silu"),
            K.Flatten(),
            K.Dense(4, activation="softmax"),
        ]
    )
    optimizer = lambda: O.SGD(O.schedules.CosineDecay(0.1, 80, alpha=0.05), momentum=0.5)
    return Training(make, optimizer, lambda: [L.CategoricalCrossentropy(label_smoothing=0.1)], [x], [hot], 8)


def regularized_regression():
    """Dense layers with regularizers of all kinds and Huber's loss; Nadam."""
    x = uniform(rng("regularized"), (16, 4))
    y = np.round(2 * x[:, :1] * x[:, 1:2] - x[:, 2:3], 3).astype(np.float32)
    make = lambda: keras.Sequential(
        [
            keras.Input((4,)),
            K.Dense(8, activation="tanh", kernel_regularizer=keras.regularizers.L2(0.005)),
            K.Dense(6, activation="softplus", kernel_regularizer="l2", bias_regularizer=keras.regularizers.L2(0.02)),
            K.Dense(1, activity_regularizer=keras.regularizers.L2(0.01)),
        ]
    )
    return Training(make, lambda: O.Nadam(0.005), lambda: [L.Huber(delta=0.7)], [x], [y], 16)


def attention_encoder():
    """One block of a transformer's encoder; Adam with a global clipnorm."""
    x, y = images("attention", 16, (5, 6), 3)

    def make():
        inputs = keras.Input((5, 6))
        attended = K.MultiHeadAttention(2, 3)(inputs, inputs)
        h = K.LayerNormalization()(K.Add()([inputs, attended]))
        wide = K.Dense(6)(K.Dense(8, activation="gelu")(h))
        h = K.LayerNormalization(epsilon=1e-6)(K.Add()([h, wide]))
        return keras.Model(inputs, K.Dense(3, activation="softmax")(K.GlobalAveragePooling1D()(h)))

    optimizer = lambda: O.Adam(0.005, global_clipnorm=0.3)
    return Training(make, optimizer, lambda: [L.SparseCategoricalCrossentropy()], [x], [y], 8)


def autoencoder():
    """Down by strides and pools, up by upsampling and transposed convolution; binary crossentropy, weighed by sample; Adamax."""
    g = rng("autoencoder")
    rows, columns = g.integers(0, 5, 12), g.integers(0, 5, 12)
    x = np.zeros((12, 8, 8, 1), np.float32)
    for image, r, c in zip(x, rows, columns):
        image[r : r + 4, c : c + 3] = 1
    weight = uniform(g, (12,), 0.2, 2)
    make = lambda: keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            K.Conv2D(4, 3, strides=2, padding="same", activation="elu"),
            K.AveragePooling2D(2),
            K.Conv2D(4, 2, padding="same", activation="tanh"),
            K.UpSampling2D(2),
            K.Conv2DTranspose(3, 3, strides=2, padding="same", activation="elu"),
            K.Conv2D(1, 3, padding="same"),
            K.Flatten(),  # Keras wants one loss for each weight of a sample.
            K.Activation("sigmoid"),
        ]
    )
    return Training(make, lambda: O.Adamax(0.01), lambda: [L.BinaryCrossentropy()], [x], [x.reshape(12, 64)], 6, sample_weight=weight)


def residual_net():
    """Group normalisation, PReLU and a sum with the input; Adagrad."""
    x, y = images("residual", 16, (5, 5, 4), 3)

    def make():
        inputs = keras.Input((5, 5, 4))
        h = K.PReLU(shared_axes=[1, 2])(K.GroupNormalization(2)(K.Conv2D(4, 3, padding="same", groups=2)(inputs)))
        h = K.Add()([inputs, K.Conv2D(4, 1)(h)])
        h = K.GlobalAveragePooling2D()(K.MaxPooling2D(2, padding="same")(h))
        return keras.Model(inputs, K.Dense(3)(h))

    losses = lambda: [L.SparseCategoricalCrossentropy(from_logits=True)]
    return Training(make, lambda: O.Adagrad(0.05), losses, [x], [y], 8, seed=2)


def constrained_recurrent():
    """Two recurrent layers above each other, weights held by constraints; SGD with Nesterov's momentum and weight decay."""
    x = uniform(rng("constrained"), (16, 5, 3))
    y = np.tanh(np.cumsum(x, 1)[:, :, :2]).round(3).astype(np.float32)
    make = lambda: keras.Sequential(
        [
            keras.Input((5, 3)),
            K.SimpleRNN(4, return_sequences=True, kernel_constraint=keras.constraints.MaxNorm(1.0)),
            K.GRU(4, return_sequences=True, reset_after=False),
            K.Dense(2, kernel_constraint="unit_norm", bias_constraint="non_neg"),
        ]
    )
    optimizer = lambda: O.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01)
    return Training(make, optimizer, lambda: [L.LogCosh()], [x], [y], 8)


def models(out):
    for make in (
        batch_norm_classifier,
        lstm_regression,
        gru_words,
        gru_words_clipped,
        two_inputs_two_outputs,
        separable_net,
        regularized_regression,
        attention_encoder,
        autoencoder,
        residual_net,
        constrained_recurrent,
    ):
        training_case(out, make.__name__, make())
