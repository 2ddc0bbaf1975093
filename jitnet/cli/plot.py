"""`jitnet plot`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jitnet.cli.command import Command, model_at
from jitnet.cli.common import Quiet, TestData, check_output, evaluated_data_option, write_output
from jitnet.cli.compare import RunArguments
from jitnet.errors import JitnetError, MissingExtra, UsageError

if TYPE_CHECKING:
    from jitnet.model import Committee, Model
    from jitnet.render import Consoles
    from jitnet.runs.run_figure_data import Judged

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """\b
Examples:
  jitnet plot runs/2026-03-14-mnist --out mnist.svg
  jitnet plot @latest --out latest.png
  jitnet plot mnist mnist-2 --out both.pdf
"""

ENDINGS = (".svg", ".png", ".pdf")


@app.command(cls=Command, epilog=EXAMPLES)
def plot(
    runs: RunArguments,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            show_default=False,
            help="Where to write the figure: a name that ends in .svg, .png or .pdf. A file there is replaced.",
        ),
    ],
    data: Annotated[
        str | None,
        evaluated_data_option(
            "Data for the parts that need some, of one run. [default: the data that the model was trained on]"
        ),
    ] = None,
    test_data: TestData = None,
    quiet: Quiet = False,
) -> None:
    """Draw a run, or several, as a figure.

    Of one run: loss, accuracy and learning rate by epoch; on the data that jitnet eval would take the confusion matrix,
    or predicted against true numbers, calibration and the worst mistakes; and the weights of the first layer where
    inputs are images. What the data are needed for is left out, with a notice, where they are missing. Of a
    committee: the curves of its members, and its scores on the data. Of several runs: their curves together.

    Needs matplotlib: pip install matplotlib.
    """
    check_output("--out", out, ENDINGS)
    draw = _drawing(out)
    from jitnet import render
    from jitnet.runs.run_comparison import compare, member_runs, read_curves

    screen = render.consoles(quiet=quiet)
    runs = [model_at(run) for run in runs]
    if len(runs) > 1:
        if data is not None or test_data is not None:
            raise UsageError(
                "--data and --test-data are for the figure of one run, and several are named; leave them out"
            )
        found = compare(runs)
        for notice in found.notices:
            render.notice(render.make_console(sys.stderr), notice)
        write_output("--out", out, draw(found.runs))
    else:
        members = member_runs(runs[0])
        curves = [read_curves(run) for run in members or runs]
        name = f"{runs[0].name}: a committee, and its members' curves" if members else ""
        write_output("--out", out, draw(curves, *_parts(runs[0], data, test_data, screen), name))
    screen.info.print(f"wrote {out}", soft_wrap=True)


def _drawing(path: Path) -> Callable[..., bytes]:
    """The function that draws for a file of this name; MissingExtra, before the work, without matplotlib."""
    try:
        from jitnet.render.run_figure import run_file
    except ImportError as error:
        raise MissingExtra(
            f"--out {path}: drawing needs matplotlib ({error}); install it with: pip install matplotlib"
        ) from None
    kind = path.suffix.lower().removeprefix(".")
    return lambda runs, judged=None, weights=None, name="": run_file(runs, kind, judged, weights, name)


def _parts(path: Path, data: str | None, test_data: Path | None, screen: "Consoles") -> tuple["Judged | None", Any]:
    """What is drawn beside the curves: the model's evaluation, and the weights of its first layer; None for what is
    left out, with a notice that says why."""
    from jitnet.model import load_model
    from jitnet.runs.run_figure_data import first_layer

    try:
        model = load_model(path)
    except JitnetError as error:
        _left_out("weights, scores and mistakes", error)
        return None, None
    try:
        judged = _judged(model, path, data, test_data, screen)
    except JitnetError as error:
        if data is not None or test_data is not None:  # as it was asked for
            raise
        _left_out("scores and mistakes", error)
        judged = None
    return judged, first_layer(model)


def _judged(
    model: "Model | Committee", path: Path, data: str | None, test_data: Path | None, screen: "Consoles"
) -> "Judged":
    from jitnet import render
    from jitnet.runs.evaluated_data import evaluated_data
    from jitnet.runs.run_figure_data import judged

    with render.downloads(screen) as progress:
        found = evaluated_data(model, path, data, test_data, progress)
    if found.changed:
        render.notice(
            render.make_console(sys.stderr), f"{found.dataset.source} has changed since the model was trained on it"
        )
    with render.compiling(screen):
        return judged(model, found)


def _left_out(what: str, error: JitnetError) -> None:
    from jitnet import render

    render.notice(render.make_console(sys.stderr), f"{what} are left out: {error}")
