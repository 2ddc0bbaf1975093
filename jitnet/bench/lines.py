"""A row for each line of a program: the operations of training and of prediction, timed by the loop that runs them.

Each line of the step's program is a row, with the parts that it has in training. After these come lines of other
programs of the same network, marked as not part of this training: other activations, losses and optimizers, dropout,
clipping, dense inputs where zeros are skipped, and the making of new samples. FLOP and bytes are what the operation
declares (see `engine.costs`).
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from jitnet.bench.results import Case
from jitnet.bench.timing import timed
from jitnet.bench.workload import BATCHES, Prediction, Subject, Training, prepare_prediction
from jitnet.config import ACTIVATIONS, OPTIMIZERS, AugmentConfig, TrainConfig, losses_for
from jitnet.engine.arena import Buffer
from jitnet.engine.costs import Sizes
from jitnet.engine.loop import repeat_lines
from jitnet.engine.operations import OPERATIONS
from jitnet.engine.program import Line
from jitnet.engine.setup import make_data
from jitnet.kernels.augment import distortion_settings
from jitnet.machine.host import set_threads
from jitnet.training.samples import NewSamples

__all__ = ["line_cases", "prediction_cases", "shape_of"]

AFFINE = AugmentConfig(shift=2.0, rotation=10.0, scaling=0.1, shear=5.0)
ELASTIC = AugmentConfig(elastic=34.0)
"""Simard's strength and smoothness. The time depends only on the smoothness, not on the strength."""

RATE = 0.5
"""Of dropout, where it is timed; the time does not depend on it."""


def line_cases(subject: Subject, threads: Sequence[int]) -> list[Case]:
    """A case for each line and count of threads. `used`: whether this training runs it."""
    return [case for count in threads for case in (*_training_lines(subject, count), *_other_lines(subject, count))]


def _training_lines(subject: Subject, threads: int) -> Iterator[Case]:
    training = subject.training(threads)
    for place, line in training.lines():
        yield _case(training, place, line, used=True)


def _other_lines(subject: Subject, threads: int) -> Iterator[Case]:
    """Lines of other trainings of this network."""
    training = subject.training(threads)
    used = {line.operation for _, line in training.lines()}
    if "gather" not in used:
        dense = subject.training(threads, dense=True)
        yield from _cases(dense, ["gather", "forward", "logits", "backward_weight"], layer=0)
    if subject.shape.hidden:
        for name in ACTIVATIONS:
            if name != subject.shape.activation:
                other = subject.training(threads, fields={"activation": name})
                yield from _cases(other, ["activate", "activate_back"], name, layer=0)
        yield from _cases(subject.training(threads, dropout=(RATE,)), ["drop", "drop_back"], layer=0)
    for name in losses_for(subject.shape.target):
        if name != subject.shape.loss:
            yield from _cases(subject.training(threads, fields={"loss": name}), ["loss"], name)
    for name in OPTIMIZERS:
        # Clipping puts the update of all parameters in one line; this training has it there too where it updates late.
        if name != training.plan.step.config.optimizer or "update_all" not in used:
            yield from _cases(subject.training(threads, optimizer=name, clip_norm=1.0), ["update_all"], name)
    limit = 1.0 if subject.shape.hidden else 0.0
    others = subject.training(threads, clip_norm=1.0, max_norm=limit, ema=0.9)
    yield from _cases(others, ["norm", "limit"])
    yield from _sample_cases(subject, threads)


def prediction_cases(subject: Subject, threads: Sequence[int]) -> list[Case]:
    """A case for each line of a prediction and count of threads: one step of it, all of which one thread does."""
    cases = []
    for count in threads:
        prediction = prepare_prediction(subject.model, subject.dataset.test_or_train, count)
        cases += [_prediction_case(prediction, count, place) for place in range(len(prediction.program.lines))]
    return cases


def _prediction_case(prediction: Prediction, threads: int, place: int) -> Case:
    line, batches = prediction.program.lines[place], int(prediction.run.call.n_steps)

    def run(repeats: int) -> float:
        set_threads(max(1, line.parts))
        address = prediction.struct.address
        return timed(lambda: repeat_lines(address, place, place + 1, repeats, batches, line.parts, False))

    return Case(
        "prediction", line.name, shape_of(line), threads, line.cost.flop, line.cost.bytes, run, prediction.predict
    )


