"""One request in, one reply out, both JSON. Run as `python -m jitnet.profile.functions.worker REQUEST`.

A separate process, since Numba, its settings and its cache must be the user's, and `jitnet.compiler.cache` changes
them. REQUEST is written by `profiling.py`; its "channel" is the file descriptor to which lines of JSON go: {"stage": …}
on the way, once with "compiled", what `measure_and_try` knows before the first call; at the end one of {"reply": …},
{"refused": …} and {"raised": …}. Standard output belongs to the user's code.

After a reply it waits for lines of JSON on "orders", another file descriptor: {"hints": […], "left_s": …, "combined":
…}, the hints whose remedies it tries in so many seconds, and whether it also combines what helps. It sends what
`Trials.run` yields, each as {"tried": …}, and then {"done": true}.
"""

import faulthandler
import json
import os
import re
import signal
import sys
import sysconfig
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from jitnet.profile.ending import end_with_parent
from jitnet.profile.functions.worker.subject import Refused
from jitnet.profile.readable import message_lines

__all__ = ["main"]

HERE = str(Path(__file__).parents[1])


def main() -> None:
    request = json.loads(sys.argv[1])
    channel = os.fdopen(request["channel"], "w", encoding="utf-8")
    for descriptor in (channel.fileno(), request["orders"]):
        os.set_inheritable(descriptor, False)
    end_with_parent()
    # A process that the user's code forks must not keep the reader of the channel waiting.
    os.register_at_fork(after_in_child=lambda: _close(channel.fileno()))
    faulthandler.enable()
    if hasattr(faulthandler, "register"):
        faulthandler.register(signal.SIGUSR1, all_threads=False)  # by which this is asked where it is
    if request["cores"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, request["cores"])
    stage = ""

    def send(message: dict[str, Any]) -> None:
        nonlocal stage
        stage = message.get("stage", stage)
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    try:
        send({"stage": "starting Numba"})
        from jitnet.profile.functions.worker import measuring, module_members, observers, overruns, side_by_side

        tasks = {"compare": side_by_side.compare, "table": module_members.table, "bounds": overruns.find_overrun}
        observing = observers.observe(request["cores"] if request["bound"] else ())

        def report(what: str) -> None:
            send({"stage": what})

        if request.get("task", "profile") in tasks:
            send({"reply": tasks[request["task"]](request, observing, report)})
        else:
            reply, trials = measuring.measure_and_try(
                request, observing, report, lambda found: send({"stage": stage, "compiled": found})
            )
            send({"reply": reply})
            _follow_orders(request["orders"], trials, send)
    except Refused as refused:
        send({"refused": str(refused), "usage": refused.usage})
    except BaseException as error:
        send({"raised": _described(error), "stage": stage})
    finally:
        channel.close()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # do not wait for threads and exit handlers of the user's code


def _close(descriptor: int) -> None:
    with suppress(OSError):
        os.close(descriptor)


def _follow_orders(descriptor: int, trials: Any, send: Any) -> None:
    """Try what the orders name, until there are no more."""
    with open(descriptor, encoding="utf-8") as orders:
        for line in orders:
            order = json.loads(line)
            ends = time.perf_counter() + order["left_s"]
            for state in trials.run(order["hints"], ends, order["combined"]):
                send({"tried": state})
            send({"done": True})


def _described(error: BaseException) -> str:
    """Return one line: what was raised, and where in the user's code."""
    name, text = type(error).__name__, str(error)
    try:
        import numba

        from jitnet.compiler.numba_parts import NumbaError
    except Exception:  # Numba itself raises where one of its variables cannot be right
        variables = " ".join(f"{key}={value}" for key, value in sorted(os.environ.items()) if key.startswith("NUMBA_"))
        text = " ".join(text.split()).removesuffix(".")
        return f"{name}: {text}" + (f" (with {variables})" if variables else "")
    place = ""
    if isinstance(error, NumbaError):
        # Such a message is a page: take the first line that says what is wrong, and the last place.
        text = message_lines(error)[0]
        places = re.findall(r'File "([^"]+)", line (\d+)', str(error))
        place = f"{os.path.abspath(places[-1][0])}:{places[-1][1]}" if places else ""
    homes = (HERE, str(Path(numba.__file__).parent), "<frozen")
    python = sysconfig.get_path("stdlib") + os.sep
    for frame in traceback.extract_tb(error.__traceback__):
        # Where no environment is active, what is installed is inside Python's folder.
        is_python = frame.filename.startswith(python) and "site-packages" not in frame.filename
        if frame.filename.startswith(homes) or is_python:
            continue
        if not place or not isinstance(error, NumbaError):
            place = f"{frame.filename}:{frame.lineno}"
    if isinstance(error, NotImplementedError) and text == "float16":
        text = "Numba compiles nothing with float16 for a CPU; pass float32 (f4), or the bits as uint16 (u2)"
    if "non-precise type array(pyobject" in text:
        text = "an array of Python objects cannot be compiled for; convert it to numbers, x.astype(float) for one"
    if isinstance(error, SyntaxError) and error.filename:
        place, text = f"{error.filename}:{error.lineno}", error.msg
    text = " ".join(text.split()).removesuffix(".")
    text = text if len(text) <= 300 else f"{text[:300]} …"
    return f"{name}{f': {text}' if text else ''}{f' ({place})' if place else ''}"


if __name__ == "__main__":
    main()
