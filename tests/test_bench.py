"""`jitnet bench`: its counts, its JSON, its baseline's verdict, its ladder's equality. No test looks at a speed."""

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from jitnet.bench.comparison import rank_test, read_baseline
from jitnet.bench.limits import probes_of
from jitnet.bench.results import Case, Level, Probes, Result
from jitnet.bench.verdict import judge
from jitnet.cli.common import parse_share, parse_threads
from jitnet.config import ACTIVATIONS, LOSSES, OPTIMIZERS, losses_for
from jitnet.errors import JitnetError, UsageError
from jitnet.machine.host import describe_machine

two_cores = pytest.mark.skipif(describe_machine().affinity < 2, reason="needs two cores")


def result(flop: float, size: float, seconds: float) -> Result:
    return Result("operation", "a", "1", 1, flop, size, 1, (seconds,) * 9)


def test_threads():
    assert parse_threads(None, 8, 8) == (1, 8)
    assert parse_threads(None, 1, 8) == (1,)
    assert parse_threads(" 4,1, 2,2", 8, 8) == (1, 2, 4)
    assert parse_threads("all", 2, 2) == (1, 2)
    assert parse_threads("all", 20, 20) == (1, 2, 3, 4, 8, 16, 20)


@pytest.mark.parametrize("text", ["", "0", "1,,2", "-1", "two", "1.5", "9", "all,1", "²"])
def test_bad_threads(text):
    with pytest.raises(UsageError, match=r"--threads: .*8"):
        parse_threads(text, 8, 8)


def test_share():
    assert parse_share("10%") == parse_share(" 10 ") == 0.1
    for text in ("", "-1%", "ten", "nan", "1001"):
        with pytest.raises(UsageError, match="--fail-above: expected a percentage"):
            parse_share(text)
    assert parse_share("0.5%") == 0.005
    with pytest.raises(UsageError, match=r"did you mean 10%\?"):
        parse_share("0.1")


def test_rank_test_counts_every_arrangement():
    low, high = (1.0, 2.0, 4.0, 8.0), (3.0, 5.0, 6.0)
    pooled = sorted(low + high)

    def pairs(chosen: tuple[float, ...]) -> int:
        return sum(y > x for y in chosen for x in pooled if x not in chosen)

    ways = list(itertools.combinations(pooled, len(high)))
    expected = sum(pairs(way) >= pairs(high) for way in ways) / len(ways)
    assert rank_test(low, high) == pytest.approx(expected)
    nine = [float(k) for k in range(9)]
    assert rank_test(nine, [k + 9.5 for k in nine]) == pytest.approx(1 / math.comb(18, 9))
    assert rank_test([k + 9.5 for k in nine], nine) == 1.0


def test_rank_test_with_ties():
    assert rank_test([1.0] * 9, [1.0] * 9) == 1.0
    # By hand: U = 5.5 of 9; ties of 2, 3 and 1; the variance is 9/12 (7 - 30/30) = 4.5.
    expected = 0.5 * math.erfc((5.5 - 4.5 - 0.5) / math.sqrt(4.5) / math.sqrt(2))
    assert rank_test([1.0, 2.0, 2.0], [1.0, 2.0, 3.0]) == pytest.approx(expected)


def test_roof():
    probes = Probes(1, 100.0, (Level(1000, 50.0, 40.0), Level(100_000, 5.0, 10.0)), None)

    def found(row: Result) -> tuple[float, str]:
        judged = judge(row.median_s, row.flop, row.bytes, probes)
        return judged.roof, judged.binds

    assert found(result(1e9, 500, 0.02)) == (pytest.approx(0.5), "arithmetic")
    # 2,000 bytes are beyond the small arrays but within the large: the small ones' bandwidth is what they may have.
    assert found(result(1, 2000, 80e-9)) == (pytest.approx(0.5), "first cache")
    assert found(result(1, 100_000, 5e-6))[0] == pytest.approx(2.0)
    assert found(result(0, 0, 1.0))[0] == 0.0


def test_median_and_spread():
    row = Result("operation", "a", "1", 1, 2e9, 4e9, 1, (1.0, 2.0, 3.0, 4.0, 50.0))
    assert (row.median_s, row.spread) == (3.0, pytest.approx(1 / 3))
    assert row.intensity == 0.5
    assert row.gflops == pytest.approx(2 / 3)


