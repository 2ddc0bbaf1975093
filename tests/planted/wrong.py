"""Functions whose results are wrong, by one fault each, whose line ends in `# here`."""

import numpy as np
from numba import float64, guvectorize, njit, prange, vectorize
from numba.experimental import jitclass
from numba.typed import List


@njit(parallel=True)
def long_body(x, out):
    for i in prange(x.shape[0]):
        a0 = x[i] + 0.5
        a1 = a0 * x[i] + 1.5
        a2 = a1 * x[i] + 2.5
        a3 = a2 * x[i] + 3.5
        a4 = a3 * x[i] + 4.5
        a5 = a4 * x[i] + 5.5
        a6 = a5 * x[i] + 6.5
        a7 = a6 * x[i] + 7.5
        a8 = a7 * x[i] + 8.5
        a9 = a8 * x[i] + 9.5
        b0 = a9 * x[i] + a0
        b1 = b0 * x[i] + a1
        b2 = b1 * x[i] + a2
        b3 = b2 * x[i] + a3
        b4 = b3 * x[i] + a4
        b5 = b4 * x[i] + a5
        b6 = b5 * x[i] + a6
        b7 = b6 * x[i] + a7
        b8 = b7 * x[i] + a8
        b9 = b8 * x[i] + a9
        c0 = b9 * x[i] + b0
        c1 = c0 * x[i] + b1
        c2 = c1 * x[i] + b2
        c3 = c2 * x[i] + b3
        c4 = c3 * x[i] + b4
        c5 = c4 * x[i] + b5
        c6 = c5 * x[i] + b6
        c7 = c6 * x[i] + b7
        c8 = c7 * x[i] + b8
        c9 = c8 * x[i] + b9
        d0 = c9 * x[i] + c0
        d1 = d0 * x[i] + c1
        d2 = d1 * x[i] + c2
        d3 = d2 * x[i] + c3
        d4 = d3 * x[i] + c4
        d5 = d4 * x[i] + c5
        d6 = d5 * x[i] + c6
        d7 = d6 * x[i] + c7
        d8 = d7 * x[i] + c8
        out[i % 4] += d8 + c9  # here


@njit(parallel=True)
def counter_as_index(x, out):
    count = 0
    for i in prange(x.shape[0]):
        if x[i] > 0.5:
            out[count] = x[i]  # here
            count += 1
    return count


@njit(parallel=True)
def best_of(x):
    best, at = -1.0, 0
    for i in prange(x.shape[0]):
        if x[i] > best:  # here
            best = x[i]
            at = i
    return best, at


@njit(parallel=True)
def best_in_rows(x):
    best = -1.0
    for i in prange(x.shape[0]):
        for j in range(x.shape[1]):
            if x[i, j] > best:
                best = x[i, j]  # here
    return best


@njit(parallel=True)
def last_of(x):
    last = -1
    for i in prange(x.shape[0]):
        if x[i] > 0.5:
            last = i  # here
    return last


@njit(parallel=True)
def running_sum(x, out):
    total = 0.0
    for i in prange(x.shape[0]):
        total += x[i]
        out[i] = total  # here


@njit(parallel=True)
def shared_list(x):
    found = [0.0, 0.0, 0.0]
    for i in prange(x.shape[0]):
        found[i % 3] = x[i]  # here
    return found


@njit(parallel=True)
def grown_list(x):
    found = [0.0]
    for i in prange(8):
        found.append(x[i])  # here
    return len(found)


@njit(parallel=True)
def shared_typed_list(x, found):
    for i in prange(x.shape[0]):
        found[i % 3] = x[i]  # here


@njit(parallel=True)
def record_field(x, records):
    for i in prange(x.shape[0]):
        records[i % 4].total += x[i]  # here


@njit(parallel=True)
def reads_the_next(x):
    for i in prange(x.shape[0] - 1):
        x[i] = x[i + 1] + 1.0  # here


@njit
def one_too_far(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] + x[i + 1]  # here


@njit(parallel=True)
def one_too_far_in_threads(x, out):
    for i in prange(x.shape[0]):
        out[i] = x[i] + x[i + 1]  # here


@njit
def element_after(x, i):
    return x[i + 1]  # here


@njit
def too_far_in_a_callee(x, out):
    for i in range(x.shape[0]):
        out[i] = element_after(x, i)


@guvectorize(["void(float64[:], float64[:])"], "(n)->(n)")
def one_too_far_by_rows(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] + x[i + 1]  # here


@guvectorize("(n),(m)->(n)")
def longer_than_the_other(x, y, out):
    for i in range(x.shape[0]):
        out[i] = element_of(y, i)


@njit
def element_of(y, i):
    return y[i]  # here


TABLE = np.arange(10.0)


@vectorize(["float64(int64)"], target="parallel")
def looked_up(key):
    return TABLE[key]  # here


def keys():
    return (np.arange(12),)


@njit
def far_away(x):
    x[100_000_000] = 1.0  # here


@njit(parallel=True)
def hoisted(x):
    rows = [np.zeros(3) for _ in range(x.shape[0])]
    for i in prange(x.shape[0]):
        row = np.empty(3)  # here
        for j in range(3):
            row[j] = i
        rows[i] = row[:]
    return rows


@njit(fastmath=True)
def mean_without_nan(x):
    total, count = 0.0, 0
    for i in range(x.shape[0]):
        if not np.isnan(x[i]):  # here
            total += x[i]
            count += 1
    return total / count


@njit
def last_is_unwritten(x):
    out = np.empty(x.shape[0])  # here
    for i in range(x.shape[0] - 1):
        out[i] = x[i]
    return out


def typed_list():
    return np.arange(1.0, 100.0), List([0.0, 0.0, 0.0])


def records():
    return np.ones(100), np.zeros(4, [("total", "f8"), ("count", "i8")])


@njit(parallel=True)
def array_from_arithmetic(x):
    out = x * 0.0
    for i in prange(x.shape[0]):
        out[i // 2] = x[i]  # here
    return out


@njit
def neighbour_of_index(x, where, out):
    for i in range(where.shape[0]):
        out[i] = x[where[i] + 1]


@njit
def noise(x):
    return x + np.random.normal(0.0, 1.0, x.shape[0])  # noqa: NPY002  # here


@jitclass([("total", float64)])
class Box:
    def __init__(self):
        self.total = 0.0


@njit
def adds_to_a_box(box, x):
    for i in range(x.shape[0]):
        box.total += x[i]
    return box.total


def box():
    return Box(), np.ones(10)
