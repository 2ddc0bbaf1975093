"""Committees of the recipe `best` on MNIST beside single networks, python benchmarks/committees.py

Three committees of seven networks, 21 networks of different seeds, each trained on all training images and scored on
the test images. The goal is 99.6%, the mean of the three. Anything that is to be chosen, such as how many members, is
chosen with --held-out, which trains the networks of one committee on 55,000 images and scores committees of one to
seven on the 5,000 others; the test images are not read then.

Networks are trained in worker processes of one thread each, as many at a time as there are cores. Committees on tables
are measured by benchmarks/tables.py.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "workers"))

from harness import commit, machine, machine_line

GOAL = 0.996
HELD_OUT = 12
"""One part in so many of MNIST's training images is held out: 5,000 of 60,000."""
QUICK = {"network": {"hidden": (32,)}, "training": {"epochs": 1}}


def mnist(options: argparse.Namespace) -> Iterator[Sequence[str]]:
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
    with tempfile.TemporaryDirectory() as made:
        folder = options.keep or Path(made)
        missing = [work for work in works if not (folder / work.name / "model.safetensors").exists()]
        began = time.perf_counter()
        for event in run_all(missing, folder, workers=options.workers):
            if isinstance(event, Failed):
                raise SystemExit(f"{event.name}: {event.error}")
            if isinstance(event, Finished):
                print(f"{time.perf_counter() - began:6.0f} s  {event.name}", file=sys.stderr, flush=True)
        models = [Model.load(folder / work.name) for work in works]

    def accuracy(model: Model | Committee) -> float:
        return evaluate(model, data).accuracy

    single = [accuracy(model) for model in models]
    if options.held_out:
        yield ("members", f"accuracy on {len(data.test_or_train):,} held-out images")
        yield ("1", f"{mean(single):.2%}, the mean of {len(single)}")
        for k in range(2, len(models) + 1):
            yield (f"{k}", f"{accuracy(Committee.from_models(models[:k])):.2%}")
        return
    yield ("committee", "its members, mean", "best member", "committee")
    found = []
    for start in range(0, len(models), options.members):
        part = slice(start, start + options.members)
        found.append(accuracy(Committee.from_models(models[part])))
        seeds = f"seeds {start} to {start + options.members - 1}"
        yield (seeds, f"{mean(single[part]):.2%}", f"{max(single[part]):.2%}", f"{found[-1]:.2%}")
    verdict = "met" if mean(found) >= GOAL else "MISSED"
    yield ("mean", f"{mean(single):.2%}", "", f"{mean(found):.2%}, goal {GOAL:.1%}: {verdict}")


def aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data",
        default=os.environ.get("JITNET_DATA", "data"),
        help="The folder with MNIST's four files. The default is $JITNET_DATA, else ./data.",
    )
    parser.add_argument("--held-out", action="store_true", help="Score on held-out images, for what is to be chosen.")
    parser.add_argument("--committees", type=int, default=3, metavar="N", help="Of MNIST; the default is 3.")
    parser.add_argument("--members", type=int, default=7, metavar="N", help="Of each; the default is 7.")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="Keep the networks there, and train only those that are not there."
    )
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="Networks at a time; 0 is one a core.")
    parser.add_argument(
        "--quick", action="store_true", help="Small networks, few members, an epoch: a try, and no result."
    )
    options = parser.parse_args()
    if options.quick:
        options.committees, options.members = 2, 2
    for name in ("committees", "members"):
        if getattr(options, name) < 1 + (name == "members"):
            parser.error(f"--{name} is {getattr(options, name)}; expected {1 + (name == 'members')} or more")
    return options


def main() -> None:
    options = parse()
    print("\n".join([machine_line(machine()), commit()]))
    if options.quick:
        print("A quick try of small networks: no result.")
    print(f"\n{aligned(list(mnist(options)))}", flush=True)


if __name__ == "__main__":
    main()
