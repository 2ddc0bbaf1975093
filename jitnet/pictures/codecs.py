"""Picture files as grey values, and grey values as picture files.

PGM and `.npy` are read here; PNG, JPEG and the like need pillow, `pip install pillow`.
"""

import io
import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.datasets.npy import read_header
from jitnet.errors import JitnetError, MissingExtra, OutputError, PictureError

__all__ = ["LEAST_CONTRAST", "MAX_PIXELS", "Grey", "Reals", "load_picture", "to_bytes", "write_pgm", "write_png"]

Grey = npt.NDArray[np.uint8]
Reals = npt.NDArray[np.float64]

MAX_PIXELS = 64_000_000
"""A larger picture is refused before it is unpacked: a few kilobytes of PNG can claim gigabytes."""
MAX_SIDE = 30_000
"""So is one with a longer side: shrinking it takes memory for each pixel along it and each of its new size."""
MAX_BYTES = 512 * 1024 * 1024

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
MAGIC = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"RIFF": "WebP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"P6": "PPM",
}
INSTALL = "install it with: pip install pillow"

LEAST_CONTRAST = 8.0
"""Grey levels between ink and ground below which a picture counts as blank."""


def load_picture(path: str | Path) -> Grey:
    """The picture in a file as grey values: uint8 of (height, width), 0 black to 255 white.

    Reads PGM (P2, P5) and `.npy` (2-D, or 3-D with 1, 3 or 4 colour channels first or last; bool, integers, or floats
    in 0..1 or 0..255), and with pillow PNG, JPEG, BMP, GIF, TIFF and WebP. A camera's orientation is applied, and what
    is transparent is shown on white. Colours are weighed as ITU-R 601 does: 0.299 R + 0.587 G + 0.114 B. Raises
    PictureError for a file that is missing, empty, cut short, too large or no picture, MissingExtra where pillow is
    needed and not installed.
    """
    path = Path(path)
    data = _read(path)
    try:
        if data[:2] in (b"P2", b"P5") and data[2:3] in b" \t\r\n#":
            return _parse_pgm(data)
        if data[:6] == b"\x93NUMPY":
            return _parse_npy(data)
        return _open_with_pillow(data)
    except JitnetError as error:
        raise type(error)(f"{path}: {error}") from None


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise PictureError(f"{path}: is a folder, expected a picture file (PNG, JPEG, PGM or .npy)")
        if not path.exists():
            raise PictureError(f"{path}: there is no such file")
        if not path.is_file():
            raise PictureError(f"{path}: is not a regular file, expected a picture (PNG, JPEG, PGM or .npy)")
        if path.stat().st_size > MAX_BYTES:
            raise PictureError(
                f"{path}: has {path.stat().st_size:,} bytes, at most {MAX_BYTES:,} are read as one picture"
            )
        data = path.read_bytes()
    except OSError as error:
        raise PictureError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise PictureError(f"{str(path)!r}: is no file name") from None
    if not data:
        raise PictureError(f"{path}: is empty, expected a picture (PNG, JPEG, PGM or .npy)")
    return data


