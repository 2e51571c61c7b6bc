#!/usr/bin/env python3
"""Writes ops, losses, layers, optimizers and training.txt beside itself, from Keras 3 on TensorFlow. See README.md."""

import os
import pathlib
import platform

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import keras
import numpy as np
import tensorflow as tf

import keras_ops
import keras_parts
import keras_training
from golden_io import Out

GROUPS = {
    "ops": [keras_ops.make_all],
    "losses": [keras_parts.losses, keras_parts.metrics],
    "layers": [keras_parts.layers],
    "optimizers": [keras_training.optimizers],
    "training": [keras_training.trainings],
}


def main():
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    here = pathlib.Path(__file__).resolve().parent
    versions = {"Keras": keras, "TensorFlow": tf, "NumPy": np}
    made_by = ", ".join(f"{name} {module.__version__}" for name, module in versions.items())
    made_by += f", Python {platform.python_version()}"
    for name, makers in GROUPS.items():
        out = Out(
            here / f"{name}.txt",
            [f"Made by make_keras.py with {made_by}.", "case | field | shape | values (see README.md)"],
        )
        for make in makers:
            make(out)
        out.save()


if __name__ == "__main__":
    main()
