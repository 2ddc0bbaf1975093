"""Hints from the machine code of the innermost loops; and a check of those from types against the machine code."""

import linecache
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jitnet.profile.code.code_view import Body, CodeView, Instruction, Loop
from jitnet.profile.functions.container_calls import Access, access_of, accesses_at, advice_for, in_words
from jitnet.profile.functions.hint_records import Hint
from jitnet.profile.functions.hints import RULES, Kind
from jitnet.profile.functions.places import Place
from jitnet.profile.readable import demangle

__all__ = ["NUMBA", "calls_and_divisions", "confirmed"]

RUNTIME = ("NRT_", "nrt_", "numba_", "Py", "_Py", "memset", "memcpy", "memmove")
"""Calls that are not hints: Numba's memory, which has the hint of an allocation, the raising of errors, and copies."""

LIBRARY = re.compile(
    r"(exp|exp2|expm1|log|log2|log10|log1p|pow|a?sin|a?cos|a?tan|atan2|sinh|cosh|tanh|erfc?|cbrt|hypot|fmod|[lt]gamma)f?"
)
"""Names of the mathematical library, for float64 and, with an f, for float32."""

MATHEMATICS = (
    "This Numba's LLVM has no vector mathematics, and fastmath does not change that. A polynomial written out in the "
    "loop takes a vector of numbers at a time."
)

FASTER_IN_FLOAT32 = ("cos", "pow", "sin")
"""Functions of the mathematical library that are clearly faster in float32; for most the difference is small."""

EARLY_EXIT = re.compile(r"early exit", re.IGNORECASE)
LEAVES = re.compile(r"\b(break|return|raise|assert|yield)\b")

DIVISION_CYCLES = {("divide", 32): 5, ("divide", 64): 8, ("sqrt", 32): 6, ("sqrt", 64): 12}
"""About how many cycles a vector of 256 bits keeps the divider busy, on processors of 2018 to 2024 (uops.info); half of
that for narrower ones, double for wider."""

INTEGER_DIVISION_CYCLES = 12
"""Of 64 bits; up to 40 on older processors."""

LATENCY = 1.5
"""How many times as long as its divisions a loop takes, from which something else slows it down."""

INTEGER_LATENCY = 4.0
"""The same of integer divisions: llvm-mca adds up both ways of each, in 64 bits and in 32, and what waits for it."""

SLEEPS = 0.5
"""Below this share of computing, a call's time is attributed to what it calls."""

CLEARLY = 1.25
"""How much longer than all else divisions have to take: both are estimates."""

NUMBA = str(Path(getattr(find_spec("numba"), "origin", None) or "numba").parent) + os.sep
"""The folder of Numba's source."""

ISSUED = 4
"""About how many instructions a cycle a loop of other work completes."""


ABOUT_ALL = (Kind.RACE.value, Kind.OBJECT_MODE.value, Kind.COMPILED_AGAIN.value)
"""Kinds that are not about the cost of a loop."""


def calls_and_divisions(view: CodeView, known: dict[str, Any], cpu_share: float) -> list[Hint]:
    """Return hints of calls in innermost loops, and of divisions and square roots that take longer than all else there.

    known: what was found in the types. "divisions": for a line, "reason", why it could be a product, "constant",
    whether the divisor is one, and "checks", whether it is tested for zero; "pointers": for a line, the name of what is
    called through its address; "containers": for a line, the list, dictionary or set that it accesses.
    cpu_share: computing share of a call's time; the rest was spent in the calls.
    """
    divisions = {(each["file"], each["line"]): each for each in known["divisions"]}
    pointers = {(each["file"], each["line"]): each["name"] for each in known["pointers"]}
    accesses = accesses_at(known.get("containers", ()))
    found: dict[tuple[str, Place], Hint] = {}
    for loop, body in _innermost(view):
        for place, names in _calls(view, loop, body, pointers, accesses).items():
            hint = Hint(Kind.CALL.value, place, *_about_calls(names), "machine code")
            found.setdefault((hint.kind, place), hint)
        division = _division(view, loop, body, divisions)
        if division is not None:
            found.setdefault((division.kind, division.place), division)
    callers = [key for key in found if key[0] == Kind.CALL.value]
    if cpu_share < SLEEPS and len(callers) == 1:
        hint = found[callers[0]]
        reason = f"{hint.reason}, and {1 - cpu_share:.0%} of the time nothing is computed"
        found[callers[0]] = replace(hint, reason=reason, share=1 - cpu_share)
    return list(found.values())


