"""Assembly text to functions, loops and counts: x86-64 in AT&T's syntax, AArch64 in ELF's.

A loop here is one of the machine code: a jump back to a block that dominates it (a natural loop; Aho, Sethi and Ullman
1986, 10.4). `source.py` finds its loop of the source by the line table.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from jitnet.profile.code.code_view import Counts, Instruction
from jitnet.profile.code.instructions import read_aarch64, read_x86

__all__ = ["MachineFunction", "MachineLoop", "count", "read_assembly"]


@dataclass(frozen=True)
class MachineLoop:
    """A loop of one function: `instructions` in the order of the text, without those of loops inside it.

    depth: loops around it, itself included. inside: the loops directly inside it. back: the jump back.
    """

    depth: int
    instructions: tuple[Instruction, ...]
    inside: tuple["MachineLoop", ...]
    back: Instruction


@dataclass(frozen=True)
class MachineFunction:
    """symbol: its name in the assembly. loops: the outermost, in the order of the text. straight: instructions outside
    all loops. names: the symbols in its code, also those of other functions."""

    symbol: str
    instructions: tuple[Instruction, ...]
    loops: tuple[MachineLoop, ...]
    straight: tuple[Instruction, ...]
    names: frozenset[str]


@dataclass
class _Block:
    labels: list[str] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    falls_through: bool = True


_LABEL = re.compile(r'^("[^"]+"|[^\s#/:"]+):')
_FILE = re.compile(r'^\s*\.file\s+(\d+)\s+"((?:[^"\\]|\\.)*)"(?:\s+"((?:[^"\\]|\\.)*)")?')
_LOC = re.compile(r"^\s*\.loc\s+(\d+)\s+(\d+)")
_INSTRUCTION = re.compile(r"^\s+([a-z][\w.]*)(?:\s+(.*))?$")
_TABLE = re.compile(r"^\s*\.(?:quad|long|word|hword|byte|xword)\s+(\.L\w+)")
_NAMED = re.compile(r'"[^"]+"|[A-Za-z_.][\w.$]*')
_X86_SET = re.compile(r'^movabsq\s+\$("[^"]+"|[A-Za-z_.][\w.$]*),\s*(%\w+)')
_ARM_SET = re.compile(
    r'^(?:movz|movk|adrp|add|ldr)\s+(x\d+),.*:(?:abs_g0_nc|lo12|got_lo12|got|abs_g3):("[^"]+"|[\w.$]+)'
)


def read_assembly(text: str) -> list[MachineFunction]:
    """Return the functions of an assembly text, in its order. Constants and jump tables are left out."""
    arm = _is_aarch64(text)
    files: dict[str, str] = {}
    functions: list[MachineFunction] = []
    symbols = set(re.findall(r'\.type\s+("[^"]+"|[^\s,]+),\s*[@%]function', text))
    tables = _jump_tables(text)
    open_symbol, blocks = "", [_Block()]
    file, line = "", 0
    for raw in text.splitlines():
        found = _LABEL.match(raw)
        if found:
            name = found.group(1)
            if name in symbols:
                open_symbol, blocks, file, line = name, [_Block()], "", 0
            elif name.startswith(".Lfunc_end") and open_symbol:
                functions.append(_function(open_symbol, blocks, tables, arm))
                open_symbol = ""
            elif open_symbol and not name.startswith((".Ltmp", ".Lfunc_begin")):
                _begin_block(blocks).labels.append(name)
            continue
        if located := _LOC.match(raw):
            file, line = (files.get(located.group(1), ""), int(located.group(2)))
            continue
        if named := _FILE.match(raw):
            number, folder, base = named.groups()
            files[number] = folder if base is None or base.startswith("/") else f"{folder}/{base}"
            files[number] = base if base is not None and base.startswith("/") else files[number]
            continue
        if not open_symbol or not (found := _INSTRUCTION.match(raw)):
            continue
        operation, operands = found.group(1), _without_comment(found.group(2) or "", arm)
        read = (read_aarch64 if arm else read_x86)(operation, operands, file if line else "", line)
        if blocks[-1].instructions and blocks[-1].instructions[-1].kind == "jump":
            _begin_block(blocks)
        blocks[-1].instructions.append(read)
        _follow(blocks[-1], operation, operands, arm)
    return functions


def count(instructions: Iterable[Instruction]) -> Counts:
    """Return the sums of what these instructions do."""
    kinds: Counter[tuple[str, bool]] = Counter()
    totals: Counter[str] = Counter()
    vector_bits, before = 0, ""
    for instruction in instructions:
        kinds[instruction.kind, instruction.lanes > 1] += 1
        totals["instructions"] += 1
        totals["flop"] += instruction.flop
        totals["load_bytes"] += instruction.load_bytes
        totals["store_bytes"] += instruction.store_bytes
        totals["loads"] += instruction.load_bytes > 0
        totals["stores"] += instruction.store_bytes > 0
        totals["spills"] += instruction.spill
        totals["widenings"] += instruction.widens
        totals["wraps"] += _wraps(before, instruction.text)
        vector_bits = max(vector_bits, instruction.vector_bits)
        before = instruction.text
    return Counts(
        fma_packed=kinds["fma", True],
        fma_scalar=kinds["fma", False],
        flop_packed=kinds["add", True] + kinds["multiply", True],
        flop_scalar=kinds["add", False] + kinds["multiply", False],
        divisions=kinds["divide", True] + kinds["divide", False],
        square_roots=kinds["sqrt", True] + kinds["sqrt", False],
        conversions=kinds["convert", True] + kinds["convert", False],
        calls=kinds["call", False],
        vector_bits=vector_bits,
        **totals,
    )


def _wraps(before: str, text: str) -> bool:
    """Whether these two wrap a signed index into range: its sign, spread over the word, masks the extent."""
    if "asr #63" in text and text.startswith("and\t"):
        return True
    return before.startswith("sarq\t$63") and text.startswith("andq\t")


def _is_aarch64(text: str) -> bool:
    """AT&T's syntax writes a register as %rax; those of ARM have no %."""
    return not re.search(r"^\t[a-z].*%[a-z]", text, re.MULTILINE)


