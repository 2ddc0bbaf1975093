"""The profile of a function: a worker process measures it, and what it answers becomes records."""

import json
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
from jitnet.profile.functions.arguments import read_words
from jitnet.profile.functions.formula import check_formula, evaluate
from jitnet.profile.functions.function_profile import (
    Argument,
    CompiledFunction,
    Count,
    FunctionProfile,
    Hint,
    Place,
    Region,
    ThreadShare,
)
from jitnet.profile.functions.hints import RULES, Kind
from jitnet.profile.functions.machine_hints import NUMBA, borne_out, calls_and_divisions

__all__ = ["LIMIT_S", "profile_function"]

LIMIT_S = 60.0
"""A worker process that has sent nothing for so long is ended: the function does not return. What comes before a call,
as loading a module and compiling, takes minutes now and then, and has PATIENCE times as long."""

PATIENCE = 10

LOOK_S = 15.0
"""A function that takes longer to compile is not compiled once more for its line view."""

COMPARED_S = 1.5
"""One that takes longer to load and compile is not compiled a third time, without a table of lines, to be compared."""

OUTPUT_KEPT = 4096
"""Characters of the worker process's last output that are looked through for what went wrong."""


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
    limit_s: float = LIMIT_S,
    progress: Callable[[str], None] = lambda what: None,
) -> FunctionProfile:
    """Profile the Numba function that `target` names; its code runs in a process of its own and is not changed.

    target: "package.module:function" or "path/file.py:function". args: words as `arguments.py` knows them; or setup:
    the same form as target, a function that returns the arguments. threads: counts to time a parallel function on, 1 to
    all where None. flop, bytes: formulas of a call, as `formula.evaluate` knows them. cpu: LLVM's name of a processor
    to compile the line view for, this one where None. perf_map: also write the map that perf looks for. limit_s:
    seconds that a call may take; what comes before it gets ten times as long. progress: told what is being done.

    UsageError where the request cannot be met; JitnetError, one line with file and line, where the user's code raised,
    crashed or did not come back.
    """
    where, colon, name = target.rpartition(":")
    if not (colon and where and name):
        raise UsageError(f"TARGET {target}: expected module:function or file.py:function, as in mypkg.kernels:smooth")
    for option, path in (("TARGET", where), ("--setup", (setup or "").rpartition(":")[0])):
        if (path.endswith(".py") or "/" in path) and not Path(path).is_file():
            raise UsageError(f"{option} {path}: there is no such file")
    if setup is not None and not setup.rpartition(":")[0]:
        raise UsageError(f"--setup {setup}: expected module:function or file.py:function, as in mypkg.bench:make_args")
    if args is not None and setup is not None:
        raise UsageError("--args and --setup: both say what to call it with; give one")
    if args is not None:
        read_words(args)
    for option, formula in (("--flop", flop), ("--bytes", bytes)):
        if formula is not None:
            check_formula(option, formula)
    if cpu is not None:
        find_processor(cpu)
    if perf_map and not sys.platform.startswith("linux"):
        raise UsageError("--perf-map: perf is Linux's, and so are its maps; leave the option out")
    counts = sorted(set(threads)) if threads is not None else None
    request = {"target": target, "args": args, "setup": setup, "threads": counts, "perf_map": perf_map}
    answer = _ask(request, target, limit_s, progress)
    profile = _profile(target, answer, flop, bytes)
    progress("reading its machine code")
    return _with_lines(profile, answer, cpu)


def _ask(request: dict[str, Any], target: str, limit_s: float, progress: Callable[[str], None]) -> dict[str, Any]:
    """The worker process's answer to a request."""
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
                f"{target}: nothing came back for more than {limit_s:.0f} s while {error}; give it smaller arguments, "
                "or see whether it waits for something"
            ) from None
        finally:
            if worker.poll() is None:
                worker.kill()
            worker.wait()
    if "refused" in message:
        raise (UsageError if message["usage"] else JitnetError)(message["refused"])
    if "raised" in message:
        raise JitnetError(f"{target}: {message['raised']}, while {message['stage']}")
    return dict(message["answer"])


