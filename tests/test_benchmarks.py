"""The programs in benchmarks/: what they make of samples, and that a worker computes what it says."""

import json
import math
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import jitnet
from jitnet.config import OPTIMIZERS

ROOT = Path(__file__).parent.parent
BENCHMARKS, SCRIPTS = ROOT / "benchmarks", ROOT / "scripts"


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def mnist_in(folder):
    """A folder with files as MNIST's are."""
    mnist = folder / "mnist"
    mnist.mkdir()
    for part, count in (("train", 6400), ("t10k", 100)):
        (mnist / f"{part}-images-idx3-ubyte").write_bytes(bytes(16) + bytes(n % 251 for n in range(784)) * count)
        (mnist / f"{part}-labels-idx1-ubyte").write_bytes(bytes(8) + bytes(n % 10 for n in range(count)))
    return mnist


def result_of(target, samples, flop=0.0):
    from report import Result
    from rows import Entry, Work

    entries = tuple(Entry(*key) for key in samples)
    work = Work("group", "name", {"work": "train"}, entries, (target,), flop)
    return Result(work, {Entry(*key): values for key, values in samples.items()})


def test_ratio_is_formed_within_each_round():
    from report import verdict
    from rows import Target

    # Both slow down together in the second round: within rounds the ratio is always a quarter.
    result = result_of(Target("time", 0.25, "jax"), {("jitnet",): [1.0, 10.0, 2.0], ("jax",): [4.0, 40.0, 8.0]})
    assert verdict(result, result.work.targets[0]) == ("0.25 (0.25–0.25)", "met")


@pytest.mark.parametrize(
    ("kind", "limit", "samples", "value"),
    [
        ("rate", 1.5, {("jitnet",): [2.0], ("numpy",): [3.2]}, 1.6),
        ("peak", 0.75, {("jitnet",): [0.5], ("peak",): [0.004]}, 0.8),
        ("speedup", 1.7, {("jitnet", 1): [1.8], ("jitnet", 2): [1.0], ("jitnet",): [0.9]}, 1.8),
        ("half", 1.0, {("jitnet", 8): [1.0], ("jitnet", 16): [0.9], ("jitnet",): [2.0]}, 0.9),
        ("choice", 1.05, {("jitnet",): [2.0], ("jitnet", 1): [4.0], ("jitnet", 2): [2.5], ("torch",): [1.0]}, 0.8),
        ("alone", 1.0, {("jitnet",): [3.0], ("jitnet", 1): [4.0], ("jitnet", 2): [1.0]}, 0.75),
        ("seconds", 1.0, {("jitnet",): [0.7, 0.9, 0.8]}, 0.8),
    ],
)
def test_targets_are_judged_in_their_direction(kind, limit, samples, value):
    from report import verdict
    from rows import Target

    result = result_of(Target(kind, limit, "numpy"), samples, flop=100e9)
    found = result.judge(result.work.targets[0])
    assert found is not None
    assert found.middle == pytest.approx(value)
    assert verdict(result, result.work.targets[0])[1] == "met"
    beyond = Target(kind, limit * 2 if result.work.targets[0].at_least else limit / 2, "numpy")
    assert verdict(result, beyond)[1] == "MISSED"


def test_missing_peer_is_not_judged():
    from report import verdict
    from rows import Target

    result = result_of(Target("time", 0.25, "jax"), {("jitnet",): [1.0]})
    assert verdict(result, result.work.targets[0]) == ("not measured", "–")


def test_interleaving_measures_each_once_a_round_in_changing_order():
    from harness import interleave

    calls: list[str] = []
    measures = {name: (lambda name=name: calls.append(name) or len(calls)) for name in "abc"}
    samples = interleave(measures, 20, random.Random(0))
    rounds = ["".join(calls[at : at + 3]) for at in range(0, 60, 3)]
    assert all(sorted(order) == list("abc") for order in rounds)
    assert len(set(rounds)) > 3
    assert all(len(times) == 20 for times in samples.values())


