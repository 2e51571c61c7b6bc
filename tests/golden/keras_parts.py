"""Losses, metrics and layers of Keras in float32."""

import keras
import numpy as np
import tensorflow as tf

from golden_io import distinct, rng, uniform

L = keras.losses


def loss_case(out, name, loss, target, y_pred, route=lambda x: x, what="y_pred", **more):
    """Per-sample values, their mean, and the mean's gradient by `what`, which `route` turns into predictions."""
    x = tf.constant(y_pred, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        mean = loss(reduction="sum_over_batch_size")(target, route(x))
    per_sample = loss(reduction="none")(target, route(x)).numpy()
    out.case(
        name,
        **more,
        y_true=target,
        **{what: np.float32(y_pred)},
        per_sample=per_sample,
        mean=mean.numpy(),
        **{"d" + what: tape.gradient(mean, x).numpy()},
    )


def with_options(cls, **options):
    return lambda **reduction: cls(**options, **reduction)


def losses(out):
    softmax = keras.layers.Activation("softmax")
    detached = lambda x: tf.identity(tf.nn.softmax(x))
    g = rng("losses")
    logits = uniform(g, (4, 3), -3, 3)
    far = np.array([[100, -100, 0], [-100, 100, 0], [20, 0, -20], [0, 30, 60]], np.float32)
    labels = np.array([2, 0, 1, 1])
    sparse, dense = L.SparseCategoricalCrossentropy, L.CategoricalCrossentropy
    one_hot = np.eye(3, dtype=np.float32)[labels]
    for key, x in [("plain", logits), ("far", far)]:
        loss_case(out, f"sparse_ce_logits_{key}", with_options(sparse, from_logits=True), labels, x, what="logits")
        loss_case(out, f"sparse_ce_softmax_layer_{key}", with_options(sparse), labels, x, softmax, "logits")
        loss_case(out, f"sparse_ce_detached_softmax_{key}", with_options(sparse), labels, x, detached, "logits")
        loss_case(out, f"ce_logits_{key}", with_options(dense, from_logits=True), one_hot, x, what="logits")
        loss_case(out, f"ce_softmax_layer_{key}", with_options(dense), one_hot, x, softmax, "logits")
        loss_case(
            out,
            f"ce_softmax_layer_smoothing_{key}",
            with_options(dense, label_smoothing=0.1),
            one_hot,
            x,
            softmax,
            "logits",
            label_smoothing=np.float32(0.1),
        )
    raw = np.array([[2, 0.5, 0], [2, 0.5, 0], [2, 0.5, 0], [0.2, 0.3, 0.5], [1, 1, 1], [0, 1, 0]], np.float32)
    raw_labels = np.array([0, 1, 2, 2, 0, 1])
    loss_case(out, "sparse_ce_unnormalised", with_options(sparse), raw_labels, raw)
    raw_hot = np.eye(3, dtype=np.float32)[raw_labels]
    for key, p in [
        ("unnormalised", raw[[0, 1, 3, 4, 5]]),
        (
            "probabilities",
            np.array([[0.2, 0.3, 0.5], [0.05, 0.95, 0], [0.1, 0.8, 0.1], [1, 0, 0], [0, 0, 1]], np.float32),
        ),
    ]:
        for smoothing in (0.0, 0.1):
            loss_case(
                out,
                f"ce_{key}_smoothing_{smoothing}",
                with_options(dense, label_smoothing=smoothing),
                raw_hot[[0, 1, 3, 4, 5]],
                p,
                label_smoothing=np.float32(smoothing),
            )
    binary_losses(out)
    regression_losses(out)


def binary_losses(out):
    t = np.array([[0, 1, 0], [1, 0, 1], [1, 0, 0.25]], np.float32)
    z = np.array([[-18.6, 0.51, 2.94], [-12.8, 100, -100], [0, 0, 1]], np.float32)
    p = np.array([[0.1, 0.6, 0.4], [0.5, 0, 1], [0, 1, 0.9]], np.float32)
    sigmoid = keras.layers.Activation("sigmoid")
    bce = L.BinaryCrossentropy
    for s in (0.0, 0.2):
        loss_case(
            out,
            f"bce_logits_smoothing_{s}",
            with_options(bce, from_logits=True, label_smoothing=s),
            t,
            z,
            what="logits",
            label_smoothing=np.float32(s),
        )
        loss_case(
            out,
            f"bce_probabilities_smoothing_{s}",
            with_options(bce, label_smoothing=s),
            t,
            p,
            label_smoothing=np.float32(s),
        )
    # Keras's sigmoid carries its logits along as softmax does, where the tensor allows it.
    loss_case(out, "bce_sigmoid_layer", with_options(bce), t, z, sigmoid, "logits")
    loss_case(out, "bce_detached_sigmoid", with_options(bce), t, z, lambda x: tf.identity(tf.sigmoid(x)), "logits")


def regression_losses(out):
    g = rng("regression")
    t, p = uniform(g, (3, 4), -2, 2), uniform(g, (3, 4), -2, 2)
    for name in ("MeanSquaredError", "MeanAbsoluteError", "Huber", "LogCosh", "Hinge", "CosineSimilarity"):
        loss_case(out, "loss_" + name, with_options(getattr(L, name)), np.sign(t) if name == "Hinge" else t, p)
    t3, p3 = uniform(g, (2, 3, 2)), uniform(g, (2, 3, 2))
    loss_case(out, "loss_MeanSquaredError_rank3", with_options(L.MeanSquaredError), t3, p3)
    d, q = np.array([[0.2, 0.3, 0.5], [0, 1, 0]], np.float32), np.array([[0.1, 0.6, 0.3], [0.2, 0.7, 0.1]], np.float32)
    loss_case(out, "loss_KLDivergence", with_options(L.KLDivergence), d, q)
    loss_case(out, "loss_Poisson", with_options(L.Poisson), d, q)
    w = np.array([0.3, 2, 0], np.float32)
    weighted = {
        r: L.MeanSquaredError(reduction=r)(t, p, sample_weight=w).numpy()
        for r in ("sum", "sum_over_batch_size", "mean_with_sample_weight", "none")
    }
    out.case("mse_sample_weight", y_true=t, y_pred=p, sample_weight=w, **weighted)


def metrics(out):
    def case(name, metric, batches, weights=None):
        """`result` after each batch, and the per-sample matches where Keras gives them."""
        fields = {}
        for i, (t, p) in enumerate(batches):
            w = None if weights is None else weights[i]
            metric.update_state(t, p, sample_weight=w)
            fields |= (
                {f"y_true{i}": t, f"y_pred{i}": p}
                | ({} if w is None else {f"sample_weight{i}": w})
                | {f"result{i}": np.float32(metric.result())}
            )
        out.case(name, **fields)

    M = keras.metrics
    p0 = np.array([[0.1, 0.6, 0.3], [0.4, 0.4, 0.2], [0.2, 0.4, 0.4], [0.5, 0.2, 0.3]], np.float32)
    p1 = np.array([[0.2, 0.2, 0.6], [1, 1, 1], [0, 0, 0]], np.float32)
    t0, t1 = np.array([1, 1, 1, 2]), np.array([2, 0, 2])
    hot = np.eye(3, dtype=np.float32)
    w = [np.array([1, 0.5, 0.25, 2], np.float32), np.array([0, 1, 3], np.float32)]
    case("metric_SparseCategoricalAccuracy", M.SparseCategoricalAccuracy(), [(t0, p0), (t1, p1)])
    case("metric_SparseCategoricalAccuracy_weighted", M.SparseCategoricalAccuracy(), [(t0, p0), (t1, p1)], w)
    case("metric_SparseCategoricalAccuracy_column_labels", M.SparseCategoricalAccuracy(), [(t0[:, None], p0)])
    case("metric_CategoricalAccuracy", M.CategoricalAccuracy(), [(hot[t0], p0), (hot[t1], p1)])
    case("metric_CategoricalAccuracy_weighted", M.CategoricalAccuracy(), [(hot[t0], p0), (hot[t1], p1)], w)
    b0 = np.array([[0.5], [0.50001], [0.49999], [1], [0]], np.float32)
    case(
        "metric_BinaryAccuracy",
        M.BinaryAccuracy(),
        [(np.array([[0], [1], [1], [1], [0]], np.float32), b0), (np.array([[1], [0], [0], [0], [1]], np.float32), b0)],
    )
    case(
        "metric_BinaryAccuracy_columns",
        M.BinaryAccuracy(),
        [(np.array([[0, 1], [1, 1]], np.float32), np.array([[0.5, 0.7], [0.5, 0.2]], np.float32))],
    )
    case(
        "metric_BinaryAccuracy_threshold_0.25",
        M.BinaryAccuracy(threshold=0.25),
        [(np.array([[0], [1]], np.float32), np.array([[0.25], [0.3]], np.float32))],
    )
    case("metric_SparseTopKCategoricalAccuracy_2", M.SparseTopKCategoricalAccuracy(k=2), [(t0, p0), (t1, p1)])
    case("metric_Mean", M.MeanSquaredError(), [(hot[t0], p0), (hot[t1], p1)])
    case("metric_MeanAbsoluteError", M.MeanAbsoluteError(), [(hot[t0], p0), (hot[t1], p1)])
    y, s = np.array([[1, 0, 1], [1, 1, 0]], np.float32), np.array([[0.9, 0.6, 0.4], [0.5, 0.8, 0.1]], np.float32)
    case("metric_Precision", M.Precision(), [(y, s)])
    case("metric_Recall", M.Recall(), [(y, s)])


def layer_case(out, name, layer, x, weights=None, training=False, **attributes):
    """A layer's output, its gradients by input and weights, and its weights after the call (moving statistics move)."""
    layer.build(x.shape)
    g = rng(name)
    start = (
        [
            uniform(g, w.shape) if w.path.split("/")[-1] != "moving_variance" else uniform(g, w.shape, 0.5, 2)
            for w in layer.weights
        ]
        if weights is None
        else weights
    )
    layer.set_weights(start)
    integer = np.issubdtype(x.dtype, np.integer)
    xt = tf.constant(x)
    with tf.GradientTape(persistent=True) as tape:
        if not integer:
            tape.watch(xt)
        y = layer(xt, training=training) if training else layer(xt)
    dy = uniform(g, y.shape)
    variables = [w.value for w in layer.trainable_weights]
    grads = tape.gradient(y, ([] if integer else [xt]) + variables, output_gradients=tf.constant(dy))
    grads = [tf.convert_to_tensor(d).numpy() for d in grads]
    names = [w.name for w in layer.weights]
    fields = dict(attributes) | {"x": x} | dict(zip(names, start)) | {"y": y.numpy(), "dy": dy}
    if not integer:
        fields["dx"] = grads.pop(0)
    fields |= {"d" + w.name: d for w, d in zip(layer.trainable_weights, grads)}
    fields |= {"after_" + w.name: w.numpy() for w in layer.non_trainable_weights if "seed" not in w.name}
    out.case("layer_" + name, **fields)


def layers(out):
    K = keras.layers
    case = lambda name, layer, shape, **more: layer_case(
        out, name, layer, uniform(rng("x" + name), shape, -2, 2), **more
    )
    case("Dense_relu", K.Dense(3, activation="relu"), (4, 5))
    case("Dense_rank3", K.Dense(2), (2, 3, 4))
    case("Dense_softmax", K.Dense(3, activation="softmax"), (2, 4))
    case("Conv2D_same_s2_tanh", K.Conv2D(3, 3, strides=2, padding="same", activation="tanh"), (1, 5, 6, 2))
    case("Conv1D_same", K.Conv1D(3, 3, padding="same"), (2, 5, 2))
    case("Conv1D_valid_s2", K.Conv1D(2, 4, strides=2), (2, 7, 3))
    case("DepthwiseConv2D_same", K.DepthwiseConv2D(3, padding="same", depth_multiplier=2), (1, 4, 5, 2))
    case("SeparableConv2D", K.SeparableConv2D(3, 3), (1, 5, 4, 2))
    case("Conv2DTranspose_valid_s2", K.Conv2DTranspose(2, 3, strides=2), (1, 3, 2, 3))
    case("Conv2DTranspose_same_s2", K.Conv2DTranspose(2, 3, strides=2, padding="same"), (1, 3, 2, 3))
    case("GlobalAveragePooling2D", K.GlobalAveragePooling2D(), (2, 3, 4, 2))
    layer_case(out, "GlobalMaxPooling2D", K.GlobalMaxPooling2D(), distinct(rng("gmp"), (2, 3, 4, 2)))
    case("UpSampling2D_nearest", K.UpSampling2D((2, 3)), (1, 2, 3, 2))
    case("UpSampling2D_bilinear", K.UpSampling2D(2, interpolation="bilinear"), (1, 3, 2, 2))
    case("ZeroPadding2D", K.ZeroPadding2D(((1, 0), (2, 1))), (1, 2, 3, 2))
    case("Cropping2D", K.Cropping2D(((1, 0), (1, 2))), (1, 4, 5, 2))
    for training in (True, False):
        tag = "training" if training else "inference"
        case("BatchNormalization_" + tag, K.BatchNormalization(), (4, 2, 3, 2), training=training)
        case(
            "BatchNormalization_rank2_" + tag,
            K.BatchNormalization(momentum=0.9, epsilon=1e-5),
            (5, 3),
            training=training,
        )
    case("LayerNormalization", K.LayerNormalization(), (3, 5))
    case("LayerNormalization_rank4", K.LayerNormalization(), (2, 2, 3, 4))
    case("GroupNormalization", K.GroupNormalization(2), (2, 2, 3, 4))
    case("UnitNormalization", K.UnitNormalization(), (3, 4))
    case("PReLU", K.PReLU(), (2, 5))
    case("LeakyReLU", K.LeakyReLU(), (2, 5))
    layer_case(out, "Embedding", K.Embedding(5, 3), np.array([[1, 4, 1], [0, 1, 3]], np.int32))
    case("SimpleRNN", K.SimpleRNN(3), (2, 4, 2))
    case("LSTM", K.LSTM(3), (2, 4, 2))
    case("GRU", K.GRU(3), (2, 4, 2))
    case("Softmax_axis1", K.Softmax(axis=1), (2, 3, 4))
    x = np.array([-7, -3, -1.5, -1, -0.4, 0, 0.3, 0.5, 1, 2.5, 3, 6, 7], np.float32)[None]
    for name in (
        "elu",
        "selu",
        "gelu",
        "silu",
        "softplus",
        "softsign",
        "hard_sigmoid",
        "hard_silu",
        "mish",
        "sigmoid",
        "tanh",
        "relu",
        "relu6",
        "leaky_relu",
        "exponential",
        "log_softmax",
    ):
        layer_case(out, "Activation_" + name, K.Activation(name), x)
