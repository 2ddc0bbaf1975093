"""One matrix product in six ways: each equals plain float64 over shapes round every block and tile."""

import numpy as np
import pytest
from layouts import MARK

from jitnet.kernels import matmul
from jitnet.kernels.matmul import BLOCK_COLUMNS, BLOCK_ROWS, SUM_ROWS
from jitnet.machine.blocks import PANEL, TILE_ROWS
from jitnet.machine.host import describe_machine, set_threads

pytestmark = pytest.mark.small

RUNGS = [getattr(matmul, name) for name in matmul.__all__]
IN_WHOLE_PANELS = (matmul.summed, matmul.tiled, matmul.matmul)

# batch, in_features, out_features; whole panels for the last three rungs
SHAPES = [(1, 1, 1), (2, 3, 5), (TILE_ROWS - 1, BLOCK_ROWS - 1, 7), (3, BLOCK_ROWS + 1, BLOCK_COLUMNS + 1)]
IN_PANELS = [(1, 1, PANEL), (SUM_ROWS, 5, PANEL), (TILE_ROWS, 7, 2 * PANEL), (2 * TILE_ROWS + 1, 13, 3 * PANEL)]


def arrays(shape):
    batch, in_features, out_features = shape
    rng = np.random.default_rng(shape)
    x = rng.normal(size=(batch, in_features)).astype(np.float32)
    w = rng.normal(size=(in_features, out_features)).astype(np.float32)
    return x, w, np.full((batch, out_features), MARK, np.float32)


CASES = [(rung, shape) for rung in RUNGS for shape in (IN_PANELS if rung in IN_WHOLE_PANELS else SHAPES + IN_PANELS)]


@pytest.mark.parametrize(("rung", "shape"), CASES, ids=[f"{rung.__name__}-{shape}" for rung, shape in CASES])
def test_every_rung_is_the_product(rung, shape):
    x, w, out = arrays(shape)
    rung(x, w, out)
    np.testing.assert_allclose(out, x.astype(np.float64) @ w, rtol=2e-5, atol=2e-5)


def test_every_output_has_one_writer_on_any_number_of_threads():
    x, w, expected = arrays(IN_PANELS[-1])
    matmul.tiled(x, w, expected)
    try:
        for threads in range(1, describe_machine().affinity + 1):
            out = np.full_like(expected, MARK)
            set_threads(threads)
            matmul.matmul(x, w, out)
            np.testing.assert_array_equal(out, expected)
    finally:
        set_threads(describe_machine().affinity)
