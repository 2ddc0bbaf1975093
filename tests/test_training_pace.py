"""The count of threads that a run goes on with: chosen by made-up times; and the bits, which stay the same."""

import os
import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import jitnet
from jitnet.machine import host
from jitnet.machine.host import describe_machine, set_threads
from jitnet.training import plan as plans
from jitnet.training.pace import AGAIN, TRIALS, Pace


class Played:
    """A run whose steps take made-up times, told to a pace as the trainer does.

    tried_s: spent on another count than the one chosen so far. counts: what each chunk ran on.
    """

    def __init__(self, steps: int, first: int, most: int, least: int = 1) -> None:
        self.pace = Pace(steps, first, most, least)
        self.left, self.spent_s, self.tried_s = steps, 0.0, 0.0
        self.counts: list[int] = []

    def go(self, step_s: Callable[[int], float], chunks: int | None = None) -> list[int]:
        """So many chunks, or to the end; returns the counts that they ran on."""
        begun = len(self.counts)
        while self.left and (chunks is None or len(self.counts) - begun < chunks):
            pace, steps = self.pace, min(self.pace.chunk_steps, self.left)
            took_s = steps * step_s(pace.threads)
            self.tried_s += took_s * (pace.threads != pace.best)
            self.spent_s += took_s
            self.left -= steps
            self.counts.append(pace.threads)
            pace.note(steps, took_s, took_s)
        return self.counts[begun:]


def table(times_us: dict[int, float]) -> Callable[[int], float]:
    return lambda count: 1e-6 * times_us[count]


LONG = 10_000_000


def valley(best: int, noise: float, seed: int, work_s: float = 1e-3) -> Callable[[int], float]:
    """Times with one valley, at `best` threads: part of the work is not shared, and each thread costs something."""
    draw = random.Random(seed)
    return lambda count: work_s * (0.05 + 1 / count + count / best**2) * (1 + abs(draw.gauss(0, noise)))


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64])
def test_the_best_count_is_found_in_a_twentieth_of_the_run(cores):
    for seed, best in enumerate((1, 2, 5, 11, 23, 64)):
        true = valley(best, 0.0, 0)
        fastest_s = min(true(count) for count in range(1, cores + 1))
        for first in {1, cores, min(cores, best)}:
            played = Played(int(10 / fastest_s), first, cores)
            played.go(valley(best, 0.02, seed))
            assert set(played.counts) <= set(range(1, cores + 1))
            assert true(played.pace.best) <= 1.05 * fastest_s, (best, first, played.pace.tried)
            assert played.tried_s <= 0.05 * played.spent_s, (best, first)
            assert played.pace.settled


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("work_s", [1e-4, 2e-2])
def test_a_short_run_tries_less(seconds, work_s):
    tried = 0
    for cores in (2, 8, 64):
        for first in (1, cores):
            true = valley(40, 0.0, 0, work_s)
            played = Played(max(1, int(seconds / true(first))), first, cores)
            played.go(valley(40, 0.02, 1, work_s))
            assert played.tried_s <= 0.05 * played.spent_s
            tried = max(tried, len(played.pace.tried))
    assert tried == 1 if seconds <= 0.1 else tried > 1 or seconds < 1


def test_counts_double_and_are_refined_between_the_best_and_its_neighbours():
    times = {count: 100.0 + 5 * abs(count - 11) for count in range(1, 65)}
    played = Played(LONG, 2, 64)
    played.go(table(times), 60)
    assert list(played.pace.tried)[:6] == [2, 4, 8, 16, 32, 12]
    assert times[played.pace.best] <= 105.0
    assert 14 in played.pace.tried or 10 in played.pace.tried
    assert max(played.counts) == 32  # it was clearly slower than 8, as 16 was


