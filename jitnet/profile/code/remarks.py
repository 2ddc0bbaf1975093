"""LLVM's remarks on its loops, and their reasons in plain words.

LLVM reports *missed* where it did not vectorise a loop, and the reason only as an *analysis*, often at another line: at
the statement that prevents it. The same loop is reported several times, once for each of its copies and again when the
function is linked into another; the first reason counts.
"""

import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

__all__ = ["Fate", "Remark", "fates", "in_plain_words", "read_remarks"]

Where = TypeVar("Where", bound=Hashable)


@dataclass(frozen=True)
class Remark:
    """kind: "vectorised", "interleaved", "unrolled", "unrolled whole", "missed", "reason". width, scalable,
    interleaved, factor: where the kind has them. text: LLVM's words."""

    kind: str
    file: str
    line: int
    text: str
    width: int = 0
    scalable: bool = False
    interleaved: int = 1
    factor: int = 1


@dataclass(frozen=True)
class Fate:
    """What became of a loop of the source; fields as in `Loop`. missed: LLVM reported that it did not vectorise.
    one_step: its vectors are only for a stride of one element."""

    vectorised: bool = False
    width: int = 0
    scalable: bool = False
    interleaved: int = 1
    unrolled: int = 1
    whole: bool = False
    missed: bool = False
    reason: str = ""
    remark: str = ""
    one_step: bool = False


_REMARK = re.compile(r"^remark: (.*):(\d+):(\d+): (.*)$")
_VECTORISED = re.compile(
    r"vectorized (?:outer )?loop \(vectorization width: (vscale x )?(\d+), interleaved count: (\d+)\)"
)
_INTERLEAVED = re.compile(r"interleaved loop \(interleaved count: (\d+)\)")
_UNROLLED = re.compile(r"unrolled loop by a factor of (\d+)")
_WHOLE = re.compile(r"completely unrolled loop with (\d+) iterations")
_REASON = re.compile(r"^loop not vectorized: |vectorization is not beneficial")
_NO_REASONS = (
    "has already been vectorized",
    "interleaving is not beneficial",
    "the vectorization has been disabled",
    "scalable vectorization",
)


def read_remarks(text: str) -> list[Remark]:
    """Return the remarks on loops in a compiler's output, in its order; those without a place are left out."""
    found = []
    for raw in text.splitlines():
        if not (match := _REMARK.match(raw)) or match.group(2) == "0":
            continue
        file, line, said = match.group(1), int(match.group(2)), match.group(4)
        if hit := _VECTORISED.search(said):
            width, count = int(hit.group(2)), int(hit.group(3))
            found.append(Remark("vectorised", file, line, said, width, bool(hit.group(1)), count))
        elif hit := _INTERLEAVED.search(said):
            found.append(Remark("interleaved", file, line, said, interleaved=int(hit.group(1))))
        elif hit := _WHOLE.search(said):
            found.append(Remark("unrolled whole", file, line, said, factor=int(hit.group(1))))
        elif hit := _UNROLLED.search(said):
            found.append(Remark("unrolled", file, line, said, factor=int(hit.group(1))))
        elif said == "loop not vectorized" or said.startswith("loop not vectorized ("):
            found.append(Remark("missed", file, line, said))
        elif _REASON.search(said) and not any(words in said for words in _NO_REASONS):
            found.append(Remark("reason", file, line, said.removeprefix("loop not vectorized: ")))
    return found


def fates(remarks: Iterable[Remark], loop_at: Callable[[str, int], Where | None]) -> dict[Where, Fate]:
    """Return what became of each loop. loop_at: the innermost loop of the source around a line of a file, else None."""
    found: dict[Where, Fate] = {}
    pending: list[Remark] = []  # reasons that came before their verdict
    for remark in remarks:
        loop = loop_at(remark.file, remark.line)
        if loop is None:
            continue
        fate = found.get(loop, Fate())
        if remark.kind == "reason":
            pending.append(remark)
            if not fate.reason:
                fate = replace(fate, reason=in_plain_words(remark.text), remark=remark.text)
        elif remark.kind == "missed":
            fate = replace(fate, missed=True)
            if pending and not fate.reason:
                fate = replace(fate, reason=in_plain_words(pending[0].text), remark=pending[0].text)
            pending = []
        elif remark.kind == "vectorised":
            if remark.width * remark.interleaved > fate.width * fate.interleaved or not fate.vectorised:
                fate = replace(
                    fate, vectorised=True, width=remark.width, scalable=remark.scalable, interleaved=remark.interleaved
                )
        elif remark.kind == "interleaved" and not fate.vectorised:
            fate = replace(fate, interleaved=max(fate.interleaved, remark.interleaved))
        elif remark.kind == "unrolled whole":
            fate = replace(fate, whole=True, unrolled=remark.factor)
        elif remark.kind == "unrolled" and not fate.whole:
            fate = replace(fate, unrolled=max(fate.unrolled, remark.factor))
        found[loop] = fate
    return {loop: replace(fate, reason="", remark="") if fate.vectorised else fate for loop, fate in found.items()}


_WORDS = (
    (
        "reorder floating-point operations",
        "its sum of floats would be added in another order and round differently; fastmath={'reassoc'} allows that",
    ),
    (
        "could not be identified as reduction",
        "a value is carried between iterations and used after the loop, and is not a sum, product, minimum or maximum",
    ),
    (
        "cannot identify array bounds",
        "LLVM does not know which memory an iteration accesses, so two iterations may access the same",
    ),
    ("unsafe dependent memory operations", "an iteration may need what another one writes"),
    ("write to a loop invariant address", "every iteration writes to the same element"),
    (
        "memory checks",
        "so many arrays might overlap that checking them first would cost too much",
    ),
    ("runtime pointer checks needed", "arrays might overlap, and the code seems to run too rarely to check that first"),
    ("potentially faulting load", "it may exit early, and reading beyond that might fault"),
    ("cannot check memory dependencies at runtime", "arrays might overlap in a way that cannot be checked first"),
    ("call instruction cannot be vectorized", "it calls a function that works on one number at a time"),
    (
        "instruction return type cannot be vectorized",
        "its values cannot be elements of a vector; those of a tile are vectors already",
    ),
    ("instruction cannot be vectorized", "one of its instructions has no vector form"),
    ("could not determine number of loop iterations", "its number of iterations is not known when it begins"),
    ("uncountable", "its number of iterations is not known when it begins"),
    ("early exit", "it may exit early: by break, return or an exception"),
    ("switch", "it branches in more than two ways at once"),
    ("control flow is not understood", "its branches are too complex, or it has several exits"),
    ("control flow cannot be substituted for a select", "a branch inside does more than choose between two values"),
    ("vectorization is not beneficial", "LLVM estimates that vectors would not be faster"),
    ("induction variable could not be identified", "it has no counter that grows by the same amount in each iteration"),
    ("not the innermost loop", "another loop is inside it"),
    ("outer loop", "another loop is inside it"),
)


def in_plain_words(text: str) -> str:
    """Return LLVM's reason in plain words; an unknown reason in LLVM's words."""
    return next((words for pattern, words in _WORDS if pattern.lower() in text.lower()), text)
