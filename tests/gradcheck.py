"""Gradients by central differences."""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def central_differences(function: Callable[[Array], float], at: Array, step: float = 1e-5) -> Array:
    """The gradient of `function` at an array: (f(x + step) - f(x - step)) / (2 step), two calls a number.

    The error is the third derivative times step**2 / 6, and f's own error / step: 1e-5 serves float64, 1e-2 float32.
    """
    gradient = np.empty(at.shape, np.float64)
    for place in np.ndindex(at.shape):
        ahead, behind = at.copy(), at.copy()
        ahead[place] += step
        behind[place] -= step
        gradient[place] = (function(ahead) - function(behind)) / (float(ahead[place]) - float(behind[place]))
    return gradient
