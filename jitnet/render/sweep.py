"""A sweep on the screen: a row for each trial that is done, below them those that run and a bar, and in the end what
was best and what mattered."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.style import Style
from rich.table import Table
from rich.text import Text

from jitnet.render.charts import Curve, chart
from jitnet.render.console import ACCENT, BAD, FAINT, GOOD, TIE, Consoles, facts, say, tied, wrapped, written
from jitnet.render.progress import REFRESH_S
from jitnet.render.tables import bar

if TYPE_CHECKING:
    from jitnet.search.sweep import Trial

__all__ = ["SweepView", "sweep_summary"]

STATES = {"finished": "finished", "pruned": "stopped early", "failed": "failed", "unfinished": "unfinished"}
"""States of trials that are done, in words."""

GAP = 2
NARROWEST = 24  # columns of a trial's parameters beside the others
ECHO = 3  # columns beside the bar, in which a terminal echoes Ctrl-C and does not go on to another line
BARS = 30  # columns of the longest bar of an importance


class SweepView:
    """Shows the trials of a sweep: on a terminal live, elsewhere a line for each that is done.

        with SweepView(consoles, "accuracy", n_trials=20) as view:
            for trial in sweep.run(engine, 20):
                view.show(trial)

    Nothing is drawn from another thread."""

    def __init__(
        self, consoles: Consoles, score: str, n_trials: int | None, seconds: float | None, done: "Sequence[Trial]"
    ) -> None:
        """n_trials, seconds: when the sweep ends, None where not by this. done: trials that a resumed sweep has."""
        self._consoles, self._score, self._n_trials, self._seconds = consoles, score, n_trials, seconds
        self._begun_s = self._drawn_s = time.perf_counter()
        self._live: Live | None = None
        self._running: dict[int, Trial] = {}
        self._done = len(done)
        self._best: Trial | None = None
        for trial in done:
            self._note(trial)
        self._headed = False

    def __enter__(self) -> "SweepView":
        return self

    def __exit__(self, *error: object) -> None:
        self._clear()

    def show(self, trial: "Trial") -> None:
        """Show what has changed about a trial."""
        if trial.is_done:
            self._running.pop(trial.number, None)
            self._done += 1
            self._row(trial, is_best=self._note(trial))
        elif trial.state == "running":
            self._running[trial.number] = trial
        else:
            self._running.pop(trial.number, None)
        now_s = time.perf_counter()
        if self._consoles.err.is_interactive and (trial.is_done or now_s - self._drawn_s >= REFRESH_S):
            self._drawn_s = now_s
            if self._live is None:
                self._live = Live(
                    console=self._consoles.err,
                    auto_refresh=False,
                    transient=True,
                    redirect_stdout=False,
                    redirect_stderr=False,
                )
                self._live.start()
            self._live.update(self._drawn(), refresh=True)

    def _note(self, trial: "Trial") -> bool:
        """Whether a trial is the best so far; then it is noted as such."""
        if trial.state != "finished" or trial.score is None:
            return False
        before = self._best
        if before is not None and before.score is not None:
            better = trial.score > before.score if self._score == "accuracy" else trial.score < before.score
            if not better and (trial.score != before.score or trial.number > before.number):
                return False
        self._best = trial
        return True

    def _clear(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _row(self, trial: "Trial", is_best: bool) -> None:
        """Print the row of a trial that is done."""
        console = self._consoles.info
        if not console.is_terminal:
            console.print(Text(self._plain_row(trial)))
            return
        self._clear()
        if not self._headed:
            self._headed = True
            names = _front("trial", "epochs", self._score, "state") + "parameters"
            if console.width < len(names.removesuffix("parameters")) + NARROWEST:
                names = names.removesuffix("parameters").rstrip()
            console.print(Text(names, style="bold", no_wrap=True, overflow="ellipsis"))
        for line in self._lines(console, trial, is_best):
            console.print(line, soft_wrap=True)

    def _lines(self, console: Console, trial: "Trial", is_best: bool = False) -> list[Text]:
        """A trial as lines: its parameters continue below their start where there is room beside the rest, and below
        the row where there is none."""
        state = STATES.get(trial.state, trial.state)
        cells = (str(trial.number), _epochs(trial), self._in_words(_shown(trial)), state)
        front = Text(_front(*cells))
        if is_best or trial.state == "failed":
            front.stylize(GOOD if is_best else BAD)
        elif trial.state == "pruned":
            front.stylize(FAINT)
        text = Text(_parameters(trial))
        if trial.error:
            text.append(f"  {trial.error}", style=BAD)
        beside = console.width - front.cell_len >= NARROWEST
        margin = front.cell_len if beside else 4
        first, *rest = wrapped(console, text, console.width - margin)
        if beside:
            lines = [written(console, front).append_text(first)]
        else:
            front.rstrip()
            lines = [written(console, front), Text(" " * margin).append_text(first)]
        return [*lines, *(Text(" " * margin).append_text(line) for line in rest)]

    def _plain_row(self, trial: "Trial") -> str:
        parts = [f"trial {trial.number}", STATES.get(trial.state, trial.state)]
        if trial.scores:
            parts += [f"epochs {_epochs(trial)}", f"validation {self._score} {self._in_words(_shown(trial))}"]
        if trial.error:
            parts.append(trial.error)
        return "  ".join([*parts, _parameters(trial)]).replace(TIE, " ")

    def _in_words(self, score: float | None) -> str:
        return score_in_words(score, self._score)

    def _drawn(self) -> Group:
        """The trials that run, and a bar of the sweep."""
        console = self._consoles.err
        room = max(1, console.height - 4)
        lines = [
            line
            for trial in sorted(self._running.values(), key=lambda one: one.number)
            for line in self._lines(console, trial)
        ][:room]
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        elapsed = time.perf_counter() - self._begun_s
        total = self._n_trials
        begun = sum(len(trial.scores) / trial.n_epochs for trial in self._running.values() if trial.n_epochs)
        share = (self._done + begun) / total if total else 0.0
        if self._seconds is not None:
            share = max(share, min(1.0, elapsed / self._seconds))
        count = f"{self._done}/{total} trials" if total else f"{self._done} trials"
        texts = [Text(count, style="bold")]
        if self._best is not None:
            texts.append(Text(f"best {self._in_words(self._best.score)}, trial {self._best.number}", style=GOOD))
        texts.append(Text(_clock(elapsed), style=FAINT))
        grid = Table.grid(expand=True, padding=(0, GAP, 0, 0))
        grid.width = max(1, console.width - ECHO)
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1)
        for _ in texts[1:]:
            grid.add_column(no_wrap=True, justify="right")
        grid.add_row(
            texts[0], ProgressBar(total=1.0, completed=share, complete_style=ACCENT, finished_style=ACCENT), *texts[1:]
        )
        return Group(*lines, grid)


def sweep_summary(
    console: Console,
    trials: "Sequence[Trial]",
    best: "Trial | None",
    *,
    score: str,
    folder: Path,
    test_score: float | None,
    importances: Mapping[str, float],
    how: str,
    toml: str,
    toml_path: Path,
    suggestions: Sequence[str],
) -> None:
    """What a sweep has found: the best trial and its settings as TOML, the best score over the trials, and how much
    each setting mattered.

    test_score: of the best trial's model, evaluated once. importances: shares by name, the largest first; how: how they
    were found."""
    states = [trial.state if trial.is_done else "unfinished" for trial in trials]
    counted = ", ".join(f"{states.count(state)} {words}" for state, words in STATES.items() if state in states)
    pairs: list[tuple[str, str | Text]] = [("trials", f"{len(trials)}: {counted}" if trials else "none")]
    if best is not None:
        found = Text(score_in_words(best.score, score), style="bold green")
        found.append(f" in trial {best.number}", style="not bold default")
        pairs.append((f"best validation {score}", found))
        if test_score is not None:
            words = score_in_words(test_score, score)
            pairs.append((f"its test {score}", f"{words}, evaluated once; no trial was chosen by it"))
    pairs.append(("training", f"{sum(trial.seconds for trial in trials):,.1f} s in all trials together"))
    pairs.append(("folder", Text(str(folder), style="bold")))
    if console.is_terminal:
        console.print()
    facts(console, pairs)
    scored = [(trial.number, trial.score) for trial in trials if trial.score is not None]
    if len(scored) > 1:
        console.print()
        for line in _over_trials(console, trials, score):
            console.print(line)
    if importances:
        console.print()
        say(console, "What mattered", "bold")
        _bars(console, importances)
        say(console, f"Share of what the settings explain of the scores, by {how}.", FAINT)
    if toml:
        console.print()
        say(console, f"The best settings, in {toml_path}", "bold")
        console.print(Text(toml.rstrip("\n")), soft_wrap=True)
    if suggestions:
        console.print()
        console.print(Text("Next:", style=FAINT))
        for suggestion in suggestions:
            console.print(Text(f"  {suggestion}", style=ACCENT), soft_wrap=True)


def _over_trials(console: Console, trials: "Sequence[Trial]", score: str) -> list[Text]:
    """A point for each trial's score, and the best finished one so far as a line."""
    factor = 100.0 if score == "accuracy" else 1.0
    points = [(trial.number, factor * trial.score) for trial in trials if trial.score is not None]
    finished = [(t.number, factor * t.score) for t in trials if t.state == "finished" and t.score is not None]
    steps: list[tuple[float, float]] = []
    better = np.maximum if score == "accuracy" else np.minimum
    best = better.accumulate([value for _, value in finished]).tolist() if finished else []
    for (number, _), value in zip(finished, best, strict=True):
        if steps:
            steps.append((number, steps[-1][1]))
        steps.append((number, value))
    if steps:
        steps.append((trials[-1].number, steps[-1][1]))
    values = np.array([value for _, value in points])
    finite = values[np.isfinite(values)]
    # A few very bad trials would leave no room for the others.
    low, high = np.quantile(finite, (0.1, 0.9)) if len(finite) else (0.0, 1.0)
    ends = (float(low), float(finite.max())) if score == "accuracy" else (float(finite.min()), float(high))
    unit = ", %" if score == "accuracy" else ""
    return chart(
        console,
        [
            Curve([x for x, _ in points], [y for _, y in points], style=Style(), mark="o", joined=False),
            Curve([x for x, _ in steps], [y for _, y in steps], style=ACCENT),
        ],
        title=f"validation {score}{unit}: each trial's, and the best so far",
        x_label="trial",
        y_ends=ends if ends[0] < ends[1] else None,
        width=min(console.width, 80),
    )


