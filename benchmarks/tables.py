"""Tables: jitnet beside scikit-learn, skorch and RealMLP, python benchmarks/tables.py

Six data sets that come with scikit-learn, MNIST, and made tables of numbers and of words. Each system fits the same
splits, one after another in a random order, each in a separate process that is stopped while others run; a fit is timed
as a whole, from raw rows to a model. The columns: score with its standard deviation over the splits, seconds by the
clock and of all CPU threads, the ratio of these to RealMLP's, and memory that a fit adds. Differences of scores are
formed within a split. In the end each system fits once more in new processes, which shows what its first fit costs over
a second one.

Committees are measured where --peers names them: `committee`, eight networks by the recipe `tabular`, and
`realmlp_ensemble`, eight of RealMLP.
"""

import argparse
import json
import math
import os
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median, stdev

from harness import Worker, WorkerError, commit, machine, machine_line

SYSTEMS = {
    "jitnet": "jitnet, the default",
    "tabular": "jitnet, --recipe tabular",
    "sklearn": "scikit-learn's MLP, scaled",
    "boosting": "HistGradientBoosting",
    "skorch": "skorch",
    "realmlp": "RealMLP-TD-S",
    "committee": "jitnet, eight tabular",
    "realmlp_ensemble": "RealMLP-TD-S, eight",
}
SINGLE = ("jitnet", "tabular", "sklearn", "boosting", "skorch", "realmlp")
"""What is measured where --peers names nothing."""

TIMEOUT_S = 3_600
"""Seconds that a fit may take."""


@dataclass(frozen=True)
class Set:
    """A row of the benchmark. rows, features, kind: of made tables, "classes", "numbers" or "text"; 0 and "" of others.
    most_splits: no more than so many, because each takes long. systems: which can be measured in some minutes."""

    name: str
    rows: int = 0
    features: int = 0
    kind: str = ""
    most_splits: int = 1_000
    systems: tuple[str, ...] = tuple(SYSTEMS)


LARGE = ("jitnet", "tabular", "sklearn", "boosting")
"""What fits a large table within an hour."""

SETS = {
    each.name: each
    for each in (
        *(Set(name) for name in ("digits", "breast_cancer", "wine", "iris", "diabetes", "linnerud")),
        Set("MNIST", most_splits=3, systems=(*LARGE, "skorch")),
        *(Set(f"1,000 × 20, {kind}", 1_000, 20, kind) for kind in ("classes", "numbers")),
        Set("10,000 × 20, classes", 10_000, 20, "classes", 5),
        Set("100,000 × 50, classes", 100_000, 50, "classes", 3, LARGE),
        Set("1,000,000 × 50, classes", 1_000_000, 50, "classes", 1, ("jitnet", "sklearn", "boosting")),
        Set("words, 20,000 × 50,000", 20_000, 50_000, "text", 3, ("jitnet", "sklearn")),
    )
}
SMALL = ("digits", "breast_cancer", "wine", "iris", "diabetes", "linnerud")
FIRST_FIT = "1,000 × 20, classes"


@dataclass
class Result:
    """What a set's systems did: for each a list of what every fit was, split by split; failures: why one could not.
    versions: of the packages that they had."""

    name: str
    fits: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def of(self, system: str, what: str) -> list[float]:
        return [fit[what] for fit in self.fits.get(system, [])]

    def difference(self, system: str, other: str) -> tuple[float, float] | None:
        """Mean and standard error of a system's score less another's, formed within each split."""
        pairs = zip(self.of(system, "score"), self.of(other, "score"), strict=True)
        found = [ours - theirs for ours, theirs in pairs] if {system, other} <= set(self.fits) else []
        if len(found) < 2:
            return None
        return mean(found), stdev(found) / math.sqrt(len(found))


def measure(found: Set, systems: Sequence[str], options: argparse.Namespace, draw: random.Random) -> Result:
    """All splits of a set, each fitted by every system; one that fails is named, and the others continue."""
    result, workers = Result(found.name), dict[str, Worker]()
    chosen = [system for system in systems if system in found.systems]
    for system in chosen:
        try:
            workers[system] = started(system, options)
            result.versions |= workers[system].versions
        except WorkerError as error:
            result.failures[system] = str(error)
    splits = min(options.splits, found.most_splits)
    row = {"work": "fit", "set": found.name, "data": options.data, "quick": options.quick}
    row |= {"rows": found.rows, "features": found.features, "kind": found.kind}

    def fit(system: str, split: int) -> None:
        try:
            worker = workers[system]
            worker.request(do="prepare", row=row | {"system": system, "split": split})
            seconds = float(worker.request(do="measure")["seconds"])
            result.fits.setdefault(system, []).append({"seconds": seconds, **worker.request(do="check")})
        except WorkerError as error:
            result.failures[system] = str(error)
            result.fits.pop(system, None)

    for split in range(splits):
        for system in draw.sample(list(workers), len(workers)):
            if system not in result.failures:
                fit(system, split)
    for worker in workers.values():
        worker.close()
    return result


