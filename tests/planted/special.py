"""Functions that are called in special ways, or of which little is left: what their profiles say is tested."""

import math

import numba
import numpy as np
from numba import float64, njit, prange, vectorize
from numba.experimental import jitclass


@njit
def starred(x, *rest):
    best = 0.0
    for i in range(x.shape[0]):
        best = max(best, x[i] * rest[0])
    return best


@njit
def keyed(x, *, by=2.0, shift):
    for i in range(x.shape[0]):
        x[i] = x[i] * by + shift


@njit
def defaults(x, n=3, m=4):
    for i in range(x.shape[0]):
        x[i] = n * m


@njit
def generates(n):
    for i in range(n):
        yield math.sqrt(i)


@njit
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


@njit
def is_even(n):
    return n == 0 or is_odd(n - 1)


@njit
def is_odd(n):
    return n > 0 and is_even(n - 1)


@vectorize(["float64(float64, float64)"], target="parallel")
def in_threads(x, y):
    return x * y + 1.0


@jitclass([("data", float64[::1])])
class Box:
    def __init__(self, data):
        self.data = data

    def adds(self, by):
        for i in range(self.data.shape[0]):
            self.data[i] += by

    @property
    def total(self):
        best = 0.0
        for i in range(self.data.shape[0]):
            best = max(best, self.data[i])
        return best

    @staticmethod
    def twice(x):
        return 2 * x


def box():
    return Box(np.arange(8.0)), 2.0


def box_alone():
    return (Box(np.arange(8.0)),)


def named():
    return {"shift": 3.0, "x": np.zeros(4)}


@njit
def dots(x, y):
    return np.dot(x, y)


@njit
def without_threads(x):
    total = 0.0
    for i in numba.prange(x.size):
        total += x[i]
    return total


@njit(parallel=True)
def leaves(x):
    for i in prange(x.shape[0]):
        if x[i] < 0:
            raise ValueError("below 0")
        x[i] = 1.0


@njit
def unused(x):
    total = 0.0
    for i in range(x.shape[0]):
        total += x[i] * x[i]


@njit
def half_used(x):
    lost = 0.0
    for i in range(x.shape[0]):
        lost += x[i]
    best = 0.0
    for i in range(x.shape[0]):
        best = max(best, x[i])
    return best


@njit
def fills(x):
    for i in range(x.shape[0]):
        x[i] = 0.0


@njit
def sums_up(n):
    total = 0
    for i in range(n):
        total += i
    return total


@njit
def by_rows(x, out):
    for i in range(x.shape[0]):
        row = x[i] * 2.0 + 1.0
        out[i] = row[0] + row[1]


@njit
def exponentials(x, out):
    for i in range(x.shape[0] // 4):
        out[4 * i] = math.exp(x[4 * i])
        out[4 * i + 1] = math.exp(x[4 * i + 1])
        out[4 * i + 2] = math.exp(x[4 * i + 2])
        out[4 * i + 3] = math.exp(x[4 * i + 3])


@njit
def waves(x, out):
    for i in range(x.shape[0]):
        out[i] = math.sin(x[i]) ** 1.7


@njit
def divides(x, y, out):
    for i in range(x.shape[0]):
        out[i] = x[i] * x[i] * x[i] * y[i] - x[i] * (y[i] + 2.0) + y[i] / x[i] - 7.0 * y[i] * (x[i] + y[i] * y[i])


@njit
def leaves_early(x, y, out):
    for i in range(x.shape[0]):
        if y[i] > 3.0:
            break
        out[i] = x[i] / y[i]


@njit
def divides_by_constant(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] / 3


@njit
def wraps_round(x, n):
    best = 0.0
    for i in range(x.shape[0]):
        best = max(best, x[(i - 3) % n] + x[i - (n - 2)])
    return best


@njit
def goes_round(x, out, n):
    for i in range(out.shape[0]):
        out[i] = x[i] % n


@njit
def runs_over(x, n):
    for i in range(n):
        x[i] = i


@njit(parallel=True)
def runs_over_in_threads(x, n):
    for i in prange(n):
        x[i * 3] = i
