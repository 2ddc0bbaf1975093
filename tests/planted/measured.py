"""Measure the functions of a list, one after another in one process: `python measured.py CASES`.

CASES is a JSON list of requests, as jitnet/foreign/worker.py gets them. Prints a JSON list of the answers. A process
for each is what users run, and would take a minute of the suite; times are cut short, for no test looks at them.
"""

import json
import os
import sys

from jitnet.foreign import measuring

measuring.TIMING_S = measuring.CLOCK_S = measuring.FLAGS_S = 0.03


def main() -> None:
    cases = json.loads(sys.argv[1])
    observers = measuring.observe(sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else ())
    print(json.dumps([measuring.measure(case, observers, lambda what: None) for case in cases]))


if __name__ == "__main__":
    main()
