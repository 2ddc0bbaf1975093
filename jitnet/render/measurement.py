"""`jitnet bench` on the screen: the machine's limits, kernels, counts of threads, the ladder, NumPy."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jitnet.config import layers_in_words
from jitnet.render.console import ACCENT, BAD, FAINT, GOOD, WARN, Consoles, facts, say
from jitnet.render.factors import STYLES, between, times
from jitnet.render.tables import Cell, bar, microseconds, table, threads_text

if TYPE_CHECKING:
    from jitnet.bench.comparison import Change
    from jitnet.bench.results import Bench, Result

__all__ = ["IMPOSSIBLE", "LATENCY", "bench", "changes", "measuring"]

IMPOSSIBLE = (
    "* above the roof, which is impossible: a count is wrong, or a roof, measured while other programs were running."
)

LATENCY = (
    "latency: neither arithmetic nor a memory is busy for half the time. The loop waits for single results, or ends "
    "before it reaches full speed."
)
"""What that word in a column means."""

ROWS = "rows: share of the measured step that the rows of its operations above, and entering each region, add up to."
"""What the column of that name has."""

REFRESH_S = 0.2
BAR = 16
"""The fewest columns for a bar and its percentage."""

LADDER_BAR = 16

FEW = 4
"""So many rows of a comparison are all shown, also those that did not change."""


@contextmanager
def measuring(consoles: Consoles) -> Iterator[Callable[[str, int, int], None]]:
    """Yields the function that a measurement reports to: (what, done, total).

    It draws a bar, and only when it is called: nothing else runs while something is timed. Without a terminal it prints
    one line at the start.
    """
    console = consoles.err
    if not console.is_interactive:
        begun = False

        def begin(what: str, done: int, total: int) -> None:
            nonlocal begun
            if not begun:
                console.print(Text("Measuring …"))
            begun = True

        yield begin
        return
    live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
    drawn_s, widest = 0.0, len("repetition 99 of 99")

    def report(what: str, done: int, total: int) -> None:
        nonlocal drawn_s, widest
        widest = max(widest, len(what))  # so that the bar does not move with each name
        now_s = time.perf_counter()
        if now_s - drawn_s < REFRESH_S:
            return
        drawn_s = now_s
        line = Table.grid(expand=True, padding=(0, 2, 0, 0))
        shown: list[RenderableType] = [Text(what), Text(f"{done / max(1, total):4.0%}")]
        line.add_column(width=min(widest, max(1, console.width - 6)))
        if console.width >= widest + BAR:
            line.add_column(ratio=1)
            shown.insert(1, ProgressBar(total=total, completed=done, complete_style=ACCENT, finished_style=ACCENT))
        line.add_column(no_wrap=True, justify="right")
        line.add_row(*shown)
        live.start()  # only now, and once: compiling, before this, shows its own line
        live.update(line, refresh=True)

    try:
        yield report
    finally:
        live.stop()


def bench(console: Console, measured: "Bench", peers: Sequence[str]) -> None:
    """The whole measurement."""
    _machine(console, measured)
    _limits(console, measured)
    for count in sorted({result.threads for result in measured.group("operation")}):
        _operations(console, measured, count)
    predictions = measured.group("prediction")
    for count in sorted({result.threads for result in predictions}):
        console.print()
        title = f"Prediction on {threads_text(count)}, each on whole batches"
        _rows(console, measured, [row for row in predictions if row.threads == count], title)
    if measured.group("operation"):
        say(console, LATENCY, FAINT)
    _steps(console, measured)
    if measured.group("ladder"):
        _ladder(console, measured)
    if measured.group("numpy"):
        _versus(console, measured, peers)
    console.print()
    repetitions = len(measured.results[0].samples_s)
    say(
        console,
        f"Median of {repetitions} repetitions in random order; ± is half the distance between the quartiles. "
        f"Measured in {measured.measure_s:.0f} s, after {measured.compile_s:.1f} s of compiling or loading.",
        FAINT,
    )


def _machine(console: Console, measured: "Bench") -> None:
    machine, settings = measured.machine, measured.settings
    layer = {"omp": "OpenMP", "tbb": "TBB"}.get(machine.threading_layer, machine.threading_layer)
    cores = f"{machine.affinity} by affinity, {f'{machine.quota:g} by quota' if machine.quota else 'no quota'}"
    widths = "-".join(map(str, (settings.in_features, *settings.hidden, settings.n_targets or settings.n_classes)))
    facts(
        console,
        [
            ("machine", f"{machine.cpu}, {machine.vector_bits}-bit vectors"),
            ("cores", f"{cores}; {layer} threading layer"),
            ("versions", f"Numba {machine.numba}, LLVM {machine.llvm}"),
            ("network", f"{widths}, {layers_in_words(vars(settings))}, sgd, batch {settings.batch_size}"),
            ("data", f"{settings.data}: {settings.input_loops} loops ({measured.input_reason})"),
        ],
    )


def _limits(console: Console, measured: "Bench") -> None:
    """Peak, bandwidths and an empty region at each count of threads."""
    from jitnet.bench.verdict import LEVELS

    rows: list[list[Cell]] = []
    for probes in measured.probes:
        bandwidths: list[Cell] = [f"{level.triad_gbs:,.0f}" for level in probes.levels]
        region = "-" if probes.region_us is None else f"{probes.region_us:.1f} µs"
        rows.append([probes.threads, f"{probes.peak_gflops:,.0f}", *bandwidths, region])
    last = measured.probes[0].levels[-1].size_bytes / 2**20
    cache = f"{measured.cache_bytes / 2**20:.0f} MiB" if measured.cache_bytes else "unknown size"
    notes = [
        "GFLOP/s: of multiply-adds on registers. Caches and memory: GB/s of a = b + s c over arrays of "
        f"{', '.join(f'{level.size_bytes / 1024:,.0f}' for level in measured.probes[0].levels[:-1])} KiB a thread "
        f"and {last:.0f} MiB in all (last-level cache: {cache}).",
    ]
    if measured.cache_bytes * 2 > measured.probes[0].levels[-1].size_bytes:
        notes.append("The last-level cache is large compared with these arrays: memory may be slower.")
    console.print()
    table(
        console,
        ["threads", "GFLOP/s", *LEVELS, "next region"],
        rows,
        title="What the machine can do",
        footnotes=notes,
        spare=["next region", "last cache", "second cache"],
    )


def _operations(console: Console, measured: "Bench", threads: int) -> None:
    """The rows of this training, and those of operations that it does not use."""
    found = [result for result in measured.group("operation") if result.threads == threads]
    console.print()
    _rows(console, measured, [row for row in found if row.used], f"Operations on {threads_text(threads)}")
    others = [row for row in found if not row.used]
    if others:
        console.print()
        _rows(console, measured, others, f"Operations that this training does not use, on {threads_text(threads)}")


def _rows(console: Console, measured: "Bench", results: "Sequence[Result]", title: str) -> None:
    from jitnet.bench.verdict import judge

    rows: list[list[Cell]] = []
    judged = [judge(row.median_s, row.flop, row.bytes, measured.limits_of(row)) for row in results]
    for result, found in zip(results, judged, strict=True):
        rows.append(
            [
                result.name,
                result.shape,
                microseconds(result.median_s),
                f"±{result.spread:.0%}",
                f"{result.gflops:.1f}" if result.flop else "-",
                f"{result.gbs:.1f}",
                f"{result.intensity:.2f}" if result.flop else "-",
                Text(f"{found.roof:.0%}" + "*" * (found.roof > 1), style=BAD if found.roof > 1 else ""),
                found.binds,
            ]
        )
    notes = [IMPOSSIBLE] if any(found.roof > 1 for found in judged) else []
    columns = ["operation", "shape", "µs", "±", "GFLOP/s", "GB/s", "FLOP/B", "roof", "bound by"]
    spare = ["FLOP/B", "GB/s", "±", "shape", "GFLOP/s", "bound by"]
    table(console, columns, rows, title=title, footnotes=notes, spare=spare)


def _steps(console: Console, measured: "Bench") -> None:
    rows: list[list[Cell]] = []
    for row in measured.steps:
        style = GOOD if row.recommended else ""
        rows.append(
            [
                Text(f"{row.threads}{' <' if row.recommended else '  '}", style=style),
                f"{row.us:.1f}",
                f"±{row.spread:.0%}",
                f"{row.samples_per_second:,.0f}",
                f"{row.speed_up:.2f}x",
                f"{row.efficiency:.0%}",
                "-" if row.accounted is None else f"{row.accounted:.0%}",
                row.limit,
            ]
        )
    bits = "the same bits at every count" if measured.same_bits else "NOT the same bits at every count: this is a bug"
    best = next(row.threads for row in measured.steps if row.recommended)
    notes = [f"< recommended: --threads {best}, the fewest within 3% of the fastest. Training has {bits}."]
    columns = ["threads", "µs a step", "±", "samples/s", "speed-up", "efficiency", "rows", "what limits it"]
    console.print()
    table(
        console,
        columns,
        rows,
        title="A whole training step",
        footnotes=notes,
        explained={"rows": ROWS},
        prose=["what limits it"],
        spare=["rows", "±", "samples/s", "efficiency", "what limits it"],
    )


def _ladder(console: Console, measured: "Bench") -> None:
    rungs = measured.group("ladder")
    fastest = max(result.gflops for result in rungs)
    room = LADDER_BAR if console.width >= 100 else LADDER_BAR // 4
    rows: list[list[Cell]] = []
    for result in rungs:
        name = (
            result.name
            if result.threads == 1 and result.name != "parallel tile"
            else f"{result.name}, {result.threads}"
        )
        times = rungs[0].median_s / result.median_s
        rows.append(
            [
                name,
                microseconds(result.median_s),
                f"±{result.spread:.0%}",
                f"{result.gflops:.1f}",
                f"{times:.1f}x",
                bar(console, result.gflops / fastest, room),
                result.note,
            ]
        )
    console.print()
    table(
        console,
        ["rung", "µs", "±", "GFLOP/s", "faster", "", "the idea"],
        rows,
        title=f"The ladder: one product, {rungs[0].shape}",
        footnotes=["Each was compared with the float64 product before timing. The loops: jitnet/kernels/matmul.py."],
        prose=["the idea"],
        spare=["", "±", "the idea"],
    )


def _versus(console: Console, measured: "Bench", peers: Sequence[str]) -> None:
    operations = {result.key[1:]: result for result in measured.group("operation")}
    rows: list[list[Cell]] = []
    for theirs in measured.group("numpy"):
        ours = operations[theirs.key[1:]]
        times = theirs.median_s / ours.median_s
        rows.append(
            [
                theirs.name,
                theirs.shape,
                theirs.threads,
                microseconds(ours.median_s),
                f"{ours.gflops:.1f}",
                microseconds(theirs.median_s),
                f"{theirs.gflops:.1f}",
                Text(f"{times:.2f}x", style=GOOD if times >= 1 else WARN),
            ]
        )
    columns = ["product", "shape", "threads", "jitnet µs", "GFLOP/s", "NumPy µs", "GFLOP/s", "faster"]
    console.print()
    table(
        console,
        columns,
        rows,
        title="Compared with NumPy's BLAS",
        footnotes=[
            f"{'; '.join(peers)}: in a separate process for each count of threads, interleaved. Dense on both sides."
        ],
        spare=["shape", "GFLOP/s", "jitnet µs", "NumPy µs"],
    )


def changes(console: Console, found: "Sequence[Change]", threshold: float, title: str = "Against the baseline") -> None:
    """What became slower or faster than before, and how many rows did not change; of few rows, all."""
    changed = [change for change in found if change.verdict != "same"]
    shown = found if len(found) <= FEW else changed
    rows: list[list[Cell]] = [
        [
            change.name,
            change.shape,
            change.threads,
            microseconds(change.before_s),
            microseconds(change.after_s),
            f"{change.change:+.0%}",
            times(1 / (1 + change.change)),
            between(change.factor) if change.factor is not None else None,
            f"{change.p:.1g}",
            Text(change.verdict, style=STYLES[change.verdict]),
        ]
        for change in sorted(shown, key=lambda change: -change.change)
    ]
    same = len(found) - len(changed)
    criterion = f"above {threshold:.0%} that a rank test finds significant"
    note = f"Faster, slower: changes {criterion}."
    if same:
        rows_text = "the row has" if len(found) == 1 else f"{same} of {len(found)} rows have"
        note = f"{rows_text[:1].upper()}{rows_text[1:]} no change {criterion}."
    console.print()
    if rows:
        columns = ["row", "shape", "threads", "before µs", "now µs", "time", "as fast", "range", "p", "verdict"]
        spare = ["p", "shape", "time", "before µs", "now µs", "range", "threads"]
        table(console, columns, rows, title=title, footnotes=[note], spare=spare)
    else:
        say(console, f"{title}: {note[:1].lower()}{note[1:]}")