def test_measuring_is_interleaved_and_counts_calls():
    from jitnet.bench.timing import measure

    calls: list[str] = []

    def case(name: str) -> Case:
        def run(repeats: int) -> float:
            calls.append(name)
            return 0.004 * repeats

        return Case("operation", name, "1", 1, 1.0, 1.0, run)

    told: list[tuple[int, int]] = []
    names = "abcde"
    found = measure([case(name) for name in names], 9, 1.0, lambda what, done, total: told.append((done, total)))
    assert [row.name for row in found] == list(names)
    assert all(row.samples_s == pytest.approx((0.004,) * 9) for row in found)
    assert [done for done, _ in told] == list(range(50))
    assert {total for _, total in told} == {50}
    # In random order: whole repetitions differ from one another.
    tail = [name for name, _ in itertools.groupby(calls)][-40:]
    assert tail != sorted(tail)
    assert len({tuple(tail[k : k + 5]) for k in range(0, 40, 5)}) > 3


def test_ladder_is_the_product_or_says_no():
    from jitnet.bench import rungs
    from jitnet.config import ModelConfig
    from jitnet.machine.blocks import PANEL, TILE_ROWS

    def cases_of(batch: int, features: int, units: int) -> list[Case]:
        shape = ModelConfig(in_features=features, hidden=(units,), n_classes=2)
        return rungs.ladder_cases(SimpleNamespace(batch_size=batch, shape=shape), (1,))  # type: ignore[arg-type]

    for batch, features, units in ((1, 1, 1), (TILE_ROWS + 1, 70, PANEL + 1), (2 * TILE_ROWS, 13, 3 * PANEL)):
        cases = cases_of(batch, features, units)
        assert [case.name for case in cases] == list(rungs.RUNGS)
        outputs = -(-units // PANEL) * PANEL
        assert {case.flop for case in cases} == {2.0 * batch * features * outputs}
    assert cases_of(4096, 1000, 4096)[0].flop <= rungs.MAX_FLOP

    x = w = np.ones((4, 4), np.float32)
    reference = np.full((4, 4), 4.0)

    def nearly(x: object, w: object, out: np.ndarray) -> None:
        out[:] = 4.0
        out[3, 3] = 4.001

    with pytest.raises(JitnetError, match="'nearly' is not the product"):
        rungs.check("nearly", nearly, x, w, np.empty((4, 4), np.float32), reference, reference, 1)
    with pytest.raises(JitnetError, match="not the product"):
        rungs.check("lazy", lambda x, w, out: None, x, w, np.empty((4, 4), np.float32), reference, reference, 1)


@pytest.fixture(scope="module")
def subject():
    from jitnet.bench.workload import Subject
    from jitnet.config import ModelConfig
    from jitnet.datasets import load

    digits = load("digits")
    shape = ModelConfig(in_features=64, hidden=(40, 24), n_classes=10, activation="gelu")
    return Subject(shape, digits, 33)


def states(case):
    """The arrays that a case works on, through the training that it prepares."""
    return case.prepare.__self__.run.state


def test_a_linear_network_has_lines_to_measure(subject):
    from jitnet.bench.lines import line_cases

    shape = subject.shape.model_copy(update={"hidden": ()})
    names = {case.name.split(",")[0] for case in line_cases(type(subject)(shape, subject.dataset, 33), (1,))}
    assert {"norm", "loss"} <= {name.split()[0] for name in names}


@two_cores
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_line_leaves_its_numbers_alone(subject, activation):
    """However often a case runs, all stays finite, no number turns denormal, and the parameters are the same."""
    from jitnet.bench.lines import line_cases

    shape = subject.shape.model_copy(update={"activation": activation})
    for case in line_cases(type(subject)(shape, subject.dataset, 33), (1, 2)):
        case.prepare()
        before = states(case).params.copy() if hasattr(case.prepare, "__self__") else None
        assert case.run(300) > 0
        if before is None:
            continue
        state = states(case)
        if not case.name.startswith("limit"):  # which limits the norms of weights that stand still, to what is asked
            assert np.array_equal(state.params, before), case.name
        for values in (state.work, state.grads, state.average, state.first_moment, state.second_moment):
            assert np.isfinite(values).all(), case.name
            tiny = np.abs(values[values != 0]) < np.finfo(np.float32).tiny
            assert not tiny.any(), case.name


def test_the_rows_are_the_lines_of_the_program_on_its_parts(subject):
    """Every line that a step has is a row, with what its operation declares; nothing is described a second time."""
    from jitnet.bench.lines import line_cases

    for threads in (1, 2) if describe_machine().affinity > 1 else (1,):
        program = subject.training(threads).plan.program
        rows = {case.name.split(",")[0]: case for case in line_cases(subject, (threads,)) if case.used}
        assert rows.keys() == {f"{line.operation} {line.layer}" for line in program.lines}
        for line in program.lines:
            row = rows[f"{line.operation} {line.layer}"]
            assert (row.flop, row.bytes, row.threads) == (line.cost.flop, line.cost.bytes, threads)


def test_every_activation_and_every_optimizer_is_a_row(subject):
    from jitnet.bench.lines import line_cases

    names = {case.name for case in line_cases(subject, (1,))}
    for activation in ACTIVATIONS:
        assert {f"activate 0, {activation}", f"activate_back 0, {activation}"} <= names
    assert {f"update_all, {optimizer}" for optimizer in OPTIMIZERS} <= names
    assert {"drop 0", "drop_back 0", "norm 0", "limit 0"} <= names


def test_an_operation_that_this_training_uses_is_not_among_the_others():
    """The scale of inputs needs the whole gradient, so that one line updates all parameters, as clipping has it."""
    from jitnet.bench.lines import line_cases
    from jitnet.bench.workload import Subject
    from jitnet.config import ModelConfig
    from jitnet.datasets import from_arrays

    data = from_arrays(np.random.default_rng(0).normal(size=(40, 6)), np.arange(40) % 3)
    for layers, updates_late in (({}, False), ({"input_scale": True}, True)):
        shape = ModelConfig(in_features=6, hidden=(20,), n_classes=3, **layers)
        cases = {case.name: case.used for case in line_cases(Subject(shape, data, 16), (1,))}
        assert any(name.startswith("update_all") and used for name, used in cases.items()) == updates_late
        assert ("update_all, sgd" in cases) != updates_late
        assert cases["update_all, adam"] is False


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("layers", [{}, {"norm": "layer", "residual": True, "input_scale": True}], ids=["plain", "all"])
def test_every_loss_and_every_layer_is_measured(loss, layers):
    """What can be trained can be measured: rows of its program with what they cost, and those of the task's others."""
    from jitnet.bench.lines import line_cases, prediction_cases
    from jitnet.bench.workload import Subject
    from jitnet.config import ModelConfig
    from jitnet.datasets import from_arrays
    from jitnet.kernels.loss import LOSS_KERNELS

    rng, target = np.random.default_rng(0), LOSSES[loss].target
    labels = {"class": np.arange(90) % 3, "number": rng.normal(size=(90, 3)), "label": rng.integers(0, 2, (90, 3))}
    if LOSSES[loss].nonnegative:
        labels["number"] = np.abs(labels["number"])
    task = "label" if target == "label" else "auto"
    data = from_arrays(rng.normal(size=(90, 6)), labels[target], task=task)
    outputs = {"n_classes": data.n_classes, "n_targets": data.n_targets}
    shape = ModelConfig(in_features=6, hidden=(20, 20), loss=loss, **outputs, **layers)
    subject = Subject(shape, data, 32)
    cases = {case.name: case for case in line_cases(subject, (1,))}
    others = set(losses_for(target)) - {loss}
    assert {name for name in cases if name.startswith("loss 2,")} == {f"loss 2, {name}" for name in others}
    assert cases["loss 2"].used
    for name in others:
        assert not cases[f"loss 2, {name}"].used
        own, other = (
            32 * (outputs * (price.output_flop + 1) + 3 * price.target_flop + price.sample_flop)
            for price, outputs in ((LOSS_KERNELS[each].price, 9 if each == "quantile" else 3) for each in (loss, name))
        )
        assert cases["loss 2"].flop - cases[f"loss 2, {name}"].flop == own - other
    for operation in ("normalise", "add_input", "fold_scale"):
        assert any(name.startswith(operation) for name in cases) == bool(layers)
    for case in [*cases.values(), *prediction_cases(subject, (1,))]:
        case.prepare()
        assert case.run(3) > 0
        if hasattr(case.prepare, "__self__") and hasattr(case.prepare.__self__, "restore"):
            assert np.isfinite(states(case).work).all(), case.name


def test_a_repeated_line_does_its_work_each_time(subject, monkeypatch):
    """What a row times is the operation itself: as many steps of it, on the parts of its line."""
    from jitnet.bench.lines import line_cases

    rows = {case.name: case for case in line_cases(subject, (1,))}
    case = rows["backward_bias 0"]
    case.prepare()
    state, layer = states(case), case.prepare.__self__.run.layers[0]
    own = slice(layer.bias_offset, layer.bias_offset + layer.out_features)
    case.prepare.__self__.run.settings.adds_directly = True
    gradient = np.add.reduce(
        state.work[layer.grad_offset :][: 33 * layer.output_stride].reshape(33, -1)[:, : layer.out_features]
    )
    gradient[:] = 0
    stride = layer.output_stride
    for sample in range(33):
        state.work[layer.grad_offset + sample * stride :][: layer.out_features] = 1.0
    before = state.params[own].copy()
    case.run(5)
    np.testing.assert_allclose(state.params[own] - before, 5 * 33, rtol=1e-5)


def test_zero_skipping_rows_where_training_skips():
    from jitnet.bench.lines import line_cases
    from jitnet.bench.workload import Subject
    from jitnet.config import ModelConfig
    from jitnet.datasets import from_arrays

    chance = np.random.default_rng(0)
    images = (chance.integers(1, 256, (200, 30)) * (chance.random((200, 30)) < 0.2)).astype(np.uint8)
    data = from_arrays(images.reshape(200, 5, 6), np.arange(200) % 3)
    subject = Subject(ModelConfig(in_features=30, hidden=(20,), n_classes=3), data, 70)
    cases = {(case.name, case.shape): case for case in line_cases(subject, (1,))}
    dense, skipping = cases["forward 0", "70×30×20"], cases["forward_sparse 0", "70×30×20"]
    assert (dense.used, skipping.used) == (False, True)
    assert skipping.flop == pytest.approx(dense.flop * np.count_nonzero(images) / images.size, rel=0.05)
    assert ("backward_sparse 0", "70×30×20") in cases
    assert ("list_entries", "70×30") in cases
    for case in cases.values():
        case.prepare()
        assert case.run(2) > 0


def test_rows_for_samples_made_anew(subject):
    from jitnet.bench.lines import ELASTIC, line_cases
    from jitnet.bench.workload import Subject
    from jitnet.config import ModelConfig
    from jitnet.datasets import from_arrays
    from jitnet.kernels.augment import distortion_settings

    def made(subject):
        names = ("augment, affine", "augment, elastic", "drop_samples", "list_entries")
        return {case.name: case for case in line_cases(subject, (1,)) if case.name in names}

    cases = made(subject)
    assert list(cases) == ["augment, affine", "augment, elastic", "drop_samples"]  # dense: nothing is listed
    assert not any(case.used for case in cases.values())
    stored = subject.dataset.train.images.copy()
    for case in cases.values():
        case.prepare()
        assert case.run(3) > 0
        assert case.run(0) >= 0
    assert np.array_equal(subject.dataset.train.images, stored)

    # By hand for 33 images of 8×8: two fields of noise, blurred down over all its columns and then to the right.
    taps = len(distortion_settings(ELASTIC).gaussian)
    wide = 8 + taps - 1
    field = 2 * wide * wide + 2 * taps * 8 * wide + 2 * taps * 64
    assert cases["augment, elastic"].flop == 33 * (20 * 64 + 2 * field)
    assert (cases["augment, affine"].flop, cases["augment, affine"].bytes) == (33 * 20 * 64, 2 * 33 * 64)
    assert cases["drop_samples"].bytes == 2 * 33 * 64

    floats = from_arrays(np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32), np.arange(50) % 2)
    [row] = made(Subject(ModelConfig(in_features=6, n_classes=2), floats, 10)).values()
    assert (row.name, row.bytes) == ("drop_samples", 2 * 4 * 10 * 6)
    assert row.run(2) > 0


