"""The rows of the table: what each measures, with which systems, and its targets."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from harness import SYSTEMS

ALL = tuple(SYSTEMS)
PEAK = "peak"
"""The entry that measures the machine: its task is only fused multiply-adds on registers."""


@dataclass(frozen=True)
class Entry:
    """A system in a row. `threads` fixes the number; 0 lets jitnet choose, and tries one, half of the cores and all
    for the others."""

    system: str
    threads: int = 0


@dataclass(frozen=True)
class Target:
    """A bound on one number.

    time: jitnet's time over that of `against`, at most `limit`. rate: jitnet's GFLOP/s over those of `against`, at
    least. peak: jitnet's share of the measured peak of fused multiply-adds, at least. speedup: the time at one thread
    over that at the most, at least. half: the time at the most threads over that at half of them, at most. choice: the
    time on the count that jitnet chooses over that on the best one; alone: over that on one; both at most. seconds,
    bytes, growth: jitnet's number, at most; growth is what 100 epochs need beyond 1, as a fraction. A `goal` is shown
    and compared, and is not reported as missed.
    """

    kind: Literal["time", "rate", "peak", "speedup", "half", "choice", "alone", "seconds", "bytes", "growth"]
    limit: float
    against: str = ""
    goal: bool = False

    @property
    def at_least(self) -> bool:
        return self.kind in ("rate", "peak", "speedup")

    @property
    def text(self) -> str:
        sign = "≥" if self.at_least else "≤"
        what = {
            "time": f"{self.limit:g} × {SYSTEMS.get(self.against, '')}",
            "rate": f"{self.limit:g} × {SYSTEMS.get(self.against, '')}'s GFLOP/s",
            "peak": f"{self.limit:.0%} of peak",
            "speedup": f"{self.limit:g} × 1 thread",
            "half": f"{self.limit:g} × half of the threads",
            "choice": f"{self.limit:g} × the best count",
            "alone": f"{self.limit:g} × 1 thread's time",
            "seconds": f"{self.limit:g} s",
            "bytes": f"{self.limit / 1e6:.0f} MB",
            "growth": f"+{self.limit:.0%} from 1 to 100 epochs",
        }[self.kind]
        return f"{sign} {what}" + (" (goal)" if self.goal else "")

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True)
class Work:
    """One row.

    row: what is sent to the workers. flop: the arithmetic of one measurement with no zero skipped. unit: what the table
    shows; samples are seconds, or bytes for MB. rounds: the row's least number of rounds, 0 for the default.
    """

    group: str
    name: str
    row: dict[str, Any]
    entries: tuple[Entry, ...]
    targets: tuple[Target, ...] = ()
    flop: float = 0.0
    unit: Literal["s", "GFLOP/s", "MB"] = "s"
    rounds: int = 0


def train_flop(widths: list[int], samples: int) -> float:
    """Forward and weight gradients, and input gradients after the first layer: 2 FLOP per weight and sample each."""
    products = [n_in * n_out for n_in, n_out in pairwise(widths)]
    return 2.0 * samples * (3 * sum(products) - products[0])


def training(name: str, hidden: list[int], targets: tuple[Target, ...], **changes: Any) -> Work:
    """A row of training on MNIST, one epoch per measurement, by every system, and the machine's peak."""
    widths = [784, *hidden, 10]
    row: dict[str, Any] = {
        "work": "train",
        "widths": widths,
        "batch": 32,
        "optimizer": "sgd",
        "rate": 0.1,
        "samples": 0,
    } | changes
    entries = tuple(Entry(system) for system in (*ALL, PEAK))
    return Work("Training, an epoch", name, row, entries, targets, train_flop(widths, int(row["samples"] or 60_000)))


def kernels(threads: int) -> list[Work]:
    """Forward product and gradients at a small and a large shape."""
    works = []
    for shape in ([32, 784, 128], [512, 2048, 2048]):
        for kernel, name in (
            ("forward", "linear forward"),
            ("weight_gradient", "weight gradient"),
            ("input_gradient", "input gradient"),
        ):
            if kernel == "input_gradient" and shape[0] == 32:
                continue  # the first layer of a network has none
            targets = [Target("rate", 1.0, "torch")]
            if shape[0] == 32:
                targets.insert(0, Target("rate", 1.5, "numpy"))
            label = f"{name}, {'×'.join(map(str, shape))}, {threads} thread{'s' * (threads > 1)}"
            row = {"work": "kernel", "kernel": kernel, "shape": shape, "threads": threads}
            entries = tuple(Entry(system, threads) for system in ("jitnet", "torch", "numpy", PEAK))
            flop = 2.0 * shape[0] * shape[1] * shape[2]
            works.append(Work("One kernel, GFLOP/s", label, row, entries, tuple(targets), flop, "GFLOP/s", rounds=15))
    return works


def thread_rows(cores: int, some: int) -> list[Work]:
    """jitnet on one thread and on all, with the same bits; and with the number that it chooses."""
    works = []
    for hidden, samples in ((128, some), (512, some), (2048, 6_000)):
        row = {"work": "train", "widths": [784, hidden, 10], "batch": 32, "optimizer": "sgd", "rate": 0.1}
        targets = (Target("speedup", 1.7 if hidden >= 512 else 1.5),)
        entries = (Entry("jitnet", 1), Entry("jitnet", cores), Entry("jitnet"))
        label = f"784-{hidden}-10" + (f", {samples:,} samples" if samples else "")
        works.append(Work("Threads, an epoch", label, row | {"samples": samples}, entries, targets))
    return works


def rows(cores: int, quick: bool) -> list[Work]:
    """Every row except those of starting and memory, in the order of the table."""
    some = 6_400 if quick else 0
    noise = {"data": "noise", "samples": 1024 if quick else 4096, "batch": 512, "rate": 0.01}
    predict = {"work": "predict", "widths": [784, 128, 10], "samples": 1}
    everyone = tuple(Entry(system) for system in ALL)
    half = (Target("time", 0.5, "torch"),)
    sgd = (
        Target("time", 0.25, "jax"),
        Target("time", 0.09, "torch"),
        Target("time", 0.18, "jax", goal=True),
        Target("peak", 1.0, goal=True),
    )
    wide = (Target("time", 0.28, "jax"), Target("time", 0.20, "jax", goal=True))
    batches, large, adam = (
        (Target("time", 0.30, "jax"),),
        (Target("time", 0.40, "jax"),),
        (Target("time", 0.35, "jax"),),
    )
    dense = (Target("peak", 0.75), Target("time", 1.0, "torch"))
    return [
        training("784-128-10, batch 32, SGD", [128], sgd, samples=some),
        training("784-512-10, batch 32, SGD", [512], wide, samples=some),
        training("784-128-10, batch 128, SGD", [128], batches, samples=some, batch=128, rate=0.2),
        training("784-128-10, batch 1024, SGD", [128], large, samples=some, batch=1024, rate=0.2),
        training("784-128-10, batch 32, Adam", [128], adam, samples=some, optimizer="adam", rate=0.001),
        training("784-2048-2048-10, batch 512, SGD, 4,096 samples of noise", [2048, 2048], dense, **noise),
        Work("Prediction", "10,000 images", predict | {"count": 10_000}, everyone, half, rounds=15),
        Work("Prediction", "one image", predict | {"count": 1}, everyone, half, rounds=15),
        *(work for threads in sorted({1, cores}) for work in kernels(threads)),
        *(thread_rows(cores, some) if cores > 1 else []),
    ]
