"""Standard output and error that cannot be written: one line, and the right exit code, in every command."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from conftest import environment, offline
from typer.main import get_command

from jitnet import runs
from jitnet.cli import COMMANDS, run
from jitnet.pictures import write_pgm

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")

CLOSED = "jitnet: error: standard output is closed; send it to a file, or to /dev/null where it is not wanted\n"
FULL = "jitnet: error: standard output cannot be written: no space left on device\n"

SMALL = ["--data", "digits", "--hidden", "8"]
ARGUMENTS = {
    "train": [*SMALL, "--epochs", "1"],
    "eval": ["RUN"],
    "predict": ["RUN", "PICTURE"],
    "bench": [*SMALL, "--threads", "1"],
    "profile": [*SMALL, "--threads", "1"],
    "runs": [],
    "compare": ["RUN", "OTHER"],
    "plot": ["RUN", "--out", "made.svg"],
    "cv": [*SMALL, "--epochs", "1", "--folds", "2", "--workers", "1"],
    "committee": ["RUN", "OTHER", "--out", "both.safetensors"],
    "sweep": ["SPACE", "--trials", "1", "--workers", "1"],
    "data list": [],
    "data fetch": ["digits"],
    "data info": ["digits"],
    "data convert": ["digits", "made.npz"],
    "data sample": ["made.csv"],
    "data augment": ["digits", "--count", "1"],
}
"""Each command, as short as it can be."""


def flags(command: str) -> list[str]:
    """The flags with which a command prints something else."""
    room, *below = command.split()
    found = get_command(import_module(COMMANDS[room][0]).app)
    parameters = (found.commands[below[0]] if below else found).params
    return ["", "--help", *(["--json"] if any("--json" in parameter.opts for parameter in parameters) else [])]


WALK = [(command, flag) for command in ARGUMENTS for flag in flags(command)]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two run folders, a picture and the space of a sweep."""
    folder = tmp_path_factory.mktemp("streams")
    options = ["--data", "digits", "--hidden", "8", "--epochs", "1", "--quiet"]
    for seed, name in enumerate(("run", "other")):
        assert run(["train", *options, "--seed", str(seed), "--out", str(folder / name)]) == 0
    write_pgm(folder / "one.pgm", np.pad(np.full((12, 3), 255, np.uint8), 8))
    space = folder / "space.toml"
    space.write_text('data = "digits"\nhidden = [8]\nepochs = 1\n[search]\nlr = [0.1, 0.2]\n')
    return {
        "RUN": str(folder / "run"),
        "PICTURE": str(folder / "one.pgm"),
        "SPACE": str(space),
        "OTHER": str(folder / "other"),
    }


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured is measured in a moment."""
    from jitnet.bench import limits, timing
    from jitnet.profile.step import profiler as measurement

    for name in ("SHORTEST_S", "LONGEST_S", "STEP_S"):
        monkeypatch.setattr(timing, name, 1e-5)
    for name in ("MIN_BYTES", "MAX_BYTES"):
        monkeypatch.setattr(limits, name, 4 * limits.MIB)
    monkeypatch.setattr(measurement, "BUDGET_S", 0.1)
    monkeypatch.setattr(measurement, "PROBES_S", 0.1)


def words(command: str, flag: str, places: dict[str, str]) -> list[str]:
    return [*command.split(), *(places.get(word, word) for word in ARGUMENTS[command]), *([flag] if flag else [])]


def test_the_walk_has_every_command():
    found = set()
    for room, (module, _) in COMMANDS.items():
        below = getattr(get_command(import_module(module).app), "commands", {})
        found |= {f"{room} {name}" for name in below} or {room}
    assert found == set(ARGUMENTS)


@pytest.mark.parametrize(("command", "flag"), WALK)
def test_a_closed_standard_output_is_one_line(call, places, monkeypatch, capsys, command, flag):
    monkeypatch.setattr(sys, "stdout", None)
    assert run(words(command, flag, places)) == 1
    assert capsys.readouterr().err.endswith(CLOSED)
    assert not list(Path().glob("runs/*"))


@needs_full
@pytest.mark.parametrize(("command", "flag"), WALK)
def test_a_full_standard_output_is_one_line(call, places, short, monkeypatch, capsys, command, flag):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert run(words(command, flag, places)) == 1
    monkeypatch.undo()
    lines = capsys.readouterr().err.splitlines(keepends=True)
    assert lines[-1] == FULL
    assert not [line for line in lines[:-1] if "error" in line]


@pytest.mark.parametrize("device", [None, pytest.param("/dev/full", marks=needs_full)])
def test_what_cannot_be_written_on_standard_error_is_dropped(call, monkeypatch, capsys, device):
    with open(device or os.devnull, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream if device else None)
        assert run(["train", *SMALL, "--epochs", "1", "--json"]) == 0
        assert run(["train", "--foo"]) == 2
        assert run(["data", "info", "nothing.csv"]) == 1
    monkeypatch.undo()
    assert '"last_test_accuracy"' in capsys.readouterr().out


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a shell does with a command line, in which $J is jitnet."""
    variables = environment(**offline(folder), J=f"{sys.executable} -m jitnet")
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=variables, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    ("command", "code", "err"),
    [
        ("$J data list >&-", 1, CLOSED),
        ("$J train --foo >&- 2>&-", 2, ""),
        ("$J data list --json 2>&- >&-", 1, ""),
        pytest.param("PYTHONIOENCODING=ascii $J train --help >/dev/full", 1, FULL, marks=needs_full),
        pytest.param("PYTHONUNBUFFERED=1 $J --version >/dev/full", 1, FULL, marks=needs_full),
    ],
)
def test_in_a_shell(tmp_path, command, code, err):
    done = shell(command, tmp_path)
    assert (done.returncode, done.stderr) == (code, err)


def test_a_reader_that_left_is_exit_141_and_nothing_said(tmp_path):
    training = "$J train --data digits --hidden 8 --epochs 2000 --out run"
    done = shell(f"{training} | head -1; echo ${{PIPESTATUS[0]}}", tmp_path)
    assert done.stdout.endswith("\n141\n")
    assert done.stderr == ""
    documented = (Path(__file__).parents[1] / "docs" / "training.md").read_text(encoding="utf-8")
    assert "\n| 141 | the reader of a pipe has closed it" in documented
    # It is gone, or holds what was trained so far.
    assert not (tmp_path / "run").exists() or (tmp_path / "run" / runs.MODEL).exists()
