"""How every command reads its arguments: it rejects those that cannot be right, and suggests what may be meant.

Swapped arguments, a data set in place of a model for example, are recognised by what they name.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from jitnet.config import recipe_names
from jitnet.config.nearest import nearest
from jitnet.errors import ModelError, UsageError

__all__ = ["Command", "expect_data", "expect_model", "kind_of", "meant_by", "model_at"]

DATA_NAMES = ("mnist", "fashion-mnist", "digits")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".npy")
LONGEST_HEADER = 1 << 24  # bytes of a .safetensors file's header

CHECKED_LATER = ("LIST", "NUMBER", "PERCENT", "TEXT")
"""Metavars of options for which an empty value has a meaning, or whose own check says what is expected."""


_TYPE = re.compile(r" <[^>]*>$")
_RANGE = re.compile(r"; [\d<=>x]+(?=\]$)|\s*\[[\d<=>x]+\]$")
"""What typer adds to the name of an argument, and to the help of a number: both are in the help's own words."""


class Command(TyperCommand):
    """A command that rejects empty names and paths, and suggests what a wrong option or argument may mean."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage line: a required argument as it is, one that may be left out in brackets."""
        return [re.sub(r"^\{(.*)\}|^\[(\[.*\])\]", r"\1\2", piece) for piece in super().collect_usage_pieces(ctx)]

    def help_records(self, ctx: Any, parameters: Sequence[Any]) -> list[tuple[str, str]]:
        """Name and help of each parameter that `--help` shows, without typer's notation for types and ranges."""
        records = [(parameter, parameter.get_help_record(ctx)) for parameter in parameters]
        return [
            (_TYPE.sub("..." if parameter.nargs == -1 else "", record[0]), _RANGE.sub("", record[1]))
            for parameter, record in records
            if record
        ]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the options."""
        parameters = self.get_params(ctx)
        for heading, kind in (("Arguments", "argument"), ("Options", "option")):
            records = self.help_records(ctx, [one for one in parameters if one.param_type_name == kind])
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; UsageError, or one of typer's errors, where they cannot be right."""
        try:
            if ctx.resilient_parsing:  # completing a word
                return super().parse_args(ctx, args)
            self._check(ctx, list(args))
            ctx.allow_extra_args = True  # they are rejected here
            rest = super().parse_args(ctx, args)
            if rest and not rest[0].strip():
                raise UsageError("an argument is empty; expected a name or a path")
            if rest:
                meant = meant_by(rest[0], _flags(self.get_params(ctx)))
                hint = f"; did you mean {meant}?" if meant else ""
                ctx.fail(f"unexpected extra argument(s) ({' '.join(rest)}){hint}")
            return rest
        except typer.TyperException as error:
            if getattr(error, "ctx", None) is None:
                error.ctx = ctx  # type: ignore[attr-defined]
            if hasattr(error, "possibilities"):  # no such option; typer's suggestions may be far from it
                near = nearest(error.option_name, _flags(self.get_params(ctx)))  # type: ignore[attr-defined]
                error.possibilities = None
                error.message += f"; did you mean {near}?" if near else ""
            raise

    def _check(self, ctx: Any, args: list[str]) -> None:
        typed, _, _ = self.make_parser(ctx).parse_args(args=args)
        for parameter in [] if typed.get("help") else self.get_params(ctx):
            found = typed.get(parameter.name)
            for text in found if isinstance(found, list | tuple) else [found]:
                if isinstance(text, str):
                    _check_text(parameter, text)


def _flags(parameters: Sequence[Any]) -> list[str]:
    return [flag for parameter in parameters for flag in parameter.opts if flag.startswith("--")]


def _check_text(parameter: Any, text: str) -> None:
    """UsageError for an empty name or path, and for a number out of its range."""
    takes = (parameter.metavar or parameter.name.upper()).strip("[]")
    name = parameter.opts[0] if parameter.opts[0].startswith("-") else takes
    if not text.strip() and takes not in CHECKED_LATER:
        raise UsageError(f"{name} is empty; expected {takes if takes != name else 'a name or a path'}")
    low, high = getattr(parameter, "min", None), getattr(parameter, "max", None)
    if low is not None:
        digits = text.strip().removeprefix("+")
        if not (digits.isascii() and digits.isdigit() and low <= int(digits) <= (high or int(digits))):
            scale = f"from {low:,} to {high:,}" if high is not None else f"of {low:,} or more"
            raise UsageError(f"{name}: expected a whole number {scale}, found {text!r}")


def meant_by(word: str, flags: Sequence[str]) -> str:
    """What an extra argument may mean to a command with these options; "" where that is unknown."""
    kind = kind_of(word)
    if "--data" in flags and kind == "data":
        return f"--data {_data_name(word) or word}"
    if "--recipe" in flags and (near := nearest(word, recipe_names())):
        return f"--recipe {near}"
    return {"picture": f"jitnet predict MODEL {word}", "model": f"jitnet eval {word}"}.get(kind, "")


def expect_model(path: Path) -> Path:
    """The word, as typed for a model or a run; UsageError where it names a picture or data, and no run: the arguments
    are swapped. `model_at` finds what it names."""
    try:
        _check_not_swapped(model_at(path))
    except ModelError:  # no run is called so
        _check_not_swapped(path)
    return path


def model_at(path: Path) -> Path:
    """The path of what was typed for a model or a run, as `find_run` takes and refuses it."""
    from jitnet.runs.listing import find_run

    return find_run(str(path))


def config_at(path: Path) -> Path:
    """The path of what was typed for settings: a file, a run as `model_at` takes it, or a recipe's name."""
    if path.name == "@latest":
        return model_at(path)
    try:
        return model_at(path)
    except ModelError:  # the message that it is no file of settings is more to the point
        return path


def _check_not_swapped(path: Path) -> None:
    kind = kind_of(str(path))
    if kind == "picture":
        raise UsageError(f"{path} is a picture; the model comes first: jitnet predict MODEL {path}")
    if kind == "data":
        raise UsageError(f"{path} is data; the model comes first: jitnet eval MODEL --data {path}")


def expect_data(word: str | None) -> str | None:
    """The word, as typed for data; UsageError where it names a model."""
    if word is not None and kind_of(word) == "model":
        raise UsageError(f"{word} is a model; expected data: {', '.join(DATA_NAMES)}, or a file or folder of samples")
    return word


def kind_of(word: str) -> str:
    """What a word names: "model", "picture" or "data"; "" where that is unknown. Of a file only the header is read."""
    path, suffix = Path(word).expanduser(), Path(word).suffix.lower()
    try:
        if suffix in PICTURES:
            return "picture"
        if suffix in (".csv", ".tsv", ".parquet", ".npz"):
            return "data"
        if path.is_dir():
            from jitnet.model import FILE_NAME

            return "model" if (path / FILE_NAME).is_file() else "data" if any(path.glob("*-idx*-ubyte*")) else ""
        if suffix == ".safetensors":
            names = _tensor_names(path)
            return "model" if {"0.weight", "members.0.0.weight"} & names else "data" if "train_images" in names else ""
        return "data" if not path.exists() and _data_name(word) else ""
    except (OSError, ValueError):
        return ""


def _data_name(word: str) -> str | None:
    return nearest(word, DATA_NAMES)


def _tensor_names(path: Path) -> set[str]:
    """The names in a .safetensors file's header; OSError or ValueError where there is none."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return set(json.loads(file.read(min(length, LONGEST_HEADER))))
