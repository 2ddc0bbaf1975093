"""The results of a measurement as numbers and text for JSON, and the hints of the types that were read."""

import os
import platform
import time
from collections.abc import Sequence
from typing import Any

import numba

from jitnet.compiler.numba_parts import address_of
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.thresholds import PARTS_S
from jitnet.profile.functions.worker import hardware
from jitnet.profile.functions.worker.addresses import Addresses
from jitnet.profile.functions.worker.counting import count
from jitnet.profile.functions.worker.diagnostics import Hints, JsonObject, place
from jitnet.profile.functions.worker.mentions import mentions
from jitnet.profile.functions.worker.reference_counts import drop_counts_of_allocations
from jitnet.profile.functions.worker.regions import disturbed
from jitnet.profile.functions.worker.source_rows import is_head
from jitnet.profile.functions.worker.summary import Summary
from jitnet.profile.functions.worker.symbols import Symbol, map_file, region_of, write_map
from jitnet.profile.functions.worker.typed_code import failures
from jitnet.profile.functions.worker.values import for_formula, options_text, type_text
from jitnet.profile.readable import demangle

__all__ = ["reply"]

TRACED, TRACED_S = 100, 0.01
"""The calls of a timeline; of a serial function that takes longer, there is one."""


def reply(measuring: Any) -> JsonObject:
    """Look for hints, and return all results of a measurement as JSON. measuring: of `measuring.py`."""
    measuring.report("looking for hints")
    measuring.calls.reset()
    missing = measuring.code.read_cached(min(PARTS_S["reading"], max(0.2, measuring.left_s() - 2)))
    if missing:
        measuring.notes.append(
            f"{missing} function{'s' * (missing > 1)} that it calls came from Numba's cache, and there was no time "
            "to search them for hints"
        )
    measuring.notes += [f"no hints from the types of {failure}" for failure in dict.fromkeys(failures)]
    reachable = measuring.code.reachable()
    kept = Hints()
    for summary, looped in reachable:
        findings = [*summary.findings, *(summary.in_loops_only if looped else [])]
        for finding in findings:
            if (
                finding.kind is Kind.LAYOUT
                and measuring.subject.kind == "guvectorize"
                and summary in measuring.code.main_summaries()
            ):
                continue  # its arrays are always strided
            # What is kept needs memory of its own each time: it cannot be allocated once.
            is_kept = finding.kept == "stored" or (finding.kept == "returned" and _is_kept(summary, reachable))
            hints = kept if is_kept else measuring.hints
            hints.add(finding.kind, finding.file, finding.line, finding.reason, "types", finding.advice)
    drop_counts_of_allocations(measuring.hints)
    for race in measuring.checks.races.found:
        measuring.hints.add(Kind.RACE, race.file, race.line, race.reason, race.source, race.advice)
    measuring.code.object_mode(measuring.hints)
    measuring.code.compiled_again(measuring.hints)
    found = measuring.symbols.found(address_of) if measuring.threads.timed or measuring.request["perf_map"] else []
    described = measuring.threads.regions(
        lambda body: _place_of(measuring, body, found), measuring.counts, measuring.hints
    )
    shares = measuring.threads.shares()
    measuring.notes += [note for note in [disturbed(shares), _plain_pranges(reachable)] if note]
    path = _perf_map(measuring, found) if measuring.request["perf_map"] else ""
    full = max(measuring.counts)[0]
    arguments = list(zip(measuring.names, measuring.arguments, strict=True))
    signature, returns = measuring.code.signature()
    return {
        "kind": _kind(measuring),
        "place": place(measuring.file, measuring.def_line()),
        "signature": signature,
        "returns": returns,
        "options": options_text(measuring.subject.options),
        "arguments": [
            {"name": name, "type": type_text(argument), "written": _written(measuring, name)}
            for name, argument in arguments
        ],
        "compile_s": measuring.code.seconds,
        "counts": [
            {"threads": count, "repeats": repeats, "samples_s": samples} for count, repeats, samples in measuring.counts
        ],
        "threads": full,
        "thread_shares": shares,
        "regions": described,
        "outside_s": measuring.threads.outside_s(),
        "dispatch_s": measuring.dispatch_s,
        "cpu_share": measuring.cpu_share,
        "functions": measuring.code.functions(),
        "hints": measuring.hints.found,
        "kept": kept.found,
        "checks": measuring.checks.found,
        "notes": measuring.notes,
        "threading_layer": numba.threading_layer() if measuring.entries else "",
        "numba": numba.__version__,
        "python": platform.python_version(),
        "perf_map": path,
        "values": {name: for_formula(argument) for name, argument in arguments},
        "divisions": [
            {
                "file": summary.file,
                "line": line,
                "reason": reason,
                "constant": line in summary.constant_divisors,
                "checks": summary.error_model == "python" and line in summary.tested_divisors,
            }
            for summary, _ in reachable
            for line, reason in summary.divisions.items()
        ],
        "pointers": [
            {"file": summary.file, "line": line, "name": name}
            for summary, _ in reachable
            for line, name in summary.pointers.items()
        ],
        "containers": [
            {"file": summary.file, "line": line, "container": container, "operation": operation, "name": name}
            for summary, _ in reachable
            for line, (container, operation, name) in dict.fromkeys(summary.containers)
        ],
        "pickled": measuring.code.pickled(),
        "plain": measuring.code.plain(),
        "timeline": _timeline(measuring, found),
        "hardware": _hardware(measuring),
        "counted": _counted(measuring),
    }


