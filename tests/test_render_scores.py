"""What an evaluation shows: scores beside what guessing gives, thresholds, and charts that agree with the numbers."""

import io
import re
from collections.abc import Callable

import fake_records as fake
import numpy as np
import pytest
from rich.console import Console

from jitnet import render
from jitnet.evaluation import Evaluation, calibration, ranking_score, target_score
from jitnet.model.fit import Commonest
from jitnet.render.charts import Curve, chart, histogram, panels
from jitnet.render.console import IN_ASCII


def lines_of(show: Callable[[Console], None], width: int | None = 80, *, ascii_only: bool = False) -> list[str]:
    raw, encoding = io.BytesIO(), "ascii" if ascii_only else "utf-8"
    file = io.TextIOWrapper(raw, encoding=encoding, errors=IN_ASCII, write_through=True)
    show(render.make_console(file, terminal=width is not None, width=width, colour=False))
    return [line.rstrip() for line in raw.getvalue().decode(encoding).splitlines()]


def shown(result: object, width: int | None = 80, *, ascii_only: bool = False) -> list[str]:
    return lines_of(lambda console: render.evaluation(console, result), width, ascii_only=ascii_only)


def the_line(lines: list[str], start: str) -> str:
    return next(line for line in lines if line.startswith(start))


def test_an_accuracy_is_beside_what_the_commonest_class_gives():
    result = fake.evaluation()
    result.commonest = Commonest("7", 0.1135)
    assert the_line(shown(result), "accuracy").endswith(" wrong); always predicting 7 gives 11.35%")


def summary(**fields: object) -> list[str]:
    """The lines of a training's summary, with shares that tell its parts apart."""
    shares = {"train": Commonest("a", 0.5), "val": Commonest("a", 0.25), "test": Commonest("b", 0.75)}
    final_test = fields.pop("final_test", None)

    def show(console: Console) -> None:
        with render.TrainingView(render.Consoles(console, console, console), 1) as view:
            view.epoch(fake.epoch(1, 1, **fields))
            view.summary(commonest=shares, final_test=final_test)

    return lines_of(show, None)


def test_a_trained_accuracy_is_beside_what_the_commonest_class_gives():
    assert the_line(summary(), "best test accuracy").endswith(" in epoch 1; always predicting b gives 75.00%")
    lines = summary(val_accuracy=0.93, test_accuracy=None, final_test=(0.3, 0.9))
    assert the_line(lines, "best validation accuracy").endswith(" in epoch 1; always predicting a gives 25.00%")
    assert the_line(lines, "test accuracy").endswith("90.00%, evaluated once; always predicting b gives 75.00%")
    line = the_line(summary(test_accuracy=None), "training accuracy")
    assert line.endswith("no others to evaluate on; always predicting a gives 50.00%")


def test_a_class_that_is_never_predicted_is_named():
    result = fake.evaluation()
    assert not [line for line in shown(result) if "never" in line]
    result.never_predicted = ("3", "8")
    assert the_line(shown(result), "never predicted").split() == ["never", "predicted", "3,", "8"]
    result.never_predicted = tuple(f"class{k}" for k in range(30))
    assert "class9 and 20 more" in " ".join(shown(result))


def test_two_classes_have_thresholds_of_which_the_best_is_marked():
    result = fake.evaluation(("no", "yes"), 0)
    lines = shown(result)
    assert "yes is predicted where its probability is at least the threshold" in lines
    rows = [line.split() for line in lines if re.match(r" +0\.\d{4}", line)]
    assert len(rows) == len({*(score.threshold for score in result.ranking.thresholds), result.ranking.best.threshold})
    best = result.ranking.best
    [marked] = [row for row in rows if row[0].endswith("*")]
    shares = (best.precision, best.recall, best.f1, best.predicted)
    assert marked == [f"{best.threshold:.4f}*", *(f"{share:.2%}" for share in shares)]
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert "* the best F1, chosen on these rows: on others it is likely to be lower" in lines
    assert the_line(lines, "ROC AUC").split()[2] == f"{result.ranking.roc_auc:.4f}"
    assert the_line(lines, "average precision").endswith(f"{result.ranking.share:.4f} by chance")
    assert the_line(lines, "Brier score").split()[2] == f"{result.ranking.brier:.4f},"
    assert not [line for line in shown(fake.evaluation()) if "threshold" in line or "ROC" in line]


@pytest.mark.parametrize("width", [80, 120, None])
def test_charts_are_side_by_side_where_there_is_room(width):
    lines = shown(fake.evaluation(("no", "yes"), 0), width)
    assert re.search(
        r"^ROC: true positive rate +Calibration .error \d\.\d\d%.: share of yes$", "\n".join(lines), re.MULTILINE
    )
    lines = shown(fake.evaluation(), width)
    assert re.search(
        r"^Calibration .error \d\.\d\d%.: share right +Samples by probability$", "\n".join(lines), re.MULTILINE
    )
    lines = shown(fake.numbers_evaluation(), width)
    assert re.search(r"^height: predicted by true +height: samples by residual$", "\n".join(lines), re.MULTILINE)


def test_the_calibration_error_is_in_the_title():
    result = fake.evaluation()
    assert f"Calibration (error {result.calibration.error:.2%}): share right" in " ".join(shown(result))


def test_charts_are_one_below_the_other_in_a_narrow_terminal():
    lines = shown(fake.evaluation(("no", "yes"), 0), 50)
    assert lines.index(the_line(lines, "Calibration")) > lines.index("ROC: true positive rate") + 9


