"""Kills real trainings with SIGKILL at random moments, goes on with each, and compares what they end with.

    python scripts/kills.py --kills 100

Each round trains on the embedded digits with other options, is killed again and again, and goes on each time, in turn
on one thread and on all, until it ends by itself. Its weights, byte by byte, its metrics, times apart, and its outcome
must be those of the same training that was never interrupted; and where there is a checkpoint, there must be a whole
model beside it. The exit code is 1 where one of these is not so.
"""

import argparse
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from jitnet.model import Model

__all__ = ["OPTIONS", "Survived", "compare", "survive", "train"]

OPTIONS = [
    ["--optimizer", "adam", "--val-split", "0.2", "--patience", "400", "--dropout", "0.2"],
    ["--shift", "1", "--rotation", "10", "--ema", "0.99"],
    ["--optimizer", "lion", "--schedule", "coslog4", "--input-scale", "--norm", "layer", "--hidden", "32,32"],
    ["--optimizer", "nesterov", "--schedule", "constant", "--input-dropout", "0.1", "--clip-norm", "1"],
    ["--recipe", "tabular", "--hidden", "32,32"],
]
"""What is trained, a list a round."""

WHEN = ["epoch", "20steps", "0.05s", "auto"]
"""When checkpoints are written, in turn."""

TIMES = ("seconds", "samples_per_second")


class Survived(NamedTuple):
    """kills: how often the process was killed. resumed: how often it went on, and again: began again, as there was no
    checkpoint yet. at: steps done, in each checkpoint that it went on from."""

    kills: int
    resumed: int
    again: int
    at: list[int]


def train(*arguments: object, environment: dict[str, str] | None = None) -> "Training":
    """Start `jitnet train` with these arguments, in a process by itself."""
    return Training(["train", "--quiet", *map(str, arguments)], environment or {})


class Training:
    """A process that runs `jitnet`. It is forked from one that has imported the program and begun nothing, so that it
    trains after a moment, and can be killed in many more of them."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["jitnet.cli.train", "jitnet.engine.loop", "jitnet.runs.resuming"])
        descriptor, name = tempfile.mkstemp()
        os.close(descriptor)
        self._said = Path(name)
        self._process = context.Process(target=_run, args=(arguments, environment, name))
        self._process.start()

    @property
    def pid(self) -> int | None:
        """The process's number."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._process.kill()
        self._process.join()
        self._said.unlink()

    def finish(self) -> None:
        """Wait for its end; RuntimeError where it failed."""
        self._process.join()
        said = self._said.read_text()
        self._said.unlink()
        if self._process.exitcode:
            raise RuntimeError(f"exit code {self._process.exitcode}: {said}")


def _run(arguments: list[str], environment: dict[str, str], name: str) -> None:
    """Run the command line, what it prints going to a file."""
    os.environ.update(environment)
    said = os.open(name, os.O_WRONLY | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    from jitnet.cli import main

    main(arguments)


def _latest(run: Path) -> int:
    """Steps that the newest checkpoint of a run has; 0 where there is none."""
    return max((int(path.stem) for path in (run / "checkpoints").glob("*[0-9].safetensors")), default=0)


def survive(
    run: Path,
    options: list[str],
    kills: int,
    pause_s: tuple[float, float],
    *,
    seed: int = 0,
    environment: dict[str, str] | None = None,
) -> Survived:
    """Train into a folder, killing the process so often, each time after a random pause from the moment that it writes
    there, and then let it end."""
    moments = random.Random(seed)
    killed = resumed = again = 0
    at: list[int] = []
    while True:
        place = _latest(run)
        if place:
            Model.load(run)
            resumed += 1
            at.append(place)
            process = train("--resume", run, "--threads", 1 - resumed % 2, *options[:2], environment=environment)
        else:
            again += killed > 0
            _remove(run)
            process = train("--out", run, *options, environment=environment)
        if killed == kills:
            process.finish()
            return Survived(killed, resumed, again, at)
        _wait_until_it_trains(process, run)
        time.sleep(moments.uniform(*pause_s))
        if not process.is_running:
            process.finish()
            return Survived(killed, resumed, again, at)
        process.kill()
        killed += 1


def _wait_until_it_trains(process: Training, run: Path) -> None:
    """Until the process holds the run's lock, soon after which it trains; or it has ended."""
    while process.is_running:
        try:
            if int((run / ".lock").read_text()) == process.pid:
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.002)


def _remove(run: Path) -> None:
    """What a run left that has no checkpoint yet."""
    if run.exists():
        for path in sorted(run.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        run.rmdir()


def compare(run: Path, whole: Path) -> str:
    """What differs between a run and one that was never interrupted; "" where nothing does."""
    if (run / "model.safetensors").read_bytes() != (whole / "model.safetensors").read_bytes():
        return "the weights differ"
    lines, expected = (_metrics(folder) for folder in (run, whole))
    if lines != expected:
        return f"the metrics differ: {len(lines)} lines, and {len(expected)} of the other"
    kinds = [json.loads((folder / "config.json").read_text())["outcome"] for folder in (run, whole)]
    return "" if kinds[0] == kinds[1] else f"the outcomes differ: {kinds[0]}, and {kinds[1]}"


def _metrics(run: Path) -> list[dict[str, object]]:
    lines = (json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines())
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def main() -> int:
    """Kill as often as asked; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="kills in all [default: 100]")
    parser.add_argument("--each", type=int, default=10, help="kills of a training, before it may end [default: 10]")
    parser.add_argument("--epochs", type=int, default=400, help="epochs of a training [default: 400]")
    parser.add_argument("--pause", type=float, default=0.5, help="longest time to the next kill, in s [default: 0.5]")
    parser.add_argument("--seed", type=int, default=0, help="of the moments [default: 0]")
    asked = parser.parse_args()
    kills = resumed = rounds = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        while kills < asked.kills:
            chosen = OPTIONS[rounds % len(OPTIONS)]
            options = ["--checkpoint", WHEN[rounds % len(WHEN)], "--data", "digits", *chosen]
            options += ["--epochs", str(asked.epochs)]
            whole, run = Path(folder) / f"whole-{rounds}", Path(folder) / f"run-{rounds}"
            train("--out", whole, *options).finish()
            found = survive(
                run,
                options,
                min(asked.each, asked.kills - kills),
                (0.0, asked.pause),
                seed=asked.seed + rounds,
            )
            problem = compare(run, whole)
            kills, resumed, rounds = kills + found.kills, resumed + found.resumed, rounds + 1
            failed += bool(problem)
            print(
                f"{' '.join(options[4:])}, --checkpoint {options[1]}: {found.kills} kills, went on {found.resumed} "
                f"times from steps {', '.join(map(str, found.at)) or '-'}, began again {found.again} times: "
                f"{problem or 'the same bits'}",
                flush=True,
            )
    print(f"{kills} kills in {rounds} trainings, {resumed} resumed; {failed} ended otherwise than undisturbed ones")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
