"""A few instructions written into a kernel by hand, where Numba has no words for them: intrinsics.

An intrinsic is a function that types a call, with a code generator inside. Numba keeps the generator under the types of
the signature's arguments alone, and the call that was typed last in the process replaces it for all calls of the same
types, also for those that were typed before and are compiled later. So a generator must not know anything of a call but
its signature: then it does not matter which one is kept. What decides which code there is belongs into the signature.
"""

from collections.abc import Callable
from types import CodeType
from typing import Any

from numba import extending

__all__ = ["intrinsic"]

_TAKES = ("context", "builder", "signature", "args")


def intrinsic(definition: Callable[..., Any] | None = None, *, prefer_literal: bool = False) -> Any:
    """Numba's `intrinsic`, for definitions whose code generator depends on nothing but the signature.

    prefer_literal: whether numbers that are written in a call are typed by their value. TypeError where there is not
    one generator (context, builder, signature, args), or where it reads a variable of the typing around it.
    """

    def decorate(definition: Callable[..., Any]) -> Any:
        _check(definition)
        return extending.intrinsic(prefer_literal=prefer_literal)(definition)

    return decorate if definition is None else decorate(definition)


def _check(definition: Callable[..., Any]) -> None:
    code = definition.__code__
    generators = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    takes = [generator.co_varnames[: generator.co_argcount + generator.co_kwonlyargcount] for generator in generators]
    if takes != [_TAKES]:
        found = ", ".join(f"({', '.join(names)})" for names in takes) or "none"
        raise TypeError(
            f"intrinsic {definition.__name__} needs one code generator ({', '.join(_TAKES)}) inside; found {found}"
        )
    read = sorted(set(generators[0].co_freevars) - set(code.co_freevars))
    if read:
        raise TypeError(
            f"the code generator of intrinsic {definition.__name__} reads {', '.join(read)} of the typing around it; "
            "Numba may use it for another call: read the signature instead, and put there what is missing"
        )
