"""The process that compiles and hands back what LLVM wrote: `python -m jitnet.machine_code.worker REQUEST`.

It is a process of its own because LLVM's remarks go to the C library's standard error, because LLVM's options cannot be
taken back, and because code for another processor can be compiled but must not be run: there, each call from Python
runs the plain Python function.

REQUEST is a JSON file: `targets` as `Target` has them; `processor`, name and triple, or null for this machine;
`lines`, whether a table of lines is wanted; `cores` to run on, empty for any; `out`, where the answers go. An answer is
a line of JSON: `start` as a function is begun; what was made of it; or `error`, with `usage` true where the request was
wrong.
"""

import base64
import importlib
import importlib.util
import json
import os
import pickle
import re
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import llvmlite.binding as llvm
from llvmlite.binding import targets as llvm_targets

from jitnet.machine_code.strides import lines_for_one_step

__all__: list[str] = []

LOOPS = "loop-vectorize|loop-unroll"


class Wrong(Exception):
    """The request names something that is not there."""


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with open(request["out"], "a", encoding="utf-8", buffering=1) as out:

        def answer(**fields: Any) -> None:
            out.write(json.dumps(fields) + "\n")

        if request["cores"]:
            os.sched_setaffinity(0, request["cores"])  # the process that asks may be bound to one of them
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)  # what a module prints while it is imported is not asked for
        for kind in ("", "-missed", "-analysis"):
            llvm.set_option("", f"-pass-remarks{kind}={LOOPS}")
        warnings.simplefilter("ignore")
        try:
            own = all(not target["module"] for target in request["targets"])
            bits = become(request["processor"]) if request["processor"] else vector_bits(None)
            import numba  # noqa: F401  (only now: it asks for the processor)

            if request["processor"] or own:
                never_run()
            keep_nothing()
            if request["lines"]:
                write_lines()
            answer(vector_bits=bits)
            from numba.core.compiler_lock import global_compiler_lock

            with remarks() as said, global_compiler_lock:
                for number, target in enumerate(request["targets"]):
                    answer(start=target["name"], number=number)
                    answer(**look_at(target), remarks=said())
        except Wrong as error:
            answer(error=str(error), usage=True)
        except Exception as error:
            answer(error=describe(error), usage=False)


def describe(error: Exception) -> str:
    """The reason why something could not be compiled, in a line; Numba's own say much more."""
    text = re.sub(r"\x1b\[[\d;]*m", "", str(error)) or type(error).__name__
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Failed in", "File ", "This error", "During:", "<source"))]
    kept = " ".join(told or lines)
    if not isinstance(error, Exception) or type(error).__module__.startswith("numba"):
        return kept[:400]
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {kept[:300]} ({Path(last.filename).name}, line {last.lineno})"


@contextmanager
def remarks() -> Iterator[Callable[[], str]]:
    """Gives a function that returns what the compiler has said since it was last asked."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        place = 0

        def since() -> str:
            nonlocal place
            sys.stderr.flush()
            file.seek(place)
            text = file.read()
            place += len(text)
            file.seek(0, os.SEEK_END)
            return text.decode(errors="replace")

        try:
            yield since
        finally:
            os.dup2(kept, 2)


# The processor -----------------------------------------------------------------------------------------------------


def become(processor: dict[str, str]) -> int:
    """Let LLVM, Numba and this project take the machine for another one; gives the bits of its vectors."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"):
        os.environ.pop(name, None)
    bits = vector_bits(processor)
    features = llvm_targets.FeatureMap()
    if processor["triple"].startswith("x86"):
        features.update({"avx": bits >= 256, "avx512f": bits >= 512})
        for name, there in list(features.items()):
            if not there:
                del features[name]  # what the name does not have is not to be taken from it twice
    for module in (llvm, llvm_targets):
        module.get_process_triple = lambda: processor["triple"]
        module.get_default_triple = lambda: processor["triple"]
        module.get_host_cpu_name = lambda: processor["name"]
        module.get_host_cpu_features = lambda: features
    return bits


