"""Splits of a table: the largest go first, and what is too small is not split."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from seeds import seeded

from bayesmoe.errors import InputError
from bayesmoe.forecasting.forward_validation import axes_of, distance_axes, levels, splits, training_compute
from bayesmoe.forecasting.hold_outs import far_masks, forward_masks
from bayesmoe.inference.spec import DataSpec, FitSpec
from bayesmoe.runs import as_run_table


def table(sizes=(1e8, 2e8, 4e8, 8e8), tokens=(1e10, 3e10, 9e10), experts=(4, 8, 16, 32)) -> pd.DataFrame:
    """A full grid."""
    grid = np.array([(n, d, e) for n in sizes for d in tokens for e in experts])
    return pd.DataFrame(grid, columns=["n_active", "tokens", "num_experts"])


def test_values_within_eight_percent_are_one_level() -> None:
    np.testing.assert_array_equal(levels(np.array([1.0, 1.05, 2.0, 1.0, 4.0])), [0, 0, 1, 0, 2])


def test_axes_are_what_varies() -> None:
    assert axes_of(table(), "n_active") == ("n_active", "tokens", "num_experts")
    assert axes_of(table(experts=(8, 16)), "n_active") == ("n_active", "tokens", "num_experts"), "two levels are an axis"
    assert axes_of(table(experts=(8,)), "n_active") == ("n_active", "tokens")
    assert distance_axes(table(experts=(8,)), "n_active") == ("n_active", "tokens", "num_experts"), "a plan may leave it"


def test_runs_that_fill_a_space_have_many_levels() -> None:
    sizes = np.exp(np.random.default_rng(seeded(0)).uniform(np.log(1e7), np.log(1e9), 300))
    found = levels(sizes)
    assert len(np.unique(found)) > 30
    spread = pd.Series(np.log(sizes)).groupby(found).agg(lambda values: values.max() - values.min())
    assert spread.max() <= 0.08


def test_cuts_hold_out_the_largest_and_nothing_else() -> None:
    frame = table()
    found = {
        split.name: split for split in splits(frame, np.ones(len(frame), dtype=bool), axes_of(frame, "n_active"), "n_active")
    }
    two = found["n_active: largest 2"]
    np.testing.assert_array_equal(two.asked, frame["n_active"] >= 4e8)
    for split in found.values():
        assert not (split.seen & split.asked).any()
        np.testing.assert_array_equal(split.seen | split.asked, True)
    budget = found["budget: largest 35%"]
    product = frame["n_active"] * frame["tokens"]
    assert product[budget.asked].min() >= product[budget.seen].max()


def test_cuts_stay_inside_the_runs_seen() -> None:
    frame = table()
    seen = (frame["num_experts"] < 32).to_numpy()
    for split in splits(frame, seen, axes_of(frame, "n_active"), "n_active"):
        assert not (split.seen | split.asked)[~seen].any()


@pytest.mark.parametrize("sizes", [(1e8, 2e8)])
def test_two_sizes_are_not_cut_by_size(sizes) -> None:
    frame = table(sizes=sizes)
    assert not any(
        split.name.startswith("n_active")
        for split in splits(frame, np.ones(len(frame), dtype=bool), axes_of(frame, "n_active"), "n_active")
    )


def test_a_small_table_is_not_cut_at_all() -> None:
    frame = table(tokens=(1e10,), experts=(4,), sizes=(1e8, 2e8, 4e8))
    assert splits(frame, np.ones(len(frame), dtype=bool), axes_of(frame, "n_active"), "n_active") == ()


@pytest.mark.parametrize("blank", [True, False], ids=["a token count is blank", "no column of tokens"])
def test_without_tokens_runs_are_ordered_by_size(blank) -> None:
    frame = table()
    assert training_compute(frame, "n_active")[-1] == pytest.approx(6.0 * 8e8 * 9e10)
    unknown = frame.assign(tokens=frame["tokens"].where(frame.index > 0)) if blank else frame.drop(columns="tokens")
    np.testing.assert_allclose(training_compute(unknown, "n_active"), 6.0 * frame["n_active"])
    ((name, held),) = forward_masks(FitSpec(data=DataSpec(file="runs.csv")), unknown, 1).items()
    assert name.endswith("FLOP a token")
    np.testing.assert_array_equal(held, frame["n_active"] == 8e8)


def test_far_cuts_leave_enough_runs_on_both_sides() -> None:
    """Forty runs over a factor of a hundred: above a third, a tenth and a thirtieth 10, 20 and 30 runs; 20 must stay below."""
    compute = np.logspace(17, 19, 40)
    frame = pd.DataFrame({"n_dense": np.sqrt(compute / 120.0), "tokens": 20.0 * np.sqrt(compute / 120.0)})
    masks = far_masks(FitSpec(data=DataSpec(file="runs.csv")), frame)
    assert {name: int(held.sum()) for name, held in masks.items()} == {"3x": 10, "10x": 20}
    assert far_masks(FitSpec(data=DataSpec(file="runs.csv")), frame.iloc[:15]) == {}


@pytest.mark.parametrize(
    "columns",
    [
        ("n_total", "tokens", "loss", "num_experts"), ("n_total", "tokens", "loss"), ("params", "train_tokens", "val_loss"),
        ("n_dense", "tokens", "loss"), ("n_active", "tokens", "loss", "num_experts"), ("num_params", "tokens", "eval_loss"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.few(6)
def test_a_small_dense_table_is_cut_forward_under_any_of_its_columns(columns, count) -> None:
    """Sixteen runs, of which the 40th percentile keeps seven: too few for a fit."""
    n, per = (axis.ravel() for axis in np.meshgrid([2e7, 5e7, 1.2e8, 3e8], [5, 20, 60, 150], indexing="ij"))
    values = {0: n, 1: n * per, 2: 2.0 + 2.0 * (n * per / 1e8) ** -0.2, 3: np.ones(16)}
    runs = as_run_table(pd.DataFrame({name: values[place] for place, name in enumerate(columns)}))
    masks = forward_masks(FitSpec(data=DataSpec(file="runs.csv")), runs.frame, count)
    assert 1 <= len(masks) <= count
    for held in masks.values():
        assert held.sum() >= 1
        assert (~held).sum() >= 8


def test_a_table_too_small_to_be_cut_forward_is_refused_by_the_flag_that_was_given() -> None:
    frame = table().iloc[:8]
    with pytest.raises(InputError, match=r"--forward: must keep 8 runs and hold out larger ones: only \d"):
        forward_masks(FitSpec(data=DataSpec(file="runs.csv")), frame, 2)
