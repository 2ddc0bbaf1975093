"""Real training steps, in chunks alternately with the clock and without."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from statistics import fmean, median
from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.bench.limits import cache_bytes, measure_probes
from jitnet.bench.lines import shape_of
from jitnet.bench.results import Probes
from jitnet.bench.verdict import judge, judge_region
from jitnet.bench.workload import Prediction, prepare_prediction
from jitnet.config import TrainConfig
from jitnet.datasets import Dataset
from jitnet.engine.costs import Cost, Sizes
from jitnet.engine.operations import OPERATIONS
from jitnet.engine.program import Line
from jitnet.engine.step_clock import clock_for
from jitnet.kernels.augment import distortion_settings
from jitnet.machine.clock import tick_s
from jitnet.model import Model
from jitnet.profile.step.step_profile import Profile, RegionRow, Row, Slice, ThreadRow, typical_pairs
from jitnet.training.trainer import Chunk, Trainer

__all__ = ["BUDGET_S", "run_profile"]

BUDGET_S = 8.0
"""Seconds for the steps by default; with loading compiled code and measuring the machine's limits, less than 20 s."""

PROBES_S = 2.0
"""Seconds for measuring the machine's limits, at each count of threads."""

TRACED_STEPS = 200
"""Steps in the timeline."""

FEWEST_CHUNKS = 8
"""At least so many pairs of chunks are measured, even beyond the budget."""

Progress = Callable[[str, int, int], None]
Times = npt.NDArray[np.float64]


def run_profile(
    model: Model,
    dataset: Dataset,
    config: TrainConfig,
    *,
    budget_s: float | None = None,
    preparing: Callable[[], AbstractContextManager[object]] = nullcontext,
    progress: Progress = lambda what, done, total: None,
) -> Profile:
    """Train `model` as `config` says, epoch after epoch, for budget_s seconds (None: BUDGET_S), with and without clock.

    preparing: entered while everything is compiled or loaded. progress: called with what is being done, between chunks.
    The epochs start again where the config has fewer than fit into the budget. Raises as `Trainer` does.
    """
    begin, budget_s = time.perf_counter(), BUDGET_S if budget_s is None else budget_s
    trainer = Trainer(model, dataset, config)
    threads_reason = trainer.plan.threads_reason
    if not config.threads:  # training would try several counts; a profile is of one
        trainer = Trainer(model, dataset, config.model_copy(update={"threads": trainer.plan.threads}))
    plan = trainer.plan
    with preparing():
        trainer.prepare()
        trainer.keeps_readings = True
        tick_s()
    counts = sorted({line.parts for line in plan.program.step} | {plan.threads})
    probes = _probes(counts, progress)
    plain, clocked = _pairs(trainer, budget_s, progress)
    plain_s, clocked_s = (tuple(chunk.seconds / chunk.steps for chunk in chunks) for chunks in (plain, clocked))
    typical = typical_pairs(plain_s, clocked_s)
    step_s = fmean(plain_s[place] for place in typical)
    by_threads = {limits.threads: limits for limits in probes}
    found = _Clocked(trainer, clocked, typical, step_s, by_threads)
    predicted, prediction = _prediction(trainer, by_threads, budget_s / 8)
    return Profile(
        machine=plan.machine,
        settings=_settings(trainer),
        threads=plan.threads,
        threads_reason=threads_reason,
        cache_bytes=cache_bytes(),
        probes=probes[-1],
        rows=found.rows(),
        threads_rows=found.threads(),
        plain_s=plain_s,
        clocked_s=clocked_s,
        waiting_s=found.waiting_s,
        starting_s=found.starting_s,
        rest_s=found.rest_s,
        slices=found.slices(),
        regions=found.regions(),
        fewer=tuple(probes[:-1]),
        input_reason=f"{plan.input_loops} loops ({plan.input_reason})",
        measure_s=time.perf_counter() - begin,
        prediction=prediction,
        predicted=predicted,
    )


