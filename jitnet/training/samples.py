"""Samples made for every epoch, a chunk of batches at a time, beside the training: the data set is not copied."""

import numpy as np
import numpy.typing as npt

from jitnet.config import TrainConfig
from jitnet.datasets import Scaling, Split
from jitnet.engine.arena import Buffer
from jitnet.engine.sample_maker import SampleMaker
from jitnet.engine.setup import make_data
from jitnet.engine.state import Data
from jitnet.errors import UsageError
from jitnet.model import Model
from jitnet.model.encoding import encode, encode_targets
from jitnet.training.plan import Plan

__all__ = ["NewSamples"]


class NewSamples:
    """Makes an epoch's samples, chunk by chunk. counting: 0, 1, 2, … int32, the order of a chunk's samples."""

    def __init__(
        self,
        split: Split,
        image_shape: tuple[int, int] | None,
        model: Model,
        config: TrainConfig,
        plan: Plan,
        scaling: Scaling | None = None,
    ) -> None:
        """UsageError where images are to be distorted that have no shape, or are not bytes. scaling: of the samples,
        the model's where it is left out."""
        images, features = encode(split.images, scaling or model.scaling)
        if config.augment.active:
            lacking = "an image shape" if image_shape is None else "" if len(images) else "one byte a pixel"
            if lacking:
                raise UsageError.of_fields(
                    "<augment.shift>, <augment.rotation>, <augment.scaling>, <augment.shear> and <augment.elastic> "
                    f"distort grey images of one byte a pixel; this data lacks {lacking}"
                )
        self._labels = np.require(split.labels, np.int32, ["C", "W"])
        self._weights = split.weights
        self._targets = None if split.targets is None else encode_targets(split.targets, model.target_scaling)
        self._plan, self._maker = plan, SampleMaker(images, features, image_shape, config, plan.threads)
        self.counting = np.zeros(0, np.int32)
        self._entries = Buffer(np.uint32)

    def draw(self, epoch: int, indices: npt.NDArray[np.int32], times: dict[str, float] | None = None) -> Data:
        """The samples `indices` of the data set as they are in this epoch, in that order; valid until the next call,
        which overwrites them.

        times: gains the seconds of each operation that makes them.
        """
        if len(indices) > len(self.counting):
            self.counting = np.arange(len(indices), dtype=np.int32)
        plan, of_classes = self._plan, self._targets is None
        made = self._maker.make(epoch, indices, times)
        return make_data(
            *made,
            self._labels[indices] if of_classes else self._labels,
            skips_zeros=plan.skips_zeros,
            threads=plan.threads,
            targets=None if self._targets is None else self._targets[indices],
            weights=None if self._weights is None else self._weights[indices],
            entries=self._entries,
            times=times,
        )
