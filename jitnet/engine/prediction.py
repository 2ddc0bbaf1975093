"""Prediction: packed weights and room to work in, made once for a network's parameters."""

from collections.abc import Mapping
from threading import Lock
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from jitnet.compiler.reference import Struct
from jitnet.compiler.signatures import make_record
from jitnet.config import ModelConfig, TrainConfig
from jitnet.datasets.compressed import CompressedRows
from jitnet.engine.allocation import allocate, byte_values
from jitnet.engine.density import density, predicts_skipping, used_columns
from jitnet.engine.layout import lay_out
from jitnet.engine.loop import load_loop, run_steps
from jitnet.engine.loop_records import CALL
from jitnet.engine.ownership import MEETINGS
from jitnet.engine.packing import pack
from jitnet.engine.program import Program, Step, predicting
from jitnet.engine.setup import make_data, make_settings
from jitnet.engine.state import Run, empty_run
from jitnet.machine.barrier import barrier_words
from jitnet.machine.blocks import PREDICT_BLOCK
from jitnet.machine.host import describe_machine, set_threads, threads_are_lost

__all__ = ["Predictor"]

Floats = npt.NDArray[np.float32]
Features = Floats | CompressedRows
Samples = npt.NDArray[Any] | CompressedRows

_NO_IMAGES, _NO_FEATURES, _NO_LABELS = np.empty((0, 0), np.uint8), np.empty((0, 0), np.float32), np.empty(0, np.int32)

_KNOWN_PROGRAMS = 64
"""Programs that are stored at most: one for each count of batches."""


