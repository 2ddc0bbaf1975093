"""A whole measurement: every case of a network on a data set, interleaved."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext

from jitnet.bench.blas import numpy_cases, numpy_peers
from jitnet.bench.limits import cache_bytes, probe_cases, probes_of
from jitnet.bench.lines import line_cases, prediction_cases
from jitnet.bench.results import Bench, Settings
from jitnet.bench.rungs import ladder_cases
from jitnet.bench.steps import same_bits, step_cases, step_rows
from jitnet.bench.timing import measure
from jitnet.bench.workload import Subject
from jitnet.config import ModelConfig
from jitnet.datasets import Dataset
from jitnet.machine.host import describe_machine, set_threads

__all__ = ["BUDGET_S", "run_bench"]

BUDGET_S = 8.0
"""The time of all samples together by default; with warm-up, and what is not timed, less than 30 s."""


def run_bench(
    shape: ModelConfig,
    dataset: Dataset,
    batch_size: int,
    *,
    threads: Sequence[int],
    ladder: bool = False,
    numpy: bool = False,
    repetitions: int = 9,
    budget_s: float = BUDGET_S,
    preparing: Callable[[], AbstractContextManager[object]] = nullcontext,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> tuple[Bench, tuple[str, ...]]:
    """Measure a network on a data set; return the measurement, and the versions of the peers that were measured.

    preparing: entered while everything is compiled or loaded. progress: called between samples. Raises UsageError, and
    JitnetError where a rung of the ladder is not the product.
    """
    subject = Subject(shape, dataset, min(batch_size, len(dataset.train)))
    counts = tuple(threads)
    ends = tuple(sorted({counts[0], counts[-1]}))  # lines at every count would be too many to read
    with ExitStack() as stack:
        # Before the first parallel region, which binds this process's main thread to one core.
        peers = stack.enter_context(numpy_peers(ends)) if numpy else []
        begin = time.perf_counter()
        with preparing():
            cases = [
                *probe_cases(counts),
                *step_cases(subject, counts),
                *line_cases(subject, ends),
                *prediction_cases(subject, ends),
            ]
            cases += ladder_cases(subject, ends) if ladder else []
            is_same = same_bits(subject, counts)
            for case in cases:
                case.prepare()
                case.run(1)
        compile_s = time.perf_counter() - begin
        cases += numpy_cases(cases, peers)
        begin = time.perf_counter()
        results = tuple(measure(cases, repetitions, budget_s, progress))
        measure_s = time.perf_counter() - begin
        set_threads(describe_machine().cores)
    probes = tuple(probes_of(results, count) for count in counts)
    settings = Settings(
        dataset.name,
        shape.in_features,
        shape.hidden,
        shape.n_classes,
        shape.activation,
        subject.batch_size,
        subject.plan.input_loops,
        shape.n_targets,
        shape.loss,
        shape.norm,
        shape.residual,
        shape.input_scale,
    )
    bench = Bench(
        describe_machine(),
        settings,
        counts,
        probes,
        results,
        step_rows(subject, results, probes),
        subject.plan.input_reason,
        is_same,
        cache_bytes(),
        compile_s,
        measure_s,
    )
    return bench, tuple(dict.fromkeys(peer.version for peer in peers))
