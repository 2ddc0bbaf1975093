"""Pictures of one thing to recognise: read from a file, and brought into the form of the data set's images."""

from jitnet.pictures.codecs import MAX_PIXELS, load_picture, write_pgm, write_png
from jitnet.pictures.distortions import as_one_picture, distorted_samples, fitting_distortions
from jitnet.pictures.normalisation import normalise_picture

__all__ = [
    "MAX_PIXELS",
    "as_one_picture",
    "distorted_samples",
    "fitting_distortions",
    "load_picture",
    "normalise_picture",
    "write_pgm",
    "write_png",
]
