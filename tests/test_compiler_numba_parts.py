"""What is used of Numba's private interface: it exists, does what is relied on, and is used in one module."""

import ast
import ctypes
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import llvmlite.binding as llvm
import numba
import numpy as np
import pytest
from conftest import environment
from numba import types
from numba.extending import intrinsic

import jitnet
from jitnet.compiler import numba_parts
from jitnet.compiler.numba_parts import PARTS, cpu_target
from jitnet.errors import JitnetError

PACKAGE = Path(jitnet.__file__).parent
NAMES = [part.name for part in PARTS]

compiled = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")


def part(name):
    return PARTS[NAMES.index(name)]


@compiled
def test_all_parts_exist():
    assert numba_parts.missing() == []


def test_each_part_has_a_unique_name_and_a_purpose():
    assert len(set(NAMES)) == len(NAMES)
    for each in PARTS:
        assert each.relies
        assert each.breaks
        assert not each.relies.endswith(".")


@compiled
@pytest.mark.parametrize(
    ("owner", "attribute", "expected"),
    [
        ("numba.core.cgutils", "alloca_once", "numba.core.cgutils.alloca_once"),
        ("numba.core.registry.CPUDispatcher", None, "numba.core.registry.CPUDispatcher"),
        ("numba.core.debuginfo.DIBuilder", "_di_file", "numba.core.debuginfo.DIBuilder._di_file"),
        ("numba.core.caching.Cache", "_index_key", "a function's cache._index_key"),
        ("numba.core.dispatcher._DispatcherBase", "_reset_overloads", "a dispatcher._reset_overloads"),
        ("numba.core.codegen.JitEngine", "get_function_address", "the engine.get_function_address"),
        ("numba.np.ufunc.parallel", "_launch_threads", "numba.np.ufunc.parallel._launch_threads"),
    ],
)
def test_a_missing_part_is_named(monkeypatch, owner, attribute, expected):
    monkeypatch.delattr(f"{owner}.{attribute}" if attribute else owner)
    lines = numba_parts.missing()
    assert lines
    for line in lines:  # more than one where several rely on it
        assert line.startswith(f"Numba {numba.__version__} no longer has ")
        assert "without it" in line
    assert any(expected in line for line in lines), lines


def test_importing_a_missing_part_raises_one_line(monkeypatch):
    monkeypatch.delattr("numba.core.registry.CPUDispatcher")
    monkeypatch.delitem(vars(numba_parts), "CPUDispatcher", raising=False)
    with pytest.raises(
        JitnetError, match=r"no longer has numba\.core\.registry\.CPUDispatcher: .*install numba 0"
    ) as expected:
        from jitnet.compiler.numba_parts import CPUDispatcher  # noqa: F401
    assert "\n" not in str(expected.value)
    with pytest.raises(AttributeError, match="nonsense"):
        numba_parts.nonsense  # noqa: B018


# What is relied on, tested. A name is a part's; each raises or returns False where the part has changed.


def change_of_class():
    class Linked(numba_parts.CPUDispatcher):
        def __call__(self, *arguments):
            return "refused"

    dispatcher = numba.njit(lambda x: x)
    numba_parts.change_class(dispatcher, Linked)
    return dispatcher(1) == "refused"


def code_by_signature():
    @intrinsic
    def number(typing, given=None):
        value = 1 if given is None or isinstance(given, types.Omitted) else 2
        mark = types.literal(7) if value == 1 else types.int64

        def codegen(context, builder, signature, arguments):
            return context.get_constant(types.int64, value)

        return types.int64(mark), codegen

    first = numba.njit(lambda: number())
    second = numba.njit(lambda: number(5))
    third = numba.njit(lambda: (number(), number(5)))
    return (first(), second(), third()) == (1, 2, (1, 2))


def code_from_objects():
    module = llvm.parse_assembly("define i64 @jitnet_tries_objects() { ret i64 42 }")
    machine = llvm.Target.from_default_triple().create_target_machine()
    numba_parts.add_object_code(machine.emit_object(module))
    address = numba_parts.address_of("jitnet_tries_objects")
    return ctypes.CFUNCTYPE(ctypes.c_int64)(address)() == 42


def calls_by_name():
    inner, name = numba.njit(lambda x: x + 1, no_cpython_wrapper=True), "jitnet.tries.names"
    inner.compile((types.int64,))
    result = inner.get_compile_result(types.int64(types.int64))
    llvm.add_symbol(name, numba_parts.register_symbol(result, name))
    outer = numba.njit(lambda x: inner(x))
    return outer(1) == 2 and name in next(iter(outer.overloads.values())).library.get_llvm_str()


def example(x):
    return x + 1


def files_hold_object_code():
    dispatcher = numba.njit(example)
    files = numba_parts.files_of(example)
    dispatcher(1)
    signature = dispatcher.nopython_signatures[0]
    files.save_overload(signature, dispatcher.overloads[signature.args])
    name, code = numba_parts.read_object_code(files, signature, cpu_target.target_context)
    again = numba_parts.read_overload(files, signature, cpu_target.target_context)
    return name == again.fndesc.llvm_func_name and (code[:4] == b"\x7fELF" or sys.platform != "linux")


