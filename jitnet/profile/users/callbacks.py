"""Callbacks for C, under `@cfunc`: what each was compiled from, which Numba does not offer."""

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Callback", "callback", "remember_callbacks"]


class Callback(NamedTuple):
    """made: Numba's object, kept so that its id stays unique. function: the Python function. arguments: Numba's types
    of its arguments. options: of the decorator."""

    made: Any
    function: Any
    arguments: tuple[Any, ...]
    options: dict[str, Any]


_known: dict[int, Callback] = {}


def remember_callbacks() -> None:
    """From now on, store what each callback is compiled from."""
    import numba

    decorate = numba.cfunc

    def cfunc(signature: Any, *rest: Any, **options: Any) -> Callable[[Any], Any]:
        compile_callback = decorate(signature, *rest, **options)
        plain = {name: value for name, value in options.items() if name not in ("locals", "cache", "pipeline_class")}

        def compiled(function: Any) -> Any:
            made = compile_callback(function)
            kind = numba.typeof(made)
            _known[id(made)] = Callback(made, function, tuple(kind.signature.args), plain)
            return made

        return compiled

    numba.cfunc = cfunc


def callback(found: Any) -> Callback | None:
    """Return what is known of a callback; None for all other objects."""
    return _known.get(id(found))
