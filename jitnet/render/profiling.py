"""`jitnet profile` on the screen: what each operation of a training step costs, and why."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from jitnet.render.console import BAD, FAINT, WARN, facts
from jitnet.render.measurement import IMPOSSIBLE, LATENCY
from jitnet.render.tables import Cell, bar, microseconds, table, threads_text

if TYPE_CHECKING:
    from jitnet.profile.step.step_profile import Profile, Row

__all__ = ["step_profile"]

NAMES, ROOMY = 100, 180
"""Columns from which names have room, and from which a verdict is shown in its row."""

OTHER = (("waiting for the slowest", "waiting_s"), ("starting threads", "starting_s"), ("all else", "rest_s"))
"""What a step spends outside its rows."""

BAR = 24

COLUMNS = ("operation", "shape", "calls", "µs", "±", "share", "GFLOP/s", "GB/s", "FLOP/B", "roof", "bound by")
SPARE = ("calls", "shape", "FLOP/B", "GB/s", "±", "GFLOP/s", "roof", "bound by")
"""The columns of rows, and those that a narrow terminal leaves out, in this order."""


def step_profile(console: Console, measured: "Profile") -> None:
    """The whole profile of a step on one count of threads."""
    _facts(console, measured)
    console.print()
    _rows(console, measured)
    if console.width < ROOMY:
        console.print()
        _verdicts(console, measured)
    console.print()
    _threads(console, measured)
    if any(region.parts > 1 for region in measured.regions):
        console.print()
        _regions(console, measured)
    if measured.prediction:
        console.print()
        _prediction(console, measured)


def _facts(console: Console, measured: "Profile") -> None:
    probes, settings = measured.probes, measured.settings
    levels = ", ".join(f"{level.best_gbs:,.0f}" for level in probes.levels)
    facts(
        console,
        [
            ("machine", measured.machine_text),
            ("network", measured.network_text),
            ("data", f"{settings['data']}: {measured.input_reason}"),
            ("threads", f"{measured.threads} ({measured.threads_reason})"),
            ("limits", f"{probes.peak_gflops:,.0f} GFLOP/s; {levels} GB/s from first, second, last cache and memory"),
            ("step", f"{measured.step_s * 1e6:,.4g} µs; {_clocked(measured)}"),
        ],
    )


def _clocked(measured: "Profile") -> str:
    """What a step takes with the clock, and what that costs where it is measurable."""
    cost = f"{measured.cost:.1%} ± {measured.cost_error:.1%}"
    if measured.cost <= measured.cost_error:
        return f"no measurable cost of the clock ({cost})"
    return f"{measured.clocked_step_s * 1e6:,.4g} with the clock, which costs {cost}"


def _rows(console: Console, measured: "Profile") -> None:
    roomy = console.width >= ROOMY
    rows: list[list[Cell]] = []
    before = None
    for row in measured.rows:
        region, before = str(row.region or "-") if row.region != before else "", row.region
        rows.append([region, *_cells(console, row), *([row.verdict] if roomy else [])])
    for name, field in OTHER:
        seconds = getattr(measured, field)
        cells: list[Cell] = [
            "",
            Text(name, style=FAINT),
            "",
            "",
            microseconds(seconds),
            "",
            f"{seconds / measured.step_s:.0%}",
        ]
        rows.append(cells + [""] * (5 + roomy))
    notes = [
        f"Rows and rest add up to {measured.accounted:.1%} of the step without the clock. µs: median over "
        f"{len(measured.clocked_s)} chunks of steps, ± half the distance between the quartiles; share: in the middle "
        "half of the chunks. Lines of one region run without waiting for each other; next: on the next batch.",
    ]
    if any(row.binds == "latency" for row in measured.rows):
        notes.append(LATENCY)
    if any(row.region == 0 for row in measured.rows):
        notes.append("- in front: makes the samples of later steps in advance.")
    if any(row.skips_zeros for row in measured.rows):
        notes.append("a/b GFLOP/s: computed, and with the products by zero that were skipped.")
    if any(row.roof > 1 for row in measured.rows):
        notes.append(IMPOSSIBLE)
    table(
        console,
        ["", *COLUMNS, *["why"] * roomy],
        rows,
        title=f"A training step on {threads_text(measured.threads)}",
        footnotes=notes,
        prose=["why"],
        spare=SPARE,
    )


def _cells(console: Console, row: "Row") -> list[Cell]:
    """A row under COLUMNS."""
    cells: list[Cell] = [_name(console, row.name), row.shape, f"{row.calls:,}"]
    cells += [microseconds(row.median_s), f"±{row.spread:.0%}", f"{row.share:.0%}", _gflops(row), f"{row.gbs:.1f}"]
    return [*cells, f"{row.intensity:.2f}" if row.flop else "-", _roof(row), row.binds]


def _prediction(console: Console, measured: "Profile") -> None:
    parts = measured.prediction[0].parts
    table(
        console,
        COLUMNS,
        [_cells(console, row) for row in measured.prediction],
        title=f"Predicting {measured.predicted:,} samples on {threads_text(parts)}: a batch of "
        f"{measured.prediction[0].shape.split('×')[0]}",
        footnotes=["Each thread takes whole batches and waits for no other. share: of the whole prediction."],
        spare=SPARE,
    )


def _name(console: Console, name: str) -> str:
    """A row's name, shorter where there is little room."""
    return name if console.width >= NAMES else name.replace(" batch", "")


def _verdicts(console: Console, measured: "Profile") -> None:
    rows: list[list[Cell]] = [
        [_name(console, row.name), row.verdict] for row in sorted(measured.rows, key=lambda row: -row.share)
    ]
    why = "why it takes as long as it does, the longest first"
    table(console, ["operation", why], rows, prose=[why])


def _threads(console: Console, measured: "Profile") -> None:
    rows: list[list[Cell]] = []
    for row in measured.threads_rows:
        parts = (row.busy_s, row.waiting_s, row.starting_s, row.joining_s)
        share = row.busy_s / measured.step_s
        rows.append([row.thread, *map(microseconds, parts), f"{share:.0%}", bar(console, share, BAR)])
    columns = ["thread", "busy µs", "waiting", "starting", "joining", "busy", ""]
    table(console, columns, rows, title="Threads, in a mean step", spare=["", "joining", "starting"])


def _regions(console: Console, measured: "Profile") -> None:
    rows: list[list[Cell]] = []
    for row in measured.regions:
        times = map(microseconds, (row.wall_s, row.busy_s, row.waiting_s, row.starting_s))
        rows.append([row.region, row.parts, *times, Text(row.verdict or "-", style=WARN if row.verdict else FAINT)])
    cost = "what its threads cost"
    columns = ["region", "parts", "µs", "busy", "waiting", "starting", cost]
    table(console, columns, rows, prose=[cost], spare=["starting", "waiting", "busy", "parts"])


def _gflops(row: "Row") -> str:
    if not row.flop:
        return "-"
    computed = f"{row.gflops:.1f}"
    return f"{computed}/{row.nominal_flop / row.median_s / 1e9:.0f}" if row.skips_zeros else computed


def _roof(row: "Row") -> Text:
    above = row.roof > 1
    return Text(f"{row.roof:.0%}" + "*" * above, style=BAD if above else "")
