"""`jitnet profile` on the command line: what it prints, writes and refuses."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from test_render_functions import PROFILE

from jitnet.profile.functions.hint_records import Fix, Trial

SHORT = ("--data", "digits", "--hidden", "24")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of a second of steps, and of the machine's limits."""
    from jitnet.profile.step import profiler as measurement

    monkeypatch.setattr(measurement, "BUDGET_S", 0.2)
    monkeypatch.setattr(measurement, "PROBES_S", 0.1)


def test_every_operation_and_what_is_beside_them_is_shown(call):
    found = call("profile", *SHORT, "--threads", "1")
    assert found.code == 0
    for text in ("forward 0, next batch", "backward_weight 1", "waiting for the slowest", "all else", "bound by"):
        assert text in found.out
    assert "Roofline on 1 thread" in found.out
    assert re.search(r"^step .* µs; .*(which costs|no measurable cost)", found.out, re.MULTILINE)
    # In a pipe a row is a line: no control codes, and nothing is wrapped.
    assert "\x1b" not in found.out + found.err
    assert found.err.count("Measuring") == 1


def test_counts_of_threads_side_by_side_a_picture_and_a_timeline(call):
    from jitnet.machine.host import describe_machine

    counts = "1,2" if describe_machine().affinity > 1 else "1"
    found = call("profile", *SHORT, "--threads", counts, "--roofline", "r.svg", "--trace", "t.json")
    assert found.code == 0
    assert ("How the step scales with threads" in found.out) == (counts == "1,2")
    text = Path("r.svg").read_text()
    assert "<svg" in text
    title = [f"Roofline on {counts[-1]} thread{'s' * (counts != '1')}", describe_machine().cpu, "64-24-10, relu, sgd"]
    assert all(part in text for part in title)
    events = json.loads(Path("t.json").read_text())["traceEvents"]
    assert any(event.get("name") == "backward_weight 1" for event in events)


