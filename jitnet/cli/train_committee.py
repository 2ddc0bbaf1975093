"""`jitnet train --committee`."""

import sys
from shlex import quote
from typing import TYPE_CHECKING, Any

from jitnet.cli.common import predicting, print_json
from jitnet.cli.several import train_side_by_side

if TYPE_CHECKING:
    from jitnet.model import Committee
    from jitnet.render import Consoles
    from jitnet.runs import Run
    from jitnet.runs.run_settings import Settings
    from jitnet.search.engine import Engine
    from jitnet.search.work import Outcome, Work
    from jitnet.training.trainer import Trainer

__all__ = ["train_committee"]


def train_committee(
    engine: "Engine",
    run: "Run",
    trainer: "Trainer",
    settings: "Settings",
    works: "list[Work]",
    screen: "Consoles",
    json: bool,
) -> int:
    """Train the members of a committee into its run folder, write the committee, show how good it is, and return the
    exit code. trainer: of one member, not begun."""
    from jitnet import render
    from jitnet.engine.loop import load_loop
    from jitnet.runs.run_training import describe
    from jitnet.search.members import committee_result, save_committee

    count, dataset = len(works), trainer.dataset
    run.write_config({**describe(trainer, settings), "committee": count})
    n_train, n_held_out = trainer.n_samples
    parts = [(n_train, "to train on"), (n_held_out, "held out"), (len(dataset.test or ()), "to test on")]
    rows = ", ".join(f"{n:,} {what}" for n, what in parts if n)
    seeds = f"seeds {trainer.config.seed} to {trainer.config.seed + count - 1}"
    render.facts(screen.info, [("data", f"{dataset.name}: {rows}"), ("committee", f"{count} networks, {seeds}")])
    render.network(screen.info, trainer.model.config)
    with render.compiling(screen, "the training loops"):
        load_loop()
    works = [work.on_data(dataset.checksum) for work in works]
    trained = train_side_by_side(engine, works, run.folder, screen, trainer.config.epochs)
    saved = save_committee(trained.outcomes, run.model_path)
    errors = list(trained.errors.values())
    notices = render.make_console(sys.stderr)
    if saved is None:
        if errors:
            raise errors[0]
        if not trained.outcomes:
            raise KeyboardInterrupt
        folder = trained.outcomes[0].folder
        render.notice(
            notices, f"stopped with 1 of {count} members, and a committee is of two or more; {folder} holds it"
        )
        return 130
    committee, taken = saved
    scores = _scores(committee, taken, trainer) if dataset.test is not None else {}
    run.write_config({**run.config, "result": committee_result(taken, scores.get("committee", {}), trained.stopped)})
    if json:
        print_json(_document(run, taken, scores))
    else:
        _show(screen, run, committee, taken, scores)
    if trained.stopped:
        notice = f"stopped: the committee has {len(taken)} of {count} members"
        unfinished = sum(outcome.stopped for outcome in taken)
        if unfinished:
            notice += f", of which {unfinished} {'was' if unfinished == 1 else 'were'} not trained to the end"
        render.notice(notices, notice)
        return 130
    if errors:
        raise errors[0]
    return 0


def _scores(committee: "Committee", taken: "list[Outcome]", trainer: "Trainer") -> dict[str, dict[str, float]]:
    """The metrics of each member and of the committee on the test data, by name."""
    from jitnet.evaluation import evaluate

    members = {
        outcome.name: evaluate(member, trainer.dataset).metrics
        for outcome, member in zip(taken, committee.members, strict=True)
    }
    return {**members, "committee": evaluate(committee, trainer.dataset).metrics}


def _show(
    screen: "Consoles",
    run: "Run",
    committee: "Committee",
    taken: "list[Outcome]",
    scores: dict[str, dict[str, float]],
) -> None:
    from jitnet import render

    folder = quote(str(run.folder))
    if scores:
        rows = [(outcome.name, scores[outcome.name]) for outcome in taken]
        kept = [outcome.kept or len(outcome.reports) for outcome in taken]
        details: dict[str, list[int | str]] = {
            "epochs": [*(len(outcome.reports) for outcome in taken), ""],
            "kept": [*kept, ""],
        }
        render.scores_of_several(screen.out, "on the test data", rows, [("committee", scores["committee"])], details)
    render.facts(screen.out, [("model", f"{run.model_path}: {committee!r}")])
    render.suggest(screen.out, [f"jitnet eval {folder}", *predicting(committee, run.folder)])


def _document(run: "Run", taken: "list[Outcome]", scores: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The document of `--json`."""
    return {
        "run": run.folder,
        "saved": run.model_path,
        **run.config,
        "members": [
            {
                "run": outcome.folder,
                "epochs": len(outcome.reports),
                "best_epoch": outcome.kept,
                "outcome": outcome.ended,
                "stopped": outcome.stopped,
                "held_out": outcome.score if outcome.report and outcome.report.score("val") is not None else None,
                "test": scores.get(outcome.name),
            }
            for outcome in taken
        ],
        "test": scores.get("committee"),
    }
