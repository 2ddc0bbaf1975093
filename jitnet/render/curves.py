"""How runs went, epoch by epoch, drawn in the terminal: loss and accuracy, of one run or of several in one picture.

What is held out or tested has a solid line, what is trained on a dashed one. Several runs have letters on their lines,
A for held-out or test data and a for training data, so that they can be told apart without colour.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from rich.console import Console
from rich.style import Style
from rich.text import Text

from jitnet.render.charts import Curve, Ends, Panel, chart, panels
from jitnet.render.console import FAINT

__all__ = ["LETTERS", "PART_NAMES", "has_trained", "run_curves", "training_curves", "watched_part"]

Reports = Sequence[Mapping[str, Any]]
"""Of each epoch what metrics.jsonl has of it."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

PART_NAMES = {"val": "validation", "test": "test", "train": "training"}

COLOURS = [Style(color=name) for name in ("cyan", "yellow", "magenta", "green", "blue", "red")]

STEEP = 8
"""Where there are this many epochs, the first of each so many may run off the axis: the others would be a flat line."""

MOST_TRAINED = 4
"""Runs whose curves on training data are drawn too; of more the picture would be full."""


def training_curves(console: Console, reports: Reports) -> None:
    """The loss and the accuracy of a run, on training data beside held-out or test data, in at most 14 lines. Nothing
    for a run of one epoch, and where there is no terminal: the lines of its epochs say the same."""
    if len(reports) < 2 or not console.is_terminal:
        return
    console.print()
    panels(console, _panels(console, [reports]))
    watched = watched_part(reports)
    solid, dashed, ascii_only = "\u2812" * 4, "\u2812 \u2812 ", console.options.ascii_only
    line = Text("  ")
    for style, sample, plain, part in ((COLOURS[0], solid, "**", watched), (FAINT, dashed, "..", "train")):
        if part and (part == "train" or watched):
            line.append(f"{plain if ascii_only else sample} ", style).append(f"{PART_NAMES[part]}   ")
    console.print(line)


def run_curves(console: Console, runs: Sequence[Reports]) -> None:
    """The curves of several runs in one picture of loss and, of classes, accuracy; with letters in the runs' order."""
    panels(console, _panels(console, runs))


def watched_part(reports: Reports) -> str:
    """Which part of the data the curves beside those of training are of: "val" or else "test"; "" where neither is."""
    measured = [part for part in ("val", "test") if any(one.get(f"{part}_loss") is not None for one in reports)]
    return measured[0] if measured else ""


def has_trained(runs: Sequence[Any]) -> bool:
    """Whether curves on training data are drawn of so many runs."""
    return len(runs) <= MOST_TRAINED


def _panels(console: Console, runs: Sequence[Reports]) -> list[Panel]:
    """Loss, and where there is one accuracy."""
    last = max((one["epoch"] for reports in runs for one in reports), default=1)
    drawn: list[Panel] = []
    for measure, title in (("loss", "loss"), ("accuracy", "accuracy, %")):
        curves = [curve for k, reports in enumerate(runs) for curve in _curves(reports, measure, k, len(runs))]
        if any(math.isfinite(y) for curve in curves for y in curve.ys):
            ends = _ends(curves, measure)
            show = partial(chart, console, curves, title=title, x_label="epoch", x_ends=(1, last), y_ends=ends)
            drawn.append(lambda width, show=show: show(width=width))  # type: ignore[misc]
    return drawn


def _curves(reports: Reports, measure: str, place: int, count: int) -> list[Curve]:
    """A run's curves, that of training first, so that the other one is on top."""
    watched, letter = watched_part(reports), LETTERS[place] if count > 1 else ""
    colour = COLOURS[place % len(COLOURS)]
    found = []
    if not watched or has_trained(range(count)):
        style = colour if letter else FAINT
        found.append(_curve(reports, f"train_{measure}", style, letter.lower() or ".", letter.lower(), bool(watched)))
    if watched:
        found.append(_curve(reports, f"{watched}_{measure}", colour, letter or "*", letter, False))
    return found


def _curve(reports: Reports, name: str, style: Style, mark: str, letter: str, dashed: bool) -> Curve:
    values = [one.get(name) for one in reports]
    unit = 100.0 if name.endswith("accuracy") else 1.0
    ys = [math.nan if value is None else unit * value for value in values]
    return Curve([one["epoch"] for one in reports], ys, style, mark, dashed=dashed, letter=letter)


def _ends(curves: Sequence[Curve], measure: str) -> Ends | None:
    """Where the axis ends: around all but the steep beginning of each curve."""
    values, beginning = list[float](), list[float]()
    for curve in curves:
        ys = [y for y in curve.ys if math.isfinite(y)]
        skipped = len(ys) // STEEP
        beginning += ys[:skipped]
        values += ys[skipped:]
    if not values:
        return None
    low, high = min(values), max(values)
    room = 0.1 * (high - low)
    if measure == "loss":
        return (0.0 if low < high / 2 else low), max([high, *(y for y in beginning if y <= high + room)])
    return min([low, *(y for y in beginning if y >= low - room)]), high
