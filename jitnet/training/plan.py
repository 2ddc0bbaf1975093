"""From a model, data and a configuration to what the compiled loop takes; and how the work is done, with the reason."""

import mmap
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jitnet.config import ModelConfig, TrainConfig
from jitnet.datasets import Split
from jitnet.errors import UsageError
from jitnet.kernels.activation import KINDS as ACTIVATIONS
from jitnet.kernels.jit import Machine, machine
from jitnet.kernels.optimizer import KINDS as OPTIMIZERS
from jitnet.kernels.sparse import list_rows
from jitnet.model.network import ZERO_SKIPPING_BELOW, Model, density
from jitnet.state import (
    BACKWARD_PARTS,
    FORWARD_PARTS,
    Options,
    Source,
    State,
    aligned,
    allocate,
    byte_values,
    make_options,
    no_source,
    pack,
)

__all__ = ["Plan", "lists_of", "make_plan", "make_source", "make_state", "options_of", "plain_values"]

_FIRST_MOMENT = ("momentum", "nesterov", "adam", "adamw")
_SECOND_MOMENT = ("rmsprop", "adam", "adamw")


@dataclass(frozen=True)
class Plan:
    """How the work will be done, and why: threads, and the loops of the first layer ("zero-skipping" or "dense")."""

    threads: int
    threads_reason: str
    input_loops: str
    density: float
    input_reason: str
    machine: Machine

    @property
    def sparse(self) -> bool:
        """Whether the first layer walks only inputs that are not zero."""
        return self.input_loops == "zero-skipping"


def make_plan(model: Model, training: Split, config: TrainConfig, batch_size: int) -> Plan:
    """Choose threads and loops; UsageError where more threads are asked for than there are cores to bind them to."""
    here = machine()
    share, loops, reason = _input_loops(model, training)
    if config.threads > here.affinity:
        raise UsageError(
            f"--threads is {config.threads}; this process may use 1 to {here.affinity} (cores by affinity)"
        )
    if config.threads:
        threads, why = config.threads, "as asked"
    else:
        sparse = loops == "zero-skipping"
        density = share if sparse else 1.0
        layers = allocate(model.config, batch_size, here.cores, density=density, sparse=sparse, dry=True).layers
        threads = int(max(layers[:, FORWARD_PARTS].max(), layers[:, BACKWARD_PARTS].max()))
        why = here.cores_reason if threads == here.cores else "a step has too little work for more"
    return Plan(threads, why, loops, share, reason, here)


def _input_loops(model: Model, training: Split) -> tuple[float, str, str]:
    images, scaling = training.images, model.scaling
    if images.dtype != np.uint8 or np.ndim(scaling.offset) or np.ndim(scaling.scale):
        return 1.0, "dense", "inputs are not bytes"
    share = density(images)
    if scaling.offset:
        return share, "dense", "zero bytes are not zero inputs"
    if share < ZERO_SKIPPING_BELOW:
        return share, "zero-skipping", f"{share:.0%} of the inputs are not zero"
    return share, "dense", f"{share:.0%} of the inputs are not zero"


def options_of(shape: ModelConfig, config: TrainConfig) -> Options:
    """The numbers that steer a step."""
    hidden = len(shape.hidden)
    dropout = config.dropout * hidden if len(config.dropout) == 1 else config.dropout
    if config.dropout and len(dropout) != hidden:
        raise UsageError(
            f"--dropout has {len(dropout)} shares; give one, or one for each of the {hidden} hidden layers"
        )
    deferred = config.clip_norm > 0.0 or (config.max_norm > 0.0 and hidden > 0)
    direct = config.optimizer == "sgd" and config.weight_decay == 0.0 and not deferred
    return make_options(
        activation=ACTIVATIONS[shape.activation],
        optimizer=OPTIMIZERS[config.optimizer],
        direct=direct,
        deferred=deferred,
        output_bias=shape.output_bias,
        weight_decay=config.weight_decay,
        momentum=config.momentum,
        beta1=config.beta1,
        beta2=config.beta2,
        rho=config.rho,
        epsilon=config.epsilon,
        smoothing=config.label_smoothing,
        clip_norm=config.clip_norm,
        max_norm=config.max_norm,
        ema=config.ema,
        shares=(*(dropout or (0.0,) * hidden), 0.0),
        seed=config.seed,
    )


def make_state(model: Model, config: TrainConfig, plan: Plan, batch_size: int) -> State:
    """State with the model's parameters in it, and room for what the configuration needs beside them."""
    options = options_of(model.config, config)
    state = allocate(
        model.config,
        batch_size,
        plan.threads,
        density=plan.density if plan.sparse else 1.0,
        sparse=plan.sparse,
        grads=not options.direct,
        first_moment=config.optimizer in _FIRST_MOMENT,
        second_moment=config.optimizer in _SECOND_MOMENT,
        mean=config.ema > 0.0,
    )
    pack(state.params, state.layers, model.weights, model.biases)
    if config.ema > 0.0:
        state.mean[:] = state.params
    # What input dropout keeps is scaled up to make good for what it drops.
    state.values[:] = plain_values(model) / np.float32(1.0 - config.input_dropout)
    return state


def plain_values(model: Model) -> npt.NDArray[np.float32]:
    """(256,) float32: the network input of each byte; zeros where inputs are not bytes."""
    offset, scale = model.scaling.offset, model.scaling.scale
    values = aligned(256)
    if np.ndim(offset) == 0 and np.ndim(scale) == 0:
        values[:] = byte_values(float(offset), float(scale))
    return values


def make_source(split: Split, model: Model, plan: Plan) -> Source:
    """A split as the loops walk it: bytes as they are stored, with lists of what is not zero where that is the plan."""
    images, features = model.inputs(split.images)
    labels = np.require(split.labels, np.int32, ["C", "W"])
    if not plan.sparse:
        return no_source()._replace(images=images, features=features, labels=labels)
    starts, entries = lists_of(images, _small_pages)
    return Source(images, features, starts, entries, labels, True)


def lists_of(
    images: npt.NDArray[np.uint8],
    room: Callable[[int], npt.NDArray[np.uint32]] = lambda count: np.zeros(count, np.uint32),
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Each sample's non-zero pixels, as `kernels.sparse` walks them: starts (samples + 1,), and entries in the array
    that `room` makes for their number."""
    starts = np.zeros(len(images) + 1, np.int64)
    list_rows(images, starts, np.zeros(0, np.uint32))
    np.cumsum(starts, out=starts)
    entries = room(int(starts[-1]))
    if len(entries):
        list_rows(images, starts, entries)
    return starts, entries


# Windows has private memory only, and no flags to ask for it.
_PRIVATE = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}


def _small_pages(count: int) -> npt.NDArray[np.uint32]:
    """Room for `count` entries that are kept. NumPy asks for huge pages where an array is large: a start took 5 to
    60 ms longer where the system had to make them, and the walk over the entries is no faster in them."""
    if count == 0:
        return np.zeros(0, np.uint32)
    return np.frombuffer(mmap.mmap(-1, 4 * count, **_PRIVATE), np.uint32)
