"""How the cost grows with the work: python benchmarks/growth.py

Around 784-128-10 with batches of 32, one size at a time grows: units of the hidden layer, hidden layers, samples of a
batch, samples of the training set. All points of one curve are interleaved in random order; the exponent is the slope
of a straight line through the medians on two logarithmic scales, over the whole curve and over its upper half, where
constant costs no longer matter.
"""

import argparse
import json
import math
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from harness import Spread, commit, interleave, machine, machine_line, spread
from report import quantity, replace_section

from jitnet import Dataset, Model, ModelConfig, Scaling, Split, TrainConfig, Trainer

DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"
FEATURES, CLASSES, BLOCK = 784, 10, 10_000


@dataclass
class Curve:
    """One size that grows. `hidden`, `batch` and `samples` return the training's at a size; `per` is step or epoch."""

    name: str
    sizes: Sequence[int]
    per: str
    hidden: Callable[[int], tuple[int, ...]] = lambda size: (128,)
    batch: Callable[[int], int] = lambda size: 32
    samples: Callable[[int], int] = lambda size: 4096
    times: dict[int, list[float]] = field(default_factory=dict)

    def medians(self) -> list[Spread]:
        return [spread(self.times[size]) for size in self.sizes]

    def exponent(self, first: int = 0) -> float:
        """Slope of the costs from the `first` size on, on logarithmic scales."""
        return slope(self.sizes[first:], [found.middle for found in self.medians()[first:]])


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """k of the curve cost = c sizeᵏ, a least-squares fit of the logarithms."""
    xs, ys = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    above = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    return above / sum((x - x_mean) ** 2 for x in xs)


