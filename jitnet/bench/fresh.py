"""What samples cost that are made anew for every epoch: a row for each loop that training then runs.

None of them runs where no such option is on. FLOP and bytes are counted as in `kernels`; with n images (the batch) of
h rows and w columns, i = h w pixels, e entries that are not zero, and t weights of the Gaussian that smooths:

    loop                FLOP                                         bytes
    augment, affine     16 n i                                       2 n i
    augment, elastic    n (20 i + 2 (2 a b + 2 t h b + 2 t i))       2 n i
                          with a = h + t - 1 and b = w + t - 1
    input dropout       0                                            2 n i of uint8, 8 n i of float32
    list the entries    0                                            n i + 4 e + 8 n

A pixel takes 4 FLOP to be located, 2 for its shares between pixels and 10 to be looked up. The elastic distortion adds
4 to the first, and for each axis a field: 2 for each random number, then a blur down and a blur to the right. Input
dropout runs on one thread, whatever their number. What is timed is the loop alone, on memory that is there already.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from jitnet.bench.measure import timed
from jitnet.bench.records import Case
from jitnet.bench.subject import Subject
from jitnet.config import AugmentConfig
from jitnet.kernels.augment import augment_rows, scratch_size, settings
from jitnet.kernels.dropout import drop_inputs
from jitnet.kernels.jit import set_threads
from jitnet.state import aligned
from jitnet.training.plan import lists_of

__all__ = ["fresh_cases"]

AFFINE = AugmentConfig(shift=2.0, rotation=10.0, scaling=0.1, shear=5.0)
ELASTIC = AugmentConfig(elastic=34.0)
"""Simard's strength and smoothness. The time depends on the smoothness alone, not on how much is distorted."""

SHARE = 0.2
"""Of the inputs that are dropped; the time does not depend on it."""

SEED, EPOCH = np.uint64(0), np.uint64(1)


def fresh_cases(subject: Subject, threads: int) -> list[Case]:
    """The cases on so many threads: those that distort only for byte images of known shape, the lists where used."""
    cases = []
    if subject.dataset.image_shape is not None and len(subject.source.images):
        cases = [_augment(subject, threads, "affine", AFFINE), _augment(subject, threads, "elastic", ELASTIC)]
    cases.append(_input_dropout(subject, threads))
    if subject.plan.sparse:
        cases.append(_lists(subject, threads))
    return cases


def _case(
    subject: Subject,
    name: str,
    threads: int,
    flop: float,
    size: float,
    make: Callable[[npt.NDArray[np.int32]], Callable[[], object]],
    note: str = "",
) -> Case:
    """make: from the rows of all repeats at once, a chunk as in training, to the call that is timed."""

    def run(repeats: int) -> float:
        call = make(np.resize(subject.order, repeats * subject.batch_size))
        set_threads(threads)
        return timed(call)

    shape = f"{subject.batch_size}×{subject.shape.in_features}"
    return Case("kernel", name, shape, threads, flop, size, run, used=False, note=note)


def _augment(subject: Subject, threads: int, name: str, config: AugmentConfig) -> Case:
    height, width = subject.dataset.image_shape or (0, 0)
    images, how = subject.source.images, settings(config)
    scratch = aligned(threads * scratch_size(height, width, how)).reshape(threads, -1)
    taps, pixels = len(how.weights), height * width
    flop = 16.0 * pixels
    if taps:
        rows, columns = height + taps - 1, width + taps - 1
        flop = 20.0 * pixels + 2.0 * (2 * rows * columns + 2 * taps * height * columns + 2 * taps * pixels)

    def make(rows: npt.NDArray[np.int32]) -> Callable[[], object]:
        out = np.zeros((len(rows), pixels), np.uint8)
        return lambda: augment_rows(images, rows, height, width, SEED, EPOCH, how, scratch, out)

    n = subject.batch_size
    return _case(subject, f"augment, {name}", threads, flop * n, 2 * n * pixels, make)


def _input_dropout(subject: Subject, threads: int) -> Case:
    source = subject.source
    samples = source.images if len(source.images) else source.features
    size = 2 * samples.itemsize * subject.batch_size * samples.shape[1]

    def make(rows: npt.NDArray[np.int32]) -> Callable[[], object]:
        chunk = samples[rows]
        return lambda: drop_inputs(chunk, rows, SHARE, SEED, int(EPOCH))

    return _case(subject, "input dropout", threads, 0.0, size, make, note="on one thread")


def _lists(subject: Subject, threads: int) -> Case:
    n, images = subject.batch_size, subject.source.images
    size = n * images.shape[1] + 4 * subject.entries + 8 * n

    def make(rows: npt.NDArray[np.int32]) -> Callable[[], object]:
        chunk = images[rows]
        return lambda: lists_of(chunk)

    return _case(subject, "list the entries", threads, 0.0, size, make)
