"""Many values handed on as one number: the address at which they lie.

What a parallel region or a function called by its address is given, Numba takes apart, to one argument for every
array, shape and stride: of a whole training state some two hundred, for every region anew. As an address they are one.
It took 4 of 26 seconds off the compiling of a training, and a step of one region became some microseconds shorter.

The address is that of a copy on the stack of the function that lends, and good until that function returns. A borrower
does not count its references to arrays, so whoever called the lender keeps them alive.
"""

from collections.abc import Callable
from typing import Any

import llvmlite.ir as ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["borrower", "lend"]

if config.DISABLE_JIT:

    def lend(value: Any) -> Any:
        """The address of a copy of `value`, an array, a number or tuples of them. Without the compiler, itself."""
        return value

    def borrower(kind: Any) -> Callable[[Any], Any]:
        """A function that gives what was lent at an address: `kind` is its Numba type."""
        return lambda address: address

else:

    @intrinsic
    def lend(typing, value):
        def codegen(context, builder, signature, args):
            place = cgutils.alloca_once(builder, args[0].type)
            builder.store(args[0], place)
            return builder.ptrtoint(place, ir.IntType(64))

        return types.int64(value), codegen

    def borrower(kind: Any) -> Callable[[Any], Any]:
        @intrinsic
        def borrow(typing, address):
            def codegen(context, builder, signature, args):
                place = builder.inttoptr(args[0], context.get_value_type(kind).as_pointer())
                return _uncounted(context, builder, kind, builder.load(place))

            return kind(types.int64), codegen

        return borrow

    def _uncounted(context: Any, builder: Any, kind: Any, value: Any) -> Any:
        """The same value, its arrays without what their references are counted in."""
        if isinstance(kind, types.Array):
            array = context.make_array(kind)(context, builder, value)
            array.meminfo = cgutils.get_null_value(array.meminfo.type)
            return array._getvalue()
        if isinstance(kind, types.BaseTuple):
            parts = [builder.extract_value(value, at) for at in range(len(kind.types))]
            owned = zip(kind.types, parts, strict=True)
            return context.make_tuple(builder, kind, [_uncounted(context, builder, of, part) for of, part in owned])
        return value
