"""`jitnet profile` on the screen: what each operation of a training step costs, and why."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from jitnet.render.console import BAD, FAINT, WARN, facts
from jitnet.render.tables import Cell, bar, microseconds, table, threads_text

if TYPE_CHECKING:
    from jitnet.profile.records import Profile, Row

__all__ = ["step_profile"]

SHAPES, ROOMY = 100, 180
"""Columns from which shapes and counts have room, and from which a verdict stands beside its row."""

OTHER = (("waiting for the slowest", "waiting_s"), ("starting threads", "starting_s"), ("all else", "rest_s"))
"""What a step takes beside its rows."""

BAR = 24


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


def _facts(console: Console, measured: "Profile") -> None:
    machine, probes, settings = measured.machine, measured.probes, measured.settings
    widths = "-".join(map(str, (settings["in_features"], *settings["hidden"], settings["n_classes"])))
    levels = ", ".join(f"{level.best_gbs:,.0f}" for level in probes.levels)
    plain_us, clocked_us = measured.step_s * 1e6, sorted(measured.clocked_s)[len(measured.clocked_s) // 2] * 1e6
    facts(
        console,
        [
            ("machine", f"{machine.cpu}, {machine.vector_bits}-bit vectors"),
            ("network", f"{widths}, {settings['activation']}, {settings['optimizer']}, batch {settings['batch_size']}"),
            ("data", f"{settings['data']}: {measured.input_reason}"),
            ("threads", f"{measured.threads} ({measured.threads_reason})"),
            ("limits", f"{probes.peak_gflops:,.0f} GFLOP/s; {levels} GB/s from first, second, last cache and memory"),
            ("step", f"{plain_us:.1f} µs; {clocked_us:.1f} with the clock, which costs {_cost(measured)}"),
        ],
    )


def _cost(measured: "Profile") -> str:
    return f"{measured.cost:.1%} ± {measured.cost_error:.1%}"


def _rows(console: Console, measured: "Profile") -> None:
    shapes, roomy = console.width >= SHAPES, console.width >= ROOMY
    rows: list[list[Cell]] = []
    before = None
    for row in measured.rows:
        region, before = str(row.region or "-") if row.region != before else "", row.region
        cells: list[Cell] = [region, row.name if shapes else row.name.replace(" batch", "")]
        cells += [row.shape, f"{row.calls:,}"] if shapes else []
        cells += [microseconds(row.median_s), f"±{row.spread:.0%}", f"{row.share:.0%}", _gflops(row), f"{row.gbs:.1f}"]
        cells += [f"{row.intensity:.2f}" if row.flop else "-"] if shapes else []
        cells += [_roof(row), row.binds]
        rows.append(cells + ([row.verdict] if roomy else []))
    width = 2 + 2 * shapes
    for name, field in OTHER:
        seconds = getattr(measured, field)
        front: list[Cell] = ["", Text(name, style=FAINT), "", ""]
        cells = [*front[:width], microseconds(seconds), "", f"{seconds / measured.step_s:.0%}"]
        rows.append(cells + [""] * (4 + shapes + roomy))
    columns = ["", "operation", *(["shape", "calls"] if shapes else []), "µs", "±", "share", "GFLOP/s", "GB/s"]
    columns += [*(["FLOP/B"] if shapes else []), "roof", "binds", *(["why"] if roomy else [])]
    notes = [
        f"Rows and rest add up to {measured.accounted:.1%} of the step without the clock. µs: median over "
        f"{len(measured.clocked_s)} chunks of steps, ± half the distance between the quartiles; share: in the middle "
        "half of the chunks. Lines of one region run without waiting for each other; next: on the next batch.",
    ]
    if any(row.binds == "latency" for row in measured.rows):
        notes.append(
            "latency: neither arithmetic nor a memory is busy for half the time. The loop waits for single results, or "
            "is over before it is at its pace."
        )
    if any(row.region == 0 for row in measured.rows):
        notes.append("- in front: makes the samples of steps to come, ahead of them.")
    if any(row.skips_zeros for row in measured.rows):
        notes.append("a/b GFLOP/s: done, and with the products by zero that were skipped.")
    if any(row.roof > 1 for row in measured.rows):
        notes.append("* above the roof, which is impossible: a count or the clock is wrong.")
    table(console, columns, rows, title=f"A training step on {threads_text(measured.threads)}", footnotes=notes)


def _verdicts(console: Console, measured: "Profile") -> None:
    rows: list[list[Cell]] = [[row.name, row.verdict] for row in sorted(measured.rows, key=lambda row: -row.share)]
    table(console, ["operation", "why it takes as long as it does, the longest first"], rows)


def _threads(console: Console, measured: "Profile") -> None:
    rows: list[list[Cell]] = []
    for row in measured.threads_rows:
        parts = (row.busy_s, row.waiting_s, row.starting_s, row.joining_s)
        share = row.busy_s / measured.step_s
        rows.append([row.thread, *map(microseconds, parts), f"{share:.0%}", bar(console, share, BAR)])
    columns = ["thread", "busy µs", "waiting", "starting", "joining", "busy", ""]
    table(console, columns, rows, title="Threads, in a mean step")


def _regions(console: Console, measured: "Profile") -> None:
    rows: list[list[Cell]] = []
    for row in measured.regions:
        times = map(microseconds, (row.wall_s, row.busy_s, row.waiting_s, row.starting_s))
        rows.append([row.region, row.parts, *times, Text(row.verdict or "-", style=WARN if row.verdict else FAINT)])
    columns = ["region", "parts", "µs", "busy", "waiting", "starting", "what its threads cost"]
    table(console, columns, rows)


def _gflops(row: "Row") -> str:
    if not row.flop:
        return "-"
    done = f"{row.gflops:.1f}"
    return f"{done}/{row.nominal_flop / row.median_s / 1e9:.0f}" if row.skips_zeros else done


def _roof(row: "Row") -> Text:
    above = row.roof > 1
    return Text(f"{row.roof:.0%}" + "*" * above, style=BAD if above else "")
