"""Dask schedulers and workers in processes of their own, on this machine."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from conftest import environment


class Cluster:
    """A scheduler, and workers of one thread each. Used in a `with`. The workers have no nanny: one that is killed does
    not come again.

    address: of the scheduler, as `--on` takes it. workers: the processes by their addresses."""

    def __init__(self, folder: Path, n_workers: int = 2) -> None:
        self.folder, self.n_workers = folder, n_workers
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        from distributed.utils import open_port

        self.port = open_port("127.0.0.1")
        self.address = f"dask://127.0.0.1:{self.port}"
        self._scheduler = self._start("dask_scheduler", "--host", "127.0.0.1", "--port", self.port, "--no-dashboard")
        self.add_workers(self.n_workers)
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()

    def add_workers(self, count: int, **variables: str) -> None:
        """Start workers, and wait until the scheduler has them. variables: of their environment."""
        from distributed.utils import open_port

        for _ in range(count):
            address = f"127.0.0.1:{(port := open_port('127.0.0.1'))}"
            options = ("--nthreads", 1, "--no-nanny", "--no-dashboard", "--worker-port", port)
            self.workers[f"tcp://{address}"] = self._start(
                "dask_worker", f"127.0.0.1:{self.port}", "--host", "127.0.0.1", *options, **variables
            )
        wait_for(lambda: self.workers.keys() <= set(self.addresses()), 60)

    def addresses(self) -> list[str]:
        """The addresses of the workers that the scheduler has."""
        from distributed import Client

        with Client(f"127.0.0.1:{self.port}", timeout=30, set_as_default=False) as client:
            return list(client.nthreads())

    def kill(self, address: str) -> None:
        """Kill a worker at once."""
        process = self.workers.pop(address)
        process.kill()
        process.wait()

    def kill_scheduler(self) -> None:
        """Kill the scheduler at once."""
        self._scheduler.kill()
        self._scheduler.wait()

    def _start(self, name: str, *options: Any, **variables: str) -> "subprocess.Popen[bytes]":
        made = environment(**variables)
        made["PYTHONPATH"] = variables.get(
            "PYTHONPATH", os.pathsep.join([made["PYTHONPATH"], os.path.dirname(__file__)])
        )
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{name}", *map(str, options)],
            cwd=self.folder,
            env=made,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / f"{name}-{len(self._processes)}.log").open("wb"),
        )
        self._processes.append(process)
        return process


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
