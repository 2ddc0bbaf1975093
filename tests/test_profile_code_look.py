"""The line view of functions whose machine code is known, for a processor that every machine compiles for."""

import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import numba
import planted_helpers
import planted_loops
import pytest

from jitnet.compiler.decorators import is_linked, plain
from jitnet.compiler.environment import AS_FOUND, HAS_AVX512
from jitnet.compiler.numba_parts import Dispatcher
from jitnet.engine.operations import OPERATIONS
from jitnet.errors import JitnetError, UsageError
from jitnet.profile.code.code_view import CodeView, Loop, Target
from jitnet.profile.code.compiling import _environment
from jitnet.profile.code.kernel_names import helper_notice, kernel_names, kernel_targets
from jitnet.profile.code.look import EarlyLook, look
from jitnet.profile.code.processors import find_processor
from jitnet.profile.users.sent_types import write_types
from jitnet.runs import as_json

FILE = planted_loops.__file__
FLOATS, DOUBLES = "float32[::1]", "float64[::1]"
PLANTED = {
    "vectorises": (FLOATS, FLOATS),
    "walks_columns": ("float32[:, ::1]", FLOATS),
    "keeps_its_order": (FLOATS, FLOATS),
    "in_threads": ("float32[:, ::1]", FLOATS),
    "calls": (DOUBLES,),
    "promotes": (FLOATS, FLOATS),
    "wraps": (FLOATS, FLOATS, "int64"),
    "allocates": (DOUBLES,),
    "copies_a_helper": (FLOATS, FLOATS),
    "without_a_loop": (FLOATS, FLOATS),
    "clipped": (FLOATS, FLOATS),
    "plain": (FLOATS,),
}


@pytest.fixture(scope="module")
def views() -> dict[str, CodeView]:
    """The planted functions, compiled for a processor with AVX2."""
    targets = [Target(name, FILE, arguments) for name, arguments in PLANTED.items()]
    expected: list[tuple[str, int, int]] = []
    found = look(targets, "haswell", progress=lambda *each: expected.append(each))
    assert [what for what, _, _ in expected][:-1] == list(PLANTED)
    assert expected[-1][1:] == (len(PLANTED), len(PLANTED))
    return {view.function: view for view in found}


def line_of(text: str, file: str = FILE, after: str = "") -> int:
    lines = Path(file).read_text().splitlines()
    start = next((n for n, line in enumerate(lines) if after and after in line), 0)
    return next(number for number, line in enumerate(lines, 1) if number > start and text in line)


def only_loop(view: CodeView) -> Loop:
    assert len(view.loops) == 1, [(loop.function, loop.line) for loop in view.loops]
    return view.loops[0]


def test_a_view_says_what_was_compiled_for_what(views):
    view = views["vectorises"]
    assert (view.signature, view.kind, view.cpu) == ("(float32[::1], float32[::1]) -> float32", "njit", "haswell")
    assert view.vector_bits == 256
    assert view.file == Path(FILE)
    assert view.sources[0].lines[0] == "def vectorises(x, y):"
    assert view.sources[0].first_line == line_of("def vectorises")


def test_a_loop_that_vectorises(views):
    loop = only_loop(views["vectorises"])
    assert (loop.line, loop.last_line) == (line_of("for i", after="def vectorises"), loop.line + 1)
    assert (loop.vectorised, loop.width, loop.interleaved, loop.reason) == (True, 8, 4, "")
    # Four vectors of eight: x is loaded, y is read by the multiply-add.
    counts = loop.counts
    assert (counts.fma_packed, counts.fma_scalar, counts.loads, counts.stores, counts.vector_bits) == (4, 0, 8, 0, 256)
    assert (counts.flop, counts.load_bytes, counts.store_bytes) == (2 * 32, 2 * 32 * 4, 0)
    assert loop.main is not None
    assert loop.main.iterations == 32
    assert loop.has_rest
    assert {body.counts.vector_bits for body in loop.bodies[1:]} <= {0, 128}
    assert [one.line for one in loop.main.instructions if one.kind == "fma"] == [loop.line + 1] * 4


def test_vectors_that_would_not_run_are_not_shown(views):
    """LLVM makes vectors here for a matrix of one column, and reports that it vectorised the loop."""
    (inner,) = [loop for loop in views["walks_columns"].loops if loop.innermost]
    assert not inner.vectorised
    assert "vectorized loop" in inner.remark
    assert "a stride of one element" in inner.reason
    assert (inner.counts.fma_packed, inner.counts.vector_bits) == (0, 0)
    assert inner.counts.fma_scalar == inner.main.iterations
    assert any(body.counts.fma_packed for body in inner.bodies)


