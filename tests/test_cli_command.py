"""What was typed and cannot be meant: empty names, unknown options, arguments too many or in each other's place."""

import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command

import jitnet
from jitnet.cli import COMMANDS, run
from jitnet.cli.command import kind_of
from jitnet.cli.common import check_output
from jitnet.datasets import convert, load, names
from jitnet.errors import OutputError, UsageError
from jitnet.pictures import write_pgm

MEANINGFUL = {"--hidden", "--dropout", "--class-weight", "--args", "--freeze"}
"""Options of which an empty value says something: no layers, no rates, no weights, no arguments, no frozen layers."""


def every_parameter() -> list[tuple[str, str, int]]:
    """Command, option or name of an argument, and how many values it takes, of all that take one."""
    found = []
    for room, (module, _) in COMMANDS.items():
        top = get_command(import_module(module).app)
        for name, command in getattr(top, "commands", {"": top}).items():
            for parameter in command.params:
                if not getattr(parameter, "is_flag", False) and parameter.opts[0] not in MEANINGFUL:
                    found.append((f"{room} {name}".strip(), parameter.opts[0], parameter.nargs))
    return found


@pytest.mark.parametrize(("command", "parameter", "count"), every_parameter())
def test_an_empty_value_is_one_line_that_says_what_is_expected(call, command, parameter, count):
    if parameter.startswith("-"):
        words = {"eval": ["x"], "predict": ["x", "y"], "data info": ["x"], "data convert": ["x", "y"]}.get(command, [])
        words = [*words, parameter, *[""] * count]
    else:
        words = [""] if parameter in ("model", "source", "name", "target", "space") else ["x", ""]
        words = ["x", ""] if (command, parameter) == ("data convert", "target") else words
        words = [*words, "y"] if (command, parameter) in (("data convert", "source"), ("predict", "model")) else words
    found = call(*command.split(), *words)
    assert (found.code, found.out, found.err.count("\n")) == (2, "", 1)
    assert "empty" in found.err or "found ''" in found.err or "there is no ''" in found.err, found.err
    if parameter.startswith("-"):
        assert parameter in found.err
    assert not [path for path in Path().iterdir() if path.name != "cache"]


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_folder_name_is_not_the_folder_one_is_in(call, empty):
    found = call("train", "--data", "digits", "--out", empty)
    assert (found.code, found.err) == (2, "jitnet: error: --out is empty; expected FOLDER\n")
    assert not Path("model.safetensors").exists()


def test_help_is_shown_whatever_is_typed_beside_it(call):
    assert call("train", "--out", "", "--help").out.startswith("Usage: jitnet train")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("train --epoch 3", "no such option: --epoch; did you mean --epochs?"),
        ("train --learning_rate 1", "no such option: --learning_rate; did you mean --learning-rate?"),
        ("train --Optimizer adam", "no such option: --Optimizer; did you mean --optimizer?"),
        ("train --print-scheduel", "no such option: --print-scheduel; did you mean --print-schedule?"),
        ("train --gpu", "no such option: --gpu (see jitnet train --help)"),
        ("train --foo", "no such option: --foo (see jitnet train --help)"),
        ("train --device cuda", "no such option: --device (see jitnet train --help)"),
        ("train --lr", "option '--lr' requires an argument (see jitnet train --help)"),
        ("train mnist", "unexpected extra argument(s) (mnist); did you mean --data mnist?"),
        ("train MNIST", "did you mean --data mnist?"),
        ("train rows.csv", "did you mean --data rows.csv?"),
        ("train fast", "did you mean --recipe fast?"),
        ("train extra", "unexpected extra argument(s) (extra) (see jitnet train --help)"),
        ("bench digits", "did you mean --data digits?"),
        ("profile mnits", "mnits: expected MODULE:FUNCTION; did you mean --data mnist?"),
        ("eval run mnist", "unexpected extra argument(s) (mnist); did you mean --data mnist?"),
        ("train --data MNIST", "MNIST: there is no data set and no file of that name; known names are mnist,"),
        ("train --data MNIST", "; did you mean mnist?"),
        ("data fetch Fashion_MNIST", "did you mean fashion-mnist?"),
        ("train --data gpu", "fashion-mnist, digits\n"),
    ],
)
def test_the_nearest_sensible_thing_is_suggested_or_none(call, typed, said):
    found = call(*typed.split())
    assert found.code in (1, 2)
    assert said in found.err
    assert found.err.count("\n") == 1


