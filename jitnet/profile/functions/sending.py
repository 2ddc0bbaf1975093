"""Functions of this process and the arguments of a call, written to a folder for worker processes.

The folder has a module that `profile_function` takes as the user's, so that worker processes need no other way in: it
has the functions under their names, and a function that returns the arguments. All are pickled by value, as they are at
this moment, with what a function uses of its module. Source without a file, as in a notebook, is written to one.
"""

import ctypes
import inspect
import linecache
import math
import pickle
import sys
import types
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from jitnet.errors import UsageError
from jitnet.profile.received import (
    ARGUMENTS,
    FUNCTION,
    PAGE,
    Memory,
    array_in,
    by_name,
    typed_dict,
    typed_list,
)

__all__ = ["Sent", "send"]

MODULE = """\
from pathlib import Path

from jitnet.profile.received import load

globals().update(load(Path(__file__).parent, {names!r}, {path!r}, {homes!r}))
"""
MODULE_NAME = "jitnet_call.py"

MATHEMATICS = (math, math.sqrt, np, np.sqrt, np.float32, np.float64, np.complex128, np.uint64)
"""What the changes that are tried write into a function, under the names that its module has for them."""

EXPECTED = "expected a function under @njit, @jit, @vectorize or @guvectorize"


@dataclass(frozen=True)
class Sent:
    """What was written.

    targets, setup: as `profile_function` takes them. names: of the functions, with their module where they have one.
    shown: what a reader should see in place of some text: a function's name for its target, and a notebook's cell for
    its file. notes: what else to know, a sentence each.
    """

    targets: tuple[str, ...]
    setup: str
    names: tuple[str, ...]
    shown: dict[str, str]
    notes: tuple[str, ...]


def send(functions: Sequence[Any], arguments: Sequence[Any], keywords: Mapping[str, Any], folder: Path) -> Sent:
    """Write compiled functions, and the arguments of a call of the first, to a folder.

    UsageError where one is not compiled, where the arguments do not fit, and where one cannot be pickled.
    """
    pythons = [_python_function(function) for function in functions]
    passed, notes = _positional(pythons[0], arguments, keywords)
    sources = _Sources(folder)
    pickler = _pickler(sources, _placed(passed))
    for number, (function, python) in enumerate(zip(functions, pythons, strict=True)):
        _write_function(pickler, folder / FUNCTION.format(number), function, python)
    _write_arguments(pickler, folder / f"{ARGUMENTS}.pickle", pythons[0], _by_name(pythons[0], passed))
    attributes: list[str] = []
    for python in pythons:
        name = python.__name__
        attributes.append(name if name not in attributes else f"{name}_{len(attributes) + 1}")
    homes = dict.fromkeys(each.__module__ for each in pythons if each.__module__ not in (None, "__main__"))
    path = [str(each) or "." for each in sys.path]
    module = folder / MODULE_NAME
    module.write_text(MODULE.format(names=attributes, path=path, homes=[*homes]), encoding="utf-8")
    targets = tuple(f"{module}:{name}" for name in attributes)
    names = tuple(":".join(filter(None, [_where(python), _name(python)])) for python in pythons)
    shown = dict(zip(targets, names, strict=True)) | {str(module): _where(pythons[0])} | sources.shown()
    return Sent(targets, f"{module}:{ARGUMENTS}", names, shown, (*notes, *sources.notes()))


def _name(python: Any) -> str:
    return str(python.__qualname__).replace("<locals>.", "")


def _python_function(function: Any) -> Any:
    """Return the Python function under a decorator of Numba's."""
    from jitnet.compiler.numba_parts import Dispatcher, DUFunc, GUFunc, ufunc_dispatcher

    if isinstance(function, Dispatcher):
        return function.py_func
    if isinstance(function, DUFunc):
        return ufunc_dispatcher(function).py_func
    if isinstance(function, GUFunc):
        return function.gufunc_builder.py_func
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", type(function).__name__)
    if isinstance(function, types.FunctionType):
        import numba

        if numba.config.DISABLE_JIT:
            raise UsageError(f"{name}: NUMBA_DISABLE_JIT is set: nothing is compiled; unset it")
        place = f"{_cell(function.__code__.co_filename)}:{function.__code__.co_firstlineno}"
        raise UsageError(f"{name}: is plain Python, not compiled ({place}); put @numba.njit above it")
    if isinstance(function, np.ufunc):
        raise UsageError(
            f"{name}: is a ufunc without a reference to its Python function, as target='parallel' makes them; use "
            f"jitnet profile FILE:{name}"
        )
    raise UsageError(f"{name}: is of type {type(function).__name__}; {EXPECTED}")


def _where(python: Any) -> str:
    """Return the module of a function, or the script that it is in; "" in a notebook."""
    if python.__module__ not in (None, "__main__"):
        return str(python.__module__)
    file = str(python.__code__.co_filename)
    return Path(file).name if Path(file).is_file() else ""