def test_a_sum_that_keeps_its_order_says_why(views):
    loop = only_loop(views["keeps_its_order"])
    assert not loop.vectorised
    assert "reorder floating-point operations" in loop.remark
    assert "reassoc" in loop.reason
    counts = loop.counts
    assert (counts.fma_packed, counts.fma_scalar, counts.flop_packed) == (0, 0, 0)
    assert counts.flop_scalar == 2 * loop.unrolled
    assert loop.unrolled == loop.main.iterations > 1


def test_loops_inside_a_prange_are_on_their_lines(views):
    view = views["in_threads"]
    assert view.kind == "parallel"
    outer, inner = view.loops
    assert (outer.line, outer.depth, outer.parallel) == (line_of("in prange"), 1, "body")
    assert (inner.line, inner.depth, inner.parallel) == (outer.line + 2, 2, "body")
    assert inner.file == FILE
    assert "reassoc" in inner.reason
    counts = inner.counts
    assert counts.divisions == counts.square_roots == counts.flop_scalar == inner.main.iterations
    assert {one.line for one in inner.main.instructions if one.kind == "divide"} == {inner.line + 1}


def test_a_call_that_is_left_is_named(views):
    loop = only_loop(views["calls"])
    assert loop.counts.calls > 0
    assert {one.callee for one in loop.main.instructions if one.kind == "call"} == {"log"}
    assert loop.main.mca is None or "calls" in loop.main.mca.note


def test_numbers_that_become_wider(views):
    loop = only_loop(views["promotes"])
    counts = loop.counts
    # Each vector of float32 is two of float64, there and back.
    assert counts.widenings == 8
    assert counts.conversions == 16
    assert counts.flop == 32


def test_indices_that_wrap_round(views):
    loop = only_loop(views["wraps"])
    assert loop.counts.wraps > 0
    assert all(loop.counts.wraps == 0 for view in views.values() if view.function != "wraps" for loop in view.loops)


def test_memory_that_is_asked_for_in_a_loop(views):
    loop = only_loop(views["allocates"])
    assert "NRT_MemInfo_alloc_aligned" in {one.callee for one in loop.main.instructions}
    assert "NRT_MemInfo_alloc_aligned" in loop.reason


def test_a_helper_from_another_file_keeps_its_lines(views):
    view = views["copies_a_helper"]
    inner = [loop for loop in view.loops if loop.file == planted_helpers.__file__]
    assert [(loop.function, loop.line) for loop in inner] == [
        ("add_squares", line_of("for i", planted_helpers.__file__))
    ]
    assert inner[0].vectorised
    assert [source.function for source in view.sources] == ["copies_a_helper", "add_squares"]


def test_a_line_that_became_a_loop(views):
    view = views["without_a_loop"]
    lines = {loop.line for loop in view.loops}
    assert lines == {line_of("return x + y")}
    assert any(loop.vectorised for loop in view.loops)


def test_an_expression_of_whole_arrays_is_on_its_line(tmp_path):
    """Numba makes a function of it whose lines begin at 1, where another one may be."""
    file = tmp_path / "whole.py"
    file.write_text(
        "from numba import njit\n\n\ndef other(x):\n    return x\n\n\n"
        "@njit\ndef scaled(x, s):\n    a = 2.0 * s\n    return (x + 1.0) / a\n"
    )
    (view,) = look([Target("scaled", str(file), (DOUBLES, "float64"))], "haswell", analysed=False, compared=False)
    assert {(Path(loop.file), loop.line) for loop in view.loops} == {(file, 11)}


def test_the_loop_that_vectorize_makes(views):
    view = views["clipped"]
    loop = only_loop(view)
    assert view.kind == "vectorize"
    assert loop.line == line_of("def clipped")
    assert loop.vectorised
    assert (loop.counts.flop_packed, loop.main.iterations) == (loop.interleaved, loop.width * loop.interleaved)


def test_a_plain_function_and_a_while(views):
    loop = only_loop(views["plain"])
    assert loop.line == line_of("while last")
    assert not loop.vectorised
    assert loop.reason


def test_records_become_json(views):
    document = json.loads(as_json(list(views.values())))
    assert document[0]["loops"][0]["bodies"][0]["counts"]["fma_packed"] == 4


def test_the_table_of_lines_changes_nothing_here():
    (view,) = look([Target("vectorises", FILE, PLANTED["vectorises"])], analysed=False)
    assert not view.foreign
    assert view.instructions == view.plain_instructions > 0
    assert not any("changed the code" in note for note in view.notes)


