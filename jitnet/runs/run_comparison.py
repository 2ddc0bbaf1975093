"""Several runs beside each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from jitnet.errors import ModelError, UsageError
from jitnet.files.names import METRICS
from jitnet.runs.listing import PARTS, RunRecord, differences, read_epochs, read_run

__all__ = ["Comparison", "RunCurves", "compare", "member_runs", "read_curves"]


@dataclass(frozen=True)
class RunCurves:
    """A run with the reports of its epochs, as metrics.jsonl has them; at least one."""

    record: RunRecord
    reports: Sequence[Mapping[str, Any]]

    def last_loss(self, part: str) -> float | None:
        """The loss on a part of the data, "train", "val" or "test", after the last epoch in which it was measured."""
        seen = [value for one in self.reports if (value := one.get(f"{part}_loss")) is not None]
        return seen[-1] if seen else None


@dataclass(frozen=True)
class Comparison:
    """runs: in the order in which they were named. differing: names of settings, as `differences` returns them.
    notices: what to mind where their curves are not of the same measure."""

    runs: Sequence[RunCurves]
    differing: Sequence[str]
    notices: Sequence[str]


def compare(paths: Sequence[Path]) -> Comparison:
    """Return runs beside each other. ModelError where one cannot be read or has no epoch yet; UsageError where one is
    named twice, or some predict classes and others numbers."""
    repeated = [path for k, path in enumerate(paths) if path.resolve() in {one.resolve() for one in paths[:k]}]
    if repeated:
        raise UsageError(f"{repeated[0]} is named twice; name each run once")
    runs = [read_curves(path) for path in paths]
    first = runs[0]
    for other in runs[1:]:
        if other.record.score.metric != first.record.score.metric:
            of_classes, of_numbers = (first, other) if first.record.score.metric == "accuracy" else (other, first)
            raise UsageError(
                f"{of_classes.record.path} predicts classes and {of_numbers.record.path} numbers: their scores and "
                "losses are of different kinds; compare runs of one kind"
            )
    notices = []
    for names, what in (
        (("data.name", "data.checksum"), "the runs were trained on different data"),
        (("model.loss",), "the runs have different loss functions, whose values cannot be compared"),
        (("train.label_smoothing",), "label smoothing differs, and with it what training losses are of"),
    ):
        if any(len({repr(one.record.settings.get(name)) for one in runs}) > 1 for name in names):
            notices.append(what)
    if len({one.record.score.part for one in runs}) > 1:
        parts = " and ".join(sorted({PARTS[one.record.score.part] for one in runs}))
        notices.append(f"the best scores are on different parts of the data: {parts}")
    return Comparison(runs, differences([one.record for one in runs]), notices)


def read_curves(path: Path) -> RunCurves:
    """Return a run with its epochs. ModelError where it cannot be read, or no epoch ended yet."""
    if not path.is_dir():
        what = "is a file" if path.exists() else "is missing"
        raise ModelError(f"{path}: expected a run folder, and it {what}; jitnet runs lists the runs")
    record = read_run(path)
    if record.config_problem:
        raise ModelError(f"{path}: {record.config_problem}; expected a run folder, jitnet runs lists them")
    try:
        reports = read_epochs(path)
    except FileNotFoundError:
        reports = []
    except OSError as error:
        raise ModelError(f"{path}: its metrics cannot be read: {(error.strerror or str(error)).lower()}") from None
    if not reports and (members := member_runs(path)):
        names = " ".join(quote(str(member)) for member in members)
        raise ModelError(f"{path}: is a committee, and its members have the curves: name these, {names}")
    if not reports:
        raise ModelError(f"{path}: no epoch of this run has ended, so there are no curves; train it first")
    return RunCurves(record, reports)


def member_runs(path: Path) -> list[Path]:
    """Return the folders of the members of a committee's run that have epochs, in their order; none of other runs."""
    if not path.is_dir() or not read_run(path).is_committee:
        return []
    found = [one for one in path.glob("member-*") if (one / METRICS).is_file()]
    return sorted(found, key=lambda one: (len(one.name), one.name))
