"""Hyperparameter laws: units, the whole physical range in both precisions, published spread, ranges and unknown names."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesmoe.errors import InputError
from bayesmoe.hyperparameters import (
    HUNYUAN,
    KAPLAN,
    LUDZIEJEWSKI,
    STEP_LAW,
    STEP_LAW_BOOTSTRAP,
    TIAN,
    TIAN_DENSE,
    TIAN_MOE,
    YUN,
    PowerLaw,
    all_hyperparameter_laws,
    hyperparameter_law_named,
)
from bayesmoe.hyperparameters.base import QUANTITIES, covariance_of
from bayesmoe.hyperparameters.hunyuan import least_train_flop, training_flop

WHOLE_RANGE = {
    "n_active": (1e5, 1e14),
    "n_total": (1e5, 1e14),
    "tokens": (1e6, 1e16),
    "train_flop": (1e12, 1e26),
    "num_experts": (1.0, 1e6),
    "loss": (0.1, 12.0),
}
LR_SDS = (0.6237, 0.0299, 0.0191)
LR_CORRELATIONS = {(0, 1): -0.73, (0, 2): -0.43}
BATCH_SDS = (0.4372, 0.0187)
BATCH_CORRELATIONS = {(0, 1): -0.999}
DRAWS = 20_000


def power_laws() -> list:
    """Every power law of every paper, labeled."""
    return [pytest.param(p, id=f"{law.name}-{p.quantity}") for law in all_hyperparameter_laws for p in law.laws]


def corners(law: PowerLaw) -> dict[str, np.ndarray]:
    """All corners of the physical range of a law's inputs."""
    grid = np.meshgrid(*(np.array(WHOLE_RANGE[name]) for name in law.inputs))
    return {name: values.ravel() for name, values in zip(law.inputs, grid, strict=True)}


@pytest.mark.parametrize("law", power_laws())
@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
def test_values_and_gradients_are_finite_over_the_whole_range(law, double) -> None:
    with jax.enable_x64(double):
        inputs = {name: jnp.asarray(values, dtype=float) for name, values in corners(law).items()}
        values = law.value(**inputs)
        elasticity = jax.grad(lambda logs: jnp.log(law.value(**{n: jnp.exp(x) for n, x in logs.items()})).sum())
        slopes = elasticity({name: jnp.log(x) for name, x in inputs.items()})
        assert values.dtype == (jnp.float64 if double else jnp.float32)
        assert bool((jnp.isfinite(values) & (values > 0)).all())
        for name, exponent in law.exponents.items():
            assert np.asarray(slopes[name]) == pytest.approx(exponent, rel=1e-4)
    assert np.asarray(values) == pytest.approx(np.asarray(law.value(**corners(law))), rel=1e-4)


def test_whole_counts_of_any_width_are_read_in_single_precision() -> None:
    with jax.enable_x64(False):
        law = TIAN.law_for("batch_tokens")
        assert float(law.value(train_flop=10**26)) == pytest.approx(float(law.value(train_flop=1e26)), rel=1e-6)
        tokens = STEP_LAW.law_for("batch_tokens").value(tokens=np.array([10**11, 10**16]))
        assert np.asarray(tokens) == pytest.approx(0.58 * np.array([1e11, 1e16]) ** 0.571, rel=1e-5)


def test_inputs_broadcast_and_only_their_own_names_are_read() -> None:
    law = STEP_LAW.law_for("learning_rate")
    assert law.value(n_total=np.array([[1e8], [1e9]]), tokens=np.array([1e10, 1e11, 1e12])).shape == (2, 3)
    with pytest.raises(InputError, match="did you mean 'tokens'"):
        law.value(n_total=1e9, token=1e11)
    with pytest.raises(InputError, match="tokens: is needed by the law for learning_rate; give n_total, tokens"):
        law.value(n_total=1e9)


def test_names_and_units() -> None:
    names = [law.name for law in all_hyperparameter_laws]
    assert len(set(names)) == len(names)
    for law in all_hyperparameter_laws:
        assert hyperparameter_law_named(law.name) is law
        assert "arXiv" in law.source
        assert law.provenance in {"primary", "secondary", "derived"}
        assert set(law.fitted_range) <= set(law.inputs)
        for power_law in law.laws:
            assert law.law_for(power_law.quantity) is power_law
            assert power_law.unit == QUANTITIES[power_law.quantity]
    assert STEP_LAW.law_for("batch_tokens").unit == "tokens"
    assert TIAN_MOE.law_for("flop_per_token").unit == "FLOP/token"


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'step-law'"):
        hyperparameter_law_named("steplaw")
    with pytest.raises(InputError, match="did you mean 'batch_tokens'"):
        STEP_LAW.law_for("batch_token")
    with pytest.raises(InputError, match="did you mean 'learning_rate'"):
        PowerLaw("learning_rates", 0.0, {"tokens": 1.0})
    with pytest.raises(InputError, match="center: must be an input of the law"):
        PowerLaw("learning_rate", 0.0, {"tokens": 1.0}, center={"loss": 1.0})


