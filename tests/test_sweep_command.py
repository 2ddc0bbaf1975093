"""`jitnet sweep`: what it prints, what it leaves behind, and how it goes on after any end."""

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import environment
from test_search_sweep import new, run

from jitnet import render
from jitnet.model import Model

pytest.importorskip("optuna")

EXAMPLE = Path(__file__).parents[1] / "docs" / "space.toml"

SPACE = """\
data = "digits"
epochs = 3
val-split = 0.2
[search]
lr = { from = 1e-3, to = 1.0, log = true }
hidden = { choose = ["8", "16,8"] }
"""


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(SPACE)
    return path


def trials_of(folder):
    """The trials in a journal: parameters, state and scores, by number."""
    import optuna

    backend = optuna.storages.journal.JournalFileBackend(str(folder / "journal.jsonl"))
    study = optuna.load_study(study_name="sweep", storage=optuna.storages.JournalStorage(backend))
    return [(trial.params, trial.state, trial.intermediate_values, trial.value) for trial in study.trials]


def test_a_sweep_in_a_pipe(call, space, tmp_path):
    done = call("sweep", space, "--trials", 6, "--generation", 3, "--out", "found")
    assert done.code == 0
    rows = [line for line in done.out.splitlines() if line.startswith("trial ")]
    assert {int(re.match(r"trial (\d+)  (finished|stopped early)  epochs \d/3  ", row)[1]) for row in rows} == set(
        range(6)
    )
    assert all("lr " in row and "hidden " in row for row in rows)
    assert "evaluated once; no trial was chosen by it" in done.out
    assert "What mattered" in done.out
    assert "jitnet train --config found/best.toml" in done.out
    text = (tmp_path / "found" / "best.toml").read_text()
    assert text.rstrip() in done.out
    assert tomllib.loads(text)["data"] == "digits"
    assert "\x1b" not in done.out + done.err
    assert sorted(os.listdir(tmp_path / "found"))[:4] == ["best.toml", "journal.jsonl", "space.toml", "sweep.json"]
    # Its best settings repeat the best trial to the last bit.
    best = int(re.search(r"best validation accuracy .* in trial (\d+)", done.out)[1])
    assert call("train", "--config", "found/best.toml", "--out", "again", "--quiet").code == 0
    weights = [Model.load(tmp_path / path).parameters for path in (f"found/trial-{best:04d}", "again")]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_the_document(call, space, tmp_path):
    done = call("sweep", space, "--trials", 3, "--out", "found", "--json", "--quiet", "--no-prune", "--workers", 1)
    assert done.code == 0
    found = json.loads(done.out)
    assert [trial["number"] for trial in found["trials"]] == [0, 1, 2]
    assert {trial["state"] for trial in found["trials"]} == {"finished"}
    assert found["score"] == "accuracy"
    assert found["best"]["score"] == max(trial["score"] for trial in found["trials"])
    assert 0.0 <= found["best"]["test_accuracy"] <= 1.0
    assert tomllib.loads(found["toml"]) == tomllib.loads((tmp_path / "found" / "best.toml").read_text())
    assert all(Path(trial["run"], "model.safetensors").exists() for trial in found["trials"])
    # It goes on to more.
    more = call("sweep", "--resume", "found", "--trials", 5, "--json")
    found_more = json.loads(more.out)
    assert [trial["scores"] for trial in found_more["trials"][:3]] == [trial["scores"] for trial in found["trials"]]
    assert len(found_more["trials"]) == 5


def test_the_example_of_the_documentation(call, tmp_path):
    done = call("sweep", EXAMPLE, "--trials", 2, "--out", "found", "--quiet")
    assert done.code == 0
    assert done.err == ""
    assert "its test accuracy" in done.out
    section = (EXAMPLE.parent / "runs.md").read_text().partition("## Search")[2]
    block = section.partition("```toml\n")[2].partition("```")[0]
    assert tomllib.loads(block) == tomllib.loads(EXAMPLE.read_text())


def test_the_example_of_help(call, tmp_path):
    """It is written without braces."""
    text = call("sweep", "--help").out.partition("space.toml:\n")[2]
    (tmp_path / "help.toml").write_text(text.replace("fashion-mnist", "digits").replace("epochs = 10", "epochs = 1"))
    done = call("sweep", "help.toml", "--trials", 2, "--out", "found", "--json", "--quiet")
    assert done.code == 0
    trials = json.loads(done.out)["trials"]
    assert {tuple(trial["parameters"]) for trial in trials} == {("hidden", "activation", "batch-size", "lr")}
    (tmp_path / "help.toml").write_text(text.replace("lr.to = 0.1", "lr.to = 1e-5"))
    assert "line 9: lr: the range from 0.0001 to 1e-05 is empty" in call("sweep", "help.toml").err


def test_what_is_held_out_is_said_where_the_space_does_not(call, space):
    space.write_text(SPACE.replace("val-split = 0.2\n", ""))
    done = call("sweep", space, "--trials", 1)
    assert "trials are scored on 20% of the training data, which are held out (val-split = 0.2)" in done.err
    (folder,) = Path("runs").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-sweep", folder.name)


LONGER = SPACE.replace("epochs = 3", "epochs = 60")
LONGER_OPTIONS = ("--trials", 6, "--generation", 3, "--workers", 2, "--seed", 5)


