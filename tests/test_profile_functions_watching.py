"""`--watch`: which files are watched, when one counts as saved, and what a save changed."""

import linecache
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import test_render_code
from conftest import environment
from test_render_functions import HERE, PROFILE, hint

from jitnet.errors import JitnetError
from jitnet.profile.functions import profiling, watching
from jitnet.profile.functions.function_profile import Check
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.time_records import Count
from jitnet.profile.functions.watching import Watching, saved


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A package whose function imports a neighbour, a subpackage, and a file of the current folder."""
    files = {
        "plain.py": "import numpy as np\nfrom numba import njit\n",
        "unused.py": "",
        "pkg/__init__.py": "",
        "pkg/loops.py": (
            "import math\nfrom . import near\nfrom .deep.far import f\nimport plain\nimport missing_at_all\n"
        ),
        "pkg/near.py": "from pkg.deep import far\n",
        "pkg/deep/__init__.py": "",
        "pkg/deep/far.py": "from ..loops import g\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


ALL = ["pkg/__init__.py", "pkg/deep/__init__.py", "pkg/deep/far.py", "pkg/loops.py", "pkg/near.py", "plain.py"]


@pytest.mark.parametrize("target", ["pkg/loops.py:f", "pkg.loops:f", "pkg.loops:Class.f"])
def test_a_function_is_watched_with_what_its_file_imports(project, monkeypatch, target):
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    found = Watching([target], project)
    names = sorted(str(path.relative_to(project)) for path in found.files)
    assert set(ALL) - {"pkg/__init__.py"} <= set(names) <= set(ALL)
    assert "unused.py" not in names
    assert not any("site-packages" in str(path) for path in found.files)


def test_imports_that_come_later_are_watched_too(project):
    found = Watching(["pkg/loops.py:f"], project)
    (project / "pkg/near.py").write_text("import unused\n")
    found.search()
    assert project / "unused.py" in found.files
    (project / "pkg/near.py").write_text("import (\n")
    found.search()
    assert project / "unused.py" in found.files, "while it does not parse, what it imported is still watched"
    assert found.problem() == f"{project / 'pkg/near.py'}:1: does not parse: invalid syntax"


def test_the_file_of_the_arguments_is_watched(project):
    found = Watching(["plain.py:f", "unused.py:made"], project)
    assert found.files == [project / "plain.py", project / "unused.py"]


def after(*actions) -> object:
    """A pause that runs one action after the other, and ends the test after all of them."""
    left = list(actions)

    def sleep(seconds: float) -> None:
        assert left, "it waits although a file was saved"
        left.pop(0)()

    return sleep


def nothing() -> None:
    pass


def test_a_save_counts_once_the_file_is_no_longer_written(project):
    found = Watching(["plain.py:f"], project)
    path = project / "plain.py"
    before = found.stamps()
    part, whole = (lambda: path.write_text("import")), (lambda: path.write_text("import numpy\n"))
    assert found.wait(before, after(nothing, nothing, part, whole, nothing)) == [path]
    assert path.read_text() == "import numpy\n"


def test_a_save_while_it_was_profiled_counts(project):
    found = Watching(["plain.py:f"], project)
    before = found.stamps()
    os.utime(project / "plain.py", ns=(1, 1))
    assert found.wait(before, after(nothing)) == [project / "plain.py"]


def test_an_editor_may_rename_and_a_file_may_be_missing_for_a_moment(project):
    found = Watching(["plain.py:f"], project)
    path, aside = project / "plain.py", project / "plain.py~"
    before = found.stamps()

    def renamed() -> None:
        aside.write_text("new\n")
        aside.replace(path)

    assert found.wait(before, after(path.unlink, nothing, nothing, renamed, nothing)) == [path]
    assert path.read_text() == "new\n"


def test_a_file_that_stays_away_is_reported(project):
    found = Watching(["plain.py:f"], project)
    path = project / "plain.py"
    before = found.stamps()
    assert found.wait(before, after(path.unlink, *[nothing] * (watching.GONE_LOOKS + 2))) == [path]
    assert "plain.py: cannot be read (no such file" in found.problem()


def test_a_save_is_compared_on_each_count_of_threads():
    faster = replace(PROFILE, counts=(Count(1, 1, (1e-3,) * 9), Count(2, 1, (1.1e-3,) * 9)))
    found = saved(replace(PROFILE, counts=(Count(1, 1, (2e-3,) * 9), Count(2, 1, (1.1e-3,) * 9))), faster)
    assert [(row.threads, row.verdict) for row in found.rows] == [(1, "faster"), (2, "same")]
    assert found.rows[0].factor.value == pytest.approx(2.0)
    serial = replace(PROFILE, kind="njit", options="", counts=(Count(1, 1, (2e-3,) * 9),))
    found = saved(serial, faster)
    assert [(row.threads, row.before_threads) for row in found.rows] == [(1, 1), (2, 1)]
    assert found.settings == ("kind: njit before, njit, parallel now", "options: none before, parallel=True now")


def test_hints_are_known_by_their_source_although_lines_moved():
    moved = replace(hint(Kind.RACE, 14), place=replace(HERE, line=19, source="the source of line 14"))
    found = saved(PROFILE, replace(PROFILE, hints=(moved, hint(Kind.LAYOUT, 3))))
    assert found.kept == (moved,)
    assert found.new == (hint(Kind.LAYOUT, 3),)
    assert [each.kind for each in found.gone] == [Kind.UNEVEN.value] * 2


def test_only_hints_that_are_shown_are_compared():
    """One without effect on the time is left out, as in the profile itself; all are with `--all-hints`."""
    rare, often = hint(Kind.LAYOUT, 3, 0.0), hint(Kind.LAYOUT, 4, 0.5)
    before, after = replace(PROFILE, hints=(often,)), replace(PROFILE, hints=(rare, replace(often, share=0.0)))
    found = saved(before, after)
    assert (found.gone, found.new, found.kept) == ((), (), ())
    assert saved(before, after, all_hints=True).new == (rare,)
    assert saved(after, before).new == (often,)


def test_a_check_that_holds_now_is_named():
    failed, held = (replace(PROFILE, checks=(Check("races", verdict, "", None),)) for verdict in ("failed", "held"))
    assert saved(failed, held).settings == ("check of races: failed before, held now",)
    assert saved(held, failed).settings == saved(failed, failed).settings == ()
    assert saved(held, failed).checks == failed.checks


def test_a_profile_has_the_source_as_it_is_now(tmp_path, monkeypatch):
    def asked(*arguments):
        raise JitnetError("enough")

    path = tmp_path / "loops.py"
    path.write_text("before\n")
    assert linecache.getline(str(path), 1) == "before\n"
    path.write_text("what is in it now\n")
    monkeypatch.setattr(profiling, "asked", asked)
    with pytest.raises(JitnetError, match="enough"):
        profiling.profile_function(f"{path}:f", args="3")
    assert linecache.getline(str(path), 1) == "what is in it now\n"


def test_loops_that_became_something_else_are_named():
    view = test_render_code.VIEW
    place = next(number for number, loop in enumerate(view.loops) if loop.innermost)
    old = view.loops[place]
    loops = [*view.loops]
    loops[place] = replace(old, line=old.line + 3, vectorised=not old.vectorised)
    before, now = replace(PROFILE, lines=view), replace(PROFILE, lines=replace(view, loops=tuple(loops)))
    assert saved(before, now).loops == ((old, loops[place]),)
    loops[place] = replace(old, line=old.line + 3)
    assert saved(before, replace(PROFILE, lines=replace(view, loops=tuple(loops)))).loops == ()
    assert saved(replace(PROFILE, lines=None), now).loops == ()


WATCH = """
    import sys
    from jitnet.cli import main
    from jitnet.profile.functions import profiling
    sys.path.insert(0, {tests!r})
    from test_render_functions import PROFILE
    profiling.profile_function = lambda target, **options: PROFILE
    main(["profile", "--watch", "loops.py:f"])
