#!/usr/bin/env python3
"""Writes the golden files beside itself, from Keras 3 on TensorFlow; all of them, or those it is given the names of. See README.md."""

import os
import pathlib
import platform
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import keras
import numpy as np
import tensorflow as tf

import keras_layers_activations
import keras_layers_conv
import keras_layers_rest
import keras_layers_sequence
import keras_models
import keras_losses
import keras_mixed
import keras_ops
import keras_optimizers
import keras_parts
import keras_pieces
import keras_training
from golden_io import Out

GROUPS = {
    "ops": [keras_ops.make_all],
    "losses": [keras_parts.losses, keras_parts.metrics],
    "weighted_losses": [keras_losses.losses],
    "metrics": [keras_losses.metrics],
    "layers": [keras_parts.layers],
    "layers_conv": [
        keras_layers_conv.convolutions,
        keras_layers_conv.transposed,
        keras_layers_conv.pools,
        keras_layers_conv.resizing,
    ],
    "layers_shapes": [keras_layers_rest.dense, keras_layers_rest.shapes, keras_layers_rest.merges],
    "layers_norm": [keras_layers_rest.batch_normalization, keras_layers_rest.normalization, keras_layers_rest.given_normalization],
    "layers_activations": [keras_layers_activations.functions, keras_layers_activations.layers],
    "layers_sequence": [keras_layers_sequence.recurrent, keras_layers_sequence.bidirectional, keras_layers_sequence.attention],
    "pieces": [keras_pieces.regularizers, keras_pieces.constraints, keras_pieces.initializers],
    "optimizers": [keras_training.optimizers, keras_optimizers.all_options],
    "training": [keras_training.trainings],
    "models": [keras_models.models],
    "mixed": [keras_mixed.mixed],
}


def main(wanted):
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    here = pathlib.Path(__file__).resolve().parent
    versions = {"Keras": keras, "TensorFlow": tf, "NumPy": np}
    made_by = ", ".join(f"{name} {module.__version__}" for name, module in versions.items())
    made_by += f", Python {platform.python_version()}"
    for name in wanted or GROUPS:
        out = Out(
            here / f"{name}.txt",
            [f"Made by make_keras.py with {made_by}.", "case | field | shape | values (see README.md)"],
        )
        for make in GROUPS[name]:
            make(out)
        out.save()


if __name__ == "__main__":
    main(sys.argv[1:])
