"""`jitnet runs`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jitnet.cli.command import Command
from jitnet.cli.common import Json, print_json
from jitnet.config.checking import any_of
from jitnet.errors import UsageError
from jitnet.runs.listing import BASE, differences, list_runs, matches, sort_runs

if TYPE_CHECKING:
    from jitnet.runs.listing import RunRecord

__all__ = ["app", "document_of"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """\b
Examples:
  jitnet runs
  jitnet runs --sort score --limit 5
  jitnet runs --match "mnist optimizer=adam"
  jitnet runs experiments --json
"""

SORTS = ("date", "score", "time")

LISTED = 20


@app.command(cls=Command, epilog=EXAMPLES)
def runs(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="[FOLDER]",
            show_default=False,
            help="The folder that holds the runs. Folders of runs inside it, those of a sweep for example, are listed "
            "too. [default: runs]",
        ),
    ] = BASE,
    sort: Annotated[
        str,
        typer.Option(
            "--sort",
            metavar="TEXT",
            autocompletion=lambda incomplete: [name for name in SORTS if name.startswith(incomplete)],
            help="What is first: date, the newest; score, the best, accuracies before losses; time, the longest "
            "training.",
        ),
    ] = "date",
    match: Annotated[
        str | None,
        typer.Option(
            "--match",
            metavar="TEXT",
            show_default=False,
            help="List only runs that have all of these words in their name, data or state. A word such as "
            "optimizer=adam is a setting and its value.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=0,
            metavar="NUMBER",
            show_default=False,
            help=f"List so many at most. A whole number of 0 or more; 0 lists all. [default: {LISTED}, and all with "
            "--json]",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List past runs, the newest first: name, date, data, best score, epochs, time, whether each ended, and the
    settings in which they differ: the most informative ones that there is room for; --json has all.

    The score is the accuracy, or the loss where numbers are predicted: on held-out data, or else on test data. A folder
    that cannot be read is listed with what is wrong.
    """
    from jitnet import render

    if sort not in SORTS:
        raise UsageError(f"--sort: expected {any_of(SORTS)}, found {sort!r}")
    if match is not None and not match.strip():
        raise UsageError("--match is empty; expected words of a run's name, data or state, or a setting and its value")
    if folder != BASE and not folder.exists():
        raise UsageError(f"{folder}: there is no such folder; expected one that holds runs")
    screen = render.consoles(json)
    everything = list_runs(folder)
    found = everything if match is None else [one for one in everything if matches(one, match.split())]
    if sort != "date":
        found = sort_runs(found, sort)
    limit = (0 if json else LISTED) if limit is None else limit
    shown = found[:limit] if limit else found
    differing = differences(shown)
    if json:
        records = [document_of(one, differing) for one in shown]
        print_json({"folder": folder, "n_runs": len(found), "differing": differing, "runs": records})
    elif shown:
        render.run_list(screen.out, shown, differing, len(found) - len(shown))
    elif everything:
        render.notice(screen.out, f"none of the {len(everything):,} runs in {folder} matches {match!r}")
    else:
        render.notice(
            screen.out, f"there are no runs in {folder}; jitnet train makes one in {BASE}, or where --out says"
        )


def document_of(one: "RunRecord", settings: list[str]) -> dict[str, Any]:
    """A run in a document of --json, with these of its settings."""
    score = one.score
    return {
        "run": one.path,
        "name": one.name,
        "started": one.started.isoformat(),
        "state": one.state,
        "problem": one.problem or None,
        "data": one.data or None,
        "metric": score.metric,
        "part": score.part,
        "best": score.best,
        "best_epoch": score.best_epoch,
        "epochs": score.epochs,
        "n_epochs": one.n_epochs,
        "seconds": score.seconds,
        "steps_per_second": score.steps_per_second,
        "outcome": one.result.get("outcome"),
        "kept": one.result.get("kept"),
        "settings": {name: one.settings[name] for name in settings if name in one.settings},
    }
