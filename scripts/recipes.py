"""How the recipes and the default learning rates were chosen, and what the recipes reach.

    python scripts/recipes.py choose default     candidates on held-out training data, never on the test data
    python scripts/recipes.py choose adam        the same for an optimizer's learning rate; any optimizer
    python scripts/recipes.py report             every recipe at three seeds, on the test data, as a Markdown table
                                                    (--update-docs: into docs/recipes.md, between its markers; with
                                                    names, only their rows, because `dropout` and `best` take long)

`choose` holds out a tenth of the training images (stratified, from the seed), trains every candidate at each seed
without early stopping, and ranks them by the mean accuracy on the held-out images after the last epoch. The winner was
written into jitnet/config/recipes/, or for the default into jitnet/config/. `report` trains on all training images.

For an optimizer all else is the default, and the rates are 1, 2 and 5 times powers of ten, around the current default.
If the best is at the end of these, the next one is tried as well. The winner was written into jitnet/config/choices.py.
"""

import argparse
import bisect
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
from harness import environment, machine, machine_line, use_all_cores
from report import replace_section, rows_in, section

import jitnet
from jitnet.config import OPTIMIZERS, recipe
from jitnet.machine.host import describe_machine

DOCUMENT = Path(__file__).parent.parent / "docs" / "recipes.md"
REPORTED = ("default", "fast", "affine", "elastic", "dropout", "best")
SEEDS = 3
TARGET = "98"
"""Percent, at which `fast` stops."""
RATES = [float(f"{digit}e{power}") for power in range(-6, 3) for digit in (1, 2, 5)]
"""The learning rates that are tried for an optimizer."""

Candidate = dict[str, Any]

WEAK = {"shift": 1.0, "rotation": 6.0, "scaling": 0.06, "shear": 3.5, "elastic": 26.0, "elastic_sigma": 5.0}
MILD = {"shift": 1.5, "rotation": 8.0, "scaling": 0.08, "shear": 5.0, "elastic": 30.0, "elastic_sigma": 5.0}
BETWEEN = {"shift": 1.75, "rotation": 10.0, "scaling": 0.1, "shear": 6.5, "elastic": 32.0, "elastic_sigma": 4.5}
AFFINE = {"shift": 1.0, "rotation": 8.0, "scaling": 0.08, "shear": 5.0}
TURNED = {"shift": 1.0, "rotation": 8.0}
SMOOTHED = {"schedule": "one-cycle", "learning_rate": 0.8, "label_smoothing": 0.05}
STRONG = {"shift": 2.0, "rotation": 12.0, "scaling": 0.12, "shear": 8.0, "elastic": 34.0, "elastic_sigma": 4.0}


def _grid(**choices: list[Any]) -> Iterator[Candidate]:
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


