"""What a test asserts of a function: right results, vectorised loops without allocations, not slower than another.

Each assertion raises AssertionError with the loop, its line, and the reason.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from jitnet.bench.factors import of_samples, verdict
from jitnet.bench.figures import duration
from jitnet.errors import OutputError, UsageError
from jitnet.files import make_folder, write_whole
from jitnet.profile.code.code_view import CodeView, Loop
from jitnet.profile.document import read_document
from jitnet.profile.functions.function_profile import FunctionProfile, as_document
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.machine_hints import NUMBA
from jitnet.profile.functions.two_functions import FunctionComparison
from jitnet.profile.readable import demangle

__all__ = ["Line", "ProfiledCall"]

Line = int | str
"""A line by its number in the file, or by a part of its text, which stays true when lines above it come or go."""

ALLOCATES = re.compile(
    r"NRT_(Allocate|Reallocate|MemInfo_(alloc|new|varsize_(alloc|realloc)))|numba_(list|dict)_(new|append|insert|resize)"
)
"""Functions of Numba's runtime that allocate, in machine code."""

VECTOR_CALLS = "__svml_"
"""How the names of functions begin that take a vector: Intel's, where Numba finds them."""

SAVE = "pytest --jitprofile-save"


@dataclass(frozen=True)
class ProfiledCall:
    """A function's profile, and what may be asserted of it.

    profile: the record. compare: called with another function, it runs that one and this one in turn, with the same
    arguments, and returns how this one compares. save: whether `not_slower_than` writes baselines in place of that.
    """

    profile: FunctionProfile
    compare: Callable[[Any], FunctionComparison]
    save: bool = False

    def is_right(self) -> None:
        """Assert that its results are right, as far as `jitnet profile` checks them.

        It checks for an index out of bounds, races, results that differ between equal calls, with the count of threads
        or from those of Python, memory that was never written, and what fastmath changes. AssertionError with each
        check that failed, its line and what differs; also where none could be done. One that is not done beside others
        that held is no failure.
        """
        __tracebackhide__ = True
        checks = self.profile.checks
        failed = [check for check in checks if check.verdict == "failed"]
        if failed:
            lines = [f"{self._name}: its results are wrong"]
            for check in failed:
                at = check.place
                place = f"{_place(self.profile.lines, at.file, at.line)}: " if at is not None else ""
                lines += [f"  {place}{check.name}", f"    {check.reason}"]
            raise AssertionError("\n".join(lines))
        if all(check.verdict == "not done" for check in checks):
            reasons = "; ".join(dict.fromkeys(check.reason for check in checks))
            raise AssertionError(f"{self._name}: its results could not be checked: {reasons or 'no reason is known'}")

    def stays_vectorised(self, line: Line | None = None) -> None:
        """Assert that LLVM vectorised every innermost loop, of the function and of yours that are inlined into it.

        A loop that was completely unrolled is no loop any more, and the one around it is the innermost. line: only the
        loops around this line, or inside the loop that begins there. AssertionError with each loop that is not
        vectorised, its line and LLVM's reason; also where there is no loop, or the machine code could not be read.
        """
        __tracebackhide__ = True
        view = self._view()
        loops = _loops_at(view, line)
        if not loops:
            raise AssertionError(f"{self._name}: {_no_loop(view, line)}")
        inner = [loop for loop in loops if loop.main is not None and not any(_contains(loop, other) for other in loops)]
        reasons = {(loop.file, loop.line): reason for loop in inner if (reason := _why_not_vectorised(loop))}
        if reasons:
            what = "a loop is" if len(reasons) == 1 else f"{len(reasons)} loops are"
            raise AssertionError(_listed(f"{self._name}: {what} not vectorised", view, reasons))

    def allocates_nothing(self, line: Line | None = None) -> None:
        """Assert that no loop allocates memory, of the function and of what it calls.

        What is allocated once a call, before or after its loops, is not asserted. line: only the loops around this line
        or inside the loop that begins there. AssertionError with each line that allocates.
        """
        __tracebackhide__ = True
        view = self._view()
        loops = _loops_at(view, line)
        if line is not None and not loops:
            raise AssertionError(f"{self._name}: {_no_loop(view, line)}")
        found = {
            (hint.place.file, hint.place.line): hint.reason
            for hint in (*self.profile.hints, *self.profile.kept)
            if hint.kind == Kind.ALLOCATION.value
        }
        for loop in view.loops:
            # In Numba's lines only the loop is known: it is named where no line in it is.
            at_loop = not any(_concerns(loop, {place}) for place in found)
            for place in dict.fromkeys(_allocations(loop)):
                if place[0] or at_loop:
                    found.setdefault(place if place[0] else (loop.file, loop.line), "it allocates in every iteration")
        if line is not None:
            found = {
                place: reason for place, reason in found.items() if any(_concerns(loop, {place}) for loop in loops)
            }
        if found:
            raise AssertionError(_listed(f"{self._name}: a loop allocates memory", view, found))

    def not_slower_than(self, other: Any, by: float = 0.20) -> None:
        """Assert that a call takes no longer than another's, by more than a share of it.

        other: a compiled function, which is called with the same arguments, in turn with this one; or the path of a
        baseline, which `pytest --jitprofile-save` writes, as does jitnet profile --json. by: from 0 to 1, 0.2 for 20%.
        Each is taken at its fastest count of threads. It is slower where its median is, and where the difference is
        significant: by the sign test of calls in turn, or for a baseline by the rank test.

        AssertionError where it is slower; UsageError where they cannot be compared: a baseline that does not exist, of
        another machine, or of other arguments. OutputError where one cannot be written.
        """
        __tracebackhide__ = True
        if not 0 <= by <= 1:
            raise UsageError(f"by={by}: expected a share from 0 to 1; by=0.2 is 20%")
        if not isinstance(other, (str, Path)):
            found = self.compare(other)
            name = found.before.label
            before = min(found.pairs, key=lambda pair: median(pair.before_s))
            after = min(found.pairs, key=lambda pair: median(pair.after_s))
            theirs, ours = before.before_s, after.after_s
            factor = after.factor if before is after else of_samples(theirs, ours)
        elif self.save:
            self._save(Path(other))
            return
        else:
            name = str(other)
            theirs, ours = self._baseline(Path(other)), self.profile.best.samples_s
            factor = of_samples(theirs, ours)
        if verdict(factor, by) == "slower":
            raise AssertionError(
                f"{self._name}: {duration(median(ours))} a call, {1 / factor.value:.2f} × the "
                f"{duration(median(theirs))} of {name} (between {1 / factor.high:.2f} and {1 / factor.low:.2f}); "
                f"at most {1 + by:.2f} × is allowed"
            )

    @property
    def _name(self) -> str:
        return self.profile.target.rpartition(":")[2]

    def _view(self) -> CodeView:
        __tracebackhide__ = True
        if self.profile.lines is None:
            reasons = "; ".join(dict.fromkeys(reason for _, reason in self.profile.unsearched))
            raise AssertionError(f"{self._name}: its machine code could not be read: {reasons or 'no reason is known'}")
        return self.profile.lines

    def _save(self, path: Path) -> None:
        __tracebackhide__ = True
        try:
            make_folder(path.parent)
            write_whole(path, json.dumps(as_document(self.profile), indent=1).encode())
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error.strerror})") from None

    def _baseline(self, path: Path) -> tuple[float, ...]:
        """Return the samples of a saved profile on its fastest count of threads."""
        __tracebackhide__ = True
        if not path.exists():
            raise UsageError(f"{path}: there is no such baseline; write it with {SAVE}")
        made = as_document(self.profile)
        try:
            saved = read_document(path, "the baseline")
        except UsageError as error:  # at the test's line, since it is one line
            raise error.with_traceback(None) from None
        if saved.format != made["format"]:
            raise UsageError(f"{path}: is of the form {saved.format!r}, not of a function; write it with {SAVE}")
        if saved.cpu != made["machine"]["cpu"]:
            raise UsageError(
                f"{path}: was measured on another machine, {saved.cpu}, and this is {made['machine']['cpu']}: their "
                f"times cannot be compared; write a baseline of this machine with {SAVE}"
            )
        shapes = {shape for _, shape, _ in saved.samples_s}
        shape, signature = made["rows"][0]["shape"], saved.settings.get("signature")
        if shapes != {shape} or signature != self.profile.signature:
            raise UsageError(
                f"{path}: was measured with other arguments, {', '.join(sorted(shapes)) or 'none'}; here they are "
                f"{shape or 'none'}; write it again with {SAVE}"
            )
        return tuple(min(saved.samples_s.values(), key=median))


