"""docs/loops.md: its loops are the source's, its figures one run's, and its marks those that the script fills."""

import ast
import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from jitnet.bench.results import Level, Probes, Result
from jitnet.bench.rungs import RUNGS
from jitnet.compiler.decorators import plain
from jitnet.kernels import matmul

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "loops.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def loops() -> Any:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        return importlib.import_module("loops")
    finally:
        sys.path.remove(str(ROOT / "scripts"))


@pytest.fixture(scope="module")
def views(loops: Any) -> Any:
    return loops.line_views()


@pytest.fixture(scope="module")
def sections(loops: Any) -> dict[str, str]:
    """The text under each mark of the page."""
    return {name: text.rstrip("\n") for _, name, text, _ in loops.SECTION.findall(PAGE)}


def measured(loops: Any) -> Any:
    """Steps of 1, 10, 20, 30, 40 and 90 GFLOP/s at best, under 50 GFLOP/s a thread and 60 GB/s from the first cache."""
    results = tuple(
        Result("ladder", step.rung, "", 1, 1e9, 1e6, 1, (2.0 / gflops, 1.0 / gflops, 4.0 / gflops))
        for step, gflops in zip(loops.STEPS, (1, 10, 20, 30, 40, 90), strict=True)
    )
    one = Probes(1, 50.0, (Level(1, 60.0, 50.0), Level(2, 5.0, 5.0)), None)
    every = Probes(2, 100.0, (Level(1, 120.0, 100.0), Level(2, 6.0, 5.0)), 2.0)
    return loops.Measured(results, one, every, 0.8)


def test_the_page_and_the_script_have_the_same_marks(loops, sections, views):
    made = loops.sections(measured(loops), views)
    assert sections.keys() == made.keys()
    assert PAGE.count("<!-- loops: ") == PAGE.count("<!-- end -->") == len(made)
    assert all(sections.values()), "a mark with nothing under it"
    assert loops.update(PAGE, sections) == PAGE
    again = loops.update(PAGE, {**sections, "table": "| new |"})
    assert again != PAGE
    assert "<!-- loops: table -->\n| new |\n<!-- end -->" in again


def test_marks_that_do_not_agree_are_refused(loops, sections):
    with pytest.raises(SystemExit, match="differ: extra"):
        loops.update(PAGE, {**sections, "extra": ""})
    with pytest.raises(SystemExit, match="differ: table"):
        loops.update(PAGE, {name: text for name, text in sections.items() if name != "table"})
    with pytest.raises(SystemExit, match="differ"):
        loops.update(PAGE + "<!-- loops: table -->\n<!-- end -->\n", sections)


def test_the_pages_loops_are_those_of_the_source(loops, sections):
    for place, step in enumerate(loops.STEPS, 1):
        assert sections[f"source {place}"] == loops.source(step), f"run python scripts/loops.py: step {place} changed"


def test_a_quote_is_the_whole_function_without_its_description(loops):
    quoted = loops.source(loops.STEPS[0])
    assert quoted.startswith(
        "```python\n# jitnet/kernels/matmul.py\n"
        "@kernel(FLOATS_2D, FLOATS_2D, FLOATS_2D)\ndef textbook(x, w, out):\n    for n in"
    )
    assert quoted.endswith("out[n, o] = total\n```")
    for step in loops.STEPS:
        text = re.match(r"```python\n(.*?)```", loops.source(step), re.DOTALL)[1]
        original = ast.parse(inspect.getsource(plain(getattr(matmul, step.quoted[0][1])))).body[0]
        assert isinstance(original.body.pop(0), ast.Expr)
        assert ast.dump(ast.parse(text)) == ast.dump(ast.Module([original], []))


def test_the_steps_are_the_rungs_of_the_ladder(loops):
    assert [step.rung for step in loops.STEPS] == list(RUNGS)
    headings = re.findall(r"^## Step (\d): ", PAGE, re.MULTILINE)
    assert headings == [str(place) for place in range(1, len(RUNGS) + 1)]


