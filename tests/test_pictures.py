"""Pictures: every form that a file can take, every way it can be broken, and what a digit becomes."""

import contextlib
import gzip
import io
import struct
import sys
import time
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jitnet.errors import MissingExtra, OutputError, PictureError
from jitnet.pictures import MAX_PIXELS, load_picture, normalise_picture, write_pgm, write_png


def draw(size: int, *, thickness: float = 0.09) -> np.ndarray:
    """A bright 4-like stroke figure on black, `size` high, smooth edges: nothing symmetric, one end open."""
    y, x = np.mgrid[:size, : round(size * 0.8)] / size
    distance = np.full(y.shape, np.inf)
    for (y0, x0), (y1, x1) in [((0.1, 0.45), (0.6, 0.1)), ((0.6, 0.1), (0.6, 0.7)), ((0.3, 0.55), (0.9, 0.55))]:
        length = (y1 - y0) ** 2 + (x1 - x0) ** 2
        along = np.clip(((y - y0) * (y1 - y0) + (x - x0) * (x1 - x0)) / length, 0, 1)
        distance = np.minimum(distance, np.hypot(y - y0 - along * (y1 - y0), x - x0 - along * (x1 - x0)))
    return np.clip((thickness / 2 - distance) * size + 0.5, 0, 1) * 255


