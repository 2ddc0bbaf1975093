"""Every screen at every width: no line is wider than the terminal, no word is broken, and ASCII shows no "?" for what
it lacks. Records are made by hand, so that nothing is measured or trained."""

import io
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import fake_profiles
import fake_records as fake
import numpy as np
import pytest
import test_render_code
import test_render_function_comparison
import test_render_functions
from rich.console import Console

from jitnet import render
from jitnet.bench.comparison import Change, as_document
from jitnet.bench.results import Bench, Result, Settings, StepRow
from jitnet.bench.verdict import judge
from jitnet.config import AugmentConfig, ModelConfig
from jitnet.profile.step.scaling import scaling_of
from jitnet.profile.step.step_profile import Profile, RegionRow
from jitnet.profile.step.step_roofline import roofline_of
from jitnet.render.console import IN_ASCII, facts, tied
from jitnet.runs.listing import RunRecord, differences, score_of
from jitnet.runs.run_comparison import Comparison, RunCurves
from jitnet.training.explanation import ExplainedLine, Explanation

CODE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")

WIDTHS = [40, 60, 80, 120]

OPERATIONS = ("forward_sparse 0", "activate_back 0, relu", "loss 1", "backward_weight 1", "update_all, nesterov")


def bench() -> Bench:
    probes = tuple(replace(fake_profiles.probes(threads), threads=threads) for threads in (1, 2))
    samples = tuple(1e-6 * k for k in range(50, 59))
    rows = [
        Result("operation", name, "32×784×128", threads, 2e6, 4e5, 1, samples, used=name != OPERATIONS[-1])
        for threads in (1, 2)
        for name in OPERATIONS
    ]
    rows += [
        Result("numpy", name, "32×784×128", threads, 2e6, 4e5, 1, samples) for threads in (1, 2) for name in OPERATIONS
    ]
    idea = "a block of weights stays in the first cache, four terms at a time"
    rows += [Result("ladder", "register tile", "32×784×128", 1, 2e6, 4e5, 1, samples, note=idea) for _ in range(3)]
    limit = "39% serial or shared (caches, memory)"
    steps = tuple(StepRow(count, count, 57.6, 0.04, 555_108.0, 1.44, 0.72, limit, count == 2, 0.99) for count in (1, 2))
    settings = Settings("mnist", 784, (128,), 10, "relu", 32, "zero-skipping")
    reason = "18% of the inputs are not zero"
    return Bench(fake_profiles.MACHINE, settings, (1, 2), probes, tuple(rows), steps, reason, True, 32 << 20, 7.4, 10.0)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_column_that_is_left_out_is_not_explained(width):
    out = io.StringIO()
    render.bench(Console(file=out, width=width, force_terminal=False), bench(), [])
    step = out.getvalue().partition("A whole training step")[2]
    heads = step.partition("─")[0] if "─" in step else step.partition("1 ")[0]
    assert ("rows: share of the measured step" in " ".join(step.split())) == (" rows " in heads)


def profile(threads: int = 2, **fields: object) -> Profile:
    settings = fake_profiles.SETTINGS | {"in_features": 784, "n_classes": 10, "n_targets": None, "activation": "relu"}
    verdict = "waiting for the slowest part takes 2.30 µs of 44.0 µs: serial is faster below 128 units"
    regions = (RegionRow(1, threads, 4e-5, 3e-5, 2e-6, 3e-6, verdict),)
    reason = "zero-skipping loops (18% of the inputs are not zero)"
    return fake_profiles.profile(threads, settings=settings, regions=regions, input_reason=reason, **fields)


def explanation() -> Explanation:
    def line(operation: str, when: str) -> ExplainedLine:
        kernels = ("transpose", "softmax_cross_entropy", "scale_rows")
        owners = ((0, 64), (64, 128))
        return ExplainedLine(
            when, 2, operation, 1, "next", kernels, "units below", 2, "a thread each", "all units", 1.2e6, 2.6e5, owners
        )

    lines = (line("partial_logits", "first step"), line("backward_weight", "every step"), line("loss", "every step"))
    return Explanation(
        (784, 128, 10),
        32,
        2,
        "2 cores by affinity",
        2,
        "zero-skipping",
        "18% of the inputs are not zero",
        lines,
        1,
        2e6,
        9e5,
    )


def sheet(console: Console) -> None:
    render.distortions(console, AugmentConfig(shift=2.0, rotation=15.0, scaling=0.15, shear=10.0, elastic=34.0))
    samples = np.stack([np.stack([np.roll(fake.ring(), k % 3, axis=1) for k in range(10)])] * 2)
    render.sheet(console, samples, ["0  #1", "1  #3"])


