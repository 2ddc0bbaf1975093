"""The command line: parse, call, render, exit code.

    0    done                              3    bench --fail-above: a row is slower than in the baseline
    1    a known error, one line           4    train --target-acc: the epochs ended below it, the model is kept
    2    usage: an option that cannot be   130  stopped by Ctrl-C, with the model so far kept
                                           141  the reader of a pipe has closed it, as `head` does

Results go to standard output; progress, notices and errors go to standard error. Numba and NumPy are imported inside
the commands, so that `--help` and `--version` print at once.
"""

import gc
import os
import re
import signal
import sys
import threading
import warnings
from _thread import interrupt_main
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import jitnet
from jitnet.cli.streams import ReaderLeft, guarded_streams
from jitnet.errors import JitnetError

__all__ = ["app", "main", "run"]

COMMANDS = {
    "train": ("jitnet.cli.train", "Train a network, show how it learns, and save it."),
    "eval": ("jitnet.cli.evaluate", "Evaluate a model on a data set."),
    "predict": ("jitnet.cli.predict", "Predict what is in a picture, or the rows of a table."),
    "runs": ("jitnet.cli.runs", "List past runs: scores, times, and how they differ."),
    "compare": ("jitnet.cli.compare", "Show the curves of several runs in one picture, and how they differ."),
    "plot": ("jitnet.cli.plot", "Draw a run, or several, as a figure: SVG, PNG or PDF."),
    "cv": ("jitnet.cli.cv", "Estimate by cross-validation how well a network does on other data."),
    "committee": ("jitnet.cli.committee", "Make one model of several, whose predictions are averaged."),
    "sweep": ("jitnet.cli.sweep", "Search the settings with which a network learns best."),
    "bench": ("jitnet.cli.bench", "Measure what each loop costs on this machine."),
    "profile": ("jitnet.cli.profile", "Show what each loop costs, and why: jitnet's, or your own."),
    "data": ("jitnet.cli.data", "List, fetch, describe and convert data sets."),
}
"""Each command's module, whose `app` it is, and its line in the list of commands."""

NUMBA_VARIABLE = (
    r"(?s)Environment variable '(NUMBA_\w+)' is defined but its associated value '(.*)' could not be parsed"
)
"""What Numba warns of as it is imported, with a traceback; it would then use the default."""

NO_THREADS = "Number of threads specified must be > 0."
"""What Numba raises for NUMBA_NUM_THREADS=0."""


class _Commands(TyperGroup):
    """Imports a command's module when the command is called: setting up its options takes the longest."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name in COMMANDS:
            command = typer.main.get_command(import_module(COMMANDS[name][0]).app)
        return name, command, rest


app = typer.Typer(
    name="jitnet",
    cls=_Commands,
    invoke_without_command=True,
    rich_markup_mode=None,  # help is plain text: it appears at once, and reads the same in a pipe
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start here: jitnet train",
)
for _name, (_, _line) in COMMANDS.items():
    app.command(_name, short_help=_line)(lambda: None)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"jitnet {jitnet.__version__}")
        raise typer.Exit


@app.callback()
def _jitnet(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Train fully connected networks on a CPU, in explicit loops that a person can read.

    Reads MNIST, Fashion-MNIST, and your own data; needs no network connection to start: small digits are built in.
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line on `arguments` (those of the process where None) and leave with its exit code."""
    sys.unraisablehook = _interrupt_again
    try:
        code = run(sys.argv[1:] if arguments is None else arguments)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done: a Ctrl-C on the way out changes nothing
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _interrupt_again(found: "sys.UnraisableHookArgs") -> None:
    """Repeat a Ctrl-C that came while Python was in a finalizer or a callback of a weak reference, where it is printed
    and lost; leave other errors there to Python."""
    if not issubclass(found.exc_type, KeyboardInterrupt):
        return sys.__unraisablehook__(found)
    again = threading.Timer(0.01, interrupt_main)  # later: here it would be lost again
    again.daemon = True
    again.start()


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; known errors become one line on standard error."""
    with guarded_streams():
        return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    # Imports and loaded code are a million objects that are never freed: collecting garbage among them takes a tenth
    # of a start. `jitnet train` collects again once its loops are loaded.
    collecting = gc.isenabled()
    gc.disable()
    warnings.filterwarnings("error", NUMBA_VARIABLE, RuntimeWarning)
    try:
        code = app(list(arguments), prog_name="jitnet", standalone_mode=False)
        sys.stdout.flush()
    except JitnetError as error:
        return _fail(_in_options(error), error.exit_code)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "jitnet"
        return _fail(f"{_one_line(error.format_message())} (see {command} --help)", error.exit_code)
    except KeyboardInterrupt:
        return 130
    except ReaderLeft as error:
        return error.exit_code
    except (RuntimeWarning, ValueError) as error:
        refused = _of_numba(error)
        if not refused:
            raise
        return _fail(refused, 2)
    except MemoryError:
        return _fail("out of memory: use a smaller network, batch or data set", 1)
    finally:
        if collecting:
            gc.enable()
    return code if isinstance(code, int) else 0


def _of_numba(error: Exception) -> str:
    """Return a line about a variable that Numba could not read as it was imported; "" for other errors."""
    unread = re.match(NUMBA_VARIABLE, str(error))
    if unread is not None:
        reason = str(error).rstrip().rpartition("\n")[2].partition(": ")[2]
        return f"{unread[1]}={unread[2]}: Numba cannot read this value ({reason}); correct it, or unset it"
    if str(error) == NO_THREADS:
        count = os.environ.get("NUMBA_NUM_THREADS", "")
        return f"NUMBA_NUM_THREADS={count}: expected a count of 1 or more; correct it, or unset it"
    return ""


def _fail(message: str, code: int) -> int:
    from jitnet import render

    render.error(message)
    return code


def _in_options(error: JitnetError) -> str:
    """An error's message, with options in place of a config's fields."""
    if not error.marked:
        return str(error)
    from jitnet.cli.options import OPTION_NAMES

    of_columns = ("target", "group", "time", "weight", "ignore")
    typed = ("data", "test_data", *of_columns, "task", "recipe", "folds", "workers", "on", "time_limit")
    return error.named({**OPTION_NAMES, **{name: "--" + name.replace("_", "-") for name in typed}})


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text[0].lower() + text[1:].removesuffix(".")
