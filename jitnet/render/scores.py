"""Evaluations on the screen: scores, confusions, mistakes, and charts of ranking, calibration and residuals."""

from collections.abc import Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from jitnet.render.charts import Curve, Panel, chart, histogram, panels
from jitnet.render.console import FAINT, GOOD, WARN, facts, say
from jitnet.render.drawing import has_greys, pictures, to_grey
from jitnet.render.tables import Cell, bar, empty_table, same_decimals, table

if TYPE_CHECKING:
    from jitnet.evaluation import Deviation, Evaluation, LabelScore, Mistake, RankingScore, TargetScore

__all__ = ["evaluation"]

MATRIX_CLASSES = 20  # with more classes a matrix fits no screen
WORST = 15
MOST_TARGETS = 50
MOST_NAMES = 10
SHORT_NAME = 5
SHOWN = 3  # targets of a sample
UNIT = (0.0, 1.0)
PARTS = {"test": "test part", "train": "training part, which the model was trained on", "only": "its only part"}


def evaluation(
    console: Console,
    result: "Evaluation",
    images: npt.NDArray[np.generic] | None = None,
    image_shape: tuple[int, int] | None = None,
    data: Mapping[str, Any] | None = None,
) -> None:
    """The data, loss, accuracy beside that of always predicting the commonest class, calibration, scores per class, the
    confusion matrix, the most confident mistakes, and of two classes ranking and thresholds; or of numbers loss,
    errors, R² and bias of each target, predicted against true values, residuals, and the largest errors.

    images: (n, features) as in the split that was evaluated, to draw the mistakes from; where there is no image_shape
    they are listed. data: name of the data, part ("test", "train" or "only"), n rows, and for classes the n_classes
    found in them. With more than 20 classes only the worst confusions are listed.
    """
    if result.task == "regress":
        _numbers_evaluation(console, result, images, image_shape, data)
        return
    if not result.confusion.size:
        _labels_evaluation(console, result, data)
        return
    wrong = int(result.confusion.sum() - np.trace(result.confusion))
    pairs: list[tuple[str, str | Text]] = []
    if data is not None:
        known = len(result.classes)
        found = f"{known:,} classes" if data["n_classes"] == known else f"{data['n_classes']:,} of {known:,} classes"
        part = f"{PARTS[data['part']]}, {data['n']:,} row{'s' * (data['n'] != 1)}, {found}"
        pairs.append(("data", Text.assemble((data["name"], "bold"), f": {part}")))
    pairs += _accuracy_facts(result, f"{wrong:,} of {result.n:,} wrong")
    if result.ranking is not None:
        pairs += _ranking_facts(result.ranking)
    facts(console, pairs)
    console.print()
    rows: list[list[Cell]] = [
        [score.name, _percent(score.precision), _percent(score.recall), _percent(score.f1), score.support]
        for score in result.classes
    ]
    table(
        console,
        ["class", "precision", "recall", "F1", "samples"],
        rows,
        spare=["samples", "precision", "recall"],
    )
    if result.ranking is not None:
        console.print()
        _thresholds(console, result.ranking)
    console.print()
    names = [score.name for score in result.classes]
    matrix = _matrix(console, result.confusion, names) if len(names) <= MATRIX_CLASSES else None
    if matrix is not None and _full_width(console, matrix) <= console.width:
        say(console, "Confusion: true class in rows, predicted in columns", "bold")
        console.print(matrix)
    else:
        _worst_confusions(console, result.confusion, names)
    if result.calibration.bins:
        console.print()
        panels(console, _class_panels(console, result))
    if not result.mistakes:
        return
    console.print()
    if images is not None and image_shape is not None:
        console.print(Text("Most confident mistakes", style="bold"))
        shown = to_grey(images[[mistake.index for mistake in result.mistakes]], image_shape)
        captions = [
            f"{names[mistake.label]} taken for {names[mistake.predicted]}\n{mistake.probability:.1%}  {_place(mistake)}"
            for mistake in result.mistakes
        ]
        pictures(console, list(shown), captions)
    else:
        mistakes: list[list[Cell]] = [
            [_place(one), Text(names[one.label]), Text(names[one.predicted]), f"{one.probability:.1%}"]
            for one in result.mistakes
        ]
        table(console, ["sample", "true", "predicted", "probability"], mistakes, title="Most confident mistakes")


def _place(one: "Mistake | Deviation") -> str:
    """Where a sample is."""
    return one.place or f"#{one.index}"


