"""A NamedTuple of arrays handed on by reference: one pointer in place of some two hundred numbers.

Numba takes a tuple that is an argument apart, to one number for every array, extent and stride, in each call anew. A
reference is the address of the tuple; `run.state.params` reads through it what it reads of the tuple itself.

Where the tuple lies: `Struct` keeps it in memory for as long as Python wants, and calls hand its address on.
`by_reference` makes a reference to a tuple made in compiled code, good until the function that made it returns.
What is read through a reference does not count references to arrays: the `Struct` keeps them alive.
"""

from collections.abc import Callable
from typing import Any

import llvmlite.ir as ir
import numpy as np
from numba import config, types
from numba.extending import infer_getattr, lower_getattr_generic, models, register_model

from jitnet.compiler.decorators import kernel
from jitnet.compiler.intrinsics import intrinsic
from jitnet.compiler.numba_parts import AttributeTemplate, array_without_owner, cgutils

__all__ = ["Reference", "Struct", "by_reference", "reference_to"]

_ROOM = 1 << 14
"""Bytes that a struct may take."""


class Reference(types.Type):  # type: ignore[misc]
    """Numba's type of a reference to a value of type `kind`."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        super().__init__(f"Reference({kind})")


class Struct:
    """A NamedTuple as compiled code has it, kept in memory.

    value: the tuple. address: what a kernel takes, and turns into a reference by `reference_to`; without the compiler
    the tuple itself. Making one takes some 50 times as long as a call that hands its address on. What its records and
    arrays hold may change; which arrays they are may not.
    """

    def __init__(self, value: Any) -> None:
        self.value = value
        if config.DISABLE_JIT:
            self.address: Any = value
        else:
            self._memory = np.empty(_ROOM // 8, np.uint64)
            self.address = self._memory.ctypes.data
            _write_struct(value, self._memory)

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy is made of a copy of the tuple: the addresses in memory are those of this one's arrays."""
        return Struct, (self.value,)


if config.DISABLE_JIT:

    def reference_to(kind: Any) -> Callable[[Any], Any]:
        """A function that turns a `Struct`'s address into a reference; `kind` is the `Reference` type of its tuple."""
        return lambda address: address

    def by_reference(value: Any) -> Any:
        """A reference to `value`, a NamedTuple of arrays, numbers and records. Without the compiler, itself."""
        return value

else:

    @register_model(Reference)
    class ReferenceModel(models.PrimitiveModel):  # type: ignore[misc]
        """A reference is a pointer."""

        def __init__(self, manager: Any, reference: Reference) -> None:
            super().__init__(manager, reference, manager.lookup(reference.kind).get_value_type().as_pointer())

    @intrinsic
    def by_reference(typing, value):
        def codegen(context, builder, signature, args):
            place = cgutils.alloca_once(builder, args[0].type)
            builder.store(args[0], place)
            return place

        return Reference(value)(value), codegen

    def reference_to(kind: Any) -> Callable[[Any], Any]:
        @intrinsic
        def reference(typing, address):
            def codegen(context, builder, signature, args):
                return builder.inttoptr(args[0], context.get_value_type(kind))

            return kind(types.int64), codegen

        return reference

    @intrinsic
    def _store(typing, value, memory):
        def codegen(context, builder, signature, args):
            if context.get_abi_sizeof(args[0].type) > _ROOM:
                raise ValueError(f"a struct takes more than {_ROOM} bytes: {signature.args[0]}")
            data = context.make_array(signature.args[1])(context, builder, args[1]).data
            builder.store(args[0], builder.bitcast(data, args[0].type.as_pointer()), align=8)
            return context.get_dummy_value()

        return types.void(value, memory), codegen

    @kernel
    def _write_struct(value, memory):
        _store(value, memory)

    @infer_getattr
    class ReferenceFields(AttributeTemplate):  # type: ignore[misc]
        """A field that is a tuple itself is given by reference again."""

        key = Reference

        def generic_resolve(self, reference: Reference, field: str) -> Any:
            if field not in getattr(reference.kind, "fields", ()):
                return None
            kind = reference.kind.types[reference.kind.fields.index(field)]
            return Reference(kind) if isinstance(kind, types.BaseNamedTuple) else kind

    @lower_getattr_generic(Reference)
    def _read_field(context: Any, builder: Any, reference: Reference, pointer: Any, field: str) -> Any:
        number = reference.kind.fields.index(field)
        place = builder.gep(
            pointer, [ir.Constant(ir.IntType(32), 0), ir.Constant(ir.IntType(32), number)], inbounds=True
        )
        kind = reference.kind.types[number]
        if isinstance(kind, types.BaseNamedTuple):
            return place
        value = builder.load(place)
        if isinstance(kind, types.Array):
            # Without what its references are counted in: nothing here outlives the tuple.
            return array_without_owner(context, builder, kind, value)
        return value
