"""Latency tables: exact on their grid, linear between its points, silent off it, and refused where they are broken."""

from __future__ import annotations

import jax
import numpy as np
import pandas as pd
import pytest

from bayesmoe.costs.serving import ServedModel, Traffic, read_latency_table
from bayesmoe.costs.serving.calibration import without_residual
from bayesmoe.errors import InputError

SIZES, BATCHES = (1e8, 4e8, 2e9), (1, 16, 64)


def rows(**changes):
    """A full grid for 8 experts on 2 GPUs and for a dense model on 1, with unequal times."""
    found = [
        {
            "num_experts": experts,
            "n_gpus": gpus,
            "n_dense": size,
            "batch": batch,
            "prefill_s": 1e-3 * (1 + i) * (1 + j) ** 2 * gpus,
            "decode_s": 1e-2 * (2 + i) ** 2 * (1 + j) * experts,
        }
        for experts, gpus in ((8, 2), (1, 1))
        for i, size in enumerate(SIZES)
        for j, batch in enumerate(BATCHES)
    ]
    return pd.DataFrame(found).assign(**changes)


@pytest.fixture
def written(tmp_path):
    """Write a frame, or text, as a latency table and return its path."""

    def write(table):
        path = tmp_path / "latency.csv"
        path.write_text(table if isinstance(table, str) else table.to_csv(index=False))
        return path

    return write


def served(num_experts, n_dense):
    """A model of that size; a table looks at nothing else."""
    one = np.ones_like(np.asarray(n_dense, dtype=float))
    return ServedModel(*(one for _ in ServedModel._fields))._replace(n_dense=n_dense * one, num_experts=num_experts * one)


def asked(table, model, batch, n_gpus):
    """Latencies of a table, which has its own lengths and no coefficients."""
    return table(model, batch, n_gpus, Traffic(np.nan, np.nan), without_residual(1))


def test_a_table_is_exact_on_its_points_in_any_order_of_rows(written):
    frame = rows()
    latency = read_latency_table(written(frame.sample(frac=1.0, random_state=1)))
    columns = (frame[name].to_numpy(float) for name in ("num_experts", "n_dense", "batch", "n_gpus"))
    experts, size, batch, gpus = columns
    prefill_s, decode_s = asked(latency, served(experts, size), batch, gpus)
    np.testing.assert_allclose(prefill_s, frame["prefill_s"], rtol=1e-12)
    np.testing.assert_allclose(decode_s, frame["decode_s"], rtol=1e-12)


def test_a_table_is_linear_between_its_points(written):
    latency = read_latency_table(written(rows()))
    # A third of the way in size from 1e8 to 4e8, a quarter in batch from 16 to 64.
    prefill_s, decode_s = asked(latency, served(8, 2e8), 28.0, 2)
    prefill = np.array([[2e-3 * 4, 2e-3 * 9], [4e-3 * 4, 4e-3 * 9]])
    decode = np.array([[0.32 * 2, 0.32 * 3], [0.72 * 2, 0.72 * 3]])
    weights = np.outer([2 / 3, 1 / 3], [3 / 4, 1 / 4])
    assert prefill_s.item() == pytest.approx((weights * prefill).sum(), rel=1e-12)
    assert decode_s.item() == pytest.approx((weights * decode).sum(), rel=1e-12)


@pytest.mark.parametrize(
    ("num_experts", "n_dense", "batch", "n_gpus"),
    [
        (8, 0.9e8, 16, 2),
        (8, 2.1e9, 16, 2),
        (8, 4e8, 0.5, 2),
        (8, 4e8, 65, 2),
        (8, 4e8, 16, 1),
        (1, 4e8, 16, 2),
        (4, 4e8, 16, 2),
    ],
)
def test_a_table_knows_nothing_off_its_grid(written, num_experts, n_dense, batch, n_gpus):
    found = asked(read_latency_table(written(rows())), served(num_experts, n_dense), batch, n_gpus)
    assert np.isnan(found).all()


def test_a_table_works_compiled_and_on_whole_arrays(written):
    latency = read_latency_table(written(rows()))
    sizes = np.geomspace(1e8, 2e9, 5)[:, None]
    batches, gpus = np.array([1.0, 40.0]), np.array([2.0, 1.0])
    found = np.stack(jax.jit(lambda: asked(latency, served(8, sizes), batches, gpus))())
    assert found.shape == (2, 5, 2)
    assert np.isfinite(found[..., 0]).all()
    assert np.isnan(found[..., 1]).all()


def test_a_table_knows_its_largest_batch(written):
    frame = rows()
    table = read_latency_table(written(frame[(frame["num_experts"] == 8) | (frame["batch"] < 64)]))
    # The dense model is measured up to 16 alone, and four experts are not.
    assert table.largest_batch(np.array([1.0, 8.0, 4.0, 8.0]), np.array([1.0, 2.0, 2.0, 1.0])).tolist() == [
        16.0,
        64.0,
        np.inf,
        np.inf,
    ]


def test_repeated_points_are_averaged(written):
    twice = pd.concat([rows(), rows(decode_s=5.0).iloc[:1]])
    _, decode_s = asked(read_latency_table(written(twice)), served(8, 1e8), 1, 2)
    assert decode_s.item() == pytest.approx((1e-2 * 4 * 8 + 5.0) / 2, rel=1e-12)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.csv: no such file; give a CSV of measured latencies"):
        read_latency_table(tmp_path / "gone.csv")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ('"unclosed\n1,2', "is missing from the latencies"),
        ("a,b\n1,2\n1,2,3,4\n", "row 3: must have 2 values like the header, found 4"),
    ],
)
def test_what_is_no_csv_is_refused(written, text, says):
    with pytest.raises(InputError, match=says):
        read_latency_table(written(text))


@pytest.mark.parametrize("column", ["num_experts", "n_gpus", "n_dense", "batch", "prefill_s", "decode_s"])
def test_a_missing_column_is_named(written, column):
    with pytest.raises(InputError, match="is missing") as caught:
        read_latency_table(written(rows().drop(columns=column)))
    assert caught.value.column == column


@pytest.mark.parametrize("column", ["num_experts", "n_gpus", "n_dense", "batch", "prefill_s", "decode_s"])
@pytest.mark.parametrize("value", [0, -1.5, "fast", None, np.inf])
def test_a_value_that_is_no_positive_number_is_named_with_its_row(written, column, value):
    frame = rows().astype({column: object})
    frame.loc[4, column] = value
    with pytest.raises(InputError) as caught:
        read_latency_table(written(frame))
    assert (caught.value.row, caught.value.column) == (6, column)


@pytest.mark.parametrize("column", ["num_experts", "n_gpus"])
def test_a_fraction_of_an_expert_or_gpu_is_refused(written, column):
    with pytest.raises(InputError) as caught:
        read_latency_table(written(rows(**{column: 1.5})))
    assert column in str(caught.value)


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(lambda table: table.index != 4, id="hole"),
        pytest.param(lambda table: table["n_dense"] == SIZES[0], id="one size"),
        pytest.param(lambda table: table["batch"] == BATCHES[0], id="one batch"),
    ],
)
def test_an_incomplete_grid_is_refused_by_its_pair(written, kept):
    table = rows()
    with pytest.raises(InputError, match=r"num_experts (8 on 2|1 on 1) GPUs"):
        read_latency_table(written(table[kept(table)]))


def test_a_table_without_rows_is_refused(written):
    with pytest.raises(InputError):
        read_latency_table(written(rows().iloc[:0]))
