"""`jitnet bench`: its counts, its JSON, its baseline's verdict, its ladder's equality. No test looks at a speed."""

import itertools
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from jitnet.bench import parse_share, parse_threads
from jitnet.bench.compare import rank_test, read_baseline
from jitnet.bench.records import Case, Level, Probes, Result
from jitnet.errors import JitnetError, UsageError
from jitnet.kernels.jit import machine

two_cores = pytest.mark.skipif(machine().affinity < 2, reason="needs two cores")


def result(flop: float, size: float, seconds: float) -> Result:
    return Result("kernel", "a", "1", 1, flop, size, 1, (seconds,) * 9)


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
    assert probes.roof(result(1e9, 500, 0.02)) == (pytest.approx(0.5), "FMA")
    # 2,000 bytes are beyond the small arrays but within the large: the small ones' bandwidth is what they may have.
    assert probes.roof(result(1, 2000, 80e-9)) == (pytest.approx(0.5), "memory")
    assert probes.roof(result(1, 100_000, 5e-6))[0] == pytest.approx(2.0)
    assert probes.roof(result(0, 0, 1.0)) == (0.0, "")


def test_median_and_spread():
    row = Result("kernel", "a", "1", 1, 2e9, 4e9, 1, (1.0, 2.0, 3.0, 4.0, 50.0))
    assert (row.median_s, row.spread) == (3.0, pytest.approx(1 / 3))
    assert row.intensity == 0.5
    assert row.gflops == pytest.approx(2 / 3)


