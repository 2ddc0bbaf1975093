"""One fault a function. The line that a hint must name ends in `# here`; tests read the lines from this file."""

import ctypes
import time

import numpy as np
from numba import guvectorize, jit, njit, objmode, prange, vectorize

usleep = ctypes.CDLL(None).usleep
usleep.argtypes = [ctypes.c_uint]
HALF = 0.5


@njit
def promotes(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] * 0.1 + x[i]  # here
    return out


@njit
def promotes_in_a_sum(x):
    total = 0.0
    for i in range(x.shape[0]):
        total += x[i]  # here
    return total


@vectorize
def promotes_by_element(x):
    return x * HALF + x  # here


@njit(fastmath={"reassoc", "contract"})
def strided(x):
    total = 0.0
    for i in range(x.shape[0]):
        total += x[i]  # here
    return total


@njit
def wraps(x, out, shift):
    for i in range(out.shape[0]):
        out[i] = x[i + shift] + out[i]  # here


@njit
def sums_in_order(x, y):
    total = 0.0
    for i in range(x.shape[0]):
        total += x[i] * y[i]  # here
    return total


@njit(fastmath={"reassoc", "contract"})
def allocates(x):
    total = 0.0
    for i in range(x.shape[0]):
        row = np.zeros(x.shape[1])  # here
        for j in range(x.shape[1]):
            row[j] = x[i, j] * x[i, j]
        for j in range(x.shape[1]):
            total += row[j]
    return total


@njit
def calls_exp(x, out):
    for i in range(x.shape[0]):
        out[i] = np.exp(x[i])  # here


@njit
def sleeps(out, times):
    for i in range(times):
        usleep(300)  # here
        out[i] = i


@njit(error_model="numpy")
def divides(x, scale, out):
    for i in range(x.shape[0]):
        out[i] = x[i] / scale[i]  # here


@njit(error_model="numpy")
def remainders(x, out, n):
    for i in range(x.shape[0]):
        out[i] = x[i] % n  # here


@njit(error_model="numpy")
def roots(x, out):
    for i in range(x.shape[0]):
        out[i] = np.sqrt(x[i])  # here


@njit(parallel=True)
def races(x, out):
    for i in prange(x.shape[0]):
        out[i % 4] += x[i]  # here


@njit(parallel=True)
def races_on_one(x, out):
    for i in prange(x.shape[0]):
        out[0] += x[i]  # here


@njit(parallel=True)
def races_through_indices(x, where, out):
    for i in prange(x.shape[0]):
        out[where[i]] += x[i]  # here


def repeated():
    return np.ones(1000), np.random.default_rng(0).integers(0, 100, 1000), np.zeros(1000)


@njit(parallel=True)
def reads_its_neighbour(x):
    for i in prange(1, x.shape[0]):
        x[i] = x[i - 1] + 1.0  # here


@njit(parallel=True)
def uneven(out, work):
    for i in prange(out.shape[0]):  # here
        total = 0.0
        for k in range(work * i):
            total = total * 0.5 + np.sqrt(k + i + 1.0)
        out[i] = total


@njit(parallel=True)
def short(x):
    for i in prange(x.shape[0]):  # here
        x[i] = x[i] * 0.5 + 1.0


@njit
def decays(x, times):
    for _ in range(times):
        for i in range(x.shape[0]):
            x[i] = x[i] * 0.9  # here


@njit
def square(value):  # here
    return value * value


@njit
def compiles_again(n):
    total = 0.0
    for i in range(n):
        total = max(total, square(i) + square(i + 0.5))
    return total


@jit(forceobj=True)
def interprets(x):  # here
    digits = [str(each) for each in x]
    return len("".join(digits))


@njit
def asks_the_interpreter(x):
    for i in range(x.shape[0]):
        with objmode():  # here
            time.time()
        x[i] = i


@guvectorize(["void(float64[:], float64[:])"], "(n)->(n)")
def allocates_by_row(x, out):
    doubled = x * 2  # here
    for i in range(x.shape[0]):
        out[i] = doubled[i]


@vectorize(["float64(float64, float64)"], target="parallel")
def short_by_element(x, y):  # here
    return x + y


@njit
def line_of(i):
    line = np.zeros(3)
    line[0] = i
    return line


@njit
def forgets_results(n):
    total = 0.0
    for i in range(n):
        total = max(total, line_of(i)[0])
    return total


@njit
def tests_for_zero(x, scale, out):
    for i in range(x.shape[0]):
        out[i] = x[i] / scale[i]
