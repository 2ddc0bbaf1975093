"""A function's profile as users see it: what is returned, and one line for all that goes wrong in the user's code."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import jitnet
from jitnet.compiler.environment import AS_FOUND
from jitnet.errors import JitnetError, UsageError
from jitnet.profile.functions import early_lines, profiling
from jitnet.profile.functions.function_profile import FunctionProfile
from jitnet.profile.functions.profiling import profile_function
from jitnet.profile.functions.worker.__main__ import _described
from jitnet.profile.functions.worker.subject import Refused, check_arguments, find
from jitnet.profile.functions.worker_process import worker_environment

MODULE = """
    import ctypes

    import numpy as np
    from numba import njit, prange

    print("printed as the module is loaded")
    strlen = ctypes.CDLL(None).strlen
    strlen.argtypes, strlen.restype = [ctypes.c_size_t], ctypes.c_size_t


    @njit(parallel=True)
    def scaled(x, out, by=2.0):
        for i in prange(x.shape[0]):
            out[i] = x[i] * by


    @njit
    def adds_up(x):
        for i in range(1, x.shape[0]):
            x[i] += x[i - 1]
        return x[-1]


    @njit
    def raises(x):
        if x.size > 3:
            raise ValueError("too many of them")
        return x


    @njit
    def untyped(x):
        return x.nothing


    @njit
    def never_ends(x):
        while x[0] >= 0:
            x[0] += 1


    @njit
    def crashes(x):
        return strlen(1) + x.size


    @njit("float64(float64[::1])")
    def declared(x):
        return x[0]


    def plain(x):
        return adds_up(x)


    def made():
        print("printed as the arguments are made")
        return np.arange(1.0, 9.0), np.zeros(8)


    class Box:
        inner = adds_up
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("users") / "theirs.py"
    path.write_text(textwrap.dedent(MODULE))
    return path


@pytest.fixture(autouse=True)
def no_second_look(monkeypatch):
    """Machine code is tested elsewhere; here it would cost a compile a test."""
    monkeypatch.setattr(profiling, "_look", lambda profile, reply, by: (None, "not requested"))
    monkeypatch.setattr(early_lines, "CORES", [])


@pytest.fixture(scope="module")
def line_of(module):
    lines = module.read_text().splitlines()
    return lambda text: next(number for number, line in enumerate(lines, 1) if text in line)


@pytest.fixture(scope="module")
def scaled(module) -> FunctionProfile:
    before = profiling._look
    profiling._look = lambda profile, reply, by: (None, "not requested")
    try:
        return profile_function(
            f"{module}:scaled", setup=f"{module}:made", flop="x.size", bytes="x.nbytes + out.nbytes", perf_map=True
        )
    finally:
        profiling._look = before


def test_a_parallel_function(scaled, module, line_of):
    assert scaled.kind == "njit, parallel"
    assert (scaled.place.file, scaled.place.line) == (str(module), line_of("def scaled"))
    assert [(each.name, each.type, each.written) for each in scaled.arguments] == [
        ("x", "float64[8] C", ""),
        ("out", "float64[8] C", "again"),
    ]
    assert scaled.signature.startswith("(array(float64, 1d, C), array(float64, 1d, C)")
    assert scaled.compile_s is not None
    assert scaled.counts[0].threads == 1
    assert all(count.calls >= 1 and min(count.samples_s) > 0 for count in scaled.counts)
    assert len(scaled.thread_shares) == scaled.threads == scaled.counts[-1].threads
    (region,) = scaled.regions
    assert region.place.line == line_of("for i in prange")
    assert region.entries == 1
    assert scaled.threading_layer
    assert (scaled.flop, scaled.bytes) == (8, 128)
    assert scaled.gflops == pytest.approx(8 / scaled.best.median_s / 1e9)
    assert scaled.samples[f"{module}:scaled on 1 thread"] == scaled.counts[0].samples_s
    assert asdict(scaled)["regions"][0]["place"]["line"] == region.place.line


