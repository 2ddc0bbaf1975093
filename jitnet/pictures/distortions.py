"""A sheet of samples next to their distortions, to show what augmentation makes of a data set."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from jitnet.config import AugmentConfig, TrainConfig
from jitnet.errors import UsageError

if TYPE_CHECKING:
    from jitnet.datasets import Dataset

__all__ = ["as_one_picture", "distorted_samples", "fitting_distortions"]

GAP_GREY = 96  # between the pictures: a grey that neither ink nor a black background has at an edge
MIN_SIDE = 84  # the fewest pixels of the longer side of one picture, reached by whole multiples


def fitting_distortions(image_shape: tuple[int, int]) -> AugmentConfig:
    """All distortions together, of a strength that suits images of this size: for 28x28 what suits MNIST."""
    size = min(image_shape) / 28.0
    return AugmentConfig(
        shift=min(32.0, round(2.0 * size, 1)),
        rotation=15.0,
        scaling=0.15,
        shear=10.0,
        # Displacements grow as elastic / sigma: both together keep their share of the image.
        elastic=min(100.0, round(34.0 * size * size, 1)),
        elastic_sigma=min(20.0, max(0.5, round(4.0 * size, 1))),
    )


def distorted_samples(
    dataset: "Dataset", config: AugmentConfig, *, seed: int = 0, count: int = 5, variants: int = 9
) -> tuple[list[int], npt.NDArray[np.uint8]]:
    """Training samples with their distortions: indices, and uint8 of (count, 1 + variants, height, width).

    The first sample of each class comes first, then the others in order, `count` in total or as many as there are. The
    original is at 0; at n is what epoch n trains on with the same seed and settings, where no data is held out. Values
    are as stored, not scaled.
    Raises UsageError where the data are not images of whole numbers.
    """
    from jitnet.engine.sample_maker import SampleMaker  # only here: it loads Numba

    images, shape = dataset.train.images, dataset.image_shape
    if shape is None:
        raise UsageError(
            f"{dataset.name}: its samples are {dataset.in_features:,} numbers without an image shape; "
            "only images can be distorted"
        )
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        raise UsageError(
            f"{dataset.name}: its values are {images.dtype} that are not whole grey levels; only uint8 images can be "
            "distorted (0 to 255, or k/255 as floats)"
        )
    _, first = np.unique(dataset.train.labels, return_index=True)
    others = np.setdiff1d(np.arange(min(len(images), count + len(first))), first)
    chosen = np.concatenate([first, others])[:count].astype(np.int32)
    no_features = np.zeros((0, 0), np.float32)
    maker = SampleMaker(images, no_features, shape, TrainConfig(augment=config, seed=seed), threads=1)
    out = np.stack([images[chosen], *(maker.make(epoch, chosen)[0].copy() for epoch in range(1, variants + 1))])
    return chosen.tolist(), out.swapaxes(0, 1).reshape(len(chosen), variants + 1, *shape)


def as_one_picture(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Pictures, uint8 of (rows, columns, height, width), as one picture with lines between; small ones enlarged."""
    rows, columns, height, width = pictures.shape
    factor = -(-MIN_SIDE // max(height, width))
    enlarged = pictures.repeat(factor, axis=2).repeat(factor, axis=3)
    gap = 4
    down, across = height * factor + gap, width * factor + gap
    sheet = np.full((rows * down + gap, columns * across + gap), GAP_GREY, np.uint8)
    for row in range(rows):
        for column in range(columns):
            top, left = gap + row * down, gap + column * across
            sheet[top : top + down - gap, left : left + across - gap] = enlarged[row, column]
    return sheet
