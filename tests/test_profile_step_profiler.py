"""The profile of a training step: from given readings, and a short one of real steps."""

import numpy as np
import pytest

import jitnet
from jitnet.bench.results import Level, Probes
from jitnet.engine.step_clock import clock_for
from jitnet.machine.clock import tick_s
from jitnet.machine.host import describe_machine
from jitnet.profile.step.profiler import _Clocked, run_profile
from jitnet.profile.step.step_profile import typical_pairs
from jitnet.training.trainer import Chunk

THREADS = min(2, describe_machine().affinity)
PROBES = {
    count: Probes(count, 100.0 * count, tuple(Level(1 << power, 100.0, 100.0) for power in (14, 18, 22, 26)), 2.0)
    for count in range(1, THREADS + 1)
}


@pytest.fixture(scope="module")
def digits() -> jitnet.Dataset:
    return jitnet.load("digits")


def model(data: jitnet.Dataset, hidden: tuple[int, ...]) -> jitnet.Model:
    shape = jitnet.ModelConfig(in_features=data.in_features, hidden=hidden, n_classes=data.n_classes)
    return jitnet.Model.create(shape, data, seed=0)


def trainer(data: jitnet.Dataset, hidden: tuple[int, ...] = (512,), **options: object) -> jitnet.Trainer:
    return jitnet.Trainer(model(data, hidden), data, jitnet.TrainConfig(batch_size=256, threads=THREADS, **options))


def chunk_of(made: jitnet.Trainer, steps: int, late: int = 0) -> Chunk:
    """Steps of 100 µs in which each line takes 1 µs of each part; part k begins k µs late, and each region is entered
    2 µs before that and left 3 µs after the last part. late: µs that the last part takes longer at its first line."""
    program = made.plan.program
    clock = clock_for(program.threads, len(program.lines), program.regions, steps=steps)
    us, first = 1e-6 / tick_s(), len(program.first)
    for step in range(steps):
        at = 1000.0 * step
        clock.whole_steps[step] = at * us, (at + 100) * us
        for region in sorted({line.region for line in program.step}):
            places = [k for k, line in enumerate(program.step) if line.region == region]
            parts, entered, latest = max(program.step[k].parts for k in places), at, 0.0
            for part in range(parts):
                now = entered + 2 + part
                for k in places:
                    took = 1.0 + (late if part == parts - 1 and k == places[0] else 0)
                    clock.lines[step, part, first + k] = now * us, (now + took) * us
                    now += took
                latest = max(latest, now)
            at = latest + 3
            clock.regions[step, region] = entered * us, at * us
    return Chunk(steps, steps, steps * 100e-6, program, clock, {})


def clocked(made: jitnet.Trainer, chunks: list[Chunk]) -> _Clocked:
    return _Clocked(made, chunks, range(len(chunks)), 100e-6, PROBES)


def test_rows_and_rest_are_what_the_readings_say(digits):
    made = trainer(digits)
    found = clocked(made, [chunk_of(made, 3), chunk_of(made, 5)])
    rows, regions = found.rows(), found.regions()
    assert [row.name for row in rows] == [line.name for line in made.plan.program.step]
    for row in rows:
        assert row.samples_s == pytest.approx((1e-6, 1e-6), rel=0.01)
        assert row.by_thread_s == pytest.approx((1e-6,) * row.parts, rel=0.01)
        assert row.share == pytest.approx(0.01, rel=0.01)
        assert row.calls == 8
    for region in regions:
        lines = [row for row in rows if row.region == region.region]
        late = (region.parts - 1) / 2  # part k begins k µs late, so the mean part does by that
        assert region.busy_s == pytest.approx(len(lines) * 1e-6, rel=0.01)
        assert region.starting_s == pytest.approx((2 + late + 3) * 1e-6, rel=0.01)
        assert region.waiting_s == pytest.approx(late * 1e-6, rel=0.01, abs=1e-9)
    total = sum(row.median_s for row in rows) + found.waiting_s + found.starting_s + found.rest_s
    assert total == pytest.approx(100e-6)
    assert found.rest_s == pytest.approx(100e-6 - sum(region.wall_s for region in regions), rel=0.01)


def test_the_middle_half_of_the_pairs_is_typical():
    plain, with_clock = (5.0, 1.0, 9.0, 4.0, 3.0, 6.0, 2.0, 8.0), (5.0, 1.0, 9.0, 4.0, 3.0, 6.0, 2.0, 8.0)
    assert typical_pairs(plain, with_clock) == (0, 3, 4, 5)
    assert typical_pairs((1.0,), (1.0,)) == (0,)
    assert typical_pairs((1.0, 2.0, 3.0), (1.0, 2.0, 3.0)) == (0, 1, 2)


def test_the_thread_that_the_others_wait_for_is_found(digits):
    made = trainer(digits)
    if made.plan.program.threads < 2:
        pytest.skip("needs two cores")
    found = clocked(made, [chunk_of(made, 3, late=9)])
    first, last = found.threads()
    assert last.busy_s > first.busy_s
    assert last.waiting_s < first.waiting_s
    slow = next(row for row in found.rows() if row.parts == 2)
    assert slow.by_thread_s == pytest.approx((1e-6, 10e-6), rel=0.01)
    assert "uneven: thread 1 takes 1.8 times the mean" in slow.verdict


def test_the_timeline_has_every_line_of_every_part(digits):
    made = trainer(digits)
    found = clocked(made, [chunk_of(made, 3)])
    slices, rows = found.slices(), found.rows()
    assert len(slices) == 3 * sum(row.parts for row in rows)
    for piece in slices:
        assert piece.end_s - piece.begin_s == pytest.approx(1e-6, rel=0.01)
        assert rows[piece.row].parts > piece.thread
    begins = [min(piece.begin_s for piece in slices if piece.step == step) for step in range(3)]
    assert np.diff(begins) == pytest.approx([1e-3, 1e-3], rel=0.01)


@pytest.mark.parametrize(
    ("hidden", "options"),
    [((32,), {}), ((32, 16), {"optimizer": "adam", "dropout": (0.2,), "augment": {"shift": 1.0}})],
    ids=["plain", "adam, dropout, shifts"],
)
def test_a_short_profile_of_real_steps(digits, hidden, options):
    before = model(digits, hidden)
    profile = run_profile(before, digits, jitnet.TrainConfig(**options), budget_s=0.3)
    names = [row.name for row in profile.rows]
    assert len(set(names)) == len(names)
    assert ("augment, next batch" in names) == ("augment" in options)
    assert ("drop 0, next batch" in names) == ("dropout" in options)
    assert len(profile.plain_s) == len(profile.clocked_s) >= 8
    assert all(row.median_s > 0 and len(row.samples_s) == len(profile.clocked_s) for row in profile.rows)
    assert all(row.verdict for row in profile.rows)
    # All of a step is reported: rows and rest add up to the step with the clock, in the same chunks.
    with_clock = np.mean([profile.clocked_s[place] for place in profile.typical])
    assert profile.accounted == pytest.approx(with_clock / profile.step_s, rel=1e-6)
    assert profile.settings["optimizer"] == options.get("optimizer", "sgd")
    assert profile.probes.threads == profile.threads