@pytest.mark.parametrize("cores", [16, 64])
@pytest.mark.parametrize("first", [1, 2, 5])
def test_one_slow_count_on_the_way_up_does_not_hide_a_faster_one(cores, first):
    times = {count: 1000.0 / count for count in range(1, cores + 1)}
    for slow in (first * 2, first * 4):
        played = Played(LONG, first, cores)
        played.go(table(times | {slow: 1500.0 / first}), 100)
        assert played.pace.best == cores
        assert {first * 2**doublings for doublings in range(7) if first * 2**doublings <= cores} <= set(played.counts)
        assert played.tried_s <= 0.05 * (played.spent_s + played.left * times[cores] * 1e-6)


@pytest.mark.parametrize("cores", [16, 64])
@pytest.mark.parametrize("first", [1, 2, 4])
def test_trials_end_where_two_counts_above_the_fastest_are_slower(cores, first):
    played = Played(LONG, first, cores)
    played.go(table({count: 100.0 * count for count in range(1, cores + 1)}), 100)
    assert played.pace.best == 1
    assert max(played.counts) == 4 * first
    assert played.pace.settled


@pytest.mark.parametrize("cores", [16, 64])
def test_where_all_counts_are_about_as_fast_all_doublings_are_tried(cores):
    played = Played(LONG, 1, cores)
    played.go(table({count: 100.0 + count / cores for count in range(1, cores + 1)}), 100)
    assert max(played.counts) == cores
    assert played.pace.settled


def test_it_goes_down_to_one_thread():
    played = Played(LONG, 8, 8)
    played.go(table({count: 100.0 + 20 * count for count in range(1, 9)}), 40)
    assert list(played.pace.tried) == [8, 4, 2, 1]
    assert played.pace.best == 1


