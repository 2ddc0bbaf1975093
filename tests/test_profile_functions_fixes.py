"""The changed source: options in decorators, changes that are merged, and the diff that a user applies."""

import importlib.util
import subprocess
import textwrap

import pytest

from jitnet.profile.functions.worker.fixes import fix_of, merged, with_options
from jitnet.profile.functions.worker.remedies import Remedy, option_text
from jitnet.profile.functions.worker.rewrites import Rewrite

FASTMATH = {"fastmath": {"reassoc", "nsz"}}
BODY = "\ndef f(x):\n    return x\n"


@pytest.mark.parametrize(
    ("decorator", "options", "expected"),
    [
        ("@njit", FASTMATH, '@njit(fastmath={"nsz", "reassoc"})'),
        ("@numba.njit()", FASTMATH, '@numba.njit(fastmath={"nsz", "reassoc"})'),
        ("@jit(parallel=True)", {"parallel": False}, "@jit(parallel=False)"),
        ("@njit(cache=True, )", {"error_model": "numpy"}, '@njit(cache=True, error_model="numpy", )'),
        (
            '@njit("f8(f8)",  # declared\n      fastmath=True)',
            {"fastmath": {"nsz"}, "inline": "always"},
            '@njit("f8(f8)",  # declared\n      fastmath={"nsz"}, inline="always")',
        ),
        ('@vectorize(["f8(f8)"])  # größer', FASTMATH, '@vectorize(["f8(f8)"], fastmath={"nsz", "reassoc"})  # größer'),
        ("@other\n@njit\n@third", FASTMATH, '@other\n@njit(fastmath={"nsz", "reassoc"})\n@third'),
    ],
)
def test_options_are_written_into_the_decorator(decorator, options, expected):
    assert with_options(decorator + BODY, options) == expected + BODY


@pytest.mark.parametrize("source", [BODY.lstrip(), "@mine" + BODY, "f = njit(lambda x: x)\n", "@njit(\n"])
def test_a_decorator_that_is_not_numbas_is_left_alone(source):
    assert with_options(source, FASTMATH) is None
    assert with_options(source, {}) == source


def test_options_are_written_the_same_each_time():
    assert option_text("fastmath", {"b", "a", "c"}) == 'fastmath={"a", "b", "c"}'
    assert option_text("parallel", False) == "parallel=False"


def test_changes_of_different_lines_are_merged():
    original = "a\nb\nc\nd\ne\n"
    assert merged(original, "a\nB\nc\nd\ne\n", "a\nb\nc\nd\nE\nF\n") == "a\nB\nc\nd\nE\nF\n"
    assert merged(original, "a\nb\nd\ne\n", "new\na\nb\nc\nd\ne\n") == "new\na\nb\nd\ne\n"
    assert merged(original, "a\nB\nc\nd\ne\n", "a\nB\nc\nd\ne\n") == "a\nB\nc\nd\ne\n"


@pytest.mark.parametrize("other", ["a\nBB\nc\n", "a\nb\nC\n", "a\nc\n"])
def test_changes_of_the_same_lines_are_not(other):
    assert merged("a\nb\nc\n", "a\nB\nc\n", other) == ""


USERS = """
    import math

    def njit(function=None, **options):
        return function or (lambda f: f)

    class Holder:
        @njit
        def power(x):
            # größer
            y = x ** 3.0
            return y

    @njit(cache=True)
    def caller(x):
        return Holder.power(x)
"""
TRIAL = {"change": "both", "factor": 2.0, "low": 1.9, "high": 2.1, "difference": 0.0, "alike": True, "diff": ""}


@pytest.fixture
def users(tmp_path, monkeypatch):
    """A module of the user's, in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "theirs.py"
    path.write_text(textwrap.dedent(USERS), encoding="utf-8")
    specification = importlib.util.spec_from_file_location("theirs", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_diff_can_be_applied(users, tmp_path):
    source = "@njit\ndef power(x):\n    # größer\n    return x * x * x\n"
    rewrite = Rewrite(None, 10, "", "", "powers written as products", True, source, "")
    chosen = [
        Remedy(rewrite.change, users.Holder.power, rewrite=rewrite),
        Remedy("fastmath", users.Holder.power, FASTMATH),
        Remedy("numpy", users.caller, {"error_model": "numpy"}),
    ]
    before = (tmp_path / "theirs.py").read_bytes()
    found = fix_of(chosen, TRIAL)
    assert (tmp_path / "theirs.py").read_bytes() == before, "nothing of the user's is written"
    assert found["changes"] == ["powers written as products", "fastmath", "numpy"]
    assert found["trial"] == TRIAL
    subprocess.run(["git", "apply", "-"], input=found["diff"].encode(), check=True, cwd=tmp_path)
    text = (tmp_path / "theirs.py").read_text(encoding="utf-8")
    expected = before.decode().replace("@njit\n    def", '@njit(fastmath={"nsz", "reassoc"})\n    def')
    expected = expected.replace("        y = x ** 3.0\n        return y\n", "        return x * x * x\n")
    assert text == expected.replace("cache=True", 'cache=True, error_model="numpy"')


def test_what_the_diff_does_not_reach_is_a_remark(users):
    def undecorated(x):
        return x

    chosen = [
        Remedy("fastmath", undecorated, FASTMATH),
        Remedy("pieces of 4 iterations", users.caller, remark="call it inside `with numba.parallel_chunksize(4):`"),
    ]
    found = fix_of(chosen, TRIAL)
    assert found["diff"] == ""
    assert found["remarks"] == [
        "call it inside `with numba.parallel_chunksize(4):`",
        'compile undecorated with fastmath={"nsz", "reassoc"}',
    ]
