"""The kernels with the block sizes of another kind of processor: with AVX-512's where there is none, and the other way
round. LLVM splits vectors that are too long for this one, and every sum is the same."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
FILES = ["test_compiler_tile.py", "test_kernels_linear.py", "test_kernels_sparse.py", "test_kernels_matmul.py"]

# Before anything reads the sizes. The code that is made is for the processor at hand.
RUN = """
import sys
import pytest
from jitnet.compiler import environment
environment.HAS_AVX512 = not environment.HAS_AVX512
from jitnet.compiler import blocks
assert (blocks.TILE_PANELS > 1) == environment.HAS_AVX512
sys.exit(pytest.main(["-q", "-m", "small", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def run(folder, names, **more):
    """Run tests of files so, on small shapes."""
    result = subprocess.run(
        [sys.executable, "-c", RUN, *(str(TESTS / name) for name in names)],
        cwd=TESTS.parent,
        env={**os.environ, "JITNET_CACHE": str(folder), **more},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    assert " passed" in result.stdout


def test_the_kernels_as_plain_python(tmp_path):
    run(tmp_path, FILES, NUMBA_DISABLE_JIT="1")


def test_the_products_compiled(tmp_path):
    together = "test_panels_have_the_same_bits_together_and_alone"
    names = [f"test_kernels_linear.py::{name}" for name in ("test_forward", "test_backward_input", together)]
    lists = [
        f"test_kernels_sparse.py::test_{name}_has_the_bits_of_the_dense_loop" for name in ("forward", "backward_weight")
    ]
    run(tmp_path, [*names, *lists], NUMBA_DISABLE_JIT="0")
