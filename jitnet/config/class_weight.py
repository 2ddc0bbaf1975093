"""Weights of classes as text: "balanced", or NAME=WEIGHT for each class that has one."""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from jitnet.config.checking import Spelled, quoted

__all__ = ["BALANCED", "ClassWeight", "class_weights"]

BALANCED = "balanced"
"""Every class has the same weight in all."""

_ENTRY = re.compile(r"\s*(.+?)\s*=\s*([-+]?[\w.]+(?:[eE][-+]\d+)?)\s*(?:,|$)")
"""A name may have commas and equals signs: it ends ahead of the first "=NUMBER" that ends the text or its entry."""


def class_weights(text: str) -> dict[str, float]:
    """Return the weight of each class that is named in a text of NAME=WEIGHT, separated by commas.

    Raises ValueError, in a line that names the field, for another text, a name that comes twice, a weight that is
    negative or not finite, and where all that are named are zero and nothing is said of others.
    """
    found: dict[str, float] = {}
    place = 0
    while place < len(text):
        entry = _ENTRY.match(text, place)
        if entry is None:
            raise ValueError(
                f"<class_weight> is {quoted(text)}; expected {BALANCED}, or NAME=WEIGHT for each class, separated by "
                "commas, cat=1,dog=2.5 for example"
            )
        name, number = entry.groups()
        if name in found:
            raise ValueError(f"<class_weight> has two weights of the class {name!r}; expected one")
        try:
            found[name] = float(number)
        except ValueError:
            found[name] = math.nan
        if not 0.0 <= found[name] < math.inf:
            raise ValueError(
                f"<class_weight> is {number} for the class {name!r}; expected a number of 0 or more; 1 is the "
                "weight of a class that is not named"
            )
        place = entry.end()
    return found


def _as_text(value: Any) -> Any:
    """A dict of weights by the names of classes as the text that it is kept as."""
    if not isinstance(value, Mapping):
        return "" if value is None else value
    return ",".join(f"{name}={weight}" for name, weight in value.items())


ClassWeight = Annotated[
    str, BeforeValidator(_as_text), Spelled(f"{BALANCED}, or NAME=WEIGHT for each class, separated by commas")
]
"""The type of the field."""
