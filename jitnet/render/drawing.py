"""Pictures drawn with characters.

A picture takes one column a pixel and one row for two pixels: the upper half block has the upper pixel as its colour
and the lower one as its background. A terminal of 16 colours has four greys for that. Without colours a denser
character means a brighter pair.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from rich.cells import cell_len
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from jitnet.render.console import written

__all__ = ["GAP", "draw", "first_pictures", "page", "picture", "pictures", "print_cells", "to_grey"]

DENSITY = " .:-=+*#%@"
FOUR_GREYS = (0, 8, 7, 15)  # among the 16 colours: black, bright black, white, bright white
FOUR_ABOVE = (48, 148, 228)  # from these levels on the next one is shown: between what xterm and a PC's console have
WIDEST = 64  # columns of one picture at most; larger ones are averaged down
PAGE = 120  # columns that pictures side by side may take where nothing limits them
GAP = 2


def to_grey(images: npt.ArrayLike, image_shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Images of any numeric type, (n, features), as uint8 (n, height, width): the largest value among them is white.

    Zero is black, or the smallest value where there are negative ones.
    """
    values = np.asarray(images, np.float64).reshape(-1, *image_shape)
    if values.size == 0:
        return values.astype(np.uint8)
    low = min(0.0, float(values.min()))
    span = float(values.max()) - low
    return np.rint((values - low) * (255.0 / span if span > 0 else 0.0)).astype(np.uint8)


def has_greys(console: Console) -> bool:
    """Whether a console can show many shades of grey."""
    return console.color_system in ("256", "truecolor") and not console.no_color and not console.options.ascii_only


def _has_four_greys(console: Console) -> bool:
    return console.color_system == "standard" and not console.no_color and not console.options.ascii_only


def _is_tiny(image: npt.NDArray[np.uint8], columns: int) -> bool:
    return image.shape[1] * 2 <= min(columns, 24)


