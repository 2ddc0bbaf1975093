"""A NamedTuple of arrays passed by reference: one pointer in place of some two hundred numbers.

Numba unpacks a tuple argument into numbers for every array, extent and stride, again in each call. A reference is the
address of the tuple; `run.state.params` reads the same through it as from the tuple itself.

`Struct` stores the tuple in memory for as long as Python holds it, and calls pass its address. `by_reference` makes a
reference to a tuple made in compiled code, valid until that function returns. Arrays that are read through a reference
are not reference-counted: the `Struct` keeps them alive.
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

_CAPACITY = 1 << 14
"""Bytes of a struct's memory."""


class Reference(types.Type):  # type: ignore[misc]
    """Numba's type of a reference to a value of type `kind`."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        super().__init__(f"Reference({kind})")


class Struct:
    """A NamedTuple stored in memory in the form that compiled code reads.

    value: the tuple. address: what a kernel takes, and turns into a reference by `reference_to`; without the compiler
    the tuple itself. Making one takes some 50 times as long as a call that passes its address. The contents of its
    records and arrays may change; the arrays themselves may not.
    """

    def __init__(self, value: Any) -> None:
        self.value = value
        if config.DISABLE_JIT:
            self.address: Any = value
        else:
            self._memory = np.empty(_CAPACITY // 8, np.uint64)
            self.address = self._memory.ctypes.data
            _write_struct(value, self._memory)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy by copying the tuple, since the addresses in memory are those of this struct's arrays."""
        return Struct, (self.value,)


if config.DISABLE_JIT:

    def reference_to(kind: Any) -> Callable[[Any], Any]:
        """Return a function from a `Struct`'s address to a reference. kind: the `Reference` type of its tuple."""
        return lambda address: address

    def by_reference(value: Any) -> Any:
        """Return a reference to `value`, a NamedTuple of arrays, numbers and records; `value` without the compiler."""
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
            if context.get_abi_sizeof(args[0].type) > _CAPACITY:
                raise ValueError(f"a struct takes more than {_CAPACITY} bytes: {signature.args[0]}")
            data = context.make_array(signature.args[1])(context, builder, args[1]).data
            builder.store(args[0], builder.bitcast(data, args[0].type.as_pointer()), align=8)
            return context.get_dummy_value()

        return types.void(value, memory), codegen

    @kernel
    def _write_struct(value, memory):
        _store(value, memory)

    @infer_getattr
    class ReferenceFields(AttributeTemplate):  # type: ignore[misc]
        """Types of fields; a field that is a tuple is a reference too."""

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
            # Without a reference count: nothing here outlives the tuple.
            return array_without_owner(context, builder, kind, value)
        return value