"""


def test_each_save_is_reported_until_ctrl_c(tmp_path):
    """The whole command, with profiles that are made up."""
    path = tmp_path / "loops.py"
    path.write_text("x = 1\n")
    code = textwrap.dedent(WATCH.format(tests=str(Path(__file__).parent)))
    command = [sys.executable, "-c", code]
    made = environment(PYTHONUNBUFFERED="1")
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, env=made, text=True, stdout=pipe, stderr=subprocess.STDOUT) as process:
        killer = threading.Timer(60, process.kill)
        killer.start()
        lines = []

        def read_until(text: str) -> str:
            for line in process.stdout:
                lines.append(line)
                if text in line:
                    return line
            raise AssertionError("".join(lines))

        assert read_until("Watching") == "Watching loops.py: profiled again at each save, until Ctrl-C.\n"
        path.write_text("x = (\n")
        assert read_until("does not parse").startswith("jitnet: error: loops.py:1: does not parse: ")
        time.sleep(0.01)
        new = tmp_path / "new"
        new.write_text("x = 2\n")
        new.replace(path)
        assert "no change above 10%" in read_until("time")
        read_until("hints left")
        process.send_signal(signal.SIGINT)
        lines += process.stdout.read().splitlines()
        assert process.wait() == 130
        killer.cancel()
    assert "Traceback" not in "".join(lines)
    assert "\x1b" not in "".join(lines)
