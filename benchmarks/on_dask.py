"""How long a sweep takes on the workers of a Dask scheduler, beside worker processes of the command itself.

    python benchmarks/on_dask.py
    python benchmarks/on_dask.py --trials 8 --rounds 1

Each round runs `jitnet sweep` twice, one after the other, from the same seed: with --on local and with --on dask://, on
a scheduler and workers of one thread each that are started on this machine for the round. So on both sides workers have
to load the loops. Prints the seconds of each, the ratio, and whether all trials have the same scores. Needs
`pip install 'jitnet[sweep,dask]'`, and as many idle cores as workers.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SPACE = """\
data = "digits"
val-split = 0.2
epochs = {epochs}
[search]
lr = {{ from = 1e-3, to = 1.0, log = true }}
hidden = ["256,128", "128,128"]
batch-size = [16, 32]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40, help="of each sweep (default 40)")
    parser.add_argument("--workers", type=int, default=2, help="on each side (default 2)")
    parser.add_argument("--epochs", type=int, default=40, help="of each trial (default 40)")
    parser.add_argument("--rounds", type=int, default=3, help="the medians of these are compared (default 3)")
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {"local": [], "dask": []}
    with tempfile.TemporaryDirectory() as folder:
        space = Path(folder, "space.toml")
        space.write_text(SPACE.format(epochs=options.epochs))
        sweep(space, 1, 1, "local")  # compiles the loops
        for number in range(1, options.rounds + 1):
            here = sweep(space, options.trials, options.workers, "local")
            with cluster(options.workers) as address:
                there = sweep(space, options.trials, options.workers, address)
            same = "the same scores" if here[1] == there[1] else "OTHER SCORES"
            seconds["local"].append(here[0])
            seconds["dask"].append(there[0])
            print(f"round {number}: local {here[0]:.2f} s, dask {there[0]:.2f} s, {there[0] / here[0]:.3f}; {same}")
    local, dask = (statistics.median(seconds[name]) for name in ("local", "dask"))
    print(f"{options.trials} trials on {options.workers} workers: dask takes {dask / local:.3f} of the time of local")


def sweep(space: Path, trials: int, workers: int, on: str) -> tuple[float, list[Any]]:
    """Run a sweep; return its seconds, and the scores of its trials."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--trials", trials, "--workers", workers, "--on", on, "--out", f"{folder}/sweep", "--json", "-q"]
        command = [sys.executable, "-m", "jitnet", "sweep", str(space), *map(str, options)]
        before = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        return time.perf_counter() - before, [trial["scores"] for trial in json.loads(done.stdout)["trials"]]


@contextmanager
def cluster(workers: int) -> Iterator[str]:
    """Start a scheduler and workers; yield the address of the scheduler once it has them."""
    from distributed import Client
    from distributed.utils import open_port

    address = f"127.0.0.1:{open_port('127.0.0.1')}"
    one_thread = ["--nthreads", "1", "--no-nanny", "--no-dashboard"]
    programs = [
        ("dask_scheduler", "--host", "127.0.0.1", "--port", address.partition(":")[2], "--no-dashboard"),
        *[("dask_worker", address, *one_thread)] * workers,
    ]
    with tempfile.TemporaryDirectory() as folder:
        quiet: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        processes = [
            subprocess.Popen([sys.executable, "-m", f"distributed.cli.{name}", *options], **quiet)
            for name, *options in programs
        ]
        try:
            with Client(address, timeout=30) as client:
                client.wait_for_workers(workers, timeout=60)
            yield f"dask://{address}"
        finally:
            for process in processes:
                process.kill()
                process.wait()


if __name__ == "__main__":
    main()
