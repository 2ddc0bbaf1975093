"""Measures what checkpoints cost a run: `jitnet train` with and without them, one after the other, again and again.

    python scripts/checkpoint_cost.py --pairs 20 --data mnist --epochs 10

Prints the median of the pairs' ratios, of the time on the wall and of processor time, start and end of the process
included.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

__all__ = ["Cost", "run"]


class Cost(NamedTuple):
    """Seconds of a run on the wall, and of processor time."""

    wall_s: float
    processor_s: float


def run(folder: Path, options: list[str], when: str) -> Cost:
    """Train into a folder; RuntimeError where that fails."""
    command = [sys.executable, "-m", "jitnet", "train", "--quiet", "--checkpoint", when, "--out", str(folder), *options]
    before, begin = os.times(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    took, after = time.perf_counter() - begin, os.times()
    if done.returncode:
        raise RuntimeError(done.stderr)
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(took, spent)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20, help="runs with, and as many without [default: 20]")
    parser.add_argument("--data", default="mnist", help="what to train on [default: mnist]")
    parser.add_argument("--epochs", default="10", help="epochs of a run [default: 10]")
    parser.add_argument("--threads", default="0", help="threads of a run [default: chosen by trying]")
    parser.add_argument("--checkpoint", default="auto", help="what to compare with off [default: auto]")
    asked = parser.parse_args()
    options = ["--data", asked.data, "--epochs", asked.epochs, "--threads", asked.threads]
    ratios: list[Cost] = []
    with tempfile.TemporaryDirectory(dir=".") as folder:
        run(Path(folder) / "first", options, "off")
        for pair in range(asked.pairs):
            order = (asked.checkpoint, "off") if pair % 2 else ("off", asked.checkpoint)
            found = {when: run(Path(folder) / f"{pair}-{when}", options, when) for when in order}
            on, off = found[asked.checkpoint], found["off"]
            ratios.append(Cost(on.wall_s / off.wall_s, on.processor_s / off.processor_s))
    for name in Cost._fields:
        values = [getattr(ratio, name) for ratio in ratios]
        low, _, high = quantiles(values, n=4)
        what = name.removesuffix("_s")
        print(f"{what}: {median(values) - 1:+.2%} (half of the pairs from {low - 1:+.2%} to {high - 1:+.2%})")


if __name__ == "__main__":
    main()
