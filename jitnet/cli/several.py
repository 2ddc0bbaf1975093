"""Training several runs side by side, as the command line shows it."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple

import jitnet.errors
from jitnet.cli.common import interrupts
from jitnet.errors import JitnetError

if TYPE_CHECKING:
    from jitnet.render import Consoles
    from jitnet.search.engine import Engine
    from jitnet.search.work import Outcome, Work

__all__ = ["Trained", "train_side_by_side"]


class Trained(NamedTuple):
    """How runs ended. outcomes: of those that have a model, in the order of the works; stopped: whether a Ctrl-C ended
    them; errors: of the others, by name."""

    outcomes: "list[Outcome]"
    stopped: bool
    errors: Mapping[str, JitnetError]


def train_side_by_side(
    engine: "Engine",
    works: "Sequence[Work]",
    base: Path,
    screen: "Consoles",
    n_epochs: int,
    on_finished: "Callable[[Outcome], object] | None" = None,
) -> Trained:
    """Train works, show a live table of them, and return how they ended. A Ctrl-C stops all of them; those that are
    running then end within a second, with the model so far. on_finished: called when a work has ended to its end."""
    from jitnet import render
    from jitnet.search.engine import Failed, Finished

    outcomes: dict[str, Outcome] = {}
    errors: dict[str, JitnetError] = {}
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        # Not here: the engine may be at work on what this changes, and waits for no signal.
        Thread(target=engine.stop, daemon=True).start()

    with engine, interrupts(stop), render.WorksView(screen, [work.name for work in works], n_epochs) as view:
        for event in engine.run(works, base):
            view.event(event)
            if isinstance(event, Finished):
                outcomes[event.name] = event.outcome
                if on_finished is not None and not event.outcome.stopped:
                    on_finished(event.outcome)
            elif isinstance(event, Failed):
                kind = getattr(jitnet.errors, event.kind, JitnetError)
                errors[event.name] = (kind if issubclass(kind, JitnetError) else JitnetError)(
                    f"{base / event.name}: {event.error}"
                )
    for error in errors.values():
        if len(errors) < len(works):  # else one of them is what the command ends with
            render.notice(render.make_console(sys.stderr), str(error))
    ordered = [outcomes[work.name] for work in works if work.name in outcomes]
    return Trained(ordered, stopped, errors)
