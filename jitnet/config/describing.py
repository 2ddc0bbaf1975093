"""The fields in words: for `--help`, and for the docstrings of the configs and of functions that take one."""

from functools import cache
from typing import Literal, get_origin

from jitnet.config.checking import CheckedConfig, any_of, expected
from jitnet.config.choices import OPTIMIZERS
from jitnet.config.model import ONLY_WITH_LOSS
from jitnet.config.training import ONLY_WITH

__all__ = ["default_in_words", "describe_field", "describe_fields"]


def describe_field(kind: type[CheckedConfig], field: str, *, typed: bool) -> list[str]:
    """Return sentences: what a field is, with its unit, what it takes, and which choice of another field it needs.

    typed: whether its value is typed in a terminal, where another field is an option.
    """
    info = kind.model_fields[field]
    words = expected(kind, field, typed=typed)
    if get_origin(info.annotation) is Literal:
        words = f"one of {words}"
    sentences = [str(info.description)]
    if words != "yes or no":
        sentences.append(f"{words[0].upper()}{words[1:]}.")
    only_with = ONLY_WITH | ONLY_WITH_LOSS
    if field in only_with:
        chosen, fitting = only_with[field]
        sentences.append(f"Only with {'--' if typed else ''}{chosen} {any_of(fitting)}.")
    return sentences


def default_in_words(kind: type[CheckedConfig], field: str, *, typed: bool) -> str:
    """Return a field's default, and the optimizers' where they have one; "" where a value is required."""
    info = kind.model_fields[field]
    if info.is_required():
        return ""
    defaults = {
        name: optimizer.defaults[field] for name, optimizer in OPTIMIZERS.items() if field in optimizer.defaults
    }
    shown = f"{info.default}" or "none"
    if typed and isinstance(info.default, tuple):
        shown = ",".join(map(str, info.default)) or "none"
    parts = [] if len(defaults) == len(OPTIMIZERS) else [shown]
    return "; ".join([*parts, *(f"{value:g} with {name}" for name, value in defaults.items())])


@cache
def describe_fields(kind: type[CheckedConfig]) -> str:
    """Return all fields of a config for a docstring, those of a table inside it as `table.field`."""
    return "\n".join(f"    {line}" if line else "" for line in _lines(kind, ""))


def _lines(kind: type[CheckedConfig], table: str) -> list[str]:
    lines = []
    for field, info in kind.model_fields.items():
        nested = info.annotation
        if isinstance(nested, type) and issubclass(nested, CheckedConfig):
            about = [str(info.description), f"An {nested.__name__}, or a dict of its fields, which are:"]
            lines += ["", f"{table}{field}", f"    {' '.join(about)}", *_lines(nested, f"{table}{field}.")]
            continue
        what, *limits = describe_field(kind, field, typed=False)
        default = default_in_words(kind, field, typed=False)
        lines += ["", f"{table}{field}", f"    {what}", f"    {' '.join(limits)}"]
        lines.append(f"    Default: {default}." if default else "    Required.")
    return lines
