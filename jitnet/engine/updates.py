"""Operations on parameters: the optimizer's step, norms, and the moving average of the weights.

Where the update need not wait for the whole gradient, a part updates what it has just made the gradient of. Else the
parameters are shared out in blocks.
"""

import math

from jitnet.compiler.decorators import helper
from jitnet.engine.costs import Cost, Sizes
from jitnet.engine.operation import operation
from jitnet.kernels.norms import limit_norms, square_sum, sum_in_order
from jitnet.kernels.optimizer import average, update
from jitnet.machine.blocks import LANES, PANEL, UPDATE_BLOCK

__all__ = ["limit", "norm", "update_all", "update_bias", "update_weights"]


@helper
def _update(run, batch, factor, first, last):
    """Own parameters from their gradients, where these were not added to them directly."""
    if run.settings.adds_directly:
        return
    state = run.state
    update(
        run.optimizer,
        state.params,
        state.grads,
        state.first_moment,
        state.second_moment,
        batch.step + 1,
        batch.rate,
        factor,
        first,
        last,
    )


@helper
def _average(run, first, last):
    """The moving average of own parameters, where there is one."""
    if run.settings.average_decay > 0.0:
        average(run.state.params, run.state.average, run.settings.average_decay, first, last)


def _average_cost(s: Sizes, at_hand: float, others: float = 0.0) -> Cost:
    """Of parameters that the operation has read anyway, and of others."""
    return Cost(3 * (at_hand + others), 8 * at_hand + 12 * others) if s.average else Cost(0, 0)


def _update_cost(s: Sizes, parameters: float) -> Cost:
    average = _average_cost(s, parameters) if s.update else _average_cost(s, 0, parameters)
    return Cost(s.update * parameters + average.flop, s.update_bytes * parameters + average.bytes)


@operation("units below", lambda s: _update_cost(s, s.i * s.o), ("i", "o"))
def update_weights(run, batch, layer, part, first, last):
    """The weights whose gradients the part has just made, and their moving average."""
    this = run.layers[layer]
    if layer == 0:
        begin, end = this.weight_offset + first * this.in_features, this.weight_offset + last * this.in_features
        _update(run, batch, 1.0, begin, end)
        _average(run, begin, end)
    else:
        last = min(last, this.in_features)
        for o in range(0, this.padded_features, PANEL):
            panel = this.weight_offset + o * this.in_features
            _update(run, batch, 1.0, panel + first * PANEL, panel + last * PANEL)
            _average(run, panel + first * PANEL, panel + last * PANEL)


@helper
def _vectors(this):
    """How many vectors a layer has behind its weights: its bias, and behind that the gain and the bias of its norm."""
    return 3 if this.gain_offset > 0 else 1


@operation("panels", lambda s: _update_cost(s, s.o + s.more), ("o",))
def update_bias(run, batch, layer, part, first, last):
    """Own units' biases, the gains and biases of their norm, and the moving average of all."""
    this = run.layers[layer]
    for k in range(_vectors(this)):
        begin = this.bias_offset + k * this.padded_features
        _update(run, batch, 1.0, begin + first, begin + last)
        _average(run, begin + first, begin + last)


def _norm_cost(s: Sizes) -> Cost:
    parameters = (s.i + 1) * s.o + s.more
    return Cost(2 * parameters, 4 * parameters)


@operation("panels", _norm_cost, ("i", "o"))
def norm(run, batch, layer, part, first, last):
    """Squares of the gradient, of a part's units: a sum for each vector of them, whatever the panels. With the first
    units those of the inputs' factors."""
    this, state = run.layers[layer], run.state
    for o in range(first, min(last, this.out_features), LANES):
        column = this.weight_offset + o // PANEL * PANEL * this.in_features + o % PANEL
        vectors = square_sum(state.grads, this.bias_offset + o, _vectors(this), this.padded_features, 0.0)
        total = square_sum(state.grads, column, this.in_features, PANEL, vectors)
        state.squares[this.squares_offset + o // LANES] = total
    if this.scale_offset > 0 and first == 0:
        for i in range(0, this.in_features, LANES):
            total = square_sum(state.grads, this.scale_offset + i, 1, PANEL, 0.0)
            state.squares[this.scale_squares_offset + i // LANES] = total


@operation("blocks", lambda s: _update_cost(s, s.parameters), ("parameters",), whole_network=True)
def update_all(run, batch, layer, part, first, last):
    """Own blocks of parameters, the whole gradient first scaled down to the largest norm allowed (Pascanu et al.
    2013)."""
    state, factor = run.state, 1.0
    if run.settings.clip_norm > 0.0:
        factor = min(1.0, run.settings.clip_norm / (math.sqrt(sum_in_order(state.squares)) + 1e-6))
    begin, end = first * UPDATE_BLOCK, min(state.params.shape[0], last * UPDATE_BLOCK)
    _update(run, batch, factor, begin, end)
    if run.settings.max_norm == 0.0:
        _average(run, begin, end)


def _limit_cost(s: Sizes) -> Cost:
    """With the moving average, where there is one: of the vectors too."""
    if not s.limited:
        return _average_cost(s, 0, (s.i + 1) * s.o + s.more)
    average = _average_cost(s, s.i * s.o, s.o + s.more)
    return Cost((3 * s.i + 2) * s.o + average.flop, 8 * s.i * s.o + average.bytes)


@operation("panels", _limit_cost, ("i", "o"))
def limit(run, batch, layer, part, first, last):
    """Norms of own units' weights, the last layer's aside; then the moving average, of the weights as the step leaves
    them."""
    this = run.layers[layer]
    if layer < run.layers.shape[0] - 1:
        limit_norms(run.state.params[this.weight_offset :], this.in_features, run.settings.max_norm, first, last)
    _average(run, this.weight_offset + first * this.in_features, this.weight_offset + last * this.in_features)
    for k in range(_vectors(this)):
        begin = this.bias_offset + k * this.padded_features
        _average(run, begin + first, begin + last)
    if this.scale_offset > 0 and first == 0:
        _average(run, this.scale_offset, this.scale_offset + (this.in_features + LANES - 1) // LANES * LANES)