def test_what_a_turn_asks_for(loops):
    textbook, reordered, blocked, summed, tile, threads = loops.STEPS
    assert textbook.intensity == 0.25
    assert reordered.intensity == pytest.approx(1 / 6)
    assert blocked.intensity == pytest.approx(1 / 3)
    assert summed.intensity == pytest.approx(2 / 3)
    assert tile.intensity == threads.intensity > 2


def test_the_line_views_are_of_these_loops_and_say_what_the_page_says(loops, views):
    """Whether an iteration loads and stores what the page says is checked when the text is made."""
    assert len(views) == 5
    for step, (view, loop) in zip(loops.STEPS, views, strict=False):
        assert view.function == step.quoted[0][1]
        assert loop.innermost
        text = loops.lines(step, view, loop)
        first, last = re.match(r"```text\nline (\d+)(?: to (\d+))?: ", text).groups()
        lines = (ROOT / step.quoted[0][0]).read_text(encoding="utf-8").splitlines()
        assert text.splitlines()[1].endswith(lines[int(last or first) - 1].strip())
    textbook = loops.lines(loops.STEPS[0], *views[0])
    [apart] = [line.split() for line in textbook.splitlines() if line.startswith("otherwise")]
    assert apart[1] == "1", "its columns are walked number by number"
    with pytest.raises(SystemExit, match=r"named sums: 0.667 FLOP per byte on the page, 0.333 in the machine code"):
        loops.lines(loops.STEPS[3], *views[2])


def test_figures_by_hand(loops):
    found = measured(loops)
    made = loops.sections(found, ())
    assert made["figures 1"].replace("\n", " ") == (
        "**1.0 GFLOP/s**, 2.0% of one thread's peak. An iteration of the innermost loop does 2 loads, no stores and "
        "1 multiply-add: 0.25 FLOP per byte. The first cache is fast enough for 15 GFLOP/s."
    )
    assert made["figures 2"].startswith("**10.0 GFLOP/s**, 20% of one thread's peak, 10 times step 1. An iteration")
    last = made["figures 6"].replace("\n", " ")
    assert last.startswith("**90.0 GFLOP/s**, 90% of the peak of 2 threads, 2.2 times step 5.")
    assert last.endswith("fast enough for more than the peak.")
    assert "| 2 reordered |" in made["table"]
    assert "| 10.0 | 5.0 | 20% | 0.17 |" in made["table"]
    assert "- on all 2 threads: 100 GFLOP/s" in made["limits"]
    assert max(len(line) for line in made["figures 6"].splitlines()) <= 120
    picture = loops.picture(found)
    assert [(point.mark, point.gflops) for point in picture.points][-1] == ("6", pytest.approx(90.0))
    # Its loop asks the first cache for 12 bytes a multiply-add: 60 GB/s are 10 GFLOP/s, all of which it reached.
    assert picture.points[1].share == pytest.approx(1.0)
    assert [ceiling.gflops for ceiling in picture.ceilings] == [100.0, 0.8]


def test_text_table_and_picture_are_of_one_run(loops, sections):
    table = re.findall(r"^\| \d (.+?) \|.*?\| ([\d.,]+) \|", sections["table"], re.MULTILINE)
    assert [name for name, _ in table] == [step.rung for step in loops.STEPS]
    for place, (_, gflops) in enumerate(table, 1):
        assert sections[f"figures {place}"].startswith(f"**{gflops} GFLOP/s**")
    # Letters are drawn as shapes there, each text under a comment that holds it: the legend column by column.
    texts = re.findall(r"<!-- (.*?) -->", (ROOT / "docs" / "loops.svg").read_text(encoding="utf-8"))
    names = texts.index("operation") + 1
    speeds = texts.index("GFLOP/s", names) + 1
    assert texts[names : names + len(table)] == [name for name, _ in table]
    assert texts[speeds : speeds + len(table)] == [gflops for _, gflops in table]
