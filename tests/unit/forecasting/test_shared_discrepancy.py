"""The share of discrepancy that groups have in common is learned from how their misses agree."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from seeds import seeded

from bayesmoe.errors import InputError
from bayesmoe.forecasting.discrepancy_prior import shipped_prior
from bayesmoe.forecasting.shared_discrepancy import (
    SHARES,
    differences_in_band,
    learned_share,
    log_densities_of_shares,
    shares_of_another_lab,
)
from bayesmoe.inference.ensemble import correlation_factor
from bayesmoe.inference.extrapolation import SHARED
from bayesmoe.inference.shared_discrepancy import SharedDiscrepancy, read_shared_discrepancy, shipped_share
from bayesmoe.specs import to_toml

GROUPS, RUNS, NOISE, PARTS = 6, 8, 1e-4, ("n_active", "tokens")


def forecast(share: float, number: int) -> xr.Dataset:
    """Larger runs of six groups, missed by a law whose draws agree and whose discrepancy is shared by so much."""
    rng, prior = np.random.default_rng([seeded(11), number]), shipped_prior()
    scale = prior.scales(PARTS) * np.exp(prior.log_sd * rng.standard_normal(2))
    factor = np.sqrt(2.0) * scale[:, None] * correlation_factor(prior.correlation, PARTS)
    common = factor @ rng.standard_normal(2)
    distance = rng.uniform(0.05, 0.3, (2, GROUPS * RUNS))
    group = np.repeat([f"g{i}" for i in range(GROUPS)], RUNS)
    error = np.empty(GROUPS * RUNS)
    for place in range(GROUPS):
        own = slice(place * RUNS, (place + 1) * RUNS)
        m = np.sqrt(share) * common + np.sqrt(1.0 - share) * (factor @ rng.standard_normal(2))
        error[own] = m @ distance[:, own]
    drawn = 2.5 * np.exp(NOISE * rng.standard_normal((200, GROUPS * RUNS)))
    return xr.Dataset(
        {
            "expected": (("draw", "run"), drawn),
            "observed": ("run", 2.5 * np.exp(error + NOISE * rng.standard_normal(error.size))),
            "noise_scale": (("draw", "run"), np.full(drawn.shape, NOISE)),
            "noise_df": ("draw", np.full(200, 30.0)),
            "distance": (("part", "run"), distance),
        },
        coords={"part": list(PARTS), "group_of_run": ("run", group)},
    )


def learned(share: float, labs: int = 10) -> SharedDiscrepancy:
    return learned_share({f"lab {number}": [log_densities_of_shares(forecast(share, number))] for number in range(labs)})


def mean(share: SharedDiscrepancy) -> float:
    return share.shared / (share.shared + share.own)


def test_the_share_of_simulated_misses_comes_back() -> None:
    """Ten labs of six groups know it within about 0.1; what is given is for another lab, and so pulled in from the ends."""
    low, middle, high = (mean(learned(share)) for share in (0.05, 0.5, 0.95))
    assert low < 0.3
    assert 0.3 < middle < 0.7
    assert high > 0.8


def test_a_lab_counts_once_however_many_hold_outs_it_has() -> None:
    one = log_densities_of_shares(forecast(0.9, 1))
    np.testing.assert_allclose(shares_of_another_lab({"a": [one] * 5}), shares_of_another_lab({"a": [one]}))
    more = shares_of_another_lab({"a": [one], "b": [one], "c": [one]})
    assert more @ SHARES > shares_of_another_lab({"a": [one]}) @ SHARES


def test_runs_that_all_groups_share_say_nothing() -> None:
    plain = forecast(0.5, 2)
    group = np.concatenate([plain["group_of_run"].values, [SHARED] * 5])
    more = xr.concat(
        [plain.drop_vars("group_of_run"), plain.drop_vars("group_of_run").isel(run=slice(5))], "run", data_vars="minimal"
    )
    more["noise_df"] = plain["noise_df"]
    more = more.assign_coords(group_of_run=("run", group))
    np.testing.assert_allclose(log_densities_of_shares(more), log_densities_of_shares(plain))


def test_bands_of_differences_are_those_of_the_share() -> None:
    """Pairs within a table are alike, so tables are counted: 40 of them at 90% hold at least 72% of their pairs, but once in ten thousand."""
    tables = [forecast(0.5, number) for number in range(40)]
    assert 0.72 < np.mean([differences_in_band(one, 0.5).mean() for one in tables]) <= 1.0
    assert np.mean([differences_in_band(one, 1.0).mean() for one in tables]) < 0.5, "the twin: nothing of its own"


def test_what_is_shipped_has_its_tables() -> None:
    shipped = shipped_share()
    assert {one.lab for one in shipped.learned_from} == {"deepmind", "porian", "kempner", "ai2"}
    draws = shipped.draws(10_000, np.random.default_rng(seeded(1)))
    assert draws.mean() == pytest.approx(mean(shipped), abs=0.02)
    assert ((draws >= 0) & (draws <= 1)).all()


def test_the_file_is_read_back_and_nonsense_refused(tmp_path) -> None:
    path = tmp_path / "share.toml"
    path.write_text(to_toml(shipped_share()))
    assert read_shared_discrepancy(path) == shipped_share()
    with pytest.raises(InputError, match="shared: must be positive, found -1"):
        SharedDiscrepancy(shared=-1.0, own=1.0)
