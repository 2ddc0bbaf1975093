"""Functions without a reason for a hint, each with what avoids it."""

import numpy as np
from numba import guvectorize, njit, prange, vectorize

FAST = {"reassoc", "contract", "nsz"}


@njit
def saxpy(a, x, y):
    for i in range(x.shape[0]):
        y[i] = a * x[i] + y[i]


@njit(fastmath=FAST)
def dot(x, y):
    total = np.float32(0)
    for i in range(x.shape[0]):
        total += x[i] * y[i]
    return total


@njit
def stencil(x, out):
    third = np.float32(1 / 3)
    for i in range(1, x.shape[0] - 1):
        out[i] = (x[i - 1] + x[i] + x[i + 1]) * third


@njit(fastmath=FAST)
def matmul(a, b, c, block):
    m, k, n = a.shape[0], a.shape[1], b.shape[1]
    for kk in range(0, k, block):
        for jj in range(0, n, block):
            for i in range(m):
                for p in range(kk, min(kk + block, k)):
                    left = a[i, p]
                    for j in range(jj, min(jj + block, n)):
                        c[i, j] += left * b[p, j]


@njit(parallel=True, fastmath=FAST)
def row_sums(x, out):
    for i in prange(x.shape[0]):
        total = np.float32(0)
        for j in range(x.shape[1]):
            total += x[i, j]
        out[i] = total


@njit(parallel=True, fastmath=FAST)
def total(x):
    found = 0.0
    for i in prange(x.shape[0]):
        found += x[i]
    return found


@njit(parallel=True)
def permutes(x, where, out):
    for i in prange(x.shape[0]):
        out[where[i]] = x[i]


@njit(parallel=True)
def by_blocks(x, out, block):
    for b in prange((x.shape[0] + block - 1) // block):
        for i in range(b * block, min((b + 1) * block, x.shape[0])):
            out[i] = x[i] + 1.0


@vectorize
def adds(x, y):
    return x + y


@guvectorize(["void(float32[:], float32[:])"], "(n)->(n)")
def doubles(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] + x[i]


@guvectorize(["void(float32[:], float32[:])", "void(float64[:], float64[:])"], "(n)->()")
def sums_up(x, out):
    total = 0.0  # of float64: no conversion where the array is of it too
    for i in range(x.shape[0]):
        if x[i] > 0.5:
            total = x[i] - total
    out[0] = total


@njit
def two(x):
    return x + x


@njit
def through_a_helper(x, out):
    for i in range(x.shape[0]):
        out[i] = two(x[i])


def permutation():
    return np.ones(3000), np.random.default_rng(0).permutation(3000), np.zeros(3000)


@njit
def fills(x, out):
    for i in range(1, x.shape[0] - 1):
        out[i] = x[i] + x[i]


def unwritten():
    """Memory that nothing has written, here with what is denormal."""
    out = np.empty(1000)
    out.view(np.int64)[:] = 12345
    return np.ones(1000), out


@njit
def fills_a_list(x):
    found = [x[0]]
    for i in range(1, x.shape[0]):
        if x[i] > 0.0:
            found.append(x[i])
    return found[-1]


@njit
def keeps_rows(n):
    rows = []
    for i in range(n):
        row = np.zeros(3)
        row[0] = i
        rows.append(row[1:])
    return rows


@njit
def keeps_in_a_list(n):
    return [np.zeros(4).reshape(2, 2) for _ in range(n)]


@njit
def row_of(i):
    row = np.zeros(3)
    row[0] = i
    return row


@njit
def keeps_results(n):
    rows = {}
    for i in range(n):
        rows[i] = row_of(i)
    return len(rows)


@njit
def quotient(x, y):
    return x / y