def curves(quick: bool) -> list[Curve]:
    """The four curves; `quick` leaves out the largest sizes."""
    powers = [2**k for k in range(13)]
    found = [
        Curve("hidden units", powers[5:], "step", hidden=lambda size: (size,)),
        Curve("hidden layers of 128", list(range(1, 9)), "step", hidden=lambda size: (128,) * size),
        Curve("samples per batch", powers, "step", batch=lambda size: size, samples=lambda size: max(4096, 4 * size)),
        Curve(
            "samples", [1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000], "epoch", samples=lambda size: size
        ),
    ]
    if quick:
        for curve in found:
            curve.sizes = curve.sizes[: max(4, len(curve.sizes) // 2)]
    return found


def generated(samples: int) -> Dataset:
    """Images as sparse as MNIST's, four fifths zero and some pixels always zero; labels that are linearly separable."""
    draw = np.random.default_rng(0)
    block = draw.integers(1, 256, (BLOCK, FEATURES), np.uint8)
    block *= draw.random((BLOCK, FEATURES)) < np.linspace(0.0, 0.4, FEATURES)
    labels = (block @ draw.standard_normal((FEATURES, CLASSES), np.float32)).argmax(axis=1)
    repeats = -(-samples // BLOCK)
    return Dataset(
        name="generated",
        train=Split(np.tile(block, (repeats, 1))[:samples], np.tile(labels, repeats)[:samples]),
        test=None,
        class_names=tuple(str(c) for c in range(CLASSES)),
        image_shape=(28, 28),
        scaling=Scaling(0.0, 1 / 255),
        source="generated",
    )


def epoch(data: Dataset, hidden: tuple[int, ...], batch: int) -> Callable[[], float]:
    """A function that trains one more epoch of such a network and returns its seconds."""
    model = Model.create(ModelConfig(in_features=FEATURES, hidden=hidden, n_classes=CLASSES), data)
    config = TrainConfig(epochs=1_000_000, batch_size=batch, learning_rate=0.01, schedule="constant")
    trainer = Trainer(model, data, config)
    trainer.prepare()
    epochs = trainer.epochs()

    def measure() -> float:
        start = time.perf_counter()
        next(epochs)
        return time.perf_counter() - start

    measure()
    return measure


def run(curve: Curve, data: Dataset, rounds: int, draw: random.Random) -> None:
    """Fill in the curve's times: seconds per step or epoch, one for each round."""
    measures = {}
    for size in curve.sizes:
        part = Split(data.train.images[: curve.samples(size)], data.train.labels[: curve.samples(size)])
        measures[size] = epoch(replace(data, train=part), curve.hidden(size), curve.batch(size))
    for size, seconds in interleave(measures, rounds, draw).items():
        steps = -(-curve.samples(size) // curve.batch(size)) if curve.per == "step" else 1
        curve.times[size] = [found / steps for found in seconds]


def table(found: Sequence[Curve]) -> list[list[str]]:
    lines = [["grows", "from", "to", "time per", "at first", "at last", "exponent", "upper half"]]
    for curve in found:
        first, last = curve.medians()[0].middle, curve.medians()[-1].middle
        half = len(curve.sizes) // 2
        lines.append(
            [
                curve.name,
                f"{curve.sizes[0]:,}",
                f"{curve.sizes[-1]:,}",
                curve.per,
                quantity(first, "s"),
                quantity(last, "s"),
                f"{curve.exponent():.2f}",
                f"{curve.exponent(half):.2f}",
            ]
        )
    return lines


def picture(found: Sequence[Curve], path: Path, title: str) -> None:
    """Draw the curves with their quartiles and the line through the upper half; PNG or SVG by the file's name."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "jitnet"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(found), figsize=(4 * len(found), 3.6), layout="constrained")
    for axis, curve in zip(axes, found, strict=True):
        medians = curve.medians()
        middles = [m.middle for m in medians]
        below, above = [m.middle - m.low for m in medians], [m.high - m.middle for m in medians]
        axis.errorbar(curve.sizes, middles, yerr=[below, above], marker="o", markersize=4, capsize=2, linewidth=1.2)
        half = len(curve.sizes) // 2
        k = curve.exponent(half)
        middle = math.exp(sum(math.log(m / s**k) for m, s in zip(middles[half:], curve.sizes[half:], strict=True))
                          / len(middles[half:]))  # fmt: skip
        line = [middle * size**k for size in curve.sizes[half:]]
        axis.plot(curve.sizes[half:], line, "--", color="black", linewidth=1, label=f"exponent {k:.2f}")
        axis.set(xscale="log", yscale="log", xlabel=curve.name, ylabel=f"seconds per {curve.per}")
        axis.set_xticks([], minor=True)
        axis.set_xticks(shown := curve.sizes[:: 1 if len(curve.sizes) < 9 else 3], [f"{size:,}" for size in shown])
        axis.tick_params(axis="x", labelrotation=30 if curve.sizes[-1] > 10_000 else 0)
        axis.grid(True, which="major", alpha=0.3)
        axis.legend(loc="upper left", frameon=False)
    figure.suptitle(title, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--picture", type=Path, default=DOCUMENT.with_name("growth.svg"), help="PNG or SVG")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="the smaller half of the sizes, three rounds: a trial")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every raw sample")
    parser.add_argument(
        "--update-docs", action="store_true", help="table and picture into docs/performance.md, between its markers"
    )
    options = parser.parse_args()
    if options.quick and options.update_docs:
        parser.error("--update-docs: leave out --quick, which is a trial and not a result")
    found, draw, rounds = curves(options.quick), random.Random(0), 3 if options.quick else options.rounds
    data = generated(max(curve.samples(size) for curve in found for size in curve.sizes))
    for curve in found:
        print(f"{curve.name} …", file=sys.stderr, flush=True)
        run(curve, data, rounds, draw)
    lines = table(found)
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    header = machine_line(machine())
    print(header, *("  ".join(w.rjust(n) for w, n in zip(line, widths, strict=True)) for line in lines), sep="\n")
    if options.json:
        times = {curve.name: {"per": curve.per, "seconds": curve.times} for curve in found}
        options.json.write_text(json.dumps({"machine": machine(), "curves": times}, indent=1) + "\n")
    try:
        picture(found, options.picture, header)
    except ImportError:
        sys.exit("growth.py: no picture: matplotlib is not installed; install it with: pip install matplotlib")
    if options.update_docs:
        lines.insert(1, ["---"] * len(lines[0]))
        rows = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        shown = Path(os.path.relpath(options.picture, DOCUMENT.parent)).as_posix()
        above = ", ".join(filter(None, [header, commit()]))
        try:
            replace_section(DOCUMENT, "growth", f"{above}\n\n![Cost as the work grows]({shown})\n\n{rows}\n")
        except (OSError, ValueError) as error:
            sys.exit(f"growth.py: {error}")


if __name__ == "__main__":
    main()
