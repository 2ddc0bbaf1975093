"""The formulas of `--flop` and `--bytes`: arithmetic on extents, and nothing else."""

import pytest

from jitnet.errors import UsageError
from jitnet.profile.functions.formula import check_formula, evaluate

NAMES = {
    "x": {"shape": [4, 6], "size": 24, "nbytes": 96, "ndim": 2, "itemsize": 4},
    "n": 5,
    "scale": 0.5,
    "pair": [{"shape": [3], "size": 3, "nbytes": 24, "ndim": 1, "itemsize": 8}, 7],
    "name": None,
}


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("2 * x.shape[0] * x.shape[1]", 48),
        ("2*n*n", 50),
        ("x.nbytes + pair[0].nbytes", 120),
        ("x.size // n", 4),
        ("x.shape[-1] ** 2 - 6", 30),
        ("-(-n)", 5),
        ("max(n, x.size) / 2", 12),
        ("min(n, pair[1]) * len(x)", 20),
        ("x.size * log2(x.shape[0])", 48),
        ("scale * x.itemsize", 2),
        ("7 % 4", 3),
    ],
)
def test_a_formula_has_its_value(formula, value):
    assert evaluate("--flop", formula, NAMES) == value


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("y.size", "'y' is unknown"),
        ("x.shape[3]", "index"),
        ("x * 2", "arithmetic needs numbers"),
        ("n / 0", "division by zero"),
        ("n ** 1000", "a power"),
        ("-n", "-5"),
        ("x.shape", "[4, 6]"),
        ("name * 2", "arithmetic needs numbers"),
        ("n.size", "not an array"),
    ],
)
def test_a_formula_without_a_number_says_why(formula, expected):
    with pytest.raises(UsageError, match="--flop") as caught:
        evaluate("--flop", formula, NAMES)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "formula",
    ["", "2 *", "__import__('os').getcwd()", "x.__class__", "open('a')", "[n for n in x]", "x if n else n", "n == 2",
     "lambda: 1", "n and 1", "f'{n}'", "x.shape.index(4)", "max.__self__", "(1, 2)[n:=0]", "min(*x)", "{n}"],
)  # fmt: skip
def test_everything_else_is_refused_before_it_is_evaluated(formula):
    with pytest.raises(UsageError, match="--bytes"):
        evaluate("--bytes", formula, NAMES)


def test_a_formula_is_checked_without_the_arguments():
    check_formula("--flop", "2 * anything.shape[0] * m")
