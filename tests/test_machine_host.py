"""The description of the machine, and how many threads the next region runs on."""

import numba
import pytest

from jitnet.machine import host


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Files of the system, in the test's folder; returns a function that writes one."""
    monkeypatch.setattr(host, "Path", lambda path: tmp_path / str(path).lstrip("/"))

    def write(path, text):
        target = tmp_path / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    return write


def test_machine():
    found = host.describe_machine()
    assert found.cpu
    assert found.vector_bits in (128, 256, 512)
    assert 1 <= found.cores <= found.affinity
    assert found.cores_reason
    assert found.threading_layer in ("omp", "tbb", "workqueue")
    assert found.numba
    assert found.llvm
    assert host.describe_machine() is found


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
    assert host._quota() == quota


def test_a_quota_without_its_period_is_none(system):
    system("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n")
    assert host._quota() is None


@pytest.mark.parametrize(
    ("quota", "cores", "word"),
    [(None, 8, "affinity"), (3.0, 3, "quota"), (2.5, 2, "quota"), (0.5, 1, "quota"), (16.0, 8, "affinity")],
)
def test_the_smaller_of_cores_and_quota_is_the_limit(monkeypatch, quota, cores, word):
    monkeypatch.setattr(host, "_quota", lambda: quota)
    monkeypatch.setattr(host.numba.config, "NUMBA_NUM_THREADS", 8)
    found = host.describe_machine.__wrapped__()
    assert (found.cores, found.affinity, found.quota) == (cores, 8, quota)
    assert word in found.cores_reason


def test_the_processor_s_name(system):
    system("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Abacus 9000\nflags\t\t: fpu\n")
    assert host._cpu_name() == "Abacus 9000"


def test_threads_are_set_for_the_next_region():
    before = numba.get_num_threads()
    try:
        host.set_threads(1)
        assert numba.get_num_threads() == 1
    finally:
        host.set_threads(before)
