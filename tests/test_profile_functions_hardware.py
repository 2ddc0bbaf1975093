"""The processor's counters: the structure that the kernel reads, what it refuses, and what its readings mean."""

import errno
import os
import struct

import pytest

from jitnet.profile.functions.worker import hardware
from jitnet.profile.functions.worker.hardware import Unavailable, attributes, count, samples_in, scaled

pytestmark = pytest.mark.small


class FakeCalls:
    """A function that takes a tenth of a second by its own clock."""

    def __init__(self):
        self.made = self.restored = 0

    def restore(self):
        self.restored += 1

    def one(self):
        self.made += 1
        return 0.1


def test_attributes_are_laid_out_as_linux_documents():
    made = attributes(hardware.EVENTS["cache_misses"])
    assert len(made) == 112
    kind, size, config = struct.unpack_from("=IIQ", made, 0)
    period, sample, reading, flags = struct.unpack_from("=QQQQ", made, 16)
    assert (kind, size, config) == (0, 112, 3)
    assert (period, sample, reading) == (0, 0, 3), "counting, with the times enabled and running"
    assert flags == 0b110_0001, "disabled, without the kernel and the hypervisor"
    assert not any(made[48:])
    period, sample, _, flags = struct.unpack_from("=QQQQ", attributes(0, rate=4000), 16)
    assert (period, sample, flags >> 10 & 1) == (4000, 1, 1), "a frequency of samples of the instruction pointer"


def test_a_counter_that_shared_its_place_is_scaled():
    assert scaled(struct.pack("=QQQ", 500, 100, 50)) == 1000
    assert scaled(struct.pack("=QQQ", 500, 100, 100)) == 500
    assert scaled(struct.pack("=QQQ", 0, 100, 0)) == 0


def record(kind, body):
    return struct.pack("=IHH", kind, 0, 8 + len(body)) + body


def test_samples_are_read_between_other_records():
    data = record(9, struct.pack("=Q", 111)) + record(2, b"lost....") + record(9, struct.pack("=Q", 222))
    assert list(samples_in(data)) == [111, 222]
    assert list(samples_in(data + b"\x09\0\0\0\0\0\0\0")) == [111, 222], "a record that is not whole ends it"
    assert list(samples_in(data[:20])) == [111]


def test_a_ring_buffer_is_read_over_its_end():
    page = hardware.mmap.PAGESIZE
    size = hardware.PAGES * page
    buffer = bytearray(page + size)
    data = b"".join(record(9, struct.pack("=Q", number)) for number in range(4))
    tail = size - 24
    struct.pack_into("=QQ", buffer, hardware.HEAD, 3 * size - 24 + len(data), 2 * size + tail)
    buffer[page + tail :] = data[:24]
    buffer[page : page + len(data) - 24] = data[24:]
    assert list(samples_in(hardware._records(buffer))) == [0, 1, 2, 3]
    assert hardware._records(buffer) == b"", "each record is read once"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.EACCES, "this process may not read them: kernel.perf_event_paranoid is 4, 2 or less is needed"),
        (errno.EPERM, "CAP_PERFMON"),
        (errno.ENOENT, "most virtual machines"),
        (errno.ENOSYS, "the kernel has no perf_event_open"),
        (errno.EMFILE, "perf_event_open failed: too many open files"),
    ],
)
def test_a_refusal_is_one_sentence(code, expected, monkeypatch, tmp_path):
    (tmp_path / "paranoid").write_text("4\n")
    monkeypatch.setattr(hardware, "PARANOID", tmp_path / "paranoid")

    def refused(attribute, thread):
        raise Unavailable(hardware._refusal(code))

    monkeypatch.setattr(hardware, "open_event", refused)
    calls = FakeCalls()
    found = count(calls, 0.1)
    assert expected in found["reason"]
    assert "\n" not in found["reason"]
    assert found["cycles"] is found["instructions"] is None
    assert calls.made == 0, "nothing is called for it"


def test_a_machine_without_the_call_is_named(monkeypatch):
    monkeypatch.setattr(hardware.platform, "machine", lambda: "vax")
    assert "which is not on this system" in count(FakeCalls(), 0.1)["reason"]


@pytest.fixture
def counters(monkeypatch, tmp_path):
    """Two threads whose counters have read 600 of everything; cache misses are not there. Returns the requests."""
    requests = []

    def opened(attribute, thread):
        event = struct.unpack_from("=Q", attribute, 8)[0]
        if event == hardware.EVENTS["cache_misses"]:
            raise Unavailable("there is none")
        path = tmp_path / f"{thread} {event}"
        path.write_bytes(struct.pack("=QQQ", 600 * (event + 1), 100, 100))
        return os.open(path, os.O_RDONLY)

    monkeypatch.setattr(hardware, "open_event", opened)
    monkeypatch.setattr(hardware, "_threads", lambda: [1, 2])
    monkeypatch.setattr(hardware.fcntl, "ioctl", lambda descriptor, request, value: requests.append(request))
    return requests


def test_counts_are_those_of_a_mean_call_on_all_threads(counters):
    calls = FakeCalls()
    found = count(calls, 0.25)
    assert calls.made == calls.restored == 3
    assert found["cycles"] == 2 * 600 / 3
    assert found["instructions"] == 2 * 1200 / 3
    assert found["cache_misses"] is None, "one that the processor does not have"
    assert found["reason"] == ""
    assert counters.count(hardware.ENABLE) == counters.count(hardware.DISABLE) == 3 * 6


def test_samples_are_added_up_by_loop(counters, monkeypatch):
    addresses = {0: [10, 10, 11, 90], 3: [10, 11, 11, 12]}
    monkeypatch.setattr(hardware, "_sampled", lambda calls, budget_s, event: iter(addresses[event]))
    lines = {10: [("a.py", 3)], 11: [("helper.py", 1), ("a.py", 5)], 12: [("b.py", 3)], 90: []}
    found = count(FakeCalls(), 0.1, FakeCalls(), lines.__getitem__, [("a.py", 2, 6), ("a.py", 5, 5)])
    shares = [(loop["place"]["line"], loop["cycles"], loop["cache_misses"]) for loop in found["loops"]]
    assert shares == [(2, 0.75, 0.75), (5, 0.25, 0.5)]
