"""Calls functions many times while all threads are sampled, beside other work: `python interrupted.py CORES`.

Prints JSON: "equal", for each function whether all its results were those without samples; "cut_short", how many sleeps
ended early; "samples" of each.
"""

import ctypes
import json
import os
import subprocess
import sys

cores = json.loads(sys.argv[1])
if cores:
    os.sched_setaffinity(0, cores)

import numpy as np  # noqa: E402
from numba import njit, prange  # noqa: E402

from jitnet.profile.functions.worker.line_sampler import LineSampler, running_s  # noqa: E402

usleep = ctypes.CDLL(None).usleep
usleep.argtypes, usleep.restype = [ctypes.c_uint], ctypes.c_int
RUNS = 10


@njit
def sleeps(times):
    cut = 0
    for _ in range(times):
        cut += usleep(500) != 0
    return cut


@njit
def allocates(n):
    total = 0.0
    for i in range(n):
        total += np.full(i % 50 + 1, 0.5).sum()
    return total


@njit(parallel=True)
def in_threads(n):
    out = np.zeros(n)
    for i in prange(n):
        for j in range(i % 100):
            out[i] += np.sqrt(j)
    return out.sum()


@njit
def raises(n):
    if n > 2:
        raise ValueError("too many")
    return n


def calls_python(n):
    found = 0
    for i in range(n):
        try:
            raises(i % 5)
        except ValueError as error:
            found += len(str(error))
    return found


def main() -> None:
    sampler = LineSampler((1, (1 << 47) - 1), (0, 0))
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        found = {"equal": {}, "samples": {}}
        for function, n in ((allocates, 20_000), (in_threads, 5_000), (calls_python, 5_000)):
            expected, equal, before = function(n), True, sampler.count
            for run in range(RUNS):
                with sampler.sampling(list(running_s()), run):
                    sampler.watch(True)
                    equal &= all(function(n) == expected for _ in range(3))
            found["equal"][function.__name__] = equal
            found["samples"][function.__name__] = sampler.count - before
        sleeps(1)
        with sampler.sampling(list(running_s()), computing=True):
            sampler.watch(True)
            found["cut_short"] = sleeps(200)
    finally:
        busy.kill()
        busy.wait()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
