"""`jitnet predict` from end to end, on the embedded digits: every answer, then what could not be answered, and why."""

import io
import json
import os
import pty
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from jitnet.cli import run
from jitnet.datasets import load
from jitnet.pictures import write_pgm


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder: digits, eight epochs."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert run(["train", "--data", "digits", "--hidden", "32", "--epochs", "8", "--quiet", "--out", str(folder)]) == 0
    return folder


def digit(index: int) -> np.ndarray:
    """A test digit, (8, 8) uint8 of 0 to 255."""
    return (load("digits").test.images[index].reshape(8, 8) * (255 / 16)).astype(np.uint8)


@pytest.fixture
def digits_pgm(tmp_path: Path) -> list[tuple[Path, str]]:
    """Test digits as pictures, with what each shows."""
    made = []
    for index in range(8):
        path = tmp_path / f"digit{index}.pgm"
        write_pgm(path, digit(index))
        made.append((path, str(load("digits").test.labels[index])))
    return made


def test_predict_recognises_digits(call, trained, digits_pgm):
    code, out, err = call("predict", trained, *(path for path, _ in digits_pgm), "--json")
    document = json.loads(out)
    assert (code, err, document["errors"], document["notices"]) == (0, "", [], [])
    found = document["predictions"]
    right = sum(one["guesses"][0]["class"] == label for one, (_, label) in zip(found, digits_pgm, strict=True))
    assert right >= 7
    for one, (path, _) in zip(found, digits_pgm, strict=True):
        assert (one["file"], one["name"], one["notices"]) == (str(path), str(path), [])
        shares = [guess["probability"] for guess in one["guesses"]]
        assert len(shares) == 3
        assert shares == sorted(shares, reverse=True)
        assert np.shape(one["image"]) == (8, 8)


def test_predict_shows_the_picture(call, trained, digits_pgm):
    path = digits_pgm[0][0]
    code, out, err = call("predict", trained, path, "--top", "2")
    assert (code, err) == (0, "")
    assert out.startswith(f"{path}\n")
    assert len(re.findall(r"\d\.\d%", out)) == 2


@pytest.mark.parametrize("name", ["missing.png", "blank.pgm", "cut.pgm", "words.png", "folder"])
def test_a_bad_picture_is_one_line(call, trained, name):
    write_pgm("blank.pgm", np.full((20, 20), 200, np.uint8))
    Path("cut.pgm").write_bytes(b"P5 20 20 255\n123")
    Path("words.png").write_text("not a picture")
    Path("folder").mkdir()
    code, out, err = call("predict", trained, name)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert name in err


