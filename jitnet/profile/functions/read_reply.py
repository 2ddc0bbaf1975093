"""The profile of a function from what the worker process replied."""

import linecache
from typing import Any

from jitnet.profile.functions.counts import counted_of, hardware_of, timeline_of
from jitnet.profile.functions.formula import evaluate
from jitnet.profile.functions.function_profile import Argument, Check, CompiledFunction, FunctionProfile
from jitnet.profile.functions.hint_records import Hint
from jitnet.profile.functions.hints import RULES, Kind
from jitnet.profile.functions.places import Place
from jitnet.profile.functions.time_records import Count, LineTime, LoopTime, Region, Rest, Sampling, ThreadShare
from jitnet.profile.functions.tried import in_order

__all__ = ["read_profile"]


def read_profile(target: str, reply: dict[str, Any], flop: str | None, bytes_: str | None) -> FunctionProfile:
    """Return the profile that the worker process sent. flop, bytes_: formulas, instead of what it counted."""
    values, counted = reply["values"], counted_of(reply["counted"])
    return FunctionProfile(
        target=target,
        kind=reply["kind"],
        place=Place(**reply["place"]),
        signature=reply["signature"],
        options=reply["options"],
        arguments=tuple(Argument(**each) for each in reply["arguments"]),
        returns=reply["returns"],
        compile_s=reply["compile_s"],
        import_s=reply["import_s"],
        counts=tuple(Count(each["threads"], each["repeats"], tuple(each["samples_s"])) for each in reply["counts"]),
        threads=reply["threads"],
        thread_shares=tuple(ThreadShare(**each) for each in reply["thread_shares"]),
        regions=tuple(
            Region(**each | {"place": Place(**each["place"]), "busy_s": tuple(each["busy_s"])})
            for each in reply["regions"]
        ),
        outside_s=reply["outside_s"],
        dispatch_s=reply["dispatch_s"],
        cpu_share=reply["cpu_share"],
        flop=counted.flop if flop is None else evaluate("--flop", flop, values),
        bytes=counted.bytes if bytes_ is None else evaluate("--bytes", bytes_, values),
        flop_formula=flop or "",
        bytes_formula=bytes_ or "",
        functions=tuple(
            CompiledFunction(each["name"], Place(**each["place"]), tuple(each["signatures"]), each["compile_s"])
            for each in reply["functions"]
        ),
        hints=_hints(reply["hints"]),
        kept=_hints(reply["kept"]),
        unsearched=(),
        notes=tuple(reply["notes"]),
        threading_layer=reply["threading_layer"],
        numba=reply["numba"],
        python=reply["python"],
        perf_map=reply["perf_map"],
        counted=counted,
        hardware=hardware_of(reply["hardware"]),
        timeline=timeline_of(reply["timeline"]),
        checks=tuple(
            Check(**each | {"place": Place(**each["place"]) if each["place"] else None}) for each in reply["checks"]
        ),
        sampling=_sampling(reply["sampling"]),
    )


def _sampling(found: dict[str, Any] | None) -> Sampling | None:
    if found is None:
        return None
    return Sampling(
        samples=found["samples"],
        cost=found["cost"],
        same_code=found["same_code"],
        loops=tuple(LoopTime(**each | {"place": Place(**each["place"])}) for each in found["loops"]),
        lines=tuple(
            LineTime(
                Place(each["file"], each["line"], linecache.getline(each["file"], each["line"]).strip()), each["share"]
            )
            for each in found["lines"]
        ),
        rest=tuple(Rest(**each) for each in found["rest"]),
    )


def _hints(found: list[dict[str, Any]]) -> tuple[Hint, ...]:
    return in_order(
        Hint(
            each["kind"],
            Place(**each["place"]),
            each["reason"],
            each["advice"] or RULES[Kind(each["kind"])].advice,
            each["source"],
            each["share"],
        )
        for each in found
    )