def test_the_map_for_perf_names_the_function_and_its_parallel_loop(scaled, line_of):
    path = Path(scaled.perf_map)
    assert re.fullmatch(r"perf-\d+\.map", path.name)
    rows = [line.split(" ", 2) for line in path.read_text().splitlines()]
    path.unlink()
    assert all(int(address, 16) > 0 and int(size, 16) > 0 for address, size, _ in rows)
    names = [name for _, _, name in rows]
    assert "theirs.scaled" in names
    assert any(name.endswith(f"[prange_line_{line_of('for i in prange')}]") for name in names)


def test_addresses_of_symbols_are_where_the_function_is(module):
    """Read in the process itself: the address that Numba calls is in the symbol of the function's name."""
    code = f"""
        import sys
        from jitnet.profile.readable import demangle
        from jitnet.profile.functions.worker.symbols import Symbols
        symbols = Symbols()
        from numba.core.registry import cpu_target
        import numpy as np
        sys.path.insert(0, {str(module.parent)!r})
        import theirs
        theirs.adds_up(np.ones(3))
        (made,) = theirs.adds_up.overloads.values()
        engine = cpu_target.target_context.codegen()._engine
        at = made.library.get_pointer_to_function(made.fndesc.llvm_func_name)
        (symbol,) = [each for each in symbols.found(engine.get_function_address) if each.address == at]
        assert demangle(symbol.name) == "theirs.adds_up", symbol
        assert 20 < symbol.size < 2000, symbol
    """
    environment, _ = worker_environment()
    environment["PYTHONPATH"] = str(Path(jitnet.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr


def test_an_array_that_keeps_changing_is_restored(module):
    profile = profile_function(f"{module}:Box.inner", args="f8[8]")
    assert [each.written for each in profile.arguments] == ["restored"]
    assert any("was restored" in note for note in profile.notes)
    assert profile.hints == ()


@pytest.mark.parametrize(
    ("name", "expected", "line"),
    [
        ("raises", "ValueError: too many of them", "raise ValueError"),
        ("untyped", "Unknown attribute 'nothing'", "return x.nothing"),
        ("crashes", "killed by SIGSEGV", "def crashes"),
        ("never_ends", "no reply for more than 1 s", "def never_ends"),
    ],
)
def test_what_goes_wrong_in_the_users_code_is_one_line_with_its_place(module, line_of, name, expected, line):
    with pytest.raises(JitnetError) as caught:
        profile_function(f"{module}:{name}", args="f8[8]", limit_s=1 if name == "never_ends" else 60)
    assert caught.value.exit_code == 1
    assert expected in str(caught.value)
    assert f"{module}:{line_of(line)}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_plain_python_is_wrong_usage(module):
    with pytest.raises(UsageError, match=r"plain Python, not compiled; it calls .*:adds_up"):
        profile_function(f"{module}:plain", args="f8[8]")


def test_what_setup_returns_is_a_tuple_or_the_only_argument(module):
    scaled = find(f"{module}:scaled")
    with pytest.raises(Refused, match=r"^--setup m:g: returned 7, of type int; expected a tuple .* takes 2 to 3 arg"):
        check_arguments(scaled, 7, "m:g")
    with pytest.raises(Refused, match=r"^--setup m:g: returned None, of type NoneType; expected a tuple"):
        check_arguments(scaled, None, "m:g")
    with pytest.raises(Refused, match=r"takes 2 to 3 arguments, 1 given"):
        check_arguments(scaled, (7,), "m:g")
    assert check_arguments(find(f"{module}:adds_up"), 7, "m:g") == (7,)


def test_a_function_that_cannot_be_profiled_is_named_as_help_has_it(module):
    with pytest.raises(Refused, match=rf"^MODULE:FUNCTION {module}:nope: "):
        find(f"{module}:nope")


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("adds_up", None, "adds_up(x) needs arguments: pass them with --args"),
        ("declared", None, "declared for"),
        ("adds_up", (1, 2), "takes 1 argument, 2 given"),
        ("adds_up", ({1: 2.0},), "x is of type dict, which compiled code cannot take; pass a numba.typed.Dict"),
        ("adds_up", ((1, {}),), "x has an element of type dict, which compiled code cannot take"),
        ("adds_up", (object(),), "x is of type object, which compiled code cannot take; pass arrays, numbers, or"),
        ("scaled", (1,), "takes 2 to 3 arguments, 1 given"),
        ("nothing", None, "has no 'nothing'; compiled there: adds_up"),
        ("Box.outer", None, "has no 'outer'"),
        ("Box", None, "is of type type"),
        ("np.zeros", None, "is of type builtin_function_or_method"),
    ],
)
def test_what_cannot_be_profiled_says_what_is_missing(module, capsys, name, arguments, expected):
    with pytest.raises(Refused) as caught:
        check_arguments(find(f"{module}:{name}"), arguments)
    assert expected in str(caught.value)
    assert caught.value.usage


