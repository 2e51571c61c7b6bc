#!/usr/bin/env python3
"""A second witness: PyTorch on the convolutions, pools, matmuls and softmax losses of ops.txt. See README.md."""

import pathlib
import platform

import numpy as np
import torch
import torch.nn.functional as F

from golden_io import Out, read

HERE = pathlib.Path(__file__).resolve().parent


def pads(sizes, window, strides, dilation, padding):
    """Keras's padding as F.pad wants it, last axis first: `same` puts the extra cell at the end."""
    amounts = []
    for size, k, s, d in zip(sizes, window, strides, dilation):
        span = d * (k - 1) + 1
        total = max((-(-size // s) - 1) * s + span - size, 0) if padding == "same" else 0
        amounts.append((total // 2, total - total // 2))
    return [cell for pair in reversed(amounts) for cell in pair]


def conv2d(c):
    def f(x, kernel):
        strides, dilation = c["strides"].tolist(), c["dilation"].tolist()
        amounts = pads(x.shape[1:3], kernel.shape[:2], strides, dilation, c["padding"])
        x = F.pad(x.permute(0, 3, 1, 2), amounts)
        return F.conv2d(x, kernel.permute(3, 2, 0, 1).contiguous(), stride=strides, dilation=dilation).permute(
            0, 2, 3, 1
        )

    return f, ["x", "kernel"]


def pool(c, kind):
    def f(x):
        window, strides = c["window"].tolist(), c["strides"].tolist()
        amounts = pads(x.shape[1:3], window, strides, (1, 1), c["padding"])
        x = x.permute(0, 3, 1, 2)
        if kind == "max":
            y = F.max_pool2d(F.pad(x, amounts, value=-float("inf")), window, strides)
        else:
            sums, counts = [
                F.avg_pool2d(F.pad(v, amounts), window, strides, divisor_override=1) for v in (x, torch.ones_like(x))
            ]
            y = sums / counts
        return y.permute(0, 2, 3, 1)

    return f, ["x"]


def matmul(c):
    turn = lambda v, t: v.transpose(-1, -2) if t else v
    return lambda a, b: turn(a, c["transpose_a"]) @ turn(b, c["transpose_b"]), ["a", "b"]


def softmax(c, f):
    return lambda x: f(x, int(c.get("axis", -1))), ["x"]


def sparse_ce(c):
    return lambda logits: F.cross_entropy(logits, torch.tensor(c["labels"]), reduction="none"), ["logits"]


def dense_ce(c):
    return lambda logits: F.cross_entropy(logits, torch.tensor(c["targets"], dtype=torch.float64), reduction="none"), [
        "logits"
    ]


WITNESSES = {  # by the beginning of a case's name; the first that fits
    "conv2d_": conv2d,
    "max_pool_": lambda c: pool(c, "max"),
    "avg_pool_": lambda c: pool(c, "avg"),
    "matmul_": matmul,
    "softmax_ce_": dense_ce,
    "sparse_softmax_ce_": sparse_ce,
    "softmax_": lambda c: softmax(c, F.softmax),
    "log_softmax_": lambda c: softmax(c, F.log_softmax),
}


def main():
    made_by = f"PyTorch {torch.__version__}, NumPy {np.__version__}, Python {platform.python_version()}"
    out = Out(
        HERE / "ops_torch.txt",
        [
            f"Made by make_torch.py with {made_by}, from the inputs in ops.txt.",
            "case | field | shape | values (see README.md)",
        ],
        digits=6,
    )
    worst = (0.0, "")
    for name, c in read(HERE / "ops.txt").items():
        witness = next((w for start, w in WITNESSES.items() if name.startswith(start)), None)
        if witness is None:
            continue
        f, inputs = witness(c)
        xs = [torch.tensor(c[i], dtype=torch.float64, requires_grad=True) for i in inputs]
        y = f(*xs)
        assert y.shape == c["y"].shape, (name, y.shape)
        y.backward(torch.tensor(c["dy"], dtype=torch.float64))
        made = {"y": y.detach().numpy()} | {"d" + i: x.grad.numpy() for i, x in zip(inputs, xs)}
        for key, v in made.items():
            error = float((np.abs(v - c[key]) / (1 + np.abs(v))).max())
            if error > 1e-6:
                print(f"{name} {key}: differs from TensorFlow by {error:.2g}")
            worst = max(worst, (error, f"{name} {key}"))
        out.case(name, **made)
    out.save()
    print(f"largest difference from TensorFlow, |a-b|/(1+|a|): {worst[0]:.2g} in {worst[1]}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
