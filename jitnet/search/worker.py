"""A worker process of `jitnet.search.local`: it trains one work after another, and reports over a pipe.

Messages to it: ("train", work, base, again), ("stop", name). From it: a tuple that begins with "ready", "report",
"finished", "failed" or "broken". It ends where the pipe does: with the process that started it, however that ended.
"""

import os
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from jitnet.errors import JitnetError
from jitnet.search.work import Work, train_work

__all__ = ["serve"]


def serve(descriptor: int) -> None:
    """Train the works that come in, until the pipe ends."""
    pipe = Connection(descriptor)
    with suppress(EOFError, OSError):
        _load(pipe)
        while True:
            kind, *content = pipe.recv()
            if kind == "train":  # a request to stop may be for a work that has ended meanwhile
                pipe.send(_train(pipe, *content))
    os._exit(0)  # nothing is left to do, and unloading would take a while


def _load(pipe: Connection) -> None:
    """Load the loops, before the first work needs them."""
    try:
        from jitnet.engine.loop import load_loop

        load_loop()
    except Exception:
        pipe.send(("broken", traceback.format_exc()))
    pipe.send(("ready",))


def _train(pipe: Connection, work: Work, base: Path, again: bool) -> tuple[object, ...]:
    """Train one work; return the message for how it ended."""
    stopped = False

    def should_stop() -> bool:
        nonlocal stopped
        try:
            while not stopped and pipe.poll():
                stopped = pipe.recv() == ("stop", work.name)
        except (EOFError, OSError):  # the process that would receive the result has ended
            stopped = True
        return stopped

    try:
        outcome = train_work(work, base, lambda report: pipe.send(("report", report)), should_stop, again=again)
    except JitnetError as error:
        return "failed", error.named(dict(work.settings.names)), type(error).__name__
    except MemoryError:
        return "failed", "out of memory: use fewer workers, or a smaller network, batch or data set", "MemoryError"
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except Exception:
        return "broken", traceback.format_exc()
    return "finished", outcome