def training(console: Console, **fields: object) -> None:
    consoles = render.Consoles(console, console, console)
    with render.TrainingView(consoles, 20, 0.7) as view:
        for number in range(1, 4):
            view.epoch(fake.epoch(number, 3, **fields))
    view.summary(
        threads="8 of 16 cores: tried 4, 8, 16, 12; a step took 412 µs on 8, 431 on 12",
        costliest=[("backward_sparse 0", 0.42), ("forward_sparse 0, next batch", 0.32), ("partial_logits 0", 0.05)],
        model=Path("runs/2026-03-14-fashion-mnist/model.safetensors"),
        kept=3,
    )


def change(name: str, verdict: str) -> Change:
    return Change(name, "32×784×128", 2, 5e-5, 6e-5, 0.2, 1e-4, verdict)


def runs_beside_each_other() -> list[RunCurves]:
    found = []
    for k, name in enumerate(("2026-03-14-fashion-mnist", "2026-03-15-fashion-mnist-2", "broken")):
        train = {"epochs": 20, "batch_size": 32, "learning_rate": 0.1 * (k + 1), "optimizer": ("sgd", "adam", "sgd")[k]}
        config = {"data": {"name": "fashion-mnist"}, "model": {"hidden": [256 >> k, 128]}, "train": train}
        problem = "config.json is cut short or no JSON, see its line 12" if name == "broken" else ""
        started = datetime(2026, 3, 14 + k, 15, 9, tzinfo=UTC)
        record = RunRecord(Path("runs") / name, name, started, {} if problem else config, problem)
        reports = [asdict(fake.epoch(number, 20)) for number in range(1, 16 + k)]
        record.__dict__["_found"] = score_of(reports, 32, False), "broken" if problem else "unfinished", problem
        found.append(RunCurves(record, reports))
    return found


def run_list(console: Console) -> None:
    records = [one.record for one in runs_beside_each_other()]
    render.run_list(console, records, differences(records), 980)


def comparison(console: Console) -> None:
    found = runs_beside_each_other()[:2]
    render.comparison(console, Comparison(found, differences([one.record for one in found]), ()))


SCREENS: dict[str, Callable[[Console], None]] = {
    "list of runs": run_list,
    "comparison of runs": comparison,
    "notice": lambda console: render.notice(console, "MNIST is not here and could not be had: " + "no mirror; " * 9),
    "plan": lambda console: render.plan(console, fake.plan(), data="mnist", n_train=54_000, n_held_out=6_000),
    "plan, threads measured": lambda console: render.plan(console, fake.plan(), threads_settled=False),
    "network": lambda console: render.network(console, ModelConfig(in_features=784, n_classes=10, hidden=(1024, 256))),
    "training": training,
    "training, held out": lambda console: training(console, val_accuracy=0.93),
    "training, short": lambda console: training(console, seconds=0.000_031),
    "evaluation": lambda console: render.evaluation(console, fake.evaluation()),
    "evaluation, numbers": lambda console: render.evaluation(console, fake.numbers_evaluation()),
    "evaluation, many targets": lambda console: render.evaluation(
        console, fake.numbers_evaluation(tuple(f"target {k}" for k in range(60)))
    ),
    "evaluation, labels": lambda console: render.evaluation(console, fake.labels_evaluation()),
    "evaluation, quantiles": lambda console: render.evaluation(console, fake.quantiles_evaluation()),
    "evaluation, two classes": lambda console: render.evaluation(console, fake.evaluation(("no", "yes"), 0)),
    "evaluation, long names": lambda console: render.evaluation(console, fake.evaluation(fake.FASHION, 0)),
    "evaluation, many classes": lambda console: render.evaluation(
        console, fake.evaluation(tuple(f"class number {i}" for i in range(30)), 0)
    ),
    "data info": lambda console: render.description(
        console, replace(fake.description(fake.FASHION, None), checksum="5c1f")
    ),
    "data list": lambda console: render.listing(console, fake.listing()),
    "data augment": sheet,
    "schedule": lambda console: render.plot(
        console, [0.0, 1.0, 2.997], [0.028, 0.7, 0.0], title="learning rate: one-cycle, 5,625 steps", x_label="epoch"
    ),
    "bench": lambda console: render.bench(console, bench(), ["NumPy 2.4.6 scipy-openblas 0.3.31"]),
    "changes": lambda console: render.changes(
        console, [change("backward_weight 1", "slower"), change("update_all, nesterov", "faster")], 0.1
    ),
    "no changes": lambda console: render.changes(console, [change("loss 1", "same")], 0.1),
    "profile": lambda console: render.step_profile(console, profile()),
    "roofline": lambda console: render.roofline_picture(console, roofline_of(profile())),
    "scaling": lambda console: render.scaling_table(console, scaling_of([profile(n) for n in (1, 2, 4, 8)])),
    "explain": lambda console: render.program_table(console, explanation()),
    "kernel": lambda console: render.code_views(console, [test_render_code.VIEW], asm=True),
    "kernels": lambda console: render.code_views(
        console, [replace(test_render_code.VIEW, function="softmax_cross_entropy")] * 2
    ),
    "two functions": lambda console: render.function_comparison(console, test_render_function_comparison.COMPARISON),
    "save": lambda console: render.watched(console, test_render_function_comparison.SAVED),
    "module": lambda console: render.module_table(
        console,
        replace(test_render_function_comparison.TABLE, commands=()),  # a terminal breaks these
    ),
    "function": lambda console: render.function_profile(
        console, replace(test_render_functions.PROFILE, lines=test_render_code.VIEW)
    ),
}

