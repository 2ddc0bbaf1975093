"""How fast the first layer's loops are for every count of panels: python benchmarks/panels.py

784 inputs in batches of 32, and hidden units from one panel to 640, a panel more each time: the lines of training's
program, forward and weight gradient, zero-skipping and dense, on one thread and on two. All points are interleaved in
random order, and each is the upper quartile of its samples: other programs only take time away. A loop that suits only
some counts of panels shows as dips; the table has the deepest: how far a point is below the best one with fewer units.
"""

import argparse
import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from growth import CLASSES, DOCUMENT, FEATURES, generated
from harness import Spread, commit, interleave, machine, machine_line, spread
from report import replace_section

from jitnet import Dataset, ModelConfig
from jitnet.bench.timing import timed
from jitnet.bench.workload import BATCHES, Subject, Training
from jitnet.engine.loop import repeat_lines
from jitnet.engine.program import Line
from jitnet.machine.blocks import PANEL
from jitnet.machine.host import set_threads

BATCH, MAX_UNITS, SAMPLES = 32, 640, 4096
SAMPLE_S = 0.004
"""The time of one sample, roughly."""

LOOPS = {
    "forward_sparse": "forward, zero-skipping",
    "backward_sparse": "weight gradient, zero-skipping",
    "forward": "forward, dense",
    "backward_weight": "weight gradient, dense",
}


@dataclass(frozen=True)
class Point:
    """A loop on so many units and threads."""

    operation: str
    threads: int
    units: int


def points(data: Dataset, units: int, threads: int) -> Iterator[tuple[Point, float, Callable[[], float]]]:
    """Each of LOOPS: its point, its FLOP, and a function that returns the seconds of one call."""
    subject = Subject(ModelConfig(in_features=FEATURES, hidden=(units,), n_classes=CLASSES), data, BATCH)
    for dense in (False, True):
        training = subject.training(threads, dense=dense)
        for place, line in training.lines(tuple(LOOPS)):
            if line.layer == 0:
                point = Point(line.operation, threads, units)
                yield point, line.cost.flop, measured(training, place, line)


def measured(training: Training, place: int, line: Line) -> Callable[[], float]:
    """A function that repeats a line on one batch after another for one sample, and returns the seconds of one call."""

    def run(repeats: int) -> float:
        set_threads(line.parts)
        address = training.struct.address
        return timed(lambda: repeat_lines(address, place, place + 1, repeats, BATCHES, line.parts, False)) / repeats

    training.restore()
    run(1)
    repeats = max(1, int(SAMPLE_S / run(20)))
    return lambda: run(repeats)


def gflops(data: Dataset, sizes: Sequence[int], threads: Sequence[int], rounds: int) -> dict[Point, Spread]:
    """Every point's GFLOP/s."""
    work: dict[Point, float] = {}
    measures: dict[Point, Callable[[], float]] = {}
    for units in sizes:
        for count in threads:
            for point, flop, measure in points(data, units, count):
                work[point], measures[point] = flop, measure
    times = interleave(measures, rounds, random.Random(0))
    return {point: spread([work[point] / found / 1e9 for found in seconds]) for point, seconds in times.items()}


def curve(found: dict[Point, Spread], operation: str, threads: int) -> dict[int, Spread]:
    """One loop's points by their units."""
    rates = {
        point.units: rate for point, rate in found.items() if (point.operation, point.threads) == (operation, threads)
    }
    return dict(sorted(rates.items()))


def deepest_dip(rates: dict[int, Spread]) -> tuple[float, int]:
    """How far a point is below the best one with fewer units, as a share of that, and how many units it has."""
    best, found = 0.0, (0.0, min(rates))
    for units, rate in rates.items():
        if best > 0:
            found = max(found, (1 - rate.high / best, units))
        best = max(best, rate.high)
    return found


def table(found: dict[Point, Spread], threads: Sequence[int]) -> list[list[str]]:
    lines = [["loop", "threads", f"{PANEL} units", "at best", "with units", "deepest dip", "at units"]]
    for operation, name in LOOPS.items():
        for count in threads:
            rates = curve(found, operation, count)
            best = max(rates, key=lambda units: rates[units].high)
            depth, at = deepest_dip(rates)
            first = rates[min(rates)].high
            lines.append(
                [name, f"{count}", f"{first:.0f}", f"{rates[best].high:.0f}", f"{best}", f"{depth:.0%}", f"{at}"]
            )
    return lines


def picture(found: dict[Point, Spread], threads: Sequence[int], path: Path, title: str) -> None:
    """Draw the curves, shaded down to their medians; PNG or SVG by the file's name."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "jitnet"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(LOOPS), figsize=(4 * len(LOOPS), 3.6), layout="constrained")
    for axis, (operation, name) in zip(axes, LOOPS.items(), strict=True):
        for count in threads:
            rates = curve(found, operation, count)
            middle, high = ([getattr(rate, field) for rate in rates.values()] for field in ("middle", "high"))
            label = f"{count} thread{'s' * (count > 1)}"
            (line,) = axis.plot(list(rates), high, marker="o", markersize=3, linewidth=1.2, label=label)
            axis.fill_between(list(rates), middle, high, color=line.get_color(), alpha=0.2, linewidth=0)
        axis.set(title=name, xlabel="hidden units", ylabel="GFLOP/s", xlim=(0, None), ylim=(0, None))
        axis.set_xticks(range(0, MAX_UNITS + 1, 128))
        axis.grid(True, which="major", alpha=0.3)
        axis.legend(loc="lower right", frameon=False)
    figure.suptitle(title, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--picture", type=Path, default=DOCUMENT.with_name("panels.svg"), help="PNG or SVG")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="up to 160 units, three rounds: a trial")
    parser.add_argument(
        "--update-docs", action="store_true", help="table and picture into docs/performance.md, between its markers"
    )
    options = parser.parse_args()
    if options.quick and options.update_docs:
        parser.error("--update-docs: leave out --quick, which is a trial and not a result")
    sizes, rounds = (
        range(PANEL, (160 if options.quick else MAX_UNITS) + 1, PANEL),
        3 if options.quick else options.rounds,
    )
    threads = (1, 2)
    found = gflops(generated(SAMPLES), sizes, threads, rounds)
    lines = table(found, threads)
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    header = machine_line(machine())
    print(header, *("  ".join(w.rjust(n) for w, n in zip(line, widths, strict=True)) for line in lines), sep="\n")
    try:
        picture(found, threads, options.picture, header)
    except ImportError:
        sys.exit("panels.py: no picture: matplotlib is not installed; install it with: pip install matplotlib")
    if options.update_docs:
        lines.insert(1, ["---"] * len(lines[0]))
        rows = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        shown = Path(os.path.relpath(options.picture, DOCUMENT.parent)).as_posix()
        above = ", ".join(filter(None, [header, commit()]))
        try:
            replace_section(DOCUMENT, "panels", f"{above}\n\n![GFLOP/s for every count of panels]({shown})\n\n{rows}\n")
        except (OSError, ValueError) as error:
            sys.exit(f"panels.py: {error}")


if __name__ == "__main__":
    main()
