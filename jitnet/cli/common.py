"""What several commands share: their options, and the one document of `--json`."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote
from threading import Thread
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

import typer

from jitnet.bench.figures import all_counts
from jitnet.cli.command import DATA_NAMES, expect_data, expect_model
from jitnet.config.checking import any_of
from jitnet.errors import ModelError, OutputError, UsageError

if TYPE_CHECKING:
    from jitnet.model import AnyModel
    from jitnet.search.engine import Engine

__all__ = [
    "DATA",
    "KINDS",
    "MODEL_HELP",
    "OUTPUT",
    "RUN_HELP",
    "Background",
    "ConfigOption",
    "DataArgument",
    "DataOption",
    "Group",
    "Ignore",
    "Json",
    "ModelPath",
    "On",
    "Quiet",
    "RecipeOption",
    "Target",
    "Task",
    "TestData",
    "Time",
    "Weight",
    "check_output",
    "columns_named",
    "data_names",
    "engine_on",
    "evaluated_data_option",
    "interrupts",
    "parse_share",
    "parse_threads",
    "predicting",
    "print_json",
    "recipe_completion",
    "write_output",
]

Value = TypeVar("Value")

DATA, OUTPUT = "Data", "Output"
"""Headings of `--help` for what several commands share; commands without headings ignore them."""

KINDS = (
    "mnist, fashion-mnist, digits, a folder of IDX files, a .safetensors or .npz file, or a table: .csv, .tsv or "
    ".parquet, gzipped too"
)


def data_names(incomplete: str) -> list[str]:
    """Completion of a data set's name; paths are left to the shell."""
    return [name for name in DATA_NAMES if name.startswith(incomplete)]


def recipe_completion(incomplete: str) -> list[str]:
    """Completion of a recipe's name."""
    from jitnet.config import recipe_names

    return [name for name in recipe_names() if name.startswith(incomplete)]


DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="NAME-OR-PATH",
        show_default=False,
        autocompletion=data_names,
        callback=expect_data,
        help=f"What to train on: {KINDS}. A name is searched in $JITNET_DATA, ./data and the cache folder, then "
        "downloaded. [default: mnist; digits where mnist is unavailable]",
        rich_help_panel=DATA,
    ),
]


def evaluated_data_option(help: str) -> Any:
    """The option for data to evaluate a model on. help: what they are for, and which they are by default."""
    return typer.Option("--data", metavar="NAME-OR-PATH", show_default=False, callback=expect_data, help=help)


DataArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME-OR-PATH",
        show_default=False,
        autocompletion=data_names,
        callback=expect_data,
        help=f"One of {KINDS}.",
    ),
]
TestData = Annotated[
    Path | None,
    typer.Option(
        "--test-data",
        metavar="PATH",
        show_default=False,
        help="Data to test on, in place of the data set's test part. Without such data a fifth of a table's rows is "
        "held out.",
        rich_help_panel=DATA,
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="COLUMNS",
        show_default=False,
        help="The column of a table to predict, by name or number (from 1); or several, separated by commas: numbers, "
        "or columns of yes and no. [default: the one called target, label, class or y, else the first]",
        rich_help_panel=DATA,
    ),
]
Task = Annotated[
    str,
    typer.Option(
        "--task",
        metavar="TEXT",
        help="Whether what is predicted are classes or numbers: auto, classify or regress. auto takes words, true and "
        "false, and few different whole numbers as classes, and prints what it took and why.",
        rich_help_panel=DATA,
    ),
]
Group = Annotated[
    str | None,
    typer.Option(
        "--group",
        metavar="COLUMN",
        show_default=False,
        help="A column of a table, a person or a place for example: rows with the same value in it are trained on "
        "together or held out together. It is not predicted from.",
        rich_help_panel=DATA,
    ),
]
Time = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="COLUMN",
        show_default=False,
        help="A column of a table with dates or numbers: where rows are held out, these are the latest.",
        rich_help_panel=DATA,
    ),
]
Weight = Annotated[
    str | None,
    typer.Option(
        "--weight",
        metavar="COLUMN",
        show_default=False,
        help="A column of a table that says how much a row counts, beside the others. Numbers of 0 or more.",
        rich_help_panel=DATA,
    ),
]
Ignore = Annotated[
    str | None,
    typer.Option(
        "--ignore",
        metavar="COLUMNS",
        show_default=False,
        help="Columns of a table to leave out, by name or number, separated by commas.",
        rich_help_panel=DATA,
    ),
]
RUN_HELP = (
    "a run folder; the name of a run in runs, or the beginning of it, with or without the date; or @latest, the newest "
    "run there, and FOLDER/@latest, the newest in another folder"
)
MODEL_HELP = f"A .safetensors file; {RUN_HELP}."
ModelPath = Annotated[
    Path, typer.Argument(metavar="MODEL-OR-RUN", show_default=False, callback=expect_model, help=MODEL_HELP)
]
RecipeOption = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="NAME-OR-FILE",
        autocompletion=recipe_completion,
        help="Start from a named set of options, or from one in a TOML file of yours; those that are typed as well "
        "override it. seed and seed-readme repeat the Rust original as its code and as its README has it.",
        rich_help_panel="Training",
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE-OR-RUN",
        show_default=False,
        help="Read options from a TOML file, by their names without dashes in front, as in lr = 0.1; paths in it "
        "are relative to it. Or repeat a run: name its folder, its config.json, the run in runs, or @latest. Options "
        "that are typed as well override it, --recipe too.",
        rich_help_panel="Training",
    ),
]
LOCAL = "local"
On = Annotated[
    str,
    typer.Option(
        "--on",
        metavar="local|dask://HOST:PORT",
        help="Where runs train that are side by side: local, in processes on this machine, or as tasks of the workers "
        "of the Dask scheduler at this address, on any machines, one thread each. Data must be on each worker, by the "
        "same name or path. Results are the same, and in the same folders here. Dask needs pip install distributed.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output, and nothing else there.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress: only results, notices and errors.")]


