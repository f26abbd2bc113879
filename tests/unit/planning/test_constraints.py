"""Constraints that a user writes: what holds, and what is refused without being evaluated."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest

from bayesmoe.errors import InputError
from bayesmoe.planning.constraints import FUNCTIONS, constraint
from bayesmoe.planning.quantities import QUANTITIES

KNOWN = ("n_total", "tokens", "n_active", "loss")
VALUES = {name: np.array(values) for name, values in
          {"n_total": [1e9, 5e10, 2e11], "tokens": [1e10, 1e12, 1e13], "n_active": [1e9, 1e10, 1e11], "loss": [2.5, 2.0, np.nan]}.items()}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("n_total <= 6e10", [True, True, False]),
        ("6e10 >= n_total", [True, True, False]),
        ("20 <= tokens / n_active <= 100", [False, True, True]),
        ("n_total < 6e10 and loss < 2.2", [False, True, False]),
        ("n_total < 2e9 or tokens > 5e12", [True, False, True]),
        ("not n_total < 2e9", [False, True, True]),
        ("n_total < 2e9 or n_total > 1e11 and tokens > 1e12", [True, False, True]),
        ("log10(n_total) >= 10", [False, True, True]),
        ("max(n_active, 2e9) > 1e10", [False, False, True]),
        ("min(n_active, tokens) == n_active", [True, True, True]),
        ("-n_total + 1e10 > 0", [True, False, False]),
        ("n_total ** 0.5 < 1e5", [True, False, False]),
        ("n_total % 2e9 == 1e9", [True, False, False]),
        ("loss < 3", [True, True, False]),
        ("loss != 2.5", [False, True, True]),
        ("2 ** 10 ** 2 > n_total", [True, True, True]),
    ],
)
def test_what_holds(text, holds):
    assert np.asarray(constraint(text, KNOWN)(VALUES)).tolist() == holds


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "limits.constraints: is not an expression"),
        ("n_total <=", "limits.constraints: is not an expression"),
        ("n_total", "limits.constraints: must compare something"),
        ("n_total + 1", "limits.constraints: must compare something"),
        ("n_total and loss < 2", "limits.constraints: must compare something"),
        ("n_totl < 1e9", "limits.constraints: is not a quantity of a plan, found 'n_totl'; did you mean 'n_total'?"),
        (
            "__import__('os').system('true') < 1",
            "limits.constraints: may hold numbers, quantities, arithmetic and comparisons only",
        ),
        ("__import__ < 1", "limits.constraints: is not a quantity of a plan"),
        ("eval(1) < 1", "limits.constraints: may hold numbers"),
        ("n_total.real < 1", "limits.constraints: may hold numbers"),
        ("n_total[0] < 1", "limits.constraints: may hold numbers"),
        ("(lambda: 1)() < 1", "limits.constraints: may hold numbers"),
        ("[x for x in (1,)] < 1", "limits.constraints: may hold numbers"),
        ("n_total < 'a'", "limits.constraints: may hold numbers"),
        ("n_total < True", "limits.constraints: may hold numbers"),
        ("n_total < 1j", "limits.constraints: may hold numbers"),
        ("n_total is 1", "limits.constraints: may hold numbers"),
        ("n_total in (1, 2)", "limits.constraints: may hold numbers"),
        ("(n := 1) < 2", "limits.constraints: may hold numbers"),
        ("f'{n_total}' < 2", "limits.constraints: may hold numbers"),
        ("log(n_total, 2, 3) < 2", "limits.constraints: may hold numbers"),
        ("log(x=n_total) < 2", "limits.constraints: may hold numbers"),
        ("(" * 500 + "1" + ")" * 500 + " < n_total", "limits.constraints: is not an expression"),
        ("lambda: n_total < 1", "limits.constraints: may hold numbers"),
        ("1 < (2 if n_total else 3)", "limits.constraints: may hold numbers"),
        ("max(*n_total) < 1", "limits.constraints: may hold numbers"),
        ("max(x for x in n_total) < 1", "limits.constraints: may hold numbers"),
        ("{1: 2} < 1", "limits.constraints: may hold numbers"),
        ("(yield 1) < 2", "limits.constraints: may hold numbers"),
        ("().__class__.__bases__ < 1", "limits.constraints: may hold numbers"),
        ("b'a' < n_total", "limits.constraints: may hold numbers"),
        ("None < n_total", "limits.constraints: may hold numbers"),
        ("... < n_total", "limits.constraints: may hold numbers"),
        ("n_total // 2 < 1", "limits.constraints: may hold numbers"),
        ("n_total << 2 < 1", "limits.constraints: may hold numbers"),
        ("(n_total < 1) & (loss < 2)", "limits.constraints: may hold numbers"),
        ("not 1", "limits.constraints: must compare something"),
        ("__builtins__ < 1", "limits.constraints: is not a quantity of a plan"),
        ("open('x') < 1", "limits.constraints: "),
        ("nan < n_total", "limits.constraints: is not a quantity of a plan"),
        ("n_total(1) < 1", "limits.constraints: may hold numbers"),
        ("log < 1", "limits.constraints: cannot be evaluated"),
        ("log() < 1", "limits.constraints: may hold numbers"),
        ("1 / 0 < n_total", "limits.constraints: cannot be evaluated"),
        ("10 ** 400 > n_total", "limits.constraints: cannot be evaluated"),
        ("n_total = 1", "limits.constraints: is not an expression"),
        ("n_total < 1; loss < 2", "limits.constraints: is not an expression"),
        ("n_total < 1\0", "limits.constraints: is not an expression"),
    ],
)
def test_what_is_refused(text, says):
    with pytest.raises(InputError) as caught:
        constraint(text, KNOWN)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "not " * 500 + "n_total < 1",
        " + ".join(["1"] * 3000) + " < n_total",
        "n_total" + ".real" * 3000 + " < 1",
        "1" * 5000 + " < n_total",
    ],
    ids=["not", "sum", "attributes", "digits"],
)
def test_what_is_too_long_for_python_is_refused_like_the_rest(text):
    with pytest.raises(InputError, match=r"^limits\.constraints: is not an expression"):
        constraint(text, KNOWN)


@pytest.mark.parametrize(
    "text",
    [
        "not " * 50 + "n_total < 1",
        " + ".join(["1"] * 100) + " < n_total",
        " and ".join(["n_total < 1"] * 300),
        " < ".join(["n_total"] * 300),
        "0x" + "f" * 5000 + " < n_total",
    ],
    ids=["not", "sum", "and", "chain", "hexadecimal"],
)
def test_what_is_merely_long_is_read(text):
    assert np.asarray(constraint(text, KNOWN)({name: jnp.asarray(each) for name, each in VALUES.items()})).shape == (3,)


def test_division_by_nothing_holds_as_infinity_does():
    values = {name: jnp.asarray(each) for name, each in VALUES.items()}
    assert np.asarray(constraint("tokens / (n_total - n_total) > 1e300", KNOWN)(values)).tolist() == [True] * 3
    # The remainder of a division by nothing is no number.
    assert np.asarray(constraint("n_total % (tokens - tokens) < 1", KNOWN)(values)).tolist() == [False] * 3


def test_every_quantity_and_function_can_be_named():
    values = {name: jnp.asarray([2.0]) for name in QUANTITIES}
    for name in QUANTITIES:
        assert np.asarray(constraint(f"{name} == 2", tuple(QUANTITIES))(values)).tolist() == [True]
    for name in FUNCTIONS:
        second = ", 3" if name in ("min", "max") else ""
        known = {"min": min, "max": max, "abs": abs}.get(name) or getattr(math, name)
        bound = known(2.0, 3.0) if second else known(2.0)
        text = f"{bound - 1e-9!r} < {name}(loss{second}) < {bound + 1e-9!r}"
        assert np.asarray(constraint(text, tuple(QUANTITIES))(values)).tolist() == [True], name


def test_powers_of_numbers_have_an_end():
    with pytest.raises(InputError, match="cannot be evaluated"):
        constraint("9 ** 9 ** 9 > n_total", KNOWN)


def test_the_cure_names_what_there_is():
    with pytest.raises(InputError) as caught:
        constraint("n_total.real < 1", KNOWN)
    assert all(name in str(caught.value) for name in (*KNOWN, *FUNCTIONS))
