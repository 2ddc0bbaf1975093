"""Past runs: what their folders say, read quickly, and the one that a word names.

Of a run that ended only config.json is read, which then has its best score; of another one the metrics too. What is
broken is part of the record, not an error: one bad folder hides no other. NumPy and Numba are not imported.
"""

import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from jitnet.config import TrainConfig
from jitnet.config.nearest import nearest
from jitnet.errors import ModelError, OutputError, UsageError
from jitnet.files.names import CONFIG, METRICS, MODEL
from jitnet.version import __version__

__all__ = [
    "BASE",
    "LATEST",
    "PARTS",
    "RunRecord",
    "Score",
    "differences",
    "find_run",
    "list_runs",
    "matches",
    "read_epochs",
    "read_run",
    "score_of",
    "score_record",
    "sort_runs",
]

BASE = Path("runs")
"""Where runs are, unless another folder is named."""

LATEST = "@latest"

PARTS = {"val": "validation", "test": "test", "train": "training"}
"""What the parts of the data are called; the first that was measured has a run's score."""

_SHOWN = 5  # names in a message


@dataclass(frozen=True)
class Score:
    """What the metrics of a run come to.

    epochs: done. metric: "accuracy" (a fraction) or "loss", measured on part: "val", "test" or "train". best,
    best_epoch: None where no epoch ended. seconds: of training. steps: of all epochs, 0 where unknown.
    """

    epochs: int = 0
    metric: str = "accuracy"
    part: str = "test"
    best: float | None = None
    best_epoch: int | None = None
    seconds: float = 0.0
    steps: int = 0

    @property
    def steps_per_second(self) -> float:
        """NaN where unknown."""
        return self.steps / self.seconds if self.seconds and self.steps else math.nan


@dataclass(frozen=True)
class RunRecord:
    """A run, as its folder has it; what needs its metrics is read when it is first asked for.

    name: the folder's, below the listed one. started: with its time zone; where config.json does not say, when the
    folder was last changed. config: the content of config.json, or {} and what is wrong with it.
    """

    path: Path
    name: str
    started: datetime
    config: Mapping[str, Any] = field(default_factory=dict)
    config_problem: str = ""

    @property
    def data(self) -> str:
        """The name of its data."""
        return str(_table(self.config, "data").get("name", ""))

    @property
    def n_epochs(self) -> int:
        """How many epochs it was to have; 0 where unknown."""
        return _whole(_table(self.config, "train").get("epochs"))

    @property
    def result(self) -> Mapping[str, Any]:
        """How the run ended, as config.json has it; empty where it has not."""
        return _table(self.config, "result")

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """What the run was made from, as one level of names: "train.epochs" for example."""
        return _settings(self.config)

    @property
    def is_committee(self) -> bool:
        """Whether it is of several networks, each of which is a run in its folder."""
        return "committee" in self.config

    @property
    def score(self) -> Score:
        """What its metrics come to; of a committee its score on test data."""
        return self._found[0]

    @property
    def state(self) -> str:
        """ "finished"; "stopped", by Ctrl-C, with its model kept; "unfinished": still going on, or killed; "broken"."""
        return self._found[1]

    @property
    def problem(self) -> str:
        """What is wrong with the folder; "" where nothing is."""
        return self._found[2]

    @cached_property
    def _found(self) -> tuple[Score, str, str]:
        """Score, state and problem."""
        problems = [self.config_problem] if self.config_problem else []
        ended = _score_in(self.result, self.path)
        if ended is not None:
            score, state = ended, "stopped" if self.result.get("stopped") else "finished"
        elif self.is_committee:  # its members have the metrics
            score, state = Score(), "finished" if os.path.exists(f"{self.path}/{MODEL}") else "unfinished"
        else:
            score = _measured(self.path, _table(self.config, "train"), problems)
            state = "unfinished" if score.epochs < max(1, self.n_epochs) else "finished"
        if not problems and state != "unfinished" and not os.path.exists(f"{self.path}/{MODEL}"):
            problems.append(f"{MODEL} is missing")
        if problems:
            state = "broken"
        by = self.config.get("jitnet")
        if by != __version__ and _version(by) > _version(__version__):
            problems.append(f"written by jitnet {by}, and this is {__version__}: some of it may not be shown")
        return score, state, "; ".join(problems)


