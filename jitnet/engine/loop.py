"""The loop that walks a program: region after region, step after step, and nothing else.

    steps         steps of a call
    team          all parts in parallel: the `prange`, the only one
    walk          one part of all steps, from region to region, at barriers between them
    perform       one part of the lines of a region
    account       what a step adds to the totals

How parts meet is the run's `call.meeting`, a code of `ownership.MEETINGS`. The bits are the same.

This is all of the engine that is parallel, and one of it serves everything: training, evaluating, predicting, listing
entries, distorting images, and the bench, which repeats a line inside one region.
"""

import atexit
import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from numba import prange

from jitnet.compiler.cache import all_compiled, can_keep
from jitnet.compiler.decorators import IN_ORDER, helper, keep_linked, kernel, linked, load_kept
from jitnet.compiler.reference import Struct, by_reference, reference_to
from jitnet.compiler.signatures import BOOLEAN, COUNTS, DOUBLES, INT
from jitnet.compiler.startup import compile_beside, linked_functions, load_all
from jitnet.compiler.switch import switch
from jitnet.engine.operation import ARGUMENTS
from jitnet.engine.operations import OPERATIONS
from jitnet.engine.ownership import MEETINGS, assigned_range, next_piece
from jitnet.engine.state import RUN, Batch, empty_run
from jitnet.kernels.random import shuffle
from jitnet.kernels.schedule import learning_rate
from jitnet.machine.barrier import add_at_once, all_here, forget_barrier, may_wait, wait_for_all
from jitnet.machine.clock import read_clock
from jitnet.machine.denormals import flush_denormals, restore_float_flags
from jitnet.machine.host import describe_machine, threads_are_lost

if TYPE_CHECKING:
    import subprocess

__all__ = ["compile_ahead", "compile_other_end", "load_loop", "repeat_lines", "run_steps"]

AT_BARRIERS, AT_REGION_ENDS, NEVER = (np.int64(code) for code in MEETINGS.values())

run_operation = switch([operation.function for operation in OPERATIONS.values()], ARGUMENTS)
"""Does what the operation of a code does: (code, run, batch, layer, part, first, last)."""

_FAILED = 1  # a place in `done`, behind the count of steps that went well


@helper
def _batch_of(run, step, rate):
    """What a step of this call works on; behind the last one an empty batch."""
    call = run.call
    begin = min(run.order.shape[0], (call.first_batch + step) * call.batch_size)
    end = min(run.order.shape[0], begin + call.batch_size) if step < call.n_steps else begin
    coming = min(run.order.shape[0], end + call.batch_size) if step + 1 < call.n_steps else end
    number = call.first_step + step
    scale = -rate if run.settings.adds_directly else 1.0
    size = end - begin
    return Batch(run.order[begin:end], run.order[end:coming], begin, size, number, number & 1, rate, scale, 0, size)


@helper
def _across(batch, first, last):
    """The same batch with what a part is assigned of the other side."""
    return Batch(
        batch.indices,
        batch.next_indices,
        batch.begin,
        batch.size,
        batch.step,
        batch.buffer,
        batch.rate,
        batch.grad_scale,
        first,
        last,
    )


@helper
def _now(run):
    """The clock, where it runs."""
    return read_clock() if run.call.clocked else np.int64(0)


@helper
def _note_line(run, step, line, part, began):
    """Note a line's begin and end where the clock runs; returns the end, at which the part's next line begins."""
    ended = _now(run)
    if run.call.clocked:
        readings = run.clock.by_part[part, step % run.clock.whole_steps.shape[0], line]
        readings[0], readings[1] = began, ended
    return ended


@helper
def _note_region(run, step, line, entered):
    """Note when the region that begins with a line was entered, and that it is left now."""
    if run.call.clocked:
        readings = run.clock.regions[step % run.clock.regions.shape[0], run.program[line].region]
        readings[0], readings[1] = entered, read_clock()


@helper
def _note_step(run, step, entered):
    """The same of a whole step."""
    if run.call.clocked:
        readings = run.clock.whole_steps[step % run.clock.whole_steps.shape[0]]
        readings[0], readings[1] = entered, read_clock()


