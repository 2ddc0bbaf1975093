"""Documents of profiles, and what changed from one to another."""

import io
import json
import random
import re
from dataclasses import replace
from pathlib import Path

import fake_profiles as fake
import pytest

from jitnet import render
from jitnet.bench.comparison import rank_test
from jitnet.errors import UsageError
from jitnet.profile.document import FORMAT, FUNCTION_FORMAT, MOST_GROUPS, compare, read_document
from jitnet.profile.step.export import as_document
from jitnet.runs import as_json


def steady(us: float, count: int = 300, seed: int = 0) -> tuple[float, ...]:
    """Samples within 5% of `us`."""
    chance = random.Random(seed)
    return tuple(us * 1e-6 * chance.uniform(0.95, 1.05) for _ in range(count))


def measured(seed: int = 0, threads: tuple[int, ...] = (1, 2), **times: float) -> list:
    """Profiles whose rows take as long as `times` says, 10 µs else."""
    names = ("forward", "loss", "backward")
    found = []
    for count in threads:
        rows = [
            fake.row(name, 1.0, parts=count, samples_s=steady(times.get(name, 10.0), seed=seed + place))
            for place, name in enumerate(names)
        ]
        step_s = steady(sum(times.get(name, 10.0) for name in names), 30, seed)
        found.append(fake.profile(count, rows, plain_s=step_s, clocked_s=step_s))
    return found


def write(path: Path, document: object) -> Path:
    path.write_text(as_json(document) + "\n")
    return path


def test_a_document_has_every_sample_and_what_was_made_of_them(tmp_path):
    profiles = [fake.profile(1), fake.profile(2)]
    document = json.loads(write(tmp_path / "a.json", as_document(profiles)).read_text())
    assert document["format"] == FORMAT
    assert document["machine"]["cpu"] == fake.MACHINE.cpu
    assert document["machine"]["cache_bytes"] == 32 * fake.MIB
    assert document["settings"] == fake.SETTINGS
    assert document["threads"] == [step["threads"] for step in document["steps"]] == [1, 2]
    for step, profile in zip(document["steps"], profiles, strict=True):
        assert step["plain_s"] == list(profile.plain_s)
        assert step["step_s"] == profile.step_s
        assert step["accounted"] == profile.accounted
        assert len(step["by_thread"]) == profile.threads
        assert step["probes"][-1]["peak_gflops"] == 100.0 * profile.threads
    names = [row["name"] for row in document["rows"]]
    assert len(names) == 14
    assert names[:2] == ["whole step", "partial_logits 0"]
    row = document["rows"][-1]
    assert (row["name"], row["threads"], row["operation"]) == ("forward_sparse 0, next batch", 2, "forward_sparse")
    assert row["samples_s"] == list(profiles[1].rows[-1].samples_s)
    assert row["gflops"] == pytest.approx(100.0)
    assert row["verdict"]


def test_reading_returns_what_was_written(tmp_path):
    found = read_document(write(tmp_path / "a.json", as_document(measured())))
    assert (found.format, found.cpu, found.settings) == (FORMAT, fake.MACHINE.cpu, fake.SETTINGS)
    assert len(found.samples_s) == 8
    assert found.samples_s["forward 0", "32×784×128", 2] == list(steady(10.0))


