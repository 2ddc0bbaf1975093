"""The loop that walks a program: region after region, step after step, and nothing else.

    steps         steps of a call, one of two ways:
    member        one part of all of them: from region to region, at barriers between them; all parts in one `prange`
    walk          lines of the program, region after region, each in a `prange` of its own
    team          the `prange`, the only one
    perform       the lines of a region, one part of each, by name

This is all of the engine that is parallel, and one of it serves everything: training, measuring, predicting, listing
entries, distorting images, and the bench, which repeats a line inside one region.
"""

import atexit
import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from numba import prange

from jitnet.compiler.barrier import all_here, forget_barrier, may_wait, wait_for_all
from jitnet.compiler.cache import all_compiled, can_keep
from jitnet.compiler.clock import read_clock
from jitnet.compiler.decorators import helper, keep_linked, kernel, linked, load_kept
from jitnet.compiler.denormals import flush_denormals, restore_float_flags
from jitnet.compiler.machine import describe_machine, threads_are_lost
from jitnet.compiler.reference import Struct, by_reference, reference_to
from jitnet.compiler.signatures import COUNTS, DOUBLES, INT
from jitnet.compiler.startup import compile_beside, linked_functions, load_all
from jitnet.engine.layers import (
    activate,
    activate_back,
    backward_bias,
    backward_input,
    backward_sparse,
    backward_weight,
    drop,
    drop_back,
    forward,
    forward_sparse,
    gather,
)
from jitnet.engine.operations import OPERATIONS
from jitnet.engine.output import add_partials, logits, logits_sparse, loss, partial_logits
from jitnet.engine.ownership import AS_IT_COMES, own_range
from jitnet.engine.state import RUN, Batch, empty_run
from jitnet.engine.updates import limit, norm, update_all, update_bias, update_weights
from jitnet.engine.whole_data import augment, count_entries, drop_samples, list_entries, predict
from jitnet.kernels.random import shuffle
from jitnet.kernels.schedule import learning_rate

if TYPE_CHECKING:
    import subprocess

__all__ = ["compile_ahead", "compile_other_end", "load_loop", "repeat_lines", "run_steps"]


@helper
def _batch_of(run, step, rate):
    """What a step of this call works on; behind the last one an empty batch."""
    call = run.call
    begin = min(run.order.shape[0], (call.first_batch + step) * call.batch_size)
    end = min(run.order.shape[0], begin + call.batch_size) if step < call.n_steps else begin
    coming = min(run.order.shape[0], end + call.batch_size) if step + 1 < call.n_steps else end
    number = call.first_step + step
    scale = -rate if run.settings.adds_directly else 1.0
    return Batch(run.order[begin:end], run.order[end:coming], end - begin, number, number & 1, rate, scale)


@helper
def _note_line(run, step, line, part, began):
    """Note a line's begin and end where the clock runs; gives the end, with which the next line of the part begins."""
    ended = began
    if run.call.clocked:
        ended = read_clock()
        readings = run.clock.lines[step % run.clock.lines.shape[0], part, line]
        readings[0], readings[1] = began, ended
    return ended


(
    GATHER,
    FORWARD,
    FORWARD_SPARSE,
    ACTIVATE,
    DROP,
    PARTIAL_LOGITS,
    LOGITS,
    LOGITS_SPARSE,
    ADD_PARTIALS,
    LOSS,
    BACKWARD_INPUT,
    BACKWARD_WEIGHT,
    BACKWARD_SPARSE,
    BACKWARD_BIAS,
    DROP_BACK,
    ACTIVATE_BACK,
    UPDATE_WEIGHTS,
    UPDATE_BIAS,
    NORM,
    UPDATE_ALL,
    LIMIT,
    COUNT_ENTRIES,
    LIST_ENTRIES,
    AUGMENT,
    DROP_SAMPLES,
    PREDICT,
) = (np.int64(operation.code) for operation in OPERATIONS.values())