def test_accuracy_that_differs_is_said():
    import peers
    from rows import Entry, Target

    result = result_of(Target("time", 0.25, "jax"), {("jitnet",): [1.0], ("jax",): [4.0]})
    result.work.row.update(work="train", data="mnist", samples=0)
    result.checks = {Entry("jitnet"): {"accuracy": 0.975}, Entry("jax"): {"accuracy": 0.972}}
    peers.compare(result, 8)
    assert result.agrees
    result.checks[Entry("jax")]["accuracy"] = 0.969
    peers.compare(result, 8)
    assert not result.agrees


def test_bits_that_differ_between_counts_of_threads_are_said():
    import peers
    from rows import Entry, Target

    samples = {("jitnet",): [1.0], ("jitnet", 2): [1.0], ("torch",): [4.0]}
    result = result_of(Target("choice", 1.05), samples)
    result.work.row.update(work="train", data="mnist", samples=0)
    result.checks = {Entry(*key): {"accuracy": 0.97, "bits": "a"} for key in samples}
    result.checks[Entry("torch")]["bits"] = "b"
    peers.compare(result, 8)
    assert result.agrees
    result.checks[Entry("jitnet", 2)]["bits"] = "c"
    peers.compare(result, 8)
    assert not result.agrees
    assert result.agreement.endswith(", bits")


class InstantPool:
    """Workers of which each measurement says that it took half a second; PyTorch is missing."""

    versions = {"jitnet": "1.0"}  # noqa: RUF012

    def __init__(self, pythons=None):
        self.closed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True

    def get(self, system, threads):
        from harness import WorkerError

        if system == "torch":
            raise WorkerError("No module named 'torch'")
        answer = {"seconds": 0.5, "bits": "a", "threads": threads or 3, "loss": 0.5}
        return SimpleNamespace(system=system, threads=threads, request=lambda do, **_: answer)


@pytest.mark.parametrize(("budget_s", "rounds"), [(math.inf, 7), (4.0, 4), (0.0, 1), (-3.0, 1)])
def test_a_row_has_as_many_rounds_as_fit_into_its_time(budget_s, rounds):
    import peers
    from rows import Entry, Work

    work = Work("group", "name", {"work": "train", "data": "mnist"}, (Entry("jitnet"), Entry("jitnet", 1)))
    result = peers.run(InstantPool(), work, 7, random.Random(0), budget_s + 0.3)
    assert {len(samples) for samples in result.samples.values()} == {rounds}


@pytest.mark.parametrize(
    ("available", "counts"),
    [(1, (1,)), (2, (1, 2)), (6, (1, 2, 4, 6)), (16, (1, 2, 4, 8, 12, 16)), (64, (1, 2, 4, 8, 12, 16, 64))],
)
def test_the_rows_of_many_cores_are_of_the_counts_that_there_are(available, counts):
    import cores

    assert cores.counts(available) == counts
    for work in cores.rows(available, quick=False):
        assert {entry.threads for entry in work.entries if entry.system == "jitnet"} == {0, *counts}
        assert work.targets[0] == cores.CHOICE
    limits = [target.limit for work in cores.rows(available, quick=False) for target in work.targets]
    assert (11.0 in limits and 0.9 in limits) == (available >= 16)


def test_the_table_of_many_cores_goes_into_its_document_from_eight_cores_on(monkeypatch, tmp_path):
    import cores

    document = tmp_path / "performance.md"
    document.write_text("above\n<!-- cores:start -->\nold\n<!-- cores:end -->\nbelow\n")
    monkeypatch.setattr(cores, "PERFORMANCE", document)
    assert "8 cores or more, and this process has 2" in cores.update_docs("new\n", 2)
    assert "\nold\n" in document.read_text()
    assert cores.update_docs("new\n", 8) == ""
    assert document.read_text() == "above\n<!-- cores:start -->\nnew\n<!-- cores:end -->\nbelow\n"
    assert "<!-- cores:start -->" in (ROOT / "docs" / "performance.md").read_text()


