"""The roofline: what a loop can reach at most, by how many FLOP it does for each byte (Williams et al. 2009).

GFLOP/s are plotted over the intensity, FLOP for each byte, both axes logarithmic. The roof is flat where arithmetic is
the limit, at the measured peak, and slants where bandwidth is, a line for each level of memory: bandwidth times
intensity. This is the geometry; `render.roofline` draws it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jitnet.bench.results import Probes

__all__ = [
    "Bandwidth",
    "Ceiling",
    "Extent",
    "Point",
    "Roofline",
    "bandwidths_of",
    "level_names",
    "ticks",
]

LEVELS = ("first cache", "second cache", "last cache")

MARGIN = 1.5
"""Factor by which the picture extends beyond its contents."""


@dataclass(frozen=True)
class Bandwidth:
    """A level of memory, and its measured GB/s."""

    name: str
    gbs: float


@dataclass(frozen=True)
class Ceiling:
    """GFLOP/s that some kind of arithmetic cannot exceed: on more threads, or with one sum at a time."""

    name: str
    gflops: float


@dataclass(frozen=True)
class Point:
    """A loop. intensity: FLOP for each byte. share: of the roof that it reaches. nominal: intensity and GFLOP/s with
    skipped zeros counted, None where none were skipped. mark: its character in a picture, unless it is the next
    letter."""

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
    """The range of a picture: intensities from left to right, GFLOP/s from low to high."""

    left: float
    right: float
    low: float
    high: float


@dataclass(frozen=True)
class Roofline:
    """title: what was measured, as text. bandwidths: the fastest first. points: in the order of the program. left_out:
    names of those without a point, since they do no arithmetic, or move no bytes. ceilings: flat lines beside the peak.
    peak_name: what the peak is of. subtitle: lines that say on what machine it was measured, and of what."""

    title: str
    peak_gflops: float
    bandwidths: tuple[Bandwidth, ...]
    points: tuple[Point, ...]
    left_out: tuple[str, ...] = ()
    ceilings: tuple[Ceiling, ...] = ()
    peak_name: str = "multiply-adds"
    subtitle: tuple[str, ...] = ()

    def attainable(self, intensity: float, level: int = 0) -> float:
        """Return GFLOP/s under the roof of one level: the first, or another by its index."""
        return min(self.peak_gflops, self.bandwidths[level].gbs * intensity)

    def ridge(self, level: int) -> float:
        """Return the intensity from which on arithmetic is the limit and not this level."""
        return self.peak_gflops / self.bandwidths[level].gbs

    def extent(self) -> Extent:
        """Return the range of all points, the fastest level's slope and the slowest level's ridge, with a margin."""
        places = [(point.intensity, point.gflops) for point in self.points]
        places += [point.nominal for point in self.points if point.nominal]
        ridges = [self.ridge(level) for level in range(len(self.bandwidths))] or [1.0]
        intensities = [x for x, _ in places]
        speeds = [*(y for _, y in places), *(ceiling.gflops for ceiling in self.ceilings)]
        return Extent(
            min([min(ridges) / 8, *intensities]) / MARGIN,
            max([max(ridges), *intensities]) * MARGIN,
            min([self.peak_gflops / 30, *speeds]) / MARGIN,
            max([self.peak_gflops, *speeds]) * MARGIN,
        )


def level_names(count: int) -> tuple[str, ...]:
    """Return the names of so many measured levels, the smallest first; the last is memory."""
    return (*LEVELS[: count - 1], "memory") if count else ()


def bandwidths_of(probes: "Probes") -> tuple[Bandwidth, ...]:
    """Return the measured bandwidths of the levels of memory."""
    names = level_names(len(probes.levels))
    return tuple(Bandwidth(name, level.best_gbs) for name, level in zip(names, probes.levels, strict=True))


def ticks(low: float, high: float) -> Sequence[float]:
    """Return powers of ten from low to high; with 2 and 5 between them where these are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1.0, 2.0, 5.0) if high / low < 1000 else (1.0,)
    return [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
