"""The compiled functions of a module: what each was compiled for, and what became of its loops."""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jitnet.errors import UsageError
from jitnet.profile.code.code_view import CodeView, Loop, Target
from jitnet.profile.code.look import look_each
from jitnet.profile.functions.arguments import read_words
from jitnet.profile.functions.places import Place
from jitnet.profile.functions.worker_process import LIMIT_S, ask

__all__ = ["FORMAT", "Compiled", "JittedFunction", "ModuleTable", "as_document", "loops_of", "profile_module"]

FORMAT = "jitnet profile module 1"

MODULE = "MODULE"
"""What the command line calls a module without a function."""

FUNCTION_S, WHOLE_S = 20.0, 120.0
"""Seconds for compiling a function once more, to read its machine code; and for all of a module."""

WORDS = {
    "float16": "2.5", "float32": "f4(2.5)", "float64": "2.5", "bool": "True", "unicode_type": "'text'",
    "complex64": "c8(1+2j)", "complex128": "c16(1+2j)", "none": "None",
    "int8": "i1(3)", "int16": "i2(3)", "int32": "i4(3)", "int64": "3",
    "uint8": "u1(3)", "uint16": "u2(3)", "uint32": "u4(3)", "uint64": "u8(3)",
}  # fmt: skip
"""For Numba's types of numbers, a word of `--args`."""

SHORT = {"float32": "f4", "float64": "f8", "int32": "i4", "int64": "i8"}

EXTENT = {0: "", 1: "100000", 2: "1000,1000", 3: "100,100,100"}
"""Extents of an example array, by its dimensions."""


@dataclass(frozen=True)
class Compiled:
    """A signature that a function is compiled for. asked: it is that of `--args`. view: its machine code, None where it
    could not be read, for this reason."""

    signature: str
    asked: bool
    view: CodeView | None
    reason: str = ""


@dataclass(frozen=True)
class JittedFunction:
    """A function that Numba compiles. name: dotted, where it is in a class. kind: "njit", "vectorize", "guvectorize",
    "jitclass method" or "cfunc". parameters: as written. compiled: one a signature, none where it is not compiled
    yet."""

    name: str
    kind: str
    options: str
    place: Place
    parameters: tuple[str, ...]
    compiled: tuple[Compiled, ...]


@dataclass(frozen=True)
class ModuleTable:
    """The compiled functions that a module defines, in the order of its lines. imported: for each other module, how
    many compiled functions this one has of it. commands: how to profile one of them, ready to be typed."""

    target: str
    file: str
    functions: tuple[JittedFunction, ...]
    imported: dict[str, int]
    commands: tuple[str, ...]


def profile_module(
    target: str,
    *,
    args: str | None = None,
    time_s: float = WHOLE_S,
    limit_s: float = LIMIT_S,
    progress: Callable[[str], None] = lambda what: None,
) -> ModuleTable:
    """Return the compiled functions of a module, which is loaded in a worker process.

    target: a dotted module, or the path of a Python file. args: as `profile_function` takes it; the functions that are
    not compiled yet and take so many arguments are compiled for these types. The others stay as they are. time_s:
    seconds for compiling all of them once more and reading their machine code; what is not read by then has that as
    the reason. Raises what `profile_function` raises, and UsageError where the module has none.
    """
    if (target.endswith(".py") or "/" in target) and not Path(target).is_file():
        kind = "is a folder; expected a Python file" if Path(target).is_dir() else "there is no such file"
        raise UsageError(f"{MODULE} {target}: {kind}")
    if not (target.endswith(".py") or "/" in target or all(part.isidentifier() for part in target.split("."))):
        raise UsageError(f"{MODULE} {target}: expected a module, as in mypkg.kernels, or a Python file")
    if args is not None:
        read_words(args)
    reply = ask({"task": "table", "target": target, "args": args}, target, limit_s, progress)
    if not reply["functions"]:
        others = ", ".join(f"{count} from {module}" for module, count in sorted(reply["imported"].items()))
        hint = f"; it imports {others}: name the module" if others else ""
        raise UsageError(f"{MODULE} {target}: defines no function under @njit, @vectorize or @guvectorize{hint}")
    views = _views(target, reply["functions"], time_s, progress)
    functions = tuple(_function(each, views) for each in reply["functions"])
    return ModuleTable(target, reply["file"], functions, reply["imported"], _commands(target, functions))


