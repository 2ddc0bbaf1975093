"""LLVM's processors by name."""

import difflib
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jitnet.errors import JitnetError, UsageError

__all__ = ["Processor", "find_processor"]


@dataclass(frozen=True)
class Processor:
    """name: LLVM's. triple: of code for it. host: whether it is this machine's."""

    name: str
    triple: str
    host: bool = False


_TRIPLES = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu")
_LIST = (
    "import sys, llvmlite.binding as llvm; llvm.initialize_all_targets(); llvm.initialize_all_asmprinters(); "
    "llvm.Target.from_triple(sys.argv[1]).create_target_machine(cpu='help')"
)
_ONLY_32_BITS = re.compile(r"i[3-6]86|pentium|athlon(-|$)|k6|c3|geode|lakemont|winchip|yonah|prescott$|generic$|help$")


@cache
def _known_processors() -> dict[str, str]:
    """Return all names that LLVM knows, with triples. LLVM prints its list once a process: one process for each."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _LIST, triple], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for triple in _TRIPLES
    ]
    found: dict[str, str] = {}
    for triple, process in zip(_TRIPLES, processes, strict=True):
        text, _ = process.communicate()
        listed = text.partition("Available CPUs")[2].partition("Available features")[0]
        for name in re.findall(r"^\s+(\S+)\s+- Select the", listed, re.MULTILINE):
            if not _ONLY_32_BITS.match(name):
                found.setdefault(name, triple)
    if not found:
        raise JitnetError("LLVM prints no list of processors here; leave --cpu out to look at this machine's code")
    return found


def find_processor(name: str) -> Processor:
    """Return LLVM's processor of this name. Raises UsageError where there is none, with similar names."""
    known = _known_processors()
    if name not in known:
        similar = _similar(name, [one for one in known if "_" not in one])
        raise UsageError(f"--cpu {name}: LLVM knows no such processor; {similar}")
    return Processor(name, known[name])


def _similar(name: str, names: Sequence[str]) -> str:
    """Return names with a similar spelling or the same beginning."""
    plain = name.lower().replace("_", "-")
    found = difflib.get_close_matches(plain, names, 4, 0.6)
    stem = re.split(r"[-\d]", plain)[0]
    found += [one for one in names if len(stem) >= 3 and one.startswith(stem) and one not in found][: 6 - len(found)]
    if found:
        return f"similar names: {', '.join(found)}"
    return "some that it knows: icelake-server, sapphirerapids, znver3, znver4, apple-m1, neoverse-n1"
