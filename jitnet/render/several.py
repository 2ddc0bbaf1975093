"""Several runs that belong together on the screen: what each is doing, and their scores, a row a run."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.style import Style
from rich.table import Table
from rich.text import Text

from jitnet.render.console import ACCENT, BAD, FAINT, GOOD, Consoles
from jitnet.render.progress import REFRESH_S
from jitnet.render.tables import Cell, empty_table, same_decimals, table

if TYPE_CHECKING:
    from jitnet.search.engine import Event
    from jitnet.training.history import EpochReport

__all__ = ["WorksView", "scores_of_several"]

HEADS = {"accuracy": "accuracy", "roc_auc": "ROC AUC", "rmse": "RMSE", "mae": "MAE", "r2": "R²", "loss": "loss"}
PERCENT = ("accuracy",)


def scores_of_several(
    console: Console,
    what: str,
    rows: Sequence[tuple[str, Mapping[str, float]]],
    below: Sequence[tuple[str, Mapping[str, float]]] = (),
    details: Mapping[str, Sequence[int | str]] | None = None,
) -> None:
    """A table with a row a run, and a column for each metric of an evaluation.

    what: the head of the first column. rows: name and metrics. below: such rows of all runs together, set off by their
    style. details: further columns by their head, a cell a row, those below included; left out where there is no room.
    """
    every = [*rows, *below]
    styles = [Style()] * len(rows) + [GOOD] * len(below)
    names: list[Cell] = [Text(name, style=style) for (name, _), style in zip(every, styles, strict=True)]
    columns: dict[str, Sequence[Cell]] = {what: names, **dict(details or {})}
    for name in every[0][1]:
        values = [metrics.get(name, math.nan) for _, metrics in every]
        if name in PERCENT:
            shown = [f"{value:.2%}" for value in values]
        else:
            shown = same_decimals(values, one_quantity=True)
        cells = zip(values, shown, styles, strict=True)
        columns[HEADS[name]] = [Text(text, style) if math.isfinite(value) else None for value, text, style in cells]
    lines = list(zip(*columns.values(), strict=True))
    table(console, list(columns), lines, spare=[*(details or {}), "MAE", "ROC AUC"])


class WorksView:
    """Shows several runs that are trained side by side, from an engine's events.

    On a terminal a live table on standard error, a row a run, that disappears at the end; elsewhere a line as each run
    ends. A row has the run's name, how many of its epochs are done, its training loss, its score, and its time.
    """

    def __init__(self, consoles: Consoles, names: Sequence[str], n_epochs: int) -> None:
        self._consoles, self._names, self._n_epochs = consoles, names, n_epochs
        self._reports: dict[str, EpochReport] = {}
        self._states: dict[str, str] = {}
        self._begun: dict[str, float] = {}
        self._seconds: dict[str, float] = {}
        self._live: Live | None = None
        self._drawn_s = 0.0

    def __enter__(self) -> "WorksView":
        console = self._consoles.err
        if console.is_interactive:
            self._live = Live(
                console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
            )
            self._live.start()
            self._draw()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def event(self, event: "Event") -> None:
        """Take what an engine reports."""
        from jitnet.search.engine import Failed, Finished, Reported, Started

        name = event.name
        if isinstance(event, Started):
            self._states[name] = "again" if event.again else "training"
            self._begun[name] = time.perf_counter()
        elif isinstance(event, Reported):
            self._reports[name] = event.report
        elif isinstance(event, Failed):
            self._end(name, "failed")
        elif isinstance(event, Finished):
            outcome = event.outcome
            if outcome.report is not None and outcome.kept is not None:
                self._reports[name] = outcome.report
            self._end(name, "stopped" if outcome.stopped else "done")
        if not isinstance(event, Reported) or time.perf_counter() - self._drawn_s >= REFRESH_S:
            self._draw()

    def _end(self, name: str, state: str) -> None:
        self._states[name] = state
        self._seconds[name] = time.perf_counter() - self._begun.get(name, time.perf_counter())
        if not self._consoles.err.is_interactive:
            cells = [text for text in self._cells(name) if text]
            self._consoles.err.print(Text("  ".join(cells)))

    def _cells(self, name: str) -> list[str]:
        """Name, state, epochs, loss, score and time of a run, in words."""
        report, state = self._reports.get(name), self._states.get(name, "waiting")
        seconds = self._seconds.get(name)
        if seconds is None and name in self._begun:
            seconds = time.perf_counter() - self._begun[name]
        if report is None:
            return [name, state, "", "", "", "" if seconds is None else f"{seconds:.1f} s"]
        part = "test" if report.score("val") is None else "val"
        score = report.score(part)
        watched = {"val": "validation", "test": "test"}[part]
        return [
            name,
            state,
            f"epoch {report.epoch}/{self._n_epochs}",
            f"loss {report.train_loss:.4f}",
            "" if score is None else f"{watched} {report.in_words(score)}",
            f"{seconds:.1f} s",
        ]

    def _draw(self) -> None:
        self._drawn_s = time.perf_counter()
        if self._live is not None:
            self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        console = self._consoles.err
        shown = empty_table(console)
        for head, justify in (("", "left"), ("", "left"), ("", "right"), ("", "right"), ("", "right"), ("", "right")):
            shown.add_column(head, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        shown.show_header = False
        colours = {"done": GOOD, "failed": BAD, "training": ACCENT, "again": ACCENT}
        # What has no room on the screen is left out: those that wait last, and those that are done first.
        room = max(1, console.height - 2)
        names = list(self._names)
        if len(names) > room:
            order = {"training": 0, "again": 0, "": 1}
            names = sorted(names, key=lambda name: order.get(self._states.get(name, ""), 2))[:room]
            names = [name for name in self._names if name in set(names)]
        for name in names:
            cells = self._cells(name)
            style = colours.get(cells[1], FAINT)
            shown.add_row(Text(cells[0], "bold"), Text(cells[1], style), *map(Text, cells[2:]))
        return shown
