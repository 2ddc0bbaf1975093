"""All that this package uses of Numba's and llvmlite's private interfaces.

Numba may rename or drop any of it in a new version. So all other modules import it from here, and `PARTS` has a line
for each: what is relied on, and what breaks without it. `missing` checks them. pyproject.toml allows the versions that
were tested.

Parts are imported at their first use, and nothing here sets Numba's environment: worker processes that run the user's
Numba code use this module too.
"""

import copy
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from jitnet.errors import JitnetError
from jitnet.files import create, write_whole, writing

__all__ = [
    "PARTS",
    "TESTED",
    "Part",
    "add_object_code",
    "address_of",
    "array_without_owner",
    "cache_of",
    "change_class",
    "close",
    "copy_dispatcher",
    "disable_cache_writes",
    "disable_execution",
    "discard_code",
    "element_pointer",
    "emptied",
    "files_of",
    "finish",
    "folded_types",
    "hoisted_arrays",
    "instance_type",
    "is_open",
    "load_threading_layer",
    "missing",
    "read_object_code",
    "read_overload",
    "register_symbol",
    "set_cache",
    "threads_have_started",
    "ufunc_dispatcher",
    "when_threads_start",
    "without_cache",
    "wrap_bounds_checks",
    "wrap_first_lines",
    "wrap_loop_bodies",
    "wrap_object_hooks",
    "wrap_statements",
]  # fmt: skip

TESTED = "0.68"
"""The version of Numba that all this was tested with."""


class Part(NamedTuple):
    """A private part of Numba or llvmlite, which a new version may change.

    name: its name in this module. place: `module:name`, a module, or one of `_EXAMPLES`. attributes: those that must
    exist, dotted. relies: what is relied on. breaks: what fails without it.
    """

    name: str
    place: str
    attributes: tuple[str, ...]
    relies: str
    breaks: str


_CODE, _LINES, _PROFILE = "jitnet's loops do not compile", "`jitnet profile` shows no lines", "`jitnet profile` fails"

