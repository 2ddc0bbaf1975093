"""Check the functions of a list, one after another in one process: `python checked.py CASES CORES`, as `measured.py`.

Nothing is timed, and with "only before" nothing is called but copies. Prints a JSON list: for each case its checks, the
lines and reasons of its races, and what may make it crash.
"""

import json
import os
import sys

cores = json.loads(sys.argv[2])
if cores:
    os.sched_setaffinity(0, cores)

from jitnet.profile.functions.worker import measuring  # noqa: E402  (Numba counts the cores as it is imported)
from jitnet.profile.functions.worker.observers import Observers, observe  # noqa: E402
from jitnet.profile.functions.worker.subject import arguments_of, find  # noqa: E402

measuring.CHECK_S = 60.0
measuring._Measuring._repeatedly = measuring._Measuring._once = lambda self: None


def checked(case: dict, observers: Observers) -> dict:
    subject = find(case["target"])
    arguments = arguments_of(subject, case)
    made = measuring._Measuring(subject, arguments, case, observers, lambda what: None)
    made.compile()
    made.check()
    if case.get("only before"):
        return {"danger": made.checks.danger}
    made.call()
    races = [{"line": race.line, "reason": race.reason} for race in made.checks.races.found]
    return {"checks": made.checks.found, "races": races, "notes": made.notes, "danger": made.checks.danger}


def main() -> None:
    observers = observe(cores)
    print(json.dumps([checked(case, observers) for case in json.loads(sys.argv[1])]))


if __name__ == "__main__":
    main()
