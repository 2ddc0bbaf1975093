"""How loops are compiled: what is known of the machine, and where compiled code is kept and when it is not trusted."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import environment

import jitnet
from jitnet.kernels import jit

PACKAGE = Path(jitnet.__file__).parent


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Files of the system, in a folder of the test's; gives a function that writes one."""
    monkeypatch.setattr(jit, "Path", lambda path: tmp_path / str(path).lstrip("/"))

    def write(path, text):
        target = tmp_path / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    return write


def test_machine():
    found = jit.machine()
    assert found.cpu
    assert found.vector_bits in (128, 256, 512)
    assert 1 <= found.cores <= found.affinity
    assert found.cores_reason
    assert found.threading_layer in ("omp", "tbb", "workqueue")
    assert found.numba
    assert found.llvm
    assert jit.machine() is found


@pytest.mark.parametrize(
    ("path", "text", "quota"),
    [
        ("/sys/fs/cgroup/cpu.max", "150000 100000\n", 1.5),
        ("/sys/fs/cgroup/cpu.max", "max 100000\n", None),
        ("/sys/fs/cgroup/cpu.max", "", None),
        ("/sys/fs/cgroup/cpu.max", "nonsense here\n", None),
        ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n", 4.0),
        ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n", None),
        ("/elsewhere", "", None),
    ],
)
def test_quota_of_the_container(system, path, text, quota):
    system("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    system(path, text)
    assert jit._quota() == quota


def test_a_quota_without_its_period_is_none(system):
    system("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n")
    assert jit._quota() is None


@pytest.mark.parametrize(
    ("quota", "cores", "word"),
    [(None, 8, "affinity"), (3.0, 3, "quota"), (2.5, 2, "quota"), (0.5, 1, "quota"), (16.0, 8, "affinity")],
)
def test_the_smaller_of_cores_and_quota_binds(monkeypatch, quota, cores, word):
    monkeypatch.setattr(jit, "_quota", lambda: quota)
    monkeypatch.setattr(jit.numba.config, "NUMBA_NUM_THREADS", 8)
    found = jit.machine.__wrapped__()
    assert (found.cores, found.affinity, found.quota) == (cores, 8, quota)
    assert word in found.cores_reason


def test_the_processor_s_name(system):
    system("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Abacus 9000\nflags\t\t: fpu\n")
    assert jit._cpu_name() == "Abacus 9000"


@pytest.fixture
def copied_package(tmp_path, monkeypatch):
    """A copy of the package, whose sources the fingerprint is made from."""
    copy = tmp_path / "jitnet"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "data"))
    monkeypatch.setattr(jit, "__file__", str(copy / "kernels" / "jit.py"))
    return copy


@pytest.mark.parametrize("source", ["kernels/jit.py", "kernels/tile.py", "kernels/loss.py", "state.py", "step.py"])
def test_an_edited_source_has_a_folder_of_its_own(copied_package, source):
    before = jit._fingerprint()
    assert jit._fingerprint() == before
    path = copied_package / source
    path.write_text(path.read_text() + "\n# edited\n")
    assert jit._fingerprint() != before


def test_a_new_kernel_has_a_folder_of_its_own(copied_package):
    before = jit._fingerprint()
    (copied_package / "kernels" / "another.py").write_text("")
    assert jit._fingerprint() != before


@pytest.mark.parametrize(
    ("name", "value", "differs"),
    [
        ("NUMBA_BOUNDSCHECK", "1", True),
        ("NUMBA_CPU_FEATURES", "", True),
        ("NUMBA_NUM_THREADS", "1", False),
        ("NUMBA_CACHE_DIR", "x", False),
        ("HOME", "x", False),
    ],
)
def test_what_changes_the_code_changes_the_folder(monkeypatch, name, value, differs):
    monkeypatch.delenv(name, raising=False)
    before = jit._fingerprint()
    monkeypatch.setenv(name, value)
    assert (jit._fingerprint() != before) == differs


def test_options_are_in_the_fingerprint(monkeypatch):
    before = jit._fingerprint()
    monkeypatch.setattr(jit, "FASTMATH", {"contract"})
    assert jit._fingerprint() != before


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("JITNET_CACHE", str(tmp_path / "own"))
    folder = jit._prepare_cache()
    assert folder is not None
    assert folder.is_dir()
    assert folder.parent == tmp_path / "own"
    monkeypatch.delenv("JITNET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert jit._user_cache() == tmp_path / "jitnet" / "kernels"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert jit._user_cache() == tmp_path / "home" / ".cache" / "jitnet" / "kernels"


def test_loops_run_where_no_folder_can_be_written(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    # A folder below a file can be made by nobody, not even by root.
    code = (
        "import numpy as np; from jitnet.kernels import jit, random\n"
        "print(jit.cache_folder, jit.warm(), int(random.bits(np.uint64(0), np.uint64(0))) == 0xE220A8397B1DCDAF)"
    )
    made = environment(JITNET_CACHE=str(blocked / "below"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=made, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["None", "False", "True"], "")
    assert os.listdir(tmp_path) == ["file"]


def test_a_first_compile_that_was_broken_off_is_not_warm(monkeypatch, tmp_path):
    monkeypatch.setattr(jit, "cache_folder", tmp_path)
    (tmp_path / "step._steps-62.py311.nbi").write_text("")
    assert not jit.warm()
    jit.remember_warm()
    assert jit.warm()


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


def test_threads_are_set_for_the_next_region():
    import numba

    before = numba.get_num_threads()
    try:
        jit.set_threads(1)
        assert numba.get_num_threads() == 1
    finally:
        jit.set_threads(before)


def test_nan_is_seen_by_compiled_loops():
    """With "nnan" or "ninf" among the options `isfinite` would be folded to True, and a diverging run go unnoticed."""
    import math

    @jit.kernel
    def is_finite(value):
        return math.isfinite(value) and value == value

    assert not jit.FASTMATH & {"nnan", "ninf", "fast"}
    for value in (np.nan, np.inf, -np.inf):
        assert not is_finite(value)
    assert is_finite(1.0)


@pytest.mark.skipif(jit.machine().affinity < 2, reason="needs two cores")
def test_what_compiles_beside_is_bound_to_no_core(tmp_path):
    found = tmp_path / "cores"
    loaded = "from jitnet.kernels import tile"  # which loads the library that binds threads
    jit.compile_beside(
        f"import os; {loaded}; open({str(found)!r}, 'w').write(str(len(os.sched_getaffinity(0))))"
    ).wait()
    assert int(found.read_text()) == jit.machine().affinity