CANDIDATES: dict[str, list[Candidate]] = {
    "default": [
        {"hidden": [128], "epochs": 10, **rest}
        for rest in [
            *_grid(schedule=["constant"], learning_rate=[0.1, 0.2, 0.3, 0.5]),
            *_grid(schedule=["cosine"], learning_rate=[0.1, 0.2, 0.3, 0.5, 0.7, 1.0]),
            *_grid(schedule=["one-cycle"], learning_rate=[0.5, 0.7, 1.0]),
        ]
    ],
    "fast": [
        *(
            {"hidden": hidden, "schedule": "one-cycle", "epochs": epochs, "learning_rate": rate, **rest}
            for hidden, epochs, rate, rest in (
                *(([256], 4, rate, {"label_smoothing": 0.05}) for rate in (0.4, 0.5, 0.7)),
                *(([256], 3, rate, {"label_smoothing": 0.05}) for rate in (0.5, 0.9)),
                ([320], 3, 0.8, {"label_smoothing": 0.05}),
                ([256], 3, 0.7, {"label_smoothing": 0.1}),
                *(([512], 3, rate, {}) for rate in (0.4, 0.7)),
                ([512], 3, 0.5, {"label_smoothing": 0.05}),
                *(([192], 5, rate, {}) for rate in (0.5, 0.7)),
                ([160], 5, 0.6, {}),
                ([128], 7, 0.7, {}),
            )
        ),
        *(
            {"hidden": hidden, "schedule": schedule, "epochs": epochs, "learning_rate": rate, **rest}
            for hidden, schedule, epochs, rate, rest in itertools.product(
                [[256], [512]],
                ["one-cycle", "cosine"],
                [4, 5],
                [0.2, 0.4],
                [{}, {"optimizer": "momentum", "learning_rate": 0.03}],
            )
        ),
    ],
    "affine": [
        *(
            {**SMOOTHED, "hidden": hidden, "epochs": epochs, "augment": distortions}
            for hidden, epochs, distortions in (([256], 5, AFFINE), ([256], 6, TURNED), ([320], 5, TURNED))
        ),
        *(
            {"hidden": hidden, "schedule": "one-cycle", "epochs": epochs, "learning_rate": rate, "augment": distortions}
            for hidden, epochs, rate, distortions in (
                *(([256], epochs, 0.4, AFFINE) for epochs in (5, 6, 7, 8, 10)),
                *(([256], epochs, 0.5, TURNED) for epochs in (6, 7)),
                *(([512], epochs, 0.4, AFFINE) for epochs in (5, 6, 8)),
                ([512], 8, 0.4, TURNED),
                *(([512], epochs, 0.4, {"shift": 1.0}) for epochs in (6, 8)),
                ([128], 9, 0.6, AFFINE),
                ([192], 7, 0.5, AFFINE),
                ([384], 5, 0.4, AFFINE),
                ([1024], 5, 0.4, AFFINE),
            )
        ),
    ],
    "elastic": [
        {"hidden": hidden, "schedule": "one-cycle", "epochs": epochs, "learning_rate": rate, "augment": distortions}
        for hidden, epochs, rate, distortions in (
            *(([512, 256], epochs, 0.2, MILD) for epochs in (12, 15)),
            ([512, 256], 10, 0.3, MILD),
            ([512, 256], 20, 0.2, AFFINE),
            ([1024], 15, 0.3, MILD),
            *(([1024], epochs, 0.3, AFFINE) for epochs in (15, 20)),
        )
    ],
    "dropout": [
        {"batch_size": 128, "schedule": "one-cycle", "input_dropout": 0.2, "dropout": [0.5], **rest}
        for rest in (
            {"hidden": [2048, 512], "epochs": 80, "optimizer": "adamw", "learning_rate": 2e-3, "ema": 0.999},
            {"hidden": [2048, 512], "epochs": 40, "optimizer": "adamw", "learning_rate": 2e-3, "ema": 0.999},
            {"hidden": [1024, 1024], "epochs": 40, "optimizer": "adamw", "learning_rate": 2e-3, "ema": 0.999},
            {
                "hidden": [1024, 1024],
                "epochs": 40,
                "optimizer": "adamw",
                "learning_rate": 2e-3,
                "ema": 0.999,
                "label_smoothing": 0.1,
            },
            {
                "hidden": [2048, 512],
                "epochs": 60,
                "optimizer": "adamw",
                "learning_rate": 1e-3,
                "ema": 0.999,
                "dropout": [0.5, 0.3],
                "weight_decay": 0.5,
            },
            {
                "hidden": [2048, 512],
                "epochs": 70,
                "optimizer": "adamw",
                "learning_rate": 1e-3,
                "ema": 0.999,
                "input_dropout": 0.4,
                "dropout": [0.5, 0.3],
                "weight_decay": 0.3,
            },
            {
                "hidden": [2048, 512],
                "epochs": 45,
                "optimizer": "adamw",
                "learning_rate": 1e-3,
                "schedule": "constant",
                "warmup": 1,
                "ema": 0.9995,
                "weight_decay": 0.1,
            },
            *(
                {
                    "hidden": hidden,
                    "epochs": epochs,
                    "optimizer": "adamw",
                    "learning_rate": 1e-3,
                    "ema": 0.999,
                    "dropout": [0.5, 0.3],
                }
                for hidden, epochs in (([4096, 512], 20), ([4096, 512], 50), ([8192, 512], 20))
            ),
            {"hidden": [1024, 1024], "epochs": 40, "optimizer": "sgd", "learning_rate": 0.5},
            {"hidden": [1024, 1024], "epochs": 30, "optimizer": "nesterov", "learning_rate": 0.1, "max_norm": 2.0},
            *(
                {
                    "hidden": [1024, 1024],
                    "epochs": epochs,
                    "optimizer": "nesterov",
                    "momentum": 0.95,
                    "learning_rate": rate,
                    "max_norm": limit,
                    "ema": 0.999,
                }
                for epochs, rate, limit in ((110, 0.07, 2.5), (90, 0.03, 2.0))
            ),
        )
    ],
    "best": [
        {
            "hidden": hidden,
            "epochs": epochs,
            "batch_size": 128,
            "optimizer": "adamw",
            "learning_rate": rate,
            "schedule": "one-cycle",
            "label_smoothing": 0.05,
            "ema": 0.999,
            "augment": distortions,
            **rest,
        }
        for hidden, epochs, rate, distortions, rest in (
            ([1024, 512], 60, 1e-3, MILD, {}),
            ([1024, 512], 60, 2e-3, MILD, {}),
            ([1024, 512], 110, 2e-3, MILD, {}),
            ([2048, 512], 60, 2e-3, MILD, {}),
            ([1024, 512, 512], 60, 1e-3, MILD, {}),
            ([1024, 512], 60, 1e-3, MILD, {"weight_decay": 0.3}),
            ([1024, 512], 60, 1e-3, WEAK, {}),
            ([1024, 512], 60, 1e-3, BETWEEN, {}),
            ([1024, 512], 60, 2e-3, STRONG, {}),
        )
    ],
}


