"""The four ways to compile a function: what each promises to those who call it."""

import math
import subprocess
import sys

import numba
import numpy as np
import pytest
from conftest import environment
from direct import direct
from layouts import MARK

from jitnet.compiler import cache
from jitnet.compiler.decorators import FASTMATH, helper, kernel, linked, load
from jitnet.compiler.signatures import FLOATS, INT, REAL
from jitnet.kernels.memory import clear
from jitnet.machine.blocks import LANES

COMPILED = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="asks what the compiler makes")


@linked(INT, FLOATS, returns=REAL)
def _weighted(times, values):
    """times the sum of values."""
    total = 0.0
    for k in range(values.shape[0]):
        total += values[k]
    return times * total


@linked(FLOATS, returns=REAL)
def _twice(values):
    """Calls a linked function, and is one itself."""
    return _weighted(2, values)


@linked(FLOATS, returns=REAL)
def _first(values):
    """Called only by a helper."""
    return np.float64(values[0]) / 2.0


@helper
def _half_of_first(values):
    return _first(values)


@kernel
def _thrice(values):
    return _twice(values) + _weighted(1, values)


@pytest.mark.small
def test_a_linked_function_is_called_by_linked_functions_and_by_kernels():
    assert _thrice(np.arange(5, dtype=np.float32)) == 30.0


@pytest.mark.small
def test_a_copy_of_a_linked_function_can_be_called():
    assert direct(_weighted)(3, np.arange(5, dtype=np.float32)) == 30.0
    assert direct(_twice)(np.arange(5, dtype=np.float32)) == 20.0
    assert direct(_twice) is direct(_twice)


@COMPILED
@pytest.mark.parametrize("by_helper", [False, True])
def test_a_caller_holds_a_linked_function_s_name_and_no_copy(monkeypatch, by_helper):
    monkeypatch.setattr(cache, "cache_folder", None)  # what is loaded cannot be looked into

    @kernel
    def twice(values):
        return _twice(values)

    @kernel
    def half(values):
        return _half_of_first(values)

    caller, name = (half, "_first") if by_helper else (twice, "_twice")
    assert caller(np.arange(4, 6, dtype=np.float32)) == (2.0 if by_helper else 18.0)
    lines = next(iter(caller.inspect_llvm().values())).splitlines()
    named = [line for line in lines if f"{__name__}.{name}" in line]
    assert any(line.startswith("declare") for line in named)
    assert not any(line.startswith("define") for line in named)


@COMPILED
def test_a_process_that_loads_a_caller_loads_what_it_calls_too():
    """The compiler is not run for code from the cache, so its callees must be found without it."""
    code = (
        "import numpy as np; from jitnet.kernels import activation\n"
        "x = np.arange(-8, 8, dtype=np.float32).reshape(1, 16); out = x.copy()\n"
        "activation.apply_activation(activation.RELU, x, out, 2)\n"
        "stats = activation.apply_activation.stats, activation.activation_forward.stats\n"
        "print(out.sum(), *(sum(stat.cache_misses.values()) for stat in stats))"
    )
    answers = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), timeout=120, check=True
        ).stdout
        for _ in range(2)
    ]
    assert answers[1] == "28.0 0 0\n"


def test_nan_is_seen_by_compiled_loops():
    """With "nnan" or "ninf" among the options `isfinite` would be folded to True, and a diverging run go unnoticed."""

    @kernel
    def is_finite(value):
        return math.isfinite(value) and value == value

    assert not FASTMATH & {"nnan", "ninf", "fast"}
    for value in (np.nan, np.inf, -np.inf):
        assert not is_finite(value)
    assert is_finite(1.0)


@linked(REAL, REAL, returns=REAL, fastmath=False)
def _exact(value, vast):
    return (value + vast) - vast


@kernel
def _by_name(value, vast):
    return _exact(value, vast)


@kernel
def _free(value, vast):
    return (value + vast) - vast


@pytest.mark.small
def test_without_fastmath_a_linked_function_returns_what_python_returns():
    for value in (0.3, 1.7, -2.9):
        assert _by_name(value, 1e16) == (value + 1e16) - 1e16
    if not numba.config.DISABLE_JIT:
        assert _free(0.3, 1e16) == 0.3  # where it is free to, the compiler sees that nothing is left to add


@pytest.mark.small
@pytest.mark.parametrize("size", [1, LANES, 3 * LANES + 1])
def test_helpers_become_part_of_whoever_calls_them(size):
    values = np.full(size, MARK, np.float32)
    direct(clear)(values, 1, size)
    assert values[0] == MARK
    assert (values[1:] == 0).all()


@COMPILED
def test_python_s_call_of_a_linked_function_is_refused_not_a_crash():
    with pytest.raises(TypeError, match="_weighted can only be called from compiled code"):
        _weighted(2, np.ones(3, np.float32))
    load(_weighted)
    with pytest.raises(TypeError, match="from compiled code"):
        _weighted(2, np.ones(3, np.float32))
