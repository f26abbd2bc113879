"""What is trained and served: defaults, names, and what does not go together."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bayesmoe.costs.hardware import ACCELERATORS
from bayesmoe.costs.prices import book_price, price_of
from bayesmoe.costs.training import gpu_seconds
from bayesmoe.costs.training_budget import Training, mfu_of
from bayesmoe.costs.uncertain import Uncertain, median
from bayesmoe.costs.workload import Serving
from bayesmoe.errors import InputError
from bayesmoe.specs import from_json, from_mapping, to_json


def refused(kind: type, **given) -> str:
    with pytest.raises(InputError) as caught:
        from_mapping(given, kind)
    return str(caught.value)


def test_lengths_left_out_are_those_of_sharegpt():
    spec = Serving()
    # Kwon et al. 2023, arXiv:2309.06180, Fig. 11.
    assert (spec.prompt_tokens, spec.output_tokens) == (161.31, 337.99)
    assert (spec.kv_bytes, spec.precision, spec.attention) == (2.0, "bf16", "either")
    # A server that is busy at all hours is none.
    assert median(spec.utilization) == 0.5
    assert spec.max_tpot_s is spec.max_ttft_s is spec.lifetime_tokens is spec.latency_table is None


@pytest.mark.parametrize(("precision", "size"), [("bf16", 2.0), ("fp8", 1.0), ("fp4", 1.0)])
def test_the_cache_is_as_narrow_as_eight_bits_where_weights_are(precision, size):
    assert Serving(precision=precision).kv_bytes == size
    assert Serving(precision=precision, bytes_per_kv_element=2.0).kv_bytes == 2.0


def test_training_needs_a_budget():
    assert refused(Training) == (
        "training.budget_flop: is required; add it, or training.budget_usd, training.budget_gpu_hours, "
        "or training.cluster_gpus with training.days."
    )
    spec = Training(budget_flop=1e21)
    assert (spec.accelerator, mfu_of(spec), spec.flop_rule) == ("H100-SXM", 0.4, "6 n_active tokens")


@pytest.mark.parametrize(("kind", "more"), [(Training, {"budget_flop": 1e21}), (Serving, {})])
def test_an_unknown_accelerator_is_told_the_nearest(kind, more):
    said = refused(kind, accelerator="H100-SXN", **more)
    assert said == "accelerator: is not a known accelerator (did you mean 'H100-SXM'?), found 'H100-SXN'."


@pytest.mark.parametrize("also", [{"calibration": "mine.nc"}, {"engine": "vLLM"}])
def test_a_table_stands_for_itself(also):
    assert refused(Serving, latency_table="t.csv", **also) == (
        "latency_table stands for itself: leave out calibration and engine."
    )


def test_a_table_knows_no_time_to_first_token():
    said = refused(Serving, latency_table="t.csv", max_ttft_s=1.0)
    assert said == "latency_table knows no time to first token: leave out max_ttft_s."
    assert Serving(latency_table="t.csv", max_tpot_s=0.05).max_tpot_s == 0.05


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_gpus", 0),
        ("max_gpus", 1025),
        ("utilization", 1.5),
        ("prompt_tokens", 0),
        ("precision", "fp7"),
        ("max_batch", 0),
        ("max_tpot_s", 0),
        ("memory_fraction", 0),
        ("lifetime_tokens", {"median": -1.0, "log_sd": 0.1}),
    ],
)
def test_a_value_out_of_bounds_is_named(key, value):
    assert refused(Serving, **{key: value}).startswith(key)


def test_a_price_is_the_fleets_own_or_the_accelerators():
    assert price_of(Serving(accelerator="H200-SXM")) == ACCELERATORS["H200-SXM"].price_usd_per_hour
    assert price_of(Training(budget_flop=1e21)) == ACCELERATORS["H100-SXM"].price_usd_per_hour
    own = Uncertain(median=3.0, log_sd=0.1)
    assert price_of(Serving(price_usd_per_gpu_hour=own)) == own
    assert price_of(Training(budget_flop=1e21, price_usd_per_gpu_hour=2.0)) == 2.0


def test_a_spec_survives_json():
    spec = Serving(prompt_tokens=Uncertain(median=1000, log_sd=0.3), engine="vLLM", max_ttft_s=0.5)
    assert from_json(to_json(spec), Serving) == spec != dataclasses.replace(spec, engine=None)


@pytest.mark.parametrize(
    ("book", "low", "high"),
    [("owned", 1.17, 1.55), ("reserved", 1.78, 1.78), ("on-demand", 2.29, 3.99), ("spot", 0.80, 1.25)],
)
def test_a_price_book_is_a_dated_distribution_between_what_is_listed(book, low, high):
    """Lists of H100 in August 2026 and of public catalogs; more in ``price_books.toml``."""
    spec = from_mapping({"budget_flop": 1e21, "price_usd_per_gpu_hour": book}, Training)
    price = price_of(spec)
    assert isinstance(price, Uncertain)
    assert low <= price.median <= high
    assert 0.05 <= price.log_sd <= 0.5
    assert from_json(to_json(spec), Training) == spec
    found = book_price(spec.price_usd_per_gpu_hour, "H100-SXM", column="")
    assert (found.price, found.date) == (price, "2026-08-15" if book in ("owned", "reserved") else "undated")
    assert found.source


def test_books_of_one_chip_stand_in_their_order():
    spot, owned, reserved, on_demand = (
        book_price(book, "H100-SXM", column="").price.median for book in ("spot", "owned", "reserved", "on_demand")
    )
    assert spot < owned < reserved < on_demand


@pytest.mark.parametrize(
    ("keys", "share"),
    [
        # Runs behind the calibration hold restarts and evaluations; steps behind an MFU do not.
        ({"cluster_gpus": 64, "days": 2.0}, 1.0),
        ({"cluster_gpus": 64, "days": 2.0, "mfu": 0.4}, 0.9),
        ({"cluster_gpus": 64, "days": 2.0, "availability": 0.8}, 0.8),
        ({"cluster_gpus": 64, "days": 2.0, "mfu": 0.4, "availability": 1.0}, 1.0),
    ],
)
def test_a_cluster_trains_all_of_its_days_unless_something_takes_a_part(keys, share):
    training = Training(**keys)
    assert training.training_share == share
    np.testing.assert_allclose(gpu_seconds(training, 2.0), 64 * 2.0 * 24 * 3600 * share)
