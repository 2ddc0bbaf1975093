"""A function's profile, filled by hand: two loops that LLVM vectorised, one around the other's source."""

from dataclasses import replace
from typing import Any

from jitnet.profile.code.code_view import Body, CodeView, Counts, Instruction, Loop, Source
from jitnet.profile.functions.function_profile import Argument, FunctionProfile
from jitnet.profile.functions.hint_records import Hint
from jitnet.profile.functions.hints import RULES, Kind
from jitnet.profile.functions.places import Place
from jitnet.profile.functions.time_records import Count

FILE = "/somewhere/theirs.py"
LINES = (
    "def smooth(x, out):",
    "    for i in range(x.shape[0]):",
    "        for j in range(x.shape[1]):",
    "            out[i, j] = 2 * x[i, j]",
    "    for i in range(x.shape[0]):",
    "        out[i, 0] = 0",
)
FIRST = 10


def body(*calls: str, file: str = FILE, line: int = 13, innermost: bool = True) -> Body:
    instructions = tuple(Instruction(f"callq {name}", file, line, "call", callee=name) for name in calls)
    counts = Counts(calls=len(calls), instructions=8, vector_bits=256)
    return Body("smooth", 1, innermost, "main", 4, counts, instructions)


def loop(line: int, last: int, depth: int = 1, **fields: Any) -> Loop:
    made = {"innermost": depth == 2 or line == 14, "vectorised": True, "width": 4, "bodies": (body(line=line),)}
    return Loop(FILE, line, last, "smooth", depth, **{**made, "parallel": None, **fields})


OUTER = loop(11, 13, vectorised=False, bodies=(body(innermost=False),))
INNER = loop(12, 13, depth=2)
LAST = loop(14, 15)


def view(*loops: Loop) -> CodeView:
    source = Source(FILE, "smooth", FIRST, LINES)
    return CodeView("smooth", "theirs", "(float64[:, ::1])", "njit", "znver9", False, 256, (source,), loops, 120)


def hint(kind: Kind, line: int, reason: str) -> Hint:
    return Hint(kind.value, Place(FILE, line, LINES[line - FIRST].strip()), reason, RULES[kind].advice, "types")


PROFILE = FunctionProfile(
    target="theirs:smooth",
    kind="njit",
    place=Place(FILE, FIRST, LINES[0]),
    signature="(array(float64, 2d, C), array(float64, 2d, C))",
    options="",
    arguments=(Argument("x", "float64[9, 9] C", ""), Argument("out", "float64[9, 9] C", "again")),
    returns="none",
    compile_s=1.25,
    import_s=0.5,
    counts=(Count(1, 100, (1.00e-6, 1.01e-6, 1.02e-6, 1.03e-6, 1.04e-6, 1.05e-6, 1.06e-6, 1.07e-6)),),
    threads=1,
    thread_shares=(),
    regions=(),
    outside_s=0.0,
    dispatch_s=None,
    cpu_share=1.0,
    flop=None,
    bytes=None,
    flop_formula="",
    bytes_formula="",
    functions=(),
    hints=(),
    unsearched=(),
    notes=(),
    threading_layer="",
    numba="0.68.1",
    python="3.11.7",
    perf_map="",
    lines=view(OUTER, INNER, LAST),
)


def taking(factor: float, profile: FunctionProfile = PROFILE) -> FunctionProfile:
    """The same with calls that take so many times as long."""
    counts = tuple(replace(each, samples_s=tuple(factor * s for s in each.samples_s)) for each in profile.counts)
    return replace(profile, counts=counts)