PARTS = (
    # Compiling and storing jitnet's loops.
    Part(
        "cgutils",
        "numba.core.cgutils",
        (
            *("alloca_once", "alloca_once_value", "do_boundscheck", "get_null_value", "get_or_insert_function"),
            *("if_unlikely", "unpack_tuple"),
        ),
        "intrinsics call LLVM's functions and allocate on the stack with it; it writes every check of an index",
        _CODE,
    ),
    Part(
        "AttributeTemplate",
        "numba.core.typing.templates:AttributeTemplate",
        ("generic_resolve",),
        "its subclass with a `generic_resolve` types the fields of a reference",
        _CODE,
    ),
    Part(
        "intrinsics",
        "numba.core.typing.templates:_IntrinsicTemplate",
        ("generic", "get_impl_key"),
        "the code of an intrinsic is found by the argument types of the signature that it returns, and only by them",
        "variants of a tile's functions run each other's code",
    ),
    Part(
        "Dispatcher",
        "numba.core.dispatcher:Dispatcher",
        ("_compile_for_args", "add_overload", "get_call_template", "get_compile_result", "get_overload",
         "is_compiling"),
        "every compiled function is one; and its methods can be replaced",
        "linked functions are not found, and `jitnet profile` takes compiled functions for plain ones",
    ),
    Part(
        "CPUDispatcher",
        "numba.core.registry:CPUDispatcher",
        ("__call__",),
        "njit returns one, whose class may be changed to a subclass",
        "a linked function called from Python ends the process",
    ),
    Part(
        "cpu_target",
        "numba.core.registry:cpu_target",
        ("target_context.cached_internal_func", "typing_context.resolve_overload"),
        "the one compiler of this process, what it keeps of its own functions, and its choice among declared types",
        "stored machine code is not loaded",
    ),
    Part("rtsys", "numba.core.runtime:rtsys", ("initialize",), "it makes reference counting known to LLVM",
         "code from the cache ends the process"),
    Part(
        "event",
        "numba.core.event",
        ("Listener", "RecordingListener", "install_listener", "register"),
        "`numba:compile` is sent before and after each function that is compiled, not where it is loaded",
        "nothing shows that loops are being compiled, or how long that took",
    ),
    Part("caching", "numba.core.caching", ("Cache.save_overload", "_Cache.save_overload"),
         "everything that is written to a cache goes through them", "worker processes write to the user's cache"),
    Part("NullCache", "numba.core.caching:NullCache", (), "a cache without files",
         "what came from a cache cannot be compiled again"),
    Part("FunctionCache", "numba.core.caching:FunctionCache", ("_impl_class", "save_overload"),
         "its subclass may choose its folder", "nothing is stored for later starts"),
    Part("CacheFile", "numba.core.caching:IndexDataCacheFile",
         ("_data_path", "_dump", "_load_data", "_open_for_write", "_save_data", "load", "save"),
         "it writes an index, and data that it names, through these methods", "what a crash has torn is loaded"),
    Part("CacheImplementation", "numba.core.caching:CompileResultCacheImpl", ("_locator_classes",),
         "it gets the folder from these classes", "nothing is stored for later starts"),
    Part("CacheLocator", "numba.core.caching:UserProvidedCacheLocator", ("from_function", "ensure_cache_path"),
         "it is made by `from_function`, which alone checks whether its folder can be written",
         "a cache that cannot be written is not read"),
    Part(
        "files",
        "a function's cache",
        ("_guard_against_spurious_io_errors", "_load_overload", "_index_key", "_cache_file.load", "flush"),
        "a file holds the library with its object code first, and then the description",
        "nothing is stored for later starts",
    ),
    Part("dispatcher's cache", "a dispatcher", ("_cache",), "it is searched for code before anything is compiled",
         "every start compiles everything"),
    Part(
        "dispatcher's overloads",
        "a dispatcher",
        ("_can_compile", "_make_finalizer", "_reset_overloads", "add_overload", "disable_compile", "overloads",
         "targetoptions", "locals"),
        "compiled code can be removed from it, and compiled again",
        _LINES,
    ),
    Part("dispatcher's compiler", "a dispatcher", ("_compiler.fold_argument_types", "_compiler.pipeline_class"),
         "it puts arguments into the order of the parameters, with defaults included", _PROFILE),
    Part(
        "compile result",
        "a compile result",
        ("entry_point", "fndesc.llvm_func_name", "fndesc.mangled_name", "library.get_pointer_to_function",
         "library._ensure_finalized", "metadata", "objectmode", "signature", "target_context.insert_user_function",
         "target_context.remove_user_function"),
        "a function is called by the mangled name of its description",
        "a linked function is not found by those that call it",
    ),
    Part("engine", "the engine", ("_ee.add_object_file", "get_function_address"),
         "object code can be added to the process, and its functions looked up", "stored machine code is not loaded"),
    Part("arrays", "numba.core.base:BaseContext", ("make_array", "get_abi_sizeof", "get_dummy_value"),
         "an array in compiled code has `data` and `meminfo`, and `_getvalue` builds it", _CODE),
    # Threads.
    Part(
        "parallel",
        "numba.np.ufunc.parallel",
        ("_is_initialized", "_launch_threads"),
        "regions start the threads with `_launch_threads`, which sets `_is_initialized`",
        "a forked process does not know that its threads are lost and crashes, and `jitnet profile` cannot time "
        "threads",
    ),
    # `jitnet profile` of a user's function, and the line view of a loop; both in worker processes.
    Part("NumbaPickler", "numba.core.serialize:NumbaPickler", ("dispatch_table", "reducer_override"),
         "it pickles compiled functions, by value, with what they use under `__globals__`", "`jitnet.profile` fails"),
    Part("ir", "numba.core.ir", ("Assign", "Const", "Expr", "FreeVar", "Global", "SetItem", "StaticSetItem", "Var"),
         "the statements of a function in the compiler", _PROFILE),
    Part("types", "numba.core.types", ("ClassInstanceType", "ClassType", "StarArgTuple", "StarArgUniTuple", "Tuple"),
         "types of *rest are tuples of a class of their own", _PROFILE),
    Part("compute_cfg_from_blocks", "numba.core.analysis:compute_cfg_from_blocks", (),
         "it finds the loops of a function", _PROFILE),
    Part("BaseTypeInference", "numba.core.typed_passes:BaseTypeInference", ("run_pass",),
         "every function goes through it, and has its types after it", "`jitnet profile` has no hints"),
    Part("NumbaError", "numba.core.errors:NumbaError", (), "all errors of the compiler are of this class",
         "errors in a user's function are shown as a page"),
    Part("NumbaWarning", "numba.core.errors:NumbaWarning", (), "all warnings of the compiler are of this class, and "
         "may have their location as `loc`", "`jitnet profile` does not report them"),
    Part("NumbaParallelSafetyWarning", "numba.core.errors:NumbaParallelSafetyWarning", (),
         "the compiler's warning of a variable that several threads write", "`jitnet profile` misses a race"),
    Part("NumbaPerformanceWarning", "numba.core.errors:NumbaPerformanceWarning", (),
         "the compiler's warning where nothing runs in parallel", "`jitnet profile` does not report it"),
    Part("global_compiler_lock", "numba.core.compiler_lock:global_compiler_lock", (),
         "only its holder compiles", "remarks of two functions are mixed"),
    Part("DUFunc", "numba.np.ufunc.dufunc:DUFunc", (), "vectorize returns one", _PROFILE),
    Part("GUFunc", "numba.np.ufunc.gufunc:GUFunc", (), "guvectorize returns one", _PROFILE),
    Part("ufunc", "a ufunc", ("_dispatcher.py_func", "nin", "targetoptions"), "it holds its dispatcher", _PROFILE),
    Part(
        "gufunc",
        "a gufunc",
        ("gufunc_builder.nb_func", "gufunc_builder.py_func", "gufunc_builder.signature", "gufunc_builder.sin",
         "gufunc_builder.sout", "gufunc_builder.targetoptions"),
        "it holds its builder",
        _PROFILE,
    ),
    Part("UFuncBuilder", "numba.np.ufunc.ufuncbuilder:UFuncBuilder", ("add", "build_ufunc"),
         "it compiles the function of a ufunc, and builds the ufunc", _PROFILE),
    Part("GUFuncBuilder", "numba.np.ufunc.ufuncbuilder:GUFuncBuilder", ("add", "build_ufunc"),
         "the same for one on arrays", _PROFILE),
    Part("build_ufunc_wrapper", "numba.np.ufunc.ufuncbuilder:build_ufunc_wrapper", (),
         "it writes the loop around a function", _LINES),
    Part("build_gufunc_wrapper", "numba.np.ufunc.wrappers:build_gufunc_wrapper", (), "the same for one on arrays",
         _LINES),
    Part("parfor_lowering", "numba.parfors.parfor_lowering", ("_create_gufunc_for_parfor_body",),
         "it compiles the body of every `prange`, with the loop's location",
         "`jitnet profile` does not know the line of a parallel loop"),
    Part("BaseContext", "numba.core.base:BaseContext", ("DIBuilder", "enable_debuginfo", "pack_value", "unpack_value"),
         "it makes one DIBuilder for each module, where `enable_debuginfo` is set; and array elements are read and "
         "written with its `unpack_value` and `pack_value`", _LINES),
    Part("ArrayHelper", "numba.np.npyimpl:_ArrayHelper", ("_load_effective_address", "load_data", "store_data"),
         "expressions of whole arrays read and write elements with it", "`jitnet profile` counts too few bytes"),
    Part(
        "DIBuilder",
        "numba.core.debuginfo:DIBuilder",
        ("_di_compile_unit", "_di_file", "_di_location", "_di_subroutine_type", "finalize", "mark_subprogram",
         "mark_variable"),
        "its methods, each of which a subclass may replace, write a line table",
        _LINES,
    ),
    Part("CallConv", "numba.core.callconv:CPUCallConv", ("return_user_exc",),
         "errors of compiled code are raised by it, with their location",
         "`jitnet profile` does not find the line of a wrong index"),
    Part("Lower", "numba.core.lowering:Lower", ("_compute_def_location", "lower_inst", "pre_block", "pre_lower"),
         "every statement goes through it, and `loc` is its location; it finds the first line of a function", _LINES),
    Part(
        "CPUCodeLibrary",
        "numba.core.codegen:CPUCodeLibrary",
        ("_object_compiled_hook", "_object_getbuffer_hook", "add_ir_module", "get_asm_str", "get_llvm_str"),
        "it sees every module before LLVM does, and every object file that was compiled or loaded",
        _LINES,
    ),
    Part("JITCodeLibrary", "numba.core.codegen:JITCodeLibrary", ("_finalize_specific", "get_pointer_to_function"),
         "only they make executable code", "the code of another processor cannot be shown"),
    Part("CPUContext", "numba.core.cpu:CPUContext", ("get_executable",), "only it looks up addresses of compiled code",
         "the code of another processor cannot be shown"),
    Part(
        "processor",
        "llvmlite.binding.targets",
        ("FeatureMap", "get_default_triple", "get_host_cpu_features", "get_host_cpu_name", "get_process_triple"),
        "Numba reads the processor from them, at each use",
        "the code of another processor cannot be shown",
    ),
)  # fmt: skip
"""All names in `place` and `attributes` must exist in Numba; `missing` reports those that do not."""


