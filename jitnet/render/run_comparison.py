"""Several runs beside each other on the screen: their curves in one picture, and a table."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from jitnet.render.console import facts
from jitnet.render.curves import LETTERS, PART_NAMES, has_trained, run_curves, watched_part
from jitnet.render.run_views import measures, score_in_words, setting_in_words, short_name
from jitnet.render.tables import Cell, table, time_in_words

if TYPE_CHECKING:
    from jitnet.runs.run_comparison import Comparison

__all__ = ["comparison"]


def comparison(console: Console, found: "Comparison") -> None:
    """The curves of runs in one picture with their letters, and a column for each: what differs, scores and times."""
    letters = LETTERS[: len(found.runs)]
    legend: list[tuple[str, str | Text]] = []
    for letter, one in zip(letters, found.runs, strict=True):
        watched = watched_part(one.reports)
        parts = [f"{letter} {PART_NAMES[watched]}"] if watched else []
        if has_trained(found.runs) or not watched:
            parts.append(f"{letter.lower()} training")
        legend.append((f"{', '.join(parts)} ", Text(str(one.record.path), style="bold")))
    facts(console, legend)
    console.print()
    run_curves(console, [one.reports for one in found.runs])
    console.print()
    rows: list[list[Cell]] = [
        [short_name(name, found.differing), *(setting_in_words(one.record.settings.get(name)) for one in found.runs)]
        for name in found.differing
        if name != "data.checksum"
    ]
    for (part, metric), label in measures(one.record for one in found.runs).items():
        of = [
            one.record.score if (one.record.score.part, one.record.score.metric) == (part, metric) else None
            for one in found.runs
        ]
        rows.append([f"best {label}", *(score_in_words(metric, score.best) if score else None for score in of)])
        rows.append(["in epoch", *(f"{score.best_epoch} of {score.epochs}" if score else None for score in of)])
    rows.append(["training time", *(time_in_words(one.record.score.seconds) for one in found.runs)])
    speeds = [one.record.score.steps_per_second for one in found.runs]
    rows.append(["steps a second", *(f"{speed:,.0f}" if speed == speed else None for speed in speeds)])
    for part, name in PART_NAMES.items():
        losses = [one.last_loss(part) for one in found.runs]
        if any(loss is not None for loss in losses):
            rows.append([f"last {name} loss", *(None if loss is None else f"{loss:.4f}" for loss in losses)])
    table(console, ["", *letters], rows)
