"""Operations on parameters: the optimizer's step, norms, and the moving average of the weights. They walk the records
of a block's parameters, and know of no kind of layer.

Where the update need not wait for the whole gradient, a part updates what it has just made the gradient of. Else the
parameters are shared out in blocks.
"""

import math

import numpy as np

from jitnet.compiler.decorators import helper
from jitnet.engine.addressing import weights_assigned
from jitnet.engine.costs import Cost, Sizes
from jitnet.engine.loop_records import WALKS
from jitnet.engine.operation import operation
from jitnet.kernels.memory import clear
from jitnet.kernels.norms import limit_norms, square_sum, sum_in_order
from jitnet.kernels.optimizer import average, update
from jitnet.machine.blocks import LANES, PANEL, UPDATE_BLOCK

__all__ = ["limit", "norm", "place_weights", "update_all", "update_vectors", "update_weights"]

IN_PANELS, BY_UNITS, BY_INPUTS = (np.int64(code) for code in WALKS.values())


@helper
def _of_units(parameter, first, last):
    """First and last of a parameter's numbers that belong to units first <= o < last, whole panels. A vector by inputs
    belongs to the first panel as a whole."""
    if parameter.walk == BY_INPUTS:
        return parameter.offset, parameter.offset + (parameter.count if first == 0 and last > 0 else 0)
    return parameter.offset + first * parameter.per_unit, parameter.offset + last * parameter.per_unit


@helper
def _update(run, batch, parameter, factor, first, last):
    """Assigned numbers of a parameter from their gradients, where these were not added to them directly."""
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
        batch.rate * parameter.rate,
        factor,
        first,
        last,
    )


@helper
def _average(run, first, last):
    """The moving average of assigned parameters, where there is one."""
    if run.settings.average_decay > 0.0:
        average(run.state.params, run.state.average, run.settings.average_decay, first, last)


def _average_cost(s: Sizes, at_hand: float, others: float = 0.0) -> Cost:
    """Of parameters that the operation has read anyway, and of others."""
    return Cost(3 * (at_hand + others), 8 * at_hand + 12 * others) if s.average else Cost(0, 0)


def _update_cost(s: Sizes, parameters: float) -> Cost:
    average = _average_cost(s, parameters) if s.update else _average_cost(s, 0, parameters)
    return Cost(s.update * parameters + average.flop, s.update_bytes * parameters + average.bytes)


@operation("units below", lambda s: _update_cost(s, s.i * s.o), ("i", "o"), pieces="pieces of weights")
def update_weights(run, batch, layer, part, first, last):
    """The weights whose gradients the part has just made, and their moving average."""
    this = run.layers[layer]
    first_input, last_input, first, last = weights_assigned(run, batch, layer, first, last)
    # Of each panel the assigned inputs; where these are all, the assigned panels as a whole.
    panels = last - first if last_input - first_input == this.in_features else np.int64(PANEL)
    for k in range(this.first_parameter, this.end_parameter):
        parameter = run.parameters[k]
        if parameter.walk == IN_PANELS:
            for o in range(first, last, panels):
                begin = parameter.offset + o * this.in_features + first_input * PANEL
                end = begin + (last_input - first_input) * panels
                _update(run, batch, parameter, 1.0, begin, end)
                _average(run, begin, end)


@operation("panels", lambda s: _update_cost(s, s.o + s.more), ("o",), pieces="panels")
def update_vectors(run, batch, layer, part, first, last):
    """Vectors of assigned units, as their biases and a norm's gains, and the moving average of these."""
    this = run.layers[layer]
    for k in range(this.first_parameter, this.end_parameter):
        parameter = run.parameters[k]
        if parameter.walk != IN_PANELS:
            begin, end = _of_units(parameter, first, last)
            _update(run, batch, parameter, 1.0, begin, end)
            _average(run, begin, end)


def _norm_cost(s: Sizes) -> Cost:
    parameters = (s.i + 1) * s.o + s.more
    return Cost(2 * parameters, 4 * parameters)


