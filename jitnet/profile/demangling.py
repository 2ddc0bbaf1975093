"""Names of functions as Python has them, from the symbols that Numba makes of them: nothing else is imported for it."""

import re

__all__ = ["demangle"]


def demangle(name: str) -> str:
    """Return the name that Python has for a function, `module.function`, from the linker's; other names as they are.

    Numba's begin with _ZN, then each part with its length; what may not stand in a name is written in hexadecimal.
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
