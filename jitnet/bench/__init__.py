"""`jitnet bench`: what each loop costs on this machine, beside what the machine can do. Nothing here prints.

measure.py   all cases in one pot, in random order            machine.py  peak, bandwidth, an empty region
subject.py   the network at hand, laid out as for training    kernels.py  a row a kernel, with the formulas
cells.py     one compiled loop that repeats any kernel        threads.py  a row a count of threads
versus.py    NumPy's BLAS, in its own process                 ladder.py   one product, from textbook to tile
fresh.py     rows for distorted samples, dropped inputs       records.py  what all of them give
compare.py   against a measurement kept in a file
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jitnet.errors import UsageError

if TYPE_CHECKING:
    from jitnet.bench.records import Bench
    from jitnet.config import ModelConfig
    from jitnet.datasets import Dataset

__all__ = ["BUDGET_S", "as_document", "parse_share", "parse_threads", "run"]

BUDGET_S = 8.0
"""What all samples take together by default; with warming up, and what is not timed, less than 30 s."""

EVERY_UP_TO = 4


def parse_threads(text: str | None, cores: int, affinity: int) -> tuple[int, ...]:
    """The counts that `--threads` names: "1,2,4", "all", or 1 and all cores where nothing is named; sorted.

    all: every count up to 4, then powers of two, and the number of cores. UsageError for what is no count, or above the
    cores that this process may use.
    """
    if text is None:
        return tuple(sorted({1, cores}))
    if text.strip() == "all":
        powers = {2**power for power in range(cores.bit_length())}
        return tuple(sorted(count for count in {*range(1, EVERY_UP_TO + 1), *powers, cores} if count <= cores))
    counts = set()
    for part in text.split(","):
        if not part.strip().isascii() or not part.strip().isdigit() or not int(part):
            raise UsageError(
                f"--threads: expected all, or whole numbers from 1 to {affinity}, separated by commas, found {text!r}"
            )
        if int(part) > affinity:
            raise UsageError(f"--threads: {int(part)} is above the {affinity} cores that this process may use")
        counts.add(int(part))
    return tuple(sorted(counts))


def parse_share(text: str) -> float:
    """ "10%" or "10" as 0.1, for --fail-above; UsageError for anything but a percentage from 0 to 1000."""
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 1000:
        raise UsageError(f"--fail-above: expected a percentage from 0 to 1000, 10% for example, found {text!r}")
    return percent / 100


def run(
    shape: "ModelConfig",
    dataset: "Dataset",
    batch_size: int,
    *,
    threads: Sequence[int],
    ladder: bool = False,
    numpy: bool = False,
    repetitions: int = 9,
    budget_s: float = BUDGET_S,
    preparing: Callable[[], AbstractContextManager[None]] = nullcontext,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> "tuple[Bench, tuple[str, ...]]":
    """Measure a network on a data set; gives the measurement, and the versions of the peers that took part.

    preparing: entered while everything is compiled or loaded. progress: told what is done, between samples. Raises
    UsageError, and JitnetError where a rung of the ladder is not the product.
    """
    # Only here: these load Numba.
    from jitnet.bench.kernels import kernel_cases
    from jitnet.bench.ladder import ladder_cases
    from jitnet.bench.machine import cache_bytes, probe_cases, probes_of
    from jitnet.bench.measure import measure
    from jitnet.bench.records import Bench, Settings
    from jitnet.bench.subject import Subject
    from jitnet.bench.threads import same_bits, step_cases, step_rows
    from jitnet.bench.versus import numpy_cases, numpy_peers
    from jitnet.kernels.jit import machine, set_threads

    subject = Subject(shape, dataset, min(batch_size, len(dataset.train)))
    counts = tuple(threads)
    ends = tuple(sorted({counts[0], counts[-1]}))  # kernels at every count would be more than one can read
    with ExitStack() as stack:
        # Before the first parallel region, which binds this process's main thread to one core.
        peers = stack.enter_context(numpy_peers(ends)) if numpy else []
        begin = time.perf_counter()
        with preparing():
            cases = [*probe_cases(counts), *step_cases(subject, counts), *kernel_cases(subject, ends)]
            cases += ladder_cases(subject, ends) if ladder else []
            agree = same_bits(subject, counts)
            for case in cases:
                case.prepare()
                case.run(1)
        compile_s = time.perf_counter() - begin
        cases += numpy_cases(subject, peers)
        begin = time.perf_counter()
        results = tuple(measure(cases, repetitions, budget_s, progress))
        measure_s = time.perf_counter() - begin
        set_threads(machine().cores)
    probes = tuple(probes_of(results, count) for count in counts)
    settings = Settings(
        dataset.name,
        shape.in_features,
        shape.hidden,
        shape.n_classes,
        shape.activation,
        subject.batch_size,
        subject.plan.input_loops,
    )
    bench = Bench(
        machine(),
        settings,
        counts,
        probes,
        results,
        step_rows(subject, results, probes),
        subject.plan.input_reason,
        agree,
        cache_bytes(),
        compile_s,
        measure_s,
    )
    return bench, tuple(dict.fromkeys(peer.version for peer in peers))


def as_document(bench: "Bench", peers: Sequence[str]) -> dict[str, Any]:
    """What `--json` writes: machine, settings, every raw sample in seconds, and what was made of them."""
    import numpy

    import jitnet
    from jitnet.bench.compare import FORMAT

    results = []
    for result in bench.results:
        row = asdict(result)
        row |= {"median_s": result.median_s, "spread": result.spread, "gflops": result.gflops, "gbs": result.gbs}
        if result.group in ("kernel", "ladder"):
            share, binds = bench.at(result.threads).roof(result) if result.threads in bench.threads else (None, None)
            row |= {"roof_share": share, "roof": binds}
        results.append(row)
    return {
        "format": FORMAT,
        "jitnet": jitnet.__version__,
        "numpy": numpy.__version__,
        "machine": {**asdict(bench.machine), "cache_bytes": bench.cache_bytes},
        "settings": asdict(bench.settings),
        "threads": bench.threads,
        "input_reason": bench.input_reason,
        "same_bits": bench.same_bits,
        "compile_s": bench.compile_s,
        "measure_s": bench.measure_s,
        "peers": peers,
        "probes": [asdict(probes) for probes in bench.probes],
        "steps": [asdict(row) for row in bench.steps],
        "results": results,
    }
