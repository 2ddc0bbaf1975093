"""Numba's types of the expressions in a function's source."""

import ast
import builtins
import math
import operator
from collections.abc import Mapping
from typing import Any

import numba
import numpy as np
from numba import types

from jitnet.compiler.numba_parts import Dispatcher, cpu_target

__all__ = ["REDUCTIONS", "ExpressionTypes"]

BINARY: dict[type, Any] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow, ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_, ast.BitXor: operator.xor, ast.LShift: operator.lshift, ast.RShift: operator.rshift,
}  # fmt: skip

REDUCTIONS = {"sum", "mean", "prod", "std", "var", "any", "all", "min", "max", "argmin", "argmax", "dot", "norm"}
"""Functions and methods of arrays that only read them and return a number or an array."""

KINDS: Any = types  # its annotations lack some of its names


class ExpressionTypes:
    """The type of each expression that is simple enough; None for all others.

    names: for each variable of the source, its types, several where it is assigned values of several. constants: the
    values of variables that are constants.
    """

    def __init__(self, function: Any, names: Mapping[str, tuple[Any, ...]], constants: Mapping[str, Any]) -> None:
        self.names, self.constants = names, constants
        self._known: dict[int, tuple[Any, Any]] = {}
        code = function.__code__
        self.local = {*code.co_varnames, *code.co_cellvars}
        self.outer = {**vars(builtins), **function.__globals__}
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                self.outer[name] = cell.cell_contents
            except ValueError:  # not assigned yet
                self.outer.pop(name, None)

    # Python's values.

    def value(self, node: Any) -> Any:
        """Return the value of a constant, of a global name or of a module's attribute; None where it is none."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return self.constants.get(node.id) if node.id in self.local else self.outer.get(node.id)
        if isinstance(node, ast.Attribute):
            owner = self.value(node.value)
            return getattr(owner, node.attr, None) if type(owner).__name__ == "module" else None
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self.value(node.operand)
            return -value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
        return None

    def number(self, node: Any) -> float | int | None:
        """Return the value of a constant number."""
        value = self.value(node)
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
            return None
        return value.item() if isinstance(value, np.generic) else value

    def names_of(self, value: Any) -> list[str]:
        """Return the global names of a value."""
        return [name for name, found in self.outer.items() if found is value and name not in self.local]

    def numpy(self, name: str) -> str:
        """Return how to write a function of NumPy here: `np.sqrt`; "" where the function cannot name it."""
        modules = self.names_of(np)
        if modules:
            return f"{min(modules, key=len)}.{name}"
        return next(iter(self.names_of(getattr(np, name))), "")

    def square_root(self) -> str:
        """Return how to write a square root here; "" where the function cannot name one."""
        for text in [self.numpy("sqrt"), *(f"{name}.sqrt" for name in self.names_of(math)), *self.names_of(math.sqrt)]:
            if text:
                return text
        return ""

    # Numba's types.

    def of(self, node: Any) -> Any:
        """Return the type of an expression."""
        if id(node) not in self._known:
            try:
                kind = self._of(node)
            except Exception:  # Numba raises errors of many kinds for what it cannot type
                kind = None
            self._known[id(node)] = node, kind  # the node is kept, so that no other has its id
        return self._known[id(node)][1]

    def is_pure(self, call: ast.Call) -> bool:
        """Whether a call only computes a value from its arguments, and reads arrays at most."""
        if call.keywords and not all(each.arg in ("dtype", "axis") for each in call.keywords):
            return False
        if any(isinstance(each, ast.Starred) for each in call.args):
            return False
        function = self.value(call.func)
        if function is not None:
            if isinstance(function, np.ufunc):
                return len(call.args) == function.nin
            if isinstance(function, type) and issubclass(function, np.number):
                return True
            if function in (abs, min, max, len, range, float, int, bool, complex, enumerate, zip, numba.prange):
                return True
            module = getattr(function, "__module__", "")
            if module == "math" or (str(module).startswith("numpy") and function.__name__ in (*REDUCTIONS, "abs")):
                return len(call.args) <= 2
            return False
        if isinstance(call.func, ast.Attribute):
            return isinstance(self.of(call.func.value), types.Array) and call.func.attr in REDUCTIONS and not call.args
        return False

    def is_compiled(self, call: ast.Call) -> bool:
        """Whether a call is of another compiled function."""
        return isinstance(self.value(call.func), Dispatcher)

    def _of(self, node: Any) -> Any:
        if isinstance(node, ast.Name) and node.id in self.local:
            found = self.names.get(node.id, ())
            return found[0] if len(found) == 1 else None
        value = self.value(node)
        if isinstance(value, (bool, int, float, complex, np.generic, np.ndarray)):
            return types.intp if type(value) is int else numba.typeof(value)
        if isinstance(node, ast.UnaryOp):
            return self.of(node.operand) if isinstance(node.op, (ast.USub, ast.UAdd)) else None
        if isinstance(node, ast.BinOp):
            left, right = self.of(node.left), self.of(node.right)
            return None if left is None or right is None else self.binary(node.op, left, right)
        if isinstance(node, ast.Attribute):
            return self._attribute(self.of(node.value), node.attr)
        if isinstance(node, ast.Subscript):
            return self._subscript(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.IfExp):
            kind = self.of(node.body)
            return kind if kind == self.of(node.orelse) else None
        return None

    def binary(self, sign: ast.operator, left: Any, right: Any) -> Any:
        """Return the type of an operator's result."""
        context = cpu_target.typing_context
        signature = context.resolve_function_type(BINARY[type(sign)], (left, right), {})
        return signature.return_type if signature is not None else None

    def _attribute(self, owner: Any, name: str) -> Any:
        if owner is None:
            return None
        if isinstance(owner, types.Complex):
            return owner.underlying_float if name in ("real", "imag") else None
        if isinstance(owner, types.ClassInstanceType):
            return owner.struct.get(name)
        if isinstance(owner, types.Record):
            return owner.typeof(name) if name in owner.fields else None
        return cpu_target.typing_context.resolve_getattr(owner, name)

    def _subscript(self, node: ast.Subscript) -> Any:
        owner = self.of(node.value)
        if isinstance(owner, types.UniTuple):
            return owner.dtype
        if isinstance(owner, types.Record) and isinstance(node.slice, ast.Constant):
            return owner.typeof(node.slice.value)
        if not isinstance(owner, types.Array):
            return None
        if isinstance(owner.dtype, types.Record) and isinstance(node.slice, ast.Constant):
            return owner.copy(dtype=owner.dtype.typeof(node.slice.value), layout="A")
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        plain = [isinstance(self.of(part), types.Integer) for part in parts]
        if len(parts) == owner.ndim and all(plain):
            return owner.dtype
        if len(parts) < owner.ndim and all(plain):
            return owner.copy(ndim=owner.ndim - len(parts), layout="C" if owner.layout == "C" else "A")
        return None

    def _reduced(self, array: Any, name: str) -> Any:
        """Return the type of what a reduction makes of a whole array."""
        if isinstance(array, types.Array) and isinstance(array.dtype, types.Float) and name in REDUCTIONS:
            if name in ("sum", "min", "max", "prod", "dot"):
                return array.dtype if name != "dot" or array.ndim == 1 else None
            if name in ("mean", "std", "var") and array.dtype == types.float64:
                return types.float64
        return None

    def _call(self, node: ast.Call) -> Any:
        function = self.value(node.func)
        arguments = [self.of(each) for each in node.args]
        if function is None:
            owner = self.of(node.func.value) if isinstance(node.func, ast.Attribute) else None
            return None if node.args else self._reduced(owner, getattr(node.func, "attr", ""))
        if isinstance(function, type) and issubclass(function, np.number):
            return numba.typeof(function(0))
        if node.args and isinstance(arguments[0], types.Array) and not isinstance(function, np.ufunc):
            name = str(getattr(function, "__name__", "")).removeprefix("a")
            return self._reduced(arguments[0], name) if self.is_pure(node) and not node.keywords else None
        if function is len or function is int:
            return types.intp
        if function is float:
            return types.float64
        if function in (abs, np.abs) and isinstance(arguments[0], types.Complex):
            return arguments[0].underlying_float
        if function is abs or function in (np.abs, np.fabs):
            return arguments[0] if isinstance(arguments[0], types.Float) else None
        if function in (min, max) and len(set(arguments)) == 1:
            return arguments[0]
        if isinstance(function, np.ufunc) and function.nin == 1 and function.nout == 1:
            return arguments[0] if isinstance(arguments[0], (types.Float, types.Complex)) else types.float64
        if getattr(function, "__module__", "") == "math" and all(isinstance(each, types.Float) for each in arguments):
            return arguments[0] if len(set(arguments)) == 1 else types.float64
        return None