def _positional(
    python: Any, arguments: Sequence[Any], keywords: Mapping[str, Any]
) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """Return the arguments of a call in the order of the parameters, and what to know about them."""
    signature = inspect.signature(python)
    if not keywords:
        return tuple(arguments), ()
    try:
        bound = signature.bind(*arguments, **keywords)
    except TypeError as error:
        raise UsageError(f"{_name(python)}{signature}: {error}") from None
    given, notes = bound.arguments, []
    parameters = list(signature.parameters.values())
    last = max(at for at, each in enumerate(parameters) if each.name in given)
    passed: list[Any] = []
    for each in parameters[: last + 1]:
        if each.kind is each.VAR_POSITIONAL:
            passed += given.get(each.name, ())
        elif each.name in given:
            passed.append(given[each.name])
        else:
            passed.append(each.default)
            notes.append(f"{each.name}={each.default!r}, its default, is passed too, since an argument after it is")
    return tuple(passed), tuple(notes)


def _by_name(python: Any, passed: tuple[Any, ...]) -> tuple[Any, ...] | dict[str, Any]:
    """Return the arguments by their names where one may only be passed so."""
    parameters = list(inspect.signature(python).parameters.values())[: len(passed)]
    if not any(each.kind is each.KEYWORD_ONLY for each in parameters):
        return passed
    return {each.name: value for each, value in zip(parameters, passed, strict=True)}


def _write_function(pickler: Any, path: Path, function: Any, python: Any) -> None:
    """Pickle the function by value; where that is impossible, by the name under which its module has it."""
    try:
        with path.open("wb") as file:
            pickler(file).dump(function)
        return
    except Exception as error:  # what is raised depends on what cannot be pickled
        reason = error
    module, where = sys.modules.get(python.__module__), python.__module__
    if where == "__main__":
        where = str(getattr(module, "__file__", None) or "")
    try:
        found: Any = module
        for part in python.__qualname__.split("."):
            found = getattr(found, part)
    except AttributeError:
        found = None
    if not where or found is not function:
        raise UsageError(
            f"{_name(python)}: cannot be sent to a worker process, since it uses what cannot be pickled "
            f"({_one_line(reason)}); put it into a module"
        )
    with path.open("wb") as file:
        pickler(file).dump(_Named(where, python.__qualname__))


class _Named:
    """Is read as what a module has under a name."""

    def __init__(self, where: str, name: str) -> None:
        self.where, self.name = where, name

    def __reduce__(self) -> Any:
        return by_name, (self.where, self.name)


def _write_arguments(pickler: Any, path: Path, python: Any, passed: tuple[Any, ...] | dict[str, Any]) -> None:
    try:
        with path.open("wb") as file:
            pickler(file).dump(passed)
    except Exception as error:
        values = tuple(passed.values()) if isinstance(passed, dict) else passed
        at, value, reason = _unpicklable(pickler, path, values, error)
        parameters = list(inspect.signature(python).parameters)
        label = parameters[at] if at < len(parameters) else f"argument {at + 1}"
        name = _name(python)
        raise UsageError(
            f"{name}: {label}, of type {type(value).__name__}, cannot be sent to a worker process "
            f"({_one_line(reason)}); use jitnet profile FILE:{name} --setup FILE:FUNCTION, which makes it there"
        ) from None


def _unpicklable(pickler: Any, path: Path, passed: tuple[Any, ...], error: Exception) -> tuple[int, Any, Exception]:
    """Return the first argument that cannot be pickled alone, and the reason."""
    for at, value in enumerate(passed):
        try:
            with path.open("wb") as file:
                pickler(file).dump(value)
        except Exception as own:
            return at, value, own
    return 0, passed, error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


# What is pickled in another way than by default.


def _arrays(value: Any) -> Iterator[Any]:
    if type(value) in (np.ndarray, np.memmap):
        if value.size and not value.dtype.hasobject:
            yield value
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _arrays(each)


def _placed(arguments: Sequence[Any]) -> dict[int, tuple[Any, ...]]:
    """Return for each array in the arguments, by its id, what `array_in` makes it of.

    Arrays that overlap are in the same memory.
    """
    found = []
    for array in _arrays(arguments):
        low, high = np.lib.array_utils.byte_bounds(array)
        found.append((low, high, array))
    found.sort(key=lambda each: each[:2])
    ranges: list[list[int]] = []
    for low, high, _ in found:
        if ranges and low < ranges[-1][1]:
            ranges[-1][1] = max(ranges[-1][1], high)
        else:
            ranges.append([low, high])
    memories = [(low, high, _memory(low, high)) for low, high in ranges]
    placed = {}
    for low, _, array in found:
        first, memory = next((begin, memory) for begin, end, memory in memories if begin <= low < end)
        offset = array.ctypes.data - first
        placed[id(array)] = memory, array.dtype, array.shape, array.strides, offset, bool(array.flags.writeable)
    return placed