@pytest.mark.parametrize("cached", [False, True])
def test_a_view_that_was_begun_before_its_types_were_known(cached):
    types = numba.types
    assembly = "\t.type plain,@function\nplain:\n\tvmovups (%rdi), %ymm0\n\tretq\n.Lfunc_end0:\n"
    with EarlyLook(Target("vectorises", FILE)) as early:
        early.pause()
        early.resume()
        early.give(write_types((types.float32[::1], types.float32[::1])))
        view = early.view({"assembly": "" if cached else assembly, "roots": ["plain"]})
    assert view.function == "vectorises"
    assert view.plain_instructions == (0 if cached else 2)
    assert any("2 without" in note for note in view.notes) is not cached


def sums_of(loop: Loop) -> int:
    """The registers that a loop's multiply-adds add to: the last of their operands."""
    return len({one.text.split(",")[-1].strip() for one in loop.main.instructions if one.kind == "fma"})


def test_kernels_for_a_processor_with_avx512(monkeypatch):
    monkeypatch.setenv("JITNET_BLOCKS", "avx2")  # only for loops that run here
    names = ("linear_forward", "sparse_forward", "textbook")
    forward, sparse, textbook = look([kernel_targets(name)[0] for name in names], "icelake-server")
    assert forward.vector_bits == 512
    assert forward.foreign
    assert any("did not run" in note for note in forward.notes)
    written = [loop for loop in forward.loops if loop.function == "linear_forward" and loop.bodies]
    deepest = max(written, key=lambda loop: loop.depth)
    # A tile of 24 sums: the block sizes of that processor, not of this one.
    assert sums_of(deepest) == 24
    assert deepest.counts.fma_packed % 24 == 0
    assert deepest.counts.vector_bits == 512
    assert {one.file.rpartition("/")[2] for one in deepest.main.instructions if one.kind == "fma"} == {"linear.py"}
    entries = [loop for loop in sparse.loops if loop.innermost and loop.counts.fma_packed]
    assert entries
    for loop in entries:
        assert (loop.counts.vector_bits, loop.counts.stores, loop.counts.fma_scalar) == (512, 0, 0)
    # One without declared types: the textbook's sum is walked down a column, a number from each row.
    (inner,) = [loop for loop in textbook.loops if loop.depth == 3]
    assert textbook.signature.startswith("(float32[:, ::1], ")
    assert (inner.function, inner.vectorised, inner.counts.vector_bits) == ("textbook", False, 0)
    assert inner.counts.fma_scalar == inner.main.iterations


def test_kernels_for_arm():
    (view,) = look(kernel_targets("linear.linear_forward"), "apple-m1", compared=False)
    deepest = max((loop for loop in view.loops if loop.bodies), key=lambda loop: loop.depth)
    # Six rows of sixteen numbers, four to a vector.
    assert deepest.counts.fma_packed % 24 == 0
    assert (deepest.counts.vector_bits, deepest.counts.fma_scalar) == (128, 0)
    assert all(one.text.startswith("fmla") for one in deepest.main.instructions if one.kind == "fma")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("linear_forwrd", "did you mean linear_forward"),
        ("forward", "linear.forward or kind_linear.forward"),
    ],
)
def test_an_unknown_kernel(name, expected):
    with pytest.raises(UsageError, match=expected):
        kernel_targets(name)


def test_names_of_kernels_can_all_be_looked_at():
    names = kernel_names()
    assert {"linear_forward", "sparse_forward", "textbook", "linear.forward", "kind_linear.forward"} <= set(names)
    assert all(len(kernel_targets(name)) == 1 for name in names)


def test_every_kernel_that_explain_names_can_be_looked_at():
    """A helper has no code of its own: what is shown is an operation that calls it, and a line says so."""
    helpers = set()
    for operation in OPERATIONS.values():
        for name in operation.kernels:
            (target,) = kernel_targets(name)
            if target.name.endswith(f".{name}"):
                assert helper_notice(name) == ""
                continue
            helpers.add(name)
            shown = target.name.rpartition(".")[2]
            assert name in OPERATIONS[shown].kernels
            assert f"--kernel {name}: a helper, copied into each loop that calls it; this is {shown}, " in (
                helper_notice(name)
            )
    assert {"layer_norm_forward", "residual_forward", "limit_norms"} <= helpers
    assert [target.name for target in kernel_targets("relu")] == ["kernels.activation.activation_forward"]
    assert helper_notice("all") == helper_notice("nothing_of_the_kind") == ""


def functions(room: str) -> dict[str, object]:
    """Every function of a room that Numba compiles, by its place in the package."""
    folder = importlib.import_module(f"jitnet.{room}").__path__
    modules = [importlib.import_module(f"jitnet.{room}.{each.name}") for each in pkgutil.iter_modules(folder)]
    return {
        f"{room}.{module.__name__.split('.')[-1]}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, Dispatcher) and value.py_func.__module__ == module.__name__
    }


