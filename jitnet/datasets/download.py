"""Downloading files over HTTP from mirrors that may be slow, broken or wrong.

A file is accepted only if its checksum matches: it is written under a temporary name, resumed where a connection broke
(or started again where a server cannot do that), and renamed at the end.
"""

import hashlib
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jitnet.datasets.dataset import Progress
from jitnet.errors import DownloadError, OutputError
from jitnet.files import create, make_folder, reopen, writing

__all__ = ["Patience", "RemoteFile", "digest", "download"]

PIECE_BYTES = 1 << 16
MAX_BYTES = 1 << 30
"""Where the size of a file is not known, more than this is rejected."""


@dataclass(frozen=True)
class RemoteFile:
    """A file by name, with its checksum (`algorithm` is one of hashlib's) and its size where that is known."""

    name: str
    algorithm: str
    digest: str
    n_bytes: int | None = None


@dataclass(frozen=True)
class Patience:
    """Time limits and retries for a mirror.

    connect_s: until it responds at all, name lookup included. stall_s: the time in which `stall_bytes` must arrive.
    attempts: how often one file is requested from a mirror that responds; pause_s: before the second, doubled each
    time.
    """

    connect_s: float = 5.0
    stall_s: float = 20.0
    stall_bytes: int = 16 << 10
    attempts: int = 4
    pause_s: float = 0.5


class _Failure(Exception):
    """What went wrong at a mirror; `final` where another attempt is useless."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


def download(
    file: RemoteFile,
    mirrors: Sequence[str],
    folder: Path,
    *,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> Path:
    """Download one file into `folder` from the first of `mirrors` (http or https addresses of folders) that has it.

    A part that one mirror delivered is resumed at the next. Returns the path of the file.
    Raises DownloadError, which names each mirror and what went wrong there, and OutputError where the folder cannot
    be written.
    """
    patience = patience or Patience()
    target = folder / file.name
    reasons: list[str] = []
    try:
        make_folder(folder)
        with writing(target) as part:
            create(part).close()
            for mirror in mirrors:
                reason = _from_mirror(file, f"{mirror.rstrip('/')}/{file.name}", part, progress, patience)
                if reason is None:
                    return target
                reasons.append(f"{mirror}: {reason}")
            raise DownloadError(f"{file.name} could not be downloaded ({'; '.join(reasons) or 'there is no mirror'})")
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written ({error.strerror or error}); set JITNET_DATA to a folder that can"
        ) from None


def _from_mirror(
    file: RemoteFile, address: str, part: Path, progress: Progress | None, patience: Patience
) -> str | None:
    """Complete `part` from one mirror; None if its checksum matches, else the reason why not."""
    reason = ""
    for attempt in range(patience.attempts):
        if attempt:
            time.sleep(patience.pause_s * 2 ** (attempt - 1))
        before = part.stat().st_size
        try:
            _receive(file, address, part, progress, patience)
        except _Failure as failure:
            reason = str(failure)
            if failure.final:
                return reason
            continue
        found = digest(part, file.algorithm)
        if found == file.digest:
            return None
        reason = f"wrong bytes: {file.algorithm} {found[:12]}…, expected {file.digest[:12]}…"
        _empty(part)
        # A file of two transfers may have been joined wrongly; one of a single transfer is wrong at its source.
        if not before:
            return reason
    return reason


def _receive(file: RemoteFile, address: str, part: Path, progress: Progress | None, patience: Patience) -> None:
    """Append to `part` what it lacks. Raises _Failure where it is not complete afterwards; received bytes are kept."""
    import http.client
    import urllib.error

    have = part.stat().st_size
    received = False
    try:
        with _open(address, have, patience) as response:
            have = _resume_at(response, have)
            length = response.headers.get("Content-Length", "")
            total = file.n_bytes or (have + int(length) if length.isdigit() else None)
            with reopen(part) as out:
                out.seek(have)
                out.truncate()
                mark_s, mark = time.monotonic(), have
                while have != file.n_bytes and (piece := _piece(response)):
                    received = True
                    out.write(piece)
                    have += len(piece)
                    if progress is not None:
                        progress(file.name, have, total)
                    if have > (file.n_bytes or MAX_BYTES):
                        out.truncate(0)
                        raise _Failure(f"sent more than the {file.n_bytes or MAX_BYTES} bytes expected", final=True)
                    now_s = time.monotonic()
                    if have - mark >= patience.stall_bytes:
                        mark_s, mark = now_s, have
                    elif now_s - mark_s > patience.stall_s:
                        raise _Failure(f"too slow: {have - mark} bytes in {now_s - mark_s:.0f} s", final=True)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            _empty(part)
        raise _Failure(
            f"responded {error.code} {error.reason}", final=error.code not in (416, 429, 500, 502, 503, 504)
        ) from None
    except (TimeoutError, urllib.error.URLError, ValueError, http.client.HTTPException) as error:
        raise _Failure(_why(error), final=not received) from None
    if total is not None and have < total:
        raise _Failure(f"stopped after {have} of {total} bytes")


def _empty(part: Path) -> None:
    with reopen(part) as out:
        out.truncate(0)


def _open(address: str, have: int, patience: Patience) -> Any:
    """The response to a request for the bytes from `have` on.

    The request runs in a separate thread, because a name lookup has no timeout.
    """
    from urllib.request import Request, urlopen

    if not address.startswith(("http://", "https://")):
        raise _Failure("is not an http:// or https:// address", final=True)
    headers = {"User-Agent": "jitnet", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    responses: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def request() -> None:
        try:
            responses.put(urlopen(Request(address, headers=headers), timeout=patience.connect_s))
        except Exception as error:
            responses.put(error)

    threading.Thread(target=request, daemon=True).start()
    try:
        response = responses.get(timeout=patience.connect_s)
    except queue.Empty:
        raise _Failure(f"no response within {patience.connect_s:g} s", final=True) from None
    if isinstance(response, Exception):
        raise response
    return response


def _resume_at(response: Any, have: int) -> int:
    """Where the bytes of a response begin: at `have` where the server resumes, at 0 where it starts again."""
    if response.status != 206:
        return 0
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    start = rest.partition("-")[0]
    if unit != "bytes" or not start.isdigit() or int(start) > have:
        raise _Failure(f"responded with a wrong range, {response.headers.get('Content-Range', '')!r}", final=True)
    return int(start)


def _piece(response: Any) -> bytes:
    """The next bytes, empty at the end or where the connection broke: the bytes before that are still usable."""
    try:
        return response.read1(PIECE_BYTES)
    except TimeoutError:
        raise
    except OSError:
        return b""


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return "timed out: no data arrived"
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return text[0].lower() + text[1:]


def digest(path: Path, algorithm: str) -> str:
    """Checksum of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
