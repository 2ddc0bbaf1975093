"""Counters in compiled code: floating-point operations, and the distinct numbers that it reads and writes.

While `counter_hooks.counters_in_code` is entered, the compiler adds to every function, its own library included, an
accumulator of operations, which is added to the totals where the function returns, and a check of each array element
that is accessed.
A function runs these additions itself, so branches, `while` loops and sizes count as they are.

A total has a bit: bit 0 is the whole call, the others are loops of the source. A caller passes its loops to what it
calls through the global `@context`, so that a loop has all that happens inside it.

An element's marks are a word of 64 bits, found by its address in a table of two levels: bits 0 to 31 where the first
access of a total was a read, bits 32 to 63 where it was written.
"""

import ast
import ctypes
import re
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir as llvm_ir

from jitnet.compiler.numba_parts import cgutils, compute_cfg_from_blocks, copy_dispatcher, is_open, without_cache
from jitnet.profile.functions.worker.counter_code import MODULE

__all__ = ["I64", "TOTALS", "CountedFunction", "Counters"]

TOTALS = 32
"""The whole call, and the most loops that are counted."""

PAGE = 22
"""Bits of an address within a page of marks: 4 MiB."""

ADDRESSES = 48
"""Bits of an address."""

MOST_MARKS = 1 << 30
"""Bytes of marks after which no more are stored, and the bytes are unknown."""

NUMBA_HOME = str(Path(numba.__file__).parent)

MATHEMATICS = re.compile(
    r"(llvm\.|numba_|__)?(sqrt|cbrt|exp|exp2|expm1|log|log2|log10|log1p|sin|cos|tan|asin|acos|atan|atan2|sinh|cosh|tanh"
    r"|asinh|acosh|atanh|pow|powi|hypot|erf|erfc|gamma|tgamma|lgamma|fmod)f?(\.f\d+(\.i\d+)?)?"
)
"""Functions whose call counts as one operation."""

MULTIPLY_ADD = re.compile(r"llvm\.(fma|fmuladd)\.f\d+")

BLAS = {"numba_xxdot": 0, "numba_xxgemv": 1, "numba_xxgemm": 2}
"""Products that Numba passes to a library, with the number of the loops that they add."""

QUIET = ("NRT_", "Py", "llvm.", "numba_", "_Py")
"""Beginnings of the names of functions that do no counted work."""

I64 = llvm_ir.IntType(64)

_call = llvm_ir.IRBuilder.call  # without the hook that counts calls


@cache
def _source_loops(file: str) -> tuple[tuple[int, int], ...]:
    """Return the first and last line of each `for` and `while` of a file; none where it is not Python."""
    try:
        tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return ()
    loops = (node for node in ast.walk(tree) if isinstance(node, (ast.For, ast.While)))
    return tuple((node.lineno, node.body[-1].end_lineno or node.lineno) for node in loops)


class CountedFunction:
    """A function that is being compiled: its accumulators, and the loops around each of its statements."""

    def __init__(self, counters: "Counters", lowerer: Any) -> None:
        builder = lowerer.builder
        self.counters, self.lowerer, self.label = counters, lowerer, next(iter(sorted(lowerer.blocks)))
        self.context = builder.load(counters.pointer("context"))
        loops = compute_cfg_from_blocks(lowerer.blocks).loops().values()
        self.around = {
            label: sum(
                {bit for loop in loops if label in loop.body for bit in counters.bits(lowerer.blocks[loop.header].loc)}
            )
            for label in lowerer.blocks
        }
        masks = {
            self.around[label] | sum(counters.bits(statement.loc))
            for label, block in lowerer.blocks.items()
            for statement in block.body
        }
        self.sums = {mask: cgutils.alloca_once(builder, I64) for mask in masks | {0}}
        self.accesses = cgutils.alloca_once(builder, I64)

    @property
    def loops(self) -> int:
        """The bits of the loops around what is compiled now."""
        mask = self.around.get(self.label, 0) | sum(self.counters.bits(self.lowerer.loc))
        return mask if mask in self.sums else 0

    def mask(self, builder: Any) -> Any:
        """The totals that count what is compiled now."""
        return builder.or_(self.context, I64(self.loops))

    def compute(self, builder: Any, amount: Any) -> None:
        """Add floating-point operations, a number or a value of 64 bits."""
        self._add(builder, self.sums[self.loops], amount)

    def _add(self, builder: Any, place: Any, amount: Any) -> None:
        value = I64(amount) if isinstance(amount, int) else amount
        builder.store(builder.add(builder.load(place), value), place)

    def access(self, builder: Any, writes: bool, pointer: Any, size: int, count: Any = None) -> None:
        """Mark an element at a pointer, or `count` elements from it on."""
        counters = self.counters
        self._add(builder, self.accesses, 1 if count is None else count)
        counters.smallest = min(counters.smallest, size)
        if counters.marking:
            address = builder.ptrtoint(pointer, I64)
            if count is None:
                name = "write_element" if writes else "read_element"
                counters.run(builder, name, address, self.mask(builder), I64(size))
            else:
                counters.run(builder, "many", I64(int(writes)), address, self.mask(builder), I64(size), count)

    def leave(self, builder: Any) -> None:
        """Add the accumulators to the totals, where the function returns."""
        counters = self.counters
        for mask, place in self.sums.items():
            amount = builder.load(place)
            with builder.if_then(builder.icmp_unsigned("!=", amount, I64(0))):
                counters.run(builder, "compute", builder.or_(self.context, I64(mask)), amount)
        total = counters.pointer("accesses")
        builder.store(builder.add(builder.load(total), builder.load(self.accesses)), total)

    def enter(self, builder: Any) -> None:
        """Pass the loops to what is called next."""
        builder.store(self.mask(builder), self.counters.pointer("context"))


