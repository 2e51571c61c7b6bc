"""All optimizers of Keras with all options, and its schedules: several variables, fifty steps.

In float64, but for schedules, which Keras computes in float32, and Muon, which cannot mix them.
"""

import keras
import numpy as np
import tensorflow as tf

from golden_io import fill

O = keras.optimizers
S = O.schedules
# A tall and a wide matrix, a vector, and something deeper.
SHAPES = {"kernel": (3, 2), "wide": (2, 3), "bias": (3,), "deep": (2, 2, 2)}
CLASSES = {
    name: getattr(O, name)
    for name in (
        "SGD Adam AdamW Adamax Nadam RMSprop Adagrad Adadelta Ftrl Lion Lamb Adafactor Muon ScheduleFreeAdamW"
    ).split()
}
# What every class is run with. Names say only what is not in the fields.
SHARED = {
    "weight_decay": dict(weight_decay=0.1),
    "clipnorm": dict(clipnorm=0.5),
    "clipvalue": dict(clipvalue=0.3),
    "global_clipnorm": dict(global_clipnorm=0.7),
    "ema": dict(use_ema=True, ema_momentum=0.9),
    "ema_overwrite": dict(use_ema=True, ema_overwrite_frequency=7),
    "accumulation": dict(gradient_accumulation_steps=4),
    "loss_scale_factor": dict(loss_scale_factor=8.0),
    "schedule": dict(learning_rate=lambda: S.CosineDecay(0.001, 30, 0.1, warmup_target=0.02, warmup_steps=5)),
    "everything": dict(
        learning_rate=lambda: S.ExponentialDecay(0.05, 10, 0.7),
        weight_decay=0.05,
        global_clipnorm=0.4,
        use_ema=True,
        ema_momentum=0.8,
        ema_overwrite_frequency=3,
        gradient_accumulation_steps=3,
        loss_scale_factor=4.0,
    ),
}
SPECIAL = {
    "SGD_momentum": lambda: O.SGD(0.01, momentum=0.9, weight_decay=0.1),
    "SGD_nesterov": lambda: O.SGD(0.01, momentum=0.9, nesterov=True, gradient_accumulation_steps=2),
    "Adam_amsgrad": lambda: O.Adam(0.01, amsgrad=True, weight_decay=0.1),
    "Adamax_betas": lambda: O.Adamax(0.01, beta_1=0.8, beta_2=0.95, epsilon=1e-3),
    "Nadam_betas": lambda: O.Nadam(0.01, beta_1=0.8, beta_2=0.95, epsilon=1e-3),
    "RMSprop_all": lambda: O.RMSprop(0.01, rho=0.8, momentum=0.5, centered=True, weight_decay=0.1),
    "Adagrad_start": lambda: O.Adagrad(0.1, initial_accumulator_value=0.5, epsilon=1e-3),
    "Adadelta_rate_1": lambda: O.Adadelta(1.0, rho=0.9, epsilon=1e-4),
    "Ftrl_all": lambda: O.Ftrl(
        0.1,
        learning_rate_power=-0.3,
        initial_accumulator_value=0.5,
        l1_regularization_strength=0.2,
        l2_regularization_strength=0.1,
        l2_shrinkage_regularization_strength=0.05,
        beta=0.3,
    ),
    "Lion_betas": lambda: O.Lion(0.01, beta_1=0.7, beta_2=0.9, weight_decay=0.1),
    "Lamb_betas": lambda: O.Lamb(0.1, beta_1=0.8, beta_2=0.95, epsilon=1e-3, weight_decay=0.1),
    "Adafactor_all": lambda: O.Adafactor(
        0.5, beta_2_decay=-0.6, epsilon_1=1e-5, epsilon_2=0.1, clip_threshold=0.5, relative_step=False
    ),
    "Muon_all": lambda: O.Muon(
        0.02,
        adam_beta_1=0.8,
        adam_beta_2=0.95,
        adam_weight_decay=0.2,
        epsilon=1e-3,
        weight_decay=0.1,
        exclude_layers=["wide"],
        adam_lr_ratio=0.5,
        momentum=0.8,
        ns_steps=3,
        nesterov=False,
        rms_rate=None,
    ),
    "Muon_coefficients": lambda: O.Muon(0.02, muon_a=3.0, muon_b=-3.2, muon_c=1.2, rms_rate=0.4),
    "ScheduleFreeAdamW_all": lambda: O.ScheduleFreeAdamW(
        0.05, beta_1=0.8, beta_2=0.95, epsilon=1e-3, warmup_steps=10, weight_decay=0.1
    ),
}
SCHEDULES = {
    "exponential": lambda: S.ExponentialDecay(0.1, 20, 0.5),
    "exponential_staircase": lambda: S.ExponentialDecay(0.1, 7, 0.9, staircase=True),
    "piecewise": lambda: S.PiecewiseConstantDecay([5, 20, 60], [0.1, 0.05, 0.02, 0.01]),
    "polynomial": lambda: S.PolynomialDecay(0.1, 40),
    "polynomial_cycle": lambda: S.PolynomialDecay(0.1, 16, 0.01, power=2.0, cycle=True),
    "polynomial_root": lambda: S.PolynomialDecay(0.1, 40, 0.0, power=0.5),
    "inverse_time": lambda: S.InverseTimeDecay(0.1, 10, 0.5),
    "inverse_time_staircase": lambda: S.InverseTimeDecay(0.1, 10, 0.5, staircase=True),
    "cosine": lambda: S.CosineDecay(0.1, 40),
    "cosine_alpha": lambda: S.CosineDecay(0.1, 40, alpha=0.1),
    "cosine_warmup": lambda: S.CosineDecay(0.01, 40, alpha=0.05, warmup_target=0.1, warmup_steps=10),
    "cosine_restarts": lambda: S.CosineDecayRestarts(0.1, 11),
    "cosine_restarts_all": lambda: S.CosineDecayRestarts(0.1, 11, t_mul=1.5, m_mul=0.8, alpha=0.1),
    "cosine_restarts_equal": lambda: S.CosineDecayRestarts(0.1, 11, t_mul=1.0, m_mul=0.9),
}
COUNTS = np.array([0, 1, 2, 5, 6, 10, 11, 12, 16, 17, 19, 20, 21, 27, 32, 33, 39, 40, 41, 50, 60, 61, 76, 99, 200])


