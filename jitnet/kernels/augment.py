"""Augmentation: random distortions of uint8 images, made again for every epoch.

A distorted image is the original looked up elsewhere: pixel (x, y) takes the value at

    source(x, y) = centre + M^-1 ((x, y) - centre - shift) + elastic * (dx(x, y), dy(x, y))

between the four pixels around it (bilinear interpolation), rounded to the nearest whole number; outside the image is 0.

* M = rotation · shear · scaling, one affine map about the image's centre. Shift and scaling are drawn for each axis;
  all draws are uniform between minus and plus their setting. x runs right and y down, so a positive angle turns
  clockwise; shear slants x by tan(shear) * y.
* dx and dy are the elastic distortion of Simard, Steinkraus and Platt 2003: for every pixel a number uniform in
  [-1, 1], smoothed by a Gaussian of `elastic_sigma` pixels. The Gaussian's weights, cut off at three sigma, sum to one,
  so that `elastic` is the paper's alpha: the displacement in pixels that random numbers of one would give. What is left
  after smoothing has a root mean square of 0.163 * elastic / elastic_sigma pixels along each axis: 1.4 for the paper's
  34 and 4. The random field goes on beyond the image's edges, so this holds at the edges too.

Every draw is a function of (seed, epoch, sample, position), see `random`: the same bits at any thread count and in any
order of the samples.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jitnet.compiler.decorators import helper, linked, plain
from jitnet.compiler.signatures import BYTES, FLOATS, INT, KEY, REAL
from jitnet.config import AugmentConfig
from jitnet.kernels.random import bits, uniform
from jitnet.machine.blocks import BLUR_ROWS, LANES
from jitnet.machine.tile import tile_add_scaled, tile_store, tile_zero

__all__ = [
    "Distortion",
    "augment_image",
    "distortion_settings",
    "draw_fields",
    "draw_map",
    "fill_noise",
    "scratch_size",
    "warp",
]

_FIELDS = np.uint64(8)
"""The first draw of the elastic fields; those before it are the affine map's."""

_LANE = np.uint64(0xFFFF)
_UNIT = np.float32(2.0**-15)
_HALF = np.float32(0.5)
_ZERO = np.float32(0.0)
_ONE = np.int64(1)  # NumPy integers: for plain constants the functions they go to would be compiled again
_NO_TAPS = np.int64(0)


class Distortion(NamedTuple):
    """How much is distorted at most; zero is off. Made by `distortion_settings`.

    shift, elastic: pixels. rotation, shear: radians. scaling: a fraction. gaussian: float32 (2 * radius + 1,), the
    weights that smooth the elastic distortion; empty where that is off.
    """

    shift: float
    rotation: float
    scaling: float
    shear: float
    elastic: float
    gaussian: npt.NDArray[np.float32]


def distortion_settings(config: AugmentConfig) -> Distortion:
    """The settings that the loops take, from those that people write."""
    radius = math.ceil(3.0 * config.elastic_sigma) if config.elastic else 0
    gaussian = [math.exp(-0.5 * (t / config.elastic_sigma) ** 2) for t in range(-radius, radius + 1)]
    total = math.fsum(gaussian)
    weights = np.array([value / total for value in gaussian] if config.elastic else [], np.float32)
    rotation, shear = math.radians(config.rotation), math.radians(config.shear)
    return Distortion(float(config.shift), rotation, float(config.scaling), shear, float(config.elastic), weights)


@helper
def _layout(height, width, taps):
    """Extents of the scratch: rows and columns of a field; rows and columns of the noise under it; floats in all.

    Rows are a multiple of BLUR_ROWS and columns of LANES, so that the tiles of the blur have no ragged edge. The
    scratch holds two fields, the places to look up and the image in a frame of zeros; for the elastic distortion also
    noise and blurred noise.
    """
    rows = (height + BLUR_ROWS - 1) // BLUR_ROWS * BLUR_ROWS
    columns = (width + LANES - 1) // LANES * LANES
    noise_rows = rows + max(taps - 1, 0)
    noise_columns = columns + (max(taps - 1, 0) + LANES - 1) // LANES * LANES
    size = 3 * rows * columns + (height + 3) * (width + 3)
    if taps > 0:
        size = (size + LANES - 1) // LANES * LANES + (noise_rows + rows) * noise_columns
    return rows, columns, noise_rows, noise_columns, size


def scratch_size(height: int, width: int, settings: Distortion) -> int:
    """float32 numbers that augmenting one image needs as scratch; about 8,800 for 28x28 with an elastic_sigma of 4."""
    return int(plain(_layout)(height, width, len(settings.gaussian))[4])


