"""The roofline: what a loop may reach at most, given how many FLOP it does for each byte (Williams et al. 2009).

GFLOP/s stand over the intensity, FLOP for each byte, both in powers of ten. The roof is flat where arithmetic binds, at
the measured peak, and slants where bytes do, a line for each level of memory: bandwidth times intensity. All of it is
geometry; `render.roofline` draws it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jitnet.bench.figures import threads_text
from jitnet.bench.results import Probes
from jitnet.profile.step.step_profile import Profile

__all__ = [
    "Bandwidth",
    "Ceiling",
    "Extent",
    "Point",
    "Roofline",
    "bandwidths_of",
    "level_names",
    "roofline_of",
    "ticks",
]

LEVELS = ("first cache", "second cache", "last cache")

ROOM = 1.5
"""Factor that the picture reaches beyond what is in it."""


@dataclass(frozen=True)
class Bandwidth:
    """A level of memory, and the GB/s that it was measured to give."""

    name: str
    gbs: float


@dataclass(frozen=True)
class Ceiling:
    """GFLOP/s that arithmetic of some kind cannot exceed: on more threads, or one sum at a time."""

    name: str
    gflops: float


@dataclass(frozen=True)
class Point:
    """A loop. intensity: FLOP for each byte. share: of the roof that it reaches. nominal: intensity and GFLOP/s as they
    would be had zeros been multiplied too, None where none were skipped. mark: its character in a picture, where it is
    not to be the next letter."""

    name: str
    intensity: float
    gflops: float
    share: float
    binds: str = ""
    nominal: tuple[float, float] | None = None
    mark: str = ""

    @property
    def impossible(self) -> bool:
        return self.share > 1.0


@dataclass(frozen=True)
class Extent:
    """What a picture has to show: intensities from left to right, GFLOP/s from low to high."""

    left: float
    right: float
    low: float
    high: float


@dataclass(frozen=True)
class Roofline:
    """title: what was measured, for people. bandwidths: the fastest first. points: in the order of the program.
    left_out: names of those that have no place, for they do no arithmetic, or move no bytes. ceilings: flat lines
    beside the peak. peak_name: what the peak is of. subtitle: lines that say where it was measured, and of what."""

    title: str
    peak_gflops: float
    bandwidths: tuple[Bandwidth, ...]
    points: tuple[Point, ...]
    left_out: tuple[str, ...] = ()
    ceilings: tuple[Ceiling, ...] = ()
    peak_name: str = "multiply-adds"
    subtitle: tuple[str, ...] = ()

    def attainable(self, intensity: float, level: int = 0) -> float:
        """GFLOP/s under the roof of one level: the first, or another by its place."""
        return min(self.peak_gflops, self.bandwidths[level].gbs * intensity)

    def ridge(self, level: int) -> float:
        """Intensity from which on arithmetic binds and not this level."""
        return self.peak_gflops / self.bandwidths[level].gbs

    def extent(self) -> Extent:
        """All points, the slope of the fastest level, the ridge of the slowest, and some room round them."""
        places = [(point.intensity, point.gflops) for point in self.points]
        places += [point.nominal for point in self.points if point.nominal]
        ridges = [self.ridge(level) for level in range(len(self.bandwidths))] or [1.0]
        intensities = [x for x, _ in places]
        speeds = [*(y for _, y in places), *(ceiling.gflops for ceiling in self.ceilings)]
        return Extent(
            min([min(ridges) / 8, *intensities]) / ROOM,
            max([max(ridges), *intensities]) * ROOM,
            min([self.peak_gflops / 30, *speeds]) / ROOM,
            max([self.peak_gflops, *speeds]) * ROOM,
        )


def level_names(count: int) -> tuple[str, ...]:
    """Names of so many measured levels, the smallest first; the last is memory."""
    return (*LEVELS[: count - 1], "memory") if count else ()


def bandwidths_of(probes: Probes) -> tuple[Bandwidth, ...]:
    """What the levels of memory were measured to give."""
    names = level_names(len(probes.levels))
    return tuple(Bandwidth(name, level.best_gbs) for name, level in zip(names, probes.levels, strict=True))


def roofline_of(profile: Profile) -> Roofline:
    """Every row that does arithmetic and moves bytes, at its median, under the roofs of the profile's threads.

    A row that skips zeros stands where its own FLOP put it; its nominal place is that of dense loops which take as
    long, for as many bytes.
    """
    points, left_out = list[Point](), list[str]()
    for row in profile.rows:
        if not (row.flop > 0 and row.bytes > 0 and row.median_s > 0):
            left_out.append(row.name)
            continue
        more = row.nominal_flop / row.flop
        nominal = (row.intensity * more, row.gflops * more) if row.skips_zeros else None
        points.append(Point(row.name, row.intensity, row.gflops, row.roof, row.binds, nominal))
    title = f"Roofline on {threads_text(profile.threads)}"
    return Roofline(
        title,
        profile.probes.peak_gflops,
        bandwidths_of(profile.probes),
        tuple(points),
        tuple(left_out),
        subtitle=(profile.machine_text, f"{profile.network_text}, {profile.settings['data']}"),
    )


def ticks(low: float, high: float) -> Sequence[float]:
    """Powers of ten from low to high; with 2 and 5 between them where these are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1.0, 2.0, 5.0) if high / low < 1000 else (1.0,)
    return [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
