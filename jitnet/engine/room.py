"""Room for a network in training: places in its arrays, handed out one behind the other."""

from typing import Any

from jitnet.config import ModelConfig
from jitnet.kernels.linear import padded
from jitnet.machine.blocks import LANES, PANEL

__all__ = ["Places", "Room", "row_stride"]

_LONG_ROW = 32
"""Cache lines of a row that is long: 512 numbers."""


def row_stride(features: int) -> int:
    """Numbers from one row of so many (whole panels) to the next: an odd count of cache lines, so that a column's rows
    spread over all sets of the first cache.

    Of short rows twice an odd count: units of different threads are then never in the same two neighbouring lines,
    which processors fetch together and take from each other. In long rows that is one pair of hundreds.
    """
    lines = features // LANES
    return (lines | 1 if lines >= _LONG_ROW else ((lines + 1) // 2 | 1) * 2) * LANES


class Room:
    """Hands out places in an array, one behind the other."""

    def __init__(self, first: int = 0) -> None:
        self.end = first

    def take(self, count: int) -> int:
        self.end += count
        return self.end - count


class Places:
    """Hands out places to the kinds of layers.

    params, squares, work: the arrays. network: the record of the whole. training: with gradients. activation: its name.
    """

    def __init__(self, config: ModelConfig, layers: Any, network: Any, skips_zeros: bool, training: bool) -> None:
        self.layers, self.network, self.training, self.activation = layers, network, training, config.activation
        self.params, self.squares, self.work = Room(), Room(), Room(PANEL)  # work begins with a panel of zeros
        self._buffers = 0 if skips_zeros else 2 if training else 1

    def take_outputs(self, row: Any) -> int:
        """Room for a number of each unit and sample."""
        return self.work.take(int(self.network.batch_room) * int(row.output_stride))

    def begin_block(self, row: Any, block: int, in_features: int, out_features: int) -> None:
        """Say how large a block is, where its inputs are, and how far its rows of outputs are apart. While a step is in
        one buffer of dense inputs of the first layer, the next one's are gathered into the other."""
        row.in_features, row.out_features, row.padded_features = in_features, out_features, padded(out_features)
        row.output_stride = row_stride(padded(out_features))
        if block > 0:
            below = self.layers[block - 1]
            row.input_offset, row.input_stride = below.result_offset, below.output_stride
            return
        row.input_stride = row_stride(padded(in_features))
        size = int(self.network.batch_room) * int(row.input_stride)
        row.input_offset = self.work.take(self._buffers * size)
        row.buffer_stride = size if self._buffers == 2 else 0

    def end_block(self, row: Any) -> None:
        """Room for the gradients of a block's linear part."""
        if not self.training:
            return
        row.grad_offset = self.take_outputs(row)
        row.grad_t_offset = self.work.take(-(-int(row.out_features) // LANES) * LANES * int(self.network.grad_t_stride))
        if row.result_grad_offset == 0:
            row.result_grad_offset = row.grad_offset