def start(*arguments, folder):
    return subprocess.Popen(
        [sys.executable, "-m", "jitnet", "sweep", *map(str, arguments)],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.usefixtures("_compiled")
def test_it_goes_on_after_a_kill_as_if_it_had_never_ended(space, tmp_path):
    space.write_text(LONGER)
    process = start(space, *LONGER_OPTIONS, "--out", "cut", folder=tmp_path)
    for line in process.stdout:
        if line.startswith("trial "):
            break
    process.kill()
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    assert sum(state.is_finished() for _, state, _, _ in trials_of(tmp_path / "cut")) < 6
    resumed = start("--resume", "cut", folder=tmp_path)
    assert "trial 5" in resumed.communicate(timeout=240)[0]
    assert resumed.returncode == 0
    run(new(tmp_path / "whole", LONGER.encode(), n_trials=6, generation=3, seed=5), n=6)
    assert trials_of(tmp_path / "cut") == trials_of(tmp_path / "whole")


@pytest.mark.usefixtures("_compiled")
def test_ctrl_c_leaves_whole_runs_and_says_how_to_go_on(space, tmp_path):
    space.write_text(LONGER)
    process = start(space, *LONGER_OPTIONS, "--out", "cut", folder=tmp_path)
    for line in process.stdout:
        if line.startswith("trial "):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "jitnet sweep --resume cut" in out
    assert "its test accuracy" not in out
    for folder in (tmp_path / "cut").glob("trial-*"):
        assert {"config.json", "model.safetensors"} <= set(os.listdir(folder))
        Model.load(folder)


def test_it_ends_by_time(call, space):
    space.write_text(SPACE.replace("epochs = 3", "epochs = 1000000"))
    done = call("sweep", space, "--minutes", 0.05, "--out", "found", "--workers", 1)
    assert done.code == 1
    assert "no trial was finished in this time; go on with --resume" in done.err
    assert json.loads(Path("found/sweep.json").read_text())["n_trials"] is None
    done = call("sweep", "--resume", "found")
    assert (done.code, done.err.splitlines()[-1]) == (
        2,
        "jitnet: error: found: its sweep was to end by time; say until when it goes on: --trials or --minutes",
    )


def test_where_every_trial_fails_the_first_error_is_said(call, space):
    space.write_text('data = "digits"\ndrop-last = true\n[search]\nbatch-size = { from = 5000, to = 6000 }\n')
    done = call("sweep", space, "--trials", 2, "--out", "found")
    assert done.code == 1
    last = done.err.splitlines()[-1]
    assert last.startswith("jitnet: error: found: no trial was finished: 2 failed, the first with: ")
    assert f"{space}, line 4: batch-size is 5" in last
    assert done.out.count("line 4: batch-size is 5") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "name a space, as in jitnet sweep SPACE.toml"),
        (["missing.toml"], 2, "missing.toml: there is no such file or folder"),
        (["space.toml", "--trials", "0"], 2, "--trials: expected a whole number from 1"),
        (["space.toml", "--minutes", "0"], 2, "--minutes: expected a number above 0, found '0'"),
        (["space.toml", "--minutes", "soon"], 2, "--minutes: expected a number above 0, found 'soon'"),
        (["space.toml", "--score", "f1"], 2, "--score: expected accuracy or loss, found 'f1'"),
        (["space.toml", "--trails", "3"], 2, "did you mean --trials"),
        (["space.toml", "--resume", "x"], 2, "--resume goes on with the space in x; leave space.toml out"),
        (["--resume", "x", "--seed", "3"], 2, "--seed cannot be combined with --resume"),
        (["--resume", "nowhere"], 2, "nowhere: holds no sweep"),
    ],
)
def test_wrong_arguments_are_one_line(call, space, arguments, code, message):
    done = call("sweep", *arguments)
    assert done.code == code
    assert message in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


def test_a_wrong_space_names_file_and_line(call, space):
    space.write_text(SPACE.replace("lr =", "lrr ="))
    done = call("sweep", space)
    assert (done.code, done.out) == (2, "")
    assert f"{space}, line 5: lrr: there is no such setting; did you mean lr?" in done.err


def test_the_accuracy_of_numbers_cannot_be_asked_for(call, space, tmp_path):
    rows = "\n".join(f"{x}.5,{3 * x}.25" for x in range(60))
    (tmp_path / "rows.csv").write_text(f"x,y\n{rows}\n")
    space.write_text('data = "rows.csv"\ntarget = "y"\nepochs = 2\n[search]\nlr = [0.01, 0.1]\n')
    done = call("sweep", space, "--score", "accuracy")
    assert done.code == 2
    assert "--score is accuracy, and the targets are numbers" in done.err
    done = call("sweep", space, "--trials", 2, "--out", "found")
    assert done.code == 0
    assert "best validation loss" in done.out
    text = Path("found/best.toml").read_text()
    assert tomllib.loads(text)["data"] == str(tmp_path / "rows.csv")


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_line_of_the_live_table_is_wider_than_the_terminal(width):
    from io import StringIO

    from jitnet.search.sweep import Trial

    out = StringIO()
    console = render.make_console(out, terminal=True, width=width, colour=False)
    parameters = {"lr": 0.0123456, "hidden": "128,64", "batch-size": 64, "optimizer": "momentum", "nesterov": True}
    trials = [
        Trial(0, parameters, "finished", 4, (0.5, 0.6, 0.7, 0.8), 0.8, 4, ended="trained for 4 epochs", seconds=1.0),
        Trial(1, parameters, "failed", 4, (), error="the loss became NaN or infinite in epoch 1, step 3 of 36"),
        Trial(2, parameters, "running", 4, (0.5,)),
        Trial(2, parameters, "pruned", 4, (0.5, 0.4), 0.5, 1),
    ]
    screen = render.Consoles(console, console, console)
    with render.SweepView(screen, "accuracy", 4, None, []) as view:
        for trial in trials:
            view._drawn_s = 0.0
            view.show(trial)
    lines = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", out.getvalue()).replace("\r", "\n").splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert "batch-size 64" in text
    assert "stopped early" in text
    assert "the loss became NaN" in text