def test_without_matplotlib_it_is_one_line_before_anything_is_measured(call, monkeypatch):
    from jitnet.profile.step import profiler as measurement

    monkeypatch.setattr(measurement, "run_profile", None)
    monkeypatch.delitem(sys.modules, "jitnet.render.roofline_figure", raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    found = call("profile", *SHORT, "--roofline", "r.png")
    assert (found.code, found.out) == (1, "")
    assert found.err.startswith("jitnet: error: --roofline r.png: drawing needs matplotlib (")
    assert found.err.endswith("install it with: pip install matplotlib\n")
    assert found.err.count("\n") == 1
    assert not Path("r.png").exists()


def test_the_document_can_be_compared(call):
    for name in ("before.json", "after.json"):
        found = call("profile", *SHORT, "--threads", "1", "--json", "--optimizer", "adam")
        assert found.code == 0
        Path(name).write_text(found.out)
    rows = json.loads(found.out)["rows"]
    assert "update_weights 0" in {row["name"] for row in rows}
    changed = call("profile", "--compare", "before.json", "after.json")
    assert changed.code == 0
    assert "before.json" in changed.out
    printed = call("profile", "--compare", "before.json", "after.json", "--json")
    assert len(json.loads(printed.out)["changes"]) == len(rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--asm"], "--asm needs --kernel or MODULE:FUNCTION"),
        (
            ["--args", "f4[3]"],
            "--args needs MODULE:FUNCTION, MODULE or --compare; a profile of a training step does not use it",
        ),
        (
            ["--kernel", "all", "--trace", "t.json"],
            "--trace cannot be combined with --kernel; only a profile of a training step or MODULE:FUNCTION uses it",
        ),
        (["--kernel", "all", "--hidden", "3"], "--hidden cannot be combined with --kernel"),
        (["a.py:f", "--kernel", "all"], "--kernel cannot be combined with MODULE:FUNCTION"),
        (["--compare", "a.json", "b.json"], "--compare a.json: cannot be read"),
        (["--compare", "a.json", "b.json", "--data", "digits"], "--data cannot be combined with --compare"),
        (["--compare", "a.json", "b.json", "--threads", "1"], "--threads cannot be combined with two documents"),
        (["--compare", "a.json", "b.json", "--time", "20"], "--time cannot be combined with two documents"),
        (["--compare", "a.py:f", "b.py:f", "--time", "1"], "--time 1: expected 2 seconds or more"),
        (["--compare", "a.json", "b.py:f"], "b.py:f is a function, and a.json a document"),
        (["--compare", "a.py:f"], "--compare a.py:f: name a second function, or what to change"),
        (["--compare", "a.py:f", "b.py:f", "--watch"], "--watch cannot be combined with --compare"),
        (["a.py:f", "--options", "fastmath=True"], "--options cannot be combined with MODULE:FUNCTION"),
        (["--options", "fastmath=True"], "--options needs --compare"),
        (["a.py:f", "b.py:f"], "found a.py:f and b.py:f; expected one function, or --compare with two"),
        (["a.py:f", "--watch", "--json"], "--json cannot be combined with --watch"),
        (["a.py:f", "--fix", "--json"], "--fix cannot be combined with --json, whose document has it under `fix`"),
        (["a.py", "--watch"], "--watch cannot be combined with MODULE; only a profile of MODULE:FUNCTION uses it"),
        (["--threads", "0"], "--threads: expected all, or whole numbers"),
        (["--optimizer", "adams"], "--optimizer"),
        (["--roofline", "nowhere/r.svg"], "nowhere does not exist; make it first"),
        (["--roofline", "r.jpg"], "--roofline: expected a name that ends in .svg, .png or .pdf, found 'r.jpg'"),
        (["a.py:f", "--html", "nowhere/f.html"], "nowhere does not exist; make it first"),
        (["a.py:f", "--html", "f.pdf"], "--html: expected a name that ends in .html or .htm, found 'f.pdf'"),
        (["--html", "f.html"], "--html needs MODULE:FUNCTION; a profile of a training step does not use it"),
        (["--trace", "t.txt"], "--trace: expected a name that ends in .json, found 't.txt'"),
        (["--roofline", "folder.svg"], "--roofline folder.svg: cannot be written: is a directory"),
        (["--fix"], "--fix needs MODULE:FUNCTION; a profile of a training step does not use it"),
        (["--kernel", "all", "--all-hints"], "--all-hints cannot be combined with --kernel"),
        (["a.py:f", "--time", "1"], "--time 1: expected 2 seconds or more"),
        (["a.py:f", "--time", "inf"], "--time inf: expected 2 seconds or more"),
        (["mnist"], "mnist: expected MODULE:FUNCTION; did you mean --data mnist?"),
    ],
)
def test_what_does_not_go_together_is_one_line(call, arguments, message):
    Path("folder.svg").mkdir()
    found = call("profile", *arguments)
    assert found.code in (1, 2)
    assert found.err.startswith("jitnet: error: ")
    assert found.err.count("\n") == 1
    assert message in found.err
    assert found.out == ""


def test_a_loop_of_our_own_is_shown_with_its_code(call):
    found = call("profile", "--kernel", "count_row", "--asm")
    assert found.code == 0
    assert "def count_row(row):" in found.out
    assert "vectorised" in found.out
    printed = call("profile", "--kernel", "count_row", "--cpu", "icelake-server", "--json")
    assert json.loads(printed.out)["views"][0]["cpu"] == "icelake-server"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--kernel", "count_rows"],
            "--kernel count_rows: no kernel or operation of that name; did you mean count_row",
        ),
        (["--kernel", "count_row", "--cpu", "znver33"], "--cpu znver33"),
        (["nowhere.py:f"], "MODULE:FUNCTION nowhere.py: there is no such file"),
        (["--compare", "nowhere.py:f", "b:f"], "MODULE:FUNCTION nowhere.py: there is no such file"),
        (["--compare", "m:f", "--options", "fastmth=True"], "--options fastmth: is not an option"),
        (["a.py"], "MODULE a.py: there is no such file"),
        (["./"], "MODULE ./: is a folder; expected a Python file"),
        (["a-b"], "MODULE a-b: expected a module, as in mypkg.kernels, or a Python file"),
        (["nowhere:f", "--args", "f4[3]", "--setup", "nowhere:g"], "--args and --setup"),
    ],
)
def test_names_that_are_not_known_are_one_line(call, arguments, message):
    found = call("profile", *arguments)
    assert found.code == 2
    assert found.err.splitlines()[-1].startswith("jitnet: error: ")
    assert message in found.err
    assert "Traceback" not in found.err
    assert found.out == ""


