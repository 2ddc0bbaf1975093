"""Parts of one parallel region wait for each other without leaving it.

A barrier costs a small part of what it takes to end a parallel region and start the next. Parts meet by dissemination
(Hensgen, Finkel and Manber 1988), in rounds: in each round a part reports what it knows in a word that it alone writes,
and waits for the words of three others. In the first round these are the three parts before it, and then it knows that
four parts have come, itself among them. In the next they are those 4, 8 and 12 before it, each of which knows of four,
and so on. Up to 4 parts meet in one round, up to 16 in two, up to 64 in three. No word is read by all parts, and no
part reads all words.

It needs all parts to run at the same time, each on a separate thread, and no threading layer guarantees that. So they
agree first: `all_here` waits for them, and where one does not come, returns no to every part, however late. The caller
then does without barriers.

Words are numbers of one array, each part's in a page that no other part writes to (see `GAP_BYTES` in
engine.arena); the page ahead of them is shared. A part's word only grows, also from one region to the next: each region
counts from a number greater than any before, so words need not be cleared.
"""

import sys
import time
from typing import Any

import llvmlite.binding as llvm
import llvmlite.ir as ir
import numpy as np
import numpy.typing as npt
from numba import config, types

from jitnet.compiler.decorators import helper, linked
from jitnet.compiler.intrinsics import intrinsic
from jitnet.compiler.numba_parts import cgutils
from jitnet.compiler.signatures import COUNTS, INT
from jitnet.machine.pages import untouched

__all__ = ["BARRIERS", "add_at_once", "all_here", "barrier_words", "forget_barrier", "may_wait", "wait_for_all"]

_APART = 512
"""Words from one part's to the next one's: a page."""

_PATIENCE = 20_000
"""Looks, some milliseconds in all, after which a part that has not come is given up."""

_SPINS = 2_000
"""Looks, a tenth of a millisecond, after which a part that waits lets other threads have its core between them."""

_RADIX = 4
"""Factor by which each round multiplies the parts that a part knows of. Three words are read at once in about the time
of one, so more of them a round, and fewer rounds, cost less in a row."""

_MOST_ROUNDS = 16
"""Rounds of a meeting at the most, enough for 4**16 parts: words of one meeting are greater than all of the one before
it."""

_REGION_BITS = 32
"""Bits of a word that count within a region, enough for 2**28 meetings; those above count regions, enough for more than
a year at 50 a second."""

_REFUSALS = 3
"""Times that parts did not all come, after which no part waits for them any more."""

_YES, _NO = 1, 2
_BASE, _DECISION, _REFUSED = 1, 2, 3  # places in the shared page; the first is for `add_at_once`


BARRIERS = not config.DISABLE_JIT
"""Whether there are threads that could wait: without the compiler there are none."""


def barrier_words(parts: int) -> npt.NDArray[np.int64]:
    """What so many parts need: (words,) int64."""
    return untouched((parts + 1) * _APART if parts > 1 else 0, np.int64)


if config.DISABLE_JIT:

    def _store(words: npt.NDArray[np.int64], at: int, value: int) -> None:
        """words[at] = value, seen by others once all that was written before is seen."""
        words[at] = value

    def _load(words: npt.NDArray[np.int64], at: int) -> int:
        """words[at]; all that was written before it was stored is seen from here on."""
        return int(words[at])

    def _decide(words: npt.NDArray[np.int64], at: int, value: int) -> int:
        """Replace 0 by value atomically; returns the value that is there afterwards."""
        words[at] = words[at] or value
        return int(words[at])

    def add_at_once(words: npt.NDArray[np.int64], at: int, value: int) -> int:
        """Add to words[at] in one step, and give what stood there: no two parts are given the same."""
        words[at] += value
        return int(words[at]) - value

    def _rest(spins: int) -> None:
        """Let another thread run for a moment."""
        time.sleep(0)

