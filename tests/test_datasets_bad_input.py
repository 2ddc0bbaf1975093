"""Broken, lying and misplaced data: one clear line each, and never anything but a DataError."""

import gzip
import io
import os
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from jitnet.datasets import from_arrays, idx, load
from jitnet.errors import DataError

IMAGES = np.arange(6 * 5 * 5, dtype=np.uint8).reshape(6, 5, 5)
LABELS = np.array([0, 1, 2, 0, 1, 2], np.uint8)


def refuse(path: Path, match: str, **options: object) -> None:
    """Loading must fail with one line that names the file and matches."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(DataError, match=match) as caught:
            load(str(path), **options)
    assert not warned
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "set"
    place.mkdir()
    idx.write(place / "train-images-idx3-ubyte", IMAGES)
    idx.write(place / "train-labels-idx1-ubyte", LABELS)
    return place


def spoil(path: Path, content: bytes, packed: bool) -> None:
    path.unlink(missing_ok=True)
    if packed:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda b: b[:-1], "cut short.*150 bytes.*149"),
        (lambda b: b[:16], "cut short"),
        (lambda b: b[:9], "cut short.*header"),
        (lambda b: b + b"\0", "too long"),
        (lambda b: b"\x89PNG" + b[4:], "not an IDX file.*89 50 4e 47.*expected"),
        (lambda b: b"\0\0\x07\x03" + b[4:], "not an IDX file"),
        (lambda b: b"\0\0\x08\x00" + b[4:], "not an IDX file"),
        (lambda b: b[:4] + struct.pack(">III", 2**32 - 1, 2**32 - 1, 2**32 - 1) + b[16:], "cut short"),
        (lambda b: b[:4] + struct.pack(">III", 0, 5, 5), "no samples"),
        (lambda b: b[:4] + struct.pack(">III", 6, 0, 5), "no values"),
        (lambda b: b[:4] + struct.pack(">III", 5, 5, 5) + b[16:141], "5 images.*6 labels"),
    ],
)
def test_broken_idx(folder, packed, change, match):
    path = folder / "train-images-idx3-ubyte"
    spoil(path, change(path.read_bytes()), packed)
    refuse(path.parent, match)


def test_empty_idx(folder):
    (folder / "train-labels-idx1-ubyte").write_bytes(b"")
    refuse(folder, "is empty; expected an IDX file")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda b: b[: len(b) // 2], "cut short.*gzip stream ends"),
        (lambda b: b[:-2], "cut short.*gzip stream ends"),
        (lambda b: b[:30] + b"\xff\xff\xff" + b[33:], "damaged"),
        (lambda b: b[:-8] + b"\0\0\0\0" + b[-4:], "damaged"),
        (lambda b: b + b"rubbish", "damaged"),
        (lambda b: b[:2], "cut short"),
    ],
)
def test_broken_gzip(folder, change, match):
    path = folder / "train-images-idx3-ubyte"
    content = gzip.compress(path.read_bytes())
    path.unlink()
    (folder / "train-images-idx3-ubyte.gz").write_bytes(change(content))
    refuse(folder, match)


def test_a_gzip_bomb_takes_no_memory(folder):
    header = b"\0\0\x08\x03" + struct.pack(">III", 6, 5, 5)
    spoil(folder / "train-images-idx3-ubyte", header + bytes(1 << 24), packed=True)
    refuse(folder, "too long")


def test_missing_idx_files(folder, tmp_path):
    (folder / "train-labels-idx1-ubyte").unlink()
    refuse(folder, "has train-images-idx3-ubyte but not train-labels-idx1-ubyte")
    (folder / "train-images-idx3-ubyte").unlink()
    refuse(folder, "no IDX files; expected")
    refuse(tmp_path / "nowhere" / "set", "no such file or folder")


def test_only_test_data(folder):
    for part in ("images-idx3", "labels-idx1"):
        (folder / f"train-{part}-ubyte").rename(folder / f"t10k-{part}-ubyte")
    refuse(folder, "no training data")


def test_two_data_sets_in_a_folder(folder):
    idx.write(folder / "letters-train-images-idx3-ubyte", IMAGES)
    refuse(folder, "holds both")


def test_folder_for_a_file_and_file_for_a_folder(folder, tmp_path):
    refuse(folder / "train-images-idx3-ubyte", "single IDX file; pass the folder")
    for name in ("x.csv", "x.npz", "x.safetensors"):
        (tmp_path / name).mkdir()
        refuse(tmp_path / name, "is a folder; expected")
    (folder / "train-images-idx3-ubyte").unlink()
    (folder / "train-images-idx3-ubyte").mkdir()
    refuse(folder, "is a folder; expected an IDX file")
    (tmp_path / "file.csv").write_text("a,1\nb,2\n")
    refuse(tmp_path / "file.csv" / "deeper.csv", "a file where a folder is|no such file")


def test_unknown_kinds_and_names(tmp_path):
    (tmp_path / "x.xlsx").write_bytes(b"PK")
    refuse(tmp_path / "x.xlsx", "unknown kind; expected")
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    refuse(tmp_path / "x.parquet", "damaged Parquet file")
    with pytest.raises(DataError, match=r"minst: .*did you mean mnist\?"):
        load("minst")


@pytest.mark.parametrize("suffix", ["csv", "npz", "safetensors"])
def test_empty_files(tmp_path, suffix):
    (tmp_path / f"x.{suffix}").write_bytes(b"")
    refuse(tmp_path / f"x.{suffix}", "is empty; expected")


@pytest.mark.parametrize("name", ["x.csv", "x.npz", "x.safetensors", "train-images-idx3-ubyte", "set"])
def test_unreadable_files(tmp_path, folder, monkeypatch, name):
    inside = folder if name.startswith("train") else tmp_path
    (inside / name).touch()
    stat = Path.stat

    def refused(self: Path, **options: bool) -> os.stat_result:
        # Taking the permission away would not stop a test that runs as root.
        if self.name == name:
            raise PermissionError(13, os.strerror(13))
        return stat(self, **options)

    monkeypatch.setattr(Path, "stat", refused)
    with pytest.raises(DataError, match=f"{name}: cannot be read: Permission denied"):
        load(folder if inside == folder else inside / name)


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ([0, 1, 2, 0, 1, 200], "label 200 of sample 5.*out of range.*0 to 2"),
        ([0, 1, -1, 0, 1, 2], "label -1 of sample 2.*out of range; expected 0 to 2"),
        ([0, 1, np.nan, 0, 1, 2], "label nan of sample 2"),
        ([1, 1, 1, 1, 1, 1], "all 6 labels are '1'; expected two classes or more"),
        ([0, 1, 2, 0, 1], "6 images.*5 labels"),
        (np.eye(3)[[0, 1, 2, 0, 1, 2]] * 2, "row 0.*not one-hot"),
        (np.eye(6)[[0, 1, 2, 0, 1, 2]] + np.eye(6)[5], "row 0.*not one-hot"),
        (np.zeros((6, 3, 2)), "shape"),
        ([2**40, 1, 2, 0, 1, 2], "out of range"),
        ([0, 1, 1e17, 0, 1, 2], r"label 1e\+17 of sample 2 \(from 0\) is too large for the number of a class"),
        (np.uint64([0, 1, 2**63, 0, 1, 2]), "label 9223372036854775808 of sample 2 .* is too large"),
        ([0, 1, 2, 0, 1, np.inf], "label inf of sample 5 .* is not a whole number"),
        ([1 + 2j] * 6, "of type complex128 .*; expected whole numbers, words or one-hot rows, or numbers to predict"),
        (np.array(["2020-01-01"] * 6, "M8[D]"), r"of type datetime64\[D\] .*, or numbers to predict"),
    ],
)
def test_bad_labels(tmp_path, labels, match):
    np.savez(tmp_path / "x.npz", x_train=IMAGES, y_train=labels)
    refuse(tmp_path / "x.npz", match)


@pytest.mark.parametrize(
    ("images", "labels", "more", "message"),
    [
        (np.ones((1, 3)), [0, 1], {}, "train_images holds 1 image and train_labels 2 labels; expected as many"),
        (np.ones((2, 3)), [0], {}, "the only label is '0'; expected two classes or more"),
        (np.ones((2, 3)), [0.5], {"task": "regress"}, "the only target is 0.5; expected numbers that differ"),
        (np.ones((2, 1)), [0, 1], {"image_shape": (2, 2)}, "samples have 1 value; expected a .height, width."),
    ],
)
def test_one_of_a_kind_is_not_named_as_many(images, labels, more, message):
    with pytest.raises(DataError, match=message):
        from_arrays(images, labels, **more)


def test_test_labels_beyond_the_training_classes(tmp_path):
    np.savez(tmp_path / "x.npz", x_train=IMAGES, y_train=LABELS, x_test=IMAGES, y_test=LABELS + 1)
    refuse(tmp_path / "x.npz", "y_test: label 3 of sample 2.*expected 0 to 2")


def test_test_data_of_other_width(tmp_path, folder):
    (tmp_path / "x.csv").write_text("0,1,2\n1,3,4\n")
    with pytest.raises(DataError, match=r"x\.csv: samples have 2 values; expected 25, as in .*train-images"):
        load(folder, tmp_path / "x.csv")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_pixels_that_are_no_numbers(tmp_path, value):
    images = IMAGES.astype(np.float64)
    images[4, 2, 3] = value
    np.savez(tmp_path / "x.npz", x_train=images, y_train=LABELS)
    refuse(tmp_path / "x.npz", "x_train: value 13 of sample 4.*expected finite")


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"a": IMAGES}, "holds a; expected train_images"),
        ({"x_train": IMAGES}, "has x_train but not y_train"),
        ({"x_train": IMAGES, "y_train": LABELS, "y_test": LABELS}, "has y_test but not x_test"),
        ({"x_train": np.array([{}] * 6), "y_train": LABELS}, "Python objects"),
        ({"x_train": IMAGES.astype(complex), "y_train": LABELS}, "type complex128; expected numbers"),
        ({"x_train": LABELS, "y_train": LABELS}, "has the shape"),
        ({"x_train": IMAGES[:0], "y_train": LABELS[:0]}, "no samples"),
    ],
)
def test_npz_with_other_arrays(tmp_path, arrays, match):
    np.savez(tmp_path / "x.npz", **arrays)
    refuse(tmp_path / "x.npz", match)


def test_zip_bomb(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("x_train", "y_train"):
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array_header_1_0(
                    member, {"descr": "|u1", "fortran_order": False, "shape": (80, 1 << 20)}
                )
                for _ in range(80):
                    member.write(bytes(1 << 20))
    refuse(tmp_path / "x.npz", "zip bomb")


def test_a_value_far_beyond_the_others_is_no_warning():
    """A single huge value among fractions: the data are standardised, in float32's range, without a word."""
    images = np.linspace(0, 1, 50, dtype=np.float32).reshape(10, 5)
    images[3, 2] = 1e38
    with warnings.catch_warnings(action="error"):
        dataset = from_arrays(images, np.arange(10) % 2)
    scaled = (dataset.train.images - dataset.scaling.offset) * dataset.scaling.scale
    assert np.abs(scaled).max() == pytest.approx(3.0, abs=1e-3)


