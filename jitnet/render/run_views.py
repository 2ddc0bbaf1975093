"""Past runs on the screen. A list of them needs no charts, which load NumPy."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.style import Style
from rich.text import Text

from jitnet.render.console import BAD, FAINT, WARN, notice, say
from jitnet.render.tables import Cell, table, time_in_words

if TYPE_CHECKING:
    from jitnet.runs.listing import RunRecord

__all__ = ["measures", "run_list", "score_in_words", "setting_in_words", "short_name"]

STATES = {"finished": Style.null(), "stopped": WARN, "unfinished": WARN, "broken": BAD}

HAVE_COLUMNS = {"data.name", "data.checksum", "train.epochs"}
"""Settings that a list shows, or that are no words."""

MOST_SETTINGS = 12
"""Settings of a list in which runs differ, where nothing limits its width."""


def run_list(console: Console, records: Sequence["RunRecord"], differing: Sequence[str], n_hidden: int = 0) -> None:
    """A row for each run: name, date, data, best score, epochs, time, state, and the settings in which the runs differ,
    as many as there is room for. Below, what is wrong with those that are broken, and how to go on with others.

    differing: names of settings, the most informative first. n_hidden: runs that are not listed.
    """
    measured = measures(records)
    best = f"best {next(iter(measured.values()))}" if len(measured) == 1 else "best"
    names = [name for name in differing if name not in HAVE_COLUMNS][:MOST_SETTINGS]
    heads = [short_name(name, names) for name in names]
    data = {one.data for one in records if one.config}
    if len(data) == 1:
        say(console, f"{len(records):,} run{'s' * (len(records) != 1)} on {data.pop() or 'unnamed data'}", "bold")
        data.clear()
    one_year = len({one.started.astimezone().year for one in records}) == 1
    date = "%m-%d %H:%M" if one_year else "%Y-%m-%d"
    columns = ["run", "date", *(["data"] if data else []), best, "epochs", "time", "state", *heads]
    rows: list[list[Cell]] = []
    for one in records:
        score = one.score
        done = f"{score.epochs}" if score.epochs == one.n_epochs else f"{score.epochs}/{one.n_epochs or '?'}"
        of = f" {score.part}" if len(measured) > 1 and score.best is not None else ""
        if of and score.metric == "loss":  # which a percent sign does not say
            of += " loss"
        rows.append(
            [
                Text(one.name, style="bold"),
                f"{one.started.astimezone():{date}}",
                *([one.data or None] if data else []),
                score_in_words(score.metric, score.best) + of,
                done if one.config else None,
                time_in_words(score.seconds) if score.epochs else None,
                Text(one.state, style=STATES[one.state]),
                *(setting_in_words(one.settings.get(name)) for name in names),
            ]
        )
    table(console, columns, rows, spare=[*reversed(heads[2:]), "date", *reversed(heads[:2]), "time", "data", "epochs"])
    for one in records:
        if one.problem:
            notice(console, f"{one.name}: {one.problem}")
    unfinished = [one for one in records if one.state == "unfinished" and "committee" not in one.config]
    if unfinished:
        which = unfinished[0].path if len(unfinished) == 1 else "RUN"
        say(console, f"An unfinished run goes on with: jitnet train --resume {which}", FAINT)
    if n_hidden:
        say(console, f"and {n_hidden:,} more: --limit 0 lists all", FAINT)


def score_in_words(metric: str, value: float | None) -> str:
    """An accuracy in percent, a loss as a number, a dash where there is none."""
    if value is None:
        return "-"
    return f"{value:.2%}" if metric == "accuracy" else f"{value:.4f}"


def setting_in_words(value: Any) -> str:
    """A setting in a cell: lists separated by commas, "-" for nothing."""
    if value is None or value == "" or value == []:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(map(setting_in_words, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def short_name(name: str, others: Sequence[str]) -> str:
    """A setting's name without its table, where that leaves it apart from the others."""
    short = name.partition(".")[2] or name
    clashing = [one for one in others if one != name and (one.partition(".")[2] or one) == short]
    return name if clashing else short


def measures(records: Iterable["RunRecord"]) -> dict[tuple[str, str], str]:
    """Each part of the data and metric that best scores are of, and how it is called."""
    from jitnet.runs.listing import PARTS

    kinds = dict.fromkeys((one.score.part, one.score.metric) for one in records if one.score.best is not None)
    return {(part, metric): f"{PARTS[part]} {metric}" for part, metric in kinds}
