"""A run, or several, as a figure in a file: PNG, SVG or PDF, drawn by matplotlib.

matplotlib is an optional library that takes long to import. Import this module where a file was asked for, not from the
package. The figure uses no window and no global state, and does not depend on a style or on the date. Lines differ in
form as well as in colour, and the colours in lightness, for print in grey and for the colour-blind.
"""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context, rcdefaults, rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from jitnet.render.curves import PART_NAMES, has_trained, watched_part
from jitnet.render.drawing import to_grey
from jitnet.render.run_views import score_in_words, setting_in_words

if TYPE_CHECKING:
    from jitnet.evaluation import Evaluation
    from jitnet.runs.run_comparison import RunCurves
    from jitnet.runs.run_figure_data import Judged

__all__ = ["run_figure", "run_file"]

METADATA: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}

# Of Okabe and Ito (2008), made for all kinds of colour vision, from dark to light.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#262626")
MARKERS = "os^DvPX"
INK, FAINT, GRID = "#262626", "#595959", "#d9d9d9"

WIDTH, CURVES, SCORES, MISTAKES, LIST, HEADING, LEGEND = 11.0, 2.7, 3.6, 3.5, 1.4, 0.55, 0.22
"""Inches: the figure, its rows, the lines above them, and a line of the legend."""

SIZE, SMALL, DPI = 9.0, 8.0, 150
MATRIX_NUMBERS = 15  # with more classes numbers in a matrix are too small to read
MATRIX_NAMES = 30
SHOWN = 2  # targets
LONGEST_NAME = 16
N_MISTAKES = 10


def run_file(
    runs: Sequence["RunCurves"], kind: str, judged: "Judged | None" = None, weights: Any = None, name: str = ""
) -> bytes:
    """The figure as the bytes of a file. kind: "png", "svg" or "pdf". judged, weights, name: as `run_figure` takes
    them."""
    with rc_context():
        rcdefaults()
        rcParams.update({"svg.hashsalt": "jitnet", "text.parse_math": False, "font.size": SIZE, "axes.titlesize": SIZE})
        rcParams.update({"axes.titleweight": "bold", "xtick.labelsize": SMALL, "ytick.labelsize": SMALL})
        rcParams.update({"axes.edgecolor": FAINT, "text.color": INK, "axes.labelcolor": INK})
        file = io.BytesIO()
        metadata: dict[str, Any] = {"Title": "jitnet: " + ", ".join(one.record.name for one in runs), **METADATA[kind]}
        run_figure(runs, judged, weights, name).savefig(file, format=kind, dpi=DPI, metadata=metadata)
        return file.getvalue()


def run_figure(
    runs: Sequence["RunCurves"],
    judged: "Judged | None" = None,
    weights: npt.NDArray[np.float32] | None = None,
    name: str = "",
) -> Figure:
    """Loss, score and learning rate of runs by epoch. Of one run, where these are passed: judged, its scores on data:
    confusion matrix or predicted against true, calibration, the worst mistakes; weights, (units, height, width).

    name: what the heading calls several runs; their number by default."""
    scores = _score_panels(judged, weights)
    has_mistakes = judged is not None and bool(judged.result.mistakes or judged.result.deviations)
    mistakes = LIST if judged is not None and judged.images is None else MISTAKES
    below = LEGEND * len(runs) + 0.1 if len(runs) > 1 else 0.0
    heights = [CURVES + below, *([SCORES] if scores else []), *([mistakes] if has_mistakes else [])]
    figure = Figure((WIDTH, HEADING + sum(heights)), dpi=DPI)
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.06)
    rows: Any = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).ravel()
    _heading(figure, runs, name)
    _curves(rows[0], runs)
    if scores:
        axes = np.atleast_1d(rows[1].subplots(1, len(scores)))
        for place, draw in zip(axes, scores, strict=True):
            draw(place)
    if has_mistakes and judged is not None:
        _mistakes(rows[-1], judged)
    return figure


def _heading(figure: Figure, runs: Sequence["RunCurves"], name: str) -> None:
    if len(runs) > 1:
        figure.suptitle(name or f"{len(runs)} runs", x=0.01, ha="left", fontsize=12, weight="bold")
        return
    record = runs[0].record
    settings = record.settings
    hidden = setting_in_words(settings.get("model.hidden"))
    about = [record.data, f"hidden layers {hidden}", str(settings.get("model.activation", ""))]
    about.append(f"{settings.get('train.optimizer', '')} {setting_in_words(settings.get('train.learning_rate'))}")
    score = record.score
    if score.best is not None:
        best = score_in_words(score.metric, score.best)
        about.append(f"best {PART_NAMES[score.part]} {score.metric} {best} in epoch {score.best_epoch}")
    title = record.name + "\n" + "   ".join(part for part in about if part.strip())
    heading = figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    heading.set_linespacing(1.5)


