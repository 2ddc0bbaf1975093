"""Data sets from every format: the same values, labels and class names, stored and scaled by the same rules."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from jitnet.datasets import (
    Dataset,
    Scaling,
    Split,
    convert,
    describe,
    from_arrays,
    held_out_rows,
    idx,
    load,
    safetensors_file,
    stratified_split,
    synthetic,
)
from jitnet.errors import DataError, OutputError, UsageError


def pictures(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """n images of 6x7 and labels in 0..2, all three there, the value 255 in every image."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, 6, 7), np.uint8)
    images[:, 0, 0] = 255
    return images, np.arange(n) % 3


@pytest.fixture
def made() -> Dataset:
    return from_arrays(*pictures(12), *pictures(6, seed=1), name="made", class_names=["a", "b", "c"])


def same(first: Dataset, second: Dataset) -> bool:
    return (
        first.checksum == second.checksum
        and first.class_names == second.class_names
        and first.image_shape == second.image_shape
        and first.scaling == second.scaling
    )


@pytest.mark.parametrize(
    ("target", "layout"),
    [("x.safetensors", "jitnet"), ("x.safetensors", "original"), ("x.npz", "jitnet"), ("folder", "jitnet")],
)
def test_what_is_written_reads_as_the_same_data_set(made, tmp_path, target, layout):
    written = convert(made, tmp_path / target, layout)
    again = load(tmp_path / target)
    assert same(again, made)
    assert again.train.images.dtype == np.uint8
    assert (written.n_train, written.n_test) == (12, 6)
    files = [tmp_path / target] if "." in target else list((tmp_path / target).iterdir())
    assert written.n_bytes == sum(file.stat().st_size for file in files)


def test_the_original_layout_is_the_originals(made, tmp_path):
    from safetensors.numpy import load_file

    convert(made, tmp_path / "x.safetensors", "original")
    arrays = load_file(tmp_path / "x.safetensors")
    assert set(arrays) == {"train_images", "train_labels", "test_images", "test_labels"}
    assert arrays["train_images"].dtype == np.float32
    assert arrays["train_images"].shape == (12, 1, 6, 7)
    assert np.array_equal(arrays["train_images"].reshape(12, -1), made.train.images / np.float32(255))
    assert arrays["test_labels"].dtype == np.int64
    assert np.array_equal(arrays["test_labels"], np.eye(3, dtype=np.int64)[made.test.labels])


def test_safetensors_are_written_the_same_each_time(tmp_path):
    arrays = {"labels": np.arange(3, dtype=np.uint8), "images": np.ones((3, 4), np.float32)}
    for name in ("a", "b"):
        safetensors_file.write(tmp_path / name, arrays, {"class_names": '["x", "y", "z"]', "name": "é"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("mark", ["-", "."])
def test_idx_files_plain_or_packed_with_either_mark(tmp_path, packed, mark):
    images, labels = pictures(9)
    for name, array in (
        (f"train-images{mark}idx3-ubyte", images),
        (f"train-labels{mark}idx1-ubyte", labels.astype(np.uint8)),
    ):
        idx.write(tmp_path / name, array)
        if packed:
            content = (tmp_path / name).read_bytes()
            (tmp_path / name).unlink()
            # Two gzip members in a row are one file, too.
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content[:20]) + gzip.compress(content[20:]))
    dataset = load(tmp_path)
    assert np.array_equal(dataset.train.images, images.reshape(9, -1))
    assert np.array_equal(dataset.train.labels, labels)
    assert dataset.test is None
    assert dataset.image_shape == (6, 7)


@pytest.mark.parametrize("kind", ["u1", "i4", "f4"])
def test_idx_keeps_types(tmp_path, kind):
    array = (np.arange(24).reshape(2, 3, 4) * 3).astype(kind)
    idx.write(tmp_path / "x", array)
    again = idx.read(tmp_path / "x")
    assert again.dtype == array.dtype
    assert np.array_equal(again, array)


