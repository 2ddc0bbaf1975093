"""Where compiled code is stored, when it is not trusted, and that a second start compiles nothing."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest
from conftest import environment

import jitnet
from jitnet.compiler import cache
from jitnet.compiler.environment import BLOCKS
from jitnet.compiler.startup import _lock, compile_beside, when_compiling
from jitnet.machine.host import describe_machine

PACKAGE = Path(jitnet.__file__).parent


@pytest.fixture
def copied_package(tmp_path, monkeypatch):
    """A copy of the package, whose sources the fingerprint is made from."""
    copy = tmp_path / "jitnet"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "data"))
    monkeypatch.setattr(cache, "__file__", str(copy / "compiler" / "cache.py"))
    return copy


@pytest.mark.parametrize(
    "source",
    [
        "compiler/decorators.py",
        "machine/tile.py",
        "machine/blocks.py",
        "compiler/intrinsics.py",
        "config/choices.py",
        "kernels/loss.py",
        "engine/state.py",
        "engine/loop.py",
        "engine/operations.py",
    ],
)
def test_an_edited_source_has_another_folder(copied_package, source):
    before = cache._fingerprint()
    assert cache._fingerprint() == before
    path = copied_package / source
    path.write_text(path.read_text() + "\n# edited\n")
    assert cache._fingerprint() != before


@pytest.mark.parametrize("room", cache.COMPILED_ROOMS)
def test_a_new_kernel_has_another_folder(copied_package, room):
    before = cache._fingerprint()
    (copied_package / room / "another.py").write_text("")
    assert cache._fingerprint() != before


def test_every_room_that_compiles_is_in_the_fingerprint():
    """An edited function that another file calls only changes the folder's name."""
    words = ("@kernel", "@exact_kernel", "@helper", "@driver", "@linked(", "@intrinsic")
    compiled = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if any(line.startswith(words) for line in path.read_text(encoding="utf-8").splitlines())
    }
    assert {"kernels", "engine"} <= compiled
    assert compiled <= set(cache.COMPILED_ROOMS)


@pytest.mark.parametrize(
    ("name", "value", "differs"),
    [
        ("NUMBA_BOUNDSCHECK", "1", True),
        ("NUMBA_CPU_FEATURES", "", True),
        ("NUMBA_CPU_NAME", "haswell", True),
        ("NUMBA_OPT", "1", True),
        ("NUMBA_NUM_THREADS", "1", False),
        ("NUMBA_CACHE_DIR", "x", False),
        ("HOME", "x", False),
    ],
)
def test_what_changes_the_code_changes_the_folder(monkeypatch, name, value, differs):
    monkeypatch.delenv(name, raising=False)
    before = cache._fingerprint()
    monkeypatch.setenv(name, value)
    assert (cache._fingerprint() != before) == differs


def test_numbas_file_of_settings_changes_the_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = cache._fingerprint()
    (tmp_path / ".numba_config.yaml").write_text("boundscheck: 1\n")
    assert cache._fingerprint() != before


def test_each_kind_of_block_sizes_has_a_folder_of_its_own_and_helpers_have_the_same(tmp_path):
    """A process that helps to compile imports the package for itself: it must come to the same sizes and folder."""
    (other,) = {"avx2", "avx512"} - {BLOCKS}
    report = tmp_path / "helper"
    look = (
        "from jitnet.compiler import cache; from jitnet.machine import blocks; "
        "said = f'{blocks.PANEL} {blocks.TILE_UNITS} {cache.cache_folder}'"
    )
    beside = f"{look}; open({str(report)!r}, 'w').write(said)"
    code = f"{look}; print(said)\nfrom jitnet.compiler.startup import compile_beside\ncompile_beside({beside!r}).wait()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(JITNET_BLOCKS=other), check=True
    )
    panel, units, folder = done.stdout.split()
    assert report.read_text().split() == [panel, units, folder]
    assert (int(panel), int(units)) == {"avx2": (16, 16), "avx512": (32, 64)}[other]
    assert Path(folder) != cache.cache_folder


def test_unknown_block_sizes_are_refused_in_a_line(tmp_path):
    command = [sys.executable, "-m", "jitnet", "train", "--data", "digits"]
    made = environment(JITNET_BLOCKS="sse")
    done = subprocess.run(command, capture_output=True, text=True, env=made, cwd=tmp_path, check=False)
    expected = "jitnet: error: JITNET_BLOCKS=sse: expected avx2 or avx512; unset it for the sizes that fit this "
    assert (done.returncode, done.stdout, " ".join(done.stderr.split())) == (2, "", expected + "processor")