@linked(RUN, INT, INT, INT, INT, INT)
def perform(run, first_line, last_line, first_step, last_step, part):
    """Part `part` of the lines first_line <= line < last_line of the program, for steps of this call one after another.

    Nothing here waits for other parts: more than one step is for lines that need nothing of them.
    """
    flags = flush_denormals()
    began = read_clock() if run.call.clocked else np.int64(0)
    for step in range(first_step, last_step):
        rate = learning_rate(run.schedule, run.call.first_step + step)
        for k in range(first_line, last_line):
            line = run.program[k]
            if part < line.parts:
                batch = by_reference(_batch_of(run, step + line.next_batch, rate))
                first, last = own_range(run, batch, line.split, line.layer, part, line.parts)
                while True:
                    if line.operation == GATHER:
                        gather(run, batch, line.layer, part, first, last)
                    elif line.operation == FORWARD:
                        forward(run, batch, line.layer, part, first, last)
                    elif line.operation == FORWARD_SPARSE:
                        forward_sparse(run, batch, line.layer, part, first, last)
                    elif line.operation == ACTIVATE:
                        activate(run, batch, line.layer, part, first, last)
                    elif line.operation == DROP:
                        drop(run, batch, line.layer, part, first, last)
                    elif line.operation == PARTIAL_LOGITS:
                        partial_logits(run, batch, line.layer, part, first, last)
                    elif line.operation == LOGITS:
                        logits(run, batch, line.layer, part, first, last)
                    elif line.operation == LOGITS_SPARSE:
                        logits_sparse(run, batch, line.layer, part, first, last)
                    elif line.operation == ADD_PARTIALS:
                        add_partials(run, batch, line.layer, part, first, last)
                    elif line.operation == LOSS:
                        loss(run, batch, line.layer, part, first, last)
                    elif line.operation == BACKWARD_INPUT:
                        backward_input(run, batch, line.layer, part, first, last)
                    elif line.operation == BACKWARD_WEIGHT:
                        backward_weight(run, batch, line.layer, part, first, last)
                    elif line.operation == BACKWARD_SPARSE:
                        backward_sparse(run, batch, line.layer, part, first, last)
                    elif line.operation == BACKWARD_BIAS:
                        backward_bias(run, batch, line.layer, part, first, last)
                    elif line.operation == DROP_BACK:
                        drop_back(run, batch, line.layer, part, first, last)
                    elif line.operation == ACTIVATE_BACK:
                        activate_back(run, batch, line.layer, part, first, last)
                    elif line.operation == UPDATE_WEIGHTS:
                        update_weights(run, batch, line.layer, part, first, last)
                    elif line.operation == UPDATE_BIAS:
                        update_bias(run, batch, line.layer, part, first, last)
                    elif line.operation == NORM:
                        norm(run, batch, line.layer, part, first, last)
                    elif line.operation == UPDATE_ALL:
                        update_all(run, batch, line.layer, part, first, last)
                    elif line.operation == LIMIT:
                        limit(run, batch, line.layer, part, first, last)
                    elif line.operation == COUNT_ENTRIES:
                        count_entries(run, batch, line.layer, part, first, last)
                    elif line.operation == LIST_ENTRIES:
                        list_entries(run, batch, line.layer, part, first, last)
                    elif line.operation == AUGMENT:
                        augment(run, batch, line.layer, part, first, last)
                    elif line.operation == DROP_SAMPLES:
                        drop_samples(run, batch, line.layer, part, first, last)
                    elif line.operation == PREDICT:
                        predict(run, batch, line.layer, part, first, last)
                    if line.split != AS_IT_COMES:
                        break
                    first, last = own_range(run, batch, line.split, line.layer, part, line.parts)
                    if first == last:
                        break
                began = _note_line(run, step, k, part, began)
    restore_float_flags(flags)


@helper
def _end_of_region(run, begin):
    """The line behind the last of those that share a region with line `begin`."""
    end = begin
    while end < run.program.shape[0] and run.program[end].region == run.program[begin].region:
        end += 1
    return end


