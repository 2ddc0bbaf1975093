"""Try the remedies of the hints of some functions, one after another in one process: `python tried.py CASES`.

CASES is a JSON list of requests, as `jitnet.profile.functions.worker` gets them, each with "factors": for each change
how many times as fast its copy is said to be, and "" for all others. So nothing that tests read hangs on this machine's
speed; the copies are compiled, run and compared. Prints a JSON list: for each the reply, and all states of its hints.
"""

import json
import sys
from pathlib import Path

from jitnet.bench.factors import Factor
from jitnet.profile.functions.worker import measuring, trials
from jitnet.profile.functions.worker.observers import observe

measuring.TIMING_S = measuring.CLOCK_S = 0.03


def main() -> None:
    observers = observe(())
    found = []
    for case in json.loads(sys.argv[1]):
        stages = []

        def said(first, second, *_, stages=stages, case=case):
            first(1)
            second(2)
            change = stages[-1].removeprefix("trying ")
            factor = case["factors"].get(change, case["factors"].get("", 1.0))
            return Factor(factor, factor * 0.99, factor * 1.01, 7, 0.05)

        trials.time_in_turn = said
        reply, tries = measuring.measure_and_try(case, observers, stages.append)
        for kind, text in case.get("also", []):  # hints of the machine code and the clock
            if any(hint["kind"] == kind for hint in reply["hints"]):
                continue
            file = reply["place"]["file"]
            lines = Path(file).read_text(encoding="utf-8").splitlines()
            first = reply["place"]["line"]
            line = next(number for number, one in enumerate(lines[first:], first + 1) if text in one)
            reply["hints"].append(
                {"kind": kind, "place": {"file": file, "line": line, "source": text}, "reason": "", "advice": ""}
                | {"source": "clock", "share": None}
            )
        for hint in reply["hints"]:
            hint["share"] = case.get("share", hint["share"])  # denormal numbers cost nothing on many processors
        states = list(tries.run(reply["hints"], tries.now() + case.get("left_s", 60.0)))
        found.append({"reply": reply, "states": states})
    print(json.dumps(found))


if __name__ == "__main__":
    main()
