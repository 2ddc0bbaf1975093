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

from jitnet.errors import MissingExtra, OutputError, PictureError, UsageError
from jitnet.pictures import (
    MAX_PIXELS,
    load_picture,
    load_pictures,
    normalise_picture,
    pictures_in,
    write_pgm,
    write_png,
)
from jitnet.pictures.normalisation import normalise_with_ink
from jitnet.pictures.shapes import notices


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


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 5, 6), (4, 5, 6), (28, 28, 28), (2, 5, 6, 1)])
def test_npy_of_a_stack_is_several_pictures(tmp_path, shape):
    stack = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    path = tmp_path / "stack.npy"
    np.save(path, stack)
    found = load_pictures(path)
    assert [one.name for one in found] == [f"{path}[{index}]" for index in range(shape[0])]
    for one, picture in zip(found, stack.reshape(shape[:3]), strict=True):
        assert np.array_equal(one.grey, picture)
        assert (one.path, one.notices) == (path, ())


@pytest.mark.parametrize("n", [1, 3])
def test_npy_of_several_colour_pictures(tmp_path, n):
    stack = np.random.default_rng(0).integers(0, 256, (n, 5, 6, 3), np.uint8)
    np.save(tmp_path / "stack.npy", stack)
    found = load_pictures(tmp_path / "stack.npy")
    for one, picture in zip(found, stack, strict=True):
        np.save(tmp_path / "alone.npy", picture)
        assert np.array_equal(one.grey, load_picture(tmp_path / "alone.npy"))


def test_a_stack_is_no_single_picture(tmp_path):
    np.save(tmp_path / "stack.npy", np.zeros((3, 4, 6), np.uint8))
    with pytest.raises(PictureError, match=r"stack\.npy: holds 3 pictures, expected one; load_pictures reads them all"):
        load_picture(tmp_path / "stack.npy")


def test_one_range_for_a_whole_stack(tmp_path):
    """A stack of fractions is one of fractions, also where one of its pictures alone could be something else."""
    np.save(tmp_path / "stack.npy", np.stack([np.full((2, 5), 1.0), np.full((2, 5), 200.0)]))
    assert [one.grey[0, 0] for one in load_pictures(tmp_path / "stack.npy")] == [1, 200]


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
        (b"hello there, no picture", "not a picture that jitnet reads"),
        (b"P5\n4 4\n255\n\x00\x00", "cut short: 4x4 pixels need 16 bytes, found 2"),
        (b"P2\n2 2\n255\n1 2 3", "cut short: 2x2 pixels need 4 numbers, found 3"),
        (b"P2\n2 1\n255\n1 x", "not a whole number"),
        (b"P2\n2 1\n255\n1 99999999999999999999999", "not a whole number"),
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
        (header_only_npy("(-3, -4)"), "header is broken: it has the shape (-3, -4)"),
        (header_only_npy("(3L, 4L)"), "cut short"),
        (npy(np.zeros((2, 2, 2, 2))), "has shape (2, 2, 2, 2), expected (height, width)"),
        (npy(np.zeros((2, 3, 5, 6))), "or (n, height, width, 3 or 4) in colour"),
        (npy(np.zeros((2, 2, 3, 5, 6))), "has shape (2, 2, 3, 5, 6), expected (height, width)"),
        (npy(np.zeros((0, 5, 6))), "has shape (0, 5, 6): a stack of no pictures"),
        (header_only_npy("(99999, 99, 99)"), "99,999 pictures of 99x99 pixels, at most 64,000,000 pixels are read"),
        (header_only_npy("(7, 8, 8)"), "cut short"),
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
    with pytest.raises(MissingExtra, match=r"a\.png: reading PNG needs Pillow; .*pip install pillow$"):
        load_picture(tmp_path / "a.png")
    with pytest.raises(MissingExtra, match=r"needs Pillow .*pip install pillow$"):
        write_png(tmp_path / "b.png", RAMP)
    (tmp_path / "text").write_text("no picture")
    with pytest.raises(PictureError, match="not a picture that jitnet reads"):
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