def test_large_idx_files_are_mapped_and_never_changed(tmp_path):
    idx.write(tmp_path / "x", np.ones((1100, 32, 32), np.uint8))
    before = (tmp_path / "x").read_bytes()
    array = idx.read(tmp_path / "x")
    array[:] = 7
    del array
    assert (tmp_path / "x").read_bytes() == before


def test_images_are_always_plain_writable_and_contiguous(made, tmp_path):
    convert(made, tmp_path / "x.safetensors")
    convert(made, tmp_path / "folder")
    frozen = pictures(12)[0]
    frozen.setflags(write=False)
    sets = [load(tmp_path / "x.safetensors"), load(tmp_path / "folder"), from_arrays(frozen, pictures(12)[1])]
    for images in (dataset.train.images for dataset in sets):
        assert type(images) is np.ndarray
        assert images.flags.c_contiguous
        assert images.flags.writeable
        assert images.flags.aligned


def test_keras_layout_with_column_labels_and_fortran_order(tmp_path):
    images, labels = pictures(9)
    np.savez(
        tmp_path / "x.npz",
        x_train=np.asfortranarray(images),
        y_train=labels[:, None],
        x_test=images[:3],
        y_test=labels[:3],
    )
    dataset = load(tmp_path / "x.npz")
    assert np.array_equal(dataset.train.images, images.reshape(9, -1))
    assert np.array_equal(dataset.train.labels, labels)
    assert len(dataset.test) == 3


def test_npz_with_words_stored_as_text_or_as_bytes(tmp_path):
    images, labels = pictures(6)
    words = np.array(["é", "b", "ж"])
    for number, (names, kinds) in enumerate(
        [(words, words[labels]), (np.char.encode(words, "utf-8"), np.char.encode(words, "utf-8")[labels])]
    ):
        np.savez(tmp_path / f"{number}.npz", x_train=images, y_train=kinds, class_names=names)
        dataset = load(tmp_path / f"{number}.npz")
        assert dataset.class_names == tuple(words)
        assert np.array_equal(dataset.train.labels, labels)


