"""Functions with a tempting hint whose remedy does not help, and with hints whose remedy does."""

import numpy as np
from numba import guvectorize, njit, prange, vectorize
from numba.typed import List


@njit
def matmul(a, b, out):
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            total = 0.0
            for k in range(a.shape[1]):
                total += a[i, k] * b[k, j]
            out[i, j] = total


@njit
def plain_sum(x):
    total = 0.0
    for v in x:
        total += v
    return total


@njit
def weighted_sum(x):
    total = 0.0
    for i, v in enumerate(x):
        total += v * i
    return total


@njit
def in_memory(a, b, out):
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            for k in range(a.shape[1]):
                out[i, j] += a[i, k] * b[k, j]


@njit
def inner_product(x, y):
    total = 0.0
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@njit
def calls_it(x, y):
    return 2 * inner_product(x, y)


@njit
def ratio(x, y, by):
    for i in range(x.size):
        y[i] = x[i] / by


@njit(error_model="numpy")
def remainders(x, out, n):
    for i in range(x.size):
        out[i] = x[i] % n


@njit
def of_any_layout(x, out):
    for i in range(x.size):
        out[i] += 2 * x[i]


@njit("float64(float64[:])")
def declared(x):
    total = 0.0
    for i in range(x.size):
        total = max(total, x[i])
    return total


@njit(parallel=True)
def by_threads(x, out):
    for i in prange(x.size):
        out[i] = x[i] + 1


@vectorize
def inverse(x):
    return 1.0 / x


@guvectorize(["void(float64[:], float64[:])"], "(n)->()")
def row_sum(x, out):
    total = 0.0
    for i in range(x.shape[0]):
        total += x[i]
    out[0] = total


@njit
def with_noise(x):
    total = np.random.random()  # noqa: NPY002
    for i in range(x.shape[0]):
        total += x[i] * x[i]
    return total


@njit
def of_arrays(arrays, count):
    s = 0.0
    for i in range(count):
        x = arrays[i % len(arrays)]
        s = x[i % 4] - s
    return s


def arrays():
    return List([np.full(4, float(i)) for i in range(20)]), 100
