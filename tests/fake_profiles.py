"""Profiles as the measuring room makes them, filled by hand."""

from collections.abc import Sequence
from dataclasses import replace

from jitnet.bench.results import Level, Probes
from jitnet.machine.host import Machine
from jitnet.profile.step.step_profile import Profile, Row, Slice, ThreadRow

MACHINE = Machine("A CPU of 2 cores", 256, 2, None, 2, "2 cores by affinity", "omp", "0.68.1", "20.1")

SETTINGS = {
    "data": "mnist",
    "in_features": 784,
    "hidden": [128],
    "n_classes": 10,
    "activation": "relu",
    "batch_size": 32,
    "optimizer": "sgd",
}

KIB, MIB = 1024, 1024 * 1024


def probes(threads: int = 2) -> Probes:
    """100 GFLOP/s a thread; 200, 100, 50 GB/s a thread from the caches, 20 from memory for all."""
    levels = [(24 * KIB * threads, 200.0), (192 * KIB * threads, 100.0), (3 * MIB * threads, 50.0)]
    made = [Level(size, gbs * threads, 0.8 * gbs * threads) for size, gbs in levels]
    return Probes(threads, 100.0 * threads, (*made, Level(256 * MIB, 20.0, 15.0)), 2.0 if threads > 1 else None)


def row(operation: str, us: float, **fields: object) -> Row:
    """A row that takes `us` on the mean over its parts, with five samples round that."""
    made = {
        "region": 1,
        "operation": operation,
        "layer": 0,
        "next_batch": False,
        "split": "units",
        "parts": 2,
        "shape": "32×784×128",
        "flop": 1e6,
        "bytes": 4e5,
        "calls": 1000,
        "samples_s": tuple(us * 1e-6 * factor for factor in (0.9, 0.95, 1.0, 1.05, 1.2)),
        "share": 0.2,
        "roof": 0.5,
        "binds": "arithmetic",
        "verdict": "bound by arithmetic: half of what the processor can do",
    } | fields
    made.setdefault("nominal_flop", made["flop"])
    made.setdefault("by_thread_s", (us * 1e-6,) * made["parts"])
    return Row(**made)


def default_rows(parts: int = 2) -> tuple[Row, ...]:
    """The rows of the default network: most of them side by side, one that skips zeros, one without FLOP."""
    return (
        row("partial_logits", 2.0, layer=0, parts=parts, flop=8.2e4, bytes=4e4, shape="32×128×10", roof=0.3),
        row("loss", 4.0, layer=1, parts=parts, split="every part", flop=9e3, bytes=1e4, shape="32×10", binds="latency"),
        row("backward_input", 3.0, layer=1, parts=parts, flop=8.2e4, bytes=4.2e4, shape="32×128×10", roof=0.2),
        row("gather", 1.0, parts=parts, flop=0.0, bytes=1e5, shape="32×784", roof=0.4, binds="second cache"),
        row("backward_sparse", 16.0, parts=parts, flop=1.2e6, nominal_flop=6.4e6, bytes=8.2e5, roof=0.6),
        row("forward_sparse", 12.0, parts=parts, next_batch=True, flop=1.2e6, nominal_flop=6.4e6, bytes=4.3e5),
    )


def slices(rows: Sequence[Row], threads: int, steps: int = 3) -> tuple[Slice, ...]:
    """One row after the other on each thread, the odd ones 10% later; 2 µs between steps."""
    found, begin_s = [], 0.0
    for step in range(steps):
        last_s = begin_s
        for thread in range(threads):
            now_s = begin_s
            for place, one in enumerate(rows):
                end_s = now_s + one.median_s * (1.1 if thread % 2 else 1.0)
                found.append(Slice(step, place, thread, now_s, end_s))
                now_s = end_s
            last_s = max(last_s, now_s)
        begin_s = last_s + 2e-6
    return tuple(found)


def profile(threads: int = 2, rows: Sequence[Row] | None = None, **fields: object) -> Profile:
    """A profile of these rows, by default of the default network's, whose parts add up to the step."""
    chosen = tuple(default_rows(threads) if rows is None else rows)
    waiting_s, starting_s, rest_s = (3e-6, 2e-6, 1e-6) if threads > 1 else (0.0, 0.0, 1e-6)
    step_s = sum(one.median_s for one in chosen) + waiting_s + starting_s + rest_s
    made = Profile(
        MACHINE,
        SETTINGS,
        threads,
        f"{threads} cores by affinity",
        32 * MIB,
        probes(threads),
        chosen,
        tuple(ThreadRow(thread, step_s - 6e-6, waiting_s, 1e-6, 1e-6) for thread in range(threads)),
        tuple(step_s * factor for factor in (0.98, 1.0, 1.02)),
        tuple(step_s * factor for factor in (0.99, 1.01, 1.03)),
        waiting_s,
        starting_s,
        rest_s,
        slices(chosen, threads),
    )
    return replace(made, **fields)
