"""The gate: a good fit passes, each way of going wrong is caught by its own check, and FAIL stops a plan."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import xarray as xr

from bayesmoe.criticism.gate import check, computed_gate, with_gate
from bayesmoe.documents import CheckDocument
from bayesmoe.errors import InputError
from bayesmoe.inference.store import FitInfo
from bayesmoe.sampling.retries import Attempt

NAMES = [
    "R-hat",
    "bulk ESS",
    "tail ESS",
    "divergences",
    "E-BFMI",
    "law identified",
    "prior overlap",
    "shape overlap",
    "prior sensitivity",
    "residual structure",
    "noise over seeds",
    "levels",
    "axis inflation",
]


@pytest.fixture
def changed(small_fit):
    """A copy of the small fit, or of another, with some variables of one of its groups replaced by functions of them."""

    def change(group, of=small_fit, **functions):
        fit = of.copy()
        dataset = fit[group].to_dataset()
        values = {name: (dataset[name].dims, function(dataset[name].values.copy())) for name, function in functions.items()}
        fit[group] = xr.DataTree(dataset.assign(values))
        return fit

    return change


def by_name(gate):
    """Checks of a gate by name."""
    return {found.name: found for found in gate.checks}


def shifted(by, chain=2):
    """Move one chain away, in standard deviations."""

    def function(values):
        values[chain] += by * values.std()
        return values

    return function


def autocorrelated(per_step):
    """Replace draws by stationary chains of the given autocorrelation."""

    def function(values):
        rng = np.random.default_rng(1)
        values[:, 0] = rng.standard_normal(len(values))
        for i in range(1, values.shape[1]):
            values[:, i] = per_step * values[:, i - 1] + np.sqrt(1 - per_step**2) * rng.standard_normal(len(values))
        return values

    return function


def independent(values):
    """Replace draws by independent ones."""
    return np.random.default_rng(2).standard_normal(values.shape)


def one_nan(values):
    """Break a single draw."""
    values[1, 7] = np.nan
    return values


def one_infinite(values):
    """Overflow a single draw."""
    values[1, 7] = np.inf
    return values


def test_a_good_fit_passes_every_check(small_fit):
    gate = computed_gate(small_fit)
    assert [found.name for found in gate.checks] == NAMES
    assert {found.name: found.verdict for found in gate.checks} == dict.fromkeys(NAMES, "PASS")
    assert gate.verdict == "PASS"
    assert not any(found.recommendation for found in gate.checks)


def test_independent_draws_are_as_many_as_they_are(changed, small_fit):
    names = [name for name in small_fit["posterior"].data_vars if name not in FitInfo.read(small_fit).paper_parameters]
    found = by_name(computed_gate(changed("posterior", **dict.fromkeys(names, independent))))
    assert found["R-hat"].value == pytest.approx(1.0, abs=0.01)
    assert found["bulk ESS"].value == pytest.approx(1600, rel=0.2)


@pytest.mark.parametrize(("by", "verdict"), [(0.6, "REVIEW"), (5.0, "FAIL")])
def test_a_stuck_chain_shows_in_r_hat_and_is_named(changed, by, verdict):
    gate = computed_gate(changed("posterior", gain=shifted(by)))
    found = by_name(gate)["R-hat"]
    assert (found.verdict, found.where, gate.verdict) == (verdict, "gain", verdict)
    assert "chain" in found.recommendation


# Statistics of ArviZ divide by zero here, which is the point.
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning:arviz_stats")
@pytest.mark.parametrize("break_one", [one_nan, one_infinite, np.zeros_like])
def test_what_cannot_be_computed_fails(changed, break_one):
    gate = computed_gate(changed("posterior", slope_tokens=break_one))
    found = by_name(gate)
    assert gate.verdict == "FAIL"
    assert found["R-hat"].verdict == "FAIL"
    assert np.isnan(found["R-hat"].value)
    assert found["R-hat"].where == "slope_tokens"


def test_a_paper_parameter_that_overflows_does_not_fail_the_sampler(changed):
    assert computed_gate(changed("posterior", A=one_infinite)).verdict == "PASS"


@pytest.mark.parametrize(("per_step", "verdict"), [(0.7, "REVIEW"), (0.98, "FAIL")])
def test_autocorrelated_draws_are_few_draws(changed, per_step, verdict):
    found = by_name(computed_gate(changed("posterior", size_part=autocorrelated(per_step))))["bulk ESS"]
    assert (found.verdict, found.where) == (verdict, "size_part")
    # An autoregression of that step is worth (1 - r) / (1 + r) of its draws.
    assert found.value == pytest.approx(1600 * (1 - per_step) / (1 + per_step), rel=0.5)
    assert "--draws" in found.recommendation


def test_sticky_tails_are_caught_where_the_bulk_is_fine(changed):
    def heavy(values):
        values = independent(values)
        # Each chain dwells far out for one long excursion, which medians and ranks hardly see.
        values[:, 40:58] = 4.0
        return values

    found = by_name(computed_gate(changed("posterior", size_part=heavy)))
    assert found["tail ESS"].verdict != "PASS"
    assert found["tail ESS"].value < found["bulk ESS"].value


@pytest.mark.parametrize(("count", "verdict"), [(1, "REVIEW"), (16, "REVIEW"), (17, "FAIL"), (1600, "FAIL")])
def test_divergences_are_reviewed_up_to_one_in_a_hundred(changed, count, verdict):
    def diverge(values):
        values.flat[:count] = True
        return values

    gate = computed_gate(changed("sample_stats", diverging=diverge))
    found = by_name(gate)["divergences"]
    assert (found.value, found.verdict, gate.verdict) == (count, verdict, verdict)
    assert "--target-accept" in found.recommendation


@pytest.mark.parametrize(("per_step", "verdict"), [(0.87, "REVIEW"), (0.97, "FAIL")])
def test_energy_that_hardly_moves_is_caught(changed, per_step, verdict):
    found = by_name(computed_gate(changed("sample_stats", energy=autocorrelated(per_step))))["E-BFMI"]
    assert found.verdict == verdict


def test_e_bfmi_is_the_worst_chains(changed, small_fit):
    def drift(values):
        values[3] = np.linspace(0.0, 100.0, values.shape[1])
        return values

    energy = drift(small_fit["sample_stats"]["energy"].values.copy())
    by_hand = (np.diff(energy, axis=1) ** 2).mean(axis=1) / energy.var(axis=1)
    found = by_name(computed_gate(changed("sample_stats", energy=drift)))["E-BFMI"]
    assert found.verdict == "FAIL"
    assert found.value == pytest.approx(by_hand.min(), rel=0.05)


def test_energy_that_is_not_known_fails(changed):
    assert by_name(computed_gate(changed("sample_stats", energy=one_nan)))["E-BFMI"].verdict == "FAIL"


def test_the_worst_check_is_the_verdict(changed):
    fit = changed("posterior", gain=shifted(0.6))
    assert computed_gate(fit).verdict == "REVIEW"
    assert computed_gate(changed("sample_stats", fit, diverging=np.ones_like)).verdict == "FAIL"


def test_one_chain_cannot_be_checked(small_fit):
    info = dataclasses.replace(FitInfo.read(small_fit), gate=None)
    fit = small_fit.isel(chain=[0], missing_dims="ignore")
    info.write(fit)
    assert FitInfo.read(with_gate(fit)).gate is None
    with pytest.raises(InputError, match="at least 2 chains") as caught:
        check(fit)
    assert "--chains 4" in caught.value.hint


def test_a_failed_gate_is_refused_with_its_reason(changed):
    gate = computed_gate(changed("posterior", gain=shifted(5.0)))
    with pytest.raises(InputError, match=r"fit\.nc: failed its gate \(R-hat .* at gain, must be at most 1\.01\)") as caught:
        gate.refuse_failure(allow_failed=False, file="fit.nc")
    assert "--despite-fail" in caught.value.hint
    gate.refuse_failure(allow_failed=True)


@pytest.mark.parametrize("by", [0.0, 0.45])
def test_pass_and_review_are_not_refused(changed, by):
    gate = computed_gate(changed("posterior", gain=shifted(by)))
    assert gate.verdict in ("PASS", "REVIEW")
    gate.refuse_failure(allow_failed=False)


def test_the_gate_is_stored_in_the_fit_and_not_computed_again(changed):
    fit = with_gate(changed("posterior", gain=shifted(5.0)))
    assert check(fit) == computed_gate(fit)
    assert check(changed("posterior", of=fit, gain=shifted(-5.0))) == check(fit)


def test_a_gate_is_read_in_a_terminal_and_in_a_notebook(small_fit):
    gate = check(small_fit)
    assert str(gate).splitlines()[-1] == f"gate: {gate.verdict}"
    assert len(str(gate).splitlines()) == len(gate.checks) + 1
    assert gate._repr_html_().count("<tr>") == len(gate.checks) + 1


def test_the_document_is_json_even_where_a_value_is_unknown(changed):
    document = CheckDocument.of(computed_gate(changed("posterior", gain=one_nan))).as_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert (document["schema"], document["schema_version"], document["verdict"]) == ("bayesmoe.check", 1, "FAIL")
    rows = {row["name"]: row for row in document["checks"]}
    assert list(rows) == NAMES
    assert rows["R-hat"]["value"] is None
    assert rows["divergences"]["value"] == 0
    assert set(rows["R-hat"]) == {"name", "verdict", "value", "where", "rule", "recommendation"}


def prior_again(fit, name):
    """Replace the draws of a coordinate by draws of its prior."""
    prior = fit["prior"][name].values.ravel()

    def function(values):
        return np.random.default_rng(3).choice(prior, values.shape)

    return {name: function}


def test_a_coordinate_left_to_its_prior_asks_for_review(small_fit, changed) -> None:
    found = by_name(computed_gate(changed("posterior", **prior_again(small_fit, "slope_tokens"))))["prior overlap"]
    assert (found.verdict, found.where) == ("REVIEW", "slope_tokens")
    assert found.value > 0.85
    assert "its band is its prior" in found.recommendation


def test_the_shape_of_saturation_is_named_but_not_judged(small_fit, changed) -> None:
    gate = by_name(computed_gate(changed("posterior", **prior_again(small_fit, "e_above"))))
    assert (gate["shape overlap"].verdict, gate["shape overlap"].where) == ("PASS", "e_above")
    assert gate["shape overlap"].value > 0.85
    assert gate["prior overlap"].verdict == "PASS"


def attempt(**changes):
    """A record of one attempt that settled."""
    settled = Attempt(
        warmup=300, draws=1000, target_accept=0.9, rhat=1.001, ess=900.0, divergences=0, gap_nats=0.1, problem=""
    )
    return dataclasses.replace(settled, **changes)


@pytest.mark.parametrize(
    ("first", "verdict"),
    [
        ({"divergences": 2, "problem": "2 divergences"}, "PASS"),
        ({"rhat": 1.2, "problem": "R-hat 1.2"}, "PASS"),
        ({"rhat": 3.0, "gap_nats": 40.0, "problem": "R-hat 3"}, "REVIEW"),
        ({"rhat": 3.0, "gap_nats": 0.5, "problem": "R-hat 3"}, "FAIL"),
        ({"rhat": float("nan"), "gap_nats": 0.5, "problem": "R-hat nan"}, "FAIL"),
    ],
)
def test_a_mode_that_a_retry_did_not_find_again_is_not_forgotten(small_fit, first, verdict) -> None:
    fit = small_fit.copy()
    dataclasses.replace(FitInfo.read(small_fit), attempts=(attempt(**first), attempt())).write(fit)
    found = by_name(computed_gate(fit))["attempts"]
    assert (found.verdict, found.value) == (verdict, 2.0)
    assert first["problem"] in found.where
