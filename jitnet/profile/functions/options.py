"""`--options`: options of Numba's decorators as they are written there, "fastmath=True, error_model='numpy'"."""

import ast
from typing import Any

from jitnet.config.nearest import nearest
from jitnet.errors import UsageError

__all__ = ["EXAMPLE", "read_options"]

EXAMPLE = '--options "fastmath=True"'

FLAGS = ("nnan", "ninf", "nsz", "arcp", "contract", "afn", "reassoc", "fast")
STEPS = ("comprehension", "fusion", "inplace_binop", "numpy", "prange", "reduction", "setitem", "stencil")

EXPECTED = {
    "fastmath": f"True, False, or a set of LLVM's flags: {', '.join(FLAGS)}",
    "parallel": f"True, False, or a dictionary with True or False for {', '.join(STEPS)}",
    "error_model": "'python' or 'numpy'",
    "boundscheck": "True or False",
    "nogil": "True or False",
}
"""The options that change how a function runs, and what each may be."""


def read_options(text: str) -> dict[str, Any]:
    """Return the options in a text, by name; UsageError that names the first that is not one, or has another value."""
    try:
        call = ast.parse(f"f({text}\n)", mode="eval").body
        assert isinstance(call, ast.Call)
        assert isinstance(call.func, ast.Name)
        assert not call.args
        found = {keyword.arg: _value(keyword.value) for keyword in call.keywords}
        assert None not in found
    except (AssertionError, SyntaxError, ValueError, MemoryError, RecursionError):
        raise UsageError(
            f"--options {text}: expected options as a decorator has them, separated by commas, as in {EXAMPLE}"
        ) from None
    if not found:
        raise UsageError(f"--options is empty; expected options of the decorator, as in {EXAMPLE}")
    for name, value in found.items():
        if name not in EXPECTED:
            near = nearest(str(name), list(EXPECTED))
            hint = f"did you mean {near}?" if near else f"known are {', '.join(EXPECTED)}"
            raise UsageError(f"--options {name}: is not an option that changes how a function runs; {hint}")
        if not _fits(str(name), value):
            raise UsageError(f"--options {name}: expected {EXPECTED[str(name)]}, found {value!r}")
    return {str(name): value for name, value in found.items()}


def _value(node: ast.expr) -> Any:
    """A literal; a bare word is a text, since a shell removes quotes."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, (ast.Set, ast.List, ast.Tuple)):
        return {_value(each) for each in node.elts}
    return ast.literal_eval(node)


def _fits(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return name != "error_model"
    if name == "fastmath":
        return isinstance(value, set) and bool(value) and value <= set(FLAGS)
    if name == "parallel":
        return (
            isinstance(value, dict) and set(value) <= set(STEPS) and all(isinstance(on, bool) for on in value.values())
        )
    return name == "error_model" and value in ("python", "numpy")
