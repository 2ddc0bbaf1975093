"""Numbers below 1.2e-38 become zero inside compiled code.

A moment of a weight whose input is always zero decays at every step, and after some 800 steps is denormal. On Intel
every operation on such a number takes about a hundred cycles, and adam takes three times as long. So each compiled call
and each part of a parallel region sets its thread's flags to flush them to zero, and restores the flags at its end: the
same thread also runs the user's NumPy.

On x86 the flags are bits 15 and 6 of MXCSR (flush to zero, denormals are zero), on ARM bit 24 of FPCR.
"""

from typing import Any

import llvmlite.binding as llvm
import llvmlite.ir as ir
from numba import config, types

from jitnet.compiler.intrinsics import intrinsic
from jitnet.compiler.numba_parts import cgutils

__all__ = ["flush_denormals", "restore_float_flags"]

_ARCHITECTURE = llvm.get_process_triple().split("-")[0]
_X86 = _ARCHITECTURE in ("x86_64", "amd64", "i386", "i686")
_ARM = _ARCHITECTURE in ("aarch64", "arm64")
_FLUSH = 0x8040 if _X86 else 1 << 24 if _ARM else 0

if config.DISABLE_JIT:

    def flush_denormals() -> int:
        """Flush denormal numbers to zero on this thread from now on; return the previous flags.

        Without the compiler NumPy does the arithmetic, by its rules, and this does nothing.
        """
        return 0

    def restore_float_flags(flags: int) -> None:
        """Restore this thread's flags, as `flush_denormals` returned them."""

else:

    def _call(builder: Any, name: str, result: Any, *args: Any) -> Any:
        kind = ir.FunctionType(result, [arg.type for arg in args])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)

    def _read(builder: Any) -> Any:
        if _X86:
            place = cgutils.alloca_once(builder, ir.IntType(32))
            pointer = builder.bitcast(place, ir.IntType(8).as_pointer())
            _call(builder, "llvm.x86.sse.stmxcsr", ir.VoidType(), pointer)
            return builder.zext(builder.load(place), ir.IntType(64))
        if _ARM:
            return _call(builder, "llvm.aarch64.get.fpcr", ir.IntType(64))
        return ir.Constant(ir.IntType(64), 0)

    def _write(builder: Any, flags: Any) -> None:
        if _X86:
            place = cgutils.alloca_once(builder, ir.IntType(32))
            builder.store(builder.trunc(flags, ir.IntType(32)), place)
            pointer = builder.bitcast(place, ir.IntType(8).as_pointer())
            _call(builder, "llvm.x86.sse.ldmxcsr", ir.VoidType(), pointer)
        elif _ARM:
            _call(builder, "llvm.aarch64.set.fpcr", ir.VoidType(), flags)

    @intrinsic
    def flush_denormals(typing):
        def codegen(context, builder, signature, args):
            flags = _read(builder)
            _write(builder, builder.or_(flags, ir.Constant(ir.IntType(64), _FLUSH)))
            return flags

        return types.int64(), codegen

    @intrinsic
    def restore_float_flags(typing, flags):
        def codegen(context, builder, signature, args):
            _write(builder, args[0])
            return context.get_dummy_value()

        return types.void(types.int64), codegen
