"""Every loss with every reduction, sample weights and masks, and every metric, of Keras in float32."""

import keras
import numpy as np
import tensorflow as tf
from keras.src.losses.loss import reduce_weighted_values

from golden_io import rng, uniform

L, M = keras.losses, keras.metrics
REDUCTIONS = ("sum_over_batch_size", "sum", "mean_with_sample_weight")


def option_fields(options):
    """Options as fields: words, numbers and lists; None is left out."""
    fields = {}
    for k, v in options.items():
        if isinstance(v, bool):
            fields[k] = int(v)
        elif isinstance(v, float) or (isinstance(v, (list, tuple)) and v and isinstance(v[0], float)):
            fields[k] = np.float32(v)
        elif v is not None:
            fields[k] = v
    return fields


def loss_case(out, name, target, x, weight, mask=None, route=None, cls=None, **options):
    """Values per sample; the value by each reduction without weights, with them, and with a mask too; one gradient."""
    cls = cls or name.split("_")[0]
    make = lambda reduction: getattr(L, cls)(reduction=reduction, **options)
    predict = {None: lambda x: x, "softmax": keras.ops.softmax, "sigmoid": keras.ops.sigmoid}[route]
    x = tf.constant(x, tf.float32)
    target = np.asarray(target)
    fields = {"class": cls} | option_fields(options)
    if route:
        fields["route"] = route
    fields |= {"y_true": target, "x": x.numpy(), "sample_weight": weight}
    fields["per_sample"] = make("none").call(target, predict(x)).numpy()
    for reduction in REDUCTIONS:
        loss = make(reduction)
        fields[reduction] = loss(target, predict(x)).numpy()
        fields[reduction + "_weighted"] = loss(target, predict(x), sample_weight=weight).numpy()
        if mask is not None:
            values = loss.call(target, predict(x))
            fields["mask"] = mask
            masked = reduce_weighted_values(values, sample_weight=weight, mask=mask, reduction=reduction)
            fields[reduction + "_masked"] = masked.numpy()
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = make("sum_over_batch_size")(target, predict(x), sample_weight=weight)
    fields["dx"] = tape.gradient(value, x).numpy()
    assert all(np.all(np.isfinite(v)) for v in fields.values() if isinstance(v, np.ndarray)), name
    out.case("loss_" + name, **fields)


