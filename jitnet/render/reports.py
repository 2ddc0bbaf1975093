"""What the commands found, on the screen: machine and network, prediction, data sets."""

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from jitnet.render.console import ACCENT, FAINT, GOOD, WARN, facts, say
from jitnet.render.drawing import draw, pictures, to_grey
from jitnet.render.tables import Cell, bar, same_decimals, size_in_words, table

if TYPE_CHECKING:
    from jitnet.config import ModelConfig
    from jitnet.datasets import Description, Listing
    from jitnet.pictures.recognition import Recognition
    from jitnet.training.plan import Plan

__all__ = ["description", "listing", "network", "plan", "prediction"]

MOST_CLASSES = 50


def plan(
    console: Console,
    plan: "Plan",
    *,
    data: str = "",
    n_train: int = 0,
    n_held_out: int = 0,
    n_test: int = 0,
    outputs: str = "",
    threads_settled: bool = True,
) -> None:
    """What is trained on, where, and how.

    data: the data set's name; n_train, n_held_out, n_test: its samples to train on, to validate and to test; outputs:
    how many classes or targets, in words. Then processor, vectors and threading layer; threads and why that number,
    where that is settled and not measured first; loops over the inputs and why.
    """
    machine = plan.machine
    layer = {"omp": "OpenMP", "tbb": "TBB"}.get(machine.threading_layer, machine.threading_layer)
    threads = Text(str(plan.threads), style="bold")
    pairs: list[tuple[str, str | Text]] = []
    if data:
        sizes = [f"{n_train:,} samples to train on"]
        if n_held_out:
            sizes.append(f"{n_held_out:,} held out")
        sizes.append(f"{n_test:,} to test" if n_test else "none to test")
        if outputs:
            sizes.append(outputs)
        pairs.append(("data", Text.assemble((data, "bold"), f": {', '.join(sizes)}")))
    cores = "" if threads_settled else f"{machine.cores_reason}, "
    pairs.append(("machine", f"{machine.cpu}, {cores}{machine.vector_bits}-bit vectors, {layer} threading layer"))
    if threads_settled:
        pairs.append(("threads", threads.append(f" ({plan.threads_reason})", style="not bold")))
    pairs.append(("inputs", f"{plan.input_loops} loops ({plan.input_reason})"))
    facts(console, pairs)


def network(console: Console, config: "ModelConfig", frozen: Container[int] = ()) -> None:
    """The network's layers with their shapes and parameters, and the total. frozen: layers that are marked as such, by
    their numbers from 0."""
    arrow = "->" if console.options.ascii_only else "→"
    ahead = len(config.summary_rows) - len(config.blocks)  # the inputs' factors belong to the first layer
    rows: list[list[Cell]] = [
        [f"{before:,} {arrow} {after:,}", follows + ", frozen" * (max(0, row - ahead) in frozen), parameters]
        for row, (before, after, follows, parameters) in enumerate(config.summary_rows)
    ]
    rows.append([Text("network", style="bold"), "", Text(f"{config.n_parameters:,}", style="bold")])
    table(console, ["layer", "followed by", "parameters"], rows)


def prediction(console: Console, found: "Recognition", top: int = 3) -> None:
    """The most probable classes with bars, next to the picture as the network saw it."""
    say(console, found.name, "bold")
    grid = Table.grid(padding=(0, 3))
    grid.add_column(no_wrap=True)
    grid.add_column(vertical="middle")
    lines = draw(console, found.image, max(8, min(64, console.width - 40)))
    guesses = Table.grid(padding=(0, 2))
    guesses.add_column(no_wrap=True)
    guesses.add_column(min_width=20)
    guesses.add_column(justify="right", no_wrap=True)
    for number, (name, probability) in enumerate(found.guesses[:top]):
        style = Style.parse("bold green") if number == 0 else Style.null()
        guesses.add_row(
            Text(name, style=style),
            bar(console, probability, 20, GOOD if number == 0 else ACCENT),
            Text(f"{probability:.1%}", style=style),
        )
    grid.add_row(Text("\n").join(lines), guesses)
    console.print(grid)


def description(console: Console, found: "Description") -> None:
    """A data set: counts, shape, range, classes with their shares and a sample of each, or targets with their range."""
    shape = f"{found.image_shape[0]}x{found.image_shape[1]}" if found.image_shape else f"{found.in_features:,} numbers"
    count = len(found.targets)
    outputs = f"{count} target{'s' * (count != 1)}" if count else f"{len(found.classes)} classes"
    facts(
        console,
        [
            ("name", Text(found.name, style="bold")),
            ("source", found.source),
            ("samples", f"{found.n_train:,} for training, {found.n_test:,} for testing"),
            ("shape", f"{shape}, {outputs}"),
            ("values", f"{found.value_type}, {found.low:g} to {found.high:g}, {found.density:.1%} of them not zero"),
            ("in memory", size_in_words(found.in_memory_bytes)),
            ("sha256", found.checksum),
            *([("notice", Text(found.notice, style=WARN))] if found.notice else []),
        ],
    )
    console.print()
    if found.targets:
        first = found.targets[:MOST_CLASSES]
        numbers = [[getattr(one, field) for one in first] for field in ("low", "high", "mean", "deviation")]
        names = [one.name for one in first]
        ranges: list[list[Cell]] = [list(row) for row in zip(names, *map(same_decimals, numbers), strict=True)]
        beyond = count - len(ranges)
        more_targets = [f"and {beyond:,} more targets"] if beyond > 0 else []
        table(console, ["target", "lowest", "highest", "mean", "deviation"], ranges, footnotes=more_targets)
    else:
        _class_shares(console, found)
    if found.image_shape and found.samples:
        console.print()
        shown = to_grey(np.stack([sample.image for sample in found.samples]), found.image_shape)
        pictures(console, list(shown), [f"{sample.class_name}  #{sample.index}" for sample in found.samples])


def _class_shares(console: Console, found: "Description") -> None:
    largest = max((share.share for share in found.classes), default=1.0) or 1.0
    rows: list[list[Cell]] = [
        [Text(one.name), one.n_train, one.n_test, f"{one.share:.1%}", bar(console, one.share / largest, 24)]
        for one in found.classes[:MOST_CLASSES]
    ]
    more = len(found.classes) - len(rows)
    table(
        console,
        ["class", "training", "testing", "share", ""],
        rows,
        footnotes=[f"and {more:,} more classes"] if more > 0 else [],
        spare=["", "share", "testing"],
    )


def listing(console: Console, known: Sequence["Listing"]) -> None:
    """The data sets known by name: what each is, and where it is stored, or that it has not been downloaded."""
    rows: list[list[Cell]] = [
        [
            Text(one.name, style="bold"),
            Text(one.title),
            Text(one.licence),
            Text(str(one.found), style=GOOD) if one.found else Text("not downloaded", style=FAINT),
        ]
        for one in known
    ]
    missing = [one.name for one in known if not one.found]
    table(
        console,
        ["name", "what it is", "licence", "where"],
        rows,
        footnotes=[f"To get one: jitnet data fetch {missing[0]}"] if missing else [],
        prose=["what it is", "licence"],
    )
