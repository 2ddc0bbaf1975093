"""Layers whose parameters keep their values, as text: "all-but-last", or the numbers of layers."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator

from jitnet.config.checking import Spelled, quoted

__all__ = ["ALL_BUT_LAST", "Freeze", "frozen_layers"]

ALL_BUT_LAST = "all-but-last"
"""Every layer except the last one."""


def frozen_layers(text: str, count: int | None = None) -> frozenset[int]:
    """Return the numbers of the layers that a text names, of a network of `count` layers, counted from 0.

    count: None checks only how the text is spelled. Raises ValueError, in a line that names the field, for another
    text, for a layer that the network does not have, and where no layer is left to train.
    """
    if text == ALL_BUT_LAST:
        return frozenset(range((count or 1) - 1))
    found = set[int]()
    for part in text.split(",") if text else ():
        number = part.strip()
        if not (number.isascii() and number.isdigit()):
            raise ValueError(
                f"<freeze> is {quoted(text)}; expected {ALL_BUT_LAST}, or numbers of layers from 0, separated by "
                "commas, 0,1 for example"
            )
        found.add(int(number))
    if count is not None:
        if found and max(found) >= count:
            only = f"from 0 to {count - 1}" if count > 1 else "0 alone"
            raise ValueError(f"<freeze> is {text}, and the network has no layer {max(found)}; expected {only}")
        if len(found) == count:
            raise ValueError(
                f"<freeze> is {text}, which are all layers of the network: nothing is left to train; leave one out"
            )
    return frozenset(found)


def _as_text(value: Any) -> Any:
    """A number or several as the text that they are kept as."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return ",".join(map(str, value))
    return "" if value is None else value


Freeze = Annotated[
    str, BeforeValidator(_as_text), Spelled(f"numbers of layers from 0, separated by commas, or {ALL_BUT_LAST}")
]
"""The type of the field."""
