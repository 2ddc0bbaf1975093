"""A step's profile on the screen: at 80 and 120 columns and in a pipe, of a small network and of a deep one."""

import io

import pytest

import jitnet
from jitnet import render
from jitnet.profile.step import profiler as measurement
from jitnet.profile.step.profiler import run_profile
from jitnet.profile.step.step_profile import Profile
from jitnet.profile.step.step_roofline import roofline_of

NETWORKS = {
    "default": ((32,), {}),
    "three layers": ((48, 24, 12), {"optimizer": "adam", "dropout": (0.2,), "threads": 1}),
}


@pytest.fixture(scope="module")
def profiles() -> dict[str, Profile]:
    data, found = jitnet.load("digits"), {}
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(measurement, "PROBES_S", 0.1)
    for name, (hidden, options) in NETWORKS.items():
        shape = jitnet.ModelConfig(in_features=data.in_features, hidden=hidden, n_classes=data.n_classes)
        model = jitnet.Model.create(shape, data, seed=0)
        found[name] = run_profile(model, data, jitnet.TrainConfig(**options), budget_s=0.2)
    monkeypatch.undo()
    return found


def shown(profile: Profile, width: int | None) -> list[str]:
    """The lines on a terminal so wide, or in a pipe."""
    file = io.StringIO()
    console = render.make_console(file, terminal=width is not None, width=width, colour=False)
    render.step_profile(console, profile)
    render.roofline_picture(console, roofline_of(profile))
    return file.getvalue().splitlines()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_the_terminal(profiles, name, width):
    lines = shown(profiles[name], width)
    assert max(len(line.rstrip()) for line in lines) <= width
    text = " ".join(" ".join(lines).split())
    for row in profiles[name].rows:
        assert row.name.replace(" batch", "") in text
        assert " ".join(row.verdict.split()[:2]) in text


@pytest.mark.parametrize("name", NETWORKS)
def test_in_a_pipe_a_row_is_a_line(profiles, name):
    lines = shown(profiles[name], None)
    for row in profiles[name].rows:
        own = [line for line in lines if row.name in line]
        assert any(row.shape in line and row.binds in line for line in own)
        assert any(row.verdict in line for line in own)
    assert not any(line != line.rstrip() for line in lines if "│" not in line and "┤" not in line)


def test_waiting_threads_and_regions_are_shown(profiles):
    lines = "\n".join(shown(profiles["default"], 120))
    for words in ("waiting for the slowest", "starting threads", "all else", "Threads, in a mean step"):
        assert words in lines
    assert ("what its threads cost" in lines) == any(region.parts > 1 for region in profiles["default"].regions)


def test_what_is_impossible_is_marked_and_skipped_zeros_have_two_figures(profiles):
    from dataclasses import replace

    profile = profiles["default"]
    first, second, *rest = profile.rows
    first = replace(first, roof=1.3, verdict="impossible: 130% of the multiply-add peak; a count or a roof is wrong")
    second = replace(second, nominal_flop=5 * second.flop)
    lines = shown(replace(profile, rows=(first, second, *rest)), None)
    marked = next(line for line in lines if first.name in line)
    assert "130%*" in marked
    assert any("* above the roof, which is impossible" in line for line in lines)
    both = next(line for line in lines if second.name in line)
    assert f"{second.gflops:.1f}/{5 * second.gflops:.0f}" in both
