"""From a picture file to the right answer: drawn digits and enlarged test images, whatever their size, place and
polarity."""

from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from jitnet.config import ModelConfig, TrainConfig
from jitnet.datasets import from_arrays, load
from jitnet.errors import ModelError, PictureError
from jitnet.model import Model
from jitnet.pictures import load_pictures, normalise_picture, write_pgm, write_png
from jitnet.pictures.recognition import recognise
from jitnet.training.trainer import train


def learnt(dataset, epochs: int) -> Model:
    model = Model.create(ModelConfig(in_features=dataset.in_features, n_classes=dataset.n_classes), dataset, seed=1)
    for _ in train(model, dataset, TrainConfig(epochs=epochs, seed=1)):
        pass
    return model


@pytest.fixture(scope="module")
def mnist(mnist_folder):
    return load(mnist_folder)


@pytest.fixture(scope="module")
def model(mnist):
    return learnt(mnist, 3)


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture(scope="module")
def digits_model(digits):
    return learnt(digits, 20)


def arc(x: float, y: float, wide: float, tall: float, start: float, end: float) -> list[tuple[float, float]]:
    """Points on an ellipse around (x, y), angles in degrees: 0 is right, 90 is down."""
    angles = np.radians(np.linspace(start, end, 24))
    return list(zip(x + wide * np.cos(angles), y + tall * np.sin(angles), strict=True))


DIGITS = {
    0: [arc(0.5, 0.5, 0.3, 0.43, 0, 360)],
    1: [[(0.56, 0.06), (0.46, 0.94)]],
    2: [[*arc(0.5, 0.3, 0.28, 0.23, 190, 390), (0.2, 0.9), (0.84, 0.9)]],
    3: [[*arc(0.45, 0.28, 0.27, 0.21, 200, 450), *arc(0.45, 0.71, 0.31, 0.22, 270, 510)]],
    4: [[(0.26, 0.1), (0.2, 0.52), (0.78, 0.48)], [(0.76, 0.1), (0.66, 0.95)]],
    5: [[(0.8, 0.08), (0.36, 0.08), (0.3, 0.45), *arc(0.45, 0.67, 0.29, 0.24, 240, 500)]],
    6: [[(0.62, 0.05), (0.4, 0.3), (0.27, 0.6), *arc(0.5, 0.7, 0.24, 0.23, 190, 540)]],
    7: [[(0.2, 0.1), (0.8, 0.1), (0.62, 0.45), (0.46, 0.95)]],
    8: [arc(0.5, 0.27, 0.2, 0.2, 0, 360), arc(0.49, 0.71, 0.25, 0.24, 0, 360)],
    9: [arc(0.47, 0.3, 0.25, 0.23, 0, 360), [(0.72, 0.27), (0.67, 0.6), (0.58, 0.95)]],
}
"""Each digit's strokes as points (x, y) in a unit square."""


