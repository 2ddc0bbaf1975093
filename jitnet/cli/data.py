"""`jitnet data`: which data sets are known, and what is in one."""

from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from jitnet.cli.command import Command, expect_data, kind_of
from jitnet.cli.common import (
    KINDS,
    DataArgument,
    Group,
    Ignore,
    Json,
    Quiet,
    Target,
    Task,
    TestData,
    Time,
    Weight,
    check_output,
    columns_named,
    data_names,
    print_json,
)
from jitnet.cli.options import FIELDS, Field, task_advice, with_fields
from jitnet.config import TrainConfig, build
from jitnet.config.checking import any_of
from jitnet.errors import UsageError

__all__ = ["app"]

app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
    add_completion=False,
    help="List, download, describe, convert and distort data sets, and write a sample table.",
    epilog="Example: jitnet data info digits",
)

DISTORTIONS = FIELDS["Augmentation"]
SEED = Field(TrainConfig, "seed", ("--seed",), "The same seed gives the same distortions.")


@app.callback()
def _data(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command("list", cls=Command, epilog="Example: jitnet data list", short_help="List the sets known by name.")
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


@app.command(cls=Command, epilog="Example: jitnet data fetch fashion-mnist")
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
    """Download a data set, unless it has been downloaded already.

    Tries the mirrors in order, resumes interrupted transfers, and keeps a file only if its checksum matches. Files are
    stored in $JITNET_DATA, or else in the cache folder.
    """
    from jitnet import render
    from jitnet.datasets import fetch as fetch_

    with render.downloads(render.consoles(json, quiet)) as progress:
        fetched = fetch_(name, progress=progress)
    if json:
        print_json(fetched)
    else:
        print(f"{name} {'downloaded to' if fetched.downloaded else 'is already in'} {fetched.folder}")


@app.command(
    cls=Command,
    short_help="Describe a data set: its samples, or its columns.",
    epilog="""\b
Examples:
  jitnet data info digits
  jitnet data info houses.csv --target price
""",
)
def info(
    source: DataArgument,
    test_data: TestData = None,
    target: Target = None,
    task: Task = "auto",
    group: Group = None,
    time: Time = None,
    weight: Weight = None,
    ignore: Ignore = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Describe a data set: counts, shape, range of values, classes with their shares, and a few samples, drawn.

    Of a table: each column with its type, missing and distinct values, range and histogram, and what training makes of
    it, learned from the rows that it would train on.
    """
    from dataclasses import asdict

    from jitnet import render
    from jitnet.datasets import describe, load
    from jitnet.datasets.registry import as_table, is_table
    from jitnet.datasets.table_description import describe_table
    from jitnet.runs.run_settings import task_for
    from jitnet.tables.outcome import Choice

    columns, task = columns_named(target, group, time, weight, ignore), task_for({}, task)
    choice = Choice(**columns)
    if test_data is None and is_table(source, choice):
        with render.downloads(render.consoles(json, quiet)) as progress:
            table = as_table(source, progress)
        found = describe_table(table, choice, task, task_advice("jitnet train "))
        if json:
            print_json(asdict(found))
        else:
            render.table_description(render.consoles().out, found)
            if target is None:
                print()
                print(f"if another column is to be predicted: jitnet data info {quote(source)} --target COLUMN")
        return
    with render.downloads(render.consoles(json, quiet)) as progress:
        dataset = load(source, test_data, task=task, advice=task_advice("jitnet train "), progress=progress, **columns)
    description = describe(dataset)
    if json:
        print_json({name: value for name, value in asdict(description).items() if name != "samples"})
    else:
        render.description(render.consoles().out, description)


@app.command(
    cls=Command,
    short_help="Write a small table to try things with.",
    epilog="""\b
Examples:
  jitnet data sample
  jitnet data sample flats.csv
""",
)
def sample(
    target: Annotated[
        Path,
        typer.Argument(metavar="FILE", show_default=False, help="A name that ends in .csv. [default: sample.csv]"),
    ] = Path("sample.csv"),
    json: Json = False,
) -> None:
    """Write a small mixed table to try things with: 600 invented flats to let, with numbers, words, dates, and gaps.

    It is a part of jitnet and needs no network. A file of that name is not overwritten.
    """
    from jitnet import render
    from jitnet.datasets.sample_table import write_sample

    if target.suffix.lower() != ".csv":
        raise UsageError(f"{target}: expected a name that ends in .csv")
    render.consoles(json)  # an error where standard output is closed, before anything is written
    written = write_sample(target)
    if json:
        print_json(written)
    else:
        print(f"wrote {written.path}: {written.n_rows} rows, {written.n_columns} columns")
        print(f"next: jitnet data info {quote(str(target))} --target rent")


@app.command(
    cls=Command,
    epilog="""\b
Examples:
  jitnet data convert mnist mnist.npz
  jitnet data convert train.csv digits.safetensors --test-data test.csv
  jitnet data convert mnist original.safetensors --layout original
""",
)
def convert(
    source: DataArgument,
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET",
            show_default=False,
            help="NAME.safetensors, NAME.npz, or a folder for IDX files. Must not exist yet.",
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
    from jitnet.datasets import load, names
    from jitnet.datasets.conversion import LAYOUTS, check_target

    missing = source not in names() and not Path(source).expanduser().exists()
    if missing and (str(target) in names() or (target.exists() and kind_of(str(target)) == "data")):
        raise UsageError(f"{target} is data; what is read comes first: jitnet data convert {target} {source}")
    if layout not in LAYOUTS:
        raise UsageError(f"--layout: expected {any_of(LAYOUTS)}, found {layout!r}")
    check_target(target, layout)
    with render.downloads(render.consoles(json, quiet)) as progress:
        dataset = load(source, test_data, advice=task_advice("jitnet train "), progress=progress)
    written = convert_(dataset, target, layout)
    if json:
        print_json(written)
    else:
        samples = f"{written.n_train:,} training and {written.n_test:,} test samples"
        print(f"wrote {written.target}: {samples}, {written.n_bytes:,} bytes")


@app.command(
    cls=Command,
    short_help="Show distorted samples.",
    epilog="""\b
Examples:
  jitnet data augment
  jitnet data augment digits --rotation 30 --count 3
  jitnet data augment mnist --elastic 34 --elastic-sigma 4 --out sheet.png
""",
)
@with_fields({"Augmentation": (*DISTORTIONS, SEED)})
def augment(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME-OR-PATH",
            show_default=False,
            autocompletion=data_names,
            callback=expect_data,
            help=f"One of {KINDS}. [default: mnist; digits where mnist is unavailable]",
        ),
    ] = None,
    *,
    count: Annotated[
        int,
        typer.Option(
            metavar="NUMBER",
            min=1,
            max=1000,
            show_default=False,
            help="Samples to show. A whole number from 1 to 1,000. [default: 5]",
        ),
    ] = 5,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="Write the sheet here too, with nine distortions of each sample: a .png (needs pillow) or a .pgm.",
        ),
    ] = None,
    quiet: Quiet = False,
    **fields: Any,
) -> None:
    """Show samples of a data set next to what augmentation makes of them.

    Where no distortion is named, all are shown at a strength that suits the size of the images; where some are, the
    others are off, as in training. Next to each sample is what epoch 1, 2 and so on of a training with the same seed
    and options would make of it, where no data is held out.
    """
    typed = {field: fields[field.parameter] for field in [*DISTORTIONS, SEED] if fields[field.parameter] is not None}
    given = {field.name.removeprefix("augment."): text for field, text in typed.items() if field is not SEED}
    chosen = {"augment": given} | ({"seed": typed[SEED]} if SEED in typed else {})
    config = build(TrainConfig, chosen, {field.name: field.flags[0] for field in [*DISTORTIONS, SEED]})
    check_output("--out", out, (".png", ".pgm"))
    if given and not config.augment.active:
        raise UsageError("every named distortion is 0, so there is nothing to show; try --rotation 15")

    from jitnet import render
    from jitnet.datasets import load
    from jitnet.pictures import as_one_picture, distorted_samples, fitting_distortions, write_pgm, write_png

    consoles = render.consoles(quiet=quiet)
    with render.downloads(consoles) as progress:
        dataset = load(source, advice=task_advice("jitnet train "), progress=progress)
    if dataset.notice:
        render.notice(consoles.err, dataset.notice)
    distortions = config.augment
    if not distortions.active and dataset.image_shape is not None:
        distortions = fitting_distortions(dataset.image_shape)
    with render.compiling(consoles):
        indices, samples = distorted_samples(dataset, distortions, seed=config.seed, count=count)
    grey = render.to_grey(samples.reshape(-1, dataset.in_features), samples.shape[2:]).reshape(samples.shape)
    names = [dataset.train.in_words(index) for index in indices]
    render.distortions(consoles.out, distortions)
    render.sheet(consoles.out, grey, [f"{name}  #{index}" for name, index in zip(names, indices, strict=True)])
    if out is not None:
        write = write_png if out.suffix.lower() == ".png" else write_pgm
        write(out, as_one_picture(grey))
        shown = f"{len(indices)} sample{'s' * (len(indices) != 1)}"
        print(f"wrote {out}: {shown}, each with {samples.shape[1] - 1} distortions")
