"""Latency: the roofline's golden values, and tables that are exact on their grid and silent off it."""

from __future__ import annotations

import jax
import numpy as np
import pandas as pd
import pytest

from bayesmoe.costs.hardware import Accelerator, accelerator_named
from bayesmoe.costs.latency import AnalyticLatency, Served, expert_hit_share, read_latency_table
from bayesmoe.errors import InputError

LLAMA_70B = Served(
    n_dense=70.6e9,
    n_active=70.6e9,
    n_total=70.6e9,
    n_routed=0.0,
    num_experts=1.0,
    top_k=1.0,
    num_layers=80.0,
    kv_bytes_per_token=80 * 2048.0,
)
QWEN3_235B = Served(
    n_dense=22e9,
    n_active=22e9,
    n_total=235e9,
    # 94 layers of 128 experts, each three matrices of 4096 by 1536.
    n_routed=3.0 * 4096 * 1536 * 94 * 128,
    num_experts=128.0,
    top_k=8.0,
    num_layers=94.0,
    kv_bytes_per_token=94 * 1024.0,
)


@pytest.mark.parametrize(
    ("model", "accelerator", "batch", "n_gpus", "seconds"),
    [
        (LLAMA_70B, "H100-SXM", 64.0, 4, 0.0178650829418),
        (QWEN3_235B, "H200-SXM", 32.0, 8, 0.0158467082344),
    ],
)
def test_time_per_output_token_is_the_calibrations(model, accelerator, batch, n_gpus, seconds):
    """Five-coefficient fit to 2,913 measurements in aiconfigurator-core 0.12.0; FP8 weights and cache, 1,024 tokens in and out."""
    latency = AnalyticLatency(accelerator_named(accelerator), 1024.0, 1024.0, bytes_per_weight=1.0)
    assert float(sum(latency(model, batch, n_gpus))) == pytest.approx(seconds, rel=1e-6)


def test_every_term_by_hand():
    chip = Accelerator(peak_flop_per_s=2e12, bandwidth_bytes_per_s=1e12, memory_bytes=1e9, source="made up")
    latency = AnalyticLatency(chip, 30.0, 20.0, 2.0, layer_s=1e-3, layer_multi_gpu_s=5e-4, memory=2.0, flop=3.0, prefill=4.0)
    model = Served(8e9, 1e9, 1e10, 4e9, 4.0, 2.0, 10.0, 1e6)
    prefill_s, decode_s = latency(model, 2.0, 2)
    # Half of the experts a token: two tokens touch 3/4 of 4e9, so 9e9 weights of 2 bytes and 2 x 40 x 1e6 of cache.
    t_mem = (2.0 * 9e9 + 2 * 40 * 1e6) / 2e12
    t_flop = 2 * 1e9 * 2 / 4e12
    assert float(prefill_s) == pytest.approx(4.0 * t_flop * 30 / 20, rel=1e-12)
    assert float(decode_s) == pytest.approx(10 * 1.5e-3 + 2.0 * t_mem + 3.0 * t_flop, rel=1e-12)


def test_one_gpu_pays_no_exchange():
    latency = AnalyticLatency(accelerator_named("H100-SXM"), 100.0, 100.0, memory=0.0, prefill=0.0)
    _, alone = latency(LLAMA_70B, 1.0, 1)
    _, two = latency(LLAMA_70B, 1.0, 2)
    assert float(alone) == pytest.approx(80 * 72.07e-6, rel=1e-12)
    assert float(two) == pytest.approx(80 * (72.07e-6 + 28.96e-6), rel=1e-12)


def test_one_expert_is_a_dense_model():
    latency = AnalyticLatency(accelerator_named("H100-SXM"), 100.0, 100.0)
    as_routed = LLAMA_70B._replace(n_routed=50e9)
    for batch in (1.0, 7.0, 500.0):
        np.testing.assert_allclose(latency(as_routed, batch, 4), latency(LLAMA_70B, batch, 4), rtol=1e-11)


