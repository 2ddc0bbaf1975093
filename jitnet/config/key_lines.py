"""On which line of a TOML text each key is, which Python's reader does not say."""

import re
import tomllib

__all__ = ["key_lines"]

_QUOTES = ('"""', "'''", '"', "'")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"[ \t]*")

Path = tuple[str, ...]


def key_lines(text: str) -> dict[Path, int]:
    """Return the line, from 1, of each key and table header of a text that is valid TOML, by the names of its tables
    and its own. Of what is inside an inline table the line is that of the table."""
    found: dict[Path, int] = {}
    table: Path = ()
    place = counted = 0
    line = 1
    while place < len(text):
        place = _end_of(_BLANK, text, place)
        if text[place : place + 1] in ("", "\n", "\r", "#"):
            place = _next_line(text, place)
            continue
        line, counted = line + text.count("\n", counted, place), place
        if text[place] == "[":
            keys, place = _keys(text, place + 1 + text.startswith("[[", place))
            table = keys
            found.setdefault(table, line)
            place = _next_line(text, place)
            continue
        keys, place = _keys(text, place)
        found.setdefault((*table, *keys), line)
        place = _after_value(text, place + 1)
    return found


def _end_of(pattern: re.Pattern[str], text: str, place: int) -> int:
    match = pattern.match(text, place)
    return match.end() if match else place


def _next_line(text: str, place: int) -> int:
    end = text.find("\n", place)
    return len(text) if end < 0 else end + 1


def _keys(text: str, place: int) -> tuple[Path, int]:
    """The names of a dotted key, and where what follows it begins: a sign of equality or a bracket."""
    keys: list[str] = []
    while True:
        place = _end_of(_BLANK, text, place)
        begin = place
        if text[place] in "\"'":
            place = _after_string(text, place)
            keys.append(tomllib.loads(f"key = {text[begin:place]}")["key"])
        else:
            place = _end_of(_BARE, text, place)
            keys.append(text[begin:place])
        place = _end_of(_BLANK, text, place)
        if text[place : place + 1] != ".":
            return tuple(keys), place
        place += 1


def _after_string(text: str, place: int) -> int:
    quote = next(quote for quote in _QUOTES if text.startswith(quote, place))
    place += len(quote)
    while not text.startswith(quote, place):
        place += 2 if text[place] == "\\" and quote[0] == '"' else 1
    place += len(quote)
    while len(quote) == 3 and text.startswith(quote[0], place):  # quotes that end the string itself
        place += 1
    return place


def _after_value(text: str, place: int) -> int:
    """Where the line after a value begins; an array may have several lines."""
    depth = 0
    while place < len(text):
        character = text[place]
        if character in "\"'":
            place = _after_string(text, place)
            continue
        if character == "#":
            place = _next_line(text, place) - (depth > 0)
            if not depth:
                return place
            continue
        depth += (character in "[{") - (character in "]}")
        place += 1
        if character == "\n" and depth == 0:
            return place
    return place
