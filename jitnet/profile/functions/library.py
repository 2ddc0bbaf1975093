"""`jitnet.profile(function, *arguments, **keywords)`."""

import dataclasses
import math
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jitnet.errors import JitnetError, UsageError
from jitnet.profile.functions.function_profile import FunctionProfile
from jitnet.profile.functions.thresholds import SHORTEST_S, TIME_S

if TYPE_CHECKING:
    from jitnet.profile.functions.sending import Sent
    from jitnet.profile.functions.two_functions import FunctionComparison

__all__ = ["Profiler", "profile", "renamed"]

EXAMPLES = {"flop": "2 * x.size", "bytes": "x.nbytes", "cpu": "znver3"}

WORKERS = "jitnet.profile."
"""How the names of worker processes' main modules begin."""


@dataclass(frozen=True)
class Profiler:
    """Profiles calls of compiled functions: `Profiler()(function, *arguments, **keywords)`.

    `jitnet.profile` is one with the defaults, and `with_options` returns others.

    threads: counts to time a parallel function on; 1, 2, 4 and so on to all where None. flop, bytes: formulas of a
    call, from its arguments: "2 * x.size". cpu: LLVM's name of the processor that the line view is compiled for, this
    one where None. limit_s: seconds that a call may take, before the function counts as one that does not return.
    time_s: seconds of the whole answer; with more of them, more of the hints' changes are tried.
    """

    threads: Sequence[int] | None = None
    flop: str | None = None
    bytes: str | None = None
    cpu: str | None = None
    limit_s: float = 60.0
    time_s: float = TIME_S

    def __post_init__(self) -> None:
        if self.threads is not None and not _are_counts(self.threads):
            raise UsageError(f"threads={self.threads!r}: expected counts of 1 or more, as in threads=(1, 2)")
        for name in ("flop", "bytes", "cpu"):
            value = getattr(self, name)
            if not isinstance(value, str | None):
                raise UsageError(f"{name}={value!r}: expected text, as in {name}={EXAMPLES[name]!r}")
        for name, least, expected in (
            ("limit_s", 0.0, "seconds above 0"),
            ("time_s", SHORTEST_S, f"{SHORTEST_S:g} seconds or more"),
        ):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not max(least, sys.float_info.min) <= value < math.inf:
                raise UsageError(f"{name}={value!r}: expected {expected}, as in {name}=30")

    def with_options(self, **options: Any) -> "Profiler":
        """Return a profiler with some options changed, which is called as this one is.

            jitnet.profile.with_options(threads=(1, 2), flop="2 * x.size")(smooth, x, weights)

        TypeError for an option that does not exist; UsageError for a value that it cannot have.
        """
        return replace(self, **options)

    def __call__(self, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> FunctionProfile:
        """Return the profile of `function(*arguments, **keywords)`: the record that `jitnet profile` prints.

        function: under @njit, @jit, @vectorize or @guvectorize; of a module, a script or a notebook, or made by
        another function. arguments, keywords: of the call, of any type that Numba takes and that can be pickled. All
        of them are copied to a worker process, which compiles the function and calls it: nothing here is changed, also
        not an array that the function writes to.

        UsageError where the function is not compiled, the arguments do not fit, or one cannot be pickled; JitnetError,
        one line, where the function raised, crashed or did not return.
        """
        from jitnet.profile.functions.profiling import profile_function
        from jitnet.profile.functions.shown import as_shown

        with _sent((function,), arguments, keywords) as sent:
            options = {field.name: getattr(self, field.name) for field in fields(self)}
            found = profile_function(*sent.targets, setup=sent.setup, **options)
            hints = tuple(replace(hint, untried=_named(hint.untried)) for hint in found.hints)
            found = replace(found, hints=hints, notes=(*sent.notes, *found.notes))
            return as_shown(renamed(found, sent.shown))

    def compare(
        self, function: Callable[..., Any], other: Callable[..., Any], /, *arguments: Any, **keywords: Any
    ) -> "FunctionComparison":
        """Return how another function compares with this one: the record that `jitnet profile --compare` prints.

        Both are called with the same arguments, in turn on the same data in one worker process: which is faster, by how
        much, and whether their results are equal. Of the options, threads and limit_s are used. function, other,
        arguments, keywords, errors: as for a profile.
        """
        from jitnet.profile.functions.shown import comparison_as_shown
        from jitnet.profile.functions.two_functions import compare_functions

        with _sent((function, other), arguments, keywords) as sent:
            found = compare_functions(*sent.targets, setup=sent.setup, threads=self.threads, limit_s=self.limit_s)
            labels = [name.rpartition(":")[2] for name in sent.names]
            if labels[0] == labels[1]:
                labels = list(sent.names) if sent.names[0] != sent.names[1] else [labels[0], f"the other {labels[1]}"]
            before, after = (
                replace(side, label=label) for side, label in zip((found.before, found.after), labels, strict=True)
            )
            notes = (*sent.notes, *found.notes)
            return comparison_as_shown(renamed(replace(found, before=before, after=after, notes=notes), sent.shown))


profile = Profiler()
"""What `jitnet.profile` calls."""


@contextmanager
def _sent(functions: Sequence[Any], arguments: Sequence[Any], keywords: Mapping[str, Any]) -> "Iterator[Sent]":
    """Write functions and arguments for a worker process; errors from there name what the user knows."""
    from jitnet.profile.functions.sending import send

    _refuse_within_a_worker()
    with tempfile.TemporaryDirectory(prefix="jitnet-") as folder:
        sent = send(functions, arguments, keywords, Path(folder))
        try:
            yield sent
        except JitnetError as error:
            raise type(error)(_named(renamed(str(error), sent.shown))) from None


def _are_counts(value: Any) -> bool:
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        return False
    return all(isinstance(each, int) and not isinstance(each, bool) and each >= 1 for each in value)


def _refuse_within_a_worker() -> None:
    """A script that is loaded to be profiled, and profiles without a guard, would start processes without end."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is not None and spec.name.startswith(WORKERS):
        raise JitnetError(
            "jitnet.profile was called where a module is loaded to be profiled; put the call under "
            'if __name__ == "__main__":'
        )


def _named(text: str) -> str:
    """Return a text with the options as they are called here: `threads=4` for `--threads 4`."""
    for field in fields(Profiler):
        option = f"--{field.name.removesuffix('_s')}"
        if option == f"--{field.name}":
            text = text.replace(f"{option} ", f"{field.name}=")
        else:  # seconds: its value is a number, and where there is none the option is mentioned
            text = re.sub(rf"{option} (?=[\d.])", f"{field.name}=", text)
            text = re.sub(rf"{option}\b", field.name, text)
    return text


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Return a text, or a record with everything in it, with each name replaced by what it is to be called."""
    if isinstance(value, str):
        for name in sorted(names, key=len, reverse=True):  # one may begin with another
            value = value.replace(name, names[name])
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {each.name: renamed(getattr(value, each.name), names) for each in fields(value)}
        return replace(value, **changed)
    if isinstance(value, tuple):
        return tuple(renamed(each, names) for each in value)
    return value
