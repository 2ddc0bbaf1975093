"""Samples made anew for every epoch: distorted images, dropped inputs.

They are made a chunk of batches at a time, beside the training and in parallel, into one small buffer: there is no
second copy of the data set. Each is a function of (seed, epoch, sample), so neither threads nor chunks show in it.
"""

import numpy as np
import numpy.typing as npt

from jitnet.config import TrainConfig
from jitnet.datasets import Split
from jitnet.errors import UsageError
from jitnet.kernels.augment import augment_rows, scratch_size, settings
from jitnet.kernels.dropout import drop_inputs
from jitnet.model import Model
from jitnet.state import Source, aligned, no_source
from jitnet.training.plan import Plan, lists_of

__all__ = ["FreshSamples"]


class FreshSamples:
    """Makes an epoch's samples, chunk by chunk. counting: 0, 1, 2, … int32, the order of a chunk's samples."""

    def __init__(
        self, split: Split, image_shape: tuple[int, int] | None, model: Model, config: TrainConfig, plan: Plan
    ) -> None:
        """UsageError where images are to be distorted that have no shape, or are no bytes."""
        self._images, self._features = model.inputs(split.images)
        self._labels = np.require(split.labels, np.int32, ["C", "W"])
        self._config, self._sparse = config, plan.sparse
        self._distorting = config.augment.active
        if self._distorting:
            lacking = "an image shape" if image_shape is None else "one byte a pixel" if len(self._images) == 0 else ""
            if image_shape is None or lacking:
                raise UsageError(
                    "--shift, --rotation, --scaling, --shear and --elastic distort grey images of one byte a pixel; "
                    f"this data lacks {lacking}"
                )
            self._shape, self._settings = image_shape, settings(config.augment)
            self._scratch = aligned(plan.threads * scratch_size(*image_shape, self._settings)).reshape(plan.threads, -1)
        self.counting = np.zeros(0, np.int32)

    def draw(self, epoch: int, rows: npt.NDArray[np.int32]) -> Source:
        """The samples `rows` of the data set as they are in this epoch, in that order."""
        if len(rows) > len(self.counting):
            self.counting = np.arange(len(rows), dtype=np.int32)
        labels = self._labels[rows]
        if len(self._images) == 0:
            features = self._features[rows]
            self._drop(features, epoch, rows)
            features *= np.float32(1.0 / (1.0 - self._config.input_dropout))
            return no_source()._replace(features=features, labels=labels)
        if self._distorting:
            images = np.empty((len(rows), self._images.shape[1]), np.uint8)
            seed = np.uint64(self._config.seed)
            augment_rows(
                self._images, rows, *self._shape, seed, np.uint64(epoch), self._settings, self._scratch, images
            )
        else:
            images = self._images[rows]
        self._drop(images, epoch, rows)
        if not self._sparse:
            return no_source()._replace(images=images, labels=labels)
        starts, entries = lists_of(images)
        return Source(images, self._features, starts, entries, labels, True)

    def _drop(
        self, samples: npt.NDArray[np.uint8] | npt.NDArray[np.float32], epoch: int, rows: npt.NDArray[np.int32]
    ) -> None:
        if self._config.input_dropout:
            drop_inputs(samples, rows, self._config.input_dropout, np.uint64(self._config.seed), epoch)
