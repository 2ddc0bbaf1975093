"""The arrays of a run, allocated for a layout."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from jitnet.compiler.decorators import plain
from jitnet.engine.addressing import shared_stride
from jitnet.engine.arena import GAP_BYTES, per_part, zeroed
from jitnet.engine.layout import Layout
from jitnet.engine.state import State
from jitnet.machine.blocks import LANES

__all__ = ["allocate", "byte_values"]

Floats = npt.NDArray[np.float32]


def byte_values(offset: float, scale: float) -> Floats:
    """(256,) float32: the network input (byte - offset) * scale, linear in the byte exactly as the loops compute it."""
    slope, start = np.float32(scale), np.float32(-offset * scale)
    return np.arange(256, dtype=np.float32) * slope + start


def allocate(
    layout: Layout,
    *,
    optional: Sequence[str] = (),
    marked_columns: int = 1,
    shares_marks: bool = False,
    works: int = 1,
    listed_samples: int = 0,
    scratch_pixels: int = 0,
) -> State:
    """Zeroed arrays for a layout, in memory that nothing has written to yet: each of its pages is near the thread that
    writes there first. What each part has for itself is a page from what the others have.

    optional: which of grads, first_moment, second_moment and average are used. marked_columns: columns that each part
    marks. shares_marks: whether parts mark samples for all. works: parts that each have work, in prediction, and lists
    of listed_samples.
    scratch_pixels: float32 numbers of scratch for each of as many parts.
    """
    params, replicas, room = layout.params, layout.replicas, int(layout.network.batch_room)
    parts = max(works, replicas)
    # With a gap behind them: the next array's first samples are the first part's.
    samples = (replicas - 1) * int(layout.network.sample_stride) + room + GAP_BYTES // 4
    marks_of_all = 2 * (room // LANES) * plain(shared_stride)(marked_columns) if shares_marks else 0
    fields = ("grads", "first_moment", "second_moment", "average")
    sizes = [params, *(params if field in optional else LANES for field in fields), works * layout.work, 256]
    *numbers, marks, shared_marks, cursors, losses, correct, squares, indptr, entries, pixels = zeroed(
        *[(size, np.float32) for size in sizes],
        per_part(parts, marked_columns, np.uint64),
        (marks_of_all, np.uint16),
        per_part(parts, room, np.int64),
        (samples, np.float32),
        (samples, np.int32),
        (layout.squares, np.float64),
        per_part(works, listed_samples + 1, np.int64),
        per_part(works, listed_samples * int(layout.layers[0].in_features), np.uint32),
        per_part(works, scratch_pixels, np.float32),
    )
    return State(
        *cast(tuple[Floats, Floats, Floats, Floats, Floats, Floats, Floats], tuple(numbers)),
        marks.reshape(parts, -1),
        shared_marks,
        cursors.reshape(parts, -1),
        losses,
        correct,
        squares,
        indptr.reshape(works, -1),
        entries.reshape(works, -1),
        pixels.reshape(works, -1),
    )
