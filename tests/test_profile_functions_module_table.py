"""The table of a module's compiled functions: which there are, for which types, and what became of their loops."""

import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest

from jitnet.errors import JitnetError, UsageError
from jitnet.profile.code import look
from jitnet.profile.code.code_view import Target
from jitnet.profile.code.compiling import CompilerEnded
from jitnet.profile.functions import module_table
from jitnet.profile.functions.module_table import Compiled, JittedFunction, ModuleTable, loops_of, profile_module

MODULE = """
    import numpy as np
    from numba import cfunc, float64, guvectorize, int64, njit, vectorize
    from numba.experimental import jitclass

    from pkg.other import imported


    @njit(["float64(float64[::1])", "float32(float32[::1])"], fastmath=True)
    def declared(x):
        total = x[0] * 0
        for i in range(x.size):
            total += x[i]
        return total


    @njit
    def lazy(x, by=2.0):
        for i in range(x.size):
            x[i] *= by


    @njit
    def untyped(x):
        return x.nothing


    @njit
    def takes_two(x, y):
        return x, y


    @vectorize(["float64(float64)"])
    def half(x):
        return x / 2


    @guvectorize(["void(float64[:], float64[:])"], "(n)->()")
    def row_sum(x, out):
        out[0] = 0
        for i in range(x.size):
            out[0] += x[i]


    @jitclass([("n", int64)])
    class Counter:
        def __init__(self, n):
            self.n = n

        def add(self, k):
            self.n += k
            return self.n

        def fill(self, x):
            for i in range(x.size):
                x[i] = 1.5


    @cfunc("float64(float64)", fastmath=True)
    def callback(x):
        total = 0.0
        for i in range(int(x)):
            total += 1.5 * i
        return total


    class Box:
        @staticmethod
        @njit
        def inner(x):
            return x


    again = lazy


    def plain(x):
        return x
"""