def _prediction(trainer: Trainer, probes: dict[int, Probes], budget_s: float) -> tuple[int, tuple[Row, ...]]:
    """Return how many samples are predicted, and a row for each line of that program: predicted repeatedly with the
    clock, for budget_s seconds. A step is a batch; its seconds are those of all parts in parallel."""
    ready = prepare_prediction(trainer.model, trainer.dataset.test_or_train, trainer.plan.threads)
    program, n_steps = ready.program, int(ready.run.call.n_steps)
    run = ready.run._replace(clock=clock_for(program.threads, len(program.lines), program.regions, steps=n_steps))
    clocked = Prediction(program, run)
    clocked.predict()
    run.call.clocked = True
    begin, spent, walls = time.perf_counter(), list[Times](), list[float]()
    while len(walls) < FEWEST_CHUNKS or time.perf_counter() - begin < budget_s:
        run.clock.lines[:] = 0  # a part that does not do a step writes nothing
        entered = time.perf_counter()
        clocked.predict()
        walls.append((time.perf_counter() - entered) / n_steps)
        ticks = np.diff(run.clock.lines[:, :, : len(program.lines)], axis=3)[..., 0].sum(axis=0)
        spent.append(ticks * tick_s() / n_steps)  # (parts, lines), of a step
    rows = []
    for place, line in enumerate(program.lines):
        samples = tuple(float(each[:, place].mean()) for each in spent)
        by_thread = tuple(np.mean([each[:, place] for each in spent], axis=0).tolist())
        operation = OPERATIONS[line.operation]
        i, o = trainer.model.config.widths[line.layer : line.layer + 2]
        nominal = 2.0 * line.extents[0] * i * o if operation.on_entries else line.cost.flop
        limits = probes[min((count for count in probes if count >= line.parts), default=max(probes))]
        found = judge(median(samples), *line.cost, limits, nominal_flop=nominal)
        rows.append(
            Row(
                line.region,
                line.operation,
                line.layer,
                False,
                line.split,
                line.parts,
                shape_of(line),
                *line.cost,
                nominal,
                n_steps * len(walls),
                samples,
                by_thread,
                sum(samples) / sum(walls),
                found.roof,
                found.binds,
                found.verdict,
            )
        )
    return len(run.order), tuple(rows)


def _settings(trainer: Trainer) -> dict[str, Any]:
    """Return what two profiles must have in common to be compared; each profile of a document has its threads."""
    train = trainer.config.model_dump(exclude={"threads", "epochs"})
    return {"data": trainer.dataset.name, **trainer.model.config.model_dump(), **train}


def _probes(counts: Sequence[int], progress: Progress) -> list[Probes]:
    return measure_probes(counts, PROBES_S * len(counts), _named(progress, "the machine's limits"))


def _named(progress: Progress, what: str) -> Progress:
    return lambda _, done, total: progress(what, done, total)


def _chunks(trainer: Trainer) -> Iterator[Chunk]:
    """Yield chunks of epoch after epoch, without end."""
    totals = np.zeros(3)
    while True:
        for epoch in range(1, trainer.config.epochs + 1):
            yield from trainer.chunks(epoch, totals)


def _pairs(trainer: Trainer, budget_s: float, progress: Progress) -> tuple[list[Chunk], list[Chunk]]:
    """Return neighbouring chunks of about equal length, one without and one with the clock, in alternating order."""
    plain: list[Chunk] = []
    clocked: list[Chunk] = []
    before: Chunk | None = None
    begin, warm_s, lengths = time.perf_counter(), min(0.3, budget_s / 10), list[int]()
    for chunk in _chunks(trainer):
        spent_s = time.perf_counter() - begin
        lengths.append(chunk.steps)
        # The first chunks of a run and the last of an epoch are short.
        if spent_s < warm_s or 2 * chunk.steps < median(lengths):
            before = None
            continue
        if before is None or (before.readings is None) == (chunk.readings is None):
            before = chunk
            trainer.clocked = not trainer.clocked
            continue
        one, other = (before, chunk) if before.readings is None else (chunk, before)
        plain.append(one)
        clocked.append(other)
        before = None  # the next pair begins as this one ended
        progress("training steps", min(99, int(100 * spent_s / budget_s)), 100)
        if spent_s >= budget_s and len(plain) >= FEWEST_CHUNKS:
            break
    return plain, clocked


