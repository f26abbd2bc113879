"""From a spec to a DataTree: groups, determinism, pooling rules, and the file."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesmoe.errors import InputError
from bayesmoe.fitting import fit_spec
from bayesmoe.inference.fit_law import arrange
from bayesmoe.inference.priors import coordinates_of
from bayesmoe.inference.spec import FitSpec, GroupSpec, law_of
from bayesmoe.inference.store import FORMAT, FitInfo, load_fit, reference_of_fit, save_fit
from bayesmoe.runs import as_run_table
from bayesmoe.runs.simulate import grid_of_runs
from bayesmoe.specs import from_mapping

GROUPS = {
    "posterior",
    "sample_stats",
    "prior",
    "prior_predictive",
    "posterior_predictive",
    "log_likelihood",
    "log_prior",
    "observed_data",
    "constant_data",
}


def grouped_table(counts: dict[str, list[int]]):
    """A table with a dense group and the given expert counts in each other group."""
    import pandas as pd

    from bayesmoe.architecture import Family

    parts = []
    for name, experts in counts.items():
        part = grid_of_runs([1e8, 4e8], [1e10], experts, family=Family())
        parts.append(part.assign(group=name, run_id=[f"{name}-{i}" for i in range(len(part))]))
    frame = pd.concat(parts, ignore_index=True)
    return as_run_table(frame.assign(loss=np.linspace(2.5, 3.0, len(frame))), group="group")


def arranged(counts: dict[str, list[int]], **groups):
    """What a grouped Clark fit of that table would be given."""
    spec = from_mapping({"data": {"file": "x.csv"}, "law": {"name": "clark"}, "groups": groups}, FitSpec)
    law = law_of(spec.law)
    return arrange(grouped_table(counts), law, coordinates_of(law, {}), spec)


def test_a_fit_has_every_group_and_the_papers_parameters(small_fit) -> None:
    assert set(small_fit.children) == GROUPS
    posterior = small_fit["posterior"]
    assert {"A", "alpha", "B", "beta", "C", "gamma", "F", "d", "e_start", "e_max", "noise_scale"} <= set(posterior.data_vars)
    runs = small_fit["observed_data"].sizes["run"]
    assert runs == 80
    assert small_fit["log_likelihood"]["loss"].dims == ("chain", "draw", "run")
    assert small_fit["posterior_predictive"]["loss"].shape == (4, 400, runs)
    assert small_fit["observed_data"]["loss"].attrs["units"] == "nats/token"
    assert small_fit.attrs["response"] == "loss"
    assert small_fit.attrs["data_simulated"] == 1
    assert FitInfo.read(small_fit).spec.law.name == "yun"


def test_log_likelihood_is_that_of_the_posterior_draw(small_fit) -> None:
    from scipy import stats

    draw = {"chain": 2, "draw": 17}
    p = {name: float(small_fit["posterior"][name].sel(draw)) for name in small_fit["posterior"].data_vars}
    constant = small_fit["constant_data"]
    run = {name: constant[name].values for name in ("n_dense", "tokens", "num_experts")}
    mean = np.asarray(FitInfo.read(small_fit).law.loss(p, run))
    expected = stats.t.logpdf(small_fit["observed_data"]["loss"].values, p["noise_df"], mean, p["noise_scale"] * mean)
    np.testing.assert_allclose(small_fit["log_likelihood"]["loss"].sel(draw), expected, rtol=1e-8)


def test_posterior_predictive_covers_about_nine_runs_in_ten(small_fit) -> None:
    low, high = small_fit["posterior_predictive"]["loss"].quantile([0.05, 0.95], ["chain", "draw"]).values
    observed = small_fit["observed_data"]["loss"].values
    covered = int(((observed >= low) & (observed <= high)).sum())
    # Binomial(80, 0.9): outside 62..79 with probability under 0.1%.
    assert 62 <= covered <= 79
    assert ((observed + 0.05 >= low) & (observed + 0.05 <= high)).sum() < 62


@pytest.mark.slow
def test_same_seed_same_draws_and_another_seed_others(small_spec) -> None:
    quick = dataclasses.replace(small_spec, sampler=dataclasses.replace(small_spec.sampler, warmup=100, draws=20, chains=2))
    other = dataclasses.replace(quick, sampler=dataclasses.replace(quick.sampler, seed=2))
    first, again, third = (fit_spec(spec)["posterior"]["slope_size"].values for spec in (quick, quick, other))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, third)


@pytest.mark.slow
def test_pointwise_log_likelihoods_are_kept_when_asked_or_while_they_are_small(small_spec, monkeypatch) -> None:
    """What is large is never held for every draw: predictions are thinned, log-likelihoods left out."""
    quick = dataclasses.replace(small_spec.sampler, warmup=100, draws=20, chains=2)

    def made(pointwise: str):
        return fit_spec(dataclasses.replace(small_spec, sampler=dataclasses.replace(quick, pointwise=pointwise)))

    assert "log_likelihood" not in made("never").children
    monkeypatch.setattr("bayesmoe.inference.fit_law.POINTWISE", 2 * 10 * 80)
    large = made("auto")
    assert "log_likelihood" not in large.children
    assert large["posterior_predictive"]["loss"].shape == (2, 10, 80)
    assert large["posterior"]["A"].shape == (2, 20)
    assert made("always")["log_likelihood"]["loss"].shape == (2, 20, 80)


@pytest.mark.slow
def test_the_reference_kernel_gives_the_same_layout(small_spec) -> None:
    quick = dataclasses.replace(small_spec.sampler, warmup=150, draws=30, chains=2, kernel="numpyro")
    found = fit_spec(dataclasses.replace(small_spec, sampler=quick))
    assert set(found.children) == GROUPS
    assert found["posterior"]["A"].shape == (2, 30)
    assert {"diverging", "energy", "lp", "n_steps"} <= set(found["sample_stats"].data_vars)


@pytest.mark.slow
@pytest.mark.sweep
def test_a_hundred_thousand_runs_fit_in_bounded_memory(tmp_path) -> None:
    """In a process of its own, so that its peak is its own: a pointwise log-likelihood alone would be 3.2 GB."""
    script = """
