"""The command line: exit codes, streams, help, completion, and the commands about data."""

import json
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import environment
from typer.main import get_command

import jitnet
from jitnet.cli import COMMANDS, _interrupt_again, run
from jitnet.cli.options import FIELDS
from jitnet.config import ACTIVATIONS, HYPERPARAMETERS, OPTIMIZERS
from jitnet.config.checking import any_of
from jitnet.datasets import convert, from_arrays


def test_version(call):
    assert call("--version") == (0, f"jitnet {jitnet.__version__}\n", "")


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)], ids=str)
def test_help_lists_every_command(call, arguments):
    code, out, err = call(*arguments)
    assert (code, err) == (0, "")
    assert all(f"\n  {name} " in out for name in COMMANDS)
    assert "Example" in out or "Start here" in out


@pytest.mark.parametrize(
    "command",
    [
        ["train"],
        ["bench"],
        ["eval"],
        ["predict"],
        ["data", "list"],
        ["data", "fetch"],
        ["data", "info"],
        ["data", "convert"],
    ],
)
def test_help_has_sentences_and_an_example(call, command):
    code, out, err = call(*command, "--help")
    assert (code, err) == (0, "")
    assert f"Usage: jitnet {' '.join(command)} " in out
    assert "Example" in out
    assert f"jitnet {' '.join(command)}" in out.partition("Example")[2]


@pytest.mark.parametrize(
    "command",
    [[name] for name in COMMANDS] + [["data", name] for name in ("list", "fetch", "info", "convert", "augment")],
)
def test_help_fits_a_terminal_and_is_in_words(call, monkeypatch, command):
    """No line is too long, and nothing is in the notation of a library."""
    monkeypatch.setenv("COLUMNS", "80")
    out = call(*command, "--help").out
    assert [line for line in out.splitlines() if len(line) > 80] == []
    assert not [word for word in ("{", "<", ">=", "x>") if word in out.replace(" > ", " ")]


def test_help_gives_ranges_and_defaults(call):
    out = " ".join(call("train", "--help").out.split())
    assert "--epochs NUMBER Passes over the training data. A whole number from 1 to 1,000,000. [default: 10]" in out
    assert "--learning-rate, --lr NUMBER" in out
    assert "One of relu, tanh, gelu, silu, mish or selu. [default: relu]" in out


