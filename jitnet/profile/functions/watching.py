"""`--watch`: which files a function's profile depends on, when one of them is saved, and what that changed."""

import ast
import os
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jitnet.bench.factors import Factor, of_samples, verdict
from jitnet.profile.code.code_view import Loop
from jitnet.profile.document import THRESHOLD, group_medians
from jitnet.profile.functions.function_profile import Check, FunctionProfile
from jitnet.profile.functions.hint_records import Hint

__all__ = ["Row", "Saved", "Watching", "saved"]

POLL_S = 0.2
"""Between two looks at the files."""

GONE_LOOKS = 10
"""Looks for which a file may be missing: an editor that writes a new file and renames it needs less."""

Stamps = dict[Path, tuple[int, int, int] | None]
"""When each file was written, its size, and its number on the disk; None where there is no such file."""


class Watching:
    """The files of functions: those that they are in, and the user's modules that these import, directly or not.

    They are found by reading the files, and not by importing them. Modules of Python and of installed packages are not
    watched, unless a function itself is in one.
    """

    def __init__(self, targets: Sequence[str], folder: Path | None = None) -> None:
        folder = folder or Path.cwd()
        library = {Path(path).resolve() for path in sysconfig.get_paths().values()}
        paths = [folder, *(Path(each).resolve() for each in sys.path if each)]
        self._roots = [path for path in paths if path.is_dir() and path not in library and not _is_library(path)]
        self.targets: list[Path] = []
        for target in targets:
            where = target.rpartition(":")[0]
            if where.endswith(".py") or "/" in where:
                self.targets.append((folder / where).resolve())
            else:
                self.targets += _find(where, [*self._roots, *paths])[-1:]
        self._files: dict[Path, None] = {}
        self.search()

    @property
    def files(self) -> list[Path]:
        return list(self._files)

    def search(self) -> None:
        """Look again for what the files import. What a file imported stays known while it does not parse."""
        pending, seen = list(self.targets), set[Path]()
        while pending:
            path = pending.pop(0)
            if path in seen:
                continue
            seen.add(path)
            self._files[path] = None
            pending += self._imported(path)

    def _imported(self, path: Path) -> Iterator[Path]:
        tree = _parsed(path)
        package = path.parent
        top = package
        while (top / "__init__.py").exists():
            top = top.parent
        roots = [top, *self._roots]
        for node in ast.walk(tree) if isinstance(tree, ast.Module) else ():
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from _find(alias.name, roots)
            elif isinstance(node, ast.ImportFrom):
                base = roots
                if node.level:
                    folder = package
                    for _ in range(node.level - 1):
                        folder = folder.parent
                    base = [folder]
                for name in [
                    node.module or "",
                    *(f"{node.module or ''}.{alias.name}".strip(".") for alias in node.names),
                ]:
                    yield from _find(name, base) if name else ()

    def stamps(self) -> Stamps:
        """Return the state of each file."""
        return {path: _stamp(path) for path in self._files}

    def wait(self, before: Stamps, sleep: Callable[[float], None] = time.sleep) -> list[Path]:
        """Return the files that were saved since `before`, once they stay as they are; wait until there is one."""
        last, missing = self.stamps(), 0
        while True:
            changed = [path for path, stamp in last.items() if stamp != before.get(path)]
            missing = missing + 1 if any(last[path] is None for path in changed) else 0
            sleep(POLL_S)
            now = self.stamps()
            if changed and now == last and (not missing or missing > GONE_LOOKS):
                return changed
            last = now

    def problem(self) -> str:
        """Return in one line why a file cannot be read at the moment, "" where all can."""
        for path in self._files:
            found = _parsed(path)
            if isinstance(found, str):
                return found
        return ""


def _is_library(path: Path) -> bool:
    return (
        bool({"site-packages", "dist-packages"} & set(path.parts))
        or path.suffix == ".zip"
        or "lib-dynload" in path.parts
    )


