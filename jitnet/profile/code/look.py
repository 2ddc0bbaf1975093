"""From what to look at to what LLVM made of it."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jitnet.version
from jitnet.compiler.environment import CORES, as_found
from jitnet.errors import JitnetError, UsageError
from jitnet.profile.code.analysers import HINT, analyse, analyser_name
from jitnet.profile.code.assembly import MachineFunction, MachineLoop, count, read_assembly
from jitnet.profile.code.code_view import Body, CodeView, Loop, Mca, Source, Target
from jitnet.profile.code.processors import Processor, find_processor
from jitnet.profile.code.remarks import Fate, fates, read_remarks
from jitnet.profile.code.source import SourceLoop, function_source, loop_at, match, place_of
from jitnet.profile.readable import demangle

__all__ = ["look", "view"]

Progress = Callable[[str, int, int], None]

POLL_S = 0.02
ERROR_TEXTS = ("numba/cpython/unicode.py", "numba/cpython/unicode_support.py")
"""Files of Numba whose loops are in nearly every function that may raise: they write the error's text."""

ONE_STEP = (
    "it walks memory in steps that are known only when it runs; LLVM made vectors for steps of one element alone, and "
    "what is counted here is what runs for all others"
)

ALIKE = 0.02
"""Share by which the instructions with and without a table of lines may differ, before the view says so."""


def look(
    targets: Sequence[Target],
    cpu: str | None = None,
    *,
    analysed: bool = True,
    compared: bool | None = None,
    progress: Progress | None = None,
) -> list[CodeView]:
    """The views of functions, in the order of `targets`, compiled for this machine or for LLVM's processor `cpu`.

    Own kernels and functions of modules are not looked at in one call. A worker process compiles; what Numba or the
    module's own code prints there is kept out of the way. analysed: ask llvm-mca or OSACA, where installed, for the
    cycles of main innermost bodies. compared: compile a second time without a table of lines, beside the first, and
    compare; by default for a single function. progress: called as (what, done, total) as each function is begun. A
    function takes 0.2 to 2 s, an own one with what it calls; the worker's start takes one more.

    Raises UsageError for a processor that LLVM does not know, a module or function that is not there, or arguments that
    are no Numba types; JitnetError where compiling fails, with Numba's reason.
    """
    processor = find_processor(cpu) if cpu is not None else None
    compared = len(targets) == 1 if compared is None else compared
    name = processor.name if processor else _host()
    foreign = processor is not None and processor.name != _host()
    with tempfile.TemporaryDirectory(prefix="jitnet-") as folder, ExitStack() as stack:
        worker = stack.enter_context(_Worker(Path(folder), "lines", targets, processor, lines=True))
        beside = [_Worker(Path(folder), "plain", targets, processor, lines=False)] if compared else []
        plain = [stack.enter_context(one) for one in beside]
        answers = worker.answers(progress)
        bits = next(answers)["vector_bits"]
        # Read while the worker compiles the next.
        views = [view(answer, name, foreign, bits, analysed=analysed) for answer in answers]
        counts = [_instructions(answer) for one in plain for answer in list(one.answers(None))[1:]]
    return [_compared(one, count) for one, count in zip(views, counts, strict=True)] if counts else views


def _host() -> str:
    import llvmlite.binding as llvm

    return str(llvm.get_host_cpu_name())


class _Worker:
    """A process that compiles, and its answers."""

    def __init__(
        self, folder: Path, name: str, targets: Sequence[Target], processor: Processor | None, *, lines: bool
    ) -> None:
        self._out, self._said = folder / f"{name}.jsonl", folder / f"{name}.txt"
        self._out.touch()
        request = folder / f"{name}.json"
        request.write_text(
            json.dumps(
                {
                    "targets": [asdict(target) for target in targets],
                    "processor": {"name": processor.name, "triple": processor.triple} if processor else None,
                    "lines": lines,
                    "cores": CORES,
                    "out": str(self._out),
                }
            ),
            encoding="utf-8",
        )
        self._cpu = processor.name if processor else "this processor"
        self._total = len(targets)
        self._file = self._out.open(encoding="utf-8")
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jitnet.profile.code.worker", str(request)],
                env=_environment(folder, own=all(not target.module for target in targets)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )

    def answers(self, progress: Progress | None) -> Iterator[dict[str, Any]]:
        """Its head, then an answer a function. Raises what the worker reports, and where it ended before it was
        done."""
        what, given, rest = "", 0, ""
        while given <= self._total:
            ended = self._process.poll() is not None
            rest += self._file.read()
            *lines, rest = rest.split("\n")
            for line in lines:
                answer = json.loads(line)
                if "error" in answer:
                    text = answer["error"]
                    raise UsageError(text) if answer["usage"] else JitnetError(f"cannot compile {what}: {text}")
                if "start" in answer:
                    what = answer["start"]
                    if progress is not None:
                        progress(what, answer["number"], self._total)
                else:
                    given += 1
                    yield answer
            if ended and not lines:
                raise JitnetError(
                    f"the compiler ended without a word while it compiled {what or 'nothing yet'} for {self._cpu}"
                    f" (exit code {self._process.returncode}){self._last_words()}"
                )
            if not lines:
                time.sleep(POLL_S)
        if progress is not None:
            progress(what, self._total, self._total)

    def _last_words(self) -> str:
        said = [line for line in self._said.read_text(errors="replace").splitlines() if line.strip()]
        return f": {said[-1].strip()[:200]}" if said else ""

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._process.kill()
        self._process.wait()
        self._file.close()


