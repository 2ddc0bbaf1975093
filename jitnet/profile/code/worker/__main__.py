"""The process that compiles and hands back what LLVM wrote: `python -m jitnet.profile.code.worker REQUEST`.

It is a process of its own because LLVM's remarks go to the C library's standard error, because LLVM's options cannot be
taken back, and because code for another processor can be compiled but must not be run: there, each call from Python
runs the plain Python function.

REQUEST is a JSON file: `targets` as `Target` has them; `processor`, name and triple, or null for this machine;
`lines`, whether a table of lines is wanted; `cores` to run on, empty for any; `out`, where the answers go. An answer is
a line of JSON: `start` as a function is begun; what was made of it; or `error`, with `usage` true where the request was
wrong.
"""

import json
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from jitnet.profile.code.worker.compile_targets import Wrong, look_at
from jitnet.profile.code.worker.cross_compile import become, vector_bits
from jitnet.profile.code.worker.line_table import write_lines
from jitnet.profile.readable import message_lines

__all__: list[str] = []

LOOPS = "loop-vectorize|loop-unroll"


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with open(request["out"], "a", encoding="utf-8", buffering=1) as out:

        def answer(**fields: Any) -> None:
            out.write(json.dumps(fields) + "\n")

        if request["cores"]:
            os.sched_setaffinity(0, request["cores"])  # the process that asks may be bound to one of them
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)  # what a module prints while it is imported is not asked for
        for kind in ("", "-missed", "-analysis"):
            llvm.set_option("", f"-pass-remarks{kind}={LOOPS}")
        warnings.simplefilter("ignore")
        try:
            own = all(not target["module"] for target in request["targets"])
            bits = become(request["processor"]) if request["processor"] else vector_bits(None)
            import numba  # noqa: F401  (only now: it asks for the processor)

            from jitnet.compiler.numba_parts import global_compiler_lock, keep_nothing, never_run

            if request["processor"] or own:
                never_run()
            keep_nothing()
            if request["lines"]:
                write_lines()
            answer(vector_bits=bits)
            with remarks() as said, global_compiler_lock:
                for number, target in enumerate(request["targets"]):
                    answer(start=target["name"], number=number)
                    answer(**look_at(target), remarks=said())
        except Wrong as error:
            answer(error=str(error), usage=True)
        except Exception as error:
            answer(error=describe(error), usage=False)


def describe(error: Exception) -> str:
    """The reason why something could not be compiled, in a line; Numba's own say much more."""
    kept = " ".join(message_lines(error))
    if not isinstance(error, Exception) or type(error).__module__.startswith("numba"):
        return kept[:400]
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {kept[:300]} ({Path(last.filename).name}, line {last.lineno})"


@contextmanager
def remarks() -> Iterator[Callable[[], str]]:
    """Gives a function that returns what the compiler has said since it was last asked."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        place = 0

        def since() -> str:
            nonlocal place
            sys.stderr.flush()
            file.seek(place)
            text = file.read()
            place += len(text)
            file.seek(0, os.SEEK_END)
            return text.decode(errors="replace")

        try:
            yield since
        finally:
            os.dup2(kept, 2)


if __name__ == "__main__":
    main()