else:
    _WORD = ir.IntType(64)
    _HINTS = {"x86_64": "llvm.x86.sse2.pause", "amd64": "llvm.x86.sse2.pause", "aarch64": "llvm.aarch64.hint"}
    _MACHINE = llvm.get_process_triple().split("-")[0]

    def _place(context: Any, builder: Any, array_type: Any, array: Any, at: Any) -> Any:
        return builder.gep(context.make_array(array_type)(context, builder, array).data, [at])

    @intrinsic
    def _store(typing, words, at, value):
        def codegen(context, builder, signature, args):
            builder.store_atomic(args[2], _place(context, builder, signature.args[0], *args[:2]), "release", 8)
            return context.get_dummy_value()

        return types.void(words, types.intp, types.int64), codegen

    @intrinsic
    def _load(typing, words, at):
        def codegen(context, builder, signature, args):
            return builder.load_atomic(_place(context, builder, signature.args[0], *args), "acquire", 8)

        return types.int64(words, types.intp), codegen

    @intrinsic
    def _decide(typing, words, at, value):
        def codegen(context, builder, signature, args):
            place = _place(context, builder, signature.args[0], *args[:2])
            pair = builder.cmpxchg(place, ir.Constant(_WORD, 0), args[2], "acq_rel", "acquire")
            return builder.select(builder.extract_value(pair, 1), args[2], builder.extract_value(pair, 0))

        return types.int64(words, types.intp, types.int64), codegen

    @intrinsic
    def add_at_once(typing, words, at, value):
        def codegen(context, builder, signature, args):
            place = _place(context, builder, signature.args[0], *args[:2])
            return builder.atomic_rmw("add", place, args[2], "monotonic")

        return types.int64(words, types.intp, types.int64), codegen

    @intrinsic
    def _rest(typing, spins):
        def codegen(context, builder, signature, args):
            hint = _HINTS.get(_MACHINE)
            if hint:
                operands = [ir.Constant(ir.IntType(32), 1)] if "aarch64" in hint else []
                kind = ir.FunctionType(ir.VoidType(), [operand.type for operand in operands])
                builder.call(cgutils.get_or_insert_function(builder.module, kind, hint), operands)
            if sys.platform != "win32":
                many = builder.icmp_signed(">", args[0], ir.Constant(_WORD, _SPINS))
                with builder.if_then(many, likely=False):
                    kind = ir.FunctionType(ir.IntType(32), [])
                    builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
            return context.get_dummy_value()

        return types.void(types.int64), codegen


@helper
def may_wait(words, parts):
    """Whether so many parts may try: there is room for them, and they were not missed too often."""
    return parts > 1 and words.shape[0] >= (parts + 1) * _APART and words[_REFUSED] < _REFUSALS


@helper
def _word_of(part):
    """The place of a part's word."""
    return (part + 1) * _APART


@helper
def forget_barrier(words):
    """Begin again, before a region: what parts have written so far no longer counts. No part's word is written."""
    words[_BASE] += 1 << _REGION_BITS
    words[_DECISION] = 0


@linked(COUNTS, INT, INT, returns=INT)
def all_here(words, part, parts):
    """1 for every part where all run at the same time, else 0 for every part."""
    verdict, here = _NO, words[_BASE] + 1
    _store(words, _word_of(part), here)
    if part == 0:
        spins = 0
        while verdict == _NO and spins < _PATIENCE:
            missing = 0
            for other in range(parts):
                missing += _load(words, _word_of(other)) < here
            verdict = _YES if missing == 0 else _NO
            _rest(spins)
            spins += 1
        verdict = _decide(words, _DECISION, verdict)
        if verdict == _NO:
            words[_REFUSED] += 1
    else:
        # Longer than the first part looks, which may only have begun to.
        spins = 0
        while _load(words, _DECISION) == 0 and spins < 2 * _PATIENCE:
            _rest(spins)
            spins += 1
        verdict = _decide(words, _DECISION, _NO)
    return 1 if verdict == _YES else 0


@linked(COUNTS, INT, INT, INT)
def wait_for_all(words, part, parts, number):
    """The barrier: continue once every part has called this with this number, 1, 2, 3, …

    What any part wrote before it is visible to all after it.
    """
    # A part stores its word (release) only behind the loads (acquire) that showed it the words of the round before. So
    # a part that sees a word sees what its writer wrote before the barrier, and also what every part wrote that the
    # writer knows of. After the last round that is all of them. A part that is late, or one barrier ahead, does no
    # harm: words only grow, and each has one writer.
    base = words[_word_of(part)] >> _REGION_BITS << _REGION_BITS
    mark, known = base + number * _MOST_ROUNDS, 1
    while known < parts:
        mark += 1
        _store(words, _word_of(part), mark)
        for before in range(known, min(_RADIX * known, parts), known):
            other = (part - before + parts) % parts
            spins = 0
            while _load(words, _word_of(other)) < mark:
                _rest(spins)
                spins += 1
        known *= _RADIX