def started(system: str, options: argparse.Namespace) -> Worker:
    """A new process for a system; WorkerError where its interpreter cannot be started."""
    python = options.pythons.get(system)
    return Worker("tables", 0, {"tables": python} if python else {}, TIMEOUT_S)


def first_fits(systems: Sequence[str], options: argparse.Namespace, times: int) -> dict[str, list[float]]:
    """Seconds that the first fit of a process takes over a second one of the same rows."""
    row = {"work": "fit", "set": FIRST_FIT, "data": options.data, "quick": options.quick, "split": 0}
    row |= {name: getattr(SETS[FIRST_FIT], name) for name in ("rows", "features", "kind")}
    found: dict[str, list[float]] = {}
    for _ in range(times):
        for system in systems:
            try:
                worker = started(system, options)
            except WorkerError:
                continue
            try:
                spent = []
                for _ in range(2):
                    worker.request(do="prepare", row=row | {"system": system})
                    spent.append(float(worker.request(do="measure")["seconds"]))
                found.setdefault(system, []).append(spent[0] - spent[1])
            except WorkerError:
                continue
            finally:
                worker.close()
    return found


def lines(result: Result) -> list[list[str]]:
    """A row for each system: score and deviation, seconds, CPU seconds and their ratio to RealMLP's, memory, and the
    score beside the recipe's."""
    found = []
    reference = result.of("realmlp", "cpu_seconds")
    for system in result.fits:
        scores = result.of(system, "score")
        spread = f" ± {100 * stdev(scores):.2f}" if len(scores) > 1 else ""
        beside = result.difference("tabular", system) if system != "tabular" else None
        found.append(
            [
                SYSTEMS[system],
                f"{100 * mean(scores):.2f}{spread}",
                f"{median(result.of(system, 'seconds')):.3g}",
                f"{median(result.of(system, 'cpu_seconds')):.3g}",
                f"{median(result.of(system, 'cpu_seconds')) / median(reference):.2g}" if reference else "",
                f"{max(result.of(system, 'bytes')) / 1e6:,.0f}",
                f"{100 * beside[0]:+.2f} ± {100 * beside[1]:.2f}" if beside else "",
            ]
        )
    return found


HEAD = ["system", "score, %", "s", "CPU s", "of RealMLP's", "MB", "tabular's less it"]


def verdicts(results: Sequence[Result], first: Mapping[str, Sequence[float]]) -> list[tuple[str, str, str]]:
    """Each target: what it says, what was found, and whether it is met."""
    found: list[tuple[str, str, str]] = []

    def judge(what: str, value: str, met: bool) -> None:
        found.append((what, value, "met" if met else "MISSED"))

    by_name = {result.name: result for result in results}
    for name, factor in (("MNIST", 8.0), (FIRST_FIT, 5.0)):
        result = by_name.get(name)
        if result and {"jitnet", "sklearn"} <= set(result.fits):
            faster = median(result.of("sklearn", "seconds")) / median(result.of("jitnet", "seconds"))
            behind = result.difference("jitnet", "sklearn")
            as_good = behind is None or behind[0] >= -behind[1]
            score = f"; score {100 * behind[0]:+.2f} ± {100 * behind[1]:.2f}" if behind else ""
            what = f"{name}: at an equal score {factor:g} × faster than scikit-learn's network"
            judge(what, f"{faster:.1f} ×{score}", faster >= factor and as_good)
    for result in results:
        if (beside := result.difference("tabular", "sklearn")) is not None:
            what = f"{result.name}: tabular at most one standard error behind scikit-learn's network"
            judge(what, f"{100 * beside[0]:+.2f} ± {100 * beside[1]:.2f}", beside[0] >= -beside[1])
        if result.name in SMALL and (beside := result.difference("tabular", "realmlp")) is not None:
            share = median(result.of("tabular", "cpu_seconds")) / median(result.of("realmlp", "cpu_seconds"))
            what = f"{result.name}: tabular as good as RealMLP-TD-S in a fifth of its CPU time"
            value = f"{100 * beside[0]:+.2f} ± {100 * beside[1]:.2f}; {share:.2f} of the time"
            judge(what, value, beside[0] >= -beside[1] and share <= 0.2)
    for result in results:
        if (beside := result.difference("committee", "realmlp_ensemble")) is not None:
            what = f"{result.name}: a committee at most one standard error behind RealMLP's ensemble"
            judge(what, f"{100 * beside[0]:+.2f} ± {100 * beside[1]:.2f}", beside[0] >= -beside[1])
    for system in ("jitnet", "tabular"):
        if system in first:
            over = median(first[system])
            judge(
                f"{SYSTEMS[system]}: the first fit of a process at most 1 s over a second", f"{over:.2f} s", over <= 1.0
            )
    return found


def aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def remarks(results: Sequence[Result]) -> list[str]:
    """What could not run and why, each reason once."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for result in results:
        for system, why in result.failures.items():
            reasons.setdefault((SYSTEMS[system], why), []).append(result.name)
    return [f"{who} could not run {'; '.join(names)}: {why}" for (who, why), names in reasons.items()]


def as_text(results: Sequence[Result], first: Mapping[str, Sequence[float]]) -> str:
    blocks = [f"{result.name}\n{aligned([HEAD, *lines(result)])}" for result in results if result.fits]
    if first:
        rows = [[SYSTEMS[system], f"{median(spent):.2f}"] for system, spent in first.items()]
        blocks.append(f"first fit of a process\n{aligned([['system', 's over a second fit'], *rows])}")
    if judged := verdicts(results, first):
        blocks.append(aligned([("target", "found", ""), *judged]))
    return "\n\n".join([*blocks, *remarks(results)])


def as_markdown(results: Sequence[Result], first: Mapping[str, Sequence[float]], header: Sequence[str]) -> str:
    def table(rows: Sequence[Sequence[str]]) -> str:
        return "\n".join("| " + " | ".join(row) + " |" for row in (rows[0], ["---"] * len(rows[0]), *rows[1:]))

    rows = [[result.name, *line] for result in results for line in lines(result)]
    blocks = ["  \n".join(header), table([["data", *HEAD], *rows])]
    if judged := verdicts(results, first):
        blocks.append(table([["target", "found", ""], *map(list, judged)]))
    return "\n\n".join([*blocks, *(f"- {remark}" for remark in remarks(results))]) + "\n"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument(
        "--data",
        default=os.environ.get("JITNET_DATA", "data"),
        help="The folder with MNIST's four files. The default is $JITNET_DATA, else ./data; without them MNIST is "
        "left out.",
    )
    parser.add_argument(
        "--sets", default="", metavar="WORDS", help="Only sets whose name has one of these words, by semicolon."
    )
    parser.add_argument("--splits", type=int, default=20, metavar="N", help="Splits of each set; the default is 20.")
    parser.add_argument(
        "--peers",
        default=",".join(SINGLE),
        help=f"Which systems, by comma, of {', '.join(SYSTEMS)}. The default is the first {len(SINGLE)}.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="At most 2,000 rows of a table and two splits: a try, and no result."
    )
    parser.add_argument(
        "--python-of",
        action="append",
        default=[],
        metavar="SYSTEM=PYTHON",
        help="The interpreter that has a system, where this one has not.",
    )
    parser.add_argument("--seed", type=int, default=0, help="Of the order of measurements.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write every fit to this file.")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="Write the tables as Markdown to this file.")
    options = parser.parse_args()
    options.peers = options.peers.split(",")
    if unknown := set(options.peers) - set(SYSTEMS):
        parser.error(f"--peers: {', '.join(sorted(unknown))}: unknown; there are {', '.join(SYSTEMS)}")
    options.pythons = dict(pair.partition("=")[::2] for pair in options.python_of)
    if unknown := set(options.pythons) - set(SYSTEMS):
        parser.error(
            f"--python-of: {', '.join(sorted(unknown))}: expected SYSTEM=PYTHON with one of {', '.join(SYSTEMS)}"
        )
    if options.splits < 1:
        parser.error(f"--splits is {options.splits}; expected 1 or more")
    if options.quick:
        options.splits = min(options.splits, 2)
    words = [word.strip().lower() for word in options.sets.split(";") if word.strip()]
    options.sets = [name for name in SETS if not words or any(word in name.lower() for word in words)]
    if not options.sets:
        parser.error(f"--sets: no set has one of these words; there are {'; '.join(SETS)}")
    options.data = str(Path(options.data).resolve())
    return options


def main() -> None:
    options = parse()
    began, draw, results = time.perf_counter(), random.Random(options.seed), list[Result]()
    for name in options.sets:
        print(f"{time.perf_counter() - began:6.0f} s  {name}", file=sys.stderr, flush=True)
        results.append(measure(SETS[name], options.peers, options, draw))
    first: dict[str, list[float]] = {}
    if FIRST_FIT in options.sets:
        print(f"{time.perf_counter() - began:6.0f} s  first fits", file=sys.stderr, flush=True)
        first = first_fits(options.peers, options, 1 if options.quick else 5)
    found = machine()
    versions = {name: version for result in results for name, version in result.versions.items()}
    names = [f"{name} {version}" for name, version in sorted(versions.items())]
    header = [machine_line(found), ", ".join(filter(None, [*names, commit()]))]
    header += ["A quick try on few rows and splits: no result."] if options.quick else []
    print("\n".join(header), as_text(results, first), sep="\n\n")
    if options.json:
        sets = [{"name": each.name, "fits": each.fits, "failures": each.failures} for each in results]
        document = {"machine": found, "versions": versions, "commit": commit(), "sets": sets, "first_fits": first}
        document |= {
            "targets": [
                dict(zip(("target", "found", "verdict"), each, strict=True)) for each in verdicts(results, first)
            ]
        }
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(as_markdown(results, first, header), encoding="utf-8")


if __name__ == "__main__":
    main()