def engine_on(on: str, workers: int = 0) -> "Engine":
    """Return the engine that `--on` names. workers: how many runs at a time; 0 is one for each core, or for each thread
    of a cluster. UsageError for another value; the other errors of `Dask`."""
    from jitnet import render

    if on == LOCAL:
        from jitnet.search.local import Local

        return Local(workers)
    from jitnet.search.on_dask import Dask

    return Dask(on, workers, lambda line: render.notice(render.make_console(sys.stderr), line))


def columns_named(
    target: str | None, group: str | None, time: str | None, weight: str | None, ignore: str | None
) -> dict[str, Any]:
    """The columns of a table that options name, as `load` takes them; lists are split at commas."""
    lists = {
        name: [part.strip() for part in text.split(",") if part.strip()]
        for name, text in (("target", target), ("ignore", ignore))
        if text is not None
    }
    return {**lists, "group": group, "time": time, "weight": weight}


def print_json(document: Any) -> None:
    """The one document of `--json`."""
    from jitnet.runs import as_json

    print(as_json(document, indent=2))


def check_output(option: str, path: Path | None, endings: Sequence[str]) -> None:
    """Check, before the work, that a file can be written; UsageError for another ending of its name, else OutputError.

    An existing file keeps its content, and a missing one is not created. path: None where not typed.
    """
    if path is None:
        return
    if path.suffix.lower() not in endings:
        raise UsageError(f"{option}: expected a name that ends in {any_of(endings)}, found {str(path)!r}")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise OutputError(f"{option} {path}: cannot be written: the folder {folder} does not exist; make it first")
    from jitnet.files import check_writable

    try:
        check_writable(path)
    except OSError as error:
        raise _cannot_write(option, path, error) from None


def write_output(option: str, path: Path, content: str | bytes) -> None:
    """Write a file, whole or not at all: bytes as they are, or text that ends with a newline; OutputError names the
    option."""
    from jitnet.files import write_whole

    try:
        write_whole(path, content if isinstance(content, bytes) else f"{content}\n".encode())
    except OSError as error:
        raise _cannot_write(option, path, error) from None


def _cannot_write(option: str, path: Path, error: OSError) -> OutputError:
    reason = (error.strerror or str(error)).lower()
    return OutputError(f"{option} {path}: cannot be written: {reason}; choose another place")


class Background(Generic[Value]):
    """A call in a background thread, which starts at once; where the main thread ends first, it is dropped.

    The interpreter switches threads more often meanwhile: a thread that leaves C code, of unpacking or linking for
    example, waits up to a switch interval to go on.
    """

    def __init__(self, call: Callable[[], Value]) -> None:
        self._call = call
        self._outcome: Value | BaseException
        sys.setswitchinterval(0.0002)
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome = self._call()
        except BaseException as error:
            self._outcome = error

    def result(self) -> Value:
        """The call's return value, once it is done; raises what it raised."""
        self._thread.join()
        sys.setswitchinterval(0.005)
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome


def parse_threads(text: str | None, cores: int, affinity: int) -> tuple[int, ...]:
    """The counts that `--threads` names: "1,2,4", "all", or 1 and all cores where nothing is named; sorted.

    all: every count up to 4, then powers of two, and the number of cores. UsageError for what is not a count, or above
    the cores that this process may use.
    """
    if text is None:
        return tuple(sorted({1, cores}))
    if text.strip() == "all":
        return all_counts(cores)
    counts = set()
    for part in text.split(","):
        if not part.strip().isascii() or not part.strip().isdigit() or not int(part):
            raise UsageError(
                f"--threads: expected all, or whole numbers from 1 to {affinity}, separated by commas, found {text!r}"
            )
        if int(part) > affinity:
            raise UsageError(f"--threads: {int(part)} is above the {affinity} cores that this process may use")
        counts.add(int(part))
    return tuple(sorted(counts))


def parse_share(text: str) -> float:
    """ "10%" or "10" as 0.1, for --fail-above; UsageError for anything but a percentage from 0 to 1000.

    A fraction, as 0.1 without a sign, is taken for a mistake.
    """
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 1000:
        raise UsageError(f"--fail-above: expected a percentage from 0 to 1000, 10% for example, found {text!r}")
    if 0 < percent < 1 and not text.strip().endswith("%"):
        raise UsageError(f"--fail-above {text.strip()} is below one percent; did you mean {100 * percent:g}%?")
    return percent / 100


def predicting(model: "AnyModel", folder: Path) -> list[str]:
    """The command that predicts with a model of a table, or one that takes pictures; nothing where it is neither."""
    from jitnet.pictures.recognition import check_takes_pictures

    if model.preparation is not None:
        return [f"jitnet predict {quote(str(folder))} ROWS.csv"]
    with suppress(ModelError):
        check_takes_pictures(model)
        return [f"jitnet predict {quote(str(folder))} FILE"]
    return []


@contextmanager
def interrupts(request_stop: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C request a stop and raise nothing, however often."""

    def ask(signal_number: int, frame: FrameType | None) -> None:
        request_stop()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
