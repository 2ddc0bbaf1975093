"""Starting and memory of `jitnet train`: python benchmarks/start.py

Measures, in new processes: from the prompt to the first step with everything compiled before (the second start) and
with an empty cache (the first start), an epoch, the peak memory, and whether another network compiles anything.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from harness import WorkerError, command, environment, machine, machine_line
from report import Result, terminal
from rows import Entry, Target, Work


class Start(NamedTuple):
    """One run in a new process. ready_s: from the prompt to the first step of training; epoch_s: the last epoch."""

    ready_s: float
    epoch_s: float
    peak_bytes: int


def train(data: str, cache: Path, options: Sequence[str] = (), python: str = sys.executable) -> Start:
    """Run `jitnet train` once, as from a prompt. Raises WorkerError with its last line where it fails.

    The first epoch's line in metrics.jsonl is written once the epoch is trained and evaluated: the time of that less
    the epoch's seconds is when training began. The evaluation is counted as part of the start, so the number is at
    least the true one. With several epochs ready_s is unknown, and NaN.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as output:
        run = Path(folder) / "run"
        variables = environment("jitnet", 0) | {"JITNET_CACHE": str(cache), "JITNET_DATA": data}
        began = time.time()
        process = subprocess.Popen(
            [python, "-m", "jitnet", "train", "--data", "mnist", "--out", str(run), *options],
            stdout=output, stderr=subprocess.STDOUT, env=variables,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            lines = [line for line in output.read().splitlines() if line.strip()]
            raise WorkerError(lines[-1] if lines else f"jitnet train ended with {process.returncode}")
        metrics = run / "metrics.jsonl"
        epochs = [json.loads(line) for line in metrics.read_text().splitlines()]
        ready = metrics.stat().st_mtime - began - epochs[0]["seconds"] if len(epochs) == 1 else float("nan")
        peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return Start(ready, epochs[-1]["seconds"], peak)


def peer(system: str, row: Mapping[str, object], pythons: Mapping[str, str]) -> Start:
    """Run another system's worker once in a new process: imports, data, compilation, a first step, then one epoch."""
    words = [*command(system, pythons), "start", json.dumps(dict(row))]
    with tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        try:
            process = subprocess.Popen(
                words, stdout=subprocess.PIPE, stderr=errors, env=environment(system, 0), text=True
            )
        except OSError as error:
            raise WorkerError(str(error)) from None
        assert process.stdout is not None
        ready = process.stdout.readline()
        seconds = time.perf_counter() - began
        last = process.stdout.readline()
        if process.wait() or not ready or not last:
            errors.seek(0)
            raise WorkerError(([""] + [line for line in errors.read().splitlines() if line.strip()])[-1])
        reply = json.loads(last)
        return Start(seconds, reply["seconds"], reply["peak_bytes"])


def compiled(cache: Path) -> set[Path]:
    """The files of machine code under a cache folder."""
    return set(cache.rglob("*.nbc"))


def first_starts(data: str, runs: int, python: str) -> tuple[list[Start], str]:
    """Runs that compile everything, each into an empty folder; and what two other networks compiled after the last."""
    starts: list[Start] = []
    for at in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            cache = Path(folder)
            starts.append(train(data, cache, ["--epochs", "1"], python))
            if at == runs - 1:
                before = compiled(cache)
                train(data, cache, ["--epochs", "1", "--hidden", "96,64,32", "--batch-size", "100"], python)
                train(data, cache, ["--epochs", "1", "--hidden", "", "--batch-size", "7"], python)
                further = len(compiled(cache) - before)
    return starts, f"{further} kernels compiled for other shapes"


def measure(
    data: str, pythons: Mapping[str, str], systems: Sequence[str], rounds: int, long_epochs: int, draw: random.Random
) -> list[Result]:
    """The rows of starting and memory. Other systems run in the first three rounds: their starts are long and even."""
    python = pythons.get("jitnet", sys.executable)
    row = {"work": "train", "widths": [784, 128, 10], "batch": 32, "optimizer": "sgd", "rate": 0.1}
    row |= {"samples": 0, "data": data}
    entries = tuple(Entry(system) for system in systems)
    ours = Entry("jitnet")
    second = Result(Work("Starting", "second start, prompt to first step", row, entries, (Target("seconds", 1.0),)))
    first = Result(Work("Starting", "first start, everything compiled", row, (ours,), (Target("seconds", 12.0),)))
    memory = Result(Work("Memory", "peak, one epoch", row, entries, (Target("bytes", 350e6),), unit="MB"))
    growth = Result(Work("Memory", f"peak, {long_epochs} epochs", row, (ours,), (Target("growth", 0.1),), unit="MB"))
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)

        def once(system: str) -> None:
            try:
                if system == "jitnet":
                    start = train(data, cache, ["--epochs", "1"], python)
                else:
                    start = peer(system, row, pythons)
            except WorkerError as error:
                second.failures[system] = memory.failures[system] = str(error)
                return
            second.samples.setdefault(Entry(system), []).append(start.ready_s)
            memory.samples.setdefault(Entry(system), []).append(start.peak_bytes)

        try:
            train(data, cache, ["--epochs", "1"], python)  # compiles
            starts, first.agreement = first_starts(data, max(1, min(3, rounds // 2)), python)
            first.agrees = first.agreement.startswith("0 ")
            first.samples[ours] = [start.ready_s for start in starts]
            growth.samples[ours] = [train(data, cache, ["--epochs", str(long_epochs)], python).peak_bytes]
        except WorkerError as error:
            first.failures["jitnet"] = growth.failures["jitnet"] = str(error)
        for at in range(rounds):
            present = [s for s in systems if s not in second.failures and (s == "jitnet" or at < 3)]
            for system in draw.sample(present, len(present)):
                once(system)
    growth.base = median(memory.samples[ours]) if ours in memory.samples else None
    return [second, first, memory, growth]


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Measure how fast jitnet starts, how long an epoch takes, and its peak memory."
    )
    parser.add_argument("--data", default=os.environ.get("JITNET_DATA", "data"), help="folder with MNIST's files")
    parser.add_argument("--runs", type=int, default=7, help="processes to take the median of")
    parser.add_argument("--long", type=int, default=100, metavar="EPOCHS", help="epochs of the long run for memory")
    options = parser.parse_args()
    data = str(Path(options.data).resolve())
    print(machine_line(machine()))
    try:
        with tempfile.TemporaryDirectory() as folder:
            train(data, Path(folder), ["--epochs", "1"])
            seconds = [train(data, Path(folder), ["--epochs", "5"]).epoch_s for _ in range(options.runs)]
    except WorkerError as error:
        sys.exit(f"start.py: {error}")
    epoch = Result(
        Work("Training", "an epoch, 784-128-10, batch 32", {}, (Entry("jitnet"),), (Target("seconds", 0.4),))
    )
    epoch.samples[Entry("jitnet")] = seconds
    print(terminal([epoch, *measure(data, {}, ["jitnet"], options.runs, options.long, random.Random(0))]))


if __name__ == "__main__":
    main()