def test_many_cores_prints_what_was_measured_and_what_was_chosen(monkeypatch, tmp_path, capsys):
    import cores

    monkeypatch.setattr(cores, "Pool", InstantPool)
    words = ["cores.py", "--rows", "2048-2048", "--minutes", "0.01", "--update-docs"]
    words += ["--data", str(mnist_in(tmp_path)), "--json", str(tmp_path / "all.json")]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit, match="2"):
        cores.main()
    words.remove("--update-docs")
    cores.main()
    (row,) = json.loads((tmp_path / "all.json").read_text())["rows"]
    assert {"jitnet", "jitnet@1", f"jitnet@{cores.cores()}"} <= set(row["samples"])
    assert {len(samples) for samples in row["samples"].values()} == {1}
    assert row["agreement"].endswith(", chose 3")
    assert row["targets"][0] == {
        "target": "≤ 1.05 × the best count",
        "value": {"middle": 1.0, "low": 1.0, "high": 1.0},
        "verdict": "met",
    }
    out = capsys.readouterr().out
    assert "chosen by jitnet" in out
    assert "PyTorch could not run" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--data", "nowhere"], "--data: "),
        (["--minutes", "0"], "--minutes is 0; expected more than 0"),
        (["--update-docs", "--quick"], "--update-docs: the table there is of all rows"),
    ],
)
def test_options_of_many_cores_that_do_not_fit_are_refused(options, said, monkeypatch, tmp_path, capsys):
    import cores

    monkeypatch.setattr(sys, "argv", ["cores.py", "--data", str(mnist_in(tmp_path)), *options])
    with pytest.raises(SystemExit, match="2"):
        cores.parse()
    assert said in capsys.readouterr().err


def test_section_of_a_document_is_replaced_and_nothing_else(tmp_path):
    from report import replace_section

    document = tmp_path / "performance.md"
    document.write_text("above\n<!-- peers:start -->\nold\n<!-- peers:end -->\nbelow\n")
    replace_section(document, "peers", "new\n")
    assert document.read_text() == "above\n<!-- peers:start -->\nnew\n<!-- peers:end -->\nbelow\n"
    document.write_text("<!-- peers:end --> <!-- peers:start -->")
    with pytest.raises(ValueError, match="peers:end"):
        replace_section(document, "peers", "new\n")


TABLE = """AMD, 2 cores
jitnet 1.0, commit 1a2b3c4

| Training, an epoch | jitnet | JAX | target | found |  | same result |
| --- | --- | --- | --- | --- | --- | --- |
| small | 204 ms ±5% | 553 ms ±14% | ≤ 0.25 × JAX | 0.33 | **MISSED** | accuracy |
|  |  |  | ≤ 0.18 × JAX (goal) | 0.33 | not yet |  |
| large | 600 ms ±4% | – | ≤ 0.28 × JAX | not measured | – |  |

| One kernel, GFLOP/s | jitnet | target | found |  | same result |
| --- | --- | --- | --- | --- | --- |
| forward | 71.6 ±2% |  |  |  |  |

| Starting | jitnet | JAX | target | found |  | same result |
| --- | --- | --- | --- | --- | --- | --- |
| second start | 1.3 s ±5% | 2.87 s ±7% | ≤ 1 s | 1.3 s | **MISSED** |  |

- JAX could not run large: out of memory
"""


def test_rows_are_taken_out_of_the_table_as_they_stand():
    from report import extract

    assert extract(TABLE, ["second start", "large"]).splitlines() == [
        "AMD, 2 cores",
        "jitnet 1.0, commit 1a2b3c4",
        "",
        "|  | jitnet | JAX |",
        "| --- | --- | --- |",
        "| Starting: second start | 1.3 s ±5% | 2.87 s ±7% |",
        "| Training, an epoch: large | 600 ms ±4% | – |",
    ]
    with pytest.raises(ValueError, match="no row 'middle'"):
        extract(TABLE, ["small", "middle"])
    with pytest.raises(ValueError, match="'forward' has other columns than 'small'"):
        extract(TABLE, ["small", "forward"])


