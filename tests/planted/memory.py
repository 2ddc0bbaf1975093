"""Sums kept in memory, sums over iterators, and arrays of records; and loops where they have to stay."""

import numpy as np
from numba import njit, prange

PARTICLE = np.dtype([("x", "f8"), ("y", "f8"), ("mass", "f4"), ("kind", "i4"), ("name", "i8", (2,))], align=True)


def particles(n):
    """Return an array of records."""
    made = np.zeros(n, PARTICLE)
    made["x"], made["y"], made["mass"] = np.arange(n), np.arange(n) * 0.5, 1.0
    return made


@njit
def row_sums(x, out):
    for i in range(out.shape[0]):
        for j in range(x.shape[1]):
            out[i] += x[i, j]


@njit
def row_sums_maybe_outside(x, out):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i] += x[i, j] * x[i, j]


@njit(parallel=True)
def sums_by_threads(x, out):
    for i in range(out.shape[0]):
        for j in prange(x.shape[1]):
            out[i] += x[i, j]


@njit
def whole_sum(x):
    out = np.zeros(1)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            if x[i, j] > 0.0:
                out[0] += x[i, j]
            else:
                out[0] -= 1.0
    return out[0]


@njit
def running_sums(x, out):
    for i in range(out.shape[0]):
        for j in range(x.shape[1]):
            out[i] += out[j]


@njit
def narrow_sums(x, out):
    for i in range(out.shape[0]):
        for j in range(x.shape[1]):
            out[i] += 0.1 * x[i, j]


@njit
def stops_at_zero(x, out):
    for i in range(out.shape[0]):
        for j in range(x.shape[1]):
            if x[i, j] == 0.0:
                break
            out[i] += x[i, j]


@njit
def leaves_at_zero(x, out):
    for i in range(out.shape[0]):
        for j in range(x.shape[1]):
            out[i] += x[i, j]
            if x[i, j] == 0.0:
                return


@njit
def histogram(bins, out):
    for i in range(bins.shape[0]):
        out[bins[i]] += 1


@njit
def through_a_row(x):
    out = x[0]
    for i in range(out.shape[0]):
        for j in range(x.shape[1]):
            out[i] += x[i, j]


@njit
def over_elements(x):
    s = 0.0
    for v in x:
        s += v
    return s


@njit
def over_pairs(x, y):
    s = 0.0
    for v, w in zip(x, y):  # noqa: B905
        s += v * w
    return s


@njit(error_model="numpy")
def with_numbers(x):
    s = 0.0
    for i, v in enumerate(x):
        s += v * i
    return s


@njit
def over_rows(x):
    s = 0.0
    for row in x:
        s += row[0]
    return s


@njit
def renames_array(x, y):
    s = 0.0
    for v in x:
        s += v
        x = y
    return s


@njit
def centre(p):
    x = y = 0.0
    for i in range(p.shape[0]):
        x += p[i].x
        y += p[i]["y"] * p.mass[i]
    return x, y


@njit
def moves(p, step):
    for i in range(len(p)):
        one = p[i]
        one.x += step * one.y
        p[i].kind = 1


@njit
def copies_records(p, q):
    for i in range(len(p)):
        q[i] = p[i]


@njit
def keeps_a_record(p):
    best = p[0]
    for i in range(len(p)):
        if p[i].x > best.x:
            best = p[i]
    return best.y


@njit
def reads_a_part(p):
    s = 0
    for i in range(len(p)):
        s += p[i].name[0]
    return s


@njit
def shifted(x, out, shift):
    for i in range(out.shape[0]):
        out[i] = x[i + shift] + out[i]  # reads x


@njit
def reversed_rows(x, out, n):
    for i in range(x.shape[0]):
        for j in range(1, n):
            out[i, j] += x[n - 1 - j, i] + x[j - 1, i]


@njit(parallel=True)
def mirrored_in_threads(x, out):
    n = x.shape[0]
    for i in prange(n):
        out[n - 1 - i] = x[i]


@njit
def shifted_by_what_changes(x, out, shift):
    for i in range(out.shape[0]):
        out[i] = x[i + shift] + out[i]
        shift += 1


@njit
def shifted_twice(x, out, shift):
    for i in range(out.shape[0]):
        out[i] = x[2 * i + shift] + out[i]


@njit
def over_a_column(x, out):
    for k in range(out.shape[0]):
        for v in x:
            out[k] += v


@njit
def over_itself(out):
    for v in out:
        out[0] += v


@njit
def sums_written_out(x, out):
    for i in range(out.shape[0]):
        for j in range(x.shape[1]):
            out[i] = x[i, j] + out[i]


@njit(parallel=True)
def maybe_outside_in_threads(x, out, s):
    for i in prange(x.shape[0]):
        for j in range(x.shape[1]):
            out[i] += x[i, j] / s
