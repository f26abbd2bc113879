"""Words and rounding: no digit that the band does not bear, no certainty that is none."""

from __future__ import annotations

import pytest

from bayesmoe.decisions.gate import far
from bayesmoe.reporting import text
from bayesmoe.units import band, experts, listed, percent

NAN = float("nan")


@pytest.mark.parametrize(
    ("low", "middle", "high", "said"),
    [
        (2.1512, 2.1849, 2.2263, "2.185 (2.151–2.226)"),
        (1.0, 1.5, 2.7, "1.5 (1.0–2.7)"),
        (10.2, 14.4, 22.8, "14 (10–23)"),
        (0.01234, 0.01342, 0.01456, "0.0134 (0.0123–0.0146)"),
        (-1.3, 0.2, 1.1, "0.2 (-1.3–1.1)"),
        (0.0123, 0.0342, 0.0789, "0.034 (0.012–0.079)"),
        (1.04, 21.4, 345.0, "21 (1.0–340)"),
        (2.5, 2.5, 2.5, "2.5"),
        (0.0, 0.0, 0.0, "0"),
        (1.2e9, 3.14e9, 7.7e9, "3.1B (1.2B–7.7B)"),
        (NAN, 1.0, 2.0, "–"),
        (1.0, 2.0, float("inf"), "–"),
    ],
)
def test_a_band_has_the_digits_it_bears(low, middle, high, said):
    assert band(low, middle, high) == said


def test_a_count_is_shortened_however_narrow_its_band():
    assert band(3.11e9, 3.12e9, 3.13e9, large=True) == "3.1B (3.1B–3.1B)"
    assert band(310.0, 320.0, 330.0, large=True) == "320 (310–330)"


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0, "0%"),
        (1e-6, "< 1%"),
        (0.0099, "< 1%"),
        (0.01, "1%"),
        (0.256, "26%"),
        (0.99, "99%"),
        (0.991, "> 99%"),
        (1 - 1e-9, "> 99%"),
        (1, "100%"),
    ],
)
def test_a_chance_is_never_rounded_to_a_certainty(share, said):
    assert percent(share) == said


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([], "none"),
        ([1], "dense"),
        ([8], "8 experts"),
        ([4, 8], "4 or 8 experts"),
        ([4, 8, 16], "4, 8 or 16 experts"),
        ([1, 4], "dense or 4 experts"),
        ([1, 4, 8], "dense, 4 or 8 experts"),
    ],
)
def test_counts_are_listed_as_one_says_them(counts, said):
    assert listed(counts) == said


@pytest.mark.parametrize(("count", "said"), [(1, "dense"), (2, "2 experts"), (64, "64 experts")])
def test_one_expert_is_dense(count, said):
    assert experts(count) == said


@pytest.mark.parametrize(
    ("ratios", "parts"),
    [
        ({}, [""]),
        ({"n_total": 50.0}, [""]),
        ({"n_dense": 0.5, "tokens": 1.0}, ["backbone 0.50×", "tokens 1.0×", "inside the range"]),
        ({"n_dense": 2.34, "num_experts": 1.0}, ["backbone 2.3×", "experts 1.0×", "This is an extrapolation."]),
        ({"n_active": 12.6, "tokens": 2.0}, ["active size 13×", "long extrapolation"]),
        ({"train_flop": 99.0, "tokens": 9.0}, ["training compute 99×", "This is an extrapolation."]),
    ],
)
def test_extrapolation_names_each_reach_and_judges_the_worst(ratios, parts):
    said = text.extrapolation(ratios, far=far(ratios))
    assert all(part in said for part in parts)
    assert bool(said) == bool(parts[0])


def test_identification_names_what_the_prior_decided():
    said = text.identification({"gain": 0.2, "e_above": 0.95, "e_start": 0.81}, 0.999, 32.0)
    assert "Not identified by these runs (prior and posterior overlap above 80%): e_above, e_start." in said
    assert "largest trained expert count (32) with probability > 99%" in said


def test_identification_of_a_well_trained_law():
    assert text.identification({"gain": 0.2}, None, 32.0) == "The runs are informative about every parameter."


@pytest.mark.parametrize("verdict", ["PASS", "REVIEW", "FAIL"])
def test_each_verdict_has_its_sentence(verdict):
    assert text.gate(verdict)
    assert ("not decide" in text.gate(verdict)) == (verdict == "FAIL")