def start(name):
    return fill(SHAPES[name], 1.7, 0.8)


def gradient(name, step):
    """The size differs from variable to variable, and one element in seven is always 0."""
    i = list(SHAPES).index(name)
    g = fill((50,) + SHAPES[name], 0.37 + 0.11 * i, (1.0, 0.01, 3.0, 0.2)[i])
    g.reshape(-1, int(np.prod(SHAPES[name])))[:, 3::7] = 0
    return g[step]


def fields(config):
    """The numbers, words and schedule of a configuration."""
    kept = {}
    for key, value in config.items():
        if key == "name" or value is None:
            continue
        if isinstance(value, dict) and "class_name" in value:
            kept["schedule"] = value["class_name"]
            kept |= {"schedule_" + k: v for k, v in fields(value["config"]).items()}
        elif isinstance(value, bool):
            kept[key] = int(value)
        elif isinstance(value, (int, str)):
            kept[key] = value
        elif isinstance(value, (float, np.floating)):
            kept[key] = np.float64(value)
        elif isinstance(value, (list, tuple)) and value:
            words = isinstance(value[0], str)
            kept[key] = " ".join(value) if words else np.array(value, int if isinstance(value[0], int) else float)
    return kept


class Copied:
    """A variable whose `value` is a copy. ScheduleFreeAdamW remembers `momentum.value` before it changes it, which on TensorFlow is
    the variable itself, so that what it remembers changes too and beta_1 cancels out of its formula."""

    def __init__(self, variable):
        self.variable, self.dtype = variable.value, variable.value.dtype
        self.assign_sub = self.variable.assign_sub

    value = property(lambda self: tf.identity(self.variable))

    def __tf_tensor__(self, dtype=None, name=None):
        return tf.identity(self.variable)


