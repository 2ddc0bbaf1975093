"""Profile functions whose faults are known, and show which hints were true, false and missed: python scripts/planted.py

    python scripts/planted.py                     # all that are not in the file of results yet
    python scripts/planted.py --only dot,gravity  # some of them, measured again
    python scripts/planted.py --json > found.json

The functions are in scripts/planted/, each below lines of comment:

    # args: f8[1000]      how it is called, or `# setup:` with a function of its file
    # must: race          the hint, or failed check, that must be there; one of several after a |; check: any check
    # may: layout         hints that are true too, and need not be there
    # tempting: …         what a clean function looks like; all hints that are neither in must nor in may are false
    # target: A.method    what to profile, where it is not the function below

A hint that must be there must name a line that ends in `# here`, where the function has one. A failed check is true in
a function that must have one or races. A hint that is in neither list, whose remedy there was no time to try, is
neither true nor false: it is `open`, as on a machine where other programs are running. Each result is written to a file
as it comes, so that an interrupted run goes on; one is measured again where something was open in it, where the
function's source has changed, or with --again, as after a change of the profiler.
"""

import argparse
import ast
import hashlib
import inspect
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jitnet import render
from jitnet.errors import JitnetError
from jitnet.profile.functions.function_profile import FunctionProfile
from jitnet.profile.functions.profiling import profile_function
from jitnet.render.tables import Cell, table

FOLDER = Path(__file__).parent / "planted"
RESULTS = Path(__file__).parent / "planted.jsonl"
FIELDS = ("args", "setup", "must", "may", "tempting", "target")

CHECKS = {"bounds": "bounds", "fastmath": "without fastmath"}
"""Faults that a failed check names, and not a hint: the name of the check."""

WRONG = ("race", *CHECKS)
"""Faults with which any check may fail."""

NO_TIME = "no time is left"
"""How the reason of a hint begins that there was no time to try."""

RANDOM = re.compile(r"draws random numbers")

COUNTS = ("planted", "found", "missed", "false", "open")
"""What is counted of each kind of hint."""

MOST_FALSE, FOUND = 0, 0.9
"""The goal: false hints, and the share of planted faults that are found."""


