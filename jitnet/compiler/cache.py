"""Where compiled code is kept from one start to the next, and when it is not trusted.

The folder's name is a hash of all kernel sources, options and versions. Numba itself does not notice an edited callee
in another file, a changed option or bounds checking, and would run stale code.
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from jitnet.compiler.environment import FEATURES

__all__ = ["COMPILED_ROOMS", "CompiledCode", "all_compiled", "cache_folder", "remember_all_compiled"]

COMPILED_ROOMS = ("compiler", "kernels", "engine")
"""The rooms whose sources decide what machine code there is."""


def _fingerprint() -> str:
    """Hash of everything that decides what machine code a kernel becomes."""
    digest = hashlib.sha256()
    package = Path(__file__).parent.parent
    for room in COMPILED_ROOMS:
        for path in sorted((package / room).glob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
    settings = [
        f"{name}={os.environ[name]}"
        for name in sorted(os.environ)
        if name.startswith("NUMBA_") and "CACHE" not in name and "NUM_THREADS" not in name
    ]
    versions = [sys.version, llvmlite.__version__, version("numba"), llvm.get_host_cpu_name(), FEATURES.flatten()]
    digest.update("\n".join(settings + versions).encode())
    return digest.hexdigest()[:16]


def _user_cache() -> Path:
    if os.environ.get("JITNET_CACHE"):
        return Path(os.environ["JITNET_CACHE"])
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(home) / "jitnet" / "kernels"


def _prepare() -> Path | None:
    """A writable folder for this fingerprint, or None where the user's cache cannot be written."""
    folder = _user_cache() / _fingerprint()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        return None
    return folder


cache_folder: Path | None = _prepare()
"""Where compiled code is kept; None where nothing can be written, and every start compiles."""
if cache_folder is not None:
    os.environ["NUMBA_CACHE_DIR"] = str(cache_folder)

import numba  # noqa: E402  (only now: it reads the variables set above)
from numba.core.caching import FunctionCache  # noqa: E402
from numba.core.runtime import rtsys  # noqa: E402

if cache_folder is not None:
    numba.config.CACHE_DIR = str(cache_folder)  # where numba was imported before jitnet, it has read them already


class CompiledCode:
    """A function's compiled code in the cache folder, loaded without what only compiling needs.

    Numba's own registers every function that it can compile before it loads the first, which takes a tenth of a second
    start and more where SciPy is installed; the compiler does so again by itself where something has to be compiled.
    And it looks for its folder at the first use, not for all functions of which most are linked into others.

    before_use: called before the code is loaded or compiled; it brings in what the code calls by name.
    """

    def __init__(self, function: Callable[..., Any], before_use: Callable[[], None]) -> None:
        self._function, self._before_use = function, before_use

    @cached_property
    def _files(self) -> Any:
        return FunctionCache(self._function)

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        self._before_use()
        if cache_folder is None:
            return None
        rtsys.initialize(target_context)  # the functions that count references, which loaded code refers to
        with self._files._guard_against_spurious_io_errors():
            try:
                return self._files._load_overload(signature, target_context)
            except Exception:
                # A file cut short, or one that names what this process does not have. Numba would end here, and at
                # every start from now on; what cannot be read is compiled anew.
                self._files.flush()
                return None

    def save_overload(self, signature: Any, data: Any) -> None:
        if cache_folder is not None:
            self._files.save_overload(signature, data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)


_MARK = "training"  # a file in the cache folder


def all_compiled() -> bool:
    """Whether everything that training runs was compiled here before, so that a start needs only load it."""
    return cache_folder is not None and (cache_folder / _MARK).exists()


def remember_all_compiled() -> None:
    """Say so to later starts; one whose compiling was broken off must not, for the next goes on with it."""
    if cache_folder is not None:
        with suppress(OSError):
            (cache_folder / _MARK).touch()
