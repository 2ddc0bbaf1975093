"""Augmentation: each distortion against a plain float64 reference, and draws that depend on nothing but their place."""

import math

import numpy as np
import pytest
from direct import direct
from loop import walk_data

from jitnet.config import AugmentConfig
from jitnet.kernels import augment
from jitnet.kernels.augment import distortion_settings
from jitnet.kernels.random import AUGMENT, key, uniform

fill_noise = direct(augment.fill_noise)

SHAPES = [(1, 1), (1, 9), (9, 1), (8, 8), (13, 7), (5, 16), (4, 17)]
ALL = AugmentConfig(shift=1.5, rotation=20.0, scaling=0.2, shear=15.0, elastic=8.0, elastic_sigma=1.0)
EACH = [
    AugmentConfig(shift=3.0),
    AugmentConfig(rotation=40.0),
    AugmentConfig(scaling=0.4),
    AugmentConfig(shear=30.0),
    AugmentConfig(elastic=10.0, elastic_sigma=1.0),
]


def noise_images(n: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, height * width), np.uint8)


def augmented(images, shape, config, *, rows=None, seed=0, epoch=0, parts=1) -> np.ndarray:
    settings = distortion_settings(config)
    rows = np.arange(len(images)) if rows is None else np.asarray(rows)
    scratch = np.full((parts, augment.scratch_size(*shape, settings)), np.nan, np.float32)
    out = np.full((len(rows), shape[0] * shape[1]), 77, np.uint8)
    walk_data(
        "augment",
        parts,
        rows.astype(np.int32),
        images=images,
        new_images=out,
        pixels=scratch,
        distortion=settings,
        seed=seed,
        epoch=epoch,
        image_shape=shape,
    )
    return out


def warped(image, shape, source, elastic=0.0, dx=0.0, dy=0.0) -> np.ndarray:
    """What `warp` makes of an image under a given map and given fields, (height, width)."""
    height, width = shape
    rows, columns, _, _, size = augment._layout(height, width, 0)
    scratch = np.full(size, np.nan, np.float32)
    fields = np.zeros((2, rows, columns), np.float32)
    fields[0, :height, :width], fields[1, :height, :width] = dx, dy
    scratch[: fields.size] = fields.reshape(-1)
    out = np.full(height * width, 77, np.uint8)
    augment.warp(image.reshape(-1), height, width, tuple(map(float, source)), float(elastic), scratch, out)
    return out.reshape(shape)


