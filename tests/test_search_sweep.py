"""Sweeps: the same trials from the same seed, whatever runs them, however often they are interrupted, and whatever an
interruption leaves of the journal."""

import json
import os
import statistics
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from jitnet.errors import Busy, JitnetError, MissingExtra, OutputError, UsageError
from jitnet.model import Model
from jitnet.runs.run_config import read_settings
from jitnet.search import importance
from jitnet.search.engine import Failed, Finished, Reported, Started
from jitnet.search.importance import by_rank
from jitnet.search.journal import JOURNAL, Journal, check_installed
from jitnet.search.local import Local
from jitnet.search.pruning import BelowMedian, Curve
from jitnet.search.space import space_in
from jitnet.search.sweep import Sweep
from jitnet.search.sweep_plan import begin, check_same_data, holding_out, make_plan, read_plan, scored_by
from jitnet.search.work import train_work
from jitnet.training.history import EpochReport

optuna = pytest.importorskip("optuna")

SPACE = b"""
data = "digits"
epochs = 4
val-split = 0.2
[search]
lr = { from = 1e-4, to = 3.0, log = true }
hidden = { choose = ["8", "16,8"] }
batch-size = { from = 32, to = 128, step = 32 }
optimizer = ["momentum", "adam"]
momentum = { from = 0.0, to = 0.9 }
"""
GENERATION = 4
N = 8


class Here:
    """An engine in this process: the trials of a generation in reverse order, and the events of two at a time mixed."""

    def __init__(self):
        self.begun = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def stop(self, name=None):
        raise AssertionError("no test asks for it")

    def run(self, works, base, *, again=frozenset()):
        for work in reversed(works):
            self.begun.append(work.name)
            yield Started(work.name)
            reports = []
            try:
                outcome = train_work(work, base, reports.append, again=work.name in again)
            except JitnetError as error:
                yield Failed(work.name, str(error), type(error).__name__)
                continue
            yield from (Reported(work.name, report) for report in reports)
            yield Finished(work.name, outcome)


class Digits:
    """The data of `SPACE`, read once."""

    found = None

    @classmethod
    def load(cls, space):
        if cls.found is None:
            cls.found = space.settings.load()
        return cls.found


def new(folder, content=SPACE, **options):
    """Begin a sweep in a folder."""
    space, _ = holding_out(space_in(content, "space.toml", folder.parent))
    dataset = Digits.load(space)
    options = {"n_trials": N, "generation": GENERATION, "seed": 3, **options}
    begin(folder, content, make_plan(space, dataset, **options))
    return reopened(folder)


def reopened(folder):
    """The sweep in a folder, as `--resume` has it."""
    plan, space = read_plan(folder)
    space, _ = holding_out(space)
    dataset = Digits.load(space)
    check_same_data(plan, dataset, folder)
    return Sweep(folder, scored_by(space, plan.score), plan, dataset)


