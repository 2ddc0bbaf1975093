"""Measure functions of a list, and some of their parts alone: `python sampled.py CASES CORES`.

CASES is a JSON list of requests as `jitnet.profile.functions.worker` gets them, each with "parts", functions of the
same file that take the same arguments, and "sampling_s", seconds of sampling. Prints a JSON list of the replies, each
with the CPU seconds of its "parts".
"""

import json
import os
import sys
import time
from statistics import median

cores = json.loads(sys.argv[2])
if cores:
    os.sched_setaffinity(0, cores)

from jitnet.profile.functions.arguments import make_arguments, read_words  # noqa: E402
from jitnet.profile.functions.worker import measuring  # noqa: E402  (Numba counts the cores as it is imported)
from jitnet.profile.functions.worker.observers import observe  # noqa: E402
from jitnet.profile.functions.worker.subject import find  # noqa: E402

measuring.TIMING_S = measuring.CLOCK_S = 0.1


def alone(names: list[str], file: str, args: str) -> list[float]:
    """The CPU seconds of a call of each, in turn."""
    functions = [find(f"{file}:{name}").call for name in names]
    arguments = make_arguments(read_words(args))
    samples: list[list[float]] = [[] for _ in names]
    for _ in range(60):
        for function, found in zip(functions, samples, strict=True):
            begin = time.thread_time()
            function(*arguments)
            found.append(time.thread_time() - begin)
    return [median(found[5:]) for found in samples]


def main() -> None:
    observers = observe(cores)
    replies = []
    for case in json.loads(sys.argv[1]):
        parts = case.pop("parts")
        reply = measuring.measure(case, observers, lambda what: None)
        replies.append(
            reply | {"parts": alone(parts, case["target"].rpartition(":")[0], case["args"])} if parts else reply
        )
    print(json.dumps(replies))


if __name__ == "__main__":
    main()