@dataclass(frozen=True)
class Planted:
    """A function, and what is true of it. must: each an alternative or several; lines: those that must be named."""

    name: str
    file: str
    target: str
    args: str | None
    setup: str | None
    must: tuple[tuple[str, ...], ...]
    may: tuple[str, ...]
    tempting: str
    lines: tuple[int, ...]
    source: str

    @property
    def key(self) -> str:
        """Changes where the function or what is known of it does."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Judged:
    """What was found of a function. found, missed, false, also, open: names of hints; also: those that may be there;
    open: those that there was no time to try, and that are not known to be true.

    error: why it could not be profiled, "" where it was. seconds: what that took.
    """

    name: str
    key: str
    found: tuple[str, ...]
    missed: tuple[str, ...]
    false: tuple[str, ...]
    also: tuple[str, ...]
    open: tuple[str, ...]
    error: str
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(description="Profile functions whose faults are known, and judge the hints.")
    parser.add_argument("--only", metavar="NAMES", help="names of functions or files, with commas; measured again")
    parser.add_argument("--again", action="store_true", help="measure all again")
    parser.add_argument("--time", type=float, metavar="SECONDS", help="for each answer")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help="where the results are kept")
    parser.add_argument("--json", action="store_true", help="print the results as one document")
    options = parser.parse_args()
    planted = list(read_planted())
    names = options.only.split(",") if options.only else None
    if names and (unknown := set(names) - {each.name for each in planted} - {each.file for each in planted}):
        parser.error(f"--only {', '.join(sorted(unknown))}: expected functions or files of {FOLDER}")
    chosen = [each for each in planted if names is None or each.name in names or each.file in names]
    known = {} if options.again else read_results(options.results)
    if names is not None:
        known = {name: each for name, each in known.items() if name not in {one.name for one in chosen}}
    judged = []
    for number, each in enumerate(chosen, 1):
        done = known.get(each.name)
        if done is None or done.key != each.key or done.open:
            print(f"{number} of {len(chosen)}: {each.name}", file=sys.stderr)
            done = judge(each, options.time)
            with options.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(done)) + "\n")
        judged.append(done)
    totals = totals_of(chosen, judged)
    if options.json:
        print(json.dumps({"functions": [asdict(each) for each in judged], "totals": totals}, indent=1))
    else:
        show(chosen, judged, totals)
    return 0 if totals["false"] <= MOST_FALSE and totals["found"] >= FOUND * totals["planted"] else 1


def read_planted() -> Iterator[Planted]:
    """Yield the functions that have an `args` or a `setup`, in the order of the files."""
    for path in sorted(FOLDER.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        for node in ast.parse(text).body:
            if not isinstance(node, ast.FunctionDef):
                continue
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            truth, at = {}, first - 2
            while at >= 0 and (match := re.fullmatch(r"# (\w+): (.*)", lines[at])) and match[1] in FIELDS:
                truth[match[1]] = match[2]
                at -= 1
            if "args" in truth or "setup" in truth:
                yield _planted(path, node, truth, lines, at + 1)


def _planted(path: Path, node: ast.FunctionDef, truth: dict[str, str], lines: list[str], begin: int) -> Planted:
    target = truth.get("target", node.name)
    last = node.end_lineno or node.lineno
    body = range(node.lineno, last + 1)
    if target != node.name:  # a method, which is above
        method = target.rpartition(".")[2]
        body = range(next(n for n, line in enumerate(lines, 1) if f"def {method}(" in line), node.lineno)
    marked = [number for number in body if lines[number - 1].endswith("# here")]
    if not marked:  # it is in a function above that this one calls
        called = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        marked = [
            number
            for number, line in enumerate(lines, 1)
            if line.endswith("# here") and any(line.startswith(f"def {name}(") for name in called)
        ]
    return Planted(
        name=node.name,
        file=path.stem,
        target=f"{path}:{target}",
        args=truth.get("args"),
        setup=f"{path}:{truth['setup']}" if "setup" in truth else None,
        must=tuple(tuple(each.split("|")) for each in _listed(truth.get("must", ""))),
        may=tuple(_listed(truth.get("may", ""))),
        tempting=truth.get("tempting", ""),
        lines=tuple(marked),
        source="\n".join(lines[begin:last]),
    )


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def read_results(path: Path) -> dict[str, Judged]:
    """Return the newest result of each function; a line that an interrupted run has left incomplete is skipped."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            read = json.loads(line)
            made = Judged(**{name: tuple(value) if isinstance(value, list) else value for name, value in read.items()})
        except (ValueError, TypeError):
            continue
        found[made.name] = made
    return found


def judge(planted: Planted, time_s: float | None) -> Judged:
    """Profile one function, and compare what was found with what is true."""
    begin = time.perf_counter()
    named: list[tuple[str, int]] = []
    untried: set[tuple[str, int]] = set()
    error = ""
    limited = time_s is not None and "time_s" in inspect.signature(profile_function).parameters
    try:
        profile = profile_function(
            planted.target, args=planted.args, setup=planted.setup, **({"time_s": time_s} if limited else {})
        )
        named = list(named_in(profile))
        untried = {(hint.kind, hint.place.line) for hint in profile.hints if hint.untried.startswith(NO_TIME)}
    except JitnetError as raised:
        error = str(raised)
        outside = re.search(r"index.* is out(?:side| of bounds).*?:(\d+)\)", error)
        if outside:
            named = [("bounds", int(outside[1]))]
    wanted = {name for names in planted.must for name in names}
    found, missed = [], []
    for names in planted.must:
        lines = [(name, line) for name, line in named if name in names]
        right = [name for name, line in lines if not planted.lines or line in planted.lines or not line]
        (found if right else missed).append(right[0] if right else "|".join(names))
    wrong = bool(wanted & set(WRONG))
    false, also, unknown = [], [], []
    for name, line in named:
        if name in found and (not line or not planted.lines or line in planted.lines):
            continue
        if name in planted.may or (wrong and name == "check"):
            also.append(name)
        elif (name, line) in untried:
            unknown.append(name)
        else:
            false.append(f"{name} in line {line}" if name in wanted else name)
    if error and not named:
        false.append("an error")
    seconds = time.perf_counter() - begin
    parts = (tuple(dict.fromkeys(each)) for each in (found, missed, false, also, unknown))
    return Judged(planted.name, planted.key, *parts, error, round(seconds, 1))