def test_a_function_of_ones_own_is_profiled_and_compared(call):
    Path("mine.py").write_text(
        "from numba import njit\n\n@njit\ndef double(x, y):\n    for i in range(x.size):\n        y[i] = 2 * x[i]\n"
    )
    asked = ("profile", "mine.py:double", "--args", "f8[1000] f8[1000]", "--flop", "x.size")
    found = call(*asked, "--html", "page.html", "--trace", "calls.json")
    assert found.code == 0
    for text in ("double(x, y)", "GFLOP/s", "counted by --flop, bytes by running it", "vectorised", "No hint"):
        assert text in found.out
    page = Path("page.html").read_text()
    assert page.startswith("<!doctype html>")
    for text in ("y[i] = 2 * x[i]", "counted by --flop, bytes by running it", "<svg ", "<details "):
        assert text in page
    events = json.loads(Path("calls.json").read_text())["traceEvents"]
    assert any(event["name"] == "double" and event["dur"] > 0 for event in events)
    for name in ("before.json", "after.json"):
        Path(name).write_text(call(*asked, "--json").out)
    changed = call("profile", "--compare", "before.json", "after.json")
    assert changed.code == 0
    counted = json.loads(Path("before.json").read_text())["counted"]
    assert (counted["flop"], counted["bytes"]) == (1000, 16000)
    assert counted["loops"][0]["place"]["line"] == 5
    other = json.loads(Path("after.json").read_text())
    other["settings"]["options"] = "fastmath=True"
    Path("other.json").write_text(json.dumps(other))
    changed = call("profile", "--compare", "before.json", "other.json")
    assert changed.code == 0
    assert "! options: none before, fastmath=True after" in changed.err
    assert "1 of 1" not in changed.out
    again = call("profile", "--compare", "mine.py:double", "--options", "fastmath=True", *asked[2:4], "--json")
    assert json.loads(again.out)["results"]["verdict"] == "equal"


def test_a_helper_is_shown_in_what_calls_it_and_a_line_says_so(call, monkeypatch):
    asked = []
    monkeypatch.setattr("jitnet.profile.code.look.look", lambda targets, cpu, progress: asked.extend(targets) or [])
    code, _, err = call("profile", "--kernel", "limit_norms", "--json")
    assert code == 0
    assert [target.name for target in asked] == ["engine.updates.limit"]
    assert "--kernel limit_norms: a helper, copied into each loop that calls it; this is limit, which has it\n" in err


def test_a_fix_is_a_diff_and_nothing_else(call, monkeypatch):
    asked = []

    def profiled(target, **options):
        asked.append(options)
        return fixed

    monkeypatch.setattr("jitnet.profile.functions.profiling.profile_function", profiled)
    diff = "--- a/mine.py\n+++ b/mine.py\n@@ -1 +1 @@\n-@njit\n+@njit(fastmath=True)\n"
    trial = Trial("fastmath=True", 2.0, 1.9, 2.1, 0.0)
    fixed = replace(PROFILE, fix=Fix(("fastmath=True",), trial, diff, ("pass np.ascontiguousarray(x)",)))
    found = call("profile", "mine.py:double", "--fix", "--time", "30")
    assert found.code == 0
    assert found.out == (
        f"# {PROFILE.target}: fastmath=True\n"
        "# measured: 2.00 × faster (1.90 to 2.10), results equal\n"
        f"# not in the diff: pass np.ascontiguousarray(x)\n{diff}"
    )
    assert asked[0]["time_s"] == 30
    fixed = replace(PROFILE, fix=None, hints=(replace(PROFILE.hints[0], untried="it has to be changed by hand"),))
    found = call("profile", "mine.py:double", "--fix")
    assert (found.code, found.out) == (0, "")
    assert "it has to be changed by hand" in found.err
    assert "time_s" not in asked[1]
