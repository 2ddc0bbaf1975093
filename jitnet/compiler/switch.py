"""One call of any of several linked functions, chosen by number while it runs."""

from collections.abc import Callable, Sequence
from typing import Any

from numba import config, types

from jitnet.compiler.intrinsics import intrinsic

__all__ = ["switch"]


def switch(functions: Sequence[Any], arguments: Sequence[Any]) -> Callable[..., None]:
    """Return a function of (number, *arguments) that calls functions[number]; another number calls none.

    functions: linked, without a result, all with these arguments, which are Numba types. Compiled it is a jump table,
    without the compiler a lookup in the sequence.
    """
    if config.DISABLE_JIT:

        def choose(number: int, *values: Any) -> None:
            if 0 <= number < len(functions):
                functions[number](*values)

        choose.linked_functions = tuple(functions)  # type: ignore[attr-defined]
        return choose

    called = types.void(*arguments)

    @intrinsic
    def choose_compiled(typing, number, *values):
        def codegen(context, builder, signature, args):
            values = [builder.extract_value(args[1], place) for place in range(len(arguments))]
            done = builder.append_basic_block("done")
            table = builder.switch(args[0], done)
            for place, function in enumerate(functions):
                block = builder.append_basic_block(function.__name__)
                table.add_case(context.get_constant(types.int64, place), block)
                builder.position_at_end(block)
                context.get_function(types.Dispatcher(function), called)(builder, values)
                builder.branch(done)
            builder.position_at_end(done)
            return context.get_dummy_value()

        return types.void(types.int64, types.StarArgTuple(arguments)), codegen

    choose_compiled.linked_functions = tuple(functions)  # what must be loaded before a caller is
    return choose_compiled
