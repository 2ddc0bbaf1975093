"""How long until MNIST is recognised to 98, 98.5, 99 and 99.5%, for a user: python benchmarks/speedrun.py

The rules:

1. The time is that of the whole command, from the prompt to its exit: Python's start, imports, reading the data,
   training, evaluating, writing the model. It is `jitnet train --recipe NAME --seed N`, and nothing else.
2. Compiled code is in the cache, and the data is on disk as it was downloaded. A run before the first, which is not
   counted, ensures both.
3. A row is valid if the *mean* accuracy on the test images, after the last epoch, is above its threshold over at least
   twenty seeds. No run is left out, and no run stops early because of a result.
4. Nothing is chosen by the test images: neither the recipe nor its length, nor the epoch that is kept. Recipes were
   chosen on images held out of the training set (`scripts/recipes.py choose NAME`).
5. It uses all cores of the machine, and no GPU. Machine and commit are stated with the figures. A row's runs are all
   of one commit; rows may differ.

These are the rules of the CIFAR speedruns (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU"), except for
the clock: theirs starts once everything is loaded, this one when the command is typed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

from harness import commit, environment, machine, machine_line
from report import replace_section, rows_in, section, without_targets

ROOT = Path(__file__).parent.parent
RESULTS, TARGETS = ROOT / "README.md", ROOT / "docs" / "performance.md"
SEEDS = 20


@dataclass
class Row:
    """A threshold in percent, the recipe that runs for it, and the seconds that it should take at most."""

    threshold: float
    recipe: str
    target_s: float
    seconds: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)

    @property
    def passes(self) -> bool:
        """Whether the row is valid by rule 3."""
        return len(self.accuracies) >= SEEDS and mean(self.accuracies) > self.threshold

    def cells(self) -> list[str]:
        """As the table has them."""
        seeds = f"{len(self.accuracies)} seeds"
        found = f"{mean(self.accuracies):.3f}% ({min(self.accuracies):.2f}–{max(self.accuracies):.2f}, {seeds})"
        times = f"{median(self.seconds):.2f} s ({min(self.seconds):.2f}–{max(self.seconds):.2f})"
        verdict = "met" if median(self.seconds) <= self.target_s else "**MISSED**"
        if not self.passes:
            verdict = "**below the threshold**" if len(self.accuracies) >= SEEDS else "too few seeds"
        revision = commit().removeprefix("commit ")
        return [f"{self.threshold:g}%", f"`{self.recipe}`", found, times, f"≤ {self.target_s:g} s", verdict, revision]


ROWS = (Row(98, "fast", 1.5), Row(98.5, "affine", 4), Row(99, "elastic", 30), Row(99.5, "best", 300))
HEAD = ["mean accuracy above", "recipe", "test accuracy", "prompt to exit", "target", "", "commit"]


def run(recipe: str, seed: int, data: str) -> tuple[float, float]:
    """One run: the seconds from prompt to exit, and the accuracy on the test images in percent."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "jitnet", "train", "--recipe", recipe, "--seed", str(seed), "--data", "mnist"]
        variables = environment("jitnet", 0) | {"JITNET_DATA": data}
        began = time.perf_counter()
        done = subprocess.run(
            [*words, "--quiet", "--json", "--out", str(Path(folder) / "run")],
            capture_output=True,
            text=True,
            env=variables,
            check=False,
        )
        seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"speedrun: {recipe}, seed {seed}: {(done.stderr.splitlines() or ['no message'])[-1]}")
    return seconds, 100.0 * json.loads(done.stdout)["last_test_accuracy"]


def markdown(rows: Sequence[Row], before: str = "") -> str:
    """The table, with the machine above it. before: an older table, whose other rows stay if of the same machine."""
    where = machine_line(machine())
    cells = {row[0]: row for row in rows_in(before) if row != HEAD} if where in before.splitlines() else {}
    cells |= {found[0]: found for found in (row.cells() for row in rows)}
    lines = [HEAD, ["---"] * len(HEAD), *(cells[name] for name in sorted(cells, key=lambda name: float(name[:-1])))]
    return "\n".join([where, "", *("| " + " | ".join(line) + " |" for line in lines), ""])


def results(text: str) -> str:
    """The table of `markdown`, without the targets, and without the rows that are not valid."""
    unproven = ("too few seeds", "**below the threshold**")
    return without_targets("\n".join(line for line in text.splitlines() if not any(word in line for word in unproven)))


def main() -> None:
    """Run the selected rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="98,98.5,99,99.5", help="thresholds, separated by commas")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"runs of each row; fewer than {SEEDS} do not count")
    parser.add_argument("--data", default=os.environ.get("JITNET_DATA", ""), help="the folder that holds MNIST")
    parser.add_argument(
        "--update-docs",
        action="store_true",
        help="write the rows into the table of docs/performance.md, where other rows of this machine stay, and the "
        "results without their targets into README.md",
    )
    options = parser.parse_args()
    wanted = {float(text) for text in options.rows.split(",")}
    rows = [row for row in ROWS if row.threshold in wanted]
    if not options.data or not rows:
        parser.error("name the folder of MNIST with --data or JITNET_DATA" if rows else f"no such row: {options.rows}")
    run(rows[0].recipe, 0, options.data)
    for row in rows:
        for seed in range(options.seeds):
            seconds, accuracy = run(row.recipe, seed, options.data)
            row.seconds.append(seconds)
            row.accuracies.append(accuracy)
            print(f"{row.threshold:g}%  {row.recipe}  seed {seed:2}  {seconds:7.2f} s  {accuracy:.2f}%", flush=True)
    print(f"\n{markdown(rows)}")
    if options.update_docs:
        text = markdown(rows, section(TARGETS, "speedrun"))
        replace_section(TARGETS, "speedrun", text)
        replace_section(RESULTS, "speedrun", results(text))


if __name__ == "__main__":
    main()
