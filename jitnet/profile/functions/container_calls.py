"""Calls that an operation of a list, a dictionary or a set becomes in machine code: in words, and what helps."""

import re
from collections.abc import Sequence
from typing import Any

__all__ = ["Access", "Place", "access_of", "accesses_at", "advice_for", "in_words"]

Access = tuple[str, str]
"""A kind of container, and what is done with it: "set", "get", "append", or a method's name."""

Place = tuple[str, int]
"""A file and a line of it."""

LIST, DICTIONARY = "typed list", "typed dictionary"

COMPILED = re.compile(r"numba\.typed\.(list|dict)object\.(?:impl_|ol_)?(\w+)")
"""Numba's functions for typed containers, where they are not inlined."""

LIBRARY = re.compile(
    r"numba_(list|dict)_(size_address|base_ptr|append|setitem|getitem|pop|insert|delitem|lookup|popitem|iter_next)\w*"
)
"""Functions of its library that do their work."""

OPERATIONS = {
    "setitem": "set", "getitem": "get", "size_address": "get", "base_ptr": "get", "lookup": "get", "contains": "get",
    "iter_next": "get",
}  # fmt: skip

VERBS = {
    "set": "setting an element of", "get": "reading an element of", "append": "appending to", "add": "adding to",
    "pop": "taking an element out of",
}  # fmt: skip

OF_KEYS = VERBS | {"set": "storing a value in", "insert": "storing a value in", "get": "looking up a key in"}
"""The same for a dictionary."""

ADVICE = {
    LIST: "Use an array in its place, whose elements are accessed without a call. Where it has to be a list, copy its "
    "elements into an array before the loop, and back after it.",
    DICTIONARY: "Where the keys are whole numbers and not large, use an array that they index. Look up before the loop "
    "what is the same in every iteration.",
    "list": "Use an array in its place; a list is also converted element by element in each call from Python.",
    "set": "Where the elements are whole numbers and not large, use an array of flags in its place.",
}


def access_of(callee: str) -> Access | None:
    """Return what a function does with a container, by its name; None where it is not one of theirs."""
    found = COMPILED.match(callee) or LIBRARY.fullmatch(callee)
    if found is None:
        return None
    return LIST if found[1] == "list" else DICTIONARY, OPERATIONS.get(found[2], found[2])


def accesses_at(known: Sequence[dict[str, Any]]) -> dict[Place, dict[Access, str]]:
    """Return what the source does with containers in each line, each access with the container's name; from a reply."""
    found: dict[Place, dict[Access, str]] = {}
    for each in known:
        access = each["container"], each["operation"]
        found.setdefault((each["file"], each["line"]), {})[access] = each["name"]
    return found


def in_words(access: Access, name: str = "") -> str:
    """Return an access in words: "setting an element of the typed list sums"."""
    container, operation = access
    verb = (OF_KEYS if container == DICTIONARY else VERBS).get(operation, "an operation of")
    return f"{verb} {f'the {container} {name}' if name else f'a {container}'}"


def advice_for(container: str) -> str:
    """Return what helps where a loop calls a container's functions."""
    return ADVICE[container]
