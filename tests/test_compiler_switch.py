"""One call of any of several linked functions, by number."""

import numpy as np
import pytest

from jitnet.compiler.decorators import kernel, linked
from jitnet.compiler.signatures import DOUBLES, INT
from jitnet.compiler.startup import linked_functions
from jitnet.compiler.switch import switch

pytestmark = pytest.mark.small


@linked(DOUBLES, INT)
def double(x, at):
    x[at] *= 2.0


@linked(DOUBLES, INT)
def add_one(x, at):
    x[at] += 1.0


choose = switch([double, add_one], (DOUBLES, INT))


@kernel
def apply(numbers, x):
    for at in range(numbers.shape[0]):
        choose(numbers[at], x, at)


def test_each_number_calls_its_function_and_others_none():
    x = np.full(5, 3.0)
    apply(np.array([0, 1, 2, -1, 1]), x)
    np.testing.assert_array_equal(x, [6.0, 4.0, 3.0, 3.0, 4.0])


def test_what_a_switch_may_call_is_loaded_ahead_of_its_callers():
    if hasattr(double, "linked_signature"):
        assert linked_functions(apply) == [double, add_one]