def test_a_module_that_is_not_there(module):
    with pytest.raises(Refused, match="no module 'nowhere_at_all'"):
        find("nowhere_at_all.kernels:f")


@pytest.mark.parametrize(
    ("target", "options", "expected"),
    [
        ("scaled", {}, "expected module:function"),
        ("nowhere/theirs.py:scaled", {}, "no such file"),
        ("m:f", {"args": "3", "setup": "m:g"}, "use one"),
        ("m:f", {"args": "g4[3]"}, "'g4' is not a type"),
        ("m:f", {"setup": "g"}, "--setup g"),
        ("m:f", {"flop": "open('x')"}, "--flop"),
        ("m:f", {"setup": "nowhere/g.py:g"}, "no such file"),
    ],
)
def test_wrong_usage_is_seen_before_anything_is_started(monkeypatch, target, options, expected):
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: pytest.fail("a process was started"))
    with pytest.raises(UsageError) as caught:
        profile_function(target, **options)
    assert expected in str(caught.value)


def test_the_worker_process_has_the_users_settings_and_not_ours(monkeypatch):
    monkeypatch.setenv("NUMBA_OPT", "2")
    monkeypatch.delenv("OMP_PLACES", raising=False)
    environment, bound = worker_environment()
    assert environment["NUMBA_OPT"] == "2"
    ours = {name for name, value in AS_FOUND.items() if value is None}
    assert not ours & set(environment) - {"OMP_PROC_BIND"}
    assert bound == (AS_FOUND["OMP_PROC_BIND"] is None)
    monkeypatch.setenv("OMP_PLACES", "cores")
    assert worker_environment()[1] is False


