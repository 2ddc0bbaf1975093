"""The table of a module's compiled functions: which there are, for which types, and what became of their loops."""

import textwrap
from pathlib import Path

import pytest

from jitnet.errors import JitnetError, UsageError
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


    @cfunc("float64(float64)")
    def callback(x):
        return x + 1


    class Box:
        @staticmethod
        @njit
        def inner(x):
            return x


    again = lazy


    def plain(x):
        return x
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("users")
    (folder / "pkg").mkdir()
    (folder / "pkg/__init__.py").write_text("from pkg.loops import lazy\n")
    (folder / "pkg/other.py").write_text("from numba import njit\n\n@njit\ndef imported(x):\n    return x\n")
    (folder / "pkg/loops.py").write_text(textwrap.dedent(MODULE))
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
    assert signatures["takes_two"] == signatures["Counter.add"] == [], "not compiled yet, and --args has one argument"
    asked = {each.name for each in found.functions for one in each.compiled if one.asked}
    assert asked == {"lazy", "untyped", "Box.inner"}


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
    assert by_name["callback"].compiled[0].reason == "a callback is not read"


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


def test_what_fails_for_each_function_alike_is_not_tried_for_all(folder, monkeypatch):
    asked = []

    def fails(targets, **options):
        asked.append(len(targets))
        raise JitnetError("the module cannot be imported")

    monkeypatch.setattr(module_table, "look", fails)
    found = profile_module(str(folder / "pkg/loops.py"), args="f8[100]")
    reasons = {one.reason for each in found.functions for one in each.compiled if each.kind != "cfunc"}
    assert reasons == {"the module cannot be imported"}
    assert len(asked) == 2


def test_a_package_shows_what_its_modules_define(folder, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")
    monkeypatch.setattr(module_table, "look", lambda *a, **k: pytest.fail("nothing has types"))
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
