"""Hooks into the compiler, which add counters to all that it compiles (`counters`).

They are there while `counters_in_code` is entered. Each gets the counters and what it replaces, and returns what is put
there instead.
"""

import operator
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from llvmlite import ir as llvm_ir
from numba import types

from jitnet.compiler.numba_parts import ArrayHelper, BaseContext, Dispatcher, Lower, cpu_target, element_pointer, ir
from jitnet.profile.functions.worker.counters import I64, CountedFunction, Counters

__all__ = ["counters_in_code"]

Hook = Callable[[Counters, Any], Any]


@contextmanager
def counters_in_code(counters: Counters) -> Iterator[None]:
    """Add the counters to all that is compiled meanwhile."""
    with ExitStack() as hooked:
        for owner, name, wrap in _HOOKS:
            hooked.enter_context(_replaced(owner, name, wrap(counters, getattr(owner, name))))
        hooked.enter_context(_replaced(cpu_target.target_context, "cached_internal_func", {}))
        yield


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Put a value in the place of an attribute meanwhile; one that is inherited is inherited again afterwards."""
    before = vars(owner).get(name, owner)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is owner:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


def _arithmetic(counters: Counters, emit: Any) -> Any:
    def emit_and_count(builder: Any, left: Any, *rest: Any, **named: Any) -> Any:
        function = counters.function(builder)
        if function is not None and not _is_zero(left):
            function.compute(builder, 1)
        return emit(builder, left, *rest, **named)

    return emit_and_count


def _is_zero(value: Any) -> bool:
    """Whether an operand is a constant 0: Numba negates a number by subtracting it from that."""
    return isinstance(value, llvm_ir.Constant) and value.constant == 0


def _calls(counters: Counters, emit: Any) -> Any:
    def emit_and_count(builder: Any, called: Any, arguments: Any, *rest: Any, **named: Any) -> Any:
        function = counters.function(builder)
        if function is not None and isinstance(called, llvm_ir.Function):
            counters.call(builder, function, str(called.name), arguments)
        return emit(builder, called, arguments, *rest, **named)

    return emit_and_count


def _loads(counters: Counters, load: Any) -> Any:
    def load_and_mark(context: Any, builder: Any, kind: Any, pointer: Any, align: Any = None) -> Any:
        _mark(counters, context, builder, False, kind, pointer)
        return load(context, builder, kind, pointer, align)

    return load_and_mark


def _stores(counters: Counters, store: Any) -> Any:
    def store_and_mark(context: Any, builder: Any, kind: Any, value: Any, pointer: Any, align: Any = None) -> Any:
        _mark(counters, context, builder, True, kind, pointer)
        return store(context, builder, kind, value, pointer, align)

    return store_and_mark


def _mark(counters: Counters, context: Any, builder: Any, writes: bool, kind: Any, pointer: Any) -> None:
    function = counters.function(builder)
    if function is not None and isinstance(kind, (types.Number, types.Boolean)):
        size = int(context.get_abi_sizeof(context.get_data_type(kind)))
        function.access(builder, writes, pointer, size)


def _array_loads(counters: Counters, load: Any) -> Any:
    def load_and_mark(array: Any, indices: Any) -> Any:
        pointer = element_pointer(array, indices)
        _mark(counters, array.context, array.builder, False, array.base_type, pointer)
        return load(array, indices)

    return load_and_mark


def _array_stores(counters: Counters, store: Any) -> Any:
    def store_and_mark(array: Any, indices: Any, value: Any) -> Any:
        pointer = element_pointer(array, indices)
        _mark(counters, array.context, array.builder, True, array.base_type, pointer)
        return store(array, indices, value)

    return store_and_mark


def _beginnings(counters: Counters, begin: Any) -> Any:
    def begin_and_prepare(lowerer: Any) -> None:
        begin(lowerer)
        counters.begin(lowerer)

    return begin_and_prepare


def _blocks(counters: Counters, begin: Any) -> Any:
    def begin_and_store(lowerer: Any, block: Any) -> None:
        function = counters.function(lowerer.builder)
        if function is not None:
            function.label = next(label for label, each in lowerer.blocks.items() if each is block)
        begin(lowerer, block)

    return begin_and_store


def _statements(counters: Counters, lower: Any) -> Any:
    def lower_and_leave(lowerer: Any, statement: Any) -> Any:
        function = counters.function(lowerer.builder)
        if function is not None and isinstance(statement, ir.Return):
            function.leave(lowerer.builder)
        if function is not None and isinstance(getattr(statement, "value", None), ir.Expr):
            _note_pointers(counters, lowerer, statement.value)
            _correct_power(function, lowerer, statement.value)
        return lower(lowerer, statement)

    return lower_and_leave


def _note_pointers(counters: Counters, lowerer: Any, value: Any) -> None:
    """Remember a call of what cannot be counted: through an address, or of the interpreter."""
    if value.op == "call":
        kind = lowerer.typeof(value.func.name)
        if isinstance(kind, (types.ExternalFunctionPointer, types.FunctionType)):
            counters.unknown.add(f"the function called through its address in line {value.loc.line}")
        if isinstance(kind, types.ObjModeDispatcher):
            counters.unknown.add(f"Python in line {value.loc.line}")


def _correct_power(function: CountedFunction, lowerer: Any, value: Any) -> None:
    """Subtract what an integer power of a float multiplies without need: by 1 at first, and its last square."""
    if value.op in ("binop", "inplace_binop") and value.fn in (operator.pow, operator.ipow):
        signature, builder = lowerer.fndesc.calltypes[value], lowerer.builder
        if isinstance(signature.return_type, types.Float) and isinstance(signature.args[1], types.Integer):
            exponent = lowerer.loadvar(value.rhs.name)
            some = builder.icmp_signed("!=", exponent, exponent.type(0))
            function.compute(builder, builder.select(some, I64(-2), I64(0)))


def _templates(counters: Counters, find: Any) -> Any:
    return lambda dispatcher, arguments, named: find(counters.copy(dispatcher), arguments, named)


def _compiling(counters: Counters, known: Any) -> Any:
    return property(lambda dispatcher: known.fget(counters.known_copy(dispatcher)))


def _overloads(counters: Counters, find: Any) -> Any:
    return lambda dispatcher, signature: find(counters.copy(dispatcher), signature)


_HOOKS: tuple[tuple[Any, str, Hook], ...] = (
    *((llvm_ir.IRBuilder, name, _arithmetic) for name in ("fadd", "fsub", "fmul", "fdiv", "frem")),
    (llvm_ir.IRBuilder, "call", _calls),
    (BaseContext, "unpack_value", _loads),
    (BaseContext, "pack_value", _stores),
    (ArrayHelper, "load_data", _array_loads),
    (ArrayHelper, "store_data", _array_stores),
    (Lower, "pre_lower", _beginnings),
    (Lower, "pre_block", _blocks),
    (Lower, "lower_inst", _statements),
    (Dispatcher, "get_call_template", _templates),
    (Dispatcher, "get_overload", _overloads),
    (Dispatcher, "is_compiling", _compiling),
)
