"""Eight bytes as one number."""

import numpy as np
import pytest

from jitnet.compiler.decorators import kernel
from jitnet.machine.words import lowest_bit, mask_word, word_at

pytestmark = pytest.mark.small


@kernel
def _lowest(words, places):
    for at in range(words.shape[0]):
        places[at] = lowest_bit(words[at])


@kernel
def _words(row, at, mask, words):
    words[0] = word_at(row, at)
    mask_word(row, at, mask)
    words[1] = word_at(row, at)


def test_the_lowest_bit_is_counted_from_zero():
    words = np.array([1, 2, 3, 40, 1 << 63, (1 << 64) - 1, (1 << 63) + (1 << 32)], np.uint64)
    places = np.zeros(len(words), np.int64)
    _lowest(words, places)
    assert places.tolist() == [0, 1, 0, 3, 63, 0, 32]


@pytest.mark.parametrize("at", [0, 3, 8])
def test_a_word_is_eight_bytes_wherever_it_begins(at):
    row = np.arange(1, 18, dtype=np.uint8) * np.uint8(7)
    before, words = row.copy(), np.zeros(2, np.uint64)
    _words(row, at, np.uint64(0xFF00FF00_0000FFFF), words)
    expected = before.copy()
    expected[at : at + 8] = before[at : at + 8] * np.array([1, 1, 0, 0, 0, 1, 0, 1], np.uint8)
    np.testing.assert_array_equal(row, expected)
    assert words[0] == int.from_bytes(before[at : at + 8].tobytes(), "little")
    assert words[1] == int.from_bytes(expected[at : at + 8].tobytes(), "little")
