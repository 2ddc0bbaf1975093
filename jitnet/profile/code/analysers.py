"""What llvm-mca or OSACA computes for a loop, where one of them is installed. They are programs, called and never
imported.

Both take the loop's instructions unchanged and assume that all data is in the first cache and every jump is predicted:
a bound, not a time.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jitnet.profile.code.code_view import Instruction, Mca

__all__ = ["HINT", "analyse", "analyser_name"]

HINT = "cycles per iteration: install llvm-mca (part of LLVM, the package `llvm`) or OSACA (`pip install osaca`)"

TIMEOUT_S = 20.0
ITERATIONS = 100
MOST_UNKNOWN = 0.05
"""Share of instructions that a model may lack; above it, there is no bound."""


@dataclass(frozen=True)
class _Program:
    path: str
    name: str  # with its version


@cache
def _llvm_mca() -> _Program | None:
    found = shutil.which("llvm-mca")
    if found is None:
        return None
    version = re.search(r"version (\d+)", _run([found, "--version"])[1])
    return _Program(found, f"llvm-mca {version.group(1)}" if version else "llvm-mca")


@cache
def _osaca() -> _Program | None:
    found = shutil.which("osaca")
    if found is None:
        return None
    version = re.search(r"(\d+\.\d+[.\d]*)", _run([found, "--version"])[1])
    return _Program(found, f"OSACA {version.group(1)}" if version else "OSACA")


def analyser_name() -> str:
    """ "llvm-mca 14" or "OSACA 0.6"; "" where neither is installed."""
    found = _llvm_mca() or _osaca()
    return found.name if found else ""


def analyse(instructions: Sequence[Instruction], cpu: str, aarch64: bool) -> Mca | None:
    """Return the cycles of a loop's iteration on a processor, and what limits it; None where no program is installed.

    The model is the processor's where the program has it, otherwise the newest that has its instructions; calls and
    jumps count as instructions and are not followed.
    """
    if (program := _llvm_mca()) is not None:
        return _by_llvm_mca(program, instructions, cpu, aarch64)
    if (program := _osaca()) is not None:
        return _by_osaca(program, instructions, cpu, aarch64)
    return None


def _run(command: list[str], text: str = "") -> tuple[int, str]:
    """Run a program; return its exit code and output, -1 where it cannot be run or takes too long."""
    try:
        done = subprocess.run(
            command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return -1, ""
    return done.returncode, done.stdout


# llvm-mca ------------------------------------------------------------------------------------------------------------

# Where a version does not know a processor: models to use instead, the newest first. The first known one is used.
_X86_512 = ("sapphirerapids", "icelake-server", "skylake-avx512")
_X86_AMD = ("znver4", "znver3", "znver2")
_X86_256 = ("alderlake", "haswell", "skylake")
_AARCH64_APPLE = ("apple-m1", "apple-a14", "cyclone")
_AARCH64 = ("neoverse-v2", "neoverse-n2", "neoverse-n1", "cortex-a78", "cortex-a57")


@cache
def _models(path: str, aarch64: bool) -> frozenset[str]:
    triple = "aarch64-unknown-linux-gnu" if aarch64 else "x86_64-unknown-linux-gnu"
    _, text = _run([path, f"-mtriple={triple}", "-mcpu=help"])
    return frozenset(re.findall(r"^\s+(\S+)\s+- Select the", text, re.MULTILINE))


def _model(path: str, cpu: str, aarch64: bool, instructions: Sequence[Instruction]) -> str:
    known = _models(path, aarch64)
    if cpu in known or not known:
        return cpu
    order: tuple[str, ...]
    if aarch64:
        order = _AARCH64_APPLE if cpu.startswith("apple") else _AARCH64
    elif any("zmm" in one.text or "{%k" in one.text or "%k" in one.text for one in instructions):
        order = _X86_512
    else:
        order = _X86_AMD if cpu.startswith("znver") else _X86_512 + _X86_256
    return next((name for name in order if name in known), "generic" if aarch64 else "x86-64")


def _by_llvm_mca(program: _Program, instructions: Sequence[Instruction], cpu: str, aarch64: bool) -> Mca:
    model = _model(program.path, cpu, aarch64, instructions)
    triple = "aarch64-unknown-linux-gnu" if aarch64 else "x86_64-unknown-linux-gnu"
    command = [program.path, f"-mtriple={triple}", f"-mcpu={model}", f"-iterations={ITERATIONS}", "-"]
    lines, unknown, output = [f"\t{one.text}" for one in instructions], 0, ""
    for _ in range(len(lines) + 1):
        code, output = _run(command, "\n".join(lines) + "\n")
        if code == 0:
            break
        # It stops at what it cannot read, and names the line; an instruction without times it quotes.
        wrong = {int(number) for number in re.findall(r"<stdin>:(\d+):\d+: error", output)}
        quoted = re.search(r"note: instruction:\s+(\S+)", output)
        if quoted and not wrong:
            wrong = {n for n, line in enumerate(lines, 1) if line.split()[0] == quoted.group(1)}
        if not wrong or code == -1:
            return Mca(program.name, model, note="it returned no result")
        unknown += len(wrong)
        if unknown > MOST_UNKNOWN * len(instructions):
            return Mca(program.name, model, unknown=unknown, note=_too_many(unknown, len(instructions)))
        lines = [line for number, line in enumerate(lines, 1) if number not in wrong]
    cycles = re.search(r"Total Cycles:\s+(\d+)", output)
    if cycles is None:
        return Mca(program.name, model, unknown=unknown, note="it returned no result")
    iteration = int(cycles.group(1)) / ITERATIONS
    return Mca(program.name, model, iteration, _binds(output, iteration), unknown)


def _too_many(unknown: int, of: int) -> str:
    return f"{unknown} of {of} instructions are unknown to it: no bound"


def _binds(output: str, iteration: float) -> str:
    """Return the busiest resource of llvm-mca's report; "front end" or "latency" where none is busy throughout."""
    names = dict(re.findall(r"^\[([\d.]+)\]\s+- (\S+)", output, re.MULTILINE))
    table = re.search(r"Resource pressure per iteration:\n(.*)\n(.*)\n", output)
    busiest, pressure = "", 0.0
    if table:
        keys = re.findall(r"\[([\d.]+)\]", table.group(1))
        for key, value in zip(keys, table.group(2).split(), strict=False):
            if value != "-" and float(value) > pressure:
                busiest, pressure = names.get(key, key), float(value)
    micro = re.search(r"Total uOps:\s+(\d+)", output)
    width = re.search(r"Dispatch Width:\s+(\d+)", output)
    front = int(micro.group(1)) / ITERATIONS / int(width.group(1)) if micro and width and int(width.group(1)) else 0.0
    if max(pressure, front) < 0.85 * iteration:
        return "latency"
    return "front end" if front > pressure else busiest


