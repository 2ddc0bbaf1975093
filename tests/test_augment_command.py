"""`jitnet data augment`: the sheet in the terminal and in a file, and what it says to bad input."""

import resource

import numpy as np
import pytest

from jitnet.config import AugmentConfig, TrainConfig
from jitnet.datasets import convert, from_arrays, load
from jitnet.pictures import as_one_picture, distorted_samples, fitting_distortions, load_picture


def test_the_bare_command_shows_every_distortion(call):
    code, out, err = call("data", "augment", "digits")
    assert (code, err) == (0, "")
    for word in ("shift", "rotation", "scaling", "shear", "elastic"):
        assert f"\n{word} " in f"\n{out}"
    assert out.count("epoch 1") == 5
    assert "0  #" in out
    assert "each sample as 9 epochs would see it" in out


def test_without_a_name_it_falls_back_to_digits(call):
    code, out, err = call("data", "augment", "--count", "1")
    assert code == 0
    assert out.count("epoch 1") == 1
    assert "digits" in err


def test_a_named_distortion_stands_alone(call):
    code, out, _ = call("data", "augment", "digits", "--rotation", "30", "--count", "2")
    assert code == 0
    assert "±30 degrees" in out
    assert not any(word in out for word in ("shift", "scaling", "shear", "elastic"))
    assert out.count("epoch 1") == 2


@pytest.mark.parametrize("name", ["sheet.png", "sheet.PGM"])
def test_the_sheet_as_a_file(call, tmp_path, name):
    code, out, _ = call("data", "augment", "digits", "--seed", "4", "--count", "3", "--out", name)
    assert code == 0
    assert f"wrote {name}: 3 samples, each with 9 distortions" in out
    dataset = load("digits")
    _, samples = distorted_samples(dataset, fitting_distortions((8, 8)), seed=4, count=3)
    grey = np.rint(samples * (255.0 / samples.max())).astype(np.uint8)
    np.testing.assert_array_equal(load_picture(tmp_path / name), as_one_picture(grey))