def named_in(profile: FunctionProfile) -> Iterator[tuple[str, int]]:
    """Yield the hints that are shown without --all-hints, and the checks that failed, with their lines, 0 for none."""
    for hint in profile.hints:
        if hint.shown:
            yield hint.kind, hint.place.line
    for check in profile.checks:
        line = check.place.line if check.place else 0
        if RANDOM.search(check.reason):
            yield "random", line
        elif check.verdict == "failed":
            fault = next((fault for fault, name in CHECKS.items() if name == check.name), None)
            yield fault or "check", line
    if any(RANDOM.search(note) for note in profile.notes):
        yield "random", 0


def totals_of(planted: list[Planted], judged: list[Judged]) -> dict[str, Any]:
    """Return how many faults were planted and found, how many hints are false, and the same for each kind."""
    kinds: dict[str, dict[str, int]] = {}

    def count(kind: str, what: str) -> None:
        kinds.setdefault(kind, dict.fromkeys(COUNTS, 0))[what] += 1

    for truth, result in zip(planted, judged, strict=True):
        for names in truth.must:
            count("|".join(names), "planted")
            count("|".join(names), "found" if set(names) & set(result.found) else "missed")
        for name in result.false:
            count(name.split(" in line ")[0], "false")
        for name in result.open:
            count(name, "open")
    summed = {what: sum(each[what] for each in kinds.values()) for what in COUNTS}
    return summed | {
        "functions": len(judged),
        "clean": sum(not each.must for each in planted),
        "seconds": round(sum(each.seconds for each in judged), 1),
        "kinds": kinds,
    }


def show(planted: list[Planted], judged: list[Judged], totals: dict[str, Any]) -> None:
    """Print a row a function, a row a kind, and the sums."""
    console = render.consoles().out
    rows: list[list[Cell]] = []
    for truth, result in zip(planted, judged, strict=True):
        rows.append(
            [
                truth.name,
                ", ".join("|".join(names) for names in truth.must) or "clean",
                ", ".join(result.found),
                ", ".join(result.missed),
                ", ".join(result.false),
                ", ".join(result.also),
                ", ".join(result.open),
                f"{result.seconds:.1f}",
            ]
        )
    head = ["function", "planted", "true", "missed", "false", "also true", "open", "s"]
    table(console, head, rows, title="Hints of each function", prose=["false", "also true"], spare=["s", "also true"])
    for truth, result in zip(planted, judged, strict=True):
        if result.error:
            console.print(f"{truth.name}: {result.error}", highlight=False, markup=False)
    console.print()
    kinds: list[list[Cell]] = [
        [kind, *(each[what] for what in COUNTS)] for kind, each in sorted(totals["kinds"].items())
    ]
    table(console, ["hint", "planted", "true", "missed", "false", "open"], kinds, title="Each kind of hint")
    console.print()
    share = totals["found"] / totals["planted"] if totals["planted"] else 1.0
    console.print(
        f"{totals['functions']} functions, {totals['clean']} of them clean: {totals['found']} of {totals['planted']} "
        f"faults found ({share:.0%}), {totals['false']} hints false, {totals['open']} open; {totals['seconds']:.0f} s",
        highlight=False,
    )


if __name__ == "__main__":
    sys.exit(main())
