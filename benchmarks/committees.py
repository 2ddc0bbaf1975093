"""Committees beside single networks, python benchmarks/committees.py

MNIST: three committees of seven networks by the recipe `best`, 21 networks of different seeds, each trained on all
training images and scored on the test images. The goal is 99.6%, the mean of the three. Anything that is to be chosen,
such as how many members, is chosen with --held-out, which trains the networks of one committee on 55,000 images and
scores committees of one to seven on the 5,000 others; the test images are not read then.

Tables: the six small sets of benchmarks/tables.py, with its splits, preparation and scores: a committee of eight
networks by the recipe `tabular` beside one of them, the first. Differences are formed within a split.

Networks are trained in worker processes of one thread each, as many at a time as there are cores.
"""

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "workers"))

from harness import commit, cores, machine, machine_line

SMALL = ("digits", "breast_cancer", "wine", "iris", "diabetes", "linnerud")
GOAL = 0.996
HELD_OUT = 12
"""One part in so many of MNIST's training images is held out: 5,000 of 60,000."""
QUICK = {"network": {"hidden": (32,)}, "training": {"epochs": 1}}

Rows = list[Sequence[str]]


def mnist(options: argparse.Namespace) -> Iterator[Rows]:
    """Train the committees and yield the rows of their table."""
    from jitnet.datasets.folds import Fold
    from jitnet.evaluation import evaluate
    from jitnet.model import Committee, Model
    from jitnet.runs.run_settings import Settings
    from jitnet.search.engine import Failed, Finished
    from jitnet.search.local import run_all
    from jitnet.search.work import Work

    os.environ["JITNET_DATA"] = options.data
    groups = 1 if options.held_out else options.committees
    chosen: dict[str, Any] = QUICK if options.quick else {"network": {}, "training": {}}
    rows = Fold(1, HELD_OUT, 0) if options.held_out else None
    works = []
    for seed in range(groups * options.members):
        training = {**chosen["training"], "seed": seed}
        settings = Settings(data="mnist", recipe="best", network=chosen["network"], training=training)
        works.append(Work(f"seed-{seed}", settings, rows))
    data = works[0].settings.load()
    data = rows(data) if rows is not None else data
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        for event in run_all(works, Path(folder), workers=options.workers):
            if isinstance(event, Failed):
                raise SystemExit(f"{event.name}: {event.error}")
            if isinstance(event, Finished):
                print(f"{time.perf_counter() - began:6.0f} s  {event.name}", file=sys.stderr, flush=True)
        models = [Model.load(Path(folder) / work.name) for work in works]

    def accuracy(model: Model | Committee) -> float:
        return evaluate(model, data).accuracy

    single = [accuracy(model) for model in models]
    if options.held_out:
        yield [("members", f"accuracy on {len(data.test_or_train):,} held-out images")]
        yield [("1", f"{mean(single):.2%}, the mean of {len(single)}")]
        yield [(f"{k}", f"{accuracy(Committee.from_models(models[:k])):.2%}") for k in range(2, len(models) + 1)]
        return
    yield [("committee", "its members, mean", "best member", "committee")]
    found = []
    for start in range(0, len(models), options.members):
        part = slice(start, start + options.members)
        found.append(accuracy(Committee.from_models(models[part])))
        seeds = f"seeds {start} to {start + options.members - 1}"
        yield [(seeds, f"{mean(single[part]):.2%}", f"{max(single[part]):.2%}", f"{found[-1]:.2%}")]
    verdict = "met" if mean(found) >= GOAL else "MISSED"
    yield [("mean", f"{mean(single):.2%}", "", f"{mean(found):.2%}, goal {GOAL:.1%}: {verdict}")]


def fit(name: str, split: int, seed: int, quick: bool) -> Any:
    """Fit one network to a split of a small set, in a worker process; return the fitted system."""
    from tables_worker import Jitnet, load

    system = Jitnet(load(row_of(name, split, quick)), seed, tabular=True)
    system.fit(*system.table.train)
    return system


def row_of(name: str, split: int, quick: bool) -> dict[str, Any]:
    return {"set": name, "split": split, "quick": quick, "data": "", "rows": 0, "features": 0, "kind": ""}