@pytest.mark.parametrize(
    ("num_experts", "top_k", "batch", "share"),
    [
        (8, 2, 1, 0.25),
        (8, 2, 8, 0.899887084961),
        (8, 2, 64, 0.999999989909),
        (8, 2, 256, 1.0),
        (256, 8, 1, 0.03125),
        (256, 8, 8, 0.224300120258),
        (256, 8, 64, 0.868915967522),
        (256, 8, 256, 0.999704743701),
    ],
)
def test_share_of_experts_hit_is_erdils(num_experts, top_k, batch, share):
    """Erdil 2025, arXiv:2506.04645, Eq. 22."""
    assert float(expert_hit_share(batch, num_experts, top_k)) == pytest.approx(share, rel=1e-6)


def test_distinct_experts_of_a_batch():
    """Erdil 2025, Eq. 22 times E."""
    assert 256 * float(expert_hit_share(64, 256, 8)) == pytest.approx(222.442487686, rel=1e-6)


@pytest.mark.parametrize(("num_experts", "top_k"), [(4, 1), (64, 6), (512, 10)])
def test_one_token_touches_its_own_experts_and_a_large_batch_all(num_experts, top_k):
    shares = np.asarray(expert_hit_share(np.array([1.0, 10.0, 100.0, 1e6]), num_experts, top_k))
    assert shares[0] * num_experts == pytest.approx(top_k, rel=1e-12)
    assert shares[-1] == pytest.approx(1.0, rel=1e-12)
    assert (np.diff(shares) > 0).all()


@pytest.mark.parametrize(("num_experts", "top_k"), [(1, 1), (2, 2), (2, 4)])
def test_experts_that_every_token_uses_are_always_hit(num_experts, top_k):
    assert float(expert_hit_share(1.0, num_experts, top_k)) == pytest.approx(1.0, rel=1e-9)


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
    return Served(n_dense * one, one, one, one, num_experts * one, one, one, one)


def test_a_table_is_exact_on_its_points_in_any_order_of_rows(written):
    frame = rows()
    latency = read_latency_table(written(frame.sample(frac=1.0, random_state=1)))
    columns = (frame[name].to_numpy(float) for name in ("num_experts", "n_dense", "batch", "n_gpus"))
    experts, size, batch, gpus = columns
    prefill_s, decode_s = latency(served(experts, size), batch, gpus)
    np.testing.assert_allclose(prefill_s, frame["prefill_s"], rtol=1e-12)
    np.testing.assert_allclose(decode_s, frame["decode_s"], rtol=1e-12)


def test_a_table_is_linear_between_its_points(written):
    latency = read_latency_table(written(rows()))
    # A third of the way in size from 1e8 to 4e8, a quarter in batch from 16 to 64.
    prefill_s, decode_s = latency(served(8, 2e8), 28.0, 2)
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
    found = read_latency_table(written(rows()))(served(num_experts, n_dense), batch, n_gpus)
    assert np.isnan(found).all()


def test_a_table_works_compiled_and_on_whole_arrays(written):
    latency = read_latency_table(written(rows()))
    sizes = np.geomspace(1e8, 2e9, 5)[:, None]
    batches, gpus = np.array([1.0, 40.0]), np.array([2.0, 1.0])
    found = np.stack(jax.jit(lambda: latency(served(8, sizes), batches, gpus))())
    assert found.shape == (2, 5, 2)
    assert np.isfinite(found[..., 0]).all()
    assert np.isnan(found[..., 1]).all()


def test_repeated_points_are_averaged(written):
    twice = pd.concat([rows(), rows(decode_s=5.0).iloc[:1]])
    _, decode_s = read_latency_table(written(twice))(served(8, 1e8), 1, 2)
    assert decode_s.item() == pytest.approx((1e-2 * 4 * 8 + 5.0) / 2, rel=1e-12)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.csv: cannot be read"):
        read_latency_table(tmp_path / "gone.csv")


@pytest.mark.parametrize("text", ["", '"unclosed\n1,2', "a,b\n1,2\n1,2,3,4\n"])
def test_what_is_no_csv_is_refused(written, text):
    with pytest.raises(InputError, match="cannot be read"):
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