@helper
def _most_parts(run, begin, end):
    """Parts of the line that has the most."""
    parts = np.int64(1)
    for k in range(begin, end):
        parts = max(parts, run.program[k].parts)
    return parts


@helper
def _samples_of(run, step):
    """How many samples a step has."""
    begin = (run.call.first_batch + step) * run.call.batch_size
    return min(run.order.shape[0], begin + run.call.batch_size) - begin


@linked(RUN, DOUBLES, COUNTS, INT, INT, INT)
def member(run, totals, done, first_lines, part, parts):
    """Part `part` of all steps of a call, where all parts run at the same time; see `steps`.

    done: how many steps went well, -1 before the first part has begun; and whether the loss ended them.
    """
    if all_here(run.barrier, part, parts) == 0:
        return
    if part == 0:
        done[0] = 0
    turn = 0
    for step in range(run.call.n_steps):
        entered = read_clock() if run.call.clocked else np.int64(0)
        begin, total, correct = np.int64(0) if step == 0 else first_lines, 0.0, 0
        while begin < run.program.shape[0]:
            end = _end_of_region(run, begin)
            region_entered = read_clock() if run.call.clocked else np.int64(0)
            perform(run, begin, end, step, step + 1, part)
            if part == 0 and end == run.program.shape[0]:
                # Ahead of the last barrier: behind it others write the next step's, and read whether there is one.
                for n in range(_samples_of(run, step)):
                    total += run.state.losses[n]
                    correct += run.state.correct[n]
                if not math.isfinite(total):
                    done[1] = 1
            turn += 1
            wait_for_all(run.barrier, part, parts, turn)
            if run.call.clocked and part == 0:
                readings = run.clock.regions[step % run.clock.regions.shape[0], run.program[begin].region]
                readings[0], readings[1] = region_entered, read_clock()
            begin = end
        if done[1] == 1:
            return
        if part == 0:
            totals[0] += total
            totals[1] += correct
            totals[2] = learning_rate(run.schedule, run.call.first_step + step)
            done[0] = step + 1
            if run.call.clocked:
                readings = run.clock.whole_steps[step % run.clock.whole_steps.shape[0]]
                readings[0], readings[1] = entered, read_clock()


@linked(RUN, DOUBLES, COUNTS, INT, INT, INT, INT, INT, parallel=True)
def team(run, totals, done, first_line, last_line, first_step, last_step, parts):
    """All parts in parallel: of all steps of a call where `done` has a place for their count, else of some lines."""
    for part in prange(parts):
        if done.shape[0] > 0:
            member(run, totals, done, first_line, np.int64(part), parts)
        else:
            perform(run, first_line, last_line, first_step, last_step, np.int64(part))


@linked(RUN, DOUBLES, COUNTS, INT, INT, INT)
def walk(run, totals, alone, first_line, last_line, step):
    """Lines of the program for one step, region after region; without threads one part of a region after another."""
    begin = first_line
    while begin < last_line:
        end = _end_of_region(run, begin)
        parts = _most_parts(run, begin, end)
        entered = read_clock() if run.call.clocked else np.int64(0)
        if parts > 1 and not run.call.in_turn:
            team(run, totals, alone, begin, end, step, step + 1, parts)
        else:
            for part in range(parts):
                perform(run, begin, end, step, step + 1, np.int64(part))
        if run.call.clocked:
            readings = run.clock.regions[step % run.clock.regions.shape[0], run.program[begin].region]
            readings[0], readings[1] = entered, read_clock()
        begin = end


_run_at = reference_to(RUN)


