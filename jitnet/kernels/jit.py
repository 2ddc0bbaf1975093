"""How every loop is compiled: the one decorator, its options and why, threads, and where compiled code is kept.

Importing this room settles, before the first compile, what Numba reads from the environment:

* the full vector width: on CPUs with AVX-512 LLVM prefers 256-bit vectors, which halves the peak (80 against 165
  GFLOP/s a core); `-prefer-256-bit` in the feature string undoes that. Other CPUs are left as they are.
* OpenMP as threading layer: a parallel region costs 2–3 µs there against 25–37 with Numba's own work queue; its threads
  are bound to cores, without which a region sometimes took 8 ms.
* a cache folder whose name is a hash of all kernel sources, options and versions. Numba itself does not notice an
  edited callee in another file, a changed option or bounds checking, and would run stale code.

A variable that the user has set already is left alone.
"""

import hashlib
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

import llvmlite
import llvmlite.binding as llvm

__all__ = [
    "FASTMATH",
    "Machine",
    "address_of",
    "cache_folder",
    "compile_beside",
    "inner_kernel",
    "kernel",
    "machine",
    "parallel_kernel",
    "remember_warm",
    "set_threads",
    "stage_kernel",
    "warm",
    "when_compiling",
]

FASTMATH = {"contract", "reassoc", "nsz"}
"""Contract gives fused multiply-add, reassoc lets sums be vectorised, nsz drops the sign of zero. Never nnan or ninf:
with them `isfinite` is folded to True and a diverging run goes unnoticed."""


Function = TypeVar("Function", bound=Callable[..., Any])

_FEATURES = llvm.get_host_cpu_features()
_AVX512 = bool(_FEATURES.get("avx512f"))


# Asked for before the OpenMP library binds this thread to one of them.
_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _affinity() -> int:
    return len(_CORES) or os.cpu_count() or 1


def _set_environment() -> None:
    defaults = {
        "OMP_PROC_BIND": "true",
        "NUMBA_THREADING_LAYER_PRIORITY": "omp tbb workqueue",
        # Binding leaves the main thread one core; where Numba counts again later, it would find that one and give up.
        "NUMBA_NUM_THREADS": str(_affinity()),
    }
    if _AVX512 and "NUMBA_CPU_NAME" not in os.environ:
        defaults["NUMBA_CPU_NAME"] = llvm.get_host_cpu_name()
        defaults["NUMBA_CPU_FEATURES"] = _FEATURES.flatten() + ",-prefer-256-bit"
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def _fingerprint() -> str:
    """Hash of everything that decides what machine code a kernel becomes."""
    digest = hashlib.sha256()
    package = Path(__file__).parent.parent
    above = [package / f"{name}.py" for name in ("state", "stages", "step")]
    for path in [*sorted((package / "kernels").glob("*.py")), *above]:
        digest.update(path.name.encode() + path.read_bytes())
    settings = [
        f"{name}={os.environ[name]}"
        for name in sorted(os.environ)
        if name.startswith("NUMBA_") and "CACHE" not in name and "NUM_THREADS" not in name
    ]
    versions = [sys.version, llvmlite.__version__, _numba_version(), llvm.get_host_cpu_name(), _FEATURES.flatten()]
    digest.update("\n".join(settings + versions + sorted(FASTMATH)).encode())
    return digest.hexdigest()[:16]


def _numba_version() -> str:
    from importlib.metadata import version

    return version("numba")


def _user_cache() -> Path:
    if os.environ.get("JITNET_CACHE"):
        return Path(os.environ["JITNET_CACHE"])
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(home) / "jitnet" / "kernels"


def _prepare_cache() -> Path | None:
    """A writable folder for this fingerprint, or None where the user's cache cannot be written."""
    folder = _user_cache() / _fingerprint()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        return None
    return folder


_set_environment()
cache_folder: Path | None = _prepare_cache()
"""Where compiled code is kept from one start to the next; None where nothing can be written, and every start
compiles."""
if cache_folder is not None:
    os.environ["NUMBA_CACHE_DIR"] = str(cache_folder)

import numba  # noqa: E402  (only now: it reads the variables set above)
import numba.experimental.function_type  # noqa: E402  (makes addresses known as arguments, see address_of)
from numba.core import event  # noqa: E402
from numba.core.caching import FunctionCache  # noqa: E402
from numba.core.runtime import rtsys  # noqa: E402

if cache_folder is not None:
    numba.config.CACHE_DIR = str(cache_folder)  # where numba was imported before jitnet, it has read them already