def losses(out):
    g = rng("weighted losses")
    t, p = uniform(g, (4, 3), -2, 2), uniform(g, (4, 3), -2, 2)
    w, m = np.array([0.3, 2, 0, 1], np.float32), np.array([1, 1, 0, 0], np.float32)
    case = lambda name, *data, **options: loss_case(out, name, *data, **options)
    for name in ("MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "LogCosh", "CosineSimilarity"):
        case(name, t, p, w, m)
    positive = lambda x: np.abs(x) + np.float32(0.1)
    case("MeanSquaredLogarithmicError", positive(t), p, w, m)
    case("Poisson", positive(t), positive(p), w, m)
    case("Huber", t, p, w, m)
    case("Huber_delta", t, p, w, m, delta=0.4)
    binary = (t > 0).astype(np.float32)
    for name in ("Hinge", "SquaredHinge"):
        case(name, np.sign(t), p, w, m)
        case(name + "_binary", binary, p, w, m)
    labels = np.array([2, 0, 1, 1])
    hot = np.eye(3, dtype=np.float32)[labels]
    case("CategoricalHinge", hot, p, w, m)
    probabilities = np.float32(np.round(np.exp(p) / np.exp(p).sum(-1, keepdims=True), 3))
    soft = np.float32(np.round(np.exp(t) / np.exp(t).sum(-1, keepdims=True), 3))
    case("KLDivergence", soft, probabilities, w, m)
    case("KLDivergence_hard", hot, probabilities, w, m)
    for key, more in [("", {}), ("_smoothing", {"label_smoothing": 0.2})]:
        case("BinaryCrossentropy" + key, binary, probabilities, w, m, **more)
        case("BinaryCrossentropy_logits" + key, binary, p, w, m, from_logits=True, **more)
        case("BinaryCrossentropy_sigmoid" + key, binary, p * 9, w, m, route="sigmoid", **more)
        for balancing in (False, True):
            options = dict(apply_class_balancing=balancing, **more)
            key2 = key + "_balanced" * balancing
            case("BinaryFocalCrossentropy" + key2, binary, probabilities, w, m, **options)
            case("BinaryFocalCrossentropy_logits" + key2, binary, p, w, m, from_logits=True, **options)
            case("BinaryFocalCrossentropy_sigmoid" + key2, binary, p * 9, w, m, route="sigmoid", **options)
        for name in ("CategoricalCrossentropy", "CategoricalFocalCrossentropy"):
            case(name + key, hot, probabilities, w, m, **more)
            case(name + "_logits" + key, hot, p, w, m, from_logits=True, **more)
            case(name + "_softmax" + key, hot, p, w, m, route="softmax", **more)
    case("BinaryFocalCrossentropy_options", binary, probabilities, w, m, apply_class_balancing=True, alpha=0.6, gamma=3.0)
    case("CategoricalFocalCrossentropy_options", hot, probabilities, w, m, alpha=0.6, gamma=3.0)
    case("SparseCategoricalCrossentropy", labels, probabilities, w, m)
    case("SparseCategoricalCrossentropy_column", labels[:, None], p, w, m, from_logits=True)
    case("SparseCategoricalCrossentropy_ignore", np.array([2, 7, 1, 1]), probabilities, w, ignore_class=7)
    case("CategoricalGeneralizedCrossEntropy", labels, probabilities, w, m)
    case("CategoricalGeneralizedCrossEntropy_q", labels, probabilities, w, m, q=0.8)
    several_axes(out, case)
    whole_batches(out, case, w)
    spelled = np.array([[1, 2, 3], [2, 2, 0], [0, 0, 0], [3, 0, 0]])
    case("CTC", spelled, uniform(rng("spelled"), (4, 6, 4), -3, 3), w, m)


def several_axes(out, case):
    """Values with two axes, [2, 3], and weights for each of them."""
    g = rng("several axes")
    t, p = uniform(g, (2, 3, 4), -1, 1), uniform(g, (2, 3, 4), -1, 1)
    w, m = uniform(g, (2, 3), 0, 2), np.array([[1, 0, 1], [0, 0, 1]], np.float32)
    binary, labels = (t > 0).astype(np.float32), np.array([[1, 3, 0], [2, 2, 1]])
    case("MeanSquaredError_rank3", t, p, w, m)
    case("CosineSimilarity_axis", t, p, uniform(g, (2, 4), 0, 2), axis=1)
    case("BinaryCrossentropy_axis", binary, p, uniform(g, (2, 4), 0, 2), from_logits=True, axis=1)
    case("BinaryFocalCrossentropy_axis", binary, p, uniform(g, (2, 4), 0, 2), from_logits=True, axis=1)
    case("CategoricalCrossentropy_rank3", np.eye(4, dtype=np.float32)[labels], p, w, m, from_logits=True)
    case("SparseCategoricalCrossentropy_rank3", labels, p, w, m, from_logits=True)
    ignored = np.array([[1, 3, 0], [3, 2, 3]])
    case("SparseCategoricalCrossentropy_rank3_ignore", ignored, p, w, from_logits=True, ignore_class=3)


def whole_batches(out, case, w):
    """Losses whose samples meet."""
    g = rng("whole batches")
    t, p = (uniform(g, (4, 3, 2)) > 0).astype(np.float32), uniform(g, (4, 3, 2), 0, 1)
    for name, options in [("Dice", {}), ("Tversky", {}), ("Tversky_weights", {"alpha": 0.3, "beta": 0.8})]:
        case(name, t, p, w, **options)
        case(name + "_axis", t, p, w, axis=[1, 2], **options)
    angles = np.array([0.1, 0.4, 2.0, 0.3, 2.5, 2.2])
    points = np.float32(np.round(np.stack([np.cos(angles), np.sin(angles)], -1), 3))
    weight = np.array([1, 0.5, 2, 0, 1, 1], np.float32)
    case("Circle", np.array([0, 0, 1, 1, 2, 2]), points, weight)
    case("Circle_options", np.array([0, 0, 1, 1, 2, 2]), points, weight, gamma=8.0, margin=0.25, remove_diagonal=False)


def metric_case(out, name, batches, weights, cls=None, needed=None, **options):
    """`result` after each batch without weights, `weighted_result` with them."""
    cls, options = cls or name.split("_")[0], (needed or {}) | options
    keras.utils.clear_session()
    plain, weighted = (getattr(M, cls)(**options) for _ in range(2))
    fields = {"class": cls, "called": plain.name} | option_fields(options)
    for i, ((t, p), w) in enumerate(zip(batches, weights)):
        plain.update_state(t, p)
        weighted.update_state(t, p, sample_weight=w)
        fields |= {f"y_true{i}": t, f"y_pred{i}": p, f"sample_weight{i}": w}
        fields |= {f"result{i}": np.float32(plain.result()), f"weighted_result{i}": np.float32(weighted.result())}
    assert all(np.all(np.isfinite(v)) for k, v in fields.items() if "result" in k), name
    out.case("metric_" + name, **fields)


def metrics(out):
    g = rng("metrics")
    case = lambda name, batches, **options: metric_case(out, name, batches, weights, **options)
    weights = [np.array([1, 0.5, 0.25, 2], np.float32), np.array([0, 1, 3], np.float32)]
    pair = lambda make: [make(4), make(3)]
    numbers = pair(lambda n: (uniform(g, (n, 3), 0.1, 2), uniform(g, (n, 3), 0.1, 2)))
    for name in (
        "MeanSquaredError RootMeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredLogarithmicError "
        "LogCoshError CosineSimilarity R2Score Poisson PearsonCorrelation ConcordanceCorrelation"
    ).split():
        case(name, numbers)
    for aggregation in ("variance_weighted_average", None):
        case(f"R2Score_{aggregation}", numbers, class_aggregation=aggregation)
    # Gradus does not count samples of weight 0, Keras does.
    metric_case(out, "R2Score_regressors", numbers, [w + np.float32(0.5) for w in weights], num_regressors=2)
    signs = [(np.sign(p - t), t - 1) for t, p in numbers]
    for name in ("Hinge", "SquaredHinge"):
        case(name, signs)
    classes = pair(lambda n: g.integers(0, 4, n))
    scores = pair(lambda n: uniform(g, (n, 4), 0, 1))
    # Two ties for the first place.
    scores[0][0, 1] = scores[0][0, 2] = 1
    hot = [np.eye(4, dtype=np.float32)[c] for c in classes]
    sparse, dense = list(zip(classes, scores)), list(zip(hot, scores))
    for name, data in [("CategoricalHinge", dense), ("KLDivergence", dense), ("CategoricalCrossentropy", dense)]:
        case(name, data)
    case("CategoricalCrossentropy_options", dense, from_logits=True, label_smoothing=0.1)
    case("SparseCategoricalCrossentropy", sparse)
    case("SparseCategoricalCrossentropy_logits", sparse, from_logits=True)
    case("CategoricalAccuracy", dense)
    case("SparseCategoricalAccuracy", sparse)
    for k in (1, 2, 3):
        case(f"TopKCategoricalAccuracy_{k}", dense, k=k)
        case(f"SparseTopKCategoricalAccuracy_{k}", sparse, k=k)
    case("Accuracy", [(c, g.integers(0, 4, len(c)).astype(np.float32)) for c in classes])
    for average in (None, "micro", "macro", "weighted"):
        case(f"F1Score_{average}", dense, average=average)
        case(f"FBetaScore_{average}", dense, average=average, beta=2.0, threshold=0.4)
    binary_metrics(out, g, weights)
    overlap_metrics(out, g)


def binary_metrics(out, g, weights):
    case = lambda name, batches, **options: metric_case(out, name, batches, weights, **options)
    shapes = [(4, 3), (3, 3)]
    answers = [((uniform(g, s) > 0).astype(np.float32), uniform(g, s, 0, 1)) for s in shapes]
    logits = [(t, p * 6 - 3) for t, p in answers]
    case("BinaryAccuracy", answers)
    case("BinaryAccuracy_threshold", answers, threshold=0.3)
    case("BinaryCrossentropy", answers)
    case("BinaryCrossentropy_options", logits, from_logits=True, label_smoothing=0.2)
    for name in ("TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives"):
        case(name, answers)
        case(name + "_thresholds", answers, thresholds=[0.2, 0.5, 0.7])
    for name in ("Precision", "Recall"):
        case(name, answers)
        case(name + "_thresholds", answers, thresholds=[0.2, 0.7])
        case(name + "_even_thresholds", answers, thresholds=[0.0, 0.25, 0.5, 0.75, 1.0])
        case(name + "_top_k", answers, top_k=2)
        case(name + "_top_k_threshold", answers, top_k=2, thresholds=[0.4])
        case(name + "_class_id", answers, class_id=1)
    for name, needed in [
        ("PrecisionAtRecall", {"recall": 0.5}),
        ("RecallAtPrecision", {"precision": 0.6}),
        ("SensitivityAtSpecificity", {"specificity": 0.5}),
        ("SpecificityAtSensitivity", {"sensitivity": 0.5}),
    ]:
        case(name, answers, needed=needed)
        case(name + "_options", answers, needed=needed, num_thresholds=7, class_id=2)
        case(name + "_one_threshold", answers, needed=needed, num_thresholds=1)
    for curve in ("ROC", "PR", "PRGAIN"):
        for method in ("interpolation", "minoring", "majoring"):
            case(f"AUC_{curve}_{method}", answers, curve=curve, summation_method=method)
    case("AUC_few", answers, num_thresholds=5)
    case("AUC_thresholds", answers, thresholds=[0.7, 0.1, 0.3])
    case("AUC_logits", logits, from_logits=True)
    case("AUC_labels", answers, multi_label=True)
    case("AUC_labels_PR", answers, multi_label=True, curve="PR", label_weights=[1.0, 0.5, 2.0])
    case("AUC_label_weights", answers, label_weights=[1.0, 0.5, 2.0])


def overlap_metrics(out, g):
    """Keras counts in integers here, so weights are whole numbers."""
    weights = [np.array([1, 2, 0, 3], np.float32), np.array([2, 1, 1], np.float32)]
    case = lambda name, batches, **options: metric_case(out, name, batches, weights, **options)
    # Class 3 of the labels and class 4 of the predictions are outside of three classes.
    sparse = [(g.integers(0, 4, n), g.integers(0, 5, n)) for n in (4, 3)]
    inside = [(t % 3, p % 3) for t, p in sparse]
    case("IoU", inside, needed={"num_classes": 3, "target_class_ids": [0, 2]})
    case("IoU_outside", sparse, needed={"num_classes": 3, "target_class_ids": [0, 1]})
    case("MeanIoU", inside, needed={"num_classes": 3})
    case("MeanIoU_ignore", inside, needed={"num_classes": 3}, ignore_class=1)
    scores = [uniform(g, (n, 3), 0, 1) for n in (4, 3)]
    hot = [np.eye(3, dtype=np.float32)[t] for t, _ in inside]
    case("MeanIoU_dense", list(zip(hot, scores)), needed={"num_classes": 3}, sparse_y_true=False, sparse_y_pred=False)
    case("OneHotIoU", list(zip(hot, scores)), needed={"num_classes": 3, "target_class_ids": [1]})
    case("OneHotMeanIoU", list(zip(hot, scores)), needed={"num_classes": 3})
    case("OneHotMeanIoU_sparse", [(h, p) for h, (_, p) in zip(hot, inside)], needed={"num_classes": 3}, sparse_y_pred=True)
    binary = [(g.integers(0, 2, n), uniform(g, n, 0, 1)) for n in (4, 3)]
    binary[0][1][1] = 0.5
    case("BinaryIoU", binary)
    case("BinaryIoU_options", binary, target_class_ids=[1], threshold=0.7)