def _check_size(height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise PictureError(f"has {width}x{height} pixels, expected at least 1x1")
    if height * width > MAX_PIXELS:
        raise PictureError(f"has {width}x{height} pixels, at most {MAX_PIXELS:,} are read; make it smaller")
    if max(height, width) > MAX_SIDE:
        raise PictureError(f"has {width}x{height} pixels, at most {MAX_SIDE:,} along a side are read; make it smaller")


def _parse_pgm(data: bytes) -> Grey:
    """Netpbm's grey map: magic, width, height, largest value, with comments between them; then text or bytes."""
    # A blank or a comment at a time: with runs of blanks there would be as many ways to part them as they allow.
    number = rb"(?:\s|#[^\n\r]*[\n\r])+(\d+)"
    header = re.match(rb"P[25]" + number * 3 + rb"(?:#[^\n\r]*)?\s", data)
    if header is None:
        raise PictureError("PGM header is broken, expected width, height and largest value after P2 or P5")
    if any(len(number) > 9 for number in header.groups()):
        raise PictureError("PGM header holds a number of more than nine digits")
    width, height, top = (int(number) for number in header.groups())
    _check_size(height, width)
    if not 1 <= top <= 65_535:
        raise PictureError(f"PGM header gives {top} as the largest value, expected 1 to 65535")
    body = data[header.end() :]
    count = width * height
    if data[:2] == b"P5":
        stored = np.dtype(">u2" if top > 255 else "u1")
        if len(body) < count * stored.itemsize:
            raise PictureError(
                f"is cut short: {width}x{height} pixels need {count * stored.itemsize:,} bytes, found {len(body):,}"
            )
        values = np.frombuffer(body, stored, count)
    else:
        try:
            values = np.array(re.sub(rb"#[^\n\r]*", b"", body).split()[:count], dtype=np.int64)
        except (ValueError, OverflowError):
            raise PictureError("PGM text holds something that is no whole number") from None
        if len(values) < count:
            raise PictureError(f"is cut short: {width}x{height} pixels need {count:,} numbers, found {len(values):,}")
    if int(values.max()) > top or int(values.min()) < 0:
        raise PictureError(f"holds values from {values.min()} to {values.max()}, its header allows 0 to {top}")
    return to_bytes(values.reshape(height, width) * (255.0 / top))


def _parse_npy(data: bytes) -> Grey:
    file = io.BytesIO(data)
    try:
        shape, fortran, dtype = read_header(file)
    except ValueError as error:
        raise PictureError(f"its .npy header is broken: it {error}") from None
    if dtype.kind not in "buif":
        raise PictureError(f"holds {dtype}, expected bool, integers or floats")
    channels_first = len(shape) == 3 and shape[0] in (1, 3, 4) and shape[2] not in (1, 3, 4)
    channels_last = len(shape) == 3 and shape[2] in (1, 3, 4)
    if len(shape) != 2 and not channels_first and not channels_last:
        raise PictureError(f"has shape {shape}, expected (height, width), or one with 1, 3 or 4 colour channels")
    _check_size(*(shape[1:] if channels_first else shape[:2]))
    if len(data) - file.tell() < prod(shape) * dtype.itemsize:
        raise PictureError(f"is cut short: shape {shape} of {dtype} is more than it holds")
    array = np.frombuffer(data, dtype, prod(shape), file.tell()).reshape(shape, order="F" if fortran else "C")
    grey_levels = _levels(array)
    if channels_first:
        grey_levels = np.moveaxis(grey_levels, 0, -1)
    if grey_levels.ndim == 3:
        grey_levels = _weigh_channels(grey_levels)
    return to_bytes(grey_levels)


def _levels(array: npt.NDArray[Any]) -> Reals:
    """Numbers of any type as levels from 0 to 255, by what their type or their range says they are."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is no float64 becomes infinite or NaN, and is refused
        values = array.astype(np.float64)
    if not np.isfinite(values).all():
        raise PictureError("holds NaN or infinite values, expected numbers from 0 to 1 or from 0 to 255")
    low, high = float(values.min()), float(values.max())
    if array.dtype.kind == "b" or (array.dtype.kind == "f" and low >= 0.0 and high <= 1.0):
        return values * 255.0
    if low >= 0.0 and high <= 255.0:
        return values
    if array.dtype.kind in "ui" and low >= 0.0 and high <= 65_535.0:
        return values / 257.0
    if low == high:
        return np.zeros_like(values)
    # Parts of the largest value: differences of numbers near float64's limits would be infinite, or nothing.
    largest = max(abs(low), abs(high))
    low, high = low / largest, high / largest
    return (values / largest - low) / (high - low) * 255.0


def _weigh_channels(levels: Reals) -> Reals:
    if levels.shape[2] == 1:
        return levels[:, :, 0]
    grey = levels[:, :, 0] * 0.299 + levels[:, :, 1] * 0.587 + levels[:, :, 2] * 0.114
    return _on_white(grey, levels[:, :, 3] / 255.0) if levels.shape[2] == 4 else grey


def _on_white(grey: Reals, alpha: Reals) -> Reals:
    """A transparent picture over white; over black where nothing of it would be seen on white."""
    over_white = grey * alpha + 255.0 * (1.0 - alpha)
    return over_white if np.ptp(over_white) >= LEAST_CONTRAST else grey * alpha


def _kind(data: bytes) -> str | None:
    """The format that a file's first bytes announce, of those that pillow reads."""
    return next((name for magic, name in MAGIC.items() if data.startswith(magic)), None)


def _open_with_pillow(data: bytes) -> Grey:
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        name = _kind(data)
        if name is None:
            raise PictureError("is no picture that jitnet reads, expected PNG, JPEG, PGM or .npy") from None
        raise MissingExtra(f"reading {name} needs pillow; {INSTALL}") from None
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            _mute_standard_error() if data[:2] in (b"II", b"MM") else nullcontext(),
            Image.open(io.BytesIO(data), formats=FORMATS) as image,
        ):
            _check_size(image.height, image.width)
            turned = ImageOps.exif_transpose(image)
            if turned.mode[:1] in "IF":  # 16 bits or more a pixel, which pillow would cut off instead of scaling
                return to_bytes(_levels(np.asarray(turned)))
            if turned.has_transparency_data:
                return to_bytes(_weigh_channels(np.asarray(turned.convert("RGBA"), np.float64)))
            return np.array(turned.convert("L"), np.uint8)
    except UnidentifiedImageError:
        if name := _kind(data):
            raise PictureError(f"starts as a {name} picture, but is broken or cut short") from None
        raise PictureError("is no picture that jitnet reads, expected PNG, JPEG, PGM or .npy") from None
    except (Image.DecompressionBombError, MemoryError):
        raise PictureError(f"unpacks to more than the {MAX_PIXELS:,} pixels that are read; make it smaller") from None
    except PictureError:
        raise
    except Exception as error:  # pillow's readers raise whatever a broken file makes them trip over
        raise PictureError(f"is broken or cut short: {' '.join(str(error).split()) or type(error).__name__}") from None


_muting = threading.Lock()


@contextmanager
def _mute_standard_error() -> Iterator[None]:
    """Drop what is written to standard error: libtiff, which knows nothing of Python, complains there by itself.

    One thread at a time: a second one would take the muted stream for the one to give back.
    """
    with _muting, redirect_stderr(io.StringIO()):  # pillow's own log goes to Python's stream, wherever that leads
        try:
            kept = os.dup(2)
        except OSError:  # there is no standard error
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(nowhere)
            os.close(kept)


def to_bytes(levels: Reals) -> Grey:
    """Levels rounded to uint8, what is beyond 0..255 cut off."""
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def write_pgm(path: str | Path, grey: Grey) -> None:
    """Write grey values, uint8 of (height, width), as a binary PGM. Raises OutputError where that cannot be done."""
    height, width = grey.shape
    _write(Path(path), b"P5\n%d %d\n255\n" % (width, height) + np.ascontiguousarray(grey, np.uint8).tobytes())


def write_png(path: str | Path, grey: Grey) -> None:
    """Write grey values, uint8 of (height, width), as a PNG. Raises MissingExtra without pillow, or OutputError."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra(f"{path}: writing PNG needs pillow (a .pgm needs nothing); {INSTALL}") from None
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(grey, np.uint8)).save(buffer, "PNG")
    _write(Path(path), buffer.getvalue())


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None