class Predictor:
    """Predicts samples: `predictor(images, features, threads)`; `activations` of all layers.

    A call on a few samples copies them into memory that compiled code knows already; it costs a few microseconds beside
    the arithmetic. Calls from several Python threads wait for one another, as they use the same memory.
    """

    def __init__(self, shape: ModelConfig, parameters: Mapping[str, Floats], offset: Any, scale: Any) -> None:
        """parameters: by their names in PyTorch. offset, scale: of bytes on their way to inputs, both numbers; arrays
        where samples are scaled before."""
        load_loop()
        self._shape = shape
        self._layout = lay_out(shape, PREDICT_BLOCK, 1, skips_zeros=False, training=False)
        self._parameters = parameters
        self._values = np.zeros(256, np.float32)
        if np.ndim(offset) == 0 and np.ndim(scale) == 0:
            self._values = byte_values(float(offset), float(scale))
        self._run = self._allocated(1)
        self._few: dict[tuple[bool, bool], tuple[Run, Struct, npt.NDArray[Any]]] = {}
        self._programs: dict[tuple[int, int, bool, bool], Program] = {}
        self._few_sizes: dict[tuple[bool, bool], int] = {}
        self._in_use = Lock()

    def _allocated(self, parts: int) -> Run:
        """A run with the network's parameters, and work for so many parts."""
        state = allocate(self._layout, works=parts, listed_samples=PREDICT_BLOCK, marked_columns=1)
        pack(state.params, self._layout.parameters, self._shape, self._parameters)
        state.byte_values[:] = self._values
        self._parts = parts
        return empty_run()._replace(
            layers=self._layout.layers,
            parameters=self._layout.parameters,
            network=self._layout.network,
            settings=make_settings(self._shape, TrainConfig()),
            loss_numbers=np.array(self._shape.loss_numbers, np.float32),
            state=state,
        )

    def __call__(self, images: npt.NDArray[np.uint8], features: Features, threads: int) -> Floats:
        """images (n, in_features) uint8 or features (n, in_features) float32, the other empty; (n, out_features)
        float32. Of features that are `CompressedRows` the zeros are skipped."""
        with self._in_use:
            if len(images) + len(features) <= PREDICT_BLOCK:
                return self._predict_few(*self._kind(images, features))
            here = describe_machine()
            program, run = self.prepare(images, features, min(threads, here.affinity) or here.cores)
            if program.threads > 1 and not threads_are_lost():
                set_threads(program.threads)
            run_steps(Struct(run), 0, np.zeros(3))
            return run.outputs.predictions

    def prepare(
        self, images: npt.NDArray[np.uint8], features: Features, threads: int, *, costs: bool = False
    ) -> tuple[Program, Run]:
        """The program that predicts these samples on at most so many threads, and a run of it with room for the
        predictions. costs: whether its lines' costs are those of these samples, which takes a millisecond to find."""
        samples, has_bytes, skips_zeros = self._kind(images, features)
        if costs:
            share, columns = 1.0, 1.0
            if skips_zeros:
                share, columns = density(samples), used_columns(samples, PREDICT_BLOCK)
            program = self._program(len(samples), threads, has_bytes, skips_zeros, share, columns)
        else:
            program = self._known_program(-(-len(samples) // PREDICT_BLOCK), threads, has_bytes, skips_zeros)
        if program.threads > self._parts:
            self._run = self._allocated(program.threads)
            self._few = {}
        return program, self._prepared(program, samples, has_bytes, skips_zeros)

    def _kind(self, images: npt.NDArray[np.uint8], features: Features) -> tuple[Samples, bool, bool]:
        """The samples, whether they are bytes, and whether only inputs that are not zero are walked."""
        if isinstance(features, CompressedRows):
            return features, False, True
        if len(images) == 0:
            return features.reshape(len(features), self._shape.in_features), False, False
        return images, True, bool(self._values[0] == 0.0) and predicts_skipping(images)

    def _program(
        self, n_samples: int, threads: int, has_bytes: bool, skips_zeros: bool, share: float = 1.0, columns: float = 1.0
    ) -> Program:
        """share, columns: as `Step` has density and columns; costs depend on them, and nothing else."""
        bytes_per_input = 1 if has_bytes else 4
        step = Step(self._shape, TrainConfig(), PREDICT_BLOCK, threads, share, skips_zeros, bytes_per_input, columns)
        return predicting(step, self._layout, n_samples)

    def _known_program(self, n_steps: int, threads: int, has_bytes: bool, skips_zeros: bool) -> Program:
        """The same for so many steps, written once: that takes as long as predicting some hundred samples."""
        key = n_steps, threads, has_bytes, skips_zeros
        if key not in self._programs:
            if len(self._programs) == _KNOWN_PROGRAMS:
                self._programs.clear()
            self._programs[key] = self._program(n_steps * PREDICT_BLOCK, threads, has_bytes, skips_zeros)
        return self._programs[key]

    def _prepared(self, program: Program, samples: Samples, has_bytes: bool, skips_zeros: bool) -> Run:
        """A run of a program over samples, with room for their predictions."""
        images, features = cast(tuple[Any, Any], (samples, _NO_FEATURES) if has_bytes else (_NO_IMAGES, samples))
        return self._run._replace(
            program=program.table(),
            call=make_record(
                CALL,
                batch_size=PREDICT_BLOCK,
                n_steps=-(-len(samples) // PREDICT_BLOCK),
                has_bytes=has_bytes,
                lists_batches=skips_zeros and has_bytes,
                meeting=MEETINGS[program.meeting],
            ),
            barrier=barrier_words(program.threads),
            order=np.arange(len(samples), dtype=np.int32),
            data=make_data(images, features, _NO_LABELS, skips_zeros=False, threads=1),
            outputs=self._run.outputs._replace(
                predictions=np.empty((len(samples), self._shape.out_features), np.float32)
            ),
        )

    def activations(self, images: npt.NDArray[np.uint8], features: Features) -> list[Floats]:
        """What each layer computes on the way to the predictions of the same samples: a new array (n, out_features)
        float32 a layer."""
        samples, has_bytes, skips_zeros = self._kind(images, features)
        found = [np.empty((len(samples), width), np.float32) for width in self._shape.widths[1:]]
        with self._in_use:
            for begin in range(0, len(samples), PREDICT_BLOCK):
                self._fill(found, begin, samples[begin : begin + PREDICT_BLOCK], has_bytes, skips_zeros)
        return found

    def _fill(self, found: list[Floats], begin: int, samples: Samples, has_bytes: bool, skips_zeros: bool) -> None:
        """Predict some samples, and copy what each layer computed into its array, from row `begin` on."""
        self._predict_few(samples, has_bytes, skips_zeros)
        work = self._run.state.work  # a block leaves every layer's outputs there
        for layer, array in zip(self._layout.layers, found, strict=True):
            rows = array[begin : begin + len(samples)]
            end = int(layer.result_offset) + len(rows) * int(layer.output_stride)
            outputs = work[int(layer.result_offset) : end].reshape(len(rows), -1)
            rows[:] = outputs[:, : rows.shape[1]]

    def _predict_few(self, samples: Samples, has_bytes: bool, skips_zeros: bool) -> Floats:
        kind = has_bytes, skips_zeros
        if isinstance(samples, CompressedRows):
            run = self._prepared(self._known_program(1, 1, *kind), samples, *kind)
            run_steps(Struct(run), 0, np.zeros(3))
            return run.outputs.predictions
        if kind not in self._few:
            room = np.zeros((PREDICT_BLOCK, self._shape.in_features), np.uint8 if has_bytes else np.float32)
            run = self._prepared(self._program(PREDICT_BLOCK, 1, *kind), room, *kind)
            self._few[kind], self._few_sizes[kind] = (run, Struct(run), room), -1
            self._totals = np.zeros(3)
        run, struct, room = self._few[kind]
        n = len(samples)
        room[:n] = samples
        if n != self._few_sizes[kind]:  # writing a record's fields takes as long as a small layer
            run.call.batch_size, run.call.n_steps = n, min(n, 1)
            self._few_sizes[kind] = n
        run_steps(struct, 0, self._totals)
        return run.outputs.predictions[:n].copy()