class _Clocked:
    """Times from the clock's readings of many chunks. Times are seconds; per chunk, means over its steps.

    typical: indices of the chunks whose means are reported. step_s: a step without a clock.
    """

    def __init__(
        self,
        trainer: Trainer,
        chunks: Sequence[Chunk],
        typical: Sequence[int],
        step_s: float,
        probes: dict[int, Probes],
    ) -> None:
        self._trainer, self._chunks, self._probes = trainer, chunks, probes
        self._typical, self._step_s = list(typical), step_s
        self._plan, program = trainer.plan, trainer.plan.program
        self._lines, self._first = program.step, len(program.first)
        self._numbers = sorted({line.region for line in self._lines})
        per_chunk = [self._read(chunk) for chunk in chunks]
        self._busy = np.array([busy for busy, _, _, _ in per_chunk])  # (chunks, lines, parts)
        self._waiting = np.array([waiting for _, waiting, _, _ in per_chunk])  # (chunks, regions, parts)
        self._starting = np.array([starting for _, _, starting, _ in per_chunk])  # likewise
        self._joining = np.array([joining for _, _, _, joining in per_chunk])  # (chunks, regions)
        steps = np.array([chunk.seconds / chunk.steps for chunk in chunks])
        self._making = {name: tuple(chunk.making[name] / chunk.steps for chunk in chunks) for name in chunks[0].making}
        rows = sum(self._line_samples(k) for k in range(len(self._lines))) + sum(map(np.array, self._making.values()))
        waiting = np.sum([self._mean(self._waiting, k) for k in range(len(self._numbers))], axis=0)
        starting = self._joining.sum(axis=1)
        starting = starting + np.sum([self._mean(self._starting, k) for k in range(len(self._numbers))], axis=0)
        self.waiting_s, self.starting_s = self._typical_mean(waiting), self._typical_mean(starting)
        self.rest_s = self._typical_mean(steps - rows - waiting - starting)

    def _typical_mean(self, samples: Times | Sequence[float]) -> float:
        """Return the mean over typical chunks."""
        return float(np.asarray(samples)[self._typical].mean())

    def _parts(self, number: int) -> int:
        return max(line.parts for line in self._lines if line.region == self._numbers[number])

    def _mean(self, times: Times, number: int) -> Times:
        """Return (chunks,): the mean over a region's parts."""
        return times[:, number, : self._parts(number)].mean(axis=1)

    def _line_samples(self, place: int) -> Times:
        """Return (chunks,): a line's time, the mean over the parts of its region."""
        return self._busy[:, place, : self._lines[place].parts].mean(axis=1)

    def _read(self, chunk: Chunk) -> tuple[Times, Times, Times, Times]:
        """Return of a mean step: busy (lines, parts), waiting and starting (regions, parts), joining (regions,)."""
        readings, threads = chunk.readings, self._plan.program.threads
        assert readings is not None
        lines = readings.lines[:, :, self._first :]
        busy = np.zeros((len(self._lines), threads))
        waiting, starting = np.zeros((len(self._numbers), threads)), np.zeros((len(self._numbers), threads))
        joining = np.zeros(len(self._numbers))
        for place, line in enumerate(self._lines):
            times = lines[:, : line.parts, place]
            busy[place, : line.parts] = (times[..., 1] - times[..., 0]).mean(axis=0)
        for number, region in enumerate(self._numbers):
            places = [place for place, line in enumerate(self._lines) if line.region == region]
            parts = self._parts(number)
            begins = lines[:, :parts, places[0], 0]
            ends = lines[:, :parts, places[-1], 1]
            entered, left = readings.regions[:, region, 0], readings.regions[:, region, 1]
            last = ends.max(axis=1)
            waiting[number, :parts] = (last[:, None] - ends).mean(axis=0)
            starting[number, :parts] = (begins - entered[:, None]).mean(axis=0)
            joining[number] = (left - last).mean()
        return busy * tick_s(), waiting * tick_s(), starting * tick_s(), joining * tick_s()

    def rows(self) -> tuple[Row, ...]:
        made = [self._made_row(name) for name in self._making]
        starts = {row.region for row in self.regions() if row.parts > 1 and row.starting_s > row.busy_s}
        return (*made, *(self._row(place, line, line.region in starts) for place, line in enumerate(self._lines)))

    def _row(self, place: int, line: Line, starts: bool) -> Row:
        samples = tuple(self._line_samples(place).tolist())
        by_thread = tuple(self._typical_mean(self._busy[:, place, part]) for part in range(line.parts))
        step, layer = self._plan.step, line.layer
        skips = OPERATIONS[line.operation].on_entries
        i, o = step.shape.widths[layer : layer + 2]
        nominal = 2.0 * step.batch_size * i * o if skips else line.cost.flop
        found = judge(
            median(samples),
            *line.cost,
            self._probes[line.parts],
            nominal_flop=nominal,
            by_thread_s=by_thread,
            starts=starts,
        )
        return Row(
            line.region,
            line.operation,
            layer,
            line.next_batch,
            line.split,
            line.parts,
            shape_of(line),
            *line.cost,
            nominal,
            sum(min(chunk.steps, len(chunk.readings.whole_steps)) for chunk in self._chunks if chunk.readings),
            samples,
            by_thread,
            self._typical_mean(samples) / self._step_s,
            found.roof,
            found.binds,
            found.verdict,
        )

    def _made_row(self, name: str) -> Row:
        """Return the row of an operation that makes a step's samples."""
        step, samples = self._plan.step, self._making[name]
        distortion = distortion_settings(step.config.augment)
        height, width = self._trainer.dataset.image_shape or (0, 0)
        n, i = step.batch_size, step.shape.in_features
        cost = OPERATIONS[name].cost(
            Sizes(
                n,
                i,
                entries=n * i * step.density,
                bytes_per_input=step.bytes_per_input,
                taps=len(distortion.gaussian),
                height=height,
                width=width,
            )
        )
        cost = Cost(float(cost.flop), float(cost.bytes))
        found = judge(median(samples), *cost, self._probes[self._plan.threads])
        return Row(
            0,
            name,
            0,
            True,
            "data",
            self._plan.threads,
            f"{n}×{i}",
            *cost,
            cost.flop,
            sum(chunk.steps for chunk in self._chunks),
            samples,
            (self._typical_mean(samples),) * self._plan.threads,
            self._typical_mean(samples) / self._step_s,
            found.roof,
            found.binds,
            found.verdict,
        )

    def regions(self) -> tuple[RegionRow, ...]:
        return tuple(self._region(number) for number in range(len(self._numbers)))

    def _region(self, number: int) -> RegionRow:
        lines = [line for line in self._lines if line.region == self._numbers[number]]
        places = [place for place, line in enumerate(self._lines) if line in lines]
        parts = self._parts(number)
        busy = self._typical_mean(np.sum([self._line_samples(place) for place in places], axis=0))
        waiting = self._typical_mean(self._mean(self._waiting, number))
        starting = self._typical_mean(self._mean(self._starting, number) + self._joining[:, number])
        wall = busy + waiting + starting
        extent, unit = _extent(lines, self._plan.step.shape.widths, self._plan.step.batch_size)
        verdict = judge_region(parts, wall, busy, starting, waiting, extent, unit)
        return RegionRow(self._numbers[number], parts, wall, busy, starting, waiting, verdict)

    def threads(self) -> tuple[ThreadRow, ...]:
        made = sum(self._typical_mean(samples) for samples in self._making.values())
        rows = []
        for thread in range(self._plan.program.threads):
            without = [number for number in range(len(self._numbers)) if thread >= self._parts(number)]
            waits = self._waiting[:, :, thread].sum(axis=1)
            for number in without:  # it waits for the whole region of the others
                places = [k for k, line in enumerate(self._lines) if line.region == self._numbers[number]]
                waits = waits + sum(self._line_samples(place) for place in places)
            rows.append(
                ThreadRow(
                    thread,
                    self._typical_mean(self._busy[:, :, thread].sum(axis=1)) + made,
                    self._typical_mean(waits),
                    self._typical_mean(self._starting[:, :, thread].sum(axis=1)),
                    self._typical_mean(self._joining.sum(axis=1)),
                )
            )
        return tuple(rows)

    def slices(self) -> tuple[Slice, ...]:
        """Return the first steps of the last chunk."""
        readings = self._chunks[-1].readings
        assert readings is not None
        made = len(self._making)
        times = readings.lines[:TRACED_STEPS, :, self._first :]
        origin = int(readings.whole_steps[0, 0])
        return tuple(
            Slice(step, made + place, part, *((times[step, part, place] - origin) * tick_s()).tolist())
            for step in range(len(times))
            for place, line in enumerate(self._lines)
            for part in range(line.parts)
        )


def _extent(lines: Sequence[Line], widths: Sequence[int], batch_size: int) -> tuple[int, str]:
    """Return into how many of which units the work of a region is split."""
    for line in lines:
        if line.split == "units":
            return widths[line.layer + 1], "units"
        if line.split == "units below":
            return widths[line.layer], "units"
        if line.split.startswith("pieces"):
            return widths[line.layer + (line.split != "pieces below")] * batch_size, "numbers"
    if lines[0].split == "blocks":
        return sum((i + 1) * o for i, o in pairwise(widths)), "parameters"
    return batch_size, "samples"
