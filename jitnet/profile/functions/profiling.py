"""The profile of a function: a worker process measures it, and its reply becomes records."""

import linecache
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jitnet.errors import JitnetError, UsageError
from jitnet.profile.code.code_view import CodeView
from jitnet.profile.code.look import EarlyLook
from jitnet.profile.code.processors import find_processor
from jitnet.profile.functions.arguments import TARGET, read_words
from jitnet.profile.functions.early_lines import READING_S, SHORTEST_LOOK_S, EarlyLines, view_target
from jitnet.profile.functions.formula import check_formula
from jitnet.profile.functions.function_profile import FunctionProfile
from jitnet.profile.functions.hint_records import WRONG, Hint
from jitnet.profile.functions.hint_shares import HintShares
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.machine_hints import calls_and_divisions, confirmed
from jitnet.profile.functions.read_reply import read_profile
from jitnet.profile.functions.thresholds import AFTER_COMPILING, FRAME_S, LINES_S, LONGER_CHECKS_S, TIME_S
from jitnet.profile.functions.tried import add_hint, as_sent, in_order, obstacle, read_fix, with_state
from jitnet.profile.functions.worker_process import LIMIT_S, Order, asked

__all__ = ["check_places", "ending", "profile_function"]

TRIALS = 0.5
"""The share of the time after the measurement that the trials of remedies get at least."""


def profile_function(
    target: str,
    *,
    args: str | None = None,
    setup: str | None = None,
    threads: Sequence[int] | None = None,
    flop: str | None = None,
    bytes: str | None = None,
    cpu: str | None = None,
    perf_map: bool = False,
    time_s: float = TIME_S,
    trace: bool = False,
    limit_s: float = LIMIT_S,
    progress: Callable[[str], None] = lambda what: None,
) -> FunctionProfile:
    """Profile the Numba function that `target` names; its code runs in a worker process and is not changed.

    target: "package.module:function" or "path/file.py:function". args: words as `arguments.py` reads them; or setup:
    the same form as target, a function that returns the arguments. threads: counts to time a parallel function on, 1 to
    all where None. flop, bytes: formulas of a call, as `formula.evaluate` reads them. cpu: LLVM's name of a processor
    to compile the line view for, this one where None. perf_map: also write the map that perf looks for. time_s: seconds
    of the whole answer, of which the trials of remedies get what is left; after compiling there are AFTER_COMPILING of
    it at least. trace: also return some calls in `timeline`. limit_s: seconds that a call may take; what comes before
    it gets ten times as long. progress: called with what is being done.

    UsageError where the request cannot be met; JitnetError, one line with file and line, where the user's code raised,
    crashed or did not return.
    """
    begin = time.perf_counter()
    check_places(target, args, setup)
    linecache.checkcache()  # a file may have been saved since the last profile
    for option, formula in (("--flop", flop), ("--bytes", bytes)):
        if formula is not None:
            check_formula(option, formula)
    if cpu is not None:
        find_processor(cpu)
    if perf_map and not sys.platform.startswith("linux"):
        raise UsageError("--perf-map: perf and its maps exist on Linux alone; leave the option out")
    counts = sorted(set(threads)) if threads is not None else None
    request: dict[str, Any] = {"target": target, "args": args, "setup": setup, "threads": counts, "perf_map": perf_map}
    request |= {"time_s": time_s, "trace": trace}

    def at_stage(what: str) -> None:
        early.stage(what)
        progress(what)

    with (
        EarlyLines(target, cpu) as early,
        asked(request, target, limit_s, at_stage, early.compiled) as (reply, order),
    ):
        ends = ending(begin, time.perf_counter() - reply["spent_s"], time_s)
        profile = read_profile(target, reply, flop, bytes)
        left_s = ends - time.perf_counter()
        look_s = READING_S if early.is_given else LINES_S + (reply["compile_s"] or 0.0)
        # The trials come first: what the machine code looks like does not matter where a change helps.
        profile = _with_trials(profile, order, max(left_s - look_s, TRIALS * left_s))
        progress("reading its machine code")
        profile = _with_lines(profile, reply | {"left_s": ends - time.perf_counter()}, cpu, early)
        return _searched(_with_trials(profile, order, ends - time.perf_counter(), combined=True))


def ending(begin_s: float, compiled_s: float, time_s: float) -> float:
    """Return by when an answer of so many seconds ends, of which AFTER_COMPILING follow compiling at least; all by one
    clock."""
    return max(begin_s + time_s - FRAME_S, compiled_s + AFTER_COMPILING * time_s)


def check_places(target: str, args: str | None, setup: str | None) -> None:
    """UsageError where a target, the words of `--args` or `--setup` cannot be right, before anything is started."""
    where, colon, name = target.rpartition(":")
    if not (colon and where and name):
        raise UsageError(f"{TARGET} {target}: expected module:function or file.py:function, as in mypkg.kernels:smooth")
    for option, path in ((TARGET, where), ("--setup", (setup or "").rpartition(":")[0])):
        if (path.endswith(".py") or "/" in path) and not Path(path).is_file():
            raise UsageError(f"{option} {path}: there is no such file")
    if setup is not None and not setup.rpartition(":")[0]:
        raise UsageError(f"--setup {setup}: expected module:function or file.py:function, as in mypkg.bench:make_args")
    if args is not None and setup is not None:
        raise UsageError("--args and --setup: both say what to call it with; use one of them")
    if args is not None:
        read_words(args)


