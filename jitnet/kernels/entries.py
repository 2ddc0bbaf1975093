"""How an input that is not zero is stored: its column, and behind it its byte, in one uint32.

Without Numba: data are brought into this form ahead of any compiled code.
"""

__all__ = ["BYTE_BITS", "MOST_COLUMNS"]

BYTE_BITS = 8
"""Bits of the byte, which are the lowest; 0 where an entry's value is a float32 beside it."""

MOST_COLUMNS = 1 << (32 - BYTE_BITS)
"""Columns that have a number."""
