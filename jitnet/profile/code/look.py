"""From functions to views of their machine code."""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from jitnet.errors import JitnetError
from jitnet.profile.code.analysers import HINT, analyse, analyser_name
from jitnet.profile.code.assembly import MachineFunction, MachineLoop, count, read_assembly
from jitnet.profile.code.code_view import Body, CodeView, Loop, Mca, Source, Target
from jitnet.profile.code.compiling import CompilerEnded, CompilingProcess, Progress
from jitnet.profile.code.processors import Processor, find_processor
from jitnet.profile.code.remarks import Fate, fates, read_remarks
from jitnet.profile.code.source import SourceLoop, function_source, is_unused, loop_at, match, module_loops, place_of
from jitnet.profile.readable import demangle

__all__ = ["EarlyLook", "look", "look_each", "view"]

ERROR_TEXTS = ("numba/cpython/unicode.py", "numba/cpython/unicode_support.py")
"""Files of Numba whose loops are in nearly every function that may raise: they format the error's text."""

ONE_STEP = (
    "its stride in memory is known only at run time; LLVM made vectors for a stride of one element only, and what is "
    "counted here runs for all others"
)

IDIOMS = ("memset", "memcpy", "memmove")
"""What LLVM calls in place of loops that only fill or copy."""

DELETED, WITHOUT_LOOP, EITHER = "deleted", "computed without a loop", "deleted, or computed without a loop"

ALIKE = 0.02
"""Share by which the instructions with and without a line table may differ before the view reports it."""


def look(
    targets: Sequence[Target],
    cpu: str | None = None,
    *,
    analysed: bool = True,
    compared: bool | None = None,
    progress: Progress | None = None,
) -> list[CodeView]:
    """Return the views of functions, in the order of `targets`, compiled for this machine or LLVM's processor `cpu`.

    One call takes either this project's kernels or functions of modules. A worker process compiles; what Numba or the
    module prints there is dropped. analysed: call llvm-mca or OSACA, where installed, for the cycles of main innermost
    bodies. compared: compile a second time without a line table, in parallel, and compare; by default for a single
    function. progress: called as (what, done, total) when a function is started. A function takes 0.2 to 2 s, a kernel
    with its callees; the worker's start takes another second.

    Raises UsageError for a processor that LLVM does not know, a module or function that does not exist, or arguments
    that are not Numba types; JitnetError where compiling fails, with Numba's reason.
    """
    processor = find_processor(cpu) if cpu is not None else None
    compared = len(targets) == 1 if compared is None else compared
    with tempfile.TemporaryDirectory(prefix="jitnet-") as folder, ExitStack() as stack:
        worker = stack.enter_context(CompilingProcess(Path(folder), "lines", targets, processor, lines=True))
        second = [CompilingProcess(Path(folder), "plain", targets, processor, lines=False)] if compared else []
        plain = [stack.enter_context(one) for one in second]
        views = list(_views(worker, processor, analysed, progress))
        counts = [_instructions(reply) for one in plain for reply in list(one.replies(None))[1:]]
    return [_compared(one, count) for one, count in zip(views, counts, strict=True)] if counts else views


class EarlyLook:
    """The view of one function, by a process that starts at once and gets the types of its arguments by `give`.

    So Numba is loaded before the types are known. pickled: the types that it got, "" before that. Between `pause` and
    `resume` it takes no time of the processor's.
    """

    def __init__(self, target: Target, cpu: str | None = None) -> None:
        self._processor = find_processor(cpu) if cpu is not None else None
        self.pickled = ""
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jitnet-")))
            process = CompilingProcess(folder, "lines", [target], self._processor, lines=True, later=True)
            self._process = stack.enter_context(process)
            self._ends = stack.pop_all()

    def give(self, pickled: str) -> None:
        """Let it compile for these types, as in `Target.pickled`."""
        self.pickled = pickled
        self._process.give(pickled)

    def pause(self) -> None:
        self._process.pause()

    def resume(self) -> None:
        self._process.resume()

    def view(self, plain: dict[str, Any] | None = None) -> CodeView:
        """Return the view as soon as it is there; errors as `look` raises them.

        plain: "assembly" and "roots" of the code that ran, which has no line table, to compare with; None for no
        comparison.
        """
        (found,) = _views(self._process, self._processor, True, None)
        # Code that Numba loaded from its cache has no text.
        count = 0 if plain is None or found.foreign else _instructions(plain)
        return _compared(found, count) if count else found

    def __enter__(self) -> "EarlyLook":
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()


