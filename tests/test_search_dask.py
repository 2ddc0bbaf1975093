"""Works as tasks of a Dask cluster: the results of worker processes here, also where a worker is lost."""

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from clusters import Cluster, wait_for
from conftest import environment
from test_search_local import LONG, SMALL, after_many, outcomes, with_seed, without_times
from test_search_sweep import N, new, run

import jitnet
from jitnet.errors import DataError, JitnetError, UsageError
from jitnet.files import read_lines
from jitnet.model import Model
from jitnet.search import on_dask
from jitnet.search.engine import Failed, Finished, Reported, Started
from jitnet.search.journal import JOURNAL
from jitnet.search.local import Local, run_all
from jitnet.search.on_dask import Dask
from jitnet.search.work import Work

distributed = pytest.importorskip("distributed")

KILLED = replace(LONG, training={"epochs": 2_000, "val_split": 0.25})
"""A run that is long enough to be killed in the middle; `after_many` ends it."""


def files_of(folder):
    """What a run folder holds, without times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    kept = [{name: value for name, value in line.items() if "second" not in name} for line in lines]
    return sorted(os.listdir(folder)), kept, Model.load(folder / "model.safetensors").parameters


def assert_same_run(one, other):
    (names, lines, weights), (other_names, other_lines, other_weights) = files_of(one), files_of(other)
    assert (names, lines) == (other_names, other_lines)
    assert all(np.array_equal(weights[name], other_weights[name]) for name in weights)


def doing(events, action, name):
    """Pass events on, and do something when the first epoch of a work has ended."""
    for event in events:
        yield event
        if isinstance(event, Reported) and event.name == name and event.report.epoch == 1:
            action()


def killing(engine, cluster, events, name):
    """Pass events on, and kill the worker that trains a work when its first epoch has ended, once."""
    places = []

    def kill():
        if not places:
            places.append(next(task.place for task in engine._left.tasks.values() if task.work.name == name))
            cluster.kill(places[0])

    return doing(events, kill, name)


def test_the_same_results_as_here(cluster, tmp_path):
    works = [Work(f"w{seed}", with_seed(seed)) for seed in range(3)]
    here = outcomes(run_all(works, tmp_path / "here", workers=2))
    with Dask(cluster.address) as engine:
        events = list(engine.run(works, tmp_path / "there"))
        with pytest.raises(UsageError, match="the same name"):
            list(engine.run([works[0], works[0]], tmp_path))
    there = outcomes(events)
    for work in works:
        assert list(map(without_times, there[work.name].reports)) == list(map(without_times, here[work.name].reports))
        assert there[work.name].folder == tmp_path / "there" / work.name
        assert_same_run(here[work.name].folder, there[work.name].folder)
        mine = [event for event in events if event.name == work.name]
        assert [type(event) for event in mine] == [Started, Reported, Reported, Finished]


def test_a_lost_worker_is_done_without_and_its_work_repeated(cluster, tmp_path):
    works = [Work("long", KILLED, ends_early=after_many), Work("short", SMALL)]
    here = outcomes(run_all(works, tmp_path / "here", workers=2))
    with Dask(cluster.address) as engine:
        events = list(killing(engine, cluster, engine.run(works, tmp_path / "there"), "long"))
    cluster.add_workers(1)
    assert [event.again for event in events if isinstance(event, Started) and event.name == "long"] == [False, True]
    assert set(outcomes(events)) == {"long", "short"}
    for name, outcome in outcomes(events).items():
        assert_same_run(here[name].folder, outcome.folder)


def test_a_work_is_repeated_once(cluster, tmp_path):
    def kill():
        cluster.kill(next(iter(engine._left.tasks.values())).place)
        cluster.add_workers(1)

    with Dask(cluster.address) as engine:
        events = list(doing(engine.run([Work("long", LONG)], tmp_path), kill, "long"))
    (failed,) = (event for event in events if isinstance(event, Failed))
    assert "its worker was lost, 2 times" in failed.error
    assert failed.kind == "WorkerDied"
    assert not (tmp_path / "long").exists()


def test_a_sweep_has_the_same_trials_where_a_worker_is_lost(cluster, tmp_path):
    class Losing(Dask):
        def run(self, works, base, *, again=frozenset()):
            events = super().run(works, base, again=again)
            return killing(self, cluster, events, "trial-0001") if works[0].name == "trial-0000" else events

    trials = run(new(tmp_path / "here"), engine=Local(2))
    assert run(new(tmp_path / "there"), engine=Losing(cluster.address)) == trials
    cluster.add_workers(1)
    assert len(trials) == N
    for trial in trials:
        assert_same_run(tmp_path / "here" / trial.name, tmp_path / "there" / trial.name)


def test_so_many_at_a_time(cluster, tmp_path):
    running, most = set(), 0
    with Dask(cluster.address, workers=1) as engine:
        for event in engine.run([Work(f"w{seed}", with_seed(seed)) for seed in range(3)], tmp_path):
            running = running - {event.name} if isinstance(event, Finished) else running | {event.name}
            most = max(most, len(running))
    assert most == 1


def test_a_running_work_can_be_stopped_or_all(cluster, tmp_path):
    with Dask(cluster.address, workers=1) as engine:
        for name in ("one", None):
            events = []
            for event in engine.run([Work("one", LONG), Work("two", SMALL)], tmp_path / str(name)):
                events.append(event)
                if isinstance(event, Reported) and event.name == "one":
                    engine.stop(name)
            ended = outcomes(events)
            assert ended["one"].stopped
            Model.load(tmp_path / str(name) / "one")
            assert ("two" in ended) == (name == "one")


def test_what_is_running_ends_with_the_engine(cluster, tmp_path):
    lines = []
    with Dask(cluster.address, notify=lines.append) as engine:
        events = engine.run([Work(name, LONG) for name in "abc"], tmp_path)
        while not isinstance(next(events), Reported):
            pass
    assert not lines
    assert not list(tmp_path.iterdir())
    with distributed.Client(cluster.address.removeprefix("dask://"), set_as_default=False) as client:
        wait_for(lambda: not any(client.run(n_executing).values()))


def n_executing(dask_worker):
    return len(dask_worker.state.executing)


def test_works_end_with_the_process_that_asked_for_them(cluster, tmp_path):
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[3])\n"
        "from test_search_local import LONG, Work; from jitnet.search.on_dask import Dask\n"
        "with Dask(sys.argv[2]) as engine:\n"
        "    for event in engine.run([Work('a', LONG)], Path(sys.argv[1])):\n"
        "        print(type(event).__name__, flush=True)\n"
    )
    arguments = [str(tmp_path), cluster.address, os.path.dirname(__file__)]
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)
    while process.stdout.readline().strip() != "Reported":
        assert process.poll() is None
    process.kill()
    process.wait()
    process.stdout.close()
    with distributed.Client(cluster.address.removeprefix("dask://"), set_as_default=False) as client:
        wait_for(lambda: not any(client.run(n_executing).values()))


def test_a_work_that_cannot_be_trained_fails_alone(cluster, tmp_path):
    wrong = replace(SMALL, network={"hidden": ()}, training={"dropout": (0.5,)})
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "metrics.jsonl").touch()
    works = [Work("wrong", wrong), Work("taken", SMALL), Work("right", SMALL)]
    with Dask(cluster.address) as engine:
        events = list(engine.run(works, tmp_path))
        failed = {event.name: event for event in events if isinstance(event, Failed)}
        assert failed.keys() == {"wrong", "taken"}
        assert "dropout is 0.5, with no hidden layer" in failed["wrong"].error
        assert "holds a run already" in failed["taken"].error
        assert outcomes(events).keys() == {"right"}
        again = outcomes(engine.run(works[1:], tmp_path, again=frozenset({"taken", "right"})))
    assert again.keys() == {"taken", "right"}
    assert sorted(os.listdir(tmp_path / "taken")) == sorted(os.listdir(tmp_path / "right"))


def test_files_of_settings_and_data_are_found_from_another_folder(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text("[model]\nhidden = [8]\n[train]\nepochs = 1\n")
    (tmp_path / "data.csv").write_text("a,b,label\n" + "".join(f"{k},{k % 7},{'yn'[k % 2]}\n" for k in range(40)))
    settings = replace(SMALL, data="data.csv", recipe="./mine.toml", network={}, training={})
    with Dask(cluster.address) as engine:
        (outcome,) = outcomes(engine.run([Work("a", settings)], tmp_path / "out")).values()
        assert len(outcome.reports) == 1
        missing = replace(SMALL, data="none.csv")
        with pytest.raises(DataError, match=rf"^worker tcp://.* cannot read .*{tmp_path}/none.csv.*each worker"):
            list(engine.run([Work("b", missing)], tmp_path))
        with pytest.raises(DataError, match="are for data with the checksum abc"):
            list(engine.run([Work("c", SMALL).on_data("abc")], tmp_path))


@pytest.mark.parametrize("address", ["dask:", "dask://", "tcp://host:1", "dask://host:x", "dask://host/path", "remote"])
def test_what_is_no_address(address):
    with pytest.raises(UsageError, match=r"expected local, or a scheduler as dask://HOST:8786, found"):
        Dask(address)


@pytest.mark.parametrize("listening", [False, True])
def test_a_scheduler_that_cannot_be_reached(listening):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        if listening:
            other.listen()
        address = f"dask://127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(JitnetError, match=f"^{address}: no Dask scheduler can be reached there"):
            Dask(address)


def test_a_cluster_without_workers_or_with_others(tmp_path):
    """A scheduler's workers: none, one without jitnet, one with another version."""
    with Cluster(tmp_path, 0) as cluster:
        with pytest.raises(JitnetError, match=r"has no workers; start some, with: dask worker 127\.0\.0\.1"):
            Dask(cluster.address)
        (tmp_path / "without" / "jitnet").mkdir(parents=True)
        (tmp_path / "without" / "jitnet" / "__init__.py").write_text("raise ModuleNotFoundError(name='jitnet')\n")
        (tmp_path / "other" / "jitnet").mkdir(parents=True)
        (tmp_path / "other" / "jitnet" / "__init__.py").touch()
        (tmp_path / "other" / "jitnet" / "version.py").write_text("__version__ = '0.0.7'\n")
        for name, message in (
            ("without", f"jitnet is not installed there; install jitnet version {jitnet.__version__} there"),
            ("other", f"has jitnet 0.0.7, and here it is {jitnet.__version__}: results would differ; install jitnet"),
        ):
            cluster.add_workers(1, PYTHONPATH=str(tmp_path / name))
            with pytest.raises(JitnetError, match=f"^worker {next(iter(cluster.workers))}:? {message}"):
                Dask(cluster.address)
            cluster.kill(next(iter(cluster.workers)))
            wait_for(lambda: not cluster.addresses())


