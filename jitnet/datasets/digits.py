"""The embedded data set: the UCI digits that scikit-learn ships, 1,797 images of 8x8 with 17 grey levels.

It is stored in `data/digits.safetensors`, in an installed jitnet as well as in a checkout; `data/README.md` next to it
has credit and licence.
"""

from importlib import resources
from pathlib import Path

from jitnet.datasets import safetensors_file
from jitnet.datasets.raw import RawData
from jitnet.errors import DataError

__all__ = ["LICENCE", "TITLE", "read", "where"]

TITLE = "UCI digits: 1,797 handwritten digits, 8x8 (Alpaydin, Kaynak)"
LICENCE = "CC BY 4.0"
FILE = "data/digits.safetensors"


def where() -> Path:
    """The path of the embedded file; DataError where an installation lacks it."""
    packaged = Path(str(resources.files("jitnet"))) / FILE
    checkout = Path(__file__).parents[2] / FILE
    for path in (packaged, checkout):
        if path.is_file():
            return path
    raise DataError(f"{packaged}: the embedded data set is missing from this installation; install jitnet again")


def read() -> RawData:
    """Its splits: 1,437 samples to train on and 360 to test on, stratified by the ten classes."""
    return safetensors_file.read(where())
