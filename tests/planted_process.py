"""Planted functions are profiled by a script of `planted/`, several in one process, as the worker process would be."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jitnet
from jitnet.compiler.environment import CORES
from jitnet.profile.functions.worker_process import worker_environment

PLANTED = Path(__file__).parent / "planted"


def environment() -> dict[str, str]:
    """The user's environment, as worker processes have it, with this package."""
    return worker_environment()[0] | {"PYTHONPATH": str(Path(jitnet.__file__).parents[1])}


def printed_by(script: str, *arguments: Any, timeout_s: float = 300.0, **variables: str) -> Any:
    """What a script prints on its last line, read as JSON. arguments: passed as JSON, and then the cores to run on,
    since the process that starts it may be bound to one of them. variables: of its environment."""
    done = subprocess.run(
        [sys.executable, str(PLANTED / script), *map(json.dumps, (*arguments, CORES))],
        capture_output=True,
        text=True,
        env=environment() | variables,
        timeout=timeout_s,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