def test_rows_of_a_table_survive_a_bar_in_a_cell():
    from report import markdown, rows_in
    from rows import Target

    result = result_of(Target("time", 0.25, "jax"), {("jitnet",): [1.0]})
    result.agreement = "a|b"
    head, row = rows_in(markdown([result], ["machine"], []))
    assert (head[0], row[0], row[-1]) == ("group", "name", "a\\|b")
    assert len(head) == len(row)


@pytest.fixture
def documents(monkeypatch, tmp_path):
    """The two documents that peers.py writes to, with the small table above in the first."""
    import peers

    performance, readme = tmp_path / "performance.md", tmp_path / "README.md"
    performance.write_text(f"above\n<!-- peers:start -->\n{TABLE}<!-- peers:end -->\nbelow\n")
    readme.write_text("above\n<!-- peers:start -->\nold\n<!-- peers:end -->\nbelow\n")
    monkeypatch.setattr(peers, "PERFORMANCE", performance)
    monkeypatch.setattr(peers, "README", readme)
    monkeypatch.setattr(peers, "IN_README", ("small", "second start"))
    return performance, readme


def test_rows_of_the_readme_come_from_the_table_without_measuring(documents, monkeypatch):
    import peers

    performance, readme = documents
    before = performance.read_text()
    monkeypatch.setattr(sys, "argv", ["peers.py", "--from-docs", "--data", "nowhere"])
    peers.main()
    assert performance.read_text() == before
    rows = [line for line in readme.read_text().splitlines() if line.startswith("| ")]
    assert rows[2:] == [
        "| Training, an epoch: small | 204 ms ±5% | 553 ms ±14% |",
        "| Starting: second start | 1.3 s ±5% | 2.87 s ±7% |",
    ]
    assert "old" not in readme.read_text()


def test_a_new_table_goes_into_both_documents_or_none(documents):
    import peers

    performance, readme = documents
    before = performance.read_text(), readme.read_text()
    with pytest.raises(ValueError, match="second start"):
        peers.update_docs(TABLE.replace("second start", "first start"))
    assert (performance.read_text(), readme.read_text()) == before
    peers.update_docs(TABLE.replace("204 ms", "199 ms"))
    assert all("199 ms" in document.read_text() for document in documents)
    readme.write_text("no markers\n")
    with pytest.raises(ValueError, match="peers:start"):
        peers.update_docs(TABLE)
    assert "199 ms" in performance.read_text()


@pytest.mark.parametrize("narrow", [["--quick"], ["--rounds", "3"], ["--rows", "one image"], ["--systems", "numpy"]])
def test_a_part_of_the_table_does_not_go_into_the_documents(narrow, monkeypatch, tmp_path, capsys):
    import peers

    (tmp_path / "train-images-idx3-ubyte").touch()
    monkeypatch.setattr(sys, "argv", ["peers.py", "--update-docs", "--data", str(tmp_path), *narrow])
    with pytest.raises(SystemExit):
        peers.parse()
    assert "leave out" in capsys.readouterr().err


def test_the_committed_readme_has_the_rows_of_the_committed_table():
    import peers
    from report import extract, section

    rows = extract(section(ROOT / "docs" / "performance.md", "peers"), peers.IN_README)
    assert section(ROOT / "README.md", "peers").strip() == rows.strip()


def test_the_commit_that_is_measured_is_named(monkeypatch, tmp_path):
    import harness

    def git(*words):
        identity = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True)

    monkeypatch.setattr(harness, "HERE", tmp_path / "benchmarks")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert harness.commit() == ""
    git("init")
    (tmp_path / "jitnet").mkdir()
    (tmp_path / "jitnet" / "loop.py").write_text("a\n")
    git("add", ".")
    git("commit", "-m", "first", "--no-verify")
    assert re.fullmatch(r"commit [0-9a-f]{7,}", harness.commit())
    (tmp_path / "README.md").write_text("not measured\n")
    assert re.fullmatch(r"commit [0-9a-f]{7,}", harness.commit())
    (tmp_path / "jitnet" / "loop.py").write_text("b\n")
    assert re.fullmatch(r"commit [0-9a-f]{7,}, changed since", harness.commit())


