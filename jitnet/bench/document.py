"""The document of `jitnet bench --json`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from jitnet.bench.comparison import FORMAT
from jitnet.bench.records import Bench
from jitnet.bench.verdict import judge
from jitnet.version import __version__

__all__ = ["as_document"]


def as_document(bench: Bench, peers: Sequence[str]) -> dict[str, Any]:
    """What `--json` prints: machine, settings, every raw sample in seconds, and what follows from them."""
    results = []
    for result in bench.results:
        row = asdict(result)
        row |= {"median_s": result.median_s, "spread": result.spread, "gflops": result.gflops, "gbs": result.gbs}
        if result.group in ("operation", "prediction", "ladder"):
            found = judge(result.median_s, result.flop, result.bytes, bench.limits_of(result))
            row |= {"roof": found.roof, "binds": found.binds, "verdict": found.verdict}
        results.append(row)
    return {
        "format": FORMAT,
        "jitnet": __version__,
        "numpy": np.__version__,
        "machine": {**asdict(bench.machine), "cache_bytes": bench.cache_bytes},
        "settings": asdict(bench.settings),
        "threads": bench.threads,
        "input_reason": bench.input_reason,
        "same_bits": bench.same_bits,
        "compile_s": bench.compile_s,
        "measure_s": bench.measure_s,
        "peers": peers,
        "probes": [asdict(probes) for probes in bench.probes],
        "steps": [asdict(row) for row in bench.steps],
        "results": results,
    }
