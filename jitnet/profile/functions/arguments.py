"""`--args`: a line of words, one an argument, and the arrays and numbers that they describe.

    f4[1000,1000]    an array, in rows (C); the type as NumPy writes it, or in full: float32
    f4[100,100]F     in columns
    f4[100,100]A     strided: every second element of a larger array
    f4[100]R         read-only
    f4(2.5)          one number of that type; f4 alone is 1
    3  2.5  1e-3     an int, a float; also True, False, None and 'text'
    (f4[3], 2.5)     a tuple of any of these
    n=3              any of these for the parameter of that name

Arrays hold reproducible random numbers: floats from 0.1 to 1, and integers that are valid indices of every array in the
line.
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from jitnet.errors import UsageError

__all__ = ["Word", "make_arguments", "read_words"]

TYPES = {
    "b1": "bool", "bool": "bool",
    "i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64",
    "u1": "uint8", "u2": "uint16", "u4": "uint32", "u8": "uint64",
    "f2": "float16", "f4": "float32", "f8": "float64", "c8": "complex64", "c16": "complex128",
}  # fmt: skip
NAMES = TYPES | {full: full for full in TYPES.values()}

ITEM_BYTES = {"bool": 1, "complex64": 8, "complex128": 16}

ARRAY = re.compile(r"(\w+)\[([^\]]*)\](\w*)")
NUMBER = re.compile(r"(\w+)\((.*)\)")
NAMED = re.compile(r"([^\W\d]\w*)=(.*)", re.DOTALL)

TARGET = "MODULE:FUNCTION"
"""What the command line calls the function that is profiled."""

EXAMPLE = '--args "f4[1000,1000] f4[5,5] 3 2.5"'

LARGEST_BYTES = 1 << 33
"""Of one array. More is a typing error, or a case for --setup."""


@dataclass(frozen=True)
class Word:
    """One argument as it was written. shape: None for a number. layout: "C", "F", "A" or "R" (C, read-only). parts: of
    a tuple, None for anything else. name: the parameter that it is for, "" for the next one."""

    text: str
    dtype: str = ""
    shape: tuple[int, ...] | None = None
    layout: str = "C"
    value: Any = None
    parts: "tuple[Word, ...] | None" = None
    name: str = ""


def read_words(text: str) -> list[Word]:
    """Return the arguments in a line; UsageError that names the first word that is not one."""
    words = [_argument(word) for word in _split(text, str.isspace)]
    names: set[str] = set()
    for word in words:
        if word.name in names:
            raise UsageError(f"--args {word.text}: {word.name} is there twice")
        if names and not word.name:
            raise UsageError(f"--args {word.text}: an argument without a name follows one with a name; put it before")
        names |= {word.name} if word.name else set()
    return words


def _argument(text: str) -> Word:
    named = NAMED.fullmatch(text)
    return replace(_word(named[2]), text=text, name=named[1]) if named else _word(text)


def _split(text: str, ends: Callable[[str], bool]) -> list[str]:
    """Split at the characters for which `ends` is true, outside brackets and quotes; spaces there are left out."""
    words, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character in "([") - (character in ")]")
        if ends(character) and not quote and depth <= 0:
            words.append("")
        elif quote or not character.isspace():
            words[-1] += character
    return [word for word in words if word]


def _word(text: str) -> Word:
    if text.startswith("(") and text.endswith(")"):
        inside = text[1:-1]
        parts = tuple(_word(part) for part in _split(inside, ",".__eq__))
        if len(parts) == 1 and not inside.endswith(","):
            return replace(parts[0], text=text)
        return Word(text, parts=parts)
    array, number = ARRAY.fullmatch(text), NUMBER.fullmatch(text)
    if array:
        return _array(text, *array.groups())
    if text in NAMES:
        return Word(text, NAMES[text], value=1)
    if number and number[1] in NAMES:
        return Word(text, NAMES[number[1]], value=_literal(text, number[2], (bool, int, float, complex)))
    return Word(text, value=_literal(text, text, (bool, int, float, complex, str, type(None))))


def _array(text: str, dtype: str, extents: str, layout: str) -> Word:
    if dtype not in NAMES:
        raise UsageError(f"--args {text}: {dtype!r} is not a type; known are {', '.join(TYPES)} and their full names")
    try:
        shape = tuple(int(extent) for extent in extents.split(",")) if extents else ()
    except ValueError:
        shape = (-1,)
    if any(extent < 0 for extent in shape):
        raise UsageError(f"--args {text}: extents are whole numbers of 0 or more, as in f4[1000,1000]")
    if layout not in ("", "C", "F", "A", "R"):
        raise UsageError(f"--args {text}: {layout!r} is not a layout; C rows, F columns, A strided, R read-only")
    size = ITEM_BYTES.get(NAMES[dtype], int(re.sub(r"\D", "", NAMES[dtype]) or 8) // 8)
    for extent in shape:
        size *= extent
    if size > LARGEST_BYTES:
        raise UsageError(
            f"--args {text}: an array of {size / 2**30:.0f} GiB; expected at most {LARGEST_BYTES >> 30} GiB"
        )
    return Word(text, NAMES[dtype], shape, layout or "C")


def _literal(word: str, text: str, kinds: tuple[type, ...]) -> Any:
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        value = ...
    if not isinstance(value, kinds):
        raise UsageError(f"--args {word}: is neither an array nor a number; write for example {EXAMPLE}")
    return value


def make_arguments(words: list[Word]) -> tuple[Any, ...]:
    """Make the arguments that the words describe, in their order, always with the same numbers. Needs NumPy."""
    import numpy as np

    generator = np.random.default_rng(0)
    index_limit = min((extent for word in words for extent in _extents(word) if extent > 0), default=8)

    def values(kind: Any, shape: tuple[int, ...]) -> Any:
        if kind.kind == "b":
            return np.asarray(generator.integers(0, 2, shape), bool)
        if kind.kind in "iu":
            return np.asarray(generator.integers(0, min(index_limit, int(np.iinfo(kind).max) + 1), shape), kind)
        if kind.kind == "c":
            return np.asarray(generator.uniform(0.1, 1, shape) + 1j * generator.uniform(0.1, 1, shape), kind)
        return np.asarray(generator.uniform(0.1, 1, shape), kind)

    def made(word: Word) -> Any:
        if word.parts is not None:
            return tuple(made(part) for part in word.parts)
        if not word.dtype:
            return word.value
        kind = np.dtype(word.dtype)
        if word.shape is None:
            return kind.type(word.value)
        if word.layout == "A" and word.shape:
            wide = (*word.shape[:-1], 2 * word.shape[-1])
            return values(kind, wide)[..., ::2]
        array = np.asarray(values(kind, word.shape), order="F" if word.layout == "F" else "C")
        array.flags.writeable = word.layout != "R"
        return array

    return tuple(made(word) for word in words)


def _extents(word: Word) -> Iterator[int]:
    """Yield the extents of an array, or of all arrays in a tuple."""
    yield from word.shape or ()
    for part in word.parts or ():
        yield from _extents(part)
