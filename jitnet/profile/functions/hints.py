"""The closed list of hints: the name of each, where it is looked for, and what to do about it."""

from dataclasses import dataclass
from enum import Enum

__all__ = ["RULES", "Kind", "Rule"]


class Kind(Enum):
    """The kinds of hints, the most serious first: wrong results, then what tends to cost most."""

    RACE = "race"
    OBJECT_MODE = "object mode"
    DENORMALS = "denormals"
    UNEVEN = "uneven"
    SHORT_REGION = "short region"
    CALL = "call"
    ALLOCATION = "allocation"
    REFERENCES = "reference counts"
    LOOP_ORDER = "loop order"
    POWER = "power"
    STRUCTS = "structs"
    MAGNITUDE = "magnitude"
    INVARIANT = "invariant"
    ACCUMULATOR = "accumulator"
    REDUCTION = "reduction"
    DIVISION = "division"
    PROMOTION = "promotion"
    WRAPAROUND = "wraparound"
    LAYOUT = "layout"
    COMPILED_AGAIN = "compiled again"


@dataclass(frozen=True)
class Rule:
    """title: the hint's name. advice: what to do, unless the finder has better advice. found: where it is looked for.

    `found` is Numba's types ("types"), the source and these types ("source"), the instructions of the innermost loops
    ("machine code"), the times of threads ("clock"), where samples of a call were ("samples"), the processor's
    floating-point flags ("flags"), or a run without the compiler ("a run in Python").
    """

    title: str
    advice: str
    found: str


RULES = {
    Kind.RACE: Rule(
        "an array element written by several threads",
        "Give each element one writer: let each iteration write its element, and combine them after the loop.",
        "types, then a run in Python",
    ),
    Kind.OBJECT_MODE: Rule(
        "object mode",
        "Use njit, and only types that Numba knows; move what needs Python before or after the loop.",
        "types",
    ),
    Kind.DENORMALS: Rule(
        "denormal numbers",
        "Set what falls below about 1e-30 (float32) or 1e-290 (float64) to zero, or scale the data.",
        "flags",
    ),
    Kind.UNEVEN: Rule(
        "work split unevenly",
        "Split the work into smaller pieces, with numba.set_parallel_chunksize or a loop over pieces of equal work.",
        "clock",
    ),
    Kind.SHORT_REGION: Rule(
        "a region too short for its threads",
        "Run it on one thread, or put more work into one parallel loop.",
        "clock",
    ),
    Kind.CALL: Rule(
        "a call that was not inlined",
        "Move the call out of the loop, or write its code into the loop.",
        "machine code",
    ),
    Kind.ALLOCATION: Rule(
        "an allocation inside a loop",
        "Allocate once before the loop and write into it, or write the arithmetic as a loop over elements.",
        "types",
    ),
    Kind.REFERENCES: Rule(
        "reference counts in a loop",
        "Take an array from its list or tuple once before the loop, or index one array of more dimensions: a[i, j].",
        "samples",
    ),
    Kind.LOOP_ORDER: Rule(
        "loops in an order that strides through memory",
        "Exchange the loops, so that the innermost one counts the last index of most arrays.",
        "source",
    ),
    Kind.POWER: Rule(
        "a power that is computed by a function",
        "Write a product, with a square root where the exponent ends in a half.",
        "source",
    ),
    Kind.STRUCTS: Rule(
        "an array of records, whose fields lie far apart",
        "Pass an array for each field.",
        "source",
    ),
    Kind.MAGNITUDE: Rule(
        "the magnitude of a complex number",
        "Compute with its real and imaginary parts; unlike abs, their squares overflow beyond 1e154 (float32: 1e19).",
        "source",
    ),
    Kind.INVARIANT: Rule(
        "a value computed again in each iteration",
        "Compute it once before the loop.",
        "source",
    ),
    Kind.ACCUMULATOR: Rule(
        "a sum that is kept in memory",
        "Sum in a variable, and write it once after the loop.",
        "source",
    ),
    Kind.REDUCTION: Rule(
        "a sum in a fixed order",
        'fastmath={"reassoc", "contract", "nsz"} lets the sum be vectorised; its last digits change.',
        "types",
    ),
    Kind.DIVISION: Rule(
        "a division or square root that slows its loop down",
        "Multiply by the reciprocal, computed once before the loop.",
        "machine code",
    ),
    Kind.PROMOTION: Rule(
        "float64 arithmetic on float32",
        "Write np.float32(…) around it where float32 is exact enough.",
        "types",
    ),
    Kind.WRAPAROUND: Rule(
        "signed indices that wrap",
        "Take a view before the loop and index it from 0, or make the index np.uint64.",
        "types, then machine code",
    ),
    Kind.LAYOUT: Rule(
        "an array of unknown layout",
        "Pass np.ascontiguousarray(…), or declare the type with [::1].",
        "types",
    ),
    Kind.COMPILED_AGAIN: Rule(
        "compiled again for another signature",
        "Call it with one set of types throughout: each further set is compiled and stored separately.",
        "types",
    ),
}
