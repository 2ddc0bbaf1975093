"""Measure the functions of a list, one after another in one process: `python measured.py CASES CORES`.

CASES is a JSON list of requests, as `jitnet.profile.functions.worker` gets them; CORES one of cores to run on, since
the process that starts this may be bound to one of them. Prints a JSON list of the replies. A process for each is what
users run, but would take a minute of the suite; times are cut short, since no test reads them.
"""

import json
import os
import sys

cores = json.loads(sys.argv[2])
if cores:
    os.sched_setaffinity(0, cores)

from jitnet.profile.functions.worker import measuring  # noqa: E402  (Numba counts the cores as it is imported)
from jitnet.profile.functions.worker.observers import observe  # noqa: E402

measuring.TIMING_S = measuring.CLOCK_S = 0.03
measuring.CHECK_S = 4.0
measuring.sample = lambda measuring, budget_s: None


def main() -> None:
    cases = json.loads(sys.argv[1])
    observers = observe(cores)
    print(json.dumps([measuring.measure(case, observers, lambda what: None) for case in cases]))


if __name__ == "__main__":
    main()