def test_a_feature_that_hardly_varies_counts_as_constant():
    images = np.linspace(-1, 1, 20).reshape(10, 2)
    images[:, 1] = [1e-40, 3e-40] * 5
    with warnings.catch_warnings(action="error"):
        dataset = from_arrays(images, np.arange(10) % 2)
    assert dataset.scaling.scale[1] == 1
    assert np.isfinite(dataset.scaling.scale).all()


@pytest.mark.parametrize("value", [3e38, -3e38])
def test_values_whose_differences_are_beyond_float32(value):
    images = np.array([[value, 1.0], [2.0, 3.0]])
    with pytest.raises(DataError, match=r"value 0 of sample 0.*expected finite numbers from -1\.7e\+38 to 1\.7e\+38"):
        from_arrays(images, [0, 1])


def test_half_precision_that_is_not_finite(tmp_path):
    images = IMAGES.astype(np.float16)
    images[4, 2, 3] = np.inf
    np.savez(tmp_path / "x.npz", x_train=images, y_train=LABELS)
    refuse(tmp_path / "x.npz", "x_train: value 13 of sample 4.*is inf; expected finite")


def test_test_data_out_of_reach_of_the_training_data():
    train, test = np.linspace(-1e-6, 1e-6, 20).reshape(10, 2), np.zeros((4, 2))
    labels = np.arange(10) % 2
    test[2, 1] = 1e35
    with (
        warnings.catch_warnings(action="error"),
        pytest.raises(DataError, match=r"test_images: value 1 .* is 1\.7e\+41 standard deviations"),
    ):
        from_arrays(train, labels, test, labels[:4])
    test[2, 1] = 1e20
    assert from_arrays(train, labels, test, labels[:4]).scaling.reach(test).max() < 1e38


