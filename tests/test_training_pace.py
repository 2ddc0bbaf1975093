"""The count of threads that a run goes on with: chosen by made-up times; and the bits, which stay the same."""

import os

import numpy as np
import pytest

import jitnet
from jitnet.machine import host
from jitnet.machine.host import describe_machine, set_threads
from jitnet.training.pace import AGAIN, TRIALS, Pace, counts_to_try


def run(pace: Pace, times: dict[int, float], chunks: int) -> list[int]:
    """The counts that so many chunks ran on, where a step takes `times` on each."""
    counts = []
    for _ in range(chunks):
        counts.append(pace.threads)
        pace.note(times[pace.threads])
    return counts


@pytest.mark.parametrize(
    ("threads", "counts"), [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (8, (1, 2, 4, 8)), (12, (1, 2, 4, 8, 12))]
)
def test_powers_of_two_and_all_are_tried(threads, counts):
    assert counts_to_try(threads) == counts


@pytest.mark.parametrize("fastest", [1, 2, 4])
def test_each_count_is_tried_and_the_fastest_goes_on(fastest):
    pace = Pace((1, 2, 4))
    times = {count: 100.0 if count == fastest else 130.0 for count in (1, 2, 4)}
    assert pace.threads == 4
    tried = run(pace, times, 3 * TRIALS - 1)
    assert not pace.settled
    tried += run(pace, times, 1)
    assert pace.settled
    assert sorted(tried) == sorted((1, 2, 4) * TRIALS)
    assert not pace.trying
    assert set(run(pace, times, AGAIN - 3 * TRIALS)) == {fastest}
    assert next(iter(pace.step_s().items())) == (fastest, 100.0)


def test_one_count_is_never_left():
    assert set(run(Pace((3,)), {3: 1.0}, 200)) == {3}


def test_one_bad_chunk_among_the_trials_does_not_decide():
    pace = Pace((1, 2))
    samples = {1: iter([120.0] * 9), 2: iter([900.0] + [80.0] * 99)}
    for _ in range(3 * TRIALS):
        pace.note(next(samples[pace.threads]))
    assert pace.threads == 2


def test_a_neighbour_makes_it_fall_back_and_is_forgotten_when_it_goes():
    pace = Pace((1, 2))
    run(pace, {1: 120.0, 2: 80.0}, 2 * TRIALS)
    assert pace.threads == 2
    run(pace, {1: 120.0, 2: 80.0}, 20)
    counts = run(pace, {1: 130.0, 2: 500.0}, 20)
    assert counts.index(1) <= TRIALS  # not before it is sure, and not much later
    assert set(counts[TRIALS:]) == {1}
    again = run(pace, {1: 120.0, 2: 80.0}, 2 * AGAIN * 4**3 + 100)
    assert again[-1] == 2


def test_a_slow_moment_for_all_does_not_change_the_count():
    pace = Pace((1, 2))
    run(pace, {1: 120.0, 2: 80.0}, 20)
    assert run(pace, {1: 240.0, 2: 160.0}, 2 * TRIALS).count(1) == TRIALS  # tried anew, and left
    assert set(run(pace, {1: 120.0, 2: 80.0}, 20)) == {2}


def test_what_is_far_slower_is_tried_again_seldom():
    pace = Pace((1, 2))
    near = run(Pace((1, 2)), {1: 105.0, 2: 100.0}, 1000)
    far = run(pace, {1: 400.0, 2: 100.0}, 1000)
    assert near.count(1) > 5 * TRIALS
    assert far.count(1) == TRIALS
    lost = sum({1: 105.0, 2: 100.0}[count] for count in near) / 1000 - 100
    assert lost < 1  # a hundredth of what it takes


@pytest.mark.skipif(describe_machine().affinity < 2, reason="needs two cores")
@pytest.mark.parametrize(
    "options",
    [{}, {"optimizer": "adam", "dropout": (0.2,), "ema": 0.9}, {"clip_norm": 1.0, "augment": {"shift": 1.0}}],
    ids=str,
)
def test_a_run_that_changes_its_threads_all_the_time_gives_the_same_bits(options):
    data = jitnet.load("digits")
    found = []
    for threads in (1, 0):
        shape = jitnet.ModelConfig(in_features=data.in_features, hidden=(512, 64), n_classes=data.n_classes)
        model = jitnet.Model.create(shape, data, seed=1)
        trainer = jitnet.Trainer(model, data, jitnet.TrainConfig(epochs=3, threads=threads, **options))
        if threads == 0:
            assert trainer.plan.threads > 1
            trainer._pace = Changing()
        trainer.run()
        found.append(b"".join(array.tobytes() for array in (*model.weights, *model.biases)))
    assert found[0] == found[1]
    assert trainer._pace.used == {1, 2}


class Changing:
    """A pace that takes the other of two counts for each chunk."""

    threads, trying = 2, True

    def __init__(self) -> None:
        self.chunks, self.used = 0, set()

    def __getattribute__(self, name: str) -> object:
        if name == "threads":
            self.chunks += 1
            threads = 1 + self.chunks % 2
            self.used.add(threads)
            return threads
        return super().__getattribute__(name)

    def note(self, step_s: float) -> None:
        assert step_s > 0

    def step_s(self) -> dict[int, float]:
        return {}


@pytest.mark.skipif(
    not host.CORES or len(host.CORES) < 2 or os.environ.get("OMP_PROC_BIND") != "true",
    reason="threads are not bound to cores here",
)
def test_one_thread_may_go_where_it_likes_and_more_are_bound():
    from jitnet.engine.loop import load_loop

    load_loop()
    set_threads(2)
    bound = os.sched_getaffinity(0)
    assert len(bound) == 1
    set_threads(1)
    assert os.sched_getaffinity(0) == set(host.CORES)
    set_threads(2)
    assert os.sched_getaffinity(0) == bound


def test_counts_asked_for_are_kept():
    data = jitnet.load("digits")
    shape = jitnet.ModelConfig(in_features=data.in_features, hidden=(16,), n_classes=data.n_classes)
    trainer = jitnet.Trainer(jitnet.Model.create(shape, data, seed=0), data, jitnet.TrainConfig(epochs=1, threads=1))
    trainer.run()
    assert set(trainer.step_s) <= {1}
    assert np.isfinite(trainer.history.epochs[0].train_loss)
