"""Options that set a field of a config: one line each in `FIELDS`, under their heading in `--help`.

Help text, range, default and choices are those of the field in `jitnet.config`; they are written only there.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin

import typer

from jitnet.cli.command import Command
from jitnet.cli.common import DATA, OUTPUT
from jitnet.config import (
    ACTIVATIONS,
    HYPERPARAMETERS,
    LOSSES,
    OPTIMIZERS,
    ModelConfig,
    TrainConfig,
    expected,
    losses_for,
    losses_of,
)
from jitnet.config.checking import any_of
from jitnet.config.choices import Loss
from jitnet.config.describing import default_in_words, describe_field
from jitnet.errors import UsageError

if TYPE_CHECKING:
    from jitnet.datasets import TaskAdvice
    from jitnet.runs.run_settings import Settings

__all__ = [
    "FIELDS",
    "NETWORK_NAMES",
    "OPTION_NAMES",
    "CommandWithFields",
    "Field",
    "as_typed",
    "settings_of",
    "task_advice",
    "with_fields",
]

Config = ModelConfig | TrainConfig
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Field:
    """An option for one field of a config.

    kind: the config. name: the field, dotted inside a table (`augment.shift`). flags: what is typed, the long first.
    note: what the help adds to the field's description.
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
        sentences = describe_field(kind, leaf, typed=True)
        return " ".join([*sentences, *([self.note] if self.note else []), f"[default: {self._default}]"])

    @property
    def _default(self) -> str:
        """The field's default; where it depends on the optimizer, where the defaults are listed."""
        kind, leaf = self.home
        if all(leaf in optimizer.defaults for optimizer in OPTIMIZERS.values()):
            return "the optimizer's, below"
        return default_in_words(kind, leaf, typed=True)

    def read(self, text: Any) -> Any:
        """What was typed, as the config takes it: a list is split at commas. Whether it fits, the config checks."""
        kind, leaf = self.home
        if get_origin(kind.model_fields[leaf].annotation) is not tuple:
            return text
        return tuple(part.strip() for part in text.split(",")) if text.strip() else ()


_HEADINGS = (
    DATA,
    "Network",
    "Training",
    "Optimizer",
    "Schedule",
    "Regularisation",
    "Augmentation",
    "Held-out data",
    "Measurement",
    OUTPUT,
)
"""In the order of `--help`. An option without a heading is listed under the last."""