def agrees_with_print(law: PowerLaw, sds: tuple, correlations: dict) -> bool:
    """Whether the coefficients recovered from a law's draws have the printed spread.

    One unit, and e units of one input at a time: ln of the first is the intercept, ratios to it the exponents. At 20,000
    draws the standard errors are 0.5% of an sd and at most 0.007 of a correlation; the tolerances are four of each.
    """
    steps = np.exp(np.eye(1 + len(law.inputs))[:, 1:])
    points = {name: steps[:, i] for i, name in enumerate(law.inputs)}
    ln_draws = np.log(law.draws(np.random.default_rng(7), DRAWS, **points))
    coefficients = np.column_stack([ln_draws[:, 0], ln_draws[:, 1:] - ln_draws[:, :1]])
    found = np.corrcoef(coefficients.T)
    right_sds = np.allclose(coefficients.std(axis=0), sds, rtol=0.02)
    return right_sds and all(abs(found[pair] - r) < 4 * (1 - r**2) / math.sqrt(DRAWS) for pair, r in correlations.items())


def twins(law: PowerLaw) -> list[PowerLaw]:
    """The law with wrong spreads: no correlation at the center, no correlation of the coefficients, sds a tenth too wide."""
    centered = np.asarray(law.covariance)
    printed = np.asarray(law.around(**dict.fromkeys(law.inputs, 1.0)).covariance)
    plain = law.around(**dict.fromkeys(law.inputs, 1.0))
    return [
        dataclasses.replace(law, covariance=np.diag(np.diag(centered)).tolist()),
        dataclasses.replace(plain, covariance=np.diag(np.diag(printed)).tolist()),
        dataclasses.replace(law, covariance=(1.21 * centered).tolist()),
    ]


@pytest.mark.parametrize(
    ("quantity", "sds", "correlations"),
    [("learning_rate", LR_SDS, LR_CORRELATIONS), ("batch_tokens", BATCH_SDS, BATCH_CORRELATIONS)],
)
def test_step_law_draws_have_the_printed_spread_and_wrong_twins_do_not(quantity, sds, correlations) -> None:
    law = STEP_LAW_BOOTSTRAP.law_for(quantity)
    assert law.spread == "published bootstrap"
    assert agrees_with_print(law, sds, correlations)
    assert not any(agrees_with_print(twin, sds, correlations) for twin in twins(law))


def test_step_law_is_surest_among_its_own_runs() -> None:
    for law in STEP_LAW_BOOTSTRAP.laws:
        covariance = np.asarray(law.covariance)
        surest = -np.linalg.solve(covariance[1:, 1:], covariance[1:, 0])
        at = {name: law.center[name] * math.exp(x) for name, x in zip(law.inputs, surest, strict=True)}
        assert STEP_LAW_BOOTSTRAP.outside_fitted_range(**at) == ()
        assert 0.01 < math.sqrt(covariance[0, 0]) < 0.1


def test_the_spread_of_draws_grows_away_from_the_runs_and_medians_are_the_values() -> None:
    law = STEP_LAW_BOOTSTRAP.law_for("learning_rate")
    where = {"n_total": np.array([5e8, 1e10, 1e12]), "tokens": np.array([2e10, 1e12, 1e14])}
    draws = law.draws(np.random.default_rng(1), DRAWS, **where)
    assert draws.shape == (DRAWS, 3)
    spread = np.log(draws).std(axis=0)
    assert (np.diff(spread) > 0).all()
    assert (np.abs(np.log(np.median(draws, axis=0) / np.asarray(law.value(**where)))) < 5 * spread / math.sqrt(DRAWS)).all()


def test_a_law_is_the_same_around_any_center() -> None:
    for law in (*STEP_LAW_BOOTSTRAP.laws, *YUN.laws):
        moved = law.around(**dict.fromkeys(law.inputs, 3e11))
        inputs = corners(law)
        assert np.asarray(moved.value(**inputs)) == pytest.approx(np.asarray(law.value(**inputs)), rel=1e-10)
    law = STEP_LAW_BOOTSTRAP.law_for("batch_tokens")
    there_and_back = law.around(tokens=1.0).around(**law.center)
    assert np.asarray(there_and_back.covariance) == pytest.approx(np.asarray(law.covariance), rel=1e-6)
    assert law.around(tokens=1.0).ln_coefficient == pytest.approx(-0.5435, abs=1e-12)


