"""Functions whose loops have known shares of the time: equal work, repeated so many times; and parts to time alone.

A division waits for the one before it: so a loop's time is its count of divisions, on every processor.
"""

import ctypes

import numpy as np
from numba import njit, prange

usleep = ctypes.CDLL(None).usleep
usleep.argtypes = [ctypes.c_uint]


@njit
def two_loops(x, n):
    s = 1.0
    for _ in range(n):  # a quarter
        s = x / (s + x)
    for _ in range(3 * n):  # three quarters
        s = x / (s + x)
    return s


@njit(["float64(float64, int64)", "float64(int64, int64)"])
def declared(x, n):
    s = 1.0
    for _ in range(n):  # all of it
        s = x / (s + x)
    return s


@njit
def nested(x, n):
    s = 1.0
    for _ in range(4):  # all of it
        for _ in range(n):  # a quarter
            s = x / (s + x)
        for _ in range(3 * n):  # three quarters
            s = x / (s + x)
    return s


@njit
def divided(s, x, n):
    for _ in range(n):
        s = x / (s + x)
    return s


@njit(inline="never")
def far(s, x, n):
    for _ in range(n):
        s = x / (s + x)
    return divided(s, x, n)


@njit
def calls(x, n):
    s = divided(1.0, x, 2 * n)
    for _ in range(3):
        s = far(s, x, n)
    return s


@njit(parallel=True)
def in_threads(out, x, n):
    for i in prange(out.size):
        s = 1.0
        for _ in range(n):  # a quarter
            s = x / (s + x)
        out[i] = s
    for i in prange(out.size):
        out[i] = divided(out[i], x, 3 * n)


@njit
def unboxes(values):
    total = 0
    for value in values:
        total += value
    return total


@njit
def allocates(out):
    for i in range(out.size):
        three = np.empty(3)
        three[0] = i
        out[i] = three[0]


@njit
def computes(out):
    for i in range(out.size):
        out[i] = np.exp(out[i] * 1e-9)


@njit
def allocates_and_computes(out):
    for i in range(out.size):
        three = np.empty(3)
        three[0] = i
        out[i] = three[0]
    for i in range(out.size):
        out[i] = np.exp(out[i] * 1e-9)


@njit
def not_reached(x, rarely):
    total = 0.0
    for i in range(x.shape[0]):
        if rarely > 0:
            total += x[i] * rarely
            for j in range(x.shape[0]):
                total += x[j]  # never
    for i in range(x.shape[0]):
        total += x[i]  # always
    return total


@njit
def naps(times):
    for _ in range(times):
        usleep(300)
    return times


def a_list():
    return (list(range(50_000)),)
