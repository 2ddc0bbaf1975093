"""What Numba and OpenMP read from the environment, settled before Numba is imported; and which block sizes there are.

* The full vector width. On CPUs with AVX-512 LLVM prefers 256-bit vectors, which halves the peak; `-prefer-256-bit` in
  the feature string undoes that. Other CPUs are left as they are.
* OpenMP as threading layer. A parallel region costs a tenth there of what it costs with Numba's own work queue. Its
  threads are bound to cores, without which a region sometimes took milliseconds.
* All cores that this process may use. Binding leaves the main thread one; where Numba counts again later, it would find
  that one and give up.

A variable that the user has set already is left alone.

The block sizes are those of the processor that is compiled for, or of the kind that JITNET_BLOCKS names. Every process
that a process starts reads the same variables, so all choose the same, and the compiled code's folder is named by it.
"""

import os

import llvmlite.binding as llvm

from jitnet.errors import UsageError

__all__ = ["AS_FOUND", "BLOCKS", "CORES", "FEATURES", "HAS_AVX512", "affinity", "as_found"]

AS_FOUND = {
    name: os.environ.get(name)
    for name in (
        "OMP_PROC_BIND",
        "NUMBA_CACHE_DIR",
        "NUMBA_CPU_FEATURES",
        "NUMBA_CPU_NAME",
        "NUMBA_NUM_THREADS",
        "NUMBA_THREADING_LAYER_PRIORITY",
    )
}
"""What this room sets, as the user has it, None where it is not set."""

FEATURES = llvm.get_host_cpu_features()
"""The processor's features, as LLVM names them."""

HAS_AVX512 = "+avx512f" in (os.environ.get("NUMBA_CPU_FEATURES") or FEATURES.flatten()).split(",")
"""Whether the processor that is compiled for has vectors of 512 bits: this one, or what NUMBA_CPU_FEATURES says."""

_KINDS = ("avx2", "avx512")


def _blocks() -> str:
    found = os.environ.get("JITNET_BLOCKS", "")
    if found and found not in _KINDS:
        raise UsageError(
            f"JITNET_BLOCKS={found}: expected avx2 or avx512; leave it out for the sizes that fit this processor"
        )
    return found or ("avx512" if HAS_AVX512 else "avx2")


BLOCKS = _blocks()
"""Whose block sizes there are, "avx2" or "avx512": what JITNET_BLOCKS says, or else what fits the processor. Either
runs anywhere, since LLVM splits vectors that are too long; NEON runs those of AVX2."""

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
"""The cores of this process, asked for before OpenMP binds this thread to one of them; empty where there is no
asking."""


def affinity() -> int:
    """How many cores this process may run on."""
    return len(CORES) or os.cpu_count() or 1


def as_found() -> dict[str, str]:
    """The environment as the user has it, without what is set here: for a process that runs the user's Numba code."""
    left = {name: value for name, value in os.environ.items() if name not in AS_FOUND}
    return left | {name: value for name, value in AS_FOUND.items() if value is not None}


def _settle() -> None:
    defaults = {
        "OMP_PROC_BIND": "true",
        "NUMBA_THREADING_LAYER_PRIORITY": "omp tbb workqueue",
        "NUMBA_NUM_THREADS": str(affinity()),
    }
    if HAS_AVX512 and "NUMBA_CPU_NAME" not in os.environ:
        defaults["NUMBA_CPU_NAME"] = llvm.get_host_cpu_name()
        defaults["NUMBA_CPU_FEATURES"] = FEATURES.flatten() + ",-prefer-256-bit"
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


_settle()