@operation("panels", _norm_cost, ("i", "o"))
def norm(run, batch, layer, part, first, last):
    """Squares of the gradient, of a part's units: a sum for each LANES of them, whatever the panels. With the first
    units those of vectors by inputs."""
    this, grads, squares = run.layers[layer], run.state.grads, run.state.squares
    for o in range(first, min(last, this.out_features), LANES):
        total = 0.0
        for k in range(this.end_parameter - 1, this.first_parameter - 1, -1):  # the weights, which are first, at last
            parameter = run.parameters[k]
            column = parameter.offset + o // PANEL * PANEL * parameter.per_unit + o % PANEL
            total = square_sum(grads, column, parameter.per_unit, PANEL, total)
        squares[this.squares_offset + o // LANES] = total
    for k in range(this.first_parameter, this.end_parameter):
        parameter = run.parameters[k]
        if parameter.walk == BY_INPUTS and first == 0 and last > 0:
            for i in range(0, this.in_features, LANES):
                total = square_sum(grads, parameter.offset + i, 1, PANEL, 0.0)
                squares[parameter.squares_offset + i // LANES] = total


@operation("blocks", lambda s: _update_cost(s, s.parameters), ("parameters",), whole_network=True)
def update_all(run, batch, layer, part, first, last):
    """Assigned blocks of parameters, the whole gradient first scaled down to the largest norm allowed (Pascanu et al.
    2013)."""
    state, factor = run.state, 1.0
    if run.settings.clip_norm > 0.0:
        factor = min(1.0, run.settings.clip_norm / (math.sqrt(sum_in_order(state.squares)) + 1e-6))
    begin, end = first * UPDATE_BLOCK, min(state.params.shape[0], last * UPDATE_BLOCK)
    for k in range(run.parameters.shape[0]):
        parameter = run.parameters[k]
        start, stop = max(begin, parameter.offset), min(end, parameter.offset + parameter.count)
        if start < stop and not parameter.frozen:
            _update(run, batch, parameter, factor, start, stop)
            if run.settings.max_norm == 0.0:
                _average(run, start, stop)


def _limit_cost(s: Sizes) -> Cost:
    """With the moving average, where there is one: of the vectors too."""
    if not s.limited:
        return _average_cost(s, 0, (s.i + 1) * s.o + s.more)
    average = _average_cost(s, s.i * s.o, s.o + s.more)
    return Cost((3 * s.i + 2) * s.o + average.flop, 8 * s.i * s.o + average.bytes)


@operation("panels", _limit_cost, ("i", "o"))
def limit(run, batch, layer, part, first, last):
    """Norms of assigned units' weights, the last layer's aside; then the moving average, of the parameters as the step
    leaves them."""
    this, params = run.layers[layer], run.state.params
    for k in range(this.first_parameter, this.end_parameter):
        parameter = run.parameters[k]
        if parameter.walk == IN_PANELS and layer < run.layers.shape[0] - 1:
            limit_norms(params[parameter.offset :], parameter.per_unit, run.settings.max_norm, first, last)
        begin, end = _of_units(parameter, first, last)
        _average(run, begin, end)


@operation("units below", lambda s: Cost(0, (8 if s.average else 4) * s.i * s.o), ("i", "o"))
def place_weights(run, batch, layer, part, first, last):
    """Clear the weights whose gradients the part will make, and their moving average, ahead of training: a page of
    memory is near the thread that writes to it first."""
    this, state = run.layers[layer], run.state
    first_input, last_input, first, last = weights_assigned(run, batch, layer, first, last)
    for o in range(first, last, PANEL):
        panel = this.weight_offset + o * this.in_features
        clear(state.params, panel + first_input * PANEL, panel + last_input * PANEL)
        if run.settings.average_decay > 0.0:
            clear(state.average, panel + first_input * PANEL, panel + last_input * PANEL)