def vector_bits(processor: dict[str, str] | None) -> int:
    """The widest vectors that a processor has: those that an addition of 16 float32 is made of there."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = processor["triple"] if processor else llvm.get_process_triple()
    x86 = triple.startswith(("x86_64", "amd64"))
    features = "" if processor else llvm.get_host_cpu_features().flatten()
    if x86:
        features = f"{features},-prefer-256-bit".strip(",")
    name = processor["name"] if processor else llvm.get_host_cpu_name()
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=name, features=features)
    vector = "<16 x float>"
    module = llvm.parse_assembly(
        f'target triple = "{triple}"\n'
        f"define {vector} @add({vector} %a, {vector} %b) {{ %c = fadd {vector} %a, %b\n ret {vector} %c }}"
    )
    text = machine.emit_assembly(module)
    return 512 if "%zmm" in text else 256 if "%ymm" in text else 128


def never_run() -> None:
    """Compile without making code that could run; calls from Python run the Python function instead."""
    codegen, cpu, dispatcher = (
        importlib.import_module(f"numba.core.{one}") for one in ("codegen", "cpu", "dispatcher")
    )

    def keep(self: Any, result: Any) -> None:
        self.overloads[tuple(result.signature.args)] = result

    codegen.JITCodeLibrary._finalize_specific = lambda self: None
    codegen.JITCodeLibrary.get_pointer_to_function = lambda self, name: 0
    cpu.CPUContext.get_executable = lambda self, library, fndesc, env: object()  # by which others know the function
    dispatcher.Dispatcher._compile_for_args = lambda self, *args, **kwargs: self.py_func(*args, **kwargs)
    dispatcher.Dispatcher.add_overload = keep


def keep_nothing() -> None:
    """Let Numba load from the user's cache what modules compile as they are imported, and never write there."""
    caching = importlib.import_module("numba.core.caching")
    caching._Cache.save_overload = caching.Cache.save_overload = lambda self, signature, data: None


def forget(function: Any, seen: set[int] | None = None) -> None:
    """Have a compiled function and all that it calls compiled anew: what came from a cache has no table of lines."""
    from numba.core.caching import NullCache
    from numba.core.dispatcher import Dispatcher

    seen = set() if seen is None else seen
    python = getattr(function, "py_func", function)
    if id(python) in seen or not hasattr(python, "__code__"):
        return
    seen.add(id(python))
    cells = [cell.cell_contents for cell in python.__closure__ or () if cell_has_content(cell)]
    for called in [*(python.__globals__.get(name) for name in python.__code__.co_names), *cells]:
        if isinstance(called, Dispatcher):
            forget(called, seen)
    if isinstance(function, Dispatcher):
        known = cast(Any, function)
        known._cache = NullCache()
        if known.overloads:
            known._make_finalizer()()
            known._reset_overloads()
            known._can_compile = True


