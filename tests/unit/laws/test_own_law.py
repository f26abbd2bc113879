"""The example of ``docs/own-law.md`` runs as printed, and a fit of it finds the true values."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from bayesmoe.architecture import Family
from bayesmoe.documents.law import document_of
from bayesmoe.fitting import fit_spec
from bayesmoe.inference.spec import read_fit_spec
from bayesmoe.laws import Reference, law_named
from bayesmoe.runs.simulate import grid_of_runs, simulate_losses

PAGE = (Path(__file__).parents[3] / "docs" / "own-law.md").read_text(encoding="utf-8")
MOST_LINES = 20
TRUTH = {"A": 12.0, "a": 0.05, "b": 0.025}
LAW = "my_laws:ActiveTotal"


def block(language: str) -> str:
    """The page's one code block in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder on the import path with the law, the spec and runs simulated from the law."""
    (tmp_path / "my_laws.py").write_text(block("python"))
    (tmp_path / "my_laws.toml").write_text(block("toml"))
    monkeypatch.delitem(sys.modules, "my_laws", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    design = grid_of_runs([5e7, 1e8, 2e8, 4e8, 8e8], [2e10], [1, 4, 8, 16, 32], family=Family())
    runs = simulate_losses(design, lambda run: law_named(LAW).loss(TRUTH, run), noise_scale=0.004, seed=1)
    runs.to_csv(tmp_path / "runs.csv", index=False)
    return tmp_path


def test_the_example_is_short() -> None:
    assert sum(bool(line.strip()) for line in block("python").splitlines()) <= MOST_LINES


def test_coordinates_give_the_reference_loss(folder) -> None:
    law = law_named(LAW)
    reference = Reference({"n_active": 3e8, "n_total": 9e8}, 16.0)
    p = law.to_paper({"loss_reference": 2.6, "slope_size": 0.05, "slope_total": 0.03}, reference)
    assert set(p) == set(law.symbols)
    assert float(law.loss(p, reference.run)) == pytest.approx(2.6)


def test_the_catalog_shows_it(folder) -> None:
    found = document_of(LAW, ["n_active=3e8", "n_total=9e8"]).as_dict()
    assert [p["parameter"] for p in found["parameters"]] == list(TRUTH)
    assert all(value > 0 for p in found["parameters"] for value in p["prior"].values())


@pytest.mark.slow
def test_a_fit_finds_the_true_values(folder) -> None:
    spec = read_fit_spec(folder / "my_laws.toml")
    sampler = dataclasses.replace(spec.sampler, warmup=200, draws=100, chains=2, retries=0)
    posterior = fit_spec(dataclasses.replace(spec, sampler=sampler))["posterior"]
    reach = NormalDist().inv_cdf(0.9995)
    for name, true in TRUTH.items():
        draws = np.log(posterior[name].to_numpy())
        assert draws.shape == (2, 100)
        assert abs(draws.mean() - np.log(true)) < reach * draws.std(), name
        assert draws.std() < 0.5, name
