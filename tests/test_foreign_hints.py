"""Every kind of hint is found where it was planted, and clean functions get none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import jitnet
from jitnet.foreign.hints import Kind
from jitnet.foreign.profiling import _environment

PLANTED = Path(__file__).parent / "planted"

# What each planted fault is called with, and the kind of hint that names its marked line.
FAULTS = {
    "promotes": ("f4[1000] f4[1000]", Kind.PROMOTION),
    "promotes_in_a_sum": ("f4[1000]", Kind.PROMOTION),
    "promotes_by_element": ("f4[1000]", Kind.PROMOTION),
    "strided": ("f8[1000]A", Kind.LAYOUT),
    "wraps": ("f8[1000] f8[1000] 0", Kind.WRAPAROUND),
    "keeps_order": ("f8[1000] f8[1000]", Kind.REDUCTION),
    "allocates": ("f8[100,10]", Kind.ALLOCATION),
    "allocates_by_row": ("f8[100,10]", Kind.ALLOCATION),
    "races": ("f8[1000] f8[4]", Kind.RACE),
    "races_on_one": ("f8[1000] f8[4]", Kind.RACE),
    "races_through_indices": ("f8[1000] i8[1000] f8[1000]", Kind.RACE),
    "reads_its_neighbour": ("f8[1000]", Kind.RACE),
    "uneven": ("f8[64] 500", Kind.UNEVEN),
    "short": ("f8[64]", Kind.SHORT_REGION),
    "short_by_element": ("f8[100] f8[100]", Kind.SHORT_REGION),
    "decays": ("f8[1000] 7000", Kind.DENORMALS),
    "compiles_again": ("1000", Kind.COMPILED_AGAIN),
    "interprets": ("i8[100]", Kind.OBJECT_MODE),
    "asks_the_interpreter": ("f8[10]", Kind.OBJECT_MODE),
}
ALONE = {"races", "races_on_one", "races_through_indices", "reads_its_neighbour", "decays", "keeps_order", "strided"}
"""Faults beside which nothing else is to be found."""

CLEAN = {
    "saxpy": "f4(2.5) f4[1000] f4[1000]",
    "dot": "f4[1000] f4[1000]",
    "stencil": "f4[1000] f4[1000]",
    "matmul": "f4[60,60] f4[60,60] f4[60,60] 16",
    "row_sums": "f4[3000,1000] f4[3000]",
    "total": "f8[3000000]",
    "permutes": None,
    "by_blocks": "f8[3000000] f8[3000000] 1000",
    "adds": "f4[1000] f4[1000]",
    "doubles": "f4[100,1000]",
    "through_a_helper": "f4[1000] f4[1000]",
}
NEEDS_TIME = {Kind.UNEVEN.value, Kind.SHORT_REGION.value}
"""Kinds that a busy machine can bring about in anything that runs on threads."""


def case(name: str, file: str, args: str | None) -> dict:
    setup = None if args is not None else f"{PLANTED / file}:permutation"
    common = {"threads": None, "perf_map": False}
    return {"target": f"{PLANTED / file}:{name}", "args": args, "setup": setup, **common}


@pytest.fixture(scope="module")
def answers() -> dict[str, dict]:
    """What the child answers for each planted function."""
    cases = [case(name, "faults.py", args) for name, (args, _) in FAULTS.items()]
    cases += [case(name, "clean.py", args) for name, args in CLEAN.items()]
    environment, _ = _environment()
    environment["PYTHONPATH"] = str(Path(jitnet.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(PLANTED / "measured.py"), json.dumps(cases)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip([*FAULTS, *CLEAN], json.loads(done.stdout.splitlines()[-1]), strict=True))


def marked(name: str) -> list[int]:
    """Lines of the planted function that end in `# here`; where it has none, of the one that it calls."""
    lines = (PLANTED / "faults.py").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(f"def {name}("))
    last = next(
        (number for number in range(first + 1, len(lines)) if lines[number].startswith(("def ", "@"))), len(lines)
    )
    found = [number + 1 for number in range(first, last) if lines[number].endswith("# here")]
    return found or [number + 1 for number, line in enumerate(lines) if line.startswith("def square(")]


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_with_its_line(answers, name):
    kind = FAULTS[name][1]
    hints = [hint for hint in answers[name]["hints"] if hint["kind"] == kind.value]
    assert [(hint["place"]["file"], hint["place"]["line"]) for hint in hints] == [
        (str(PLANTED / "faults.py"), line) for line in marked(name)
    ]
    assert all(hint["place"]["source"].endswith("# here") for hint in hints)
    assert all(hint["reason"] for hint in hints)


@pytest.mark.parametrize("name", sorted(ALONE))
def test_nothing_else_is_found_beside_it(answers, name):
    kinds = {hint["kind"] for hint in answers[name]["hints"]} - NEEDS_TIME
    assert kinds == {FAULTS[name][1].value}


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_function_gets_no_hint(answers, name):
    assert [hint for hint in answers[name]["hints"] if hint["kind"] not in NEEDS_TIME] == []