def test_exponent_of_a_power_law():
    pytest.importorskip("jitnet.training")
    from growth import slope

    sizes = [1, 2, 8, 32]
    assert slope(sizes, [3 * size**1.5 for size in sizes]) == pytest.approx(1.5)


def test_growth_goes_into_its_document_with_the_picture_beside_it(monkeypatch, tmp_path):
    pytest.importorskip("jitnet.training")
    import growth

    document = tmp_path / "docs" / "performance.md"
    document.parent.mkdir()
    document.write_text("above\n<!-- growth:start -->\nold\n<!-- growth:end -->\nbelow\n")
    sizes = [1, 2, 4, 8]
    curve = growth.Curve("samples", sizes, "epoch", times={size: [0.002 * size] * 3 for size in sizes})
    monkeypatch.setattr(growth, "DOCUMENT", document)
    monkeypatch.setattr(growth, "curves", lambda quick: [curve])
    monkeypatch.setattr(growth, "generated", lambda samples: None)
    monkeypatch.setattr(growth, "run", lambda *_: None)
    monkeypatch.setattr(growth, "picture", lambda *_: None)
    monkeypatch.setattr(
        sys, "argv", ["growth.py", "--update-docs", "--picture", str(tmp_path / "pictures" / "all.svg")]
    )
    growth.main()
    text = document.read_text()
    assert "![Cost as the work grows](../pictures/all.svg)" in text
    assert "\n| samples | 1 | 8 | epoch | 2 ms | 16 ms | 1.00 | 1.00 |\n<!-- growth:end -->\nbelow\n" in text
    assert "old" not in text


def test_a_worker_trains_and_two_runs_agree():
    from harness import Worker

    row = {"work": "train", "widths": [20, 8, 3], "batch": 16, "optimizer": "adam", "rate": 0.01}
    row |= {"data": "noise", "samples": 100}
    worker = Worker("numpy", 1, {})
    try:
        worker.request(do="prepare", row=row)
        before = worker.request(do="check")["loss"]
        for _ in range(30):
            assert worker.request(do="measure")["seconds"] > 0
        assert worker.request(do="check")["loss"] < before - 0.05
    finally:
        worker.close()


def test_a_worker_that_is_not_installed_says_why(tmp_path):
    from harness import Pool, WorkerError

    (tmp_path / "python").write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'jax'\" >&2\nexit 1\n")
    (tmp_path / "python").chmod(0o755)
    with Pool({"jax": str(tmp_path / "python")}) as pool, pytest.raises(WorkerError, match="No module named 'jax'"):
        pool.get("jax", 1)


def test_peers_measures_what_is_there_and_names_what_is_not(tmp_path):
    mnist = mnist_in(tmp_path)
    words = [sys.executable, str(BENCHMARKS / "peers.py"), "--quick", "--data", str(mnist), "--systems", "numpy,jax"]
    words += ["--rows", "one image", "--json", str(tmp_path / "all.json"), "--python-of", f"jax={sys.executable}x"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "all.json").read_text())["rows"]
    assert len(row["samples"]["numpy"]) == 3
    assert "JAX could not run one image" in done.stdout


@pytest.fixture
def recipes(monkeypatch):
    pytest.importorskip("jitnet.training")
    import recipes

    monkeypatch.setattr(recipes, "SEEDS", 2)
    return recipes


def test_every_candidate_is_a_training(recipes):
    for candidates in recipes.CANDIDATES.values():
        for candidate in candidates:
            training = {name: value for name, value in candidate.items() if name in jitnet.TrainConfig.model_fields}
            jitnet.TrainConfig(**training)
            jitnet.ModelConfig(in_features=1, n_classes=2, **{k: candidate[k] for k in candidate.keys() - training})