FIELDS: dict[str, tuple[Field, ...]] = {
    "Network": (
        Field(
            ModelConfig,
            "hidden",
            ("--hidden",),
            'For example 256,128; "" is a linear model, softmax regression of classes.',
        ),
        Field(ModelConfig, "activation", ("--activation",)),
        Field(ModelConfig, "norm", ("--norm",)),
        Field(ModelConfig, "residual", ("--residual",)),
        Field(ModelConfig, "input_scale", ("--input-scale",)),
        Field(
            ModelConfig,
            "init",
            ("--init",),
            "Or a saved model, a .safetensors file or a run folder, for example runs/mine: the network starts from its "
            "weights, with its layers, its loss and its scaling of the inputs. Where the data have other classes, the "
            "last layer begins with new weights.",
        ),
        Field(
            ModelConfig,
            "loss",
            ("--loss",),
            "With a loss of numbers, labels are numbers to predict, even if all are whole numbers.",
        ),
        Field(ModelConfig, "huber_delta", ("--huber-delta",)),
        Field(ModelConfig, "quantiles", ("--quantiles",)),
    ),
    "Training": (
        Field(TrainConfig, "epochs", ("--epochs",)),
        Field(TrainConfig, "max_steps", ("--max-steps",), "The last, partial epoch is reported and saved too."),
        Field(TrainConfig, "batch_size", ("--batch-size",)),
        Field(TrainConfig, "seed", ("--seed",), "The same seed gives the same bits at any number of threads."),
        Field(TrainConfig, "threads", ("--threads",)),
        Field(
            TrainConfig,
            "freeze",
            ("--freeze",),
            "For example 0,1; --explain shows the numbers. A step then has no lines for them.",
        ),
    ),
    "Optimizer": (
        Field(TrainConfig, "optimizer", ("--optimizer",)),
        Field(TrainConfig, "learning_rate", ("--learning-rate", "--lr")),
        *(Field(TrainConfig, name, ("--" + name.replace("_", "-"),)) for name in HYPERPARAMETERS),
        Field(TrainConfig, "parametrization", ("--parametrization",)),
        Field(TrainConfig, "bias_rate", ("--bias-rate",)),
        Field(TrainConfig, "input_scale_rate", ("--input-scale-rate",), "Only with --input-scale."),
        Field(TrainConfig, "clip_norm", ("--clip-norm",)),
    ),
    "Schedule": (
        Field(TrainConfig, "schedule", ("--schedule",)),
        Field(TrainConfig, "warmup", ("--warmup",)),
        Field(TrainConfig, "step_every", ("--step-every",)),
        Field(TrainConfig, "decay", ("--decay",)),
        Field(TrainConfig, "final_fraction", ("--final-fraction",)),
    ),
    "Regularisation": (
        Field(TrainConfig, "weight_decay", ("--weight-decay",)),
        Field(TrainConfig, "dropout", ("--dropout",), "For example 0.2, or 0.2,0.5 for two hidden layers."),
        Field(TrainConfig, "input_dropout", ("--input-dropout",)),
        Field(TrainConfig, "max_norm", ("--max-norm",)),
        Field(TrainConfig, "label_smoothing", ("--label-smoothing",)),
        Field(
            TrainConfig,
            "class_weight",
            ("--class-weight",),
            "For example cat=1,dog=2.5. What is tested and held out is not weighted by it.",
        ),
        Field(TrainConfig, "ema", ("--ema",), "The averages are evaluated and saved in place of the weights."),
    ),
    "Augmentation": (
        Field(TrainConfig, "augment.shift", ("--shift",)),
        Field(TrainConfig, "augment.rotation", ("--rotation",)),
        Field(TrainConfig, "augment.scaling", ("--scaling",)),
        Field(TrainConfig, "augment.shear", ("--shear",)),
        Field(TrainConfig, "augment.elastic", ("--elastic",)),
        Field(TrainConfig, "augment.elastic_sigma", ("--elastic-sigma",)),
    ),
    "Held-out data": (
        Field(TrainConfig, "val_split", ("--val-split",), "The test data is then used once, at the end."),
        Field(TrainConfig, "patience", ("--patience",)),
        Field(TrainConfig, "monitor", ("--monitor",)),
        Field(TrainConfig, "keep", ("--keep",)),
        Field(TrainConfig, "target_accuracy", ("--target-acc",), "Where the epochs end below it, the exit code is 4."),
    ),
}
"""Each heading's fields, as `--help` lists them."""


class CommandWithFields(Command):
    """A command whose `--help` has its options under headings, in plain text."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options; after those of a heading, what can be chosen there."""
        # Typer shows headings only in boxes, and calls them panels.
        by_heading: dict[str, list[Any]] = {heading: [] for heading in _HEADINGS}
        for parameter in self.get_params(ctx):
            by_heading.setdefault(getattr(parameter, "rich_help_panel", None) or OUTPUT, []).append(parameter)
        choices = _choices()
        for heading, parameters in by_heading.items():
            records = self.help_records(ctx, parameters)
            if not records:
                continue
            with formatter.section(heading):
                formatter.write_dl(records)
                for parameter in parameters:
                    if parameter.name in choices:
                        title, lines = choices[parameter.name]
                        with formatter.section(title):
                            formatter.write_dl(lines)


def _choices() -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """The options whose choices need a description each: a title, and the choices."""
    rates = {name: f"{kind.defaults['learning_rate']:g}" for name, kind in OPTIMIZERS.items()}
    width = max(map(len, OPTIMIZERS))
    return {
        "activation": ("Activations", [(name, kind.about) for name, kind in ACTIVATIONS.items()]),
        "loss": ("Losses", [(name, _about_loss(kind)) for name, kind in LOSSES.items()]),
        "optimizer": (
            "Optimizers and their default learning rates",
            [(f"{name:{width}}  {rates[name]}", kind.about) for name, kind in OPTIMIZERS.items()],
        ),
    }


