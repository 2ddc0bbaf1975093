"""Two functions, or one with other options of its decorator: which is faster, by how much, and with equal results."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from jitnet.bench.factors import Factor, of_pairs, verdict
from jitnet.errors import UsageError
from jitnet.profile.functions.function_profile import Argument
from jitnet.profile.functions.options import read_options
from jitnet.profile.functions.places import Place
from jitnet.profile.functions.profiling import check_places
from jitnet.profile.functions.worker_process import LIMIT_S, ask

__all__ = [
    "FORMAT",
    "Agreement",
    "FunctionComparison",
    "Side",
    "TimedPair",
    "as_document",
    "check_targets",
    "compare_functions",
]

FORMAT = "jitnet profile functions compared 1"

TIMING_S, COUNT_S = 6.0, 1.8
"""Seconds for all pairs, on all counts of threads; and on one of them at most."""

SMALLEST = 0.02
"""Differences up to this share are not called faster or slower: two equal functions at different addresses differ as
much."""


@dataclass(frozen=True)
class Side:
    """One of both functions.

    label: short, and different from the other's. signature, returns: of the code that ran. compile_s: None where it was
    compiled as its module was loaded, or came from Numba's cache. parallel: whether it starts threads.
    """

    target: str
    label: str
    kind: str
    options: str
    place: Place
    signature: str
    returns: str
    compile_s: float | None
    parallel: bool


@dataclass(frozen=True)
class Agreement:
    """How the results agree on equal data: what was returned, and the arrays that were written.

    verdict: "equal" to the last bit, "rounding", "differ", or "unknown". difference: the largest, as a share of the
    largest value there; None where no number says it. where: the result in which it is. reason: what else differs, or
    why nothing is known.
    """

    verdict: str
    difference: float | None
    where: str
    reason: str


@dataclass(frozen=True)
class TimedPair:
    """Both on so many threads, called in turn. before_s, after_s: seconds a call, each the mean of several calls.
    verdict: of the second: "faster", "slower", or "same" where no difference could be measured."""

    threads: int
    before_s: tuple[float, ...]
    after_s: tuple[float, ...]
    factor: Factor
    verdict: str


@dataclass(frozen=True)
class FunctionComparison:
    """Two functions with the same arguments, run in turn in one process. changed: the options of `--options`, as they
    were typed."""

    before: Side
    after: Side
    changed: str
    arguments: tuple[Argument, ...]
    results: Agreement
    pairs: tuple[TimedPair, ...]
    notes: tuple[str, ...]
    numba: str
    python: str


def compare_functions(
    before: str,
    after: str,
    *,
    options: str | None = None,
    args: str | None = None,
    setup: str | None = None,
    threads: Sequence[int] | None = None,
    time_s: float | None = None,
    limit_s: float = LIMIT_S,
    progress: Callable[[str], None] = lambda what: None,
) -> FunctionComparison:
    """Compare two functions, which are loaded, called and timed in one worker process, in turn on the same data.

    before, after, args, setup, threads, limit_s, progress: as `profile_function` takes them; before and after may be
    one function. options: of the decorator, changed for the second, as `read_options` reads them. time_s: seconds for
    all pairs, on all counts of threads together; a few where None. Raises what `profile_function` raises.
    """
    for target in (before, after):
        check_places(target, args, setup)
    changed = read_options(options) if options is not None else {}
    request = {
        "task": "compare",
        "target": before,
        "second": after,
        "options": {name: sorted(value) if isinstance(value, set) else value for name, value in changed.items()},
        "args": args,
        "setup": setup,
        "threads": sorted(set(threads)) if threads is not None else None,
        "timing_s": TIMING_S if time_s is None else time_s,
        "count_s": COUNT_S if time_s is None else time_s,
    }
    reply = ask(request, before if before == after else f"{before} and {after}", limit_s, progress)
    return _comparison(before, after, options or "", reply)


def _comparison(before: str, after: str, changed: str, reply: dict[str, Any]) -> FunctionComparison:
    labels = _labels(before, after, changed)
    first, second = (
        Side(target, label, **each | {"place": Place(**each["place"])})
        for target, label, each in zip((before, after), labels, reply["sides"], strict=True)
    )
    pairs = []
    for row in reply["rows"]:
        before_s, after_s = map(tuple, row["samples_s"])
        factor = of_pairs(before_s, after_s)
        pairs.append(TimedPair(row["threads"], before_s, after_s, factor, verdict(factor, SMALLEST)))
    return FunctionComparison(
        first,
        second,
        changed,
        tuple(Argument(**each) for each in reply["arguments"]),
        Agreement(**reply["results"]),
        tuple(pairs),
        tuple(reply["notes"]),
        reply["numba"],
        reply["python"],
    )


def _labels(before: str, after: str, changed: str) -> tuple[str, str]:
    """Return a short name of each: that of the function where these differ, else with its file."""
    names = [target.rpartition(":")[2] for target in (before, after)]
    if before == after:
        return names[0], f"{names[1]} with {changed}" if changed else f"{names[1]}, again"
    if names[0] == names[1]:
        short = [
            f"{Path(target.rpartition(':')[0]).name}:{name}"
            for target, name in zip((before, after), names, strict=True)
        ]
        names = short if short[0] != short[1] else [before, after]
    return names[0], f"{names[1]} with {changed}" if changed else names[1]


def as_document(found: FunctionComparison) -> dict[str, Any]:
    """Return what `--json` prints: everything that was found, with the median of each function."""
    from jitnet.machine.host import describe_machine  # here, since it loads Numba
    from jitnet.version import __version__

    written = asdict(found)
    for pair, row in zip(found.pairs, written["pairs"], strict=True):
        row |= {"before_median_s": median(pair.before_s), "after_median_s": median(pair.after_s)}
    return {
        "format": FORMAT,
        "jitnet": __version__,
        "machine": asdict(describe_machine()),
        "smallest": SMALLEST,
        **written,
    }


def kind_of_target(text: str) -> str:
    """Return what a word after `--compare` names: "function" or "document"."""
    _, colon, name = text.rpartition(":")
    return "function" if colon and name and not Path(text).is_file() else "document"


def check_targets(targets: Sequence[str], options: str | None) -> tuple[str, str, str]:
    """Return the two that are compared, and "function" or "document"; UsageError where they are not two of one kind."""
    kinds = [kind_of_target(target) for target in targets]
    if len(targets) == 1 and kinds == ["function"]:
        if options is None:
            raise UsageError(
                f"--compare {targets[0]}: name a second function, or what to change in this one, as in "
                '--options "fastmath=True"'
            )
        return targets[0], targets[0], "function"
    if len(targets) != 2:
        found = f"found {len(targets)}" if targets else "found none"
        raise UsageError(f"--compare: expected two functions, as FILE:FUNCTION, or two documents of --json; {found}")
    for target, other in zip(targets, reversed(targets), strict=True):
        if target.endswith(".py") and kind_of_target(target) == "document":
            raise UsageError(f"--compare {target}: is a file without a function; expected {target}:FUNCTION")
        if kinds[0] != kinds[1] and kind_of_target(target) == "function":
            raise UsageError(
                f"--compare {' '.join(targets)}: {target} is a function, and {other} a document; compare two of one "
                f"kind: save this one too, with jitnet profile {target} --json > FILE"
            )
    return targets[0], targets[1], kinds[0]