def _about_calls(names: dict[str, str]) -> tuple[str, str]:
    """Return why calls in an innermost loop cost time, and what helps. names: of what is called, each with the kind of
    container that it is for, "" where it is for none."""
    plain = [name for name, container in names.items() if not container]
    each_time = "in every iteration of the innermost loop"
    reasons = []
    if plain:
        reasons.append(f"{' and '.join(plain)} {'is' if len(plain) == 1 else 'are'} called {each_time}")
        if all(map(LIBRARY.fullmatch, plain)):
            reasons[0] += ", for one number at a time"
    of_containers = [name for name, container in names.items() if container]
    if of_containers:
        calls = f"{' and '.join(of_containers)} {'is a call' if len(of_containers) == 1 else 'are calls'}"
        reasons.append(calls if plain else f"{calls}, {each_time}")
    advice = [advice_for(container) for container in dict.fromkeys(filter(None, names.values()))]
    if plain:
        advice.insert(0, _mathematics(plain) if all(map(LIBRARY.fullmatch, plain)) else RULES[Kind.CALL].advice)
    return "; ".join(reasons), " ".join(advice)


def confirmed(hints: Sequence[Hint], view: CodeView) -> list[Hint]:
    """Return the hints, without those from types whose cost the compiler has removed.

    A sum that was vectorised after all; a conversion that LLVM removed; an index that is not wrapped any more; all in a
    loop that is gone. Another hint whose line is not in the machine code is kept.
    """
    return [hint for hint in hints if _is_confirmed(hint, view)]


def _is_confirmed(hint: Hint, view: CodeView) -> bool:
    if hint.kind not in ABOUT_ALL and any(loop.gone and _touches(loop, hint.place) for loop in view.loops):
        return False
    kinds = (Kind.REDUCTION.value, Kind.PROMOTION.value, Kind.WRAPAROUND.value)
    if hint.kind not in kinds:
        return True
    loops = [loop for loop in view.loops if _touches(loop, hint.place)]
    bodies = [body for loop in loops for body in loop.bodies]
    if not bodies:
        return True
    if hint.kind == Kind.REDUCTION.value:
        inner = [loop for loop in loops if loop.innermost] or loops
        if any(loop.unrolled == 0 for loop in inner):
            return False  # it is unrolled completely, and the loop around it can be vectorised
        remarks = " ".join(f"{loop.remark} {loop.reason}" for loop in inner).lower()
        return not all(loop.vectorised for loop in inner) and (
            not remarks.strip() or "reorder" in remarks or "order" in remarks
        )
    if hint.kind == Kind.PROMOTION.value:
        return any(body.counts.conversions for body in bodies)
    return any(body.counts.wraps for body in bodies)


def _mathematics(names: Sequence[str]) -> str:
    """Return what helps where functions of the mathematical library are called."""
    advice = [MATHEMATICS]
    faster = [name for name in names if name in FASTER_IN_FLOAT32]
    if faster:
        advice.append(f"In float32 {' and '.join(faster)} takes clearly less time, where that is exact enough.")
    if "pow" in names or "powf" in names:
        advice.append("Where the exponent is a constant, write products and roots: x * x * x, x * math.sqrt(x).")
    return " ".join(advice)


def _touches(loop: Loop, place: Place) -> bool:
    if loop.file == place.file and loop.line <= place.line <= max(loop.line, loop.last_line):
        return True
    return any((each.file, each.line) == (place.file, place.line) for body in loop.bodies for each in body.instructions)


