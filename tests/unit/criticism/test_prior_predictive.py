"""Priors before any run: plausible losses that fall with scale, for every law; absurd priors are seen."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

from bayesmoe.criticism.prior_predictive import prior_bands, prior_predictive
from bayesmoe.errors import InputError
from bayesmoe.laws import Law, all_laws, law_named

LOSS_LAWS = [kind for kind in all_laws if kind.response == "loss"]

PLAUSIBLE_NATS = (0.5, 12.0)
"""Losses between which a language model's lies: below what text's entropy allows, above a uniform guess over 160,000 tokens."""


def prior_check(predictive: xr.DataArray) -> dict[str, float]:
    """Shares of the prior that make sense.

    Returns
    -------
    dict of float
        ``plausible``: share of losses within :data:`PLAUSIBLE_NATS`; ``falls_with_size`` and ``falls_with_tokens``: share of
        draws whose loss falls along every line of the grid, a factor 100 long.
    """
    low, high = PLAUSIBLE_NATS
    grid = ["n_dense", "tokens", "num_experts"]
    return {
        "plausible": float(((predictive >= low) & (predictive <= high)).mean()),
        "falls_with_size": float((predictive.diff("n_dense") <= 0).all(grid).mean()),
        "falls_with_tokens": float((predictive.diff("tokens") <= 0).all(grid).mean()),
    }


@pytest.mark.parametrize("kind", LOSS_LAWS, ids=lambda kind: kind.name)
@pytest.mark.few(8)
def test_prior_losses_are_plausible_and_fall_with_scale(kind) -> None:
    """Over a factor 100 of size and of tokens; Yun's law has a routing term that must win at some size, so it is let off most."""
    found = prior_check(prior_predictive(kind(), draws=500))
    assert found["plausible"] >= 0.97
    rising = {"yun": 0.2, "yun-unsaturated": 0.2, "ludziejewski": 0.05, "ludziejewski-unsaturated": 0.05}.get(kind.name, 0.0)
    assert 1.0 - found["falls_with_size"] <= rising
    assert 1.0 - found["falls_with_tokens"] <= min(rising, 0.05)


def test_leverage_lies_around_that_of_its_paper() -> None:
    drawn = prior_predictive(law_named("tian-leverage"), draws=500).sel(num_experts=64.0)
    assert 1.0 < float(drawn.quantile(0.05)) < 3.0 < float(drawn.quantile(0.95)) < 30.0


@pytest.mark.parametrize(
    ("coordinate", "change", "share"),
    [
        ("loss_reference", {"mean": 3.0}, "plausible"),
        ("slope_size", {"support": "real", "mean": -0.05}, "falls_with_size"),
        ("slope_tokens", {"support": "real", "mean": -0.05}, "falls_with_tokens"),
    ],
)
def test_an_absurd_prior_is_seen(coordinate, change, share) -> None:
    kind = next(kind for kind in all_laws if kind.name == "chinchilla")
    changed = tuple(dataclasses.replace(c, **change) if c.name == coordinate else c for c in kind.coordinates)
    absurd = type("Absurd", (kind,), {"coordinates": changed})
    assert prior_check(prior_predictive(absurd(), draws=300))[share] < 0.5


def test_bands_are_quantiles_at_the_typical_run() -> None:
    drawn = prior_predictive(law_named("yun"), draws=200)
    bands = prior_bands(drawn)
    expected = np.quantile(drawn.sel(tokens=1e10, num_experts=16.0, method="nearest").values, [0.05, 0.5, 0.95], axis=0)
    np.testing.assert_allclose(bands["by_size"].sel(num_experts=16.0).values, expected)
    assert bands.attrs == {"units": "nats/token", "law": "yun", "response": "loss"}


def test_a_law_in_a_column_of_its_own_has_no_typical_run() -> None:
    class Odd(Law):
        """``L = 1``."""

        name = "odd"
        other_covariates = ("moon_phase",)
        coordinates = ()

    with pytest.raises(InputError, match="does not have"):
        prior_predictive(Odd())
