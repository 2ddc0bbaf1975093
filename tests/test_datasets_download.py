"""Downloads from mirrors that break off, lie, are wrong, slow or away: a server on this machine plays them."""

import contextlib
import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from jitnet.datasets.download import Patience, RemoteFile, download
from jitnet.errors import DownloadError, OutputError

CONTENT = bytes(range(256)) * 2000
FILE = RemoteFile("file.bin", "sha256", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
UNSIZED = RemoteFile("file.bin", "md5", hashlib.md5(CONTENT).hexdigest())
QUICK = Patience(connect_s=0.5, stall_s=0.3, stall_bytes=1000, attempts=3, pause_s=0.01)

Behaviour = Callable[["Handler", int], None]


class Handler(BaseHTTPRequestHandler):
    """Answers by the behaviour that the first folder of the address names; `requests` keeps what was asked."""

    behaviours: ClassVar[dict[str, Behaviour]] = {}
    requests: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        name = self.path.split("/")[1]
        self.requests.append((name, self.headers["Range"]))
        turn = sum(1 for asked, _ in self.requests if asked == name)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.behaviours[name](self, turn)

    def start(self) -> int:
        """Where the client wants to begin."""
        wanted = self.headers["Range"]
        return int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0

    def answer(self, body: bytes, *, length: int | None = None, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def answer_from(self, start: int, stop: int | None = None) -> None:
        """The rest as a server that continues gives it, broken off at `stop`."""
        if not start:
            self.answer(CONTENT[:stop], length=len(CONTENT))
        else:
            where = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
            self.answer(CONTENT[start:stop], length=len(CONTENT) - start, status=206, Content_Range=where)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def mirror() -> Iterator[Callable[[str, Behaviour], str]]:
    """A function that sets up a mirror of a given behaviour and returns its address."""
    Handler.behaviours, Handler.requests = {}, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def make(name: str, behaviour: Behaviour) -> str:
        Handler.behaviours[name] = behaviour
        return f"http://127.0.0.1:{server.server_port}/{name}/"

    yield make
    server.shutdown()
    server.server_close()


def good(handler: Handler, turn: int) -> None:
    handler.answer_from(handler.start())


def breaks(handler: Handler, turn: int) -> None:
    """Gives a third of the file a time, and continues."""
    start = handler.start()
    handler.answer_from(start, start + len(CONTENT) // 3 + 1)


def breaks_and_starts_anew(handler: Handler, turn: int) -> None:
    handler.answer(CONTENT[: None if turn == 3 else 100_000], length=len(CONTENT))


def promises_less(handler: Handler, turn: int) -> None:
    start = handler.start()
    if turn == 1:
        handler.answer(CONTENT[:1000])
    else:
        handler.answer_from(start)


def promises_more(handler: Handler, turn: int) -> None:
    handler.answer(CONTENT, length=len(CONTENT) + 5000)


def wrong(handler: Handler, turn: int) -> None:
    handler.answer(CONTENT[:-1] + b"?")


def short(handler: Handler, turn: int) -> None:
    handler.answer(b"<html>Log in to the hotel's network</html>")


def endless(handler: Handler, turn: int) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(CONTENT[::-1])


def dawdles(handler: Handler, turn: int) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(CONTENT)))
    handler.end_headers()
    for i in range(100):
        handler.wfile.write(CONTENT[i : i + 1])
        handler.wfile.flush()
        time.sleep(0.05)


def falls_silent(handler: Handler, turn: int) -> None:
    handler.answer(CONTENT[:5000], length=len(CONTENT))
    time.sleep(1)


def never_answers(handler: Handler, turn: int) -> None:
    time.sleep(1)


def missing(handler: Handler, turn: int) -> None:
    handler.answer(b"", status=404)


def busy_once(handler: Handler, turn: int) -> None:
    if turn == 1:
        handler.answer(b"", status=503)
    else:
        handler.answer(CONTENT)


def wrong_range(handler: Handler, turn: int) -> None:
    if turn == 1:
        handler.answer(CONTENT[:1000], length=len(CONTENT))
    else:
        handler.answer(CONTENT, status=206, Content_Range=f"bytes 99999-{len(CONTENT)}/{len(CONTENT)}")


def wrong_rest(handler: Handler, turn: int) -> None:
    """Claims to continue, but does so with other bytes; asked anew, it gives the right ones."""
    start = handler.start()
    if turn == 1:
        handler.answer(CONTENT[:1000], length=len(CONTENT))
    elif start:
        where = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        handler.answer(b"x" * (len(CONTENT) - start), status=206, Content_Range=where)
    else:
        handler.answer(CONTENT)


@pytest.mark.parametrize("file", [FILE, UNSIZED])
@pytest.mark.parametrize(
    ("behaviour", "ranges"),
    [
        (good, [None]),
        (breaks, [None, "bytes=170667-", "bytes=341334-"]),
        (breaks_and_starts_anew, [None, "bytes=100000-", "bytes=100000-"]),
        (busy_once, [None, None]),
        (wrong_rest, [None, "bytes=1000-", None]),
    ],
)
def test_whole_in_the_end(mirror, tmp_path, behaviour, ranges, file):
    path = download(file, [mirror("m", behaviour)], tmp_path / "new", patience=QUICK)
    assert path == tmp_path / "new" / "file.bin"
    assert path.read_bytes() == CONTENT
    assert [wanted for _, wanted in Handler.requests] == ranges
    assert list(path.parent.iterdir()) == [path]


def test_a_promise_of_less_is_continued(mirror, tmp_path):
    path = download(FILE, [mirror("m", promises_less)], tmp_path, patience=QUICK)
    assert path.read_bytes() == CONTENT


def test_a_promise_of_more_is_no_matter_where_the_size_is_known(mirror, tmp_path):
    assert download(FILE, [mirror("m", promises_more)], tmp_path, patience=QUICK).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (wrong, "wrong bytes: sha256 .*expected"),
        (short, "wrong bytes|stopped after 42 of"),
        (endless, "sent more than the 512000 bytes|wrong bytes"),
        (dawdles, "too slow: .* bytes in"),
        (falls_silent, "timed out: no data arrived"),
        (never_answers, "no response within 0.5 s|timed out: no data arrived"),
        (missing, "responded 404"),
        (wrong_range, "wrong range, 'bytes 99999-"),
    ],
)
def test_the_next_mirror_is_asked(mirror, tmp_path, behaviour, reason):
    bad = mirror("bad", behaviour)
    assert download(FILE, [bad, mirror("good", good)], tmp_path / "a", patience=QUICK).read_bytes() == CONTENT
    Handler.requests.clear()
    with pytest.raises(DownloadError, match=f"file.bin could not be downloaded .*{bad}: .*{reason}") as caught:
        download(FILE, [bad], tmp_path / "b", patience=QUICK)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "b").iterdir()) == []