# OSACA ---------------------------------------------------------------------------------------------------------------

_OSACA_MODELS = (
    ("icelake", "ICX"), ("sapphirerapids", "SPR"), ("skylake-avx512", "SKX"), ("cascadelake", "CSX"),
    ("skylake", "SKX"), ("broadwell", "BDW"), ("haswell", "HSW"), ("znver4", "ZEN4"), ("znver3", "ZEN3"),
    ("znver2", "ZEN2"), ("znver1", "ZEN1"), ("neoverse-v2", "V2"), ("neoverse-n1", "N1"), ("apple-m1", "M1"),
    ("a64fx", "A64FX"),
    ("cortex-a72", "A72"),
)  # fmt: skip


def _by_osaca(program: _Program, instructions: Sequence[Instruction], cpu: str, aarch64: bool) -> Mca:
    fits = "N1" if aarch64 else "ICX" if any("zmm" in one.text for one in instructions) else "ZEN3"
    model = next((code for prefix, code in _OSACA_MODELS if cpu.startswith(prefix)), fits)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "loop.s"
        path.write_text("\n".join(f"\t{one.text}" for one in instructions) + "\n")
        lines = f"1-{len(instructions)}"
        code, output = _run([program.path, "--arch", model, "--lines", lines, "--ignore-unknown", str(path)])
    unknown = len(re.findall(r"^\s*\d+ \|.*\| X ", output, re.MULTILINE))
    if unknown > MOST_UNKNOWN * len(instructions):
        return Mca(program.name, model, unknown=unknown, note=_too_many(unknown, len(instructions)))
    ports, carried = _sums(output)
    if code != 0 or not ports:
        return Mca(program.name, model, unknown=unknown, note="it returned no result")
    busiest = max(ports, key=lambda name: ports[name])
    if carried > ports[busiest]:
        return Mca(program.name, model, carried, "latency", unknown)
    return Mca(program.name, model, ports[busiest], f"port {busiest}", unknown)


def _sums(output: str) -> tuple[dict[str, float], float]:
    """Return the cycles of each port, and the longest path between iterations: the line of sums below OSACA's table,
    whose numbers are under their columns."""
    head = re.search(r"^ +\|.*\|\| +CP +\| +LCD +\|$", output, re.MULTILINE)
    sums = re.search(r"^ {4,}\d+\.\d+[ \d.]*$", output[head.end() :], re.MULTILINE) if head else None
    if head is None or sums is None:
        return {}, 0.0
    bars = [place for place, letter in enumerate(head.group()) if letter == "|"]
    ports: dict[str, float] = {}
    carried = 0.0
    for number in re.finditer(r"\d+\.\d+", sums.group()):
        left = max((bar for bar in bars if bar < number.end()), default=0)
        right = min((bar for bar in bars if bar >= number.end()), default=len(head.group()))
        name = head.group()[left + 1 : right].split(" - ")[0].strip(" |")
        if name == "LCD":
            carried = float(number.group())
        elif name not in ("", "CP"):
            ports[name] = max(ports.get(name, 0.0), float(number.group()))
    return ports, carried
