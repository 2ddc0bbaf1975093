"""A sweep: trials of settings from a space, which Optuna chooses, and what each of them scored.

    runs/2026-03-14-sweep/
        sweep.json       how trials are chosen and scored
        space.toml       the space, as the user wrote it
        journal.jsonl    the trials, in Optuna's format
        trial-0000/      a run folder for each trial
        best.toml        the settings of the best trial

Trials are chosen in generations of a fixed size. What is chosen, and when a trial ends early, depends on the seed and
on the trials of the generations before: not on the number of workers, on which trial ended first, or on how often the
sweep was interrupted.
"""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

import numpy as np

from jitnet.errors import JitnetError, OutputError
from jitnet.files import Lock, write_whole
from jitnet.runs.run_settings import Settings
from jitnet.search.engine import Engine, Finished, Reported, Started
from jitnet.search.journal import JOURNAL, Journal, open_study
from jitnet.search.pruning import BelowMedian, Curve, score_of
from jitnet.search.space import Space
from jitnet.search.sweep_plan import Plan
from jitnet.search.work import Outcome, Work

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from jitnet.datasets import Dataset

__all__ = ["BEST", "Sweep", "Trial"]

BEST, LOCK = "best.toml", ".lock"

RANDOM = 8
"""Finished trials before which all are drawn at random."""


