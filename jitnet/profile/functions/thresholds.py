"""How long an answer may take, who may spend how much of it, and what is worth reading."""

__all__ = [
    "AFTER_COMPILING",
    "FRAME_S",
    "GAIN",
    "LINES_S",
    "LONGER_CHECKS_S",
    "MOST_CHECKS",
    "PARTS_S",
    "REFERENCES",
    "SELDOM",
    "SHORTEST_S",
    "TIME_S",
    "is_gain",
]

TIME_S, SHORTEST_S = 10.0, 2.0
"""Seconds of a whole answer by default, and at least."""

AFTER_COMPILING = 0.9
"""The share of it that follows compiling at least, however long it took to get there."""

FRAME_S = 0.7
"""What the program takes to start, and to print the answer, about."""

LINES_S = 3.0
"""What the line view and its process take, about."""

PARTS_S = {
    "checks": 1.5,
    "races": 1.0,
    "timing": 1.8,
    "threads": 0.4,
    "sampling": 1.0,
    "counting": 0.5,
    "hardware": 0.2,
    "reading": 2.0,
}
"""Seconds of each part, where they are left; the trials of remedies get the rest, and all that more time allows."""

MOST_CHECKS = 4.0
"""Times as long as by default that the checks before the first call may take where the whole answer may be longer."""

LONGER_CHECKS_S = (MOST_CHECKS - 1) * PARTS_S["checks"]

SELDOM = 0.01
"""A hint in a line with less than this share of a call's time is not worth reading, unless its remedy helps."""

REFERENCES = 0.1
"""The share of a call's time from which counting references in a loop is worth a hint."""

GAIN = 1.03
"""A copy that is less than this many times as fast is not faster."""


def is_gain(factor: float, low: float, alike: bool) -> bool:
    """Whether a copy is faster: the whole interval above 1, by 3% or more, with the same results."""
    return alike and low > 1.0 and factor >= GAIN