def _example(x: Any) -> Any:
    return x


@cache
def _compiled() -> Any:
    import numba

    dispatcher = numba.njit(_example)
    dispatcher.compile((numba.types.int64,))
    return dispatcher


def _ufunc() -> Any:
    import numba

    return numba.vectorize(_example)


def _gufunc() -> Any:
    import numba

    return numba.guvectorize("(n)->(n)")(lambda x, out: None)


_EXAMPLES: dict[str, Callable[[], Any]] = {
    "a dispatcher": _compiled,
    "a compile result": lambda: next(iter(_compiled().overloads.values())),
    "a function's cache": lambda: files_of(_example),
    "the engine": lambda: _engine(),
    "a ufunc": _ufunc,
    "a gufunc": _gufunc,
}
"""Attributes of objects, which their classes do not have, are checked on these examples."""


def _found(part: Part) -> Any:
    if part.place in _EXAMPLES:
        return _EXAMPLES[part.place]()
    module, _, name = part.place.partition(":")
    return getattr(import_module(module), name) if name else import_module(module)


def __getattr__(name: str) -> Any:
    return _part(name)


def _part(name: str) -> Any:
    for part in PARTS:
        if part.name == name and part.place not in _EXAMPLES:
            try:
                value = _found(part)
            except (ImportError, AttributeError):
                raise JitnetError(f"{_describe_missing(part)}; install numba {TESTED}") from None
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _describe_missing(part: Part, attribute: str = "") -> str:
    import numba

    place = part.place.replace(":", ".") + (f".{attribute}" if attribute else "")
    return f"Numba {numba.__version__} no longer has {place}: {part.relies}; without it {part.breaks}"


