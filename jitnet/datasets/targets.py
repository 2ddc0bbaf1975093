"""Targets that are numbers or yes/no labels: which data have them, and how they become what a network is trained on.

One rule for all sources. Labels are classes where they are words, whole numbers, booleans or one-hot rows, and where
the source names classes. They are numbers where an array of floats holds fractions, where the source names targets, and
where the caller says so. Text, as in a CSV file, is not examined: its labels are classes unless the caller says that
they are numbers.

Labels are several answers of yes or no where the caller says so, by the task "label" or by names of targets that are to
be classified; and where the source names targets that are booleans.

A network is trained on standardised targets, as it is on standardised features: of the rows that are trained on, each
target's mean becomes 0 and its standard deviation 1. Predictions are converted back to their unit. A loss may need
another scaling: counts are divided by their mean.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.config import TASKS
from jitnet.config.checking import any_of
from jitnet.datasets.dataset import Scaling
from jitnet.datasets.labels import check_names
from jitnet.datasets.raw import RawData
from jitnet.errors import DataError, ModelError, UsageError

__all__ = [
    "check_spread",
    "default_names",
    "fractions_notice",
    "match_targets",
    "resolve_numbers",
    "resolve_yes_no",
    "scale_targets",
    "standardise_targets",
    "target_of",
    "task_of",
]

Numbers = npt.NDArray[np.float64]

LARGEST = float(np.finfo(np.float32).max) / 2
COARSEST = 0.01
"""The largest step between two float32 numbers at the size of a target, in its standard deviations: rounding to such
steps adds less than a hundred-thousandth of the variance to the squared error."""


def task_of(data: RawData, task: str = "auto") -> str:
    """What data are for, a name in TASKS; task: one of these, or "auto" for the rule above."""
    if task != "auto":
        if task not in TASKS:
            raise UsageError(f"task: there is no {task!r}; expected {any_of(['auto', *TASKS, 'label'])}")
        return task
    if data.target_names is not None:
        return "regress"
    if data.class_names is not None or data.is_text or data.train is None:
        return "classify"
    labels = np.asarray(data.train.labels)
    if labels.dtype.kind != "f":
        return "classify"
    finite = labels[np.isfinite(labels)]
    return "regress" if (finite != np.floor(finite)).any() else "classify"


def target_of(data: RawData, task: str = "auto") -> str:
    """What a target is, a name in TARGETS; task: one in TASKS, "label", or "auto" for the rule above."""
    if task == "label":
        return "label"
    named = data.target_names is not None
    if task_of(data, task) == "classify":
        return "label" if named else "class"
    booleans = data.train is not None and np.asarray(data.train.labels).dtype.kind == "b"
    return "label" if task == "auto" and named and booleans else "number"


def fractions_notice(data: RawData, task: str) -> str:
    """A notice where numbers were not requested and most labels are whole, as when a class is damaged; else ""."""
    if task != "auto" or data.target_names is not None or data.train is None:
        return ""
    labels = np.asarray(data.train.labels, np.float64)
    broken = labels != np.floor(labels)
    if 2 * np.count_nonzero(broken) >= broken.size:
        return ""
    at = tuple(np.argwhere(broken)[0])
    return (
        f"{data.train.labels_from}: {labels[at]:g} of sample {at[0]} (from 0) is not a whole number, so all labels are "
        f"taken as numbers to predict; {data.advice.not_numbers}"
    )


def default_names(count: int) -> tuple[str, ...]:
    """The names of targets that have none."""
    return ("target",) if count == 1 else tuple(f"target {k}" for k in range(count))


def resolve_numbers(data: RawData) -> tuple[tuple[str, ...], list[Numbers]]:
    """Names of the targets, and (n, n_targets) float64 for the training split and, where there is one, the test split.

    Raises DataError for what is not a finite number, for another number of targets than the other split has, and as
    `check_spread` does.
    """
    names, found, where = _named(data)
    check_spread(found[0], names, where)
    return names, found


def resolve_yes_no(data: RawData) -> tuple[tuple[str, ...], list[npt.NDArray[np.bool_]]]:
    """Names of the labels, and (n, n_labels) bool for the training split and, where there is one, the test split.

    Raises DataError for what is neither 0 nor 1, for another number of labels than the other split has, and where all
    training samples have the same.
    """
    names, found, where = _named(data)
    wheres = [raw.labels_from for raw in (data.train, data.test) if raw is not None]
    for numbers, place in zip(found, wheres, strict=True):
        bad = (numbers != 0.0) & (numbers != 1.0)
        if bad.any():
            row, column = (int(k) for k in np.argwhere(bad)[0])
            raise DataError(
                f"{place}: label {column} of sample {row} (both counted from 0) is {numbers[row, column]:g}; expected "
                "0 or 1, no or yes"
            )
    if (found[0] == found[0][0]).all():
        raise DataError(f"{where}: all samples have the same labels; expected both 0 and 1 for one of them at least")
    return names, [numbers == 1.0 for numbers in found]


def _named(data: RawData) -> tuple[tuple[str, ...], list[Numbers], str]:
    """Names of the targets, their numbers in each split, and where those of the training split are."""
    splits = [(raw.labels, raw.labels_from) for raw in (data.train, data.test) if raw is not None]
    found = [_numbers(labels, where) for labels, where in splits]
    count, where = found[0].shape[1], splits[0][1]
    if found[-1].shape[1] != count:
        raise DataError(f"{splits[-1][1]}: has {_per_sample(found[-1].shape[1])}; expected {count}, as in {where}")
    names = check_names(data.target_names or default_names(count), where, "target")
    if len(names) != count:
        raise DataError(
            f"{where}: has {_per_sample(count)}, and {len(names)} name{'s' * (len(names) != 1)} of targets; expected "
            "one each"
        )
    return names, found, where


def _per_sample(count: int) -> str:
    return f"{count} target{'s' * (count != 1)} per sample"


def _numbers(labels: np.ndarray, where: str) -> Numbers:
    labels = np.asarray(labels)
    if not labels.size:
        raise DataError(f"{where}: holds no targets")
    if labels.dtype.kind not in "buif" or labels.ndim not in (1, 2):
        raise DataError(
            f"{where}: targets are of type {labels.dtype} and shape {labels.shape}; expected numbers, (samples,) or "
            "(samples, targets)"
        )
    numbers = np.ascontiguousarray(labels, np.float64).reshape(len(labels), -1)
    bad = ~(np.abs(numbers) <= LARGEST)
    if bad.any():
        row, column = (int(k) for k in np.argwhere(bad)[0])
        place = (
            f"target {column} of sample {row} (both counted from 0)"
            if labels.ndim == 2
            else f"target of sample {row} (from 0)"
        )
        raise DataError(
            f"{where}: the {place} is {numbers[row, column]:g}; expected finite numbers up to {LARGEST:.2g}"
        )
    return numbers


def check_spread(targets: Numbers, names: Sequence[str], where: str) -> None:
    """DataError where targets that are trained on, (n, n_targets), are all equal, or vary by so little for their size
    that predictions, which are float32, could not tell them apart."""
    if (targets == targets[0]).all():
        values = ", ".join(f"{value:g}" for value in targets[0])
        all_are = "the only target is" if len(targets) == 1 else f"all {len(targets)} targets are"
        raise DataError(f"{where}: {all_are} {values}; expected numbers that differ")
    size, deviation = np.abs(targets).max(axis=0), targets.std(axis=0)
    step = np.spacing(size.astype(np.float32)).astype(np.float64)
    coarse = (targets.min(axis=0) < targets.max(axis=0)) & (step > COARSEST * deviation)
    if coarse.any():
        k = int(coarse.argmax())
        whose = "its targets" if len(names) == 1 else f"the numbers of the target {names[k]!r}"
        spread = np.ptp(targets[:, k])
        remedy = "multiply them by a constant" if size[k] < np.finfo(np.float32).tiny else "subtract a constant"
        raise DataError(
            f"{where}: {whose} are up to {size[k]:.3g} in size and spread over {spread:.2g}; float32, the type of "
            f"predictions, has steps of {step[k]:.2g} there and cannot tell them apart well; {remedy}"
        )


def standardise_targets(targets: npt.NDArray[Any]) -> Scaling:
    """Mean and inverse standard deviation of each target, (n_targets,) float64; one that never changes has scale 1."""
    mean, deviation = targets.mean(axis=0), targets.std(axis=0)
    varies = (targets.min(axis=0) < targets.max(axis=0)) & (deviation > 0.0)
    return Scaling(mean, 1.0 / np.where(varies, deviation, 1.0))


def scale_targets(targets: npt.NDArray[Any], scaling: str) -> Scaling:
    """The scaling of targets that are trained on, (n, n_targets): "standardised"; "by mean", divided by each target's
    mean; or "", as they are."""
    if scaling == "standardised":
        return standardise_targets(targets)
    if scaling == "by mean":
        mean = np.asarray(targets, np.float64).mean(axis=0)
        return Scaling(np.zeros(len(mean)), 1.0 / np.where(mean > 0.0, mean, 1.0))
    return Scaling()


def match_targets(names: Sequence[str], wanted: Sequence[str], targets: Numbers, where: str) -> Numbers:
    """Targets of these names in the order of others, by name; by position where one of the two has no names.

    Raises ModelError where the names, or their numbers, differ.
    """
    if len(names) != len(wanted):
        raise ModelError(
            f"{where}: has {_per_sample(len(names))}, the model predicts {len(wanted)}; use data with the targets that "
            "it was trained on, or train a model on these"
        )
    unnamed = default_names(len(wanted))
    if tuple(names) == tuple(wanted) or unnamed in (tuple(names), tuple(wanted)):
        return targets
    if set(names) != set(wanted):
        raise ModelError(
            f"{where}: has the targets {', '.join(names)}; the model predicts {', '.join(wanted)}; rename them, or "
            "train a model on these"
        )
    return np.ascontiguousarray(targets[:, [list(names).index(name) for name in wanted]])
