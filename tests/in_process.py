"""An engine that trains works in this process, one after another: what uses an engine is tested without processes."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

from jitnet.errors import JitnetError
from jitnet.search.engine import Event, Failed, Finished, Reported, Started
from jitnet.search.work import Work, train_work


class InProcess:
    """In the place of `jitnet.search.local.Local`. before: called with each work before it is trained."""

    before: Callable[[Work], object] | None = None

    def __init__(self, workers: int = 0) -> None:
        self.workers = workers or 1
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()

    def run(self, works: Sequence[Work], base: Path, *, again: frozenset[str] = frozenset()) -> Iterator[Event]:
        for work in works:
            if self._stopped.is_set():
                return
            yield Started(work.name)
            if type(self).before is not None:
                type(self).before(work)
            try:
                outcome = train_work(work, base, should_stop=self._stopped.is_set, again=work.name in again)
            except JitnetError as error:
                yield Failed(work.name, error.named(dict(work.settings.names)), type(error).__name__)
                continue
            yield from (Reported(work.name, report) for report in outcome.reports)
            yield Finished(work.name, outcome)

    def stop(self, name: str | None = None) -> None:
        self._stopped.set()

    def wait(self) -> None:
        self._stopped.wait(5)
