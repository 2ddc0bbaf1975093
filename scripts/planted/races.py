"""Wrong results: one fault a function, in parallel loops and elsewhere. `# here` ends the line that must be named."""

import math

import numpy as np
from numba import njit, prange
from numba.typed import List


# args: f8[100000] f8[4]
# must: race
@njit(parallel=True)
def four_bins(x, out):
    for i in prange(x.shape[0]):
        out[i % 4] += x[i]  # here


# setup: bins
# must: race
@njit(parallel=True)
def histogram(x, where, out):
    for i in prange(x.shape[0]):
        out[where[i]] += x[i]  # here


def bins():
    return np.ones(50_000), np.arange(50_000) % 7, np.zeros(7)


# args: f8[100000]
# must: race
@njit(parallel=True)
def neighbour(x):
    for i in prange(1, x.shape[0]):
        x[i] = x[i - 1] * 0.5 + 1.0  # here


# args: f8[3000,12] f8[8]
# must: race
# may: power, call
@njit(parallel=True)
def long_body(x, out):
    for i in prange(x.shape[0]):
        a = x[i, 0]
        b = x[i, 1]
        c = x[i, 2]
        d = x[i, 3]
        e = x[i, 4]
        f = x[i, 5]
        g = x[i, 6]
        h = x[i, 7]
        if a > b:
            a, b = b, a
        if c > d:
            c, d = d, c
        if e > f:
            e, f = f, e
        if g > h:
            g, h = h, g
        if a > c:
            a, c = c, a
        if b > d:
            b, d = d, b
        if e > g:
            e, g = g, e
        if f > h:
            f, h = h, f
        middle = (a + b + c + d) * 0.25
        upper = (e + f + g + h) * 0.25
        for k in range(8, 12):
            if x[i, k] > middle:
                middle = 0.5 * (middle + x[i, k])
            elif x[i, k] < upper:
                upper = 0.5 * (upper + x[i, k])
            else:
                middle += 0.125
                upper -= 0.125
        low = min(a, e, middle)
        high = max(d, h, upper)
        span = high - low
        if span > 0.5:
            span = 0.5
        bin_of = int(span * 15.0)
        out[bin_of] += span  # here


# args: f8[100000] f8[100000]
# must: race
@njit(parallel=True)
def counter_as_index(x, out):
    filled = 0
    for i in prange(x.shape[0]):
        if x[i] > 0.5:
            out[filled] = x[i]  # here
            filled += 1
    return filled


# args: f8[100000] f8[1] i8[1]
# must: race
@njit(parallel=True)
def best_of(x, best, where):
    for i in prange(x.shape[0]):
        if x[i] > best[0]:  # here
            best[0] = x[i]  # here
            where[0] = i  # here


# args: f8[100000]
# must: race
@njit(parallel=True)
def last_of(x):
    last = -1
    for i in prange(x.shape[0]):
        if x[i] > 0.5:
            last = i  # here
    return last


# setup: filled_list
# must: race
# may: call, reference counts
@njit(parallel=True)
def list_element(x, sums):
    for i in prange(x.shape[0]):
        sums[0] += x[i]  # here


def filled_list():
    sums = List()
    for _ in range(4):
        sums.append(0.0)
    return np.ones(20_000), sums


# setup: records
# must: race
# may: structs
@njit(parallel=True)
def record_field(x, out):
    for i in prange(x.shape[0]):
        out[i % 2].total += x[i]  # here


def records():
    return np.ones(50_000), np.zeros(2, np.dtype([("total", np.float64), ("count", np.int64)]))


# args: f8[200]
# must: race|check
# may: allocation, call, short region
@njit(parallel=True)
def one_row_for_all(x):
    kept = [np.zeros(3) for _ in range(x.shape[0])]
    for i in prange(x.shape[0]):
        row = np.empty(3)  # here
        for j in range(3):
            row[j] = x[i] + j
        kept[i] = row[:]
    return kept


# args: f8[3000,50] f8[50] f8[3000]
# must: race
# may: reduction, invariant, accumulator
@njit(parallel=True)
def shared_scratch(x, scratch, out):
    for i in prange(x.shape[0]):
        for j in range(x.shape[1]):
            scratch[j] = x[i, j] * x[i, j]  # here
        total = 0.0
        for j in range(x.shape[1]):
            total += scratch[j]
        out[i] = total


# setup: too_short
# must: bounds
@njit
def one_too_far(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] + x[i + 1]  # here


def too_short():
    return np.arange(1000.0), np.zeros(1000)


# setup: with_gaps
# must: fastmath
# may: reduction
@njit(fastmath=True)
def skips_gaps(x):
    total = 0.0
    for i in range(x.shape[0]):
        if not math.isnan(x[i]):
            total += x[i]
    return total


def with_gaps():
    x = np.ones(1000)
    x[::7] = np.nan
    return (x,)


# args: 10000
# must: random
# may: call, reduction
@njit
def draws(n):
    total = 0.0
    for _ in range(n):
        total += np.random.random()  # noqa: NPY002
    return total