@pytest.mark.parametrize("header", ["", "label,w,x,y,z\n", "label,0,1,2,3\n"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_with_words_as_labels(tmp_path, header, separator):
    lines = f'{header}dog,1,2,3.5,4\n"cat",5,6,7,-8\n\ndog,0,0,0,1e3\n'.replace(",", separator)
    (tmp_path / "x.csv").write_text("\ufeff" + lines, encoding="utf-8")
    dataset = load(tmp_path / "x.csv")
    assert dataset.class_names == ("cat", "dog")
    assert dataset.train.labels.tolist() == [1, 0, 1]
    assert dataset.train.images.tolist() == [[1, 2, 3.5, 4], [5, 6, 7, -8], [0, 0, 0, 1000]]
    assert dataset.test is None
    assert dataset.image_shape is None


def test_csv_labels_that_are_numbers_are_names(tmp_path):
    (tmp_path / "x.csv").write_text("-1,0,3\n10,1,2\n2.0,1,1\n")
    (tmp_path / "y.csv").write_text("10,9,9\n")
    dataset = load(tmp_path / "x.csv", tmp_path / "y.csv")
    assert dataset.class_names == ("-1", "2", "10")
    assert dataset.train.labels.tolist() == [0, 2, 1]
    assert dataset.test.labels.tolist() == [2]


def test_csv_longer_than_a_piece(tmp_path):
    n = 5000
    values = np.arange(n) % 256
    (tmp_path / "x.csv").write_text("".join(f"{i % 2},{v},7\n" for i, v in enumerate(values)))
    dataset = load(tmp_path / "x.csv")
    assert dataset.train.images.dtype == np.uint8
    assert np.array_equal(dataset.train.images[:, 0], values)
    assert np.array_equal(dataset.train.labels, np.arange(n) % 2)


def test_test_data_of_another_format_takes_the_place_of_the_own(made, tmp_path):
    convert(made, tmp_path / "x.npz")
    other = from_arrays(*pictures(5, seed=9), class_names=["a", "b", "c"])
    convert(other, tmp_path / "y.safetensors")
    dataset = load(tmp_path / "x.npz", tmp_path / "y.safetensors")
    assert np.array_equal(dataset.test.images, other.train.images)
    # Where the other file has a test split of its own, that is the one.
    assert np.array_equal(load(tmp_path / "y.safetensors", tmp_path / "x.npz").test.images, made.test.images)


def test_classes_of_a_model_place_the_labels_of_a_small_file(tmp_path):
    (tmp_path / "x.csv").write_text("7,0,3\n3,1,2\n")
    digits = tuple("0123456789")
    assert load(tmp_path / "x.csv", classes=digits).train.labels.tolist() == [7, 3]
    # Numbers that are no names go by position.
    assert load(tmp_path / "x.csv", classes=tuple("abcdefgh")).train.labels.tolist() == [7, 3]
    with pytest.raises(DataError, match=r"'7'.*expected"):
        load(tmp_path / "x.csv", classes=tuple("abc"))
    (tmp_path / "y.csv").write_text("b,0,3\nb,1,2\n")
    assert load(tmp_path / "y.csv", classes=("a", "b")).train.labels.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([1, 2, 3, 1, 2, 3], ("1", "2", "3")),
        ([0, 1, 2, 0, 1, 2], ("0", "1", "2")),
        ([-1, 1, 1, -1, 1, -1], ("-1", "1")),
        ([3, 7, 3, 7, 7, 3], ("3", "7")),
        ([10, 200, 3000, 10, 200, 3000], ("10", "200", "3000")),
    ],
)
def test_classes_are_the_distinct_labels_from_every_source(tmp_path, labels, classes):
    images, labels = pictures(6)[0], np.array(labels)
    np.savez(tmp_path / "x.npz", x_train=images, y_train=labels, x_test=images[:1], y_test=labels[:1])
    (tmp_path / "folder").mkdir()
    idx.write(tmp_path / "folder" / "train-images-idx3-ubyte", images)
    idx.write(tmp_path / "folder" / "train-labels-idx1-ubyte", labels)
    np.savetxt(tmp_path / "x.csv", np.column_stack([labels, images.reshape(6, -1)]), "%d", ",")
    safetensors_file.write(tmp_path / "x.safetensors", {"images": images, "labels": labels}, {})
    made = [from_arrays(images, labels), from_arrays(images, labels.astype(float))]
    made += [load(tmp_path / name) for name in ("x.npz", "folder", "x.csv", "x.safetensors")]
    for dataset in made:
        assert dataset.class_names == classes
        assert [classes[label] for label in dataset.train.labels] == [str(label) for label in labels]
    assert made[2].test.labels.tolist() == made[2].train.labels[:1].tolist()


@pytest.mark.parametrize("stray", [200, -1])
@pytest.mark.parametrize("suffix", ["npz", "csv"])
def test_a_lone_label_far_from_all_others_is_damage_in_every_source(tmp_path, suffix, stray):
    images, labels = pictures(9)
    labels[4] = stray
    if suffix == "npz":
        np.savez(tmp_path / "x.npz", x_train=images, y_train=labels)
    else:
        np.savetxt(tmp_path / "x.csv", np.column_stack([labels, images.reshape(9, -1)]), "%d", ",")
    with pytest.raises(DataError, match=rf"label {stray} of sample 4 .* out of range; expected 0 to 2"):
        load(tmp_path / f"x.{suffix}")
    labels[5] = stray  # two samples have it: a class
    assert from_arrays(images, labels).n_classes == 4


def test_with_class_names_numbers_are_positions():
    images, labels = pictures(6)
    assert from_arrays(images, labels + 1, class_names=["none", "a", "b", "c"]).class_names == ("none", "a", "b", "c")
    with pytest.raises(DataError, match=r"label 3 of sample 2 .* out of range; expected 0 to 2"):
        from_arrays(images, labels + 1, class_names=["a", "b", "c"])


GREY = np.array([[0, 51, 102, 255]] * 3)


