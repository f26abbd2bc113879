"""A plan equals brute force draw by draw, keeps its constraints, and survives its file."""

from __future__ import annotations

import dataclasses
import functools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from made_up import made_up_fit
from oracle import Oracle, abnar_loss, clark_loss, krajewski_loss, require_same_plan, yun_loss
from tiers import SWEEP

from bayesmoe.decisions.risk import risk
from bayesmoe.errors import InputError
from bayesmoe.inference.gate import Check, Gate
from bayesmoe.inference.store import FitInfo
from bayesmoe.planning.build_surface import surfaces
from bayesmoe.planning.planner import UNITS, plan
from bayesmoe.planning.store import PlanInfo, fingerprint


def surface(fit, scenario):
    """The surface of a fit of one law."""
    (found,) = surfaces(fit, scenario).values()
    return found


DRAWS, FEW = range(0, 1000, 50), range(0, 1000, 100)
SHIPPED = "shipped"
OTHERS = (
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("fine-grained", "measured", "fixed tokens", "abnar")),
    *(pytest.param(name, marks=SWEEP) for name in ("long requests", "paper", "krajewski")),
)


def told(found):
    """Quantities of a plan."""
    return [name for name in UNITS if name in found]


def changed(scenario, **sections):
    """The scenario with some values of some sections replaced."""
    return dataclasses.replace(
        scenario, **{name: dataclasses.replace(getattr(scenario, name), **values) for name, values in sections.items()}
    )


def fine_grained(scenario):
    """Top-4 of narrow experts beside a shared one, grouped keys, a vocabulary, 8-bit weights, a small cap on the batch, attention spread either way."""
    return changed(
        scenario,
        choices={"num_experts": (1, 8, 64), "baseline_num_experts": 1},
        architecture={
            "moe_share": 0.6,
            "top_k": 4,
            "granularity": 2.0,
            "shared_experts": 1.0,
            "kv_share": 0.25,
            "vocab_size": 32_000,
        },
        # What quantizing takes from the loss has a brute force of its own.
        serving={
            "accelerator": "H100-SXM",
            "max_gpus": 4,
            "max_batch": 64,
            "precision": "fp8",
            "quantization_loss_nats": 0.0,
            "attention": "either",
        },
    )


def paper(scenario):
    """Yun's own accounting: FLOP of the backbone, top-2, and known prices."""
    return changed(
        scenario,
        training={"budget_flop": 2.12e21, "flop_rule": "6 n_dense tokens", "mfu": 0.5, "price_usd_per_gpu_hour": 2.0},
        choices={"num_experts": (4, 8, 16, 32), "baseline_num_experts": 8},
        architecture={"top_k": 2, "width_times_layers": 0.05},
        serving={"price_usd_per_gpu_hour": 1.0, "utilization": 1.0},
    )


def long_requests(scenario):
    """Requests so long that few fit, so that one less is a jump in cost; they differ, and their prompts are cached in part."""
    lengths = {"prompt_tokens": 20_000.0, "output_tokens": 4_000.0, "prompt_cv": 1.2, "output_cv": 0.8}
    return changed(scenario, serving={**lengths, "length_correlation": -0.3, "cached_share": 0.4})


MEASURED_SIZES, MEASURED_BATCHES = (3e8, 1e9, 8e9, 2e10), (1, 100, 1024)


def measured_s(gpus, size, batch):
    """Seconds of prefill and decode, linear in size and in batch, so that linear interpolation is exact."""
    return 2e-15 * size * batch / gpus, 1e-3 + 2e-12 * size * (1 + batch / 400) / gpus


def measured(scenario, folder):
    """Latencies from a table of two expert counts on two and four GPUs, and none for smaller or larger models."""
    rows = [
        (experts, gpus, size, batch, *measured_s(gpus, size, batch))
        for experts in (4, 16)
        for gpus in (2, 4)
        for size in MEASURED_SIZES
        for batch in MEASURED_BATCHES
    ]
    table = pd.DataFrame(rows, columns=["num_experts", "n_gpus", "n_dense", "batch", "prefill_s", "decode_s"])
    table.to_csv(folder / "latency.csv", index=False)
    return changed(
        scenario,
        choices={"num_experts": (4, 16), "baseline_num_experts": 4},
        serving={"latency_table": str(folder / "latency.csv"), "accelerator": "H100-SXM"},
    )


class Measured(Oracle):
    """Serves in the time that was measured."""

    def iteration_s(self, costs, num_experts, gpus, n_dense, batch, wide, request, ranks=1):
        known = (n_dense >= MEASURED_SIZES[0]) & (n_dense <= MEASURED_SIZES[-1]) & (gpus in (2, 4))
        return np.where(known, sum(measured_s(gpus, n_dense, batch)), np.nan)


FIXED_TOKENS = 1.3e11