def steps(optimizer, broken=(), at=(50,)):
    """The variables after some steps, and after the training has ended. Steps of `broken` have an infinite gradient."""
    dtype = keras.config.floatx()
    variables = [keras.Variable(start(name), dtype=dtype, name=name) for name in SHAPES]
    optimizer.build(variables)
    if isinstance(optimizer, O.ScheduleFreeAdamW):
        optimizer._momentums = [Copied(v) for v in optimizer._momentums]
    seen = {}
    for i in range(50):
        gradients = [gradient(name, i).astype(dtype) for name in SHAPES]
        if i in broken:
            gradients[1][0, 0] = np.inf
        optimizer.apply([tf.constant(g) for g in gradients], variables)
        if i + 1 in at:
            seen |= {f"{v.name}{i + 1}": v.numpy().copy() for v in variables}
    if getattr(optimizer, "use_ema", False):
        optimizer.finalize_variable_values(variables)
        seen |= {f"{v.name}_final": v.numpy().copy() for v in variables}
    return seen | {"iterations": int(optimizer.iterations)}


def all_options(out):
    common = {f"{name}0": start(name) for name in SHAPES}
    common |= {f"d{name}": np.stack([gradient(name, i) for i in range(50)]) for name in SHAPES}
    out.case("options_common", **common)
    for name, make in CLASSES.items():
        keras.config.set_floatx("float32" if make is O.Muon else "float64")
        out.case("default_" + name, default=name, **steps(make(), at=(1, 50)))
        for option, arguments in SHARED.items():
            arguments = {k: v() if callable(v) else v for k, v in arguments.items()}
            run(out, f"{name}_with_{option}", make(**{"learning_rate": 0.01} | arguments))
    for name, make in SPECIAL.items():
        keras.config.set_floatx("float32" if name.startswith("Muon") else "float64")
        run(out, "special_" + name, make())
    keras.config.set_floatx("float64")
    excluded = O.AdamW(0.01, weight_decay=0.5)
    excluded.exclude_from_weight_decay(var_names=["bias", "dee"])
    run(out, "special_exclude", excluded, exclude="bias dee")
    wrappers(out)
    for name, make in SCHEDULES.items():
        rates = np.array([float(make()(tf.constant(int(n), tf.int64))) for n in COUNTS])
        config = {"schedule": type(make()).__name__} | {"schedule_" + k: v for k, v in fields(make().get_config()).items()}
        out.case("rates_" + name, **config, counts=COUNTS, rates=rates)
    keras.config.set_floatx("float32")


def run(out, name, optimizer, **more):
    """Writes the rate, and of the other options those that are no defaults."""
    config, plain = optimizer.get_config(), type(optimizer)().get_config()
    chosen = {k: v for k, v in config.items() if v != plain[k] or k == "learning_rate"}
    if "rms_rate" in chosen and chosen["rms_rate"] is None:
        more["no_rms_rate"] = 1
    out.case(name, optimizer=type(optimizer).__name__, **fields(chosen), **more, **steps(optimizer))


def wrappers(out):
    """Their options are not written: the test makes them as they are made here."""
    mapped = O.OptimizerMap(O.SGD(0.01, momentum=0.9), {"kernel": O.Adam(0.01), ".*i.*": O.RMSprop(0.02, weight_decay=0.1)})
    out.case("wrapper_multi", wrapper="multi", **steps(O.MultiOptimizer(mapped)))
    inner = O.SGD(0.5, momentum=0.9, weight_decay=0.1)
    scaled = O.LossScaleOptimizer(inner, initial_scale=8.0, dynamic_growth_steps=5)
    seen = steps(scaled, broken=range(6, 50, 7))
    out.case("wrapper_loss_scale", wrapper="loss_scale", **seen, scale=np.float64(scaled.dynamic_scale.numpy()))
