"""Arithmetic that costs more than it has to, and arithmetic that looks like it."""

import math
from math import sqrt

import numpy as np
from numba import njit, vectorize

CUBE = 3.0
THIRD = 3.0


@njit
def cubes(x, out):
    for i in range(x.shape[0]):
        out[i] = 2.0 / x[i] ** 3.0 + x[i]


@njit
def by_name(x, out):
    for i in range(x.shape[0]):
        v = x[i]
        out[i] = v**CUBE + math.pow(v, 2) - np.power(v, 4.0)


@njit
def inverse_cubes(x, y, out):
    for i in range(x.shape[0]):
        r2 = x[i] * x[i] + y[i] * y[i]
        out[i] += x[i] / r2**1.5


@njit
def roots_of_a_sum(x, y, out):
    for i in range(x.shape[0]):
        out[i] = (x[i] + y[i]) ** 0.5


@vectorize
def by_element(x):
    return x**2.5


@njit(error_model="numpy")
def negative_power(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] ** -1.5


@njit
def whole_arrays(x):
    return x**3.0


@njit
def negative_power_with_checks(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] ** -1.5


@njit
def integer_base(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] ** 3.0


@njit
def integer_exponent(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] ** 3 + x[i] ** 2.0 + x[i] ** 0.3


@njit
def only_where_safe(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] if x[i] < 0.0 else (x[i] + 1.0) ** 3.0


@njit
def escapes(points, out):
    for i in range(points.shape[0]):
        z = c = points[i]
        n = 0
        while abs(z) <= 2.0 and n < 50:
            z = z * z + c
            n += 1
        out[i] = n


@njit
def magnitudes(points, out):
    for i in range(points.shape[0]):
        out[i] = abs(points[i]) + abs(points[i] - 1.0) ** 2 + 3.0 * np.abs(points[0])


@njit
def nearest(points, z):
    best = 0
    for i in range(points.shape[0]):
        if abs(points[i] - z) < abs(points[best] - z):
            best = i
    return best


@njit
def within(points, radius):
    count = 0
    for i in range(points.shape[0]):
        z = points[i]
        if abs(z) < radius:
            count += 1
    return count


@njit
def below_zero(points):
    count = 0
    for i in range(points.shape[0]):
        z = points[i]
        if abs(z) > -1.0:
            count += 1
    return count


@njit
def real_magnitudes(x, out):
    for i in range(x.shape[0]):
        out[i] = abs(x[i])


@njit
def quarters(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] / 4.0


@njit
def thirds(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] / 3 + x[i] / THIRD


@njit
def scaled(x, out, s):
    for i in range(x.shape[0]):
        out[i] = x[i] / s
        out[i] /= s


@njit(error_model="numpy")
def scaled_where_positive(x, out, s):
    for i in range(x.shape[0]):
        if x[i] > 0.0:
            out[i] = x[i] / s


@njit
def scaled_where_safe(x, out, s):
    for i in range(x.shape[0]):
        if s != 0.0:
            out[i] = x[i] / s


@njit
def scaled_after_a_write(x, out, s):
    for i in range(x.shape[0]):
        out[i] = 1.0
        out[i] += x[i] / s


@njit
def scaled_by_what_changes(x, out, s):
    for i in range(x.shape[0]):
        out[i] = x[i] / s
        s += 1.0


@njit
def scaled_until(x, out, s):
    i = 0
    while i < x.shape[0]:
        out[i] = x[i] / s
        i += 1


@njit
def promotes(x, out, k):
    total = 0.0
    for i in range(x.shape[0]):
        t = x[i] * 0.1 + k
        out[i] = t * i
        total += t
    return total


@njit
def mixes(x, y, out):
    for i in range(x.shape[0]):
        out[i] = x[i] * y[i] + 0.5 * x[i]


def powers_of(exponent):
    """Return a closure."""

    @njit
    def raised(x, out):
        # its exponent is a free variable
        for base in range(x.shape[0]):
            out[base] = (x[base] + 1.0) ** exponent + sqrt(2.0)

    return raised


@njit
def clears(x):
    x[0] = 0.0
    return 1.0


@njit
def root_after_a_call(z, out):
    for i in range(out.shape[0]):
        out[i] = clears(z) + abs(z[0])


@njit
def wide_and_narrow(x, out, s):
    for i in range(x.shape[0]):
        out[i] = x[i] / s
