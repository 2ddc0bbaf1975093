"""Profiles as the measuring room makes them, filled by hand."""

from collections.abc import Sequence
from dataclasses import replace

from jitnet.bench.results import Level, Probes
from jitnet.machine.host import Machine
from jitnet.profile.code.code_view import Body, CodeView, Counts, Instruction, Loop, Source
from jitnet.profile.functions.count_records import Counted, CountedLoop, Hardware, HardwareLoop
from jitnet.profile.functions.function_profile import Argument, Check, CompiledFunction, FunctionProfile
from jitnet.profile.functions.hint_records import Hint, Trial
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.places import Place
from jitnet.profile.functions.time_records import (
    CallSlice,
    Count,
    LineTime,
    LoopTime,
    Region,
    RegionSlice,
    Rest,
    Sampling,
    ThreadShare,
)
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


FILE = "/somewhere/else/theirs.py"
SOURCE = (
    "def smooth(x, out):",
    "    for i in prange(x.shape[0]):",
    "        for j in range(x.shape[1]):",
    "            out[i, j] = scaled(x[i, j]) if x[i, j] < 2 else 0.0",
    '    return "<b>&amp;</b>"',
)
"""Lines 10 to 14 of FILE; `scaled` is in lines 3 and 4."""

CALLEE = ("def scaled(value):", "    return 3 * value")


def at(line: int) -> Place:
    """A line of the function, or of what it calls."""
    source = SOURCE[line - 10] if line >= 10 else CALLEE[line - 3]
    return Place(FILE, line, source.strip())


def function_profile(**fields: object) -> FunctionProfile:
    """A parallel function of two loops, of 1 ms on two threads, of which everything is known."""
    vector = Instruction("vmulpd\t%ymm0, %ymm1, %ymm2", FILE, 4, "multiply", 4, 64, 4)
    jump = Instruction("jb\t.LBB0_3 <again>", FILE, 12, "jump")
    body = Body("smooth", 1, True, "main", 4, Counts(flop=4, instructions=2), (vector, jump))
    inner = Loop(FILE, 12, 13, "smooth", 2, True, "body", True, 4, bodies=(body,))
    sources = (Source(FILE, "smooth", 10, SOURCE), Source(FILE, "scaled", 3, CALLEE))
    call = CodeView(
        "smooth", FILE, "(float64[:, ::1])", "parallel", "znver3", False, 256, sources, (inner,), 40, 40, (jump,)
    )
    diff = "--- theirs.py\n+++ theirs.py\n@@ -9 +9 @@\n-@njit(parallel=True)\n+@njit(parallel=True, fastmath=True)\n"
    made = FunctionProfile(
        target="theirs.py:smooth",
        kind="njit, parallel",
        place=at(10),
        signature="(array(float64, 2d, C), array(float64, 2d, C))",
        options="parallel=True",
        arguments=(Argument("x", "float64[100, 100] C", ""), Argument("out", "float64[100, 100] C", "again")),
        returns="unicode_type",
        compile_s=1.25,
        import_s=0.5,
        counts=(Count(1, 1, (1.9e-3, 2.0e-3, 2.1e-3)), Count(2, 1, (0.9e-3, 1.0e-3, 1.1e-3))),
        threads=2,
        thread_shares=(ThreadShare(0, 1e-3, 9e-4, 0.0, 2e-6, 1e-6), ThreadShare(1, 5e-4, 5e-4, 5e-4, 3e-6, 1e-6)),
        regions=(Region(at(11), 1, 1e-3, (1e-3, 5e-4), 2e-6, 0.33),),
        outside_s=3e-5,
        dispatch_s=None,
        cpu_share=1.0,
        flop=1e6,
        bytes=2e6,
        flop_formula="",
        bytes_formula="",
        functions=(CompiledFunction("smooth", at(10), ("()",), 0.5), CompiledFunction("scaled", at(3), ("()",), 0.25)),
        hints=(
            Hint(Kind.RACE.value, at(13), "iterations 1 < 2 & 3 write out", "Use another element", "a run in Python"),
            Hint(
                Kind.REDUCTION.value,
                at(12),
                "a sum in a fixed order",
                "Allow another order",
                "types",
                0.6,
                Trial("fastmath=True", 3.04, 2.9, 3.2, 0.0, diff),
            ),
        ),
        unsearched=((Kind.CALL.value, "it takes 44 s to compile"),),
        notes=("what it writes was restored before every call",),
        threading_layer="omp",
        numba="0.68.1",
        python="3.11.7",
        perf_map="",
        checks=(Check("1 and 2 threads", "failed", "out differs by 0.25", at(13)), Check("two equal calls", "held")),
        sampling=Sampling(
            1000,
            0.08,
            True,
            (
                LoopTime("loop", "smooth", at(11), 13, 0, 0.8, 0.1),
                LoopTime("loop", "smooth", at(12), 13, 1, 0.7, 0.5),
                LoopTime("callee", "scaled", at(3), 4, 2, 0.2, 0.2),
            ),
            (LineTime(at(11), 0.1), LineTime(at(13), 0.5), LineTime(at(4), 0.2), LineTime(at(14), 0.0001)),
            (Rest("starting threads", 0.15),),
        ),
        counted=Counted(1e6, 2e6, (CountedLoop(at(11), 1e6, 1.6e6), CountedLoop(at(12), 1e6, 1.6e6)), ""),
        hardware=Hardware(3e6, 6e6, 1200.0, None, (HardwareLoop(at(12), 0.75, 0.5),)),
        timeline=(
            CallSlice(0.0, 1e-3, (RegionSlice(at(11), 0, 1e-5, 9e-4), RegionSlice(at(11), 1, 2e-5, 5e-4))),
            CallSlice(2e-3, 3e-3, (RegionSlice(at(11), 0, 2.01e-3, 2.9e-3), RegionSlice(at(11), 1, 2.02e-3, 2.5e-3))),
        ),
        lines=call,
    )
    return replace(made, **fields)