def _yours(view: CodeView) -> list[Loop]:
    """Return the loops that are not Numba's; of a `prange` the copy that threads run, where there is one."""
    loops = [loop for loop in view.loops if not loop.file.startswith(NUMBA)]
    in_threads = {(loop.file, loop.line) for loop in loops if loop.parallel == "body"}
    return [loop for loop in loops if loop.parallel == "body" or (loop.file, loop.line) not in in_threads]


def _loops_at(view: CodeView, line: Line | None) -> list[Loop]:
    """Return your loops around the lines that are meant, and inside a loop that begins there; all for None."""
    loops = _yours(view)
    if line is None:
        return loops
    if isinstance(line, int):
        meant = {(view.sources[0].file, line)} if view.sources else set()
    else:
        meant = {
            (source.file, source.first_line + at)
            for source in view.sources
            for at, text in enumerate(source.lines)
            if line in text
        }
    begins = [loop for loop in loops if (loop.file, loop.line) in meant]
    inside = [loop for loop in loops if any(_concerns(outer, {(loop.file, loop.line)}) for outer in begins)]
    around = [loop for loop in loops if _concerns(loop, meant)]
    # A line in an inner loop is in the outer ones too, which are not meant.
    deepest = max((loop.depth for loop in around), default=0)
    return inside or [loop for loop in around if loop.depth == deepest]


