"""Runs every program of the engine on guarded memory, over ragged shapes: `python guarded_programs.py`.

Prints a line before each program, so that the last one names where a process ended that went out of range.
"""

import itertools
import os
import sys
from collections.abc import Iterator
from typing import Any

import guarded
import numpy as np
from loop import Loop, Problem, outputs_for, per_target
from optimizers import OPTIMIZER_OPTIONS

from jitnet.compiler.reference import Struct
from jitnet.config import ACTIVATIONS, LOSSES, AugmentConfig, ModelConfig, TrainConfig
from jitnet.datasets.compressed import compress
from jitnet.engine import ownership
from jitnet.engine.arena import Buffer
from jitnet.engine.prediction import Predictor
from jitnet.engine.sample_maker import SampleMaker
from jitnet.engine.setup import make_data
from jitnet.machine.blocks import (
    COPIED_FROM,
    COPIED_SAMPLES,
    FORWARD_DEPTH,
    INPUT_DEPTH,
    LANES,
    PANEL,
    PREDICT_BLOCK,
    SPARSE_BLOCK,
    SPARSE_LAST,
    SPARSE_PANELS,
    TILE_ROWS,
    TILE_UNITS,
    WEIGHT_DEPTH,
)

WIDTHS = sorted(
    {1, 2, 3, 7, 13, 37}
    | {size + step for size in (TILE_ROWS, LANES, PANEL, TILE_UNITS, SPARSE_PANELS * PANEL) for step in (-1, 0, 1)}
    | {2 * PANEL + 1, 3 * PANEL, SPARSE_LAST * PANEL + 1}
)
BATCHES = sorted({1, 2, 5} | {size + step for size in (TILE_ROWS, LANES, PANEL, SPARSE_BLOCK) for step in (-1, 0, 1)})

# Where blocks end, and where factors are copied first.
LONG = [
    ((FORWARD_DEPTH + 1, PANEL + 1, 10), 7),
    ((2 * TILE_ROWS + 1, INPUT_DEPTH + 1, INPUT_DEPTH - 1, 3), WEIGHT_DEPTH + 1),
    ((TILE_ROWS + 1, COPIED_FROM + 1, TILE_ROWS + 1, PANEL + 1), COPIED_SAMPLES + 1),
]

UPDATES: list[dict[str, Any]] = [
    {},
    {"weight_decay": 0.1},
    {"clip_norm": 0.1},
    {"max_norm": 0.5},
    {"ema": 0.9},
    {"clip_norm": 0.1, "max_norm": 0.5, "ema": 0.9},
    {"label_smoothing": 0.1},
]

DISTORTIONS = [
    AugmentConfig(shift=2.0),
    AugmentConfig(rotation=30.0, scaling=0.3, shear=10.0),
    AugmentConfig(elastic=8.0),
    AugmentConfig(elastic=8.0, elastic_sigma=0.7, shift=1.0, rotation=180.0),
]
IMAGE_SHAPES = [(1, 1), (1, 7), (5, 3), (13, 17), (LANES + 1, LANES - 1), (28, 28)]


def check_structs() -> None:
    """See to it that all that compiled code is handed is guarded."""
    make = Struct.__init__

    def checked(self: Struct, value: Any) -> None:
        for name, array in arrays(value):
            assert guarded.is_guarded(array), f"{name} {array.shape} of {array.dtype} is not guarded"
        make(self, value)

    Struct.__init__ = checked


def arrays(value: Any, name: str = "run") -> Iterator[tuple[str, Any]]:
    """The arrays and records of a tuple, and their names."""
    if isinstance(value, tuple):
        for field, each in zip(getattr(value, "_fields", range(len(value))), value, strict=True):
            yield from arrays(each, f"{name}.{field}")
    elif getattr(value, "nbytes", 0) and hasattr(value, "__array_interface__"):
        yield name, value


def say(*words: Any) -> None:
    print(*words, flush=True)


def train(widths: tuple[int, ...], batch: int, samples: int, **options: Any) -> None:
    widths = (*widths[:-1], widths[-1] * per_target(options.get("loss", "cross-entropy")))
    say("train", widths, f"batch {batch} of {samples}", options)
    loop = Loop(Problem(widths, samples), batch, clocked_steps=2, **options)
    loop.run(0.01, epochs=2, chunk=2)
    assert np.isfinite(loop.totals).all()
    say("measure", widths)
    assert np.isfinite(loop.measure()).all()


