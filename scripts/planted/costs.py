"""Lost time: one fault a function. `# here` ends the line that must be named."""

import math
import time

import numpy as np
from numba import float64, jit, njit, objmode, prange
from numba.experimental import jitclass
from numba.typed import List


# args: f8[200]
# must: object mode
@njit
def asks_the_interpreter(x):
    for i in range(x.shape[0]):
        with objmode():  # here
            time.time()
        x[i] = i


# args: i8[300]
# must: object mode
@jit(forceobj=True)
def interprets(x):  # here
    return len("".join([str(each) for each in x]))


# args: f8[64] 20000
# must: uneven
# may: division, call
@njit(parallel=True)
def triangle(out, work):
    for i in prange(out.shape[0]):  # here
        total = 0.0
        for k in range(work * i):
            total = total * 0.5 + math.sqrt(k + i + 1.0)
        out[i] = total


# args: f8[64]
# must: short region
@njit(parallel=True)
def short(x):
    for i in prange(x.shape[0]):  # here
        x[i] = x[i] * 0.5 + 1.0


# args: f8[100000] f8[100000]
# must: call
@njit
def exponentials(x, out):
    for i in range(x.shape[0]):
        out[i] = math.exp(x[i])  # here


# args: f8[100000] f8[100000]
# must: call
@njit
def sines(x, out):
    for i in range(x.shape[0]):
        out[i] = math.sin(x[i])  # here


# args: f8[3000,16]
# must: allocation
# may: reduction
@njit
def scratch_in_the_loop(x):
    best = 0.0
    for i in range(x.shape[0]):
        row = np.zeros(x.shape[1])  # here
        for j in range(x.shape[1]):
            row[j] = x[i, j] * x[i, j]
        for j in range(x.shape[1]):
            best = max(best, row[j])
    return best


# args: f8[3000,16] f8[3000]
# must: allocation
@njit
def row_expressions(x, out):
    for i in range(x.shape[0]):
        row = x[i] * 2.0 + 1.0  # here
        out[i] = row[0] + row[15]


# args: f8[100000] f8[100000]
# must: reduction
@njit
def dot(x, y):
    total = 0.0
    for i in range(x.shape[0]):
        total += x[i] * y[i]  # here
    return total


# args: f8[10000]
# must: reduction
# tempting: fastmath alone, which makes it slower; it has to be counted by a range too
@njit
def weighted_sum(x):
    total = 0.0
    for i, value in enumerate(x):
        total += value * i  # here
    return total


# args: f4[100000]
# must: reduction
@njit
def squares(x):
    total = np.float32(0)
    for i in range(x.shape[0]):
        total += x[i] * x[i]  # here
    return total


# args: f8[10000] 3.0 f8[10000]
# must: division
@njit(error_model="numpy")
def by_one_number(x, scale, out):
    for i in range(x.shape[0]):
        out[i] = x[i] / scale  # here


# args: f8[10000] f8[10000]
# must: division
@njit
def thirds(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] / 3.0  # here


# args: f8[10000] f8[10000] f8[10000]
# must: division
@njit
def tested_for_zero(x, y, out):
    for i in range(x.shape[0]):
        out[i] = x[i] * x[i] * y[i] - x[i] * (y[i] + 2.0) + y[i] / x[i] - 7.0 * y[i] * (x[i] + y[i] * y[i])  # here


# args: i8[100000] i8[100000] 1000
# must: division
@njit(error_model="numpy")
def remainders(x, out, n):
    for i in range(x.shape[0]):
        out[i] = x[i] % n  # here


# args: f4[10000] f4[10000]
# must: promotion
@njit
def tenths(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] * 0.1 + x[i]  # here


# args: f8[10000] f8[10000] 0
# must: wraparound
@njit
def shifted(x, out, shift):
    for i in range(out.shape[0]):
        out[i] = x[i + shift] + out[i]  # here


# args: f8[100000]A
# must: layout
@njit(fastmath={"reassoc", "contract"})
def strided(x):
    total = 0.0
    for i in range(x.shape[0]):
        total += x[i]  # here
    return total


# args: f8[200,200]A f8[200,200]
# must: layout
# may: call, allocation
@njit
def product_of_strided(a, b):
    return np.dot(a, b)  # here


@jitclass([("data", float64[:]), ("scale", float64)])
class Series:
    def __init__(self, data):
        self.data = data
        self.scale = 0.5

    def scaled(self, out):
        for i in range(out.shape[0]):
            out[i] = self.data[i] * self.scale  # here


def series():
    return Series(np.arange(20_000.0)), np.zeros(20_000)


# target: Series.scaled
# setup: series
# must: layout|invariant
# may: layout, invariant
def attribute_in_a_loop():
    """The method above: its attribute has no known layout."""


@njit
def square(value):  # here
    return value * value


# args: 1000
# must: compiled again
@njit
def two_types(n):
    best = 0.0
    for i in range(n):
        best = max(best, square(i) + square(i + 0.5))
    return best


# args: f8[600,600] f8[600,600]
# must: loop order
@njit
def down_the_columns(x, out):
    for j in range(x.shape[1]):  # here
        for i in range(x.shape[0]):  # here
            out[i, j] = x[i, j] * 2.0


# args: f8[120,120] f8[120,120] f8[120,120]
# must: loop order
# may: accumulator
@njit
def textbook_product(a, b, c):
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):  # here
            total = 0.0
            for k in range(a.shape[1]):  # here
                total += a[i, k] * b[k, j]  # here
            c[i, j] = total


# args: f8[10000] f8[10000]
# must: power
# may: call
@njit
def cubes(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] ** 3.0  # here


# args: f8[10000] f8[10000]
# must: power
# may: call, division
@njit(error_model="numpy")
def gravity(r2, out):
    for i in range(r2.shape[0]):
        out[i] = 1.0 / r2[i] ** 1.5  # here


# args: c16[10000] f8[10000]
# must: magnitude
# may: call, division
@njit
def magnitudes(z, out):
    for i in range(z.shape[0]):
        out[i] = abs(z[i]) ** 2  # here


# args: f8[300,1000] f8[300]
# must: accumulator|reduction
# may: accumulator, reduction
@njit
def sums_in_memory(x, out):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i] += x[i, j]  # here


# setup: particles
# must: structs
# may: layout, reduction
@njit(fastmath={"reassoc", "contract"})
def kinetic(bodies):
    total = 0.0
    for i in range(bodies.shape[0]):
        total += bodies[i].mass * bodies[i].vx * bodies[i].vx  # here
    return total


def particles():
    names = ("x", "y", "z", "vx", "vy", "vz", "mass", "charge")
    bodies = np.zeros(50_000, np.dtype([(name, np.float64) for name in names]))
    bodies["mass"] = bodies["vx"] = 1.5
    return (bodies,)


# args: f8[300,300] f8[300] f8[300,300]
# must: invariant
# may: call, division
@njit
def root_for_each_row(x, scale, out):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = x[i, j] * math.log(scale[i] + 2.0)  # here


# setup: arrays_of_four
# must: reference counts
# may: call, invariant
@njit
def of_a_list(arrays, count):
    s = 0.0
    for i in range(count):
        x = arrays[i % len(arrays)]  # here
        s = max(x[i % 4], 1.0 - s)
    return s


def arrays_of_four():
    return List([np.full(4, float(i)) for i in range(2000)]), 20_000


@njit(parallel=True)
def halves(x):
    for i in prange(x.shape[0]):
        x[i] *= 0.5


# args: f8[64]
# must: short region
# may: call
@njit
def wakes_often(x):
    for _ in range(50):
        halves(x)