import jax
jax.config.update("jax_enable_x64", True)
import numpy as np
from bayesmoe.architecture import Family
from bayesmoe.fitting import fit_spec
from bayesmoe.inference.spec import FitSpec
from bayesmoe.laws import law_named
from bayesmoe.runs import as_run_table
from bayesmoe.runs.simulate import grid_of_runs, simulate_losses
from bayesmoe.specs import from_mapping
design = grid_of_runs(np.geomspace(1e7, 1e9, 100), np.geomspace(1e9, 1e11, 125), [1, 2, 4, 8, 16, 32, 64, 128], family=Family())
law = law_named("chinchilla")
truth = law.coefficients("besiroglu")
runs = as_run_table(simulate_losses(design, lambda run: law.loss(truth, run), noise_scale=0.01, seed=0))
sampler = {"warmup": 200, "draws": 1000, "retries": 0}
spec = from_mapping({"data": {"file": "x.csv"}, "law": {"name": "chinchilla", "size": "n_dense"}, "sampler": sampler}, FitSpec)
found = fit_spec(spec, table=runs)
alpha = found["posterior"]["alpha"].values
# Not the peak of getrusage, which a child inherits from its parent.
peak_kb = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(len(runs.frame), "log_likelihood" in found.children, abs(alpha.mean() - truth["alpha"]) / alpha.std(), peak_kb / 1e6)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    runs, kept, z, peak_gb = int(done[0]), done[1], float(done[2]), float(done[3])
    assert runs == 100_000
    assert kept == "False"
    assert z < 4
    assert peak_gb < 1.5


def test_a_fit_survives_its_file(small_fit, tmp_path) -> None:
    path = tmp_path / "fit.nc"
    save_fit(small_fit, path)
    again = load_fit(path)
    assert set(again.children) == GROUPS
    np.testing.assert_array_equal(again["posterior"]["A"], small_fit["posterior"]["A"])
    assert FitInfo.read(again) == FitInfo.read(small_fit)
    assert reference_of_fit(again) == reference_of_fit(small_fit)
    path.unlink()
    assert float(again["posterior"]["e_max"].mean()) > 0


def test_a_newer_layout_is_refused_by_name(small_fit, tmp_path) -> None:
    newer = small_fit.copy()
    newer.attrs = {**small_fit.attrs, "format": 99, "bayesmoe_version": "9.9"}
    save_fit(newer, tmp_path / "newer.nc")
    with pytest.raises(InputError, match=r"install bayesmoe >= 9\.9"):
        load_fit(tmp_path / "newer.nc")


