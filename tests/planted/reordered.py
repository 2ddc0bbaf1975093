"""Loops whose order matters for speed, and loops whose order must not change."""

import numpy as np
from numba import njit, prange


@njit
def matmul(a, b, c):
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            for k in range(a.shape[1]):
                c[i, j] += a[i, k] * b[k, j]


@njit
def matmul_by_columns(a, b, c):
    n, m = a.shape
    for j in range(b.shape[1]):
        for k in range(m):
            for i in range(n):
                c[i, j] += a[i, k] * b[k, j]


@njit
def textbook(a, b):
    c = np.empty((a.shape[0], b.shape[1]))
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            s = 0.0  # one element
            for k in range(a.shape[1]):
                s += a[i, k] * b[k, j]
            c[i, j] = s
    return c


@njit
def textbook_cleared(a, b, c):
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            c[i, j] = 0
            for k in range(a.shape[1]):
                c[i, j] += a[i, k] * b[k, j]


@njit(parallel=True)
def textbook_in_threads(a, b):
    c = np.zeros((a.shape[0], b.shape[1]))
    for i in prange(a.shape[0]):
        for j in range(b.shape[1]):
            s = 0.0
            for k in range(a.shape[1]):
                s += a[i, k] * b[k, j]
            c[i, j] = s
    return c


@njit
def column_means(x, out):
    n = x.shape[0]
    for j in range(x.shape[1]):
        s = 0.0
        for i in range(n):
            s += x[i, j]
        out[j] = s / n


@njit
def down_the_columns(x, y):
    """Doubles."""
    for j in range(x.shape[1]):
        for i in range(x.shape[0]):
            y[i, j] = x[i, j] * 2.0 + 1.0


@njit
def total_by_columns(x):
    total = 0.0
    for j in range(x.shape[1]):
        for i in range(x.shape[0]):
            total += x[i, j]
    return total


@njit
def count_by_columns(x):
    total = 0
    for j in range(x.shape[1]):
        for i in range(x.shape[0]):
            if x[i, j] > 0.0:
                total += 1
    return total


@njit
def with_a_temporary(x, y):
    for j in range(x.shape[1]):
        for i in range(x.shape[0]):
            t = x[i, j]
            if t > 0.0:
                y[i, j] = t
            else:
                y[i, j] = -t


# Refused.


@njit
def carried_down(x):
    for j in range(x.shape[1]):
        for i in range(1, x.shape[0]):
            x[i, j] = x[i - 1, j] + x[i, j]


@njit
def carried_across(x):
    for j in range(1, x.shape[1]):
        for i in range(x.shape[0] - 1):
            x[i, j] = x[i + 1, j - 1] + 1.0


@njit
def last_one(x, y):
    for j in range(x.shape[1]):
        for i in range(x.shape[0]):
            y[0] = x[i, j]


@njit
def keeps_the_variable(x, y):
    for j in range(x.shape[1]):
        for i in range(x.shape[0]):
            y[i, j] = x[i, j]
    return i + j


@njit
def stops(x, y):
    for j in range(x.shape[1]):
        for i in range(x.shape[0]):
            if x[i, j] < 0.0:
                break
            y[i, j] = x[i, j]


@njit
def triangle(x, y):
    for j in range(x.shape[1]):
        for i in range(j):
            y[i, j] = x[i, j]


@njit
def remembers(x, y):
    last = 0.0
    for j in range(x.shape[1]):
        for i in range(x.shape[0]):
            y[i, j] = last
            last = x[i, j]


@njit
def prefix(x, y):
    s = 0.0
    for j in range(x.shape[1]):
        for i in range(x.shape[0]):
            s += x[i, j]
            y[i, j] = s


@njit
def from_below_zero(x, y, low):
    for j in range(x.shape[1]):
        for i in range(low, x.shape[0]):
            y[i, j] = y[i, j] * 2.0 + x[i, j]


@njit
def prints(x, y):
    for j in range(x.shape[1]):
        for i in range(x.shape[0]):
            y[i, j] = x[i, j]
            print(i)


@njit
def through_a_view(x):
    y = x[1:]
    for j in range(y.shape[1]):
        for i in range(y.shape[0]):
            y[i, j] = x[i, j]


@njit
def sum_and_view(a, b):
    for j in range(b.shape[1]):
        s = b[0, j]
        for i in range(a.shape[0]):
            s += a[i, j]
        b[0, j] = s + b[1, j]


@njit
def sum_that_goes_on(x, out):
    s = 0.0
    for j in range(x.shape[1]):
        s = s * 0.5
        for i in range(x.shape[0]):
            s += x[i, j]
        out[j] = s


@njit
def truncated(x, out):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            for _ in range(2):
                out[0] += x[i, j]


@njit
def contiguous(x, y):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            y[i, j] = x[i, j]


@njit
def new_arrays(x):
    y = x.copy()
    z = x * 2.0
    for j in range(x.shape[1]):
        for i in range(x.shape[0]):
            y[i, j] = z[i, j]
    return y


@njit
def written_out(a, b, c):
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            s = 1.0
            for k in range(a.shape[1]):
                s = s - a[i, k] * b[k, j]
            c[i, j] = 2.0 * s


@njit
def written_backwards(x, out):
    for j in range(x.shape[1]):
        s = 1.0
        for i in range(x.shape[0]):
            s = x[i, j] - s
        out[j] = s