def _memory(low: int, high: int) -> Memory:
    """Return the memory between two addresses, not copied."""
    content = memoryview((ctypes.c_ubyte * (high - low)).from_address(low))
    return Memory(np.asarray(content), low % PAGE)


def _pickler(sources: "_Sources", placed: dict[int, tuple[Any, ...]]) -> Any:
    """Return a class of picklers. placed: as `_placed` returns it."""
    from numba import typeof
    from numba.typed import Dict, List

    from jitnet.compiler.numba_parts import NumbaPickler

    plain = NumbaPickler.dispatch_table[types.CodeType]

    def reduce_code(code: types.CodeType) -> Any:
        return plain(code.replace(co_filename=sources.file_of(code)))

    class Pickler(NumbaPickler):  # type: ignore[misc]
        dispatch_table: ClassVar[Any] = ChainMap({types.CodeType: reduce_code}, NumbaPickler.dispatch_table)

        def __init__(self, file: Any) -> None:
            super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)

        def reducer_override(self, value: Any) -> Any:
            if id(value) in placed and isinstance(value, np.ndarray):
                return array_in, placed[id(value)]
            if type(value) is List:
                return typed_list, (List, typeof(value).item_type, list(value))
            if type(value) is Dict:
                kind = typeof(value)
                return typed_dict, (Dict, kind.key_type, kind.value_type, list(value.items()))
            if isinstance(value, types.FunctionType):
                linecache.lazycache(value.__code__.co_filename, value.__globals__)  # of a module in a zip file
            reduced = super().reducer_override(value)
            if isinstance(value, types.FunctionType) and isinstance(reduced, tuple):
                # By value, with the names that it uses; the source of a change may use others of its module.
                _, (_, attributes) = reduced[1:3]
                attributes["__globals__"].update(_mathematics(value.__globals__))
                if attributes["__module__"] == "__main__":
                    # That is another module there, in which Numba's object mode would look for names.
                    attributes["__module__"] = None
            return reduced

    return Pickler


def _mathematics(names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in names.items() if any(value is each for each in MATHEMATICS)}


class _Sources:
    """Source that is in no file, as a notebook's cell, written to files of a folder as it is needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Path] = {}
        self._changed: set[str] = set()
        self._codes: dict[Path, list[types.CodeType]] = {}

    def file_of(self, code: types.CodeType) -> str:
        """Return the path of a code object's source; of an empty file where it is not known."""
        name, path = code.co_filename, Path(code.co_filename)
        if path.is_file():
            if self._is_in(code, path):
                return str(path.absolute())
            self._changed.add(name)
        if name not in self._files:
            self._files[name] = self._folder / f"source_{len(self._files) + 1}.py"
            lines = [] if name in self._changed else linecache.getlines(name)
            self._files[name].write_text("".join(lines), encoding="utf-8")
        return str(self._files[name])

    def _is_in(self, code: types.CodeType, path: Path) -> bool:
        """Whether a file has the source of this code; not where it was edited since."""
        if any(name.startswith("@py") for name in code.co_names):  # pytest has written its assertions in another way
            return True
        if path not in self._codes:
            try:
                self._codes[path] = list(_codes(compile(path.read_bytes(), str(path), "exec", dont_inherit=True)))
            except (SyntaxError, ValueError, OSError):
                self._codes[path] = []
        return any(_is_same(code, each) for each in self._codes[path])

    def notes(self) -> list[str]:
        """Return a sentence for each source that could not be found."""
        changed = [
            f"{name} was edited after it was imported, so its lines are not shown: import it again"
            for name in sorted(self._changed)
        ]
        unknown = [name for name in self._files if name not in self._changed and not linecache.getlines(name)]
        return changed + [f"the source of {_cell(name)} is not known" for name in unknown]

    def shown(self) -> dict[str, str]:
        """Return for each file what it is called: "In[3]" for the third cell of a notebook."""
        return {str(path): _cell(name) for name, path in self._files.items()}


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _is_same(one: types.CodeType, other: types.CodeType) -> bool:
    if (one.co_name, one.co_firstlineno) != (other.co_name, other.co_firstlineno):
        return False
    constants = [
        [repr(each) for each in code.co_consts if not isinstance(each, types.CodeType | frozenset)]
        for code in (one, other)
    ]
    alike = (one.co_code, one.co_names, list(one.co_lines())) == (other.co_code, other.co_names, list(other.co_lines()))
    return alike and constants[0] == constants[1]


def _cell(name: str) -> str:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    found = shell.compile.format_code_name(name) if shell is not None else None
    return str(found[1]) if found else name
