"""The roofline: where its lines and points are, in the terminal and in the picture of a file."""

import io
import itertools
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import fake_profiles as fake
import matplotlib
import pytest
from matplotlib.figure import Figure
from matplotlib.path import Path as OutlinePath
from matplotlib.text import Text
from matplotlib.transforms import Affine2D

from jitnet import render
from jitnet.profile.roofline import Bandwidth, Ceiling, Point, Roofline, level_names, ticks
from jitnet.profile.step.step_roofline import roofline_of
from jitnet.render.roofline import MARKS, NOMINAL, marks
from jitnet.render.roofline_figure import roofline_figure, roofline_file

SIMPLE = Roofline("a test", 100.0, (Bandwidth("first cache", 200.0), Bandwidth("memory", 20.0)), ())


def many() -> Roofline:
    """A point for every mark, nearly all of them in one place; some impossible, some nominal."""
    points = [
        Point(f"operation {k}", 2.0 * 1.01**k, 30.0, 0.3 + k / 50, "latency", (9.0, 120.0) if k % 5 == 0 else None)
        for k in range(len(MARKS) + 2)
    ]
    return replace(SIMPLE, points=tuple(points), left_out=("gather 0",))


def with_ceilings() -> Roofline:
    """Six steps of one loop, numbered, under a peak of one thread: two threads have more, one sum has less."""
    speeds = (1.2, 27.0, 48.0, 61.0, 70.0, 190.0)
    intensities = (0.25, 0.17, 0.4, 0.67, 2.2, 2.2)
    points = [
        Point(f"step {k}", intensity, gflops, 0.5, mark=str(k))
        for k, (intensity, gflops) in enumerate(zip(intensities, speeds, strict=True), 1)
    ]
    ceilings = (Ceiling("both threads", 200.0), Ceiling("one sum at a time", 1.8))
    return replace(SIMPLE, points=tuple(points), ceilings=ceilings, peak_name="one thread")


PICTURES = {"empty": SIMPLE, "default": roofline_of(fake.profile()), "many": many(), "ceilings": with_ceilings()}


