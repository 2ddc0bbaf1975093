"""The machine's peak: fused multiply-adds on registers and nothing else, on as many threads as the row has."""

import time

import numba
import numpy as np
import protocol
from numba import prange
from protocol import Row

from jitnet.kernels.jit import kernel, machine, parallel_kernel, set_threads
from jitnet.kernels.tile import COLS, LANES, ROWS, tile_add_outer, tile_load, tile_store

TERMS = 200_000
FLOP = 2.0 * ROWS * COLS * LANES * TERMS


@kernel
def multiply_add(column, row, out, at, terms):
    """As many sums as the registers hold, `terms` products added to each; the factor of all rows stays there too."""
    tile = tile_load(ROWS, COLS, out, at, COLS * LANES)
    for _ in range(terms):
        tile = tile_add_outer(tile, column, 0, 0, row, 0)
    tile_store(tile, out, at, COLS * LANES)


@parallel_kernel
def on_threads(column, row, out, parts, terms):
    """One part for each thread."""
    for part in prange(parts):
        multiply_add(column, row, out, part * ROWS * COLS * LANES, terms)


class Peak:
    def __init__(self, row: Row) -> None:
        self.parts = row.get("threads") or machine().cores
        self.column, self.row = np.full(ROWS, 1e-3, np.float32), np.full(COLS * LANES, 1e-3, np.float32)
        self.out = np.arange(self.parts * ROWS * COLS * LANES, dtype=np.float32)
        set_threads(self.parts)

    def measure(self) -> float:
        """Seconds a GFLOP, the best of five tries: a peak is what the machine can do, not what it did on average."""
        times = []
        for _ in range(5):
            start = time.perf_counter()
            on_threads(self.column, self.row, self.out, self.parts, TERMS)
            times.append(time.perf_counter() - start)
        return min(times) / (FLOP * self.parts / 1e9)

    def check(self) -> dict[str, float]:
        return {}


if __name__ == "__main__":
    protocol.serve({"numba": numba.__version__}, {"train": Peak, "predict": Peak, "kernel": Peak})
