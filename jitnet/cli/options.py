"""Options that set a field of a config: one line each in `NETWORK` and `TRAINING`.

Help text, range and default are those of the field in `jitnet.config`; they are written there and nowhere else.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import typer

from jitnet.config import HYPERPARAMETERS, ModelConfig, TrainConfig, build, expected, recipe

__all__ = ["NETWORK", "TRAINING", "Field", "configure", "with_fields"]

Config = ModelConfig | TrainConfig
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Field:
    """An option for one field of a config.

    kind: the config. name: the field, dotted inside a table (`augment.shift`). flags: what is typed, the long first.
    note: what the help adds to the field's own description.
    """

    kind: type[Config]
    name: str
    flags: tuple[str, ...]
    note: str = ""

    @property
    def parameter(self) -> str:
        """The name under which the value reaches the command."""
        return self.name.replace(".", "_")

    @property
    def home(self) -> tuple[type[Any], str]:
        """The config or table that holds the field, and the field's name there."""
        table, _, leaf = self.name.rpartition(".")
        return (self.kind.model_fields[table].annotation, leaf) if table else (self.kind, leaf)  # type: ignore[return-value]

    @property
    def choices(self) -> list[str]:
        kind, leaf = self.home
        annotation = kind.model_fields[leaf].annotation
        return list(get_args(annotation)) if get_origin(annotation) is Literal else []

    @property
    def help(self) -> str:
        kind, leaf = self.home
        default = kind.model_fields[leaf].default
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else f"{default}"
        words = f"one of {expected(kind, leaf)}" if self.choices else expected(kind, leaf)
        range_ = "" if words == "yes or no" else f" {words[0].upper()}{words[1:]}."
        return f"{kind.model_fields[leaf].description}{range_}{' ' + self.note if self.note else ''} [default: {shown}]"

    def read(self, text: Any) -> Any:
        """What is typed, as the config takes it: a list from commas. Whether it fits is left for the config to say."""
        kind, leaf = self.home
        if get_origin(kind.model_fields[leaf].annotation) is not tuple:
            return text
        return tuple(part.strip() for part in text.split(",")) if text.strip() else ()


NETWORK = [
    Field(ModelConfig, "hidden", ("--hidden",), 'For example 256,128; "" is softmax regression.'),
    Field(ModelConfig, "activation", ("--activation",)),
]

TRAINING = [
    Field(TrainConfig, "epochs", ("--epochs",)),
    Field(TrainConfig, "batch_size", ("--batch-size",)),
    Field(TrainConfig, "learning_rate", ("--learning-rate", "--lr")),
    Field(TrainConfig, "optimizer", ("--optimizer",)),
    *(Field(TrainConfig, name, ("--" + name.replace("_", "-"),)) for name in HYPERPARAMETERS),
    Field(TrainConfig, "weight_decay", ("--weight-decay",)),
    Field(TrainConfig, "schedule", ("--schedule",), "--print-schedule draws it."),
    Field(TrainConfig, "warmup", ("--warmup",)),
    Field(TrainConfig, "step_every", ("--step-every",)),
    Field(TrainConfig, "decay", ("--decay",)),
    Field(TrainConfig, "final_fraction", ("--final-fraction",)),
    Field(TrainConfig, "dropout", ("--dropout",), "For example 0.2, or 0.2,0.5 for two hidden layers."),
    Field(TrainConfig, "input_dropout", ("--input-dropout",)),
    Field(TrainConfig, "max_norm", ("--max-norm",)),
    Field(TrainConfig, "label_smoothing", ("--label-smoothing",)),
    Field(TrainConfig, "clip_norm", ("--clip-norm",)),
    Field(TrainConfig, "ema", ("--ema",), "The averages are tested and saved in place of the weights."),
    Field(TrainConfig, "augment.shift", ("--shift",)),
    Field(TrainConfig, "augment.rotation", ("--rotation",)),
    Field(TrainConfig, "augment.scaling", ("--scaling",)),
    Field(TrainConfig, "augment.shear", ("--shear",)),
    Field(TrainConfig, "augment.elastic", ("--elastic",)),
    Field(TrainConfig, "augment.elastic_sigma", ("--elastic-sigma",)),
    Field(TrainConfig, "val_split", ("--val-split",), "The test data is then looked at once, at the end."),
    Field(TrainConfig, "patience", ("--patience",), "The best epoch's weights are kept."),
    Field(TrainConfig, "monitor", ("--monitor",)),
    Field(TrainConfig, "target_accuracy", ("--target-acc",), "Where the epochs end below it, the exit code is 4."),
    Field(TrainConfig, "seed", ("--seed",), "The same seed gives the same bits at any number of threads."),
    Field(TrainConfig, "threads", ("--threads",)),
]


def with_fields(*fields: Field) -> Callable[[Function], Function]:
    """Give a command an option for each field; their values reach it as keyword arguments, None where not typed."""

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        added = [
            inspect.Parameter(
                field.parameter, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(field)
            )
            for field in fields
        ]
        parameters = sorted(own + added, key=lambda parameter: parameter.kind)
        function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        function.__annotations__ = {p.name: p.annotation for p in parameters}
        return function

    return decorate


def _annotation(field: Field) -> Any:
    kind, leaf = field.home
    flag = kind.model_fields[leaf].annotation is bool
    flags = [f"{name}/--no-{name.removeprefix('--')}" if flag else name for name in field.flags]
    metavar = (
        None if flag else "TEXT" if field.choices else "NUMBER" if expected(kind, leaf).startswith("a ") else "LIST"
    )
    option = typer.Option(
        *flags,
        help=field.help,
        show_default=False,
        metavar=metavar,
        autocompletion=(lambda incomplete: [c for c in field.choices if c.startswith(incomplete)])
        if field.choices
        else None,
    )
    return Annotated[bool | None if flag else str | None, option]


def configure(values: dict[str, Any], recipe_name: str | None) -> tuple[dict[str, Any], TrainConfig]:
    """The network's fields and the training's config: defaults, then the recipe's fields, then what was typed.

    The network still lacks what only the data set knows, `in_features` and `n_classes`; all else is checked here, so
    that a slip is found before a download. Raises UsageError, which names the option.
    """
    tables = recipe(recipe_name) if recipe_name is not None else {"model": {}, "train": {}}
    chosen = {ModelConfig: dict(tables["model"]), TrainConfig: dict(tables["train"])}
    names = {}
    for field in NETWORK + TRAINING:
        names[field.name] = field.flags[0]
        typed = values.get(field.parameter)
        if typed is None:
            continue
        table, _, leaf = field.name.rpartition(".")
        target = chosen[field.kind]
        if table:
            target = target.setdefault(table, {})
        target[leaf] = field.read(typed)
    build(ModelConfig, {**chosen[ModelConfig], "in_features": 1, "n_classes": 2}, names)
    return chosen[ModelConfig], build(TrainConfig, chosen[TrainConfig], names)