def list_runs(base: Path = BASE) -> list[RunRecord]:
    """Return the runs in a folder, the newest first; of a folder that is a run, this one. A folder that holds runs in
    turn, those of a sweep for example, is walked too.

    OutputError where the folder cannot be read; one that does not exist has no runs."""
    if (base / CONFIG).exists():
        return [read_run(base, base.name)]
    try:
        found = [read_run(path, name) for path, name in _run_folders(base)]
    except FileNotFoundError:
        return []
    except OSError as error:
        reason = "it is a file" if isinstance(error, NotADirectoryError) else (error.strerror or str(error)).lower()
        raise OutputError(
            f"{base}: expected a folder with runs, and {reason}; name the folder that holds them"
        ) from None
    return sort_runs(found)


def sort_runs(records: Sequence[RunRecord], by: str = "date") -> list[RunRecord]:
    """Return runs in another order. by: "date", the newest first; "score", the best first, accuracies before losses;
    "time", the longest training first. Of equals the newest is first."""
    newest = sorted(records, key=lambda one: (one.started, _natural(one.name)), reverse=True)
    if by == "score":
        newest.sort(key=_rank)
    elif by == "time":
        newest.sort(key=lambda one: -one.score.seconds)
    return newest


def find_run(word: str, base: Path = BASE) -> Path:
    """Return the folder or file that a word names: a path; @latest, the newest run in `base`, or FOLDER/@latest in
    another folder; else a run in `base` by its name, with or without its date, or by the beginning of it.

    ModelError where there is none, UsageError where there are several.
    """
    path = Path(word).expanduser()
    if path.name == LATEST:
        return _latest(base if word == LATEST else path.parent)
    if path.exists() or len(path.parts) != 1:
        return path
    try:
        names = [name for _, name in _run_folders(base)]
    except OSError:
        names = []
    exact = [name for name in names if word in (name, _undated(name))]
    found = exact or [name for name in names if name.startswith(word) or _undated(name).startswith(word)]
    if len(found) == 1:
        return base / found[0]
    if found:
        raise UsageError(
            f"{word}: several runs in {base} have names that begin so: {_some(found)}; type more of the name"
        )
    near = LATEST if word.startswith("@") else nearest(word, [*names, *map(_undated, names)])
    hint = f"did you mean {near}?" if near else f"name a file, a run folder, or one of {_some(names)}" if names else ""
    raise ModelError(
        f"{word}: there is no such file or folder, and no run in {base} is called so; "
        + (hint or "jitnet train makes a run, and jitnet runs lists them")
    )


def _latest(base: Path) -> Path:
    runs = [one for one in list_runs(base) if one.state != "broken"]
    if not runs:
        raise ModelError(f"{LATEST}: there are no runs in {base}; jitnet train makes one")
    return runs[0].path


def read_run(path: Path, name: str = "") -> RunRecord:
    """Return what a run folder says. Whatever is wrong with it is in `problem`."""
    config, problem = _config(path)
    return RunRecord(path, name or path.name, _started(path, config.get("started")), config, problem)


def read_epochs(path: Path) -> list[dict[str, Any]]:
    """Return the reports of a run's epochs; a last line that was not written to its end is left out, as it is where the
    process was killed. ModelError where a line is no report, OSError where there are no metrics."""
    text = _bytes(f"{path}/{METRICS}")
    lines = text[: text.rfind(b"\n") + 1].splitlines()
    try:
        found = json.loads(b"[" + b",".join(lines) + b"]")  # one call for all is quicker
        numbers = [] if len(found) == len(lines) else [0]
    except (ValueError, RecursionError):
        found, numbers = [], [0]
    numbers = numbers or [number for number, report in enumerate(found, 1) if not _is_report(report)]
    if numbers:
        at = numbers[0] or next((number for number, line in enumerate(lines, 1) if not _is_report(_parsed(line))), 1)
        raise ModelError(f"{path / METRICS}: line {at} is no report of an epoch; correct or remove it")
    return found


def score_of(reports: Sequence[Mapping[str, Any]], batch_size: int, drop_last: bool) -> Score:
    """Return what reports of epochs come to. batch_size: 0 where unknown."""
    if not reports:
        return Score()
    last = reports[-1]
    metric = "loss" if last.get("train_accuracy") is None else "accuracy"
    name, part = next(
        ((name, part) for part in PARTS if last.get(name := f"{part}_{metric}") is not None),
        (f"train_{metric}", "train"),
    )
    best, best_epoch, seconds, steps = None, None, 0.0, 0
    for report in reports:
        value, took = report.get(name), report["seconds"]
        if value is not None and (best is None or (value > best if metric == "accuracy" else value < best)):
            best, best_epoch = value, report["epoch"]
        seconds += took
        n = round(took * report["samples_per_second"])
        steps += 0 if not batch_size else n // batch_size if drop_last else -(-n // batch_size)
    return Score(len(reports), metric, part, best, best_epoch, seconds, steps)