@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_pipe_gets_plain_lines(ascii_only):
    for result in (fake.evaluation(), fake.evaluation(("no", "yes"), 0), fake.numbers_evaluation()):
        lines = shown(result, None, ascii_only=ascii_only)
        assert not [line for line in lines if "\x1b" in line or "\r" in line or len(line) > 120]
        assert all(line.isascii() for line in lines) is ascii_only


def test_of_one_class_only_a_dash_is_shown_for_what_is_not_known():
    result = fake.evaluation(("no", "yes"), 0)
    result.ranking = ranking_score("yes", np.zeros(4), np.array([0.1, 0.2, 0.2, 0.3]))
    result.calibration = calibration(np.zeros(4), np.array([0.1, 0.2, 0.2, 0.3]))
    lines = shown(result)
    assert the_line(lines, "ROC AUC").split()[2] == "-"
    assert not [line for line in lines if "nan" in line.lower()]


def test_bias_and_charts_of_the_first_targets():
    lines = shown(fake.numbers_evaluation(tuple(f"target {k}" for k in range(5))))
    assert the_line(lines, "target 1").split() == ["target", "1", "12.35", "9.877", "0.9123", "-0.1234"]
    assert [line.split(":")[0] for line in lines if "predicted by true" in line] == ["target 0", "target 1", "target 2"]


def test_perfect_and_constant_predictions_are_drawn():
    for predicted in (np.arange(9.0), np.full(9, 4.0)):
        score = target_score("y", np.arange(9.0), predicted)
        lines = shown(Evaluation(0.0, 9, "regress", rmse=0.0, mae=0.0, r2=1.0, bias=0.0, targets=(score,)))
        assert [line for line in lines if line.startswith("y: predicted by true")]
        assert not [line for line in lines if "nan" in line]
    score = target_score("y", np.full(9, 4.0), np.full(9, 4.0))
    lines = shown(Evaluation(0.0, 9, "regress", rmse=0.0, mae=0.0, r2=float("nan"), bias=0.0, targets=(score,)))
    assert the_line(lines, "y  ").split() == ["y", "0.000", "0.000", "-", "0.000"]


def body(lines: list[str]) -> list[str]:
    """The rows of a chart in ASCII, from their axis on, the highest first."""
    return [line.split("|")[1] for line in lines if "|" in line]


def drawn(console: Console, lines: list) -> None:
    for line in lines:
        console.print(line)


def test_points_are_where_their_numbers_say():
    points = Curve([0.0, 0.5, 1.0, 0.0], [0.0, 0.5, 1.0, 1.0], joined=False)
    ends = (0.0, 1.0)
    lines = lines_of(
        lambda console: drawn(console, chart(console, [points], x_ends=ends, y_ends=ends, width=17, height=5)),
        ascii_only=True,
    )
    rows = body(lines)
    assert [row.count("*") for row in rows] == [2, 0, 1, 0, 1]
    assert rows[0].index("*") == rows[4].index("*") == 0
    assert rows[0].rindex("*") == len(lines[-2].split("+")[1]) - 1
    assert [line.split()[0] for line in lines[:5:2]] == ["1", "0.5", "0"]


def test_the_later_curve_is_on_top_and_points_beyond_the_ends_are_left_out():
    ends = (0.0, 1.0)
    below, above = Curve([0.0, 1.0], [0.0, 0.0], mark="."), Curve([0.0, 1.0], [0.0, 0.0])
    far = Curve([-5.0, 7.0], [9.0, -9.0], mark="x", joined=False)
    lines = lines_of(
        lambda console: drawn(
            console, chart(console, [below, above, far], x_ends=ends, y_ends=ends, width=20, height=3)
        ),
        ascii_only=True,
    )
    assert set("".join(body(lines))) == {"*"}


def test_a_histogram_has_a_column_for_each_bin():
    lines = lines_of(
        lambda console: drawn(
            console, histogram(console, [0, 400, 1, 200], (-2.0, 2.0), width=20, height=4, x_label="error")
        ),
        ascii_only=True,
    )
    assert body(lines) == ["   ###", "   ###", "   ###   ###", "   ###...###"]
    assert lines[0].startswith("400 |")
    assert lines[-1].split() == ["-2", "error", "2"]


def test_an_odd_panel_has_its_line_to_itself():
    def show(console: Console) -> None:
        panels(console, [lambda width: histogram(console, [1, 2], (0, 1), title=f"at most {width}", width=width)] * 3)

    lines = lines_of(show, 80)
    assert [line.count("at most") for line in lines if "at most" in line] == [2, 1]
    assert "" in lines


def test_labels_have_a_row_each_with_its_accuracy_beside_the_commonest():
    result = fake.labels_evaluation()
    lines = shown(result)
    red = result.classes[0]
    shares = [f"{share:.2%}" for share in (red.accuracy, red.commonest, red.precision, red.recall, red.f1)]
    assert the_line(lines, "red").split() == ["red", *shares, f"{red.roc_auc:.4f}", str(red.support)]
    wrong = sum(score.n_wrong for score in result.classes)
    told = f"75.00% ({wrong} of 600 labels wrong); always predicting what is commonest of each label gives 62.50%"
    assert " ".join(" ".join(lines[:2]).split()) == f"accuracy {told}"
    assert the_line(lines, "never predicted").split()[2:] == ["never", "seen"]
    text = "\n".join(lines)
    assert re.search(r"^Calibration .error \d\.\d\d%.: share of yes +Labels by probability$", text, re.MULTILINE)


def test_quantiles_show_what_they_cover():
    lines = shown(fake.quantiles_evaluation())
    assert ["height", "0.9", "91.25%", "3.250"] in [line.split() for line in lines]
    assert "Share of the rows whose target is at or below the predicted quantile" in lines
    assert "quantile" not in " ".join(shown(fake.numbers_evaluation()))
