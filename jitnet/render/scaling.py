"""How a step scales with threads, on the screen."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.style import Style
from rich.text import Text

from jitnet.render.console import WARN, say
from jitnet.render.tables import Cell, microseconds, table

if TYPE_CHECKING:
    from jitnet.profile.step.scaling import Scaling, ScalingRow

__all__ = ["scaling_table"]


def scaling_table(console: Console, found: "Scaling") -> None:
    """A row for each operation with its time on each count of threads, and a sentence on what limits the scaling."""
    counts = found.threads
    rows: list[list[Cell]] = []
    for row in (*found.rows, found.step):
        stops = row is found.stops
        style = WARN if stops else Style(bold=True) if row is found.step else Style()
        shape: Cell = row.shape or "-"
        times_us: list[Cell] = ["-" if time_s is None else microseconds(time_s) for time_s in row.times_s]
        rows.append([Text(row.name + " <" * stops, style=style), shape, *times_us, *_speed_up_cells(row)])
    times = [f"µs on {counts[0]}", *(f"on {count}" for count in counts[1:])]
    columns = ["operation", "shape", *times, "speed-up", "efficiency", "lost µs"]
    notes = [
        f"Speed-up, efficiency and loss: on {counts[-1]} threads against {counts[0]}. Lost: above an even share of the "
        f"time on {counts[0]}. < limits the step most.",
        "An operation's time is the mean over its threads; the step is timed without a clock.",
    ]
    spare = ["shape", "efficiency", *times[1:-1], "speed-up"]
    table(console, columns, rows, title="How the step scales with threads", footnotes=notes, spare=spare)
    say(console, found.verdict)


def _speed_up_cells(row: "ScalingRow") -> list[Cell]:
    speed_up, efficiency = row.speed_up, row.efficiency
    return [
        "-" if speed_up is None else f"{speed_up:.2f}x",
        "-" if efficiency is None else f"{efficiency:.0%}",
        f"{row.lost_s * 1e6:+.1f}",
    ]
