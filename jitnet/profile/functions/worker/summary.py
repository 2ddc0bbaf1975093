"""What was found in the code of a function."""

from dataclasses import dataclass, field
from typing import Any

from jitnet.profile.functions.hints import Kind

__all__ = ["Called", "Finding", "SharedWrite", "Summary"]


@dataclass(frozen=True)
class Finding:
    """A hint that may follow. advice: "" for the rule's. kept: of an array that is allocated, "stored" where something
    keeps it, or "returned" where that depends on the caller."""

    kind: Kind
    file: str
    line: int
    reason: str
    advice: str = ""
    kept: str = ""


@dataclass(frozen=True)
class SharedWrite:
    """A place in a parallel loop where several iterations may access one element.

    sure: whether each iteration writes the same element. reads: whether it reads what another iteration writes.
    called: whether the access is in a function that is called there. constant: whether all iterations write the same
    value. certain: why no run is needed to know, a clause; "" where one is. advice: what to do, "" for the rule's.
    """

    line: int
    loop_line: int
    array: str
    sure: bool
    reads: bool
    called: bool = False
    constant: bool = False
    certain: str = ""
    advice: str = ""


@dataclass(frozen=True)
class Called:
    """A call of another compiled function. signature: types of its arguments, None where they are not plain. kept:
    whether its result is stored or returned."""

    dispatcher: Any
    signature: Any
    line: int
    inside: bool
    kept: bool = False


@dataclass
class Summary:
    """What was found in one function compiled for one signature.

    in_loops_only: findings that matter where the function is called in a loop. shared: suspects of races. innermost:
    lines of innermost loops. divisions: for the line of each in an innermost loop, why it can be replaced, or "";
    constant_divisors: those of them by a constant; tested_divisors: those that the usual error_model tests for 0, as it
    does with numbers that are not constant, each with whether it is in a loop; whole_divisors: those of integers with
    an integer as the result, which no option of fastmath changes.
    pointers: for a line, the name of what is called there through its address. containers: lines in loops, each with
    the list, dictionary or set that is accessed there, as `container_access` returns it. reads, writes: for each
    argument that is an array, the line where it is first read or written. names: the types of each variable of the
    source.
    """

    function: Any
    file: str
    name: str
    line: int
    signature: str
    arguments: tuple[Any, ...]
    parallel: bool
    fastmath: frozenset[str]
    error_model: str
    findings: list[Finding] = field(default_factory=list)
    in_loops_only: list[Finding] = field(default_factory=list)
    shared: list[SharedWrite] = field(default_factory=list)
    calls: list[Called] = field(default_factory=list)
    innermost: list[int] = field(default_factory=list)
    divisions: dict[int, str] = field(default_factory=dict)
    constant_divisors: set[int] = field(default_factory=set)
    tested_divisors: dict[int, bool] = field(default_factory=dict)
    whole_divisors: set[int] = field(default_factory=set)
    pointers: dict[int, str] = field(default_factory=dict)
    containers: list[tuple[int, tuple[str, str, str]]] = field(default_factory=list)
    reads: dict[str, int] = field(default_factory=dict)
    writes: dict[str, int] = field(default_factory=dict)
    names: dict[str, tuple[Any, ...]] = field(default_factory=dict)