def score_record(path: Path, batch_size: int, drop_last: bool) -> dict[str, Any]:
    """Return the score of a run that ended, for config.json, with the size of its metrics: while that is the same, the
    score holds."""
    score = score_of(read_epochs(path), batch_size, drop_last)
    return {**asdict(score), "metrics_bytes": os.path.getsize(f"{path}/{METRICS}")}


def _score_in(result: Mapping[str, Any], path: Path) -> Score | None:
    """The score that config.json has; None where it has none, or the run went on after that."""
    fields = _table(result, "score")
    try:
        if not fields or (
            "metrics_bytes" in fields and os.path.getsize(f"{path}/{METRICS}") != fields["metrics_bytes"]
        ):
            return None
        score = Score(**{name: value for name, value in fields.items() if name != "metrics_bytes"})
    except (OSError, KeyError, TypeError):
        return None
    return score if _is_sound(score) else None


def _is_sound(score: Score) -> bool:
    """Whether each field of a score is what it should be."""
    return (
        all(map(_is_count, (score.epochs, score.steps, score.best_epoch or 0)))
        and score.metric in ("accuracy", "loss")
        and isinstance(score.part, str)
        and score.part in PARTS
        and (score.best is None or (type(score.best) in (int, float) and math.isfinite(score.best)))
        and _is_number(score.seconds)
    )


def _measured(path: Path, train: Mapping[str, Any], problems: list[str]) -> Score:
    """The score by the metrics themselves."""
    try:
        return score_of(read_epochs(path), _whole(train.get("batch_size")), bool(train.get("drop_last")))
    except FileNotFoundError:
        if os.path.exists(f"{path}/{MODEL}"):
            problems.append(f"{METRICS} is missing")
    except OSError as error:
        problems.append(_unread(METRICS, error))
    except ModelError as error:
        problems.append(str(error).removeprefix(f"{path}/"))
    return Score()


