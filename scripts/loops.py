"""Update what docs/loops.md shows of one product in six steps, and its picture: python scripts/loops.py

The page is written by hand. Between two marks is what this script writes:

    <!-- loops: figures 1 -->      what step 1 reached
    …
    <!-- end -->

`machine` is where and with what all this was measured, `limits` what the machine can do, `table` all steps; `source`,
`lines` and `figures` with a number are a step's loop as it is in the source, what the compiler made of it, and what it
reached. docs/loops.svg has all steps under one roof. Takes a minute; leave the machine idle meanwhile.
"""

import ast
import io
import math
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import numba
import numpy as np
from harness import commit, machine, machine_line, use_all_cores

from jitnet import render
from jitnet.bench.limits import probe_cases, probes_of
from jitnet.bench.results import Case, Probes, Result
from jitnet.bench.rungs import RUNGS, product_cases
from jitnet.bench.timing import measure, timed
from jitnet.kernels import matmul
from jitnet.machine.blocks import TILE_ROWS, TILE_UNITS
from jitnet.machine.host import describe_machine, set_threads
from jitnet.profile.code.code_view import CodeView, Counts, Loop, Target
from jitnet.profile.code.look import look
from jitnet.profile.roofline import Bandwidth, Ceiling, Point, Roofline, bandwidths_of
from jitnet.render.roofline_figure import roofline_file

ROOT = Path(__file__).resolve().parents[1]
PAGE, PICTURE = ROOT / "docs" / "loops.md", ROOT / "docs" / "loops.svg"

BATCH, INPUTS, OUTPUTS = 120, 784, 480
"""120 images through a first layer of 480 units. Not 512: rows that are a power of two apart share few places of a
cache."""

REPETITIONS, BUDGET_S = 60, 6.0
"""Many short samples, so that the fastest of them is an undisturbed one."""

CHAIN = 200_000
WIDEST = 100
"""Columns of quoted source that are shown in one line."""

SECTION = re.compile(r"(<!-- loops: ([a-z]+(?: \d)?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Step:
    """rung: its name on the ladder. quoted: files and functions that the page shows; the first one's innermost loop
    does the work, except in the last step, which calls the one before. An iteration of it, as the source has it, loads
    and stores so many numbers for so many multiply-adds. strided: whether the version for columns that are not adjacent
    runs.
    """

    rung: str
    quoted: tuple[tuple[str, str], ...]
    loads: int
    stores: int
    multiply_adds: int
    strided: bool = False

    @property
    def bytes_per_iteration(self) -> int:
        return 4 * (self.loads + self.stores)

    @property
    def intensity(self) -> float:
        """FLOP for each byte that the loop loads or stores, from any level of memory."""
        return 2 * self.multiply_adds / self.bytes_per_iteration


TILE = TILE_ROWS + TILE_UNITS, 0, TILE_ROWS * TILE_UNITS
LADDER = "jitnet/kernels/matmul.py"
STEPS = (
    Step("textbook", ((LADDER, "textbook"),), 2, 0, 1, strided=True),
    Step("reordered", ((LADDER, "reordered"),), 2, 1, 1),
    Step("blocked", ((LADDER, "blocked"),), 5, 1, 4),
    Step("named sums", ((LADDER, "summed"),), 6, 0, 8),
    Step("register tile", ((LADDER, "_columns"), ("jitnet/machine/tile.py", "tile_add_outer")), *TILE),
    Step("parallel tile", ((LADDER, "matmul"),), *TILE),
)


@dataclass(frozen=True)
class Measured:
    """What the page is made of. results: one per step. one, every: the limits of one thread and of all. chain: of one
    sum at a time, GFLOP/s."""

    results: tuple[Result, ...]
    one: Probes
    every: Probes
    chain: float

    def gflops(self, place: int) -> float:
        """Of a step's fastest sample, as the limits are: the others measure the machine's other work too."""
        result = self.results[place]
        return result.flop / min(result.samples_s) / 1e9

    def probes(self, place: int) -> Probes:
        return self.every if STEPS[place].rung == "parallel tile" else self.one

    def attainable(self, place: int) -> float:
        """GFLOP/s that a step's loop can reach: what its multiply-adds or its bytes from the first cache allow."""
        probes = self.probes(place)
        return min(probes.peak_gflops, STEPS[place].intensity * bandwidths_of(probes)[0].gbs)


# ---- Measuring ----


@numba.njit(fastmath={"contract"})
def _chain(count: int, factor: Any, term: Any) -> Any:
    """One sum, each multiply-add of which waits for the one before; never vectorised, for it may not be reordered."""
    total = term
    for _ in range(count):
        total = total * factor + term
    return total


def chain_case() -> Case:
    half, one = np.float32(0.5), np.float32(1.0)
    return Case("machine", "chain", "", 1, 2.0 * CHAIN, 0.0, lambda n: timed(lambda: _repeat_chain(n, half, one)))


def _repeat_chain(repeats: int, factor: Any, term: Any) -> None:
    for _ in range(repeats):
        _chain(CHAIN, factor, term)


def measure_all() -> Measured:
    """All steps and the machine's limits, interleaved."""
    cores = describe_machine().cores
    counts = sorted({1, cores})
    cases = [*product_cases(BATCH, INPUTS, OUTPUTS, [cores]), *probe_cases(counts), chain_case()]

    with render.measuring(render.consoles()) as report:
        found = measure(cases, REPETITIONS, BUDGET_S, report)
    set_threads(cores)
    by_name = {result.name: result for result in found}
    results = tuple(by_name[step.rung] for step in STEPS)
    chain = by_name["chain"]
    fastest = chain.flop / min(chain.samples_s) / 1e9
    return Measured(results, probes_of(found, 1), probes_of(found, cores), fastest)


# ---- What is between the marks ----


def source(step: Step) -> str:
    """The step's functions as their files have them, without their descriptions, in blocks that name the file."""
    return "\n\n".join(f"```python\n# {file}\n{_quote(ROOT / file, name)}\n```" for file, name in step.quoted)


def _quote(path: Path, name: str) -> str:
    """The first function of this name, from its decorator on, without its docstring."""
    text = path.read_text(encoding="utf-8")
    found = next(node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef) and node.name == name)
    lines = text.splitlines()
    body = found.body[1:] if ast.get_docstring(found) else found.body
    head = min([found.lineno, *(decorator.lineno for decorator in found.decorator_list)])
    return "\n".join([*lines[head - 1 : found.body[0].lineno - 1], *lines[body[0].lineno - 1 : found.end_lineno]])


