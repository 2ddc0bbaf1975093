"""How long an answer may take after compiling, and who may spend how much of it."""

__all__ = ["LINES_S", "PARTS_S", "SHORTEST_S", "TIME_S"]

TIME_S, SHORTEST_S = 10.0, 2.0
"""Seconds of a whole answer by default, and at least."""

LINES_S = 3.0
"""What the line view and its process take, about."""

PARTS_S = {"checks": 1.5, "timing": 1.8, "sampling": 1.0, "counting": 0.5, "threads": 0.4, "reading": 2.0, "races": 1.0}
"""Seconds of each part, where they are left; the trials of remedies get the rest, and all that more time allows."""