def run(sweep, n=N, engine=None, until=None):
    """Run a sweep to `n` trials, or until so many are done; return its trials without times."""
    with sweep, engine or Here() as running, closing(sweep.run(running, n)) as changes:
        done = 0
        for trial in changes:
            done += trial.is_done
            if done == until:
                break
    return [replace(trial, seconds=0.0) for trial in sweep.trials]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The trials of a sweep that nothing interrupts, and its folder."""
    folder = tmp_path_factory.mktemp("sweeps") / "undisturbed"
    return run(new(folder)), folder


def test_trials_are_the_same_at_any_number_of_workers_and_in_any_order(tmp_path, undisturbed):
    trials, folder = undisturbed
    assert [trial.number for trial in trials] == list(range(N))
    assert all(trial.is_done for trial in trials)
    assert len({trial.parameters["lr"] for trial in trials}) == N
    for workers in (1, 2):
        assert run(new(tmp_path / str(workers)), engine=Local(workers)) == trials
        weights = [Model.load(path / "trial-0001").parameters for path in (folder, tmp_path / str(workers))]
        assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_another_seed_has_other_trials(tmp_path, undisturbed):
    trials, _ = undisturbed
    others = run(new(tmp_path / "other", seed=4), n=2)
    assert others[0].parameters != trials[0].parameters


def test_an_unpromising_trial_stops_early_and_a_finished_one_has_its_score(undisturbed):
    trials, folder = undisturbed
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned
    assert all(trial.number >= GENERATION and len(trial.scores) < trial.n_epochs for trial in pruned)
    for trial in trials:
        lines = [json.loads(line) for line in (folder / trial.name / "metrics.jsonl").read_text().splitlines()]
        assert tuple(line["val_accuracy"] for line in lines) == trial.scores
        assert not any("test_accuracy" in line and line["test_accuracy"] is not None for line in lines)
        assert trial.score == trial.scores[trial.kept - 1] == max(trial.scores)
    best = reopened(folder)
    with best:
        found = best.best
    assert found.score == max(trial.score for trial in trials if trial.state == "finished")


def test_without_pruning_all_trials_are_finished(tmp_path):
    assert {trial.state for trial in run(new(tmp_path / "all", prune=False))} == {"finished"}


@pytest.mark.parametrize("until", [1, 3, 4, 6])
def test_an_interrupted_sweep_goes_on_with_the_same_trials(tmp_path, undisturbed, until):
    folder = tmp_path / "cut"
    run(new(folder), until=until)
    engine = Here()
    assert run(reopened(folder), engine=engine) == undisturbed[0]
    assert len(engine.begun) == N - until


def test_a_sweep_goes_on_to_more_trials_as_if_it_had_them_from_the_beginning(tmp_path, undisturbed):
    folder = tmp_path / "longer"
    assert run(new(folder), n=6) == undisturbed[0][:6]
    assert run(reopened(folder)) == undisturbed[0]


def test_a_torn_journal_is_cut_off(tmp_path, undisturbed):
    trials, whole = undisturbed
    content = (whole / JOURNAL).read_bytes()
    starts = [place + 1 for place, byte in enumerate(content) if byte == ord("\n")]
    ends = [
        0,
        5,
        starts[0],
        starts[3] + 10,
        starts[len(starts) // 2] + 1,
        starts[-2] - 1,
        starts[-2] + 20,
        starts[-1] - 1,
    ]
    for number, end in enumerate(ends):
        for rest in (b"", b"\0" * 64, b'{"op_code": 4\n'):
            if rest and end not in starts:
                continue
            folder = tmp_path / f"{number}-{len(rest)}"
            new(folder)
            (folder / JOURNAL).write_bytes(content[:end] + rest)
            sweep = reopened(folder)
            with sweep:
                known = [trial for trial in sweep.trials if trial.is_done]
                assert known == [trial for trial in known if replace(trial, seconds=0.0) in trials]
                assert bool(sweep.notice) == bool(rest or end not in [0, *starts])
            assert (folder / JOURNAL).read_bytes()[-1:] in (b"", b"\n")
            Journal(folder / JOURNAL)
    assert run(reopened(folder)) == trials


def test_a_journal_that_is_missing_is_said(tmp_path, undisturbed):
    folder = tmp_path / "lost"
    run(new(folder), until=2)
    (folder / JOURNAL).unlink()
    sweep = reopened(folder)
    with sweep:
        assert sweep.notice == f"{folder / JOURNAL} is missing: the trials in this folder run again"
    assert run(reopened(folder)) == undisturbed[0]


def test_a_stale_lock_of_optuna_is_no_obstacle(tmp_path, undisturbed):
    """Optuna's own backend would wait half a minute for the first line that it writes."""
    folder = tmp_path / "stale"
    run(new(folder), until=2)
    (folder / f"{JOURNAL}.lock").symlink_to(folder / JOURNAL)
    assert run(reopened(folder)) == undisturbed[0]
    assert (folder / f"{JOURNAL}.lock").is_symlink()


def test_a_damaged_journal_is_named(tmp_path, undisturbed):
    _, whole = undisturbed
    new(folder := tmp_path / "damaged")
    lines = (whole / JOURNAL).read_bytes().splitlines(keepends=True)
    (folder / JOURNAL).write_bytes(b"".join([lines[0], b"x" + lines[1], *lines[2:]]))
    with pytest.raises(JitnetError, match="line 2: is damaged"), reopened(folder):
        pass
    (folder / JOURNAL).write_bytes(b'{"op_code": 4, "worker_id": "a"}\n')
    with pytest.raises(JitnetError, match="is no journal of a sweep"), reopened(folder):
        pass


def test_a_line_that_is_missing_in_the_journal_is_named(tmp_path, undisturbed):
    _, whole = undisturbed
    new(folder := tmp_path / "damaged")
    lines = (whole / JOURNAL).read_bytes().splitlines(keepends=True)
    (folder / JOURNAL).write_bytes(b"".join(line for line in lines if b'"error"' not in line))
    with pytest.raises(JitnetError, match="lines are missing: trial 0 has ended, and its 'error'"), reopened(folder):
        pass