def _curves(row: SubFigure, runs: Sequence["RunCurves"]) -> None:
    """Loss, accuracy and learning rate by epoch; below, of several runs, the legend."""
    has_accuracy = any(one.get("train_accuracy") is not None for run in runs for one in run.reports)
    kinds = [
        ("loss", "loss"),
        *([("accuracy", "accuracy, %")] if has_accuracy else []),
        ("learning_rate", "learning rate"),
    ]
    places = row.subplots(1, len(kinds))
    for axes, (measure, title) in zip(places, kinds, strict=True):
        _plain(axes, title, "epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for number, run in enumerate(runs):
            _lines(axes, measure, number, run, len(runs) == 1, has_trained(runs))
        if measure == "learning_rate":
            axes.set_ylim(bottom=0.0)
        elif len(runs) == 1:
            axes.legend(fontsize=SMALL, frameon=False)
        if measure == "loss" and _spans(axes):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.set_title("loss, logarithmic", loc="left")
    if len(runs) > 1:
        # A column for what is dashed, and one for what is solid.
        lines = sorted(zip(*places[0].get_legend_handles_labels(), strict=True), key=lambda pair: pair[0].is_dashed())
        handles, labels = zip(*lines, strict=True)
        columns = 2 if len(lines) == 2 * len(runs) else 1
        row.legend(
            handles, labels, loc="outside lower left", fontsize=SMALL, frameon=False, ncols=columns, handlelength=4
        )


def _spans(axes: Axes) -> bool:
    """Whether the values are too different for an even scale."""
    values = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines])
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0.0 and values.max() / values.min() >= 20.0)


def _lines(axes: Axes, measure: str, number: int, run: "RunCurves", alone: bool, trained: bool) -> None:
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    epochs = [one["epoch"] for one in run.reports]
    every = max(1, len(epochs) // 8)
    style: dict[str, Any] = {"marker": "" if alone else marker, "markersize": 4, "markevery": every, "linewidth": 1.4}
    if measure == "learning_rate":
        axes.plot(epochs, [_number(one.get(measure)) for one in run.reports], color=colour, **style)
        return
    watched = watched_part(run.reports)
    unit = 100.0 if measure == "accuracy" else 1.0
    for part in (*(["train"] if trained or not watched else []), *([watched] if watched else [])):
        values = [unit * _number(one.get(f"{part}_{measure}")) for one in run.reports]
        held_out = part != "train" or not watched
        if len(epochs) == 1:
            style |= {"marker": marker}
        label = PART_NAMES[part] if alone else f"{run.record.name}, {PART_NAMES[part]}"
        shade = colour if held_out or not alone else COLOURS[1]
        axes.plot(epochs, values, color=shade, linestyle="-" if held_out else (0, (4, 2)), label=label, **style)


def _number(value: Any) -> float:
    return float(value) if value is not None else math.nan


def _plain(axes: Axes, title: str, x_label: str = "", y_label: str = "") -> None:
    axes.set_title(title, loc="left")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_axisbelow(True)
    axes.grid(True, color=GRID, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _score_panels(judged: "Judged | None", weights: npt.NDArray[np.float32] | None) -> list[Any]:
    """Functions that draw a panel each on axes."""
    panels: list[Any] = []
    if judged is not None:
        result = judged.result
        if result.confusion.size:
            panels.append(lambda axes: _confusion(axes, result))
        for score in result.targets[:SHOWN]:
            if score.residuals is not None:
                panels.append(lambda axes, score=score: _predicted_by_true(axes, score))
        if result.calibration.bins:
            panels.append(lambda axes: _calibration(axes, result))
        elif any(score.quantiles for score in result.targets):
            panels.append(lambda axes: _coverage(axes, result))
        elif result.targets and result.targets[0].residuals is not None:
            panels.append(lambda axes: _residuals(axes, result.targets[0]))
    if weights is not None:
        panels.append(lambda axes: _weights(axes, weights))
    return panels


def _confusion(axes: Axes, result: "Evaluation") -> None:
    counts, names = result.confusion, [_short(score.name, 10) for score in result.classes]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0.0, vmax=1.15)
    axes.set_title("confusion: true in rows, predicted in columns", loc="left")
    places = range(len(names)) if len(names) <= MATRIX_NAMES else []
    long = max(map(len, names)) > 3
    axes.set_xticks(places, names if places else [], rotation=90 if long else 0, fontsize=SMALL - 1)
    axes.set_yticks(places, names if places else [], fontsize=SMALL - 1)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if len(names) <= MATRIX_NUMBERS:
        size = 7.0 if counts.max() < 1000 and len(names) <= 10 else 6.0 if len(names) <= 10 else 5.0
        for (true, predicted), count in np.ndenumerate(counts):
            if count:
                ink = "white" if shares[true, predicted] > 0.4 else INK
                axes.text(predicted, true, f"{count}", ha="center", va="center", color=ink, fontsize=size)


def _calibration(axes: Axes, result: "Evaluation") -> None:
    what = (
        "of yes"
        if not result.confusion.size
        else "right"
        if result.ranking is None
        else f"of {result.ranking.positive}"
    )
    _plain(axes, f"calibration, error {result.calibration.error:.2%}", "probability", f"share {_short(what)}")
    filled = [one for one in result.calibration.bins if one.n]
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.9, linestyle=":")
    axes.plot(
        [one.probability for one in filled], [one.share for one in filled], color=COLOURS[0], marker="o", markersize=4
    )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")


