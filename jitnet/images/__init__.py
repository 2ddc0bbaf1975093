"""Pictures of one thing to recognise: read from a file, and brought into the form of the data set's images."""

from jitnet.images.files import MAX_PIXELS, load_picture, write_pgm, write_png
from jitnet.images.normalise import normalise_picture
from jitnet.images.sheet import as_one_picture, distorted_samples, fitting_distortions

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