def _environment(folder: Path, *, own: bool) -> dict[str, str]:
    """The environment of a worker: what is looked at does not come from a cache, and nothing goes into one.

    For functions that are not ours it has no settings of ours: with them they would be other code than they are. Their
    modules may load from the user's cache what they compile as they are imported.
    """
    made = dict(os.environ) if own else as_found()
    for name in ("NUMBA_DISABLE_JIT", "NUMBA_DEBUGINFO", "NUMBA_BOUNDSCHECK"):
        made.pop(name, None)
    package = str(Path(jitnet.version.__file__).parents[1])
    made["PYTHONPATH"] = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    made["JITNET_CACHE"] = os.devnull  # no folder can be made there: nothing is looked for, nothing kept
    if own:
        made["NUMBA_CACHE_DIR"] = str(folder / "cache")
    made["OMP_PROC_BIND"] = "false"
    return made


def _instructions(answer: dict[str, Any]) -> int:
    return sum(len(function.instructions) for function in _reached(answer["assembly"], answer["roots"]))


def _reached(assembly: str, roots: Sequence[str]) -> list[MachineFunction]:
    """The functions that run when those of `roots` are called. Beside them the text has wrappers for Python, and whole
    copies of what was inlined."""
    known = {function.symbol: function for function in read_assembly(assembly)}
    waiting, reached = [root for root in roots if root in known], dict[str, None]()
    while waiting:
        symbol = waiting.pop(0)
        if symbol not in reached:
            reached[symbol] = None
            waiting += [name for name in known if name in known[symbol].names]
    return [known[symbol] for symbol in reached]


def view(
    answer: dict[str, Any],
    cpu: str,
    foreign: bool,
    vector_bits: int,
    *,
    analysed: bool = False,
) -> CodeView:
    """The view of a function, from a worker's answer."""
    functions = _reached(answer["assembly"], answer["roots"])
    what_became = _fates(answer)
    bodies: dict[tuple[SourceLoop, str | None], list[Body]] = {}
    for source, function, machine in match(functions):
        if source.file.replace(os.sep, "/").endswith(ERROR_TEXTS):
            continue
        bodies.setdefault((source, _parallel(source, function)), []).append(_body(function, machine))
    # Loops that are in no machine code: unrolled whole. Their functions must be ours, or have other loops here.
    shown = {(source.file, source.function) for source, _ in bodies}
    shown.add((answer["file"], answer["function"].rpartition(".")[2]))
    for source in what_became:
        gone = not any(source == other for other, _ in bodies)
        if gone and what_became[source].whole and (source.file, source.function) in shown:
            bodies[source, None] = []

    own = function_source(answer["file"], answer["line"])
    sources: dict[tuple[str, int], Source] = {}
    if own is not None:
        sources[own.file, own.first_line] = own
    for source, _ in bodies:
        found = function_source(source.file, source.line)
        if found is not None:
            sources.setdefault((found.file, found.first_line), found)

    def order(key: tuple[SourceLoop, str | None]) -> tuple[int, int, int, str]:
        found = function_source(key[0].file, key[0].line)
        place = list(sources).index((found.file, found.first_line)) if found else len(sources)
        return place, key[0].line, key[0].depth, key[1] or ""

    aarch64 = not any("%" in one.text for function in functions for one in function.instructions)
    loops = [
        _loop(key[0], key[1], bodies[key], what_became.get(key[0], Fate()), cpu if analysed else "", aarch64)
        for key in sorted(bodies, key=order)
    ]
    instructions = sum(len(function.instructions) for function in functions)
    return CodeView(
        function=answer["function"],
        module=answer["module"],
        signature=answer["signature"],
        kind=answer["kind"],
        cpu=cpu,
        foreign=foreign,
        vector_bits=vector_bits,
        sources=tuple(sources.values()),
        loops=tuple(loops),
        instructions=instructions,
        straight=tuple(one for function in functions for one in function.straight),
        notes=tuple(_notes(answer, cpu, foreign, analysed, loops)),
    )


def _fates(answer: dict[str, Any]) -> dict[SourceLoop, Fate]:
    """What became of the loops; of a function that Numba calls for each element, its lines are one loop."""
    elementwise = answer["kind"] in ("vectorize", "guvectorize")
    own = function_source(answer["file"], answer["line"])

    def where(file: str, line: int) -> SourceLoop | None:
        found = loop_at(file, line) or place_of(file, line)
        if elementwise and own is not None and found is not None and not found.written:
            return place_of(own.file, own.first_line)
        return found

    found = fates(read_remarks(answer["remarks"]), where)
    for source in {where(file, line) for file, line in answer["one_step"]}:
        if source in found and found[source].vectorised:
            told = found[source]
            remark = f"vectorized loop (vectorization width: {told.width}, interleaved count: {told.interleaved})"
            found[source] = replace(told, vectorised=False, reason=ONE_STEP, remark=remark, one_step=True)
    return found


