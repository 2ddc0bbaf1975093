"""Functions whose machine code is known: each shows one thing that the line view must see."""

import math

import numpy as np
from numba import njit, prange, vectorize
from planted_helpers import add_squares


@njit(fastmath={"reassoc", "contract", "nsz"})
def vectorises(x, y):
    total = np.float32(0)
    for i in range(x.shape[0]):
        total += x[i] * y[i]
    return total


@njit(fastmath={"reassoc", "contract", "nsz"})
def walks_columns(x, y):
    for o in range(x.shape[1]):
        total = np.float32(0)
        for i in range(x.shape[0]):
            total += x[i, o] * y[i]
        y[o] = total


@njit
def keeps_its_order(x, y):
    total = np.float32(0)
    for i in range(x.shape[0]):
        total += x[i] * y[i]
    return total


@njit(parallel=True)
def in_threads(x, y):
    for i in prange(x.shape[0]):
        total = np.float32(0)
        for j in range(x.shape[1]):
            total += np.sqrt(x[i, j]) / y[j]
        y[i] = total


@njit
def calls(x):
    total = 0.0
    for i in range(x.shape[0]):
        total += math.log(x[i])
    return total


@njit
def promotes(x, y):
    for i in range(x.shape[0]):
        y[i] = x[i] * 0.1


@njit
def wraps(x, y, shift):
    for i in range(y.shape[0]):
        y[i] = x[i + shift]


@njit
def allocates(x):
    total = 0.0
    for i in range(x.shape[0]):
        three = np.zeros(3)
        three[i % 3] = x[i]
        total += three[0]
    return total


@njit
def copies_a_helper(x, y):
    for _ in range(3):
        add_squares(x, y)


@njit
def without_a_loop(x, y):
    return x + y


@vectorize
def clipped(x, y):
    if x > y:
        return y
    return x * x


def plain(x):
    last = 0
    while last < x.shape[0] and x[last] < 3:
        last += 1
    return last


NOT_A_FUNCTION = 3
