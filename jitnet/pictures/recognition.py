"""From a picture to a trained network's prediction."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jitnet.config import check_arguments
from jitnet.errors import ModelError, PictureError
from jitnet.model import AnyModel, Committee, Model
from jitnet.pictures.codecs import Picture, load_pictures
from jitnet.pictures.normalisation import normalise_with_ink
from jitnet.pictures.shapes import notices

__all__ = ["Recognition", "check_takes_pictures", "recognise"]


@dataclass(frozen=True)
class Recognition:
    """A network's prediction for a picture.

    path: the picture's file. image: (height, width) uint8, 0 to 255, the picture as the network saw it.
    guesses: every class's name and probability, most probable first. name: the path, and the picture's place where the
    file holds a stack: `digits.npy[3]`. notices: why the prediction may be unreliable, as sentences that continue the
    name: the first frame of several, several shapes, ink that is not a stroke.
    """

    path: Path
    image: np.ndarray
    guesses: tuple[tuple[str, float], ...]
    name: str
    notices: tuple[str, ...] = ()


def check_takes_pictures(model: AnyModel) -> None:
    """ModelError where a model was not trained on grey images: no picture can be converted to its data's form."""
    if not model.class_names:
        found = "yes/no labels" if model.config.target == "label" else "numbers"
        raise ModelError(f"the model predicts {found}, not classes: call its `predict` from Python")
    data = model.metadata.get("data", "")
    trained = f"it was trained on {f'{data}, ' if data else ''}"
    if model.image_shape is None:
        raise ModelError(
            f"the model has no image shape: {trained}{model.config.in_features:,} plain numbers per sample; "
            "name a model of images"
        )
    offset, scale = model.scaling.offset, model.scaling.scale
    if not (np.ndim(offset) == 0 and np.ndim(scale) == 0 and float(offset) == 0.0 and float(scale) > 0):
        raise ModelError(
            f"the model takes no pictures: {trained}standardised values instead of grey levels; name a model of images"
        )


def recognise(model: AnyModel, picture: str | Path | Picture) -> Recognition:
    """Read a picture, convert it to the form of the model's training images, and predict.

    picture: a file of one picture, or one that `load_pictures` read. Raises PictureError for a picture that cannot be
    used, MissingExtra where reading it needs Pillow, and ModelError for a model that was not trained on grey images.
    """
    check_arguments(
        "recognise(model, picture)", model=(model, (Model, Committee)), picture=(picture, (str, Path, Picture))
    )
    check_takes_pictures(model)
    assert model.image_shape is not None
    if not isinstance(picture, Picture):
        found = load_pictures(picture)
        if len(found) > 1:
            raise PictureError(
                f"{picture}: holds {len(found)} pictures, expected one; load_pictures reads them all, for one call each"
            )
        picture = found[0]
    # White is the value that training scaled to 1: for bytes the scale determines it, for floats it is 1.
    scale = float(model.scaling.scale)
    peak = round(1.0 / scale)
    of_bytes = 1 < peak <= 255
    try:
        seen, ink = normalise_with_ink(picture.grey, model.image_shape, peak=peak if of_bytes else 255)
    except PictureError as error:
        raise PictureError(f"{picture.name}: {error}") from None
    sample = seen if of_bytes else seen.astype(np.float32) * np.float32(1.0 / (255.0 * scale))
    image = np.rint(seen * (255.0 / peak)).astype(np.uint8) if of_bytes else seen
    probabilities = model.predict(sample.reshape(1, -1))[0]
    order = np.argsort(-probabilities, kind="stable")
    # Digits and letters are pen strokes; other things, as clothes, may be filled areas.
    writing = all(len(name) == 1 for name in model.class_names)
    return Recognition(
        picture.path,
        image,
        tuple((model.class_names[index], float(probabilities[index])) for index in order),
        picture.name,
        (*picture.notices, *notices(ink, writing=writing)),
    )
