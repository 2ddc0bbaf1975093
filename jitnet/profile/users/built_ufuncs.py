"""Ufuncs that Numba builds ahead of their first call: NumPy's, without a reference to the function inside."""

from typing import Any, NamedTuple

__all__ = ["BuiltUfunc", "built", "remember_ufuncs"]


class BuiltUfunc(NamedTuple):
    """ufunc: NumPy's, kept so that its id stays unique. builder: Numba's, which has compiled `dispatcher` for the
    declared types."""

    ufunc: Any
    builder: Any

    @property
    def function(self) -> Any:
        return self.builder.py_func

    @property
    def dispatcher(self) -> Any:
        return self.builder.nb_func


_built: dict[int, BuiltUfunc] = {}


def remember_ufuncs() -> None:
    """From now on, store the builder of each ufunc that is built ahead, as target="parallel" does."""
    from jitnet.compiler.numba_parts import GUFuncBuilder, UFuncBuilder

    for builder in (UFuncBuilder, GUFuncBuilder):
        builder.build_ufunc = _remembering(builder.build_ufunc)


def _remembering(build: Any) -> Any:
    def build_ufunc(builder: Any) -> Any:
        made = build(builder)
        _built[id(made)] = BuiltUfunc(made, builder)
        return made

    return build_ufunc


def built(ufunc: Any) -> BuiltUfunc | None:
    """Return what is known of a ufunc that was built ahead; None for all other objects."""
    return _built.get(id(ufunc))