def look_each(
    targets: Sequence[Target], *, function_s: float, whole_s: float, progress: Progress | None = None
) -> list[CodeView | str]:
    """Return the view of each function of one module, or in words why there is none, in the order of `targets`.

    One that cannot be compiled, ends the compiler, or takes more than `function_s` seconds costs no other its view.
    After `whole_s` seconds the rest is left out. Where the module cannot be loaded, that is the reason for all.
    progress: as for `look`.
    """
    ends = time.monotonic() + whole_s
    found: list[CodeView | str] = []
    while len(found) < len(targets):
        before = len(found)
        left = targets[before:]

        def started(what: str, done: int, total: int, before: int = before) -> None:
            if progress is not None:
                progress(what, before + done, before + total)

        try:
            with tempfile.TemporaryDirectory(prefix="jitnet-") as folder, ExitStack() as stack:
                worker = stack.enter_context(CompilingProcess(Path(folder), "lines", left, None, lines=True, each=True))
                replies = worker.replies(started, function_s, ends)
                bits = next(replies)["vector_bits"]
                for reply in replies:
                    found.append(reply["failed"] if "failed" in reply else view(reply, _host(), False, bits))
        except TimeoutError as error:
            if time.monotonic() >= ends or not error.args[0]:
                return found + [f"the {whole_s:g} s for all functions were over"] * (len(targets) - len(found))
            found.append(f"it takes more than {function_s:g} s to compile")
        except CompilerEnded as error:
            found.append(str(error))
        except JitnetError as error:
            return found + [str(error)] * (len(targets) - len(found))
    return found


def _views(
    worker: CompilingProcess, processor: Processor | None, analysed: bool, progress: Progress | None
) -> Iterator[CodeView]:
    """Yield the views of a process's functions, each read while the process compiles the next."""
    name = processor.name if processor else _host()
    foreign = processor is not None and processor.name != _host()
    replies = worker.replies(progress)
    bits = next(replies)["vector_bits"]
    for reply in replies:
        yield view(reply, name, foreign, bits, analysed=analysed)


def _host() -> str:
    import llvmlite.binding as llvm

    return str(llvm.get_host_cpu_name())


def _instructions(reply: dict[str, Any]) -> int:
    return sum(len(function.instructions) for function in _reached(reply["assembly"], reply["roots"]))


def _reached(assembly: str, roots: Sequence[str]) -> list[MachineFunction]:
    """Return the functions that run when those of `roots` are called. The text also has wrappers for Python, and copies
    of what was inlined."""
    known = {function.symbol: function for function in read_assembly(assembly)}
    pending, reached = [root for root in roots if root in known], dict[str, None]()
    while pending:
        symbol = pending.pop(0)
        if symbol not in reached:
            reached[symbol] = None
            pending += [name for name in known if name in known[symbol].names]
    return [known[symbol] for symbol in reached]


def view(
    reply: dict[str, Any],
    cpu: str,
    foreign: bool,
    vector_bits: int,
    *,
    analysed: bool = False,
) -> CodeView:
    """Return the view of a function, from a worker's reply."""
    functions = _reached(reply["assembly"], reply["roots"])
    bodies: dict[tuple[SourceLoop, str | None], list[Body]] = {}
    for source, function, machine in match(functions):
        if source.file.replace(os.sep, "/").endswith(ERROR_TEXTS):
            continue
        bodies.setdefault((source, _parallel(source, function)), []).append(_body(function, machine))
    loop_fates = _fates(reply, {source for source, _ in bodies})
    # Loops without machine code: completely unrolled. Only of functions that have other loops here, or are the target.
    shown = {(source.file, source.function) for source, _ in bodies}
    shown.add((reply["file"], reply["function"].rpartition(".")[2]))
    for source in loop_fates:
        absent = not any(source == other for other, _ in bodies)
        if absent and loop_fates[source].whole and (source.file, source.function) in shown:
            bodies[source, None] = []

    target = function_source(reply["file"], reply["line"])
    gone = _gone(target, {source for source, _ in bodies} | set(loop_fates), functions) if target is not None else {}
    bodies |= {(source, None): [] for source in gone}
    sources: dict[tuple[str, int], Source] = {}
    if target is not None:
        sources[target.file, target.first_line] = target
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
        _loop(key[0], key[1], bodies[key], loop_fates.get(key[0], Fate()), cpu if analysed else "", aarch64)
        if key[0] not in gone
        else _gone_loop(key[0], gone[key[0]])
        for key in sorted(bodies, key=order)
    ]
    instructions = sum(len(function.instructions) for function in functions)
    return CodeView(
        function=reply["function"],
        module=reply["module"],
        signature=reply["signature"],
        kind=reply["kind"],
        cpu=cpu,
        foreign=foreign,
        vector_bits=vector_bits,
        sources=tuple(sources.values()),
        loops=tuple(loops),
        instructions=instructions,
        straight=tuple(one for function in functions for one in function.straight),
        notes=tuple(_notes(reply, cpu, foreign, analysed, loops)),
    )


def _gone(target: Source, known: set[SourceLoop], functions: Sequence[MachineFunction]) -> dict[SourceLoop, str]:
    """Return the function's loops that are not in the machine code, and what became of each. known: loops that are, or
    of which LLVM reported something."""
    found = {}
    everything = [one for function in functions for one in function.instructions]
    for loop in module_loops(target.file):
        inside = target.first_line <= loop.line < target.first_line + len(target.lines)
        touched = [each for each in known if each.file == loop.file and loop.line <= each.line <= loop.last_line]
        if loop.function != target.function or not inside or touched:
            continue
        # What only prepares a loop has the line of its header.
        first = loop.line + (loop.last_line > loop.line)
        left = [one for one in everything if one.file == loop.file and first <= one.line <= loop.last_line]
        calls = [one.callee for one in left if one.callee in IDIOMS]
        unused = DELETED if is_unused(loop) else EITHER
        found[loop] = f"a call of {calls[0]}" if calls else WITHOUT_LOOP if left else unused
    return found