def test_optuna_reads_the_journal(undisturbed, tmp_path):
    trials, folder = undisturbed
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes((folder / JOURNAL).read_bytes())
    backend = optuna.storages.journal.JournalFileBackend(str(copy))
    study = optuna.load_study(study_name="sweep", storage=optuna.storages.JournalStorage(backend))
    assert [trial.params for trial in study.trials] == [trial.parameters for trial in trials]
    assert study.best_value == max(trial.score for trial in trials if trial.state == "finished")
    assert [len(trial.intermediate_values) for trial in study.trials] == [len(trial.scores) for trial in trials]


def test_two_processes_cannot_run_one_sweep(undisturbed):
    _, folder = undisturbed
    with reopened(folder), pytest.raises(Busy, match=f"process {os.getpid()} is writing here"), reopened(folder):
        pass


def test_a_folder_that_holds_a_sweep_is_refused(undisturbed):
    _, folder = undisturbed
    with pytest.raises(OutputError, match=f"holds a sweep already: go on with jitnet sweep --resume {folder}"):
        new(folder)


def test_a_sweep_of_other_data_is_refused(undisturbed, tmp_path):
    plan, space = read_plan(undisturbed[1])
    other = replace(plan, checksum="0" * 64)
    with pytest.raises(UsageError, match="its trials are of other data"):
        check_same_data(other, Digits.load(space), tmp_path)


def test_a_newer_or_foreign_plan_is_refused(tmp_path):
    new(folder := tmp_path / "newer")
    path = folder / "sweep.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "format": 99}))
    with pytest.raises(UsageError, match="format 99"):
        read_plan(folder)
    path.write_text("{}")
    with pytest.raises(UsageError, match="is not what a sweep writes"):
        read_plan(folder)
    with pytest.raises(UsageError, match="holds no sweep"):
        read_plan(tmp_path)


def test_settings_that_do_not_fit_together_fail_alone(tmp_path):
    content = b"""
data = "digits"
epochs = 1
[search]
hidden = { choose = ["8", ""] }
dropout = { from = 0.1, to = 0.2 }
"""
    trials = run(new(tmp_path / "some", content))
    states = {trial.parameters["hidden"]: set() for trial in trials}
    for trial in trials:
        states[trial.parameters["hidden"]].add(trial.state)
    assert states == {"8": {"finished"}, "": {"failed"}}
    errors = {trial.error for trial in trials if trial.state == "failed"}
    assert all("no hidden layer" in error for error in errors)


def test_the_best_settings_are_those_of_its_run(undisturbed):
    _, folder = undisturbed
    with reopened(folder) as sweep:
        text, best = sweep.write_best(), sweep.best
        settings = sweep.settings_of(best)
    assert (folder / "best.toml").read_text() == text
    read = read_settings(folder / "best.toml")
    assert read.resolve() == settings.resolve()
    assert read.data == "digits"


def test_the_test_data_are_evaluated_for_the_best_alone(undisturbed, tmp_path):
    _, folder = undisturbed
    with reopened(folder) as sweep:
        best, dataset = sweep.best, Digits.found
        found = sweep.test_score(dataset)
    from jitnet.evaluation import evaluate

    assert found == evaluate(Model.load(folder / best.name), dataset).accuracy
    for trial in sweep.trials:
        about = json.loads((folder / trial.name / "config.json").read_text())["data"]
        assert about["n_test"] == 0
        assert about["checksum"] == dataset.checksum


