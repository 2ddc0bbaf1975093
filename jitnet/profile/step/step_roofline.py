"""The roofline of a training step: a point for each of its lines."""

from jitnet.bench.figures import threads_text
from jitnet.profile.roofline import Point, Roofline, bandwidths_of
from jitnet.profile.step.step_profile import Profile

__all__ = ["roofline_of"]


def roofline_of(profile: Profile) -> Roofline:
    """Return every row that does arithmetic and moves bytes, at its median, under the roofs of the profile's threads.

    A row that skips zeros is at the FLOP that it does; its nominal point is that of dense loops of the same time and
    the same bytes.
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
