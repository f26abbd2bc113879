"""Factors between units, and numbers as planners say them."""

from __future__ import annotations

import math

import pytest

from bayesmoe import units


def test_factors():
    assert (units.SECONDS_PER_HOUR, units.TOKENS_PER_MILLION, units.BYTES_PER_GB) == (3600, 1e6, 1e9)
    assert math.exp(units.LN10) == pytest.approx(10.0)
    assert units.BAND[1] - units.BAND[0] == pytest.approx(0.9)


def test_a_perplexity_becomes_its_natural_logarithm():
    assert units.perplexity_to_loss(math.e**2.5) == pytest.approx(2.5)
    assert units.perplexity_to_loss(1.0) == 0.0


@pytest.mark.parametrize(
    ("value", "digits", "written"),
    [
        (7.14e9, 2, "7.1B"),
        (7.14e9, 3, "7.14B"),
        (320e6, 2, "320M"),
        (1.3e12, 2, "1.3T"),
        (2e15, 2, "2.0Q"),
        (1e16, 2, "10Q"),
        (1500, 2, "1.5k"),
        (512, 3, "512"),
        (0.5, 2, "0.50"),
        (0, 2, "0"),
        (-7.14e9, 2, "-7.1B"),
        (994e6, 2, "990M"),
        (999e6, 3, "999M"),
        (math.nan, 2, "–"),
        (math.inf, 2, "–"),
        (-math.inf, 2, "–"),
    ],
)
def test_short_counts(value, digits, written):
    assert units.short(value, digits) == written


@pytest.mark.parametrize(
    ("value", "digits", "written"),
    [
        (0.0123, 2, "0.012"),
        (2.345, 3, "2.35"),
        (1234567, 2, "1200000"),
        (-0.5, 2, "-0.50"),
        (99.6, 2, "100"),
        (0, 2, "0"),
        (math.nan, 2, "–"),
    ],
)
def test_significant_digits(value, digits, written):
    assert units.significant(value, digits) == written


@pytest.mark.parametrize(("value", "written"), [(0.996, "1.0"), (9.96, "10"), (0.0996, "0.10")])
def test_rounding_up_to_a_power_of_ten_keeps_the_digits(value, written):
    assert units.significant(value, 2) == written


@pytest.mark.parametrize(("value", "written"), [(996e6, "1.0B"), (999e3, "1.0M"), (999, "1.0k")])
def test_a_count_just_under_the_next_prefix_takes_it_whole(value, written):
    assert units.short(value, 2) == written


@pytest.mark.parametrize(("value", "told"), [(2, 2.0), (-0.5, -0.5), (math.nan, None), (math.inf, None), (-math.inf, None)])
def test_what_is_not_finite_is_none_in_json(value, told):
    assert units.finite_or_none(value) == told
