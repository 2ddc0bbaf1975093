"""A measurement as a document, and faster or slower than one stored in a file: a rank test for each row, and the change
of its median."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from jitnet.bench.factors import Factor, of_samples
from jitnet.bench.results import Bench, Key
from jitnet.bench.verdict import judge
from jitnet.config import with_defaults
from jitnet.errors import UsageError
from jitnet.version import __version__

__all__ = [
    "FORMAT",
    "Baseline",
    "Change",
    "Pair",
    "as_document",
    "changes_of",
    "check_fits",
    "check_threads",
    "compare",
    "rank_test",
    "read_baseline",
]

FORMAT = "jitnet bench 2"

GROUPS = ("operation", "prediction", "step", "ladder")
"""The groups of jitnet's loops, which are compared."""

SIGNIFICANCE = 0.01
"""Chance of calling any row of a comparison slower or faster where nothing has changed; divided among the rows."""


@dataclass(frozen=True)
class Baseline:
    """A measurement from a file: its machine and settings as written, and each row's samples in seconds."""

    path: Path
    cpu: str
    settings: dict[str, Any]
    samples: dict[Key, list[float]]


@dataclass(frozen=True)
class Pair:
    """A row that was measured twice: its samples in seconds."""

    name: str
    shape: str
    threads: int
    before_s: Sequence[float]
    after_s: Sequence[float]


@dataclass(frozen=True)
class Change:
    """A row compared with the baseline's.

    change: of the median, 0.1 is 10% more time. p: probability of so large a difference by chance, in the change's
    direction. verdict: "slower", "faster" or "same". factor: how many times as fast it is now, None where that was not
    computed.
    """

    name: str
    shape: str
    threads: int
    before_s: float
    after_s: float
    change: float
    p: float
    verdict: str
    factor: Factor | None = None


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


def read_baseline(path: Path) -> Baseline:
    """Return what `--json` printed; UsageError where it is missing or is something else."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"--baseline {path}: cannot be read ({error.strerror}); make one with jitnet bench --json > FILE"
        ) from None
    except ValueError:
        raise UsageError(f"--baseline {path}: is not JSON; expected what jitnet bench --json > FILE writes") from None
    try:
        if document["format"] != FORMAT:
            raise ValueError
        samples = {
            (str(row["group"]), str(row["name"]), str(row["shape"]), int(row["threads"])): [
                float(s) for s in row["samples_s"]
            ]
            for row in document["results"]
            if row["group"] in GROUPS
        }
        if not all(len(row) > 1 and all(s > 0 and math.isfinite(s) for s in row) for row in samples.values()):
            raise ValueError
        return Baseline(path, str(document["machine"]["cpu"]), dict(document["settings"]), samples)
    except (KeyError, TypeError, ValueError):
        raise UsageError(
            f"--baseline {path}: is not of the form {FORMAT!r}; expected what jitnet bench --json > FILE writes"
        ) from None


def check_fits(baseline: Baseline, settings: Mapping[str, Any]) -> None:
    """UsageError where the baseline is of other settings than these: it names the first difference."""
    measured = with_defaults(baseline.settings)
    for name, ours in settings.items():
        theirs = measured.get(name)
        if theirs != ours:
            raise UsageError(
                f"--baseline {baseline.path}: was measured with {name} {theirs}, this one has {ours}; "
                "measure the same in both"
            )


def check_threads(baseline: Baseline, counts: Collection[int]) -> None:
    """UsageError where the baseline has no row at any of these counts of threads."""
    if not any(threads in counts for _, _, _, threads in baseline.samples):
        raise UsageError(f"--baseline {baseline.path}: has no row at the same --threads; measure the same in both")


def compare(bench: Bench, baseline: Baseline, threshold: float) -> list[Change]:
    """A change for each row that both have, in the order of this measurement. UsageError where no row is in both."""
    check_fits(baseline, {**asdict(bench.settings), "hidden": list(bench.settings.hidden)})
    pairs = [
        Pair(result.name, result.shape, result.threads, baseline.samples[result.key], result.samples_s)
        for result in bench.results
        if result.key in baseline.samples
    ]
    if not pairs:
        raise UsageError(f"--baseline {baseline.path}: none of its rows is in this measurement; measure it again")
    return changes_of(pairs, threshold)


def changes_of(pairs: Sequence[Pair], threshold: float) -> list[Change]:
    """A change for each row.

    A row is slower where its median grew by more than `threshold` (0.1 is 10%) and the rank test finds the direction
    significant, with SIGNIFICANCE divided among the rows (Bonferroni); faster likewise.
    """
    changes = []
    for pair in pairs:
        before_s, after_s = median(pair.before_s), median(pair.after_s)
        change = after_s / before_s - 1
        low, high = (pair.before_s, pair.after_s) if change >= 0 else (pair.after_s, pair.before_s)
        p = rank_test(low, high)
        verdict = "same"
        if p < SIGNIFICANCE / len(pairs):
            verdict = "slower" if change > threshold else "faster" if change < -threshold else "same"
        factor = of_samples(pair.before_s, pair.after_s)
        changes.append(Change(pair.name, pair.shape, pair.threads, before_s, after_s, change, p, verdict, factor))
    return changes


def rank_test(low: Sequence[float], high: Sequence[float]) -> float:
    """Probability that `high` is this far above `low` if both have one distribution (Mann and Whitney 1947).

    U counts the pairs in which high's is larger, ties half. Without ties the probability is exact, by counting
    arrangements; with ties it is approximated by a normal distribution with the ties' variance and a continuity
    correction.
    """
    a, b = len(low), len(high)
    u = sum(1.0 if y > x else 0.5 if y == x else 0.0 for x in low for y in high)
    pooled = [*low, *high]
    sizes = [pooled.count(value) for value in set(pooled)]
    if max(sizes) == 1 and a * b <= 2500:
        ways = _arrangements(a, b)
        return sum(ways[int(u) :]) / sum(ways)
    n = a + b
    variance = a * b / 12 * (n + 1 - sum(size**3 - size for size in sizes) / (n * (n - 1)))
    if variance <= 0:
        return 1.0
    z = (u - a * b / 2 - 0.5) / math.sqrt(variance)
    return 0.5 * math.erfc(z / math.sqrt(2))


@cache
def _arrangements(a: int, b: int) -> list[int]:
    """In how many orders of a and b values U is 0, 1, …, a b: the coefficients of the Gaussian binomial."""
    # row[k] for k values of the first kind so far; a value of the second kind above k of them adds k to U.
    ways = [[1] + [0] * (a * b) for _ in range(a + 1)]
    for _ in range(b):
        for k in range(1, a + 1):
            below, same = ways[k - 1], ways[k]
            ways[k] = [below[u] + (same[u - k] if u >= k else 0) for u in range(a * b + 1)]
    return ways[a]
