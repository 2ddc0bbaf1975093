"""What LLVM made of a function, next to its source: `jitnet profile --kernel`."""

import ast
import linecache
import os
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from jitnet.profile.code.loop_verdict import is_tile, place_in_threads, verdict, whole_verdict
from jitnet.profile.paths import path_text
from jitnet.render.console import ACCENT, FAINT, GOOD, WARN, facts, say, written
from jitnet.render.tables import Cell, table

if TYPE_CHECKING:
    from jitnet.profile.code.code_view import Body, CodeView, Counts, Instruction, Loop, Source

__all__ = ["code_summary", "code_view", "code_views", "verdict"]

WIDE = 100
"""Columns from which indentation is shown in full, and more counts are shown."""

SPARE = ("instr", "stores", "loads", "cycles")
"""Columns that are left out where code would have no room, in that order, after the rarer arithmetic."""

CODE = 36
"""The fewest columns for a line of code, its number included."""

HEADER = 44
"""A loop's first line gets as much, its number included, before columns beside it are left out."""
TIME, NOTED = 5, 0.005
"""Columns for the share of a line in the time, and the smallest that is shown."""

SHORT = 10
"""The most calls that are named one by one."""


def code_views(console: Console, views: "Sequence[CodeView]", *, asm: bool = False) -> None:
    """One function whole; of several a row for each innermost loop, and with `asm` each whole."""
    if len(views) > 1 and not asm:
        code_summary(console, views)
        return
    for number, view in enumerate(views):
        if number:
            console.print()
        code_view(console, view, asm=asm)


def code_view(
    console: Console,
    view: "CodeView",
    *,
    asm: bool = False,
    shares: Mapping[tuple[str, int], float] | None = None,
) -> None:
    """A function's source, with what became of each loop below its first line, and what an innermost iteration does.

    asm: also the instructions of innermost loops, each under the line of source that it was made for. shares: of the
    time of a call, for lines by file and number; they are beside the lines.
    """
    facts(
        console,
        [
            ("function", f"{view.function}{view.signature}"),
            ("processor", _processor(view)),
            ("machine code", _size(view)),
        ],
    )
    columns = _columns(console, view)
    for source in view.sources:
        console.print()
        _source(console, view, source, columns, asm, shares or {})
    elsewhere = [loop for loop in view.loops if not any(_holds(source, loop) for source in view.sources)]
    for loop in elsewhere:
        say(console, f"{_short(loop.file)}:{loop.line}  {verdict(loop)}")
    console.print()
    for note in (*_legend(view), *view.notes):
        say(console, note, FAINT)


def code_summary(console: Console, views: "Sequence[CodeView]") -> None:
    """A row for each innermost loop of several functions, without its source."""
    if not views:
        return
    facts(console, [("functions", f"{len(views)}"), ("processor", _processor(views[0]))])
    console.print()
    rows: list[list[Cell]] = []
    for view in views:
        name = view.function
        for loop in view.loops:
            main = loop.main
            if main is None or not main.innermost or not loop.innermost:
                continue
            counts = main.counts
            numbers: list[Cell] = [
                _pair(counts.fma_packed, counts.fma_scalar),
                _pair(counts.flop_packed, counts.flop_scalar),
                counts.loads,
                counts.stores,
                counts.spills,
                counts.instructions,
                _cycles(main),
            ]
            place = str(loop.line)
            if loop.function != view.function:
                place = f"{loop.function} {loop.line}"
            rows.append([name, place, Text(_short_verdict(loop), style=_style(loop)), *numbers])
            name = ""
    if not rows:
        say(console, "None of them has a loop of its own.", FAINT)
        return
    head = ["function", "line", "vectors", "fma p/s", "other p/s", "loads", "stores", "spills", "instr", "cycles"]
    spare = ["spills", "other p/s", "stores", "loads", "instr", "cycles", "fma p/s"]
    title = "Innermost loops, one iteration of the machine code"
    table(console, head, rows, title=title, prose=["line"], spare=spare)
    console.print()
    say(
        console,
        "vectors: how many numbers each has, × how many are interleaved; tile: in vectors as it is written; scalar: "
        "one number at a time, × iterations unrolled. A name before a line is that of an inlined function.",
        FAINT,
    )
    for note in dict.fromkeys([*(note for view in views for note in _legend(view)), *_shared_notes(views)]):
        say(console, note, FAINT)


