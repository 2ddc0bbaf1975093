"""`jitnet profile`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jitnet.cli.command import meant_by
from jitnet.cli.common import (
    DataOption,
    Json,
    Quiet,
    check_output,
    parse_threads,
    print_json,
    recipe_completion,
    write_output,
)
from jitnet.cli.options import (
    FIELDS,
    NETWORK_NAMES,
    CommandWithFields,
    settings_of,
    task_advice,
    with_fields,
)
from jitnet.config.checking import any_of
from jitnet.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from jitnet.profile.step.roofline import Roofline

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """\b
Examples:
  jitnet profile
  jitnet profile --hidden 256,128 --optimizer adam --dropout 0.2 --threads 1,2
  jitnet profile --roofline roofline.svg --trace steps.json
  jitnet profile --json > before.json
  jitnet profile --compare before.json after.json
  jitnet profile --kernel forward_sparse --asm
  jitnet profile --kernel all --cpu icelake-server
  jitnet profile mypackage.kernels:smooth --args "f4[1000,1000] f4[5,5]"
  jitnet profile loops.py:smooth --setup loops.py:made --flop "2 * x.size"
"""

MEASUREMENT, CODE, FUNCTION = "Measurement", "Machine code", "A function of your own"
_OF_RUNS = ("max_steps", "threads", "patience", "monitor", "target_accuracy")
"""Fields that do not change a step; for threads a profile has another option."""

STEP = {heading: tuple(field for field in fields if field.name not in _OF_RUNS) for heading, fields in FIELDS.items()}
"""What changes a step: all training options except when training ends, and its threads, of which several can be
measured here."""


STEPS, LOOP, TARGET, COMPARISON = "a training step", "--kernel", "MODULE:FUNCTION", "--compare"
OPTIONS = {
    STEPS: {
        *("--data", "--recipe", "--threads", "--roofline", "--trace"),
        *(field.flags[0] for fields in STEP.values() for field in fields),
    },
    LOOP: {"--cpu", "--asm"},
    TARGET: {"--args", "--setup", "--flop", "--bytes", "--perf-map", "--threads", "--cpu", "--asm", "--limit"},
    COMPARISON: set[str](),
}
"""The kinds of profile, and the options that each of them reads."""


@app.command(cls=CommandWithFields, epilog=EXAMPLES)
@with_fields(STEP)
def profile(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE:FUNCTION]",
            show_default=False,
            help="A Numba function of your own in place of a training step: module:function or file.py:function. "
            "Its file is run, as an import does.",
        ),
    ] = None,
    *,
    data: DataOption = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="NAME-OR-FILE",
            autocompletion=recipe_completion,
            help="Start from a named set of options, or one in a TOML file, as in training.",
            rich_help_panel="Training",
        ),
    ] = None,
    threads: Annotated[
        str | None,
        typer.Option(
            "--threads",
            metavar="LIST",
            show_default=False,
            help="Counts to measure: 2, or 1,2,4, or all; with several, also which operation limits the scaling. "
            "[default: what training would choose; for a function 1 to all cores]",
            rich_help_panel=MEASUREMENT,
        ),
    ] = None,
    roofline: Annotated[
        Path | None,
        typer.Option(
            "--roofline",
            metavar="FILE",
            show_default=False,
            help="Also write the roofline as a picture, .svg, .png or .pdf. It needs matplotlib: pip install "
            "matplotlib.",
            rich_help_panel=MEASUREMENT,
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            "--trace",
            metavar="FILE.json",
            show_default=False,
            help="Also write a few hundred steps as a timeline, for Perfetto, speedscope or chrome://tracing.",
            rich_help_panel=MEASUREMENT,
        ),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            "--compare",
            metavar="BEFORE.json AFTER.json",
            show_default=False,
            help="Measure nothing: show what became faster or slower between two documents of --json.",
            rich_help_panel=MEASUREMENT,
        ),
    ] = None,
    kernel: Annotated[
        str | None,
        typer.Option(
            "--kernel",
            metavar="NAME",
            show_default=False,
            help="Measure nothing: show what LLVM made of this kernel of jitnet, or of all: its source, which loops "
            "are vectorised and why others are not, and the instructions of each.",
            rich_help_panel=CODE,
        ),
    ] = None,
    cpu: Annotated[
        str | None,
        typer.Option(
            "--cpu",
            metavar="NAME",
            show_default=False,
            help="Compile for another processor, and only read the code: icelake-server, znver3, apple-m1, …",
            rich_help_panel=CODE,
        ),
    ] = None,
    asm: Annotated[
        bool,
        typer.Option(
            "--asm",
            help="Also show the instructions of each innermost loop, under the line that they come from.",
            rich_help_panel=CODE,
        ),
    ] = False,
    arguments: Annotated[
        str | None,
        typer.Option(
            "--args",
            metavar="TEXT",
            show_default=False,
            help='Its arguments, for example "f4[1000,1000] (f4[3], 2) n=3": arrays are filled with numbers.',
            rich_help_panel=FUNCTION,
        ),
    ] = None,
    setup: Annotated[
        str | None,
        typer.Option(
            "--setup",
            metavar="MODULE:FUNCTION",
            show_default=False,
            help="A function that returns the arguments, as a tuple or a dict by name, in place of --args.",
            rich_help_panel=FUNCTION,
        ),
    ] = None,
    flop: Annotated[
        str | None,
        typer.Option(
            "--flop",
            metavar="FORMULA",
            show_default=False,
            help='FLOP of a call, from its arguments: "2 * x.shape[0] * x.shape[1]".',
            rich_help_panel=FUNCTION,
        ),
    ] = None,
    size_bytes: Annotated[
        str | None,
        typer.Option(
            "--bytes",
            metavar="FORMULA",
            show_default=False,
            help='Bytes that a call must move: "x.nbytes + y.nbytes".',
            rich_help_panel=FUNCTION,
        ),
    ] = None,
    limit: Annotated[
        float | None,
        typer.Option(
            "--limit",
            metavar="SECONDS",
            show_default=False,
            help="Seconds that a call may take; loading, --setup and compiling may take ten times as long. A function "
            "that takes longer is stopped. [default: 60]",
            rich_help_panel=FUNCTION,
        ),
    ] = None,
    perf_map: Annotated[
        bool,
        typer.Option(
            "--perf-map",
            help="Write the map file from which perf takes the names of compiled functions.",
            rich_help_panel=FUNCTION,
        ),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    **fields: Any,
) -> int:
    """Show what each loop costs, and why.

    Trains for some seconds, on real data, and times each operation of a step: a row each, what limits it, each
    thread's work and waiting, and a roofline. With --kernel what the compiler made of a loop. With MODULE:FUNCTION all
    of this for a Numba function of your own, which is not changed; running a file runs its code.

    Takes less than 20 seconds, and compiles first where that has not been done.
    """
    wanted = {TARGET: target is not None, LOOP: kernel is not None, COMPARISON: compare is not None}
    modes = [name for name, is_wanted in wanted.items() if is_wanted] or [STEPS]
    if len(modes) > 1:
        raise UsageError(f"{modes[1]} cannot be combined with {modes[0]}: they are two kinds of profile")
    given = {
        "--args": arguments is not None,
        "--setup": setup is not None,
        "--flop": flop is not None,
        "--bytes": size_bytes is not None,
        "--perf-map": perf_map,
        "--limit": limit is not None,
        "--cpu": cpu is not None,
        "--asm": asm,
        "--roofline": roofline is not None,
        "--trace": trace is not None,
        "--threads": threads is not None,
        "--data": data is not None,
        "--recipe": recipe is not None,
        **{field.flags[0]: fields.get(field.parameter) is not None for under in STEP.values() for field in under},
    }
    _check_options(modes[0], [name for name, typed in given.items() if typed])
    if limit is not None and not 0 < limit < float("inf"):
        raise UsageError(f"--limit {limit:g}: expected seconds above 0, such as 120")
    check_output("--roofline", roofline, (".svg", ".png", ".pdf"))
    check_output("--trace", trace, (".json",))
    if compare is not None:
        return _compare(*compare, json)
    if kernel is not None:
        return _loop(kernel, cpu, asm, json, quiet)
    if target is not None:
        if ":" not in target and (meant := meant_by(target, ("--data", "--recipe"))):
            raise UsageError(f"{target}: expected MODULE:FUNCTION; did you mean {meant}?")
        options = {
            "args": arguments,
            "setup": setup,
            "flop": flop,
            "bytes": size_bytes,
            "cpu": cpu,
            "perf_map": perf_map,
            **({} if limit is None else {"limit_s": limit}),
        }
        return _function(target, threads, options, asm, json, quiet)
    return _steps(data, recipe, threads, roofline, trace, json, quiet, fields)


def _check_options(mode: str, given: list[str]) -> None:
    """UsageError where an option was typed that this kind of profile does not read."""
    for name in given:
        fitting = [other for other, names in OPTIONS.items() if name in names]
        if mode not in fitting:
            if mode == STEPS:
                raise UsageError(f"{name} needs {any_of(fitting)}; a profile of {STEPS} does not use it")
            raise UsageError(f"{name} cannot be combined with {mode}; only a profile of {any_of(fitting)} uses it")


def _steps(
    data: str | None,
    recipe: str | None,
    threads: str | None,
    roofline: Path | None,
    trace: Path | None,
    json: bool,
    quiet: bool,
    fields: dict[str, Any],
) -> int:
    """Profile a training step, on each count of threads."""
    settings = settings_of(fields, recipe)
    network, config = settings.resolve()
    draw = _drawing(roofline) if roofline is not None else None
    from jitnet import render
    from jitnet.config import ModelConfig, build
    from jitnet.datasets import load
    from jitnet.machine.host import describe_machine
    from jitnet.model import Model
    from jitnet.profile.step import profiler
    from jitnet.profile.step.export import as_document, as_trace
    from jitnet.profile.step.roofline import roofline_of
    from jitnet.profile.step.scaling import scaling_of
    from jitnet.runs import as_json
    from jitnet.runs.run_settings import sizes_of, task_for

    machine = describe_machine()
    counts = parse_threads(threads, machine.cores, machine.affinity) if threads is not None else (0,)
    screen = render.consoles(json, quiet)
    notices = render.make_console(sys.stderr)
    with render.downloads(screen) as downloading:
        dataset = load(data, task=task_for(network), advice=task_advice(), progress=downloading)
    if dataset.notice:
        render.notice(notices, dataset.notice)
    network, config = settings.resolve(dataset.task)
    shape = build(ModelConfig, {**network, **sizes_of(dataset)}, NETWORK_NAMES)
    measured = []
    with render.measuring(screen) as report, settings.located(dataset.task):
        for count in counts:
            chosen = config.model_copy(update={"threads": count})
            measured.append(
                profiler.run_profile(
                    Model.create(shape, dataset, seed=config.seed),
                    dataset,
                    chosen,
                    budget_s=profiler.BUDGET_S / len(counts),
                    preparing=lambda: render.compiling(screen, "the training loops"),
                    progress=report,
                )
            )
    if trace is not None:
        write_output("--trace", trace, as_json(as_trace(measured[-1])))
    found = roofline_of(measured[-1])
    if roofline is not None and draw is not None:
        write_output("--roofline", roofline, draw(found))
    if json:
        print_json(as_document(measured))
        return 0
    render.step_profile(screen.out, measured[-1])
    screen.out.print()
    render.roofline_picture(screen.out, found)
    if len(measured) > 1:
        screen.out.print()
        render.scaling_table(screen.out, scaling_of(measured))
    return 0


def _drawing(path: Path) -> "Callable[[Roofline], bytes]":
    """The function that draws a roofline for a file of this name; MissingExtra, before the work, without matplotlib."""
    try:
        from jitnet.render.roofline_figure import roofline_file
    except ImportError as error:
        raise MissingExtra(
            f"--roofline {path}: drawing needs matplotlib ({error}); install it with: pip install matplotlib"
        ) from None
    return lambda found: roofline_file(found, path.suffix.lower().removeprefix("."))


def _loop(kernel: str, cpu: str | None, asm: bool, json: bool, quiet: bool) -> int:
    """Show what the compiler made of jitnet's loops."""
    from jitnet import render
    from jitnet.profile.code.kernel_names import helper_notice, kernel_targets
    from jitnet.profile.code.look import look

    screen = render.consoles(json, quiet)
    targets = kernel_targets(kernel)
    if notice := helper_notice(kernel):
        render.notice(render.make_console(sys.stderr), notice)
    with render.measuring(screen) as report:
        views = look(targets, cpu, progress=report)
    if json:
        print_json({"format": "jitnet machine code 1", "views": views})
    else:
        render.code_views(screen.out, views, asm=asm)
    return 0


