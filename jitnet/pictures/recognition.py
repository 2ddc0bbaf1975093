"""From a picture file to what a trained network takes it for."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jitnet.config import check_arguments
from jitnet.errors import ModelError, PictureError
from jitnet.model import Model
from jitnet.pictures import load_picture, normalise_picture

__all__ = ["Recognition", "recognise"]


@dataclass(frozen=True)
class Recognition:
    """What a network takes a picture for.

    path: the picture. image: (height, width) uint8, 0 to 255, the picture as the network saw it.
    guesses: every class's name and probability, most probable first.
    """

    path: Path
    image: np.ndarray
    guesses: tuple[tuple[str, float], ...]


def recognise(model: Model, path: str | Path) -> Recognition:
    """Read a picture, bring it into the form of the model's training images, and predict.

    Raises PictureError for a picture of no use, MissingExtra where reading it needs pillow, and ModelError for
    a model that was not trained on grey images, or that predicts numbers.
    """
    check_arguments("recognise(model, path)", model=(model, Model), path=(path, (str, Path)))
    if not model.class_names:
        raise ModelError("the model predicts numbers, not classes: call its `predict` from Python")
    if model.image_shape is None:
        raise ModelError(f"the model knows no image shape: it was trained on {model.config.in_features} plain numbers")
    offset, scale = model.scaling.offset, model.scaling.scale
    if not (np.ndim(offset) == 0 and np.ndim(scale) == 0 and float(offset) == 0.0 and float(scale) > 0):
        raise ModelError("the model was trained on standardised values, not grey levels: no picture has their form")
    # White is the value that training scaled to 1: data of bytes say by their scale which one, floats have 1 there.
    peak = round(1.0 / float(scale))
    of_bytes = 1 < peak <= 255
    try:
        seen = normalise_picture(load_picture(path), model.image_shape, peak=peak if of_bytes else 255)
    except PictureError as error:
        raise PictureError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    sample = seen if of_bytes else seen.astype(np.float32) * np.float32(1.0 / (255.0 * float(scale)))
    image = np.rint(seen * (255.0 / peak)).astype(np.uint8) if of_bytes else seen
    probabilities = model.predict(sample.reshape(1, -1))[0]
    order = np.argsort(-probabilities, kind="stable")
    return Recognition(
        Path(path), image, tuple((model.class_names[index], float(probabilities[index])) for index in order)
    )