def draw(digit: int, size: int, pen: float = 0.1) -> np.ndarray:
    """A digit in strokes of a round pen, (size, size) of 0 to 1 with smooth edges."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    distance = np.full(y.shape, np.inf)
    for stroke in DIGITS[digit]:
        for (x0, y0), (x1, y1) in pairwise(stroke):
            length = max((y1 - y0) ** 2 + (x1 - x0) ** 2, 1e-12)
            along = np.clip(((y - y0) * (y1 - y0) + (x - x0) * (x1 - x0)) / length, 0, 1)
            distance = np.minimum(distance, np.hypot(y - y0 - along * (y1 - y0), x - x0 - along * (x1 - x0)))
    return np.clip((pen / 2 - distance) * size + 0.5, 0, 1)


def as_photo(figure: np.ndarray, rng: np.random.Generator, place: tuple[float, float], *, dark: bool) -> np.ndarray:
    """The figure on a larger ground with a little noise; place: share of the free room above and to the left."""
    height, width = (round(extent * 1.7) for extent in figure.shape)
    top, left = (
        round(share * (room - extent)) for share, room, extent in zip(place, (height, width), figure.shape, strict=True)
    )
    canvas = np.zeros((height, width))
    canvas[top : top + figure.shape[0], left : left + figure.shape[1]] = figure
    levels = 225 - 190 * canvas if dark else 25 + 200 * canvas
    return np.clip(levels + rng.normal(0, 4, canvas.shape), 0, 255).astype(np.uint8)


def write(path: Path, picture: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, picture)
    else:
        {".pgm": write_pgm, ".png": write_png}[path.suffix](path, picture)
    return path


@pytest.mark.parametrize("dark", [True, False], ids=["dark on light", "light on dark"])
@pytest.mark.parametrize("size", [40, 100, 300])
def test_drawn_digits_are_recognised(model, tmp_path, size, dark):
    suffixes = [".pgm", ".npy", ".png" if find_spec("PIL") else ".pgm"]
    rng = np.random.default_rng(size)
    wrong = []
    for digit in DIGITS:
        figure = draw(digit, size)
        for place, suffix in zip([(0.5, 0.5), (0.05, 0.1), (0.9, 0.97)], suffixes, strict=True):
            path = write(tmp_path / f"picture{suffix}", as_photo(figure, rng, place, dark=dark))
            found = recognise(model, path)
            assert (found.path, found.name, found.notices) == (path, str(path), ())
            assert sum(probability for _, probability in found.guesses) == pytest.approx(1, abs=1e-4)
            if found.guesses[0][0] != str(digit):
                wrong.append((digit, place, found.guesses[:2]))
    assert wrong == []


def smooth(image: np.ndarray, factor: int) -> np.ndarray:
    """Enlarged, linear between the pixels' centres."""
    for axis in (0, 1):
        at = np.clip((np.arange(image.shape[axis] * factor) + 0.5) / factor - 0.5, 0, image.shape[axis] - 1)
        low = np.floor(at).astype(int)
        share = (at - low).reshape((-1, 1) if axis == 0 else (1, -1))
        high = np.minimum(low + 1, image.shape[axis] - 1)
        image = image.take(low, axis) * (1 - share) + image.take(high, axis) * share
    return image


def nearest(image: np.ndarray, factor: int) -> np.ndarray:
    return image.repeat(factor, 0).repeat(factor, 1)


@pytest.mark.parametrize("enlarge", [nearest, smooth])
@pytest.mark.parametrize("dark", [True, False], ids=["dark on light", "light on dark"])
def test_enlarged_test_images_are_recognised(model, mnist, tmp_path, dark, enlarge):
    rng = np.random.default_rng(4)
    right = 0
    for index in range(100):
        figure = enlarge(mnist.test.images[index].reshape(28, 28) / 255.0, 2 + index % 7)
        path = write(tmp_path / "picture.pgm", as_photo(figure, rng, tuple(rng.random(2)), dark=dark))
        right += recognise(model, path).guesses[0][0] == str(mnist.test.labels[index])
    assert right >= 90


@pytest.mark.parametrize("dark", [True, False], ids=["dark on light", "light on dark"])
def test_enlarged_small_images_are_recognised(digits_model, digits, tmp_path, dark):
    rng = np.random.default_rng(5)
    right = 0
    for image, label in zip(digits.test.images[:200], digits.test.labels[:200], strict=True):
        figure = nearest(image.reshape(8, 8) / 16.0, 8)
        path = write(tmp_path / "picture.pgm", as_photo(figure, rng, tuple(rng.random(2)), dark=dark))
        right += recognise(digits_model, path).guesses[0][0] == digits.class_names[label]
    assert right >= 0.85 * 200


def test_a_data_sets_own_image_is_predicted_as_it_is(digits_model, digits, tmp_path):
    """Grey levels 0 to 16, as stored and stretched to 0 to 255: the very same samples, and the very same answer."""
    for image in digits.test.images[:20]:
        expected = digits_model.predict(image)[0]
        for levels in (image, np.rint(image * (255 / 16)).astype(np.uint8)):
            found = recognise(digits_model, write(tmp_path / "picture.npy", levels.reshape(8, 8)))
            assert dict(found.guesses) == {
                name: pytest.approx(float(share)) for name, share in zip("0123456789", expected, strict=True)
            }
            assert np.abs(found.image.ravel() - image * (255 / 16)).max() <= 0.5


