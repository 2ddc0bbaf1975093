"""A line table for the machine code, as debuggers read it, without any change to the code."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

__all__ = ["set_wrapped", "with_lines", "write_lines"]


def write_lines() -> None:
    """Let Numba write a line table of every function from now on, with the right files, and change nothing else."""
    from jitnet.compiler.numba_parts import BaseContext

    _install()
    BaseContext.enable_debuginfo = True


@contextmanager
def with_lines() -> Iterator[None]:
    """Let Numba write line tables inside the `with` block alone."""
    from jitnet.compiler.numba_parts import BaseContext

    write_lines()
    try:
        yield
    finally:
        BaseContext.enable_debuginfo = False


@cache
def _install() -> None:
    """Teach Numba, once, to write lines where `BaseContext.enable_debuginfo` is set.

    Numba's option for it, `debug=True`, also keeps variables in memory, checks bounds and forbids inlining: other code.
    And it writes the lines of what was inlined from another file, or into the body of a `prange`, under the wrong file.
    """
    from jitnet.compiler.numba_parts import (
        BaseContext,
        CPUCodeLibrary,
        DIBuilder,
        Lower,
        wrap_first_lines,
        wrap_loop_bodies,
    )

    class Lines(DIBuilder):  # type: ignore[misc]
        """A scope for each file whose lines occur in a function."""

        here: Any = None
        whole: Any = None

        def __init__(self, module: Any, filepath: str, cgctx: Any, directives_only: bool) -> None:
            self._scopes: dict[tuple[int, str], Any] = {}
            super().__init__(module, filepath, cgctx, directives_only)

        def _di_compile_unit(self) -> Any:
            self.emission_kind = "LineTablesOnly"
            return super()._di_compile_unit()

        def _di_file(self, path: str = "") -> Any:
            path = path or self.filepath
            return self.module.add_debug_info("DIFile", {"directory": os.path.dirname(path), "filename": path})

        def _di_subroutine_type(self, line: int, function: Any, argmap: Any) -> Any:
            empty = self.module.add_metadata([])
            return self.module.add_debug_info("DISubroutineType", {"types": empty})

        def mark_subprogram(self, function: Any, qualname: str, argnames: Any, argtypes: Any, line: int) -> None:
            # Numba makes a function of an expression of whole arrays, and numbers its lines from 1.
            self.whole = statement if EXPRESSION in qualname else None
            line = line if self.whole is None else self.whole.line
            super().mark_subprogram(function, qualname, argnames, argtypes, line)

        def mark_variable(self, *args: Any, **kwargs: Any) -> None:
            pass

        def _di_location(self, line: int) -> Any:
            path = self.filepath
            if self.whole is not None:
                path, line = os.path.abspath(self.whole.filename), self.whole.line
            elif self.here is not None:
                # What Numba generates around the body of a `prange` has no file: use the loop's.
                place = prange if prange is not None and self.here.filename == "<string>" else self.here
                path, line = os.path.abspath(place.filename), place.line if place is prange else line
            return self.module.add_debug_info("DILocation", {"line": line, "column": 1, "scope": self._scope(path)})

        def location(self, line: int) -> Any:
            return self._di_location(line)

        def _scope(self, path: str) -> Any:
            function = self.subprograms[-1]
            if path == self.filepath:
                return function
            key = (len(self.subprograms), path)
            if key not in self._scopes:
                block = {"scope": function, "file": self._di_file(path), "discriminator": 0}
                self._scopes[key] = self.module.add_debug_info("DILexicalBlockFile", block)
            return self._scopes[key]

    BaseContext.DIBuilder = Lines
    before = Lower.lower_inst

    def lower_inst(self: Any, inst: Any) -> Any:
        global statement
        around = statement
        if isinstance(self.debuginfo, Lines):
            self.debuginfo.here = self.loc
            if self.debuginfo.whole is None:
                statement = prange if prange is not None and self.loc.filename == "<string>" else self.loc
        try:
            return before(self, inst)
        finally:
            statement = around

    Lower.lower_inst = lower_inst

    def tolerating(find: Any) -> Any:
        def find_first_line(lowerer: Any) -> Any:
            try:
                return find(lowerer)
            except IndexError:  # Numba looks for a statement after the docstring of a function that has none
                return lowerer.func_ir.loc

        return find_first_line

    wrap_first_lines(tolerating)

    def storing_place(make: Any) -> Any:
        def make_body(lowerer: Any, parfor: Any, *args: Any, **kwargs: Any) -> Any:
            global prange
            before, prange = prange, parfor.loc
            try:
                return make(lowerer, parfor, *args, **kwargs)
            finally:
                prange = before

        return make_body

    wrap_loop_bodies(storing_place)
    add = CPUCodeLibrary.add_ir_module

    def add_ir_module(self: Any, module: Any) -> None:
        # What is inlined into a function without a line table loses its lines: NumPy's loops and threads do that.
        for function in getattr(module, "functions", ()) if BaseContext.enable_debuginfo else ():
            if function.blocks and function.name.startswith(("__ufunc__", "__gufunc__")):
                file, line = wrapped
                table = Lines(module, file, None, False)
                table.mark_subprogram(function, function.name, (), (), line)
                place = table.location(line)
                for block in function.blocks:
                    for instruction in block.instructions:
                        instruction.set_metadata("dbg", place)
                table.finalize()
        add(self, module)

    CPUCodeLibrary.add_ir_module = add_ir_module


prange: Any = None
"""Numba's location of the `prange` whose body is being compiled."""

statement: Any = None
"""Numba's location of the user's statement that is being compiled."""

EXPRESSION = "__numba_array_expr"
"""How the functions are named that Numba makes of expressions of whole arrays."""

wrapped = ("<numba>", 0)
"""File and line of the function that Numba currently wraps in a loop over elements."""


def set_wrapped(python: Any) -> None:
    """Set the function that Numba wraps in a loop over elements next."""
    global wrapped
    wrapped = (os.path.abspath(python.__code__.co_filename), python.__code__.co_firstlineno)
