"""`jitnet train --explain`: the program of a step is told whole, and nothing is trained."""

import itertools
import json
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import jitnet
from jitnet.config import MAX_THREADS
from jitnet.datasets import load
from jitnet.engine.operations import OPERATIONS
from jitnet.engine.ownership import SPLITS
from jitnet.errors import UsageError
from jitnet.machine.blocks import PARTIAL_UNITS, UPDATE_BLOCK
from jitnet.render import make_console, program_table
from jitnet.training import plan as plans
from jitnet.training.explanation import SPLITS_IN_WORDS, Explanation, explain
from jitnet.training.trainer import Trainer

MANY = 3
"""Threads: more than one, and no divisor of any count here."""

OPTIONS = {
    "plain": {},
    "adam": {"optimizer": "adam", "clip_norm": 1.0, "max_norm": 2.0, "ema": 0.99},
    "dropout": {"dropout": (0.5,), "weight_decay": 0.01},
    "layers": {
        "network": {"hidden": (64, 64), "norm": "layer", "residual": True, "input_scale": True},
        "clip_norm": 1.0,
    },
}


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> Callable[..., plans.Plan]:
    """Plans a training on the digits, on so many threads whatever this machine has."""
    here = replace(plans.describe_machine(), cores=MANY, affinity=MANY, cores_reason="as the test says")
    monkeypatch.setattr(plans, "describe_machine", lambda: here)

    def make(
        hidden: tuple[int, ...] = (128, 64),
        threads: int = MANY,
        batch_size: int = 70,
        network: dict[str, object] | None = None,
        **fields: object,
    ) -> plans.Plan:
        digits = load("digits")
        shape = jitnet.ModelConfig(**{"in_features": 64, "n_classes": 10, "hidden": hidden, **(network or {})})
        config = jitnet.TrainConfig(threads=threads, **fields)
        return plans.make_plan(jitnet.Model.create(shape, digits), digits.train, config, batch_size)

    return make


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What the table looks like in a terminal of so many columns."""

    def show(found: Explanation, width: int | None, terminal: bool = True) -> str:
        program_table(make_console(sys.stdout, terminal=terminal, width=width, colour=False), found)
        return capsys.readouterr().out

    return show


def in_words(text: str) -> str:
    """Without the places where lines break."""
    return " ".join(text.split())


def to_be_owned(plan: plans.Plan, split: str, layer: int) -> int:
    """How much there is of what a line is split by."""
    return {
        "units": int(plan.layout.layers[layer].padded_features),
        "units below": int(plan.layout.layers[layer - 1].padded_features),
        "panels": int(plan.layout.layers[layer].padded_features),
        "samples": plan.step.batch_size,
        "vectors of samples": plan.step.batch_size,
        "inputs": int(plan.layout.layers[layer].in_features),
        "blocks": -(-plan.layout.params // UPDATE_BLOCK),
    }[split]


@pytest.mark.parametrize("hidden", [(), (128,), (128, 64)], ids=str)
@pytest.mark.parametrize("name", OPTIONS)
def test_the_owners_cover_everything_once(planned, name, hidden):
    options = OPTIONS[name]
    plan = planned(
        hidden, **{key: value for key, value in options.items() if hidden or key not in ("dropout", "max_norm")}
    )
    for line in explain(plan).lines:
        assert line.split in SPLITS
        assert len(line.owners) == line.parts
        if line.split == "every part":
            assert set(line.owners) == {(0, plan.step.batch_size)}
            continue
        ends = [0]
        for first, last in line.owners:
            assert first == ends[-1]  # where the part before ends
            assert last >= first
            ends.append(last)
        assert ends[-1] == to_be_owned(plan, line.split, line.layer)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_line_of_the_program_is_told_as_it_is(planned, name):
    plan = planned(**OPTIONS[name])
    found, program = explain(plan), plan.program
    expected = [("first step", line) for line in program.first] + [("every step", line) for line in program.step]
    for told, (when, line) in zip(found.lines, expected, strict=True):
        assert (told.when, told.batch) == (when, "next" if line.next_batch else "this")
        for field in ("region", "operation", "layer", "kernels", "split", "parts", "reason", "waits_for"):
            assert getattr(told, field) == getattr(line, field), field
        assert (told.flop, told.bytes) == (line.cost.flop, line.cost.bytes)
        assert told.reason
        assert told.waits_for or told.region == 1
        assert set(told.kernels) <= set(OPERATIONS[told.operation].kernels)
    assert {line.batch for line in found.lines if line.when == "first step"} == {"this"}


def test_what_is_said_of_the_step_is_the_sum_of_its_lines(planned):
    plan = planned()
    found = explain(plan)
    every_step = [line for line in found.lines if line.when == "every step"]
    assert len(every_step) < len(found.lines)
    assert found.flop == sum(line.flop for line in every_step)
    assert found.bytes == sum(line.bytes for line in every_step)
    assert found.regions == len({line.region for line in every_step if line.parts > 1}) > 0
    assert (found.network, found.batch_size) == ((64, 128, 64, 10), 70)
    assert (found.threads, found.threads_reason) == (MANY, "as asked")
    assert (found.input_loops, found.input_reason) == (plan.input_loops, plan.input_reason)


def test_regions_of_one_part_are_not_parallel(planned):
    found = explain(planned(threads=1))
    assert found.begins_on == 0
    assert {line.parts for line in found.lines} == {1}
    assert found.regions == 0


def test_a_wide_terminal_has_kernels_and_reasons_in_the_row_of_their_operation(planned, shown):
    found = explain(planned((48,)))
    text = shown(found, 150)
    assert max(map(len, text.splitlines())) <= 150
    assert text.count("operation, layer") == 2  # ahead of the first step, and every step
    assert "kernels that it calls" not in text
    words = in_words(text)
    for line in found.lines:
        assert line.operation in words
        for kernel in line.kernels:
            assert kernel in words
    for line in found.lines:
        assert line.waits_for in words
    heads = next(row for row in text.splitlines() if "operation, layer" in row)
    assert re.split(r"\s{2,}", heads.strip())[:2] == ["region", "operation, layer"]
    for head in ("kernels", "split by", "parts", "why so", "FLOP", "bytes"):
        assert head in heads


@pytest.mark.parametrize("width", [80, 149])
def test_a_narrow_terminal_has_tables_of_their_own_for_them(planned, shown, width):
    found = explain(planned())
    text = shown(found, width)
    assert max(map(len, text.splitlines())) <= width
    owners, regions, kernels = text.index("part by part"), text.index("why so many"), text.index("kernels that it")
    assert owners < regions < kernels
    for line in found.lines:
        assert line.operation in in_words(text[:regions])
        assert line.reason in in_words(text[regions:kernels])
        assert "waits for" in in_words(text[regions:kernels])
        assert line.waits_for in in_words(text[regions:kernels])
        for kernel in line.kernels:
            assert kernel in in_words(text[kernels:])


def rows_of(text: str) -> list[list[str]]:
    """A table's cells, from a stream that breaks no row."""
    return [re.split(r"\s{2,}", row.strip()) for row in text.splitlines()]