def test_an_unknown_size_is_taken_from_the_answer(mirror, tmp_path):
    bad = mirror("m", promises_more)
    with pytest.raises(DownloadError, match="stopped after 512000 of 517000 bytes"):
        download(UNSIZED, [bad], tmp_path, patience=QUICK)


def test_what_one_mirror_gave_is_continued_at_the_next(mirror, tmp_path):
    first = mirror(
        "first", lambda handler, turn: handler.answer_from(0, 200_000) if turn == 1 else missing(handler, turn)
    )
    path = download(FILE, [first, mirror("good", good)], tmp_path, patience=QUICK)
    assert path.read_bytes() == CONTENT
    assert Handler.requests[-1] == ("good", "bytes=200000-")


def test_every_mirror_is_named(mirror, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        addresses = [mirror("missing", missing), closed, "ftp://127.0.0.1/", mirror("wrong", wrong)]
        with pytest.raises(DownloadError) as caught:
            download(FILE, addresses, tmp_path, patience=QUICK)
    message = str(caught.value)
    for address, reason in zip(
        addresses, ("responded 404", "connection refused", "not an http://", "wrong bytes"), strict=True
    ):
        assert f"{address}: " in message
        assert reason in message


def test_progress_counts_up_to_the_whole(mirror, tmp_path):
    calls: list[tuple[str, int, int | None]] = []
    download(FILE, [mirror("m", breaks)], tmp_path, progress=lambda *call: calls.append(call), patience=QUICK)
    done = [count for _, count, _ in calls]
    assert done == sorted(done)
    assert calls[-1] == ("file.bin", len(CONTENT), len(CONTENT))


def test_an_interrupted_download_leaves_no_file(mirror, tmp_path):
    def stop(what: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(FILE, [mirror("m", good)], tmp_path, progress=stop, patience=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(mirror, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/deeper: cannot be written .*JITNET_DATA"):
        download(FILE, [mirror("m", good)], tmp_path / "file" / "deeper", patience=QUICK)
