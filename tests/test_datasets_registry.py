"""Data sets by name: where they are looked for, what is taken for what, fetching, and the embedded digits."""

import gzip
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from jitnet.datasets import digits, fetch, idx, listing, load, names, registry
from jitnet.datasets.download import Patience, RemoteFile
from jitnet.errors import DataError, DownloadError, OutputError, UsageError

NOWHERE = "http://127.0.0.1:9/"
QUICK = Patience(connect_s=1.0, attempts=1)


@pytest.fixture(autouse=True)
def nothing_found(tmp_path, monkeypatch):
    """An empty working folder and cache, and no mirror that leads out of this machine."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("JITNET_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("JITNET_MIRROR", NOWHERE)


def make_set(folder: Path, seed: int, labels: np.ndarray | None = None) -> Path:
    """A small MNIST: 20 training and 10 test images, gzipped, under MNIST's names."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for part, n in (("train", 20), ("t10k", 10)):
        own = np.arange(n, dtype=np.uint8) % 10 if labels is None or part == "t10k" else labels
        images = rng.integers(0, 256, (len(own), 4, 4) if len(own) < 100 else (len(own), 1, 2), np.uint8)
        for kind, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", own)):
            idx.write(folder / kind, array)
            content = (folder / kind).read_bytes()
            (folder / kind).unlink()
            (folder / f"{kind}.gz").write_bytes(gzip.compress(content, mtime=0))
    return folder


@pytest.fixture
def known(tmp_path, monkeypatch) -> Path:
    """Makes a small set be the one that the registry knows as MNIST; its files lie below `served`/mnist."""
    served = make_set(tmp_path / "served" / "mnist", seed=5)
    files = []
    for file in registry.KNOWN["mnist"].files:
        content = (served / file.name).read_bytes()
        files.append(RemoteFile(file.name, "sha256", hashlib.sha256(content).hexdigest(), len(content)))
    monkeypatch.setitem(registry.KNOWN, "mnist", replace(registry.KNOWN["mnist"], files=tuple(files)))
    return served