BROKEN = {
    "{": "is not JSON",
    "[]": "names no form; expected 'jitnet profile 1'",
    '{"format": 1}': "names no form",
    '{"format": "jitnet bench 2"}': "is of the form 'jitnet bench 2'; expected 'jitnet profile 1'",
    '{"format": "jitnet profile function 99"}': "or 'jitnet profile function 1', which jitnet profile MODULE:FUNCTION",
    '{"format": "jitnet profile 1"}': "is broken: 'rows' is missing",
    '{"format": "jitnet profile 1", "rows": []}': "there are no rows",
    '{"format": "jitnet profile 1", "rows": [1]}': "is broken",
    '{"format": "jitnet profile function 1", "rows": [{"name": "f", "shape": "", "threads": 1, "samples_s": [1]}]}': (
        "row 'f' has fewer than two samples"
    ),
    '{"format": "jitnet profile 1", "rows": [{"name": "f", "shape": "", "threads": 1, "samples_s": [1, -1]}]}': (
        "one that is not a time"
    ),
    '{"format": "jitnet profile 1", "rows": [{"name": "f", "shape": "", "threads": 1, "samples_s": [1, 2]}]}': (
        "'machine' is missing"
    ),
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_file_that_is_not_a_profile(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_document(path)
    message = str(caught.value)
    assert message.startswith(f"--compare {path}: ")
    assert BROKEN[text] in message
    assert "jitnet profile" in message.split(";")[-1]
    assert "\n" not in message


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match=r"cannot be read .*jitnet profile --json > FILE"):
        read_document(tmp_path / "missing.json")
    with pytest.raises(UsageError, match="cannot be read"):
        read_document(tmp_path)
    (tmp_path / "b.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"^--other .*is not JSON"):
        read_document(tmp_path / "b.json", option="--other")


def test_what_is_slower_is_named_and_the_rest_is_not(tmp_path):
    before = read_document(write(tmp_path / "a.json", as_document(measured())))
    after = read_document(write(tmp_path / "b.json", as_document(measured(seed=9, forward=14.0, loss=7.0))))
    found = compare(before, after)
    assert found.notices == ()
    verdicts = {(change.name, change.threads): change.verdict for change in found.changes}
    expected = {"whole step": "same", "forward 0": "slower", "loss 0": "faster", "backward 0": "same"}
    assert verdicts == {(name, count): verdict for name, verdict in expected.items() for count in (1, 2)}
    [slower, _] = [change for change in found.changes if change.verdict == "slower"]
    assert slower.change == pytest.approx(0.4, abs=0.02)
    assert {change.verdict for change in compare(before, after, threshold=0.5).changes} == {"same"}
    file = io.StringIO()
    render.changes(render.make_console(file), found.changes, 0.1)
    assert "4 of 8 rows" in file.getvalue()
    assert compare(before, before).changes[0].change == 0.0


def test_a_slow_moment_that_lasts_is_no_proof(tmp_path):
    """60 steps within one slow moment are one observation and not 60: neighbours are tested together."""
    calm = list(steady(10.0))
    slow = [s * (1.3 if 100 <= place < 160 else 1.0) for place, s in enumerate(steady(10.0, seed=5))]
    assert rank_test(calm, slow) < 1e-4
    documents = []
    for name, samples in (("a", calm), ("b", slow)):
        profile = fake.profile(1, [fake.row("forward", 1.0, samples_s=tuple(samples))])
        documents.append(read_document(write(tmp_path / f"{name}.json", as_document([profile]))))
    change = compare(*documents, threshold=0.0).changes[1]
    assert change.verdict == "same"
    assert change.p > 0.005
    assert MOST_GROUPS < 50


def test_functions_are_compared_by_the_same_rows(tmp_path):
    document = {
        "format": FUNCTION_FORMAT,
        "machine": {"cpu": "one"},
        "settings": {"target": "pkg:f"},
        "rows": [{"name": "f", "shape": "f4[10]", "threads": 1, "samples_s": steady(5.0)}],
    }
    before = read_document(write(tmp_path / "a.json", document))
    document["rows"][0]["samples_s"] = steady(3.0)
    after = read_document(write(tmp_path / "b.json", document))
    found = compare(before, after)
    [change] = found.changes
    assert (change.name, change.shape, change.verdict) == ("f", "f4[10]", "faster")
    assert change.factor.value == pytest.approx(5 / 3, rel=0.05)
    assert change.factor.low <= change.factor.value <= change.factor.high
    assert found.notices == ()
    step = read_document(write(tmp_path / "c.json", as_document(measured())))
    with pytest.raises(UsageError, match="one is of the form 'jitnet profile function 1', the other 'jitnet profile"):
        compare(before, step)


def function(
    path: Path, shape: str = "f4[10]", us: float = 5.0, threads: tuple[int, ...] = (1,), **settings: str
) -> Path:
    """A document of a function's profile."""
    known = {"target": "pkg:f", "signature": "(array(float32, 1d, C))", "options": ""}
    rows = [{"name": "f", "shape": shape, "threads": count, "samples_s": steady(us)} for count in threads]
    made = {"format": FUNCTION_FORMAT, "machine": {"cpu": "one"}, "settings": {**known, **settings}, "rows": rows}
    return write(path, made)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"options": "fastmath=True"}, "options: none before, fastmath=True after"),
        ({"target": "pkg:g"}, "function: pkg:f before, pkg:g after"),
        (
            {"signature": "(array(float64, 1d, C))", "shape": "f8[10]"},
            "signature: (array(float32, 1d, C)) before, (array(float64, 1d, C)) after",
        ),
        (
            {"shape": "f4[20]"},
            "arguments: f4[10] before, f4[20] after; a call does other work, and so takes another time",
        ),
    ],
)
def test_functions_that_differ_are_compared_and_the_difference_is_named(tmp_path, changed, expected):
    before = read_document(function(tmp_path / "a.json", us=4.0))
    found = compare(before, read_document(function(tmp_path / "b.json", us=2.0, **changed)))
    assert found.notices == (expected,)
    assert [change.verdict for change in found.changes] == ["faster"]