def train(candidate: Candidate, data: jitnet.Dataset, seed: int, **more: Any) -> tuple[jitnet.Trainer, Any, float]:
    """One run; the trainer, its last report, and the seconds from here to its end."""
    settings = {**candidate, **more}
    network = {name: settings.pop(name) for name in ("hidden", "activation", "init", "output_bias") if name in settings}
    shape = jitnet.ModelConfig(in_features=data.in_features, n_classes=data.n_classes, **network)
    trainer = jitnet.Trainer(
        jitnet.Model.create(shape, data, seed=seed), data, jitnet.TrainConfig(seed=seed, **settings)
    )
    trainer.prepare()
    begin = time.perf_counter()
    reports = list(trainer.epochs())
    return trainer, reports[-1], time.perf_counter() - begin


def held_out(candidate: Candidate, data: jitnet.Dataset, seeds: int) -> float:
    """A candidate's mean accuracy on held-out data, in percent; prints it. One that diverges has 0 at that seed."""
    scores, times = [], []
    for seed in range(seeds):
        try:
            _, report, seconds = train(candidate, data, seed, val_split=0.1)
        except jitnet.DivergedError:
            scores.append(0.0)
        else:
            scores.append(100.0 * report.val_accuracy)
            times.append(seconds)
    mean = statistics.mean(scores)
    shown = " ".join(f"{score:.2f}" for score in scores)
    spent = f"{statistics.mean(times):6.1f} s" if times else "diverged"
    print(f"{mean:6.2f}%  ({shown})  {spent}  {candidate}", flush=True)
    return mean


def choose(name: str, data: jitnet.Dataset, seeds: int) -> None:
    """Rank a recipe's candidates, or an optimizer's learning rates, by held-out accuracy."""
    if name in OPTIMIZERS:
        ranked = rates(name, lambda candidate: held_out(candidate, data, seeds))
    else:
        ranked = [(held_out(candidate, data, seeds), candidate) for candidate in CANDIDATES[name]]
    print("best:", max(ranked, key=lambda pair: pair[0])[1])


def rates(optimizer: str, score: Callable[[Candidate], float]) -> list[tuple[float, Candidate]]:
    """An optimizer's learning rates with their scores: its default, three of `RATES` to either side of that, and as
    many more as it takes for the best to have one to either side."""
    default = OPTIMIZERS[optimizer].defaults["learning_rate"]
    first, last = max(0, bisect.bisect_left(RATES, default) - 3), bisect.bisect_right(RATES, default) + 3
    scores: dict[float, float] = {}
    while True:
        for rate in sorted({*RATES[first:last], default} - set(scores)):
            scores[rate] = score({"optimizer": optimizer, "learning_rate": rate})
        best = max(scores, key=scores.__getitem__)
        if best <= RATES[first] and first > 0:
            first -= 1
        elif best >= RATES[last - 1] and last < len(RATES):
            last += 1
        else:
            return [(value, {"optimizer": optimizer, "learning_rate": rate}) for rate, value in scores.items()]


def heading(seeds: int) -> list[str]:
    """The head of the table of a report."""
    return ["recipe", "network", "epochs", "test accuracy at seed " + ", ".join(map(str, range(seeds))), "mean", "time"]


def report(data: jitnet.Dataset, where: str, names: list[str], seeds: int, threads: int) -> Iterator[list[str]]:
    """What the recipes reach on the test data, a line for each. where: the value of --data; threads: 0 leaves the
    choice to training."""
    for name in names:
        tables = {"model": {}, "train": {}} if name == "default" else recipe(name)
        runs = [train({**tables["model"], **tables["train"]}, data, seed, threads=threads) for seed in range(seeds)]
        used = runs[0][0].plan.threads
        widths = "-".join(map(str, runs[0][0].model.config.widths))
        seconds = statistics.mean(spent for _, _, spent in runs)
        scores = [last.test_accuracy for _, last, _ in runs]
        yield _line(name, widths, [last.epoch for _, last, _ in runs], scores, f"{seconds:.1f} s, threads: {used}")
        if name == "fast":
            prompt_to_exit(where, 0)  # compiles what is not compiled yet: the second start is measured
            starts = [prompt_to_exit(where, seed) for seed in range(seeds)]
            seconds = statistics.mean(spent for spent, _ in starts)
            epochs = [document["epochs"] for _, document in starts]
            scores = [reports[-1]["test_accuracy"] for reports in epochs]
            name = f"`{name}`, `--target-acc {TARGET}`"
            yield _line(name, widths, [len(reports) for reports in epochs], scores, f"{seconds:.1f} s, prompt to exit")