def _is_kept(summary: Summary, reachable: Sequence[tuple[Summary, bool]]) -> bool:
    """Whether all that a function returns in loops is kept there, so that it needs memory of its own each time."""
    calls = [
        called
        for caller, looped in reachable
        for called in caller.calls
        if called.dispatcher.py_func is summary.function and (called.inside or looped)
    ]
    return all(called.kept for called in calls)


def _timeline(measuring: Any, symbols: Sequence[Symbol]) -> list[JsonObject]:
    """Return some calls, with their regions by thread where it has any."""
    if not measuring.request.get("trace"):
        return []
    threads = measuring.threads
    if not threads.timed:
        measuring.report("calling it for the timeline")
        for _ in range(TRACED if measuring.calls.first_s < TRACED_S else 1):
            threads.call_s.append(measuring.calls.one())
            threads.began_s.append(time.monotonic() - threads.call_s[-1])
            threads.timed.append([])
    return threads.timeline(lambda body: _place_of(measuring, body, symbols), TRACED)


def _hardware(measuring: Any) -> JsonObject:
    measuring.report("reading the processor's counters")
    if measuring.sampled is None or measuring.sampling is None:
        return hardware.count(measuring.calls, PARTS_S["hardware"])
    addresses = Addresses(measuring.symbols.loaded(address_of))

    def lines_at(address: int) -> Sequence[tuple[str, int]]:
        function = addresses.compiled(address)
        return function.lines_at(address, is_head) if function is not None else ()

    loops = [
        (str(loop["place"]["file"]), int(loop["place"]["line"]), int(loop["last_line"]))
        for loop in measuring.sampling["loops"]
        if loop["kind"] == "loop"
    ]
    calls = measuring.calls.calling(measuring.sampled.call)
    return hardware.count(measuring.calls, PARTS_S["hardware"], calls, lines_at, loops)


def _counted(measuring: Any) -> JsonObject:
    measuring.report("counting its operations")
    return count(measuring, PARTS_S["counting"])


def _kind(measuring: Any) -> str:
    parallel = measuring.subject.options.get("parallel") or (measuring.subject.by_element and measuring.entries)
    return measuring.subject.kind + (", parallel" if parallel else "")


def _place_of(measuring: Any, body: int, symbols: Sequence[Symbol]) -> tuple[str, int]:
    """Return the file and line of a parallel loop, by the address of its body."""
    name = next((each.name for each in symbols if each.address <= body < each.address + each.size), "")
    return measuring.places.get(region_of(name), (measuring.file, measuring.def_line()))


def _written(measuring: Any, name: str) -> str:
    parts = (f"{name}.", f"{name}[")
    found = {how for array, how in measuring.calls.written.items() if array == name or array.startswith(parts)}
    return "restored" if "restored" in found else "again" if found else ""


def _perf_map(measuring: Any, found: list[Symbol]) -> str:
    path = map_file(os.getpid())

    def named(name: str) -> str:
        place = measuring.places.get(region_of(name))
        return f"{demangle(name)}[prange_line_{place[1]}]" if place else demangle(name)

    write_map(path, found, named)
    return str(path)


def _plain_pranges(reachable: Sequence[tuple[Summary, bool]]) -> str:
    """Return a line where loops over `prange` are in functions without parallel=True; else ""."""
    serial = {each.function: each for each, _ in reachable if not each.parallel}
    lines = [
        f"{os.path.basename(mention.file)}:{mention.line}"
        for mention in mentions(list(serial))
        if mention.value is numba.prange
    ]
    if not lines:
        return ""
    where = " and ".join(dict.fromkeys(lines))
    return f"prange in {where} is a plain range: its function is compiled without parallel=True"
