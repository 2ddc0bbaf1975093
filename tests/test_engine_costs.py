"""What each operation is said to do, in FLOP and bytes, beside numbers counted by hand.

Whether it is what the operations do, `test_engine_counts` says."""

import pytest

from jitnet.engine.costs import Price, Sizes
from jitnet.engine.operations import OPERATIONS

SIZES = Sizes(
    3,
    5,
    4,
    entries=6,
    columns=3,
    partials=2,
    partial_sums=2,
    partial_places=2,
    markers=2,
    marked=3,
    parameters=24,
    activation=7,
    activation_back=9,
    update=2,
    update_bytes=12,
    outputs=5,
    loss=Price(26, 8, 0, 12),
    link=Price(24, 16, 8, 0),
)
"""3 samples of 5 inputs, 4 units: 15 inputs, 12 outputs and 20 weights in all, 12 of them at columns that are used."""

BY_HAND = {
    "gather": (30, 75),  # a byte read and a float32 written for each input
    "forward": (120, 4 * (15 + 20 + 4 + 12)),
    "forward_sparse": (48, 4 * (6 + 12 + 4 + 12)),  # 6 entries, each added to 4 units
    "activate": (84, 96),
    "drop": (12, 96),
    "partial_logits": (120, 4 * (12 + 20 + 2 * 5 + 2 * 15)),  # 4 units below 5 classes, 2 groups
    "logits": (120, 4 * (15 + 20 + 4 + 12)),
    "logits_sparse": (48, 4 * (6 + 12 + 4 + 12)),
    "add_partials": (12, 4 * (24 + 12)),  # two sums take one addition
    "loss": (3 * (27 * 4 + 8), 12 * (12 + 3)),
    "backward_input": (120, 4 * (12 + 20 + 2 * 15)),
    "backward_weight": (120, 4 * (15 + 12 + 20)),
    "backward_sparse": (48, 4 * (6 + 12 + 20) + 2 * 8 * 5 + 3 * 2 * 5),  # two parts' words, of three vectors of samples
    "mark": (0, 4 * 6 + 3 * 2 * 5),
    "backward_bias": (24, 4 * (12 + 4)),
    "drop_back": (12, 96),
    "activate_back": (120, 192),
    "update_weights": (40, 240),
    "update_vectors": (8, 48),
    "place_weights": (0, 4 * 20),
    "norm": (48, 96),  # with the biases
    "update_all": (48, 288),
    "limit": (68, 160),
    "count_entries": (0, 15 + 24),
    "list_entries": (0, 15 + 24),
    "augment": (300, 30),
    "drop_samples": (0, 30),
    "list_inputs": (0, 15 + 24),
    "link": (3 * (24 * 4 + 16), 12 * 12),
    "normalise": (7 * 12 + 3 * 35, 4 * (3 * 12 + 2 * 4 + 3)),  # of a sample two sums of 16 numbers, and three more
    "backward_norm": (4 * 12 + 4 * 4, 4 * (3 * 12 + 4 + 2 * 4)),
    "backward_frozen_norm": (3 * 4, 4 * (2 * 3 * 4 + 4)),
    "normalise_back": (8 * 12 + 3 * 32, 4 * (4 * 12 + 3)),
    "add_input": (12, 4 * 3 * 12),
    "branch_gradient": (0, 4 * 2 * 12),
    "join_gradient": (12, 4 * 3 * 12),
    "fold_scale": (20, 4 * (2 * 20 + 5)),
    "backward_scale": (3 * 20 + 5 * 15, 4 * (3 * 20 + 2 * 5)),  # of an input a sum of 16 numbers
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_costs_what_it_is_counted_to(name):
    assert tuple(OPERATIONS[name].cost(SIZES)) == BY_HAND[name]


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        # A moving average takes 3 FLOP and 8 bytes a parameter more; 12 where the parameter is not at hand.
        ("update_weights", {"average": True}, (100, 400)),
        ("update_vectors", {"average": True}, (20, 80)),
        ("update_all", {"average": True}, (120, 480)),
        ("place_weights", {"average": True}, (0, 2 * 4 * 20)),
        ("limit", {"average": True}, (140, 160 + 160 + 48)),
        ("limit", {"average": True, "limited": False}, (72, 288)),
        ("update_weights", {"average": True, "update": 0, "update_bytes": 0}, (60, 240)),
        # Gradients that are added to the weights are read too.
        ("backward_weight", {"update": 0}, (120, 4 * (15 + 12 + 40))),
        ("backward_sparse", {"bytes_per_input": 4}, (48, 4 * (2 * 6 + 12 + 20) + 2 * 8 * 5 + 3 * 2 * 5)),
        ("forward_sparse", {"bytes_per_input": 4}, (48, 4 * (2 * 6 + 12 + 4 + 12))),
        ("backward_sparse", {"update": 0, "markers": 1, "marked": 0}, (48, 4 * (6 + 12 + 2 * 12) + 8 * 5)),
        # Each of three parts marks all columns for itself.
        ("backward_sparse", {"markers": 3, "marked": 0}, (48, 4 * (6 + 12 + 20) + 3 * 8 * 5)),
        ("backward_bias", {"update": 0}, (24, 4 * (12 + 8))),
        # Nothing is below the first layer, and one group of units has the biases.
        ("activate_back", {"transposed": False}, (120, 144)),
        ("partial_logits", {"partials": 1, "partial_sums": 1, "partial_places": 1}, (120, 4 * (12 + 20 + 5 + 15))),
        # What one part has of two groups it adds up itself.
        ("partial_logits", {"partial_sums": 1}, (135, 4 * (12 + 20 + 10 + 30))),
        ("add_partials", {"partial_sums": 1}, (0, 4 * (12 + 12))),
        # Floats are neither looked up nor turned into floats.
        ("gather", {"bytes_per_input": 4}, (0, 120)),
        ("drop_samples", {"bytes_per_input": 4, "compressed": True}, (6, 12 * 6)),
        ("drop_samples", {"bytes_per_input": 4}, (15, 120)),
        # 2 x 3 pixels and 3 taps: random numbers for 4 x 5, blurred to 2 x 5 and then to 2 x 3, twice.
        ("augment", {"i": 6, "taps": 3, "height": 2, "width": 3}, (3 * (120 + 2 * (40 + 60 + 36)), 36)),
    ],
)
def test_what_a_step_has_beside_the_plain_one_is_counted(name, changes, expected):
    assert tuple(OPERATIONS[name].cost(SIZES._replace(**changes))) == expected
