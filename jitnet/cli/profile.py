"""`jitnet profile`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

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
from jitnet.errors import JitnetError, MissingExtra, UsageError

if TYPE_CHECKING:
    from jitnet.profile.roofline import Roofline

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """\b
Examples:
  jitnet profile
  jitnet profile --hidden 256,128 --optimizer adam --dropout 0.2 --threads 1,2
  jitnet profile --roofline roofline.svg --trace steps.json
  jitnet profile --json > before.json
  jitnet profile --compare before.json after.json
  jitnet profile --compare old.py:smooth new.py:smooth --args "f4[1000]"
  jitnet profile --compare f.py:f --options "fastmath=True" --args "f4[1000]"
  jitnet profile --watch loops.py:smooth --args "f4[1000]"
  jitnet profile mypackage.kernels
  jitnet profile --kernel forward_sparse --asm
  jitnet profile --kernel all --cpu icelake-server
  jitnet profile mypackage.kernels:smooth --args "f4[1000,1000] f4[5,5]"
  jitnet profile loops.py:smooth --setup loops.py:made --flop "2 * x.size"
  jitnet profile loops.py:smooth --args "f8[1000]" --fix > smooth.diff
"""

MEASUREMENT, CODE, FUNCTION = "Measurement", "Machine code", "A function of your own"
_OF_RUNS = ("max_steps", "threads", "patience", "monitor", "target_accuracy")
"""Fields that do not change a step; for threads a profile has another option."""

STEP = {heading: tuple(field for field in fields if field.name not in _OF_RUNS) for heading, fields in FIELDS.items()}
"""What changes a step: all training options except when training ends, and its threads, of which several can be
measured here."""


STEPS, LOOP, TARGET, COMPARISON = "a training step", "--kernel", "MODULE:FUNCTION", "--compare"
TABLE = "MODULE"
OPTIONS = {
    STEPS: {
        *("--data", "--recipe", "--threads", "--roofline", "--trace"),
        *(field.flags[0] for fields in STEP.values() for field in fields),
    },
    LOOP: {"--cpu", "--asm"},
    TARGET: {
        *("--args", "--setup", "--flop", "--bytes", "--perf-map", "--threads", "--cpu", "--asm", "--limit"),
        *("--fix", "--all-hints", "--time", "--watch"),
        *("--html", "--roofline", "--trace"),
    },
    TABLE: {"--args", "--time"},
    COMPARISON: {"--args", "--setup", "--options", "--threads", "--time"},
}
"""The kinds of profile, and the options that each of them reads."""


@app.command(cls=CommandWithFields, epilog=EXAMPLES)
@with_fields(STEP)
def profile(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODULE:FUNCTION]",
            show_default=False,
            help="A Numba function of your own in place of a training step: module:function or file.py:function. "
            "Its file is run, as an import does. A module or file alone: a table of its compiled functions. With "
            "--compare two functions, or two documents of --json.",
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
            help="Also write a few hundred steps, or some calls of a function, as a timeline, for Perfetto, speedscope "
            "or chrome://tracing.",
            rich_help_panel=MEASUREMENT,
        ),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Show which of two is faster, and by how much: two functions, BEFORE.py:F AFTER.py:F, which are run "
            "in turn on the same data and whose results are compared; or, measuring nothing, two documents of --json.",
            rich_help_panel=MEASUREMENT,
        ),
    ] = False,
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
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE.html",
            show_default=False,
            help="Also write everything as one page for a browser: the source with its time by line, the instructions "
            "of each line, hints, and a roofline. It needs no network and no scripts.",
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
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Print only the changed source, as a unified diff: the changes that made a copy faster, combined, and "
            "measured together. No file is changed.",
            rich_help_panel=FUNCTION,
        ),
    ] = False,
    all_hints: Annotated[
        bool,
        typer.Option(
            "--all-hints",
            help="Also show the hints whose change was tried and did not make it faster, and those that were not tried "
            "and are in lines that take less than 1% of the time.",
            rich_help_panel=FUNCTION,
        ),
    ] = False,
    time: Annotated[
        float | None,
        typer.Option(
            "--time",
            metavar="SECONDS",
            show_default=False,
            help="Time for the whole answer, 2 or more; nine tenths of it at least follow compiling. More of it lets "
            "more changes be tried. [default: 10] With --compare time for the pairs of calls, on all counts of threads "
            "together: more of it shows smaller differences. [default: 2 for each count, 6 at most] With a module time "
            "for reading the machine code of all its functions. [default: 120]",
            rich_help_panel=FUNCTION,
        ),
    ] = None,
    options: Annotated[
        str | None,
        typer.Option(
            "--options",
            metavar="NAME=VALUE",
            show_default=False,
            help='With --compare: options of its decorator that the second function gets, "fastmath=True, '
            "error_model='numpy'\"; where only one function is named, it is compared with itself.",
            rich_help_panel=FUNCTION,
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Profile it again at each save of its file, or of a module of yours that it imports, and show what "
            "changed; until Ctrl-C.",
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
    of this for a Numba function of your own, which is not changed; running a file runs its code. What a hint advises
    is tried on a copy, and what that did to the time and to the results is shown beside it. With a module alone a table
    of its compiled functions.

    Takes less than 20 seconds, and compiles first where that has not been done.
    """
    target = targets[0] if targets else None
    alone = TABLE if target is not None and ":" not in target else TARGET
    wanted = {alone: target is not None and not compare, LOOP: kernel is not None, COMPARISON: compare}
    modes = [name for name, is_wanted in wanted.items() if is_wanted] or [STEPS]
    if len(modes) > 1:
        raise UsageError(f"{modes[1]} cannot be combined with {modes[0]}: they are two kinds of profile")
    given = {
        "--args": arguments is not None,
        "--setup": setup is not None,
        "--flop": flop is not None,
        "--bytes": size_bytes is not None,
        "--perf-map": perf_map,
        "--fix": fix,
        "--all-hints": all_hints,
        "--time": time is not None,
        "--options": options is not None,
        "--watch": watch,
        "--html": html is not None,
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
    if target is not None and ":" not in target and not compare and (meant := meant_by(target, ("--data", "--recipe"))):
        raise UsageError(f"{target}: expected MODULE:FUNCTION; did you mean {meant}?")
    if len(targets or ()) > 1 and not compare:
        raise UsageError(f"found {' and '.join(targets or ())}; expected one function, or --compare with two")
    _check_options(modes[0], [name for name, typed in given.items() if typed])
    if limit is not None and not 0 < limit < float("inf"):
        raise UsageError(f"--limit {limit:g}: expected seconds above 0, such as 120")
    check_output("--roofline", roofline, (".svg", ".png", ".pdf"))
    check_output("--trace", trace, (".json",))
    check_output("--html", html, (".html", ".htm"))
    if fix and json:
        raise UsageError("--fix cannot be combined with --json, whose document has it under `fix`; leave one out")
    if compare:
        words = {"options": options, "args": arguments, "setup": setup}
        return _compare(targets or [], threads, words, time, json, quiet)
    if kernel is not None:
        return _loop(kernel, cpu, asm, json, quiet)
    if target is not None and alone == TABLE:
        return _module(target, arguments, time, json, quiet)
    if target is not None:
        asked: dict[str, Any] = {
            "args": arguments,
            "setup": setup,
            "flop": flop,
            "bytes": size_bytes,
            "cpu": cpu,
            "perf_map": perf_map,
            "trace": trace is not None,
            **({} if limit is None else {"limit_s": limit}),
        }
        if time is not None:
            asked["time_s"] = _seconds(time)
        asked["trace"] = trace is not None
        shown = {"asm": asm, "all_hints": all_hints}
        files = _Files(html, roofline, trace)
        if watch:
            once = {"--fix": fix, "--html": html is not None, "--roofline": roofline is not None}
            for name, typed in {**once, "--trace": trace is not None}.items():
                if typed:
                    raise UsageError(f"{name} cannot be combined with --watch, which shows several profiles")
            return _watch(target, threads, asked, shown, json, quiet)
        return _function(target, threads, asked, files, shown, fix, json, quiet)
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
    from jitnet.profile.step.scaling import scaling_of
    from jitnet.profile.step.step_roofline import roofline_of
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


class _Files(NamedTuple):
    """The files to write of a function's profile, None for those that were not asked for."""

    html: Path | None
    roofline: Path | None
    trace: Path | None


def _seconds(time: float) -> float:
    """The seconds of `--time`; UsageError where they are too few for an answer."""
    from jitnet.profile.functions.thresholds import SHORTEST_S

    if not SHORTEST_S <= time < float("inf"):
        raise UsageError(f"--time {time:g}: expected {SHORTEST_S:g} seconds or more")
    return time


def _function(
    target: str,
    threads: str | None,
    options: dict[str, Any],
    files: _Files,
    shown: dict[str, bool],
    fix: bool,
    json: bool,
    quiet: bool,
) -> int:
    """Profile a function of the user's. shown: as `render.function_profile` takes it. fix: print only the changes."""
    draw = _drawing(files.roofline) if files.roofline is not None else None
    from jitnet import render
    from jitnet.machine.host import describe_machine
    from jitnet.profile.functions.function_profile import as_document
    from jitnet.profile.functions.profiling import profile_function
    from jitnet.profile.functions.tried import fix_text, no_fix

    machine = describe_machine()
    counts = parse_threads(threads, machine.cores, machine.affinity) if threads is not None else None
    screen = render.consoles(json, quiet)
    with render.working(screen, f"Profiling {target}") as say:
        found = profile_function(target, threads=counts, progress=say, **options)
    if files.trace is not None:
        from jitnet.profile.functions.function_trace import trace_of
        from jitnet.runs import as_json

        write_output("--trace", files.trace, as_json(trace_of(found)))
    if files.html is not None or files.roofline is not None:
        from jitnet.profile.functions.function_roofline import limits_for, roofline_of_function

        with render.measuring(screen) as report:
            limits = limits_for(found, report)
        roofline = roofline_of_function(found, limits, f"{machine.cpu}, {machine.vector_bits}-bit vectors")
        if files.roofline is not None and draw is not None:
            write_output("--roofline", files.roofline, draw(roofline))
        if files.html is not None:
            from jitnet.profile.functions.page import page

            write_output("--html", files.html, page(found, roofline))
    if json:
        print_json(as_document(found))
    elif fix:
        print(fix_text(found), end="")
        if found.fix is None:
            render.notice(render.make_console(sys.stderr), no_fix(found))
    else:
        render.function_profile(screen.out, found, **shown)
    return 0


def _watch(
    target: str, threads: str | None, options: dict[str, Any], shown: dict[str, bool], json: bool, quiet: bool
) -> int:
    """Profile a function at each save, until Ctrl-C. shown: as `render.function_profile` takes it."""
    from jitnet import render
    from jitnet.machine.host import describe_machine
    from jitnet.profile.functions.profiling import profile_function
    from jitnet.profile.functions.watching import Watching, saved

    if json:
        raise UsageError("--json cannot be combined with --watch, which shows several profiles; save each without it")
    machine = describe_machine()
    counts = parse_threads(threads, machine.cores, machine.affinity) if threads is not None else None
    screen = render.consoles(False, quiet)
    watching = Watching([target, *filter(None, [options["setup"]])])
    last, begun = None, False
    while True:
        watching.search()
        before = watching.stamps()  # first, so that a save while it is profiled is seen
        try:
            if begun and (problem := watching.problem()):
                raise JitnetError(problem)
            with render.working(screen, f"Profiling {target}") as say:
                found = profile_function(target, threads=counts, progress=say, **options)
            if last is None:
                render.function_profile(screen.out, found, **shown)
            else:
                render.watched(screen.out, saved(last, found, shown["all_hints"]))
            last = found
        except JitnetError as error:
            if not begun and isinstance(error, UsageError):
                raise
            render.error(str(error))
        watching.search()
        if not begun or last is None:
            render.watching_files(screen.err, watching.files)
        begun = True
        sys.stdout.flush()
        render.saved_files(screen.out, watching.wait(before))


def _module(target: str, arguments: str | None, time: float | None, json: bool, quiet: bool) -> int:
    """Show the compiled functions of a module."""
    from jitnet import render
    from jitnet.profile.functions.module_table import as_document, profile_module

    times = {} if time is None else {"time_s": _seconds(time)}
    screen = render.consoles(json, quiet)
    with render.working(screen, f"Reading {target}") as say:
        found = profile_module(target, args=arguments, **times, progress=say)
    if json:
        print_json(as_document(found))
    else:
        render.module_table(screen.out, found)
    return 0


def _compare(
    targets: list[str],
    threads: str | None,
    options: dict[str, Any],
    time: float | None,
    json: bool,
    quiet: bool,
) -> int:
    """Show which of two functions, or of two documents, is faster."""
    from jitnet.profile.functions.two_functions import check_targets

    before, after, kind = check_targets(targets, options["options"])
    if kind == "document":
        for name, value in {**options, "threads": threads, "time": time}.items():
            if value is not None:
                raise UsageError(
                    f"--{name} cannot be combined with two documents, which are measured already; leave it out"
                )
        return _compare_documents(Path(before), Path(after), json)
    time_s = None if time is None else _seconds(time)
    from jitnet import render
    from jitnet.machine.host import describe_machine
    from jitnet.profile.functions.two_functions import as_document, compare_functions

    machine = describe_machine()
    counts = parse_threads(threads, machine.cores, machine.affinity) if threads is not None else None
    screen = render.consoles(json, quiet)
    with render.working(screen, f"Comparing {before}" + (f" and {after}" if after != before else "")) as say:
        found = compare_functions(before, after, threads=counts, time_s=time_s, progress=say, **options)
    if json:
        print_json(as_document(found))
    else:
        render.function_comparison(screen.out, found)
    return 0


def _compare_documents(before: Path, after: Path, json: bool) -> int:
    """Show what became faster or slower from one document to another."""
    from jitnet import render
    from jitnet.profile.document import THRESHOLD, compare, read_document

    found = compare(read_document(before), read_document(after))
    for text in found.notices:
        render.notice(render.make_console(sys.stderr), text)
    if json:
        print_json(
            {
                "before": before,
                "after": after,
                "threshold": THRESHOLD,
                "notices": found.notices,
                "changes": found.changes,
            }
        )
    else:
        render.changes(render.consoles().out, found.changes, THRESHOLD, title=f"From {before} to {after}")
    return 0
