"""Paths as a reader is shown them, on the screen and in a page; documents have whole ones."""

import os
import sys

__all__ = ["path_text"]


def path_text(file: str) -> str:
    """Return a path as short as it can be typed: relative to the current folder, or to where it is imported from."""
    for folder in ("", *sorted(sys.path, key=len, reverse=True)):
        start = os.path.join(os.path.abspath(folder), "")
        if file.startswith(start):
            return file.removeprefix(start)
    return file
