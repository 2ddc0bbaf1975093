"""What moves while the user waits: downloads, compiling, training. Each is a context manager.

On a terminal a live line on standard error that disappears at the end; elsewhere a few plain lines.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from jitnet.render.console import ACCENT, FAINT, GOOD, Consoles, facts, make_console, notice, suggest, tied
from jitnet.render.curves import training_curves
from jitnet.render.tables import size_in_words

if TYPE_CHECKING:
    from jitnet.model.fit import Commonest
    from jitnet.training.history import EpochReport, StepReport

__all__ = ["TrainingView", "compiling", "downloads", "not_kept", "resumed", "working"]

BAR = 8  # fewest columns of a bar
DOWNLOAD = 70  # columns that a download's name, bar, size, speed and time take
REFRESH_S = 0.05  # drawing a bar more often costs time and shows no more


@contextmanager
def downloads(consoles: Consoles) -> Iterator[Callable[[str, int, int | None], None]]:
    """Yields the function that a download reports to: (what, bytes done, total bytes or None)."""
    if not consoles.err.is_interactive:
        yield _plain_download(consoles.err)
        return
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", style=FAINT, markup=False),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
    ]
    if consoles.err.width < DOWNLOAD:
        columns = [columns[0], columns[2]]
    bar = Progress(
        *columns,
        console=consoles.err,
        transient=True,
        expand=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    tasks: dict[str, TaskID] = {}

    def report(what: str, done: int, total: int | None) -> None:
        if not tasks:
            bar.start()
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=total)
        bar.update(tasks[what], completed=done, total=total)

    try:
        yield report
    finally:
        if tasks:
            bar.stop()


def _plain_download(console: Console) -> Callable[[str, int, int | None], None]:
    """One line when a file starts and one when it is complete."""
    begun: set[str] = set()

    def report(what: str, done: int, total: int | None) -> None:
        if what not in begun:
            begun.add(what)
            console.print(Text(f"{what}: {size_in_words(total)}" if total else what))
        if total is not None and done >= total and f"{what}\0" not in begun:
            begun.add(f"{what}\0")
            console.print(Text(f"{what}: done"))

    return report


@contextmanager
def counting(consoles: Consoles, what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Yields a function that is called with how many more are done; a bar on a terminal, nothing elsewhere."""
    console = consoles.err
    if not console.is_interactive:
        yield lambda more: None
        return
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", style=FAINT, markup=False),
        BarColumn(bar_width=None),
        TextColumn(f"{{task.completed:,}}/{{task.total:,}} {unit}", markup=False),
        TimeRemainingColumn(compact=True),
    ]
    bar = Progress(
        *(columns if console.width >= DOWNLOAD else columns[::2]),
        console=console,
        transient=True,
        expand=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda more: bar.advance(task, more)


@contextmanager
def working(consoles: Consoles, what: str) -> Iterator[Callable[[str], None]]:
    """A spinner with the elapsed seconds, for work that cannot report its progress; without a terminal a plain line.

    Yields a function that sets the stage to show.
    """
    console = consoles.err
    if not console.is_interactive:
        console.print(Text(f"{what} …"))
        yield lambda stage: None
        return
    spinner = Progress(
        SpinnerColumn("line" if console.options.ascii_only else "dots", style=ACCENT),
        TextColumn("{task.fields[what]}", markup=False, table_column=Column()),
        _Seconds(),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        refresh_per_second=4,  # it may run while something is being timed
    )
    with spinner:
        task = spinner.add_task("", total=None, what=what)
        yield lambda stage: spinner.update(task, what=f"{what}: {stage}")


@contextmanager
def compiling(consoles: Consoles, what: str = "the loops") -> Iterator[None]:
    """A context that reports when something inside is compiled, and at the end how long that took.

    Also whether it happens once, or at every start because the code cannot be stored; the latter even if quiet.
    """
    from jitnet.compiler.cache import can_keep  # only here: these import numba
    from jitnet.compiler.startup import when_compiling

    begun: list[float] = []
    with ExitStack() as spinner:

        def begin() -> None:
            begun.append(time.perf_counter())
            once = "; this happens once" if can_keep() else ""
            spinner.enter_context(working(consoles, f"Compiling {what} for this processor{once}"))

        with when_compiling(begin):
            yield
    if begun:
        seconds = time.perf_counter() - begun[0]
        later = "; later starts load them" if can_keep() else ""
        consoles.err.print(Text(f"Compiled {what} in {seconds:.1f} s{later}.", style=FAINT))
    not_kept()


def not_kept() -> None:
    """A line on standard error if something was compiled that cannot be stored, so that every start compiles it."""
    from jitnet.compiler import cache

    if problem := cache.not_kept():
        notice(
            make_console(sys.stderr),
            f"{problem}: compiled loops cannot be cached here, so every start compiles them again; make the folder "
            "writable, or set JITNET_CACHE to another one",
        )


class _Seconds(ProgressColumn):
    """Whole seconds since the task began."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.elapsed or 0:.0f} s", style=FAINT)


@dataclass(frozen=True)
class _Unit:
    """A unit of time: its name and symbol, its length, and the number of decimals."""

    name: str
    symbol: str
    seconds: float
    decimals: int

    def number(self, seconds: float) -> str:
        """A time in this unit; what would round to zero is shown as less than the last digit."""
        smallest = 10.0**-self.decimals
        amount = seconds / self.seconds
        return f"<{smallest:g}" if 0.0 < amount < smallest / 2 else f"{amount:.{self.decimals}f}"


ABOUT_ZERO = 1e-4
"""Share of the highest learning rate below which one is shown as 0."""

SECONDS = _Unit("seconds", "s", 1.0, 2)
MILLISECONDS = _Unit("milliseconds", "ms", 1e-3, 1)


def _unit_of(console: Console, seconds: float) -> _Unit:
    """The largest unit of which a time is a tenth or more."""
    for unit in (SECONDS, MILLISECONDS):
        if seconds >= 0.0995 * unit.seconds:
            return unit
    return _Unit("microseconds", "us" if console.options.ascii_only else "µs", 1e-6, 0)


def _duration(console: Console, seconds: float) -> str:
    """A time by itself: 0.94 s, 94 ms, 2.1 ms."""
    unit = _unit_of(console, seconds)
    amount = seconds / unit.seconds
    number = f"{amount:.0f}" if unit is MILLISECONDS and amount >= 9.95 else unit.number(seconds)
    return f"{number} {unit.symbol}"


def resumed(console: Console, run: Path, epochs: int, done: int, n_steps: int) -> None:
    """A line that says which run goes on, and where: so many epochs are done, and of the next one some of its steps."""
    where = f"{epochs} epoch{'s' * (epochs != 1)}"
    if done:
        where = f"step {done:,} of {n_steps:,} in epoch {epochs + 1}"
    facts(console, [("resumed", f"{run}, after {where}")])


class TrainingView:
    """Shows a training: a live bar in each epoch, and a row for each epoch that stays.

        with TrainingView(consoles, n_epochs) as view:
            for report in trainer.epochs(on_steps=view.step):
                view.epoch(report)
        view.summary(model=path, suggestions=["jitnet eval runs/…"])

    Nothing is drawn from another thread: `step` redraws the bar when it is called and some time has passed.
    """

    def __init__(
        self, consoles: Consoles, n_epochs: int, peak_rate: float = 0.0, earlier: "Sequence[EpochReport]" = ()
    ) -> None:
        """peak_rate: the schedule's highest learning rate; rates far below it are shown as 0. earlier: the reports of
        a training that goes on."""
        self._consoles = consoles
        self._n_epochs = n_epochs
        self._peak_rate = peak_rate
        self._unit = SECONDS
        self._live: Live | None = None
        self._drawn_s = time.perf_counter()
        self._reports: list[EpochReport] = list(earlier)
        self._has_heading = False
        if earlier:
            self._unit = _unit_of(consoles.info, earlier[0].seconds)

    def __enter__(self) -> "TrainingView":
        self._drawn_s = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        self._clear()

    def step(self, report: "StepReport") -> None:
        """Redraw the bar of the current epoch, if there is a terminal and enough time has passed."""
        console = self._consoles.err
        now_s = time.perf_counter()
        if not console.is_interactive or now_s - self._drawn_s < REFRESH_S:
            return
        self._drawn_s = now_s
        if self._live is None:
            self._live = Live(
                console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
            )
            self._live.start()
        self._live.update(self._bar(report), refresh=True)

    def _bar(self, report: "StepReport") -> Table:
        digits = len(str(report.n_epochs))
        console = self._consoles.err
        epoch = Text(f"epoch {report.epoch:>{digits}}/{report.n_epochs}", style="bold")
        texts = [
            Text(f"{report.step / max(1, report.n_steps):4.0%}"),
            Text(f"loss {report.train_loss:.4f}"),
            *([] if report.train_accuracy is None else [Text(f"{report.train_accuracy:.2%}")]),
            Text(f"{report.samples_per_second:,.0f}/s", style=FAINT),
        ]
        while texts and console.width < BAR + sum(text.cell_len + 2 for text in (epoch, *texts)):
            texts.pop()
        line = Table.grid(expand=True, padding=(0, 2, 0, 0))
        line.add_column(no_wrap=True)
        line.add_column(ratio=1)
        for _ in texts:
            line.add_column(no_wrap=True, justify="right")
        line.add_row(
            epoch,
            ProgressBar(total=report.n_steps, completed=report.step, complete_style=ACCENT, finished_style=ACCENT),
            *texts,
        )
        return line

    def _clear(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def epoch(self, report: "EpochReport") -> None:
        """Print the row of an epoch that ended."""
        self._clear()
        self._drawn_s = time.perf_counter()
        best = self._best()
        if not self._reports:
            self._unit = _unit_of(self._consoles.info, report.seconds)
        self._reports.append(report)
        console = self._consoles.info
        if not console.is_terminal:
            console.print(Text(self._plain_row(report)))
            return
        if not self._has_heading:
            self._has_heading = True
            names = "".join(f"{name:>{width}}" for name, width, _ in self._cells(report))
            console.print(Text(names, style="bold", no_wrap=True, overflow="ellipsis"))
        line = Text(no_wrap=True, overflow="ellipsis")
        for name, width, value in self._cells(report):
            watched = name == _watched_part(report)
            is_best = watched and report.is_better(best)
            line.append(f"{value:>{width}}", style=GOOD if is_best else FAINT if name in ("samples/s", "rate") else "")
        console.print(line)

    def _cells(self, report: "EpochReport") -> list[tuple[str, int, str]]:
        """Name, width and text of each column; the same columns for every epoch of a run.

        Where the terminal has no room for all, the least important ones are left out."""
        digits = len(str(self._n_epochs))
        cells = [
            ("epoch", 2 * digits + 4, f"{report.epoch:>{digits}}/{self._n_epochs}"),
            ("loss", 9, f"{report.train_loss:.4f}"),
        ]
        first = self._reports[0]
        if first.metric != "loss":  # which has a column already
            cells.append(("train", 9, report.in_words(report.score("train"))))
        for name, part, width in (("validation", "val", 12), ("test", "test", 9)):
            if first.score(part) is not None:
                cells.append((name, width, report.in_words(report.score(part))))
        cells.append((self._unit.name, len(self._unit.name) + 2, self._unit.number(report.seconds)))
        cells.append(("samples/s", 11, f"{report.samples_per_second:,.0f}"))
        cells.append(("rate", 11, self._rate(report)))
        for spare in ("rate", "samples/s", self._unit.name, "train"):
            if sum(width for _, width, _ in cells) <= self._consoles.info.width:
                break
            cells = [cell for cell in cells if cell[0] != spare]
        return cells

    def _rate(self, report: "EpochReport") -> str:
        """The learning rate: 0 where a schedule has almost reached it."""
        peak = max([self._peak_rate, *(one.learning_rate for one in self._reports)])
        return "0" if report.learning_rate < ABOUT_ZERO * peak else f"{report.learning_rate:.4g}"

    def _plain_row(self, report: "EpochReport") -> str:
        digits = len(str(self._n_epochs))
        parts = [
            f"epoch {report.epoch:>{digits}}/{self._n_epochs}",
            f"loss {report.train_loss:.4f}",
        ]
        if report.metric != "loss":
            parts.append(f"train {report.in_words(report.score('train'))}")
        for name, part in (("validation", "val"), ("test", "test")):
            if (value := report.score(part)) is not None:
                parts.append(f"{name} {report.in_words(value)}")
        parts += [
            f"{self._unit.number(report.seconds)} {self._unit.symbol}",
            f"{report.samples_per_second:,.0f} samples/s",
            f"rate {self._rate(report)}",
        ]
        return "  ".join(parts)

    def _best(self) -> "EpochReport | None":
        """The first epoch with the best value of the watched measure."""
        best: EpochReport | None = None
        for report in self._reports:
            best = report if report.is_better(best) else best
        return best

    def summary(
        self,
        *,
        model: Path | None = None,
        suggestions: Sequence[str] = (),
        outcome: str = "",
        kept: int | None = None,
        final_test: tuple[float, float | None] | None = None,
        commonest: "Mapping[str, Commonest] | None" = None,
        costliest: Sequence[tuple[str, float]] = (),
        threads: str = "",
    ) -> None:
        """The curves of the run, on a terminal and unless quiet. Best and last accuracy, beside that of always
        predicting the commonest class, or loss where targets are numbers; where the model is stored, and what to type
        next.

        outcome: why the training ended, unless all epochs were done. kept: the epoch whose weights the model has, where
        held-out data decided it. final_test: loss and accuracy on the test data, evaluated once.
        commonest: of each part the commonest class, and its share. costliest: operations that took longest, and their
        shares of the steps' time. threads: how many it ended on, and why.
        """
        self._clear()
        console = self._consoles.out
        pairs: list[tuple[str, str | Text]] = []
        beside = {part: f"; {found.in_words}" for part, found in (commonest or {}).items()}
        if outcome:
            pairs.append(("ended", outcome))
        best, last = self._best(), self._reports[-1] if self._reports else None
        if best is not None and last is not None:
            split, measure = _watched_part(best), best.metric
            found = Text(best.in_words(best.watched), style="bold green")
            found.append(f" in epoch {best.epoch}{beside.get(_watched_key(best), '')}", style="not bold default")
            pairs.append((f"best {split} {measure}", found))
            pairs.append((f"last {split} {measure}", last.in_words(last.watched)))
            if kept is not None:
                equal = any(r.epoch == kept and r.watched == best.watched for r in self._reports) and kept > best.epoch
                which = "the latest as good" if equal else "the best"
                pairs.append(("kept", f"the weights of epoch {kept}, {which} on the held-out data"))
            if final_test is not None:
                found = Text(last.in_words(final_test[measure == "accuracy"]), style="bold green")
                found.append(f", evaluated once{beside.get('test', '')}", style="not bold default")
                pairs.append((f"test {measure}", found))
        elif last is not None:
            found = Text(last.in_words(last.score("train")), style="bold green")
            note = " on the rows it was trained on, in the last epoch; there are no others to evaluate on"
            note += beside.get("train", "")
            pairs.append((f"training {last.metric}", found.append(note, style="not bold default")))
        if last is not None:
            seconds = sum(report.seconds for report in self._reports)
            count = len(self._reports)
            pairs.append(("training", f"{_duration(console, seconds)} for {count} epoch{'s' * (count != 1)}"))
        if threads:
            pairs.append(("threads", threads))
        if costliest:
            loops = (tied(f"{name.replace(', ', ' on ')} {share:.0%}") for name, share in costliest)
            pairs.append(("costliest loops", ", ".join(loops)))
        if model is not None:
            pairs.append(("model", Text(str(model), style="bold")))
        if console is self._consoles.info:  # else quiet
            training_curves(console, [asdict(report) for report in self._reports])
        if console.is_terminal:
            console.print()
        facts(console, pairs)
        suggest(console, suggestions)


def _watched_part(report: "EpochReport") -> str:
    """The heading of the part whose measure is watched."""
    return "test" if _watched_key(report) == "test" else "validation"


def _watched_key(report: "EpochReport") -> str:
    return "test" if report.score("val") is None else "val"
