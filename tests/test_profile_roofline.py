"""The roofline: where its lines and points lie, in the terminal and in the SVG picture."""

import io
import itertools
import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import fake_profiles as fake
import pytest

from jitnet import render
from jitnet.profile.roofline import Bandwidth, Ceiling, Point, Roofline, level_names, roofline_of, ticks
from jitnet.render.roofline import DOT, INK, MARKS, NOMINAL, ROOF, WRONG, _box, _overlap, marks

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
    """The rows of the picture, without what stands left of its axis."""
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
    assert [line for line in shown(many(), 120) if line.startswith("* above the roof is impossible")]


def test_a_mark_stands_where_its_numbers_say():
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


# ---- The SVG picture ----


def texts(svg: str) -> list[ElementTree.Element]:
    return ElementTree.fromstring(svg).findall(".//{*}text")


@pytest.mark.parametrize("found", PICTURES.values(), ids=PICTURES)
def test_the_svg_is_one_document_that_needs_nothing_else(found):
    svg = render.roofline_svg(found)
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not re.search(r"href|url\(|<script|<style|@import", svg)
    titles = [title.text for title in root.findall(".//{*}g/{*}title")]
    assert len(titles) == len(found.points)
    for title, point in zip(titles, found.points, strict=True):
        assert title.startswith(f"{point.name}: ")
        assert ("impossible" in title) == point.impossible
        assert ("nominal" in title) == bool(point.nominal)
    circles = root.findall(".//{*}circle")
    assert len(circles) == len(found.points) + sum(bool(point.nominal) for point in found.points)
    shown_texts = {text.text for text in texts(svg)}
    assert {f"{one.name} {one.gbs:,.0f} GB/s" for one in found.bandwidths} <= shown_texts
    assert {point.name for point in found.points} <= shown_texts
    for name in (found.peak_name, *(ceiling.name for ceiling in found.ceilings)):
        assert any(re.fullmatch(rf"{name} [\d.]+ GFLOP/s", text) for text in shown_texts)
    _, _, width, height = map(float, root.get("viewBox").split())
    for text in texts(svg):
        assert 0 <= float(text.get("x")) <= width
        assert 0 <= float(text.get("y")) <= height


def test_what_a_name_holds_does_not_break_the_svg():
    found = replace(SIMPLE, points=(Point("a < b & c", 1.0, 1.0, 0.1),), left_out=("<none>",))
    svg = render.roofline_svg(found)
    assert "a < b & c" in {text.text for text in texts(svg)}
    assert "No arithmetic: <none>." in {text.text for text in texts(svg)}


def corners_of(text: ElementTree.Element) -> list[tuple[float, float]]:
    """The place of a text, as the picture reckons it."""
    size = float(text.get("font-size", 13))
    width, x, y = len(text.text) * size * 0.58, float(text.get("x")), float(text.get("y"))
    x -= {"start": 0.0, "middle": width / 2, "end": width}[text.get("text-anchor", "start")]
    turn = re.match(r"rotate\((-?[\d.]+)", text.get("transform", "rotate(0"))
    return _box(x, y, width, size * 0.75, -math.radians(float(turn[1])))


@pytest.mark.parametrize("threads", [1, 2])
def test_no_text_lies_over_another(threads):
    found = roofline_of(fake.profile(threads))
    crowded = tuple(replace(point, intensity=1.0 + k / 50, gflops=9.0) for k, point in enumerate(found.points))
    for one in (found, replace(found, points=crowded), with_ceilings()):
        every = texts(render.roofline_svg(one))
        assert len(every) > 20
        for a, b in itertools.combinations(every, 2):
            assert not _overlap(corners_of(a), corners_of(b)), (a.text, b.text)


def test_names_of_slopes_that_run_side_by_side_lie_off_both():
    """The lower one of a close pair has its name below, the upper one above."""
    close = (Bandwidth("first cache", 150.0), Bandwidth("second cache", 80.0), Bandwidth("last cache", 75.0))
    found = replace(SIMPLE, bandwidths=close)
    lines = ElementTree.fromstring(render.roofline_svg(found)).findall("{*}line")
    slopes = [line for line in lines if line.get("stroke") == ROOF and line.get("y1") != line.get("y2")]
    names = [text for text in texts(render.roofline_svg(found)) if text.get("transform")]
    for text, line in itertools.product(names, slopes):
        x0, y0, x1, y1 = (float(line.get(end)) for end in ("x1", "y1", "x2", "y2"))
        sides = {(x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) > 0 for x, y in corners_of(text)}
        assert len(sides) == 1, f"a slope runs through {text.text}"


def test_turned_rectangles_overlap_where_they_share_a_place():
    flat = _box(0.0, 0.0, 10.0, 2.0)
    assert _overlap(flat, _box(9.0, 1.0, 10.0, 2.0))
    assert not _overlap(flat, _box(10.5, 0.0, 10.0, 2.0))
    slanting = _box(0.0, 0.0, 100.0, 5.0, math.pi / 4)
    assert not _overlap(slanting, _box(60.0, 0.0, 10.0, 10.0)), "within its upright frame, yet beside it"
    assert _overlap(slanting, _box(30.0, -25.0, 10.0, 10.0))


def brightness(colour: str) -> float:
    """Relative luminance of a colour (WCAG 2)."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("page", ["#ffffff", "#0d1117", "#000000"])
def test_colours_can_be_read_on_light_and_dark(page):
    """4 to 1 for what is read, where 4.5 is the most that both a white and a black page allow; 3 to 1 for shapes."""
    for colour, least in ((INK, 4.0), (ROOF, 4.0), (WRONG, 3.8), (DOT, 3.0)):
        light, dark = sorted((brightness(colour), brightness(page)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= least, colour