def _find(name: str, roots: Sequence[Path]) -> list[Path]:
    """Return the files of a module, those of its packages first; none where it is in none of the folders."""
    parts = name.split(".")
    for root in roots:
        found = []
        for depth in range(1, len(parts) + 1):
            place = root.joinpath(*parts[:depth])
            if (place / "__init__.py").is_file():
                found.append(place / "__init__.py")
            elif place.with_name(f"{place.name}.py").is_file():
                found.append(place.with_name(f"{place.name}.py"))
            elif not place.is_dir():
                break
        else:
            if found:
                return found
    return []


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _parsed(path: Path) -> ast.Module | str:
    """Return a file's syntax tree, or in one line why it has none."""
    shown = os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
    try:
        return ast.parse(path.read_bytes(), str(path))
    except SyntaxError as error:
        line = f":{error.lineno}" if error.lineno else ""
        return f"{shown}{line}: does not parse: {error.msg}"
    except ValueError as error:
        return f"{shown}: does not parse: {error}"
    except OSError as error:
        return f"{shown}: cannot be read ({(error.strerror or str(error)).lower()})"


@dataclass(frozen=True)
class Row:
    """The function on so many threads, before and after a save: seconds a call. before_threads: another count where it
    was not timed on this one: the fastest. factor: how many times as fast it became. verdict: "faster", "slower" or
    "same", by more than THRESHOLD."""

    threads: int
    before_threads: int
    before_s: float
    after_s: float
    factor: Factor
    verdict: str


@dataclass(frozen=True)
class Saved:
    """What a save changed.

    checks: of the new results. settings: a sentence for each of kind, options and signature that changed, and for each
    check that had failed and does not now. loops: innermost loops of which became something else, before and after;
    None where there was or is none. gone, new, kept: hints that only the profile before has, only the new one, and
    both.
    """

    checks: tuple[Check, ...]

    rows: tuple[Row, ...]
    settings: tuple[str, ...]
    loops: tuple[tuple[Loop | None, Loop | None], ...]
    gone: tuple[Hint, ...]
    new: tuple[Hint, ...]
    kept: tuple[Hint, ...]


def saved(before: FunctionProfile, after: FunctionProfile, all_hints: bool = False) -> Saved:
    """Compare the profiles of one function before and after a save. all_hints: also those that do not help."""
    old = {count.threads: count for count in before.counts}
    rows = []
    for count in after.counts:
        was = old.get(count.threads, before.best)
        factor = of_samples(group_medians(was.samples_s), group_medians(count.samples_s))
        found = verdict(factor, THRESHOLD)
        rows.append(Row(count.threads, was.threads, was.median_s, count.median_s, factor, found))
    settings = [
        f"{name}: {was or 'none'} before, {now or 'none'} now"
        for name, was, now in (
            ("kind", before.kind, after.kind),
            ("options", before.options, after.options),
            ("signature", before.signature, after.signature),
        )
        if was != now
    ]
    now = {check.name: check.verdict for check in after.checks}
    for check in before.checks:
        if check.verdict == "failed" and now.get(check.name, "failed") != "failed":
            settings.append(f"check of {check.name}: failed before, {now[check.name]} now")
    new, kept = list[Hint](), list[Hint]()
    gone = [hint for hint in before.hints if all_hints or hint.shown]
    for hint in after.hints:
        # Lines move with each save: a hint is known by its kind and its source.
        known = [each for each in gone if (each.kind, each.place.source) == (hint.kind, hint.place.source)]
        if known:
            gone.remove(known[0])
        if all_hints or hint.shown:
            (kept if known else new).append(hint)
    loops = tuple(_loops(before, after))
    return Saved(after.checks, tuple(rows), tuple(settings), loops, tuple(gone), tuple(new), tuple(kept))


def _loops(before: FunctionProfile, after: FunctionProfile) -> Iterator[tuple[Loop | None, Loop | None]]:
    """Yield the loops that became something else: the first of a function beside its first before, and so on."""
    if before.lines is None or after.lines is None:
        return
    old, new = ([loop for loop in view.loops if loop.innermost] for view in (before.lines, after.lines))
    for function in dict.fromkeys(loop.function for loop in [*old, *new]):
        was, now = ([loop for loop in loops if loop.function == function] for loops in (old, new))
        for number in range(max(len(was), len(now))):
            pair = was[number] if number < len(was) else None, now[number] if number < len(now) else None
            if pair[0] is None or pair[1] is None or _fate(pair[0]) != _fate(pair[1]):
                yield pair


def _fate(loop: Loop) -> tuple[object, ...]:
    return loop.vectorised, loop.width, loop.interleaved, loop.unrolled, loop.reason, loop.parallel
