"""Functions without a fault, most of them with something that looks like one: `# tempting` says what."""

import math

import numpy as np
from numba import guvectorize, njit, prange, vectorize


# args: f8(2.5) f8[10000] f8[10000]
@njit
def saxpy(a, x, y):
    for i in range(x.shape[0]):
        y[i] = a * x[i] + y[i]


# args: f8[60,60] f8[60,60] f8[60,60]
# tempting: reduction and accumulator, of a product whose loops are in the right order
# may: invariant
@njit
def product_by_rows(a, b, c):
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            for j in range(b.shape[1]):
                c[i, j] += a[i, k] * b[k, j]


# args: f8[10000] f8[10000]
@njit(fastmath={"reassoc", "contract", "nsz"})
def dot_in_any_order(x, y):
    total = 0.0
    for i in range(x.shape[0]):
        total += x[i] * y[i]
    return total


# args: f8[10000] f8[10000]
# tempting: reduction, of sums that are all needed
@njit
def running_sums(x, out):
    total = 0.0
    for i in range(x.shape[0]):
        total += x[i]
        out[i] = total


# setup: permutation
# tempting: race, by indices that are all different
@njit(parallel=True)
def permutes(x, where, out):
    for i in prange(x.shape[0]):
        out[where[i]] = x[i]


def permutation():
    return np.ones(1_000_000), np.random.default_rng(0).permutation(1_000_000), np.zeros(1_000_000)


