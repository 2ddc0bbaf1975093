"""The machine's peak: only fused multiply-adds on registers, on as many threads as the row has."""

import time

import numba
import numpy as np
import protocol
from protocol import Row

from jitnet.kernels.probe import PROBES, SUMS, repeat_probe
from jitnet.machine.host import describe_machine, set_threads

TERMS = 200_000
FLOP = 2.0 * SUMS * TERMS


class Peak:
    def __init__(self, row: Row) -> None:
        self.parts = row.get("threads") or describe_machine().cores
        self.values, self.out = np.full(2 * SUMS * self.parts, 1e-3, np.float32), np.zeros(1, np.float32)
        set_threads(self.parts)

    def measure(self) -> float:
        """Seconds per GFLOP, the best of five trials: a peak is what the machine can do, not what it did on average."""
        times = []
        for _ in range(5):
            start = time.perf_counter()
            repeat_probe(PROBES["peak"], self.values, self.out, TERMS, 0, 1, self.parts)
            times.append(time.perf_counter() - start)
        return min(times) / (FLOP * self.parts / 1e9)

    def check(self) -> dict[str, float]:
        return {}


if __name__ == "__main__":
    protocol.serve({"numba": numba.__version__}, {"train": Peak, "predict": Peak, "kernel": Peak})