@pytest.mark.parametrize("fastest", [1, 2])
@pytest.mark.parametrize("first", [1, 2])
def test_on_two_cores_both_are_tried_and_the_fastest_goes_on(first, fastest):
    played = Played(LONG, first, 2)
    counts = played.go(table({fastest: 100.0, 3 - fastest: 110.0}), 20)
    assert counts[0] == first
    assert counts.count(3 - first) >= TRIALS or fastest != first
    assert set(played.go(table({fastest: 100.0, 3 - fastest: 110.0}), AGAIN // 2)) == {fastest}
    assert played.pace.settled
    assert played.pace.best == fastest
    assert played.pace.tried == {
        1: pytest.approx(1e-4 * (1 + (fastest != 1) / 10)),
        2: pytest.approx(1e-4 * (1 + (fastest != 2) / 10)),
    }


def test_one_count_is_never_left():
    played = Played(LONG, 3, 3, 3)
    assert set(played.go(table({3: 100.0}), 200)) == {3}
    assert played.pace.settled
    assert not played.pace.chooses


def test_one_bad_chunk_among_the_trials_does_not_decide():
    played, slow = Played(LONG, 2, 2), iter([5.0] + [1.0] * 99)
    played.go(lambda count: 1e-6 * (120.0 if count == 1 else 80.0 * next(slow)), 20)
    assert played.pace.best == 2


def test_what_is_far_slower_is_given_up_after_two_chunks():
    times = table({1: 500.0, 2: 80.0})
    played = Played(LONG, 2, 2)
    assert played.go(times, 30).count(1) <= 3  # one of them to warm up


def test_a_neighbour_makes_it_fall_back_and_is_forgotten_when_it_goes():
    quiet, busy = table({1: 120.0, 2: 80.0}), table({1: 130.0, 2: 500.0})
    played = Played(LONG, 2, 2)
    played.go(quiet, 30)
    assert played.pace.best == 2
    counts = played.go(busy, 20)
    assert counts.index(1) <= TRIALS  # not before it is sure, and not much later
    assert set(counts[TRIALS:]) == {1}
    assert played.go(quiet, 2 * AGAIN * 4**3 + 100)[-1] == 2


def test_a_slow_moment_for_all_does_not_change_the_count():
    quiet, slow = table({1: 120.0, 2: 80.0}), table({1: 240.0, 2: 160.0})
    played = Played(LONG, 2, 2)
    played.go(quiet, 20)
    assert played.go(slow, AGAIN // 2).count(1) <= TRIALS + 1  # tried again, and left
    assert set(played.go(quiet, 10)) == {2}


def test_a_slow_moment_for_all_with_many_counts_is_short_work():
    played, true = Played(LONG, 16, 64), valley(11, 0.0, 0)
    played.go(true, 200)
    best = played.pace.best
    counts = played.go(lambda count: 2 * true(count), 120)
    assert counts[-40:].count(best) > 30
    assert counts.count(best) > 60


def test_what_is_far_slower_is_tried_again_seldom():
    near, far = (Played(LONG, 2, 2) for _ in range(2))
    near.go(table({1: 105.0, 2: 100.0}), 1000)
    far.go(table({1: 400.0, 2: 100.0}), 1000)
    assert near.counts.count(1) > 5 * TRIALS
    assert far.counts.count(1) <= TRIALS
    assert near.tried_s < 0.05 * near.spent_s


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

    threads, best, chunk_steps, chooses, tried = 2, 2, 20, True, dict[int, float]()

    def __init__(self) -> None:
        self.chunks, self.used = 0, set()

    def __getattribute__(self, name: str) -> object:
        if name == "threads":
            self.chunks += 1
            threads = 1 + self.chunks % 2
            self.used.add(threads)
            return threads
        return super().__getattribute__(name)

    def note(self, steps: int, called_s: float, spent_s: float) -> None:
        assert steps > 0
        assert spent_s >= called_s > 0


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


def trainer_of(monkeypatch, cores: int, tried: dict[int, float], hidden: int = 2048, **fields) -> jitnet.Trainer:
    """A trainer on a machine with so many cores, some counts tried."""
    here = replace(describe_machine(), cores=cores, affinity=cores, cores_reason=f"{cores} cores by affinity")
    monkeypatch.setattr(plans, "describe_machine", lambda: here)
    data = jitnet.load("digits")
    shape = jitnet.ModelConfig(in_features=data.in_features, hidden=(hidden,), n_classes=data.n_classes)
    trainer = jitnet.Trainer(jitnet.Model.create(shape, data), data, jitnet.TrainConfig(batch_size=512, **fields))
    if tried:
        trainer._pace.best = min(tried, key=lambda count: tried[count])
        monkeypatch.setattr(Pace, "tried", tried)
    return trainer


def test_the_reason_names_the_counts_that_were_tried(monkeypatch):
    steps = {4: 600e-6, 8: 412e-6, 16: 500e-6, 12: 431e-6}
    trainer = trainer_of(monkeypatch, 8, steps)
    assert (trainer.threads, trainer.threads_reason) == (
        8,
        "8 of 8 cores: tried 4, 8, 16, 12; a step took 412 µs on 8, 431 on 12",
    )


def test_the_reason_says_why_no_others_were_tried(monkeypatch):
    assert trainer_of(monkeypatch, 2, {}).threads_reason == "2 of 2 cores, by estimate: too short to try others"
    assert trainer_of(monkeypatch, 2, {}, threads=2).threads_reason == "as asked"
    trainer = trainer_of(monkeypatch, 64, {1: 2e-6, 2: 1e-6}, hidden=128)
    most = trainer.plan.threads
    assert most < 64
    assert trainer.threads_reason == (
        "2 of 64 cores: tried 1, 2; a step took 1 µs on 2, 2 on 1; "
        f"more than {most} would change nothing: a step has too little work for more"
    )


def test_counts_asked_for_are_kept():
    data = jitnet.load("digits")
    shape = jitnet.ModelConfig(in_features=data.in_features, hidden=(16,), n_classes=data.n_classes)
    trainer = jitnet.Trainer(jitnet.Model.create(shape, data, seed=0), data, jitnet.TrainConfig(epochs=1, threads=1))
    trainer.run()
    assert set(trainer.step_s) <= {1}
    assert (trainer.history.threads, trainer.history.threads_reason) == (1, "as asked")
    assert np.isfinite(trainer.history.epochs[0].train_loss)
