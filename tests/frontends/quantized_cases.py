"""Operands of quantised layers, for tests."""

import numpy as np

U8, I8, F32 = np.uint8, np.int8, np.float32
TYPES = [(U8, I8), (U8, U8), (I8, I8)]
"""Of activations and weights."""


def whole(rng, dtype, *shape):
    """Integers of the whole range of the type, its ends included."""
    info = np.iinfo(dtype)
    drawn = rng.integers(info.min, info.max + 1, shape).astype(dtype)
    drawn.flat[0], drawn.flat[-1] = info.min, info.max
    return drawn


def scales(rng, *shape):
    return rng.uniform(0.005, 0.02, shape).astype(F32)


def zero(rng, dtype, *shape):
    """Zero points somewhere in the middle."""
    return (np.iinfo(dtype).min + rng.integers(90, 160, shape)).astype(dtype)


def bits(layer):
    """Of an element of each tensor of a layer."""
    return [tensor.bits for tensor in layer.nest.tensors]