def _fit(image: npt.NDArray[np.uint8], columns: int, doubled: bool | None = None) -> npt.NDArray[np.uint8]:
    """The image at the size it is drawn in: tiny ones doubled, too wide ones averaged down, an even number of rows."""
    if _is_tiny(image, columns) if doubled is None else doubled:
        image = np.kron(image, np.ones((2, 2), np.uint8))
    factor = -(-image.shape[1] // columns)
    if factor > 1:
        height, width = (-(-extent // factor) * factor for extent in image.shape)
        whole = np.pad(image, ((0, height - image.shape[0]), (0, width - image.shape[1])), mode="edge")
        means = whole.reshape(height // factor, factor, width // factor, factor).mean(axis=(1, 3))
        image = np.rint(means).astype(np.uint8)
    return np.pad(image, ((0, image.shape[0] % 2), (0, 0)))


@cache
def _pair_style(top: int, bottom: int) -> Style:
    return Style(color=Color.from_rgb(top, top, top), bgcolor=Color.from_rgb(bottom, bottom, bottom))


@cache
def _pair_of_four_style(top: int, bottom: int) -> Style:
    """The style of a pair of levels from 0 to 3."""
    return Style(color=Color.from_ansi(FOUR_GREYS[top]), bgcolor=Color.from_ansi(FOUR_GREYS[bottom]))


def draw(
    console: Console, image: npt.NDArray[np.uint8], columns: int = WIDEST, doubled: bool | None = None
) -> list[Text]:
    """The lines of one picture, uint8 of (height, width), at most `columns` wide; 0 is black. doubled: whether at twice
    its size; None: only if it is tiny."""
    image = _fit(image, max(1, columns), doubled)
    pair_style = _pair_style if has_greys(console) else None
    if _has_four_greys(console):
        image, pair_style = np.digitize(image, FOUR_ABOVE).astype(np.uint8), _pair_of_four_style
    lines = []
    for top, bottom in zip(image[::2].tolist(), image[1::2].tolist(), strict=True):
        line = Text(no_wrap=True, end="")
        for above, below in zip(top, bottom, strict=True):
            if pair_style:
                line.append(" " if above == below else "▀", pair_style(above, below))
            else:
                line.append(DENSITY[(above + below) * len(DENSITY) // 511])
        lines.append(line)
    return lines


def picture(console: Console, image: npt.NDArray[np.uint8]) -> None:
    """Draw one picture, uint8 of (height, width)."""
    for line in draw(console, image, min(WIDEST, console.width)):
        console.print(line, end="\n")


def _extent(bright: npt.ArrayLike) -> slice:
    """From one before the first true place to one behind the last; everything where none is true."""
    places = np.nonzero(np.asarray(bright))[0]
    return slice(max(0, places[0] - 1), places[-1] + 2) if len(places) else slice(None)


def _common_crop(images: Sequence[npt.NDArray[np.uint8]], *, sides: bool = False) -> list[npt.NDArray[np.uint8]]:
    """Pictures of one shape with only a pixel of the black margin that all have: more fit side by side.

    sides: whether each loses all of its black margin on the left and on the right.
    """
    if len({image.shape for image in images}) != 1:
        return list(images)
    bright = np.stack(list(images)) > 0
    rows, columns = _extent(bright.any(axis=(0, 2))), _extent(bright.any(axis=(0, 1)))
    return [
        image[rows, _extent(lit.any(axis=0)) if sides else columns] for image, lit in zip(images, bright, strict=True)
    ]


def page(console: Console) -> int:
    """Columns that pictures or charts side by side may take."""
    return console.width if console.is_terminal else min(console.width, PAGE)


def pictures(console: Console, images: Sequence[npt.NDArray[np.uint8]], captions: Sequence[str]) -> None:
    """Draw pictures side by side, each with its caption below, in as many rows as the console's width needs.

    images: uint8 of (height, width). captions: one each; a line break starts a second line.
    """
    room = page(console)
    blocks = [draw(console, image, min(WIDEST, room)) for image in _common_crop(images)]
    width = min(max(_widths(blocks, captions), default=0), room)
    per_row = max(1, (room + GAP) // (width + GAP))
    for start in range(0, len(blocks), per_row):
        if start:
            console.print()
        row = blocks[start : start + per_row]
        _print_row(console, row, captions[start : start + per_row], [width] * len(row))


def first_pictures(console: Console, images: Sequence[npt.NDArray[np.uint8]], captions: Sequence[str]) -> None:
    """Draw as many of the pictures, of one shape, as fit side by side, two at least, without margins at their sides.

    images, captions: as `pictures` takes them.
    """
    room = page(console)
    columns = min(WIDEST, room)
    doubled = _is_tiny(images[0], columns)  # the same for all
    blocks = [draw(console, image, columns, doubled) for image in _common_crop(images, sides=True)]
    widths = _widths(blocks, captions)
    count = sum(sum(widths[:number]) + GAP * (number - 1) <= room for number in range(1, len(widths) + 1))
    if count < 2:
        return pictures(console, images[:2], captions[:2])
    shown = _common_crop(images[:count], sides=True)
    _print_row(console, [draw(console, image, columns, doubled) for image in shown], captions[:count], widths[:count])


def _widths(blocks: Sequence[list[Text]], captions: Sequence[str]) -> list[int]:
    """Columns of each picture or its caption."""
    return [
        max(lines[0].cell_len, *(cell_len(text) for text in caption.split("\n")))
        for lines, caption in zip(blocks, captions, strict=True)
    ]


def _print_row(console: Console, blocks: Sequence[list[Text]], captions: Sequence[str], widths: Sequence[int]) -> None:
    texts = [caption.split("\n") for caption in captions]
    for number in range(max(len(lines) for lines in blocks)):
        print_cells(console, [lines[number] if number < len(lines) else Text() for lines in blocks], widths)
    for number in range(max(len(text) for text in texts)):
        print_cells(console, [Text(text[number] if number < len(text) else "") for text in texts], widths)


def print_cells(console: Console, cells: Sequence[Text], widths: Sequence[int]) -> None:
    """Print texts side by side in one line, each in so many columns."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for number, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        cell = written(console, cell).copy()
        cell.truncate(width, overflow="crop" if console.options.ascii_only else "ellipsis")
        line.append_text(cell)
        if number < len(cells) - 1:
            line.append(" " * (width - cell.cell_len + GAP))
    console.print(line)
