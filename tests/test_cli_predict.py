"""``bayesmoe predict``: bands of models that were not trained."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bayesmoe.architecture import Family
from bayesmoe.inference.predict import predict
from bayesmoe.inference.store import save_fit
from bayesmoe.laws import law_named
from bayesmoe.runs.simulate import grid_of_runs

MODELS = grid_of_runs([2e8, 4e9], [2e10], [8], family=Family())


@pytest.fixture
def fit_file(small_fit, tmp_path):
    save_fit(small_fit, tmp_path / "fit.nc")
    return tmp_path / "fit.nc"


@pytest.fixture
def models_file(tmp_path):
    MODELS.to_csv(tmp_path / "models.csv", index=False)
    return tmp_path / "models.csv"


def test_expected_losses_are_the_laws_own_draw_by_draw(small_fit) -> None:
    found = predict(small_fit, MODELS, draws=1600)
    law = law_named("yun")
    posterior = small_fit["posterior"].to_dataset().stack(sample=("chain", "draw"))
    own = {name: posterior[name].values[7] for name in map(str, posterior.data_vars)}
    run = {name: float(MODELS[name].iloc[1]) for name in law.covariates}
    assert float(found["expected"].sel(sample=7, run="sim-001")) == pytest.approx(float(law.loss(own, run)), rel=1e-9)
    noise = np.log(found["loss"] / found["expected"]).std("sample")
    np.testing.assert_allclose(noise, float(posterior["noise_scale"].mean()), rtol=0.15)


def test_a_line_a_model(bayesmoe, fit_file, models_file) -> None:
    ended = bayesmoe("predict", fit_file, models_file)
    assert ended.code == 0
    assert [line.split()[0] for line in ended.out.splitlines()] == ["model", "sim-000", "sim-001"]
    assert "nats per token" in ended.out
    document = json.loads(bayesmoe("predict", fit_file, models_file, "--json").out)
    assert (document["schema"], document["law"]) == ("bayesmoe.predict", "yun")
    losses = [model["loss_nats_per_token"] for model in document["models"]]
    assert all(one["q05"] < one["q50"] < one["q95"] for one in losses)
    assert losses[1]["q50"] < losses[0]["q50"]


def test_bad_input_is_one_sentence(bayesmoe, fit_file, models_file, tmp_path) -> None:
    MODELS.drop(columns="tokens").to_csv(tmp_path / "short.csv", index=False)
    for arguments, says in (
        ([fit_file, tmp_path / "none.csv"], "no such file"),
        ([fit_file, tmp_path / "short.csv"], "tokens"),
        ([fit_file, models_file, "--group", "mine"], "the fit has no groups"),
    ):
        ended = bayesmoe("predict", *arguments)
        assert ended.code == 2
        assert says in ended.err
        assert ended.err.count("\n") == 1
