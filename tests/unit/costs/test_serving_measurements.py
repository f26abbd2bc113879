"""Measured points: a good table in, and one sentence for everything that is wrong with another."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from bayesmoe.architecture import public_shape
from bayesmoe.costs.serving_measurements import MEASURED, NAMES, NUMBERS, read_points
from bayesmoe.errors import InputError

POINT = {
    "architecture": "mixtral-8x7b",
    "hardware": "H100-SXM",
    "engine": "vLLM",
    "weight_precision": "bf16",
    "n_gpus": 4,
    "isl_tokens": 1000,
    "osl_tokens": 500,
    "concurrency_requests": 8,
    "tpot_ms": 12.5,
}
SHAPE = "num_layers = 4\nd_model = 64\nvocab = 100\nd_ff = 128\n[attention]\nkind = 'heads'\nnum_heads = 4\nnum_kv_heads = 2\nhead_dim = 16\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "points.csv"


@pytest.fixture
def read(path):
    """Read points that differ from a good one, and return them or what the error says after the file's name."""

    def reading(*changes: dict, without: str | None = None):
        frame = pd.DataFrame([{**POINT, **change} for change in changes])
        frame.drop(columns=without or []).to_csv(path, index=False)
        try:
            return read_points(path)
        except InputError as error:
            return str(error).removeprefix(str(path))

    return reading


def test_a_good_table(read, path):
    found = read({}, {"architecture": "llama-3.1-8b", "tpot_ms": 6})
    assert (found.file, found.sha256) == (str(path), hashlib.sha256(path.read_bytes()).hexdigest())
    assert found.frame["tpot_ms"].tolist() == [12.5, 6.0]
    shapes = [public_shape("mixtral-8x7b"), public_shape("llama-3.1-8b")]
    assert found.models.n_total.tolist() == [shape.n_total for shape in shapes]
    assert found.models.num_experts.tolist() == [8, 1]


def test_what_may_be_left_out_or_blank(read):
    for found in (read({}), read({"ttft_ms": None, "attention_data_parallel": None, "length_share": None})):
        assert np.isnan(found.frame["ttft_ms"].iloc[0])
        assert found.models.cache_shards.tolist() == found.served(np.array([0])).cache_shards.tolist() == [8]
        traffic = found.traffic(np.array([0]))
        assert (*traffic.prompt_tokens, *traffic.output_tokens, *traffic.bytes_per_cache_element) == (1000, 500, 2)


def test_real_lengths_and_data_parallel_attention(read):
    found = read({"length_share": 0.9}, {"attention_data_parallel": 16}, {"attention_data_parallel": 2, "ttft_ms": 80})
    assert found.traffic(np.array([0, 1])).prompt_tokens.tolist() == [900, 1000]
    assert found.served(np.array([1, 2])).attention_ranks.tolist() == [16, 2]
    assert found.frame["ttft_ms"].iloc[2] == 80


THROUGHPUT = {"concurrency_requests": None, "tpot_ms": None, "output_tokens_per_s_per_gpu": 500.0}


def test_a_saturated_engine_has_the_batch_that_memory_holds(read):
    found = read({"concurrency_requests": 8}, {**THROUGHPUT, "n_gpus": 2}, {**THROUGHPUT, "n_gpus": 8})
    assert found.frame["saturated"].tolist() == [False, True, True]
    shape = public_shape("mixtral-8x7b")
    # 90% of two H100 less 16-bit weights; 32 layers cache 2 x 8 x 128 elements of two bytes for 1,000 tokens and half of 500.
    free = 0.9 * 2 * 80e9 - 2 * (shape.n_total + shape.n_embedding)
    held = free // (32 * 2 * 8 * 128 * 2 * 1250)
    assert found.frame["batch"].tolist() == [8, held, 2048]
    np.testing.assert_allclose(found.frame["tpot_s"], [0.0125, held / 1000, 2048 / 4000])
    assert found.deployments.nunique() == 2
    assert found.cells.nunique() == 3


def test_a_point_says_its_load_or_its_throughput(read):
    assert read({**THROUGHPUT, "output_tokens_per_s_per_gpu": None}).startswith(
        ", row 2, concurrency_requests: must be a positive"
    )
    assert read({**THROUGHPUT, "output_tokens_per_s_per_gpu": -5}).startswith(
        ", row 2, output_tokens_per_s_per_gpu: must be a positive"
    )


def test_sources_err_apart(read):
    found = read({"reference": "mine"}, {"reference": "theirs"}, {"reference": None})
    assert found.deployments.nunique() == 3


