"""The fixture `jitprofile` for pytest: tests that hold a Numba function's loops to what they are today.

    def test_smooth(jitprofile):
        loop = jitprofile(smooth, image, weights)
        loop.is_right()
        loop.stays_vectorised()
        loop.allocates_nothing()
        loop.not_slower_than(smooth_by_slices, by=0.20)

It is there wherever jitnet is installed, and imports Numba only where a test uses it. What may be asserted is
documented in `jitnet.profile.functions.assertions.ProfiledCall`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from jitnet.profile.functions.assertions import ProfiledCall

__all__ = ["JitProfile", "jitprofile"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("jitnet").addoption(
        "--jitprofile-save",
        action="store_true",
        help="Write the baselines that not_slower_than() names, from the times of this run, and do not compare with "
        "them. Do so once a machine, and again where a function is meant to have another speed.",
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    saves = config.getoption("--jitprofile-save")
    return "jitprofile: baselines are written, and not compared with" if saves else None


@dataclass(frozen=True)
class JitProfile:
    """What the fixture is: called as `jitnet.profile` is, it returns what can be asserted of that call.

    save: whether baselines are written. options: as `jitnet.profile.with_options` takes them.
    """

    save: bool
    options: dict[str, Any]

    def with_options(self, **options: Any) -> "JitProfile":
        """Return the same with other options of the profile: `jitprofile.with_options(threads=[1])(smooth, x)`."""
        return JitProfile(self.save, self.options | options)

    def __call__(self, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> "ProfiledCall":
        """Profile a call in a worker process, which takes some seconds; arguments are copied there, and not changed.

        Raises what `jitnet.profile` raises.
        """
        __tracebackhide__ = True
        from jitnet.profile.functions.assertions import ProfiledCall
        from jitnet.profile.functions.library import Profiler

        def compare(other: Any) -> Any:
            __tracebackhide__ = True
            return _shortly(lambda: profiler.compare(other, function, *arguments, **keywords))

        profiler = _shortly(lambda: Profiler(**self.options))
        return ProfiledCall(_shortly(lambda: profiler(function, *arguments, **keywords)), compare, self.save)


def _shortly(measure: Callable[[], Any]) -> Any:
    """Return what a call returns; what it raises on purpose is shown at the test's line, since it is one line."""
    __tracebackhide__ = True
    from jitnet.errors import JitnetError

    try:
        return measure()
    except JitnetError as error:
        raise error.with_traceback(None) from None


@pytest.fixture
def jitprofile(request: pytest.FixtureRequest) -> JitProfile:
    """Profile a call of a Numba function, to assert what its loops do: jitprofile(function, *arguments, **keywords)."""
    return JitProfile(request.config.getoption("--jitprofile-save"), {})