def cache_is_asked():
    asked = []

    class Kept:
        def load_overload(self, signature, context):
            asked.append("load")

        def save_overload(self, signature, result):
            asked.append("save")

    dispatcher = numba.njit(lambda x: x)
    numba_parts.set_cache(dispatcher, Kept())
    dispatcher(1)
    return asked == ["load", "save"] and isinstance(numba_parts.cache_of(dispatcher), Kept)


def code_is_forgotten():
    dispatcher = numba.njit("int64(int64)")(lambda x: x)
    closed = not numba_parts.is_open(dispatcher)
    numba_parts.discard_code(dispatcher)
    return closed and numba_parts.is_open(dispatcher) and not dispatcher.overloads and dispatcher(1) == 1


def types_are_folded():
    @numba.njit
    def function(a, b=2):
        return a + b

    copied = numba_parts.copy_dispatcher(function)
    folded = numba_parts.folded_types(copied, (types.int64,))
    return folded == (types.int64, types.Omitted(2)) and copied(1) == 3


def compiling_is_announced():
    seen = []

    class Watch(numba_parts.event.Listener):
        def on_start(self, event):
            seen.append(event.data["dispatcher"])

        def on_end(self, event):
            seen.append(event.data["args"])

    dispatcher = numba.njit(lambda x: x)
    with numba_parts.event.install_listener("numba:compile", Watch()):
        dispatcher(1)
        dispatcher(1)
    return seen == [dispatcher, (types.int64,)]


def threads_are_started():
    numba.get_num_threads()
    numba_parts.load_threading_layer("workqueue")
    return numba_parts.threads_have_started()


def inference_is_passed(monkeypatch):
    seen = []
    infer = numba_parts.BaseTypeInference.run_pass

    def look(self, state):
        done = infer(self, state)
        seen.append(state.typemap["x"])
        return done

    monkeypatch.setattr(numba_parts.BaseTypeInference, "run_pass", look)
    numba.njit(lambda x: x)(1)
    return seen == [types.int64]


def bodies_are_made(monkeypatch):
    lines = []
    module = numba_parts.parfor_lowering
    before = module._create_gufunc_for_parfor_body
    monkeypatch.setattr(module, "_create_gufunc_for_parfor_body", before)

    def noting(make):
        def made(lowerer, parfor, *rest, **named):
            lines.append(parfor.loc.line)
            return make(lowerer, parfor, *rest, **named)

        return made

    numba_parts.wrap_loop_bodies(noting)

    @numba.njit(parallel=True)
    def fill(x):
        for i in numba.prange(x.size):
            x[i] = i

    fill(np.zeros(3))
    return lines == [fill.py_func.__code__.co_firstlineno + 2]


def objects_are_seen(monkeypatch):
    kept = []
    library = numba_parts.CPUCodeLibrary
    for name in ("_object_compiled_hook", "_object_getbuffer_hook"):
        monkeypatch.setattr(library, name, vars(library)[name])
    numba_parts.wrap_object_hooks(kept.append)
    # Numba has handed its hooks to LLVM when its engine was made: what is made from here on calls these.
    library._object_compiled_hook(type("Module", (), {"name": ""}), b"code")
    return kept == [b"code"]


def ufuncs_hold_functions():
    made = numba.vectorize(example)
    general = numba.guvectorize("(n)->(n)")(lambda x, out: None)
    return numba_parts.ufunc_dispatcher(made).py_func is example and general.gufunc_builder.signature == "(n)->(n)"


BEHAVIOURS = {
    "CPUDispatcher": change_of_class,
    "intrinsics": code_by_signature,
    "engine": code_from_objects,
    "compile result": calls_by_name,
    "files": files_hold_object_code,
    "dispatcher's cache": cache_is_asked,
    "dispatcher's overloads": code_is_forgotten,
    "dispatcher's compiler": types_are_folded,
    "event": compiling_is_announced,
    "parallel": threads_are_started,
    "BaseTypeInference": inference_is_passed,
    "parfor_lowering": bodies_are_made,
    "CPUCodeLibrary": objects_are_seen,
    "ufunc": ufuncs_hold_functions,
}


def gone(name, monkeypatch):
    """What no longer holds of a part, in a line; "" where it does."""
    tried, expected = BEHAVIOURS[name], part(name)
    line = f"{expected.name} ({expected.place}): no longer so: {expected.relies}; then {expected.breaks}"
    try:
        holds = tried(monkeypatch) if "monkeypatch" in tried.__code__.co_varnames else tried()
    except Exception as error:
        return f"{line} ({type(error).__name__}: {error})"
    return "" if holds else line


