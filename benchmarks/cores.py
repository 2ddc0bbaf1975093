"""How training gains from many cores, and whether it chooses their count well: python benchmarks/cores.py

Seven networks, each trained by jitnet on 1, 2, 4, 8, 12 and 16 threads, as far as the machine has them, and on the
count that it chooses by itself; beside PyTorch, where that is installed, on the count that suits it best. All take
turns, one epoch each in a random order. The whole takes at most about five minutes: the time is shared out among the
rows, and a row has as many rounds as fit. Ratios are formed within a round, and their median is what a target is held
against. All counts must have the same bits. Targets of 16 cores are judged on a machine with so many.
"""

import argparse
import json
import os
import random
import sys
import time
from pathlib import Path

from harness import Pool, commit, cores, machine, machine_line
from peers import PERFORMANCE, notes, run
from report import Result, document, markdown, replace_section, terminal
from rows import Entry, Target, Work

COUNTS = (1, 2, 4, 8, 12, 16)
MANY, DOCUMENTED = 16, 8
"""Cores that the targets are for; and cores from which a table is written into the documents."""

ROUNDS = 7
"""Rounds of a row at the most."""

CHOICE = Target("choice", 1.05)
"""What every row has: the count that jitnet chooses is about as fast as the best."""


def counts(available: int) -> tuple[int, ...]:
    """Those of COUNTS that the machine has, and all of its cores."""
    return tuple(sorted({count for count in COUNTS if count <= available} | {available}))


def rows(available: int, quick: bool) -> list[Work]:
    """The networks, with the targets that such a machine can meet."""
    entries = (Entry("jitnet"), *(Entry("jitnet", count) for count in counts(available)), Entry("torch"))

    def row(name: str, hidden: list[int], *targets: Target, **changes: object) -> Work:
        work = {"work": "train", "widths": [784, *hidden, 10], "batch": 32, "optimizer": "sgd", "rate": 0.1}
        work |= {"samples": 1_600 if quick else 0} | changes
        many = targets if available >= MANY else ()
        never = (Target("alone", 1.0),) if hidden == [128] else ()
        return Work("Cores, an epoch", name, work, entries, (CHOICE, *never, *many))

    noise = {"data": "noise", "samples": 1_024 if quick else 8_192, "batch": 512, "rate": 0.01}
    return [
        row("784-128-10, batch 32, SGD", [128]),
        row("784-512-10, batch 32, SGD", [512], Target("speedup", 4.0)),
        row("784-2048-10, batch 32, SGD", [2048], Target("speedup", 5.0), Target("half", 1.0)),
        row("784-128-10, batch 1024, SGD", [128], batch=1024, rate=0.2),
        row("784-128-10, batch 32, Adam", [128], optimizer="adam", rate=0.001),
        row("784-256-128-64-10, batch 32, SGD", [256, 128, 64]),
        row(
            "784-2048-2048-10, batch 512, SGD, 8,192 samples of noise",
            [2048, 2048],
            Target("time", 0.9, "torch"),
            Target("speedup", 11.0),
            **noise,
        ),
    ]


def chosen(result: Result) -> str:
    """On how many threads it ended by its own choice; nothing where that row could not run."""
    check = result.checks.get(Entry("jitnet"))
    return f"chose {check['threads']}" if check else ""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument(
        "--data",
        default=os.environ.get("JITNET_DATA", "data"),
        help="The folder with MNIST's four files. The default is $JITNET_DATA, else ./data.",
    )
    parser.add_argument(
        "--rows", default="", metavar="WORDS", help="Measure only rows whose name has one of these words, by comma."
    )
    parser.add_argument(
        "--minutes", type=float, default=5.0, help="Minutes that all rows may take together, above 0. The default is 5."
    )
    parser.add_argument(
        "--quick", action="store_true", help="Train on a part of the data for one or two rounds: a try, and no result."
    )
    parser.add_argument(
        "--python-of", default="", metavar="PYTHON", help="The interpreter that has PyTorch, where this one has not."
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write every raw sample to this file.")
    parser.add_argument(
        "--update-docs",
        action="store_true",
        help=f"Put the table into docs/performance.md, between its marks. On fewer than {DOCUMENTED} cores it is only "
        "printed.",
    )
    options = parser.parse_args()
    options.data = Path(options.data).resolve()
    if not any(options.data.glob("train-images-idx3-ubyte*")):
        parser.error(
            f"--data: {options.data} does not hold train-images-idx3-ubyte; set --data or JITNET_DATA to MNIST"
        )
    if not options.minutes > 0.0:
        parser.error(f"--minutes is {options.minutes:g}; expected more than 0")
    if options.update_docs and (options.quick or options.rows):
        parser.error("--update-docs: the table there is of all rows and whole epochs; leave out --quick and --rows")
    return options


def measure(options: argparse.Namespace) -> tuple[list[Result], dict[str, str]]:
    """All rows that were asked for, each with its share of the time that is left; and the versions."""
    words = [word.strip().lower() for word in options.rows.split(",") if word.strip()]
    works = [work for work in rows(cores(), options.quick) if not words or any(w in work.name.lower() for w in words)]
    if not works:
        sys.exit(f"cores.py: --rows {options.rows}: no row has one of these words in its name")
    began, draw, results = time.perf_counter(), random.Random(0), []
    with Pool({"torch": options.python_of} if options.python_of else {}) as pool:
        for place, work in enumerate(works):
            spent_s = time.perf_counter() - began
            print(f"{spent_s:6.0f} s  {work.name}", file=sys.stderr, flush=True)
            work.row.setdefault("data", str(options.data))
            budget_s = max(0.0, 60.0 * options.minutes - spent_s) / (len(works) - place)
            result = run(pool, work, 2 if options.quick else ROUNDS, draw, budget_s)
            result.agreement = ", ".join(filter(None, [result.agreement, chosen(result)]))
            results.append(result)
        return results, pool.versions


def update_docs(text: str, available: int) -> str:
    """Put the table into docs/performance.md, where the machine has cores enough; else return why not."""
    if available < DOCUMENTED:
        return (
            f"cores.py: docs/performance.md stays as it is: its table is of {DOCUMENTED} cores or more, and this "
            f"process has {available}"
        )
    replace_section(PERFORMANCE, "cores", text)
    return ""


def main() -> None:
    options = parse()
    results, versions = measure(options)
    found = machine()
    names = [f"{name} {version}" for name, version in sorted(versions.items())]
    header = [machine_line(found), ", ".join(filter(None, [*names, commit()]))]
    header += ["A quick try on a part of the data: no result."] if options.quick else []
    remarks = notes(results)
    print("\n".join(header), terminal(results), "\n".join(remarks), sep="\n\n")
    if options.json:
        everything = document(results, found, versions) | {"commit": commit()}
        options.json.write_text(json.dumps(everything, indent=1) + "\n")
    if options.update_docs:
        try:
            if reason := update_docs(markdown(results, header, remarks), cores()):
                print(reason, file=sys.stderr)
        except (OSError, ValueError) as error:
            sys.exit(f"cores.py: {error}")


if __name__ == "__main__":
    main()
