"""Statistics of a row's samples, and the table that shows them: in the terminal, as Markdown, as JSON."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from harness import SYSTEMS, Spread, spread
from rows import PEAK, Entry, Target, Work


@dataclass
class Result:
    """A measured row: seconds (or bytes) per sample, lists as long as the rounds; item k of every list is of round k.

    threads: the setting that each entry ran with. tuning: the times of the other settings. checks: what each computed.
    agreement: the result of comparing those; agrees: whether they are the same.
    failures: which systems failed, and why. base: what growth is relative to.
    """

    work: Work
    samples: dict[Entry, list[float]] = field(default_factory=dict)
    threads: dict[Entry, int] = field(default_factory=dict)
    tuning: dict[str, dict[str, float]] = field(default_factory=dict)
    checks: dict[Entry, dict[str, Any]] = field(default_factory=dict)
    agreement: str = ""
    agrees: bool = True
    failures: dict[str, str] = field(default_factory=dict)
    base: float | None = None

    def of(self, system: str, threads: int | None = None) -> list[float]:
        """Samples of the system's entry at that setting, or of its first; empty where it could not run."""
        found = (s for e, s in self.samples.items() if e.system == system and threads in (None, e.threads))
        return next(found, [])

    def judge(self, target: Target) -> Spread | None:
        """The number that the target bounds, computed within each round; None where a part of it is missing."""
        ours = self.of("jitnet")
        if target.kind == "speedup":
            counts = [entry.threads for entry in self.samples]
            one, all_cores = self.of("jitnet", 1), self.of("jitnet", max(counts, default=0))
            return _ratios(one, all_cores)
        fixed = {e.threads: s for e, s in self.samples.items() if e.system == "jitnet" and e.threads}
        if target.kind == "half":
            most = max(fixed, default=0)
            return _ratios(fixed.get(most, []), fixed.get(most // 2, []))
        if target.kind == "choice":
            best = min(fixed.values(), key=lambda samples: spread(samples).middle, default=[])
            return _ratios(self.of("jitnet", 0), best)
        if target.kind == "alone":
            return _ratios(self.of("jitnet", 0), fixed.get(1, []))
        if target.kind == "time":
            return _ratios(ours, self.of(target.against))
        if target.kind == "rate":
            return _ratios(self.of(target.against), ours)
        if target.kind == "peak":
            per_gflop = [seconds / (self.work.flop / 1e9) for seconds in ours]
            return _ratios(self.of(PEAK), per_gflop)
        if target.kind == "growth":
            return spread([value / self.base - 1 for value in ours]) if ours and self.base else None
        return spread(ours) if ours else None


def _ratios(above: Sequence[float], below: Sequence[float]) -> Spread | None:
    return spread([a / b for a, b in zip(above, below, strict=True)]) if above and below else None


def quantity(value: float, unit: str) -> str:
    """A number with its unit, with three digits."""
    if unit == "MB":
        return f"{value / 1e6:.0f} MB"
    if unit != "s":
        return f"{value:.3g}"
    for size, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value * 1e9:.3g} ns"


def cell(result: Result, entry: Entry) -> str:
    """An entry's median and half the distance of its quartiles in percent."""
    samples = result.samples.get(entry)
    if not samples:
        return "–"
    unit = result.work.unit
    if unit == "GFLOP/s":
        samples = [result.work.flop / 1e9 / seconds for seconds in samples]
    middle, low, high = spread(samples)
    return f"{quantity(middle, unit)} ±{(high - low) / 2 / middle:.0%}"


def verdict(result: Result, target: Target) -> tuple[str, str]:
    """What was found, and whether it meets the target."""
    found = result.judge(target)
    if found is None:
        return "not measured", "–"
    if target.kind in ("seconds", "bytes"):
        text = quantity(found.middle, result.work.unit)
    elif target.kind in ("peak", "growth"):
        text = f"{found.middle:.0%}"
    else:
        text = f"{found.middle:.2f} ({found.low:.2f}–{found.high:.2f})"
    return text, ("met" if target.met(found.middle) else "not yet" if target.goal else "MISSED")


def table(results: Sequence[Result]) -> list[list[str]]:
    """A group's table: a head, then a line for each row; each further target of a row has another line."""

    ours = [entry for entry in results[0].work.entries if entry.system == "jitnet"]

    def head(entry: Entry) -> str:
        if len(ours) > 1 and entry.system == "jitnet":
            return f"{entry.threads} thread{'s' * (entry.threads != 1)}" if entry.threads else "chosen by jitnet"
        return "" if entry.system == PEAK else SYSTEMS[entry.system]

    heads = list(dict.fromkeys(head(e) for result in results for e in result.work.entries if head(e)))
    lines = [[results[0].work.group, *heads, "target", "found", "", "same result"]]
    for result in results:
        shown = {head(entry): cell(result, entry) for entry in result.work.entries}
        agreement = result.agreement + ("" if result.agrees else " DIFFERS")
        first = [result.work.name, *(shown.get(name, "–") for name in heads)]
        rest = [[target.text, *verdict(result, target)] for target in result.work.targets] or [["", "", ""]]
        lines.append([*first, *rest[0], agreement])
        lines += [[""] * len(first) + more + [""] for more in rest[1:]]
    return lines


def groups(results: Sequence[Result]) -> list[list[Result]]:
    return [list(group) for _, group in groupby(results, key=lambda result: result.work.group)]


def terminal(results: Sequence[Result]) -> str:
    """Aligned tables, one for each group."""
    blocks = []
    for group in groups(results):
        lines = table(group)
        widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
        text = [
            "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        blocks.append("\n".join([text[0], "-" * (sum(widths) + 2 * len(widths) - 2), *text[1:]]))
    return "\n\n".join(blocks)


def markdown(results: Sequence[Result], header: Sequence[str], notes: Sequence[str]) -> str:
    """The same for the documents, with the machine and the versions above it."""
    blocks = ["  \n".join(header)]
    for group in groups(results):
        head, *body = table(group)
        lines = [head, ["---"] * len(head), *body]
        blocks.append("\n".join("| " + " | ".join(_emphasis(word) for word in line) + " |" for line in lines))
    if notes:
        blocks.append("\n".join(f"- {note}" for note in notes))
    return "\n\n".join(blocks) + "\n"


def _emphasis(word: str) -> str:
    return f"**{word}**" if word in ("met", "MISSED") else word.replace("|", "\\|")


def rows_in(text: str) -> list[list[str]]:
    """The rows of the Markdown tables in a text, their heads included, without the lines of dashes."""
    lines = [line.strip() for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in rows if set("".join(row)) != {"-"}]


def without_targets(text: str) -> str:
    """A Markdown table, and what is above it, without the columns of targets and of whether they were met."""
    rows = rows_in(text)
    at = rows[0].index("target")
    kept = [row[:at] + row[at + 2 :] for row in rows]
    lines = [kept[0], ["---"] * len(kept[0]), *kept[1:]]
    above = text[: text.index("|")].strip()
    return above + "\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def extract(text: str, names: Sequence[str]) -> str:
    """The rows with these names in a text made by `markdown`, as one table without targets, under the same header.

    Raises ValueError where a row is missing, or does not have the columns of the first one.
    """
    header, _, tables = text.strip().partition("\n\n")
    head: list[str] = []
    found: dict[str, tuple[list[str], list[str]]] = {}
    for row in rows_in(tables):
        if "target" in row:
            head = row[: row.index("target")]
        elif row[0]:
            found[row[0]] = (["", *head[1:]], [f"{head[0]}: {row[0]}", *row[1 : len(head)]])
    for name in names:
        if name not in found:
            raise ValueError(f"the table has no row {name!r}; measure all rows")
        if found[name][0] != found[names[0]][0]:
            raise ValueError(f"the row {name!r} has other columns than {names[0]!r}; choose rows with the same columns")
    columns = found[names[0]][0]
    lines = [columns, ["---"] * len(columns), *(found[name][1] for name in names)]
    return header + "\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _parts(path: Path, name: str) -> list[str]:
    """A file in five: before a section's first marker, that, what is between the two, the last, and after it."""
    first, last = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    before, start, rest = path.read_text(encoding="utf-8").partition(first)
    between, end, after = rest.partition(last)
    if not (start and end):
        raise ValueError(f"{path} does not hold {first} and after it {last}; add both lines where the text should be")
    return [before, start, between, end, after]


def section(path: Path, name: str) -> str:
    """What is between the section's two markers. Raises ValueError where the file does not hold both, in order."""
    return _parts(path, name)[2]


def replace_section(path: Path, name: str, text: str) -> None:
    """Put `text` between the section's two markers. Raises ValueError where the file does not hold both, in order."""
    before, start, _, end, after = _parts(path, name)
    path.write_text(f"{before}{start}\n{text}{end}{after}", encoding="utf-8")


def document(results: Sequence[Result], machine: Mapping[str, Any], versions: Mapping[str, str]) -> dict[str, Any]:
    """Everything measured, for JSON: every raw sample, in the order of the rounds."""

    def name(entry: Entry) -> str:
        return f"{entry.system}@{entry.threads}" if entry.threads else entry.system

    rows = []
    for result in results:
        work = result.work
        targets = []
        for target in work.targets:
            found, met = result.judge(target), verdict(result, target)[1]
            targets.append({"target": target.text, "value": found and found._asdict(), "verdict": met})
        rows.append(
            {
                "group": work.group,
                "name": work.name,
                "row": work.row,
                "flop": work.flop,
                "unit": "bytes" if work.unit == "MB" else "seconds",
                "samples": {name(entry): samples for entry, samples in result.samples.items()},
                "threads": {name(entry): threads for entry, threads in result.threads.items()},
                "tuning": result.tuning,
                "checks": {name(entry): check for entry, check in result.checks.items()},
                "agreement": result.agreement,
                "agrees": result.agrees,
                "targets": targets,
                "failures": result.failures,
            }
        )
    return {"machine": dict(machine), "versions": dict(versions), "rows": rows}