def _about_loss(loss: Loss) -> str:
    rates = ", ".join(f"{rate:g} with {optimizer}" for optimizer, rate in loss.learning_rates.items())
    return f"{loss.about}; default learning rates {rates}, else the optimizers'" if rates else loss.about


def with_fields(fields: dict[str, tuple[Field, ...]]) -> Callable[[Function], Function]:
    """Add an option for each field to a command; their values reach it as keyword arguments, None where not typed.

    fields: by the heading under which `--help` shows them, as in `FIELDS`. The command's other options follow them.
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        others = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        added = [
            inspect.Parameter(
                field.parameter, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(field, heading)
            )
            for heading, under in fields.items()
            for field in under
        ]
        parameters = sorted(added + others, key=lambda parameter: parameter.kind)
        function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        function.__annotations__ = {p.name: p.annotation for p in parameters}
        return function

    return decorate


def _annotation(field: Field, heading: str) -> Any:
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
        rich_help_panel=heading,
    )
    return Annotated[bool | None if flag else str | None, option]


NETWORK_NAMES = {field.name: field.flags[0] for field in FIELDS["Network"]}
"""What the user calls the fields of a network."""

OPTION_NAMES = {field.name: field.flags[0] for field in chain(*FIELDS.values())}
"""What the user calls every field."""


def task_advice(command: str = "") -> "TaskAdvice":
    """What to do where labels look like those of the other task. command: one that has --loss, for those without."""
    from jitnet.datasets import TaskAdvice

    losses = f"{command}--loss {any_of(losses_of('regress'))}"
    yes_no = f"{command}--loss {any_of(losses_for('label'))}"
    return TaskAdvice(
        f"expected classes, or {losses} where these are numbers to predict, or {yes_no} where each is yes or no",
        "if they are classes, correct it",
        f"{command}--task classify where these are classes",
    )


def as_typed(values: Mapping[str, Any], **others: Any) -> list[str]:
    """The words of a command line with these options, for a shell. values: of `FIELDS`, as for `settings_of`; others:
    of further options, by their names in Python, which take one value each. None is left out."""
    words: list[str] = []
    for name, value in others.items():
        if value is not None:
            words += ["--" + name.replace("_", "-"), quote(str(value))]
    for field in chain(*FIELDS.values()):
        typed, flag = values.get(field.parameter), field.flags[-1]
        if isinstance(typed, bool):
            words.append(flag if typed else f"--no-{flag.removeprefix('--')}")
        elif typed is not None:
            words += [flag, quote(typed)]
    return words


def _saved_model(typed: str) -> Path:
    """The model that --init names; UsageError where there is nothing of that name."""
    path = Path(typed).expanduser()
    if not typed or not path.exists():
        choices = any_of([*get_args(ModelConfig.model_fields["init"].annotation), "a saved model"])
        raise UsageError(
            f"--init: expected {choices}, a .safetensors file or a run folder, found {typed!r}, which does not exist"
        )
    return path


def settings_of(values: Mapping[str, Any], recipe: str | None = None, **others: Any) -> "Settings":
    """What a run is made from, as it was typed. values: by the options' parameters, None where not typed; others: the
    further fields of `Settings`."""
    from jitnet.runs.run_settings import Settings

    chosen: dict[type[Any], dict[str, Any]] = {ModelConfig: {}, TrainConfig: {}}
    for field in chain(*FIELDS.values()):
        typed = values.get(field.parameter)
        if typed is None:
            continue
        table, _, leaf = field.name.rpartition(".")
        target = chosen[field.kind]
        if table:
            target = target.setdefault(table, {})
        target[leaf] = field.read(typed)
    start = chosen[ModelConfig].get("init")
    if start is not None and start not in get_args(ModelConfig.model_fields["init"].annotation):
        del chosen[ModelConfig]["init"]
        others["init"] = _saved_model(start)
    return Settings(
        recipe=recipe, network=chosen[ModelConfig], training=chosen[TrainConfig], names=OPTION_NAMES, **others
    )
