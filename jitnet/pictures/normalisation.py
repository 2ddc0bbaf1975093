"""MNIST's preprocessing for any picture: ink is found, cropped, scaled into a box, and placed by its centre of mass."""

import numpy as np
import numpy.typing as npt

from jitnet.errors import PictureError
from jitnet.pictures.codecs import LEAST_CONTRAST, Grey, Reals, to_bytes
from jitnet.pictures.shapes import SPECK, connected_parts, neighbours_max, outline_length

__all__ = ["normalise_picture", "normalise_with_ink"]

WORK_SIZE = 320  # longest side on which ink is looked for; a photo's full resolution only costs time
SMALLEST_INK = 64  # ink smaller than this on the work size is looked for again in the original's resolution

EXPECTED = "expected one thing, dark on light or light on dark"


def normalise_picture(grey: npt.ArrayLike, image_shape: tuple[int, int], *, peak: int = 255) -> Grey:
    """A picture in the form of the data set's images: uint8 of `image_shape`, bright on dark, 0 to `peak`.

    grey: (height, width) of any size, 0 to 255, dark on light or light on dark, also with shading and noise. Returns a
    new array. A picture that already looks like the data set's images, or their negative, keeps its pixels. Any other
    is cut out of its background, scaled with its aspect kept into a box of 20/28 of `image_shape` and placed by its
    centre of mass, as MNIST's digits were (LeCun et al. 1998). Where `image_shape` is 12 or smaller, as for the UCI
    digits, the box is the whole image, the ink is centred, and strokes keep their shades. Raises PictureError for a
    picture that is blank, or too noisy to find ink in it.
    """
    return normalise_with_ink(grey, image_shape, peak=peak)[0]


def normalise_with_ink(grey: npt.ArrayLike, image_shape: tuple[int, int], *, peak: int = 255) -> tuple[Grey, Reals]:
    """What `normalise_picture` returns, and the ink that was found: 0 to 1, cropped, in the resolution it was found in.

    The ink is neither thickened nor placed, so that it shows the picture's strokes.
    """
    picture = np.asarray(grey)
    if picture.ndim != 2 or picture.size == 0:
        raise PictureError(f"has shape {picture.shape}, expected (height, width)")
    picture = picture.astype(np.float64)
    if picture.shape == tuple(image_shape):
        for candidate in (picture, 255.0 - picture):
            if _looks_like_data_set(candidate):
                scaled = candidate if candidate.max() <= peak else candidate * (peak / 255.0)
                return to_bytes(scaled), _cropped(candidate / candidate.max())
    ink = _find_ink(picture, shades=_is_small(image_shape))
    return to_bytes(_place(_thicken(ink), image_shape) * peak), ink


def _is_small(image_shape: tuple[int, int]) -> bool:
    return min(image_shape) <= 12


def _inner_box(image_shape: tuple[int, int]) -> tuple[float, float]:
    height, width = image_shape
    return (height, width) if _is_small(image_shape) else (height * 20 / 28, width * 20 / 28)


def _looks_like_data_set(picture: Reals) -> bool:
    """Whether a picture of the right size is bright on black, and fills the frame or is placed like MNIST's digits."""
    height, width = picture.shape
    top = picture.max()
    border = np.concatenate([picture[0], picture[-1], picture[1:-1, 0], picture[1:-1, -1]])
    if top < LEAST_CONTRAST or np.mean(border <= top / 50) < 0.25:
        return False
    rows, columns = np.nonzero(picture > top / 6)
    tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
    if tall >= height - 1 or wide >= width - 1:
        return True
    box_height, box_width = _inner_box((height, width))
    fills_box = 0.87 <= max(tall / box_height, wide / box_width) <= 1.07
    y, x = _centre_of_mass(picture)
    return bool(fills_box and abs(y - height / 2) <= 1.2 and abs(x - width / 2) <= 1.2)


def _centre_of_mass(picture: Reals) -> tuple[float, float]:
    total = picture.sum()
    y = float(picture.sum(axis=1) @ np.arange(picture.shape[0]) / total)
    x = float(picture.sum(axis=0) @ np.arange(picture.shape[1]) / total)
    return y, x


def _place(ink: Reals, image_shape: tuple[int, int]) -> Reals:
    """Ink of any size scaled into the inner box, in an image of zeros, its centre of mass at the image's centre.

    In a small image the ink's box is centred instead: there a pixel is a large part of a stroke.
    """
    height, width = image_shape
    box_height, box_width = _inner_box(image_shape)
    scale = min(box_height / ink.shape[0], box_width / ink.shape[1])
    tall = min(height, max(1, round(ink.shape[0] * scale)))
    wide = min(width, max(1, round(ink.shape[1] * scale)))
    small = _resize(ink, tall, wide)
    small /= small.max()
    y, x = (tall / 2, wide / 2) if _is_small(image_shape) else _centre_of_mass(small)
    top = min(max(0, round(height / 2 - y)), height - tall)
    left = min(max(0, round(width / 2 - x)), width - wide)
    placed = np.zeros(image_shape)
    placed[top : top + tall, left : left + wide] = small
    return placed


def _resize(picture: Reals, height: int, width: int) -> Reals:
    """Mean over each output pixel's area; enlarging, over an area of one input pixel, which interpolates linearly."""
    return _overlaps(picture.shape[0], height) @ picture @ _overlaps(picture.shape[1], width).T