@helper
def _signed(key, index):
    """float64 in [-1, 1): number `index` of the stream `key`."""
    return 2.0 * np.float64(uniform(key, index)) - 1.0


@helper
def draw_map(key, settings, height, width):
    """(a, b, e, c, d, f) float64, the inverse of a random affine map: x = a x' + b y' + e, y = c x' + d y' + f."""
    shift_x, shift_y = settings.shift * _signed(key, np.uint64(0)), settings.shift * _signed(key, np.uint64(1))
    angle = settings.rotation * _signed(key, np.uint64(2))
    scale_x, scale_y = (
        1.0 + settings.scaling * _signed(key, np.uint64(3)),
        1.0 + settings.scaling * _signed(key, np.uint64(4)),
    )
    slant = math.tan(settings.shear * _signed(key, np.uint64(5)))
    cos, sin = math.cos(angle), math.sin(angle)
    a, b = (cos + slant * sin) / scale_x, (sin - slant * cos) / scale_x
    c, d = -sin / scale_y, cos / scale_y
    x, y = 0.5 * (width - 1), 0.5 * (height - 1)
    return a, b, x - a * (x + shift_x) - b * (y + shift_y), c, d, y - c * (x + shift_x) - d * (y + shift_y)


@linked(KEY, KEY, FLOATS)
def fill_noise(key, first, noise):
    """noise[i] uniform in (-1, 1), a multiple of 2**-16, from the draws of `key` from `first` on.

    A draw of 64 bits makes four numbers, one to each quarter: four plain stores, which vectorise, where four neighbours
    would not. noise is flat float32, a multiple of four long.
    """
    quarter = noise.shape[0] // 4
    part_0, part_1 = noise[:quarter], noise[quarter : 2 * quarter]
    part_2, part_3 = noise[2 * quarter : 3 * quarter], noise[3 * quarter :]
    low = _UNIT * _HALF - np.float32(1.0)
    for i in range(quarter):
        draw = bits(key, first + np.uint64(i))
        part_0[i] = np.float32(np.int32(draw & _LANE)) * _UNIT + low
        part_1[i] = np.float32(np.int32((draw >> np.uint64(16)) & _LANE)) * _UNIT + low
        part_2[i] = np.float32(np.int32((draw >> np.uint64(32)) & _LANE)) * _UNIT + low
        part_3[i] = np.float32(np.int32(draw >> np.uint64(48))) * _UNIT + low


@linked(FLOATS, INT, INT, FLOATS, INT, INT, FLOATS, INT)
def _blur(source, stride, step, gaussian, rows, columns, out, out_stride):
    """out[y, x] = sum over t of gaussian[t] * source[y, x, t steps on]; a step of 1 goes right, one of stride down.

    All flat float32; rows a multiple of BLUR_ROWS, columns of LANES. BLUR_ROWS rows' sums stay in registers while t
    runs.
    """
    for y in range(0, rows, BLUR_ROWS):
        for x in range(0, columns, LANES):
            sums = tile_zero(BLUR_ROWS, 1)
            at = y * stride + x
            for t in range(gaussian.shape[0]):
                sums = tile_add_scaled(sums, gaussian[t], source, at, stride)
                at += step
            tile_store(sums, out, y * out_stride + x, out_stride)