def test_all_is_every_linked_function_once():
    compiled = functions("kernels") | functions("engine")
    linked = sorted(place for place, function in compiled.items() if is_linked(function))
    assert {"engine.loop.team", "engine.loop.walk", "kernels.linear.linear_forward"} <= set(linked)
    assert sorted(target.name for target in kernel_targets("all")) == linked


def test_kernels_that_python_calls_declare_their_types():
    """As many as there are arguments; whether they are right only shows when one is compiled."""
    compiled = functions("kernels") | functions("engine")
    for name in kernel_names():
        (target,) = kernel_targets(name)
        function = compiled[target.name]
        if not is_linked(function):
            assert plain(function).__code__.co_argcount == len(function.declared_types), target.name


@pytest.mark.parametrize(
    ("name", "similar"), [("icelake-servr", "icelake-server"), ("znver33", "znver3"), ("qqq", "apple-m1")]
)
def test_a_processor_that_llvm_does_not_know(name, similar):
    with pytest.raises(UsageError, match=f"--cpu {name}: LLVM knows no such processor.*{similar}"):
        find_processor(name)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target("vectorises", FILE, (FLOATS,)), r"takes \(x, y\); 1 types were given"),
        (Target("vectorises", FILE, (FLOATS, "float33")), "'float33' is not a type"),
        (Target("NOT_A_FUNCTION", FILE), "is int; expected"),
        (Target("f", "no_such_module_here"), "cannot be imported"),
    ],
    ids=["arguments", "type", "number", "module"],
)
def test_a_function_that_cannot_be_shown(target, expected):
    with pytest.raises(UsageError, match=expected):
        look([target], compared=False)


def test_a_file_inside_a_package_is_a_part_of_it(tmp_path):
    """So that its relative imports work."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "factors.py").write_text("FACTOR = 3.0\n")
    file = folder / "loops.py"
    file.write_text(
        "from numba import njit\n\nfrom .factors import FACTOR\n\n\n"
        "@njit\ndef scaled(x, y):\n    for i in range(x.shape[0]):\n        y[i] = FACTOR * x[i]\n"
    )
    (view,) = look([Target("scaled", str(file), (DOUBLES, DOUBLES))], analysed=False, compared=False)
    assert [(Path(loop.file), loop.line) for loop in view.loops] == [(file, 8)]


def test_a_function_of_nothing_but_a_docstring_has_a_view(tmp_path):
    """Numba's search for a function's first line fails there, and so would the view of all that calls it."""
    file = tmp_path / "nothing.py"
    file.write_text('from numba import njit\n\n\n@njit\ndef nothing(x):\n    """Leave x as it is."""\n')
    (view,) = look([Target("nothing", str(file), (DOUBLES,))], analysed=False, compared=False)
    assert (view.function, view.loops) == ("nothing", ())


def test_what_numba_cannot_compile_is_one_line():
    with pytest.raises(JitnetError, match="cannot compile vectorises: ") as error:
        look([Target("vectorises", FILE, ("unicode_type", FLOATS))], compared=False)
    assert "\n" not in str(error.value)
    assert not isinstance(error.value, UsageError)


def test_the_worker_does_not_change_the_users_settings(tmp_path):
    """Full vector width and a cache folder are settings for jitnet's kernels, not for the user's functions."""
    ours = _environment(tmp_path, kernels=True)
    others = _environment(tmp_path, kernels=False)
    assert ours["NUMBA_CACHE_DIR"].startswith(str(tmp_path))
    assert ("NUMBA_CPU_FEATURES" in ours) == HAS_AVX512
    for name in ("NUMBA_CACHE_DIR", "NUMBA_CPU_FEATURES", "NUMBA_CPU_NAME"):
        assert others.get(name) == AS_FOUND[name]


def test_a_function_from_numbas_cache_has_its_lines_and_nothing_is_written_there(tmp_path):
    file = tmp_path / "cached.py"
    file.write_text(
        "from numba import njit\n\n\n"
        "@njit(cache=True)\ndef inner(x, y):\n    for i in range(x.shape[0]):\n        y[i] = x[i] + y[i]\n\n\n"
        "@njit(cache=True)\ndef outer(x, y):\n    inner(x, y)\n"
    )
    run = "import cached, numpy as np\ncached.outer(np.ones(4), np.ones(4))"
    subprocess.run([sys.executable, "-c", run], cwd=tmp_path, env=_environment(tmp_path, kernels=False), check=True)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")}
    assert kept
    target = Target("outer", str(file), ("float64[::1]", "float64[::1]"))
    (view,) = look([target], analysed=False, compared=False)
    assert [(Path(loop.file), loop.line, loop.vectorised) for loop in view.loops] == [(file, 6, True)]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")} == kept