@pytest.mark.parametrize("name", ["fast", "dropout", "best"])
def test_a_recipe_is_one_of_its_candidates(recipes, name):
    tables = jitnet.config.recipe(name)
    chosen = {**tables["model"], **tables["train"], "epochs": None}
    built = [{"batch_size": 32, **candidate, "epochs": None} for candidate in recipes.CANDIDATES[name]]
    lists = [{key: tuple(value) if isinstance(value, list) else value for key, value in one.items()} for one in built]
    assert {key: tuple(value) if isinstance(value, list) else value for key, value in chosen.items()} in lists


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("factor", [0.001, 1, 1000])
def test_the_best_learning_rate_is_found_however_far_from_the_default(recipes, optimizer, factor):
    aim = OPTIMIZERS[optimizer].defaults["learning_rate"] * factor
    nearest = min(recipes.RATES, key=lambda rate: abs(math.log(rate / aim)))
    ranked = recipes.rates(optimizer, lambda candidate: -abs(math.log(candidate["learning_rate"] / nearest)))
    tried = [candidate["learning_rate"] for _, candidate in ranked]
    assert {candidate["optimizer"] for _, candidate in ranked} == {optimizer}
    assert max(ranked, key=lambda pair: pair[0])[1]["learning_rate"] == nearest
    assert min(tried) < nearest < max(tried) or nearest in (recipes.RATES[0], recipes.RATES[-1])
    assert len(tried) == len(set(tried)) < 20


def test_a_candidate_that_diverges_scores_nothing(recipes, monkeypatch, capsys):
    def diverging(candidate, data, seed, **more):
        if seed == 0:
            raise jitnet.DivergedError("the loss became NaN")
        return None, SimpleNamespace(val_accuracy=0.5), 1.0

    monkeypatch.setattr(recipes, "train", diverging)
    assert recipes.held_out({"learning_rate": 1.0}, None, 2) == 25.0
    assert "(0.00 50.00)" in capsys.readouterr().out
    assert recipes.held_out({"learning_rate": 1.0}, None, 1) == 0.0
    assert "diverged" in capsys.readouterr().out


def test_report_of_recipes(recipes, monkeypatch):
    document = {"epochs": [{"test_accuracy": 0.5}, {"test_accuracy": 0.75}]}
    monkeypatch.setattr(recipes, "prompt_to_exit", lambda where, seed: (1.5 + seed, document))
    head = recipes.heading(2)
    default, fast, target = recipes.report(jitnet.load("digits"), "digits", ["default", "fast"], 2, 1)
    assert [line[:3] for line in (head, default)] == [["recipe", "network", "epochs"], ["default", "64-128-10", "10"]]
    assert default[5].endswith(" s, threads: 1")
    assert all(len(line) == len(head) for line in (default, fast, target))
    scores = [float(score) for score in default[3].split(", ")]
    assert len(scores) == 2
    assert min(scores) > 90
    assert float(default[4].removesuffix("%")) == pytest.approx(sum(scores) / 2, abs=0.011)
    assert target[2:] == ["2", "75.00, 75.00", "75.00%", "2.0 s, prompt to exit"]


def test_from_prompt_to_exit(recipes):
    spent, document = recipes.prompt_to_exit("digits", 3)
    assert spent > 0
    assert (document["recipe"], document["train"]["seed"], document["train"]["target_accuracy"]) == ("fast", 3, 98.0)
    assert document["epochs"][-1]["test_accuracy"] > 0.5
    with pytest.raises(SystemExit, match="nowhere"):
        recipes.prompt_to_exit("nowhere/at/all", 0)