def _bars(console: Console, importances: Mapping[str, float]) -> None:
    width = max(map(len, importances))
    room = max(8, min(BARS, console.width - width - 9))
    most = max(importances.values()) or 1.0
    for name, share in importances.items():
        line = Text(f"{name:{width}}  {share:4.0%}  ")
        console.print(line.append_text(bar(console, share / most, room)), soft_wrap=True)


def score_in_words(score: float | None, name: str) -> str:
    """A score as text: an accuracy in percent, a loss as a number."""
    if score is None:
        return "-"
    return f"{score:.2%}" if name == "accuracy" else f"{score:.4f}"


def _shown(trial: "Trial") -> float | None:
    """The score of a trial's model; while it runs, that of its last epoch."""
    return trial.score if trial.score is not None else trial.scores[-1] if trial.scores else None


def _epochs(trial: "Trial") -> str:
    return f"{len(trial.scores)}/{trial.n_epochs}" if trial.n_epochs else "-"


def _front(number: str, epochs: str, score: str, state: str) -> str:
    """The columns of a row that all trials have."""
    return f"{number:>5}{epochs:>{GAP + 7}}{score:>{GAP + 8}}{'':{GAP}}{state:<13}{'':{GAP}}"


def _parameters(trial: "Trial") -> str:
    return "  ".join(tied(f"{name} {_in_short(value)}") for name, value in trial.parameters.items())


def _in_short(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value) or '""'


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