def _innermost(view: CodeView) -> Iterator[tuple[Loop, Body]]:
    """Yield the user's innermost loops with their main bodies; not those inside Numba's functions."""
    for loop in view.loops:
        for body in loop.bodies:
            if body.innermost and body.role == "main" and loop.parallel != "serial" and not loop.file.startswith(NUMBA):
                yield loop, body


Accesses = dict[tuple[str, int], dict[Access, str]]


def _calls(
    view: CodeView, loop: Loop, body: Body, pointers: dict[tuple[str, int], str], accesses: Accesses
) -> dict[Place, dict[str, str]]:
    """Return what is called in a body, by place: each name with the kind of container that it is for, or ""."""
    found: dict[Place, dict[str, str]] = {}
    for each in body.instructions:
        core = view.kind == "guvectorize" and demangle(each.callee).split(".")[-1] == view.function
        # The loop that guvectorize adds around its function is not the user's.
        if each.kind != "call" or core:
            continue
        name = demangle(each.callee).split(".<locals>")[0]
        access = access_of(name)
        if access is None and each.callee.startswith(RUNTIME):
            continue
        place, variable = _place(view, loop, body, each), ""
        if access is not None:
            lines = _lines_of(access, loop, accesses)  # in the source; the instruction has a line of Numba's
            variables = {accesses[loop.file, line][access] for line in lines}
            variable = variables.pop() if len(variables) == 1 else ""
            if len(lines) == 1:
                place = _at(view, loop.file, lines[0])
        elif not re.match(r"[\w.<]", name):  # an address in a register or in memory
            here = place.file, place.line
            access, variable = next(reversed(accesses.get(here, {}).items()), (None, ""))
            name = pointers.get(here, "a function that is known by its address alone")
        if access is not None:
            name = in_words(access, variable)
        found.setdefault(place, {}).setdefault(name, access[0] if access is not None else "")
    return found


def _lines_of(access: Access, loop: Loop, accesses: Accesses) -> list[int]:
    """Return the lines of a loop in which the source accesses a container in this way."""
    return [
        line
        for (file, line), found in accesses.items()
        if access in found and file == loop.file and loop.line <= line <= loop.last_line
    ]


def _division(view: CodeView, loop: Loop, body: Body, known: dict[tuple[str, int], dict[str, Any]]) -> Hint | None:
    """Return a hint where the divider is busy for longer than all other instructions of an iteration take, or where the
    test for a divisor of 0 prevents vectors."""
    dividing = [each for each in body.instructions if each.kind in ("divide", "sqrt") or _is_integer(each)]
    calls = [each for each in body.instructions if each.kind == "call"]
    if not dividing or calls:
        return None
    integers = [each for each in dividing if _is_integer(each)]
    short = [each for each in integers if _is_short(each)]
    if len(short) < len(integers):  # in 32 bits where both numbers are small: one of the two runs
        dividing = [each for each in dividing if each not in short]
    cycles = sum(_cycles(each) for each in dividing)
    longest = cycles * (INTEGER_LATENCY if integers else LATENCY)
    counts = body.counts
    others = max((counts.instructions - len(dividing)) / ISSUED, counts.loads / 2, counts.stores)
    tested = _prevents_vectors(view, loop, known)
    if cycles <= CLEARLY * others or (body.mca is not None and body.mca.cycles > longest):
        if tested is None:
            return None
        reason = "whether the divisor is 0 is tested in every iteration, and the exit for that prevents vectors"
        return Hint(Kind.DIVISION.value, tested, reason, _without_test(loop), "machine code")
    first = max(dividing, key=_cycles)
    place = _place(view, loop, body, first)
    if not first.line:
        inside = [line for file, line in known if file == loop.file and loop.line <= line <= loop.last_line]
        place = _at(view, loop.file, min(inside)) if inside else place
    what = "a square root" if first.kind == "sqrt" else "a division"
    reason = (
        f"{what} keeps the divider busy for about {cycles:.0f} cycles an iteration, all else takes about {others:.0f}"
    )
    facts = known.get((place.file, place.line), {})
    if first.kind != "sqrt" and facts.get("reason"):
        reason += f"; {facts['reason']}"
    advice = _less_division(first, facts)
    if tested is not None:
        advice += f" {_without_test(loop)}"
    return Hint(Kind.DIVISION.value, place, reason, advice, "machine code")


