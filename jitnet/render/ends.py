"""What a training would take, and the range test of the learning rate: `jitnet train --dry-run` and `--find-lr`."""

import math
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from jitnet.render.charts import Curve, chart
from jitnet.render.console import ACCENT, FAINT, facts, say
from jitnet.render.drawing import page
from jitnet.render.tables import Cell, size_in_words, table

if TYPE_CHECKING:
    from jitnet.runs.dry_run import Estimate
    from jitnet.training.range_test import RangeTest

__all__ = ["estimate", "range_test"]

WIDEST = 80  # columns of the curve


def estimate(console: Console, found: "Estimate") -> None:
    """The time and the memory of a training, each a small table."""
    evaluation_s, saving_s = (found.epochs * each for each in (found.evaluation_s, found.saving_s))
    console.print()
    times: list[list[Cell]] = [
        ["steps", f"{found.steps:,}", _time(found.step_s), _time(found.steps * found.step_s)],
        ["evaluations", f"{found.epochs:,}", _time(found.evaluation_s), _time(evaluation_s)],
        ["saved models", f"{found.epochs:,}", _time(found.saving_s), _time(saving_s)],
        [Text("training", "bold"), "", "", Text(_time(found.seconds), "bold")],
    ]
    threads = f"on {found.threads} thread{'s' * (found.threads != 1)}"
    table(console, ["time", "count", "each", "in all"], times, footnotes=[f"By some steps of a copy, {threads}."])
    console.print()
    sizes: list[list[Cell]] = [[name, size_in_words(count)] for name, count in found.memory.items()]
    sizes.append([Text("process", "bold"), Text(size_in_words(found.memory_bytes), "bold")])
    table(console, ["memory", "size"], sizes)
    console.print()
    say(console, "Nothing was trained or written: leave out --dry-run to train.", FAINT)


def _time(seconds: float) -> str:
    """A time with its unit: 410 µs, 3.08 ms, 12.5 s, 5m30s."""
    from jitnet.runs.time_limit import time_in_words

    if seconds >= 60.0:
        return time_in_words(seconds)
    size, unit = next(((size, unit) for size, unit in ((1.0, "s"), (1e-3, "ms")) if seconds >= size), (1e-6, "µs"))
    return f"{seconds / size:.3g} {unit}"


def range_test(console: Console, found: "RangeTest", optimizer: str, command: str) -> None:
    """The smoothed training loss over the logarithm of the learning rate, the suggestion, and how to train with it."""
    say(console, f"training loss over the learning rate, {optimizer}", "bold")
    xs = [math.log10(rate) for rate in found.rates]
    top = max(found.smoothed[0], *found.smoothed[: found.smoothed.index(min(found.smoothed)) + 1]) * 1.1
    ends = (min(found.smoothed), top)
    mark = math.log10(found.suggestion)
    curves = [Curve([mark, mark], list(ends), FAINT, mark="|"), Curve(xs, found.smoothed, ACCENT)]
    width = min(page(console), WIDEST)
    for line in chart(console, curves, x_label="logarithm of the rate, base 10", y_ends=ends, width=width, height=12):
        console.print(line)
    steps = f"{len(found.rates)} of {found.steps}" if found.ended else f"{found.steps}"
    facts(
        console,
        [
            ("suggestion", Text.assemble((f"{found.suggestion:g}", "bold green"), ", where the loss falls fastest")),
            ("least loss", f"at {found.least:.2g}: a larger rate would be too large"),
            ("steps", f"{steps}{f': {found.ended}' if found.ended else ''}; on a copy, nothing was kept"),
        ],
    )
    console.print()
    console.print(Text("Next:", style=FAINT))
    console.print(Text(f"  {command}", style=ACCENT), soft_wrap=True)