def on_canvas(figure: np.ndarray, height: int, width: int, top: int, left: int) -> np.ndarray:
    canvas = np.zeros((height, width))
    canvas[top : top + figure.shape[0], left : left + figure.shape[1]] = figure
    return canvas


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation, the best over shifts by one pixel: the centre of mass is rounded to a pixel."""
    shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    return max(float(np.corrcoef(np.roll(a, shift, (0, 1)).ravel(), b.ravel())[0, 1]) for shift in shifts)


REFERENCE = normalise_picture(on_canvas(draw(200), 280, 280, 40, 60).astype(np.uint8), (28, 28))
RAMP = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


# Reading


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"P2\n2 2\n255\n0 10\n20 255\n", [[0, 10], [20, 255]]),
        (b"P2 # a comment\n# another\n2 # wide\n2\n15\n0 1\n# in the data\n2 15", [[0, 17], [34, 255]]),
        (b"P2\n2 1\n65535\n0 65535\n", [[0, 255]]),
        (b"P5\n2 2\n255\n\x00\x0a\x14\xff", [[0, 10], [20, 255]]),
        (b"P5 2 1 1 \x00\x01", [[0, 255]]),
        (b"P5\n#c\n2 1\n65535\n\x00\x00\xff\xff", [[0, 255]]),
    ],
)
def test_pgm(tmp_path, text, expected):
    path = tmp_path / "picture.pgm"
    path.write_bytes(text)
    picture = load_picture(path)
    assert picture.dtype == np.uint8
    assert picture.tolist() == expected


def test_pgm_written_is_read_back(tmp_path):
    write_pgm(tmp_path / "ramp.pgm", RAMP)
    assert np.array_equal(load_picture(tmp_path / "ramp.pgm"), RAMP)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (RAMP, RAMP),
        (np.array([[True, False]]), [[255, 0]]),
        (np.array([[0.0, 0.5, 1.0]]), [[0, 128, 255]]),
        (np.array([[0.0, 100.0, 255.0]], np.float32), [[0, 100, 255]]),
        (np.array([[0, 65_535]], np.uint16), [[0, 255]]),
        (np.array([[-1.0, 0.0, 1.0]]), [[0, 128, 255]]),
        (RAMP[:, :, None], RAMP),
        (np.stack([RAMP] * 3, axis=2), RAMP),
        (np.stack([RAMP.reshape(2, 6)] * 3, axis=0), RAMP.reshape(2, 6)),
        (np.array([[[255, 0, 0]], [[0, 255, 0]]], np.uint8), [[76], [150]]),
        (np.array([[[0, 0, 0, 0]], [[0, 0, 0, 255]]], np.uint8), [[255], [0]]),
    ],
)
def test_npy(tmp_path, array, expected):
    np.save(tmp_path / "picture.npy", array)
    assert load_picture(tmp_path / "picture.npy").tolist() == np.asarray(expected).tolist()


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        ([[-1e308, 0.0, 1e308]], [[0, 128, 255]]),
        ([[-1e-310, 1e-310]], [[0, 255]]),
        ([[0.0, -5e-324]], [[255, 0]]),
        ([[1e308, 1e308]], [[0, 0]]),
    ],
)
def test_npy_of_extreme_numbers(tmp_path, array, expected):
    np.save(tmp_path / "picture.npy", np.array(array))
    with warnings.catch_warnings(action="error"):
        assert load_picture(tmp_path / "picture.npy").tolist() == expected


def test_npy_in_fortran_order(tmp_path):
    np.save(tmp_path / "picture.npy", np.asfortranarray(RAMP))
    assert np.array_equal(load_picture(tmp_path / "picture.npy"), RAMP)


def header_only_npy(shape: str, descr: str = "'|u1'") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def png_of(width: int, height: int, data: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def npy(array: np.ndarray, **options: bool) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"hello there, no picture", "no picture that jitnet reads"),
        (b"P5\n4 4\n255\n\x00\x00", "cut short: 4x4 pixels need 16 bytes, found 2"),
        (b"P2\n2 2\n255\n1 2 3", "cut short: 2x2 pixels need 4 numbers, found 3"),
        (b"P2\n2 1\n255\n1 x", "no whole number"),
        (b"P2\n2 1\n255\n1 99999999999999999999999", "no whole number"),
        (b"P2\n2 1\n15\n1 16", "its header allows 0 to 15"),
        (b"P5\n2", "PGM header is broken"),
        (b"P5\n0 4\n255\n", "has 0x4 pixels"),
        (b"P5\n99999999999 4\n255\n", "more than nine digits"),
        (b"P5\n100000 100000\n255\n", "at most 64,000,000 are read"),
        (b"P5\n1 1\n70000\n\x00", "expected 1 to 65535"),
        (header_only_npy("(3, 4)"), "cut short"),
        (header_only_npy("(99999, 99999)"), "at most 64,000,000 are read"),
        (b"\x93NUMPY\x01\x00\xff", "header is broken"),
        (b"\x93NUMPY\x07\x00\xff", "header is broken: it begins with"),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr': '|u1'", "header is broken: it is cut short"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{", "header is broken: it claims to have 2,147,483,647 bytes"),
        (header_only_npy("(3, 4"), "header is broken"),
        (header_only_npy("[("), "header is broken"),
        (header_only_npy("'(3, 4)"), "header is broken"),
        (header_only_npy("(3, 4)", "'|u1\\d'"), "header is broken"),
        (header_only_npy("(1if 1 else 2, 4)"), "header is broken"),
        (header_only_npy("(-3, -4)"), "header is broken: it gives the shape (-3, -4)"),
        (header_only_npy("(3L, 4L)"), "cut short"),
        (npy(np.zeros((2, 2, 2, 2))), "has shape (2, 2, 2, 2), expected (height, width)"),
        (npy(np.zeros(5)), "has shape (5,)"),
        (npy(np.array([[np.nan, 1.0]])), "NaN or infinite"),
        (npy(np.array([[{}]], dtype=object), allow_pickle=True), "expected bool, integers or floats"),
        (png_of(4, 4, b"\x00" * 20)[:-30], "cut short"),
        (png_of(60_000, 60_000), "are read; make it smaller"),
        (png_of(9_000, 9_000), "are read; make it smaller"),
        (png_of(10_000, 9_500), "are read; make it smaller"),
        (png_of(28, 30_001), "at most 30,000 along a side are read; make it smaller"),
    ],
)
def test_broken_files_are_one_clear_line(tmp_path, data, message):
    pytest.importorskip("PIL")
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(PictureError) as caught:
            load_picture(path)
    assert not warned
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_blanks_without_end_do_not_hold_up_a_pgm(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5" + b" " * 27 + b"x")
    begun_s = time.process_time()
    with pytest.raises(PictureError, match="PGM header is broken"):
        load_picture(tmp_path / "a.pgm")
    assert time.process_time() - begun_s < 1.0


def spoilt(kind: str) -> Iterator[bytes]:
    """Pictures that pillow or the library below it complains of."""
    image_module = pytest.importorskip("PIL.Image")
    picture = image_module.fromarray(np.kron(RAMP, np.ones((8, 8), np.uint8)))
    file = io.BytesIO()
    if kind == "JPEG":
        exif = image_module.Exif()
        exif[0x0112], exif[0x011A] = 6, 72.0
        picture.save(file, kind, exif=exif)
        whole = file.getvalue()
        entries = whole.index(b"MM\0*\0\0\0\x08") + 8
        yield whole[:entries] + b"\xff\xff" + whole[entries + 2 :]
    else:
        picture.convert("RGB").save(file, kind, compression="tiff_adobe_deflate")
        whole = file.getvalue()
        for at in range(8, len(whole), 3):
            yield whole[:at] + b"\xff\xff\xff" + whole[at + 3 :]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_nothing_is_said_beside_the_answer(tmp_path, capfd, kind):
    path, n_refused = tmp_path / "picture", 0
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for data in spoilt(kind):
            path.write_bytes(data)
            try:
                load_picture(path)
            except PictureError:
                n_refused += 1
    assert not warned
    assert capfd.readouterr() == ("", "")
    assert n_refused > 10 or kind == "JPEG"
    print("heard", file=sys.stderr)
    assert capfd.readouterr().err == "heard\n", "standard error is given back"


def test_what_is_no_file(tmp_path):
    with pytest.raises(PictureError, match="is a folder, expected a picture"):
        load_picture(tmp_path)
    with pytest.raises(PictureError, match="there is no such file"):
        load_picture(tmp_path / "missing.png")
    if Path("/dev/zero").exists():
        with pytest.raises(PictureError, match="not a regular file"):
            load_picture("/dev/zero")


def test_without_pillow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    (tmp_path / "a.png").write_bytes(png_of(1, 1, b"\0\0"))
    with pytest.raises(MissingExtra, match=r"a\.png: reading PNG needs pillow; .*pip install pillow$"):
        load_picture(tmp_path / "a.png")
    with pytest.raises(MissingExtra, match=r"pip install pillow$"):
        write_png(tmp_path / "b.png", RAMP)
    (tmp_path / "text").write_text("no picture")
    with pytest.raises(PictureError, match="no picture that jitnet reads"):
        load_picture(tmp_path / "text")
    write_pgm(tmp_path / "c.pgm", RAMP)
    assert np.array_equal(load_picture(tmp_path / "c.pgm"), RAMP)


def test_unwritable(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        write_pgm(tmp_path / "missing" / "a.pgm", RAMP)


def test_png_written_is_read_back(tmp_path):
    pytest.importorskip("PIL")
    write_png(tmp_path / "ramp.png", RAMP)
    assert np.array_equal(load_picture(tmp_path / "ramp.png"), RAMP)


def test_modes_of_pillow(tmp_path):
    image_module = pytest.importorskip("PIL.Image")

    def load(image, **options) -> np.ndarray:
        image.save(tmp_path / "a.png", **options)
        return load_picture(tmp_path / "a.png")

    grey = image_module.fromarray(RAMP)
    for mode in ("L", "RGB", "RGBA", "LA", "P"):
        assert np.abs(load(grey.convert(mode)).astype(int) - RAMP).max() <= 1, mode
    assert load(image_module.fromarray(np.array([[True, False]]))).tolist() == [[255, 0]]
    assert load(image_module.fromarray(np.array([[0, 65_535]], np.uint16))).tolist() == [[0, 255]]
    assert load(image_module.fromarray(np.array([[[0, 0], [0, 255]]], np.uint8), "LA")).tolist() == [[255, 0]]
    assert load(grey, transparency=0)[0, 0] == 255, "a transparent grey level is white"
    white_on_nothing = np.array([[[255, 0], [255, 255]]], np.uint8)
    assert load(image_module.fromarray(white_on_nothing, "LA")).tolist() == [[0, 255]]


def test_orientation_of_a_camera(tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    image = image_module.fromarray(np.kron(np.array([[0, 255, 255]], np.uint8), np.ones((8, 8), np.uint8)))
    exif = image_module.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    picture = load_picture(tmp_path / "a.jpg")
    assert picture.shape == (24, 8)
    assert picture[:7].max() < 20 < 235 < picture[9:].min()


# Normalising


def check_form(picture: np.ndarray) -> None:
    """What holds for MNIST's own images: box of 20, centre of mass at (14, 14), full brightness, black border."""
    assert picture.shape == (28, 28)
    assert picture.dtype == np.uint8
    assert picture.max() >= 250
    rows, columns = np.nonzero(picture)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    for axis in (0, 1):
        mass = picture.sum(axis=1 - axis)
        assert abs(mass @ np.arange(28) / mass.sum() - 14) <= 0.5


