"""What every reader returns: arrays as they are in a file, not yet checked, and where in the file they are."""

from dataclasses import dataclass

import numpy as np

from jitnet.datasets.compressed import CompressedRows
from jitnet.errors import DataError
from jitnet.tables.preparation import Preparation
from jitnet.tables.table import Table

__all__ = ["Raw", "RawData", "TaskAdvice", "place_of"]


@dataclass(frozen=True, eq=False)
class Raw:
    """One split as it is in a file.

    images: (n, features), (n, h, w), (n, 1, h, w) or (n, h, w, 1), any real type; or `CompressedRows`.
    labels: (n,) or (n, 1) whole numbers or words, or (n, n_classes) one-hot; or (n,) or (n, n_targets) numbers, or
    0 and 1 for labels that are yes or no.
    images_from, labels_from: the file and field, for messages.
    weights, weights_from: what each sample counts in the loss, any array, and where it is; None where all count alike.
    table: whose rows the samples are; None where they are no rows of a table.
    """

    images: np.ndarray | CompressedRows
    labels: np.ndarray
    images_from: str
    labels_from: str
    weights: np.ndarray | None = None
    weights_from: str = ""
    table: Table | None = None

    def place(self, sample: int) -> str:
        """Where a sample is, for messages: "in line 12", or "of sample 10 (from 0)"."""
        return place_of(sample) if self.table is None else f"in {self.table.row_in_words(sample)}"


def place_of(sample: int) -> str:
    """Where a sample is that has nothing but its number."""
    return f"of sample {sample} (from 0)"


@dataclass(frozen=True)
class TaskAdvice:
    """What a message says to do where labels look like those of the other task, in words that its reader can follow.

    not_classes: after a label that cannot be a class. not_numbers: after one that makes all labels numbers. not_words:
    after a word where numbers were asked for.
    """

    not_classes: str = (
        "expected classes, or task='regress' where these are numbers to predict, or task='label' where each is yes or "
        "no"
    )
    not_numbers: str = "if they are classes, correct it, or pass task='classify'"
    not_words: str = "task='classify' where these are classes"


@dataclass(frozen=True, eq=False)
class RawData:
    """What a reader found.

    class_names, target_names: as the file has them, else None.
    labels_hint: what to add to a message about wrong labels: where else they may be, from "; " on.
    is_text: numbers were read from text, whose spelling does not determine their type: labels may be words in one split
    and numbers in the other, and 0 and 1 among fractions are not bytes.
    advice: the caller's words for messages about the task.
    preparation: what made the values of the columns of a table; None for others.
    """

    train: Raw | None
    test: Raw | None
    class_names: tuple[str, ...] | None = None
    is_text: bool = False
    labels_hint: str = ""
    target_names: tuple[str, ...] | None = None
    advice: TaskAdvice = TaskAdvice()
    preparation: Preparation | None = None

    def only(self, source: str) -> Raw:
        """The split to test on: the test split where there is one, else the only split."""
        raw = self.test or self.train
        if raw is None:
            raise DataError(f"{source}: holds no samples")
        return raw