def test_a_function_whose_types_cannot_be_read_is_named(module):
    code = (
        "import json\n"
        "from jitnet.profile.functions.worker import measuring, typed_code\n"
        "def fails(state): raise KeyError('phi')\n"
        "typed_code.read_types = fails\n"
        "from jitnet.profile.functions.worker.measuring import measure\n"
        "from jitnet.profile.functions.worker.observers import observe\n"
        f"target = {f'{module}:scaled'!r}\n"
        "request = dict(target=target, args='f4[100] f4[100]', setup=None, threads=[1], perf_map=False)\n"
        "print(json.dumps(measure(request, observe(), str)['notes']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "no hints from the types of scaled: KeyError: 'phi'" in done.stdout.splitlines()[-1]


def test_the_worker_process_loads_no_room_that_changes_numba():
    code = (
        "import sys, jitnet.profile.functions.worker.__main__, jitnet.profile.functions.worker.measuring\n"
        "print(*sorted(name for name in sys.modules if name.startswith('jitnet.') and "
        "not name.startswith('jitnet.profile.functions.worker')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # These change no setting, nor do the packages of their folders, nor what reads source.
    assert done.stdout.split() == [
        *("jitnet.bench", "jitnet.bench.factors", "jitnet.bench.figures", "jitnet.compiler"),
        *("jitnet.compiler.numba_parts", "jitnet.errors"),
        *("jitnet.files", "jitnet.files.durable", "jitnet.files.lock", "jitnet.files.system"),
        *("jitnet.profile", "jitnet.profile.code", "jitnet.profile.code.assembly", "jitnet.profile.code.code_view"),
        *("jitnet.profile.code.instructions", "jitnet.profile.code.source"),
        *("jitnet.profile.ending", "jitnet.profile.functions", "jitnet.profile.functions.arguments"),
        "jitnet.profile.functions.hint_shares",
        *("jitnet.profile.functions.hints", "jitnet.profile.functions.stages"),
        *("jitnet.profile.functions.thresholds", "jitnet.profile.line_table"),
        *("jitnet.profile.loading", "jitnet.profile.readable", "jitnet.profile.users"),
        *("jitnet.profile.users.built_ufuncs", "jitnet.profile.users.callbacks"),
        "jitnet.profile.users.compiled_classes",
        *("jitnet.profile.users.generators", "jitnet.profile.users.sent_types", "jitnet.version"),
    ]


STARTS_OTHERS = """
    import os, subprocess, sys, time
    from pathlib import Path

    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path("{path}").write_text(f"{{os.getpid()}} {{started.pid}}")
    {then}
"""


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def children_of(process: int) -> list[int]:
    """The processes that one has started and that still run."""
    found = []
    for each in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            if int(each.read_text().rpartition(")")[2].split()[1]) == process:
                found.append(int(each.parent.name))
    return found


def all_end(processes: list[int]) -> bool:
    ends = time.monotonic() + 10
    while any(map(is_running, processes)) and time.monotonic() < ends:
        time.sleep(0.02)
    return not any(map(is_running, processes))


def test_what_the_users_code_has_started_ends_with_the_profile(tmp_path):
    file, pids = tmp_path / "starts.py", tmp_path / "pids"
    file.write_text(textwrap.dedent(STARTS_OTHERS.format(path=pids, then='raise ValueError("no")')))
    with pytest.raises(JitnetError, match="ValueError: no"):
        profile_function(f"{file}:f", args="3")
    assert all_end([int(each) for each in pids.read_text().split()])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel of Linux is asked for it")
def test_the_worker_process_ends_with_the_process_that_started_it(tmp_path):
    file, pids = tmp_path / "hangs.py", tmp_path / "pids"
    file.write_text(textwrap.dedent(STARTS_OTHERS.format(path=pids, then="time.sleep(60)")))
    code = (
        f"from jitnet.profile.functions.profiling import profile_function; profile_function({f'{file}:f'!r}, args='3')"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        ends = time.monotonic() + 60
        while not (pids.exists() and len(pids.read_text().split()) == 2) and time.monotonic() < ends:
            time.sleep(0.02)
        worker, other = map(int, pids.read_text().split())
        started = children_of(process.pid)
        for each in started:
            if each != worker:
                os.kill(each, signal.SIGSTOP)  # as the line view's process is while the function is timed
        process.kill()
    assert worker in started
    assert all_end(started)
    os.kill(other, signal.SIGKILL)


def test_an_array_of_objects_and_the_call_that_has_no_types_are_named():
    import numba
    from numba import njit

    @njit
    def adds(x):
        return x + "a"

    for argument, expected in (
        (np.array([object()]), "TypingError: an array of Python objects cannot be compiled for; convert it to numbers"),
        (3, "found for signature: add(int64, Literal[str](a))"),
    ):
        with pytest.raises(numba.TypingError) as caught:
            adds(argument)
        assert expected in _described(caught.value)
    with pytest.raises(numba.errors.NumbaError) as caught:
        adds(np.ma.ones(2))
    text = _described(caught.value)
    assert re.search(r": numpy\.ma\.MaskedArray \(", text), "no full stop before what follows"
    assert __file__ in text, "a place in the user's code, and not in Python's"
