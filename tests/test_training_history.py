"""What a run gave: the best epoch, the last accuracy, and a short table of it."""

from dataclasses import fields

import numpy as np

from jitnet.model.fit import Commonest
from jitnet.training.history import EpochReport, History


def report(epoch, test=None, val=None, loss=0.5, train=0.9):
    losses = (None if test is None else 0.4, test, None if val is None else 0.4, val)
    return EpochReport(epoch, loss, train, *losses, 0.1, 1000.0, 0.01)


def test_the_best_epoch_is_the_first_with_the_highest_watched_accuracy():
    tested = History((report(1, 0.8), report(2, 0.9), report(3, 0.9), report(4, 0.7)), "done")
    assert tested.best.epoch == 2
    assert tested.last_accuracy == 0.7
    held_out = History((report(1, 0.8, 0.6), report(2, 0.7, 0.65)), "done")
    assert held_out.best.epoch == 2
    assert held_out.last_accuracy == 0.65


def test_without_accuracies_to_watch_there_is_no_best():
    assert History((report(1), report(2)), "done").best is None
    assert History((), "not started").best is None
    assert History((report(1),), "done").last_accuracy == 0.0
    assert History((), "not started").last_accuracy == 0.0


def test_a_history_is_its_epochs():
    reports = (report(1, 0.8), report(2, 0.9))
    history = History(reports, "done")
    assert len(history) == 2
    assert tuple(history) == reports
    assert bool(history.epochs)


def test_each_field_of_the_reports_is_an_array():
    history = History((report(1, 0.8, loss=0.5), report(2, None, loss=0.25)), "done")
    assert history.train_loss.tolist() == [0.5, 0.25]
    assert history.train_loss.dtype == np.float64
    np.testing.assert_array_equal(history.test_accuracy, [0.8, np.nan])
    for field in fields(EpochReport):
        if field.name != "epoch":
            expected = [getattr(one, field.name) for one in history]
            np.testing.assert_array_equal(getattr(history, field.name), np.array(expected, float))
    assert History((), "not started").val_loss.shape == (0,)


def test_its_text_is_a_short_table():
    history = History((report(1, 0.8125, loss=0.51234), report(2, 0.9)), "trained for 2 epochs")
    assert repr(history).splitlines() == [
        "epoch    loss   train    test",
        "    1  0.5123  90.00%  81.25%",
        "    2  0.5000  90.00%  90.00%",
        "trained for 2 epochs",
    ]


def test_its_text_says_which_epoch_was_kept_and_what_the_test_data_gave():
    history = History((report(1, val=0.8), report(2, val=0.7)), "no better", kept=1, final_test=(0.3, 0.875))
    assert repr(history).splitlines() == [
        "epoch    loss   train  validation",
        "    1  0.5000  90.00%      80.00%",
        "    2  0.5000  90.00%      70.00%",
        "no better",
        "kept: epoch 1, the best on the held-out data",
        "test accuracy 87.50%, evaluated once",
    ]


def test_the_text_of_a_long_run_shows_its_ends():
    history = History(tuple(report(epoch, 0.5) for epoch in range(1, 101)), "trained for 100 epochs")
    lines = repr(history).splitlines()
    assert len(lines) == 15
    assert [line.split()[0] for line in lines[1:14]] == [*"123456", "…", "95", "96", "97", "98", "99", "100"]


def test_a_run_without_epochs_still_says_how_it_ended():
    assert repr(History((), "stopped in epoch 1")).splitlines()[-1] == "stopped in epoch 1"


def test_its_text_has_what_always_predicting_the_commonest_class_gives():
    commonest = {"train": Commonest("a", 0.5), "val": Commonest("a", 0.25), "test": Commonest("b", 0.75)}
    history = History((report(1, 0.8),), "done", commonest=commonest)
    assert (
        repr(history).splitlines()[-1]
        == "always predicting a gives 50.00% (train); always predicting b gives 75.00% (test)"
    )
    history = History((report(1, val=0.8),), "done", final_test=(0.3, 0.875), commonest=commonest)
    assert repr(history).splitlines()[-1] == (
        "always predicting a gives 50.00% (train); always predicting a gives 25.00% (validation); "
        "always predicting b gives 75.00% (test)"
    )