def _is_report(report: Any) -> bool:
    """Whether a line of metrics has the numbers that are computed with."""
    if not isinstance(report, dict) or not _is_count(report.get("epoch")):
        return False
    measured = (value for name, value in report.items() if name.endswith(("_loss", "_accuracy", "_rate")))
    return all(_is_number(report.get(name)) for name in ("seconds", "samples_per_second")) and all(
        value is None or type(value) in (int, float) for value in measured
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and 0.0 <= value < math.inf


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 53


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _run_folders(base: Path) -> Iterator[tuple[Path, str]]:
    """Path and name of each folder in `base`; where one is not a run, but holds some, theirs."""
    with os.scandir(base) as entries:
        folders = [entry for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    for entry in folders:
        path = Path(entry.path)
        inner = [] if os.path.lexists(f"{entry.path}/{CONFIG}") else _inner_runs(path)
        if inner:
            yield from ((path / name, f"{entry.name}/{name}") for name in inner)
        else:
            yield path, entry.name


def _inner_runs(path: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(path) if (path / name / CONFIG).is_file())
    except OSError:
        return []


def _config(path: Path) -> tuple[dict[str, Any], str]:
    """The content of config.json, or {} and what is wrong with it."""
    try:
        config = json.loads(_bytes(f"{path}/{CONFIG}"))
    except FileNotFoundError:
        return {}, f"{CONFIG} is missing"
    except OSError as error:
        return {}, _unread(CONFIG, error)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 0)
        return {}, f"{CONFIG} is cut short or no JSON" + (f", see its line {line}" if line else "")
    return (config, "") if isinstance(config, dict) else ({}, f"{CONFIG} is no JSON object")


def _bytes(name: str) -> bytes:
    with open(name, "rb", buffering=0, opener=_open_at_once) as file:  # a Path costs more than reading does
        return file.readall() or b""


def _open_at_once(name: str, flags: int) -> int:
    """Open a file, and do not wait where it is a pipe."""
    return os.open(name, flags | os.O_NONBLOCK)


def _unread(name: str, error: OSError) -> str:
    if isinstance(error, IsADirectoryError):
        return f"{name} is a folder"
    return f"{name} cannot be read: {(error.strerror or str(error)).lower()}"


def differences(records: Sequence[RunRecord]) -> list[str]:
    """Return the settings in which runs differ, the most informative first: the one that divides them into the most and
    most even groups, then the one that divides these groups further. Seeds and counts of threads, which are meant to
    make no difference, are last.

    A run whose config.json cannot be read is not compared. A setting that one run lacks and another has differs,
    except for a field of the training: a run of a version without it was trained as by its default."""
    readable = [one.settings for one in records if one.settings]
    names, defaults = dict.fromkeys(chain(*readable)), _defaults()
    columns = {name: [_key(one.get(name, defaults.get(name))) for one in readable] for name in names}
    left = [name for name, values in columns.items() if len(set(values)) > 1]
    chosen: list[str] = []
    groups: list[Any] = [()] * len(readable)
    while left:
        gains = [(name not in _REPEATED, _entropy(zip(groups, columns[name], strict=True))) for name in left]
        best = max(range(len(left)), key=gains.__getitem__)  # of equals the first
        name = left.pop(best)
        chosen.append(name)
        numbers: dict[Any, int] = {}
        groups = [numbers.setdefault(pair, len(numbers)) for pair in zip(groups, columns[name], strict=True)]
    return chosen


@cache
def _defaults() -> dict[str, Any]:
    return {f"train.{name}": value for name, value in TrainConfig().model_dump(mode="json").items()}


def _key(value: Any) -> Any:
    return value if isinstance(value, str | int | float | None) else json.dumps(value)


def _entropy(values: Iterable[Any]) -> float:
    counts = Counter(values).values()
    total = sum(counts)
    return round(sum(-n / total * math.log(n / total) for n in counts), 9)


def matches(record: RunRecord, words: Sequence[str]) -> bool:
    """Whether each word is in a run's name, its data, its state, or among its settings as "optimizer=adam"."""
    fields = {f"{name.rpartition('.')[2]}={_written(value)}".casefold() for name, value in record.settings.items()}
    texts = (record.name.casefold(), record.data.casefold())
    return all(
        word.casefold() in fields if "=" in word else any(word.casefold() in text for text in (*texts, record.state))
        for word in words
    )


def _written(value: Any) -> str:
    """A setting as it is typed: 256,128 and 0.1."""
    if isinstance(value, list):
        return ",".join(map(_written, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


_REPEATED = {"train.seed", "train.threads"}
_TABLES = ("model", "train")
_DERIVED = {"model.n_parameters", "model.in_features", "model.n_classes", "model.n_targets"}
"""What follows from the data and from the other fields."""


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a run was made from, as one level of names."""
    found: dict[str, Any] = {}
    if "recipe" in config:
        found["recipe"] = config["recipe"]
    if "committee" in config:
        found["committee"] = config["committee"]
    data = _table(config, "data")
    found |= {f"data.{key}": data[key] for key in ("name", "checksum") if key in data}
    for name in _TABLES:
        for key, value in _table(config, name).items():
            if isinstance(value, dict):
                found |= {f"{name}.{key}.{leaf}": each for leaf, each in value.items()}
            else:
                found[f"{name}.{key}"] = value
    return {name: value for name, value in found.items() if name not in _DERIVED}


def _table(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = config.get(name)
    return found if isinstance(found, dict) else {}


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _version(text: Any) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)[:3])) if isinstance(text, str) else ()


def _started(path: Path, text: Any) -> datetime:
    try:
        started = datetime.fromisoformat(text)
        if 1970 < started.year < 9999:  # in each time zone it is a date
            return started if started.tzinfo is not None else started.replace(tzinfo=UTC)
    except (TypeError, ValueError):
        pass
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return datetime.fromtimestamp(0, UTC)


def _rank(one: RunRecord) -> tuple[int, float]:
    best = one.score.best
    if best is None:
        return 2, 0.0
    return (0, -best) if one.score.metric == "accuracy" else (1, best)


def _natural(name: str) -> list[Any]:
    """A key under which -2 comes before -10, and nothing before -2."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _undated(name: str) -> str:
    return re.sub(r"^\d{4}-\d\d-\d\d-", "", name)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    shown = sorted(names, key=_natural)[:_SHOWN]
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