@pytest.fixture(scope="module")
def case_named(small_fit, small_plan, scenario, tmp_path_factory):
    """Find a plan by name, with its scenario, its inputs and its oracle."""

    @functools.cache
    def find(name):
        fit, oracle = small_fit, functools.partial(Oracle, law=yun_loss)
        if name == "shipped":
            asked = scenario
        elif name == "measured":
            asked, oracle = measured(scenario, tmp_path_factory.mktemp("latency")), functools.partial(Measured, law=yun_loss)
        elif name == "fixed tokens":
            asked = scenario
            fit = made_up_fit("clark", {"n_dense": 3e8, "tokens": FIXED_TOKENS, "num_experts": 1.0})
            oracle = functools.partial(Oracle, law=clark_loss, fixed_tokens=float(np.exp(np.log(FIXED_TOKENS))))
        elif name in ("krajewski", "abnar"):
            asked = fine_grained(scenario)
            fit = made_up_fit(name, {"n_total": 1e9, "tokens": 6e10, "granularity": 2.0, "activation_ratio": 5 / 65})
            law = {"krajewski": krajewski_loss, "abnar": abnar_loss}[name]
            oracle = functools.partial(Oracle, law=functools.partial(law, asked.architecture), size="n_total")
        else:
            asked = {"fine-grained": fine_grained, "paper": paper, "long requests": long_requests}[name](scenario)
        here = surface(fit, asked)
        found = small_plan if name == "shipped" else plan(fit, asked)
        return SimpleNamespace(plan=found, scenario=asked, inputs=(here.parameters, here.cost_draws), oracle=oracle(asked))

    return find


@pytest.fixture(params=(SHIPPED, *OTHERS))
def case(request, case_named):
    """Each of them."""
    return case_named(request.param)


def test_the_plan_equals_brute_force_in_every_draw(case):
    require_same_plan(case.plan, DRAWS, case.oracle.answers(*case.inputs, DRAWS))


class CountsTheBackbone(Oracle):
    """Trains for 6 n_dense tokens whatever the rule."""

    def flop_per_token(self, n_dense, num_experts):
        return 6.0 * n_dense


class ForgetsTheCache(Oracle):
    """Fills memory with weights alone."""

    def request_bytes(self, costs, cached):
        return 1e-6 * cached


class HoldsWholeRequests(Oracle):
    """Caches a request's full output instead of half of it."""

    def request_bytes(self, costs, cached):
        return cached * (costs["prompt_tokens"] + costs["output_tokens"])


class ServesTheBackbone(Oracle):
    """Keeps no experts in memory."""

    def ratio(self, kind, num_experts):
        return 1.0 if kind == "n_total" else super().ratio(kind, num_experts)


class IgnoresUncertainCosts(Oracle):
    """Takes every latency and price at its median."""

    def serving_usd(self, costs, n_dense, num_experts):
        return super().serving_usd({**costs, "slowdown": 1.0, "width_times_layers": 0.045}, n_dense, num_experts)


class SaturatesNever(Oracle):
    """Takes all experts as effective."""

    def loss(self, p, n_dense, num_experts):
        return super().loss({**p, "e_max": 1e9}, n_dense, num_experts)


class StopsAtOneGpu(Oracle):
    """Serves from a single GPU."""

    def serving_usd(self, costs, n_dense, num_experts):
        one = dataclasses.replace(self, scenario=changed(self.scenario, serving={"max_gpus": 1}))
        return Oracle.serving_usd(one, costs, n_dense, num_experts)


@pytest.mark.parametrize(
    ("twin", "name"),
    [
        pytest.param(CountsTheBackbone, "fine-grained", marks=pytest.mark.slow),
        (ForgetsTheCache, "shipped"),
        (HoldsWholeRequests, "shipped"),
        (ServesTheBackbone, "shipped"),
        (IgnoresUncertainCosts, "shipped"),
        (SaturatesNever, "shipped"),
        (StopsAtOneGpu, "shipped"),
    ],
)
@pytest.mark.few(2)
def test_the_comparison_rejects_a_broken_oracle(case_named, twin, name):
    case = case_named(name)
    with pytest.raises(AssertionError):
        require_same_plan(case.plan, FEW, twin(case.scenario, yun_loss).answers(*case.inputs, FEW))


def test_the_comparison_rejects_another_draw(case_named):
    case = case_named("shipped")
    with pytest.raises(AssertionError):
        require_same_plan(case.plan, [draw + 1 for draw in FEW], case.oracle.answers(*case.inputs, FEW))


def test_every_quantity_is_unknown_exactly_where_the_problem_has_no_solution(case):
    for name in told(case.plan):
        xr.testing.assert_equal(case.plan[name].notnull().drop_attrs(), case.plan["feasible"])


def test_solutions_are_never_larger_than_the_loss_optimum(case):
    ratio, size = case.plan["over_training_ratio"], case.plan["size_ratio"]
    assert float(ratio.min()) >= 1 - 1e-6
    assert float(size.max()) <= 1 + 1e-6
    told = ratio if PlanInfo.read(case.plan).fixed_tokens else ratio * size
    np.testing.assert_allclose(told, 1.0 + 0.0 * ratio, rtol=1e-9)