def line_views() -> list[tuple[CodeView, Loop]]:
    """What the compiler made of all steps except the last, and in each the innermost loop that does the work."""
    arrays = ("float32[:, ::1]",) * 3
    names = [step.quoted[0][1] for step in STEPS[:-1]]
    targets = [Target(name, matmul.__name__, (*arrays, *["int64"] * (name == "_columns"))) for name in names]
    views = look(targets, analysed=False, compared=False)
    return [(view, next(loop for loop in view.loops if loop.innermost and loop.counts.flop)) for view in views]


def lines(step: Step, view: CodeView, loop: Loop) -> str:
    """The line view of a step's innermost loop: what one iteration of the compiled loop does, and for how many
    iterations of the source's. SystemExit where that is not what the page says about it."""
    # Of several versions the one that does most in an iteration, with the fewest bytes: a tile's narrower ones run at
    # the edge.
    bodies = [("", max(loop.bodies, key=lambda body: (body.counts.flop / body.iterations, _intensity(body.counts))))]
    if step.strided:  # LLVM made a version for a w of one column
        strided = max((body for body in loop.bodies if body.counts.fma_scalar), key=lambda body: body.iterations)
        bodies = [("if w has one column", bodies[0][1]), ("otherwise", strided)]
    rows: list[list[Any]] = []
    for when, body in bodies:
        counts = body.counts
        lanes = counts.vector_bits // 32 if counts.fma_packed else 1
        numbers = [lanes, counts.fma_packed + counts.fma_scalar, counts.loads, counts.stores, counts.instructions]
        rows.append([*([when] if step.strided else []), *numbers, body.iterations])
    intensity = _intensity(bodies[-1][1].counts)
    if not math.isclose(intensity, step.intensity, rel_tol=0.02):
        sys.exit(f"{step.rung}: {step.intensity:.3g} FLOP per byte on the page, {intensity:.3g} in the machine code")
    table = io.StringIO()
    head = ["lanes", "multiply-adds", "loads", "stores", "instructions", "iterations"]
    render.table(render.make_console(table), [*["version"] * step.strided, *head], rows)
    source = next(source for source in view.sources if source.function == loop.function)
    inside = [line.strip() for line in source.lines[loop.line + 1 - source.first_line :]][: loop.last_line - loop.line]
    where = f"line {loop.line + 1}" + (f" to {loop.last_line}" if len(inside) > 1 else "")
    shown = " … ".join(dict.fromkeys((inside[0], inside[-1])))
    shown = shown if len(shown) <= WIDEST else inside[-1]
    return f"```text\n{where}: {shown}\n\n{table.getvalue().rstrip()}\n```"


def _intensity(counts: Counts) -> float:
    """FLOP for each byte that an iteration loads and stores."""
    return counts.flop / max(1, counts.load_bytes + counts.store_bytes)


def figures(found: Measured, place: int) -> str:
    """What a step reached, compared with what it could reach, and with the step before."""
    step, probes = STEPS[place], found.probes(place)
    peak = "one thread's peak" if probes is found.one else f"the peak of {probes.threads} threads"
    share = found.gflops(place) / probes.peak_gflops
    first = f"**{found.gflops(place):,.1f} GFLOP/s**, {_percent(share)} of {peak}"
    if place:
        first += f", {found.gflops(place) / found.gflops(place - 1):.2g} times step {place}"
    adds = f"{step.multiply_adds} multiply-add{'s' * (step.multiply_adds != 1)}"
    accesses = f"{_count(step.loads, 'load')}, {_count(step.stores, 'store')}"
    under = step.intensity * bandwidths_of(probes)[0].gbs
    allowed = f"{under:,.0f} GFLOP/s" if under < probes.peak_gflops else "more than the peak"
    return textwrap.fill(
        f"{first}. An iteration of the innermost loop does {accesses} and {adds}: {step.intensity:.2g} FLOP per byte. "
        f"The first cache is fast enough for {allowed}.",
        120,
        break_on_hyphens=False,
    )


