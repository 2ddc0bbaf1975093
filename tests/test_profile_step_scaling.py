"""How a step scales: speed-up, efficiency, what is lost, and the operation that holds it back."""

import io

import fake_profiles as fake
import pytest

from jitnet import render
from jitnet.profile.step.scaling import scaling_of


def on(threads: int, forward_us: float, loss_us: float, **fields: object) -> object:
    """Two operations on so many threads: all else takes no time, unless specified."""
    rows = [fake.row("forward", forward_us, parts=threads), fake.row("loss", loss_us, layer=1, parts=threads)]
    plain = ((forward_us + loss_us) * 1e-6,) * 3
    made = {"plain_s": plain, "waiting_s": 0.0, "starting_s": 0.0, "rest_s": 0.0} | fields
    return fake.profile(threads, rows, **made)


def test_what_is_split_among_threads_gets_faster_and_what_each_does_does_not():
    found = scaling_of([on(4, 10.0, 8.0), on(1, 40.0, 8.0), on(2, 20.0, 8.0)])
    assert found.threads == (1, 2, 4)
    forward, loss, *others = found.rows
    assert forward.times_s == pytest.approx((40e-6, 20e-6, 10e-6))
    assert (forward.speed_up, forward.efficiency, forward.lost_s) == pytest.approx((4.0, 1.0, 0.0))
    assert (loss.speed_up, loss.efficiency, loss.lost_s) == pytest.approx((1.0, 0.25, 6e-6))
    assert [row.name for row in others] == ["waiting for others", "starting and joining", "outside all regions"]
    assert found.stops is loss
    assert found.step.speed_up == pytest.approx(48 / 18)
    assert found.step.lost_s == pytest.approx(6e-6)
    assert "2.67 times as fast on 4 threads as on 1. loss 1 holds it back most: 8.00 µs of a step on 1" in found.verdict
    assert "where an even share is 2.00 µs" in found.verdict


def test_waiting_may_be_the_limit():
    found = scaling_of([on(1, 40.0, 0.4), on(2, 20.0, 0.2, waiting_s=5e-6, starting_s=2e-6, plain_s=(27.2e-6,) * 3)])
    assert found.stops.name == "waiting for others"
    assert found.stops.speed_up is None
    assert {row.name: row.lost_s for row in found.rows[2:]} == {
        "waiting for others": pytest.approx(5e-6),
        "starting and joining": pytest.approx(2e-6),
        "outside all regions": 0.0,
    }
    assert "waiting for others holds it back most: nothing of a step on 1, 5.00 µs on 2." in found.verdict
    assert found.verdict.endswith("That is 5.00 µs of the 7.00 µs that the step loses.")
    found = scaling_of([on(1, 40.0, 0.4), on(2, 21.0, 0.2, waiting_s=5e-6)])
    assert found.verdict.endswith(" Of the operations forward 0 loses most, 1.00 µs.")


def test_a_line_that_only_one_program_has():
    one, two = on(1, 40.0, 8.0), on(2, 20.0, 4.0)
    two = fake.replace(two, rows=(*two.rows[:1], fake.row("add_partials", 7.0, layer=1)))
    found = scaling_of([one, two])
    rows = {row.name: row for row in found.rows}
    assert rows["loss 1"].times_s == (pytest.approx(8e-6), None)
    assert rows["loss 1"].lost_s == pytest.approx(-4e-6)
    assert rows["add_partials 1"].times_s == (None, pytest.approx(7e-6))
    assert found.stops.name == "add_partials 1"


def test_nothing_lost():
    found = scaling_of([on(2, 40.0, 8.0), on(4, 19.0, 3.0)])
    assert found.stops is None
    assert found.verdict.endswith("no operation takes longer than its share.")


@pytest.mark.parametrize("counts", [(), (1,), (2, 2)])
def test_one_count_does_not_scale(counts):
    with pytest.raises(ValueError, match="different counts"):
        scaling_of([fake.profile(count) for count in counts])


@pytest.mark.parametrize("width", [80, 120, None])
def test_the_table(width):
    file = io.StringIO()
    console = render.make_console(file, terminal=width is not None, width=width, colour=False)
    waiting = fake.replace(fake.profile(8), waiting_s=30e-6)
    render.scaling_table(console, scaling_of([fake.profile(1), fake.profile(2), fake.profile(4), waiting]))
    lines = file.getvalue().splitlines()
    assert all(len(line) <= (width or 400) for line in lines)
    [held] = [line for line in lines if " < " in line and "µs" not in line and "limits" not in line]
    assert held.startswith("waiting for others <")
    assert held.split()[-1] == "+30.0"
    [step] = [line for line in lines if line.startswith("whole step")]
    assert step.split()[-3:-1] != ["-", "-"]
    if width is None:
        assert any("32×784×128" in line for line in lines)
        assert lines[-1].count(".") >= 4, "the verdict is one line"
