"""The document of a function's profile, as `jitnet profile MODULE:FUNCTION --json` prints it."""

from dataclasses import asdict
from typing import Any

from jitnet.bench.limits import cache_bytes
from jitnet.compiler.machine import describe_machine
from jitnet.foreign.records import FunctionProfile
from jitnet.profile.document import FUNCTION_FORMAT
from jitnet.version import __version__

__all__ = ["as_document"]


def as_document(profile: FunctionProfile) -> dict[str, Any]:
    """Everything that was found. settings and rows are what `profile.comparison` reads: two documents can be compared
    where function, arguments and options are the same."""
    return {
        "format": FUNCTION_FORMAT,
        "jitnet": __version__,
        "machine": {**asdict(describe_machine()), "cache_bytes": cache_bytes()},
        "settings": {"target": profile.target, "signature": profile.signature, "options": profile.options},
        "rows": [
            {
                "name": profile.target.rpartition(":")[2],
                "shape": ", ".join(argument.type for argument in profile.arguments),
                "threads": count.threads,
                "samples_s": count.samples_s,
            }
            for count in profile.counts
        ],
        "gflops": profile.gflops,
        "gbs": profile.gbs,
        **asdict(profile),
    }
