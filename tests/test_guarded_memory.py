"""Nothing reads or writes outside its range: all programs on memory that ends where each array ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import environment
from numba import config

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="guarded memory is for Linux"),
    pytest.mark.skipif(bool(config.DISABLE_JIT), reason="without the compiler Python checks every index"),
]

TESTS = Path(__file__).parent
SIGSEGV = -11


def run(*arguments, **variables):
    """Python on guarded memory, with as many threads as programs ask for."""
    made = environment(NUMBA_NUM_THREADS="3", OMP_PROC_BIND="false", **variables)
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", *arguments],
        cwd=TESTS,
        env=made,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("blocks", ["avx2", "avx512"])
def test_every_program_stays_within_its_arrays(blocks):
    done = run("guarded_programs.py", JITNET_BLOCKS=blocks)
    said = done.stdout.splitlines() or ["nothing"]
    assert done.returncode != SIGSEGV, f"{said[-1]}: a kernel went out of its range\n{done.stderr[-2000:]}"
    assert (done.returncode, said[-1]) == (0, "done"), done.stderr[-2000:]


def test_the_kernels_stay_within_their_arrays():
    """The orders of compiling, in another file, run on guarded memory too, with both kinds of block sizes."""
    files = [path.name for path in sorted(TESTS.glob("test_kernels_*.py")) if path.stem != "test_kernels_other_sizes"]
    done = run("-m", "pytest", "-v", "-m", "small", "-p", "no:cacheprovider", "-p", "guarded", *files)
    said = done.stdout.splitlines() or ["nothing"]
    assert done.returncode != SIGSEGV, f"{said[-1]}: a kernel went out of its range\n{done.stderr[-2000:]}"
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in said[-1]


# Each loop in a process of its own, on an array of five numbers, once at its last number and once behind it.
LOOPS = """
import os
import numba, numpy as np
import jitnet.compiler, guarded
from jitnet.engine.arena import Buffer, aligned
from jitnet.machine.pages import untouched

guarded.guard_memory()

@numba.njit
def reads(values, at):
    return values[at]

@numba.njit
def writes(values, at):
    values[at] = 1

@numba.njit
def makes(kind, at):
    values = np.zeros(5, np.float32)
    values[at] = 1
    return values[0]

arrays = {
    "an array": lambda: np.ones(5, np.float32),
    "bytes": lambda: np.ones(5, np.uint8),
    "a copy": lambda: np.arange(9)[2:7].copy(),
    "an arena": lambda: aligned(5),
    "a buffer": lambda: Buffer(np.uint32).take(5),
    "entries": lambda: untouched(5, np.uint32),
}
for loop in (reads, writes, makes):
    for name, make in {"": lambda: 5}.items() if loop is makes else arrays.items():
        array = make()
        loop(array, 4)
        process = os.fork()
        if process == 0:
            loop(array, 5)
            os._exit(0)
        print(loop.__name__, name, os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
os._exit(0)
"""


def test_one_element_too_far_ends_the_process():
    """Else the test above would check nothing."""
    done = run("-c", LOOPS, JITNET_CACHE=os.devnull)
    arrays = ["an array", "bytes", "a copy", "an arena", "a buffer", "entries"]
    expected = [f"{loop} {array} {SIGSEGV}" for loop in ("reads", "writes") for array in arrays]
    assert done.stdout.splitlines() == [*expected, f"makes  {SIGSEGV}"], done.stderr[-2000:]