def _shared_notes(views: "Sequence[CodeView]") -> list[str]:
    return list(dict.fromkeys(note for view in views for note in view.notes))


def _short_verdict(loop: "Loop") -> str:
    main = loop.main
    text = f"{loop.width}" if loop.vectorised else "tile" if is_tile(loop) else "scalar"
    factor = loop.interleaved if loop.vectorised else main.iterations if main else 1
    return text + (f" ×{factor}" if factor > 1 else "")


def _style(loop: "Loop") -> str:
    if loop.vectorised or is_tile(loop):
        return str(GOOD)
    return str(WARN) if loop.main is not None and loop.main.innermost else ""


# The source ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Column:
    head: str
    width: int


def _columns(console: Console, view: "CodeView") -> list[_Column]:
    """What is counted next to the source; less of it where code would have no room, columns without a number first."""
    heads = ["fma p/s", "other p/s", "loads", "stores", "instr"]
    if any(loop.main and loop.main.mca and loop.main.mca.cycles for loop in view.loops):
        heads.append("cycles")
    found = [_Column(head, max(len(head), 5)) for head in heads]
    bodies = _counted(view.loops)
    if not bodies:
        return []
    rows = [_cells(body) for body in bodies]
    fma = sum(body.counts.fma_packed + body.counts.fma_scalar for body in bodies)
    other = sum(body.counts.flop_packed + body.counts.flop_scalar for body in bodies)
    less = "fma p/s" if other > fma else "other p/s"
    empty = [head for head in heads if not any(re.search("[1-9]", row[head]) for row in rows)]
    widest = _widest(console, view)
    for spares, needed in ((empty, widest), ((less, *SPARE), min(widest, HEADER))):
        for spare in spares:
            if console.width < needed + sum(column.width + 1 for column in found):
                found = [column for column in found if column.head != spare]
    return found


def _counted(loops: "Iterable[Loop]") -> "list[Body]":
    """Return the innermost main bodies, whose instructions are counted beside the source."""
    return [loop.main for loop in loops if loop.main is not None and loop.main.innermost]


def _widest(console: Console, view: "CodeView") -> int:
    """The columns of the longest line of code that has counts beside it, its number included."""
    widths = [20]
    for loop in view.loops:
        source = next((one for one in view.sources if _holds(one, loop)), None)
        if source is not None and loop.main is not None and loop.main.innermost:
            text = _code(source.lines[loop.line - source.first_line], console.width >= WIDE)
            widths.append(len(str(source.first_line + len(source.lines))) + 4 + len(text))
    return max(widths)


def _cells(body: "Body") -> dict[str, str]:
    """What is counted of a body, by the heads of the columns."""
    counts = body.counts
    return {
        "fma p/s": _pair(counts.fma_packed, counts.fma_scalar),
        "other p/s": _pair(counts.flop_packed, counts.flop_scalar),
        "loads": str(counts.loads),
        "stores": str(counts.stores),
        "instr": str(counts.instructions),
        "cycles": _cycles(body) or "-",
    }


def _row(body: "Body", columns: Sequence[_Column]) -> str:
    cells = _cells(body)
    return " ".join(f"{cells[column.head]:>{column.width}}" for column in columns)


def _pair(packed: int, scalar: int) -> str:
    return f"{packed}/{scalar}"


def _cycles(body: "Body") -> str:
    return f"{body.mca.cycles:.1f}" if body.mca is not None and body.mca.cycles else ""


