"""Losses in bits and perplexities, by name and by what stands beside them; what the user maps is believed, with a doubt."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesmoe.errors import InputError
from bayesmoe.runs import as_run_table
from bayesmoe.runs.audit.inspect import Inspection, inspect_runs

NATS = np.array([5.0098, 4.3658, 4.0714, 4.8511, 4.2213, 3.9473])
BITS = NATS / math.log(2.0)


def frame(**columns) -> pd.DataFrame:
    """Six runs with other columns beside."""
    base = {
        "num_experts": [1, 1, 1, 4, 4, 4],
        "top_k": [1, 1, 1, 2, 2, 2],
        "n_dense": [2e7, 2e7, 6e7] * 2,
        "tokens": [2e8, 8e8, 6e8] * 2,
    }
    return pd.DataFrame(base | columns)


def checked(folder: Path, table: pd.DataFrame, **options) -> Inspection:
    """What a check finds in a table."""
    table.to_csv(folder / "runs.csv", index=False)
    return inspect_runs(folder / "runs.csv", **options)


def severities(found: Inspection) -> dict[str, str]:
    """Severity by kind."""
    return {one.kind: one.severity for one in found.findings}


@pytest.mark.parametrize(
    "name",
    [
        "val_loss_bits",
        "loss (bits)",
        "eval/loss_in_bits",
        "bits_per_token",
        "val/bits_per_token",
        "test_loss_bits_per_token",
        "eval_bpt",
        "loss_base2",
    ],
)
def test_a_name_that_says_bits_is_converted_and_said(tmp_path, name):
    for options in ({}, {"columns": {"loss": name}}):
        found = checked(tmp_path, frame(**{name: BITS}), **options)
        np.testing.assert_allclose(found.table["loss"], NATS)
        assert severities(found)["bits per token"] == "look"
        assert any("ln 2" in sentence for sentence in found.derived)


@pytest.mark.parametrize("other", ["valid/ppl", "perplexity", "val_ppl", "power", "eval.perp"])
@pytest.mark.parametrize("own", ["valid/loss", "loss", "val_nll"])
@pytest.mark.few(5)
def test_a_perplexity_that_is_a_power_of_two_says_bits(tmp_path, own, other):
    found = checked(tmp_path, frame(**{own: BITS, other: np.round(2.0**BITS, 2)}))
    np.testing.assert_allclose(found.table["loss"], NATS)
    assert f"{other} is 2 to its power" in found.findings[0].rule
    natural = checked(tmp_path, frame(**{own: NATS, other: np.round(np.exp(NATS), 2)}))
    np.testing.assert_allclose(natural.table["loss"], NATS)
    assert not natural.findings


@pytest.mark.parametrize("name", ["loss (nats)", "val_loss_nats", "nats_per_token", "eval/loss_in_nats_per_token"])
def test_a_name_that_says_nats_is_taken_as_it_is(tmp_path, name):
    found = checked(tmp_path, frame(**{name: NATS}))
    assert not found.findings
    np.testing.assert_allclose(found.table["loss"], NATS)


@pytest.mark.parametrize("name", ["rabbits_loss", "loss", "orbit/val_loss", "loss_8bit_weights"])
def test_other_names_are_not_converted(tmp_path, name):
    found = checked(tmp_path, frame(**{name: NATS}), columns={"loss": name})
    np.testing.assert_allclose(found.table["loss"], NATS)


def test_a_fit_reads_bits_as_the_check_does():
    np.testing.assert_allclose(as_run_table(frame(val_loss_bits=BITS)).frame["loss"], NATS)
    np.testing.assert_allclose(as_run_table(frame(val_loss_bits=BITS)).frame["val_loss_bits"], BITS)


@pytest.mark.parametrize("name", ["perplexity", "eval_metrics.perplexity", "val/ppl", "valid_ppl", "test_perplexity"])
def test_a_perplexity_by_name_is_refused_unless_the_user_says_that_it_is_the_loss(tmp_path, name):
    table = frame(**{name: NATS})
    mapped = checked(tmp_path, table, columns={"loss": name})
    assert severities(mapped) == {"perplexity": "look"}
    assert mapped.table["loss"].tolist() == NATS.tolist()
    assert as_run_table(table, columns={"loss": name}).frame["loss"].tolist() == NATS.tolist()
    if name.startswith("eval_metrics"):
        return
    found = checked(tmp_path, table)
    assert severities(found) == {"perplexity": "wrong"}
    assert f"--map loss={name}" in found.findings[0].hint
    with pytest.raises(InputError, match="is a perplexity by its name"):
        as_run_table(table)


def test_a_perplexity_that_is_proven_is_refused_whatever_is_mapped(tmp_path):
    found = checked(tmp_path, frame(val_loss=NATS / 2, ppl=np.exp(NATS / 2)), columns={"loss": "ppl"})
    assert severities(found)["perplexity"] == "wrong"
    assert found.findings[0].hint == "map loss=val_loss"


@pytest.mark.parametrize("name", ["val/bpb", "bits_per_byte", "eval_bpc"])
def test_bits_per_byte_are_believed_only_where_they_are_mapped(tmp_path, name):
    found = checked(tmp_path, frame(**{name: NATS / 4}), columns={"loss": name})
    assert severities(found)["bits per byte"] == "look"
    assert severities(checked(tmp_path, frame(**{name: NATS / 4})))["bits per byte"] == "wrong"


@pytest.mark.parametrize("row", range(6))
def test_the_logarithm_is_that_of_the_row_that_is_named(tmp_path, row):
    losses = NATS.copy()
    losses[row] = 12.5
    found = checked(tmp_path, frame(loss=losses))
    hint = next(one for one in found.findings if one.kind == "perplexity")
    assert (hint.rows, hint.value, hint.hint) == ((row + 2,), 12.5, "give its logarithm: ln(12.5) = 2.5257")
