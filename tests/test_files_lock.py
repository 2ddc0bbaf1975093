"""A lock ends with its process, is not inherited, and excludes others."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jitnet.errors import Busy, OutputError
from jitnet.files import Lock, holder

pytestmark = pytest.mark.small

HOLD = (
    "import sys, time\nfrom pathlib import Path\nfrom jitnet.files import Lock\n"
    "with Lock(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
)


@pytest.fixture
def other(tmp_path):
    """A process that holds the lock of this folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / ".lock")], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def take(path: Path) -> None:
    with Lock(path):
        pass


def test_a_second_process_is_refused_and_the_first_named(tmp_path, other):
    with pytest.raises(Busy, match=f"^{tmp_path}: process {other.pid} is writing here; wait until it has ended"):
        take(tmp_path / ".lock")
    assert holder(tmp_path / ".lock") == other.pid
    assert issubclass(Busy, OutputError)


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_process_however_that_ends(tmp_path, other, kind):
    other.send_signal(kind)
    other.wait()
    assert (tmp_path / ".lock").exists()
    assert holder(tmp_path / ".lock") is None
    take(tmp_path / ".lock")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_it(tmp_path):
    path = tmp_path / ".lock"
    with Lock(path) as lock:
        assert (lock.notice, holder(path)) == ("", os.getpid())
        with pytest.raises(Busy, match=f"process {os.getpid()} is writing"):
            take(path)
    assert holder(path) is None
    assert list(tmp_path.iterdir()) == []
    take(path)


def test_a_forked_process_does_not_hold_it(tmp_path):
    path = tmp_path / ".lock"
    reading, writing = os.pipe()
    with Lock(path):
        child = os.fork()
        if not child:
            os.close(writing)
            os.read(reading, 1)  # until the parent has closed it
            os._exit(0)
    os.close(reading)
    try:
        take(path)
    finally:
        os.close(writing)
        os.waitpid(child, 0)


def test_a_lock_on_a_file_that_was_removed_is_none(tmp_path, monkeypatch):
    """The holder ends, and removes the file, between our opening it and locking it."""
    path, real, calls = tmp_path / ".lock", fcntl.flock, []

    def flock(descriptor, how):
        calls.append(how)
        if len(calls) == 1:
            path.unlink()
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with Lock(path):
        assert (len(calls), path.exists()) == (2, True)
        with pytest.raises(Busy):
            take(path)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, number):
    def flock(descriptor, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with Lock(tmp_path / ".lock") as lock:
        reason = os.strerror(number).lower()
        assert lock.notice == (
            f"{tmp_path}: its file system cannot lock files ({reason}); let no other process write there meanwhile"
        )
        assert holder(tmp_path / ".lock") is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        take(tmp_path / "none" / ".lock")
