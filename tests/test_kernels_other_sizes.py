"""The kernels with the block sizes of both kinds of processor, compiled in one order and another, on guarded memory.

LLVM splits vectors that are too long for this processor, and every sum is the same.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import environment

from jitnet.compiler.environment import BLOCKS

TESTS = Path(__file__).parent
FILES = ["test_machine_tile.py", "test_kernels_linear.py", "test_kernels_sparse.py", "test_kernels_matmul.py"]

PROBE = "test_kernels_probe.py::test_the_peak_adds_up_in_its_tile[1]"  # whole tiles: no count of panels is given
FORWARD, INPUT, TOGETHER = (
    f"test_kernels_linear.py::test_{name}"
    for name in ("forward", "backward_input", "panels_have_the_same_bits_together_and_alone")
)
LISTS = [
    f"test_kernels_sparse.py::test_{name}_has_the_bits_of_the_dense_loop" for name in ("forward", "backward_weight")
]
RUNGS = "test_kernels_matmul.py::test_every_output_has_one_writer_on_any_number_of_threads"

(OTHER,) = {"avx2", "avx512"} - {BLOCKS}
ORDERS = {
    "the probe first": (BLOCKS, [PROBE, RUNGS]),
    "the probe between": (BLOCKS, [FORWARD, PROBE, RUNGS]),
    "the probe last": (BLOCKS, [FORWARD, PROBE]),
    "other sizes, the probe first": (OTHER, [PROBE, RUNGS]),
    "other sizes, the probe between": (OTHER, [FORWARD, PROBE, RUNGS, INPUT]),
    "other sizes, the probe last": (OTHER, [*LISTS, TOGETHER, PROBE]),
}


def run(tests, **variables):
    """Run tests of files, on small shapes, in a process of their own and in this order."""
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "small", "-p", "no:cacheprovider", *tests],
        cwd=TESTS,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )
    said = result.stdout[-4000:] + result.stderr[-2000:]
    assert result.returncode >= 0, f"ended by signal {-result.returncode}: a kernel went out of its range\n{said}"
    assert result.returncode == 0, said
    assert " passed" in result.stdout


def test_the_kernels_as_plain_python(tmp_path):
    run(FILES, JITNET_BLOCKS=OTHER, JITNET_CACHE=str(tmp_path), NUMBA_DISABLE_JIT="1")


@pytest.mark.skipif(sys.platform != "linux", reason="guarded memory is for Linux")
@pytest.mark.parametrize(("blocks", "tests"), ORDERS.values(), ids=ORDERS)
def test_the_products_in_any_order_of_compiling(blocks, tests):
    """Whole tiles and parts of tiles are other code: neither may be taken for the other, whichever was first."""
    # Nothing is loaded that was compiled in another order, and nothing kept.
    variables = {"JITNET_BLOCKS": blocks, "JITNET_CACHE": os.devnull, "NUMBA_DISABLE_JIT": "0", "NUMBA_OPT": "1"}
    run(["-p", "guarded", *tests], **variables)