def npz_member(shape: tuple[int, ...], n_bytes: int) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(n_bytes)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (npz_member((1 << 40, 5), 10), "header declares"),
        (npz_member((2, 5), 99), "header declares"),
        (b"\x93NUMPY\x01\x00", "is not a NumPy array"),
        (b"no array", "is not a NumPy array"),
        (npz_member((2, 5), 10).replace(b"(2, 5)", b"(2, 5 "), "is not a NumPy array.*header cannot be understood"),
        (npz_member((2, 5), 10).replace(b"'|u1'", b"'|u1 "), "is not a NumPy array.*header cannot be understood"),
        (npz_member((2, 5), 10).replace(b"(2, 5)", b"(2L,5)"), "all 2 labels are '0'"),
        (npz_member((2, 5), 10).replace(b"(2, 5), }", b"(-2, -5)}"), r"is not a NumPy array.*the shape \(-2, -5\)"),
    ],
)
def test_npz_whose_arrays_lie(tmp_path, content, match):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x_train.npy", content)
        archive.writestr("y_train.npy", npz_member((2,), 2))
    refuse(tmp_path / "x.npz", match)


def test_npz_whose_member_names_are_not_utf_8(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for name in ("x_train.npy", "y_train.npy", "é.npy"):
            archive.writestr(name, npz_member((3, 4), 12))
    whole = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npz").write_bytes(whole.replace("é".encode(), b"\xff\xff"))
    refuse(tmp_path / "x.npz", "damaged.*codec can't decode")


def test_npz_whose_member_names_would_steer_a_terminal(tmp_path):
    np.savez(tmp_path / "x.npz", **{"\x1b[31m": IMAGES})
    refuse(tmp_path / "x.npz", r"holds \\x1b\[31m; expected")


@pytest.mark.parametrize(
    "names",
    [
        np.array(["a", "b", "c"]).view(np.uint32) + np.uint32(0x110000),
        np.array(["a", "b", "c"]).view(np.uint32) + np.uint32(0xD800),
        np.array([b"a", b"b", b"\xff"]),
    ],
    ids=["beyond Unicode", "half a character", "not UTF-8"],
)
def test_npz_whose_words_are_no_text(tmp_path, names):
    words = names if names.dtype.kind == "S" else names.view("U1")
    np.savez(tmp_path / "x.npz", x_train=IMAGES, y_train=LABELS, class_names=words)
    refuse(tmp_path / "x.npz", "class_names: holds bytes that are not text")
    np.savez(tmp_path / "y.npz", x_train=IMAGES, y_train=words[[0, 1, 2, 0, 1, 2]])
    refuse(tmp_path / "y.npz", "y_train: holds bytes that are not text")


def test_npz_whose_lzma_does_not_unpack(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x_train.npy", npz_member((3, 4), 12))
        archive.writestr("y_train.npy", npz_member((3,), 3))
        start = archive.getinfo("x_train.npy").header_offset + 30 + len("x_train.npy")
    whole = bytearray((tmp_path / "x.npz").read_bytes())
    whole[start + 4] = 0xFF  # the properties of the stream
    (tmp_path / "x.npz").write_bytes(whole)
    refuse(tmp_path / "x.npz", "damaged")


@pytest.mark.parametrize("name", ["a\x1b[2J", "two\nlines"])
def test_class_names_that_would_steer_a_terminal(tmp_path, name):
    np.savez(tmp_path / "x.npz", x_train=IMAGES, y_train=LABELS, class_names=np.array([name, "b", "c"]))
    refuse(tmp_path / "x.npz", r"the class 'a\\x1b\[2J'|the class 'two\\nlines'")


def test_a_file_name_of_two_lines(tmp_path):
    with pytest.raises(DataError, match=r"one\\ntwo\.csv: there is no such file") as caught:
        load(tmp_path / "one\ntwo.csv")
    assert "\n" not in str(caught.value)


def test_damaged_npz(tmp_path):
    np.savez(tmp_path / "good.npz", x_train=IMAGES, y_train=LABELS)
    content = (tmp_path / "good.npz").read_bytes()
    at = content.index(IMAGES.tobytes())
    for spoiled in (content[:-30], content[: len(content) // 2], content[:at] + b"\xff" + content[at + 1 :], b"PK\3\4"):
        (tmp_path / "x.npz").write_bytes(spoiled)
        refuse(tmp_path / "x.npz", "damaged")


def safetensors(header: bytes, data: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + data


@pytest.mark.parametrize(
    "content",
    [
        b"x",
        safetensors(b"{}", b"")[:9],
        (1 << 60).to_bytes(8, "little") + b"{}",
        safetensors(b"no json", b""),
        safetensors(b'{"images":{"dtype":"U8","shape":[3,4],"data_offsets":[0,12]}}', bytes(11)),
        safetensors(b'{"images":{"dtype":"U8","shape":[300,4],"data_offsets":[0,12]}}', bytes(12)),
        safetensors(b'{"images":{"dtype":"U8","shape":[3,4],"data_offsets":[0,12]}}', bytes(13)),
    ],
)
def test_broken_safetensors(tmp_path, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    refuse(tmp_path / "x.safetensors", "cut short, or not a safetensors file")


@pytest.mark.parametrize(
    ("header", "n_bytes", "match"),
    [
        (b'{"weights":{"dtype":"U8","shape":[3,4],"data_offsets":[0,12]}}', 12, "holds weights; expected train_images"),
        (b'{"images":{"dtype":"U8","shape":[3,4],"data_offsets":[0,12]}}', 12, "has images but not labels"),
        (
            b'{"images":{"dtype":"BF16","shape":[3,2],"data_offsets":[0,12]},'
            b'"labels":{"dtype":"U8","shape":[3],"data_offsets":[12,15]}}',
            15,
            "type BF16; expected",
        ),
        (
            b'{"__metadata__":{"class_names":"cat"},"images":{"dtype":"U8","shape":[3,4],"data_offsets":[0,12]},'
            b'"labels":{"dtype":"U8","shape":[3],"data_offsets":[12,15]}}',
            15,
            "class_names 'cat'; expected a JSON list",
        ),
        (
            b'{"__metadata__":{"class_names":"' + b"[" * 100_000 + b'"},'
            b'"images":{"dtype":"U8","shape":[3,4],"data_offsets":[0,12]},'
            b'"labels":{"dtype":"U8","shape":[3],"data_offsets":[12,15]}}',
            15,
            r"class_names '\[+'; expected a JSON list",
        ),
    ],
)
def test_safetensors_with_other_content(tmp_path, header, n_bytes, match):
    (tmp_path / "x.safetensors").write_bytes(safetensors(header, bytes(n_bytes)))
    refuse(tmp_path / "x.safetensors", match)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("0,1,2\n1,3\n", "line 2: has 2 columns; the first line has 3"),
        ("0,1,2\n1,3,4,5\n", "line 2: has 4 columns; the first line has 3"),
        ("0,1,2\n1,3,4,5\n0,1\n", "line 2: has 4 columns"),
        ("0,1,2\n1,3,1e99\n", "line 2, column 3"),
        ("0,\n1,\n", "no column to predict from: 'column 2' is left out: only missing values"),
        ("label,x,y\n", "no samples"),
        ("\n\n", "no samples"),
        ("1\n2\n", "no column to predict from"),
        ("0,1,2\n,3,4\n", "line 2: the target 'column 1' is missing"),
        ("0,1,2\nnan,3,4\n", "line 2: the target 'column 1' is missing"),
        ("1e300,1,2\n1,3,4\n", "label of sample 0"),
        ("cat,1,2\ncat,3,4\n", "all 2 labels are 'cat'; expected two classes"),
    ],
)
def test_bad_csv(tmp_path, text, match):
    (tmp_path / "x.csv").write_text(text)
    refuse(tmp_path / "x.csv", match)


def test_the_first_label_of_no_class_is_named(tmp_path):
    (tmp_path / "x.csv").write_text("cat,1,2\ndog,3,4\n")
    (tmp_path / "y.csv").write_text("cat,1,2\nzebra,1,2\nant,1,2\n")
    with pytest.raises(DataError, match=r"label 'zebra' of sample 1 \(from 0\)"):
        load(tmp_path / "x.csv", tmp_path / "y.csv")
    with pytest.raises(DataError, match=r"sample 1 \(from 0\), 'zebra', is not among"):
        load(tmp_path / "y.csv", classes=("cat", "dog", "zebu", "ant"))


@pytest.mark.parametrize(
    ("text", "hinted"),
    [
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n6.2,2.2,virginica\n", True),
        ("a,b,species\n5.1,3.5,setosa\n4.9,3.0,setosa\n6.2,2.2,virginica\n", True),
        ("5.1,3.5,0\n4.9,3.0,0\n6.2,2.2,1\n6.0,2.2,1\n", True),
        ("5.1,3.5,0.25\n4.9,3.0,0.5\n6.2,2.2,1.5\n6.0,2.2,1\n", False),
        ("5.1,3.5,1\n4.9,3.0,2\n6.2,2.2,3\n6.0,2.2,4\n", False),
        ("cat,3.5,0\ndog,x,0\ncat,2.2,1\ndog,2.2,1\n", False),
    ],
)
def test_labels_in_the_last_column_of_a_csv_file_are_guessed(tmp_path, text, hinted):
    (tmp_path / "x.csv").write_text(text)
    (line, *_) = load(tmp_path / "x.csv", held_out=0).decisions
    assert "the first column, as none is called target, label, class or y" in line
    assert ("looks like classes: name it as the target where it is" in line) == hinted


def test_csv_that_is_no_text(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"0,1\n1,\xff\xfe\n")
    refuse(tmp_path / "x.csv", "not UTF-8")


def test_csv_test_labels_that_training_lacks(tmp_path):
    (tmp_path / "x.csv").write_text("cat,1,2\ndog,3,4\n")
    (tmp_path / "y.csv").write_text("cow,1,2\n")
    with pytest.raises(DataError, match=r"y\.csv.*'cow'.*expected one of cat, dog"):
        load(tmp_path / "x.csv", tmp_path / "y.csv")


def test_arrays_that_do_not_fit():
    with pytest.raises(DataError, match="belong together"):
        from_arrays(IMAGES, LABELS, IMAGES)
    with pytest.raises(DataError, match="25 values"):
        from_arrays(IMAGES.reshape(6, 25), LABELS, image_shape=(4, 5))
    with pytest.raises(DataError, match="out of range; expected 0 to 1"):
        from_arrays(IMAGES, LABELS, class_names=["a", "b"])
