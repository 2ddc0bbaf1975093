"""What a network and a committee of networks have in common: whatever predicts or evaluates takes either."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jitnet.config import TARGETS, ModelConfig
from jitnet.datasets import Dataset, Scaling, Split
from jitnet.errors import ModelError
from jitnet.model.encoding import Samples
from jitnet.tables.preparation import Preparation
from jitnet.tables.table import Table

__all__ = ["AnyModel"]

Floats = npt.NDArray[np.float32]


class AnyModel(ABC):
    """A network or a committee, as it is used to predict; the attributes are those of `Model`.

    Those of a committee are of its leading member. They say what is predicted, with which loss, and which data it was
    trained on; to predict, each member applies its own.
    """

    config: ModelConfig
    class_names: tuple[str, ...]
    target_names: tuple[str, ...]
    target_scaling: Scaling
    image_shape: tuple[int, int] | None
    scaling: Scaling
    preparation: Preparation | None
    metadata: dict[str, str]

    @property
    @abstractmethod
    def members(self) -> "tuple[AnyModel, ...]":
        """The networks whose predictions are averaged."""

    @property
    @abstractmethod
    def is_named(self) -> bool:
        """Whether its classes have names: the data's or the caller's, not the mere numbers of an unknown data set."""

    @abstractmethod
    def predict(self, images: Samples, *, threads: int = 0) -> Floats:
        """Predictions for samples as stored in a data set, (n, outputs) float32; see `Model.predict`."""

    @abstractmethod
    def outputs(self, images: Samples, *, threads: int = 0) -> Floats:
        """The same, of targets that are numbers while they are standardised by `target_scaling`."""

    @abstractmethod
    def outputs_of_split(self, split: Split) -> Floats:
        """The same of the samples of a split; of the rows of a table those of what they become."""

    @abstractmethod
    def row_predictor(self, table: Table) -> Callable[[npt.NDArray[np.int64]], Floats]:
        """A function that predicts some rows of a table, by their numbers from 0. Raises DataError as `predict`."""

    @abstractmethod
    def save(self, path: str | Path) -> None:
        """Write it to a safetensors file, whole or not at all; OutputError where it cannot be written."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """The name of each column of predictions: of a class, a target, or a quantile of a target, as "price 0.1"."""
        if self.config.outputs_per_target == 1:
            return self.class_names or self.target_names
        return tuple(f"{name} {level:g}" for name in self.target_names for level in self.config.quantiles)

    @abstractmethod
    def check_features(self, dataset: Dataset) -> None:
        """ModelError where samples have more or fewer values than it takes."""

    def check_target(self, target: str, where: str) -> None:
        """ModelError where data have targets of another kind, a name in `TARGETS`, than it predicts."""
        wanted = self.config.target
        if target != wanted:
            task = "label" if wanted == "label" else self.config.task
            raise ModelError(
                f"{where}: its targets are {TARGETS[target]}, the model predicts {TARGETS[wanted]}; use the kind of "
                f"data that it was trained on, or load it with task={task!r}"
            )
