"""Rules of a run table: every broken one is told in a sentence with file, row, column, value and cure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest

from bayesmoe.errors import InputError
from bayesmoe.runs.schema import COLUMNS, checked, run_schema

NUMBERS = ("loss", "tokens", "num_experts", "top_k", "n_dense", "n_active", "n_total")


def runs(row: int = 3, **changes) -> pd.DataFrame:
    """Three good runs, numbered as the lines of a file are, with some values of one row changed."""
    frame = pd.DataFrame(
        {
            "run_id": ["a", "b", "c"],
            "loss": [2.5, 2.4, 2.3],
            "tokens": [1e9, 1e9, 1e9],
            "num_experts": [1, 4, 8],
            "top_k": [1, 2, 2],
            "n_dense": [1e8, 1e8, 1e8],
            "n_active": [1e8, 1.2e8, 1.2e8],
            "n_total": [1e8, 1.6e8, 2.4e8],
        },
        index=[2, 3, 4],
    ).astype(object)
    for column, value in changes.items():
        frame.loc[row, column] = value
    return frame


def leverages(**changes) -> pd.DataFrame:
    """Three good leverages, with some values of row 3 changed."""
    frame = pd.DataFrame(
        {
            "run_id": ["a", "b", "c"],
            "leverage": [1.0, 3.0, 7.2],
            "train_flop": [1e20, 1e21, 1e22],
            "activation_ratio": [1.0, 1 / 8, 1 / 32],
            "granularity": [1.0, 12.0, 24.0],
        },
        index=[2, 3, 4],
    ).astype(object)
    return _with(frame, 3, **changes)


def complaint(frame: pd.DataFrame, response: str = "loss") -> str:
    """What is said about a frame, after the file's name."""
    with pytest.raises(InputError) as caught:
        checked(frame, "runs.csv", response)
    assert caught.value.file == "runs.csv"
    return str(caught.value).removeprefix("runs.csv, ")


def test_good_runs_keep_their_values_and_row_numbers():
    found = checked(runs(notes="x"), "runs.csv")
    assert found.index.tolist() == [2, 3, 4]
    assert found["n_total"].tolist() == [1e8, 1.6e8, 2.4e8]
    assert found["notes"].tolist()[1] == "x"
    assert {name: str(found[name].dtype) for name in NUMBERS} == dict.fromkeys(NUMBERS, "float64")


def test_the_given_frame_is_left_alone():
    frame = runs(loss="2.4")
    before = frame.copy()
    assert checked(frame, "runs.csv").loc[3, "loss"] == 2.4
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("value", [1e-3, 20.0, "2.4", " 2.4 "])
def test_losses_on_the_edge_and_written_as_text_pass(value):
    assert checked(runs(loss=value), "runs.csv").loc[3, "loss"] == float(value)


COUNTED = "write 1 for a dense model, and the routed experts, or those of a token, of a mixture."
DIVERGED = "remove the run (diverged or unfinished) or fill in its value."


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("loss", np.nan, f"must be a finite number, found nan; {DIVERGED}"),
        ("loss", None, f"must be a finite number, found nan; {DIVERGED}"),
        ("loss", "NaN", f"must be a finite number, found nan; {DIVERGED}"),
        ("loss", np.inf, f"must be a finite number, found inf; {DIVERGED}"),
        ("loss", -np.inf, f"must be a finite number, found -inf; {DIVERGED}"),
        ("loss", -2.4, "must be positive, found -2.4; losses are nats per token; remove the run or correct it."),
        ("loss", 0, "must be positive, found 0.0; losses are nats per token; remove the run or correct it."),
        ("tokens", np.nan, "must be a finite number, found nan; fill in its value, or leave the run out."),
        ("tokens", -1e9, "must be positive, found -1000000000.0; give training tokens."),
        ("num_experts", 0, "must be at least 1, found 0.0; write 1 for a dense model."),
        ("num_experts", 2.5, "must be a whole number, found 2.5; count routed experts only."),
        ("num_experts", np.nan, f"must be a finite number, found nan; {COUNTED}"),
        ("top_k", 0, "must be at least 1, found 0.0; write 1 for a dense model."),
        ("top_k", 1.5, "must be a whole number, found 1.5; count routed experts only."),
        ("n_dense", 0, "must be positive, found 0.0; give parameters."),
        ("n_active", -1e8, "must be positive, found -100000000.0; give parameters."),
    ],
)
def test_a_broken_value_is_named_with_its_row_and_cure(column, value, says):
    assert complaint(runs(**{column: value})) == f"row 3, {column}: {says}"


