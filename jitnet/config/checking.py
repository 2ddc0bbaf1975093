"""How a config is made from a user's values, and how a wrong value is reported: in one line."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from jitnet.config.nearest import nearest
from jitnet.errors import UsageError

__all__ = [
    "CheckedConfig",
    "Fraction",
    "Spelled",
    "any_of",
    "build",
    "check_arguments",
    "check_callback",
    "check_only_with",
    "check_whole_number",
    "expected",
    "fits",
    "quoted",
]


@dataclass(frozen=True)
class Spelled:
    """Beside the type of a field that is text: what it may be, in words."""

    how: str


Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]

LONGEST = 60
"""Characters of a wrong value that a message quotes."""


class CheckedConfig(BaseModel):
    """A set of fields that is frozen, and checked when it is made: UsageError names the field that is wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, /, *unnamed: Any, **values: Any) -> None:
        kind = type(self)
        if unnamed:
            first = next(iter(kind.model_fields))
            raise UsageError(
                f"{kind.__name__}: expected fields by name, as in {kind.__name__}({first}=...), "
                f"found {quoted(unnamed[0])} without a name"
            )
        _check_types(kind, values)
        with _in_one_line(kind, {}):
            super().__init__(**values)

    # Without this mark pydantic makes a table inside a config by calling this constructor, and the error names the
    # field without its table.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """Return a config from a dict of its fields; UsageError where one does not fit."""
        _check_types(cls, obj)
        with _in_one_line(cls, {}):
            return super().model_validate(obj, **options)

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """Return a config from a JSON object of its fields; UsageError where one does not fit."""
        with _in_one_line(cls, {}):
            return super().model_validate_json(json_data, **{"strict": True, **options})

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a config with the fields of `update` replaced; UsageError where one does not fit."""
        if not update:
            return super().model_copy(deep=deep)
        chosen = {field: getattr(self, field) for field in type(self).model_fields if field in self.model_fields_set}
        return type(self)(**{**chosen, **update})

    if not TYPE_CHECKING:  # a type checker would take a class with this method to have any attribute

        def __setattr__(self, name: str, value: Any) -> NoReturn:
            kind = type(self)
            if name not in kind.model_fields:
                raise UsageError(_no_such_field(name, kind, name))
            raise UsageError(
                f"{name}: a {kind.__name__} cannot be changed; "
                f"make another: config.model_copy(update={{{name!r}: {quoted(value)}}})"
            )

        def __delattr__(self, name: str) -> NoReturn:
            raise UsageError(f"{name}: a {type(self).__name__} cannot be changed")

    def gave(self, field: str) -> bool:
        """Whether the user set this field. Where every field is set, the config is a copy of a complete one, and what
        the user set is unknown: then the result is False for all."""
        return field in self.model_fields_set and self.model_fields_set != set(type(self).model_fields)


Config = TypeVar("Config", bound=CheckedConfig)


def any_of(names: Sequence[str]) -> str:
    """Names as people list them: "relu, tanh or gelu"."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def expected(kind: type[CheckedConfig], field: str, *, typed: bool = True) -> str:
    """Return what a field takes, in words: "a whole number from 1 to 1,000,000", "a number above 0, up to 1,000".

    typed: whether the value is typed in a terminal, or else is a Python object.
    """
    info = kind.model_fields[field]
    if type(None) in get_args(info.annotation):  # a field that may be left out
        number, limits = _number(get_args(info.annotation)[0])
        return f"a {'whole ' if number is int else ''}number {_range(limits)}"
    if get_origin(info.annotation) is tuple:
        number, limits = _number(get_args(info.annotation)[0])
        numbers = f"{'whole ' if number is int else ''}numbers {_range(limits)}"
        return f"{numbers}, separated by commas" if typed else f"a tuple of {numbers}"
    if get_origin(info.annotation) is Literal:
        return any_of(get_args(info.annotation))
    if info.annotation is str:
        return next(note.how for note in info.metadata if isinstance(note, Spelled))
    if info.annotation is bool:
        return "yes or no" if typed else "True or False"
    if isinstance(info.annotation, type) and issubclass(info.annotation, CheckedConfig):
        return f"a table of {', '.join(info.annotation.model_fields)}"
    return f"a {'whole ' if info.annotation is int else ''}number {_range(info.metadata)}"


def _number(annotation: Any) -> tuple[type, list[Any]]:
    """The type of an annotated number, and its limits."""
    number, *notes = get_args(annotation)
    return number, [limit for note in notes for limit in note.metadata]


def _range(limits: list[Any]) -> str:
    bound = {
        name: getattr(limit, name) for limit in limits for name in ("ge", "gt", "le", "lt") if hasattr(limit, name)
    }
    if "lt" in bound and isinstance(bound["lt"], int):
        bound["le"] = bound.pop("lt") - 1
    text = {name: f"{value:,d}" if isinstance(value, int) else f"{value:,.9g}" for name, value in bound.items()}
    if "gt" in text:
        most = f", up to {text['le']}" if "le" in text else f" and below {text['lt']}" if "lt" in text else ""
        return f"above {text['gt']}{most}"
    if "lt" in text:
        return f"from {text['ge']} to below {text['lt']}"
    return f"from {text['ge']} to {text['le']}" if "le" in text else f"of {text['ge']} or more"


def build(kind: type[Config], values: dict[str, Any], names: dict[str, str] | None = None) -> Config:
    """Return a config made from `values`, of which numbers may be text, as typed in a terminal.

    `names` maps a field to the user's name for it (an option's), which messages use; a field of a table is
    `table.field` there. Raises UsageError with one line: the field, the value found and the range.
    """
    with _in_one_line(kind, names or {}):
        return super(CheckedConfig, kind).model_validate(values)