@pytest.mark.parametrize("negative", [False, True], ids=["light on dark", "dark on light"])
@pytest.mark.parametrize(
    "canvas", [(60, 60, 20, 5, 30), (100, 300, 60, 30, 200), (500, 400, 300, 150, 20), (2500, 2000, 180, 2000, 100)]
)
def test_any_size_place_and_polarity(canvas, negative):
    height, width, size, top, left = canvas
    picture = on_canvas(draw(size), height, width, top, left)
    result = normalise_picture((255 - picture if negative else picture).astype(np.uint8), (28, 28))
    check_form(result)
    assert likeness(result, REFERENCE) > 0.9


@pytest.mark.parametrize("negative", [False, True], ids=["light on dark", "dark on light"])
def test_shading_noise_and_specks(negative):
    generator = np.random.default_rng(3)
    picture = on_canvas(draw(150), 320, 400, 120, 60) * 0.4
    picture[10:14, 200:204] = 100
    y, x = np.mgrid[0:1:320j, 0:1:400j]
    picture += 30 + 50 * x - 25 * y * y + generator.normal(0, 5, picture.shape)
    picture = np.clip(255 - picture if negative else picture, 0, 255).astype(np.uint8)
    result = normalise_picture(picture, (28, 28))
    check_form(result)
    assert likeness(result, REFERENCE) > 0.93
    assert (result[:3] == 0).all(), "the ground is black, without noise"