def score_of(system: Any) -> float:
    """The score of a fitted system, or of a committee in its place, on the split's other rows, as in tables.py."""
    import numpy as np

    table = system.table
    predicted, truth = system.predict(table.test.x), table.test.y
    if table.spread is None:
        return float((np.asarray(predicted) == truth).mean())
    error = (np.asarray(predicted, np.float64).reshape(truth.shape) - truth) / table.spread
    return float(1.0 - (error**2).mean())


def one_thread(paths: list[str]) -> None:
    """Before a worker process imports what trains: one core, and the paths of this process."""
    sys.path[:] = paths
    if hasattr(os, "sched_setaffinity"):
        free = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {free[os.getpid() % len(free)]})


def tables(options: argparse.Namespace) -> Iterator[Rows]:
    """Fit the networks and yield the rows of the table, a set at a time."""
    from jitnet.model import Committee

    workers = options.workers or cores()
    members, splits = options.members_of_tables, options.splits
    yield [("data", "splits", "one network, %", f"committee of {members}, %", "committee's less one's")]
    with ProcessPoolExecutor(workers, get_context("spawn"), one_thread, (sys.path,)) as pool:
        for name in options.sets:
            began, one, several = time.perf_counter(), list[float](), list[float]()
            jobs = [
                [pool.submit(fit, name, split, members * split + k, options.quick) for k in range(members)]
                for split in range(splits)
            ]
            for fits in jobs:
                systems = [job.result() for job in fits]
                one.append(score_of(systems[0]))
                systems[0].model = Committee.from_models([system.model for system in systems])
                several.append(score_of(systems[0]))
            print(f"{time.perf_counter() - began:6.0f} s  {name}", file=sys.stderr, flush=True)
            gains = [100 * (b - a) for a, b in zip(one, several, strict=True)]
            gain = f"{mean(gains):+.2f}"
            if len(gains) > 1:
                gain += f" ± {stdev(gains) / math.sqrt(len(gains)):.2f}"
            yield [(name, str(splits), *(f"{100 * mean(scores):.2f}" for scores in (one, several)), gain)]


def aligned(rows: Rows) -> str:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("mnist", "tables"), help="Only one of the two.")
    parser.add_argument(
        "--data",
        default=os.environ.get("JITNET_DATA", "data"),
        help="The folder with MNIST's four files. The default is $JITNET_DATA, else ./data.",
    )
    parser.add_argument("--held-out", action="store_true", help="Score on held-out images, for what is to be chosen.")
    parser.add_argument("--committees", type=int, default=3, metavar="N", help="Of MNIST; the default is 3.")
    parser.add_argument("--members", type=int, default=7, metavar="N", help="Of each; the default is 7.")
    parser.add_argument("--splits", type=int, default=20, metavar="N", help="Of each table; the default is 20.")
    parser.add_argument("--sets", default=",".join(SMALL), help="Which tables, by comma. The default is all of them.")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="Networks at a time; 0 is one a core.")
    parser.add_argument(
        "--quick", action="store_true", help="Small networks, few members, an epoch, two splits: a try, and no result."
    )
    options = parser.parse_args()
    options.members_of_tables = 2 if options.quick else 8
    if options.quick:
        options.committees, options.members, options.splits = 2, 2, min(2, options.splits)
    for name in ("committees", "members", "splits"):
        if getattr(options, name) < 1 + (name == "members"):
            parser.error(f"--{name} is {getattr(options, name)}; expected {1 + (name == 'members')} or more")
    options.sets = [name.strip() for name in options.sets.split(",")]
    if unknown := set(options.sets) - set(SMALL):
        parser.error(f"--sets: {', '.join(sorted(unknown))}: unknown; there are {', '.join(SMALL)}")
    return options


def main() -> None:
    options = parse()
    print("\n".join([machine_line(machine()), commit()]))
    if options.quick:
        print("A quick try of small networks: no result.")
    parts = {"mnist": mnist, "tables": tables}
    for name in parts if options.only is None else (options.only,):
        rows = [row for block in parts[name](options) for row in block]
        print(f"\n{aligned(rows)}", flush=True)


if __name__ == "__main__":
    main()