def missing() -> list[str]:
    """Return a line for each part that the installed Numba does not have: what is missing, and what breaks."""
    lines = []
    for part in PARTS:
        try:
            found = _found(part)
        except (ImportError, AttributeError):
            lines.append(_describe_missing(part))
            continue
        for attribute in part.attributes:
            try:
                attrgetter(attribute)(found)
            except AttributeError:
                lines.append(_describe_missing(part, attribute))
    return lines


# Storing and loading machine code.


def _engine() -> Any:
    return _part("cpu_target").target_context.codegen()._engine


def address_of(symbol: str) -> int:
    """Return the address of a function by its symbol; 0 where there is none."""
    return int(_engine().get_function_address(symbol))


def add_object_code(code: bytes) -> None:
    """Add an object file to the process."""
    import llvmlite.binding as llvm

    _engine()._ee.add_object_file(llvm.ObjectFileRef.from_data(code))


@cache
def _files_class() -> Any:
    from numba.core import caching

    class Locator(caching.UserProvidedCacheLocator):  # type: ignore[misc]
        @classmethod
        def from_function(cls, python: Any, file: str) -> Any:
            return cls(python, file)  # without trying to write: a read-only folder can still be read

    class Implementation(caching.CompileResultCacheImpl):  # type: ignore[misc]
        _locator_classes = (Locator,)

    class Checked(caching.IndexDataCacheFile):  # type: ignore[misc]
        """Files whose content is checked when it is read: code that was torn could be loaded, and end the process.

        Data are stored with the key that they are for, since Numba writes the index that names them first.
        """

        def save(self, key: Any, data: Any) -> None:
            super().save(key, (key, data))

        def load(self, key: Any) -> Any:
            stored = super().load(key)
            return stored[1] if stored is not None and stored[0] == key else None

        def _save_data(self, name: str, data: Any) -> None:
            content = self._dump(data)
            write_whole(Path(self._data_path(name)), sha256(content).digest() + content, sync=False)

        def _load_data(self, name: str) -> Any:
            content = Path(self._data_path(name)).read_bytes()
            size = sha256().digest_size
            if sha256(memoryview(content)[size:]).digest() != content[:size]:
                raise ValueError(f"{name} is torn")
            return pickle.loads(memoryview(content)[size:])

        @contextmanager
        def _open_for_write(self, path: str) -> Iterator[BinaryIO]:
            with writing(Path(path), sync=False) as temporary, create(temporary) as file:
                yield file

    class Files(caching.FunctionCache):  # type: ignore[misc]
        _impl_class = Implementation

        def __init__(self, function: Callable[..., Any]) -> None:
            super().__init__(function)
            self._cache_file.__class__ = Checked

    return Files


