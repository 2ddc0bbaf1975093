"""Pictures of one thing to recognise: read from a file, and brought into the form of the data set's images."""

from jitnet.pictures.codecs import (
    MAX_BYTES,
    MAX_PIXELS,
    Picture,
    load_picture,
    load_pictures,
    pictures_in,
    write_pgm,
    write_png,
)
from jitnet.pictures.distortions import as_one_picture, distorted_samples, fitting_distortions
from jitnet.pictures.normalisation import normalise_picture

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "Picture",
    "as_one_picture",
    "distorted_samples",
    "fitting_distortions",
    "load_picture",
    "load_pictures",
    "normalise_picture",
    "pictures_in",
    "write_pgm",
    "write_png",
]