def _accuracy_facts(result: "Evaluation", wrong: str) -> list[tuple[str, str | Text]]:
    """The accuracy beside that of always predicting the commonest class, classes that are never predicted, the loss."""
    accuracy = Text(f"{result.accuracy:.2%}", style="bold green")
    compared = f" ({wrong}); {result.commonest.in_words}"
    pairs: list[tuple[str, str | Text]] = [("accuracy", accuracy.append(compared, style="not bold default"))]
    if result.never_predicted:
        pairs.append(("never predicted", Text(_some(result.never_predicted), style=WARN)))
    return [*pairs, ("loss", f"{result.loss:.4f}")]


def _labels_evaluation(console: Console, result: "Evaluation", data: Mapping[str, Any] | None) -> None:
    """Of labels that are each yes or no."""
    scores = cast("tuple[LabelScore, ...]", result.classes)
    count, total = len(scores), result.n * len(scores)
    pairs: list[tuple[str, str | Text]] = []
    if data is not None:
        part = f"{PARTS[data['part']]}, {data['n']:,} row{'s' * (data['n'] != 1)}, {count:,} label{'s' * (count != 1)}"
        pairs.append(("data", Text.assemble((data["name"], "bold"), f": {part}")))
    wrong = sum(score.n_wrong for score in scores)
    facts(console, pairs + _accuracy_facts(result, f"{wrong:,} of {total:,} labels wrong"))
    console.print()
    rows: list[list[Cell]] = [
        [
            Text(score.name),
            *(_percent(share) for share in (score.accuracy, score.commonest, score.precision, score.recall, score.f1)),
            _share(score.roc_auc),
            score.support,
        ]
        for score in scores[:MOST_TARGETS]
    ]
    more = count - len(rows)
    table(
        console,
        ["label", "accuracy", "commonest", "precision", "recall", "F1", "ROC AUC", "samples"],
        rows,
        explained={"commonest": "commonest: the accuracy of always predicting what most rows have"},
        footnotes=[f"and {more:,} more labels"] if more > 0 else [],
        spare=["samples", "precision", "recall", "ROC AUC", "F1"],
    )
    if result.calibration.bins:
        console.print()
        panels(console, _class_panels(console, result))


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
    shown_targets = result.targets[:MOST_TARGETS]
    of_all = [result] if count > 1 else []
    no_unit = ["-" for _ in of_all]  # a mean of numbers in several units has none
    rmse, mae, bias = (
        [*same_decimals([getattr(score, name) for score in shown_targets]), *no_unit]
        for name in ("rmse", "mae", "bias")
    )
    r2 = [_share(value) for value in (*(score.r2 for score in shown_targets), *(one.r2 for one in of_all))]
    names = [*(Text(score.name) for score in shown_targets), *(Text("mean", style="bold") for _ in of_all)]
    rows: list[list[Cell]] = [list(row) for row in zip(names, rmse, mae, r2, bias, strict=True)]
    more = count - len(shown_targets)
    footnotes = [f"and {more:,} more targets"] if more > 0 else []
    table(console, ["target", "RMSE", "MAE", "R²", "bias"], rows, footnotes=footnotes, spare=["bias", "MAE"])
    if any(score.quantiles for score in result.targets):
        console.print()
        _quantiles(console, shown_targets)
    if drawn := _number_panels(console, result.targets[:SHOWN]):
        console.print()
        panels(console, drawn)
    if not result.deviations:
        return
    console.print()
    true, predicted = _deviations(result)
    far = [
        (f"{guess} for {target}", _place(one))
        for one, target, guess in zip(result.deviations, true, predicted, strict=True)
    ]
    if images is not None and image_shape is not None:
        console.print(Text("Largest errors", style="bold"))
        shown = to_grey(images[[one.index for one in result.deviations]], image_shape)
        pictures(console, list(shown), [f"{words}\n{place}" for words, place in far])
    else:
        found: list[list[Cell]] = [
            [_place(one), target, guess] for one, target, guess in zip(result.deviations, true, predicted, strict=True)
        ]
        table(console, ["sample", "true", "predicted"], found, title="Largest errors")


