"""How the recipes were chosen, and what they reach.

    python benchmarks/recipes.py choose default     candidates on held-out training data, never on the test data
    python benchmarks/recipes.py report             every recipe at three seeds, on the test data, as a Markdown table

`choose` holds out a tenth of the training images (stratified, seed 0), trains every candidate at each seed without any
early stop, and ranks them by the mean accuracy on the held-out images after the last epoch. The winner of each was
written into jitnet/recipes/, or for the default into jitnet/config.py. `report` then trains on all training images.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Iterator
from typing import Any

import jitnet
from jitnet.config import recipe

Candidate = dict[str, Any]

DISTORTIONS = {"shift": 2.0, "rotation": 12.0, "scaling": 0.12, "shear": 8.0, "elastic": 34.0, "elastic_sigma": 4.0}


def _grid(**choices: list[Any]) -> Iterator[Candidate]:
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


CANDIDATES: dict[str, list[Candidate]] = {
    "default": [
        {"hidden": [128], "epochs": 10, **rest}
        for rest in _grid(schedule=["constant", "cosine"], learning_rate=[0.1, 0.2, 0.3, 0.5])
    ],
    "fast": [
        {"hidden": hidden, "schedule": schedule, "epochs": epochs, "learning_rate": rate, **rest}
        for hidden, schedule, epochs, rate, rest in itertools.product(
            [[256], [512]],
            ["one-cycle", "cosine"],
            [4, 5],
            [0.2, 0.4],
            [{}, {"optimizer": "momentum", "learning_rate": 0.03}],
        )
    ],
    "dropout": [
        {"hidden": hidden, "epochs": 60, "batch_size": 64, "schedule": "cosine", "input_dropout": 0.2, **rest}
        for hidden, rest in itertools.product(
            [[1024, 1024]],
            _grid(dropout=[[0.5]], optimizer=["momentum"], learning_rate=[0.05, 0.1], max_norm=[2.0, 3.0]),
        )
    ],
    "best": [
        {
            "hidden": [1024, 512],
            "epochs": 100,
            "batch_size": 128,
            "optimizer": "adamw",
            "learning_rate": rate,
            "schedule": "one-cycle",
            "label_smoothing": 0.05,
            "ema": 0.999,
            "augment": DISTORTIONS,
            **rest,
        }
        for rate, rest in itertools.product([2e-3, 4e-3], [{}, {"dropout": [0.1]}])
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


def choose(name: str, data: jitnet.Dataset, seeds: int) -> None:
    """Rank a recipe's candidates by held-out accuracy."""
    ranked = []
    for candidate in CANDIDATES[name]:
        runs = [train(candidate, data, seed, val_split=0.1) for seed in range(seeds)]
        scores = [100.0 * report.val_accuracy for _, report, _ in runs]
        seconds = statistics.mean(spent for _, _, spent in runs)
        ranked.append((statistics.mean(scores), candidate))
        shown = " ".join(f"{score:.2f}" for score in scores)
        print(f"{ranked[-1][0]:6.2f}%  ({shown})  {seconds:6.1f} s  {candidate}", flush=True)
    print("best:", max(ranked, key=lambda pair: pair[0])[1])


def report(data: jitnet.Dataset, names: list[str], seeds: int) -> None:
    """What the recipes reach on the test data, as a Markdown table."""
    print("| recipe | network | epochs | test accuracy (seeds) | mean | training and testing, s |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in names:
        tables = {"model": {}, "train": {}} if name == "default" else recipe(name)
        settings = {**tables["model"], **tables["train"]}
        runs = [train(settings, data, seed) for seed in range(seeds)]
        scores = [100.0 * last.test_accuracy for _, last, _ in runs]
        model = runs[0][0].model
        widths = "-".join(map(str, model.config.widths))
        seconds = statistics.mean(spent for _, _, spent in runs)
        shown = " ".join(f"{score:.2f}" for score in scores)
        mean = statistics.mean(scores)
        print(f"| {name} | {widths} | {runs[0][1].epoch} | {shown} | {mean:.2f}% | {seconds:.1f} |", flush=True)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["choose", "report"])
    parser.add_argument("names", nargs="*", help="recipes; for report the default is all")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    data = jitnet.load(arguments.data)
    if arguments.task == "choose":
        for name in arguments.names:
            choose(name, data, arguments.seeds)
    else:
        report(data, arguments.names or ["default", "fast"], arguments.seeds)


if __name__ == "__main__":
    main()