def test_a_pipe_gets_a_row_a_line_and_what_each_part_owns(planned, shown):
    found = explain(planned())
    text = shown(found, None, terminal=False)
    assert "\x1b" not in text
    rows = rows_of(text)
    for line in found.lines:
        name = f"{line.operation} {line.layer}" + (", next batch" if line.batch == "next" else "")
        owned = " ".join(f"{first}–{last - 1}" if last > first else "-" for first, last in line.owners)
        kernels = ", ".join(line.kernels) or "-"
        told = [name, kernels, line.split, str(line.parts), owned]
        assert any(row[k : k + 5] == told for row in rows for k in (0, 1)), told
    for region in {line.region for line in found.lines}:
        begins = [row for row in rows if row[0] == str(region) and len(row) >= 9]
        reasons = {line.reason for line in found.lines if line.region == region}
        assert [{row[6]} for row in begins] == [reasons]


def test_of_many_parts_the_first_and_the_last_are_shown(planned, shown):
    found = explain(planned())
    line = replace(found.lines[-1], parts=6, owners=tuple((8 * part, 8 * part + 8) for part in range(6)))
    text = in_words(shown(replace(found, lines=(line,)), None, terminal=False))
    assert " 0–7 … 40–47 " in text
    assert "8–15" not in text


def test_counts_have_a_unit(planned, shown):
    found = replace(explain(planned()), flop=25_140_000.0, bytes=999.0)
    every_step = [line for line in found.lines if line.when == "every step"]
    counts = {1: "1 parallel region", 2: "2 parallel regions"}
    for count, words in counts.items():
        lines = tuple(replace(line, region=7 + k % count) for k, line in enumerate(every_step))
        text = shown(replace(found, lines=lines, regions=count), None, terminal=False)
        step = next(row for row in text.splitlines() if row.startswith("step"))
        assert step.split("  ")[-1].strip() == f"{words}, 25.1 MFLOP, 999 B"


@pytest.mark.parametrize(("parallel", "words"), [(0, "none of them parallel"), (1, "1 of them parallel")])
def test_regions_that_are_not_parallel_are_counted_too(planned, shown, parallel, words):
    """The count is that of the regions which the table numbers."""
    found = explain(planned(threads=1, network=OPTIONS["layers"]["network"]))
    numbered = len({line.region for line in found.lines if line.when == "every step"})
    assert numbered > 2
    assert f"step     {numbered} regions, {words}, " in shown(replace(found, regions=parallel), 120)