@helper
def draw_fields(key, settings, height, width, scratch):
    """scratch[: 2 * rows * columns] = dx, then dy: random and smooth, or 0 where the elastic distortion is off.

    rows and columns are `_layout`'s; the rest of the scratch is overwritten.
    """
    taps = settings.gaussian.shape[0]
    rows, columns, noise_rows, noise_columns, size = _layout(height, width, taps)
    if settings.elastic == 0.0:
        for i in range(2 * rows * columns):
            scratch[i] = _ZERO
        return
    blurred = scratch[size - rows * noise_columns : size]
    noise = scratch[size - (rows + noise_rows) * noise_columns : size - rows * noise_columns]
    for axis in range(2):
        fill_noise(key, _FIELDS + np.uint64(axis * (noise.shape[0] // 4)), noise)
        _blur(noise, noise_columns, noise_columns, settings.gaussian, rows, noise_columns, blurred, noise_columns)
        field = scratch[axis * rows * columns : (axis + 1) * rows * columns]
        _blur(blurred, noise_columns, _ONE, settings.gaussian, rows, columns, field, columns)


@helper
def _pad(image, height, width, padded):
    """Copy an image as float32 into a frame of zeros: one pixel above and left, two below and right."""
    pitch = width + 3
    for i in range(padded.shape[0]):
        padded[i] = _ZERO
    for y in range(height):
        row = image[y * width : (y + 1) * width]
        target = padded[(y + 1) * pitch + 1 : (y + 1) * pitch + 1 + width]
        for x in range(width):
            target[x] = np.float32(row[x])


@linked(INT, INT, INT, REAL, REAL, REAL, REAL, REAL, REAL, REAL, FLOATS, FLOATS, FLOATS)
def _locate(height, width, columns, a, b, e, c, d, f, elastic, dx, dy, places):
    """Where to look each pixel up: places = the padded image's pixel above and left; dx, dy become the shares beyond.

    A place outside moves to the nearest in the frame of zeros, so that neither this loop nor the next one has branches.
    """
    x_end, y_end = np.float32(width + 1), np.float32(height + 1)
    x_step, y_step, strength = np.float32(a), np.float32(c), np.float32(elastic)
    pitch = np.int32(width + 3)
    for y in range(height):
        # In the frame's coordinates, which are one larger and never negative: cutting off the fraction rounds down.
        x_start, y_start = np.float32(b * y + e + 1.0), np.float32(d * y + f + 1.0)
        row_x, row_y = dx[y * columns : (y + 1) * columns], dy[y * columns : (y + 1) * columns]
        row_places = places[y * columns : (y + 1) * columns]
        for x in range(columns):
            at_x = x_step * np.float32(x) + x_start + strength * row_x[x]
            at_y = y_step * np.float32(x) + y_start + strength * row_y[x]
            at_x = at_x if at_x > _ZERO else _ZERO
            at_y = at_y if at_y > _ZERO else _ZERO
            at_x = at_x if at_x < x_end else x_end
            at_y = at_y if at_y < y_end else y_end
            left, top = np.int32(at_x), np.int32(at_y)
            row_x[x] = at_x - np.float32(left)
            row_y[x] = at_y - np.float32(top)
            row_places[x] = np.float32(top * pitch + left)  # exact: an image has fewer than 2**24 pixels


@linked(FLOATS, INT, INT, INT, FLOATS, FLOATS, FLOATS, BYTES)
def _look_up(padded, height, width, columns, dx, dy, places, out):
    """out = what is between the four pixels at each place; apart from `_locate`, whose loop vectorises."""
    pitch = width + 3
    above, below = padded[: (height + 2) * pitch], padded[pitch:]
    above_next, below_next = padded[1:], padded[pitch + 1 :]
    for y in range(height):
        row_x, row_y = dx[y * columns : y * columns + width], dy[y * columns : y * columns + width]
        row_places = places[y * columns : y * columns + width]
        row = out[y * width : (y + 1) * width]
        for x in range(row.shape[0]):
            at = np.uint64(np.uint32(np.int32(row_places[x])))
            upper = above[at] + row_x[x] * (above_next[at] - above[at])
            lower = below[at] + row_x[x] * (below_next[at] - below[at])
            row[x] = np.uint8(np.int32(upper + row_y[x] * (lower - upper) + _HALF))


@helper
def warp(image, height, width, source, elastic, scratch, out):
    """out[y, x] = the image at (a x + b y + e, c x + d y + f) + elastic * (dx[y, x], dy[y, x]), bilinear, 0 outside.

    source = (a, b, e, c, d, f) float64. The scratch begins with dx and dy as `draw_fields` leaves them; overwritten.
    image and out (height * width,) uint8, not overlapping.
    """
    rows, columns, _, _, _ = _layout(height, width, _NO_TAPS)
    size = rows * columns
    dx, dy, places = scratch[:size], scratch[size : 2 * size], scratch[2 * size : 3 * size]
    padded = scratch[3 * size : 3 * size + (height + 3) * (width + 3)]
    _pad(image, height, width, padded)
    a, b, e, c, d, f = source
    _locate(height, width, columns, a, b, e, c, d, f, elastic, dx, dy, places)
    _look_up(padded, height, width, columns, dx, dy, places, out)


@helper
def augment_image(image, height, width, settings, key, scratch, out):
    """out = image, distorted as `settings` allow and the random stream `key` says; an exact copy where all is off.

    image and out (height * width,) uint8, not overlapping; key uint64, from (seed, AUGMENT, epoch, sample); scratch
    (`scratch_size`,) float32, overwritten.
    """
    affine = settings.shift > 0.0 or settings.rotation > 0.0 or settings.scaling > 0.0 or settings.shear > 0.0
    if not affine and settings.elastic == 0.0:
        for i in range(out.shape[0]):
            out[i] = image[i]
        return
    draw_fields(key, settings, height, width, scratch)
    warp(image, height, width, draw_map(key, settings, height, width), settings.elastic, scratch, out)