@pytest.mark.parametrize(("value", "logarithm"), [(20.5, "3.020"), (11.0**2, "4.796")])
def test_a_perplexity_is_recognized_and_its_logarithm_given(value, logarithm):
    hint = f"it looks like a perplexity: give its logarithm, {logarithm}."
    assert complaint(runs(loss=value)) == f"row 3, loss: must be at most 20 nats per token, found {value}; {hint}"


def test_tokens_in_billions_are_recognized():
    hint = "it looks like billions of tokens: multiply the column by 1e9 (2.5e+09 tokens)."
    assert complaint(runs(tokens=2.5)) == f"row 3, tokens: must be at least 1e+05, found 2.5; {hint}"


@pytest.mark.parametrize("column", ["n_dense", "n_active", "n_total"])
def test_sizes_in_millions_or_billions_are_recognized(column):
    hint = "it looks like millions or billions: multiply the column (1.2e+05 or 1.2e+08 parameters)."
    assert complaint(runs(**{column: 0.12})) == f"row 3, {column}: must be at least 1e+04 parameters, found 0.12; {hint}"


@pytest.mark.parametrize("column", ["n_dense", "n_active", "n_total"])
def test_an_infinite_size_is_no_size(column):
    assert complaint(runs(4, **{column: np.inf})).startswith(f"row 4, {column}: must be a finite number, found inf")


@pytest.mark.parametrize("column", [*NUMBERS, "granularity", "shared_experts", "train_flop", "activation_ratio", "leverage"])
@pytest.mark.parametrize("value", ["1B", "1,000", "four"])
@pytest.mark.few(12)
def test_text_in_a_numeric_column(column, value):
    hint = "write plain numbers, such as 2.5e9."
    assert complaint(runs(**{column: value})) == f"row 3, {column}: must be a number, found {value!r}; {hint}"


@pytest.mark.parametrize("column", ["d_model", "num_layers", "d_ff", "num_moe_layers", "d_expert", "d_shared"])
def test_text_in_a_shape_column(column):
    assert complaint(runs(**{column: "wide"})).startswith(f"row 3, {column}: must be a number, found 'wide'")


@pytest.mark.parametrize(
    "column", ["granularity", "shared_experts", "train_flop", "activation_ratio", "leverage", "d_model", "d_ff"]
)
def test_a_negative_count_or_width(column):
    assert complaint(runs(**{column: -4})).startswith(f"row 3, {column}: must be")


def test_more_experts_a_token_than_there_are():
    hint = "swap the columns, or write num_experts 1 and top_k 1 for a dense model."
    assert complaint(runs(top_k=5)) == f"row 3, top_k: must be at most num_experts (4), found 5.0; {hint}"


def test_more_active_parameters_than_there_are():
    says = "must be at most n_total (1.6e+08), found 200000000.0; swap the columns or correct the counts: both without embeddings."
    assert complaint(runs(n_active=2e8)) == f"row 3, n_active: {says}"


@pytest.mark.parametrize(("n_active", "passes"), [(1.607e8, True), (1.609e8, False)])
def test_counts_rounded_apart_by_half_a_per_cent_pass(n_active, passes):
    if passes:
        assert checked(runs(n_active=n_active), "runs.csv").loc[3, "n_active"] == n_active
    else:
        assert "must be at most n_total" in complaint(runs(n_active=n_active))


@pytest.mark.parametrize("column", ["top_k", "n_dense", "n_active", "n_total", "activation_ratio", "train_flop"])
def test_what_can_be_derived_may_be_blank(column):
    assert np.isnan(checked(runs(**{column: np.nan}), "runs.csv").loc[3, column])


