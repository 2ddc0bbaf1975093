"""Early stopping: which epoch is best by which measure, and when there is reason to stop."""

import numpy as np
import pytest

import jitnet
from jitnet.training.history import EpochReport
from jitnet.training.stopping import EarlyStopping

REPORTS = [(0.5, 0.9), (0.7, 0.6), (0.9, 0.7), (0.8, 0.8), (0.6, 0.65)]
"""Accuracy and loss on held-out data, epoch by epoch: best in the third by the one, in the second by the other."""


def looked(**fields):
    """What was best, and each epoch's reason to stop."""
    stopping = EarlyStopping(jitnet.TrainConfig(val_split=0.2, **fields))
    reasons = []
    for epoch, (accuracy, loss) in enumerate(REPORTS, 1):
        report = EpochReport(epoch, 1.0, 0.5, None, None, loss, accuracy, 1.0, 1.0, 0.1)
        reasons.append(stopping.look(report, np.full(6, epoch, np.float32)))
    return stopping.best, reasons


@pytest.mark.parametrize(("monitor", "best"), [("accuracy", 3), ("loss", 2)])
def test_the_best_epoch_has_the_highest_accuracy_or_the_lowest_loss(monitor, best):
    epoch, parameters = looked(monitor=monitor)[0]
    assert epoch == best
    assert (parameters == best).all()


@pytest.mark.parametrize(("monitor", "end"), [("accuracy", 5), ("loss", 4)])
def test_patience_counts_from_the_best_epoch(monitor, end):
    reasons = looked(monitor=monitor, patience=2)[1]
    assert reasons[: end - 1] == [""] * (end - 1)
    assert reasons[end - 1] == f"no better {monitor} on the held-out data for 2 epochs"


EQUAL = [(0.8, 0.9), (0.9, 0.5), (0.7, 0.7), (0.9, 0.5), (0.9, 0.6), (0.8, 0.8)]
"""Equally good in several epochs, by either measure."""


@pytest.mark.parametrize(
    ("keep", "monitor", "kept"),
    [
        ("best", "accuracy", 2),
        ("latest-best", "accuracy", 5),
        ("best", "loss", 2),
        ("latest-best", "loss", 4),
        ("last", "accuracy", None),
    ],
)
def test_of_equally_good_epochs_the_first_or_the_latest_is_kept(monkeypatch, keep, monitor, kept):
    monkeypatch.setattr("test_training_stopping.REPORTS", EQUAL)
    best, reasons = looked(keep=keep, monitor=monitor, patience=4)
    assert (best and best[0]) == kept
    assert (best[1] == kept).all() if best else kept is None
    assert [bool(reason) for reason in reasons] == [False] * 5 + [True], "patience counts what is better"