def networks() -> Iterator[dict[str, Any]]:
    """Each kind of input on each count of threads with each optimizer; activations, losses and updates in turn, sizes
    by chance."""
    chance, activations, losses = np.random.default_rng(0), list(ACTIVATIONS), list(LOSSES)
    kinds = itertools.product(("sparse", "dense", "floats", "compressed"), (1, 2, 3), OPTIMIZER_OPTIONS)
    for number, (inputs, threads, optimizer) in enumerate(kinds):
        depth, batch = int(chance.integers(0, 4)), int(chance.choice(BATCHES))
        hidden = chance.choice(WIDTHS, depth).tolist()
        yield {
            "widths": (int(chance.choice(WIDTHS)), *hidden, int(chance.choice(WIDTHS[1:]))),
            "batch": batch,
            "samples": int(chance.integers(1, 3)) * batch + int(chance.integers(0, batch)),
            "inputs": inputs,
            "threads": threads,
            "activation": activations[number % len(activations)],
            "loss": losses[number % len(losses)],
            "norm": ("none", "layer")[number % 2],
            "residual": number % 3 == 0,
            "input_scale": number % 4 == 0,
            "output_bias": number % 5 > 0,
            "dropout": tuple(chance.choice([0.0, 0.5], depth).tolist()),
            "optimizer": optimizer,
            **OPTIMIZER_OPTIONS[optimizer],
            **UPDATES[(number + number // len(UPDATES)) % len(UPDATES)],
        }


def predict(widths: tuple[int, ...], activation: str, loss: str) -> None:
    chance = np.random.default_rng(1)
    outputs = outputs_for(loss, widths[-1])
    shape = ModelConfig(
        in_features=widths[0],
        hidden=widths[1:-1],
        **outputs,
        loss=loss,
        activation=activation,
        norm="layer" if len(widths) > 2 and widths[0] % 2 else "none",
    )
    parameters = {
        name: chance.normal(size=extents).astype(np.float32) for name, extents in shape.parameter_shapes.items()
    }
    predictor = Predictor(shape, parameters, 0.0, 1 / 255)
    no_images, no_features = np.zeros((0, 0), np.uint8), np.zeros((0, 0), np.float32)
    for n in (1, PREDICT_BLOCK, PREDICT_BLOCK + 1, 2 * ownership.SAMPLES_AT_A_TIME + 1):
        dense = chance.integers(0, 256, (n, widths[0])).astype(np.uint8)
        sparse = dense * (chance.random(dense.shape) < 0.1).astype(np.uint8)
        for threads in (1, 2, 3):
            say("predict", widths, activation, loss, f"{n} samples, {threads} threads")
            for images in (dense, sparse):
                assert np.isfinite(predictor(images, no_features, threads)).all()
            for features in (dense.astype(np.float32), compress(sparse, "sparse")):
                assert np.isfinite(predictor(no_images, features, threads)).all()


def make_samples(height: int, width: int, config: TrainConfig, threads: int) -> None:
    say("make samples", (height, width), repr(config.augment), f"{threads} threads")
    chance, n = np.random.default_rng(2), 13
    images = chance.integers(0, 256, (n, height * width)).astype(np.uint8)
    for inputs in (images, images.astype(np.float32), compress(images, "images")):
        if inputs.dtype == np.float32 and config.augment.active:
            continue
        empty = np.zeros((0, 0), np.float32 if inputs.dtype == np.uint8 else np.uint8)
        both = (inputs, empty) if inputs.dtype == np.uint8 else (empty, inputs)
        maker, entries = SampleMaker(*both, (height, width), config, threads), Buffer(np.uint32)
        for epoch, count in enumerate((n, 1, 7)):
            order = chance.permutation(n)[:count].astype(np.int32)
            made = maker.make(epoch, order)
            listed = inputs.dtype == np.uint8
            make_data(*made, np.zeros(count, np.int32), skips_zeros=listed, threads=threads, entries=entries)


def main() -> None:
    guarded.guard_memory()
    check_structs()
    ownership._REGION_FLOP = 1  # small networks are split too
    for network in networks():
        train(**network)
    for (widths, batch), inputs in itertools.product(LONG, ("sparse", "dense")):
        train(widths, batch, batch + 3, inputs=inputs, threads=2, optimizer="momentum")
    for number, activation in enumerate(ACTIVATIONS):
        loss = list(LOSSES)[number % len(LOSSES)]
        predict((WIDTHS[number], WIDTHS[-number - 1], WIDTHS[number + 1]), activation, loss)
    for loss in LOSSES:
        predict((2 * PANEL + 1, PANEL + 1), "relu", loss)
    for number, (height, width) in enumerate(IMAGE_SHAPES):
        for augment in DISTORTIONS:
            make_samples(height, width, TrainConfig(augment=augment, input_dropout=0.2), number % 3 + 1)
        make_samples(height, width, TrainConfig(input_dropout=0.5), number % 3 + 1)
    ownership._MEETING_FLOP = 0  # in pieces of units and samples
    for inputs in ("sparse", "dense", "floats", "compressed"):
        options = {"inputs": inputs, "threads": 3, "optimizer": "momentum", "dropout": (0.5, 0.5)}
        train((3 * TILE_ROWS + 1, 5 * PANEL, PANEL + 1, 3), 2 * PANEL + 5, 3 * PANEL, **options)
        train((TILE_ROWS - 1, 5 * PANEL, 5 * PANEL, 2 * PANEL + 1), PANEL + 1, 2 * PANEL + 2, residual=True, **options)
        train((COPIED_FROM + 1, 4 * PANEL + 1, 7), COPIED_SAMPLES + 3, COPIED_SAMPLES + 3, inputs=inputs, threads=3)
    say("done")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # what Python frees as it ends would call what is gone by then
