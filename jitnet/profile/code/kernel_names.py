"""This project's kernels and operations by name: what `--kernel` accepts."""

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jitnet.version
from jitnet.errors import UsageError
from jitnet.profile.code.code_view import Target

__all__ = ["helper_notice", "kernel_names", "kernel_targets"]

ALL = "all"
ROOMS = ("kernels", "engine")
CALLERS = ("operation", "linked", "kernel", "driver")
"""Decorators of functions that have code of their own; in place of a helper the first of its callers is shown."""


@dataclass(frozen=True)
class _Kernel:
    module: str
    name: str
    decorator: str

    @property
    def place(self) -> str:
        """ "kernels.linear.linear_forward"."""
        return f"{self.module.removeprefix('jitnet.')}.{self.name}"


@cache
def _kernels() -> tuple[_Kernel, ...]:
    """Return the decorated functions of the compiled rooms, read from their sources: nothing is imported."""
    package = Path(jitnet.version.__file__).parent
    found = []
    for room in ROOMS:
        for path in sorted((package / room).glob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                for name, decorator in _decorated(node):
                    called = decorator.func if isinstance(decorator, ast.Call) else decorator
                    kind = ast.unparse(called)
                    if kind in ("kernel", "driver", "linked", "operation", "helper"):
                        found.append(_Kernel(f"jitnet.{room}.{path.stem}", name, kind))
    return tuple(found)


def _decorated(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names that a statement defines, with decorators: above a function, or as in `bits = helper(f)`."""
    if isinstance(node, ast.FunctionDef):
        yield from ((node.name, decorator) for decorator in node.decorator_list)
    elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        yield from ((target.id, node.value.func) for target in node.targets if isinstance(target, ast.Name))


def kernel_names() -> list[str]:
    """Return the names that `kernel_targets` accepts, sorted: a function's, after its module's where two share one."""
    lookable = [one for one in _kernels() if one.decorator != "helper"]
    names = [one.name for one in lookable]
    return sorted(one.name if names.count(one.name) == 1 else ".".join(one.place.split(".")[1:]) for one in lookable)


def kernel_targets(name: str) -> list[Target]:
    """Return the targets of a name: one kernel or operation, or for `all` the linked ones. In place of a helper, which
    is copied into what calls it, an operation that calls it.

    Raises UsageError for a name that is unknown, or is shared by two.
    """
    if name == ALL:
        return [Target(one.place) for one in _kernels() if one.decorator in ("linked", "operation")]
    found = _named(name)
    lookable = [one for one in found if one.decorator != "helper"]
    if len(lookable) == 1:
        return [Target(lookable[0].place)]
    if lookable:
        among = " or ".join(".".join(one.place.split(".")[1:]) for one in lookable)
        raise UsageError(f"--kernel {name}: {len(lookable)} functions have that name; write {among}")
    if found and (callers := _callers(found[0])):
        return [Target(callers[0].place)]
    similar = difflib.get_close_matches(name, kernel_names(), 4, 0.5)
    examples = ", ".join(("linear_forward", "sparse_forward", "update"))
    advice = (
        f"did you mean {' or '.join(similar)}?"
        if similar
        else f"expected all, or a name from jitnet/kernels: {examples}"
    )
    raise UsageError(f"--kernel {name}: no kernel or operation of that name; {advice}")


def helper_notice(name: str) -> str:
    """Return which function is shown in place of a helper of this name, and which others call it; "" for no helper."""
    found = _named(name)
    if name == ALL or not found or any(one.decorator != "helper" for one in found):
        return ""
    shown, *others = (one.name for one in _callers(found[0]))
    also = f"; it is also in {', '.join(others)}" if others else ""
    return f"--kernel {name}: a helper, copied into each loop that calls it; this is {shown}, which has it{also}"


def _named(name: str) -> list[_Kernel]:
    path = name.removeprefix("jitnet.")
    return [one for one in _kernels() if f".{one.place}".endswith(f".{path}")]


def _callers(helper: _Kernel) -> list[_Kernel]:
    """Return the functions that use a helper, directly or through other helpers: operations first."""
    package = Path(jitnet.version.__file__).parent
    wanted, named = {helper.name}, dict[str, None]()
    known = {one.name: one for one in _kernels()}
    while wanted:
        name = wanted.pop()
        for room in ROOMS:
            for path in sorted((package / room).glob("*.py")):
                for node in ast.parse(path.read_text(encoding="utf-8")).body:
                    if not isinstance(node, ast.FunctionDef) or node.name not in known or node.name in named:
                        continue
                    if any(isinstance(one, ast.Name) and one.id == name for one in ast.walk(node)):
                        named[node.name] = None
                        wanted |= {node.name} if known[node.name].decorator == "helper" else set()
    found = [known[name] for name in named if known[name].decorator != "helper"]
    return sorted(found, key=lambda one: (CALLERS.index(one.decorator), one.name))