@pytest.fixture
def things(call, tmp_path: Path) -> None:
    """A model as a run folder and as a file, data as a file and as a folder, and a picture."""
    assert run(["train", "--data", "digits", "--hidden", "", "--epochs", "1", "--quiet", "--out", "run"]) == 0
    Path("model.safetensors").write_bytes((tmp_path / "run" / "model.safetensors").read_bytes())
    convert(load("digits"), "rows.safetensors")
    convert(load("digits"), "idx")
    write_pgm("one.pgm", np.eye(8, dtype=np.uint8))


def test_what_a_word_names_is_recognised(things):
    Path("cut.safetensors").write_bytes(b"\xff" * 9)
    Path("empty").mkdir()
    found = {word: kind_of(word) for word in ("run", "model.safetensors", "rows.safetensors", "idx", "one.pgm")}
    assert list(found.values()) == ["model", "model", "data", "data", "picture"]
    assert {kind_of(name) for name in names()} == {"data"}
    for word in ("cut.safetensors", "none.safetensors", "empty", "nothing", "x" * 5000, "a\0b"):
        assert kind_of(word) == ""


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("eval one.pgm run", "one.pgm is a picture; the model comes first: jitnet predict MODEL one.pgm"),
        ("predict one.pgm run", "one.pgm is not a model, run is; the model comes first: jitnet predict run one.pgm"),
        ("predict one.pgm two.pgm", "one.pgm is a picture; the model comes first: jitnet predict MODEL one.pgm"),
        ("eval mnist run", "mnist is data; the model comes first: jitnet eval MODEL --data mnist"),
        ("eval rows.safetensors", "rows.safetensors is data; the model comes first"),
        ("eval run one.pgm", "did you mean jitnet predict MODEL one.pgm?"),
        ("data info run", "run is a model; expected data: mnist, fashion-mnist, digits, or a file or folder"),
        ("train --data model.safetensors", "model.safetensors is a model; expected data"),
        ("eval run --data run", "run is a model; expected data"),
        ("train run", "did you mean jitnet eval run?"),
        ("data convert new.npz digits", "digits is data; what is read comes first: jitnet data convert digits new.npz"),
        ("data convert new.npz idx", "idx is data; what is read comes first: jitnet data convert idx new.npz"),
    ],
)
def test_arguments_in_each_others_place_are_recognised(call, things, typed, said):
    found = call(*typed.split())
    assert (found.code, found.out) == (2, "")
    assert said in found.err
    assert found.err.count("\n") == 1


def test_no_sentence_of_the_checking_library_is_shown(call):
    for typed in (
        "bench --repetitions ten",
        "bench --repetitions 1001",
        "predict x y --top -1",
        "predict x y --top 1.5",
    ):
        found = call(*typed.split())
        assert found.code == 2
        assert re.search(r"error: --\w+: expected a whole number (from 9 to 1,000|of 1 or more), found '", found.err)
        assert "Input should" not in found.err


def test_an_output_is_checked_and_left_as_it_was(tmp_path):
    check_output("--trace", None, (".json",))
    check_output("--trace", tmp_path / "new.JSON", (".json",))
    assert not list(tmp_path.iterdir())
    (tmp_path / "old.json").write_text("precious")
    check_output("--trace", tmp_path / "old.json", (".json",))
    assert (tmp_path / "old.json").read_text() == "precious"
    with pytest.raises(UsageError, match=r"--trace: expected a name that ends in \.png or \.pgm, found '.*new\.txt'"):
        check_output("--trace", tmp_path / "new.txt", (".png", ".pgm"))
    with pytest.raises(OutputError, match=r"cannot be written: the folder .*none does not exist; make it first"):
        check_output("--trace", tmp_path / "none" / "new.json", (".json",))
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(OutputError, match=r"cannot be written: is a directory"):
        check_output("--trace", tmp_path / "folder.json", (".json",))
    with pytest.raises(OutputError, match=r"cannot be written: file name too long"):
        check_output("--trace", tmp_path / f"{'x' * 300}.json", (".json",))


def test_advice_to_install_works_where_jitnet_came_from_a_folder():
    """No index knows jitnet then, and an extra of it can be named only in that folder."""
    for path in Path(jitnet.__file__).parent.rglob("*.py"):
        assert not re.search(r"pip install\s+\S*(jitnet|\.)?\[", path.read_text(encoding="utf-8")), path