def _source(
    console: Console,
    view: "CodeView",
    source: "Source",
    columns: Sequence[_Column],
    asm: bool,
    shares: Mapping[tuple[str, int], float],
) -> None:
    ascii_only = console.options.ascii_only
    bar, corner = ("|", "`-") if ascii_only else ("│", "└")
    last_line = source.first_line + len(source.lines)
    digits = len(str(last_line))
    gutter = digits + 3 + (TIME if shares else 0)
    loops_at: dict[int, list[Loop]] = {number: [] for number in range(source.first_line, last_line)}
    for loop in view.loops:
        if _holds(source, loop):
            loops_at[loop.line].append(loop)
    columns = columns if _counted(loop for found in loops_at.values() for loop in found) else ()
    counted = " ".join(f"{column.head:>{column.width}}" for column in columns)
    code = {number: _code(text, console.width >= WIDE) for number, text in _shown(source)}
    headed = [len(code[number]) for number, found in loops_at.items() if found and number in code]
    room = min(console.width - gutter - len(counted) - 2, max([*headed, len(_title(source, view))], default=0))
    head = Text(f"{_cut(_title(source, view), gutter + room):<{gutter + room}}", style="bold")
    if shares:
        head = Text(f"{'time':<{TIME}}", style="dim").append(head.plain[: gutter + room - TIME], style="not dim bold")
    _put(console, head.append("  " + counted, style="not bold dim"))
    before = source.first_line - 1
    for number, text in code.items():
        if number != before + 1:
            _put(console, Text(f"{'':>{gutter - 3}} {bar} …", style=FAINT))
        before = number
        line = Text(_time(shares.get((source.file, number), 0.0)) if shares else "", style="not dim bold")
        line.append(f"{number:>{digits}} {bar} ", style="not bold dim")
        found = loops_at.get(number, [])
        counts = [loop for loop in found if loop.main is not None and loop.main.innermost]
        width = room if counts else console.width - gutter
        line.append(_cut(text, width), style="not dim")
        if counts and counts[0].main is not None:
            line.append(" " * (room - min(len(text), width)) + "  ")
            line.append(_row(counts[0].main, columns), style="not dim bold")
        _put(console, line)
        for place, loop in enumerate(found):
            if place and loop.main is not None and loop.main.innermost:
                more = f"{place_in_threads(loop)}{'':>{room + gutter}}"[: room + gutter]
                _put(console, Text(more + "  " + _row(loop.main, columns)))
            _below(console, loop, gutter, len(text) - len(text.lstrip()), corner)
            if asm and loop.main is not None and loop.main.innermost:
                _assembly(console, loop.main, gutter)


def _time(share: float) -> str:
    return f"{f'{share:.0%}' if share >= NOTED else '':>{TIME - 1}} "


def _below(console: Console, loop: "Loop", gutter: int, indent: int, corner: str) -> None:
    """The verdict, and what else an iteration does, below a loop's first line."""
    parts = [part for part in (whole_verdict(loop), _details(loop)) if part]
    if not parts:
        return
    first, rest = parts[0], parts[1:]
    start = " " * (gutter + min(indent, max(0, console.width - gutter - CODE))) + corner + " "
    hanging = " " * len(start)
    _wrapped(console, start, hanging, first, _style(loop))
    for part in rest:
        _wrapped(console, hanging, hanging, part, str(FAINT))


def _wrapped(console: Console, start: str, hanging: str, text: str, style: str) -> None:
    lines = textwrap.wrap(text, max(1, console.width - len(start)), break_long_words=False, break_on_hyphens=False) or [
        ""
    ]
    for number, line in enumerate(lines):
        shown = Text(hanging if number else start, style=FAINT)
        _put(console, shown.append(line, style=style))


def _details(loop: "Loop") -> str:
    """What an iteration does in addition to what the columns show."""
    main = loop.main
    if main is None:
        return ""
    counts, details = main.counts, []
    if main.innermost:
        if loop.vectorised and main.iterations > 1:
            details.append(f"an iteration does {main.iterations} of the source's")
        if counts.flop:
            details.append(f"{counts.flop} FLOP")
        if counts.load_bytes or counts.store_bytes:
            details.append(f"{counts.load_bytes} B read, {counts.store_bytes} B written")
    details += _named(counts, [] if loop.reason.startswith("it calls") else main.instructions, main.innermost)
    if main.mca is not None and main.innermost:
        if main.mca.note and not main.mca.cycles:
            details.append(f"{main.mca.program}: {main.mca.note}")
        elif main.mca.binds:
            details.append(f"bound by {main.mca.binds}")
    if loop.innermost and main.innermost and loop.has_rest:
        details.append("another loop does the remainder")
    return "; ".join(details)


def _named(counts: "Counts", instructions: "Sequence[Instruction]", innermost: bool) -> list[str]:
    details = []
    if innermost:
        numbers = (
            (counts.divisions, "division"),
            (counts.square_roots, "square root"),
            (counts.conversions, "conversion"),
            (counts.spills, "access to the stack", "accesses to the stack"),
            (counts.wraps, "index wrapped around", "indices wrapped around"),
        )
        details += [_many(*each) for each in numbers if each[0]]
        if counts.widenings:
            place = next(number for number, text in enumerate(details) if "conversion" in text)
            details[place] += f" ({counts.widenings} from float32 to float64)"
    names = list(dict.fromkeys(_readable(one.callee) for one in instructions if one.kind == "call"))
    if names:
        details.append(f"calls {', '.join(names[:SHORT])}")
    return details


