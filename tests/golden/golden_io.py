"""The text format of the golden files, and the inputs they are made from. Shared by make_keras.py and make_torch.py."""

import zlib

import numpy as np


def fill(shape, a, b):
    """fill(shape,a,b)[i] = b*sin(a*(i+1)) in C order, computed in float64, then cast to float32."""
    n = int(np.prod(shape))
    return (b * np.sin(a * np.arange(1, n + 1, dtype=np.float64))).astype(np.float32).reshape(shape)


def rng(name):
    """A generator that depends on the case's name alone, so that cases can be added without moving the others."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def uniform(g, shape, lo=-1.0, hi=1.0):
    """Uniform float32 values, rounded to three decimals so that the files stay small."""
    return np.round(g.uniform(lo, hi, shape), 3).astype(np.float32)


def distinct(g, shape, step=0.0625):
    """A permutation of distinct multiples of `step` around zero: no ties, and wide gaps for finite differences."""
    n = int(np.prod(shape))
    return ((g.permutation(n) - n // 2) * step).astype(np.float32).reshape(shape)


def number(v, digits=9):
    """A float32: the shortest decimal that reads back as the same. A float64: `digits` digits. Or inf, -inf, NaN."""
    if np.isnan(v):
        return "NaN"
    if np.isinf(v):
        return "inf" if v > 0 else "-inf"
    if v == 0:
        return "-0" if np.signbit(v) else "0"
    if isinstance(v, np.float64):
        return f"{v:.{digits}g}"
    write = np.format_float_positional if 1e-4 <= abs(v) < 1e9 else np.format_float_scientific
    text = write(v, unique=True, trim="-")
    assert np.float32(text) == v
    return text


def field(value, digits=9):
    """`shape | values` of a string, integers or floats."""
    if isinstance(value, str):
        return f"str | {value}"
    a = np.asarray(value)
    shape = ",".join(map(str, a.shape))
    if a.dtype == np.bool_:
        a = a.astype(np.int64)
    one = str if np.issubdtype(a.dtype, np.integer) else lambda v: number(v, digits)
    return f"{shape} | {' '.join(one(v) for v in a.ravel())}"


class Out:
    """Collects cases and writes them as `case | field | shape | values` lines."""

    def __init__(self, path, head, digits=9):
        self.digits, self.path, self.lines, self.names = digits, path, ["# " + line for line in head], set()

    def case(self, name, **fields):
        assert name not in self.names, name
        self.names.add(name)
        for k, v in fields.items():
            if v is not None:
                self.lines.append(f"{name} | {k} | {field(v, self.digits)}")

    def save(self):
        with open(self.path, "w") as f:
            f.write("\n".join(self.lines) + "\n")
        print(f"{self.path}: {len(self.names)} cases, {sum(map(len, self.lines)) + len(self.lines)} bytes")


# The fields that hold integers; all others hold floats.
INTEGERS = {"labels", "indices", "strides", "dilation", "window", "axis", "transpose_a", "transpose_b"}


def read(path):
    """{case: {field: array or string}} of a golden file."""
    cases = {}
    for line in open(path):
        if line.startswith("#") or not line.strip():
            continue
        name, key, shape, values = [part.strip() for part in line.split("|")]
        if shape == "str":
            value = values
        else:
            words = values.split()
            dtype = np.int64 if key in INTEGERS else np.float32
            value = np.array(words, dtype=dtype).reshape([int(d) for d in shape.split(",") if d])
        cases.setdefault(name, {})[key] = value
    return cases
