"""What Numba and OpenMP read from the environment, set before Numba is imported; and the choice of block sizes.

* The full vector width. On CPUs with AVX-512 LLVM prefers 256-bit vectors, which halves the peak; `-prefer-256-bit` in
  the feature string overrides that. Other CPUs keep their settings.
* OpenMP as threading layer. A parallel region costs a tenth of what it costs with Numba's work queue. Its threads are
  bound to cores, without which a region sometimes takes milliseconds.
* All cores that this process may use. Binding leaves the main thread one core; where Numba counts again later, it would
  find only that one and fail.

A variable that the user has set already is not changed.

The block sizes are those of the processor that is compiled for, or of the kind that JITNET_BLOCKS names. Worker
processes read the same variables, so all choose the same, and the name of the compiled code's folder depends on it.
"""

import os

import llvmlite.binding as llvm

from jitnet.compiler.surroundings import AS_FOUND, CORES, affinity, as_found
from jitnet.errors import UsageError

__all__ = ["AS_FOUND", "BLOCKS", "CORES", "FEATURES", "HAS_AVX512", "affinity", "as_found"]

FEATURES = llvm.get_host_cpu_features()
"""The processor's features, as LLVM names them."""

HAS_AVX512 = "+avx512f" in (os.environ.get("NUMBA_CPU_FEATURES") or FEATURES.flatten()).split(",")
"""Whether the processor that is compiled for has vectors of 512 bits: this one, or by NUMBA_CPU_FEATURES."""

_KINDS = ("avx2", "avx512")


def _blocks() -> str:
    found = os.environ.get("JITNET_BLOCKS", "")
    if found and found not in _KINDS:
        raise UsageError(
            f"JITNET_BLOCKS={found}: expected avx2 or avx512; unset it for the sizes that fit this processor"
        )
    return found or ("avx512" if HAS_AVX512 else "avx2")


BLOCKS = _blocks()
"""The kind of the block sizes, "avx2" or "avx512": JITNET_BLOCKS, or else what fits the processor. Both run on all
processors, since LLVM splits vectors that are too long; NEON uses those of AVX2."""


def _set_defaults() -> None:
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


_set_defaults()
