"""A roofline as a drawing inside a page: SVG written by hand, in the page's colours."""

import math
import string
from html import escape

from jitnet.profile.roofline import Point, Roofline, ticks

__all__ = ["letters", "roofline_svg"]

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 430, 60, 20, 16, 46

NEAR = 16.0
"""Pixels around a letter in which no other is written."""

ALONG, ABOVE = 14.0, 4.0
"""Pixels from the begin of a roof to that of its name, along the line and across."""

AROUND = [(10, -8), (10, 16), (-16, -8), (-16, 16), (24, 4), (-30, 4), (10, -26), (10, 34), (-16, -26), (-16, 34)]
"""Where a point's letter may be, from its middle."""


def letters(points: tuple[Point, ...]) -> list[str]:
    """Return a letter for each point, "+" where there are no more."""
    return [*string.ascii_uppercase, *["+"] * len(points)][: len(points)]


def roofline_svg(found: Roofline) -> str:
    """Return the drawing: the roofs with their names, and a letter for each point."""
    extent = found.extent()

    def x(intensity: float) -> float:
        part = math.log(intensity / extent.left) / math.log(extent.right / extent.left)
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def y(gflops: float) -> float:
        part = math.log(gflops / extent.low) / math.log(extent.high / extent.low)
        return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)

    def line(kind: str, begin: tuple[float, float], end: tuple[float, float]) -> str:
        (x1, y1), (x2, y2) = begin, end
        return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'

    def text(place: tuple[float, float], content: str, kind: str = "", anchor: str = "start", turn: float = 0.0) -> str:
        turned = f' transform="rotate({turn:.1f} {place[0]:.1f} {place[1]:.1f})"' if turn else ""
        return (
            f'<text class="{kind}" x="{place[0]:.1f}" y="{place[1]:.1f}" text-anchor="{anchor}"{turned}>'
            f"{escape(content)}</text>"
        )

    left, right, low, high = x(extent.left), x(extent.right), y(extent.low), y(extent.high)
    parts = []
    for intensity in ticks(extent.left, extent.right):
        at = x(intensity)
        parts += [line("grid", (at, low), (at, high)), text((at, low + 16), f"{intensity:,g}", "faint", "middle")]
    for gflops in ticks(extent.low, extent.high):
        at = y(gflops)
        parts += [line("grid", (left, at), (right, at)), text((left - 6, at + 4), f"{gflops:,g}", "faint", "end")]
    parts.append(text(((left + right) / 2, HEIGHT - 8), "FLOP per byte", "faint", "middle"))
    parts.append(text((14, (low + high) / 2), "GFLOP/s", "faint", "middle", -90.0))
    peak = y(found.peak_gflops)
    ridges = [found.ridge(level) for level in range(len(found.bandwidths))]
    parts.append(line("roof", (x(min(ridges, default=extent.left)), peak), (right, peak)))
    parts.append(text((right, peak - 6), _flat(found.peak_name, found.peak_gflops), "name", "end"))
    for ceiling in found.ceilings:
        at = y(ceiling.gflops)
        parts += [line("ceiling", (left, at), (right, at))]
        parts.append(text((right, at - 6), _flat(ceiling.name, ceiling.gflops), "name", "end"))
    names: list[str] = []
    for bandwidth, ridge in zip(found.bandwidths, ridges, strict=True):
        begins = max(extent.left, extent.low / bandwidth.gbs)
        begin, end = (x(begins), y(bandwidth.gbs * begins)), (x(ridge), peak)
        angle = math.atan2(end[1] - begin[1], end[0] - begin[0])
        parts.append(line("roof", begin, end))
        # So near to its line that it fits below another one: two caches may differ by little.
        above = (
            begin[0] + ALONG * math.cos(angle) + ABOVE * math.sin(angle),
            begin[1] + ALONG * math.sin(angle) - ABOVE * math.cos(angle),
        )
        names.append(text(above, f"{bandwidth.name} {bandwidth.gbs:,.0f} GB/s", "name", "start", math.degrees(angle)))
    parts += names  # above all lines
    parts += _points(found, [(x(point.intensity), y(point.gflops)) for point in found.points])
    described = escape(found.title)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{described}">'
        f"<title>{described}</title>{''.join(parts)}</svg>"
    )


def _flat(name: str, gflops: float) -> str:
    return f"{name} {gflops:,.{0 if gflops >= 10 else 1}f} GFLOP/s"


def _points(found: Roofline, places: list[tuple[float, float]]) -> list[str]:
    """Return the points, each with a title and a letter where no other letter or point is near."""
    parts, taken = [], list(places)
    for point, letter, (at_x, at_y) in zip(found.points, letters(found.points), places, strict=True):
        title = f"{point.name}: {point.gflops:,.1f} GFLOP/s, {point.intensity:.2f} FLOP per byte"
        parts.append(
            f'<circle class="point" cx="{at_x:.1f}" cy="{at_y:.1f}" r="5.5"><title>{escape(title)}</title></circle>'
        )
        tried = [(at_x + dx, at_y + dy) for dx, dy in AROUND]
        free = [
            (tx, ty)
            for tx, ty in tried
            if all(math.hypot(tx + 4 - ox, ty - 4 - oy) > NEAR / 1.3 for ox, oy in taken)
            and LEFT < tx < WIDTH - RIGHT
            and TOP < ty < HEIGHT - BOTTOM
        ]
        tx, ty = free[0] if free else tried[0]
        taken.append((tx + 4, ty - 4))
        parts.append(f'<text class="letter" x="{tx:.1f}" y="{ty:.1f}">{letter}</text>')
    return parts