def test_measuring_is_interleaved_and_counts_calls():
    from jitnet.bench.measure import measure

    calls: list[str] = []

    def case(name: str) -> Case:
        def run(repeats: int) -> float:
            calls.append(name)
            return 0.004 * repeats

        return Case("kernel", name, "1", 1, 1.0, 1.0, run)

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
    from jitnet.bench import ladder
    from jitnet.config import ModelConfig
    from jitnet.kernels.tile import PANEL, ROWS

    def cases_of(batch: int, features: int, units: int) -> list[Case]:
        shape = ModelConfig(in_features=features, hidden=(units,), n_classes=2)
        return ladder.ladder_cases(SimpleNamespace(batch_size=batch, shape=shape), (1,))  # type: ignore[arg-type]

    for batch, features, units in ((1, 1, 1), (ROWS + 1, 70, PANEL + 1), (2 * ROWS, 13, 3 * PANEL)):
        cases = cases_of(batch, features, units)
        assert [case.name for case in cases] == list(ladder.RUNGS)
        outputs = -(-units // PANEL) * PANEL
        assert {case.flop for case in cases} == {2.0 * batch * features * outputs}
    assert cases_of(4096, 1000, 4096)[0].flop <= ladder.MOST_FLOP

    x = w = np.ones((4, 4), np.float32)
    reference = np.full((4, 4), 4.0)

    def nearly(x: object, w: object, out: np.ndarray) -> None:
        out[:] = 4.0
        out[3, 3] = 4.001

    with pytest.raises(JitnetError, match="'nearly' is not the product"):
        ladder.check("nearly", nearly, x, w, np.empty((4, 4), np.float32), reference, reference, 1)
    with pytest.raises(JitnetError, match="not the product"):
        ladder.check("lazy", lambda x, w, out: None, x, w, np.empty((4, 4), np.float32), reference, reference, 1)


@pytest.fixture(scope="module")
def subject():
    from jitnet.bench.subject import Subject
    from jitnet.config import ModelConfig
    from jitnet.datasets import load

    digits = load("digits")
    shape = ModelConfig(in_features=64, hidden=(40, 24), n_classes=10, activation="gelu")
    return Subject(shape, digits, 33)


@two_cores
def test_every_kernel_leaves_its_numbers_alone(subject):
    """However often a case runs, all stays finite, no number dies away, and the parameters are the same."""
    from jitnet.bench.kernels import _Makers, kernel_cases

    for kind in ("relu", "tanh", "gelu"):
        other = type(subject)(subject.shape.model_copy(update={"activation": kind}), subject.dataset, 33)
        makers = _Makers(other, 2)
        state = makers._state
        params = state.params.copy()
        for case in [*makers.on(1), *makers.on(2)]:
            case.prepare()
            case.run(300)
            for values in (state.work, state.grads, state.mean, state.first_moment, state.second_moment):
                assert np.isfinite(values).all(), (kind, case.name)
            if "backward" in case.name or case.name == "scale gradients":
                tiny = np.abs(state.work[state.work != 0]) < np.finfo(np.float32).tiny
                assert not tiny.any(), (kind, case.name)
        assert np.array_equal(state.params, params)
    names = {case.name for case in kernel_cases(subject, (1,))}
    assert {"gather the batch", "gelu forward", "softmax and loss", "update, adamw", "dropout"} <= names


def test_zero_skipping_rows_where_training_skips():
    from jitnet.bench.kernels import kernel_cases
    from jitnet.bench.subject import Subject
    from jitnet.config import ModelConfig
    from jitnet.datasets import from_arrays

    chance = np.random.default_rng(0)
    images = (chance.integers(1, 256, (200, 30)) * (chance.random((200, 30)) < 0.2)).astype(np.uint8)
    data = from_arrays(images.reshape(200, 5, 6), np.arange(200) % 3)
    subject = Subject(ModelConfig(in_features=30, hidden=(20,), n_classes=3), data, 70)
    cases = {(case.name, case.shape): case for case in kernel_cases(subject, (1,))}
    dense, skipping = cases["linear forward", "70×30×20"], cases["zero-skipping forward", "70×30×20"]
    assert (dense.used, skipping.used) == (False, True)
    assert skipping.flop == pytest.approx(dense.flop * np.count_nonzero(images) / images.size, rel=0.05)
    # Lists of columns are of blocks of 64 samples: of 70 the last block has 6.
    assert ("zero-skipping backward, weights", "6×30×20") in cases
    assert ("list the entries", "70×30") in cases
    for case in cases.values():
        case.prepare()
        assert case.run(2) > 0


def test_rows_for_samples_made_anew(subject):
    from jitnet.bench.fresh import ELASTIC, fresh_cases
    from jitnet.bench.kernels import kernel_cases
    from jitnet.bench.subject import Subject
    from jitnet.config import ModelConfig
    from jitnet.datasets import from_arrays
    from jitnet.kernels.augment import settings

    cases = {case.name: case for case in fresh_cases(subject, 1)}
    assert list(cases) == ["augment, affine", "augment, elastic", "input dropout"]  # dense: nothing is listed
    assert not any(case.used for case in cases.values())
    assert cases.keys() <= {case.name for case in kernel_cases(subject, (1,))}
    stored = subject.source.images.copy()
    for case in cases.values():
        case.prepare()
        assert case.run(3) > 0
        assert case.run(0) >= 0
    assert np.array_equal(subject.source.images, stored)

    # By hand for 33 images of 8×8: two fields of noise, blurred down over all its columns and then to the right.
    taps = len(settings(ELASTIC).weights)
    wide = 8 + taps - 1
    field = 2 * wide * wide + 2 * taps * 8 * wide + 2 * taps * 64
    assert cases["augment, elastic"].flop == 33 * (20 * 64 + 2 * field)
    assert (cases["augment, affine"].flop, cases["augment, affine"].bytes) == (33 * 16 * 64, 2 * 33 * 64)
    assert cases["input dropout"].bytes == 2 * 33 * 64

    floats = from_arrays(np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32), np.arange(50) % 2)
    [row] = fresh_cases(Subject(ModelConfig(in_features=6, n_classes=2), floats, 10), 1)
    assert (row.name, row.bytes) == ("input dropout", 8 * 10 * 6)
    assert row.run(2) > 0


@two_cores
def test_same_bits(subject, monkeypatch):
    from jitnet.bench import threads

    assert threads.same_bits(subject, (1, 2))
    monkeypatch.setattr(type(subject), "train", lambda self, state, count, steps: state.params.fill(count))
    assert not threads.same_bits(subject, (1, 2))


