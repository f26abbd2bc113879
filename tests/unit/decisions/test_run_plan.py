"""A batch as a plan: verdicts that Monte Carlo error allows, nothing recommended under a plan that recommends nothing, dates and cost."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
import xarray as xr

from bayesmoe.decisions.run_plan import recommended_run, schedule, verdict
from bayesmoe.documents import NextRunDocument
from bayesmoe.errors import InputError
from bayesmoe.reporting import advice_text

START = datetime.datetime(2026, 1, 5)
LONG = 80


def ranking(evsi, errors, costs, *, recommended=8, batch=(0,)):
    """A made-up ranking of runs."""
    count, by_run = len(evsi), {"evsi_usd": evsi, "evsi_se_usd": errors, "train_usd": costs}
    values = {name: np.asarray(each, float) for name, each in by_run.items()}
    values["net_usd"] = values["evsi_usd"] - values["train_usd"]
    values["gpu_hours"] = values["train_usd"] / 2.0
    sizes = {"num_experts": 512, "top_k": 2, "granularity": 1.0, "n_dense": 1.234e9, "n_active": 2e9, "n_total": 4e9}
    found = xr.Dataset(
        {name: ("run", np.full(count, value)) for name, value in {**sizes, "tokens": 2e10, "train_flop": 1e20}.items()}
    )
    found = found.assign({name: ("run", each) for name, each in values.items()})
    found["verdict"] = ("run", [verdict(*each) for each in zip(evsi, errors, costs, strict=True)])
    found["loss"] = (("quantile", "run"), np.tile([[2.0], [2.1], [2.2]], count))
    found["batch_run"] = ("added", list(batch))
    for name in ("evsi_usd", "evsi_se_usd", "train_usd"):
        found[f"batch_{name}"] = ("added", values[name][list(batch)].cumsum())
    about = {"problem": "lowest_loss", "max_flop": 1e20, "draws": 400, "budgets": 1, "recommended_num_experts": recommended}
    return found.assign(evpi_usd=1e6).assign_attrs(about)


@pytest.mark.parametrize(
    ("evsi", "error", "cost", "said"),
    [
        (1e5, 1e3, 3e4, "worth it"),
        (1e4, 1e3, 3e4, "not worth it"),
        (0.0, 0.0, 3e4, "not worth it"),
        (0.0, 2.6e5, 3.3e4, "cannot tell"),
        (4e4, 1e4, 3e4, "cannot tell"),
        # Known badly, and yet below the cost.
        (10.0, 100.0, 3e4, "not worth it"),
    ],
)
def test_a_verdict_is_within_the_error_of_the_estimate(evsi, error, cost, said):
    assert verdict(evsi, error, cost) == said


@pytest.mark.parametrize("error", [1.0, 1e2, 1e4, 1e6])
def test_a_value_below_its_error_is_never_worth_it(error):
    assert verdict(0.99 * error, error, 1e-9) != "worth it"


def test_cannot_tell_is_said_and_nothing_recommended():
    found = ranking([2e5, 0.0], [8e5, 2.6e5], [3.3e4, 3.3e4])
    said = advice_text.best_run(found)
    assert recommended_run(found) is None
    assert (
        "Cannot tell whether a run is worth its cost: the value of the best, USD 200k, has a standard error of USD 800k"
        in said
    )
    assert "Most worth training" not in said


def test_the_best_run_that_is_shown_to_be_worth_it_is_recommended():
    found = ranking([9e5, 2e5], [8e5, 1e4], [3e4, 3e4])
    assert recommended_run(found) == 1
    assert (
        "Most worth training: 512 experts, 1.2B backbone, 20B tokens, for USD 30k: it saves USD 200k ± 10k"
        in advice_text.best_run(found)
    )


def test_no_run_is_recommended_under_a_plan_that_recommends_nothing():
    found = ranking([9e5], [1e3], [3e4], recommended=0)
    assert recommended_run(found) is None
    for said in (advice_text.best_run(found), advice_text.next_runs(found)):
        assert "the plan recommends no design, and no run on its account" in said
        assert "Most worth training" not in said
    document = NextRunDocument.of(found).as_dict()
    assert (document["plan_num_experts"], document["recommended_run"]) == (None, None)


def test_runs_worth_nothing_are_not_recommended():
    assert advice_text.NO_RUN in advice_text.best_run(ranking([0.0], [1.0], [3e4]))


def test_a_batch_has_dates_and_cost():
    found = ranking([3e5, 2e5, 1e5], [1e3] * 3, [3.84e4, 1.92e4, 9.6e3], batch=(1, 0, 2))
    runs = schedule(found, start=START, gpus=100)
    assert [one.run for one in runs] == [1, 0, 2]
    assert [one.gpu_hours for one in runs] == [9600.0, 19_200.0, 4800.0]
    assert [one.days for one in runs] == pytest.approx([4.0, 8.0, 2.0])
    assert [one.start.isoformat()[:10] for one in runs] == ["2026-01-05", "2026-01-09", "2026-01-17"]
    assert runs[-1].end == START + datetime.timedelta(days=14)
    document = NextRunDocument.of(found, runs).as_dict()
    assert document["batch"][1]["start"] == "2026-01-09T00:00:00"
    assert document["batch"][1]["train_usd_so_far"] == pytest.approx(5.76e4)
    assert document["recommended_run"] == 0


@pytest.mark.parametrize(("gpus", "says"), [(0, "gpus: must be at least 1"), (1, "gpus: are too few")])
def test_a_batch_that_no_calendar_holds(gpus, says):
    with pytest.raises(InputError, match=says):
        schedule(ranking([0.0], [0.0], [1e20]), start=START, gpus=gpus)


def test_the_table_fits_a_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", str(LONG))
    found = ranking([3e5, 2e5, 1e5], [1e3] * 3, [3.84e4, 1.92e4, 9.6e3], batch=(1, 0, 2))
    lines = advice_text.next_runs(found, schedule(found, start=START)).splitlines()
    assert sum(line.startswith("  ") and len(line) <= LONG for line in lines) >= 8
    assert not [line for line in lines if line.startswith("  ") and len(line) > LONG]