def shown(found: Roofline, width: int | None = 80, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace", write_through=True)
    console = render.make_console(file, terminal=width is not None, width=width)
    render.roofline_picture(console, found)
    return re.sub(r"\x1b\[[0-9;]*m", "", file.buffer.getvalue().decode(encoding)).splitlines()


def test_geometry_by_hand():
    assert SIMPLE.attainable(0.25) == 50.0
    assert SIMPLE.attainable(0.25, level=1) == 5.0
    assert SIMPLE.attainable(50.0) == 100.0
    assert [SIMPLE.ridge(level) for level in (0, 1)] == [0.5, 5.0]
    assert level_names(4) == ("first cache", "second cache", "last cache", "memory")
    assert level_names(2) == ("first cache", "memory")
    assert ticks(0.3, 400.0) == [1.0, 10.0, 100.0]
    assert ticks(3.0, 60.0) == pytest.approx([5.0, 10.0, 20.0, 50.0])


def test_a_profiles_rows_are_points():
    found = roofline_of(fake.profile())
    assert found.title == "Roofline on 2 threads"
    assert found.peak_gflops == 200.0
    assert [(one.name, one.gbs) for one in found.bandwidths] == [
        ("first cache", 400.0),
        ("second cache", 200.0),
        ("last cache", 100.0),
        ("memory", 20.0),
    ]
    assert found.left_out == ("gather 0",)
    points = {point.name: point for point in found.points}
    assert len(points) == 5
    sparse = points["backward_sparse 0"]
    assert (sparse.intensity, sparse.gflops, sparse.share) == pytest.approx((1.2e6 / 8.2e5, 75.0, 0.6))
    assert sparse.nominal == pytest.approx((6.4e6 / 8.2e5, 400.0))
    assert points["loss 1"].nominal is None
    assert not sparse.impossible
    assert roofline_of(fake.profile(rows=[fake.row("loss", 1.0, roof=1.01)])).points[0].impossible


@pytest.mark.parametrize("found", PICTURES.values(), ids=PICTURES)
def test_everything_is_within_the_extent(found):
    extent = found.extent()
    for point in found.points:
        for intensity, gflops in ((point.intensity, point.gflops), *([point.nominal] if point.nominal else [])):
            assert extent.left < intensity < extent.right
            assert extent.low < gflops < extent.high
    for level in range(len(found.bandwidths)):
        assert extent.left < found.ridge(level) < extent.right
    for gflops in (found.peak_gflops, *(ceiling.gflops for ceiling in found.ceilings)):
        assert extent.low < gflops < extent.high


def test_marks():
    assert marks(many().points) == [*MARKS, "+", "+"]
    assert len(set(MARKS)) == len(MARKS)
    assert NOMINAL not in MARKS
    numbered = [Point("a", 1, 1, 1, mark="1"), Point("b", 1, 1, 1), Point("c", 1, 1, 1)]
    assert marks(numbered) == ["1", "A", "B"]


# ---- In the terminal ----


@pytest.mark.parametrize("width", [60, 80, 120, None])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("found", PICTURES.values(), ids=PICTURES)
def test_lines_are_whole_and_fit(width, encoding, found):
    lines = shown(found, width, encoding)
    assert all(len(line) <= (width or 120) for line in lines)
    text = " ".join(" ".join(lines).split())
    for bandwidth in found.bandwidths:
        assert f"{bandwidth.name} {bandwidth.gbs:,.0f} GB/s" in text
    assert f"{found.peak_name} {found.peak_gflops:,.0f} GFLOP/s" in text
    for ceiling in found.ceilings:
        assert f"{ceiling.name} {ceiling.gflops:g} GFLOP/s" in text
    assert "?" not in text
    if width is None:
        assert "\x1b" not in text
        assert not [line for line in lines if line.endswith(" ")]


def plotted(lines: list[str]) -> list[str]:
    """The rows of the picture, without what is left of its axis."""
    return [re.split("[│┤]", line, maxsplit=1)[1] for line in lines if re.match(r"^ *[\d,.]* [│┤]", line)]


def test_the_picture_has_every_mark_once_and_its_row_below():
    roofs = r"first cache \d+ GB/s|memory \d+ GB/s|multiply-adds \d+ GFLOP/s"
    letters = "".join(re.findall(r"[A-Za-z\d+]", re.sub(roofs, "", "".join(plotted(shown(many()))))))
    assert sorted(letters.replace(NOMINAL, "")) == sorted(marks(many().points))
    assert letters.count(NOMINAL) == 1, "all in one place"
    lines = shown(roofline_of(fake.profile()))
    [line] = [line for line in lines if "backward_sparse 0" in line]
    assert line.split() == ["D", "backward_sparse", "0", "1.46", "75.0", "400.0", "60%", "arithmetic"]
    assert any(line.startswith("No arithmetic") and "gather 0" in line for line in lines)
    [wrong] = [line for line in shown(many(), 120) if "operation 36 " in line]
    assert "102%*" in wrong
    assert [line for line in shown(many(), 120) if line.startswith("* above the roof, which is impossible")]


def test_a_mark_is_where_its_numbers_say():
    """On the peak's row, and on the column of its ridge: on a drawn roof, where it takes the place of its dots."""
    points = (Point("ridge", 0.5, 100.0, 1.0, mark="@"), Point("below", 5.0, 10.0, 0.1, mark="#"))
    lines = plotted(shown(replace(SIMPLE, points=points)))
    [top] = [line for line in lines if "@" in line]
    assert top.rstrip()[-1] in "⠒⠤⣀⠉"
    assert not re.search(r"[⠀-⣿]{3}", top[: top.index("@") - 3]), "left of the ridge is no roof in this row"
    [low] = [line for line in lines if "#" in line]
    extent = replace(SIMPLE, points=points).extent()
    width = math.log(extent.right / extent.left)
    apart = (low.index("#") - top.index("@")) / len(lines[0])
    assert apart == pytest.approx(math.log(10) / width, abs=0.03)
    height = math.log(extent.high / extent.low)
    for line, gflops in ((top, 100.0), (low, 10.0)):
        assert lines.index(line) == int(len(lines) * math.log(extent.high / gflops) / height)


# ---- The picture in a file ----


def lines_of(figure: Figure) -> dict[str, list[tuple[float, float]]]:
    """The ends of each line, and the place of each point, by its name."""
    [axes] = figure.axes
    named = [line for line in axes.lines if not line.get_label().startswith("_")]
    found = {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in named if line.get_label()}
    assert len(found) == sum(bool(line.get_label()) for line in named), "a name twice"
    return found


@pytest.fixture(scope="module")
def figures() -> dict[str, Figure]:
    return {name: roofline_figure(found) for name, found in PICTURES.items()}


@pytest.mark.parametrize("name", PICTURES)
def test_the_figure_has_every_roof_and_every_point_at_its_place(figures, name):
    found, figure = PICTURES[name], figures[name]
    [axes] = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    extent, drawn = found.extent(), lines_of(figure)
    assert (*axes.get_xlim(), *axes.get_ylim()) == (extent.left, extent.right, extent.low, extent.high)
    for level, bandwidth in enumerate(found.bandwidths):
        low, ridge = drawn.pop(f"{bandwidth.name} {bandwidth.gbs:,.0f} GB/s")
        assert low[1] == pytest.approx(bandwidth.gbs * low[0])
        assert ridge == pytest.approx((found.ridge(level), found.peak_gflops))
    assert drawn.pop(f"{found.peak_name} {found.peak_gflops:,.0f} GFLOP/s") == [
        pytest.approx((found.ridge(0), found.peak_gflops)),
        pytest.approx((extent.right, found.peak_gflops)),
    ]
    for ceiling in found.ceilings:
        ends = drawn.pop(f"{ceiling.name} {ceiling.gflops:g} GFLOP/s")
        assert ends == [(extent.left, ceiling.gflops), (extent.right, ceiling.gflops)]
    for point in found.points:
        assert drawn.pop(point.name) == [(point.intensity, point.gflops)]
        assert drawn.pop(f"nominal {point.name}", [None]) == [point.nominal]
    assert not drawn


@pytest.mark.parametrize("name", PICTURES)
def test_the_figure_names_every_roof_and_marks_every_point(figures, name):
    found = PICTURES[name]
    names = [f"{one.name} {one.gbs:,.0f} GB/s" for one in found.bandwidths]
    names.append(f"{found.peak_name} {found.peak_gflops:,.0f} GFLOP/s")
    names += [f"{ceiling.name} {ceiling.gflops:g} GFLOP/s" for ceiling in found.ceilings]
    assert sorted(text.get_text() for text in figures[name].axes[0].texts) == sorted([*names, *marks(found.points)])


def test_above_the_roof_has_another_form_and_nominal_is_hollow(figures):
    """So that print in grey shows it."""
    forms = {line.get_label(): line for line in figures["many"].axes[0].lines}
    for point in many().points:
        assert forms[point.name].get_marker() == ("X" if point.impossible else "o")
        assert forms[point.name].get_fillstyle() == "full"
        if point.nominal:
            assert forms[f"nominal {point.name}"].get_fillstyle() == "none"


def test_title_and_legend_say_what_was_measured(figures):
    text = [text.get_text() for text in figures["default"].texts]
    assert text[:3] == [
        "Roofline on 2 threads",
        "A CPU of 2 cores, 256-bit vectors",
        "784-128-10, relu, sgd, batch 32, mnist",
    ]
    heads = ["", "operation", "FLOP/B", "GFLOP/s", "nominal", "roof", "bound by"]
    table = text[3 : 3 + 6 * len(heads)]
    rows = list(zip(*(table[at : at + 6] for at in range(0, len(table), 6)), strict=True))
    assert list(rows[0]) == heads
    assert rows[4] == ("D", "backward_sparse 0", "1.46", "75.0", "400.0", "60%", "arithmetic")
    assert "No arithmetic, so no place here: gather 0." in text


def outline(text: Text, renderer: object) -> OutlinePath:
    """The rectangle of a text as it is drawn, rotated."""
    angle, middle = text.get_rotation(), text.get_transform().transform(text.get_position())
    text.set_rotation(0.0)
    box = text.get_window_extent(renderer)
    text.set_rotation(angle)
    return OutlinePath(
        Affine2D().rotate_deg_around(*middle, angle).transform(box.corners()[[0, 1, 3, 2, 0]]), closed=True
    )


def crowded(threads: int) -> Roofline:
    found = roofline_of(fake.profile(threads))
    return replace(
        found, points=tuple(replace(point, intensity=1.0 + k / 50, gflops=9.0) for k, point in enumerate(found.points))
    )


@pytest.mark.parametrize(
    "found", [PICTURES["default"], crowded(1), crowded(2), with_ceilings()], ids=["default", "one", "two", "ceilings"]
)
def test_no_text_overlaps_another_or_leaves_the_figure(found):
    figure = roofline_figure(found)
    renderer = figure.canvas.get_renderer()
    axis = figure.axes[0]
    ticks_and_names = [*axis.get_xticklabels(), *axis.get_yticklabels(), axis.xaxis.label, axis.yaxis.label]
    figure.draw(renderer)
    every = [(text.get_text(), outline(text, renderer)) for text in (*figure.texts, *axis.texts)]
    every += [
        (text.get_text(), OutlinePath(text.get_window_extent(renderer).corners()[[0, 1, 3, 2, 0]]))
        for text in ticks_and_names
    ]
    every = [(name, path) for name, path in every if name]
    assert len(every) > 40
    for (a, first), (b, second) in itertools.combinations(every, 2):
        assert not first.intersects_path(second), (a, b)
    right, top = figure.bbox.size
    for name, path in every:
        assert (path.vertices >= 0).all(), name
        assert (path.vertices <= (right, top)).all(), name


def test_names_of_slopes_that_run_side_by_side_are_off_both():
    """The lower one of a close pair has its name below, the upper one above."""
    close = (Bandwidth("first cache", 150.0), Bandwidth("second cache", 80.0), Bandwidth("last cache", 75.0))
    figure = roofline_figure(replace(SIMPLE, bandwidths=close))
    [axes] = figure.axes
    names = [text for text in axes.texts if text.get_rotation()]
    slopes = [OutlinePath(axes.transData.transform(line.get_xydata())) for line in axes.lines]
    assert len(names) == 3
    for text, slope in itertools.product(names, slopes):
        name = outline(text, figure.canvas.get_renderer())
        assert not name.intersects_path(slope, filled=False), f"a line runs through {text.get_text()}"


def test_a_name_is_rotated_as_its_line_is(figures):
    [axes] = figures["default"].axes
    for text in axes.texts:
        if text.get_text().endswith("GB/s"):
            [line] = [line for line in axes.lines if line.get_label() == text.get_text()]
            (x0, y0), (x1, y1) = axes.transData.transform(line.get_xydata())
            assert text.get_rotation() == pytest.approx(math.degrees(math.atan2(y1 - y0, x1 - x0)))


@pytest.mark.parametrize(("kind", "magic"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_the_same_roofline_is_the_same_file_and_leaves_no_trace(monkeypatch, kind, magic):
    """With any style of the user's, and at any time."""
    first = roofline_file(SIMPLE, kind)
    assert first.startswith(magic)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"font.size": 17.0, "axes.facecolor": "black", "lines.markersize": 20.0}):
        assert roofline_file(SIMPLE, kind) == first
        assert matplotlib.rcParams["font.size"] == 17.0
    assert dict(matplotlib.rcParams) == before


def test_what_a_name_holds_does_not_break_the_svg():
    found = replace(SIMPLE, points=(Point("a < b & $\\frac$", 1.0, 1.0, 0.1),), left_out=("<none>",))
    svg = roofline_file(found, "svg")
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert b"a &lt; b &amp; $\\frac$" in svg


def test_drawing_opens_no_window_and_no_global_figure():
    code = (
        "import sys; from jitnet.profile.roofline import Bandwidth, Roofline; "
        "from jitnet.render.roofline_figure import roofline_file; "
        "roofline_file(Roofline('t', 1.0, (Bandwidth('memory', 2.0),), ()), 'png'); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