ARGUMENTS = ("bench", "--data", "digits", "--hidden", "24", "--batch-size", "16", "--threads", "1")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Short samples and small walks through memory: what is measured is not looked at."""
    from jitnet.bench import machine, measure

    monkeypatch.setattr(measure, "SHORTEST_S", 1e-4)
    monkeypatch.setattr(measure, "LONGEST_S", 1e-4)
    monkeypatch.setattr(measure, "STEP_S", 1e-4)
    monkeypatch.setattr(machine, "LEAST_BYTES", 4 * machine.MIB)
    monkeypatch.setattr(machine, "MOST_BYTES", 4 * machine.MIB)


def test_screen_and_json(call, tmp_path):
    found = call(*ARGUMENTS, "--ladder", "--vs", "numpy", "--json", "a.json")
    assert found.code == 0, found.err
    for text in (
        "What the machine can do",
        "Kernels on 1 thread",
        "A whole training step",
        "The ladder",
        "NumPy's BLAS",
    ):
        assert text in found.out
    assert "NaN" not in found.out
    assert "Measuring" in found.err
    document = json.loads((tmp_path / "a.json").read_text())
    assert document["machine"]["cpu"]
    assert document["settings"]["hidden"] == [24]
    assert document["same_bits"] is True
    groups = {row["group"] for row in document["results"]}
    assert groups == {"machine", "kernel", "step", "ladder", "numpy"}
    for row in document["results"]:
        assert len(row["samples_s"]) == 9
        assert row["median_s"] == sorted(row["samples_s"])[4]
    [step] = document["steps"]
    assert step["recommended"]
    assert step["speed_up"] == 1.0


def test_baseline_sees_a_kernel_slowed_on_purpose(call, tmp_path, monkeypatch):
    from jitnet.bench import kernels

    def make(slow: float):
        """Kernels of a steady pace; dropout takes `slow` times as long."""

        def cases(subject, threads):
            def case(name: str, factor: float) -> Case:
                ticks = itertools.count()
                return Case("kernel", name, "1", 1, 1e3, 1e3, lambda n: n * factor * (1e-4 + 1e-9 * next(ticks)))

            return [case("relu", 1.0), case("dropout", slow)]

        return cases

    monkeypatch.setattr(kernels, "kernel_cases", make(1.0))
    assert call(*ARGUMENTS, "--json", "a.json").code == 0
    document = json.loads(Path("a.json").read_text())
    document["results"] = [row for row in document["results"] if row["group"] == "kernel"]
    Path("a.json").write_text(json.dumps(document))
    compared = (*ARGUMENTS, "--baseline", "a.json")

    same = call(*compared, "--fail-above", "10%")
    assert same.code == 0, same.out
    assert "2 of 2 rows" in same.out
    monkeypatch.setattr(kernels, "kernel_cases", make(1.3))
    slower = call(*compared, "--fail-above", "10%")
    assert slower.code == 3
    [line] = [line for line in slower.out.splitlines() if line.rstrip().endswith("slower")]
    assert line.startswith("dropout")
    assert "+30%" in line
    assert call(*compared, "--fail-above", "50%").code == 0
    assert call(*compared).code == 0, "only shown where --fail-above is not given"
    monkeypatch.setattr(kernels, "kernel_cases", make(0.5))
    assert "faster" in call(*compared, "--fail-above", "10%").out

    document["machine"]["cpu"] = "Another CPU"
    Path("a.json").write_text(json.dumps(document))
    assert "another machine, Another CPU" in call(*compared).err
    other = call(*ARGUMENTS, "--batch-size", "8", "--baseline", "a.json")
    assert other.code == 2
    assert "batch_size 16, this run has 8" in other.err


def test_a_file_that_is_no_baseline(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(UsageError, match="cannot be read"):
        read_baseline(path)
    for text in ("{", "[]", "{}", '{"format": "jitnet bench 1"}', '{"format": "jitnet bench 0"}'):
        path.write_text(text)
        with pytest.raises(UsageError, match=r"--baseline .*jitnet bench --json FILE"):
            read_baseline(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is no JSON"):
        read_baseline(path)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--threads", "999999"), "--threads: 999999 is above"),
        (("--threads", "none"), "--threads: expected all"),
        (("--vs", "torch"), "--vs: expected numpy"),
        (("--fail-above", "10%"), "--baseline FILE"),
        (("--repetitions", "8"), "equal to 9"),
        (("--baseline", "missing.json"), "missing.json"),
    ],
)
def test_usage_errors(call, arguments, text):
    found = call("bench", "--data", "digits", *arguments)
    assert found.code == 2
    assert text in found.err
    assert len(found.err.splitlines()) == 1


def test_a_folder_that_is_not_there(call):
    found = call("bench", "--data", "digits", "--json", "nowhere/a.json")
    assert found.code == 1
    assert "nowhere" in found.err
