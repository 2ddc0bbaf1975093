"""What the commands found, on the screen: machine and network, evaluation, prediction, data sets."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from jitnet.render.console import ACCENT, FAINT, GOOD, WARN, facts, say
from jitnet.render.drawing import draw, has_greys, pictures, to_grey
from jitnet.render.tables import Cell, bar, empty_table, same_decimals, size_in_words, table

if TYPE_CHECKING:
    from jitnet.config import ModelConfig
    from jitnet.datasets import Description, Listing
    from jitnet.evaluation import Evaluation
    from jitnet.pictures.recognition import Recognition
    from jitnet.training.plan import Plan

__all__ = ["description", "evaluation", "listing", "network", "plan", "prediction"]

MATRIX_CLASSES = 20  # with more classes a matrix fits no screen
WORST = 15
MOST_CLASSES = 50
SHORT_NAME = 5
SHOWN = 3  # targets of a sample
PARTS = {"test": "test part", "train": "training part, which the model was trained on", "only": "its only part"}


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


def network(console: Console, config: "ModelConfig") -> None:
    """The network's layers with their shapes and parameters, and the total."""
    arrow = "->" if console.options.ascii_only else "→"
    rows: list[list[Cell]] = [
        [f"{before:,} {arrow} {after:,}", follows, parameters]
        for before, after, follows, parameters in config.summary_rows
    ]
    rows.append([Text("network", style="bold"), "", Text(f"{config.n_parameters:,}", style="bold")])
    table(console, ["layer", "followed by", "parameters"], rows)


def evaluation(
    console: Console,
    result: "Evaluation",
    images: npt.NDArray[np.generic] | None = None,
    image_shape: tuple[int, int] | None = None,
    data: Mapping[str, Any] | None = None,
) -> None:
    """The data, loss, accuracy, scores per class, the confusion matrix, the most confident mistakes; or of numbers
    loss, errors and R² of each target, and the largest errors.

    images: (n, features) as in the split that was evaluated, to draw the mistakes from; left out where there is no
    image_shape. data: name of the data, part ("test", "train" or "only"), n rows, and for classes the n_classes found
    in them. With more than 20 classes only the worst confusions are listed.
    """
    if result.task == "regress":
        _numbers_evaluation(console, result, images, image_shape, data)
        return
    if not result.confusion.size:
        _labels_evaluation(console, result, data)
        return
    wrong = result.n - round(result.accuracy * result.n)
    accuracy = Text(f"{result.accuracy:.2%}", style="bold green")
    pairs: list[tuple[str, str | Text]] = []
    if data is not None:
        known = len(result.classes)
        found = f"{known:,} classes" if data["n_classes"] == known else f"{data['n_classes']:,} of {known:,} classes"
        part = f"{PARTS[data['part']]}, {data['n']:,} row{'s' * (data['n'] != 1)}, {found}"
        pairs.append(("data", Text.assemble((data["name"], "bold"), f": {part}")))
    pairs += [
        ("accuracy", accuracy.append(f" ({wrong:,} of {result.n:,} wrong)", style="not bold default")),
        ("loss", f"{result.loss:.4f}"),
    ]
    facts(console, pairs)
    console.print()
    _scores(console, result, "class")
    console.print()
    names = [score.name for score in result.classes]
    matrix = _matrix(console, result.confusion, names) if len(names) <= MATRIX_CLASSES else None
    if matrix is not None and _full_width(console, matrix) <= console.width:
        say(console, "Confusion: true class in rows, predicted in columns", "bold")
        console.print(matrix)
    else:
        _worst_confusions(console, result.confusion, names)
    if images is not None and image_shape is not None and result.mistakes:
        console.print()
        console.print(Text("Most confident mistakes", style="bold"))
        shown = to_grey(images[[mistake.index for mistake in result.mistakes]], image_shape)
        captions = [
            f"{names[mistake.label]} taken for {names[mistake.predicted]}\n{mistake.probability:.1%}  #{mistake.index}"
            for mistake in result.mistakes
        ]
        pictures(console, list(shown), captions)


def _scores(console: Console, result: "Evaluation", kind: str) -> None:
    rows: list[list[Cell]] = [
        [score.name, _percent(score.precision), _percent(score.recall), _percent(score.f1), score.support]
        for score in result.classes
    ]
    table(console, [kind, "precision", "recall", "F1", "samples"], rows, spare=["samples", "precision", "recall"])


def _labels_evaluation(console: Console, result: "Evaluation", data: Mapping[str, Any] | None) -> None:
    """Of labels that are each yes or no."""
    count = len(result.classes)
    wrong = result.n * count - round(result.accuracy * result.n * count)
    accuracy = Text(f"{result.accuracy:.2%}", style="bold green")
    pairs: list[tuple[str, str | Text]] = []
    if data is not None:
        part = f"{PARTS[data['part']]}, {data['n']:,} row{'s' * (data['n'] != 1)}, {count:,} label{'s' * (count != 1)}"
        pairs.append(("data", Text.assemble((data["name"], "bold"), f": {part}")))
    pairs += [
        ("accuracy", accuracy.append(f" ({wrong:,} of {result.n * count:,} labels wrong)", style="not bold default")),
        ("loss", f"{result.loss:.4f}"),
    ]
    facts(console, pairs)
    console.print()
    _scores(console, result, "label")


