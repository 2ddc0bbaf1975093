"""jitnet and PyTorch, JAX, scikit-learn and NumPy, every row of the table: python benchmarks/peers.py

Each system runs in a separate process, with all cores and the number of threads that suits it best, tried before each
row. Within a row the systems are interleaved, one measurement each in random order, for at least seven rounds; ratios
are computed within a round, and a target is compared with their median. After the same number of epochs from the same
weights, every system must have reached the same test accuracy, and every kernel and prediction the same numbers.
"""

import argparse
import json
import math
import os
import random
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import start
from harness import OURS, SYSTEMS, Pool, Worker, WorkerError, commit, cores, interleave, machine, machine_line
from report import Result, document, extract, markdown, replace_section, section, terminal
from rows import PEAK, Entry, Work, rows

ROOT = Path(__file__).parent.parent
PERFORMANCE, README = ROOT / "docs" / "performance.md", ROOT / "README.md"
IN_README = (
    "784-128-10, batch 32, SGD",
    "784-512-10, batch 32, SGD",
    "784-128-10, batch 32, Adam",
    "784-2048-2048-10, batch 512, SGD, 4,096 samples of noise",
    "10,000 images",
    "second start, prompt to first step",
)
"""Rows of the table that README.md repeats: one of every kind, including those where jitnet is not the fastest."""
TUNING_SAMPLES = 6_400