def _line(name: str, widths: str, epochs: list[int], scores: list[float], spent: str) -> list[str]:
    shown = ", ".join(f"{100 * score:.2f}" for score in scores)
    counts = str(epochs[0]) if len(set(epochs)) == 1 else ", ".join(map(str, epochs))
    return [name, widths, counts, shown, f"{100 * statistics.mean(scores):.2f}%", spent]


def prompt_to_exit(where: str, seed: int) -> tuple[float, dict[str, Any]]:
    """`jitnet train --recipe fast --target-acc 98` in a new process: its seconds, and its JSON document.

    Ends the program where it fails, with its last line; an end below the target is a result.
    """
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "jitnet", "train", "--data", where, "--recipe", "fast", "--target-acc", TARGET]
        words += ["--seed", str(seed), "--out", str(Path(folder) / "run"), "--quiet", "--json"]
        begin = time.perf_counter()
        done = subprocess.run(
            words, capture_output=True, text=True, env=environment("jitnet", 0), preexec_fn=use_all_cores
        )
        spent = time.perf_counter() - begin
    if done.returncode not in (0, jitnet.TargetMissed.exit_code):
        sys.exit(f"recipes.py: {(done.stderr.strip() or 'jitnet train failed').splitlines()[-1]}")
    return spent, json.loads(done.stdout)


def merged(old: list[list[str]], new: list[list[str]]) -> list[list[str]]:
    """Old rows with the new ones in their places, in the order of the recipes."""
    rows = {row[0]: row for row in [*old, *new]}
    return sorted(rows.values(), key=lambda row: REPORTED.index(row[0].split(",")[0].strip("`")))


def markdown(lines: list[list[str]]) -> str:
    """A table, with the machine, the versions and the day above it."""
    cpu = describe_machine()
    versions = f"jitnet {jitnet.__version__}, Numba {cpu.numba}, LLVM {cpu.llvm}"
    header = f"{machine_line(machine())}  \n{versions}, {date.today().isoformat()}"
    head, *body = lines
    rows = "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *body))
    times = "Times are the mean over the seeds: training and evaluation unless the line says more."
    return f"{header}\n\n{rows}\n\n{times}\n"


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["choose", "report"])
    parser.add_argument(
        "names",
        nargs="*",
        help=f"recipes, and for choose optimizers; for report {', '.join(REPORTED)} where none is named",
    )
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument(
        "--threads", type=int, default=0, help="of a training in report; 0, the default, leaves the choice to training"
    )
    parser.add_argument("--update-docs", action="store_true", help="report into docs/recipes.md, between its markers")
    options = parser.parse_args()
    choosable = [*CANDIDATES, *OPTIMIZERS]
    if options.task == "choose" and not options.names:
        parser.error(f"choose: name what to choose, of {', '.join(choosable)}")
    if options.task == "choose" and (unknown := set(options.names) - set(choosable)):
        parser.error(f"{', '.join(sorted(unknown))}: unknown; there are {', '.join(choosable)}")
    usual = options.data == "mnist" and options.seeds == SEEDS
    if options.update_docs and not (usual and options.task == "report"):
        parser.error("--update-docs: the table there is a report; leave out --data and --seeds")
    if options.task == "report" and (unknown := set(options.names) - set(REPORTED)):
        parser.error(f"{', '.join(sorted(unknown))}: unknown; there are {', '.join(REPORTED)}")
    data = jitnet.load(options.data)
    if options.task == "choose":
        for name in options.names:
            choose(name, data, options.seeds)
        return
    rows = []
    for row in report(data, options.data, options.names or list(REPORTED), options.seeds, options.threads):
        print("  ".join(row), flush=True)
        rows.append(row)
    print(f"\n{markdown([heading(options.seeds), *rows])}")
    if options.update_docs:
        try:
            rows = merged(rows_in(section(DOCUMENT, "recipes"))[1:], rows)
            replace_section(DOCUMENT, "recipes", markdown([heading(options.seeds), *rows]))
        except (OSError, ValueError) as error:
            sys.exit(f"recipes.py: {error}")


if __name__ == "__main__":
    main()