class Counters:
    """Counters for one copy of a function and of all that it calls.

    marking: whether accesses are marked, and so bytes known. most_accesses: after so many, the rest are not marked, and
    `complete` is false. loops: the file and line of each loop, in the order of its bit, from 1 on. unknown: what it
    calls whose work cannot be counted.
    """

    def __init__(self, marking: bool, most_accesses: int) -> None:
        self.marking, self.most_accesses = marking, most_accesses
        self.loops: list[tuple[str, int]] = []
        self.unknown: set[str] = set()
        self.smallest = 8
        self._copies: dict[int, Any] = {}
        self._functions: dict[Any, CountedFunction] = {}
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        text = MODULE.format(totals=TOTALS, page=PAGE, inside=(1 << PAGE) - 1)
        machine = llvm.Target.from_default_triple().create_target_machine(opt=3)
        module = llvm.parse_assembly(text)
        passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
        passes.getModulePassManager().run(module, passes)
        self._engine = llvm.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()
        self._pages: list[Any] = []
        self._marks = 0
        self._table: Any = None

    # What compiled code uses.

    def pointer(self, name: str) -> Any:
        """Return a global number of 64 bits, as a constant pointer."""
        return I64(self._engine.get_global_value_address(name)).inttoptr(I64.as_pointer())

    def run(self, builder: Any, name: str, *arguments: Any) -> None:
        """Call a function of the module."""
        kind = llvm_ir.FunctionType(llvm_ir.VoidType(), [I64] * len(arguments))
        function = builder.inttoptr(I64(self._engine.get_function_address(name)), kind.as_pointer())
        _call(builder, function, arguments)

    def bits(self, location: Any) -> list[int]:
        """Return a bit for each loop of the user's around a line."""
        file, line = str(location.filename), int(location.line)
        if file.startswith((NUMBA_HOME, "<")):
            return []
        found = []
        for first, last in _source_loops(file):
            if first <= line <= last:
                if (file, first) not in self.loops:
                    if len(self.loops) == TOTALS - 1:
                        continue
                    self.loops.append((file, first))
                found.append(1 << (1 + self.loops.index((file, first))))
        return found

    def copy(self, dispatcher: Any) -> Any:
        """Return a copy of a compiled function that has the counters and runs on one thread."""
        known = self._copies.get(id(dispatcher))
        if known is not None:
            return known
        made = copy_dispatcher(dispatcher, parallel=False, nogil=False)
        without_cache(made)
        self._copies[id(dispatcher)] = self._copies[id(made)] = made
        if not is_open(dispatcher):
            for signature in dispatcher.nopython_signatures:
                made.compile(signature.args)
            made.disable_compile()
        return made

    def known_copy(self, dispatcher: Any) -> Any:
        """Return the copy of a function where there is one, else the function."""
        return self._copies.get(id(dispatcher), dispatcher)

    # A run.

    def start(self) -> None:
        """Clear all totals and marks."""
        for name in ("flop", "read", "written"):
            ctypes.memset(self._engine.get_global_value_address(name), 0, 8 * TOTALS)
        self._number("context").value, self._number("accesses").value = 1, 0
        self._number("left").value = self.most_accesses
        self._number("shift").value = self.smallest.bit_length() - 1
        self._pages, self._marks = [], 0
        if self.marking:
            self._table = np.zeros(1 << (ADDRESSES - PAGE), np.uint64)
            self._number("table").value = self._table.ctypes.data
            self._callback = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(self._allocate)
            self._number("allocate").value = ctypes.cast(self._callback, ctypes.c_void_p).value or 0

    def _allocate(self, index: int) -> int:
        size = 8 << (PAGE - int(self._number("shift").value))
        if self._marks + size > MOST_MARKS:
            self._number("left").value = 0
            return 0
        made = np.zeros(size // 8, np.uint64)  # from the system, page by page as it is used
        self._pages.append(made)
        self._marks += size
        self._table[index] = made.ctypes.data
        return int(made.ctypes.data)

    def _number(self, name: str) -> Any:
        return ctypes.c_int64.from_address(self._engine.get_global_value_address(name))

    @property
    def accesses(self) -> int:
        """Array elements accessed since `start`, each time counted."""
        return int(self._number("accesses").value)

    @property
    def complete(self) -> bool:
        """Whether all accesses were marked."""
        return self.marking and self._number("left").value > 0

    def totals(self, name: str) -> list[int]:
        """Return "flop", or bytes "read" or "written": of the whole call, then of each loop."""
        address = self._engine.get_global_value_address(name)
        return list((ctypes.c_int64 * TOTALS).from_address(address))[: 1 + len(self.loops)]

    # What the compiler calls.

    def function(self, builder: Any) -> CountedFunction | None:
        """Return the function that a builder works on, None where it has no counters."""
        return self._functions.get(builder.function)

    def begin(self, lowerer: Any) -> None:
        """Prepare a function, in its entry block."""
        if lowerer.generator_info is not None:
            self.unknown.add(f"the generator {lowerer.fndesc.qualname}")
            return
        self._functions[lowerer.builder.function] = CountedFunction(self, lowerer)

    def call(self, builder: Any, function: CountedFunction, name: str, arguments: Any) -> None:
        """Count what a function outside compiled code does, or pass the loops on to a compiled one."""
        if MULTIPLY_ADD.fullmatch(name):
            function.compute(builder, 2)
        elif MATHEMATICS.fullmatch(name):
            function.compute(builder, 1)
        elif name in BLAS:
            self._product(builder, function, name, arguments)
        elif name.startswith(("numba_x", "numba_ez_")):
            self.unknown.add(f"the linear algebra of {name.removeprefix('numba_').removeprefix('ez_').lstrip('x')}")
        elif name.startswith(("llvm.memcpy", "llvm.memmove", "llvm.memset")):
            target, source, size = arguments[:3]
            if not isinstance(size, llvm_ir.Constant):
                one = self.smallest
                count = builder.udiv(size, I64(one))
                if not name.startswith("llvm.memset"):
                    function.access(builder, False, source, one, count)
                function.access(builder, True, target, one, count)
        elif not name.startswith(QUIET):
            function.enter(builder)

    def _product(self, builder: Any, function: CountedFunction, name: str, arguments: Any) -> None:
        """Count a product of a library, whose arrays are contiguous: 2 operations for each multiply-add."""
        kind = chr(arguments[0].constant)
        size, operations = {"s": (4, 2), "d": (8, 2), "c": (8, 8), "z": (16, 8)}[kind]
        if name == "numba_xxdot":
            n = arguments[2]
            arrays = [(False, arguments[3], n), (False, arguments[4], n)]
            work = n
        elif name == "numba_xxgemv":
            m, n = arguments[2:4]
            work = builder.mul(m, n)
            transposed = builder.icmp_unsigned("==", arguments[1], arguments[1].type(ord("t")))
            inputs, outputs = builder.select(transposed, m, n), builder.select(transposed, n, m)
            arrays = [(False, arguments[5], work), (False, arguments[7], inputs), (True, arguments[9], outputs)]
        else:
            m, n, k = arguments[3:6]
            work = builder.mul(builder.mul(m, n), k)
            arrays = [
                (False, arguments[7], builder.mul(m, k)),
                (False, arguments[9], builder.mul(k, n)),
                (True, arguments[12], builder.mul(m, n)),
            ]
        function.compute(builder, builder.mul(work, I64(operations)))
        for writes, pointer, count in arrays:
            function.access(builder, writes, pointer, size, count)