def test_scored_by_the_loss_the_smallest_is_best(tmp_path):
    trials = run(new(tmp_path / "loss", score="loss", prune=False), n=4)
    for trial in trials:
        assert trial.score == min(trial.scores) == trial.scores[trial.kept - 1]
    with reopened(tmp_path / "loss") as sweep:
        assert sweep.best.score == min(trial.score for trial in trials)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "has no table [search]"),
        ("[serach]\nlr = [0.1, 0.2]", "serach"),
        ("search = 3", "line 2: search: expected a table"),
        ("[search]", "line 2: [search] is empty"),
        ("[search]\nlearning-rat = [0.1, 0.2]", "line 3: learning-rat: there is no such setting; did you mean"),
        ("[search]\nlr = 0.1", "line 3: lr: expected what to search, found 0.1; a fixed value is above [search]"),
        (
            "[search]\nlr = { form = 0.1, to = 1.0 }",
            "line 3: lr: expected choose, or from, to, step and log, found form",
        ),
        ("[search]\nlr = { from = 0.1 }", "line 3: lr: expected to as well, found from alone"),
        ("[search]\nlr = { from = 0.1, to = 0.1 }", "line 3: lr: the range from 0.1 to 0.1 is one value"),
        ("[search]\nlr = { from = 1.0, to = 0.1 }", "line 3: lr: the range from 1 to 0.1 is empty: swap them"),
        (
            "[search]\nlr = { from = 0, to = 1, log = true }",
            "line 3: lr: from is 0, and a logarithmic scale needs more",
        ),
        ("[search]\nlr = { from = 0.1, to = 1, log = 1 }", "line 3: lr: log: expected true or false, found 1"),
        (
            "[search]\nlr = { from = 0.1, to = 1, log = true, step = 0.1 }",
            "line 3: lr: log and step cannot be combined",
        ),
        ("[search]\nlr = { from = 0.1, to = 1, step = 2 }", "line 3: lr: step: expected a number above 0, up to 0.9"),
        ("[search]\nlr = { from = -1, to = 1 }", "line 3: lr: expected a number above 0"),
        ("[search]\ndropout = { from = 0, to = 1.5 }", "line 3: dropout: expected a list of numbers from 0 to below 1"),
        ("[search]\nepochs = { from = 1.5, to = 3 }", "line 3: epochs: from: expected a whole number, found 1.5"),
        ("[search]\noptimizer = { from = 1, to = 3 }", "line 3: optimizer: is no number; expected { choose = [...] }"),
        ('[search]\noptimizer = ["sgd", "adamm"]', "adamw or lion, found 'adamm'; did you mean adam?"),
        ('[search]\noptimizer = ["sgd"]', "line 3: optimizer: choose: one value is no choice"),
        ('[search]\noptimizer = ["sgd", "sgd"]', "line 3: optimizer: choose: 'sgd' is there twice"),
        ("[search]\noptimizer = { choose = 3 }", "line 3: optimizer: choose: expected a list of values, found 3"),
        (
            '[search]\nhidden = ["1,x", "2"]',
            "line 3: hidden: choose: expected numbers, separated by commas, found '1,x'",
        ),
        ("[search]\nseed = { choose = [1, 2], from = 1 }", "line 3: seed: choose and from cannot be combined"),
        ('[search]\ndata = ["digits", "mnist"]', "line 3: data: is the same for all trials"),
        ("[search]\nval-split = [0.1, 0.2]", "line 3: val-split: is the same for all trials"),
        ("[search]\nthreads = [1, 2]", "line 3: threads: trials run on one thread each"),
        ("[search.augment]\nshift = [1.0, 2.0]", "[search.augment]: settings are searched by their names alone"),
        ("lr = 0.1\n[search]\nlearning-rate = [0.1, 0.2]", "line 4: learning-rate: is fixed above [search]"),
        ("[search]\nlr = [0.1, 0.2]\nlearning-rate = [0.1, 0.2]", "line 4: learning-rate: is searched as lr already"),
        ("epochs = 0\n[search]\nlr = [0.1, 0.2]", "line 2: epochs: expected a whole number from 1"),
        ("[search]\nlr = { from = 0.1", "is not valid TOML"),
    ],
)
def test_a_wrong_space_is_one_line(tmp_path, lines, message):
    with pytest.raises(UsageError) as error:
        space_in(f'data = "digits"\n{lines}\n'.encode(), "space.toml", tmp_path)
    assert str(error.value).startswith("space.toml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_space_in_which_nothing_fits_together_is_refused_before_the_data_are_read(tmp_path):
    space = space_in(b"hidden = []\n[search]\nmax-norm = { from = 1.0, to = 2.0 }\n", "space.toml", tmp_path)
    with pytest.raises(UsageError, match="no hidden layer"):
        space.check()


def test_no_held_out_data_is_refused(tmp_path):
    space = space_in(b"val-split = 0\n[search]\nlr = [0.1, 0.2]\n", "space.toml", tmp_path)
    with pytest.raises(UsageError, match="val-split is 0, and trials are scored on data that are held out"):
        holding_out(space)


def test_losses_that_differ_are_not_compared(tmp_path):
    content = b'data = "digits"\n[search]\nloss = ["cross-entropy", "mse"]\n'
    with pytest.raises(UsageError):
        new(tmp_path / "losses", content, score="loss")


def test_what_the_space_says_reaches_the_settings(tmp_path):
    (tmp_path / "mine.toml").write_text("label-smoothing = 0.125\n[train]\nema = 0.5\n")
    space = space_in(
        b"""
recipe = "mine.toml"
[train]
epochs = 3
[regress.train]
batch-size = 16
[search]
lr = { from = 0.25, to = 0.75, step = 0.5 }
hidden = { choose = [[8], "16,8", 32] }
dropout = { from = 0.0, to = 0.5 }
shift = [1.0, 2.0]
optimizer = ["momentum", "adam"]
momentum = { from = 0.5, to = 0.9 }
""",
        "space.toml",
        tmp_path,
    )
    assert {name: list(one.values) for one in space.searched if hasattr(one, "values") for name in [one.name]} == {
        "hidden": ["8", "16,8", "32"],
        "shift": [1.0, 2.0],
        "optimizer": ["momentum", "adam"],
    }
    parameters = {"lr": 0.75, "hidden": "16,8", "dropout": 0.25, "shift": 2.0, "optimizer": "momentum", "momentum": 0.5}
    network, config = space.settings_for(parameters).resolve()
    assert network["hidden"] == (16, 8)
    assert (config.learning_rate, config.dropout, config.augment.shift) == (0.75, (0.25,), 2.0)
    assert (config.momentum, config.epochs, config.label_smoothing, config.ema) == (0.5, 3, 0.125, 0.5)
    assert space.settings_for(parameters).resolve("regress")[1].batch_size == 16
    (tmp_path / "trial.toml").write_text(space.as_toml(parameters))
    for task in ("classify", "regress"):
        read = read_settings(tmp_path / "trial.toml").resolve(task)
        assert read == space.settings_for(parameters).resolve(task)
    # An optimizer without momentum has no use for what was chosen.
    space.settings_for({**parameters, "optimizer": "adam"}).resolve()


def report(value):
    return EpochReport(1, 0.0, 0.0, None, None, value, value, 1.0, 1.0, 0.1)


def test_what_is_unpromising():
    curves = tuple(Curve((0.1 * k, 0.2 * k, 0.2 * k, 0.2 * k), 4) for k in range(1, 5))
    rule = BelowMedian(curves, 8, "accuracy")
    median = statistics.median([0.1, 0.2, 0.3, 0.4])
    poor, good = report(median - 0.01), report(median + 0.01)
    assert not rule([poor])  # before a quarter of the run
    assert rule([poor, poor])
    assert not rule([good, poor])  # its best so far counts
    assert not rule([good] * 3)
    assert not BelowMedian(curves[:3], 8, "accuracy")([poor, poor])  # too few others
    assert not rule([poor] * 8)  # it is at its end anyway
    by_loss = BelowMedian(curves, 8, "loss")
    assert by_loss([good, good])
    assert not by_loss([good, poor])


def test_importances():
    scores = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert by_rank([1, 2, 3, 4, 5, 6], scores) == pytest.approx(1.0)
    assert by_rank([6.0, 5.0, 4.0, 3.0, 2.0, 1.0], scores) == pytest.approx(1.0)
    assert by_rank([1, 1, 1, 1, 1, 1], scores) == 0.0
    assert by_rank(["a", "a", "a", "b", "b", "b"], scores) == pytest.approx(9 / 17.5 * 1.5)
    assert by_rank(["a", "b", "a", "b", "a", "b"], scores) < 0.1


def test_importances_without_scikit_learn(tmp_path, undisturbed, monkeypatch):
    run(new(folder := tmp_path / "all", prune=False))
    with reopened(folder) as sweep:
        shares, how = sweep.importances()
        assert how == "fANOVA"
        assert sum(shares.values()) == pytest.approx(1.0)
        monkeypatch.setattr(importance, "_of_forests", lambda study, names: None)
        shares, how = sweep.importances()
        assert "rank" in how
        assert set(shares) == {"lr", "hidden", "batch-size", "optimizer", "momentum"}
        assert sum(shares.values()) == pytest.approx(1.0)
        assert list(shares.values()) == sorted(shares.values(), reverse=True)


def test_without_optuna_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(MissingExtra, match="needs Optuna; install it with: pip install 'optuna>=5,<6'"):
        check_installed()
