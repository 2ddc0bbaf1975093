"""Trainings that are killed with SIGKILL at random moments, and resumed: JITNET_KILLS says how often in all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import environment, offline

ROOT = Path(__file__).parents[1]
KILLS = int(os.environ.get("JITNET_KILLS", "12"))


@pytest.fixture(scope="module")
def kills():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import kills

        yield kills  # the processes import it too
    finally:
        sys.path.remove(str(ROOT / "scripts"))


@pytest.mark.usefixtures("_compiled")
@pytest.mark.parametrize("turn", [0, 1])
def test_a_training_that_is_killed_again_and_again_ends_with_the_same_bits(kills, turn, tmp_path):
    variables = offline(tmp_path)
    options = [
        "--checkpoint",
        kills.WHEN[turn],
        "--data",
        "digits",
        "--epochs",
        "80",
        "--threads",
        "1",
        *kills.OPTIONS[turn],
    ]
    kills.train("--out", tmp_path / "whole", *options, environment=variables).finish()
    left, round_ = KILLS // 2, 0
    while left > 0:
        run = tmp_path / f"run-{round_}"
        found = kills.survive(run, options, left, (0.0, 0.1), seed=round_, environment=variables)
        assert not kills.compare(run, tmp_path / "whole")
        left, round_ = left - found.kills, round_ + 1


def test_the_script_says_what_it_does():
    command = [sys.executable, str(ROOT / "scripts" / "kills.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True)
    assert "--kills" in done.stdout