@kernel
def steps(address, first_lines, totals):
    """The steps of a call; gives how many were done.

    address: of a `Struct` of a Run. first_lines: lines of the program that are for the first step alone, ahead of it.
    totals (3,) float64 gains the sum of the samples' losses and the count of right guesses, and has the last step's
    learning rate. A loss that is NaN or infinite ends the call with that step; the parameters are of no use then.
    Programs on the data set are one step, of a batch_size of 0.

    Where the parts run at the same time they do all steps in one parallel region, with barriers; else each region of
    the program is one of its own. The bits are the same.
    """
    run = _run_at(address)
    n_steps, n_lines = run.call.n_steps, run.program.shape[0]
    parts = _most_parts(run, 0, n_lines)
    if run.call.together and not run.call.in_turn and may_wait(run.barrier, parts):
        done = np.zeros(2, np.int64)
        done[0] = -1
        forget_barrier(run.barrier, parts)
        team(run, totals, done, first_lines, n_lines, 0, n_steps, parts)
        if done[0] >= 0:
            return done[0]
    alone = np.zeros(0, np.int64)
    if n_steps > 0:
        walk(run, totals, alone, 0, first_lines, 0)
    for step in range(n_steps):
        entered = read_clock() if run.call.clocked else np.int64(0)
        walk(run, totals, alone, first_lines, n_lines, step)
        total, correct = 0.0, 0
        for n in range(_samples_of(run, step)):
            total += run.state.losses[n]
            correct += run.state.correct[n]
        if not math.isfinite(total):
            return step
        totals[0] += total
        totals[1] += correct
        totals[2] = learning_rate(run.schedule, run.call.first_step + step)
        if run.call.clocked:
            readings = run.clock.whole_steps[step % run.clock.whole_steps.shape[0]]
            readings[0], readings[1] = entered, read_clock()
    return n_steps


def run_steps(struct: Struct, first_lines: int, totals: npt.NDArray[np.float64]) -> int:
    """`steps` of a run; the struct stays in memory as long as the call.

    Runs in a forked process too, on one thread, with the same bits. ValueError where totals has no room for what
    `steps` writes: compiled code would write past its end.
    """
    if totals.shape != (3,) or totals.dtype != np.float64:
        raise ValueError(f"totals is {totals.dtype} of shape {totals.shape}; expected float64 of shape (3,)")
    if threads_are_lost():
        struct.value.call.in_turn = True
    return int(steps(struct.address, first_lines, totals))


@kernel
def repeat_lines(address, first_line, last_line, repeats, batches, parts, regions):
    """The bench's loop: `repeats` times some lines, each time on the next of `batches` batches, inside one region of
    `parts`; or with `regions` in a region each time anew."""
    run, totals, alone = _run_at(address), np.zeros(0, np.float64), np.zeros(0, np.int64)
    done = 0
    while done < repeats:
        steps = 1 if regions else min(batches, repeats - done)
        if parts > 1:
            team(run, totals, alone, first_line, last_line, 0, steps, parts)
        else:
            perform(run, first_line, last_line, 0, steps, np.int64(0))
        done += steps


def compile_other_end() -> None:
    """Compile or load all functions, the last first: for a second process, while the first begins at the front."""
    Struct(empty_run())
    shuffle(np.uint64(0), np.uint64(0), np.zeros(1, np.int32))
    load_all(linked_functions(steps), backwards=True)


@cache
def compile_ahead() -> "subprocess.Popen[bytes] | None":
    """Have a second process compile too, where anything has to be compiled. `load_loop` does so as well; whoever knows
    earlier that it will be called saves the time between. It ends with this process at the latest."""
    if all_compiled() or not can_keep() or describe_machine().cores == 1:
        return None
    beside = compile_beside("from jitnet.engine.loop import compile_other_end; compile_other_end()")
    atexit.register(beside.terminate)
    return beside


@cache
def load_loop() -> None:
    """Compile or load the loop and all that it calls, in two processes where it has to be compiled."""
    there = load_kept()
    if not there:
        compile_ahead()
        load_all(linked_functions(steps))
    run_steps(Struct(empty_run()), 0, np.zeros(3))
    if not there:
        keep_linked(linked_functions(steps))
