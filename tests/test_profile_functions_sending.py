"""Functions and arguments that are sent to a worker process: what arrives there is what was here."""

import importlib
import json
import linecache
import os
import pickle
import subprocess
import sys
import textwrap
import zipfile
from collections import namedtuple
from pathlib import Path

import numba
import numpy as np
import pytest
from numba import guvectorize, njit, vectorize
from numba.experimental import jitclass

import jitnet
from jitnet.errors import UsageError
from jitnet.profile.code.source import function_source
from jitnet.profile.functions.sending import send

Point = namedtuple("Point", "x y")
SCALE = 3.0


@njit
def scaled(x):
    return SCALE * x


@njit
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


@vectorize
def added(a, b):
    return a + scaled(b)


@guvectorize("(n)->(n)")
def doubled(x, out):
    for i in range(x.size):
        out[i] = 2 * x[i]


@njit
def six(a, b=2, c=3, d=4):
    return a, b, c, d


def adder(amount):
    @njit
    def add(x, by=1.0):
        return x + amount * by

    return add


@jitclass([("value", numba.float64)])
class Box:
    def __init__(self, value):
        self.value = value


@njit
def boxed(x):
    return Box(x).value


def received(folder: Path, names: list[str], expressions: list[str]) -> list:
    """What expressions of the functions and of `arguments` are in a fresh process that loads a folder."""
    code = f"""
        import json, runpy
        import numpy as np
        found = runpy.run_path({str(folder / "jitnet_call.py")!r})
        arguments = found["<arguments>"]()
        values = [found[name] for name in {names!r}]
        print(json.dumps([eval(text) for text in {expressions!r}]))
    """
    environment = os.environ | {"PYTHONPATH": str(Path(jitnet.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_functions_arrive_with_what_they_use(tmp_path, monkeypatch):
    """Also one that calls itself, two closures of one name, and one that can only be sent by its name."""
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 4.0)
    sent = send([scaled, fibonacci, added, doubled, adder(5), boxed, adder(6)], [1.0], {}, tmp_path)
    names = ["scaled", "fibonacci", "added", "doubled", "add", "boxed", "add_7"]
    assert [target.rpartition(":")[2] for target in sent.targets] == names
    calls = [
        *("values[0](2.0)", "values[1](10)", "values[2](1.0, 2.0)", "values[4](1.0)", "values[5](7.0)"),
        "values[6](1.0)",
        "values[3](np.arange(3.0), np.zeros(3)).tolist()",
        "values[0].py_func.__code__.co_filename",
    ]
    assert received(tmp_path, names, calls) == [8.0, 55, 9.0, 6.0, 7.0, 7.0, [0.0, 2.0, 4.0], __file__]


def test_arrays_arrive_as_they_are(tmp_path):
    """Strides, order, place in a page, what may be written, and what shares memory decide what is compiled."""
    base = np.arange(1000.0)
    frozen = np.ones(5, np.float32)
    frozen.flags.writeable = False
    records = np.zeros(4, [("a", np.int8), ("b", np.float64)])
    arrays = (
        *(base[10:20:2], base[11:21:2], base[::-1], np.asfortranarray(base[:12].reshape(3, 4)), frozen),
        *(np.broadcast_to(base[:3], (2, 3)), records["b"], np.empty((0, 3)), base[3:4].reshape(())),
    )
    send([scaled], [*arrays, (base[:2], 1)], {}, tmp_path)
    facts = (
        "[[list(a.strides) if a.size else [], list(a.shape), str(a.dtype), a.flags.c_contiguous, a.flags.f_contiguous, "
        "bool(a.flags.writeable), bool(a.flags.aligned), a.ctypes.data % 4096 if a.size else 0, a.tolist()] "
        "for a in arrays]"
    )
    arrived, shares, inside = received(
        tmp_path,
        ["scaled"],
        [
            facts.replace("arrays", "arguments[:-1]"),
            "[np.shares_memory(arguments[0], arguments[1]), np.may_share_memory(arguments[0], arguments[2]), "
            "bool(np.may_share_memory(arguments[3], arguments[2]))]",
            "np.may_share_memory(arguments[-1][0], arguments[2])",
        ],
    )
    assert arrived == json.loads(json.dumps(eval(facts, {"arrays": arrays})))
    assert shares == [False, True, False]
    assert inside


def test_what_numba_has_beside_arrays_arrives(tmp_path):
    mapping = numba.typed.Dict.empty(numba.types.int64, numba.types.float64)
    mapping[3] = 1.5
    passed = [
        numba.typed.List([1.0, 2.0]),
        mapping,
        Point(1, np.arange(3)),
        [1, 2],
        None,
        "text",
        np.float32(2),
        scaled,
    ]
    send([six], passed, {}, tmp_path)
    expressions = [
        *("list(arguments[0])", "arguments[1][3]", "arguments[2].y.tolist()", "arguments[3:6]"),
        *("type(arguments[6]).__name__", "arguments[7](2.0)"),
    ]
    assert received(tmp_path, ["six"], expressions) == [
        *([1.0, 2.0], 1.5, [0, 1, 2], [[1, 2], None, "text"]),
        *("float32", 6.0),
    ]


def test_keywords_become_positions(tmp_path):
    sent = send([six], [1], {"c": 5}, tmp_path)
    assert pickle.loads((tmp_path / "<arguments>.pickle").read_bytes()) == (1, 2, 5)
    assert sent.notes == ("b=2, its default, is passed too, since an argument after it is",)
    assert send([six], [1, 7], {"c": 5}, tmp_path).notes == ()


def test_what_may_only_be_passed_by_name_is(tmp_path):
    @njit
    def scaled_by(x, *, by, power=2):
        return by * x**power

    send([scaled_by], [1], {"by": 3}, tmp_path)
    assert pickle.loads((tmp_path / "<arguments>.pickle").read_bytes()) == {"x": 1, "by": 3}


def test_source_without_a_file_is_sent(tmp_path):
    """As in a notebook, whose cells are in no file: what needs the source finds it there."""
    source = "from numba import njit\n\n@njit\ndef cell(x):\n    return x + 1\n"
    linecache.cache["<a cell>"] = len(source), None, source.splitlines(keepends=True), "<a cell>"
    names = {"__name__": "__main__"}
    exec(compile(source, "<a cell>", "exec"), names)
    sent = send([names["cell"]], [1], {}, tmp_path)
    (text,) = received(tmp_path, ["cell"], ["__import__('inspect').getsource(values[0].py_func)"])
    assert text == "@njit\ndef cell(x):\n    return x + 1\n"
    assert "<a cell>" in sent.shown.values()
    assert sent.names == ("cell",)


def test_a_function_keeps_the_names_that_a_change_of_its_source_may_need(tmp_path):
    """As that of `x**1.5`, whose function names no root; its module does, under whatever name."""
    names = {"njit": njit, "__name__": "__main__", "anything": np, "other": json}
    exec("@njit\ndef helper(x):\n    return x\n\n@njit\ndef made(x):\n    return helper(x) ** 1.5\n", names)
    send([names["made"]], [1.0], {}, tmp_path)
    of = "(lambda f: sorted(set(f.py_func.__globals__) & {'anything', 'other', 'njit'}))"
    helper = "values[0].py_func.__globals__['helper']"
    assert received(tmp_path, ["made"], [f"{of}(values[0])", f"{of}({helper})"]) == [["anything"], ["anything"]]


def test_object_mode_finds_the_names_of_a_script(tmp_path):
    """In the worker process `__main__` is another module, which has none of them."""
    names = {"njit": njit, "objmode": numba.objmode, "__name__": "__main__", "label": "mine", "other": json}
    body = "    with objmode(n='int64'):\n        n = len(other.dumps(label))\n    return n + x\n"
    exec(f"@njit\ndef made(x):\n{body}", names)
    send([names["made"]], [1], {}, tmp_path)
    assert received(tmp_path, ["made"], ["values[0](1)"]) == [7]


def test_source_that_was_edited_after_its_import_is_not_shown(tmp_path):
    """Its lines would be those of another function."""
    text = "from numba import njit\n\n\n@njit\ndef f(x):\n    return x + {}\n\n\n@njit\ndef g(x):\n    return x\n"
    path, names = tmp_path / "mine.py", {"__name__": "__main__"}
    path.write_text(text.format(1))
    exec(compile(path.read_text(), str(path), "exec"), names)
    assert send([names["f"]], [1], {}, tmp_path).notes == ()
    path.write_text(text.format(2))
    sent = send([names["f"], names["g"]], [1], {}, tmp_path)
    assert sent.notes == (f"{path} was edited after it was imported, so its lines are not shown: import it again",)
    files = [f"open(values[{at}].py_func.__code__.co_filename).read()" for at in (0, 1)]
    assert received(tmp_path, ["f", "g"], files) == ["", path.read_text()]
    path.write_text("def (:\n")
    assert len(send([names["f"]], [1], {}, tmp_path).notes) == 1


def test_source_in_a_zip_file_is_sent(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as file:
        file.writestr("zipped_loops.py", "from numba import njit\n@njit\ndef f(x):\n    return x\n")
    monkeypatch.syspath_prepend(tmp_path / "all.zip")
    module = importlib.import_module("zipped_loops")
    sent = send([module.f], [1], {}, tmp_path)
    assert sent.notes == ()
    (text,) = received(tmp_path, ["f"], ["open(values[0].py_func.__code__.co_filename).read()"])
    assert text.endswith("def f(x):\n    return x\n")


def test_source_that_is_nowhere_is_said(tmp_path):
    names = {"njit": njit, "__name__": "__main__"}
    exec("@njit\ndef made(x):\n    return x\n", names)
    sent = send([names["made"]], [1], {}, tmp_path)
    assert sent.notes == ("the source of <string> is not known",)
    assert received(tmp_path, ["made"], ["values[0](3)"]) == [3]


def plain(x):
    return x


@pytest.mark.parametrize(
    ("function", "arguments", "keywords", "expected"),
    [
        (plain, [1], {}, "plain: is plain Python, not compiled"),
        (len, [1], {}, "len: is of type builtin_function_or_method; expected a function under @njit"),
        (np.add, [1], {}, "add: is a ufunc without a reference to its Python function"),
        (six, [1], {"z": 1}, "six(a, b=2, c=3, d=4): got an unexpected keyword argument 'z'"),
        (six, [], {"b": 1}, "missing a required argument: 'a'"),
        (six, [1, (each for each in "ab")], {}, "six: b, of type generator, cannot be sent to a worker process"),
        (six, [Box(1.0)], {}, "six: a, of type Box, cannot be sent to a worker process"),
    ],
)
def test_what_cannot_be_sent_is_one_line(tmp_path, function, arguments, keywords, expected):
    with pytest.raises(UsageError) as caught:
        send([function], arguments, keywords, tmp_path)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_function_with_what_cannot_be_pickled_and_without_a_module(tmp_path):
    @jitclass([("value", numba.float64)])
    class Inner:
        def __init__(self, value):
            self.value = value

    @njit
    def local(x):
        return Inner(x).value

    with pytest.raises(UsageError, match="local: cannot be sent to a worker process, since it uses what cannot"):
        send([local], [1.0], {}, tmp_path)


def test_a_decorated_function_inside_another_is_found_by_its_decorator():
    code = adder(1).py_func.__code__
    found = function_source(__file__, code.co_firstlineno)
    assert (found.function, found.lines[0].strip()) == ("add", "def add(x, by=1.0):")
