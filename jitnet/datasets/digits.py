"""The embedded data set: the UCI digits that scikit-learn ships, 1,797 images of 8x8 with 17 grey levels.

It is stored in `data/digits.safetensors`, in an installed jitnet as well as in a checkout; `data/README.md` next to it
has credit and licence.
"""

from pathlib import Path

from jitnet.datasets import safetensors_file
from jitnet.datasets.files import embedded
from jitnet.datasets.raw import RawData

__all__ = ["LICENCE", "TITLE", "read", "where"]

TITLE = "UCI digits: 1,797 handwritten digits, 8x8 (Alpaydin, Kaynak)"
LICENCE = "CC BY 4.0"
FILE = "data/digits.safetensors"


def where() -> Path:
    """The path of the embedded file; DataError where an installation lacks it."""
    return embedded(FILE)


def read() -> RawData:
    """Its splits: 1,437 samples to train on and 360 to test on, stratified by the ten classes."""
    return safetensors_file.read(where())
