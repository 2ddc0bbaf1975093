"""What every test shares: Numba's and NumPy's warnings are errors, MNIST where it is, and a terminal of one size."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import jitnet


def pytest_configure(config: pytest.Config) -> None:
    # This room first: it settles what Numba reads from the environment when it is imported.
    import jitnet.compiler  # noqa: F401

    config.addinivalue_line("filterwarnings", "error::numba.core.errors.NumbaWarning")
    config.addinivalue_line("filterwarnings", "error::RuntimeWarning")
    # Without the compiler NumPy's scalars do the arithmetic, and say so where random numbers wrap round, as they shall.
    wraps = "ignore:overflow encountered in scalar:RuntimeWarning:jitnet.kernels.splitmix"
    config.addinivalue_line("filterwarnings", wraps)


COUNTS = ("states after a crash", "failing calls")
"""What tests of files count, by the names of their properties."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    passed = terminalreporter.stats.get("passed", [])
    counts = {
        name: sum(value for report in passed for key, value in report.user_properties if key == name) for name in COUNTS
    }
    if any(counts.values()):
        terminalreporter.write_line("; ".join(f"{name} that were tried: {count}" for name, count in counts.items()))


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


class Result(NamedTuple):
    """What a command left: its exit code, and what it wrote to standard output and standard error."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def _compiled() -> None:
    """The loop is there: a command that compiles it says so, which is tested where it is meant."""
    from jitnet.engine.loop import load_loop

    load_loop()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, _compiled: None) -> Iterator[Any]:
    """A Dask scheduler with two workers, in processes of their own. A test that kills one starts another."""
    pytest.importorskip("distributed")
    from clusters import Cluster

    with Cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture
def call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, _compiled: None
) -> Callable[..., Result]:
    """Runs the command line in this process, in an empty folder, with no data set but the embedded one."""
    from jitnet.cli import run

    monkeypatch.chdir(tmp_path)
    for name, value in offline(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("JITNET_DATA", raising=False)

    def run_it(*arguments: Any) -> Result:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        return Result(code, *capsys.readouterr())

    return run_it


def offline(folder: Path) -> dict[str, str]:
    """Environment variables under which no data set is found outside `folder`, and no download succeeds."""
    return {"XDG_CACHE_HOME": str(folder / "cache"), "JITNET_MIRROR": "http://127.0.0.1:1"}


def environment(**variables: str) -> dict[str, str]:
    """The environment for a new Python that shall find the package under test, and what it compiled."""
    from jitnet.compiler.cache import cache_folder

    made = {**os.environ, "PYTHONPATH": str(Path(jitnet.__file__).parents[1])}
    # Its own cache folder is found anew, by the same rule; only where that lies is passed on.
    made.pop("NUMBA_CACHE_DIR", None)
    if cache_folder is not None:
        made["JITNET_CACHE"] = str(cache_folder.parent)
    return made | variables