def _coverage(axes: Axes, result: "Evaluation") -> None:
    _plain(axes, "rows at or below the predicted quantile", "quantile", "share of the rows")
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.9, linestyle=":")
    for number, score in enumerate(result.targets[:SHOWN]):
        levels, shares = [one.level for one in score.quantiles], [one.coverage for one in score.quantiles]
        colour, marker = COLOURS[number], MARKERS[number]
        axes.plot(levels, shares, color=colour, marker=marker, markersize=4, label=_short(score.name))
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(fontsize=SMALL, frameon=False)


def _predicted_by_true(axes: Axes, score: Any) -> None:
    points = score.residuals.points
    r2 = f", R² {score.r2:.4f}" if math.isfinite(score.r2) else ""
    _plain(axes, f"{_short(score.name)}{r2}", "true", "predicted")
    ends = float(points.min()), float(points.max())
    axes.plot(ends, ends, color=FAINT, linewidth=0.9, linestyle=":")
    axes.plot(points[:, 0], points[:, 1], color=COLOURS[0], linestyle="", marker="o", markersize=2.5, alpha=0.6)


def _residuals(axes: Axes, score: Any) -> None:
    _plain(axes, f"{_short(score.name)}: rows by residual", "predicted - true", "rows")
    edges = score.residuals.edges
    axes.bar(edges[:-1], score.residuals.counts, np.diff(edges), align="edge", color=COLOURS[0], edgecolor="white")


def _weights(axes: Axes, weights: npt.NDArray[np.float32]) -> None:
    """A mosaic of images, each on its own scale: 0 is grey, positive weights lighter, negative ones darker."""
    count, height, width = weights.shape
    square = max(1, math.ceil(math.sqrt(count * height / width)))
    columns = min(count, next((n for n in range(square, 2 * square) if count % n == 0), square))
    rows = -(-count // columns)
    gap = max(1, width // 14)
    mosaic = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for number, image in enumerate(weights):
        top, left = number // columns * (height + gap), number % columns * (width + gap)
        mosaic[top : top + height, left : left + width] = image / (np.abs(image).max() or 1.0)
    axes.imshow(mosaic, cmap="gray", vmin=-1.0, vmax=1.0, interpolation="nearest")
    axes.set_title(f"first layer: weights of {count} unit{'s' * (count != 1)}", loc="left")
    axes.axis("off")
    axes.set_anchor("N")  # beside others that are taller


def _mistakes(row: SubFigure, judged: "Judged") -> None:
    """The worst ones as images, or where samples are none as a list."""
    result = judged.result
    classes = [_short(score.name) for score in result.classes]
    if result.mistakes:
        title = "most confident mistakes"
        captions = [
            f"{_short(name, 24)}: {classes[one.label]}\nas {classes[one.predicted]}, {one.probability:.1%}"
            for name, one in zip(judged.names, result.mistakes, strict=True)
        ]
    else:
        title = "largest errors"
        captions = [
            f"{_short(name, 24)}: {_numbers(one.targets)}\npredicted {_numbers(one.predicted)}"
            for name, one in zip(judged.names, result.deviations, strict=True)
        ]
    row.suptitle(f"{title} ({judged.part})", x=0.01, ha="left", fontsize=SIZE, weight="bold")
    captions = captions[:N_MISTAKES]
    columns = 5
    places = row.subplots(-(-len(captions) // columns), columns, squeeze=False).ravel()
    images = None
    if judged.images is not None and judged.image_shape is not None:
        images = to_grey(judged.images, judged.image_shape)
    for number, axes in enumerate(places):
        axes.axis("off")
        if number >= len(captions):
            continue
        if images is not None:
            axes.imshow(images[number], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set_title(captions[number], fontsize=SMALL, weight="normal")
        else:
            axes.text(0.0, 0.5, captions[number], fontsize=SMALL, va="center")


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values[:SHOWN]) + (", …" if len(values) > SHOWN else "")


def _short(name: str, longest: int = LONGEST_NAME) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