class _Cache:
    """Compiled code, loaded without what only compiling needs.

    Numba's own registers every function that it can compile before it loads the first: 0.15 s of a second start, 0.3
    where SciPy is installed. The compiler does so again by itself where something has to be compiled. And it looks
    for its folder at the first use, not for all of a hundred functions of which most are linked into others.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @cached_property
    def _files(self) -> Any:
        return FunctionCache(self._function)

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        rtsys.initialize(target_context)  # the functions that count references, which loaded code refers to
        with self._files._guard_against_spurious_io_errors():
            return self._files._load_overload(signature, target_context)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)


_WARM = "training"  # a file in the cache folder
_OPTIONS = {"fastmath": FASTMATH, "error_model": "numpy", "nogil": True}


def _compile(function: Function, signature: Any = None, **options: Any) -> Function:
    """With a signature it is compiled, or loaded, at once, and for no other."""
    dispatcher = numba.njit(**_OPTIONS, **options)(function)
    if not numba.config.DISABLE_JIT:
        if cache_folder is not None:
            dispatcher._cache = _Cache(function)
        if signature is not None:
            dispatcher.compile(signature)
            dispatcher.disable_compile()
    compiled: Function = dispatcher
    return compiled


def kernel(function: Function, signature: Any = None) -> Function:
    """Compile a serial loop; error_model "numpy" because a loop that may raise on division is not vectorised.

    With a signature it is compiled, or loaded, at once.
    """
    if signature is not None:
        _start_threads()
    return _compile(function, signature)


@cache
def _start_threads() -> None:
    """Start the threads that parallel regions run on: code from the cache with a region linked in needs functions of
    their library, which Numba makes known only here; without them LLVM ends the process."""
    numba.get_num_threads()


def inner_kernel(function: Function) -> Function:
    """Compile a serial loop that only other kernels call: without the wrappers for Python, which take a third of the
    time."""
    return _compile(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def stage_kernel(function: Function, signature: Any) -> Function:
    """Compile a serial loop for one signature, to be handed to other kernels as a value and called by its address."""
    return _compile(function, signature, no_cpython_wrapper=True)


class _Address(numba.types.WrapperAddressProtocol):  # type: ignore[misc]
    """A compiled function's address and type, as Numba takes a function that is an argument.

    The function itself would do, but for each that it is given a call then looks its address up anew, 0.3 ms.
    """

    def __init__(self, function: Any, signature: Any) -> None:
        self._function, self._signature = function, signature
        result = function.get_compile_result(signature)
        self._address = result.library.get_pointer_to_function(result.fndesc.llvm_cfunc_wrapper_name)

    def __wrapper_address__(self) -> int:
        return self._address

    def signature(self) -> Any:
        return self._signature


def address_of(function: Any, signature: Any) -> Any:
    """What to hand to a kernel that calls `function`, compiled for `signature`; itself where compilation is off."""
    return function if numba.config.DISABLE_JIT else _Address(function, signature)


def parallel_kernel(function: Function, signature: Any = None) -> Function:
    """Compile a thin driver: one `prange` over the parts of a problem, each part done by a serial kernel."""
    return _compile(function, signature, parallel=True)


def warm() -> bool:
    """Whether everything that training runs was compiled here before, so that a start needs only load it."""
    return cache_folder is not None and (cache_folder / _WARM).exists()


def remember_warm() -> None:
    """Say so to later starts; one whose compiling was broken off must not, for the next goes on with it."""
    if cache_folder is not None:
        with suppress(OSError):
            (cache_folder / _WARM).touch()


@contextmanager
def when_compiling(begin: Callable[[], None]) -> Iterator[None]:
    """Call `begin`, once, before the first function inside that is compiled rather than loaded."""

    class Watch(event.Listener):  # type: ignore[misc]
        begun = False

        def on_start(self, event: Any) -> None:
            if not self.begun:
                self.begun = True
                begin()

        def on_end(self, event: Any) -> None:
            pass

    with event.install_listener("numba:compile", Watch()):
        yield


def compile_beside(statement: str) -> "subprocess.Popen[bytes]":
    """Run a statement that compiles, in a process of its own: its code is in the cache once that ends.

    This thread is bound to one core by now, and a child would inherit that and be bound to the same one itself.
    """
    free = f"import os; os.sched_setaffinity(0, {_CORES}); " if _CORES else ""
    return subprocess.Popen(
        [sys.executable, "-c", free + statement],
        env={**os.environ, "OMP_PROC_BIND": "false"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def set_threads(threads: int) -> None:
    """Run the next parallel regions entered from this Python thread on `threads` threads (1 to the cores available)."""
    numba.set_num_threads(threads)


@dataclass(frozen=True)
class Machine:
    """What the loops run on.

    cpu: the processor's name. vector_bits: width of its vectors. affinity: cores this process may run on.
    quota: cores' worth of time that the container allows, None without a limit. cores: the threads that can truly run
    at once, the smaller of both; cores_reason says which one bound. threading_layer: who runs the parallel regions.
    """

    cpu: str
    vector_bits: int
    affinity: int
    quota: float | None
    cores: int
    cores_reason: str
    threading_layer: str
    numba: str
    llvm: str


@cache
def machine() -> Machine:
    """Describe this machine; cheap, and the same at every call."""
    affinity = int(numba.config.NUMBA_NUM_THREADS)
    quota = _quota()
    cores, reason = affinity, f"{affinity} core{'s' * (affinity != 1)} by affinity"
    if quota is not None and quota < cores:
        cores, reason = max(1, int(quota)), f"CPU quota of {quota:g} cores"
    version = ".".join(str(part) for part in llvm.llvm_version_info[:2])
    return Machine(
        _cpu_name(), _vector_bits(), affinity, quota, cores, reason, _threading_layer(), numba.__version__, version
    )


def _quota() -> float | None:
    """Cores' worth of CPU time of the container's control group (version 2, then 1)."""
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        pass
    try:
        folder = Path("/sys/fs/cgroup/cpu")
        limit_us = int((folder / "cpu.cfs_quota_us").read_text())
        return limit_us / int((folder / "cpu.cfs_period_us").read_text()) if limit_us > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _cpu_name() -> str:
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        match = None
    return match.group(1).strip() if match else platform.processor() or platform.machine()


def _vector_bits() -> int:
    return 512 if _AVX512 else 256 if _FEATURES.get("avx") else 128


def _threading_layer() -> str:
    """The layer that Numba will load: the first of its priority list that can be imported."""
    from importlib import import_module

    for layer in numba.config.THREADING_LAYER_PRIORITY:
        try:
            import_module(f"numba.np.ufunc.{layer}pool" if layer != "workqueue" else "numba.np.ufunc.workqueue")
        except ImportError:
            continue
        return str(layer)
    return "workqueue"