def test_what_the_rows_account_for_is_their_sum_and_the_starting_of_regions(subject):
    from jitnet.bench.steps import regions, step_rows

    program = subject.training(1).plan.program
    used = [Result("operation", f"{line.operation} {line.layer}", "", 1, 1, 1, 1, (2e-6,) * 9) for line in program.step]
    idle = Result("operation", "norm", "", 1, 1, 1, 1, (9.0,) * 9, used=False)
    step = Result("step", "training step", "", 1, 1e6, 0, 1, (40e-6,) * 9)
    limits = Probes(1, 100.0, (Level(1000, 50.0, 40.0),), None)
    [row] = step_rows(subject, [step, idle, *{one.name: one for one in used}.values()], [limits])
    assert row.accounted == pytest.approx(len(program.step) * 2 / 40)
    assert regions(program) == 0
    [bare] = step_rows(subject, [step], [limits])
    assert bare.accounted is None


def test_efficiency_is_against_the_smallest_count_measured(subject):
    from jitnet.bench.steps import step_rows

    # The plan is of one thread whatever the count: it is the times that are looked at.
    stand_in = SimpleNamespace(batch_size=33, training=lambda count: subject.training(1))
    steps = [Result("step", "training step", "", 2 * k, 1e6, 0, 1, (60e-6 / k,) * 9) for k in (1, 2, 3)]
    limits = [Probes(step.threads, 100.0, (Level(1000, 50.0, 40.0),), 1.0) for step in steps]
    rows = step_rows(stand_in, [steps[0], steps[2], steps[1]], limits)
    assert [row.threads for row in rows] == [2, 4, 6]
    assert [row.speed_up for row in rows] == pytest.approx([1, 2, 3])
    assert [row.efficiency for row in rows] == pytest.approx([1, 1, 1])
    [slower] = step_rows(
        stand_in, [*steps[:1], Result("step", "", "", 8, 1e6, 0, 1, (30e-6,) * 9)], [replace(limits[0], threads=8)]
    )
    assert slower.efficiency == pytest.approx(0.5)