def _without_comment(operands: str, arm: bool) -> str:
    return operands.split("//" if arm else "#")[0].rstrip()


def _begin_block(blocks: list[_Block]) -> _Block:
    """Return the next block; an empty one, after a label, is used again."""
    if blocks[-1].instructions:
        blocks.append(_Block())
    return blocks[-1]


def _jump_tables(text: str) -> dict[str, list[str]]:
    tables: dict[str, list[str]] = {}
    name = ""
    for raw in text.splitlines():
        if found := _LABEL.match(raw):
            name = found.group(1)
        elif (found := _TABLE.match(raw)) and name.startswith(".LJTI"):
            tables.setdefault(name, []).append(found.group(1))
    return tables


_X86_ENDS = ("ret", "ud2", "hlt", "int3")
_ARM_ENDS = ("ret", "br", "brk", "udf")


def _follow(block: _Block, operation: str, operands: str, arm: bool) -> None:
    """Store where control goes after this instruction, if it jumps."""
    target = operands.split(",")[-1].strip()
    if arm:
        if operation == "b" or operation.startswith("b.") or operation in ("cbz", "cbnz", "tbz", "tbnz"):
            block.targets.append(target)
        if operation == "b" or operation in _ARM_ENDS:
            block.falls_through = False
    else:
        if operation.startswith("j"):
            block.targets.append(target)
        if operation.startswith("jmp") or operation.startswith(_X86_ENDS):
            block.falls_through = False


def _function(symbol: str, blocks: list[_Block], tables: dict[str, list[str]], arm: bool) -> MachineFunction:
    blocks = [block for block in blocks if block.instructions]
    names = frozenset(
        name.strip('"')
        for block in blocks
        for instruction in block.instructions
        for name in _NAMED.findall(instruction.text.partition("\t")[2])
        if not name.startswith(("%", ".L")) or name.startswith(".LJTI")
    )
    _name_calls(blocks, arm)
    places = {label: number for number, block in enumerate(blocks) for label in block.labels}
    jumped = [target for name in names if name in tables for target in tables[name]]
    successors: list[list[int]] = []
    for number, block in enumerate(blocks):
        after = [places[target] for target in block.targets if target in places]
        if (not block.falls_through and block.targets and not after) or block.instructions[-1].text.startswith("br\t"):
            after = [places[target] for target in jumped if target in places]  # through a table, or a call at the end
        if block.falls_through and number + 1 < len(blocks):
            after.append(number + 1)
        successors.append(list(dict.fromkeys(after)))
    loops, outside = _loops(blocks, successors)
    every = tuple(instruction for block in blocks for instruction in block.instructions)
    straight = tuple(instruction for number in outside for instruction in blocks[number].instructions)
    return MachineFunction(symbol.strip('"'), every, loops, straight, names)


