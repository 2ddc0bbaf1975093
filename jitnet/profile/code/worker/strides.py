"""Vectors that LLVM made only for a stride of one element.

Where an array's stride is known only at run time, a column of a matrix for instance, LLVM may make vectors for a stride
of 1, test for that first, and leave the loop scalar for all others. Its remark says "vectorized loop" in both cases.
The test has a name in LLVM's code, `ident.check`: what can only be reached after it is such code.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["lines_for_stride_one"]

MARK = "ident.check"


@dataclass
class _Block:
    lines: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


_LABEL = re.compile(r'^("[^"]+"|[\w.$-]+):')
_RESULT = re.compile(r'^\s+%("[^"]+"|[\w.$-]+) = (\w+)')
_USED = re.compile(r'%("[^"]+"|[\w.$-]+)')
_TARGET = re.compile(r'label %("[^"]+"|[\w.$-]+)')
_BRANCH = re.compile(r'^\s+br i1 %("[^"]+"|[\w.$-]+), label %("[^"]+"|[\w.$-]+), label %("[^"]+"|[\w.$-]+)')
_DEBUG = re.compile(r"!dbg !(\d+)")


def lines_for_stride_one(text: str) -> set[tuple[str, int]]:
    """Return file and line of code in vector loops that only run for a stride of one; text: a module in LLVM IR."""
    if MARK not in text:
        return set()
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for blocks in _functions(text):
        guarded = _guarded(blocks)
        for name, block in blocks.items():
            if "vector.body" in name:
                found[name in guarded] |= {number for line in block.lines for number in _DEBUG.findall(line)}
    # A line that is also in other vectors runs there.
    return _places(text, found[True]) - _places(text, found[False])


def _functions(text: str) -> Iterator[dict[str, _Block]]:
    """Yield the blocks of each function, its entry block first."""
    blocks: dict[str, _Block] | None = None
    current = _Block()
    for line in text.splitlines():
        if line.startswith("define "):
            current = _Block()
            blocks = {"": current}
        elif line.startswith("}") and blocks is not None:
            yield blocks
            blocks = None
        elif blocks is not None:
            if found := _LABEL.match(line):
                before, current = current, _Block()
                blocks[found.group(1)] = current
                if not before.lines and "" in blocks:
                    blocks[""].after.append(found.group(1))
            else:
                current.lines.append(line)
                if not line.lstrip().startswith("%"):
                    current.after += _TARGET.findall(line)


def _guarded(blocks: dict[str, _Block]) -> set[str]:
    """Return the blocks that are reached only for one result of the test."""
    tested: set[str] = set()
    for _ in range(2):  # a result may be used further up, in a loop
        for block in blocks.values():
            for line in block.lines:
                found = _RESULT.match(line)
                if found is None:
                    continue
                name, operation = found.groups()
                used = set(_USED.findall(line[found.end() :]))
                if name.startswith(MARK) or (
                    operation in ("select", "or", "and", "xor", "freeze", "phi") and used & tested
                ):
                    tested.add(name)
    every = _reached(blocks, None)
    guarded: set[str] = set()
    for name, block in blocks.items():
        for line in block.lines:
            found = _BRANCH.match(line)
            if found is not None and found.group(1) in tested:
                for target in found.groups()[1:]:
                    guarded |= every - _reached(blocks, (name, target))
    return guarded


def _reached(blocks: dict[str, _Block], without: tuple[str, str] | None) -> set[str]:
    """Return the blocks that can be reached, with one edge left out."""
    first = next(iter(blocks))
    pending, seen = [first], {first}
    while pending:
        name = pending.pop()
        for target in blocks[name].after:
            if (name, target) != without and target not in seen and target in blocks:
                seen.add(target)
                pending.append(target)
    return seen


def _places(text: str, numbers: set[str]) -> set[tuple[str, int]]:
    """Return files and lines of LLVM's numbered locations."""
    named = dict(re.findall(r"^!(\d+) = (.*)$", text, re.MULTILINE))

    def file_of(number: str) -> str:
        found = re.search(r"file: !(\d+)", named.get(number, ""))
        name = re.search(r'filename: "([^"]*)"', named.get(found.group(1), "")) if found else None
        return name.group(1) if name else ""

    places = set()
    for number in numbers:
        line = re.search(r"line: (\d+)", named.get(number, ""))
        scope = re.search(r"scope: !(\d+)", named.get(number, ""))
        if line and scope and int(line.group(1)):
            places.add((file_of(scope.group(1)), int(line.group(1))))
    return places
