"""What several commands share: their options, and the one document of `--json`."""

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["KINDS", "DataArgument", "DataOption", "Json", "ModelPath", "Quiet", "TestData", "data_names", "print_json"]

KINDS = "mnist, fashion-mnist, digits, a folder of IDX files, or a .safetensors, .npz or .csv file"


def data_names(incomplete: str) -> list[str]:
    """Completion of a data set's name; paths are left to the shell."""
    return [name for name in ("mnist", "fashion-mnist", "digits") if name.startswith(incomplete)]


DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="NAME-OR-PATH",
        show_default=False,
        autocompletion=data_names,
        help=f"What to train on: {KINDS}. A name is searched in $JITNET_DATA, ./data and the cache folder, then "
        "downloaded. [default: mnist; digits where it cannot be had]",
    ),
]
DataArgument = Annotated[
    str,
    typer.Argument(metavar="NAME-OR-PATH", show_default=False, autocompletion=data_names, help=f"One of {KINDS}."),
]
TestData = Annotated[
    Path | None,
    typer.Option(
        "--test-data", metavar="PATH", show_default=False, help="What to test on, in place of the data's own test part."
    ),
]
ModelPath = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL-OR-RUN", show_default=False, help="A .safetensors file, or a run folder that holds one."
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output, and nothing else there.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress: only results, notices and errors.")]


def print_json(document: Any) -> None:
    """The one document of `--json`."""
    from jitnet.runs import as_json

    print(as_json(document, indent=2))