def _quantiles(console: Console, scores: Sequence["TargetScore"]) -> None:
    """How many targets are at or below each predicted quantile, beside how many should be."""
    found = [(score.name, one) for score in scores for one in score.quantiles]
    losses = same_decimals([one.pinball for _, one in found])
    rows: list[list[Cell]] = [
        [Text(name), f"{one.level:g}", _percent(one.coverage), loss]
        for (name, one), loss in zip(found, losses, strict=True)
    ]
    table(
        console,
        ["target", "quantile", "at or below", "pinball loss"],
        rows,
        title="Share of the rows whose target is at or below the predicted quantile",
        spare=["pinball loss"],
    )


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


def _some(names: Sequence[str]) -> str:
    """The first of many names."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def _ranking_facts(ranking: "RankingScore") -> list[tuple[str, str | Text]]:
    return [
        ("ROC AUC", f"{_share(ranking.roc_auc)} for {ranking.positive}, 0.5 by chance"),
        ("average precision", f"{_share(ranking.average_precision)}, {ranking.share:.4f} by chance"),
        ("Brier score", f"{ranking.brier:.4f}, 0 at best"),
    ]


def _thresholds(console: Console, ranking: "RankingScore") -> None:
    """What each threshold would do, and the best among them."""
    scores = sorted(
        {score.threshold: score for score in (*ranking.thresholds, ranking.best)}.values(), key=attrgetter("threshold")
    )
    rows: list[list[Cell]] = [
        [
            f"{score.threshold:.4f}" + "*" * (score.threshold == ranking.best.threshold),
            *(_percent(value) for value in (score.precision, score.recall, score.f1, score.predicted)),
        ]
        for score in scores
    ]
    table(
        console,
        ["threshold", "precision", "recall", "F1", "predicted"],
        rows,
        title=f"{ranking.positive} is predicted where its probability is at least the threshold",
        explained={"predicted": "predicted: share of the rows for which it is"},
        footnotes=["* the best F1, chosen on these rows: on others it is likely to be lower"],
        spare=["predicted", "recall", "precision"],
    )


def _class_panels(console: Console, result: "Evaluation") -> list[Panel]:
    """Calibration, beside the ROC curve of two classes, otherwise beside how many samples have which probability."""
    found, ranking = result.calibration, result.ranking
    filled = [one for one in found.bins if one.n]
    points = Curve([one.probability for one in filled], [one.share for one in filled])
    title = f"Calibration (error {found.error:.2%}): share "
    if ranking is not None:
        roc, name = Curve(ranking.roc[:, 0].tolist(), ranking.roc[:, 1].tolist()), ranking.positive
        return [
            partial(_unit_chart, console, roc, "ROC: true positive rate", "false positive rate"),
            partial(_unit_chart, console, points, f"{title}of {name}", f"probability of {name}"),
        ]
    counts = [one.n for one in found.bins]
    what, counted = ("right", "Samples") if result.confusion.size else ("of yes", "Labels")
    return [
        partial(_unit_chart, console, points, title + what, "probability"),
        lambda width: histogram(
            console, counts, UNIT, title=f"{counted} by probability", x_label="probability", width=width
        ),
    ]


def _unit_chart(console: Console, curve: Curve, title: str, x_label: str, width: int) -> list[Text]:
    """A curve in the unit square with its diagonal."""
    curves = [Curve(UNIT, UNIT, FAINT, "."), curve]
    return chart(console, curves, title=title, x_label=x_label, x_ends=UNIT, y_ends=UNIT, width=width)


def _number_panels(console: Console, scores: Sequence["TargetScore"]) -> list[Panel]:
    """For each target predicted against true values, and the residuals."""
    found = list[Panel]()
    for score in scores:
        if score.residuals is not None:
            found += [partial(_predicted_by_true, console, score), partial(_residuals, console, score)]
    return found


def _predicted_by_true(console: Console, score: "TargetScore", width: int) -> list[Text]:
    assert score.residuals is not None
    points = score.residuals.points
    ends = float(points.min()), float(points.max())
    return chart(
        console,
        [Curve(ends, ends, FAINT, "."), Curve(points[:, 0].tolist(), points[:, 1].tolist(), joined=False)],
        title=f"{score.name}: predicted by true",
        x_label="true",
        x_ends=ends,
        y_ends=ends,
        width=width,
    )


def _residuals(console: Console, score: "TargetScore", width: int) -> list[Text]:
    assert score.residuals is not None
    counts, edges = score.residuals.counts.tolist(), score.residuals.edges
    return histogram(
        console,
        counts,
        (float(edges[0]), float(edges[-1])),
        title=f"{score.name}: samples by residual",
        x_label="predicted - true",
        width=width,
    )