@linked(RUN, INT, INT, INT, INT, INT)
def perform(run, first_line, last_line, first_step, last_step, part):
    """Part `part` of the lines first_line <= line < last_line of the program, for steps of this call one after another.

    Nothing here waits for other parts: more than one step is for lines that need nothing of them. Where parts never
    meet, a part does all of a step.
    """
    flags = flush_denormals()
    began = _now(run)
    parts_share_steps = run.call.meeting == NEVER
    for step in range(first_step, last_step):
        rate = learning_rate(run.schedule, run.call.first_step + step)
        for k in range(first_line, last_line):
            line = run.program[k]
            share, shares = (np.int64(0), np.int64(1)) if parts_share_steps else (part, line.parts)
            if share < shares:
                batch = _batch_of(run, step + line.next_batch, rate)
                whole = by_reference(batch)
                first, last = assigned_range(run, whole, line.split, line.layer, share, shares)
                while first < last:
                    begin, end, across, across_end, first = next_piece(run, whole, line.split, line.layer, first, last)
                    piece = by_reference(_across(batch, across, across_end))
                    run_operation(line.operation, run, piece, line.layer, part, begin, end)
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


@linked(RUN, DOUBLES, COUNTS, INT, fastmath=IN_ORDER)
def account(run, totals, done, step):
    """Add what a step has made to the totals of a call, and count the step; where its loss is NaN or infinite add
    nothing, and note that. Losses are weighted already. See `steps` for totals; done: steps that went well, and 1 where
    one failed."""
    begin = (run.call.first_batch + step) * run.call.batch_size
    total, correct = 0.0, 0.0
    for n in range(min(run.order.shape[0], begin + run.call.batch_size) - begin):
        total += run.state.losses[n]
        weight = run.data.weights[run.order[begin + n]] if run.data.weights.shape[0] > 0 else 1.0
        correct += weight * run.state.correct[n]
    if math.isfinite(total):
        totals[0] += total
        totals[1] += correct
        totals[2] = learning_rate(run.schedule, run.call.first_step + step)
        done[0] = step + 1
    else:
        done[_FAILED] = 1


@helper
def _walk_steps(run, totals, done, first_lines, part, parts, do_lines, meet):
    """Part `part` of all steps of a call, region after region. do_lines: does the lines of a region. meet: waits for
    all parts behind a region, by its number in the call. The first part does what is done once."""
    regions = 0
    for step in range(run.call.n_steps):
        entered = _now(run)
        begin = np.int64(0) if step == 0 else first_lines
        while begin < run.program.shape[0]:
            end = _end_of_region(run, begin)
            region_entered = _now(run)
            do_lines(run, begin, end, step, step + 1, part)
            if part == 0 and end == run.program.shape[0]:
                # Ahead of the last meeting: behind it others write the next step's, and read whether there is one.
                account(run, totals, done, step)
            regions += 1
            meet(run.barrier, part, parts, regions)
            if part == 0:
                _note_region(run, step, begin, region_entered)
            begin = end
        if done[_FAILED] == 1:
            break
        if part == 0:
            _note_step(run, step, entered)


@linked(RUN, DOUBLES, COUNTS, INT, INT, INT)
def walk(run, totals, done, first_lines, part, parts):
    """Part `part` of all steps of a call, where all parts run at the same time; else nothing, and done[0] stays -1."""
    if all_here(run.barrier, part, parts) == 1:
        if part == 0:
            done[0] = 0
        _walk_steps(run, totals, done, first_lines, part, parts, perform, wait_for_all)


@linked(RUN, DOUBLES, COUNTS, INT, INT, INT, INT, INT, INT, parallel=True)
def team(run, totals, done, first_line, last_line, first_step, last_step, parts, meeting):
    """All parts in parallel. Where they meet at barriers, of all steps of the call, lines ahead of first_line for the
    first alone; at region ends, of these lines and steps; never, each of the next step that is free, one by one."""
    for part in prange(parts):
        if meeting == AT_BARRIERS:
            walk(run, totals, done, first_line, np.int64(part), parts)
        elif meeting == AT_REGION_ENDS:
            perform(run, first_line, last_line, first_step, last_step, np.int64(part))
        else:
            step = first_step + add_at_once(run.barrier, 0, 1)
            while step < last_step:
                perform(run, first_line, last_line, step, step + 1, np.int64(part))
                step = first_step + add_at_once(run.barrier, 0, 1)