def _listen(channel: IO[bytes], limit_s: float, progress: Callable[[str], None]) -> tuple[dict[str, Any] | None, str]:
    """The worker process's last message, None where it ended without one, and what it was doing then.

    TimeoutError with what it was doing, where it says nothing for too long.
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
    """The user's environment, without what jitnet sets for its own loops; and whether threads are bound to cores here.

    They are where the user says nothing of it: unbound, OpenMP's threads meet on one core now and then, and a region
    takes milliseconds.
    """
    made = as_found()
    bound = not any(name in made for name in ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY"))
    return made | ({"OMP_PROC_BIND": "true"} if bound else {}), bound


def _crash(code: int, output: IO[bytes], stage: str) -> str:
    """What a worker process that ended without an answer left: the signal, and the line of Python where it was."""
    output.seek(0, os.SEEK_END)
    output.seek(max(0, output.tell() - OUTPUT_KEPT))
    lines = output.read().decode("utf-8", "replace").splitlines()
    homes = (str(Path(__file__).parent), NUMBA, "<frozen")
    places = re.findall(r'^\s*File "([^"]+)", line (\d+)', "\n".join(lines), re.MULTILINE)
    place = next((f"{file}:{line}" for file, line in places if not file.startswith(homes)), "")
    how = f"the process that ran it ended with code {code}"
    if code < 0:
        how = f"the process that ran it was ended by {signal.Signals(-code).name}"
    last = next((line.strip() for line in reversed(lines) if line.strip()), "") if not place and code > 0 else ""
    told = f" ({place})" if place else f": {last[:200]}" if last else ""
    return f"{how} while {stage}{told}"


def _profile(target: str, answer: dict[str, Any], flop: str | None, bytes_: str | None) -> FunctionProfile:
    values = answer["values"]
    return FunctionProfile(
        target=target,
        kind=answer["kind"],
        place=_place(answer["place"]),
        signature=answer["signature"],
        options=answer["options"],
        arguments=tuple(Argument(**each) for each in answer["arguments"]),
        returns=answer["returns"],
        compile_s=answer["compile_s"],
        import_s=answer["import_s"],
        counts=tuple(Count(each["threads"], each["repeats"], tuple(each["samples_s"])) for each in answer["counts"]),
        threads=answer["threads"],
        thread_shares=tuple(ThreadShare(**each) for each in answer["thread_shares"]),
        regions=tuple(
            Region(**each | {"place": _place(each["place"]), "busy_s": tuple(each["busy_s"])})
            for each in answer["regions"]
        ),
        outside_s=answer["outside_s"],
        dispatch_s=answer["dispatch_s"],
        cpu_share=answer["cpu_share"],
        flop=None if flop is None else evaluate("--flop", flop, values),
        bytes=None if bytes_ is None else evaluate("--bytes", bytes_, values),
        flop_formula=flop or "",
        bytes_formula=bytes_ or "",
        functions=tuple(
            CompiledFunction(each["name"], _place(each["place"]), tuple(each["signatures"]), each["compile_s"])
            for each in answer["functions"]
        ),
        hints=_hints(answer["hints"]),
        unsearched=(),
        notes=tuple(answer["notes"]),
        threading_layer=answer["threading_layer"],
        numba=answer["numba"],
        python=answer["python"],
        perf_map=answer["perf_map"],
    )


def _with_lines(profile: FunctionProfile, answer: dict[str, Any], cpu: str | None) -> FunctionProfile:
    """The profile with the line view, and with what the machine code says of hints.

    Hints are about what ran: for another processor they are left as the types gave them.
    """
    view, reason = _look(profile, answer, cpu)
    own = [(kind.value, reason) for kind in (Kind.CALL, Kind.DIVISION)]
    if view is None:
        return replace(profile, unsearched=tuple(own))
    if view.foreign:
        own = [(kind, f"the machine code is {view.cpu}'s, which did not run") for kind, _ in own]
        return replace(profile, lines=view, unsearched=tuple(own))
    found = borne_out(profile.hints, view) + calls_and_divisions(view, answer, profile.cpu_share)
    return replace(profile, lines=view, hints=_ordered(found))


def _look(profile: FunctionProfile, answer: dict[str, Any], cpu: str | None) -> tuple[CodeView | None, str]:
    """The line view, or None and the reason."""
    if not answer["pickled"]:
        return None, "what it was compiled for cannot be handed on, so it cannot be compiled once more"
    if answer["compile_s"] is not None and answer["compile_s"] > LOOK_S:
        return None, f"it takes {answer['compile_s']:.0f} s to compile, and would have to be compiled once more"
    where, _, name = profile.target.rpartition(":")
    folder = str(Path(where).resolve().parent) if where.endswith(".py") else os.getcwd()
    target = Target(name, where, path=(folder,), pickled=answer["pickled"])
    try:
        # The comparison with the code that ran loads and compiles once more: only where that takes little.
        quick = profile.import_s + (profile.compile_s or 0.0) < COMPARED_S
        return look([target], cpu, compared=quick)[0], ""
    except JitnetError as error:
        return None, str(error)


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
    """The gravest kinds first, as `Kind` has them, and by line within a kind."""
    order = [kind.value for kind in Kind]
    return tuple(sorted(hints, key=lambda hint: (order.index(hint.kind), hint.place.file, hint.place.line)))
