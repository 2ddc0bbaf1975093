"""Between PyTorch's layout and the kernels': rows with a stride, weights in panels, and marks on what is left alone."""

from typing import Any

import numpy as np

from jitnet.machine.blocks import LANES, PANEL

Array = np.ndarray[Any, Any]

MARK = np.float32(-777.25)
"""Stands where a kernel has nothing to do: a number that no computation here comes to."""


def rounded(count: int, unit: int = LANES) -> int:
    return -(-count // unit) * unit


def rows(values: Array, stride: int, fill: float = MARK) -> Array:
    """A matrix as a flat float32 array with rows of `stride`, the rest filled."""
    flat = np.full((len(values), stride), fill, np.float32)
    flat[:, : values.shape[1]] = values
    return flat.reshape(-1)


def to_panels(weight: Array, fill: float = 0.0) -> Array:
    """Weights (out, in) as the kernels have them: [panel, in, PANEL], flat."""
    out_features, in_features = weight.shape
    padded = np.full((rounded(out_features, PANEL), in_features), fill, np.float32)
    padded[:out_features] = weight
    return np.ascontiguousarray(padded.reshape(-1, PANEL, in_features).transpose(0, 2, 1)).reshape(-1)


def from_panels(flat: Array, in_features: int) -> Array:
    """Weights (panels * PANEL, in) of the kernels' layout."""
    return flat.reshape(-1, in_features, PANEL).transpose(0, 2, 1).reshape(-1, in_features)


def filled(values: Array, count: int, fill: float = 0.0) -> Array:
    """A vector lengthened to `count` float32."""
    flat = np.full(count, fill, np.float32)
    flat[: len(values)] = values
    return flat
