"""``bayesmoe compare``: the better law first, and fits that cannot be compared are refused by name."""

from __future__ import annotations

import dataclasses
import json

import pytest
import xarray as xr
from scipy import stats

from bayesmoe.criticism.compare import compare
from bayesmoe.fitting import fit_spec
from bayesmoe.inference.refits import with_law
from bayesmoe.inference.store import save_fit


@pytest.fixture(scope="module")
def two(small_fit, small_spec):
    """The embedded runs, made with experts, under Yun's law and under a law that does not know of experts."""
    quick = dataclasses.replace(small_spec, sampler=dataclasses.replace(small_spec.sampler, warmup=400, draws=200))
    return {"yun": small_fit, "chinchilla": fit_spec(with_law(quick, "chinchilla", "n_dense"))}


def test_the_law_that_knows_of_experts_is_first(two) -> None:
    table = compare(two)
    assert list(table["law"]) == ["yun", "chinchilla"]
    assert table["weight"].sum() == pytest.approx(1.0)
    assert table.loc["yun", "weight"] > 0.9
    assert table.loc["yun", "elpd_diff"] == 0.0
    worse = table.loc["chinchilla"]
    assert abs(worse["elpd_diff"]) > 4 * worse["dse"]
    # In a fit with few parameters for its runs, leaving one run out changes little: elpd is near the density in sample.
    posterior, runs = two["yun"]["posterior"], two["yun"]["observed_data"].sizes["run"]
    plain = stats.t.entropy(float(posterior["noise_df"].median()), scale=float(posterior["noise_scale"].median() * 2.75))
    assert table.loc["yun", "elpd"] == pytest.approx(-runs * plain, rel=0.1)


@pytest.mark.slow
def test_it_prints_and_writes_json(two, bayesmoe, tmp_path) -> None:
    paths = []
    for name, tree in two.items():
        save_fit(tree, tmp_path / f"{name}.nc")
        paths.append(tmp_path / f"{name}.nc")
    ended = bayesmoe("compare", *paths)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[1].startswith(str(paths[0]))
    found = json.loads(bayesmoe("compare", *paths, "--json").out)
    assert (found["schema"], found["schema_version"]) == ("bayesmoe.compare", 1)
    assert [row["law"] for row in found["fits"]] == ["yun", "chinchilla"]


@pytest.mark.slow
def test_what_cannot_be_compared_is_refused(two, bayesmoe, tmp_path) -> None:
    save_fit(two["yun"], tmp_path / "yun.nc")
    fewer = two["yun"].copy()
    fewer["observed_data"] = fewer["observed_data"].isel(run=slice(1, None))
    save_fit(fewer, tmp_path / "fewer.nc")
    bare = two["yun"].copy()
    del bare["log_likelihood"]
    save_fit(bare, tmp_path / "bare.nc")
    for others, says in (
        ([], "needs at least two fits"),
        (["fewer.nc"], "was fitted to other runs than"),
        (["bare.nc"], "has no pointwise log-likelihoods; refit with --pointwise always"),
    ):
        ended = bayesmoe("compare", tmp_path / "yun.nc", *(tmp_path / name for name in others))
        assert (ended.code, ended.out) == (2, "")
        assert says in ended.err
        assert ended.err.count("\n") == 1


@pytest.mark.slow
def test_one_averaged_fit_is_its_laws(two, bayesmoe, tmp_path) -> None:
    table = xr.Dataset(
        {
            "weight": ("law", [0.5, 0.5]),
            **{name: ("law", [0.0, 0.0]) for name in ("bias", "scale", "correlation", "ln_covariate", "slope")},
        },
        coords={"law": list(two)},
    )
    nodes = {
        f"laws/{name}/{group}": node.to_dataset() for name, tree in two.items() for group, node in tree.children.items()
    }
    constant = two["yun"]["constant_data"].to_dataset()
    average = xr.DataTree.from_dict({"average": table, "constant_data": constant, **nodes})
    average.attrs = two["yun"].attrs
    for name, tree in two.items():
        average[f"laws/{name}"].attrs = tree.attrs
    save_fit(average, tmp_path / "fit.nc")
    found = json.loads(bayesmoe("compare", tmp_path / "fit.nc", "--json").out)
    assert [row["law"] for row in found["fits"]] == ["yun", "chinchilla"]