def settings(entry: Entry) -> list[int]:
    """Numbers of threads that an entry may run with: its own, jitnet's choice (0), or for a peer one, half and all."""
    if entry.threads or entry.system in OURS:
        return [entry.threads]
    return sorted({1, max(1, cores() // 2), cores()})


def choose(pool: Pool, work: Work, entry: Entry, result: Result) -> Worker:
    """The worker with the fastest setting for this row, measured on a part of the work."""
    workers = [pool.get(entry.system, threads) for threads in settings(entry)]
    if len(workers) == 1:
        return workers[0]
    row = dict(work.row)
    if row["work"] == "train":
        row["samples"] = min(row["samples"] or TUNING_SAMPLES, TUNING_SAMPLES)
    for worker in workers:
        worker.request(do="prepare", row=row)
        worker.request(do="measure")
    times = interleave({w.threads: partial(seconds, w) for w in workers}, 3, random.Random(0))
    result.tuning[entry.system] = {f"{threads} threads": median(found) for threads, found in times.items()}
    return min(workers, key=lambda worker: median(times[worker.threads]))


def seconds(worker: Worker) -> float:
    return float(worker.request(do="measure")["seconds"])


def run(pool: Pool, work: Work, rounds: int, draw: random.Random, budget_s: float = math.inf) -> Result:
    """Measure one row; a system that fails is named in the result's failures, and the others continue.

    budget_s: seconds that the row may take, as far as fewer rounds keep it to them; one there is at least.
    """
    result, began, once_s = Result(work), time.perf_counter(), 0.0
    workers: dict[Entry, Worker] = {}
    for entry in work.entries:
        try:
            worker = choose(pool, work, entry, result)
            worker.request(do="prepare", row=work.row | {"threads": entry.threads})
            once_s += seconds(worker)  # warms caches and threads; an epoch here counts for the accuracy
        except WorkerError as error:
            result.failures[entry.system] = str(error)
            continue
        workers[entry] = worker
        result.threads[entry] = worker.threads
    left_s = budget_s - (time.perf_counter() - began)
    rounds = max(1, int(min(rounds, left_s / max(once_s, 1e-9))))
    try:
        result.samples = interleave({e: partial(seconds, w) for e, w in workers.items()}, rounds, draw)
        result.checks = {entry: worker.request(do="check") for entry, worker in workers.items()}
    except WorkerError as error:
        result.samples, result.failures[work.name] = {}, str(error)
        for worker in workers.values():
            pool.drop(worker)
        return result
    compare(result, rounds + 1)
    return result


def compare(result: Result, epochs: int) -> None:
    """Set whether all systems computed the same, by the kind of row: accuracy or loss, numbers, or bits."""
    checks = [check for entry, check in result.checks.items() if entry.system != PEAK]
    row = result.work.row
    if len(checks) < 2:
        return
    if {entry.system for entry in result.checks} == {"jitnet"}:
        same = len({check["bits"] for check in checks}) == 1
        result.agreement, result.agrees = "the same bits" if same else "bits", same
    elif row["work"] == "train" and row["data"] == "noise":
        low, high = min(c["loss"] for c in checks), max(c["loss"] for c in checks)
        result.agreement, result.agrees = f"loss {low:.3f}–{high:.3f} after {epochs} epochs", high - low <= 0.05
    elif row["work"] == "train":
        low, high = min(c["accuracy"] for c in checks), max(c["accuracy"] for c in checks)
        tolerance = 0.02 if row["samples"] else 0.005  # on a part of the data the order of the samples matters more
        result.agreement = f"accuracy {low:.1%}–{high:.1%} after {epochs} epochs"
        result.agrees = high - low <= tolerance
    else:
        norms, projections = ([check[key] for check in checks] for key in ("norm", "projection"))
        result.agrees = max(norms) - min(norms) <= 1e-4 * max(norms) and max(projections) - min(projections) <= 1e-4
        result.agreement = "equal to 1e-4" if result.agrees else "numbers"
    ours = {check["bits"] for entry, check in result.checks.items() if entry.system == "jitnet" and "bits" in check}
    if len(ours) > 1:
        result.agreement, result.agrees = f"{result.agreement}, bits", False


def notes(results: list[Result]) -> list[str]:
    """What could not run and why, each reason once."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for result in results:
        for who, why in result.failures.items():
            reasons.setdefault((SYSTEMS.get(who, who), why), []).append(result.work.name)
    return [
        f"{who} could not run {'; '.join(names) if len(names) < 4 else f'{len(names)} rows'}: {why}"
        for (who, why), names in reasons.items()
    ]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--data", default=os.environ.get("JITNET_DATA", "data"), help="folder with MNIST's four files")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="which of them, separated by commas")
    parser.add_argument(
        "--rows",
        default="",
        metavar="TEXT",
        help="only rows whose group or name has one of these texts, separated by commas",
    )
    parser.add_argument("--rounds", type=int, default=7, help="rounds of a row (default 7; short rows take 15)")
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the data and three rounds: a trial, not a result"
    )
    parser.add_argument(
        "--python-of", action="append", default=[], metavar="SYSTEM=PYTHON", help="interpreter that has the system"
    )
    parser.add_argument("--compile", action="store_true", help="PyTorch through torch.compile instead of eager")
    parser.add_argument("--seed", type=int, default=0, help="of the order of measurements")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every raw sample")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the table as Markdown")
    parser.add_argument(
        "--update-docs",
        action="store_true",
        help="the table into docs/performance.md and six of its rows into README.md, between their markers",
    )
    parser.add_argument(
        "--from-docs",
        action="store_true",
        help="only update README.md's rows from the table in docs/performance.md, and measure nothing",
    )
    options = parser.parse_args()
    options.systems = options.systems.split(",")
    if unknown := set(options.systems) - set(SYSTEMS):
        parser.error(f"--systems: {', '.join(sorted(unknown))}: unknown; there are {', '.join(SYSTEMS)}")
    options.pythons = dict(pair.partition("=")[::2] for pair in options.python_of)
    if unknown := set(options.pythons) - {*SYSTEMS, PEAK}:
        parser.error(
            f"--python-of: {', '.join(sorted(unknown))}: expected SYSTEM=PYTHON with one of {', '.join(SYSTEMS)}"
        )
    if options.from_docs:
        return options
    options.data = Path(options.data).resolve()
    if not any(options.data.glob("train-images-idx3-ubyte*")):
        parser.error(
            f"--data: {options.data} does not hold train-images-idx3-ubyte; set --data or JITNET_DATA to MNIST"
        )
    if options.update_docs and (options.quick or options.rounds < 7):
        parser.error(
            "--update-docs: the table there is of seven rounds of whole epochs; leave out --quick and --rounds"
        )
    if options.update_docs and (options.rows or len(options.systems) < len(SYSTEMS)):
        parser.error("--update-docs: the table there is of all rows and systems; leave out --rows and --systems")
    return options


def selected(options: argparse.Namespace) -> list[Work]:
    """The selected rows, with their data and with only the selected systems."""
    words = [word.strip().lower() for word in options.rows.split(",") if word.strip()]
    works = []
    for work in rows(cores(), options.quick):
        if words and not any(word in f"{work.group} {work.name}".lower() for word in words):
            continue
        row = {"data": str(options.data)} | work.row | ({"compile": True} if options.compile else {})
        entries = tuple(entry for entry in work.entries if entry.system in (*options.systems, PEAK))
        works.append(replace(work, row=row, entries=entries))
    return works


def update_docs(text: str) -> None:
    """Put the table into docs/performance.md, and the rows that README.md repeats there; or neither."""
    rows = extract(text, IN_README)
    section(README, "peers")
    replace_section(PERFORMANCE, "peers", text)
    replace_section(README, "peers", rows)


def main() -> None:
    options = parse()
    if options.from_docs:
        try:
            update_docs(section(PERFORMANCE, "peers").lstrip())
        except (OSError, ValueError) as error:
            sys.exit(f"peers.py: {error}")
        return
    draw = random.Random(options.seed)
    began = time.perf_counter()
    results: list[Result] = []

    def say(text: str) -> None:
        print(f"{time.perf_counter() - began:6.0f} s  {text}", file=sys.stderr, flush=True)

    with Pool(options.pythons) as pool:
        for work in selected(options):
            say(work.name)
            rounds = 3 if options.quick else max(options.rounds, work.rounds)
            results.append(run(pool, work, rounds, draw))
        versions = pool.versions
    if not options.rows or any(word in "starting memory" for word in options.rows.lower().split(",")):
        say("starting and memory")
        long_epochs = 10 if options.quick else 100
        rounds = 2 if options.quick else options.rounds
        results += start.measure(str(options.data), options.pythons, options.systems, rounds, long_epochs, draw)
    found = machine()
    quick = ["A quick trial on a part of the data: not a result."] if options.quick else []
    names = [f"{name} {version}" for name, version in sorted(versions.items())]
    header = [machine_line(found), ", ".join(filter(None, [*names, commit()])), *quick]
    remarks = notes(results)
    print("\n".join(header), terminal(results), "\n".join(remarks), sep="\n\n")
    if options.json:
        everything = document(results, found, versions) | {"commit": commit()}
        options.json.write_text(json.dumps(everything, indent=1) + "\n")
    text = markdown(results, header, remarks)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    if options.update_docs:
        try:
            update_docs(text)
        except (OSError, ValueError) as error:
            sys.exit(f"peers.py: {error}")


if __name__ == "__main__":
    main()