def test_each_split_of_the_table_is_explained(planned, shown):
    assert list(SPLITS_IN_WORDS) == list(SPLITS)
    seen = set()
    for name, batch_size in itertools.product(OPTIONS, (8, 70)):
        for threads in (1, MANY):
            found = explain(planned(threads=threads, batch_size=batch_size, **OPTIONS[name]))
            splits = {line.split for line in found.lines}
            legend = shown(found, 200).partition("counted in:")[2]
            told = {re.split(r"\s{2,}", row)[0] for row in legend.strip().splitlines()}
            assert told == splits
            seen |= splits
    assert seen >= {"units", "units below", "samples", "vectors of samples", "panels", "blocks", "inputs"}


def test_the_network_is_told_as_bench_and_profile_do(planned, shown):
    found = explain(planned(**OPTIONS["layers"], optimizer="adam"))
    assert "network  64-64-64-10, layer norm, relu, residual, input scale, adam, batch 70\n" in shown(found, 120)
    assert "network  64-128-64-10, relu, sgd, batch 70\n" in shown(explain(planned()), 120)


@pytest.fixture
def explained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """`jitnet train --explain` in an empty folder: what it says, where nothing is compiled, trained or written."""
    from jitnet.cli import run
    from jitnet.training.trainer import Trainer

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JITNET_DATA", raising=False)

    def forbidden(*arguments: object, **options: object) -> None:
        raise AssertionError("--explain trains nothing")

    for name in ("prepare", "run", "epochs"):
        monkeypatch.setattr(Trainer, name, forbidden)
    for name in ("load_loop", "compile_ahead"):
        monkeypatch.setattr(f"jitnet.engine.loop.{name}", forbidden)

    def said(*arguments: str) -> str:
        assert run(["train", "--data", "digits", "--explain", *arguments]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        assert list(tmp_path.iterdir()) == []
        return out

    return said


def test_the_command_trains_nothing_and_leaves_no_folder(explained):
    text = explained("--hidden", "32", "--batch-size", "16", "--threads", "1")
    assert re.search(r"^network +64-32-10, relu, sgd, batch 16$", text, re.MULTILINE)
    assert re.search(r"^threads +1 \(as asked\)$", text, re.MULTILINE)
    assert re.search(r"^inputs +dense loops \(\d+% of the inputs are not zero\)$", text, re.MULTILINE)
    assert "Before the first step of a call" in text
    assert "Every step" in text


@pytest.mark.parametrize("threads", [1, 16, 64, MAX_THREADS])
def test_any_number_of_threads_is_shown_whatever_the_cores(explained, monkeypatch, threads):
    here = replace(plans.describe_machine(), cores=2, affinity=2, cores_reason="2 cores by affinity")
    monkeypatch.setattr(plans, "describe_machine", lambda: here)
    options = ("--hidden", "2048", "--batch-size", "512", "--threads", str(threads))
    words = in_words(explained(*options))
    note = "this process may use 2 cores, and trains on no more threads"
    assert (note in words) == (threads > 2)
    assert ("--json has all of them" in words) == (threads > 4)
    document = json.loads(explained(*options, "--json"))
    assert document["threads"] == threads
    assert (note in document["threads_reason"]) == (threads > 2)
    assert all(len(line["owners"]) == line["parts"] <= threads for line in document["lines"])
    most, groups = max(line["parts"] for line in document["lines"]), 2048 // PARTIAL_UNITS
    assert most == threads if threads <= groups else groups < most < threads  # more in pieces than there are groups


def test_more_threads_than_cores_are_shown_and_do_not_train(planned):
    cores = plans.describe_machine().affinity
    digits = load("digits")
    model = jitnet.Model.create(jitnet.ModelConfig(in_features=64, n_classes=10), digits)
    config, refused = (
        jitnet.TrainConfig(threads=cores + 1),
        f"threads is {cores + 1}; this process may use 1 to {cores} ",
    )
    with pytest.raises(UsageError, match=refused):
        Trainer(model, digits, config)
    trainer = Trainer(model, digits, config, any_threads=True)
    assert explain(trainer.plan).threads == cores + 1
    with pytest.raises(UsageError, match=refused):
        trainer.run()


def test_json_has_every_field_of_the_explanation(explained, planned):
    document = json.loads(explained("--hidden", "32", "--batch-size", "16", "--threads", "1", "--json"))
    found = explain(planned((32,), threads=1, batch_size=16))
    expected = json.loads(json.dumps(asdict(found)))
    assert set(expected) <= set(document)
    assert {name: document[name] for name in expected} == expected