def _numbers_evaluation(
    console: Console,
    result: "Evaluation",
    images: npt.NDArray[np.generic] | None,
    image_shape: tuple[int, int] | None,
    data: Mapping[str, Any] | None,
) -> None:
    pairs: list[tuple[str, str | Text]] = []
    count = len(result.targets)
    if data is not None:
        part = f"{PARTS[data['part']]}, {data['n']:,} row{'s' * (data['n'] != 1)}, {count:,} target{'s' * (count != 1)}"
        pairs.append(("data", Text.assemble((data["name"], "bold"), f": {part}")))
    facts(console, [*pairs, ("R²", Text(_share(result.r2), style="bold green")), ("loss", f"{result.loss:.4f}")])
    console.print()
    shown_targets = result.targets[:MOST_CLASSES]
    of_all = [result] if count > 1 else []
    rmse, mae = (
        same_decimals([*(getattr(score, name) for score in shown_targets), *(getattr(one, name) for one in of_all)])
        for name in ("rmse", "mae")
    )
    r2 = [_share(value) for value in (*(score.r2 for score in shown_targets), *(one.r2 for one in of_all))]
    names = [*(Text(score.name) for score in shown_targets), *(Text("mean", style="bold") for _ in of_all)]
    rows: list[list[Cell]] = [list(row) for row in zip(names, rmse, mae, r2, strict=True)]
    more = count - len(shown_targets)
    footnotes = [f"and {more:,} more targets"] if more > 0 else []
    table(console, ["target", "RMSE", "MAE", "R²"], rows, footnotes=footnotes, spare=["MAE"])
    if not result.deviations:
        return
    console.print()
    true, predicted = _deviations(result)
    far = [
        (f"{guess} for {target}", f"#{one.index}")
        for one, target, guess in zip(result.deviations, true, predicted, strict=True)
    ]
    if images is not None and image_shape is not None:
        console.print(Text("Largest errors", style="bold"))
        shown = to_grey(images[[one.index for one in result.deviations]], image_shape)
        pictures(console, list(shown), [f"{words}\n{index}" for words, index in far])
    else:
        found: list[list[Cell]] = [
            [f"#{one.index}", target, guess]
            for one, target, guess in zip(result.deviations, true, predicted, strict=True)
        ]
        table(console, ["sample", "true", "predicted"], found, title="Largest errors")


def _share(r2: float) -> str:
    """R² for people; a dash where the target never changes."""
    return f"{r2:.4f}" if r2 == r2 else "-"


def _deviations(result: "Evaluation") -> tuple[list[str], list[str]]:
    """The true and the predicted numbers of each large error, those of the first few targets, as text."""
    rows = [one.targets for one in result.deviations] + [one.predicted for one in result.deviations]
    columns = [same_decimals([row[k] for row in rows], one_quantity=True) for k in range(min(SHOWN, len(rows[0])))]
    more = ", …" if len(rows[0]) > SHOWN else ""
    texts = [", ".join(row) + more for row in zip(*columns, strict=True)]
    return texts[: len(result.deviations)], texts[len(result.deviations) :]


def _full_width(console: Console, found: Table) -> int:
    """Columns that a table takes uncut."""
    return console.measure(found, options=console.options.update(width=1000)).maximum


def _percent(value: float) -> str:
    return f"{value:.2%}" if value == value else "-"


def _matrix(console: Console, confusion: npt.NDArray[np.int64], names: Sequence[str]) -> Table:
    """Rows are true classes, columns predicted ones; the stronger the colour, the larger the share of its row."""
    short = all(len(name) <= SHORT_NAME for name in names)
    heads = list(names) if short else [str(number) for number in range(len(names))]
    labels = list(names) if short else [f"{number} {name}" for number, name in enumerate(names)]
    matrix = empty_table(console)
    matrix.padding = (0, 0)
    matrix.add_column("", no_wrap=True, style="bold")
    width = max(3, len(str(confusion.max(initial=0))), *(len(head) for head in heads)) + 1
    for head in heads:
        matrix.add_column(Text(f"{head:>{width}}"), justify="right", no_wrap=True, min_width=width)
    totals = np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    shares = confusion / totals
    coloured = has_greys(console)
    for true, label in enumerate(labels):
        cells = []
        for predicted, count in enumerate(confusion[true].tolist()):
            text = f"{count}" if count else "·"
            style = _heat(float(shares[true, predicted]), true == predicted, count) if coloured else Style.null()
            if true == predicted:
                style += Style(bold=True)
            cells.append(Text(f"{text:>{width}}", style=style if count else FAINT))
        matrix.add_row(Text(label + " "), *cells)
    return matrix


def _heat(share: float, right: bool, count: int) -> Style:
    """A background from dark to bright: green if right; red if wrong, where a tenth of the row is bright already."""
    if not count:
        return FAINT
    depth = share if right else min(1.0, 0.12 + (share * 10) ** 0.5 * 0.88)
    rgb = (
        (20 + 10 * depth, 40 + 80 * depth, 30 + 30 * depth)
        if right
        else (40 + 160 * depth, 28 + 8 * depth, 28 + 8 * depth)
    )
    return Style(color=Color.from_rgb(245, 245, 245), bgcolor=Color.from_rgb(*rgb))


def _worst_confusions(console: Console, confusion: npt.NDArray[np.int64], names: Sequence[str]) -> None:
    """The pairs of classes that are confused most often."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:WORST]
    rows: list[list[Cell]] = []
    for flat in order.tolist():
        true, predicted = divmod(flat, len(names))
        count = int(wrong[true, predicted])
        if count:
            share = count / int(confusion[true].sum())
            rows.append(
                [Text(names[true]), Text(names[predicted]), count, f"{share:.1%}", bar(console, share, 16, "red")]
            )
    if rows:
        columns = ["true", "predicted", "times", "of the class", ""]
        table(console, columns, rows, title="Worst confusions", spare=["", "of the class"])
    else:
        console.print(Text("No confusions: every sample was recognised.", style=GOOD))


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
