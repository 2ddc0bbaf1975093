"""What a user may have meant by a name that does not exist."""

import difflib
from collections.abc import Iterable

__all__ = ["nearest"]

MIN_RATIO = 0.7
"""Share of the letters that must agree: below it a suggestion is more often wrong than right."""


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """Return the choice that is spelled most like `name`, or None where none is close.

    Case, hyphens, underscores and spaces do not count: "One_Cycle" is close to "one-cycle", "--epoch" to "epochs".
    """
    spelled = {_letters(choice): choice for choice in reversed(list(choices))}
    found = difflib.get_close_matches(_letters(name), spelled, 1, MIN_RATIO)
    return spelled[found[0]] if found else None


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character not in "-_ ")