def test_report_goes_into_its_document(recipes, monkeypatch, tmp_path):
    document = tmp_path / "recipes.md"
    old = "| a | b |\n| --- | --- |\n| default | 97% |\n| fast | 95% |\n| best | 99% |\n"
    document.write_text(f"above\n<!-- recipes:start -->\nold\n{old}<!-- recipes:end -->\nbelow\n")
    monkeypatch.setattr(recipes, "DOCUMENT", document)
    monkeypatch.setattr(recipes.jitnet, "load", lambda name: None)
    monkeypatch.setattr(recipes, "heading", lambda seeds: ["recipe", "mean"])
    monkeypatch.setattr(recipes, "report", lambda *_: iter([["fast", "98.12%"], ["`fast`, at once", "98%"]]))
    monkeypatch.setattr(sys, "argv", ["recipes.py", "report", "fast", "--update-docs"])
    recipes.main()
    text = document.read_text()
    assert text.startswith("above\n<!-- recipes:start -->\n")
    assert text.endswith("<!-- recipes:end -->\nbelow\n")
    table = "| recipe | mean |\n| --- | --- |\n"
    assert f"{table}| default | 97% |\n| fast | 98.12% |\n| `fast`, at once | 98% |\n| best | 99% |\n" in text
    assert f"jitnet {jitnet.__version__}, Numba" in text
    assert "old" not in text
    monkeypatch.setattr(sys, "argv", ["recipes.py", "report", "--seeds", "5", "--update-docs"])
    with pytest.raises(SystemExit):
        recipes.main()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or (os.cpu_count() or 1) < 2, reason="needs two cores")
