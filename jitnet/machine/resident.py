"""Memory that this process takes."""

import re
import sys
from pathlib import Path

__all__ = ["most_resident_bytes", "resident_bytes"]


def resident_bytes() -> int:
    """Bytes of memory that this process has now; the most that it has had, where the system does not tell."""
    return _linux("VmRSS") or most_resident_bytes()


def most_resident_bytes() -> int:
    """The most bytes of memory that this process has had; 0 where the system does not tell."""
    if found := _linux("VmHWM"):  # getrusage counts what the parent had when it started this process
        return found
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def _linux(name: str) -> int:
    """A size that Linux keeps of this process, in bytes; 0 elsewhere."""
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    except (OSError, ValueError):
        return 0
    return 1024 * int(found[1]) if found else 0