def _name_calls(blocks: Sequence[_Block], arm: bool) -> None:
    """Name what is called through a register: position-independent code calls nearly everything that way."""
    held: dict[str, str] = {}
    for block in blocks:
        for place, instruction in enumerate(block.instructions):
            if found := (_ARM_SET if arm else _X86_SET).match(instruction.text.replace("\t", " ")):
                register, name = found.groups() if arm else reversed(found.groups())
                held[register] = name.strip('"')
            elif instruction.kind == "call":
                register = instruction.text.partition("\t")[2].lstrip("*")
                name = held.get(register, "" if register.startswith(("%", "x")) else register)
                block.instructions[place] = replace(instruction, callee=name.strip('"'))


def _loops(blocks: Sequence[_Block], successors: Sequence[Sequence[int]]) -> tuple[tuple[MachineLoop, ...], list[int]]:
    """Return the outermost loops, and the blocks that are in none."""
    dominator = _dominators(successors)
    members: dict[int, set[int]] = {}
    backs: dict[int, int] = {}
    before: list[list[int]] = [[] for _ in successors]
    for number, after in enumerate(successors):
        for target in after:
            before[target].append(number)
    for number, after in enumerate(successors):
        for head in after:
            if _dominates(dominator, head, number):
                inside = members.setdefault(head, {head})
                backs[head] = max(number, backs.get(head, -1))
                pending = [number]
                while pending:
                    block = pending.pop()
                    if block not in inside:
                        inside.add(block)
                        pending += [one for one in before[block] if dominator[one] is not None]

    ordered = sorted(members, key=lambda head: len(members[head]))
    parent = {
        head: next((other for other in ordered[place + 1 :] if head in members[other] and other != head), None)
        for place, head in enumerate(ordered)
    }

    def made(head: int, depth: int) -> MachineLoop:
        children = sorted(child for child in ordered if parent[child] == head)
        body = members[head].difference(*(members[child] for child in children))
        instructions = tuple(instruction for number in sorted(body) for instruction in blocks[number].instructions)
        back = blocks[backs[head]].instructions[-1]
        return MachineLoop(depth, instructions, tuple(made(child, depth + 1) for child in children), back)

    outermost = sorted(head for head in ordered if parent[head] is None)
    looped = set[int]().union(*members.values())
    return tuple(made(head, 1) for head in outermost), [n for n in range(len(blocks)) if n not in looped]


def _dominators(successors: Sequence[Sequence[int]]) -> list[int | None]:
    """Return the immediate dominator of each reachable block (Cooper, Harvey and Kennedy 2001)."""
    if not successors:
        return []
    order: list[int] = []
    seen = {0}
    stack = [(0, iter(successors[0]))]
    while stack:
        block, rest = stack[-1]
        for after in rest:
            if after not in seen:
                seen.add(after)
                stack.append((after, iter(successors[after])))
                break
        else:
            order.append(block)
            stack.pop()
    place = {block: number for number, block in enumerate(order)}
    before: dict[int, list[int]] = {}
    for block in order:
        for after in successors[block]:
            before.setdefault(after, []).append(block)
    dominator: list[int | None] = [None] * len(successors)
    dominator[0] = 0
    changed = True
    while changed:
        changed = False
        for block in reversed(order[:-1]):
            known = [one for one in before[block] if dominator[one] is not None]
            new = known[0]
            for other in known[1:]:
                one: int = other
                while one != new:
                    while place[one] < place[new]:
                        one = dominator[one]  # type: ignore[assignment]
                    while place[new] < place[one]:
                        new = dominator[new]  # type: ignore[assignment]
            if dominator[block] != new:
                dominator[block], changed = new, True
    return dominator


def _dominates(dominator: Sequence[int | None], head: int, block: int) -> bool:
    if dominator[block] is None:
        return False
    while block != head and dominator[block] != block:
        block = dominator[block]  # type: ignore[assignment]
    return block == head