def test_the_machine_s_limits_are_its_best_samples():
    def probe(name, flop, size, *samples):
        return Result("machine", name, "", 2, flop, size, 1, samples)

    results = [
        probe("peak", 4e9, 0, 0.3, 0.1, 0.2),
        probe("read", 0, 2e9, 0.4, 0.2, 0.1),
        probe("triad", 0, 3e9, 0.4, 0.2, 0.3),
        probe("read", 0, 8e9, 1.0, 2.0, 4.0),
        probe("triad", 0, 8e9, 2.0, 2.0, 4.0),
        probe("region", 0, 0, 3e-6, 1e-6, 2e-6),
        Result("machine", "peak", "", 1, 9e9, 0, 1, (0.1,) * 3),  # of another count
    ]
    found = probes_of(results, 2)
    assert (found.threads, found.peak_gflops) == (2, pytest.approx(40.0))
    assert [level.size_bytes for level in found.levels] == [2_000_000_000, 8_000_000_000]
    assert [level.read_gbs for level in found.levels] == pytest.approx([20.0, 8.0])
    assert [level.triad_gbs for level in found.levels] == pytest.approx([15.0, 4.0])
    assert found.region_us == pytest.approx(2.0)  # a start is as long as it usually is


@two_cores
def test_same_bits(subject, monkeypatch):
    from jitnet.bench import steps
    from jitnet.bench import workload as subjects

    assert steps.same_bits(subject, (1, 2))
    monkeypatch.setattr(subjects.Training, "train", lambda self, steps: self.run.state.params.fill(self.plan.threads))
    assert not steps.same_bits(subject, (1, 2))