def table(found: Measured) -> str:
    """All steps in a Markdown table."""
    lines = ["| step | idea | GFLOP/s | median | of the peak | FLOP per byte |", "|---|---|---|---|---|---|"]
    for place, (step, result) in enumerate(zip(STEPS, found.results, strict=True)):
        best = found.gflops(place)
        share = _percent(best / found.probes(place).peak_gflops)
        numbers = f"{best:,.1f} | {result.gflops:,.1f} | {share} | {step.intensity:.2g}"
        lines.append(f"| {place + 1} {step.rung} | {RUNGS[step.rung][1]} | {numbers} |")
    return "\n".join(lines)


def limits(found: Measured) -> str:
    """What the machine can do, as a list."""
    one, every = found.one, found.every
    levels = bandwidths_of(one)
    times, lanes = one.peak_gflops / found.chain, describe_machine().vector_bits // 32
    lines = [
        f"- multiply-adds on one thread: {one.peak_gflops:,.0f} GFLOP/s, the *peak*",
        f"- on all {every.threads} threads: {every.peak_gflops:,.0f} GFLOP/s",
        f"- one sum at a time, of single numbers: {found.chain:.1f} GFLOP/s. The peak is {times:.0f} times as much:",
        f"  {lanes} numbers in a vector, times {times / lanes:.0f} sums in flight",
        *(f"- {level.name}, one thread: {level.gbs:,.0f} GB/s" for level in levels),
    ]
    return "\n".join(lines)


def where() -> str:
    """Machine, versions and commit of the figures."""
    cpu = describe_machine()
    versions = f"Numba {cpu.numba}, LLVM {cpu.llvm}, NumPy {np.__version__}"
    return f"{machine_line(machine())}  \n{versions}, {commit()}  \nx is {BATCH}×{INPUTS}, w {INPUTS}×{OUTPUTS}"


def picture(found: Measured) -> Roofline:
    """All steps under the roofs of one thread, by the bytes that their innermost loops load and store."""
    points = []
    for place, step in enumerate(STEPS):
        share = found.gflops(place) / found.attainable(place)
        points.append(Point(step.rung, step.intensity, found.gflops(place), share, mark=str(place + 1)))
    ceilings = [Ceiling("one sum at a time", found.chain)]
    if found.every is not found.one:
        ceilings.insert(0, Ceiling(f"{found.every.threads} threads", found.every.peak_gflops))
    bandwidths: Sequence[Bandwidth] = bandwidths_of(found.one)
    title = f"One product in six steps, {BATCH}×{INPUTS}×{OUTPUTS}"
    peak = found.one.peak_gflops
    subtitle = (machine_line(machine()),)
    return Roofline(title, peak, tuple(bandwidths), tuple(points), (), tuple(ceilings), "one thread", subtitle)


def sections(found: Measured, views: Sequence[tuple[CodeView, Loop]]) -> dict[str, str]:
    """What is written under each mark."""
    texts = {"machine": where(), "limits": limits(found), "table": table(found)}
    for place, step in enumerate(STEPS):
        texts[f"source {place + 1}"] = source(step)
        texts[f"figures {place + 1}"] = figures(found, place)
    for place, (step, view) in enumerate(zip(STEPS, views, strict=False)):
        texts[f"lines {place + 1}"] = lines(step, *view)
    return texts


def update(page: str, texts: Mapping[str, str]) -> str:
    """A page with these texts under its marks; SystemExit where a mark is unknown, or one is missing."""
    marked = [name for _, name, _, _ in SECTION.findall(page)]
    if sorted(marked) != sorted(texts):
        odd = sorted(set(marked).symmetric_difference(texts)) or marked
        sys.exit(f"{PAGE.name}: its marks and the script's differ: {', '.join(odd)}")
    return SECTION.sub(lambda mark: f"{mark[1]}{texts[mark[2]]}\n{mark[4]}", page)


def _count(number: int, name: str) -> str:
    return f"{number or 'no'} {name}{'s' * (number != 1)}"


def _percent(share: float) -> str:
    return f"{share:.1%}" if share < 0.1 else f"{share:.0%}"


def main() -> None:
    use_all_cores()
    views = line_views()
    found = measure_all()
    page = update(PAGE.read_text(encoding="utf-8"), sections(found, views))
    PAGE.write_text(page, encoding="utf-8")
    PICTURE.write_bytes(roofline_file(picture(found), "svg"))


if __name__ == "__main__":
    main()