@compiled
@pytest.mark.parametrize("name", BEHAVIOURS)
def test_what_is_relied_on_holds(name, monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    assert gone(name, monkeypatch) == ""


@compiled
@pytest.mark.parametrize(
    ("name", "owner", "attribute", "replaced"),
    [
        ("dispatcher's cache", "numba.core.dispatcher.Dispatcher", "compile", lambda self, signature: None),
        ("parallel", "numba.np.ufunc.parallel", "_is_initialized", False),
        ("parfor_lowering", "numba.parfors.parfor_lowering", "_create_gufunc_for_parfor_body", None),
    ],
)
def test_what_no_longer_holds_is_named(name, owner, attribute, replaced, monkeypatch):
    monkeypatch.setattr(f"{owner}.{attribute}", replaced, raising=False)
    if name == "parallel":
        monkeypatch.setattr(numba, "get_num_threads", lambda: 1)
    assert gone(name, monkeypatch).startswith(f"{name} ({part(name).place}): no longer so: {part(name).relies}")


# No other module uses them.

PRIVATE = re.compile(r"\bnumba\.(core|np|cpython|parfors|misc|typed_passes)\b|\bllvmlite\.binding\.\w+\b")
TUPLES = {"_replace", "_fields", "_asdict"}  # of any NamedTuple
PYTHON = {"os._exit", "sys._getframe"}


def uses(source):
    """Places in a module that use Numba's private names: the line, and the name."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
            names = [node.value]
        elif isinstance(node, ast.Attribute):
            text = ast.unparse(node)
            names = [text]
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            above = isinstance(node.value, ast.Call) and ast.unparse(node.value) == "super()"
            hidden = node.attr.startswith("_") and not node.attr.startswith("__")
            if (hidden and not (own or above) and node.attr not in TUPLES and text not in PYTHON) or (
                node.attr == "__class__" and isinstance(node.ctx, ast.Store)
            ):
                yield node.lineno, text
        yield from ((node.lineno, name) for name in names if PRIVATE.match(name))


def test_no_other_module_uses_private_parts():
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line}: {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name != "numba_parts.py"
        for line, name in uses(path.read_text(encoding="utf-8"))
    ]
    assert not wrong, "take it from compiler/numba_parts.py:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    "line",
    [
        "from numba.core import cgutils",
        "from numba import core",
        "import numba.np.ufunc.parallel",
        "numba.core.event",
        "import_module('numba.parfors.parfor_lowering')",
        "dispatcher._can_compile = True",
        "result.library._ensure_finalized()",
        "dispatcher.__class__ = Linked",
        "from llvmlite.binding.executionengine import ExecutionEngine",
    ],
)
def test_a_private_part_is_seen(line):
    assert list(uses(f"def f():\n    {line}\n"))


@pytest.mark.parametrize(
    "line", ["from numba import njit, types", "import llvmlite.binding as llvm", "self._a = x._replace(b=1)"]
)
def test_what_is_public_is_not(line):
    assert not list(uses(line))


def test_only_tested_versions_are_allowed():
    project = PACKAGE.parent / "pyproject.toml"
    if not project.exists():
        pytest.skip("the package is installed without its sources")
    (wanted,) = (
        each for each in tomllib.loads(project.read_text())["project"]["dependencies"] if each.startswith("numba")
    )
    major, minor = map(int, numba_parts.TESTED.split("."))
    assert wanted == f"numba>={major}.{minor},<{major}.{minor + 1}"


def test_a_process_with_the_users_code_keeps_its_settings():
    code = (
        "import os, numba, sys\nbefore = dict(os.environ)\n"
        "from jitnet.compiler.numba_parts import Dispatcher, event, ir\n"
        "print(dict(os.environ) == before, 'jitnet.compiler.environment' in sys.modules)"
    )
    made = environment()
    for name in ("OMP_PROC_BIND", "NUMBA_NUM_THREADS", "NUMBA_THREADING_LAYER_PRIORITY"):
        made.pop(name, None)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=made, check=True)
    assert done.stdout == "True False\n"
    # Where Numba is not imported yet, the settings of jitnet's loops are set first.
    own = "import os, jitnet.compiler.numba_parts as parts; print('OMP_PROC_BIND' in os.environ, bool(parts.event))"
    done = subprocess.run([sys.executable, "-c", own], capture_output=True, text=True, env=made, check=True)
    assert done.stdout == "True True\n"


@compiled
def test_an_emptied_dispatcher_compiles_again_and_has_its_code_back():
    @numba.njit
    def callee(x):
        return x + 1

    @numba.njit("int64(int64)")
    def declared(x):
        return callee(x)

    assert callee(1.5) == 2.5
    before = [dict(each.overloads) for each in (callee, declared)]
    with numba_parts.emptied([callee, declared]):
        assert list(declared.overloads) == list(before[1]), "declared types are compiled again, and no others"
        assert callee.overloads[(types.int64,)] is not before[0][(types.int64,)]
        assert (types.float64,) not in callee.overloads
        assert declared(3) == 4
        with pytest.raises(TypeError, match="No matching definition"):
            declared("text")
    assert [dict(each.overloads) for each in (callee, declared)] == before
    assert (callee(1), callee(2.5), declared(3)) == (2, 3.5, 4)
