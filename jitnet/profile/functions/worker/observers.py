"""What must be installed before the user's code is loaded: it sees what is compiled, and when threads work."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jitnet.compiler.numba_parts import event, wrap_loop_bodies
from jitnet.profile.functions.worker.summary import Summary
from jitnet.profile.functions.worker.symbols import Symbols, region_of
from jitnet.profile.functions.worker.thread_clock import ThreadClock
from jitnet.profile.functions.worker.typed_code import watch_compiler
from jitnet.profile.users.built_ufuncs import remember_ufuncs
from jitnet.profile.users.callbacks import remember_callbacks

__all__ = ["Observers", "observe"]


@dataclass(frozen=True)
class Observers:
    """What must be installed before the user's code is loaded, once a process."""

    clock: ThreadClock
    symbols: Symbols
    summaries: list[Summary]
    regions: dict[str, tuple[str, int]]
    compiled: event.RecordingListener


def observe(cores: Sequence[int] = ()) -> Observers:
    """Install all observers. cores: as `ThreadClock` takes them."""
    summaries: list[Summary] = []
    clock, symbols = ThreadClock(cores), Symbols()
    watch_compiler(summaries)
    remember_ufuncs()
    remember_callbacks()
    compiled = event.RecordingListener()
    event.register("numba:compile", compiled)
    return Observers(clock, symbols, summaries, _remember_regions(), compiled)


def _remember_regions() -> dict[str, tuple[str, int]]:
    """From now on, store the line of each parallel loop by the name of its body."""
    places: dict[str, tuple[str, int]] = {}

    def wrapped(create: Any) -> Any:
        def create_and_store(lowerer: Any, parfor: Any, *rest: Any, **named: Any) -> Any:
            made = create(lowerer, parfor, *rest, **named)
            file = str(parfor.loc.filename)
            file = str(lowerer.func_ir.func_id.filename) if file.startswith("<") else file
            places[region_of(str(made[0].fndesc.mangled_name))] = file, int(parfor.loc.line)
            return made

        return create_and_store

    wrap_loop_bodies(wrapped)
    return places
