"""Pictures of one thing to recognise: read from a file, and brought into the form of the data set's images."""

from jitnet.images.files import MAX_PIXELS, load_picture, write_pgm, write_png
from jitnet.images.normalise import normalise_picture

__all__ = ["MAX_PIXELS", "load_picture", "normalise_picture", "write_pgm", "write_png"]
