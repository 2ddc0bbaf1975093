"""The profile of a function: a worker process measures it, and its reply becomes records."""

import json
import linecache
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from jitnet.compiler.environment import CORES, as_found
from jitnet.errors import JitnetError, UsageError
from jitnet.profile.code.code_view import CodeView, Target
from jitnet.profile.code.look import look
from jitnet.profile.code.processors import find_processor
from jitnet.profile.functions.arguments import TARGET, read_words
from jitnet.profile.functions.counts import counted_of, hardware_of, timeline_of
from jitnet.profile.functions.formula import check_formula, evaluate
from jitnet.profile.functions.function_profile import (
    Argument,
    CompiledFunction,
    Count,
    FunctionProfile,
    Hint,
    LineTime,
    LoopTime,
    Place,
    Region,
    Rest,
    Sampling,
    ThreadShare,
)
from jitnet.profile.functions.hint_shares import HintShares
from jitnet.profile.functions.hints import RULES, Kind
from jitnet.profile.functions.machine_hints import NUMBA, calls_and_divisions, confirmed

__all__ = ["LIMIT_S", "profile_function"]

LIMIT_S = 60.0
"""A worker process that has sent nothing for so long is killed: the function does not return. What comes before a call,
loading a module and compiling, may take minutes, and is allowed PATIENCE times as long."""

PATIENCE = 10

LOOK_S = 15.0
"""A function that takes longer to compile is not compiled again for its line view."""

COMPARED_S = 1.5
"""One that takes longer to load and compile is not compiled a third time, without a line table, for comparison."""

OUTPUT_KEPT = 4096
"""Characters of the worker process's last output that are searched for what went wrong."""


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
    trace: bool = False,
    limit_s: float = LIMIT_S,
    progress: Callable[[str], None] = lambda what: None,
) -> FunctionProfile:
    """Profile the Numba function that `target` names; its code runs in a worker process and is not changed.

    target: "package.module:function" or "path/file.py:function". args: words as `arguments.py` reads them; or setup:
    the same form as target, a function that returns the arguments. threads: counts to time a parallel function on, 1 to
    all where None. flop, bytes: formulas of a call, as `formula.evaluate` reads them. cpu: LLVM's name of a processor
    to compile the line view for, this one where None. perf_map: also write the map that perf looks for.
    trace: also return some calls in `timeline`. limit_s: seconds that a call may take; what comes before it gets ten
    times as long. progress: called with what is being done.

    UsageError where the request cannot be met; JitnetError, one line with file and line, where the user's code raised,
    crashed or did not return.
    """
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
    for option, formula in (("--flop", flop), ("--bytes", bytes)):
        if formula is not None:
            check_formula(option, formula)
    if cpu is not None:
        find_processor(cpu)
    if perf_map and not sys.platform.startswith("linux"):
        raise UsageError("--perf-map: perf and its maps exist on Linux alone; leave the option out")
    counts = sorted(set(threads)) if threads is not None else None
    request = {"target": target, "args": args, "setup": setup, "threads": counts, "perf_map": perf_map}
    request["trace"] = trace
    reply = _ask(request, target, limit_s, progress)
    profile = _profile(target, reply, flop, bytes)
    progress("reading its machine code")
    return _with_lines(profile, reply, cpu)


def _ask(request: dict[str, Any], target: str, limit_s: float, progress: Callable[[str], None]) -> dict[str, Any]:
    """Send a request to a worker process and return its reply."""
    environment, bound = _environment()
    reading, writing = os.pipe()
    asked = json.dumps(request | {"channel": writing, "cores": CORES, "bound": bound})
    with open(reading, "rb", buffering=0) as channel, tempfile.TemporaryFile() as output:
        try:
            worker = subprocess.Popen(
                [sys.executable, "-m", "jitnet.profile.functions.worker", asked],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                pass_fds=(writing,),
            )
        finally:
            os.close(writing)
        try:
            message, stage = _listen(channel, limit_s, progress)
            if message is None:
                raise JitnetError(f"{target}: {_crash(worker.wait(), output, stage)}")
        except TimeoutError as error:
            raise JitnetError(
                f"{target}: no reply for more than {limit_s:.0f} s while {error}; use smaller arguments, "
                "or check whether it waits for something"
            ) from None
        finally:
            if worker.poll() is None:
                worker.kill()
            worker.wait()
    if "refused" in message:
        raise (UsageError if message["usage"] else JitnetError)(message["refused"])
    if "raised" in message:
        raise JitnetError(f"{target}: {message['raised']}, while {message['stage']}")
    return dict(message["reply"])