NEVER = """
    import time

    from numba import njit
    from numba.extending import overload


    def slow():
        pass


    @overload(slow)
    def compile_slow():
        time.sleep(60)


    @njit
    def never():
        return slow()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("users")
    (folder / "pkg").mkdir()
    (folder / "pkg/__init__.py").write_text("from pkg.loops import lazy\n")
    (folder / "pkg/other.py").write_text("from numba import njit\n\n@njit\ndef imported(x):\n    return x\n")
    (folder / "pkg/loops.py").write_text(textwrap.dedent(MODULE))
    (folder / "never.py").write_text(textwrap.dedent(NEVER))
    (folder / "uses.py").write_text("from pkg.loops import lazy, declared\n")
    return folder


@pytest.fixture(scope="module")
def found(folder) -> ModuleTable:
    return profile_module(str(folder / "pkg/loops.py"), args="f8[100]")


def test_every_compiled_function_of_the_module_is_in_it_once(found, folder):
    kinds = {each.name: each.kind for each in found.functions}
    assert kinds == {
        "declared": "njit",
        "lazy": "njit",
        "untyped": "njit",
        "takes_two": "njit",
        "half": "vectorize",
        "row_sum": "guvectorize",
        "Counter.__init__": "jitclass method",
        "Counter.add": "jitclass method",
        "Counter.fill": "jitclass method",
        "callback": "cfunc",
        "Box.inner": "njit",
    }
    assert found.imported == {"pkg.other": 1}
    lines = (folder / "pkg/loops.py").read_text().splitlines()
    for each in found.functions:
        assert f"def {each.name.rpartition('.')[2]}(" in lines[each.place.line - 1]


def test_what_each_was_compiled_for(found):
    signatures = {each.name: [one.signature for one in each.compiled] for each in found.functions}
    assert signatures["declared"] == ["(float64[::1])", "(float32[::1])"]
    assert signatures["half"] == ["(float64)"]
    assert signatures["row_sum"] == ["(float64[:], float64[:])"]
    assert signatures["takes_two"] == [], "not compiled yet, and --args has one argument"
    assert signatures["Counter.fill"] == ["(Counter, float64[::1])"], "the instance, and then --args"
    assert signatures["callback"] == ["(float64)"]
    asked = {each.name for each in found.functions for one in each.compiled if one.asked}
    assert asked == {"lazy", "untyped", "Box.inner", "Counter.__init__", "Counter.add", "Counter.fill"}


def test_loops_are_vectorised_or_not_and_one_function_that_fails_hides_no_other(found):
    by_name = {each.name: each for each in found.functions}
    for one in by_name["declared"].compiled:
        (loop,) = loops_of(one.view)
        assert loop.vectorised
    (summed,) = loops_of(by_name["row_sum"].compiled[0].view)
    assert not summed.vectorised
    assert "order" in summed.reason
    (scaled,) = loops_of(by_name["lazy"].compiled[0].view)
    assert scaled.vectorised
    (failed,) = by_name["untyped"].compiled
    assert failed.view is None
    assert "nothing" in failed.reason
    (called,) = by_name["callback"].compiled
    assert (called.signature, by_name["callback"].options) == ("(float64)", "fastmath=True")
    (summed,) = loops_of(called.view)
    assert summed.vectorised, "with the options of its decorator"
    (filled,) = loops_of(by_name["Counter.fill"].compiled[0].view)
    assert filled.line == by_name["Counter.fill"].place.line + 1


def test_a_command_profiles_one_of_them(found, folder):
    assert found.commands == (f'jitnet profile {folder}/pkg/loops.py:declared --args "f8[100000]"',)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            "{}/uses.py",
            "defines no function under @njit, @vectorize or @guvectorize; it imports 2 from pkg.loops: name the module",
        ),
        ("{}/missing.py", "there is no such file"),
        ("{}/pkg/", "is a folder; expected a Python file"),
        ("nowhere_at_all.kernels", "there is no module 'nowhere_at_all'"),
        ("a-b", "expected a module, as in mypkg.kernels, or a Python file"),
    ],
)
def test_a_module_without_functions_or_none_at_all_is_one_line(folder, target, expected):
    with pytest.raises(UsageError) as caught:
        profile_module(target.format(folder))
    assert str(caught.value).startswith("MODULE ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def looked(monkeypatch, *scripts):
    """Look at three functions with workers whose replies are scripted: one script a process that is started."""
    started, left = [], list(scripts)

    class Worker:
        def __init__(self, folder, name, targets, processor, *, lines, each):
            assert each
            self.names = [target.name for target in targets]

        def replies(self, progress, function_s, ends):
            started.append(self.names)
            yield {"vector_bits": 256}
            for number, reply in enumerate(left.pop(0)):
                progress(self.names[number], number, len(self.names))
                if isinstance(reply, Exception):
                    raise reply
                yield reply

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(look, "CompilingProcess", Worker)
    monkeypatch.setattr(look, "view", lambda reply, *rest: reply["function"])
    shown = []
    found = look.look_each(
        [Target(name, "theirs.py") for name in "abc"],
        function_s=5.0,
        whole_s=100.0,
        progress=lambda what, done, total: shown.append(f"{what} {done + 1} of {total}"),
    )
    return found, started, shown


def test_one_that_fails_hides_no_other_and_nothing_is_compiled_twice_for_it(monkeypatch):
    replies = [{"function": "a"}, {"failed": "no types"}, {"function": "c"}]
    found, started, shown = looked(monkeypatch, replies)
    assert found == ["a", "no types", "c"]
    assert started == [["a", "b", "c"]]
    assert shown == ["a 1 of 3", "b 2 of 3", "c 3 of 3"]


def test_one_that_takes_too_long_or_ends_the_compiler_costs_no_other_its_view(monkeypatch):
    ended = CompilerEnded("the compiler ended without a message")
    found, started, shown = looked(monkeypatch, [TimeoutError("a")], [ended], [{"function": "c"}])
    assert found == ["it takes more than 5 s to compile", "the compiler ended without a message", "c"]
    assert started == [["a", "b", "c"], ["b", "c"], ["c"]]
    assert shown == ["a 1 of 3", "b 2 of 3", "c 3 of 3"]


def test_what_fails_for_each_function_alike_is_not_tried_for_all(monkeypatch):
    found, started, _ = looked(monkeypatch, [JitnetError("the module cannot be imported")])
    assert found == ["the module cannot be imported"] * 3
    assert len(started) == 1


def test_after_the_time_for_all_the_rest_is_not_read(monkeypatch):
    times = iter([0.0, 101.0])
    monkeypatch.setattr(look, "time", SimpleNamespace(monotonic=lambda: next(times)))
    found, started, _ = looked(monkeypatch, [{"function": "a"}, TimeoutError("b")])
    assert found == ["a", *["the 100 s for all functions were over"] * 2]
    assert len(started) == 1


def test_a_process_that_compiles_for_too_long_is_ended(folder):
    """By the clock of the process that asks."""
    (never,) = look.look_each([Target("never", str(folder / "never.py"))], function_s=0.3, whole_s=60.0)
    assert never == "it takes more than 0.3 s to compile"


def test_a_package_shows_what_its_modules_define(folder, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")
    monkeypatch.setattr(look, "CompilingProcess", lambda *a, **k: pytest.fail("nothing has types"))
    found = profile_module("pkg")
    assert [(each.name, each.compiled) for each in found.functions] == [("lazy", ())]
    assert found.commands == ("jitnet profile pkg:lazy --setup pkg:a_function_that_returns_its_arguments",)


@pytest.mark.parametrize(
    ("kind", "signature", "words"),
    [
        (
            "njit",
            "(float64[:, ::1], float32[::1, :], int64[:], int64, bool)",
            "f8[1000,1000] f4[1000,1000]F i8[100000]A 3 True",
        ),
        ("njit", "()", ""),
        ("vectorize", "(float64, float64)", "f8[100000] f8[100000]"),
        ("njit", "(UniTuple(float64, 3), float64)", None),
        ("guvectorize", "(float64[:])", None),
    ],
)
def test_words_of_args_for_a_signature(kind, signature, words):
    function = JittedFunction("f", kind, "", None, (), (Compiled(signature, False, None),))
    assert module_table._words(function) == words