def _concerns(loop: Loop, places: set[tuple[str, int]]) -> bool:
    return any(loop.file == file and loop.line <= line <= loop.last_line for file, line in places)


def _contains(loop: Loop, other: Loop) -> bool:
    """Whether another loop is inside this one, in the machine code too."""
    return other.main is not None and other.depth > loop.depth and _concerns(loop, {(other.file, other.line)})


def _why_not_vectorised(loop: Loop) -> str:
    """Return the reason; "" for a loop that is vectorised."""
    instructions = loop.main.instructions if loop.main is not None else ()
    called = dict.fromkeys(each.callee for each in instructions if each.kind == "call")
    scalar = [demangle(name).replace("<locals>.", "") for name in called if name and not name.startswith(VECTOR_CALLS)]
    if loop.vectorised and not scalar:
        return ""
    calls = f"it calls {' and '.join(scalar)}" if scalar else ""
    if loop.reason and calls and not any(name in loop.reason for name in scalar):
        return f"{loop.reason}: {' and '.join(scalar)}"
    return loop.reason or calls or "LLVM gave no reason"


def _no_loop(view: CodeView, line: Line | None) -> str:
    if line is None:
        return "no loop is left in its machine code: there is none, or LLVM removed it"
    known = "; ".join(dict.fromkeys(_place(view, loop.file, loop.line) for loop in _yours(view)))
    where = f"in line {line}" if isinstance(line, int) else f"at {line!r}"
    return f"there is no loop {where}; its loops are: {known or 'none'}"


def _place(view: CodeView | None, file: str, line: int) -> str:
    """Return a line with its text: "kernels.py:12  for i in range(n):"."""
    for source in view.sources if view is not None else ():
        if source.file == file and 0 <= line - source.first_line < len(source.lines):
            return f"{Path(file).name}:{line}  {source.lines[line - source.first_line].strip()}"
    return f"{Path(file).name}:{line}"


def _listed(title: str, view: CodeView, reasons: dict[tuple[str, int], str]) -> str:
    lines = [title]
    for (file, line), reason in sorted(reasons.items()):
        lines += [f"  {_place(view, file, line)}", f"    {reason}"]
    return "\n".join(lines)


def _allocations(loop: Loop) -> Iterator[tuple[str, int]]:
    """Yield the lines of instructions that allocate in a loop; ("", 0) for one of Numba's lines."""
    for body in loop.bodies:
        for each in body.instructions:
            if each.kind == "call" and ALLOCATES.search(each.callee):
                yield (each.file, each.line) if each.file and not each.file.startswith(NUMBA) else ("", 0)