def test_a_small_figure_in_a_large_photo_keeps_its_detail():
    photo = 255 - on_canvas(draw(90), 2400, 1800, 1500, 300)
    result = normalise_picture(photo, (28, 28))
    check_form(result)
    assert likeness(result, REFERENCE) > 0.95


def test_cropped_tight():
    figure = draw(100)
    rows, columns = np.nonzero(figure)
    tight = figure[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert likeness(normalise_picture(255 - tight, (28, 28)), REFERENCE) > 0.95


def test_hairline_is_thickened():
    result = normalise_picture(on_canvas(draw(300, thickness=0.007), 400, 400, 50, 50), (28, 28))
    check_form(result)
    assert likeness(result, REFERENCE) > 0.8


def test_two_parts_stay():
    picture = on_canvas(draw(150), 300, 300, 60, 60)
    picture[40:52, 100:160] = 255  # a stroke apart from the rest, like the bar of a 5
    result = normalise_picture(picture, (28, 28))
    without = normalise_picture(on_canvas(draw(150), 300, 300, 60, 60), (28, 28))
    assert likeness(result, without) < 0.9
    assert np.flatnonzero(result.sum(axis=1) == 0).tolist() != []


def test_data_sets_own_images_stay():
    assert np.array_equal(normalise_picture(REFERENCE, (28, 28)), REFERENCE)
    assert np.array_equal(normalise_picture(255 - REFERENCE, (28, 28)), REFERENCE)
    garment = np.zeros((28, 28), np.uint8)
    garment[:, 4:23] = np.arange(28)[:, None] * 5 + 90  # fills the frame from top to bottom, as clothes do
    assert np.array_equal(normalise_picture(garment, (28, 28)), garment)


def test_right_size_but_out_of_place():
    shifted = np.roll(REFERENCE, (3, -3), axis=(0, 1))
    assert likeness(normalise_picture(shifted, (28, 28)), REFERENCE) > 0.95


def test_small_images_fill_their_height():
    result = normalise_picture(255 - on_canvas(draw(200), 280, 280, 40, 60), (8, 8), peak=16)
    assert result.max() == 16
    assert result[0].max() > 0
    assert result[-1].max() > 0
    assert np.array_equal(normalise_picture(result, (8, 8), peak=16), result), "raw 0..16 stays"
    assert np.abs(normalise_picture(result * 15.9, (8, 8), peak=16).astype(int) - result).max() <= 1


def test_other_shapes_keep_the_aspect():
    wide = np.zeros((50, 200))
    wide[20:30, 30:170] = 255
    result = normalise_picture(wide, (30, 84))
    rows, columns = np.nonzero(result)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (4, 60)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (3, 50)])
def test_tiny_pictures_never_crash(shape):
    picture = np.zeros(shape, np.uint8)
    picture[0, 0] = 255
    with contextlib.suppress(PictureError):
        assert normalise_picture(picture, (28, 28)).shape == (28, 28)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((28, 28), np.uint8),
        np.full((50, 40), 255, np.uint8),
        np.add.outer(np.arange(100), np.arange(80)).astype(np.uint8),
        np.random.default_rng(0).normal(128, 20, (200, 200)).clip(0, 255).astype(np.uint8),
        np.full((30, 30), 7) + np.eye(30, dtype=int),
    ],
    ids=["black", "white", "shading", "noise", "faint"],
)
def test_blank(picture):
    with pytest.raises(PictureError, match="is blank"):
        normalise_picture(picture, (28, 28))


def test_not_a_picture():
    with pytest.raises(PictureError, match=r"has shape \(3,\)"):
        normalise_picture(np.zeros(3), (28, 28))


def test_mnist_from_pictures(mnist_folder):
    """Test images, saved raw, come back bit for bit; enlarged, turned and moved, they stay nearest to themselves."""
    packed = next(path for path in mnist_folder.rglob("t10k-images*") if path.suffix == ".gz")
    images = np.frombuffer(gzip.decompress(packed.read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28)[:250]
    unchanged = sum(np.array_equal(normalise_picture(image, (28, 28)), image) for image in images)
    assert unchanged >= 249
    unit = images.reshape(250, -1) / np.linalg.norm(images.reshape(250, -1).astype(float), axis=1, keepdims=True)
    found = 0
    for number, image in enumerate(images):
        large = 230 - on_canvas(np.kron(image, np.ones((5, 5))), 200, 260, number % 50, number % 101) * 0.7
        found += int(np.argmax(unit @ normalise_picture(large, (28, 28)).ravel())) == number
    assert found >= 235


def test_pixel_limit_is_stated():
    assert MAX_PIXELS == 64_000_000