@pytest.mark.parametrize("name", ["sheet.png", "sheet.pgm"])
def test_a_sheet_that_cannot_be_written_whole_is_not_written(call, tmp_path, name):
    """As on a disk that is full: the first bytes fit, and the others do not."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for old in (None, b"older"):
        if old:
            (tmp_path / name).write_bytes(old)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        try:
            code, _, err = call("data", "augment", "digits", "--count", "2", "--out", name)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert code == 1
        assert f"{name}: cannot be written" in err
        found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        assert found == ({} if old is None else {name: old})


def test_what_a_sheet_replaces_keeps_its_mode_and_its_links(call, tmp_path):
    (tmp_path / "real.pgm").write_bytes(b"")
    (tmp_path / "real.pgm").chmod(0o600)
    (tmp_path / "link.pgm").symlink_to("real.pgm")
    assert call("data", "augment", "digits", "--count", "1", "--out", "link.pgm").code == 0
    assert (tmp_path / "link.pgm").is_symlink()
    assert (tmp_path / "real.pgm").stat().st_mode & 0o777 == 0o600
    assert load_picture(tmp_path / "real.pgm").ndim == 2


def test_the_same_seed_gives_the_same_sheet_and_another_does_not(call, tmp_path):
    for seed, name in ((1, "a.pgm"), (1, "b.pgm"), (2, "c.pgm")):
        assert call("data", "augment", "digits", "--seed", seed, "--out", name).code == 0
    first, again, other = ((tmp_path / name).read_bytes() for name in ("a.pgm", "b.pgm", "c.pgm"))
    assert first == again != other


def test_samples_come_class_by_class_and_originals_unchanged():
    dataset = load("digits")
    indices, samples = distorted_samples(dataset, AugmentConfig(), count=12, variants=2)
    assert dataset.train.labels[indices[:10]].tolist() == list(range(10))
    assert len(set(indices)) == 12
    for variant in range(3):
        np.testing.assert_array_equal(samples[:, variant].reshape(12, -1), dataset.train.images[indices])


def test_fewer_samples_than_asked_for(call, tmp_path):
    convert(from_arrays(np.full((3, 5, 4), 9, np.uint8), np.array([0, 1, 1])), tmp_path / "few.npz")
    code, out, err = call("data", "augment", "few.npz", "--count", "20", "--shift", "1")
    assert (code, err) == (0, "")
    assert out.count("epoch 1") == 3


def test_one_picture_places_every_pixel():
    pictures = np.arange(2 * 3 * 50 * 100, dtype=np.uint32).reshape(2, 3, 50, 100).astype(np.uint8)
    sheet = as_one_picture(pictures)
    assert sheet.shape == (4 + 2 * 54, 4 + 3 * 104)
    np.testing.assert_array_equal(sheet[58:108, 108:208], pictures[1, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shift", "40"], "--shift: expected a number from 0 to 32, found '40'"),
        (["--rotation", "-1"], "--rotation: expected a number from 0 to 180, found '-1'"),
        (["--scaling", "nan"], "--scaling: expected a number from 0 to 0.9, found 'nan'"),
        (["--shear", "much"], "--shear: expected a number from 0 to 60, found 'much'"),
        (["--elastic", "1000"], "--elastic: expected a number from 0 to 100, found '1000'"),
        (["--elastic-sigma", "0"], "--elastic-sigma: expected a number from 0.5 to 20, found '0'"),
        (["--seed", "-1"], "--seed: expected a whole number from 0"),
        (["--count", "0"], "--count: expected a whole number from 1 to 1,000, found '0'"),
        (["--out", "sheet.jpg"], "--out: expected a name that ends in .png or .pgm, found 'sheet.jpg'"),
        (["--shift", "0"], "every named distortion is 0"),
        (["--elastic-sigma", "2.5"], "--elastic-sigma is 2.5, with --elastic off; set that too"),
    ],
)
def test_bad_options_are_one_line(call, tmp_path, arguments, message):
    code, out, err = call("data", "augment", "digits", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.glob("sheet*"))


def test_data_that_are_no_images(call, tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(12) % 3
    convert(from_arrays(rng.integers(0, 255, (12, 7), np.uint8), labels), tmp_path / "rows.npz")
    convert(from_arrays(rng.random((12, 6, 6), np.float32), labels), tmp_path / "reals.npz")
    for name, message in (("rows.npz", "without an image shape"), ("reals.npz", "float32")):
        code, out, err = call("data", "augment", name, "--elastic", "34")
        assert (code, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1


def test_a_sheet_that_cannot_be_written(call):
    code, _, err = call("data", "augment", "digits", "--count", "1", "--out", "no/such/folder/sheet.pgm")
    assert code == 1
    assert "cannot be written" in err
    assert err.count("\n") == 1


def test_help_gives_ranges_and_an_example(call):
    code, out, err = call("data", "augment", "--help")
    out = " ".join(out.split())
    assert (code, err) == (0, "")
    assert "--rotation NUMBER Largest rotation, in degrees. A number from 0 to 180. [default: 0.0]" in out
    assert "jitnet data augment mnist --elastic 34" in out


def test_the_sheet_shows_what_each_epoch_trains_on():
    from jitnet.engine.sample_maker import SampleMaker

    dataset = load("digits")
    config = AugmentConfig(rotation=20, elastic=3, elastic_sigma=1)
    indices, samples = distorted_samples(dataset, config, seed=6, count=4, variants=3)
    training = TrainConfig(augment=config, seed=6)
    maker = SampleMaker(dataset.train.images, np.zeros((0, 0), np.float32), (8, 8), training, threads=2)
    for epoch in (1, 2, 3):
        out, _ = maker.make(epoch, np.array(indices, np.int32))
        assert (out != dataset.train.images[indices]).any()
        np.testing.assert_array_equal(samples[:, epoch].reshape(4, 64), out)
