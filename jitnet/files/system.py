"""The system calls by which files change, each a name that is looked up when it is called.

So a test can record the calls of a save, and let any of them fail.
"""

import os
import sys

__all__ = ["chmod", "close", "mkdir", "open_file", "rename", "rmdir", "sync", "truncate", "unlink", "write"]

open_file = os.open
write = os.write
truncate = os.ftruncate
close = os.close
chmod = os.chmod
rename = os.replace
unlink = os.unlink
mkdir = os.mkdir
rmdir = os.rmdir


def sync(descriptor: int) -> None:
    """Wait until the disk has a file's content, or a folder's names."""
    if sys.platform == "darwin":  # fsync leaves them in the drive's cache there
        import fcntl

        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        except OSError:  # a file system that does not know it
            os.fsync(descriptor)
    else:
        os.fsync(descriptor)
