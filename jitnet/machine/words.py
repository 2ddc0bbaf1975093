"""Eight bytes as one number, so that one comparison or mask serves all of them.

Numba's way, a view of another type, takes a second to compile.
"""

from typing import Any

import llvmlite.ir as ir
import numpy as np
from numba import config, types

from jitnet.compiler.intrinsics import intrinsic

__all__ = ["lowest_bit", "mask_word", "word_at"]

if config.DISABLE_JIT:

    def word_at(row: "np.ndarray[Any, Any]", at: int) -> np.uint64:
        """Return the eight bytes row[at : at + 8] as one uint64; row uint8, flat. Nothing is checked."""
        return np.uint64(int.from_bytes(row[at : at + 8].tobytes(), "little"))

    def mask_word(row: "np.ndarray[Any, Any]", at: int, mask: np.uint64) -> None:
        """row[at : at + 8] &= mask, byte by byte."""
        row[at : at + 8] &= np.frombuffer(int(mask).to_bytes(8, "little"), np.uint8)

    def lowest_bit(word: np.uint64) -> np.int64:
        """Return the index of the lowest bit that is set, counted from 0; at least one must be."""
        return np.int64((int(word) & -int(word)).bit_length() - 1)

else:

    def _place(context: Any, builder: Any, array_type: Any, array: Any, at: Any) -> Any:
        data = context.make_array(array_type)(context, builder, array).data
        return builder.bitcast(builder.gep(data, [at]), ir.IntType(64).as_pointer())

    @intrinsic
    def word_at(typing, row, at):
        def codegen(context, builder, signature, args):
            return builder.load(_place(context, builder, signature.args[0], args[0], args[1]), align=1)

        return types.uint64(row, types.intp), codegen

    @intrinsic
    def mask_word(typing, row, at, mask):
        def codegen(context, builder, signature, args):
            place = _place(context, builder, signature.args[0], args[0], args[1])
            builder.store(builder.and_(builder.load(place, align=1), args[2]), place, align=1)
            return context.get_dummy_value()

        return types.void(row, types.intp, types.uint64), codegen

    @intrinsic
    def lowest_bit(typing, word):
        def codegen(context, builder, signature, args):
            return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

        return types.int64(types.uint64), codegen
