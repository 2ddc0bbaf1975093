"""Prediction: packed weights and room to work in, made once for a network's parameters."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.compiler.blocks import PREDICT_BLOCK
from jitnet.compiler.machine import describe_machine, set_threads, threads_are_lost
from jitnet.compiler.reference import Struct
from jitnet.compiler.signatures import make_record
from jitnet.config import ModelConfig, TrainConfig
from jitnet.engine.costs import Sizes
from jitnet.engine.density import predicts_skipping
from jitnet.engine.layout import lay_out
from jitnet.engine.loop import load_loop, run_steps
from jitnet.engine.program import on_data
from jitnet.engine.setup import make_settings
from jitnet.engine.state import CALL, Run, allocate, byte_values, empty_run, pack

__all__ = ["Predictor"]

Floats = npt.NDArray[np.float32]


class Predictor:
    """Gives the probabilities of samples: `predictor(images, features, threads)`.

    A call on a few samples copies them into memory that compiled code knows already; it costs a few microseconds beside
    the arithmetic.
    """

    def __init__(
        self, shape: ModelConfig, weights: Sequence[Floats], biases: Sequence[Floats], offset: Any, scale: Any
    ) -> None:
        """offset, scale: of bytes on their way to inputs, both numbers; arrays where samples are scaled before."""
        load_loop()
        self._shape = shape
        self._layout = lay_out(shape, PREDICT_BLOCK, 1, skips_zeros=False, training=False)
        self._weights, self._biases = weights, biases
        self._values = np.zeros(256, np.float32)
        if np.ndim(offset) == 0 and np.ndim(scale) == 0:
            self._values = byte_values(float(offset), float(scale))
        self._pairs = sum(a * b for a, b in zip(shape.widths[:-1], shape.widths[1:], strict=True))
        self._run = self._allocated(1)
        self._few: dict[bool, tuple[Run, Any, npt.NDArray[Any]]] = {}

    def _allocated(self, parts: int) -> Run:
        """A run with the network's parameters, and work for so many parts."""
        features = self._shape.in_features
        state = allocate(self._layout, works=parts, listed_samples=PREDICT_BLOCK, marked_columns=1)
        pack(state.params, self._layout.layers, self._weights, self._biases)
        state.byte_values[:] = self._values
        self._parts = parts
        return empty_run()._replace(
            layers=self._layout.layers,
            network=self._layout.network,
            settings=make_settings(self._shape, TrainConfig()),
            call=make_record(CALL, n_steps=1),
            state=state,
            program=on_data(["predict"], Sizes(1, features, self._shape.n_classes, network=self._pairs), 1).table(),
        )

    def __call__(self, images: npt.NDArray[np.uint8], features: Floats, threads: int) -> Floats:
        """images (n, in_features) uint8 or features (n, in_features) float32, the other empty; (n, n_classes)
        float32."""
        has_bytes = len(images) > 0
        samples: npt.NDArray[Any] = images if has_bytes else features
        skips_zeros = has_bytes and self._values[0] == 0.0 and predicts_skipping(images)
        if len(samples) <= PREDICT_BLOCK:
            return self._predict_few(samples, has_bytes, skips_zeros)
        program = on_data(
            ["predict"],
            Sizes(len(samples), self._shape.in_features, self._shape.n_classes, network=self._pairs),
            threads or describe_machine().cores,
        )
        if program.threads > self._parts:
            self._run = self._allocated(program.threads)
            self._few = {}
        out = np.empty((len(samples), self._shape.n_classes), np.float32)
        call = make_record(CALL, n_steps=1, n_samples=len(samples), has_bytes=has_bytes, skips_zeros=skips_zeros)
        run = self._run._replace(
            program=program.table(),
            call=call,
            barrier=np.zeros(1, np.int64),
            order=np.arange(len(samples), dtype=np.int32),
            data=self._run.data._replace(images=images, features=features),
            outputs=self._run.outputs._replace(probabilities=out),
        )
        if program.threads > 1 and not threads_are_lost():
            set_threads(program.threads)
        run_steps(Struct(run), 0, np.zeros(3))
        return out

    def _predict_few(self, samples: npt.NDArray[Any], has_bytes: bool, skips_zeros: bool) -> Floats:
        if has_bytes not in self._few:
            self._few[has_bytes] = self._room_for_few(has_bytes)
        run, struct, room = self._few[has_bytes]
        n = len(samples)
        room[:n] = samples
        run.call.n_samples, run.call.skips_zeros = n, skips_zeros
        run_steps(struct, 0, self._totals)
        return run.outputs.probabilities[:n].copy()

    def _room_for_few(self, has_bytes: bool) -> tuple[Run, Any, npt.NDArray[Any]]:
        """A run on memory for up to PREDICT_BLOCK samples, its struct, and where the samples go."""
        shape = (PREDICT_BLOCK, self._shape.in_features)
        room: npt.NDArray[Any] = np.zeros(shape, np.uint8 if has_bytes else np.float32)
        data = self._run.data._replace(**{"images" if has_bytes else "features": room})
        run = self._run._replace(
            call=make_record(CALL, n_steps=1, has_bytes=has_bytes),
            order=np.arange(PREDICT_BLOCK, dtype=np.int32),
            data=data,
            outputs=self._run.outputs._replace(
                probabilities=np.zeros((PREDICT_BLOCK, self._shape.n_classes), np.float32)
            ),
        )
        self._totals = np.zeros(3)
        return run, Struct(run), room