def test_options_are_in_the_fingerprint(copied_package):
    before = cache._fingerprint()
    path = copied_package / "compiler" / "decorators.py"
    source = path.read_text()
    edited = source.replace('FASTMATH = {"contract", "reassoc", "nsz"}', 'FASTMATH = {"contract"}')
    assert edited != source
    path.write_text(edited)
    assert cache._fingerprint() != before


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("JITNET_CACHE", str(tmp_path / "own"))
    folder = cache._prepare()
    assert folder is not None
    assert folder.is_dir()
    assert folder.parent == tmp_path / "own"
    monkeypatch.delenv("JITNET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache._user_cache() == tmp_path / "jitnet" / "kernels"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache._user_cache() == tmp_path / "home" / ".cache" / "jitnet" / "kernels"


def test_loops_run_where_no_folder_can_be_written(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    # A folder below a file cannot be made, not even by root. `activate` is parallel and calls a linked kernel.
    code = (
        "import numpy as np\n"
        "from jitnet.compiler import cache\n"
        "from jitnet.kernels import activation, random\n"
        "x = np.arange(-8, 8, dtype=np.float32).reshape(1, 16); out = x.copy()\n"
        "activation.apply_activation(activation.RELU, x, out, 1)\n"
        "print(cache.cache_folder, cache.all_compiled(), int(random.bits(np.uint64(0), np.uint64(0))) == "
        "0xE220A8397B1DCDAF, out.sum() == 28)"
    )
    made = environment(JITNET_CACHE=str(blocked / "below"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=made, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["None", "False", "True", "True"], "")
    assert os.listdir(tmp_path) == ["file"]


def without_writing():
    """In a process about to start: no file can be written but the tiniest, also by root; what is there can be read."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))


@pytest.mark.skipif(os.name == "nt", reason="needs a limit on what a process may write")
def test_a_cache_that_cannot_be_written_is_loaded(tmp_path):
    kept = "from jitnet.kernels.random import permutation; permutation(np.uint64(1), np.zeros(3, np.int32))"
    other = "from jitnet.kernels.random import shuffle; shuffle(np.uint64(1), np.uint64(1), np.zeros(3, np.int32))"
    code = (
        f"import numpy as np\nfrom jitnet.compiler import cache\n{kept}\n"
        "print(cache.can_keep(), sum(permutation.stats.cache_hits.values()), repr(cache.not_kept()))\n"
        f"{other}\nprint(cache.not_kept())"
    )
    made = environment(JITNET_CACHE=str(tmp_path))
    made.pop("NUMBA_DISABLE_JIT", None)
    subprocess.run([sys.executable, "-c", f"import numpy as np; {kept}"], env=made, check=True)
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env=made,
        preexec_fn=without_writing,
        check=False,
    )
    loaded, reason = done.stdout.splitlines()
    assert (done.returncode, loaded, done.stderr) == (0, "False 1 ''", "")
    assert reason.startswith(f"{tmp_path}{os.sep}")
    assert reason.endswith(": File too large")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.name == "nt", reason="needs a limit on what a process may write")
def test_the_whole_loop_is_loaded_from_a_cache_that_cannot_be_written():
    from jitnet.engine.loop import load_loop

    if not cache.can_keep():
        pytest.skip("there is no folder to store compiled code in")
    load_loop()
    code = (
        "from jitnet.compiler import cache\n"
        "from jitnet.compiler.startup import when_compiling\n"
        "from jitnet.engine.loop import load_loop\n"
        "with when_compiling(lambda: print('compiles')):\n"
        "    load_loop()\n"
        "print(cache.can_keep(), repr(cache.not_kept()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment(),
        preexec_fn=without_writing,
        timeout=120,
        check=True,
    )
    assert done.stdout == "False ''\n"


def test_a_file_that_is_broken_in_a_cache_that_cannot_be_written_is_compiled(monkeypatch, tmp_path):
    def broken(*arguments):
        raise EOFError

    class Files:
        def flush(self):
            raise PermissionError

    code = cache.CompiledCode(broken, lambda: None, lambda: None)
    code._files = Files()
    monkeypatch.setattr(cache, "cache_folder", tmp_path)
    monkeypatch.setattr(cache, "read_overload", broken)
    assert code.load_overload((), cache.numba.core.registry.cpu_target.target_context) is None


def test_a_full_disk_only_prevents_storing(monkeypatch, tmp_path):
    class Files:
        def save_overload(self, signature, data):
            raise OSError(28, "No space left on device")

    code = cache.CompiledCode(lambda: None, lambda: None, lambda: None)
    code._files = Files()
    monkeypatch.setattr(cache, "cache_folder", tmp_path)
    monkeypatch.setattr(cache, "_write_error", "")
    monkeypatch.setattr(cache, "_not_stored", False)
    assert (cache.can_keep(), cache.not_kept()) == (True, "")
    code.save_overload((), None)
    assert (cache.can_keep(), cache.not_kept()) == (False, f"{tmp_path}: No space left on device")


def test_a_first_compile_that_was_broken_off_is_not_all(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "cache_folder", tmp_path)
    (tmp_path / "loop.steps-62.py311.nbi").write_text("")
    assert not cache.all_compiled()
    cache.write_all({})
    assert cache.all_compiled()


@pytest.mark.parametrize("spoil", [lambda old: old[:-1], lambda old: old[:40] + b"?" + old[41:], lambda old: b""])
def test_stored_code_is_read_unchanged_or_not_at_all(monkeypatch, tmp_path, spoil):
    monkeypatch.setattr(cache, "cache_folder", tmp_path)
    assert cache.read_all() is None
    objects = {name: cache.ObjectCode(f"_Z{name}", name.encode() * 9) for name in ("second", "first")}
    cache.write_all(objects)
    assert list(cache.read_all().items()) == list(objects.items())
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(spoil(kept.read_bytes()))
    assert cache.read_all() is None
    assert not cache.all_compiled()


def test_a_second_start_compiles_nothing(tmp_path):
    code = (
        "import numpy as np; from jitnet.kernels.random import permutation\n"
        "permutation(np.uint64(1), np.zeros(3, np.int32))\n"
        "print(sum(permutation.stats.cache_hits.values()), sum(permutation.stats.cache_misses.values()))"
    )
    made = environment(JITNET_CACHE=str(tmp_path))
    made.pop("NUMBA_DISABLE_JIT", None)
    answers = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=made, check=True).stdout
        for _ in range(2)
    ]
    assert answers == ["0 1\n", "1 0\n"]


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [("nbi", lambda old: old[:-9]), ("nbi", lambda old: b"?" * len(old)), ("nbc", lambda old: old[: len(old) // 2])],
)
def test_what_cannot_be_read_is_compiled_again(tmp_path, kind, spoil):
    code = (
        "import numpy as np; from jitnet.kernels.random import permutation\n"
        "order = np.zeros(3, np.int32); permutation(np.uint64(1), order)\n"
        "print(sorted(order.tolist()), sum(permutation.stats.cache_misses.values()))"
    )
    made = environment(JITNET_CACHE=str(tmp_path))
    made.pop("NUMBA_DISABLE_JIT", None)

    def answer():
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=made, check=True).stdout

    first = answer()
    for path in tmp_path.rglob(f"random.permutation*.{kind}"):
        path.write_bytes(spoil(path.read_bytes()))
    assert [first, answer(), answer()] == ["[0, 1, 2] 1\n", "[0, 1, 2] 1\n", "[0, 1, 2] 0\n"]


def test_a_second_start_of_the_whole_loop_compiles_nothing():
    from jitnet.engine.loop import load_loop

    if cache.cache_folder is None:
        pytest.skip("there is no folder to store compiled code in")
    load_loop()
    code = (
        "from jitnet.compiler.startup import when_compiling\n"
        "from jitnet.engine.loop import load_loop\n"
        "with when_compiling(lambda: print('compiles')):\n"
        "    load_loop()\n"
        "from jitnet.compiler.startup import linked_functions\n"
        "from jitnet.engine.loop import steps\n"
        "print('loaded', sum(sum(each.stats.cache_hits.values()) for each in linked_functions(steps)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), timeout=120, check=True
    )
    assert done.stdout == "loaded 0\n"  # none from Numba's files: all from one file


def test_what_was_loaded_by_name_alone_can_be_called_by_what_is_compiled_later(tmp_path):
    """The compiler asks for its types then, and its code is there twice."""
    program = tmp_path / "program.py"
    program.write_text(
        "import numpy as np\n"
        "from jitnet.compiler.decorators import kernel\n"
        "from jitnet.engine.loop import load_loop\n"
        "from jitnet.kernels.memory import clear\n"
        "load_loop()\n"
        "@kernel\n"
        "def compiled_now(values):\n"
        "    clear(values, 1, values.shape[0])\n"
        "values = np.ones(5, np.float32)\n"
        "compiled_now(values)\n"
        "print(values.tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, env=environment(), timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "[1.0, 0.0, 0.0, 0.0, 0.0]\n"), done.stderr


def test_the_user_is_informed_once_before_anything_is_compiled():
    calls = []
    first, second = (numba.njit(lambda value, more=more: value + more) for more in (1, 2))
    with when_compiling(lambda: calls.append(first.signatures)):
        assert calls == []
        first(1)
        second(1)
        assert calls == [[]]
    with when_compiling(lambda: calls.append("again")):
        assert first(1) == 2
    assert len(calls) == 1


@pytest.mark.skipif(cache.cache_folder is None, reason="there is no folder to store compiled code in")
def test_a_function_is_compiled_by_one_process_or_where_nothing_can_be_locked_by_each(monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    function = numba.njit(lambda value: value)
    with _lock(function) as first, _lock(function) as second:
        assert (first, second) == (True, False)
    with _lock(function) as again:
        assert again

    def flock(descriptor, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with _lock(function) as first, _lock(function) as second:
        assert (first, second) == (True, True)


@pytest.mark.skipif(describe_machine().affinity < 2, reason="needs two cores")
def test_what_compiles_beside_is_bound_to_no_core(tmp_path):
    found = tmp_path / "cores"
    loaded = "from jitnet.machine import tile; import numba; numba.get_num_threads()"  # this binds threads
    numba.get_num_threads()
    compile_beside(f"import os; {loaded}; open({str(found)!r}, 'w').write(str(len(os.sched_getaffinity(0))))").wait()
    assert int(found.read_text()) == describe_machine().affinity