@linked(RUN, INT, INT, INT, INT, INT)
def do_lines(run, first_line, last_line, first_step, last_step, parts):
    """Lines of the program that share a region, or where parts never meet all of them, for some steps; without threads
    one part after another, or where any part could do each step, the first alone."""
    if parts > 1 and not run.call.one_by_one:
        totals, done = np.zeros(0, np.float64), np.zeros(0, np.int64)
        meeting = AT_REGION_ENDS
        if run.call.meeting == NEVER:
            meeting, run.barrier[0] = NEVER, 0
        team(run, totals, done, first_line, last_line, first_step, last_step, parts, meeting)
    else:
        for part in range(1 if run.call.meeting == NEVER else parts):
            perform(run, first_line, last_line, first_step, last_step, np.int64(part))


@helper
def _do_region(run, first_line, last_line, first_step, last_step, part):
    """All parts of lines that share a region."""
    do_lines(run, first_line, last_line, first_step, last_step, _most_parts(run, first_line, last_line))


@helper
def _go_on(words, part, parts, number):
    """Nothing: all parts have met at the end of the region."""


_run_at = reference_to(RUN)


@kernel(INT, INT, DOUBLES)
def steps(address, first_lines, totals):
    """The steps of a call; returns how many were done.

    address: of a `Struct` of a Run. first_lines: lines of the program that are for the first step alone, ahead of it.
    totals (3,) float64 gains the sum of the samples' losses and the count of right predictions, each times its
    sample's weight where samples have weights, and has the last step's learning rate; where parts never meet it stays
    as it is. A loss that is NaN or infinite ends the call with that step; the parameters are of no use then.

    Parts that should meet at barriers, and do not all run at the same time, meet at region ends.
    """
    run = _run_at(address)
    n_steps, n_lines = run.call.n_steps, run.program.shape[0]
    parts = _most_parts(run, 0, n_lines)
    if run.call.meeting == NEVER:
        do_lines(run, 0, n_lines, 0, n_steps, parts)
        return n_steps
    done = np.zeros(2, np.int64)
    if run.call.meeting == AT_BARRIERS and not run.call.one_by_one and may_wait(run.barrier, parts):
        done[0] = -1
        forget_barrier(run.barrier)
        team(run, totals, done, first_lines, n_lines, 0, n_steps, parts, AT_BARRIERS)
        if done[0] >= 0:
            return done[0]
        done[0] = 0
    _walk_steps(run, totals, done, first_lines, np.int64(0), parts, _do_region, _go_on)
    return done[0]


def run_steps(struct: Struct, first_lines: int, totals: npt.NDArray[np.float64]) -> int:
    """`steps` of a run; the struct stays in memory as long as the call.

    Runs in a forked process too, on one thread, with the same bits. ValueError where totals has no room for what
    `steps` writes: compiled code would write past its end.
    """
    if totals.shape != (3,) or totals.dtype != np.float64:
        raise ValueError(f"totals is {totals.dtype} of shape {totals.shape}; expected float64 of shape (3,)")
    if threads_are_lost():
        struct.value.call.one_by_one = True
    return int(steps(struct.address, first_lines, totals))


@kernel(INT, INT, INT, INT, INT, INT, BOOLEAN)
def repeat_lines(address, first_line, last_line, repeats, batches, parts, regions):
    """The bench's loop: `repeats` times some lines, each time on the next of `batches` batches, inside one region of
    `parts`; or with `regions` in a region each time again."""
    run = _run_at(address)
    done = 0
    while done < repeats:
        steps = 1 if regions else min(batches, repeats - done)
        do_lines(run, first_line, last_line, 0, steps, parts)
        done += steps


def compile_other_end() -> None:
    """Compile or load all functions, the last first: for a second process, while the first begins at the front."""
    Struct(empty_run())
    shuffle(np.uint64(0), np.uint64(0), np.zeros(1, np.int32))
    load_all(linked_functions(steps), backwards=True)


@cache
def compile_ahead() -> "subprocess.Popen[bytes] | None":
    """Have a second process compile too, where anything has to be compiled. `load_loop` does so as well; a caller that
    knows earlier that it will be called saves the time between. It ends with this process at the latest."""
    if all_compiled() or not can_keep() or describe_machine().cores == 1:
        return None
    beside = compile_beside("from jitnet.engine.loop import compile_other_end; compile_other_end()")
    atexit.register(beside.terminate)
    return beside


@cache
def load_loop() -> None:
    """Compile or load the loop and all that it calls, in two processes where it has to be compiled."""
    kept = load_kept()
    if not kept:
        compile_ahead()
        load_all(linked_functions(steps))
    run_steps(Struct(empty_run()), 0, np.zeros(3))
    if not kept:
        keep_linked(linked_functions(steps))