def files_of(function: Callable[..., Any]) -> Any:
    """Return Numba's files for a function in `numba.config.CACHE_DIR`, which may be read-only."""
    return _files_class()(function)


def read_overload(files: Any, signature: Any, target_context: Any) -> Any:
    """Return Numba's compile result for this signature, from its file; None where there is no such file."""
    with files._guard_against_spurious_io_errors():
        return files._load_overload(signature, target_context)


def read_object_code(files: Any, signature: Any, target_context: Any) -> tuple[str, bytes] | None:
    """Return a function's symbol, and its machine code; None where there is no such file."""
    with files._guard_against_spurious_io_errors():
        found = files._cache_file.load(files._index_key(signature, target_context.codegen()))
        if found is not None:
            (_, _, (code, _)), description = found[:2]
            return description.llvm_func_name, code
    return None


def set_cache(dispatcher: Any, store: Any) -> None:
    """Let a dispatcher look for its code in `store` before it compiles."""
    dispatcher._cache = store


def cache_of(dispatcher: Any) -> Any:
    """Return what `set_cache` set."""
    return dispatcher._cache


def without_cache(dispatcher: Any) -> None:
    """Let a dispatcher compile all that is not in memory."""
    set_cache(dispatcher, _part("NullCache")())


def disable_cache_writes() -> None:
    """Let Numba load from the user's cache what modules compile when imported, and never write to it."""
    from numba.core import caching

    caching._Cache.save_overload = caching.Cache.save_overload = lambda self, signature, data: None


# A compiled function.


