"""Numbers and dense models as people write them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from bayesmoe.errors import InputError
from bayesmoe.runs import as_run_table
from bayesmoe.runs.written import written_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("137M", 137e6), ("1.3B", 1.3e9), ("2.4 T", 2.4e12), ("60m", 60e6), ("500k", 5e5), ("1,000,000", 1e6), ("1.5 billion", 1.5e9),
        ("2bn", 2e9), (".5B", 5e8),
    ],
)  # fmt: skip
def test_a_number_with_a_unit_or_separators(text, number):
    assert written_number(text) == pytest.approx(number)


@pytest.mark.parametrize("text", ["about 5", "1,5", "1,00", "5 GB", "2.9*", "B", "", "1.2.3B", "8x7B"])
def test_what_is_no_number_stays_none(text):
    assert math.isnan(written_number(text))


def read(**columns):
    """A table of three runs, with other columns on top; None takes one out."""
    base = {"loss": [2.5, 2.4, 2.3], "num_experts": [1, 4, 8], "n_active": [1e8, 1e8, 2e8], "tokens": [1e9, 2e9, 4e9]}
    return as_run_table(pd.DataFrame({name: value for name, value in (base | columns).items() if value is not None}))


def test_sizes_and_tokens_in_words_are_read_and_said():
    table = read(n_active=["100M", "100M", "0.2B"], tokens=["1B", 2e9, "4,000,000,000"])
    np.testing.assert_allclose(table.frame["n_active"], [1e8, 1e8, 2e8])
    np.testing.assert_allclose(table.frame["tokens"], [1e9, 2e9, 4e9])
    assert "tokens: 2 numbers of tokens have a unit, such as 1B = 1e+09" in table.derived


@pytest.mark.parametrize(
    ("name", "unit"), [("tokens_B", 1e9), ("tokens (B)", 1e9), ("train_tokens_billions", 1e9), ("tokens_M", 1e6)]
)
def test_the_unit_in_a_columns_name_counts(name, unit):
    values = [1e9 / unit, 2e9 / unit, 4e9 / unit]
    table = read(tokens=None, **{name: values})
    np.testing.assert_allclose(table.frame["tokens"], [1e9, 2e9, 4e9])
    assert any(said.startswith("tokens = ") for said in table.derived)
    np.testing.assert_allclose(table.frame[name].astype(float), values)


def test_a_name_with_a_unit_over_numbers_in_ones_changes_nothing():
    np.testing.assert_allclose(read(tokens=None, tokens_B=[1e9, 2e9, 4e9]).frame["tokens"], [1e9, 2e9, 4e9])


@pytest.mark.parametrize("blank", [None, 0, "none", "dense", float("nan")])
def test_a_blank_or_zero_beside_experts_is_a_dense_model(blank):
    table = read(num_experts=[blank, 4, 8], top_k=[blank, 2, 2])
    assert table.frame["num_experts"].tolist() == [1.0, 4.0, 8.0]
    assert table.frame["top_k"].tolist() == [1.0, 2.0, 2.0]
    assert "num_experts = 1 where it is blank or 0 (1 row): dense models" in table.derived


@pytest.mark.parametrize("other", [{"n_total": [5e8, 2e8, 9e8]}, {"top_k": [2, 2, 2]}, {"n_active": [None, 1e8, 2e8]}])
def test_a_blank_row_that_speaks_of_experts_or_of_no_model_is_no_dense_one(other):
    with pytest.raises(InputError, match="row 2, num_experts: must be a finite number"):
        read(num_experts=[None, 4, 8], **other)


def test_a_table_without_a_word_of_experts_is_dense():
    table = read(num_experts=None, n_active=None, params=["100M", "100M", "200M"])
    assert table.frame["num_experts"].tolist() == [1.0, 1.0, 1.0]
    for size in ("n_dense", "n_active", "n_total"):
        np.testing.assert_allclose(table.frame[size], [1e8, 1e8, 2e8])


@pytest.mark.parametrize("hint", [{"moe_width": [1, 2, 3]}, {"top_k": [1, 2, 2]}, {"Expert-Count": ["x", "y", "z"]}])
def test_a_word_of_experts_that_is_not_understood_is_asked_about(hint):
    with pytest.raises(InputError, match="num_experts: is missing"):
        read(num_experts=None, **hint)


@pytest.mark.parametrize(
    ("sizes", "own"),
    [
        ({"params": [3e8, 3e8, 4e8], "non_emb_params": [1e8, 1e8, 2e8]}, "non_emb_params"),
        ({"params": [3e8, 3e8, 4e8], "params_wo_embed": [1e8, 1e8, 2e8]}, "params_wo_embed"),
        ({"params": [3e8, 3e8, 4e8], "params_transformer": [1e8, 1e8, 2e8]}, "params_transformer"),
        ({"two_embed_params": [3e8, 3e8, 4e8], "params": [1e8, 1e8, 2e8]}, "params"),
        ({"embedding/num_params": [3e8, 3e8, 4e8], "model/num_params": [1e8, 1e8, 2e8]}, "model/num_params"),
    ],
)
def test_the_size_is_the_models_without_embeddings(sizes, own):
    frame = read(n_active=None, **sizes).frame
    np.testing.assert_allclose(frame["n_total"], [1e8, 1e8, 2e8])
    np.testing.assert_allclose(frame[own], [1e8, 1e8, 2e8])


@pytest.mark.parametrize(
    ("own", "found"),
    [
        ({"num_experts_per_tok": [1, 2, 2], "top_k": [50, 50, 50], "top_p": [1.0] * 3}, [1.0, 2.0, 2.0]),
        ({"num_experts_per_tok": [1, 2, 2], "top_k": [1, 4, 4]}, [1.0, 4.0, 4.0]),
    ],
)
def test_a_top_k_beside_settings_of_sampling_is_none_of_routing(own, found):
    assert read(**own).frame["top_k"].tolist() == found


def test_steps_made_come_before_steps_set():
    table = read(tokens=None, tokens_per_step=[1e6] * 3, num_iterations=[2000, 4000, 8000], step=[1000, 4000, 8000])
    np.testing.assert_allclose(table.frame["tokens"], [1e9, 4e9, 8e9])
    np.testing.assert_allclose(table.frame["planned_steps"], [2000, 4000, 8000])


def test_steps_set_stand_where_nothing_says_how_many_were_made():
    made = read(tokens=None, tokens_per_step=[1e6] * 3, num_iterations=[2000, 4000, 8000], _step=[10, 20, 30]).frame
    np.testing.assert_allclose(made["tokens"], [2e9, 4e9, 8e9])


@pytest.mark.parametrize(("batch", "tokens"), [(65_536, 65_536 * 4e3), (512, 512 * 2048 * 4e3)])
def test_a_batch_that_no_step_has_is_in_tokens(batch, tokens):
    made = read(tokens=None, steps=[4e3] * 3, global_batch_size=[batch] * 3, sequence_length=[2048] * 3).frame
    np.testing.assert_allclose(made["tokens"], tokens)


def test_shared_experts_of_the_experts_width_count_in_sizes():
    shape = {"d_model": 512, "num_layers": 8, "d_ff": 2048, "num_moe_layers": 8, "d_expert": 512, "top_k": [1, 2, 2]}
    alone, shared, wide = (
        read(n_active=None, **shape, **more).frame
        for more in ({}, {"shared_experts": 2}, {"shared_experts": 2, "d_shared": 1024})
    )
    assert (shared["n_active"] > alone["n_active"])[1:].all()
    np.testing.assert_allclose(shared[["n_active", "n_total"]], wide[["n_active", "n_total"]])


@pytest.mark.parametrize("order", [("train_loss", "train/loss"), ("train/loss", "train_loss")])
def test_the_last_training_loss_comes_before_its_mean(order):
    values = {"train_loss": [3.5, 3.4, 3.3], "train/loss": [2.5, 2.4, 2.3]}
    assert read(loss=None, **{name: values[name] for name in order}).frame["loss"].tolist() == [2.5, 2.4, 2.3]


def test_tokens_of_a_validation_set_are_no_training_tokens():
    np.testing.assert_allclose(
        read(tokens=None, **{"val/tokens": [1e7] * 3, "train/tokens": [1e9, 2e9, 4e9]}).frame["tokens"], [1e9, 2e9, 4e9]
    )