def looked_up(image: np.ndarray, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Plain float64 bilinear interpolation of image (height, width) at (xs, ys), 0 outside; not rounded."""
    height, width = image.shape

    def pixel(y: int, x: int) -> float:
        return float(image[y, x]) if 0 <= y < height and 0 <= x < width else 0.0

    out = np.zeros(xs.shape)
    for place in np.ndindex(*xs.shape):
        x, y = xs[place], ys[place]
        left, top = math.floor(x), math.floor(y)
        across, down = x - left, y - top
        out[place] = (
            pixel(top, left) * (1 - across) * (1 - down)
            + pixel(top, left + 1) * across * (1 - down)
            + pixel(top + 1, left) * (1 - across) * down
            + pixel(top + 1, left + 1) * across * down
        )
    return out


def rotated(image: np.ndarray, degrees: float) -> np.ndarray:
    """An image turned clockwise about its centre, in float64."""
    height, width = image.shape
    angle = math.radians(degrees)
    y, x = np.mgrid[:height, :width].astype(float)
    x -= (width - 1) / 2
    y -= (height - 1) / 2
    xs = math.cos(angle) * x + math.sin(angle) * y + (width - 1) / 2
    ys = -math.sin(angle) * x + math.cos(angle) * y + (height - 1) / 2
    return looked_up(image, xs, ys)


@pytest.mark.small
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_off_is_an_exact_copy(shape):
    images = noise_images(3, *shape)
    np.testing.assert_array_equal(augmented(images, shape, AugmentConfig()), images)


@pytest.mark.small
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_identity_map_changes_nothing(shape):
    image = noise_images(1, *shape).reshape(shape)
    np.testing.assert_array_equal(warped(image, shape, (1, 0, 0, 0, 1, 0)), image)


@pytest.mark.small
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("shift", [(1, 0), (0, 1), (-2, 1), (3, -4), (100, 0), (0, -100)], ids=str)
def test_whole_pixel_shifts_move_the_array(shape, shift):
    (height, width), (right, down) = shape, shift
    image = noise_images(1, *shape).reshape(shape)
    expected = np.zeros(shape, np.uint8)
    for y in range(height):
        for x in range(width):
            if 0 <= y - down < height and 0 <= x - right < width:
                expected[y, x] = image[y - down, x - right]
    np.testing.assert_array_equal(warped(image, shape, (1, 0, -right, 0, 1, -down)), expected)
    # The same shift as a displacement field.
    moved = warped(image, shape, (1, 0, 0, 0, 1, 0), 2.0, -right / 2, -down / 2)
    np.testing.assert_array_equal(moved, expected)


@pytest.mark.small
@pytest.mark.parametrize("shape", [(1, 9), (8, 8), (13, 7)], ids=str)
def test_warp_equals_plain_interpolation(shape):
    height, width = shape
    image = noise_images(1, *shape).reshape(shape)
    rng = np.random.default_rng(1)
    dx, dy = rng.normal(0, 1.0, (2, *shape)).astype(np.float32)
    source = (0.9, 0.2, -0.7, -0.3, 1.2, 0.4)
    y, x = np.mgrid[:height, :width].astype(float)
    xs = 0.9 * x + 0.2 * y - 0.7 + 1.5 * dx
    ys = -0.3 * x + 1.2 * y + 0.4 + 1.5 * dy
    # Half a level of rounding, and the float32 position's 1e-5 of a pixel on slopes of up to 255.
    np.testing.assert_allclose(warped(image, shape, source, 1.5, dx, dy), looked_up(image, xs, ys), atol=0.51)


STREAM = np.uint64(0)


def signed(index: int) -> float:
    """The draw of STREAM that an affine map is made from, in [-1, 1)."""
    return 2.0 * float(uniform(STREAM, np.uint64(index))) - 1.0


@pytest.mark.small
@pytest.mark.parametrize("shape", [(1, 9), (8, 8), (13, 7)], ids=str)
def test_rotation_by_a_known_angle(shape):
    config = AugmentConfig(rotation=90.0)
    settings = distortion_settings(config)
    image = noise_images(1, *shape).reshape(shape)
    out = np.empty(image.size, np.uint8)
    scratch = np.empty(augment.scratch_size(*shape, settings), np.float32)
    augment.augment_image(image.reshape(-1), *shape, settings, STREAM, scratch, out)
    degrees = 90.0 * signed(2)
    assert abs(degrees) > 5
    np.testing.assert_allclose(out.reshape(shape), rotated(image, degrees), atol=0.52)


@pytest.mark.small
def test_the_map_is_the_inverse_of_rotation_shear_scaling_and_shift():
    settings = distortion_settings(ALL)
    height, width = 13, 7
    draws = [signed(index) for index in range(6)]
    shift = 1.5 * np.array(draws[:2])
    angle = math.radians(20.0) * draws[2]
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    shear = np.array([[1.0, math.tan(math.radians(15.0) * draws[5])], [0.0, 1.0]])
    scaling = np.diag(1.0 + 0.2 * np.array(draws[3:5]))
    a, b, e, c, d, f = augment.draw_map(STREAM, settings, height, width)
    centre = np.array([3.0, 6.0])
    for point in ([0.0, 0.0], [6.0, 0.0], [2.5, 11.0]):
        there = rotation @ shear @ scaling @ (np.array(point) - centre) + centre + shift
        back = [a * there[0] + b * there[1] + e, c * there[0] + d * there[1] + f]
        np.testing.assert_allclose(back, point, atol=1e-9)


def test_draws_keep_within_their_settings_and_use_them():
    config = AugmentConfig(shift=3.0, rotation=30.0, scaling=0.25, shear=20.0)
    found = []
    for sample in range(2000):
        stream = np.uint64(key(np.uint64(1), AUGMENT, np.uint64(0), np.uint64(sample)))
        a, b, e, c, d, f = augment.draw_map(stream, distortion_settings(config), 1, 1)
        inverse = np.linalg.inv([[a, b], [c, d]])
        shift = inverse @ [-e, -f]
        scale_x, angle = np.hypot(*inverse[:, 0]), math.atan2(inverse[1, 0], inverse[0, 0])
        scale_y = np.linalg.det(inverse) / scale_x
        slant = (inverse[:, 0] @ inverse[:, 1]) / scale_x / scale_y
        found.append([*shift, math.degrees(angle), scale_x - 1, scale_y - 1, math.degrees(math.atan(slant))])
    limits = np.array([3.0, 3.0, 30.0, 0.25, 0.25, 20.0])
    found = np.array(found) / limits
    assert np.abs(found).max() <= 1.0 + 1e-6
    np.testing.assert_array_less(0.98, found.max(axis=0))
    np.testing.assert_array_less(found.min(axis=0), -0.98)
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=0.06)
    correlation = np.corrcoef(found.T) - np.eye(6)
    assert np.abs(correlation).max() < 0.1


def fields(config: AugmentConfig, shape: tuple[int, int], samples: int) -> np.ndarray:
    """Elastic displacements in pixels, (samples, 2, height, width)."""
    settings = distortion_settings(config)
    rows, columns, *_ = augment._layout(*shape, 0)
    scratch = np.empty(augment.scratch_size(*shape, settings), np.float32)
    found = []
    for sample in range(samples):
        augment.draw_fields(np.uint64(1000 + sample), settings, *shape, scratch)
        found.append(
            scratch[: 2 * rows * columns].reshape(2, rows, columns)[:, : shape[0], : shape[1]] * config.elastic
        )
    return np.array(found)


def test_elastic_displacement_has_the_size_and_smoothness_that_is_promised():
    found = fields(AugmentConfig(elastic=34.0, elastic_sigma=4.0), (64, 64), 100)
    assert found.std() == pytest.approx(0.163 * 34.0 / 4.0, rel=0.03)
    assert abs(found.mean()) < 0.05
    # A field smoothed by sigma agrees with itself d pixels on as exp(-d^2 / (4 sigma^2)).
    for apart, agreement in ((1, 0.985), (4, 0.779), (8, 0.368), (25, 0.0)):
        across = np.corrcoef(found[..., :-apart].ravel(), found[..., apart:].ravel())[0, 1]
        down = np.corrcoef(found[:, :, :-apart].ravel(), found[:, :, apart:].ravel())[0, 1]
        assert across == pytest.approx(agreement, abs=0.04)
        assert down == pytest.approx(agreement, abs=0.04)
    assert abs(np.corrcoef(found[:, 0].ravel(), found[:, 1].ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("shape", [(28, 28), (1, 17), (9, 5)], ids=str)
def test_elastic_displaces_the_edges_as_much(shape):
    found = fields(AugmentConfig(elastic=10.0, elastic_sigma=1.5), shape, 2000)
    for edge in (found[:, :, 0], found[:, :, -1], found[..., 0], found[..., -1]):
        assert edge.std() == pytest.approx(0.163 * 10.0 / 1.5, rel=0.08)


@pytest.mark.small
@pytest.mark.parametrize("shape", [(4, 16), (5, 3)], ids=str)
def test_elastic_fields_equal_a_plain_blur_of_the_noise(shape):
    (height, width), stream = shape, np.uint64(4)
    settings = distortion_settings(AugmentConfig(elastic=1.0, elastic_sigma=1.0))
    taps = len(settings.gaussian)
    rows, columns, noise_rows, noise_columns, size = augment._layout(*shape, taps)
    scratch = np.empty(size, np.float32)
    augment.draw_fields(stream, settings, *shape, scratch)
    kernel = np.outer(settings.gaussian, settings.gaussian).astype(float)
    for axis in range(2):
        noise = np.empty(noise_rows * noise_columns, np.float32)
        fill_noise(stream, np.uint64(8 + axis * (noise.size // 4)), noise)
        noise = noise.reshape(noise_rows, noise_columns).astype(float)
        plain = [[(kernel * noise[y : y + taps, x : x + taps]).sum() for x in range(width)] for y in range(height)]
        field = scratch[axis * rows * columns : (axis + 1) * rows * columns].reshape(rows, columns)
        np.testing.assert_allclose(field[:height, :width], plain, atol=1e-6)


@pytest.mark.small
@pytest.mark.parametrize("sigma", [0.5, 1.0, 4.0, 20.0])
def test_the_gaussian(sigma):
    weights = distortion_settings(AugmentConfig(elastic=1.0, elastic_sigma=sigma)).gaussian
    assert weights.dtype == np.float32
    assert len(weights) == 2 * math.ceil(3 * sigma) + 1
    assert weights.sum(dtype=float) == pytest.approx(1.0, abs=1e-6)
    offsets = np.arange(len(weights)) - len(weights) // 2
    np.testing.assert_allclose(weights / weights.max(), np.exp(-(offsets**2) / (2 * sigma**2)), rtol=1e-5)
    np.testing.assert_array_equal(weights, weights[::-1])


@pytest.mark.small
def test_noise_is_uniform():
    noise = np.empty(4000, np.float32)
    fill_noise(np.uint64(9), np.uint64(8), noise)
    assert np.abs(noise).max() < 1.0
    assert noise.mean() == pytest.approx(0.0, abs=0.03)
    assert noise.var() == pytest.approx(1 / 3, abs=0.02)
    assert len(np.unique(noise)) > 3500


@pytest.mark.parametrize("config", [*EACH, ALL], ids=lambda config: repr(config.model_dump(exclude_defaults=True)))
@pytest.mark.parametrize("shape", [(28, 28), (13, 7)], ids=str)
def test_the_same_bits_for_any_parts_and_chunks(config, shape):
    images = noise_images(23, *shape)
    once = augmented(images, shape, config, seed=3, epoch=2)
    for parts in (2, 3, 8, 40):
        np.testing.assert_array_equal(augmented(images, shape, config, seed=3, epoch=2, parts=parts), once)
    order = np.random.default_rng(0).permutation(23)
    shuffled = np.concatenate(
        [augmented(images, shape, config, rows=order[first : first + 5], seed=3, epoch=2) for first in range(0, 23, 5)]
    )
    np.testing.assert_array_equal(shuffled, once[order])


@pytest.mark.small
@pytest.mark.parametrize("config", EACH, ids=lambda config: next(iter(config.model_dump(exclude_defaults=True))))
def test_seeds_epochs_and_samples_differ(config):
    images = np.repeat(noise_images(1, 8, 8), 3, axis=0)
    outs = [
        augmented(images, (8, 8), config, seed=seed, epoch=epoch)[row].tobytes()
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
        for row in range(3)
    ]
    assert len(set(outs)) == 9
    assert images[0].tobytes() not in outs


@pytest.mark.small
@pytest.mark.parametrize("config", [*EACH, ALL], ids=lambda config: "+".join(config.model_dump(exclude_defaults=True)))
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_stay_between_black_and_the_brightest(config, shape):
    images = np.minimum(noise_images(2, *shape), 16)
    out = augmented(images, shape, config, seed=1)
    assert out.max() <= 16
    white = np.full((2, shape[0] * shape[1]), 255, np.uint8)
    assert augmented(white, shape, config, seed=1).dtype == np.uint8


@pytest.mark.small
def test_the_extremes_of_every_setting():
    config = AugmentConfig(shift=32, rotation=180, scaling=0.9, shear=60, elastic=100, elastic_sigma=0.5)
    white = np.full((40, 8 * 8), 255, np.uint8)
    out = augmented(white, (8, 8), config)
    assert set(np.unique(out)) >= {0, 255}
