"""A missing column is asked for by the names of columns that may be it, by meaning and by value, and by none where none may."""

from __future__ import annotations

import pandas as pd
import pytest

from bayesmoe.errors import InputError
from bayesmoe.runs import as_run_table

ROWS = {
    "num_experts": [1, 4, 16],
    "top_k": [1, 2, 2],
    "n_dense": [2e7, 2e7, 6e7],
    "tokens": [2e8, 8e8, 6e8],
    "loss": [5.0, 4.2, 3.9],
}


def asked(without: str, **columns) -> str:
    """The hint about a column that is missing beside these."""
    frame = pd.DataFrame({name: values for name, values in (ROWS | columns).items() if name != without})
    with pytest.raises(InputError, match=f"{without}: is missing") as caught:
        as_run_table(frame)
    return str(caught.value.hint)


LOSSES = [5.0, 4.2, 3.9]


@pytest.mark.parametrize(
    "name",
    ["val_ce", "c4_loss", "Validation CE", "xent", "losss", "test/ce_c4", "loss_final_pile", "held out xent"],
)
def test_a_loss_by_another_name_is_proposed(name):
    assert f"did you mean {name!r}" in asked("loss", **{name: LOSSES, "logs": ["a.out"] * 3, "gflops": [1.0, 2.0, 3.0]})


@pytest.mark.parametrize(
    "columns",
    [
        {"logs": ["a.out"] * 3}, {"gflops": [1.0, 2.0, 3.0]}, {"class": [1.5, 2.5, 3.5]}, {"aux_loss": [0.01, 0.02, 0.03]},
        {"loss_fn": ["ce"] * 3}, {"loss_scale": [4.0, 5.0, 6.0]}, {"router/z_loss": [0.1, 0.2, 0.3]}, {"loss": None, "boss": ["a", "b", "c"]},
    ],
)  # fmt: skip
def test_what_is_no_loss_is_not_proposed(columns):
    hint = asked("loss", **{name: values for name, values in columns.items() if values is not None})
    assert "did you mean" not in hint
    assert "none looks like it" in hint


@pytest.mark.parametrize("name", ["nexperts", "E (experts)", "experts here", "moe/expert_pool"])
def test_an_expert_count_by_another_name_is_proposed(name):
    assert f"did you mean {name!r}" in asked(
        "num_experts", **{name: [1, 4, 16], "num_layers": [8, 8, 12], "num_nodes": [1, 2, 4]}
    )


@pytest.mark.parametrize(
    "columns",
    [
        {"num_layers": [8, 8, 12]}, {"num_nodes": [1, 2, 4]}, {"num_gpus": [8, 16, 32]}, {"expert_parallel_size": [1, 2, 4]},
        {"is_moe": [0, 1, 1]}, {"experts_per_token": [1, 2, 2]}, {"expert_hidden": [512, 512, 1024]},
    ],
)  # fmt: skip
def test_what_counts_no_experts_is_not_proposed(columns):
    assert "did you mean" not in asked("num_experts", **columns)


def test_the_held_out_one_of_several_comes_first_and_a_wide_table_is_cut_short():
    hint = asked(
        "loss", ce_train_c4=LOSSES, ce_val_c4=LOSSES, **{f"task_{place:02}": [1.0, 2.0, 3.0] for place in range(40)}
    )
    assert "did you mean 'ce_val_c4' or 'ce_train_c4'?" in hint
    assert "and 28 more" in asked("loss", **{f"task_{place:02}": [1.0, 2.0, 3.0] for place in range(40)})