@pytest.mark.parametrize(
    ("values", "stored", "scaling"),
    [
        (np.tile(np.arange(25), (3, 1)) * 10, np.uint8, Scaling(0.0, 1 / 255)),
        (np.tile(np.arange(25), (3, 1)) * 10.0, np.uint8, Scaling(0.0, 1 / 255)),
        (np.tile(np.arange(25), (3, 1)) % 17, np.uint8, Scaling(0.0, 1 / 16)),
        (GREY / 255, np.uint8, Scaling(0.0, 1 / 255)),
        (GREY.astype(np.float32) * np.float32(1 / 255), np.uint8, Scaling(0.0, 1 / 255)),
        (np.array([[0.5, 0.123], [0.2, 1.0], [0.0, 0.3]]), np.float32, Scaling()),
    ],
)
def test_how_values_are_stored_and_scaled(values, stored, scaling):
    dataset = from_arrays(values, [0, 1, 1])
    assert dataset.train.images.dtype == stored
    assert dataset.scaling == scaling
    if stored == np.uint8 and values.max() <= 1:
        assert np.array_equal(dataset.train.images, GREY)
    else:
        assert np.allclose(dataset.train.images, values)


@pytest.mark.parametrize("offset", [0.0, 0.25])
def test_other_values_are_standardised_on_the_training_split(offset):
    rng = np.random.default_rng(0)
    train = rng.integers(0, 200, (50, 3)) + offset
    train[:, 1] = 42.0
    dataset = from_arrays(train, np.arange(50) % 2, train[:5] + 1, np.zeros(5, int))
    scaled = (dataset.train.images.astype(np.float64) - dataset.scaling.offset) * dataset.scaling.scale
    assert np.allclose(scaled.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(scaled.std(axis=0), [1, 0, 1], atol=1e-5)
    assert dataset.scaling.scale[1] == 1
    assert dataset.image_shape is None


@pytest.mark.parametrize("odd", [0.0123, 1.2])
def test_one_odd_value_in_the_test_split_does_not_change_the_training_split(odd):
    train = np.tile(np.arange(25), (2, 1)) / 255
    test = train.copy()
    test[0, 3] = odd
    dataset, alone = from_arrays(train, [0, 1], test, [0, 1]), from_arrays(train, [0, 1])
    assert dataset.train.images.dtype == alone.train.images.dtype == np.uint8
    assert np.array_equal(dataset.train.images, alone.train.images)
    assert dataset.scaling == alone.scaling
    assert dataset.test.images.dtype == np.float32
    inputs = (dataset.test.images - dataset.scaling.offset) * dataset.scaling.scale
    assert np.allclose(inputs, test, atol=1e-6)


def test_checksum_depends_on_values_labels_and_shape(made):
    images, labels = pictures(12)
    changed = images.copy()
    changed[3, 2, 1] ^= 1
    sums = {
        from_arrays(images, labels).checksum,
        from_arrays(changed, labels).checksum,
        from_arrays(images, (labels + 1) % 3).checksum,
        from_arrays(images[:11], labels[:11]).checksum,
        made.checksum,
    }
    assert len(sums) == 5
    assert from_arrays(images, labels).checksum in sums
    assert all(len(s) == 64 for s in sums)


def test_describe(made):
    found = describe(made, n_samples=2)
    assert (found.n_train, found.n_test, found.in_features, found.image_shape) == (12, 6, 42, (6, 7))
    assert [(c.name, c.n_train, c.n_test) for c in found.classes] == [("a", 4, 2), ("b", 4, 2), ("c", 4, 2)]
    assert sum(c.share for c in found.classes) == pytest.approx(1)
    assert (found.value_type, found.high) == ("uint8", 255)
    assert found.density == pytest.approx((made.train.images > 0).mean())
    assert [(s.index, s.class_name, s.image.shape) for s in found.samples] == [(0, "a", (6, 7)), (1, "b", (6, 7))]


def test_convert_follows_a_link_to_a_file_that_is_missing(made, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link.npz").symlink_to(tmp_path / "there" / "x.npz")
    convert(made, tmp_path / "link.npz")
    assert (tmp_path / "link.npz").is_symlink()
    assert len(load(tmp_path / "there" / "x.npz").train) == len(made.train)


def test_convert_overwrites_nothing_and_leaves_nothing_half_done(made, tmp_path, monkeypatch):
    (tmp_path / "x.npz").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "note").write_text("mine")
    for target in ("x.npz", "folder"):
        with pytest.raises(OutputError, match="exists already"):
            convert(made, tmp_path / target)
    assert (tmp_path / "x.npz").read_text() == "mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        convert(made, tmp_path / "file" / "x.npz")

    def full(path: Path, array: np.ndarray) -> None:
        path.write_bytes(b"half")
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(idx, "write", full)
    with pytest.raises(OutputError, match="No space left"):
        convert(made, tmp_path / "new")
    assert {path.name for path in tmp_path.iterdir()} == {"x.npz", "folder", "file"}


@pytest.mark.parametrize(("target", "layout"), [("x.csv", "jitnet"), ("x.safetensors", "rust"), ("x.npz", "original")])
def test_convert_refuses_what_it_cannot_write(made, tmp_path, target, layout):
    with pytest.raises(UsageError, match=r"expected|layout"):
        convert(made, tmp_path / target, layout)


def test_the_original_layout_refuses_values_beyond_0_to_1(tmp_path):
    dataset = from_arrays([[3.5, -2.0], [1.0, 9.0]], [0, 1])
    with pytest.raises(DataError, match=r"0\.\.1"):
        convert(dataset, tmp_path / "x.safetensors", "original")


def test_class_names_survive_in_metadata(made, tmp_path):
    convert(made, tmp_path / "x.safetensors")
    content = (tmp_path / "x.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert json.loads(header["__metadata__"]["class_names"]) == ["a", "b", "c"]


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_stratified_split_gives_each_class_its_share(fraction):
    labels = np.repeat([0, 1, 2], [50, 31, 7]).astype(np.int64)
    images = np.arange(len(labels), dtype=np.uint8)[:, None]
    rest, held = stratified_split(Split(images, labels), fraction, seed=3)
    assert len(held) == round(fraction * len(labels))
    assert sorted([*rest.images[:, 0], *held.images[:, 0]]) == list(range(len(labels)))
    assert np.array_equal(labels[held.images[:, 0]], held.labels)
    for c, count in enumerate((50, 31, 7)):
        assert abs((held.labels == c).sum() - fraction * count) < 1
    again = stratified_split(Split(images, labels), fraction, seed=3)[1]
    other = stratified_split(Split(images, labels), fraction, seed=4)[1]
    assert np.array_equal(again.images, held.images)
    assert not np.array_equal(other.images, held.images)


def test_the_rows_held_out_are_the_same_in_every_version():
    split = Split(np.zeros((20, 1), np.uint8), np.repeat([0, 1], 10).astype(np.int64))
    assert np.flatnonzero(held_out_rows(split, 0.3, seed=3)).tolist() == [3, 7, 8, 12, 13, 15]


@pytest.mark.parametrize(("fraction", "error"), [(0.0, UsageError), (1.0, UsageError), (0.001, DataError)])
def test_stratified_split_refuses_empty_parts(fraction, error):
    with pytest.raises(error):
        stratified_split(Split(np.zeros((9, 1), np.uint8), np.zeros(9, np.int64)), fraction, seed=0)


@pytest.mark.parametrize("density", [0.0, 0.2, 1.0])
def test_synthetic(density):
    dataset = synthetic(400, 50, 7, seed=1, density=density)
    assert dataset.train.images.shape == (400, 50)
    assert dataset.n_classes == 7
    assert len(dataset.test) == 40
    assert (dataset.train.images > 0).mean() == pytest.approx(density, abs=0.02)
    assert dataset.checksum == synthetic(400, 50, 7, seed=1, density=density).checksum
    assert dataset.checksum != synthetic(400, 50, 7, seed=2, density=density).checksum or density == 0
    with pytest.raises(UsageError, match="density"):
        synthetic(10, 5, 2, seed=0, density=1.5)
    with pytest.raises(UsageError, match="features"):
        synthetic(10, 0, 2, seed=0)