def _gone_loop(source: SourceLoop, became: str) -> Loop:
    return Loop(
        file=source.file,
        line=source.line,
        last_line=source.last_line,
        function=source.function,
        depth=source.depth,
        innermost=source.innermost,
        gone=became,
    )


def _fates(reply: dict[str, Any], matched: set[SourceLoop]) -> dict[SourceLoop, Fate]:
    """Return what became of the loops; the lines of a function that Numba calls for each element are one loop.

    matched: those in the machine code. A line among them that became a loop without `for` has its own fate, which is
    not that of the loop around it.
    """
    elementwise = reply["kind"] in ("vectorize", "guvectorize")
    target = function_source(reply["file"], reply["line"])

    def where(file: str, line: int) -> SourceLoop | None:
        found = place_of(file, line)
        if found not in matched:
            found = loop_at(file, line) or found
        if elementwise and target is not None and found is not None and not found.written:
            return place_of(target.file, target.first_line)
        return found

    found = fates(read_remarks(reply["remarks"]), where)
    for source in {where(file, line) for file, line in reply["one_step"]}:
        if source in found and found[source].vectorised:
            fate = found[source]
            remark = f"vectorized loop (vectorization width: {fate.width}, interleaved count: {fate.interleaved})"
            found[source] = replace(fate, vectorised=False, reason=ONE_STEP, remark=remark, one_step=True)
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
    """Return a quantity that grows with the iterations that a body does at once."""
    return body.counts.flop or body.counts.load_bytes + body.counts.store_bytes


def _loop(source: SourceLoop, parallel: str | None, bodies: list[Body], fate: Fate, cpu: str, aarch64: bool) -> Loop:
    """Return a loop of the source with its bodies in order: the one with the widest vectors first. cpu: "" for no
    analysis of cycles."""

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
    explained = source.innermost and bool(ordered)
    reason, remark = (fate.reason, fate.remark) if explained else ("", "")
    if explained and not reason and ordered[0].counts.calls:
        reason = f"it calls {_called(ordered[0])}"
    vectorised = fate.vectorised and bool(ordered) and ordered[0].counts.vector_bits > 0
    if vectorised and ordered[0].innermost and ordered[0].counts.calls:
        vectorised = False  # by LLVM's words it is, but what it calls takes its numbers one by one
        reason, remark = f"it calls {_called(ordered[0])} for one number at a time; only the rest is in vectors", ""
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


def _called(body: Body) -> str:
    """Return the names of what a body calls."""
    callees = (one.callee for one in body.instructions if one.kind == "call")
    return " and ".join(dict.fromkeys(demangle(name).replace("<locals>.", "") or "a function" for name in callees))


def _with_iterations(bodies: list[Body], fate: Fate) -> list[Body]:
    """Store how many iterations of the source's loop one of each body does: of the main one as LLVM reports it, of the
    others by their work compared with it. A scalar loop that LLVM unrolled has a rest that does one at a time."""
    main, smallest = bodies[0], min(_work(body) for body in bodies)
    share = _work(main) // smallest if smallest else 0
    if fate.vectorised and main.counts.vector_bits:
        iterations = fate.width * fate.interleaved
    elif len(bodies) == 1:
        iterations = 1 if fate.whole else fate.unrolled
    else:  # unrolled once or twice, each time by the reported factor
        iterations = share if fate.unrolled > 1 and share and share % fate.unrolled == 0 else 1

    def of(body: Body) -> int:
        share = iterations * _work(body) / _work(main) if _work(main) else 1.0
        return int(share) if share >= 1 and share == int(share) else 1

    return [replace(main, iterations=iterations), *(replace(body, iterations=of(body)) for body in bodies[1:])]


def _cycles(body: Body, cpu: str, aarch64: bool) -> Mca | None:
    if body.counts.calls:
        name = analyser_name()
        return Mca(name, cpu, note="it calls a function: no bound") if name else None
    return analyse(body.instructions, cpu, aarch64)


def _notes(reply: dict[str, Any], cpu: str, foreign: bool, analysed: bool, loops: list[Loop]) -> Iterator[str]:
    if foreign:
        yield f"compiled for {cpu} and read; it did not run"
    if reply["object_mode"]:
        yield "object mode: Numba could not infer all types, and each operation calls Python"
    if any(loop.scalable for loop in loops):
        yield "the length of a vector is the processor's choice; it is counted as 128 bits, the minimum"
    if analysed and not analyser_name():
        yield HINT


def _compared(found: CodeView, plain: int) -> CodeView:
    """Return a view with the count of instructions without a line table, and a note where that differs."""
    notes = found.notes
    if abs(found.instructions - plain) > ALIKE * plain:
        counts = f"{found.instructions} instructions with it, {plain} without; the code that runs differs slightly"
        notes = (*notes, f"the line table changed the code: {counts}")
    return replace(found, plain_instructions=plain, notes=notes)