def test_a_scheduler_that_ends(tmp_path):
    with Cluster(tmp_path, 1) as cluster, Dask(cluster.address) as engine:
        events = doing(engine.run([Work("a", LONG)], tmp_path), cluster.kill_scheduler, "a")
        with pytest.raises(JitnetError, match=r"the connection to the scheduler at dask://.* is lost"):
            list(events)


def test_without_workers_it_waits_and_then_gives_up(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(on_dask, "NO_WORKERS_S", 0.5)

    def kill_all():
        for address in list(cluster.workers):
            cluster.kill(address)

    with Dask(cluster.address) as engine:
        events = doing(engine.run([Work("a", LONG)], tmp_path), kill_all, "a")
        with pytest.raises(JitnetError, match="has had no workers for"):
            list(events)
    cluster.add_workers(2)


def test_without_distributed_it_says_how_to_install_it(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    result = call("cv", "--data", "digits", "--on", "dask://127.0.0.1")
    assert result.code == 1
    assert result.err.strip().endswith("needs distributed; install it with: pip install 'distributed>=2026.8'")
    assert not result.out


def test_nothing_of_dask_is_imported_unless_it_is_asked_for(tmp_path):
    code = (
        "import sys; from jitnet.cli import run\n"
        "code = run(['cv', '--data', 'digits', '--hidden', '8', '--epochs', '1', '--folds', '2', '-q'])\n"
        "print(code, *({'dask', 'distributed'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0"


CV = ("cv", "--data", "digits", "--hidden", "8", "--epochs", "1", "--folds", "3")


def test_cv_on_a_cluster(call, cluster):
    here, there = call(*CV, "--out", "here", "--json"), call(*CV, "--out", "there", "--json", "--on", cluster.address)
    assert (here.code, there.code) == (0, 0), there.err
    one, other = json.loads(here.out), json.loads(there.out)
    assert one["mean"] == other["mean"]
    assert [fold["run"] for fold in other["folds"]] == ["there/fold-1", "there/fold-2", "there/fold-3"]


def test_a_committee_on_a_cluster(call, cluster):
    train = ("train", "--data", "digits", "--hidden", "8", "--epochs", "1", "--committee", "2")
    assert call(*train, "--out", "here").code == 0
    result = call(*train, "--out", "there", "--on", cluster.address)
    assert result.code == 0, result.err
    one, other = (jitnet.load_model(name) for name in ("here", "there"))
    for member, same in zip(one.members, other.members, strict=True):
        np.testing.assert_array_equal(member.weights[0], same.weights[0])
    alone = call("train", "--data", "digits", "--on", cluster.address)
    assert alone.code == 2
    assert "--on is for the networks of a committee" in alone.err


def test_ctrl_c_ends_a_sweep_on_a_cluster(cluster, tmp_path):
    (tmp_path / "space.toml").write_text(
        'data = "digits"\nepochs = 100000\n[search]\nlr = { from = 1e-4, to = 1e-2, log = true }\n'
    )
    arguments = ["sweep", "space.toml", "--trials", "4", "--out", "s", "--on", cluster.address]
    process = subprocess.Popen(
        [sys.executable, "-m", "jitnet", *arguments],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    journal = tmp_path / "s" / JOURNAL
    with distributed.Client(cluster.address.removeprefix("dask://"), set_as_default=False) as client:
        # Workers load the loops before there is a sweep: its trials are in the journal once they are submitted.
        wait_for(lambda: journal.exists() and len(read_lines(journal)) > 2, 60)
        wait_for(lambda: sum(client.run(n_executing).values()) == 2, 60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert process.returncode == 130, err
        assert "Traceback" not in err
        assert "jitnet sweep --resume s" in out, err
        wait_for(lambda: not any(client.run(n_executing).values()))
