"""A generator's values, all of them taken in compiled code: a call of a generator alone runs none of its body."""

from typing import Any

__all__ = ["MOST_VALUES", "iterating"]

MOST_VALUES = 10_000_000
"""So many values are taken of a generator that may have no end."""


def iterating(generator: Any, parameters: int) -> Any:
    """Return a compiled function of so many parameters, which takes the values of a compiled generator one by one and
    returns how many there were, at most `MOST_VALUES`. Each value is used, so that computing it is not left out."""
    import numba

    names = ", ".join(f"a{number}" for number in range(parameters))
    text = (
        f"def iterate({names}):\n"
        "    count = 0\n"
        f"    for value in generator({names}):\n"
        "        use(value)\n"
        "        count += 1\n"
        f"        if count == {MOST_VALUES}:\n"
        "            break\n"
        "    return count\n"
    )
    made: dict[str, Any] = {"generator": generator, "use": _use()}
    exec(compile(text, "<iterating>", "exec"), made)
    return numba.njit(made["iterate"])


def _use() -> Any:
    """Return an intrinsic that the compiler takes for a use of its argument; it has no instruction of its own."""
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    from jitnet.compiler.numba_parts import cgutils

    @intrinsic
    def use(typingcontext: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place = cgutils.alloca_once_value(builder, arguments[0])
            kind = ir.FunctionType(ir.VoidType(), [place.type])
            builder.call(ir.InlineAsm(kind, "", "r,~{memory}", side_effect=True), [place])
            return context.get_dummy_value()

        return types.none(value), generate

    return use
