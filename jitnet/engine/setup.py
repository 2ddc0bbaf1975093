"""From a shape, a config and samples to what the compiled loop takes."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.compiler.reference import Struct
from jitnet.compiler.signatures import Records, make_record
from jitnet.config import LOSSES, OPTIMIZERS, Layer, ModelConfig, TrainConfig
from jitnet.datasets.compressed import CompressedRows
from jitnet.engine.allocation import allocate
from jitnet.engine.arena import Buffer
from jitnet.engine.costs import Sizes
from jitnet.engine.layout import Layout
from jitnet.engine.loop import load_loop, run_steps
from jitnet.engine.loop_records import CALL, SETTINGS, ParameterRecord
from jitnet.engine.operations import OPERATIONS
from jitnet.engine.ownership import MEETINGS, SAMPLES_AT_A_TIME
from jitnet.engine.packing import described
from jitnet.engine.program import Line, Program, Step, adds_directly, on_data, updates_late
from jitnet.engine.state import Data, Run, empty_run, no_data
from jitnet.engine.step_clock import clock_for
from jitnet.kernels.activation import ACTIVATION_KERNELS
from jitnet.kernels.loss import LINK_KERNELS, LOSS_KERNELS
from jitnet.kernels.optimizer import OPTIMIZER_KERNELS, optimizer_settings
from jitnet.kernels.schedule import schedule_settings
from jitnet.machine.barrier import barrier_words
from jitnet.machine.clock import tick_s
from jitnet.machine.host import describe_machine, set_threads, threads_are_lost
from jitnet.machine.pages import untouched

__all__ = ["make_data", "make_settings", "place_weights", "placing", "run_on_data", "training_run"]


def make_settings(shape: ModelConfig, config: TrainConfig) -> Any:
    """The record of the options that steer a step."""
    return make_record(
        SETTINGS,
        activation=ACTIVATION_KERNELS[shape.activation].code,
        loss_code=LOSS_KERNELS[shape.loss].code,
        link_code=LINK_KERNELS[LOSSES[shape.loss].link].code,
        adds_directly=adds_directly(shape, config),
        label_smoothing=config.label_smoothing,
        clip_norm=config.clip_norm,
        max_norm=config.max_norm if updates_late(shape, config) else 0.0,
        average_decay=config.ema,
        input_dropout=config.input_dropout,
        seed=config.seed,
    )


def training_run(step: Step, layout: Layout, program: Program, n_steps: int, schedule_step: int = 0) -> Run:
    """A run of a program on zeroed arrays, still without samples; n_steps: of an epoch. schedule_step: the step at
    which the schedule begins."""
    shape, config = step.shape, step.config
    settings = make_settings(shape, config)
    settings.shares_marks = any(line.operation == "mark" for line in program.lines)
    optional = [*OPTIMIZER_KERNELS[config.optimizer].moments]
    optional += [] if settings.adds_directly else ["grads"]
    optional += ["average"] if config.ema > 0.0 else []
    marked = shape.in_features if step.skips_zeros else 1
    return empty_run()._replace(
        program=program.table(),
        layers=layout.layers,
        parameters=_with_rates(layout.parameters, step),
        network=layout.network,
        partials=program.partials(layout),
        settings=settings,
        optimizer=optimizer_settings(config),
        schedule=schedule_settings(config, n_steps, schedule_step),
        call=make_record(
            CALL,
            batch_size=step.batch_size,
            has_bytes=step.bytes_per_input == 1,
            meeting=MEETINGS[program.meeting],
        ),
        barrier=barrier_words(program.threads),
        loss_numbers=np.array(shape.loss_numbers, np.float32),
        state=allocate(layout, optional=optional, marked_columns=marked, shares_marks=bool(settings.shares_marks)),
    )


def _with_rates(records: Records[ParameterRecord], step: Step) -> Records[ParameterRecord]:
    """The records of parameters, each with its factor of the learning rate, and whether it is frozen."""
    found, frozen = records.copy(), step.config.frozen(step.shape)
    for record, layer, name in described(found, step.shape):
        record.rate, record.frozen = _rate_factor(step.config, layer, name), layer.block in frozen
    return found


def _rate_factor(config: TrainConfig, layer: Layer, name: str) -> float:
    if name == "bias":
        return config.bias_rate
    if layer.kind == "input_scale":
        return config.input_scale_rate
    if layer.kind == "linear" and config.parametrization == "ntk":
        return float(layer.in_features ** (-0.5 if OPTIMIZERS[config.optimizer].normalises else -1.0))
    return 1.0


def placing(program: Program, *, average: bool) -> Program:
    """The program in which each part of a training step clears the weights whose gradients it will make. average:
    whether there is a moving average of them."""
    place = OPERATIONS["place_weights"]
    writers = [line for line in program.step if line.operation in ("backward_weight", "backward_sparse")]
    lines = (
        Line(
            number,
            place.name,
            line.layer,
            line.split,
            line.parts,
            line.reason,
            place.cost(Sizes(samples, inputs, units, average=average)),
        )
        for number, line in enumerate(writers, 1)
        for samples, inputs, units in [line.extents]
    )
    return Program((), tuple(lines))


def place_weights(run: Run, program: Program) -> None:
    """Have the parts of a training program be the first to write to their weights, which so are near them. The weights
    are zeros then as before."""
    placed = placing(program, average=bool(run.settings.average_decay > 0.0))
    if placed.threads > 1 and not threads_are_lost():
        load_loop()
        set_threads(min(program.threads, describe_machine().affinity))
        call = run.call.copy()
        call.n_steps, call.clocked, call.meeting = 1, False, MEETINGS[placed.meeting]
        run_steps(Struct(run._replace(program=placed.table(), call=call)), 0, np.zeros(3))


def run_on_data(
    run: Run, program: Program, batch_size: int = SAMPLES_AT_A_TIME, times: dict[str, float] | None = None
) -> None:
    """Walk a program whose parts share the steps over all samples of the run's order, once.

    times: gains the seconds of each of its operations, means over parts.
    """
    load_loop()
    run = run._replace(program=program.table(), call=run.call.copy(), barrier=barrier_words(program.threads))
    n_steps = -(-len(run.order) // batch_size)
    run.call.batch_size, run.call.n_steps, run.call.meeting = batch_size, n_steps, MEETINGS[program.meeting]
    if times is not None:
        run = run._replace(clock=clock_for(program.threads, len(program.lines), program.regions, steps=n_steps))
        run.call.clocked = n_steps > 0
    run_steps(Struct(run), 0, np.zeros(3))
    if times is not None:
        for place, line in enumerate(program.lines):
            readings = run.clock.lines[:, :, place]  # zeros where a part did not do a step
            ticks = float(np.sum(readings[..., 1] - readings[..., 0])) / line.parts
            times[line.operation] = times.get(line.operation, 0.0) + ticks * tick_s()


@cache
def _blank_run() -> Run:
    """One run that does nothing, for all; it is never written to."""
    return empty_run()


def make_data(
    images: npt.NDArray[np.uint8],
    features: npt.NDArray[np.float32] | CompressedRows,
    labels: npt.NDArray[np.int32],
    *,
    skips_zeros: bool,
    threads: int,
    targets: npt.NDArray[np.float32] | None = None,
    weights: npt.NDArray[np.floating] | None = None,
    entries: Buffer | None = None,
    times: dict[str, float] | None = None,
) -> Data:
    """Samples as the loop walks them: bytes as they are stored, with lists of what is not zero where asked for; or
    floats; or such lists alone.

    labels: (n,), empty where targets are numbers: targets, (n, n_targets). weights: (n,), what each loss is multiplied
    by; None where all count alike. entries: where their lists go, where they are for one call and not for the whole
    run. times: gains the seconds of each operation.
    """
    data = no_data()._replace(images=images, labels=np.require(labels, np.int32, ["C", "W"]))
    if targets is not None:
        data = data._replace(targets=np.require(targets, np.float32, ["C", "W"]))
    if weights is not None:
        data = data._replace(weights=np.require(weights, np.float32, ["C", "W"]))
    if isinstance(features, CompressedRows):
        return data._replace(indptr=features.indptr, entries=features.entries, entry_values=features.values)
    if not skips_zeros:
        return data._replace(features=features)
    sizes = Sizes(len(images), images.shape[1], bytes_per_input=1)
    data = data._replace(indptr=np.zeros(len(images) + 1, np.int64))
    run = _blank_run()._replace(data=data, order=np.arange(len(images), dtype=np.int32))
    run_on_data(run, on_data(["count_entries"], sizes, threads), times=times)
    np.cumsum(data.indptr, out=data.indptr)
    count = int(data.indptr[-1])
    # Not in huge pages: a start takes longer where the system has to make them, and the walk is no faster in them.
    data = data._replace(entries=entries.take(count) if entries else untouched(count, np.uint32))
    run_on_data(run._replace(data=data), on_data(["list_entries"], sizes, threads), times=times)
    return data