def test_flagged_rows_are_left_out_and_rows_keep_their_number(read):
    found = read({"quality_flags": "doubtful"}, {"tpot_ms": 3, "quality_flags": None})
    assert found.frame["tpot_ms"].tolist() == [3]
    assert len(found.models.n_total) == 1
    broken = read({"quality_flags": "doubtful", "tpot_ms": -1}, {"quality_flags": None, "tpot_ms": -2})
    assert broken == ", row 3, tpot_ms: must be a positive number, found '-2'."


def test_where_keeps_what_a_mask_keeps(read):
    found = read({}, {"architecture": "llama-3.1-8b", "tpot_ms": 6}, {"tpot_ms": 7})
    kept = found.where((found.frame["architecture"] == "mixtral-8x7b").to_numpy())
    assert kept.frame["tpot_ms"].tolist() == [12.5, 7]
    assert kept.models.num_experts.tolist() == [8, 8]
    assert kept.served(np.array([1])).num_experts.tolist() == [8]
    assert (kept.file, kept.sha256) == (found.file, found.sha256)


def test_an_own_shape_lies_beside_the_table(read, path):
    path.with_name("own.toml").write_text(SHAPE)
    found = read({"architecture": "own.toml"})
    assert found.models.num_layers.tolist() == [4]
    path.with_name("own.toml").unlink()
    assert read({"architecture": "own.toml"}).endswith(f"own.toml: no such file; check the path (row 2 of {path} names it).")


def test_a_broken_own_shape_names_its_own_key(read, path):
    path.with_name("own.toml").write_text(SHAPE.replace("d_model", "d_modle"))
    assert "own.toml, d_modle: is not a known key; did you mean 'd_model'? (row 2 of" in read({"architecture": "own.toml"})


def test_a_table_without_points_is_refused(read, path):
    assert "has no points" in read({"quality_flags": "queue_limited"})
    path.write_text(",".join(POINT) + "\n")
    with pytest.raises(InputError, match="has no points"):
        read_points(path)


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ({"architecture": ""}, "row 2, architecture: is blank"),
        ({"engine": ""}, "row 2, engine: is blank"),
        ({"tpot_ms": "inf"}, "row 2, tpot_ms: must be a positive number"),
        ({"ttft_ms": -3}, "row 2, ttft_ms: must be a positive number"),
        ({"ttft_ms": "fast"}, "row 2, ttft_ms: must be a positive number"),
        ({"n_gpus": 0.5}, "row 2, n_gpus: must be a whole number"),
    ],
)
def test_a_cell_that_is_none_is_named(read, cell, says):
    assert says in read(cell)


@pytest.mark.parametrize("column", [*NAMES, *NUMBERS])
def test_each_column_is_needed(read, column):
    said = read({}, without=column)
    assert said.startswith(f", {column}: is missing from the points; they need architecture, hardware")


@pytest.mark.parametrize("column", [*NUMBERS, *MEASURED, "attention_data_parallel", "length_share"])
@pytest.mark.parametrize("value", [0, -1, "fast"])
def test_each_number_is_positive(read, column, value):
    assert read({column: 1}, {column: value}) == f", row 3, {column}: must be a positive number, found '{value}'."


@pytest.mark.parametrize("column", [*NUMBERS, *MEASURED])
def test_no_number_is_blank(read, column):
    assert read({}, {column: None}).startswith(f", row 3, {column}: must be a positive number")


@pytest.mark.parametrize(
    ("column", "value", "rule", "close"),
    [
        ("hardware", "H100-SXN", "is not known", "H100-SXM"),
        ("weight_precision", "fp88", "is not known", "fp8"),
        ("architecture", "mixtral-8x7", "is not a known model", "mixtral-8x7b"),
    ],
)
def test_an_unknown_name_is_told_the_nearest(read, column, value, rule, close):
    assert read({}, {column: value}) == f", row 3, {column}: {rule}, found '{value}'; did you mean '{close}'?"


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n", bytes(range(256)) * 20, b"\x00" * 100, "é,\n".encode("latin1"), b'"a\n', b"a\n1,2\n1,2,3\n"],
    ids=["empty", "blank", "binary", "zeros", "latin", "open quote", "ragged"],
)
def test_what_is_no_table_is_one_sentence(path, content):
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_points(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_no_file_and_a_folder(tmp_path):
    for name, says in (
        (tmp_path, "is a folder; name a file"),
        (tmp_path / "none.csv", "no such file; give a CSV of measured"),
    ):
        with pytest.raises(InputError, match=says):
            read_points(name)
