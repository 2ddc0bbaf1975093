"""What a user may have meant by a name that does not exist."""

import difflib
from collections.abc import Iterable

__all__ = ["nearest"]

LEAST_ALIKE = 0.7
"""Share of the letters that must agree: below it a guess is more often wrong than right."""


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """Return the choice that is spelt most like `name`, or None where none is close.

    Case, hyphens, underscores and spaces do not count: "One_Cycle" is close to "one-cycle", "--epoch" to "epochs".
    """
    spelt = {_letters(choice): choice for choice in reversed(list(choices))}
    found = difflib.get_close_matches(_letters(name), spelt, 1, LEAST_ALIKE)
    return spelt[found[0]] if found else None


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character not in "-_ ")
