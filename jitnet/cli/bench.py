"""`jitnet bench`."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from jitnet.cli.common import DataOption, Json, Quiet, parse_share, parse_threads, print_json
from jitnet.cli.options import (
    FIELDS,
    NETWORK_NAMES,
    CommandWithFields,
    settings_of,
    task_advice,
    with_fields,
)
from jitnet.errors import UsageError

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """\b
Examples:
  jitnet bench
  jitnet bench --threads all --ladder --vs numpy
  jitnet bench --hidden 512 --json > before.json
  jitnet bench --hidden 512 --baseline before.json --fail-above 10%
"""

LEAST, MOST = 9, 1000
SLOWER = 3
MEASUREMENT = "Measurement"
STEP = {
    "Network": FIELDS["Network"],
    "Training": tuple(field for field in FIELDS["Training"] if field.name == "batch_size"),
}
"""The fields of a config that change what a step costs."""


@app.command(cls=CommandWithFields, epilog=EXAMPLES)
@with_fields(STEP)
def bench(
    *,
    data: DataOption = None,
    threads: Annotated[
        str | None,
        typer.Option(
            "--threads",
            metavar="LIST",
            show_default=False,
            help="Counts to measure: 1,2,4 or all. [default: 1 and all cores]",
            rich_help_panel=MEASUREMENT,
        ),
    ] = None,
    ladder: Annotated[
        bool,
        typer.Option(
            "--ladder",
            help="One product in six steps, from the textbook's loop to tiles on all threads.",
            rich_help_panel=MEASUREMENT,
        ),
    ] = False,
    versus: Annotated[
        str | None,
        typer.Option(
            "--vs",
            metavar="TEXT",
            show_default=False,
            help="Another library to measure the same products with: numpy.",
            rich_help_panel=MEASUREMENT,
        ),
    ] = None,
    repetitions: Annotated[
        int,
        typer.Option(
            "--repetitions",
            metavar="NUMBER",
            help=f"Samples of each row. A whole number from {LEAST} to {MOST:,}.",
            min=LEAST,
            max=MOST,
            rich_help_panel=MEASUREMENT,
        ),
    ] = LEAST,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", metavar="FILE", show_default=False, help="Compare with an earlier --json document."),
    ] = None,
    fail_above: Annotated[
        str | None,
        typer.Option(
            "--fail-above",
            metavar="PERCENT",
            show_default=False,
            help="Exit with 3 where a row's median grew by more than this and a rank test finds it significant.",
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    **fields: Any,
) -> int:
    """Measure what each loop costs on this machine, next to what the machine can do.

    The machine's limits, a row for each line of a training step's program, and a row for each count of threads.
    Takes less than 30 seconds for the default network, and compiles first where that has not been done.
    """
    network, config = settings_of(fields).resolve()
    if versus not in (None, "numpy"):
        raise UsageError(f"--vs: expected numpy, found {versus!r}")
    threshold = parse_share(fail_above) if fail_above is not None else 0.1
    if fail_above is not None and baseline is None:
        raise UsageError("--fail-above needs something to compare with; name it with --baseline FILE")

    from jitnet import render
    from jitnet.bench.comparison import as_document, check_fits, check_threads, compare, read_baseline
    from jitnet.bench.measurement import run_bench
    from jitnet.config import ModelConfig, build
    from jitnet.datasets import load
    from jitnet.machine.host import describe_machine
    from jitnet.runs.run_settings import sizes_of, task_for

    machine = describe_machine()
    counts = parse_threads(threads, machine.cores, machine.affinity)
    before = read_baseline(baseline) if baseline is not None else None
    screen = render.consoles(json, quiet)
    notices = render.make_console(sys.stderr)
    with render.downloads(screen) as progress:
        dataset = load(data, task=task_for(network), advice=task_advice(), progress=progress)
    if dataset.notice:
        render.notice(notices, dataset.notice)
    shape = build(ModelConfig, {**network, **sizes_of(dataset)}, NETWORK_NAMES)
    if before is not None:
        check_fits(before, _settings(dataset.name, shape, min(config.batch_size, len(dataset.train))))
        check_threads(before, counts)
        if before.cpu != machine.cpu:
            render.notice(notices, f"{baseline} was measured on another machine, {before.cpu}")
    if len(dataset.train) < config.batch_size:
        render.notice(notices, f"--batch-size is {config.batch_size}; measured with all {len(dataset.train)} samples")

    with render.measuring(screen) as report:
        measured, peers = run_bench(
            shape,
            dataset,
            config.batch_size,
            threads=counts,
            ladder=ladder,
            numpy=versus == "numpy",
            repetitions=repetitions,
            preparing=lambda: render.working(screen, "Compiling or loading what is to be measured"),
            progress=report,
        )
    render.not_kept()
    if not json:
        render.bench(screen.out, measured, peers)
    found = [] if before is None else compare(measured, before, threshold)
    if json:
        document = as_document(measured, peers)
        print_json(document if before is None else {**document, "threshold": threshold, "changes": found})
    elif before is not None:
        render.changes(screen.out, found, threshold)
    slower = any(change.verdict == "slower" for change in found)
    return SLOWER if slower and fail_above is not None else 0


def _settings(data: str, shape: Any, batch_size: int) -> dict[str, Any]:
    """What is known of the settings before anything is measured."""
    return {
        "data": data,
        "in_features": shape.in_features,
        "hidden": list(shape.hidden),
        "n_classes": shape.n_classes,
        "n_targets": shape.n_targets,
        "loss": shape.loss,
        "activation": shape.activation,
        "norm": shape.norm,
        "residual": shape.residual,
        "input_scale": shape.input_scale,
        "batch_size": batch_size,
    }
