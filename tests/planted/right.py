"""Parallel functions whose results are right: a check for races must not fail for any of them."""

import numba
import numpy as np
from numba import get_num_threads, get_thread_id, guvectorize, njit, prange
from numba.typed import List


@njit(parallel=True)
def sums(x):
    total, product, largest, count = 0.0, 1.0, -1.0, 0
    for i in prange(x.shape[0]):
        if x[i] > 0.5:
            total += x[i]
            count += 1
        product *= 1.0 + x[i] * 1e-3
        largest = max(largest, x[i])
    return total, product, largest, count


@njit(parallel=True)
def array_reduction(x):
    total = np.zeros(x.shape[1])
    for i in prange(x.shape[0]):
        total += x[i]
    return total


@njit(parallel=True)
def histogram_by_thread(x, bins):
    counts = np.zeros((get_num_threads(), bins), np.int64)
    for i in prange(x.shape[0]):
        counts[get_thread_id(), int(x[i] * bins)] += 1
    return counts.sum(axis=0)


@njit(parallel=True)
def histogram_by_block(x, blocks, bins):
    counts = np.zeros((blocks, bins), np.int64)
    for b in prange(blocks):
        for i in range(b * x.shape[0] // blocks, (b + 1) * x.shape[0] // blocks):
            counts[b, int(x[i] * bins)] += 1
    return counts.sum(axis=0)


@njit(parallel=True)
def scatter(x, where, out):
    for i in prange(x.shape[0]):
        out[where[i]] = x[i]


@njit(parallel=True)
def pairs_of_rows(x, left, right):
    for p in prange(left.shape[0]):
        for j in range(x.shape[1]):
            x[left[p], j], x[right[p], j] = x[right[p], j], x[left[p], j]


@njit(parallel=True)
def triangle(x, out):
    for i in prange(x.shape[0]):
        for j in range(i):
            out[i, j] = abs(x[i] - x[j])


@njit(parallel=True)
def both_triangles(x, out):
    for i in prange(x.shape[0]):
        for j in range(i + 1, x.shape[0]):
            out[i, j] = out[j, i] = abs(x[i] - x[j])


@njit(parallel=True)
def two_levels(x, out):
    for i in prange(x.shape[0]):
        for j in prange(x.shape[1]):
            out[i, j] = x[i, j] * 2.0


@njit(parallel=True)
def seeded(n):
    out = np.zeros(n)
    for i in prange(n):
        np.random.seed(i)  # noqa: NPY002  (what Numba has)
        out[i] = np.random.random()  # noqa: NPY002
    return out


@njit(parallel=True)
def scratch(x, out):
    for i in prange(x.shape[0]):
        row = np.empty(x.shape[1])
        for j in range(x.shape[1]):
            row[j] = x[i, j] ** 2
        for j in range(x.shape[1]):
            out[i, j] = row[x.shape[1] - 1 - j]


@njit(parallel=True)
def even_and_odd(x):
    for _ in range(3):
        for i in prange(x.shape[0] // 2):
            x[2 * i] += 1.0
        for i in prange(x.shape[0] // 2):
            x[2 * i + 1] += x[2 * i]


@njit(parallel=True)
def stencil_of_two_arrays(x, out):
    for _ in range(2):
        for i in prange(1, x.shape[0] - 1):
            out[i] = (x[i - 1] + x[i] + x[i + 1]) / 3.0
        for i in prange(1, x.shape[0] - 1):
            x[i] = out[i]


@njit(parallel=True)
def flag(x, found):
    for i in prange(x.shape[0]):
        if x[i] > 0.5:
            found[0] = 1


@njit(parallel=True)
def nearest(x, out):
    at = 0
    for i in prange(x.shape[0]):
        least = np.inf
        for j in range(x.shape[0]):
            if j != i and abs(x[i] - x[j]) < least:
                least = abs(x[i] - x[j])
                at = j
        out[i] = at


@njit(parallel=True)
def flat(x, out):
    n = x.shape[1]
    for i in prange(x.shape[0]):
        for j in range(n):
            out[i * n + j] = x[i, j]


@njit(parallel=True)
def by_offsets(x, starts, out):
    for i in prange(starts.shape[0] - 1):
        for j in range(starts[i], starts[i + 1]):
            out[j] = x[j] + i


@njit
def fill_row(row, value):
    for j in prange(row.shape[0]):
        row[j] = value


@njit(parallel=True)
def through_a_call(x, out):
    for i in prange(x.shape[0]):
        fill_row(out[i], x[i])


@njit(parallel=True)
def fields(x, records):
    for i in prange(x.shape[0]):
        records[i].total = x[i]
        records[i].count += 1


@njit(parallel=True)
def rows_in_a_list(x):
    rows = [np.zeros(2) for _ in range(x.shape[0])]
    for i in prange(x.shape[0]):
        row = np.zeros(2)
        row[0] = x[i]
        rows[i] = row
    return rows


@njit
def parallel_in_name_only(x):
    total = np.zeros(1)
    for i in numba.prange(x.shape[0]):
        total[0] += x[i]
    return total


def permutation():
    return np.arange(300.0), np.random.default_rng(0).permutation(300), np.zeros(300)


def disjoint_pairs():
    rows = np.random.default_rng(0).permutation(40)
    return np.random.default_rng(1).random((40, 5)), rows[:20].copy(), rows[20:].copy()


def offsets():
    return np.arange(100.0), np.array([0, 10, 10, 45, 100]), np.zeros(100)


def records():
    return np.ones(30), np.zeros(30, [("total", "f8"), ("count", "i8")])


@guvectorize(["void(float64[:], float64[:])"], "(n)->()")
def total_of_rows(x, out):
    out[0] = 0.0
    for i in range(x.shape[0]):
        out[0] += x[i]


@njit
def over_a_typed_list(arrays):
    total = 0.0
    for array in arrays:
        total += array[0]
    return total


def typed_list():
    return (List([np.full(3, float(i)) for i in range(5)]),)