def _less_division(first: Instruction, facts: dict[str, Any]) -> str:
    """Return what to do about a division or a root that takes longest. facts: what the types tell of its divisor."""
    if first.kind == "sqrt":
        return "Compare and sum squares where the root itself is not needed, or take it once after the loop."
    if _is_integer(first):
        if facts.get("reason"):
            return (
                "Count up to the divisor and begin again at 0, in place of dividing; or make it a constant, by which "
                "the compiler multiplies."
            )
        return "Divide less often, or in 32 bits; the compiler multiplies where the divisor is a constant."
    if facts.get("constant"):
        return (
            "Multiply by the constant's reciprocal, where the last digit may differ; "
            'fastmath={"arcp"} does that without another change.'
        )
    if facts.get("reason"):
        return "Take its reciprocal once before the loop, and multiply; the last digit may differ."
    if first.bits == 64:
        return "In float32 it takes half as long, where that is exact enough."
    return "Divide less often: a / b / c is a / (b * c), and a sum of quotients with one divisor is divided once."


def _prevents_vectors(view: CodeView, loop: Loop, known: dict[tuple[str, int], dict[str, Any]]) -> Place | None:
    """Return the division whose test for 0 is why LLVM does not vectorise a loop; None where there is another exit."""
    if loop.vectorised or not EARLY_EXIT.search(loop.remark):
        return None
    tested = [
        line
        for (file, line), facts in known.items()
        if facts.get("checks") and file == loop.file and loop.line <= line <= loop.last_line
    ]
    if not tested or any(LEAVES.search(_at(view, loop.file, at).source) for at in range(loop.line, loop.last_line + 1)):
        return None
    return _at(view, loop.file, min(tested))


def _without_test(loop: Loop) -> str:
    advice = 'error_model="numpy" omits the test for a divisor of 0, which prevents vectors here.'
    if "reduction" in loop.remark:
        advice += ' Its sum also needs fastmath={"reassoc", "contract", "nsz"}.'
    return advice


def _is_integer(each: Instruction) -> bool:
    name = each.text.split()[0] if each.text.split() else ""
    return name.rstrip("bwlq") in ("idiv", "div") or name in ("sdiv", "udiv")


def _is_short(each: Instruction) -> bool:
    return each.text.split()[0] in ("divl", "idivl")


def _cycles(each: Instruction) -> float:
    if _is_integer(each):
        return INTEGER_DIVISION_CYCLES
    width = each.lanes * each.bits
    return DIVISION_CYCLES.get((each.kind, each.bits), 8) * (2 if width > 256 else 1 if width > 128 else 0.5)


def _place(view: CodeView, loop: Loop, body: Body, each: Instruction) -> Place:
    """Return where an instruction comes from. What LLVM makes of its intrinsics, a root for one, has no line: then it
    is the line of most of the loop's instructions, the loop's header left out."""
    file, line = each.file, each.line
    if not line or file.startswith(NUMBA):
        others = [(one.file, one.line) for one in body.instructions if one.line and not one.file.startswith(NUMBA)]
        inside = [place for place in others if place != (loop.file, loop.line)] or others
        file, line = max(inside, key=inside.count) if inside else (loop.file, loop.line)
    return _at(view, file, line)


def _at(view: CodeView, file: str, line: int) -> Place:
    for source in view.sources:
        if source.file == file and source.first_line <= line < source.first_line + len(source.lines):
            return Place(file, line, source.lines[line - source.first_line].strip())
    return Place(file, line, linecache.getline(file, line).strip())