def frames(n: int, **options: object) -> bytes:
    """An animation or a document of several pages: RAMP, then lighter and lighter ones."""
    image_module = pytest.importorskip("PIL.Image")
    made = [image_module.fromarray(np.kron(RAMP, np.ones((8, 8), np.uint8)) + 10 * number) for number in range(n)]
    file = io.BytesIO()
    made[0].save(file, save_all=True, append_images=made[1:], **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"format": "GIF"}, ("holds 3 frames; this is the first",)),
        ({"format": "PNG"}, ("holds 3 frames; this is the first",)),
        ({"format": "WEBP", "lossless": True}, ("holds 3 frames; this is the first",)),
        ({"format": "TIFF"}, ("holds 3 pages; this is the first",)),
    ],
)
def test_of_several_frames_the_first_is_read_and_said(options, said):
    (one,) = load_pictures(frames(3, **options), "a")
    assert one.notices == said
    assert np.abs(one.grey[::8, ::8].astype(int) - RAMP).max() <= 1
    (alone,) = load_pictures(frames(1, **options), "a")
    assert alone.notices == ()


def test_an_animation_that_is_cut_short_still_has_its_first_frame():
    whole = frames(3, format="GIF")
    (one,) = load_pictures(whole[:-20], "a")
    assert np.array_equal(one.grey, load_pictures(whole, "a")[0].grey)


@pytest.mark.parametrize(("kind", "part"), [("TIFF", "page"), ("GIF", "frame")])
def test_what_is_broken_after_the_first_frame_is_said(kind, part):
    whole = frames(3, format=kind)
    first, said = load_pictures(whole, "a")[0].grey, set()
    for at in range(len(whole) // 3, len(whole) - 4):
        with contextlib.suppress(PictureError):
            (one,) = load_pictures(whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :], "a")
            if one.notices and "broken" in one.notices[0] and np.array_equal(one.grey, first):
                said |= set(one.notices)
    assert said == {f"is broken after its first {part}; this is the first"}


def test_pictures_of_a_folder(tmp_path):
    for name in ("b10.pgm", "b9.PGM", "a.npy", ".hidden.pgm"):
        (tmp_path / name).touch()
    (tmp_path / "scan").write_bytes(b"P5 1 1 255 \0")
    (tmp_path / "sound").write_bytes(b"RIFF\1\1\1\1WAVEfmt ")
    (tmp_path / "notes.txt").write_text("BMW drivers")
    (tmp_path / "c.png").mkdir()
    found, others = pictures_in(tmp_path)
    assert [path.name for path in found] == ["a.npy", "b9.PGM", "b10.pgm", "scan"]
    assert [path.name for path in others] == ["c.png", "notes.txt", "sound"]
    with pytest.raises(PictureError, match="missing: cannot be read"):
        pictures_in(tmp_path / "missing")


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
        np.full((30, 30), 7) + np.eye(30, dtype=int),
    ],
    ids=["black", "white", "shading", "faint"],
)
def test_blank(picture):
    with pytest.raises(PictureError, match="is blank"):
        normalise_picture(picture, (28, 28))


@pytest.mark.parametrize("size", [28, 60, 200, 500])
def test_what_noise_hides_is_not_called_blank(size):
    generator = np.random.default_rng(0)
    grey = generator.normal(128, 20, (size, size)).clip(0, 255).astype(np.uint8)
    for picture in (grey, generator.integers(0, 256, (size, size), np.uint8)):
        with pytest.raises(
            PictureError, match="does not look like a stroke: nothing stands out from the background noise"
        ):
            normalise_picture(picture, (28, 28))


# What a picture's ink cannot be


def said(picture: np.ndarray, shape: tuple[int, int] = (28, 28), *, writing: bool = True) -> str:
    return " ".join(notices(normalise_with_ink(picture.astype(np.uint8), shape)[1], writing=writing))