def test_an_older_layout_is_refused_with_its_cure(small_fit, tmp_path) -> None:
    older = small_fit.copy()
    older.attrs = {**small_fit.attrs, "format": 1, "bayesmoe_version": "0.0.9"}
    path = tmp_path / "older.nc"
    save_fit(older, path)
    with pytest.raises(InputError) as caught:
        load_fit(path)
    assert str(caught.value) == (
        f"{path}: was written by bayesmoe 0.0.9, in an older layout (1) than this version reads ({FORMAT}); "
        "refit, or install bayesmoe == 0.0.9."
    )


def test_the_reference_is_the_dense_run_in_the_middle_of_the_table(small_fit) -> None:
    constant = small_fit["constant_data"].dataset
    reference = reference_of_fit(small_fit)
    middle = {name: np.exp(np.log(constant[name].values).mean()) for name in ("n_dense", "tokens")}
    assert reference.run == pytest.approx({**middle, "num_experts": 1.0})
    assert reference.gain_experts == pytest.approx((4 * 8 * 16 * 32) ** 0.25)


def test_netcdf_that_is_no_fit_is_refused(tmp_path) -> None:
    xr.Dataset({"x": ("y", [1.0])}).to_netcdf(tmp_path / "other.nc", engine="netcdf4")
    with pytest.raises(InputError, match="is not a fit of bayesmoe"):
        load_fit(tmp_path / "other.nc")
    (tmp_path / "broken.nc").write_bytes(b"not netcdf")
    with pytest.raises(InputError, match="is not readable netCDF"):
        load_fit(tmp_path / "broken.nc")


def test_shared_dense_runs_come_last_and_make_the_dense_model_common() -> None:
    frame, structure, data = arranged({"dense": [1], "x": [4, 8, 16], "y": [4, 8, 16]}, dense="dense")
    assert list(frame["group"].iloc[-2:]) == ["dense", "dense"]
    assert structure.groups == ("x", "y")
    assert structure.pooled == ("gain", "interaction", "e_start", "e_above")
    assert [structure.groups[index] for index in data.group] == list(frame["group"][: len(data.group)])
    assert len(data.dense_covariates["n_dense"]) == 2


def test_groups_without_enough_counts_share_the_shape_of_the_expert_curve() -> None:
    _, structure, _ = arranged({"x": [1, 4, 8, 16], "y": [48]})
    assert structure.pooled == ("loss_reference", "slope_size", "gain", "interaction")


def test_shared_coordinates_can_be_named() -> None:
    _, structure, _ = arranged({"x": [1, 4, 8, 16], "y": [48]}, shared=["e_above", "e_start", "interaction"])
    assert structure.pooled == ("loss_reference", "slope_size", "gain")


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"dense": "none"}, "names no group of the table"),
        ({"dense": "x"}, "must be the group of the dense runs"),
        ({"shared": ["e_mox"]}, "is not a coordinate of the law"),
    ],
)
def test_broken_groups(groups, message) -> None:
    with pytest.raises(InputError, match=message):
        arranged({"x": [1, 4, 8, 16], "y": [48]}, **groups)


def test_degrees_of_centering_follow_what_a_group_says() -> None:
    _, _, data = arranged({"x": [1, 4, 8, 16, 64], "y": [16]})
    gain = np.asarray(data.centering["gain"])
    assert gain[0] > 0.5
    assert gain[1] < gain[0]
    assert all(((np.asarray(d) >= 0) & (np.asarray(d) <= 1)).all() for d in data.centering.values())


def test_group_spec_defaults_to_the_group_column() -> None:
    assert GroupSpec().column == "group"


def test_settings_in_words_are_kept_with_the_runs_and_names_that_are_taken_are_not() -> None:
    from bayesmoe.inference.tree import _settings_in_words

    frame = pd.DataFrame(
        {
            "run_id": list("abcd"),
            "corpus": ["web", "web", "books", "books"],
            "router": ["hash", None, "hash", "base"],
            "note": list("wxyz"),
            "one": ["same"] * 4,
            "chain": ["x", "x", "y", "y"],
            "noise_source": ["x", "x", "y", "y"],
            "num_experts": [1, 1, 2, 2],
        }
    )
    assert {name: value.tolist() for name, value in _settings_in_words(frame).items()} == {
        "corpus": ["web", "web", "books", "books"]
    }
