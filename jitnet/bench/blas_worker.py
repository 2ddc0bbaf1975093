"""NumPy's matrix products, timed in a worker process; run as a file, and needs only NumPy.

Arguments: the cores to run on, separated by commas. It reads lines `KIND BATCH INPUTS OUTPUTS REPEATS` on standard
input, KIND being forward (x w), input (g w^T) or weight (x^T g), and replies to each with the seconds that it took;
the reply to `version` is NumPy's version and BLAS.
"""

import contextlib
import os
import sys
import time
from typing import Any

cores = sys.argv[1]
if cores:
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})

import numpy as np  # noqa: E402  (its threads are started on the cores chosen above)

cached: dict[tuple[str, int, int, int], tuple[Any, Any, Any]] = {}


def operands(kind: str, n: int, i: int, o: int) -> tuple[Any, Any, Any]:
    """Factors in the order in which they are multiplied, and the result's array."""
    key = kind, n, i, o
    if key not in cached:
        rng = np.random.default_rng(0)
        x, w, g = (rng.standard_normal(shape, np.float32) for shape in ((n, i), (i, o), (n, o)))
        left, right = {"forward": (x, w), "input": (g, w.T), "weight": (x.T, g)}[kind]
        cached[key] = left, right, np.empty((left.shape[0], right.shape[1]), np.float32)
    return cached[key]


for line in sys.stdin:
    kind, *numbers = line.split()
    if kind == "version":
        blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
        print("NumPy", np.__version__, blas.get("name", "?"), blas.get("version", "?"), flush=True)
        continue
    n, i, o, repeats = map(int, numbers)
    left, right, out = operands(kind, n, i, o)
    np.matmul(left, right, out=out)
    begin = time.perf_counter()
    for _ in range(repeats):
        np.matmul(left, right, out=out)
    print(repr(time.perf_counter() - begin), flush=True)
