"""A few lines that are copied into the loops of `planted_loops`, from another file."""

from numba import njit


@njit(inline="always")
def add_squares(x, y):
    for i in range(x.shape[0]):
        y[i] += x[i] * x[i]