OTHER_LAYOUTS = {"evaluation": 61, "evaluation, long names": 70, "profile": 149, "explain": 149}
"""Screens that show something else below a width, and a width where that has room."""

WITHOUT_WORDS = {"roofline", "schedule", "data augment", "kernel", "function"}
"""Pictures, and lines of source, which end where the terminal does."""


def lines_of(show: Callable[[Console], None], width: int | None, *, ascii_only: bool = False) -> list[str]:
    """What is shown on a terminal so wide, or in a pipe."""
    raw, encoding = io.BytesIO(), "ascii" if ascii_only else "utf-8"
    file = io.TextIOWrapper(raw, encoding=encoding, errors=IN_ASCII, write_through=True)
    show(render.make_console(file, terminal=width is not None, width=width, colour=False))
    return [line.rstrip() for line in raw.getvalue().decode(encoding).splitlines()]


def words(lines: list[str]) -> set[str]:
    """Without curves, which may have a letter on them."""
    text = re.sub(r"[\u2800-\u28ff]+\w?|\w(?=[\u2800-\u28ff])", " ", "\n".join(lines))
    return {word for word in text.split() if re.search(r"\w", word)}


@pytest.mark.parametrize("ascii_only", [False, True], ids=["utf-8", "ascii"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", SCREENS)
def test_no_line_is_wider_than_the_terminal(name, width, ascii_only):
    wide = [line for line in lines_of(SCREENS[name], width, ascii_only=ascii_only) if len(line) > width]
    # A word that is longer than the terminal is left to it, whole.
    assert not [line for line in wide if len(line.split()) > 1], "\n".join(wide)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [name for name in SCREENS if name not in WITHOUT_WORDS])
def test_no_word_is_broken(name, width):
    whole = set().union(*(words(lines_of(SCREENS[name], wide)) for wide in (None, 1000, OTHER_LAYOUTS.get(name))))
    assert words(lines_of(SCREENS[name], width)) <= whole


@pytest.mark.parametrize("width", [*WIDTHS, None])
@pytest.mark.parametrize("name", SCREENS)
def test_ascii_has_something_to_show_for_every_character(name, width):
    lines = lines_of(SCREENS[name], width, ascii_only=True)
    assert not [line for line in lines if "?" in line]


def test_a_matrix_in_ascii_has_no_question_marks_for_zeros():
    result = fake.evaluation(("no", "yes"), 0)
    result.confusion[:] = [[5, 0], [1, 7]]
    lines = lines_of(lambda console: render.evaluation(console, result), 80, ascii_only=True)
    start = lines.index("Confusion: true class in rows, predicted in columns")
    assert [line.replace("|", " ").split() for line in lines[start + 3 : start + 6]] == [
        ["no", "5", "."],
        ["yes", "1", "7"],
        [],
    ]


def test_ascii_writes_what_people_write():
    def show(console: Console) -> None:
        facts(console, [("a", "3 × 4 µs ± 1, 5–6, x → y, 2 ≤ 3 …")])
        console.print("é is not known here")

    assert lines_of(show, 80, ascii_only=True) == ["a  3 x 4 us +- 1, 5-6, x -> y, 2 <= 3 ...", "? is not known here"]


# Each of these has been seen broken


def table_lines(lines: list[str], title: str) -> list[str]:
    start = next(number for number, line in enumerate(lines) if line.startswith(title))
    end = next((number for number in range(start, len(lines)) if not lines[number]), len(lines))
    return lines[start + 1 : end]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_row_of_the_bench_is_one_line(width):
    lines = lines_of(SCREENS["bench"], width)
    for title, names in (("Operations on", OPERATIONS[:-1]), ("Operations that this", OPERATIONS[-1:])):
        shown = table_lines(lines, title)
        assert [next(name for name in names if line.startswith(name)) for line in shown[2 : 2 + len(names)]] == list(
            names
        )


@pytest.mark.parametrize("width", [60, 80])
def test_titles_are_as_wide_as_the_terminal(width):
    lines = lines_of(SCREENS["evaluation, two classes"], width)
    assert "Confusion: true class in rows, predicted in columns" in lines


@pytest.mark.parametrize("width", range(30, 130, 7))
def test_a_costly_loop_and_its_share_stay_together(width):
    lines = lines_of(SCREENS["training"], width)
    text = "\n".join(lines)
    for told in ("backward_sparse 0 42%", "partial_logits 0 5%"):
        assert told in text
    assert not re.search("[\ue000-\uf8ff]", text)


@pytest.mark.parametrize("width", [30, 40, 60, 80])
def test_a_path_is_whole_however_long(width):
    model = Path("runs") / ("a-long-name" * 5) / "model.safetensors"
    console = SimpleNamespace(path=model)

    def show(console: Console) -> None:
        view = render.TrainingView(render.Consoles(console, console, console), 3)
        view.summary(model=model)

    assert [line for line in lines_of(show, width) if line.endswith(str(console.path))]


@pytest.mark.parametrize("width", [30, 40, 50, 60, 70, 80])
@pytest.mark.parametrize("fields", [{}, {"val_accuracy": 0.93}])
def test_an_epoch_is_one_line_and_whole(width, fields):
    lines = lines_of(lambda console: training(console, **fields), width)
    rows = [line for line in lines if re.match(r" +(epoch +loss|\d+/20)", line)]
    assert len(rows) == 4
    assert len({len(row) for row in rows}) == 1, "aligned"
    assert not [row for row in rows if "…" in row]
    assert [row.split()[:2] for row in rows[:2]] == [["epoch", "loss"], ["1/20", "0.6000"]]
    if width >= 40:
        assert all(name in rows[0] for name in (["validation", "test"] if fields else ["test"]))


@pytest.mark.parametrize("width", [40, 60, 80])
def test_the_bar_is_one_line(width):
    def show(console: Console) -> None:
        with render.TrainingView(render.Consoles(console, console, console), 10) as view:
            view._drawn_s = 0.0
            view.step(fake.step(900))

    lines = lines_of(show, width)
    bar = next(line for line in lines if "epoch" in line)
    assert re.search(r"━ *(48%.*)?$|━.*48%", bar)
    assert "…" not in bar


@pytest.mark.parametrize("width", [40, 60, 80])
def test_what_is_under_way_is_named_whole(width, monkeypatch):
    monkeypatch.setattr("jitnet.render.measurement.REFRESH_S", 0.0)

    def show(console: Console) -> None:
        consoles = render.Consoles(console, console, console)
        with render.measuring(consoles) as report:
            report("kernels.sparse.sparse_backward", 5, 10)
        with render.downloads(consoles) as report:
            report("train-images-idx3-ubyte.gz", 5_000_000, 9_912_422)
        with render.working(consoles, "Compiling the training loops for this processor; this happens once"):
            pass

    lines = lines_of(show, width)
    assert not [line for line in lines if "…" in line]
    told = " ".join(CODE.sub(" ", " ".join(lines)).split())
    for name in ("kernels.sparse.sparse_backward", "50%", "train-images-idx3-ubyte.gz"):
        assert name in told
    assert re.search(r"Compiling the training .*\bhappens\b.*\bonce\b", told)


@pytest.mark.parametrize(("width", "least"), [(60, 2), (80, 3), (120, 5)])
def test_a_row_of_distortions_uses_the_room(width, least):
    narrow = np.zeros((1, 10, 28, 28), np.uint8)
    for k in range(10):
        narrow[0, k, 4:24, 2 * k + 1 : 2 * k + 9] = 255
    lines = lines_of(lambda console: render.sheet(console, narrow, ["1  #3"]), width)
    assert max(line.count("epoch ") for line in lines) >= least


def test_the_last_learning_rate_of_a_schedule_that_ends_at_zero_is_zero():
    def show(console: Console) -> None:
        with render.TrainingView(render.Consoles(console, console, console), 3, 0.7) as view:
            for number, rate in enumerate([0.1958, 0.0007, 1.003e-8], 1):
                view.epoch(fake.epoch(number, 3, learning_rate=rate))

    rows = [line.split() for line in lines_of(show, 80)]
    assert [row[-1] for row in rows[1:]] == ["0.1958", "0.0007", "0"]
    assert [line.split()[-1] for line in lines_of(show, None)] == ["0.1958", "0.0007", "0"]


def test_an_axis_ends_where_it_is_asked_to():
    def show(console: Console) -> None:
        render.plot(console, [0.0, 1.0, 2.997], [0.1, 0.7, 0.0], x_label="epoch", x_ends=(0, 3))

    assert lines_of(show, 80)[-1].split() == ["0", "epoch", "3"]


def test_the_count_of_threads_is_not_said_before_it_is_measured():
    lines = lines_of(SCREENS["plan, threads measured"], 120)
    assert not [line for line in lines if line.startswith("threads")]
    assert "2 cores by affinity" in next(line for line in lines if line.startswith("machine"))
    assert [line for line in lines_of(SCREENS["plan"], 120) if line.startswith("threads")]


def test_bench_and_profile_use_the_same_words():
    bench_text, profile_text = (" ".join(lines_of(SCREENS[name], 120)) for name in ("bench", "profile"))
    for word in ("GFLOP/s", "first cache", "second cache", "last cache"):
        assert word in bench_text
    assert "GFLOP/s" in profile_text
    assert not re.search(r"FMA|\bbinds\b|1st|2nd", bench_text + profile_text)
    heads = [
        line.split() for name in ("bench", "profile") for line in lines_of(SCREENS[name], 120) if "roof" in line.split()
    ]
    assert len(heads) > 2
    assert all(head[-2:] == ["bound", "by"] for head in heads)


def test_bench_judges_a_row_as_a_profile_does():
    found = bench()
    loss = replace(found.results[2], threads=2, flop=9e3, bytes=4e3, parts=1)
    found = replace(found, results=(loss,))
    [row] = as_document(found, [])["results"]
    judged = judge(loss.median_s, loss.flop, loss.bytes, found.at(1))
    assert (row["roof"], row["binds"], row["verdict"]) == (judged.roof, judged.binds, judged.verdict)
    assert judged.binds == "latency"
    shown = next(line for line in lines_of(lambda console: render.bench(console, found, []), 120) if "loss 1" in line)
    assert shown.split()[-2:] == [f"{judged.roof:.0%}", "latency"]


def test_names_are_tied_where_a_line_breaks():
    lines = lines_of(lambda console: facts(console, [("a", ", ".join(tied(f"name {k} 10%") for k in range(9)))]), 40)
    assert all(re.fullmatch(r"(a|) +(name \d 10%,? ?)+", line) for line in lines)


def clocked(plain_us: list[float], clocked_us: list[float]) -> str:
    found = profile(plain_s=tuple(us * 1e-6 for us in plain_us), clocked_s=tuple(us * 1e-6 for us in clocked_us))
    lines = lines_of(lambda console: render.step_profile(console, found), 160)
    return next(line for line in lines if line.startswith("step "))


def test_what_the_clock_costs_agrees_with_the_two_times():
    chance = np.random.default_rng(1)
    plain = (70.0 * chance.lognormal(0, 0.1, 40)).tolist()
    costly = clocked(plain, [us * 1.034 + chance.normal(0, 0.05) for us in plain])
    step, with_clock, cost, error = map(float, re.findall(r"([\d.]+)(?:%| µs| with)", costly))
    assert "which costs" in costly
    assert with_clock / step - 1 == pytest.approx(cost / 100, abs=0.0011)
    assert error < cost


def test_a_cost_within_its_uncertainty_is_not_called_one():
    chance = np.random.default_rng(2)
    plain, other = (70.0 * chance.normal(1, 0.05, (2, 40))).tolist()
    assert "no measurable cost" in clocked(plain, other)
    assert "no measurable cost" in clocked([70.0] * 9, [69.0] * 9), "a clock makes nothing faster"


def test_bench_and_profile_use_the_same_words_for_network_data_and_what_is_above_the_roof():
    measured, profiled = bench(), profile()
    fast = tuple(replace(result, samples_s=(1e-9,) * 3) for result in measured.results)
    above = tuple(replace(row, roof=1.3) for row in profiled.rows)
    same = [
        "network 784-128-10, relu, sgd, batch 32",
        "data mnist: zero-skipping loops (18% of the inputs are not zero)",
        "* above the roof, which is impossible: a count is wrong, or a roof, measured while other programs were "
        "running.",
    ]
    for screen in (
        lambda console: render.bench(console, replace(measured, results=fast), []),
        lambda console: render.step_profile(console, replace(profiled, rows=above)),
    ):
        lines = {" ".join(line.split()) for line in lines_of(screen, 120)}
        assert lines.issuperset(same)
