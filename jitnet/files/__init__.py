"""The files that the program writes: each whole or not at all, also after a loss of power.

durable.py  replacing a file or a folder, adding a line, making and removing
lock.py     a lock that ends with its process
system.py   the system calls that these make
"""

from jitnet.files.durable import (
    append,
    check_writable,
    create,
    make_folder,
    read_lines,
    remove,
    remove_tree,
    reopen,
    write_whole,
    writing,
)
from jitnet.files.lock import Lock, holder

__all__ = [
    "Lock",
    "append",
    "check_writable",
    "create",
    "holder",
    "make_folder",
    "read_lines",
    "remove",
    "remove_tree",
    "reopen",
    "write_whole",
    "writing",
]
