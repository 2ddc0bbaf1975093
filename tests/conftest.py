"""What every test shares: Numba's warnings are errors, MNIST where it is, and a terminal of one size."""

import os
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    # jit.py first: it settles what Numba reads from the environment when it is imported.
    import jitnet.kernels.jit  # noqa: F401

    config.addinivalue_line("filterwarnings", "error::numba.core.errors.NumbaWarning")


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same output whatever terminal the suite is started from."""
    for name in ("FORCE_COLOR", "NO_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """The folder with MNIST's four files; skips the test where $JITNET_DATA does not name one."""
    folder = os.environ.get("JITNET_DATA")
    if not folder:
        pytest.skip("needs MNIST: set JITNET_DATA to the folder that holds it")
    if not any(Path(folder).rglob("train-images*")):
        pytest.skip(f"needs MNIST: no train-images file in JITNET_DATA={folder}")
    return Path(folder)