def change_class(dispatcher: Any, kind: Any) -> None:
    """Change a dispatcher's class to a subclass."""
    dispatcher.__class__ = kind


def register_symbol(result: Any, name: str) -> int:
    """Let all that is compiled from now on call a compiled function by this symbol; return its address."""
    by_name = copy.copy(result.fndesc)
    by_name.mangled_name = name
    result.target_context.remove_user_function(result.entry_point)
    result.target_context.insert_user_function(result.entry_point, by_name, ())
    return int(result.library.get_pointer_to_function(result.fndesc.llvm_func_name))


def is_open(dispatcher: Any) -> bool:
    """Whether a dispatcher compiles for new types, unlike one whose types were declared."""
    return bool(dispatcher._can_compile)


def folded_types(dispatcher: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the types of all parameters of a call with arguments of these types, defaults included."""
    types = _part("types")
    folded = dispatcher._compiler.fold_argument_types(kinds, {})[1]
    # Those of *rest become a tuple, whose type between compiled functions is another than from Python.
    stars = (types.StarArgTuple, types.StarArgUniTuple)
    return tuple(types.Tuple(tuple(kind)) if isinstance(kind, stars) else kind for kind in folded)


def discard_code(dispatcher: Any) -> None:
    """Discard what a dispatcher has compiled or loaded, so that it compiles again."""
    without_cache(dispatcher)
    if dispatcher.overloads:
        dispatcher._make_finalizer()()
        dispatcher._reset_overloads()
        dispatcher._can_compile = True


@contextmanager
def emptied(dispatchers: Sequence[Any]) -> Iterator[None]:
    """Let dispatchers compile again inside the `with` block, not from a cache; afterwards they have what they had.

    dispatchers: callees before callers. One whose types were declared has these again, and no others.
    """
    before = [(each, dict(each.overloads), each._can_compile, cache_of(each)) for each in dispatchers]
    try:
        for dispatcher, overloads, can_compile, _ in before:
            dispatcher._reset_overloads()
            without_cache(dispatcher)
            dispatcher._can_compile = True
            if not can_compile:
                for kinds in overloads:
                    dispatcher.compile(kinds)
                dispatcher._can_compile = False
        yield
    finally:
        for dispatcher, overloads, can_compile, cache in before:
            dispatcher._reset_overloads()
            set_cache(dispatcher, cache)
            for made in overloads.values():
                dispatcher.add_overload(made)
            dispatcher._can_compile = can_compile


def copy_dispatcher(dispatcher: Any, function: Any = None, **options: Any) -> Any:
    """Make another dispatcher with nothing compiled: of the same function with the same options, where no others are
    named."""
    return type(dispatcher)(
        function or dispatcher.py_func,
        dispatcher.locals,
        {**dispatcher.targetoptions, **options},
        pipeline_class=dispatcher._compiler.pipeline_class,
    )


def close(dispatcher: Any) -> None:
    """Let a dispatcher compile for no other types than it has, as one whose types were declared."""
    dispatcher.disable_compile()


def hoisted_arrays(compiled: Any) -> list[tuple[str, str, int]]:
    """Return the arrays that the body of a parallel loop allocates and Numba allocates before it, once for each thread:
    the name, the file and the line of each. None where the code came from a cache."""
    diagnostics = (compiled.metadata or {}).get("parfor_diagnostics")
    found = []
    for made in getattr(diagnostics, "hoist_info", {}).values():
        moved = made.get("hoisted") or []
        expressions = [each for each in moved if hasattr(each.value, "op")]
        allocators = {
            each.target.name for each in expressions if each.value.op == "getattr" and each.value.attr == "empty"
        }
        for each in expressions:
            if each.value.op == "call" and each.value.func.name in allocators:
                found.append((str(each.target.name).split(".")[0], str(each.loc.filename), int(each.loc.line)))
    return found


def instance_type(value: Any) -> Any:
    """Return the type of an instance of a compiled class; None for all other objects."""
    kind = getattr(value, "_numba_type_", None)
    return kind if isinstance(kind, _part("types").ClassInstanceType) else None


def ufunc_dispatcher(ufunc: Any) -> Any:
    """Return the dispatcher of a DUFunc."""
    return ufunc._dispatcher


def finish(library: Any) -> None:
    """Finish the optimisation of a library's code."""
    library._ensure_finalized()


def element_pointer(array: Any, indices: Any) -> Any:
    """Return the pointer to an element that an expression of whole arrays reads or writes."""
    return array._load_effective_address(indices)


def array_without_owner(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Return, in an intrinsic, an array without a reference count of its memory."""
    array = context.make_array(kind)(context, builder, value)
    array.meminfo = _part("cgutils").get_null_value(array.meminfo.type)
    return array._getvalue()


# Threads.


def threads_have_started() -> bool:
    """Whether the threads of parallel regions were started, by this process or by one that it was forked from."""
    return bool(_part("parallel")._is_initialized)


def when_threads_start(wrap: Callable[[Callable[[], None]], Callable[[], None]]) -> None:
    """Replace the function that starts the threads, which is called at each use of them, by `wrap(start)`."""
    parallel = _part("parallel")
    parallel._launch_threads = wrap(parallel._launch_threads)


def load_threading_layer(layer: str) -> None:
    """Import a layer, "omp", "tbb" or "workqueue"; ImportError where it is missing."""
    import_module(f"numba.np.ufunc.{layer}{'' if layer == 'workqueue' else 'pool'}")


# Observing Numba while it compiles.


def wrap_loop_bodies(wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace make(lowerer, parfor, …), which compiles the body of a `prange`, by `wrap(make)`."""
    lowering = _part("parfor_lowering")
    lowering._create_gufunc_for_parfor_body = wrap(lowering._create_gufunc_for_parfor_body)


def wrap_bounds_checks(wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace check(context, builder, index, extent, axis), which writes the check of an index, by `wrap(check)`."""
    utilities = _part("cgutils")
    utilities.do_boundscheck = wrap(utilities.do_boundscheck)


def wrap_statements(wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace lower(lowerer, statement), which compiles a statement, by `wrap(lower)`."""
    lowering = _part("Lower")
    lowering.lower_inst = wrap(lowering.lower_inst)


def wrap_first_lines(wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace find(lowerer), which finds the first line of a function, by `wrap(find)`."""
    lowering = _part("Lower")
    lowering._compute_def_location = wrap(lowering._compute_def_location)


def wrap_object_hooks(store: Callable[[bytes], None]) -> None:
    """Call `store` with every object file that is compiled, or loaded from a cache."""
    library = _part("CPUCodeLibrary")
    compiled, loaded = library._object_compiled_hook.__func__, library._object_getbuffer_hook.__func__

    def store_compiled(cls: Any, module: Any, content: bytes) -> None:
        store(content)
        compiled(cls, module, content)

    def store_loaded(cls: Any, module: Any) -> Any:
        content = loaded(cls, module)
        if content:
            store(content)
        return content

    library._object_compiled_hook = classmethod(store_compiled)
    library._object_getbuffer_hook = classmethod(store_loaded)


def disable_execution() -> None:
    """Compile without making executable code; calls from Python run the Python function instead."""
    library, dispatcher = _part("JITCodeLibrary"), _part("Dispatcher")

    def store(self: Any, result: Any) -> None:
        self.overloads[tuple(result.signature.args)] = result

    library._finalize_specific = lambda self: None
    library.get_pointer_to_function = lambda self, name: 0
    # Callers refer to the function by this object.
    _part("CPUContext").get_executable = lambda self, library, fndesc, env: object()
    dispatcher._compile_for_args = lambda self, *args, **kwargs: self.py_func(*args, **kwargs)
    dispatcher.add_overload = store