def test_a_run_that_stands_twice_is_named_with_both_rows():
    hint = "it stands in rows 2, 4: drop the copy, or give repeats their own run_id and a seed."
    assert complaint(runs(4, run_id="a")) == f"row 2, run_id: must be unique, found 'a'; {hint}"


def test_numbers_that_look_alike_as_text_are_one_run():
    assert "must be unique, found '7'; it stands in rows 2, 4" in complaint(runs(2, run_id=7).pipe(_with, 4, run_id="7"))


def _with(frame: pd.DataFrame, row: int, **changes) -> pd.DataFrame:
    for column, value in changes.items():
        frame.loc[row, column] = value
    return frame


@pytest.mark.parametrize("blank", [None, np.nan])
def test_a_blank_run_id_is_named_with_its_row(blank):
    assert complaint(runs(run_id=blank)).startswith("row 3, run_id: must")


@pytest.mark.parametrize("column", ["loss", "num_experts"])
def test_a_missing_column_is_named_with_its_meaning_and_unit(column):
    frame = runs().rename(columns={column: f"my_{column}"})
    meaning = COLUMNS[column]
    hint = f"map your own name with --map {column}=YOUR_COLUMN (did you mean 'my_{column}'?)."
    assert complaint(frame) == f"{column}: is missing ({meaning.meaning}, {meaning.unit}); {hint}"


def test_no_runs():
    with pytest.raises(InputError) as caught:
        checked(runs().iloc[:0], "runs.csv")
    assert str(caught.value) == "runs.csv: has no runs; add one row a trained model."


def test_the_first_broken_row_is_named_whatever_its_column():
    assert complaint(runs(4, loss=-1).pipe(_with, 3, n_total=-1)).startswith("row 3, n_total:")
    assert complaint(runs(3, loss=-1).pipe(_with, 4, n_total=-1)).startswith("row 3, loss:")


def test_every_column_states_its_unit_and_only_the_response_and_experts_of_a_loss_are_required():
    assert all(column.unit and column.meaning for column in COLUMNS.values())
    for response, needed in (("loss", ["loss", "num_experts"]), ("leverage", ["leverage"])):
        assert [name for name, column in run_schema(response).columns.items() if column.required] == [*needed, "run_id"]


def test_the_schema_serves_users_who_validate_their_own_frames():
    assert len(run_schema().validate(runs(loss="2.4"))) == 3
    with pytest.raises(pa.errors.SchemaError, match="must be positive"):
        run_schema().validate(runs(loss=-1))
    assert "nats/token" in str(run_schema().columns["loss"].description)


def test_good_leverages_need_no_loss_and_no_expert_count():
    found = checked(leverages(), "runs.csv", "leverage")
    assert found["leverage"].tolist() == [1.0, 3.0, 7.2]
    assert set(found.columns) == {"run_id", "leverage", "train_flop", "activation_ratio", "granularity"}


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("leverage", np.nan, f"must be a finite number, found nan; {DIVERGED}"),
        ("leverage", 0, "must be positive, found 0.0; leverage is a ratio of FLOP; remove the run or correct it."),
        ("activation_ratio", 0, "must be positive, found 0.0; give active over all experts."),
        ("activation_ratio", 32, "must be at most 1, found 32.0; give active over all experts, 1 for dense."),
    ],
)
def test_a_broken_leverage_is_named_with_its_row_and_cure(column, value, says):
    assert complaint(leverages(**{column: value}), "leverage") == f"row 3, {column}: {says}"


def test_a_missing_leverage_is_named_with_its_meaning_and_unit():
    hint = "map your own name with --map leverage=YOUR_COLUMN (did you mean 'el_leverage'?)."
    said = complaint(leverages().rename(columns={"leverage": "el_leverage"}), "leverage")
    assert said == f"leverage: is missing ({COLUMNS['leverage'].meaning}, ratio); {hint}"


def test_a_table_of_losses_may_hold_blank_leverages():
    assert np.isnan(checked(runs(leverage=np.nan), "runs.csv").loc[3, "leverage"])