Key = tuple[str, int]
"""A function's name, and which of its signatures."""


def _views(
    target: str, functions: Sequence[dict[str, Any]], time_s: float, progress: Callable[[str], None]
) -> dict[Key, CodeView | str]:
    """Return for each signature its view, or the reason why there is none."""
    found: dict[Key, CodeView | str] = {}
    wanted: list[tuple[Key, Target]] = []
    for each in functions:
        for number, pickled in enumerate(each["pickled"]):
            key = each["name"], number
            if pickled:
                wanted.append((key, Target(each["name"], target, pickled=pickled)))
            else:
                found[key] = "its types cannot be sent to another process"

    def started(what: str, done: int, total: int) -> None:
        progress(f"reading the machine code of {what} ({min(done + 1, total)} of {total})")

    views = look_each([each for _, each in wanted], function_s=FUNCTION_S, whole_s=time_s, progress=started)
    return found | {key: view for (key, _), view in zip(wanted, views, strict=True)}


def _function(found: dict[str, Any], views: dict[Key, CodeView | str]) -> JittedFunction:
    compiled = []
    for number, signature in enumerate(found["signatures"]):
        view = views.get((found["name"], number), "another target's code is not read")
        is_read = isinstance(view, CodeView)
        compiled.append(Compiled(signature, found["asked"], view if is_read else None, "" if is_read else str(view)))  # type: ignore[arg-type]
    return JittedFunction(
        found["name"],
        found["kind"],
        found["options"],
        Place(**found["place"]),
        tuple(found["parameters"]),
        tuple(compiled),
    )


def loops_of(view: CodeView) -> list[Loop]:
    """Return the loops whose fate matters: the innermost ones, as they run where a `prange` is parallel."""
    innermost = [loop for loop in view.loops if loop.innermost and loop.main is not None]
    inside = {(loop.file, loop.line) for loop in innermost if loop.parallel == "body"}
    return [loop for loop in innermost if loop.parallel != "serial" or (loop.file, loop.line) not in inside]


def _commands(target: str, functions: Sequence[JittedFunction]) -> tuple[str, ...]:
    """Return how to profile a function: one with loops, and best one whose types are known."""
    plain = [each for each in functions if each.kind not in ("jitclass method", "cfunc") and "<" not in each.name]
    known = [(each, words) for each in plain if each.compiled and (words := _words(each)) is not None]
    known.sort(key=lambda pair: -sum(len(loops_of(one.view)) for one in pair[0].compiled if one.view is not None))
    if known:
        each, words = known[0]
        return (f'jitnet profile {target}:{each.name} --args "{words}"',)
    if plain:
        return (f"jitnet profile {target}:{plain[0].name} --setup {target}:a_function_that_returns_its_arguments",)
    return ()


def _words(function: JittedFunction) -> str | None:
    """Return words of `--args` for the first signature; None where a type has none, and where extents are not free."""
    if function.kind == "guvectorize":
        return None
    inside = function.compiled[0].signature.removeprefix("(").removesuffix(")")
    texts = re.split(r", (?![^\[(]*[\])])", inside) if inside else []
    if function.kind == "vectorize":  # of arrays, element by element
        texts = [text if "[" in text else f"{text}[::1]" for text in texts]
    words = []
    for text in texts:
        array = re.fullmatch(r"(bool|complex\d+|u?int\d+|float\d+)\[([^\]]*)\]", text)
        if array is None:
            if text not in WORDS:
                return None
            words.append(WORDS[text])
            continue
        dims = array[2].count(",") + 1
        if dims not in EXTENT:
            return None
        layout = "" if array[2].endswith("::1") else "F" if "::1" in array[2] else "A"
        words.append(f"{SHORT.get(array[1], array[1])}[{EXTENT[dims]}]{layout}")
    return " ".join(words)


def as_document(found: ModuleTable) -> dict[str, Any]:
    """Return what `--json` prints."""
    from jitnet.version import __version__

    return {"format": FORMAT, "jitnet": __version__, **asdict(found)}