def _with_trials(profile: FunctionProfile, order: Order, left_s: float, combined: bool = False) -> FunctionProfile:
    """Return the profile with what the remedies of its hints did, tried in so many seconds; combined: and with what
    helps, combined."""
    reason = obstacle(profile)
    if reason:
        untried = [hint if hint.kind in WRONG else replace(hint, untried=reason) for hint in profile.hints]
        return replace(profile, hints=in_order(untried))
    hints, fix = list(profile.hints), profile.fix
    try:
        for message in order({"hints": as_sent(hints), "left_s": max(0.0, left_s), "combined": combined}):
            if "fix" in message["tried"]:
                fix = read_fix(message["tried"]["fix"])
            else:
                with_state(hints, message["tried"])
    except JitnetError as error:
        # A changed copy may crash or never return; the profile is of the original.
        reason = str(error).removeprefix(f"{profile.target}: ")
        hints = [hint if hint.trial or hint.untried else replace(hint, untried=reason) for hint in hints]
    return replace(profile, hints=in_order(hints), fix=fix)


def _with_lines(profile: FunctionProfile, reply: dict[str, Any], cpu: str | None, early: EarlyLines) -> FunctionProfile:
    """Return the profile with the line view, its hints checked against the machine code.

    Hints are about what ran: for another processor they are left as the types suggest them.
    """
    view, reason = _look(profile, reply, (cpu, early))
    unsearched = [(kind.value, reason) for kind in (Kind.CALL, Kind.DIVISION)]
    if view is None:
        return replace(profile, unsearched=tuple(unsearched))
    if view.foreign:
        unsearched = [(kind, f"the machine code is {view.cpu}'s, which did not run") for kind, _ in unsearched]
        return replace(profile, lines=view, unsearched=tuple(unsearched))
    profile = replace(profile, notes=(*profile.notes, *_absent(view)))
    helping = [hint for hint in profile.hints if hint.trial is not None and hint.trial.helps]
    others = [hint for hint in profile.hints if hint not in helping]
    found = helping + confirmed(others, view)
    for hint in calls_and_divisions(view, reply, profile.cpu_share):
        add_hint(found, hint)
    return replace(profile, lines=view, hints=in_order(_weighed(found, reply["sampling"])))


def _searched(profile: FunctionProfile) -> FunctionProfile:
    """Return the profile without reasons why a kind of hint could not be looked for where there is one of that kind:
    trying changes may find it without the machine code."""
    found = {hint.kind for hint in profile.hints}
    return replace(profile, unsearched=tuple(each for each in profile.unsearched if each[0] not in found))


def _weighed(hints: list[Hint], sampling: dict[str, Any] | None) -> list[Hint]:
    """Return the hints, each with the share of its line or loop where it has none."""
    if sampling is None:
        return hints
    shares = HintShares(sampling)
    return [
        replace(each, share=shares.share(each.kind, each.place.file, each.place.line)) if each.share is None else each
        for each in hints
    ]


def _absent(view: CodeView) -> list[str]:
    """Return a note where loops of the function are not in the machine code, so that the time is not theirs."""
    notes = []
    for became, why in (
        ("deleted", "deleted, since nothing uses what is computed there: return it, or write it to an array"),
        ("deleted, or computed without a loop", "deleted, since nothing uses the result, or computed without a loop"),
    ):
        lines = [str(loop.line) for loop in view.loops if loop.gone == became]
        if lines:
            which = f"loops of lines {', '.join(lines)} were" if len(lines) > 1 else f"loop of line {lines[0]} was"
            notes.append(f"in the code that was timed, the {which} {why}")
    return notes


def _look(
    profile: FunctionProfile, reply: dict[str, Any], by: tuple[str | None, EarlyLines]
) -> tuple[CodeView | None, str]:
    """Return the line view, or None and the reason. by: the processor, and the process that may have compiled it."""
    cpu, early = by
    if not reply["pickled"]:
        return None, "the types of its arguments cannot be pickled, so it cannot be compiled again"
    if reply["compile_s"] is not None and reply["compile_s"] > max(SHORTEST_LOOK_S, reply["left_s"] - LINES_S):
        again = f"it takes {reply['compile_s']:.1f} s to compile, and would have to be compiled again"
        needed_s = reply["spent_s"] + LONGER_CHECKS_S + (LINES_S + reply["compile_s"]) / (1 - TRIALS)
        return None, f"{again}: --time {math.ceil(needed_s / AFTER_COMPILING)} allows that"
    try:
        making = early.look(reply["pickled"])
        if making is None:
            with EarlyLook(view_target(profile.target), cpu) as making:
                making.give(reply["pickled"])
                return making.view(reply["plain"]), ""
        return making.view(reply["plain"]), ""
    except JitnetError as error:
        return None, str(error)
