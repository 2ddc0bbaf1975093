"""Loops that compute, read or allocate the same in every iteration, and loops that only seem to."""

import math

import numpy as np
from numba import float64, int64, njit, prange
from numba.experimental import jitclass


@jitclass([("x", float64[:]), ("y", float64[:]), ("scale", float64), ("count", int64)])
class Pair:
    def __init__(self, x, y):
        self.x = x
        self.y = y
        self.scale = 2.0
        self.count = 0


def pair(n):
    """Return an instance."""
    return Pair(np.arange(n) * 0.5, np.ones(n))


@njit
def adds_attributes(p):
    total = 0.0
    for i in range(p.x.shape[0]):
        p.y[i] += p.scale * p.x[i]
        total += p.y[i]
    return total


@njit
def counts_attributes(p):
    for i in range(len(p.x)):
        p.count += 1
        p.y[i] = p.x[i] * p.count


@njit
def exchanges_attributes(p):
    for i in range(3):
        q = p.x
        p.x = p.y
        p.y = q
        p.x[i] = p.y[i] + 1.0


@njit
def renames_instance(p, q):
    for i in range(len(p.x)):
        p.y[i] = p.x[i]
        p = q


@njit
def changes(p):
    p.scale += 1.0


@njit
def calls_with_instance(p):
    for i in range(len(p.x)):
        p.y[i] = p.x[i] * p.scale
        changes(p)


@njit
def normalises(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] / np.sum(x) + math.erf(x[0]) * x.max()


@njit
def normalises_in_place(x):
    for i in range(x.shape[0]):
        x[i] = x[i] / x.sum()


@njit
def largest_maybe(x, out):
    for i in range(out.shape[0]):
        if out[i] > 0.0:
            out[i] = x.max()


@njit
def outer_elements(a, b, out):
    for i in range(a.shape[0]):
        for j in range(b.shape[0]):
            out[j] += a[i] * b[j]


@njit
def element_outside(a, b, out, at):
    for j in range(b.shape[0]):
        out[j] += a[at] * b[j]


@njit
def element_in_a_branch(a, b, out, at):
    for j in range(b.shape[0]):
        if b[j] > 0.0:
            out[j] += a[at]


@njit
def element_that_changes(a, b):
    for i in range(a.shape[0]):
        for j in range(b.shape[0]):
            a[j] = a[i] * b[j]


@njit
def grows(x, out):
    scale = 1.0
    for i in range(x.shape[0]):
        out[i] = math.erf(scale) * x[i]
        scale += x[i]


@njit
def rows(x):
    total = 0.0
    for i in range(x.shape[0]):
        row = np.zeros(x.shape[1])
        for j in range(x.shape[1]):
            row[j] += x[i, j]
        total += row.sum() * row[0]
    return total


@njit
def scratch(x, n):
    total = 0.0
    for i in range(x.shape[0]):
        work = np.empty((n, 2))
        ones = np.ones_like(x[:, 0])
        for j in range(n):
            work[j, 0] = x[i, 0] + j
            work[j, 1] = ones[i]
        total += work.sum()
    return total


@njit(parallel=True)
def rows_in_threads(x, out):
    for i in prange(x.shape[0]):
        row = np.zeros(x.shape[1])
        for j in range(x.shape[1]):
            row[j] = x[i, j]
        out[i] = row.sum()


@njit
def keeps_rows(x):
    kept = []
    for i in range(x.shape[0]):
        row = np.zeros(x.shape[1])
        row[0] = x[i, 0]
        kept.append(row)
    return kept


@njit
def returns_a_row(x):
    for i in range(x.shape[0]):
        row = np.zeros(x.shape[1])
        row[0] = x[i, 0]
        if row[0] > 1.0:
            return row
    return np.zeros(1)


@njit
def last_row(x):
    row = np.zeros(1)
    for i in range(x.shape[0]):
        row = np.zeros(x.shape[1])
        row[0] = x[i, 0]
    return row


@njit
def keeps_a_view(x):
    before = np.zeros(x.shape[1])
    total = 0.0
    for i in range(x.shape[0]):
        row = np.zeros(x.shape[1])
        row[0] = x[i, 0]
        total += before[0] + row[0]
        before = row
    return total


@njit
def grows_rows(x):
    total = 0.0
    for i in range(x.shape[0]):
        row = np.zeros(i + 1)
        row[i] = x[i, 0]
        total += row.sum()
    return total


@njit
def copies_rows(x, out):
    for i in range(x.shape[0]):
        row = np.zeros(x.shape[1])
        row[0] = x[i, 0]
        out[i] = row


@njit
def two_instances(p, q, x):
    total = 0.0
    for i in range(x.shape[0]):
        p.y[i] = q.x[i] + p.x[i] * x[i]
        total += p.y[i]
    return total
