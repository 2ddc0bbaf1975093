"""`--args`: what each word describes, and words that are not valid."""

import numpy as np
import pytest

from jitnet.errors import UsageError
from jitnet.profile.functions.arguments import make_arguments, read_words


def made(text: str):
    return make_arguments(read_words(text))


def test_arrays_have_the_type_shape_and_layout_that_was_written():
    rows, columns, strided, frozen, empty, point = made("f4[20,30] float64[3,4]F i4[5,6]A f8[7]R u1[0,3] f8[]")
    assert (rows.dtype, rows.shape) == (np.float32, (20, 30))
    assert rows.flags.c_contiguous
    assert columns.dtype == np.float64
    assert columns.flags.f_contiguous
    assert not columns.flags.c_contiguous
    assert strided.shape == (5, 6)
    assert not strided.flags.c_contiguous
    assert not strided.flags.f_contiguous
    assert not frozen.flags.writeable
    assert empty.shape == (0, 3)
    assert point.shape == ()


def test_numbers_are_the_same_every_time_and_fit_for_their_use():
    floats, whole, small, yes, pair = made("f4[1000] i8[1000] i1[500] b1[100] c16[10]")
    assert np.array_equal(floats, made("f4[1000] i8[1000] i1[500] b1[100] c16[10]")[0])
    assert 0.1 <= floats.min() < floats.max() <= 1
    assert np.unique(floats).size > 900
    assert whole.min() >= 0
    assert whole.max() < 10, "an index of every array in the line"
    assert small.dtype == np.int8
    assert set(np.unique(yes)) == {False, True}
    assert pair.dtype == np.complex128


def test_plain_values():
    values = made("3 2.5 -1e-3 True None 'two words' (1, 2.5) f4(2.5) i2(-4) u8")
    assert values[:7] == (3, 2.5, -1e-3, True, None, "two words", (1, 2.5))
    assert isinstance(values[7], np.float32)
    assert values[8] == -4
    assert isinstance(values[8], np.int16)
    assert values[9] == 1
    assert isinstance(values[9], np.uint64)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f4[10", "neither an array nor a number"),
        ("g4[10]", "'g4' is not a type"),
        ("f4[10,-1]", "whole numbers"),
        ("f4[ten]", "whole numbers"),
        ("f4[10]Z", "'Z' is not a layout"),
        ("f8[100000,100000]", "GiB"),
        ("x", "neither an array nor a number"),
        ("f4(abc)", "neither an array nor a number"),
        ("__import__('os')", "neither an array nor a number"),
        ("[1,2]", "neither an array nor a number"),
    ],
)
def test_an_invalid_argument_is_named(text, expected):
    with pytest.raises(UsageError, match="--args") as caught:
        read_words(f"3 {text}")
    assert expected in str(caught.value)
