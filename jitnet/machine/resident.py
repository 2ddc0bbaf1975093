"""Memory that this process takes."""

import os
import sys
from pathlib import Path

__all__ = ["most_resident_bytes", "resident_bytes"]


def resident_bytes() -> int:
    """Bytes of memory that this process has now; the most that it has had, where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return most_resident_bytes()
    return pages * os.sysconf("SC_PAGE_SIZE")


def most_resident_bytes() -> int:
    """The most bytes of memory that this process has had; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
