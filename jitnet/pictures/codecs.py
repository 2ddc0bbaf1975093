"""Picture files as grey values, and grey values as picture files.

PGM is read here and `.npy` by NumPy; PNG, JPEG and the like need Pillow, `pip install pillow`.
"""

import io
import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.config import check_arguments
from jitnet.datasets.npy import read_header
from jitnet.errors import JitnetError, MissingExtra, OutputError, PictureError
from jitnet.files import write_whole

__all__ = [
    "LEAST_CONTRAST",
    "MAX_BYTES",
    "MAX_PIXELS",
    "Grey",
    "Picture",
    "Reals",
    "load_picture",
    "load_pictures",
    "pictures_in",
    "to_bytes",
    "write_pgm",
    "write_png",
]

Grey = npt.NDArray[np.uint8]
Reals = npt.NDArray[np.float64]

MAX_PIXELS = 64_000_000
"""A larger picture is rejected before it is unpacked: a few kilobytes of PNG can claim gigabytes."""
MAX_SIDE = 30_000
"""So is one with a longer side: shrinking it takes memory for each pixel along it and each of its new size."""
MAX_BYTES = 512 * 1024 * 1024

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
ANIMATED = ("GIF", "PNG", "TIFF", "WEBP")
"""Formats of which a file can hold several pictures. A JPEG can too, but those are previews."""
BEGINNINGS = {
    "PGM": rb"P[25][ \t\r\n#]",
    ".npy": rb"\x93NUMPY",
    "PNG": rb"\x89PNG",
    "JPEG": rb"\xff\xd8\xff",
    "GIF": rb"GIF8",
    "BMP": rb"BM....\0\0\0\0",
    "WebP": rb"RIFF....WEBP",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "PPM": rb"P6[ \t\r\n#]",
}
"""The formats that are read, and what their files begin with, as patterns."""
SUFFIXES = {
    *(".pgm", ".ppm", ".pnm", ".npy", ".png", ".apng", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff"),
}
INSTALL = "install it with: pip install pillow"
NPY_SHAPES = (
    "(height, width), (height, width, 3 or 4) in colour, (n, height, width), or (n, height, width, 3 or 4) in colour"
)

LEAST_CONTRAST = 8.0
"""Grey levels between ink and background below which a picture counts as blank."""


@dataclass(frozen=True)
class Picture:
    """One picture that was read.

    name: its file's path, and its place in a stack: `digits.npy[3]`. grey: (height, width) uint8, 0 black to 255 white.
    notices: what a user should know about it, as sentences that continue its name. path: its file.
    """

    name: str
    grey: Grey
    notices: tuple[str, ...] = ()
    path: Path = Path("-")


def load_picture(path: str | Path) -> Grey:
    """The picture in a file as grey values: uint8 of (height, width), 0 black to 255 white.

    Read as by `load_pictures`. Raises PictureError also for a stack of several pictures.
    """
    found = load_pictures(path)
    if len(found) > 1:
        raise PictureError(f"{path}: holds {len(found)} pictures, expected one; load_pictures reads them all")
    return found[0].grey


def load_pictures(source: str | Path | bytes, name: str | None = None) -> list[Picture]:
    """The pictures in a file, or in its bytes: one, or each of a stack in a `.npy`.

    Reads PGM (P2, P5) and `.npy`, and with Pillow PNG, JPEG, BMP, GIF, TIFF, PPM and WebP. Of an animated picture, or a
    TIFF of several pages, the first is read, and a notice says so. A `.npy` holds (height, width), also with a last
    axis of 1, 3 or 4 colour channels, or a stack: (n, height, width), also with that last axis. Its values are bool,
    integers, or floats in 0..1 or 0..255. A camera's orientation is applied, and what is transparent is shown on white.
    Colours are weighted as in ITU-R 601: 0.299 R + 0.587 G + 0.114 B.

    name: its name in messages, the path where None. Raises PictureError for a file that is missing, empty, cut short,
    too large or not a picture, MissingExtra where Pillow is needed and not installed.
    """
    check_arguments("load_pictures(source)", source=(source, (str, Path, bytes)))
    path = Path("-") if isinstance(source, bytes) else Path(source)
    name = str(path) if name is None else name
    data = source if isinstance(source, bytes) else _read(path)
    try:
        if len(data) > MAX_BYTES:
            raise PictureError(f"has more than {MAX_BYTES:,} bytes, which is the most that is read as one picture")
        if not data:
            raise PictureError("is empty, expected a picture (PNG, JPEG, PGM or .npy)")
        kind = _kind(data)
        if kind == ".npy":
            greys, is_stack = _parse_npy(data)
            names = [f"{name}[{index}]" for index in range(len(greys))] if is_stack else [name]
            return [Picture(one, grey, path=path) for one, grey in zip(names, greys, strict=True)]
        grey, notices = (_parse_pgm(data), ()) if kind == "PGM" else _open_with_pillow(data, kind)
        return [Picture(name, grey, notices, path)]
    except JitnetError as error:
        raise type(error)(f"{name}: {error}") from None


def pictures_in(folder: str | Path) -> tuple[list[Path], list[Path]]:
    """The picture files of a folder, and what else is in it: both in natural order, `2.png` before `10.png`.

    A file is a picture by its suffix or by its first bytes, so a broken one counts. Hidden files are left out of both
    lists. Sub-folders are not searched. Raises PictureError for a folder that cannot be read.
    """
    try:
        found = sorted((path for path in Path(folder).iterdir() if not path.name.startswith(".")), key=_natural_order)
    except OSError as error:
        raise PictureError(f"{folder}: cannot be read: {error.strerror or error}") from None
    wanted = [path for path in found if _is_picture_file(path)]
    return wanted, [path for path in found if path not in set(wanted)]


def _natural_order(path: Path) -> tuple[list[str | int], str]:
    parts = re.split(r"([0-9]+)", path.name.casefold())
    return [int(part) if number % 2 else part for number, part in enumerate(parts)], path.name


def _is_picture_file(path: Path) -> bool:
    if path.is_dir():
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    with suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                return _kind(file.read(16)) is not None
    return False


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
        return path.read_bytes()
    except OSError as error:
        raise PictureError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise PictureError(f"{str(path)!r}: is not a file name") from None


def _check_size(height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise PictureError(f"has {width}x{height} pixels, expected at least 1x1")
    if height * width > MAX_PIXELS:
        raise PictureError(f"has {width}x{height} pixels, at most {MAX_PIXELS:,} are read; make it smaller")
    if max(height, width) > MAX_SIDE:
        raise PictureError(f"has {width}x{height} pixels, at most {MAX_SIDE:,} along a side are read; make it smaller")


def _parse_pgm(data: bytes) -> Grey:
    """Netpbm's grey map: magic, width, height, largest value, with comments between them; then text or bytes."""
    # A blank or a comment at a time: runs of blanks could be divided in many ways, and each would be tried.
    number = rb"(?:\s|#[^\n\r]*[\n\r])+(\d+)"
    header = re.match(rb"P[25]" + number * 3 + rb"(?:#[^\n\r]*)?\s", data)
    if header is None:
        raise PictureError("PGM header is broken, expected width, height and largest value after P2 or P5")
    if any(len(number) > 9 for number in header.groups()):
        raise PictureError("PGM header holds a number of more than nine digits")
    width, height, top = (int(number) for number in header.groups())
    _check_size(height, width)
    if not 1 <= top <= 65_535:
        raise PictureError(f"PGM header has {top} as the largest value, expected 1 to 65535")
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
            raise PictureError("PGM text holds something that is not a whole number") from None
        if len(values) < count:
            raise PictureError(f"is cut short: {width}x{height} pixels need {count:,} numbers, found {len(values):,}")
    if int(values.max()) > top or int(values.min()) < 0:
        raise PictureError(f"holds values from {values.min()} to {values.max()}, its header allows 0 to {top}")
    return to_bytes(values.reshape(height, width) * (255.0 / top))


def _parse_npy(data: bytes) -> tuple[list[Grey], bool]:
    """The pictures in an array, and whether it is a stack of them. NumPy reads what the header's checks have passed."""
    file = io.BytesIO(data)
    try:
        shape, _, dtype = read_header(file)
    except ValueError as error:
        raise PictureError(f"its .npy header is broken: it {error}") from None
    if dtype.kind not in "buif":
        raise PictureError(f"holds {dtype}, expected bool, integers or floats")
    has_channels = len(shape) in (3, 4) and shape[-1] in (1, 3, 4)
    stack = shape[:-1] if has_channels else shape
    if len(stack) not in (2, 3):
        raise PictureError(f"has shape {shape}, expected {NPY_SHAPES}")
    n = stack[0] if len(stack) == 3 else 1
    if n < 1:
        raise PictureError(f"has shape {shape}: a stack of no pictures; expected at least one")
    _check_size(*stack[-2:])
    if prod(stack) > MAX_PIXELS:
        raise PictureError(
            f"holds {n:,} pictures of {stack[-1]}x{stack[-2]} pixels, at most {MAX_PIXELS:,} pixels are read from one "
            "file; divide it"
        )
    if len(data) - file.tell() < prod(shape) * dtype.itemsize:
        raise PictureError(f"is cut short: shape {shape} of {dtype} is more than it holds")
    file.seek(0)
    with warnings.catch_warnings(action="ignore"):
        grey_levels = _levels(np.load(file, allow_pickle=False))
    if has_channels:
        grey_levels = grey_levels.reshape(n, *shape[-3:])
        greys = [to_bytes(_weight_channels(one)) for one in grey_levels]
    else:
        greys = list(to_bytes(grey_levels.reshape(n, *stack[-2:])))
    return greys, len(stack) == 3


def _levels(array: npt.NDArray[Any]) -> Reals:
    """Numbers of any type as levels from 0 to 255, as their type or their range implies."""
    with np.errstate(over="ignore", invalid="ignore"):  # what does not fit float64 becomes infinite, and is rejected
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
    # As fractions of the largest value: differences of numbers near float64's limits would be infinite, or zero.
    largest = max(abs(low), abs(high))
    low, high = low / largest, high / largest
    return (values / largest - low) / (high - low) * 255.0


def _weight_channels(levels: Reals) -> Reals:
    if levels.shape[2] == 1:
        return levels[:, :, 0]
    grey = levels[:, :, 0] * 0.299 + levels[:, :, 1] * 0.587 + levels[:, :, 2] * 0.114
    return _on_white(grey, levels[:, :, 3] / 255.0) if levels.shape[2] == 4 else grey


def _on_white(grey: Reals, alpha: Reals) -> Reals:
    """A transparent picture over white; over black where it would be invisible on white."""
    over_white = grey * alpha + 255.0 * (1.0 - alpha)
    return over_white if np.ptp(over_white) >= LEAST_CONTRAST else grey * alpha


def _kind(data: bytes) -> str | None:
    """The format of a file by its first bytes, of those that are read."""
    return next((name for name, begins in BEGINNINGS.items() if re.match(begins, data[:16], re.DOTALL)), None)


def _open_with_pillow(data: bytes, kind: str | None) -> tuple[Grey, tuple[str, ...]]:
    """A picture, and notices about it. kind: the format by its first bytes."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        if kind is None:
            raise PictureError("is not a picture that jitnet reads, expected PNG, JPEG, PGM or .npy") from None
        raise MissingExtra(f"reading {kind} needs Pillow; {INSTALL}") from None
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            _mute_standard_error() if data[:2] in (b"II", b"MM") else nullcontext(),
            Image.open(io.BytesIO(data), formats=FORMATS) as image,
        ):
            _check_size(image.height, image.width)
            grey = _grey_of(ImageOps.exif_transpose(image))
            return grey, _first_of_several(image)
    except UnidentifiedImageError:
        if kind is not None:
            raise PictureError(f"starts as a {kind} picture, but is broken or cut short") from None
        raise PictureError("is not a picture that jitnet reads, expected PNG, JPEG, PGM or .npy") from None
    except (Image.DecompressionBombError, MemoryError):
        raise PictureError(f"unpacks to more than the {MAX_PIXELS:,} pixels that are read; make it smaller") from None
    except PictureError:
        raise
    except Exception as error:  # Pillow's readers raise many kinds of error for a broken file
        raise PictureError(f"is broken or cut short: {' '.join(str(error).split()) or type(error).__name__}") from None


def _grey_of(image: Any) -> Grey:
    """A Pillow image of any mode, as grey values."""
    if image.mode[:1] in "IF":  # 16 bits or more a pixel, which Pillow would cut off instead of scaling
        return to_bytes(_levels(np.asarray(image)))
    if image.has_transparency_data:
        return to_bytes(_weight_channels(np.asarray(image.convert("RGBA"), np.float64)))
    return np.array(image.convert("L"), np.uint8)


def _first_of_several(image: Any) -> tuple[str, ...]:
    """A notice where a file holds several pictures, of which the first was read."""
    if image.format not in ANIMATED:
        return ()
    kind = "page" if image.format == "TIFF" else "frame"
    try:
        n_pictures = getattr(image, "n_frames", 1)
    except Exception:  # what is broken after the first picture does not affect it
        return (f"is broken after its first {kind}; this is the first",)
    return (f"holds {n_pictures:,} {kind}s; this is the first",) if n_pictures > 1 else ()


_muting = threading.Lock()


@contextmanager
def _mute_standard_error() -> Iterator[None]:
    """Drop what is written to standard error: libtiff, a C library, writes its messages there.

    One thread at a time: a second one would save the muted stream as the one to restore.
    """
    with _muting, redirect_stderr(io.StringIO()):  # Pillow's log goes to Python's stream, which may be another
        try:
            saved = os.dup(2)
        except OSError:  # there is no standard error
            yield
            return
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(null)
            os.close(saved)


def to_bytes(levels: Reals) -> Grey:
    """Levels rounded to uint8 and clipped to 0..255."""
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def write_pgm(path: str | Path, grey: Grey) -> None:
    """Write grey values, uint8 of (height, width), as a binary PGM. Raises OutputError where it cannot be written."""
    height, width = grey.shape
    _write(Path(path), b"P5\n%d %d\n255\n" % (width, height) + np.ascontiguousarray(grey, np.uint8).tobytes())


def write_png(path: str | Path, grey: Grey) -> None:
    """Write grey values, uint8 of (height, width), as a PNG. Raises MissingExtra without Pillow, or OutputError."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra(f"{path}: writing PNG needs Pillow (a .pgm needs nothing); {INSTALL}") from None
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(grey, np.uint8)).save(buffer, "PNG")
    _write(Path(path), buffer.getvalue())


def _write(path: Path, data: bytes) -> None:
    try:
        write_whole(path, data)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None
