"""The share of a hint: that of its line or its loop, and none where nothing ran."""

import pytest

from jitnet.profile.functions.hint_records import Hint
from jitnet.profile.functions.hint_shares import HintShares
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.places import Place
from jitnet.profile.functions.tried import in_order

SOURCE = """\
def f(x, y, rarely):
    for i in range(x.size):
        y[i] = x[i] * (
            2.0
        )
        if rarely:
            y[i] = 1.0
            x[i] = 2.0
        if not rarely:
            y[i] += 3.0
    row = x * 2
    return row
"""


@pytest.fixture
def shares(tmp_path):
    path = tmp_path / "theirs.py"
    path.write_text(SOURCE)
    lines = {2: 0.1, 3: 0.3, 4: 0.1, 7: 0.0, 8: 0.0, 11: 0.05}
    sampling = {
        "samples": 1000,
        "lines": [{"file": str(path), "line": line, "share": share} for line, share in lines.items()],
        "through": [{"file": str(path), "line": 11, "share": 0.35}],
        "loops": [{"kind": "loop", "place": {"file": str(path), "line": 2}, "share": 0.5}],
        "rest": [{"name": "allocation", "share": 0.3}, {"name": "Python", "share": 0.2}],
    }
    found = HintShares(sampling)
    return lambda kind, line: found.share(kind.value, str(path), line)


def test_a_line_has_its_statement_s_share(shares):
    assert shares(Kind.DIVISION, 3) == pytest.approx(0.4)
    assert shares(Kind.DIVISION, 4) == pytest.approx(0.4)


def test_what_keeps_a_loop_from_being_vectorised_has_the_loop_s(shares):
    assert shares(Kind.REDUCTION, 3) == 0.5
    assert shares(Kind.CALL, 2) == 0.5, "and so has the loop's head"


def test_a_block_that_never_ran_has_none(shares):
    assert shares(Kind.DIVISION, 7) == shares(Kind.REDUCTION, 8) == 0


def test_a_line_without_code_of_its_own_may_have_run(shares):
    assert shares(Kind.DIVISION, 10) == 0.5


def test_an_allocation_counts_for_the_line_that_it_came_from(shares):
    assert shares(Kind.ALLOCATION, 11) == 0.35
    assert 0 < shares(Kind.ALLOCATION, 9) <= 0.5


def test_what_is_no_matter_of_time_has_no_share(shares):
    assert shares(Kind.RACE, 3) is None
    assert shares(Kind.COMPILED_AGAIN, 1) is None
    assert shares(Kind.OBJECT_MODE, 1) == 0.2


def test_a_file_that_cannot_be_read_has_the_shares_of_its_lines():
    line = {"file": "<cell>", "line": 3, "share": 0.4}
    found = HintShares({"samples": 10, "lines": [line], "through": [], "loops": [], "rest": []})
    assert found.share(Kind.DIVISION.value, "<cell>", 4) is None


def test_hints_of_what_never_runs_come_last():
    def hint(kind: Kind, line: int, share: float | None) -> Hint:
        return Hint(kind.value, Place("theirs.py", line), "", "", "types", share)

    found = in_order([hint(Kind.CALL, 1, 0.0), hint(Kind.LAYOUT, 2, 0.5), hint(Kind.RACE, 3, None)])
    assert [each.place.line for each in found] == [3, 2, 1]