def test_models_of_bytes_and_of_fractions_see_the_same(tmp_path):
    """A model that was trained on 0 to 1 gets white as 1, like one that was trained on bytes."""
    rng = np.random.default_rng(6)
    images = rng.integers(0, 256, (40, 784), np.uint8)
    bytes_ = from_arrays(images, np.arange(40) % 10, image_shape=(28, 28))
    fractions = from_arrays(images / 255.0 * 0.9987, np.arange(40) % 10, image_shape=(28, 28))
    path = write(tmp_path / "picture.pgm", as_photo(draw(3, 100), rng, (0.3, 0.6), dark=True))
    config = ModelConfig(in_features=784, n_classes=10)
    first, second = (recognise(Model.create(config, data, seed=3), path) for data in (bytes_, fractions))
    assert np.array_equal(first.image, second.image)
    assert [name for name, _ in first.guesses] == [name for name, _ in second.guesses]
    assert [share for _, share in first.guesses] == pytest.approx([share for _, share in second.guesses], abs=1e-5)


def test_small_images_keep_shades_and_stand_in_the_middle():
    figure = np.zeros((8, 8))
    figure[:, 2:6] = np.linspace(4, 16, 8)[:, None]
    seen = normalise_picture(np.pad(nearest(figure * 15.9, 8), ((9, 30), (25, 4))), (8, 8), peak=16)
    assert np.abs(seen.astype(float) - figure).max() <= 2


def test_what_cannot_be_recognised(digits_model, tmp_path):
    blank = write(tmp_path / "blank.pgm", np.full((30, 30), 200, np.uint8))
    with pytest.raises(PictureError, match=r"blank\.pgm: is blank"):
        recognise(digits_model, blank)
    rows = np.random.default_rng(0).normal(0, 3, (30, 7))
    plain = Model.create(ModelConfig(in_features=7, n_classes=3), from_arrays(rows, np.arange(30) % 3))
    with pytest.raises(ModelError, match="plain numbers"):
        recognise(plain, blank)
    tables = Model.create(
        ModelConfig(in_features=64, n_classes=3), from_arrays(np.ones((30, 64)) * rows[:, :1], np.arange(30) % 3)
    )
    with pytest.raises(ModelError, match=r"64 plain numbers per sample; name a model of images"):
        recognise(tables, blank)


def test_each_picture_of_a_stack(digits_model, digits, tmp_path):
    path = tmp_path / "stack.npy"
    np.save(path, digits.test.images[:3].reshape(3, 8, 8))
    found = [recognise(digits_model, picture) for picture in load_pictures(path)]
    assert [one.name for one in found] == [f"{path}[{index}]" for index in range(3)]
    for one, image in zip(found, digits.test.images, strict=False):
        assert one.path == path
        assert one.guesses == recognise(digits_model, write(tmp_path / "one.npy", image.reshape(8, 8))).guesses
    with pytest.raises(PictureError, match=r"stack\.npy: holds 3 pictures, expected one"):
        recognise(digits_model, path)


def test_what_cannot_be_known_is_said(digits_model, tmp_path):
    rng = np.random.default_rng(8)
    one = as_photo(draw(3, 100), rng, (0.3, 0.6), dark=True)
    assert recognise(digits_model, write(tmp_path / "one.pgm", one)).notices == ()
    pair = write(tmp_path / "pair.pgm", np.concatenate([one, as_photo(draw(8, 100), rng, (0.6, 0.3), dark=True)], 1))
    assert recognise(digits_model, pair).notices[0].startswith("shows two separate shapes")
    specks = write(tmp_path / "noise.pgm", ((rng.random((90, 90)) < 0.2) * 255).astype(np.uint8))
    assert "does not look like a stroke" in recognise(digits_model, specks).notices[0]


def test_the_digits_raise_no_doubt(digits_model, digits, tmp_path):
    doubted = [
        index
        for index, image in enumerate(digits.test.images)
        if recognise(digits_model, write(tmp_path / "one.npy", image.reshape(8, 8))).notices
    ]
    assert doubted == []