def _listen(channel: IO[bytes], limit_s: float, progress: Callable[[str], None]) -> tuple[dict[str, Any] | None, str]:
    """Return the worker process's last message, None where it ended without one, and what it was doing then.

    TimeoutError with what it was doing, where it is silent for too long.
    """
    stage, rest = "starting Python", b""
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        while True:
            slow = stage.startswith(("starting", "loading", "making", "compiling"))
            if not selector.select(limit_s * (PATIENCE if slow else 1)):
                raise TimeoutError(stage)
            got = channel.read(1 << 16)
            if not got:
                return None, stage
            *lines, rest = (rest + got).split(b"\n")
            for line in lines:
                message = json.loads(line)
                if set(message) != {"stage"}:
                    return message, stage
                stage = message["stage"]
                progress(stage)


def _environment() -> tuple[dict[str, str], bool]:
    """Return the user's environment, without what jitnet sets for its loops; and whether threads are bound to cores.

    They are where the user has not set it: unbound, two of OpenMP's threads may share a core, and a region then takes
    milliseconds.
    """
    made = as_found()
    bound = not any(name in made for name in ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY"))
    return made | ({"OMP_PROC_BIND": "true"} if bound else {}), bound


def _crash(code: int, output: IO[bytes], stage: str) -> str:
    """Describe a worker process that ended without a reply: the signal, and the line of Python where it was."""
    output.seek(0, os.SEEK_END)
    output.seek(max(0, output.tell() - OUTPUT_KEPT))
    lines = output.read().decode("utf-8", "replace").splitlines()
    homes = (str(Path(__file__).parent), NUMBA, "<frozen")
    places = re.findall(r'^\s*File "([^"]+)", line (\d+)', "\n".join(lines), re.MULTILINE)
    place = next((f"{file}:{line}" for file, line in places if not file.startswith(homes)), "")
    how = f"the process that ran it ended with code {code}"
    if code < 0:
        how = f"the process that ran it was killed by {signal.Signals(-code).name}"
    last = next((line.strip() for line in reversed(lines) if line.strip()), "") if not place and code > 0 else ""
    detail = f" ({place})" if place else f": {last[:200]}" if last else ""
    return f"{how} while {stage}{detail}"


def _profile(target: str, reply: dict[str, Any], flop: str | None, bytes_: str | None) -> FunctionProfile:
    values, counted = reply["values"], counted_of(reply["counted"])
    return FunctionProfile(
        target=target,
        kind=reply["kind"],
        place=_place(reply["place"]),
        signature=reply["signature"],
        options=reply["options"],
        arguments=tuple(Argument(**each) for each in reply["arguments"]),
        returns=reply["returns"],
        compile_s=reply["compile_s"],
        import_s=reply["import_s"],
        counts=tuple(Count(each["threads"], each["repeats"], tuple(each["samples_s"])) for each in reply["counts"]),
        threads=reply["threads"],
        thread_shares=tuple(ThreadShare(**each) for each in reply["thread_shares"]),
        regions=tuple(
            Region(**each | {"place": _place(each["place"]), "busy_s": tuple(each["busy_s"])})
            for each in reply["regions"]
        ),
        outside_s=reply["outside_s"],
        dispatch_s=reply["dispatch_s"],
        cpu_share=reply["cpu_share"],
        flop=counted.flop if flop is None else evaluate("--flop", flop, values),
        bytes=counted.bytes if bytes_ is None else evaluate("--bytes", bytes_, values),
        flop_formula=flop or "",
        bytes_formula=bytes_ or "",
        functions=tuple(
            CompiledFunction(each["name"], _place(each["place"]), tuple(each["signatures"]), each["compile_s"])
            for each in reply["functions"]
        ),
        hints=_hints(reply["hints"]),
        unsearched=(),
        notes=tuple(reply["notes"]),
        threading_layer=reply["threading_layer"],
        numba=reply["numba"],
        python=reply["python"],
        perf_map=reply["perf_map"],
        counted=counted,
        hardware=hardware_of(reply["hardware"]),
        timeline=timeline_of(reply["timeline"]),
        sampling=_sampling(reply["sampling"]),
    )


def _sampling(found: dict[str, Any] | None) -> Sampling | None:
    if found is None:
        return None
    return Sampling(
        samples=found["samples"],
        cost=found["cost"],
        same_code=found["same_code"],
        loops=tuple(LoopTime(**each | {"place": _place(each["place"])}) for each in found["loops"]),
        lines=tuple(
            LineTime(
                Place(each["file"], each["line"], linecache.getline(each["file"], each["line"]).strip()), each["share"]
            )
            for each in found["lines"]
        ),
        rest=tuple(Rest(**each) for each in found["rest"]),
    )


def _with_lines(profile: FunctionProfile, reply: dict[str, Any], cpu: str | None) -> FunctionProfile:
    """Return the profile with the line view, its hints checked against the machine code.

    Hints are about what ran: for another processor they are left as the types suggest them.
    """
    view, reason = _look(profile, reply, cpu)
    unsearched = [(kind.value, reason) for kind in (Kind.CALL, Kind.DIVISION)]
    if view is None:
        return replace(profile, unsearched=tuple(unsearched))
    if view.foreign:
        unsearched = [(kind, f"the machine code is {view.cpu}'s, which did not run") for kind, _ in unsearched]
        return replace(profile, lines=view, unsearched=tuple(unsearched))
    found = confirmed(profile.hints, view) + calls_and_divisions(view, reply, profile.cpu_share)
    return replace(profile, lines=view, hints=_ordered(_weighed(found, reply["sampling"])))


def _weighed(hints: list[Hint], sampling: dict[str, Any] | None) -> list[Hint]:
    """Return the hints, each with the share of its line or loop where it has none."""
    if sampling is None:
        return hints
    shares = HintShares(sampling)
    return [
        replace(each, share=shares.share(each.kind, each.place.file, each.place.line)) if each.share is None else each
        for each in hints
    ]


def _look(profile: FunctionProfile, reply: dict[str, Any], cpu: str | None) -> tuple[CodeView | None, str]:
    """Return the line view, or None and the reason."""
    if not reply["pickled"]:
        return None, "the types of its arguments cannot be pickled, so it cannot be compiled again"
    if reply["compile_s"] is not None and reply["compile_s"] > LOOK_S:
        return None, f"it takes {reply['compile_s']:.0f} s to compile, and would have to be compiled again"
    where, _, name = profile.target.rpartition(":")
    folder = str(Path(where).resolve().parent) if where.endswith(".py") else os.getcwd()
    target = Target(name, where, path=(folder,), pickled=reply["pickled"])
    try:
        # The comparison with the code that ran loads and compiles again: only where that is quick.
        quick = profile.import_s + (profile.compile_s or 0.0) < COMPARED_S
        return look([target], cpu, compared=quick)[0], ""
    except JitnetError as error:
        return None, str(error)


def _line(file: str, line: int) -> Place:
    return Place(file, line, linecache.getline(file, line).strip())


def _place(found: dict[str, Any]) -> Place:
    return Place(found["file"], found["line"], found["source"])


def _hints(found: list[dict[str, Any]]) -> tuple[Hint, ...]:
    return _ordered(
        Hint(
            each["kind"],
            _place(each["place"]),
            each["reason"],
            each["advice"] or RULES[Kind(each["kind"])].advice,
            each["source"],
            each["share"],
        )
        for each in found
    )


def _ordered(hints: Iterable[Hint]) -> tuple[Hint, ...]:
    """Sort the most serious kinds first, as in `Kind`, and by line within a kind; last what never runs."""
    order = [kind.value for kind in Kind]

    def key(hint: Hint) -> tuple[Any, ...]:
        return hint.share == 0, order.index(hint.kind), hint.place.file, hint.place.line

    return tuple(sorted(hints, key=key))
