"""Words and rounding: no digit that the band does not bear, no certainty that is none."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from bayesmoe.criticism.checks import far
from bayesmoe.planning.plan import scenario_of
from bayesmoe.planning.risk import as_document, risk
from bayesmoe.report import text

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
    assert text.band(low, middle, high) == said


def test_a_count_is_shortened_however_narrow_its_band():
    assert text.band(3.11e9, 3.12e9, 3.13e9, large=True) == "3.1B (3.1B–3.1B)"
    assert text.band(310.0, 320.0, 330.0, large=True) == "320 (310–330)"


def test_the_band_of_a_variable_is_its_quantiles():
    assert text.band_of(xr.DataArray([1.0, 1.5, 2.7], dims="quantile")) == "1.5 (1.0–2.7)"


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
    assert text.percent(share) == said


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
    assert text.listed(counts) == said


@pytest.mark.parametrize(("count", "said"), [(1, "dense"), (2, "2 experts"), (64, "64 experts")])
def test_one_expert_is_dense(count, said):
    assert text.experts(count) == said


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
    assert "Left to the prior by these runs (overlap above 80%): e_above, e_start." in said
    assert "largest trained expert count (32) with probability > 99%" in said


def test_identification_of_a_well_trained_law():
    assert text.identification({"gain": 0.2}, None, 32.0) == "The runs moved every parameter."


@pytest.mark.parametrize("verdict", ["PASS", "REVIEW", "FAIL"])
def test_each_verdict_has_its_sentence(verdict):
    assert text.gate(verdict)
    assert ("not decide" in text.gate(verdict)) == (verdict == "FAIL")


@pytest.fixture(scope="module")
def summary(small_plan):
    """Risk of the small plan."""
    return risk(small_plan)


def part_of(summary, problem, **values):
    """Risk of one problem with some values replaced, by hand."""
    part = summary.sel(problem=problem).copy(deep=True)
    for name, value in values.items():
        part[name] = (part[name].dims, np.broadcast_to(value, part[name].shape))
    return part


@pytest.mark.parametrize(
    ("problem", "base", "goal"),
    [
        ("cheapest_serving", 4, "as good as the loss-optimal 4-expert model"),
        ("lowest_loss", 4, "no dearer to serve than the loss-optimal 4-expert model"),
        ("cheapest_serving", 1, "as good as the loss-optimal dense model"),
    ],
)
def test_no_choice_says_so_with_every_chance(summary, problem, base, goal):
    chances = [0.004, 0.5, 0.89, 0.0, 0.2]
    said = text.decision(problem, part_of(summary, problem, choice=0, p_feasible=chances), base)
    assert said == (
        f"No expert count is {goal} with the asked-for probability. Chance of meeting it: dense < 1%, 4 experts 50%, "
        "8 experts 89%, 16 experts 0%, 32 experts 20%."
    )


def test_a_decision_has_its_numbers_bands_and_alternatives(summary):
    bands = {
        "n_dense": np.array([2e9, 3e9, 4e9])[:, None],
        "n_total": np.array([2e10, 3.3e10, 4e10])[:, None],
        "tokens": np.array([1e11, 2e11, 3e11])[:, None],
        "over_training_ratio": np.array([1.4, 2.0, 2.8])[:, None],
        "loss": np.array([2.15, 2.18, 2.24])[:, None],
        "serving_usd_per_million_tokens": np.array([0.21, 0.3, 0.44])[:, None],
        "train_usd": np.array([1e6, 2e6, 2.5e6])[:, None],
    }
    part = part_of(
        summary,
        "cheapest_serving",
        choice=16,
        p_feasible=[0.0, 1.0, 1.0, 0.97, 0.95],
        p_best=[0.0, 0.0, 0.1, 0.7, 0.2],
        near_optimal=[False, False, True, True, True],
        **bands,
    )
    assert text.decision("cheapest_serving", part, 4) == (
        "16 experts, 3.0B (2.0B–4.0B) backbone parameters (33B in all), 200B (100B–300B) tokens, over-trained 2.0 (1.4–2.8) times; "
        "as good as the loss-optimal 4-expert model in 97% of draws. Loss 2.180 (2.150–2.240) nats per token, serving USD "
        "0.30 (0.21–0.44) per million output tokens, training USD 2.0M (1.0M–2.5M). Best of all counts in 70% of draws. "
        "Equally good within the tolerance: 8 or 32 experts."
    )


def test_a_lone_decision_says_that_nothing_else_is_within_the_tolerance(summary):
    part = part_of(summary, "lowest_loss", choice=1, near_optimal=[True, False, False, False, False])
    said = text.decision("lowest_loss", part, 4)
    assert said.startswith("Dense, ")
    assert said.endswith("No other count is within the tolerance.")


def test_the_demo_ends_in_ten_lines(small_plan, summary):
    lines = text.ten_lines(summary, as_document(small_plan, summary), "A note.", "report.html")
    assert len(lines) == 10
    assert "(SIMULATED)" in lines[0]
    assert "gate PASS" in lines[0]
    assert lines[-1] == "A note. Report: report.html"
    for line, problem in ((1, "cheapest_serving"), (5, "lowest_loss")):
        choice = int(summary["choice"].sel(problem=problem))
        assert lines[line] == f"{text.TITLES[problem]}: train {choice} experts"


def test_the_demo_ends_in_ten_lines_without_a_choice(small_plan, summary):
    document = as_document(small_plan, summary)
    document["problems"]["cheapest_serving"]["choice_num_experts"] = None
    lines = text.ten_lines(summary, {**document, "data_simulated": False}, "", "report.html")
    assert len(lines) == 10
    assert "no expert count meets the constraint" in lines[1]
    assert lines[5].startswith(text.TITLES["lowest_loss"])
    assert "SIMULATED" not in lines[0]


def test_every_problem_and_figure_has_its_words(summary):
    assert set(text.TITLES) == {str(name) for name in summary["problem"].values}
    assert all(text.FIGURES.values())
    assert scenario_of(summary).name


def test_a_shape_is_said_in_whole_numbers():
    from bayesmoe.architecture import Experts, Heads, Shape

    shape = Shape(
        num_layers=24,
        d_model=1536,
        vocab=0,
        d_ff=4096,
        moe_every=2,
        attention=Heads(num_heads=24, head_dim=64),
        experts=Experts(num_experts=8, top_k=2, d_expert=4096),
    )
    assert text.shape(shape) == (
        "A shape near the median size: 24 layers of width 1,536, 24 heads, feed-forward width 4,096, 8 experts of width 4,096, 2 a token, "
        "in 12 of the layers (680M backbone, 2.3B in all)."
    )