ARGUMENTS = ("bench", "--data", "digits", "--hidden", "24", "--batch-size", "16", "--threads", "1")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Short samples and small walks through memory: what is measured is not looked at."""
    from jitnet.bench import limits, timing

    monkeypatch.setattr(timing, "SHORTEST_S", 1e-4)
    monkeypatch.setattr(timing, "LONGEST_S", 1e-4)
    monkeypatch.setattr(timing, "STEP_S", 1e-4)
    monkeypatch.setattr(limits, "MIN_BYTES", 4 * limits.MIB)
    monkeypatch.setattr(limits, "MAX_BYTES", 4 * limits.MIB)


def test_screen_and_json(call, tmp_path):
    found = call(*ARGUMENTS, "--ladder", "--vs", "numpy")
    assert found.code == 0, found.err
    for text in (
        "What the machine can do",
        "Operations on 1 thread",
        "A whole training step",
        "The ladder",
        "NumPy's BLAS",
    ):
        assert text in found.out
    assert "NaN" not in found.out
    assert "Measuring" in found.err
    printed = call(*ARGUMENTS, "--ladder", "--vs", "numpy", "--json")
    assert (printed.code, printed.err.count("Measuring")) == (0, 1)
    document = json.loads(printed.out)
    assert document["machine"]["cpu"]
    assert document["settings"]["hidden"] == [24]
    assert document["same_bits"] is True
    groups = {row["group"] for row in document["results"]}
    assert groups == {"machine", "operation", "prediction", "step", "ladder", "numpy"}
    for row in document["results"]:
        assert len(row["samples_s"]) == 9
        assert row["median_s"] == sorted(row["samples_s"])[4]
    [step] = document["steps"]
    assert step["recommended"]
    assert step["speed_up"] == 1.0
    assert step["accounted"] > 0


def test_baseline_sees_a_kernel_slowed_on_purpose(call, tmp_path, monkeypatch):
    from jitnet.bench import measurement

    def make(slow: float):
        """Operations of a steady pace; dropout takes `slow` times as long."""

        def cases(subject, threads):
            def case(name: str, factor: float) -> Case:
                ticks = itertools.count()
                return Case("operation", name, "1", 1, 1e3, 1e3, lambda n: n * factor * (1e-4 + 1e-9 * next(ticks)))

            return [case("relu", 1.0), case("dropout", slow)]

        return cases

    monkeypatch.setattr(measurement, "line_cases", make(1.0))
    document = json.loads(call(*ARGUMENTS, "--json").out)
    document["results"] = [row for row in document["results"] if row["group"] == "operation"]
    Path("a.json").write_text(json.dumps(document))
    compared = (*ARGUMENTS, "--baseline", "a.json")

    same = call(*compared, "--fail-above", "10%")
    assert same.code == 0, same.out
    assert "2 of 2 rows" in same.out
    monkeypatch.setattr(measurement, "line_cases", make(1.3))
    slower = call(*compared, "--fail-above", "10%")
    assert slower.code == 3
    [line] = [line for line in slower.out.splitlines() if line.rstrip().endswith("slower")]
    assert line.startswith("dropout")
    assert "+30%" in line
    assert call(*compared, "--fail-above", "50%").code == 0
    assert call(*compared).code == 0, "only shown where --fail-above is not given"
    monkeypatch.setattr(measurement, "line_cases", make(0.5))
    assert "faster" in call(*compared, "--fail-above", "10%").out
    told = call(*compared, "--json")
    assert {row["name"]: row["verdict"] for row in json.loads(told.out)["changes"]} == {
        "relu": "same",
        "dropout": "faster",
    }

    document["machine"]["cpu"] = "Another CPU"
    Path("a.json").write_text(json.dumps(document))
    assert "another machine, Another CPU" in call(*compared).err
    other = call(*ARGUMENTS, "--batch-size", "8", "--baseline", "a.json")
    assert other.code == 2
    assert "batch_size 16, this one has 8" in other.err
    document["results"] = [{**row, "threads": 7} for row in document["results"]]
    Path("a.json").write_text(json.dumps(document))
    fewer = call(*compared)
    assert fewer.code == 2
    assert "has no row at the same --threads" in fewer.err
    assert "Measuring" not in fewer.err


def test_a_file_that_is_no_baseline(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(UsageError, match="cannot be read"):
        read_baseline(path)
    for text in ("{", "[]", "{}", '{"format": "jitnet bench 2"}', '{"format": "jitnet bench 1"}'):
        path.write_text(text)
        with pytest.raises(UsageError, match=r"--baseline .*jitnet bench --json > FILE"):
            read_baseline(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is not JSON"):
        read_baseline(path)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--threads", "999999"), "--threads: 999999 is above"),
        (("--threads", "none"), "--threads: expected all"),
        (("--vs", "torch"), "--vs: expected numpy"),
        (("--fail-above", "10%"), "--baseline FILE"),
        (("--repetitions", "8"), "--repetitions: expected a whole number from 9 to 1,000, found '8'"),
        (("--baseline", "missing.json"), "missing.json"),
        (("--baseline", ""), "--baseline is empty; expected FILE"),
    ],
)
def test_usage_errors(call, arguments, text):
    found = call("bench", "--data", "digits", *arguments)
    assert found.code == 2
    assert text in found.err
    assert len(found.err.splitlines()) == 1