# args: f8[4000000] f8[4000000] 4096
# tempting: race, by blocks that do not overlap
@njit(parallel=True)
def by_blocks(x, out, block):
    for b in prange((x.shape[0] + block - 1) // block):
        for i in range(b * block, min((b + 1) * block, x.shape[0])):
            out[i] = x[i] + 1.0


# args: f8[4000000]
# tempting: race, of a sum that Numba makes a reduction
# may: reduction
@njit(parallel=True)
def total_in_threads(x):
    total = 0.0
    for i in prange(x.shape[0]):
        total += x[i]
    return total


# args: f8[4000000]
# tempting: race, of a largest value that Numba makes a reduction
@njit(parallel=True)
def largest_in_threads(x):
    best = 0.0
    for i in prange(x.shape[0]):
        best = max(best, x[i])
    return best


# args: f8[4000000] f8[4000000]
# tempting: race, by an index that is not the counter
# may: wraparound
@njit(parallel=True)
def mirrored(x, out):
    n = x.shape[0]
    for i in prange(n):
        out[n - 1 - i] = x[i]


# args: f8[2000000] f8[4000000]
# tempting: race, by two indices that never meet
@njit(parallel=True)
def interleaved(x, out):
    for i in prange(x.shape[0]):
        out[2 * i] = x[i]
        out[2 * i + 1] = -x[i]


# args: f8[20000,64] f8[20000]
# tempting: race, of arrays that each iteration makes for itself
# may: allocation, reduction
@njit(parallel=True)
def scratch_for_each(x, out):
    for i in prange(x.shape[0]):
        row = np.empty(64)
        for j in range(64):
            row[j] = x[i, j] * x[i, j]
        best = 0.0
        for j in range(64):
            best = max(best, row[j])
        out[i] = best


# args: f8[200000,8] f8[200000]
# tempting: race, in a long body
@njit(parallel=True)
def long_and_clean(x, out):
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
        low = min(a, e)
        high = max(d, h)
        middle = 0.5 * (low + high)
        if middle > 0.5:
            middle -= 0.25
        else:
            middle += 0.25
        out[i] = high - low + middle


# args: 10000 7
# tempting: random, of numbers that a seed fixes
# may: call, reduction
@njit
def draws_with_a_seed(n, seed):
    np.random.seed(seed)  # noqa: NPY002
    best = 0.0
    for _ in range(n):
        best = max(best, np.random.random())  # noqa: NPY002
    return best


# setup: unwritten
# tempting: denormals, in memory that is only written
@njit
def overwrites(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] + 1.0


def unwritten():
    out = np.empty(10_000)
    out.view(np.int64)[:] = 3  # as unwritten memory may be
    return np.ones(10_000), out


# setup: fading
# tempting: denormals, which cost nothing on some processors
# may: denormals
@njit
def fades(x, times):
    for _ in range(times):
        for i in range(x.shape[0]):
            x[i] = x[i] * 0.9


def fading():
    return np.full(1000, 1e-306), 300


# args: f8[300,1000] f8[300] f8[300,1000]
# tempting: division, once a row
@njit
def rows_over(x, scale, out):
    for i in range(x.shape[0]):
        factor = 1.0 / scale[i]
        for j in range(x.shape[1]):
            out[i, j] = x[i, j] * factor


# args: f8[10000] f8[10000]
# tempting: power, that the compiler makes a product
@njit
def squared(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] ** 2


# args: f8[10000] f8[10000]
# tempting: promotion, of float64
@njit
def halves(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] * 0.5 + 0.25


# args: f4[10000] f4[10000]
# tempting: promotion, of a constant that is float32
@njit
def halves_of_float32(x, out):
    half = np.float32(0.5)
    for i in range(x.shape[0]):
        out[i] = x[i] * half


# args: f8[10000] f8[10000]
# tempting: wraparound, of an index that is never below 0
@njit
def differences(x, out):
    for i in range(1, x.shape[0]):
        out[i] = x[i] - x[i - 1]


# args: f8[300,300] f8[300,300]
# tempting: wraparound, in a stencil
@njit
def stencil(x, out):
    for i in range(1, x.shape[0] - 1):
        for j in range(1, x.shape[1] - 1):
            out[i, j] = 0.25 * (x[i - 1, j] + x[i + 1, j] + x[i, j - 1] + x[i, j + 1])


# args: f8[100000] f8[256]
# tempting: allocation, once a call
@njit
def allocates_once(x, weights):
    table = np.zeros(256)
    for k in range(256):
        table[k] = weights[k] * weights[k]
    best = 0.0
    for i in range(x.shape[0]):
        best = max(best, x[i] * table[i & 255])
    return best


# args: f8[10000] f8[10000]
# tempting: allocation and call, in a branch that never runs
@njit
def seldom(x, out):
    for i in range(x.shape[0]):
        if x[i] > 5.0:
            row = np.zeros(4)
            row[0] = math.exp(x[i])
            out[i] = row[0]
        else:
            out[i] = x[i] * 2.0


@njit
def twice(value):
    return value + value


# args: f8[10000] f8[10000]
# tempting: compiled again and call, of a helper with one type
@njit
def with_a_helper(x, out):
    for i in range(x.shape[0]):
        out[i] = twice(x[i]) + twice(out[i])


# args: f8[600,600]F f8[600,600]F
# tempting: loop order, of arrays in columns
@njit
def down_the_columns_of_columns(x, out):
    for j in range(x.shape[1]):
        for i in range(x.shape[0]):
            out[i, j] = x[i, j] * 2.0


# args: f8[300,300]
# tempting: loop order, of loops that depend on each other
@njit
def recurrence(x):
    for j in range(1, x.shape[1]):
        for i in range(x.shape[0] - 1):
            x[i, j] = 0.5 * x[i, j] + 0.25 * x[i + 1, j - 1]


# args: f8[1000] f8[1000] i8[1000]
# tempting: call and division, in a search
@njit
def searches(keys, x, out):
    for i in range(x.shape[0]):
        low, high = 0, keys.shape[0]
        while low < high:
            middle = (low + high) >> 1
            if keys[middle] < x[i]:
                low = middle + 1
            else:
                high = middle
        out[i] = low


# args: f8[10000] f8(2.0)
# tempting: reduction, in a loop that ends early
@njit
def first_above(x, limit):
    for i in range(x.shape[0]):
        if x[i] > limit:
            return i
    return -1


# setup: gaps
# tempting: fastmath, which is not set
# may: reduction
@njit
def counts_gaps(x):
    count = 0
    for i in range(x.shape[0]):
        if math.isnan(x[i]):
            count += 1
    return count


def gaps():
    x = np.ones(10_000)
    x[::7] = np.nan
    return (x,)


# setup: gaps
# tempting: fastmath, with flags that keep NaN
@njit(fastmath={"reassoc", "contract", "nsz"})
def sum_without_gaps(x):
    total = 0.0
    for i in range(x.shape[0]):
        if not math.isnan(x[i]):
            total += x[i]
    return total


# args: f8[100000] f8[100000]
@vectorize
def adds(x, y):
    return x + y


# args: f8[100,1000]
# tempting: layout, which guvectorize always has
@guvectorize(["void(float64[:], float64[:])"], "(n)->(n)")
def doubles(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] + x[i]


# args: f8[1000] f8[1000]A
# tempting: layout, of an array that is read once a call
@njit
def reads_one(x, strided):
    first = strided[0]
    for i in range(x.shape[0]):
        x[i] = first


# args: i8[10000] i8[10000]
# tempting: division, by a power of two
@njit
def sixteenths(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] // 16 + x[i] % 16


# args: i8[10000]
# tempting: reduction, of integers, whose order does not matter
@njit
def integer_sum(x):
    total = 0
    for i in range(x.shape[0]):
        total += x[i] * x[i]
    return total


# args: u1[100000] i8[256]
# tempting: accumulator and race, of a histogram on one thread
@njit
def histogram_on_one(x, out):
    for i in range(x.shape[0]):
        out[x[i]] += 1


# args: f8[10000] f8[10000]
# tempting: power, of a polynomial that is products already
@njit
def polynomial(x, out):
    for i in range(x.shape[0]):
        out[i] = ((0.5 * x[i] - 1.25) * x[i] + 2.0) * x[i] + 0.75


# args: f8[400,400] f8[400,400]
# tempting: loop order, of a transpose, which strides in either order
# may: loop order
@njit
def transposes(x, out):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[j, i] = x[i, j]


# args: c16[10000] c16[10000]
# tempting: magnitude, of complex numbers that are only multiplied
@njit
def rotates(z, by):
    for i in range(z.shape[0]):
        z[i] = z[i] * by[i]


# args: f8[300,300] f8[300]
# tempting: allocation and call, of a product of NumPy's that allocates once a call
@njit
def matrix_by_vector(a, x):
    return np.dot(a, x)


# setup: permutation
# tempting: wraparound and layout, of indices that are read
@njit
def gathers(x, where, out):
    for i in range(x.shape[0]):
        out[i] = x[where[i]]


# setup: points
# tempting: layout, of records whose fields are all used; an array for each is a vector's
# may: structs
@njit
def moves(bodies, step):
    for i in range(bodies.shape[0]):
        bodies[i].x += step * bodies[i].vx
        bodies[i].y += step * bodies[i].vy


def points():
    bodies = np.zeros(20_000, np.dtype([(name, np.float64) for name in ("x", "y", "vx", "vy")]))
    bodies["vx"] = bodies["vy"] = 1.5
    return bodies, 0.01


# args: f8[600]
# tempting: loop order and invariant, of a sort that moves what is larger
@njit
def insertion_sort(x):
    for i in range(1, x.shape[0]):
        value = x[i]
        k = i - 1
        while k >= 0 and x[k] > value:
            x[k + 1] = x[k]
            k -= 1
        x[k + 1] = value


# args: 2000
# tempting: allocation, of arrays that a list keeps
@njit
def keeps_rows(n):
    rows = []
    for i in range(n):
        row = np.zeros(3)
        row[0] = i
        rows.append(row)
    return rows


# args: f8[100000] f8[100000]
# tempting: error_model, of whole arrays, which are divided without a test for 0
# may: division
@njit
def quotient(x, y):
    return x / y
