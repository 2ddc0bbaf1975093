"""A process that is forked after its parent trained on two threads: it works on one, and makes the same bits."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest
from conftest import environment

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
    pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there are no threads without the compiler"),
]

BEGIN = """
import multiprocessing, os
import numpy as np
import jitnet
from jitnet.machine.host import describe_machine, set_threads, threads_are_lost

data = jitnet.load("digits")
shape = jitnet.ModelConfig(in_features=data.in_features, n_classes=data.n_classes, hidden=(64, 32))


def trainer(threads, **more):
    config = jitnet.TrainConfig(threads=threads, seed=0, epochs=1, batch_size=128, val_split=0.1, **more)
    return jitnet.Trainer(jitnet.Model.create(shape, data, seed=0), data, config)


def bits(model):
    return [value.tobytes() for value in (*model.weights, *model.biases)]


def trained(threads, **more):
    run = trainer(threads, **more)
    history = run.run()
    scores = jitnet.evaluate(run.model, data)
    return bits(run.model), history.epochs[-1].train_loss, scores.loss, run.model.predict(data.train.images).tobytes()


def forked(work, *cases):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map_async(work, cases).get(timeout=60)
"""


def run(folder: Path, code: str) -> None:
    """A program that forks, in a process of its own; it may not take for ever."""
    program = folder / "program.py"
    program.write_text(BEGIN + code, encoding="utf-8")
    made = environment(NUMBA_NUM_THREADS="2")
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, env=made, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_a_pool_trains_evaluates_and_predicts_with_the_same_bits(tmp_path):
    code = """
def with_augmentation(threads):
    return trained(threads, augment=jitnet.AugmentConfig(rotation=5.0), optimizer="adam", clip_norm=1.0)

expected, other = trained(2), with_augmentation(2)
assert not threads_are_lost()
assert forked(trained, 0, 1, 2) == [expected] * 3
assert forked(with_augmentation, 0, 2) == [other] * 2
assert trained(2) == expected
"""
    run(tmp_path, code)


def test_what_was_prepared_before_the_fork_goes_on_behind_it(tmp_path):
    code = """
expected = trained(2)
prepared = trainer(2)
prepared.prepare()
model = trainer(2).model
before = model.predict(data.train.images)

def go_on(_):
    prepared.run()
    return bits(prepared.model), model.predict(data.train.images, threads=2).tobytes()

assert forked(go_on, 1) == [(expected[0], before.tobytes())]
"""
    run(tmp_path, code)


def test_a_forked_process_knows_what_it_has(tmp_path):
    code = """
trained(2)
allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None

def known(_):
    here = describe_machine()
    set_threads(1)
    try:
        set_threads(2)
    except jitnet.JitnetError as error:
        return threads_are_lost(), here.cores, here.cores_reason, str(error)

((lost, cores, reason, error),) = forked(known, 0)
assert (lost, cores, reason) == (True, 1, "forked after threads had started"), (lost, cores, reason)
assert "spawn" in error and "\\n" not in error
assert (threads_are_lost(), describe_machine().affinity) == (False, 2)
"""
    run(tmp_path, code)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="there is no asking for cores")
def test_forked_processes_do_not_share_the_core_that_their_parent_is_bound_to(tmp_path):
    code = """
before = os.sched_getaffinity(0)
trained(2)

def cores(_):
    return os.sched_getaffinity(0)

assert forked(cores, 0) == [before]
"""
    run(tmp_path, code)


def test_a_process_forked_before_any_thread_was_started_has_its_own(tmp_path):
    code = """
import jitnet.engine.loop

def alone(threads):
    return threads_are_lost(), trained(threads)

found = forked(alone, 2)
assert found == [(False, trained(2))]
"""
    run(tmp_path, code)
