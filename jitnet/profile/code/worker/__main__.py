"""The process that compiles and returns what LLVM wrote: `python -m jitnet.profile.code.worker REQUEST`.

It is a separate process because LLVM's remarks go to the C library's standard error, because LLVM's options cannot be
reset, and because code for another processor can be compiled but must not be run: there, each call from Python runs the
plain Python function.

REQUEST is a JSON file: `targets` with the fields of `Target`; `processor`, name and triple, or null for this machine;
`lines`, whether to write a line table; `later`, whether the types of a function's arguments come on standard input, a
line with `pickled` for each target, so that Numba is loaded before; `each`, whether to go on after a function that
cannot be compiled; `cores` to run on, empty for any; `out`, the file for the replies. A reply is a line of JSON:
`start` when a function is started; its machine code; with `each`, why there is none, `failed`; or `error`, with `usage`
true where the request was wrong.
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

from jitnet.profile.code.worker.compile_targets import Wrong, load, look_at
from jitnet.profile.code.worker.cross_compile import emulate, vector_bits
from jitnet.profile.ending import end_with_parent
from jitnet.profile.line_table import write_lines
from jitnet.profile.readable import message_lines
from jitnet.profile.users.built_ufuncs import remember_ufuncs
from jitnet.profile.users.callbacks import remember_callbacks

__all__: list[str] = []

LOOPS = "loop-vectorize|loop-unroll"


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with open(request["out"], "a", encoding="utf-8", buffering=1) as out:

        def reply(**fields: Any) -> None:
            out.write(json.dumps(fields) + "\n")

        if request["cores"]:
            os.sched_setaffinity(0, request["cores"])  # the parent process may be bound to one of them
        end_with_parent()  # while it is stopped, or the user's code runs, nothing else would end it
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)  # drop what a module prints when it is imported
        for kind in ("", "-missed", "-analysis"):
            llvm.set_option("", f"-pass-remarks{kind}={LOOPS}")
        warnings.simplefilter("ignore")
        try:
            kernels = all(not target["module"] for target in request["targets"])
            bits = emulate(request["processor"]) if request["processor"] else vector_bits(None)
            import numba  # noqa: F401  (only now: it reads the processor)

            from jitnet.compiler.numba_parts import disable_cache_writes, disable_execution, global_compiler_lock

            if request["processor"] or kernels:
                disable_execution()
            disable_cache_writes()
            if request["lines"]:
                write_lines()
            reply(vector_bits=bits)
            remember_ufuncs()
            remember_callbacks()
            with remarks() as read_remarks, global_compiler_lock:
                if request["later"]:
                    start_compiler()
                if request["each"]:
                    load(request["targets"][0])  # its module is no function's fault, and takes no function's time
                for number, target in enumerate(request["targets"]):
                    reply(start=target["name"], number=number)
                    if request["later"]:
                        target["pickled"] = sys.stdin.readline().strip()
                        read_remarks()
                    try:
                        reply(**look_at(target), remarks=read_remarks())
                    except Exception as error:
                        if not request["each"]:
                            raise
                        read_remarks()
                        reply(failed=str(error) if isinstance(error, Wrong) else f"cannot be compiled: {brief(error)}")
        except Wrong as error:
            reply(error=str(error), usage=True)
        except Exception as error:
            reply(error=describe(error), usage=False)


def start_compiler() -> None:
    """Compile a function without a loop: the first compilation of a process also sets up Numba's tables."""
    import numba

    numba.njit("float64(float64)", no_cpython_wrapper=True)(eval("lambda x: x"))


def describe(error: Exception) -> str:
    """Return in one line why something could not be compiled; Numba's messages are longer."""
    text = " ".join(message_lines(error))
    if not isinstance(error, Exception) or type(error).__module__.startswith("numba"):
        return text[:400]
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {text[:300]} ({Path(last.filename).name}, line {last.lineno})"


def brief(error: Exception) -> str:
    """Return the first of what `describe` returns, without the lines of source that Numba adds."""
    first = message_lines(error)[0]
    return first[:200] if type(error).__module__.startswith("numba") else describe(error)


@contextmanager
def remarks() -> Iterator[Callable[[], str]]:
    """Yield a function that returns what the compiler has written since its last call."""
    with tempfile.TemporaryFile() as file:
        stderr = os.dup(2)
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
            os.dup2(stderr, 2)


if __name__ == "__main__":
    main()