def sections(text: str) -> dict[str, str]:
    """What stands under each heading of a help text."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            heading = line.removesuffix(":")
            found[heading] = ""
        elif found:
            found[heading] += line + "\n"
    return found


def test_help_has_the_options_under_headings(call):
    found = sections(call("train", "--help").out)
    assert list(found) == [
        "Data",
        "Network",
        "Training",
        "Optimizer",
        "Schedule",
        "Regularisation",
        "Augmentation",
        "Held-out data",
        "Output",
    ]
    for heading, option in [
        ("Data", "--test-data"),
        ("Network", "--hidden"),
        ("Training", "--recipe"),
        ("Optimizer", "--lr"),
        ("Schedule", "--print-schedule"),
        ("Regularisation", "--dropout"),
        ("Augmentation", "--elastic-sigma"),
        ("Held-out data", "--patience"),
        ("Output", "--quiet"),
        ("Output", "--help"),
    ]:
        assert option in found[heading]
    assert list(sections(call("bench", "--help").out)) == ["Data", "Network", "Training", "Measurement", "Output"]


@pytest.mark.parametrize("command", ["train", "bench"])
def test_help_has_every_option_once(call, command):
    lines = [line.strip() for line in call(command, "--help").out.splitlines() if line.startswith("  -")]
    named = [line.split("  ")[0].replace(",", "").split() for line in lines]
    listed = [flag for words in named for flag in words if flag[:2] == "--"]
    parameters = get_command(import_module(COMMANDS[command][0]).app).params
    # A switch has two: --residual and --no-residual.
    both = [flag for parameter in parameters for flag in (*parameter.opts, *parameter.secondary_opts)]
    flags = [flag for flag in both if flag[:2] == "--"]
    assert sorted(listed) == sorted([*flags, "--help"])


def test_help_has_every_choice_with_a_word_and_every_optimizers_learning_rate(call):
    found = sections(call("train", "--help").out)
    network = [line.split(maxsplit=1) for line in found["Network"].splitlines()]
    for name, activation in ACTIVATIONS.items():
        assert [name, activation.about] in network
    lines = [line.split(maxsplit=2) for line in found["Optimizer"].splitlines()]
    for name, optimizer in OPTIMIZERS.items():
        assert [name, f"{optimizer.defaults['learning_rate']:g}", optimizer.about] in lines


@pytest.mark.parametrize("name", HYPERPARAMETERS)
def test_help_tells_which_optimizers_use_a_hyperparameter(call, name):
    words = " ".join(call("train", "--help").out.split())
    users = [optimizer for optimizer, kind in OPTIMIZERS.items() if name in kind.hyperparameters]
    own = words.partition(f"--{name} NUMBER ")[2].partition("]")[0]
    assert f" Only with --optimizer {any_of(users)}. [default: " in own


def test_help_tells_the_default_that_an_optimizer_has_of_its_own(monkeypatch):
    (momentum,) = [field for field in FIELDS["Optimizer"] if field.name == "momentum"]
    assert momentum.help.endswith("[default: 0.9]")
    first, other = [name for name, kind in OPTIMIZERS.items() if "momentum" in kind.hyperparameters][:2]
    defaults = {"learning_rate": 0.5, "momentum": 0.75}
    monkeypatch.setitem(OPTIMIZERS, other, replace(OPTIMIZERS[other], defaults=defaults))
    assert momentum.help.endswith(f"[default: 0.9; 0.75 with {other}]")
    assert first not in momentum.help.partition("[")[2]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_help_fits_the_terminal(call, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    for command in ("train", "bench"):
        text = call(command, "--help").out.partition("Examples:")[0]
        assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "no such command 'trian'. Did you mean 'train'?"),
        (["train", "--bogus"], "no such option: --bogus"),
        (["train", "--epochs"], "option '--epochs' requires an argument"),
        (["train", "extra"], "unexpected extra argument(s) (extra)"),
        (["eval"], "missing argument 'MODEL-OR-RUN'"),
        (["predict", "model"], "missing argument 'FILE'"),
        (["predict", "model", "file", "--top", "0"], "--top: expected a whole number of 1 or more, found '0'"),
        (["data", "info"], "missing argument 'NAME-OR-PATH'"),
        (["train", "--epochs", "0"], "--epochs: expected a whole number from 1 to 1,000,000, found '0'"),
        (["train", "--epochs", "-3"], "--epochs: expected a whole number from 1 to 1,000,000, found '-3'"),
        (["train", "--epochs", "2.5"], "--epochs: expected a whole number from 1 to 1,000,000, found '2.5'"),
        (["train", "--batch-size", "0"], "--batch-size: expected a whole number from 1"),
        (["train", "--lr", "0"], "--learning-rate: expected a number above 0, up to 1,000, found '0'"),
        (["train", "--lr", "nan"], "--learning-rate: expected a number above 0, up to 1,000, found 'nan'"),
        (["train", "--hidden", "128,0"], "--hidden: expected whole numbers from 1 to 1,000,000, separated by commas"),
        (["train", "--hidden", "128,"], "--hidden: expected whole numbers"),
        (
            ["train", "--activation", "sigmoid"],
            "--activation: expected relu, tanh, gelu, silu, mish or selu, found 'sigmoid'",
        ),
        (["train", "--seed", "-1"], "--seed: expected a whole number from 0"),
        (["train", "--threads", "5000"], "--threads: expected a whole number from 0 to 1,024, found '5000'"),
        (["train", "--recipe", "speed"], "--recipe: there is no recipe 'speed'; there are "),
    ],
)
def test_usage_errors_are_one_line_and_exit_2(call, arguments, message):
    code, out, err = call(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("jitnet: error: ")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "words", [("", "train"), ("train --activation ", "gelu"), ("data i", "info"), ("data fetch fa", "fashion-mnist")]
)
def test_completion(words, capsys, monkeypatch):
    typed, offered = words
    monkeypatch.setenv("_JITNET_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"jitnet {typed}")
    monkeypatch.setenv("COMP_CWORD", str(len(f"jitnet {typed}".split(" ")) - 1))
    with pytest.raises(SystemExit):
        run([])
    assert offered in capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("NUMBA_NUM_THREADS", "abc", "Numba cannot read this value (invalid literal for int() with base 10: 'abc')"),
        ("NUMBA_NUM_THREADS", "0", "expected a count of 1 or more"),
        ("NUMBA_BOUNDSCHECK", "yes", "Numba cannot read this value (invalid literal for int() with base 10: 'yes')"),
    ],
)
def test_a_variable_that_numba_cannot_read_is_one_line(tmp_path, name, value, reason):
    (tmp_path / "theirs.py").write_text("import numba")
    command = [sys.executable, "-m", "jitnet", "profile", "theirs.py:f"]
    made = environment(**{name: value})
    done = subprocess.run(command, capture_output=True, text=True, env=made, cwd=tmp_path, check=False)
    expected = f"jitnet: error: {name}={value}: {reason}; correct it, or unset it"
    assert (done.returncode, done.stdout, " ".join(done.stderr.split())) == (2, "", expected)


def test_what_numba_raises_as_it_starts_in_a_worker_process_is_one_line(tmp_path):
    (tmp_path / "theirs.py").write_text("import numba")
    command = [sys.executable, "-m", "jitnet", "profile", "-q", "theirs.py"]
    made = environment(NUMBA_NUM_THREADS="0")
    done = subprocess.run(command, capture_output=True, text=True, env=made, cwd=tmp_path, check=False)
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert said.startswith("jitnet: error: theirs.py: ValueError: Number of threads specified must be > 0 (with ")
    assert "NUMBA_NUM_THREADS=0" in said


def test_data_list(call):
    code, out, _ = call("data", "list")
    assert code == 0
    assert [
        line.split()[0] for line in out.splitlines() if line.split()[:1] and line.split()[0] in jitnet_names()
    ] == jitnet_names()
    assert "jitnet data fetch mnist" in out


def jitnet_names() -> list[str]:
    return ["mnist", "fashion-mnist", "digits"]


def test_data_list_as_json(call):
    listed = json.loads(call("data", "list", "--json").out)
    assert [row["name"] for row in listed] == jitnet_names()
    assert listed[0]["found"] is None
    assert listed[2]["found"].endswith("digits.safetensors")


def test_data_info(call):
    code, out, err = call("data", "info", "digits")
    assert (code, err) == (0, "")
    assert "1,437 for training, 360 for testing" in out
    assert "8x8, 10 classes" in out


def test_data_info_as_json(call):
    found = json.loads(call("data", "info", "digits", "--json").out)
    assert (found["n_train"], found["n_test"], found["high"]) == (1437, 360, 16.0)
    assert len(found["classes"]) == 10
    assert "samples" not in found


@pytest.mark.parametrize("target", ["digits.npz", "digits.safetensors", "folder"])
def test_data_convert_and_back(call, target):
    code, out, _ = call("data", "convert", "digits", target)
    assert code == 0
    assert out.startswith(f"wrote {target}: 1,437 training and 360 test samples")
    again = json.loads(call("data", "info", target, "--json").out)
    assert again["checksum"] == json.loads(call("data", "info", "digits", "--json").out)["checksum"]
    code, out, err = call("data", "convert", "digits", target)
    assert (code, out) == (1, "")
    assert "exists already and is not overwritten" in err


def test_a_target_is_checked_before_data_is_read(call):
    for words in (["digits.parquet"], ["digits.npz", "--layout", "Original"], ["digits.npz", "--layout", "original"]):
        code, out, err = call("data", "convert", "missing.csv", *words)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "missing" not in err


@pytest.mark.parametrize("name", ["digits.npz", "digits.safetensors", "idx"])
def test_converted_twice_is_equal_byte_for_byte(call, name):
    files = []
    for folder in ("one", "two"):
        assert call("data", "convert", "digits", f"{folder}/{name}").code == 0
        files.append({path.name: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()})
    assert files[0] == files[1]


def test_data_convert_to_nothing_known(call):
    assert call("data", "convert", "digits", "digits.parquet").code == 2
    assert call("data", "convert", "digits", "digits.npz", "--layout", "other").code == 2


def test_data_fetch_of_what_is_there(call):
    code, out, _ = call("data", "fetch", "digits")
    assert code == 0
    assert out.startswith("digits is already in ")


def test_data_fetch_without_a_network(call):
    code, out, err = call("data", "fetch", "fashion-mnist", "--quiet")
    assert (code, out) == (1, "")
    assert "http://127.0.0.1:1/fashion-mnist/" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", [["data", "info"], ["train", "--data"]], ids=" ".join)
@pytest.mark.parametrize(
    "name", ["nothing.csv", "mnits", "empty.npz", "cut.safetensors", "torn.csv", "folder", "nan.npz"]
)
def test_bad_data_is_one_line_and_exit_1(call, tmp_path, command, name):
    (tmp_path / "empty.npz").touch()
    (tmp_path / "cut.safetensors").write_bytes(b"\xff\0\0\0\0\0\0\0{}")
    (tmp_path / "torn.csv").write_text("0,1,2\n1,2\n")
    (tmp_path / "folder").mkdir()
    np.savez(tmp_path / "nan.npz", x_train=np.full((4, 3), np.nan, np.float32), y_train=np.array([0, 1, 0, 1]))
    code, out, err = call(*command, name)
    assert (code, out) == (1, "")
    assert err.startswith("jitnet: error: ")
    assert name in err
    assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_running_out_of_memory_is_one_line(call, monkeypatch):
    def exhausted(*arguments: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("jitnet.datasets.describe", exhausted)
    code, out, err = call("data", "info", "digits")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "out of memory" in err


def test_a_bug_is_not_swallowed(call, monkeypatch):
    def broken(*arguments: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("jitnet.datasets.describe", broken)
    with pytest.raises(ZeroDivisionError):
        call("data", "info", "digits")


def test_a_closed_pipe_is_quiet(tmp_path):
    many = np.zeros((4000, 1), np.uint8)
    labels = np.arange(4000)
    convert(from_arrays(many, labels, name="many", class_names=[str(c) for c in labels]), tmp_path / "many.npz")
    command = [sys.executable, "-m", "jitnet", "data", "info", str(tmp_path / "many.npz"), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) == 141


@pytest.mark.parametrize("module", ["jitnet.cli", "typer", "jitnet.cli.profile", "jitnet.errors"])
def test_ctrl_c_while_it_starts_is_quiet(module):
    """Also where an import is interrupted."""
    program = f"""
import signal, sys

class Interrupting:
    def find_spec(self, name, *rest):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv = ["jitnet", "profile", "--help"]
from jitnet.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment(), timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_an_installed_command_begins_where_ctrl_c_is_quiet():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"jitnet": "jitnet.__main__:main"}


def test_ctrl_c_in_a_finalizer_is_not_lost(monkeypatch):
    """Python prints an error that is raised there and goes on."""
    monkeypatch.setattr(sys, "unraisablehook", _interrupt_again)

    class Interrupted:
        def __del__(self) -> None:
            raise KeyboardInterrupt

    def work() -> None:
        Interrupted()
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        work()