def _function(target: str, threads: str | None, options: dict[str, Any], asm: bool, json: bool, quiet: bool) -> int:
    """Profile a function of the user's."""
    from jitnet import render
    from jitnet.machine.host import describe_machine
    from jitnet.profile.functions.function_profile import as_document
    from jitnet.profile.functions.profiling import profile_function

    machine = describe_machine()
    counts = parse_threads(threads, machine.cores, machine.affinity) if threads is not None else None
    screen = render.consoles(json, quiet)
    with render.working(screen, f"Profiling {target}") as say:
        found = profile_function(target, threads=counts, progress=say, **options)
    if json:
        print_json(as_document(found))
    else:
        render.function_profile(screen.out, found, asm=asm)
    return 0


def _compare(before: Path, after: Path, json: bool) -> int:
    """Show what became faster or slower from one document to another."""
    from jitnet import render
    from jitnet.profile.document import THRESHOLD, compare, read_document

    found = compare(read_document(before), read_document(after))
    for text in found.notices:
        render.notice(render.make_console(sys.stderr), text)
    if json:
        print_json({"before": before, "after": after, "threshold": THRESHOLD, "changes": found.changes})
    else:
        render.changes(render.consoles().out, found.changes, THRESHOLD, title=f"From {before} to {after}")
    return 0