def _cases(training: Training, operations: Sequence[str], note: str = "", layer: int | None = None) -> Iterator[Case]:
    for place, line in training.lines(operations):
        if layer is None or line.layer == layer:
            yield _case(training, place, line, used=False, variant=note)


def _case(training: Training, place: int, line: Line, *, used: bool, variant: str = "") -> Case:
    def run(repeats: int) -> float:
        set_threads(max(1, line.parts))
        address = training.struct.address
        for at, other in marks:
            repeat_lines(address, at, at + 1, batches, batches, other.parts, False)
        return timed(lambda: repeat_lines(address, place, place + 1, repeats, batches, line.parts, False))

    # Marks that parts make for all must be those of the batch: there is room for two.
    marks = training.lines(["mark"]) if line.operation == "backward_sparse" else []
    batches = len(marks) * 2 or BATCHES
    name = line.name
    operation = OPERATIONS[line.operation]
    if operation.activates:
        variant = variant or training.plan.step.shape.activation
    note = f"{training.plan.density:.0%} of the inputs" if operation.on_entries else ""
    return Case(
        "operation",
        f"{name}, {variant}" if variant else name,
        shape_of(line),
        training.plan.threads,
        line.cost.flop,
        line.cost.bytes,
        run,
        training.restore,
        used,
        note,
        line.parts,
    )


def shape_of(line: Line) -> str:
    """The extents of a line's problem: batch×inputs×units, or those of them that it has."""
    return "×".join(map(str, line.extents)) if len(line.extents) > 1 else f"{line.extents[0]:,}"


# ---- Making samples: lines of programs on the data set, on a chunk of batches ----


def _sample_cases(subject: Subject, threads: int) -> Iterator[Case]:
    dataset = subject.dataset
    images, _ = subject.model.inputs(dataset.train.images)
    if dataset.image_shape is not None and len(images):
        for name, config in (("affine", AFFINE), ("elastic", ELASTIC)):
            yield _drawing(subject, threads, "augment", name, TrainConfig(augment=config))
    yield _drawing(subject, threads, "drop_samples", "", TrainConfig(input_dropout=0.2))
    if subject.plan.skips_zeros and len(images):
        yield _listing(subject, threads, images)


def _drawing(subject: Subject, threads: int, operation: str, variant: str, config: TrainConfig) -> Case:
    """Making the samples of `repeats` batches, as an epoch does chunk by chunk."""
    dense = subject.training(threads, dense=True).plan
    samples = NewSamples(subject.dataset.train, subject.dataset.image_shape, subject.model, config, dense)

    def run(repeats: int) -> float:
        indices = np.resize(subject.order, repeats * subject.batch_size)
        set_threads(threads)
        return timed(lambda: samples.draw(1, indices))

    height, width = subject.dataset.image_shape or (0, 0)
    sizes = Sizes(
        subject.batch_size,
        subject.shape.in_features,
        bytes_per_input=dense.step.bytes_per_input,
        taps=len(distortion_settings(config.augment).gaussian),
        height=height,
        width=width,
    )
    return _data_case(subject, threads, operation, variant, sizes, run)


def _listing(subject: Subject, threads: int, images: npt.NDArray[np.uint8]) -> Case:
    no_features, entries = np.zeros((0, 0), np.float32), Buffer(np.uint32)

    def run(repeats: int) -> float:
        chunk = images[np.resize(subject.order, repeats * subject.batch_size)]
        labels = np.zeros(len(chunk), np.int32)
        set_threads(threads)
        return timed(lambda: make_data(chunk, no_features, labels, skips_zeros=True, threads=threads, entries=entries))

    sizes = Sizes(subject.batch_size, subject.shape.in_features, entries=subject.entries)
    return _data_case(subject, threads, "list_entries", "", sizes, run)


def _data_case(
    subject: Subject, threads: int, operation: str, variant: str, sizes: Sizes, run: Callable[[int], float]
) -> Case:
    cost = OPERATIONS[operation].cost(sizes)
    shape = f"{subject.batch_size}×{subject.shape.in_features}"
    name = f"{operation}, {variant}" if variant else operation
    return Case("operation", name, shape, threads, float(cost.flop), float(cost.bytes), run, used=False)
