"""One product from the textbook's loops to the tile on all cores: what each idea gains on this machine."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jitnet.bench.results import Case
from jitnet.bench.timing import timed
from jitnet.bench.workload import Subject
from jitnet.engine.arena import aligned
from jitnet.errors import JitnetError
from jitnet.kernels import matmul
from jitnet.machine.blocks import PANEL
from jitnet.machine.host import set_threads

__all__ = ["RUNGS", "check", "ladder_cases", "product_cases"]

MAX_FLOP = 2.0**27
"""The textbook loop would take seconds for a larger product."""

RUNGS: dict[str, tuple[Callable[..., None], str]] = {
    "textbook": (matmul.textbook, "three loops as they are written"),
    "reordered": (matmul.reordered, "the innermost loop walks memory in order"),
    "blocked": (matmul.blocked, "a block of weights stays in the first cache, four terms at a time"),
    "named sums": (matmul.summed, "eight sums stay in registers, in flight side by side"),
    "register tile": (matmul.tiled, "a tile of sums stays in registers, w is read in place"),
    "parallel tile": (matmul.matmul, "the tiles are spread over the threads"),
}
"""Each rung's loop, and its idea in one line; they are in `jitnet/kernels/matmul.py`."""

TOLERANCE = 1e-6
"""What float32's rounding (6e-8 each) may add up to for each 64 terms, relative to the sum of their magnitudes."""


def ladder_cases(subject: Subject, threads: Sequence[int]) -> list[Case]:
    """A case for each rung, on the first layer's product.

    Batch and outputs are halved until the textbook's loop is fast enough; outputs are rounded up to whole panels.
    Raises JitnetError where a rung's result is not the product.
    """
    batch, inputs, outputs = subject.batch_size, subject.shape.in_features, subject.shape.widths[1]
    while 2.0 * batch * inputs * outputs > MAX_FLOP and max(batch, outputs) > PANEL:
        batch, outputs = (batch // 2, outputs) if batch > outputs else (batch, outputs // 2)
    return product_cases(batch, inputs, -(-outputs // PANEL) * PANEL, threads)


def product_cases(batch: int, inputs: int, outputs: int, threads: Sequence[int]) -> list[Case]:
    """A case for each rung on a product of this size, the parallel one on each count of threads.

    outputs: whole panels. 2 n i o FLOP, 4 (n i + i o + n o) bytes. JitnetError where a result is not the product.
    """
    rng = np.random.default_rng(0)
    x, w = (_filled(rng, shape) for shape in ((batch, inputs), (inputs, outputs)))
    reference = x.astype(np.float64) @ w.astype(np.float64)
    scale = np.abs(x).astype(np.float64) @ np.abs(w).astype(np.float64)
    out = aligned(batch * outputs).reshape(batch, outputs)
    flop, size = 2.0 * batch * inputs * outputs, 4.0 * (x.size + w.size + out.size)
    shape = f"{batch}×{inputs}×{outputs}"
    cases = []
    for name, (rung, idea) in RUNGS.items():
        for count in threads if name == "parallel tile" else [1]:
            check(name, rung, x, w, out, reference, scale, count)
            cases.append(Case("ladder", name, shape, count, flop, size, _runner(rung, x, w, out, count), note=idea))
    return cases


def check(
    name: str, rung: Callable[..., None], x: Any, w: Any, out: Any, reference: Any, scale: Any, threads: int
) -> None:
    """Run a rung once and compare it with the float64 product; JitnetError where they differ."""
    out[:] = np.nan
    set_threads(threads)
    rung(x, w, out)
    worst = float(np.max(np.abs(out - reference) / scale))
    if not worst <= TOLERANCE * max(4.0, x.shape[1] / 64):
        raise JitnetError(f"the ladder's rung {name!r} is not the product: off by {worst:.2g} of its terms; not timed")


def _filled(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    array = aligned(shape[0] * shape[1]).reshape(shape)
    array[:] = rng.standard_normal(shape, np.float32)
    return array


def _runner(rung: Callable[..., None], x: Any, w: Any, out: Any, threads: int) -> Callable[[int], float]:
    def call(repeats: int) -> None:
        for _ in range(repeats):
            rung(x, w, out)

    def run(repeats: int) -> float:
        set_threads(threads)
        return timed(lambda: call(repeats))

    return run
