"""A learned factor for each unit (LayerScale: Touvron et al. 2021, section 2.2): forward, and beside it its gradients.

out = scale * x. The gradient of x is scale * dout, that of the factors the sum of dout * x over the samples.

Matrices are flat float32 in rows of `stride`, ranges of units multiples of LANES.
"""

from jitnet.compiler.blocks import LANES
from jitnet.compiler.decorators import helper
from jitnet.compiler.tile import tile_load, tile_store, tile_zero

__all__ = ["unit_scale_backward", "unit_scale_forward"]


@helper
def unit_scale_forward(x, scale, out, stride, batch, first, last):
    """out[n, o] = scale[o] * x[n, o] for n < batch and first <= o < last. 1 FLOP and 8 bytes a number."""
    for n in range(batch):
        for o in range(first, last, LANES):
            at = n * stride + o
            tile_store(tile_load(1, 1, x, at, 0) * tile_load(1, 1, scale, o, 0), out, at, 0)


@helper
def unit_scale_backward(dout, x, scale, stride, batch, factor, dscale, first, last):
    """dscale[o] += factor * sum_n dout[n, o] x[n, o]; then dout[n, o] *= scale[o]; for n < batch and first <= o < last.

    With factor -learning_rate dscale may be scale itself: a step of SGD. 3 FLOP and 12 bytes a number.
    """
    for o in range(first, last, LANES):
        total, scales = tile_zero(1, 1), tile_load(1, 1, scale, o, 0)
        for n in range(batch):
            gradient = tile_load(1, 1, dout, n * stride + o, 0)
            total = total + gradient * tile_load(1, 1, x, n * stride + o, 0)
            tile_store(gradient * scales, dout, n * stride + o, 0)
        tile_store(tile_load(1, 1, dscale, o, 0) + total * factor, dscale, o, 0)