def fits(kind: type[CheckedConfig], field: str, value: object) -> bool:
    """Return whether a field may have this value, by its type and range alone; whether it fits the other fields shows
    when the config is made."""
    try:
        _check_types(kind, {field: value})
        _adapter(kind, field).validate_python(value)
    except (UsageError, ValidationError):
        return False
    return True


@cache
def _adapter(kind: type[CheckedConfig], field: str) -> TypeAdapter[Any]:
    info = kind.model_fields[field]
    limited: Any = Annotated[info.annotation, info]
    return TypeAdapter(limited, config=ConfigDict(allow_inf_nan=False))


def check_arguments(call: str, **arguments: tuple[object, type | tuple[type, ...]]) -> None:
    """Raise UsageError where an argument is not of its parameter's type.

    call: the function and its parameters, as in "train(model, dataset, config)". arguments: for each parameter the
    value and the types that it may have.
    """
    for name, (value, kinds) in arguments.items():
        if not isinstance(value, kinds):
            wanted = [
                "None" if kind is type(None) else kind.__name__
                for kind in (kinds if isinstance(kinds, tuple) else (kinds,))
            ]
            raise UsageError(
                f"{name} is of type {type(value).__name__}; expected {any_of(wanted)}; call {call} in this order"
            )


def check_whole_number(name: str, value: object, low: int, high: int) -> int:
    """Return value as an int; UsageError where it is not a whole number from low to high."""
    # Not isinstance: asking for a protocol takes longer than predicting a sample.
    number = value.__index__() if hasattr(value, "__index__") and value.__class__ is not bool else None
    if number is not None and low <= number <= high:
        return int(number)
    raise UsageError(f"{name}: expected a whole number from {low:,d} to {high:,d}, found {quoted(value)}")


def check_callback(name: str, value: object) -> None:
    """Raise UsageError where value is neither None nor a function."""
    if value is not None and not callable(value):
        raise UsageError(f"{name} is of type {type(value).__name__}; expected a function or None")


def check_only_with(config: CheckedConfig, only_with: Mapping[str, tuple[str, Sequence[str]]]) -> None:
    """Raise ValueError, in a line that names fields, where the user set a field that another choice has no use for.

    only_with: for each such field the one that chooses, and what it must be.
    """
    for field, (chosen, fitting) in only_with.items():
        if config.gave(field) and getattr(config, chosen) not in fitting:
            value = getattr(config, field)
            shown = ", ".join(f"{each:g}" for each in (value if isinstance(value, tuple) else (value,))) or "empty"
            raise ValueError(
                f"<{field}> is {shown}, which <{chosen}> {getattr(config, chosen)} does not use; expected <{chosen}> "
                f"{any_of(fitting)}"
            )


def _check_types(kind: type[CheckedConfig], values: object, table: str = "") -> None:
    """UsageError where the value of a field is of another type than the field, which pydantic would convert: text or
    True as a number, text or a number as True."""
    for field, value in values.items() if isinstance(values, Mapping) else ():
        wanted = kind.model_fields[field].annotation if field in kind.model_fields else Literal
        if isinstance(wanted, type) and issubclass(wanted, CheckedConfig):
            _check_types(wanted, value, f"{table}{field}.")
        elif wanted is str:
            if isinstance(value, bool) or not isinstance(value, (str, int, Sequence, Mapping, type(None))):
                raise UsageError(f"{table}{field}: expected {expected(kind, field)}, found {quoted(value)}")
        elif get_origin(wanted) is not Literal and wanted is not Literal:
            for each in value if isinstance(value, (tuple, list)) else (value,):
                is_truth = type(each).__name__ in ("bool", "bool_")  # the second is NumPy's, which is not imported here
                if not is_truth if wanted is bool else is_truth or isinstance(each, (str, bytes)):
                    takes = expected(kind, field, typed=False)
                    raise UsageError(f"{table}{field}: expected {takes}, found {quoted(each)}")


@contextmanager
def _in_one_line(kind: type[CheckedConfig], names: dict[str, str]) -> Iterator[None]:
    """Turn what pydantic raises into a UsageError of one line."""
    try:
        yield
    except ValidationError as error:
        raise _usage_error(kind, error.errors(include_url=False)[0], names) from None


def _usage_error(kind: type[CheckedConfig], error: Any, names: dict[str, str]) -> UsageError:
    if error["type"] == "value_error":  # from a validator of the whole config, which writes the line itself
        return UsageError.of_fields(str(error["msg"]).removeprefix("Value error, "), names)
    if not error["loc"]:
        return UsageError(f"{kind.__name__}: expected its fields and their values, found {quoted(error['input'])}")
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
        return UsageError(_no_such_field(name, kind, field))
    found = "nothing" if error["type"] == "missing" else quoted(error["input"])
    choices = get_args(kind.model_fields[field].annotation) if error["type"] == "literal_error" else ()
    near = nearest(str(error["input"]), choices)
    wanted = expected(kind, field, typed=path in names)
    wrong = UsageError(f"{name}: expected {wanted}, found {found}{_did_you_mean(near)}")
    wrong.field = path
    return wrong


def _no_such_field(name: str, kind: type[CheckedConfig], field: str) -> str:
    near = nearest(field, kind.model_fields)
    return f"{name}: there is no such field; there are {', '.join(kind.model_fields)}{_did_you_mean(near)}"


def _did_you_mean(near: str | None) -> str:
    return f"; did you mean {near}?" if near else ""


def quoted(value: object) -> str:
    """Return a wrong value as a message shows it: in one line, and shortened where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