def test_cheapest_serving_meets_its_loss(case):
    part = case.plan.sel(problem="cheapest_serving")
    assert float((part["loss"] - part["threshold"]).max()) <= 1e-9


def test_lowest_loss_keeps_to_its_cost(case):
    part = case.plan.sel(problem="lowest_loss")
    assert float((part["serving_usd_per_million_tokens"] / part["threshold"]).max()) <= 1 + 1e-9


def test_the_base_is_its_own_loss_optimum(case):
    base = case.scenario.choices.baseline_num_experts
    found = case.plan.sel(num_experts=base)
    served = found["loss_optimal_serving_usd_per_million_tokens"].notnull()
    assert float(served.mean()) > 0.9
    assert (found["feasible"] == served).all()
    found = found.isel(sample=served)
    np.testing.assert_allclose(found["over_training_ratio"].sel(problem="cheapest_serving"), 1.0, rtol=0, atol=1e-6)
    for problem, bound in (("cheapest_serving", "loss"), ("lowest_loss", "serving_usd_per_million_tokens")):
        np.testing.assert_allclose(found[f"loss_optimal_{bound}"], found["threshold"].sel(problem=problem), rtol=1e-9)
    for name in ("n_dense", "n_active", "n_total", "tokens", "loss", "serving_usd_per_million_tokens", "train_usd"):
        values = found[name].sel(problem="cheapest_serving")
        np.testing.assert_allclose(values, found[f"loss_optimal_{name}"], rtol=1e-6)


def test_the_budget_is_spent(case):
    spent = case.plan["train_flop"].values / case.scenario.training.budget_flop
    spent = spent[np.isfinite(spent)]
    if PlanInfo.read(case.plan).fixed_tokens:
        assert spent.max() == pytest.approx(1.0, rel=1e-9)
        np.testing.assert_allclose(case.plan["tokens"].fillna(FIXED_TOKENS), FIXED_TOKENS, rtol=1e-12)
    else:
        np.testing.assert_allclose(spent, 1.0, rtol=1e-9)


def test_regret_is_never_negative_and_the_chances_add_up(case):
    found = risk(case.plan)
    assert float(found["expected_regret"].min()) >= 0
    np.testing.assert_allclose(found["p_best"].sum("num_experts"), found["p_any_feasible"], rtol=0, atol=1e-12)


@pytest.mark.slow
def test_a_larger_budget_never_raises_the_lowest_loss(small_fit, small_plan, scenario):
    larger = plan(small_fit, changed(scenario, training={"budget_flop": 2 * scenario.training.budget_flop}))
    assert (larger["loss_optimal_loss"] < small_plan["loss_optimal_loss"]).all()
    both = (larger["feasible"] & small_plan["feasible"]).sel(problem="lowest_loss")
    fall = (small_plan["loss"] - larger["loss"]).sel(problem="lowest_loss").where(both)
    assert float(fall.min()) > 0


@pytest.mark.slow
def test_a_base_that_cannot_be_served_leaves_no_lowest_loss(small_fit, scenario):
    asked = changed(scenario, serving={"max_gpus": 1}, choices={"num_experts": (1, 32), "baseline_num_experts": 32})
    found = plan(small_fit, asked)
    unserved = found["threshold"].sel(problem="lowest_loss").isnull()
    assert 0.5 < float(unserved.mean()) < 1
    assert not found["feasible"].sel(problem="lowest_loss").where(unserved, False).any()
    assert not found["feasible"].sel(problem="cheapest_serving", num_experts=32).where(unserved, False).any()


def test_the_plan_says_what_it_was_made_from(small_fit, small_plan, scenario):
    info = PlanInfo.read(small_plan)
    assert (info.scenario, info.gate, info.law) == (scenario, "PASS", "yun")
    assert info.data_simulated is True
    assert info.fit_sha256 == fingerprint(small_fit)
    assert tuple(info.problems) == scenario.problems
    assert {name: small_plan[name].attrs["units"] for name in told(small_plan)} == {
        name: UNITS[name] for name in told(small_plan)
    }
    assert set(UNITS) - set(told(small_plan)) == {
        "epochs",
        "quantization_loss",
        "efficiency_leverage",
        "train_days",
        "train_co2_kg",
    }


def test_a_failed_fit_is_refused_unless_it_is_allowed_by_name(small_fit, scenario):
    failed = small_fit.copy()
    checks = (Check("R-hat", "FAIL", 1.2, "E", "at most 1.01", "sample longer"),)
    dataclasses.replace(FitInfo.read(failed), gate=Gate(checks)).write(failed)
    with pytest.raises(InputError, match=r"failed its gate.*allow_failed=True"):
        plan(failed, scenario)
    assert PlanInfo.read(plan(failed, scenario, allow_failed=True, sketch=20)).gate == "FAIL"


def test_a_fit_without_a_gate_is_refused(small_fit, scenario):
    unchecked = small_fit.copy()
    dataclasses.replace(FitInfo.read(unchecked), gate=None).write(unchecked)
    with pytest.raises(InputError, match="has no gate"):
        plan(unchecked, scenario)
