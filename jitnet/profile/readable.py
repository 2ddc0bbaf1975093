"""Numba's errors and the symbols of its functions, as readable text. Does not load Numba."""

import re

__all__ = ["demangle", "message_lines", "without_colours"]

PLACES = ("Failed in", "File ", "This error", "During:", "<source", ">>>")
"""How lines of an error begin that name a place, and not what is wrong."""


def demangle(name: str) -> str:
    """Return a function's Python name, `module.function`, from its linker name; other names unchanged.

    Numba's begin with _ZN, then each part with its length; characters that a name may not have are in hexadecimal.
    """
    prefix = name[: max(0, name.find("_ZN"))]
    rest = name[len(prefix) + 3 :] if "_ZN" in name else ""
    parts = []
    while match := re.match(r"\d+", rest):
        begin, length = len(match[0]), int(match[0])
        parts.append(rest[begin : begin + length])
        rest = rest[begin + length :]
    if not parts:
        return name
    from_python = parts[0] == "cpython"
    text = ".".join(parts[from_python:])
    for written, meant in (("_3clocals_3e", "<locals>"), ("_3cdynamic_3e", "<dynamic>"), ("_3clambda_3e", "<lambda>")):
        text = text.replace(written, meant)
    return f"{text}[from_Python]" if from_python else f"{text}[from_C]" if prefix == "cfunc." else text


def without_colours(text: str) -> str:
    """Return the text without a terminal's control sequences."""
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def message_lines(error: BaseException) -> list[str]:
    """Return the lines of an error that say what is wrong; Numba's errors are a page, mostly of places."""
    lines = [line.strip() for line in without_colours(str(error)).splitlines() if line.strip()]
    found = [line for line in lines if not line.startswith(PLACES)] or lines or [type(error).__name__]
    called = next((line.removeprefix(">>>").strip() for line in lines if line.startswith(">>>")), "")
    if called and found[0].endswith("found for signature:"):
        found[0] += f" {called}"
    return found
