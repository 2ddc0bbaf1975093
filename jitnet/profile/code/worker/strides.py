"""Vectors that LLVM made only for the case that a step through memory is one element.

Where a loop walks an array in steps that are known only when it runs, a column of a matrix for instance, LLVM may make
vectors for a step of 1, ask for that first, and leave the loop as it was for all others. Its remark says "vectorized
loop" of both. The question has a name in LLVM's own text, `ident.check`: what can only be reached past it is such code.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["lines_for_one_step"]

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


def lines_for_one_step(text: str) -> set[tuple[str, int]]:
    """File and line of what is in vector loops that only run for a step of one element; text: LLVM's, of a module."""
    if MARK not in text:
        return set()
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for blocks in _functions(text):
        guarded = _guarded(blocks)
        for name, block in blocks.items():
            if "vector.body" in name:
                found[name in guarded] |= {number for line in block.lines for number in _DEBUG.findall(line)}
    # A line that is in other vectors too runs in these.
    return _places(text, found[True]) - _places(text, found[False])


def _functions(text: str) -> Iterator[dict[str, _Block]]:
    """The blocks of each function, the one that it begins with first."""
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
    """Blocks that are reached only where the question was answered one way."""
    asked: set[str] = set()
    for _ in range(2):  # a result may be used further up, in a loop
        for block in blocks.values():
            for line in block.lines:
                found = _RESULT.match(line)
                if found is None:
                    continue
                name, operation = found.groups()
                used = set(_USED.findall(line[found.end() :]))
                if name.startswith(MARK) or (
                    operation in ("select", "or", "and", "xor", "freeze", "phi") and used & asked
                ):
                    asked.add(name)
    every = _reached(blocks, None)
    guarded: set[str] = set()
    for name, block in blocks.items():
        for line in block.lines:
            found = _BRANCH.match(line)
            if found is not None and found.group(1) in asked:
                for target in found.groups()[1:]:
                    guarded |= every - _reached(blocks, (name, target))
    return guarded


def _reached(blocks: dict[str, _Block], without: tuple[str, str] | None) -> set[str]:
    """Blocks that can be reached, with one way from block to block left out."""
    first = next(iter(blocks))
    waiting, seen = [first], {first}
    while waiting:
        name = waiting.pop()
        for target in blocks[name].after:
            if (name, target) != without and target not in seen and target in blocks:
                seen.add(target)
                waiting.append(target)
    return seen


def _places(text: str, numbers: set[str]) -> set[tuple[str, int]]:
    """Files and lines of LLVM's numbered locations."""
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