@pytest.mark.parametrize("share", [0.03, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("size", [28, 100, 300])
def test_scattered_ink_is_no_stroke(size, share):
    picture = (np.random.default_rng(1).random((size, size)) < share) * 255
    assert "scattered like noise and does not look like a stroke" in said(picture)


def test_a_filled_area_is_no_stroke():
    y, x = np.mgrid[:90, :90]
    disc = (np.hypot(y - 40, x - 50) < 25) * 255
    assert "fills an area and does not look like a stroke" in said(disc)
    assert said(disc, writing=False) == "", "clothes may"


@pytest.mark.parametrize("negative", [False, True], ids=["light on dark", "dark on light"])
@pytest.mark.parametrize(("n", "count"), [(2, "two"), (3, "3"), (12, "12")])
def test_figures_side_by_side_are_counted(n, count, negative):
    row = np.concatenate([on_canvas(draw(60), 80, 66, 10, 9)] * n, axis=1)
    picture = np.pad(row, 30)
    assert f"shows {count} separate shapes" in said(255 - picture if negative else picture)


def test_figures_below_each_other_are_two():
    assert "shows two separate shapes" in said(np.pad(np.concatenate([on_canvas(draw(60), 80, 66, 10, 9)] * 2), 30))


def test_two_figures_in_an_image_of_the_data_sets_form():
    picture = np.zeros((28, 28))
    picture[4:24, 5:10] = picture[4:24, 16:21] = 255
    assert "shows two separate shapes" in said(picture)


def five(gap: int) -> np.ndarray:
    """A 5 whose bar is `gap` pixels from the rest, to the right and above."""
    picture = np.zeros((120, 100))
    picture[50 : 60 + gap, 20:28] = 255
    y, x = np.mgrid[:120, :100]
    ring = np.abs(np.hypot(y - 80, x - 40) - 26) < 4
    picture[ring & ((x > 30) | (y > 90))] = 255
    picture[20:58, 20:28] = 255
    picture[20:28, 28 + gap : 75] = 255
    return picture


@pytest.mark.parametrize("gap", [0, 3, 8])
def test_a_five_with_its_bar_apart_is_one_figure(gap):
    assert said(np.pad(five(gap), 20)) == ""
    assert said(255 - np.pad(five(gap), 40)) == ""


def test_a_flat_bar_above_the_rest_is_no_figure():
    picture = np.zeros((140, 100))
    picture[10:20, 20:80] = 255
    picture[45:52, 25:70] = picture[45:100, 62:70] = picture[92:100, 20:70] = 255
    assert said(np.pad(picture, 20)) == ""


def test_a_scratch_beside_a_figure_is_no_figure():
    picture = on_canvas(draw(60), 100, 120, 20, 20)
    picture[30:70, 90:92] = 255
    assert said(picture) == ""


def test_a_line_that_is_cut_across_is_one_figure():
    picture = on_canvas(np.full((100, 10), 255.0), 140, 140, 20, 65)
    picture[68:72] = 0
    picture[70:, 67:80] = np.roll(picture[70:, 67:80], 2, axis=1)
    assert said(picture) == ""
    assert said(255 - picture) == ""


def test_broken_strokes_are_one_figure():
    picture = on_canvas(draw(200), 280, 280, 40, 60)
    for top in (75, 120, 190):
        picture[top : top + 5] = 0
    assert said(picture) == ""
    for left in (100, 160):
        picture[:, left : left + 3] = 0
    assert said(255 - picture) == ""


def test_shading_noise_and_specks_raise_no_doubt():
    generator = np.random.default_rng(3)
    picture = on_canvas(draw(150), 320, 400, 120, 60) * 0.6
    for top, left in generator.integers(0, 300, (30, 2)):
        picture[top : top + 3, left : left + 3] = 130
    picture += 30 + generator.normal(0, 8, picture.shape)
    assert said(picture.clip(0, 255)) == ""


def test_mnists_digits_raise_no_doubt(mnist_folder):
    packed = next(path for path in mnist_folder.rglob("t10k-images*") if path.suffix == ".gz")
    images = np.frombuffer(gzip.decompress(packed.read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28)[:1000]
    assert [index for index, image in enumerate(images) if said(image)] == [856], "a 5 in two halves"


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


@pytest.mark.parametrize("source", [None, 3, np.zeros((28, 28))], ids=["None", "3", "array"])
@pytest.mark.parametrize("read", [load_picture, load_pictures])
def test_what_is_no_path_of_a_picture_is_refused(read, source):
    with pytest.raises(UsageError, match=r"^source is of type .*; expected str, Path or bytes; call load_pictures"):
        read(source)