def cell_has_content(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


# The table of lines --------------------------------------------------------------------------------------------------


def write_lines() -> None:
    """Let Numba write a table of lines, of every function and into the right files, and change nothing else.

    Its own way, `debug=True`, also keeps variables in memory, checks bounds and forbids inlining: other code. And it
    writes the lines of what it copied from another file, or into the body of a `prange`, under the wrong file.
    """
    from numba.core import base, codegen, debuginfo, lowering

    class Lines(debuginfo.DIBuilder):  # type: ignore[misc]
        """A scope for each file whose lines come up in a function."""

        here: Any = None

        def __init__(self, module: Any, filepath: str, cgctx: Any, directives_only: bool) -> None:
            self._scopes: dict[tuple[int, str], Any] = {}
            super().__init__(module, filepath, cgctx, directives_only)

        def _di_compile_unit(self) -> Any:
            self.emission_kind = "LineTablesOnly"
            return super()._di_compile_unit()

        def _di_file(self, path: str = "") -> Any:
            path = path or self.filepath
            return self.module.add_debug_info("DIFile", {"directory": os.path.dirname(path), "filename": path})

        def _di_subroutine_type(self, line: int, function: Any, argmap: Any) -> Any:
            empty = self.module.add_metadata([])
            return self.module.add_debug_info("DISubroutineType", {"types": empty})

        def mark_variable(self, *args: Any, **kwargs: Any) -> None:
            pass

        def _di_location(self, line: int) -> Any:
            path = self.filepath
            if self.here is not None:
                # What Numba writes round the body of a `prange` has no file: the loop itself stands for it.
                place = prange if prange is not None and self.here.filename == "<string>" else self.here
                path, line = os.path.abspath(place.filename), place.line if place is prange else line
            return self.module.add_debug_info("DILocation", {"line": line, "column": 1, "scope": self._scope(path)})

        def _scope(self, path: str) -> Any:
            function = self.subprograms[-1]
            if path == self.filepath:
                return function
            key = (len(self.subprograms), path)
            if key not in self._scopes:
                block = {"scope": function, "file": self._di_file(path), "discriminator": 0}
                self._scopes[key] = self.module.add_debug_info("DILexicalBlockFile", block)
            return self._scopes[key]

    base.BaseContext.enable_debuginfo = True
    base.BaseContext.DIBuilder = Lines
    before = lowering.Lower.lower_inst

    def lower_inst(self: Any, inst: Any) -> Any:
        if isinstance(self.debuginfo, Lines):
            self.debuginfo.here = self.loc
        return before(self, inst)

    lowering.Lower.lower_inst = lower_inst
    parfor_lowering: Any = importlib.import_module("numba.parfors.parfor_lowering")
    make = parfor_lowering._create_gufunc_for_parfor_body

    def make_body(lowerer: Any, parfor: Any, *args: Any, **kwargs: Any) -> Any:
        global prange
        before, prange = prange, parfor.loc
        try:
            return make(lowerer, parfor, *args, **kwargs)
        finally:
            prange = before

    parfor_lowering._create_gufunc_for_parfor_body = make_body
    add = codegen.CPUCodeLibrary.add_ir_module

    def add_ir_module(self: Any, module: Any) -> None:
        # What is copied into a function without a table of lines loses its own: NumPy's loops and threads come in so.
        for function in getattr(module, "functions", ()):
            if function.blocks and function.name.startswith(("__ufunc__", "__gufunc__")):
                file, line = wrapped
                table = Lines(module, file, None, False)
                table.mark_subprogram(function, function.name, (), (), line)
                place = table._di_location(line)
                for block in function.blocks:
                    for instruction in block.instructions:
                        instruction.set_metadata("dbg", place)
                table.finalize()
        add(self, module)

    codegen.CPUCodeLibrary.add_ir_module = add_ir_module


prange: Any = None
"""Numba's location of the `prange` whose body is being compiled."""

wrapped = ("<numba>", 0)
"""File and line of the function that Numba wraps in a loop over elements just now."""


# The functions -------------------------------------------------------------------------------------------------------


def look_at(target: dict[str, Any]) -> dict[str, Any]:
    """Compile one function; what was made of it as an answer has it."""
    return look_at_foreign(target) if target["module"] else look_at_own(target)


def look_at_own(target: dict[str, Any]) -> dict[str, Any]:
    module, _, name = f"jitnet.{target['name']}".rpartition(".")
    from jitnet.compiler import decorators, signatures

    function = getattr(importlib.import_module(module), name)
    if decorators.is_linked(function):
        decorators.load(function)
        signature = function.linked_signature
    else:
        for callee in decorators.linked_callees(function):
            decorators.load(callee)
        signature = own_types(function, target["arguments"], signatures)
        function.compile(signature)
    result = function.overloads[tuple(getattr(signature, "args", signature))]
    kind = "parallel" if function.targetoptions.get("parallel") else "njit"
    return made(function.py_func, module, result, kind, [result.fndesc.mangled_name], [result.library])


def own_types(function: Any, names: list[str], signatures: Any) -> tuple[Any, ...]:
    """Numba's types for the names that `targets` has for a kernel."""
    from numba import typeof, types

    found = []
    for name in names:
        if name == "SETTINGS":
            from jitnet.compiler.signatures import make_record
            from jitnet.kernels import optimizer, schedule

            module = schedule if function.py_func.__module__.endswith("schedule") else optimizer
            kind = module.SCHEDULE_SETTINGS if module is schedule else module.OPTIMIZER_SETTINGS
            found.append(typeof(make_record(kind)))
        else:
            more = {"BOOLEAN": types.boolean, "REALS": types.Array(types.float64, 1, "C")}
            found.append(more.get(name) or getattr(signatures, name))
    return tuple(found)


def look_at_foreign(target: dict[str, Any]) -> dict[str, Any]:
    function: Any = find(target)
    from numba.core.dispatcher import Dispatcher
    from numba.np.ufunc.dufunc import DUFunc
    from numba.np.ufunc.gufunc import GUFunc

    if isinstance(function, DUFunc):
        return look_at_ufunc(function, target)
    if isinstance(function, GUFunc):
        return look_at_gufunc(function, target)
    if isinstance(function, Dispatcher):
        function = cast(Any, function)
        options, python = function.targetoptions, function.py_func
        forget(function)
        # A new one: what this one compiled while its module was imported is in it already, or came from a cache.
        new = type(function)(python, function.locals, dict(options), pipeline_class=function._compiler.pipeline_class)
    elif callable(function) and hasattr(function, "__code__"):
        import numba

        python = function
        new = numba.njit(parallel=target["kind"] == "parallel")(function)
        options = new.targetoptions
    else:
        raise Wrong(
            f"{target['module']}:{target['name']} is {type(function).__name__}; expected a Python function, or one "
            "compiled by numba.njit, vectorize or guvectorize for the target cpu"
        )
    given = with_defaults(python, argument_types(target))
    new.compile(given)
    result = new.overloads[given] if given in new.overloads else next(iter(new.overloads.values()))
    kind = "parallel" if options.get("parallel") else "njit"
    return made(python, target["module"], result, kind, [result.fndesc.mangled_name], [result.library])


def find(target: dict[str, Any]) -> Any:
    """The object that a request names, its module imported."""
    module_name, path = target["module"], target["name"]
    sys.path[:0] = [*target["path"], os.getcwd()]
    try:
        if module_name.endswith(".py"):
            file = Path(module_name)
            if not file.is_file():
                raise Wrong(f"{module_name}: no such file")
            sys.path.insert(0, str(file.parent.absolute()))
            spec = importlib.util.spec_from_file_location(file.stem, file.absolute())
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[file.stem] = module
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise Wrong(f"{module_name}: cannot be imported ({error})") from None
    found: Any = module
    for part in path.split("."):
        if not hasattr(found, part):
            raise Wrong(f"{module_name} has no {path}")
        found = getattr(found, part)
    return found


def argument_types(target: dict[str, Any]) -> tuple[Any, ...]:
    """Numba's types of the arguments."""
    if target["pickled"]:
        return tuple(pickle.loads(base64.b64decode(target["pickled"])))
    import numba
    import numpy as np
    from numba import types

    names = {
        **vars(np),
        **vars(numba),
        **vars(types),
        "bool": types.boolean,
        "int": types.int64,
        "float": types.float64,
    }
    found = []
    for text in target["arguments"]:
        try:
            kind = eval(text, names)
            assert isinstance(kind, types.Type)
        except Exception:
            raise Wrong(f"{text!r} is no type of Numba's; expected one such as float32[:, ::1] or int64") from None
        found.append(kind)
    return tuple(found)


def with_defaults(python: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """The types with those of arguments that are left to their defaults."""
    import inspect

    from numba import types

    parameters = list(inspect.signature(python).parameters.values())
    left = parameters[len(given) :]
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return given
    needed = [one.name for one in left if one.default is one.empty]
    if needed or len(given) > len(parameters):
        wanted = ", ".join(one.name for one in parameters)
        raise Wrong(f"{python.__name__} takes ({wanted}); {len(given)} types were given")
    return (*given, *(types.Omitted(one.default) for one in left))


def elements(given: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(getattr(one, "dtype", one) for one in given)


def wrap(python: Any) -> None:
    global wrapped
    wrapped = (os.path.abspath(python.__code__.co_filename), python.__code__.co_firstlineno)


def look_at_ufunc(function: Any, target: dict[str, Any]) -> dict[str, Any]:
    from numba.np.ufunc import ufuncbuilder

    dispatcher = function._dispatcher
    builder = ufuncbuilder.UFuncBuilder(dispatcher.py_func, targetoptions=dict(function.targetoptions))
    given = elements(argument_types(target))[: function.nin]
    result = builder.add(given)
    context = result.target_context
    wrap(dispatcher.py_func)
    info = ufuncbuilder.build_ufunc_wrapper(
        result.library, context, result.fndesc.llvm_func_name, result.signature, result.objectmode, result
    )
    info.library.finalize()
    return made(dispatcher.py_func, target["module"], result, "vectorize", [info.name], [info.library])


def look_at_gufunc(function: Any, target: dict[str, Any]) -> dict[str, Any]:
    from numba import types
    from numba.np.ufunc import ufuncbuilder, wrappers

    own = function.gufunc_builder
    builder = ufuncbuilder.GUFuncBuilder(own.py_func, own.signature, targetoptions=dict(own.targetoptions))
    # The core's arrays have the dimensions of the layout, an output at least one; strides are known only in a call.
    dims = [len(term) for term in own.sin] + [max(1, len(term)) for term in own.sout]
    given = elements(argument_types(target))
    if len(given) != len(dims):
        raise Wrong(f"{target['name']} takes {len(dims)} arguments, outputs among them; {len(given)} types were given")
    shaped = tuple(types.Array(kind, count, "A") if count else kind for kind, count in zip(given, dims, strict=True))
    result = builder.add(shaped)
    wrap(own.py_func)
    info = wrappers.build_gufunc_wrapper(own.py_func, result, builder.sin, builder.sout, cache=False, is_parfors=False)
    info.library.finalize()
    return made(own.py_func, target["module"], result, "guvectorize", [info.name], [info.library])


def made(python: Any, module: str, result: Any, kind: str, roots: list[str], libraries: list[Any]) -> dict[str, Any]:
    code = python.__code__
    for library in libraries:
        library._ensure_finalized()  # until then it is optimised by halves
    return {
        "function": python.__qualname__.replace("<locals>.", ""),
        "module": module,
        "file": os.path.abspath(code.co_filename),
        "line": code.co_firstlineno,
        "signature": f"({', '.join(type_text(kind) for kind in result.signature.args)})"
        + (f" -> {type_text(result.signature.return_type)}" if str(result.signature.return_type) != "none" else ""),
        "kind": kind,
        "roots": roots,
        "object_mode": bool(result.objectmode),
        "one_step": sorted(place for library in libraries for place in lines_for_one_step(library.get_llvm_str())),
        "assembly": "\n".join(library.get_asm_str() for library in libraries),
    }


def type_text(kind: Any) -> str:
    """A type as a signature would have it: float32[:, ::1]."""
    from numba import types

    if isinstance(kind, types.Array):
        axes = [":"] * kind.ndim
        if kind.layout == "C" and axes:
            axes[-1] = "::1"
        elif kind.layout == "F" and axes:
            axes[0] = "::1"
        return f"{type_text(kind.dtype)}[{', '.join(axes)}]" if len(str(kind.dtype)) < 40 else "records"
    if isinstance(kind, types.Omitted):
        return f"{kind.value!r}"
    text = str(kind)
    return text if len(text) < 60 else re.split(r"[(\[]", text)[0].lower()


if __name__ == "__main__":
    main()
