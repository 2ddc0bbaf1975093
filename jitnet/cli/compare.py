"""`jitnet compare`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jitnet.cli.command import Command, model_at
from jitnet.cli.common import RUN_HELP, Json, print_json
from jitnet.cli.runs import document_of
from jitnet.errors import UsageError

if TYPE_CHECKING:
    from jitnet.runs.run_comparison import Comparison

__all__ = ["RunArguments", "app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """\b
Examples:
  jitnet compare runs/2026-03-14-mnist @latest
  jitnet compare mnist mnist-2 mnist-3
  jitnet compare mnist mnist-2 --json
"""


RunArguments = Annotated[
    list[Path], typer.Argument(metavar="RUN", show_default=False, help=f"{RUN_HELP[0].upper()}{RUN_HELP[1:]}.")
]


@app.command(cls=Command, epilog=EXAMPLES)
def compare(runs: RunArguments, json: Json = False) -> None:
    """Show the curves of several runs in one picture, loss and accuracy by epoch, and below what differs in their
    settings, best scores, times, speed and last losses.

    Capital letters are on the curves of held-out or test data, small ones on those of training, which are drawn of up
    to four runs. The first of many epochs may run off the picture, so that the others can be told apart. Runs that
    predict classes are not compared with runs that predict numbers.
    """
    from jitnet import render
    from jitnet.runs.run_comparison import compare as compare_

    if not 2 <= len(runs) <= len(render.LETTERS):
        few = len(runs) < 2
        what = "name a second run; jitnet runs lists them" if few else f"name at most {len(render.LETTERS)}"
        raise UsageError(f"expected several runs to compare, found {len(runs)}; {what}")
    screen = render.consoles(json)
    found = compare_([model_at(run) for run in runs])
    for notice in found.notices:
        render.notice(render.make_console(sys.stderr), notice)
    if json:
        print_json(_document(found))
    else:
        render.comparison(screen.out, found)


def _document(found: "Comparison") -> dict[str, Any]:
    return {
        "differing": found.differing,
        "notices": found.notices,
        "runs": [
            {
                **document_of(one.record, list(found.differing)),
                "last_train_loss": one.last_loss("train"),
                "last_val_loss": one.last_loss("val"),
                "last_test_loss": one.last_loss("test"),
                "final_test": one.record.result.get("final_test"),
                "reports": one.reports,
            }
            for one in found.runs
        ],
    }
