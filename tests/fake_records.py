"""Records as the training rooms make them, filled by hand, to be shown."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from jitnet.datasets import ClassShare, Description, Listing, Sample
from jitnet.evaluation import (
    Deviation,
    Evaluation,
    QuantileScore,
    TargetScore,
    calibration,
    label_scores,
    ranking_score,
    target_score,
)
from jitnet.model.fit import Commonest
from jitnet.training.history import EpochReport

FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
DIGITS = tuple(str(digit) for digit in range(10))


def ring(size: int = 28, *, thickness: float = 1.4) -> np.ndarray:
    """A bright ring on black, uint8 (size, size)."""
    y, x = np.mgrid[:size, :size] - size / 2 + 0.5
    distance = np.abs(np.hypot(y, x * 1.3) - size * 0.28)
    return (np.clip(thickness * size / 28 + 0.5 - distance, 0, 1) * 255).astype(np.uint8)


def plan() -> SimpleNamespace:
    machine = SimpleNamespace(
        cpu="Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",
        vector_bits=512,
        affinity=2,
        quota=None,
        cores=2,
        cores_reason="2 cores by affinity",
        threading_layer="omp",
        numba="0.68.0",
        llvm="20.1",
    )
    return SimpleNamespace(
        threads=2,
        threads_reason="2 cores by affinity, and a step has work enough for both",
        input_loops="zero-skipping",
        density=0.191,
        input_reason="19.1% of the training values are not zero",
        machine=machine,
    )


def epoch(number: int, n_epochs: int = 10, **fields: object) -> EpochReport:
    made: dict[str, Any] = {
        "epoch": number,
        "train_loss": 0.6 / number,
        "train_accuracy": 1 - 0.15 / number,
        "test_loss": 0.5 / number,
        "test_accuracy": 1 - 0.12 / number if number < n_epochs else 0.9,
        "val_loss": None,
        "val_accuracy": None,
        "seconds": 0.312,
        "samples_per_second": 192_307.6,
        "learning_rate": 0.1,
    }
    return EpochReport(**(made | fields))


def step(number: int, epoch_number: int = 3, n_epochs: int = 10, n_steps: int = 1875) -> SimpleNamespace:
    return SimpleNamespace(
        epoch=epoch_number,
        n_epochs=n_epochs,
        step=number,
        n_steps=n_steps,
        samples_per_second=192_307.6,
        train_loss=0.2131,
        train_accuracy=0.9381,
    )


def evaluation(names: tuple[str, ...] = DIGITS, n_mistakes: int = 10) -> SimpleNamespace:
    n = len(names)
    generator = np.random.default_rng(1)
    confusion = np.diag(generator.integers(900, 1100, n)) + generator.poisson(1.2, (n, n)) * (1 - np.eye(n, dtype=int))
    confusion[3 % n, 1] = 41
    right = np.diag(confusion)
    precision, recall = right / confusion.sum(axis=0), right / confusion.sum(axis=1)
    classes = tuple(
        SimpleNamespace(
            name=name,
            precision=float(precision[c]),
            recall=float(recall[c]),
            f1=float(2 * precision[c] * recall[c] / (precision[c] + recall[c])),
            support=int(confusion[c].sum()),
        )
        for c, name in enumerate(names)
    )
    mistakes = tuple(
        SimpleNamespace(index=100 + 7 * i, label=i % n, predicted=(i + 1) % n, probability=0.999 - i / 100, place="")
        for i in range(n_mistakes)
    )
    chances = generator.random(500).round(2)
    truths = generator.random(500) < chances
    total = int(confusion.sum())
    accuracy = right.sum() / total
    return SimpleNamespace(
        loss=0.0812,
        n=total,
        task="classify",
        accuracy=accuracy,
        classes=classes,
        confusion=confusion,
        mistakes=mistakes,
        commonest=Commonest(names[0], 0.1135),
        never_predicted=(),
        calibration=calibration(truths, chances),
        ranking=ranking_score(names[1], truths, chances) if n == 2 else None,
    )


def numbers_evaluation(names: tuple[str, ...] = ("width in mm", "height"), n: int = 5) -> Evaluation:
    true = np.random.default_rng(1).normal(1000, 40, 300)
    residuals = target_score("", true, true + np.random.default_rng(2).normal(0, 12, 300)).residuals
    scores = tuple(TargetScore(name, 12.3456, 9.8765, 0.9123, -0.1234, residuals) for name in names)
    far = tuple(Deviation(7 * k, tuple(1000.25 for _ in names), tuple(987.5 for _ in names)) for k in range(n))
    return Evaluation(
        0.0812, 360, "regress", rmse=12.3456, mae=9.8765, r2=0.9123, bias=-0.1234, targets=scores, deviations=far
    )


def quantiles_evaluation() -> Evaluation:
    found = numbers_evaluation()
    quantiles = tuple(QuantileScore(level, level + 0.0125, 3.25) for level in (0.1, 0.5, 0.9))
    return replace(found, targets=tuple(replace(score, quantiles=quantiles) for score in found.targets))


def labels_evaluation(names: tuple[str, ...] = ("red", "round", "never seen")) -> Evaluation:
    generator = np.random.default_rng(3)
    chances = generator.random((200, len(names))).round(2)
    truths = generator.random(chances.shape) < chances
    chances[:, -1] /= 2
    return Evaluation(
        0.5,
        200,
        "classify",
        0.75,
        label_scores(names, truths, chances),
        commonest=Commonest("what is commonest of each label", 0.625),
        never_predicted=names[-1:],
        calibration=calibration(truths.ravel(), chances.ravel()),
    )


def images(n: int = 200, size: int = 28) -> np.ndarray:
    return np.stack([ring(size, thickness=0.8 + (i % 5) * 0.4).ravel() for i in range(n)])


def recognition(size: int = 28) -> SimpleNamespace:
    guesses = (("0", 0.9712), ("6", 0.0251), ("9", 0.0022), ("8", 0.0015))
    return SimpleNamespace(name="pictures/ring [bold].png", image=ring(size), guesses=guesses, notices=())


def description(names: tuple[str, ...] = DIGITS, image_shape: tuple[int, int] | None = (28, 28)) -> Description:
    classes = tuple(ClassShare(name, 6000 - 20 * i, 1000, 0.1 - 0.002 * i) for i, name in enumerate(names))
    samples = tuple(Sample(i * 3, name, ring()) for i, name in enumerate(names[:10])) if image_shape else ()
    return Description(
        name="mnist",
        source="/home/someone/data/mnist",
        checksum="5c1f" * 16,
        n_train=60_000,
        n_test=10_000,
        in_features=784,
        image_shape=image_shape,
        value_type="uint8",
        low=0.0,
        high=255.0,
        density=0.191,
        in_memory_bytes=55_440_000,
        classes=classes,
        samples=samples,
    )


def listing() -> tuple[Listing, ...]:
    return (
        Listing("mnist", "handwritten digits, 28x28", "CC BY-SA 3.0", Path("/home/someone/data/mnist"), ()),
        Listing("fashion-mnist", "clothes, 28x28", "MIT", None, ()),
    )