@dataclass(frozen=True)
class Trial:
    """A trial, as far as it is.

    parameters: what was chosen, by the names in the space. state: "waiting", "running", "finished", "pruned" (it ended
    early, since it was unpromising), "failed", or "unfinished" (the sweep ended before it). scores: of its epochs so
    far. score: of its model, which has the parameters of the epoch `kept`; None: of the last one. error: why it failed.
    ended: why its run ended, in words. seconds: of training.
    """

    number: int
    parameters: dict[str, Any]
    state: str = "waiting"
    n_epochs: int = 0
    scores: tuple[float, ...] = ()
    score: float | None = None
    kept: int | None = None
    error: str = ""
    ended: str = ""
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"trial-{self.number:04d}"

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do for it."""
        return self.state in ("finished", "pruned", "failed")


class Sweep:
    """A sweep in its folder. Made by `begin` or `resume`; used in a `with`, which holds the folder's lock.

    trials: all that were chosen so far, in their order."""

    def __init__(self, folder: Path, space: Space, plan: Plan, dataset: "Dataset") -> None:
        self.folder, self.space, self.plan = folder, space, plan
        self._task, self._tests = dataset.task, dataset.test is not None
        self.trials: list[Trial] = []
        self.notice = ""
        self._lock = Lock(folder / LOCK)
        self._ids: list[int] = []

    @property
    def larger_is_better(self) -> bool:
        """Whether a score is better the larger it is."""
        return self.plan.score == "accuracy"

    def __enter__(self) -> "Sweep":
        self._lock.__enter__()
        try:
            self.notice = self._without_journal()
            self._journal = Journal(self.folder / JOURNAL)
            self.notice = self.notice or self._journal.notice or self._lock.notice
            self._study, self._storage = open_study(self._journal, larger_is_better=self.larger_is_better)
            self._study_id = self._storage.get_study_id_from_name(self._study.study_name)
            for found in self._study.get_trials(deepcopy=False):
                self.trials.append(self._restored(found))
                self._ids.append(self._storage.get_trial_id_from_study_id_trial_number(self._study_id, found.number))
        except BaseException:
            self._lock.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.__exit__()

    def _without_journal(self) -> str:
        """A line for the user where there are trials and no journal of what they reached; "" else."""
        if (self.folder / JOURNAL).exists() or not any(self.folder.glob("trial-*")):
            return ""
        return f"{self.folder / JOURNAL} is missing: the trials in this folder run again"

    def _restored(self, found: "FrozenTrial") -> Trial:
        """A trial as the journal has it; one that had begun waits again."""
        about = found.user_attrs
        if not found.state.is_finished():
            return Trial(found.number, dict(found.params))
        if lacking := [name for name in ("state", *_KEPT) if name not in about]:
            raise JitnetError(
                f"{self.folder / JOURNAL}: lines are missing: trial {found.number} has ended, and its {lacking[0]!r} "
                "is not there; begin another sweep"
            )
        return Trial(
            found.number,
            dict(found.params),
            str(about["state"]),
            scores=tuple(found.intermediate_values[step] for step in sorted(found.intermediate_values)),
            **{name: about[name] for name in _KEPT},
        )

    @property
    def best(self) -> Trial | None:
        """The finished trial with the best score, the first of equally good ones; None where none is finished."""
        finished = [trial for trial in self.trials if trial.state == "finished" and trial.score is not None]
        if not finished:
            return None
        sign = -1.0 if self.larger_is_better else 1.0
        return min(finished, key=lambda trial: (sign * (trial.score or 0.0), trial.number))

    def settings_of(self, trial: Trial) -> Settings:
        """What a trial's run is made from."""
        return self.space.settings_for(trial.parameters)

    def run(self, engine: Engine, n_trials: int | None, deadline: float | None = None) -> Iterator[Trial]:
        """Run trials until there are so many, and yield each when something about it changes.

        n_trials: None for any number. deadline: of `time.monotonic`, when running trials are stopped; what they have
        reached counts for nothing. Raises JitnetError where the sweep cannot go on."""
        timer = None
        if deadline is not None:
            timer = Timer(max(0.0, deadline - time.monotonic()), engine.stop)
            timer.daemon = True
            timer.start()
        try:
            for first in itertools.count(0, self.plan.generation):
                last = first + self.plan.generation if n_trials is None else min(first + self.plan.generation, n_trials)
                if last <= first or (deadline is not None and time.monotonic() >= deadline):
                    return
                yield from self._run_generation(engine, first, last)
                if not all(trial.is_done for trial in self.trials[first:last]):
                    return
        finally:
            if timer is not None:
                timer.cancel()

    def _run_generation(self, engine: Engine, first: int, last: int) -> Iterator[Trial]:
        yield from self._choose(first, last)
        works = []
        for trial in [trial for trial in self.trials[first:last] if not trial.is_done]:
            try:
                settings = self.settings_of(trial)
                n_epochs = settings.resolve(self._task)[1].epochs
            except JitnetError as error:  # these settings do not fit together
                yield self._end(replace(trial, state="failed", error=str(error)))
                continue
            self.trials[trial.number] = replace(trial, n_epochs=n_epochs)
            rule = BelowMedian(self._curves(first), n_epochs, self.plan.score) if self.plan.prune else None
            rows = _without_test if self._tests else None
            works.append(Work(trial.name, settings, rows=rows, ends_early=rule).on_data(self.plan.checksum))
        numbers = {trial.name: trial.number for trial in self.trials[first:last]}
        again = frozenset(work.name for work in works if (self.folder / work.name).exists())
        for event in engine.run(works, self.folder, again=again):
            trial = self.trials[numbers[event.name]]
            if isinstance(event, Started):
                trial = replace(trial, state="running", scores=())
            elif isinstance(event, Reported):
                trial = replace(trial, scores=(*trial.scores, score_of(event.report, self.plan.score)))
            elif isinstance(event, Finished):
                trial = self._ended(trial, event.outcome)
            elif event.kind in _ENDS_ALL:
                raise OutputError(event.error)
            else:
                trial = replace(trial, state="failed", error=event.error)
            self.trials[trial.number] = trial
            yield self._end(trial) if trial.is_done else trial

    def _ended(self, trial: Trial, outcome: Outcome) -> Trial:
        report = outcome.report
        state = "unfinished" if outcome.stopped or report is None else "pruned" if outcome.ended_early else "finished"
        scores = tuple(score_of(each, self.plan.score) for each in outcome.reports)
        return replace(
            trial,
            state=state,
            scores=scores,
            score=None if report is None else score_of(report, self.plan.score),
            kept=outcome.kept,
            ended="unpromising" if state == "pruned" else outcome.ended,
            seconds=sum(each.seconds for each in outcome.reports),
        )

    def _curves(self, first: int) -> tuple[Curve, ...]:
        """The finished trials of the generations before."""
        sign = max if self.larger_is_better else min
        return tuple(
            Curve(tuple(itertools.accumulate(trial.scores, sign)), trial.n_epochs)
            for trial in self.trials[:first]
            if trial.state == "finished"
        )

    def _choose(self, first: int, last: int) -> Iterator[Trial]:
        """Choose the trials of a generation that are not chosen yet, and write them to the journal."""
        if len(self.trials) >= last:
            return
        import optuna

        distributions = self.space.distributions
        # A study in memory, of the generations before: what is chosen does not depend on what has ended since.
        known = optuna.create_study(direction="maximize" if self.larger_is_better else "minimize")
        known.add_trials(self._study.get_trials(deepcopy=False)[:first])
        for number in range(first, last):
            seed = int(np.random.SeedSequence((self.plan.seed, number)).generate_state(1)[0])
            known.sampler = optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=RANDOM, multivariate=True, constant_liar=True
            )
            parameters = known.ask(distributions).params
            if number < len(self.trials):
                continue
            running = optuna.trial.create_trial(
                state=optuna.trial.TrialState.RUNNING, params=parameters, distributions=distributions
            )
            self._ids.append(self._storage.create_new_trial(self._study_id, running))
            self.trials.append(Trial(number, dict(parameters)))
            yield self.trials[-1]

    def _end(self, trial: Trial) -> Trial:
        """Write a trial that is done to the journal, in one piece."""
        from optuna.trial import TrialState

        self.trials[trial.number] = trial
        storage, trial_id = self._storage, self._ids[trial.number]
        with self._journal.together():
            for step, score in enumerate(trial.scores, 1):
                storage.set_trial_intermediate_value(trial_id, step, score)
            for name in ("state", *_KEPT):
                storage.set_trial_user_attr(trial_id, name, getattr(trial, name))
            if trial.state == "finished" and trial.score is not None:
                storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [trial.score])
            else:  # Optuna takes a pruned trial for worse than all that went further, and avoids settings that failed
                storage.set_trial_state_values(trial_id, TrialState.PRUNED)
        return trial

    def write_best(self) -> str:
        """Write the settings of the best trial as a TOML file that `jitnet train --config` takes, and return its text;
        "" where no trial is finished."""
        if (best := self.best) is None:
            return ""
        text = self.space.as_toml(best.parameters)
        path = self.folder / BEST
        try:
            write_whole(path, text.encode())
        except OSError as error:
            raise OutputError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None
        return text

    def test_score(self, dataset: "Dataset") -> float | None:
        """The score of the best trial's model on the test data, which nothing was chosen by; None where there are no
        test data or no trial is finished. Raises ModelError where its model cannot be read."""
        from jitnet.evaluation import evaluate
        from jitnet.model import Model

        if (best := self.best) is None or dataset.test is None:
            return None
        found = evaluate(Model.load(self.folder / best.name), dataset, n_mistakes=0)
        return float(found.accuracy if self.larger_is_better else found.loss)

    def importances(self) -> tuple[dict[str, float], str]:
        """How much each searched setting matters; see `jitnet.search.importance.importances`."""
        from jitnet.search.importance import importances

        return importances(self._study)


_KEPT = ("n_epochs", "score", "kept", "error", "ended", "seconds")
"""What the journal has of a trial beside Optuna's records: fields of a `Trial`."""

_ENDS_ALL = ("OutputError", "Busy")
"""Errors of one trial that the next would have too: a disk that is full, for example."""


def _without_test(dataset: "Dataset") -> "Dataset":
    """The data without their test part: nothing is chosen by it, so it is not evaluated in a trial."""
    return dataset.without_test()
