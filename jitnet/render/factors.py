"""How many times as fast, in words and in cells of a table."""

from typing import TYPE_CHECKING

from rich.style import Style

from jitnet.bench.figures import three_digits
from jitnet.render.console import BAD, FAINT, GOOD

if TYPE_CHECKING:
    from jitnet.bench.factors import Factor

__all__ = ["STYLES", "between", "sentence", "times"]

STYLES: dict[str, Style] = {"faster": GOOD, "slower": BAD, "same": FAINT}
"""How each verdict looks."""


def times(value: float) -> str:
    """ "1.80x"."""
    return f"{three_digits(value)}x"


def between(factor: "Factor") -> str:
    """The range of a factor: "1.7 to 1.9"."""
    return _range(factor.low, factor.high)


def _range(low: float, high: float) -> str:
    decimals = _decimals(low, high)
    return f"{low:,.{decimals}f} to {high:,.{decimals}f}"


def _decimals(low: float, high: float) -> int:
    """As many as tell both ends apart: 1 where they differ by a tenth or more."""
    return 0 if low >= 100 else 1 if high - low >= 0.1 and low >= 0.1 else 2


def sentence(factor: "Factor", verdict: str, threshold: float = 0.0) -> str:
    """What a factor and its verdict say of the second: "1.8 x as fast (1.7 to 1.9)".

    threshold: the share up to which a change is not named, where the reader must know it.
    """
    if verdict == "same":
        what = f"no change above {threshold:.0%}" if threshold else "no difference could be measured"
        return f"{what} ({_range(factor.low, factor.high) if factor.samples > 1 else 'timed once'})"
    value, low, high = factor.value, factor.low, factor.high
    if verdict == "slower":
        value, low, high = 1 / value, 1 / high, 1 / low
    number = f"{value:,.{_decimals(low, high)}f} x as"
    among = _range(low, high) if factor.samples > 1 else "timed once, so its range is not known"
    return f"{number} fast ({among})" if verdict == "faster" else f"slower, {number} long ({among})"
