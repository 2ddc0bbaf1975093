"""`jitnet profile MODULE` on the screen: its compiled functions, and what became of their loops."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from jitnet.profile.paths import path_text
from jitnet.render.code import verdict
from jitnet.render.console import FAINT, GOOD, WARN, facts, say, suggest
from jitnet.render.tables import Cell, table

if TYPE_CHECKING:
    from jitnet.profile.code.code_view import Loop
    from jitnet.profile.functions.module_table import Compiled, JittedFunction, ModuleTable

__all__ = ["module_table"]


def module_table(console: Console, found: "ModuleTable") -> None:
    """A row for each function and signature, and one for each innermost loop of those that were read."""
    count = len(found.functions)
    compiled = sum(bool(each.compiled) for each in found.functions)
    known = "all of them" if compiled == count else f"{compiled} of them" if compiled else "none of them"
    plural = "s" * (count != 1)
    facts(
        console,
        [
            ("module", Text(path_text(found.file), style="bold")),
            ("functions", f"{count} function{plural} for Numba to compile; the types of {known} are known"),
        ],
    )
    console.print()
    _functions(console, found)
    loops = _loops(found)
    if loops:
        console.print()
        columns = ["function", "line", "loop", "for"]
        if not any(signature for *_, signature in loops):  # no function has several
            columns, loops = columns[:-1], [row[:-1] for row in loops]
        table(console, columns, loops, title="Innermost loops", prose=["loop", "for"], spare=["for"])
    if compiled < count:
        say(
            console,
            "A function without declared types is compiled by its first call, for the types of that call. --args "
            "compiles those that take so many arguments.",
            FAINT,
        )
    if any(each.kind == "jitclass method" for each in found.functions):
        say(console, "A method of a jitclass is profiled as FILE:Class.method, with --setup.", FAINT)
    suggest(console, found.commands)


def _functions(console: Console, found: "ModuleTable") -> None:
    rows: list[list[Cell]] = []
    for each in found.functions:
        name = f"{each.name}({', '.join(each.parameters)})"
        line, kind = str(each.place.line), ", ".join(filter(None, [each.kind, each.options]))
        for number, one in enumerate(each.compiled):
            front: list[Cell] = ["", "", ""] if number else [name, line, kind]
            rows.append([*front, _signature(one), _summary(one)])
        if not each.compiled:
            rows.append([name, line, kind, Text("not compiled yet", style=FAINT), ""])
    table(
        console,
        ["function", "line", "kind", "compiled for", "vectorised"],
        rows,
        prose=["function", "kind", "compiled for", "vectorised"],
        spare=["kind"],
    )


def _signature(one: "Compiled") -> str:
    return f"{one.signature}{', by --args' if one.asked else ''}"


def _summary(one: "Compiled") -> Text:
    """How many of its innermost loops are vectorised; or why that is not known."""
    from jitnet.profile.functions.module_table import loops_of

    if one.view is None:
        return Text(f"not read: {one.reason}", style=FAINT)
    loops = loops_of(one.view)
    if not loops:
        return Text("no loop", style=FAINT)
    good = sum(is_in_vectors(loop) for loop in loops)
    return Text(f"{good} of {len(loops)} loop{'s' * (len(loops) != 1)}", style=GOOD if good == len(loops) else WARN)


def is_in_vectors(loop: "Loop") -> bool:
    """Whether LLVM vectorised a loop, or it is written in vectors."""
    return loop.vectorised or verdict(loop).startswith("in vectors")


def _loops(found: "ModuleTable") -> list[list[Cell]]:
    from jitnet.profile.functions.module_table import loops_of

    rows: list[list[Cell]] = []
    for each in found.functions:
        for one in each.compiled:
            name = each.name
            for loop in loops_of(one.view) if one.view is not None else ():
                text = Text(verdict(loop), style=GOOD if is_in_vectors(loop) else WARN)
                rows.append([name, _line(each, loop), text, one.signature if len(each.compiled) > 1 else ""])
                name = ""
    return rows


def _line(function: "JittedFunction", loop: "Loop") -> str:
    """A loop's line; with the name of the function that it is in, where that was inlined."""
    if "lambda" in function.place.source:
        return str(function.place.line)
    inlined = loop.function != function.name.rpartition(".")[2]
    return f"{loop.function} {loop.line}" if inlined else str(loop.line)