def _parallel(source: SourceLoop, function: MachineFunction) -> str | None:
    if "__numba_parfor_gufunc" in function.symbol:
        return "body"
    return "serial" if source.prange else None


def _body(function: MachineFunction, machine: MachineLoop) -> Body:
    return Body(
        symbol=function.symbol,
        depth=machine.depth,
        innermost=not machine.inside,
        role="rest",
        iterations=1,
        counts=count(machine.instructions),
        instructions=machine.instructions,
    )


def _work(body: Body) -> int:
    """What grows with the turns that a body does at once."""
    return body.counts.flop or body.counts.load_bytes + body.counts.store_bytes


def _loop(source: SourceLoop, parallel: str | None, bodies: list[Body], fate: Fate, cpu: str, aarch64: bool) -> Loop:
    """A loop of the source with its bodies in order: the one with the widest vectors first. cpu: "" asks nobody for
    cycles."""

    def rank(body: Body) -> tuple[Any, ...]:
        counts = body.counts
        moved = counts.load_bytes + counts.store_bytes
        bits = -counts.vector_bits if fate.one_step else counts.vector_bits
        return body.innermost == source.innermost, bits, counts.flop, moved, counts.instructions

    ordered = sorted(bodies, key=rank, reverse=True)
    if ordered and ordered[0].innermost:
        ordered = _with_iterations(ordered, fate)
    if ordered:
        main = replace(ordered[0], role="main")
        if cpu and main.innermost:
            main = replace(main, mca=_cycles(main, cpu, aarch64))
        ordered[0] = main
    told = source.innermost and bool(ordered)
    reason, remark = (fate.reason, fate.remark) if told else ("", "")
    if told and not reason and ordered[0].counts.calls:
        called = [one for one in ordered[0].instructions if one.kind == "call"]
        names = dict.fromkeys(demangle(one.callee).replace("<locals>.", "") or "a function" for one in called)
        reason = f"it calls {' and '.join(names)}"
    vectorised = fate.vectorised and bool(ordered) and ordered[0].counts.vector_bits > 0
    unrolled = 0 if not ordered else 1 if vectorised else ordered[0].iterations
    return Loop(
        file=source.file,
        line=source.line,
        last_line=source.last_line,
        function=source.function,
        depth=source.depth,
        innermost=source.innermost,
        parallel=parallel,
        vectorised=vectorised,
        width=fate.width if vectorised else 0,
        scalable=fate.scalable and vectorised,
        interleaved=fate.interleaved if vectorised else 1,
        unrolled=unrolled,
        reason="" if vectorised else reason,
        remark="" if vectorised else remark,
        bodies=tuple(ordered),
    )


def _with_iterations(bodies: list[Body], fate: Fate) -> list[Body]:
    """How many turns of the source's loop a turn of each body makes: of the main one as LLVM told, of the others by
    what they do beside it. A scalar loop that LLVM unrolled has a rest that does one turn at a time."""
    main, least = bodies[0], min(_work(body) for body in bodies)
    share = _work(main) // least if least else 0
    if fate.vectorised and main.counts.vector_bits:
        turns = fate.width * fate.interleaved
    elif len(bodies) == 1:
        turns = 1 if fate.whole else fate.unrolled
    else:  # unrolled once or twice, each time by what was told
        turns = share if fate.unrolled > 1 and share and share % fate.unrolled == 0 else 1

    def of(body: Body) -> int:
        share = turns * _work(body) / _work(main) if _work(main) else 1.0
        return int(share) if share >= 1 and share == int(share) else 1

    return [replace(main, iterations=turns), *(replace(body, iterations=of(body)) for body in bodies[1:])]


def _cycles(body: Body, cpu: str, aarch64: bool) -> Mca | None:
    if body.counts.calls:
        name = analyser_name()
        return Mca(name, cpu, note="it calls a function: no bound") if name else None
    return analyse(body.instructions, cpu, aarch64)


def _notes(answer: dict[str, Any], cpu: str, foreign: bool, analysed: bool, loops: list[Loop]) -> Iterator[str]:
    if foreign:
        yield f"compiled for {cpu} and read; it did not run"
    if answer["object_mode"]:
        yield "object mode: Numba could not give every value a type, and each operation calls Python"
    if any(loop.scalable for loop in loops):
        yield "the length of a vector is the processor's choice; it is counted as the 128 bits that it has at the least"
    if analysed and not analyser_name():
        yield HINT


def _compared(found: CodeView, plain: int) -> CodeView:
    """A view with the count of instructions without a table of lines, and a word where that is another."""
    notes = found.notes
    if abs(found.instructions - plain) > ALIKE * plain:
        told = f"{found.instructions} instructions with it, {plain} without; what is shown is not quite what runs"
        notes = (*notes, f"the table of lines changed the code: {told}")
    return replace(found, plain_instructions=plain, notes=notes)
