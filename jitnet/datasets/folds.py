"""Cross-validation: the rows of a data set divided into folds, each of which is tested on once.

Folds are stratified by class; rows of one group are in one fold; where rows have times, folds follow each other in
time, and each is tested on by what was trained on all rows before it (forward chaining). All that is learned from data,
such as scaling and what the columns of a table become, is learned from the rows that are trained on alone.
"""

import re
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from jitnet.datasets.assemble import refit
from jitnet.datasets.dataset import Dataset, Split, hashes
from jitnet.errors import DataError, UsageError

__all__ = ["Fold", "check_folds"]

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """One of `n_folds` folds, by its number from 1. Called with a data set, returns one that trains on its rows outside
    the fold and tests on those in it; the other's test part is not used."""

    number: int
    n_folds: int
    seed: int

    def __call__(self, dataset: Dataset) -> Dataset:
        train, test = self.rows(dataset.train)
        where = f"{dataset.source}, fold {self.number} of {self.n_folds}"
        return replace(refit(dataset, train, test, where), fold=str(self))

    def rows(self, split: Split) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """(n,) bool each: the rows to train on, and those to test on."""
        check_folds(split, self.n_folds)
        if split.times is not None:
            blocks = _blocks(split.times, self.n_folds + 1)
            return blocks < self.number, blocks == self.number
        places = _places(split, self.n_folds, self.seed)
        return places != self.number - 1, places == self.number - 1

    def __str__(self) -> str:
        return f"{self.number} of {self.n_folds}, seed {self.seed}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The fold that `str` wrote; DataError where it did not."""
        match = re.fullmatch(r"(\d+) of (\d+), seed (\d+)", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise DataError(f"there is no fold {text!r}; expected one as '1 of 5, seed 0'")
        return cls(*map(int, match.groups()))


def check_folds(split: Split, n_folds: int) -> None:
    """UsageError where rows cannot be divided into so many folds."""
    what, most = "row", len(split)
    if split.times is not None:
        what, most = "different time", len(np.unique(split.times)) - 1
    elif split.groups is not None:
        what, most = "group", len(np.unique(split.groups))
    if 2 <= n_folds <= most:
        return
    count = most + (split.times is not None)
    found = f"there {'is' if count == 1 else 'are'} {count:,} {what}{'s' * (count != 1)}"
    if split.times is not None:
        found += ", and the first ones are only trained on"
    if most < 2:
        raise UsageError.of_fields(f"<folds> is {n_folds}, and {found}; no folds can be made of these")
    raise UsageError.of_fields(f"<folds> is {n_folds}, and {found}; expected 2 to {most:,}")


def _places(split: Split, n_folds: int, seed: int) -> Rows:
    """The fold of each row, from 0."""
    if split.groups is not None:
        return _places_of_groups(split.groups, split.strata, n_folds, seed)
    # Dealt out one after another in the order of their strata, so that no two folds differ by more than one row, in
    # their size or in a stratum.
    order = np.lexsort((hashes(seed, len(split)), split.strata))
    places = np.empty(len(split), np.int64)
    places[order] = np.arange(len(split)) % n_folds
    return places


def _places_of_groups(groups: Rows, strata: Rows, n_folds: int, seed: int) -> Rows:
    """The same of whole groups: from the largest to the smallest, each is put where the squared shares of every class
    that the folds have grow least, so that sizes and classes are balanced."""
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    counts = np.zeros((len(sizes), int(strata.max()) + 1))
    np.add.at(counts, (codes, strata), 1.0)
    shares = counts / np.maximum(1.0, counts.sum(axis=0))
    loads, filled = np.zeros((n_folds, counts.shape[1])), np.zeros(n_folds)
    places = np.zeros(len(sizes), np.int64)
    for group in np.lexsort((hashes(seed, len(sizes)), -sizes)):
        growth = np.round(loads @ shares[group], 12)  # beside what is the same for all folds
        place = int(np.lexsort((filled, growth))[0])
        places[group] = place
        loads[place] += shares[group]
        filled[place] += sizes[group]
    return places[codes]


def _blocks(times: npt.NDArray[np.generic], n_blocks: int) -> Rows:
    """The block of each row, from 0, in the order of times: of about the same size, and rows of one time in one
    block; at least one time in each."""
    distinct, codes, sizes = np.unique(times, return_inverse=True, return_counts=True)
    middle = np.cumsum(sizes) - sizes / 2
    wanted = np.floor(middle * n_blocks / len(times)).astype(np.int64)
    # No block is skipped, and enough times are left for those that follow.
    block = np.zeros(len(distinct), np.int64)
    for k in range(1, len(distinct)):
        least = max(int(block[k - 1]), n_blocks - (len(distinct) - k))
        block[k] = min(max(least, int(wanted[k])), int(block[k - 1]) + 1)
    return block[codes.reshape(-1)]