@pytest.mark.parametrize(
    "law", [law for law in all_hyperparameter_laws if law is not STEP_LAW_BOOTSTRAP], ids=lambda x: x.name
)
def test_a_law_without_a_published_spread_refuses_to_draw(law) -> None:
    for power_law in law.laws:
        assert power_law.spread == "not published"
        with pytest.raises(InputError, match="would pretend certainty"):
            power_law.draws(np.random.default_rng(0), 10, **corners(power_law))


def test_draws_refuse_inputs_without_a_logarithm() -> None:
    with pytest.raises(InputError, match=r"tokens: must be positive, found 0\.0"):
        STEP_LAW_BOOTSTRAP.law_for("batch_tokens").draws(np.random.default_rng(0), 10, tokens=[1e9, 0.0])


@pytest.mark.parametrize(
    ("covariance", "rule"),
    [
        (((1.0,),), "must be 2 by 2"),
        (((1.0, 0.5), (0.4, 1.0)), "must be symmetric"),
        (((1.0, 0.0), (0.0, 0.0)), "must have positive variances"),
        (covariance_of((0.4372, 0.0187), ((1.0, -1.01), (-1.01, 1.0))), "must have no negative eigenvalue"),
    ],
)
def test_what_is_no_covariance_is_refused(covariance, rule) -> None:
    with pytest.raises(InputError, match=rule):
        PowerLaw("batch_tokens", 0.0, {"tokens": 0.5709}, covariance=covariance)


def test_queries_outside_the_runs_are_named() -> None:
    assert TIAN.outside_fitted_range(train_flop=[3e17, 3e20]) == ()
    assert TIAN.outside_fitted_range(train_flop=1e22) == (
        "train_flop 1e+22 is 33 times 3e+20, the largest in the runs behind tian.",
    )
    below, above = STEP_LAW.outside_fitted_range(n_total=1e8, tokens=np.array([1e10, 2e12]))
    assert below == "n_total 1e+08 is below 2.15e+08, the smallest in the runs behind step-law."
    assert above == "tokens 2e+12 is 20 times 1e+11, the largest in the runs behind step-law."
    assert len(STEP_LAW.outside_fitted_range(tokens=[1e6, 1e13])) == 2
    assert LUDZIEJEWSKI.outside_fitted_range(n_active=1e6, num_experts=8) == ()
    with pytest.raises(InputError, match="did you mean 'tokens'"):
        STEP_LAW.outside_fitted_range(token=1e9)


def test_a_range_that_nobody_printed_is_not_passed_over() -> None:
    assert KAPLAN.outside_fitted_range(loss=3.0) == ("The range of loss in the runs behind kaplan is not published.",)
    assert len(HUNYUAN.outside_fitted_range(train_flop=1e24)) == 1


def test_yuns_published_points_lie_beyond_yuns_runs() -> None:
    for flop, n_dense in ((2.12e21, 3.36e9), (5.96e21, 6.14e9)):
        assert float(YUN.law_for("n_dense").value(train_flop=flop)) == pytest.approx(n_dense, rel=1e-12)
        assert len(YUN.outside_fitted_range(train_flop=flop)) == 1


def test_allocations_spend_their_budget() -> None:
    flop = np.geomspace(1e18, 1e24, 7)
    for law, size, per_size, within in (
        (YUN, "n_dense", 6.0, 1e-12),
        (TIAN_DENSE, "flop_per_token", 1.0, 1e-3),
        (TIAN_MOE, "flop_per_token", 1.0, 1e-3),
    ):
        spent = per_size * law.law_for(size).value(train_flop=flop) * law.law_for("tokens").value(train_flop=flop)
        assert np.asarray(spent) == pytest.approx(flop, rel=within), law.name


def test_hunyuans_allocation_spends_its_budget_at_one_size_only() -> None:
    for budget, used in ((1e22, 0.86), (3e24, 1.01)):
        size, tokens = (HUNYUAN.law_for(name).value(train_flop=budget) for name in ("n_active", "tokens"))
        assert float(training_flop(size, tokens)) / budget == pytest.approx(used, abs=0.005)
    with jax.enable_x64(False):
        flop = training_flop(jnp.float32(1e14), jnp.float32(1e16))
        assert float(flop) == pytest.approx(9.59e30, rel=1e-4)


def test_a_critical_batch_doubles_the_compute() -> None:
    critical = KAPLAN.law_for("batch_tokens").value(loss=3.0)
    assert float(least_train_flop(1e22, critical, critical)) == pytest.approx(5e21)
    assert float(least_train_flop(1e22, 1.0, critical)) == pytest.approx(1e22, rel=1e-5)
