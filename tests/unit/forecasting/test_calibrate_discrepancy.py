"""The prior of discrepancy learned across labs: the scales that made the misses come back, and a lab counts as one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats
from seeds import seeded

from bayesmoe.errors import InputError
from bayesmoe.forecasting.calibrate_discrepancy import Misses, learned_prior
from bayesmoe.forecasting.discrepancy import Evidence
from bayesmoe.forecasting.discrepancy_prior import (
    KINDS,
    DiscrepancyPrior,
    LearnedFrom,
    kind_of,
    read_discrepancy_prior,
    shipped_prior,
)
from bayesmoe.inference.extrapolation import parts_of_distance
from bayesmoe.resources import resource_folder
from bayesmoe.specs import to_toml

PARTS = parts_of_distance(("n_active", "tokens", "num_experts"))
TRUE = {"size": 0.2, "tokens": 0.05, "experts": 0.2, "size x experts": 0.1, "tokens x experts": 0.02}


def errors(rng: np.random.Generator, bias: np.ndarray, scale: np.ndarray, away: float) -> Evidence:
    """What 30 runs at such a distance say of a law whose m is normal around its bias; noise of 0.001."""
    distance = away * rng.standard_normal((len(PARTS), 30))
    error = (bias + scale * rng.standard_normal(len(PARTS))) @ distance + 0.001 * rng.standard_normal(30)
    log_density = stats.norm(0.0, 0.001).logpdf(error).sum()
    return Evidence(distance @ distance.T / 1e-6, distance @ error / 1e-6, float(log_density))


def misses(lab: str, number: int, *, splits: int = 6, beyond: float = 0.3) -> Misses:
    """A hold-out of a law whose errors have the true scales, at three times the distance of the splits inside."""
    rng = np.random.default_rng(seeded(number))
    scale = np.array([TRUE[kind_of(part)] for part in PARTS]) * np.exp(0.3 * rng.standard_normal(len(PARTS)))
    bias = scale * rng.standard_normal(len(PARTS))
    inside = [errors(rng, bias, scale, 0.1) for _ in range(splits)]
    table = LearnedFrom(lab=lab, table=f"{lab}-{number}", sha256="", runs=100)
    return Misses(table, PARTS, {"yun": inside}, {"yun": errors(rng, bias, scale, beyond)}, {"yun": 1.0})


@pytest.fixture(scope="module")
def learned() -> DiscrepancyPrior:
    return learned_prior([misses(f"lab-{number}", number, splits=2) for number in range(24)])


@pytest.mark.slow
def test_true_scales_come_back_and_four_times_as_large_ones_would_not(learned) -> None:
    """24 labs: the log of a scale is known within about 0.25; all within 0.9 of the truth (one test of a thousand is not), and ln 4 is 1.4."""
    off = np.array([np.log(learned.scale[kind] / TRUE[kind]) for kind in KINDS])
    assert np.abs(off).max() < 0.9
    assert len(learned.learned_from) == 24


@pytest.mark.slow
def test_a_labs_tables_count_as_one_lab() -> None:
    labs = [misses(f"lab-{number}", number) for number in range(4)]
    copies = [dataclasses.replace(labs[0], table=dataclasses.replace(labs[0].table, table=f"copy-{i}")) for i in range(5)]
    once, again = learned_prior(labs), learned_prior([*copies, *labs[1:]])
    assert once.scale == pytest.approx(again.scale, rel=1e-6)
    others = [
        dataclasses.replace(one, table=dataclasses.replace(one.table, lab=f"other-{i}")) for i, one in enumerate(copies)
    ]
    assert learned_prior([*others, *labs[1:]]).scale != pytest.approx(once.scale, rel=1e-3)


@pytest.mark.slow
@pytest.mark.sweep
def test_a_law_that_forecast_badly_has_no_say() -> None:
    """A second law that misses ten times as far; where it forecast best, the scales are its own."""
    labs = [misses(f"lab-{number}", number) for number in range(4)]
    far = [misses(f"lab-{number}", 100 + number, beyond=3.0) for number in range(4)]

    def beside(nats: float) -> dict[str, float]:
        pairs = zip(labs, far, strict=True)
        found = [
            dataclasses.replace(
                one,
                inside=one.inside | {"kaplan": other.inside["yun"]},
                beyond=one.beyond | {"kaplan": other.beyond["yun"]._replace(log_density=nats)},
                weights={"yun": 0.5, "kaplan": 0.5},
            )
            for one, other in pairs
        ]
        return learned_prior(found).scale

    alone = learned_prior(labs).scale
    assert beside(-1e9) == pytest.approx(alone, rel=0.02)
    assert beside(1e9) != pytest.approx(alone, rel=0.02)


def test_the_shipped_prior_names_its_tables(tmp_path) -> None:
    shipped = shipped_prior()
    assert set(shipped.scale) == set(KINDS)
    assert len({one.lab for one in shipped.learned_from}) >= 8
    assert all(len(one.sha256) == 64 for one in shipped.learned_from)
    (tmp_path / "prior.toml").write_text(to_toml(shipped))
    assert read_discrepancy_prior(tmp_path / "prior.toml") == shipped
    assert read_discrepancy_prior(resource_folder("models") / "priors" / "discrepancy.toml") == shipped


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"scale": {"size": 0.1}}, "scale: is missing, found 'tokens'"),
        ({"scale": dict.fromkeys(KINDS, -0.1)}, "scale: must be positive"),
    ],
)
def test_what_is_no_prior_is_refused(changed, says) -> None:
    with pytest.raises(InputError, match=says):
        DiscrepancyPrior(**({"scale": dict.fromkeys(KINDS, 0.1), "log_sd": 0.5} | changed))


def test_kinds_are_those_of_parts() -> None:
    assert [kind_of(part) for part in PARTS] == list(KINDS)
    assert kind_of("n_total x experts") == "size x experts"
