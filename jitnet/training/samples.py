"""Samples made anew for every epoch: distorted images, dropped inputs.

They are made a chunk of batches at a time, beside the training and in parallel, into one small buffer: there is no
second copy of the data set. Each is a function of (seed, epoch, sample), so neither threads nor chunks show in it.
"""

import numpy as np
import numpy.typing as npt

from jitnet.config import TrainConfig
from jitnet.datasets import Split
from jitnet.engine.costs import Sizes
from jitnet.engine.program import on_data
from jitnet.engine.setup import make_data, make_settings, run_on_data
from jitnet.engine.state import Data, aligned, empty_run, no_outputs
from jitnet.errors import UsageError
from jitnet.kernels.augment import distortion_settings, scratch_size
from jitnet.model import Model
from jitnet.training.plan import Plan

__all__ = ["NewSamples"]


class NewSamples:
    """Makes an epoch's samples, chunk by chunk. counting: 0, 1, 2, … int32, the order of a chunk's samples."""

    def __init__(
        self, split: Split, image_shape: tuple[int, int] | None, model: Model, config: TrainConfig, plan: Plan
    ) -> None:
        """UsageError where images are to be distorted that have no shape, or are no bytes."""
        self._images, self._features = model.inputs(split.images)
        self._labels = np.require(split.labels, np.int32, ["C", "W"])
        self._plan, self._has_bytes = plan, len(self._images) > 0
        self._distorting, self._dropping = config.augment.active, config.input_dropout > 0.0
        distortion = distortion_settings(config.augment)
        height, width = image_shape or (0, 0)
        if self._distorting:
            lacking = "an image shape" if image_shape is None else "" if self._has_bytes else "one byte a pixel"
            if lacking:
                raise UsageError(
                    "--shift, --rotation, --scaling, --shear and --elastic distort grey images of one byte a pixel; "
                    f"this data lacks {lacking}"
                )
        run = empty_run()
        pixels = scratch_size(height, width, distortion) if self._distorting else 0
        state = run.state._replace(pixels=aligned(plan.threads * pixels).reshape(plan.threads, -1))
        run.call.has_bytes, run.call.height, run.call.width = self._has_bytes, height, width
        self._run = run._replace(settings=make_settings(model.config, config), distortion=distortion, state=state)
        self._sizes = Sizes(
            1,
            model.config.in_features,
            item=1.0 if self._has_bytes else 4.0,
            taps=len(distortion.gaussian),
            height=height,
            width=width,
        )
        self.counting = np.zeros(0, np.int32)

    def draw(self, epoch: int, rows: npt.NDArray[np.int32]) -> Data:
        """The samples `rows` of the data set as they are in this epoch, in that order."""
        if len(rows) > len(self.counting):
            self.counting = np.arange(len(rows), dtype=np.int32)
        images, features = self._images, self._features
        if self._has_bytes:
            images = np.empty((len(rows), images.shape[1]), np.uint8) if self._distorting else images[rows]
        else:
            features = features[rows]
        self._make(epoch, rows, images, features)
        return make_data(
            images,
            features,
            self._labels[rows],
            skips_zeros=self._plan.skips_zeros,
            threads=self._plan.threads,
            kept=False,
        )

    def _make(
        self,
        epoch: int,
        rows: npt.NDArray[np.int32],
        images: npt.NDArray[np.uint8],
        features: npt.NDArray[np.float32],
    ) -> None:
        """Distort and drop, into images or features, which hold the samples where they are not distorted."""
        operations = ["augment"] * self._distorting + ["drop_samples"] * self._dropping
        sizes = self._sizes._replace(n=float(len(rows)))
        program = on_data(operations, sizes, self._plan.threads)
        outputs = no_outputs()._replace(**({"images": images} if self._has_bytes else {"features": features}))
        data = self._run.data._replace(images=self._images)
        run = self._run._replace(program=program.table(), order=rows, outputs=outputs, data=data)
        run.call.epoch = epoch
        run_on_data(run, len(rows))
