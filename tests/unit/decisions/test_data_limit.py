"""What a decision says of limited data."""

from __future__ import annotations

import pytest

from bayesmoe.decisions.text import data_limit
from bayesmoe.planning.scenario import LimitsSpec


@pytest.mark.parametrize(
    ("tokens", "limits", "says"),
    [
        (1e12, {}, None),
        (1e12, {"unique_tokens": 15e12}, None),
        (15e12, {"unique_tokens": 15e12, "max_epochs": 1.0}, "all 15T tokens that there are: the data limit binds"),
        (15e12, {"unique_tokens": 15e12}, "all 15T tokens that there are"),
        (33e12, {"unique_tokens": 15e12}, "2.2 times all 15T tokens that there are"),
        (600e12, {"unique_tokens": 15e12}, "40 times all 15T tokens that there are: the data limit binds"),
        (
            7.5e12,
            {"unique_tokens": 15e12, "max_epochs": 0.5},
            "0.50 times all 15T tokens that there are: the data limit binds",
        ),
    ],
)
def test_passes_over_limited_data_are_said_from_the_first(tokens, limits, says):
    assert data_limit(tokens, LimitsSpec(**limits)) == says
