"""New samples for an epoch: distorted images, dropped inputs, made in parallel by programs on the data set."""

from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.compiler.signatures import make_record
from jitnet.config import TrainConfig
from jitnet.datasets.compressed import CompressedRows
from jitnet.engine.arena import Buffer, per_part, zeroed
from jitnet.engine.costs import Sizes
from jitnet.engine.loop_records import SETTINGS
from jitnet.engine.program import on_data
from jitnet.engine.setup import run_on_data
from jitnet.engine.state import empty_run, no_outputs
from jitnet.kernels.augment import distortion_settings, scratch_size

__all__ = ["SampleMaker"]


class SampleMaker:
    """Makes samples of a data set as an epoch sees them. Each is a function of (seed, epoch, sample) alone."""

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        features: npt.NDArray[np.float32] | CompressedRows,
        image_shape: tuple[int, int] | None,
        config: TrainConfig,
        threads: int,
    ) -> None:
        """images (samples, features) uint8, or where that is empty features float32 or `CompressedRows`. Only images of
        a known shape can be distorted."""
        self._images, self._features, self._threads = images, features, threads
        self._has_bytes = len(images) > 0
        self._distorting = config.augment.active
        self._made = Buffer(np.uint8)
        self._operations = ["augment"] * self._distorting + ["drop_samples"] * (config.input_dropout > 0.0)
        distortion, (height, width) = distortion_settings(config.augment), image_shape or (0, 0)
        pixels = scratch_size(height, width, distortion) if self._distorting else 0
        run = empty_run()
        run.call.has_bytes, run.call.height, run.call.width = self._has_bytes, height, width
        self._run = run._replace(
            settings=make_record(SETTINGS, seed=config.seed, input_dropout=config.input_dropout),
            distortion=distortion,
            state=run.state._replace(pixels=zeroed(per_part(threads, pixels, np.float32))[0].reshape(threads, -1)),
            data=run.data._replace(images=images),
        )
        self._sizes = Sizes(
            1,
            (images if self._has_bytes else features).shape[1],
            bytes_per_input=1.0 if self._has_bytes else 4.0,
            compressed=isinstance(features, CompressedRows),
            taps=len(distortion.gaussian),
            height=height,
            width=width,
        )

    def make(
        self, epoch: int, indices: npt.NDArray[np.int32], times: dict[str, float] | None = None
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32] | CompressedRows]:
        """The samples `indices`, int32, as they are in this epoch, in that order: images and features, one empty.
        Distorted images are good until the next call, which writes over them.

        times: gains the seconds of each operation.
        """
        if not self._has_bytes:
            made: npt.NDArray[Any] = self._features[indices]
        elif self._distorting:
            shape = (len(indices), self._images.shape[1])
            made = self._made.take(shape[0] * shape[1]).reshape(shape)
        else:
            made = self._images[indices]
        outputs, run = no_outputs(), self._run._replace(order=indices)
        if isinstance(made, CompressedRows):
            data = self._run.data
            data = data._replace(indptr=made.indptr, entries=made.entries, entry_values=made.values)
            run = run._replace(data=data)
        else:
            outputs = outputs._replace(**{"images" if self._has_bytes else "features": made})
        entries = float(len(made.values)) if isinstance(made, CompressedRows) else 0.0
        sizes = self._sizes._replace(n=float(len(indices)), entries=entries)
        program = on_data(self._operations, sizes, self._threads)
        run.call.epoch = np.uint64(epoch)
        run_on_data(run._replace(outputs=outputs), program, times=times)
        return outputs.images, made if isinstance(made, CompressedRows) else outputs.features