def _many(count: int, one: str, more: str = "") -> str:
    return f"{count} {one if count == 1 else more or one + 's'}"


def _assembly(console: Console, body: "Body", gutter: int) -> None:
    """Instructions under their lines of source; each number is the place in the order of the machine code."""
    lines: dict[tuple[str, int], list[tuple[int, Instruction]]] = {}
    before = ("", 0)
    for number, instruction in enumerate(body.instructions, 1):
        if instruction.line:
            before = (instruction.file, instruction.line)
        lines.setdefault(before, []).append((number, instruction))
    width = len(str(len(body.instructions)))
    for (file, line), found in sorted(lines.items()):
        place = f"{os.path.basename(file)}:{line}  {linecache.getline(file, line).strip()}" if line else "no line"
        _put(console, Text(_cut(f"{'':>{gutter}}{place}", console.width), style=ACCENT))
        for number, instruction in found:
            name, _, operands = instruction.text.partition("\t")
            text = Text(f"{'':>{gutter}}{number:>{width + 2}}  ", style=FAINT)
            text.append(f"{name:<14} {operands}".rstrip(), style="not dim")
            _put(console, text)


def _put(console: Console, line: Text) -> None:
    """Print a line, cut where the terminal ends."""
    console.print(written(console, line), no_wrap=True, overflow="crop", crop=True)


# Pieces --------------------------------------------------------------------------------------------------------------


def _shown(source: "Source") -> list[tuple[int, str]]:
    """Lines with their numbers, without the docstring's lines after the first."""
    numbered = list(enumerate(source.lines, source.first_line))
    try:
        tree = ast.parse(textwrap.dedent("\n".join(source.lines)))
        function = tree.body[0]
        first = function.body[0] if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)) else function
    except (SyntaxError, IndexError):
        return numbered
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        begin, end = first.lineno, first.end_lineno or first.lineno
        return [(number, text) for place, (number, text) in enumerate(numbered, 1) if not begin < place <= end]
    return numbered


def _code(text: str, whole: bool) -> str:
    """A line of code, its indentation halved unless `whole`."""
    text = text.expandtabs(4).rstrip()
    if whole:
        return text
    indent = len(text) - len(text.lstrip())
    return " " * (indent // 2) + text.lstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def _holds(source: "Source", loop: "Loop") -> bool:
    return source.file == loop.file and source.first_line <= loop.line < source.first_line + len(source.lines)


def _title(source: "Source", view: "CodeView") -> str:
    return f"{_short(source.file)}:{source.first_line}"


def _short(file: str) -> str:
    """A path as it can be typed where that is short, else its last 3 parts."""
    shown = path_text(file)
    return os.sep.join(shown.split(os.sep)[-3:]) if os.path.isabs(shown) else shown


def _readable(symbol: str) -> str:
    from jitnet.profile.readable import demangle

    return demangle(symbol).replace("<locals>.", "") or "a function that is known only at run time"


def _processor(view: "CodeView") -> str:
    return f"{view.cpu}, vectors of {view.vector_bits} bits" + (", read and not run" if view.foreign else "")


def _size(view: "CodeView") -> str:
    text = f"{view.instructions:,} instructions"
    if view.plain_instructions:
        same = view.plain_instructions == view.instructions
        text += " as it runs" if same else f", {view.plain_instructions:,} without the line table"
    return text + (f"; {view.kind}" if view.kind != "njit" else "")


def _legend(view: "CodeView") -> list[str]:
    """What the columns mean, for a function that has loops with numbers in them."""
    if not _counted(view.loops):
        return []
    notes = [
        "p/s: on vectors (packed) and on single numbers (scalar). fma: multiply-adds, 2 FLOP a number; other: "
        "additions, subtractions, multiplications. Counts are of one iteration of the machine code's loop."
    ]
    known = [body.mca for body in _counted(view.loops) if body.mca is not None and body.mca.cycles]
    models = {(mca.program, mca.cpu) for mca in known}
    for program, cpu in sorted(models):
        nearest = "" if cpu == view.cpu else f", the nearest that it has to {view.cpu}"
        notes.append(f"cycles: {program}'s for {cpu}{nearest}, with all data in L1 and every branch predicted.")
    return notes