def _overlaps(before: int, after: int) -> Reals:
    """(after, before): the share that each input pixel has in each output pixel, along one axis."""
    step = before / after
    centres = (np.arange(after) + 0.5) * step
    reach = max(step, 1.0) / 2
    edges = np.arange(before)
    shares = np.minimum(edges + 1, (centres + reach)[:, None]) - np.maximum(edges, (centres - reach)[:, None])
    shares = np.maximum(shares, 0.0)
    return shares / shares.sum(axis=1, keepdims=True)


def _find_ink(picture: Reals, *, shades: bool = False) -> Reals:
    """The ink alone, cropped to its bounding box: 0 on the background, up to 1 in the strokes.

    Strokes are made even, and their soft edges cut off halfway, unless `shades`.
    """
    shrink = min(1.0, WORK_SIZE / max(picture.shape))
    work = picture
    if shrink < 1.0:
        work = _resize(picture, max(1, round(picture.shape[0] * shrink)), max(1, round(picture.shape[1] * shrink)))
    rise, noise = _rise_over_background(work)
    if rise.max() < LEAST_CONTRAST:
        raise PictureError(f"is blank: nothing stands out from its background; {EXPECTED}")
    if rise.max() < 5 * noise:
        raise PictureError(f"does not look like a stroke: nothing stands out from the background noise; {EXPECTED}")
    threshold = max(_otsu(rise), 3 * noise, LEAST_CONTRAST / 2)
    background, full = threshold / 2, np.median(rise[rise > threshold])
    if shades:
        background = min(background, max(3 * noise, LEAST_CONTRAST / 2))
        full = np.quantile(rise[rise > threshold], 0.9)
    ink = np.clip((rise - background) / (full - background), 0.0, 1.0)
    ink *= _without_specks(rise > (background if shades else threshold))
    top, bottom, left, right = _bounds(ink)
    tall, wide = bottom - top, right - left
    if shrink < 1.0 and max(tall, wide) < SMALLEST_INK:
        margin = max(tall, wide, 4)
        rows = slice(int(max(0, top - margin) / shrink), int((bottom + margin) / shrink) + 1)
        columns = slice(int(max(0, left - margin) / shrink), int((right + margin) / shrink) + 1)
        return _find_ink(picture[rows, columns], shades=shades)
    return ink[top:bottom, left:right]


def _cropped(ink: Reals) -> Reals:
    top, bottom, left, right = _bounds(ink)
    return ink[top:bottom, left:right]


def _bounds(ink: Reals) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(ink)
    return int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1


def _rise_over_background(picture: Reals) -> tuple[Reals, float]:
    """How far each pixel differs from its background towards the ink (grey levels), and the background's noise.

    The background is a quadratic surface fitted to a ring along the border, without outliers there: it follows paper
    that is darker on one side. Ink is rare and far from the background, so the third moment's sign is its polarity.
    """
    height, width = picture.shape
    y, x = (axis.ravel() for axis in np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij"))
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    ring = np.ones(picture.shape, bool)
    depth = max(1, min(height, width) // 25)
    ring[depth : height - depth, depth : width - depth] = False
    terms_on_ring, values = terms[ring.ravel()], picture[ring]
    fit = np.full(len(values), np.median(values))
    flat = True
    for _ in range(4):
        residual = values - fit
        noise = 1.4826 * float(np.median(np.abs(residual)))
        usual = np.abs(residual) <= 3 * noise + 2
        flat = usual.sum() < 24
        if flat:
            break
        coefficients = np.linalg.lstsq(terms_on_ring[usual], values[usual], rcond=None)[0]
        fit = terms_on_ring @ coefficients
    background = np.full(picture.shape, np.median(values)) if flat else (terms @ coefficients).reshape(picture.shape)
    difference = picture - np.clip(background, values[usual].min() - 10, values[usual].max() + 10)
    sign = 1.0 if (difference**3).sum() >= 0 else -1.0
    return np.maximum(sign * difference, 0.0), noise


def _otsu(values: Reals) -> float:
    """The threshold that separates values into the two classes farthest from each other (Otsu 1979)."""
    counts, edges = np.histogram(values, bins=128)
    middles = (edges[:-1] + edges[1:]) / 2
    below, sums = np.cumsum(counts)[:-1], np.cumsum(counts * middles)[:-1]
    above = counts.sum() - below
    with np.errstate(divide="ignore", invalid="ignore"):
        separation = below * above * (sums / below - ((counts * middles).sum() - sums) / above) ** 2
    return float(edges[1:-1][np.nanargmax(separation)])


def _without_specks(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The mask of everything but specks: parts below 6% of the largest one's area, found on a grid of cells."""
    cell = -(-max(mask.shape) // 96)
    labels, areas = connected_parts(mask, cell)
    keep = neighbours_max((areas >= SPECK * areas.max())[labels] & (labels > 0))  # one more cell, for the soft edges
    return np.repeat(np.repeat(keep, cell, axis=0), cell, axis=1)[: mask.shape[0], : mask.shape[1]]


def _thicken(ink: Reals) -> Reals:
    """Ink with strokes at least 7% of its size wide, as of a pen on a form: a hairline would fade when scaled down."""
    strokes = ink > 0.5
    stroke_width = 2 * strokes.sum() / max(1.0, outline_length(strokes))
    for _ in range(round((0.07 * max(ink.shape) - stroke_width) / 2)):
        ink = neighbours_max(np.pad(ink, 1))
    return ink
