"""A few instructions written into a kernel by hand, where Numba has no function for them: intrinsics.

An intrinsic is a function that types a call, with a code generator inside. Numba stores the generator under the types
of the signature's arguments only, and the call that was typed last in the process replaces it for all calls of the same
types, also for those that were typed before and are compiled later. So a generator must depend only on the signature of
a call: then it does not matter which one is stored. All that the code depends on belongs into the signature.
"""

from collections.abc import Callable
from types import CodeType
from typing import Any

from numba import extending

__all__ = ["intrinsic"]

_PARAMETERS = ("context", "builder", "signature", "args")


def intrinsic(definition: Callable[..., Any] | None = None, *, prefer_literal: bool = False) -> Any:
    """Numba's `intrinsic`, for definitions whose code generator depends only on the signature.

    prefer_literal: whether literal numbers in a call are typed by their value. TypeError where there is not one
    generator (context, builder, signature, args), or where it reads a variable of the typing function around it.
    """

    def decorate(definition: Callable[..., Any]) -> Any:
        _check(definition)
        return extending.intrinsic(prefer_literal=prefer_literal)(definition)

    return decorate if definition is None else decorate(definition)


def _check(definition: Callable[..., Any]) -> None:
    code = definition.__code__
    generators = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    taken = [generator.co_varnames[: generator.co_argcount + generator.co_kwonlyargcount] for generator in generators]
    if taken != [_PARAMETERS]:
        found = ", ".join(f"({', '.join(names)})" for names in taken) or "none"
        raise TypeError(
            f"intrinsic {definition.__name__} needs one code generator ({', '.join(_PARAMETERS)}) inside; found {found}"
        )
    read = sorted(set(generators[0].co_freevars) - set(code.co_freevars))
    if read:
        raise TypeError(
            f"the code generator of intrinsic {definition.__name__} reads {', '.join(read)} of the typing function; "
            "Numba may use it for another call: read it from the signature instead"
        )
