"""How a config is made from a user's values, and how a wrong one is told: in one line."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jitnet.errors import UsageError

__all__ = ["CheckedConfig", "Fraction", "any_of", "build", "expected"]

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


class CheckedConfig(BaseModel):
    """A set of fields that is frozen, and checked when it is made."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def gave(self, field: str) -> bool:
        """Whether the user set this field. Where every field is set, the config is a copy of a whole one, and what the
        user meant cannot be told: then no field was."""
        return field in self.model_fields_set and self.model_fields_set != set(type(self).model_fields)


Config = TypeVar("Config", bound=CheckedConfig)


def any_of(names: Sequence[str]) -> str:
    """Names as people list them: "relu, tanh or gelu"."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def expected(kind: type[CheckedConfig], field: str) -> str:
    """What a field takes, for people: "a whole number from 1 to 1,000,000", "a number above 0, up to 1,000"."""
    info = kind.model_fields[field]
    if get_origin(info.annotation) is tuple:
        number, *notes = get_args(get_args(info.annotation)[0])
        limits = [limit for note in notes for limit in note.metadata]
        return f"{'whole ' if number is int else ''}numbers {_range(limits)}, separated by commas"
    if get_origin(info.annotation) is Literal:
        return any_of(get_args(info.annotation))
    if info.annotation is bool:
        return "yes or no"
    if isinstance(info.annotation, type) and issubclass(info.annotation, CheckedConfig):
        return f"a table of {', '.join(info.annotation.model_fields)}"
    return f"a {'whole ' if info.annotation is int else ''}number {_range(info.metadata)}"


def _range(limits: list[Any]) -> str:
    bound = {
        name: getattr(limit, name) for limit in limits for name in ("ge", "gt", "le", "lt") if hasattr(limit, name)
    }
    if "lt" in bound and isinstance(bound["lt"], int):
        bound["le"] = bound.pop("lt") - 1
    text = {name: f"{value:,d}" if isinstance(value, int) else f"{value:,.9g}" for name, value in bound.items()}
    if "gt" in text:
        return f"above {text['gt']}" + (f", up to {text['le']}" if "le" in text else "")
    if "lt" in text:
        return f"from {text['ge']} to below {text['lt']}"
    return f"from {text['ge']} to {text['le']}" if "le" in text else f"of {text['ge']} or more"


def build(kind: type[Config], values: dict[str, Any], names: dict[str, str] | None = None) -> Config:
    """Make a config from `values`.

    `names` gives what the user calls a field (an option's name), used in messages in place of the field's own; a field
    of a table is `table.field` there. Raises UsageError with one line: the field, the value found and the range.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        raise UsageError(_complaint(kind, error.errors()[0], names or {})) from None


def _complaint(kind: type[CheckedConfig], error: Any, names: dict[str, str]) -> str:
    if error["type"] == "value_error":  # from a validator of the whole, which writes its own line
        message = str(error["msg"]).removeprefix("Value error, ")
        return re.sub(r"<([\w.]+)>", lambda field: names.get(field[1], field[1]), message)
    field, *rest = (str(part) for part in error["loc"])
    path = field
    while field in kind.model_fields and rest:
        nested = kind.model_fields[field].annotation
        if not (isinstance(nested, type) and issubclass(nested, CheckedConfig)):
            break
        kind, (field, *rest) = nested, rest
        path += "." + field
    name = names.get(path, path)
    if field not in kind.model_fields:
        return f"{name}: there is no such field; there are {', '.join(kind.model_fields)}"
    found = "nothing" if error["type"] == "missing" else repr(error["input"])
    return f"{name}: expected {expected(kind, field)}, found {found}"