def test_every_answer_then_the_errors(call, trained, digits_pgm):
    (first, _), (second, _) = digits_pgm[:2]
    Path("broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    asked = [first, "broken.png", second, "missing.pgm"]
    code, out, err = call("predict", trained, *asked)
    assert code == 1
    assert [line for line in out.splitlines() if ".pgm" in line] == [str(first), str(second)]
    assert len(re.findall(r"\d\.\d%", out)) == 6
    lines = err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("jitnet: error: broken.png: starts as a PNG picture, but is broken")
    assert lines[1] == "jitnet: error: missing.pgm: there is no such file"

    code, out, also = call("predict", trained, *asked, "--json")
    document = json.loads(out)
    assert (code, also) == (1, err)
    assert [one["name"] for one in document["predictions"]] == [str(first), str(second)]
    assert [one["name"] for one in document["errors"]] == ["broken.png", "missing.pgm"]
    assert [f"jitnet: error: {one['error']}" for one in document["errors"]] == lines


def test_without_pillow_what_needs_nothing_is_answered(call, trained, digits_pgm, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    Path("a.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    code, out, err = call("predict", trained, "a.png", digits_pgm[0][0])
    assert code == 1
    assert out.startswith(str(digits_pgm[0][0]))
    assert err == "jitnet: error: a.png: reading PNG needs Pillow; install it with: pip install pillow\n"


def test_a_folder_is_all_its_pictures(call, trained):
    Path("scans").mkdir()
    for number in (10, 9, 1):
        write_pgm(f"scans/{number}.pgm", digit(number))
    code, out, err = call("predict", trained, "scans")
    assert (code, err) == (0, "")
    assert re.findall(r"^scans/.*$", out, re.MULTILINE) == ["scans/1.pgm", "scans/9.pgm", "scans/10.pgm"]

    for name in ("notes.txt", "b.csv"):
        Path("scans", name).write_text("no picture")
    Path("scans/5.pgm").write_bytes(b"P5 20 20 255\n123")
    code, out, err = call("predict", trained, "scans", "--json")
    document = json.loads(out)
    assert code == 1
    assert [one["name"] for one in document["predictions"]] == ["scans/1.pgm", "scans/9.pgm", "scans/10.pgm"]
    assert document["notices"] == ["scans: skipped 2 of 6 entries: not pictures (b.csv, notes.txt)"]
    assert err.splitlines()[0] == f"! {document['notices'][0]}"
    assert err.splitlines()[1].startswith("jitnet: error: scans/5.pgm: is cut short")


def test_a_folder_without_pictures(call, trained, digits_pgm):
    Path("empty").mkdir()
    Path("empty/notes.txt").write_text("hello")
    code, out, err = call("predict", trained, "empty", digits_pgm[0][0])
    assert code == 1
    assert out.startswith(str(digits_pgm[0][0]))
    assert err == "jitnet: error: empty: the folder holds no picture; expected PNG, JPEG, PGM or .npy files\n"


def give(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Standard input is a pipe that holds these bytes."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False))


def test_standard_input(call, trained, digits_pgm, monkeypatch):
    path = digits_pgm[2][0]
    expected = json.loads(call("predict", trained, path, "--json").out)["predictions"][0]
    stack = io.BytesIO()
    np.save(stack, np.stack([digit(2), digit(3)]))
    for data, names in (
        (path.read_bytes(), ["standard input"]),
        (stack.getvalue(), ["standard input[0]", "standard input[1]"]),
    ):
        give(monkeypatch, data)
        code, out, err = call("predict", trained, "-", "--json")
        found = json.loads(out)["predictions"]
        assert (code, err) == (0, "")
        assert [one["name"] for one in found] == names
        assert found[0]["guesses"] == expected["guesses"]
        assert found[0]["file"] == "-"
    give(monkeypatch, b"")
    assert call("predict", trained, "-").err.startswith("jitnet: error: standard input: is empty")


def test_standard_input_that_cannot_be_read(call, trained, monkeypatch):
    give(monkeypatch, b"")
    code, _, err = call("predict", trained, "-", "-")
    assert (code, err) == (2, "jitnet: error: -: standard input holds one file; name it once\n")
    controller, terminal = pty.openpty()
    with os.fdopen(controller, "rb"), os.fdopen(terminal, "rb") as stream:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
        code, _, err = call("predict", trained, "-")
        assert (code, err.count("\n")) == (2, 1)
        assert "standard input is a terminal; pipe a picture into it" in err
    monkeypatch.setattr(sys, "stdin", None)
    code, _, err = call("predict", trained, "-")
    assert (code, err.count("\n")) == (2, 1)
    assert "standard input is closed" in err


def test_a_stack_answers_for_each_of_its_pictures(call, trained):
    np.save("three.npy", np.stack([digit(0), np.full((8, 8), 9, np.uint8), digit(1)]))
    code, out, err = call("predict", trained, "three.npy")
    assert code == 1
    assert re.findall(r"^three.*$", out, re.MULTILINE) == ["three.npy[0]", "three.npy[2]"]
    assert err.startswith("jitnet: error: three.npy[1]: is blank")
    assert err.count("\n") == 1


def test_what_cannot_be_known_is_said(call, trained):
    large = np.pad(np.kron(digit(0), np.ones((8, 8), np.uint8)), 16)
    write_pgm("pair.pgm", 255 - np.concatenate([large, large], axis=1))
    write_pgm("specks.pgm", ((np.random.default_rng(0).random((90, 90)) < 0.2) * 255).astype(np.uint8))
    code, out, err = call("predict", trained, "pair.pgm", "specks.pgm")
    assert code == 0
    assert len(re.findall(r"\d\.\d%", out)) == 6
    lines = err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("! pair.pgm: shows two separate shapes")
    assert lines[1].startswith("! specks.pgm: its ink is scattered like noise and does not look like a stroke")
    document = json.loads(call("predict", trained, "pair.pgm", "--json").out)
    assert [f"! pair.pgm: {sentence}" for sentence in document["predictions"][0]["notices"]] == lines[:1]


def test_of_an_animation_the_first_frame_is_said(call, trained):
    image_module = pytest.importorskip("PIL.Image")
    images = [image_module.fromarray(np.kron(digit(index), np.ones((8, 8), np.uint8))) for index in (0, 1)]
    images[0].save("a.gif", save_all=True, append_images=images[1:])
    code, _, err = call("predict", trained, "a.gif")
    assert (code, err) == (0, "! a.gif: holds 2 frames; this is the first\n")


def test_swapped_arguments(call, trained, digits_pgm):
    first, second = digits_pgm[0][0], digits_pgm[1][0]
    for model in (trained, trained / "model.safetensors"):
        code, out, err = call("predict", first, model, second)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.endswith(f"the model comes first: jitnet predict {model} {first} {second}\n")
    Path("my scans").mkdir()
    assert call("predict", "my scans", trained).err.endswith(f"jitnet predict {trained} 'my scans'\n")
    assert "there is no such file" in call("predict", "missing", trained).err


def test_a_model_of_plain_numbers_sees_no_pictures(call, digits_pgm):
    rows = np.array([[n % 2, n % 2 * 1000.5, n] for n in range(10)])
    np.savetxt("plain.csv", rows, "%g", ",")
    assert call("train", "--data", "plain.csv", "--epochs", "1", "--out", "run", "--quiet").code == 0
    for files in ([digits_pgm[0][0]], ["missing.png"]):
        code, _, err = call("predict", "run", *files)
        assert (code, err.count("\n")) == (1, 1)
        assert "run: the model has no image shape: it was trained on plain, 2 plain numbers per sample" in err
        assert "name a model of images" in err
