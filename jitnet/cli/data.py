"""`jitnet data`: what data sets there are, and what is in one."""

from pathlib import Path
from typing import Annotated

import typer

from jitnet.cli.common import DataArgument, Json, Quiet, TestData, data_names, print_json

__all__ = ["app"]

app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
    add_completion=False,
    help="List, download, describe and convert data sets.",
    epilog="Example: jitnet data info digits",
)


@app.callback()
def _data(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command("list", epilog="Example: jitnet data list", short_help="List the sets known by name.")
def list_(json: Json = False) -> None:
    """List the data sets known by name, and where each was found.

    Looks in $JITNET_DATA, ./data and the cache folder; downloads nothing.
    """
    from jitnet import render
    from jitnet.datasets import listing

    rows = listing()
    if json:
        print_json(rows)
    else:
        render.listing(render.consoles().out, rows)


@app.command(epilog="Example: jitnet data fetch fashion-mnist")
def fetch(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", show_default=False, autocompletion=data_names, help="mnist, fashion-mnist or digits."
        ),
    ],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Download a data set, unless it is there already.

    Tries the mirrors in order, goes on where a transfer broke off, and keeps a file only once its checksum holds. It is
    put into $JITNET_DATA, or else into the cache folder.
    """
    from jitnet import render
    from jitnet.datasets import fetch as fetch_

    with render.downloads(render.consoles(json, quiet)) as progress:
        fetched = fetch_(name, progress=progress)
    if json:
        print_json(fetched)
    else:
        print(f"{name} {'downloaded to' if fetched.downloaded else 'is there already:'} {fetched.folder}")


@app.command(epilog="Example: jitnet data info digits", short_help="Describe a data set, and draw samples.")
def info(source: DataArgument, test_data: TestData = None, json: Json = False, quiet: Quiet = False) -> None:
    """Describe a data set: counts, shape, range of values, classes with their shares, and a few samples, drawn."""
    from dataclasses import asdict

    from jitnet import render
    from jitnet.datasets import describe, load

    with render.downloads(render.consoles(json, quiet)) as progress:
        dataset = load(source, test_data, progress=progress)
    description = describe(dataset)
    if json:
        print_json({name: value for name, value in asdict(description).items() if name != "samples"})
    else:
        render.description(render.consoles().out, description)


@app.command(
    epilog="""\b
Examples:
  jitnet data convert mnist mnist.npz
  jitnet data convert train.csv digits.safetensors --test-data test.csv
  jitnet data convert mnist train_test_data_mnist.safetensors --layout original
"""
)
def convert(
    source: DataArgument,
    target: Annotated[
        Path,
        typer.Argument(
            show_default=False, help="NAME.safetensors, NAME.npz, or a folder for IDX files. Must not exist yet."
        ),
    ],
    layout: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="For .safetensors: jitnet (values as stored, whole-number labels) or original (the Rust original's: "
            "float32 in 0..1, one-hot).",
        ),
    ] = "jitnet",
    test_data: TestData = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a data set in another format."""
    from jitnet import render
    from jitnet.datasets import convert as convert_
    from jitnet.datasets import load

    with render.downloads(render.consoles(json, quiet)) as progress:
        dataset = load(source, test_data, progress=progress)
    written = convert_(dataset, target, layout)  # type: ignore[arg-type]
    if json:
        print_json(written)
    else:
        samples = f"{written.n_train:,} training and {written.n_test:,} test samples"
        print(f"wrote {written.target}: {samples}, {written.n_bytes:,} bytes")
