"""Tables of measured training throughput: what is read, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayesmoe.costs.training_measurements import read_training_points
from bayesmoe.errors import InputError

ROW = {
    "architecture": "mixtral-8x7b",
    "hardware": "H100-SXM",
    "precision": "bf16",
    "num_gpus": 64,
    "global_batch": 256,
    "sequence_tokens": 4096,
    "tokens_per_s_per_gpu": 4000.0,
}


def written(folder, **changed):
    path = folder / "points.csv"
    pd.DataFrame([ROW, {**ROW, **changed}]).to_csv(path, index=False)
    return path


def test_what_is_left_out_is_plain(tmp_path):
    found = read_training_points(written(tmp_path, pp=4, ep=8, recompute="full", routing="learned", cuda_graph="full"))
    assert found.rows.layout.pipeline.tolist() == [1.0, 4.0]
    assert found.rows.layout.expert.tolist() == [1.0, 8.0]
    assert found.rows.layout.recompute.tolist() == [0.0, 1.0]
    assert found.rows.software.full_graph.tolist() == [0.0, 1.0]
    assert found.frame["learned_router"].tolist() == [0.0, 1.0]
    np.testing.assert_allclose(found.seconds_per_token, 1 / 4000)
    assert found.rows.chip.matmul_flop_per_s.tolist() == [989e12, 989e12]


def test_flagged_rows_are_left_out(tmp_path):
    assert len(read_training_points(written(tmp_path, quality_flags="known_regression")).frame) == 1


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"tp": 3}, "row 3, num_gpus: must be a multiple of tp * pp * cp"),
        ({"tokens_per_s_per_gpu": -1.0}, "row 3, tokens_per_s_per_gpu: must be a positive number"),
        ({"num_gpus": 2.5}, "row 3, num_gpus: must be a whole number"),
        ({"precision": "fp7"}, "row 3, precision: is not known"),
        ({"hardware": "H1000"}, "row 3, hardware: is not known"),
        ({"routing": "random"}, "row 3, routing: is not known"),
        ({"architecture": "mixtral"}, "row 3, architecture: is not a known model"),
        ({"age_years": -1}, "row 3, age_years: must be a number from 0 up"),
    ],
)
def test_bad_rows_are_told_by_row_and_column(tmp_path, changed, says):
    with pytest.raises(InputError) as caught:
        read_training_points(written(tmp_path, **changed))
    assert says in str(caught.value)


def test_a_missing_column(tmp_path):
    path = tmp_path / "points.csv"
    pd.DataFrame([ROW]).drop(columns="global_batch").to_csv(path, index=False)
    with pytest.raises(InputError, match="global_batch"):
        read_training_points(path)