@pytest.fixture
def server(tmp_path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    (tmp_path / "served").mkdir(exist_ok=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served")))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_names_and_listing():
    assert names() == ("mnist", "fashion-mnist", "digits")
    rows = {row.name: row for row in listing()}
    assert rows["mnist"].found is None
    assert rows["digits"].found == digits.where()
    assert rows["mnist"].searched[-1].name == "jitnet"


def test_places_are_searched_in_order(tmp_path, monkeypatch):
    monkeypatch.setenv("JITNET_DATA", str(tmp_path / "env"))
    places = [tmp_path / "env" / "mnist", tmp_path / "env", Path("data/mnist"), Path("data")]
    places += [tmp_path / "cache" / "jitnet" / "mnist", tmp_path / "cache" / "jitnet"]
    for seed, place in reversed(list(enumerate(places))):
        made = make_set(place, seed)
        row = listing()[0]
        assert row.found == place
        assert row.searched == tuple(places)
        assert np.array_equal(load("mnist").train.images, load(made).train.images)
    dataset = load("mnist")
    assert dataset.source == str(places[0])
    assert dataset.name == "mnist"
    assert dataset.class_names == tuple("0123456789")
    assert dataset.notice == ""


def test_a_relative_cache_home_is_ignored(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert listing()[0].searched[-1] == tmp_path / ".cache" / "jitnet"


def test_mnist_and_fashion_mnist_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("JITNET_DATA", str(tmp_path / "env"))
    make_set(tmp_path / "env", seed=1)
    assert [row.found for row in listing()[:2]] == [tmp_path / "env", None]
    # The exact balance of Fashion-MNIST's labels, which MNIST's lack.
    make_set(tmp_path / "env", seed=2, labels=(np.arange(60_000) % 10).astype(np.uint8))
    assert [row.found for row in listing()[:2]] == [None, tmp_path / "env"]
    make_set(tmp_path / "env" / "mnist", seed=3)
    make_set(tmp_path / "env" / "fashion-mnist", seed=4)
    assert [row.found for row in listing()[:2]] == [tmp_path / "env" / "mnist", tmp_path / "env" / "fashion-mnist"]
    assert load("fashion-mnist").class_names[9] == "Ankle boot"


def test_fashion_mnist_is_known_by_checksum(tmp_path, monkeypatch):
    place = make_set(tmp_path / "cache" / "jitnet", seed=1)
    entry = registry.KNOWN["fashion-mnist"]
    content = (place / "train-labels-idx1-ubyte.gz").read_bytes()
    labels = replace(entry.files[1], digest=hashlib.md5(content).hexdigest())
    monkeypatch.setitem(
        registry.KNOWN, "fashion-mnist", replace(entry, files=(entry.files[0], labels, *entry.files[2:]))
    )
    assert [row.found for row in listing()[:2]] == [None, place]


def test_labels_of_a_known_set_must_be_its_classes(tmp_path, monkeypatch):
    monkeypatch.setenv("JITNET_DATA", str(make_set(tmp_path / "env", 1, np.array([0, 1, 2, 10], np.uint8))))
    with pytest.raises(DataError, match=r"label 10 of sample 3.*out of range; expected 0 to 9"):
        load("mnist")


def test_a_broken_mnist_is_not_passed_over(tmp_path, monkeypatch):
    place = make_set(tmp_path / "env", 1)
    monkeypatch.setenv("JITNET_DATA", str(place))
    path = place / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=f"{path}: is cut short"):
        load()


def test_fetch_downloads_once(known, server, tmp_path, monkeypatch):
    monkeypatch.setenv("JITNET_MIRROR", f"{server}/")
    calls: list[str] = []
    fetched = fetch("mnist", progress=lambda what, done, total: calls.append(what))
    assert fetched.downloaded
    assert fetched.folder == tmp_path / "cache" / "jitnet" / "mnist"
    assert set(calls) == {path.name for path in known.iterdir()} == {path.name for path in fetched.folder.iterdir()}
    assert not fetch("mnist").downloaded
    assert load().source == str(fetched.folder)


def test_fetch_goes_below_jitnet_data_and_keeps_what_is_whole(known, server, tmp_path, monkeypatch):
    monkeypatch.setenv("JITNET_DATA", str(tmp_path / "env"))
    place = tmp_path / "env" / "mnist"
    place.mkdir(parents=True)
    first, second, *_ = sorted(known.iterdir())
    (place / first.name).write_bytes(first.read_bytes())
    (place / second.name).write_bytes(b"half")
    calls: list[str] = []
    fetched = fetch("mnist", mirrors=[f"{server}/mnist"], progress=lambda what, done, total: calls.append(what))
    assert fetched.folder == place
    assert first.name not in calls
    assert (place / second.name).read_bytes() == second.read_bytes()


def test_fetch_of_what_cannot_be_had(tmp_path, monkeypatch):
    with pytest.raises(
        DownloadError, match=r"train-images-idx3-ubyte.gz could not be downloaded .*127.0.0.1:9/mnist/: "
    ):
        fetch("mnist", patience=QUICK)
    with pytest.raises(DownloadError, match=r"127.0.0.1:9"):
        load("mnist")
    with pytest.raises(DataError, match="known names are mnist, fashion-mnist, digits"):
        fetch("cifar")
    assert fetch("digits").folder == digits.where()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("JITNET_DATA", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="cannot be written"):
        fetch("mnist", patience=QUICK)


@pytest.mark.parametrize("download", [True, False])
def test_digits_stand_in_for_a_missing_mnist_and_say_so(download):
    dataset = load(download=download)
    assert dataset.name == "digits"
    assert "\n" not in dataset.notice
    assert "MNIST is not on this machine" in dataset.notice
    assert ("127.0.0.1:9" in dataset.notice) == download
    assert "jitnet data fetch mnist" in dataset.notice
    assert "JITNET_DATA" in dataset.notice
    with pytest.raises(DataError):
        load("mnist", download=download)


def test_digits_are_as_they_were_shipped():
    dataset = load("digits")
    assert (len(dataset.train), len(dataset.test)) == (1437, 360)
    assert dataset.image_shape == (8, 8)
    assert dataset.scaling.scale == 1 / 16
    assert dataset.train.images.max() == 16
    assert dataset.class_names == tuple("0123456789")
    whole = np.bincount(dataset.train.labels) + np.bincount(dataset.test.labels)
    assert whole.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.abs(np.bincount(dataset.test.labels) - whole * 360 / 1797).max() < 1
    assert dataset.checksum == "e6e9af5fcf1944e249c7ce68f8d08cd2ae8fd0caaea5e75d55a259c1c71e1e8e"


def test_mnist_itself(mnist_folder, monkeypatch):
    monkeypatch.setenv("JITNET_DATA", str(mnist_folder))
    dataset = load()
    assert dataset.name == "mnist"
    assert dataset.notice == ""
    assert dataset.checksum == "2afb48a2fdb30478e11ff3dbe37c54967a16d70c0ae29ef10d9def6ab80a0d67"
    assert dataset.image_shape == (28, 28)
    assert dataset.scaling.scale == 1 / 255


@pytest.mark.parametrize("name", [None, 3, []], ids=str)
def test_what_is_no_name_of_a_data_set_is_refused(name):
    with pytest.raises(UsageError, match=r"^name is of type .*; expected str; call fetch\(name\)"):
        fetch(name)