def test_a_child_is_given_the_cores_that_a_thread_library_took():
    import harness

    ask = [sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"]
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip() == "1"
        done = subprocess.run(ask, capture_output=True, text=True, check=True, preexec_fn=harness.use_all_cores)
    finally:
        os.sched_setaffinity(0, before)
    assert int(done.stdout) == harness.cores()


def test_a_speedrun_row_stands_by_its_mean_over_twenty_seeds():
    from speedrun import SEEDS, Row

    row = Row(98.0, "fast", 1.5)
    row.seconds, row.accuracies = [1.4] * SEEDS, [98.5] * (SEEDS - 1) + [97.0]
    assert row.passes
    assert row.cells()[-2] == "met"
    row.seconds = [1.6] * SEEDS
    assert "MISSED" in row.cells()[-2]
    row.accuracies = [97.0] * (SEEDS - 1) + [99.9]  # the best run alone does not count
    assert not row.passes
    assert "below the threshold" in row.cells()[-2]
    row.accuracies = [99.0] * (SEEDS - 1)
    assert not row.passes
    assert row.cells()[-2] == "too few seeds"


def test_a_speedrun_row_measured_anew_leaves_the_others_of_this_machine():
    from speedrun import SEEDS, Row, markdown

    first = markdown([Row(98, "fast", 1.5, [2.0] * SEEDS, [98.2] * SEEDS), Row(99.5, "best", 300, [9.0], [99.0])])
    renewed = markdown([Row(98, "fast", 1.5, [1.25] * SEEDS, [98.2] * SEEDS)], first).splitlines()
    assert len(renewed) == len(first.splitlines())
    assert "1.25 s" in renewed[4]
    assert renewed[5] == first.splitlines()[5]
    elsewhere = first.replace("cores", "kernels").replace("1 core,", "1 kernel,")
    assert "99.5%" not in markdown([Row(98, "fast", 1.5, [1.25] * SEEDS, [98.2] * SEEDS)], elsewhere)


def test_the_readme_has_results_and_the_page_of_performance_their_targets():
    import speedrun
    from report import rows_in, section

    missed = speedrun.Row(98, "fast", 1.5, [2.0] * speedrun.SEEDS, [98.2] * speedrun.SEEDS)
    unproven = speedrun.Row(99.5, "best", 300, [9.0], [99.6])
    text = speedrun.markdown([missed, unproven])
    assert "**MISSED**" in text
    told = speedrun.results(text)
    assert text.splitlines()[0] == told.splitlines()[0]
    assert rows_in(told) == [
        ["mean accuracy above", "recipe", "test accuracy", "prompt to exit", "commit"],
        [*missed.cells()[:4], missed.cells()[-1]],
    ]
    shown = section(speedrun.RESULTS, "speedrun")
    assert shown.strip() == speedrun.results(section(speedrun.TARGETS, "speedrun")).strip()
    assert "MISSED" not in speedrun.RESULTS.read_text(encoding="utf-8")


def test_speedruns_are_recipes_of_the_program():
    from speedrun import ROWS

    from jitnet.config import recipe_names

    assert {row.recipe for row in ROWS} <= set(recipe_names())
    assert [row.threshold for row in ROWS] == sorted(row.threshold for row in ROWS)


def test_a_speedrun_that_fails_says_which(tmp_path, monkeypatch):
    from speedrun import run

    for name, value in {"JITNET_MIRROR": "http://127.0.0.1:1", "XDG_CACHE_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match="fast, seed 3"):
        run("fast", 3, str(tmp_path / "nothing"))


def test_a_dip_is_a_point_below_a_better_one_with_fewer_units():
    pytest.importorskip("jitnet.training")
    from harness import Spread
    from panels import deepest_dip

    def rates(*points):
        return {16 * at: Spread(0.0, 0.0, point) for at, point in enumerate(points, 1)}

    assert deepest_dip(rates(5.0, 6.0, 8.0)) == (0.0, 16)
    assert deepest_dip(rates(5.0, 10.0, 8.0, 12.0, 11.0)) == (pytest.approx(0.2), 48)
    assert deepest_dip(rates(10.0, 9.0, 20.0, 15.0, 25.0)) == (pytest.approx(0.25), 64)


def test_tables_fits_every_split_and_names_what_is_not_there(tmp_path):
    words = [sys.executable, str(BENCHMARKS / "tables.py"), "--quick", "--splits", "1", "--sets", "iris"]
    words += ["--peers", "jitnet,realmlp", "--python-of", f"realmlp={sys.executable}x"]
    words += ["--json", str(tmp_path / "all.json"), "--markdown", str(tmp_path / "all.md")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    (iris,) = json.loads((tmp_path / "all.json").read_text())["sets"]
    (fit,) = iris["fits"]["jitnet"]
    assert fit["score"] > 0.6
    assert min(fit["seconds"], fit["cpu_seconds"], fit["predict_seconds"]) >= 0.0
    assert "RealMLP-TD-S could not run iris" in done.stdout
    assert "| iris | jitnet, the default |" in (tmp_path / "all.md").read_text()


def test_scores_of_tables_are_compared_within_a_split():
    from tables import Result, verdicts

    def fits(*scores, seconds=1.0):
        return [{"score": score, "seconds": seconds, "cpu_seconds": seconds, "bytes": 0} for score in scores]

    ours, theirs = fits(0.5, 0.7, 0.91), fits(0.51, 0.71, 0.9, seconds=9.0)
    result = Result("iris", {"tabular": ours, "sklearn": theirs, "realmlp": theirs})
    assert result.difference("tabular", "sklearn") == pytest.approx((-0.01 / 3, 0.02 / 3))
    assert [verdict for _, _, verdict in verdicts([result], {})] == ["met", "met"]
    result.fits["tabular"] = fits(0.5, 0.7, 0.9, seconds=3.0)
    result.fits["sklearn"] = fits(0.6, 0.8, 1.0)
    assert [verdict for _, _, verdict in verdicts([result], {"tabular": [1.2]})] == ["MISSED", "MISSED", "MISSED"]


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_made_tables_can_be_learned_and_differ_by_split(monkeypatch, kind):
    monkeypatch.syspath_prepend(str(BENCHMARKS / "workers"))
    import tables_worker

    row = {"set": "made", "rows": 300, "features": 6, "kind": kind, "quick": False}
    first, again, other = (tables_worker.load(row | {"split": split}) for split in (0, 0, 1))
    assert (first.train.x == again.train.x).all()
    assert not (first.train.x == other.train.x).any()
    assert not (first.train.x[:5] == first.test.x[:5]).any()
    assert (first.spread is None) == (kind == "classes")
