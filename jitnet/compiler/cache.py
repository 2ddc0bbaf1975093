"""Where compiled code is kept from one start to the next, and when it is not trusted.

Numba keeps a file for each function: its machine code, and all that is needed to compile a caller of it. A start that
compiles nothing needs the machine code alone, so that of the training loop is kept a second time, in one file that is
loaded in a small part of the time.

A folder that can be read but not written serves too: what is there is loaded, what is not is compiled at each start,
and `not_kept` says why.

The folder's name is a hash of all kernel sources, options and versions. Numba itself does not notice an edited callee
in another file, a changed option or bounds checking, and would run stale code.
"""

import hashlib
import os
import pickle
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm

from jitnet.compiler.environment import BLOCKS, FEATURES

__all__ = [
    "COMPILED_ROOMS", "CompiledCode", "ObjectCode", "all_compiled", "cache_folder", "can_keep", "keep_all", "not_kept",
    "read_all",
]  # fmt: skip

COMPILED_ROOMS = ("compiler", "config", "engine", "kernels", "machine")
"""The rooms whose sources decide what machine code there is. The configuration's names are fields of records."""


def _fingerprint() -> str:
    """Hash of everything that decides what machine code a kernel becomes."""
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


_problem = ""
"""Why nothing can be kept, in a line; "" where it can."""

_missed = False
"""Whether anything was compiled that could not be kept."""


def _prepare() -> Path | None:
    """The folder for this fingerprint, or None where it is not there and cannot be made."""
    global _problem
    folder = _user_cache() / _fingerprint()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))  # a full disk lets files be made
            file.flush()
    except OSError as error:
        _note_problem(folder, error)
    else:
        _problem = ""
    return folder if os.path.isdir(folder) else None


def _note_problem(folder: Path, error: OSError) -> None:
    global _problem
    _problem = f"{folder}: {error.strerror or error}"


def can_keep() -> bool:
    """Whether compiled code can be kept for later starts, as far as is known."""
    return cache_folder is not None and not _problem


def not_kept() -> str:
    """Where and why compiled code of this start could not be kept, in a line; "" where all of it was."""
    return _problem if _missed else ""


cache_folder: Path | None = _prepare()
"""Where compiled code is kept; None where there is no such folder, and every start compiles."""
if cache_folder is not None:
    os.environ["NUMBA_CACHE_DIR"] = str(cache_folder)

import numba  # noqa: E402  (only now: it reads the variables set above)

from jitnet.compiler.numba_parts import files_of, read_object_code, read_overload, rtsys  # noqa: E402

if cache_folder is not None:
    numba.config.CACHE_DIR = str(cache_folder)  # where numba was imported before jitnet, it has read them already


class CompiledCode:
    """A function's compiled code in the cache folder, loaded without what only compiling needs.

    Numba's own registers every function that it can compile before it loads the first, which takes a tenth of a second
    start and more where SciPy is installed; the compiler does so again by itself where something has to be compiled.
    And it looks for its folder at the first use, not for all functions of which most are linked into others.

    before_use: called before the code is loaded; it brings in what the code calls by name. before_compiling: called
    where there is no such code; it brings in what the compiler must know of what is called.
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
            rtsys.initialize(target_context)  # the functions that count references, which loaded code refers to
            found = self._load(signature, target_context)
        if found is None:
            self._before_compiling()
        return found

    def _load(self, signature: Any, target_context: Any) -> Any:
        try:
            return read_overload(self._files, signature, target_context)
        except Exception:
            # A file cut short, or one that names what this process does not have. Numba would end here, and at every
            # start from now on; what cannot be read is compiled again.
            with suppress(OSError):
                self._files.flush()
            return None

    def object_code(self, signature: Any, target_context: Any) -> "ObjectCode | None":
        """The machine code in Numba's file for this function; None where there is no such file."""
        found = read_object_code(self._files, signature, target_context)
        return None if found is None else ObjectCode(*found)

    def save_overload(self, signature: Any, data: Any) -> None:
        global _missed
        if cache_folder is not None and can_keep():
            try:
                self._files.save_overload(signature, data)
            except OSError as error:  # a disk that is full by now
                _note_problem(cache_folder, error)
        _missed = _missed or not can_keep()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)


class ObjectCode(NamedTuple):
    """A function's machine code as the compiler left it, ELF on Linux. symbol: its name in there."""

    symbol: str
    code: bytes


_ALL = "training.objects"  # a file in the cache folder


def all_compiled() -> bool:
    """Whether everything that training runs was compiled here before, so that a start needs only load it."""
    return cache_folder is not None and (cache_folder / _ALL).exists()


def keep_all(objects: dict[str, ObjectCode]) -> None:
    """Keep the machine code of everything that training runs, by the names that callers know, for later starts.

    A start whose compiling was broken off must not, for the next goes on with it.
    """
    if cache_folder is None or not can_keep():
        return
    content = pickle.dumps({name: tuple(each) for name, each in objects.items()})
    partial = cache_folder / f"{_ALL}.{os.getpid()}"
    try:
        partial.write_bytes(hashlib.sha256(content).digest() + content)
        os.replace(partial, cache_folder / _ALL)
    except OSError:
        with suppress(OSError):
            partial.unlink()


def read_all() -> dict[str, ObjectCode] | None:
    """What `keep_all` kept, in the same order; None, and gone, where it is not as it was written."""
    if cache_folder is None:
        return None
    try:
        content = (cache_folder / _ALL).read_bytes()
    except OSError:
        return None
    size = hashlib.sha256().digest_size
    if hashlib.sha256(content[size:]).digest() != content[:size]:
        with suppress(OSError):
            (cache_folder / _ALL).unlink()
        return None
    return {name: ObjectCode(*each) for name, each in pickle.loads(content[size:]).items()}