def test_functions_are_compared_on_the_threads_that_both_have(tmp_path):
    before = read_document(function(tmp_path / "a.json"))
    after = read_document(function(tmp_path / "b.json", threads=(1, 2), options="parallel=True"))
    found = compare(before, after)
    assert [change.threads for change in found.changes] == [1]
    assert found.notices[-1] == f"only in {after.path}: f (2 threads)"
    with pytest.raises(UsageError, match="no row is in both, at the same threads"):
        compare(before, read_document(function(tmp_path / "c.json", threads=(2,))))


def shown(changes: tuple, terminal: int | None = None) -> str:
    file = io.StringIO()
    render.changes(render.make_console(file, terminal=terminal is not None, width=terminal, colour=False), changes, 0.1)
    return " ".join(file.getvalue().split())


def test_one_row_is_shown_whether_it_changed_or_not(tmp_path):
    before = read_document(function(tmp_path / "a.json"))
    text = shown(compare(before, read_document(function(tmp_path / "b.json", us=1.4))).changes, 80)
    assert "faster Faster, slower: changes above 10% that a rank test finds significant." in text
    assert re.search(r"3\.\d\dx 3\.\d to 3\.\d", text) or re.search(r"3\.\d\dx 3\.\d\d to 3\.\d\d", text)
    assert "-72% faster" not in text
    assert "0 of 1" not in text
    text = shown(compare(before, before).changes)
    assert "same The row has no change above 10% that a rank test finds significant." in text
    wide = shown(compare(before, read_document(function(tmp_path / "d.json", us=1.4))).changes)
    assert re.search(r"now µs time as fast range .* -72% 3\.\d\dx ", wide), "a sign belongs to the time"
    slower = shown(compare(before, read_document(function(tmp_path / "c.json", us=10.0))).changes)
    assert re.search(r" 0\.\d+x 0\.\d+ to 0\.\d+ \S+ slower ", slower)


def test_steps_that_all_changed_leave_no_row_unchanged(tmp_path):
    before = read_document(write(tmp_path / "a.json", as_document(measured(threads=(1,)))))
    other = measured(seed=9, threads=(1,), forward=20.0, loss=20.0, backward=20.0)
    text = shown(compare(before, read_document(write(tmp_path / "b.json", as_document(other)))).changes)
    assert text.count("slower") == 5, "four rows, and the sentence that says what is called slower"
    assert "0 of" not in text


def test_what_cannot_be_compared_is_refused_and_differences_are_reported(tmp_path):
    before = read_document(write(tmp_path / "a.json", as_document(measured())))
    other = {**fake.SETTINGS, "batch_size": 64, "optimizer": "adam"}
    with pytest.raises(UsageError, match="batch_size is 32 in one and 64 in the other; measure the same"):
        compare(before, replace(before, settings=other))
    with pytest.raises(UsageError, match=r"dropout is nothing in one and 0\.5 in the other"):
        compare(before, replace(before, settings={**fake.SETTINGS, "dropout": 0.5}))
    with pytest.raises(UsageError, match="no row is in both"):
        compare(before, replace(before, samples_s={("forward 0", "1", 1): [1.0, 2.0]}))
    fewer = {key: samples for key, samples in before.samples_s.items() if key[2] == 1 and key[0] != "loss 0"}
    found = compare(before, replace(before, cpu="Another", path=Path("b.json"), samples_s=fewer))
    assert len(found.changes) == 3
    machine, other_rows = found.notices
    assert "on another machine, A CPU of 2 cores; b.json on Another" in machine
    assert other_rows.startswith(
        f"only in {before.path}: loss 0 (1 thread), whole step (2 threads), forward 0 (2 threads)"
    )
