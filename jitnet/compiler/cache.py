"""Where compiled code is stored for later starts, and when it is not trusted.

Numba stores a file for each function: its machine code, and all that is needed to compile a caller of it. A start that
compiles nothing needs only the machine code, so that of the training loop is stored a second time, in one file that
loads much faster.

A read-only folder works too: what is in it is loaded, what is missing is compiled at each start, and `not_kept` returns
the reason.

Nothing here is synced to the disk: each file is checked when it is read, and what a loss of power has torn is compiled
again.

The folder's name is a hash of all kernel sources, options and versions. Numba itself does not notice an edited callee
in another file, a changed option or bounds checking, and would run stale code.
"""

import hashlib
import os
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm

from jitnet.compiler.environment import BLOCKS, FEATURES
from jitnet.files import check_writable, make_folder, remove, write_whole

__all__ = [
    "COMPILED_ROOMS",
    "CompiledCode",
    "ObjectCode",
    "all_compiled",
    "cache_folder",
    "can_keep",
    "not_kept",
    "read_all",
    "write_all",
]  # fmt: skip

COMPILED_ROOMS = ("compiler", "config", "engine", "kernels", "machine")
"""The rooms whose sources determine the machine code. The configuration's names are fields of records."""


def _fingerprint() -> str:
    """Return the hash of everything that determines a kernel's machine code."""
    digest = hashlib.sha256()
    package = Path(__file__).parent.parent
    for room in COMPILED_ROOMS:
        for path in sorted((package / room).glob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
    numba_file = Path(".numba_config.yaml")  # settings that Numba reads beside its variables
    if numba_file.is_file():
        digest.update(numba_file.read_bytes())
    settings = [
        f"{name}={os.environ[name]}"
        for name in sorted(os.environ)
        if name.startswith("NUMBA_") and "CACHE" not in name and "NUM_THREADS" not in name
    ]
    versions = [sys.version, llvmlite.__version__, version("numba"), version("numpy")]
    processor = [llvm.get_process_triple(), llvm.get_host_cpu_name(), FEATURES.flatten(), BLOCKS]
    digest.update("\n".join(settings + versions + processor).encode())
    return digest.hexdigest()[:16]


def _user_cache() -> Path:
    if os.environ.get("JITNET_CACHE"):
        return Path(os.environ["JITNET_CACHE"])
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(home) / "jitnet" / "kernels"


_ALL = "training.objects"
"""The file in the cache folder that has the machine code of all that training runs."""

_write_error = ""
"""Why nothing can be stored, in a line; "" where it can."""

_not_stored = False
"""Whether anything was compiled that could not be stored."""


def _prepare() -> Path | None:
    """Return the folder for this fingerprint, or None where it is missing and cannot be made."""
    global _write_error
    folder = _user_cache() / _fingerprint()
    try:
        make_folder(folder, sync=False)
        check_writable(folder / _ALL)
    except OSError as error:
        _set_write_error(folder, error)
    else:
        _write_error = ""
    return folder if os.path.isdir(folder) else None


def _set_write_error(folder: Path, error: OSError) -> None:
    global _write_error
    _write_error = f"{folder}: {error.strerror or error}"


def can_keep() -> bool:
    """Whether compiled code can be stored for later starts, as far as is known."""
    return cache_folder is not None and not _write_error


def not_kept() -> str:
    """Return where and why compiled code of this start could not be stored, in a line; "" where all of it was."""
    return _write_error if _not_stored else ""


cache_folder: Path | None = _prepare()
"""Where compiled code is stored; None where there is no such folder, and every start compiles."""
if cache_folder is not None:
    os.environ["NUMBA_CACHE_DIR"] = str(cache_folder)

import numba  # noqa: E402  (only now: it reads the variables set above)

from jitnet.compiler.numba_parts import files_of, read_object_code, read_overload, rtsys  # noqa: E402

if cache_folder is not None:
    numba.config.CACHE_DIR = str(cache_folder)  # for Numba imported before jitnet, which has read them already


class CompiledCode:
    """A function's compiled code in the cache folder, loaded without what only compiling needs.

    Numba's cache registers every function that it can compile before it loads the first, which is a tenth of a second
    start and more where SciPy is installed; the compiler does so anyway where something has to be compiled. And this
    one looks for its folder at the first use, not for all functions, of which most are linked into others.

    before_use: called before the code is loaded; it loads what the code calls by symbol. before_compiling: called where
    there is no such code; it loads what the compiler must know of callees.
    """

    def __init__(
        self, function: Callable[..., Any], before_use: Callable[[], None], before_compiling: Callable[[], None]
    ) -> None:
        self._function, self._before_use, self._before_compiling = function, before_use, before_compiling

    @cached_property
    def _files(self) -> Any:
        return files_of(self._function)

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        found = None
        if cache_folder is not None:
            self._before_use()
            rtsys.initialize(target_context)  # the functions for reference counting, which loaded code calls
            found = self._load(signature, target_context)
        if found is None:
            self._before_compiling()
        return found

    def _load(self, signature: Any, target_context: Any) -> Any:
        try:
            return read_overload(self._files, signature, target_context)
        except Exception:
            # A truncated file, or one that refers to what this process does not have. Numba would fail here, and at
            # every later start; what cannot be read is compiled again.
            with suppress(OSError):
                self._files.flush()
            return None

    def object_code(self, signature: Any, target_context: Any) -> "ObjectCode | None":
        """Return the machine code in Numba's file for this function; None where there is no such file."""
        found = read_object_code(self._files, signature, target_context)
        return None if found is None else ObjectCode(*found)

    def save_overload(self, signature: Any, data: Any) -> None:
        global _not_stored
        if cache_folder is not None and can_keep():
            try:
                self._files.save_overload(signature, data)
            except OSError as error:  # the disk is full now
                _set_write_error(cache_folder, error)
        _not_stored = _not_stored or not can_keep()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)


class ObjectCode(NamedTuple):
    """A function's machine code from the compiler, ELF on Linux. symbol: its name in it."""

    symbol: str
    code: bytes


def all_compiled() -> bool:
    """Whether everything that training runs is compiled already, so that a start only loads it."""
    return cache_folder is not None and (cache_folder / _ALL).exists()


def write_all(objects: dict[str, ObjectCode]) -> None:
    """Store the machine code of everything that training runs, by its symbols, for later starts.

    Not to be called where compiling was interrupted, since the next start must continue it.
    """
    if cache_folder is None or not can_keep():
        return
    content = pickle.dumps({name: tuple(each) for name, each in objects.items()})
    with suppress(OSError):
        write_whole(cache_folder / _ALL, hashlib.sha256(content).digest() + content, sync=False)


def read_all() -> dict[str, ObjectCode] | None:
    """Return what `write_all` stored, in the same order; None where it is damaged, and then it is deleted."""
    if cache_folder is None:
        return None
    try:
        content = (cache_folder / _ALL).read_bytes()
    except OSError:
        return None
    size = hashlib.sha256().digest_size
    if hashlib.sha256(content[size:]).digest() != content[:size]:
        with suppress(OSError):
            remove(cache_folder / _ALL, sync=False)
        return None
    return {name: ObjectCode(*each) for name, each in pickle.loads(content[size:]).items()}
