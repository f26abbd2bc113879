"""Columns that are derived from others, and what is said of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayesmoe.runs import as_run_table


def table(**columns) -> pd.DataFrame:
    """Runs with a loss each."""
    frame = pd.DataFrame(columns)
    return frame.assign(loss=2.5)


def derived(frame: pd.DataFrame, column: str) -> list[float]:
    """A column of the table made from the frame."""
    return as_run_table(frame).frame[column].tolist()


def test_n_active_from_the_backbone_the_total_and_the_chosen_experts():
    # One expert is (1.6e8 - 1e8) / 3 = 2e7, and top_k - 1 of them come on top of the backbone.
    frame = table(num_experts=[1, 4, 4, 4], top_k=[1, 1, 2, 4], n_dense=1e8, n_total=[1e8, 1.6e8, 1.6e8, 1.6e8])
    assert derived(frame, "n_active") == pytest.approx([1e8, 1e8, 1.2e8, 1.6e8], rel=1e-12)


def test_dense_runs_are_active_and_total_alike():
    found = as_run_table(table(num_experts=[1, 1], n_dense=[1e8, 2e8]))
    assert found.frame["n_active"].tolist() == [1e8, 2e8]
    assert found.frame["n_total"].tolist() == [1e8, 2e8]
    assert found.frame["top_k"].tolist() == [1, 1]
    assert found.frame["activation_ratio"].tolist() == [1, 1]
    assert found.derived[:3] == (
        "top_k = 1 for dense runs",
        "n_active = n_dense for dense runs",
        "n_total = n_dense for dense runs",
    )


SHAPE = {"d_model": 100, "num_layers": 6, "d_ff": 400, "num_moe_layers": 3, "d_expert": 150}


def test_parameters_from_the_shape():
    # A layer: 4 * 100^2 attention + 3 * 100 * 400 feed-forward = 160,000; six of them 960,000.
    # An MoE layer swaps 400 for 2 * 150 (active, -30,000) and 8 * 150 (total, +240,000); there are three.
    found = as_run_table(table(num_experts=[8], top_k=2, **SHAPE)).frame
    assert found[["n_dense", "n_active", "n_total"]].to_numpy().tolist() == [[960_000, 870_000, 1_680_000]]


def test_parameters_from_the_shape_with_a_shared_expert():
    # d_shared = 50 adds 3 * 100 * 50 = 15,000 in each of the three MoE layers, to both counts.
    found = as_run_table(table(num_experts=[8], top_k=2, d_shared=50, shared_experts=1, **SHAPE)).frame
    assert found[["n_dense", "n_active", "n_total"]].to_numpy().tolist() == [[960_000, 915_000, 1_725_000]]


def test_a_dense_run_needs_no_expert_shape():
    frame = table(num_experts=[1, 8], top_k=[1, 2], **SHAPE | {"d_expert": [np.nan, 150], "num_moe_layers": [0, 3]})
    found = as_run_table(frame).frame
    assert found["n_active"].tolist() == [960_000, 870_000]
    assert found["n_total"].tolist() == [960_000, 1_680_000]
    assert found["granularity"].tolist() == pytest.approx([1.0, 8 / 3])


def test_granularity_is_four_widths_over_the_experts_width():
    assert derived(table(num_experts=[1, 4, 8], d_model=512, d_expert=[512, 512, 128]), "granularity") == [1, 4, 16]


def test_granularity_falls_back_on_the_dense_width():
    assert derived(table(num_experts=[1, 4], d_ff=2048, d_expert=[np.nan, 512]), "granularity") == [1, 4]


def test_granularity_of_a_routed_run_without_an_expert_width_is_unknown():
    found = as_run_table(table(num_experts=[1, 4, 8], d_model=512, d_expert=[np.nan, 512, np.nan]))
    assert found.frame["granularity"].tolist() == pytest.approx([1, 4, np.nan], nan_ok=True)
    assert "granularity: give it, or d_model and d_expert" in found.missing


def test_activation_ratio_counts_shared_experts_above_and_below():
    assert derived(table(num_experts=[1, 8, 64], top_k=[1, 2, 8]), "activation_ratio") == [1, 1 / 4, 1 / 8]
    with_shared = table(num_experts=[8, 64], top_k=[2, 6], shared_experts=[1, 2])
    assert derived(with_shared, "activation_ratio") == pytest.approx([3 / 9, 8 / 66])


def test_training_flop_are_six_times_active_parameters_and_tokens():
    frame = table(num_experts=[1, 4], top_k=[1, 2], n_dense=1e8, n_active=[1e8, 1.2e8], n_total=[1e8, 1.6e8], tokens=1e10)
    assert derived(frame, "train_flop") == pytest.approx([6e18, 7.2e18])
    assert derived(frame.assign(train_flop=[5e18, np.nan]), "train_flop") == pytest.approx([5e18, 7.2e18])
    assert "train_flop = 6 n_active tokens" in as_run_table(frame).derived
    assert "train_flop" not in as_run_table(frame.drop(columns="tokens")).frame


def test_top_k_of_a_dense_run_may_be_blank():
    assert derived(table(num_experts=[1, 4], top_k=[np.nan, 2]), "top_k") == [1, 2]


def test_given_values_win_and_blanks_are_filled():
    frame = table(num_experts=[4, 4], top_k=2, n_dense=1e8, n_total=1.6e8, n_active=[1.3e8, np.nan])
    found = as_run_table(frame)
    assert found.frame["n_active"].tolist() == pytest.approx([1.3e8, 1.2e8])
    assert "n_active = n_dense + (top_k - 1)(n_total - n_dense)/(num_experts - 1)" in found.derived


def test_a_table_with_everything_derives_nothing_but_the_ratio():
    found = as_run_table(
        table(num_experts=[4], top_k=2, n_dense=1e8, n_active=1.2e8, n_total=1.6e8, granularity=1, activation_ratio=0.5)
    )
    assert found.derived == ()
    assert found.missing == ()


def test_what_was_derived_is_said(tmp_path):
    found = as_run_table(table(num_experts=[1, 4], top_k=[1, 2], n_dense=1e8, n_total=[1e8, 1.6e8], d_model=8, d_expert=4))
    assert found.derived == (
        "n_active = n_dense for dense runs",
        "n_active = n_dense + (top_k - 1)(n_total - n_dense)/(num_experts - 1)",
        "granularity = 4 d_model / d_expert, 1 for dense runs",
        "activation_ratio = (top_k + shared_experts) / (num_experts + shared_experts)",
    )
    assert found.missing == ()


@pytest.mark.parametrize(
    ("frame", "missing"),
    [
        (table(num_experts=[4]), ["n_dense", "n_active", "n_total", "granularity", "activation_ratio"]),
        (table(num_experts=[4], n_dense=1e8), ["n_active", "n_total", "granularity", "activation_ratio"]),
        (table(num_experts=[4], n_dense=1e8, top_k=2), ["n_active", "n_total", "granularity"]),
        (table(num_experts=[4], n_dense=1e8, n_total=1.6e8), ["n_active", "granularity", "activation_ratio"]),
        (table(num_experts=[4], n_dense=1e8, n_total=1.6e8, top_k=2), ["granularity"]),
        (table(num_experts=[4], top_k=2, **SHAPE), []),
        (table(num_experts=[1], n_dense=1e8), ["granularity"]),
    ],
)
def test_what_cannot_be_derived_is_said_with_what_it_needs(frame, missing):
    found = as_run_table(frame)
    assert [sentence.partition(":")[0] for sentence in found.missing] == missing
    assert all(": give it, or " in sentence for sentence in found.missing)
    blank = [name for name in missing if name not in found.frame or found.frame[name].isna().any()]
    assert blank == missing


def test_nothing_is_said_to_be_derived_that_is_not_there():
    found = as_run_table(table(num_experts=[4, 8], n_dense=1e8, top_k=2))
    said = {sentence.partition(" =")[0] for sentence in found.derived}
    assert said <= set(found.frame.columns)
