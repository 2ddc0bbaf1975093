"""The residual sum, out = x + f(x) (He, Zhang, Ren and Sun 2016, equation 1): forward, and beside it its gradients.

The gradient of out goes to f(x) as it is, and is added to what comes back through f: dx = df/dx dout + dout. The
product comes first, then the sum: one order, whatever the parts.

Matrices are flat float32 in rows of their strides, ranges of units multiples of LANES. By tiles of one vector: whether
the arrays overlap is then no question for the compiler.
"""

from numba import prange

from jitnet.compiler.decorators import driver, helper
from jitnet.compiler.signatures import FLOATS_2D, INT
from jitnet.machine.blocks import LANES
from jitnet.machine.denormals import flush_denormals, restore_float_flags
from jitnet.machine.tile import tile_load, tile_store

__all__ = ["apply_residual", "residual_backward", "residual_branch", "residual_forward"]


@helper
def residual_forward(x, x_stride, branch, out, stride, batch, first, last):
    """out[n, o] = x[n, o] + branch[n, o] for n < batch and first <= o < last; branch is f(x).

    x in rows of x_stride, branch and out in rows of stride. 1 FLOP and 12 bytes a number.
    """
    for n in range(batch):
        for o in range(first, last, LANES):
            at = n * stride + o
            total = tile_load(1, 1, x, n * x_stride + o, 0) + tile_load(1, 1, branch, at, 0)
            tile_store(total, out, at, 0)


@helper
def residual_branch(dout, dbranch, stride, batch, first, last):
    """dbranch[n, o] = dout[n, o] for n < batch and first <= o < last: the gradient of f(x). 8 bytes a number."""
    for n in range(batch):
        for k in range(n * stride + first, n * stride + last, LANES):
            tile_store(tile_load(1, 1, dout, k, 0), dbranch, k, 0)


@helper
def residual_backward(dout, stride, dx, x_stride, batch, first, last):
    """dx[n, i] += dout[n, i] for n < batch and first <= i < last, behind what came back through f.

    dout in rows of stride, dx in rows of x_stride. 1 FLOP and 12 bytes a number.
    """
    for n in range(batch):
        for i in range(first, last, LANES):
            at = n * x_stride + i
            tile_store(tile_load(1, 1, dx, at, 0) + tile_load(1, 1, dout, n * stride + i, 0), dx, at, 0)


@driver(FLOATS_2D, FLOATS_2D, FLOATS_2D, INT)
def apply_residual(x, branch, out, parts):
    """out = x + branch on plain arrays (batch, units) float32 with a multiple of LANES units, the samples
    split in parts."""
    batch, units = x.shape
    for part in prange(parts):
        flags = flush_denormals()
        first, last = batch * part // parts, batch * (part + 1) // parts
        x_rows, branch_rows, out_rows = (
            x[first:last].reshape(-1),
            branch[first:last].reshape(-1),
            out[first:last].reshape(-1),
        )
        residual_forward(x_rows, units, branch_rows, out_rows, units, last - first, 0, units)
        restore_float_flags(flags)
